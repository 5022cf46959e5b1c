"""Releasing an authorisation: its states, its legal moves, and what follows from them.

Nothing came in, so nothing is given back: no refund and no movement is written. The release stands in its payment's
document, one at a time; while a provider may have it, it holds the payment's fence as a refund would. It is one call,
never made again: a release that failed is asked for anew, under another id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import (
    ArmRelease,
    ExpireRelease,
    LetGo,
    Now,
    Observation,
    ObserveRelease,
    ResolveRelease,
    Standing,
    Terms,
)
from moneyback.core.moves import ChildrenNeeded, Ink
from moneyback.core.observation import LOOK_AFTER, SEEN_MAX, clean
from moneyback.core.payment import Condition, Payment
from moneyback.core.plan import Facts, MoreFacts, Plan
from moneyback.core.refund import Attempt, Event, Evidence, Grade, Refund, State
from moneyback.core.refusals import Reason, Refusal, refuse

# --- what it is ------------------------------------------------------------------------------------------------------


class Release(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an authorised payment is let go: what its document keeps, as builtins, in its member `release`.

    No refund and no movement: nothing had come in. Its states are those of a refund's sending.
    """

    dialect_id: str
    state: State
    at: datetime  # business time at which it was asked for
    message: str | None = None  # why it failed, in the provider's words
    id: UUID | None = None  # names its attempt and holds the fence; None where no provider had to be called
    provider_code: str | None = None
    provider_id: str | None = None
    send_deadline: datetime | None = None  # real time: no byte is written after it
    lease_until: datetime | None = None  # real time: then the call counts as lost
    look_at: datetime | None = None  # business time of the next look
    looks: int = 0
    doubt_since: datetime | None = None  # from when its outcome was left open by its call
    human_since: datetime | None = None  # looking alone has not settled it: somebody must answer
    evidence_version: int = 0  # goes on from one release of a payment to the next
    seen: tuple[str, ...] = ()  # digests of evidence already taken, newest last, bounded


S, E = State, Event

IN_FLIGHT: Final = frozenset({S.SENDING, S.PENDING, S.UNKNOWN})
"""A provider may have it: the fence is its own."""
LOOKED_AT: Final = frozenset({S.PENDING, S.UNKNOWN})
GENERATION: Final = 1
"""A release is one attempt."""
MOVES: Final[Mapping[State, Mapping[Event, State]]] = MappingProxyType(
    {
        S.SENDING: {
            E.ACCEPTED: S.PENDING,
            E.ACTION_NEEDED: S.PENDING,
            E.EXECUTED: S.SUCCEEDED,
            E.REFUSED: S.FAILED,
            E.PROVIDER_CANCELED: S.FAILED,
            # Provably not taken: it may be asked for again, and is not sent again by itself.
            E.SEND_FAILED: S.FAILED,
            E.NOT_TAKEN: S.FAILED,
            E.LOST: S.UNKNOWN,
        },
        S.PENDING: {
            E.EXECUTED: S.SUCCEEDED,
            E.PERSON_EXECUTED: S.SUCCEEDED,
            E.REFUSED: S.FAILED,
            E.PROVIDER_CANCELED: S.FAILED,
            E.PERSON_NOT_SENT: S.FAILED,
        },
        S.UNKNOWN: {
            E.ACCEPTED: S.PENDING,
            E.ACTION_NEEDED: S.PENDING,
            E.EXECUTED: S.SUCCEEDED,
            E.PERSON_EXECUTED: S.SUCCEEDED,
            E.REFUSED: S.FAILED,
            E.PROVIDER_CANCELED: S.FAILED,
            # The one call there was, and its own late proof.
            E.SEND_FAILED: S.FAILED,
            E.NOT_TAKEN: S.FAILED,
            E.KEY_UNKNOWN: S.FAILED,
            E.PERSON_NOT_SENT: S.FAILED,
        },
        S.SUCCEEDED: {},
        S.FAILED: {E.EXECUTED: S.SUCCEEDED},  # what a provider did is believed however late
    }
)
"""Where an event takes a release; what is not here is kept as evidence and changes nothing."""
WORDS: Final[Mapping[State, str]] = MappingProxyType(
    {
        S.PENDING: "payment.release_accepted",
        S.UNKNOWN: "payment.release_in_doubt",
        S.SUCCEEDED: "payment.released",
        S.FAILED: "payment.release_refused",
    }
)
OUTCOMES: Final[Mapping[Event, str]] = MappingProxyType(
    {
        E.ACCEPTED: "accepted",
        E.ACTION_NEEDED: "accepted",
        E.EXECUTED: "executed",
        E.PERSON_EXECUTED: "executed",
        E.REFUSED: "refused",
        E.PROVIDER_CANCELED: "refused",
        E.SEND_FAILED: "not_sent",
        E.NOT_TAKEN: "not_taken",
        E.KEY_UNKNOWN: "not_sent",
        E.PERSON_NOT_SENT: "not_sent",
        E.LOST: "unknown",
    }
)
"""What becomes of its attempt."""


