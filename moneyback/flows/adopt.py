"""Adoption: what a provider's list says of one refund becomes evidence, or a refund made elsewhere, or a finding.

Whose it is, is decided on one reading of the payment with all its refunds. Told again, in any order, it counts once.
"""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID

import msgspec

from moneyback.core.commands import Moved, Observation, ObservePayment, Sighting
from moneyback.core.payment import Payment
from moneyback.core.plan import Children
from moneyback.core.refund import Event, Grade, Refund, State
from moneyback.dialect import SeenRefund
from moneyback.flows.send_refund import record
from moneyback.flows.world import Rail, World
from moneyback.store.news import Finding, News

Verdict = Literal["agrees", "recorded", "external", "undone", "waits", "unknown_payment", "other_currency", "nothing"]

EVENTS: Final = {
    "pending": Event.ACCEPTED,
    "succeeded": Event.EXECUTED,
    "failed": Event.REFUSED,
    "returned": Event.CAME_BACK,
}
AGREEING: Final = {
    "pending": frozenset({State.PENDING, State.REQUIRES_ACTION, State.SUCCEEDED, State.RETURNED}),
    "succeeded": frozenset({State.SUCCEEDED, State.RETURNED}),
    "failed": frozenset({State.FAILED, State.CANCELED, State.RETURNED}),
    "returned": frozenset({State.RETURNED}),
}
"""Where our refund stands when a provider's word is no news. Lists lag: what is older than what we know is none."""
UNANSWERED: Final = frozenset({State.SENDING, State.PENDING, State.REQUIRES_ACTION, State.UNKNOWN, State.NEEDS_REVIEW})
EXECUTED: Final = frozenset({State.SUCCEEDED, State.RETURNED})


class Adopted(msgspec.Struct, frozen=True):
    """What one line of a provider's list came to, and the payment and refund it is about where there are any."""

    verdict: Verdict
    payment: Payment | None = None
    refund: Refund | None = None

    @property
    def differs(self) -> bool:
        """Whether the provider knew something that we did not."""
        return self.verdict not in ("agrees", "nothing")


async def adopt(
    world: World, news: News, merchant: UUID, rail: Rail, seen: SeenRefund, *, source: str = "list"
) -> Adopted:
    """Take in one refund as the provider shows it. Raises StoreUnavailable."""
    payment = await payment_of(world, news, merchant, rail, seen)
    if payment is None:
        await news.note(merchant, _finding("unknown_payment", rail, seen, theirs=seen.amount))
        return Adopted("unknown_payment")
    children = await world.store.children(merchant, payment.id)
    refund, grade = _ours(children, payment, seen)
    if seen.currency is not None and seen.currency != payment.currency:
        await news.note(merchant, _finding("other_currency", rail, seen, payment, refund, theirs=seen.amount))
        return Adopted("other_currency", payment, refund)
    if refund is not None:
        return await _record(world, news, rail, payment, refund, seen, grade, source)
    if any(each.state in UNANSWERED and not each.provider_id and each.generation for each in _refunds(children)):
        await news.note(merchant, _finding("unplaced", rail, seen, payment, theirs=seen.amount))
        return Adopted("waits", payment)
    return await _elsewhere(world, news, rail, payment, children, seen, source)


async def payment_of(world: World, news: News, merchant: UUID, rail: Rail, seen: SeenRefund) -> Payment | None:
    """The payment a line is about: by the provider's id of it, else by the refund of ours that it is marked as."""
    payment = await news.payment_there(merchant, rail.account, seen.payment)
    if payment is not None:
        return payment
    marked = _marked(seen)
    refund = await world.store.refund(merchant, marked[0]) if marked is not None else None
    payment = await world.store.payment(merchant, refund.payment) if refund is not None else None
    return payment if payment is not None and payment.account == rail.account else None


def _refunds(children: Children) -> list[Refund]:
    return sorted(children.refunds.values(), key=lambda each: (each.created_at, each.id))


def _ours(children: Children, payment: Payment, seen: SeenRefund) -> tuple[Refund | None, Grade]:
    """Our refund that this is: by the provider's id, else by our mark, else as the one whose id was never learnt.

    Providers that echo no mark and answer without an id leave only the last way: an execution of the same amount that
    no other line of the list stands for.
    """
    refunds = _refunds(children)
    named = next((each for each in refunds if each.provider_id == seen.provider_id), None)
    marked = _marked(seen)
    if named is None and marked is not None:
        named = children.refunds.get(marked[0])
    if named is not None or marked is not None or seen.provider_id in children.externals:
        return named, Grade.MARK
    nameless = (each for each in refunds if each.state in EXECUTED and each.provider_id is None)
    return next((each for each in nameless if each.payer == seen.amount), None), Grade.COUNTER


