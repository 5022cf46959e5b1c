"""Which of our events is which of Trustly's, and about which transaction record. How one is sent is in `telling`.

An event tells what a record has become by it, not what has become of it since. A refund is told of twice over: its
original by `Refund` when it is admitted, because the original's balance falls then, and its own record by what follows.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import HOLDING, Refund, State
from moneyback.dialect import Ask, Happened, RefundsOf
from moneyback.dialects.trustly.records import (
    Record,
    is_released,
    original_record,
    original_status,
    original_sums,
    original_type,
    refund_record,
)
from moneyback.dialects.trustly.wire import CHECKS_ONLY, PROVIDER_CODES, Status, Type

AUTHORIZE: Final = "Authorize"
PROCESS: Final = "Process"
COMPLETE: Final = "Complete"
FAIL: Final = "Fail"
DENY: Final = "Deny"
EXPIRE: Final = "Expire"
CANCEL: Final = "Cancel"
REFUND: Final = "Refund"
REVERSE: Final = "Reverse"
DISPUTE: Final = "Dispute"
REFRESHED: Final = "Refresh"

OF_A_REFUND: Final[Mapping[str, tuple[str, Status]]] = MappingProxyType(
    {
        "refund.pending": (PROCESS, Status.PROCESSED),
        "refund.succeeded": (COMPLETE, Status.COMPLETED),
        "refund.failed": (FAIL, Status.FAILED),
        "refund.canceled": (CANCEL, Status.CANCELED),
        "refund.returned": (REVERSE, Status.REVERSED),
    }
)
"""What a refund's, or a reclaim's, own record is told of, and its status then."""
STANDS: Final[Mapping[Status, str]] = MappingProxyType(
    {
        Status.AUTHORIZED: AUTHORIZE,
        Status.PROCESSED: PROCESS,
        Status.COMPLETED: COMPLETE,
        Status.FAILED: FAIL,
        Status.DENIED: DENY,
        Status.EXPIRED: EXPIRE,
        Status.CANCELED: CANCEL,
        Status.VOIDED: CANCEL,
    }
)
"""The event by which a record gets to a status. A record that waits for its batch is what its maker was answered."""
ENDS: Final[Mapping[str, Status]] = MappingProxyType(
    {
        "payment.failed": Status.FAILED,
        "payment.canceled": Status.CANCELED,
        "payment.released": Status.CANCELED,
    }
)
"""Money that will not come in, and how that stands where the payment itself says nothing of it any more."""
NOT_COMING: Final = frozenset({Status.FAILED, Status.DENIED, Status.EXPIRED, Status.CANCELED, Status.VOIDED})


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of Trustly's. `name` is its `eventType`, `more` are members that only some events have."""

    name: str
    record: Record
    more: tuple[tuple[str, str], ...] = ()


def event_of(happened: Happened) -> Generator[Ask, Any, Event | None]:
    """What Trustly would tell of it; None: nothing."""
    refund = happened.refund
    if refund is None:
        return _of_payment(happened)
    if happened.type == "refund.created" and happened.data.get("state") != State.FAILED.value:
        return (yield from _admitted(happened, refund))
    return _of_refund(happened, refund)


def _of_payment(happened: Happened) -> Event | None:
    payment = happened.payment
    match happened.type:
        case "payment.registered":
            return _registered(happened)
        case "payment.captured":
            return _captured(happened)
        case "payment.released" if happened.data.get("captured") and payment.captured:
            return None  # its money had come in: the two contradict each other, and a person is asked
        case "payment.failed" | "payment.canceled" | "payment.released":
            status = original_status(payment)
            return _stands(payment, status if status in NOT_COMING else ENDS[happened.type])
        case "payment.external_refund" if happened.data.get("amount"):
            # Neither figure knows all: one leaves out what is disputed, the other what came after.
            left = max(happened.data.get("refundable", 0), original_sums(payment).balance)
            return _given_back(payment, left)
        case "payment.clawed_back" | "dispute.lost":
            return original_event(REVERSE, payment, Status.REVERSED)
        case "dispute.opened":
            return _disputed(payment, Status.ON_HOLD)
        case "dispute.won":
            return _disputed(payment, _after_dispute(happened))
        case _:
            return None


