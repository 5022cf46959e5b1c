"""What Trustly's payments begin with and lead to: establish, capture, preauthorize, deposit, reclaim, cancel."""

import hmac
from base64 import b64encode
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moneyback.core.commands import Sighting
from moneyback.core.payment import Payment, PaymentKind
from moneyback.core.refusals import Reason
from moneyback.dialect import AddPayment, Ask, Outgoing, ReleasePayment, SeePayment
from moneyback.dialects.trustly import DIALECT, capabilities
from moneyback.dialects.trustly.establish import TEST_ACCOUNTS, TEST_ROUTING
from moneyback.dialects.trustly.records import original_type
from moneyback.dialects.trustly.schemas import ESTABLISH_DATA, REFRESH
from moneyback.dialects.trustly.server import SENTENCES
from moneyback.dialects.trustly.standing import COMPLETES_AFTER
from moneyback.dialects.trustly.wire import Type, milliseconds
from tests.dialects.driver import STRANGER, Table, misfits, said
from tests.dialects.http.server import basic
from tests.dialects.trustly.test_server import ERROR, TRANSACTION, figures, problem, table

TOO_LITTLE = "The amount is lower than the minimum allowed"
REQUIRED = "Parameter merchantReference is required"
KEY = "key:of:many:colons"
DEFERRED = {"merchantReference": "order-1", "paymentType": "Deferred", "amount": "100.00", "currency": "USD"}


class Sandbox:
    """A merchant's calls, each answer held against its schema, and time that tests move."""

    def __init__(self, **options: Any) -> None:
        self.table = table(**options)

    def ask(self, path: str, body: Any = None, **options: Any) -> Outgoing:
        outgoing = self.table.call("POST", f"/api/v1{path}", body, **options)
        assert outgoing.status == 200 or misfits(ERROR, outgoing) == []
        return outgoing

    def establish(self, **members: Any) -> str:
        """The id of a new payment's first transaction."""
        outgoing = self.ask("/establish", DEFERRED | members)
        assert (outgoing.status, misfits(ESTABLISH_DATA, outgoing)) == (200, []), said(outgoing)
        found: str = said(outgoing)["transactionId"]
        return found

    def made(self, number: str, call: str, body: Any = None) -> dict[str, Any]:
        """The transaction that a call on another one made."""
        outgoing = self.ask(f"/transactions/{number}/{call}", {"merchantReference": f"{call}-1"} | (body or {}))
        assert (outgoing.status, misfits(TRANSACTION, outgoing)) == (200, []), said(outgoing)
        found: dict[str, Any] = said(outgoing)
        return found

    def refused(self, number: str, call: str, body: Any = None, *, code: int = 200, status: int = 400) -> str:
        """Why a call is refused. Nothing has changed then."""
        before = (dict(self.table.facts.payments), dict(self.table.facts.refunds))
        outgoing = self.ask(f"/transactions/{number}/{call}", {"merchantReference": f"{call}-1"} | (body or {}))
        assert problem(outgoing)[:2] == (status, code)
        assert (self.table.facts.payments, self.table.facts.refunds) == before
        return problem(outgoing)[2]

    def see(self, number: str) -> dict[str, Any]:
        outgoing = self.table.call("GET", f"/api/v1/transactions/{number}")
        assert (outgoing.status, misfits(TRANSACTION, outgoing)) == (200, []), said(outgoing)
        found: dict[str, Any] = said(outgoing)
        return found

    def payment(self, number: str) -> Payment:
        return next(each for each in self.table.facts.payments.values() if each.dialect_id == number)

    def later(self, passed: timedelta = COMPLETES_AFTER) -> None:
        self.table.now += passed


def shown(record: dict[str, Any]) -> tuple[str, str, str]:
    return record["transactionType"], record["status"], record["amount"]


