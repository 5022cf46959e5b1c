"""A Purchase that is met at CHIP: what came in, what was given back before, what is kept to show it again."""

from decimal import Decimal
from typing import Any

import pytest

from moneyback.dialect import AnswerLost, Fetched, Reply, SeenRefund
from moneyback.dialects.chip import DIALECT, document
from moneyback.dialects.chip.client import CLIENT, profile
from moneyback.dialects.chip.fetching import fetch
from moneyback.dialects.chip.received import moment
from moneyback.dialects.chip.wire import Status
from tests.dialects.chip.test_client import MADE, NOW, NUMBER, PAYMENT, error, refunded
from tests.dialects.chip.test_client import shown as purchase
from tests.dialects.driver import START, Table, text
from tests.dialects.loopback import a_payment, answer_with, as_reply


def shown(**members: Any) -> dict[str, Any]:
    """A paid Purchase with all that is read of it."""
    return purchase(**{"purchase": {"currency": "MYR", "total": 25_000}, "reference": "order-7", **members})


def fetched(**members: Any) -> Fetched:
    found: Fetched | None = answer_with(fetch(NUMBER), as_reply(200, shown(**members)))
    assert found is not None
    return found


def test_a_paid_purchase():
    found = fetched(transaction_data={"payment_method": "fpx", "attempts": []})
    paid = found.payment
    assert (paid.amount, paid.currency, paid.status, paid.fees) == (25_000, "MYR", "captured", 0)
    assert (paid.method, paid.order, paid.dialect_id, found.reference) == ("fpx", "order-7", NUMBER, NUMBER)
    assert (found.captured_at, found.left, found.refunds) == (moment(NOW), 25_000, ())


CONDITIONS = {
    **dict.fromkeys(("paid", "cleared", "settled", "refunded", "pending_refund", "chargeback"), "captured"),
    **dict.fromkeys(("hold", "pending_capture", "pending_release"), "authorized"),
    **dict.fromkeys(("cancelled", "expired", "blocked", "released"), "failed"),
    **dict.fromkeys(("created", "sent", "viewed", "overdue", "error"), "processing"),
    **dict.fromkeys(("pending_execute", "pending_charge", "preauthorized"), "processing"),
}


def test_every_status_is_tried():
    assert set(CONDITIONS) == {each.value for each in Status}


@pytest.mark.parametrize(("status", "condition"), CONDITIONS.items())
def test_every_status(status: str, condition: str):
    payment = None if condition != "captured" else {"amount": 24_000, "currency": "MYR", "paid_on": NOW}
    found = fetched(status=status, payment=payment)
    assert found.payment.status == condition
    assert found.payment.amount == (24_000 if condition == "captured" else 25_000)
    assert (found.left is None) == (status not in ("paid", "cleared", "settled", "refunded"))


def test_a_status_nobody_knows_has_brought_nothing_in():
    assert fetched(status="dreaming", payment=None).payment.status == "processing"


@pytest.mark.parametrize("paid", [None, {"amount": 7_000, "currency": "EUR"}, {"amount": 0, "currency": "MYR"}])
def test_what_was_paid_in_another_currency_is_no_figure_of_this_one(paid: Any):
    assert fetched(payment=paid).payment.amount == 25_000


def test_a_chargeback_is_about_all_of_it_until_it_is_won():
    stands = fetched(status="chargeback")
    assert [(each.kind, each.amount) for each in stands.sightings] == [("dispute_open", 25_000)]
    history = [{"status": word, "timestamp": NOW} for word in ("paid", "chargeback", "paid")]
    won = fetched(status_history=history)
    assert [(each.kind, each.amount) for each in won.sightings] == [("dispute_won", 0)]
    (told,) = answer_with(CLIENT.read(PAYMENT), as_reply(200, shown(status="chargeback"))).sightings[-1:]
    assert {each.reference for each in (*stands.sightings, *won.sightings)} == {told.reference}
    assert fetched().sightings == ()


def test_refunds_are_named_and_nobody_says_how_much_each_was():
    found = answer_with(fetch(NUMBER), as_reply(200, refunded("a", "b", left=10)))
    assert found.left == 10
    assert found.refunds == tuple(
        SeenRefund(provider_id=id, payment=NUMBER, amount=0, currency="MYR", at=moment(NOW + 2)) for id in ("a", "b")
    )


@pytest.mark.parametrize(
    ("members", "left", "kept"),
    [
        ({}, 25_000, "all"),
        ({"refund_availability": "full_only"}, 25_000, "full_only"),
        ({"refund_availability": "none", "refundable_amount": 0}, None, "none"),
        ({"status": "refunded", "refund_availability": "none", "refundable_amount": 0}, 0, None),
        ({"status": "created", "refund_availability": "none", "refundable_amount": 0, "payment": None}, None, None),
        ({"refund_availability": "some_day"}, 25_000, None),
        ({"refund_availability": ""}, 25_000, None),
    ],
)
def test_what_its_method_allows(members: dict[str, Any], left: int | None, kept: str | None):
    found = fetched(**members)
    assert found.left == left
    assert found.payment.document.get("refund_availability") == kept


@pytest.mark.parametrize("words", ["\\u0000", "\\ud83d\\ude00", "é"])
def test_it_is_kept_as_it_came(words: str):
    raw = text_of(shown()).removesuffix("}") + f', "newer": "{words}", "rate": 1.10}}'
    found = answer_with(fetch(NUMBER), Reply(status=200, body=raw.encode()))
    kept = DIALECT.payment_document(found.payment.document, START)
    assert kept[document.SHOWN] == raw
    again = document.shown(a_payment(NUMBER, 1, "MYR", document=kept))
    assert again is not None
    assert (list(again)[-2:], again["rate"]) == (["newer", "rate"], Decimal("1.10"))


def text_of(body: dict[str, Any]) -> str:
    return as_reply(200, body).body.decode()


@pytest.mark.parametrize(
    "reply",
    [
        as_reply(404, b"<html>"),
        as_reply(404, error("other")),
        as_reply(404, b""),
        as_reply(401, error("authentication_failed")),
        as_reply(429, error("throttled")),
        as_reply(500, b""),
        as_reply(200, b"[]"),
        as_reply(200, shown(id=MADE)),
        as_reply(200, {**shown(), "refundable_amount": "10"}),
        as_reply(201, shown()),
    ],
)
def test_any_other_answer_shows_nothing(reply: Reply):
    with pytest.raises(AnswerLost):
        answer_with(fetch(NUMBER), reply)


def test_there_is_none():
    assert answer_with(fetch(NUMBER), as_reply(404, error("not_found"))) is None


def test_ids_are_written_into_the_path():
    story = fetch("../x y")
    assert next(story).path == "/purchases/..%2Fx%20y/"


def test_our_own_purchases_can_be_met():
    """What our server shows is what our client reads."""
    table = Table(DIALECT)
    payment = table.pay(25_000, "MYR", method="fpx", order="o-1")
    table.outcome = "succeeded"
    path = f"/api/v1/purchases/{payment.dialect_id}/"
    table.call("POST", f"{path}refund/", {"amount": 100})
    body = text(table.call("GET", path))
    found = answer_with(fetch(payment.dialect_id), Reply(status=200, body=body))
    assert (found.payment.amount, found.left, found.payment.order) == (25_000, 24_900, "o-1")
    assert [each.provider_id for each in found.refunds] == [each.dialect_id for each in table.refunds]


def test_what_the_client_declares():
    assert (CLIENT.fetch, CLIENT.list_refunds) == (fetch, None)
    assert profile({}, NUMBER) == {"brand_id": NUMBER}
    assert profile({}, "my-brand") == {}
