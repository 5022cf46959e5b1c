"""The worker loop: a round of due work, then a rest that ends early when a flow says there may be more.

After a full round there surely is more. Whoever waits for an answer still comes first: while requests are being decided
on in this process, a backlog is worked off a round at a time. A piece that takes long, because its rail is slow or lets
many wait, goes on beside the next rounds: one provider keeps no other waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from moneyback.flows.work import CLAIM_MAX, begin_round
from moneyback.flows.world import World
from moneyback.store.port import StoreUnavailable

REST_S = 0.25
REST_S_BROKEN = 1.0
GIVE_WAY_S = 0.5
ROUND_S = 1.0
"""How long a round is waited for before the next one."""
PIECES_MAX = 1_024
"""Pieces under way, most of them waiting for a send slot: with so many, nothing more is claimed."""


async def run_worker(world: World, notices: Callable[[], Awaitable[int]]) -> None:
    """Work until cancelled. `notices` takes in what providers report by themselves and says how much there was.

    Cancelled, it claims nothing more; what it has begun goes on, and is whoever drains the world's to wait for.
    """
    under_way = set[asyncio.Task[None]]()
    while True:
        try:
            done = await _round(world, under_way) + await notices()
            rest = REST_S
            if done >= CLAIM_MAX:
                await world.sleep(GIVE_WAY_S if world.requests.under_way else 0.0)
                continue
        except StoreUnavailable as error:
            world.log("worker_waits", error=str(error))
            rest = REST_S_BROKEN
        except Exception as error:  # a round that breaks is reported, and the next one tries again
            world.log("worker_round_broke", error=repr(error))
            rest = REST_S_BROKEN
        await _rest(world, rest)


async def _round(world: World, under_way: set[asyncio.Task[None]]) -> int:
    if len(under_way) >= PIECES_MAX:
        return 0
    begun = await begin_round(world)
    for piece in begun:
        under_way.add(piece)
        piece.add_done_callback(under_way.discard)
    if begun:
        await asyncio.wait(begun, timeout=ROUND_S)
    return len(begun)


async def _rest(world: World, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # wait_for may lose a cancellation that comes together with the event
            await world.due.wait()
    world.due.clear()
