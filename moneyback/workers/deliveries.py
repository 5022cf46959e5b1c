"""The loop of deliveries: what is due is begun, and what takes long goes on beside the next rounds.

A program that does not answer keeps no other waiting: while a few deliveries to one address are under way here, no more
of them are claimed.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from moneyback.flows.deliver import DELIVER_LEASE, DELIVER_MAX, FORGET_MAX, Post, deliver, forget_old
from moneyback.flows.world import World
from moneyback.store.deliveries import Deliveries
from moneyback.store.endpoints import Endpoints
from moneyback.store.port import StoreUnavailable

REST_S = 0.5
REST_S_BROKEN = 2.0
FORGET_EVERY_S = 600.0
AT_ONCE_MAX = 256
"""Deliveries under way in this process."""
TO_ONE_MAX = 8
"""Those to one address, before no more of them are claimed."""


async def run_deliveries(world: World, deliveries: Deliveries, endpoints: Endpoints, post: Post) -> None:
    """Deliver until cancelled. What is cut off is tried again when its lease has run out."""
    under_way: dict[asyncio.Task[None], str] = {}
    forget_at = 0.0
    try:
        while True:
            try:
                more = await _begin(world, deliveries, endpoints, post, under_way)
                rest = 0.0 if more else REST_S
                if asyncio.get_running_loop().time() >= forget_at:
                    left = await forget_old(deliveries) >= FORGET_MAX
                    forget_at = asyncio.get_running_loop().time() + (0.0 if left else FORGET_EVERY_S)
            except StoreUnavailable as error:
                world.log("deliveries_wait", error=str(error))
                rest = REST_S_BROKEN
            except Exception as error:  # a round that breaks is reported, and the next one tries again
                world.log("deliveries_broke", error=repr(error))
                rest = REST_S_BROKEN
            await world.sleep(rest)
    finally:
        for each in under_way:
            each.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _begin(
    world: World, deliveries: Deliveries, endpoints: Endpoints, post: Post, under_way: dict[asyncio.Task[None], str]
) -> bool:
    """Begin what is due; whether there may be more."""
    room = min(DELIVER_MAX, AT_ONCE_MAX - len(under_way))
    if room <= 0:
        return False
    full = [url for url, count in Counter(under_way.values()).items() if count >= TO_ONE_MAX]
    claimed = await deliveries.claim(room, DELIVER_LEASE, but=full)
    for due in claimed.due:
        task = asyncio.create_task(deliver(world, deliveries, endpoints, post, due))
        under_way[task] = due.url
        task.add_done_callback(under_way.pop)
    return claimed.seen >= room
