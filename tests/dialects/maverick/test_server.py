"""Maverick's server half: one row per documented rule, every state, every pair of reasons, and a schema all fit."""

import json
import re
from datetime import timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from moneyback.core.payment import Asked, Parts, Payment
from moneyback.core.refund import State
from moneyback.core.refusals import Failing, Reason, Refusal, in_precedence
from moneyback.dialect import (
    AskRefund,
    Await,
    Fault,
    Incoming,
    NextNumber,
    Outgoing,
    Presented,
    ReleasePayment,
    SaveDocument,
)
from moneyback.dialects import maverick
from moneyback.dialects.maverick import DIALECT
from moneyback.dialects.maverick.registration import payment_document
from moneyback.dialects.maverick.server import fault, presented
from moneyback.dialects.maverick.wire import KEPT, PRECEDENCE, SHOWN, WORDS, Status, Word, complaint_of, reason_of
from tests.dialects.driver import STRANGER, Table, said
from tests.dialects.maverick.schemas import fits

HERE = {"id": 24}


def ask(table: Table, payment: Payment, body: Any = None, *, path: str = "refund", **options: Any) -> Outgoing:
    """The refund call; unless it says something else, with the right terminal."""
    body = {"terminal": HERE, **body} if isinstance(body, dict) else {"terminal": HERE} if body is None else body
    return table.call("POST", f"/payment/{payment.dialect_id}/{path}", body, **options)


def read(table: Table, number: object) -> Any:
    answer = table.call("GET", f"/payment/{number}")
    assert answer.status == 200, said(answer)
    return fits(answer)


def complaint(answer: Outgoing) -> tuple[int, str]:
    body = fits(answer)
    return answer.status, body["message"]


def paid(amount: int = 10_000, *, profile: dict[str, Any] | None = None, **fields: Any) -> tuple[Table, Payment]:
    table = Table(DIALECT, profile=profile)
    table.outcome = "succeeded"
    return table, table.pay(amount, "USD", **fields)


ORDER = Parts(subtotal=10_000, tax=800, discount=500)
NOT_ALLOWED = (422, "Return Not Allowed")


# --- what a refund answers -------------------------------------------------------------------------------------------


def test_a_refund_answers_its_return():
    table, payment = paid(dialect_data={"card": {"bin": 530957, "number": 42, "exp": "2029-02-28", "name": "A"}})
    body = fits(ask(table, payment, {"amount": "1.99"}))
    refund = table.refunds[-1]
    assert (body["id"], body["parent"]) == (int(refund.dialect_id), {"id": int(payment.dialect_id)})
    assert (body["amount"], body["type"], body["authCode"], body["terminal"]) == ("1.99", "Return", None, {"id": 24})
    assert body["status"] == {"status": "Approved", "reason": None}
    assert body["createdOn"] == body["updatedOn"] == "2026-03-02 09:30:00"
    assert body["card"]["bin"] == 530957
    assert (body["card"]["number"], body["card"]["exp"], body["card"]["name"]) == (42, "2029-02-28", None)
    assert read(table, body["id"]) == body


def test_each_return_is_appended_to_the_originals_history():
    table, payment = paid(10_000)
    before = read(table, payment.dialect_id)
    assert (before["history"], before["refunded"], before["updatedOn"]) == ([], False, None)
    numbers = []
    for _ in range(3):
        table.now += timedelta(minutes=1)
        numbers.append(fits(ask(table, payment, {"amount": 30}))["id"])
    after = read(table, payment.dialect_id)
    assert [each["id"] for each in after["history"]] == numbers == sorted(numbers)
    assert {each["amount"] for each in after["history"]} == {"30.00"}
    assert [each["createdOn"][-5:] for each in after["history"]] == ["31:00", "32:00", "33:00"]
    assert (after["refunded"], after["updatedOn"]) == (False, "2026-03-02 09:33:00")
    assert fits(ask(table, payment))["amount"] == "10.00"
    assert read(table, payment.dialect_id)["refunded"] is True


@pytest.mark.parametrize("body", [None, {}, {"amount": None}, {"order": None}, {"order": []}, {"tag": "ignored"}])
def test_without_an_amount_what_remains_is_refunded(body: Any):
    table, payment = paid(10_000)
    ask(table, payment, {"amount": "0.01"})
    assert fits(ask(table, payment, body))["amount"] == "99.99"


def test_a_whole_record_may_be_posted_back():
    """The provider's own example does; nothing in it but terminal, amount and order is read."""
    table, payment = paid()
    record = fits(ask(table, payment, {"amount": "1.99"}))
    again = fits(table.call("POST", f"/payment/{payment.dialect_id}/refund", record))
    assert again == record | {"id": record["id"] + 1}


def test_a_sale_body_with_a_card_is_read_for_its_amount_and_kept_nowhere():
    table, payment = paid()
    sale = {"amount": "2.50", "source": "Internet", "level": 1, "card": {"number": "4111111111111111", "cvv": "123"}}
    fits(ask(table, payment, sale))
    assert table.refunds[-1].payer == 250
    assert "4111" not in repr(table.refunds) and "123" not in repr(table.refunds[-1].request)


@pytest.mark.parametrize("body", [{"terminal[id]": "24", "amount": "2.50"}, {"terminal[id]": "24", "amount": "2.5"}])
def test_a_form_is_read_as_json_is(body: Any):
    table, payment = paid()
    answer = table.call("POST", f"/payment/{payment.dialect_id}/refund", body, encoding="form")
    assert fits(answer)["amount"] == "2.50"


def test_a_form_states_the_parts_too():
    table, payment = paid(10_300, parts=ORDER)
    body = {"terminal[id]": "24", "amount": "103.00", "order[tax]": "8.00", "order[discounts][amount]": "5.00"}
    assert (
        fits(table.call("POST", f"/payment/{payment.dialect_id}/refund", body, encoding="form"))["amount"] == "103.00"
    )


