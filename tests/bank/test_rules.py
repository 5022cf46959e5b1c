"""What the bank does with a refund call: it executes every one, and recognises a key only from rung 3 on."""

from typing import Any

import msgspec
import pytest

from moneyback.bank import rules, wire
from moneyback.bank.book import Entry, Outcome, Page
from moneyback.bank.rules import Taken
from moneyback.bank.wire import RefundCall
from tests.bank.calls import NOW, at, body, refund_call, said, told

RUNGS = [0, 1, 2, 3, 4]


def take(page: Page | None = None, same_key: tuple[Entry, ...] = (), rung: int = 4, seconds: float = 0, **members: Any):
    call = wire.asked(refund_call(**members))
    assert isinstance(call, RefundCall)
    page = rules.opened("a", call.capture) if page is None else page
    return rules.take(call, msgspec.structs.replace(page, calls=page.calls + 1), same_key, rung=rung, now=at(seconds))


def entry_of(taken: Taken) -> Entry:
    assert taken.entry is not None
    return taken.entry


# The first call of a key with a scenario: (scenario, answer, delay, outcome, amount).
FIRST = [
    ("ok", (201, "succeeded"), 0, Outcome.EXECUTED, 500),
    ("decline:card_expired", (402, "failed"), 0, Outcome.DECLINED, 500),
    ("pending:30", (202, "pending"), 0, Outcome.EXECUTED, 500),
    ("pending:0", (201, "succeeded"), 0, Outcome.EXECUTED, 500),
    ("pending:30:decline", (202, "pending"), 0, Outcome.DECLINED, 500),
    ("slow:20", (201, "succeeded"), 20, Outcome.EXECUTED, 500),
    ("lost_answer:executed", None, 0, Outcome.EXECUTED, 500),
    ("lost_answer:not_executed", None, 0, Outcome.DROPPED, 500),
    ("lost_answer:executed+slow:3", None, 3, Outcome.EXECUTED, 500),
    ("lost_answer:executed+pending:30", None, 0, Outcome.EXECUTED, 500),
    ("lost_answer:executed+decline:x", None, 0, Outcome.DECLINED, 500),
    ("error_after_execution", (500, "internal"), 0, Outcome.EXECUTED, 500),
    ("late_failure:60", (201, "succeeded"), 0, Outcome.EXECUTED, 500),
    ("late_failure:0", (201, "returned"), 0, Outcome.EXECUTED, 500),
    ("wrong_amount:499", (201, "succeeded"), 0, Outcome.EXECUTED, 499),
    ("wrong_amount:5000", (201, "succeeded"), 0, Outcome.EXECUTED, 5000),
    ("requires_action", (422, "requires_action"), 0, Outcome.ASKED, 500),
    ("list_lag:10", (201, "succeeded"), 0, Outcome.EXECUTED, 500),
    ("dispute:0+return:0", (201, "succeeded"), 0, Outcome.EXECUTED, 500),
]


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize(("scenario", "answer", "delay_s", "outcome", "amount"), FIRST)
def test_the_first_call_of_a_key(
    scenario: str, answer: tuple[int, str] | None, delay_s: float, outcome: Outcome, amount: int, rung: int
):
    taken = take(scenario=scenario, rung=rung)
    entry = entry_of(taken)
    assert said(taken.answer) == answer
    assert taken.answer.delay_s == delay_s
    assert (entry.outcome, entry.asked, entry.amount, entry.number) == (outcome, 500, amount, 1)
    assert (entry.key, entry.mark, entry.rung, entry.received_at) == ("k1", None, rung, NOW)


# The second call of that key where keys are recognised: an answer from the books, or, where nothing registered, anew.
AGAIN_KEYED = [
    ("ok", (201, "succeeded"), False),
    ("decline:x", (402, "failed"), False),
    ("pending:30", (202, "pending"), False),
    ("lost_answer:executed", (201, "succeeded"), False),
    ("error_after_execution", (201, "succeeded"), False),
    ("lost_answer:not_executed", (201, "succeeded"), True),
    ("requires_action", (201, "succeeded"), True),
    ("lost_answer:not_executed+pending:30", (202, "pending"), True),
]


@pytest.mark.parametrize("rung", [3, 4])
@pytest.mark.parametrize(("scenario", "answer", "written"), AGAIN_KEYED)
def test_a_known_key_is_answered_from_the_books(scenario: str, answer: tuple[int, str], written: bool, rung: int):
    first = take(scenario=scenario, rung=rung)
    again = take(first.page, (entry_of(first),), rung, seconds=5, scenario=scenario)
    assert said(again.answer) == answer
    assert (again.entry is not None) is written
    if not written:
        assert body(again.answer.reply)["refund"]["id"] == entry_of(first).id


@pytest.mark.parametrize("rung", [0, 1, 2])
@pytest.mark.parametrize("scenario", [scenario for scenario, *_ in AGAIN_KEYED])
def test_without_keys_every_call_is_executed_again(scenario: str, rung: int):
    """And the loss, the error and the question are past: they speak to the first call alone."""
    first = take(scenario=scenario, rung=rung)
    again = entry_of(take(first.page, (entry_of(first),), rung, seconds=5, scenario=scenario))
    assert again.number == 2
    assert again.outcome is (Outcome.DECLINED if scenario == "decline:x" else Outcome.EXECUTED)


