"""What a payer decides: on the page a pay-in, a mandate or an enrolment sends them to, or by a call of ours in tests.

Pages and calls are for the sandbox. Where money would come in over a real rail, only its provider says how it ended.
"""

from __future__ import annotations

from collections.abc import Generator
from html import escape
from typing import Any, Final
from urllib.parse import quote

from moneyback.core.commands import Sighting
from moneyback.core.payment import Condition, Payment
from moneyback.dialect import Ask, Caller, FindPayment, Incoming, LoadDocument, Outgoing, SaveDocument, SeePayment
from moneyback.dialects.mangopay import (
    calls,
    complaints,
    deposits,
    journal,
    mandates,
    payins,
    preauthorizations,
    recipients,
    redirects,
    schemas,
    users,
)
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members
from moneyback.dialects.mangopay.transactions import LEFT_BY_PAYER, NOT_AUTHENTICATED, payin_object

_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title></head>
<body><main><h1>{title}</h1>{content}</main></body>
</html>
"""
_FORM: Final = (
    '<form method="post"><button name="outcome" value="confirm">Confirm</button> '
    '<button name="outcome" value="decline">Decline</button></form>'
)
_IN_URLS: Final = "%/:=&?~#+!$,;'@()*[]"
_HEADERS: Final = {"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store"}

Data = dict[str, Any]


def end_payin(payment: Payment, paid: bool) -> Generator[Ask, Any, Payment]:
    """A pay-in that waited comes in, or does not."""
    shown = {**(payment.document.get("Shown") or {})}
    asked = shown.get("SecureModeRedirectURL")
    document: Data = {"Shown": {**shown, "SecureModeRedirectURL": None} if asked else shown}
    if paid:
        seen = Sighting(kind="captured", amount=payment.authorized, reference=payment.dialect_id)
    else:
        seen = Sighting(kind="failed", amount=0, reference=payment.dialect_id)
        document["ResultCode"] = NOT_AUTHENTICATED if asked else LEFT_BY_PAYER
    ended: Payment = yield SeePayment(payment=payment, sighting=seen, document=document)
    yield from journal.settle(ended)
    return ended


def decide_payin(incoming: Incoming, _caller: Caller) -> Answer:
    """Ours: what a payer would do, said by a test."""
    payment = yield from payins.load(incoming.arguments["PayInId"])
    if isinstance(payment, Complaint):
        return payment
    body = Members(incoming.body)
    status = body.word("Status", ("SUCCEEDED", "FAILED"), required=True)
    if not body.errors and not _open(payment):
        body.wrong("Status", "The PayIn does not wait for its payer")
    if body.errors:
        return complaints.parameters(body.errors)
    return Outgoing(body=payin_object((yield from end_payin(payment, status == "SUCCEEDED"))))


def _open(payment: Payment) -> bool:
    return payment.condition is Condition.PROCESSING and payment.rail.startswith("sandbox")


# --- the page --------------------------------------------------------------------------------------------------------


def show_page(incoming: Incoming, _caller: Caller) -> Answer:
    """Two buttons, while there is something to decide."""
    waiting = yield from _waiting(incoming)
    if waiting is None:
        return _page("Nothing is waiting here", "<p>This was decided before, or never asked.</p>")
    kind, held = waiting
    return _page(f"{kind} {escape(_identity(held))}", _FORM)


def decide_page(incoming: Incoming, _caller: Caller) -> Answer:
    """What was pressed; the browser goes back to the client's address."""
    body = incoming.body if isinstance(incoming.body, dict) else {}
    outcome = body.get("outcome")
    if outcome not in ("confirm", "decline"):
        return complaints.param_error(outcome="The outcome is confirm or decline")
    waiting = yield from _waiting(incoming)
    if waiting is None:
        return _page("Nothing is waiting here", "<p>This was decided before, or never asked.</p>")
    back = yield from _decided(incoming, *waiting, outcome == "confirm")
    if back is None:
        return _page("Thank you", "<p>You may close this page.</p>")
    return Outgoing(status=303, headers={"Location": quote(back, safe=_IN_URLS), **_HEADERS})


def _waiting(incoming: Incoming) -> Generator[Ask, Any, tuple[str, Payment | Data] | None]:
    identity = yield from redirects.opened(incoming)
    if identity is None:
        return None
    payment: Payment | None = yield FindPayment(identity)
    if payment is not None:
        return ("Payment", payment) if _open(payment) else None
    for kind, name in (
        (mandates.KIND, "Mandate"),
        (preauthorizations.KIND, "Preauthorization"),
        (deposits.KIND, "Extended preauthorization"),
        (recipients.KIND, "Recipient"),
        (users.KIND, "Enrolment of user"),
    ):
        held: Data | None = yield LoadDocument(kind, identity)
        if held is not None and (kind == users.KIND or held["Status"] in ("CREATED", "PENDING")):
            return name, held
    return None


def _identity(held: Payment | Data) -> str:
    return held.dialect_id if isinstance(held, Payment) else str(held["Id"])


def _decided(incoming: Incoming, kind: str, held: Payment | Data, confirmed: bool) -> Generator[Ask, Any, str | None]:
    """Where the payer goes back to, once their word has had its effect."""
    if isinstance(held, Payment):
        shown = (yield from end_payin(held, confirmed)).document.get("Shown") or {}
        cancelled = None if confirmed else shown.get("CancelURL")
        return cancelled or shown.get("ReturnURL") or shown.get("SecureModeReturnURL")
    if kind == "Mandate":
        return (yield from mandates.decide(incoming, held, confirmed)).get("ReturnURL")
    if kind == "Preauthorization":
        return (yield from preauthorizations.decide(incoming, held, confirmed)).get("SecureModeReturnURL")
    if kind == "Extended preauthorization":
        return (yield from deposits.decide(incoming, held, confirmed)).get("SecureModeReturnURL")
    if kind == "Recipient":
        yield from recipients.decide(incoming, held, confirmed)
    elif confirmed:
        at = int((yield from calls.now(incoming)).timestamp())
        changed = {"UserStatus": "ACTIVE", "PendingUserAction": None, "EnrolledAt": at}
        if held["UserStatus"] == "CLOSED":
            changed = {}
        yield SaveDocument(users.KIND, held["Id"], {**held, **changed})
        if changed and held["UserStatus"] == "PENDING_USER_ACTION":
            yield from journal.announce("USER_ACCOUNT_ACTIVATED", held["Id"], (yield from calls.now(incoming)))
    back = next((value for name, value in incoming.query if name.lower() == "returnurl"), None)
    return back if back is not None and back.startswith(("https://", "http://")) else None


def _page(title: str, content: str) -> Outgoing:
    text = _PAGE.format(title=title, content=content)
    return Outgoing(body=text.encode(), media_type="text/html; charset=utf-8", headers=_HEADERS)


ROUTES: Final = (
    calls.route(
        "POST",
        "/payins/{PayInId}/outcome",
        decide_payin,
        "Ours: let a pay-in that waits succeed or fail",
        asked=schemas.PAYIN_OUTCOME,
        answered=schemas.PAYIN,
    ),
    calls.route(
        "GET",
        redirects.PATH,
        show_page,
        "The page a payer is sent to",
        answered={"type": "string"},
        public=True,
    ),
    calls.route(
        "POST",
        redirects.PATH,
        decide_page,
        "What a payer decides there",
        asked=schemas.PAGE_OUTCOME,
        answered={"type": "string"},
        keyed=False,
        public=True,
        accepts=("form", "multipart", "json"),
    ),
)
