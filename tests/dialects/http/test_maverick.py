"""Maverick over HTTP: a row for every documented rule and error of the refund call, and its clients' habits."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from moneyback.dialect import Outgoing
from tests.dialects.driver import said
from tests.dialects.http.server import BOM, FORM, JSON, NOTHING, Product, basic, bearer, form, multipart, raw
from tests.dialects.maverick.schemas import fits

HERE = {"terminal": {"id": 24}}
NOT_ALLOWED = (422, "Return Not Allowed")
NOT_FOUND = (404, "The requested transaction does not exist.")
NO_TERMINAL = (422, "Terminal ID cannot be blank.")
BAD_TERMINAL = (422, "Terminal ID must be an integer.")
NUMBER = "Amount must be a number."
POSITIVE = "Amount must be greater than 0."
PRECISE = "Amount must have at most 2 decimal places."
BLANK = "Amount cannot be blank."
ORDER = {"subtotal": 100_00, "tax": 8_00, "discount": 5_00}
NAMES = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Payload Too Large",
    422: "Unprocessable entity",
}


def too_much(limit: str) -> str:
    return f"Amount must be no greater than {limit}."


class Terminal:
    """Terminal 24 of Maverick: its payments, and refunds of them."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.ready = product.ready["maverick"]
        self.face = product.face("maverick", bearer(self.ready["token"]))

    def sale(self, amount: int = 100_00, **members: Any) -> dict[str, Any]:
        return self.product.pay("maverick", amount, "USD", **members)

    def order(self, **members: Any) -> dict[str, Any]:
        """The worked case: subtotal 100, tax 8, discounts 5, paid with 103."""
        return self.sale(103_00, parts=ORDER, **members)

    def refund(self, payment: dict[str, Any], body: Any = None, path: str = "refund") -> Outgoing:
        """The refund call, with the right terminal unless the body is written out; its answer satisfies its schema."""
        if body is None or isinstance(body, dict):
            body = HERE | (body or {})
        answer = self.face.post(f"/payment/{payment['dialect_id']}/{path}", body)
        fits(answer)
        return answer

    def made(self, payment: dict[str, Any], body: Any = None) -> dict[str, Any]:
        answer = self.refund(payment, body)
        assert answer.status == 200, said(answer)
        return said(answer)

    def see(self, number: object) -> dict[str, Any]:
        answer = self.face.get(f"/payment/{number}")
        assert answer.status == 200, said(answer)
        return fits(answer)

    def original(self, payment: dict[str, Any]) -> dict[str, Any]:
        return self.see(payment["dialect_id"])

    def ended(self, record: dict[str, Any], status: str) -> dict[str, Any]:
        """The Return, once time has brought it to a status."""

        def look() -> dict[str, Any] | None:
            current = self.see(record["id"])
            return current if current["status"]["status"] == status else None

        found: dict[str, Any] = self.product.in_time(look, f"a return is {status}")
        return found

    def untouched(self, payment: dict[str, Any]) -> bool:
        return self.product.payment(payment["id"]) == payment and self.product.refunds(payment["id"]) == []


def complaint(answer: Outgoing) -> tuple[int, str]:
    """(HTTP status, message) of an error in Maverick's form."""
    body = said(answer)
    assert list(body) == ["name", "message", "code", "status"]
    assert (body["name"], body["code"], body["status"]) == (NAMES[answer.status], answer.status, answer.status)
    return answer.status, body["message"]


@pytest.fixture(scope="module")
def terminal(product: Product) -> Terminal:
    return Terminal(product)


# --- the answer ------------------------------------------------------------------------------------------------------


def test_a_refund_answers_its_return_and_the_original_tells_of_it(terminal: Terminal):
    payment = terminal.sale(dialect_data={"externalId": "order-7", "card": {"name": "A. Payer"}})
    number = int(payment["dialect_id"])
    record = terminal.made(payment, {"amount": "1.99", "externalId": "mine"})
    assert (record["type"], record["amount"], record["parent"]) == ("Return", "1.99", {"id": number})
    assert (record["status"], record["authCode"], record["order"]) == (
        {"status": "Approved", "reason": None},
        None,
        None,
    )
    assert (record["refunded"], record["captured"], record["history"]) == (False, False, [])
    assert (record["externalId"], record["card"]["name"], record["contact"]) == (None, None, None)  # not inherited
    assert terminal.see(record["id"]) == record

    original = terminal.original(payment)
    assert (original["type"], original["amount"], original["captured"], original["refunded"]) == (
        "Auth",
        "100.00",
        True,
        False,
    )
    assert original["history"] == [
        {"id": record["id"], "type": "Return", "amount": "1.99", "createdOn": record["createdOn"]}
    ]
    assert (original["parent"], original["externalId"]) == ({"id": None}, "order-7")
    assert original["updatedOn"] is not None
    assert number < record["id"]


