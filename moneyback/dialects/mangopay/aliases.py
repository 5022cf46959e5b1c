"""Banking aliases: an account number of a wallet's own, to which money is wired without being announced.

The provider's own API brings no money in by them: banks do. Here a call of ours does
(`POST …/bankingaliases/{BankingAliasId}/payins`), and what comes in is a pay-in by bank wire like any other.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from moneyback.dialect import Ask, Caller, Incoming, ListDocuments, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import bankaccounts, calls, complaints, pages, schemas, statements, wallets
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members, Stated
from moneyback.dialects.mangopay.statements import Made, Payin
from moneyback.dialects.mangopay.transactions import payin_object

KIND: Final = "banking_alias"
COUNTRIES: Final = {"EUR": ("LU", "FR", "ES", "DE"), "GBP": ("GB",)}
"""Where the accounts of a wallet are, by its currency (provider docs: create an IBAN banking alias)."""
LENGTHS: Final = {"LU": 16, "FR": 23, "ES": 20, "DE": 18, "GB": 18}
"""Characters of an account's number without country and check digits."""
BIC: Final = "MPAYFRP1PIN"
_TAKEN: Final = Complaint(
    400, "wallet_banking_alias_already_exists", "There is already a banking alias existing for this wallet"
)

Data = dict[str, Any]


def create_alias(incoming: Incoming, _caller: Caller) -> Answer:
    """Give a wallet an account number: one for all time, even where it is out of use (provider docs)."""
    wallet = yield from wallets.load(incoming.arguments["WalletId"])
    if isinstance(wallet, Complaint):
        return wallet
    body = Members(incoming.body)
    owner, country, tag = body.text("OwnerName", required=True), body.country("Country", required=True), body.tag()
    if body.errors or country is None:
        return complaints.parameters(body.errors)
    wrong = _elsewhere(country, wallet["Currency"])
    if wrong is not None:
        return wrong
    if wallet["FundsType"] != "DEFAULT":
        return complaints.NO_PERMISSION
    if (yield ListDocuments(kind=KIND, match={"WalletId": wallet["Id"]}, limit=1)):
        return _TAKEN
    identity = str((yield NextNumber()))
    alias = {
        "OwnerName": owner,
        **_account(country, identity),
        "CreditedUserId": wallet["Owner"],
        "Country": country,
        "Tag": tag,
        "CreationDate": int((yield from calls.now(incoming)).timestamp()),
        "Active": True,
        "Id": identity,
        "WalletId": wallet["Id"],
        "Currency": wallet["Currency"],
        "VirtualAccountPurpose": "COLLECTION",
    }
    yield SaveDocument(KIND, identity, alias)
    return Outgoing(body=shown(alias))


def _elsewhere(country: str, currency: str) -> Complaint | None:
    if not any(country in each for each in COUNTRIES.values()):
        return complaints.param_error(Country="The requested country is not supported")
    possible = COUNTRIES.get(currency, ())
    if country in possible:
        return None
    words = f"Invalid country {country} for {currency} wallet. Possible value(s): {'/'.join(possible)}."
    return Complaint(400, "country_not_associated_to_wallet_currency", words)


def _account(country: str, identity: str) -> Data:
    """An account number that no other alias has. British ones are told in their own way too."""
    if country != "GB":
        return {"IBAN": iban(country, identity.zfill(LENGTHS[country])), "BIC": BIC, "Type": "IBAN"}
    digits = identity.zfill(14)[-14:]
    local = {"SortCode": digits[:6], "AccountNumber": digits[6:]}
    return {"IBAN": iban(country, f"MPAY{digits}"), "BIC": None, "LocalAccountDetails": local, "Type": "GB"}


def iban(country: str, account: str) -> str:
    """An account's IBAN: its check digits are those that leave 1 by 97 (ISO 13616)."""
    rest = int("".join(str(int(each, 36)) for each in f"{account}{country}00")) % 97
    return f"{country}{98 - rest:02}{account}"


def deactivate(incoming: Incoming, _caller: Caller) -> Answer:
    """Put an alias out of use, which is for ever."""
    alias = yield from _load(incoming)
    if isinstance(alias, Complaint):
        return alias
    body = Members(incoming.body)
    active = body.flag("Active")
    if body.errors:
        return complaints.parameters(body.errors)
    if active is False:
        alias = {**alias, "Active": False}
        yield SaveDocument(KIND, alias["Id"], alias)
    return Outgoing(body=shown(alias))