# --- refunds ---------------------------------------------------------------------------------------------------------


def _admitted(happened: Happened, refund: Refund) -> Generator[Ask, Any, Event]:
    """Its original, as much of it given back as was promised when this refund was, whatever has become of that."""
    payment = happened.payment
    refunds: tuple[Refund, ...] = yield RefundsOf(payment.id)
    before = takewhile(lambda each: each.id != refund.id, refunds)
    promised = sum(each.payer for each in before if _counted(each, happened))
    back = payment.external + payment.clawed_back + promised + refund.payer
    return _given_back(payment, payment.captured - back)


def _counted(refund: Refund, happened: Happened) -> bool:
    """Whether an earlier refund had not ended in vain by then."""
    if refund.state in HOLDING or refund.state is State.SUCCEEDED:
        return True
    return refund.ended_at is not None and refund.ended_at > happened.at


def _of_refund(happened: Happened, refund: Refund) -> Event | None:
    word = happened.type
    found = OF_A_REFUND.get("refund.failed" if word == "refund.created" else word)
    if found is None:
        return None
    name, status = found
    unchanged = happened.sequence == refund.version
    then = replace(
        refund,
        provider_code=happened.data.get("provider_code"),
        message=refund.message if unchanged else None,
    )
    return Event(name=name, record=refund_record(then, happened.payment, status))


# --- originals -------------------------------------------------------------------------------------------------------


def original_event(name: str, payment: Payment, status: Status | None = None) -> Event:
    """An event about an original: as it stands, or with the status that the event brought."""
    record = original_record(payment)
    if status is not None:
        record = replace(record, status=status, code=PROVIDER_CODES[status], description=status.message)
    return Event(name=name, record=record, more=_authorized(record, payment))


def _given_back(payment: Payment, left: int) -> Event:
    """Some of it, or all: `left` minor units stay."""
    status = Status.PARTIALLY_REFUNDED if left > 0 else Status.REFUNDED
    return original_event(REFUND, payment, status if payment.amount_known else None)


def _authorized(record: Record, payment: Payment) -> tuple[tuple[str, str], ...]:
    """What captures of an authorisation are to name (provider docs: Event Notifications, splitToken)."""
    if (record.type, record.status) != (Type.AUTHORIZE, Status.AUTHORIZED):
        return ()
    return (("splitToken", f"split-{payment.id.hex}"),)


def _stands(payment: Payment, status: Status) -> Event | None:
    return original_event(STANDS[status], payment, status) if status in STANDS else None


def _registered(happened: Happened) -> Event | None:
    """What a record began as. An instant payment was authorised by its consumer, though it waits for its batch."""
    payment = happened.payment
    kind, status = original_type(payment), original_status(payment)
    if kind not in CHECKS_ONLY and happened.data.get("captured"):
        return _stands(payment, Status.COMPLETED)
    ended = payment.condition in (Condition.CAPTURED, Condition.FAILED)
    if ended and happened.sequence != payment.version:  # how it ended is told of itself
        status = Status.AUTHORIZED if kind in CHECKS_ONLY else Status.PENDING
    if kind is Type.PAY and status is Status.PENDING:
        return original_event(AUTHORIZE, payment, status)
    return _stands(payment, status)


def _captured(happened: Happened) -> Event | None:
    payment = happened.payment
    if is_released(payment):  # canceled in the very moment in which its batch ran: that is told of itself
        return None
    if original_type(payment) in CHECKS_ONLY or not happened.data.get("amount"):
        return None
    return _stands(payment, Status.COMPLETED)


def _after_dispute(happened: Happened) -> Status:
    """What a record is again: by its figures of that moment, where they say so."""
    payment, left = happened.payment, happened.data.get("refundable")
    if left and left == happened.data.get("captured"):
        return Status.COMPLETED
    status = original_status(payment)
    return Status.PARTIALLY_REFUNDED if left and status is Status.REFUNDED else status


def _disputed(payment: Payment, status: Status) -> Event:
    """A dispute names its transaction in a member of its own (provider docs: Event Notifications, Dispute)."""
    event = original_event(DISPUTE, payment, status)
    return replace(event, more=(*event.more, ("transactionId", event.record.id)))
