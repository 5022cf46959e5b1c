"""How long doubt lasts at a provider that loses answers, once what it did can be seen. In virtual time, by looking.

Nobody answers for a machine here, so that what is still in doubt at the end stays in doubt: age is no evidence.
"""

import asyncio
import sys
from datetime import timedelta
from statistics import quantiles

import pytest

from moneyback.core.refund import Event, Refund, State
from moneyback.simulator import clients
from moneyback.simulator.faults import CALM, Faults
from moneyback.simulator.providers import MODELS
from moneyback.simulator.providers.model import Temper
from moneyback.simulator.world import MERCHANT, Simulation

LOSSY = Faults(unanswered=0.04, error_after=0.02, vanished=0.02)
UNSURE = 0.4
"""How many refunds a provider answers by an error that says nothing, whether it executed them or not."""
SEEDS = range(20)
STORM_S, PATIENCE_S = 60.0, 7200.0
P50_S, P99_S = 10.0, 300.0
NOT_SENT = {Event.SEND_FAILED.value, Event.NOT_TAKEN.value, Event.KEY_UNKNOWN.value, Event.PERSON_NOT_SENT.value}
PROVES_FAILURE = {Event.REFUSED.value, Event.PROVIDER_CANCELED.value, Event.BLOCKED.value}


async def lossy(sim: Simulation) -> None:
    """Clients ask while answers are lost; then two hours in which only looking goes on."""
    await clients.add_payments(sim)
    sim.set_faults(LOSSY)
    asking = [sim.loop.create_task(clients.client(sim, number, STORM_S)) for number in range(20)]
    await asyncio.wait(asking)
    await asyncio.sleep(PATIENCE_S)
    sim.set_faults(CALM)


def truth(sim: Simulation, refund: Refund) -> float | None:
    """Seconds from when a doubt could have been settled to when it was; None for a refund that was never in doubt.

    It could be from when the refund can be seen at its provider, and not before we had reason to look.
    """
    seen = [each for each in sim.database.rows.evidence.values() if each.refund == refund.id]
    doubts = [each.at for each in seen if each.event == "lost"]
    told = [each.at for each in seen if each.event == "executed" and each.counted]
    payment = sim.database.rows.payments[(refund.merchant, refund.payment)]
    made = [each for each in sim.models[refund.rail].given[payment.reference] if each.refund == refund.id]
    made = [each for each in made if each.ends == "succeeded"]
    if not doubts or not made:
        return None
    visible = max(made[0].listed_at, made[0].settles_at, doubts[-1])
    assert told, f"{refund.state} although it was executed and could be seen"
    return max(timedelta(0), min(told) - visible).total_seconds()


@pytest.fixture(scope="module")
def worlds() -> list[Simulation]:
    """The same storm at every provider, on seeds of its own."""
    played = []
    for name in sorted(MODELS):
        for seed in SEEDS:
            sim = Simulation(seed, 400_000, [name])
            sim.notified = False
            sim.models[name].temper = Temper(unsure=UNSURE, habits=(False, False, True, False))
            sim.loop.run_until_complete(lossy(sim))
            sim.loop.close()
            played.append(sim)
    return played


def test_doubt_is_short_once_it_can_be_settled(worlds: list[Simulation], capsys: pytest.CaptureFixture[str]):
    refunds = [(sim, each) for sim in worlds for each in sim.database.rows.refunds.values()]
    lasted = [seconds for sim, each in refunds if (seconds := truth(sim, each)) is not None]
    cuts = quantiles(lasted, n=100)
    with capsys.disabled():
        words = f"p50 {cuts[49]:.1f} s, p99 {cuts[98]:.1f} s"
        sys.stdout.write(f"\n{len(refunds)} refunds, {len(lasted)} in doubt and executed: {words}\n")
    assert len(lasted) > 100
    assert cuts[49] < P50_S
    assert cuts[98] < P99_S


def test_nothing_fails_by_age_and_nothing_is_sent_again_without_proof(worlds: list[Simulation]):
    again = 0
    for sim in worlds:
        rows = sim.database.rows
        events: dict[object, list[str]] = {}
        for each in rows.evidence.values():
            events.setdefault(each.refund, []).append(each.event)
        for refund in rows.refunds.values():
            assert refund.merchant == MERCHANT
            seen = events.get(refund.id, [])
            if refund.state is State.FAILED:
                assert PROVES_FAILURE & {*seen}, f"failed on {seen}"
            proofs = sum(each in NOT_SENT for each in seen)
            assert refund.generation <= proofs + 1, f"{refund.generation} attempts on {seen}"
            again += refund.generation > 1
    assert again > 10