# --- establish -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "number", "kind", "status"),
    [
        ("Deferred", 2, "1", "2"),
        ("deferred", 2, "1", "2"),
        ("2", 2, "1", "2"),
        (2, 2, "1", "2"),
        ("Recurring", 3, "1", "2"),
        ("Disbursement", 4, "1", "2"),
        ("Verification", 5, "1", "2"),
        ("Retrieval", 6, "1", "2"),
        (None, 6, "1", "2"),
        ("Instant", 1, "2", "1"),
    ],
)
def test_every_payment_type_begins_with_its_record(stated: Any, number: int, kind: str, status: str):
    world = Sandbox()
    outgoing = world.ask("/establish", DEFERRED | {"paymentType": stated})
    assert misfits(ESTABLISH_DATA, outgoing) == []
    data = said(outgoing)
    assert (data["paymentType"], data["amount"], data["currency"]) == (number, "100.00", "USD")
    record = world.see(data["transactionId"])
    assert shown(record) == (kind, status, "100.00")
    assert record["payment"]["paymentType"] == str(number)
    assert record["payment"]["auth"] == {"token": "sandbox", "status": 2, "message": "Authorized"}
    assert record["originalTransactionId"] is None
    money = "100.00" if kind == "2" else "0.00"
    assert figures(record) == (money, "0.00", "0.00", "0.00", "0.00")
    assert world.payment(data["transactionId"]).captured == 0


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"merchantReference": None}, REQUIRED),
        ({"merchantReference": ""}, REQUIRED),
        ({"merchantReference": ["x"]}, "Parameter merchantReference must be text"),
        (
            {"paymentType": "Later"},
            "Parameter paymentType must be one of Instant, Deferred, Recurring, Disbursement, Verification, Retrieval",
        ),
        (
            {"paymentType": 7},
            "Parameter paymentType must be one of Instant, Deferred, Recurring, Disbursement, Verification, Retrieval",
        ),
        ({"currency": "EUR"}, "Parameter currency must be one of USD, CAD"),
        ({"amount": "10.005"}, "The amount has more decimal places than are accepted here"),
        ({"amount": "-1"}, "The amount must not be negative"),
        ({"amount": "12345678901"}, "The amount is longer than 10 characters"),
        ({"amount": "0.98", "paymentType": "Instant"}, TOO_LITTLE),
        ({"amount": None, "paymentType": "Instant"}, TOO_LITTLE),
        ({"returnUrl": "not a url"}, "Parameter returnUrl must be a URL"),
        ({"notificationUrl": "http://[x"}, "Parameter notificationUrl must be a URL"),
        ({"cancelUrl": "https://example.com/" + "x" * 2000}, "Parameter cancelUrl is longer than 2000 characters"),
        ({"account": {"type": 9}}, "Parameter account.type must be one of -1, 0, 1, 2"),
        ({"accessId": {"of": []}, "account.profile": "3"}, "Parameter account.profile must be one of -1, 0, 1, 2"),
    ],
)
def test_what_establish_refuses(members: Any, message: str):
    world = Sandbox()
    assert problem(world.ask("/establish", DEFERRED | members)) == (400, 200, message)
    assert world.table.facts.payments == {}


def test_a_switch_of_the_query_is_true_or_false():
    world = Sandbox()
    assert problem(world.ask("/establish", DEFERRED, query={"createTransaction": "perhaps"}))[:2] == (400, 200)
    assert world.ask("/establish", DEFERRED, query={"createTransaction": "True", "channel": "sms"}).status == 200


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
def test_the_test_accounts_are_answered_with_their_errors(number: str, status: int, code: int):
    world = Sandbox()
    account = {"accountNumber": number, "routingNumber": TEST_ROUTING}
    assert problem(world.ask("/establish", DEFERRED | {"account": account}))[:2] == (status, code)
    assert world.table.facts.payments == {}
    assert number in TEST_ACCOUNTS
    elsewhere = {"accountNumber": number, "routingNumber": "021000021"}
    assert world.ask("/establish", DEFERRED | {"account": elsewhere}).status == 200


def test_the_way_back_is_signed_with_the_access_key():
    world = Sandbox()
    body = DEFERRED | {"returnUrl": "https://shop.example/return?cart=7#paid", "merchantReference": "a b&c"}
    data = said(world.ask("/establish", body, headers={"authorization": basic("the-id", KEY)}))
    address, hash_, fragment = data["url"].partition("#")
    assert (hash_, fragment, data["accessId"]) == ("#", "paid", "the-id")
    signed, _, _ = address.partition("&requestSignature=")
    query = dict(parse_qsl(urlsplit(address).query, strict_parsing=True))
    assert query.pop("requestSignature") == b64encode(hmac.digest(KEY.encode(), signed.encode(), "sha1")).decode()
    assert query == {
        "cart": "7",
        "transactionId": data["transactionId"],
        "transactionType": "1",
        "merchantReference": "a b&c",
        "status": "2",
        "payment.paymentType": "2",
        "payment.paymentProvider.type": "1",
        "panel": "1",
    }


def test_another_access_id_in_the_body_is_no_access():
    world = Sandbox()
    headers = {"authorization": basic("the-id", KEY)}
    assert world.ask("/establish", DEFERRED | {"accessId": "the-id"}, headers=headers).status == 200
    answer = world.ask("/establish", DEFERRED | {"accessId": "another"}, headers=headers)
    assert problem(answer) == (401, 375, "Access not authorized")


PERSON = {
    "customer": {"name": "Ann Example", "externalId": "c-9", "email": "ann@example.com", "address": {"zip": "94105"}},
    "account": {"accountNumber": "000123456789", "routingNumber": "021000021", "type": 2, "nameOnAccount": "Ann E."},
    "requestSignature": "c2lnbmF0dXJl",
}
DOTTED = {
    "customer.name": "Ann Example",
    "customer.externalId": "c-9",
    "account.accountNumber": "000123456789",
    "account.routingNumber": "021000021",
    "account.type": "2",
    "requestSignature": "c2lnbmF0dXJl",
}


