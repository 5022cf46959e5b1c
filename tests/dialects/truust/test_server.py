"""Truust as we serve it: a row for every documented rule and error of the refund call, and every form of an answer."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from itertools import combinations, repeat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moneyback.core.commands import Sighting
from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import ENDED, Event, Move, Refund, State, cell
from moneyback.core.refusals import Failing, Reason, in_precedence
from moneyback.dialect import (
    AskOrderRefund,
    AskRefund,
    Await,
    Fault,
    Incoming,
    Instant,
    ListPayments,
    NextNumber,
    Outgoing,
    Presented,
    RefundsOf,
    SeePayment,
)
from moneyback.dialects.truust import DIALECT, lists, schemas
from moneyback.dialects.truust.refunds import refund_payin, shared
from moneyback.dialects.truust.wire import (
    REFUND_SEEN,
    REFUND_SHOWN,
    WAIT_S,
    PayinStatus,
    RefundStatus,
    amount_text,
    order_number,
    payin_status,
)
from moneyback.dialects.truust.words import PRECEDENCE, WORDS, refused
from tests.dialects.driver import ROADS, STRANGER, Table, misfits, said, text

SAMPLES = Path(__file__).parents[3] / "moneyback" / "dialects" / "truust" / "samples"

# --- what the provider promises --------------------------------------------------------------------------------------

TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
TIME_OR_NULL = {"anyOf": [TIME, {"type": "null"}]}
TEXT_OR_NULL = {"type": ["string", "null"]}
PAYIN = {
    "id": {"type": "integer"},
    "self": {"type": "string", "pattern": r"^/2\.0/payins/\d+$"},
    "reference": TEXT_OR_NULL,
    "type": {"type": "string"},
    "subtype": TEXT_OR_NULL,
    "status": {"enum": ["CREATED", "AUTHORIZED", "CONFIRMED", "DENIED", "REFUNDED", "CANCELLED"]},
    "provider": {"type": "object"},
    "tag": TEXT_OR_NULL,
    "direct_link": TEXT_OR_NULL,
    "created_at": TIME,
    "confirmed_at": TIME_OR_NULL,
    "denied_at": TIME_OR_NULL,
    "connections": {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^/2\.0/\w+/\w+$"}},
}
REFUND = {
    "id": {"type": "integer"},
    "self": {"type": "string", "pattern": r"^/2\.0/refunds/\d+$"},
    "reference_id": TEXT_OR_NULL,
    "amount": {"type": "string", "pattern": r"^\d+(\.\d+)? (€|£|\$|[A-Z]{3})$"},
    "status": {"enum": ["CREATED", "CONFIRMED", "DENIED", "CANCELLED"]},
    "payin_id": {"type": "integer"},
    "wallet_id": {"type": ["integer", "null"]},
    "escrow_id": {"type": "integer"},
    "tag": TEXT_OR_NULL,
    "provider": {"type": ["object", "null"]},
    "metadata": {"type": ["object", "null"]},
    "created_at": TIME,
    "updated_at": TIME,
    "denied_at": TIME_OR_NULL,
    "connections": {"type": "object"},
}


def closed(members: Mapping[str, Any]) -> dict[str, Any]:
    """An object with all of these members and no others."""
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def both(members: Mapping[str, Any]) -> dict[str, Any]:
    """The object bare, and once more beneath `data`."""
    return closed({**members, "data": closed(members)})


def paginator(members: Mapping[str, Any]) -> dict[str, Any]:
    number, or_null = {"type": "integer", "minimum": 0}, {"type": ["integer", "null"]}
    counted = dict.fromkeys(("current_page", "last_page", "per_page", "total"), number)
    return closed({**counted, "from": or_null, "to": or_null, "data": {"type": "array", "items": closed(members)}})


MESSAGE = closed({"message": {"type": "string", "minLength": 1}})
SENTENCES = {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}
ERRORS = closed(
    {
        "message": {"const": "The given data was invalid."},
        "errors": {"type": "object", "minProperties": 1, "additionalProperties": SENTENCES},
    }
)


def checked(outgoing: Outgoing, promised: Mapping[str, Any]) -> Outgoing:
    """Every answer of every test satisfies what the provider promises of it."""
    if outgoing.status == 422:
        promised = ERRORS
    elif outgoing.status != 200:
        promised = MESSAGE
    assert misfits(promised, outgoing) == []
    return outgoing


# --- arranging -------------------------------------------------------------------------------------------------------


class World(Table):
    """A Truust account whose refunds succeed unless a test says otherwise."""

    def __init__(self, **options: Any) -> None:
        super().__init__(DIALECT, **options)
        self.outcome = "succeeded"

    def payin(self, amount: int = 100_00, currency: str = "EUR", **fields: Any) -> Payment:
        return self.pay(amount, currency, **fields)

    def refund(self, payment: Payment, body: Any = None, encoding: str | None = None) -> Outgoing:
        path = f"/2.0/payins/{payment.dialect_id}/refund"
        return checked(self.call("POST", path, body, encoding=encoding), both(PAYIN))

    def see_payin(self, payment: Payment) -> dict[str, Any]:
        return said(self.read(f"/2.0/payins/{payment.dialect_id}", both(PAYIN)))["data"]

    def see_refund(self, refund: Refund) -> dict[str, Any]:
        return said(self.read(f"/2.0/refunds/{refund.dialect_id}", both(REFUND)))["data"]

    def listed(self, what: str, **query: Any) -> dict[str, Any]:
        members = {"payins": PAYIN, "refunds": REFUND}[what]
        path = f"/2.0/{what}"
        pairs = {name: str(value) for name, value in query.items()}
        return said(checked(self.call("GET", path, query=pairs), paginator(members)))

    def read(self, path: str, promised: Mapping[str, Any]) -> Outgoing:
        return checked(self.call("GET", path), promised)


def errors(outgoing: Outgoing) -> Any:
    """The sentences by field of a 422."""
    assert outgoing.status == 422, text(outgoing)
    return said(outgoing)["errors"]


def wrong_field(outgoing: Outgoing) -> str:
    (field,) = errors(outgoing)
    return str(field)


def status_of(outgoing: Outgoing) -> str:
    """A payin's status where there is one, else the HTTP status."""
    return said(outgoing)["status"] if outgoing.status == 200 else str(outgoing.status)


def account(world: World, number: int = 7) -> int:
    """A bank account of the caller."""
    world.documents["bankaccount", str(number)] = {"id": number, "uuid": str(UUID(int=number)), "type": "IBAN"}
    return number


# --- the answer to a refund ------------------------------------------------------------------------------------------


def test_a_refund_is_answered_with_the_payin_and_names_its_record():
    world = World()
    payment = world.payin(250_00, order="77", dialect_data={"tag": "mine"})
    body = said(world.refund(payment, {"amount": 2, "multipayin": 0}))
    number, made = int(payment.dialect_id), world.refunds[0].dialect_id
    expected = {
        "id": number,
        "self": f"/2.0/payins/{number}",
        "reference": payment.reference,
        "type": "REDSYS_V2",
        "subtype": None,
        "status": "CONFIRMED",
        "provider": {"Ds_Amount": "25000", "Ds_Currency": "978", "Ds_Order": str(number), "Ds_Response": "0000"},
        "tag": "mine",
        "direct_link": None,
        "created_at": "2026-03-02T09:30:00Z",
        "confirmed_at": "2026-03-02T09:30:00Z",
        "denied_at": None,
        "connections": {"order": "/2.0/orders/77", "refund": f"/2.0/refunds/{made}"},
    }
    assert body == {**expected, "data": expected}
    assert tuple(body) == (*PAYIN, "data")
    assert tuple(body["data"]) == tuple(PAYIN)


