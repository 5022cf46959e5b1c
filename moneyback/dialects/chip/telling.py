"""What a client's hooks are told: CHIP's events of what happens here, in its form; and CHIP's own, sent on.

What the event log has no line for (a page that was looked at, an attempt that failed, a hold) is announced by the
handler in which it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from moneyback.core.payment import Payment
from moneyback.core.refund import HOLDING, Refund, State
from moneyback.dialect import (
    Ask,
    Caller,
    Delivery,
    Happened,
    Instant,
    LoadDocument,
    Notification,
    RefundsOf,
    SaveDocument,
    Tell,
)
from moneyback.dialects.chip import document, events
from moneyback.dialects.chip.document import is_test, option
from moneyback.dialects.chip.hooks import CALLBACK, SEALED, company_keys, listening, seen_by, signed
from moneyback.dialects.chip.mirror import mirrored, mirrored_refund
from moneyback.dialects.chip.moments import (
    Stood,
    as_captured,
    as_created,
    as_given_up,
    as_refunding,
    as_releasing,
    refund_at,
)
from moneyback.dialects.chip.objects import Viewer, external_payment, incoming_payment, total
from moneyback.dialects.chip.standing import is_due_some_day

TOLD: Final = "told"
"""The kind of document that remembers of what stands for a while when it began and ended, by what it is about."""
WAITS: Final = HOLDING - {State.READY, State.SENDING}
"""The states in which a refund call is answered with `pending_refund` at once."""

Telling = Generator[Ask, Any, tuple[Delivery, ...]]


class News(msgspec.Struct, frozen=True):
    """Something to tell: CHIP's word for it, the payment it is about, and its object as somebody sees it."""

    event: str
    payment: Payment
    show: Callable[[Viewer], Mapping[str, Any]]
    at: datetime | None = None
    beside: bool = False  # a second event of the same moment, which is kept apart from the first
    called_back: bool = False  # the Purchase's own success callback is told as well


# --- CHIP's own, sent on ---------------------------------------------------------------------------------------------


def resend(sent: Notification, _caller: Caller) -> Telling:
    """What a client's webhooks are told of a notification of CHIP's: its own bytes, signed with each webhook's own key.

    CHIP has told its live events from its test events already.
    """
    told = list[Delivery]()
    for each in (yield from listening(_event_of(sent.body))):
        told += yield from signed(each["callback"], each["id"], each.get(SEALED, ""), sent.body)
    return tuple(told)


def _event_of(body: bytes) -> str:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return str(told.get("event_type", "")) if isinstance(told, dict) else ""


# --- what happened here ----------------------------------------------------------------------------------------------


def tell(happened: Happened, caller: Caller) -> Telling:
    """What hooks are told of one line of the event log; nothing where CHIP has no event for it."""
    if happened.refund is not None and happened.type.startswith("refund."):
        news = yield from _of_refund(happened, happened.refund)
    else:
        news = yield from _of_payment(happened)
    told = list[Delivery]()
    for each in news:
        told += yield from _told(each, caller)
    return tuple(told)


def announce(event: str, payment: Payment, id: str, refunds: tuple[Refund, ...] = ()) -> Generator[Ask, Any, None]:
    """Tell of something that no event of the log is about, as it stands now. `id` names what happened."""
    at = (yield Instant()) if is_due_some_day(payment) else None
    news = News(event, payment, _purchase((payment, refunds)), at)
    for each in (yield from _told(news, Caller(merchant=payment.merchant))):
        yield Tell(f"{event}:{id}", each)


def announce_pending(refund: Refund, payment: Payment, refunds: tuple[Refund, ...]) -> Generator[Ask, Any, None]:
    """Tell that a refund takes longer, where its client is answered so before anything else has happened to it."""
    unheard = (yield LoadDocument(TOLD, _pending(refund))) is None
    if unheard and (yield from _turns(_pending(refund), refund.version, on=True)):
        yield from announce(events.PENDING_REFUND, payment, str(refund.id), refunds)


def _told(news: News, caller: Caller) -> Telling:
    told = list[Delivery]()
    for each in (yield from listening(news.event, test=is_test(news.payment))):
        hook = f"{each['id']}:{news.event}" if news.beside else each["id"]
        told += yield from signed(each["callback"], hook, each.get(SEALED, ""), _body(news, each, caller))
    url = option(news.payment, "success_callback") if news.called_back else None
    if url:
        keys = yield from company_keys()
        told += yield from signed(url, CALLBACK, keys[SEALED], _body(news, news.payment.document, caller))
    return tuple(told)


def _body(news: News, kept: Mapping[str, Any], caller: Caller) -> bytes:
    """As whoever made the webhook, or the Purchase, would be shown it."""
    maker, base = seen_by(kept, caller)
    return events.body_of(news.event, news.show(Viewer(caller=maker, base=base, now=news.at)))


def _purchase(stood: Stood) -> Callable[[Viewer], Mapping[str, Any]]:
    payment, refunds = stood
    return lambda viewer: mirrored(payment, refunds, viewer)


# --- a refund's ------------------------------------------------------------------------------------------------------


def _of_refund(happened: Happened, refund: Refund) -> Generator[Ask, Any, Iterable[News]]:
    payment, at = happened.payment, happened.at
    state = State(happened.data.get("state", refund.state.value))
    if state is State.SUCCEEDED:
        then = refund_at(refund, state, at)
        return (News(events.REFUNDED, payment, lambda viewer: mirrored_refund(then, payment, viewer), at),)
    event = yield from _refund_word(happened, refund, state)
    if event is None:
        return ()
    refunds: tuple[Refund, ...] = yield RefundsOf(payment.id)
    return (News(event, payment, _purchase(as_refunding(payment, refunds, refund, state, at)), at),)


