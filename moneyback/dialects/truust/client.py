"""Truust as we call it: refunds of payins, and what each of its documented answers means to the engine.

Conversations only; the network and the credentials are not here. Truust has no keys and answers a refund with its
payin, but echoes the refund's `tag` and `metadata`: both carry our mark, by which a refund is found whatever became of
its answer. A refund that is missing from a list proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import Observation, Sighting
from moneyback.core.money import currency, to_decimal
from moneyback.core.payment import Capabilities, Payment
from moneyback.core.refund import Event, Grade, Refund
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
from moneyback.dialects.truust.fields import TAG_LENGTH_MAX
from moneyback.dialects.truust.received import Payin, Shown
from moneyback.dialects.truust.wire import (
    REFUND_SEEN,
    VERSION,
    PayinStatus,
    RefundStatus,
    amount_shown,
    is_bankwire,
)

PROCESSING: Final = timedelta(minutes=5)
LIST_LAG: Final = timedelta(minutes=5)
"""How long a call may be worked on, and a refund be missing from its lists. Truust publishes no figure."""

MARK_ROOM: Final = 41
"""A separator, "mb_", 32 hexadecimal digits, "_" and an attempt's number of up to four digits."""
MARK_MEMBER: Final = "moneyback"
"""The member of `metadata` that carries our mark as well."""
_MARKED: Final = re.compile(r"(?:(?P<own>.*)\.)?(?P<refund>mb_[0-9a-f]{32})_(?P<generation>[0-9]{1,4})", re.DOTALL)

_NAME: Final = "truust"
_PAGE: Final = 100
_PAGES_MAX: Final = 20
_ACCEPT: Final[Mapping[str, str]] = MappingProxyType({"accept": "application/json"})
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode

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


# --- the mark --------------------------------------------------------------------------------------------------------


def marked(refund: Refund, mark: str) -> tuple[str, bool]:
    """The `tag` that is sent, and whether our mark is in it.

    The client's own value comes first. Where both do not fit it goes alone, and the mark is in the metadata only.
    """
    own = refund.reference
    if not own:
        return mark, True
    return (own, False) if len(own) + MARK_ROOM > TAG_LENGTH_MAX else (f"{own}.{mark}", True)


def with_mark(refund: Refund, mark: str) -> dict[str, Any]:
    """The `metadata` that is sent: the client's own, and our mark unless the client has a member of that name."""
    return {MARK_MEMBER: mark} | _own_metadata(refund)


def _own_metadata(refund: Refund) -> dict[str, Any]:
    """What a client of Truust's own API stated, with its numbers' digits; what was said natively stays here."""
    kept = refund.request.get("metadata") if refund.dialect == _NAME else None
    found = _decode(kept) if isinstance(kept, str) else None
    return found if isinstance(found, dict) else {}


def unmarked(refund: Mapping[str, Any]) -> dict[str, Any]:
    """A refund object as its client knows it: our mark cut off its `tag`, and out of its `metadata`."""
    shown = dict(refund)
    tag, metadata = shown.get("tag"), shown.get("metadata")
    if isinstance(tag, str) and (found := _MARKED.fullmatch(tag)):
        shown["tag"] = found["own"]
    if isinstance(metadata, Mapping) and _MARKED.fullmatch(str(metadata.get(MARK_MEMBER))):
        shown["metadata"] = {name: value for name, value in metadata.items() if name != MARK_MEMBER} or None
    return shown


def _marks(shown: Shown) -> Iterator[re.Match[str]]:
    member = shown.metadata.get(MARK_MEMBER) if isinstance(shown.metadata, Mapping) else None
    for text in (shown.tag, member):
        if isinstance(text, str) and (found := _MARKED.fullmatch(text)):
            yield found


