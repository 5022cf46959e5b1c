"""Maverick as we call it: refunds of card payments, and what each of its documented answers means to the engine.

Conversations only; the network and the credentials are not here. Maverick has no keys and echoes no mark of a refund:
an original only lists its children, so doubt is settled by counting, behind the fence. A refund that is not listed, and
a sum that stands still, prove nothing; they are figures for a person.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import Observation
from moneyback.core.money import proportion_floor
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
from moneyback.dialects.maverick import received
from moneyback.dialects.maverick.received import Record
from moneyback.dialects.maverick.wire import MONEY_BACK, NOT_ALLOWED, written

PROCESSING: Final = timedelta(minutes=5)
LIST_LAG: Final = timedelta(minutes=5)
"""How long a call may be worked on, and a refund be missing from its original. Maverick publishes no figure."""

CURRENCY: Final = "USD"
T = TypeVar("T")
_NAME: Final = "maverick"
_RETURN: Final = "Return"
_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    # Programs that do not say who they are, are turned away (seen of its hosts).
    {"accept": "application/json", "user-agent": "moneyback"}
)

# --- what answers mean -----------------------------------------------------------------------------------------------

REASONS: Final[Mapping[str, Event]] = MappingProxyType(
    {
        # Something like it was executed before: perhaps this very refund, by a call whose answer was lost.
        "Duplicate Request (Approved previously)": Event.LOST,
        "Duplicate Request (Reversed previously)": Event.LOST,
        "Duplicate Request": Event.LOST,
        "Suspected duplicate.": Event.LOST,
        # Between Maverick and the card's bank something broke, before or after the money moved.
        "Time out": Event.LOST,
        "System Error": Event.LOST,
        "Error on Host": Event.LOST,
        "Host connectivity failed": Event.LOST,
        "Issuer or Switch inoperative": Event.LOST,
        # Come back later: the minute of equal amounts, and the settlement, will be over.
        "Possible Duplicate Request": Event.NOT_TAKEN,
        "Unable to process your request. Settlement InProgress.": Event.NOT_TAKEN,
        NOT_ALLOWED: Event.REFUSED,
        "Reversal Not Allowed": Event.REFUSED,
        "Supervisor Override Required": Event.REFUSED,
        "Modify Transaction Not Allowed": Event.REFUSED,
        "Inactive Device (Terminal)": Event.REFUSED,
        "Device (Terminal) Configuration missing": Event.REFUSED,
        "Insufficient privileges": Event.REFUSED,
        "Incremental Auth Not Allowed": Event.REFUSED,
        "Functionality currently not available": Event.REFUSED,
        "Insufficient Funds": Event.REFUSED,
        MONEY_BACK: Event.CAME_BACK,
    }
)
"""Every known reason, of a record that did not go well or as an error's message (provider docs: status page)."""

STATUSES: Final[Mapping[str, Event]] = MappingProxyType(
    {
        "approved": Event.EXECUTED,
        "inprogress": Event.ACCEPTED,
        "declined": Event.REFUSED,
        "decline": Event.REFUSED,
        "error": Event.LOST,
    }
)
"""What a record's status means; of the last three, its reason says more (provider docs: status page, list payments)."""

ANSWERS: Final[Mapping[tuple[int, str], Event]] = MappingProxyType(
    {
        **{(200, status): event for status, event in STATUSES.items()},
        # Errors in Maverick's own form. Of 400 and 422 the message says more, where it is a known reason.
        (400, "error"): Event.REFUSED,
        (401, "error"): Event.NOT_TAKEN,
        (403, "error"): Event.NOT_TAKEN,
        (404, "error"): Event.NOT_TAKEN,  # the route: the original was read just before
        (422, "error"): Event.REFUSED,
        (429, "error"): Event.NOT_TAKEN,
        (500, "error"): Event.LOST,
        (503, "error"): Event.LOST,
    }
)
"""Every documented answer to a refund by HTTP status and the record's status, or `error` (provider docs: refund page,
status page; recorded of clients in production). All that is not here is LOST."""

FAILURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Insufficient Funds": "funds",
        "Supervisor Override Required": "policy",
        "Insufficient privileges": "policy",
        "Inactive Device (Terminal)": "unsupported",
        "Device (Terminal) Configuration missing": "unsupported",
        "Incremental Auth Not Allowed": "unsupported",
        "Functionality currently not available": "unsupported",
        NOT_ALLOWED: "invalid",
        "Reversal Not Allowed": "invalid",
        "Modify Transaction Not Allowed": "invalid",
    }
)
"""The class of a failure by its reason."""

