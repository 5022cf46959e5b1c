"""The query of a list: paging, order, and filters by text, number, money and time, each under its documented name.

A filter that is not known, or that would ask for something that is not kept here, is an error: ignored, it would show
too much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from moneyback.core.money import BadAmount
from moneyback.dialects.trustly.pages import COUNT, COUNT_MAX
from moneyback.dialects.trustly.server import BadParameter, in_words
from moneyback.dialects.trustly.wire import amount_written

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS_MAX: Final = 15
_ORDERS: Final = ("createdAt", "updatedAt")
_DIRECTIONS: Final = ("asc", "desc")
_SWITCHES: Final = ("true", "false")


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The filters of one list: what each is held against in a row of it."""

    texts: Mapping[str, Callable[[Any], str | None]]
    numbers: Mapping[str, Callable[[Any], int]]  # may be repeated: any of the numbers will do
    switches: Mapping[str, Callable[[Any], bool]]
    money: Mapping[str, Callable[[Any], Decimal]]  # with .min and .max
    times: Mapping[str, Callable[[Any], datetime | None]]  # with .start and .end; None has not happened
    ignored: tuple[str, ...] = ()  # that mean nothing here


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asked of a list, its shape checked. Both ends of a span belong to it."""

    texts: Mapping[str, str] = {}
    numbers: Mapping[str, tuple[int, ...]] = {}
    switches: Mapping[str, bool] = {}
    money: Mapping[str, Decimal] = {}
    times: Mapping[str, datetime] = {}
    order: str = "createdAt"
    direction: str = "desc"
    start: int = 0
    count: int = COUNT

    @property
    def ascending(self) -> bool:
        """Oldest first."""
        return self.direction == "asc"

    @property
    def created(self) -> tuple[datetime | None, datetime | None]:
        """The span of creation, which the engine's own lists know."""
        return self.times.get("createdAt.start"), self.times.get("createdAt.end")

    @property
    def plain(self) -> bool:
        """Whether nothing but a span of creation is asked for."""
        return not self.numbers and self.of_types

    @property
    def of_types(self) -> bool:
        """Whether nothing but types of transactions and a span of creation is asked for."""
        others = set(self.times) - {"createdAt.start", "createdAt.end"}
        return set(self.numbers) <= {"transactionType"} and not (self.texts or self.switches or self.money or others)


def parse(query: Iterable[tuple[str, str]], known: Known) -> Query:
    """The filters, or BadParameter."""
    read: dict[str, Any] = {"texts": {}, "numbers": {}, "switches": {}, "money": {}, "times": {}}
    for name, text in query:
        place, _, end = name.rpartition(".")
        if name in known.texts:
            read["texts"][name] = text
        elif name in known.numbers:
            read["numbers"][name] = (*read["numbers"].get(name, ()), number(name, text))
        elif name in known.switches:
            read["switches"][name] = one_of(name, text, _SWITCHES) == "true"
        elif place in known.money and end in ("min", "max"):
            read["money"][name] = _money(name, text)
        elif place in known.times and end in ("start", "end"):
            read["times"][name] = _moment(name, text)
        elif name not in known.ignored:
            read |= _paging(name, text)
    return Query(**read)


def _paging(name: str, text: str) -> dict[str, Any]:
    match name:
        case "orderBy":
            return {"order": one_of(name, text, _ORDERS)}
        case "sortOrder":
            return {"direction": one_of(name, text, _DIRECTIONS)}
        case "startIndex":
            return {"start": number(name, text)}
        case "count":
            return {"count": min(number(name, text), COUNT_MAX)}
        case _:
            raise BadParameter(f"Parameter {name} is not supported here")


def number(name: str, text: str) -> int:
    """A number of at most fifteen digits. Raises BadParameter."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX):
        raise BadParameter(f"Parameter {name} must be a number")
    return int(text)


def one_of(name: str, text: str, choices: tuple[str, ...]) -> str:
    """One of a few words. Raises BadParameter."""
    if text not in choices:
        raise BadParameter(f"Parameter {name} must be one of {', '.join(choices)}")
    return text


def _moment(name: str, text: str) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=number(name, text))
    except OverflowError:
        raise BadParameter(f"Parameter {name} is too large") from None


def _money(name: str, text: str) -> Decimal:
    try:
        return Decimal(amount_written(text))
    except BadAmount as bad:
        raise BadParameter(f"Parameter {name}: {in_words(bad)}") from None


def matches(query: Query, known: Known, row: Any) -> bool:
    """Whether a row is what all filters ask for."""
    return (
        all(known.texts[name](row) == text for name, text in query.texts.items())
        and all(known.numbers[name](row) in wanted for name, wanted in query.numbers.items())
        and all(known.switches[name](row) is wanted for name, wanted in query.switches.items())
        and all(_bounded(name, known.money, row, bound) for name, bound in query.money.items())
        and all(_bounded(name, known.times, row, bound) for name, bound in query.times.items())
    )


def _bounded(name: str, known: Mapping[str, Callable[[Any], Any]], row: Any, bound: Any) -> bool:
    place, _, end = name.rpartition(".")
    value = known[place](row)
    if value is None:
        return False
    return bool(value >= bound if end in ("min", "start") else value <= bound)
