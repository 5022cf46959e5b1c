"""Looking: what became of a refund that was sent, by Mangopay's id of it, by our key, and at last by counting.

A key that says nothing, and a refund that is missing from a list, prove nothing by themselves.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace

from moneyback.core.commands import Observation
from moneyback.core.refund import Event, Grade, Refund, State
from moneyback.dialect import AnswerLost, Call, Looked, Looking, NotConnected, Reply, Sending
from moneyback.dialects.mangopay import received
from moneyback.dialects.mangopay.asking import (
    Headers,
    ask_given,
    ask_paid,
    get,
    is_open,
    left_of,
    place_of,
    sightings,
    unreadable,
)
from moneyback.dialects.mangopay.meanings import STATUSES
from moneyback.dialects.mangopay.received import Paid, Shown
from moneyback.dialects.mangopay.sending import answered, goes_by_payout, key_of, of_attempt, told
from moneyback.dialects.mangopay.session import sign_in

PROCESSING: Final = timedelta(minutes=5)
"""How long a call may be worked on, with room for two clocks that differ. Mangopay publishes no figure."""
KEY_WINDOW: Final = timedelta(hours=23)
"""How long a key certainly is remembered: its 24 hours (provider docs: idempotency), and an hour to spare. A key that
is forgotten is answered for as one that never came."""


def look(sending: Sending, pre_read: Mapping[str, Any]) -> Looking:
    """What became of a refund: by Mangopay's id of it, by our key, and once the key may be forgotten, by counting."""
    try:
        headers = yield from sign_in()
        if sending.refund.provider_id is not None:
            return (yield from _look_by_id(sending, sending.refund.provider_id, headers))
        found, silent_at = yield from _look_by_key(sending, headers)
        if found:
            return Looked(observations=found)
        paid = yield from ask_paid(sending.payment, headers)
        given = yield from ask_given(place_of(sending.payment), paid, headers)
    except (NotConnected, AnswerLost) as error:
        return Looked(shown=unreadable(error))
    if given is None:
        return Looked(sightings=tuple(sightings(paid)), shown={"key_unknown_at": _written(silent_at)})
    found = _by_counter(sending, pre_read, paid, given)
    if not found and _proves_not_sent(sending, silent_at) and not _candidates(sending, pre_read, given):
        found = (of_attempt(sending, Event.KEY_UNKNOWN, data={"as_of": f"{silent_at}"}),)
    shown = _compared(pre_read, paid, given, silent_at)
    return Looked(observations=found, sightings=tuple(sightings(paid)), shown=shown)


def _look_by_id(sending: Sending, number: str, headers: Headers) -> Looking:
    place = "payouts" if goes_by_payout(sending.refund) else "refunds"
    reply = yield get(headers, place, number)
    shown = received.refund(reply)
    if shown is None or shown.id != number or not shown.is_of(sending.payment) or shown.status not in STATUSES:
        return Looked(shown={"unanswered": f"Mangopay did not show the refund {number}"})
    return Looked(observations=(told(shown),))


def _look_by_key(
    sending: Sending, headers: Headers
) -> Generator[Call, Reply, tuple[tuple[Observation, ...], datetime | None]]:
    """What was answered under our key; else when Mangopay said, by its own clock, that it knows of no such key."""
    reply = yield get(headers, "responses", key_of(sending))
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
    seen = answered(sending, stored)
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
    sending: Sending, pre_read: Mapping[str, Any], paid: Paid, given: tuple[Shown, ...]
) -> tuple[Observation, ...]:
    """Behind the fence: one new refund of exactly our amounts, and a remainder that fell by exactly as much."""
    left_before, new = pre_read.get("left"), _new(pre_read, given)
    if left_before is None or new is None or len(new) != 1 or not _has_our_amounts(sending.refund, new[0]):
        return ()
    is_ours = new[0].status in ("SUCCEEDED", "CREATED") and left_before - left_of(paid, given) == sending.refund.payer
    return (told(new[0], Grade.COUNTER),) if is_ours else ()


def _candidates(sending: Sending, pre_read: Mapping[str, Any], given: tuple[Shown, ...]) -> list[Shown]:
    """Refunds that may be ours: while there is one, nothing proves that ours was not made."""
    refund, new = sending.refund, _new(pre_read, given)
    if new is None:  # nothing was read before sending: whatever is not older than the refund, two clocks considered
        ages = [(received.moment(each.creation_date), each) for each in given]
        new = [each for at, each in ages if at is None or at >= refund.created_at - PROCESSING]
    return [each for each in new if is_open(each) and _has_our_amounts(refund, each)]


def _has_our_amounts(refund: Refund, shown: Shown) -> bool:
    amounts = (shown.debited_funds.amount, shown.fees.amount, shown.credited_funds.amount)
    return amounts == (refund.wallet, -refund.fee_return, refund.payer)


def _new(pre_read: Mapping[str, Any], given: tuple[Shown, ...]) -> list[Shown] | None:
    """The refunds that were not there before this attempt; None when it is not known what was."""
    before = pre_read.get("refund_ids")
    return None if before is None else [each for each in given if each.id not in before]


def _compared(
    pre_read: Mapping[str, Any], paid: Paid, given: tuple[Shown, ...], silent_at: datetime | None
) -> dict[str, Any]:
    """Before and now, side by side: figures for a person, evidence of nothing."""
    new = _new(pre_read, given)
    return {
        "left": left_of(paid, given),
        "left_before": pre_read.get("left"),
        "key_unknown_at": _written(silent_at),
        "refunds": len(given),
        "new_refunds": [
            {"id": each.id, "amount": each.credited_funds.amount, "status": each.status} for each in new or ()
        ],
    }


def _written(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
