"""The news loop: notifications, lists and gaps, beside the worker's rounds, so that a slow provider delays no send."""

from __future__ import annotations

from moneyback.flows.read_news import read_news
from moneyback.flows.world import World
from moneyback.store.news import News
from moneyback.store.port import StoreUnavailable

REST_S = 1.0
REST_S_BROKEN = 5.0


async def run_news(world: World, news: News) -> None:
    """Read news until cancelled. What is cut off is claimed again when its lease has run out."""
    while True:
        try:
            rest = 0.0 if await read_news(world, news) else REST_S
        except StoreUnavailable as error:
            world.log("news_waits", error=str(error))
            rest = REST_S_BROKEN
        except Exception as error:  # a round that breaks is reported, and the next one tries again
            world.log("news_round_broke", error=repr(error))
            rest = REST_S_BROKEN
        await world.sleep(rest)
