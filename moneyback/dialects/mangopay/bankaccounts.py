"""Users' bank accounts, by the country's way to write them; payouts and mandates name them."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any, Final

from moneyback.dialect import Ask, Caller, Incoming, ListDocuments, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import calls, complaints, journal, pages, schemas, users
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.entries import transactions
from moneyback.dialects.mangopay.members import Members

KIND: Final = "bank_account"
RECIPIENT: Final = "recipient"
"""The kind of document that is a recipient; wherever an account is named one may be."""
TYPES: Final = ("IBAN", "GB", "US", "CA", "OTHER")

_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}")
_BIC: Final = re.compile(r"[a-zA-Z]{6}\w{2}(\w{3})?", re.ASCII)
_BAD_BIC: Final = r"The field BIC must match the regular expression '^[a-zA-Z]{6}\w{2}(\w{3})?$'."
_NUMBER: Final = re.compile(r"[0-9]{1,34}")
_FREE: Final = re.compile(r"[A-Za-z0-9 -]{1,34}")

Data = dict[str, Any]


def is_iban(text: str) -> bool:
    """Whether a text is an IBAN: its shape, and its check digits by 97."""
    if not _IBAN.fullmatch(text):
        return False
    moved = text[4:] + text[:4]
    return int("".join(str(int(each, 36)) for each in moved)) % 97 == 1


def _digits(body: Members, name: str, length: int | None = None) -> str | None:
    form = re.compile(f"[0-9]{{{length}}}") if length else _NUMBER
    words = f"The field {name} must be {length or '1 to 34'} digits."
    return body.matching(name, form, words, required=True)


def _numbers(body: Members, kind: str) -> Data:
    """What identifies an account of this type."""
    match kind:
        case "IBAN":
            iban = (body.text("IBAN", required=True, longest=64) or "").replace(" ", "").upper()
            if iban and not is_iban(iban):
                body.wrong("IBAN", "The value is not a valid IBAN")
            return {"IBAN": iban, "BIC": body.matching("BIC", _BIC, _BAD_BIC)}
        case "GB":
            return {"AccountNumber": _digits(body, "AccountNumber", 8), "SortCode": _digits(body, "SortCode", 6)}
        case "US":
            account = body.word("DepositAccountType", ("CHECKING", "SAVINGS"), otherwise="CHECKING")
            return {
                "AccountNumber": _digits(body, "AccountNumber"),
                "ABA": _digits(body, "ABA", 9),
                "DepositAccountType": account,
            }
        case "CA":
            return {
                "BankName": body.text("BankName", required=True),
                "InstitutionNumber": _digits(body, "InstitutionNumber", 3),
                "BranchCode": _digits(body, "BranchCode", 5),
                "AccountNumber": _digits(body, "AccountNumber"),
            }
        case _:
            words = "The field AccountNumber must be 1 to 34 letters and digits."
            return {
                "AccountNumber": body.matching("AccountNumber", _FREE, words, required=True),
                "BIC": body.matching("BIC", _BIC, _BAD_BIC, required=True),
                "Country": body.country("Country", required=True),
            }


def creates(kind: str) -> calls.Handler:
    """The handler that keeps an account of this type."""

    def create_account(incoming: Incoming, _caller: Caller) -> Answer:
        user = yield from users.load(incoming.arguments["UserId"])
        if isinstance(user, Complaint):
            return user
        body = Members(incoming.body)
        stated = {
            "OwnerName": body.text("OwnerName", required=True),
            "OwnerAddress": body.address("OwnerAddress"),
            "Tag": body.tag(),
            **_numbers(body, kind),
        }
        if body.errors:
            return complaints.parameters(body.errors)
        at = yield from calls.now(incoming)
        identity = str((yield NextNumber()))
        created = int(at.timestamp())
        account = {
            **stated,
            "UserId": user["Id"],
            "Type": kind,
            "Id": identity,
            "CreationDate": created,
            "Active": True,
        }
        yield SaveDocument(KIND, identity, account)
        return Outgoing(body=shown(account))

    return create_account


def view_account(incoming: Incoming, _caller: Caller) -> Answer:
    """One account of a user."""
    account = yield from load(incoming)
    return account if isinstance(account, Complaint) else Outgoing(body=shown(account))


def deactivate(incoming: Incoming, _caller: Caller) -> Answer:
    """Put an account out of use, which is for ever."""
    account = yield from load(incoming)
    if isinstance(account, Complaint):
        return account
    body = Members(incoming.body)
    active = body.flag("Active")
    if body.errors:
        return complaints.parameters(body.errors)
    if active is False:
        account = {**account, "Active": False}
        yield SaveDocument(KIND, account["Id"], account)
    return Outgoing(body=shown(account))


def list_accounts(incoming: Incoming, _caller: Caller) -> Answer:
    """A user's accounts; `Active` chooses among them."""
    user = yield from users.load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    wanted = next((value for name, value in reversed(incoming.query) if name.lower() == "active"), "").lower()
    match = {"UserId": user["Id"]} | ({"Active": wanted == "true"} if wanted in ("true", "false") else {})
    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match=match), _listed))


