"""Sending: fence, pre-read, arming, one call, and the record of what came of it. Three commits, none held open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec.structs import replace

from moneyback.core.commands import Arm, HandOver, Keyed, Moved, Observation, Observe, ObservePayment, TakeFence
from moneyback.core.payment import Payment
from moneyback.core.refund import ENDED, Event, Refund, State
from moneyback.core.refusals import Refusal
from moneyback.core.sending import mark_of
from moneyback.dialect import AnswerLost, Call, Figures, NotConnected, Reply, Sending
from moneyback.flows.cancellation import is_cancelled, to_the_end
from moneyback.flows.world import Exchange, ExchangeOf, Rail, World
from moneyback.store.port import StoreUnavailable, Work

T = TypeVar("T")

READ_PATIENCE_S = 10.0
SLOT_PATIENCE_S = 45.0
"""How long a refund waits for a send slot: with the reading after it, for less than it is claimed."""
STRANDED_AFTER = timedelta(minutes=10)
"""How long, in business time, a refund waits behind a rail that cannot be used before people are told."""
RECORD_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, *([10.0] * 12))
"""How long a database that is away is waited for with something to record; told twice, it counts once."""


async def send_refund(
    world: World, over: ExchangeOf, refund: Refund, payment: Payment, *, began: float, key: Keyed | None = None
) -> Moved | None:
    """Send one admitted refund as far as it goes now; what was recorded of it, if it was sent.

    It is ready, or was armed by its admission, which began at `began` (loop time, taken before the commit: the send
    deadline counts from then). Its calls are made `over` what the send slot gave that whoever calls this has in hand:
    nothing is armed without one. Cancelled, it leaves a refund that is not armed as it was; an armed one goes on to its
    record, and counts as not sent if its call had not begun.
    """
    rail = world.rail(payment.merchant, payment.rail)
    if refund.state is State.READY:
        armed = await _arm(world, rail, over, refund, payment)
        if armed is None:
            return None
        began, attempt = armed
    elif refund.state is State.SENDING:
        attempt = sending(refund, payment)
    else:
        return None
    return await _call(world, rail, over, attempt, began, key)


async def send_due(world: World, work: Work) -> None:
    """Send a refund that was found ready; whoever admitted it may be gone. Without a slot it stays as it is.

    Its claim runs out by itself then, so that nobody asks again at once.
    """
    rail = world.rail(work.merchant, work.rail)
    if rail.unusable is not None:
        await _tell_people(world, work)
        return
    async with send_slot(world, rail) as over:
        if over is None:
            return
        refund = await world.store.refund(work.merchant, work.refund)
        payment = await world.store.payment(work.merchant, work.payment)
        if refund is not None and payment is not None and refund.state is State.READY:
            await send_refund(world, over, refund, payment, began=asyncio.get_running_loop().time())


async def _tell_people(world: World, work: Work) -> None:
    """A refund nothing here can send is somebody's to look into, once it has waited for longer than a restart takes."""
    refund = await world.store.refund(work.merchant, work.refund)
    if refund is None or refund.state is not State.READY or refund.human_since is not None:
        return
    command = HandOver(merchant=work.merchant, refund=work.refund, payment=work.payment, after=STRANDED_AFTER)
    moved = await world.store.submit(command)
    if isinstance(moved, Moved) and moved.refund.human_since is not None:
        why = world.rail(work.merchant, work.rail).unusable
        world.warn("refund_stranded", refund=str(work.refund), rail=work.rail, why=why)


@asynccontextmanager
async def send_slot(world: World, rail: Rail) -> AsyncIterator[ExchangeOf | None]:
    """A place among a rail's sends, and what is said in it; None where nothing is to be armed now, or no place is free.

    It is waited for with nothing armed, and can be cancelled meanwhile without a trace.
    """
    async with AsyncExitStack() as stack:
        over = None if _idle(world, rail) else await _entered(world, rail, stack)
        yield None if _idle(world, rail) else over


def _idle(world: World, rail: Rail) -> bool:
    return rail.closed or world.stopping.is_set()


async def _entered(world: World, rail: Rail, stack: AsyncExitStack) -> ExchangeOf | None:
    task = asyncio.current_task()
    assert task is not None
    world.waiting.add(task)
    try:
        if rail.slot is None:
            await stack.enter_async_context(world.slots)
            return rail.exchange
        return await stack.enter_async_context(rail.slot(asyncio.get_running_loop().time() + SLOT_PATIENCE_S))
    except NotConnected:
        return None
    finally:
        world.waiting.discard(task)


