"""What both halves of Trustly (US) agree on: codes, statuses, amounts and times.

Nothing here knows whether we serve Trustly's API or call it. Provider docs are named by their pages: "Refund
transaction", "Transaction Types", "Search" (merchant portal), "Errors", "Idempotency", and the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import IntEnum
from functools import cache
from types import MappingProxyType
from typing import Final

from moneyback.core.money import BadAmount, currency, minor_from_decimal
from moneyback.core.payment import Payment
from moneyback.core.refund import State

DIALECT_NAME: Final = "trustly"


class Type(IntEnum):
    """What a transaction record is (provider docs: Transaction Types; OpenAPI, TransactionType). There is no 9."""

    EXTERNAL = 0  # a return of what was outsourced
    AUTHORIZE = 1  # a bank authorisation: no money
    PAY = 2  # authorisation and capture in one
    CAPTURE = 3
    REFUND = 4
    REVERSE = 5  # the bank took a capture back
    DEPOSIT = 6  # a payout to the consumer
    RECLAIM = 7  # money of a deposit back to the merchant
    REPRESENTMENT = 8  # a denied capture tried again
    PREAUTHORIZATION = 10  # a check of funds for captures to come


class PaymentType(IntEnum):
    """How a payment is collected (provider docs: Payment Types)."""

    INSTANT = 1
    DEFERRED = 2
    RECURRING = 3
    DISBURSEMENT = 4
    VERIFICATION = 5
    RETRIEVAL = 6


class AuthorizationStatus(IntEnum):
    """How a bank authorisation stands in `payment.auth`: other numbers than a transaction's status."""

    PENDING = 1
    AUTHORIZED = 2
    FINISHED = 3
    EXPIRED = 4
    FAILED = 5
    CANCELED = 6
    VOIDED = 7

    @property
    def message(self) -> str:
        """The status in words."""
        return self.name.title()


CHECKS_ONLY: Final = frozenset({Type.AUTHORIZE, Type.PREAUTHORIZATION})
"""Records that move no money."""


class Status(IntEnum):
    """How a transaction record stands (provider docs: OpenAPI, TransactionStatus). 9 is not a transaction's."""

    NEW = 0
    PENDING = 1
    AUTHORIZED = 2
    PROCESSED = 3
    COMPLETED = 4
    FAILED = 5
    EXPIRED = 6
    CANCELED = 7
    DENIED = 8
    REVERSED = 10
    PARTIALLY_REFUNDED = 11
    REFUNDED = 12
    VOIDED = 13
    ON_HOLD = 14

    @property
    def message(self) -> str:
        """The status in words, as `statusMessage` says it."""
        return self.name.replace("_", " ").title()


AUTHORIZATION_SHOWN: Final[Mapping[Status, AuthorizationStatus]] = MappingProxyType(
    {
        Status.NEW: AuthorizationStatus.PENDING,
        Status.PENDING: AuthorizationStatus.PENDING,
        Status.PROCESSED: AuthorizationStatus.PENDING,
        Status.FAILED: AuthorizationStatus.FAILED,
        Status.DENIED: AuthorizationStatus.FAILED,
        Status.EXPIRED: AuthorizationStatus.EXPIRED,
        Status.CANCELED: AuthorizationStatus.CANCELED,
        Status.VOIDED: AuthorizationStatus.VOIDED,
    }
)
"""An authorisation's own status by its record's; all others are Authorized."""

REFUND_SHOWN: Final[Mapping[State, Status]] = MappingProxyType(
    {
        State.AWAITING_APPROVAL: Status.ON_HOLD,
        State.SCHEDULED: Status.PENDING,
        State.READY: Status.PENDING,
        State.SENDING: Status.PENDING,
        State.PENDING: Status.PENDING,
        State.REQUIRES_ACTION: Status.ON_HOLD,
        State.UNKNOWN: Status.PENDING,
        State.NEEDS_REVIEW: Status.ON_HOLD,
        State.SUCCEEDED: Status.COMPLETED,
        State.RETURNED: Status.REVERSED,
        State.FAILED: Status.FAILED,
        State.CANCELED: Status.CANCELED,
    }
)
"""A refund record's status. On Hold is Trustly's word for "a person decides" (provider docs: OpenAPI, Verification)."""

PROVIDER_CODES: Final[Mapping[Status, str]] = MappingProxyType(
    {
        Status.NEW: "SW010",
        Status.PENDING: "AC100",
        Status.AUTHORIZED: "SW020",
        Status.PROCESSED: "AC105",
        Status.COMPLETED: "AC118",
        Status.FAILED: "AC101",
        Status.EXPIRED: "AC117",
        Status.CANCELED: "SW013",
        Status.DENIED: "SW021",
        Status.REVERSED: "AC115",
        Status.PARTIALLY_REFUNDED: "AC118",
        Status.REFUNDED: "AC118",
        Status.VOIDED: "AC104",
        Status.ON_HOLD: "AC109",
    }
)
"""The bank side's code beside each status. SW codes as documented; AC100 to AC118 counted off in the documented order,
because the provider names nineteen processor acknowledgements for nineteen codes but prints no table."""

CODE_FAMILIES: Final = ("SW", "AC", "UC", "SE", "R")
"""Codes the bank side gives out; a rail's own code of another family would mean nothing to a Trustly client."""

AMOUNT_LENGTH_MAX: Final = 10
AMOUNT_DECIMALS_MAX: Final = 2
MINIMUM: Final = Decimal("0.99")
"""The smallest refund, and the smallest capture, deposit and reclaim (provider docs: Refund, Capture, Deposit and
Reclaim transaction)."""

_USD: Final = currency("USD")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


# --- amounts and times -----------------------------------------------------------------------------------------------


@cache
def minimum(code: str) -> int:
    """The smallest refund in minor units of a currency: 0.99 of it, rounded up where it has fewer places."""
    return int(MINIMUM.scaleb(currency(code).exponent).to_integral_value(ROUND_CEILING))


def amount_written(value: object) -> str | int | Decimal:
    """An amount as a client wrote it, once it is one at all: at most ten characters and two decimal places.

    Raises BadAmount. A JSON number has no notation of its own, so 1e2 is 100; as text it is refused.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise BadAmount("not_a_number")
    minor_from_decimal(value, _USD, max_decimals=AMOUNT_DECIMALS_MAX)
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    if len(text) > AMOUNT_LENGTH_MAX:
        raise BadAmount("too_large")
    return value


def amount_minor(written: str | int | Decimal, payment: Payment) -> int:
    """The same amount in minor units of the payment's currency. Raises BadAmount."""
    return amount_in(written, payment.currency)


def amount_in(written: str | int | Decimal, code: str) -> int:
    """The same amount in minor units of a currency. Raises BadAmount."""
    return minor_from_decimal(written, currency(code), max_decimals=AMOUNT_DECIMALS_MAX)


def milliseconds(at: datetime | None) -> int:
    """A time as Trustly writes it; 0 for what has not happened, because the members are never left out."""
    return 0 if at is None else (at - _EPOCH) // timedelta(milliseconds=1)
