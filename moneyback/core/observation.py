"""Observation: record what was seen. Admission may say no; what a provider did is always written down.

Answers, looks, notifications, leases that ran out and persons all arrive here as events with evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, assert_never
from uuid import uuid5

from msgspec.structs import replace

from moneyback.core import ledger
from moneyback.core.commands import (
    CloseCase,
    ExpireLease,
    Moved,
    Now,
    Nudge,
    Observation,
    Observe,
    ObservePayment,
    Resolve,
    Sighting,
    Standing,
    Terms,
)
from moneyback.core.ledger import Kind
from moneyback.core.money import MINOR_MAX
from moneyback.core.moves import ChildrenNeeded, Ink
from moneyback.core.payment import Condition, Payment
from moneyback.core.plan import Facts, MoreFacts, Plan
from moneyback.core.records import Dispute, DisputeStatus, External
from moneyback.core.refund import HOLDING, Attempt, Event, Evidence, Grade, Refund, Rest, State, cell, target
from moneyback.core.refusals import Reason, Refusal, refuse
from moneyback.core.sending import mark_of, own_refund

LOOK_AFTER: Final = tuple(timedelta(seconds=s) for s in (2, 10, 30, 120, 600, 3600, 21_600, 86_400, *([86_400] * 7)))
"""When to look again, counted from the look before: quickly at first, daily for a week at last."""
TEXT_MAX: Final = 1_000
"""Characters kept of a provider's word."""
SEEN_MAX: Final = 16
"""Digests of evidence kept on the refund itself; the evidence table keeps all."""
OBSERVED: Final = frozenset(
    {
        *(Event.DRIFTED, Event.BLOCKED, Event.SEND_FAILED, Event.NOT_TAKEN, Event.ACCEPTED, Event.ACTION_NEEDED),
        *(Event.ACTION_SUPPLIED, Event.EXECUTED, Event.REFUSED, Event.PROVIDER_CANCELED, Event.LOST),
        *(Event.KEY_UNKNOWN, Event.CAME_BACK),
    }
)
"""What can be seen of a refund. Persons, the calendar and arming have commands, and rules, of their own."""
NUDGES: Final = frozenset({Event.APPROVED, Event.REJECTED, Event.DUE, Event.WITHDRAWN, Event.ACTION_SUPPLIED})
"""What a person or the calendar may say of a refund that waits for them."""
OF_ONE_ATTEMPT: Final = frozenset(
    {
        *(Event.SEND_FAILED, Event.NOT_TAKEN, Event.LOST, Event.KEY_UNKNOWN),
        *(Event.ACCEPTED, Event.ACTION_NEEDED, Event.REFUSED, Event.PROVIDER_CANCELED),
    }
)
"""Events that speak of one attempt only: of an older generation they change nothing. An execution always counts."""
NAMING_THEIR_ATTEMPT: Final = frozenset({Event.SEND_FAILED, Event.NOT_TAKEN})
"""Proofs that one call was not taken: without the generation of that call they prove nothing."""
EXECUTED_ONCE: Final = frozenset({State.SUCCEEDED, State.RETURNED})
LOOKED_AT: Final = frozenset({State.PENDING, State.UNKNOWN, State.REQUIRES_ACTION, State.NEEDS_REVIEW})


def observe(command: Observe, facts: Facts, now: Now) -> Plan | Refusal | MoreFacts:
    """Take every observation in turn; then plan the next look, or hand the doubt to a person."""
    found = own_refund(command, facts)
    if isinstance(found, Refusal):
        return found
    assert all(each.event in OBSERVED for each in command.observations), "not a thing that can be seen"
    payment, refund = found
    terms = command.terms(payment)

    def story(ink: Ink) -> Refund:
        current = refund
        for each in command.observations:
            current = _take(ink, current, clean(each))
        return _look_again(ink, current, terms, command.looked)

    return _told(story, refund, payment, facts, now)


def clean(seen: Observation) -> Observation:
    """A sighting that can be kept: whatever letters and figures a provider uses, what it did is recorded."""
    words = ("provider_id", "failure", "code", "message", "pending_reason", "trace")
    texts = {name: _storable(getattr(seen, name)) for name in words if getattr(seen, name) is not None}
    amount = seen.amount if seen.amount is None or abs(seen.amount) <= MINOR_MAX else None
    return replace(seen, amount=amount, **texts)


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:TEXT_MAX]


