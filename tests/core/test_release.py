"""Letting an authorisation go: every state under every event, who may answer doubt and when, and what follows.

`EXPECTED` is written by hand from what is promised of a release, not from the product's table.
"""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moneyback.core.commands import (
    ArmRelease,
    ExpireRelease,
    LetGo,
    Observation,
    ObserveRelease,
    ResolveRelease,
    Standing,
)
from moneyback.core.observation import LOOK_AFTER
from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Event, Grade, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.core.release import (
    IN_FLIGHT,
    Release,
    release_in_flight,
    release_mark,
    release_of,
    stand_in,
)
from moneyback.core.sending import mark_of
from tests.core.worlds import STRANGER, World, reasons

E, S = Event, State

EXPECTED: dict[str, dict[str, str]] = {
    "sending": {
        "accepted": "pending",
        "action_needed": "pending",
        "executed": "succeeded",
        "lost": "unknown",
        "refused": "failed",
        "provider_canceled": "failed",
        "send_failed": "failed",
        "not_taken": "failed",
    },
    "pending": {
        "executed": "succeeded",
        "person_executed": "succeeded",
        "refused": "failed",
        "provider_canceled": "failed",
        "person_not_sent": "failed",
    },
    "unknown": {
        "accepted": "pending",
        "action_needed": "pending",
        "executed": "succeeded",
        "person_executed": "succeeded",
        "refused": "failed",
        "provider_canceled": "failed",
        "send_failed": "failed",
        "not_taken": "failed",
        "key_unknown": "failed",
        "person_not_sent": "failed",
    },
    "succeeded": {},
    "failed": {"executed": "succeeded"},
}
WAYS: dict[str, tuple[Event, ...]] = {
    "sending": (),
    "pending": (E.ACCEPTED,),
    "unknown": (E.LOST,),
    "succeeded": (E.EXECUTED,),
    "failed": (E.REFUSED,),
}
WORDS = {
    "sending": "payment.release_armed",
    "pending": "payment.release_accepted",
    "unknown": "payment.release_in_doubt",
    "succeeded": "payment.released",
    "failed": "payment.release_refused",
}


class Street(World):
    """A world with an authorised payment, and short words for its release."""

    def authorise(self, **facts: Any) -> Payment:
        return self.pay(condition=Condition.AUTHORIZED, authorized=10_000, captured=0, captured_at=None, **facts)

    def arm_release(self, payment: Payment, **said: Any) -> Any:
        named = {"release": self.new_id(), "dialect_id": f"v{self._drawn}", "evidence": self.new_id()}
        owner: dict[str, Any] = {"merchant": payment.merchant, "payment": payment.id, "terms": self.terms_of}
        return self.do(ArmRelease(**{**owner, **named, **said}))

    def armed(self, payment: Payment) -> UUID:
        """The id of a release that must be armed."""
        assert isinstance(self.arm_release(payment), Standing)
        release = self.release(payment)
        assert release.state is S.SENDING and release.id is not None
        return release.id

    def see_release(self, payment: Payment, event: Event, id: UUID | None = None, **seen: Any) -> Any:
        named = {"id": self.new_id(), "digest": f"d{self._drawn}"}
        return self.tell(payment, id, Observation(event=event, **{**named, **seen}))

    def tell(self, payment: Payment, id: UUID | None, *seen: Observation, looks: int | None = None) -> Any:
        release = id or self.release(payment).id
        assert release is not None
        owner: dict[str, Any] = {"merchant": payment.merchant, "payment": payment.id, "terms": self.terms_of}
        return self.do(ObserveRelease(**owner, release=release, evidence=self.new_id(), observations=seen, looks=looks))

    def look_at_release(self, payment: Payment) -> Any:
        return self.tell(payment, None, looks=self.release(payment).looks)

    def expire_release(self, payment: Payment, id: UUID) -> Any:
        owner: dict[str, Any] = {"merchant": payment.merchant, "payment": payment.id, "terms": self.terms_of}
        return self.do(ExpireRelease(**owner, release=id, evidence=self.new_id()))

    def answer(self, payment: Payment, *, executed: bool, version: int | None = None, **said: Any) -> Any:
        seen = self.release(payment).evidence_version if version is None else version
        words: dict[str, Any] = {"by": "ann", "note": "asked the provider", "evidence": self.new_id()}
        owner: dict[str, Any] = {"merchant": payment.merchant, "payment": payment.id, "terms": self.terms_of}
        return self.do(ResolveRelease(**{**owner, **words, **said}, executed=executed, evidence_version=seen))

    def release(self, payment: Payment) -> Release:
        release = release_of(self.of(payment))
        assert release is not None
        return release

    def outcome(self, id: UUID) -> str:
        return self.attempts[(id, 1)].outcome

    def hand_over(self, payment: Payment) -> None:
        """Look, past the horizon, and see nothing."""
        self.wait(seconds=self.terms.horizon.total_seconds())
        self.look_at_release(payment)
        assert self.release(payment).human_since == self.now.business