def _marked(seen: SeenRefund) -> tuple[UUID, int] | None:
    """Refund and generation of a mark of ours; None for no mark, or somebody else's word."""
    kind, _, rest = (seen.mark or "").partition("_")
    digits, _, generation = rest.partition("_")
    if kind != "mb" or len(digits) != 32 or not generation.isdecimal() or len(generation) > 6:
        return None
    try:
        return UUID(hex=digits), int(generation)
    except ValueError:
        return None


async def _record(
    world: World,
    news: News,
    rail: Rail,
    payment: Payment,
    refund: Refund,
    seen: SeenRefund,
    grade: Grade,
    source: str,
) -> Adopted:
    """What a list says of a refund of ours. It decides nothing: the table of moves does."""
    if _agrees(refund, seen):
        await news.settle(refund.merchant, rail.name, seen.provider_id)
        return Adopted("agrees", payment, refund)
    moved = await record(world, refund, payment, (_observation(refund, seen, grade),), source=source)
    if moved is None or moved.refund.evidence_version == refund.evidence_version:
        return Adopted("nothing", payment, refund)  # told before: whoever must look at it was told then
    world.due.set()
    await _note_recorded(news, rail, moved, refund, seen)
    return Adopted("recorded", moved.payment, moved.refund)


def _agrees(refund: Refund, seen: SeenRefund) -> bool:
    same_id = refund.provider_id == seen.provider_id or (seen.status == "failed" and refund.provider_id is None)
    same_amount = seen.amount == refund.payer or seen.status in ("pending", "failed")
    return refund.state in AGREEING[seen.status] and same_id and same_amount


def _observation(refund: Refund, seen: SeenRefund, grade: Grade) -> Observation:
    marked = _marked(seen)
    generation = marked[1] if marked is not None and marked[0] == refund.id else None
    if generation is not None and generation > refund.generation:
        generation = None  # armed after the moment this database was restored to: no attempt of that number is here
    failed = seen.status == "failed"
    return Observation(
        event=EVENTS[seen.status],
        grade=grade,
        generation=generation,
        amount=seen.amount,
        provider_id=seen.provider_id,
        occurred_at=seen.at,
        digest=f"list:{seen.provider_id}:{seen.status}:{seen.amount}",
        failure="declined" if failed else None,
        code=seen.code if failed else None,
        data={"mark": seen.mark} if seen.mark is not None and generation is None else {},
    )


async def _note_recorded(news: News, rail: Rail, moved: Moved, was: Refund, seen: SeenRefund) -> None:
    """A finding where the books differ for good; where the word only was news, all that was open is settled."""
    refund = moved.refund
    paid = seen.status in ("succeeded", "returned")
    if paid and seen.amount != refund.payer:
        found = _finding("other_amount", rail, seen, moved.payment, refund, theirs=seen.amount, ours=refund.payer)
    elif refund.state is State.NEEDS_REVIEW or refund.state not in AGREEING[seen.status]:
        note = f"{seen.status} there; {was.state.value} here, now {refund.state.value}"
        found = _finding("other_state", rail, seen, moved.payment, refund, seen.amount, refund.payer, note)
    else:
        await news.settle(refund.merchant, rail.name, seen.provider_id)
        return
    await news.note(refund.merchant, found)


async def _elsewhere(
    world: World, news: News, rail: Rail, payment: Payment, children: Children, seen: SeenRefund, source: str
) -> Adopted:
    """A refund that is none of ours: made in the provider's dashboard, or by a program that does not know us."""
    known = children.externals.get(seen.provider_id)
    gone = seen.status in ("failed", "returned")
    if gone and (known is None or known.undone):
        return Adopted("nothing", payment)
    if not gone and known is not None:
        await news.settle(payment.merchant, rail.name, seen.provider_id)
        return Adopted("agrees", payment)
    sighting = Sighting(
        kind="external_undone" if gone else "external",
        amount=seen.amount,
        reference=seen.provider_id,
        fee_return=seen.fee_return,
        occurred_at=seen.at,
    )
    await world.store.submit(
        ObservePayment(
            merchant=payment.merchant, payment=payment.id, evidence=world.new_id(), sighting=sighting, source=source
        )
    )
    await news.settle(payment.merchant, rail.name, seen.provider_id)
    found = _finding("external", rail, seen, payment, theirs=0 if gone else seen.amount)
    await news.note(payment.merchant, found, settled=True)
    return Adopted("undone" if gone else "external", payment)


def _finding(
    kind: str,
    rail: Rail,
    seen: SeenRefund,
    payment: Payment | None = None,
    refund: Refund | None = None,
    theirs: int | None = None,
    ours: int | None = None,
    note: str = "",
) -> Finding:
    return Finding(
        rail=rail.name,
        kind=kind,
        reference=seen.provider_id,
        payment=seen.payment,
        payment_id=payment.id if payment is not None else None,
        refund_id=refund.id if refund is not None else None,
        currency=seen.currency or (payment.currency if payment is not None else None),
        theirs=theirs,
        ours=ours,
        note=note,
    )
