"""Trustly (US) over HTTP, from beginning to end: establish, capture, refund in parts, read back, list, and the rest."""

import hmac
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from moneyback.dialect import Outgoing
from moneyback.dialects.trustly.schemas import (
    CUSTOMER,
    CUSTOMER_LIST,
    ESTABLISH_DATA,
    PAYMENT,
    PAYMENT_LIST,
    REFRESH,
    TRANSACTION_LIST,
)
from tests.dialects.driver import misfits, said
from tests.dialects.http.server import FORM, Product, form
from tests.dialects.http.test_trustly import INVALID, NOTHING_LEFT, TOO_LITTLE, TOO_MUCH, Merchant
from tests.dialects.trustly.test_server import figures, problem

RETURN = "https://shop.example/return?cart=7"


class Walker(Merchant):
    """A merchant who makes what it refunds through Trustly's own calls."""

    def establish(self, **members: Any) -> dict[str, Any]:
        data = {
            "accessId": self.ready["access_id"],
            "merchantId": self.ready["merchant_id"],
            "merchantReference": "order-1",
            "description": "Two books",
            "currency": "USD",
            "amount": "100.00",
            "paymentType": "Deferred",
            "returnUrl": RETURN,
            "cancelUrl": "https://shop.example/cancel",
            "notificationUrl": "http://127.0.0.1:9/events",
            "requestSignature": "HrGQpg/NsPXmh+P9u37R121Rot0=",
        }
        answer = self.face.post("/establish?createTransaction=true", data | members)
        assert (answer.status, misfits(ESTABLISH_DATA, answer)) == (200, []), said(answer)
        found: dict[str, Any] = said(answer)
        return found

    def call(self, number: str, name: str, body: Any = None) -> Outgoing:
        return self.checked(self.face.post(f"/transactions/{number}/{name}", body))

    def record(self, number: str, name: str, body: Any = None) -> dict[str, Any]:
        answer = self.call(number, name, body)
        assert answer.status == 200, said(answer)
        found: dict[str, Any] = said(answer)
        return found

    def completed(self, number: str) -> dict[str, Any]:
        """A transaction after the sandbox's next batch."""
        self.product.advance(minutes=5)
        record = self.see(number)
        assert record["status"] == "4"
        return record

    def listed(self, query: str) -> list[dict[str, Any]]:
        answer = self.face.get(f"/transactions?{query}", Content_Type=FORM)
        assert (answer.status, misfits(TRANSACTION_LIST, answer)) == (200, []), said(answer)
        found: list[dict[str, Any]] = said(answer)["transactions"]
        return found

    def payment(self, number: str) -> dict[str, Any]:
        answer = self.face.get(f"/payments/{number}")
        assert (answer.status, misfits(PAYMENT, answer)) == (200, []), said(answer)
        found: dict[str, Any] = said(answer)
        return found


@pytest.fixture(scope="module")
def merchant(product: Product) -> Walker:
    return Walker(product)


def test_from_establish_to_the_last_cent(merchant: Walker):
    established = merchant.establish()
    number = established["transactionId"]
    assert (established["paymentType"], established["amount"], established["accessId"]) == (
        2,
        "100.00",
        merchant.ready["access_id"],
    )
    signed, _, _ = established["url"].partition("&requestSignature=")
    query = dict(parse_qsl(urlsplit(established["url"]).query, strict_parsing=True))
    key = merchant.ready["access_key"].encode()
    assert query["requestSignature"] == b64encode(hmac.digest(key, signed.encode(), "sha1")).decode()
    assert (query["transactionId"], query["status"], query["cart"]) == (number, "2", "7")

    authorization = merchant.see(number)
    assert (authorization["transactionType"], authorization["status"]) == ("1", "2")
    assert (authorization["payment"]["description"], authorization["payment"]["returnUrl"]) == ("Two books", RETURN)

    body = form({"merchantReference": "capture-1", "amount": "60.00", "splitToken": "a+b/c="})
    capture = merchant.record(number, "capture", body)
    assert (capture["transactionType"], capture["status"], capture["amount"]) == ("3", "1", "60.00")
    assert (capture["transaction"]["transactionType"], capture["originalTransactionId"]) == (3, number)
    captured = capture["transactionId"]
    done = merchant.completed(captured)
    assert figures(done) == figures(done["payment"]) == ("0.00", "60.00", "0.00", "0.00", "60.00")
    assert done["completedAt"] >= done["createdAt"]

    first = merchant.record(captured, "refund", form("merchantReference=refund-1&amount=20.00&"))
    assert (first["transactionType"], first["status"], first["merchantReference"]) == ("4", "1", "refund-1")
    assert (first["payment"]["paymentId"], first["payment"]["refunded"]) == (number, "20.00")
    assert problem(merchant.call(captured, "refund", {"amount": "40.01"})) == (400, INVALID, TOO_MUCH)
    assert problem(merchant.call(captured, "refund", {"amount": "0.98"})) == (400, INVALID, TOO_LITTLE)
    assert merchant.see(captured)["status"] == "11"
    rest = merchant.record(captured, "refund")
    assert (rest["amount"], rest["merchantReference"]) == ("40.00", "capture-1")
    assert problem(merchant.call(captured, "refund")) == (400, INVALID, NOTHING_LEFT)
    for each in (first, rest):
        merchant.ended(each, "4")
    assert merchant.see(captured)["status"] == "12"

    found = merchant.listed(f"originalTransactionId={captured}&transactionType=4&sortOrder=asc")
    assert [(each["transactionId"], each["amount"], each["status"]) for each in found] == [
        (first["transactionId"], "20.00", 4),
        (rest["transactionId"], "40.00", 4),
    ]
    family = merchant.listed(f"payment.paymentId={number}&sortOrder=asc")
    assert [each["transactionType"] for each in family] == [1, 3, 4, 4]
    assert figures(merchant.payment(number)) == ("0.00", "60.00", "60.00", "0.00", "0.00")
    assert merchant.payment(number)["paymentId"] == number


