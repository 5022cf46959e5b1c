"""Sending on a real rail: a slot before anything is armed, a call that is cancelled, an end that drains, a breaker."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from msgspec.structs import replace

from moneyback.api.metrics import Metrics
from moneyback.core.commands import Admitted, Arm, RequestRefund
from moneyback.core.payment import Asked, Payment
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.dialect import AnswerLost, Call, NotConnected, Reply
from moneyback.flows import send_refund
from moneyback.flows.breaker import LOST_MAX, Breaker
from moneyback.flows.look import look_at_refund
from moneyback.flows.request_refund import request_refund
from moneyback.flows.send_refund import send_due
from moneyback.flows.work import begin_round, drain, work_round
from moneyback.store.access import Access
from moneyback.store.port import StoreUnavailable
from moneyback.store.reads import Reads
from moneyback.store.verify import verify
from moneyback.wiring import until_told
from moneyback.workers.loop import run_worker
from tests.test_rails import Provider, Scene, scene, work

HELD_S = 20
"""How long a test waits for what must come: far longer than it takes."""


async def a_rail(one: Scene, **settings: Any) -> Payment:
    """A payment on a new rail that this process knows."""
    merchant = await one.merchant()
    await one.add(merchant, settings=settings)
    await one.rails.learn(one.world)
    return await one.pay(merchant, "main")


async def asked(one: Scene, payment: Payment, amount: int = 1_000) -> Refund:
    """A refund that was admitted; its sending goes on beside."""
    id = uuid4()
    admitted = await request_refund(
        one.world,
        RequestRefund(
            merchant=payment.merchant,
            id=id,
            payment=payment.id,
            dialect="native",
            dialect_id=id.hex,
            terms=one.world.terms,
            asked=Asked(payer=amount),
        ),
    )
    assert isinstance(admitted, Admitted), admitted
    return admitted.refund


async def come(there: Callable[[], bool | Awaitable[bool]]) -> None:
    """Returns once something has come to pass."""
    async with asyncio.timeout(HELD_S):
        while True:
            is_there = there()
            if is_there if isinstance(is_there, bool) else await is_there:
                return
            await asyncio.sleep(0.005)


async def seen_of(one: Scene, refund: Refund) -> list[str]:
    """The events there is evidence of, oldest first, and what became of each attempt."""
    connection = await asyncpg.connect(one.dsn)
    try:
        found = await connection.fetch("select event from evidence where refund_id = $1 order by at, id", refund.id)
        attempts = await connection.fetch(
            "select outcome from attempts where refund_id = $1 order by generation", refund.id
        )
    finally:
        await connection.close()
    return [row["event"] for row in found] + [row["outcome"] for row in attempts]


class Street(Provider):
    """A provider behind a transport as it is: cancelled once a refund's bytes were written, its answer is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.connected = asyncio.Event()
        self.connected.set()
        self.connecting = asyncio.Event()
        """A refund is about to be written: before its first byte it waits for `connected`."""

    async def exchange(self, base_url: str, call: Call, *, deadline: float) -> Reply:
        if call.method == "POST":
            self.connecting.set()
            await self.connected.wait()
        try:
            return await super().exchange(base_url, call, deadline=deadline)
        except asyncio.CancelledError:
            raise AnswerLost("cancelled") from None


def on_street(one: Scene) -> Street:
    """A street in place of the scene's provider."""
    street = Street()
    one.provider = one.rails._transport = street  # type: ignore[assignment]
    return street


# --- a slot, then the arming -----------------------------------------------------------------------------------------


async def test_nothing_is_armed_without_a_slot_and_a_burst_is_no_failure(database: str):
    """Armed first and queued then, a burst runs into the send deadline: not sent, for mere load."""
    async with scene(database) as one:
        payment = await a_rail(one, at_once=1)
        others = [await one.pay(payment.merchant, "main") for _ in range(5)]
        one.provider.hold.clear()
        refunds = [await asked(one, each) for each in (payment, *others)]
        await one.provider.arrived.wait()
        assert [(await one.now(each)).generation for each in refunds] == [0] * 6
        assert len(one.provider.calls) == 1, "one is read; the others have not begun"
        one.provider.hold.set()
        await one.landed()
        assert [(await one.now(each)).state for each in refunds] == [State.SUCCEEDED] * 6
        assert one.provider.most == 1
        assert [call.method for call in one.provider.calls] == ["GET", "POST"] * 6, "a slot is held through the call"


