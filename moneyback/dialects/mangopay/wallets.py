"""Wallets: whose they are, what stands on them by the ledger, and what moved."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any, Final

from moneyback.dialect import (
    Ask,
    BalanceOf,
    Caller,
    Incoming,
    ListDocuments,
    LoadDocument,
    NextNumber,
    Outgoing,
    SaveDocument,
)
from moneyback.dialects.mangopay import calls, complaints, journal, pages, schemas, users
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.entries import transactions
from moneyback.dialects.mangopay.members import CURRENCIES, Members
from moneyback.dialects.mangopay.wire import money

KIND: Final = "wallet"
_PLATFORM: Final = re.compile(f"(FEES|CREDIT)_({'|'.join(CURRENCIES)})")
"""The wallets of the platform itself: one of each for every currency (provider docs: client wallets)."""

Data = dict[str, Any]


def create_wallet(incoming: Incoming, _caller: Caller) -> Answer:
    """A wallet of one user, in one currency, empty."""
    body = Members(incoming.body)
    description, currency, tag = body.text("Description", required=True), body.currency(), body.tag()
    owner = _owner(incoming.body, body)
    if body.errors:
        return complaints.parameters(body.errors)
    unknown = yield from users.existing("Owners", owner)
    if unknown is not None:
        return unknown
    at = yield from calls.now(incoming)
    wallet: Data = {
        "Id": str((yield NextNumber())),
        "Owners": [owner],
        "Owner": owner,
        "Description": description,
        "Currency": currency,
        "FundsType": "DEFAULT",
        "Tag": tag,
        "CreationDate": int(at.timestamp()),
    }
    yield SaveDocument(KIND, wallet["Id"], wallet)
    return Outgoing(body=(yield from shown(wallet)))


def _owner(body: Any, members: Members) -> str:
    owners = body.get("Owners") if isinstance(body, dict) else None
    if isinstance(owners, str):
        owners = [owners]
    if not isinstance(owners, list) or not owners:
        members.wrong("Owners", "The Owners field is required.")
    elif len(owners) > 1:
        members.wrong("Owners", "Owners doesn't support multiple values for the moment")
    elif isinstance(owners[0], str) and owners[0]:
        return owners[0]
    else:
        members.wrong("Owners", "The Owners must be identifiers of users.")
    return ""


def update_wallet(incoming: Incoming, _caller: Caller) -> Answer:
    """Another description or tag; a wallet's currency and owner stay."""
    wallet = yield from load(incoming.arguments["WalletId"])
    if isinstance(wallet, Complaint):
        return wallet
    body = Members(incoming.body)
    description, tag = body.text("Description"), body.tag()
    if body.errors:
        return complaints.parameters(body.errors)
    if wallet["FundsType"] != "DEFAULT":
        return complaints.NO_PERMISSION
    wallet = {
        **wallet,
        "Description": description or wallet["Description"],
        "Tag": tag if tag is not None else wallet["Tag"],
    }
    yield SaveDocument(KIND, wallet["Id"], wallet)
    return Outgoing(body=(yield from shown(wallet)))


def view_wallet(incoming: Incoming, _caller: Caller) -> Answer:
    """A wallet with its balance."""
    wallet = yield from load(incoming.arguments["WalletId"])
    return wallet if isinstance(wallet, Complaint) else Outgoing(body=(yield from shown(wallet)))


def list_wallets(incoming: Incoming, _caller: Caller) -> Answer:
    """A user's wallets."""
    user = yield from users.load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match={"Owner": user["Id"]}), shown))


def list_transactions(incoming: Incoming, _caller: Caller) -> Answer:
    """What moved on a wallet, or was tried."""
    wallet = yield from load(incoming.arguments["WalletId"])
    if isinstance(wallet, Complaint):
        return wallet
    return (yield from transactions(incoming, journal.place("wallet", wallet["Id"])))


def load(identity: str) -> Generator[Ask, Any, Data | Complaint]:
    """A wallet, or the 404 that stands for it. The platform's own are always there."""
    own = _PLATFORM.fullmatch(identity)
    if own is not None:
        return platform_wallet(*own.groups())
    wallet: Data | None = yield LoadDocument(KIND, identity)
    return complaints.not_found("Wallet", identity) if wallet is None else wallet


def named(name: str, identity: str) -> Generator[Ask, Any, Data | Complaint]:
    """The wallet that a member names, or the complaint about that member."""
    wallet = yield from load(identity)
    return complaints.absent(name, "Wallet", identity) if isinstance(wallet, Complaint) else wallet


def platform_wallet(funds: str, currency: str) -> Data:
    """One of the platform's own wallets."""
    return {
        "Id": f"{funds}_{currency}",
        "Owners": [],
        "Owner": None,
        "Description": None,
        "Currency": currency,
        "FundsType": funds,
        "Tag": None,
        "CreationDate": 0,
    }


def shown(wallet: Data) -> Generator[Ask, Any, Data]:
    """A wallet as it stands."""
    balance: int = yield BalanceOf(wallet["Id"], wallet["Currency"])
    seen = {**wallet, "Balance": money(balance, wallet["Currency"])}
    return {name: seen[name] for name in schemas.WALLET["properties"]}


ROUTES: Final = (
    calls.route(
        "POST",
        "/wallets",
        create_wallet,
        "Create a wallet",
        asked=schemas.WALLET_REQUEST,
        answered=schemas.WALLET,
    ),
    calls.route("GET", "/wallets/{WalletId}", view_wallet, "View a wallet", answered=schemas.WALLET),
    calls.route(
        "PUT",
        "/wallets/{WalletId}",
        update_wallet,
        "Update a wallet",
        asked=schemas.WALLET_CHANGE,
        answered=schemas.WALLET,
    ),
    calls.route(
        "GET", "/users/{UserId}/wallets", list_wallets, "List a user's wallets", answered=calls.listed(schemas.WALLET)
    ),
    calls.route(
        "GET",
        "/wallets/{WalletId}/transactions",
        list_transactions,
        "List a wallet's transactions",
        answered=calls.listed(schemas.TRANSACTION),
    ),
)
