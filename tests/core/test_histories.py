"""Random histories: whatever happens in whatever order, the books are exact and nothing is paid twice.

`World` checks after every command that counters, holds, excess, cases and event sequences agree with the movements.
`HonestBank` adds a provider that executes what it hears but may stay silent: against it nothing may ever be executed
twice, nor more than came in, nor may excess or a case appear. `Anything` lets every event and every sighting happen
to every refund in any order, with any amount: nothing may break, and admission still may not exceed the capture.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from moneyback.core.commands import Admitted, Moved
from moneyback.core.money import currency, minor_from_decimal, to_major
from moneyback.core.observation import NUDGES, OBSERVED
from moneyback.core.payment import Capabilities, Payment
from moneyback.core.refund import ENDED, UNSENT, Event, Refund, State
from tests.core.worlds import World

E, S = Event, State
SETTINGS = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

SIGHTINGS = [
    *("external", "external_undone", "captured", "claw_back", "canceled"),
    *("dispute_open", "dispute_won", "dispute_lost"),
]
picks = st.integers(0, 99)
payers = st.one_of(st.none(), st.integers(1, 1_200))
fee_modes = st.one_of(st.sampled_from(["proportional", "none"]), st.integers(-30, 120))


class History(RuleBasedStateMachine):
    """What every history can do: pay, ask, send, call off, wait."""

    terms: dict[str, Any]

    @initialize(
        fees=st.integers(0, 300),
        code=st.sampled_from(["JPY", "EUR", "KWD"]),
        fenced=st.booleans(),
        merged=st.booleans(),
        join=st.booleans(),
        minimum=st.sampled_from([1, 50]),
        one=st.booleans(),
    )
    def begin(self, fees: int, code: str, fenced: bool, merged: bool, join: bool, minimum: int, one: bool):
        self.world = World(
            fenced=fenced,
            merged=merged,
            join_within=timedelta(seconds=120) if join else None,
            dialect=lambda _: Capabilities(minimum=minimum, one_at_a_time=one),
        )
        self.world.pay(captured=1_000, fees=fees, currency=code)
        self.world.pay(captured=700, currency=code)

    def payment(self, pick: int) -> Payment:
        payments = list(self.world.payments.values())
        return payments[pick % len(payments)]

    def refund(self, pick: int, *states: State) -> Refund | None:
        found = [each for each in self.world.refunds.values() if not states or each.state in states]
        return found[pick % len(found)] if found else None

    @rule(
        pick=picks,
        payer=payers,
        fee=fee_modes,
        hours=st.sampled_from([None, None, 1]),
        armable=st.booleans(),
        equality=st.sampled_from([None, None, b"a", b"b"]),
    )
    def ask(self, pick: int, payer: int | None, fee: Any, hours: int | None, armable: bool, equality: bytes | None):
        payment = self.payment(pick)
        due_at = self.world.now.business + timedelta(hours=hours) if hours else None
        said = {"fee": fee, "due_at": due_at, "armable": armable, "equality": equality}
        result = self.world.ask(payment, payer, **said)
        if isinstance(result, Admitted):
            after = result.payment
            assert after.spent <= after.captured
            assert result.refund.wallet <= payment.wallet_left
            assert result.refund.fee_return <= payment.fee_left
            assert after.refundable + result.refund.payer <= payment.refundable

    @rule(pick=picks)
    def send(self, pick: int):
        refund = self.refund(pick, S.READY)
        if refund is not None and isinstance(self.world.fence(refund), Moved):
            armed = self.world.arm(refund)
            assert not isinstance(armed, Moved) or armed.refund.state in (S.SENDING, S.FAILED)

    @rule(pick=picks, event=st.sampled_from(sorted(NUDGES, key=lambda event: event.value)))
    def nudge(self, pick: int, event: Event):
        refund = self.refund(pick)
        if refund is not None:
            self.world.nudge(refund, event)

    @rule(seconds=st.sampled_from([1, 61, 100, 4_000]))
    def wait(self, seconds: int):
        self.world.wait(seconds=seconds)

    @rule(pick=picks)
    def expire(self, pick: int):
        refund = self.refund(pick, S.SENDING)
        if refund is not None:
            self.world.expire(refund)

    @rule(pick=picks)
    def look_in_vain(self, pick: int):
        refund = self.refund(pick)
        if refund is not None:
            assert not self.world.look(refund).changed

    @invariant()
    def amounts_print_and_add_up(self):
        """What all refunds gave back, printed in major units and read back, is what the payments count."""
        if not hasattr(self, "world"):
            return
        for payment in self.world.payments.values():
            money = currency(payment.currency)
            gone = [each for each in self.world.refunds.values() if each.payment == payment.id]
            printed = [to_major(each.payer, money) for each in gone if each.state is S.SUCCEEDED]
            assert sum(minor_from_decimal(each, money) for each in printed) == payment.refunded


class HonestBank(History):
    """Commands alone, against a bank that does what it hears at most once a call, and may not be heard."""

    def __init__(self) -> None:
        super().__init__()
        self.truth: dict[tuple[UUID, int], str] = {}  # executed | refused | pending | back; nothing: it never heard
        self.dead: set[tuple[UUID, int]] = set()  # calls that provably never arrive any more

    def call(self, refund: Refund) -> tuple[UUID, int]:
        return refund.id, refund.generation

    def tell(self, refund: Refund, generation: int, digest: str | None = None) -> None:
        """What the bank would say of one call."""
        word = self.truth.get((refund.id, generation))
        if word is None:
            return
        events = {"executed": [E.EXECUTED], "refused": [E.REFUSED], "pending": [E.ACCEPTED]}
        seen = {"generation": generation, "provider_id": f"{refund.id}:{generation}"}
        for event in events.get(word, [E.EXECUTED, E.CAME_BACK]):
            amount = None if event is E.REFUSED else refund.payer
            named = {} if digest is None else {"digest": f"{digest}:{event.value}"}
            self.world.see(refund, event, amount=amount, **seen, **named)

    @rule(pick=picks, word=st.sampled_from(["executed", "refused", "pending"]), answered=st.booleans())
    def bank_hears(self, pick: int, word: str, answered: bool):
        calls = [
            self.world.refunds[refund]
            for refund, generation in self.world.attempts
            if generation == self.world.refunds[refund].generation
        ]
        calls = [each for each in calls if self.call(each) not in {*self.truth, *self.dead}]
        if not calls:
            return
        refund = calls[pick % len(calls)]
        self.truth[self.call(refund)] = word
        if answered:
            self.tell(refund, refund.generation)

    @rule(pick=picks, event=st.sampled_from([E.SEND_FAILED, E.NOT_TAKEN]))
    def bank_does_not_take_it(self, pick: int, event: Event):
        refund = self.refund(pick, S.SENDING)
        if refund is not None and self.call(refund) not in self.truth:
            self.dead.add(self.call(refund))
            self.world.see(refund, event)

    @rule(pick=picks)
    def key_is_unknown(self, pick: int):
        refund = self.refund(pick, S.UNKNOWN)
        if refund is not None and self.call(refund) not in self.truth:
            self.dead.add(self.call(refund))
            self.world.see(refund, E.KEY_UNKNOWN)

    @rule(pick=picks, word=st.sampled_from(["executed", "refused"]))
    def bank_settles(self, pick: int, word: str):
        pending = [call for call, said in self.truth.items() if said == "pending"]
        if pending:
            self.truth[pending[pick % len(pending)]] = word

    @rule(pick=picks)
    def money_comes_back(self, pick: int):
        executed = [call for call, said in self.truth.items() if said == "executed"]
        if executed:
            self.truth[executed[pick % len(executed)]] = "back"

    @precondition(lambda self: bool(self.truth))
    @rule(pick=picks, digest=st.sampled_from([None, "once"]))
    def bank_is_asked_or_tells(self, pick: int, digest: str | None):
        """Looks and notifications: of any call, old ones too, told again and again."""
        refund, generation = list(self.truth)[pick % len(self.truth)]
        self.tell(self.world.refunds[refund], generation, digest)

    @rule(pick=picks, event=st.sampled_from([E.LOST, E.SEND_FAILED, E.NOT_TAKEN, E.KEY_UNKNOWN]))
    def stale_word_of_a_dead_call(self, pick: int, event: Event):
        if self.dead:
            refund, generation = sorted(self.dead)[pick % len(self.dead)]
            self.world.see(self.world.refunds[refund], event, generation=generation)

    @rule(pick=picks)
    def person_answers(self, pick: int):
        """A person who reads the bank's own books, once the horizon has passed."""
        refund = self.refund(pick, S.UNKNOWN, S.NEEDS_REVIEW)
        if refund is None:
            return
        word = self.truth.get(self.call(refund))
        if word in ("executed", "back"):
            self.world.resolve(refund, executed=True)
        elif word is None:
            result = self.world.resolve(refund, executed=False)
            if isinstance(result, Moved):
                self.dead.add(self.call(refund))

    @invariant()
    def promises_are_kept(self):
        if not hasattr(self, "world"):
            return
        executed = [call for call, said in self.truth.items() if said in ("executed", "back")]
        assert len({refund for refund, _ in executed}) == len(executed), "executed twice"
        assert not self.world.cases and not self.world.externals
        for payment in self.world.payments.values():
            refunds = [each for each in self.world.refunds.values() if each.payment == payment.id]
            assert payment.excess == 0 and payment.spent <= payment.captured
            with_payer = [each for each in refunds if self.truth.get(self.call(each)) == "executed"]
            assert sum(each.payer for each in with_payer) <= payment.captured
            in_flight = [each for each in refunds if each.generation and each.state not in {*UNSENT, *ENDED}]
            assert not self.world.terms.fenced or len(in_flight) <= 1
            for each in refunds:
                self.state_agrees_with_the_bank(each)

    def state_agrees_with_the_bank(self, refund: Refund) -> None:
        words = {self.truth.get((refund.id, generation)) for generation in range(1, refund.generation + 1)}
        match refund.state:
            case S.SUCCEEDED:
                assert words & {"executed", "back"}
            case S.RETURNED:
                assert "back" in words
            case S.FAILED | S.CANCELED:
                assert not words & {"executed", "back", "pending"}
            case _:
                pass


