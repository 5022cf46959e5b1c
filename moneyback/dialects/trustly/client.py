"""Trustly as we call it: refunds of captures, and what each of its documented answers means to the engine.

Conversations only; the network and the credentials are not here. Trustly keeps no key of a refund, but echoes its
`merchantReference`: that carries our mark, by which a refund is found again whatever became of its answer. A refund
that is missing from a list, and a balance that stands still, prove nothing; they are figures for a person.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

from msgspec.structs import replace

from moneyback.core.commands import Observation, Sighting
from moneyback.core.money import currency, to_major
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
from moneyback.dialects.trustly.received import Problem, Transaction, problems, transaction, transactions
from moneyback.dialects.trustly.wire import Status, Type, minimum

PROCESSING: Final = timedelta(minutes=15)
LIST_LAG: Final = timedelta(minutes=15)
"""How long a call may be worked on, and a refund be missing from its lists. Trustly publishes no figure; its sandbox
works in batches of five minutes (provider docs: Testing), and this is three of them."""

REFERENCE_MAX: Final = 100
"""Characters of a `merchantReference` that are relied on to come back whole; Trustly publishes no limit."""
MARK_ROOM: Final = 41
"""A separator, "mb_", 32 hexadecimal digits, "_" and an attempt's number of up to four digits."""
_MARKED: Final = re.compile(r"(?:(?P<own>.*)\.)?(?P<refund>mb_[0-9a-f]{32})_(?P<generation>[0-9]{1,4})", re.DOTALL)

_PAGE: Final = 100
_PAGES_MAX: Final = 20
_FORM: Final = "application/x-www-form-urlencoded"

# --- what answers mean -----------------------------------------------------------------------------------------------

_CODES: Final[Mapping[int, Event]] = MappingProxyType(
    {
        100: Event.LOST,  # internal error: it may have come before or after the refund
        150: Event.LOST,  # remote error: the bank side did not answer
        200: Event.REFUSED,  # invalid parameter: also what a transaction or its balance does not allow
        # Refunds are exempt from duplicate checks, so this speaks of a call that did arrive: perhaps this very one.
        210: Event.LOST,
        300: Event.NOT_TAKEN,  # security error
        325: Event.NOT_TAKEN,
        326: Event.REFUSED,  # expired split token
        330: Event.REFUSED,  # invalid account
        331: Event.REFUSED,  # not enough balance
        375: Event.NOT_TAKEN,  # access control: credentials
        378: Event.LOST,  # internal or bank request error
        380: Event.REFUSED,  # invalid split token
        390: Event.REFUSED,  # fraud analysis
        397: Event.REFUSED,  # split token not valid
    }
)

ANSWERS: Final[Mapping[tuple[int, int | None], Event]] = MappingProxyType(
    {
        # Some failures come with 200 and a list of errors, so the code speaks (provider docs: Errors).
        **{(200, code): event for code, event in _CODES.items()},
        **{(400, code): event for code, event in _CODES.items()},
        (401, None): Event.NOT_TAKEN,  # wrong accessId or accessKey
        (404, None): Event.NOT_TAKEN,  # no such endpoint; an unknown transaction is a 400
        (503, None): Event.NOT_TAKEN,  # overload or maintenance
        (500, None): Event.LOST,
    }
)
"""Every documented error by HTTP status and code, None for whatever code (provider docs: Errors, Testing).

Only an answer in the provider's own error shape counts: the same status from something in between says nothing about
what Trustly did. All that is not here is LOST.
"""

STATUSES: Final[Mapping[int, Event]] = MappingProxyType(
    {
        Status.NEW: Event.ACCEPTED,
        Status.PENDING: Event.ACCEPTED,
        Status.AUTHORIZED: Event.ACCEPTED,
        Status.PROCESSED: Event.ACCEPTED,  # handed to the bank, which may still say no
        Status.COMPLETED: Event.EXECUTED,
        Status.FAILED: Event.REFUSED,
        Status.EXPIRED: Event.REFUSED,
        Status.CANCELED: Event.PROVIDER_CANCELED,
        Status.DENIED: Event.REFUSED,
        Status.REVERSED: Event.CAME_BACK,
        Status.VOIDED: Event.PROVIDER_CANCELED,
        Status.ON_HOLD: Event.ACCEPTED,
    }
)
"""What the status of a refund's own record means. The two that only originals have are not here: LOST."""

