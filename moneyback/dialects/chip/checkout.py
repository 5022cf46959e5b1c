"""The pay page behind `checkout_url`: where a person, or a test, pays a sandbox's Purchase, lets it fail, or leaves.

Its address is all that a payer has, and it is given to nobody else: it names the shop and a Purchase whose id cannot be
guessed, and shows that one only. Where real money moves there is no such page: CHIP has its own.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from moneyback.core.payment import Payment
from moneyback.dialect import ActFor, Ask, Caller, Conversation, FindPayment, Incoming, Instant, Outgoing
from moneyback.dialects.chip import document, events
from moneyback.dialects.chip.cards import Misread, brought_back, carried, read_card
from moneyback.dialects.chip.document import is_test, option
from moneyback.dialects.chip.methods import CARDS
from moneyback.dialects.chip.objects import checkout_url, total
from moneyback.dialects.chip.page import bank_page, nowhere, pay_page, told_page
from moneyback.dialects.chip.paying import attempted, can_be_paid, noted, pay, stands, ways_to_pay
from moneyback.dialects.chip.standing import status
from moneyback.dialects.chip.telling import announce
from moneyback.dialects.chip.wire import Status, unix

_AS_IT_IS: Final = "%/:?#[]@!$&'()*+,;=~"
BY_CARD: Final = ("card", *CARDS)
_REFUSED: Final = ("payment_rejected_other_reason", "The payer let the payment fail.")
_NOT_OFFERED: Final = ("unknown_payment_method", "This Purchase cannot be paid by this method.")
_TOLD: Final[Mapping[Status, str]] = {
    Status.CANCELLED: "This payment was cancelled.",
    Status.EXPIRED: "The time to pay has passed.",
    Status.RELEASED: "The payment was released.",
    Status.HOLD: "The amount is on hold.",
    Status.PREAUTHORIZED: "The card is saved.",
    Status.PAID: "Paid. Thank you.",
    Status.REFUNDED: "Paid, and given back since, all or in part.",
}

_DONE: Final = (Status.PAID, Status.HOLD, Status.PREAUTHORIZED, Status.PENDING_REFUND, Status.REFUNDED)


def open_page(incoming: Incoming, _caller: Caller) -> Conversation:
    """GET the pay page; `preferred` chooses a method beforehand."""
    payment = yield from _find(incoming)
    if payment is None:
        return nowhere()
    if not (yield from can_be_paid(payment)):
        return (yield from _tell(payment))
    if document.VIEWED not in payment.document:
        now: datetime = yield Instant()
        payment = yield from noted(payment, {document.VIEWED: unix(now)})
        yield from announce(events.VIEWED, payment, str(payment.id))
    return pay_page(
        payment,
        ways_to_pay(payment),
        action=checkout_url(payment, incoming.base),
        preferred=incoming.asked("preferred") or "",
        failed=_latest_failure(payment),
        leave=option(payment, "cancel_redirect", ""),
    )


def open_invoice(incoming: Incoming, _caller: Caller) -> Conversation:
    """GET what was paid."""
    payment = yield from _find(incoming)
    return nowhere() if payment is None else (yield from _tell(payment))


def submit_page(incoming: Incoming, _caller: Caller) -> Conversation:
    """POST the pay page: `action` is pay, decline or leave; `payment_method` and a card's fields as on the page."""
    return (yield from _submitted(incoming, "payform"))


def direct_post(incoming: Incoming, _caller: Caller) -> Conversation:
    """POST a card's fields from the shop's own form (provider docs: create a purchase page, direct_post_url)."""
    return (yield from _submitted(incoming, "direct_post"))


def answer_bank(incoming: Incoming, _caller: Caller) -> Conversation:
    """POST what the card's holder answered their bank."""
    payment = yield from _find(incoming)
    if payment is None:
        return nowhere()
    if not (yield from can_be_paid(payment)):
        return _onward(payment, incoming)
    fields = _fields(incoming)
    card = brought_back(fields)
    if card is None:
        return _to(checkout_url(payment, incoming.base))
    error = None if fields.get("action") == "pay" else ("3ds_authentication_failed", "3DS authentication failed.")
    flow = "direct_post" if fields.get("flow") == "direct_post" else "payform"
    attempt = yield from attempted("", card.scheme, flow, extra=card.extra, error=error)
    return (yield from _settled(payment, attempt, fields, incoming))


# --- paying ----------------------------------------------------------------------------------------------------------