@pytest.mark.parametrize("body", [HERE, HERE | {"amount": None}, HERE | {"order": None}, HERE | {"order": []}])
def test_without_an_amount_what_remains_is_refunded(terminal: Terminal, body: Any):
    payment = terminal.sale()
    terminal.made(payment, {"amount": 1})
    assert terminal.made(payment, body)["amount"] == "99.00"
    assert terminal.original(payment)["refunded"] is True


# --- amounts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "given"),
    [
        ('"10"', "10.00"),
        ("10", "10.00"),
        ("10.0", "10.00"),
        ('"10.00"', "10.00"),
        ("1e2", "100.00"),
        ('"2.50"', "2.50"),
        ("1.99", "1.99"),
        ("0.01", "0.01"),
    ],
)
def test_amounts_that_are_taken(terminal: Terminal, amount: str, given: str):
    assert terminal.made(terminal.sale(), f'{{"terminal": {{"id": 24}}, "amount": {amount}}}')["amount"] == given


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ("10.005", PRECISE),
        ('"10.005"', PRECISE),
        ("-1", POSITIVE),
        ('"-1"', POSITIVE),
        ("0", POSITIVE),
        ('"0.00"', POSITIVE),
        ('""', BLANK),
        ("[]", NUMBER),
        ("{}", NUMBER),
        ("true", NUMBER),
        ('"1e2"', NUMBER),
        ('"ten"', NUMBER),
        ("100.01", too_much("100.00")),
        ("1000000.01", too_much("1000000.00")),
        ("9223372036854775807", too_much("1000000.00")),
    ],
)
def test_amounts_that_are_refused(terminal: Terminal, amount: str, message: str):
    payment = terminal.sale()
    answer = terminal.refund(payment, f'{{"terminal": {{"id": 24}}, "amount": {amount}}}')
    assert complaint(answer) == (422, message)
    assert terminal.untouched(payment)


def test_parts_and_the_rest_close_to_zero(terminal: Terminal):
    payment = terminal.sale()
    numbers = [terminal.made(payment, {"amount": amount})["id"] for amount in ("30.00", 33.33)]
    assert complaint(terminal.refund(payment, {"amount": "36.68"})) == (422, too_much("36.67"))
    rest = terminal.made(payment)
    assert rest["amount"] == "36.67"
    original = terminal.original(payment)
    assert [each["id"] for each in original["history"]] == [*numbers, rest["id"]]
    assert original["refunded"] is True
    for body in (None, {"amount": "0.01"}):
        assert complaint(terminal.refund(payment, body)) == NOT_ALLOWED
    assert terminal.product.executed(payment["id"]) == [30_00, 33_33, 36_67]


def test_two_equal_requests_are_two_refunds(terminal: Terminal):
    payment = terminal.sale()
    one, two = terminal.made(payment, {"amount": 10}), terminal.made(payment, {"amount": 10})
    assert two["id"] > one["id"]


def test_calls_at_once_never_give_more_than_came_in(terminal: Terminal):
    payment = terminal.sale()
    answers = terminal.product.at_once([partial(terminal.refund, payment, {"amount": 60})] * 6)
    assert sorted(each.status for each in answers) == [200] + [422] * 5
    assert {complaint(each) for each in answers if each.status == 422} == {(422, too_much("40.00"))}
    assert terminal.product.executed(payment["id"]) == [60_00]


def test_the_partial_path_needs_an_amount(terminal: Terminal):
    payment = terminal.sale()
    assert complaint(terminal.refund(payment, {}, "refund/partial")) == (422, BLANK)
    assert terminal.untouched(payment)
    assert said(terminal.refund(payment, {"amount": 2}, "refund/partial"))["amount"] == "2.00"


# --- the order's parts -----------------------------------------------------------------------------------------------

