"""Truust's errors in words: what every refusal and every fault is answered with.

The provider has no error codes: an HTTP status, a message, and for 422 sentences by field (provider docs: errors).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from moneyback.core.money import currency, to_major
from moneyback.core.refusals import Reason, Refusal
from moneyback.dialect import Fault, Incoming, Outgoing
from moneyback.dialects.truust.fields import Errors


class Words(msgspec.Struct, frozen=True):
    """How a reason is said: the status, the field it is about, and the sentence; `{figure}` is an amount."""

    status: int
    field: str
    sentence: str


_NOT_CAPTURED: Final = (
    "The payin is only authorized. Release it with the cancelpreauth call; only a confirmed payin can be refunded."
)
_MOVED_ON: Final = Words(422, "payin", "The payin has changed in the meantime.")

WORDS: Final[Mapping[Reason, Words]] = MappingProxyType(
    {
        # there is none
        Reason.PAYMENT_NOT_FOUND: Words(404, "", "Not found"),
        Reason.REFUND_NOT_FOUND: Words(404, "", "Not found"),
        Reason.CASE_NOT_FOUND: Words(404, "", "Not found"),
        # there are none of this kind
        Reason.KIND_UNSUPPORTED: Words(403, "", "Refunds are not supported for this payment method."),
        # the parameters
        Reason.DESTINATION_NEEDED: Words(
            422, "bankaccount_id", "The bankaccount id field is required when the payin is a bank wire."
        ),
        Reason.CURRENCY_MISMATCH: Words(422, "multipayin", "The payins of the order have different currencies."),
        Reason.ORDER_NOT_FOUND: Words(422, "multipayin", "The payins of the order have changed in the meantime."),
        Reason.BAD_REQUEST: Words(422, "payin", "The refund cannot be taken as it is."),
        Reason.KEY_REUSED: Words(422, "payin", "The same key was used for another request."),
        Reason.ALREADY_EXISTS: Words(422, "payin", "The payin exists already."),
        Reason.PAYMENT_MOVED_ON: _MOVED_ON,
        Reason.EVIDENCE_MOVED_ON: _MOVED_ON,
        # the payin's state
        Reason.PAYMENT_FAILED: Words(422, "payin", "The payin was not paid. Only a confirmed payin can be refunded."),
        Reason.PAYMENT_PROCESSING: Words(
            422, "payin", "The payin is not paid yet. Only a confirmed payin can be refunded."
        ),
        Reason.PAYMENT_NOT_CAPTURED: Words(422, "payin", _NOT_CAPTURED),
        Reason.AMOUNT_UNKNOWN: Words(422, "payin", "The amount of the payin is not known yet."),
        Reason.STATE_FORBIDS: Words(422, "payin", "The payin cannot be refunded now."),
        Reason.PAYMENT_DISPUTED: Words(422, "payin", "The payin is disputed and cannot be refunded."),
        Reason.WINDOW_NOT_OPEN: Words(422, "payin", "The payin cannot be refunded yet."),
        Reason.WINDOW_CLOSED: Words(422, "payin", "The payin cannot be refunded any more."),
        Reason.ONE_AT_A_TIME: Words(422, "payin", "Another refund of the payin has not ended."),
        Reason.NOTHING_LEFT: Words(422, "payin", "The payin has nothing left to refund."),
        # the amount
        Reason.AMOUNT_NOT_POSITIVE: Words(422, "amount", "The amount must be greater than 0."),
        Reason.BELOW_MINIMUM: Words(422, "amount", "The amount must be at least {minimum}."),
        Reason.EXCEEDS_REFUNDABLE: Words(422, "amount", "The amount may not be greater than {refundable}."),
        Reason.EXCEEDS_WALLET_SHARE: Words(422, "amount", "The amount is greater than what the payin's seller got."),
        Reason.EXCEEDS_FEES: Words(422, "amount", "The amount is greater than what the fees of the payin allow."),
        Reason.FEES_NOT_RETURNABLE: Words(422, "amount", "The fees of the payin cannot be refunded."),
        Reason.PARTIAL_UNSUPPORTED: Words(422, "amount", "The payin can only be refunded in full."),
        Reason.FULL_UNSUPPORTED: Words(422, "amount", "The payin can only be refunded in part."),
        Reason.EQUAL_AMOUNT_TOO_SOON: Words(422, "amount", "The same amount was refunded too recently."),
        Reason.LEAVES_UNREFUNDABLE_REST: Words(
            422, "amount", "The amount would leave a rest that is too small to be refunded."
        ),
        Reason.EXCEEDS_PARTS: Words(422, "amount", "The amount is greater than the parts of the payin."),
        # what we are allowed, and have
        Reason.POLICY_FORBIDS: Words(422, "payin", "The refund is not allowed."),
        Reason.SECOND_PERSON_NEEDED: Words(422, "payin", "The refund needs the approval of a second person."),
        Reason.INSUFFICIENT_FUNDS: Words(422, "amount", "The balance does not cover the refund."),
    }
)
"""Every reason in words, in the order of complaint. The provider's own are not published; these are ours."""

PRECEDENCE: Final = tuple(WORDS)


def refused(refusal: Refusal, code: str) -> Outgoing:
    """The first reason of a refusal; `code` is the currency of its figures."""
    words = WORDS[refusal.first.reason]
    if words.status != 422:
        return message(words.status, words.sentence)
    figures: dict[str, Any] = {
        name: to_major(value, currency(code)) if isinstance(value, int) else value
        for name, value in refusal.first.figures.items()
    }
    return invalid({words.field: [words.sentence.format_map(figures)]})


def invalid(errors: Errors) -> Outgoing:
    """Something about the request's fields, or about the payin they name."""
    return Outgoing(status=422, body={"message": "The given data was invalid.", "errors": errors})


def message(status: int, sentence: str, **headers: str) -> Outgoing:
    """An error without fields."""
    return Outgoing(status=status, body={"message": sentence}, headers=headers)


NOT_FOUND: Final = message(404, "Not found")


def fault(kind: Fault, incoming: Incoming | None) -> Outgoing:
    """What a mount meets before or instead of a handler."""
    match kind:
        case Fault.UNAUTHENTICATED:
            return message(401, "Unauthenticated.")
        case Fault.FORBIDDEN:
            return message(403, "This action is not allowed with this key.")
        case Fault.NOT_FOUND:
            return NOT_FOUND
        case Fault.METHOD_NOT_ALLOWED:
            said = f"The {incoming.method} method" if incoming is not None else "This method"
            return message(405, f"{said} is not supported for this route.")
        case Fault.BAD_BODY:
            return invalid({"body": ["The body could not be read."]})
        case Fault.TOO_LARGE:
            return message(413, "The body is too large.")
        case Fault.UNAVAILABLE:
            return message(503, "Nothing was done. Please try again later.", **{"Retry-After": "1"})
        case Fault.INTERNAL:
            return message(500, "Server error.")