def _submitted(incoming: Incoming, flow: str) -> Conversation:
    payment = yield from _find(incoming)
    if payment is None:
        return nowhere()
    fields = _fields(incoming)
    if fields.get("action") == "leave":
        return _left(payment, incoming)
    if not (yield from can_be_paid(payment)):  # sent twice, or paid meanwhile: nothing happens a second time
        return _onward(payment, incoming)
    by_card = flow == "direct_post" or "card_number" in fields or fields.get("payment_method") in BY_CARD
    if by_card:
        return (yield from _pay_by_card(payment, fields, flow, incoming))
    ways = [each for each in ways_to_pay(payment) if each not in CARDS]
    method = fields.get("payment_method") or (ways[0] if ways else "")
    error = None if method in ways else _NOT_OFFERED
    if fields.get("action") == "decline":
        error = _REFUSED
    attempt = yield from attempted("", method if method in ways else "", flow, error=error)
    return (yield from _settled(payment, attempt, fields, incoming))


def _pay_by_card(payment: Payment, fields: Mapping[str, str], flow: str, incoming: Incoming) -> Conversation:
    now: datetime = yield Instant()
    card = read_card(fields, now)
    if isinstance(card, Misread):
        attempt = yield from attempted("", "", flow, error=card.error)
        return (yield from _settled(payment, attempt, fields, incoming))
    error = None if card.scheme in ways_to_pay(payment) else _NOT_OFFERED
    if fields.get("action") == "decline":
        error = _REFUSED
    if card.three_d_secure and error is None:
        kept = {name: fields[name] for name in ("remember_card",) if name in fields}
        address = f"{checkout_url(payment, incoming.base)}3ds/"
        return bank_page(payment, address, {**carried(card), **kept, "flow": flow})
    attempt = yield from attempted("", card.scheme, flow, extra=card.extra, error=error)
    return (yield from _settled(payment, attempt, fields, incoming))


def _settled(payment: Payment, attempt: dict[str, Any], fields: Mapping[str, str], incoming: Incoming) -> Conversation:
    """Record the attempt, and take the payer to where it leads."""
    kind = "authorize" if option(payment, "skip_capture") else "execute"
    keeps = fields.get("remember_card") in ("on", "true", "1")
    payment = yield from pay(payment, {**attempt, "type": kind}, keeps_card=keeps)
    if attempt["error"] is not None:
        yield from announce(events.PAYMENT_FAILURE, payment, attempt["id"])
    elif kind == "authorize":
        yield from announce(events.HOLD if total(payment) else events.PREAUTHORIZED, payment, attempt["id"])
    if attempt["error"] is None:
        return _onward(payment, incoming)
    return _to(option(payment, "failure_redirect") or checkout_url(payment, incoming.base))


def _onward(payment: Payment, incoming: Incoming) -> Outgoing:
    """To the shop once it is paid, else to what the page has to say."""
    done = status(payment) in _DONE
    return _to((option(payment, "success_redirect") if done else "") or _invoice_url(payment, incoming))


def _left(payment: Payment, incoming: Incoming) -> Outgoing:
    leave = option(payment, "cancel_redirect")
    return _to(leave) if leave else told_page(payment, "Nothing was paid. You may close this page, or come back to it.")


def _invoice_url(payment: Payment, incoming: Incoming) -> str:
    return checkout_url(payment, incoming.base).removesuffix("invoice/") + "invoice/"


# --- the Purchase of the address -------------------------------------------------------------------------------------


def _find(incoming: Incoming) -> Generator[Ask, Any, Payment | None]:
    try:
        shop = UUID(hex=incoming.arguments["shop"])
    except ValueError:
        return None
    yield ActFor(shop)
    found: Payment | None = yield FindPayment(incoming.arguments["id"].lower())
    return found if found is not None and is_test(found) else None


def _tell(payment: Payment) -> Conversation:
    standing = yield from stands(payment)
    return told_page(payment, _TOLD.get(standing, "This cannot be paid any more."))


def _latest_failure(payment: Payment) -> str:
    failed = [each["error"]["message"] for each in document.attempts(payment) if each["error"] is not None]
    return str(failed[-1]) if failed else ""


def _fields(incoming: Incoming) -> dict[str, str]:
    """The form's fields; what is no text is none of them."""
    body = incoming.body if isinstance(incoming.body, Mapping) else {}
    return {name: value for name, value in body.items() if isinstance(value, str)}


def _to(address: str) -> Outgoing:
    """On to an address, which a header can hold only in the letters of ASCII."""
    return Outgoing(status=303, headers={"Location": quote(address, safe=_AS_IT_IS), "Cache-Control": "no-store"})
