"""Deliveries: a client's own program is told, tried again for three days, and given up where everybody can see it.

What it was told is kept for a while after the end, so that it can be told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from moneyback.core.naming import DELIVERY, ENDPOINT, inward, outward
from moneyback.flows.sign import standard_headers
from moneyback.flows.world import World
from moneyback.store.access import NATIVE
from moneyback.store.deliveries import Deliveries, Due, Said
from moneyback.store.endpoints import Endpoints
from moneyback.store.port import StoreUnavailable
from moneyback.vault import MasterKeyError

DELIVER_MAX: Final = 32
DELIVER_LEASE: Final = timedelta(seconds=60)
AGAIN_AFTER: Final = tuple(
    timedelta(seconds=s) for s in (5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400, 86_400)
)
"""When it is tried again, from one try to the next: ten times in some three days, unless its dialect says otherwise."""
GONE: Final = 410
"""What a program answers that wants to hear no more."""
KEPT_FOR: Final = timedelta(days=7)
"""How long what was told can be told again, once it arrived or was given up: business time."""
FORGET_MAX: Final = 1_000
OTHER_KEY: Final = "it was sealed with another master key"

Post = Callable[[Due], Awaitable[int]]
"""Makes the request of a delivery and returns the status it was answered with. Raises OSError where none was."""


async def deliver_due(world: World, deliveries: Deliveries, endpoints: Endpoints, post: Post) -> int:
    """Try every delivery that is due, but for those whose turn it is not; how many were looked at."""
    claimed = await deliveries.claim(DELIVER_MAX, DELIVER_LEASE)
    await asyncio.gather(*(deliver(world, deliveries, endpoints, post, each) for each in claimed.due))
    return claimed.seen


async def forget_old(deliveries: Deliveries) -> int:
    """Drop what old deliveries said; how many there were, at most FORGET_MAX."""
    return await deliveries.forget(KEPT_FOR, FORGET_MAX)


async def deliver(world: World, deliveries: Deliveries, endpoints: Endpoints, post: Post, due: Due) -> None:
    """One try. What breaks on the way stops no other delivery; its lease runs out, and it is tried again."""
    try:
        await _try(world, deliveries, endpoints, post, due)
    except StoreUnavailable as error:
        world.log("delivery_put_off", delivery=str(due.id), error=str(error))
    except Exception as error:
        world.log("delivery_broke", delivery=str(due.id), error=repr(error))


async def _try(world: World, deliveries: Deliveries, endpoints: Endpoints, post: Post, due: Due) -> None:
    if due.said is None:
        await deliveries.end(due, None, OTHER_KEY)
        return
    signed = await _signed(world, endpoints, due, due.said)
    if isinstance(signed, str):
        await deliveries.end(due, None, signed)
        return
    status, failure = None, ""
    try:
        status = await post(signed)
    except OSError as error:
        failure = str(error) or type(error).__name__
    failure = failure or f"answered {status}"
    again_after = AGAIN_AFTER if due.said.again_after is None else due.said.again_after
    if status is not None and _has_arrived(due.said, status):
        await deliveries.end(due, status)
    elif status == GONE or due.tries >= len(again_after):
        await deliveries.end(due, status, failure)
    else:
        await deliveries.put_off(due, again_after[due.tries], status, failure)


def _has_arrived(said: Said, status: int) -> bool:
    return status == 200 if said.received == "200" else 200 <= status < 300


async def _signed(world: World, endpoints: Endpoints, due: Due, said: Said) -> Due | str:
    """What goes to an endpoint of the native API is signed with the time of each try; a text says why it cannot be."""
    id = inward(ENDPOINT, due.hook) if due.dialect == NATIVE else None
    if id is None:
        return due
    try:
        secrets = await endpoints.secrets(due.merchant, id)
    except MasterKeyError:
        return OTHER_KEY
    if secrets is None:
        return "the endpoint was removed"
    now = (await world.store.now()).real
    headers = standard_headers(secrets, outward(DELIVERY, due.id), now, said.body)
    return replace(due, said=replace(said, headers={**said.headers, **headers}))