def test_the_record_of_a_refund():
    world = World()
    payment = world.payin(250_00, order="77")
    world.refund(payment, {"amount": 150, "tag": "return-7", "metadata": {"ticket": 7, "weight": Decimal("1.50")}})
    refund = world.refunds[0]
    body = world.see_refund(refund)
    assert tuple(body) == tuple(REFUND)
    assert body == {
        "id": int(refund.dialect_id),
        "self": f"/2.0/refunds/{refund.dialect_id}",
        "reference_id": refund.provider_id,
        "amount": "150.00 €",
        "status": "CONFIRMED",
        "payin_id": int(payment.dialect_id),
        "wallet_id": None,
        "escrow_id": 77,
        "tag": "return-7",
        "provider": None,
        "metadata": {"ticket": 7, "weight": Decimal("1.50")},
        "created_at": "2026-03-02T09:30:00Z",
        "updated_at": "2026-03-02T09:30:00Z",
        "denied_at": None,
        "connections": {"payin": f"/2.0/payins/{payment.dialect_id}", "order": "/2.0/orders/77"},
    }
    assert b'"weight":1.50' in text(world.call("GET", f"/2.0/refunds/{refund.dialect_id}"))


def test_what_the_engine_is_asked():
    world = World()
    payment = world.payin()
    world.refund(payment, {"amount": "1.00", "tag": "t", "metadata": {"a": [1]}, "bankaccount_id": 9})
    asked = next(ask for ask in world.asks if isinstance(ask, AskRefund))
    assert (asked.asked.payer, asked.reference, asked.distinct, asked.metadata) == (100, "t", "t", {"a": [1]})
    assert asked.destination is None
    assert [ask.seconds for ask in world.asks if isinstance(ask, Await)] == [WAIT_S] == [10]


def test_the_payin_is_confirmed_until_all_of_it_has_been_given_back():
    world = World()
    payment = world.payin(100_00)
    assert status_of(world.refund(payment, {"amount": 30})) == "CONFIRMED"
    assert status_of(world.refund(payment, {"amount": Decimal("69.99")})) == "CONFIRMED"
    assert status_of(world.refund(payment, {"amount": Decimal("0.01")})) == "REFUNDED"
    assert world.see_payin(payment)["confirmed_at"] is not None


def test_a_read_names_the_newest_refund_and_an_answer_its_own():
    world = World()
    payment = world.payin(100_00)
    assert "refund" not in world.see_payin(payment)["connections"]
    first = said(world.refund(payment, {"amount": 30}))["connections"]["refund"]
    second = said(world.refund(payment, {"amount": 30}))["connections"]["refund"]
    assert first != second
    assert world.see_payin(payment)["connections"]["refund"] == second


def test_a_refund_made_natively_counts_and_has_no_record_here():
    world = World()
    payment = world.payin(100_00)
    world.refund(payment, {"amount": 30})
    ours = world.refunds[0]
    world.write(ours, dialect="native", dialect_id="f" * 32)
    assert "refund" not in world.see_payin(payment)["connections"]
    assert world.listed("refunds", search="payin_id", query=payment.dialect_id)["total"] == 0


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_every_state_of_a_refund_has_a_status(state: State):
    world = World()
    payment = world.payin(100_00)
    world.outcome = "ready"
    world.refund(payment, {"amount": 30})
    refund = world.bring(world.refunds[0], state.value)
    body = world.see_refund(refund)
    expected = {
        State.SUCCEEDED: "CONFIRMED",
        State.RETURNED: "DENIED",
        State.FAILED: "DENIED",
        State.CANCELED: "CANCELLED",
    }.get(state, "CREATED")
    assert body["status"] == expected
    assert (body["denied_at"] is not None) == (expected == "DENIED")
    assert (state in ENDED) == (expected != "CREATED")
    assert world.see_payin(payment)["status"] == "CONFIRMED"


@pytest.mark.parametrize("state", ROADS, ids=lambda state: state.value)
def test_whatever_the_rail_does_the_payin_is_the_answer(state: State):
    world = World()
    world.outcome = state.value
    payment = world.payin(100_00)
    outgoing = world.refund(payment)
    assert status_of(outgoing) == ("REFUNDED" if state is State.SUCCEEDED else "CONFIRMED")
    assert said(outgoing)["connections"]["refund"] == f"/2.0/refunds/{world.refunds[0].dialect_id}"


def test_the_statuses_are_total_both_ways():
    assert set(REFUND_SHOWN) == set(State)
    assert set(REFUND_SEEN) == set(RefundStatus)
    for status, event in REFUND_SEEN.items():
        move = cell(State.SENDING, event)
        assert isinstance(move, Move)
        expected = RefundStatus.DENIED if event is Event.PROVIDER_CANCELED else status
        assert REFUND_SHOWN[move.to] is expected


def test_a_denied_refund_gives_its_money_back_and_says_why():
    world = World()
    world.outcome = "failed:0190"
    payment = world.payin(100_00)
    world.refund(payment, {"amount": 30})
    body = world.see_refund(world.refunds[0])
    assert (body["status"], body["provider"]) == ("DENIED", {"code": "0190"})
    assert world.payment(payment).refundable == 100_00


@pytest.mark.parametrize("reader", ["bare", "data", "both", None, "something else"])
def test_the_envelope_is_the_accounts_choice(reader: str | None):
    world = World(profile={"envelope": reader} if reader else None)
    payment = world.payin()
    path = f"/2.0/payins/{payment.dialect_id}"
    promised = {"bare": closed(PAYIN), "data": closed({"data": closed(PAYIN)})}.get(reader or "", both(PAYIN))
    for method, at, body in (("POST", path + "/refund", {"amount": 1}), ("GET", path, None)):
        outgoing = checked(world.call(method, at, body), promised)
        assert misfits(schemas.PAYIN_ANSWER, outgoing) == []
    refund = world.read(f"/2.0/refunds/{world.refunds[0].dialect_id}", {})
    assert misfits(schemas.REFUND_ANSWER, refund) == []


def test_an_account_may_ask_for_a_byte_order_mark():
    world = World(profile={"bom": True})
    payment = world.payin()
    for outgoing in (world.call("GET", f"/2.0/payins/{payment.dialect_id}"), world.call("GET", "/2.0/payins")):
        assert text(outgoing).startswith(b"\xef\xbb\xbf{")
        json.loads(text(outgoing).decode("utf-8-sig"))


# --- amounts ---------------------------------------------------------------------------------------------------------

NOT_A_NUMBER = "The amount must be a number."
TOO_PRECISE = "The amount may not have more than 2 decimal places."
OUT_OF_RANGE = "The amount is out of range."
NEGATIVE = "The amount must be at least 0."


@pytest.mark.parametrize(
    ("amount", "given"),
    [
        ("10", "10.00 €"),
        (10, "10.00 €"),
        (Decimal("10.0"), "10.00 €"),
        ("10.0", "10.00 €"),
        ("10.00", "10.00 €"),
        (Decimal("10.00"), "10.00 €"),
        (Decimal("10.000"), "10.00 €"),
        (Decimal("1e2"), "100.00 €"),
        ("1e2", "100.00 €"),
        (" 10 ", "10.00 €"),
        ("+10", "10.00 €"),
        ("0.01", "0.01 €"),
        (Decimal("23.77"), "23.77 €"),
        (1000, "1000.00 €"),
    ],
)
def test_amounts_that_are_taken(amount: Any, given: str):
    world = World()
    assert world.refund(world.payin(1000_00), {"amount": amount}).status == 200
    assert world.see_refund(world.refunds[0])["amount"] == given


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        (Decimal("10.005"), TOO_PRECISE),
        ("10.005", TOO_PRECISE),
        ("10.000", TOO_PRECISE),
        ("1e-3", TOO_PRECISE),
        (-1, NEGATIVE),
        ("-1", NEGATIVE),
        (Decimal("-0.01"), NEGATIVE),
        ("", NOT_A_NUMBER),
        (None, NOT_A_NUMBER),
        ([], NOT_A_NUMBER),
        ({}, NOT_A_NUMBER),
        (True, NOT_A_NUMBER),
        (False, NOT_A_NUMBER),
        ("ten", NOT_A_NUMBER),
        ("10,00", NOT_A_NUMBER),
        ("NaN", NOT_A_NUMBER),
        ("0x10", NOT_A_NUMBER),
        ("1e99", OUT_OF_RANGE),
        (2**63 - 1, OUT_OF_RANGE),
        ("1000.01", "The amount may not be greater than 1000.00."),
        (Decimal("1e15"), "The amount may not be greater than 1000.00."),
    ],
)
def test_amounts_that_are_refused(amount: Any, sentence: str):
    world = World()
    payment = world.payin(1000_00)
    assert errors(world.refund(payment, {"amount": amount})) == {"amount": [sentence]}
    assert world.refunds == ()
    assert world.payment(payment) == payment