_FAILURES: Final[Mapping[int, str]] = MappingProxyType({331: "funds", 390: "declined"})
_UNDONE: Final = (Status.FAILED, Status.EXPIRED, Status.CANCELED, Status.DENIED, Status.REVERSED, Status.VOIDED)
_COLLECTED: Final = (Status.COMPLETED, Status.PARTIALLY_REFUNDED, Status.REFUNDED)
_NEVER_COLLECTED: Final = (Status.FAILED, Status.EXPIRED, Status.CANCELED, Status.DENIED, Status.VOIDED)


def meaning(reply: Reply) -> Event:
    """What an error answer to a refund means; several errors must agree, and LOST is all that is not documented.

    An answer that complains and shows a transaction contradicts itself.
    """
    if transaction(reply.body) is not None:
        return Event.LOST
    said = {_meaning_of(reply.status, each) for each in problems(reply.body)}
    return said.pop() if len(said) == 1 else Event.LOST


def _meaning_of(status: int, problem: Problem) -> Event:
    return ANSWERS.get((status, problem.code)) or ANSWERS.get((status, None), Event.LOST)


# --- the mark --------------------------------------------------------------------------------------------------------


def marked(refund: Refund, mark: str) -> tuple[str, bool]:
    """The `merchantReference` that is sent, and whether our mark is in it.

    The client's own value comes first. Where both do not fit it goes alone, and the refund is known by counting only.
    """
    own = refund.reference
    if not own:
        return mark, True
    return (own, False) if len(own) + MARK_ROOM > REFERENCE_MAX else (f"{own}.{mark}", True)


def unmarked(reference: str) -> str:
    """The client's own value: a reference that was sent, with our mark cut off again. Empty where there was none."""
    found = _MARKED.fullmatch(reference)
    return reference if found is None else found["own"] or ""


def _attempt_of(sending: Sending, reference: str) -> int | None:
    """Which attempt of this refund a reference names; None when none of it."""
    found = _MARKED.fullmatch(reference)
    if found is None or found["refund"] != sending.mark.rpartition("_")[0]:
        return None
    return int(found["generation"])


# --- sending ---------------------------------------------------------------------------------------------------------


def send(sending: Sending) -> Sent:
    """One call; what came of it, as one observation."""
    try:
        reply = yield refund_call(sending)
    except NotConnected:
        return (_of_attempt(sending, Event.SEND_FAILED),)
    except AnswerLost:
        return (_of_attempt(sending, Event.LOST),)
    return (_answered(sending, reply),)


def refund_call(sending: Sending) -> Call:
    """The amount is always stated: left out, it would mean whatever remains by then."""
    payment, refund = sending.payment, sending.refund
    reference, _ = marked(refund, sending.mark)
    fields = {"merchantReference": reference, "amount": to_major(refund.payer, currency(refund.currency))}
    return Call(
        method="POST",
        path=f"/transactions/{_segment(payment.reference)}/refund",
        headers={"content-type": _FORM, "accept": "application/json"},
        body=urlencode(fields, quote_via=quote, safe="").encode(),
    )


def _answered(sending: Sending, reply: Reply) -> Observation:
    if problems(reply.body):
        return _refused(sending, reply)
    shown = transaction(reply.body) if reply.status == 200 else None
    if shown is None or not _is_refund_of(sending.payment, shown) or _event_of(shown) is Event.LOST:
        return _of_attempt(sending, Event.LOST, data={"status": reply.status})
    return _told(shown)


def _refused(sending: Sending, reply: Reply) -> Observation:
    event, first = meaning(reply), problems(reply.body)[0]
    return _of_attempt(
        sending,
        event,
        failure=_FAILURES.get(first.code, "invalid") if event is Event.REFUSED else None,
        code=str(first.code),
        message=first.message or None,
        data={"status": reply.status, "codes": [each.code for each in problems(reply.body)]},
    )


def _of_attempt(sending: Sending, event: Event, **members: Any) -> Observation:
    """Something that is known of this attempt only; an attempt is sent once, so its mark and the event identify it."""
    return Observation(event=event, digest=f"{sending.mark}:{event.value}", **members)