def test_the_call_waits_twenty_seconds():
    table, payment = paid()
    ask(table, payment)
    assert [each.seconds for each in table.asks if isinstance(each, Await)] == [20.0]


@pytest.mark.parametrize("mode", [422, 200])
@pytest.mark.parametrize("state", State)
def test_every_state_has_its_form(state: State, mode: int):
    table, payment = paid(profile={"decline_mode": mode})
    table.outcome = state.value
    answer = ask(table, payment, {"amount": 30})
    shown = SHOWN[state]
    declined = shown is Status.DECLINED and mode == 422
    assert answer.status == (422 if declined else 200)
    record = read(table, table.refunds[0].dialect_id)
    assert record["status"]["status"] == shown.value
    body = fits(answer)
    if declined:
        assert body["message"] == record["status"]["reason"]
    else:
        assert body == record
    given_back = shown in (Status.APPROVED, Status.IN_PROGRESS)
    history = read(table, payment.dialect_id)["history"]
    assert [each["id"] for each in history] == ([record["id"]] if given_back else [])
    assert table.payment(payment).refundable == (7_000 if given_back else 10_000)


def test_no_state_is_forgotten():
    assert set(SHOWN) == set(State)


@pytest.mark.parametrize(
    ("outcome", "message", "expected"),
    [
        ("failed:Insufficient Funds", None, "Insufficient Funds"),
        ("failed:Do not honor", "whatever the rail says", "Do not honor"),
        ("failed:R01", "The account is closed.", "The account is closed."),
        ("failed:R01", None, "Declined"),
        ("failed", None, "Declined"),
        ("canceled", None, "Canceled before it was sent"),
        ("returned", None, "The money came back"),
        ("returned:Time out", None, "Time out"),
        ("pending:processing", None, None),
        ("succeeded", None, None),
    ],
)
def test_reasons(outcome: str, message: str | None, expected: str | None):
    table, payment = paid()
    table.outcome = "ready"
    ask(table, payment)
    assert reason_of(table.bring(table.refunds[-1], outcome, message=message)) == expected


@pytest.mark.parametrize(
    ("failure", "expected"), [("funds", "Insufficient Funds"), ("policy", "Insufficient privileges"), ("x", "Declined")]
)
def test_a_class_of_failure_has_its_reason(failure: str, expected: str):
    table, payment = paid()
    table.outcome = "failed:code"
    ask(table, payment)
    assert reason_of(replace(table.refunds[-1], failure=failure)) == expected


def test_a_decline_can_be_read_by_its_id_and_leaves_the_original_as_it_was():
    table, payment = paid()
    table.outcome = "failed:Insufficient Funds"
    assert complaint(ask(table, payment)) == (422, "Insufficient Funds")
    declined = read(table, table.refunds[-1].dialect_id)
    assert declined["status"] == {"status": "Declined", "reason": "Insufficient Funds"}
    original = read(table, payment.dialect_id)
    assert (original["history"], original["refunded"], original["status"]["status"]) == ([], False, "Approved")


# --- the original ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "status", "captured"),
    [
        ("captured", {"status": "Approved", "reason": None}, True),
        ("authorized", {"status": "Approved", "reason": None}, False),
        ("processing", {"status": "InProgress", "reason": None}, False),
        ("failed", {"status": "Declined", "reason": "Declined"}, False),
    ],
)
def test_a_bare_native_payment_is_a_whole_record(condition: str, status: Any, captured: bool):
    table, payment = paid(1999, status=condition)
    body = read(table, payment.dialect_id)
    assert (body["id"], body["amount"], body["type"]) == (int(payment.dialect_id), "19.99", "Auth")
    assert (body["status"], body["captured"], body["refunded"], body["order"]) == (status, captured, False, None)
    assert (body["authCode"] is not None) == (status["status"] == "Approved")
    assert body["terminal"] == {"id": 24}


def test_what_the_payment_says_of_itself_is_shown():
    data = {
        "terminal_id": 7,
        "externalId": "A-1",
        "origin": "VirtualTerminal",
        "level": 3,
        "isRecurring": "Yes",
        "card": {"bin": 424242, "number": 7, "exp": "2031-01-31", "name": "A. Payer"},
        "contact": {"name": "A. Payer", "email": "a@example.com"},
        "ip": {
            "address": "192.0.2.1",
            "isp": "An ISP",
            "type": "residential",
            "location": {"city": "Reno", "zip": "1"},
        },
    }
    table, payment = paid(10_300, dialect_data=data, parts=Parts(subtotal=9_000, tax=800, discount=500, shipping=1_000))
    body = read(table, payment.dialect_id)
    assert body["order"] == {"subtotal": "90.00", "tax": "8.00", "discounts": "5.00", "shipping": "10.00"}
    assert body["contact"] == {"name": "A. Payer", "phone": None, "email": "a@example.com"}
    assert (body["terminal"], body["externalId"], body["origin"], body["level"]) == (
        {"id": 7},
        "A-1",
        "VirtualTerminal",
        3,
    )
    assert (body["card"]["name"], body["card"]["number"]) == ("A. Payer", 7)
    assert body["ip"]["location"] == {"city": "Reno", "state": None, "country": None, "zip": "1"}
    back = fits(ask(table, payment, {"terminal": {"id": 7}}))
    assert (back["terminal"], back["ip"], back["isRecurring"]) == ({"id": 7}, body["ip"], "Yes")
    assert (back["contact"], back["externalId"], back["order"], back["card"]["name"]) == (None, None, None, None)


def test_an_order_reference_stands_in_for_the_external_id():
    table, payment = paid(order="A-7")
    assert read(table, payment.dialect_id)["externalId"] == "A-7"


