"""Trustly's list of transactions as we serve it: by original, type, status and age, a page at a time.

It is how a client learns whether a refund whose answer it lost was made: by the original's id and its own reference.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    FindPayment,
    Incoming,
    ListPayments,
    ListRefunds,
    Outgoing,
    PaymentOf,
    RefundsOf,
    Route,
)
from moneyback.dialects.trustly.records import Record, original_record, refund_record, transaction
from moneyback.dialects.trustly.schemas import TRANSACTION_LIST
from moneyback.dialects.trustly.server import BadParameter, invalid
from moneyback.dialects.trustly.wire import Type

COUNT: Final = 25
COUNT_MAX: Final = 100
SCANNED_MAX: Final = 1000
"""Newest payments, and newest refunds, that a list without `originalTransactionId` is made of."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS_MAX: Final = 15
_ORDERS: Final = ("createdAt", "updatedAt")
_DIRECTIONS: Final = ("asc", "desc")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asked of the list, its shape checked. Both ends of a span of time belong to it."""

    original: str | None = None
    types: tuple[int, ...] = ()
    statuses: tuple[int, ...] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    order: str = "createdAt"
    direction: str = "desc"
    start: int = 0
    count: int = COUNT


def list_transactions(incoming: Incoming, caller: Caller) -> Conversation:
    """Transactions that match (provider docs: API introduction, paging; OpenAPI, list transactions)."""
    try:
        wanted = parse_list(incoming.query)
    except BadParameter as bad:
        return invalid(str(bad))
    rows = yield from _rows(wanted)
    found = sorted(_matching(rows, wanted), key=_age(wanted), reverse=wanted.direction == "desc")
    page = found[wanted.start : wanted.start + wanted.count]
    shown = [transaction(record, payment, caller, int) for record, payment in page]
    return Outgoing(body={"transactions": shown, "startIndex": wanted.start, "itemsPerPage": wanted.count})


# --- what is asked ---------------------------------------------------------------------------------------------------


def parse_list(query: Iterable[tuple[str, str]]) -> Wanted:
    """The filters, or BadParameter. One that is not known is an error: ignored, it would show too much."""
    read: dict[str, Any] = {"types": (), "statuses": ()}
    for name, text in query:
        match name:
            case "originalTransactionId":
                read["original"] = text
            case "transactionType":
                read["types"] += (_number(name, text),)
            case "transactionStatus":
                read["statuses"] += (_number(name, text),)
            case "createdAt.start":
                read["created_from"] = _moment(name, text)
            case "createdAt.end":
                read["created_to"] = _moment(name, text)
            case "orderBy":
                read["order"] = _one_of(name, text, _ORDERS)
            case "sortOrder":
                read["direction"] = _one_of(name, text, _DIRECTIONS)
            case "startIndex":
                read["start"] = _number(name, text)
            case "count":
                read["count"] = min(_number(name, text), COUNT_MAX)
            case _:
                raise BadParameter(f"Parameter {name} is not supported here")
    return Wanted(**read)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX):
        raise BadParameter(f"Parameter {name} must be a number")
    return int(text)


def _moment(name: str, text: str) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=_number(name, text))
    except OverflowError:
        raise BadParameter(f"Parameter {name} is too large") from None


def _one_of(name: str, text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise BadParameter(f"Parameter {name} must be one of {', '.join(known)}")
    return text


# --- what is found ---------------------------------------------------------------------------------------------------

Row = tuple[Record, Payment]


def _rows(wanted: Wanted) -> Generator[Ask, Any, list[Row]]:
    """Every record that may match: the refunds of the original that is named, else the newest of all."""
    original: Payment | None = None
    if wanted.original is not None:
        original = yield FindPayment(wanted.original)
    if original is not None:
        refunds: tuple[Refund, ...] = yield RefundsOf(original.id)
        return [(refund_record(each, original), original) for each in refunds]
    payments: tuple[Payment, ...] = yield ListPayments(
        created_from=wanted.created_from, created_to=wanted.created_to, limit=SCANNED_MAX
    )
    rows = [(original_record(each), each) for each in payments]
    if wanted.original is None and Type.REFUND in (wanted.types or (Type.REFUND,)):
        rows += yield from _newest_refunds(wanted, {each.id: each for each in payments})
    return rows


def _newest_refunds(wanted: Wanted, known: Mapping[Any, Payment]) -> Generator[Ask, Any, list[Row]]:
    refunds: tuple[Refund, ...] = yield ListRefunds(
        created_from=wanted.created_from, created_to=wanted.created_to, limit=SCANNED_MAX
    )
    payments, rows = dict(known), list[Row]()
    for each in refunds:
        if each.payment not in payments:
            payments[each.payment] = yield PaymentOf(each.payment)
        rows.append((refund_record(each, payments[each.payment]), payments[each.payment]))
    return rows


def _matching(rows: Iterable[Row], wanted: Wanted) -> list[Row]:
    return [row for row in rows if _matches(row[0], wanted)]


def _matches(record: Record, wanted: Wanted) -> bool:
    after = wanted.created_from is None or record.created_at >= wanted.created_from
    before = wanted.created_to is None or record.created_at <= wanted.created_to
    of_type = not wanted.types or record.type in wanted.types
    stands = not wanted.statuses or record.status in wanted.statuses
    return after and before and of_type and stands and wanted.original in (None, record.original)


def _age(wanted: Wanted) -> Any:
    """By time, then by number, which grows: two records of one moment keep their order from page to page."""

    def key(row: Row) -> tuple[datetime, int, str]:
        record = row[0]
        at = record.updated_at if wanted.order == "updatedAt" else record.created_at
        return at, len(record.id), record.id

    return key


LISTS: Final = (
    Route(
        method="GET",
        path="/api/v1/transactions",
        handle=list_transactions,
        accepts=("form", "json"),  # as with every call: a form may be declared where there is none
        summary="List transactions, such as the refunds of an original",
        response_schema=TRANSACTION_LIST,
    ),
)