async def test_a_refund_that_finds_no_slot_stays_ready_and_is_not_claimed_again_at_once(
    database: str, monkeypatch: pytest.MonkeyPatch
):
    async with scene(database) as one:
        payment = await a_rail(one, at_once=1)
        other = await one.pay(payment.merchant, "main")
        one.provider.hold.clear()
        await asked(one, payment)
        await one.provider.arrived.wait()
        monkeypatch.setattr(send_refund, "SLOT_PATIENCE_S", 0.01)
        waiting = await asked(one, other)
        await come(lambda: waiting.id not in one.world.flights)
        assert await work_round(one.world) == 0, "whoever admitted it has the claim"
        connection = await asyncpg.connect(database)
        try:
            await connection.execute("update refunds set claimed_until = null where id = $1", waiting.id)
        finally:
            await connection.close()
        assert [await work_round(one.world) for _ in range(3)] == [1, 0, 0]
        after = await one.now(waiting)
        assert (after.state, after.generation) == (State.READY, 0)
        assert len(one.provider.calls) == 1
        breaker = one.world.rail(payment.merchant, "main").breaker
        assert breaker is not None and breaker.why is None


async def test_refunds_that_wait_for_one_rail_hold_up_no_other(database: str):
    async with scene(database) as one:
        one.world = replace(one.world, slots=asyncio.Semaphore(1))
        payment = await a_rail(one, at_once=1)
        await one.add(payment.merchant, "beside")
        await one.rails.learn(one.world)
        others = [await one.pay(payment.merchant, "main") for _ in range(3)]
        beside = await one.pay(payment.merchant, "beside")
        one.provider.hold.clear()
        for each in (payment, *others):
            await asked(one, each)
        await come(lambda: one.provider.running == 1)
        refund = await asked(one, beside)
        await come(lambda: one.provider.running == 2)
        one.provider.hold.set()
        await one.landed()
        assert (await one.now(refund)).state is State.SUCCEEDED


async def test_the_worker_goes_on_beside_a_slow_rail(database: str):
    """Claimed together with one that takes for ever, what comes later is sent all the same."""
    async with scene(database) as one:
        payment = await a_rail(one, at_once=1)
        await one.add(payment.merchant, "beside")
        await one.rails.learn(one.world)
        slow = await one.store.submit(_admitting(one, payment))
        one.provider.hold.clear()
        begun = await begin_round(one.world)
        await come(lambda: one.provider.running == 1)
        one.provider.hold = asyncio.Event()
        one.provider.hold.set()
        quick = await one.store.submit(_admitting(one, await one.pay(payment.merchant, "beside")))
        assert isinstance(slow, Admitted) and isinstance(quick, Admitted)
        assert await work_round(one.world) == 1
        assert (await one.now(quick.refund)).state is State.SUCCEEDED
        assert (await one.now(slow.refund)).state is State.READY
        for each in begun:
            each.cancel()
        await asyncio.wait(begun)


def _admitting(one: Scene, payment: Payment) -> RequestRefund:
    id = uuid4()
    return RequestRefund(
        merchant=payment.merchant,
        id=id,
        payment=payment.id,
        dialect="native",
        dialect_id=id.hex,
        terms=one.world.terms,
        asked=Asked(payer=1_000),
    )


# --- cancelled -------------------------------------------------------------------------------------------------------


async def test_cancelled_before_the_first_byte_it_was_not_sent_and_that_is_recorded(database: str):
    async with scene(database) as one:
        street = on_street(one)
        payment = await a_rail(one)
        street.connected.clear()
        refund = await asked(one, payment)
        await street.connecting.wait()
        flight = one.world.flights[refund.id]
        assert (await one.now(refund)).state is State.SENDING
        flight.cancel()
        await asyncio.wait({flight})
        after = await one.now(refund)
        assert (after.state, after.generation, street.sent) == (State.READY, 1, [])
        assert await seen_of(one, refund) == ["send_failed", "not_sent"]
        breaker = one.world.rail(payment.merchant, "main").breaker
        assert breaker is not None and breaker.why is None, "that we end says nothing of the provider"
        street.connected.set()
        await send_due(one.world, work(refund, "send"))
        assert (await one.now(refund)).state is State.SUCCEEDED
        assert (await verify(database)).clean


