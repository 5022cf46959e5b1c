"""Trustly (US) over HTTP: a row for every documented rule and error of the refund call, and its clients' habits."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from moneyback.dialect import Outgoing
from tests.dialects.driver import misfits, said
from tests.dialects.http.server import (
    BOM,
    FORM,
    JSON,
    NOTHING,
    Product,
    basic,
    bearer,
    form,
    multipart,
    raw,
)
from tests.dialects.trustly.test_server import ERROR, PAGE, TRANSACTION, figures, problem, record_schema

INVALID, ACCESS, INTERNAL = 200, 375, 100
NOT_A_NUMBER = "The amount is not a plain decimal number, such as 10 or 10.50"
TOO_PRECISE = "The amount has more decimal places than are accepted here"
EXPONENT = "The amount has a power of ten, or a row of decimals, that is not accepted here"
TOO_LONG = "The amount is longer than 10 characters"
TOO_LITTLE = "The amount is lower than the minimum allowed for a refund"
NOT_POSITIVE = "The amount must be greater than zero"
TOO_MUCH = "The amount is greater than the balance of the transaction"
NOTHING_LEFT = "The transaction has no balance left to refund"
NOT_COMPLETED = "The transaction is not completed and cannot be refunded"
UNREADABLE = "The request could not be read"
TEN = {"merchantReference": "refund-1", "amount": "10.00"}


class Merchant:
    """A merchant of Trustly: captures, and refunds of them."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.ready = product.ready["trustly"]
        self.face = product.face("trustly", basic(self.ready["access_id"], self.ready["access_key"]))

    def capture(self, amount: int = 100_00, **members: Any) -> dict[str, Any]:
        return self.product.pay("trustly", amount, "USD", **members)

    def refund(self, payment: dict[str, Any], body: Any = None, **headers: str) -> Outgoing:
        return self.checked(self.face.post(f"/transactions/{payment['dialect_id']}/refund", body, **headers))

    def made(self, payment: dict[str, Any], body: Any = None, **headers: str) -> dict[str, Any]:
        answer = self.refund(payment, body, **headers)
        assert answer.status == 200, said(answer)
        return said(answer)

    def see(self, number: str) -> dict[str, Any]:
        answer = self.checked(self.face.get(f"/transactions/{number}"))
        assert answer.status == 200, said(answer)
        return said(answer)

    def checked(self, answer: Outgoing) -> Outgoing:
        """Every answer satisfies its schema; a transaction's members come in the page's order, twice over."""
        assert misfits(TRANSACTION if answer.status == 200 else ERROR, answer) == []
        if answer.status == 200:
            body = said(answer)
            assert list(body) == [*PAGE, "transaction"]
            assert list(body["transaction"]) == list(PAGE)
        return answer

    def ended(self, record: dict[str, Any], status: str) -> dict[str, Any]:
        """The refund's record, once time has brought it to a status."""

        def seen() -> dict[str, Any] | None:
            current = self.see(record["transactionId"])
            return current if current["status"] == status else None

        found: dict[str, Any] = self.product.in_time(seen, f"a refund has status {status}")
        return found

    def untouched(self, payment: dict[str, Any]) -> bool:
        return self.product.payment(payment["id"]) == payment and self.product.refunds(payment["id"]) == []


@pytest.fixture(scope="module")
def merchant(product: Product) -> Merchant:
    return Merchant(product)


# --- the answer ------------------------------------------------------------------------------------------------------


def test_a_refund_is_a_pending_record_of_its_own_and_settles_later(merchant: Merchant):
    payment = merchant.capture(dialect_data={"merchantReference": "order-7", "ip": "198.51.100.7"})
    record = merchant.made(payment, TEN)
    assert (record["transactionType"], record["status"], record["statusMessage"]) == ("4", "1", "Pending")
    assert (record["amount"], record["currency"], record["ip"]) == ("10.00", "USD", "198.51.100.7")
    assert figures(record) == ("10.00", "0.00", "0.00", "0.00", "0.00")
    assert (record["merchantReference"], record["payment"]["merchantReference"]) == ("refund-1", "order-7")
    assert record["originalTransactionId"] == payment["dialect_id"]
    assert (record["processedAt"], record["completedAt"]) == (0, 0)
    assert record["createdAt"] == record["updatedAt"] > 1_600_000_000_000  # milliseconds
    assert (record["transaction"]["transactionType"], record["transaction"]["status"]) == (4, 1)

    settled = merchant.ended(record, "4")
    assert (settled["statusMessage"], figures(settled)) == ("Completed", ("0.00", "10.00", "0.00", "0.00", "10.00"))
    assert settled["processedAt"] == settled["completedAt"] >= record["createdAt"]
    assert settled["recordVersion"] > record["recordVersion"]
    same = ("transactionId", "originalTransactionId", "merchantReference", "createdAt", "amount")
    assert [settled[name] for name in same] == [record[name] for name in same]


