"""What befalls a simulated world as a whole: killed and suspended processes, an absent database, leaps of time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from moneyback.simulator.faults import PAUSES_S, exponential
from moneyback.simulator.world import Simulation

LEAPS_S: Final = (3.0, 40.0, 600.0, 7200.0, 90_000.0)
"""Past a look, a horizon, a window of a key."""


async def crashes(sim: Simulation, every_s: float) -> None:
    """Kills processes, each started again after a while."""
    while True:
        await asyncio.sleep(exponential(sim.random, every_s, 10 * every_s))
        await sim.random.choice(sim.servers).down(exponential(sim.random, 5.0, 60.0))


async def pauses(sim: Simulation, every_s: float) -> None:
    """Suspends processes, some for longer than a lease."""
    while True:
        await asyncio.sleep(exponential(sim.random, every_s, 10 * every_s))
        await sim.random.choice(sim.servers).suspended(sim.random.choice(PAUSES_S))


async def outages(sim: Simulation, every_s: float) -> None:
    """Takes the database away for a while."""
    while True:
        await asyncio.sleep(exponential(sim.random, every_s, 10 * every_s))
        sim.story.tell("database stops")
        sim.database.stop()
        await asyncio.sleep(exponential(sim.random, 5.0, 60.0))
        sim.database.start()
        sim.story.tell("database starts")


async def leaps(sim: Simulation, every_s: float) -> None:
    """Moves business time ahead."""
    while True:
        await asyncio.sleep(exponential(sim.random, every_s, 10 * every_s))
        await leap(sim, timedelta(seconds=sim.random.choice(LEAPS_S)))


async def leap(sim: Simulation, by: timedelta) -> None:
    """Move business time as soon as no refund call is underway."""
    while sim.network.underway:  # noqa: ASYNC110 - in virtual time a wait costs no more than an event
        await asyncio.sleep(0.5)
    sim.advance(by)
