"""Pages of lists by age, made of payments and refunds: exact where every row is shown, else searched.

What comes before a page that shows every row is not read. Filters are held against the records themselves, a bounded
number of them for one request; what lies beyond is an error, because a list with gaps would say too little.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import Ask, ListPayments, ListRefunds, Total

COUNT: Final = 25
COUNT_MAX: Final = 100
CHUNK: Final = 200
STEP: Final = 8
CHUNK_NEXT: Final = 1000
SEARCHED_MAX: Final = 100_000
"""Rows that one request may look through."""

Listed = ListPayments | ListRefunds
Source = Payment | Refund
T = TypeVar("T")


class TooMany(Exception):
    """A search that looked through as much as it may. Raised again, it is for the client: narrower filters help."""

    def __init__(self) -> None:
        super().__init__(f"More than {SEARCHED_MAX} records lie in this span: narrow it by createdAt.start and .end")


class Search:
    """One list read lazily from its beginning, in chunks: a small one first, because most pages need no second one.

    Each chunk begins at the moment at which the one before it ended, so that the last costs what the first did.
    """

    def __init__(self, listed: Listed, chunk: int = CHUNK) -> None:
        self._next = replace(listed, limit=chunk)
        self._held: list[Source] = []
        self._ended = False

    def head(self) -> Generator[Ask, Any, Source | None]:
        """The next row, left where it is; None at the end."""
        if not self._held and not self._ended:
            some: tuple[Source, ...] = yield self._next
            self._ended = len(some) < self._next.limit
            self._held = list(reversed(some))
            if not self._ended:
                self._next = self._following(some)
        return self._held[-1] if self._held else None

    def _following(self, some: tuple[Source, ...]) -> Listed:
        listed, at = self._next, some[-1].created_at
        if some[0].created_at == at:  # how many of that moment came before the chunk is not known
            return replace(listed, offset=listed.offset + len(some), limit=CHUNK_NEXT)
        same = sum(each.created_at == at for each in some)
        return replace(
            listed, **{"created_from" if listed.ascending else "created_to": at}, offset=same, limit=CHUNK_NEXT
        )

    def take(self) -> Source:
        """The next row."""
        return self._held.pop()


def first(one: Source | None, other: Source | None, *, ascending: bool) -> bool:
    """Whether `one` comes before `other`. Of the same moment, what was paid is older than what was given back."""
    if one is None or other is None:
        return one is not None
    mine, theirs = ((each.created_at, isinstance(each, Refund), each.id) for each in (one, other))
    return mine <= theirs if ascending else mine >= theirs


def searched(
    lists: tuple[Listed, ...],
    matching: Callable[[Source], Generator[Ask, Any, list[T]]],
    start: int,
    count: int,
    chunk: int = CHUNK,
) -> Generator[Ask, Any, list[T]]:
    """`count` of what `matching` makes of the rows of all lists by age, `start` of them left out. Raises TooMany.

    A row that lies in several lists is met once.
    """
    sources = [Search(each, chunk) for each in lists]
    ascending = any(each.ascending for each in lists)
    found: list[T] = []
    last: Source | None = None
    seen, left = 0, start
    while len(found) < count:
        chosen: Search | None = None
        best: Source | None = None
        for source in sources:
            head = yield from source.head()
            if head is not None and first(head, best, ascending=ascending):
                chosen, best = source, head
        if chosen is None:
            break
        seen += 1
        if seen > SEARCHED_MAX:
            raise TooMany
        row = chosen.take()
        if last is not None and last.id == row.id:
            continue
        last = row
        made = yield from matching(row)
        skipped = min(left, len(made))
        left -= skipped
        found += made[skipped:]
    return found[:count]


def split(payments: ListPayments, refunds: ListRefunds, start: int) -> Generator[Ask, Any, tuple[int, int] | None]:
    """How many payments, and how many refunds, stand before place `start` of both together; None: beyond the end.

    Looked for where both lists would have it if they were evenly mixed, then in growing steps, then by halving: a few
    single rows are read, however deep the place is.
    """
    if not start:
        return 0, 0
    paid: int = yield Total(payments)
    given: int = yield Total(refunds)
    if start >= paid + given:
        return None
    low, high = max(0, start - given), min(start, paid)
    tried, step, bounds = start * paid // (paid + given), STEP, set[bool]()
    while low < high:
        tried = min(max(tried, low + 1), high)
        one = yield from _row(payments, tried - 1)
        other = yield from _row(refunds, start - tried)
        before = first(one, other, ascending=payments.ascending)
        low, high = (tried, high) if before else (low, tried - 1)
        bounds.add(before)
        if len(bounds) == 2:
            tried = (low + high + 1) // 2
        else:
            tried, step = (low + step if before else high + 1 - step), step * STEP
    return low, start - low


def _row(listed: Listed, place: int) -> Generator[Ask, Any, Source | None]:
    rows: tuple[Source, ...] = yield replace(listed, offset=place, limit=1)
    return rows[0] if rows else None


def newest(listed: Listed, most: int) -> Listed:
    """The newest rows of a list, in one piece."""
    return replace(listed, ascending=False, offset=0, limit=most)


def within(at: datetime | None, begin: datetime | None, end: datetime | None) -> bool:
    """Whether a time lies in a span, both ends included. What has not happened lies in no span that has an end."""
    if begin is None and end is None:
        return True
    return at is not None and (begin is None or at >= begin) and (end is None or at <= end)
