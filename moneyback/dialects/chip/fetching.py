"""A Purchase that we meet at CHIP: what came in, what was given back of it before, and how it is shown again.

CHIP lists no refunds and states the amount of none: its Purchase names their Payments and says what is left in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from moneyback.core.commands import Sighting
from moneyback.core.payment import Condition
from moneyback.dialect import AddPayment, AnswerLost, Call, Fetched, Fetching, SeenRefund
from moneyback.dialects.chip.document import SHOWN, Kept
from moneyback.dialects.chip.received import Purchase, moment, problems, purchase
from moneyback.dialects.chip.wire import (
    HELD_STATUSES,
    NEVER_PAID_STATUSES,
    PAID_STATUSES,
    REFUNDABLE_STATUSES,
    Availability,
    Status,
    Word,
    purchase_path,
)

_UNSTATED: Final = 0


def fetch(dialect_id: str) -> Fetching:
    """The Purchase with this id; None when CHIP has none. Raises AnswerLost for any answer that shows none."""
    reply = yield Call(method="GET", path=purchase_path(dialect_id), headers={"accept": "application/json"})
    if reply.status == 404 and {each.code for each in problems(reply.body)} == {Word.NOT_FOUND.value}:
        return None
    shown = purchase(reply.body) if reply.status == 200 else None
    if shown is None or shown.id.lower() != dialect_id.lower():
        raise AnswerLost("CHIP did not show the Purchase")
    return Fetched(
        payment=AddPayment(
            amount=_amount(shown),
            currency=shown.purchase.currency,
            status=_condition(shown).value,
            method=shown.transaction_data.payment_method or None,
            order=shown.reference or None,
            dialect_id=shown.id,
            document=_document(shown, reply.body),
        ),
        reference=shown.id,
        captured_at=moment(shown.payment.paid_on) if shown.payment is not None else None,
        refunds=_refunds(shown),
        left=_left(shown),
        sightings=tuple(_disputes(shown)),
    )


def _condition(shown: Purchase) -> Condition:
    """A preauthorization has saved a card, and holds nothing."""
    if shown.status in PAID_STATUSES:
        return Condition.CAPTURED
    if shown.status in HELD_STATUSES:
        return Condition.AUTHORIZED
    return Condition.FAILED if shown.status in NEVER_PAID_STATUSES else Condition.PROCESSING


def _amount(shown: Purchase) -> int:
    """What came in, or is to. What was paid in another currency is no figure of this one."""
    total, paid = shown.purchase.total or 0, shown.payment
    if shown.status not in PAID_STATUSES:
        return total
    if paid is not None and paid.currency == shown.purchase.currency and paid.amount:
        return paid.amount
    return total or shown.refundable_amount


def _refunds(shown: Purchase) -> tuple[SeenRefund, ...]:
    """Oldest first."""
    return tuple(
        SeenRefund(provider_id=id, payment=shown.id, amount=_UNSTATED, currency=shown.purchase.currency, at=moment(at))
        for id, at in shown.refunds.items()
    )


def _left(shown: Purchase) -> int | None:
    """What remains, where the figure says that: a method that allows no refund at all may show 0 of all it got."""
    if shown.status not in REFUNDABLE_STATUSES:
        return None
    closed = shown.refund_availability == Availability.NONE
    return None if closed and shown.status != Status.REFUNDED else shown.refundable_amount


def _disputes(shown: Purchase) -> Iterator[Sighting]:
    """A chargeback that stands is about the whole payment; one that its history alone names was won."""
    reference, at = f"{shown.id}:{Status.CHARGEBACK}", moment(shown.updated_on)
    if shown.status == Status.CHARGEBACK:
        yield Sighting(kind="dispute_open", amount=_amount(shown), reference=reference, occurred_at=at)
    elif shown.status in PAID_STATUSES and any(each.status == Status.CHARGEBACK for each in shown.status_history):
        yield Sighting(kind="dispute_won", amount=0, reference=reference, occurred_at=at)


def _document(shown: Purchase, body: bytes) -> Kept:
    """What is kept of it: all that CHIP shows; and which kinds of refund its method allows, as far as that shows.

    `none` says it of the method only while nothing was given back; before that and after it means "not now".
    """
    kept = Kept({SHOWN: body.decode()})
    untouched = shown.status in REFUNDABLE_STATUSES and shown.status != Status.REFUNDED
    known = shown.refund_availability in list(Availability)
    if known and (shown.refund_availability != Availability.NONE or untouched):
        kept["refund_availability"] = shown.refund_availability
    return kept
