"""Orders: what a buyer pays a seller for, from its draft to its release (provider docs: Orders, payment flows).

An order is one document of the kind ORDER; what was paid for it are the engine's payments of that order. One of which
only payments are known, because they were registered natively, is made up from them. Its release is in payouts.py;
cancelling and reimbursing, which give money back, are in cancellation.py.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import Any, Final

from moneyback.core.money import Currency
from moneyback.core.money import currency as money_of
from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Refund
from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    Incoming,
    Instant,
    ListRefunds,
    NewId,
    NextNumber,
    RefundsOf,
    SaveDocument,
)
from moneyback.dialects.truust import fields, lists
from moneyback.dialects.truust.documents import CUSTOMER, ESCROW, ORDER, Document, Finding, named, numbered
from moneyback.dialects.truust.envelope import relayed, said, sent
from moneyback.dialects.truust.fields import TAG, Errors, Invalid, Reader, missing, parse
from moneyback.dialects.truust.lists import parse_listing
from moneyback.dialects.truust.objects import refund_object
from moneyback.dialects.truust.payins import answer, capture, find_payin, payable, payins_of
from moneyback.dialects.truust.refunds import credit_wallet
from moneyback.dialects.truust.schemas import (
    NOTHING_REQUEST,
    ORDER_ANSWER,
    ORDER_LIST,
    ORDER_REQUEST,
    ORDER_UPDATE,
    PAYIN_ANSWER,
)
from moneyback.dialects.truust.telling import Saying, Told, announce, said_of
from moneyback.dialects.truust.wallets import account_currency, new_wallet
from moneyback.dialects.truust.wire import (
    UNPAID,
    VERSION,
    OrderStatus,
    PayinStatus,
    amount_text,
    is_number,
    major,
    order_number,
    page_path,
    payin_status,
    time_text,
)
from moneyback.dialects.truust.words import NOT_FOUND, invalid

NAME_LENGTH_MAX: Final = 120
IMAGES_MAX: Final = 10
VALUE_MAX: Final = 10**15
"""Minor units. Thousands of such orders still fit into one wallet."""
URLS: Final = ("buyer_confirmed_url", "buyer_denied_url", "seller_confirmed_url", "seller_denied_url")
CHANGED_ALWAYS: Final = ("metadata", "fee_value", "fee_percent")
"""What may be changed after payment (provider docs: Update order)."""
NICENAMES: Final[Mapping[OrderStatus, str]] = MappingProxyType(
    {
        OrderStatus.DRAFT: "Draft",
        OrderStatus.PENDING_DETAILS: "Pending details",
        OrderStatus.PENDING_PUBLISH: "Pending payment",
        OrderStatus.PUBLISHED: "Paid",
        OrderStatus.ACCEPTED: "Accepted",
        OrderStatus.REJECTED: "Rejected",
        OrderStatus.CANCELLED: "Cancelled",
        OrderStatus.RELEASED: "Released",
        OrderStatus.FAILURE: "Payment failed",
        OrderStatus.PENDING_VALIDATE: "Pending validation",
        OrderStatus.PENDING_RELEASE: "Pending release",
        OrderStatus.BLOCKED_RELEASE: "Release blocked",
    }
)
TIMES: Final = (
    *("created_at", "published_at", "accepted_at", "shipping_at", "cancelled_at", "validated_at", "released_at"),
)


# --- what is asked ---------------------------------------------------------------------------------------------------


def _readers(money: Currency) -> dict[str, Reader]:
    """What an order can say, its amounts in this currency (provider docs: Create order)."""
    return {
        "buyer_id": fields.integer,
        "seller_id": fields.integer,
        "trustee_type": fields.one_of(("account",)),
        "name": fields.text(NAME_LENGTH_MAX),
        "description": fields.text(),
        "value": fields.amount(money),
        "fee_value": fields.amount(money),
        "fee_percent": fields.percent,
        "tag": TAG,
        "auto_settle": fields.flag,
        "metadata": fields.mapping,
        "template": fields.mapping,
        "images": fields.texts(IMAGES_MAX),
        **dict.fromkeys(URLS, fields.url),
        "payin_intents": fields.at_least(1),
        **dict.fromkeys(_TYPE_LISTS, fields.texts()),
        "discount_amount": fields.amount(money),
    }


_TYPE_LISTS: Final = ("payin_types", "payin_method_types", "payin_fallback", "payin_method_fallback")
"""The reference and a guide name the two lists differently; either is taken."""
_CHANGED: Final = (*("buyer_id", "name", "value", "fee_value", "fee_percent", "tag", "metadata", "template", "images"),)
"""What can be changed (provider docs: Update order)."""


def _check_amounts(order: Mapping[str, Any]) -> None:
    """Neither a fee nor a discount is more than the order, and that no more than wallets can sum up. Raises Invalid."""
    errors: Errors = {}
    if order["value"] > VALUE_MAX:
        errors["value"] = ["The value is out of range."]
    if (order.get("fee_value") or 0) > order["value"]:
        errors["fee_value"] = ["The fee value may not be greater than the value."]
    if (order.get("discount") or 0) > order["value"]:
        errors["discount_amount"] = ["The discount amount may not be greater than the value."]
    if errors:
        raise Invalid(errors)


# --- creating and changing -------------------------------------------------------------------------------------------


def create_order(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /orders."""
    try:
        code = parse(incoming, {"currency": fields.code_of_currency}).get("currency") or account_currency(caller)
        asked = parse(incoming, _readers(money_of(code)), required=("name", "value"))
        buyer, seller = yield from _parties(asked)
        order = _drafted(asked, code) | {"buyer": _party(buyer), "seller": _party(seller)}
        _check_amounts(order)
    except Invalid as bad:
        return invalid(bad.errors)
    order |= yield from _made(code)
    yield SaveDocument(ORDER, str(order["id"]), order)
    return (yield from order_answer(order, incoming, caller))


