"""What may go wrong in a run, and how often. Each seed draws its own mixture: some faults often, some never.

Mixtures find more than one even rate of everything: a run in which nothing but commits is lost goes deeper into lost
commits than one in which every third thing breaks.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

import msgspec

from moneyback.simulator.providers.model import Temper

RARE: Final = (0.0, 0.0, 0.01, 0.04)
"""The same for what a process does not survive."""
RATES: Final = (0.0, 0.0, 0.02, 0.08, 0.25)
"""What a fault's rate is drawn from: two in five of a seed's faults do not occur in it at all."""
EVERY_S: Final = (None, None, 120.0, 45.0, 20.0)
"""The same for what befalls whole processes: the mean time between two of them."""
HABITS: Final = 4
"""How many habits a provider has at most."""


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Rates between 0 and 1, a call or a commit each; `every` means mean real seconds between two. None: never."""

    # the network between a process and the bank, and the bank's door
    unconnected: float = 0.0  # the connection is refused: no byte leaves
    not_taken: float = 0.0  # the bank's own "not now"
    vanished: float = 0.0  # the call never arrives
    broken: float = 0.0  # an error in place of the call: it never arrives either
    unanswered: float = 0.0  # executed; the answer never arrives
    error_after: float = 0.0  # executed; an error arrives in place of the answer
    doubled: float = 0.0  # the call arrives twice (at banks that know a key again)
    slow: float = 0.0  # underway for longer than anybody waits
    # the bank's notices
    notices_late: float = 0.0
    notices_again: float = 0.0
    # the database
    commit_lost: float = 0.0  # committed, or rolled back; the answer never arrives
    commit_refused: float = 0.0  # the connection breaks inside a transaction
    database_away_every: float | None = None
    # whole processes, at the worst moments: inside a transaction, just after it, before a call and after its answer
    killed: float = 0.0
    frozen: float = 0.0  # for longer than deadlines and leases at times
    # whole processes, at any moment
    crash_every: float | None = None
    pause_every: float | None = None
    jump_every: float | None = None  # business time leaps ahead
    forged_every: float | None = None  # notifications from nobody


PAUSES_S: Final = (1.0, 20.0, 35.0, 70.0, 130.0)
"""How long a process stands still: within a deadline, beyond it, beyond a lease, beyond a horizon."""
CALM: Final = Faults()


def draw_faults(random: Random) -> Faults:
    """A seed's mixture."""
    drawn: dict[str, Any] = {name: random.choice(_range(name)) for name in Faults.__struct_fields__}
    return Faults(**drawn)


def draw_temper(random: Random) -> Temper:
    """How a provider is in this run."""
    return Temper(
        pending=random.choice(RATES),
        fails=random.choice(RATES[:-1]),
        bounces=random.choice(RATES),
        unsure=random.choice(RATES),
        lags=random.choice(RATES),
        strict=random.random() < 0.5,
        habits=tuple(random.random() < 0.5 for _ in range(HABITS)),
    )


def _range(fault: str) -> tuple[float | None, ...]:
    if fault in ("killed", "frozen"):
        return RARE
    return EVERY_S if fault.endswith("_every") else RATES


def exponential(random: Random, mean: float, most: float) -> float:
    """A waiting time in seconds: short mostly, long at times, never beyond `most`."""
    return min(most, random.expovariate(1.0 / mean))