def _told(shown: Transaction, grade: Grade = Grade.MARK, generation: int | None = None) -> Observation:
    """A refund that is ours, as Trustly shows it."""
    event = _event_of(shown)
    ended_badly = event in (Event.REFUSED, Event.PROVIDER_CANCELED, Event.CAME_BACK)
    held = shown.status == Status.ON_HOLD
    return Observation(
        event=event,
        grade=grade,
        generation=generation,
        amount=shown.amount,
        provider_id=shown.id,
        occurred_at=shown.updated_at,
        digest=f"{shown.id}:{shown.status}",
        failure="declined" if event is Event.REFUSED else None,
        code=shown.code if ended_badly else None,
        message=shown.message if ended_badly else None,
        pending_reason=("provider_review" if held else "processing") if event is Event.ACCEPTED else None,
        data={"status": shown.status},
    )


def _event_of(shown: Transaction) -> Event:
    return STATUSES.get(shown.status, Event.LOST)


def _is_refund_of(payment: Payment, shown: Transaction) -> bool:
    of_it = shown.original in (None, payment.reference)
    return shown.type == Type.REFUND and of_it and shown.currency == payment.currency


# --- reading before sending ------------------------------------------------------------------------------------------


def read(payment: Payment) -> Reading:
    """The original's balance and the refunds made of it. Raises AnswerLost when Trustly does not show them."""
    original = yield from _ask_original(payment)
    children = yield from _ask_children(payment)
    return Figures(
        left=original.left,
        refund_ids=tuple(each.id for each in children if each.type == Type.REFUND),
        sightings=tuple(_sightings(original, children)),
    )


def _ask_original(payment: Payment) -> Generator[Call, Reply, Transaction]:
    shown = yield from _ask_transaction(payment.reference)
    if shown is None or shown.id != payment.reference:
        raise AnswerLost("Trustly did not show the transaction")
    if shown.currency != payment.currency:
        raise AnswerLost(f"Trustly shows the transaction in {shown.currency}")
    return shown


def _ask_transaction(number: str) -> Generator[Call, Reply, Transaction | None]:
    reply = yield Call(method="GET", path=f"/transactions/{_segment(number)}", headers={"accept": "application/json"})
    return transaction(reply.body) if reply.status == 200 and not problems(reply.body) else None


def _ask_children(payment: Payment) -> Generator[Call, Reply, tuple[Transaction, ...]]:
    """Refunds and returns of an original, oldest first (provider docs: OpenAPI, list transactions)."""
    found: dict[str, Transaction] = {}
    for page in range(_PAGES_MAX):
        reply = yield _list_call(payment.reference, page)
        shown = transactions(reply.body) if reply.status == 200 and not problems(reply.body) else None
        if shown is None:
            raise AnswerLost("Trustly did not show the refunds")
        found.update((each.id, each) for each in shown)
        if len(shown) < _PAGE:
            of_it = (each for each in found.values() if each.original == payment.reference)
            return tuple(each for each in of_it if each.currency == payment.currency)
    raise AnswerLost("Trustly shows more refunds than a payment can have")


def _list_call(number: str, page: int) -> Call:
    """Oldest first: what is added while pages are read comes after them."""
    query = (
        ("originalTransactionId", number),
        ("transactionType", str(Type.REFUND.value)),
        ("transactionType", str(Type.REVERSE.value)),
        ("orderBy", "createdAt"),
        ("sortOrder", "asc"),
        ("startIndex", str(page * _PAGE)),
        ("count", str(_PAGE)),
    )
    return Call(method="GET", path="/transactions", query=query, headers={"accept": "application/json"})


def _sightings(original: Transaction, children: Sequence[Transaction]) -> Iterator[Sighting]:
    if original.status in _COLLECTED and original.paid:
        yield Sighting(kind="captured", amount=original.paid, reference=original.id, occurred_at=original.completed_at)
    if original.status in _NEVER_COLLECTED:
        yield Sighting(kind="canceled", amount=0, reference=original.id, occurred_at=original.updated_at)
    for each in children:
        if each.type == Type.REVERSE and each.status in (Status.PROCESSED, Status.COMPLETED):
            yield Sighting(kind="claw_back", amount=each.amount, reference=each.id, occurred_at=each.updated_at)
        elif each.type == Type.REFUND and _is_foreign(each):
            yield from _external(each)


def _is_foreign(shown: Transaction) -> bool:
    """A refund made elsewhere. A reference so long that our mark would not have fitted may be one of ours."""
    return "mb_" not in shown.reference and len(shown.reference) + MARK_ROOM <= REFERENCE_MAX


def _external(shown: Transaction) -> Iterator[Sighting]:
    """Counted from its acceptance, when its amount is promised; let go when it failed, and then it counts nothing."""
    made = Sighting(kind="external", amount=shown.amount, reference=shown.id, occurred_at=shown.updated_at)
    yield made
    if shown.status in _UNDONE:
        yield replace(made, kind="external_undone")