OVER_SUBTOTAL = "Amount without order.tax and order.discounts must be no greater than 100.00."
OVER_GOODS = "Amount less order.tax plus order.discounts must be no greater than 100.00."


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "103.00"),
        ({"amount": 100}, "100.00"),
        ({"amount": "103.00", "order": {"tax": 8, "discounts": 5}}, "103.00"),
        ({"amount": "103.00", "order": {"tax": "8.00", "discounts": "5.00"}}, "103.00"),
        ({"amount": "103.00", "order": {"tax": {"amount": 8}, "discounts": {"amount": "5"}}}, "103.00"),
        ({"amount": 100, "order": {}}, "100.00"),
        ({"amount": 54, "order": {"tax": 4}}, "54.00"),
        ({"amount": 95, "order": {"discounts": 5}}, "95.00"),
        ({"amount": 103}, (422, OVER_SUBTOTAL)),
        ({"amount": 100.01}, (422, OVER_SUBTOTAL)),
        ({"amount": 103, "order": {}}, (422, OVER_SUBTOTAL)),
        ({"amount": 103, "order": {"tax": 2, "discounts": 0}}, (422, OVER_GOODS)),
        ({"amount": 103, "order": {"discounts": 5}}, (422, OVER_GOODS)),
        ({"amount": 95.01, "order": {"discounts": 5}}, (422, OVER_GOODS)),
        ({"amount": 10, "order": {"tax": 8.01}}, (422, "Order tax must be no greater than 8.00.")),
        ({"amount": 10, "order": {"discounts": 5.01}}, (422, "Order discounts must be no greater than 5.00.")),
        ({"amount": 10, "order": {"tax": -1}}, (422, "Order tax must be no less than 0.")),
        ({"amount": 10, "order": {"discounts": "x"}}, (422, "Order discounts must be a number.")),
        ({"amount": 10, "order": {"tax": 1.005}}, (422, "Order tax must have at most 2 decimal places.")),
        ({"amount": 10, "order": {"tax": ""}}, (422, "Order tax cannot be blank.")),
        ({"amount": 10, "order": "none"}, (422, "Order must be an object.")),
        ({"amount": 103.01, "order": {"tax": 8, "discounts": 5}}, (422, too_much("103.00"))),
    ],
)
def test_the_subtotal_rule(terminal: Terminal, body: Any, expected: Any):
    payment = terminal.order()
    answer = terminal.refund(payment, body)
    if isinstance(expected, str):
        assert (said(answer)["amount"], said(answer)["order"]) == (expected, None)
    else:
        assert complaint(answer) == expected
        assert terminal.untouched(payment)


def test_what_is_left_of_tax_and_discounts(terminal: Terminal):
    payment = terminal.order()
    assert terminal.original(payment)["order"] == {"subtotal": "100.00", "tax": "8.00", "discounts": "5.00"}
    terminal.made(payment, {"amount": 53, "order": {"tax": 6, "discounts": 3}})
    over = {"amount": 10, "order": {"tax": 2.01}}
    assert complaint(terminal.refund(payment, over)) == (422, "Order tax must be no greater than 2.00.")
    over = {"amount": 10, "order": {"discounts": 2.01}}
    assert complaint(terminal.refund(payment, over)) == (422, "Order discounts must be no greater than 2.00.")
    assert terminal.made(payment, {"amount": 50, "order": {"tax": 2, "discounts": 2}})["amount"] == "50.00"
    assert terminal.original(payment)["refunded"] is True


def test_without_an_order_the_amount_is_the_subtotal(terminal: Terminal):
    assert terminal.made(terminal.sale(), {"amount": 100})["amount"] == "100.00"


def test_shipping_is_named_where_there_is_any(terminal: Terminal):
    payment = terminal.sale(113_00, parts=ORDER | {"shipping": 10_00})
    assert terminal.original(payment)["order"]["shipping"] == "10.00"
    assert terminal.made(payment, {"amount": 113, "order": {"tax": 8, "discounts": 5}})["amount"] == "113.00"


