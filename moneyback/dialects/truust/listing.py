"""Truust's list of an account's refunds, read on page by page.

Asked for by age, oldest first, so that what is new comes at the end and moves nothing before it. A reading goes on one
page before the one at which the last reading ended: a refund may be listed a little after another that is younger.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from moneyback.dialect import AnswerLost, Call, Listed, Listing, Reply, SeenRefund
from moneyback.dialects.truust import received
from moneyback.dialects.truust.fetching import seen_refund
from moneyback.dialects.truust.reading import ask_order, ask_page_of_refunds
from moneyback.dialects.truust.received import Shown
from moneyback.dialects.truust.wire import amount_named, amount_shown

LIST_LAG: Final = timedelta(minutes=5)
"""How long a refund may be missing from Truust's lists. It publishes no figure."""


def list_refunds(since: datetime, cursor: Mapping[str, Any]) -> Listing:
    """One page of the account's refunds. Raises AnswerLost for a list that is not in the order asked for.

    The cursor: `begin`, the day that is asked for, and `page`.
    """
    begin = str(cursor.get("begin") or (since - LIST_LAG).date().isoformat())
    page = int(cursor.get("page") or 1)
    shown, is_full = yield from ask_page_of_refunds(
        (("date_begin", begin), ("order", "created_at"), ("sort", "asc")), page
    )
    if shown is None:
        raise AnswerLost("Truust did not show the list of refunds")
    _check_order(shown)
    refunds = yield from _refunds_among(shown)
    place = page + 1 if is_full else max(1, page - 1)
    return Listed(refunds=refunds, cursor={"begin": begin, "page": place}, more=is_full)


def _check_order(shown: tuple[Shown, ...]) -> None:
    times = [at for each in shown if (at := received.moment(each.created_at)) is not None]
    if times != sorted(times):
        raise AnswerLost("Truust's list of refunds is not in the order asked for")


def _refunds_among(shown: tuple[Shown, ...]) -> Generator[Call, Reply, tuple[SeenRefund, ...]]:
    """Those whose amount can be read; the others are found when their payin is read, whose currency is known."""
    codes: dict[str, str | None] = {}
    found: list[SeenRefund] = []
    for each in shown:
        told = amount_named(each.amount)
        if told is None:
            told = yield from _told_in_order(each, codes)
        seen = None if told is None or told[0] <= 0 else seen_refund(each, *told)
        if seen is not None:
            found.append(seen)
    return tuple(found)


def _told_in_order(shown: Shown, codes: dict[str, str | None]) -> Generator[Call, Reply, tuple[int, str | None] | None]:
    """The amount of a refund that does not name its currency: its order does. `codes` are those known by now."""
    number = "" if shown.escrow_id is None else str(shown.escrow_id)
    if number and number not in codes:
        order = yield from ask_order(number)
        codes[number] = None if order is None else order.currency
    code = codes.get(number)
    amount = None if code is None else amount_shown(shown.amount, code)
    return None if amount is None else (amount, code)