def test_without_an_amount_what_remains_is_refunded():
    world = World()
    payment = world.payin(100_00)
    world.refund(payment, {"amount": 30})
    assert status_of(world.refund(payment)) == "REFUNDED"
    assert [refund.payer for refund in world.refunds] == [30_00, 70_00]
    assert errors(world.refund(payment)) == {"payin": ["The payin has nothing left to refund."]}


@pytest.mark.parametrize("amount", [0, "0", Decimal("0.00"), "0.00", "-0"])
@pytest.mark.parametrize("more", [{}, {"multipayin": 1}])
def test_nothing_moves_nothing(amount: Any, more: dict[str, Any]):
    world = World()
    payment = world.payin(order="77")
    assert status_of(world.refund(payment, {"amount": amount, **more})) == "CONFIRMED"
    assert world.refunds == ()
    assert world.payment(payment) == payment


@pytest.mark.parametrize(
    ("code", "amount", "expected"),
    [
        ("JPY", 1000, "1000 JPY"),
        ("JPY", "1000", "1000 JPY"),
        ("JPY", Decimal("1000.0"), "1000 JPY"),
        ("JPY", "10.5", "The amount may not have more than 0 decimal places."),
        ("KWD", "1.234", "1.234 KWD"),
        ("KWD", "1.2345", "The amount may not have more than 3 decimal places."),
        ("GBP", 1, "1.00 £"),
        ("USD", 1, "1.00 $"),
        ("MXN", 1, "1.00 MXN"),
    ],
)
def test_every_currency_has_its_own_decimals(code: str, amount: Any, expected: str):
    world = World()
    outgoing = world.refund(world.payin(1_000_000, code), {"amount": amount})
    if outgoing.status == 200:
        assert world.see_refund(world.refunds[0])["amount"] == expected
    else:
        assert errors(outgoing) == {"amount": [expected]}


ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63) + 1, 2**63 - 1),
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12),
        st.text(),
    ),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(ANYTHING)
def test_any_amount_is_given_back_exactly_or_refused(amount: Any):
    world = World()
    payment = world.payin(1000_00)
    outgoing = world.refund(payment, {"amount": amount})
    if outgoing.status == 422:
        assert world.refunds == ()
    else:
        assert world.payment(payment).refunded == Decimal(str(amount).strip()).scaleb(2)


@given(
    st.dictionaries(
        st.sampled_from(
            ["amount", "multipayin", "bankaccount_id", "tag", "metadata", "metadata[a]", "metadata[]", "x"]
        ),
        ANYTHING,
    ),
    st.sampled_from(["BANKWIRE", "REDSYS_V2", "WALLET"]),
)
def test_any_body_is_answered(body: dict[str, Any], method: str):
    world = World()
    payment = world.payin(1000_00, order="77", method=method)
    assert world.refund(payment, body).status in (200, 422)
    assert world.payment(payment).spent <= 1000_00


# --- the other fields ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"multipayin": 2}, {"multipayin": ["The selected multipayin is invalid."]}),
        ({"multipayin": -1}, {"multipayin": ["The selected multipayin is invalid."]}),
        ({"multipayin": True}, {"multipayin": ["The selected multipayin is invalid."]}),
        ({"multipayin": "yes"}, {"multipayin": ["The selected multipayin is invalid."]}),
        ({"multipayin": [1]}, {"multipayin": ["The selected multipayin is invalid."]}),
        ({"bankaccount_id": "one"}, {"bankaccount_id": ["The bankaccount id must be an integer."]}),
        ({"bankaccount_id": Decimal("1.5")}, {"bankaccount_id": ["The bankaccount id must be an integer."]}),
        ({"bankaccount_id": True}, {"bankaccount_id": ["The bankaccount id must be an integer."]}),
        ({"tag": 7}, {"tag": ["The tag must be a string."]}),
        ({"tag": "x" * 101}, {"tag": ["The tag may not be longer than 100 characters."]}),
        ({"metadata": "x"}, {"metadata": ["The metadata must be an object."]}),
        ({"metadata": []}, {"metadata": ["The metadata must be an object."]}),
        ({"metadata": 1}, {"metadata": ["The metadata must be an object."]}),
        (
            {"amount": -1, "tag": 7, "multipayin": 3},
            {
                "amount": [NEGATIVE],
                "multipayin": ["The selected multipayin is invalid."],
                "tag": ["The tag must be a string."],
            },
        ),
    ],
)
def test_fields_that_are_wrong_are_named_all_at_once(fields: dict[str, Any], wrong: Any):
    world = World()
    assert errors(world.refund(world.payin(), fields)) == wrong
    assert world.refunds == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"multipayin": 0},
        {"multipayin": "0"},
        {"multipayin": Decimal("1.0")},
        {"multipayin": ""},
        {"multipayin": None},
        {"bankaccount_id": 1},
        {"bankaccount_id": "12"},
        {"bankaccount_id": Decimal("12.0")},
        {"bankaccount_id": None},
        {"bankaccount_id": ""},
        {"tag": "x" * 100},
        {"tag": ""},
        {"tag": None},
        {"metadata": {}},
        {"metadata": None},
        {"unheard_of": 1},
    ],
)
def test_fields_that_are_right_or_left_out(fields: dict[str, Any]):
    world = World()
    assert world.refund(world.payin(), {"amount": 1, **fields}).status == 200
    assert world.see_refund(world.refunds[0])["tag"] == (fields.get("tag") or None)


def test_an_empty_list_is_an_empty_body():
    """As PHP writes one; it means what no body means, on every call."""
    world = World()
    assert said(world.refund(world.payin(), []))["status"] == PayinStatus.REFUNDED


@pytest.mark.parametrize("body", [[1], [[]], [{}], "amount=1", 1, True])
def test_a_body_that_is_no_object(body: Any):
    world = World()
    assert errors(world.refund(world.payin(), body)) == {"body": ["The body must be an object."]}


@pytest.mark.parametrize("encoding", ["form", "multipart"])
def test_forms_say_the_same(encoding: str):
    world = World()
    fields = {
        "amount": "2.50",
        "multipayin": "0",
        "tag": "return-7",
        "metadata[ticket]": "T-7",
        "metadata[who][name]": "Anna",
        "metadata[lines][]": "b",
    }
    assert status_of(world.refund(world.payin(), fields, encoding)) == "CONFIRMED"
    body = world.see_refund(world.refunds[0])
    assert (body["amount"], body["tag"]) == ("2.50 €", "return-7")
    assert body["metadata"] == {"ticket": "T-7", "who": {"name": "Anna"}, "lines": {"0": "b"}}


@pytest.mark.parametrize(
    ("fields", "metadata"),
    [
        ({"metadata[]": "a", "metadata[1]": "b"}, {"0": "a", "1": "b"}),
        ({"metadata[a]": "x", "metadata[a][b]": "y"}, {"a": {"b": "y"}}),
        ({"metadata[a][b]": "y", "metadata[a]": "x"}, {"a": "x"}),
        ({"metadata[a": "x", "metadata]": "y"}, None),
    ],
)
def test_brackets_that_collide_or_are_none(fields: dict[str, str], metadata: Any):
    world = World()
    world.refund(world.payin(), fields, "form")
    assert world.see_refund(world.refunds[0])["metadata"] == metadata


@pytest.mark.parametrize(
    "fields", [{"metadata": "x"}, {"metadata": "x", "metadata[a]": "y"}, {"metadata[a]" + "[b]" * 8: "x"}]
)
def test_metadata_of_a_form_that_is_refused(fields: dict[str, str]):
    world = World()
    assert wrong_field(world.refund(world.payin(), fields, "form")) == "metadata"