def list_transactions(incoming: Incoming, _caller: Caller) -> Answer:
    """The payouts to an account."""
    identity = incoming.arguments["BankAccountId"]
    if (yield LoadDocument(KIND, identity)) is None and (yield LoadDocument(RECIPIENT, identity)) is None:
        return complaints.not_found("BankAccount", identity)
    return (yield from transactions(incoming, journal.place("bankaccount", identity)))


def usable(identity: str, author: str) -> Generator[Ask, Any, Data | Complaint]:
    """The account or recipient that a payout names: its author's, in use, and meant for payouts."""
    account: Data | None = yield LoadDocument(KIND, identity)
    if account is None:
        account = yield LoadDocument(RECIPIENT, identity)
    if account is None or account["UserId"] != author or account.get("RecipientScope", "PAYOUT") != "PAYOUT":
        return complaints.absent("BankAccountId", "BankAccount", identity)
    active = account["Active"] if "Active" in account else account["Status"] == "ACTIVE"
    return account if active else complaints.param_error(BankAccountId="The bank account is not active")


def load(incoming: Incoming) -> Generator[Ask, Any, Data | Complaint]:
    """The account of the user in the path, or the 404 that stands for it."""
    identity = incoming.arguments["BankAccountId"]
    account: Data | None = yield LoadDocument(KIND, identity)
    if account is None or account["UserId"] != incoming.arguments["UserId"]:
        return complaints.not_found("BankAccount", identity)
    return account


def _listed(account: Data) -> Generator[Ask, Any, Data]:
    yield from ()
    return shown(account)


def shown(account: Data) -> Data:
    """An account as it is printed."""
    return {name: account.get(name) for name in schemas.BANK_ACCOUNTS[account["Type"]]["properties"]}


ROUTES: Final = (
    *(
        calls.route(
            "POST",
            f"/users/{{UserId}}/bankaccounts/{kind.lower()}",
            creates(kind),
            f"Keep a bank account: {kind}",
            asked=schemas.BANK_ACCOUNT_REQUESTS[kind],
            answered=schemas.BANK_ACCOUNTS[kind],
        )
        for kind in TYPES
    ),
    calls.route(
        "GET",
        "/users/{UserId}/bankaccounts",
        list_accounts,
        "List a user's bank accounts",
        answered=calls.listed(schemas.BANK_ACCOUNT),
    ),
    calls.route(
        "GET",
        "/users/{UserId}/bankaccounts/{BankAccountId}",
        view_account,
        "View a bank account",
        answered=schemas.BANK_ACCOUNT,
    ),
    calls.route(
        "PUT",
        "/users/{UserId}/bankaccounts/{BankAccountId}",
        deactivate,
        "Put a bank account out of use",
        asked=schemas.ACTIVE_CHANGE,
        answered=schemas.BANK_ACCOUNT,
    ),
    calls.route(
        "GET",
        "/bankaccounts/{BankAccountId}/transactions",
        list_transactions,
        "List the payouts to a bank account",
        answered=calls.listed(schemas.TRANSACTION),
    ),
)