@pytest.mark.parametrize("person", [PERSON, DOTTED], ids=["nested", "joined by points"])
def test_of_the_consumer_only_the_merchants_id_and_the_last_four_digits_are_kept(person: Any):
    world = Sandbox()
    number = world.establish(**person)
    kept = str([*world.table.facts.payments.values(), world.table.documents])
    assert not any(each in kept for each in ("Ann", "123456789", "021000021", "94105", "c2lnbmF0dXJl"))
    account = world.see(number)["payment"]["account"]
    assert (account["accountNumberLastFour"], account["accountNumber"], account["type"]) == ("6789", "6789", 2)
    query = {"payment.customer.externalId": "c-9"}
    found = said(world.table.call("GET", "/api/v1/transactions", query=query))["transactions"]
    assert [each["transactionId"] for each in found] == [number]


def test_what_the_merchant_says_of_the_payment_is_shown_with_every_record():
    world = Sandbox()
    texts = {name: f"https://shop.example/{name}" for name in ("returnUrl", "cancelUrl", "notificationUrl")}
    number = world.establish(description="Two books", **texts)
    capture = world.made(number, "capture", {"amount": "10.00"})
    for record in (world.see(number), capture, world.see(capture["transactionId"])):
        payment = record["payment"]
        assert (payment["paymentId"], payment["merchantReference"]) == (number, "order-1")
        assert (payment["description"], payment["returnUrl"]) == ("Two books", texts["returnUrl"])
        assert "notificationUrl" not in payment
    assert world.payment(capture["transactionId"]).document["notificationUrl"] == texts["notificationUrl"]


# --- captures --------------------------------------------------------------------------------------------------------


def test_a_capture_is_pending_until_the_batch_has_run():
    world = Sandbox()
    number = world.establish()
    capture = world.made(number, "capture", {"amount": "40.00", "splitToken": "t0ken"})
    assert shown(capture) == ("3", "1", "40.00")
    assert (capture["originalTransactionId"], capture["merchantReference"]) == (number, "capture-1")
    assert figures(capture) == figures(capture["payment"]) == ("40.00", "0.00", "0.00", "0.00", "0.00")
    assert world.see(capture["transactionId"])["status"] == "1"
    world.later()
    done = world.see(capture["transactionId"])
    assert (done["status"], figures(done)) == ("4", ("0.00", "40.00", "0.00", "0.00", "40.00"))
    assert done["processedAt"] == done["completedAt"] == milliseconds(world.table.now)
    assert world.payment(capture["transactionId"]).captured == 40_00


def test_a_refund_does_not_wait_for_the_batch():
    world = Sandbox()
    capture = world.made(world.establish(), "capture", {"amount": "40.00"})
    refund = world.made(capture["transactionId"], "refund", {"amount": "10.00"})
    assert (shown(refund), refund["originalTransactionId"]) == (("4", "1", "10.00"), capture["transactionId"])
    assert refund["payment"]["refunded"] == "10.00"
    assert world.see(capture["transactionId"])["status"] == "11"


def test_an_instant_payment_is_refunded_itself():
    world = Sandbox()
    number = world.establish(paymentType="Instant", amount="25.00")
    world.later()
    assert shown(world.see(number)) == ("2", "4", "25.00")
    assert shown(world.made(number, "refund")) == ("4", "1", "25.00")


def test_captures_stay_within_what_was_authorized():
    world = Sandbox()
    number = world.establish(amount="100.00")
    world.made(number, "capture", {"amount": "60.00"})
    assert world.refused(number, "capture", {"amount": "40.01"}) == (
        "The amount is greater than what is left to be captured"
    )
    assert world.made(number, "capture")["amount"] == "40.00"  # what is left
    assert world.refused(number, "capture") == "Nothing of the authorized amount is left to be captured"
    assert world.refused(number, "capture", {"amount": "1.00"}) == (
        "Nothing of the authorized amount is left to be captured"
    )
    payment = world.see(number)["payment"]
    assert (payment["amount"], figures(payment)) == ("100.00", ("100.00", "0.00", "0.00", "0.00", "0.00"))


def test_what_was_canceled_makes_room_and_what_was_refunded_does_not():
    world = Sandbox()
    world.table.outcome = "succeeded"
    number = world.establish(amount="100.00")
    first, second = (world.made(number, "capture", {"amount": "50.00"})["transactionId"] for _ in range(2))
    assert world.made(first, "cancel")["status"] == "7"
    world.made(second, "refund")
    assert world.made(number, "capture")["amount"] == "50.00"


