"""A backup is brought back while refunds are under way: nothing is executed twice, and the books agree in the end."""

import asyncio

import pytest

from moneyback.simulator import clients, people
from moneyback.simulator.invariants import Violation
from moneyback.simulator.providers import MODELS
from moneyback.simulator.restore import go_back, recover
from moneyback.simulator.run import calm
from moneyback.simulator.world import Simulation

SEEDS = range(6)


async def play(sim: Simulation, *, trusting: bool) -> None:
    """Some minutes, a backup, and later its return. `trusting`: work goes on as if nothing had happened."""
    await clients.add_payments(sim)
    people.start_people(sim)
    asking = [sim.loop.create_task(clients.client(sim, number, 120.0)) for number in range(25)]
    await asyncio.sleep(sim.random.uniform(10.0, 60.0))
    backup = sim.database.snapshot()
    sim.story.tell("backup")
    await asyncio.sleep(sim.random.uniform(10.0, 60.0))
    await go_back(sim, backup)
    if trusting:
        sim.look_only = False
        for server in sim.servers:
            sim.stop(server)
            server.start()
    else:
        await asyncio.sleep(20.0)
        await recover(sim)
    await asyncio.wait(asking)
    await calm(sim)


def played(provider: str, seed: int, *, trusting: bool = False) -> Simulation:
    sim = Simulation(seed, 400_000, [provider])
    try:
        sim.loop.run_until_complete(play(sim, trusting=trusting))
    finally:
        sim.loop.close()
    return sim


@pytest.mark.parametrize("provider", sorted(MODELS))
def test_nothing_is_executed_twice_after_a_restore(provider: str):
    forgotten = 0
    for seed in SEEDS:
        sim = played(provider, seed)
        given = [each for made in sim.models[provider].given.values() for each in made]
        ours = [each.refund for each in given if each.refund is not None and each.ends == "succeeded"]
        assert len(ours) == len({*ours}), sim.story.text()
        known = {id for _, id in sim.database.rows.refunds}
        forgotten += sum(each not in known for each in ours)
    assert forgotten > 0, "no backup was older than an execution: nothing was tried"


def test_books_that_are_trusted_after_a_restore_break_promises():
    """Where no key protects them. What this shows is that the test above could fail."""
    broken: list[str] = []
    for seed in range(8):
        try:
            played("truust", seed, trusting=True)
        except Violation as found:
            broken.append(f"{found}")
        except BaseExceptionGroup as found:
            broken += map(str, found.exceptions)
    assert any("times" in each for each in broken), broken