def test_a_capture_may_be_refunded_by_the_native_api_too(merchant: Walker):
    """It is a payment like any other, and both surfaces draw on the same balance."""
    number = merchant.establish(amount="0.00")["transactionId"]
    captured = merchant.record(number, "capture", {"merchantReference": "c", "amount": "25.00"})["transactionId"]
    merchant.completed(captured)
    (paid,) = [each for each in merchant.product.payments("trustly") if each["dialect_id"] == captured]
    assert (paid["captured"], paid["order"]) == (25_00, number)
    merchant.product.refund(paid["id"], 10_00)
    assert merchant.face.get(f"/transactions/{paid['id'].removeprefix('pay_')}").status == 400
    assert merchant.see(captured)["refunded"] == "10.00"
    (refund,) = merchant.listed(f"originalTransactionId={captured}")
    assert (refund["transactionType"], refund["amount"]) == (4, "10.00")
    assert refund["transactionId"].isdigit()
    for query in ("count=1", "transactionType=4&count=5", f"payment.paymentId={number}"):
        assert refund in merchant.listed(query)
    read = said(merchant.face.get(f"/transactions/{refund['transactionId']}"))
    assert read["transaction"] == refund
    assert problem(merchant.call(captured, "refund", {"amount": "15.01"})) == (400, INVALID, TOO_MUCH)
    assert merchant.record(captured, "refund")["amount"] == "15.00"


def test_preauthorized_captures(merchant: Walker):
    number = merchant.establish()["transactionId"]
    body = {"merchantReference": "hold-1", "amount": "30.00", "period": 1, "splitToken": "t"}
    held = merchant.record(number, "capture/preAuth", body)
    assert (held["transactionType"], held["status"]) == ("10", "2")
    assert held["createdAt"] < held["expiredAt"] <= held["createdAt"] + 3_600_000
    captured = merchant.record(held["transactionId"], "capture", {"merchantReference": "c", "amount": "30.00"})
    assert (captured["originalTransactionId"], captured["preAuthorized"]) == (held["transactionId"], True)
    assert problem(merchant.call(held["transactionId"], "capture", {"merchantReference": "c"}))[:2] == (400, INVALID)
    merchant.product.advance(hours=1)
    assert merchant.see(held["transactionId"])["status"] == "6"


def test_deposits_are_reclaimed(merchant: Walker):
    number = merchant.establish(paymentType="Disbursement", amount="0.00")["transactionId"]
    body = {"merchantReference": "payout-1", "amount": "50.00", "instantPayoutRequest": True}
    deposit = merchant.record(number, "deposit", body)
    assert (deposit["transactionType"], deposit["status"]) == ("6", "1")
    paid = deposit["transactionId"]
    merchant.completed(paid)
    first = merchant.record(paid, "reclaim", form({"amount": "20.00", "merchantReference": "reclaim-1"}))
    assert (first["transactionType"], first["status"], first["originalTransactionId"]) == ("7", "1", paid)
    assert problem(merchant.call(paid, "reclaim", {"amount": "30.01"})) == (400, INVALID, TOO_MUCH)
    assert merchant.record(paid, "reclaim")["amount"] == "30.00"
    merchant.ended(first, "4")
    assert merchant.see(paid)["status"] == "12"
    assert [each["transactionType"] for each in merchant.listed(f"originalTransactionId={paid}")] == [7, 7]


