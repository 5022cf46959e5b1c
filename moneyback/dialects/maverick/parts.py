"""What a refund says about amounts, and what it may attribute to an order's subtotal, tax and discounts.

Maverick bounds a stated amount by the order's subtotal unless the request says how much tax and discount goes back
with it (provider docs: refund page, partial refund page). Parts attribute; what bounds the money is what was captured.
Pure rules over figures; nothing is moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from moneyback.core.commands import RequestRefund
from moneyback.core.payment import Amounts, Parts, Payment
from moneyback.core.refund import HOLDING, Refund, State
from moneyback.core.refusals import Failing, Reason
from moneyback.dialects.maverick.bodies import object_of, part_of, positive_amount_of
from moneyback.dialects.maverick.wire import Part

GIVEN: Final = HOLDING | {State.SUCCEEDED}
"""In these states a refund's share of the order is gone, or promised."""

Check = Callable[[Payment, Amounts, RequestRefund], list[Failing]]


class Wanted(msgspec.Struct, frozen=True):
    """What a refund request states, in minor units; None where it states nothing."""

    amount: int | None = None
    tax: int | None = None
    discounts: int | None = None

    @property
    def split(self) -> bool:
        """Whether it says which part of the order's tax or discounts goes back."""
        return self.tax is not None or self.discounts is not None


def read_wanted(body: Mapping[str, Any], code: str) -> Wanted:
    """The amounts of a refund request in `code`'s minor units. `order` may be null. Raises Wrong."""
    amount = positive_amount_of(body.get("amount"), code)
    order = object_of(body.get("order"), "Order")
    tax = part_of(order.get("tax"), "Order tax", code)
    return Wanted(amount, tax, part_of(order.get("discounts"), "Order discounts", code))


def total(payment: Payment) -> int:
    """The original's amount in minor units: what was authorised, also where less was captured."""
    return payment.authorized or payment.captured


def order_of(payment: Payment) -> Parts:
    """The original's order in minor units; without one, or without a subtotal, the amount itself says it."""
    stated = payment.parts or Parts()
    tax, discount, shipping = abs(stated.tax), abs(stated.discount), abs(stated.shipping)
    subtotal = stated.subtotal or total(payment) - tax + discount - shipping
    return Parts(subtotal=subtotal, tax=tax, discount=discount, shipping=shipping)


def left_of(payment: Payment, before: tuple[Refund, ...]) -> Parts:
    """What earlier refunds have left of the order. What they did not attribute was goods."""
    whole = order_of(payment)
    given = [each for each in before if each.state in GIVEN]
    tax = sum(each.request.get("tax") or 0 for each in given)
    discounts = sum(each.request.get("discounts") or 0 for each in given)
    goods = payment.external + sum(each.payer for each in given) - tax + discounts
    return Parts(
        subtotal=max(0, whole.subtotal + whole.shipping - goods),
        tax=max(0, whole.tax - tax),
        discount=max(0, whole.discount - discounts),
    )


def check_of(wanted: Wanted) -> Check:
    """The rule for a request that states no parts: a stated amount is at most the original's subtotal."""

    def check(payment: Payment, amounts: Amounts, _command: RequestRefund) -> list[Failing]:
        return [] if wanted.amount is None else _over(Part.SUBTOTAL, amounts.payer, order_of(payment).subtotal)

    return check


def check_after(wanted: Wanted, seen: Payment, before: tuple[Refund, ...], now: datetime, window: timedelta) -> Check:
    """The rules that need the payment's earlier refunds, as they were `before` when the payment was `seen`.

    A payment that has changed since makes them void: PAYMENT_MOVED_ON, and whoever asked looks again.
    """

    def check(payment: Payment, amounts: Amounts, command: RequestRefund) -> list[Failing]:
        if payment.version != seen.version:
            return [Failing(Reason.PAYMENT_MOVED_ON)]
        stated = _split(wanted, left_of(payment, before), amounts) if wanted.split else None
        failing = check_of(wanted)(payment, amounts, command) if stated is None else stated
        return failing + _repeated(amounts, before, now, window)

    return check


def _split(wanted: Wanted, left: Parts, amounts: Amounts) -> list[Failing]:
    """Of tax and discounts the one that was not stated counts as 0."""
    tax, discounts = wanted.tax or 0, wanted.discounts or 0
    return (
        _over(Part.TAX, tax, left.tax)
        or _over(Part.DISCOUNTS, discounts, left.discount)
        or _over(Part.GOODS, amounts.payer - tax + discounts, left.subtotal)
    )


def _over(part: Part, amount: int, limit: int) -> list[Failing]:
    if amount <= limit:
        return []
    return [Failing(Reason.EXCEEDS_PARTS, {"part": part.value, "amount": amount, "limit": limit})]


def _repeated(amounts: Amounts, before: tuple[Refund, ...], now: datetime, window: timedelta) -> list[Failing]:
    """An equal amount of the same payment within the window; what ended badly does not count."""
    recent = [
        each.created_at
        for each in before
        if each.payer == amounts.payer and each.state in GIVEN and each.created_at + window > now
    ]
    return [Failing(Reason.EQUAL_AMOUNT_TOO_SOON, {"again_at": max(recent) + window})] if recent else []