def view_alias(incoming: Incoming, _caller: Caller) -> Answer:
    """One alias."""
    alias = yield from _load(incoming)
    return alias if isinstance(alias, Complaint) else Outgoing(body=shown(alias))


def list_aliases(incoming: Incoming, _caller: Caller) -> Answer:
    """A wallet's alias, if it has one."""
    wallet = yield from wallets.load(incoming.arguments["WalletId"])
    if isinstance(wallet, Complaint):
        return wallet
    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match={"WalletId": wallet["Id"]}), _listed))


# --- ours: how money comes in by it ----------------------------------------------------------------------------------


def receive_wire(incoming: Incoming, caller: Caller) -> Answer:
    """A wire arrives, all of it: no fees are taken of such pay-ins (provider docs: banking aliases).

    Over a real rail only its provider says what has come in.
    """
    alias = yield from _load(incoming)
    if isinstance(alias, Complaint):
        return alias
    if not str(caller.profile.get("rail", "sandbox")).startswith("sandbox"):
        return complaints.NO_PERMISSION
    body = Members(incoming.body)
    funds, reference = body.money("DebitedFunds", least=1), body.text("WireReference")
    debited = _debited(body)
    if not body.errors and not alias["Active"]:
        body.wrong("Active", "The banking alias is not active")
    if body.errors or funds is None:
        return complaints.parameters(body.errors)
    payin = Payin(
        author=alias["CreditedUserId"],
        credited=alias["CreditedUserId"],
        wallet=alias["WalletId"],
        funds=funds,
        fees=Stated(0, funds.currency),
        tag=None,
        descriptor=None,
    )
    placed = yield from statements.place(payin)
    if isinstance(placed, Complaint):
        return placed
    told = {"BankingAliasId": alias["Id"], "DebitedBankAccount": debited, "WireReference": reference}
    number = str((yield NextNumber()))
    made = Made(identity=number, method="BANK_WIRE", execution="EXTERNAL_INSTRUCTION", shown=told)
    return Outgoing(body=payin_object((yield from statements.register(placed, made))))


def _debited(body: Members) -> Data:
    """The account that paid, as far as it is known."""
    inner = body.within("DebitedBankAccount")
    found: Data = dict.fromkeys(("IBAN", "BIC", "AccountNumber", "Country", "OwnerName"))
    if inner is not None:
        found |= {name: inner.text(name) for name in found}
        if found["IBAN"] is not None and not bankaccounts.is_iban(found["IBAN"]):
            inner.wrong("IBAN", "The value is not a valid IBAN")
    return {**found, "Type": "IBAN" if found["IBAN"] is not None else "OTHER"}


def _load(incoming: Incoming) -> Generator[Ask, Any, Data | Complaint]:
    identity = incoming.arguments["BankingAliasId"]
    alias: Data | None = yield LoadDocument(KIND, identity)
    return complaints.not_found("BankingAlias", identity) if alias is None else alias


def _listed(alias: Data) -> Generator[Ask, Any, Data]:
    yield from ()
    return shown(alias)


def shown(alias: Data) -> Data:
    """An alias as it is printed."""
    return {
        name: alias.get(name)
        for name in schemas.BANKING_ALIAS["properties"]
        if name != "LocalAccountDetails" or name in alias
    }


_OF_WALLET: Final = "/wallets/{WalletId}/bankingaliases"
_ONE: Final = "/bankingaliases/{BankingAliasId}"

ROUTES: Final = (
    calls.route(
        "POST",
        f"{_OF_WALLET}/iban",
        create_alias,
        "Give a wallet an account number",
        asked=schemas.BANKING_ALIAS_REQUEST,
        answered=schemas.BANKING_ALIAS,
    ),
    calls.route(
        "GET",
        _OF_WALLET,
        list_aliases,
        "List a wallet's account numbers",
        answered=calls.listed(schemas.BANKING_ALIAS),
    ),
    calls.route("GET", _ONE, view_alias, "View a banking alias", answered=schemas.BANKING_ALIAS),
    calls.route(
        "PUT",
        _ONE,
        deactivate,
        "Put a banking alias out of use",
        asked=schemas.ACTIVE_CHANGE,
        answered=schemas.BANKING_ALIAS,
    ),
    calls.route(
        "POST",
        f"{_ONE}/payins",
        receive_wire,
        "Ours: let a wire arrive at a banking alias",
        asked=schemas.BANKING_ALIAS_WIRE,
        answered=schemas.PAYIN,
    ),
)