def test_brackets_mean_nothing_in_json():
    world = World()
    world.refund(world.payin(), {"metadata[a]": "x"})
    assert world.see_refund(world.refunds[0])["metadata"] is None


# --- bank wires ------------------------------------------------------------------------------------------------------

REQUIRED = {"bankaccount_id": ["The bankaccount id field is required when the payin is a bank wire."]}
UNKNOWN = {"bankaccount_id": ["The selected bankaccount id is invalid."]}


@pytest.mark.parametrize("method", ["BANKWIRE", "bankwire"])
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, REQUIRED),
        ({"amount": 1}, REQUIRED),
        ({"bankaccount_id": None}, REQUIRED),
        ({"bankaccount_id": ""}, REQUIRED),
        ({"bankaccount_id": 8}, UNKNOWN),
        ({"bankaccount_id": -7}, UNKNOWN),
        ({"bankaccount_id": 10**18}, UNKNOWN),
    ],
)
def test_a_bank_wire_needs_an_account_of_ours(method: str, fields: dict[str, Any], wrong: Any):
    world = World()
    account(world, 7)
    assert errors(world.refund(world.payin(method=method), fields)) == wrong
    assert world.refunds == ()


@pytest.mark.parametrize("number", [7, "7", Decimal("7.0")])
def test_a_bank_wire_goes_to_the_account(number: Any):
    world = World()
    account(world, 7)
    assert status_of(world.refund(world.payin(method="BANKWIRE"), {"bankaccount_id": number})) == "REFUNDED"
    assert world.refunds[0].destination == "7"


def test_other_payins_ignore_the_account():
    world = World()
    assert status_of(world.refund(world.payin(), {"bankaccount_id": 12345})) == "REFUNDED"
    assert world.refunds[0].destination is None


def test_a_bank_wire_is_created_and_confirmed_later():
    world = World()
    world.outcome = "pending"
    payment = world.payin(method="BANKWIRE")
    assert status_of(world.refund(payment, {"bankaccount_id": account(world)})) == "CONFIRMED"
    assert world.see_refund(world.refunds[0])["status"] == "CREATED"
    world.bring(world.refunds[0], "succeeded")
    assert world.see_refund(world.refunds[0])["status"] == "CONFIRMED"
    assert world.see_payin(payment)["status"] == "REFUNDED"


def test_a_bank_account_is_read_by_its_uuid():
    assert DIALECT.samples is not None
    world = World()
    for each in [each for each in DIALECT.samples.documents if each.kind == "bankaccount"]:
        world.answer(each)
        found = said(world.call("GET", f"/2.0/bankaccounts/{each.data['uuid'].upper()}"))
        assert found["data"] == each.data
        assert (found["id"], str(found["id"])) == (each.data["id"], each.id)
        assert misfits(schemas.BANK_ACCOUNT_ANSWER, world.call("GET", f"/2.0/bankaccounts/{each.data['uuid']}")) == []
    assert world.read("/2.0/bankaccounts/00000000-0000-4000-8000-000000000000", {}).status == 404


# --- payins that cannot be refunded ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "shown", "words"),
    [
        ("processing", "CREATED", "not paid yet"),
        ("authorized", "AUTHORIZED", "cancelpreauth"),
        ("failed", "DENIED", "was not paid"),
    ],
)
@pytest.mark.parametrize("amount", [None, 1])
def test_only_a_confirmed_payin_is_refunded(status: str, shown: str, words: str, amount: int | None):
    world = World()
    payment = world.payin(status=status)
    assert world.see_payin(payment)["status"] == shown
    wrong = errors(world.refund(payment, {} if amount is None else {"amount": amount}))
    assert list(wrong) == ["payin"]
    assert words in wrong["payin"][0]
    assert world.refunds == ()


def test_a_refunded_payin_is_not_refunded_again():
    world = World()
    payment = world.payin()
    world.refund(payment)
    for body in ({}, {"amount": 1}, {"amount": 1000}):
        assert wrong_field(world.refund(payment, body)) == "payin"
    assert len(world.refunds) == 1


@pytest.mark.parametrize("method", ["SIBS_MULTIBANCO", "DOCOMO", "INESPAY", "inespay"])
def test_methods_without_refunds_are_forbidden(method: str):
    world = World()
    outgoing = world.refund(world.payin(method=method), {"amount": 1000})
    assert (outgoing.status, said(outgoing)["message"]) == (403, "Refunds are not supported for this payment method.")
    assert world.refunds == ()


@pytest.mark.parametrize(
    ("method", "refundable", "status"),
    [("INESPAY", True, 200), ("REDSYS_V2", False, 403), ("SOMETHING_NEW", None, 200), (None, None, 200)],
)
def test_a_payment_may_say_whether_its_method_can_be_refunded(method: str, refundable: bool | None, status: int):
    world = World()
    assert world.refund(world.payin(method=method, dialect_data={"refundable": refundable})).status == status


def test_what_is_under_way_or_was_given_back_elsewhere_bounds_an_amount():
    world = World()
    payment = world.payin(100_00)
    world.see(payment, "external", 10_00)
    world.outcome = "pending"
    world.refund(payment, {"amount": 30})
    world.outcome = "failed"
    world.refund(payment, {"amount": 20})
    assert errors(world.refund(payment, {"amount": 61})) == {"amount": ["The amount may not be greater than 60.00."]}
    world.outcome = "succeeded"
    assert status_of(world.refund(payment, {"amount": 60})) == "CONFIRMED"
    world.bring(world.refunds[0], "succeeded")
    assert world.see_payin(payment)["status"] == "REFUNDED"


@pytest.mark.parametrize("number", ["1", "0", "01000000001", "abc", "9" * 40, "-1", "%00"])
def test_an_unknown_payin_is_not_found_whatever_is_asked(number: str):
    world = World()
    world.payin()
    for method, path, body in (
        ("POST", f"/2.0/payins/{number}/refund", {"amount": "not even looked at"}),
        ("GET", f"/2.0/payins/{number}", None),
        ("GET", f"/2.0/refunds/{number}", None),
    ):
        outgoing = checked(world.call(method, path, body), {})
        assert (outgoing.status, said(outgoing)) == (404, {"message": "Not found"})


def test_what_is_anothers_is_not_there():
    world = World()
    foreign = world.payin(merchant=STRANGER)
    assert world.refund(foreign).status == 404
    assert world.read(f"/2.0/payins/{foreign.dialect_id}", {}).status == 404
    assert world.listed("payins")["total"] == 0
    assert world.refunds == ()


def test_paths_are_found_however_they_are_written():
    world = World()
    payment = world.payin()
    for path in (f"//2.0//payins/{payment.dialect_id}", f"/2.0/payins/{payment.dialect_id}/"):
        assert world.call("GET", path).status == 200


def test_a_refund_is_found_by_the_providers_id_too():
    world = World()
    world.refund(world.payin())
    world.write(world.refunds[0], provider_id="gw-77")
    body = said(world.read("/2.0/refunds/gw-77", both(REFUND)))
    assert (body["id"], body["reference_id"]) == (int(world.refunds[0].dialect_id), "gw-77")


# --- precedence ------------------------------------------------------------------------------------------------------


def test_every_reason_has_words():
    assert set(WORDS) == set(Reason)
    assert len(PRECEDENCE) == len(Reason)
    assert DIALECT.precedence == PRECEDENCE
    assert {words.status for words in WORDS.values()} == {403, 404, 422}
    assert all(bool(words.field) == (words.status == 422) for words in WORDS.values())


FIGURES = {"minimum": 100, "refundable": 250}


@pytest.mark.parametrize(("earlier", "later"), list(combinations(PRECEDENCE, 2)))
def test_of_two_reasons_the_earlier_is_said(earlier: Reason, later: Reason):
    refusal = in_precedence([Failing(later, FIGURES), Failing(earlier, FIGURES)], DIALECT.precedence)
    assert refusal is not None
    outgoing = checked(refused(refusal, "EUR"), {})
    words = WORDS[earlier]
    sentence = words.sentence.format(minimum="1.00", refundable="2.50")
    assert outgoing.status == words.status
    assert sentence in (said(outgoing)["message"], *said(outgoing).get("errors", {}).get(words.field, []))


