"""Letting go of a hold at CHIP. It moves no money, names no amount, and is never sent again into doubt."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from moneyback.core.commands import Observation
from moneyback.core.refund import Event
from moneyback.dialect import AnswerLost, Call, NotConnected, Reply, Sending, Sent
from moneyback.dialects.chip.received import Purchase, problems, purchase
from moneyback.dialects.chip.wire import Status, purchase_path

ANSWERS: Final[Mapping[tuple[int, str | None], Event]] = MappingProxyType(
    {
        (200, "released"): Event.EXECUTED,
        (200, "pending_release"): Event.ACCEPTED,
        (400, "purchase_release_wrong_status"): Event.REFUSED,
        (400, "purchase_release_error"): Event.LOST,  # the acquirer's word, which may be that it did not hear in time
        (401, None): Event.NOT_TAKEN,
        (403, None): Event.NOT_TAKEN,
        (404, "not_found"): Event.REFUSED,
        (405, None): Event.NOT_TAKEN,
        (422, None): Event.REFUSED,
        (429, None): Event.NOT_TAKEN,
        (409, None): Event.LOST,
    }
)
"""Every documented answer to a release, by HTTP status and the Purchase's status or the error's code, None for whatever
code (provider docs: release page, errors page). All that is not here is LOST."""


def release(sending: Sending) -> Sent:
    """One call, and what came of it. CHIP answers with the Purchase, in `released` or in `pending_release`."""
    try:
        reply = yield Call(
            method="POST",
            path=f"{purchase_path(sending.payment.reference)}release/",
            headers={"accept": "application/json", "idempotency-key": sending.key},
        )
    except NotConnected:
        return (_seen(sending, Event.SEND_FAILED),)
    except AnswerLost:
        return (_seen(sending, Event.LOST),)
    return (_answered(sending, reply),)


def _answered(sending: Sending, reply: Reply) -> Observation:
    word = _status(sending, reply)
    if word is not None:
        return _seen(sending, ANSWERS.get((200, word), Event.LOST), data={"status": word})
    found = problems(reply.body)
    events = {ANSWERS.get((reply.status, each.code)) or ANSWERS.get((reply.status, None)) for each in found}
    event = events.pop() if len(events) == 1 and reply.status != 200 else None
    first = found[0] if found else None
    return _seen(
        sending,
        event or Event.LOST,
        failure="invalid" if event is Event.REFUSED else None,
        code=first.code or None if first is not None else None,
        message=first.message or None if first is not None else None,
        data={"status": reply.status, "codes": [each.code for each in found]},
    )


def _status(sending: Sending, reply: Reply) -> str | None:
    """The status of the Purchase of an answer, if it is the one that was asked about."""
    shown: Purchase | None = purchase(reply.body) if reply.status == 200 else None
    if shown is None or shown.id != sending.payment.reference:
        return None
    return shown.status if shown.status in list(Status) else None


def _seen(sending: Sending, event: Event, **members: Any) -> Observation:
    return Observation(event=event, digest=f"{sending.mark}:{event.value}", **members)