def test_an_authorization_of_nothing_has_no_bound():
    world = Sandbox()
    number = world.establish(amount="0.00")
    assert world.refused(number, "capture") == "Parameter amount is required"
    for amount in ("5000.00", "99999.99"):
        assert world.made(number, "capture", {"amount": amount})["amount"] == amount


@pytest.mark.parametrize(
    ("call", "body", "message"),
    [
        ("capture", {"merchantReference": None}, REQUIRED),
        ("capture", {"merchantReference": ""}, REQUIRED),
        ("capture", {"merchantReference": True}, "Parameter merchantReference must be text"),
        ("capture", {"amount": "0.98"}, TOO_LITTLE),
        ("capture", {"amount": "0"}, TOO_LITTLE),
        ("capture", {"amount": "-5"}, TOO_LITTLE),
        ("capture", {"amount": ""}, "The amount is empty"),
        ("capture", {"amount": "1.005"}, "The amount has more decimal places than are accepted here"),
        ("capture", {"amount": "1234567890.00"}, "The amount is longer than 10 characters"),
        ("capture", {"amount": "100.01"}, "The amount is greater than what is left to be captured"),
        ("capture", {"amount": []}, "The amount is not a plain decimal number, such as 10 or 10.50"),
        ("capture", {"splitToken": []}, "Parameter splitToken must be text"),
        ("deposit", {"amount": "0.98"}, TOO_LITTLE),
        ("deposit", {"merchantReference": None}, REQUIRED),
        ("deposit", {"amount": "100.01"}, "The amount is greater than what is left to be used for a deposit"),
        ("deposit", {"instantPayoutRequest": "perhaps"}, "Parameter instantPayoutRequest must be true or false"),
        ("capture/preAuth", {"period": 1, "merchantReference": None}, REQUIRED),
        ("capture/preAuth", {}, "Parameter period is required"),
        ("capture/preAuth", {"period": 0}, "Parameter period must be a number of hours from 1 to 6"),
        ("capture/preAuth", {"period": 7}, "Parameter period must be a number of hours from 1 to 6"),
        ("capture/preAuth", {"period": "soon"}, "Parameter period must be a number of hours from 1 to 6"),
        ("capture/preAuth", {"period": 1, "amount": "0.50"}, TOO_LITTLE),
        (
            "capture/preAuth",
            {"period": 1, "amount": "100.01"},
            "The amount is greater than what is left to be preauthorized",
        ),
        ("refresh", {}, "Parameter splitToken is required"),
        ("cancel", {"message": "x" * 41}, "Parameter message is longer than 40 characters"),
        ("cancel", {"reason": "because"}, "Parameter reason must be a number"),
        ("cancel", {"reason": True}, "Parameter reason must be a number"),
        ("cancel", {"signature": {}}, "Parameter signature must be text"),
    ],
)
def test_parameters_that_are_refused(call: str, body: Any, message: str):
    world = Sandbox()
    assert world.refused(world.establish(), call, body) == message


@pytest.mark.parametrize("call", ["capture", "capture/preAuth", "deposit", "refresh"])
def test_an_expired_split_token(call: str):
    world = Sandbox()
    body = {"splitToken": "ExpiredSplitToken", "period": 1, "amount": "1.00"}
    assert world.refused(world.establish(), call, body, code=326) == "The split token is expired"


CALLS = ("refund", "reclaim", "capture", "capture/preAuth", "deposit", "cancel", "refresh")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", [[], "text", 7], ids=str)
def test_a_body_consists_of_named_parameters(call: str, body: Any):
    answer = Sandbox().ask(f"/transactions/1/{call}", body)
    assert problem(answer) == (400, 200, "The request must consist of named parameters")


@pytest.mark.parametrize("call", CALLS)
def test_a_transaction_that_is_not_there(call: str):
    world = Sandbox()
    foreign = world.table.pay(10_00, "USD", merchant=STRANGER).dialect_id
    body = {"splitToken": "t", "period": 1}
    for number in ("9999999999", "abc", foreign):
        assert world.refused(number, call, body) == f"Could not find a transaction using Id {number}"


