"""Trustly as we serve it: a row for every documented rule and error of the refund call, and every form of a record."""

import json
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.money import currency
from moneyback.core.payment import Payment
from moneyback.core.refund import ENDED, State
from moneyback.core.refusals import Failing, Reason, in_precedence
from moneyback.dialect import AskRefund, Conversation, Fault, Incoming, Outgoing, Presented
from moneyback.dialects.trustly import DIALECT, capabilities
from moneyback.dialects.trustly.refunds import refund_transaction
from moneyback.dialects.trustly.server import SENTENCES
from moneyback.dialects.trustly.wire import PROVIDER_CODES, REFUND_SHOWN, Status, milliseconds, minimum
from tests.dialects.driver import STRANGER, Table, misfits, said

SAMPLES = Path(__file__).parents[3] / "moneyback" / "dialects" / "trustly" / "samples"

# The members of the provider's reference page for this call, in its order, with their types; the last nine may be null.
PAGE = {
    **dict.fromkeys(("transactionId", "transactionType"), "string"),
    "payment": "object",
    **dict.fromkeys(("currency", "amount", "pending", "paid", "refunded", "reversed", "balance"), "string"),
    "paymentProviderTransaction": "object",
    **dict.fromkeys(("status", "statusMessage", "ip"), "string"),
    **dict.fromkeys(("createdAt", "processedAt", "completedAt", "updatedAt"), "integer"),
    "merchantReference": "string",
    "recordVersion": "number",
    "ppTrxId": "string",
    "expiredAt": "integer",
    **dict.fromkeys(("originalTransactionId", "fee", "timeZone"), "string"),
    "representmentScheduledAt": "number",
    **dict.fromkeys(("paymentProcessorType", "statusCode"), "string"),
    "preAuthorized": "boolean",
}
OPTIONAL = tuple(PAGE)[20:]

# The required members of a Payment, in the order of the provider's OpenAPI document.
PAYMENT_REQUIRED = (
    *("paymentId", "paymentType", "merchant", "merchantReference", "merchantId", "fingerprint", "verification"),
    *("account", "currency", "amount", "paymentProvider", "allowedPaymentProviderType", "auth", "authorization"),
    *("authorizationStatus", "authorizationStatusMessage", "pending", "paid", "refunded", "reversed", "balance"),
    *("createdAt", "updatedAt", "recordVersion", "paymentFlow"),
)


def record_schema(*, numbers: bool) -> dict[str, Any]:
    """A Transaction by the provider's own documents: bare with enums as text, or enveloped with enums as numbers."""

    def enum(*values: int) -> dict[str, Any]:
        return {"enum": list(values) if numbers else [str(each) for each in values]}

    members: dict[str, Any] = {
        name: {"type": [kind, "null"] if name in OPTIONAL else kind, **({"minLength": 1} if kind == "string" else {})}
        for name, kind in PAGE.items()
    }
    money = {"type": "string", "pattern": r"^\d+\.\d\d$", "maxLength": 10}
    members |= dict.fromkeys(("amount", "pending", "paid", "refunded", "reversed", "balance"), money)
    time = {"type": "integer", "minimum": 0}
    members |= dict.fromkeys(("createdAt", "processedAt", "completedAt", "updatedAt"), time)
    members |= {
        "transactionId": {"type": "string", "pattern": r"^\d{1,15}$"},
        "transactionType": enum(*range(9), 10),
        "currency": {"const": "USD"},
        "status": enum(*range(9), *range(10, 15)),
        "statusMessage": {"type": "string", "minLength": 1, "maxLength": 120},
        "ip": {"type": "string", "format": "ipv4"},
        "payment": {
            "type": "object",
            "required": list(PAYMENT_REQUIRED),
            "properties": {
                **dict.fromkeys(("amount", "pending", "paid", "refunded", "reversed", "balance"), money),
                "paymentType": enum(*range(1, 7)),
                "currency": {"const": "USD"},
                "merchantReference": {"type": "string", "minLength": 1},
                "verification": {"properties": {"status": enum(1, 2, 3, 4), "mode": enum(1, 2, 3, 4)}},
                "account": {"properties": {"type": {"enum": [-1, 0, 1, 2]}, "profile": {"enum": [-1, 0, 1, 2]}}},
                "auth": {"properties": {"status": {"type": "integer"}}},
                "authorizationStatus": {"type": "number"},
                "createdAt": time,
                "updatedAt": time,
            },
        },
    }
    return {"type": "object", "required": list(PAGE), "properties": members}


TRANSACTION = record_schema(numbers=False)
TRANSACTION["required"].append("transaction")
TRANSACTION["properties"]["transaction"] = record_schema(numbers=True)

