"""The story of a run: what happened, when, in which process. It is kept as it happens and written out only when asked.

Ids are drawn at random, so a story calls payments P1, P2 … and refunds R1, R2 … in the order in which they appear.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID

_HEX_IDS: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Line(NamedTuple):
    """One thing that happened."""

    time_s: float  # since the start of the run
    who: str
    what: str
    figures: tuple[tuple[str, object], ...]


class Story:
    """The lines of one run, oldest first. `time` and `who` tell where the simulation is; memory is all it costs."""

    def __init__(self, time: Callable[[], float], who: Callable[[], str]) -> None:
        self._time = time
        self._who = who
        self._lines: list[Line] = []
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def tell(self, what: str, **figures: object) -> None:
        """Add a line about whoever is running now."""
        self._lines.append(Line(self._time(), self._who(), what, tuple(figures.items())))

    def name(self, letter: str, id: UUID) -> str:
        """The short name of something; one is given when it has none."""
        known = self._names.get(id.hex)
        if known is None:
            self._counts[letter] = number = self._counts.get(letter, 0) + 1
            known = self._names[id.hex] = f"{letter}{number}"
        return known

    def text(self) -> str:
        """The timeline: seconds, process, what happened and with which figures."""
        return "".join(f"{self._written(each)}\n" for each in self._lines)

    def _written(self, line: Line) -> str:
        figures = " ".join(f"{name}={self._plain(value)}" for name, value in line.figures)
        return f"{line.time_s:12.6f}  {line.who:<10}  {line.what:<28}  {figures}".rstrip()

    def _plain(self, value: object) -> str:
        """Known ids by their names, in whatever text they stand."""
        text = value.hex if isinstance(value, UUID) else str(value)
        return _HEX_IDS.sub(lambda found: self._names.get(found[0].replace("-", ""), found[0]), text)
