"""Which pay-ins Mangopay refunds, and from when until when: one row a payment method.

Here live the table of payment methods, the calendar behind their windows, and what the dialect can do for one payment.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import msgspec

from moneyback.core.payment import Capabilities, Payment, PaymentKind


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """How long after its creation a pay-in is refunded: calendar months or days, or until a fixed day."""

    months: int = 0
    days: int = 0
    until: datetime | None = None
    waits: bool = False  # opens only on the eighth day


DEFAULT: Final = Window(months=11)
"""Cards, wallets of the phone makers, and every method whose window no page states (provider docs: how to process a
refund)."""

WINDOWS: Final[Mapping[str, Window]] = MappingProxyType(
    {
        "DIRECTDEBIT": Window(months=13, waits=True),
        "BLIK": Window(months=13),
        "SWISH": Window(months=13),
        "IDEAL": Window(days=365),
        "MBWAY": Window(days=365),
        "BIZUM": Window(days=365),
        "TWINT": Window(days=365),
        "PAYCONIQ": Window(days=365),
        "BANCONTACT": Window(days=180),
        "BCMC": Window(days=180),
        "PAYPAL": Window(days=180),
        "SATISPAY": Window(days=90),
        # Giropay closed on 30 June 2024; its refunds went on for a year.
        "GIROPAY": Window(until=datetime(2025, 7, 1, tzinfo=UTC)),
    }
)
"""By the method's word without underlines: the provider itself writes GOOGLEPAY and GOOGLE_PAY (provider docs:
create a pay-in refund)."""

UNREFUNDABLE: Final = frozenset({"BANKWIRE", "EXTERNALINSTRUCTION", "PAYBYBANK", "MULTIBANCO"})
"""Money that came in by these goes back by a payout (provider docs: how to process a refund)."""

WAIT_DAYS: Final = 8
"""A direct debit is refunded from 00:00:01 UTC of the eighth day after that of its creation (provider docs: 001405)."""

EQUAL_AMOUNT: Final = timedelta(hours=24)  # provider docs: 005407

TRANSFERS: Final = Capabilities(one_at_a_time=True)
"""Nothing is said of a window for transfers, nor of equal amounts (provider docs: create a transfer refund)."""

PAYOUTS: Final = Capabilities(blocked_by_dispute=True, destination_needed=True)
"""Money that goes back by payouts to a bank account: several a pay-in are allowed, and no window is stated (provider
docs: how to process a refund)."""


def method(payment: Payment) -> str:
    """The payment's method as `WINDOWS` spells it; a card where nothing is known."""
    return spelt(payment.method or "CARD")


def spelt(word: str) -> str:
    """A PaymentType as `WINDOWS` spells it."""
    return "".join(filter(str.isalnum, word)).upper()


def created(payment: Payment) -> datetime:
    """A pay-in's CreationDate: when it was made, or when its money came in, which may be before it was registered."""
    stated = payment.document.get("CreationDate")
    if isinstance(stated, int):
        return datetime.fromtimestamp(stated, UTC)
    return min(payment.created_at, payment.captured_at or payment.created_at)


def capabilities(payment: Payment) -> Capabilities:
    """What Mangopay can do for this pay-in. `windows: "seed"` in its document: eleven months for every method."""
    if payment.kind is PaymentKind.TRANSFER:
        return TRANSFERS
    word, start = method(payment), created(payment)
    if word in UNREFUNDABLE:
        return PAYOUTS
    before = (payment.captured_at or payment.created_at) - start  # the engine counts from when the money came in
    window = DEFAULT if payment.document.get("windows") == "seed" else WINDOWS.get(word, DEFAULT)
    return Capabilities(
        opens_after=_opening(start) - start - before if window.waits else None,
        closes_after=(_closing(start, window) - before) or timedelta(microseconds=-1),
        equal_amount_interval=EQUAL_AMOUNT,
        one_at_a_time=True,
        # A dispute on PayPal's own side is found only later, and kept as 005408.
        blocked_by_dispute=word != "PAYPAL",
    )


def without_wait(payment: Payment) -> Capabilities:
    """The same without the first days of a direct debit: what the Sandbox does for the tag `ignore_mindate`."""
    return msgspec.structs.replace(capabilities(payment), opens_after=None)


def _opening(start: datetime) -> datetime:
    midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=WAIT_DAYS, seconds=1)


def _closing(start: datetime, window: Window) -> timedelta:
    """From creation to the first moment that is too late; never zero, which would mean no window at all."""
    if window.until is not None:
        return (window.until - start) or timedelta(microseconds=-1)
    return months_after(start, window.months) + timedelta(days=window.days) - start


def months_after(start: datetime, months: int) -> datetime:
    """The same day and time `months` later, or the last day of a shorter month."""
    count = start.year * 12 + start.month - 1 + months
    year, month = count // 12, count % 12 + 1
    return start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1]))
