"""A Purchase as it stood when something happened to it: what is told of an event later must not show what came after.

A payment that was paid and given back within a second is still told as paid, and then as refunded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import ENDED, HOLDING, Refund, State
from moneyback.dialects.chip import document

Stood = tuple[Payment, tuple[Refund, ...]]
"""A payment and all refunds of it, oldest first."""
_UNTOUCHED: Final[Mapping[str, int]] = dict.fromkeys(
    ("held", "refunded", "external", "disputed", "clawed_back", "excess", "wallet_used", "fee_used"), 0
)


def as_created(payment: Payment, at: datetime) -> Stood:
    """Before anything had happened to it."""
    kept = {name: value for name, value in payment.document.items() if not document.happened_later(name)}
    fresh = replace(payment, condition=Condition.PROCESSING, captured=0, captured_at=None, document=kept, **_UNTOUCHED)
    return replace(fresh, updated_at=at), ()


def as_captured(payment: Payment, amount: int, at: datetime) -> Stood:
    """Once `amount` minor units had come in, and none of them had gone again."""
    paid = replace(payment, condition=Condition.CAPTURED, captured=amount, **_UNTOUCHED)
    return replace(paid, updated_at=at), ()


def as_given_up(payment: Payment, at: datetime) -> Stood:
    """When its money was not to come in, though it may have come in since."""
    gone = replace(payment, condition=Condition.FAILED, captured=0, captured_at=None, **_UNTOUCHED)
    return replace(gone, updated_at=at), ()


def as_releasing(payment: Payment, state: State, captured: int, at: datetime) -> Stood:
    """When the release of its authorisation came to this state; `captured` minor units had come in by then."""
    kept = {**payment.document, "release": {**payment.document.get("release", {}), "state": state.value}}
    let_go = Condition.FAILED if state is State.SUCCEEDED else Condition.AUTHORIZED
    stood = replace(payment, condition=Condition.CAPTURED if captured else let_go, captured=captured, **_UNTOUCHED)
    return replace(stood, document=kept, updated_at=at), ()


def as_refunding(payment: Payment, refunds: tuple[Refund, ...], refund: Refund, state: State, at: datetime) -> Stood:
    """When this refund came to `state`: without the refunds that were made after it."""
    then = refund_at(refund, state, at)
    before = [each for each in refunds if each.created_at <= refund.created_at and each.id != refund.id]
    stood = (*before, then)
    stands = replace(
        payment,
        held=sum(each.payer for each in stood if each.state in HOLDING),
        refunded=sum(each.payer for each in stood if each.state is State.SUCCEEDED),
        wallet_used=payment.wallet_used + _used(stood, _wallet) - _used(refunds, _wallet),
        fee_used=payment.fee_used + _used(stood, _fee) - _used(refunds, _fee),
        updated_at=at,
    )
    return stands, stood


def refund_at(refund: Refund, state: State, at: datetime) -> Refund:
    """A refund as it was when it came to `state`."""
    return replace(refund, state=state, updated_at=at, ended_at=at if state in ENDED else None)


def _used(refunds: tuple[Refund, ...], share: Callable[[Refund], int]) -> int:
    return sum(share(each) for each in refunds if each.state in HOLDING or each.state is State.SUCCEEDED)


def _wallet(refund: Refund) -> int:
    return refund.wallet


def _fee(refund: Refund) -> int:
    return max(0, refund.fee_return)
