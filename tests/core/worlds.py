"""A small world for core's tests: rows in dictionaries, a hand-moved clock, counting ids, and one way to decide.

`World.do` gathers the facts a command's footprint names, as a store would, asks `decide`, applies the plan and then
checks what must be true of *every* plan: events in step with versions, counters equal to what the movements add up
to, holds equal to what is held, excess exactly what goes beyond the capture. So every test of core tests the ledger.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from moneyback.core import ledger
from moneyback.core.commands import (
    Admitted,
    Arm,
    CloseCase,
    ExpireLease,
    Footprint,
    Keyed,
    Moved,
    Now,
    Nudge,
    Observation,
    Observe,
    ObservePayment,
    RegisterPayment,
    RequestRefund,
    Resolve,
    Sighting,
    Standing,
    TakeFence,
    Terms,
)
from moneyback.core.decide import decide
from moneyback.core.ledger import Account, Kind, Movement
from moneyback.core.payment import Asked, Payment
from moneyback.core.plan import Children, Facts, MoreFacts, Plan, apply
from moneyback.core.records import Case, Dispute, EventRow, External, KeyRow, Order
from moneyback.core.refund import HOLDING, Attempt, Event, Evidence, Refund, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.core.release import IN_FLIGHT, release_in_flight
from moneyback.core.sending import mark_of

MERCHANT, STRANGER = UUID(int=1), UUID(int=2)
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ARMED_ONCE = (State.SENDING, State.PENDING, State.REQUIRES_ACTION, State.UNKNOWN, State.NEEDS_REVIEW)
REACHED_THE_PAYER = (State.SUCCEEDED, State.RETURNED)


def in_states(states: Iterable[State]) -> pytest.MarkDecorator:
    """A test for each of these states, in an order that is the same in every process."""
    ordered = sorted(states, key=lambda state: state.value)
    return pytest.mark.parametrize("state", ordered, ids=[state.value for state in ordered])


def a_payment(**facts: Any) -> Payment:
    """A captured payment of 100.00 that nothing has happened to."""
    plain: dict[str, Any] = {
        "merchant": MERCHANT,
        "id": UUID(int=100),
        "version": 1,
        "dialect": "native",
        "dialect_id": "p1",
        "rail": "sandbox",
        "account": "acct",
        "reference": "ref1",
        "currency": "EUR",
        "captured": 10_000,
        "captured_at": START,
        "created_at": START,
        "updated_at": START,
    }
    return Payment(**{**plain, **facts})


def a_refund(payment: Payment, **facts: Any) -> Refund:
    """A ready refund of 30.00 of this payment."""
    plain: dict[str, Any] = {
        "merchant": payment.merchant,
        "id": UUID(int=500),
        "payment": payment.id,
        "dialect": payment.dialect,
        "dialect_id": "r1",
        "rail": payment.rail,
        "currency": payment.currency,
        "payer": 3_000,
        "wallet": facts.get("payer", 3_000) - facts.get("fee_return", 0),
        "fee_return": 0,
        "state": State.READY,
        "version": 1,
        "created_at": START,
        "updated_at": START,
    }
    return Refund(**{**plain, **facts})


def reasons(result: object) -> list[Reason]:
    """The failing reasons of a refusal, in the order it reports them."""
    assert isinstance(result, Refusal), result
    return [each.reason for each in result.failing]


class World:
    """One merchant's rows, and the commands that change them."""

    def __init__(self, **terms: Any) -> None:
        self.now = Now(START, START)
        self.terms = Terms(**terms)
        self.payments: dict[UUID, Payment] = {}
        self.refunds: dict[UUID, Refund] = {}
        self.orders: dict[UUID, Order] = {}
        self.externals: dict[tuple[UUID, str], External] = {}
        self.disputes: dict[tuple[UUID, str], Dispute] = {}
        self.cases: dict[tuple[UUID, int], Case] = {}
        self.keys: dict[tuple[UUID, str, str], KeyRow] = {}
        self.accounts: dict[tuple[UUID, str, str], Account] = {}
        self.attempts: dict[tuple[UUID, int], Attempt] = {}
        self.movements: list[Movement] = []
        self.events: list[EventRow] = []
        self.evidence: list[Evidence] = []
        self.plan = Plan(result=Standing(a_payment()))  # of the last command; empty when it was refused
        self.widened: bool = False  # whether the last command asked for more facts
        self._drawn = 1_000

    # --- time and ids

    def new_id(self) -> UUID:
        self._drawn += 1
        return UUID(int=self._drawn)

    def wait(self, **span: float) -> None:
        """Let both clocks run."""
        span_of = timedelta(**span)
        self.now = Now(self.now.business + span_of, self.now.real + span_of)

    def terms_of(self, _payment: Payment) -> Terms:
        return self.terms

    # --- rows to begin with

    def pay(self, **facts: Any) -> Payment:
        """Register a payment."""
        number = len(self.payments) + 1
        named = {"id": self.new_id(), "dialect_id": f"p{number}", "reference": f"ref{number}"}
        payment = a_payment(**{**named, **facts})
        result = self.do(RegisterPayment(payment=payment, order_id=self.new_id()))
        assert isinstance(result, Standing) and result.created
        return result.payment

    def stand(self, payment: Payment, state: State, **facts: Any) -> Refund:
        """Put a refund that stands in `state` beside a payment, with the counters and movements of its past."""
        payment = self.payments[payment.id]
        generation = facts.pop("generation", 0 if state in HOLDING and state not in ARMED_ONCE else 1)
        marked = {"generation": generation, "mark": None}
        refund = a_refund(payment, **{"id": self.new_id(), "state": state, **marked, **facts})
        if generation:
            refund = replace(refund, mark=mark_of(refund, generation))
        if state is State.SENDING:
            refund = replace(refund, lease_until=self.now.real + self.terms.lease)
        at, payer = self.now.business, refund.payer
        self.movements += ledger.hold(payment, refund, at)
        if state in REACHED_THE_PAYER:
            self.movements += ledger.post(payment, refund, at)
        if state is State.RETURNED:
            self.movements += ledger.came_back(payment, refund, at)
        if state in (State.FAILED, State.CANCELED):
            self.movements += ledger.void(payment, refund, at)
        taken = 1 if state in HOLDING or state is State.SUCCEEDED else 0
        self.payments[payment.id] = replace(
            payment,
            held=payment.held + (payer if state in HOLDING else 0),
            refunded=payment.refunded + (payer if state is State.SUCCEEDED else 0),
            wallet_used=payment.wallet_used + taken * refund.wallet,
            fee_used=payment.fee_used + taken * max(0, refund.fee_return),
            fence=refund.id if state in ARMED_ONCE and generation and payment.fence is None else payment.fence,
        )
        self.refunds[refund.id] = refund
        self.events += [
            EventRow(
                merchant=refund.merchant,
                type="refund.created",
                object=refund.id,
                sequence=number,
                payment=payment.id,
                at=at,
                data={},
            )
            for number in range(1, refund.version + 1)
        ]
        self.check()
        return refund

    # --- commands

    def ask(self, payment: Payment, payer: int | None = None, **said: Any) -> Any:
        """Ask for a refund."""
        asked = said.pop("asked", None) or Asked(payer=payer, fee=said.pop("fee", "proportional"))
        named = {"id": self.new_id(), "dialect": payment.dialect, "dialect_id": f"r{self._drawn}"}
        owner = {"merchant": payment.merchant, "payment": payment.id}
        return self.do(RequestRefund(**{**owner, **named, "asked": asked, "terms": self.terms_of, **said}))

    def admit(self, payment: Payment, payer: int | None = None, **said: Any) -> Refund:
        """Ask for a refund that must be admitted."""
        result = self.ask(payment, payer, **said)
        assert isinstance(result, Admitted) and result.refusal is None, result
        return result.refund

    def fence(self, refund: Refund) -> Any:
        return self.do(TakeFence(**self._on(refund), terms=self.terms_of))

    def arm(self, refund: Refund, **said: Any) -> Any:
        version = said.pop("version", self.refunds[refund.id].version)
        return self.do(Arm(**self._on(refund), version=version, terms=self.terms_of, **said))

    def send(self, refund: Refund) -> Refund:
        """Fence and arm, which must work."""
        assert isinstance(self.fence(refund), Moved)
        result = self.arm(refund)
        assert isinstance(result, Moved) and result.refund.state is State.SENDING, result
        return result.refund

    def see(self, refund: Refund, event: Event, **seen: Any) -> Any:
        """Observe one thing of a refund; by default of its latest attempt, told for the first time."""
        return self.do(self.observe(refund, self.seen(refund, event, **seen)))

    def seen(self, refund: Refund, event: Event, **seen: Any) -> Observation:
        named = {"id": self.new_id(), "digest": f"d{self._drawn}", "generation": self.refunds[refund.id].generation}
        return Observation(event=event, **{**named, **seen})

    def observe(self, refund: Refund, *observations: Observation, **said: Any) -> Observe:
        return Observe(**self._on(refund), terms=self.terms_of, observations=observations, **said)

    def look(self, refund: Refund) -> Any:
        """Look, and see nothing."""
        return self.do(self.observe(refund, looked=True))

    def expire(self, refund: Refund) -> Any:
        return self.do(ExpireLease(**self._on(refund), evidence=self.new_id(), terms=self.terms_of))

    def nudge(self, refund: Refund, event: Event, by: str | None = "ann", **said: Any) -> Any:
        return self.do(Nudge(**self._on(refund), event=event, evidence=self.new_id(), by=by, **said))

    def resolve(self, refund: Refund, *, executed: bool, evidence_version: int | None = None, **said: Any) -> Any:
        version = self.refunds[refund.id].evidence_version if evidence_version is None else evidence_version
        words = {"by": "ann", "note": "asked the provider", "evidence": self.new_id(), "terms": self.terms_of}
        return self.do(Resolve(**self._on(refund), executed=executed, evidence_version=version, **{**words, **said}))

    def sight(self, payment: Payment, kind: str, amount: int = 0, reference: str = "x1", **seen: Any) -> Any:
        """See something of a payment."""
        sighting = Sighting(kind=kind, amount=amount, reference=reference, **seen)
        owner: dict[str, Any] = {"merchant": payment.merchant, "payment": payment.id}
        return self.do(ObservePayment(**owner, evidence=self.new_id(), sighting=sighting))

    def close(self, payment: Payment, number: int = 1) -> Any:
        owner: dict[str, Any] = {"merchant": payment.merchant, "payment": payment.id}
        return self.do(CloseCase(**owner, number=number, by="ann", note="looked at it"))

    def empty_handed(self) -> bool:
        """Whether the last command wrote nothing at all."""
        return self.plan == Plan(result=self.plan.result)

    def _on(self, refund: Refund) -> dict[str, Any]:
        return {"merchant": refund.merchant, "refund": refund.id, "payment": refund.payment}

    # --- the state of things

    def state(self, refund: Refund) -> State:
        return self.refunds[refund.id].state

    def of(self, payment: Payment) -> Payment:
        return self.payments[payment.id]

    def open_cases(self, payment: Payment) -> list[str]:
        return [each.kind for (owner, _), each in self.cases.items() if owner == payment.id and each.closed_at is None]

    def events_of(self, row: Refund | Payment) -> list[str]:
        return [each.type for each in self.events if each.object == row.id]

    # --- deciding, as a store does

    def do(self, command: Any) -> Any:
        """Decide on the rows of the command's footprint, apply the plan, and check the books."""
        self.plan = Plan(result=Standing(a_payment()))
        facts = self.facts(command.footprint, command.key)
        decision = decide(command, facts, self.now)
        self.widened = isinstance(decision, MoreFacts)
        if self.widened:
            facts = self.facts(replace(command.footprint, children=True), command.key)
            decision = decide(command, facts, self.now)
            assert not isinstance(decision, MoreFacts), "asked for more than all there is"
        if isinstance(decision, Refusal):
            return decision
        assert isinstance(decision, Plan)
        before = dict(self.payments)
        self.plan = decision
        apply(decision, facts)
        self._write(decision, facts)
        self._check_plan(decision, before)
        self.check()
        return decision.result

    def facts(self, footprint: Footprint, key: Keyed | None = None) -> Facts:
        """The rows a footprint names: no more, so that a decision that needs more has to say so."""
        facts = Facts()
        for order in self.orders.values():
            if (order.dialect, order.reference) in footprint.orders:
                facts.orders[(order.merchant, order.dialect, order.reference)] = order
        for each in footprint.payments:
            if each in self.payments:
                facts.payments[each] = self.payments[each]
                self._add_accounts(facts, self.payments[each])
            if footprint.children:
                facts.children[each] = self.children(each)
        facts.refunds = {each: self.refunds[each] for each in footprint.refunds if each in self.refunds}
        for payment in self.payments.values():
            if (payment.account, payment.reference) in footprint.references:
                facts.references[(payment.merchant, payment.account, payment.reference)] = payment
        for refund in self.refunds.values():
            if refund.equality is not None and (refund.payment, refund.equality) in footprint.equalities:
                facts.equals[(refund.payment, refund.equality)] = refund
        if key is not None:
            facts.keys = {place: row for place, row in self.keys.items() if place[1:] == (key.dialect, key.key)}
        return facts

    def _add_accounts(self, facts: Facts, payment: Payment) -> None:
        for name in ledger.limited(payment):
            place = (payment.merchant, name, payment.currency)
            if place in self.accounts:
                facts.accounts[place] = self.accounts[place]

    def children(self, payment: UUID) -> Children:
        return Children(
            refunds={each.id: each for each in self.refunds.values() if each.payment == payment},
            disputes={name: each for (owner, name), each in self.disputes.items() if owner == payment},
            externals={name: each for (owner, name), each in self.externals.items() if owner == payment},
            cases={number: each for (owner, number), each in self.cases.items() if owner == payment},
        )

    def _write(self, plan: Plan, facts: Facts) -> None:
        self.payments |= {each.id: each for each in plan.payments}
        self.refunds |= {each.id: each for each in plan.refunds}
        self.orders |= {each.id: each for each in plan.orders}
        self.externals |= {(each.payment, each.provider_id): each for each in plan.externals}
        self.disputes |= {(each.payment, each.reference): each for each in plan.disputes}
        self.cases |= {(each.payment, each.number): each for each in plan.cases}
        self.keys |= {(each.merchant, each.dialect, each.key): each for each in plan.answers}
        self.accounts |= facts.accounts
        for each in plan.attempts:
            earlier = self.attempts.get((each.refund, each.generation))
            kept = replace(earlier, outcome=each.outcome) if earlier else each
            self.attempts[(each.refund, each.generation)] = kept
        self.movements += plan.movements
        self.events += plan.events
        self.evidence += plan.evidence

    # --- what must be true of every plan, and of the books after it

    def _check_plan(self, plan: Plan, before: dict[UUID, Payment]) -> None:
        assert all(count == 1 for count in Counter(each.id for each in self.evidence).values()), "one id, two rows"
        assert all(count == 1 for count in Counter(each.id for each in plan.refunds).values())
        for payment in plan.payments:
            old = before.get(payment.id)
            if old is not None:
                assert payment.version > old.version
                if payment.excess > old.excess:
                    assert plan.evidence, "excess rises only with evidence"
        for refund in plan.refunds:
            sequences = [each.sequence for each in self.events if each.object == refund.id]
            assert sequences == list(range(1, refund.version + 1)), "one event a transition, in step with the version"

    def check(self) -> None:
        """What `moneyback verify` recomputes: everything a payment counts follows from its movements and rows."""
        for each in self.movements:
            assert each.amount > 0 and each.debit != each.credit, each
        for sequences in ([each.sequence for each in self.events if each.object == p] for p in self.payments):
            assert sequences == sorted(set(sequences)), "a payment's events follow its versions"
        for payment in self.payments.values():
            self._check_payment(payment)

    def _check_payment(self, payment: Payment) -> None:
        movements = [each for each in self.movements if each.payment == payment.id]
        refunds = [each for each in self.refunds.values() if each.payment == payment.id]
        assert {each.currency for each in movements} <= {payment.currency}
        counted = {name: getattr(payment, name) for name in counters([], payment)}
        assert counted == counters(movements, payment)
        assert payment.held == sum(each.payer for each in refunds if each.state in HOLDING)
        assert payment.refunded == sum(each.payer for each in refunds if each.state is State.SUCCEEDED)
        assert payment.excess == max(0, payment.spent - payment.captured)
        assert payment.spent <= payment.captured + payment.excess
        cases = self.open_cases(payment)
        assert payment.open_cases == sum(kind != "excess" for kind in cases)
        assert payment.excess_case == ("excess" in cases) and cases.count("excess") <= 1
        released = release_in_flight(payment)
        if released is not None:
            assert released.state in IN_FLIGHT, "an ended release keeps no fence"
        elif payment.fence is not None:
            assert self.refunds[payment.fence].state in HOLDING, "an ended refund keeps no fence"
        assert sum(ledger.balances(movements).values()) == 0


