"""Maverick's words: statuses, reasons, error messages and amounts, and how ours become them and theirs ours.

Here stands what both halves share and nothing that builds or reads a whole message. Amounts are decimal text with the
currency's decimal places, times UTC without a zone. Where Maverick publishes nothing, docs/dialects/maverick.md lists
the choice made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from moneyback.core.money import currency, to_major
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Failing, Reason, Refusal
from moneyback.dialect import Caller

# --- times and amounts -----------------------------------------------------------------------------------------------


def stamp(at: datetime) -> str:
    """A moment as Maverick writes it: "2025-11-17 15:01:03", UTC (provider docs: refund page)."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def written(minor: int, code: str) -> str:
    """An amount as Maverick writes it: text with the currency's decimal places, two for US dollars."""
    return to_major(minor, currency(code))


# --- settings of a credential ----------------------------------------------------------------------------------------


TERMINAL: Final = 24
"""The terminal of a payment that states none: the one of the provider's examples."""
CURRENCY: Final = "USD"
"""Of every payment made through this API: no request and no record has a member for it."""
METHOD: Final = "card"
"""How every payment of Maverick's gateway was paid."""


class Settings(msgspec.Struct, frozen=True):
    """Where Maverick's own behaviour is not known, a credential's profile may choose another than the default."""

    terminal_id: int | None = None  # the one terminal that the token may charge; None: any
    missing_terminal: Literal[422, 404, "infer"] = 422
    decline_mode: Literal[422, 200] = 422
    duplicate_window_s: int = 0
    lenient_filters: bool = False
    error_code: Literal["status", 0] = "status"
    webhook_on_refund: Literal["refund", "create"] = "refund"


DEFAULTS: Final = Settings()


def settings_of(caller: Caller) -> Settings:
    """The settings of a caller. Raises msgspec.ValidationError for a profile that says something else."""
    return msgspec.convert(dict(caller.profile), Settings)


# --- how a refund is shown -------------------------------------------------------------------------------------------


class Status(StrEnum):
    """`status.status` (provider docs: status page, list payments page). `Declined` is also spelt `Decline` there."""

    IN_PROGRESS = "InProgress"
    APPROVED = "Approved"
    DECLINED = "Declined"
    ERROR = "Error"


SHOWN: Final[Mapping[State, Status]] = MappingProxyType(
    {
        State.AWAITING_APPROVAL: Status.IN_PROGRESS,
        State.SCHEDULED: Status.IN_PROGRESS,
        State.READY: Status.IN_PROGRESS,
        State.SENDING: Status.IN_PROGRESS,
        State.PENDING: Status.IN_PROGRESS,
        State.REQUIRES_ACTION: Status.IN_PROGRESS,
        State.UNKNOWN: Status.IN_PROGRESS,
        State.NEEDS_REVIEW: Status.IN_PROGRESS,
        State.SUCCEEDED: Status.APPROVED,
        State.RETURNED: Status.ERROR,
        State.FAILED: Status.DECLINED,
        State.CANCELED: Status.DECLINED,
    }
)
"""Every state of a refund or release. Doubt is "not ended yet", never an error: an error invites a second refund."""


# --- reasons ---------------------------------------------------------------------------------------------------------

NOT_ALLOWED: Final = "Return Not Allowed"
MODIFY_NOT_ALLOWED: Final = "Modify Transaction Not Allowed"
SETTLING: Final = "Unable to process your request. Settlement InProgress."
DUPLICATE: Final = "Possible Duplicate Request"
FUNDS: Final = "Insufficient Funds"
DECLINED: Final = "Declined"
MONEY_BACK: Final = "The money came back"
"""Our own word for a refund that was approved and then undone: Maverick has none."""
_PRIVILEGES: Final = "Insufficient privileges"
_SUPERVISOR: Final = "Supervisor Override Required"
_UNAVAILABLE: Final = "Functionality currently not available"

REASONS: Final = frozenset(
    {
        *(NOT_ALLOWED, FUNDS, DUPLICATE, _PRIVILEGES, _SUPERVISOR, _UNAVAILABLE, MODIFY_NOT_ALLOWED),
        "Duplicate Request (Approved previously)",
        "Duplicate Request (Reversed previously)",
        "Reversal Not Allowed",
        "Inactive Device (Terminal)",
        "Device (Terminal) Configuration missing",
        "Incremental Auth Not Allowed",
        SETTLING,
    }
)
"""`status.reason` as far as it is published (provider docs: status page)."""

