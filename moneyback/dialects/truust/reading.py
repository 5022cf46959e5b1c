"""Reading Truust as its client: a payin, an order and its payins, the refunds of a payin, one page of a list.

Which fields a list can be searched by is not published. Where a search is refused, everything since a day is read; and
where it is passed over in silence the same comes by itself, so that every row is looked at for what was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeVar
from urllib.parse import quote

from moneyback.dialect import AnswerLost, Call, Reply
from moneyback.dialects.truust import received
from moneyback.dialects.truust.received import Order, Payin, Shown
from moneyback.dialects.truust.wire import VERSION

ACCEPT: Final[Mapping[str, str]] = MappingProxyType({"accept": "application/json"})
PER_PAGE: Final = 100
PAGES_MAX: Final = 20
"""Of a list in which something is looked for. What is not found in them is lost among too much else."""
EARLIER: Final = timedelta(days=1)
"""How much before a payin its list begins: days are those of Truust's own time."""

Row = TypeVar("Row", Payin, Shown)
Query = tuple[tuple[str, str], ...]
Rows = tuple[Row, ...] | None


# --- one object ------------------------------------------------------------------------------------------------------


def read_call(path: str, query: Query = ()) -> Call:
    """One GET below the version."""
    return Call(method="GET", path=f"{VERSION}/{path}", query=query, headers=ACCEPT)


def segment(text: str) -> str:
    """One step of a path."""
    return quote(text, safe="")


def ask_payin(number: str) -> Generator[Call, Reply, Reply | None]:
    """The answer that shows the payin; None when Truust says that there is none. Raises AnswerLost for any other."""
    reply = yield read_call(f"payins/{segment(number)}")
    shown = received.payin(reply)
    if shown is not None and shown.number == number:
        return reply
    if is_missing(reply):
        return None
    raise AnswerLost("Truust did not show the payin")


def ask_order(number: str) -> Generator[Call, Reply, Order | None]:
    """The order; None when Truust says that there is none. Raises AnswerLost for any other answer."""
    reply = yield read_call(f"orders/{segment(number)}")
    shown = received.order(reply)
    if shown is not None and shown.number == number:
        return shown
    if is_missing(reply):
        return None
    raise AnswerLost("Truust did not show the order")


def is_missing(reply: Reply) -> bool:
    """Whether Truust says that it has no such object, in its own words."""
    problem = received.problem(reply)
    return problem is not None and (reply.status, problem.message) == (404, "Not found")


# --- lists -----------------------------------------------------------------------------------------------------------


def ask_refunds(payin: str, since: datetime) -> Generator[Call, Reply, Rows[Shown]]:
    """All refunds of a payin made since then, oldest first; None when they are lost among too many others."""
    return (
        yield from _ask_all(
            "refunds", "payin_id", payin, since, received.refunds, lambda each: str(each.payin_id) == payin
        )
    )


def ask_payins(order: str, since: datetime) -> Generator[Call, Reply, Rows[Payin]]:
    """All payins of an order made since then, oldest first; None when they are lost among too many others."""
    return (yield from _ask_all("payins", "order_id", order, since, received.payins, lambda each: each.order == order))


def ask_page_of_refunds(query: Query, page: int = 1) -> Generator[Call, Reply, tuple[Rows[Shown], bool]]:
    """One page of refunds, None for an answer that shows none, and whether it is full."""
    reply = yield _page_call("refunds", query, page)
    shown = received.refunds(reply)
    return shown, shown is not None and len(shown) >= received.per_page(reply, PER_PAGE)


def _ask_all(
    kind: str,
    field: str,
    value: str,
    since: datetime,
    read: Callable[[Reply], Rows[Row]],
    belongs: Callable[[Row], bool],
) -> Generator[Call, Reply, Rows[Row]]:
    sorted_: Query = (("date_begin", (since - EARLIER).date().isoformat()), ("order", "created_at"), ("sort", "asc"))
    searched: Query = (("search", field), ("query", value), *sorted_)
    found: dict[str, Row] = {}
    for page in range(1, PAGES_MAX + 1):
        reply = yield _page_call(kind, searched, page)
        if page == 1 and read(reply) is None:
            searched = sorted_
            reply = yield _page_call(kind, searched, page)
        shown = read(reply)
        if shown is None:
            raise AnswerLost(f"Truust did not show the {kind}")
        found.update((each.number, each) for each in shown if belongs(each))
        if len(shown) < received.per_page(reply, PER_PAGE):
            return tuple(found.values())
    return None


def _page_call(kind: str, query: Query, page: int) -> Call:
    return read_call(kind, (*query, ("page", str(page)), ("per_page", str(PER_PAGE))))
