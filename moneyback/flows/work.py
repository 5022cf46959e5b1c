"""The worker's round: find what is due and do it, each piece on its own, so that one that breaks stops no other."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from moneyback.flows.look import expire_lease, look_at_refund, make_due
from moneyback.flows.send_refund import send_due
from moneyback.flows.world import World
from moneyback.store.port import StoreUnavailable, Work

CLAIM_MAX = 64
CLAIM_LEASE = timedelta(seconds=60)


async def work_round(world: World) -> int:
    """Claim what is due, do it, and return how many pieces there were."""
    pieces = await world.store.claim(CLAIM_MAX, CLAIM_LEASE)
    async with asyncio.TaskGroup() as group:
        for piece in pieces:
            group.create_task(_do(world, piece))
    return len(pieces)


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
    except StoreUnavailable as error:
        world.log("work_put_off", refund=str(piece.refund), kind=piece.kind, error=str(error))
    except Exception as error:  # raised, it would cancel all other pieces of the round in the middle of their calls
        world.log("work_broke", refund=str(piece.refund), kind=piece.kind, error=repr(error))
