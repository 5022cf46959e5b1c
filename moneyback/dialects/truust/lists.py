"""Truust's lists: standard parameters in, a flat paginator out (provider docs: introduction, list parameters).

By age, and by what rows are found by, a page costs the same however long the list is. What is searched or sorted by a
field that no row is found by is made of the newest rows between the two dates, at most SCANNED_MAX of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import Ask, Incoming, ListDocuments, ListPayments, ListRefunds, Total
from moneyback.dialects.truust.fields import Errors, Invalid

PER_PAGE: Final = 15
PER_PAGE_MAX: Final = 100
SCANNED_AT_ONCE: Final = 500
SCANNED_MAX: Final = 10_000
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asked of a list. Both dates belong to their span."""

    page: int = 1
    per_page: int = PER_PAGE
    search: str | None = None
    query: str = ""
    begin: datetime | None = None
    end: datetime | None = None
    order: str = "created_at"
    ascending: bool = False

    @property
    def offset(self) -> int:
        """How many rows come before the page."""
        return (self.page - 1) * self.per_page

    @property
    def by_age(self) -> bool:
        """Whether the order asked for is that in which rows came to be: numbers are given out in it, too."""
        return self.order in ("created_at", "id")

    def covers(self, at: datetime) -> bool:
        """Whether a moment lies between the two dates."""
        return (self.begin is None or at >= self.begin) and (self.end is None or at <= self.end)


class Row(msgspec.Struct, frozen=True):
    """One line of a list before it is printed: its age, the fields it is searched and sorted by, and what it is."""

    at: datetime
    fields: Mapping[str, Any]
    of: Any


# --- what is asked ---------------------------------------------------------------------------------------------------


def parse_listing(incoming: Incoming, searched: Sequence[str], sorted_by: Sequence[str]) -> Listing:
    """The listing, or every parameter that is wrong, as Invalid. An empty parameter is one left out."""
    errors: Errors = {}
    read: dict[str, Any] = {}

    def take(name: str, into: str, reader: Callable[[str], Any]) -> None:
        text = (incoming.asked(name) or "").strip()
        if not text:
            return
        try:
            read[into] = reader(text)
        except ValueError as error:
            errors[name] = [str(error)]

    take("page", "page", lambda text: _number("page", text, None))
    take("per_page", "per_page", lambda text: _number("per page", text, PER_PAGE_MAX))
    take("search", "search", lambda text: _one_of("search", text, searched))
    take("query", "query", str)
    take("date_begin", "begin", lambda text: _date("date begin", text, time.min))
    take("date_end", "end", lambda text: _date("date end", text, time.max))
    take("order", "order", lambda text: _one_of("order", text, sorted_by))
    take("sort", "ascending", lambda text: _one_of("sort", text.lower(), ("asc", "desc")) == "asc")
    if errors:
        raise Invalid(errors)
    if "query" not in read:  # a field without a term searches nothing
        read.pop("search", None)
    return Listing(**read)


def _number(what: str, text: str, most: int | None) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"The {what} must be an integer.")
    number = int(text)
    if number < 1:
        raise ValueError(f"The {what} must be at least 1.")
    if most is not None and number > most:
        raise ValueError(f"The {what} may not be greater than {most}.")
    return number


def _one_of(what: str, text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise ValueError(f"The selected {what} is invalid.")
    return text


def _date(what: str, text: str, of_day: time) -> datetime:
    """A moment, in UTC unless it says otherwise; a day alone is its first moment, or as an end its last."""
    try:
        at = datetime.fromisoformat(text)
        if _DAY.fullmatch(text):
            at = datetime.combine(at, of_day)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"The {what} is not a valid date.") from None


# --- pages that cost the same wherever they are ----------------------------------------------------------------------

Rows = tuple[Sequence[Any], int]
"""The rows of one page, and how many the whole list has."""


def page_of(ask: ListPayments | ListRefunds, listing: Listing) -> Generator[Ask, Any, Rows]:
    """A page by age of what an ask lists."""
    whole = replace(ask, created_from=listing.begin, created_to=listing.end, ascending=listing.ascending)
    total: int = yield Total(whole)
    if listing.offset >= total:
        return (), total
    rows: Sequence[Any] = yield replace(whole, offset=listing.offset, limit=listing.per_page)
    return rows, total


def page_of_documents(kind: str, match: Mapping[str, Any], listing: Listing) -> Generator[Ask, Any, Rows]:
    """A page of documents with these members: by age, or by another member as far as lists are scanned."""
    first, last = yield from _span(kind, match, listing)
    if listing.by_age:
        start, end = _cut(first, last, listing)
        if start >= end:
            return (), last - first
        rows: Sequence[Any] = yield ListDocuments(kind=kind, match=match, offset=start, limit=end - start)
        return rows if listing.ascending else rows[::-1], last - first
    found = yield from _newest(kind, match, max(first, last - SCANNED_MAX), last)
    if listing.ascending:
        found.reverse()
    found.sort(key=lambda each: _rank(each.get(listing.order)), reverse=not listing.ascending)
    return found[listing.offset : listing.offset + listing.per_page], len(found)