def counters(movements: list[Movement], payment: Payment) -> dict[str, int]:
    """Every counter of a payment, recomputed from nothing but its movements."""

    def reached(account: str, *kinds: Kind) -> int:
        chosen = [each for each in movements if not kinds or each.kind in kinds]
        return ledger.balances(chosen).get((account, payment.currency), 0)

    shares = (Kind.HOLD, Kind.VOID, Kind.RETURN, Kind.EXTERNAL)
    fee_of: Counter[object] = Counter()
    for number, each in enumerate(movements):
        if each.kind in shares and ledger.fees(payment) in (each.debit, each.credit):
            sign = 1 if each.debit == ledger.fees(payment) else -1
            fee_of[each.refund or f"external {number}"] += sign * each.amount
    return {
        "captured": -reached(ledger.PAYER, Kind.CAPTURE),
        "held": reached(ledger.HOLDS),
        "refunded": reached(ledger.PAYER, Kind.POST, Kind.RETURN),
        "external": reached(ledger.PAYER, Kind.EXTERNAL),
        "disputed": reached(ledger.DISPUTES),
        "clawed_back": reached(ledger.PAYER, Kind.DISPUTE_LOST, Kind.CLAW_BACK),
        "excess": -reached(ledger.EXCESS),
        "wallet_used": -reached(ledger.funds(payment), *shares),
        "fee_used": sum(max(0, amount) for amount in fee_of.values()) - _undone_fees(movements, payment),
    }


def _undone_fees(movements: list[Movement], payment: Payment) -> int:
    """Fees of external refunds that were undone: their two movements name no refund that would pair them."""
    back = [each for each in movements if each.kind is Kind.EXTERNAL and each.credit == ledger.fees(payment)]
    return sum(each.amount for each in back)
