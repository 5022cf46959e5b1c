"""Refunds of payins (provider docs: Refund payin, Refunds): the call, what it takes part of, reading and listing.

The whole order's cancellation and its reimbursement stand on what is here, so that every way to give money back asks
the engine in one place.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Final

from moneyback.core.commands import Admitted, Grouped, Joined
from moneyback.core.money import currency, to_major
from moneyback.core.payment import Asked, Payment, PaymentKind
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Reason, Refusal, refuse
from moneyback.dialect import (
    AddPayment,
    Ask,
    AskOrderRefund,
    AskRefund,
    Await,
    Caller,
    Conversation,
    FindRefund,
    Incoming,
    Instant,
    LeaveToProvider,
    ListRefunds,
    Outgoing,
    RefundsOf,
    Route,
)
from moneyback.dialects.truust import fields, lists
from moneyback.dialects.truust.documents import BANK_ACCOUNT, ESCROW, numbered
from moneyback.dialects.truust.envelope import ENCODINGS, said, sent
from moneyback.dialects.truust.fields import Invalid, Wanted, parse_refund
from moneyback.dialects.truust.lists import Listing, Row, Rows, parse_listing
from moneyback.dialects.truust.objects import payin, refund_object, remembered
from moneyback.dialects.truust.payins import answer, find_payin, meet_payins, payins_of
from moneyback.dialects.truust.schemas import PAYIN_ANSWER, REFUND_ANSWER, REFUND_LIST, REFUND_REQUEST
from moneyback.dialects.truust.wallets import account_wallet, balance_of
from moneyback.dialects.truust.wire import (
    VERSION,
    WAIT_S,
    PayinStatus,
    is_bankwire,
    is_named_order,
    is_number,
    is_sandbox,
    payin_status,
)
from moneyback.dialects.truust.words import NOT_FOUND, WORDS, invalid, message, refused

TRIES: Final = 3
"""How often an amount is shared out anew when the payins change between reading them and locking them."""

Legs = tuple[tuple[Payment, int | None], ...]
"""Which payins a request refunds, and how much of each in minor units; None: what remains."""
Made = tuple[Admitted | Joined, ...]


# --- the refund call -------------------------------------------------------------------------------------------------


def refund_payin(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payins/{id}/refund: the payin after the refund, whose connections name the refund that was made."""
    path = yield from find_payin(incoming.arguments["id"])
    if path is None:
        return NOT_FOUND
    try:
        wanted = parse_refund(incoming, currency(path.currency))
        if wanted.amount == 0:  # in range (provider docs: Refund payin, body), and moves nothing
            return (yield from answer(path, incoming, caller))
        made = yield from give_back(path, wanted, caller)
    except Invalid as bad:
        return invalid(bad.errors)
    if isinstance(made, Outgoing):
        return made
    ended = yield from wait_for(path, made)
    if ended is None:
        again = yield from find_payin(path.dialect_id)
        assert again is not None
        return (yield from answer(again, incoming, caller))
    refund, payment = ended
    return _refused_there(refund) or said(payin(payment, refund, incoming.base), caller)


def _refused_there(refund: Refund) -> Outgoing | None:
    """What a real Truust has said to the call itself, for a client that would have heard it without us."""
    if refund.named is None or refund.state is not State.FAILED:
        return None
    if refund.failure == "unsupported":
        return message(403, refund.message or WORDS[Reason.KIND_UNSUPPORTED].sentence)
    if refund.failure == "invalid":
        return invalid({"payin": [refund.message or WORDS[Reason.STATE_FORBIDS].sentence]})
    return None


def give_back(path: Payment, wanted: Wanted, caller: Caller) -> Generator[Ask, Any, Made | Outgoing]:
    """Share the amount out and ask for it; once more when others were faster. Raises Invalid."""
    legs = yield from _legs(path, wanted)
    is_covered = False
    for _ in range(TRIES):
        yield from _check_bank_account(legs, wanted)
        result = yield from _ask(path, legs, wanted)
        if not isinstance(result, Refusal):
            return result
        if result.first.reason is Reason.INSUFFICIENT_FUNDS and not is_covered:
            is_covered = yield from _cover(legs, caller)
            if is_covered:
                continue
        if not wanted.multipayin:
            return _refused(result, path)
        before, legs = legs, (yield from _legs(path, wanted))
        if legs == before:
            return _refused(result, path)
    return refused(refuse(Reason.ORDER_NOT_FOUND), path.currency)