SIMULTANEOUS: list[tuple[str, dict[str, Any], Any, str]] = [
    ("field before method", {"method": "INESPAY"}, {"amount": -1}, "amount"),
    ("method before state", {"method": "INESPAY", "status": "processing"}, {}, "403"),
    ("method before amount", {"method": "INESPAY"}, {"amount": 1000}, "403"),
    ("account before state", {"method": "BANKWIRE", "status": "processing"}, {}, "bankaccount_id"),
    ("account before amount", {"method": "BANKWIRE"}, {"amount": 1000}, "bankaccount_id"),
    (
        "unknown account before state",
        {"method": "BANKWIRE", "status": "failed"},
        {"bankaccount_id": 8},
        "bankaccount_id",
    ),
    ("state before amount", {"status": "authorized"}, {"amount": 1000}, "payin"),
]


@pytest.mark.parametrize(("made", "body", "expected"), [pytest.param(*row[1:], id=row[0]) for row in SIMULTANEOUS])
def test_simultaneous_reasons(made: dict[str, Any], body: Any, expected: str):
    world = World()
    outgoing = world.refund(world.payin(**made), body)
    assert (wrong_field(outgoing) if outgoing.status == 422 else str(outgoing.status)) == expected


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_a_refusal_of_the_engine_admits_nothing(reason: Reason):
    world = World()
    world.dialect = replace(DIALECT, check=lambda _payment, _amounts, _command: [Failing(reason, FIGURES)])
    world._terms = replace(world._terms, check=world.dialect.check)
    payment = world.payin()
    assert world.refund(payment, {"amount": 1}).status == WORDS[reason].status
    assert world.payment(payment) == payment


# --- all payins of an order ------------------------------------------------------------------------------------------


def order(world: World, *amounts: int, **fields: Any) -> tuple[Payment, ...]:
    return tuple(world.payin(amount, order="77", **fields) for amount in amounts)


def given_back(world: World, payins: tuple[Payment, ...]) -> list[int]:
    return [world.payment(each).refunded for each in payins]


@pytest.mark.parametrize("flag", [1, "1", Decimal("1.0")])
def test_all_payins_of_an_order_are_refunded_in_full(flag: Any):
    world = World()
    payins = order(world, 100_00, 50_00)
    stranger = world.payin(10_00, order="78")
    body = said(world.refund(payins[0], {"multipayin": flag, "tag": "all"}))
    assert (body["id"], body["status"]) == (int(payins[0].dialect_id), "REFUNDED")
    assert given_back(world, payins) == [100_00, 50_00]
    assert world.payment(stranger).untouched
    records = world.listed("refunds", search="tag", query="all", order="id", sort="asc")["data"]
    assert [each["payin_id"] for each in records] == [int(each.dialect_id) for each in payins]
    assert {each["escrow_id"] for each in records} == {77}
    assert body["connections"]["refund"] == records[0]["self"]


def test_without_the_flag_only_the_payin_of_the_path_is_refunded():
    world = World()
    payins = order(world, 100_00, 50_00)
    world.refund(payins[1], {"multipayin": 0})
    assert given_back(world, payins) == [0, 50_00]


def test_a_payin_without_an_order_is_all_of_its_order():
    world = World()
    payment = world.payin(100_00)
    world.payin(50_00)
    assert status_of(world.refund(payment, {"multipayin": 1})) == "REFUNDED"
    assert [refund.payment for refund in world.refunds] == [payment.id]


@pytest.mark.parametrize(
    ("of", "amount", "expected"),
    [
        (0, 30, [30_00, 0]),
        (0, 100, [100_00, 0]),
        (0, 120, [100_00, 20_00]),
        (1, 120, [70_00, 50_00]),
        (1, "150.00", [100_00, 50_00]),
        (1, Decimal("50.01"), [1, 50_00]),
    ],
)
def test_a_total_comes_from_the_payin_of_the_path_first(of: int, amount: Any, expected: list[int]):
    world = World()
    payins = order(world, 100_00, 50_00)
    assert world.refund(payins[of], {"multipayin": 1, "amount": amount}).status == 200
    assert given_back(world, payins) == expected


def test_a_total_beyond_the_order_is_refused():
    world = World()
    payins = order(world, 100_00, 50_00)
    world.refund(payins[0], {"amount": 25})
    wrong = errors(world.refund(payins[0], {"multipayin": 1, "amount": Decimal("125.01")}))
    assert wrong == {"amount": ["The amount may not be greater than 125.00."]}
    assert given_back(world, payins) == [25_00, 0]


def test_payins_that_are_not_confirmed_take_no_part():
    world = World()
    payins = order(world, 100_00)
    others = (*order(world, 50_00, status="failed"), *order(world, 50_00, status="processing"))
    for each in (*others, *payins):
        assert world.refund(each, {"multipayin": 1, "amount": 10}).status == 200
    assert given_back(world, payins) == [30_00]


def test_the_payin_of_the_path_is_the_answer_even_if_it_takes_no_part():
    world = World()
    denied, confirmed = *order(world, 50_00, status="failed"), *order(world, 100_00)
    body = said(world.refund(denied, {"multipayin": 1}))
    assert (body["id"], body["status"], "refund" in body["connections"]) == (int(denied.dialect_id), "DENIED", False)
    assert given_back(world, (confirmed,)) == [100_00]


@pytest.mark.parametrize(("status", "words"), [("failed", "not paid"), ("authorized", "cancelpreauth")])
def test_where_no_payin_is_confirmed_the_payin_of_the_path_says_why(status: str, words: str):
    world = World()
    payins = order(world, 100_00, 50_00, status=status)
    assert words in errors(world.refund(payins[1], {"multipayin": 1}))["payin"][0]


def test_an_order_that_was_refunded_has_nothing_left():
    world = World()
    payins = order(world, 100_00, 50_00)
    world.refund(payins[0], {"multipayin": 1})
    assert wrong_field(world.refund(payins[0], {"multipayin": 1})) == "payin"
    assert len(world.refunds) == 2


@pytest.mark.parametrize(
    ("method", "body", "expected"),
    [
        ("INESPAY", {}, "403"),
        ("INESPAY", {"amount": 120}, "403"),
        ("INESPAY", {"amount": 100}, "CONFIRMED"),  # is not reached
        ("BANKWIRE", {}, "bankaccount_id"),
        ("BANKWIRE", {"bankaccount_id": 8}, "bankaccount_id"),
        ("BANKWIRE", {"bankaccount_id": 7}, "REFUNDED"),
    ],
)
def test_one_payin_that_cannot_be_refunded_refuses_all(method: str, body: dict[str, Any], expected: str):
    world = World()
    account(world, 7)
    payins = (*order(world, 100_00), *order(world, 50_00, method=method))
    outgoing = world.refund(payins[0], {"multipayin": 1, **body})
    if expected in ("REFUNDED", "CONFIRMED"):
        assert outgoing.status == 200
        assert [refund.destination for refund in world.refunds] in ([None, "7"], [None])
        return
    assert (wrong_field(outgoing) if outgoing.status == 422 else str(outgoing.status)) == expected
    assert world.refunds == ()
    assert [world.payment(each) for each in payins] == list(payins)


def test_payins_in_two_currencies_are_not_refunded_together():
    world = World()
    payins = (*order(world, 100_00), world.payin(50_00, "GBP", order="77"))
    assert wrong_field(world.refund(payins[0], {"multipayin": 1})) == "multipayin"
    assert world.refunds == ()


def test_an_order_is_one_ask_that_leaves_the_numbers_to_whoever_answers_it():
    world = World()
    payins = order(world, 100_00, 50_00)
    world.refund(payins[1], {"multipayin": 1, "amount": 120})
    asked = next(ask for ask in world.asks if isinstance(ask, AskOrderRefund))
    assert (asked.order, [leg.payment.id for leg in asked.legs]) == ("77", [payins[1].id, payins[0].id])
    assert [leg.asked.payer for leg in asked.legs] == [50_00, 70_00]
    assert [ask for ask in world.asks if isinstance(ask, NextNumber)] == []
    assert [leg.dialect_id for leg in asked.legs] == [None, None]
    assert len({refund.dialect_id for refund in world.refunds}) == 2


