"""The refund call: a Payment, a Purchase in pending_refund, or 400 with CHIP's error."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, assert_never

from moneyback.core.commands import Admitted, Joined
from moneyback.core.payment import Asked, Payment
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.dialect import (
    Ask,
    AskRefund,
    Await,
    Caller,
    Conversation,
    Incoming,
    Instant,
    NewId,
    Outgoing,
    RefundsOf,
)
from moneyback.dialects.chip.fields import refused
from moneyback.dialects.chip.mirror import mirrored, mirrored_refund
from moneyback.dialects.chip.objects import WAIT_S, Viewer
from moneyback.dialects.chip.purchases import IN_FRONT, NOT_FOUND, NOT_FOUND_COMPLAINT, find
from moneyback.dialects.chip.standing import status
from moneyback.dialects.chip.telling import announce_pending
from moneyback.dialects.chip.wire import (
    ALL,
    SHOWN,
    TOO_SMALL,
    WORDS,
    Complaint,
    Shown,
    Status,
    Word,
    attempt_error,
    not_possible,
    read_amount,
    too_large,
    wrong_status,
)

_UNSENT_OR_SENDING: Final = (State.READY, State.SENDING)


def refund_purchase(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /purchases/{id}/refund/: a Payment, a Purchase in pending_refund, or 400 with CHIP's error."""
    payment = yield from find(incoming)
    if payment is None:
        return NOT_FOUND
    amount = read_amount(incoming.body)
    if isinstance(amount, Complaint):
        return refused(amount)
    fresh = yield NewId()
    ask = AskRefund(payment=payment, asked=Asked(payer=amount), request={"amount": amount}, dialect_id=str(fresh))
    result = yield ask
    wait_s = WAIT_S
    if isinstance(result, Refusal) and result.first.reason is Reason.ONE_AT_A_TIME:
        result, wait_s = yield from _in_turn(ask)
    match result:
        case Refusal():
            return refused(complaint(result, payment))
        case Admitted(refund=refund, refusal=Refusal()):
            return _processing_error(refund)
        case Admitted(refund=refund) | Joined(refund=refund):
            refund, payment = yield Await(refund, wait_s)
            return (yield from _answer(refund, payment, Viewer(caller=caller, base=incoming.base)))
        case _:
            raise AssertionError(f"a refund without a key cannot end as {result!r}")


def _in_turn(ask: AskRefund) -> Generator[Ask, Any, tuple[Any, float]]:
    """Wait for the refund before us as long as its own client still waits for it, then ask again.

    CHIP serialises the refunds of one Purchase: until the first is answered, nobody has seen `pending_refund`, so that
    is no reason to refuse the second. Returns the result and the seconds left of the one wait that all share.
    """
    began = yield Instant()
    left_s = WAIT_S
    while True:
        refunds: tuple[Refund, ...] = yield RefundsOf(ask.payment.id)
        before = next((each for each in refunds if each.state in _UNSENT_OR_SENDING), None)
        over = before is None and not all(each.ended for each in refunds)  # else another's turn came before ours
        if before is not None:
            before, _ = yield Await(before, left_s)
            over = before.state in _UNSENT_OR_SENDING
        result = yield ask
        now = yield Instant()
        left_s = max(0.0, WAIT_S - (now - began).total_seconds())
        waits = isinstance(result, Refusal) and result.first.reason is Reason.ONE_AT_A_TIME
        if not waits or over or not left_s:
            return result, left_s


def _answer(refund: Refund, payment: Payment, viewer: Viewer) -> Conversation:
    match SHOWN[refund.state]:
        case Shown.PAYMENT:
            return Outgoing(body=mirrored_refund(refund, payment, viewer))
        case Shown.PENDING:
            refunds: tuple[Refund, ...] = yield RefundsOf(payment.id)
            # One moment for all of it: the refund and the payment as they stood when the wait ended.
            as_awaited = tuple(refund if each.id == refund.id else each for each in refunds)
            if refund.state in _UNSENT_OR_SENDING and not _told_there(payment, viewer.caller):
                yield from announce_pending(refund, payment, as_awaited)
            return Outgoing(body=mirrored(payment, as_awaited, viewer))
        case Shown.ERROR:
            return _processing_error(refund)
        case unexpected:
            assert_never(unexpected)


def _told_there(payment: Payment, caller: Caller) -> bool:
    """Whether CHIP itself tells of it."""
    return IN_FRONT in caller.profile or payment.account.partition(":")[0] == "chip"


def complaint(refusal: Refusal, payment: Payment) -> Complaint:
    """The first reason of a refusal in CHIP's words."""
    reason = refusal.first.reason
    match WORDS[reason]:
        case Word.NOT_FOUND:
            return NOT_FOUND_COMPLAINT
        case Word.MIN_VALUE:
            return TOO_SMALL
        case Word.MAX_VALUE:
            limit = refusal.first.figures.get("refundable", payment.refundable)
            return too_large(limit if isinstance(limit, int) else payment.refundable)
        case Word.WRONG_STATUS:
            return wrong_status(_status_against(reason, payment))
        case Word.NOT_POSSIBLE:
            taken_back = reason is Reason.NOTHING_LEFT and status(payment) is Status.CHARGEBACK
            return wrong_status(Status.CHARGEBACK) if taken_back else not_possible(reason)
        case Word.PROCESSING:
            return Complaint(ALL, Word.PROCESSING.value, f"The refund was refused: {reason.value.replace('_', ' ')}.")
        case unexpected:
            assert_never(unexpected)


def _status_against(reason: Reason, payment: Payment) -> Status:
    """The status that stands in the way, which may be newer than the payment that was read before the lock."""
    match reason:
        case Reason.ONE_AT_A_TIME:
            return Status.PENDING_REFUND
        case Reason.PAYMENT_DISPUTED:
            return Status.CHARGEBACK
        case _:
            return status(payment)


def _processing_error(refund: Refund) -> Outgoing:
    """The failed attempt holds the code (provider docs: refund page); its sentence is repeated here for a reader."""
    return refused(Complaint(ALL, Word.PROCESSING.value, attempt_error(refund)["message"]))