def expire_lease(command: ExpireLease, facts: Facts, now: Now) -> Plan | Refusal | MoreFacts:
    """An armed attempt whose lease ran out is lost; before that, or in any other state, nothing happens."""
    found = own_refund(command, facts)
    if isinstance(found, Refusal):
        return found
    payment, refund = found
    if refund.state is not State.SENDING or refund.lease_until is None or now.real < refund.lease_until:
        return Plan(result=Moved(refund, payment, changed=False))
    seen = Observation(
        id=command.evidence,
        event=Event.LOST,
        source="lease",
        generation=refund.generation,
        digest=f"lease:{refund.generation}",
    )

    def story(ink: Ink) -> Refund:
        return _look_again(ink, _take(ink, refund, seen), command.terms(payment), looked=False)

    return _told(story, refund, payment, facts, now)


def nudge(command: Nudge, facts: Facts, now: Now) -> Plan | Refusal | MoreFacts:
    """Approve, reject, withdraw, make due, supply what was asked for. Refused where the table does not move."""
    assert command.event in NUDGES, "neither a person nor the calendar says that"
    found = own_refund(command, facts)
    if isinstance(found, Refusal):
        return found
    payment, refund = found
    if not isinstance(target(refund, command.event, now.business), State):
        return refuse(Reason.STATE_FORBIDS, state=refund.state.value, event=command.event.value)
    if command.event is Event.APPROVED and command.by in (None, refund.requested_by):
        return refuse(Reason.SECOND_PERSON_NEEDED, requested_by=refund.requested_by)
    if command.event is Event.DUE and refund.due_at is not None and refund.due_at > now.business:
        return Plan(result=Moved(refund, payment, changed=False))
    seen = Observation(
        id=command.evidence,
        event=command.event,
        grade=Grade.PERSON,
        source="person" if command.by else "calendar",
        digest=f"{command.event.value}:{refund.version}",
        data={"by": command.by, "note": command.note} if command.by else {},
    )

    def story(ink: Ink) -> Refund:
        changes: dict[str, Any] = {}
        if command.event is Event.APPROVED:
            changes["approved_by"] = command.by
        if command.destination is not None:
            changes["destination"] = command.destination
        return _take(ink, replace(refund, **changes), seen)

    return _told(story, refund, payment, facts, now)


def resolve_doubt(command: Resolve, facts: Facts, now: Now) -> Plan | Refusal | MoreFacts:
    """A person says executed or not sent. Bound to the evidence seen.

    "Not sent" counts only once looking past the horizon has handed the doubt to a person: what was asked for earlier
    names an older version of the evidence, however late it is committed.
    """
    found = own_refund(command, facts)
    if isinstance(found, Refusal):
        return found
    payment, refund = found
    if refund.evidence_version != command.evidence_version:
        return refuse(Reason.EVIDENCE_MOVED_ON, seen=command.evidence_version, evidence_version=refund.evidence_version)
    if not _answerable(refund):
        return refuse(Reason.STATE_FORBIDS, state=refund.state.value)
    if not command.executed and refund.execution_seen and not refund.held_by_review:
        return refuse(Reason.STATE_FORBIDS, state=refund.state.value, execution_seen=True)
    opens = _person_from(refund, command.terms(payment))
    if not command.executed and opens is not None and (now.business < opens or not _handed_over(refund, opens)):
        return refuse(Reason.STATE_FORBIDS, state=refund.state.value, not_sent_from=opens)
    seen = Observation(
        id=command.evidence,
        event=Event.PERSON_EXECUTED if command.executed else Event.PERSON_NOT_SENT,
        grade=Grade.PERSON,
        source="person",
        digest=f"person:{command.evidence_version}",
        data={"by": command.by, "note": command.note},
    )
    return _told(lambda ink: _take(ink, refund, seen), refund, payment, facts, now)


def _answerable(refund: Refund) -> bool:
    """Doubt and contradictions; and what a provider accepted and never spoke of again, once looking has given up."""
    if refund.state in (State.PENDING, State.REQUIRES_ACTION):
        return refund.human_since is not None
    return refund.state in (State.UNKNOWN, State.NEEDS_REVIEW)


def _person_from(refund: Refund, terms: Terms) -> datetime | None:
    """From when a person may say "not sent": at once if no attempt was ever armed, else after the horizon."""
    if refund.generation == 0 or refund.doubt_since is None:
        return None
    return refund.doubt_since + terms.horizon


