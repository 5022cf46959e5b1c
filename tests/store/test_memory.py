"""The memory store's own faults: lost commits, servers that stop or are restored, processes that die, any interleaving.

What it has in common with PostgreSQL is tried by the conformance tests.
"""

import asyncio
import random
from collections import Counter, defaultdict
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from moneyback.core import ledger
from moneyback.core.commands import Admitted, Moved, Now, Replayed
from moneyback.core.payment import Payment
from moneyback.core.refund import HOLDING, Event, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.simulator.loop import SimLoop, run
from moneyback.store.gather import Writes, WrittenFirst
from moneyback.store.memory import ConstraintBroken, Fate, MemoryDatabase, MemoryStore, Stage
from moneyback.store.port import Cursor, StoreUnavailable
from tests.store.engine import NUMBERS, START, Engine, MemoryCell, keyed, reasons

LOST: tuple[Fate, ...] = ("lost", "dropped")


class Fates:
    """What becomes of the next commits, in turn; later ones are answered."""

    def __init__(self) -> None:
        self.next: list[Fate] = []

    def __call__(self, _store: MemoryStore) -> Fate:
        return self.next.pop(0) if self.next else "answered"


@pytest.fixture
def fates() -> Fates:
    return Fates()


@pytest.fixture
def database(fates: Fates) -> MemoryDatabase:
    database = MemoryCell().database
    database.fate = fates
    return database


@pytest.fixture
def engine(database: MemoryDatabase) -> Engine:
    return Engine(MemoryStore(database))


@pytest.mark.parametrize("fate", LOST)
async def test_a_lost_answer_leaves_one_refund_and_the_right_answer(engine: Engine, fates: Fates, fate: Fate):
    payment = await engine.pay()
    fates.next = [fate]
    command = engine.request(payment, 300)
    result = await engine.do(command)
    assert fates.next == []
    assert isinstance(result, Admitted) and result.refund.id == command.id
    assert [each.id for each in await engine.refunds(payment)] == [command.id]
    assert (await engine.payment(payment)).held == 300


@pytest.mark.parametrize("fate", LOST)
async def test_a_lost_answer_to_many_is_right_for_each(engine: Engine, fates: Fates, fate: Fate):
    payment = await engine.pay(captured=3_000)
    fates.next = [fate, fate, fate]
    commands = [engine.request(payment, 100, key=keyed(f"k{n}") if n % 2 else None) for n in range(40)]
    results = await asyncio.gather(*(engine.do(each) for each in commands))
    assert Counter(type(each) for each in results) == {Admitted: 30, Refusal: 10}
    assert len(await engine.refunds(payment)) == 30


@pytest.mark.parametrize("fate", LOST)
async def test_a_commit_without_an_event_is_looked_up_or_decided_again(engine: Engine, fates: Fates, fate: Fate):
    engine = Engine(engine.store, merged=True)
    refund = await engine.admit(await engine.pay(), 300, armable=True)
    fates.next = [fate]
    assert isinstance(await engine.see(refund, Event.KEY_UNKNOWN, digest=""), Moved)
    assert (await engine.refund(refund)).evidence_version == 1
    fates.next = [fate]
    refused = await engine.ask(await engine.pay(), 99_999, key=keyed("k"))
    assert isinstance(refused, Refusal | Replayed)
    assert (await engine.key("k")).status == 422


async def test_a_server_that_stops_admits_nothing_and_is_found_again(database: MemoryDatabase, engine: Engine):
    payment = await engine.pay()
    database.stop()
    with pytest.raises(StoreUnavailable):
        await engine.ask(payment, 300)
    with pytest.raises(StoreUnavailable):
        await engine.payment(payment)
    with pytest.raises(StoreUnavailable):
        await engine.store.claim(1, timedelta(seconds=1))
    database.start()
    assert await engine.refunds(payment) == []
    await engine.admit(payment, 300)


async def reach(database: MemoryDatabase, stage: Stage, asking: asyncio.Future[Any]) -> None:
    """Stop `asking` at a stage: what is done next is done in between. It goes on when this test awaits something."""
    reached = asyncio.Event()
    go_on = database.pause

    async def stop_once(now: Stage) -> None:
        if now == stage and not reached.is_set():
            reached.set()
            await asyncio.sleep(0)
        await go_on(now)

    database.pause = stop_once
    await reached.wait()
    assert not asking.done()


@pytest.mark.parametrize("happening", ["stop", "disconnect", "restore"])
async def test_what_was_decided_and_not_committed_never_was(database: MemoryDatabase, engine: Engine, happening: str):
    payment = await engine.pay()
    before = database.snapshot()
    asking = asyncio.ensure_future(engine.ask(payment, 300))
    await reach(database, "decided", asking)
    assert database.locked(("payment", engine.merchant, payment.id))
    match happening:
        case "stop":
            database.stop()
        case "disconnect":
            assert isinstance(engine.store, MemoryStore)
            database.disconnect(engine.store)
        case "restore":
            database.restore(before)
    with pytest.raises(StoreUnavailable):
        await asking
    database.start()
    assert not database.locked(("payment", engine.merchant, payment.id))
    assert await engine.refunds(payment) == []
    await engine.admit(payment, 300)


async def test_what_was_committed_when_the_server_stopped_is_found(database: MemoryDatabase, engine: Engine):
    payment = await engine.pay()
    asking = asyncio.ensure_future(engine.ask(payment, 300))
    await reach(database, "committed", asking)
    database.stop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not asking.done()
    database.start()
    assert isinstance(await asking, Admitted)
    assert len(await engine.refunds(payment)) == 1


