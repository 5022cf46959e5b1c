"""The commit path on PostgreSQL: lost answers, poisoned batches, held rows, a database that goes away, and races."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from moneyback.core.commands import Admitted, Joined, Moved, Replayed, SaveAnswer, Saved
from moneyback.core.payment import Payment
from moneyback.core.refund import Event, Refund, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.store import postgres as commit_path
from moneyback.store.embedded import Cluster
from moneyback.store.gather import WrittenFirst
from moneyback.store.port import StoreUnavailable
from moneyback.store.postgres import PostgresStore, open_store
from tests.store.engine import PATIENCE_S, START, Engine, PostgresCell, keyed, reasons, sequences
from tests.store.proxy import Fault, Proxy, proxied

FAULTS: tuple[Fault, ...] = ("swallow", "hold", "drop", "stall")


@pytest.fixture
async def cell(database: str) -> AsyncIterator[PostgresCell]:
    opened = PostgresCell(database)
    yield opened
    await opened.close()


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    async with proxied(database) as opened:
        yield opened


@pytest.fixture
async def store(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PostgresStore]:
    """A process that reaches its database through the proxy, and does not wait long for an answer to COMMIT."""
    monkeypatch.setattr(commit_path, "COMMIT_PATIENCE_S", 0.1)
    opened = await open_store(proxy.dsn, connections_max=2)
    yield opened
    await opened.close()


async def refunds_of(cell: PostgresCell, payment: Payment) -> list[Any]:
    """What is in the table, past every store."""
    async with cell.raw() as connection:
        return list(await connection.fetch("select id, state from refunds where payment_id = $1", payment.id))


# --- the answer to COMMIT is lost ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("with_key", [False, True], ids=["keyless", "keyed"])
async def test_a_lost_answer_leaves_one_refund_and_the_right_answer(
    cell: PostgresCell, proxy: Proxy, store: PostgresStore, fault: Fault, with_key: bool
):
    engine = Engine(store)
    payment = await engine.pay()
    command = engine.request(payment, 300, key=keyed("k") if with_key else None)
    proxy.arm(fault)
    result = await engine.do(command)
    assert proxy.struck.is_set()
    assert isinstance(result, Admitted) and result.refund.id == command.id
    assert [row["id"] for row in await refunds_of(cell, payment)] == [command.id]
    assert (await engine.payment(payment)).held == 300
    assert sequences(await engine.log(until=2))[command.id] == [1]
    if with_key:
        assert (await engine.key("k")).refund == command.id


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_lost_answer_to_many_is_right_for_each(
    cell: PostgresCell, proxy: Proxy, store: PostgresStore, fault: Fault
):
    engine = Engine(store)
    payment, before = await engine.pay(captured=3_000), await engine.pay()
    replayed = engine.request(before, 10, key=keyed("before"))
    await engine.do(replayed)
    commands = [engine.request(payment, 100, key=keyed(f"k{n}") if n % 2 else None) for n in range(40)]
    proxy.arm(fault)
    results = await asyncio.gather(*(engine.do(each) for each in (*commands, replayed)))
    assert proxy.struck.is_set()
    again = results.pop()
    assert isinstance(again, Replayed) and again.key.refund == replayed.id
    admitted = {each.refund.id for each in results if isinstance(each, Admitted)}
    assert len(admitted) == 30 and admitted == {row["id"] for row in await refunds_of(cell, payment)}
    assert all(reasons(each) == [Reason.NOTHING_LEFT, Reason.EXCEEDS_REFUNDABLE] for each in results[30:])
    assert (await engine.payment(payment)).held == 3_000


async def test_nobody_is_answered_while_the_transaction_still_runs(
    cell: PostgresCell, proxy: Proxy, store: PostgresStore
):
    """The COMMIT is on its way when the process asks what became of it: "not there yet" is not "not there"."""
    engine = Engine(store)
    payment = await engine.pay()
    proxy.arm("delay")
    asking = asyncio.ensure_future(engine.ask(payment, 300))
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(3):  # it asks, and asks again
            told = asyncio.ensure_future(proxy.asked.get())
            await asyncio.wait({told, asking}, return_when=asyncio.FIRST_COMPLETED)
            assert not asking.done()
        proxy.deliver()
        result = await asking
    assert isinstance(result, Admitted)
    assert [row["id"] for row in await refunds_of(cell, payment)] == [result.refund.id]


async def test_doubt_outlasts_a_database_that_goes_away(cell: PostgresCell, proxy: Proxy, store: PostgresStore):
    engine = Engine(store)
    payment = await engine.pay()
    proxy.arm("swallow")
    asking = asyncio.ensure_future(engine.ask(payment, 300))
    await proxy.struck.wait()
    await proxy.cut()
    await asyncio.sleep(0)
    assert not asking.done()
    await proxy.mend()
    assert isinstance(await asking, Admitted)
    assert len(await refunds_of(cell, payment)) == 1


async def test_a_commit_without_an_event_is_known_by_its_evidence(
    cell: PostgresCell, proxy: Proxy, store: PostgresStore
):
    """A sighting that moves nothing: decided again it would be written twice, or fail for being there already."""
    engine = Engine(store, merged=True)
    refund = await engine.admit(await engine.pay(), 300, armable=True)
    proxy.arm("swallow")
    result = await engine.see(refund, Event.KEY_UNKNOWN, digest="")
    assert proxy.struck.is_set()
    assert isinstance(result, Moved) and not result.changed
    assert (await engine.refund(refund)).evidence_version == 1
    async with cell.raw() as connection:
        assert await connection.fetchval("select count(*) from evidence") == 1


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_commit_without_any_row_of_its_own_is_decided_again(proxy: Proxy, store: PostgresStore, fault: Fault):
    engine = Engine(store)
    payment = await engine.pay()
    refund = await engine.admit(payment, 300)
    proxy.arm(fault)
    assert isinstance(await engine.fence(refund), Moved)
    assert (await engine.payment(payment)).fence == refund.id
    proxy.arm(fault)
    refused = await engine.ask(payment, 10_000, key=keyed("k"))
    assert proxy.struck.is_set()
    assert isinstance(refused, Refusal) or (isinstance(refused, Replayed) and refused.key.answer == b"refused")
    assert (await engine.key("k")).status == 422


async def test_a_number_that_was_never_given_out_is_no_running_transaction(cell: PostgresCell):
    """After a failover to a server that had not heard of it yet."""
    store = await cell.process()
    async with cell.raw() as connection:
        assert await connection.fetchval(store.sql["transaction_status"], str(2**40)) is None
        running = await connection.fetchval("select pg_current_xact_id()::text")
        assert await connection.fetchval(store.sql["transaction_status"], running) == "committed"
        async with connection.transaction():
            running = await connection.fetchval("select pg_current_xact_id()::text")
            async with cell.raw() as beside:
                assert await beside.fetchval(store.sql["transaction_status"], running) == "in progress"


# --- the database goes away ------------------------------------------------------------------------------------------


async def test_a_database_out_of_reach_admits_nothing_and_is_found_again(
    cell: PostgresCell, proxy: Proxy, store: PostgresStore
):
    engine = Engine(store)
    payment = await engine.pay()
    await proxy.cut()
    results = await asyncio.gather(*(engine.ask(payment, 10) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(each, StoreUnavailable) for each in results)
    for read in (store.payment(engine.merchant, payment.id), store.now(), store.claim(1, timedelta(seconds=60))):
        with pytest.raises(StoreUnavailable):
            await read
    assert await refunds_of(cell, payment) == []
    await proxy.mend()
    await engine.admit(payment, 10)
    assert (await engine.payment(payment)).held == 10


async def test_a_terminated_backend_admits_nothing_and_is_replaced(cell: PostgresCell):
    """It is ended in the middle of a batch: between its locks and its commit."""
    engine = Engine(await cell.process())
    payment = await engine.pay()
    async with holding_key(cell, engine, "k"):
        asking = asyncio.ensure_future(engine.ask(payment, 300, key=keyed("k")))
        [pid] = await waiting(cell)
        async with cell.raw() as connection:
            await connection.execute("select pg_terminate_backend($1)", pid)
        with pytest.raises(StoreUnavailable):
            await asking
    assert await refunds_of(cell, payment) == []
    await engine.admit(payment, 300, key=keyed("k"))
    assert len(await refunds_of(cell, payment)) == 1


async def test_a_server_that_stops_and_starts_is_found_again(cell: PostgresCell, postgres: Cluster):
    engine = Engine(await cell.process())
    payment = await engine.pay()
    asking = [engine.ask(payment, 10) for _ in range(10)]
    try:
        await stop(cell)
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(each, StoreUnavailable) for each in results), results
        with pytest.raises(StoreUnavailable):
            await engine.payment(payment)
    finally:
        await asyncio.to_thread(postgres.ensure_running)
    await engine.admit(payment, 10)
    assert len(await refunds_of(cell, payment)) == 1


async def stop(cell: PostgresCell) -> None:
    """Stop the server as an operator would, connections or not, and return when it takes no more."""
    async with cell.raw() as connection:
        data = await connection.fetchval("select current_setting('data_directory')")
    os.kill(int((Path(data) / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with cell.raw():
                    pass
            except (OSError, asyncpg.PostgresError):
                if not (Path(data) / "postmaster.pid").exists():
                    return


# --- rows that others hold -------------------------------------------------------------------------------------------


@asynccontextmanager
async def holding_key(cell: PostgresCell, engine: Engine, key: str) -> AsyncIterator[None]:
    """An outsider has inserted an idempotency key and not committed: whoever claims it waits. It is rolled back."""
    async with cell.raw() as connection:
        await connection.execute("begin")
        await connection.execute(
            "insert into idempotency (merchant_id, dialect, key, fingerprint, answer_due, created_at) "
            "values ($1, 'native', $2, '', now(), now())",
            *(engine.merchant, key),
        )
        yield
        await connection.execute("rollback")


async def waiting(cell: PostgresCell, count: int = 1) -> list[int]:
    """The backends of stores on this database that wait for a lock, once there are as many."""
    async with asyncio.timeout(PATIENCE_S), cell.raw() as connection:
        while True:
            found = await connection.fetch(
                "select pid from pg_stat_activity where datname = current_database() "
                "and application_name = 'moneyback' and wait_event_type = 'Lock'"
            )
            if len(found) >= count:
                return [row["pid"] for row in found]


async def test_nobody_decides_on_a_payment_that_another_process_has_not_committed(
    cell: PostgresCell, proxy: Proxy, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
):
    """One process has decided, and its COMMIT is on its way; the other must see what it comes to."""
    monkeypatch.setattr(commit_path, "COMMIT_PATIENCE_S", PATIENCE_S)
    one, other = Engine(store), await cell.process()
    payment = await one.pay(captured=1_000)
    proxy.arm("delay")
    first = asyncio.ensure_future(one.ask(payment, 700))
    await proxy.struck.wait()
    second = asyncio.ensure_future(one.on(other).ask(payment, 700))
    await waiting(cell)
    proxy.deliver()
    assert isinstance(await first, Admitted)
    assert reasons(await second) == [Reason.EXCEEDS_REFUNDABLE]
    assert len(await refunds_of(cell, payment)) == 1


async def test_a_row_that_stays_held_is_unavailable_and_admits_nothing(
    cell: PostgresCell, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(commit_path.SESSION, "lock_timeout", "100ms")
    engine = Engine(await cell.process())
    held, free = await engine.pay(), await engine.pay()
    async with cell.holding(held):
        late = [asyncio.ensure_future(engine.ask(held, 10, key=keyed(f"k{n}"))) for n in range(8)]
        await waiting(cell)
        for _ in range(10):
            await engine.admit(free, 10)
        results = await asyncio.gather(*late, return_exceptions=True)
    assert all(isinstance(each, StoreUnavailable) for each in results)
    assert await refunds_of(cell, held) == []
    assert await engine.store.key(engine.merchant, "native", "k0") is None
    assert isinstance(await engine.ask(held, 10, key=keyed("k0")), Admitted)


async def test_a_row_that_is_held_a_while_is_waited_for(cell: PostgresCell):
    """Those that want it wait together, apart from the others, and are committed together when it comes free."""
    engine = Engine(await cell.process())
    held, free = await engine.pay(), await engine.pay()
    async with cell.holding(held):
        late = [asyncio.ensure_future(engine.ask(held, 10)) for _ in range(20)]
        await waiting(cell)
        for _ in range(20):
            await engine.admit(free, 10)
    results = await asyncio.gather(*late)
    assert all(isinstance(each, Admitted) for each in results)
    assert (await engine.payment(held)).held == 200


async def test_neither_claims_nor_reads_wait_for_a_locked_refund(cell: PostgresCell):
    """A claim that waited while it holds others could end in two waiting for each other."""
    engine = Engine(await cell.process())
    payment, elsewhere = await engine.pay(), await engine.pay()
    locked, free = await engine.admit(payment, 10), await engine.admit(elsewhere, 10)
    async with cell.raw() as connection, connection.transaction():
        await connection.execute("select 1 from refunds where id = $1 for update", locked.id)
        works = await engine.store.claim(10, timedelta(seconds=60))
        assert [work.refund for work in works] == [free.id]
        assert {each.id for each in await engine.refunds(payment)} == {locked.id}
    works = await engine.store.claim(10, timedelta(seconds=60))
    assert [work.refund for work in works] == [locked.id]


async def test_an_answer_that_comes_in_between_is_the_one_that_stands(cell: PostgresCell):
    engine = Engine(await cell.process())
    await engine.admit(await engine.pay(), 300, key=keyed("k"))
    named: dict[str, Any] = {"merchant": engine.merchant, "dialect": "native", "idempotency_key": "k"}
    async with cell.raw() as connection:
        await connection.execute("begin")
        await connection.execute("update idempotency set status = 201, answer = 'first'")
        saving = asyncio.ensure_future(engine.do(SaveAnswer(**named, status=202, answer=b"second")))
        await waiting(cell)
        await connection.execute("commit")
        assert await saving == Saved(201, b"first")


async def test_an_account_that_two_processes_open_keeps_both_payments(
    cell: PostgresCell, proxy: Proxy, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
):
    """Neither could lock a row that was not there."""
    monkeypatch.setattr(commit_path, "COMMIT_PATIENCE_S", PATIENCE_S)
    one, other = Engine(store), await cell.process()
    proxy.arm("delay")
    first = asyncio.ensure_future(one.pay(wallet="w", captured=100))
    await proxy.struck.wait()
    second = asyncio.ensure_future(one.on(other).pay(wallet="w", captured=30))
    await waiting(cell)
    proxy.deliver()
    await asyncio.gather(first, second)
    assert await cell.balance(one.merchant, "wallet/w") == 130


# --- poison ----------------------------------------------------------------------------------------------------------


async def test_a_broken_constraint_is_its_callers_error_alone(cell: PostgresCell):
    engine = Engine(await cell.process())
    payment = await engine.pay()
    async with cell.raw() as connection:
        rule = "alter table refunds add constraint planted check (details ->> 'reason' is distinct from 'poison')"
        await connection.execute(rule)
    commands = [engine.request(payment, 10, reason="poison" if n in (3, 17) else None) for n in range(30)]
    results = await asyncio.gather(*(engine.do(each) for each in commands), return_exceptions=True)
    assert Counter(type(each) for each in results) == {Admitted: 28, asyncpg.CheckViolationError: 2}
    assert (await engine.payment(payment)).held == 280


async def test_what_somebody_else_wrote_first_is_its_callers_error_alone(cell: PostgresCell):
    engine = Engine(await cell.process())
    payment = await engine.pay()
    commands = [engine.request(payment, 10) for _ in range(30)]
    async with cell.raw() as connection:
        await connection.execute(
            "insert into events (merchant_id, type, object_id, sequence, payment_id, at, data) "
            "values ($1, 'refund.created', $2, 1, $3, now(), '{}')",
            *(engine.merchant, commands[11].id, payment.id),
        )
    results = await asyncio.gather(*(engine.do(each) for each in commands), return_exceptions=True)
    assert isinstance(results.pop(11), WrittenFirst)
    assert all(isinstance(each, Admitted) for each in results)
    assert (await engine.payment(payment)).held == 290


async def test_more_than_came_in_is_refused_by_the_database_too(cell: PostgresCell):
    """The last line: were a decision ever wrong, the row could not be written."""
    engine = Engine(await cell.process())
    payment = await engine.pay()
    async with cell.raw() as connection:
        with pytest.raises(asyncpg.CheckViolationError, match="never_more_than_came_in"):
            await connection.execute("update payments set held = captured + 1 where id = $1", payment.id)


# --- the order of the log --------------------------------------------------------------------------------------------

Step = Callable[[Engine, Refund], Awaitable[Any]]


async def executed(engine: Engine, refund: Refund) -> Any:
    """Writes the payment's row."""
    return await engine.see(refund, Event.EXECUTED)


