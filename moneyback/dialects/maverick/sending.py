"""Giving money back at Maverick: the refund call, its other use that reverses an authorisation, and what was answered.

The original is read first, for its terminal and for whether it was captured: that alone decides which of the two a call
would be.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import Observation
from moneyback.core.money import proportion_floor
from moneyback.core.refund import Event, Grade
from moneyback.dialect import AnswerLost, Call, NotConnected, Reply, Sending, Sent
from moneyback.dialects.maverick import received
from moneyback.dialects.maverick.answers import by_reason, class_of, meaning
from moneyback.dialects.maverick.reading import HEADERS, is_refund_of, record_call, segment
from moneyback.dialects.maverick.received import Record
from moneyback.dialects.maverick.wire import written

_NAME: Final = "maverick"

# --- a refund --------------------------------------------------------------------------------------------------------


def send(sending: Sending) -> Sent:
    """The original, for its terminal, then the one call that counts; what came of it, as one observation."""
    try:
        reply = yield record_call(sending.payment.reference)
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
    return _back_call(sending, body)


def _back_call(sending: Sending, body: dict[str, Any]) -> Call:
    return Call(
        method="POST",
        path=f"/payment/{segment(sending.payment.reference)}/refund",
        headers={**HEADERS, "content-type": "application/json"},
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


# --- a reversal ------------------------------------------------------------------------------------------------------


def release(sending: Sending) -> Sent:
    """The same call without an amount, once the original was seen with nothing captured: it reverses the authorisation.

    Its answers mean what a refund's do; no amount is told, because no money moves.
    """
    try:
        reply = yield record_call(sending.payment.reference)
    except (NotConnected, AnswerLost) as error:
        return (_of_attempt(sending, Event.SEND_FAILED, message=f"{error}" or None),)
    original = received.record(reply)
    if original is None or original.number != sending.payment.reference or original.terminal.id is None:
        return (_unasked(sending, reply),)
    if original.captured or original.refunded:
        code = "captured" if original.captured else "reversed"
        words = f"Maverick shows the payment as {code}: there is no authorisation to let go."
        return (_of_attempt(sending, Event.REFUSED, failure="invalid", code=code, message=words),)
    try:
        reply = yield _back_call(sending, {"terminal": {"id": original.terminal.id}})
    except NotConnected:
        return (_of_attempt(sending, Event.SEND_FAILED),)
    except AnswerLost:
        return (_of_attempt(sending, Event.LOST),)
    return (replace(_answered(sending, reply), amount=None),)


# --- what was answered -----------------------------------------------------------------------------------------------


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
    if shown is not None and is_refund_of(sending.payment.reference, shown):
        return told(sending, shown, event)
    if shown is not None or problem is None or event is Event.LOST:
        said = problem.message if problem is not None else None
        return _of_attempt(sending, Event.LOST, message=said, data={"status": reply.status})
    known = by_reason(problem.message) is not None
    return _of_attempt(
        sending,
        event,
        failure=(class_of(problem.message) or "invalid") if event is Event.REFUSED else None,
        code=problem.message if known else problem.name,
        message=problem.message,
        data={"status": reply.status},
    )


def _of_attempt(sending: Sending, event: Event, **members: Any) -> Observation:
    """Something that is known of this attempt only; an attempt is sent once, so its mark and the event identify it."""
    return Observation(event=event, digest=f"{sending.mark}:{event.value}", **members)


def told(sending: Sending, shown: Record, event: Event, grade: Grade = Grade.MARK) -> Observation:
    """A refund that is ours, as Maverick shows it. Without a reading that counts, its number is kept all the same."""
    ended_badly = event in (Event.REFUSED, Event.CAME_BACK, Event.NOT_TAKEN)
    return Observation(
        event=event,
        grade=grade,
        amount=received.amount(shown.amount, sending.refund.currency),
        provider_id=None if event is Event.NOT_TAKEN else shown.number,
        occurred_at=None if event is Event.NOT_TAKEN else shown.changed_at,
        digest=f"{shown.number}:{shown.word}:{event.value}",
        failure=(class_of(shown.reason) or "declined") if event is Event.REFUSED else None,
        code=shown.reason if ended_badly else None,
        message=shown.reason if ended_badly else None,
        pending_reason="processing" if event is Event.ACCEPTED else None,
        data={"status": shown.word, "reason": shown.reason},
    )
