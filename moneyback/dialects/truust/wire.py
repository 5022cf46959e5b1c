"""Truust's words: statuses, gateway types, amounts, times and numbers, and how ours become them and theirs ours.

Here stands what both halves share and nothing that builds or reads a whole message. Amounts arrive as numbers of major
units and leave as formatted text. Where Truust publishes nothing, docs/dialects/truust.md lists the choice made here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from moneyback.core.money import BadAmount, Currency, currency, minor_from_decimal, to_major
from moneyback.core.payment import Capabilities, Condition, Payment
from moneyback.core.refund import Event, State

VERSION: Final = "/2.0"
"""Every path and every `self` begins with it (provider docs: introduction)."""
WAIT_S: Final = 10.0
"""How long a refund is waited for before its payin is answered as it stands."""

# --- payins ----------------------------------------------------------------------------------------------------------


class PayinStatus(StrEnum):
    """The statuses of a payin (provider docs: Refund payin, response)."""

    CREATED = "CREATED"
    AUTHORIZED = "AUTHORIZED"
    CONFIRMED = "CONFIRMED"
    DENIED = "DENIED"
    REFUNDED = "REFUNDED"
    CANCELLED = "CANCELLED"


LINKED: Final = frozenset({PayinStatus.CREATED, PayinStatus.AUTHORIZED})
"""A payment page is linked only while the payin has one of these (provider docs: Refund payin, response)."""

_UNTOUCHED: Final[Mapping[Condition, PayinStatus]] = MappingProxyType(
    {
        Condition.PROCESSING: PayinStatus.CREATED,
        Condition.AUTHORIZED: PayinStatus.AUTHORIZED,
        Condition.CAPTURED: PayinStatus.CONFIRMED,
        Condition.FAILED: PayinStatus.DENIED,
    }
)


def payin_status(payment: Payment) -> PayinStatus:
    """CONFIRMED until all of it has been given back, then REFUNDED: a refund on its way changes nothing yet."""
    if payment.condition is Condition.FAILED and payment.document.get("failure_status") == PayinStatus.CANCELLED:
        return PayinStatus.CANCELLED
    if payment.captured and payment.refunded + payment.external >= payment.captured:
        return PayinStatus.REFUNDED
    return _UNTOUCHED[payment.condition]


BANKWIRE: Final = "BANKWIRE"
WALLET: Final = "WALLET"
TYPE_UNSTATED: Final = "REDSYS_V2"
"""What the provider's own shop plugin creates; nothing is a type of its own for "a card"."""
UNREFUNDABLE: Final = frozenset({"SIBS_MULTIBANCO", "DOCOMO", "INESPAY"})
"""Types that answer 403. The provider docs say that there are such types, and not which."""


def payin_type(payment: Payment) -> str:
    """The gateway type: an open set of words, as the payment's method states it."""
    return payment.method or TYPE_UNSTATED


def is_bankwire(payment: Payment) -> bool:
    """Whether its refund needs a bank account to go to (provider docs: Refund payin, body)."""
    return payin_type(payment).upper() == BANKWIRE


def capabilities(payment: Payment) -> Capabilities:
    """In full and in part, as often as wished, without limit of time, unless the method cannot be refunded at all."""
    stated = payment.document.get("refundable")
    can = payin_type(payment).upper() not in UNREFUNDABLE if stated is None else bool(stated)
    return Capabilities(full=can, partial=can, destination_needed=is_bankwire(payment))


# --- refunds ---------------------------------------------------------------------------------------------------------


class RefundStatus(StrEnum):
    """The statuses of a refund (provider docs: Get refund)."""

    CREATED = "CREATED"
    CONFIRMED = "CONFIRMED"
    DENIED = "DENIED"
    CANCELLED = "CANCELLED"


REFUND_SHOWN: Final[Mapping[State, RefundStatus]] = MappingProxyType(
    {
        State.AWAITING_APPROVAL: RefundStatus.CREATED,
        State.SCHEDULED: RefundStatus.CREATED,
        State.READY: RefundStatus.CREATED,
        State.SENDING: RefundStatus.CREATED,
        State.PENDING: RefundStatus.CREATED,
        State.REQUIRES_ACTION: RefundStatus.CREATED,
        State.UNKNOWN: RefundStatus.CREATED,
        State.NEEDS_REVIEW: RefundStatus.CREATED,
        State.SUCCEEDED: RefundStatus.CONFIRMED,
        State.RETURNED: RefundStatus.DENIED,  # no word for "it came back": the payer does not have the money
        State.FAILED: RefundStatus.DENIED,
        State.CANCELED: RefundStatus.CANCELLED,
    }
)

REFUND_SEEN: Final[Mapping[RefundStatus, Event]] = MappingProxyType(
    {
        RefundStatus.CREATED: Event.ACCEPTED,
        RefundStatus.CONFIRMED: Event.EXECUTED,
        RefundStatus.DENIED: Event.REFUSED,
        RefundStatus.CANCELLED: Event.PROVIDER_CANCELED,
    }
)
"""The same the other way: what a status read at the provider says happened."""


# --- amounts ---------------------------------------------------------------------------------------------------------

_SYMBOLS: Final[Mapping[str, str]] = MappingProxyType({"EUR": "€", "GBP": "£", "USD": "$"})
_SHOWN: Final = re.compile(
    r"(?P<number>-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?)(?:\s*(?P<unit>[^\s0-9.,-]+))?"
)


def amount_minor(value: object, money: Currency) -> int:
    """Minor units of a number of major units, which a form sends as text; of either sign. Raises BadAmount.

    Text has at most the currency's decimals. A JSON number has no notation: 10.000 is 10.
    """
    if isinstance(value, str):
        return minor_from_decimal(value, money, allow_exponent=True, strip=True, max_decimals=money.exponent)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return minor_from_decimal(value, money)
    raise BadAmount("not_a_number")


def amount_text(minor: int, code: str) -> str:
    """`150.00 €`, as the amounts of an order are written (provider docs: Get order)."""
    return f"{to_major(minor, currency(code))} {_SYMBOLS.get(code, code)}"


def amount_shown(value: object, code: str) -> int | None:
    """The other way: minor units of `150.00 €`, of `1,150.00 €`, or of a bare number; None if it is none in `code`."""
    if isinstance(value, str):
        found = _SHOWN.fullmatch(value.strip())
        if found is None or (found["unit"] or code) not in (_SYMBOLS.get(code, code), code):
            return None
        value = found["number"].replace(",", "")
    try:
        return amount_minor(value, currency(code))
    except BadAmount:
        return None


# --- numbers and times -----------------------------------------------------------------------------------------------

_DIGITS_MAX: Final = 18  # fits 63 bits
_NAMED_ORDERS: Final = 8 * 10**14


def order_number(payment: Payment) -> int:
    """The integer id of the payin's order; every payin has one.

    An order registered under a number keeps it; under another text it has a fixed number of 15 digits that begins with
    8; a payin registered without an order is the only one of an order with its own number.
    """
    order = payment.order
    if order is None:
        return int(payment.dialect_id)
    if order.isascii() and order.isdigit() and len(order) <= _DIGITS_MAX:
        return int(order)
    return _NAMED_ORDERS + int.from_bytes(sha256(order.encode()).digest()) % 10**14


def time_text(at: datetime) -> str:
    """`2026-03-02T09:30:00Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
