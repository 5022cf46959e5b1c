"""What all calls of Trustly's API as we serve it share: who calls, what parameters look like, and how no is said.

The calls themselves are in files named by what they are about: refunds, captures, establish, transactions, payments.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from decimal import Decimal
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from moneyback.core.money import BadAmount
from moneyback.core.refusals import Reason
from moneyback.dialect import Fault, Incoming, Outgoing, Presented
from moneyback.dialects.trustly.wire import amount_written

ACCEPTS: Final = ("form", "json")
"""The encodings of every body: documented as a form in one place and as JSON in another. A form may be declared where
there is no body at all, as the provider's own example client does."""

# The sandbox's own answers name this package; the newer name in the documentation is not what the wire shows.
_DOMAIN: Final = "com.paywithmybank.merchantgateway.v1.exception."

SENTENCES: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.AMOUNT_NOT_POSITIVE: "The amount must be greater than zero",
        Reason.BELOW_MINIMUM: "The amount is lower than the minimum allowed for a refund",
        Reason.CURRENCY_MISMATCH: "The currency is not the currency of the transaction",
        Reason.BAD_REQUEST: "The request is not valid",
        Reason.PAYMENT_NOT_FOUND: "Could not find the transaction",
        Reason.PAYMENT_FAILED: "The transaction failed and cannot be refunded",
        Reason.PAYMENT_NOT_CAPTURED: "The transaction is not completed and cannot be refunded",
        Reason.PAYMENT_PROCESSING: "The transaction is not completed and cannot be refunded",
        Reason.AMOUNT_UNKNOWN: "The transaction is not completed and cannot be refunded",
        Reason.STATE_FORBIDS: "The status of the transaction does not allow a refund",
        Reason.PAYMENT_DISPUTED: "The transaction is on hold and cannot be refunded",
        Reason.WINDOW_NOT_OPEN: "The transaction cannot be refunded yet",
        Reason.WINDOW_CLOSED: "The transaction cannot be refunded any more",
        Reason.KIND_UNSUPPORTED: "The transaction cannot be refunded",
        Reason.PARTIAL_UNSUPPORTED: "The transaction can only be refunded in full",
        Reason.FULL_UNSUPPORTED: "The transaction can only be refunded in part",
        Reason.ONE_AT_A_TIME: "Another refund of the transaction is not completed",
        Reason.EQUAL_AMOUNT_TOO_SOON: "The same amount was refunded too recently",
        Reason.FEES_NOT_RETURNABLE: "The fees of the transaction cannot be refunded",
        Reason.NOTHING_LEFT: "The transaction has no balance left to refund",
        Reason.EXCEEDS_REFUNDABLE: "The amount is greater than the balance of the transaction",
        Reason.EXCEEDS_WALLET_SHARE: "The amount is greater than the merchant's share of the transaction",
        Reason.EXCEEDS_FEES: "The amount is greater than the fees of the transaction",
        Reason.LEAVES_UNREFUNDABLE_REST: "The amount leaves a balance too small to be refunded",
        Reason.EXCEEDS_PARTS: "The amount is greater than the parts of the transaction",
        Reason.DESTINATION_NEEDED: "A bank account to refund to is required",
        Reason.POLICY_FORBIDS: "The refund is not allowed",
        Reason.SECOND_PERSON_NEEDED: "The refund needs the approval of a second person",
        Reason.INSUFFICIENT_FUNDS: "The merchant's funds do not cover the refund",
        Reason.PAYMENT_MOVED_ON: "The transaction has changed",
        Reason.EVIDENCE_MOVED_ON: "The transaction has changed",
        Reason.KEY_REUSED: "The request was sent before with other parameters",
        Reason.ALREADY_EXISTS: "The transaction exists already",
        Reason.REFUND_NOT_FOUND: "Could not find the transaction",
        Reason.ORDER_NOT_FOUND: "Could not find the transaction",
        Reason.CASE_NOT_FOUND: "Could not find the transaction",
    }
)
"""Every reason in words. The provider publishes none of its own for refunds, so these are ours.

Their order is the order of complaint: what is wrong with the parameters, with the transaction, with its balance.
"""


class BadParameter(Exception):
    """A request that cannot be read; the message is for its sender."""


# --- what arrives ----------------------------------------------------------------------------------------------------


def parameters(body: object) -> Mapping[str, Any]:
    """The named parameters of a request, none for an empty one. Raises BadParameter."""
    if body is None:
        return {}
    if not isinstance(body, Mapping):
        raise BadParameter("The request must consist of named parameters")
    return body


def reference_in(body: Mapping[str, Any], *, required: bool = False) -> str | None:
    """The `merchantReference`; None when it is left out or empty. Raises BadParameter."""
    reference = text_in(body, "merchantReference")
    if reference is None and required:
        raise BadParameter("Parameter merchantReference is required")
    return reference