# --- who asks, and for what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", [None, bearer("wrong"), basic("x", "y"), "Bearer"])
def test_bad_credentials(terminal: Terminal, authorization: str | None):
    payment = terminal.sale()
    for number in (payment["dialect_id"], "1"):
        answer = terminal.face.as_(authorization).post(f"/payment/{number}/refund", HERE)
        assert complaint(answer) == (401, "Your request was made with invalid credentials.")
    assert terminal.untouched(payment)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, NO_TERMINAL),
        ({"amount": 1}, NO_TERMINAL),
        ({"terminal": 24}, NO_TERMINAL),
        ({"terminal": {"id": None}}, NO_TERMINAL),
        ({"terminal": {"id": ""}}, NO_TERMINAL),
        ([], NO_TERMINAL),
        (NOTHING, NO_TERMINAL),
        ({"terminal": {"id": "x"}}, BAD_TERMINAL),
        ({"terminal": {"id": True}}, BAD_TERMINAL),
        ({"terminal": {"id": 24.5}}, BAD_TERMINAL),
        ({"terminal": {"id": 25}}, NOT_FOUND),
    ],
)
def test_a_terminal_is_needed_and_must_be_the_payments(terminal: Terminal, body: Any, expected: tuple[int, str]):
    payment = terminal.sale()
    answer = terminal.face.post(f"/payment/{payment['dialect_id']}/refund", body)
    fits(answer)
    assert complaint(answer) == expected
    assert terminal.untouched(payment)


@pytest.mark.parametrize("named", [24, "24", 24.0])
def test_ways_to_name_a_terminal(terminal: Terminal, named: Any):
    assert terminal.made(terminal.sale(), {"terminal": {"id": named}})["terminal"] == {"id": 24}


def test_the_terminal_of_another_payment(terminal: Terminal):
    payment = terminal.sale(dialect_data={"terminal_id": 7})
    assert complaint(terminal.refund(payment)) == NOT_FOUND
    assert terminal.made(payment, {"terminal": {"id": 7}})["terminal"] == {"id": 7}


@pytest.mark.parametrize("number", ["1", "999999999999999", "abc"])
def test_an_unknown_transaction(terminal: Terminal, number: str):
    for answer in (terminal.face.post(f"/payment/{number}/refund", HERE), terminal.face.get(f"/payment/{number}")):
        assert complaint(answer) == NOT_FOUND


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/payment/1/void", (404, "Page not found.")),
        ("POST", "/payments/1/refund", (404, "Page not found.")),
        ("GET", "/payment/1/refund", (405, "This method is not allowed here.")),
        ("DELETE", "/payment/1", (405, "This method is not allowed here.")),
    ],
)
def test_what_is_not_served(terminal: Terminal, method: str, path: str, expected: tuple[int, str]):
    assert complaint(terminal.face.ask(method, path)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("7", (400, "The request body must be a JSON object.")),
        ("[1]", (400, "The request body must be a JSON object.")),
        ('{"terminal": ', (400, "The request body cannot be read.")),
        (b'{"a": "\xff"}', (400, "The request body cannot be read.")),
        (r'{"a": "\u0000"}', (400, "The request body cannot be read.")),
        ('{"amount": 99999999999999999999}', (400, "The request body cannot be read.")),
        (raw("x" * ((1 << 20) + 1)), (413, "The request body is too large.")),
    ],
)
def test_bodies_that_are_refused(terminal: Terminal, body: Any, expected: tuple[int, str]):
    payment = terminal.sale()
    assert complaint(terminal.refund(payment, body)) == expected
    assert terminal.untouched(payment)


def test_a_return_cannot_be_returned(terminal: Terminal):
    record = terminal.made(terminal.sale(), {"amount": 1})
    assert complaint(terminal.face.post(f"/payment/{record['id']}/refund", HERE)) == NOT_ALLOWED


@pytest.mark.parametrize(("condition", "shown"), [("processing", "InProgress"), ("failed", "Declined")])
@pytest.mark.parametrize("body", [{}, {"amount": 1}, {"amount": -1}, {"amount": 1000}])
def test_only_what_was_approved_can_be_returned(terminal: Terminal, condition: str, shown: str, body: Any):
    """The state is complained of before the amount."""
    payment = terminal.sale(status=condition)
    assert terminal.original(payment)["status"]["status"] == shown
    assert complaint(terminal.refund(payment, body)) == NOT_ALLOWED
    assert terminal.untouched(payment)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"terminal": {"id": 25}, "amount": -1}, NOT_FOUND),
        ({"terminal": {}, "amount": -1}, NO_TERMINAL),
        ({"terminal": {"id": 24}, "amount": 103.005}, (422, PRECISE)),
        ({"terminal": {"id": 24}, "amount": 104}, (422, too_much("103.00"))),
    ],
    ids=["terminal, amount", "no terminal, amount", "format, bound", "captured, subtotal"],
)
def test_of_two_complaints_the_earlier_is_said(terminal: Terminal, body: Any, expected: tuple[int, str]):
    assert complaint(terminal.refund(terminal.order(), body)) == expected


