"""A process is killed at each point of a refund's way, at each provider, and what the provider did is what is told.

Six points × five providers × executed or refused × told of by a notification or not. The client asks again with its
key until it is answered; where only a person can know, one answers from the provider's own books.
"""

import asyncio
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from moneyback.core.payment import Asked
from moneyback.core.refund import ENDED, State
from moneyback.dialect import AddPayment
from moneyback.dialects import load_dialects
from moneyback.simulator import people
from moneyback.simulator.books import Books
from moneyback.simulator.clients import Wish, add, request
from moneyback.simulator.peers import Asked as Given
from moneyback.simulator.peers import Peer
from moneyback.simulator.providers import MODELS
from moneyback.simulator.providers.model import Temper
from moneyback.simulator.run import calm
from moneyback.simulator.world import Simulation
from moneyback.store.memory import Stage

POINTS = ("before persist", "after arm", "mid-send", "after answer", "after ledger post", "before event")
PAYER, CAPTURED = 1_234, 10_000
DOWN_S = 5.0


class Sweep:
    """One run with one crash. `executes`: whether the provider will; else it refuses, and a call that its sender does
    not survive never reaches it."""

    def __init__(self, provider: str, point: str, *, executes: bool, notified: bool, seed: int) -> None:
        self.sim = sim = Simulation(seed, 200_000, [provider])
        self.point, self.executes, self.crashes = point, executes, 0
        self.model = sim.models[provider]
        self.model.temper = Temper(fails=0.0 if executes else 1.0, habits=(False,) * 4)
        sim.notified = notified
        self.asked, self.written, self.taken = False, 0, 0
        pause = sim.database.pause

        async def paused(stage: Stage) -> None:
            await self._at_stage(stage)
            await pause(stage)

        sim.database.pause = paused
        sim.network._witness = _Eyes(self, sim.watch.written, sim.watch.taken)
        sim.network._befall = self._at_the_network
        if point == "mid-send" and not executes:
            vars(sim.network)["_draw"] = self._first_vanishes(sim.network._draw)

    @property
    def state(self) -> State | None:
        """Where the one refund stands, as committed."""
        return next((each.state for each in self.sim.database.rows.refunds.values()), None)

    async def _at_stage(self, stage: Stage) -> None:
        here = {
            "before persist": stage == "decided" and self.asked and self.state is None,
            "after arm": stage == "committed" and self.state is State.SENDING,
            "after ledger post": stage == "committed" and self.state in ENDED,
            "before event": stage == "decided" and self.state is State.SENDING and self.taken > 0,
        }
        if here.get(self.point, False):
            await self._crash()

    async def _at_the_network(self) -> None:
        """Before a call is made, and when its answer is there."""
        if self.point == "after answer" and self.taken:
            await self._crash()

    def _first_vanishes(self, draw: Callable[..., Any]) -> Callable[..., Any]:
        def drawn(peer: Peer, call: Any, asked: Given | None) -> Any:
            fate = draw(peer, call, asked)
            return replace(fate, arrives=False) if asked is not None and not self.written else fate

        return drawn

    def wrote(self) -> None:
        self.written += 1
        if self.point == "mid-send" and self.written == 1:
            process = self.sim.loop.current_process()
            self.sim.loop.spawn(self.sim.loop.world, self._kill(process.name))

    async def _crash(self) -> None:
        """Of whoever is running. Once; what goes wrong is one thing."""
        process = self.sim.loop.current_process()
        server = next((each for each in self.sim.servers if each.process is process), None)
        if self.crashes or server is None:
            return
        self.sim.loop.spawn(self.sim.loop.world, self._kill(server.name))
        await self.sim.loop.hang()

    async def _kill(self, name: str) -> None:
        self.crashes += 1
        await next(each for each in self.sim.servers if each.name == name).down(DOWN_S)

    async def play(self) -> None:
        """A payment, one request for a refund of it, the crash, and then whatever leads to rest."""
        sim, model = self.sim, self.model
        currency = model.currencies[0]
        reference = model.sell(CAPTURED, 0, currency, sim.clock.business)
        payment = await add(sim, model.name, AddPayment(amount=CAPTURED, currency=currency), reference=reference)
        people.start_people(sim)
        self.asked = True
        asked = Asked(payer=PAYER)
        wish = Wish(payment=payment.id, asked=asked, key="key", scenario="ok", equality=None, due_s=None)
        answered = None
        while answered is None:
            server = sim.random.choice(sim.servers)
            asking = server.call(lambda world: request(sim, world, wish))
            if asking is not None:
                await asyncio.wait({asking}, timeout=20.0)
                answered = asking.result() if asking.done() else None
            await asyncio.sleep(1.0)
        await calm(sim)


class _Eyes:
    """Sees what passes before the watch does."""

    def __init__(self, sweep: Sweep, written: Callable[..., None], taken: Callable[..., None]) -> None:
        self._sweep, self._written, self._taken = sweep, written, taken

    def written(self, asked: Given, peer: Peer, at: object) -> None:
        self._written(asked, peer, at)
        self._sweep.wrote()

    def taken(self, asked: Given, books: Books) -> None:
        self._taken(asked, books)
        self._sweep.taken += 1


def test_every_provider_that_can_be_called_has_a_model():
    assert set(MODELS) == {name for name, dialect in load_dialects().items() if dialect.client is not None}


CASES = [*product(sorted(MODELS), POINTS, (True, False), (True, False))]


@pytest.mark.parametrize(("provider", "point", "executes", "notified"), CASES)
def test_what_the_provider_did_is_what_is_told(provider: str, point: str, executes: bool, notified: bool):
    sweep = Sweep(
        provider, point, executes=executes, notified=notified, seed=CASES.index((provider, point, executes, notified))
    )
    sim = sweep.sim
    try:
        sim.loop.run_until_complete(sweep.play())  # the watch has seen every step, and compared the books at rest
    finally:
        sim.loop.close()
    (refund,) = sim.database.rows.refunds.values()
    books = Books(tuple(sweep.model.given[sim.database.rows.payments[(refund.merchant, refund.payment)].reference]))
    assert sweep.crashes == 1, sim.story.text()
    assert len(books.executed) == (1 if executes else 0)
    assert refund.state is (State.SUCCEEDED if executes else State.FAILED), sim.story.text()
    assert books.paid(sim.clock.business) == (PAYER if executes else 0)


def test_all_of_them():
    assert len(CASES) == len(POINTS) * 5 * 2 * 2 == 120
