"""Deliveries: a client's own program is told, tried again for three days, and given up where everybody can see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from moneyback.flows.world import World
from moneyback.store.deliveries import Deliveries, Due
from moneyback.store.port import StoreUnavailable

DELIVER_MAX: Final = 32
DELIVER_LEASE: Final = timedelta(seconds=60)
AGAIN_AFTER: Final = tuple(
    timedelta(seconds=s) for s in (5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400, 86_400)
)
"""When it is tried again, from one try to the next: ten times in some three days."""
GONE: Final = 410
"""What a program answers that wants to hear no more."""

Post = Callable[[Due], Awaitable[int]]
"""Makes the request of a delivery and returns the status it was answered with. Raises OSError where none was."""


async def deliver_due(world: World, deliveries: Deliveries, post: Post) -> int:
    """Try every delivery that is due; how many there were."""
    due = await deliveries.claim(DELIVER_MAX, DELIVER_LEASE)
    await asyncio.gather(*(_deliver(world, deliveries, post, each) for each in due))
    return len(due)


async def _deliver(world: World, deliveries: Deliveries, post: Post, due: Due) -> None:
    """One try. What breaks on the way stops no other delivery; its lease runs out, and it is tried again."""
    try:
        await _try(deliveries, post, due)
    except StoreUnavailable as error:
        world.log("delivery_put_off", delivery=str(due.id), error=str(error))
    except Exception as error:
        world.log("delivery_broke", delivery=str(due.id), error=repr(error))


async def _try(deliveries: Deliveries, post: Post, due: Due) -> None:
    if due.body is None:
        await deliveries.end(due, None, "it was sealed with another master key")
        return
    status, failure = None, ""
    try:
        status = await post(due)
    except OSError as error:
        failure = str(error) or type(error).__name__
    if status is not None and 200 <= status < 300:
        await deliveries.end(due, status)
    elif status == GONE or due.tries >= len(AGAIN_AFTER):
        await deliveries.end(due, status, failure or f"answered {status}")
    else:
        await deliveries.put_off(due, AGAIN_AFTER[due.tries], status, failure or f"answered {status}")
