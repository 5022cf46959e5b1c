"""CHIP's words: statuses, availabilities, error codes and amounts, and how ours become them and theirs ours.

Here stands what both halves share and nothing that builds or reads a whole message. Amounts are integers of minor
units, times unix seconds. Where CHIP publishes nothing, docs/dialects/chip.md lists the choice made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

import msgspec

from moneyback.core.money import MINOR_MAX, BadAmount, Currency, minor_from_decimal
from moneyback.core.payment import Condition
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Reason

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def unix(at: datetime) -> int:
    """Whole seconds since 1970, as CHIP writes every time but `issued`."""
    return (at - _EPOCH) // timedelta(seconds=1)


# --- the status of a Purchase ----------------------------------------------------------------------------------------


class Status(StrEnum):
    """All statuses of a Purchase (provider docs: create a purchase page)."""

    CREATED = "created"
    SENT = "sent"
    VIEWED = "viewed"
    OVERDUE = "overdue"
    ERROR = "error"
    PENDING_EXECUTE = "pending_execute"
    PENDING_CHARGE = "pending_charge"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    BLOCKED = "blocked"
    HOLD = "hold"
    PENDING_CAPTURE = "pending_capture"
    PENDING_RELEASE = "pending_release"
    RELEASED = "released"
    PREAUTHORIZED = "preauthorized"
    PAID = "paid"
    CLEARED = "cleared"
    SETTLED = "settled"
    PENDING_REFUND = "pending_refund"
    REFUNDED = "refunded"
    CHARGEBACK = "chargeback"


def purchase_path(reference: str) -> str:
    """Where a Purchase is read, below the base URL; with its last slash, which CHIP requires."""
    return f"/purchases/{quote(reference, safe='')}/"


REFUNDABLE_STATUSES: Final = ("paid", "cleared", "settled", "refunded")
"""From which a Purchase can be refunded (provider docs: refund page; `refunded` while something remains)."""

PAID_STATUSES: Final = (*REFUNDABLE_STATUSES, "pending_refund", "chargeback")
"""In which the money has come in, whatever became of it since."""
HELD_STATUSES: Final = ("hold", "pending_capture", "pending_release")
"""In which it is reserved."""
NEVER_PAID_STATUSES: Final = ("cancelled", "expired", "blocked", "released")
"""In which it will not come in any more."""

UNTOUCHED: Final[Mapping[Condition, Status]] = MappingProxyType(
    {
        Condition.PROCESSING: Status.CREATED,
        Condition.AUTHORIZED: Status.HOLD,
        Condition.FAILED: Status.ERROR,
        Condition.CAPTURED: Status.PAID,
    }
)
"""The status of a Purchase of which nothing was given back or taken back, and of which nothing else is known."""


# --- what may be refunded --------------------------------------------------------------------------------------------


class Availability(StrEnum):
    """`refund_availability`: which kinds of refund a Purchase allows (provider docs: create a purchase page)."""

    ALL = "all"
    FULL_ONLY = "full_only"
    PARTIAL_ONLY = "partial_only"
    PIS_ALL = "pis_all"
    PIS_PARTIAL = "pis_partial"
    NONE = "none"


# --- how a refund is shown -------------------------------------------------------------------------------------------


class Shown(Enum):
    """The three forms in which the refund call speaks of a refund (provider docs: refund page)."""

    PAYMENT = "payment"  # 200, the Payment that was generated
    PENDING = "pending"  # 200, the Purchase with status pending_refund
    ERROR = "error"  # 400 purchase_refund_error, and a failed attempt on the Purchase


SHOWN: Final[Mapping[State, Shown]] = MappingProxyType(
    {
        State.AWAITING_APPROVAL: Shown.PENDING,
        State.SCHEDULED: Shown.PENDING,
        State.READY: Shown.PENDING,
        State.SENDING: Shown.PENDING,
        State.PENDING: Shown.PENDING,
        State.REQUIRES_ACTION: Shown.PENDING,
        State.UNKNOWN: Shown.PENDING,
        State.NEEDS_REVIEW: Shown.PENDING,
        State.SUCCEEDED: Shown.PAYMENT,
        State.RETURNED: Shown.ERROR,
        State.FAILED: Shown.ERROR,
        State.CANCELED: Shown.ERROR,
    }
)
"""Every state of a refund. Doubt is "not ended yet", never an error: an error invites a second refund."""


# --- failed attempts -------------------------------------------------------------------------------------------------

_INVALID_INPUTS: Final = ("cvc", "cardholder_name", "card_number", "expires")
ATTEMPT_CODES: Final = frozenset(
    {f"validation_{each}_{why}" for each in _INVALID_INPUTS for why in ("not_provided", "too_long", "invalid")}
    | {
        "3ds_authentication_failed",
        "acquirer_configuration_error",
        "acquirer_connection_error",
        "acquirer_error_cs",
        "acquirer_internal_error",
        "acquirer_routing_error",
        "antifraud_general",
        "authorization_failed",
        "blacklisted_tx",
        "blacklisted_tx_issuing_country",
        "blacklisted_tx_risk_score",
        "decline_irregular_transaction_pattern",
        "do_not_honour",
        "exceeded_account_limit",
        "exceeded_acquirer_refund_amount",
        "exceeded_terminal_limit",
        "exceeds_frequency_limit",
        "exceeds_withdrawal_limit",
        "expired_card",
        "general_transaction_error",
        "insufficient_funds",
        "invalid_amount",
        "invalid_card_data",
        "invalid_card_number",
        "invalid_expires",
        "invalid_issuer_number",
        "issuer_not_available",
        "lost_card",
        "merchant_response_timeout",
        "no_matching_terminal",
        "partial_forbidden",
        "payment_method_details_missing",
        "payment_rejected_other_reason",
        "purchase_already_paid_for",
        "re_enter_transaction",
        "reconcile_error",
        "recurring_token_expired",
        "restricted_card",
        "s2s_not_supported",
        "security_violation",
        "soft_decline_contact_support",
        "stolen_card",
        "suspected_fraud",
        "timeout",
        "timeout_3ds_enrollment_check",
        "timeout_acquirer_status_check",
        "transaction_not_permitted_on_terminal",
        "transaction_not_permitted_to_cardholder",
        "transaction_not_supported_or_not_valid_for_card",
        "unknown_payment_method",
        "validation_card_details_missing",
    }
)
"""`error.code` of an attempt (provider docs: create a purchase page, transaction_data)."""

_OTHER: Final = "payment_rejected_other_reason"
_UNNAMED: Final = "general_transaction_error"

# From our failure classes, from reasons of a refund that was blocked or born failed, and from bare events.
_CODE_OF_FAILURE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "declined": "do_not_honour",
        "invalid": "invalid_amount",
        "unsupported": "transaction_not_supported_or_not_valid_for_card",
        "disputed": _OTHER,
        "funds": "insufficient_funds",
        "window": _OTHER,
        "policy": _OTHER,
        "not_sent": "acquirer_connection_error",
        "provider_canceled": _OTHER,
        "withdrawn": _OTHER,
        "rejected": _OTHER,
        "came_back": _OTHER,
        Reason.INSUFFICIENT_FUNDS.value: "insufficient_funds",
        Reason.EXCEEDS_REFUNDABLE.value: "exceeded_acquirer_refund_amount",
        Reason.EXCEEDS_WALLET_SHARE.value: "exceeded_acquirer_refund_amount",
        Reason.EXCEEDS_FEES.value: "exceeded_acquirer_refund_amount",
        Reason.EXCEEDS_PARTS.value: "exceeded_acquirer_refund_amount",
        Reason.NOTHING_LEFT.value: "exceeded_acquirer_refund_amount",
        Reason.BELOW_MINIMUM.value: "invalid_amount",
        Reason.AMOUNT_NOT_POSITIVE.value: "invalid_amount",
        Reason.LEAVES_UNREFUNDABLE_REST.value: "invalid_amount",
        Reason.PARTIAL_UNSUPPORTED.value: "partial_forbidden",
        Reason.FULL_UNSUPPORTED.value: "invalid_amount",
        Reason.EQUAL_AMOUNT_TOO_SOON.value: "exceeds_frequency_limit",
        Reason.DESTINATION_NEEDED.value: "payment_method_details_missing",
        Reason.WINDOW_NOT_OPEN.value: _OTHER,
        Reason.WINDOW_CLOSED.value: _OTHER,
        Reason.PAYMENT_DISPUTED.value: _OTHER,
        Reason.POLICY_FORBIDS.value: _OTHER,
        Reason.SECOND_PERSON_NEEDED.value: _OTHER,
        Reason.FEES_NOT_RETURNABLE.value: _OTHER,
    }
)


def attempt_error(refund: Refund) -> dict[str, str]:
    """`error` of a refund's failed attempt: CHIP's own code where the rail gave one, else the nearest of its list."""
    failure = refund.failure or ""
    known = refund.provider_code in ATTEMPT_CODES
    code = refund.provider_code if known and refund.provider_code else _CODE_OF_FAILURE.get(failure, _UNNAMED)
    return {"code": code, "message": refund.message or _sentence(refund)}


def _sentence(refund: Refund) -> str:
    match refund.state:
        case State.RETURNED:
            return "The refund was executed and its money came back."
        case State.CANCELED:
            return "The refund was cancelled before it was executed."
        case _:
            return f"The refund was refused: {(refund.failure or 'declined').replace('_', ' ')}."


# --- refusals of the refund call -------------------------------------------------------------------------------------


class Word(Enum):
    """In which of CHIP's errors a reason is said."""

    NOT_FOUND = "not_found"
    MIN_VALUE = "min_value"
    MAX_VALUE = "max_value"
    WRONG_STATUS = "purchase_refund_wrong_status"
    NOT_POSSIBLE = "purchase_refund_not_possible"
    PROCESSING = "purchase_refund_error"


