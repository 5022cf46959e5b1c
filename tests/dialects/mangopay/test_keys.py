"""Mangopay's Idempotency-Key: 409 on every reuse, the first answer under /responses, and a new life after a day."""

import json
from email.utils import format_datetime
from typing import Any

import pytest

from moneyback.core.refund import State
from moneyback.dialect import Await, Incoming
from moneyback.dialects.mangopay import schemas
from tests.dialects.driver import misfits, said, text
from tests.dialects.mangopay.demo import AUTHOR, CREATE, KEY, Demo, amounts

OTHER = "another-key-of-the-client"


def conflict(outgoing: Any) -> None:
    error = said(outgoing)
    assert (outgoing.status, error["Type"], error["errors"]) == (409, "idempotent_creation_conflict", None)
    assert error["Message"] == "A resource has already been created with this Idempotency Key"


def unknown(outgoing: Any) -> None:
    assert (outgoing.status, said(outgoing)["Type"]) == (400, "correlationid_not_found")
    assert misfits(schemas.ERROR, outgoing) == []


@pytest.mark.parametrize("outcome", ["succeeded", "pending", "unknown", "failed:101199"])
def test_the_answer_of_an_admitted_refund(outcome: str):
    world = Demo()
    world.outcome = outcome
    payment = world.payin()
    first = world.refund(payment, amounts(1_000), key=KEY)
    conflict(world.refund(payment, amounts(1_000), key=KEY))
    assert len(world.refunds) == 1
    assert world.response() == {
        "StatusCode": "200",
        "ContentLength": str(len(text(first))),
        "ContentType": "application/json; charset=utf-8",
        "Date": format_datetime(world.now, usegmt=True),
        "RequestURL": f"http://localhost/v2.01/demo/payins/{payment.dialect_id}/refunds",
        "Resource": said(first),
    }


def test_the_stored_answer_does_not_grow_old_with_its_refund():
    world = Demo()
    world.outcome = "pending"
    first = world.done(world.payin(), key=KEY)
    world.bring(world.last(), "succeeded")
    assert world.response()["Resource"] == first
    assert said(world.get(f"refunds/{first['Id']}"))["Status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (amounts(25_001), "400", "param_error"),
        ({}, "400", "param_error"),
        ({"AuthorId": "1"}, "400", "param_error"),
    ],
)
def test_an_error_uses_the_key_up_as_well(body: Any, status: str, kind: str):
    world = Demo()
    payment = world.payin()
    first = world.refund(payment, body, key=KEY)
    conflict(world.refund(payment, amounts(1_000), key=KEY))
    stored = world.response()
    assert (stored["StatusCode"], stored["Resource"]["Type"]) == (status, kind)
    assert stored["Resource"] == said(first)
    assert stored["ContentLength"] == str(len(text(first)))
    assert world.refunds == ()


def test_an_unknown_payin_uses_the_key_up():
    world = Demo()
    outgoing = world.call(
        "POST", "/v2.01/demo/payins/1/refunds", {"AuthorId": AUTHOR}, headers={"idempotency-key": KEY}
    )
    assert outgoing.status == 404
    assert world.response()["StatusCode"] == "404"
    assert world.response()["RequestURL"].endswith("/v2.01/demo/payins/1/refunds")


def test_what_the_engine_refuses_uses_the_key_up():
    world = Demo()
    payment = world.payin(method="BANK_WIRE")
    first = world.refund(payment, key=KEY)
    assert first.status == 400
    conflict(world.refund(payment, key=KEY))
    assert world.response()["Resource"] == said(first)


def test_a_kept_refusal_uses_the_key_up():
    world = Demo()
    payment = world.payin()
    world.done(payment, amounts(1_000))
    first = world.done(payment, amounts(1_000), key=KEY)
    assert first["ResultCode"] == "005407"
    conflict(world.refund(payment, amounts(999), key=KEY))
    assert world.response()["Resource"] == first
    assert world.response()["StatusCode"] == "200"


def test_a_key_is_the_clients_whatever_it_is_used_for():
    world = Demo()
    first, second = world.payin(), world.payin()
    world.done(first, key=KEY)
    conflict(world.refund(second, amounts(1), key=KEY))
    conflict(world.refund(second, {}, key=KEY))
    assert len(world.refunds) == 1