async def test_cancelled_after_the_first_byte_its_outcome_is_unknown(database: str):
    async with scene(database) as one:
        street = on_street(one)
        payment = await a_rail(one)
        street.connected.clear()
        refund = await asked(one, payment)
        await street.connecting.wait()
        street.hold.clear()
        street.connected.set()
        await come(lambda: len(street.sent) == 1)
        flight = one.world.flights[refund.id]
        flight.cancel()
        flight.cancel()
        await asyncio.wait({flight})
        assert (await one.now(refund)).state is State.UNKNOWN
        assert await seen_of(one, refund) == ["lost", "unknown"]


async def test_cancelled_while_its_exchange_is_recorded_it_was_answered(database: str, monkeypatch: pytest.MonkeyPatch):
    """The answer is there: cancelled at this moment, the call must not look like one that was never made."""
    async with scene(database) as one:
        payment = await a_rail(one)
        recording, go_on = asyncio.Event(), asyncio.Event()

        async def slow(*words: Any) -> None:
            if words[-1][0] == "POST":
                recording.set()
                await go_on.wait()

        monkeypatch.setattr(one.book, "record", slow)
        refund = await asked(one, payment)
        await recording.wait()
        flight = one.world.flights[refund.id]
        flight.cancel()
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait({flight})
        assert (await one.now(refund)).state is State.SUCCEEDED
        assert len(one.provider.sent) == 1


async def test_cancelled_while_it_is_armed_it_is_not_sent_and_that_is_recorded(
    database: str, monkeypatch: pytest.MonkeyPatch
):
    async with scene(database) as one:
        payment = await a_rail(one)
        arming, go_on, submit = asyncio.Event(), asyncio.Event(), one.store.submit

        async def slowly(command: Any) -> Any:
            if isinstance(command, Arm):
                arming.set()
                await go_on.wait()
            return await submit(command)

        monkeypatch.setattr(one.store, "submit", slowly)
        refund = await asked(one, payment)
        await arming.wait()
        flight = one.world.flights[refund.id]
        flight.cancel()
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait({flight})
        after = await one.now(refund)
        assert (after.state, after.generation, one.provider.sent) == (State.READY, 1, [])
        assert await seen_of(one, refund) == ["send_failed", "not_sent"]


async def test_cancelled_before_it_is_armed_it_leaves_no_trace(database: str):
    async with scene(database) as one:
        payment = await a_rail(one)
        one.provider.hold.clear()
        refund = await asked(one, payment)
        await one.provider.arrived.wait()
        flight = one.world.flights[refund.id]
        flight.cancel()
        await asyncio.wait({flight})
        assert flight.cancelled()
        assert ((await one.now(refund)).state, await seen_of(one, refund)) == (State.READY, [])


# --- the end of a process --------------------------------------------------------------------------------------------


async def test_told_to_end_the_worker_claims_nothing_more_and_what_is_sent_is_sent_and_recorded(database: str):
    async with scene(database) as one:
        street = on_street(one)
        payment = await a_rail(one, at_once=1)
        others = [await one.pay(payment.merchant, "main") for _ in range(3)]
        street.connected.clear()
        for each in (payment, *others):
            await one.store.submit(_admitting(one, each))

        async def nothing() -> int:
            return 0

        worker = asyncio.create_task(run_worker(one.world, nothing))
        await street.connecting.wait()
        await come(lambda: len(one.world.waiting) == 3)
        worker.cancel()
        await asyncio.wait({worker})
        draining = asyncio.create_task(drain(one.world))
        await come(lambda: not one.world.waiting)
        assert not draining.done() and street.sent == []
        street.connected.set()
        await asyncio.wait_for(draining, HELD_S)
        assert (one.world.errands, one.world.flights, len(street.sent)) == ({}, {}, 1)
        page = await Reads(one.store).refunds_of(payment.merchant, payment.id)
        rest = [(await Reads(one.store).refunds_of(each.merchant, each.id))[0] for each in others]
        assert [each.state for each in page] == [State.SUCCEEDED]
        assert [(each.state, each.generation) for each in rest] == [(State.READY, 0)] * 3
        await send_due(one.world, work(rest[0], "send"))
        assert len(street.sent) == 1, "once it ends, nothing is armed any more"