def _handed_over(refund: Refund, opens: datetime) -> bool:
    """Whether the engine has asked a person after the horizon; nobody waits for a look once looking has given up."""
    if refund.human_since is None:
        return False
    return refund.human_since >= opens or refund.look_at is None


def _told(story: Callable[[Ink], Refund], refund: Refund, payment: Payment, facts: Facts, now: Now) -> Plan | MoreFacts:
    ink = Ink(payment, now.business, facts.children.get(payment.id))
    try:
        after = story(ink)
    except ChildrenNeeded:
        return MoreFacts((payment.id,))
    if after is not refund:
        ink.note(after)
    return ink.plan(Moved(after, ink.payment, changed=after.state is not refund.state))


def _take(ink: Ink, refund: Refund, seen: Observation) -> Refund:
    """One observation: dropped when it was taken before, kept without effect when it is old, else it moves."""
    if seen.digest and seen.digest in refund.seen:
        return refund
    counts = not _outdated(refund, seen) and not _unfenced(ink, refund, seen)
    ink.evidence.append(_evidence(ink, refund, seen, counts))
    refund = replace(
        refund,
        evidence_version=refund.evidence_version + 1,
        seen=(*refund.seen, seen.digest)[-SEEN_MAX:] if seen.digest else refund.seen,
    )
    if not counts:
        return _recognised(refund, seen)
    refund = _learn(refund, seen)
    _settle_attempt(ink, refund, seen)
    if seen.event is Event.CAME_BACK and refund.state in HOLDING and refund.generation > 0:
        # What came back had been executed: both moves, each with its event, in one commit.
        refund = _follow(ink, refund, replace(seen, event=Event.EXECUTED))
        if refund.state is not State.SUCCEEDED:
            return refund
    return _follow(ink, refund, seen)


def _unfenced(ink: Ink, refund: Refund, seen: Observation) -> bool:
    """A counter that moved says something of the one refund that may have moved it: the one that holds the fence."""
    return seen.grade is Grade.COUNTER and refund.state not in EXECUTED_ONCE and ink.payment.fence != refund.id


def _follow(ink: Ink, refund: Refund, seen: Observation) -> Refund:
    """The move, the review or the case that the table asks for."""
    if seen.event is Event.EXECUTED and _wrong_amount(refund, seen) and refund.state not in EXECUTED_ONCE:
        return _review_amount(ink, refund, seen)
    to = target(refund, seen.event, ink.at)
    if to is State.RETURNED and _wrong_amount(refund, seen):
        to = Rest.CASE  # only a part came back: the rest is still with the payer, and no state says so
    if isinstance(to, State):
        earlier = to is State.SUCCEEDED and _earlier_attempt(refund, seen)
        moved = ink.move(refund, seen.event, to, **_consequences(ink, refund, seen, to))
        if earlier:  # it had passed for not sent, and what was sent after it may execute as well
            ink.open_case("earlier_attempt_executed", refund.id, generation=seen.generation)
        return moved
    match to:
        case Rest.IGNORE:
            return refund
        case Rest.REVIEW:
            ended = refund.state not in HOLDING
            known = refund.execution_seen or seen.event in (Event.EXECUTED, Event.CAME_BACK)
            review = {"human_since": ink.at, "held_by_review": ended, "execution_seen": known}
            return ink.move(refund, seen.event, State.NEEDS_REVIEW, **review)
        case Rest.CASE:
            _contradict(ink, refund, seen)
            return refund
        case _:
            assert_never(to)


def _outdated(refund: Refund, seen: Observation) -> bool:
    """Whether newer evidence already counted, or the word is about an attempt that is over."""
    if seen.event is Event.EXECUTED:
        return refund.state in EXECUTED_ONCE and _told_again(refund, seen) and not _wrong_amount(refund, seen)
    if seen.event in NAMING_THEIR_ATTEMPT and seen.generation is None:
        return True
    if refund.state in EXECUTED_ONCE and seen.event in OF_ONE_ATTEMPT and not _of_the_execution(refund, seen):
        return True
    if seen.event in OF_ONE_ATTEMPT and seen.generation is not None and seen.generation != refund.generation:
        return True
    return refund.evidence_at is not None and seen.occurred_at is not None and seen.occurred_at < refund.evidence_at