def test_a_slow_answer_is_due_when_it_was():
    first = take(scenario="slow:20")
    assert take(first.page, (entry_of(first),), seconds=5).answer.delay_s == 15
    assert take(first.page, (entry_of(first),), seconds=25).answer.delay_s == 0


@pytest.mark.parametrize(("hours", "answered_from_books"), [(23.99, True), (24, False)])
def test_a_key_is_forgotten_after_its_window(hours: float, answered_from_books: bool):
    first = take()
    again = take(first.page, (entry_of(first),), seconds=hours * 3600)
    assert (again.entry is None) is answered_from_books


@pytest.mark.parametrize("other", [{"amount": 499}, {"currency": "USD"}, {"payment": "p2"}])
def test_a_key_of_another_refund_is_executed_by_nobody(other: dict[str, Any]):
    first = take()
    again = take(None, (entry_of(first),), **other)
    assert said(again.answer) == (409, "key_reused")
    assert again.entry is None


def test_a_wrong_amount_does_not_make_the_key_another_refunds():
    first = take(scenario="wrong_amount:1")
    assert said(take(first.page, (entry_of(first),)).answer) == (201, "succeeded")


@pytest.mark.parametrize("rung", RUNGS)
def test_the_captured_amount_is_no_limit(rung: int):
    taken = take(rung=rung, amount=10**15)
    assert said(taken.answer) == (201, "succeeded")
    assert entry_of(taken).amount == 10**15


def test_a_call_without_a_key_is_always_a_new_one():
    first = take(key=None, scenario="lost_answer:executed")
    assert first.answer.reply is None
    assert take(first.page, (), key=None, scenario="lost_answer:executed").answer.reply is None


# Which scenario holds: (next refund's, refund's, page's, told of the payment) → outcome.
HOLDS = [
    ("decline:n", "decline:r", "decline:p", "decline:n"),
    (None, "decline:r", "decline:p", "decline:r"),
    (None, None, "decline:p", "decline:p"),
    (None, None, None, "ok"),
    ("ok", "decline:r", "decline:p", "ok"),
    (None, "ok", "decline:p", "ok"),
]


@pytest.mark.parametrize(("coming", "refund", "payment", "holds"), HOLDS)
def test_which_scenario_holds(coming: str | None, refund: str | None, payment: str | None, holds: str):
    page = rules.opened("a", told(scenario=payment))
    if coming is not None:
        page = rules.with_scenario(page, coming, next_refund=True)
    taken = take(page, scenario=refund)
    assert entry_of(taken).scenario == holds
    assert taken.page.next_scenario is None
    assert taken.page.scenario == payment


def test_the_next_refunds_scenario_waits_for_a_refund_that_is_new():
    first = take()
    page = rules.with_scenario(first.page, "decline:x", next_refund=True)
    again = take(page, (entry_of(first),))
    assert again.page.next_scenario == "decline:x"
    assert said(take(again.page, (), key="k2").answer) == (402, "failed")


def test_a_scenario_set_from_outside_outlives_what_the_caller_tells():
    page = rules.with_scenario(rules.opened("a", told(scenario="decline:x")), "ok", next_refund=False)
    assert rules.told_again(page, told(scenario="decline:x", captured=1200)).scenario == "ok"
    assert rules.told_again(page, told(captured=1200)).captured == 1200


def test_a_bad_scenario_is_not_set():
    with pytest.raises(ValueError, match="not known"):
        rules.with_scenario(rules.opened("a", told()), "later", next_refund=True)


@pytest.mark.parametrize(
    ("page", "refund", "after"),
    [
        (None, "dispute:5+slow:1", "dispute:5"),
        (None, "slow:1", None),
        ("return:3", "dispute:5:won", "dispute:5:won+return:3"),
        ("dispute:9", "dispute:5:won", "dispute:9"),
        ("decline:x", "return:1", "decline:x+return:1"),
    ],
)
def test_a_dispute_named_for_a_refund_is_its_payments(page: str | None, refund: str, after: str | None):
    assert take(rules.opened("a", told(scenario=page)), scenario=refund).page.scenario == after


@pytest.mark.parametrize("rung", RUNGS)
def test_what_an_answer_echoes_is_what_the_rung_reveals(rung: int):
    refund = body(take(rung=rung, mark="m1").answer.reply)["refund"]
    assert refund.get("mark") == ("m1" if rung >= 2 else None)
    assert refund.get("key") == ("k1" if rung >= 3 else None)
    assert ("mark" in refund, "key" in refund) == (rung >= 2, rung >= 3)


@pytest.mark.parametrize(
    ("request_", "from_rung"),
    [
        (wire.ReadPayment("p1"), 1),
        (wire.ListRefunds("p1"), 1),
        (wire.ReadRefund("p1", 1), 1),
        (wire.ReadKey("k1"), 4),
    ],
)
def test_what_can_be_read_from_which_rung(request_: wire.Request, from_rung: int):
    assert [rules.unreadable(request_, rung) is None for rung in RUNGS] == [rung >= from_rung for rung in RUNGS]
