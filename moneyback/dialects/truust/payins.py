"""Payins: what buyers pay for orders (provider docs: Payins). Creating, reading, listing, syncing, letting go.

A payin is a payment of the engine, credited to its order's escrow. What becomes of an open one on its payment page is
in links.py; giving money back is in refunds.py.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import iso4217

from moneyback.core.commands import Sighting
from moneyback.core.money import currency as money_of
from moneyback.core.money import to_major
from moneyback.core.payment import Condition, Payment, PaymentKind
from moneyback.core.refund import Refund
from moneyback.core.refusals import Refusal
from moneyback.dialect import (
    AddPayment,
    Ask,
    Caller,
    Conversation,
    FindPayment,
    Incoming,
    Instant,
    LeaveToProvider,
    ListPayments,
    NextNumber,
    RefundsOf,
    ReleasePayment,
    Route,
    SaveDocument,
    SeePayment,
    Total,
)
from moneyback.dialects.truust import fields, lists
from moneyback.dialects.truust.cards import confirm_card, new_card
from moneyback.dialects.truust.documents import CARD, CUSTOMER, ORDER, Document, named, numbered
from moneyback.dialects.truust.envelope import ENCODINGS, relayed, said, sent
from moneyback.dialects.truust.fetching import PAYINS
from moneyback.dialects.truust.fields import Invalid, missing, parse, wrong
from moneyback.dialects.truust.lists import Listing, Row, Rows, parse_listing
from moneyback.dialects.truust.objects import newest, payin
from moneyback.dialects.truust.schemas import NOTHING_REQUEST, PAYIN_ANSWER, PAYIN_LIST, PAYIN_REQUEST
from moneyback.dialects.truust.telling import Told, announce, published, said_of
from moneyback.dialects.truust.wallets import wallet_named
from moneyback.dialects.truust.wire import (
    BANKWIRE,
    GATEWAYS,
    OVER,
    REQUESTED,
    TYPE_UNSTATED,
    UNPAID,
    VERSION,
    WAIT_S,
    WALLET,
    OrderStatus,
    PayinStatus,
    is_bankwire,
    is_named_order,
    is_number,
    is_preauthorised,
    is_sandbox,
    of_order,
    order_number,
    payin_status,
    payin_type,
    time_text,
)
from moneyback.dialects.truust.words import NOT_FOUND, invalid, refused

WIRE_TAKES: Final = timedelta(days=1)
"""How long a bank wire is under way in the sandbox: from then on a sync finds it received."""
TRANSFER_TO: Final[Mapping[str, str]] = {
    "beneficiary": "Truust sandbox",
    "iban": "ES7921000813610123456789",
    "bic": "CAIXESBBXXX",
}
"""Where the sandbox's bank wires are sent: the account number that Spain's banks print as their example."""

# --- finding ---------------------------------------------------------------------------------------------------------


def find_payin(number: str) -> Generator[Ask, Any, Payment | None]:
    """A payin by its number. What was paid out or moved between wallets has a number too, and is none."""
    found: Payment | None = yield FindPayment(number)
    return found if found is not None and found.kind is PaymentKind.PAYIN else None


def payins_of(order: str) -> Generator[Ask, Any, list[Payment]]:
    """All payins of an order, oldest first."""
    found = list[Payment]()
    while True:
        page: Sequence[Payment] = yield ListPayments(
            order=order, kind=PaymentKind.PAYIN, ascending=True, offset=len(found), limit=lists.SCANNED_AT_ONCE
        )
        found.extend(page)
        if len(page) < lists.SCANNED_AT_ONCE:
            return found


def meet_payins(order: str) -> Generator[Ask, Any, None]:
    """In front of a real Truust: learn of every payin that an order has there by now. Elsewhere all are known."""
    found: Payment | None = yield FindPayment(of_order(order))
    for number in () if found is None else found.document.get(PAYINS, ()):
        yield FindPayment(number)


def answer(payment: Payment, incoming: Incoming, caller: Caller) -> Conversation:
    """The payin as it stands, its connections naming its newest refund."""
    refunds: tuple[Refund, ...] = yield RefundsOf(payment.id)
    return said(payin(payment, newest(payment, refunds), incoming.base), caller)


# --- creating --------------------------------------------------------------------------------------------------------


def create_payin(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payins: open until its buyer pays; a WALLET payin is paid at once."""
    try:
        asked = parse(
            incoming,
            {
                "order_id": fields.integer,
                "type": fields.text(),
                "gateway_id": fields.integer,
                "card_id": fields.integer,
                "wallet_id": fields.integer,
                "save_card": fields.flag,
            },
            required=("order_id",),
        )
        kind = _kind_of(asked)
        order = yield from named(ORDER, "order_id", asked["order_id"])
        assert order is not None
        yield from _check_payable(order, kind)
        made = yield from make_payin(order, kind, asked, caller)
    except Invalid as bad:
        return invalid(bad.errors)
    return (yield from answer(made, incoming, caller))