def _told_again(refund: Refund, seen: Observation) -> bool:
    """Whether this is the execution we know; another provider id, or another attempt, makes it a second one."""
    if seen.provider_id is not None and refund.provider_id is not None:
        return seen.provider_id == refund.provider_id
    known = refund.mark is None or seen.generation is None
    return known or refund.mark == mark_of(refund, seen.generation or 0)


def _of_the_execution(refund: Refund, seen: Observation) -> bool:
    """Whether a word is about the attempt that executed; what became of another one cannot undo it."""
    if seen.provider_id is not None and seen.provider_id == refund.provider_id:
        return True
    return refund.mark is None or seen.generation is None or refund.mark == mark_of(refund, seen.generation)


def _recognised(refund: Refund, seen: Observation) -> Refund:
    """An execution told again may bring the provider's id with it, by which a second one will be told apart."""
    if seen.event is Event.EXECUTED and refund.provider_id is None and seen.provider_id is not None:
        return replace(refund, provider_id=seen.provider_id)
    return refund


def _earlier_attempt(refund: Refund, seen: Observation) -> bool:
    return seen.generation is not None and seen.generation < refund.generation


def _learn(refund: Refund, seen: Observation) -> Refund:
    """What a sighting adds to the refund whatever its state: provider id, codes, words, times."""
    known: dict[str, Any] = {"pending_reason": seen.pending_reason}
    executes = seen.event is Event.EXECUTED and refund.state not in EXECUTED_ONCE
    if seen.provider_id is not None and (executes or refund.provider_id is None):
        known["provider_id"] = seen.provider_id
    if seen.generation and executes:
        known["mark"] = mark_of(refund, seen.generation)
    if seen.trace is not None:
        known["trace"] = seen.trace
    if seen.occurred_at is not None:
        known["evidence_at"] = max(seen.occurred_at, refund.evidence_at or seen.occurred_at)
    return replace(refund, **known)


def _consequences(ink: Ink, refund: Refund, seen: Observation, to: State) -> dict[str, Any]:
    """What a move changes on the refund beside its state."""
    if seen.event is Event.PERSON_NOT_SENT and to is State.FAILED:
        return {"failure": refund.failure or "not_sent", "held_by_review": False}
    if to in (State.FAILED, State.CANCELED, State.RETURNED):
        words = {"failure": seen.failure or seen.event.value, "provider_code": seen.code, "message": seen.message}
        return {**words, "held_by_review": False}
    if to is State.SUCCEEDED:
        settled = {"failure": None, "provider_code": None, "message": None}
        return {**settled, "held_by_review": False, "execution_seen": False}
    return {"human_since": ink.at} if to is State.NEEDS_REVIEW else {}


def _wrong_amount(refund: Refund, seen: Observation) -> bool:
    return seen.amount is not None and seen.amount != refund.payer


def _review_amount(ink: Ink, refund: Refund, seen: Observation) -> Refund:
    """Executed, but not for our amount: what went beyond it is recorded as external, and a person looks."""
    if refund.state is not State.NEEDS_REVIEW:
        reopened = refund.state not in HOLDING
        # The move first: what goes beyond may send the payment's unsent refunds to review, and this is one of them.
        review = {"human_since": ink.at, "held_by_review": reopened, "execution_seen": True}
        refund = ink.move(refund, seen.event, State.NEEDS_REVIEW, **review)
        if reopened:
            ink.open_case("wrong_amount", refund.id, amount=seen.amount, expected=refund.payer)
    _adopt_beyond(ink, refund, seen)
    return refund


def _adopt_beyond(ink: Ink, refund: Refund, seen: Observation) -> None:
    beyond = (seen.amount or 0) - refund.payer
    if beyond > 0:
        _adopt_external(ink, f"{seen.provider_id or refund.id.hex}:beyond", beyond, 0)


def _contradict(ink: Ink, refund: Refund, seen: Observation) -> None:
    """Evidence against an ended refund: a case, once. What went out beside the refund is external."""
    if seen.event is not Event.EXECUTED:
        kind, is_new = f"refund_{seen.event.value}", True
    elif _told_again(refund, seen):
        _adopt_beyond(ink, refund, seen)
        kind, is_new = "wrong_amount", True
    else:
        reference = seen.provider_id or f"{refund.id.hex}:again:{refund.evidence_version}"
        is_new = _adopt_external(ink, reference, refund.payer if seen.amount is None else seen.amount, 0)
        kind = "second_execution"
    if is_new and not ink.has_open_case(kind, refund.id):
        ink.open_case(kind, refund.id, state=refund.state.value, amount=seen.amount)


