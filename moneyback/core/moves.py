"""What follows from a move: counters of the payment, ledger movements, excess, the fence, and the event.

`Ink` gathers the rows of one decision. Every change of a refund's state goes through `Ink.move`, so that no state
changes without its ledger movement and its event.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from moneyback.core import ledger
from moneyback.core.commands import Result
from moneyback.core.events import payment_event, refund_event
from moneyback.core.ledger import Kind, Movement
from moneyback.core.payment import Payment
from moneyback.core.plan import Children, Plan
from moneyback.core.records import Case, Dispute, EventRow, External
from moneyback.core.refund import ENDED, HOLDING, IN_DOUBT, UNSENT, Attempt, Event, Evidence, Refund, State, target

SETTLED = frozenset({State.FAILED, State.CANCELED})
"""Ended without the payer having the money."""


class ChildrenNeeded(Exception):
    """The consequences reach the payment's other rows, and these were not read. Becomes `MoreFacts`."""


class Ink:
    """The rows one decision writes, on one payment."""

    def __init__(self, payment: Payment, at: datetime, children: Children | None = None) -> None:
        self.payment = payment
        self.at = at
        self._before = payment
        self._children = children
        self._refunds: dict[UUID, Refund] = {}
        self._cases: dict[int, Case] = {}
        self.attempts: list[Attempt] = []
        self.movements: list[Movement] = []
        self.events: list[EventRow] = []
        self.evidence: list[Evidence] = []
        self.externals: list[External] = []
        self.disputes: list[Dispute] = []

    @property
    def children(self) -> Children:
        """All that hangs on the payment; raises ChildrenNeeded when it was not read."""
        if self._children is None:
            raise ChildrenNeeded
        return self._children

    def plan(self, result: Result) -> Plan:
        """Everything gathered, as one plan."""
        changed = self.payment is not self._before
        return Plan(
            result=result,
            payments=(self.payment,) if changed else (),
            refunds=tuple(self._refunds.values()),
            attempts=tuple(self.attempts),
            movements=tuple(self.movements),
            events=tuple(self.events),
            evidence=tuple(self.evidence),
            externals=tuple(self.externals),
            disputes=tuple(self.disputes),
            cases=tuple(self._cases.values()),
        )

    def note(self, refund: Refund) -> Refund:
        """Write down a refund whose state does not change (evidence counters, next look)."""
        self._refunds[refund.id] = refund
        return refund

    def move(self, refund: Refund, event: Event, to: State, **changes: Any) -> Refund:
        """Take `refund` to `to` because of `event`: counters, movement, fence and event follow."""
        was = refund.state
        moved = replace(
            refund,
            state=to,
            version=refund.version + 1,
            updated_at=self.at,
            ended_at=self.at if to in ENDED else None,
            doubt_since=_doubt_since(refund, to, self.at),
            **{**_timers(refund, to), **changes},
        )
        self._refunds[moved.id] = moved
        self._account_for(was, moved)
        self._settle_fence(moved)
        self.events.append(refund_event(moved, f"refund.{to.value}", self.at))
        self.settle_excess()
        return moved

    def change(self, kind: str | None = None, data: dict[str, object] | None = None, **amounts: Any) -> None:
        """Change the payment's own facts; with a `kind` that is an event."""
        self.payment = replace(self.payment, version=self.payment.version + 1, updated_at=self.at, **amounts)
        if kind is not None:
            self.events.append(payment_event(self.payment, kind, self.at, **(data or {})))

    def settle_excess(self) -> None:
        """Keep `excess = max(0, spent - captured)` with its ledger account, its case, and unsent refunds in review."""
        payment = self.payment
        excess = max(0, payment.spent - payment.captured)
        if excess == payment.excess:
            return
        rise = excess - payment.excess
        _ = self.children  # without them nothing is written: a rise reaches the unsent refunds, a fall the case
        kind = Kind.EXCESS_RISE if rise > 0 else Kind.EXCESS_FALL
        self.movements += ledger.between(payment, kind, ledger.EXCESS, ledger.funds(payment), rise, self.at)
        word = "payment.excess_raised" if rise > 0 else "payment.excess_fell"
        self.change(word, {"excess": excess}, excess=excess)
        if rise > 0:
            if not self.payment.excess_case:
                self.open_case("excess", None, excess=excess)
            self.review_unsent()
        elif excess == 0 and self.payment.excess_case:
            for case in self._open_cases():
                if case.kind == "excess":
                    self.close_case(case, None, "the excess is gone")

    def review_unsent(self) -> None:
        """The world changed under refunds that were not sent: a person looks at each first."""
        for refund in tuple(self.children.refunds.values()):
            current = self._refunds.get(refund.id, refund)
            if current.state in UNSENT:
                to = target(current, Event.DRIFTED, self.at)
                assert isinstance(to, State)
                self.move(current, Event.DRIFTED, to, human_since=self.at)

    def open_case(self, kind: str, refund: UUID | None, **figures: object) -> None:
        """Open a contradiction on the payment; nothing is sent for it until a person closes it."""
        number = max([0, *self.children.cases, *self._cases]) + 1
        case = Case(
            merchant=self.payment.merchant,
            payment=self.payment.id,
            number=number,
            kind=kind,
            refund=refund,
            opened_at=self.at,
            figures=figures,
        )
        self._cases[number] = case
        self._count_case(kind, +1, "payment.case_opened", case)

    def has_open_case(self, kind: str, refund: UUID | None) -> bool:
        """Whether this very contradiction waits for a person already."""
        return any((each.kind, each.refund) == (kind, refund) for each in self._open_cases())

    def close_case(self, case: Case, by: str | None, note: str) -> None:
        """Close a contradiction."""
        closed = replace(case, closed_at=self.at, closed_by=by, note=note)
        self._cases[case.number] = closed
        self._count_case(case.kind, -1, "payment.case_closed", closed)

    def _open_cases(self) -> tuple[Case, ...]:
        """The payment's open cases, those of this very decision included."""
        return tuple(each for each in {**self.children.cases, **self._cases}.values() if each.closed_at is None)

    def _count_case(self, kind: str, step: int, word: str, case: Case) -> None:
        data: dict[str, object] = {"case": case.number, "case_kind": kind}
        if kind == "excess":
            self.change(word, data, excess_case=step > 0)
        else:
            self.change(word, data, open_cases=self.payment.open_cases + step)

    def _account_for(self, was: State, refund: Refund) -> None:
        """The ledger movement and the counters of a move from `was` to the refund's present state."""
        to, payment, at = refund.state, self.payment, self.at
        if was in HOLDING and to is State.SUCCEEDED:
            self.movements += ledger.post(payment, refund, at)
            self.change(held=payment.held - refund.payer, refunded=payment.refunded + refund.payer)
        elif was in HOLDING and to in SETTLED:
            self.movements += ledger.void(payment, refund, at)
            self.change(held=payment.held - refund.payer, **_shares(payment, refund, -1))
        elif was in SETTLED and to in HOLDING:
            self.movements += ledger.hold(payment, refund, at)
            self.change(held=payment.held + refund.payer, **_shares(payment, refund, +1))
        elif was is State.SUCCEEDED and to is State.RETURNED:
            self.movements += ledger.came_back(payment, refund, at)
            self.change(refunded=payment.refunded - refund.payer, **_shares(payment, refund, -1))
        else:
            assert was in HOLDING and to in HOLDING, (was, to)

    def _settle_fence(self, refund: Refund) -> None:
        """The fence stays with a refund that may be in flight and goes from one that cannot be."""
        holds = refund.state in IN_DOUBT and refund.generation > 0
        if not holds and self.payment.fence == refund.id:
            self.change(fence=None)


def _shares(payment: Payment, refund: Refund, step: int) -> dict[str, Any]:
    return {
        "wallet_used": payment.wallet_used + step * refund.wallet,
        "fee_used": payment.fee_used + step * max(0, refund.fee_return),
    }


def _timers(refund: Refund, to: State) -> dict[str, Any]:
    """Leases live while sending, looks while a provider may have it, a person's turn while there is doubt."""
    timers: dict[str, Any] = {"lease_until": None, "send_deadline": None, "claimed_until": None}
    if to not in (State.UNKNOWN, State.NEEDS_REVIEW):
        timers["human_since"] = None
    if to in ENDED or to in UNSENT:
        timers |= {"look_at": None, "looks": 0}
    return timers


def _doubt_since(refund: Refund, to: State, at: datetime) -> datetime | None:
    if to not in (State.UNKNOWN, State.NEEDS_REVIEW):
        return None
    return refund.doubt_since or at
