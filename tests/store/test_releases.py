"""Releases on both stores: what is due of them is found, what is not is left, and the fence is one for all."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from moneyback.core.commands import ArmRelease, ExpireRelease, Observation, ObserveRelease, Standing
from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Event, State
from moneyback.core.refusals import Refusal
from moneyback.core.release import Release, release_of
from moneyback.ids import new_id
from moneyback.store.port import Store, Work
from moneyback.store.verify import verify
from tests.store.engine import START, Engine, MemoryCell, PostgresCell, open_cell

Cell = MemoryCell | PostgresCell
LEASE = timedelta(seconds=60)
OVER = timedelta(seconds=-1)  # a lease that has run out already


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


async def authorise(engine: Engine, **facts: Any) -> Payment:
    plain = {"condition": Condition.AUTHORIZED, "authorized": 10_000, "captured": 0, "captured_at": None}
    return await engine.pay(**{**plain, **facts})


async def arm(engine: Engine, payment: Payment) -> Any:
    id = new_id()
    owner: dict[str, Any] = {"merchant": engine.merchant, "payment": payment.id, "terms": engine.terms}
    return await engine.do(ArmRelease(**owner, release=id, dialect_id=id.hex, evidence=new_id()))


async def see(engine: Engine, payment: Payment, *events: Event, looks: int | None = None) -> Any:
    seen = tuple(Observation(event=each, id=new_id(), digest=new_id().hex) for each in events)
    owner: dict[str, Any] = {"merchant": engine.merchant, "payment": payment.id, "terms": engine.terms}
    id = (await release(engine, payment)).id
    assert id is not None
    return await engine.do(ObserveRelease(**owner, release=id, evidence=new_id(), observations=seen, looks=looks))


async def release(engine: Engine, payment: Payment) -> Release:
    found = release_of(await engine.payment(payment))
    assert found is not None
    return found


async def due(store: Store, engine: Engine) -> list[Work]:
    pieces = await store.claim(1_000, LEASE)
    return [each for each in pieces if each.kind == "release" and each.merchant == engine.merchant]


async def test_what_is_written_is_what_is_read(store: Store):
    engine = Engine(store)
    payment = await authorise(engine)
    result = await arm(engine, payment)
    assert isinstance(result, Standing) and await engine.payment(payment) == result.payment
    id = (await release(engine, payment)).id
    assert id is not None
    attempt = await store.attempt(engine.merchant, id, 1)
    assert attempt is not None and (attempt.kind, attempt.amount, attempt.outcome) == ("release", None, "armed")
    result = await see(engine, payment, Event.LOST)
    assert await engine.payment(payment) == result.payment


async def test_a_lease_that_ran_out_is_found(store: Store):
    engine = Engine(store, lease=OVER, send_deadline=OVER)
    payment = await authorise(engine)
    await arm(engine, payment)
    id = (await release(engine, payment)).id
    assert id is not None
    assert await due(store, engine) == [Work("release", engine.merchant, id, payment.id, payment.rail)]
    owner: dict[str, Any] = {"merchant": engine.merchant, "payment": payment.id, "terms": engine.terms}
    await engine.do(ExpireRelease(**owner, release=id, evidence=new_id()))
    assert (await release(engine, payment)).state is State.UNKNOWN
    assert await due(store, engine) == []


@pytest.mark.parametrize("event", [Event.LOST, Event.ACCEPTED])
async def test_a_look_is_found_when_it_is_due(cell: Cell, store: Store, event: Event):
    engine = Engine(store)
    payment = await authorise(engine)
    await arm(engine, payment)
    assert await due(store, engine) == [], "neither its lease nor a look"
    await see(engine, payment, event)
    assert await due(store, engine) == []
    await cell.advance(timedelta(seconds=3))
    [piece] = await due(store, engine)
    assert (piece.refund, piece.payment) == ((await release(engine, payment)).id, payment.id)
    await see(engine, payment, looks=0)
    assert await due(store, engine) == [], "the next one comes later"
    await see(engine, payment, Event.EXECUTED)
    await cell.advance(timedelta(days=2))
    assert await due(store, engine) == []


async def test_a_document_that_speaks_of_releases_is_left_alone(store: Store):
    engine = Engine(store)
    said: list[Any] = [
        {"state": "sending", "lease_until": "never", "id": str(UUID(int=7))},
        {"state": "unknown", "look_at": START.isoformat(), "id": str(UUID(int=7))},
        {"state": "pending"},
        "unknown",
    ]
    for each in said:
        payment = await engine.pay(document={"release": each})
        refund = await engine.admit(payment, 100)
        await engine.send(refund)
    assert await due(store, engine) == []


async def test_of_many_who_ask_at_once_one_is_armed(cell: Cell):
    stores = [await cell.process() for _ in range(3)]
    engines = [Engine(stores[0])]
    engines += [engines[0].on(each) for each in stores[1:]]
    payments = [await authorise(engines[0]) for _ in range(4)]
    asked = [(engine, payment) for payment in payments for engine in engines for _ in range(3)]
    results = await asyncio.gather(*(arm(engine, payment) for engine, payment in asked))
    for payment in payments:
        mine = [result for result, (_, each) in zip(results, asked, strict=True) if each.id == payment.id]
        assert sum(isinstance(each, Standing) for each in mine) == 1
        assert sum(isinstance(each, Refusal) for each in mine) == len(mine) - 1


async def test_a_refund_behind_a_release_is_not_claimed(store: Store):
    engine = Engine(store)
    payment = await authorise(engine)
    await arm(engine, payment)
    await see(engine, payment, Event.LOST)
    await engine.sight(payment, "captured", 10_000)
    refund = await engine.admit(payment, 100)

    async def sends() -> list[UUID]:
        pieces = await store.claim(1_000, LEASE)
        return [each.refund for each in pieces if each.kind == "send" and each.merchant == engine.merchant]

    assert await sends() == []
    await see(engine, payment, Event.REFUSED)
    assert await sends() == [refund.id]


# --- on PostgreSQL alone ---------------------------------------------------------------------------------------------

OF = "merchant_id = $1 and kind = 'release'"
BROKEN = {
    "an attempt that is in flight and of nobody": (
        "insert into attempts select merchant_id, gen_random_uuid(), generation, kind, mark, amount, outcome, "
        f"armed_at, send_deadline, lease_until, pre_read from attempts where {OF} and outcome = 'unknown'",
        {"attempt.release"},
    ),
    "an attempt that ended while its release goes on": (
        f"update attempts set outcome = 'executed' where {OF} and outcome = 'unknown'",
        {"payment.fence"},
    ),
    "an attempt forgotten": (f"delete from attempts where {OF} and outcome = 'unknown'", {"payment.fence"}),
    "a fence let go too early": (
        "update payments set fence = null where merchant_id = $1 and fence is not null",
        {"attempt.release"},
    ),
    "a release called ended that holds the fence": (
        "update payments set details = jsonb_set(details, '{document,release,state}', '\"failed\"') "
        "where merchant_id = $1 and fence is not null",
        {"payment.fence"},
    ),
}


@pytest.mark.parametrize("name", [None, *BROKEN])
async def test_verify_knows_releases(module_database: str, name: str | None):
    cell = await open_cell(module_database)
    try:
        engine = Engine(await cell.process())
        executed, late = [Event.EXECUTED], [Event.LOST, Event.ACCEPTED, Event.EXECUTED]
        for way in (executed, [Event.REFUSED], [Event.NOT_TAKEN], late):
            payment = await authorise(engine)
            await arm(engine, payment)
            for event in way:
                await see(engine, payment, event)
        doubted = await authorise(engine)
        await arm(engine, doubted)
        await see(engine, doubted, Event.LOST)
        if name is not None:
            connection = await asyncpg.connect(module_database)
            try:
                await connection.execute(BROKEN[name][0], engine.merchant)
            finally:
                await connection.close()
        found = {each.kind for each in (await verify(module_database, engine.merchant)).differences}
        assert found == (BROKEN[name][1] if name is not None else set())
    finally:
        await cell.close()


async def test_releases_are_found_by_their_own_index(module_database: str):
    cell = await open_cell(module_database)
    try:
        store = await cell.process()
        connection = await asyncpg.connect(module_database)
        try:
            await connection.execute("set enable_seqscan = off")
            plan = await connection.fetch(f"explain {store.sql['claim_releases']}", 64)  # type: ignore[union-attr]
        finally:
            await connection.close()
        assert any("payments_releasing" in row[0] for row in plan)
    finally:
        await cell.close()
