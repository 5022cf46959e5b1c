"""Calls in process: what is handed over, how long an answer is waited for, and what a lost one becomes."""

from datetime import timedelta

import pytest

from moneyback.bank import wire
from moneyback.bank.memory import MemoryBank
from moneyback.bank.transport import BankTransport
from moneyback.core.commands import Now
from moneyback.dialect import AnswerLost, Call, NotConnected
from tests.bank.calls import NOW, at, body, refund_call


class Watch:
    """Both clocks of a world: sleeping passes real and business seconds, `jump` moves business time alone."""

    def __init__(self) -> None:
        self.slept_s = 0.0
        self.offset_s = 0.0
        self.jump_after_s: float | None = None

    async def now(self) -> Now:
        return Now(business=at(self.slept_s + self.offset_s), real=at(self.slept_s))

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept_s += seconds
        if self.jump_after_s is not None and self.slept_s >= self.jump_after_s:
            self.offset_s, self.jump_after_s = 10_000, None


def to_bank(**members: object) -> Call:
    call = refund_call(**members)
    return Call(method="POST", path=f"{wire.address('a', 4)}{call.path}", body=call.body)


@pytest.fixture
def world() -> tuple[MemoryBank, Watch, BankTransport]:
    bank, watch = MemoryBank(), Watch()
    return bank, watch, BankTransport(bank, watch.now, watch.sleep)


World = tuple[MemoryBank, Watch, BankTransport]


async def test_an_answer_that_is_there_is_given_at_once(world: World):
    _, watch, transport = world
    reply = await transport.exchange(to_bank(), deadline=at(30))
    assert (reply.status, watch.slept_s) == (201, 0)


async def test_a_slow_answer_is_waited_for(world: World):
    _, watch, transport = world
    reply = await transport.exchange(to_bank(scenario="slow:20"), deadline=at(30))
    assert reply.status == 201
    assert watch.slept_s == pytest.approx(20)


async def test_a_slow_answer_is_lost_at_the_deadline_though_it_was_executed(world: World):
    bank, watch, transport = world
    with pytest.raises(AnswerLost):
        await transport.exchange(to_bank(scenario="slow:40"), deadline=at(30))
    assert 30 <= watch.slept_s < 31
    assert len((await bank.books("a", "p1")).executed) == 1


async def test_moving_the_clock_ends_the_wait(world: World):
    _, watch, transport = world
    watch.jump_after_s = 3
    reply = await transport.exchange(to_bank(scenario="slow:5000"), deadline=at(30))
    assert reply.status == 201
    assert watch.slept_s < 4


async def test_a_lost_answer(world: World):
    bank, _, transport = world
    with pytest.raises(AnswerLost):
        await transport.exchange(to_bank(scenario="lost_answer:executed"), deadline=at(30))
    assert len((await bank.books("a", "p1")).executed) == 1


@pytest.mark.parametrize("deadline", [NOW, NOW - timedelta(seconds=1)])
async def test_nothing_is_handed_over_after_the_deadline(world: World, deadline: object):
    bank, _, transport = world
    with pytest.raises(NotConnected):
        await transport.exchange(to_bank(), deadline=deadline)  # type: ignore[arg-type]
    assert (await bank.books("a", "p1")).entries == ()


async def test_without_a_deadline_an_answer_is_waited_for_as_long_as_it_takes(world: World):
    _, watch, transport = world
    reply = await transport.exchange(to_bank(scenario="slow:900"))
    assert body(reply)["refund"]["status"] == "succeeded"
    assert watch.slept_s == pytest.approx(900)


async def test_a_path_that_is_not_the_banks_is_our_own_mistake(world: World):
    with pytest.raises(ValueError, match="not a path"):
        await world[2].exchange(Call(method="GET", path="/refunds"))
