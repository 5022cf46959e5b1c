"""Maverick as we serve it: the refund call and the reading of records, with their errors, faults and credentials."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

import msgspec

from moneyback.core.commands import Admitted, Joined
from moneyback.core.payment import Asked, Condition, Payment, condition_reasons
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.dialect import (
    Ask,
    AskRefund,
    Await,
    Caller,
    Conversation,
    Fault,
    FindPayment,
    FindRefund,
    Incoming,
    Instant,
    LoadDocument,
    NextNumber,
    Outgoing,
    PaymentOf,
    Presented,
    RefundsOf,
    Release,
    ReleasePayment,
    Route,
    SaveDocument,
    release_of,
)
from moneyback.dialects.maverick.objects import original, refund_record, release_reason, release_record, terminal_of
from moneyback.dialects.maverick.parts import Check, check_after, check_of
from moneyback.dialects.maverick.schemas import ERROR, RECORD, REFUND_BODY
from moneyback.dialects.maverick.wire import (
    DECLINED,
    NOT_FOUND,
    RETURN_NOT_ALLOWED,
    SHOWN,
    Complaint,
    Settings,
    Status,
    Wanted,
    complaint_of,
    envelope,
    read_body,
    read_wanted,
    reason_of,
    settings_of,
    terminal_complaint,
)

WAIT_S: Final = 20.0
"""How long the refund call waits for the rail. Maverick names no figure; its clients wait 30 seconds and more."""
RELEASES: Final = "release"
"""The kind of document that finds the payment of a release by the release's own id."""
EXTERNAL_ID_LENGTH_MAX: Final = 64

# --- the refund call -------------------------------------------------------------------------------------------------