def _kind_of(asked: Mapping[str, Any]) -> str:
    """The type, or that of the gateway that is named instead. Raises Invalid."""
    kind, gateway = asked.get("type"), asked.get("gateway_id")
    if kind is None:
        if gateway is None:
            raise wrong("type", missing("type", "when gateway id is not present"))
        if not 1 <= gateway <= len(GATEWAYS):
            raise fields.unknown("gateway_id")
        kind = GATEWAYS[gateway - 1]
    kind = str(kind).strip().upper()
    if kind not in GATEWAYS:
        raise fields.unknown("type")
    if kind == WALLET and asked.get("wallet_id") is None:
        raise wrong("wallet_id", missing("wallet_id", "when type is WALLET"))
    return kind


def _check_payable(order: Document, kind: str) -> Generator[Ask, Any, None]:
    """Whether the order may be paid, and in this way. Raises Invalid."""
    if order["status"] in OVER:
        raise wrong("order_id", "The order can not be paid any more.")
    if not payable(order):
        raise wrong("order_id", "The order has nothing to pay.")
    if order.get("payin_types") and kind not in {each.upper() for each in order["payin_types"]}:
        raise fields.unknown("type")
    if (most := order.get("payin_intents")) is not None:
        tried: int = yield Total(ListPayments(order=str(order["id"]), kind=PaymentKind.PAYIN))
        if tried >= most:
            raise wrong("order_id", f"The order may not have more than {most} payins.")


def payable(order: Document) -> int:
    """What its buyer is to pay, in minor units: its value less its discount."""
    return int(max(0, order["value"] - (order.get("discount") or 0)))


def make_payin(order: Document, kind: str, asked: Mapping[str, Any], caller: Caller) -> Generator[Ask, Any, Payment]:
    """Register a payin for all of an order. Raises Invalid."""
    code = order["currency"]
    if kind == WALLET:
        return (yield from _from_wallet(order, asked["wallet_id"], code))
    card = yield from _card_of(order, kind, asked)
    document = {"card": card, "provider": _details(order) if kind == BANKWIRE else None}
    opened = is_preauthorised(kind)
    made: Payment = yield AddPayment(
        amount=payable(order),
        currency=code,
        status=Condition.AUTHORIZED.value if opened else Condition.PROCESSING.value,
        method=kind,
        order=str(order["id"]),
        wallet=str(order["escrow"]["id"]),
        document={**{name: value for name, value in document.items() if value is not None}, "open": opened},
    )
    if order["status"] in UNPAID:
        yield SaveDocument(ORDER, str(order["id"]), {**order, "status": OrderStatus.PENDING_PUBLISH.value})
    return made


