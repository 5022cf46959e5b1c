"""A simulated world: one database, one bank, and a few processes of the real core, flows and store between them.

Everything that is drawn comes from one generator, so that a seed is a history. What people and chance do in this world
is in files of their own; what must be true of it, in `invariants`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, TypeVar
from uuid import UUID

from moneyback.bank.book import Book
from moneyback.bank.client import account_of, capture_of, client_for
from moneyback.bank.memory import MemoryBank
from moneyback.bank.port import Notice
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.flows.notices import take_notices
from moneyback.flows.work import work_round
from moneyback.flows.world import Rail, World
from moneyback.simulator.clock import SimClock
from moneyback.simulator.faults import CALM, PAUSES_S, Faults, draw_faults, exponential
from moneyback.simulator.invariants import Watch
from moneyback.simulator.loop import SimLoop
from moneyback.simulator.network import Network
from moneyback.simulator.story import Story
from moneyback.store.gather import Writes
from moneyback.store.memory import Fate, MemoryDatabase, MemoryStore, Stage, Transaction
from moneyback.store.port import StoreUnavailable

START: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MERCHANT: Final = UUID(int=1)
RAILS: Final = {"sandbox": 4, **{f"sandbox-{rung}": rung for rung in range(4)}}
WAIT_S: Final = 10.0
"""How long a caller waits for a process to answer."""
IDLE_IN_TRANSACTION_S: Final = 5.0
"""How long the database waits for a process that says nothing inside a transaction."""
REST_S: Final = 0.25
REST_S_MAX: Final = 20.0
"""An idle worker rests ever longer, since nothing but steps would come of more rounds."""

T = TypeVar("T")


class Simulation:
    """One run's world. `random` is the only source of chance beside the loop's own, which is seeded from it."""

    def __init__(self, seed: int, step_limit: int) -> None:
        self.random = Random(seed)
        self.loop = SimLoop(self.random.getrandbits(64), start=START, step_limit=step_limit, trace_length_max=0)
        self.story = Story(self.loop.time, lambda: self.loop.current_process().label)
        self.clock = SimClock(self.loop)
        self.bank = SimBank(self)
        self.news = asyncio.Event()  # something was committed
        self.database = SimDatabase(self)
        self.watch = Watch(self.database.rows, self.clock, self.story, self.report)
        self.network = Network(self.loop, self.random, self.bank, self.clock, self.story, self.watch, self.befall)
        self.storm = draw_faults(self.random)
        self.joins = self.random.random() < 0.3
        self.wallets_limited = self.random.random() < 0.5
        self.inbox_s = self.random.choice((4.0, 20.0))
        self.hurry_until_s = 0.0  # no process is suspended before
        self.database_s = self.random.choice((0.002, 0.02, 0.2))
        self.faults = CALM
        self.servers: list[Server] = [
            Server(self, f"server{number}") for number in range(1, self.random.randint(2, 3) + 1)
        ]
        first = self.servers[0].world
        assert first is not None
        self.terms = first.terms  # for what persons say; the same in every process

    def set_faults(self, faults: Faults) -> None:
        """From now on this goes wrong."""
        self.faults = self.network.faults = faults

    def chance(self, rate: float) -> bool:
        """True that often. A rate of zero draws nothing, so that a calm world is also a quick one."""
        return rate > 0 and self.random.random() < rate

    def new_id(self) -> UUID:
        """A random id: what sorts by id must not depend on age."""
        return UUID(int=self.random.getrandbits(128))

    def report(self, error: Exception) -> None:
        """End the run with this error after the present step, whatever the code under test does about it."""
        self.loop.call_exception_handler({"message": str(error), "exception": error})

    async def befall(self) -> None:
        """A moment at which it hurts most: maybe the running process is killed or suspended, here and now."""
        killed, frozen = self.chance(self.faults.killed), self.chance(self.faults.frozen)
        if not killed and not frozen:
            return
        running = self.loop.current_process()
        for server in self.servers:
            if server.process is running and running.alive:
                if killed:
                    self.loop.spawn(self.loop.world, server.down(exponential(self.random, 5.0, 60.0)), name="chance")
                    await self.loop.hang()
                self.loop.spawn(self.loop.world, server.suspended(self.random.choice(PAUSES_S)), name="chance")
                await asyncio.sleep(0.001)

    def advance(self, by: timedelta) -> None:
        """Move business time, and let every worker see what is due now."""
        self.clock.advance(by)
        self.story.tell("clock leaps", ahead=by)
        for server in self.servers:
            if server.world is not None and not server.process.paused:
                server.world.due.set()

    async def books(self, payment: Payment) -> Book:
        """The bank's true books on a payment."""
        return await self.bank.books(account_of(payment), payment.reference)


