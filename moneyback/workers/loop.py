"""The worker loop: a round of due work, then a rest that ends early when a flow says there may be more.

After a full round there surely is more. Whoever waits for an answer still comes first: while requests are being decided
on in this process, a backlog is worked off a round at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

from moneyback.flows.work import CLAIM_MAX, work_round
from moneyback.flows.world import World
from moneyback.store.port import StoreUnavailable

REST_S = 0.25
REST_S_BROKEN = 1.0
GIVE_WAY_S = 0.5
PARENT_CHECK_S = 0.5


async def run_worker(world: World, notices: Callable[[], Awaitable[int]]) -> None:
    """Work until cancelled. `notices` takes in what providers report by themselves and says how much there was."""
    while True:
        try:
            done = await work_round(world) + await notices()
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


async def _rest(world: World, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(world.due.wait(), seconds)
    world.due.clear()


async def exit_with_parent(parent: int) -> None:
    """End this process at once when the supervisor that started it is gone; being killed is what it is built for."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing in this process would ever set an event
        await asyncio.sleep(PARENT_CHECK_S)
    os._exit(1)