@pytest.mark.parametrize(
    ("kind", "call", "message"),
    [
        ("authorization", "refund", "Transaction type 1 cannot be refunded"),
        ("authorization", "reclaim", "Transaction type 1 cannot be reclaimed"),
        ("capture", "reclaim", "Transaction type 3 cannot be reclaimed"),
        ("capture", "capture", "Transaction type 3 cannot be captured"),
        ("capture", "capture/preAuth", "Transaction type 3 cannot be preauthorized"),
        ("capture", "deposit", "Transaction type 3 cannot be used for a deposit"),
        ("capture", "refresh", "Transaction type 3 cannot be refreshed"),
        ("deposit", "refund", "Transaction type 6 cannot be refunded"),
        ("deposit", "capture", "Transaction type 6 cannot be captured"),
        ("preauthorization", "capture/preAuth", "Transaction type 10 cannot be preauthorized"),
        ("preauthorization", "deposit", "Transaction type 10 cannot be used for a deposit"),
        ("preauthorization", "refund", "Transaction type 10 cannot be refunded"),
        ("refund", "refund", "Transaction type 4 cannot be refunded"),
        ("refund", "reclaim", "Transaction type 4 cannot be reclaimed"),
        ("refund", "capture", "Transaction type 4 cannot be captured"),
        ("refund", "cancel", "A refund cannot be canceled"),
    ],
)
def test_what_cannot_be_made_of_what(kind: str, call: str, message: str):
    world = Sandbox()
    numbers = {"authorization": world.establish()}
    numbers["capture"] = world.made(numbers["authorization"], "capture", {"amount": "10.00"})["transactionId"]
    numbers["deposit"] = world.made(numbers["authorization"], "deposit", {"amount": "10.00"})["transactionId"]
    held = world.made(numbers["authorization"], "capture/preAuth", {"period": 1, "amount": "10.00"})
    numbers["preauthorization"] = held["transactionId"]
    world.later()
    assert world.see(numbers["deposit"])["status"] == "4"
    numbers["refund"] = world.made(numbers["capture"], "refund", {"amount": "1.00"})["transactionId"]
    assert world.refused(numbers[kind], call, {"splitToken": "t", "period": 1}) == message


@pytest.mark.parametrize(
    ("payment_type", "calls"),
    [
        ("Deferred", {"capture", "capture/preAuth", "deposit"}),
        ("Recurring", {"capture", "capture/preAuth"}),
        ("Disbursement", {"deposit"}),
        ("Verification", set()),
        ("Retrieval", set()),
        ("Instant", set()),
    ],
)
def test_which_payments_allow_which_call(payment_type: str, calls: set[str]):
    for call in ("capture", "capture/preAuth", "deposit"):
        world = Sandbox()
        number, body = world.establish(paymentType=payment_type), {"amount": "1.00", "period": 1}
        if call in calls:
            world.made(number, call, body)
        else:
            assert world.refused(number, call, body).startswith(("A payment of type", "Transaction type 2"))


def test_of_two_calls_at_once_that_see_each_other_none_exceeds_the_authorization():
    """Whoever is registered second sees the first, and withdraws; its record says that it was denied."""
    world = Sandbox()
    number = world.establish(amount="100.00")
    answer = Table.answer
    others: list[Payment] = []

    def meanwhile(self: Table, ask: Ask) -> Any:
        if isinstance(ask, AddPayment) and not others:
            others.append(answer(self, replace(ask, document={**ask.document})))
        return answer(self, ask)

    world.table.answer = meanwhile.__get__(world.table)  # type: ignore[method-assign]
    outgoing = world.ask(f"/transactions/{number}/capture", {"merchantReference": "c", "amount": "60.00"})
    assert problem(outgoing) == (400, 200, "The amount is greater than what is left to be captured")
    (other,) = others
    denied = next(each for each in world.table.facts.payments.values() if each.document.get("failureStatus") == "8")
    assert world.see(denied.dialect_id)["status"] == "8"
    assert world.see(other.dialect_id)["status"] == "1"
    assert world.made(number, "capture")["amount"] == "40.00"


@given(st.lists(st.integers(1, 60_00), max_size=8))
def test_captures_never_exceed_the_authorization(amounts: list[int]):
    world = Sandbox()
    number, captured = world.establish(amount="100.00"), 0
    for amount in amounts:
        body = {"merchantReference": "c", "amount": str(Decimal(amount).scaleb(-2))}
        answer = world.ask(f"/transactions/{number}/capture", body)
        assert (answer.status == 200) == (99 <= amount <= 100_00 - captured)
        captured += amount if answer.status == 200 else 0
    world.later()
    assert Decimal(world.see(number)["payment"]["paid"]).scaleb(2) == captured


@pytest.mark.parametrize("call", ["capture", "deposit", "establish"])
def test_where_references_are_unique_a_repeated_one_is_a_duplicate(call: str):
    world = Sandbox(profile={"unique_references": True})
    number = world.establish(merchantReference="a")
    path = "/establish" if call == "establish" else f"/transactions/{number}/{call}"
    body = {"merchantReference": "b", "amount": "10.00"}
    assert world.ask(path, body).status == 200
    assert problem(world.ask(path, body)) == (400, 210, "The request repeats another one and is ignored")
    assert world.ask(path, body | {"merchantReference": "c"}).status == 200


def test_elsewhere_a_repeated_reference_is_another_capture():
    world = Sandbox()
    number = world.establish()
    assert number != world.establish()
    ids = {world.made(number, "capture", {"amount": "1.00"})["transactionId"] for _ in range(2)}
    assert len(ids) == 2