def release_of(payment: Payment) -> Release | None:
    """The payment's latest release, whatever became of it. A document's own words may mean something else by it."""
    try:
        return msgspec.convert(payment.document.get("release"), Release)
    except msgspec.ValidationError:
        return None


def release_in_flight(payment: Payment) -> Release | None:
    """The release that holds the payment's fence."""
    release = None if payment.fence is None else release_of(payment)
    return release if release is not None and release.id == payment.fence else None


def release_mark(id: UUID) -> str:
    """What the call carries to a provider, where it has room for a mark."""
    return f"mb_{id.hex}_{GENERATION}"


def stand_in(payment: Payment, release: Release) -> Refund:
    """What a connector is shown in place of a refund: no amount, and the identity of the one call."""
    assert release.id is not None, "a release that is sent has an id"
    return Refund(
        merchant=payment.merchant,
        id=release.id,
        payment=payment.id,
        dialect=payment.dialect,
        dialect_id=release.dialect_id,
        rail=payment.rail,
        currency=payment.currency,
        payer=0,
        wallet=0,
        fee_return=0,
        state=release.state,
        version=1,
        created_at=release.at,
        updated_at=release.at,
        generation=GENERATION,
        mark=release_mark(release.id),
        provider_id=release.provider_id,
    )


# --- where nobody has to be called -----------------------------------------------------------------------------------


def let_go(command: LetGo, facts: Facts, now: Now) -> Plan | Refusal:
    """Let an authorised payment go. Refused once anything was captured, or when it was let go before."""
    payment = facts.payments.get(command.payment)
    if payment is None or payment.merchant != command.merchant:
        return refuse(Reason.PAYMENT_NOT_FOUND, payment=command.payment)
    if payment.condition is not Condition.AUTHORIZED or payment.captured:
        return refuse(Reason.STATE_FORBIDS, condition=payment.condition.value, captured=payment.captured)
    ink = Ink(payment, now.business)
    document = {**payment.document, "release": command.record}
    ink.change("payment.released", {"authorized": payment.authorized}, condition=Condition.FAILED, document=document)
    ink.evidence.append(
        Evidence(
            merchant=payment.merchant,
            id=command.evidence,
            payment=payment.id,
            refund=None,
            event="released",
            grade=Grade.MARK,
            source="dialect",
            at=now.business,
            amount=payment.authorized,
            data=command.record,
        )
    )
    return ink.plan(Standing(ink.payment))


# --- before the call -------------------------------------------------------------------------------------------------


def arm_release(command: ArmRelease, facts: Facts, now: Now) -> Plan | Refusal:
    """Write the call down before it is made, or that it cannot be made now. Refused once anything stands against it."""
    payment = _own(command, facts)
    if isinstance(payment, Refusal):
        return payment
    if (forbidden := _forbidden(payment)) is not None:
        return forbidden
    earlier, terms, ink = release_of(payment), command.terms(payment), Ink(payment, now.business)
    release = Release(
        id=command.release,
        dialect_id=command.dialect_id,
        state=State.SENDING,
        at=now.business,
        send_deadline=now.real + terms.send_deadline,
        lease_until=now.real + terms.lease,
        evidence_version=earlier.evidence_version if earlier is not None else 0,
    )
    if command.unsent is not None:
        seen = Observation(event=Event.SEND_FAILED, id=command.evidence, message=command.unsent)
        ink.evidence.append(_evidence(ink, release.id, seen, counted=True))
        release = replace(release, evidence_version=release.evidence_version + 1)
        _enter(ink, release, seen, State.FAILED)
        return ink.plan(Standing(ink.payment))
    ink.attempts.append(_attempt(payment, command.release, now.real, terms, command.pre_read))
    _keep(ink, release, "payment.release_armed", fence=command.release)
    return ink.plan(Standing(ink.payment))