def test_all_refunds_of_an_order_share_one_wait():
    world = World()
    world.outcome = "sending"
    payins = order(world, 100_00, 50_00)
    incoming = Incoming(
        method="POST", path="", arguments={"id": payins[0].dialect_id}, body={"multipayin": 1}, encoding="json"
    )
    conversation = refund_payin(incoming, world.caller)
    answer: Any = None
    waited: list[float] = []
    with pytest.raises(StopIteration):
        while True:
            ask = conversation.send(answer)
            answer = world.answer(ask)
            if isinstance(ask, Await):
                waited.append(ask.seconds)
                world.now += timedelta(seconds=4)
    assert waited == [10, 6]


def meddled(world: World, payment: Payment, body: Any, others: Iterator[int]) -> Outgoing:
    """A refund call; each time after it has read the payins and before they are locked, somebody refunds so much."""
    incoming = Incoming(method="POST", path="", arguments={"id": payment.dialect_id}, body=body, encoding="json")
    conversation = refund_payin(incoming, world.caller)
    answer: Any = None
    while True:
        try:
            ask = conversation.send(answer)
        except StopIteration as end:
            return checked(end.value, both(PAYIN))
        if isinstance(ask, AskOrderRefund) and (amount := next(others, None)):
            assert world.refund(payment, {"amount": amount}).status == 200
        answer = world.answer(ask)


def test_a_total_is_shared_out_anew_when_others_were_faster():
    world = World()
    payins = order(world, 100_00, 50_00)
    outgoing = meddled(world, payins[0], {"multipayin": 1, "amount": 110}, iter([90]))
    assert wrong_field(outgoing) == "amount"  # 10 + 50 are left
    assert given_back(world, payins) == [90_00, 0]
    outgoing = meddled(world, payins[0], {"multipayin": 1, "amount": 55}, iter([5]))
    assert outgoing.status == 200
    assert given_back(world, payins) == [100_00, 50_00]


def test_payins_that_never_stand_still_are_not_chased_for_ever():
    world = World()
    payins = order(world, 100_00, 50_00)
    outgoing = meddled(world, payins[0], {"multipayin": 1, "amount": 101}, repeat(1))
    assert wrong_field(outgoing) == "multipayin"
    assert given_back(world, payins) == [3_00, 0]


def test_some_payins_of_an_order_are_refunded_together():
    world = World()
    payins = order(world, 100_00, 50_00)
    order(world, 70_00, status="failed")
    assert world.refund(payins[0], {"multipayin": 1}).status == 200
    assert given_back(world, payins) == [100_00, 50_00]


def test_all_payins_of_a_long_order_are_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lists, "SCANNED_AT_ONCE", 2)
    world = World()
    payins = order(world, *range(100, 105))
    assert world.refund(payins[3], {"multipayin": 1}).status == 200
    assert given_back(world, payins) == [100, 101, 102, 103, 104]
    assert [ask.offset for ask in world.asks if isinstance(ask, ListPayments)] == [0, 2, 4]


@given(st.lists(st.integers(1, 500), min_size=1, max_size=6), st.data())
def test_a_total_is_shared_out_exactly(amounts: list[int], data: st.DataObject):
    world = World()
    payins = order(world, *amounts)
    path = data.draw(st.sampled_from(payins))
    amount = data.draw(st.integers(1, sum(amounts)))
    legs = shared(path, payins, amount)
    assert sum(part or 0 for _, part in legs) == amount
    assert all(part is not None and 0 < part <= payment.refundable for payment, part in legs)
    assert legs[0][0].id == path.id
    assert all(part == payment.refundable for payment, part in legs[:-1])


@pytest.mark.parametrize("flag", [0, 1])
def test_an_equal_request_is_joined_where_the_rail_says_so(flag: int):
    world = World(join_within=timedelta(seconds=120))
    world.outcome = "pending"
    payins = order(world, 100_00)
    answers = [said(world.refund(payins[0], {"amount": 10, "multipayin": flag, "tag": "a"})) for _ in range(2)]
    assert answers[0] == answers[1]
    world.refund(payins[0], {"amount": 10, "multipayin": flag, "tag": "b"})
    assert len(world.refunds) == 2


# --- the payin -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": "processing"}, {"status": "CREATED", "reference": None, "confirmed_at": None, "provider": {}}),
        ({"status": "authorized"}, {"status": "AUTHORIZED", "confirmed_at": None, "denied_at": None}),
        ({"status": "failed"}, {"status": "DENIED", "confirmed_at": None, "denied_at": "2026-03-02T09:30:00Z"}),
        (
            {"status": "failed", "dialect_data": {"failure_status": "CANCELLED"}},
            {"status": "CANCELLED", "confirmed_at": None, "denied_at": None},
        ),
        ({}, {"status": "CONFIRMED", "type": "REDSYS_V2", "direct_link": None, "tag": None, "subtype": None}),
        ({"method": "BANKWIRE"}, {"type": "BANKWIRE", "provider": {}}),
        (
            {"dialect_data": {"tag": "t", "reference": "gw-1", "subtype": "s", "provider": {"a": "b"}}},
            {"tag": "t", "reference": "gw-1", "subtype": "s", "provider": {"a": "b"}},
        ),
    ],
)
def test_a_payin_by_its_facts(fields: dict[str, Any], expected: dict[str, Any]):
    world = World()
    body = world.see_payin(world.payin(**fields))
    assert {name: body[name] for name in expected} == expected
    assert (body["direct_link"] is not None) == (body["status"] in ("CREATED", "AUTHORIZED"))


def test_a_payin_follows_its_payment():
    world = World()
    payment = world.payin(status="authorized")
    world.answer(SeePayment(payment=payment, sighting=Sighting(kind="captured", amount=100_00, reference="1")))
    assert world.see_payin(payment)["status"] == "CONFIRMED"
    world.see(payment, "external", 100_00)
    assert world.see_payin(payment)["status"] == "REFUNDED"


def test_the_link_leads_back_to_where_the_client_asked():
    world = World()
    payment = world.payin(status="processing")
    route = next(each for each in DIALECT.routes if (each.method, each.path) == ("GET", "/2.0/payins/{id}"))
    conversation = route.handle(
        Incoming(method="GET", path="", arguments={"id": payment.dialect_id}, base="http://127.0.0.1:8900/truust"),
        world.caller,
    )
    link = said(world.run(conversation))["direct_link"]
    assert re.fullmatch(r"http://127\.0\.0\.1:8900/truust/direct/[0-9a-f]{64}[0-9]{10}", link)


def test_a_payin_is_never_younger_than_its_confirmation():
    world = World()
    payment = world.payin()
    world.write(payment, captured_at=world.now - timedelta(days=3))
    body = world.see_payin(payment)
    assert (body["created_at"], body["confirmed_at"]) == ("2026-02-27T09:30:00Z", "2026-02-27T09:30:00Z")


def test_connections_name_the_card():
    world = World()
    body = world.see_payin(world.payin(dialect_data={"card": "9f2c"}, order="77"))
    assert body["connections"] == {"order": "/2.0/orders/77", "card": "/2.0/cards/9f2c"}


def test_a_wallet_payin_goes_back_to_its_wallet():
    world = World()
    for method, expected in (("WALLET", 4201), ("REDSYS_V2", None)):
        world.refund(world.payin(method=method, dialect_data={"wallet_id": 4201}))
        assert world.see_refund(world.refunds[-1])["wallet_id"] == expected


@pytest.mark.parametrize(
    ("reference", "number"),
    [("77", 77), ("999999999999999999", 999999999999999999), (None, None), ("order-7", None), ("٣", None)],
)
def test_every_order_has_a_number(reference: str | None, number: int | None):
    world = World()
    payment = world.payin(order=reference)
    found = order_number(payment)
    if reference is None:
        assert found == int(payment.dialect_id)
    elif number is not None:
        assert found == number
    else:
        assert 8 * 10**14 <= found < 9 * 10**14
        assert found == order_number(world.payin(order=reference))
        assert found != order_number(world.payin(order=reference + "x"))


