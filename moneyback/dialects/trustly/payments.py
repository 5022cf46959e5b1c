"""Payments of Trustly's: what a consumer authorised, with the totals of everything that was made of it."""

from __future__ import annotations

from collections.abc import Generator
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from moneyback.core.money import currency, to_decimal
from moneyback.core.payment import Payment
from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    FindPayment,
    Incoming,
    ListPayments,
    Outgoing,
    Route,
)
from moneyback.dialects.trustly import pages
from moneyback.dialects.trustly.captures import CAPTURE, DEPOSIT, PREAUTHORIZATION
from moneyback.dialects.trustly.filters import Known, Query, matches, parse
from moneyback.dialects.trustly.objects import both_forms, list_enum, merchant_id, payment_object
from moneyback.dialects.trustly.records import (
    SANDBOX_BANK,
    Family,
    authorization_record_status,
    family_sums,
    payment_facts,
    payment_reference_of_all,
    payment_type,
    root_of,
)
from moneyback.dialects.trustly.schemas import PAYMENT, PAYMENT_LIST
from moneyback.dialects.trustly.server import ACCEPTS, BadParameter, invalid
from moneyback.dialects.trustly.standing import family_of, stand

MADE: Final = (CAPTURE.method, PREAUTHORIZATION.method, DEPOSIT.method)
NEWEST: Final = 1000
"""Payments that are put in order when a list is asked for by the times of change."""


class Row(msgspec.Struct, frozen=True):
    """A payment with all that its totals are made of, and who asks."""

    family: Family
    caller: Caller


def _money(row: Row, minor: int) -> Decimal:
    return to_decimal(minor, currency(row.family.root.currency))


def _amount(row: Row) -> Decimal:
    root = row.family.root
    return _money(row, root.captured or root.authorized)


KNOWN: Final = Known(
    texts={
        "paymentId": lambda row: row.family.root.dialect_id,
        "merchantReference": lambda row: payment_reference_of_all(row.family.root),
        "description": lambda row: payment_facts(row.family.root).get("description"),
        "merchant.merchantId": lambda row: merchant_id(row.caller),
        "paymentProvider.paymentProviderId": lambda _row: str(SANDBOX_BANK["paymentProviderId"]),
        "fingerprint": lambda _row: "sandbox",
    },
    numbers={
        "paymentType": lambda row: payment_type(row.family.root).value,
        "authorization.status": lambda row: authorization_record_status(row.family.root).value,
        "verification.status": lambda _row: 1,
    },
    switches={},
    money={
        "amount": _amount,
        "paid": lambda row: _money(row, family_sums(row.family).paid),
        "refunded": lambda row: _money(row, family_sums(row.family).refunded),
    },
    times={
        "createdAt": lambda row: row.family.root.created_at,
        "updatedAt": lambda row: updated_at(row.family),
    },
)
"""The documented filters (provider docs: OpenAPI, list payments). Bank accounts and names are not kept."""


def updated_at(family: Family) -> Any:
    """When any of its records changed last."""
    return max(each.updated_at for each in (family.root, *family.members))


def read_payment(incoming: Incoming, caller: Caller) -> Conversation:
    """Show a payment: bare as the reference has it, and beneath its name with numbers, as transactions are."""
    number = incoming.arguments["paymentId"]
    payment: Payment | None = yield FindPayment(number)
    if payment is None or not _is_root(payment):
        return invalid(f"Could not find a payment using Id {number}")
    family = yield from family_of((yield from stand(payment)))
    return Outgoing(body=both_forms("payment", caller, lambda enum: payment_object(family, caller, enum)))


def list_payments(incoming: Incoming, caller: Caller) -> Conversation:
    """Payments that match, by age, a page at a time (provider docs: OpenAPI, list payments)."""
    try:
        query = parse(incoming.query, KNOWN)
        rows = yield from _page(query, caller)
    except (BadParameter, pages.TooMany) as bad:
        return invalid(str(bad))
    shown = [payment_object(row.family, caller, list_enum(caller)) for row in rows]
    return Outgoing(body={"payments": shown, "startIndex": query.start, "itemsPerPage": query.count})


def _page(query: Query, caller: Caller) -> Generator[Ask, Any, list[Row]]:
    def matching(source: pages.Source) -> Generator[Ask, Any, list[Row]]:
        return (yield from _matching(source, query, caller))

    begin, end = query.created
    listed = ListPayments(created_from=begin, created_to=end, ascending=query.ascending)
    if "paymentId" in query.texts:
        named: Payment | None = yield FindPayment(query.texts["paymentId"])
        rows = [] if named is None else (yield from matching(named))
    elif query.order == "updatedAt":
        newest: tuple[Payment, ...] = yield pages.newest(listed, NEWEST)
        rows = []
        for each in newest:
            rows += yield from matching(each)
        rows.sort(key=lambda row: updated_at(row.family), reverse=not query.ascending)
    elif query.plain and query.start > pages.CHUNK and not (yield from _have_records()):
        exact = replace(listed, offset=query.start)
        return (yield from pages.searched((exact,), matching, 0, query.count, chunk=max(1, query.count)))
    else:
        return (yield from pages.searched((listed,), matching, query.start, query.count))
    return rows[query.start : query.start + query.count]


def _matching(source: pages.Source, query: Query, caller: Caller) -> Generator[Ask, Any, list[Row]]:
    """The row of a payment that matches; records that were made of one are none of their own."""
    if not isinstance(source, Payment) or not _is_root(source):
        return []
    family = yield from family_of((yield from stand(source)))
    row = Row(family, caller)
    return [row] if matches(query, KNOWN, row) else []


def _have_records() -> Generator[Ask, Any, bool]:
    """Whether any record was made of an authorisation: without them every payment of the engine's is one here."""
    for method in MADE:
        if (yield ListPayments(method=method, limit=1)):
            return True
    return False


def _is_root(payment: Payment) -> bool:
    return root_of(payment) == payment.dialect_id


ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/payments",
        handle=list_payments,
        kind="relayed",
        accepts=ACCEPTS,
        summary="List payments",
        response_schema=PAYMENT_LIST,
    ),
    Route(
        method="GET",
        path="/api/v1/payments/{paymentId}",
        handle=read_payment,
        kind="relayed",
        accepts=ACCEPTS,
        summary="Read a payment with the totals of its transactions",
        response_schema=PAYMENT,
    ),
)
