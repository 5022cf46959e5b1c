"""Mandates: a payer's leave to collect from a bank account, given on a page."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from moneyback.dialect import Ask, Caller, Incoming, ListDocuments, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import bankaccounts, calls, complaints, journal, pages, redirects, schemas, users
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.entries import transactions
from moneyback.dialects.mangopay.members import Members

KIND: Final = "mandate"
IN_FORCE: Final = ("SUBMITTED", "ACTIVE")
SCHEMES: Final = {"IBAN": "SEPA", "GB": "BACS"}
CANCELLED: Final = "001806"
_UNCANCELLABLE: Final = Complaint(
    400, "mandate_cannot_be_cancelled", "The Status of this mandate does not allow it to be cancelled"
)
"""Only what is in force is cancelled (provider docs: cancel a mandate)."""

Data = dict[str, Any]


def create_mandate(incoming: Incoming, caller: Caller) -> Answer:
    """A mandate that waits until the payer has confirmed it."""
    body = Members(incoming.body)
    account_id, returning = body.identity("BankAccountId"), body.url("ReturnURL", required=True)
    culture, tag = body.text("Culture", required=True, longest=5), body.tag()
    if body.errors:
        return complaints.parameters(body.errors)
    account: Data | None = yield LoadDocument(bankaccounts.KIND, account_id)
    if account is None or account["Type"] not in SCHEMES:
        return complaints.absent("BankAccountId", "BankAccount", account_id)
    at = yield from calls.now(incoming)
    identity = str((yield NextNumber()))
    mandate = {
        "Id": identity,
        "BankAccountId": account_id,
        "UserId": account["UserId"],
        "Culture": culture,
        "Tag": tag,
        "ReturnURL": redirects.returning(returning, "MandateId", identity),
        "RedirectURL": (yield from redirects.page_url(incoming, caller, identity)),
        "DocumentURL": None,
        "CreationDate": int(at.timestamp()),
        "Status": "CREATED",
        "ExecutionType": "WEB",
        "MandateType": "DIRECT_DEBIT",
        "AccountScheme": SCHEMES[account["Type"]],
    }
    yield SaveDocument(KIND, identity, mandate)
    yield from journal.announce("MANDATE_CREATED", identity, at)
    return Outgoing(body=shown(mandate))


def decide(incoming: Incoming, mandate: Data, confirmed: bool) -> Generator[Ask, Any, Data]:
    """What the payer said on the page."""
    at = yield from calls.now(incoming)
    if confirmed:
        scheme = mandate["AccountScheme"]
        reference = f"MP{mandate['Id']}"
        changed = {"Status": "ACTIVE", "Scheme": scheme, "BankReference": reference}
        events: tuple[str, ...] = ("MANDATE_SUBMITTED", "MANDATE_ACTIVATED")
        ended = {"ResultCode": "000000", "ResultMessage": "Success"}
    else:
        changed, events = {"Status": "FAILED"}, ("MANDATE_FAILED",)
        ended = {"ResultCode": "101002", "ResultMessage": "The transaction has been cancelled by the user"}
    mandate = {**mandate, **changed, **ended, "RedirectURL": None}
    yield SaveDocument(KIND, mandate["Id"], mandate)
    for event in events:
        yield from journal.announce(event, mandate["Id"], at)
    return mandate


def view_mandate(incoming: Incoming, _caller: Caller) -> Answer:
    """A mandate as it stands."""
    mandate = yield from load(incoming.arguments["MandateId"])
    return mandate if isinstance(mandate, Complaint) else Outgoing(body=shown(mandate))


def cancel_mandate(incoming: Incoming, _caller: Caller) -> Answer:
    """End a mandate that is in force."""
    mandate = yield from load(incoming.arguments["MandateId"])
    if isinstance(mandate, Complaint):
        return mandate
    if mandate["Status"] not in IN_FORCE:
        return _UNCANCELLABLE
    changed = {
        "Status": "FAILED",
        "ResultCode": CANCELLED,
        "ResultMessage": "The client has cancelled the mandate",
    }
    mandate = {**mandate, **changed}
    yield SaveDocument(KIND, mandate["Id"], mandate)
    yield from journal.announce("MANDATE_FAILED", mandate["Id"], (yield from calls.now(incoming)))
    return Outgoing(body=shown(mandate))


def list_mandates(incoming: Incoming, _caller: Caller) -> Answer:
    """All mandates."""
    return (yield from pages.shown(incoming, ListDocuments(kind=KIND), _listed))


def list_of_user(incoming: Incoming, _caller: Caller) -> Answer:
    """A user's mandates, of one account where the path names one."""
    user = yield from users.load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    match = {"UserId": user["Id"]}
    if "BankAccountId" in incoming.arguments:
        account = yield from bankaccounts.load(incoming)
        if isinstance(account, Complaint):
            return account
        match["BankAccountId"] = account["Id"]
    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match=match), _listed))


def list_transactions(incoming: Incoming, _caller: Caller) -> Answer:
    """What was collected by a mandate, and given back."""
    mandate = yield from load(incoming.arguments["MandateId"])
    if isinstance(mandate, Complaint):
        return mandate
    return (yield from transactions(incoming, journal.place("mandate", mandate["Id"])))


def load(identity: str) -> Generator[Ask, Any, Data | Complaint]:
    """A mandate, or the 404 that stands for it."""
    mandate: Data | None = yield LoadDocument(KIND, identity)
    return complaints.not_found("Mandate", identity) if mandate is None else mandate


def _listed(mandate: Data) -> Generator[Ask, Any, Data]:
    yield from ()
    return shown(mandate)


def shown(mandate: Data) -> Data:
    """A mandate as it is printed."""
    return {name: mandate.get(name) for name in schemas.MANDATE["properties"]}


ROUTES: Final = (
    calls.route(
        "POST",
        "/mandates/directdebit/web",
        create_mandate,
        "Create a mandate",
        asked=schemas.MANDATE_REQUEST,
        answered=schemas.MANDATE,
    ),
    calls.route("GET", "/mandates", list_mandates, "List mandates", answered=calls.listed(schemas.MANDATE)),
    calls.route("GET", "/mandates/{MandateId}", view_mandate, "View a mandate", answered=schemas.MANDATE),
    calls.route("PUT", "/mandates/{MandateId}/cancel", cancel_mandate, "Cancel a mandate", answered=schemas.MANDATE),
    calls.route(
        "GET",
        "/mandates/{MandateId}/transactions",
        list_transactions,
        "List a mandate's transactions",
        answered=calls.listed(schemas.TRANSACTION),
    ),
    calls.route(
        "GET",
        "/users/{UserId}/mandates",
        list_of_user,
        "List a user's mandates",
        answered=calls.listed(schemas.MANDATE),
    ),
    calls.route(
        "GET",
        "/users/{UserId}/bankaccounts/{BankAccountId}/mandates",
        list_of_user,
        "List a bank account's mandates",
        answered=calls.listed(schemas.MANDATE),
    ),
)