def _forbidden(payment: Payment) -> Refusal | None:
    figures: dict[str, Any] = {"condition": payment.condition.value, "captured": payment.captured}
    if payment.condition is not Condition.AUTHORIZED or payment.captured or payment.held:
        return refuse(Reason.STATE_FORBIDS, **figures, held=payment.held)
    if payment.fence is not None or payment.blocked:  # the fence of an earlier release that is still in flight
        return refuse(Reason.STATE_FORBIDS, **figures, fence=payment.fence, blocked=payment.blocked)
    return None


def _attempt(
    payment: Payment, id: UUID, at: datetime, terms: Terms, pre_read: Mapping[str, Any], outcome: str = "armed"
) -> Attempt:
    return Attempt(
        merchant=payment.merchant,
        refund=id,
        generation=GENERATION,
        kind="release",
        mark=release_mark(id),
        amount=None,
        armed_at=at,
        send_deadline=at + terms.send_deadline,
        lease_until=at + terms.lease,
        outcome=outcome,
        pre_read=pre_read,
    )


# --- after it --------------------------------------------------------------------------------------------------------


def observe_release(command: ObserveRelease, facts: Facts, now: Now) -> Plan | Refusal | MoreFacts:
    """Take what was seen of it; a look also takes the payment's own word, and plans the next one."""
    payment = _own(command, facts)
    if isinstance(payment, Refusal):
        return payment
    release, terms = release_of(payment), command.terms(payment)
    if release is None or release.id != command.release:
        return _told(lambda ink: _of_another(ink, command, terms), payment, facts, now)

    def story(ink: Ink) -> None:
        current = release
        for each in command.observations:
            current = _take(ink, current, clean(each), terms)
        if command.looks is not None and command.looks == current.looks:
            _look(ink, current, terms, command.evidence)

    return _told(story, payment, facts, now)


def expire_release(command: ExpireRelease, facts: Facts, now: Now) -> Plan | Refusal | MoreFacts:
    """An armed release whose lease ran out is in doubt; before that, or in any other state, nothing happens."""
    payment = _own(command, facts)
    if isinstance(payment, Refusal):
        return payment
    release = release_of(payment)
    if release is None or release.id != command.release or release.state is not State.SENDING:
        return Plan(result=Standing(payment))
    if release.lease_until is None or now.real < release.lease_until:
        return Plan(result=Standing(payment))
    seen = Observation(event=Event.LOST, id=command.evidence, source="lease", digest="lease")
    terms = command.terms(payment)

    def story(ink: Ink) -> None:
        _take(ink, release, seen, terms)

    return _told(story, payment, facts, now)


def resolve_release(command: ResolveRelease, facts: Facts, now: Now) -> Plan | Refusal | MoreFacts:
    """A person says executed or not sent, to the evidence seen; "not sent" only once looking has handed it over."""
    payment = _own(command, facts)
    if isinstance(payment, Refusal):
        return payment
    release = release_of(payment)
    if release is None or release.id is None or release.state not in LOOKED_AT:
        return refuse(Reason.STATE_FORBIDS, release=release.state.value if release is not None else None)
    if release.evidence_version != command.evidence_version:
        version = release.evidence_version
        return refuse(Reason.EVIDENCE_MOVED_ON, seen=command.evidence_version, evidence_version=version)
    handed_over = release.human_since is not None
    if not handed_over and (not command.executed or release.state is State.PENDING):
        return refuse(
            Reason.STATE_FORBIDS, release=release.state.value, not_sent_from=_opens(release, command.terms(payment))
        )
    seen = Observation(
        event=Event.PERSON_EXECUTED if command.executed else Event.PERSON_NOT_SENT,
        id=command.evidence,
        grade=Grade.PERSON,
        source="person",
        digest=f"person:{command.evidence_version}",
        message=command.note,
        data={"by": command.by, "note": command.note},
    )
    terms, kept = command.terms(payment), release

    def story(ink: Ink) -> None:
        _take(ink, kept, seen, terms)

    return _told(story, payment, facts, now)


