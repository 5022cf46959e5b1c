"""The two ways in which an order gives money back: its cancellation, and its reimbursement as wallet credit.

Both are refunds of the order's payins like any others, drawn from the same remainder (provider docs: Cancel order,
Reimburse order). In front of a real Truust both are its own: neither can be made of refunds that we guard, so that
they are left to it while nothing has come in for the order, and forbidden from then on.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

from moneyback.core.commands import Admitted, Joined, Sighting
from moneyback.core.money import currency as money_of
from moneyback.core.payment import Asked, Payment
from moneyback.core.refund import UNSENT
from moneyback.core.refusals import Refusal
from moneyback.dialect import (
    Ask,
    AskRefund,
    Caller,
    Conversation,
    Incoming,
    LeaveToProvider,
    NextNumber,
    Outgoing,
    ReleasePayment,
    Route,
    SeePayment,
)
from moneyback.dialects.truust import fields
from moneyback.dialects.truust.documents import Document
from moneyback.dialects.truust.envelope import ENCODINGS
from moneyback.dialects.truust.fields import TAG, Invalid, Wanted, missing, parse, wrong
from moneyback.dialects.truust.objects import remembered
from moneyback.dialects.truust.orders import cancelled, find_order, order_answer, payins_of_order
from moneyback.dialects.truust.payins import withdraw
from moneyback.dialects.truust.refunds import credit_wallet, give_back, is_open, wait_for
from moneyback.dialects.truust.schemas import CANCEL_REQUEST, ORDER_ANSWER, REIMBURSE_REQUEST
from moneyback.dialects.truust.wallets import wallet_named
from moneyback.dialects.truust.wire import (
    VERSION,
    WAIT_S,
    OrderStatus,
    PayinStatus,
    can_be_refunded,
    is_sandbox,
    of_order,
    payin_status,
)
from moneyback.dialects.truust.words import NOT_FOUND, invalid, message, refused

# --- cancelling ------------------------------------------------------------------------------------------------------


def cancel_order(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /orders/{id}/cancel: all of its payins that were paid are refunded, or none; what is open is let go."""
    yield LeaveToProvider(of_order(incoming.arguments["id"]))
    order = yield from find_order(incoming.arguments["id"])
    if order is None:
        return NOT_FOUND
    try:
        asked = parse(incoming, {"tag": TAG, "metadata": fields.mapping, "bankaccount_id": fields.integer})
        _check_cancellable(order)
        payins = yield from payins_of_order(order)
        refusal = yield from _refund_all(payins, asked, caller)
    except Invalid as bad:
        return invalid(bad.errors)
    if refusal is not None:
        return refusal
    for each in payins:
        yield from _let_go(each)
    return (yield from order_answer((yield from cancelled(order)), incoming, caller))


def _check_cancellable(order: Document) -> None:
    if order["status"] == OrderStatus.CANCELLED:
        raise wrong("order", "The order is cancelled already.")
    if order["status"] == OrderStatus.RELEASED:
        raise wrong("order", "The order is released and can not be cancelled.")


def _refund_all(
    payins: Sequence[Payment], asked: Mapping[str, Any], caller: Caller
) -> Generator[Ask, Any, Outgoing | None]:
    """Give back all that is left of them; None when it is under way. Raises Invalid."""
    first = next((each for each in payins if is_open(each)), None)
    if first is None:
        return None
    wanted = Wanted(
        multipayin=True,
        bankaccount_id=asked.get("bankaccount_id"),
        tag=asked.get("tag"),
        metadata=asked.get("metadata"),
    )
    made = yield from give_back(first, wanted, caller)
    if isinstance(made, Outgoing):
        return made
    yield from wait_for(first, made)
    return None


def _let_go(payment: Payment) -> Generator[Ask, Any, None]:
    """Nothing came in yet, and nothing shall."""
    status = payin_status(payment)
    if status is PayinStatus.CREATED:
        yield from withdraw(payment)
    elif status is PayinStatus.AUTHORIZED:
        number: int = yield NextNumber()
        yield ReleasePayment(payment=payment, dialect_id=str(number), seconds=WAIT_S)


# --- reimbursing -----------------------------------------------------------------------------------------------------