class Server:
    """An operating system process of ours under one name, restarted as a new generation when it has crashed."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._simulation = simulation
        self.name = name
        self.world: World | None = None
        self.start()

    def start(self) -> None:
        """Start the next generation, with a world of its own on the shared database and bank."""
        sim = self._simulation
        process = self.process = sim.loop.process(self.name)
        store = MemoryStore(sim.database)
        process.on_sever(lambda: sim.database.disconnect(store))
        self.world = World(store=store, rails=self._rails(), dialects={}, new_id=sim.new_id, log=self._log)
        sim.story.tell("starts", process=process.label)
        sim.loop.spawn(process, self._work(self.world), name="worker")

    async def down(self, seconds: float) -> None:
        """Be killed as by `kill -9`, and started again after a while; nothing happens to one that is down."""
        if self.world is None:
            return
        self._simulation.story.tell("crashes", process=self.process.label)
        self.world = None
        self._simulation.loop.crash(self.process)
        await asyncio.sleep(seconds)
        if self.world is None:
            self.start()

    async def suspended(self, seconds: float) -> None:
        """Stand still for a while; the database gives up on what it left open."""
        sim, process, world = self._simulation, self.process, self.world
        if world is None or sim.loop.time() < sim.hurry_until_s:
            return
        sim.story.tell("pauses", process=process.label, seconds=seconds)
        sim.loop.pause(process)
        await asyncio.sleep(min(seconds, IDLE_IN_TRANSACTION_S))
        if process.paused:
            sim.database.disconnect(store_of(world))
        await asyncio.sleep(max(0.0, seconds - IDLE_IN_TRANSACTION_S))
        sim.story.tell("wakes", process=process.label)
        sim.loop.resume(process)

    def call(self, story: Callable[[World], Coroutine[Any, Any, T]]) -> asyncio.Task[T | None] | None:
        """Run `story` inside the process, as a request to it; None while it is down. A database away answers None."""
        world = self.world
        if world is None:
            return None

        async def served() -> T | None:
            with suppress(StoreUnavailable):
                return await story(world)
            return None

        return self._simulation.loop.spawn(self.process, served(), name="request")

    def _rails(self) -> dict[str, Rail]:
        sim = self._simulation

        async def opened(payment: Payment) -> None:
            await sim.bank.register(account_of(payment), capture_of(payment))

        return {
            name: Rail(
                name=name,
                account=name,
                client=client_for(rung),
                exchange=lambda _payment: sim.network.exchange,
                opened=opened,
                joins=sim.joins,
                wallets_limited=sim.wallets_limited,
            )
            for name, rung in RAILS.items()
        }

    async def _work(self, world: World) -> None:
        """The worker loop, with longer rests than the real one."""
        finder, rest = SimFinder(self._simulation), REST_S
        while True:
            try:
                done = await work_round(world) + await take_notices(world, finder, self._simulation.bank)
                rest = REST_S if done else min(2 * rest, REST_S_MAX)
            except StoreUnavailable:
                rest = 1.0
            except Exception as error:
                self._simulation.report(error)
                return
            waiting = asyncio.ensure_future(world.due.wait())
            await asyncio.wait({waiting}, timeout=rest)
            waiting.cancel()
            world.due.clear()

    def _log(self, what: str, **figures: object) -> None:
        self._simulation.story.tell(what, **figures)
        if what == "send_broke_off" and "StoreUnavailable" not in str(figures):
            self._simulation.report(RuntimeError(f"a send broke off: {figures['error']}"))


class SimDatabase(MemoryDatabase):
    """The database server, slow and lossy as the faults say, under the eyes of the watch."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation.clock.now, pause=self._pause, fate=self._fate)
        self._simulation = simulation

    def commit(self, transaction: Transaction, writes: Writes, deltas: dict[Any, Any]) -> None:
        """Make the batch true, and have it looked at."""
        super().commit(transaction, writes, deltas)
        self._simulation.news.set()
        self._simulation.watch.committed(writes)

    async def _pause(self, stage: Stage) -> None:
        sim = self._simulation
        if stage != "read":
            await sim.befall()
        if stage == "decided" and sim.chance(sim.faults.commit_refused):
            sim.story.tell("database breaks off")
            for server in sim.servers:
                if server.process is sim.loop.current_process() and server.world is not None:
                    self.disconnect(store_of(server.world))
        if stage == "read" or sim.faults is CALM:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(exponential(sim.random, sim.database_s, 3.0))

    def _fate(self, _store: MemoryStore) -> Fate:
        sim = self._simulation
        if not sim.chance(sim.faults.commit_lost):
            return "answered"
        fate: Fate = sim.random.choice(("lost", "dropped"))
        sim.story.tell("commit", answer=fate)
        return fate


def store_of(world: World) -> MemoryStore:
    """The store of a simulated process."""
    assert isinstance(world.store, MemoryStore)
    return world.store


class SimBank(MemoryBank):
    """The bank; its notices come late, and again, as the faults say."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__()
        self._simulation = simulation

    async def notices(self, now: datetime, limit: int = 100) -> tuple[Notice, ...]:
        """What the bank tells by now, or, when it is late, had told some time ago."""
        sim = self._simulation
        if sim.chance(sim.faults.notices_late):
            now -= timedelta(seconds=sim.random.uniform(1, 120))
        return await super().notices(now, limit)

    async def acknowledge(self, notices: Sequence[Notice]) -> None:
        """Tell the bank, unless that is lost and all is told again."""
        sim = self._simulation
        if not sim.chance(sim.faults.notices_again):
            await super().acknowledge(notices)


class SimFinder:
    """Finds what a notice is about, as committed."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def payment_by_reference(self, merchant: UUID, rail: str, reference: str) -> Payment | None:
        """The payment a rail's provider knows by this reference."""
        payments = self._simulation.database.rows.payments.values()
        found = (each for each in payments if (each.merchant, each.rail, each.reference) == (merchant, rail, reference))
        return next(found, None)

    async def refund_by_provider_id(self, merchant: UUID, rail: str, provider_id: str) -> Refund | None:
        """Our refund the provider knows by this id."""
        refunds = self._simulation.database.rows.refunds.values()
        place = (merchant, rail, provider_id)
        return next((each for each in refunds if (each.merchant, each.rail, each.provider_id) == place), None)
