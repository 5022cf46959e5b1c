"""CHIP Collect as we serve it: the refund call and the Purchase read, with their errors, faults and credentials."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, Final, assert_never

from moneyback.core.commands import Admitted, Joined
from moneyback.core.payment import Asked, Payment
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.dialect import (
    Ask,
    AskRefund,
    Await,
    Caller,
    Conversation,
    Fault,
    FindPayment,
    Incoming,
    Instant,
    NewId,
    Outgoing,
    Presented,
    RefundsOf,
    Route,
)
from moneyback.dialects.chip.objects import WAIT_S, purchase, refund_payment
from moneyback.dialects.chip.wire import (
    ALL,
    SHOWN,
    TOO_SMALL,
    WORDS,
    Complaint,
    Shown,
    Status,
    Word,
    attempt_error,
    not_possible,
    read_amount,
    status,
    too_large,
    wrong_status,
)

# --- the refund call -------------------------------------------------------------------------------------------------

_UNSENT_OR_SENDING: Final = (State.READY, State.SENDING)


def refund_purchase(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /purchases/{id}/refund/: a Payment, a Purchase in pending_refund, or 400 with CHIP's error."""
    payment = yield from _find(incoming)
    if payment is None:
        return _NOT_FOUND
    amount = read_amount(incoming.body)
    if isinstance(amount, Complaint):
        return _refused(amount)
    fresh = yield NewId()
    ask = AskRefund(payment=payment, asked=Asked(payer=amount), request={"amount": amount}, dialect_id=str(fresh))
    result = yield ask
    wait_s = WAIT_S
    if isinstance(result, Refusal) and result.first.reason is Reason.ONE_AT_A_TIME:
        result, wait_s = yield from _in_turn(ask)
    match result:
        case Refusal():
            return _refused(_complaint(result, payment))
        case Admitted(refund=refund, refusal=Refusal()):
            return _processing_error(refund)
        case Admitted(refund=refund) | Joined(refund=refund):
            refund, payment = yield Await(refund, wait_s)
            return (yield from _answer(refund, payment, caller))
        case _:
            raise AssertionError(f"a refund without a key cannot end as {result!r}")


def _in_turn(ask: AskRefund) -> Generator[Ask, Any, tuple[Any, float]]:
    """Wait for the refund before us as long as its own client still waits for it, then ask again.

    CHIP serialises the refunds of one Purchase: until the first is answered, nobody has seen `pending_refund`, so that
    is no reason to refuse the second. Returns the result and the seconds left of the one wait that all share.
    """
    began = yield Instant()
    left_s = WAIT_S
    while True:
        refunds: tuple[Refund, ...] = yield RefundsOf(ask.payment.id)
        before = next((each for each in refunds if each.state in _UNSENT_OR_SENDING), None)
        over = before is None
        if before is not None:
            before, _ = yield Await(before, left_s)
            over = before.state in _UNSENT_OR_SENDING
        result = yield ask
        now = yield Instant()
        left_s = max(0.0, WAIT_S - (now - began).total_seconds())
        waits = isinstance(result, Refusal) and result.first.reason is Reason.ONE_AT_A_TIME
        if not waits or over or not left_s:
            return result, left_s


def _answer(refund: Refund, payment: Payment, caller: Caller) -> Conversation:
    match SHOWN[refund.state]:
        case Shown.PAYMENT:
            return Outgoing(body=refund_payment(refund, payment, caller))
        case Shown.PENDING:
            refunds: tuple[Refund, ...] = yield RefundsOf(payment.id)
            # One moment for all of it: the refund and the payment as they stood when the wait ended.
            as_awaited = tuple(refund if each.id == refund.id else each for each in refunds)
            return Outgoing(body=purchase(payment, as_awaited, caller))
        case Shown.ERROR:
            return _processing_error(refund)
        case unexpected:
            assert_never(unexpected)


def _complaint(refusal: Refusal, payment: Payment) -> Complaint:
    reason = refusal.first.reason
    match WORDS[reason]:
        case Word.NOT_FOUND:
            return _NOT_FOUND_COMPLAINT
        case Word.MIN_VALUE:
            return TOO_SMALL
        case Word.MAX_VALUE:
            limit = refusal.first.figures.get("refundable", payment.refundable)
            return too_large(limit if isinstance(limit, int) else payment.refundable)
        case Word.WRONG_STATUS:
            return wrong_status(_status_against(reason, payment))
        case Word.NOT_POSSIBLE:
            taken_back = reason is Reason.NOTHING_LEFT and status(payment) is Status.CHARGEBACK
            return wrong_status(Status.CHARGEBACK) if taken_back else not_possible(reason)
        case Word.PROCESSING:
            return Complaint(ALL, Word.PROCESSING.value, f"The refund was refused: {reason.value.replace('_', ' ')}.")
        case unexpected:
            assert_never(unexpected)


def _status_against(reason: Reason, payment: Payment) -> Status:
    """The status that stands in the way, which may be newer than the payment that was read before the lock."""
    match reason:
        case Reason.ONE_AT_A_TIME:
            return Status.PENDING_REFUND
        case Reason.PAYMENT_DISPUTED:
            return Status.CHARGEBACK
        case _:
            return status(payment)


def _processing_error(refund: Refund) -> Outgoing:
    """The failed attempt holds the code (provider docs: refund page); its sentence is repeated here for a reader."""
    return _refused(Complaint(ALL, Word.PROCESSING.value, attempt_error(refund)["message"]))


