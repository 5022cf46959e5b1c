"""Taking money: a sale, which is authorised and captured at once, and an authorisation that is captured later."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from moneyback.core.payment import Condition, Parts, Payment
from moneyback.dialect import (
    AddPayment,
    Ask,
    Caller,
    Conversation,
    DropDocument,
    Incoming,
    Instant,
    ListPayments,
    NextNumber,
    Outgoing,
    Route,
    SaveDocument,
)
from moneyback.dialects.maverick.bodies import (
    Wrong,
    choice_of,
    object_of,
    own_terminal,
    part_of,
    positive_amount_of,
    read_body,
    text_of,
    whole,
    yes_of,
)
from moneyback.dialects.maverick.captured import RECORD, Capture, captured_record, captures_of, remembered
from moneyback.dialects.maverick.cards import Card, CardStated, keep_card, presented_card, read_card
from moneyback.dialects.maverick.objects import ORDER_WORDS, original
from moneyback.dialects.maverick.parts import total
from moneyback.dialects.maverick.references import DUPLICATE as USED_BEFORE
from moneyback.dialects.maverick.references import LENGTH_MAX, claim, lead_to
from moneyback.dialects.maverick.registration import Own
from moneyback.dialects.maverick.schemas import CHARGE_BODY, RECORD_OR_ERROR
from moneyback.dialects.maverick.server import ENCODINGS, refused
from moneyback.dialects.maverick.threeds import UNKNOWN_TOKEN, Wish, authenticated, read_wish
from moneyback.dialects.maverick.wire import CURRENCY, DUPLICATE, METHOD, Complaint, Settings, invalid, settings_of

ORIGINS: Final = ("API", "HostedForm", "VirtualTerminal")
SOURCES: Final = ("Internet", "Phone", "Mail", "MOTO")
CONTACT: Final[Mapping[str, int]] = {"name": 128, "phone": 32, "email": 254}
ADDRESS_LENGTH_MAX: Final = 45
_PAGE: Final = 100


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """What every request that presents a card says, beside its amount."""

    card: CardStated
    wish: Wish
    external: str | None
    document: Mapping[str, Any]


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What a sale or an authorisation asks for."""

    amount: int  # minor units
    parts: Parts | None
    stated: Stated


# --- the calls -------------------------------------------------------------------------------------------------------


