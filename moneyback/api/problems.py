"""What the native API answers when the answer is no: RFC 9457 problem details with a stable `code`.

HTTP statuses of business refusals live here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from moneyback.api.asgi import encode_json
from moneyback.api.views import ReasonView
from moneyback.core.refusals import Failing, Reason, Refusal

PROBLEM: Final = b"application/problem+json"
RETRY_AFTER_S: Final = 1

R = Reason
STATUSES: Final[Mapping[Reason, int]] = {
    R.PAYMENT_NOT_FOUND: 404,
    R.REFUND_NOT_FOUND: 404,
    R.ORDER_NOT_FOUND: 404,
    R.CASE_NOT_FOUND: 404,
    R.PAYMENT_MOVED_ON: 412,
    R.EVIDENCE_MOVED_ON: 412,
    R.BAD_REQUEST: 400,
    R.ALREADY_EXISTS: 409,
}
"""Every other reason is 422."""

SENTENCES: Final[Mapping[Reason, str]] = {
    R.CURRENCY_MISMATCH: "A refund is in its payment's currency.",
    R.BAD_REQUEST: "The request cannot be read.",
    R.KEY_REUSED: "This Idempotency-Key was used for another request.",
    R.ALREADY_EXISTS: "There is a different payment under this reference.",
    R.PAYMENT_NOT_FOUND: "There is no such payment.",
    R.REFUND_NOT_FOUND: "There is no such refund.",
    R.ORDER_NOT_FOUND: "There is no such order, or its payments changed meanwhile.",
    R.CASE_NOT_FOUND: "There is no such open case.",
    R.PAYMENT_MOVED_ON: "The payment has moved on: what is refundable is not what was expected.",
    R.EVIDENCE_MOVED_ON: "There is newer evidence than the one this answer was given to.",
    R.PAYMENT_FAILED: "The payment failed: no money came in.",
    R.PAYMENT_PROCESSING: "The payment is still being processed.",
    R.PAYMENT_NOT_CAPTURED: "The payment is authorised but not captured.",
    R.AMOUNT_UNKNOWN: "What was captured is not known yet.",
    R.STATE_FORBIDS: "The present state does not allow this.",
    R.PAYMENT_DISPUTED: "The payment is disputed.",
    R.WINDOW_NOT_OPEN: "The payment cannot be refunded yet.",
    R.WINDOW_CLOSED: "The time in which the payment can be refunded is over.",
    R.KIND_UNSUPPORTED: "Payments of this kind cannot be refunded.",
    R.PARTIAL_UNSUPPORTED: "This payment can only be refunded in full.",
    R.FULL_UNSUPPORTED: "This payment can only be refunded in part.",
    R.ONE_AT_A_TIME: "Another refund of this payment has not ended.",
    R.EQUAL_AMOUNT_TOO_SOON: "A refund of the same amount was made too recently.",
    R.FEES_NOT_RETURNABLE: "The platform's fees of this payment cannot be given back.",
    R.AMOUNT_NOT_POSITIVE: "A refund's amount is positive.",
    R.BELOW_MINIMUM: "The amount is below the smallest possible refund.",
    R.NOTHING_LEFT: "Nothing is left to refund.",
    R.EXCEEDS_REFUNDABLE: "The amount exceeds what is refundable.",
    R.EXCEEDS_WALLET_SHARE: "More would leave the merchant's funds than this payment brought them.",
    R.EXCEEDS_FEES: "More fees would be given back than this payment paid.",
    R.LEAVES_UNREFUNDABLE_REST: "What would remain is too small to be refunded later.",
    R.EXCEEDS_PARTS: "A stated part exceeds that part of the payment.",
    R.DESTINATION_NEEDED: "It must be said where the money goes.",
    R.POLICY_FORBIDS: "A policy forbids this.",
    R.SECOND_PERSON_NEEDED: "A second person must do this.",
    R.INSUFFICIENT_FUNDS: "The account the money would come from does not hold enough.",
}
assert set(SENTENCES) == set(Reason)


def refused(refusal: Refusal) -> tuple[int, bytes]:
    """The problem document of a refusal: its first reason leads, and all of them are listed with their figures."""
    first = refusal.first
    status = STATUSES.get(first.reason, 422)
    return status, problem(status, first.reason.value, SENTENCES[first.reason], reasons=reasons(refusal.failing))


def reasons(failing: Iterable[Failing]) -> tuple[ReasonView, ...]:
    """Reasons in words, with their figures."""
    return tuple(
        ReasonView(
            code=each.reason.value,
            detail=SENTENCES[each.reason],
            figures={name: _shown(value) for name, value in each.figures.items()},
        )
        for each in failing
    )


def problem(status: int, code: str, detail: str, **members: Any) -> bytes:
    """One problem document."""
    return encode_json({"type": f"urn:moneyback:{code}", "title": detail, "status": status, "code": code, **members})


def _shown(value: object) -> object:
    if isinstance(value, UUID):
        return value.hex
    return value.isoformat() if isinstance(value, datetime) else value