def test_the_original_moves_when_the_refund_is_admitted(merchant: Merchant):
    payment = merchant.capture(scenario="pending:1000000")
    statuses = []
    for amount in ("30.00", "30.00", None):
        merchant.made(payment, form({} if amount is None else {"amount": amount}))
        statuses.append(merchant.see(payment["dialect_id"])["status"])
    assert statuses == ["11", "11", "12"]
    original = merchant.see(payment["dialect_id"])
    assert figures(original) == figures(original["payment"]) == ("0.00", "100.00", "100.00", "0.00", "0.00")
    assert (original["transactionType"], original["amount"]) == ("3", "100.00")


# --- amounts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ('{"amount": "10"}', "10.00"),
        ('{"amount": 10}', "10.00"),
        ('{"amount": 10.0}', "10.00"),
        ('{"amount": "10.00"}', "10.00"),
        ('{"amount": 1e2}', "100.00"),
        ('{"amount": 10.05}', "10.05"),
        ('{"amount": "0.99"}', "0.99"),
        ('{"amount": "0000010.00"}', "10.00"),
        ('{"amount": null}', "1000.00"),
        ("{}", "1000.00"),
        (NOTHING, "1000.00"),
        (form("amount=10"), "10.00"),
        (form("amount=10.5"), "10.50"),
        (form("merchantReference=r"), "1000.00"),
    ],
)
def test_amounts_that_are_taken(merchant: Merchant, body: Any, given: str):
    payment = merchant.capture(1000_00)
    assert merchant.made(payment, body)["amount"] == given


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"amount": 10.005}', TOO_PRECISE),
        ('{"amount": "10.005"}', TOO_PRECISE),
        ('{"amount": "1e2"}', EXPONENT),
        ('{"amount": -1}', NOT_POSITIVE),
        ('{"amount": "-1"}', NOT_POSITIVE),
        ('{"amount": 0}', NOT_POSITIVE),
        ('{"amount": "0.00"}', NOT_POSITIVE),
        ('{"amount": ""}', "The amount is empty"),
        ('{"amount": []}', NOT_A_NUMBER),
        ('{"amount": {}}', NOT_A_NUMBER),
        ('{"amount": true}', NOT_A_NUMBER),
        ('{"amount": "ten"}', NOT_A_NUMBER),
        ('{"amount": "10,00"}', NOT_A_NUMBER),
        ('{"amount": "00000010.00"}', TOO_LONG),
        ('{"amount": 10000000000}', TOO_LONG),
        ('{"amount": "0.98"}', TOO_LITTLE),
        ('{"amount": 0.01}', TOO_LITTLE),
        ('{"amount": "100.01"}', TOO_MUCH),
        (form("amount="), "The amount is empty"),
        (form("amount=-1"), NOT_POSITIVE),
        (form("amount=0.98"), TOO_LITTLE),
    ],
)
def test_amounts_that_are_refused(merchant: Merchant, body: Any, message: str):
    payment = merchant.capture()
    assert problem(merchant.refund(payment, body)) == (400, INVALID, message)
    assert merchant.untouched(payment)


def test_parts_and_the_rest_close_to_zero(merchant: Merchant):
    payment = merchant.capture()
    first = merchant.made(payment, {"amount": "30.00"})
    assert problem(merchant.refund(payment, {"amount": "70.01"})) == (400, INVALID, TOO_MUCH)
    second = merchant.made(payment, {"amount": "69.50"})
    assert problem(merchant.refund(payment, {"amount": "0.50"})) == (400, INVALID, TOO_LITTLE)
    rest = merchant.made(payment)  # a balance below the minimum is given back by leaving the amount out
    assert rest["amount"] == "0.50"
    for record in (first, second, rest):
        merchant.ended(record, "4")
    for body in (NOTHING, raw('{"amount": "1.00"}')):
        assert problem(merchant.refund(payment, body)) == (400, INVALID, NOTHING_LEFT)
    original = merchant.see(payment["dialect_id"])
    assert (original["status"], original["balance"], original["refunded"]) == ("12", "0.00", "100.00")
    assert merchant.product.executed(payment["id"]) == [30_00, 69_50, 50]


