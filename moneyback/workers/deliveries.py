"""The loop of deliveries: a round of what is due, then a rest."""

from __future__ import annotations

from moneyback.flows.deliver import DELIVER_MAX, Post, deliver_due
from moneyback.flows.world import World
from moneyback.store.deliveries import Deliveries
from moneyback.store.port import StoreUnavailable

REST_S = 0.5
REST_S_BROKEN = 2.0


async def run_deliveries(world: World, deliveries: Deliveries, post: Post) -> None:
    """Deliver until cancelled."""
    while True:
        try:
            rest = 0.0 if await deliver_due(world, deliveries, post) >= DELIVER_MAX else REST_S
        except StoreUnavailable as error:
            world.log("deliveries_wait", error=str(error))
            rest = REST_S_BROKEN
        await world.sleep(rest)