class Anything(History):
    """Every event and every sighting, in any order, with any amount and any age."""

    @rule(
        pick=picks,
        event=st.sampled_from(sorted(OBSERVED, key=lambda event: event.value)),
        amount=st.one_of(st.none(), st.none(), st.integers(1, 1_500)),
        provider_id=st.sampled_from([None, "a", "b"]),
        older=st.integers(0, 1),
        age_s=st.one_of(st.none(), st.integers(0, 500)),
        digest=st.sampled_from(["", None, "x", "y"]),
    )
    def something_is_seen(
        self,
        pick: int,
        event: Event,
        amount: int | None,
        provider_id: str | None,
        older: int,
        age_s: int | None,
        digest: str | None,
    ):
        refund = self.refund(pick)
        if refund is None:
            return
        seen: dict[str, Any] = {"amount": amount, "provider_id": provider_id}
        seen["generation"] = max(0, refund.generation - older)
        seen["occurred_at"] = None if age_s is None else self.world.now.business - timedelta(seconds=age_s)
        if digest is not None:
            seen["digest"] = digest
        before = self.world.of(self.payment_of(refund))
        counts = digest != "" and digest in refund.seen
        result = self.world.see(refund, event, **seen)
        assert isinstance(result, Moved)
        if counts:
            assert not result.changed and self.world.of(before) == before

    def payment_of(self, refund: Refund) -> Payment:
        return self.world.payments[refund.payment]

    @rule(
        pick=picks,
        kind=st.sampled_from(SIGHTINGS),
        amount=st.integers(1, 1_500),
        reference=st.sampled_from(["x", "y"]),
        fee=st.integers(0, 50),
    )
    def something_happens_to_a_payment(self, pick: int, kind: str, amount: int, reference: str, fee: int):
        fee_return = min(fee, amount) if kind == "external" else 0
        self.world.sight(self.payment(pick), kind, amount, reference, fee_return=fee_return)

    @rule(pick=picks, executed=st.booleans(), stale=st.booleans())
    def person_answers(self, pick: int, executed: bool, stale: bool):
        refund = self.refund(pick)
        if refund is not None:
            version = refund.evidence_version - stale
            result = self.world.resolve(refund, executed=executed, evidence_version=version)
            assert not (stale and isinstance(result, Moved))

    @rule(pick=picks)
    def person_closes_a_case(self, pick: int):
        cases = [each for each in self.world.cases.values() if each.closed_at is None]
        if cases:
            case = cases[pick % len(cases)]
            self.world.close(self.world.payments[case.payment], case.number)

    @rule(pick=picks, version=st.integers(0, 1))
    def arm_with_an_old_view(self, pick: int, version: int):
        refund = self.refund(pick)
        if refund is None:
            return
        result = self.world.arm(refund, version=refund.version - version, provider_left=None)
        if isinstance(result, Moved):
            assert version == 0 and refund.state is S.READY and not self.payment_of(refund).blocked
            assert not self.world.terms.fenced or result.refund.state is S.FAILED or self.fence_is_held(refund)

    def fence_is_held(self, refund: Refund) -> bool:
        return self.payment_of(refund).fence == refund.id

    @rule(pick=picks)
    def the_provider_shows_something_else(self, pick: int):
        refund = self.refund(pick, S.READY)
        if refund is not None and isinstance(self.world.fence(refund), Moved):
            self.world.arm(refund, provider_left=-1, evidence=self.world.new_id())
            assert self.world.state(refund) in (S.NEEDS_REVIEW, S.FAILED)


TestHonestBank = HonestBank.TestCase
TestHonestBank.settings = SETTINGS
TestAnything = Anything.TestCase
TestAnything.settings = SETTINGS
