"""Mangopay as we call it: refunds of pay-ins, and what each of its documented answers means to the engine.

Conversations only; the network and the credentials are not here. Every refund has an Idempotency-Key of its own, the
same for every attempt: under it Mangopay keeps what it answered, which is how a lost answer is found again. A key that
says nothing, and a refund that is missing from a list, prove nothing by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import Observation, Sighting
from moneyback.core.payment import Capabilities, Payment
from moneyback.core.refund import Event, Grade, Refund, State
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
from moneyback.dialects.mangopay import received, windows
from moneyback.dialects.mangopay.complaints import REPUDIATED
from moneyback.dialects.mangopay.received import Payin, Problem, Shown
from moneyback.dialects.mangopay.responses import FORM
from moneyback.dialects.mangopay.session import CREDENTIALS, Unprepared, authorize, path, sign_in
from moneyback.dialects.mangopay.wire import TAG_MAX, money

PROCESSING: Final = timedelta(minutes=5)
"""How long a call may be worked on, with room for two clocks that differ. Mangopay publishes no figure."""
LIST_LAG: Final = timedelta(minutes=1)
KEY_WINDOW: Final = timedelta(hours=23)
"""How long a key certainly is remembered: its 24 hours (provider docs: idempotency), and an hour to spare. A key that
is forgotten is answered for as one that never came."""

_NAME: Final = "mangopay"
_PAGE: Final = 100
_PAGES_MAX: Final = 20
_DESCRIPTOR: Final = re.compile(r"[A-Za-z0-9 ]{1,10}")

# --- what answers mean -----------------------------------------------------------------------------------------------

STATUSES: Final[Mapping[str, Event]] = MappingProxyType(
    {"CREATED": Event.ACCEPTED, "SUCCEEDED": Event.EXECUTED, "FAILED": Event.REFUSED}
)
"""What the Status of a refund means (provider docs: the refund object)."""

ANSWERS: Final[Mapping[tuple[int, str | None], Event]] = MappingProxyType(
    {
        # 200 says that there is a refund; its Status says what became of it.
        **{(200, status): event for status, event in STATUSES.items()},
        (400, "param_error"): Event.REFUSED,
        (400, "original_transaction_must_be_succeeded"): Event.REFUSED,
        (400, None): Event.REFUSED,  # whatever Type: a logic or parameter error, and nothing was created
        (401, "invalid_credentials"): Event.NOT_TAKEN,
        (403, "forbidden_ressource"): Event.NOT_TAKEN,
        (404, "ressource_not_found"): Event.REFUSED,
        # Something was created under our key, perhaps by an attempt whose answer was lost: the key will tell.
        (409, "idempotent_creation_conflict"): Event.LOST,
        (429, "rate_limit"): Event.NOT_TAKEN,
        (500, None): Event.LOST,
    }
)
"""Every documented answer to a refund by HTTP status and Status or Type, None for any Type (provider docs: create a
pay-in refund, idempotency, error report). An error counts in Mangopay's own form only. All that is not here is LOST."""

FAILURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "001001": "funds",
        "001003": "funds",
        "001014": "invalid",
        "001401": "invalid",
        "001403": "window",
        "001404": "unsupported",
        "001405": "window",
        "001999": "declined",
        "005403": "invalid",
        "005404": "invalid",
        "005405": "funds",
        "005406": "declined",
        "005407": "declined",
        "005408": "disputed",
    }
)
"""The class of a failure by its ResultCode (provider docs: error codes)."""


def meaning(reply: Reply) -> Event:
    """What an answer to a refund means; LOST for all that is not documented."""
    shown = received.refund(reply)
    if shown is not None:
        return ANSWERS.get((reply.status, shown.status), Event.LOST)
    problem = received.problem(reply)
    if problem is None:
        return Event.LOST
    by_type = ANSWERS.get((reply.status, problem.type))
    return by_type or ANSWERS.get((reply.status, None), Event.LOST)


# --- sending ---------------------------------------------------------------------------------------------------------


def send(sending: Sending) -> Sent:
    """A token, the pay-in's author, then the one call that counts; what came of it, as one observation."""
    try:
        call = yield from _prepared(sending)
    except Unprepared as error:
        return (_of_attempt(sending, error.event, message=f"{error}", **error.members),)
    except (NotConnected, AnswerLost) as error:  # only questions were asked so far
        return (_of_attempt(sending, Event.SEND_FAILED, message=f"{error}" or None),)
    try:
        reply = yield call
    except NotConnected:
        return (_of_attempt(sending, Event.SEND_FAILED),)
    except AnswerLost:
        return (_of_attempt(sending, Event.LOST),)
    return (_answered(sending, reply),)