ERROR = {
    "type": "object",
    "required": ["errors"],
    "properties": {
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["domain", "code", "message"],
                "properties": {
                    "domain": {
                        "type": "string",
                        "pattern": r"^com\.paywithmybank\.merchantgateway\.v1\.exception\.\w+$",
                    },
                    "code": {"type": "integer"},
                    "message": {"type": "string", "minLength": 1},
                },
            },
        }
    },
}


# --- arranging -------------------------------------------------------------------------------------------------------


def table(**options: Any) -> Table:
    return Table(DIALECT, **options)


def refund(world: Table, payment: Payment, body: Any = None, encoding: str | None = None) -> Outgoing:
    path = f"/api/v1/transactions/{payment.dialect_id}/refund"
    return checked(world.call("POST", path, body, encoding=encoding))


def read(world: Table, number: str) -> Outgoing:
    return checked(world.call("GET", f"/api/v1/transactions/{number}"))


def checked(outgoing: Outgoing) -> Outgoing:
    """Every answer of every test satisfies the provider's schema of it."""
    assert misfits(TRANSACTION if outgoing.status == 200 else ERROR, outgoing) == []
    return outgoing


def problem(outgoing: Outgoing) -> tuple[int, int, str]:
    """(HTTP status, code, message) of an error answer."""
    error = said(outgoing)["errors"][0]
    return outgoing.status, error["code"], error["message"]


def figures(body: dict[str, Any]) -> tuple[str, ...]:
    return tuple(body[name] for name in ("pending", "paid", "refunded", "reversed", "balance"))


# --- the answer to a refund ------------------------------------------------------------------------------------------


def test_a_refund_is_a_pending_record_of_its_own():
    world = table(profile={"merchant_id": "1002463580"})
    payment = world.pay(100_00, "USD", dialect_data={"merchantReference": "order-7", "ip": "198.51.100.7"})
    body = said(refund(world, payment, {"merchantReference": "refund-1", "amount": "1.00"}))
    now = milliseconds(world.now)
    expected = {
        "transactionId": world.refunds[0].dialect_id,
        "transactionType": "4",
        "currency": "USD",
        "amount": "1.00",
        "pending": "1.00",
        "paid": "0.00",
        "refunded": "0.00",
        "reversed": "0.00",
        "balance": "0.00",
        "status": "1",
        "statusMessage": "Pending",
        "ip": "198.51.100.7",
        "createdAt": now,
        "processedAt": 0,
        "completedAt": 0,
        "updatedAt": now,
        "merchantReference": "refund-1",
        "recordVersion": 1,
        "originalTransactionId": payment.dialect_id,
    }
    assert expected.items() <= body.items()
    assert body["payment"]["merchantReference"] == "order-7"
    assert body["payment"]["merchantId"] == body["payment"]["merchant"]["merchantId"] == "1002463580"


def test_members_come_in_the_order_of_the_page_and_the_envelope_last():
    world = table()
    body = said(refund(world, world.pay(10_00, "USD")))
    assert tuple(body) == (*PAGE, "transaction")
    assert tuple(body["transaction"]) == tuple(PAGE)
    assert tuple(body["payment"]) == PAYMENT_REQUIRED


def test_the_envelope_says_the_same_with_numbers():
    world = table()
    body = said(refund(world, world.pay(10_00, "USD")))
    enveloped = body.pop("transaction")
    assert (enveloped["transactionType"], enveloped["status"], enveloped["payment"]["paymentType"]) == (4, 1, 2)
    apart = ("transactionType", "status", "payment")
    assert {name: enveloped[name] for name in PAGE if name not in apart} == {
        name: body[name] for name in PAGE if name not in apart
    }


@pytest.mark.parametrize("outcome", ["succeeded", "failed:R01", "unknown", "needs_review", "pending"])
def test_the_first_answer_is_pending_whatever_the_rail_does(outcome: str):
    world = table()
    world.outcome = outcome
    body = said(refund(world, world.pay(10_00, "USD")))
    assert (body["status"], body["pending"], body["paid"]) == ("1", "10.00", "0.00")


@pytest.mark.parametrize("state", [State.AWAITING_APPROVAL, State.SCHEDULED, State.SENDING])
def test_the_first_answer_is_pending_however_the_refund_was_admitted(state: State):
    world = table()
    payment = world.pay(10_00, "USD")
    conversation = handler(payment)
    conversation.send(None)
    asked = conversation.send(payment)
    result = world.answer(asked)
    waiting = world.bring(result.refund, state.value)
    body = said(checked(final(conversation, type(result)(waiting, world.payment(payment)))))
    assert body["status"] == "1"


def handler(payment: Payment, body: Any = None) -> Conversation:
    incoming = Incoming(
        method="POST",
        path=f"/api/v1/transactions/{payment.dialect_id}/refund",
        arguments={"transactionId": payment.dialect_id},
        body=body,
    )
    return refund_transaction(incoming, table().caller)