_SAID: Final[Mapping[Word, tuple[Reason, ...]]] = MappingProxyType(
    {
        Word.NOT_FOUND: (
            Reason.PAYMENT_NOT_FOUND,
            Reason.REFUND_NOT_FOUND,
            Reason.ORDER_NOT_FOUND,
            Reason.CASE_NOT_FOUND,
        ),
        Word.MIN_VALUE: (Reason.AMOUNT_NOT_POSITIVE,),
        Word.WRONG_STATUS: (
            Reason.PAYMENT_FAILED,
            Reason.PAYMENT_PROCESSING,
            Reason.PAYMENT_NOT_CAPTURED,
            Reason.AMOUNT_UNKNOWN,
            Reason.PAYMENT_DISPUTED,
            Reason.ONE_AT_A_TIME,
            Reason.STATE_FORBIDS,
        ),
        Word.NOT_POSSIBLE: (
            Reason.KIND_UNSUPPORTED,
            Reason.NOTHING_LEFT,
            Reason.PARTIAL_UNSUPPORTED,
            Reason.FULL_UNSUPPORTED,
            Reason.CURRENCY_MISMATCH,
            Reason.BAD_REQUEST,
            Reason.KEY_REUSED,
            Reason.ALREADY_EXISTS,
            Reason.PAYMENT_MOVED_ON,
            Reason.EVIDENCE_MOVED_ON,
        ),
        Word.MAX_VALUE: (Reason.EXCEEDS_REFUNDABLE, Reason.EXCEEDS_WALLET_SHARE, Reason.EXCEEDS_FEES),
        Word.PROCESSING: (
            Reason.WINDOW_NOT_OPEN,
            Reason.WINDOW_CLOSED,
            Reason.EQUAL_AMOUNT_TOO_SOON,
            Reason.BELOW_MINIMUM,
            Reason.LEAVES_UNREFUNDABLE_REST,
            Reason.FEES_NOT_RETURNABLE,
            Reason.EXCEEDS_PARTS,
            Reason.DESTINATION_NEEDED,
            Reason.POLICY_FORBIDS,
            Reason.SECOND_PERSON_NEEDED,
            Reason.INSUFFICIENT_FUNDS,
        ),
    }
)