def test_what_is_canceled(merchant: Walker):
    number = merchant.establish()["transactionId"]
    captured = merchant.record(number, "capture", {"merchantReference": "c", "amount": "10.00"})["transactionId"]
    canceled = merchant.record(captured, "cancel", form("message=Changed+their+mind&reason=2"))
    assert (canceled["transactionId"], canceled["status"], canceled["statusMessage"]) == (captured, "7", "Canceled")
    assert problem(merchant.call(captured, "refund"))[:2] == (400, INVALID)
    done = merchant.record(number, "capture", {"merchantReference": "c", "amount": "10.00"})["transactionId"]
    voided = merchant.record(number, "cancel")
    assert (voided["status"], voided["payment"]["auth"]["status"]) == ("13", 7)
    assert problem(merchant.call(number, "capture", {"merchantReference": "c", "amount": "1.00"}))[:2] == (400, INVALID)
    merchant.completed(done)
    message = "The transaction is processed and can no longer be canceled: refund it instead"
    assert problem(merchant.call(done, "cancel")) == (400, INVALID, message)
    assert merchant.record(done, "refund")["amount"] == "10.00"


def test_an_authorization_of_the_sandbox_is_captured(merchant: Walker):
    (number,) = [each["transactionId"] for each in merchant.ready["transactions"] if each["transactionType"] == "1"]
    captured = merchant.record(number, "capture", {"merchantReference": "c", "amount": "5.00"})
    assert captured["payment"]["paymentId"] == number
    answer = merchant.face.post(f"/transactions/{number}/refresh", {"splitToken": "t"})
    assert (answer.status, misfits(REFRESH, answer)) == (200, [])


def test_payments_are_listed(merchant: Walker):
    number = merchant.establish(merchantReference="a-payment-of-its-own")["transactionId"]
    answer = merchant.face.get("/payments?merchantReference=a-payment-of-its-own&count=5")
    assert (answer.status, misfits(PAYMENT_LIST, answer)) == (200, [])
    assert [each["paymentId"] for each in said(answer)["payments"]] == [number]
    newest = said(merchant.face.get("/payments?count=1"))["payments"]
    assert [each["paymentId"] for each in newest] == [number]


def test_the_customer_of_a_payment_is_read(merchant: Walker):
    number = merchant.establish(customer={"externalId": "user-7", "name": "Ann"})["transactionId"]
    known = merchant.see(number)["payment"]["customer"]
    answer = merchant.face.get(f"/customers/{known['customerId']}")
    assert (answer.status, misfits(CUSTOMER, answer)) == (200, [])
    customer = said(answer)["customer"]
    assert customer.items() >= known.items() and "name" not in customer
    answer = merchant.face.get("/customers?externalId=user-7")
    assert (answer.status, misfits(CUSTOMER_LIST, answer)) == (200, [])
    assert said(answer) == {"customers": [customer]}
    message = "Could not find a customer using Id 77"
    assert problem(merchant.checked(merchant.face.get("/customers/77"))) == (400, INVALID, message)


def test_pages_follow_each_other(merchant: Walker):
    number = merchant.establish(amount="0.00")["transactionId"]
    for amount in ("1.00", "2.00", "3.00"):
        merchant.record(number, "capture", {"merchantReference": "c", "amount": amount})
    whole = [each["transactionId"] for each in merchant.listed("count=9")]
    pieces = [each["transactionId"] for start in (0, 3, 6) for each in merchant.listed(f"count=3&startIndex={start}")]
    assert pieces == whole
    assert merchant.listed("startIndex=1000000000") == []


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        ("1001000000", 500, 100),
        ("1002000000", 400, 200),
        ("1003000000", 401, 300),
        ("1003250000", 401, 325),
        ("1003750000", 401, 375),
    ],
)
def test_the_sandboxs_test_accounts(merchant: Walker, number: str, status: int, code: int):
    account = {"accountNumber": number, "routingNumber": "124003116"}
    body = {"merchantReference": "x", "paymentType": "Verification", "account": account}
    assert problem(merchant.checked(merchant.face.post("/establish", body)))[:2] == (status, code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/establish"),
        ("POST", "/transactions/1/capture"),
        ("POST", "/transactions/1/capture/preAuth"),
        ("POST", "/transactions/1/deposit"),
        ("POST", "/transactions/1/reclaim"),
        ("POST", "/transactions/1/cancel"),
        ("POST", "/transactions/1/refresh"),
        ("GET", "/transactions"),
        ("GET", "/payments"),
        ("GET", "/payments/1"),
        ("GET", "/customers"),
        ("GET", "/customers/1"),
    ],
)
def test_nothing_is_served_without_credentials(merchant: Walker, method: str, path: str):
    answer = merchant.checked(merchant.face.as_(None).ask(method, path))
    assert problem(answer) == (401, 375, "Access not authorized")
