"""The figures to beat, and how they are shown: a table for people, JSON for comparing two days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import mean
from typing import Any, Final, Literal

import msgspec


class Target(msgspec.Struct, frozen=True):
    """What a figure must reach, and what it should. A figure without bounds is there for whoever profiles."""

    text: str
    must: float | None = None
    aim: float | None = None
    unit: str = ""
    at_most: bool = False

    def verdict(self, value: float) -> Literal["aim", "must", "missed", ""]:
        """How far the value gets."""
        if self.must is None or self.aim is None:
            return ""
        if self._reaches(value, self.aim):
            return "aim"
        return "must" if self._reaches(value, self.must) else "missed"

    def _reaches(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


TARGETS: Final = {
    "admitted": Target("refunds admitted over HTTP ÷ pgbench", 1.0, 1.5),
    "whole-life": Target("refunds' whole life over HTTP ÷ pgbench", 0.5, 0.8),
    "hot-1": Target("one hot payment ÷ spread, 1 process", 0.8, 1.0),
    "hot-4": Target("one hot payment ÷ spread, 4 processes", 0.4, 0.5),
    "memory": Target("resident memory of one API process, at its peak", 200, 120, "MB", at_most=True),
    "start": Target("`moneyback sandbox` from start to ready, second start", 4, 2, "s", at_most=True),
    "store": Target("admissions of the store alone, in one process ÷ pgbench"),
}


class Figure(msgspec.Struct, frozen=True):
    """One measured figure: the mean of its rounds, and what it was made of."""

    name: str
    rounds: tuple[float, ...]
    detail: str = ""

    @property
    def value(self) -> float:
        """What counts."""
        return mean(self.rounds)

    @property
    def target(self) -> Target:
        """What it is held against."""
        return TARGETS[self.name]

    def as_json(self) -> dict[str, Any]:
        """The figure with its bounds."""
        target = self.target
        return {
            "figure": self.name,
            "text": target.text,
            "value": round(self.value, 3),
            "rounds": [round(each, 3) for each in self.rounds],
            "unit": target.unit or "ratio",
            "must": target.must,
            "aim": target.aim,
            "better": "lower" if target.at_most else "higher",
            "verdict": self.target.verdict(self.value),
            "detail": self.detail,
        }


def ratios(pgbench: Sequence[float], product: Sequence[float]) -> tuple[float, ...]:
    """Each run of the product by the mean of the pgbench runs before and after it: the machine's moods cancel out.

    There is one pgbench run more than there are product runs.
    """
    around = [mean(pair) for pair in pairwise(pgbench)]
    return tuple(run / beside for run, beside in zip(product, around, strict=True))


def table(figures: Iterable[Figure]) -> str:
    """The figures as text, one a line."""
    head = ("figure", "measured", "rounds", "must", "aim", "")
    lines = [head, *(_line(each) for each in figures)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(_padded(line, widths) for line in lines)


def _line(figure: Figure) -> tuple[str, ...]:
    target, shown = figure.target, _shown
    low, high = min(figure.rounds), max(figure.rounds)
    bounds = ("", "") if target.must is None or target.aim is None else (shown(target.must), shown(target.aim))
    measured = f"{shown(figure.value)} {target.unit}".rstrip()
    return (target.text, measured, f"{shown(low)} to {shown(high)}", *bounds, target.verdict(figure.value))


def _shown(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _padded(line: tuple[str, ...], widths: list[int]) -> str:
    first, *rest = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
    return "  ".join([first, *rest]).rstrip()