def test_calls_at_once_never_give_more_than_came_in(merchant: Merchant):
    payment = merchant.capture()
    answers = merchant.product.at_once([partial(merchant.refund, payment, {"amount": "60.00"})] * 6)
    assert sorted(each.status for each in answers) == [200] + [400] * 5
    assert {problem(each) for each in answers if each.status == 400} == {(400, INVALID, TOO_MUCH)}
    merchant.ended(said(next(each for each in answers if each.status == 200)), "4")
    assert merchant.product.executed(payment["id"]) == [60_00]


def test_the_same_reference_twice_is_two_refunds(merchant: Merchant):
    """Refunds are exempt from the provider's duplicate checking; only the balance limits the damage."""
    payment = merchant.capture()
    one, two = merchant.made(payment, TEN), merchant.made(payment, TEN, Idempotency_Key="a-key-of-the-client")
    assert int(two["transactionId"]) > int(one["transactionId"])
    assert len(merchant.product.refunds(payment["id"])) == 2


@pytest.mark.parametrize(
    ("reference", "expected"),
    [('"mine"', "mine"), ('""', "order-7"), ("null", "order-7"), ("17", "17")],
)
def test_the_reference_is_the_stated_one_or_the_payments_own(merchant: Merchant, reference: str, expected: str):
    payment = merchant.capture(dialect_data={"merchantReference": "order-7"})
    record = merchant.made(payment, f'{{"merchantReference": {reference}, "amount": "1.00"}}')
    assert record["merchantReference"] == expected
    assert merchant.see(record["transactionId"])["merchantReference"] == expected


# --- who asks, and for what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["none", "key", "id", "bearer", "no colon", "no base64"])
def test_bad_credentials(merchant: Merchant, wrong: str):
    access_id, access_key = merchant.ready["access_id"], merchant.ready["access_key"]
    header = {
        "none": None,
        "key": basic(access_id, "wrong"),
        "id": basic("wrong", access_key),
        "bearer": bearer(access_key),
        "no colon": "Basic bm9jb2xvbg==",
        "no base64": "Basic !",
    }[wrong]
    payment = merchant.capture()
    stranger = merchant.face.as_(header)
    for path in (f"/transactions/{payment['dialect_id']}/refund", "/transactions/1/refund"):
        answer = merchant.checked(stranger.post(path, TEN))
        assert problem(answer) == (401, ACCESS, "Access not authorized")
        domain = "com.paywithmybank.merchantgateway.v1.exception.AccessControlException"
        assert said(answer)["errors"][0]["domain"] == domain
    assert merchant.untouched(payment)


@pytest.mark.parametrize("number", ["1", "999999999999999", "abc", "1e3"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_id_is_an_invalid_parameter(merchant: Merchant, method: str, number: str):
    """Not a 404, which says that there is no such endpoint."""
    path = f"/transactions/{number}" + ("/refund" if method == "POST" else "")
    answer = merchant.checked(merchant.face.ask(method, path))
    assert problem(answer) == (400, INVALID, f"Could not find a transaction using Id {number}")
    domain = "com.paywithmybank.merchantgateway.v1.exception.InvalidParameterException"
    assert said(answer)["errors"][0]["domain"] == domain


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/transactions/1/refunds", 404, "The endpoint is not supported"),
        ("GET", "/transactions/1/2/3", 404, "The endpoint is not supported"),
        ("GET", "/transactions/1/refund", 405, "The method is not supported by this endpoint"),
        ("DELETE", "/transactions/1", 405, "The method is not supported by this endpoint"),
    ],
)
def test_what_is_not_served(merchant: Merchant, method: str, path: str, status: int, message: str):
    assert problem(merchant.checked(merchant.face.ask(method, path))) == (status, INVALID, message)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("[]", 400, "The request must consist of named parameters"),
        ("7", 400, "The request must consist of named parameters"),
        ('{"merchantReference": []}', 400, "Parameter merchantReference must be text"),
        ('{"merchantReference": true}', 400, "Parameter merchantReference must be text"),
        ('{"amount": "1.00"', 400, UNREADABLE),
        (b'{"amount": "\xff"}', 400, UNREADABLE),
        (r'{"merchantReference": "\u0000"}', 400, UNREADABLE),
        ('{"amount": 99999999999999999999}', 400, UNREADABLE),
        (multipart({"amount": "10.00"}), 400, UNREADABLE),
        (raw('<refund amount="10.00"/>', "text/xml"), 400, UNREADABLE),
        ('"amount=10.00"', 400, "The request must consist of named parameters"),
        ({"merchantReference": "x" * (1 << 20)}, 413, "The request is too large"),
    ],
)
def test_bodies_that_are_refused(merchant: Merchant, body: Any, status: int, message: str):
    payment = merchant.capture()
    assert problem(merchant.refund(payment, body)) == (status, INVALID, message)
    assert merchant.untouched(payment)


