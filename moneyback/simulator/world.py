"""A simulated world: one database, one bank, and a few processes of the real core, flows and store between them.

Everything that is drawn comes from one generator, so that a seed is a history. What people and chance do in this world
is in files of their own; what must be true of it, in `invariants`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Final, TypeVar
from uuid import UUID

from moneyback.bank.client import account_name, account_of, capture_of, client_for
from moneyback.core.payment import Payment
from moneyback.dialect import Call, Client, Reply
from moneyback.dialects import load_dialects
from moneyback.flows.breaker import Breaker
from moneyback.flows.notices import take_notices
from moneyback.flows.work import work_round
from moneyback.flows.world import Exchange, Rail, World
from moneyback.simulator.books import Books
from moneyback.simulator.clock import SimClock
from moneyback.simulator.faults import CALM, PAUSES_S, Faults, draw_faults, draw_temper, exponential
from moneyback.simulator.invariants import Watch
from moneyback.simulator.loop import SimLoop
from moneyback.simulator.network import Network
from moneyback.simulator.notices import SimBank, SimFinder, notify
from moneyback.simulator.peers import BankPeer, Peer, labelled
from moneyback.simulator.providers import MODELS
from moneyback.simulator.providers.model import Model
from moneyback.simulator.story import Story
from moneyback.store.gather import Writes
from moneyback.store.memory import Fate, MemoryDatabase, MemoryStore, Stage, Transaction
from moneyback.store.port import StoreUnavailable

START: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MERCHANT: Final = UUID(int=1)
SECRET: Final = "simulated"
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
    """One run's world. `random` is the only source of chance beside the loop's own, which is seeded from it.

    `providers` names the models that are there, and no payment is the bank's then; None: some are drawn, beside it.
    """

    def __init__(self, seed: int, step_limit: int, providers: Sequence[str] | None = None) -> None:
        self.random = Random(seed)
        self.loop = SimLoop(self.random.getrandbits(64), start=START, step_limit=step_limit, trace_length_max=0)
        self.story = Story(self.loop.time, lambda: self.loop.current_process().label)
        self.clock = SimClock(self.loop)
        self.bank = SimBank(self)
        self.news = asyncio.Event()  # something was committed
        self.database = SimDatabase(self)
        self.watch = Watch(self.database.rows, self.clock, self.story, self.report)
        self.network = Network(self.loop, self.random, self.clock, self.story, self.watch, self.befall)
        self.storm = draw_faults(self.random)
        self.models = self._models(providers)
        self.real_share = 0.7 if providers is None else 1.0  # of the payments, where there is anybody but the bank
        self.peers: dict[str, Peer] = {
            **{name: BankPeer(self.bank, account_name(MERCHANT, name), rung) for name, rung in RAILS.items()},
            **self.models,
        }
        self.notified = self.random.random() < 0.6
        self.joins = self.random.random() < 0.3
        self.wallets_limited = self.random.random() < 0.5
        self.inbox_s = self.random.choice((4.0, 20.0))
        self.database_s = self.random.choice((0.002, 0.02, 0.2))
        self.faults = CALM
        self.look_only = False  # rails to other companies send nothing
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

    def stop(self, server: Server) -> None:
        """Kill a process that is to be started again by whoever asks for this."""
        if server.world is not None:
            server.world = None
            self.loop.crash(server.process)

    async def books(self, payment: Payment) -> Books:
        """Its provider's true books on a payment."""
        return await self.peers[payment.rail].books(payment.reference)

    def _models(self, providers: Sequence[str] | None) -> dict[str, Model]:
        if providers is None:
            providers = self.random.sample(sorted(MODELS), self.random.choice((0, 1, 1, 2)))
        made = dict[str, Model]()
        for name in providers:
            client = connector(name)
            model = MODELS[name](self.random, draw_temper(self.random), client.processing, client.list_lag)
            model.on_change = partial(self._changed, name)
            made[name] = model
        return made

    def _changed(self, rail: str, reference: str, at: datetime) -> None:
        """Something happened, or will, to a payment at its provider, who tells of it if this is a world of news."""
        payments = self.database.rows.payments.values()
        payment = next((each for each in payments if (each.rail, each.reference) == (rail, reference)), None)
        if self.notified and payment is not None:
            after_s = (at - self.clock.business).total_seconds()
            self.loop.spawn(self.loop.world, notify(self, payment, after_s), name="notification")


def connector(name: str) -> Client:
    """The product's own connector to a provider."""
    client = load_dialects()[name].client
    assert client is not None, f"{name} has no connector"
    return client


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
        rails = self._rails()
        self.world = World(store=store, rails=rails, dialects={}, new_id=sim.new_id, log=self._log, warn=self._log)
        sim.story.tell("starts", process=process.label)
        sim.loop.spawn(process, self._work(self.world), name="worker")

    async def down(self, seconds: float) -> None:
        """Be killed as by `kill -9`, and started again after a while; nothing happens to one that is down."""
        if self.world is None:
            return
        self._simulation.story.tell("crashes", process=self.process.label)
        self._simulation.stop(self)
        await asyncio.sleep(seconds)
        self.up()

    def up(self) -> None:
        """Be started, unless it runs."""
        if self.world is None:
            self.start()

    async def suspended(self, seconds: float) -> None:
        """Stand still for a while; the database gives up on what it left open."""
        sim, process, world = self._simulation, self.process, self.world
        if world is None:
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

        built_in = {
            name: Rail(
                name=name,
                account=name,
                client=labelled(client_for(rung)),
                exchange=self._exchange(sim.peers[name]),
                opened=opened,
                joins=sim.joins,
                wallets_limited=sim.wallets_limited,
            )
            for name, rung in RAILS.items()
        }
        return built_in | {name: self._rail(connector(name), model) for name, model in sim.models.items()}

    def _rail(self, client: Client, model: Model) -> Rail:
        """One to another company, as a kept rail becomes one, less the record of what was said."""
        return Rail(
            name=model.name,
            account=f"{model.name}:simulated",
            client=labelled(client),
            exchange=self._exchange(model, client),
            real=True,
            look_only=self._simulation.look_only,
            joins=self._simulation.joins,
            breaker=Breaker(),
        )

    def _exchange(self, peer: Peer, client: Client | None = None) -> Callable[[Payment], Exchange]:
        network = self._simulation.network
        secrets = dict.fromkeys(client.credentials, SECRET) if client is not None else {}

        async def exchange(call: Call, *, deadline: float) -> Reply:
            return await network.exchange(
                peer, call if client is None else client.authorize(secrets, call), deadline=deadline
            )

        return lambda _payment: exchange

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
