"""What providers tell by themselves: the sandbox bank's notices, late and again; others' notifications in any disorder.

A notification of another company's is never evidence. It is a reason to read what it names, and that is what is
simulated of it: late, twice, in any order, or sent by somebody who has no business to, it must lead to the same end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from moneyback.bank.memory import MemoryBank
from moneyback.bank.port import Notice
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import AnswerLost, NotConnected
from moneyback.flows.hear import LOOKED_AT
from moneyback.flows.look import look
from moneyback.flows.send_refund import read_payment
from moneyback.flows.world import World
from moneyback.simulator.faults import exponential

if TYPE_CHECKING:
    from moneyback.simulator.world import Simulation


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


async def notify(sim: Simulation, payment: Payment, after_s: float) -> None:
    """A provider tells of a payment some time after something happened to it: late, twice, or never, as faults say."""
    await asyncio.sleep(max(0.0, after_s))
    if sim.chance(sim.faults.notices_late):
        await asyncio.sleep(sim.random.uniform(1, 120))
    for _ in range(2 if sim.chance(sim.faults.notices_again) else 1):
        await _hear(sim, payment, "notification")
        await asyncio.sleep(exponential(sim.random, 1.0, 20.0))


async def forge(sim: Simulation, every_s: float) -> None:
    """Somebody sends notifications of things that never happened."""
    while True:
        await asyncio.sleep(exponential(sim.random, every_s, 10 * every_s))
        payments = [each for each in sim.database.rows.payments.values() if each.rail in sim.models]
        if payments:
            await _hear(sim, sim.random.choice(payments), "forged notification")


async def _hear(sim: Simulation, payment: Payment, what: str) -> None:
    """It arrives at some process, which reads what it names."""
    server = sim.random.choice(sim.servers)
    sim.story.tell(what, payment=sim.story.name("P", payment.id), at=server.name)
    reading = None if server.process.paused else server.call(lambda world: _read(world, payment))
    if reading is not None:
        await asyncio.wait({reading}, timeout=120.0)


async def _read(world: World, payment: Payment) -> None:
    children = await world.store.children(payment.merchant, payment.id)
    for refund in sorted(children.refunds.values(), key=lambda each: each.created_at):
        if refund.state in LOOKED_AT and refund.generation > 0:
            await look(world, refund, payment, source="notification", looked=False)
    try:
        await read_payment(world, world.rail(payment.merchant, payment.rail), payment)
    except (NotConnected, AnswerLost) as error:
        world.log("reading_failed", payment=str(payment.id), error=repr(error))
