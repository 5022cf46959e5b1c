"""Gathering: who is taken together with whom, and what callers hear when a batch does not come to its end."""

import asyncio
from collections.abc import Sequence

import pytest

from moneyback.bank import wire
from moneyback.bank.gathering import BATCH_MAX, Gathering, Waiting
from moneyback.bank.rules import Answer
from moneyback.bank.wire import RefundCall
from tests.bank.calls import NOW, refund_call, said


def waiting(number: int) -> Waiting:
    call = wire.asked(refund_call(key=f"k{number}"))
    assert isinstance(call, RefundCall)
    return Waiting("a", 4, call, NOW)


def keys(batch: Sequence[Waiting]) -> list[str | None]:
    return [each.call.key for each in batch]


class Commits:
    """Batches as they arrive; each is held until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.batches: list[list[str | None]] = []
        self.gate = asyncio.Event()
        self.error = error

    async def take(self, batch: Sequence[Waiting]) -> list[Answer]:
        self.batches.append(keys(batch))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [Answer(wire.refusal(200, each.call.key or "", "")) for each in batch]


async def submitted(gathering: Gathering, *numbers: int) -> list[asyncio.Task[Answer]]:
    tasks = [asyncio.ensure_future(gathering.submit(waiting(number))) for number in numbers]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_what_arrives_during_a_commit_is_taken_together_afterwards():
    commits = Commits()
    gathering = Gathering(commits.take)
    tasks = await submitted(gathering, 1)
    tasks += await submitted(gathering, 2, 3)
    tasks += await submitted(gathering, 4)
    commits.gate.set()
    answers = await asyncio.gather(*tasks)
    assert commits.batches == [["k1"], ["k2", "k3", "k4"]]
    assert [said(each) for each in answers] == [(200, f"k{n}") for n in (1, 2, 3, 4)]


async def test_a_batch_has_a_largest_size():
    commits = Commits()
    commits.gate.set()
    gathering = Gathering(commits.take)
    await asyncio.gather(*await submitted(gathering, *range(2 * BATCH_MAX + 1)))
    assert [len(batch) for batch in commits.batches] == [BATCH_MAX, BATCH_MAX, 1]


async def test_a_caller_who_goes_away_cancels_nothing():
    commits = Commits()
    gathering = Gathering(commits.take)
    one, two = await submitted(gathering, 1, 2)
    one.cancel()
    commits.gate.set()
    assert said(await two) == (200, "k2")
    assert commits.batches == [["k1", "k2"]]


async def test_whoever_does_not_fit_is_told_so():
    commits = Commits()
    gathering = Gathering(commits.take, waiting_max=2)
    tasks = await submitted(gathering, 1)
    tasks += await submitted(gathering, 2, 3, 4)
    commits.gate.set()
    assert [said(each) for each in await asyncio.gather(*tasks)] == [
        (200, "k1"),
        (200, "k2"),
        (200, "k3"),
        (429, "busy"),
    ]


async def test_closing_takes_what_waits_and_nothing_more():
    commits = Commits()
    gathering = Gathering(commits.take)
    tasks = await submitted(gathering, 1)
    tasks += await submitted(gathering, 2)
    closing = asyncio.ensure_future(gathering.close())
    await asyncio.sleep(0)
    assert said(await gathering.submit(waiting(3))) == (503, "maintenance")
    commits.gate.set()
    await closing
    assert [said(each) for each in await asyncio.gather(*tasks)] == [(200, "k1"), (200, "k2")]


async def test_a_mistake_reaches_its_callers_and_stops_nobody_else():
    commits = Commits(ZeroDivisionError())
    gathering = Gathering(commits.take)
    (one,) = await submitted(gathering, 1)
    (two,) = await submitted(gathering, 2)
    commits.gate.set()
    with pytest.raises(ZeroDivisionError):
        await one
    with pytest.raises(ZeroDivisionError):
        await two
    commits.error = None
    assert said(await gathering.submit(waiting(3))) == (200, "k3")


async def test_when_it_is_stopped_only_those_it_never_began_with_hear_that_nothing_was_done():
    commits = Commits()
    gathering = Gathering(commits.take)
    (begun,) = await submitted(gathering, 1)
    (queued,) = await submitted(gathering, 2)
    driver = gathering._driver
    assert driver is not None
    driver.cancel()
    assert (await begun).reply is None
    assert said(await queued) == (503, "maintenance")