def final(conversation: Conversation, answer: Any) -> Outgoing:
    try:
        conversation.send(answer)
    except StopIteration as end:
        found: Outgoing = end.value
        return found
    raise AssertionError("the handler asks for more")


@pytest.mark.parametrize(
    ("data", "order", "body", "expected"),
    [
        ({"merchantReference": "order-7"}, None, {"merchantReference": "mine"}, "mine"),
        ({"merchantReference": "order-7"}, None, {}, "order-7"),
        ({"merchantReference": "order-7"}, None, {"merchantReference": ""}, "order-7"),
        ({"merchantReference": "order-7"}, None, {"merchantReference": None}, "order-7"),
        ({"merchantReference": "order-7"}, None, {"merchantReference": 17}, "17"),
        ({}, "shop-1", None, "shop-1"),
        ({}, None, None, "1000000001"),
    ],
    ids=["stated", "omitted", "empty", "null", "a number", "the order's", "nothing known: the id"],
)
def test_the_reference_is_the_stated_one_or_the_payments_own(data: Any, order: str | None, body: Any, expected: str):
    world = table()
    payment = world.pay(10_00, "USD", dialect_data=data, order=order)
    made = said(refund(world, payment, body))
    assert made["merchantReference"] == expected
    assert said(read(world, made["transactionId"]))["merchantReference"] == expected


@pytest.mark.parametrize(("stated", "kept"), [("refund-1", "refund-1"), ("", None), (None, None)])
def test_only_a_stated_reference_is_the_callers(stated: str | None, kept: str | None):
    world = table()
    refund(world, world.pay(10_00, "USD"), {"merchantReference": stated})
    asked = next(ask for ask in world.asks if isinstance(ask, AskRefund))
    assert (asked.reference, asked.distinct, world.refunds[0].reference) == (kept, kept, kept)


# --- amounts ---------------------------------------------------------------------------------------------------------

NOT_A_NUMBER = "The amount is not a plain decimal number, such as 10 or 10.50"
TOO_PRECISE = "The amount has more decimal places than are accepted here"
EXPONENT = "The amount has a power of ten, or a row of decimals, that is not accepted here"
TOO_LONG = "The amount is longer than 10 characters"
TOO_LITTLE = SENTENCES[Reason.BELOW_MINIMUM]
NOT_POSITIVE = SENTENCES[Reason.AMOUNT_NOT_POSITIVE]


@pytest.mark.parametrize(
    ("amount", "given"),
    [
        ("10", "10.00"),
        ("10.0", "10.00"),
        ("10.00", "10.00"),
        ("0.99", "0.99"),
        ("0000010.00", "10.00"),
        (10, "10.00"),
        (Decimal("10.0"), "10.00"),
        (Decimal("10.05"), "10.05"),
        (Decimal("1e2"), "100.00"),
        (None, "1000.00"),
    ],
)
def test_amounts_that_are_taken(amount: Any, given: str):
    world = table()
    assert said(refund(world, world.pay(1000_00, "USD"), {"amount": amount}))["amount"] == given


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ("", "The amount is empty"),
        (" ", NOT_A_NUMBER),
        ("ten", NOT_A_NUMBER),
        ("1,00", NOT_A_NUMBER),
        ("NaN", "The amount is not a finite number"),
        ("1e2", EXPONENT),
        ("10.005", TOO_PRECISE),
        ("10.000", TOO_PRECISE),
        (Decimal("10.005"), TOO_PRECISE),
        ("00000010.00", TOO_LONG),
        (10_000_000_000, TOO_LONG),
        (Decimal("12345678.90"), TOO_LONG),
        (2**63, TOO_LONG),
        ([], NOT_A_NUMBER),
        ({}, NOT_A_NUMBER),
        (True, NOT_A_NUMBER),
        (False, NOT_A_NUMBER),
        ("0", NOT_POSITIVE),
        (0, NOT_POSITIVE),
        ("0.00", NOT_POSITIVE),
        (-1, NOT_POSITIVE),
        ("-1", NOT_POSITIVE),
        ("0.98", TOO_LITTLE),
        ("0.01", TOO_LITTLE),
        ("1000.01", SENTENCES[Reason.EXCEEDS_REFUNDABLE]),
    ],
)
def test_amounts_that_are_refused(amount: Any, message: str):
    world = table()
    payment = world.pay(1000_00, "USD")
    assert problem(refund(world, payment, {"amount": amount})) == (400, 200, message)
    assert world.refunds == ()
    assert world.payment(payment) == payment