def _prepared(sending: Sending) -> Generator[Call, Reply, Call]:
    headers = yield from sign_in()
    payin = yield from _ask_payin(sending.payment, headers)
    return refund_call(sending, payin.author_id, headers)


def refund_call(sending: Sending, author: str, headers: Mapping[str, str]) -> Call:
    """Both amounts, always: left out, they would mean the initial ones (provider docs: create a pay-in refund).

    The same key has the same body for every attempt. The key is the refund's, in the letters Mangopay takes.
    """
    refund = sending.refund
    body = {
        "AuthorId": author,
        "DebitedFunds": money(refund.wallet, refund.currency),
        "Fees": money(-refund.fee_return, refund.currency),
        **_said_by_client(refund),
    }
    return Call(
        method="POST",
        path=path("payins", sending.payment.reference, "refunds"),
        headers={**headers, "content-type": "application/json", "idempotency-key": key_of(sending)},
        body=msgspec.json.encode(body),
    )


def key_of(sending: Sending) -> str:
    """The refund's Idempotency-Key."""
    key = sending.key.replace("_", "-")
    assert FORM.fullmatch(key), "a key is 16 to 36 letters, digits and dashes"
    return key


def _said_by_client(refund: Refund) -> dict[str, str]:
    """The client's own Tag and StatementDescriptor, untouched: the key is our mark here."""
    own = refund.dialect == _NAME
    tag = refund.request.get("Tag") if own else refund.reference
    descriptor = refund.request.get("StatementDescriptor") if own else None
    said = dict[str, str]()
    if isinstance(tag, str) and 0 < len(tag) <= TAG_MAX:
        said["Tag"] = tag
    if isinstance(descriptor, str) and _DESCRIPTOR.fullmatch(descriptor):
        said["StatementDescriptor"] = descriptor
    return said


def _answered(sending: Sending, reply: Reply) -> Observation:
    event, shown, problem = meaning(reply), received.refund(reply), received.problem(reply)
    if event is Event.LOST:
        return _of_attempt(sending, event, data={"status": reply.status})
    if problem is not None:
        return _of_attempt(sending, event, **_words(event, problem), data={"status": reply.status})
    if shown is None or not shown.is_of(sending.payment):
        return _of_attempt(sending, Event.LOST, data={"status": reply.status})
    return _told(shown)


def _words(event: Event, problem: Problem) -> dict[str, str | None]:
    disputed = any(each.startswith(REPUDIATED) for each in problem.sentences)
    failure = ("disputed" if disputed else "invalid") if event is Event.REFUSED else None
    return {"failure": failure, "code": problem.type, "message": " ".join(problem.sentences)}


def _of_attempt(sending: Sending, event: Event, **members: Any) -> Observation:
    """Something that is known of this attempt only; an attempt is sent once, so its mark and the event identify it."""
    return Observation(event=event, digest=f"{sending.mark}:{event.value}", **members)


def _told(shown: Shown, grade: Grade = Grade.MARK) -> Observation:
    """A refund that is ours, as Mangopay shows it. The payer gets its CreditedFunds."""
    event = STATUSES.get(shown.status, Event.LOST)
    code = shown.result_code.strip() if shown.result_code and event is Event.REFUSED else None
    return Observation(
        event=event,
        grade=grade,
        amount=shown.credited_funds.amount,
        provider_id=shown.id,
        occurred_at=shown.changed_at,
        digest=f"{shown.id}:{shown.status}",
        failure=FAILURES.get(code or "", "declined") if event is Event.REFUSED else None,
        code=code,
        message=shown.result_message if event is Event.REFUSED else None,
        pending_reason="processing" if event is Event.ACCEPTED else None,
        data={"status": shown.status, "debited": shown.debited_funds.amount, "fees": shown.fees.amount},
    )


# --- reading before sending ------------------------------------------------------------------------------------------


def read(payment: Payment) -> Reading:
    """What the payer paid less what refunds gave back. Raises AnswerLost when Mangopay does not show it.

    A pay-in says nothing of its refunds, so all of them are listed. Which of them are ours nothing in them tells. Of a
    pay-in that Mangopay says it does not have there are no figures: its refund is let through to be refused.
    """
    headers = yield from sign_in()
    try:
        payin = yield from _ask_payin(payment, headers)
    except Unprepared as error:
        if error.event is Event.REFUSED:
            return Figures()
        raise
    if payin.debited_funds.currency != payment.currency:
        raise AnswerLost(f"Mangopay shows the pay-in in {payin.debited_funds.currency}")
    refunds = yield from _ask_refunds(payment, headers)
    return Figures(
        left=_left(payin, refunds), refund_ids=tuple(each.id for each in refunds), sightings=_sightings(payin)
    )