def _own(command: Any, facts: Facts) -> Payment | Refusal:
    payment = facts.payments.get(command.payment)
    if payment is None or payment.merchant != command.merchant:
        return refuse(Reason.PAYMENT_NOT_FOUND, payment=command.payment)
    return payment


def _told(story: Callable[[Ink], object], payment: Payment, facts: Facts, now: Now) -> Plan | MoreFacts:
    ink = Ink(payment, now.business, facts.children.get(payment.id))
    try:
        story(ink)
    except ChildrenNeeded:
        return MoreFacts((payment.id,))
    return ink.plan(Standing(ink.payment))


def _take(ink: Ink, release: Release, seen: Observation, terms: Terms) -> Release:
    """One observation: dropped when it was taken before, kept without effect where it does not move it."""
    if seen.digest and seen.digest in release.seen:
        return release
    to = MOVES[release.state].get(seen.event)
    ink.evidence.append(_evidence(ink, release.id, seen, counted=to is not None))
    release = replace(
        release,
        evidence_version=release.evidence_version + 1,
        seen=(*release.seen, seen.digest)[-SEEN_MAX:] if seen.digest else release.seen,
        provider_id=release.provider_id or seen.provider_id,
    )
    if to is None:
        return _keep(ink, release)
    assert release.id is not None, "a release that was sent has an id"
    ink.attempts.append(_attempt(ink.payment, release.id, ink.at, terms, {}, OUTCOMES[seen.event]))
    return _enter(ink, release, seen, to)


def _enter(ink: Ink, release: Release, seen: Observation, to: State) -> Release:
    """The state that follows, with the payment's condition, the fence and the event."""
    payment = ink.payment
    if to is State.FAILED and payment.condition is Condition.FAILED and not payment.captured:
        to = State.SUCCEEDED  # the authorisation is gone all the same, whoever let it go
    words: dict[str, Any] = {"message": None, "provider_code": None}
    if to is State.FAILED:
        words = {"message": seen.message or seen.failure, "provider_code": seen.code}
    entered = replace(release, state=to, lease_until=None, send_deadline=None, **_timers(release, to, ink.at), **words)
    facts: dict[str, Any] = {}
    if payment.fence == release.id and to not in IN_FLIGHT:
        facts["fence"] = None
    if to is State.SUCCEEDED and not payment.captured:
        facts["condition"] = Condition.FAILED
    _keep(ink, entered, WORDS[to], {"because": seen.event.value}, **facts)
    if to is State.SUCCEEDED and payment.captured:
        _contradict(ink, release.id)
    return entered


def _timers(release: Release, to: State, at: datetime) -> dict[str, Any]:
    if to not in LOOKED_AT:
        return {"look_at": None, "looks": 0, "doubt_since": None, "human_since": None}
    return {"look_at": at + LOOK_AFTER[0], "looks": 0, "doubt_since": release.doubt_since or at, "human_since": None}


def _contradict(ink: Ink, id: UUID | None) -> None:
    """Let go, and yet captured: one of the two words is wrong, or the release gave the captured money back."""
    if not ink.has_open_case("released_after_capture", None):
        ink.open_case("released_after_capture", None, release=str(id), captured=ink.payment.captured)


def _of_another(ink: Ink, command: ObserveRelease, terms: Terms) -> None:
    """Words about a release that another one has followed, or that was forgotten by a restore.

    Only that it was executed still counts: the authorisation is gone. A release that is in flight now goes on to its
    own end, and one that had failed has got what it asked for.
    """
    for each in map(clean, command.observations):
        executed = each.event is Event.EXECUTED
        ink.evidence.append(_evidence(ink, command.release, each, counted=executed))
        current = release_of(ink.payment)
        if current is not None:
            current = replace(current, evidence_version=current.evidence_version + 1)
            if executed and current.state is State.FAILED and not ink.payment.captured:
                current = replace(current, state=State.SUCCEEDED, message=None, provider_code=None)
            _keep(ink, current)
        if executed:
            ink.attempts.append(_attempt(ink.payment, command.release, ink.at, terms, {}, "executed"))
            _go(ink, command.release)


