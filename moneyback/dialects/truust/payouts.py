"""Payouts: the seller's side of an order, carried out when it is validated (provider docs: Payouts, Validate order).

What stands in the order's escrow then leaves it: the fee to the account's wallet, the rest to where the payout says.
Where none was made, the seller's own wallet gets it; without a seller, the account's.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from moneyback.core.payment import Payment, PaymentKind
from moneyback.core.refusals import Refusal
from moneyback.dialect import (
    AddPayment,
    Ask,
    Caller,
    Conversation,
    FindPayment,
    Incoming,
    Instant,
    NextNumber,
    SaveDocument,
)
from moneyback.dialects.truust import fields, lists
from moneyback.dialects.truust.documents import BANK_ACCOUNT, CUSTOMER, ORDER, PAYOUT, Document, named, numbered
from moneyback.dialects.truust.envelope import relayed, said, sent
from moneyback.dialects.truust.fields import Invalid, missing, parse, wrong
from moneyback.dialects.truust.lists import parse_listing
from moneyback.dialects.truust.orders import accept, fee_of, find_order, order_answer, released
from moneyback.dialects.truust.schemas import (
    NOTHING_REQUEST,
    ORDER_ANSWER,
    PAYOUT_ANSWER,
    PAYOUT_LIST,
    PAYOUT_REQUEST,
    VALIDATE_REQUEST,
)
from moneyback.dialects.truust.telling import Told, announce, said_of
from moneyback.dialects.truust.wallets import account_wallet, balance_of, find_wallet, wallet_named
from moneyback.dialects.truust.wire import (
    UNPAID,
    VERSION,
    WALLET,
    OrderStatus,
    PayoutStatus,
    is_number,
    time_text,
)
from moneyback.dialects.truust.words import NOT_FOUND, invalid

TYPES: Final = (WALLET, "ACCOUNT", "BANKWIRE")
_PAID: Final = (OrderStatus.PUBLISHED, OrderStatus.ACCEPTED, OrderStatus.PENDING_VALIDATE)
_MEMBERS: Final = ("id", "self", "reference", "type", "status", "provider", "created_at", "confirmed_at", "denied_at")


# --- making and reading ----------------------------------------------------------------------------------------------


def create_payout(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payouts: where a paid order's money goes once it is validated."""
    try:
        asked = parse(
            incoming,
            {
                "order_id": fields.integer,
                "type": fields.one_of(TYPES),
                "wallet_id": fields.integer,
                "bankaccount_id": fields.integer,
                "bankwire_ref": fields.text(140),
            },
            required=("order_id", "type"),
        )
        order = yield from named(ORDER, "order_id", asked["order_id"])
        assert order is not None
        _check_order(order)
        destination = yield from _destination(asked, order["currency"])
    except Invalid as bad:
        return invalid(bad.errors)
    payout = yield from _made(order, asked["type"], destination, asked.get("bankwire_ref"))
    return said(print_payout(payout), caller)


def _check_order(order: Document) -> None:
    """It must be paid, not released, and not paid out already. Raises Invalid."""
    if order["status"] in UNPAID:
        raise wrong("order_id", "The order is not paid yet.")
    if order["status"] not in _PAID:
        raise wrong("order_id", "The order can not be paid out any more.")
    if order.get("payout"):
        raise wrong("order_id", "The order has a payout already.")


def _destination(asked: Mapping[str, Any], code: str) -> Generator[Ask, Any, dict[str, Any]]:
    """The wallet or the bank account that a payout names. Raises Invalid."""
    field = "wallet_id" if asked["type"] == WALLET else "bankaccount_id"
    if asked.get(field) is None:
        raise wrong(field, missing(field, f"when type is {asked['type']}"))
    if field == "wallet_id":
        found = yield from wallet_named(field, asked[field], code)
    else:
        found = yield from named(BANK_ACCOUNT, field, asked[field])
    assert found is not None
    return {
        field: found["id"],
        "to": f"{VERSION}/{'wallets' if field == 'wallet_id' else 'bankaccounts'}/{found['uuid']}",
    }


def _made(order: Document, kind: str, to: Mapping[str, Any], said_to_bank: str | None) -> Generator[Ask, Any, Document]:
    """A payout that waits for its order, and that its order names."""
    number: int = yield NextNumber()
    payout = {
        "id": number,
        "order_id": order["id"],
        "type": kind,
        "status": PayoutStatus.CREATED.value,
        "reference": said_to_bank,
        "created_at": time_text((yield Instant())),
        **to,
    }
    yield SaveDocument(PAYOUT, str(number), payout)
    yield SaveDocument(ORDER, str(order["id"]), {**order, "payout": number})
    yield from announce((Told.PAYOUT_CREATED,), number, said_of(order, payout=payout))
    return payout


def find_payout(name: str) -> Generator[Ask, Any, Document | None]:
    """A payout by its number."""
    return (yield from numbered(PAYOUT, int(name))) if is_number(name) else None


