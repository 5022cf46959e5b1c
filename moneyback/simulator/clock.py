"""The two times of a simulated world: real time is the loop's, business time is that plus what it was moved ahead."""

from __future__ import annotations

from datetime import datetime, timedelta

from moneyback.core.commands import Now
from moneyback.simulator.loop import SimLoop


class SimClock:
    """What a database would tell of time. Business time only moves forward."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.ahead = timedelta(0)

    def now(self) -> Now:
        """Both times."""
        real = self._loop.now()
        return Now(business=real + self.ahead, real=real)

    @property
    def business(self) -> datetime:
        """Business time alone."""
        return self._loop.now() + self.ahead

    def advance(self, by: timedelta) -> None:
        """Move business time forward."""
        assert by >= timedelta(0), "business time only moves forward"
        self.ahead += by