def _from_wallet(order: Document, wallet_id: int, code: str) -> Generator[Ask, Any, Payment]:
    wallet = yield from wallet_named("wallet_id", wallet_id, code)
    assert wallet is not None
    made: Payment | Refusal = yield AddPayment(
        amount=payable(order),
        currency=code,
        method=WALLET,
        order=str(order["id"]),
        source=str(wallet["id"]),
        wallet=str(order["escrow"]["id"]),
        document={"wallet_id": wallet["id"]},
    )
    if isinstance(made, Refusal):
        raise wrong("wallet_id", "The balance of the wallet does not cover the order.")
    yield from publish(order, made)
    return made


def _card_of(order: Document, kind: str, asked: Mapping[str, Any]) -> Generator[Ask, Any, str | None]:
    """The hash of the card a payin connects to: one kept before, or a new one that is to be kept. Raises Invalid."""
    card = yield from named(CARD, "card_id", asked.get("card_id"))
    if card is None and not asked.get("save_card"):
        return None
    if card is None:
        owner = None if order.get("buyer_id") is None else (yield from numbered(CUSTOMER, order["buyer_id"]))
        card = yield from new_card(kind, owner)
    elif not card["confirmed"]:
        raise wrong("card_id", "The card is not confirmed.")
    return str(card["uuid"])


def _details(order: Document) -> dict[str, str]:
    """Where a bank wire is to be sent, and what it must say (provider docs: Create payin)."""
    amount = to_major(payable(order), money_of(order["currency"]))
    return {**TRANSFER_TO, "reference": order["public_id"], "amount": amount, "currency": order["currency"]}


# --- what becomes of an open one -------------------------------------------------------------------------------------


def pay(payment: Payment) -> Generator[Ask, Any, Payment]:
    """Its buyer has paid: captured, or only authorised where its type says so; its order is published."""
    if payin_status(payment) is not PayinStatus.CREATED:
        return payment
    said_by_gateway = _provider(payment)
    if payment.condition is Condition.AUTHORIZED:
        noted = Sighting(kind="noted", amount=0, reference=payment.dialect_id)
        paid: Payment = yield SeePayment(payment=payment, sighting=noted, document={"open": False, **said_by_gateway})
    else:
        paid = yield from capture(payment, said_by_gateway)
    if card := payment.document.get("card"):
        yield from confirm_card(card)
    order = yield from numbered(ORDER, order_number(payment))
    if order is not None:
        yield from publish(order, paid)
    return paid


def capture(payment: Payment, document: Mapping[str, Any] | None = None) -> Generator[Ask, Any, Payment]:
    """All of it comes in."""
    seen = Sighting(kind="captured", amount=payment.authorized, reference=f"paid-{payment.dialect_id}")
    paid: Payment = yield SeePayment(payment=payment, sighting=seen, document=document or {})
    return paid


def deny(payment: Payment) -> Generator[Ask, Any, Payment]:
    """Its buyer's bank has refused."""
    if payin_status(payment) is not PayinStatus.CREATED:
        return payment
    seen = Sighting(kind="failed", amount=0, reference=f"denied-{payment.dialect_id}")
    denied: Payment = yield SeePayment(payment=payment, sighting=seen, document=_provider(payment, "0190"))
    order = yield from numbered(ORDER, order_number(payment))
    if order is not None and order["status"] in UNPAID:
        failed = {**order, "status": OrderStatus.FAILURE.value}
        yield SaveDocument(ORDER, str(order["id"]), failed)
        yield from announce((Told.ESCROW_FAILED,), payment.dialect_id, said_of(failed, denied))
    return denied


def withdraw(payment: Payment) -> Generator[Ask, Any, None]:
    """Nobody will pay it any more: its order was cancelled."""
    seen = Sighting(kind="canceled", amount=0, reference=f"withdrawn-{payment.dialect_id}")
    yield SeePayment(payment=payment, sighting=seen, document={"failure_status": PayinStatus.CANCELLED.value})