def _adopt_external(ink: Ink, reference: str, amount: int, fee_return: int) -> bool:
    """A refund that was not ours: a fact of the payment, as excess where there was no room. False: known already."""
    if reference in ink.children.externals or any(each.provider_id == reference for each in ink.externals):
        return False
    payment = ink.payment
    ink.externals.append(
        External(
            merchant=payment.merchant,
            payment=payment.id,
            provider_id=reference,
            amount=amount,
            wallet=amount - fee_return,
            fee_return=fee_return,
            at=ink.at,
        )
    )
    ink.movements += ledger.between(
        payment, Kind.EXTERNAL, ledger.funds(payment), ledger.payer(payment), amount - fee_return, ink.at
    )
    ink.movements += ledger.between(
        payment, Kind.EXTERNAL, ledger.fees(payment), ledger.payer(payment), fee_return, ink.at
    )
    ink.change(
        "payment.external_refund",
        {"amount": amount, "reference": reference},
        external=payment.external + amount,
        wallet_used=payment.wallet_used + amount - fee_return,
        fee_used=payment.fee_used + max(0, fee_return),
    )
    ink.settle_excess()
    return True


def _settle_attempt(ink: Ink, refund: Refund, seen: Observation) -> None:
    """The attempt's own outcome, for whoever reads the evidence log. Of this row only the outcome is new."""
    outcome = {
        Event.SEND_FAILED: "not_sent",
        Event.NOT_TAKEN: "not_taken",
        Event.KEY_UNKNOWN: "not_sent",
        Event.PERSON_NOT_SENT: "not_sent",
        Event.ACCEPTED: "accepted",
        Event.ACTION_NEEDED: "accepted",
        Event.EXECUTED: "executed",
        Event.PERSON_EXECUTED: "executed",
        Event.CAME_BACK: "executed",
        Event.REFUSED: "refused",
        Event.PROVIDER_CANCELED: "refused",
        Event.LOST: "unknown",
    }.get(seen.event)
    if outcome is None or refund.generation == 0 or cell(refund.state, seen.event) is Rest.IGNORE:
        return
    generation = seen.generation or refund.generation
    ink.attempts.append(
        Attempt(
            merchant=refund.merchant,
            refund=refund.id,
            generation=generation,
            kind="refund",
            mark=mark_of(refund, generation),
            amount=refund.payer,
            armed_at=ink.at,
            send_deadline=ink.at,
            lease_until=ink.at,
            outcome=outcome,
        )
    )


def _evidence(ink: Ink, refund: Refund, seen: Observation, counted: bool) -> Evidence:
    assert seen.id is not None, "whoever submits an observation has drawn its id"
    return Evidence(
        merchant=refund.merchant,
        id=seen.id,
        payment=refund.payment,
        refund=refund.id,
        event=seen.event.value,
        grade=seen.grade,
        source=seen.source,
        at=ink.at,
        occurred_at=seen.occurred_at,
        digest=seen.digest,
        amount=seen.amount,
        provider_id=seen.provider_id,
        generation=seen.generation,
        counted=counted,
        data=seen.data,
    )


def _look_again(ink: Ink, refund: Refund, terms: Terms, looked: bool) -> Refund:
    """The next look; once one past the horizon settled nothing, doubt also waits for a person. Looking goes on."""
    if refund.state not in LOOKED_AT or (refund.generation == 0 and refund.state is State.NEEDS_REVIEW):
        return refund
    looks = refund.looks + 1 if looked else 0 if refund.look_at is None else refund.looks
    after = LOOK_AFTER[min(looks, len(LOOK_AFTER) - 1)]
    opens = _person_from(refund, terms)
    past = opens is None or ink.at >= opens
    done = past and looks >= len(LOOK_AFTER)
    claimed_until = None if looked else refund.claimed_until  # the looker is done; the next look need not wait for it
    refund = replace(refund, looks=looks, look_at=None if done else ink.at + after, claimed_until=claimed_until)
    unasked = refund.human_since is None or (opens is not None and refund.human_since < opens)
    return _hand_over(ink, refund) if unasked and (done if opens is None else past) else refund


