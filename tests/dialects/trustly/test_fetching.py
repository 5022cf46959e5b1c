"""What Trustly shows when it is asked: originals that we meet, what may be kept of them, and the list of refunds."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moneyback.dialect import AnswerLost, Call, Fetched, Listed, Reply
from moneyback.dialects.trustly import DIALECT
from moneyback.dialects.trustly.client import CLIENT
from moneyback.dialects.trustly.fetching import LIST_LAG, fetch, list_refunds, remainder
from moneyback.dialects.trustly.kept import kept
from moneyback.dialects.trustly.marks import mark_in, reference_of
from moneyback.dialects.trustly.received import transaction
from moneyback.dialects.trustly.wire import milliseconds
from tests.dialects.driver import Table, said
from tests.dialects.loopback import REFUND, Loopback, a_payment, a_sending, answer_with, as_reply
from tests.dialects.trustly.test_client import errors, original, record, shown_list

NUMBER = "1002593555"
MARK = f"mb_{REFUND.hex}_1"
SINCE = datetime(2026, 3, 1, tzinfo=UTC)
NONE_FOUND = as_reply(400, errors(200))


def fetched(shown: Mapping[str, Any], *children: dict[str, Any]) -> Fetched:
    found = answer_with(fetch(NUMBER), as_reply(200, shown), shown_list(*children))
    assert isinstance(found, Fetched)
    return found


# --- what is there ----------------------------------------------------------------------------------------------------


def test_what_trustly_does_not_know_is_not_there():
    assert answer_with(fetch("17"), NONE_FOUND) is None


@pytest.mark.parametrize("kind", ["0", "4", "5", "7", "9", "11"])
def test_what_nothing_is_made_of_is_no_payment(kind: str):
    assert answer_with(fetch(NUMBER), as_reply(200, original(transactionType=kind))) is None


@pytest.mark.parametrize(
    "reply",
    [
        *(as_reply(status, errors(200)) for status in (200, 401, 404, 500, 503)),
        *(as_reply(400, errors(*codes)) for codes in ((100,), (200, 375), (375,))),
        as_reply(400, {"message": "no"}),
        as_reply(200, {}),
        as_reply(200, original(transactionId="7")),
        as_reply(200, original(amount="many")),
        Reply(status=404),
        Reply(status=502, body=b"<html>"),
    ],
)
def test_any_other_answer_is_no_answer(reply: Reply):
    with pytest.raises(AnswerLost):
        answer_with(fetch(NUMBER), reply)


def test_a_list_that_is_not_shown_is_no_answer():
    with pytest.raises(AnswerLost):
        answer_with(fetch(NUMBER), as_reply(200, original()), as_reply(200, {"transactions": [{}]}))


# --- how it stands ----------------------------------------------------------------------------------------------------

STANDS = {
    **dict.fromkeys(("0", "1", "2"), "authorized"),
    **dict.fromkeys(("3", "9", "15"), "processing"),
    **dict.fromkeys(("4", "10", "11", "12", "14"), "captured"),
    **dict.fromkeys(("5", "6", "7", "8", "13"), "failed"),
}


@pytest.mark.parametrize(("status", "condition"), STANDS.items())
@pytest.mark.parametrize(("kind", "method"), [("2", "pay"), ("3", "capture"), ("6", "deposit"), ("8", "representment")])
def test_an_original_by_its_status(kind: str, method: str, status: str, condition: str):
    found = fetched(original(transactionType=kind, status=status, completedAt=1556234040954))
    payment = found.payment
    assert (payment.status, payment.method, payment.amount, payment.currency) == (condition, method, 100_00, "USD")
    assert (found.reference, payment.dialect_id) == (NUMBER, NUMBER)
    assert (found.captured_at is not None) == (found.left is not None) == (condition == "captured")
    assert payment.document["transactionType"] == kind
    assert (payment.document["failureStatus"] == status) == (condition == "failed" or status == "5")


@pytest.mark.parametrize(("kind", "method"), [("1", "authorization"), ("10", "preauthorization")])
@pytest.mark.parametrize(("status", "condition"), [("1", "authorized"), ("2", "authorized"), ("4", "authorized")])
def test_an_authorisation_moved_nothing(kind: str, method: str, status: str, condition: str):
    shown = original(transactionType=kind, status=status, amount="0.00", paid="0.00", balance="0.00")
    found = answer_with(fetch(NUMBER), as_reply(200, shown))
    assert (found.payment.status, found.payment.method, found.payment.amount) == (condition, method, 0)


@pytest.mark.parametrize("status", ["4", "10", "11", "14"])
def test_nothing_came_in_before_something_was_paid(status: str):
    found = fetched(original(status=status, paid="0.00", balance="0.00"))
    assert found.payment.status in ("authorized", "processing")
    assert found.left is None


def test_what_was_paid_is_what_came_in():
    found = fetched(original(amount="100.00", paid="60.00", balance="60.00"))
    assert (found.payment.amount, found.left) == (60_00, 60_00)


def test_a_capture_belongs_to_its_authorisation():
    assert fetched(original(originalTransactionId="7")).payment.order == "7"
    assert fetched(original(transactionType="2", originalTransactionId="7")).payment.order is None


# --- what was given back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        *((each, "pending") for each in ("0", "1", "2", "3", "9", "11", "12", "14")),
        ("4", "succeeded"),
        ("10", "returned"),
        *((each, "failed") for each in ("5", "6", "7", "8", "13")),
    ],
)
def test_a_refund_by_its_status(status: str, seen: str):
    (refund,) = fetched(original(), record(status=status, merchantReference=f"r-1.{MARK}", statusCode="R01")).refunds
    assert (refund.provider_id, refund.payment, refund.amount) == ("1002593600", NUMBER, 1_00)
    assert (refund.status, refund.mark, refund.currency) == (seen, MARK, "USD")
    assert refund.code == ("R01" if seen in ("failed", "returned") else None)


def test_a_bank_return_is_no_refund():
    back = record(transactionType="5", transactionId="9", amount="30.00", status="4")
    found = fetched(original(reversed="30.00", balance="70.00", status="10"), back)
    assert (found.refunds, found.left) == ((), 70_00)
    assert [(each.kind, each.amount, each.reference) for each in found.sightings] == [("claw_back", 30_00, "9")]


@pytest.mark.parametrize(
    ("balance", "refunds", "left"),
    [
        ("100.00", [], 100_00),
        ("90.00", [("10.00", "1")], 90_00),  # the balance falls when a refund is accepted
        ("100.00", [("10.00", "1")], 90_00),  # … or when it is completed
        ("80.00", [("20.00", "4"), ("10.00", "1")], 70_00),
        ("70.00", [("20.00", "4"), ("10.00", "1")], 70_00),
        ("100.00", [("10.00", "5"), ("10.00", "10")], 100_00),
        ("95.00", [("10.00", "1")], 95_00),  # explained by neither: that is for a person
        ("0.00", [("100.00", "4")], 0),
    ],
)
def test_what_remains_whenever_a_balance_falls(balance: str, refunds: list[tuple[str, str]], left: int):
    children = [
        record(transactionId=str(place), amount=amount, status=status) for place, (amount, status) in enumerate(refunds)
    ]
    assert fetched(original(balance=balance), *children).left == left
    shown = transaction(json.dumps(original(balance=balance)).encode())
    assert shown is not None
    assert (
        answer_with(
            CLIENT.read(a_payment(NUMBER, 100_00, "USD")),
            as_reply(200, original(balance=balance)),
            shown_list(*children),
        ).left
        == left
    )
    assert not children or remainder(shown, ()) == shown.left


# --- what is kept -----------------------------------------------------------------------------------------------------

PAYMENT: dict[str, Any] = {
    "paymentId": "1002593500",
    "paymentType": 2,
    "merchant": {"merchantId": "1002463580", "name": "A shop", "secretKey": "s3cr3t"},
    "merchantReference": "order-1",
    "merchantId": "1002463580",
    "fingerprint": "s3cr3t",
    "verification": {"status": 1, "mode": 3, "verifyCustomer": False},
    "account": {
        "name": "s3cr3t",
        "type": 1,
        "profile": 1,
        "accountNumber": "s3cr3t",
        "routingNumber": "s3cr3t",
        "iban": "s3cr3t",
        "token": "s3cr3t",
        "accountNumberLastFour": "s3cr3t-6789",
        "verified": True,
        "country": "US",
    },
    "customer": {"name": "s3cr3t", "address": {"address1": "s3cr3t"}},
    "address": {"city": "s3cr3t"},
    "amount": "100.00",
    "currency": "USD",
    "paymentProvider": {"paymentProviderId": "200000001", "type": 1, "name": "A bank", "subType": "1000"},
    "allowedPaymentProviderType": [1],
    "auth": {"token": "s3cr3t", "status": 2, "message": "Authorized"},
    "authorization": "s3cr3t",
    "authorizationStatus": 2,
    "returnUrl": "https://shop.example/s3cr3t",
    "pending": "5.00",
    "paid": "160.00",
    "refunded": "10.00",
    "reversed": "0.00",
    "balance": "150.00",
    "createdAt": 1556234040954,
    "recordVersion": 3,
    "paymentFlow": 1,
    "unheard": {"of": "s3cr3t"},
}


def with_payment(payment: Any = PAYMENT, **members: Any) -> dict[str, Any]:
    return original(pending="0.00", ip="203.0.113.7", splitToken="s3cr3t", payment=payment, **members)


@pytest.mark.parametrize("form", ["bare", "enveloped", "both"])
def test_who_pays_from_where_is_not_kept(form: str):
    bare = with_payment()
    shown = {"bare": bare, "enveloped": {"transaction": bare}, "both": bare | {"transaction": bare}}[form]
    document = fetched(shown).payment.document
    assert "s3cr3t" not in json.dumps(document)
    assert "203.0.113.7" not in json.dumps(document)
    facts = document["payment"]
    assert (facts["paymentType"], facts["merchantReference"]) == ("2", "order-1")
    assert facts["shown"]["account"]["accountNumberLastFour"] == "6789"
    assert facts["shown"]["paymentProvider"]["name"] == "A bank"
    assert facts["others"] == {"pending": 500, "paid": 60_00, "refunded": 10_00, "reversed": 0}


@pytest.mark.parametrize("payment", [None, [], "x", {}, {"paymentId": [1], "merchant": "x", "paid": "x", "account": 7}])
def test_a_payment_that_is_not_shown(payment: Any):
    document = fetched(with_payment(payment)).payment.document
    assert document["payment"] == {"shown": {}}


def test_what_is_kept_stays_what_it_is():
    document = fetched(with_payment()).payment.document
    assert DIALECT.payment_document(document, SINCE) == document
    assert kept(document["payment"]["shown"]) == document["payment"]["shown"]
    assert json.loads(json.dumps(document)) == document


def test_a_figure_with_a_point_is_kept_as_text():
    raw = json.dumps(with_payment()).replace('"amount": "100.00", "currency"', '"amount": 100.10, "currency"')
    shown = answer_with(fetch(NUMBER), Reply(status=200, body=raw.encode()), shown_list())
    assert shown.payment.document["payment"]["shown"]["amount"] == "100.10"


@pytest.mark.parametrize("enum", [str, int])
def test_a_refund_shows_what_was_kept_of_its_payment(enum: type):
    table = Table(DIALECT, profile={"shape": "bare" if enum is str else "enveloped"})
    found = fetched(with_payment())
    paid = table.pay(100_00, "USD", document=found.payment.document, dialect_id=NUMBER)
    answer = said(table.call("POST", f"/api/v1/transactions/{NUMBER}/refund", {"amount": "40.00"}))
    shown = answer.get("transaction", answer)["payment"]
    assert (shown["paymentId"], shown["paymentType"], shown["merchant"]["name"]) == ("1002593500", enum(2), "A shop")
    assert [shown[name] for name in ("pending", "paid", "refunded", "balance")] == ["5.00", "160.00", "50.00", "110.00"]
    assert (shown["account"]["accountNumber"], shown["account"]["name"]) == ("6789", "")
    assert (shown["fingerprint"], shown["authorization"], shown["auth"]["token"]) == ("", "", "")
    assert shown["paymentProvider"] == PAYMENT["paymentProvider"] | {"subType": enum(1000)}
    assert shown["verification"] == {"status": enum(1), "mode": enum(3), "verifyCustomer": False}
    assert paid.document["ip"] == answer.get("transaction", answer)["ip"] == "0.0.0.0"
    required = DIALECT.routes[0].response_schema["properties"]["payment"]["required"]
    assert set(required) <= set(shown)


def test_a_mark_follows_the_reference_that_would_have_been_shown():
    """Cut off again, what is left is what Trustly shows where a client gave none."""
    known = fetched(with_payment(merchantReference="capture-1")).payment.document
    payment = a_payment(NUMBER, 100_00, "USD", dialect="trustly", document=known)
    assert reference_of(a_sending(payment, 1_00)) == (f"capture-1.{MARK}", True)
    assert reference_of(a_sending(payment, 1_00, reference="own")) == (f"own.{MARK}", True)
    too_long = a_payment(NUMBER, 1, "USD", dialect="trustly", document={"merchantReference": "r" * 60})
    assert reference_of(a_sending(too_long, 1_00)) == (MARK, True)
    elsewhere = a_payment(NUMBER, 1, "USD", dialect="mangopay", document={"merchantReference": "capture-1"})
    assert reference_of(a_sending(elsewhere, 1_00)) == (MARK, True)


@pytest.mark.parametrize(
    ("reference", "mark"),
    [
        (MARK, MARK),
        (f"x.y.{MARK}", MARK),
        ("order-1", None),
        ("", None),
        (MARK + "0000", None),
        (f"x{MARK}", None),
        (MARK[:-5], None),
        (MARK.upper(), None),
    ],
)
def test_a_mark_is_found_to_the_letter(reference: str, mark: str | None):
    assert mark_in(reference) == mark


# --- the list ---------------------------------------------------------------------------------------------------------


class Account:
    """A provider that lists what changed since a time, oldest change first."""

    def __init__(self, *at: int) -> None:
        self.rows = [(when, str(place)) for place, when in enumerate(at)]
        self.calls: list[Call] = []
        self.between = lambda: None

    def page(self, cursor: Mapping[str, Any]) -> Listed:
        conversation = list_refunds(SINCE, cursor)
        call = next(conversation)
        self.calls.append(call)
        query = dict(call.query)
        since, place, count = (int(query[name]) for name in ("updatedAt.start", "startIndex", "count"))
        rows = [each for each in sorted(self.rows) if each[0] >= since][place : place + count]
        shown = [record(transactionId=number, updatedAt=at) for at, number in rows]
        try:
            conversation.send(as_reply(200, {"transactions": shown}))
        except StopIteration as ended:
            return ended.value
        raise AssertionError("a page is one call")

    def through(self, cursor: Mapping[str, Any]) -> tuple[list[str], Mapping[str, Any]]:
        """All pages from a cursor on: what was seen, and where to go on."""
        seen: list[str] = []
        while True:
            page = self.page(cursor)
            seen += [each.provider_id for each in page.refunds]
            assert page.cursor != cursor or not page.more
            cursor = json.loads(json.dumps(page.cursor))
            if not page.more:
                return seen, cursor
            self.between()


BEGIN = milliseconds(SINCE)
LAG = LIST_LAG // timedelta(milliseconds=1)


def test_a_page_is_asked_for_as_documented():
    account = Account()
    assert account.page({}) == Listed()
    assert account.calls[0].path == "/transactions"
    assert account.calls[0].query == (
        ("transactionType", "4"),
        ("transactionType", "7"),
        ("updatedAt.start", str(BEGIN)),
        ("orderBy", "updatedAt"),
        ("sortOrder", "asc"),
        ("startIndex", "0"),
        ("count", "100"),
    )


@pytest.mark.parametrize("apart", [0, 1, 1000])
@pytest.mark.parametrize("rows", [1, 99, 100, 101, 350])
def test_all_pages_show_every_refund(rows: int, apart: int):
    account = Account(*(BEGIN + apart * place for place in range(rows)))
    seen, cursor = account.through({})
    assert set(seen) == {number for _, number in account.rows}
    assert cursor == {"latest": account.rows[-1][0]}
    assert len(account.calls) <= rows // 98 + 2


def test_what_changes_while_pages_are_read_hides_no_other():
    account = Account(*(BEGIN + 10 * place for place in range(250)))

    def change() -> None:
        account.rows = [
            (BEGIN + 10_000, number) if number in ("0", "1", "2") else (at, number) for at, number in account.rows
        ]

    account.between = change
    seen, _ = account.through({})
    assert {number for _, number in account.rows} == set(seen)


def test_the_next_reading_begins_before_what_lists_may_lag():
    account = Account(BEGIN + 2 * LAG)
    _, cursor = account.through({})
    account.rows.append((BEGIN + LAG + 1, "late"))
    assert "late" in account.through(cursor)[0]
    assert int(dict(account.calls[-1].query)["updatedAt.start"]) == BEGIN + LAG
    assert account.through({"latest": BEGIN - LAG})[0]  # never before the time that is asked for
    assert int(dict(account.calls[-1].query)["updatedAt.start"]) == BEGIN


def test_a_list_that_cannot_be_read_is_no_empty_list():
    for reply in (as_reply(500, errors(100)), as_reply(200, errors(375)), Reply(status=200, body=b"{}")):
        with pytest.raises(AnswerLost):
            answer_with(list_refunds(SINCE, {}), reply)


# --- against our own server half --------------------------------------------------------------------------------------


def test_our_server_half_is_met_and_listed():
    link = Loopback(Table(DIALECT))
    payment = link.pay(100_00, "USD", dialect_data={"merchantReference": "capture-1"})
    for amount in (30_00, 20_00):
        link.send(a_sending(payment, amount, reference="mine"))
    link.table.bring(link.table.refunds[0], "succeeded")
    link.table.bring(link.table.refunds[1], "failed:R01")
    found = link._drive(fetch(payment.reference))
    assert (found.payment.status, found.payment.amount, found.left) == ("captured", 100_00, 70_00)
    assert found.payment.document["merchantReference"] == "capture-1"
    assert [(each.amount, each.status, each.code) for each in found.refunds] == [
        (30_00, "succeeded", None),
        (20_00, "failed", "R01"),
    ]
    listed = link._drive(list_refunds(SINCE, {}))
    assert (listed.refunds, listed.more) == (found.refunds, False)
    assert link._drive(fetch(link.table.refunds[0].dialect_id)) is None
    assert link._drive(fetch("17")) is None
