"""The loop of telling: the logs that have something new, then a rest. Whoever waits for an answer comes first."""

from __future__ import annotations

from moneyback.flows.tell import Shown, follow_logs
from moneyback.flows.world import World
from moneyback.store.followers import Followers
from moneyback.store.port import StoreUnavailable
from moneyback.store.reads import Reads

REST_S = 0.5
REST_S_BROKEN = 2.0


async def run_telling(world: World, reads: Reads, followers: Followers, shown: Shown) -> None:
    """Follow the logs until cancelled."""
    while True:
        try:
            told = await follow_logs(world, reads, followers, shown)
            rest = 0.0 if told and not world.requests.under_way else REST_S
        except StoreUnavailable as error:
            world.log("telling_waits", error=str(error))
            rest = REST_S_BROKEN
        except Exception as error:  # a round that breaks is reported, and the next one tries again
            world.log("telling_broke", error=repr(error))
            rest = REST_S_BROKEN
        await world.sleep(rest)