@pytest.mark.parametrize(
    "data",
    [
        {"terminal_id": 0},
        {"terminal_id": "24"},
        {"terminal_id": True},
        {"surprise": 1},
        {"release": {}},
        {"externalId": "x" * 65},
        {"externalId": ""},
        {"origin": "Phone"},
        {"level": 4},
        {"level": True},
        {"isRecurring": False},
        {"card": []},
        {"card": {"number": 4111111111111111}},
        {"card": {"number": "1111"}},
        {"card": {"cvv": "123"}},
        {"card": {"bin": 0}},
        {"card": {"exp": "12/30"}},
        {"card": {"exp": "2030-02-30"}},
        {"contact": {"pan": "4"}},
        {"contact": {"email": "x" * 255}},
        {"ip": {"address": 1}},
        {"ip": {"location": "here"}},
        {"ip": {"location": {"planet": "Earth"}}},
    ],
)
def test_a_payment_cannot_say_anything_else(data: dict[str, Any]):
    with pytest.raises(ValueError, match=r"\.$"):
        payment_document(data, Table(DIALECT).now)


@pytest.mark.parametrize(("seen", "refunded"), [([("external", 10_000)], True), ([("external", 9_999)], False)])
def test_refunds_made_elsewhere_count(seen: list[tuple[str, int]], refunded: bool):
    table, payment = paid()
    for what, amount in seen:
        table.see(payment, what, amount)
    assert read(table, payment.dialect_id)["refunded"] is refunded


# --- amounts ---------------------------------------------------------------------------------------------------------

NUMBER, POSITIVE, PRECISE = "must be a number", "must be greater than 0", "must have at most 2 decimal places"
TOO_LARGE, TOO_MUCH, BLANK = "must be no greater than 1000000.00", "must be no greater than 2000.00", "cannot be blank"
AMOUNTS: list[tuple[Any, int | str]] = [
    ("10", 1000),
    (10, 1000),
    (Decimal("10.0"), 1000),
    (Decimal("10.00"), 1000),
    ("10.00", 1000),
    ("10.5", 1050),
    ("10.000", 1000),
    (Decimal("1E+2"), 10_000),
    (Decimal("0.01"), 1),
    (Decimal("10.005"), PRECISE),
    ("10.005", PRECISE),
    (Decimal("1.9900000000000001"), PRECISE),
    ("1e2", NUMBER),
    (-1, POSITIVE),
    ("-1", POSITIVE),
    ("-99999999999999999999", POSITIVE),
    (0, POSITIVE),
    ("0.00", POSITIVE),
    (Decimal("0.0"), POSITIVE),
    (Decimal("2000.01"), TOO_MUCH),
    (1_000_000, TOO_MUCH),
    (Decimal("1000000.01"), TOO_LARGE),
    ("9" * 30, TOO_LARGE),
    (Decimal("1E-400"), NUMBER),
    ("", BLANK),
    (" 10", NUMBER),
    ("ten", NUMBER),
    ("NaN", NUMBER),
    ("$10", NUMBER),
    ("10,00", NUMBER),
    ("١٠", NUMBER),
    ([], NUMBER),
    ({}, NUMBER),
    ({"amount": 10}, NUMBER),
    (True, NUMBER),
    (False, NUMBER),
]


@pytest.mark.parametrize(("amount", "expected"), AMOUNTS)
def test_amounts(amount: Any, expected: int | str):
    table, payment = paid(200_000)
    answer = ask(table, payment, {"amount": amount})
    if isinstance(expected, int):
        assert Decimal(fits(answer)["amount"]) * 100 == expected == table.refunds[-1].payer
        return
    assert complaint(answer) == (422, f"Amount {expected}.")
    assert table.refunds == ()
    asked = [each for each in table.asks if isinstance(each, AskRefund)]
    assert bool(asked) == (expected is TOO_MUCH), "a malformed amount is never asked for"


def test_the_remainder_is_the_bound():
    table, payment = paid(10_000)
    ask(table, payment, {"amount": "60.00"})
    assert complaint(ask(table, payment, {"amount": "40.01"})) == (422, "Amount must be no greater than 40.00.")
    assert ask(table, payment, {"amount": "40.00"}).status == 200
    assert complaint(ask(table, payment, {"amount": "0.01"})) == NOT_ALLOWED
    assert complaint(ask(table, payment)) == NOT_ALLOWED


@pytest.mark.parametrize("part", ["tax", "discounts"])
@pytest.mark.parametrize(
    ("value", "expected"), [*AMOUNTS[:8], *[row for row in AMOUNTS if row[1] in (PRECISE, NUMBER)]]
)
def test_shapes_of_the_parts(part: str, value: Any, expected: int | str):
    if value == {} or value == {"amount": 10}:
        return  # here an object is a shape of its own
    table, payment = paid(50_000, parts=Parts(subtotal=10_000, tax=20_000, discount=20_000))
    for shape in (value, {"amount": value}):
        answer = ask(table, payment, {"amount": "1.00", "order": {part: shape}})
        if isinstance(expected, str):
            assert complaint(answer) == (422, f"Order {part} {expected}.")
    if isinstance(expected, int):
        assert table.asks and any(
            isinstance(each, AskRefund)
            and each.request == {"amount": 100, "tax": None, "discounts": None, part: expected}
            for each in table.asks
        )


@pytest.mark.parametrize(
    ("order", "message"), [(5, "Order must be an object."), ({"tax": -1}, "Order tax must be no less than 0.")]
)
def test_an_order_that_is_none(order: Any, message: str):
    table, payment = paid(10_300, parts=ORDER)
    assert complaint(ask(table, payment, {"amount": 1, "order": order})) == (422, message)