async def _arm(
    world: World, rail: Rail, over: ExchangeOf, refund: Refund, payment: Payment
) -> tuple[float, Sending] | None:
    """Fence, read, decide again, and commit the attempt. None: it is not to be sent now."""
    merchant, terms = refund.merchant, world.terms
    if rail.closed:
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
            figures = await read_payment(world, rail, payment, over=over)
        except (NotConnected, AnswerLost) as error:
            world.log("pre_read_failed", refund=str(refund.id), error=repr(error))
            return None
    began = asyncio.get_running_loop().time()
    shown: dict[str, Any] = {"left": figures.left, "refund_ids": figures.refund_ids, "seen": figures.seen}
    arm = Arm(
        merchant=merchant,
        refund=refund.id,
        payment=payment.id,
        version=version,
        terms=terms,
        provider_left=figures.left,
        pre_read=shown,
        evidence=world.new_id(),
    )
    armed = await to_the_end(world.store.submit(arm))  # once it may be armed, it must be known whether it is
    if not isinstance(armed, Moved) or armed.refund.state is not State.SENDING:
        world.due.set()
        return None
    return began, sending(armed.refund, armed.payment, shown)


async def read_payment(world: World, rail: Rail, payment: Payment, *, over: ExchangeOf | None = None) -> Figures:
    """The payment as its provider shows it; what it tells of the payment is recorded before anything else."""
    deadline = asyncio.get_running_loop().time() + READ_PATIENCE_S
    figures = await drive(rail.client.read(payment), (over or rail.exchange)(payment), deadline)
    for sighting in figures.sightings:
        await world.store.submit(
            ObservePayment(
                merchant=payment.merchant, payment=payment.id, evidence=world.new_id(), sighting=sighting, source="read"
            )
        )
    return figures


async def _call(
    world: World, rail: Rail, over: ExchangeOf, attempt: Sending, began: float, key: Keyed | None
) -> Moved | None:
    """The one call of an armed attempt. Whatever comes of it is an observation; silence is one too."""
    refund, payment = attempt.refund, attempt.payment
    terms = world.terms(payment)
    deadline = began + terms.send_deadline.total_seconds()
    try:
        seen = await drive(rail.client.send(attempt), uncancelled(over(payment)), deadline)
    except NotConnected as error:
        seen = (Observation(event=Event.SEND_FAILED, message=str(error)),)
    except AnswerLost as error:
        seen = (Observation(event=Event.LOST, message=str(error)),)
    if not is_cancelled():  # a call that was not made because we end says nothing of the rail
        tell_breaker(world, rail, seen)
    moved = await to_the_end(record(world, refund, payment, seen, source="answer", key=key))
    if moved is not None and (moved.refund.state is State.READY or (terms.fenced and moved.refund.state in ENDED)):
        world.due.set()  # it is to be sent again, or the fence is free and somebody may be waiting behind it
    return moved


def uncancelled(exchange: Exchange) -> Exchange:
    """Cancelled before its first byte, a call was not made, and its connector says what that means for the refund."""

    async def told(call: Call, *, deadline: float) -> Reply:
        if is_cancelled():
            raise NotConnected("cancelled before the first byte")
        try:
            return await exchange(call, deadline=deadline)
        except asyncio.CancelledError:
            raise NotConnected("cancelled before the first byte") from None

    return told


def tell_breaker(world: World, rail: Rail, seen: tuple[Observation, ...]) -> None:
    """What became of a send, to the rail's breaker; its opening and its closing are somebody's to know."""
    breaker, now, events = rail.breaker, asyncio.get_running_loop().time(), {each.event for each in seen}
    if breaker is None:
        return
    if Event.LOST in events:
        opened = breaker.lost(now)
    elif Event.SEND_FAILED in events:
        opened = breaker.unreached(now)
    elif Event.NOT_TAKEN in events:
        opened = breaker.not_taken(now)
    else:
        opened = False
        if breaker.taken():
            world.warn("breaker_closed", rail=rail.name, account=rail.account)
    if opened:
        world.warn("breaker_opened", rail=rail.name, account=rail.account, reason=breaker.why)


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


def sending(refund: Refund, payment: Payment, pre_read: Mapping[str, Any] = MappingProxyType({})) -> Sending:
    """What a connector is told of an armed refund: the amount always, the mark of this attempt, the refund's key, and
    what was read before it."""
    return Sending(
        payment=payment,
        refund=refund,
        mark=refund.mark or mark_of(refund, refund.generation),
        key=f"mb_{refund.id.hex}",
        pre_read=pre_read,
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
