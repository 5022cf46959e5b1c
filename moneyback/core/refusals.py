"""Every business "no" of the engine, in the order in which the native API reports them.

A refusal is a value, never an exception. Core returns *all* failing reasons with their figures; which of them a dialect
shows first, in which words, and whether as an HTTP error or as a refund kept in state failed, is the dialect's affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

import msgspec


class Reason(Enum):
    """Why something was refused. The declaration order is the native precedence."""

    # shape
    CURRENCY_MISMATCH = "currency_mismatch"
    BAD_REQUEST = "bad_request"
    # identity
    KEY_REUSED = "idempotency_key_reused"
    ALREADY_EXISTS = "already_exists"
    # existence
    PAYMENT_NOT_FOUND = "payment_not_found"
    REFUND_NOT_FOUND = "refund_not_found"
    ORDER_NOT_FOUND = "order_not_found"
    CASE_NOT_FOUND = "case_not_found"
    # precondition
    PAYMENT_MOVED_ON = "payment_moved_on"
    EVIDENCE_MOVED_ON = "evidence_moved_on"
    # state
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_PROCESSING = "payment_processing"
    PAYMENT_NOT_CAPTURED = "payment_not_captured"
    AMOUNT_UNKNOWN = "amount_unknown"
    STATE_FORBIDS = "state_forbids"
    # dispute
    PAYMENT_DISPUTED = "payment_disputed"
    # window
    WINDOW_NOT_OPEN = "window_not_open"
    WINDOW_CLOSED = "window_closed"
    # capability
    KIND_UNSUPPORTED = "kind_unsupported"
    PARTIAL_UNSUPPORTED = "partial_unsupported"
    FULL_UNSUPPORTED = "full_unsupported"
    ONE_AT_A_TIME = "one_at_a_time"
    EQUAL_AMOUNT_TOO_SOON = "equal_amount_too_soon"
    FEES_NOT_RETURNABLE = "fees_not_returnable"
    # amount
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    BELOW_MINIMUM = "below_minimum"
    NOTHING_LEFT = "nothing_left"
    EXCEEDS_REFUNDABLE = "exceeds_refundable"
    EXCEEDS_WALLET_SHARE = "exceeds_wallet_share"
    EXCEEDS_FEES = "exceeds_fees"
    LEAVES_UNREFUNDABLE_REST = "leaves_unrefundable_rest"
    # parts
    EXCEEDS_PARTS = "exceeds_parts"
    # destination
    DESTINATION_NEEDED = "destination_needed"
    # policy
    POLICY_FORBIDS = "policy_forbids"
    SECOND_PERSON_NEEDED = "second_person_needed"
    # funds
    INSUFFICIENT_FUNDS = "insufficient_funds"


NATIVE_PRECEDENCE: tuple[Reason, ...] = tuple(Reason)


class Failing(msgspec.Struct, frozen=True):
    """One reason with the figures behind it (amounts in minor units, times as aware datetimes)."""

    reason: Reason
    figures: Mapping[str, object] = {}


class Refusal(msgspec.Struct, frozen=True):
    """Everything that stood in the way, in the caller's precedence. Never empty."""

    failing: tuple[Failing, ...]

    @property
    def first(self) -> Failing:
        """The reason a dialect that shows only one will show."""
        return self.failing[0]

    def has(self, reason: Reason) -> bool:
        """Whether `reason` is among the failing ones."""
        return any(each.reason is reason for each in self.failing)


def refuse(reason: Reason, **figures: object) -> Refusal:
    """A refusal for one reason."""
    return Refusal((Failing(reason, figures),))


def in_precedence(failing: Iterable[Failing], precedence: tuple[Reason, ...] = NATIVE_PRECEDENCE) -> Refusal | None:
    """All `failing` as one refusal sorted by `precedence`, reasons it does not name last. None when there are none."""
    found = tuple(failing)
    if not found:
        return None
    rank = {reason: place for place, reason in enumerate(precedence)}
    return Refusal(tuple(sorted(found, key=lambda each: rank.get(each.reason, len(rank)))))
