"""News that arrive by themselves: what the sandbox bank reports because time has passed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol
from uuid import UUID

from moneyback.bank.client import heard
from moneyback.bank.port import Bank, Notice
from moneyback.core.commands import Observation, ObservePayment, Sighting
from moneyback.core.payment import Payment
from moneyback.core.refund import Event, Refund, State
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
    """Record what the bank reports and acknowledge it; told twice, it counts once. Returns how much was taken in.

    What nobody here can place yet is left to be told again.
    """
    now = await world.store.now()
    notices = await bank.notices(now.business, NOTICES_MAX)
    taken = [notice for notice in notices if await _take(world, finder, notice)]
    if taken:
        await bank.acknowledge(taken)
        world.due.set()
    return len(taken)


async def _take(world: World, finder: Finder, notice: Notice) -> bool:
    """Record one notice. False: it may be about a refund whose provider's id nobody knows yet."""
    owner, _, rail = notice.account.partition(".")
    merchant = UUID(hex=owner)
    payment = await finder.payment_by_reference(merchant, rail, notice.payment)
    if payment is None:
        return True
    refund = await _refund_of(world, finder, payment, notice)
    if refund is None and notice.refund is not None and await _unanswered(world, payment):
        return False
    said = heard(notice)
    for sighting in (*said.sightings, *(_not_ours(said.observations) if refund is None else ())):
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
    return True


def _not_ours(seen: tuple[Observation, ...]) -> Iterator[Sighting]:
    """An execution that no refund of ours can be: a fact of the payment all the same."""
    for each in seen:
        if each.event is Event.EXECUTED and each.provider_id is not None and each.amount:
            yield Sighting(
                kind="external", amount=each.amount, reference=each.provider_id, occurred_at=each.occurred_at
            )


async def _unanswered(world: World, payment: Payment) -> bool:
    """Whether an answer may still bring a provider's id: a notice can be quicker than the answer to our call."""
    refunds = (await world.store.children(payment.merchant, payment.id)).refunds.values()
    return any(each.state in (State.SENDING, State.UNKNOWN) and each.provider_id is None for each in refunds)


async def _refund_of(world: World, finder: Finder, payment: Payment, notice: Notice) -> Refund | None:
    """Ours by the key or mark it carries, or by the provider's id once we know it."""
    for carried in (notice.key, notice.mark):
        if carried is not None and carried.startswith("mb_"):
            return await world.store.refund(payment.merchant, UUID(hex=carried.split("_")[1]))
    if notice.refund is None:
        return None
    return await finder.refund_by_provider_id(payment.merchant, payment.rail, notice.refund)
