"""Waiting for the answer of somebody else's request under the same idempotency key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

from moneyback.core.commands import SaveAnswer, Saved
from moneyback.core.payment import Payment
from moneyback.core.records import KeyRow
from moneyback.core.refund import Refund
from moneyback.flows.request_refund import POLL_S, POLL_S_MAX
from moneyback.flows.world import World

Render = Callable[[Refund, Payment], tuple[int, bytes]]


async def await_answer(
    world: World, merchant: UUID, dialect: str, key: str, seconds: float, render: Render | None = None
) -> tuple[int, bytes] | None:
    """What was answered under a key, waited for at most `seconds`; None for a key nobody used.

    Once its owner counts as dead its refund is rendered as it stands, and that answer is stored before it is given;
    when only the wait is over, the same is given without being stored. Raises StoreUnavailable.
    """
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + seconds, POLL_S
    while True:
        row = await world.store.key(merchant, dialect, key)
        if row is None:
            return None
        if row.status is not None and row.answer is not None:
            return row.status, row.answer
        if (await world.store.now()).real > row.answer_due:
            return await _answer_for(world, row, render)
        left = until - loop.time()
        if left <= 0:
            return await _rendered(world, row, render)
        await world.sleep(min(pause, left))
        pause = min(2 * pause, POLL_S_MAX)


async def _answer_for(world: World, row: KeyRow, render: Render | None) -> tuple[int, bytes] | None:
    """The answer of a dead owner's request. Two who find it dead agree: the first that is stored stands."""
    found = await _rendered(world, row, render)
    if found is None:
        return None
    status, answer = found
    saved = await world.store.submit(
        SaveAnswer(merchant=row.merchant, dialect=row.dialect, idempotency_key=row.key, status=status, answer=answer)
    )
    return (saved.status, saved.answer) if isinstance(saved, Saved) else None


async def _rendered(world: World, row: KeyRow, render: Render | None) -> tuple[int, bytes] | None:
    if render is None or row.refund is None:
        return None
    refund = await world.store.refund(row.merchant, row.refund)
    if refund is None:
        return None
    payment = await world.store.payment(row.merchant, refund.payment)
    assert payment is not None, "a refund's payment exists"
    return render(refund, payment)