def _refund_word(happened: Happened, refund: Refund, state: State) -> Generator[Ask, Any, str | None]:
    """That it takes longer is told once. Only what took longer fails by an event; else the answer has said it."""
    waits = state in WAITS
    if not waits and state not in (State.FAILED, State.CANCELED):
        return None
    word = events.PENDING_REFUND if waits else events.REFUND_FAILURE
    return word if (yield from _turns(_pending(refund), happened.sequence, on=waits)) else None


def _pending(refund: Refund) -> str:
    return f"{refund.id}:pending"


# --- a payment's -----------------------------------------------------------------------------------------------------


def _of_payment(happened: Happened) -> Generator[Ask, Any, Iterable[News]]:
    payment, at = happened.payment, happened.at
    match happened.type:
        case "payment.registered" if "options" in payment.document:  # made by a client's own call, not taken down
            return (News(events.CREATED, payment, _purchase(as_created(payment, at)), at),)
        case "payment.captured":
            return _captured(happened)
        case "payment.canceled" | "payment.failed":
            return (News(_given_up(payment), payment, _purchase(as_given_up(payment, at)), at),)
        case "payment.released":
            return _released(happened)
        case "payment.release_accepted" | "payment.release_in_doubt" | "payment.release_refused":
            return (yield from _releasing(happened))
        case "payment.external_refund" if happened.data["amount"]:
            amount, reference = int(happened.data["amount"]), str(happened.data["reference"])
            return (
                News(
                    events.REFUNDED,
                    payment,
                    lambda viewer: external_payment(reference, amount, at, payment, viewer),
                    at,
                ),
            )
        case "payment.clawed_back" | "dispute.opened" | "dispute.lost" | "dispute.won":
            return (yield from _disputed(happened))
        case _:
            return ()


def _captured(happened: Happened) -> Iterable[News]:
    """Paid; of a hold, captured and paid (provider docs: create a webhook page).

    The Purchase's own callback is told of what its payer, a capture or a charge has paid (provider docs: callbacks
    page), and so of no Purchase that was only marked as paid. That nothing came in after all has no event.
    """
    payment, at = happened.payment, happened.at
    amount = happened.data.get("captured", payment.captured)
    if not amount and total(payment):
        return
    show = _purchase(as_captured(payment, amount, at))
    if document.CAPTURED in payment.document:
        yield News(events.CAPTURED, payment, show, at, called_back=True)
        yield News(events.PAID, payment, show, at, beside=True)
    else:
        yield News(events.PAID, payment, show, at, called_back=document.EXECUTED in payment.document)


def _given_up(payment: Payment) -> str:
    if document.RELEASED in payment.document:
        return events.RELEASED
    return events.CANCELLED if document.CANCELLED in payment.document else events.PAYMENT_FAILURE


def _released(happened: Happened) -> Iterable[News]:
    """Nothing of one whose money had come in: the two contradict each other, and a person is asked."""
    payment, at = happened.payment, happened.at
    if happened.data.get("captured"):
        return ()
    return (News(events.RELEASED, payment, _purchase(as_releasing(payment, State.SUCCEEDED, 0, at)), at),)


def _releasing(happened: Happened) -> Generator[Ask, Any, Iterable[News]]:
    """As of a refund: that it takes longer is told once, and only what took longer fails by an event."""
    data, payment, at = happened.data, happened.payment, happened.at
    waits = happened.type != "payment.release_refused"
    if not (yield from _turns(f"{data['release']}:pending", happened.sequence, on=waits)):
        return ()
    stood = as_releasing(payment, State(data["state"]), data.get("captured", 0), at)
    return (News(events.PENDING_RELEASE if waits else events.RELEASE_FAILURE, payment, _purchase(stood), at),)


def _disputed(happened: Happened) -> Generator[Ask, Any, Iterable[News]]:
    """A dispute is a chargeback from its first day, and is none any more once it is won."""
    payment, won = happened.payment, happened.type == "dispute.won"
    if happened.type != "payment.clawed_back":
        turns = yield from _turns(f"{payment.id}:charged_back", happened.sequence, on=not won)
        if not turns:
            return ()
    event, at = events.CHARGEBACK_REVERSED if won else events.CHARGED_BACK, happened.at
    paid, _ = as_captured(payment, happened.data.get("captured", payment.captured), at)
    return (News(event, payment, lambda viewer: incoming_payment(paid, viewer), at),)


# --- what stands for a while -----------------------------------------------------------------------------------------


def _turns(name: str, sequence: int, *, on: bool) -> Generator[Ask, Any, bool]:
    """Whether this begins what did not stand, or ends what stood: that alone is told.

    Only what came before in its object's own count bears on it. So it has the same answer when it is told again,
    however much was told meanwhile.
    """
    known: Mapping[str, Any] | None = yield LoadDocument(TOLD, name)
    turned = [] if known is None else [tuple(each) for each in known["turned"]]
    before = [each for each in turned if each[0] < sequence]
    stood = bool(before) and before[-1][1]
    if stood is on:
        return False
    if (sequence, on) not in turned:
        yield SaveDocument(TOLD, name, {"turned": [list(each) for each in (*before, (sequence, on))]})
    return True
