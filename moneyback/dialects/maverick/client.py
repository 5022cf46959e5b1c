"""Maverick as we call it: how its refunds are looked for when an answer was lost, and the declaration of the connector.

Conversations only; the network and the credentials are not here. Maverick has no keys and echoes no mark of a refund:
an original only lists its children, so doubt is settled by counting, behind the fence. A refund that is not listed, and
a sum that stands still, prove nothing; they are figures for a person.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Any, Final

from msgspec.structs import replace

from moneyback.core.commands import Observation
from moneyback.core.payment import Capabilities, Payment
from moneyback.core.refund import Event, Grade
from moneyback.dialect import AnswerLost, Call, Client, Looked, Looking, NotConnected, Reply, Sending
from moneyback.dialects.maverick import received
from moneyback.dialects.maverick.answers import event_of
from moneyback.dialects.maverick.listing import LIST_LAG, list_refunds
from moneyback.dialects.maverick.news import SECRET, hear
from moneyback.dialects.maverick.reading import fetch, is_refund_of, left_of, original_of, read, record_call, returns_of
from moneyback.dialects.maverick.received import Record
from moneyback.dialects.maverick.sending import release, send, told
from moneyback.dialects.maverick.wire import CURRENCY

PROCESSING: Final = timedelta(minutes=5)
"""How long a call may be worked on. Maverick publishes no figure."""

# --- looking ---------------------------------------------------------------------------------------------------------


def look(sending: Sending, pre_read: Mapping[str, Any]) -> Looking:
    """What became of a refund: by Maverick's id of it, else by counting what its original lists."""
    payment = sending.payment
    try:
        known = yield from _ask_known(sending)
        if known is not None:
            return Looked(observations=(known,))
        original = original_of(payment.reference, (yield record_call(payment.reference)))
        returns = yield from returns_of(original, payment.currency)
    except (NotConnected, AnswerLost) as error:
        return Looked(shown={"unanswered": f"{error}" or type(error).__name__})
    left = left_of(payment.captured, returns, payment.currency)
    return Looked(
        observations=_by_counter(sending, pre_read, returns, left),
        shown=_compared(pre_read, original, returns, left),
    )


def _ask_known(sending: Sending) -> Generator[Call, Reply, Observation | None]:
    """What the record says whose id we were given. "Later" was said to a call; of its record it means never."""
    number = sending.refund.provider_id
    if number is None:
        return None
    shown = received.record((yield record_call(number)))
    if shown is None or shown.number != number or not is_refund_of(sending.payment.reference, shown):
        return None
    event = event_of(shown)
    if event is Event.LOST:
        return None
    return told(sending, shown, Event.REFUSED if event is Event.NOT_TAKEN else event)


def _by_counter(
    sending: Sending, pre_read: Mapping[str, Any], returns: tuple[Record, ...], left: int
) -> tuple[Observation, ...]:
    """Behind the fence: one new refund of exactly our amount, and a remainder that fell by exactly as much.

    Those that were declined moved nothing and are left out, as is one whose number was in an answer to our call.
    """
    left_before, new = pre_read.get("left"), _new(pre_read, returns)
    alive = [each for each in new or () if _may_have_moved(sending, each)]
    if left_before is None or len(alive) != 1:
        return ()
    only, payer = alive[0], sending.refund.payer
    event = event_of(only)
    if received.amount(only.amount, sending.refund.currency) != payer or left_before - left != payer:
        return ()
    return (told(sending, only, event, Grade.COUNTER),) if event in (Event.EXECUTED, Event.ACCEPTED) else ()


def _may_have_moved(sending: Sending, shown: Record) -> bool:
    return shown.number != sending.refund.provider_id and event_of(shown) not in (Event.REFUSED, Event.NOT_TAKEN)


def _new(pre_read: Mapping[str, Any], returns: tuple[Record, ...]) -> list[Record] | None:
    """The refunds that were not there before this attempt; None when it is not known what was."""
    before = pre_read.get("refund_ids")
    return None if before is None else [each for each in returns if each.number not in before]


def _compared(pre_read: Mapping[str, Any], original: Record, returns: tuple[Record, ...], left: int) -> dict[str, Any]:
    """Before and now, side by side: figures for a person, evidence of nothing."""
    return {
        "left": left,
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


CLIENT: Final = Client(
    send=send,
    read=read,
    look=look,
    rung=1,
    processing=PROCESSING,
    list_lag=LIST_LAG,
    capabilities=capabilities,
    credentials=("token",),
    optional=(SECRET,),
    authorize=authorize,
    release=release,
    fetch=fetch,
    list_refunds=list_refunds,
    hear=hear,
)
