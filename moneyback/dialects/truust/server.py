"""Truust as we serve it: the refund of a payin or of an order's payins, and reading payins, refunds, bank accounts."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

import msgspec

from moneyback.core.commands import Admitted, Grouped, Joined
from moneyback.core.money import currency, to_major
from moneyback.core.payment import Asked, Payment
from moneyback.core.refund import Refund
from moneyback.core.refusals import Reason, Refusal, refuse
from moneyback.dialect import (
    Ask,
    AskOrderRefund,
    AskRefund,
    Await,
    Caller,
    Conversation,
    FindPayment,
    FindRefund,
    Incoming,
    Instant,
    ListDocuments,
    ListPayments,
    ListRefunds,
    LoadDocument,
    NextNumber,
    Outgoing,
    Presented,
    RefundsOf,
    Route,
)
from moneyback.dialects.truust import lists
from moneyback.dialects.truust.fields import Invalid, Wanted, parse_refund
from moneyback.dialects.truust.lists import Listing, Row, parse_listing
from moneyback.dialects.truust.objects import (
    BANK_ACCOUNT,
    bank_account,
    newest,
    payin,
    refund_object,
    remembered,
)
from moneyback.dialects.truust.schemas import (
    BANK_ACCOUNT_ANSWER,
    PAYIN_ANSWER,
    PAYIN_LIST,
    REFUND_ANSWER,
    REFUND_LIST,
    REFUND_REQUEST,
)
from moneyback.dialects.truust.wire import WAIT_S, PayinStatus, is_bankwire, order_number, payin_status
from moneyback.dialects.truust.words import NOT_FOUND, invalid, refused

TRIES: Final = 3
"""How often an amount is shared out anew when the payins change between reading them and locking them."""
_BOM: Final = b"\xef\xbb\xbf"
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode

Legs = tuple[tuple[Payment, int | None], ...]
"""Which payins a request refunds, and how much of each in minor units; None: what remains."""
Made = tuple[Admitted | Joined, ...]


# --- the refund call -------------------------------------------------------------------------------------------------


def refund_payin(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payins/{id}/refund: the payin after the refund, whose connections name the refund that was made."""
    path: Payment | None = yield FindPayment(incoming.arguments["id"])
    if path is None:
        return NOT_FOUND
    try:
        wanted = parse_refund(incoming, currency(path.currency))
        if wanted.amount == 0:  # in range (provider docs: Refund payin, body), and moves nothing
            return (yield from _payin_answer(path, incoming, caller))
        made = yield from _refund(path, wanted)
    except Invalid as bad:
        return invalid(bad.errors)
    if isinstance(made, Outgoing):
        return made
    ended = yield from _wait_for(path, made)
    if ended is None:
        return (yield from _payin_answer((yield FindPayment(path.dialect_id)), incoming, caller))
    refund, payment = ended
    return _said(payin(payment, refund, incoming.base), caller)


def _refund(path: Payment, wanted: Wanted) -> Generator[Ask, Any, Made | Outgoing]:
    """Share the amount out and ask for it; once more when others were faster. Raises Invalid."""
    legs = yield from _legs(path, wanted)
    for _ in range(TRIES):
        yield from _check_bank_account(legs, wanted)
        result = yield from _ask(path, legs, wanted)
        if not isinstance(result, Refusal):
            return result
        if not wanted.multipayin:
            return refused(result, path.currency)
        before, legs = legs, (yield from _legs(path, wanted))
        if legs == before:
            return refused(result, path.currency)
    return refused(refuse(Reason.ORDER_NOT_FOUND), path.currency)


def _ask(path: Payment, legs: Legs, wanted: Wanted) -> Generator[Ask, Any, Made | Refusal]:
    if len(legs) == 1 or path.order is None:
        result = yield _asking(*legs[0], wanted)
        return _made(result)
    asks = list[AskRefund]()
    for payment, amount in legs:
        number = yield NextNumber()
        asks.append(_asking(payment, amount, wanted, str(number)))
    result = yield AskOrderRefund(order=path.order, legs=tuple(asks))
    return _made(result)


def _asking(payment: Payment, amount: int | None, wanted: Wanted, dialect_id: str | None = None) -> AskRefund:
    to = wanted.bankaccount_id if is_bankwire(payment) else None
    return AskRefund(
        payment=payment,
        asked=Asked(payer=amount),
        reference=wanted.tag,
        destination=None if to is None else str(to),
        metadata=wanted.metadata or {},
        request=remembered(payment, wanted.tag, wanted.metadata),
        distinct=wanted.tag,
        dialect_id=dialect_id,
    )


def _made(result: object) -> Made | Refusal:
    match result:
        case Refusal():
            return result
        case Grouped(legs=legs):
            return legs
        case Admitted() | Joined():
            return (result,)
        case _:
            raise AssertionError(f"a refund without a key cannot end as {result!r}")


