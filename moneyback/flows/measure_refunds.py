"""Refunds of which a provider shows that they were made, and what is left, but not how much each of them was.

How much was given back elsewhere is then what is gone there and accounted for by nothing here. Where that cannot be
told for certain (one of ours may be among them, or what was read is older than what we know) nothing is said at all:
the next refund finds that the remainders differ, and a person looks.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from moneyback.core.payment import Payment
from moneyback.core.plan import Children
from moneyback.core.refund import Refund, State
from moneyback.dialect import Fetched, SeenRefund
from moneyback.flows.world import World

EXECUTED = frozenset({State.SUCCEEDED, State.RETURNED})


async def measured_refunds(world: World, known: Payment, fetched: Fetched) -> tuple[SeenRefund, ...]:
    """The refunds of a payment that was read, as far as it is known how much each was. Raises StoreUnavailable.

    Their sum is exact. Of several that are new at once the first stands for all: which was how much, nobody says.
    """
    if all(each.amount for each in fetched.refunds):
        return fetched.refunds
    payment = await world.store.payment(known.merchant, known.id)
    children = await world.store.children(known.merchant, known.id)
    after = await world.store.payment(known.merchant, known.id)
    if payment is None or after is None or payment.version != after.version:
        return tuple(each for each in fetched.refunds if each.amount)
    return tuple(measured(fetched, payment, children))


def measured_first(fetched: Fetched) -> tuple[SeenRefund, ...]:
    """The same of a payment that is new to us: all that is gone was given back elsewhere."""
    stated = tuple(each for each in fetched.refunds if each.amount)
    unstated = next((each for each in fetched.refunds if not each.amount), None)
    if unstated is None or fetched.left is None:
        return stated
    gone = fetched.payment.amount - fetched.left - sum(each.amount for each in stated if _counts(each))
    return (*stated, replace(unstated, amount=gone)) if gone > 0 else stated


def _counts(seen: SeenRefund) -> bool:
    return seen.status in ("pending", "succeeded")


def measured(fetched: Fetched, payment: Payment, children: Children) -> Iterator[SeenRefund]:
    """The same, by the payment and its refunds as they stand at one moment."""
    ours = {each.provider_id: each for each in children.refunds.values() if each.provider_id is not None}
    unknown = []
    for seen in fetched.refunds:
        if seen.amount:
            yield seen
        elif seen.provider_id in ours:
            yield replace(seen, amount=ours[seen.provider_id].payer)
        elif seen.provider_id in children.externals:
            yield replace(seen, amount=children.externals[seen.provider_id].amount)
        else:
            unknown.append(seen)
    if not unknown or fetched.left is None or not _is_current(fetched, payment, children):
        return
    gone = payment.captured - fetched.left - payment.refunded - payment.external - payment.clawed_back
    nameless = [each for each in children.refunds.values() if each.state in EXECUTED and each.provider_id is None]
    if gone > 0 and not nameless:
        yield replace(unknown[0], amount=gone)
    elif gone == 0 and len(unknown) == len(nameless) == 1:
        yield replace(unknown[0], amount=nameless[0].payer)  # executed, and its id was never told: this is it


def _is_current(fetched: Fetched, payment: Payment, children: Children) -> bool:
    """Whether what was read shows all that we know of, and nothing of ours is on its way that it may show as well."""
    shown = {each.provider_id for each in fetched.refunds}
    if fetched.payment.amount != payment.captured:
        return False
    return all(_is_settled(each, shown) for each in children.refunds.values())


def _is_settled(refund: Refund, shown: set[str]) -> bool:
    if refund.state in EXECUTED:
        return refund.provider_id is None or refund.provider_id in shown
    return refund.ended or not refund.generation