PRECEDENCE: Final = tuple(reason for reasons in _SAID.values() for reason in reasons)
"""What CHIP would complain of first: the Purchase exists, its field is sound, its status, its availability, then how
much; what only the processing of a payment can find out comes last."""

WORDS: Final[Mapping[Reason, Word]] = MappingProxyType(
    {reason: word for word, reasons in _SAID.items() for reason in reasons}
)

KEPT: Final = frozenset(_SAID[Word.PROCESSING])
"""CHIP has no windows, minimums or funds of its own: where a rail has them, that is a payment processing error, which
CHIP records as a failed attempt (provider docs: refund page)."""


class Complaint(msgspec.Struct, frozen=True):
    """One error as CHIP words it: the field it stands under (`__all__` for none), its sentence and its code."""

    field: str
    code: str
    message: str


ALL: Final = "__all__"

_NOT_POSSIBLE: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        # Word for word as CHIP's sandbox answers a refund after a full one.
        Reason.NOTHING_LEFT: "This Purchase was already fully refunded.",
        Reason.KIND_UNSUPPORTED: "This Purchase cannot be refunded.",
        Reason.PARTIAL_UNSUPPORTED: "This Purchase can only be refunded in full.",
        Reason.FULL_UNSUPPORTED: "This Purchase can only be refunded partially.",
    }
)


