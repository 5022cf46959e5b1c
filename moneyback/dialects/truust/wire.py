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
from uuid import UUID

from moneyback.core.money import (
    BadAmount,
    Currency,
    UnknownCurrency,
    currency,
    minor_from_decimal,
    to_decimal,
    to_major,
)
from moneyback.core.payment import Capabilities, Condition, Payment
from moneyback.core.refund import Event, State
from moneyback.dialect import release_of

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
    if payment.condition is Condition.FAILED and _was_let_go(payment):
        return PayinStatus.CANCELLED
    if payment.condition is Condition.AUTHORIZED and payment.document.get("open"):
        return PayinStatus.CREATED  # its buyer has not been to the payment page
    if payment.captured and payment.refunded + payment.external >= payment.captured:
        return PayinStatus.REFUNDED
    return _UNTOUCHED[payment.condition]


def _was_let_go(payment: Payment) -> bool:
    release = release_of(payment)
    if release is not None and release.state is State.SUCCEEDED:
        return True
    return payment.document.get("failure_status") == PayinStatus.CANCELLED


BANKWIRE: Final = "BANKWIRE"
WALLET: Final = "WALLET"
TYPE_UNSTATED: Final = "REDSYS_V2"
"""What the provider's own shop plugin creates; nothing is a type of its own for "a card"."""
UNREFUNDABLE: Final = frozenset({"SIBS_MULTIBANCO", "DOCOMO", "INESPAY"})
"""Types that answer 403. The provider docs say that there are such types, and not which."""
GATEWAYS: Final = (
    *("ADDON", "ADDON_V2", "ADDON_ICE", "ADDON_HPP", "ADDON_APPLE_PAY", "AZUPAY", BANKWIRE, WALLET, "DCP", "EPX"),
    *("REDSYS_V2", "REDSYS_APPLE_PAY", "REDSYS_AUTH", "STRIPE", "DOCOMO", "SIBS_MBWAY", "SIBS_MULTIBANCO", "SEQURA"),
    *("UNNAX", "PAYPAL", "BIZUM", "INESPAY", "REDSYS_GOOGLE_PAY", "WORLDPAY_HPP", "CECABANK", "GPWEBPAY", "HEARTLAND"),
    *("DCP_AUTH", "CARD"),
)
"""Every type the provider docs name (reference: default gateway; guides: Apple Pay, Worldpay). A gateway's number is
its place here, counted from 1."""
REQUESTED: Final = frozenset({"AZUPAY", "BIZUM", "INESPAY", "SIBS_MBWAY", "SIBS_MULTIBANCO", "UNNAX"})
"""Types whose buyer can be asked to pay by a notification (provider docs: Send payment request)."""


def is_preauthorised(kind: str) -> bool:
    """Whether paying only authorises; the order's acceptance captures."""
    return kind.upper().endswith("_AUTH")


def payin_type(payment: Payment) -> str:
    """The gateway type: an open set of words, as the payment's method states it."""
    return payment.method or TYPE_UNSTATED


def is_sandbox(payment: Payment) -> bool:
    """Whether the payment's money is the sandbox bank's: what is kept here is then all there is to know of it."""
    return payment.rail.partition("-")[0] == "sandbox"


def is_bankwire(payment: Payment) -> bool:
    """Whether its refund needs a bank account to go to (provider docs: Refund payin, body)."""
    return payin_type(payment).upper() == BANKWIRE


def can_be_refunded(payment: Payment) -> bool:
    """Whether its method has refunds, to the buyer's own means."""
    stated = payment.document.get("refundable")
    return payin_type(payment).upper() not in UNREFUNDABLE if stated is None else bool(stated)


def capabilities(payment: Payment) -> Capabilities:
    """In full and in part, as often as wished, without limit of time, unless the method cannot be refunded at all.

    While a reimbursement is on its way it can: that money goes to a wallet, whatever the method.
    """
    can = can_be_refunded(payment) or bool(payment.document.get("reimbursing"))
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


_CURRENCIES: Final[Mapping[str, str]] = MappingProxyType({"€": "EUR", "£": "GBP"})
"""A dollar sign is several countries'."""


def amount_named(value: object) -> tuple[int, str | None] | None:
    """Minor units and currency of a text that names its currency; None for any other. Of a `$` only the amount is."""
    found = _SHOWN.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or found["unit"] is None:
        return None
    unit = found["unit"]
    code = _CURRENCIES.get(unit, "USD" if unit == "$" else unit)
    try:
        minor = amount_minor(found["number"].replace(",", ""), currency(code))
    except (BadAmount, UnknownCurrency):
        return None
    return minor, None if unit == "$" else code


# --- orders and payouts -----------------------------------------------------------------------------------------------


class OrderStatus(StrEnum):
    """The statuses of an order (provider docs: Get order; payment flows, which adds the last four)."""

    DRAFT = "DRAFT"
    PENDING_DETAILS = "PENDING_DETAILS"
    PENDING_PUBLISH = "PENDING_PUBLISH"
    PUBLISHED = "PUBLISHED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    RELEASED = "RELEASED"
    FAILURE = "FAILURE"
    PENDING_VALIDATE = "PENDING_VALIDATE"
    PENDING_RELEASE = "PENDING_RELEASE"
    BLOCKED_RELEASE = "BLOCKED_RELEASE"


UNPAID: Final = frozenset(
    {OrderStatus.DRAFT, OrderStatus.PENDING_DETAILS, OrderStatus.PENDING_PUBLISH, OrderStatus.FAILURE}
)
"""Nothing has come in."""
OVER: Final = frozenset({OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.RELEASED})
"""Nothing more can be paid for it."""


class PayoutStatus(StrEnum):
    """The statuses of a payout (provider docs: Get payout)."""

    CREATED = "CREATED"
    CONFIRMED = "CONFIRMED"
    DENIED = "DENIED"
    CANCELLED = "CANCELLED"


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


def is_named_order(number: str) -> bool:
    """Whether a number may stand for the text of an order; which text cannot be told from it."""
    return is_number(number) and _NAMED_ORDERS <= int(number) < _NAMED_ORDERS + 10**14


def of_order(number: str) -> str:
    """What an order's payin is asked for by where its own number is not known: the one in which its money came in."""
    return f"{OF_ORDER}{number}"


OF_ORDER: Final = "orders/"


def page_path(kind: str, merchant: UUID, secret: str, number: int | str) -> str:
    """The path of a page that whoever has its address may open: whose it is, what cannot be guessed, and its number."""
    return f"/{kind}/{merchant.hex}{secret}{number}"


_PAGE: Final = re.compile(r"([0-9a-f]{32})([0-9a-f]{32})([0-9]{1,18})")


def page_named(text: str) -> tuple[UUID, str, int] | None:
    """The other way: the merchant, the secret and the number of a page's address; None for what is none."""
    found = _PAGE.fullmatch(text)
    return None if found is None else (UUID(hex=found[1]), found[2], int(found[3]))


def major(minor: int, code: str) -> int | Decimal:
    """A number of major units, whole where it is one: those every JSON writer prints as a number."""
    amount = to_decimal(minor, currency(code))
    return int(amount) if amount == int(amount) else amount


def is_number(text: str) -> bool:
    """Whether a part of a path can be one of the integer ids."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX


def time_text(at: datetime) -> str:
    """`2026-03-02T09:30:00Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
