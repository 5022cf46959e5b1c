"""Trustly's list of transactions as we serve it: filters, order, pages, and what is not understood."""

from typing import Any

import pytest

from moneyback.core.payment import Payment
from moneyback.dialect import Outgoing
from moneyback.dialects.trustly import DIALECT
from moneyback.dialects.trustly.lists import COUNT, COUNT_MAX
from moneyback.dialects.trustly.schemas import TRANSACTION_LIST
from moneyback.dialects.trustly.wire import milliseconds
from tests.dialects.driver import START, STRANGER, Table, misfits, said

NOW = str(milliseconds(START))


def asked(world: Table, *query: tuple[str, str]) -> Outgoing:
    return world.call("GET", "/api/v1/transactions", query=query)


def listed(world: Table, *query: tuple[str, str]) -> list[str]:
    """The ids of a list, every answer held against its own schema."""
    outgoing = asked(world, *query)
    assert (outgoing.status, misfits(TRANSACTION_LIST, outgoing)) == (200, [])
    return [each["transactionId"] for each in said(outgoing)["transactions"]]


def a_world() -> tuple[Table, list[Payment], list[str]]:
    """Two payments; two refunds of the first, one of the second; another merchant's payment."""
    world = Table(DIALECT)
    payments = [world.pay(100_00, "USD", dialect_data={"originalTransactionId": "77"}), world.pay(50_00, "USD")]
    world.pay(10_00, "USD", merchant=STRANGER)
    for payment in (payments[0], payments[0], payments[1]):
        world.call("POST", f"/api/v1/transactions/{payment.dialect_id}/refund", {"amount": "1.00"})
    world.bring(world.refunds[1], "succeeded")
    return world, payments, [each.dialect_id for each in world.refunds]


def test_the_refunds_of_an_original():
    world, payments, refunds = a_world()
    assert listed(world, ("originalTransactionId", payments[0].dialect_id)) == refunds[1::-1]
    assert listed(world, ("originalTransactionId", payments[1].dialect_id)) == refunds[2:]
    shown = said(asked(world, ("originalTransactionId", payments[1].dialect_id)))
    assert shown["transactions"][0]["transactionType"] == 4
    assert (shown["startIndex"], shown["itemsPerPage"]) == (0, COUNT)


def test_the_captures_of_an_authorisation():
    world, payments, _ = a_world()
    assert listed(world, ("originalTransactionId", "77")) == [payments[0].dialect_id]
    assert listed(world, ("originalTransactionId", "78")) == []


def test_everything_that_is_the_callers():
    world, payments, refunds = a_world()
    assert sorted(listed(world)) == sorted([*refunds, *(each.dialect_id for each in payments)])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ([("transactionType", "4")], [2, 1, 0]),
        ([("transactionType", "5")], []),
        ([("transactionType", "5"), ("transactionType", "4")], [2, 1, 0]),
        ([("transactionType", "4"), ("transactionStatus", "4")], [1]),
        ([("transactionType", "4"), ("transactionStatus", "1"), ("transactionStatus", "5")], [2, 0]),
        ([("transactionType", "4"), ("sortOrder", "asc")], [0, 1, 2]),
        ([("transactionType", "4"), ("orderBy", "updatedAt"), ("sortOrder", "asc")], [0, 1, 2]),
        ([("transactionType", "4"), ("count", "2")], [2, 1]),
        ([("transactionType", "4"), ("count", "2"), ("startIndex", "2")], [0]),
        ([("transactionType", "4"), ("startIndex", "3")], []),
        ([("transactionType", "4"), ("count", "0")], []),
        ([("transactionType", "4"), ("createdAt.start", NOW), ("createdAt.end", NOW)], [2, 1, 0]),
        ([("transactionType", "4"), ("createdAt.start", str(int(NOW) + 1))], []),
        ([("transactionType", "4"), ("createdAt.end", str(int(NOW) - 1))], []),
    ],
)
def test_filters_orders_and_pages(query: list[tuple[str, str]], found: list[int]):
    world, _, refunds = a_world()
    assert listed(world, *query) == [refunds[n] for n in found]


def test_captures_alone():
    world, payments, _ = a_world()
    assert listed(world, ("transactionType", "3")) == [each.dialect_id for each in payments[::-1]]


def test_a_page_has_a_limit():
    world, _, _ = a_world()
    assert said(asked(world, ("count", "5000")))["itemsPerPage"] == COUNT_MAX


@pytest.mark.parametrize(
    "query",
    [
        ("payment.merchantReference", "x"),
        ("count", "many"),
        ("count", "-1"),
        ("startIndex", "1" * 16),
        ("startIndex", "٣"),
        ("transactionType", ""),
        ("transactionStatus", "completed"),
        ("orderBy", "amount"),
        ("sortOrder", "up"),
        ("createdAt.start", "2026-01-01"),
        ("createdAt.end", "9" * 15),
    ],
)
def test_what_is_not_understood_is_an_error(query: tuple[str, str]):
    """A filter that was ignored would show what was not asked for."""
    outgoing: Any = asked(a_world()[0], query)
    assert outgoing.status == 400
    assert said(outgoing)["errors"][0]["code"] == 200
    assert query[0] in said(outgoing)["errors"][0]["message"]
