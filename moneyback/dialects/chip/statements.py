"""Company statements: files of what was paid and given back, made from the payments when they are fetched."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID, uuid5

from moneyback.core.money import currency, to_decimal
from moneyback.core.payment import Payment
from moneyback.dialect import (
    ActFor,
    Ask,
    Caller,
    Conversation,
    Incoming,
    Instant,
    LoadDocument,
    NewId,
    Outgoing,
    SaveDocument,
)
from moneyback.dialects.chip import document
from moneyback.dialects.chip.account import each_captured, read_filters
from moneyback.dialects.chip.fields import invalid, opened, refused
from moneyback.dialects.chip.lists import page_of
from moneyback.dialects.chip.objects import Viewer, total
from moneyback.dialects.chip.sheets import CSV_TYPE, XLSX_TYPE, csv_of, xlsx_of
from moneyback.dialects.chip.standing import status
from moneyback.dialects.chip.wire import ALL, Complaint, unix

STATEMENTS: Final = "company_statement"
FORMATS: Final = ("csv", "xlsx")
MAKING_S: Final = 1
"""For how long a statement is pending, so that a program that waits for one meets both words."""
COLUMNS: Final = (
    *("id", "reference", "created_on", "paid_on", "status", "payment_method"),
    *("currency", "total", "paid", "fee", "refunded"),
)
_NOT_FOUND: Final = refused(Complaint(ALL, "not_found", "Not found."), 404)
_IDS: Final = ("brand_id", "company_id")


def schedule_statement(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /company_statements/: 201 and the statement, pending. What it is about is in the query."""
    asked = read_filters(incoming.query, caller)
    if isinstance(asked, Outgoing):
        return asked
    form, wrongs = opened(incoming.body)
    wanted, timezone = form.text("format", 32) or FORMATS[0], form.text("timezone", 64) or "UTC"
    if wanted not in FORMATS:
        form.wrong("format", "invalid_choice", "This is not a valid choice.")
    if wrongs:
        return invalid(wrongs)
    id, now = (yield NewId()), (yield Instant())
    statement: dict[str, Any] = {
        "id": str(id),
        "format": wanted,
        "timezone": timezone,
        "query": [list(pair) for pair in incoming.query],
        "shop": caller.merchant.hex,
        "owner": {name: caller.profile[name] for name in _IDS if name in caller.profile},
        "cancelled": False,
        "created_on": unix(now),
    }
    yield SaveDocument(STATEMENTS, statement["id"], statement)
    return Outgoing(status=201, body=_shown(statement, Viewer(caller=caller, base=incoming.base, now=now)))


def list_statements(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /company_statements/: newest first."""
    now: datetime = yield Instant()
    viewer = Viewer(caller=caller, base=incoming.base, now=now)
    return (yield from page_of(incoming, STATEMENTS, lambda each: _shown(each, viewer)))


def read_statement(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /company_statements/{id}/: the statement, with its address once it can be fetched."""
    statement = yield from _find(incoming)
    if statement is None:
        return _NOT_FOUND
    now: datetime = yield Instant()
    return Outgoing(body=_shown(statement, Viewer(caller=caller, base=incoming.base, now=now)))


def cancel_statement(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /company_statements/{id}/cancel/: it will not be made; one that was cannot be cancelled."""
    statement = yield from _find(incoming)
    if statement is None:
        return _NOT_FOUND
    now: datetime = yield Instant()
    viewer = Viewer(caller=caller, base=incoming.base, now=now)
    if _status(statement, now) != "pending":
        sentence = "Only statements with `status == pending` can be cancelled."
        return refused(Complaint(ALL, "company_statement_cancel_wrong_status", sentence))
    statement = {**statement, "cancelled": True}
    yield SaveDocument(STATEMENTS, statement["id"], statement)
    return Outgoing(body=_shown(statement, viewer))


def download_statement(incoming: Incoming, _caller: Caller) -> Conversation:
    """GET the file: a line for each Purchase that was paid, oldest first."""
    try:
        shop = UUID(hex=incoming.arguments["shop"])
    except ValueError:
        return _NOT_FOUND
    yield ActFor(shop)
    statement = yield from _find(incoming)
    now: datetime = yield Instant()
    if statement is None or _status(statement, now) != "success":
        return _NOT_FOUND
    asked = read_filters(
        [(name, value) for name, value in statement["query"]], Caller(merchant=shop, profile=statement["owner"])
    )
    assert not isinstance(asked, Outgoing), "its filters were read when it was asked for"
    rows: list[tuple[str, ...]] = [COLUMNS]
    yield from each_captured(asked, lambda payment: rows.append(_row(payment)))
    wanted = statement["format"]
    body, media_type = (csv_of(rows), CSV_TYPE) if wanted == "csv" else (xlsx_of(rows), XLSX_TYPE)
    name = f'attachment; filename="statement-{statement["id"]}.{wanted}"'
    headers = {"Content-Disposition": name, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Outgoing(body=body, media_type=media_type, headers=headers)


def _row(payment: Payment) -> tuple[str, ...]:
    def money(minor: int) -> str:
        return str(to_decimal(minor, currency(payment.currency)))

    gone = payment.refunded + payment.external + payment.clawed_back
    paid_at = payment.captured_at or payment.created_at
    return (
        payment.dialect_id,
        str(payment.document.get("reference") or payment.order or ""),
        payment.created_at.isoformat(timespec="seconds"),
        paid_at.isoformat(timespec="seconds"),
        status(payment).value,
        document.method(payment) or "",
        payment.currency,
        *(money(each) for each in (total(payment), payment.captured, payment.fees, gone)),
    )


def _find(incoming: Incoming) -> Generator[Ask, Any, Mapping[str, Any] | None]:
    found: Mapping[str, Any] | None = yield LoadDocument(STATEMENTS, incoming.arguments["id"].lower())
    return found


def _status(statement: Mapping[str, Any], now: datetime) -> str:
    if statement["cancelled"]:
        return "cancelled"
    return "success" if unix(now) >= statement["created_on"] + MAKING_S else "pending"


def _shown(statement: Mapping[str, Any], viewer: Viewer) -> dict[str, Any]:
    assert viewer.now is not None
    standing, began = _status(statement, viewer.now), statement["created_on"]
    made = standing == "success"
    finished = began + MAKING_S if made else None
    return {
        "format": statement["format"],
        "timezone": statement["timezone"],
        "is_test": True,
        "company_uid": str(statement["owner"].get("company_id") or uuid5(viewer.caller.merchant, "company_id")),
        "query_string": urlencode([tuple(pair) for pair in statement["query"]]),
        "status": standing,
        "download_url": f"{viewer.base}/s/{statement['shop']}/{statement['id']}/" if made else "",
        "began_on": began,
        "finished_on": finished,
        "created_on": began,
        "updated_on": finished or began,
        "type": "company_statement",
        "id": statement["id"],
    }