def test_another_key_is_another_refund():
    world = Demo()
    payment = world.payin()
    assert world.done(payment, amounts(1), key=KEY)["Status"] == "SUCCEEDED"
    assert world.done(payment, amounts(2), key=OTHER)["Status"] == "SUCCEEDED"
    assert world.response(KEY)["Resource"]["Id"] != world.response(OTHER)["Resource"]["Id"]


@pytest.mark.parametrize(
    ("key", "fine"),
    [
        ("a" * 15, False),
        ("a" * 16, True),
        ("a" * 36, True),
        ("a" * 37, False),
        ("", False),
        ("a key with blanks in it", False),
        ("key_with_underlines_in_it", False),
        ("0123456789abcdef#2", False),
        ("schlüssel-mit-umlaut", False),
    ],
)
def test_the_form_of_a_key(key: str, fine: bool):
    world = Demo()
    outgoing = world.refund(world.payin(), key=key)
    if fine:
        assert outgoing.status == 200
        return
    assert (outgoing.status, list(said(outgoing)["errors"])) == (400, ["Idempotency-Key"])
    assert world.refunds == ()
    unknown(world.call("GET", f"/v2.01/demo/responses/{key or 'x'}"))


def test_an_unknown_key():
    unknown(Demo().get(f"responses/{KEY}"))


def test_the_double_slash_of_the_python_client():
    world = Demo()
    world.done(world.payin(), key=KEY)
    assert world.call("GET", f"/v2.01/demo/responses//{KEY}").status == 200


def test_a_key_lives_for_a_day():
    world = Demo()
    payment = world.payin()
    world.done(payment, amounts(1_000), key=KEY)
    world.advance(hours=24, seconds=-1)
    conflict(world.refund(payment, amounts(2_000), key=KEY))
    assert world.response()["Resource"]["DebitedFunds"]["Amount"] == 1_000
    world.advance(seconds=1)
    unknown(world.get(f"responses/{KEY}"))
    assert world.done(payment, amounts(2_000), key=KEY)["Status"] == "SUCCEEDED"
    conflict(world.refund(payment, amounts(3_000), key=KEY))
    assert world.response()["Resource"]["DebitedFunds"]["Amount"] == 2_000
    world.advance(hours=24)
    assert world.refund(payment, {}, key=KEY).status == 400
    conflict(world.refund(payment, amounts(4_000), key=KEY))
    assert world.response()["StatusCode"] == "400"
    assert len(world.refunds) == 2


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.SENDING, State.UNKNOWN, State.FAILED], ids=lambda s: s.value)
def test_a_request_whose_process_died_is_answered_by_its_refund(state: State):
    """The refund was admitted and its answer never written: the key shows the refund as it stands, never a 400."""
    world = Demo()
    payment = world.payin()
    arguments = {"ClientId": "demo", "PayInId": payment.dialect_id}
    incoming = Incoming(
        method="POST",
        path=f"/v2.01/demo/payins/{payment.dialect_id}/refunds",
        arguments=arguments,
        headers={"idempotency-key": KEY},
        body=amounts(1_000),
        encoding="json",
    )
    conversation = CREATE(incoming, world.caller)
    ask = next(conversation)
    while not isinstance(ask, Await):
        ask = conversation.send(world.answer(ask))
    conversation.close()
    conflict(world.refund(payment, amounts(1_000), key=KEY))
    world.bring(world.last(), state.value)
    stored = world.response()
    assert stored["Resource"] == said(world.get(f"refunds/{world.last().dialect_id}"))
    assert stored["RequestURL"].endswith(f"/v2.01/demo/payins/{payment.dialect_id}/refunds")


def test_keyed_requests_are_never_joined():
    world = Demo()
    payment = world.payin()
    world.done(payment, amounts(1_000), key=KEY)
    world.done(payment, amounts(1_000), key=OTHER)
    assert len(world.refunds) == 2  # the second is kept as 005407


def test_addresses_are_those_the_client_used():
    world = Demo()
    payment = world.payin()
    path = f"/v2.01/demo/payins/{payment.dialect_id}/refunds"
    world.call("POST", path, {"AuthorId": AUTHOR}, headers={"idempotency-key": KEY, "host": "127.0.0.1:9004"})
    assert world.response()["RequestURL"] == f"http://127.0.0.1:9004{path}"
    assert json.loads(text(world.get(f"responses/{KEY}"))) == world.response()
