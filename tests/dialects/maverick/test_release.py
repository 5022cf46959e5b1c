"""Letting an authorisation go at Maverick: the refund call without an amount, and only where nothing was captured."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from moneyback.core.commands import Observation
from moneyback.core.refund import Event
from moneyback.dialect import AnswerLost, NotConnected, Reply
from moneyback.dialects.maverick.answers import ANSWERS, REASONS
from moneyback.dialects.maverick.sending import release
from tests.dialects.loopback import as_reply
from tests.dialects.maverick.test_client import ERRORS, RECORDS, Link, error, only, original, sending, shown

OPEN = as_reply(200, original(captured=False))


def void(status: str = "Approved", reason: str | None = None, **members: Any) -> Reply:
    return as_reply(200, shown(status, reason, **{"amount": "100.00", "authCode": "TAS342", **members}))


def released(reply: Reply | Exception) -> Observation:
    """What becomes of a release whose call is answered so."""
    return only(release(sending(payer=0)), OPEN, reply)


def test_the_call_states_no_amount():
    story = release(sending(payer=0))
    assert next(story).method == "GET"
    call = story.send(OPEN)
    assert (call.method, call.path, json.loads(call.body)) == ("POST", "/payment/882/refund", {"terminal": {"id": 24}})


@pytest.mark.parametrize(("word", "status", "event"), RECORDS)
def test_a_record_in_the_answer(word: str, status: str, event: Event):
    seen = released(void(status))
    assert seen.event is event is ANSWERS[200, word]
    assert (seen.provider_id, seen.amount) == ("883", None)


@pytest.mark.parametrize(("status", "event"), ERRORS)
def test_a_documented_error(status: int, event: Event):
    assert released(error(status)).event is event


@pytest.mark.parametrize(("reason", "event"), REASONS.items())
def test_a_known_reason_says_more(reason: str, event: Event):
    assert {released(void("Declined", reason)).event, released(error(422, reason)).event} == {event}


@pytest.mark.parametrize(
    "reply", [void("Void"), void(parent={"id": 1}), void(type="Auth"), Reply(status=422), Reply(status=502)], ids=str
)
def test_any_other_answer_is_unknown(reply: Reply):
    assert released(reply).event is Event.LOST


@pytest.mark.parametrize(("thrown", "event"), [(NotConnected("x"), Event.SEND_FAILED), (AnswerLost("x"), Event.LOST)])
def test_no_answer(thrown: Exception, event: Event):
    assert released(thrown).event is event
    assert only(release(sending()), thrown).event is Event.SEND_FAILED


@pytest.mark.parametrize(
    ("first", "event", "code"),
    [
        (as_reply(200, original()), Event.REFUSED, "captured"),
        (as_reply(200, original(captured=False, refunded=True)), Event.REFUSED, "reversed"),
        (as_reply(200, original(captured=False, id=1)), Event.SEND_FAILED, None),
        (as_reply(200, original(captured=False, terminal={"id": None})), Event.SEND_FAILED, None),
        (error(401), Event.NOT_TAKEN, "A name"),
        (error(404), Event.REFUSED, "A name"),
        (error(500), Event.SEND_FAILED, None),
    ],
    ids=str,
)
def test_nothing_is_sent_where_there_is_nothing_to_let_go(first: Reply, event: Event, code: str | None):
    seen = only(release(sending()), first)
    assert (seen.event, seen.code) == (event, code)


def test_our_own_server_lets_go():
    link = Link()
    attempt = replace(sending(payer=0), payment=link.pay(75_00, "USD", status="authorized"))
    seen = link._drive(release(attempt))
    assert [each.event for each in seen] == [Event.EXECUTED]
    again = link._drive(release(attempt))
    assert [(each.event, each.code) for each in again] == [(Event.REFUSED, "reversed")]
    assert [each.method for each in link.calls] == ["GET", "POST", "GET"]
