"""Interleavings in which money could leave twice, or doubt be taken for an end: each test is one of them."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from moneyback.bank.client import client_for
from moneyback.core.commands import Joined, Moved, Now
from moneyback.core.payment import Payment
from moneyback.core.refund import Event, Grade, Refund, State
from moneyback.core.refusals import Refusal
from moneyback.dialect import Reply
from moneyback.dialects.mangopay.client import CLIENT as MANGOPAY
from moneyback.flows.world import unknown_rail
from moneyback.store.memory import MemoryDatabase, MemoryStore
from tests.bank.calls import a_sending, at
from tests.core.worlds import START, World
from tests.store.engine import Engine

E, S = Event, State


def doubted(generation: int = 1, **terms: Any) -> tuple[World, Payment, Refund]:
    """The whole payment is being refunded; the attempt of this generation was sent and its answer lost."""
    world = World(**terms)
    payment = world.pay()
    refund = world.admit(payment, 10_000)
    for number in range(1, generation + 1):
        world.send(refund)
        world.see(refund, E.LOST)
        if number < generation:
            not_sent(world, refund)
    return world, payment, refund


def not_sent(world: World, refund: Refund) -> Any:
    world.wait(seconds=200)
    world.look(refund)
    return world.resolve(refund, executed=False)


# --- 1


def test_the_refusal_of_a_later_attempt_does_not_undo_the_execution_of_an_earlier_one():
    world, payment, refund = doubted()
    not_sent(world, refund)
    world.send(refund)  # generation 2 is on its way …
    world.see(refund, E.EXECUTED, generation=1, provider_id="P1", amount=10_000)  # … when the first turns up
    assert world.state(refund) is S.SUCCEEDED
    world.see(refund, E.REFUSED, generation=2, code="already_refunded")  # and so the second is refused
    assert world.state(refund) is S.SUCCEEDED, "the payer has the money"
    assert world.of(payment).refunded == 10_000
    assert world.of(payment).refundable == 0, "the same money could be given again"


# --- 2


def test_a_mark_of_an_earlier_attempt_speaks_of_that_attempt():
    sending = a_sending(generation=2, state=State.UNKNOWN, doubt_since=at(0))
    shown = {"id": "p1.1", "amount": 500, "status": "failed", "updated_at": at(-5), "mark": sending.mark[:-1] + "1"}
    replies = [{"payment": {"left": 1000}}, {"refunds": [shown]}]
    story = client_for(2).look(sending, {})
    next(story)
    looked = None
    try:
        for each in replies:
            story.send(Reply(status=200, body=msgspec.json.encode(each)))
    except StopIteration as ended:
        looked = ended.value
    assert looked is not None
    assert [(each.event, each.generation) for each in looked.observations] == [(E.REFUSED, 1)], (
        "without it, the refusal of the first attempt fails the second, which may have been executed"
    )


# --- 3


@pytest.mark.parametrize("amount", [10_000, 6_000])
def test_what_was_executed_is_not_sent_again_on_a_persons_word(amount: int):
    world, _, refund = doubted()
    if amount == 10_000:
        not_sent(world, refund)  # ready again; then the bank tells, by our own mark, that it did execute
    world.see(refund, E.EXECUTED, generation=1, provider_id="P1", amount=amount, grade=Grade.MARK)
    assert world.state(refund) is S.NEEDS_REVIEW
    not_sent(world, refund)
    assert world.state(refund) is not S.READY, "the next round of a worker sends it a second time"


def test_what_the_provider_accepted_is_not_sent_again_on_a_persons_word():
    world = World()
    payment = world.pay()
    refund = world.admit(payment, 10_000)
    world.send(refund)
    world.see(refund, E.ACCEPTED, provider_id="P1")
    world.refunds[refund.id] = replace(world.refunds[refund.id], human_since=world.now.business)  # looking gave up
    not_sent(world, refund)
    assert world.state(refund) is S.NEEDS_REVIEW
    not_sent(world, refund)
    assert world.state(refund) is not S.READY, "P1 may still be executed"


# --- 4


def test_a_new_attempt_is_not_looked_for_by_the_id_of_an_old_one():
    world = World()
    payment = world.pay()
    refund = world.stand(payment, S.NEEDS_REVIEW, provider_id="P1", doubt_since=START)
    not_sent(world, refund)
    if world.state(refund) is not S.READY:
        return  # closed by never sending such a refund again
    armed = world.send(refund)
    assert armed.generation == 2
    assert armed.provider_id is None, "a look by P1 says of the second attempt what became of the first"


# --- 5


def test_an_equal_request_does_not_stop_the_sending_of_the_one_it_joins():
    world = World(join_within=timedelta(seconds=120))
    payment = world.pay()
    refund = world.admit(payment, 3_000, equality=b"same")
    fenced = world.fence(refund)  # the payment is being read at its provider …
    assert isinstance(fenced, Moved)
    assert isinstance(world.ask(payment, 3_000, equality=b"same"), Joined)  # … when the client asks again
    armed = world.arm(refund, version=fenced.refund.version)
    assert isinstance(armed, Moved), armed


# --- 7


def test_a_drifted_refund_that_was_never_sent_can_be_withdrawn():
    world = World()
    payment = world.pay()
    refund = world.admit(payment, 3_000)
    world.fence(refund)
    world.arm(refund, provider_left=5_000)
    assert world.state(refund) is S.NEEDS_REVIEW
    assert not isinstance(world.nudge(refund, E.WITHDRAWN), Refusal), "the only way out sends it, or lies"


def test_a_question_nobody_can_answer_any_more_can_be_resolved():
    world = World()
    payment = world.pay()
    refund = world.stand(payment, S.REQUIRES_ACTION, human_since=START)
    result = world.resolve(refund, executed=True)
    assert not isinstance(result, Refusal), "a person is asked, and no answer is taken"


# --- 8


async def test_what_a_provider_says_is_recorded_whatever_letters_it_uses():
    store = MemoryStore(MemoryDatabase(lambda: Now(START, START)))
    engine = Engine(store)
    refund = await engine.admit(await engine.pay(), 3_000)
    await engine.send(refund)
    await engine.see(refund, E.EXECUTED, provider_id="P\0")
    assert (await engine.refund(refund)).state is S.SUCCEEDED


# --- 9


def test_a_rail_that_is_not_known_here_has_no_shorter_horizon_than_any_that_is():
    client = unknown_rail("live").client
    assert client.processing + client.list_lag >= MANGOPAY.processing + MANGOPAY.list_lag