def test_there_is_no_time_limit(terminal: Terminal):
    assert terminal.made(terminal.sale(age=timedelta(days=5 * 365)))["amount"] == "100.00"


def test_a_disputed_payment(terminal: Terminal):
    payment = terminal.product.disputed("maverick", 100_00, "USD")
    assert complaint(terminal.refund(payment, {"amount": 1})) == NOT_ALLOWED
    assert terminal.product.refunds(payment["id"]) == []


def test_a_payment_that_its_bank_took_back(terminal: Terminal):
    payment = terminal.product.returned("maverick", 100_00, "USD")
    assert complaint(terminal.refund(payment)) == NOT_ALLOWED
    assert terminal.product.refunds(payment["id"]) == []


# --- an Auth that was not captured -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [{}, {"amount": "100.00"}, {"amount": 100}], ids=["no amount", "all of it", "a number"]
)
def test_an_uncaptured_auth_is_reversed_as_a_whole(terminal: Terminal, body: Any):
    payment = terminal.sale(status="authorized")
    before = terminal.original(payment)
    assert (before["captured"], before["refunded"], before["status"]["status"]) == (False, False, "Approved")
    record = terminal.made(payment, body)
    assert (record["type"], record["amount"], record["status"]["status"]) == ("Return", "100.00", "Approved")
    assert record["authCode"] is not None
    assert record["parent"] == {"id": int(payment["dialect_id"])}
    assert terminal.see(record["id"]) == record
    original = terminal.original(payment)
    assert (original["refunded"], original["captured"]) == (True, False)
    assert [each["id"] for each in original["history"]] == [record["id"]]
    for again in ({}, {"amount": 1}):
        assert complaint(terminal.refund(payment, again)) == NOT_ALLOWED
    assert terminal.product.executed(payment["id"]) == []  # no money moves
    assert terminal.product.refunds(payment["id"]) == []


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(1, NOT_ALLOWED), ("99.99", NOT_ALLOWED), (100.01, NOT_ALLOWED), (-1, (422, POSITIVE)), ("x", (422, NUMBER))],
)
def test_there_is_no_part_of_an_uncaptured_auth(terminal: Terminal, amount: Any, expected: tuple[int, str]):
    payment = terminal.sale(status="authorized")
    assert complaint(terminal.refund(payment, {"amount": amount})) == expected
    assert terminal.untouched(payment)


def test_an_auth_is_reversed_once_however_many_ask(terminal: Terminal):
    payment = terminal.sale(status="authorized")
    answers = terminal.product.at_once([partial(terminal.refund, payment)] * 4)
    assert sorted(each.status for each in answers) == [200, 422, 422, 422]
    assert {complaint(each) for each in answers if each.status == 422} == {NOT_ALLOWED}


# --- what the rail does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("Insufficient Funds", "Insufficient Funds"),
        ("Return Not Allowed", "Return Not Allowed"),
        (
            "Unable to process your request. Settlement InProgress.",
            "Unable to process your request. Settlement InProgress.",
        ),
        ("Duplicate Request (Approved previously)", "Duplicate Request (Approved previously)"),
        ("funds", "Insufficient Funds"),
        ("policy", "Insufficient privileges"),
    ],
)
def test_a_decline_is_an_error_whose_return_can_be_read(terminal: Terminal, code: str, reason: str):
    payment = terminal.sale(scenario=f"decline:{code}")
    assert complaint(terminal.refund(payment, {"amount": 10})) == (422, reason)
    [kept] = terminal.product.refunds(payment["id"])
    record = terminal.see(kept["dialect_id"])
    assert (record["status"], record["amount"]) == ({"status": "Declined", "reason": reason}, "10.00")
    original = terminal.original(payment)
    assert (original["history"], original["refunded"], original["status"]["status"]) == ([], False, "Approved")
    assert terminal.product.executed(payment["id"]) == []
    assert terminal.product.payment(payment["id"])["refundable"] == 100_00


