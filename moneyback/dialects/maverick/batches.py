"""Settlement of the sandbox: what is captured on a day goes into that day's batch, which closes at midnight UTC.

Told from the time of a capture and the time now, so nothing has to run for it and a moved clock settles at once. The
provider publishes neither when it settles nor how batches are numbered.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from typing import Any, Final

from moneyback.dialects.maverick.wire import stamp

UNSETTLED: Final[Mapping[str, Any]] = MappingProxyType({"id": None, "number": None, "batchedOn": None})
_NUMBERS: Final = 1000
"""Batch numbers start anew after so many, as terminals count them."""


def batch_of(captured_at: datetime, now: datetime) -> Mapping[str, Any]:
    """The `batch` of what was captured then, as it stands now."""
    day = captured_at.astimezone(UTC).date()
    closed = datetime.combine(day, time(), UTC) + timedelta(days=1)
    if now < closed:
        return UNSETTLED
    return {"id": day.toordinal(), "number": day.toordinal() % _NUMBERS, "batchedOn": stamp(closed)}