def _hand_over(ink: Ink, refund: Refund) -> Refund:
    """A person's turn. That is a piece of evidence too: an answer made ready before it was made too early."""
    version = refund.evidence_version + 1
    ink.evidence.append(
        Evidence(
            merchant=refund.merchant,
            id=uuid5(refund.id, f"handed over {version}"),
            payment=refund.payment,
            refund=refund.id,
            event="handed_over",
            grade=Grade.PERSON,
            source="look",
            at=ink.at,
            digest=f"handed_over:{version}",
            generation=refund.generation,
        )
    )
    return replace(refund, human_since=ink.at, evidence_version=version)


def observe_payment(command: ObservePayment, facts: Facts, now: Now) -> Plan | Refusal | MoreFacts:
    """Record an external refund, a dispute, a return or a changed capture."""
    payment = facts.payments.get(command.payment)
    if payment is None or payment.merchant != command.merchant:
        return refuse(Reason.PAYMENT_NOT_FOUND, payment=command.payment)
    ink = Ink(payment, now.business, facts.children.get(payment.id))
    if command.document:
        ink.change(document={**payment.document, **command.document})
    try:
        if not _see(ink, command.sighting):
            return ink.plan(Standing(ink.payment))
    except ChildrenNeeded:
        return MoreFacts((payment.id,))
    ink.evidence.append(
        Evidence(
            merchant=payment.merchant,
            id=command.evidence,
            payment=payment.id,
            refund=None,
            event=command.sighting.kind,
            grade=Grade.MARK,
            source=command.source,
            at=now.business,
            occurred_at=command.sighting.occurred_at,
            digest=f"{command.sighting.kind}:{command.sighting.reference}",
            amount=command.sighting.amount,
            provider_id=command.sighting.reference,
            data=command.sighting.data,
        )
    )
    return ink.plan(Standing(ink.payment))


def _see(ink: Ink, seen: Sighting) -> bool:
    """Apply one sighting; False when it was known already."""
    match seen.kind:
        case "external":
            return _adopt_external(ink, seen.reference, seen.amount, seen.fee_return)
        case "external_undone":
            return _undo_external(ink, seen)
        case "captured":
            return _see_capture(ink, seen)
        case "canceled" | "failed":
            return _see_canceled(ink, seen)
        case "noted":
            return False
        case "remainder":
            return _see_remainder(ink, seen)
        case "claw_back":
            return _claw_back(ink, seen)
        case "dispute_open" | "dispute_won" | "dispute_lost":
            return _see_dispute(ink, seen)
        case _:
            raise AssertionError(f"no such sighting: {seen.kind}")


def _undo_external(ink: Ink, seen: Sighting) -> bool:
    external = ink.children.externals.get(seen.reference)
    if external is None or external.undone:
        return False
    payment = ink.payment
    ink.externals.append(replace(external, undone=True))
    ink.movements += ledger.between(
        payment, Kind.EXTERNAL, ledger.payer(payment), ledger.funds(payment), external.wallet, ink.at
    )
    ink.movements += ledger.between(
        payment, Kind.EXTERNAL, ledger.payer(payment), ledger.fees(payment), external.fee_return, ink.at
    )
    ink.change(
        "payment.external_undone",
        {"amount": external.amount, "reference": external.provider_id},
        external=payment.external - external.amount,
        wallet_used=payment.wallet_used - external.wallet,
        fee_used=payment.fee_used - max(0, external.fee_return),
    )
    ink.settle_excess()
    return True


def _see_remainder(ink: Ink, seen: Sighting) -> bool:
    """What the provider says remains of a payment that was imported with another figure than ours."""
    payment = ink.payment
    ours = max(0, payment.captured - payment.refunded - payment.external - payment.clawed_back)
    gap = (seen.amount - ours) or None
    if payment.rail_gap is None or gap == payment.rail_gap:
        return False
    word = "payment.rail_gap_closed" if gap is None else "payment.rail_gap_moved"
    ink.change(word, {"provider_left": seen.amount, "ours": ours}, rail_gap=gap)
    return True


def _see_capture(ink: Ink, seen: Sighting) -> bool:
    payment = ink.payment
    if payment.condition is Condition.CAPTURED and payment.captured == seen.amount and payment.amount_known:
        return False
    captured_at = payment.captured_at or seen.occurred_at or ink.at
    fees = min(payment.fees, seen.amount)
    after = replace(payment, captured=seen.amount, fees=fees)
    ink.movements += ledger.capture(after, payment.captured, _fees_booked(payment), ink.at)
    ink.change(
        "payment.captured",
        {"amount": seen.amount},
        captured=seen.amount,
        fees=fees,
        condition=Condition.CAPTURED,
        captured_at=captured_at,
        amount_known=True,
    )
    ink.settle_excess()
    return True