@pytest.mark.parametrize("body", ["100", 100, [1], True])
def test_a_body_that_is_no_object_is_refused(body: Any):
    table, payment = paid()
    assert ask(table, payment, body).status == 400
    assert table.refunds == ()


@pytest.mark.parametrize("order", [{"tax": 0}, {"tax": None}, {"surprise": {"deep": [1]}}, {}])
def test_an_order_that_says_nothing(order: Any):
    table, payment = paid()
    assert fits(ask(table, payment, {"amount": 1, "order": order}))["amount"] == "1.00"


def test_another_currency_has_its_own_decimal_places():
    table = Table(DIALECT)
    table.outcome = "succeeded"
    payment = table.pay(1000, "JPY")
    assert said(ask(table, payment, {"amount": "10"}))["amount"] == "10"
    assert said(ask(table, payment, {"amount": "10.5"}))["message"] == "Amount must have at most 0 decimal places."


def test_the_partial_path_needs_its_amount():
    table, payment = paid()
    assert complaint(ask(table, payment, path="refund/partial")) == (422, "Amount cannot be blank.")
    assert fits(ask(table, payment, {"amount": 1}, path="refund/partial"))["amount"] == "1.00"


# --- subtotal, tax and discounts -------------------------------------------------------------------------------------


def over(what: str, limit: str) -> str:
    return f"{what} must be no greater than {limit}."


ALONE, LESS = "Amount without order.tax and order.discounts", "Amount less order.tax plus order.discounts"
SPLITS: list[tuple[list[dict[str, Any]], dict[str, Any], str | None]] = [
    # (refunds before, this one, what is wrong with it)
    ([], {}, None),
    ([], {"amount": 100}, None),
    ([], {"amount": "100.01"}, over(ALONE, "100.00")),
    ([], {"amount": 103}, over(ALONE, "100.00")),
    ([], {"amount": 104}, over("Amount", "103.00")),
    ([], {"amount": 103, "order": None}, over(ALONE, "100.00")),
    ([], {"amount": 103, "order": {"tax": None, "discounts": None}}, over(ALONE, "100.00")),
    ([], {"amount": 103, "order": {"tax": 8, "discounts": 5}}, None),
    ([], {"amount": 103, "order": {"tax": 8}}, None),
    ([], {"amount": 103, "order": {"tax": 3}}, None),
    ([], {"amount": 103, "order": {"tax": "2.99"}}, over(LESS, "100.00")),
    ([], {"amount": 103, "order": {"discounts": 0}}, over(LESS, "100.00")),
    ([], {"amount": 1, "order": {"tax": "8.01"}}, over("Order tax", "8.00")),
    ([], {"amount": 1, "order": {"discounts": "5.01"}}, over("Order discounts", "5.00")),
    ([], {"order": {"tax": 8, "discounts": 5}}, None),
    ([], {"order": {"tax": 0}}, over(LESS, "100.00")),
    ([{"amount": 50}], {"amount": 53, "order": {"tax": 8, "discounts": 5}}, None),
    ([{"amount": 54, "order": {"tax": 8}}], {"amount": 1, "order": {"tax": "0.01"}}, over("Order tax", "0.00")),
    ([{"amount": 54, "order": {"tax": 4}}], {"amount": 49, "order": {"tax": 4, "discounts": 5}}, None),
    ([{"amount": 54, "order": {"tax": 4}}], {"amount": 49, "order": {"tax": 4}}, None),
    ([{"amount": 54, "order": {"tax": 3}}], {"amount": 49, "order": {"tax": 1, "discounts": 5}}, over(LESS, "49.00")),
    ([{"amount": 90}], {"amount": 11}, None),  # the bound is the original's subtotal; what is left bounds it anyway
    ([{"amount": 90}], {"amount": 14}, over("Amount", "13.00")),
    ([{"amount": 100}], {}, None),
]


@pytest.mark.parametrize(("before", "body", "wrong"), SPLITS)
def test_the_order_bounds_what_is_stated(before: Any, body: Any, wrong: str | None):
    table, payment = paid(10_300, parts=ORDER)
    for each in before:
        assert ask(table, payment, each).status == 200
    answer = ask(table, payment, body)
    assert (complaint(answer) if answer.status != 200 else None) == (None if wrong is None else (422, wrong))
    assert len(table.refunds) == len(before) + (wrong is None)


def test_what_failed_gives_its_share_of_the_tax_back():
    table, payment = paid(10_300, parts=ORDER)
    table.outcome = "failed"
    ask(table, payment, {"amount": 54, "order": {"tax": 8}})
    table.outcome = "succeeded"
    assert ask(table, payment, {"amount": 54, "order": {"tax": 8}}).status == 200


def test_shipping_goes_with_the_goods():
    table, payment = paid(11_300, parts=Parts(subtotal=10_000, tax=800, discount=500, shipping=1_000))
    assert complaint(ask(table, payment, {"amount": 110})) == (422, over(ALONE, "100.00"))
    assert ask(table, payment, {"amount": 113, "order": {"tax": 8, "discounts": 5}}).status == 200


@pytest.mark.parametrize("parts", [None, Parts(), Parts(tax=800)])
def test_without_a_subtotal_the_amount_says_it(parts: Parts | None):
    table, payment = paid(10_300, parts=parts)
    tax = parts.tax if parts else 0
    assert ask(table, payment, {"amount": f"{103 - tax // 100}.00"}).status == 200


def test_without_an_order_there_is_no_tax_to_give_back():
    table, payment = paid(10_300)
    assert complaint(ask(table, payment, {"amount": 1, "order": {"tax": "0.01"}})) == (422, over("Order tax", "0.00"))


