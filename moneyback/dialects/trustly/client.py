"""Trustly as we call it: refunds of captures, reclaims of deposits, and what its documented answers mean to the engine.

Conversations only; the network and the credentials are not here. Trustly keeps no key of a refund, but echoes its
`merchantReference`: that carries our mark, by which a refund is found again whatever became of its answer. A refund
that is missing from a list, and a balance that stands still, prove nothing; they are figures for a person.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

from msgspec.structs import replace

from moneyback.core.commands import Observation
from moneyback.core.money import currency, to_major
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
from moneyback.dialects.trustly.establish import CURRENCIES
from moneyback.dialects.trustly.fetching import (
    LIST_LAG,
    ask_children,
    ask_original,
    ask_transaction,
    fetch,
    given_back_as,
    list_refunds,
    remainder,
    segment,
    shown_in,
    sightings,
)
from moneyback.dialects.trustly.marks import attempt_in, reference_of
from moneyback.dialects.trustly.news import hear
from moneyback.dialects.trustly.received import Problem, Transaction, problems, transaction
from moneyback.dialects.trustly.wire import Status, Type, minimum

PROCESSING: Final = LIST_LAG
"""How long a call may be worked on: as little is published of it as of the lists."""

_CALLS: Final[Mapping[int, str]] = MappingProxyType({Type.REFUND: "refund", Type.RECLAIM: "reclaim"})
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
    reference, _ = reference_of(sending)
    fields = {"merchantReference": reference, "amount": to_major(refund.payer, currency(refund.currency))}
    return Call(
        method="POST",
        path=f"/transactions/{segment(payment.reference)}/{_CALLS[given_back_as(payment)]}",
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
    return shown.type == given_back_as(payment) and of_it and shown.currency == payment.currency


# --- reading before sending ------------------------------------------------------------------------------------------


def read(payment: Payment) -> Reading:
    """The original's balance and the refunds made of it. Raises AnswerLost when Trustly does not show them."""
    original = yield from ask_original(payment)
    children = yield from _children(payment)
    return Figures(
        left=remainder(original, children),
        refund_ids=tuple(each.id for each in children if each.type in _CALLS),
        sightings=tuple(sightings(original, children)),
    )


def _children(payment: Payment) -> Generator[Call, Reply, tuple[Transaction, ...]]:
    return (yield from ask_children(payment.reference, given_back_as(payment), payment.currency))


# --- looking ---------------------------------------------------------------------------------------------------------


def look(sending: Sending, pre_read: Mapping[str, Any]) -> Looking:
    """What became of a refund: by Trustly's id of it, by our mark, or where there was no room for one, by counting."""
    try:
        original = yield from ask_original(sending.payment)
        children = yield from _children(sending.payment)
        own = yield from _own(sending, children)
    except (NotConnected, AnswerLost) as error:
        return Looked(shown={"unanswered": f"{error}" or type(error).__name__})
    observations = tuple(_told(each, generation=attempt_in(each.reference, sending.mark)) for each in own)
    if not observations and not reference_of(sending)[1]:
        observations = _by_counter(sending, pre_read, original, children)
    return Looked(
        observations=observations,
        sightings=tuple(sightings(original, children)),
        shown=_compared(pre_read, original, children),
    )


def _own(sending: Sending, children: Sequence[Transaction]) -> Generator[Call, Reply, tuple[Transaction, ...]]:
    """Every refund that carries a mark of ours, earlier attempts included, and the one whose id we were given."""
    number = sending.refund.provider_id
    own = {each.id: each for each in children if _is_own(sending, each)}
    if number is not None:
        shown = shown_in((yield from ask_transaction(number)))  # the record itself is newer than any list
        if shown is not None and shown.id == number and _is_refund_of(sending.payment, shown):
            own[number] = shown
    return tuple(each for each in own.values() if _event_of(each) is not Event.LOST)


def _is_own(sending: Sending, shown: Transaction) -> bool:
    return shown.type in _CALLS and attempt_in(shown.reference, sending.mark) is not None


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
    fell = left_before - remainder(original, children)
    if fell == amount and event in (Event.EXECUTED, Event.ACCEPTED):
        return (_told(new[0], Grade.COUNTER),)
    return (_told(new[0], Grade.COUNTER),) if fell == 0 and event is Event.ACCEPTED else ()


def _new(pre_read: Mapping[str, Any], children: Sequence[Transaction]) -> list[Transaction] | None:
    """The refunds that were not there before this attempt; None when it is not known what was."""
    before = pre_read.get("refund_ids")
    if before is None:
        return None
    return [each for each in children if each.type in _CALLS and each.id not in before]


def _compared(pre_read: Mapping[str, Any], original: Transaction, children: Sequence[Transaction]) -> dict[str, Any]:
    """Before and now, side by side: figures for a person, evidence of nothing."""
    return {
        "status": original.status,
        "left": remainder(original, children),
        "left_before": pre_read.get("left"),
        "refunded": original.refunded,
        "reversed": original.reversed,
        "refunds": sum(each.type in _CALLS for each in children),
        "new_refunds": [
            {"id": each.id, "amount": each.amount, "status": each.status} for each in _new(pre_read, children) or ()
        ],
    }


# --- the declaration -------------------------------------------------------------------------------------------------


def capabilities(payment: Payment) -> Capabilities:
    """At least 0.99 a refund, the last one included, because the amount is always stated; and nothing but dollars.

    A refund call has no room for a currency (provider docs: Refund transaction): it is the original's, which is read
    before, and those are made in US and Canadian dollars only (provider docs: Establish).
    """
    dollars = payment.currency in CURRENCIES
    return Capabilities(full=dollars, partial=dollars, minimum=minimum(payment.currency))


def authorize(credentials: Mapping[str, str], call: Call) -> Call:
    """HTTP Basic: the access id and the access key (provider docs: API introduction)."""
    pair = f"{credentials['access_id']}:{credentials['access_key']}"
    return replace(call, headers={**call.headers, "authorization": f"Basic {b64encode(pair.encode()).decode()}"})


def profile(_credentials: Mapping[str, str], account: str) -> Mapping[str, Any]:
    """Who calls with the account's own credentials is the merchant that the account is named by."""
    return {"merchant_id": account}


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
    fetch=fetch,
    list_refunds=list_refunds,
    profile=profile,
    hear=hear,
)