@given(
    st.one_of(st.text(), st.integers(), st.decimals(allow_nan=False, allow_infinity=False), st.none(), st.booleans())
)
def test_any_amount_is_answered_exactly_or_refused(amount: Any):
    world = table()
    payment = world.pay(1000_00, "USD")
    outgoing = refund(world, payment, {"amount": amount})
    if outgoing.status == 400:
        assert world.refunds == ()
    else:
        expected = Decimal("1000.00") if amount is None else Decimal(amount)
        assert Decimal(said(outgoing)["amount"]) == expected
        assert world.payment(payment).held * Decimal("0.01") == expected


def test_an_omitted_amount_is_what_remains():
    world = table()
    payment = world.pay(100_00, "USD")
    refund(world, payment, {"amount": "30.00"})
    assert said(refund(world, payment))["amount"] == "70.00"
    assert problem(refund(world, payment)) == (400, 200, SENTENCES[Reason.NOTHING_LEFT])


def test_a_rest_below_the_minimum_is_given_back_by_leaving_the_amount_out_only():
    world = table()
    payment = world.pay(100_00, "USD")
    refund(world, payment, {"amount": "99.50"})
    assert problem(refund(world, payment, {"amount": "0.50"})) == (400, 200, TOO_LITTLE)
    assert said(refund(world, payment))["amount"] == "0.50"


@pytest.mark.parametrize(("code", "least"), [("USD", 99), ("JPY", 1), ("KWD", 990)])
def test_the_minimum_is_rounded_up_to_what_a_currency_can_say(code: str, least: int):
    assert minimum(currency(code).code) == least
    assert capabilities(table().pay(1, code)).minimum == least


def test_an_amount_more_precise_than_its_currency_is_refused():
    world = table()
    payment = world.pay(1000, "JPY")
    outgoing = world.call("POST", f"/api/v1/transactions/{payment.dialect_id}/refund", {"amount": "10.50"})
    assert problem(outgoing) == (400, 200, TOO_PRECISE)


def test_many_refunds_until_everything_is_given_back():
    world = table()
    payment = world.pay(10_00, "USD")
    statuses = []
    for _ in range(4):
        refund(world, payment, {"amount": "2.50"})
        statuses.append(said(read(world, payment.dialect_id))["status"])
    assert statuses == ["11", "11", "11", "12"]


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (None, "none"),
        ({}, "form"),
        ({}, "json"),
        ({"amount": "10.00"}, "form"),
        ({"amount": "10.00"}, "json"),
        ({"amount": "10.00", "notificationUrl": "https://example.com", "unheard": {"of": 1}}, "json"),
    ],
    ids=["none", "empty form", "empty JSON", "form", "JSON", "more members"],
)
def test_bodies_that_are_taken(body: Any, encoding: str):
    world = table()
    assert said(refund(world, world.pay(10_00, "USD"), body, encoding))["amount"] == "10.00"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "The request must consist of named parameters"),
        ("amount", "The request must consist of named parameters"),
        (1, "The request must consist of named parameters"),
        ({"merchantReference": []}, "Parameter merchantReference must be text"),
        ({"merchantReference": True}, "Parameter merchantReference must be text"),
        ({"merchantReference": Decimal("1.5")}, "Parameter merchantReference must be text"),
    ],
)
def test_bodies_that_are_refused(body: Any, message: str):
    world = table()
    assert problem(refund(world, world.pay(10_00, "USD"), body)) == (400, 200, message)
    assert world.refunds == ()


def test_a_multipart_body_is_not_served():
    world = table()
    assert problem(refund(world, world.pay(10_00, "USD"), {"amount": "1"}, "multipart"))[:2] == (400, 200)
    assert world.refunds == ()


def test_a_read_may_declare_a_form():
    world = table()
    number = world.pay(10_00, "USD").dialect_id
    assert world.call("GET", f"//api/v1/transactions//{number}/", {}, encoding="form").status == 200


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_id_is_an_invalid_parameter(method: str):
    world = table()
    foreign = world.pay(10_00, "USD", merchant=STRANGER).dialect_id
    for number in ("9999999999", "abc", foreign):
        path = f"/api/v1/transactions/{number}" + ("/refund" if method == "POST" else "")
        outgoing = checked(world.call(method, path))
        assert problem(outgoing) == (400, 200, f"Could not find a transaction using Id {number}")


@pytest.mark.parametrize("amount", ["10.000", "", "12345678901"])
def test_a_wrong_parameter_is_told_before_an_unknown_id(amount: str):
    outgoing = checked(table().call("POST", "/api/v1/transactions/9999999999/refund", {"amount": amount}))
    assert "Could not find" not in problem(outgoing)[2]


