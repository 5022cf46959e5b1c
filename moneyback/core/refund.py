"""The refund: its states, its legal moves, and the values that describe it.

Everything that decides whether a move is legal stands in `TRANSITIONS`, one cell for every state and every event. What
follows from a move (ledger movements, case rows) is decided in `decide.py`; what a state looks like on a wire is each
dialect's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import msgspec


class State(Enum):
    """Where a refund stands. The value is the native API's word for it."""

    AWAITING_APPROVAL = "awaiting_approval"
    SCHEDULED = "scheduled"
    READY = "ready"
    SENDING = "sending"
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    UNKNOWN = "unknown"
    NEEDS_REVIEW = "needs_review"
    SUCCEEDED = "succeeded"
    RETURNED = "returned"
    FAILED = "failed"
    CANCELED = "canceled"


S = State

UNSENT: Final = frozenset({S.AWAITING_APPROVAL, S.SCHEDULED, S.READY})
"""Admitted and provably never taken by a provider."""
ENDED: Final = frozenset({S.SUCCEEDED, S.RETURNED, S.FAILED, S.CANCELED})
"""No further work is due; only new evidence moves an ended refund."""
HOLDING: Final = frozenset(State) - ENDED
"""The refund's amount is reserved on the payment."""
IN_DOUBT: Final = frozenset({S.SENDING, S.PENDING, S.REQUIRES_ACTION, S.UNKNOWN, S.NEEDS_REVIEW})
"""A provider may have acted and the outcome is not settled: the fence stays taken, looking goes on."""


class Event(Enum):
    """What can happen to a refund. A closed set; the value is the word kept with the evidence."""

    APPROVED = "approved"
    REJECTED = "rejected"
    DUE = "due"
    WITHDRAWN = "withdrawn"
    BLOCKED = "blocked"  # a final refusal when the decision was taken again before sending
    DRIFTED = "drifted"  # the provider's figures, or a dispute, changed the world under an unsent refund
    ARMED = "armed"
    SEND_FAILED = "send_failed"  # N1: the arming process saw the connection fail before the first byte
    NOT_TAKEN = "not_taken"  # N0: the provider's own documented "not taken" answer to this very call
    ACCEPTED = "accepted"
    ACTION_NEEDED = "action_needed"
    ACTION_SUPPLIED = "action_supplied"
    EXECUTED = "executed"
    REFUSED = "refused"
    PROVIDER_CANCELED = "provider_canceled"
    LOST = "lost"  # no answer, an unreadable one, or the lease ran out
    KEY_UNKNOWN = "key_unknown"  # N2: a keyed provider says, inside its window, that the key never registered
    PERSON_NOT_SENT = "person_not_sent"  # N3: a person, after the horizon
    PERSON_EXECUTED = "person_executed"
    CAME_BACK = "came_back"


E = Event


class Grade(Enum):
    """How strong a piece of evidence is."""

    MARK = "A"  # our own mark or key, echoed
    COUNTER = "B"  # a counter moved by exactly our amount under the fence
    PERSON = "C"  # a person's word


class Move(msgspec.Struct, frozen=True):
    """The event takes the refund to `to`."""

    to: State


class Rest(Enum):
    """The three ways in which an event does not move a refund along."""

    IGNORE = "ignore"  # kept as evidence, changes nothing
    REVIEW = "review"  # contradicts a refund that has not ended, or shows that an ended one executed: needs_review
    CASE = "case"  # contradicts an ended refund: a case on its payment, closed by a person


class Fork(msgspec.Struct, frozen=True):
    """The event takes the refund to `to`; to or into `otherwise` when the named condition of the refund holds."""

    to: State
    when: str
    otherwise: State | Rest


Cell = Move | Fork | Rest
IGNORE, REVIEW, CASE = Rest.IGNORE, Rest.REVIEW, Rest.CASE


def _row(default: Cell, **cells: Cell) -> Mapping[Event, Cell]:
    return MappingProxyType({event: cells.get(event.value, default) for event in Event})


def _unsent(**cells: Cell) -> Mapping[Event, Cell]:
    """A refund no provider should know: any provider's word about it is a contradiction."""
    provider_speaks: dict[str, Cell] = dict.fromkeys(
        ("accepted", "action_needed", "executed", "refused", "provider_canceled", "came_back", "person_executed"),
        REVIEW,
    )
    return _row(IGNORE, **{"drifted": Move(S.NEEDS_REVIEW), **provider_speaks, **cells})


