"""Looking: what became of a refund that was sent. Evidence moves it; absence and age never do."""

from __future__ import annotations

import asyncio

from moneyback.core.commands import ExpireLease, Nudge, ObservePayment, Sighting
from moneyback.core.payment import Payment
from moneyback.core.refund import ENDED, Event, Refund, State
from moneyback.dialect import AnswerLost, Looked, NotConnected
from moneyback.flows.send_refund import READ_PATIENCE_S, converse, record, sending
from moneyback.flows.world import World
from moneyback.store.port import StoreUnavailable, Work


async def look_at_refund(world: World, work: Work) -> None:
    """Ask the provider about one refund and record what it shows, or that it showed nothing."""
    refund = await world.store.refund(work.merchant, work.refund)
    payment = await world.store.payment(work.merchant, work.payment)
    if refund is None or payment is None or refund.ended or refund.generation == 0:
        return
    await look(world, refund, payment, source="look", looked=True)


async def look(world: World, refund: Refund, payment: Payment, *, source: str, looked: bool) -> bool:
    """Look at a refund that was armed. `looked`: it was its turn, so that the next one comes later.

    False: the provider did not answer, and nothing was learnt.
    """
    attempt = await world.store.attempt(refund.merchant, refund.id, refund.generation)
    rail = world.rail(payment.merchant, payment.rail)
    deadline = asyncio.get_running_loop().time() + READ_PATIENCE_S
    pre_read = attempt.pre_read if attempt is not None else {}
    answered = True
    about = sending(refund, payment, pre_read)
    try:
        found = await converse(rail.client.look(about, pre_read), rail, payment, deadline)
    except (NotConnected, AnswerLost):
        found, answered = Looked(), False
    except Exception as error:  # what nobody can read is no reason never to hand the doubt to a person
        world.warn("look_broke", refund=str(refund.id), rail=rail.name, error=type(error).__name__)
        found, answered = Looked(), False
    for sighting in found.sightings:
        await _see(world, payment, sighting, source)
    moved = await record(world, refund, payment, found.observations, source=source, looked=looked)
    if moved is not None and (moved.refund.state in ENDED or moved.refund.state is State.READY):
        world.due.set()
    return answered


async def _see(world: World, payment: Payment, sighting: Sighting, source: str) -> None:
    """Record what a look showed of the payment. What cannot be recorded stops neither the others nor the looking."""
    evidence = world.new_id()
    command = ObservePayment(
        merchant=payment.merchant, payment=payment.id, evidence=evidence, sighting=sighting, source=source
    )
    try:
        await world.store.submit(command)
    except StoreUnavailable:
        raise
    except Exception as error:
        world.warn("sighting_not_recorded", payment=str(payment.id), kind=sighting.kind, error=type(error).__name__)


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
