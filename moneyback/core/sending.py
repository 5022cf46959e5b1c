"""Before the first byte: the fence, the decision taken again on fresh facts, and the armed attempt."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from moneyback.core.commands import Arm, HandOver, Moved, NameRefund, Now, TakeFence, Terms
from moneyback.core.moves import ChildrenNeeded, Ink
from moneyback.core.payment import Amounts, Asked, Payment, amount_reasons, standing_reasons
from moneyback.core.plan import Facts, MoreFacts, Plan
from moneyback.core.refund import Attempt, Event, Evidence, Grade, Refund, State, target
from moneyback.core.refusals import Failing, Reason, Refusal, in_precedence, refuse


def mark_of(refund: Refund, generation: int) -> str:
    """What this attempt carries to a provider and is recognised by: derived from (refund, generation) alone."""
    return f"mb_{refund.id.hex}_{generation}"


def take_fence(command: TakeFence, facts: Facts, now: Now) -> Plan | Refusal:
    """Make a ready refund the one in flight; refused while another holds the fence or a person must look first."""
    found = own_refund(command, facts)
    if isinstance(found, Refusal):
        return found
    payment, refund = found
    if refund.state is not State.READY or payment.blocked:
        return refuse(Reason.STATE_FORBIDS, state=refund.state.value, blocked=payment.blocked)
    if not command.terms(payment).fenced or payment.fence == refund.id:
        return Plan(result=Moved(refund, payment, changed=False))
    if payment.fence is not None:
        refusal = refuse(Reason.STATE_FORBIDS, fence=payment.fence)
        if refund.claimed_until is None:
            return refusal
        # Nobody works on it any more: whoever comes first when the fence is free may take it.
        return Plan(result=refusal, refunds=(replace(refund, claimed_until=None),))
    fenced = replace(payment, fence=refund.id, version=payment.version + 1, updated_at=now.business)
    return Plan(result=Moved(refund, fenced, changed=False), payments=(fenced,))


def hand_over(command: HandOver, facts: Facts, now: Now) -> Plan | Refusal:
    """A refund that waits although nothing stands before it is a person's too. It stays ready, and may yet be sent."""
    found = own_refund(command, facts)
    if isinstance(found, Refusal):
        return found
    payment, refund = found
    waits = refund.state is State.READY and now.business >= refund.updated_at + command.after
    if not waits or refund.human_since is not None:
        return Plan(result=Moved(refund, payment, changed=False))
    stranded = replace(refund, human_since=now.business)
    return Plan(result=Moved(stranded, payment, changed=False), refunds=(stranded,))


def name_refund(command: NameRefund, facts: Facts) -> Plan | Refusal:
    """The id first told stays the refund's id for its client, whatever is learnt afterwards."""
    found = own_refund(command, facts)
    if isinstance(found, Refusal):
        return found
    payment, refund = found
    if refund.named is not None:
        return Plan(result=Moved(refund, payment, changed=False))
    named = replace(refund, named="own" if refund.provider_id is None else "provider")
    return Plan(result=Moved(named, payment, changed=False), refunds=(named,))


def arm(command: Arm, facts: Facts, now: Now) -> Plan | Refusal | MoreFacts:
    """Write the attempt down, or block (failed), or find that the world drifted (needs_review)."""
    found = own_refund(command, facts)
    if isinstance(found, Refusal):
        return found
    payment, refund = found
    if refund.state is not State.READY or refund.version != command.version or payment.blocked:
        return refuse(Reason.STATE_FORBIDS, state=refund.state.value, version=refund.version, blocked=payment.blocked)
    terms = command.terms(payment)
    if terms.fenced and payment.fence != refund.id:
        return refuse(Reason.STATE_FORBIDS, fence=payment.fence)
    ink = Ink(payment, now.business, facts.children.get(payment.id))
    try:
        if blocking := _blocking(payment, refund, terms, now):
            return _blocked(ink, refund, blocking, command)
        if command.provider_left is not None and command.provider_left != _expected_left(payment):
            return _drifted(ink, refund, command)
    except ChildrenNeeded:
        return MoreFacts((payment.id,))
    armed, attempt = armed_attempt(refund, terms, now, dict(command.pre_read))
    ink.attempts.append(attempt)
    moved = ink.move(refund, Event.ARMED, State.SENDING, **_arming(armed))
    return ink.plan(Moved(moved, ink.payment, changed=True))