async def accepted(engine: Engine, refund: Refund) -> Any:
    """Moves the refund and leaves the payment as it is."""
    return await engine.see(refund, Event.ACCEPTED)


async def joined(engine: Engine, refund: Refund) -> Any:
    """Tells of the refund, whose state stays."""
    return await engine.ask(Payment(**PLAIN, id=refund.payment, merchant=refund.merchant), 300, equality=b"same")


PLAIN: dict[str, Any] = {
    "version": 1,
    "dialect": "native",
    "dialect_id": "",
    "rail": "sandbox",
    "account": "sandbox",
    "reference": "",
    "currency": "EUR",
    "created_at": START,
    "updated_at": START,
}


@pytest.mark.parametrize("theirs", [executed, accepted, joined])
async def test_an_earlier_transaction_never_writes_a_later_event(cell: PostgresCell, theirs: Step):
    """A batch has its number and waits; a later transaction writes the refund's next event; then the batch goes on.

    Were it to write now, the event after theirs would stand before it in the log.
    """
    ours = Engine(await cell.process(), merged=True, join_within=timedelta(hours=1))
    beside = ours.on(await cell.process())
    payment, elsewhere = await ours.pay(), await ours.pay()
    refund = await ours.admit(payment, 300, armable=True, equality=b"same")
    async with holding_key(cell, ours, "k"):
        blocked = asyncio.ensure_future(ours.ask(elsewhere, 10, key=keyed("k")))
        late = asyncio.ensure_future(ours.see(refund, Event.CAME_BACK))
        await waiting(cell)
        result = await theirs(beside, refund)
        assert isinstance(result, Moved | Joined)
    assert isinstance(await blocked, Admitted)
    assert (await late).refund.state is State.RETURNED
    version = (await ours.refund(refund)).version
    log = await ours.log(until=2 + 1 + version + (theirs is joined))
    assert sequences(log)[refund.id] == list(range(1, version + 1))
    assert sequences(log)[payment.id] == sorted(sequences(log)[payment.id])


