"""Single transactions: reading any, canceling what is not processed yet, refreshing an authorisation's data."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import State
from moneyback.core.refusals import Refusal
from moneyback.dialect import (
    Caller,
    Conversation,
    FindPayment,
    Incoming,
    Instant,
    LeaveToProvider,
    NewId,
    NextNumber,
    Outgoing,
    ReleasePayment,
    Route,
    Tell,
    release_of,
)
from moneyback.dialects.trustly.events import REFRESHED, original_event
from moneyback.dialects.trustly.objects import answer
from moneyback.dialects.trustly.records import (
    REVERSE_PREFIX,
    Record,
    original_record,
    original_status,
    original_type,
    refund_record,
    reverse_record,
)
from moneyback.dialects.trustly.schemas import CANCEL_REQUEST, REFRESH, REFRESH_REQUEST, TRANSACTION
from moneyback.dialects.trustly.server import (
    ACCEPTS,
    BadParameter,
    Code,
    invalid,
    parameters,
    problem,
    reference_in,
    text_in,
    unknown,
)
from moneyback.dialects.trustly.standing import family_of, refund_named, stand
from moneyback.dialects.trustly.telling import deliveries
from moneyback.dialects.trustly.wire import CHECKS_ONLY, Status

MESSAGE_MAX: Final = 40
EXPIRED_TOKEN: Final = "ExpiredSplitToken"
"""The word by which the provider's sandbox is told to find a split token expired (provider docs: Testing)."""


# --- reading ---------------------------------------------------------------------------------------------------------


def read_transaction(incoming: Incoming, caller: Caller) -> Conversation:
    """Show a transaction of any type; all of them share one row of numbers (provider docs: Transaction ID).

    In front of Trustly all but refunds of ours are shown by Trustly itself, which alone knows bank and consumer.
    """
    number = incoming.arguments["transactionId"]
    payment: Payment | None = yield FindPayment(number)
    if payment is not None:
        payment = yield from stand(payment)
        return (yield from _shown(original_record(payment), payment, caller))
    found = yield from refund_named(number)
    if found is not None:
        return (yield from _shown(refund_record(*found), found[1], caller))
    returned = yield from _returned(number)
    return unknown(number) if returned is None else (yield from _shown(reverse_record(returned), returned, caller))


def _returned(number: str) -> Any:
    """The original whose return has this id."""
    if not number.startswith(REVERSE_PREFIX):
        return None
    payment: Payment | None = yield FindPayment(number.removeprefix(REVERSE_PREFIX))
    return payment if payment is not None and payment.clawed_back else None


def _shown(record: Record, payment: Payment, caller: Caller) -> Conversation:
    family = yield from family_of(payment)
    return Outgoing(body=answer(record, family, caller))


# --- canceling -------------------------------------------------------------------------------------------------------


def cancel_transaction(incoming: Incoming, caller: Caller) -> Conversation:
    """Cancel what is not processed yet; of an authorisation, take back the consumer's mandate.

    What an authorisation led to stays as it is (provider docs: Cancel transaction). Once money has moved there is
    nothing to cancel: a refund gives it back.
    """
    number = incoming.arguments["transactionId"]
    try:
        parse_cancel(incoming.body)
    except BadParameter as bad:
        return invalid(str(bad))
    payment: Payment | None = yield FindPayment(number)
    if payment is None:
        refund = yield from refund_named(number)
        return unknown(number) if refund is None else invalid("A refund cannot be canceled")
    payment = yield from stand(payment)
    if payment.condition is Condition.CAPTURED:
        return invalid(_past_canceling(payment))
    yield LeaveToProvider(number)  # of what has not come in, whoever holds it decides
    released = yield ReleasePayment(payment=payment, dialect_id=str((yield NextNumber())))
    if isinstance(released, Refusal):
        waits = payment.condition is Condition.AUTHORIZED
        return invalid("The transaction can no longer be canceled" if waits else _past_canceling(payment))
    release = release_of(released)
    if release is not None and release.state is State.FAILED:
        return invalid("The transaction could not be canceled")
    return (yield from _shown(original_record(released), released, caller))


def _past_canceling(payment: Payment) -> str:
    status = original_status(payment)
    if status in (Status.CANCELED, Status.VOIDED):
        return "The transaction is canceled already"
    if status in (Status.FAILED, Status.DENIED, Status.EXPIRED):
        return f"The status of the transaction is {status.message}: there is nothing to cancel"
    return "The transaction is processed and can no longer be canceled: refund it instead"


def parse_cancel(body: object) -> None:
    """All parameters are optional, and none changes what is done (provider docs: Cancel transaction). BadParameter."""
    said = parameters(body)
    reference_in(said)
    text_in(said, "message", MESSAGE_MAX)
    text_in(said, "signature")
    reason = said.get("reason")
    if isinstance(reason, bool) or not isinstance(reason, str | int | Decimal | None):
        raise BadParameter("Parameter reason must be a number")
    if isinstance(reason, str) and reason and not (reason.isascii() and reason.removeprefix("-").isdecimal()):
        raise BadParameter("Parameter reason must be a number")


# --- refreshing ------------------------------------------------------------------------------------------------------


def refresh_transaction(incoming: Incoming, caller: Caller) -> Conversation:
    """Begin to fetch an authorisation's data anew. The sandbox has none that could be old, so it has ended at once."""
    number = incoming.arguments["transactionId"]
    try:
        token = text_in(parameters(incoming.body), "splitToken")
    except BadParameter as bad:
        return invalid(str(bad))
    if token is None:
        return invalid("Parameter splitToken is required")
    payment: Payment | None = yield FindPayment(number)
    if payment is None:
        return unknown(number)
    kind = original_type(payment)
    if kind not in CHECKS_ONLY:
        return invalid(f"Transaction type {kind.value} cannot be refreshed")
    if (refused := token_refused(token)) is not None:
        return refused
    process: UUID = yield NewId()
    now: datetime = yield Instant()
    for each in (yield from deliveries(original_event(REFRESHED, payment), payment, process, now, caller)):
        yield Tell(id=f"refresh:{process}", delivery=each)
    return Outgoing(body={"refresh": {"processId": str(process)}})


def token_refused(token: str | None) -> Outgoing | None:
    """Any split token will do, but for the one that says it is expired (provider docs: Testing; Errors, 326)."""
    if token != EXPIRED_TOKEN:
        return None
    return problem(Code.EXPIRED_SPLIT_TOKEN, "The split token is expired")


ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/transactions/{transactionId}",
        handle=read_transaction,
        theirs=True,
        accepts=ACCEPTS,
        summary="Read a transaction of any type",
        response_schema=TRANSACTION,
    ),
    Route(
        method="POST",
        path="/api/v1/transactions/{transactionId}/cancel",
        handle=cancel_transaction,
        kind="guarded",
        accepts=ACCEPTS,
        summary="Cancel a transaction that is not processed yet, or a bank authorization",
        request_schema=CANCEL_REQUEST,
        response_schema=TRANSACTION,
    ),
    Route(
        method="POST",
        path="/api/v1/transactions/{transactionId}/refresh",
        handle=refresh_transaction,
        kind="relayed",
        accepts=ACCEPTS,
        summary="Refresh the data of a bank authorization",
        request_schema=REFRESH_REQUEST,
        response_schema=REFRESH,
    ),
)