@pytest.mark.parametrize(
    ("scenario", "at_first", "in_the_end"),
    [
        ("pending:30", "InProgress", "Approved"),
        ("pending:30:decline", "InProgress", "Declined"),
        ("pending:30:late_failure", "InProgress", "Error"),
        ("late_failure:30", "Approved", "Error"),
        ("lost_answer:executed", "InProgress", "Approved"),
        ("lost_answer:not_executed", "InProgress", "Approved"),
        ("error_after_execution", "InProgress", "Approved"),
    ],
)
def test_what_becomes_of_a_refund(terminal: Terminal, scenario: str, at_first: str, in_the_end: str):
    payment = terminal.sale(scenario=scenario)
    record = terminal.made(payment)
    assert record["status"] == {"status": at_first, "reason": None}
    assert [each["id"] for each in terminal.original(payment)["history"]] == [record["id"]]
    assert complaint(terminal.refund(payment, {"amount": 1})) == NOT_ALLOWED
    ended = terminal.ended(record, in_the_end)
    approved = in_the_end == "Approved"
    assert (ended["status"]["reason"] is None) == approved
    assert ended["updatedOn"] >= ended["createdOn"] == record["createdOn"]
    original = terminal.original(payment)
    assert original["refunded"] is approved
    assert len(original["history"]) == (1 if approved else 0)
    assert len(terminal.product.executed(payment["id"])) == (0 if in_the_end == "Declined" else 1)


@pytest.mark.parametrize("scenario", ["requires_action", "wrong_amount:1"])
def test_what_a_person_must_look_at_is_in_progress(terminal: Terminal, scenario: str):
    payment = terminal.sale(scenario=scenario)
    assert terminal.made(payment, {"amount": 30})["status"]["status"] == "InProgress"


def test_a_late_answer_is_in_time_when_the_clock_moves(terminal: Terminal):
    payment = terminal.sale(scenario="slow:3600")
    asked = terminal.product.begin(terminal.made, payment)
    terminal.product.until_sent(payment)
    terminal.product.advance(hours=1)
    assert asked.result()["status"]["status"] == "Approved"


def test_a_processor_that_takes_too_long(terminal: Terminal, unhurried: dict[str, Any]):
    """Twenty seconds, then the Return as InProgress."""
    asked, payment = unhurried["maverick"]
    record = fits(asked.result())
    assert (record["type"], record["parent"]["id"]) == ("Return", int(payment["dialect_id"]))
    assert record["status"] == {"status": "InProgress", "reason": None}
    assert terminal.product.executed(payment["id"]) == [10_00]


# --- habits of clients -----------------------------------------------------------------------------------------------

TEN = '{"terminal": {"id": 24}, "amount": 10}'
AS_FORM = {"terminal[id]": "24", "amount": "10.00"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/payment/{}/refund/", TEN),
        ("//payment//{}//refund", TEN),
        ("/payment/{}/refund?time=1", TEN),
        ("/payment/{}/refund", raw(TEN, FORM)),
        ("/payment/{}/refund", raw(TEN, None)),
        ("/payment/{}/refund", raw(TEN, "application/json; charset=utf-8")),
        ("/payment/{}/refund", raw(BOM + TEN.encode())),
        ("/payment/{}/refund", form(AS_FORM)),
        ("/payment/{}/refund", form("terminal%5Bid%5D=24&amount=10.00&")),
        ("/payment/{}/refund", raw("terminal[id]=24&amount=10.00", JSON)),
        ("/payment/{}/refund", multipart(AS_FORM)),
        (
            "/payment/{}/refund",
            HERE | {"amount": "10.00", "source": "Internet", "level": 1, "externalId": "a", "card": {"cvv": "999"}},
        ),
    ],
)
def test_habits_that_are_understood(terminal: Terminal, path: str, body: Any):
    payment = terminal.sale()
    assert fits(terminal.face.post(path.format(payment["dialect_id"]), body))["amount"] == "10.00"


def test_a_form_states_the_parts_too(terminal: Terminal):
    fields = {"terminal[id]": "24", "amount": "103.00", "order[tax]": "8.00", "order[discounts][amount]": "5.00"}
    assert terminal.made(terminal.order(), form(fields))["amount"] == "103.00"


def test_a_whole_record_may_be_posted_back(terminal: Terminal):
    payment = terminal.sale()
    record = terminal.made(payment, {"amount": "1.99"})
    assert terminal.made(payment, record)["amount"] == "1.99"


@pytest.mark.parametrize("scheme", ["bearer {}", "BEARER {}", "Bearer   {}"])
def test_the_scheme_is_read_without_case(terminal: Terminal, scheme: str):
    face = terminal.face.as_(scheme.format(terminal.ready["token"]))
    assert face.get(f"/payment/{terminal.ready['payments'][0]['id']}").status == 200
