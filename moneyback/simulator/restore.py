"""A database that goes back to a backup, while providers keep what they did since: nothing may be sent on such books.

Rails to other companies come back looking only. What their providers did since the backup is taken in from what they
list; what our books have forgotten becomes a refund made elsewhere. Only then do rails send again.
"""

from __future__ import annotations

import asyncio
from functools import partial

from moneyback.core.commands import Observation, ObservePayment, Sighting
from moneyback.core.payment import Payment
from moneyback.core.refund import Event, Refund
from moneyback.flows.send_refund import record
from moneyback.flows.world import World
from moneyback.simulator.books import Given
from moneyback.simulator.world import Simulation
from moneyback.store.memory import Snapshot

OUTAGE_S = 30.0


async def go_back(sim: Simulation, backup: Snapshot) -> None:
    """All processes end, the books are as they were, and processes start that do not trust them.

    What was on its way has arrived by then: a backup that is brought back quicker than a call may take is nobody's.
    """
    while sim.network.underway:  # noqa: ASYNC110 - in virtual time a wait costs no more than an event
        await asyncio.sleep(0.5)
    sim.story.tell("restores", seconds=OUTAGE_S)
    for server in sim.servers:
        sim.stop(server)
    sim.database.restore(backup)
    sim.watch.went_back(sim.database.rows)
    await asyncio.sleep(OUTAGE_S)
    sim.look_only = True
    for server in sim.servers:
        server.start()


async def recover(sim: Simulation) -> None:
    """Take in what every provider did, once its lists are complete; then send again."""
    await asyncio.sleep(max(model.list_lag.total_seconds() for model in sim.models.values()))
    for payment in [*sim.database.rows.payments.values()]:
        for given in (await sim.books(payment)).given:
            task = sim.servers[0].call(partial(_take_in, payment=payment, given=given))
            assert task is not None, "no process is killed while it recovers"
            await task
    sim.story.tell("recovered")
    sim.look_only = False
    for server in sim.servers:
        sim.stop(server)
        server.start()


async def _take_in(world: World, payment: Payment, given: Given) -> None:
    """One line of a provider's list: evidence of a refund of ours, or a refund that our books do not know."""
    now = (await world.store.now()).business
    standing = await world.store.payment(payment.merchant, payment.id)
    assert standing is not None
    refund: Refund | None = None
    if given.refund is not None:
        refund = await world.store.refund(payment.merchant, given.refund)
    if refund is not None:
        await record(world, refund, standing, (_seen(given, refund, given.status(now)),), source="list")
    elif given.ends == "succeeded" and given.back_at is None:
        sighting = Sighting(kind="external", amount=given.amount, reference=given.id, occurred_at=given.received_at)
        await world.store.submit(
            ObservePayment(
                merchant=payment.merchant,
                payment=payment.id,
                evidence=world.new_id(),
                sighting=sighting,
                source="list",
            )
        )


def _seen(given: Given, refund: Refund, status: str) -> Observation:
    events = {"pending": Event.ACCEPTED, "failed": Event.REFUSED, "returned": Event.CAME_BACK}
    return Observation(
        event=events.get(status, Event.EXECUTED),
        amount=given.amount,
        provider_id=given.id,
        generation=max(1, refund.generation),
        digest=f"list:{given.id}:{status}",
    )
