"""Looking: what became of a refund that was sent. Evidence moves it; absence and age never do."""

from __future__ import annotations

import asyncio

from moneyback.core.commands import ExpireLease, Nudge, ObservePayment
from moneyback.core.refund import ENDED, Event, State
from moneyback.dialect import AnswerLost, Looked, NotConnected
from moneyback.flows.send_refund import READ_PATIENCE_S, converse, record, sending
from moneyback.flows.world import World
from moneyback.store.port import Work


async def look_at_refund(world: World, work: Work) -> None:
    """Ask the provider about one refund and record what it shows, or that it showed nothing."""
    refund = await world.store.refund(work.merchant, work.refund)
    payment = await world.store.payment(work.merchant, work.payment)
    if refund is None or payment is None or refund.ended or refund.generation == 0:
        return
    attempt = await world.store.attempt(refund.merchant, refund.id, refund.generation)
    rail = world.rail(payment.merchant, payment.rail)
    deadline = asyncio.get_running_loop().time() + READ_PATIENCE_S
    pre_read = attempt.pre_read if attempt is not None else {}
    try:
        looked = await converse(rail.client.look(sending(refund, payment), pre_read), rail, payment, deadline)
    except (NotConnected, AnswerLost):
        looked = Looked()
    for sighting in looked.sightings:
        await world.store.submit(
            ObservePayment(
                merchant=payment.merchant, payment=payment.id, evidence=world.new_id(), sighting=sighting, source="look"
            )
        )
    moved = await record(world, refund, payment, looked.observations, source="look", looked=True)
    if moved is not None and (moved.refund.state in ENDED or moved.refund.state is State.READY):
        world.due.set()


async def expire_lease(world: World, work: Work) -> None:
    """An attempt whose process is gone, or too slow: its outcome is unknown, and looking begins."""
    await world.store.submit(
        ExpireLease(
            merchant=work.merchant,
            refund=work.refund,
            payment=work.payment,
            evidence=world.new_id(),
            terms=world.terms,
        )
    )


async def make_due(world: World, work: Work) -> None:
    """A scheduled refund's date has come."""
    await world.store.submit(
        Nudge(
            merchant=work.merchant, refund=work.refund, payment=work.payment, event=Event.DUE, evidence=world.new_id()
        )
    )
    world.due.set()