class Overtaken(Table):
    """A table where somebody else's refund is admitted between each look and the lock."""

    rivals: tuple[dict[str, Any], ...] = ()

    def answer(self, ask: Any) -> Any:
        if isinstance(ask, AskRefund) and self.rivals and ask.check is not None:
            request, *rest = self.rivals
            self.rivals = tuple(rest)
            asked = Asked(payer=request["amount"])
            super().answer(AskRefund(payment=ask.payment, asked=asked, request=request))
        return super().answer(ask)


def test_two_requests_at_once_do_not_share_the_same_tax():
    table = Overtaken(DIALECT)
    table.outcome = "succeeded"
    payment = table.pay(10_300, "USD", parts=ORDER)
    table.rivals = ({"amount": 100, "tax": 0}, {"amount": 5400, "tax": 800})
    answer = ask(table, payment, {"amount": 10, "order": {"tax": "0.01"}})
    assert complaint(answer) == (422, over("Order tax", "0.00"))
    assert len([each for each in table.asks if isinstance(each, AskRefund)]) == 3
    assert len(table.refunds) == 2


def test_a_request_that_was_overtaken_is_decided_on_what_is_left():
    table = Overtaken(DIALECT)
    table.outcome = "succeeded"
    payment = table.pay(10_300, "USD", parts=ORDER)
    table.rivals = ({"amount": 5400, "tax": 400},)
    assert fits(ask(table, payment, {"amount": 49, "order": {"tax": 4, "discounts": 5}}))["amount"] == "49.00"


@settings(deadline=None)
@given(
    requests=st.lists(
        st.fixed_dictionaries(
            {"amount": st.integers(1, 120) | st.none()},
            optional={
                "order": st.fixed_dictionaries({}, optional={"tax": st.integers(0, 9), "discounts": st.integers(0, 6)})
            },
        ),
        max_size=6,
    )
)
def test_no_sequence_gives_back_more_than_there_was(requests: list[dict[str, Any]]):
    table, payment = paid(10_300, parts=ORDER)
    for each in requests:
        fits(ask(table, payment, each))
    asked = [each.request for each in table.refunds]
    assert sum(each.payer for each in table.refunds) <= 10_300
    assert sum(each["tax"] or 0 for each in asked) <= 800
    assert sum(each["discounts"] or 0 for each in asked) <= 500


# --- terminal and existence ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terminal", "expected"),
    [
        (24, 200),
        ("24", 200),
        (Decimal("24.0"), 200),
        (25, 404),
        ("025", 404),
        (-24, 404),
        (None, (422, "Terminal ID cannot be blank.")),
        ("", (422, "Terminal ID cannot be blank.")),
        ("x", (422, "Terminal ID must be an integer.")),
        ("9" * 5000, (422, "Terminal ID must be an integer.")),
        (Decimal("24.5"), (422, "Terminal ID must be an integer.")),
        (True, (422, "Terminal ID must be an integer.")),
        ([24], (422, "Terminal ID must be an integer.")),
    ],
)
def test_terminals(terminal: Any, expected: Any):
    table, payment = paid()
    answer = ask(table, payment, {"terminal": {"id": terminal}})
    assert (answer.status if isinstance(expected, int) else complaint(answer)) == expected
    assert bool(table.refunds) == (expected == 200)


@pytest.mark.parametrize(("setting", "expected"), [(None, 422), (422, 422), (404, 404), ("infer", 200)])
@pytest.mark.parametrize("body", [None, {}, [], {"terminal": 24}, {"terminal": None}, {"terminal": {}}])
def test_a_missing_terminal(body: Any, setting: Any, expected: int):
    table, payment = paid(profile={} if setting is None else {"missing_terminal": setting})
    assert table.call("POST", f"/payment/{payment.dialect_id}/refund", body).status == expected


@pytest.mark.parametrize("number", ["883", "0", "x", "00000000-0000-4000-8000-000000000000"])
def test_what_is_not_there(number: str):
    table = Table(DIALECT)
    for answer in (table.call("POST", f"/payment/{number}/refund", {}), table.call("GET", f"/payment/{number}")):
        assert (answer.status, fits(answer)["name"]) == (404, "Not Found")


def test_another_merchants_payment_is_not_there():
    table = Table(DIALECT)
    foreign = table.pay(1000, "USD", merchant=STRANGER)
    assert ask(table, foreign).status == 404
    assert table.call("GET", f"/payment/{foreign.dialect_id}").status == 404
    assert table.refunds == ()


def test_untidy_paths_are_found():
    table, payment = paid()
    assert table.call("GET", f"//payment//{payment.dialect_id}/").status == 200


def test_a_return_cannot_be_returned_and_is_not_taken_for_its_parent():
    table, payment = paid()
    number = fits(ask(table, payment, {"amount": 1}))["id"]
    assert complaint(table.call("POST", f"/payment/{number}/refund", {"terminal": HERE})) == NOT_ALLOWED
    assert table.call("POST", f"/payment/{number}/refund", {"terminal": {"id": 3}}).status == 404
    assert len(table.refunds) == 1


# --- an Auth that was not captured -----------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [None, {"amount": "75.00"}, {"amount": 75}, {"order": None}])
def test_an_uncaptured_auth_is_reversed_as_a_whole(body: Any):
    table, payment = paid(7_500, status="authorized")
    record = fits(ask(table, payment, body))
    assert (record["type"], record["amount"], record["parent"]["id"]) == ("Return", "75.00", int(payment.dialect_id))
    assert record["status"] == {"status": "Approved", "reason": None}
    assert record["authCode"] is not None
    assert table.refunds == (), "no money moves, so there is no refund"
    assert [each.seconds for each in table.asks if isinstance(each, ReleasePayment)] == [20.0]
    assert read(table, record["id"]) == record
    original = read(table, payment.dialect_id)
    assert (original["captured"], original["refunded"], original["status"]["status"]) == (False, True, "Approved")
    assert original["authCode"] not in (None, record["authCode"])
    assert original["history"] == [
        {"id": record["id"], "type": "Return", "amount": "75.00", "createdOn": record["createdOn"]}
    ]


