"""Asking for a refund: one command, one commit, and the sending set off beside the request that asked."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from moneyback.core.commands import Admitted, Grouped, Keyed, Moved, RequestOrderRefund, RequestRefund, Result
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund, State
from moneyback.flows.send_refund import send_refund, send_slot
from moneyback.flows.world import World
from moneyback.store.port import StoreUnavailable

POLL_S = 0.05
POLL_S_MAX = 0.5
SETTLING = frozenset({State.READY, State.SENDING})


async def request_refund(world: World, command: RequestRefund) -> Result:
    """Admit a refund and begin to send it. The result is committed when this returns.

    It goes on when its caller goes away. With no send slot free the refund is admitted all the same, and a worker
    sends it when there is one.
    """
    story = world.begin(object(), _request(world, command))
    story.add_done_callback(_looked_at)
    return await asyncio.shield(story)


def _looked_at(story: asyncio.Task[Result]) -> None:
    """How it ended is for its caller; that one may have gone away, and then it is nobody's to report."""
    if not story.cancelled():
        story.exception()


async def _request(world: World, command: RequestRefund) -> Result:
    if world.slots.locked():
        return await world.store.submit(command)
    await world.slots.acquire()
    began = asyncio.get_running_loop().time()
    result: Result | None = None
    try:
        with world.requests:
            result = await world.store.submit(replace(command, armable=True))
        return result
    finally:
        if isinstance(result, Admitted) and result.refund.state in SETTLING:
            world.launch(result.refund.id, _send(world, result, began, command.key))
        else:
            world.slots.release()


async def admit_refund(world: World, command: RequestRefund) -> Result:
    """Admit a refund whose caller does not wait for it. It is `ready` when this returns; a worker sends it.

    A worker sends many at once, and gives way to those who do wait.
    """
    with world.requests:
        result = await world.store.submit(command)
    world.due.set()
    return result


async def request_order_refund(world: World, command: RequestOrderRefund) -> Result:
    """Admit a refund on every payment of an order, all or nothing, and begin to send each."""
    result = await world.store.submit(command)
    if isinstance(result, Grouped):
        world.due.set()
    return result


async def await_refund(world: World, refund: Refund, seconds: float) -> tuple[Refund, Payment]:
    """The refund and its payment once it is no longer ready or sending, or as they stand after `seconds`.

    A database that is away meanwhile is waited for as well. Raises StoreUnavailable when it is still away at the end.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    landed = await landing(world, refund, seconds)
    if landed is not None:
        return landed.refund, landed.payment
    pause = POLL_S
    while True:
        try:
            current, payment = await _standing(world, refund.merchant, refund.id, refund.payment)
        except StoreUnavailable:
            if loop.time() >= until:
                raise
        else:
            if current.state not in SETTLING or loop.time() >= until:
                return current, payment
        await world.sleep(min(pause, max(0.0, until - loop.time())))
        pause = min(2 * pause, POLL_S_MAX)


async def landing(world: World, refund: Refund, seconds: float) -> Moved | None:
    """What this process itself recorded when it sent the refund, if that was the end of waiting for it."""
    flight = world.flights.get(refund.id)
    if flight is None or seconds <= 0:
        return None
    await asyncio.wait({flight}, timeout=seconds)
    moved = flight.result() if flight.done() and not flight.cancelled() and flight.exception() is None else None
    return moved if moved is not None and moved.refund.state not in SETTLING else None


async def _send(world: World, admitted: Admitted, began: float, key: Keyed | None) -> Moved | None:
    """Send it with the slot in hand; where its rail gives out its own, with one of those, once there is one."""
    refund, payment = admitted.refund, admitted.payment
    rail = world.rail(payment.merchant, payment.rail)
    if rail.slot is None:
        try:
            return await send_refund(world, rail.exchange, refund, payment, began=began, key=key)
        finally:
            world.slots.release()
    world.slots.release()  # others may be admitted meanwhile
    async with send_slot(world, rail) as over:
        return None if over is None else await send_refund(world, over, refund, payment, began=began, key=key)


async def _standing(world: World, merchant: UUID, refund: UUID, payment: UUID) -> tuple[Refund, Payment]:
    found: Any = await world.store.refund(merchant, refund)
    its: Any = await world.store.payment(merchant, payment)
    assert found is not None and its is not None, "a refund that was admitted exists"
    return found, its
