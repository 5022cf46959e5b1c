"""The one place that reads this machine's clock. Everything else is handed its time."""

from __future__ import annotations

import time
from datetime import timedelta

from moneyback.core.commands import Now


class RunningClock:
    """Both times as the database last told them, carried on by the machine's steady clock between two tellings."""

    def __init__(self) -> None:
        self._told: Now | None = None
        self._at = 0.0

    def hear(self, now: Now) -> None:
        """The database said what time it is."""
        self._told, self._at = now, time.monotonic()

    def now(self) -> Now:
        """Both times. Something has been heard by then: whoever asks has just committed or claimed."""
        assert self._told is not None, "nobody has asked the database for the time yet"
        passed = timedelta(seconds=time.monotonic() - self._at)
        return Now(business=self._told.business + passed, real=self._told.real + passed)
