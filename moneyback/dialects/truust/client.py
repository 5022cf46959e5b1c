"""Truust as we call it: refunds of payins, and what each of its documented answers means to the engine.

Conversations only; the network and the credentials are not here. Truust has no keys and answers a refund with its
payin, but echoes the refund's `tag` and `metadata`: both carry our mark, by which a refund is found whatever became of
its answer. A refund that is missing from a list proves nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import Observation, Sighting
from moneyback.core.money import currency, to_decimal
from moneyback.core.payment import Capabilities, Payment
from moneyback.core.refund import Event, Grade
from moneyback.dialect import (
    AnswerLost,
    Call,
    Client,
    Figures,
    Looked,
    Looking,
    NotConnected,
    Reading,
    Reply,
    Sending,
    Sent,
)
from moneyback.dialects.truust import received
from moneyback.dialects.truust.fetching import fetch
from moneyback.dialects.truust.listing import LIST_LAG, list_refunds
from moneyback.dialects.truust.marks import (
    MARK_MEMBER,
    NAME,
    is_crowded,
    mark_of,
    marked,
    marks_of,
    with_mark,
    without_members,
)
from moneyback.dialects.truust.news import hear
from moneyback.dialects.truust.reading import (
    ACCEPT,
    ask_page_of_refunds,
    ask_payin,
    ask_refunds,
    read_call,
    segment,
)
from moneyback.dialects.truust.received import Payin, Shown
from moneyback.dialects.truust.releasing import release
from moneyback.dialects.truust.wire import (
    REFUND_SEEN,
    VERSION,
    PayinStatus,
    RefundStatus,
    amount_shown,
    is_bankwire,
)

PROCESSING: Final = timedelta(minutes=5)
"""How long a call may be worked on. Truust publishes no figure."""

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode

# --- what answers mean -----------------------------------------------------------------------------------------------

ANSWERS: Final[Mapping[tuple[int, str], Event]] = MappingProxyType(
    {
        # The payin, not the refund: it was taken, and only the refund itself says what becomes of it.
        (200, "payin"): Event.ACCEPTED,
        (401, "message"): Event.NOT_TAKEN,
        (403, "message"): Event.REFUSED,  # refunds are not supported for this payment method
        (404, "Not found"): Event.REFUSED,  # no such payin
        (422, "errors"): Event.REFUSED,
        (429, "message"): Event.NOT_TAKEN,
        (500, "message"): Event.LOST,
    }
)
"""Every documented answer to a refund by HTTP status and form (provider docs: Refund payin, OpenAPI document).

There are no codes, so the form speaks: `errors` by field, or a `message` alone, of which one is known by its words. An
answer in another form is not Truust's own, whatever its status; it, and all else that is not here, is LOST.
"""

_FAILURES: Final[Mapping[int, str]] = MappingProxyType({403: "unsupported"})
_GONE: Final = (RefundStatus.DENIED, RefundStatus.CANCELLED)


def meaning(reply: Reply, payment: Payment) -> Event:
    """What an answer to a refund of `payment` means; LOST for all that is not documented."""
    return ANSWERS.get((reply.status, _form(reply, payment)), Event.LOST)


def _form(reply: Reply, payment: Payment) -> str:
    payin, problem = received.payin(reply), received.problem(reply)
    if payin is not None and str(payin.id) == payment.reference:
        return "payin"
    if problem is None:
        return ""
    if problem.errors:
        return "errors"
    return problem.message if (reply.status, problem.message) in ANSWERS else "message"


def _attempt_of(sending: Sending, shown: Shown) -> int | None:
    """Which attempt of this refund a refund of Truust's is marked as; None when none of it."""
    own = sending.mark.rpartition("_")[0]
    return next((generation for refund, generation in marks_of(shown) if refund == own), None)


# --- sending ---------------------------------------------------------------------------------------------------------


def send(sending: Sending) -> Sent:
    """One call that gives money back. Its answer names no refund, so that is looked for: what it says, says more."""
    try:
        reply = yield refund_call(sending)
    except NotConnected:
        return (_of_attempt(sending, Event.SEND_FAILED),)
    except AnswerLost:
        return (_of_attempt(sending, Event.LOST),)
    event = meaning(reply, sending.payment)
    if event is not Event.ACCEPTED:
        return (_said(sending, reply, event),)
    try:
        found = yield from _made_by(sending)
    except (NotConnected, AnswerLost):
        found = ()
    return found or (_of_attempt(sending, event, pending_reason="processing", data={"status": reply.status}),)


def refund_call(sending: Sending) -> Call:
    """The amount is always stated: left out, it would mean all of it. `multipayin` never is: one call, one payin."""
    payment, refund = sending.payment, sending.refund
    body: dict[str, Any] = {
        "amount": to_decimal(refund.payer, currency(refund.currency)),
        "tag": marked(refund, sending.mark)[0],
        "metadata": with_mark(refund, sending.mark),
    }
    if refund.destination is not None and refund.destination.isascii() and refund.destination.isdigit():
        body["bankaccount_id"] = int(refund.destination)
    return Call(
        method="POST",
        path=f"{VERSION}/payins/{segment(payment.reference)}/refund",
        headers={**ACCEPT, "content-type": "application/json"},
        body=_encode(body),
    )


