"""News that arrive by themselves: what the sandbox bank reports because time has passed."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from moneyback.bank.client import heard
from moneyback.bank.port import Bank, Notice
from moneyback.core.commands import ObservePayment
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.flows.send_refund import record
from moneyback.flows.world import World

NOTICES_MAX = 100


class Finder(Protocol):
    """Finds what a notice is about."""

    async def payment_by_reference(self, merchant: UUID, rail: str, reference: str) -> Payment | None:
        """The payment a rail's provider knows by this reference."""

    async def refund_by_provider_id(self, merchant: UUID, rail: str, provider_id: str) -> Refund | None:
        """Our refund the provider knows by this id."""


async def take_notices(world: World, finder: Finder, bank: Bank) -> int:
    """Record what the bank reports and acknowledge it; told twice, it counts once. Returns how much there was."""
    now = await world.store.now()
    notices = await bank.notices(now.business, NOTICES_MAX)
    for notice in notices:
        await _take(world, finder, notice)
    if notices:
        await bank.acknowledge(notices)
        world.due.set()
    return len(notices)


async def _take(world: World, finder: Finder, notice: Notice) -> None:
    owner, _, rail = notice.account.partition(".")
    merchant = UUID(hex=owner)
    payment = await finder.payment_by_reference(merchant, rail, notice.payment)
    if payment is None:
        return
    refund = await _refund_of(world, finder, payment, notice)
    said = heard(notice)
    for sighting in said.sightings:
        await world.store.submit(
            ObservePayment(
                merchant=merchant,
                payment=payment.id,
                evidence=world.new_id(),
                sighting=sighting,
                source="notification",
            )
        )
    if refund is not None and said.observations:
        await record(world, refund, payment, said.observations, source="notification")


async def _refund_of(world: World, finder: Finder, payment: Payment, notice: Notice) -> Refund | None:
    """Ours by the key or mark it carries, or by the provider's id once we know it."""
    for carried in (notice.key, notice.mark):
        if carried is not None and carried.startswith("mb_"):
            return await world.store.refund(payment.merchant, UUID(hex=carried.split("_")[1]))
    if notice.refund is None:
        return None
    return await finder.refund_by_provider_id(payment.merchant, payment.rail, notice.refund)