def test_a_reversed_auth_is_not_reversed_again():
    table, payment = paid(7_500, status="authorized")
    number = fits(ask(table, payment))["id"]
    for body in (None, {"amount": 75}, {"amount": 1}, {"amount": "x"}):
        assert complaint(ask(table, payment, body)) == NOT_ALLOWED
    assert complaint(table.call("POST", f"/payment/{number}/refund", {"terminal": HERE})) == NOT_ALLOWED
    assert len(read(table, payment.dialect_id)["history"]) == 1


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("74.99", NOT_ALLOWED),
        ("75.01", NOT_ALLOWED),
        ("x", (422, "Amount must be a number.")),
        (0, (422, f"Amount {POSITIVE}.")),
    ],
)
def test_no_part_of_an_authorisation_is_given_back(amount: Any, expected: Any):
    table, payment = paid(7_500, status="authorized")
    assert complaint(ask(table, payment, {"amount": amount})) == expected
    assert not [each for each in table.asks if isinstance(each, ReleasePayment | NextNumber)]
    assert table.payment(payment) == payment


@pytest.mark.parametrize("state", State)
def test_every_state_of_a_release_has_its_form(state: State):
    table, payment = paid(7_500, status="authorized")
    table.outcome = state.value
    answer = ask(table, payment)
    shown = SHOWN[state]
    assert answer.status == (422 if shown is Status.DECLINED else 200)
    number = next(iter(table.documents))[1]
    record = read(table, number)
    assert record["status"]["status"] == shown.value
    assert (record["authCode"] is not None) == (shown is Status.APPROVED)
    listed = [str(each["id"]) for each in read(table, payment.dialect_id)["history"]]
    assert listed == ([number] if shown in (Status.APPROVED, Status.IN_PROGRESS) else [])
    if shown is Status.IN_PROGRESS:
        assert complaint(ask(table, payment)) == NOT_ALLOWED


def test_a_refused_release_may_be_asked_for_again_and_stays_readable():
    table, payment = paid(7_500, status="authorized")
    table.outcome = "failed:Time out"
    assert complaint(ask(table, payment)) == (422, "Time out")
    table.outcome = "succeeded"
    second = fits(ask(table, payment))
    first = next(number for _, number in table.documents if number != str(second["id"]))
    assert read(table, first)["status"]["status"] == "Declined"
    assert read(table, second["id"])["status"]["status"] == "Approved"


def test_a_release_that_was_declined_may_be_answered_as_a_record():
    table, payment = paid(7_500, status="authorized", profile={"decline_mode": 200})
    table.outcome = "failed:Time out"
    assert fits(ask(table, payment))["status"] == {"status": "Declined", "reason": "Time out"}


class CapturedMeanwhile(Table):
    """A table where the payment is captured just before it would be released."""

    captures = 0

    def answer(self, ask: Any) -> Any:
        if isinstance(ask, ReleasePayment) and self.captures:
            self.see(ask.payment, "captured", self.captures)
        return super().answer(ask)


@pytest.mark.parametrize(("captured", "body", "amount"), [(7_500, None, "75.00"), (5_000, None, "50.00")])
def test_what_was_captured_meanwhile_is_refunded(captured: int, body: Any, amount: str):
    table = CapturedMeanwhile(DIALECT)
    table.outcome, table.captures = "succeeded", captured
    payment = table.pay(7_500, "USD", status="authorized")
    record = fits(ask(table, payment, body))
    assert (record["amount"], record["authCode"]) == (amount, None)
    assert [each.payer for each in table.refunds] == [captured]
    original = read(table, payment.dialect_id)
    assert (original["amount"], original["captured"], original["refunded"]) == ("75.00", True, True)
    assert len(original["history"]) == 1


def test_the_id_of_a_release_that_never_was_is_not_there():
    table = CapturedMeanwhile(DIALECT)
    table.outcome, table.captures = "succeeded", 7_500
    payment = table.pay(7_500, "USD", status="authorized")
    ask(table, payment)
    (number,) = (each.id for each in table.asks if isinstance(each, SaveDocument))
    assert table.call("GET", f"/payment/{number}").status == 404
    assert not table.documents


class ReleasedMeanwhile(Table):
    """A table where somebody else is quicker."""

    def answer(self, ask: Any) -> Any:
        if isinstance(ask, ReleasePayment) and ask.dialect_id != "1":
            super().answer(replace(ask, dialect_id="1"))
        return super().answer(ask)


def test_of_two_releases_at_once_one_is_refused():
    table = ReleasedMeanwhile(DIALECT)
    table.outcome = "succeeded"
    payment = table.pay(7_500, "USD", status="authorized")
    assert complaint(ask(table, payment)) == NOT_ALLOWED
    assert [each["id"] for each in read(table, payment.dialect_id)["history"]] == [1]


# --- refusals --------------------------------------------------------------------------------------------------------