def refund_payment(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payment/{id}/refund: the Return, 422 with the reason of a decline, or an error that admitted nothing."""
    return (yield from _refund(incoming, caller))


def refund_part(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payment/{id}/refund/partial: the same call, of which the amount must be stated."""
    return (yield from _refund(incoming, caller, partial=True))


def _refund(incoming: Incoming, caller: Caller, *, partial: bool = False) -> Conversation:
    """Existence, terminal and type are looked at here; what depends on the payment's moment comes after them."""
    body = read_body(incoming.body)
    if isinstance(body, Complaint):
        return _refused(body)
    found = yield from _find(incoming.arguments["id"])
    if found is None:
        return _refused(NOT_FOUND)
    settings = settings_of(caller)
    wrong_terminal = terminal_complaint(body, terminal_of(found.payment), settings)
    if wrong_terminal is not None:
        return _refused(wrong_terminal)
    if found.child is not None:  # only the original can be refunded, and a child is not resolved to it
        return _refused(RETURN_NOT_ALLOWED)
    wanted = read_wanted(body, found.payment.currency)
    if partial and isinstance(wanted, Wanted) and wanted.amount is None:
        wanted = Complaint(422, "Amount cannot be blank.")
    return (yield from _give_back(found.payment, wanted, _distinct(body), settings))


def _give_back(payment: Payment, wanted: Wanted | Complaint, distinct: str | None, settings: Settings) -> Conversation:
    """Refund what was captured, or release what was not; again from the start when the payment has moved on."""
    while True:
        if isinstance(wanted, Complaint):  # the state of the payment is complained of before its amount
            return _refused(RETURN_NOT_ALLOWED if _is_closed(payment) else wanted)
        if payment.condition is Condition.AUTHORIZED:
            said = yield from _release(payment, wanted, settings)
        else:
            said = yield from _return(payment, wanted, distinct, settings)
        if said is not None:
            return said
        payment = yield FindPayment(payment.dialect_id)


def _is_closed(payment: Payment) -> bool:
    if payment.condition is Condition.AUTHORIZED:
        return _has_release(payment)
    return bool(condition_reasons(payment)) or not payment.refundable


def _return(
    payment: Payment, wanted: Wanted, distinct: str | None, settings: Settings
) -> Generator[Ask, Any, Outgoing | None]:
    """Ask for a refund and wait for it. None: the payment changed between our look and the lock."""
    check = yield from _check(payment, wanted, settings)
    result = yield AskRefund(
        payment=payment,
        asked=Asked(payer=wanted.amount),
        request=msgspec.to_builtins(wanted),
        distinct=distinct,
        check=check,
    )
    match result:
        case Refusal() if result.first.reason is Reason.PAYMENT_MOVED_ON:
            return None
        case Refusal():
            return _refused(complaint_of(result, payment))
        case Admitted(refund=refund, payment=payment, refusal=Refusal()):
            return _answer(refund, payment, settings)
        case Admitted(refund=refund) | Joined(refund=refund):
            refund, payment = yield Await(refund, WAIT_S)
            return _answer(refund, payment, settings)
        case _:
            raise AssertionError(f"a refund without a key cannot end as {result!r}")


def _check(payment: Payment, wanted: Wanted, settings: Settings) -> Generator[Ask, Any, Check]:
    """The dialect's rules for this request; earlier refunds are read only where a rule looks at them."""
    window = timedelta(seconds=settings.duplicate_window_s)
    if not wanted.split and not window:
        return check_of(wanted)
    before: tuple[Refund, ...] = yield RefundsOf(payment.id)
    now = yield Instant()
    return check_after(wanted, payment, before, now, window)


def _answer(refund: Refund, payment: Payment, settings: Settings) -> Outgoing:
    if SHOWN[refund.state] is Status.DECLINED and settings.decline_mode == 422:
        return _refused(Complaint(422, reason_of(refund) or DECLINED))
    return Outgoing(body=refund_record(refund, payment))


def _distinct(body: Mapping[str, Any]) -> str | None:
    """Requests with different externalIds are different requests, wherever equal ones are one refund."""
    stated = body.get("externalId")
    return stated if isinstance(stated, str) and 0 < len(stated) <= EXTERNAL_ID_LENGTH_MAX else None


# --- an Auth that was not captured -----------------------------------------------------------------------------------


def _release(payment: Payment, wanted: Wanted, settings: Settings) -> Generator[Ask, Any, Outgoing | None]:
    """Reverse the authorisation as a whole: there is no part of it to give back. None: it was captured meanwhile."""
    if _has_release(payment) or wanted.amount not in (None, payment.authorized):
        return _refused(RETURN_NOT_ALLOWED)
    number = str((yield NextNumber()))
    # First the way from the id to its payment: an id that was given out must never be one that cannot be read.
    yield SaveDocument(RELEASES, number, {"payment": payment.dialect_id})
    result = yield ReleasePayment(payment=payment, dialect_id=number, seconds=WAIT_S)
    if isinstance(result, Refusal):
        current: Payment = yield FindPayment(payment.dialect_id)
        return None if current.condition is Condition.CAPTURED else _refused(RETURN_NOT_ALLOWED)
    release = release_of(result)
    assert release is not None, "a release that was admitted is kept on its payment"
    if SHOWN[release.state] is Status.DECLINED and settings.decline_mode == 422:
        return _refused(Complaint(422, release_reason(release) or DECLINED))
    return Outgoing(body=release_record(release, result))


def _has_release(payment: Payment) -> bool:
    release = release_of(payment)
    return release is not None and SHOWN[release.state] is not Status.DECLINED


# --- reading ---------------------------------------------------------------------------------------------------------


class _Found(msgspec.Struct, frozen=True):
    """What an id names: the payment itself, or a child of it."""

    payment: Payment
    child: Refund | Release | None = None


def read_payment(incoming: Incoming, _caller: Caller) -> Conversation:
    """GET /payment/{id}: the record of an original, of a refund, or of a release."""
    found = yield from _find(incoming.arguments["id"])
    if found is None:
        return _refused(NOT_FOUND)
    match found.child:
        case Refund() as refund:
            return Outgoing(body=refund_record(refund, found.payment))
        case Release() as release:
            return Outgoing(body=release_record(release, found.payment))
        case None:
            refunds: tuple[Refund, ...] = yield RefundsOf(found.payment.id)
            return Outgoing(body=original(found.payment, refunds))


def _find(number: str) -> Generator[Ask, Any, _Found | None]:
    payment: Payment | None = yield FindPayment(number)
    if payment is not None:
        return _Found(payment)
    refund: Refund | None = yield FindRefund(number)
    if refund is not None:
        return _Found((yield PaymentOf(refund.payment)), refund)
    kept = yield LoadDocument(RELEASES, number)
    payment = (yield FindPayment(kept["payment"])) if kept is not None else None
    if payment is None:
        return None
    return _found_release(payment, number)


def _found_release(payment: Payment, number: str) -> _Found | None:
    """A payment keeps its latest release only. An earlier one failed, or there would have been no later one."""
    release = release_of(payment)
    if release is None:
        return None
    if release.dialect_id == number:
        return _Found(payment, release)
    return _Found(payment, Release(dialect_id=number, state=State.FAILED, at=release.at))


# --- errors ----------------------------------------------------------------------------------------------------------


def _refused(complaint: Complaint) -> Outgoing:
    return Outgoing(status=complaint.status, body=envelope(complaint))


_FAULTS: Final[Mapping[Fault, Complaint]] = MappingProxyType(
    {
        Fault.UNAUTHENTICATED: Complaint(401, "Your request was made with invalid credentials."),
        Fault.FORBIDDEN: Complaint(403, "You are not allowed to perform this action."),
        Fault.NOT_FOUND: Complaint(404, "Page not found."),
        Fault.METHOD_NOT_ALLOWED: Complaint(405, "This method is not allowed here."),
        Fault.BAD_BODY: Complaint(400, "The request body cannot be read."),
        Fault.TOO_LARGE: Complaint(413, "The request body is too large."),
        Fault.UNAVAILABLE: Complaint(503, "Nothing was done. Please try again later."),
        Fault.INTERNAL: Complaint(500, "An internal error occurred."),
    }
)


def fault(kind: Fault, _incoming: Incoming | None) -> Outgoing:
    """What a mount meets before or instead of a handler, in Maverick's error form."""
    said = _refused(_FAULTS[kind])
    match kind:
        case Fault.UNAUTHENTICATED:
            return msgspec.structs.replace(said, headers={"WWW-Authenticate": 'Bearer realm="api"'})
        case Fault.UNAVAILABLE:
            return msgspec.structs.replace(said, headers={"Retry-After": "1"})
        case _:
            return said


def presented(incoming: Incoming) -> Presented | None:
    """The token of `Authorization: Bearer <token>`, whatever the capitals of its scheme and the spaces around it."""
    scheme, _, token = incoming.headers.get("authorization", "").strip().partition(" ")
    return Presented(token.strip()) if scheme.lower() == "bearer" and token.strip() else None


# --- routes ----------------------------------------------------------------------------------------------------------

_ENCODINGS: Final = ("json", "form", "multipart")
_ANSWER: Final = {"anyOf": [RECORD, ERROR]}

ROUTES: Final = (
    Route(
        method="POST",
        path="/payment/{id}/refund",
        handle=refund_payment,
        kind="guarded",
        accepts=_ENCODINGS,
        summary="Refund a captured transaction, or void an authorisation",
        request_schema=REFUND_BODY,
        response_schema=_ANSWER,
    ),
    Route(
        method="POST",
        path="/payment/{id}/refund/partial",
        handle=refund_part,
        kind="guarded",
        accepts=_ENCODINGS,
        summary="Refund a part of a transaction; the amount is required",
        request_schema={**REFUND_BODY, "required": ["terminal", "amount"]},
        response_schema=_ANSWER,
    ),
    Route(
        method="GET",
        path="/payment/{id}",
        handle=read_payment,
        summary="Retrieve a transaction or a refund",
        response_schema=_ANSWER,
    ),
)