def put(world: Street, state: str) -> tuple[Payment, UUID]:
    payment = world.authorise()
    id = world.armed(payment)
    for event in WAYS[state]:
        world.see_release(payment, event)
    assert world.release(payment).state.value == state
    return payment, id


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", EXPECTED)
def test_every_cell(state: str, event: Event):
    world = Street()
    payment, id = put(world, state)
    before, told = world.of(payment), len(world.evidence)
    world.see_release(payment, event)
    after, leads_to = world.release(payment), EXPECTED[state].get(event.value)
    assert after.state.value == (leads_to or state)
    assert after.evidence_version == release_of(before).evidence_version + 1  # type: ignore[union-attr]
    [evidence] = world.evidence[told:]
    assert (evidence.refund, evidence.data["release"], evidence.counted) == (None, str(id), leads_to is not None)
    assert world.movements == [] and world.refunds == {}
    in_flight = after.state in IN_FLIGHT
    assert world.of(payment).fence == (id if in_flight else None)
    assert (world.outcome(id) in ("armed", "accepted", "unknown")) == in_flight
    assert (world.of(payment).condition is Condition.FAILED) == (after.state is S.SUCCEEDED)
    assert (after.look_at is not None) == (after.state in (S.PENDING, S.UNKNOWN))
    last = world.events_of(payment)[-1]
    assert last == WORDS[leads_to or state]


@pytest.mark.parametrize("state", EXPECTED)
def test_what_was_seen_before_is_not_seen_again(state: str):
    world = Street()
    payment, _ = put(world, state)
    world.see_release(payment, E.LOST, digest="same")
    before = world.of(payment)
    world.see_release(payment, E.LOST, digest="same")
    assert world.of(payment) == before and world.empty_handed()


# --- arming ----------------------------------------------------------------------------------------------------------


def test_the_call_is_written_down_before_it_is_made():
    world = Street()
    payment = world.authorise()
    world.arm_release(payment, pre_read={"left": 0})
    release = world.release(payment)
    assert release.id is not None
    attempt = world.attempts[(release.id, 1)]
    assert (attempt.kind, attempt.amount, attempt.outcome, attempt.pre_read) == ("release", None, "armed", {"left": 0})
    assert attempt.send_deadline < attempt.lease_until == release.lease_until == world.now.real + world.terms.lease
    assert world.of(payment).fence == release.id and world.of(payment).condition is Condition.AUTHORIZED
    assert world.events_of(payment)[-1] == "payment.release_armed"
    shown = stand_in(world.of(payment), release)
    assert (shown.payer, shown.id, shown.mark) == (0, release.id, release_mark(release.id))
    assert attempt.mark == shown.mark == mark_of(shown, shown.generation)


def test_a_call_that_cannot_be_made_has_failed_and_may_be_asked_for_again():
    world = Street()
    payment = world.authorise()
    world.arm_release(payment, unsent="no slot")
    release = world.release(payment)
    assert (release.state, release.message) == (S.FAILED, "no slot")
    assert world.attempts == {} and world.of(payment).fence is None
    assert world.of(payment).condition is Condition.AUTHORIZED
    assert world.events_of(payment)[-1] == "payment.release_refused" and len(world.evidence) == 1
    world.armed(payment)