REFUSALS: list[tuple[str, Any, Any, tuple[int, str]]] = [
    ("failed", lambda t: t.pay(1000, "USD", status="failed"), None, NOT_ALLOWED),
    ("processing", lambda t: t.pay(1000, "USD", status="processing"), None, NOT_ALLOWED),
    ("fully refunded", lambda t: after(t, None), None, NOT_ALLOWED),
    ("fully refunded, a part", lambda t: after(t, None), {"amount": 1}, NOT_ALLOWED),
    ("fully refunded elsewhere", lambda t: t.see(t.pay(1000, "USD"), "external", 1000), None, NOT_ALLOWED),
    ("on its way in full", lambda t: after(t, None, "pending"), None, NOT_ALLOWED),
    ("disputed in full", lambda t: t.see(t.pay(1000, "USD"), "dispute_open", 1000), None, NOT_ALLOWED),
    ("state before amount", lambda t: t.pay(1000, "USD", status="failed"), {"amount": "x"}, NOT_ALLOWED),
    ("nothing left before amount", lambda t: after(t, None), {"amount": -1}, NOT_ALLOWED),
    ("terminal before state", lambda t: after(t, None), {"terminal": {}}, (422, "Terminal ID cannot be blank.")),
    (
        "terminal before amount",
        lambda t: t.pay(9, "USD"),
        {"terminal": {}, "amount": 0},
        (422, "Terminal ID cannot be blank."),
    ),
    (
        "more than is left",
        lambda t: after(t, {"amount": 9}),
        {"amount": 2},
        (422, "Amount must be no greater than 1.00."),
    ),
    ("amount before order", lambda t: t.pay(9, "USD"), {"amount": 0, "order": 1}, (422, f"Amount {POSITIVE}.")),
]


def after(table: Table, body: Any, outcome: str = "succeeded") -> Payment:
    payment = table.pay(1000, "USD")
    table.outcome = outcome
    assert ask(table, payment, body).status == 200
    table.outcome = "succeeded"
    return payment


@pytest.mark.parametrize(("prepare", "body", "expected"), [pytest.param(*row[1:], id=row[0]) for row in REFUSALS])
def test_refusals(prepare: Any, body: Any, expected: Any):
    table = Table(DIALECT)
    payment = prepare(table)
    before, admitted = read(table, payment.dialect_id), len(table.refunds)
    assert complaint(ask(table, payment, body)) == expected
    assert len(table.refunds) == admitted, "an HTTP error keeps nothing"
    assert read(table, payment.dialect_id) == before


def test_the_rest_of_a_disputed_payment_stays_refundable():
    table, payment = paid()
    table.see(payment, "dispute_open", 9_000)
    assert fits(ask(table, payment))["amount"] == "10.00"


def test_money_that_came_back_may_be_given_back_again():
    table, payment = paid()
    ask(table, payment)
    table.bring(table.refunds[-1], "returned")
    assert fits(ask(table, payment))["amount"] == "100.00"


def test_every_reason_has_a_place_and_a_word():
    assert len(PRECEDENCE) == len(set(PRECEDENCE)) == len(Reason)
    assert set(WORDS) == set(Reason)
    assert {reason for reason, word in WORDS.items() if word is Word.PROCESSOR} == KEPT


SPOKEN = [reason for reason in PRECEDENCE if WORDS[reason] not in (Word.MOVED_ON, Word.PROCESSOR)]


@pytest.mark.parametrize(("earlier", "later"), list(combinations(PRECEDENCE, 2)))
def test_of_two_reasons_the_earlier_is_said(earlier: Reason, later: Reason):
    payment = Table(DIALECT).pay(1000, "USD")
    both = in_precedence([Failing(later), Failing(earlier)], DIALECT.precedence)
    assert both is not None and both.first.reason is earlier
    if earlier in SPOKEN:
        assert complaint_of(both, payment) == complaint_of(Refusal((Failing(earlier),)), payment)
        assert complaint_of(both, payment).status == (404 if WORDS[earlier] is Word.NOT_FOUND else 422)


class Refusing(Table):
    """A table whose rail has a reason of its own."""

    reason: Reason

    def answer(self, ask: Any) -> Any:
        if isinstance(ask, AskRefund):
            ask = replace(ask, check=lambda *_: [Failing(self.reason)])
        return super().answer(ask)


@pytest.mark.parametrize("mode", [422, 200])
@pytest.mark.parametrize("reason", sorted(KEPT, key=PRECEDENCE.index))
def test_what_a_processor_refuses_is_kept_as_a_declined_return(reason: Reason, mode: int):
    table = Refusing(DIALECT, profile={"decline_mode": mode})
    table.reason = reason
    payment = table.pay(1000, "USD")
    body = fits(ask(table, payment, {"amount": 3}))
    record = read(table, table.refunds[-1].dialect_id)
    assert record["status"]["status"] == "Declined"
    assert record["status"]["reason"] != "Declined", "every one has a reason of the provider's"
    assert (body if mode == 200 else body["message"]) == (record if mode == 200 else record["status"]["reason"])
    assert (table.payment(payment).refundable, read(table, payment.dialect_id)["history"]) == (1000, [])
    assert not [each for each in table.asks if isinstance(each, Await)], "a kept refusal is answered at once"


# --- equal requests --------------------------------------------------------------------------------------------------


def test_two_equal_requests_are_two_refunds():
    table, payment = paid()
    numbers = {fits(ask(table, payment, {"amount": 1}))["id"] for _ in range(2)}
    assert len(numbers) == len(table.refunds) == 2


@pytest.mark.parametrize("body", [{}, {"amount": 30}, {"amount": 30, "order": {"tax": 0}}])
def test_where_equal_requests_are_joined_the_second_is_answered_with_the_first(body: Any):
    table = Table(DIALECT, join_within=timedelta(seconds=120))
    table.outcome = "succeeded"
    payment = table.pay(10_300, "USD", parts=ORDER)
    first, second = fits(ask(table, payment, body)), fits(ask(table, payment, body))
    assert first["id"] == second["id"]
    assert len(table.refunds) == 1


def test_another_external_id_makes_another_request():
    table = Table(DIALECT, join_within=timedelta(seconds=120))
    table.outcome = "succeeded"
    payment = table.pay(10_000, "USD")
    for reference in ("a", "b", "a"):
        assert fits(ask(table, payment, {"amount": 1, "externalId": reference}))["externalId"] is None
    assert len(table.refunds) == 2