def _refused(refusal: Refusal, path: Payment) -> Outgoing:
    """One that will be authorised is held like one that is; to its client it is not paid yet."""
    if refusal.first.reason is Reason.PAYMENT_NOT_CAPTURED and payin_status(path) is PayinStatus.CREATED:
        refusal = refuse(Reason.PAYMENT_PROCESSING)
    return refused(refusal, path.currency)


def _ask(path: Payment, legs: Legs, wanted: Wanted) -> Generator[Ask, Any, Made | Refusal]:
    if len(legs) == 1 or path.order is None:
        result = yield _asking(*legs[0], wanted)
        return _made(result)
    asks = tuple(_asking(payment, amount, wanted) for payment, amount in legs)
    result = yield AskOrderRefund(order=path.order, legs=asks)
    return _made(result)


def _asking(payment: Payment, amount: int | None, wanted: Wanted) -> AskRefund:
    to = wanted.bankaccount_id if is_bankwire(payment) else None
    return AskRefund(
        payment=payment,
        asked=Asked(payer=amount),
        reference=wanted.tag,
        destination=None if to is None else str(to),
        metadata=wanted.metadata or {},
        request=remembered(payment, wanted.tag, wanted.metadata),
        distinct=wanted.tag,
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
    """The account must be one of the caller's; that there is one at all is looked at with everything else. Invalid.

    Which accounts there are at a real provider is for that provider to say.
    """
    if wanted.bankaccount_id is None:
        return
    if not any(is_bankwire(payment) and is_sandbox(payment) for payment, _ in legs):
        return
    if (yield from numbered(BANK_ACCOUNT, wanted.bankaccount_id)) is None:
        raise fields.unknown("bankaccount_id")


def wait_for(path: Payment, made: Made) -> Generator[Ask, Any, tuple[Refund, Payment] | None]:
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


def _cover(legs: Legs, caller: Caller) -> Generator[Ask, Any, bool]:
    """Make up from the account's own wallet for what an order's escrow lacks, because it was released.

    False where there is no escrow that lacks anything, or the account's wallet does not cover it.
    """
    is_covered = False
    for payment, amount in legs:
        name = payment.wallet or ""
        escrow = (yield from numbered(ESCROW, int(name))) if is_number(name) else None
        if escrow is None:
            continue
        lacking = (payment.refundable if amount is None else amount) - (yield from balance_of(escrow))
        if lacking <= 0:
            continue
        own = yield from account_wallet(caller, payment.currency)
        moved: Payment | Refusal = yield AddPayment(
            amount=lacking,
            currency=payment.currency,
            kind=PaymentKind.TRANSFER,
            source=str(own["id"]),
            wallet=payment.wallet,
        )
        if isinstance(moved, Refusal):
            return False
        is_covered = True
    return is_covered


# --- what becomes of a reimbursement ---------------------------------------------------------------------------------


def credit_wallet(refund: Refund) -> Generator[Ask, Any, None]:
    """What a reimbursement gave back reaches its wallet, once: under the number drawn with it, it is found as done.

    The refund of a WALLET payin has reached the wallet it was paid from, and goes on from there.
    """
    number, source = refund.request.get("credit"), refund.request.get("credit_from")
    if number is None or refund.state is not State.SUCCEEDED or source == str(refund.request["wallet_id"]):
        return
    yield AddPayment(
        amount=refund.payer,
        currency=refund.currency,
        kind=PaymentKind.TRANSFER,
        source=source,
        wallet=str(refund.request["wallet_id"]),
        dialect_id=str(number),
        document={"reimburses": refund.dialect_id},
    )


# --- which payins ----------------------------------------------------------------------------------------------------


def _legs(path: Payment, wanted: Wanted) -> Generator[Ask, Any, Legs]:
    """The payin of the path; with `multipayin` what is open of its order's confirmed payins. Raises Invalid."""
    if not wanted.multipayin or path.order is None:
        return ((path, wanted.amount),)
    if not is_sandbox(path):
        yield from meet_payins(path.order)
    payins = yield from payins_of(path.order)
    return shared(path, payins, wanted.amount)


def shared(path: Payment, payins: Sequence[Payment], amount: int | None) -> Legs:
    """What is refunded of each payin: everything left, or `amount` from the path's payin first, then by number.

    Payins that are not confirmed, or of which nothing is left, take no part; where none does, the path's own stands for
    all, so that the engine says why. Raises Invalid for more than all of them have.
    """
    open_ = [each for each in payins if is_open(each)]
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


def is_open(payment: Payment) -> bool:
    """Whether something of a payin can be given back."""
    return payin_status(payment) is PayinStatus.CONFIRMED and payment.refundable > 0


# --- reading ---------------------------------------------------------------------------------------------------------


def read_refund(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /refunds/{id}."""
    refund: Refund | None = yield FindRefund(incoming.arguments["id"])
    if refund is None:
        return NOT_FOUND
    yield from credit_wallet(refund)
    return said(refund_object(refund), caller)


SEARCHED: Final = ("id", "payin_id", "escrow_id", "tag", "status", "reference_id")
NAMING: Final = ("id", "tag")
"""Fields by which a client finds the refund it has asked for: the id it was told, or its own word. At a real Truust its
word has our mark behind it, and would not be found; and what has not been sent yet is not there at all."""
SORTED: Final = (*SEARCHED, "created_at", "updated_at", "denied_at")
_ALL: Final = ListRefunds()


def list_refunds(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /refunds. In front of a real Truust that one lists them, but for what names a refund of ours."""
    is_named = incoming.asked("search") in NAMING
    if not is_named:
        yield LeaveToProvider()
    try:
        listing = parse_listing(incoming, SEARCHED, SORTED)
    except Invalid as bad:
        return invalid(bad.errors)
    rows, total = yield from _listed(listing)
    if is_named and not total:
        yield LeaveToProvider()
    return sent(lists.paginated([refund_object(each) for each in rows], total, listing), caller)


def _listed(listing: Listing) -> Generator[Ask, Any, Rows]:
    """One page of refunds: by what they are found by, else by looking through them."""
    ask = _found_by(listing)
    if ask is not None and listing.by_age:
        rows, total = yield from lists.page_of(ask, listing)
        if total or listing.search is None:
            return rows, total
    found = yield from _looked_through(listing, ask)
    chosen = lists.chosen([Row(each.created_at, refund_object(each), each) for each in found], listing)
    return [row.of for row in lists.of_page(chosen, listing)], len(chosen)


def _found_by(listing: Listing) -> ListRefunds | None:
    """The ask that lists what is searched for; None where there is none."""
    if listing.search is None:
        return _ALL
    if listing.search == "escrow_id" and is_number(listing.query) and not listing.query.startswith("0"):
        return ListRefunds(order=listing.query)
    return None


def _looked_through(listing: Listing, ask: ListRefunds | None) -> Generator[Ask, Any, Sequence[Refund]]:
    """Refunds newest first to look through; what is found by a number is not looked for among all others."""
    match listing.search:
        case "id":
            found: Refund | None = yield FindRefund(listing.query)
            return [] if found is None else [found]
        case "payin_id":
            return (yield from _refunds_of(listing.query))
        case "escrow_id":
            rows = yield from lists.scan(ask or _ALL, listing)
            if not rows:  # a payin without an order has one with its own number
                rows = yield from _refunds_of(listing.query)
            if not rows and is_named_order(listing.query):
                rows = yield from lists.scan(_ALL, listing)
            return rows
        case _:
            return (yield from lists.scan(_ALL, listing))


def _refunds_of(payin_id: str) -> Generator[Ask, Any, list[Refund]]:
    """The refunds of a payin that were made through this API, newest first."""
    payment = yield from find_payin(payin_id)
    if payment is None:
        return []
    refunds: tuple[Refund, ...] = yield RefundsOf(payment.id)
    return [each for each in refunds[::-1] if each.dialect == payment.dialect]


ROUTES: Final = (
    Route(
        method="POST",
        path=f"{VERSION}/payins/{{id}}/refund",
        handle=refund_payin,
        kind="guarded",
        accepts=ENCODINGS,
        summary="Refund a confirmed payin, or all payins of its order, in full or in part",
        request_schema=REFUND_REQUEST,
        response_schema=PAYIN_ANSWER,
    ),
    Route(
        method="GET",
        path=f"{VERSION}/refunds/{{id}}",
        handle=read_refund,
        accepts=ENCODINGS,
        summary="Read a refund",
        response_schema=REFUND_ANSWER,
    ),
    Route(
        method="GET",
        path=f"{VERSION}/refunds",
        handle=list_refunds,
        accepts=ENCODINGS,
        summary="List refunds",
        response_schema=REFUND_LIST,
    ),
)
