"""SQL by name. Each `.sql` file holds one subject; each statement has a name line and one sentence of purpose."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_PARAMETER = re.compile(r"\$(\d+)")
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def query(name: str) -> str:
    """The statement of that name. Raises KeyError for a name no file has."""
    return all_queries()[name]


@cache
def all_queries() -> dict[str, str]:
    """Every named statement. Raises ValueError when two share a name."""
    found: dict[str, str] = {}
    for file in sorted(files("moneyback.store").joinpath("sql").iterdir(), key=lambda each: each.name):
        if not file.name.endswith(".sql"):
            continue
        for name, text in _statements(file.read_text("utf-8")):
            if name in found:
                raise ValueError(f"two statements are called {name}")
            found[name] = text
    return found


@cache
def together(statements: tuple[str, ...]) -> str:
    """Writes to different rows as one statement, and so one round trip; their parameters follow one another.

    Each sees the rows as they were before all of them.
    """
    parts, taken = list[str](), 0
    for text in statements:
        parts.append(f"write_{len(parts)} as (\n{_renumbered(text, taken)}\n)")
        taken += max(int(number) for number in _PARAMETER.findall(text))
    return f"with {', '.join(parts)}\nselect"


def _renumbered(text: str, by: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + by}", text)


def _statements(text: str) -> list[tuple[str, str]]:
    parts = _NAME.split(text)
    return [(parts[i], parts[i + 1].strip().rstrip(";")) for i in range(1, len(parts), 2)]