def _ask_payin(payment: Payment, headers: Mapping[str, str]) -> Generator[Call, Reply, Payin]:
    """The pay-in. Raises Unprepared, which is an AnswerLost, when it is not shown."""
    reply = yield Call(method="GET", path=path("payins", payment.reference), headers=headers)
    payin = received.payin(reply)
    if payin is not None and payin.id == payment.reference:
        return payin
    problem = received.problem(reply)
    event = meaning(reply) if problem is not None else Event.LOST
    if problem is None or event not in (Event.REFUSED, Event.NOT_TAKEN):
        raise Unprepared("Mangopay did not show the pay-in")
    failure = "invalid" if event is Event.REFUSED else None
    raise Unprepared(" ".join(problem.sentences), event, failure=failure, code=problem.type)


def _ask_refunds(payment: Payment, headers: Mapping[str, str]) -> Generator[Call, Reply, tuple[Shown, ...]]:
    """All refunds of the pay-in, oldest first: what is added while pages are read comes after them."""
    found: dict[str, Shown] = {}
    for number in range(1, _PAGES_MAX + 1):
        reply = yield Call(
            method="GET",
            path=path("payins", payment.reference, "refunds"),
            query=(("page", str(number)), ("per_page", str(_PAGE)), ("Sort", "CreationDate:ASC")),
            headers=headers,
        )
        shown = received.refunds(reply)
        if shown is None:
            raise AnswerLost("Mangopay did not show the refunds")
        found.update((each.id, each) for each in shown)
        if len(shown) < _PAGE:
            return tuple(each for each in found.values() if each.is_of(payment))
    raise AnswerLost("Mangopay shows more refunds than can be read")


def _left(payin: Payin, refunds: tuple[Shown, ...]) -> int:
    return payin.debited_funds.amount - sum(each.credited_funds.amount for each in refunds if _is_done(each))


def _is_done(shown: Shown) -> bool:
    return STATUSES.get(shown.status) is Event.EXECUTED


def _sightings(payin: Payin) -> tuple[Sighting, ...]:
    at = received.moment(payin.execution_date)
    match payin.status:
        case "SUCCEEDED":
            amount = payin.debited_funds.amount
            return (Sighting(kind="captured", amount=amount, reference=payin.id, occurred_at=at),)
        case "FAILED":
            return (Sighting(kind="canceled", amount=0, reference=payin.id, occurred_at=at),)
        case _:
            return ()


# --- looking ---------------------------------------------------------------------------------------------------------


def look(sending: Sending, pre_read: Mapping[str, Any]) -> Looking:
    """What became of a refund: by Mangopay's id of it, by our key, and once the key may be forgotten, by counting."""
    try:
        headers = yield from sign_in()
        if sending.refund.provider_id is not None:
            return (yield from _look_by_id(sending, sending.refund.provider_id, headers))
        found, silent_at = yield from _look_by_key(sending, headers)
        if found:
            return Looked(observations=found)
        payin = yield from _ask_payin(sending.payment, headers)
        refunds = yield from _ask_refunds(sending.payment, headers)
    except (NotConnected, AnswerLost) as error:
        return Looked(shown={"unanswered": f"{error}" or type(error).__name__})
    found = _by_counter(sending, pre_read, payin, refunds)
    if not found and _proves_not_sent(sending, silent_at) and not _candidates(sending, pre_read, refunds):
        found = (_of_attempt(sending, Event.KEY_UNKNOWN, data={"as_of": f"{silent_at}"}),)
    return Looked(observations=found, sightings=_sightings(payin), shown=_compared(pre_read, payin, refunds, silent_at))


def _look_by_id(sending: Sending, number: str, headers: Mapping[str, str]) -> Looking:
    reply = yield Call(method="GET", path=path("refunds", number), headers=headers)
    shown = received.refund(reply)
    if shown is None or shown.id != number or not shown.is_of(sending.payment) or shown.status not in STATUSES:
        return Looked(shown={"unanswered": f"Mangopay did not show the refund {number}"})
    return Looked(observations=(_told(shown),))


def _look_by_key(
    sending: Sending, headers: Mapping[str, str]
) -> Generator[Call, Reply, tuple[tuple[Observation, ...], datetime | None]]:
    """What was answered under our key; else when Mangopay said, by its own clock, that it knows of no such key."""
    reply = yield Call(method="GET", path=path("responses", key_of(sending)), headers=headers)
    stored = received.stored(reply)
    if stored is not None:
        return _stored(sending, stored), None
    problem = received.problem(reply)
    silent = problem is not None and (reply.status, problem.type) == (400, "correlationid_not_found")
    return (), received.moment(problem.date) if silent and problem is not None else None