def test_a_refund_is_no_original():
    world = table()
    made = said(refund(world, world.pay(10_00, "USD"), {"amount": "1.00"}))
    outgoing = checked(world.call("POST", f"/api/v1/transactions/{made['transactionId']}/refund"))
    assert problem(outgoing) == (400, 200, "Transaction type 4 cannot be refunded")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("failed", Reason.PAYMENT_FAILED),
        ("processing", Reason.PAYMENT_PROCESSING),
        ("authorized", Reason.PAYMENT_NOT_CAPTURED),
    ],
)
@pytest.mark.parametrize("body", [None, {"amount": "1.00"}], ids=["what remains", "an amount"])
def test_only_what_is_completed_can_be_refunded(status: str, reason: Reason, body: Any):
    world = table()
    assert problem(refund(world, world.pay(10_00, "USD", status=status), body)) == (400, 200, SENTENCES[reason])
    assert world.refunds == ()


@pytest.mark.parametrize("kind", ["2", "3"])
def test_captures_and_payments_can_be_refunded(kind: str):
    world = table()
    payment = world.pay(10_00, "USD", dialect_data={"transactionType": kind})
    assert refund(world, payment).status == 200
    shown = said(read(world, payment.dialect_id))
    assert shown["transactionType"] == kind
    assert shown["payment"]["paymentType"] == {"2": "1", "3": "2"}[kind]


def test_a_reversed_original_has_nothing_to_refund():
    world = table()
    payment = world.see(world.pay(10_00, "USD"), "claw_back", 10_00)
    assert problem(refund(world, payment)) == (400, 200, SENTENCES[Reason.NOTHING_LEFT])


def test_a_disputed_part_is_not_given_back():
    world = table()
    payment = world.see(world.pay(10_00, "USD"), "dispute_open", 4_00)
    assert problem(refund(world, payment, {"amount": "7.00"})) == (400, 200, SENTENCES[Reason.EXCEEDS_REFUNDABLE])
    assert said(refund(world, payment))["amount"] == "6.00"


@pytest.mark.parametrize(
    ("data", "body", "first"),
    [
        ({"status": "processing"}, {"amount": "0.50"}, Reason.BELOW_MINIMUM),
        ({"status": "processing"}, {"amount": "0"}, Reason.AMOUNT_NOT_POSITIVE),
        ({"status": "failed"}, {"amount": "99.00"}, Reason.PAYMENT_FAILED),
        ({}, {"amount": "0.00"}, Reason.AMOUNT_NOT_POSITIVE),
    ],
)
def test_the_first_of_several_reasons_is_told(data: Any, body: Any, first: Reason):
    world = table()
    assert problem(refund(world, world.pay(10_00, "USD", **data), body)) == (400, 200, SENTENCES[first])


@pytest.mark.parametrize(("one", "other"), list(combinations(SENTENCES, 2)), ids=lambda reason: reason.value)
def test_every_pair_of_reasons_has_an_order(one: Reason, other: Reason):
    """Whichever core finds first, the earlier one of the declared precedence is told."""
    payment = table().pay(10_00, "USD")
    for failing in ((Failing(one), Failing(other)), (Failing(other), Failing(one))):
        conversation = handler(payment)
        conversation.send(None)
        assert isinstance(conversation.send(payment), AskRefund)
        refusal = in_precedence(failing, DIALECT.precedence)
        assert problem(checked(final(conversation, refusal))) == (400, 200, SENTENCES[one])


def test_every_reason_has_a_sentence_and_a_place():
    assert set(SENTENCES) == set(Reason) == set(DIALECT.precedence)
    order = list(DIALECT.precedence)
    parameters, states = (
        (Reason.AMOUNT_NOT_POSITIVE, Reason.BELOW_MINIMUM),
        (Reason.PAYMENT_FAILED, Reason.WINDOW_CLOSED),
    )
    balance = (Reason.NOTHING_LEFT, Reason.EXCEEDS_REFUNDABLE)
    places = [order.index(reason) for reason in (*parameters, *states, *balance)]
    assert places == sorted(places)


# --- equal requests --------------------------------------------------------------------------------------------------


def test_the_same_reference_twice_is_two_refunds():
    """Refunds are exempt from the provider's duplicate checking; only the balance limits the damage."""
    world = table()
    payment = world.pay(10_00, "USD")
    body = {"merchantReference": "refund-1", "amount": "4.00"}
    ids = [said(refund(world, payment, body))["transactionId"] for _ in range(2)]
    assert len(set(ids)) == 2
    assert world.payment(payment).held == 8_00