# --- preauthorizations -----------------------------------------------------------------------------------------------


def test_a_preauthorization_is_captured_and_expires():
    world = Sandbox()
    number = world.establish(amount="100.00")
    held = world.made(number, "capture/preAuth", {"period": "2", "amount": "30.00"})
    assert shown(held) == ("10", "2", "30.00")
    assert (held["expiredAt"], held["preAuthorized"]) == (milliseconds(world.table.now + timedelta(hours=2)), True)
    assert figures(held) == ("0.00",) * 5
    first = world.made(held["transactionId"], "capture", {"amount": "20.00"})
    assert (first["originalTransactionId"], first["preAuthorized"]) == (held["transactionId"], True)
    assert first["payment"]["paymentId"] == number
    assert world.refused(held["transactionId"], "capture", {"amount": "10.01"})
    world.later(timedelta(hours=2))
    assert shown(world.see(held["transactionId"])) == ("10", "6", "30.00")
    # afterwards it is an ordinary capture, and within the authorization only
    assert world.made(held["transactionId"], "capture", {"amount": "50.00"})["amount"] == "50.00"
    assert world.made(number, "capture")["amount"] == "30.00"


def test_a_preauthorization_of_all_that_was_authorized():
    world = Sandbox()
    number = world.establish(amount="100.00")
    assert world.made(number, "capture/preAuth", {"period": 6})["amount"] == "100.00"
    unbounded = world.establish(amount="0")
    assert world.refused(unbounded, "capture/preAuth", {"period": 6}) == "Parameter amount is required"


# --- deposits and reclaims -------------------------------------------------------------------------------------------


def test_a_deposit_is_reclaimed_in_parts():
    world = Sandbox()
    number = world.establish(paymentType="Disbursement", amount="50.00")
    deposit = world.made(number, "deposit", {"amount": "50.00", "instantPayoutRequest": True, "externalTier": "gold"})
    assert shown(deposit) == ("6", "1", "50.00")
    paid = world.payment(deposit["transactionId"])
    assert (paid.kind, original_type(paid)) == (PaymentKind.TRANSFER, Type.DEPOSIT)
    world.later()
    first = world.made(deposit["transactionId"], "reclaim", {"amount": "20.00"})
    assert (shown(first), first["originalTransactionId"]) == (("7", "1", "20.00"), deposit["transactionId"])
    assert (
        world.refused(deposit["transactionId"], "reclaim", {"amount": "30.01"})
        == (SENTENCES[Reason.EXCEEDS_REFUNDABLE])
    )
    assert world.refused(deposit["transactionId"], "reclaim", {"amount": "0.98"}) == SENTENCES[Reason.BELOW_MINIMUM]
    rest = world.made(deposit["transactionId"], "reclaim")
    assert (rest["amount"], rest["payment"]["refunded"]) == ("30.00", "50.00")
    assert world.refused(deposit["transactionId"], "reclaim") == SENTENCES[Reason.NOTHING_LEFT]
    done = world.see(deposit["transactionId"])
    assert (done["status"], figures(done)) == ("12", ("0.00", "50.00", "50.00", "0.00", "0.00"))
    world.table.bring(world.table.refunds[0], "succeeded")
    assert shown(world.see(first["transactionId"])) == ("7", "4", "20.00")
    assert figures(world.see(number)["payment"]) == ("0.00", "50.00", "50.00", "0.00", "0.00")


def test_a_deposit_is_no_part_of_what_a_deferred_payment_collected():
    world = Sandbox()
    number = world.establish(paymentType="Deferred", amount="50.00")
    world.made(number, "capture", {"amount": "30.00"})
    world.made(number, "deposit", {"amount": "50.00"})
    world.later()
    assert figures(world.see(number)["payment"]) == ("0.00", "30.00", "0.00", "0.00", "30.00")


def test_a_deposit_leaves_the_order_of_the_captures_alone():
    """Whoever refunds the order of an authorisation gives captures back, and reclaims nothing."""
    world = Sandbox()
    number = world.establish(paymentType="Deferred")
    capture = world.made(number, "capture", {"amount": "30.00"})
    world.made(number, "deposit", {"amount": "50.00"})
    world.made(number, "capture/preAuth", {"amount": "50.00", "period": 1})
    in_order = [each.dialect_id for each in world.table.facts.payments.values() if each.order == number]
    assert in_order == [capture["transactionId"]]


