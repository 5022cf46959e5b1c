"""How a Purchase stands: its status and what may be refunded of it, derived from its payment's facts alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from moneyback.core.payment import Capabilities, Condition, Payment, condition_reasons
from moneyback.core.refund import State
from moneyback.dialect import release_of
from moneyback.dialects.chip import document
from moneyback.dialects.chip.wire import UNTOUCHED, Availability, Status, unix

PAYABLE: Final = (Status.CREATED, Status.SENT, Status.VIEWED, Status.OVERDUE, Status.ERROR)
"""Not paid, and still possible to pay (provider docs: create a purchase page; `error` is not final)."""

_LET_GO: Final[Mapping[State, Status]] = MappingProxyType(
    {State.SUCCEEDED: Status.RELEASED, State.FAILED: Status.HOLD, State.CANCELED: Status.HOLD}
)


def status(payment: Payment, now: datetime | None = None) -> Status:
    """The Purchase's status. `now` matters only for one that is due some day (`is_due_some_day`).

    `refunded` means fully *or partially* refunded: only `refundable_amount` tells them apart (provider docs: create a
    purchase page). A refund on its way outranks everything: its client waits for that word to change.
    """
    if payment.held:
        return Status.PENDING_REFUND
    if payment.disputed or (payment.clawed_back and not payment.refundable):
        return Status.CHARGEBACK
    if payment.refunded or payment.external:
        return Status.REFUNDED
    shown = document.shown(payment)
    if shown is not None:
        return _shown(shown, payment)
    if payment.condition is Condition.CAPTURED:
        return Status.PAID
    release = release_of(payment)
    if release is not None:
        return _LET_GO.get(release.state, Status.PENDING_RELEASE)
    return _unpaid(payment, now)


def _shown(shown: Mapping[str, Any], payment: Payment) -> Status:
    """CHIP's own word; where that is none we know, what its figures say."""
    word = shown.get("status")
    return Status(word) if word in list(Status) else UNTOUCHED[payment.condition]


def _unpaid(payment: Payment, now: datetime | None) -> Status:
    kept = payment.document
    if document.RELEASED in kept:
        return Status.RELEASED
    if document.AUTHORIZED in kept:
        return Status.HOLD if payment.authorized else Status.PREAUTHORIZED
    if document.CANCELLED in kept:
        return Status.CANCELLED
    if payment.condition is not Condition.PROCESSING:
        return UNTOUCHED[payment.condition]
    due = document.option(payment, "due")
    if due is not None and now is not None and unix(now) > due:
        return Status.EXPIRED if document.detail(payment, "due_strict") else Status.OVERDUE
    declined = document.times_declined(payment)
    if declined:
        return Status.ERROR if declined < document.DECLINED_MAX else Status.BLOCKED
    return Status.VIEWED if document.VIEWED in kept else Status.CREATED


def is_due_some_day(payment: Payment) -> bool:
    """Whether the status of an unpaid Purchase depends on what time it is."""
    return payment.condition is Condition.PROCESSING and document.option(payment, "due") is not None


# --- what may be refunded --------------------------------------------------------------------------------------------


def _kinds(*, full: bool, partial: bool) -> Capabilities:
    # A Purchase in pending_refund or chargeback is in none of the refundable statuses: one refund at a time, and none
    # while the payer's bank is asking.
    return Capabilities(full=full, partial=partial, one_at_a_time=True, blocked_by_dispute=True)


# CHIP defines neither pis value; we read them as their namesakes, refunded by bank transfer.
CAPABILITIES: Final[Mapping[Availability, Capabilities]] = MappingProxyType(
    {
        Availability.ALL: _kinds(full=True, partial=True),
        Availability.FULL_ONLY: _kinds(full=True, partial=False),
        Availability.PARTIAL_ONLY: _kinds(full=False, partial=True),
        Availability.PIS_ALL: _kinds(full=True, partial=True),
        Availability.PIS_PARTIAL: _kinds(full=False, partial=True),
        Availability.NONE: _kinds(full=False, partial=False),
    }
)


def method_availability(payment: Payment) -> Availability:
    """What the payment's method allows, whatever was given back since."""
    stated = payment.document.get("refund_availability")
    if stated is not None:
        return Availability(stated)
    # Payment initiation methods are named so by the platform's other brand (provider docs: Klix payment methods).
    return Availability.PIS_ALL if (document.method(payment) or "").endswith("_pis") else Availability.ALL


def capabilities(payment: Payment) -> Capabilities:
    """The kinds of refund this payment allows, as core reads them."""
    return CAPABILITIES[method_availability(payment)]


def offered(payment: Payment) -> tuple[Availability, int]:
    """`refund_availability` and `refundable_amount` (minor units) as they are true now.

    The method's own word while something can be refunded, else `none` and 0: unpaid, disputed, all given back, or a
    payment refundable only in full of which a part is gone. While a refund is on its way both speak of what it leaves.
    """
    own = method_availability(payment)
    can, left = CAPABILITIES[own], payment.refundable
    full = can.full and payment.untouched
    part = can.partial and left > (1 if payment.untouched else 0)
    if condition_reasons(payment) or payment.disputed or not left or not (full or part):
        return Availability.NONE, 0
    return own, left