@pytest.mark.parametrize(
    ("second", "refunds"),
    [
        ({"merchantReference": "refund-1", "amount": "4.00"}, 1),
        ({"merchantReference": "refund-1", "amount": Decimal("4.0")}, 1),
        ({"merchantReference": "refund-2", "amount": "4.00"}, 2),
        ({"merchantReference": "refund-1", "amount": "4.01"}, 2),
        ({"amount": "4.00"}, 2),
    ],
    ids=["equal", "equal, as a number", "another reference", "another amount", "no reference"],
)
def test_where_equal_requests_are_joined_the_reference_tells_them_apart(second: Any, refunds: int):
    world = table(join_within=timedelta(seconds=120))
    payment = world.pay(10_00, "USD")
    refund(world, payment, {"merchantReference": "refund-1", "amount": "4.00"})
    refund(world, payment, second)
    assert len(world.refunds) == refunds


def test_a_joined_request_is_answered_with_the_present_state():
    world = table(join_within=timedelta(seconds=120))
    payment = world.pay(10_00, "USD")
    refund(world, payment, {"amount": "4.00"})
    world.bring(world.refunds[0], "succeeded")
    again = said(refund(world, payment, {"amount": "4.00"}))
    assert (again["status"], again["paid"]) == ("4", "4.00")


# --- every state of a refund -----------------------------------------------------------------------------------------

#            state                    status  pending  paid     reversed  balance   original: status  refunded  balance
LIFE = [
    (State.AWAITING_APPROVAL, "14", "4.00", "0.00", "0.00", "0.00", "11", "4.00", "6.00"),
    (State.SCHEDULED, "1", "4.00", "0.00", "0.00", "0.00", "11", "4.00", "6.00"),
    (State.READY, "1", "4.00", "0.00", "0.00", "0.00", "11", "4.00", "6.00"),
    (State.SENDING, "1", "4.00", "0.00", "0.00", "0.00", "11", "4.00", "6.00"),
    (State.PENDING, "1", "4.00", "0.00", "0.00", "0.00", "11", "4.00", "6.00"),
    (State.REQUIRES_ACTION, "14", "4.00", "0.00", "0.00", "0.00", "11", "4.00", "6.00"),
    (State.UNKNOWN, "1", "4.00", "0.00", "0.00", "0.00", "11", "4.00", "6.00"),
    (State.NEEDS_REVIEW, "14", "4.00", "0.00", "0.00", "0.00", "11", "4.00", "6.00"),
    (State.SUCCEEDED, "4", "0.00", "4.00", "0.00", "4.00", "11", "4.00", "6.00"),
    (State.RETURNED, "10", "0.00", "4.00", "4.00", "0.00", "4", "0.00", "10.00"),
    (State.FAILED, "5", "0.00", "0.00", "0.00", "0.00", "4", "0.00", "10.00"),
    (State.CANCELED, "7", "0.00", "0.00", "0.00", "0.00", "4", "0.00", "10.00"),
]


@pytest.mark.parametrize("row", LIFE, ids=lambda row: row[0].value)
def test_what_becomes_of_a_refund_is_read_from_both_records(row: Any):
    state, status, pending, paid, back, rest, original_status, refunded, balance = row
    world = table()
    payment = world.pay(10_00, "USD")
    number = said(refund(world, payment, {"amount": "4.00"}))["transactionId"]
    world.now += timedelta(minutes=5)
    world.bring(world.refunds[0], state.value)

    record = said(read(world, number))
    assert (record["status"], record["statusMessage"]) == (status, Status(int(status)).message)
    assert figures(record) == (pending, paid, "0.00", back, rest)
    assert (record["transactionType"], record["amount"], record["originalTransactionId"]) == (
        "4",
        "4.00",
        payment.dialect_id,
    )
    done = milliseconds(world.now) if state in (State.SUCCEEDED, State.RETURNED) else 0
    assert (record["processedAt"], record["completedAt"]) == (done, done)

    original = said(read(world, payment.dialect_id))
    assert (original["transactionType"], original["status"]) == ("3", original_status)
    assert figures(original) == ("0.00", "10.00", refunded, "0.00", balance)
    assert figures(original["payment"]) == figures(original) == figures(record["payment"])


def test_the_tables_are_total():
    assert set(REFUND_SHOWN) == set(State) == {row[0] for row in LIFE}
    assert set(PROVIDER_CODES) == set(Status)
    assert {REFUND_SHOWN[state] for state in set(State) - ENDED} == {Status.PENDING, Status.ON_HOLD}


def test_a_doubt_that_waits_for_a_person_is_on_hold():
    world = table()
    refund(world, world.pay(10_00, "USD"))
    doubt = world.bring(world.refunds[0], "unknown")
    assert said(read(world, doubt.dialect_id))["status"] == "1"
    world.write(doubt, human_since=world.now)
    assert said(read(world, doubt.dialect_id))["status"] == "14"


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("failed:R01", "R01"), ("failed:SW054", "SW054"), ("failed:do_not_honor", "AC101"), ("failed", "AC101")],
)
def test_the_banks_own_code_is_shown_where_it_is_one(outcome: str, code: str):
    world = table()
    refund(world, world.pay(10_00, "USD"))
    failed = world.bring(world.refunds[0], outcome, message="No account")
    body = said(read(world, failed.dialect_id))
    assert (body["statusCode"], body["paymentProviderTransaction"]["status"]) == (code, code)
    assert body["paymentProviderTransaction"]["statusDescription"] == "No account"