_JUDGED: Final = ("declined", "decline", "error")
_SPEAKING: Final = (400, 422)


def meaning(reply: Reply) -> Event:
    """What an answer to a refund means; LOST for all that is not documented."""
    shown = received.record(reply)
    if shown is not None:
        return _event_of(shown)
    problem = received.problem(reply)
    if problem is None:
        return Event.LOST
    by_reason = _by_reason(problem.message) if reply.status in _SPEAKING else None
    return by_reason or ANSWERS.get((reply.status, "error"), Event.LOST)


def _event_of(shown: Record) -> Event:
    by_reason = _by_reason(shown.reason) if shown.word in _JUDGED else None
    return by_reason or ANSWERS.get((200, shown.word), Event.LOST)


def _by_reason(reason: str | None) -> Event | None:
    return _found(reason, _EVENTS)


def _class_of(reason: str | None) -> str | None:
    return _found(reason, _CLASSES)


def _found(reason: str | None, table: Mapping[str, T]) -> T | None:
    """By the published text, also where the explanation is left out that it has in brackets, or was given one."""
    text = _plain(reason or "")
    return table.get(text) or table.get(text.partition(" (")[0])


def _plain(text: str) -> str:
    return text.strip().rstrip(".").lower()


_EVENTS: Final = MappingProxyType({_plain(reason): event for reason, event in REASONS.items()})
_CLASSES: Final = MappingProxyType({_plain(reason): name for reason, name in FAILURES.items()})


# --- sending ---------------------------------------------------------------------------------------------------------


def send(sending: Sending) -> Sent:
    """The original, for its terminal, then the one call that counts; what came of it, as one observation."""
    try:
        reply = yield _record_call(sending.payment.reference)
    except (NotConnected, AnswerLost) as error:  # only a question was asked so far
        return (_of_attempt(sending, Event.SEND_FAILED, message=f"{error}" or None),)
    original = received.record(reply)
    if original is None or original.number != sending.payment.reference or original.terminal.id is None:
        return (_unasked(sending, reply),)
    if not original.captured:
        words = "Maverick shows the payment as not captured: there is nothing to refund yet."
        return (_of_attempt(sending, Event.REFUSED, failure="invalid", code="not_captured", message=words),)
    try:
        reply = yield refund_call(sending, original)
    except NotConnected:
        return (_of_attempt(sending, Event.SEND_FAILED),)
    except AnswerLost:
        return (_of_attempt(sending, Event.LOST),)
    return (_answered(sending, reply),)


def refund_call(sending: Sending, original: Record) -> Call:
    """The amount is always stated, for a full refund too: without one, what is not captured yet would be voided."""
    refund = sending.refund
    body: dict[str, Any] = {
        "terminal": {"id": original.terminal.id},
        "amount": written(refund.payer, refund.currency),
    }
    parts = _stated(sending) or shares(sending, original)
    if parts:
        body["order"] = {name: written(amount, refund.currency) for name, amount in parts.items()}
    return Call(
        method="POST",
        path=f"/payment/{_segment(sending.payment.reference)}/refund",
        headers={**_HEADERS, "content-type": "application/json"},
        body=msgspec.json.encode(body),
    )


def _stated(sending: Sending) -> dict[str, int]:
    """What a client of Maverick's own API said of tax and discounts; of the two, the one it left out counts as 0."""
    refund = sending.refund
    said = {name: refund.request.get(name) for name in ("tax", "discounts")} if refund.dialect == _NAME else {}
    stated = {name: value for name, value in said.items() if isinstance(value, int)}
    return {"tax": 0, "discounts": 0} | stated if stated else {}


def shares(sending: Sending, original: Record) -> dict[str, int]:
    """This refund's part of the original's tax and discounts, by which an amount may exceed the order's subtotal.

    A refund's share is what all refunds up to it are due less what those before it were, so that the last one closes
    both exactly (provider docs: partial refund page; how they are to be shared out it does not say).
    """
    payment, code = sending.payment, sending.refund.currency
    whole = received.amount(original.amount, code) or 0
    parts = {name: original.part(name, code) for name in ("tax", "discounts")}
    if whole <= 0 or not any(parts.values()):
        return {}
    before = min(whole, payment.refunded + payment.external)
    after = min(whole, before + sending.refund.payer)
    return {
        name: proportion_floor(part, after, whole) - proportion_floor(part, before, whole)
        for name, part in parts.items()
    }


