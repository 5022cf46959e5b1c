"""Many seeds, one after the other, and what came of them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from moneyback.simulator.run import Outcome, run

RULE: Final = "-" * 72


class Totals(msgspec.Struct):
    """What a campaign added up to."""

    seeds: int = 0
    refunds: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    real_s: float = 0.0
    violations: tuple[Outcome, ...] = ()

    def __str__(self) -> str:
        """One line for a person."""
        rate = self.seeds / self.real_s if self.real_s else 0.0
        found = f"{len(self.violations)} violations" if self.violations else "no violation"
        return (
            f"{self.seeds} seeds, {self.refunds} refunds, {self.steps} steps, "
            f"{self.virtual_s / 3600:.1f} virtual hours in {self.real_s:.1f} s: {rate:.1f} seeds/s, {found}"
        )


def campaign(first: int, seeds: int, *, until_violation: bool = False) -> Iterator[tuple[Outcome, Totals]]:
    """Play `seeds` seeds from `first` on; each outcome with the totals so far."""
    totals, began = Totals(), time.perf_counter()
    for seed in range(first, first + seeds):
        outcome = run(seed)
        totals.seeds += 1
        totals.refunds += outcome.refunds
        totals.steps += outcome.steps
        totals.virtual_s += outcome.virtual_s
        totals.real_s = time.perf_counter() - began
        if not outcome.ok:
            totals.violations = (*totals.violations, outcome)
        yield outcome, totals
        if until_violation and not outcome.ok:
            return


def simulate(first: int, seeds: int, write: Callable[[str], object], *, until_violation: bool = False) -> bool:
    """Play seeds, write each broken promise with its story, then the totals. True: every promise was kept."""
    totals = Totals()
    for outcome, totals in campaign(first, seeds, until_violation=until_violation):  # noqa: B007
        if not outcome.ok:
            write(told(outcome))
    write(f"{totals}\n")
    return not totals.violations


def told(outcome: Outcome) -> str:
    """A run as text: its story, then how it ended."""
    ending = "every promise was kept" if outcome.ok else f"VIOLATION: {outcome.violation}"
    figures = f"{outcome.refunds} refunds, {outcome.steps} steps, {outcome.virtual_s:.0f} virtual seconds"
    return f"{RULE}\nseed {outcome.seed}\n{outcome.story}{RULE}\nseed {outcome.seed}: {ending} ({figures})\n"
