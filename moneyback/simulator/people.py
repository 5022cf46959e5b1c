"""The people of a simulated world: who refunds at a provider itself, who answers doubt, and who reads events.

Persons answer what a provider's own books say when they look, and may be too quick: that what is not there yet may
still come is for the product to know. Each is a coroutine
outside all processes and reaches the product through one of them, as everybody does.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec

from moneyback.bank.client import account_of, capture_of
from moneyback.core.commands import CloseCase, Nudge, ObservePayment, Resolve, Sighting
from moneyback.core.payment import Payment
from moneyback.core.refund import Event, Refund, State
from moneyback.dialect import Call
from moneyback.simulator.books import Given
from moneyback.simulator.faults import exponential
from moneyback.simulator.world import MERCHANT, RAILS, WAIT_S, Simulation
from moneyback.store.port import Cursor, Logged


def start_people(sim: Simulation) -> None:
    """Whoever is there all the time."""
    sim.loop.create_task(persons(sim), name="persons")
    sim.loop.create_task(follow_events(sim), name="reader")


async def persons(sim: Simulation) -> None:
    """Look into the inbox from time to time, for ever."""
    while True:
        await asyncio.sleep(exponential(sim.random, sim.inbox_s, 60.0))
        await clear_inbox(sim)


async def clear_inbox(sim: Simulation) -> None:
    """Answer what waits for a person, from its provider's own books."""
    rows = sim.database.rows
    for refund in [*rows.refunds.values()]:
        if refund.state is State.REQUIRES_ACTION:
            await nudge(sim, refund.id, refund.payment, Event.ACTION_SUPPLIED)
        elif (refund.human_since is not None and not refund.ended) or (
            refund.state is State.UNKNOWN and sim.chance(0.5)
        ):
            await _answer_doubt(sim, refund)
    for case in [*rows.cases.values()]:
        if case.closed_at is None:
            close = CloseCase(
                merchant=case.merchant, payment=case.payment, number=case.number, by="person", note="looked into"
            )
            await _submit(sim, close)


async def nudge(sim: Simulation, refund: UUID, payment: UUID, event: Event) -> None:
    """Say something of a refund that waits for a person, or to one that was not sent."""
    command = Nudge(
        merchant=MERCHANT,
        refund=refund,
        payment=payment,
        event=event,
        evidence=sim.new_id(),
        by="person",
        destination="DE89370400440532013000" if event is Event.ACTION_SUPPLIED else None,
    )
    sim.story.tell("person says", refund=sim.story.name("R", refund), event=event.value)
    await _submit(sim, command)


async def _answer_doubt(sim: Simulation, refund: Refund) -> None:
    """Executed or not sent, as its provider's books say by now; what is still pending there is waited for."""
    payment = sim.database.rows.payments[(refund.merchant, refund.payment)]
    await note_externals(sim, payment)
    entry = next(iter((await sim.books(payment)).of(refund.id)), None)
    if entry is not None and entry.status(sim.clock.business) == "pending":
        return
    if sim.chance(0.3):
        await asyncio.sleep(exponential(sim.random, 5.0, 30.0))  # thinking: the evidence may move on meanwhile
    command = Resolve(
        merchant=refund.merchant,
        refund=refund.id,
        payment=refund.payment,
        executed=entry is not None,
        evidence_version=refund.evidence_version,
        evidence=sim.new_id(),
        by="person",
        note="looked at the provider's books",
        terms=sim.terms,
    )
    sim.story.tell("person says", refund=sim.story.name("R", refund.id), executed=entry is not None)
    await _submit(sim, command)
    if entry is None and refund.state is State.NEEDS_REVIEW and sim.chance(0.3):
        await nudge(sim, refund.id, refund.payment, Event.WITHDRAWN)


async def note_externals(sim: Simulation, payment: Payment) -> None:
    """What was refunded without us, registered by hand: no provider below rung 2 tells it apart."""
    books, rows = await sim.books(payment), sim.database.rows
    for entry in books.executed:
        if entry.refund is None and (payment.merchant, payment.id, entry.id) not in rows.externals:
            await _submit(sim, _external(sim, payment, entry))


def _external(sim: Simulation, payment: Payment, entry: Given) -> ObservePayment:
    return ObservePayment(
        merchant=payment.merchant,
        payment=payment.id,
        evidence=sim.new_id(),
        sighting=Sighting(kind="external", amount=entry.amount, reference=entry.id, occurred_at=entry.received_at),
        source="person",
    )


async def _submit(sim: Simulation, command: Any) -> None:
    """Hand a command to some process. What becomes of it is seen in the inbox."""
    server = sim.servers[sim.random.randrange(len(sim.servers))]
    task = None if server.process.paused else server.call(lambda world: world.store.submit(command))
    if task is not None:
        await asyncio.wait({task}, timeout=WAIT_S)


# --- refunds made elsewhere -----------------------------------------------------------------------------------------


async def dashboard(sim: Simulation, until_s: float) -> None:
    """Somebody refunds one of our payments at its provider, without asking us."""
    random = sim.random
    await asyncio.sleep(random.uniform(0.0, until_s))
    payment = random.choice([*sim.database.rows.payments.values()])
    refunds = [each for each in sim.database.rows.refunds.values() if each.payment == payment.id]
    amount = random.randint(1, max(1, payment.captured // 2))
    while any(each.payer == amount for each in refunds):
        amount += 1  # a provider that shows only counters cannot tell an equal refund from ours, and nobody could
    if payment.rail in sim.models:
        sim.models[payment.rail].give_elsewhere(payment.reference, amount, sim.clock.business)
    else:
        await _give_at_the_bank(sim, payment, amount)
    sim.story.tell("dashboard refund", payment=sim.story.name("P", payment.id), amount=amount)


async def _give_at_the_bank(sim: Simulation, payment: Payment, amount: int) -> None:
    capture = capture_of(payment)
    body = {
        "payment": payment.reference,
        "captured": capture.captured,
        "captured_at": capture.captured_at,
        "currency": payment.currency,
        "amount": amount,
        "scenario": "ok",
        "payment_scenario": payment.scenario,
    }
    call = Call(method="POST", path="/refunds", body=msgspec.json.encode(body))
    await sim.bank.handle(account_of(payment), RAILS[payment.rail], call, sim.clock.business)


# --- the reader ------------------------------------------------------------------------------------------------------


async def follow_events(sim: Simulation) -> None:
    """Reads the event log by its cursor, soon after each commit, from whichever process answers."""
    cursor, epoch = Cursor(), sim.database.epoch
    while True:
        if epoch != sim.database.epoch:  # a cursor of another epoch leads nowhere: it begins again
            cursor, epoch = Cursor(), sim.database.epoch
        found = await _read_events(sim, cursor)
        if epoch != sim.database.epoch:
            continue
        if found:
            sim.watch.told(found)
            cursor = found[-1].cursor
        elif found is None:
            await asyncio.sleep(exponential(sim.random, 1.0, 5.0))
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(20.0):
                    await sim.news.wait()
            sim.news.clear()
            await asyncio.sleep(exponential(sim.random, 0.1, 5.0))


async def _read_events(sim: Simulation, after: Cursor) -> tuple[Logged, ...] | None:
    """A page of events; None when nobody answers."""
    limit = sim.random.choice((3, 100))
    server = sim.servers[sim.random.randrange(len(sim.servers))]
    reading = server.call(lambda world: world.store.events(MERCHANT, after, limit))
    if reading is None:
        return None
    await asyncio.wait({reading}, timeout=WAIT_S)
    return reading.result() if reading.done() else None
