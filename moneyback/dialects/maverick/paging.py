"""Pages of a list that has several sources, each ordered by age, and the envelope a page is answered in.

A page is found by halving: at every step a share of the rows before it is known to belong to one source, so the effort
grows with the number of digits of a place, not with the place.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import Ask, Incoming, ListDocuments, ListPayments, ListRefunds
from moneyback.dialects.maverick.bodies import Wrong
from moneyback.dialects.maverick.wire import invalid

PER_PAGE: Final = 30
PER_PAGE_MAX: Final = 50
PAGE_MAX: Final = 2**31 - 1

Row = Payment | Refund | Mapping[str, Any]
Key = tuple[datetime, int]


class Asked(msgspec.Struct, frozen=True):
    """Which page of how many rows, and from which end."""

    page: int = 1
    per_page: int = PER_PAGE
    ascending: bool = False

    def within(self, total: int) -> Asked:
        """A page past the end is the last one."""
        return replace(self, page=min(self.page, max(1, self.pages(total))))

    def pages(self, total: int) -> int:
        """How many pages there are."""
        return -(-total // self.per_page)

    @property
    def offset(self) -> int:
        """How many rows come before it."""
        return (self.page - 1) * self.per_page


def asked_page(incoming: Incoming, *, lenient: bool = False) -> Asked:
    """`page` from 1, `per-page` from 1 to 50, `sort` by age: what is out of range is moved into it. Raises Wrong."""
    orders = {"createdOn": True, "id": True, "-createdOn": False, "-id": False}
    sort = incoming.asked("sort") or "-createdOn"
    if sort not in orders and not lenient:
        raise Wrong(invalid("Sort is invalid. Records are sorted by createdOn or id."))
    page = _count(incoming.asked("page"), 1, PAGE_MAX)
    return Asked(page, _count(incoming.asked("per-page"), PER_PAGE, PER_PAGE_MAX), orders.get(sort, False))


def _count(text: str | None, unstated: int, most: int) -> int:
    """Like its framework's: what is no number counts as unstated."""
    if text is None or not (text.isascii() and text.isdigit()):
        return unstated
    return min(max(1, int(text[:20])), most)


def envelope_of(incoming: Incoming, asked: Asked, total: int, items: list[Any]) -> dict[str, Any]:
    """A page with its links and figures."""
    pages = asked.pages(total)
    places = {"self": asked.page}
    if pages:
        places |= {"first": 1, "last": pages}
    if asked.page > 1:
        places["prev"] = asked.page - 1
    if asked.page < pages:
        places["next"] = asked.page + 1
    return {
        "items": items,
        "_links": {name: {"href": _address(incoming, place, asked.per_page)} for name, place in places.items()},
        "_meta": {
            "totalCount": total,
            "pageCount": pages,
            "currentPage": asked.page,
            "perPage": asked.per_page,
        },
    }


def _address(incoming: Incoming, page: int, per_page: int) -> str:
    others = [(name, value) for name, value in incoming.query if name not in ("page", "per-page")]
    query = urlencode([*others, ("page", page), ("per-page", per_page)])
    return f"{incoming.base}{incoming.path.rstrip('/')}?{query}"


# --- sources ---------------------------------------------------------------------------------------------------------


class Source(msgspec.Struct, frozen=True):
    """Some of the rows of a list: `size` of them, from `first` on."""

    ask: ListPayments | ListRefunds | ListDocuments
    size: int
    first: int = 0

    def read(self, offset: int, limit: int) -> Generator[Ask, Any, tuple[Row, ...]]:
        """The rows from a place on."""
        limit = max(0, min(limit, self.size - offset))
        if not limit:
            return ()
        rows: tuple[Row, ...] = yield replace(self.ask, offset=self.first + offset, limit=limit)
        return rows

    def between(self, since: datetime | None, until: datetime | None) -> Generator[Ask, Any, Source]:
        """The part of it between two moments, both included: for documents, which cannot be asked for by time."""
        begin, end = (since, until) if self.ask.ascending else (until, since)
        first = 0 if begin is None else (yield from self._place(begin, inside=True))
        last = self.size if end is None else (yield from self._place(end, inside=False))
        return replace(self, first=self.first + first, size=max(0, last - first))

    def _place(self, moment: datetime, *, inside: bool) -> Generator[Ask, Any, int]:
        """How many rows come before that moment; with `inside` False, before what comes after it."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high) // 2
            rows = yield from self.read(middle, 1)
            if rows and self._precedes(key_of(rows[0])[0], moment, inside):
                low = middle + 1
            else:
                high = middle
        return low

    def _precedes(self, at: datetime, moment: datetime, inside: bool) -> bool:
        if at == moment:
            return not inside
        return (at < moment) is self.ask.ascending


class Walk:
    """A source, oldest first, in chunks. Each begins at the moment at which the one before it ended, so that the last
    costs what the first did."""

    def __init__(self, source: Source, chunk: int) -> None:
        self._next = replace(source.ask, offset=source.first, limit=chunk)
        self._left = source.size

    def chunk(self) -> Generator[Ask, Any, tuple[Row, ...]]:
        """The next rows; () at the end."""
        if not self._left:
            return ()
        rows: tuple[Row, ...] = yield replace(self._next, limit=min(self._next.limit, self._left))
        self._left = self._left - len(rows) if rows else 0
        if rows:
            self._next = self._following(rows)
        return rows

    def _following(self, rows: tuple[Row, ...]) -> ListPayments | ListRefunds | ListDocuments:
        asked, (first, last) = self._next, (key_of(each)[0] for each in (rows[0], rows[-1]))
        if isinstance(asked, ListDocuments) or first == last:
            return replace(asked, offset=asked.offset + len(rows))
        return replace(asked, created_from=last, offset=sum(key_of(each)[0] == last for each in rows))


def key_of(row: Row) -> Key:
    """The place of a row among all records: by age, and at one moment by number."""
    match row:
        case Payment() | Refund():
            return row.created_at, int(row.dialect_id)
        case _:
            return datetime.fromisoformat(row["at"]), int(row["id"])


def read_page(sources: tuple[Source, ...], offset: int, limit: int) -> Generator[Ask, Any, list[Row]]:
    """The rows of a page, of sources that are all ordered the same way."""
    descending = not all(each.ask.ascending for each in sources)
    starts = yield from _starts(sources, offset, descending)
    rows: list[Row] = []
    for source, start in zip(sources, starts, strict=True):
        rows += yield from source.read(start, limit)
    return sorted(rows, key=key_of, reverse=descending)[:limit]


def _starts(sources: tuple[Source, ...], offset: int, descending: bool) -> Generator[Ask, Any, list[int]]:
    """How many of the `offset` rows before a page each source has.

    Of the sources' rows at an equal share of what is left, the foremost and all before it belong to those rows: fewer
    than a share of every other source can be before it.
    """
    starts, left = [0] * len(sources), offset
    while left:
        live = [place for place, source in enumerate(sources) if starts[place] < source.size]
        if len(live) < 2:
            for place in live:
                starts[place] += left
            break
        share = max(1, left // len(live))
        probes: list[tuple[Key, int, int]] = []
        for place in live:
            step = min(share, sources[place].size - starts[place])
            rows = yield from sources[place].read(starts[place] + step - 1, 1)
            if rows:
                probes.append((key_of(rows[0]), place, step))
        if not probes:
            break
        _, place, step = (max if descending else min)(probes)
        starts[place] += step
        left -= step
    return starts