@pytest.mark.parametrize("state", ["sending", "pending", "unknown", "succeeded"])
def test_an_earlier_release_that_has_not_failed_stands_against_another(state: str):
    world = Street()
    payment, _ = put(world, state)
    assert reasons(world.arm_release(payment)) == [Reason.STATE_FORBIDS]
    assert world.empty_handed()


def test_what_was_let_go_where_nobody_was_called_is_not_let_go_again():
    world = Street()
    payment = world.authorise()
    record = {"dialect_id": "1", "state": "succeeded", "at": world.now.business.isoformat()}
    owner: dict[str, Any] = {"merchant": payment.merchant, "payment": payment.id}
    world.do(LetGo(**owner, evidence=world.new_id(), record=record))
    assert reasons(world.arm_release(payment)) == [Reason.STATE_FORBIDS]


@pytest.mark.parametrize("what", ["captured", "processing", "failed", "case", "gap"])
def test_only_an_authorisation_that_nothing_happened_to_is_let_go(what: str):
    world = Street()
    if what in ("processing", "failed"):
        payment = world.pay(condition=Condition(what), authorized=10_000, captured=0)
    elif what == "gap":
        payment = world.authorise(rail_gap=5)
    else:
        payment = world.authorise()
        world.sight(payment, "captured", 10_000)
    if what == "case":
        world.sight(payment, "canceled")
    assert reasons(world.arm_release(payment)) == [Reason.STATE_FORBIDS]
    assert world.empty_handed()


def test_another_merchants_payment_is_not_there():
    world = Street()
    payment = world.authorise()
    id = world.armed(payment)
    theirs = replace(payment, merchant=STRANGER)
    for result in (
        world.arm_release(theirs),
        world.see_release(theirs, E.EXECUTED, id),
        world.expire_release(theirs, id),
        world.answer(payment, executed=True, merchant=STRANGER),
    ):
        assert reasons(result) == [Reason.PAYMENT_NOT_FOUND]


def test_a_document_with_a_release_of_its_own_kind_means_nothing_here():
    world = Street()
    payment = world.authorise(document={"release": "2.1", "kept": 1})
    assert release_of(payment) is None
    world.armed(payment)
    assert world.of(payment).document["kept"] == 1


# --- a refund beside it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["sending", "pending", "unknown"])
def test_a_refund_waits_until_it_is_certain_what_became_of_the_release(state: str):
    world = Street()
    payment, id = put(world, state)
    world.sight(payment, "captured", 10_000)
    refund = world.admit(world.of(payment), 3_000)
    assert reasons(world.fence(refund)) == [Reason.STATE_FORBIDS]
    world.see_release(payment, E.REFUSED, id)
    world.send(refund)
    assert world.of(payment).fence == refund.id


# --- leases and looks ------------------------------------------------------------------------------------------------


def test_an_expired_lease_means_doubt_and_nothing_else():
    world = Street()
    payment = world.authorise()
    id = world.armed(payment)
    world.expire_release(payment, id)
    assert world.release(payment).state is S.SENDING and world.empty_handed()
    world.wait(seconds=world.terms.lease.total_seconds())
    world.expire_release(payment, id)
    release = world.release(payment)
    assert (release.state, release.doubt_since, release.lease_until) == (S.UNKNOWN, world.now.business, None)
    assert release.look_at == world.now.business + LOOK_AFTER[0] and world.of(payment).fence == id
    world.expire_release(payment, id)
    assert world.empty_handed()


@pytest.mark.parametrize("state", ["pending", "unknown"])
def test_an_authorisation_that_is_gone_was_let_go(state: str):
    world = Street()
    payment, id = put(world, state)
    world.sight(payment, "canceled")
    assert world.release(payment).state.value == state
    world.look_at_release(payment)
    assert world.release(payment).state is S.SUCCEEDED
    assert (world.evidence[-1].grade, world.outcome(id)) == (Grade.COUNTER, "executed")


@pytest.mark.parametrize("state", ["pending", "unknown"])
def test_a_captured_one_was_not_once_our_call_cannot_come_any_more(state: str):
    world = Street()
    payment, id = put(world, state)
    world.sight(payment, "captured", 10_000)
    world.look_at_release(payment)
    assert world.release(payment).state.value == state and world.of(payment).fence == id
    world.wait(seconds=world.terms.horizon.total_seconds() - 1)
    world.look_at_release(payment)
    assert world.release(payment).state.value == state
    world.wait(seconds=1)
    world.look_at_release(payment)
    release = world.release(payment)
    assert (release.state, release.provider_code, world.of(payment).fence) == (S.FAILED, "captured", None)


