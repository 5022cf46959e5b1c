"""Recovery: after a restore or a failover, what was sent and is forgotten here is found before anything is sent again.

Until then a rail only looks. Its list is read from the beginning of the gap and adopted; unsent refunds of payments
that turn out otherwise than we knew go to review. The gap is closed by a reading that began when everything sent before
must show; where a provider shows too little for that, by a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from moneyback.core.commands import Observation, Terms
from moneyback.core.payment import Payment
from moneyback.core.refund import UNSENT, Event
from moneyback.dialect import AnswerLost, NotConnected
from moneyback.flows.adopt import adopt
from moneyback.flows.drift import has_list, listed_since
from moneyback.flows.send_refund import read_payment, record
from moneyback.flows.world import Rail, World
from moneyback.store.news import Finding, Gap, News

MARGIN: Final = timedelta(hours=1)
"""How much earlier than the gap reading begins: a provider's clock is not ours."""
AGAIN_AFTER: Final = timedelta(seconds=15)
NOT_READ: Final = "the provider did not answer everything"
NOT_RIPE: Final = "what was sent last may not show there yet"
NOT_SHOWN: Final = "its provider shows neither a list nor what remains of a payment: a person must look there"
NOT_KNOWN: Final = "this process cannot use the rail"
TOLD_AGAIN: Final = "the rail was told to look again meanwhile"


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What one reading of a gap came to. `missing`: why nothing is sent yet; empty once sending has resumed."""

    rail: str
    found: Mapping[str, int]
    to_review: int
    missing: str


async def recover_rail(world: World, news: News, gap: Gap) -> Recovery:
    """Read a gap once, adopt what shows, and close the gap if that was all of it. Raises StoreUnavailable."""
    rail = world.rail(gap.merchant, gap.rail)
    began = (await world.store.now()).business
    found: Counter[str] = Counter()
    touched: dict[UUID, Payment] = {}
    if rail.unusable is not None:
        missing = NOT_KNOWN
    elif has_list(rail):
        missing = await _read_list(world, news, gap, rail, found, touched)
    else:
        missing = await _read_payments(world, news, gap, rail, found, touched)
    reviewed = sum([await review_unsent(world, payment) for payment in touched.values()])
    if not missing and began < gap.at + _until_shown(rail):
        missing = NOT_RIPE
    if not missing and not await news.look_no_longer(gap):
        missing = TOLD_AGAIN
    if not missing:
        world.log("gap_closed", rail=gap.rail, merchant=str(gap.merchant), found=dict(found), to_review=reviewed)
        world.due.set()
    return Recovery(rail=gap.rail, found=dict(found), to_review=reviewed, missing=missing)


def _until_shown(rail: Rail) -> timedelta:
    """How long after the gap was noticed anything sent before must show at the provider."""
    return Terms().send_deadline + rail.client.processing + rail.client.list_lag


async def _read_list(
    world: World, news: News, gap: Gap, rail: Rail, found: Counter[str], touched: dict[UUID, Payment]
) -> str:
    try:
        async for seen in listed_since(rail, gap.since - MARGIN):
            adopted = await adopt(world, news, gap.merchant, rail, seen, source="recovery")
            found[adopted.verdict] += 1
            if adopted.differs and adopted.payment is not None:
                touched[adopted.payment.id] = adopted.payment
    except (NotConnected, AnswerLost) as error:
        world.log("gap_not_read", rail=gap.rail, error=repr(error))
        return NOT_READ
    return ""


async def _read_payments(
    world: World, news: News, gap: Gap, rail: Rail, found: Counter[str], touched: dict[UUID, Payment]
) -> str:
    """Every payment that moved in the gap, or that something is still to be sent for: what remains of it there."""
    missing = ""
    for payment in await news.payments_moved_since(gap.merchant, rail.account, gap.since - MARGIN):
        try:
            figures = await read_payment(world, rail, payment)
        except (NotConnected, AnswerLost) as error:
            world.log("gap_not_read", rail=gap.rail, error=repr(error))
            return NOT_READ
        now = await world.store.payment(payment.merchant, payment.id)
        assert now is not None
        if figures.left is None:
            missing = NOT_SHOWN
        elif figures.left != max(0, now.captured - now.refunded - now.external - now.clawed_back):
            touched[now.id] = now
            found["other_remainder"] += 1
        else:
            found["agrees"] += 1
    return missing


async def review_unsent(world: World, payment: Payment) -> int:
    """The world is another than the one these refunds were admitted in: a person looks at each. How many there were."""
    children = await world.store.children(payment.merchant, payment.id)
    unsent = [each for each in children.refunds.values() if each.state in UNSENT]
    drifted = (Observation(event=Event.DRIFTED, data={"why": "recovery"}),)
    for refund in unsent:
        await record(world, refund, payment, drifted, source="recovery")
    return len(unsent)


async def close_gap(news: News, gap: Gap, by: str, note: str) -> bool:
    """A person has looked at the provider, and says that sending may resume. Kept for whoever asks later."""
    said = Finding(rail=gap.rail, kind="recovery", reference=f"{gap.since.isoformat()}/{gap.at.isoformat()}", note=note)
    if not await news.look_no_longer(gap):
        return False
    await news.note(gap.merchant, said)
    await news.settle(gap.merchant, gap.rail, said.reference, by)
    return True