def read_payout(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /payouts/{id}; POST /payouts/{id}/update, which has nobody else to ask."""
    payout = yield from find_payout(incoming.arguments["id"])
    return NOT_FOUND if payout is None else said(print_payout(payout), caller)


def read_payout_of(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /orders/{id}/payout."""
    order = yield from find_order(incoming.arguments["id"])
    number = None if order is None else order.get("payout")
    payout = None if number is None else (yield from numbered(PAYOUT, number))
    return NOT_FOUND if payout is None else said(print_payout(payout), caller)


_NUMBERS: Final = ("id", "order_id")
SEARCHED: Final = ("id", "order_id", "type", "status", "reference")
SORTED: Final = (*SEARCHED, "created_at", "confirmed_at", "denied_at")


def list_payouts(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /payouts."""
    try:
        listing = parse_listing(incoming, SEARCHED, SORTED)
    except Invalid as bad:
        return invalid(bad.errors)
    match = lists.members(listing, _NUMBERS)
    rows, total = ((), 0) if match is None else (yield from lists.page_of_documents(PAYOUT, match, listing))
    return sent(lists.paginated([print_payout(each) for each in rows], total, listing), caller)


def print_payout(payout: Document) -> dict[str, Any]:
    """The payout (provider docs: Get payout)."""
    own = {"self": f"{VERSION}/payouts/{payout['id']}"}
    links = {"order": f"{VERSION}/orders/{payout['order_id']}"}
    links["wallet" if payout.get("wallet_id") else "bankaccount"] = payout["to"]
    return {**{name: own.get(name, payout.get(name)) for name in _MEMBERS}, "connections": links}


# --- the release of an order -----------------------------------------------------------------------------------------


def validate_order(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /orders/{id}/validate: what stands in escrow goes to the seller, less the fee."""
    order = yield from find_order(incoming.arguments["id"])
    if order is None:
        return NOT_FOUND
    try:
        alone = parse(incoming, {"auto_accept": fields.flag}).get("auto_accept") or order.get("auto_settle")
        if order["status"] == OrderStatus.PUBLISHED and alone:
            order = yield from accept(order)
        if order["status"] != OrderStatus.ACCEPTED:
            raise wrong("order", "Only an accepted order can be validated.")
        if order.get("escrow"):
            order = yield from _pay_out(order, caller)
    except Invalid as bad:
        return invalid(bad.errors)
    return (yield from order_answer((yield from released(order)), incoming, caller))


def _pay_out(order: Document, caller: Caller) -> Generator[Ask, Any, Document]:
    """Move what stands in escrow. Raises Invalid.

    Both movements are registered under numbers drawn and written down before: done again, they are found as done.
    """
    payout = yield from _payout_of(order, caller)
    order = {**order, "payout": payout["id"]}
    if order.get("fee_number") is None:
        order = {**order, "fee_number": (yield NextNumber())}
        yield SaveDocument(ORDER, str(order["id"]), order)
    code = order["currency"]
    balance = yield from balance_of(order["escrow"] | {"currency": code})
    is_taken = (yield FindPayment(str(order["fee_number"]))) is not None
    if fee := 0 if is_taken else min(fee_of(order), balance):
        own = yield from account_wallet(caller, code)
        yield from _move(order, fee, order["fee_number"], wallet=str(own["id"]))
    if rest := balance - fee:
        wallet = payout.get("wallet_id")
        yield from _move(order, rest, payout["id"], wallet=None if wallet is None else str(wallet))
    at = time_text((yield Instant()))
    done = {**payout, "status": PayoutStatus.CONFIRMED.value, "confirmed_at": at}
    yield SaveDocument(PAYOUT, str(payout["id"]), done)
    return order


def _move(order: Document, amount: int, number: int, wallet: str | None) -> Generator[Ask, Any, None]:
    """From the order's escrow to a wallet, or out of the house. Raises Invalid when somebody was faster."""
    moved: Payment | Refusal = yield AddPayment(
        amount=amount,
        currency=order["currency"],
        kind=PaymentKind.PAYOUT if wallet is None else PaymentKind.TRANSFER,
        source=str(order["escrow"]["id"]),
        wallet=wallet,
        dialect_id=str(number),
    )
    if isinstance(moved, Refusal):
        raise wrong("order", "The balance of the order has changed in the meantime.")


def _payout_of(order: Document, caller: Caller) -> Generator[Ask, Any, Document]:
    """The order's payout; one to its seller's wallet, or the account's, where none was made."""
    if order.get("payout") is not None:
        found = yield from numbered(PAYOUT, order["payout"])
        assert found is not None
        return found
    wallet = yield from _seller_wallet(order)
    if wallet is None:
        wallet = yield from account_wallet(caller, order["currency"])
    to = {"wallet_id": wallet["id"], "to": f"{VERSION}/wallets/{wallet['uuid']}"}
    return (yield from _made(order, WALLET, to, None))


def _seller_wallet(order: Document) -> Generator[Ask, Any, Document | None]:
    """The wallet the seller was given at first, if it is in the order's currency."""
    seller = order.get("seller_id")
    customer = None if seller is None else (yield from numbered(CUSTOMER, seller))
    wallet = None if customer is None else (yield from find_wallet(customer["wallet"]))
    return wallet if wallet is not None and wallet["currency"] == order["currency"] else None


_ALL, _ONE, _ORDER = f"{VERSION}/payouts", f"{VERSION}/payouts/{{id}}", f"{VERSION}/orders/{{id}}"
ROUTES: Final = (
    relayed("GET", _ALL, list_payouts, "List payouts", PAYOUT_LIST),
    relayed("POST", _ALL, create_payout, "Say where a paid order's money goes", PAYOUT_ANSWER, PAYOUT_REQUEST),
    relayed("GET", _ONE, read_payout, "Read a payout", PAYOUT_ANSWER),
    relayed("POST", f"{_ONE}/update", read_payout, "Look at a payout once more", PAYOUT_ANSWER, NOTHING_REQUEST),
    relayed("GET", f"{_ORDER}/payout", read_payout_of, "Read the payout of an order", PAYOUT_ANSWER),
    relayed("POST", f"{_ORDER}/validate", validate_order, "Release an order", ORDER_ANSWER, VALIDATE_REQUEST),
)