async def test_a_backup_brings_everything_back_as_it_was(database: MemoryDatabase, engine: Engine):
    payment = await engine.pay()
    kept = await engine.admit(payment, 100, sequence=NUMBERS)
    backup = database.snapshot()
    forgotten = await engine.admit(payment, 200, sequence=NUMBERS, key=keyed("k"))
    log = await engine.log(until=3)
    database.restore(backup)
    assert [each.id for each in await engine.refunds(payment)] == [kept.id]
    assert (await engine.payment(payment)).held == 100
    assert await engine.store.key(engine.merchant, "native", "k") is None
    again = await engine.admit(payment, 200, sequence=NUMBERS)
    assert again.dialect_id == forgotten.dialect_id
    after = await engine.log(until=3)
    assert [each.event for each in after[:2]] == [each.event for each in log[:2]]
    assert {each.cursor.epoch for each in after} == {2}
    database.restore(backup)  # a backup is not spent by being used
    assert (await engine.payment(payment)).held == 100


async def test_what_the_database_would_not_write_is_not_written(database: MemoryDatabase, engine: Engine):
    """The last line: were a decision ever wrong, it could not be committed, nor any other row beside it."""
    payment = await engine.pay()
    refund = await engine.admit(payment, 300)
    payment = await engine.payment(payment)
    beside = replace(await engine.pay(), held=1)
    before = database.rows.copy()
    wrongs: list[tuple[type[Exception], Any, Any]] = [
        (ConstraintBroken, replace(payment, held=10_001), refund),
        (ConstraintBroken, replace(payment, refunded=-1), refund),
        (ConstraintBroken, payment, replace(refund, payer=301)),
        (ConstraintBroken, payment, replace(refund, payer=0, wallet=0)),
        (ConstraintBroken, payment, replace(refund, payment=refund.id)),
        (WrittenFirst, replace(payment, reference=beside.reference), refund),
        (WrittenFirst, replace(payment, dialect_id=beside.dialect_id), refund),
    ]
    for error, wrong_payment, wrong_refund in wrongs:
        writes = Writes({payment.id, refund.id, beside.id})
        writes.payments = {beside.id: beside, payment.id: wrong_payment}
        writes.refunds = {refund.id: wrong_refund}
        transaction = database.begin(MemoryStore(database))
        with pytest.raises(error):
            database.commit(transaction, writes, {})
        database.end(transaction)
        before.xid = database.rows.xid
        assert database.rows == before


# --- any interleaving ------------------------------------------------------------------------------------------------


def check(database: MemoryDatabase) -> None:
    """The counters are what the movements add up to, and what the refunds say."""
    rows = database.rows
    for place, payment in rows.payments.items():
        movements = [each for each in rows.movements.values() if each.payment == payment.id]
        refunds = [rows.refunds[(place[0], each)] for each in rows.of_payment.get(place, ())]
        balances = ledger.balances(movements)
        assert payment.held == sum(each.payer for each in refunds if each.state in HOLDING)
        assert payment.held == balances.get((ledger.HOLDS, "EUR"), 0)
        assert payment.refunded == sum(each.payer for each in refunds if each.state is State.SUCCEEDED)
        assert payment.spent <= payment.captured and payment.excess == 0
        for refund in refunds:
            count = sum(each.object == refund.id for each in rows.events.values())
            assert count == refund.version
    told = defaultdict[UUID, list[int]](list)
    for _, event in sorted(rows.events.items()):
        told[event.object].append(event.sequence)
    assert all(sequences == sorted(sequences) for sequences in told.values())


async def hostile(loop: SimLoop, seed: int) -> tuple[int, Counter[str]]:
    """Two processes, few payments, shared keys, lost commits: every command is one refund, and the books are exact."""
    dice, met = random.Random(seed), Counter[str]()

    def fate(_store: MemoryStore) -> Fate:
        chosen: Fate = dice.choice(("answered", "answered", "lost", "dropped"))
        met[chosen] += 1
        return chosen

    database = MemoryDatabase(lambda: Now(business=loop.now(), real=loop.now()))
    first = Engine(MemoryStore(database), merged=True, join_within=timedelta(seconds=60))
    second = first.on(MemoryStore(database))
    payments = [await first.pay(captured=500) for _ in range(2)]
    database.fate = fate

    async def live(number: int) -> Any:
        engine, other = (first, second) if number % 2 else (second, first)
        payment: Payment = payments[number % 2 if number % 5 else 0]
        equality = b"same" if number % 7 == 0 else None
        key = keyed(f"k{number // 2}", b"%d" % (number % 2 if number % 3 else 0)) if number % 3 else None
        command = engine.request(payment, 60, armable=True, key=key, equality=equality)
        result = await engine.do(command)
        if isinstance(result, Admitted):
            assert result.refund.id == command.id
            event = Event.EXECUTED if number % 4 else Event.REFUSED
            await asyncio.gather(other.see(result.refund, event), engine.look(result.refund))
        return result

    results = await asyncio.gather(*(live(number) for number in range(24)))
    for result in results:
        assert not isinstance(result, Refusal) or reasons(result)[0] in (
            *(Reason.EXCEEDS_REFUNDABLE, Reason.NOTHING_LEFT, Reason.KEY_REUSED),
        )
    admitted = {each.refund.id for each in results if isinstance(each, Admitted)}
    assert admitted == {refund for _, refund in database.rows.refunds}
    assert all(row.refund in admitted or row.answer for row in database.rows.keys.values())
    check(database)
    assert await first.store.events(first.merchant, Cursor(), 1) != ()
    return len(admitted), met


def test_any_interleaving_of_two_processes_keeps_the_books():
    counts, fates = set[int](), Counter[str]()
    for seed in range(60):
        count, met = run(seed, partial(hostile, seed=seed), start=START)
        counts.add(count)
        fates += met
    assert min(counts) > 5
    assert all(fates[each] > 50 for each in ("answered", "lost", "dropped"))