def armed_attempt(
    refund: Refund, terms: Terms, now: Now, pre_read: dict[str, Any] | None = None
) -> tuple[Refund, Attempt]:
    """The refund in state sending and the attempt that must be committed before a byte leaves."""
    generation = refund.generation + 1
    armed = replace(
        refund,
        state=State.SENDING,
        generation=generation,
        mark=mark_of(refund, generation),
        provider_id=None,  # what the provider called an earlier attempt says nothing of this one
        claimed_until=now.real + terms.lease,
        send_deadline=now.real + terms.send_deadline,
        lease_until=now.real + terms.lease,
    )
    attempt = Attempt(
        merchant=refund.merchant,
        refund=refund.id,
        generation=generation,
        kind="refund",
        mark=armed.mark or "",
        amount=refund.payer,
        armed_at=now.real,
        send_deadline=now.real + terms.send_deadline,
        lease_until=now.real + terms.lease,
        pre_read=pre_read or {},
    )
    return armed, attempt


def own_refund(command: Any, facts: Facts) -> tuple[Payment, Refund] | Refusal:
    """The command's refund and payment, if both are its merchant's."""
    payment = facts.payments.get(command.payment)
    refund = facts.refunds.get(command.refund)
    if payment is None or refund is None or command.merchant != payment.merchant or refund.payment != payment.id:
        return refuse(Reason.REFUND_NOT_FOUND, refund=command.refund)
    return payment, refund


def _arming(armed: Refund) -> dict[str, Any]:
    fields = ("generation", "mark", "provider_id", "claimed_until", "send_deadline", "lease_until")
    return {name: getattr(armed, name) for name in fields}


def _blocking(payment: Payment, refund: Refund, terms: Terms, now: Now) -> list[Failing]:
    """Reasons against this refund as the payment stands now, its own hold left out."""
    rest = replace(
        payment,
        held=payment.held - refund.payer,
        wallet_used=payment.wallet_used - refund.wallet,
        fee_used=payment.fee_used - max(0, refund.fee_return),
    )
    asked = Asked(wallet=refund.wallet, fee=refund.fee_return)
    failing = list[Failing]()
    for can in (terms.dialect(payment), terms.rail(payment)):
        alone = replace(can, one_at_a_time=False, minimum=1, opens_after=None)
        failing += standing_reasons(rest, alone, now.business)
        failing += amount_reasons(rest, Amounts(refund.wallet, refund.fee_return), asked, alone)
    refusal = in_precedence(failing, terms.precedence)
    return list(refusal.failing) if refusal else []


def _expected_left(payment: Payment) -> int:
    """What the provider must still show as refundable if it has seen all that we have, and nothing else."""
    return max(0, payment.captured - payment.refunded - payment.external - payment.clawed_back)


def _blocked(ink: Ink, refund: Refund, failing: list[Failing], command: Arm) -> Plan:
    to = target(refund, Event.BLOCKED, ink.at)
    assert isinstance(to, State)
    _keep(ink, refund, Event.BLOCKED, command, reasons=[each.reason.value for each in failing])
    moved = ink.move(refund, Event.BLOCKED, to, failure=failing[0].reason.value)
    return ink.plan(Moved(moved, ink.payment, changed=True))


def _drifted(ink: Ink, refund: Refund, command: Arm) -> Plan:
    to = target(refund, Event.DRIFTED, ink.at)
    assert isinstance(to, State)
    figures = {"provider_left": command.provider_left, "expected_left": _expected_left(ink.payment)}
    _keep(ink, refund, Event.DRIFTED, command, **figures)
    moved = ink.move(refund, Event.DRIFTED, to, human_since=ink.at)
    return ink.plan(Moved(moved, ink.payment, changed=True))


def _keep(ink: Ink, refund: Refund, event: Event, command: Arm, **figures: object) -> None:
    """What was read before arming, as evidence of why nothing was armed."""
    if command.evidence is None:
        return
    ink.evidence.append(
        Evidence(
            merchant=refund.merchant,
            id=command.evidence,
            payment=refund.payment,
            refund=refund.id,
            event=event.value,
            grade=Grade.COUNTER,
            source="look",
            at=ink.at,
            data={**figures, "pre_read": dict(command.pre_read)},
        )
    )