def _go(ink: Ink, id: UUID) -> None:
    if ink.payment.captured:
        _contradict(ink, id)
    elif ink.payment.condition is not Condition.FAILED:
        data: dict[str, object] = {"release": str(id), "authorized": ink.payment.authorized}
        ink.change("payment.released", data, condition=Condition.FAILED)


# --- looking ---------------------------------------------------------------------------------------------------------


def _look(ink: Ink, release: Release, terms: Terms, evidence: UUID) -> None:
    """What the payment itself says by now; else the next look, and after the horizon a person. Looking goes on."""
    if release.state not in LOOKED_AT:
        return
    word = _word(ink.payment, release, terms, ink.at)
    if word is not None:
        seen = Observation(event=word, id=evidence, grade=Grade.COUNTER, source="look", code=_code(word), digest="look")
        _take(ink, release, seen, terms)
        return
    looks = release.looks + 1
    looked = replace(release, looks=looks, look_at=ink.at + LOOK_AFTER[min(looks, len(LOOK_AFTER) - 1)])
    if looked.human_since is None and _is_for_people(looked, terms, ink.at):
        _hand_over(ink, looked)
    else:
        _keep(ink, looked)


def _word(payment: Payment, release: Release, terms: Terms, at: datetime) -> Event | None:
    """An authorisation that is gone was let go. One that was captured was not, once our call cannot come any more."""
    if payment.captured:
        return Event.REFUSED if at >= _opens(release, terms) else None
    return Event.EXECUTED if payment.condition is Condition.FAILED else None


def _code(word: Event) -> str | None:
    return "captured" if word is Event.REFUSED else None


def _opens(release: Release, terms: Terms) -> datetime:
    """From when nothing of our call can be on its way any more."""
    return (release.doubt_since or release.at) + terms.horizon


def _is_for_people(release: Release, terms: Terms, at: datetime) -> bool:
    """Doubt waits for a person after the horizon; what a provider has accepted, once it has been silent for days."""
    if release.state is State.UNKNOWN:
        return at >= _opens(release, terms)
    return release.looks >= len(LOOK_AFTER)


def _hand_over(ink: Ink, release: Release) -> None:
    """A person's turn. That is a piece of evidence too: an answer made ready before it was made too early."""
    assert release.id is not None, "what is looked at was sent"
    version = release.evidence_version + 1
    handed_over = replace(release, human_since=ink.at, evidence_version=version)
    ink.evidence.append(
        _row(
            ink,
            release.id,
            id=uuid5(release.id, f"handed over {version}"),
            event="handed_over",
            grade=Grade.PERSON,
            source="look",
        )
    )
    _keep(ink, handed_over, "payment.release_in_doubt", {"person": True})


# --- writing it down -------------------------------------------------------------------------------------------------


def _keep(
    ink: Ink, release: Release, word: str | None = None, data: dict[str, object] | None = None, **facts: Any
) -> Release:
    """Write the release on its payment; with a `word` that is an event."""
    kept = msgspec.json.decode(msgspec.json.encode(release))  # as it is read back
    document = {**ink.payment.document, "release": kept}
    told = {
        "release": str(release.id),
        "dialect_id": release.dialect_id,
        "state": release.state.value,
        "authorized": ink.payment.authorized,
        **(data or {}),
    }
    ink.change(word, told if word is not None else None, document=document, **facts)
    return release


def _evidence(ink: Ink, release: UUID | None, seen: Observation, *, counted: bool) -> Evidence:
    assert seen.id is not None, "whoever submits an observation has drawn its id"
    said = {name: value for name in ("message", "code") if (value := getattr(seen, name)) is not None}
    return _row(
        ink,
        release,
        id=seen.id,
        event=seen.event.value,
        grade=seen.grade,
        source=seen.source,
        occurred_at=seen.occurred_at,
        digest=seen.digest,
        provider_id=seen.provider_id,
        counted=counted,
        data={**seen.data, **said},
    )


def _row(ink: Ink, release: UUID | None, *, data: Mapping[str, Any] | None = None, **members: Any) -> Evidence:
    """Evidence of a release hangs on its payment and names the release."""
    return Evidence(
        merchant=ink.payment.merchant,
        payment=ink.payment.id,
        refund=None,
        generation=GENERATION,
        at=ink.at,
        data={**(data or {}), "release": str(release)},
        **members,
    )