# --- looking ---------------------------------------------------------------------------------------------------------


def look(sending: Sending, pre_read: Mapping[str, Any]) -> Looking:
    """What became of a refund: by Trustly's id of it, by our mark, or where there was no room for one, by counting."""
    try:
        original = yield from _ask_original(sending.payment)
        children = yield from _ask_children(sending.payment)
        own = yield from _own(sending, children)
    except (NotConnected, AnswerLost) as error:
        return Looked(shown={"unanswered": f"{error}" or type(error).__name__})
    observations = tuple(_told(each, generation=_attempt_of(sending, each.reference)) for each in own)
    if not observations and not marked(sending.refund, sending.mark)[1]:
        observations = _by_counter(sending, pre_read, original, children)
    return Looked(
        observations=observations,
        sightings=tuple(_sightings(original, children)),
        shown=_compared(pre_read, original, children),
    )


def _own(sending: Sending, children: Sequence[Transaction]) -> Generator[Call, Reply, tuple[Transaction, ...]]:
    """Every refund that carries a mark of ours, earlier attempts included, and the one whose id we were given."""
    number = sending.refund.provider_id
    own = {each.id: each for each in children if _is_own(sending, each)}
    if number is not None:
        shown = yield from _ask_transaction(number)  # the record itself is newer than any list
        if shown is not None and shown.id == number and _is_refund_of(sending.payment, shown):
            own[number] = shown
    return tuple(each for each in own.values() if _event_of(each) is not Event.LOST)


def _is_own(sending: Sending, shown: Transaction) -> bool:
    return shown.type == Type.REFUND and _attempt_of(sending, shown.reference) is not None


def _by_counter(
    sending: Sending, pre_read: Mapping[str, Any], original: Transaction, children: Sequence[Transaction]
) -> tuple[Observation, ...]:
    """Behind the fence: one new refund, of our amount and reference, and a balance that fell by exactly as much.

    When the balance moves is not documented, so a refund that is not completed may have left it alone.
    """
    left_before = pre_read.get("left")
    new = _new(pre_read, children)
    if left_before is None or new is None or len(new) != 1:
        return ()
    amount, event = sending.refund.payer, _event_of(new[0])
    if (new[0].amount, new[0].reference) != (amount, sending.refund.reference):
        return ()
    fell = left_before - original.left
    if fell == amount and event in (Event.EXECUTED, Event.ACCEPTED):
        return (_told(new[0], Grade.COUNTER),)
    return (_told(new[0], Grade.COUNTER),) if fell == 0 and event is Event.ACCEPTED else ()


def _new(pre_read: Mapping[str, Any], children: Sequence[Transaction]) -> list[Transaction] | None:
    """The refunds that were not there before this attempt; None when it is not known what was."""
    before = pre_read.get("refund_ids")
    if before is None:
        return None
    return [each for each in children if each.type == Type.REFUND and each.id not in before]


def _compared(pre_read: Mapping[str, Any], original: Transaction, children: Sequence[Transaction]) -> dict[str, Any]:
    """Before and now, side by side: figures for a person, evidence of nothing."""
    return {
        "status": original.status,
        "left": original.left,
        "left_before": pre_read.get("left"),
        "refunded": original.refunded,
        "reversed": original.reversed,
        "refunds": sum(each.type == Type.REFUND for each in children),
        "new_refunds": [
            {"id": each.id, "amount": each.amount, "status": each.status} for each in _new(pre_read, children) or ()
        ],
    }


# --- the declaration -------------------------------------------------------------------------------------------------


def capabilities(payment: Payment) -> Capabilities:
    """At least 0.99 a refund, the last one included, because the amount is always stated; and nothing but US dollars.

    A refund call has no room for a currency (provider docs: Refund transaction), so another one is not sent at all.
    """
    dollars = payment.currency == "USD"
    return Capabilities(full=dollars, partial=dollars, minimum=minimum(payment.currency))


def authorize(credentials: Mapping[str, str], call: Call) -> Call:
    """HTTP Basic: the access id and the access key (provider docs: API introduction)."""
    pair = f"{credentials['access_id']}:{credentials['access_key']}"
    return replace(call, headers={**call.headers, "authorization": f"Basic {b64encode(pair.encode()).decode()}"})


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
    credentials=("access_id", "access_key"),
    authorize=authorize,
)