def _made_by(sending: Sending) -> Generator[Call, Reply, tuple[Observation, ...]]:
    """The refund this very attempt made, where it can be seen already."""
    found = yield from _ask_marked(sending)
    of_it = [each for each in found.values() if _attempt_of(sending, each) == sending.refund.generation]
    return _told_of(sending, of_it)


def _said(sending: Sending, reply: Reply, event: Event) -> Observation:
    problem = received.problem(reply)
    if event is Event.LOST or problem is None:
        return _of_attempt(sending, event, data={"status": reply.status})
    failure = _FAILURES.get(reply.status, "invalid") if event is Event.REFUSED else None
    data = {"status": reply.status, "fields": sorted(problem.errors or ())}
    return _of_attempt(sending, event, failure=failure, message=problem.sentences, data=data)


def _of_attempt(sending: Sending, event: Event, **members: Any) -> Observation:
    """Something that is known of this attempt only; an attempt is sent once, so its mark and the event identify it."""
    return Observation(event=event, digest=f"{sending.mark}:{event.value}", **members)


def _told_of(sending: Sending, shown: list[Shown], grade: Grade = Grade.MARK) -> tuple[Observation, ...]:
    told = (_told(sending, each, grade) for each in shown)
    return tuple(each for each in told if each.event is not Event.LOST)


def _told(sending: Sending, shown: Shown, grade: Grade) -> Observation:
    """A refund that is ours, as Truust shows it."""
    event = _event_of(shown)
    return Observation(
        event=event,
        grade=grade,
        generation=_attempt_of(sending, shown),
        amount=amount_shown(shown.amount, sending.refund.currency),
        provider_id=shown.number,
        occurred_at=shown.changed_at,
        digest=f"{shown.number}:{shown.status}",
        failure="declined" if event is Event.REFUSED else None,
        message=_verdict(shown) if event is Event.REFUSED else None,
        pending_reason="processing" if event is Event.ACCEPTED else None,
        trace=None if shown.reference_id is None else str(shown.reference_id),
        data={"status": shown.status, "amount": str(shown.amount)},
    )


def _event_of(shown: Shown) -> Event:
    """A refund that shows no status is there: it was accepted, or denied when it says at which time."""
    if shown.status is None:
        return Event.ACCEPTED if shown.denied_at is None else Event.REFUSED
    return REFUND_SEEN.get(shown.status, Event.LOST)  # type: ignore[call-overload, no-any-return]


def _verdict(shown: Shown) -> str | None:
    said = shown.provider.get("message") if isinstance(shown.provider, Mapping) else None
    return said if isinstance(said, str) else None


# --- reading before sending ------------------------------------------------------------------------------------------


def read(payment: Payment) -> Reading:
    """The refunds there are. What is left is not shown: a payin has no amount. Raises AnswerLost for no list.

    Of a payin that Truust says it does not have there are no figures: its refund is let through to be refused. There
    are none either where its refunds are lost among too many others: what Truust itself refuses bounds those.
    """
    payin = yield from _ask_payin(payment)
    if payin is None:
        return Figures()
    refunds = yield from _ask_refunds(payment)
    sightings = tuple(_sightings(payment, payin, refunds or ()))
    ids = None if refunds is None else tuple(each.number for each in refunds)
    return Figures(refund_ids=ids, sightings=sightings)


def _ask_payin(payment: Payment) -> Generator[Call, Reply, Payin | None]:
    reply = yield from ask_payin(payment.reference)
    return None if reply is None else received.payin(reply)


def _ask_refunds(payment: Payment) -> Generator[Call, Reply, tuple[Shown, ...] | None]:
    return (yield from ask_refunds(payment.reference, payment.captured_at or payment.created_at))


def _sightings(payment: Payment, payin: Payin, refunds: tuple[Shown, ...]) -> Iterator[Sighting]:
    """What happened to the payin elsewhere. Raises AnswerLost for a refund whose amount cannot be read."""
    if payin.status in (PayinStatus.DENIED, PayinStatus.CANCELLED):
        yield Sighting(kind="canceled", amount=0, reference=payment.reference)
    for each in refunds:
        if not _is_foreign(each):
            continue
        if each.status in _GONE:
            yield Sighting(kind="external_undone", amount=0, reference=each.number, occurred_at=each.changed_at)
            continue
        amount = amount_shown(each.amount, payment.currency)
        if amount is None:
            raise AnswerLost(f"the amount of Truust's refund {each.number} cannot be read")
        yield Sighting(kind="external", amount=amount, reference=each.number, occurred_at=each.changed_at)


