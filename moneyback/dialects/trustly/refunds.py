"""Giving money back: refunds of captures and instant payments, and reclaims of deposits, which are their mirror image.

A refund is answered at once, as pending: Trustly settles with the bank days later, and tells of it by events.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from moneyback.core.commands import Admitted, Joined
from moneyback.core.money import BadAmount
from moneyback.core.payment import Asked, Payment
from moneyback.core.refusals import Refusal
from moneyback.dialect import AskRefund, Caller, Conversation, FindPayment, Incoming, Outgoing, Route
from moneyback.dialects.trustly.objects import answer
from moneyback.dialects.trustly.records import original_type, payment_reference, refund_record
from moneyback.dialects.trustly.schemas import RECLAIM_REQUEST, REFUND_REQUEST, TRANSACTION
from moneyback.dialects.trustly.server import (
    ACCEPTS,
    SENTENCES,
    BadParameter,
    amount_in_body,
    in_words,
    invalid,
    parameters,
    reference_in,
    unknown,
)
from moneyback.dialects.trustly.standing import complete, family_of, refund_named
from moneyback.dialects.trustly.wire import Status, Type, amount_minor

REFUNDED: Final = (Type.CAPTURE, Type.PAY)
RECLAIMED: Final = (Type.DEPOSIT,)


class Wanted(msgspec.Struct, frozen=True):
    """What a request to give back says, its shape checked. `amount` None: what remains."""

    reference: str | None
    amount: str | int | Decimal | None


def refund_transaction(incoming: Incoming, caller: Caller) -> Conversation:
    """Give a completed capture or payment back, in part or what remains of it."""
    return (yield from _give_back(incoming, caller, REFUNDED, "refunded"))


def reclaim_transaction(incoming: Incoming, caller: Caller) -> Conversation:
    """Take a completed deposit back, in part or what remains of it.

    The amount is required by the schema and may be left out by the prose (provider docs: Reclaim transaction).
    """
    return (yield from _give_back(incoming, caller, RECLAIMED, "reclaimed"))


def _give_back(incoming: Incoming, caller: Caller, kinds: tuple[Type, ...], done: str) -> Conversation:
    number = incoming.arguments["transactionId"]
    try:
        wanted = parse_refund(incoming.body)
    except BadParameter as bad:
        return invalid(str(bad))
    payment: Payment | None = yield FindPayment(number)
    if payment is None:
        return (yield from _not_an_original(number, done))
    kind = original_type(payment)
    if kind not in kinds:
        return invalid(f"Transaction type {kind.value} cannot be {done}")
    try:
        asked = Asked() if wanted.amount is None else Asked(payer=amount_minor(wanted.amount, payment))
    except BadAmount as bad_amount:
        return invalid(in_words(bad_amount))
    payment = yield from complete(payment)  # the sandbox's batch runs for whoever cannot wait
    family = yield from family_of(payment)  # before the refund exists: afterwards nothing may go wrong
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
            return Outgoing(body=answer(refund_record(refund, after, Status.PENDING), family.with_(after), caller))
        case Joined(refund=refund, payment=after):
            return Outgoing(body=answer(refund_record(refund, after), family.with_(after), caller))
        case _:
            raise AssertionError(f"an idempotency key has no place here: {result}")


def _not_an_original(number: str, done: str) -> Conversation:
    if (yield from refund_named(number)) is None:
        return unknown(number)
    return invalid(f"Transaction type {Type.REFUND.value} cannot be {done}")


def parse_refund(body: object) -> Wanted:
    """The two parameters, both optional (provider docs: Refund transaction). Raises BadParameter."""
    said = parameters(body)
    return Wanted(reference_in(said), amount_in_body(said))


ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/transactions/{transactionId}/refund",
        handle=refund_transaction,
        kind="guarded",
        accepts=ACCEPTS,
        summary="Refund a completed Capture or Pay transaction, in part or in full",
        request_schema=REFUND_REQUEST,
        response_schema=TRANSACTION,
    ),
    Route(
        method="POST",
        path="/api/v1/transactions/{transactionId}/reclaim",
        handle=reclaim_transaction,
        kind="guarded",
        accepts=ACCEPTS,
        summary="Reclaim a completed Deposit transaction, in part or in full",
        request_schema=RECLAIM_REQUEST,
        response_schema=TRANSACTION,
    ),
)
