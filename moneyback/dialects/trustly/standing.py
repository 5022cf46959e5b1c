"""What must be known of a payment beyond its own row: whether its time has come, and which others belong to it.

A capture made here completes when the sandbox's next batch has run, a preauthorisation ends with its period. Nobody
works in the background for that: it is written down when somebody looks.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from moneyback.core.commands import Sighting
from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import (
    Ask,
    FindPayment,
    FindRefund,
    Instant,
    ListPayments,
    PaymentOf,
    RefundOf,
    SeePayment,
    release_of,
)
from moneyback.dialects.trustly.records import Family, alone, original_type, payment_type, root_of
from moneyback.dialects.trustly.wire import DIALECT_NAME, PaymentType, Status, Type

COMPLETES_AFTER: Final = timedelta(seconds=5)
"""From a capture, deposit or instant payment to the batch that completes it. The provider's sandbox takes five minutes
(provider docs: Testing)."""
CHUNK: Final = 1000
CHILDREN: Final = {
    Type.CAPTURE: "{}",
    Type.PREAUTHORIZATION: "{}/preauthorizations",
    Type.DEPOSIT: "{}/deposits",
}
"""The order that records made of an authorisation belong to. Captures have its very id: refunding that order gives all
captures back, and touches nothing else."""


def order_of(kind: Type, authorization: str) -> str:
    """The order of all records of a kind that an authorisation led to."""
    return CHILDREN[kind].format(authorization)


# --- whether its time has come ---------------------------------------------------------------------------------------


def stand(payment: Payment) -> Generator[Ask, Any, Payment]:
    """The payment as it stands now."""
    (found,) = yield from stand_all((payment,))
    return found


def stand_all(payments: tuple[Payment, ...]) -> Generator[Ask, Any, tuple[Payment, ...]]:
    """The payments as they stand now, what has become due written down."""
    if not any(_waits(each) for each in payments):
        return payments
    now: datetime = yield Instant()
    found: tuple[Payment, ...] = ()
    for each in payments:
        found += ((yield from _come_of(each, now)),)
    return found


def _waits(payment: Payment) -> bool:
    due = payment.document.keys() & {"completesAt", "expiresAt"}
    return payment.condition is Condition.AUTHORIZED and bool(due)


def _come_of(payment: Payment, now: datetime) -> Generator[Ask, Any, Payment]:
    if not _waits(payment):
        return payment
    completes, expires = payment.document.get("completesAt"), payment.document.get("expiresAt")
    if completes is not None and now >= datetime.fromisoformat(completes):
        return (yield from complete(payment))
    if expires is not None and now >= datetime.fromisoformat(expires):
        over = Sighting(kind="failed", amount=0, reference=payment.dialect_id, occurred_at=now)
        expired: Payment = yield SeePayment(
            payment=payment, sighting=over, document={"failureStatus": str(Status.EXPIRED.value)}
        )
        return expired
    return payment


def complete(payment: Payment) -> Generator[Ask, Any, Payment]:
    """Run the batch for this payment: its money has come in. One that does not wait for a batch stays as it is."""
    if payment.condition is not Condition.AUTHORIZED or "completesAt" not in payment.document:
        return payment
    came = Sighting(kind="captured", amount=payment.authorized, reference=payment.dialect_id)
    after: Payment = yield SeePayment(payment=payment, sighting=came)
    release = release_of(after)
    if release is None or release.state is State.FAILED:
        return after
    # It was canceled in the very moment in which the batch ran: the cancellation was answered, so nothing came in.
    undone: Payment = yield SeePayment(payment=after, sighting=replace(came, amount=0))
    return undone


# --- which others belong to it ---------------------------------------------------------------------------------------


def family_of(payment: Payment) -> Generator[Ask, Any, Family]:
    """The payment of Trustly's that a record belongs to, with all that its totals are made of."""
    root = payment
    if root_of(payment) != payment.dialect_id:
        found: Payment | None = yield FindPayment(root_of(payment))
        if found is None:  # registered natively beneath an authorisation that is not known here
            return alone(payment)
        root = found
    if original_type(root) is not Type.AUTHORIZE:
        return alone(root)
    kind = Type.DEPOSIT if payment_type(root) is PaymentType.DISBURSEMENT else Type.CAPTURE
    members = yield from children_of(root, kind)
    return Family(root=root, members=members).with_(payment)


def children_of(root: Payment, kind: Type) -> Generator[Ask, Any, tuple[Payment, ...]]:
    """All records of a kind that an authorisation led to, oldest first, as they stand now."""
    found: tuple[Payment, ...] = ()
    while True:
        asked = ListPayments(order=order_of(kind, root.dialect_id), ascending=True, offset=len(found), limit=CHUNK)
        some: tuple[Payment, ...] = yield asked
        found += some
        if len(some) < CHUNK:
            break
    own = tuple(each for each in found if root_of(each) == root.dialect_id and original_type(each) is kind)
    return (yield from stand_all(own))


# --- which refund an id names ----------------------------------------------------------------------------------------


def refund_named(number: str) -> Generator[Ask, Any, tuple[Refund, Payment] | None]:
    """The refund with this id and what it gives back; None where nobody knows it here.

    One that was asked for through another surface has the engine's own id, which is longer than Trustly's.
    """
    refund: Refund | None = yield FindRefund(number)
    if refund is None:
        refund = yield from _made_elsewhere(number)
    if refund is None:
        return None
    payment: Payment = yield PaymentOf(refund.payment)
    return (refund, payment) if payment.dialect == DIALECT_NAME else None


def _made_elsewhere(number: str) -> Generator[Ask, Any, Refund | None]:
    try:
        id = UUID(hex=number)
    except ValueError:
        return None
    refund: Refund | None = yield RefundOf(id)
    return refund if refund is not None and refund.dialect_id == number else None