async def test_what_takes_too_long_at_the_end_is_left_to_its_lease_and_said(database: str):
    async with scene(database) as one:
        warned: list[str] = []
        one.world = replace(one.world, warn=lambda word, **_figures: warned.append(word))
        payment = await a_rail(one)
        one.provider.hold.clear()
        await asked(one, payment)
        await one.provider.arrived.wait()
        await drain(one.world, patience_s=0.01)
        assert warned == ["stopped_with_sends_on_their_way"]


async def test_a_process_that_only_works_ends_by_sigterm_and_lets_go_in_order():
    told: list[str] = []

    async def story() -> None:
        os.kill(os.getpid(), signal.SIGTERM)  # the handler is there: it was set before the story began
        try:
            await asyncio.Event().wait()
        finally:
            told.append("ended")

    await asyncio.wait_for(until_told(story()), HELD_S)
    assert told == ["ended"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# --- the breaker -----------------------------------------------------------------------------------------------------


def test_lost_answers_in_a_row_open_it_and_each_further_one_for_longer():
    breaker = Breaker()
    assert [breaker.lost(0.0) for _ in range(LOST_MAX)] == [False] * (LOST_MAX - 1) + [True]
    assert breaker.is_open(0.9) and not breaker.is_open(1.0)
    assert breaker.why is not None
    assert not breaker.lost(1.0), "it is known already"
    assert breaker.is_open(2.9) and not breaker.is_open(3.0)
    assert [breaker.taken(), breaker.taken()] == [True, False]
    assert not breaker.why and not breaker.is_open(1.5)


@pytest.mark.parametrize("answer", ["taken", "not_taken"])
def test_an_answer_in_between_begins_the_count_anew(answer: str):
    breaker, now = Breaker(), 0.0
    for _ in range(3):
        for _ in range(LOST_MAX - 1):
            assert not breaker.lost(now)
        getattr(breaker, answer)(now) if answer == "not_taken" else breaker.taken()
        now += 100.0
    assert not breaker.is_open(now)


async def test_into_a_black_hole_nothing_more_is_sent_and_somebody_is_told_of_it_twice(database: str):
    async with scene(database) as one:
        warned: list[tuple[str, dict[str, Any]]] = []
        one.world = replace(one.world, warn=lambda word, **figures: warned.append((word, figures)))
        payment = await a_rail(one)
        rail, metrics = one.world.rail(payment.merchant, "main"), Metrics()
        one.provider.say = AnswerLost("gone")
        lost = [await one.refund(await one.pay(payment.merchant, "main")) for _ in range(LOST_MAX)]
        assert [each.state for each in lost] == [State.UNKNOWN] * LOST_MAX
        waiting = await one.refund(payment)
        assert (waiting.state, len(one.provider.sent)) == (State.READY, LOST_MAX)
        figures = {"rail": "main", "account": rail.account}
        assert warned == [("breaker_opened", {**figures, "reason": "the provider does not answer"})]
        assert await opened(metrics, one) == [1.0]
        calls = len(one.provider.calls)
        await look_at_refund(one.world, work(lost[0], "look"))
        assert len(one.provider.calls) == calls + 1
        one.provider.say = Reply(status=200)
        assert rail.breaker is not None
        rail.breaker._open_until = 0.0  # its pause is over
        await send_due(one.world, work(waiting, "send"))
        assert (await one.now(waiting)).state is State.SUCCEEDED
        assert warned[1:] == [("breaker_closed", figures)]
        assert await opened(metrics, one) == [0.0]


async def opened(metrics: Metrics, one: Scene) -> list[float]:
    """What the gauge of open rails shows."""
    metrics.rails(one.world.own_rails.values())

    async def away() -> Any:
        raise StoreUnavailable("away")

    lines = (await metrics.text(away)).decode().splitlines()
    return [float(each.rsplit(" ", 1)[1]) for each in lines if each.startswith("moneyback_rail_open{")]


# --- a rail that cannot be used, and one that is taken out of use ----------------------------------------------------


async def test_behind_a_rail_that_cannot_be_used_a_refund_becomes_visible_and_goes_on_later(database: str):
    async with scene(database) as one:
        warned: list[tuple[str, dict[str, Any]]] = []
        one.world = replace(one.world, warn=lambda word, **figures: warned.append((word, figures)))
        access, reads = Access(one.store), Reads(one.store)
        await access.allow_clock()
        payment = await a_rail(one)
        known = dict(one.world.own_rails)
        one.world.own_rails.clear()
        refund = await one.refund(payment)
        await send_due(one.world, work(refund, "send"))
        assert await reads.refunds_for_people(payment.merchant) == ()
        await access.advance_clock(timedelta(minutes=10))
        for _ in range(2):
            await send_due(one.world, work(refund, "send"))
        (waiting,) = await reads.refunds_for_people(payment.merchant)
        assert (waiting.id, waiting.state, waiting.version) == (refund.id, State.READY, refund.version)
        assert [(word, figures["rail"]) for word, figures in warned] == [("refund_stranded", "main")]
        one.world.own_rails.update(known)
        await send_due(one.world, work(refund, "send"))
        after = await one.now(refund)
        assert (after.state, after.human_since) == (State.SUCCEEDED, None)
        assert await reads.refunds_for_people(payment.merchant) == ()


async def test_a_removal_waits_for_an_admission_under_way_and_sees_its_refund(database: str):
    async with scene(database) as one:
        payment = await a_rail(one)
        done = await one.refund(payment)
        connection = await asyncpg.connect(database)
        try:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(
                "insert into refunds select (jsonb_populate_record(r, $2)).* from refunds r where id = $1",
                done.id,
                f'{{"id": "{uuid4()}", "dialect_id": "another", "state": "ready", "ended_at": null}}',
            )
            removal = asyncio.create_task(one.book.remove(payment.merchant, "main"))
            await come(lambda: _waits_for_a_lock(database))
            assert not removal.done()
            await transaction.commit()
        finally:
            await connection.close()
        assert not await removal
        assert len(await one.book.all(payment.merchant)) == 1


async def test_an_admission_that_comes_too_late_for_a_removal_is_refused(database: str):
    async with scene(database) as one:
        payment = await a_rail(one)
        assert await one.book.remove(payment.merchant, "main")
        with pytest.raises(StoreUnavailable):  # this process has not heard of it yet; the database has
            await asked(one, payment)
        await one.rails.learn(one.world)
        refused = await request_refund(one.world, _admitting(one, payment))
        assert isinstance(refused, Refusal) and refused.has(Reason.KIND_UNSUPPORTED)
        assert await Reads(one.store).refunds_of(payment.merchant, payment.id) == ()
        assert one.provider.calls == []


async def _waits_for_a_lock(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        found: bool = await connection.fetchval("select exists (select from pg_locks where not granted)")
    finally:
        await connection.close()
    return found


# --- looks nobody can read -------------------------------------------------------------------------------------------


async def test_a_look_that_cannot_be_read_does_not_keep_doubt_from_a_person(
    database: str, monkeypatch: pytest.MonkeyPatch
):
    async with scene(database) as one:
        access = Access(one.store)
        await access.allow_clock()
        one.provider.say = AnswerLost("gone")

        def look(*_words: object) -> Any:
            yield Call(method="GET", path="/refunds")
            raise KeyError("an answer of another shape")

        monkeypatch.setattr(one.provider, "_look", look)
        toy = one.world.dialects["toy"]
        one.world = replace(one.world, dialects={"toy": replace(toy, client=one.provider.client())})
        payment = await a_rail(one)
        refund = await one.refund(payment)
        assert refund.state is State.UNKNOWN
        await access.advance_clock(timedelta(hours=1))
        await look_at_refund(one.world, work(refund, "look"))
        after = await one.now(refund)
        assert after.human_since is not None and after.look_at is not None
        assert after.evidence_version == refund.evidence_version + 1


async def test_a_connection_that_fails_is_not_a_lost_answer(database: str):
    async with scene(database) as one:
        payment = await a_rail(one)
        one.provider.say = NotConnected("ConnectError")
        refund = await one.refund(payment)
        assert (refund.state, await seen_of(one, refund)) == (State.READY, ["send_failed", "not_sent"])
