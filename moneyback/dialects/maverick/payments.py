"""Reading records: one by its id, or a page of all of them with the provider's filters.

A list has three sources: payments (its Auths), refunds (its Returns), and the documents of all other records. Ids,
externalIds, parents, types and times are looked up; a filter by anything else looks at every record that is left.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    FindPayment,
    FindRefund,
    Incoming,
    Instant,
    ListDocuments,
    ListPayments,
    ListRefunds,
    LoadDocument,
    Outgoing,
    PaymentOf,
    RefundsOf,
    Release,
    Route,
    Total,
)
from moneyback.dialects.maverick.bodies import Wrong
from moneyback.dialects.maverick.captured import RECORD, Capture
from moneyback.dialects.maverick.filters import COLUMNS, Group, Narrowed, narrowed, read_filter
from moneyback.dialects.maverick.objects import (
    LAST_FOUR_UNSTATED,
    Alone,
    Ongoing,
    alone_record,
    capture_record,
    external_id_of,
    original,
    refund_record,
    release_record,
    terminal_of,
)
from moneyback.dialects.maverick.paging import Asked, Key, Row, Source, Walk, asked_page, envelope_of, key_of, read_page
from moneyback.dialects.maverick.parts import total
from moneyback.dialects.maverick.references import NAMED
from moneyback.dialects.maverick.schemas import PAGE_OR_ERROR, RECORD_OR_ERROR
from moneyback.dialects.maverick.server import Found, find, find_to_read, of_document, refused
from moneyback.dialects.maverick.wire import CURRENCY, NOT_FOUND, SHOWN, invalid, settings_of, stamp, written

LOOKED_AT_MAX: Final = 200_000
"""Records that one request may look at one by one."""
TOO_MANY: Final = invalid("There are too many records to look through: narrow the filter by createdOn.")
_CHUNK: Final = 500
_SAME_NAME_MAX: Final = 100
_FEW: Final = 2_000
"""So many documents of some types are read by their types; more are read among all others."""
_OTHERS: Final = ("Capture", "CardAuthentication", "GenerateToken", "Return")
"""Types of the records that are documents. Those Returns are reversals; of captured money they are refunds."""

# --- one -------------------------------------------------------------------------------------------------------------


def read_payment(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /payment/{id}: the record of an original, of a child of one, or of a token or card authentication."""
    found = yield from find_to_read(incoming.arguments["id"])
    if found is None:
        return refused(NOT_FOUND, settings_of(caller))
    now: datetime = yield Instant()
    return Outgoing(body=(yield from rendered(found, now)))


def rendered(found: Found, now: datetime) -> Generator[Ask, Any, dict[str, Any]]:
    """What an id names, as its record."""
    if isinstance(found.child, Alone):
        return alone_record(found.child)
    assert found.payment is not None, "only what stands alone has no payment"
    match found.child:
        case Refund() as refund:
            return refund_record(refund, found.payment)
        case Release() as release:
            return release_record(release, found.payment)
        case Capture() | Ongoing() as capture:
            return capture_record(capture, found.payment, now)
        case None:
            touched = found.payment.held or found.payment.refunded
            refunds: tuple[Refund, ...] = (yield RefundsOf(found.payment.id)) if touched else ()
            return original(found.payment, refunds, now)


# --- many ------------------------------------------------------------------------------------------------------------