def wrong_status(found: Status) -> Complaint:
    """A refund of a Purchase whose status does not allow one."""
    allowed = ", ".join(REFUNDABLE_STATUSES)
    message = f"The status of this Purchase is {found.value}; a refund needs one of: {allowed}."
    return Complaint(ALL, Word.WRONG_STATUS.value, message)


def not_possible(reason: Reason) -> Complaint:
    """A refund of a kind that this Purchase does not allow, or no longer."""
    message = _NOT_POSSIBLE.get(reason, "This Purchase cannot be refunded as asked.")
    return Complaint(ALL, Word.NOT_POSSIBLE.value, message)


def too_large(limit: int) -> Complaint:
    """An amount beyond `limit` minor units, in the form recorded of CHIP for a capture beyond its hold."""
    return Complaint("amount", Word.MAX_VALUE.value, f"Ensure this value is less than or equal to {limit}.")


TOO_SMALL: Final = Complaint("amount", Word.MIN_VALUE.value, "Ensure this value is greater than or equal to 1.")
NO_INTEGER: Final = Complaint("amount", "invalid", "A valid integer is required.")


# --- amounts ---------------------------------------------------------------------------------------------------------

# CHIP counts minor units whatever the currency: a plain integer is read as an amount without decimal places.
_MINOR_UNITS: Final = Currency("XXX", 0)


def read_amount(body: Any) -> int | Complaint | None:
    """The minor units a refund request states, None for "what remains", or what is wrong with it.

    No body, `{}`, null and PHP's empty array `[]` ask for a full refund: CHIP's own SDKs and plugins send all of them.
    An integer may be written as a number with zeros behind its point, or as a string of digits. The string "10.00" is
    refused: here it would mean ten minor units, and whoever writes it means a thousand.
    """
    if body is None or body == []:
        return None
    if not isinstance(body, Mapping):
        return Complaint(ALL, "invalid", f"Invalid data. Expected a dictionary, but got {kind(body)}.")
    value = body.get("amount")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return NO_INTEGER
    try:
        amount = minor_from_decimal(value, _MINOR_UNITS, max_decimals=0 if isinstance(value, str) else None)
    except BadAmount as bad:
        if bad.why != "too_large":
            return NO_INTEGER
        return TOO_SMALL if str(value).startswith("-") else too_large(MINOR_MAX)
    return amount if amount > 0 else TOO_SMALL


def kind(value: Any) -> str:
    """The type of a value, by the name CHIP's server has for it."""
    match value:
        case bool():
            return "bool"
        case list():
            return "list"
        case str():
            return "str"
        case Mapping():
            return "dict"
        case _:
            return "number"