def test_every_condition_has_a_status():
    world = World()
    payment = world.payin()
    shown = {payin_status(replace(payment, condition=each)) for each in Condition}
    assert shown | {PayinStatus.REFUNDED, PayinStatus.CANCELLED} == set(PayinStatus)


@pytest.mark.parametrize(
    ("minor", "code", "expected"),
    [(150_00, "EUR", "150.00 €"), (5, "GBP", "0.05 £"), (99, "USD", "0.99 $"), (1000, "JPY", "1000 JPY")],
)
def test_amounts_are_printed_with_their_symbol(minor: int, code: str, expected: str):
    assert amount_text(minor, code) == expected


# --- lists -----------------------------------------------------------------------------------------------------------


def aged(world: World, count: int = 5) -> list[Refund]:
    """Refunds an hour apart, of 1.00, 2.00, … each of a payin of its own."""
    for number in range(1, count + 1):
        world.now += timedelta(hours=1)
        world.refund(world.payin(order=str(number)), {"amount": number, "tag": f"tag-{number % 2}"})
    return list(world.refunds)


def ids(page: dict[str, Any]) -> list[str]:
    return [str(each["id"]) for each in page["data"]]


def test_lists_are_flat_paginators_newest_first():
    world = World()
    made = aged(world)
    page = world.listed("refunds", page=2, per_page=2)
    assert {name: page[name] for name in page if name != "data"} == {
        "current_page": 2,
        "last_page": 3,
        "per_page": 2,
        "total": 5,
        "from": 3,
        "to": 4,
    }
    assert ids(page) == [made[2].dialect_id, made[1].dialect_id]
    assert tuple(page) == ("current_page", "last_page", "per_page", "total", "from", "to", "data")
    assert page["data"][0] == world.see_refund(made[2])


@pytest.mark.parametrize("what", ["payins", "refunds"])
def test_an_empty_list(what: str):
    page = World().listed(what)
    assert (page["current_page"], page["last_page"], page["per_page"], page["total"]) == (1, 1, 15, 0)
    assert (page["from"], page["to"], page["data"]) == (None, None, [])


def test_a_page_beyond_the_last_is_empty():
    world = World()
    aged(world, 2)
    page = world.listed("refunds", page=9)
    assert (page["total"], page["last_page"], page["from"], page["data"]) == (2, 1, None, [])


def test_fifteen_to_a_page_unless_asked_otherwise():
    world = World()
    for _ in range(17):
        world.payin()
    assert len(world.listed("payins")["data"]) == 15
    assert len(world.listed("payins", page=2)["data"]) == 2
    assert len(world.listed("payins", per_page=100)["data"]) == 17


def test_payins_are_listed_as_they_are_read():
    world = World()
    aged(world, 2)
    newest, older = world.listed("payins")["data"]
    assert newest == world.see_payin(next(each for each in world.facts.payments.values() if each.order == "2"))
    assert older["connections"] == {"order": "/2.0/orders/1", "refund": f"/2.0/refunds/{world.refunds[0].dialect_id}"}
    assert len([ask for ask in world.asks if isinstance(ask, RefundsOf)]) == 3


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"search": "tag", "query": "tag-1"}, [5, 3, 1]),
        ({"search": "tag", "query": "tag"}, []),
        ({"search": "escrow_id", "query": "4"}, [4]),
        ({"search": "status", "query": "CONFIRMED"}, [5, 4, 3, 2, 1]),
        ({"search": "status", "query": "DENIED"}, []),
        ({"search": "reference_id", "query": "none"}, []),
        ({"search": "id", "query": "12"}, []),
        ({"search": "payin_id", "query": "12"}, []),
        ({"search": "tag"}, [5, 4, 3, 2, 1]),
        ({"query": "tag-1"}, [5, 4, 3, 2, 1]),
        ({"sort": "asc"}, [1, 2, 3, 4, 5]),
        ({"sort": "ASC", "order": "id"}, [1, 2, 3, 4, 5]),
        ({"order": "id"}, [5, 4, 3, 2, 1]),
        ({"order": "tag", "sort": "asc"}, [2, 4, 1, 3, 5]),
        ({"order": "denied_at"}, [5, 4, 3, 2, 1]),
        ({"date_begin": "2026-03-02T12:30:00Z"}, [5, 4, 3]),
        ({"date_begin": "2026-03-02T14:30:00+02:00"}, [5, 4, 3]),
        ({"date_end": "2026-03-02T12:30:00"}, [3, 2, 1]),
        ({"date_begin": "2026-03-02", "date_end": "2026-03-02"}, [5, 4, 3, 2, 1]),
        ({"date_begin": "2026-03-03"}, []),
        ({"date_end": "2026-03-01"}, []),
        ({"date_begin": "", "page": "", "search": " ", "sort": ""}, [5, 4, 3, 2, 1]),
        ({"unheard_of": "1"}, [5, 4, 3, 2, 1]),
    ],
    ids=str,
)
def test_refunds_are_searched_sorted_and_dated(query: dict[str, str], expected: list[int]):
    world = World()
    made = aged(world)
    page = world.listed("refunds", **query)
    assert ids(page) == [made[number - 1].dialect_id for number in expected]
    assert page["total"] == len(expected)


@pytest.mark.parametrize("field", ["id", "payin_id"])
def test_refunds_are_found_by_number(field: str):
    world = World()
    made = aged(world)[2]
    number = {"id": made.dialect_id, "payin_id": str(made.request["payin_id"])}[field]
    assert ids(world.listed("refunds", search=field, query=number)) == [made.dialect_id]
    later = {"search": field, "query": number, "date_begin": "2026-03-03"}
    assert world.listed("refunds", **later)["total"] == 0


@pytest.mark.parametrize(
    ("search", "query", "found"),
    [
        ("type", "BIZUM", 1),
        ("status", "CREATED", 1),
        ("order_id", "77", 2),
        ("tag", "mine", 1),
        ("reference", "gw-1", 1),
        ("subtype", "s", 0),
        ("id", "1000000001", 1),
        ("id", "1", 0),
    ],
)
def test_payins_are_searched(search: str, query: str, found: int):
    world = World()
    world.payin(order="77", dialect_data={"tag": "mine"})
    world.payin(order="77", method="BIZUM", dialect_data={"reference": "gw-1"})
    world.payin(status="processing")
    assert world.listed("payins", search=search, query=query)["total"] == found


@pytest.mark.parametrize("what", ["payins", "refunds"])
@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"page": "0"}, ["page"]),
        ({"page": "-1"}, ["page"]),
        ({"page": "one"}, ["page"]),
        ({"page": "1" * 16}, ["page"]),
        ({"per_page": "101"}, ["per_page"]),
        ({"per_page": "0"}, ["per_page"]),
        ({"search": "email"}, ["search"]),
        ({"search": "self", "query": "x"}, ["search"]),
        ({"order": "amount"}, ["order"]),
        ({"sort": "up"}, ["sort"]),
        ({"date_begin": "yesterday"}, ["date_begin"]),
        ({"date_end": "0001-01-01T00:00:00+23:59"}, ["date_end"]),
        ({"page": "x", "per_page": "y", "date_end": "z"}, ["page", "per_page", "date_end"]),
    ],
    ids=str,
)
def test_parameters_that_are_wrong_are_named(what: str, query: dict[str, str], wrong: list[str]):
    outgoing = World().call("GET", f"/2.0/{what}", query=query)
    assert list(errors(checked(outgoing, {}))) == wrong


def test_rows_that_move_while_they_are_read_are_listed_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lists, "SCANNED_AT_ONCE", 2)
    monkeypatch.setattr(lists, "SCANNED_MAX", 6)
    world = World()
    payins = [world.payin() for _ in range(3)]
    scan = lists.scan(ListPayments(), lists.Listing())
    answer: Any = None
    with pytest.raises(StopIteration) as end:
        while True:
            answer = world.answer(scan.send(answer))
            world.payin()
    assert [each.id for each in end.value.value] == [each.id for each in payins[::-1]]