def list_payments(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /payments: a page of records, newest first; 422 for a filter or an order nobody knows."""
    settings = settings_of(caller)
    try:
        asked = asked_page(incoming, lenient=settings.lenient_filters)
        wanted = read_filter(incoming.query, lenient=settings.lenient_filters)
    except Wrong as wrong:
        return refused(wrong.complaint, settings)
    now: datetime = yield Instant()
    narrow = narrowed(wanted)
    few = yield from _looked_up(narrow)
    if few is not None:
        count, page, items = yield from _page_of_few(few, wanted, asked, now)
    elif not narrow.rest.parts:
        count, page, items = yield from _page(narrow, asked, now)
    else:
        found = yield from _page_searched(narrow, asked, now)
        if found is None:
            return refused(TOO_MANY, settings)
        count, page, items = found
    return Outgoing(body=envelope_of(incoming, page, count, items))


Page = tuple[int, Asked, list[dict[str, Any]]]
"""How many records there are in all, which page of them this is, and its records."""


def _page(narrow: Narrowed, asked: Asked, now: datetime) -> Generator[Ask, Any, Page]:
    sources = yield from _sources(narrow, now, ascending=asked.ascending)
    count = sum(each.size for each in sources)
    page = asked.within(count)
    rows = yield from read_page(sources, page.offset, page.per_page)
    items = []
    for row in rows:
        items += yield from _record_of(row, now)
    return count, page, items


def _record_of(row: Row, now: datetime) -> Generator[Ask, Any, list[dict[str, Any]]]:
    """A row's record; none where it came to nothing."""
    found = yield from _found(row)
    return [] if found is None else [(yield from rendered(found, now))]


def _found(row: Row) -> Generator[Ask, Any, Found | None]:
    match row:
        case Payment():
            return Found(row)
        case Refund():
            return Found((yield PaymentOf(row.payment)), row)
        case _:
            return (yield from of_document(row))


def _sources(
    narrow: Narrowed, now: datetime, *, ascending: bool, mixed: bool = False
) -> Generator[Ask, Any, tuple[Source, ...]]:
    """Where the records are that a filter lets through. What is made from now on is not among them.

    `mixed`: documents of other types may lie among them. All of them can be read on from anywhere at the same cost,
    those of a type cannot.
    """
    until = now if narrow.until is None else min(now, narrow.until)
    between: dict[str, Any] = {
        "created_from": narrow.since,
        "created_to": until,
        "match": narrow.documents,
        "amount_from": narrow.least,
        "amount_to": narrow.most,
        "amount_in": CURRENCY,
        "ascending": ascending,
    }
    asks: list[ListPayments | ListRefunds | ListDocuments] = []
    of: dict[str, Any] = {}
    if narrow.parent is not None:
        parent: Payment | None = yield FindPayment(str(narrow.parent))
        if parent is None:
            return ()
        of = {"payment": parent.dialect_id}
        between["payment"] = parent.id
    elif narrow.has("Auth"):
        asks.append(ListPayments(**between))
    if narrow.has("Return") and narrow.states != frozenset():
        states, changed = narrow.states or frozenset(), (narrow.changed_since, narrow.changed_until)
        asks.append(ListRefunds(**between, states=states, updated_from=changed[0], updated_to=changed[1]))
    if narrow.types is None:
        asks.append(ListDocuments(kind=RECORD, match=of, ascending=ascending))
    else:
        asks += yield from _documents(narrow.types, of, ascending=ascending, mixed=mixed)
    sources = []
    for ask in asks:
        source = Source(ask, (yield Total(ask)))
        if isinstance(ask, ListDocuments):
            source = yield from source.between(narrow.since, narrow.until)
        sources.append(source)
    return tuple(each for each in sources if each.size)


def _documents(
    types: frozenset[str], of: Mapping[str, Any], *, ascending: bool, mixed: bool
) -> Generator[Ask, Any, list[ListDocuments]]:
    typed = [
        ListDocuments(kind=RECORD, match={**of, "type": kind}, ascending=ascending) for kind in _OTHERS if kind in types
    ]
    if mixed and not of:
        found = 0
        for each in typed:
            found += yield Total(each)
        if found > _FEW:
            return [ListDocuments(kind=RECORD, ascending=ascending)]
    return typed


# --- what is looked up -----------------------------------------------------------------------------------------------


def _looked_up(narrow: Narrowed) -> Generator[Ask, Any, list[Found] | None]:
    """What a filter by id or externalId can let through; None where it names neither, or leads to nothing."""
    if narrow.ids is not None:
        found = []
        for number in narrow.ids:
            each = yield from find(str(number))
            found += [] if each is None else [each]
        return found
    if narrow.external is None:
        return None
    found = yield from _of_external(narrow.external)
    if not found:  # a payment registered natively may have one that nothing leads to: all of them are looked at
        narrow.types = frozenset({"Auth"}) & (narrow.types if narrow.types is not None else {"Auth"})
    return found or None


def _of_external(external: str) -> Generator[Ask, Any, list[Found]]:
    found = []
    match = {"externalId": external}
    for kept in (yield ListDocuments(kind=NAMED, match=match, limit=_SAME_NAME_MAX)):
        payment = yield FindPayment(kept["id"])
        found += [] if payment is None else [Found(payment)]
    for kept in (yield ListDocuments(kind=RECORD, match=match, limit=_SAME_NAME_MAX)):
        found.append(Found(None, Alone(kept)))
    for payment in (yield ListPayments(order=external, limit=_SAME_NAME_MAX)):
        found.append(Found(payment))
    return found


def _page_of_few(few: list[Found], wanted: Group, asked: Asked, now: datetime) -> Generator[Ask, Any, Page]:
    records: dict[int, dict[str, Any]] = {}
    for found in few:
        record = yield from rendered(found, now)
        if wanted.allows(columns_of(record, _source_of(found))):
            records[record["id"]] = record
    page = asked.within(len(records))
    ordered = sorted(records.values(), key=lambda each: (each["createdOn"], each["id"]), reverse=not asked.ascending)
    return len(records), page, ordered[page.offset : page.offset + page.per_page]


def _source_of(found: Found) -> str | None:
    """How the card was presented; nothing prints it, but it can be filtered by."""
    if isinstance(found.child, Alone):
        return found.child.document.get("source")
    return found.payment.document.get("source") if found.payment is not None and found.child is None else None


def columns_of(record: Mapping[str, Any], source: str | None = None) -> dict[str, Any]:
    """What a record can be filtered by."""
    columns: dict[str, Any] = {"source": source}
    for name in COLUMNS:
        outer, _, inner = name.partition(".")
        if name not in columns:
            value = record.get(outer)
            columns[name] = (value or {}).get(inner) if inner else value
    columns["amount"] = Decimal(record["amount"])
    return columns


# --- what is searched ------------------------------------------------------------------------------------------------

Place = tuple[Key, FindPayment | FindRefund | LoadDocument]
"""A row that was let through: its key, and how it is found again."""


def _page_searched(narrow: Narrowed, asked: Asked, now: datetime) -> Generator[Ask, Any, Page | None]:
    """Every record that is left is looked at, and only the page's own are made. None: there are too many."""
    # Oldest first: what is added meanwhile comes last.
    sources = yield from _sources(narrow, now, ascending=True, mixed=True)
    if sum(each.size for each in sources) > LOOKED_AT_MAX:
        return None
    places: list[Place] = []
    for source in sources:
        walk = Walk(source, _CHUNK)
        while rows := (yield from walk.chunk()):
            for row in rows:
                if isinstance(row, Mapping) and not narrow.has(row["type"]):
                    continue
                if (yield from _is_wanted(row, narrow.rest, now)):
                    place = key_of(row), _finding(row)
                    places.append(place)
    page = asked.within(len(places))
    places.sort(key=lambda place: place[0], reverse=not asked.ascending)
    items = []
    for _, finding in places[page.offset : page.offset + page.per_page]:
        row = yield finding
        items += yield from _record_of(row, now)
    return len(places), page, items


def _finding(row: Row) -> FindPayment | FindRefund | LoadDocument:
    match row:
        case Payment():
            return FindPayment(row.dialect_id)
        case Refund():
            return FindRefund(row.dialect_id)
        case _:
            return LoadDocument(RECORD, str(row["id"]))


_OF_AN_ORIGINAL: Final = frozenset(
    {"id", "type", "parent.id", "createdOn", "externalId", "source", "terminal.id", "amount"}
)
"""What can be said of an original without the whole of its record."""
_OF_A_REFUND: Final = frozenset(COLUMNS) - {"terminal.id", "parent.id", "card.number", "level"}
_OF_A_CAPTURE: Final = _OF_AN_ORIGINAL | {"updatedOn"}
"""What can be said of a child without its payment."""
_OF_ALONE: Final = _OF_AN_ORIGINAL | {"card.name", "card.number", "updatedOn"}
"""What can be said of a card authentication or a token without the whole of its record."""


def _is_wanted(row: Row, wanted: Group, now: datetime) -> Generator[Ask, Any, bool]:
    needed = frozenset(wanted.columns())
    match row:
        case Payment() if needed <= _OF_AN_ORIGINAL:
            return wanted.allows(_original_columns(row))
        case Payment():
            return wanted.allows(columns_of(original(row, (), now), row.document.get("source")))
        case Refund() if needed <= _OF_A_REFUND:
            return wanted.allows(_NOTHING | _refund_columns(row))
        case Mapping() if row["type"] == "Capture" and needed <= _OF_A_CAPTURE:
            return wanted.allows(_NOTHING | _capture_columns(row))
        case Mapping() if "payment" not in row and needed <= _OF_ALONE:
            return wanted.allows(_NOTHING | _alone_columns(row))
        case _:
            found = yield from _found(row)
    if found is None:
        return False
    return wanted.allows(columns_of((yield from rendered(found, now)), _source_of(found)))


_NOTHING: Final[dict[str, Any]] = dict.fromkeys(COLUMNS) | {"origin": "API"}


def _original_columns(payment: Payment) -> dict[str, Any]:
    return {
        "id": int(payment.dialect_id),
        "type": "Auth",
        "parent.id": None,
        "createdOn": stamp(payment.created_at),
        "externalId": external_id_of(payment),
        "source": payment.document.get("source"),
        "terminal.id": terminal_of(payment),
        "amount": Decimal(written(total(payment), payment.currency)),
    }


def _refund_columns(refund: Refund) -> dict[str, Any]:
    return {
        "id": int(refund.dialect_id),
        "type": "Return",
        "amount": Decimal(written(refund.payer, refund.currency)),
        "status.status": SHOWN[refund.state].value,
        "createdOn": stamp(refund.created_at),
        "updatedOn": stamp(refund.updated_at),
    }


def _capture_columns(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": int(kept["id"]),
        "type": kept["type"],
        "parent.id": int(kept["payment"]),
        "createdOn": stamp(datetime.fromisoformat(kept["at"])),
        "terminal.id": kept["terminal_id"],
        "amount": Decimal(written(kept["amount"], kept["currency"])),
    }


def _alone_columns(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": int(kept["id"]),
        "type": kept["type"],
        "createdOn": stamp(datetime.fromisoformat(kept["at"])),
        "externalId": kept.get("externalId"),
        "source": kept.get("source"),
        "terminal.id": int(kept["terminal_id"]),
        "amount": Decimal(0),
        "card.name": kept["card"].get("name"),
        "card.number": kept["card"].get("number", LAST_FOUR_UNSTATED),
    }


# --- routes ----------------------------------------------------------------------------------------------------------

ROUTES: Final = (
    Route(
        method="GET",
        path="/payments",
        handle=list_payments,
        kind="relayed",
        summary="List transactions, refunds and other records, newest first",
        response_schema=PAGE_OR_ERROR,
    ),
    Route(
        method="GET",
        path="/payment",
        handle=list_payments,
        kind="relayed",
        summary="The same list, under its other name",
        response_schema=PAGE_OR_ERROR,
    ),
    Route(
        method="GET",
        path="/payment/{id}",
        handle=read_payment,
        summary="Retrieve a transaction, a refund or another record",
        response_schema=RECORD_OR_ERROR,
    ),
)
