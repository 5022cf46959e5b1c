"""Sent on: what a provider tells us, the client's own hooks are told too, in the provider's form.

A notification that comes again is sent on under the same ids, so that whoever was told once is not told twice, and
nobody is left out because a process died in between.
"""

from __future__ import annotations

from uuid import UUID, uuid5

from moneyback.dialect import Caller, Incoming, Notification
from moneyback.flows.front import FRONT, without_marks
from moneyback.flows.serve_dialect import Serving, where
from moneyback.flows.world import Rail, World
from moneyback.store.deliveries import Deliveries, Told
from moneyback.store.port import StoreUnavailable
from moneyback.store.reads import Reads


async def send_on(
    world: World, reads: Reads, deliveries: Deliveries, merchant: UUID, rail: Rail, digest: str, sent: Notification
) -> int:
    """Keep a delivery for every hook of the merchant's client; how many there are. Raises StoreUnavailable.

    A dialect that cannot say what its hooks expect costs them the news, and is logged.
    """
    dialect = world.dialects.get(rail.account.partition(":")[0])
    if dialect is None or dialect.resend is None:
        return 0
    caller = Caller(merchant=merchant, profile={"rail": rail.name, FRONT: rail.name})
    serving = Serving(world, reads, dialect, Incoming(method=sent.method, path="/"), caller)
    plain = Notification(method=sent.method, headers=sent.headers, query=sent.query, body=without_marks(sent.body))
    try:
        told = await serving.through(dialect.resend(plain, caller))
    except StoreUnavailable:
        raise
    except Exception as error:
        world.log("resend_broke", dialect=dialect.name, error=where(error))
        return 0
    kept = [
        Told(id=uuid5(merchant, f"{rail.name}:{digest}:{each.hook}"), delivery=each, rail=rail.name) for each in told
    ]
    await deliveries.add(merchant, *kept)
    return len(kept)