def _is_foreign(shown: Shown) -> bool:
    """A refund made elsewhere. One of ours is marked, unless its client left no room in tag and metadata for that."""
    if mark_of(shown) is not None:
        return False
    crowded = is_crowded(shown.tag or "")
    taken = isinstance(shown.metadata, Mapping) and MARK_MEMBER in shown.metadata
    return not (crowded or taken)


# --- looking ---------------------------------------------------------------------------------------------------------


def look(sending: Sending, pre_read: Mapping[str, Any]) -> Looking:
    """What became of a refund: by Truust's id of it, by our mark, or where there was no room for one, by counting."""
    own: dict[str, Shown] = {}
    try:
        own.update((yield from _ask_known(sending)))
        own.update((yield from _ask_marked(sending)))
        payin = yield from _ask_payin(sending.payment)
        refunds = yield from _ask_refunds(sending.payment)
        sightings = () if payin is None else tuple(_sightings(sending.payment, payin, refunds or ()))
    except (NotConnected, AnswerLost) as error:
        seen = _told_of(sending, list(own.values()))
        return Looked(observations=seen, shown={"unanswered": f"{error}" or type(error).__name__})
    listed = {each.number: each for each in refunds or () if _attempt_of(sending, each) is not None}
    observations = _told_of(sending, list((listed | own).values()))
    new = _new(pre_read, refunds)
    return Looked(
        observations=observations or _by_counter(sending, new),
        sightings=sightings,
        shown=_compared(payin, refunds, new),
    )


def _ask_known(sending: Sending) -> Generator[Call, Reply, dict[str, Shown]]:
    """The refund whose id we were told: the record itself is newer than any list."""
    number = sending.refund.provider_id
    if number is None:
        return {}
    shown = received.refund((yield read_call(f"refunds/{segment(number)}")))
    if shown is None or shown.number != number or str(shown.payin_id) != sending.payment.reference:
        return {}
    return {number: shown}


def _ask_marked(sending: Sending) -> Generator[Call, Reply, dict[str, Shown]]:
    """Refunds with the tag of this attempt, which is a field that can be searched (provider docs: introduction)."""
    tag, fits = marked(sending.refund, sending.mark)
    if not fits or sending.refund.provider_id is not None:
        return {}
    shown, _ = yield from ask_page_of_refunds((("search", "tag"), ("query", tag)))
    return {
        each.number: each for each in shown or () if each.tag == tag and str(each.payin_id) == sending.payment.reference
    }


def _by_counter(sending: Sending, new: list[Shown] | None) -> tuple[Observation, ...]:
    """Behind the fence, for a refund whose tag had no room: one new refund, of our amount and of our very tag."""
    tag, fits = marked(sending.refund, sending.mark)
    if fits or new is None or len(new) != 1:
        return ()
    only, amount = new[0], amount_shown(new[0].amount, sending.refund.currency)
    if mark_of(only) is not None or (amount, only.tag) != (sending.refund.payer, tag):
        return ()
    adopted = _event_of(only) in (Event.ACCEPTED, Event.EXECUTED)
    return _told_of(sending, [only], Grade.COUNTER) if adopted else ()


def _new(pre_read: Mapping[str, Any], refunds: tuple[Shown, ...] | None) -> list[Shown] | None:
    """The refunds that were not there before this attempt; None when it is not known what was, or what is."""
    before = pre_read.get("refund_ids")
    if before is None or refunds is None:
        return None
    return [each for each in refunds if each.number not in before]


def _compared(payin: Payin | None, refunds: tuple[Shown, ...] | None, new: list[Shown] | None) -> dict[str, Any]:
    """What there is, and what is new: figures for a person, evidence of nothing."""
    return {
        "payin": None if payin is None else payin.status,
        "refunds": None if refunds is None else len(refunds),
        "new_refunds": [{"id": each.number, "amount": str(each.amount), "status": each.status} for each in new or ()],
    }


# --- the declaration -------------------------------------------------------------------------------------------------


def capabilities(payment: Payment) -> Capabilities:
    """In full and in part, at any time; a bank wire needs the number of a bank account to go to.

    Which methods have no refunds Truust does not publish; it refuses them itself.
    """
    return Capabilities(destination_needed=payment.dialect == NAME and is_bankwire(payment))


def authorize(credentials: Mapping[str, str], call: Call) -> Call:
    """The account's secret key as a bearer token (provider docs: introduction)."""
    return replace(call, headers={**call.headers, "authorization": f"Bearer {credentials['secret_key']}"})


def relay(call: Call) -> Generator[Call, Reply, Reply]:
    """A client's own call, made for it as it came. Of the answer only what we have added to metadata is left out."""
    reply = yield call
    return replace(reply, body=without_members(reply.body))


CLIENT: Final = Client(
    send=send,
    read=read,
    look=look,
    rung=2,
    processing=PROCESSING,
    list_lag=LIST_LAG,
    capabilities=capabilities,
    credentials=("secret_key",),
    authorize=authorize,
    release=release,
    fetch=fetch,
    list_refunds=list_refunds,
    relay=relay,
    hear=hear,
)
