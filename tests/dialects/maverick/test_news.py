"""What Maverick sends to us: webhooks, what they are about, and whose they are."""

import json
from hashlib import sha512
from typing import Any

import pytest

from moneyback.dialect import Forged, Notification
from moneyback.dialects.maverick.client import CLIENT
from moneyback.dialects.maverick.news import hear

SECRET = {"token": "t", "webhook_secret": "sk_hook_demo"}
TOLD = {"id": 51, "module": "transaction", "action": "create", "date": "2025-11-17 15:01:03"}


def signature(secret: str = "sk_hook_demo", **members: Any) -> str:
    told = {**TOLD, **members}
    return sha512(f"{secret}{told['id']}{told['module']}{told['action']}{told['date']}".encode()).hexdigest()


def told(data: Any = None, sign: str | None = None, **members: Any) -> Notification:
    body = json.dumps({**TOLD, "data": data, **members}).encode()
    return Notification(method="POST", headers={} if sign is None else {"webhook-signature": sign}, body=body)


def test_the_signature_is_the_one_others_compute():
    known = signature()
    assert (known[:32], known[-16:]) == ("e83090d3b5a0de8f831f52c6ff71010c", "79bd4749b6c03f21")
    heard = hear(told({"transaction": {"id": 883, "type": "Return"}}, known), SECRET)
    assert (heard.digest, heard.refunds, heard.answer.status) == ("transaction:create:51", ("883",), 200)


def test_ids_are_signed_as_they_are_written():
    assert hear(told(None, signature(id="51"), id="51"), SECRET).digest == "transaction:create:51"
    assert hear(told(None, f" {signature().upper()} "), SECRET).payments == ()


@pytest.mark.parametrize(
    "sign",
    [None, "", "é", signature()[:-1], signature("another"), signature(id=52), signature(action="refund"), "0" * 128],
)
def test_another_signature_is_forged(sign: str | None):
    with pytest.raises(Forged):
        hear(told(None, sign), SECRET)


@pytest.mark.parametrize("member", ["id", "module", "action", "date"])
def test_what_was_changed_on_its_way_is_forged(member: str):
    with pytest.raises(Forged):
        hear(told(None, signature(), **{member: 7 if member == "id" else "other"}), SECRET)


@pytest.mark.parametrize("sign", [None, "0" * 128])
def test_without_a_secret_nothing_is_checked_because_nothing_is_believed(sign: str | None):
    assert hear(told({"id": 882, "type": "Auth"}, sign), {"token": "t"}).payments == ("882",)


@pytest.mark.parametrize(
    ("members", "payments", "refunds"),
    [
        ({"data": {"transaction": {"id": 882, "type": "Auth", "amount": 1.5}}}, ("882",), ()),
        ({"data": {"transaction": {"id": "882", "type": "sale"}}}, ("882",), ()),
        ({"data": {"transaction": {"id": 883, "type": "refund"}}}, ("883",), ("883",)),
        ({"data": {"transaction": {"id": 883, "type": "Return", "parent": {"id": 882}}}}, ("882", "883"), ("883",)),
        ({"data": {"id": 883, "type": "Return", "parent": {"id": "882"}}}, ("882", "883"), ("883",)),
        ({"data": {"id": 883}}, ("883",), ("883",)),
        ({"data": {"id": 883, "transaction": {"id": 883}}, "action": "refund"}, ("883",), ("883",)),
        ({"module": "chargeback", "data": {"id": 5, "transaction": {"id": 882, "type": "Sale"}}}, ("882",), ()),
        ({"module": "chargeback", "data": {"id": 5}}, (), ()),
        ({"module": "ach", "action": "updateStatus", "data": {"id": 5}}, (), ()),
        ({"module": "ticket", "data": None}, (), ()),
        ({"data": []}, (), ()),
        ({"data": {"transaction": None}}, (), ()),
        ({"data": {"transaction": {"id": True, "parent": 5}}}, (), ()),
        ({"data": {"id": "../x"}}, (), ()),
        ({"data": {"id": "9" * 21}}, (), ()),
    ],
)
def test_which_records_it_is_about(members: dict[str, Any], payments: tuple[str, ...], refunds: tuple[str, ...]):
    heard = hear(told(**members), {})
    assert (heard.payments, heard.refunds) == (payments, refunds)


def test_each_event_is_told_once():
    same = hear(told({"id": 1}), {}).digest
    assert hear(told({"id": 2}), {}).digest == same
    assert same not in {hear(told(id=52), {}).digest, hear(told(action="refund"), {}).digest}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"<html>", b"\xff", b"[" * 100_000, b'{"id": 1, "module": "transaction"}'],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_webhook_is_not_read(body: bytes):
    with pytest.raises(ValueError, match="no webhook"):
        hear(Notification(method="POST", body=body), {})


def test_the_secret_may_be_left_out():
    assert (CLIENT.credentials, CLIENT.optional) == (("token",), ("webhook_secret",))
    assert CLIENT.hear is hear
