"""A breaker stops sending over a rail whose provider takes nothing; it never stops looking."""

from __future__ import annotations

from typing import Final

PAUSE_S_FIRST: Final = 1.0
PAUSE_S_MAX: Final = 60.0


class Breaker:
    """Open for a while after a refund that was not taken, twice as long each time; one that was taken closes it."""

    def __init__(self) -> None:
        self._failures = 0
        self._open_until = 0.0

    def is_open(self, now: float) -> bool:
        """Whether nothing may be sent at `now` (loop time, seconds)."""
        return now < self._open_until

    def not_taken(self, now: float) -> None:
        """The provider did not take a refund, or could not be reached.

        Those that were under way when it opened say nothing new: many at once are one failure.
        """
        if self.is_open(now):
            return
        self._open_until = now + min(PAUSE_S_FIRST * 2.0**self._failures, PAUSE_S_MAX)
        self._failures = min(self._failures + 1, 16)

    def taken(self) -> None:
        """The provider judged a refund, whatever it said."""
        self._failures, self._open_until = 0, 0.0