STUMBLES: Final = frozenset(
    {"Time out", "System Error", "Error on Host", "Host connectivity failed", "Issuer or Switch inoperative"}
)
"""Reasons of a record that did not go well because something broke, not because anybody declined it."""

_REASON_OF_FAILURE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unsupported": _UNAVAILABLE,
        "disputed": MODIFY_NOT_ALLOWED,
        "funds": FUNDS,
        "window": NOT_ALLOWED,
        "policy": _PRIVILEGES,
        "rejected": _PRIVILEGES,
        "withdrawn": "Canceled before it was sent",
        "provider_canceled": "Canceled by the processor",
        "came_back": MONEY_BACK,
        "not_sent": "Host connectivity failed",
        Reason.INSUFFICIENT_FUNDS.value: FUNDS,
        Reason.EQUAL_AMOUNT_TOO_SOON.value: DUPLICATE,
        Reason.POLICY_FORBIDS.value: _PRIVILEGES,
        Reason.SECOND_PERSON_NEEDED.value: _SUPERVISOR,
        Reason.PAYMENT_DISPUTED.value: MODIFY_NOT_ALLOWED,
        Reason.FULL_UNSUPPORTED.value: _UNAVAILABLE,
        Reason.PARTIAL_UNSUPPORTED.value: _UNAVAILABLE,
        Reason.FEES_NOT_RETURNABLE.value: _UNAVAILABLE,
        Reason.BELOW_MINIMUM.value: _UNAVAILABLE,
        Reason.LEAVES_UNREFUNDABLE_REST.value: _UNAVAILABLE,
        Reason.DESTINATION_NEEDED.value: _UNAVAILABLE,
        **dict.fromkeys(
            (
                Reason.WINDOW_NOT_OPEN.value,
                Reason.WINDOW_CLOSED.value,
                Reason.KIND_UNSUPPORTED.value,
                Reason.NOTHING_LEFT.value,
                Reason.EXCEEDS_REFUNDABLE.value,
                Reason.EXCEEDS_WALLET_SHARE.value,
                Reason.EXCEEDS_FEES.value,
                Reason.PAYMENT_FAILED.value,
                Reason.PAYMENT_PROCESSING.value,
                Reason.PAYMENT_NOT_CAPTURED.value,
            ),
            NOT_ALLOWED,
        ),
    }
)
"""From our failure classes, from the reason of a refund that was blocked or born failed, and from bare events."""


def reason_of(refund: Refund) -> str | None:
    """`status.reason` of a refund: null unless it ended badly."""
    if SHOWN[refund.state] not in (Status.DECLINED, Status.ERROR):
        return None
    code = refund.provider_code or ""
    if code in REASONS or " " in code:  # only a part of Maverick's reasons is published; all of them are phrases
        return code
    return _REASON_OF_FAILURE.get(refund.failure or "") or refund.message or DECLINED


# --- refusals of the refund call -------------------------------------------------------------------------------------


class Word(Enum):
    """In which of Maverick's errors a reason is said."""

    MOVED_ON = "moved on"  # not said at all: the handler looks again and asks anew
    NOT_FOUND = "not found"
    NOT_ALLOWED = "not allowed"
    NOT_POSITIVE = "not positive"
    TOO_MUCH = "too much"
    PARTS = "parts"
    PROCESSOR = "processor"