# --- many processes --------------------------------------------------------------------------------------------------


async def test_four_processes_on_the_same_payments_and_keys(cell: PostgresCell):
    """Every key is sent to every process: one refund each, no deadlock, nothing beyond what came in."""
    engines = [Engine(await cell.process(), merged=True, fenced=False)]
    engines += [engines[0].on(await cell.process()) for _ in range(3)]
    first = engines[0]
    payments = [await first.pay(captured=1_000) for _ in range(5)]

    async def call(engine: Engine, number: int) -> Any:
        payment = payments[number % 5]
        return await engine.ask(payment, 30, key=keyed(f"k{number}", b"%d" % (number % 5)), armable=True)

    async with asyncio.timeout(PATIENCE_S):
        results = await asyncio.gather(*(call(engine, number) for number in range(200) for engine in engines))
    kinds = Counter(type(each) for each in results)
    assert kinds[Admitted] == 5 * 33
    assert kinds[Admitted] + kinds[Refusal] + kinds[Replayed] == 800
    for payment in payments:
        after = await first.payment(payment)
        assert (after.held, len(await refunds_of(cell, payment))) == (990, 33)
    async with cell.raw() as connection:
        query = "select deadlocks from pg_stat_database where datname = current_database()"
        assert await connection.fetchval(query) == 0
