"""The worker's round: find what is due and do it, each piece on its own, so that one that breaks stops no other."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

from moneyback.flows.look import expire_lease, look_at_refund, make_due
from moneyback.flows.release import settle_release
from moneyback.flows.send_refund import send_due
from moneyback.flows.world import World
from moneyback.store.port import StoreUnavailable, Work

CLAIM_MAX: Final = 64
CLAIM_LEASE: Final = timedelta(seconds=60)
DRAIN_S: Final = 70.0
"""How long what is on its way is waited for at the end: a send may begin by its deadline of 30 s and be answered 30 s
after that, and then it is recorded. What takes longer is found again by its lease."""


async def work_round(world: World) -> int:
    """Claim what is due, do it, and return how many pieces there were."""
    begun = await begin_round(world)
    if begun:
        await asyncio.wait(begun)
    return len(begun)


async def begin_round(world: World) -> list[asyncio.Task[None]]:
    """Claim what is due, and begin to do what of it is not being done here already.

    It goes on when whoever waits for it is cancelled: what is being sent is not cancelled in the middle.
    """
    pieces = await world.store.claim(CLAIM_MAX, CLAIM_LEASE)
    fresh = [each for each in pieces if (each.kind, each.refund) not in world.errands]
    return [world.begin((each.kind, each.refund), _do(world, each)) for each in fresh]


async def _do(world: World, piece: Work) -> None:
    try:
        match piece.kind:
            case "send":
                await send_due(world, piece)
            case "look":
                await look_at_refund(world, piece)
            case "expire":
                await expire_lease(world, piece)
            case "due":
                await make_due(world, piece)
            case "release":
                await settle_release(world, piece)
    except StoreUnavailable as error:
        world.log("work_put_off", refund=str(piece.refund), kind=piece.kind, error=str(error))
    except Exception as error:  # raised, nobody would hear of it
        world.log("work_broke", refund=str(piece.refund), kind=piece.kind, error=repr(error))


async def drain(world: World, patience_s: float = DRAIN_S) -> None:
    """Arm nothing any more, and wait for what is on its way; what waits with nothing armed is let go at once."""
    world.stopping.set()
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    while running := _running(world):
        for task in tuple(world.waiting):
            task.cancel()
        if loop.time() >= until:
            world.warn("stopped_with_sends_on_their_way", count=len(running))
            return
        # Whatever ends may have begun something else meanwhile: a request, for instance, its refund's sending.
        await asyncio.wait(running, timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED)


def _running(world: World) -> set[asyncio.Task[Any]]:
    return {*world.flights.values(), *world.errands.values()}