# --- the Purchase read -----------------------------------------------------------------------------------------------


def read_purchase(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /purchases/{id}/: the Purchase."""
    payment = yield from _find(incoming)
    if payment is None:
        return _NOT_FOUND
    refunds: tuple[Refund, ...] = yield RefundsOf(payment.id)
    return Outgoing(body=purchase(payment, refunds, caller))


def _find(incoming: Incoming) -> Generator[Ask, Any, Payment | None]:
    """The Purchase of the path. Ids are lower-case UUIDs; some clients keep them in capitals."""
    found: Payment | None = yield FindPayment(incoming.arguments["id"].lower())
    return found


# --- errors ----------------------------------------------------------------------------------------------------------


def _refused(complaint: Complaint, code: int = 400) -> Outgoing:
    """CHIP's error body. A field's error is repeated under `__all__`, in list form, which CHIP itself does not do.

    CHIP's WooCommerce plugin and its kin take an answer without `__all__` for a success and record a refund that never
    was; nobody is hurt by reading the error twice.
    """
    errors = [{"message": complaint.message, "code": complaint.code}]
    if complaint.field == ALL:
        return Outgoing(status=code, body={ALL: errors})
    return Outgoing(status=code, body={complaint.field: errors, ALL: errors})


_NOT_FOUND_COMPLAINT: Final = Complaint(ALL, Word.NOT_FOUND.value, "Not found.")
_NOT_FOUND: Final = _refused(_NOT_FOUND_COMPLAINT, 404)

_FAULTS: Final[Mapping[Fault, tuple[int, str, str]]] = MappingProxyType(
    {
        Fault.UNAUTHENTICATED: (401, "authentication_failed", "Incorrect secret_key"),
        Fault.FORBIDDEN: (403, "permission_denied", "You do not have permission to perform this action."),
        Fault.NOT_FOUND: (404, "not_found", "Not found."),
        Fault.METHOD_NOT_ALLOWED: (405, "method_not_allowed", "Method not allowed."),
        Fault.BAD_BODY: (400, "parse_error", "The request body could not be parsed."),
        Fault.TOO_LARGE: (413, "request_too_large", "The request body is too large."),
        Fault.UNAVAILABLE: (503, "service_unavailable", "Nothing was done. Please try again later."),
        Fault.INTERNAL: (500, "error", "An internal error occurred."),
    }
)


def fault(kind: Fault, incoming: Incoming | None) -> Outgoing:
    """What a mount meets before or instead of a handler, in CHIP's error form."""
    code, word, message = _FAULTS[kind]
    headers: dict[str, str] = {}
    match kind:
        case Fault.UNAUTHENTICATED:
            headers["WWW-Authenticate"] = "Bearer"
            if incoming is not None and presented(incoming) is None:
                word, message = "not_authenticated", "Authentication credentials were not provided."
        case Fault.METHOD_NOT_ALLOWED if incoming is not None:
            message = f'Method "{incoming.method}" not allowed.'
        case Fault.UNAVAILABLE:
            headers["Retry-After"] = "1"
        case _:
            pass
    answer = _refused(Complaint(ALL, word, message), code)
    return Outgoing(status=code, body=answer.body, headers=headers)


def presented(incoming: Incoming) -> Presented | None:
    """The secret key of `Authorization: Bearer <key>`, whatever the capitals of its scheme and the spaces around it."""
    scheme, _, key = incoming.headers.get("authorization", "").strip().partition(" ")
    return Presented(key.strip()) if scheme.lower() == "bearer" and key.strip() else None


# --- routes ----------------------------------------------------------------------------------------------------------

_ERRORS: Final = {
    "type": "object",
    "required": [ALL],
    "additionalProperties": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["message", "code"],
            "properties": {"message": {"type": "string"}, "code": {"type": "string"}},
        },
    },
}
_PURCHASE: Final = {
    "type": "object",
    "required": ["status", "refund_availability", "refundable_amount", "transaction_data", "type", "id"],
    "properties": {
        "type": {"const": "purchase"},
        "id": {"type": "string", "format": "uuid"},
        "status": {"type": "string"},
        "refund_availability": {"type": "string"},
        "refundable_amount": {"type": "integer", "minimum": 0},
        "transaction_data": {"type": "object"},
    },
}
_PAYMENT: Final = {
    "type": "object",
    "required": ["type", "id", "payment", "related_to", "status"],
    "properties": {
        "type": {"const": "payment"},
        "id": {"type": "string", "format": "uuid"},
        "payment": {"type": "object"},
        "related_to": {"type": "object"},
        "status": {"const": "success"},
    },
}
_REFUND_BODY: Final = {
    "type": "object",
    "properties": {
        "amount": {
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "Minor units of the Purchase's currency. Without it, what remains is refunded.",
        }
    },
}
_ENCODINGS: Final = ("json", "form", "multipart")

ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/purchases/{id}/refund/",
        handle=refund_purchase,
        kind="guarded",
        accepts=_ENCODINGS,
        summary="Refund a paid purchase",
        request_schema=_REFUND_BODY,
        response_schema={"anyOf": [_PAYMENT, _PURCHASE, _ERRORS]},
    ),
    Route(
        method="GET",
        path="/api/v1/purchases/{id}/",
        handle=read_purchase,
        accepts=_ENCODINGS,
        summary="Retrieve a purchase",
        response_schema={"anyOf": [_PURCHASE, _ERRORS]},
    ),
)