def test_a_list_reads_no_further_than_it_may(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lists, "SCANNED_AT_ONCE", 2)
    monkeypatch.setattr(lists, "SCANNED_MAX", 4)
    world = World()
    made = [world.payin() for _ in range(7)]
    page = world.listed("payins", sort="asc", order="type")
    assert ids(page) == [each.dialect_id for each in made[3:]]


def test_a_list_by_age_asks_for_no_more_than_its_page(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lists, "SCANNED_AT_ONCE", 2)
    monkeypatch.setattr(lists, "SCANNED_MAX", 4)
    world = World()
    made = [world.payin() for _ in range(7)]
    page = world.listed("payins", sort="asc", page=2, per_page=3)
    assert (page["total"], ids(page)) == (7, [each.dialect_id for each in made[3:6]])
    asked = [ask for ask in world.asks if isinstance(ask, ListPayments)]
    assert [(ask.offset, ask.limit) for ask in asked] == [(3, 3)]


# --- payments registered natively ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"AuthorId": "1"}, "A Truust payment has no AuthorId."),
        ({"tag": ""}, "tag must be text of 1 to 100 characters."),
        ({"tag": "x" * 101}, "tag must be text of 1 to 100 characters."),
        ({"reference": 7}, "reference must be text that is not empty."),
        ({"provider": []}, "provider must be an object."),
        ({"wallet_id": "7"}, "wallet_id must be a number."),
        ({"wallet_id": True}, "wallet_id must be a number."),
        ({"refundable": 1}, "refundable must be true or false."),
        ({"failure_status": "REFUNDED"}, "failure_status must be DENIED or CANCELLED."),
        ({"failure_status": ["DENIED"]}, "failure_status must be DENIED or CANCELLED."),
    ],
)
def test_a_document_that_makes_no_sense_is_refused(data: Any, sentence: str):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        DIALECT.payment_document(data, World().now)


def test_a_document_stays_what_it_is():
    data = {"tag": "t", "wallet_id": 7, "refundable": False, "subtype": None}
    once = DIALECT.payment_document(data, World().now)
    assert once == {"tag": "t", "wallet_id": 7, "refundable": False}
    assert DIALECT.payment_document(once, World().now) == once


# --- the sandbox -----------------------------------------------------------------------------------------------------


def test_the_ready_file_has_what_a_client_needs():
    samples = DIALECT.samples
    assert samples is not None
    world = World()
    key, profile = samples.credentials(lambda length: "x" * length)
    payments = tuple(world.answer(each) for each in samples.payments)
    section = samples.section("http://127.0.0.1:8900/truust", key, profile, payments)
    assert list(section) == ["base_url", "secret_key", "payins", "bankaccounts"]
    assert key.secret.startswith("sk_stage_")
    first = section["payins"][0]
    assert first == {
        "id": int(payments[0].dialect_id),
        "type": "REDSYS_V2",
        "order_id": 500001,
        "amount": 250,
        "currency": "EUR",
    }
    assert all(set(each) == set(first) for each in section["payins"])
    assert "BANKWIRE" in [each["type"] for each in section["payins"]]
    orders = [each["order_id"] for each in section["payins"]]
    assert max(orders.count(each) for each in orders) == 2
    for each in section["bankaccounts"]:
        assert list(each) == ["id", "uuid"]
        assert str(UUID(each["uuid"])) == each["uuid"]
    kept = [each.id for each in samples.documents if each.kind == "bankaccount"]
    assert [str(each["id"]) for each in section["bankaccounts"]] == kept


def test_the_sandboxs_bank_wire_can_be_refunded_to_its_account():
    samples = DIALECT.samples
    assert samples is not None
    world = World()
    for document in samples.documents:
        world.answer(document)
    payments = [world.answer(each) for each in samples.payments]
    wire = next(each for each in payments if each.method == "BANKWIRE")
    assert status_of(world.refund(wire, {"bankaccount_id": int(samples.documents[0].id)})) == "REFUNDED"


# --- credentials and faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer sk_stage_1", Presented("sk_stage_1")),
        ("bearer sk_stage_1", Presented("sk_stage_1")),
        (" BEARER   sk_stage_1 ", Presented("sk_stage_1")),
        ("Basic sk_stage_1", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("sk_stage_1", None),
        ("", None),
    ],
)
def test_the_secret_key_is_a_bearer_token(header: str, expected: Presented | None):
    assert DIALECT.presented(Incoming(method="GET", path="/", headers={"authorization": header})) == expected


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        (Fault.UNAUTHENTICATED, 401, "Unauthenticated."),
        (Fault.FORBIDDEN, 403, None),
        (Fault.NOT_FOUND, 404, "Not found"),
        (Fault.METHOD_NOT_ALLOWED, 405, "The PATCH method is not supported for this route."),
        (Fault.BAD_BODY, 422, "The given data was invalid."),
        (Fault.TOO_LARGE, 413, None),
        (Fault.UNAVAILABLE, 503, None),
        (Fault.INTERNAL, 500, None),
    ],
    ids=lambda value: value.value if isinstance(value, Fault) else None,
)
def test_faults_have_the_providers_shape(fault: Fault, status: int, message: str | None):
    outgoing = checked(DIALECT.fault(fault, Incoming(method="PATCH", path="/")), {})
    assert outgoing.status == status
    assert message in (None, said(outgoing)["message"])
    assert ("Retry-After" in outgoing.headers) == (fault is Fault.UNAVAILABLE)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/2.0/subscriptions", 404),
        ("POST", "/payins/1/refund", 404),
        ("GET", "/2.0/payins/1/refund", 405),
        ("DELETE", "/2.0/refunds/1", 405),
    ],
)
def test_paths_that_are_not_served(method: str, path: str, status: int):
    assert checked(World().call(method, path), {}).status == status


# --- the provider's own examples -------------------------------------------------------------------------------------

KINDS: Mapping[str, Any] = {"string": str, "object": dict, "array": list, "integer": int, "null": type(None)}


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.json")), ids=lambda file: file.stem)
def test_a_documented_request_gets_the_documented_answer(file: Path):
    sample = json.loads(file.read_text(encoding="utf-8"))
    facts, request, response = sample["given"], sample["request"], sample["response"]
    world = World()
    payment = world.payin(facts["amount"], method=facts.get("method"), order=facts.get("order"))
    names = {"{id}": payment.dialect_id}
    if "refunded" in facts:
        world.refund(payment, json.loads(facts["refunded"], parse_float=Decimal))
        names["{refund}"] = world.refunds[0].dialect_id
    outgoing = answer_to(world, request, names)
    body = said(outgoing)
    assert outgoing.status == response["status"]
    assert list(body)[: len(response["members"])] == [name for name, _ in response["members"]]
    for name, kinds in response["members"]:
        assert type(body[name]) in [KINDS[kind] for kind in kinds], name
    for path, expected in response["values"].items():
        found = body
        for name in path.split("."):
            found = found[name]
        assert found == filled(expected, names, found), path


def filled(expected: Any, names: Mapping[str, str], found: Any) -> Any:
    if not isinstance(expected, str):
        return expected
    for placeholder, number in names.items():
        expected = expected.replace(placeholder, number)
    return int(expected) if isinstance(found, int) else expected


def answer_to(world: World, request: dict[str, Any], names: Mapping[str, str]) -> Outgoing:
    target = request["path"]
    for placeholder, number in names.items():
        target = target.replace(placeholder, number)
    url = urlsplit(target)
    body, encoding = None, "none"
    if request["body"] and request["headers"]["content-type"] == "application/json":
        body, encoding = json.loads(request["body"], parse_float=Decimal), "json"
    elif request["body"]:
        body, encoding = dict(parse_qsl(request["body"])), "form"
    return world.call(request["method"], url.path, body, query=parse_qsl(url.query), encoding=encoding)


def test_one_refund_costs_no_look_at_the_clock():
    world = World()
    world.refund(world.payin())
    assert not [ask for ask in world.asks if isinstance(ask, Instant)]
