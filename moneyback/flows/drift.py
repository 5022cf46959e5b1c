"""Drift: each rail's list of refunds is read on, step by step, and every line of it adopted.

One process at a time reads a rail's list, and keeps its place with every page, so that a process that ends loses a page
at most. Once a day the last weeks are read again from the beginning: what had succeeded may have come back since.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from moneyback.dialect import AnswerLost, Listed, NotConnected, SeenRefund
from moneyback.flows.adopt import Adopted, adopt
from moneyback.flows.send_refund import drive
from moneyback.flows.world import Rail, World
from moneyback.store.news import News, Turn

TURNS_MAX: Final = 8
LEASE: Final = timedelta(seconds=120)
PAGE_PATIENCE_S: Final = 30.0
PAGES_MAX: Final = 20
"""Pages of one turn; a longer list is read on in the next."""
SWEEP: Final = timedelta(days=14)
SWEEP_EVERY: Final = timedelta(days=1)
SOON: Final = timedelta(0)
AFTER_FAILURE: Final = timedelta(seconds=60)
UNLISTED: Final = timedelta(hours=1)
"""When to see again whether a rail can be read that has no list, or that this process does not know."""


async def page_of(rail: Rail, since: datetime, cursor: dict[str, object]) -> Listed:
    """One page of the list of the rail's account. Raises NotConnected, AnswerLost."""
    assert rail.client.list_refunds is not None and rail.reading is not None, "it has a list"
    deadline = asyncio.get_running_loop().time() + PAGE_PATIENCE_S
    return await drive(rail.client.list_refunds(since, cursor), rail.reading, deadline)


def has_list(rail: Rail) -> bool:
    """Whether the provider lists refunds, and this process may read it."""
    return rail.client.list_refunds is not None and rail.reading is not None


async def listed_since(rail: Rail, since: datetime) -> AsyncIterator[SeenRefund]:
    """The whole list from a time on. Raises NotConnected, AnswerLost in the middle of it."""
    cursor: dict[str, object] = {}
    while True:
        page = await page_of(rail, since, cursor)
        for seen in page.refunds:
            yield seen
        if not page.more or dict(page.cursor) == cursor:
            return
        cursor = dict(page.cursor)


async def read_list(world: World, news: News, turn: Turn) -> tuple[Adopted, ...]:
    """One turn at a rail's list: what its lines came to. Leaves its place and the time of the next turn behind."""
    rail = world.rail(turn.merchant, turn.rail)
    if not has_list(rail):
        await news.end_turn(turn, UNLISTED)
        return ()
    now = (await world.store.now()).business
    held: Turn | None = _begun(turn, now)
    adopted: list[Adopted] = []
    for _ in range(PAGES_MAX):
        assert held is not None and held.since is not None
        try:
            page = await page_of(rail, held.since, dict(held.cursor))
        except (NotConnected, AnswerLost) as error:
            world.log("list_not_read", rail=turn.rail, error=repr(error))
            await news.end_turn(held, AFTER_FAILURE)
            return tuple(adopted)
        adopted += [await adopt(world, news, turn.merchant, rail, seen) for seen in page.refunds]
        went_on = dict(page.cursor) != dict(held.cursor)
        held = await news.keep_place(replace(held, cursor=page.cursor), LEASE)
        if held is None:
            return tuple(adopted)  # somebody else reads on from where we were
        if not (page.more and went_on):
            await news.end_turn(held, rail.drift_every)
            return tuple(adopted)
    assert held is not None
    await news.end_turn(held, SOON)
    return tuple(adopted)


def _begun(turn: Turn, now: datetime) -> Turn:
    """The turn from where the last one ended, or from the beginning of the last weeks once a day."""
    if turn.since is None or turn.began_at is None:
        return replace(turn, since=turn.added_at, cursor={}, began_at=now)
    if now >= turn.began_at + SWEEP_EVERY:
        return replace(turn, since=max(turn.added_at, now - SWEEP), cursor={}, began_at=now)
    return turn
