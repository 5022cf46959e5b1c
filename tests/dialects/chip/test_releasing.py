"""Letting go of a hold at CHIP: every documented answer, and all others."""

from typing import Any

import pytest

from moneyback.core.commands import Observation
from moneyback.core.refund import Event
from moneyback.dialect import AnswerLost, NotConnected, Reply
from moneyback.dialects.chip import DIALECT
from moneyback.dialects.chip.client import CLIENT
from moneyback.dialects.chip.releasing import ANSWERS, release
from tests.dialects.chip.test_client import MADE, MARK, NUMBER, PAYMENT, error, shown
from tests.dialects.driver import Table, text
from tests.dialects.loopback import REFUND, a_sending, answer_with, as_reply

DOCUMENTED: list[tuple[int, str, Event]] = [
    (400, "purchase_release_wrong_status", Event.REFUSED),
    (400, "purchase_release_error", Event.LOST),
    (401, "authentication_failed", Event.NOT_TAKEN),
    (403, "permission_denied", Event.NOT_TAKEN),
    (404, "not_found", Event.REFUSED),
    (405, "method_not_allowed", Event.NOT_TAKEN),
    (409, "conflict", Event.LOST),
    (422, "validation_error", Event.REFUSED),
    (429, "throttled", Event.NOT_TAKEN),
]


def sending() -> Any:
    return a_sending(PAYMENT, payer=0)


def only(*replies: Reply | Exception) -> Observation:
    (seen,) = answer_with(release(sending()), *replies)
    return seen


def test_the_call_states_no_amount():
    call = next(release(sending()))
    assert (call.method, call.path, call.body) == ("POST", f"/purchases/{NUMBER}/release/", b"")
    assert call.headers["idempotency-key"] == REFUND.hex
    assert CLIENT.release is release


def test_every_row_of_the_table_is_tried():
    tried = {(status, code) for status, code, _ in DOCUMENTED} | {(status, None) for status, _, _ in DOCUMENTED}
    assert set(ANSWERS) <= tried | {(200, "released"), (200, "pending_release")}


@pytest.mark.parametrize(("status", "event"), [("released", Event.EXECUTED), ("pending_release", Event.ACCEPTED)])
def test_it_is_let_go_or_on_its_way(status: str, event: Event):
    seen = only(as_reply(200, shown(status=status)))
    assert (seen.event, seen.digest) == (event, f"{MARK}:{event.value}")


@pytest.mark.parametrize(("status", "code", "event"), DOCUMENTED)
def test_every_documented_error(status: int, code: str, event: Event):
    seen = only(as_reply(status, error(code)))
    assert (seen.event, seen.code, seen.message) == (event, code, f"m {code}")
    assert seen.failure == ("invalid" if event is Event.REFUSED else None)


@pytest.mark.parametrize(
    "reply",
    [
        as_reply(200, shown(status="hold")),
        as_reply(200, shown(status="released", id=MADE)),
        as_reply(200, shown(status="new")),
        as_reply(200, error("not_found")),
        as_reply(201, shown(status="released")),
        as_reply(400, error("strange")),
        as_reply(400, error("purchase_release_wrong_status", "other")),
        *(as_reply(status, b"<html>") for status in (200, 400, 401, 404, 500, 503)),
    ],
)
def test_any_other_answer_is_unknown(reply: Reply):
    assert only(reply).event is Event.LOST


@pytest.mark.parametrize(("thrown", "event"), [(NotConnected(), Event.SEND_FAILED), (AnswerLost(), Event.LOST)])
def test_no_answer(thrown: Exception, event: Event):
    assert only(thrown).event is event


@pytest.mark.parametrize(("outcome", "event"), [("succeeded", Event.EXECUTED), ("pending", Event.ACCEPTED)])
def test_our_own_server_is_understood(outcome: str, event: Event):
    table = Table(DIALECT)
    table.outcome = outcome
    payment = table.pay(25_000, "MYR", status="authorized")
    story = release(a_sending(payment, payer=0))
    call = next(story)
    said = table.call(call.method, f"/api/v1{call.path}")
    with pytest.raises(StopIteration) as ended:
        story.send(Reply(status=said.status, body=text(said)))
    (seen,) = ended.value.value
    assert seen.event is event
