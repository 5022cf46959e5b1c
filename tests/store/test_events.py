"""The event log: nothing is shown that something earlier could still precede, so a cursor never passes an event by."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from moneyback.core.refund import Event
from moneyback.store.port import Cursor, Store
from tests.store.engine import Engine, MemoryCell, PostgresCell, open_cell, sequences

Cell = MemoryCell | PostgresCell


@pytest.fixture(params=["memory", "postgres"])
def place(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("module_database") if request.param == "postgres" else None


@pytest.fixture
async def cell(place: str | None) -> AsyncIterator[Cell]:
    opened = await open_cell(place)
    yield opened
    await opened.close()


@pytest.fixture
async def store(cell: Cell) -> Store:
    return await cell.process()


async def test_an_event_waits_for_every_transaction_that_began_before_it(cell: Cell, store: Store):
    engine = Engine(store)
    await engine.pay()
    [first] = await engine.log(until=1)
    async with cell.running():
        payment = await engine.pay()
        assert await engine.payment(payment) == payment  # committed, and readable by itself
        assert await store.events(engine.merchant, first.cursor, 10) == ()
    [second] = await engine.log(until=1, after=first.cursor)
    assert second.event.object == payment.id


async def test_a_slow_writer_is_not_passed_by(cell: Cell, store: Store):
    """The slow one began first and commits last: its event comes first, and a reader gets both."""
    engine, slow = Engine(store), Engine(await cell.process())
    slow = engine.on(slow.store)
    held, free = await engine.pay(), await engine.pay()
    seen = await engine.log(until=2)
    async with cell.holding(held):
        late = asyncio.ensure_future(slow.ask(held, 10))
        for _ in range(12):
            await engine.admit(free, 10)
    await late
    log = await engine.log(until=13, after=seen[-1].cursor)
    assert len({each.event.object for each in log}) == 13


async def test_what_happened_in_one_commit_is_told_in_its_order(store: Store):
    """Money that came back had reached the payer: two moves, one commit."""
    engine = Engine(store, merged=True)
    refund = await engine.admit(await engine.pay(), 300, armable=True)
    await engine.see(refund, Event.CAME_BACK)
    log = [each for each in await engine.log(until=4) if each.event.object == refund.id]
    assert [each.event.type for each in log] == ["refund.created", "refund.succeeded", "refund.returned"]
    assert log[1].cursor.xid == log[2].cursor.xid and log[1].cursor.id < log[2].cursor.id


async def test_an_event_reads_back_as_it_was_written(store: Store):
    engine = Engine(store)
    payment = await engine.pay()
    refund = await engine.admit(payment, 300)
    created, asked = [each.event for each in await engine.log(until=2)]
    assert (created.type, created.object, created.sequence) == ("payment.registered", payment.id, 1)
    assert created.data == {"captured": 10_000, "refundable": 10_000, "currency": "EUR"}
    assert (asked.type, asked.object, asked.payment) == ("refund.created", refund.id, payment.id)
    assert asked.data == {"state": "ready", "amount": 300, "currency": "EUR", "generation": 0}
    assert asked.at == refund.created_at


async def test_a_merchant_reads_its_own_events_only(store: Store):
    one, two = Engine(store), Engine(store)
    await asyncio.gather(one.pay(), two.pay(), one.pay(), two.pay())
    for engine in (one, two):
        log = await engine.log(until=2)
        assert {each.event.merchant for each in log} == {engine.merchant}
    assert sequences(await one.log(until=2)).keys().isdisjoint(sequences(await two.log(until=2)))


async def test_a_cursor_names_the_epoch_of_its_cell(cell: Cell, store: Store):
    """Transaction numbers start again from a backup: who reads on must be able to tell."""
    engine = Engine(store)
    await engine.pay()
    assert [each.cursor.epoch for each in await engine.log(until=1)] == [1]
    if isinstance(cell, MemoryCell):
        cell.database.restore(cell.database.snapshot())
    else:
        async with cell.raw() as connection:
            await connection.execute("update cell set epoch = epoch + 1")
    assert [each.cursor.epoch for each in await engine.log(until=1)] == [2]


async def test_a_page_has_at_most_as_many_as_were_asked_for(store: Store):
    engine = Engine(store)
    for _ in range(5):
        await engine.pay()
    await engine.log(until=5)
    assert [len(await store.events(engine.merchant, Cursor(), limit)) for limit in (1, 4, 5, 9)] == [1, 4, 5, 5]