def test_a_failed_refund_can_be_made_again():
    world = table()
    payment = world.pay(10_00, "USD")
    refund(world, payment)
    world.bring(world.refunds[0], "failed:R02")
    assert said(refund(world, payment))["amount"] == "10.00"


def test_a_refund_is_found_by_the_providers_id_too():
    world = table()
    refund(world, world.pay(10_00, "USD"))
    known = world.refunds[0]
    world.write(known, provider_id="77")
    assert said(read(world, "77"))["transactionId"] == known.dialect_id


# --- the original ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "data", "shown", "sums"),
    [
        ("captured", {}, "4", ("0.00", "10.00", "0.00", "0.00", "10.00")),
        ("processing", {}, "3", ("10.00", "0.00", "0.00", "0.00", "0.00")),
        ("authorized", {}, "1", ("10.00", "0.00", "0.00", "0.00", "0.00")),
        ("failed", {}, "5", ("0.00", "0.00", "0.00", "0.00", "0.00")),
        ("failed", {"failureStatus": 8}, "8", ("0.00", "0.00", "0.00", "0.00", "0.00")),
    ],
)
def test_an_untouched_original(status: str, data: Any, shown: str, sums: tuple[str, ...]):
    world = table()
    payment = world.pay(10_00, "USD", status=status, dialect_data=data)
    body = said(read(world, payment.dialect_id))
    assert (body["status"], body["amount"], figures(body)) == (shown, "10.00", sums)
    processed, completed = body["processedAt"] > 0, body["completedAt"] > 0
    assert (processed, completed) == (shown in ("3", "4"), shown == "4")


@pytest.mark.parametrize(
    ("seen", "shown", "sums"),
    [
        ([("external", 3_00)], "11", ("0.00", "10.00", "3.00", "0.00", "7.00")),
        ([("external", 10_00)], "12", ("0.00", "10.00", "10.00", "0.00", "0.00")),
        ([("claw_back", 10_00)], "10", ("0.00", "10.00", "0.00", "10.00", "0.00")),
        ([("external", 3_00), ("claw_back", 7_00)], "10", ("0.00", "10.00", "3.00", "7.00", "0.00")),
        ([("dispute_open", 10_00)], "14", ("0.00", "10.00", "0.00", "0.00", "10.00")),
        ([("dispute_open", 10_00), ("dispute_won", 0)], "4", ("0.00", "10.00", "0.00", "0.00", "10.00")),
        ([("dispute_open", 10_00), ("dispute_lost", 0)], "10", ("0.00", "10.00", "0.00", "10.00", "0.00")),
    ],
    ids=lambda value: "+".join(kind for kind, _ in value) if isinstance(value, list) else None,
)
def test_what_happened_elsewhere_is_shown(seen: list[tuple[str, int]], shown: str, sums: tuple[str, ...]):
    world = table()
    payment = world.pay(10_00, "USD")
    for kind, amount in seen:
        world.see(payment, kind, amount)
    body = said(read(world, payment.dialect_id))
    assert (body["status"], figures(body)) == (shown, sums)


def test_a_balance_is_paid_minus_the_rest_even_below_zero():
    world = table()
    payment = world.pay(10_00, "USD")
    refund(world, payment)
    world.see(payment, "external", 3_00)
    body = said(world.call("GET", f"/api/v1/transactions/{payment.dialect_id}"))
    assert (body["status"], figures(body)) == ("12", ("0.00", "10.00", "13.00", "0.00", "-3.00"))


def test_an_amount_that_is_not_known_is_not_completed():
    world = table()
    payment = world.pay(10_00, "USD")
    world.write(payment, amount_known=False)
    body = said(read(world, payment.dialect_id))
    assert (body["status"], body["completedAt"]) == ("3", 0)


def test_an_original_shows_its_authorisation():
    world = table()
    payment = world.pay(10_00, "USD", dialect_data={"originalTransactionId": "1002593000"})
    assert said(read(world, payment.dialect_id))["originalTransactionId"] == "1002593000"
    assert said(read(world, world.pay(10_00, "USD").dialect_id))["originalTransactionId"] is None


def test_times_are_whole_milliseconds():
    at = datetime(2019, 4, 25, 23, 14, 0, 954_999, tzinfo=UTC)
    assert (milliseconds(at), milliseconds(None)) == (1_556_234_040_954, 0)