TRANSITIONS: Final[Mapping[State, Mapping[Event, Cell]]] = MappingProxyType(
    {
        S.AWAITING_APPROVAL: _unsent(
            approved=Fork(S.READY, "dated", S.SCHEDULED),
            rejected=Move(S.CANCELED),
            withdrawn=Move(S.CANCELED),
        ),
        S.SCHEDULED: _unsent(due=Move(S.READY), withdrawn=Move(S.CANCELED)),
        S.READY: _unsent(
            armed=Move(S.SENDING),
            blocked=Move(S.FAILED),
            withdrawn=Move(S.CANCELED),
            action_needed=Move(S.REQUIRES_ACTION),
        ),
        S.SENDING: _row(
            IGNORE,
            accepted=Move(S.PENDING),
            action_needed=Move(S.REQUIRES_ACTION),
            executed=Move(S.SUCCEEDED),
            person_executed=Move(S.SUCCEEDED),
            refused=Move(S.FAILED),
            provider_canceled=Move(S.FAILED),
            lost=Move(S.UNKNOWN),
            send_failed=Move(S.READY),
            not_taken=Move(S.READY),
            came_back=REVIEW,
        ),
        S.PENDING: _row(
            IGNORE,
            executed=Move(S.SUCCEEDED),
            person_executed=Move(S.SUCCEEDED),
            action_needed=Move(S.REQUIRES_ACTION),
            refused=Move(S.FAILED),
            provider_canceled=Move(S.CANCELED),
            person_not_sent=REVIEW,  # against the provider's word that it has it
            came_back=REVIEW,
        ),
        S.REQUIRES_ACTION: _row(
            IGNORE,
            action_supplied=Fork(S.PENDING, "untaken", S.READY),
            accepted=Move(S.PENDING),
            executed=Move(S.SUCCEEDED),
            person_executed=Move(S.SUCCEEDED),
            refused=Move(S.FAILED),
            provider_canceled=Move(S.CANCELED),
            lost=Move(S.UNKNOWN),
            came_back=REVIEW,
        ),
        S.UNKNOWN: _row(
            IGNORE,
            accepted=Move(S.PENDING),
            # The provider has it; what it needs is asked of it again from pending.
            action_needed=Move(S.PENDING),
            executed=Move(S.SUCCEEDED),
            person_executed=Move(S.SUCCEEDED),
            refused=Move(S.FAILED),
            provider_canceled=Move(S.FAILED),
            key_unknown=Move(S.READY),
            person_not_sent=Move(S.READY),
            came_back=REVIEW,
        ),
        S.NEEDS_REVIEW: _row(
            IGNORE,
            accepted=Move(S.PENDING),
            action_needed=Move(S.REQUIRES_ACTION),
            executed=Move(S.SUCCEEDED),
            person_executed=Move(S.SUCCEEDED),
            refused=Move(S.FAILED),
            provider_canceled=Move(S.CANCELED),
            # What a provider knows, or what had ended before, ends (again): it is not sent anew on a person's word.
            person_not_sent=Fork(S.READY, "known there", S.FAILED),
            # Never armed, so nobody else can know of it.
            withdrawn=Fork(S.CANCELED, "armed", IGNORE),
        ),
        S.SUCCEEDED: _row(
            IGNORE,
            came_back=Move(S.RETURNED),
            # A failure newer than the success that was recorded: the money is back with the merchant.
            refused=Move(S.RETURNED),
            provider_canceled=Move(S.RETURNED),
            executed=CASE,  # a *second* execution; the first one repeated is dropped before this table is asked
        ),
        S.RETURNED: _row(IGNORE, executed=CASE, person_executed=CASE),
        S.FAILED: _row(
            IGNORE, executed=REVIEW, person_executed=REVIEW, accepted=CASE, action_needed=CASE, came_back=CASE
        ),
        S.CANCELED: _row(
            IGNORE, executed=REVIEW, person_executed=REVIEW, accepted=CASE, action_needed=CASE, came_back=CASE
        ),
    }
)


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """The promise to give a fixed amount of one payment back. Amounts are minor units and never change.

    `payer = wallet + fee_return`: what the payer gets, what leaves the merchant's funds, what the platform's fees give
    back (negative: more fees are charged).
    """

    merchant: UUID
    id: UUID
    payment: UUID
    dialect: str
    dialect_id: str  # the id its dialect first gave out; stays the refund's id for that client
    rail: str
    currency: str
    payer: int
    wallet: int
    fee_return: int
    state: State
    version: int
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    generation: int = 0  # attempts armed so far
    mark: str | None = None  # what the current attempt carries to the provider; once executed, the attempt that was
    provider_id: str | None = None
    named: str | None = None  # "own" or "provider": whose id its client was first told; None before, and where ours is
    evidence_version: int = 0  # counts pieces of evidence; a person's answer names the one it saw
    evidence_at: datetime | None = None  # the provider's time of the newest evidence that counted
    seen: tuple[str, ...] = ()  # digests of evidence already taken, newest last, bounded
    failure: str | None = None  # class: declined, invalid, unsupported, disputed, funds, window, policy, not_sent …
    provider_code: str | None = None  # the provider's own code
    message: str | None = None  # the provider's own words
    pending_reason: str | None = None
    execution_seen: bool = False  # evidence of an execution stands that the state does not show
    held_by_review: bool = False  # an ended refund that re-took its hold
    reason: str | None = None
    reference: str | None = None
    requested_by: str | None = None
    approved_by: str | None = None
    trace: str | None = None  # the provider's trace number, where it gives one
    group: UUID | None = None  # the order refund it is a leg of
    scenario: str | None = None
    destination: str | None = None
    equality: bytes | None = None  # what makes two keyless requests equal
    due_at: datetime | None = None  # business time: scheduled for
    look_at: datetime | None = None  # business time of the next look
    looks: int = 0
    doubt_since: datetime | None = None
    human_since: datetime | None = None  # looking alone will not settle it any more: somebody must answer
    claimed_until: datetime | None = None  # real time: a process works on it
    send_deadline: datetime | None = None  # real time: no byte is written after it
    lease_until: datetime | None = None  # real time: then the attempt counts as lost
    metadata: Mapping[str, Any] = {}
    request: Mapping[str, Any] = {}  # what its dialect must remember to answer in its own words

    @property
    def ended(self) -> bool:
        """Whether no further work is due."""
        return self.state in ENDED

    @property
    def shown_id(self) -> str:
        """The id by which its client knows it."""
        return self.provider_id if self.named == "provider" and self.provider_id else self.dialect_id


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of one call to the rail. Written before the first byte leaves."""

    merchant: UUID
    refund: UUID
    generation: int
    kind: str  # refund | release
    mark: str
    amount: int | None  # minor units, always stated; None only for a release
    armed_at: datetime  # real time
    send_deadline: datetime
    lease_until: datetime
    outcome: str = "armed"  # armed | not_sent | accepted | refused | unknown | executed
    pre_read: Mapping[str, Any] = {}


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a refund or payment, where, and how strong it is. Append-only."""

    merchant: UUID
    id: UUID
    payment: UUID
    refund: UUID | None
    event: str
    grade: Grade
    source: str  # answer | look | notification | person | lease | import
    at: datetime  # when we saw it, business time
    occurred_at: datetime | None = None  # the provider's own time
    digest: str = ""
    amount: int | None = None
    provider_id: str | None = None
    generation: int | None = None
    counted: bool = True  # False: older than, equal to, or without bearing on what is recorded
    data: Mapping[str, Any] = {}


def cell(state: State, event: Event) -> Cell:
    """What the table says of `event` in `state`."""
    return TRANSITIONS[state][event]


def target(refund: Refund, event: Event, now: datetime) -> State | Rest:
    """The state `event` leads `refund` to, or the way in which it does not move it."""
    match cell(refund.state, event):
        case Move(to):
            return to
        case Fork(to, when, otherwise):
            return otherwise if _holds(refund, when, now) else to
        case Rest() as rest:
            return rest


def _holds(refund: Refund, condition: str, now: datetime) -> bool:
    match condition:
        case "dated":
            return refund.due_at is not None and refund.due_at > now
        case "untaken":
            return refund.provider_id is None
        case "known there":
            return refund.held_by_review or refund.execution_seen or refund.provider_id is not None
        case "armed":
            return refund.generation > 0
        case _:
            raise AssertionError(f"no such condition: {condition}")