def _unasked(sending: Sending, reply: Reply) -> Observation:
    """The original was not shown, so nothing was sent. An original that is not there will never be refunded."""
    problem = received.problem(reply)
    event = {401: Event.NOT_TAKEN, 403: Event.NOT_TAKEN, 404: Event.REFUSED, 429: Event.NOT_TAKEN}.get(reply.status)
    if problem is None or event is None:
        return _of_attempt(sending, Event.SEND_FAILED, message="Maverick did not show the payment")
    failure = "invalid" if event is Event.REFUSED else None
    return _of_attempt(sending, event, failure=failure, code=problem.name, message=problem.message)


def _answered(sending: Sending, reply: Reply) -> Observation:
    event, shown, problem = meaning(reply), received.record(reply), received.problem(reply)
    if shown is not None and _is_refund_of(sending.payment, shown):
        return _told(sending, shown, event)
    if shown is not None or problem is None or event is Event.LOST:
        said = problem.message if problem is not None else None
        return _of_attempt(sending, Event.LOST, message=said, data={"status": reply.status})
    known = _by_reason(problem.message) is not None
    return _of_attempt(
        sending,
        event,
        failure=(_class_of(problem.message) or "invalid") if event is Event.REFUSED else None,
        code=problem.message if known else problem.name,
        message=problem.message,
        data={"status": reply.status},
    )


def _is_refund_of(payment: Payment, shown: Record) -> bool:
    return shown.type == _RETURN and shown.of == payment.reference


def _of_attempt(sending: Sending, event: Event, **members: Any) -> Observation:
    """Something that is known of this attempt only; an attempt is sent once, so its mark and the event identify it."""
    return Observation(event=event, digest=f"{sending.mark}:{event.value}", **members)


def _told(sending: Sending, shown: Record, event: Event, grade: Grade = Grade.MARK) -> Observation:
    """A refund that is ours, as Maverick shows it. Without a reading that counts, its number is kept all the same."""
    ended_badly = event in (Event.REFUSED, Event.CAME_BACK, Event.NOT_TAKEN)
    return Observation(
        event=event,
        grade=grade,
        amount=received.amount(shown.amount, sending.refund.currency),
        provider_id=None if event is Event.NOT_TAKEN else shown.number,
        occurred_at=None if event is Event.NOT_TAKEN else shown.changed_at,
        digest=f"{shown.number}:{shown.word}:{event.value}",
        failure=(_class_of(shown.reason) or "declined") if event is Event.REFUSED else None,
        code=shown.reason if ended_badly else None,
        message=shown.reason if ended_badly else None,
        pending_reason="processing" if event is Event.ACCEPTED else None,
        data={"status": shown.word, "reason": shown.reason},
    )


# --- reading before sending ------------------------------------------------------------------------------------------


def read(payment: Payment) -> Reading:
    """What was captured less what Maverick shows as given back. Raises AnswerLost when it does not show that.

    An original does not say what was captured of it, nor how its children fared, so each of them is read. Of a payment
    that Maverick says it does not have there are no figures: its refund is let through to be refused.
    """
    reply = yield _record_call(payment.reference)
    problem = received.problem(reply)
    if problem is not None and reply.status == 404:
        return Figures()
    returns = yield from _returns_of(payment, _original(payment, reply))
    return Figures(left=_left(payment, returns), refund_ids=tuple(each.number for each in returns))


def _original(payment: Payment, reply: Reply) -> Record:
    shown = received.record(reply)
    if shown is None or shown.number != payment.reference:
        raise AnswerLost("Maverick did not show the payment")
    return shown


def _returns_of(payment: Payment, original: Record) -> Generator[Call, Reply, tuple[Record, ...]]:
    found: dict[str, Record] = {}
    for number in dict.fromkeys(each.number for each in original.history if each.type == _RETURN):
        shown = received.record((yield _record_call(number)))
        if shown is None or shown.number != number or not _is_refund_of(payment, shown):
            raise AnswerLost(f"Maverick did not show the refund {number}")
        if received.amount(shown.amount, payment.currency) is None:
            raise AnswerLost(f"the amount of Maverick's refund {number} cannot be read")
        found[number] = shown
    return tuple(found.values())


def _record_call(number: str) -> Call:
    return Call(method="GET", path=f"/payment/{_segment(number)}", headers=_HEADERS)