# --- canceling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "status", "auth"),
    [(None, "13", 7), ("capture", "7", 2), ("capture/preAuth", "7", 2), ("deposit", "7", 2)],
)
def test_what_is_not_processed_is_canceled_once(call: str | None, status: str, auth: int):
    world = Sandbox()
    world.table.outcome = "succeeded"
    number = world.establish()
    if call is not None:
        number = world.made(number, call, {"amount": "10.00", "period": 1})["transactionId"]
    body = {"merchantReference": "c", "message": "Changed their mind", "reason": 3, "signature": "s"}
    canceled = world.made(number, "cancel", body)
    assert (canceled["status"], figures(canceled)) == (status, ("0.00",) * 5)
    assert canceled["transactionId"] == number
    assert (canceled["payment"]["auth"]["status"], canceled["completedAt"]) == (auth, 0)
    world.later(timedelta(days=1))
    assert world.see(number)["status"] == status
    assert world.refused(number, "cancel") == "The transaction is canceled already"
    assert isinstance(next(ask for ask in world.table.asks if isinstance(ask, ReleasePayment)), ReleasePayment)


def test_a_voided_authorization_allows_nothing_more_and_leaves_its_captures_alone():
    world = Sandbox()
    world.table.outcome = "succeeded"
    number = world.establish()
    capture = world.made(number, "capture", {"amount": "10.00"})["transactionId"]
    world.made(number, "cancel")
    for call in ("capture", "deposit", "capture/preAuth"):
        assert world.refused(number, call, {"amount": "1.00", "period": 1}).startswith(
            "The status of the transaction is Voided"
        )
    world.later()
    assert world.see(capture)["status"] == "4"
    assert world.see(capture)["payment"]["authorizationStatus"] == 13


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "The transaction is processed and can no longer be canceled: refund it instead"),
        ({"status": "processing"}, "The transaction is processed and can no longer be canceled: refund it instead"),
        ({"status": "failed"}, "The status of the transaction is Failed: there is nothing to cancel"),
    ],
)
def test_what_cannot_be_canceled(fields: Any, message: str):
    world = Sandbox()
    assert world.refused(world.table.pay(10_00, "USD", **fields).dialect_id, "cancel") == message


def test_a_capture_cannot_be_canceled_once_the_batch_has_run():
    world = Sandbox()
    capture = world.made(world.establish(), "capture", {"amount": "10.00"})["transactionId"]
    world.later()
    assert world.ask(f"/transactions/{capture}/cancel").status == 400
    assert world.see(capture)["status"] == "4"


@pytest.mark.parametrize(("outcome", "status"), [("pending", 200), ("failed", 400)])
def test_a_cancellation_that_is_not_there_yet_or_fails(outcome: str, status: int):
    world = Sandbox()
    world.table.outcome = outcome
    number = world.establish()
    assert world.ask(f"/transactions/{number}/cancel").status == status
    assert world.see(number)["status"] == "2"
    if outcome == "pending":
        assert problem(world.ask(f"/transactions/{number}/cancel"))[2] == "The transaction can no longer be canceled"


def test_a_batch_that_overtakes_a_cancellation_brings_nothing_in():
    """The client was told that it is canceled: so it is, and there is nothing to refund."""
    world = Sandbox()
    world.table.outcome = "succeeded"
    capture = world.made(world.establish(), "capture", {"amount": "10.00"})["transactionId"]
    answer = Table.answer
    canceled: list[Outgoing] = []

    def meanwhile(self: Table, ask: Ask) -> Any:
        if isinstance(ask, SeePayment) and not canceled:
            canceled.append(answer(self, ReleasePayment(payment=ask.payment, dialect_id="1")))
        return answer(self, ask)

    world.table.answer = meanwhile.__get__(world.table)  # type: ignore[method-assign]
    outgoing = world.ask(f"/transactions/{capture}/refund")
    assert problem(outgoing) == (400, 200, SENTENCES[Reason.NOTHING_LEFT])
    assert canceled
    assert (world.see(capture)["status"], figures(world.see(capture))) == ("7", ("0.00",) * 5)


def test_a_refresh_begins_a_process():
    world = Sandbox()
    outgoing = world.ask(f"/transactions/{world.establish()}/refresh", {"splitToken": "t"})
    assert (outgoing.status, misfits(REFRESH, outgoing)) == (200, [])


# --- what the engine is told -----------------------------------------------------------------------------------------


def test_what_is_remembered_can_be_registered_as_it_is():
    world = Sandbox()
    number = world.establish(description="Two books", returnUrl="https://shop.example", **PERSON)
    world.made(number, "capture", {"amount": "1.00"})
    world.made(number, "capture/preAuth", {"amount": "1.00", "period": 1})
    world.made(number, "deposit", {"amount": "1.00"})
    world.establish(paymentType="Instant")
    added = [ask for ask in world.table.asks if isinstance(ask, AddPayment)]
    assert len(added) == 5
    for ask in added:
        kept = DIALECT.payment_document(ask.document, world.table.now)
        assert kept == {"failureStatus": "5", **ask.document}
        assert DIALECT.payment_document(kept, world.table.now) == kept