def text_in(body: Mapping[str, Any], name: str, longest: int | None = None) -> str | None:
    """A text; a number is taken as one. None when it is left out or empty. Raises BadParameter."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise BadParameter(f"Parameter {name} must be text")
    if value is None or value == "":
        return None
    if longest is not None and len(str(value)) > longest:
        raise BadParameter(f"Parameter {name} is longer than {longest} characters")
    return str(value)


def amount_in_body(body: Mapping[str, Any]) -> str | int | Decimal | None:
    """The `amount` as it is written; None when it is left out. Raises BadParameter.

    A JSON null is a parameter left out. An empty amount is not: it is a mistake that must not move everything.
    """
    amount = body.get("amount")
    try:
        return None if amount is None else amount_written(amount)
    except BadAmount as bad:
        raise BadParameter(in_words(bad)) from None


def in_words(bad: BadAmount) -> str:
    """What is wrong with an amount."""
    return "The amount is longer than 10 characters" if bad.why == "too_large" else str(bad).rstrip(".")


def presented(incoming: Incoming) -> Presented | None:
    """The access id and access key of HTTP Basic; the key may contain colons."""
    scheme, _, encoded = incoming.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        return None
    return Presented(secret, user) if colon and user and secret else None


# --- what is answered when it is no ----------------------------------------------------------------------------------


class Code(IntEnum):
    """Error codes (provider docs: Errors)."""

    INTERNAL = 100
    INVALID_PARAMETER = 200
    DUPLICATE_REQUEST = 210
    SECURITY = 300
    SECURITY_SANDBOX = 325  # named by the sandbox's table of test accounts only
    EXPIRED_SPLIT_TOKEN = 326
    ACCESS_CONTROL = 375
    INVALID_SPLIT_TOKEN = 380


_EXCEPTIONS: Final[Mapping[Code, tuple[int, str]]] = MappingProxyType(
    {
        Code.INTERNAL: (500, "InternalErrorException"),
        Code.INVALID_PARAMETER: (400, "InvalidParameterException"),
        Code.DUPLICATE_REQUEST: (400, "DuplicateRequestException"),
        Code.SECURITY: (401, "SecurityException"),
        Code.SECURITY_SANDBOX: (401, "SecurityException"),
        Code.EXPIRED_SPLIT_TOKEN: (400, "ExpiredSplitTokenException"),
        Code.ACCESS_CONTROL: (401, "AccessControlException"),
        Code.INVALID_SPLIT_TOKEN: (400, "InvalidSplitTokenException"),
    }
)
"""Each code's HTTP status and exception. Documented are 100, 200, 300, 325 and 375 (provider docs: Testing); the status
of the others is not stated anywhere, and neither are most names."""


def problem(code: Code, message: str) -> Outgoing:
    """An error of a code, under the HTTP status that belongs to it."""
    status, exception = _EXCEPTIONS[code]
    return _error(status, exception, code, message)


def invalid(message: str, status: int = 400) -> Outgoing:
    """An invalid parameter; also what a transaction or its balance does not allow (provider docs: Errors)."""
    return _error(status, "InvalidParameterException", Code.INVALID_PARAMETER, message)


def unknown(number: str) -> Outgoing:
    """No such transaction of this merchant. Not a 404, which says "no such endpoint" (provider docs: Errors)."""
    return invalid(f"Could not find a transaction using Id {number}")


def fault(what: Fault, _incoming: Incoming | None) -> Outgoing:
    """Trustly's words for what a mount meets before or instead of a handler."""
    match what:
        case Fault.UNAUTHENTICATED | Fault.FORBIDDEN:
            return problem(Code.ACCESS_CONTROL, "Access not authorized")
        case Fault.NOT_FOUND:
            return invalid("The endpoint is not supported", 404)
        case Fault.METHOD_NOT_ALLOWED:
            return invalid("The method is not supported by this endpoint", 405)
        case Fault.BAD_BODY:
            return invalid("The request could not be read")
        case Fault.TOO_LARGE:
            return invalid("The request is too large", 413)
        case Fault.UNAVAILABLE:
            busy = _error(503, "ServiceUnavailableException", Code.INTERNAL, "The service is temporarily unavailable")
            return msgspec.structs.replace(busy, headers={"retry-after": "1"})
        case Fault.INTERNAL:
            return problem(Code.INTERNAL, "Internal error")


def _error(status: int, exception: str, code: Code, message: str) -> Outgoing:
    error = {"domain": _DOMAIN + exception, "code": code.value, "message": message}
    return Outgoing(status=status, body={"errors": [error]})
