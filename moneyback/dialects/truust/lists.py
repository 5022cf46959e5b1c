"""Truust's lists: standard parameters in, a flat paginator out (provider docs: introduction, list parameters).

A list is made of the newest rows between its two dates, at most SCANNED_MAX of them: its total needs all of them, and
the fields that can be searched or sorted by are not columns. Older ones are reached by moving the dates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any, Final

import msgspec

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import Ask, Incoming, ListPayments, ListRefunds
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


# --- what is found ---------------------------------------------------------------------------------------------------


def scan(kind: type[ListPayments] | type[ListRefunds], listing: Listing) -> Generator[Ask, Any, list[Any]]:
    """The rows between the listing's dates, newest first, each once however many are added meanwhile."""
    found: dict[Any, Payment | Refund] = {}
    for offset in range(0, SCANNED_MAX, SCANNED_AT_ONCE):
        rows: Sequence[Payment | Refund] = yield kind(
            created_from=listing.begin, created_to=listing.end, offset=offset, limit=SCANNED_AT_ONCE
        )
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
    start = (listing.page - 1) * listing.per_page
    return rows[start : start + listing.per_page]


def paginated(printed: Sequence[Mapping[str, Any]], total: int, listing: Listing) -> dict[str, Any]:
    """The flat paginator around one page."""
    first = (listing.page - 1) * listing.per_page + 1
    return {
        "current_page": listing.page,
        "last_page": max(1, -(-total // listing.per_page)),
        "per_page": listing.per_page,
        "total": total,
        "from": first if printed else None,
        "to": first + len(printed) - 1 if printed else None,
        "data": list(printed),
    }
