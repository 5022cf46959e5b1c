"""Sending: fence, pre-read, arming, one call, and the record of what came of it. Three commits, none held open."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, TypeVar

from msgspec.structs import replace

from moneyback.core.commands import Arm, Keyed, Moved, Observation, Observe, ObservePayment, TakeFence
from moneyback.core.payment import Payment
from moneyback.core.refund import ENDED, Event, Refund, State
from moneyback.core.refusals import Refusal
from moneyback.core.sending import mark_of
from moneyback.dialect import AnswerLost, Call, Figures, NotConnected, Reply, Sending
from moneyback.flows.world import Exchange, Rail, World
from moneyback.store.port import StoreUnavailable, Work

T = TypeVar("T")

READ_PATIENCE_S = 10.0
RECORD_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, *([10.0] * 12))
"""How long a database that is away is waited for with something to record; told twice, it counts once."""


async def send_refund(
    world: World, refund: Refund, payment: Payment, *, began: float, key: Keyed | None = None
) -> Moved | None:
    """Send one admitted refund as far as it goes now; what was recorded of it, if it was sent.

    It is ready, or was armed by its admission, which began at `began` (loop time, taken before the commit: the send
    deadline counts from then). Whoever calls this has a send slot in hand: nothing is armed without one.
    """
    rail = world.rail(payment.merchant, payment.rail)
    if refund.state is State.READY:
        armed = await _arm(world, rail, refund, payment)
        if armed is None:
            return None
        began, refund, payment = armed
    return await _call(world, rail, refund, payment, began, key) if refund.state is State.SENDING else None


async def send_due(world: World, work: Work) -> None:
    """Send a refund that was found ready; whoever admitted it may be gone."""
    async with world.slots:
        refund = await world.store.refund(work.merchant, work.refund)
        payment = await world.store.payment(work.merchant, work.payment)
        if refund is not None and payment is not None and refund.state is State.READY:
            await send_refund(world, refund, payment, began=asyncio.get_running_loop().time())


async def _arm(world: World, rail: Rail, refund: Refund, payment: Payment) -> tuple[float, Refund, Payment] | None:
    """Fence, read, decide again, and commit the attempt. None: it is not to be sent now."""
    merchant, terms = refund.merchant, world.terms
    if rail.look_only:
        return None
    if rail.breaker is not None and rail.breaker.is_open(asyncio.get_running_loop().time()):
        return None
    version = refund.version
    if terms(payment).fenced:
        take = TakeFence(merchant=merchant, refund=refund.id, payment=payment.id, terms=terms)
        fenced = await world.store.submit(take)
        if isinstance(fenced, Refusal):
            return None
        assert isinstance(fenced, Moved)
        version = fenced.refund.version
    figures = Figures()
    if rail.client.rung < 3 or rail.real:
        try:
            figures = await read_payment(world, rail, payment)
        except (NotConnected, AnswerLost) as error:
            world.log("pre_read_failed", refund=str(refund.id), error=repr(error))
            return None
    began = asyncio.get_running_loop().time()
    shown: dict[str, Any] = {"left": figures.left, "refund_ids": figures.refund_ids}
    armed = await world.store.submit(
        Arm(
            merchant=merchant,
            refund=refund.id,
            payment=payment.id,
            version=version,
            terms=terms,
            provider_left=figures.left,
            pre_read=shown,
            evidence=world.new_id(),
        )
    )
    if not isinstance(armed, Moved) or armed.refund.state is not State.SENDING:
        world.due.set()
        return None
    return began, armed.refund, armed.payment


async def read_payment(world: World, rail: Rail, payment: Payment) -> Figures:
    """The payment as its provider shows it; what it tells of the payment is recorded before anything else."""
    deadline = asyncio.get_running_loop().time() + READ_PATIENCE_S
    figures = await converse(rail.client.read(payment), rail, payment, deadline)
    for sighting in figures.sightings:
        await world.store.submit(
            ObservePayment(
                merchant=payment.merchant, payment=payment.id, evidence=world.new_id(), sighting=sighting, source="read"
            )
        )
    return figures


async def _call(
    world: World, rail: Rail, refund: Refund, payment: Payment, began: float, key: Keyed | None
) -> Moved | None:
    """The one call of an armed attempt. Whatever comes of it is an observation; silence is one too."""
    terms = world.terms(payment)
    deadline = began + terms.send_deadline.total_seconds()
    try:
        seen = await converse(rail.client.send(sending(refund, payment)), rail, payment, deadline)
    except NotConnected as error:
        seen = (Observation(event=Event.SEND_FAILED, message=str(error)),)
    except AnswerLost as error:
        seen = (Observation(event=Event.LOST, message=str(error)),)
    _tell_breaker(rail, seen)
    moved = await record(world, refund, payment, seen, source="answer", key=key)
    if moved is not None and (moved.refund.state is State.READY or (terms.fenced and moved.refund.state in ENDED)):
        world.due.set()  # it is to be sent again, or the fence is free and somebody may be waiting behind it
    return moved


def _tell_breaker(rail: Rail, seen: tuple[Observation, ...]) -> None:
    if rail.breaker is None or any(each.event is Event.LOST for each in seen):
        return
    if any(each.event in (Event.SEND_FAILED, Event.NOT_TAKEN) for each in seen):
        rail.breaker.not_taken(asyncio.get_running_loop().time())
    else:
        rail.breaker.taken()


async def record(
    world: World,
    refund: Refund,
    payment: Payment,
    seen: tuple[Observation, ...],
    *,
    source: str,
    looked: bool = False,
    key: Keyed | None = None,
) -> Moved | None:
    """Commit what was seen of a refund. A database that is away is waited for: what was seen must not be lost."""
    keyed = world.rail(payment.merchant, payment.rail).client.rung >= 3
    observations = tuple(
        replace(
            each,
            id=world.new_id(),
            source=source,
            generation=_generation(each, refund, keyed),
            digest=each.digest or _digest(each, source, refund.generation),
        )
        for each in seen
    )
    command = Observe(
        merchant=refund.merchant,
        refund=refund.id,
        payment=payment.id,
        terms=world.terms,
        observations=observations,
        looked=looked,
        key=key,
    )
    for pause_s in RECORD_PAUSES_S:
        try:
            result = await world.store.submit(command)
        except StoreUnavailable as error:
            world.log("record_waits", refund=str(refund.id), error=str(error))
            await world.sleep(pause_s)
        else:
            return result if isinstance(result, Moved) else None
    return None  # the lease runs out, and looking finds it again


def _generation(seen: Observation, refund: Refund, keyed: bool) -> int | None:
    """The attempt a sighting is about: the one its connector names, else the one that was asked about.

    All attempts of a refund share its key, so that an execution found by it is of none in particular: while the answer
    was on its way, the next attempt may have been armed and executed.
    """
    if seen.generation is None and keyed and seen.event is Event.EXECUTED:
        return None
    return refund.generation if seen.generation is None else seen.generation


def _digest(seen: Observation, source: str, generation: int) -> str:
    """What tells one sighting from another where the connector did not say."""
    return ":".join(map(str, (source, generation, seen.event.value, seen.provider_id, seen.amount, seen.occurred_at)))


def sending(refund: Refund, payment: Payment) -> Sending:
    """What a connector is told of an armed refund: the amount always, the mark of this attempt, the refund's key."""
    return Sending(
        payment=payment,
        refund=refund,
        mark=refund.mark or mark_of(refund, refund.generation),
        key=f"mb_{refund.id.hex}",
    )


async def converse(story: Generator[Call, Reply, T], rail: Rail, payment: Payment, deadline: float) -> T:
    """Drive a connector's conversation about a payment. What it does not catch of a failed exchange is raised here."""
    return await drive(story, rail.exchange(payment), deadline)


async def drive(story: Generator[Call, Reply, T], exchange: Exchange, deadline: float) -> T:
    """Drive a connector's conversation over this exchange."""
    try:
        call = next(story)
        while True:
            try:
                reply = await exchange(call, deadline=deadline)
            except (NotConnected, AnswerLost) as error:
                call = story.throw(error)
            else:
                call = story.send(reply)
    except StopIteration as ended:
        result: T = ended.value
        return result