def _check_bank_account(legs: Legs, wanted: Wanted) -> Generator[Ask, Any, None]:
    """The account must be one of the caller's; that there is one at all is looked at with everything else. Invalid."""
    if wanted.bankaccount_id is None or not any(is_bankwire(payment) for payment, _ in legs):
        return
    document = yield LoadDocument(BANK_ACCOUNT, str(wanted.bankaccount_id))
    if document is None:
        raise Invalid({"bankaccount_id": ["The selected bankaccount id is invalid."]})


def _wait_for(path: Payment, made: Made) -> Generator[Ask, Any, tuple[Refund, Payment] | None]:
    """Wait for all refunds within one limit: the path payin's own as it stands then, None when it has none."""
    own: tuple[Refund, Payment] | None = None
    began = (yield Instant()) if len(made) > 1 else None
    left_s = WAIT_S
    for each in made:
        refund, payment = yield Await(each.refund, left_s)
        if payment.id == path.id:
            own = refund, payment
        if began is not None:
            now = yield Instant()
            left_s = max(0.0, WAIT_S - (now - began).total_seconds())
    return own


# --- which payins ----------------------------------------------------------------------------------------------------


def _legs(path: Payment, wanted: Wanted) -> Generator[Ask, Any, Legs]:
    """The payin of the path; with `multipayin` what is open of its order's confirmed payins. Raises Invalid."""
    if not wanted.multipayin or path.order is None:
        return ((path, wanted.amount),)
    payins = yield from _payins_of(path.order)
    return shared(path, payins, wanted.amount)


def _payins_of(order: str) -> Generator[Ask, Any, list[Payment]]:
    found = list[Payment]()
    while True:
        page = yield ListPayments(order=order, ascending=True, offset=len(found), limit=lists.SCANNED_AT_ONCE)
        found.extend(page)
        if len(page) < lists.SCANNED_AT_ONCE:
            return found


def shared(path: Payment, payins: Sequence[Payment], amount: int | None) -> Legs:
    """What is refunded of each payin: everything left, or `amount` from the path's payin first, then by number.

    Payins that are not confirmed, or of which nothing is left, take no part; where none does, the path's own stands for
    all, so that the engine says why. Raises Invalid for more than all of them have.
    """
    open_ = [each for each in payins if payin_status(each) is PayinStatus.CONFIRMED and each.refundable]
    open_.sort(key=lambda each: (each.id != path.id, int(each.dialect_id)))
    if not open_:
        return ((path, amount),)
    if any(each.currency != path.currency for each in open_):
        raise Invalid({"multipayin": ["The payins of the order have different currencies."]})
    if amount is None:
        return tuple((each, None) for each in open_)
    if amount > (total := sum(each.refundable for each in open_)):
        most = to_major(total, currency(path.currency))
        raise Invalid({"amount": [f"The amount may not be greater than {most}."]})
    legs = list[tuple[Payment, int]]()
    for each in open_:
        part = min(amount, each.refundable)
        amount -= part
        if part:
            legs.append((each, part))
    return tuple(legs)


# --- reading ---------------------------------------------------------------------------------------------------------