def publish(order: Document, paid: Payment) -> Generator[Ask, Any, None]:
    """The order is paid."""
    if order["status"] in UNPAID:
        at = time_text((yield Instant()))
        after = {**published(order), "published_at": at}
        yield SaveDocument(ORDER, str(order["id"]), after)
        yield from announce((Told.ESCROW_PUBLISHED,), paid.dialect_id, said_of(after, paid))


def _provider(payment: Payment, response: str = "0000") -> dict[str, Any]:
    """What a Redsys gateway answers (provider docs: recurring payments guide, webhook payload); others say nothing."""
    if not payin_type(payment).upper().startswith("REDSYS"):
        return {}
    number = payment.dialect_id[-12:]
    told = {
        "Ds_Amount": str(payment.authorized),
        "Ds_Currency": f"{iso4217.Currency(payment.currency).number:03d}",
        "Ds_Order": number,
        "Ds_MerchantCode": "999008881",
        "Ds_Response": response,
        "Ds_AuthorisationCode": number[-6:],
        "Ds_SecurePayment": "1",
    }
    if card := payment.document.get("card"):  # what later charges of the card refer to
        told["Ds_Merchant_Identifier"] = card
    return {"provider": told, "reference": number}


# --- the calls about one ---------------------------------------------------------------------------------------------