# --- payments registered natively ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"transactionType": "4"}, "transactionType must be 3 or 2 or 1 or 10 or 6 or 8."),
        ({"transactionType": True}, "transactionType must be 3 or 2 or 1 or 10 or 6 or 8."),
        ({"transactionType": [3]}, "transactionType must be 3 or 2 or 1 or 10 or 6 or 8."),
        ({"failureStatus": 4}, "failureStatus must be 5 or 8 or 6 or 7 or 13."),
        ({"merchantReference": ""}, "merchantReference must be text that is not empty."),
        ({"ip": 7}, "ip must be text that is not empty."),
        ({"AuthorId": "1"}, "A Trustly payment has no AuthorId."),
    ],
)
def test_a_document_that_makes_no_sense_is_refused(data: Any, sentence: str):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        DIALECT.payment_document(data, table().now)


# --- credentials and faults ------------------------------------------------------------------------------------------


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (basic("id:key"), Presented("key", "id")),
        (basic("id:key").replace("Basic", "basic"), Presented("key", "id")),
        (basic("id:key").replace("Basic ", "BASIC  "), Presented("key", "id")),
        (basic("id:HmacSHA512:key"), Presented("HmacSHA512:key", "id")),
        (basic("id:schlüssel"), Presented("schlüssel", "id")),
        (basic("id"), None),
        (basic("id:"), None),
        (basic(":key"), None),
        (basic("id:key").replace("Basic", "Bearer"), None),
        ("Basic ###", None),
        ("Basic", None),
        ("", None),
    ],
)
def test_credentials_are_basic(header: str, expected: Presented | None):
    assert DIALECT.presented(Incoming(method="GET", path="/", headers={"authorization": header})) == expected


@pytest.mark.parametrize(
    ("fault", "status", "code", "domain"),
    [
        (Fault.UNAUTHENTICATED, 401, 375, "AccessControlException"),
        (Fault.FORBIDDEN, 401, 375, "AccessControlException"),
        (Fault.NOT_FOUND, 404, 200, "InvalidParameterException"),
        (Fault.METHOD_NOT_ALLOWED, 405, 200, "InvalidParameterException"),
        (Fault.BAD_BODY, 400, 200, "InvalidParameterException"),
        (Fault.TOO_LARGE, 413, 200, "InvalidParameterException"),
        (Fault.UNAVAILABLE, 503, 100, "ServiceUnavailableException"),
        (Fault.INTERNAL, 500, 100, "InternalErrorException"),
    ],
    ids=lambda value: value.value if isinstance(value, Fault) else None,
)
def test_faults_have_the_providers_shape(fault: Fault, status: int, code: int, domain: str):
    outgoing = checked(DIALECT.fault(fault, None))
    assert problem(outgoing)[:2] == (status, code)
    assert said(outgoing)["errors"][0]["domain"].endswith("." + domain)
    assert ("retry-after" in outgoing.headers) == (fault is Fault.UNAVAILABLE)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/v1/transactions", 405),
        ("GET", "/transactions/1", 404),
        ("GET", "/api/v1/transactions/1/refund", 405),
        ("DELETE", "/api/v1/transactions/1", 405),
    ],
)
def test_paths_that_are_not_served(method: str, path: str, status: int):
    assert checked(table().call(method, path)).status == status


# --- the provider's own examples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.json")), ids=lambda file: file.stem)
def test_a_documented_request_gets_the_documented_answer(file: Path):
    sample = json.loads(file.read_text(encoding="utf-8"))
    request, response = sample["request"], sample["response"]
    world = table()
    payment = world.pay(250_00, "USD", dialect_data={"merchantReference": "order-1001"})
    outgoing = checked(answer_to(world, request, payment.dialect_id))
    body = said(outgoing)
    assert outgoing.status == response["status"]
    assert response["values"].items() <= body.items()
    kinds = {"string": str, "object": dict, "integer": int, "number": int, "boolean": bool}
    members = response.get("members", {})
    assert tuple(members) in ((), tuple(PAGE))
    assert tuple(body)[: len(members)] == tuple(members)
    for name, kind in members.items():
        assert (body[name] is None and name in OPTIONAL) or type(body[name]) is kinds[kind], name


def answer_to(world: Table, request: dict[str, Any], number: str) -> Outgoing:
    path = request["path"].replace("{transactionId}", number)
    incoming = Incoming(method=request["method"], path=path, headers=request["headers"])
    if "authorization" in request["headers"] and DIALECT.presented(incoming) is None:
        return DIALECT.fault(Fault.UNAUTHENTICATED, incoming)
    if not request["body"]:
        return world.call(request["method"], path)
    if request["headers"]["content-type"] == "application/json":
        return world.call(request["method"], path, json.loads(request["body"], parse_float=Decimal))
    return world.call(request["method"], path, dict(parse_qsl(request["body"])), encoding="form")