def _parties(asked: Mapping[str, Any]) -> Generator[Ask, Any, tuple[Document | None, Document | None]]:
    """Buyer and seller, as far as the order needs them (provider docs: Create order, body). Raises Invalid."""
    errors: Errors = {}
    alone = bool(asked.get("auto_settle"))
    if asked.get("buyer_id") is None and not alone and asked.get("trustee_type") is None:
        errors["buyer_id"] = [missing("buyer_id", "unless auto settle is 1 or trustee type is account")]
    if asked.get("seller_id") is None and not alone:
        errors["seller_id"] = [missing("seller_id", "unless auto settle is 1")]
    if errors:
        raise Invalid(errors)
    buyer = yield from named(CUSTOMER, "buyer_id", asked.get("buyer_id"))
    seller = yield from named(CUSTOMER, "seller_id", asked.get("seller_id"))
    return buyer, seller


def _party(customer: Document | None) -> Mapping[str, Any] | None:
    return None if customer is None else {name: customer[name] for name in ("id", "uuid", "wallet_id")}


def _drafted(asked: Mapping[str, Any], code: str) -> dict[str, Any]:
    """An order as it was asked for."""
    same = ("name", "description", "value", "fee_value", "fee_percent", "tag", "metadata", "template", "payin_intents")
    urls = {name: asked[name] for name in URLS if asked.get(name)}
    return {
        **{name: asked.get(name) for name in same},
        "currency": code,
        "discount": asked.get("discount_amount"),
        "buyer_id": asked.get("buyer_id"),
        "seller_id": asked.get("seller_id"),
        "auto_settle": bool(asked.get("auto_settle")),
        "images": asked.get("images") or [],
        "payin_types": asked.get("payin_types") or asked.get("payin_method_types"),
        "payin_fallback": asked.get("payin_fallback") or asked.get("payin_method_fallback"),
        "urls": urls,
        "status": OrderStatus.DRAFT.value,
    }


def _made(code: str) -> Generator[Ask, Any, dict[str, Any]]:
    """What an order is given: its ids, its escrow, and a page for each of its parties."""
    number: int = yield NextNumber()
    public = (yield NewId()).hex[-12:]
    escrow = yield from new_wallet(code, kind=ESCROW, more={"order": number})
    links = {"buyer": (yield NewId()).hex, "seller": (yield NewId()).hex}
    at = time_text((yield Instant()))
    return {
        "id": number,
        "public_id": public,
        "escrow": {"id": escrow["id"], "uuid": escrow["uuid"]},
        "links": links,
        "created_at": at,
    }


def update_order(incoming: Incoming, caller: Caller) -> Conversation:
    """PUT /orders/{id}; once it is paid only its metadata and its fees change."""
    order = yield from find_order(incoming.arguments["id"])
    if order is None:
        return NOT_FOUND
    try:
        readers = _readers(money_of(order["currency"]))
        asked = parse(incoming, {name: readers[name] for name in _CHANGED})
        yield from _check_change(order, asked)
        changed = {**order, **asked}
        if asked.get("buyer_id") is not None:
            changed["buyer"] = _party((yield from named(CUSTOMER, "buyer_id", asked["buyer_id"])))
        changed["images"] = changed["images"] or []
        _check_amounts(changed)
    except Invalid as bad:
        return invalid(bad.errors)
    yield SaveDocument(ORDER, str(order["id"]), changed)
    return (yield from order_answer(changed, incoming, caller))


