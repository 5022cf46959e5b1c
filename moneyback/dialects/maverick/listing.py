"""Maverick's list of an account's refunds, read on page by page.

How the list is ordered is not published, so nothing relies on it: a page may show what an earlier one showed, and when
all pages were seen it is begun again a little before the youngest refund among them. A filter that is not understood
was seen to be passed over in silence, so every line is looked at for what was asked.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from moneyback.dialect import AnswerLost, Call, Listed, Listing, Reply, SeenRefund
from moneyback.dialects.maverick import received
from moneyback.dialects.maverick.reading import HEADERS, RETURN, original_of, record_call, seen_refund
from moneyback.dialects.maverick.received import Record
from moneyback.dialects.maverick.wire import stamp

LIST_LAG: Final = timedelta(minutes=5)
"""How long a refund may be missing from its original, or from a list. Maverick publishes no figure."""
PER_PAGE: Final = 50


def list_refunds(since: datetime, cursor: Mapping[str, Any]) -> Listing:
    """One page of the account's Returns. Raises AnswerLost for a list that cannot be trusted.

    The cursor: `after`, the time that is asked for; `page`; `youngest`, the latest time seen on the way.
    """
    after = str(cursor.get("after") or stamp(since))
    page = int(cursor.get("page") or 1)
    shown = received.page((yield _page_call(after, page)))
    if shown is None:
        raise AnswerLost("Maverick did not show the list of refunds")
    times = [_checked(each, after) for each in shown.items]
    youngest = max([str(cursor.get("youngest") or after), *times])
    refunds = yield from _refunds_among(shown.items)
    if shown.goes_on(page, PER_PAGE):
        return Listed(refunds=refunds, cursor={"after": after, "page": page + 1, "youngest": youngest}, more=True)
    return Listed(refunds=refunds, cursor={"after": max(after, _before(youngest))})


def _page_call(after: str, page: int) -> Call:
    query = (
        ("filter[type][eq]", RETURN),
        ("filter[createdOn][gte]", after),
        ("per-page", str(PER_PAGE)),
        ("page", str(page)),
    )
    return Call(method="GET", path="/payments", headers=HEADERS, query=query)


def _checked(shown: Record, after: str) -> str:
    """When it was made. Times as they are written sort as they follow one another."""
    at = received.moment(shown.createdOn)
    if at is None or shown.type != RETURN or stamp(at) < after:
        raise AnswerLost("Maverick's list is not of what was asked for")
    return stamp(at)


def _before(youngest: str) -> str:
    at = received.moment(youngest)
    return youngest if at is None else stamp(at - LIST_LAG)


def _refunds_among(items: tuple[Record, ...]) -> Generator[Call, Reply, tuple[SeenRefund, ...]]:
    """What gave money back. A Return with an authorisation code may have reversed what was never captured."""
    captured: dict[str, bool] = {}
    found: list[SeenRefund] = []
    for each in items:
        seen = seen_refund(each)
        if seen is None:
            continue
        if each.authCode is not None and seen.payment not in captured:
            reply = yield record_call(seen.payment)
            captured[seen.payment] = original_of(seen.payment, reply).was_captured
        if each.authCode is None or captured[seen.payment]:
            found.append(seen)
    return tuple(found)