def test_looks_come_ever_later_and_never_end():
    world = Street()
    payment, _ = put(world, "unknown")
    for number in range(len(LOOK_AFTER) + 3):
        due = world.release(payment).look_at
        assert due is not None
        world.wait(seconds=(due - world.now.business).total_seconds())
        world.look_at_release(payment)
        after = LOOK_AFTER[min(number + 1, len(LOOK_AFTER) - 1)]
        assert world.release(payment).look_at == world.now.business + after
    assert world.release(payment).state is S.UNKNOWN, "age alone settles nothing"


def test_two_who_look_at_once_count_as_one():
    world = Street()
    payment, _ = put(world, "unknown")
    world.tell(payment, None, looks=0)
    before = world.of(payment)
    world.tell(payment, None, looks=0)
    assert world.of(payment) == before and world.release(payment).looks == 1


# --- people ----------------------------------------------------------------------------------------------------------


def test_not_sent_is_said_once_looking_past_the_horizon_has_asked():
    world = Street()
    payment, id = put(world, "unknown")
    assert reasons(world.answer(payment, executed=False)) == [Reason.STATE_FORBIDS]
    world.wait(seconds=world.terms.horizon.total_seconds())
    assert reasons(world.answer(payment, executed=False)) == [Reason.STATE_FORBIDS], "nobody has looked again yet"
    early = world.release(payment).evidence_version
    world.look_at_release(payment)
    assert world.events_of(payment)[-1] == "payment.release_in_doubt"
    assert reasons(world.answer(payment, executed=False, version=early)) == [Reason.EVIDENCE_MOVED_ON]
    world.answer(payment, executed=False)
    assert world.release(payment).state is S.FAILED
    assert (world.outcome(id), world.of(payment).fence) == ("not_sent", None)
    assert world.of(payment).condition is Condition.AUTHORIZED
    world.armed(payment)


def test_executed_is_said_at_any_time_of_doubt():
    world = Street()
    payment, id = put(world, "unknown")
    world.answer(payment, executed=True)
    assert (world.release(payment).state, world.outcome(id)) == (S.SUCCEEDED, "executed")
    assert world.of(payment).condition is Condition.FAILED
    assert world.evidence[-1].data["by"] == "ann"


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("state", ["sending", "pending", "succeeded", "failed"])
def test_nobody_is_asked_of_what_is_not_in_doubt(state: str, executed: bool):
    world = Street()
    payment, _ = put(world, state)
    assert reasons(world.answer(payment, executed=executed)) == [Reason.STATE_FORBIDS]
    assert world.empty_handed()


@pytest.mark.parametrize("executed", [True, False])
def test_what_a_provider_keeps_for_ever_is_a_persons_in_the_end(executed: bool):
    world = Street()
    payment, _ = put(world, "pending")
    for _ in LOOK_AFTER:
        assert world.release(payment).human_since is None
        world.look_at_release(payment)
    assert world.release(payment).human_since is not None
    world.answer(payment, executed=executed)
    assert world.release(payment).state is (S.SUCCEEDED if executed else S.FAILED)


def test_without_a_release_there_is_nothing_to_answer():
    world = Street()
    payment = world.authorise()
    assert reasons(world.answer(payment, executed=True, version=0)) == [Reason.STATE_FORBIDS]


def test_an_answer_made_for_one_release_is_none_to_the_next():
    world = Street()
    payment, _ = put(world, "unknown")
    world.hand_over(payment)
    version = world.release(payment).evidence_version
    world.answer(payment, executed=False)
    world.armed(payment)
    world.see_release(payment, E.LOST)
    world.hand_over(payment)
    assert reasons(world.answer(payment, executed=False, version=version)) == [Reason.EVIDENCE_MOVED_ON]


# --- contradictions --------------------------------------------------------------------------------------------------


