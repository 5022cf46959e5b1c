"""Trustly's lists as we serve them: filters, order, pages, and what is not understood."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moneyback.core.payment import Payment
from moneyback.dialect import ListPayments, ListRefunds, Outgoing
from moneyback.dialects.trustly import DIALECT
from moneyback.dialects.trustly.pages import COUNT, COUNT_MAX, Search
from moneyback.dialects.trustly.schemas import PAYMENT, PAYMENT_LIST, TRANSACTION_LIST
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
        ("payment.customer.name", "x"),
        ("accountNumber", "6789"),
        ("amount.min", "ten"),
        ("amount.average", "10"),
        ("payment.paymentType", "Deferred"),
        ("payment.fiAccount.verified", "perhaps"),
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


# --- every documented filter -----------------------------------------------------------------------------------------


def a_payment_with_everything() -> tuple[Table, dict[str, str]]:
    """An authorization, a capture with a refund, a preauthorization with a capture, a deposit; and a plain pay."""
    world = Table(DIALECT)
    ids: dict[str, str] = {}

    def made(name: str, path: str, body: dict[str, Any]) -> None:
        outgoing = world.call("POST", f"/api/v1{path}", {"merchantReference": name} | body)
        assert outgoing.status == 200, said(outgoing)
        ids[name] = said(outgoing)["transactionId"]
        world.now += timedelta(minutes=1)

    about = {"paymentType": "Deferred", "amount": "100.00", "description": "Books", "customer": {"externalId": "c-1"}}
    made("authorization", "/establish", about)
    made("capture", f"/transactions/{ids['authorization']}/capture", {"amount": "40.00"})
    made("refund", f"/transactions/{ids['capture']}/refund", {"amount": "15.00"})
    made("held", f"/transactions/{ids['authorization']}/capture/preAuth", {"amount": "20.00", "period": 6})
    made("held capture", f"/transactions/{ids['held']}/capture", {"amount": "20.00"})
    made("deposit", f"/transactions/{ids['authorization']}/deposit", {"amount": "5.00"})
    made("reclaim", f"/transactions/{ids['deposit']}/reclaim", {"amount": "2.00"})
    plain = world.pay(70_00, "USD", dialect_data={"transactionType": 2, "merchantReference": "plain"})
    ids["plain"] = plain.dialect_id
    return world, ids


ALL = ["plain", "reclaim", "deposit", "held capture", "held", "refund", "capture", "authorization"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ([], ALL),
        ([("transactionType", "1")], ["authorization"]),
        ([("transactionType", "2")], ["plain"]),
        ([("transactionType", "3")], ["held capture", "capture"]),
        ([("transactionType", "4")], ["refund"]),
        ([("transactionType", "6")], ["deposit"]),
        ([("transactionType", "7")], ["reclaim"]),
        ([("transactionType", "10")], ["held"]),
        ([("transactionType", "8")], []),
        ([("transactionType", "4"), ("transactionType", "7")], ["reclaim", "refund"]),
        ([("transactionStatus", "2")], ["held", "authorization"]),
        ([("transactionStatus", "11")], ["deposit", "capture"]),
        ([("transactionStatus", "4")], ["plain", "held capture"]),
        ([("originalTransactionId", "authorization")], ["deposit", "held", "capture"]),
        ([("originalTransactionId", "held")], ["held capture"]),
        ([("originalTransactionId", "capture")], ["refund"]),
        ([("originalTransactionId", "deposit")], ["reclaim"]),
        ([("originalTransactionId", "refund")], []),
        ([("originalTransactionId", "authorization"), ("transactionType", "3")], ["capture"]),
        ([("originalTransactionId", "authorization"), ("count", "1"), ("startIndex", "1")], ["held"]),
        ([("payment.paymentId", "authorization")], ALL[1:]),
        ([("payment.paymentId", "plain")], ["plain"]),
        ([("payment.paymentId", "capture")], []),
        ([("payment.paymentId", "12345")], []),
        ([("payment.paymentId", "authorization"), ("transactionType", "4")], ["refund"]),
        ([("payment.paymentType", "2")], ALL[1:]),
        ([("payment.paymentType", "1"), ("payment.paymentType", "4")], ["plain"]),
        ([("payment.merchantReference", "authorization")], ALL[1:]),
        ([("payment.merchantReference", "plain")], ["plain"]),
        ([("payment.merchantReference", "refund")], []),
        ([("payment.description", "Books"), ("transactionType", "4")], ["refund"]),
        ([("payment.customer.externalId", "c-1"), ("transactionType", "6")], ["deposit"]),
        ([("payment.customer.externalId", "c-2")], []),
        ([("payment.authorization.status", "2")], ALL),
        ([("payment.authorization.status", "13")], []),
        ([("payment.verification.status", "1")], ALL),
        ([("payment.fiAccount.verified", "true")], ALL),
        ([("payment.fiAccount.verified", "false")], []),
        ([("payment.merchant.merchantId", "1002463580")], ALL),
        ([("payment.merchant.merchantId", "1")], []),
        ([("ignoreUserPortalTransactions", "true")], ALL),
        ([("ipAddr", "192.0.2.10")], ALL),
        ([("paymentProviderTransaction.ppTrxStatusCode", "AC100")], ["reclaim", "refund"]),
        ([("paymentProviderTransaction.ppTrxStatusCode", "SW020")], ["held", "authorization"]),
        ([("amount.min", "40.00")], ["plain", "capture", "authorization"]),
        ([("amount.min", "40.01"), ("amount.max", "99.99")], ["plain"]),
        ([("paid.min", "20"), ("paid.max", "40")], ["held capture", "capture"]),
        ([("refunded.min", "0.01")], ["deposit", "capture"]),
        ([("refunded.max", "2.00"), ("refunded.min", "2.00")], ["deposit"]),
        ([("createdAt.start", 2), ("createdAt.end", 4)], ["held capture", "held", "refund"]),
        ([("createdAt.end", 0)], ["authorization"]),
        ([("updatedAt.start", 6)], ["plain", "reclaim", "deposit"]),
        ([("completedAt.start", 0), ("transactionType", "3")], ["held capture", "capture"]),
        ([("processedAt.end", 2)], ["capture"]),
        ([("sortOrder", "asc")], ALL[::-1]),
        ([("sortOrder", "asc"), ("startIndex", "2"), ("count", "3")], ["refund", "held", "held capture"]),
        ([("startIndex", "5")], ALL[5:]),
        ([("startIndex", "8")], []),
        ([("startIndex", "999999999999999")], []),
    ],
)
def test_every_documented_filter(query: list[tuple[str, Any]], found: list[str]):
    """Names stand for ids, and small numbers for the minute."""
    world, ids = a_payment_with_everything()
    world.call("GET", f"/api/v1/transactions/{ids['held capture']}")  # whoever looks finds the batch done

    def plainly(name: str, value: Any) -> tuple[str, str]:
        if isinstance(value, int):
            return name, str(milliseconds(START + timedelta(minutes=value)))
        return name, ids.get(value, value) if name.endswith("Id") else value

    names = {number: name for name, number in ids.items()}
    assert [names[each] for each in listed(world, *(plainly(*each) for each in query))] == found


@pytest.mark.parametrize("query", [("orderBy", "updatedAt"), ("transactionType", "4")])
def test_an_empty_page(query: tuple[str, str]):
    world, _ = a_payment_with_everything()
    assert listed(world, query, ("count", "0")) == []


def test_returns_are_listed_where_they_are_asked_for():
    world = Table(DIALECT)
    payment = world.see(world.pay(10_00, "USD"), "claw_back", 10_00)
    back = f"5{payment.dialect_id}"
    assert listed(world, ("originalTransactionId", payment.dialect_id), ("transactionType", "5")) == [back]
    assert listed(world, ("transactionType", "5")) == [back]
    assert listed(world, ("payment.paymentId", payment.dialect_id)) == [back, payment.dialect_id]
    assert listed(world) == [payment.dialect_id]


def test_totals_are_those_of_the_payment_wherever_it_is_shown():
    world, ids = a_payment_with_everything()
    for each in said(asked(world, ("payment.paymentId", ids["authorization"])))["transactions"]:
        # two captures of 40 and 20, one refund of 15; the deposit is none of it
        assert (each["payment"]["paid"], each["payment"]["refunded"]) == ("60.00", "15.00")


# --- pages -----------------------------------------------------------------------------------------------------------


@given(
    made=st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=25),
    count=st.integers(1, 7),
    ascending=st.booleans(),
)
def test_pages_are_the_whole_list_in_pieces(made: list[tuple[bool, int]], count: int, ascending: bool):
    """However payments and refunds follow each other in time, and wherever a page begins."""
    world = Table(DIALECT)
    payment = world.pay(1000_00, "USD")
    order = [payment.dialect_id]
    for refund, minutes in made:
        world.now += timedelta(minutes=minutes)
        if refund:
            world.call("POST", f"/api/v1/transactions/{payment.dialect_id}/refund", {"amount": "1.00"})
            order.append(world.refunds[-1].dialect_id)
        else:
            order.append(world.pay(1_00, "USD").dialect_id)
    direction = ("sortOrder", "asc" if ascending else "desc")
    whole = listed(world, direction, ("count", "100"))
    assert sorted(whole) == sorted(order)
    pieces: list[str] = []
    for start in range(0, len(order) + count, count):
        pieces += listed(world, direction, ("count", str(count)), ("startIndex", str(start)))
    assert pieces == whole


def test_what_comes_before_a_page_is_not_read():
    """However deep it begins, a few single rows tell where."""
    world = Table(DIALECT)
    payment = world.pay(100_000_00, "USD")
    for _ in range(120):
        world.now += timedelta(seconds=1)
        world.pay(1_00, "USD")
        world.call("POST", f"/api/v1/transactions/{payment.dialect_id}/refund", {"amount": "1.00"})
    costs = []
    for start in ("0", "100", "235"):
        before = len(world.asks)
        listed(world, ("startIndex", start), ("count", "3"))
        read = [ask.limit for ask in world.asks[before:] if isinstance(ask, ListPayments | ListRefunds)]
        costs.append(sum(read))
    assert max(costs) < 40


def a_deposit() -> dict[str, Any]:
    """Beneath an authorization that is not known here."""
    return {"transactionType": 6, "authorization": "77"}


def lists_asked(world: Table) -> list[ListPayments | ListRefunds]:
    return [ask for ask in world.asks if isinstance(ask, ListPayments | ListRefunds)]


@pytest.mark.parametrize("types", [["4"], ["4", "7"], ["3"], ["3", "4"], ["6"], ["2", "6"]])
def test_what_comes_before_a_page_of_one_type_is_not_read(types: list[str]):
    """As long as that type is all there is, or is found by the documents of its payments."""
    world = Table(DIALECT)
    for number in range(120):
        world.now += timedelta(seconds=1)
        payment = world.pay(1_00, "USD", dialect_data=a_deposit() if "6" in types and number % 2 else {})
        if "6" not in types:
            world.call("POST", f"/api/v1/transactions/{payment.dialect_id}/refund", {"amount": "1.00"})
    query = [("transactionType", each) for each in types]
    whole = listed(world, *query, ("count", "100"))
    world.asks.clear()
    assert listed(world, *query, ("startIndex", "50"), ("count", "3")) == whole[50:53]
    assert sum(ask.limit for ask in lists_asked(world)) < 40


@given(
    made=st.lists(st.sampled_from([1, 2, 3, 6, 10, -1, -2, -3]), max_size=16),
    types=st.sets(st.integers(0, 11), min_size=1, max_size=3),
    count=st.integers(1, 4),
    ascending=st.booleans(),
)
@example(made=[1, 3, 2, 3, 10, 3], types={3}, count=1, ascending=False)
@example(made=[6, -1, 3, -1, 6, -1, 3, -1], types={4}, count=1, ascending=True)
@example(made=[6, -1, 3, -1, 6, -1, 3, -1], types={7}, count=1, ascending=False)
@example(made=[3, -1, 2, -1, -2], types={2, 4}, count=1, ascending=False)
def test_pages_of_some_types_are_the_whole_list_without_the_others(
    made: list[int], types: set[int], count: int, ascending: bool
):
    """Whatever else there is, whether its places are known or it must be looked for."""
    world = Table(DIALECT)
    payments: list[Payment] = []
    for kind in made:
        world.now += timedelta(minutes=1)
        if kind > 0:
            payments.append(
                world.pay(10_00, "USD", dialect_data=a_deposit() if kind == 6 else {"transactionType": kind})
            )
        elif len(payments) >= -kind:
            path = f"/api/v1/transactions/{payments[kind].dialect_id}"
            for call in ("refund", "reclaim"):
                world.call("POST", f"{path}/{call}", {"amount": "1.00"})
    direction = ("sortOrder", "asc" if ascending else "desc")
    whole = said(asked(world, direction, ("count", "100")))["transactions"]
    expected = [each["transactionId"] for each in whole if each["transactionType"] in types]
    pieces: list[str] = []
    for start in range(0, len(expected) + count, count):
        chosen = [("transactionType", str(each)) for each in sorted(types)]
        pieces += listed(world, *chosen, direction, ("count", str(count)), ("startIndex", str(start)))
    assert pieces == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("payment.merchantReference", "authorization"),
        ("payment.description", "Books"),
        ("payment.customer.externalId", "c-1"),
        ("paymentProviderTransaction.paymentProviderTransactionId", "capture"),
        ("paymentProviderTransaction.paymentProviderTransactionId", "refund"),
    ],
)
def test_what_a_text_leads_to_is_found_among_nothing_else(name: str, text: str):
    world, ids = a_payment_with_everything()
    for _ in range(30):
        world.now += timedelta(seconds=1)
        world.pay(1_00, "USD")
    query = (name, ids[text] if name.endswith("TransactionId") else text)
    whole = said(asked(world, ("count", "100")))["transactions"]
    expected = [ids[text]] if name.endswith("TransactionId") else [ids[each] for each in ALL[1:]]
    world.asks.clear()
    assert listed(world, query) == expected
    assert len(whole) == 30 + len(ALL)
    for ask in lists_asked(world):
        of_one = isinstance(ask, ListRefunds) and ask.payment is not None
        assert of_one or ask.match or ask.order or (ask.created_from is not None and ask.created_from == ask.created_to)


def test_a_reference_may_be_an_order_or_the_payments_own_id():
    """Where nothing else was said it is what a record calls its reference; found once, whichever way leads there."""
    world = Table(DIALECT)
    named = world.pay(1_00, "USD", dialect_data={"merchantReference": "r-1"}, order="r-1")
    ordered, plain = world.pay(1_00, "USD", order="r-1"), world.pay(1_00, "USD")
    world.pay(1_00, "USD", dialect_data={"merchantReference": "r-2"}, order="r-1")
    for payment in (named, plain):
        world.call("POST", f"/api/v1/transactions/{payment.dialect_id}/refund", {"amount": "1.00"})
    first, second = (each.dialect_id for each in world.refunds)
    by = "payment.merchantReference"
    assert listed(world, (by, "r-1")) == [first, ordered.dialect_id, named.dialect_id]
    assert listed(world, (by, plain.dialect_id)) == [second, plain.dialect_id]
    assert listed(world, (by, "r-1"), ("count", "1"), ("startIndex", "1")) == [ordered.dialect_id]
    assert listed(world, (by, "r-1"), ("orderBy", "updatedAt"), ("transactionType", "3")) == [
        ordered.dialect_id,
        named.dialect_id,
    ]


@given(
    made=st.lists(st.integers(0, 2), max_size=20),
    first=st.integers(1, 3),
    start=st.integers(0, 6),
    ascending=st.booleans(),
)
def test_a_search_misses_nothing_and_shows_nothing_twice(made: list[int], first: int, start: int, ascending: bool):
    """Wherever its chunks end, in the middle of a moment too."""
    world = Table(DIALECT)
    ids = []
    for minutes in made:
        world.now += timedelta(minutes=minutes)
        ids.append(world.pay(1_00, "USD").dialect_id)
    search = Search(ListPayments(ascending=ascending, offset=start), first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moneyback.dialects.trustly.pages.CHUNK_NEXT", 2)
        found = world.run(all_of(search))
    assert found.body == (ids if ascending else ids[::-1])[start:]


def all_of(search: Search) -> Any:
    found = []
    while (yield from search.head()) is not None:
        found.append(search.take().dialect_id)
    return Outgoing(body=found)


def test_a_search_has_an_end(monkeypatch: pytest.MonkeyPatch):
    """More is not looked through, and what was not looked at is not left out in silence."""
    world, _ = a_payment_with_everything()
    monkeypatch.setattr("moneyback.dialects.trustly.pages.SEARCHED_MAX", 3)
    assert listed(world, ("transactionType", "2"), ("count", "1"))
    for path in ("transactions", "payments"):
        outgoing = world.call("GET", f"/api/v1/{path}", query=[("amount.min", "5000")])
        assert outgoing.status == 400
        assert "narrow it by createdAt" in said(outgoing)["errors"][0]["message"]


# --- payments --------------------------------------------------------------------------------------------------------


def payments(world: Table, *query: tuple[str, str]) -> list[str]:
    outgoing = world.call("GET", "/api/v1/payments", query=query)
    assert (outgoing.status, misfits(PAYMENT_LIST, outgoing)) == (200, []), said(outgoing)
    return [each["paymentId"] for each in said(outgoing)["payments"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ([], ["plain", "authorization"]),
        ([("sortOrder", "asc")], ["authorization", "plain"]),
        ([("count", "1"), ("startIndex", "1")], ["authorization"]),
        ([("orderBy", "updatedAt")], ["plain", "authorization"]),
        ([("paymentType", "2")], ["authorization"]),
        ([("paymentType", "2"), ("paymentType", "1")], ["plain", "authorization"]),
        ([("merchantReference", "plain")], ["plain"]),
        ([("description", "Books")], ["authorization"]),
        ([("paymentId", "authorization")], ["authorization"]),
        ([("paymentId", "capture")], []),
        ([("authorization.status", "2")], ["plain", "authorization"]),
        ([("verification.status", "2")], []),
        ([("merchant.merchantId", "1002463580"), ("fingerprint", "sandbox")], ["plain", "authorization"]),
        ([("paymentProvider.paymentProviderId", "200000001")], ["plain", "authorization"]),
        ([("amount.min", "100")], ["authorization"]),
        ([("paid.max", "60.00")], ["authorization"]),
        ([("refunded.min", "15.00")], ["authorization"]),
        ([("createdAt.end", NOW)], ["authorization"]),
        ([("updatedAt.start", NOW)], ["plain", "authorization"]),
    ],
)
def test_payments_and_their_filters(query: list[tuple[str, str]], found: list[str]):
    world, ids = a_payment_with_everything()
    names = {number: name for name, number in ids.items()}
    plainly = [(name, ids.get(value, value) if name == "paymentId" else value) for name, value in query]
    assert [names[each] for each in payments(world, *plainly)] == found


def test_a_payment_is_read_with_its_totals():
    world, ids = a_payment_with_everything()
    outgoing = world.call("GET", f"/api/v1/payments/{ids['authorization']}")
    assert (outgoing.status, misfits(PAYMENT, outgoing)) == (200, [])
    shown = said(outgoing)
    assert (shown["paymentType"], shown["payment"]["paymentType"]) == ("2", 2)
    names = ("amount", "pending", "paid", "refunded", "reversed", "balance")
    assert [shown[name] for name in names] == ["100.00", "0.00", "60.00", "15.00", "0.00", "45.00"]


@pytest.mark.parametrize("name", ["capture", "refund", "abc"])
def test_what_is_no_payment(name: str):
    world, ids = a_payment_with_everything()
    number = ids.get(name, name)
    outgoing = world.call("GET", f"/api/v1/payments/{number}")
    assert outgoing.status == 400
    assert said(outgoing)["errors"][0]["message"] == f"Could not find a payment using Id {number}"


def test_pages_of_payments_among_their_own_records():
    """With and without records that were made of an authorization, places are those of payments."""
    world = Table(DIALECT)
    ids = [world.pay(1_00, "USD").dialect_id for _ in range(5)]
    assert payments(world, ("startIndex", "3"), ("count", "2")) == [ids[1], ids[0]]
    body = {"merchantReference": "r", "paymentType": 2, "amount": "0"}
    number = said(world.call("POST", "/api/v1/establish", body))["transactionId"]
    world.call("POST", f"/api/v1/transactions/{number}/capture", {"merchantReference": "c", "amount": "1.00"})
    assert payments(world, ("startIndex", "1"), ("count", "2")) == [ids[4], ids[3]]