# --- which transactions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "shown", "message"),
    [
        ({"status": "processing"}, "3", NOT_COMPLETED),
        ({"status": "authorized"}, "1", NOT_COMPLETED),
        ({"status": "failed"}, "5", "The transaction failed and cannot be refunded"),
        (
            {"status": "failed", "dialect_data": {"failureStatus": 8}},
            "8",
            "The transaction failed and cannot be refunded",
        ),
    ],
    ids=["processed", "pending", "failed", "denied"],
)
def test_only_what_is_completed_can_be_refunded(merchant: Merchant, members: Any, shown: str, message: str):
    payment = merchant.capture(**members)
    assert merchant.see(payment["dialect_id"])["status"] == shown
    for body in (None, {"amount": "1.00"}):
        assert problem(merchant.refund(payment, body)) == (400, INVALID, message)
    assert merchant.untouched(payment)


@pytest.mark.parametrize(("kind", "payment_type"), [("3", "2"), ("2", "1")])
def test_captures_and_payments_can_be_refunded(merchant: Merchant, kind: str, payment_type: str):
    payment = merchant.capture(dialect_data={"transactionType": kind})
    assert merchant.made(payment)["payment"]["paymentType"] == payment_type
    assert merchant.see(payment["dialect_id"])["transactionType"] == kind


def test_a_refund_is_no_original(merchant: Merchant):
    record = merchant.made(merchant.capture(), {"amount": "1.00"})
    answer = merchant.checked(merchant.face.post(f"/transactions/{record['transactionId']}/refund"))
    assert problem(answer) == (400, INVALID, "Transaction type 4 cannot be refunded")


def test_there_is_no_time_limit(merchant: Merchant):
    assert merchant.made(merchant.capture(age=timedelta(days=5 * 365)))["amount"] == "100.00"


@pytest.mark.parametrize(
    ("members", "body", "message"),
    [
        ({"status": "processing"}, {"amount": "0.50"}, TOO_LITTLE),
        ({"status": "failed"}, {"amount": "0"}, NOT_POSITIVE),
        ({"status": "processing"}, {"amount": "200.00"}, NOT_COMPLETED),
    ],
)
def test_parameters_come_before_the_state_and_that_before_the_balance(
    merchant: Merchant, members: Any, body: Any, message: str
):
    assert problem(merchant.refund(merchant.capture(**members), body)) == (400, INVALID, message)


def test_a_disputed_capture_is_on_hold_and_has_nothing_to_refund(merchant: Merchant):
    payment = merchant.product.disputed("trustly", 100_00, "USD")
    assert merchant.see(payment["dialect_id"])["status"] == "14"
    assert problem(merchant.refund(payment)) == (400, INVALID, NOTHING_LEFT)


def test_a_capture_that_its_bank_took_back_is_reversed_and_has_no_balance(merchant: Merchant):
    payment = merchant.product.returned("trustly", 100_00, "USD")
    original = merchant.see(payment["dialect_id"])
    assert (original["status"], original["reversed"], original["balance"]) == ("10", "100.00", "0.00")
    assert problem(merchant.refund(payment)) == (400, INVALID, NOTHING_LEFT)


# --- what the rail does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "status", "sums", "refunded"),
    [
        ("pending:30", "4", ("0.00", "40.00", "0.00", "0.00", "40.00"), "40.00"),
        ("pending:30:decline", "5", ("0.00", "0.00", "0.00", "0.00", "0.00"), "0.00"),
        ("decline:R01", "5", ("0.00", "0.00", "0.00", "0.00", "0.00"), "0.00"),
        ("late_failure:30", "10", ("0.00", "40.00", "0.00", "40.00", "0.00"), "0.00"),
        ("pending:30:late_failure", "10", ("0.00", "40.00", "0.00", "40.00", "0.00"), "0.00"),
        ("lost_answer:executed", "4", ("0.00", "40.00", "0.00", "0.00", "40.00"), "40.00"),
        ("lost_answer:not_executed", "4", ("0.00", "40.00", "0.00", "0.00", "40.00"), "40.00"),
        ("error_after_execution", "4", ("0.00", "40.00", "0.00", "0.00", "40.00"), "40.00"),
        ("requires_action", "14", ("40.00", "0.00", "0.00", "0.00", "0.00"), "40.00"),
        ("wrong_amount:1", "14", ("40.00", "0.00", "0.00", "0.00", "0.00"), "40.00"),
        ("slow:60", "4", ("0.00", "40.00", "0.00", "0.00", "40.00"), "40.00"),
    ],
)
def test_what_becomes_of_a_refund(merchant: Merchant, scenario: str, status: str, sums: Any, refunded: str):
    """The first answer is always pending; the record and the original tell the rest when they are read again."""
    payment = merchant.capture(scenario=scenario)
    record = merchant.made(payment, {"amount": "40.00"})
    assert (record["status"], figures(record)) == ("1", ("40.00", "0.00", "0.00", "0.00", "0.00"))
    ended = merchant.ended(record, status)
    assert figures(ended) == sums
    original = merchant.see(payment["dialect_id"])
    assert original["refunded"] == refunded
    assert original["status"] == ("4" if refunded == "0.00" else "11")
    assert (ended["completedAt"] > 0) == (status in ("4", "10"))
    unpaid = "decline" in scenario or scenario == "requires_action"
    assert len(merchant.product.executed(payment["id"])) == (0 if unpaid else 1)


