"""The pages behind an order's and a payin's links: where a buyer pays, and where a seller takes or leaves an order.

Whoever has a link has no key: it names its merchant and holds what cannot be guessed, and opens one page. Only what
is paid in the sandbox has pages here. None asks for a card's number; what a form says beside its outcome is not looked
at. A POST without any words pays, as a merchant's own server charges a card that was kept (provider docs: recurring
payments guide).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from hmac import compare_digest
from html import escape
from io import BytesIO
from typing import Any, Final
from urllib.parse import quote

import segno

from moneyback.core.payment import Payment
from moneyback.dialect import ActFor, Ask, Caller, Conversation, Incoming, Outgoing, Route
from moneyback.dialects.truust.documents import ORDER, Document, numbered
from moneyback.dialects.truust.envelope import ENCODINGS
from moneyback.dialects.truust.fields import Invalid
from moneyback.dialects.truust.orders import accept, find_order, reject
from moneyback.dialects.truust.payins import deny, find_payin, make_payin, pay, payable
from moneyback.dialects.truust.schemas import CODE_ANSWER, PAGE_ANSWER, PAGE_REQUEST
from moneyback.dialects.truust.wire import (
    OVER,
    TYPE_UNSTATED,
    WALLET,
    OrderStatus,
    PayinStatus,
    amount_text,
    is_sandbox,
    order_number,
    page_named,
    payin_status,
    payin_type,
)
from moneyback.dialects.truust.words import NOT_FOUND

HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors *",
    "Referrer-Policy": "no-referrer",
}
_CODE_SCALE: Final = 8
"""Pixels of one of a code's squares, where whoever shows it asks for no other size."""
_PAYING: Final = (("pay", "Pay"), ("decline", "Let the bank decline"), ("leave", "Leave"))
_TAKING: Final = (("accept", "Accept"), ("reject", "Reject"))


# --- a payin's page --------------------------------------------------------------------------------------------------