def _stored(sending: Sending, stored: Reply) -> tuple[Observation, ...]:
    """The first answer under our key. An error used the key up: nothing was made under it, and nothing ever will be.

    That holds for "not taken" too: to that call it meant "later", to this key it means never.
    """
    seen = _answered(sending, stored)
    match seen.event:
        case Event.LOST:
            return ()
        case Event.NOT_TAKEN:
            refused = Event.REFUSED
            digest = f"{sending.mark}:{refused.value}"
            return (replace(seen, event=refused, failure="not_sent", digest=digest),)
        case _:
            return (seen,)


def _proves_not_sent(sending: Sending, as_of: datetime | None) -> bool:
    """Whether an unknown key is evidence: nothing can still arrive or be worked on, and the window certainly covers it.

    From the beginning of doubt on nobody writes any more. A key cannot have registered before its refund existed.
    """
    refund = sending.refund
    if as_of is None or refund.state is not State.UNKNOWN or refund.doubt_since is None:
        return False
    if refund.send_deadline is not None and as_of <= refund.send_deadline:
        return False
    return refund.doubt_since + PROCESSING <= as_of < refund.created_at + KEY_WINDOW


def _by_counter(
    sending: Sending, pre_read: Mapping[str, Any], payin: Payin, refunds: tuple[Shown, ...]
) -> tuple[Observation, ...]:
    """Behind the fence: one new refund of exactly our amounts, and a remainder that fell by exactly as much."""
    left_before, new = pre_read.get("left"), _new(pre_read, refunds)
    if left_before is None or new is None or len(new) != 1 or not _has_our_amounts(sending.refund, new[0]):
        return ()
    fell, expected = left_before - _left(payin, refunds), sending.refund.payer if _is_done(new[0]) else 0
    open_ = new[0].status in ("SUCCEEDED", "CREATED")
    return (_told(new[0], Grade.COUNTER),) if open_ and fell == expected else ()


def _candidates(sending: Sending, pre_read: Mapping[str, Any], refunds: tuple[Shown, ...]) -> list[Shown]:
    """Refunds that may be ours: while there is one, nothing proves that ours was not made."""
    refund, new = sending.refund, _new(pre_read, refunds)
    if new is None:  # nothing was read before sending: whatever is not older than the refund, two clocks considered
        ages = [(received.moment(each.creation_date), each) for each in refunds]
        new = [each for at, each in ages if at is None or at >= refund.created_at - PROCESSING]
    return [each for each in new if each.status != "FAILED" and _has_our_amounts(refund, each)]


def _has_our_amounts(refund: Refund, shown: Shown) -> bool:
    amounts = (shown.debited_funds.amount, shown.fees.amount, shown.credited_funds.amount)
    return amounts == (refund.wallet, -refund.fee_return, refund.payer)


def _new(pre_read: Mapping[str, Any], refunds: tuple[Shown, ...]) -> list[Shown] | None:
    """The refunds that were not there before this attempt; None when it is not known what was."""
    before = pre_read.get("refund_ids")
    return None if before is None else [each for each in refunds if each.id not in before]


def _compared(
    pre_read: Mapping[str, Any], payin: Payin, refunds: tuple[Shown, ...], silent_at: datetime | None
) -> dict[str, Any]:
    """Before and now, side by side: figures for a person, evidence of nothing."""
    new = _new(pre_read, refunds)
    return {
        "left": _left(payin, refunds),
        "left_before": pre_read.get("left"),
        "key_unknown_at": None if silent_at is None else silent_at.isoformat(),
        "refunds": len(refunds),
        "new_refunds": [
            {"id": each.id, "amount": each.credited_funds.amount, "status": each.status} for each in new or ()
        ],
    }


# --- the declaration -------------------------------------------------------------------------------------------------


def capabilities(payment: Payment) -> Capabilities:
    """One refund of a pay-in at a time, and each amount once a day; windows where the method is in Mangopay's words."""
    if payment.dialect == _NAME:
        return windows.capabilities(payment)
    return Capabilities(one_at_a_time=True, equal_amount_interval=windows.EQUAL_AMOUNT, blocked_by_dispute=True)


CLIENT: Final = Client(
    send=send,
    read=read,
    look=look,
    rung=4,
    processing=PROCESSING,
    list_lag=LIST_LAG,
    capabilities=capabilities,
    credentials=CREDENTIALS,
    authorize=authorize,
)
