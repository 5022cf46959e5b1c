"""Many seeds, over several processes, and what came of them all.

Which process plays a seed makes no difference to it: a seed is one history wherever it is played.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final

import msgspec

from moneyback.simulator.run import Outcome, run

RULE: Final = "-" * 72
PIECE: Final = 8
"""Seeds that a process is handed at once."""


class Totals(msgspec.Struct):
    """What a campaign added up to. Times are seconds; `violations` are kept with their stories."""

    seeds: int = 0
    refunds: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    real_s: float = 0.0
    violations: tuple[Outcome, ...] = ()

    @property
    def seeds_per_s(self) -> float:
        """How fast it was, over all its processes."""
        return self.seeds / self.real_s if self.real_s else 0.0

    def __str__(self) -> str:
        """One line for a person."""
        found = f"{len(self.violations)} violations" if self.violations else "no violation"
        return (
            f"{self.seeds} seeds, {self.refunds} refunds, {self.steps} steps, "
            f"{self.virtual_s / 3600:.1f} virtual hours in {self.real_s:.1f} s: {self.seeds_per_s:.1f} seeds/s, {found}"
        )

    def document(self) -> dict[str, Any]:
        """The same for a program, without the stories."""
        return {
            "seeds": self.seeds,
            "refunds": self.refunds,
            "steps": self.steps,
            "virtual_s": round(self.virtual_s, 3),
            "real_s": round(self.real_s, 3),
            "seeds_per_s": round(self.seeds_per_s, 1),
            "violations": [{"seed": each.seed, "violation": each.violation} for each in self.violations],
        }


def campaign(
    first: int,
    seeds: int,
    *,
    jobs: int = 1,
    until_violation: bool = False,
    providers: Sequence[str] | None = None,
) -> Iterator[tuple[Outcome, Totals]]:
    """Play `seeds` seeds from `first` on; each outcome with the totals so far, in the order of the seeds.

    `jobs` processes play them; one is this process itself. `providers`: see `run`.
    """
    totals, began = Totals(), time.perf_counter()
    for outcome in _played(range(first, first + seeds), jobs, providers):
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


def _played(seeds: range, jobs: int, providers: Sequence[str] | None) -> Iterator[Outcome]:
    if jobs <= 1:
        yield from (run(seed, providers=providers) for seed in seeds)
        return
    # No fork: what a process inherits from a parent with threads may be locked for ever.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        pieces = [seeds[start : start + PIECE] for start in range(0, len(seeds), PIECE)]
        waiting = iter(pieces)
        running = [pool.submit(play, piece, providers) for piece in islice(waiting, 2 * jobs)]
        while running:
            yield from running.pop(0).result()
            running += [pool.submit(play, piece, providers) for piece in islice(waiting, 1)]
    finally:
        pool.shutdown(cancel_futures=True)


def play(seeds: Sequence[int], providers: Sequence[str] | None) -> list[Outcome]:
    """Some seeds, one after the other."""
    return [run(seed, providers=providers) for seed in seeds]


def cores() -> int:
    """How many processes this machine has room for."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def simulate(first: int, seeds: int, write: Callable[[str], object], **how: Any) -> bool:
    """Play seeds, write each broken promise with its story, then the totals. True: every promise was kept."""
    totals = Totals()
    for outcome, totals in campaign(first, seeds, **how):  # noqa: B007
        if not outcome.ok:
            write(told(outcome))
    write(f"{totals}\n")
    return not totals.violations


def told(outcome: Outcome) -> str:
    """A run as text: its story, then how it ended."""
    ending = "every promise was kept" if outcome.ok else f"VIOLATION: {outcome.violation}"
    figures = f"{outcome.refunds} refunds, {outcome.steps} steps, {outcome.virtual_s:.0f} virtual seconds"
    return f"{RULE}\nseed {outcome.seed}\n{outcome.story}{RULE}\nseed {outcome.seed}: {ending} ({figures})\n"
