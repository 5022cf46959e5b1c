"""A breaker stops sending over a rail whose provider takes nothing, or answers nothing; it never stops looking."""

from __future__ import annotations

from typing import Final

PAUSE_S_FIRST: Final = 1.0
PAUSE_S_MAX: Final = 60.0
LOST_MAX: Final = 5
"""Sends in a row without any answer: each of them is a doubt, and the next one would be one more."""


class Breaker:
    """Open for a while after a refund that was not taken, twice as long each time; one that was judged closes it."""

    def __init__(self) -> None:
        self._failures = 0
        self._lost = 0
        self._open_until = 0.0
        self.why: str | None = None
        """Why nothing is, or for a trial only a little is, sent; None while the rail works."""

    def is_open(self, now: float) -> bool:
        """Whether nothing may be sent at `now` (loop time, seconds)."""
        return now < self._open_until

    def not_taken(self, now: float, why: str = "the provider does not take refunds") -> bool:
        """The provider said that it did not take a refund. True when that opens a breaker that was closed.

        Those that were under way when it opened say nothing new: many at once are one failure.
        """
        self._lost = 0
        return self._open(now, why)

    def unreached(self, now: float, why: str = "the provider cannot be reached") -> bool:
        """The connection failed before the first byte. True when that opens a breaker that was closed."""
        return self._open(now, why)

    def lost(self, now: float, why: str = "the provider does not answer") -> bool:
        """A refund was sent and no answer came. True when that opens a breaker that was closed."""
        self._lost += 1
        return self._lost >= LOST_MAX and self._open(now, why)

    def taken(self) -> bool:
        """The provider judged a refund, whatever it said. True when that closes the breaker."""
        was_open = self.why is not None
        self._failures, self._lost, self._open_until, self.why = 0, 0, 0.0, None
        return was_open

    def _open(self, now: float, why: str) -> bool:
        if self.is_open(now):
            return False
        self._open_until = now + min(PAUSE_S_FIRST * 2.0**self._failures, PAUSE_S_MAX)
        self._failures = min(self._failures + 1, 16)
        was_closed, self.why = self.why is None, why
        return was_closed