def _cut(first: int, last: int, listing: Listing) -> tuple[int, int]:
    """Where a page lies in the documents by age."""
    if listing.ascending:
        start = first + listing.offset
        return start, min(last, start + listing.per_page)
    end = last - listing.offset
    return max(first, end - listing.per_page), end


def _newest(kind: str, match: Mapping[str, Any], first: int, last: int) -> Generator[Ask, Any, list[Mapping[str, Any]]]:
    """The documents between two places, newest first."""
    found: list[Mapping[str, Any]] = []
    for start in range(first, last, SCANNED_AT_ONCE):
        limit = min(SCANNED_AT_ONCE, last - start)
        rows: Sequence[Mapping[str, Any]] = yield ListDocuments(kind=kind, match=match, offset=start, limit=limit)
        found.extend(rows)
    return found[::-1]


def _span(kind: str, match: Mapping[str, Any], listing: Listing) -> Generator[Ask, Any, tuple[int, int]]:
    """From which place to which the documents lie between the two dates."""
    total: int = yield Total(ListDocuments(kind=kind, match=match))
    begin, end = listing.begin, listing.end
    first, last = 0, total
    if begin is not None:
        first = yield from _place(kind, match, total, lambda at: at < begin)
    if end is not None:
        last = yield from _place(kind, match, total, lambda at: at <= end)
    return first, max(first, last)


def _place(
    kind: str, match: Mapping[str, Any], total: int, is_before: Callable[[datetime], bool]
) -> Generator[Ask, Any, int]:
    """How many documents come before a moment. They lie by age, so that halving finds the place."""
    low, high = 0, total
    while low < high:
        middle = (low + high) // 2
        rows: Sequence[Mapping[str, Any]] = yield ListDocuments(kind=kind, match=match, offset=middle, limit=1)
        if rows and is_before(datetime.fromisoformat(rows[0]["created_at"])):
            low = middle + 1
        else:
            high = middle
    return low


def members(listing: Listing, numbers: Sequence[str]) -> Mapping[str, Any] | None:
    """What a searched document must have; None when no document can. `numbers` are fields that hold integers."""
    if listing.search is None:
        return {}
    if listing.search not in numbers:
        return {listing.search: listing.query}
    return {listing.search: int(listing.query)} if _NUMBER.fullmatch(listing.query) else None


# --- what is found ---------------------------------------------------------------------------------------------------


def scan(ask: ListPayments | ListRefunds, listing: Listing) -> Generator[Ask, Any, list[Any]]:
    """The rows between the listing's dates, newest first, each once however many are added meanwhile."""
    found: dict[Any, Payment | Refund] = {}
    whole = replace(ask, created_from=listing.begin, created_to=listing.end, limit=SCANNED_AT_ONCE)
    for offset in range(0, SCANNED_MAX, SCANNED_AT_ONCE):
        rows: Sequence[Payment | Refund] = yield replace(whole, offset=offset)
        for row in rows:
            found.setdefault(row.id, row)
        if len(rows) < SCANNED_AT_ONCE:
            break
    return list(found.values())


def chosen(rows: Sequence[Row], listing: Listing) -> list[Row]:
    """The rows that are wanted, in the order asked for; `rows` come newest first."""
    found = [row for row in rows if listing.covers(row.at) and _matches(row, listing)]
    if listing.ascending:
        found.reverse()
    if listing.order == "created_at":
        return sorted(found, key=lambda row: row.at, reverse=not listing.ascending)
    return sorted(found, key=lambda row: _rank(row.fields.get(listing.order)), reverse=not listing.ascending)


def _matches(row: Row, listing: Listing) -> bool:
    """Equal to the term, letter for letter: a tag is found to learn whether a refund was made."""
    if listing.search is None:
        return True
    value = row.fields.get(listing.search)
    return value is not None and str(value) == listing.query


def _rank(value: Any) -> tuple[bool, Any]:
    return value is not None, 0 if value is None else value


def of_page(rows: Sequence[Row], listing: Listing) -> Sequence[Row]:
    """The rows of the page asked for; none beyond the last."""
    return rows[listing.offset : listing.offset + listing.per_page]


def each_of(
    rows: Iterable[Any], shown: Callable[[Any], Generator[Ask, Any, dict[str, Any]]]
) -> Generator[Ask, Any, list[dict[str, Any]]]:
    """Rows as they are shown, where showing one asks for more."""
    found: list[dict[str, Any]] = []
    for row in rows:
        one = yield from shown(row)
        found.append(one)
    return found


def paginated(printed: Sequence[Mapping[str, Any]], total: int, listing: Listing) -> dict[str, Any]:
    """The flat paginator around one page."""
    first = listing.offset + 1
    return {
        "current_page": listing.page,
        "last_page": max(1, -(-total // listing.per_page)),
        "per_page": listing.per_page,
        "total": total,
        "from": first if printed else None,
        "to": first + len(printed) - 1 if printed else None,
        "data": list(printed),
    }