def read_payin(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /payins/{id}."""
    payment = yield from find_payin(incoming.arguments["id"])
    return NOT_FOUND if payment is None else (yield from answer(payment, incoming, caller))


def sync_payin(incoming: Incoming, caller: Caller) -> Conversation:
    """PUT /payins/{id}: look once more at the gateway. Only a bank wire can have arrived without anybody's doing."""
    payment = yield from find_payin(incoming.arguments["id"])
    if payment is None:
        return NOT_FOUND
    if is_bankwire(payment) and is_sandbox(payment) and payin_status(payment) is PayinStatus.CREATED:
        now: datetime = yield Instant()
        if now >= payment.created_at + WIRE_TAKES:
            payment = yield from pay(payment)
    return (yield from answer(payment, incoming, caller))


def cancel_preauth(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payins/{id}/cancelpreauth: let an AUTHORIZED payin go."""
    payment = yield from find_payin(incoming.arguments["id"])
    if payment is None:
        return NOT_FOUND
    if payment.condition is not Condition.CAPTURED:
        yield LeaveToProvider(payment.dialect_id)  # whether it is authorised by now, only Truust knows
    if payin_status(payment) is not PayinStatus.AUTHORIZED:
        return invalid({"payin": ["Only an authorized payin can be released."]})
    number: int = yield NextNumber()
    released: Payment | Refusal = yield ReleasePayment(payment=payment, dialect_id=str(number), seconds=WAIT_S)
    if isinstance(released, Refusal):
        return refused(released, payment.currency)
    yield from _unpublish(order_number(released))
    return (yield from answer(released, incoming, caller))


def _unpublish(number: int) -> Generator[Ask, Any, None]:
    """An order whose only payin was let go waits to be paid again."""
    order = yield from numbered(ORDER, number)
    if order is None or order["status"] != OrderStatus.PUBLISHED:
        return
    left = yield from payins_of(str(number))
    if all(payin_status(each) not in (PayinStatus.AUTHORIZED, PayinStatus.CONFIRMED) for each in left):
        open_ = {**order, "status": OrderStatus.PENDING_PUBLISH.value, "published_at": None}
        yield SaveDocument(ORDER, str(number), open_)


def request_payment(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payins/{id}/request: remind the buyer. Nothing is sent from here."""
    payment = yield from find_payin(incoming.arguments["id"])
    if payment is None:
        return NOT_FOUND
    if payin_status(payment) is not PayinStatus.CREATED:
        return invalid({"payin": ["Only a payin that is not paid yet can be requested."]})
    if payin_type(payment).upper() not in REQUESTED:
        return invalid({"payin": ["The type of the payin does not support payment requests."]})
    return (yield from answer(payment, incoming, caller))


# --- lists -----------------------------------------------------------------------------------------------------------

SEARCHED: Final = ("id", "reference", "type", "subtype", "status", "tag", "order_id")
SORTED: Final = (*SEARCHED, "created_at", "confirmed_at", "denied_at")
_ALL: Final = ListPayments(kind=PaymentKind.PAYIN)


def list_payins(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /payins."""
    try:
        listing = parse_listing(incoming, SEARCHED, SORTED)
    except Invalid as bad:
        return invalid(bad.errors)
    rows, total = yield from _listed(listing, incoming)
    printed = list[Mapping[str, Any]]()
    for each in rows:
        refunds: tuple[Refund, ...] = yield RefundsOf(each.id)
        printed.append(payin(each, newest(each, refunds), incoming.base))
    return sent(lists.paginated(printed, total, listing), caller)


def _listed(listing: Listing, incoming: Incoming) -> Generator[Ask, Any, Rows]:
    """One page of payins: by what they are found by, else by looking through them."""
    ask = _found_by(listing)
    if ask is not None and listing.by_age:
        rows, total = yield from lists.page_of(ask, listing)
        if total or listing.search != "order_id":
            return rows, total
    found = yield from _looked_through(listing, ask)
    chosen = lists.chosen([_row(each, incoming) for each in found], listing)
    return [row.of for row in lists.of_page(chosen, listing)], len(chosen)


def _looked_through(listing: Listing, ask: ListPayments | None) -> Generator[Ask, Any, Sequence[Payment]]:
    """The payins to look through; what is found by its number is not looked for among all others."""
    if listing.search == "id":
        found = yield from find_payin(listing.query)
        return [] if found is None else [found]
    rows = yield from lists.scan(ask or _ALL, listing)
    if listing.search == "order_id" and not rows:
        found = yield from find_payin(listing.query)
        if found is not None and found.order is None:  # the only one of an order with its own number
            return [found]
        if is_named_order(listing.query):
            rows = yield from lists.scan(_ALL, listing)
    return rows


def _found_by(listing: Listing) -> ListPayments | None:
    """The ask that lists what is searched for; None where there is none."""
    match listing.search:
        case None:
            return _ALL
        case "order_id" if is_number(listing.query) and not listing.query.startswith("0"):
            return ListPayments(kind=PaymentKind.PAYIN, order=listing.query)
        case "type" if listing.query != TYPE_UNSTATED:
            return ListPayments(kind=PaymentKind.PAYIN, method=listing.query)
        case _:
            return None


def _row(payment: Payment, incoming: Incoming) -> Row:
    shown = {**payin(payment, None, incoming.base), "order_id": order_number(payment)}
    return Row(payment.created_at, shown, payment)


_ONE: Final = f"{VERSION}/payins/{{id}}"
ROUTES: Final = (
    relayed("GET", _ONE, read_payin, "Read a payin", PAYIN_ANSWER),
    relayed("GET", f"{VERSION}/payins", list_payins, "List payins", PAYIN_LIST),
    relayed("POST", f"{VERSION}/payins", create_payin, "Create a payin for an order", PAYIN_ANSWER, PAYIN_REQUEST),
    relayed("PUT", _ONE, sync_payin, "Look at a payin's gateway once more", PAYIN_ANSWER, NOTHING_REQUEST),
    Route(
        method="POST",
        path=f"{_ONE}/cancelpreauth",
        handle=cancel_preauth,
        kind="guarded",
        accepts=ENCODINGS,
        summary="Let an authorized payin go",
        request_schema=NOTHING_REQUEST,
        response_schema=PAYIN_ANSWER,
    ),
    relayed(
        *("POST", f"{_ONE}/request", request_payment, "Ask the buyer to pay an open payin"),
        *(PAYIN_ANSWER, NOTHING_REQUEST),
    ),
)