def _left(payment: Payment, returns: tuple[Record, ...]) -> int:
    given = (received.amount(each.amount, payment.currency) or 0 for each in returns if _is_done(each))
    return payment.captured - sum(given)


def _is_done(shown: Record) -> bool:
    return _event_of(shown) is Event.EXECUTED


# --- looking ---------------------------------------------------------------------------------------------------------


def look(sending: Sending, pre_read: Mapping[str, Any]) -> Looking:
    """What became of a refund: by Maverick's id of it, else by counting what its original lists."""
    payment = sending.payment
    try:
        known = yield from _ask_known(sending)
        if known is not None:
            return Looked(observations=(known,))
        original = _original(payment, (yield _record_call(payment.reference)))
        returns = yield from _returns_of(payment, original)
    except (NotConnected, AnswerLost) as error:
        return Looked(shown={"unanswered": f"{error}" or type(error).__name__})
    return Looked(
        observations=_by_counter(sending, pre_read, returns),
        shown=_compared(payment, pre_read, original, returns),
    )


def _ask_known(sending: Sending) -> Generator[Call, Reply, Observation | None]:
    """What the record says whose id we were given. "Later" was said to a call; of its record it means never."""
    number = sending.refund.provider_id
    if number is None:
        return None
    shown = received.record((yield _record_call(number)))
    if shown is None or shown.number != number or not _is_refund_of(sending.payment, shown):
        return None
    event = _event_of(shown)
    if event is Event.LOST:
        return None
    return _told(sending, shown, Event.REFUSED if event is Event.NOT_TAKEN else event)


def _by_counter(sending: Sending, pre_read: Mapping[str, Any], returns: tuple[Record, ...]) -> tuple[Observation, ...]:
    """Behind the fence: one new refund of exactly our amount, and a remainder that fell by exactly as much.

    Those that were declined moved nothing and are left out, as is one whose number was in an answer to our call.
    """
    left_before, new = pre_read.get("left"), _new(pre_read, returns)
    alive = [each for each in new or () if _may_have_moved(sending, each)]
    if left_before is None or len(alive) != 1:
        return ()
    only, payer = alive[0], sending.refund.payer
    event, fell = _event_of(only), left_before - _left(sending.payment, returns)
    if received.amount(only.amount, sending.refund.currency) != payer:
        return ()
    if (event, fell) in ((Event.EXECUTED, payer), (Event.ACCEPTED, 0)):
        return (_told(sending, only, event, Grade.COUNTER),)
    return ()


def _may_have_moved(sending: Sending, shown: Record) -> bool:
    return shown.number != sending.refund.provider_id and _event_of(shown) not in (Event.REFUSED, Event.NOT_TAKEN)


def _new(pre_read: Mapping[str, Any], returns: tuple[Record, ...]) -> list[Record] | None:
    """The refunds that were not there before this attempt; None when it is not known what was."""
    before = pre_read.get("refund_ids")
    return None if before is None else [each for each in returns if each.number not in before]


def _compared(
    payment: Payment, pre_read: Mapping[str, Any], original: Record, returns: tuple[Record, ...]
) -> dict[str, Any]:
    """Before and now, side by side: figures for a person, evidence of nothing."""
    return {
        "left": _left(payment, returns),
        "left_before": pre_read.get("left"),
        "fully_refunded": original.refunded,
        "refunds": len(returns),
        "new_refunds": [
            {"id": each.number, "amount": str(each.amount), "status": each.word, "reason": each.reason}
            for each in _new(pre_read, returns) or ()
        ],
    }


# --- the declaration -------------------------------------------------------------------------------------------------


def capabilities(payment: Payment) -> Capabilities:
    """In full and in part, at any time, in US dollars alone: a call has no room for a currency, so no other is sent."""
    dollars = payment.currency == CURRENCY
    return Capabilities(full=dollars, partial=dollars)


def authorize(credentials: Mapping[str, str], call: Call) -> Call:
    """The merchant's access token (provider docs: refund page)."""
    return replace(call, headers={**call.headers, "authorization": f"Bearer {credentials['token']}"})


def _segment(text: str) -> str:
    return quote(text, safe="")


CLIENT: Final = Client(
    send=send,
    read=read,
    look=look,
    rung=1,
    processing=PROCESSING,
    list_lag=LIST_LAG,
    capabilities=capabilities,
    credentials=("token",),
    authorize=authorize,
)