def test_the_duplicate_guard_is_off_and_can_be_turned_on():
    table, payment = paid(profile={"duplicate_window_s": 60})
    assert ask(table, payment, {"amount": 1}).status == 200
    assert complaint(ask(table, payment, {"amount": "1.00"})) == (422, "Possible Duplicate Request")
    assert ask(table, payment, {"amount": 2}).status == 200
    table.now += timedelta(seconds=60)
    assert ask(table, payment, {"amount": 1}).status == 200
    assert [each.state for each in table.refunds].count(State.FAILED) == 1


# --- whatever is sent ------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.decimals(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["terminal", "terminal[id]", "amount", "order", "order[tax]", "order[tax][amount]", "order[", "[]"]
)


@settings(deadline=None)
@given(
    body=json_values
    | st.dictionaries(names, json_values, max_size=6)
    | st.fixed_dictionaries({"terminal": st.just(HERE), "amount": json_values, "order": json_values})
)
def test_no_body_breaks_it_and_no_refusal_moves_money(body: Any):
    table, payment = paid(10_300, parts=ORDER)
    answer = table.call("POST", f"/payment/{payment.dialect_id}/refund", body, encoding="json")
    assert answer.status in (200, 400, 404, 422)
    found = fits(answer)
    gone = Decimal(found["amount"]) if answer.status == 200 else 0
    assert table.payment(payment).refundable == 10_300 - gone * 100


# --- credentials and faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        (None, None),
    ],
)
def test_the_token_is_read_from_its_header(header: str | None, secret: str | None):
    headers = {} if header is None else {"authorization": header}
    found = presented(Incoming(method="GET", path="/", headers=headers))
    assert found == (Presented(secret) if secret else None)


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        (Fault.UNAUTHENTICATED, 401, "Unauthorized"),
        (Fault.FORBIDDEN, 403, "Forbidden"),
        (Fault.NOT_FOUND, 404, "Not Found"),
        (Fault.METHOD_NOT_ALLOWED, 405, "Method Not Allowed"),
        (Fault.BAD_BODY, 400, "Bad Request"),
        (Fault.TOO_LARGE, 413, "Payload Too Large"),
        (Fault.UNAVAILABLE, 503, "Service Unavailable"),
        (Fault.INTERNAL, 500, "Internal Server Error"),
    ],
)
def test_faults(kind: Fault, status: int, name: str):
    answer = fault(kind, None)
    assert (answer.status, fits(answer)["name"]) == (status, name)
    assert ("Retry-After" in answer.headers) == (kind is Fault.UNAVAILABLE)
    assert ("WWW-Authenticate" in answer.headers) == (kind is Fault.UNAUTHENTICATED)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_refund_is_only_posted(method: str):
    table, payment = paid()
    assert table.call(method, f"/payment/{payment.dialect_id}/refund").status == 405


# --- the sandbox -----------------------------------------------------------------------------------------------------


def test_the_sandbox_shows_every_kind():
    table = Table(DIALECT)
    samples = DIALECT.samples
    assert samples is not None
    letters = iter("abcdefghij" * 100)
    token, profile = samples.credentials(lambda n: "".join(next(letters) for _ in range(n)))
    for each in samples.payments:
        assert payment_document(each.document, table.now) == each.document, "registration adds nothing to a sample"
    payments = tuple(table.answer(each) for each in samples.payments)
    section = json.loads(json.dumps(samples.section("http://h/maverick", token, profile, payments)))
    assert list(section) == ["base_url", "token", "terminal_id", "payments"]
    assert (section["base_url"], section["terminal_id"]) == ("http://h/maverick", 24)
    assert all(list(each) == ["id", "amount", "captured", "order"] for each in section["payments"])
    first = section["payments"][0]
    assert (first["captured"], first["order"]) == (True, None) and Decimal(first["amount"]) >= 100
    assert {"subtotal": "100.00", "tax": "8.00", "discounts": "5.00"} in [each["order"] for each in section["payments"]]
    assert payments[[each["captured"] for each in section["payments"]].index(False)].condition.value == "authorized"
    for payment in payments:
        body = read(table, payment.dialect_id)
        assert all(isinstance(value, str) for value in body["ip"]["location"].values())


# --- samples ---------------------------------------------------------------------------------------------------------

SAMPLES = sorted((Path(maverick.__file__).parent / "samples").glob("*.json"))
TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list, "null": type(None)}


def at(body: Any, place: str) -> Any:
    for step in place.split("."):
        body = body[int(step)] if isinstance(body, list) else body[step]
    return body


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples(sample: Path):
    """Given the documented request, the answer has the documented members, in that order, first, with their types."""
    told = json.loads(sample.read_text(), parse_float=Decimal)
    assert "provider" in told["source"]
    made, request, response = told["given"], told["request"], told["response"]
    table, _ = paid()
    parts = Parts(**made["parts"]) if "parts" in made else None
    payment = table.pay(made["amount"], made["currency"], status=made.get("status", "captured"), parts=parts)
    if "refunded" in made:
        assert ask(table, payment, {"amount": made["refunded"]}).status == 200
    table.outcome = made["outcome"]
    answer = table.call(request["method"], request["path"].replace("{id}", payment.dialect_id), request["body"])
    body = fits(answer)
    assert answer.status == response["status"]
    assert list(body)[: len(response["members"])] == [name for name, _ in response["members"]]
    for name, types in response["members"]:
        assert type(body[name]) in [TYPES[each] for each in types], name
    for place, value in response["values"].items():
        wanted = int(payment.dialect_id) if value == "{id}" else value
        assert at(body, place) == wanted, place


def test_authorisation_codes_look_like_the_providers():
    table = Table(DIALECT)
    codes = {read(table, table.pay(100, "USD").dialect_id)["authCode"] for _ in range(50)}
    assert len(codes) == 50
    assert all(re.fullmatch(r"[A-Z]{3}\d{3}", code) for code in codes)
