"""The bank's wire: which calls are understood, and how the others are answered."""

from typing import Any

import msgspec
import pytest

from moneyback.bank import wire
from moneyback.bank.wire import ListRefunds, ReadKey, ReadPayment, ReadRefund, RefundCall
from moneyback.dialect import Call, Reply
from tests.bank.calls import CAPTURED_AT, body, get, refund_call, told


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        (get("/payments/p1"), ReadPayment("p1")),
        (
            get("/payments/p1", captured="1000", captured_at=CAPTURED_AT.isoformat(), currency="EUR", scenario="ok"),
            ReadPayment("p1", told(scenario="ok")),
        ),
        (
            get("/payments/p1", captured="0", currency="JPY"),
            ReadPayment("p1", told(captured=0, captured_at=None, currency="JPY")),
        ),
        (get("/payments/a%2Fb%20%C3%A9/refunds"), ListRefunds("a/b é")),
        (get("/refunds/p1.7"), ReadRefund("p1", 7)),
        (get("/refunds/a.b.12"), ReadRefund("a.b", 12)),
        (get("/keys/k%2F1"), ReadKey("k/1")),
    ],
)
def test_a_reading_is_understood(call: Call, request_: object):
    assert wire.asked(call) == request_


def test_a_refund_call_is_understood():
    call = wire.asked(refund_call(mark="m", scenario="slow:1", payment_scenario="ok", destination="bank_1"))
    assert call == RefundCall(
        payment="p1",
        captured=1000,
        captured_at=CAPTURED_AT,
        currency="EUR",
        amount=500,
        key="k1",
        mark="m",
        scenario="slow:1",
        payment_scenario="ok",
        destination="bank_1",
    )
    assert call.capture == told(scenario="ok")


def test_members_that_are_not_known_are_no_reason_to_refuse():
    assert isinstance(wire.asked(refund_call(colour="red")), RefundCall)


@pytest.mark.parametrize(
    "members",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 10.0},
        {"amount": 10.5},
        {"amount": "500"},
        {"amount": None},
        {"amount": True},
        {"amount": []},
        {"amount": 2**63},
        {"captured": -1},
        {"captured": None},
        {"captured_at": "2026-03-01T12:00:00"},
        {"captured_at": "yesterday"},
        {"currency": "eur"},
        {"currency": "EURO"},
        {"currency": None},
        {"payment": ""},
        {"payment": "a\0b"},
        {"payment": "x" * 256},
        {"key": "\0"},
        {"key": ""},
        {"mark": "m" * 256},
        {"scenario": "later"},
        {"scenario": ""},
        {"scenario": "ok+" * 200},
        {"payment_scenario": "dispute:x"},
    ],
)
def test_a_bad_refund_call_is_refused(members: dict[str, Any]):
    answer = wire.asked(refund_call(**members))
    assert isinstance(answer, Reply)
    assert (answer.status, body(answer)["error"]) == (422, "invalid")


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b"{", b"\xff", b'{"payment": "\\ud800"}', b'{"payment":"p1","amount":1e999}']
)
def test_a_body_that_is_none_is_refused(raw: bytes):
    answer = wire.asked(Call(method="POST", path="/refunds", body=raw))
    assert isinstance(answer, Reply)
    assert (answer.status, body(answer)["error"]) == (422, "invalid")


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (get("/"), (404, "no_such_path")),
        (get("/refunds"), (404, "no_such_path")),
        (get("/payments"), (404, "no_such_path")),
        (get("/payments/p1/refunds/1"), (404, "no_such_path")),
        (Call(method="DELETE", path="/refunds/p1.1"), (404, "no_such_path")),
        (Call(method="POST", path="/keys/k"), (404, "no_such_path")),
        (get("/refunds/p1"), (404, "no_such_refund")),
        (get("/refunds/.1"), (404, "no_such_refund")),
        (get("/refunds/p1.x"), (404, "no_such_refund")),
        (get("/refunds/p1.-1"), (404, "no_such_refund")),
        (get("/refunds/p1.²"), (404, "no_such_refund")),
        (get("/refunds/p1." + "9" * 19), (404, "no_such_refund")),
        (get("/keys/a%00b"), (422, "invalid")),
        (get("/payments/p1", captured="ten", currency="EUR"), (422, "invalid")),
        (get("/payments/p1", captured="10"), (422, "invalid")),
        (get("/payments/p1", captured="10", currency="EUR", scenario="later"), (422, "invalid")),
    ],
)
def test_a_call_that_asks_for_nothing_is_answered(call: Call, answer: tuple[int, str]):
    reply = wire.asked(call)
    assert isinstance(reply, Reply)
    assert (reply.status, body(reply)["error"]) == answer


@pytest.mark.parametrize("rung", range(5))
@pytest.mark.parametrize("account", ["0a.sandbox", "m/r", "été 1"])
def test_an_address_leads_back_to_account_and_rung(account: str, rung: int):
    call = get(f"{wire.address(account, rung)}/keys/{wire.segment('a/b')}", q="1")
    found, found_rung, inner = wire.addressed(call)
    assert (found, found_rung) == (account, rung)
    assert wire.asked(inner) == ReadKey("a/b")
    assert inner.query == (("q", "1"),)


@pytest.mark.parametrize("path", ["", "/", "/a", "/a/refunds", "/a/rung-5/refunds", "/a/rung-/x", "//rung-1/x"])
def test_a_path_without_account_and_rung_is_not_the_banks(path: str):
    with pytest.raises(ValueError, match="not a path"):
        wire.addressed(get(path))


def test_amounts_are_written_as_integers():
    big = 2**63 - 1
    call = wire.asked(refund_call(amount=big, captured=big))
    assert isinstance(call, RefundCall)
    assert (call.amount, call.captured) == (big, big)
    assert msgspec.json.decode(wire.encoded({"amount": big})) == {"amount": big}