def read_payin(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /payins/{id}."""
    payment: Payment | None = yield FindPayment(incoming.arguments["id"])
    return NOT_FOUND if payment is None else (yield from _payin_answer(payment, incoming, caller))


def read_refund(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /refunds/{id}."""
    refund: Refund | None = yield FindRefund(incoming.arguments["id"])
    return NOT_FOUND if refund is None else _said(refund_object(refund), caller)


def read_bank_account(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /bankaccounts/{uuid}."""
    uuid = incoming.arguments["uuid"].lower()
    found = yield ListDocuments(kind=BANK_ACCOUNT, match={"uuid": uuid}, limit=1)
    return _said(bank_account(found[0]), caller) if found else NOT_FOUND


def _payin_answer(payment: Payment, incoming: Incoming, caller: Caller) -> Conversation:
    refunds: tuple[Refund, ...] = yield RefundsOf(payment.id)
    return _said(payin(payment, newest(payment, refunds), incoming.base), caller)


# --- lists -----------------------------------------------------------------------------------------------------------

PAYIN_SEARCHED: Final = ("id", "reference", "type", "subtype", "status", "tag", "order_id")
PAYIN_SORTED: Final = (*PAYIN_SEARCHED, "created_at", "confirmed_at", "denied_at")
REFUND_SEARCHED: Final = ("id", "payin_id", "escrow_id", "tag", "status", "reference_id")
REFUND_SORTED: Final = (*REFUND_SEARCHED, "created_at", "updated_at", "denied_at")


def list_payins(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /payins."""
    try:
        listing = parse_listing(incoming, PAYIN_SEARCHED, PAYIN_SORTED)
    except Invalid as bad:
        return invalid(bad.errors)
    payments = yield from _payments(listing)
    found = lists.chosen([_payin_row(each, incoming) for each in payments], listing)
    printed = list[Mapping[str, Any]]()
    for row in lists.of_page(found, listing):
        refunds: tuple[Refund, ...] = yield RefundsOf(row.of.id)
        printed.append(payin(row.of, newest(row.of, refunds), incoming.base))
    return _sent(lists.paginated(printed, len(found), listing), caller)


def _payments(listing: Listing) -> Generator[Ask, Any, Sequence[Payment]]:
    if listing.search == "id":
        found: Payment | None = yield FindPayment(listing.query)
        return [] if found is None else [found]
    return (yield from lists.scan(ListPayments, listing))


def _payin_row(payment: Payment, incoming: Incoming) -> Row:
    fields = {**payin(payment, None, incoming.base), "order_id": order_number(payment)}
    return Row(payment.created_at, fields, payment)


def list_refunds(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /refunds."""
    try:
        listing = parse_listing(incoming, REFUND_SEARCHED, REFUND_SORTED)
    except Invalid as bad:
        return invalid(bad.errors)
    refunds = yield from _refunds(listing)
    found = lists.chosen([Row(each.created_at, refund_object(each), each) for each in refunds], listing)
    printed = [row.fields for row in lists.of_page(found, listing)]
    return _sent(lists.paginated(printed, len(found), listing), caller)


def _refunds(listing: Listing) -> Generator[Ask, Any, Sequence[Refund]]:
    """Refunds newest first; what an index can answer is not scanned for."""
    match listing.search:
        case "id":
            found: Refund | None = yield FindRefund(listing.query)
            return [] if found is None else [found]
        case "payin_id":
            payment: Payment | None = yield FindPayment(listing.query)
            if payment is None:
                return []
            of_payin: tuple[Refund, ...] = yield RefundsOf(payment.id)
            return [each for each in of_payin[::-1] if each.dialect == payment.dialect]
        case _:
            return (yield from lists.scan(ListRefunds, listing))


# --- what is sent ----------------------------------------------------------------------------------------------------


def _said(printed: dict[str, Any], caller: Caller) -> Outgoing:
    """One object in its envelope.

    The reference prints it bare, every public client reads it beneath `data`; no object has a member of that name, so
    both fit into one answer. An account may ask for one of them.
    """
    match caller.profile.get("envelope"):
        case "bare":
            return _sent(printed, caller)
        case "data":
            return _sent({"data": printed}, caller)
        case _:
            return _sent({**printed, "data": printed}, caller)


def _sent(body: dict[str, Any], caller: Caller) -> Outgoing:
    """A body; for an account that asks for it with a byte order mark before it, as clients have met it."""
    return Outgoing(body=_BOM + _encode(body) if caller.profile.get("bom") is True else body)


def presented(incoming: Incoming) -> Presented | None:
    """The secret key of `Authorization: Bearer <key>`, whatever the case of its scheme and the spaces around it."""
    scheme, _, key = incoming.headers.get("authorization", "").strip().partition(" ")
    return Presented(key.strip()) if scheme.lower() == "bearer" and key.strip() else None


_ENCODINGS: Final = ("json", "form", "multipart")

ROUTES: Final = (
    Route(
        method="POST",
        path="/2.0/payins/{id}/refund",
        handle=refund_payin,
        kind="guarded",
        accepts=_ENCODINGS,
        summary="Refund a confirmed payin, or all payins of its order, in full or in part",
        request_schema=REFUND_REQUEST,
        response_schema=PAYIN_ANSWER,
    ),
    Route(
        method="GET",
        path="/2.0/payins/{id}",
        handle=read_payin,
        accepts=_ENCODINGS,
        summary="Read a payin",
        response_schema=PAYIN_ANSWER,
    ),
    Route(
        method="GET",
        path="/2.0/payins",
        handle=list_payins,
        accepts=_ENCODINGS,
        summary="List payins",
        response_schema=PAYIN_LIST,
    ),
    Route(
        method="GET",
        path="/2.0/refunds/{id}",
        handle=read_refund,
        accepts=_ENCODINGS,
        summary="Read a refund",
        response_schema=REFUND_ANSWER,
    ),
    Route(
        method="GET",
        path="/2.0/refunds",
        handle=list_refunds,
        accepts=_ENCODINGS,
        summary="List refunds",
        response_schema=REFUND_LIST,
    ),
    Route(
        method="GET",
        path="/2.0/bankaccounts/{uuid}",
        handle=read_bank_account,
        accepts=_ENCODINGS,
        summary="Read a bank account that refunds can go to",
        response_schema=BANK_ACCOUNT_ANSWER,
    ),
)
