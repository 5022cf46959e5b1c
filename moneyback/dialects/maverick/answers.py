"""What each of Maverick's documented answers means to the engine: records by status and reason, errors by message.

Tables and their reading; nothing is asked here. All that is not documented is LOST.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from moneyback.core.refund import Event
from moneyback.dialect import Reply
from moneyback.dialects.maverick import received
from moneyback.dialects.maverick.received import Record
from moneyback.dialects.maverick.wire import MONEY_BACK, NOT_ALLOWED

T = TypeVar("T")

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
        return event_of(shown)
    problem = received.problem(reply)
    if problem is None:
        return Event.LOST
    said = by_reason(problem.message) if reply.status in _SPEAKING else None
    return said or ANSWERS.get((reply.status, "error"), Event.LOST)


def event_of(shown: Record) -> Event:
    """What a record says of itself; LOST for a status that is not documented, or an error nobody explains."""
    said = by_reason(shown.reason) if shown.word in _JUDGED else None
    return said or ANSWERS.get((200, shown.word), Event.LOST)


def by_reason(reason: str | None) -> Event | None:
    """What a known reason means; None for any other text."""
    return _found(reason, _EVENTS)


def class_of(reason: str | None) -> str | None:
    """The class of the failure a known reason stands for."""
    return _found(reason, _CLASSES)


def _found(reason: str | None, table: Mapping[str, T]) -> T | None:
    """By the published text, also where the explanation is left out that it has in brackets, or was given one."""
    text = _plain(reason or "")
    return table.get(text) or table.get(text.partition(" (")[0])


def _plain(text: str) -> str:
    return text.strip().rstrip(".").lower()


_EVENTS: Final = MappingProxyType({_plain(reason): event for reason, event in REASONS.items()})
_CLASSES: Final = MappingProxyType({_plain(reason): name for reason, name in FAILURES.items()})
