"""One seed, one run: a storm in which everything may go wrong, then a calm in which all must come to rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from moneyback.simulator import chance, clients, notices, people
from moneyback.simulator.faults import CALM
from moneyback.simulator.invariants import Violation
from moneyback.simulator.loop import StepLimitReached
from moneyback.simulator.world import Simulation

STEP_LIMIT: Final = 400_000
ROUNDS_MAX: Final = 80
"""Rounds of calm after which whatever has not come to rest never will."""
PATIENT_ROUNDS: Final = 13
"""After these, each round is a day: what only a week of looking hands to a person waits for nothing else."""
DAY: Final = timedelta(days=1)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one seed. `violation` None: every promise was kept."""

    seed: int
    ok: bool
    refunds: int
    steps: int
    virtual_s: float
    violation: str | None
    story: str


def run(seed: int, *, with_story: bool = False, providers: Sequence[str] | None = None) -> Outcome:
    """Play one seed. The story is written out when a promise was broken, or when it is asked for.

    `providers` are the only ones there; None: some are drawn, beside the bank.
    """
    sim = Simulation(seed, STEP_LIMIT, providers)
    violation: str | None = None
    try:
        sim.loop.run_until_complete(_play(sim))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        violation = "; ".join(_words(error))
    finally:
        sim.loop.close()
    return Outcome(
        seed=seed,
        ok=violation is None,
        refunds=len(sim.database.rows.refunds),
        steps=sim.loop.steps,
        virtual_s=sim.loop.time(),
        violation=violation,
        story=sim.story.text() if violation is not None or with_story else "",
    )


def _words(error: BaseException) -> Iterator[str]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _words(each)
    else:
        yield f"{error}" if isinstance(error, Violation | StepLimitReached) else repr(error)


async def _play(sim: Simulation) -> None:
    await clients.add_payments(sim)
    people.start_people(sim)
    await storm(sim)
    await calm(sim)


async def storm(sim: Simulation) -> None:
    """Clients ask, and everything that this seed drew goes wrong."""
    random, faults = sim.random, sim.storm
    seconds = random.choice((30.0, 90.0, 200.0))
    sim.story.tell("storm", **{name: value for name in faults.__struct_fields__ if (value := getattr(faults, name))})
    sim.set_faults(faults)
    asking = [clients.client(sim, number, seconds) for number in range(random.randint(12, 30))]
    others = [people.dashboard(sim, seconds) for _ in range(random.choice((0, 0, 1, 2)))]
    others += [clients.order_client(sim, seconds) for _ in range(random.choice((0, 1)))]
    mishaps: list[asyncio.Task[Any]] = [
        sim.loop.create_task(story(sim, every_s))
        for story, every_s in (
            (chance.crashes, faults.crash_every),
            (chance.pauses, faults.pause_every),
            (chance.outages, faults.database_away_every),
            (chance.leaps, faults.jump_every),
            (notices.forge, faults.forged_every),
        )
        if every_s is not None
    ]
    running = [sim.loop.create_task(each) for each in (*asking, *others)]
    await asyncio.wait(running, timeout=seconds + 60.0)
    for task in mishaps:
        task.cancel()
    await asyncio.wait([*running, *mishaps])


async def calm(sim: Simulation) -> None:
    """Everything works again; business time runs on until nothing is left to do."""
    sim.story.tell("calm")
    sim.set_faults(CALM)
    sim.database.start()
    for server in sim.servers:
        sim.loop.resume(server.process)
        server.up()
    waits_for: str | None = "everything"
    for number in range(ROUNDS_MAX):
        await asyncio.sleep(sim.random.uniform(20.0, 65.0))
        await chance.leap(sim, DAY if number % 4 == 3 or number > PATIENT_ROUNDS else timedelta(minutes=10))
        await asyncio.sleep(5.0)
        await people.clear_inbox(sim)
        for payment in [*sim.database.rows.payments.values()]:
            await people.note_externals(sim, payment)
        waits_for = sim.watch.restless() or sim.watch.untold()
        if waits_for is None and number >= 3:
            break
    if waits_for is not None:
        raise Violation(f"not at rest: {waits_for}")
    sim.watch.check_rest([(payment, await sim.books(payment)) for payment in sim.database.rows.payments.values()])
    for model in sim.models.values():
        for given in (each for made in model.given.values() for each in made if each.refund is not None):
            sim.watch.check_shown(given, model.shown_reference(given))
