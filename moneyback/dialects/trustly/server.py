"""Trustly's API as we serve it: refunds, and the transactions they can be read from.

A refund is answered at once, as pending: Trustly settles with the bank days later, and tells nobody in between.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import msgspec

from moneyback.core.commands import Admitted, Joined
from moneyback.core.money import BadAmount
from moneyback.core.payment import Asked, Payment
from moneyback.core.refund import Refund
from moneyback.core.refusals import Reason, Refusal
from moneyback.dialect import (
    AskRefund,
    Caller,
    Conversation,
    Fault,
    FindPayment,
    FindRefund,
    Incoming,
    Outgoing,
    PaymentOf,
    Presented,
    Route,
)
from moneyback.dialects.trustly.records import Record, answer, original_record, payment_reference, refund_record
from moneyback.dialects.trustly.schemas import REFUND_REQUEST, TRANSACTION
from moneyback.dialects.trustly.wire import Status, Type, amount_minor, amount_written

# The sandbox's own answers name this package; the newer name in the documentation is not what the wire shows.
_DOMAIN: Final = "com.paywithmybank.merchantgateway.v1.exception."
_INVALID_PARAMETER: Final = 200
_ACCESS_CONTROL: Final = 375
_INTERNAL: Final = 100

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


class Wanted(msgspec.Struct, frozen=True):
    """What a refund request says, its shape checked. `amount` None: what remains."""

    reference: str | None
    amount: str | int | Decimal | None


class BadParameter(Exception):
    """A request that cannot be read; the message is for its sender."""


# --- the two calls ---------------------------------------------------------------------------------------------------


def refund_transaction(incoming: Incoming, caller: Caller) -> Conversation:
    """Give a completed capture or payment back, in part or what remains of it."""
    number = incoming.arguments["transactionId"]
    try:
        wanted = parse_refund(incoming.body)
    except BadParameter as bad:
        return invalid(str(bad))
    payment: Payment | None = yield FindPayment(number)
    if payment is None:
        return (yield from _not_an_original(number))
    try:
        asked = Asked() if wanted.amount is None else Asked(payer=amount_minor(wanted.amount, payment))
    except BadAmount as bad_amount:
        return invalid(_in_words(bad_amount))
    result = yield AskRefund(
        payment=payment,
        asked=asked,
        reference=wanted.reference,
        request={"merchantReference": wanted.reference or payment_reference(payment)},
        distinct=wanted.reference,
    )
    match result:
        case Refusal() as refusal:
            return invalid(SENTENCES[refusal.first.reason])
        case Admitted(refund=refund, payment=after):
            # Trustly's first answer is always "pending", whatever has become of the refund in the meantime.
            return _shown(refund_record(refund, after, Status.PENDING), after, caller)
        case Joined(refund=refund, payment=after):
            return _shown(refund_record(refund, after), after, caller)
        case _:
            raise AssertionError(f"an idempotency key has no place here: {result}")


def read_transaction(incoming: Incoming, caller: Caller) -> Conversation:
    """Show an original or a refund; both are transactions and share one row of numbers."""
    number = incoming.arguments["transactionId"]
    payment: Payment | None = yield FindPayment(number)
    if payment is not None:
        return _shown(original_record(payment), payment, caller)
    refund: Refund | None = yield FindRefund(number)
    if refund is None:
        return unknown(number)
    payment_of: Payment = yield PaymentOf(refund.payment)
    return _shown(refund_record(refund, payment_of), payment_of, caller)


def _not_an_original(number: str) -> Conversation:
    refund: Refund | None = yield FindRefund(number)
    if refund is None:
        return unknown(number)
    return invalid(f"Transaction type {Type.REFUND.value} cannot be refunded")


def _shown(record: Record, payment: Payment, caller: Caller) -> Outgoing:
    return Outgoing(body=answer(record, payment, caller))


# --- what arrives ----------------------------------------------------------------------------------------------------


def parse_refund(body: object) -> Wanted:
    """The two parameters, both optional (provider docs: Refund transaction). Raises BadParameter.

    A JSON null is a parameter left out. An empty amount is not: it is a mistake that must not refund everything.
    """
    if body is None:
        return Wanted(None, None)
    if not isinstance(body, Mapping):
        raise BadParameter("The request must consist of named parameters")
    reference, amount = body.get("merchantReference"), body.get("amount")
    if isinstance(reference, bool) or not isinstance(reference, str | int | None):
        raise BadParameter("Parameter merchantReference must be text")
    try:
        written = None if amount is None else amount_written(amount)
    except BadAmount as bad:
        raise BadParameter(_in_words(bad)) from None
    return Wanted(None if reference in (None, "") else str(reference), written)


def _in_words(bad: BadAmount) -> str:
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


def invalid(message: str, status: int = 400) -> Outgoing:
    """An invalid parameter; also what a transaction or its balance does not allow (provider docs: Errors)."""
    return _error(status, "InvalidParameterException", _INVALID_PARAMETER, message)


def unknown(number: str) -> Outgoing:
    """No such transaction of this merchant. Not a 404, which says "no such endpoint" (provider docs: Errors)."""
    return invalid(f"Could not find a transaction using Id {number}")


def fault(what: Fault, _incoming: Incoming | None) -> Outgoing:
    """Trustly's words for what a mount meets before or instead of a handler."""
    match what:
        case Fault.UNAUTHENTICATED | Fault.FORBIDDEN:
            return _error(401, "AccessControlException", _ACCESS_CONTROL, "Access not authorized")
        case Fault.NOT_FOUND:
            return invalid("The endpoint is not supported", 404)
        case Fault.METHOD_NOT_ALLOWED:
            return invalid("The method is not supported by this endpoint", 405)
        case Fault.BAD_BODY:
            return invalid("The request could not be read")
        case Fault.TOO_LARGE:
            return invalid("The request is too large", 413)
        case Fault.UNAVAILABLE:
            busy = _error(503, "ServiceUnavailableException", _INTERNAL, "The service is temporarily unavailable")
            return msgspec.structs.replace(busy, headers={"retry-after": "1"})
        case Fault.INTERNAL:
            return _error(500, "InternalErrorException", _INTERNAL, "Internal error")


def _error(status: int, exception: str, code: int, message: str) -> Outgoing:
    error = {"domain": _DOMAIN + exception, "code": code, "message": message}
    return Outgoing(status=status, body={"errors": [error]})


ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/transactions/{transactionId}/refund",
        handle=refund_transaction,
        kind="guarded",
        accepts=("form", "json"),
        summary="Refund a completed Capture or Pay transaction, in part or in full",
        request_schema=REFUND_REQUEST,
        response_schema=TRANSACTION,
    ),
    Route(
        method="GET",
        path="/api/v1/transactions/{transactionId}",
        handle=read_transaction,
        accepts=("form", "json"),  # the provider's own example client declares a form on every call
        summary="Read a transaction: an original or a refund",
        response_schema=TRANSACTION,
    ),
)
