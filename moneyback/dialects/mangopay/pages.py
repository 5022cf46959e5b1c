"""Mangopay's lists: filters, sorting, pages and the headers that count them.

A list is asked for page by page wherever nothing has to be filtered that only the objects themselves can tell.

A list is a bare array. Parameters are known without case, values of a filter are joined by commas or repeated, and what
is not known is left alone (provider docs: pagination; filtering and sorting).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from moneyback.dialect import Ask, Incoming, ListDocuments, Outgoing, Total
from moneyback.dialects.mangopay import complaints, responses
from moneyback.dialects.mangopay.complaints import Complaint

PER_PAGE: Final = 10
PER_PAGE_MAX: Final = 100
_BATCH: Final = 100
_DIGITS_MAX: Final = 15


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asked of a list."""

    page: int = 1
    per_page: int = PER_PAGE
    descending: bool = False
    statuses: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    natures: frozenset[str] = frozenset()
    payments: frozenset[str] = frozenset()
    after: int | None = None
    before: int | None = None

    @property
    def filtered(self) -> bool:
        """Whether something is asked that only the objects themselves can tell."""
        chosen = self.statuses or self.codes or self.kinds or self.natures or self.payments
        return bool(chosen) or self.after is not None or self.before is not None


def parse_listing(incoming: Incoming) -> Listing | dict[str, str]:
    """The listing, or a sentence for every date that is none. Page numbers out of range are taken to the nearest."""
    errors: dict[str, str] = {}
    asked = [(name.lower(), value) for name, value in incoming.query]
    after, before = _date("AfterDate", asked, errors), _date("BeforeDate", asked, errors)
    if errors:
        return errors
    return Listing(
        page=max(1, _number(_last("page", asked), 1)),
        per_page=min(PER_PAGE_MAX, max(1, _number(_last("per_page", asked), PER_PAGE))),
        descending=_descending(_last("sort", asked)),
        statuses=frozenset(value.upper() for value in _values("status", asked)),
        codes=frozenset(_values("resultcode", asked)),
        kinds=frozenset(value.upper() for value in _values("type", asked)),
        natures=frozenset(value.upper() for value in _values("nature", asked)),
        payments=frozenset(value.upper() for value in _values("paymentstatus", asked)),
        after=after,
        before=before,
    )


Row = dict[str, Any]
Show = Callable[[Any], Generator[Ask, Any, Row | None]]


def shown(incoming: Incoming, source: ListDocuments, show: Show) -> Generator[Ask, Any, Outgoing | Complaint]:
    """The page of `source` that is asked for. `show` makes of each of its rows what is printed, None to leave it out.

    Without a filter no more is read than is printed.
    """
    listing = parse_listing(incoming)
    if isinstance(listing, dict):
        return complaints.parameters(listing)
    if listing.filtered:
        rows = chosen((yield from _each((yield from every(source)), show)), listing)
        return answer(incoming, listing, page(rows, listing), len(rows))
    start = (listing.page - 1) * listing.per_page
    count: int = yield Total(source)
    asked = replace(source, ascending=not listing.descending, offset=start, limit=listing.per_page)
    found = (yield asked) if start < count else ()
    return answer(incoming, listing, (yield from _each(found, show)), count)


def answer(incoming: Incoming, listing: Listing, rows: Sequence[Row], count: int) -> Outgoing:
    """One page of a list of `count` rows."""
    return Outgoing(body=list(rows), headers=headers(count, listing, incoming, responses.called(incoming)))


def every(source: ListDocuments) -> Generator[Ask, Any, list[Row]]:
    """Every document of a list, oldest first, read batch by batch."""
    found: list[Row] = []
    while True:
        batch = yield replace(source, ascending=True, offset=len(found), limit=_BATCH)
        found += batch
        if len(batch) < _BATCH:
            return found


def _each(found: Sequence[Any], show: Show) -> Generator[Ask, Any, list[Row]]:
    rows: list[Row] = []
    for each in found:
        row = yield from show(each)
        if row is not None:
            rows.append(row)
    return rows


def chosen(rows: Sequence[Row], listing: Listing) -> list[Row]:
    """The rows that pass the filters, in the order asked for."""
    found = [row for row in rows if _passes(row, listing)]
    return found[::-1] if listing.descending else found


def _passes(row: Row, listing: Listing) -> bool:
    words = (
        (listing.statuses, row.get("Status")),
        (listing.codes, row.get("ResultCode")),
        (listing.kinds, row.get("Type")),
        (listing.natures, row.get("Nature")),
        (listing.payments, row.get("PaymentStatus")),
    )
    if any(wanted and value not in wanted for wanted, value in words):
        return False
    at = row.get("CreationDate", row.get("Date"))
    if at is None:
        return True
    # Both dates belong to their span.
    return (listing.after is None or at >= listing.after) and (listing.before is None or at <= listing.before)


def page(rows: Sequence[dict[str, Any]], listing: Listing) -> list[dict[str, Any]]:
    """The rows of the page asked for; an empty list beyond the last."""
    start = (listing.page - 1) * listing.per_page
    return list(rows[start : start + listing.per_page])


def headers(count: int, listing: Listing, incoming: Incoming, address: str) -> dict[str, str]:
    """How many items and pages there are, and where the neighbouring pages stand."""
    last = max(1, -(-count // listing.per_page))
    wanted = {"first": 1, "prev": listing.page - 1, "next": listing.page + 1, "last": last}
    links = [
        f'<{address}?{_query(incoming, number, listing.per_page)}>; rel="{name}"'
        for name, number in wanted.items()
        if 1 <= number <= last
    ]
    return {
        "X-Number-Of-Pages": str(-(-count // listing.per_page)),
        "X-Number-Of-Items": str(count),
        "Link": ", ".join(links),
    }


def _query(incoming: Incoming, number: int, per_page: int) -> str:
    kept = [(name, value) for name, value in incoming.query if name.lower() not in ("page", "per_page")]
    return urlencode([*kept, ("page", str(number)), ("per_page", str(per_page))])


def _last(name: str, asked: Sequence[tuple[str, str]]) -> str | None:
    return next((value for key, value in reversed(asked) if key == name), None)


def _values(name: str, asked: Sequence[tuple[str, str]]) -> list[str]:
    return [part.strip() for key, value in asked if key == name for part in value.split(",") if part.strip()]


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and _is_number(text) else otherwise


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX


def _date(name: str, asked: Sequence[tuple[str, str]], errors: dict[str, str]) -> int | None:
    text = _last(name.lower(), asked)
    if text is None or text == "":
        return None
    if not _is_number(text):
        errors[name] = f"The {name} must be a number of seconds since 1970"
        return None
    return int(text)


def _descending(text: str | None) -> bool:
    """`CreationDate:DESC`, several fields joined by underlines; rows are otherwise shown oldest first.

    Events have no other date than their `Date`.
    """
    for field in (text or "").lower().split("_"):
        name, _, way = field.partition(":")
        if name in ("creationdate", "date"):
            return way == "desc"
    return False
