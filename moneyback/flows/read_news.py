"""The round of news: notifications that wait to be read, lists that are due, and gaps that are to be closed."""

from __future__ import annotations

import asyncio

from moneyback.flows.drift import LEASE, TURNS_MAX, read_list
from moneyback.flows.hear import read_told
from moneyback.flows.recover import AGAIN_AFTER, recover_rail
from moneyback.flows.world import World
from moneyback.store.news import Gap, News, Turn
from moneyback.store.port import StoreUnavailable


async def read_news(world: World, news: News) -> int:
    """Read what is due; how much there was."""
    told, lists = await asyncio.gather(read_told(world, news), read_lists(world, news))
    return told + lists


async def read_lists(world: World, news: News) -> int:
    """Read on the lists that are due, each by one process at a time; how many there were."""
    turns = await news.claim_lists(TURNS_MAX, LEASE)
    await asyncio.gather(*(_turn(world, news, each) for each in turns))
    return len(turns)


async def _turn(world: World, news: News, turn: Turn) -> None:
    """One rail's turn. A list that breaks stops no other's: its lease runs out, and it is read again."""
    try:
        if turn.look_only_since is None or turn.look_only_at is None:
            await read_list(world, news, turn)
        else:
            gap = Gap(turn.merchant, turn.rail, turn.look_only_since, turn.look_only_at, None)
            recovery = await recover_rail(world, news, gap)
            await news.end_turn(turn, AGAIN_AFTER)
            if recovery.missing:
                world.log("gap_open", rail=turn.rail, merchant=str(turn.merchant), why=recovery.missing)
    except StoreUnavailable as error:
        world.log("list_put_off", rail=turn.rail, error=str(error))
    except Exception as error:
        world.log("list_broke", rail=turn.rail, error=repr(error))