def _see_canceled(ink: Ink, seen: Sighting) -> bool:
    """The money will not come in. Money that had come in does not vanish by a word: that is a case."""
    payment = ink.payment
    if payment.condition is Condition.FAILED or ink.has_open_case("payment_canceled", None):
        return False
    if payment.condition is Condition.CAPTURED:
        ink.open_case("payment_canceled", None, reference=seen.reference, captured=payment.captured)
        return True
    ink.change(f"payment.{seen.kind}", {"reference": seen.reference}, condition=Condition.FAILED)
    return True


def _fees_booked(payment: Payment) -> int:
    return payment.fees if payment.captured else 0


def _claw_back(ink: Ink, seen: Sighting) -> bool:
    """A bank return: the captured money is gone again (Trustly type 5)."""
    reference = f"return:{seen.reference}"
    if reference in ink.children.disputes:
        return False
    payment = ink.payment
    ink.disputes.append(_dispute(payment, reference, seen.amount, DisputeStatus.LOST, ink.at))
    ink.movements += ledger.between(
        payment, Kind.CLAW_BACK, ledger.funds(payment), ledger.payer(payment), seen.amount, ink.at
    )
    ink.change("payment.clawed_back", {"amount": seen.amount}, clawed_back=payment.clawed_back + seen.amount)
    ink.settle_excess()
    ink.review_unsent()
    return True


def _see_dispute(ink: Ink, seen: Sighting) -> bool:
    """Open holds the amount, won lets it go, lost takes it. A later word about an ended dispute changes nothing.

    The amount may change while it is open, and on losing; a sighting that names none (0) means the one we know.
    """
    known = ink.children.disputes.get(seen.reference)
    status = DisputeStatus(seen.kind.removeprefix("dispute_"))
    contested = known.amount if known is not None else 0
    amount = seen.amount or contested
    if known is not None and (known.status is not DisputeStatus.OPEN or (known.status, contested) == (status, amount)):
        return False
    payment, own, at = ink.payment, ledger.funds(ink.payment), ink.at
    ink.disputes.append(_dispute(payment, seen.reference, amount, status, at))
    match status:
        case DisputeStatus.OPEN:
            more = amount - contested
            ink.movements += ledger.between(payment, Kind.DISPUTE_OPEN, own, ledger.DISPUTES, more, at)
            ink.change("dispute.opened", {"amount": amount}, disputed=payment.disputed + more)
        case DisputeStatus.WON:
            ink.movements += ledger.between(payment, Kind.DISPUTE_WON, ledger.DISPUTES, own, contested, at)
            ink.change("dispute.won", {"amount": amount}, disputed=payment.disputed - contested)
        case DisputeStatus.LOST:
            ink.movements += ledger.between(
                payment, Kind.DISPUTE_LOST, ledger.DISPUTES, ledger.payer(payment), contested, at
            )
            ink.movements += ledger.between(
                payment, Kind.DISPUTE_LOST, own, ledger.payer(payment), amount - contested, at
            )
            disputed, clawed_back = payment.disputed - contested, payment.clawed_back + amount
            ink.change("dispute.lost", {"amount": amount}, disputed=disputed, clawed_back=clawed_back)
    ink.settle_excess()
    if status is not DisputeStatus.WON and amount > contested:
        ink.review_unsent()
    return True


def _dispute(payment: Payment, reference: str, amount: int, status: DisputeStatus, at: datetime) -> Dispute:
    return Dispute(
        merchant=payment.merchant, payment=payment.id, reference=reference, amount=amount, status=status, updated_at=at
    )


def close_case(command: CloseCase, facts: Facts, now: Now) -> Plan | Refusal | MoreFacts:
    """A person closes a case; sends on the payment resume when the last one is closed."""
    payment = facts.payments.get(command.payment)
    if payment is None or payment.merchant != command.merchant:
        return refuse(Reason.PAYMENT_NOT_FOUND, payment=command.payment)
    if payment.id not in facts.children:
        return MoreFacts((payment.id,))
    case = facts.children[payment.id].cases.get(command.number)
    if case is None or case.closed_at is not None:
        return refuse(Reason.CASE_NOT_FOUND, case=command.number)
    ink = Ink(payment, now.business, facts.children[payment.id])
    ink.close_case(case, command.by, command.note)
    return ink.plan(Standing(ink.payment))
