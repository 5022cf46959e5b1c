"""The platform itself: what it is called, and the wallets its fees and disputes are booked on."""

from __future__ import annotations

from typing import Any, Final

from moneyback.dialect import Caller, Incoming, LoadDocument, Outgoing, SaveDocument
from moneyback.dialects.mangopay import calls, complaints, journal, pages, schemas, wallets
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.entries import transactions
from moneyback.dialects.mangopay.members import CURRENCIES, Members

KIND: Final = "client"
FUNDS: Final = ("FEES", "CREDIT")

Data = dict[str, Any]


def view_client(incoming: Incoming, _caller: Caller) -> Answer:
    """What is known of the platform."""
    identity = incoming.arguments["ClientId"]
    known: Data | None = yield LoadDocument(KIND, identity)
    return Outgoing(body=_shown(identity, known or {}))


def update_client(incoming: Incoming, _caller: Caller) -> Answer:
    """Colours, addresses and words."""
    identity = incoming.arguments["ClientId"]
    known: Data = (yield LoadDocument(KIND, identity)) or {}
    body = Members(incoming.body)
    texts = ("PrimaryButtonColour", "PrimaryThemeColour", "PlatformDescription", "ClientRegisteredName")
    stated: Data = {name: body.text(name) for name in texts}
    stated |= {"PlatformURL": body.url("PlatformURL"), "PhoneNumber": body.text("PhoneNumber", longest=32)}
    if body.has("HeadquartersAddress"):
        stated["HeadquartersAddress"] = body.address("HeadquartersAddress")
    if body.errors:
        return complaints.parameters(body.errors)
    known = {**known, **{name: value for name, value in stated.items() if value is not None}}
    yield SaveDocument(KIND, identity, known)
    return Outgoing(body=_shown(identity, known))


def _shown(identity: str, known: Data) -> Data:
    seen = {"PlatformType": "MARKETPLACE", "Name": identity, **known, "ClientId": identity}
    return {name: seen.get(name) for name in schemas.CLIENT["properties"]}


def list_wallets(incoming: Incoming, _caller: Caller) -> Answer:
    """The platform's wallets: of euros always, of other currencies once something stands on them."""
    wanted = incoming.arguments.get("FundsType", "").upper()
    if wanted not in ("", *FUNDS, "DEFAULT"):
        return complaints.not_found("ClientWallet", wanted)
    listing = pages.parse_listing(incoming)
    if isinstance(listing, dict):
        return complaints.parameters(listing)
    rows: list[Data] = []
    for funds in [each for each in FUNDS if wanted in ("", each)]:
        for currency in CURRENCIES:
            wallet = yield from wallets.shown(wallets.platform_wallet(funds, currency))
            if currency == "EUR" or wallet["Balance"]["Amount"]:
                rows.append(wallet)
    return pages.answer(incoming, listing, pages.page(rows, listing), len(rows))


def view_wallet(incoming: Incoming, _caller: Caller) -> Answer:
    """One of the platform's wallets."""
    wallet = yield from wallets.load(_identity(incoming))
    return wallet if isinstance(wallet, Complaint) else Outgoing(body=(yield from wallets.shown(wallet)))


def list_transactions(incoming: Incoming, _caller: Caller) -> Answer:
    """What was booked on one of the platform's wallets."""
    wallet = yield from wallets.load(_identity(incoming))
    if isinstance(wallet, Complaint):
        return wallet
    return (yield from transactions(incoming, journal.place("wallet", wallet["Id"])))


def _identity(incoming: Incoming) -> str:
    return f"{incoming.arguments['FundsType']}_{incoming.arguments['Currency']}".upper()


ROUTES: Final = (
    calls.route("GET", "/clients", view_client, "View the platform", answered=schemas.CLIENT),
    calls.route(
        "PUT",
        "/clients",
        update_client,
        "Update the platform",
        asked=schemas.CLIENT_CHANGE,
        answered=schemas.CLIENT,
    ),
    *(
        calls.route("GET", path, list_wallets, "List the platform's wallets", answered=calls.listed(schemas.WALLET))
        for path in ("/clients/wallets", "/clients/wallets/{FundsType}")
    ),
    calls.route(
        "GET",
        "/clients/wallets/{FundsType}/{Currency}",
        view_wallet,
        "View one of the platform's wallets",
        answered=schemas.WALLET,
    ),
    calls.route(
        "GET",
        "/clients/wallets/{FundsType}/{Currency}/transactions",
        list_transactions,
        "List the transactions of one of the platform's wallets",
        answered=calls.listed(schemas.TRANSACTION),
    ),
)