def _check_change(order: Document, asked: Mapping[str, Any]) -> Generator[Ask, Any, None]:
    yield from ()
    errors: Errors = {name: [missing(name)] for name in ("name", "value") if name in asked and asked[name] is None}
    if order["status"] not in UNPAID:
        late = [name for name in asked if name not in CHANGED_ALWAYS]
        errors |= {name: [f"The {fields.in_words(name)} can not be changed after payment."] for name in late}
    if errors:
        raise Invalid(errors)


# --- finding ---------------------------------------------------------------------------------------------------------


def find_order(name: str) -> Finding:
    """An order by its number, with the status that its payins give it."""
    if not is_number(name):
        return None
    number = str(int(name))
    order = yield from numbered(ORDER, int(name))
    if order is not None and order["status"] not in UNPAID:
        return order
    payins = yield from payins_of(number)
    if not payins and order is None:
        alone = yield from find_payin(number)
        payins = [alone] if alone is not None and alone.order is None else []
    if order is None:
        return _from_payins(int(name), payins) if payins else None
    return _seen_paid(order, payins)


def order_of(payment: Payment) -> Finding:
    """The order of a payin, also one that was registered under a text, which its number does not lead to."""
    number = order_number(payment)
    if payment.order in (None, str(number)):
        return (yield from find_order(str(number)))
    payins = yield from payins_of(payment.order or "")
    return _from_payins(number, payins) if payins else None


def _seen_paid(order: Document, payins: Sequence[Payment]) -> Document:
    """An order that looks unpaid, although a payin of it came in by another way than its page."""
    paid = [each for each in payins if each.condition is Condition.CAPTURED]
    if not paid:
        return order
    at = min(each.captured_at or each.created_at for each in paid)
    return {**order, "status": OrderStatus.PUBLISHED.value, "published_at": time_text(at)}


def _from_payins(number: int, payins: Sequence[Payment]) -> Document:
    """An order of which only the payins are known."""
    shown = [each for each in payins if payin_status(each) not in (PayinStatus.DENIED, PayinStatus.CANCELLED)]
    value = sum(max(each.captured, each.authorized) for each in shown)
    order = {
        "id": number,
        "public_id": str(number),
        "name": f"Order {number}",
        "value": value,
        "currency": payins[0].currency,
        "images": [],
        "urls": {},
        "status": OrderStatus.DRAFT.value,
        "created_at": time_text(min(each.created_at for each in payins)),
    }
    return _seen_paid(order, payins)


# --- reading ---------------------------------------------------------------------------------------------------------


