"""The rate-limit headers, which every reply carries. No limit is enforced, so nothing is counted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from moneyback.dialect import Outgoing

WINDOWS: Final[Mapping[int, int]] = MappingProxyType({900: 2300, 1800: 4500, 3600: 8800, 86_400: 105_600})
"""Calls a client may make in so many seconds (provider docs: rate limits)."""


def limited(said: Outgoing, at: datetime) -> Outgoing:
    """The answer with its rate-limit headers.

    Every window shows this one call, and begins with it.
    """
    return replace(said, headers={**_limits(int(at.timestamp())), **said.headers})


def _limits(at: int) -> dict[str, str]:
    """Four lines a header, one a window: some clients read each line as one integer, others the lines joined by commas.

    A mapping has one value a name, and names are compared without case: four spellings make four lines.
    """
    found: dict[str, str] = {}
    for number, (seconds, most) in enumerate(WINDOWS.items()):
        for part, value in (("", 1), ("-Remaining", most - 1), ("-Reset", at + seconds)):
            found[_spelt(f"X-RateLimit{part}", number)] = str(value)
    return found


def _spelt(name: str, number: int) -> str:
    """One of four ways to write the same name."""
    first, second = (name[0], name[0].lower()), (name[2:6], name[2:6].lower())
    return f"{first[number % 2]}-{second[number // 2]}{name[6:]}"