_SAID: Final[Mapping[Word, tuple[Reason, ...]]] = MappingProxyType(
    {
        Word.MOVED_ON: (Reason.PAYMENT_MOVED_ON,),
        Word.NOT_FOUND: (
            Reason.PAYMENT_NOT_FOUND,
            Reason.REFUND_NOT_FOUND,
            Reason.ORDER_NOT_FOUND,
            Reason.CASE_NOT_FOUND,
        ),
        Word.NOT_ALLOWED: (
            Reason.PAYMENT_FAILED,
            Reason.PAYMENT_PROCESSING,
            Reason.PAYMENT_NOT_CAPTURED,
            Reason.AMOUNT_UNKNOWN,
            Reason.STATE_FORBIDS,
            Reason.NOTHING_LEFT,
            Reason.PAYMENT_DISPUTED,
            Reason.KIND_UNSUPPORTED,
            Reason.ONE_AT_A_TIME,
            Reason.CURRENCY_MISMATCH,
            Reason.BAD_REQUEST,
            Reason.KEY_REUSED,
            Reason.ALREADY_EXISTS,
            Reason.EVIDENCE_MOVED_ON,
        ),
        Word.NOT_POSITIVE: (Reason.AMOUNT_NOT_POSITIVE,),
        Word.TOO_MUCH: (Reason.EXCEEDS_REFUNDABLE, Reason.EXCEEDS_WALLET_SHARE, Reason.EXCEEDS_FEES),
        Word.PARTS: (Reason.EXCEEDS_PARTS,),
        Word.PROCESSOR: (
            Reason.EQUAL_AMOUNT_TOO_SOON,
            Reason.WINDOW_NOT_OPEN,
            Reason.WINDOW_CLOSED,
            Reason.PARTIAL_UNSUPPORTED,
            Reason.FULL_UNSUPPORTED,
            Reason.FEES_NOT_RETURNABLE,
            Reason.BELOW_MINIMUM,
            Reason.LEAVES_UNREFUNDABLE_REST,
            Reason.DESTINATION_NEEDED,
            Reason.POLICY_FORBIDS,
            Reason.SECOND_PERSON_NEEDED,
            Reason.INSUFFICIENT_FUNDS,
        ),
    }
)

PRECEDENCE: Final = tuple(reason for reasons in _SAID.values() for reason in reasons)
"""What is complained of first: the transaction exists, its type and state, its amount, the captured bound, the order's
parts; what only a processor can find out comes last."""

WORDS: Final[Mapping[Reason, Word]] = MappingProxyType(
    {reason: word for word, reasons in _SAID.items() for reason in reasons}
)

KEPT: Final = frozenset(_SAID[Word.PROCESSOR])
"""Maverick has no windows, minimums or policies of its own: where a rail has them its processor declines, and a
declined return stays visible as a record (provider docs: status page)."""


class Complaint(msgspec.Struct, frozen=True):
    """One error: its HTTP status and its sentence."""

    status: int
    message: str


NOT_FOUND: Final = Complaint(404, "The requested transaction does not exist.")
RETURN_NOT_ALLOWED: Final = Complaint(422, NOT_ALLOWED)
CAPTURE_NOT_ALLOWED: Final = Complaint(422, MODIFY_NOT_ALLOWED)

_NAMES: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not Found",
        405: "Method Not Allowed",
        413: "Payload Too Large",
        422: "Unprocessable entity",
        500: "Internal Server Error",
        503: "Service Unavailable",
    }
)


def envelope(complaint: Complaint, settings: Settings = DEFAULTS) -> dict[str, Any]:
    """Maverick's error body. `code` repeats the HTTP status, as its reference shows; some answers carry 0 there."""
    status = complaint.status
    code = status if settings.error_code == "status" else 0
    return {"name": _NAMES[status], "message": complaint.message, "code": code, "status": status}


def complaint_of(refusal: Refusal, payment: Payment) -> Complaint:
    """The first reason of a refusal that admitted nothing, in Maverick's words."""
    first = refusal.first
    match WORDS[first.reason]:
        case Word.NOT_FOUND:
            return NOT_FOUND
        case Word.NOT_POSITIVE:
            return invalid("Amount must be greater than 0.")
        case Word.TOO_MUCH:
            left = first.figures.get("refundable", payment.refundable)
            assert isinstance(left, int)
            return too_much(left, payment.currency)
        case Word.PARTS:
            return invalid(_parts_sentence(first, payment))
        case _:
            return RETURN_NOT_ALLOWED


class Part(StrEnum):
    """Which rule about an order's parts was broken: the value names what may be at most so much."""

    SUBTOTAL = "Amount without order.tax and order.discounts"
    TAX = "Order tax"
    DISCOUNTS = "Order discounts"
    GOODS = "Amount less order.tax plus order.discounts"


def _parts_sentence(failing: Failing, payment: Payment) -> str:
    limit, part = failing.figures.get("limit"), failing.figures.get("part")
    if not isinstance(limit, int):
        return "Order amounts do not fit the original order."
    return f"{part} must be no greater than {written(limit, payment.currency)}."


def too_much(limit: int, code: str) -> Complaint:
    """An amount is more than there is: `limit` minor units of the currency."""
    return invalid(f"Amount must be no greater than {written(limit, code)}.")


def invalid(message: str) -> Complaint:
    """A request that is understood and refused, or a member of one."""
    return Complaint(422, message)