def read_order(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /orders/{id}."""
    order = yield from find_order(incoming.arguments["id"])
    return NOT_FOUND if order is None else (yield from order_answer(order, incoming, caller))


def read_payin_of(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /orders/{id}/payin: the one that was paid, or else the newest."""
    order = yield from find_order(incoming.arguments["id"])
    if order is None:
        return NOT_FOUND
    payins = yield from payins_of_order(order)
    return (yield from answer(_meant(payins), incoming, caller)) if payins else NOT_FOUND


def payins_of_order(order: Document) -> Generator[Ask, Any, list[Payment]]:
    """All payins of an order, oldest first, one that stands for its own order included."""
    payins = yield from payins_of(str(order["id"]))
    if not payins and (alone := (yield from find_payin(str(order["id"])))) is not None and alone.order is None:
        payins = [alone]
    return payins


def _meant(payins: Sequence[Payment]) -> Payment:
    """The one that was paid, or else the newest."""
    paid = [each for each in payins if each.condition is Condition.CAPTURED]
    return (paid or payins)[-1]


_NUMBERS: Final = ("id", "buyer_id", "seller_id")
SEARCHED: Final = ("id", "public_id", "name", "tag", "status", "currency", "buyer_id", "seller_id")
SORTED: Final = (*SEARCHED, "value", *TIMES)


def list_orders(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /orders, with a status and `sandbox` beside the parameters of all lists."""
    try:
        listing = parse_listing(incoming, SEARCHED, SORTED)
        more = _filtered(incoming)
    except Invalid as bad:
        return invalid(bad.errors)
    match = lists.members(listing, _NUMBERS)
    sandbox = more.pop("sandbox", None)
    if match is None or sandbox is (not is_sandboxed(caller)) or _contradict(match, more):
        return sent(lists.paginated([], 0, listing), caller)
    rows, total = yield from lists.page_of_documents(ORDER, {**match, **more}, listing)
    printed = yield from lists.each_of(rows, lambda each: print_order(each, incoming, caller))
    return sent(lists.paginated(printed, total, listing), caller)


def _contradict(match: Mapping[str, Any], more: Mapping[str, Any]) -> bool:
    return any(match.get(name, value) != value for name, value in more.items())


def _filtered(incoming: Incoming) -> dict[str, Any]:
    """The parameters that only this list has. Raises Invalid."""
    errors: Errors = {}
    found: dict[str, Any] = {}
    readers: Mapping[str, Reader] = {"status": fields.one_of(set(OrderStatus)), "sandbox": fields.flag}
    for name, reader in readers.items():
        if value := (incoming.asked(name) or "").strip():
            try:
                found[name] = reader(value.upper() if name == "status" else value, name)
            except ValueError as error:
                errors[name] = [str(error)]
    if errors:
        raise Invalid(errors)
    return found


def is_sandboxed(caller: Caller) -> bool:
    """Whether the account is a sandbox's: what nothing else is said of is one."""
    return caller.profile.get("sandbox", True) is not False


# --- its life --------------------------------------------------------------------------------------------------------


def accept_order(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /orders/{id}/accept: the seller takes it; what was only authorised is captured."""
    order = yield from find_order(incoming.arguments["id"])
    if order is None:
        return NOT_FOUND
    if order["status"] == OrderStatus.ACCEPTED:
        return (yield from order_answer(order, incoming, caller))
    if order["status"] != OrderStatus.PUBLISHED:
        return invalid({"order": ["Only a paid order can be accepted."]})
    return (yield from order_answer((yield from accept(order)), incoming, caller))


def accept(order: Document) -> Generator[Ask, Any, Document]:
    """A paid order becomes ACCEPTED."""
    for each in (yield from payins_of(str(order["id"]))):
        if payin_status(each) is PayinStatus.AUTHORIZED:
            yield from capture(each)
    return (yield from _become(order, OrderStatus.ACCEPTED, "accepted_at"))


def reject(order: Document) -> Generator[Ask, Any, Document]:
    """The seller does not want it: its money is given back by hand (provider docs: payment flows)."""
    return (yield from _become(order, OrderStatus.REJECTED))


def released(order: Document) -> Generator[Ask, Any, Document]:
    """Its money has left the escrow."""
    return (yield from _become(order, OrderStatus.RELEASED, "validated_at", "released_at"))


def send_receipt(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /orders/{id}/receipt. Nothing is sent from here."""
    return (yield from read_order(incoming, caller))


def _become(order: Document, status: OrderStatus, *times: str) -> Generator[Ask, Any, Document]:
    at = time_text((yield Instant()))
    changed = {**order, "status": status.value, **dict.fromkeys(times, at)}
    yield SaveDocument(ORDER, str(order["id"]), changed)
    yield from announce((_TOLD[status],), order["id"], _saying(changed))
    return changed


_TOLD: Final[Mapping[OrderStatus, Told]] = MappingProxyType(
    {
        OrderStatus.ACCEPTED: Told.ESCROW_ACCEPTED,
        OrderStatus.REJECTED: Told.ESCROW_REJECTED,
        OrderStatus.RELEASED: Told.ESCROW_RELEASED,
        OrderStatus.CANCELLED: Told.ESCROW_CANCELLED,
    }
)


def _saying(order: Document) -> Saying:
    """The order with its payin, where it has one."""
    payins = yield from payins_of_order(order)
    return (yield from said_of(order, _meant(payins) if payins else None))


def cancelled(order: Document) -> Generator[Ask, Any, Document]:
    """The order is CANCELLED."""
    return (yield from _become(order, OrderStatus.CANCELLED, "cancelled_at"))


def fee_of(order: Document) -> int:
    """The account's share: the larger of percent and fixed fee (provider docs: getting started), at most the value."""
    value = payable(order)
    share = (Decimal(value) * Decimal(order.get("fee_percent") or 0)).scaleb(-2)
    return int(min(value, max(order.get("fee_value") or 0, int(share.to_integral_value(ROUND_HALF_UP)))))


# --- printing --------------------------------------------------------------------------------------------------------


def order_answer(order: Document, incoming: Incoming, caller: Caller) -> Conversation:
    """The order in its envelope."""
    return said((yield from print_order(order, incoming, caller)), caller)


def print_order(order: Document, incoming: Incoming, caller: Caller) -> Generator[Ask, Any, dict[str, Any]]:
    """The order (provider docs: Get order)."""
    refund = yield from _latest_refund(order)
    code, fee = order["currency"], fee_of(order)
    links: Mapping[str, str] = order.get("links") or {}
    public = order["public_id"]
    percent = order.get("fee_percent")
    fixed = order.get("fee_value")
    return {
        "id": order["id"],
        "self": f"{VERSION}/orders/{order['id']}",
        "public_id": public,
        "name": order["name"],
        "description": order.get("description"),
        "value": major(order["value"], code),
        "fee_value": None if fixed is None else major(fixed, code),
        "fee_percent": None if percent is None else Decimal(percent),
        "currency": code,
        "amount": amount_text(order["value"], code),
        "payin_amount": amount_text(payable(order), code),
        "payout_amount": amount_text(payable(order) - fee, code),
        "fee_amount": amount_text(fee, code),
        "shipping_amount": None,
        "buyer_link": incoming.base + page_path("buyer", caller.merchant, links.get("buyer", public), order["id"]),
        "seller_link": incoming.base + page_path("seller", caller.merchant, links.get("seller", public), order["id"]),
        "qr_link": incoming.base + page_path("qr", caller.merchant, links.get("buyer", public), order["id"]),
        "status": order["status"],
        "sandbox": is_sandboxed(caller),
        "status_nicename": NICENAMES[OrderStatus(order["status"])],
        "images": order["images"],
        "tag": order.get("tag"),
        "payin_intents": order.get("payin_intents"),
        "payin_types": order.get("payin_types"),
        "payin_fallback": order.get("payin_fallback"),
        "metadata": order.get("metadata"),
        "template": order.get("template"),
        "published_units": None,
        "refund": refund,
        **{name: order.get(name) for name in TIMES},
        "connections": _connections(order),
    }


def _latest_refund(order: Document) -> Generator[Ask, Any, dict[str, Any]]:
    """Both members are null until something was given back (provider docs: Get order)."""
    newest: tuple[Refund, ...] = yield ListRefunds(order=str(order["id"]), limit=1)
    if not newest and "escrow" not in order and (alone := (yield from find_payin(str(order["id"])))) is not None:
        found: tuple[Refund, ...] = yield RefundsOf(alone.id)
        newest = tuple(each for each in found[-1:] if each.dialect == alone.dialect)
    if not newest:
        return {"status": None, "reference_id": None}
    yield from credit_wallet(newest[0])
    shown = refund_object(newest[0])
    return {"status": shown["status"], "reference_id": shown["reference_id"]}


def _connections(order: Document) -> dict[str, str]:
    number = order["id"]
    found = {"payins": f"{VERSION}/payins?search=order_id&query={number}", "payin": f"{VERSION}/orders/{number}/payin"}
    if escrow := order.get("escrow"):
        found["wallet"] = f"{VERSION}/wallets/{escrow['uuid']}"
    for side in ("buyer", "seller"):
        if party := order.get(side):
            found[side] = f"{VERSION}/customers/{party['uuid']}"
    if payout := order.get("payout"):
        found["payout"] = f"{VERSION}/payouts/{payout}"
    return found


_ALL, _ONE = f"{VERSION}/orders", f"{VERSION}/orders/{{id}}"
ROUTES: Final = (
    relayed("GET", _ALL, list_orders, "List orders", ORDER_LIST),
    relayed("POST", _ALL, create_order, "Create an order", ORDER_ANSWER, ORDER_REQUEST),
    relayed("GET", _ONE, read_order, "Read an order", ORDER_ANSWER),
    relayed("PUT", _ONE, update_order, "Update an order", ORDER_ANSWER, ORDER_UPDATE),
    relayed("GET", f"{_ONE}/payin", read_payin_of, "Read the payin of an order", PAYIN_ANSWER),
    relayed("POST", f"{_ONE}/accept", accept_order, "Accept a paid order", ORDER_ANSWER, NOTHING_REQUEST),
    relayed("POST", f"{_ONE}/receipt", send_receipt, "Send the buyer a receipt", ORDER_ANSWER, NOTHING_REQUEST),
)
