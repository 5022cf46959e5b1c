"""Notifications in: what a provider sends to a rail's own address is kept, answered, and then what it names is read.

A notification is never evidence itself, so that it may be late, repeated, out of order or a lie: what counts is what
the provider shows when it is asked. One that cannot be read yet is read later.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import AnswerLost, Forged, Heard, NotConnected, Notification, Outgoing
from moneyback.flows.adopt import adopt
from moneyback.flows.look import look
from moneyback.flows.measure_refunds import measured_refunds
from moneyback.flows.send_refund import READ_PATIENCE_S, drive, read_payment
from moneyback.flows.world import Rail, World
from moneyback.store.news import News, Told
from moneyback.store.port import StoreUnavailable

TOLD_MAX: Final = 32
TOLD_LEASE: Final = timedelta(seconds=120)
NAMES_MAX: Final = 100
"""Payments and refunds that one notification may name."""
AGAIN_FIRST: Final = timedelta(seconds=10)
AGAIN_MAX: Final = timedelta(hours=6)
LOOKED_AT: Final = frozenset({State.PENDING, State.UNKNOWN, State.REQUIRES_ACTION, State.NEEDS_REVIEW})

Outcome = Literal["heard", "repeated", "forged", "unreadable", "unknown", "unavailable", "not_heard"]


class Answered(msgspec.Struct, frozen=True):
    """What a sender is told, and what came of it."""

    outcome: Outcome
    answer: Outgoing
    rail: str = ""
    merchant: UUID | None = None
    digest: str = ""


async def hear(world: World, news: News, token: str, sent: Notification) -> Answered:
    """Keep a notification and say what its provider expects to be told. Raises StoreUnavailable: then nothing is kept.

    A forged one is answered 401 and nothing is read because of it.
    """
    place = await news.find_hook(token)
    if place is None:
        return Answered("unknown", Outgoing(status=404))
    merchant, name = place
    rail = world.rail(merchant, name)
    if rail.unusable is not None:  # another process may know it, or this one soon
        return Answered("unavailable", Outgoing(status=503, headers={"Retry-After": "30"}), name)
    if rail.hear is None:
        return Answered("not_heard", Outgoing(status=404), name)
    try:
        heard = rail.hear(sent)
    except Forged:
        world.log("notification_forged", rail=name, merchant=str(merchant))
        return Answered("forged", Outgoing(status=401), name)
    except ValueError:
        world.log("notification_unreadable", rail=name, merchant=str(merchant))
        return Answered("unreadable", Outgoing(status=400), name)
    return await _keep(world, news, rail, merchant, heard, sent)


async def _keep(world: World, news: News, rail: Rail, merchant: UUID, heard: Heard, sent: Notification) -> Answered:
    payments, refunds = heard.payments[:NAMES_MAX], heard.refunds[:NAMES_MAX]
    raw = rail.scrubbed(sent)
    new = await news.take(merchant, world.new_id(), rail.name, heard.digest, payments, refunds, raw)
    return Answered("heard" if new else "repeated", heard.answer, rail.name, merchant, heard.digest)


async def read_told(world: World, news: News) -> int:
    """Read what notifications name, as far as it is due; how many there were."""
    told = await news.claim_told(TOLD_MAX, TOLD_LEASE)
    async with asyncio.TaskGroup() as group:
        for each in told:
            group.create_task(_read(world, news, each))
    return len(told)


async def _read(world: World, news: News, told: Told) -> None:
    """Read what one notification names. One that breaks stops no other; its lease runs out, and it is read again."""
    try:
        again = await read_one(world, news, told)
        await news.put_off(told, again)
    except StoreUnavailable as error:
        world.log("notification_put_off", notification=str(told.id), error=str(error))
    except Exception as error:  # raised, it would cancel the others in the middle of their calls
        world.log("notification_broke", notification=str(told.id), error=repr(error))


async def read_one(world: World, news: News, told: Told) -> timedelta | None:
    """Read what a notification names. Returns after how long it is to be read again; None: never."""
    rail = world.rail(told.merchant, told.rail)
    payments: dict[UUID, Payment] = {}
    missing = False
    for reference in told.payments:
        payment = await news.payment_there(told.merchant, rail.account, reference)
        if payment is not None:
            payments[payment.id] = payment
    for provider_id in told.refunds:
        refund = await news.refund_there(told.merchant, rail.account, provider_id)
        payment = await world.store.payment(told.merchant, refund.payment) if refund is not None else None
        if payment is not None:
            payments[payment.id] = payment
        missing |= payment is None
    if missing and rail.client.list_refunds is not None:
        await news.list_soon(told.merchant, told.rail)  # the list says of which payment it is
    answered = [await read_whole(world, news, rail, payment) for payment in payments.values()]
    if not all(answered):
        return min(AGAIN_FIRST * (1 << min(told.tries, 12)), AGAIN_MAX)
    # What a provider tells us of it may not show yet. Once its lists have caught up it is read a last time.
    return rail.client.list_lag or None if told.tries == 0 else None


async def read_whole(world: World, news: News, rail: Rail, payment: Payment) -> bool:
    """Ask the provider for all it shows of a payment and of its refunds. False: it did not answer everything."""
    answered = True
    children = await world.store.children(payment.merchant, payment.id)
    for refund in sorted(children.refunds.values(), key=lambda each: (each.created_at, each.id)):
        if _is_looked_at(refund):
            answered &= await look(world, refund, payment, source="notification", looked=False)
    try:
        await read_payment(world, rail, payment)
        await _fetch(world, news, rail, payment)
    except (NotConnected, AnswerLost) as error:
        world.log("notified_payment_not_read", payment=str(payment.id), error=repr(error))
        answered = False
    return answered


def _is_looked_at(refund: Refund) -> bool:
    return refund.state in LOOKED_AT and refund.generation > 0


async def _fetch(world: World, news: News, rail: Rail, payment: Payment) -> None:
    """Every refund of the payment as its provider shows it, those that have ended included."""
    if rail.client.fetch is None or rail.reading is None:
        return
    deadline = asyncio.get_running_loop().time() + READ_PATIENCE_S
    fetched = await drive(rail.client.fetch(payment.reference), rail.reading, deadline)
    for seen in await measured_refunds(world, payment, fetched) if fetched is not None else ():
        await adopt(world, news, payment.merchant, rail, seen, source="notification")