@pytest.mark.parametrize(
    "data",
    [
        {"transactionType": 4},
        {"transactionType": 6},
        {"completesAt": "soon"},
        {"expiresAt": "2026-01-01T00:00:00"},
        {"payment": "x"},
        {"payment": {"paymentType": 9}},
        {"payment": {"description": 1}},
        {"authorization": ""},
        {"surprise": 1},
    ],
)
def test_data_that_no_payment_of_trustlys_has(data: Any):
    with pytest.raises(ValueError, match=r"\.$"):
        DIALECT.payment_document(data, table().now)


@pytest.mark.parametrize("kind", ["1", "10"])
def test_what_moved_no_money_is_not_refunded_by_anyone(kind: str):
    world = table()
    payment = world.pay(10_00, "USD", dialect_data={"transactionType": kind})
    assert (capabilities(payment).full, capabilities(payment).partial) == (False, False)
    body = said(world.call("GET", f"/api/v1/transactions/{payment.dialect_id}"))
    assert (body["status"], figures(body)) == ("2", ("0.00",) * 5)


def test_an_authorization_that_was_registered_natively_is_captured_too():
    world = Sandbox()
    native = world.table.pay(80_00, "USD", status="authorized", dialect_data={"transactionType": 1})
    capture = world.made(native.dialect_id, "capture", {"amount": "30.00"})
    assert (capture["payment"]["paymentId"], capture["payment"]["paymentType"]) == (native.dialect_id, "2")
    assert world.made(native.dialect_id, "capture")["amount"] == "50.00"


def test_a_return_of_a_capture_is_a_record_of_its_own():
    world = Sandbox()
    payment = world.table.pay(10_00, "USD")
    world.table.answer(
        SeePayment(payment=payment, sighting=Sighting(kind="claw_back", amount=10_00, reference="R01-1"))
    )
    record = world.see(f"5{payment.dialect_id}")
    assert (shown(record), record["originalTransactionId"]) == (("5", "4", "10.00"), payment.dialect_id)
    assert world.see(payment.dialect_id)["status"] == "10"
    assert world.table.call("GET", f"/api/v1/transactions/5{world.table.pay(1_00, 'USD').dialect_id}").status == 400


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63) + 1, 2**63 - 1),
        st.decimals(allow_nan=False, allow_infinity=False, places=3),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        st.sampled_from(["10.00", "0.99", "1", "USD", "CAD", "Deferred", "Instant", "4", "ExpiredSplitToken", "true"]),
        st.sampled_from(["https://shop.example/?a=1#b", "http://[", "app:back", "124003116", "1001000000"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)
MEMBERS = (
    *("merchantReference", "amount", "splitToken", "period", "message", "reason", "signature", "paymentType"),
    *("currency", "returnUrl", "accessId", "account", "customer", "account.type", "customer.externalId"),
    *("instantPayoutRequest", "description"),
)


@given(
    call=st.sampled_from(["establish", *CALLS]),
    kind=st.sampled_from(["authorization", "capture", "deposit", "preauthorization"]),
    body=st.one_of(st.fixed_dictionaries({}, optional=dict.fromkeys(MEMBERS, VALUES)), VALUES),
)
def test_whatever_is_sent_is_answered(call: str, kind: str, body: Any):
    """With a record or an error, never with a fault of ours; and what was answered can be registered and read."""
    world = Sandbox()
    numbers = {"authorization": world.establish()}
    for made, name in (("capture", "capture"), ("deposit", "deposit"), ("preauthorization", "capture/preAuth")):
        numbers[made] = world.made(numbers["authorization"], name, {"amount": "10.00", "period": 1})["transactionId"]
    path = "/establish" if call == "establish" else f"/transactions/{numbers[kind]}/{call}"
    outgoing = world.ask(path, body)
    assert outgoing.status in (200, 400, 401) or problem(outgoing)[:2] == (500, 100)  # a test account's
    for ask in world.table.asks:
        if isinstance(ask, AddPayment):
            DIALECT.payment_document(ask.document, world.table.now)
    for payment in world.table.facts.payments.values():
        world.see(payment.dialect_id)


# --- the shape of answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "bare", "enveloped"), [("bare", True, False), ("enveloped", False, True)])
def test_a_credential_may_want_one_form_only(shape: str, bare: bool, enveloped: bool):
    world = table(profile={"shape": shape})
    number = world.pay(10_00, "USD").dialect_id
    body = said(world.call("GET", f"/api/v1/transactions/{number}"))
    assert ("transactionId" in body, "transaction" in body) == (bare, enveloped)
    assert (body if bare else body["transaction"])["status"] == ("4" if bare else 4)


def test_a_credential_may_want_text_in_lists():
    world = table(profile={"list_enums": "text"})
    world.pay(10_00, "USD")
    (shown_,) = said(world.call("GET", "/api/v1/transactions"))["transactions"]
    assert (shown_["status"], shown_["payment"]["paymentType"]) == ("4", "2")
