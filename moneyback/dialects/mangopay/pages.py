"""Mangopay's lists: filters, sorting, pages and the headers that count them.

A list is a bare array. Parameters are known without case, values of a filter are joined by commas or repeated, and what
is not known is left alone (provider docs: pagination; filtering and sorting).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from moneyback.dialect import Incoming

PER_PAGE: Final = 10
PER_PAGE_MAX: Final = 100
_DIGITS_MAX: Final = 15


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asked of a list."""

    page: int = 1
    per_page: int = PER_PAGE
    descending: bool = False
    statuses: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    after: int | None = None
    before: int | None = None


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
        after=after,
        before=before,
    )


def chosen(rows: Sequence[dict[str, Any]], listing: Listing) -> list[dict[str, Any]]:
    """The rows that pass the filters, in the order asked for. Both dates belong to their span."""
    found = [
        row
        for row in rows
        if (not listing.statuses or row["Status"] in listing.statuses)
        and (not listing.codes or row["ResultCode"] in listing.codes)
        and (listing.after is None or row["CreationDate"] >= listing.after)
        and (listing.before is None or row["CreationDate"] <= listing.before)
    ]
    return found[::-1] if listing.descending else found


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
    """`CreationDate:DESC`, several fields joined by underlines; rows are otherwise shown oldest first."""
    for field in (text or "").lower().split("_"):
        name, _, way = field.partition(":")
        if name == "creationdate":
            return way == "desc"
    return False