@pytest.mark.parametrize(
    ("code", "shown"),
    [("R01", "R01"), ("R84", "R84"), ("SW054", "SW054"), ("AC101", "AC101"), ("do_not_honor", "AC101")],
)
def test_the_banks_own_code_is_shown_where_it_is_one(merchant: Merchant, code: str, shown: str):
    payment = merchant.capture(scenario=f"decline:{code}")
    failed = merchant.ended(merchant.made(payment, TEN), "5")
    assert (failed["statusCode"], failed["paymentProviderTransaction"]["status"]) == (shown, shown)
    assert merchant.made(payment)["amount"] == "100.00"


# --- reading and listing ---------------------------------------------------------------------------------------------


def test_refunds_are_found_by_their_original(merchant: Merchant):
    payment = merchant.capture()
    made = [merchant.made(payment, {"amount": amount, "merchantReference": amount}) for amount in ("1.00", "2.00")]
    for record in made:
        merchant.ended(record, "4")
    answer = merchant.face.get(f"/transactions?originalTransactionId={payment['dialect_id']}&transactionType=4")
    assert answer.status == 200
    found = said(answer)["transactions"]
    schema = {"type": "array", "items": record_schema(numbers=True)}
    assert misfits(schema, Outgoing(body=found)) == []
    assert [each["merchantReference"] for each in found] == ["2.00", "1.00"]
    assert found[0] == merchant.see(made[1]["transactionId"])["transaction"]


# --- habits of clients -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/transactions/{}/refund/", form(TEN)),
        ("//transactions//{}//refund", form(TEN)),
        ("/transactions/{}/refund?time=1", form(TEN)),
        ("/transactions/{}/refund", form("merchantReference=refund-1&amount=10.00&")),
        ("/transactions/{}/refund", form("&&amount=10.00&&merchantReference=refund-1")),
        ("/transactions/{}/refund", raw("merchantReference=refund-1&amount=10.00", None)),
        ("/transactions/{}/refund", raw("merchantReference=refund-1&amount=10.00", JSON)),
        ("/transactions/{}/refund", raw('{"merchantReference": "refund-1", "amount": "10.00"}', FORM)),
        ("/transactions/{}/refund", raw(BOM + b'{"merchantReference": "refund-1", "amount": "10.00"}')),
        ("/transactions/{}/refund", raw(BOM + b"merchantReference=refund-1&amount=10.00", FORM)),
        (
            "/transactions/{}/refund",
            TEN | {"requestSignature": "x", "notificationUrl": "https://example.com", "a": [1]},
        ),
    ],
)
def test_habits_that_are_understood(merchant: Merchant, path: str, body: Any):
    payment = merchant.capture()
    record = said(merchant.checked(merchant.face.post(path.format(payment["dialect_id"]), body)))
    assert (record["amount"], record["merchantReference"]) == ("10.00", "refund-1")


def test_a_reference_is_read_as_a_form_encodes_it(merchant: Merchant):
    record = merchant.made(merchant.capture(), form("merchantReference=r+1%261&amount=1.00"))
    assert record["merchantReference"] == "r 1&1"


def test_a_read_may_declare_a_form_and_the_scheme_be_in_small_letters(merchant: Merchant):
    payment = merchant.capture()
    face = merchant.face.as_(basic(merchant.ready["access_id"], merchant.ready["access_key"]).replace("Basic", "basic"))
    answer = face.get(f"/transactions/{payment['dialect_id']}/", Content_Type=FORM)
    assert said(merchant.checked(answer))["transactionId"] == payment["dialect_id"]
