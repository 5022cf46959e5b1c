"""The refund call: one endpoint that is full refund, partial refund and void."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from moneyback.core.commands import Admitted, Joined
from moneyback.core.payment import Asked, Condition, Payment, condition_reasons
from moneyback.core.refund import Refund
from moneyback.core.refusals import Reason, Refusal
from moneyback.dialect import (
    Ask,
    AskRefund,
    Await,
    Caller,
    Conversation,
    DropDocument,
    FindPayment,
    Incoming,
    Instant,
    NextNumber,
    Outgoing,
    RefundsOf,
    ReleasePayment,
    Route,
    SaveDocument,
    release_of,
)
from moneyback.dialects.maverick.bodies import Wrong, check_terminal, read_body
from moneyback.dialects.maverick.captured import RECORD, Step, apply_capture, take_step
from moneyback.dialects.maverick.objects import is_elsewhere, refund_record, release_reason, release_record
from moneyback.dialects.maverick.parts import Check, Wanted, check_after, check_of, read_wanted
from moneyback.dialects.maverick.references import LENGTH_MAX
from moneyback.dialects.maverick.schemas import RECORD_OR_ERROR, REFUND_BODY
from moneyback.dialects.maverick.server import ENCODINGS, find, refused
from moneyback.dialects.maverick.wire import (
    DECLINED,
    NOT_FOUND,
    RETURN_NOT_ALLOWED,
    SHOWN,
    Complaint,
    Settings,
    Status,
    complaint_of,
    invalid,
    reason_of,
    settings_of,
)

WAIT_S: Final = 20.0
"""How long the refund call waits for the rail. Maverick names no figure; its clients wait 30 seconds and more."""
ABANDONED_AFTER: Final = timedelta(minutes=1)
"""A reversal that was decided and not begun by then never will be by whoever decided it."""


def refund_payment(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payment/{id}/refund: the Return, 422 with the reason of a decline, or an error that admitted nothing."""
    return (yield from _refund(incoming, caller))


def refund_part(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payment/{id}/refund/partial: the same call, of which the amount must be stated."""
    return (yield from _refund(incoming, caller, partial=True))


def _refund(incoming: Incoming, caller: Caller, *, partial: bool = False) -> Conversation:
    """Existence, terminal and type are looked at here; what depends on the payment's moment comes after them."""
    settings = settings_of(caller)
    try:
        body = read_body(incoming.body)
        found = yield from find(incoming.arguments["id"])
        if found is None:
            return refused(NOT_FOUND, settings)
        check_terminal(body, found.terminal, settings)
    except Wrong as wrong:
        return refused(wrong.complaint, settings)
    if found.child is not None or found.payment is None:
        return refused(RETURN_NOT_ALLOWED, settings)  # a child is not resolved to its original
    wanted = _wanted(body, found.payment.currency, partial)
    return (yield from _give_back(found.payment, wanted, _distinct(body), settings))


def _wanted(body: Mapping[str, Any], code: str, partial: bool) -> Wanted | Complaint:
    try:
        wanted = read_wanted(body, code)
    except Wrong as wrong:
        return wrong.complaint
    return invalid("Amount cannot be blank.") if partial and wanted.amount is None else wanted


def _give_back(payment: Payment, wanted: Wanted | Complaint, distinct: str | None, settings: Settings) -> Conversation:
    """Refund what was captured, or release what was not; again from the start when the payment has moved on."""
    while True:
        if isinstance(wanted, Complaint):  # the state of the payment is complained of before its amount
            return refused(RETURN_NOT_ALLOWED if _is_closed(payment) else wanted, settings)
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
            return refused(complaint_of(result, payment), settings)
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
        return refused(invalid(reason_of(refund) or DECLINED), settings)
    return Outgoing(body=refund_record(refund, payment))


def _distinct(body: Mapping[str, Any]) -> str | None:
    """Requests with different externalIds are different requests, wherever equal ones are one refund."""
    stated = body.get("externalId")
    return stated if isinstance(stated, str) and 0 < len(stated) <= LENGTH_MAX else None


# --- an Auth that was not captured -----------------------------------------------------------------------------------


def _release(payment: Payment, wanted: Wanted, settings: Settings) -> Generator[Ask, Any, Outgoing | None]:
    """Reverse the authorisation as a whole: there is no part of it to give back. None: it was captured meanwhile."""
    if _has_release(payment) or wanted.amount not in (None, payment.authorized):
        return refused(RETURN_NOT_ALLOWED, settings)
    now: datetime = yield Instant()
    if is_elsewhere(payment):  # which of a capture and a reversal comes first is decided there
        return (yield from _let_go(payment, Step(what="release", id=str((yield NextNumber())), at=now), settings))
    ours = Step(what="release", id=str((yield NextNumber())), at=now)
    step = yield from take_step(payment, ours)
    if step.what == "capture":
        yield from apply_capture(payment, step)
        return None
    if step.id != ours.id and now < step.at + ABANDONED_AFTER:
        return refused(RETURN_NOT_ALLOWED, settings)
    return (yield from _let_go(payment, step, settings))


def _let_go(payment: Payment, step: Step, settings: Settings) -> Generator[Ask, Any, Outgoing | None]:
    # First the way from the id to its payment: an id that was given out must never be one that cannot be read.
    at = step.at.isoformat()
    way = SaveDocument(RECORD, step.id, {"id": step.id, "type": "Return", "at": at, "payment": payment.dialect_id})
    if not is_elsewhere(payment):
        yield way
    result = yield ReleasePayment(payment=payment, dialect_id=step.id, seconds=WAIT_S)
    if isinstance(result, Refusal):
        current: Payment = yield FindPayment(payment.dialect_id)
        release = release_of(current)
        if release is None or release.dialect_id != step.id:
            yield DropDocument(RECORD, step.id)
        return None if current.condition is Condition.CAPTURED else refused(RETURN_NOT_ALLOWED, settings)
    if is_elsewhere(payment):  # not before it is known that the reversal is ours to make
        yield way
    release = release_of(result)
    assert release is not None, "a release that was admitted is kept on its payment"
    if SHOWN[release.state] is Status.DECLINED and settings.decline_mode == 422:
        return refused(invalid(release_reason(release) or DECLINED), settings)
    return Outgoing(body=release_record(release, result))


def _has_release(payment: Payment) -> bool:
    release = release_of(payment)
    return release is not None and SHOWN[release.state] is not Status.DECLINED


# --- routes ----------------------------------------------------------------------------------------------------------

ROUTES: Final = (
    Route(
        method="POST",
        path="/payment/{id}/refund",
        handle=refund_payment,
        kind="guarded",
        accepts=ENCODINGS,
        summary="Refund a captured transaction, or void an authorisation",
        request_schema=REFUND_BODY,
        response_schema=RECORD_OR_ERROR,
    ),
    Route(
        method="POST",
        path="/payment/{id}/refund/partial",
        handle=refund_part,
        kind="guarded",
        accepts=ENCODINGS,
        summary="Refund a part of a transaction; the amount is required",
        request_schema={**REFUND_BODY, "required": ["terminal", "amount"]},
        response_schema=RECORD_OR_ERROR,
    ),
)