def reimburse_order(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /orders/{id}/reimburse: to a wallet in place of the buyer's own means, so that any type of payin will do."""
    yield LeaveToProvider(of_order(incoming.arguments["id"]))
    order = yield from find_order(incoming.arguments["id"])
    if order is None:
        return NOT_FOUND
    try:
        asked = _parse_reimbursement(incoming, order)
        payment = yield from _payin_meant(order, asked.get("payin_id"))
        wallet = yield from wallet_named("wallet_id", asked.get("wallet_id") or _wallet_of(order), order["currency"])
        if wallet is None:
            raise wrong("wallet_id", missing("wallet_id", "when the order has no buyer"))
        if not is_sandbox(payment):
            return message(403, "Reimbursements are not supported for this payin.")
    except Invalid as bad:
        return invalid(bad.errors)
    if asked.get("amount") != 0:
        made = yield from _credit(payment, asked.get("amount"), wallet)
        if isinstance(made, Outgoing):
            return made
    return (yield from order_answer(order, incoming, caller))


def _parse_reimbursement(incoming: Incoming, order: Document) -> dict[str, Any]:
    readers = {
        "amount": fields.amount(money_of(order["currency"])),
        "wallet_id": fields.integer,
        "payin_id": fields.integer,
    }
    return parse(incoming, readers, strict=("amount",))


def _payin_meant(order: Document, number: int | None) -> Generator[Ask, Any, Payment]:
    """The payin that is named, or the only one that was paid. Raises Invalid."""
    payins = yield from payins_of_order(order)
    if number is not None:
        named = next((each for each in payins if each.dialect_id == str(number)), None)
        if named is None:
            raise fields.unknown("payin_id")
        return named
    paid = [each for each in payins if payin_status(each) in (PayinStatus.CONFIRMED, PayinStatus.REFUNDED)]
    if len(paid) > 1:
        raise wrong("payin_id", missing("payin_id", "when the order has several payins"))
    if not paid:
        raise wrong("order", "The order is not paid.")
    return paid[0]


def _wallet_of(order: Document) -> int | None:
    """The wallet of the buyer, which is meant where none is named."""
    buyer = order.get("buyer")
    return None if buyer is None else buyer.get("wallet_id")


def _credit(payment: Payment, amount: int | None, wallet: Document) -> Generator[Ask, Any, Outgoing | None]:
    """A refund of the payin, and its money on the wallet as soon as it is executed."""
    number: int = yield NextNumber()
    if is_opened := not can_be_refunded(payment):
        payment = yield from _note(payment, is_open=True)
    result: Admitted | Joined | Refusal = yield AskRefund(
        payment=payment,
        asked=Asked(payer=amount),
        destination=str(wallet["id"]),
        request=remembered(payment, None, None, wallet["id"]) | {"credit": number, "credit_from": payment.source},
        distinct=str(number),
    )
    ended = None if isinstance(result, Refusal) else (yield from wait_for(payment, (result,)))
    if is_opened and (ended is None or ended[0].state not in UNSENT):
        yield from _note(payment, is_open=False)
    if isinstance(result, Refusal):
        return refused(result, payment.currency)
    if ended is not None:
        yield from credit_wallet(ended[0])
    return None


def _note(payment: Payment, *, is_open: bool) -> Generator[Ask, Any, Payment]:
    """Whether a payin of a method without refunds may give money back just now: to a wallet it may."""
    noted = Sighting(kind="noted", amount=0, reference=payment.dialect_id)
    after: Payment = yield SeePayment(payment=payment, sighting=noted, document={"reimbursing": is_open})
    return after


_ONE: Final = f"{VERSION}/orders/{{id}}"
ROUTES: Final = (
    Route(
        method="POST",
        path=f"{_ONE}/cancel",
        handle=cancel_order,
        kind="guarded",
        accepts=ENCODINGS,
        summary="Cancel an order and refund what was paid for it",
        request_schema=CANCEL_REQUEST,
        response_schema=ORDER_ANSWER,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/reimburse",
        handle=reimburse_order,
        kind="guarded",
        accepts=ENCODINGS,
        summary="Give an order's money back as wallet credit",
        request_schema=REIMBURSE_REQUEST,
        response_schema=ORDER_ANSWER,
    ),
)