def show_payin(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /direct/{hash}: pay, let the bank decline, or leave."""
    payment = yield from _linked_payin(incoming)
    if payment is None:
        return NOT_FOUND
    shown = f"{payin_type(payment)} payin {payment.dialect_id}"
    amount = amount_text(payment.authorized or payment.captured, payment.currency)
    if payin_status(payment) is not PayinStatus.CREATED:
        return _page(shown, f"{amount}. This payin is {payin_status(payment).value}.")
    return _page(shown, amount, _PAYING)


def answer_payin(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /direct/{hash}: what its buyer did, or a charge by the merchant's own server."""
    payment = yield from _linked_payin(incoming)
    if payment is None:
        return NOT_FOUND
    order = yield from numbered(ORDER, order_number(payment))
    outcome = _outcome(incoming, "pay")
    if outcome == "decline":
        payment = yield from deny(payment)
    elif outcome != "leave":
        payment = yield from pay(payment)
    return _after(payment, order)


def _linked_payin(incoming: Incoming) -> Generator[Ask, Any, Payment | None]:
    named = yield from _named(incoming)
    found = None if named is None else (yield from find_payin(str(named[1])))
    if named is None or found is None or not is_sandbox(found):
        return None
    return found if compare_digest(found.id.hex, named[0]) else None


def _after(payment: Payment, order: Document | None) -> Outgoing:
    """Back to where the merchant wants its buyers, or a page that says what came of it."""
    status = payin_status(payment)
    good = status in (PayinStatus.CONFIRMED, PayinStatus.AUTHORIZED, PayinStatus.REFUNDED)
    shown = f"{payin_type(payment)} payin {payment.dialect_id}"
    return _back(order, "buyer", good=good) or _page(shown, f"This payin is {status.value}.")


# --- an order's pages ------------------------------------------------------------------------------------------------


def show_order_to_buyer(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /buyer/{hash}: pay the order."""
    order = yield from _linked_order(incoming, "buyer")
    if order is None:
        return NOT_FOUND
    if not _is_to_pay(order):
        return _page(order["name"], f"This order is {order['status']}.")
    return _page(order["name"], amount_text(payable(order), order["currency"]), _PAYING)


def answer_order_of_buyer(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /buyer/{hash}: the order's first type of payin, paid or declined."""
    order = yield from _linked_order(incoming, "buyer")
    if order is None:
        return NOT_FOUND
    outcome = _outcome(incoming, "pay")
    if not _is_to_pay(order) or outcome == "leave":
        return _back(order, "buyer", good=False) or _page(order["name"], f"This order is {order['status']}.")
    try:
        payment = yield from make_payin(order, _type_of(order), {}, caller)
    except Invalid:
        return NOT_FOUND
    payment = yield from (deny(payment) if outcome == "decline" else pay(payment))
    return _after(payment, order)


def _is_to_pay(order: Document) -> bool:
    paid = (OrderStatus.PUBLISHED, OrderStatus.ACCEPTED, *OVER)
    return order["status"] not in paid and payable(order) > 0


def _type_of(order: Document) -> str:
    """The first type that a page can pay with."""
    allowed = [each.upper() for each in order.get("payin_types") or ()]
    return next((each for each in allowed if each != WALLET), TYPE_UNSTATED)


def show_code(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /qr/{hash}: the address of the buyer's page as a picture, to be scanned from a till or a printed bill."""
    order = yield from _linked_order(incoming, "buyer")
    if order is None:
        return NOT_FOUND
    picture = segno.make(f"{incoming.base}/buyer/{incoming.arguments['hash']}", error="m", micro=False)
    body = BytesIO()
    picture.save(body, kind="svg", scale=_CODE_SCALE, light="white")
    return Outgoing(body=body.getvalue(), headers=HEADERS, media_type="image/svg+xml")


def show_order_to_seller(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /seller/{hash}: accept the order, or reject it."""
    order = yield from _linked_order(incoming, "seller")
    if order is None:
        return NOT_FOUND
    amount = amount_text(payable(order), order["currency"])
    buttons = _TAKING if order["status"] == OrderStatus.PUBLISHED else ()
    return _page(order["name"], f"{amount}. This order is {order['status']}.", buttons)


def answer_order_of_seller(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /seller/{hash}."""
    order = yield from _linked_order(incoming, "seller")
    if order is None:
        return NOT_FOUND
    outcome = _outcome(incoming, "")
    if order["status"] == OrderStatus.PUBLISHED and outcome in ("accept", "reject"):
        order = yield from (accept(order) if outcome == "accept" else reject(order))
    good = order["status"] != OrderStatus.REJECTED
    return _back(order, "seller", good=good) or _page(order["name"], f"This order is {order['status']}.")


def _linked_order(incoming: Incoming, side: str) -> Generator[Ask, Any, Document | None]:
    named = yield from _named(incoming)
    found = None if named is None else (yield from find_order(str(named[1])))
    if named is None or found is None or "links" not in found:
        return None
    return found if compare_digest(found["links"][side], named[0]) else None


# --- all pages -------------------------------------------------------------------------------------------------------


def _named(incoming: Incoming) -> Generator[Ask, Any, tuple[str, int] | None]:
    """The secret and the number in an address, whose merchant is acted for from here on."""
    named = page_named(incoming.arguments["hash"])
    if named is None:
        return None
    merchant, secret, number = named
    yield ActFor(merchant)
    return secret, number


def _outcome(incoming: Incoming, unsaid: str) -> str:
    """The button that was pressed."""
    said = incoming.body.get("outcome") if isinstance(incoming.body, Mapping) else None
    return said if isinstance(said, str) and said else incoming.asked("outcome") or unsaid


def _back(order: Document | None, side: str, *, good: bool) -> Outgoing | None:
    """To the address that the order names for this end; None where it names none."""
    name = f"{side}_{'confirmed' if good else 'denied'}_url"
    url = None if order is None else (order.get("urls") or {}).get(name)
    if url is None:
        return None
    return Outgoing(status=302, headers={**HEADERS, "Location": quote(url, safe="!#$%&'()*+,/:;=?@[]~")})


def _page(title: str, text: str, buttons: tuple[tuple[str, str], ...] = ()) -> Outgoing:
    pressed = "".join(f'<button name="outcome" value="{value}">{escape(label)}</button>\n' for value, label in buttons)
    form = f'<form method="post">\n{pressed}</form>' if buttons else ""
    body = _HTML.format(title=escape(title), text=escape(text), form=form)
    return Outgoing(body=body.encode(), headers=HEADERS, media_type="text/html; charset=utf-8")


_HTML: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5 }}
main {{ max-width: 30rem; margin: 3rem auto; padding: 0 1rem }}
button {{ font: inherit; margin: 0 .5rem .5rem 0; padding: .5rem 1rem }}
</style>
</head>
<body><main><h1>{title}</h1>
<p>{text}</p>
{form}</main></body>
</html>
"""


def _shown(path: str, handle: Any, summary: str) -> Route:
    return Route(
        method="GET",
        path=path,
        handle=handle,
        accepts=ENCODINGS,
        summary=summary,
        response_schema=PAGE_ANSWER,
        public=True,
    )


def _answered(path: str, handle: Any, summary: str) -> Route:
    return Route(
        method="POST",
        path=path,
        handle=handle,
        accepts=ENCODINGS,
        summary=summary,
        request_schema=PAGE_REQUEST,
        response_schema=PAGE_ANSWER,
        public=True,
    )


ROUTES: Final = (
    _shown("/direct/{hash}", show_payin, "The page on which a payin is paid"),
    _answered("/direct/{hash}", answer_payin, "Pay a payin, let the bank decline, or leave"),
    _shown("/buyer/{hash}", show_order_to_buyer, "The page on which an order is paid"),
    _answered("/buyer/{hash}", answer_order_of_buyer, "Pay an order, let the bank decline, or leave"),
    Route(
        method="GET",
        path="/qr/{hash}",
        handle=show_code,
        accepts=ENCODINGS,
        summary="The address of the page on which an order is paid, as a QR code",
        response_schema=CODE_ANSWER,
        public=True,
    ),
    _shown("/seller/{hash}", show_order_to_seller, "The page on which a seller accepts an order"),
    _answered("/seller/{hash}", answer_order_of_seller, "Accept or reject an order"),
)