def sell(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payment/sale: the Auth with its Capture beneath it, or why it was declined."""
    return (yield from _charge(incoming, caller, captured=True))


def authorise(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payment/auth: the Auth, to be captured or reversed, or why it was declined."""
    return (yield from _charge(incoming, caller, captured=False))


def _charge(incoming: Incoming, caller: Caller, *, captured: bool) -> Conversation:
    settings = settings_of(caller)
    try:
        charge = read_charge(read_body(incoming.body), settings)
    except Wrong as wrong:
        return refused(wrong.complaint, settings)
    card = yield from presented_card(charge.stated.card)
    if card is None:
        return refused(UNKNOWN_TOKEN, settings)
    threeds = yield from authenticated(charge.stated.wish, card)
    if isinstance(threeds, Complaint):
        return refused(threeds, settings)
    number = yield from new_number(charge.stated.external)
    if number is None:
        return refused(USED_BEFORE, settings)
    service = "sale" if captured else "auth"
    reason = card.refusal or (yield from _repeated(charge, card, service, settings))
    shown = yield from shown_card(charge.stated.card, card, number, kept=reason is None)
    document = {**charge.stated.document, "card": shown, "service": service}
    if threeds is not None:
        document["threeds"] = threeds
    if charge.stated.external is not None:
        yield lead_to(number, charge.stated.external)
    if reason is not None:
        payment = yield _payment(charge, number, Condition.FAILED, {**document, "reason": reason})
    elif captured:
        payment = yield from _sale(charge, number, document)
    else:
        payment = yield _payment(charge, number, Condition.AUTHORIZED, document)
    return (yield from _answer(payment, charge, settings))


def _answer(payment: Payment, charge: Charge, settings: Settings) -> Conversation:
    """The record of what was made. It may have been made by an equal request that came first."""
    if total(payment) != charge.amount:
        return refused(USED_BEFORE, settings)
    if payment.condition is Condition.FAILED and settings.decline_mode == 422:
        return refused(invalid(str(payment.document["reason"])), settings)
    now: datetime = yield Instant()
    return Outgoing(body=original(payment, (), now))


def _sale(charge: Charge, number: str, document: Mapping[str, Any]) -> Generator[Ask, Any, Payment]:
    """A sale takes two numbers: of its Auth, and of the Capture beneath it, which can be found before it is there."""
    now: datetime = yield Instant()
    capture = Capture(id=str((yield NextNumber())), amount=charge.amount, at=now)
    terminal: int = document["terminal_id"]
    yield SaveDocument(RECORD, capture.id, captured_record(number, capture, terminal, CURRENCY))
    payment: Payment = yield _payment(charge, number, Condition.CAPTURED, {**document, **remembered(capture)})
    if capture.id in {each.id for each in captures_of(payment)}:
        # Its place in the list is beside its Auth, by the time the Auth was given.
        dated = replace(capture, at=payment.created_at)
        yield SaveDocument(RECORD, capture.id, captured_record(number, dated, terminal, CURRENCY))
    else:
        yield DropDocument(RECORD, capture.id)
    return payment


def _payment(charge: Charge, number: str, condition: Condition, document: Mapping[str, Any]) -> AddPayment:
    return AddPayment(
        amount=charge.amount,
        currency=CURRENCY,
        status=condition.value,
        method=METHOD,
        parts=charge.parts,
        dialect_id=number,
        document=Own(document),
    )


def new_number(external: str | None) -> Generator[Ask, Any, str | None]:
    """The id of a new record; None where its externalId belongs to another."""
    number = str((yield NextNumber()))
    return number if external is None else (yield from claim(external, number))


def shown_card(stated: CardStated, card: Card, number: str, *, kept: bool) -> Generator[Ask, Any, Mapping[str, Any]]:
    """What a record shows of its card. A network's id and a token are given out for what went well."""
    shown: dict[str, Any] = {"bin": card.bin, "number": card.number, "exp": card.exp}
    if card.name is not None:
        shown["name"] = card.name
    shown["verification"] = stated.verification
    if kept:
        shown["networkTransactionId"] = f"{int(number) % 10**15:015}"
        if stated.keep:
            shown["token"] = yield from keep_card(card)
    return shown


def _repeated(charge: Charge, card: Card, service: str, settings: Settings) -> Generator[Ask, Any, str | None]:
    """The reason when the same amount was taken from the same card by the same call within the window."""
    if not settings.duplicate_window_s:
        return None
    now: datetime = yield Instant()
    begin, offset = now - timedelta(seconds=settings.duplicate_window_s), 0
    same = (charge.amount, card.bin, card.number, service)
    while True:
        page: tuple[Payment, ...] = yield ListPayments(created_from=begin, offset=offset, limit=_PAGE)
        if any(same == _service_of(each) and each.created_at > begin for each in page):
            return DUPLICATE
        if len(page) < _PAGE:
            return None
        offset += _PAGE


def _service_of(payment: Payment) -> tuple[int, Any, Any, Any] | None:
    if payment.condition is Condition.FAILED:
        return None
    card = payment.document.get("card", {})
    return total(payment), card.get("bin"), card.get("number"), payment.document.get("service")


# --- what requests say -----------------------------------------------------------------------------------------------


def read_charge(body: Mapping[str, Any], settings: Settings) -> Charge:
    """A sale or authorisation. Raises Wrong with what is wrong first: terminal, amount, source, level, card, rest."""
    terminal = own_terminal(body, settings)
    amount = positive_amount_of(body.get("amount"), CURRENCY)
    if amount is None:
        raise Wrong(invalid("Amount cannot be blank."))
    stated = read_stated(body, terminal)
    order = object_of(body.get("order"), "Order")
    words = {name: _shown(order[name]) for name in ORDER_WORDS if order.get(name) is not None}
    document = {**stated.document, "order": words} if words else stated.document
    return Charge(amount=amount, parts=_parts(order, amount), stated=replace(stated, document=document))


def read_stated(body: Mapping[str, Any], terminal: int, *, source_needed: bool = True, token: bool = True) -> Stated:
    """What is said of every card that is presented. Raises Wrong."""
    source = choice_of(body.get("source"), "Source", SOURCES)
    if source is None and source_needed:
        raise Wrong(invalid("Source cannot be blank."))
    level = _level(body.get("level"))
    card = read_card(body, by_token=token)
    external = text_of(body.get("externalId"), "External ID", LENGTH_MAX)
    document: dict[str, Any] = {"terminal_id": terminal}
    ip = text_of(object_of(body.get("ip"), "IP").get("address"), "IP address", ADDRESS_LENGTH_MAX)
    said: Mapping[str, Any] = {
        "source": source,
        "level": level,
        "origin": choice_of(body.get("origin"), "Origin", ORIGINS),
        "externalId": external,
        "contact": _contact(body.get("contact")),
        "isRecurring": "Yes" if yes_of(body.get("isRecurring"), "Is recurring") else None,
        "ip": None if ip is None else {"address": ip},
    }
    document |= {name: value for name, value in said.items() if value is not None}
    return Stated(card=card, wish=read_wish(body), external=external, document=document)


def _level(value: Any) -> int | None:
    """How much a client says of its order. The documentation demands it; clients in production leave it out."""
    if value is None or value == "":
        return None
    level = whole(value)
    if level not in (1, 2, 3):
        raise Wrong(invalid("Level is invalid."))
    return level


def _contact(value: Any) -> Mapping[str, Any] | None:
    stated = object_of(value, "Contact")
    if not stated:
        return None
    return {name: text_of(stated.get(name), f"Contact {name}", longest) for name, longest in CONTACT.items()}


def _shown(value: Any) -> Any:
    """What an order says in words, as it is shown again: numbers with a point are text, like every amount here."""
    match value:
        case Decimal():
            return f"{value:f}"
        case Mapping():
            return {name: _shown(each) for name, each in value.items()}
        case list():
            return [_shown(each) for each in value]
        case _:
            return value


def _parts(order: Mapping[str, Any], amount: int) -> Parts | None:
    """The order's amounts; None where it states none. A subtotal that is left out is what the others leave."""
    named = ("subtotal", "tax", "discounts", "shipping")
    stated = {name: part_of(order.get(name), f"Order {name}", CURRENCY) for name in named}
    if all(part is None for part in stated.values()):
        return None
    tax, discounts, shipping = (stated[name] or 0 for name in named[1:])
    subtotal = stated["subtotal"]
    if subtotal is None:
        subtotal = max(0, amount - tax + discounts - shipping)
    return Parts(subtotal=subtotal, tax=tax, discount=discounts, shipping=shipping)


# --- routes ----------------------------------------------------------------------------------------------------------

ROUTES: Final = (
    Route(
        method="POST",
        path="/payment/sale",
        handle=sell,
        kind="relayed",
        accepts=ENCODINGS,
        summary="Charge a card: authorise and capture at once",
        request_schema=CHARGE_BODY,
        response_schema=RECORD_OR_ERROR,
    ),
    Route(
        method="POST",
        path="/payment/auth",
        handle=authorise,
        kind="relayed",
        accepts=ENCODINGS,
        summary="Authorise an amount on a card, to be captured or reversed",
        request_schema=CHARGE_BODY,
        response_schema=RECORD_OR_ERROR,
    ),
)