def test_let_go_and_captured_is_a_persons_to_untangle():
    world = Street()
    payment, id = put(world, "unknown")
    world.sight(payment, "captured", 10_000)
    world.see_release(payment, E.EXECUTED, id)
    assert world.widened and world.open_cases(payment) == ["released_after_capture"]
    assert world.of(payment).condition is Condition.CAPTURED and world.of(payment).fence is None
    refund = world.admit(world.of(payment), 1_000)
    assert reasons(world.fence(refund)) == [Reason.STATE_FORBIDS]


def test_refused_because_it_is_gone_already_is_let_go_all_the_same():
    world = Street()
    payment, id = put(world, "sending")
    world.sight(payment, "canceled")
    world.see_release(payment, E.REFUSED, id)
    assert (world.release(payment).state, world.outcome(id)) == (S.SUCCEEDED, "refused")
    assert world.of(payment).fence is None


@pytest.mark.parametrize("state", EXPECTED)
def test_a_late_word_of_an_earlier_release_counts_only_if_it_was_executed(state: str):
    world = Street()
    payment, first = put(world, "failed")
    second = world.armed(payment)
    for event in WAYS[state]:
        world.see_release(payment, event)
    world.see_release(payment, E.NOT_TAKEN, first)
    assert not world.evidence[-1].counted and world.release(payment).state.value == state
    world.see_release(payment, E.EXECUTED, first)
    release = world.release(payment)
    assert world.outcome(first) == "executed" and world.of(payment).condition is Condition.FAILED
    assert release.state.value == ("succeeded" if state == "failed" else state) and release.id == second
    assert world.of(payment).fence == (second if release.state in IN_FLIGHT else None)


def test_a_release_that_a_restore_forgot_is_believed():
    world = Street()
    payment = world.authorise()
    world.see_release(payment, E.EXECUTED, world.new_id())
    assert world.of(payment).condition is Condition.FAILED and release_of(world.of(payment)) is None
    captured = world.authorise()
    world.sight(captured, "captured", 500)
    world.see_release(captured, E.EXECUTED, world.new_id())
    assert world.open_cases(captured) == ["released_after_capture"]


# --- whatever happens ------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arm")),
        st.tuples(st.just("see"), st.sampled_from(sorted(E, key=lambda each: each.value)), st.integers(0, 3)),
        st.tuples(st.just("look")),
        st.tuples(st.just("expire"), st.integers(0, 3)),
        st.tuples(st.just("person"), st.booleans()),
        st.tuples(st.just("sight"), st.sampled_from(["captured", "canceled"])),
        st.tuples(st.just("refund")),
        st.tuples(st.just("wait"), st.sampled_from([1, 61, 91])),
    ),
    max_size=25,
)


@given(STEPS)
def test_of_two_releases_one_is_certain_before_the_other_is_armed(steps: list[tuple[Any, ...]]):
    """However answers, looks, persons and refunds interleave: one thing in flight, each armed once."""
    world = Street()
    payment, armed = world.authorise(), list[UUID]()
    for what, *said in steps:
        current = world.of(payment)
        in_flight = release_in_flight(current)
        match what:
            case "arm":
                result = world.arm_release(current)
                if isinstance(result, Standing):
                    assert in_flight is None and not current.captured and current.fence is None
                    id = world.release(payment).id
                    assert id is not None and id not in armed
                    armed.append(id)
            case "see" if armed:
                world.see_release(payment, said[0], armed[said[1] % len(armed)])
            case "look" if armed:
                world.look_at_release(payment)
            case "expire" if armed:
                world.expire_release(payment, armed[said[0] % len(armed)])
            case "person" if armed:
                world.answer(payment, executed=said[0])
            case "sight":
                world.sight(payment, said[0], 10_000, reference=said[0])
            case "refund":
                result = world.ask(current, 100)
                if not isinstance(result, Refusal) and not isinstance(world.fence(result.refund), Refusal):
                    assert in_flight is None, "a refund in flight beside a release"
            case "wait":
                world.wait(seconds=said[0])
        open_ones = [id for id in armed if world.outcome(id) in ("armed", "accepted", "unknown")]
        assert open_ones == ([world.of(payment).fence] if release_in_flight(world.of(payment)) else [])
    assert world.attempts.keys() == {(id, 1) for id in armed}