def _attempt_of(sending: Sending, shown: Shown) -> int | None:
    """Which attempt of this refund a refund of Truust's is marked as; None when none of it."""
    own = sending.mark.rpartition("_")[0]
    return next((int(each["generation"]) for each in _marks(shown) if each["refund"] == own), None)


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
        path=f"{VERSION}/payins/{_segment(payment.reference)}/refund",
        headers={**_ACCEPT, "content-type": "application/json"},
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
    """The payin; None when Truust says that there is none."""
    reply = yield Call(method="GET", path=f"{VERSION}/payins/{_segment(payment.reference)}", headers=_ACCEPT)
    payin = received.payin(reply)
    if payin is not None and str(payin.id) == payment.reference:
        return payin
    problem = received.problem(reply)
    if problem is not None and (reply.status, problem.message) == (404, "Not found"):
        return None
    raise AnswerLost("Truust did not show the payin")


def _ask_refunds(payment: Payment) -> Generator[Call, Reply, tuple[Shown, ...] | None]:
    """All refunds of the payin, oldest first; None when there are too many others to find them among.

    Which fields can be searched is not published: where `payin_id` is refused, all refunds since the payin are read,
    and where it is passed over they are read as well. Whichever came, each row is looked at.
    """
    since = (payment.captured_at or payment.created_at) - timedelta(days=1)
    sorted_ = (("date_begin", since.date().isoformat()), ("order", "created_at"), ("sort", "asc"))
    searched: tuple[tuple[str, str], ...] = (("search", "payin_id"), ("query", payment.reference), *sorted_)
    found: dict[str, Shown] = {}
    for page in range(1, _PAGES_MAX + 1):
        shown = yield from _ask_page(searched, page)
        if shown is None and page == 1:
            searched = sorted_
            shown = yield from _ask_page(searched, page)
        if shown is None:
            raise AnswerLost("Truust did not show the refunds")
        found.update((each.number, each) for each in shown if str(each.payin_id) == payment.reference)
        if len(shown) < _PAGE:
            return tuple(found.values())
    return None


def _ask_page(query: tuple[tuple[str, str], ...], page: int = 1) -> Generator[Call, Reply, tuple[Shown, ...] | None]:
    whole = (*query, ("page", str(page)), ("per_page", str(_PAGE)))
    return received.refunds((yield Call(method="GET", path=f"{VERSION}/refunds", query=whole, headers=_ACCEPT)))


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
    if any(True for _ in _marks(shown)):
        return False
    crowded = len(shown.tag or "") + MARK_ROOM > TAG_LENGTH_MAX
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
    shown = received.refund((yield Call(method="GET", path=f"{VERSION}/refunds/{_segment(number)}", headers=_ACCEPT)))
    if shown is None or shown.number != number or str(shown.payin_id) != sending.payment.reference:
        return {}
    return {number: shown}


def _ask_marked(sending: Sending) -> Generator[Call, Reply, dict[str, Shown]]:
    """Refunds with the tag of this attempt, which is a field that can be searched (provider docs: introduction)."""
    tag, fits = marked(sending.refund, sending.mark)
    if not fits or sending.refund.provider_id is not None:
        return {}
    shown = yield from _ask_page((("search", "tag"), ("query", tag)))
    return {
        each.number: each for each in shown or () if each.tag == tag and str(each.payin_id) == sending.payment.reference
    }


def _by_counter(sending: Sending, new: list[Shown] | None) -> tuple[Observation, ...]:
    """Behind the fence, for a refund whose tag had no room: one new refund, of our amount and of our very tag."""
    tag, fits = marked(sending.refund, sending.mark)
    if fits or new is None or len(new) != 1:
        return ()
    only, amount = new[0], amount_shown(new[0].amount, sending.refund.currency)
    if any(True for _ in _marks(only)) or (amount, only.tag) != (sending.refund.payer, tag):
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
    return Capabilities(destination_needed=payment.dialect == _NAME and is_bankwire(payment))


def authorize(credentials: Mapping[str, str], call: Call) -> Call:
    """The account's secret key as a bearer token (provider docs: introduction)."""
    return replace(call, headers={**call.headers, "authorization": f"Bearer {credentials['secret_key']}"})


def _segment(text: str) -> str:
    return quote(text, safe="")


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
)
