"""What was seen is always written down: it counts once, in any order, and what it costs is exact."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from moneyback.core.commands import Moved, Standing
from moneyback.core.ledger import Kind
from moneyback.core.observation import LOOK_AFTER, SEEN_MAX
from moneyback.core.payment import Condition, Payment
from moneyback.core.records import DisputeStatus
from moneyback.core.refund import ENDED, HOLDING, UNSENT, Event, Grade, Refund, State
from moneyback.core.refusals import Reason
from moneyback.core.sending import mark_of
from tests.core.worlds import START, World, in_states, reasons

E, S = Event, State
FORBIDDEN = [Reason.STATE_FORBIDS]
IN_FLIGHT = (S.SENDING, S.PENDING, S.REQUIRES_ACTION, S.UNKNOWN)


def at(state: State, **facts: Any) -> tuple[World, Payment, Refund]:
    """A refund of 30.00 of a payment of 100.00 that stands in `state`."""
    world = World()
    payment = world.pay()
    refund = world.stand(payment, state, **facts)
    return world, world.of(payment), refund


def sum_of(world: World, payment: Payment) -> dict[str, int]:
    now = world.of(payment)
    names = ("held", "refunded", "external", "disputed", "clawed_back", "excess")
    return {name: getattr(now, name) for name in names if getattr(now, name)}


# --- consequences of each move


@pytest.mark.parametrize(
    ("state", "event", "kinds", "counted"),
    [
        (S.SENDING, E.EXECUTED, [Kind.POST], {"refunded": 3_000}),
        (S.PENDING, E.EXECUTED, [Kind.POST], {"refunded": 3_000}),
        (S.UNKNOWN, E.EXECUTED, [Kind.POST], {"refunded": 3_000}),
        (S.REQUIRES_ACTION, E.EXECUTED, [Kind.POST], {"refunded": 3_000}),
        (S.NEEDS_REVIEW, E.EXECUTED, [Kind.POST], {"refunded": 3_000}),
        (S.SENDING, E.REFUSED, [Kind.VOID], {}),
        (S.SENDING, E.PROVIDER_CANCELED, [Kind.VOID], {}),
        (S.PENDING, E.PROVIDER_CANCELED, [Kind.VOID], {}),
        (S.UNKNOWN, E.REFUSED, [Kind.VOID], {}),
        (S.SENDING, E.ACCEPTED, [], {"held": 3_000}),
        (S.SENDING, E.LOST, [], {"held": 3_000}),
        (S.SENDING, E.NOT_TAKEN, [], {"held": 3_000}),
        (S.UNKNOWN, E.KEY_UNKNOWN, [], {"held": 3_000}),
        (S.READY, E.DRIFTED, [], {"held": 3_000}),
        (S.READY, E.BLOCKED, [Kind.VOID], {}),
        (S.SUCCEEDED, E.CAME_BACK, [Kind.RETURN], {}),
        (S.SUCCEEDED, E.REFUSED, [Kind.RETURN], {}),
        (S.FAILED, E.EXECUTED, [Kind.HOLD], {"held": 3_000}),
        (S.CANCELED, E.EXECUTED, [Kind.HOLD], {"held": 3_000}),
    ],
)
def test_a_move_moves_the_money(state: State, event: Event, kinds: list[Kind], counted: dict[str, int]):
    world, payment, refund = at(state)
    version = refund.version
    result = world.see(refund, event)
    assert [each.kind for each in world.plan.movements] == kinds
    assert sum_of(world, payment) == counted
    assert result.refund.version == version + 1
    (written,) = [each for each in world.plan.events if each.object == refund.id]
    assert (written.sequence, written.type) == (version + 1, f"refund.{result.refund.state.value}")
    assert [(each.event, each.counted) for each in world.plan.evidence] == [(event.value, True)]
    assert result.refund.evidence_version == refund.evidence_version + 1
    assert (result.refund.ended_at == world.now.business) is (result.refund.state in ENDED)


@pytest.mark.parametrize("fee_return", [300, -300], ids=["fees given back", "fees charged"])
def test_both_shares_follow_a_refund_to_every_end(fee_return: int):
    for event, used in ((E.EXECUTED, 1), (E.REFUSED, 0), (E.CAME_BACK, 0)):
        world = World()
        payment = world.pay(fees=1_000)
        refund = world.admit(payment, 3_000, fee=fee_return)
        world.send(refund)
        world.see(refund, event)
        now = world.of(payment)
        assert (now.wallet_used, now.fee_used) == (used * (3_000 - fee_return), used * max(0, fee_return))


def test_an_end_keeps_the_providers_words():
    world, _, refund = at(S.SENDING)
    seen = {"failure": "declined", "code": "005403", "message": "too much", "provider_id": "pr1", "trace": "t1"}
    after = world.see(refund, E.REFUSED, **seen).refund
    assert (after.failure, after.provider_code, after.message) == ("declined", "005403", "too much")
    assert (after.provider_id, after.trace) == ("pr1", "t1")
    assert world.events[-1].data["provider_code"] == "005403"


def test_a_success_forgets_an_earlier_failure():
    world, _, refund = at(S.SENDING)
    world.see(refund, E.REFUSED, failure="declined", code="51")
    world.see(refund, E.EXECUTED)
    after = world.see(refund, E.EXECUTED).refund
    assert after.state is S.SUCCEEDED and (after.failure, after.provider_code) == (None, None)


def test_a_pending_reason_lasts_until_the_next_word():
    world, _, refund = at(S.SENDING)
    assert world.see(refund, E.ACCEPTED, pending_reason="funds").refund.pending_reason == "funds"
    assert world.see(refund, E.EXECUTED).refund.pending_reason is None


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (E.SEND_FAILED, "not_sent"),
        (E.NOT_TAKEN, "not_taken"),
        (E.ACCEPTED, "accepted"),
        (E.EXECUTED, "executed"),
        (E.REFUSED, "refused"),
        (E.LOST, "unknown"),
        (E.CAME_BACK, "executed"),
    ],
)
def test_the_attempt_remembers_its_outcome_and_nothing_else_changes(event: Event, outcome: str):
    world, _, refund = at(S.READY)
    world.send(refund)
    (armed,) = world.plan.attempts
    world.wait(seconds=5)
    world.see(refund, event)
    assert world.attempts == {(refund.id, 1): replace(armed, outcome=outcome)}
    (written,) = world.plan.attempts
    assert (written.mark, written.amount) == (armed.mark, armed.amount)


def test_an_earlier_attempts_outcome_is_written_to_that_attempt():
    world, _, refund = at(S.SENDING, generation=2)
    world.see(refund, E.EXECUTED, generation=1)
    assert [(each.generation, each.mark) for each in world.plan.attempts] == [(1, mark_of(refund, 1))]
    world.see(refund, E.CAME_BACK, generation=2)
    assert [(each.generation, each.mark) for each in world.plan.attempts] == [(2, mark_of(refund, 2))]


def test_silence_after_an_answer_does_not_unsay_it():
    world, _, refund = at(S.READY)
    world.send(refund)
    world.see(refund, E.ACCEPTED)
    world.see(refund, E.LOST)
    assert world.state(refund) is S.PENDING and world.attempts[(refund.id, 1)].outcome == "accepted"


# --- once only


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_what_was_seen_before_changes_nothing(state: State):
    for event in (E.EXECUTED, E.REFUSED, E.ACCEPTED, E.CAME_BACK, E.LOST):
        world, _, refund = at(state, provider_id="a")
        world.see(refund, event, digest="same", provider_id="b")
        before = (dict(world.payments), dict(world.refunds), len(world.movements), len(world.events))
        result = world.see(refund, event, digest="same", provider_id="b")
        assert isinstance(result, Moved) and not result.changed
        assert (dict(world.payments), dict(world.refunds), len(world.movements), len(world.events)) == before
        assert not world.plan.evidence and not world.plan.cases


def test_two_sightings_without_a_digest_are_two():
    world, _, refund = at(S.SUCCEEDED, provider_id="a")
    world.see(refund, E.CAME_BACK, digest="", amount=1)
    world.see(refund, E.CAME_BACK, digest="", amount=1)
    assert len(world.evidence) == 2 and world.refunds[refund.id].seen == ()


def test_digests_are_kept_in_bounds():
    world, _, refund = at(S.PENDING)
    for _ in range(SEEN_MAX + 5):
        world.see(refund, E.ACCEPTED)
    after = world.refunds[refund.id]
    assert len(after.seen) == SEEN_MAX and after.seen[-1] == f"d{world._drawn}"
    assert after.evidence_version == SEEN_MAX + 5


def test_several_observations_are_taken_in_turn():
    world, payment, refund = at(S.SENDING)
    seen = [world.seen(refund, each) for each in (E.LOST, E.ACCEPTED, E.EXECUTED)]
    result = world.do(world.observe(refund, *seen))
    assert result.refund.state is S.SUCCEEDED and result.refund.version == refund.version + 3
    assert [each.type for each in world.plan.events] == ["refund.unknown", "refund.pending", "refund.succeeded"]
    assert sum_of(world, payment) == {"refunded": 3_000}


# --- older evidence, older attempts


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (S.PENDING, E.REFUSED),
        (S.PENDING, E.ACTION_NEEDED),
        (S.SUCCEEDED, E.REFUSED),
        (S.SUCCEEDED, E.CAME_BACK),
        (S.FAILED, E.ACCEPTED),
    ],
)
def test_evidence_older_than_what_is_recorded_is_kept_and_changes_nothing(state: State, event: Event):
    world, payment, refund = at(state, evidence_at=START)
    older, later = START - timedelta(seconds=1), START
    world.see(refund, event, occurred_at=older)
    assert world.state(refund) is state and not world.open_cases(payment)
    assert [each.counted for each in world.plan.evidence] == [False]
    assert world.refunds[refund.id].evidence_at == START
    world.see(refund, event, occurred_at=later)
    assert world.plan.evidence[0].counted
    assert world.state(refund) is not state or world.open_cases(payment)


def test_an_execution_counts_however_late_it_is_told():
    world, payment, refund = at(S.FAILED, evidence_at=START)
    world.see(refund, E.EXECUTED, occurred_at=START - timedelta(days=1))
    assert world.state(refund) is S.NEEDS_REVIEW and world.of(payment).held == 3_000
    assert world.refunds[refund.id].evidence_at == START


@pytest.mark.parametrize(
    "event", [E.SEND_FAILED, E.NOT_TAKEN, E.LOST, E.ACCEPTED, E.ACTION_NEEDED, E.REFUSED, E.PROVIDER_CANCELED]
)
def test_an_answer_of_an_older_attempt_changes_nothing(event: Event):
    """The first attempt's late refusal must not void a hold that the second attempt may be spending."""
    world, payment, refund = at(S.SENDING, generation=2)
    world.see(refund, event, generation=1)
    assert world.state(refund) is S.SENDING and sum_of(world, payment) == {"held": 3_000}
    assert [each.counted for each in world.plan.evidence] == [False]
    world.see(refund, event, generation=2)
    assert world.state(refund) is not S.SENDING


def test_a_proof_of_one_attempts_death_says_nothing_of_the_next():
    world, _, refund = at(S.UNKNOWN, generation=2)
    world.see(refund, E.KEY_UNKNOWN, generation=1)
    assert world.state(refund) is S.UNKNOWN
    world.see(refund, E.KEY_UNKNOWN, generation=2)
    assert world.state(refund) is S.READY


@pytest.mark.parametrize("event", [E.SEND_FAILED, E.NOT_TAKEN])
def test_a_proof_that_does_not_name_its_attempt_proves_nothing(event: Event):
    world, _, refund = at(S.SENDING)
    world.see(refund, event, generation=None)
    assert world.state(refund) is S.SENDING


def test_a_late_refusal_of_an_earlier_attempt_does_not_return_what_a_later_one_executed():
    world, payment, refund = at(S.SUCCEEDED, generation=2)
    world.see(refund, E.REFUSED, generation=1)
    assert world.state(refund) is S.SUCCEEDED and world.of(payment).refunded == 3_000


def test_an_earlier_attempt_that_executed_after_all_counts_and_alarms():
    """What proved it unsent was wrong, and the attempt after it may execute as well."""
    world, payment, refund = at(S.SENDING, generation=2)
    after = world.see(refund, E.EXECUTED, generation=1).refund
    assert after.state is S.SUCCEEDED and after.mark == mark_of(refund, 1)
    assert world.open_cases(payment) == ["earlier_attempt_executed"]
    world.see(refund, E.EXECUTED, generation=2)
    assert sum_of(world, payment) == {"refunded": 3_000, "external": 3_000}


# --- executed twice, executed late


@pytest.mark.parametrize("state", [S.SUCCEEDED, S.RETURNED], ids=lambda state: state.value)
@pytest.mark.parametrize("told", [{"provider_id": "a"}, {"provider_id": None}, {"generation": None}])
def test_the_known_execution_told_again_changes_nothing(state: State, told: dict[str, Any]):
    world, payment, refund = at(state, provider_id="a")
    before = world.of(payment)
    world.see(refund, E.EXECUTED, **{"amount": 3_000, **told})
    assert world.of(payment) == before and world.state(refund) is state
    assert not world.externals and not world.cases


@pytest.mark.parametrize("state", [S.SUCCEEDED, S.RETURNED], ids=lambda state: state.value)
@pytest.mark.parametrize("amount", [None, 3_000, 2_500])
def test_a_second_execution_is_external_and_a_case(state: State, amount: int | None):
    world, payment, refund = at(state, provider_id="a")
    result = world.see(refund, E.EXECUTED, provider_id="b", amount=amount)
    assert result.refund.state is state and not result.changed
    assert world.of(payment).external == (3_000 if amount is None else amount)
    assert world.externals[(payment.id, "b")].amount == world.of(payment).external
    assert world.open_cases(payment) == ["second_execution"]
    assert [each.kind for each in world.plan.movements] == [Kind.EXTERNAL]
    assert world.widened


def test_a_second_execution_is_counted_once_however_often_it_is_told():
    world, payment, refund = at(S.SUCCEEDED, provider_id="a")
    twice = [world.seen(refund, E.EXECUTED, provider_id="b") for _ in range(2)]
    world.do(world.observe(refund, *twice))
    world.see(refund, E.EXECUTED, provider_id="b")
    assert sum_of(world, payment) == {"refunded": 3_000, "external": 3_000}
    assert len(world.cases) == 1 == len(world.externals)
    world.close(payment)
    world.see(refund, E.EXECUTED, provider_id="b")  # told once more after a person has dealt with it
    assert world.open_cases(payment) == []
    world.see(refund, E.EXECUTED, provider_id="c")  # a third
    assert sum_of(world, payment) == {"refunded": 3_000, "external": 6_000}
    assert world.open_cases(payment) == ["second_execution"]


def test_without_provider_ids_the_attempt_tells_executions_apart():
    world, payment, refund = at(S.SUCCEEDED, generation=2)
    world.see(refund, E.EXECUTED, generation=2)
    assert sum_of(world, payment) == {"refunded": 3_000}
    world.see(refund, E.EXECUTED, generation=1)
    assert sum_of(world, payment) == {"refunded": 3_000, "external": 3_000}


def test_a_provider_confirms_what_a_person_said():
    """A success on a person's word knows no provider id: the first one told is its own, the next one a second."""
    world, payment, refund = at(S.UNKNOWN)
    world.resolve(refund, executed=True)
    assert world.see(refund, E.EXECUTED, provider_id="a").refund.provider_id == "a"
    assert sum_of(world, payment) == {"refunded": 3_000} and not world.cases
    world.see(refund, E.EXECUTED, provider_id="b")
    assert sum_of(world, payment) == {"refunded": 3_000, "external": 3_000}


def test_what_executed_is_what_is_remembered():
    """The provider accepted under one id and executed under another: the first one executing too is a second."""
    world, payment, refund = at(S.SENDING)
    world.see(refund, E.ACCEPTED, provider_id="a")
    world.see(refund, E.EXECUTED, provider_id="b")
    world.see(refund, E.EXECUTED, provider_id="b")
    assert sum_of(world, payment) == {"refunded": 3_000}
    world.see(refund, E.EXECUTED, provider_id="a")
    assert sum_of(world, payment) == {"refunded": 3_000, "external": 3_000}


@pytest.mark.parametrize("state", [S.FAILED, S.CANCELED], ids=lambda state: state.value)
def test_an_execution_after_the_end_takes_the_hold_again(state: State):
    world, payment, refund = at(state)
    after = world.see(refund, E.EXECUTED).refund
    assert (after.state, after.held_by_review, after.ended_at) == (S.NEEDS_REVIEW, True, None)
    assert after.human_since == after.doubt_since == world.now.business
    assert sum_of(world, payment) == {"held": 3_000} and not world.widened
    assert world.see(refund, E.EXECUTED).refund.state is S.SUCCEEDED
    assert not world.refunds[refund.id].held_by_review


def test_where_the_room_is_gone_the_hold_is_excess_and_the_unsent_go_to_review_first():
    world, payment, late = at(S.FAILED, payer=8_000)
    done = world.stand(payment, S.SUCCEEDED, payer=1_000)
    waiting = [world.stand(payment, state, payer=2_000) for state in sorted(UNSENT, key=lambda state: state.value)]
    sent = world.stand(payment, S.PENDING, payer=1_000)
    world.see(late, E.EXECUTED)
    assert world.widened
    assert world.of(payment).excess == 6_000 and world.open_cases(payment) == ["excess"]
    assert {world.state(each) for each in waiting} == {S.NEEDS_REVIEW}
    assert all(world.refunds[each.id].human_since == world.now.business for each in waiting)
    assert world.state(sent) is S.PENDING and world.state(done) is S.SUCCEEDED
    assert len([each for each in world.plan.events if each.type == "payment.excess_raised"]) == 1


def test_excess_that_falls_to_nothing_closes_its_case():
    world, payment, late = at(S.FAILED, payer=8_000)
    other = world.stand(payment, S.PENDING, payer=5_000)
    world.see(late, E.EXECUTED)
    assert world.of(payment).excess == 3_000 and world.of(payment).blocked
    world.see(other, E.REFUSED)
    assert world.of(payment).excess == 0 and not world.of(payment).blocked and world.open_cases(payment) == []
    (case,) = world.cases.values()
    assert case.closed_at == world.now.business and case.closed_by is None
    assert world.events_of(payment)[-2:] == ["payment.excess_fell", "payment.case_closed"]


def test_excess_that_rises_and_falls_in_one_decision_leaves_no_open_case():
    world, payment, late = at(S.FAILED, payer=8_000)
    world.stand(payment, S.SUCCEEDED, payer=5_000)
    seen = [world.seen(late, each) for each in (E.EXECUTED, E.REFUSED)]
    assert world.do(world.observe(late, *seen)).refund.state is S.FAILED
    assert world.of(payment).excess == 0 and world.open_cases(payment) == []


def test_a_person_may_close_the_excess_before_it_is_gone_and_more_of_it_opens_another():
    world = World()
    payment = world.pay()
    world.sight(payment, "external", 12_000)
    world.close(payment)
    assert world.of(payment).excess == 2_000 and not world.of(payment).blocked
    world.sight(payment, "external", 1_000, "x2")
    assert world.open_cases(payment) == ["excess"] and len(world.cases) == 2
    world.sight(payment, "external_undone", 0, "x1")
    assert world.of(payment).excess == 0 and world.open_cases(payment) == []


# --- the wrong amount


@in_states([*IN_FLIGHT, *UNSENT, S.FAILED, S.CANCELED])
@pytest.mark.parametrize(("amount", "beyond"), [(2_999, 0), (3_001, 1), (20_000, 17_000)])
def test_an_execution_of_another_amount_is_looked_at(state: State, amount: int, beyond: int):
    world, payment, refund = at(state)
    after = world.see(refund, E.EXECUTED, amount=amount, provider_id="a").refund
    assert after.state is S.NEEDS_REVIEW and after.human_since == world.now.business
    assert after.held_by_review is (state in ENDED)
    excess = max(0, 3_000 + beyond - 10_000)
    expected = {"held": 3_000, "external": beyond, "excess": excess}
    assert sum_of(world, payment) == {name: amount for name, amount in expected.items() if amount}
    assert after.version == refund.version + 1
    # The right amount, or a person, settles it; what went beyond stays external.
    assert world.see(refund, E.EXECUTED, amount=3_000).refund.state is S.SUCCEEDED
    assert world.of(payment).external == beyond


def test_the_wrong_amount_told_again_is_counted_once():
    world, payment, refund = at(S.SENDING)
    for _ in range(3):
        world.see(refund, E.EXECUTED, amount=3_500, provider_id="a")
    assert sum_of(world, payment) == {"held": 3_000, "external": 500}
    assert world.state(refund) is S.NEEDS_REVIEW and world.refunds[refund.id].version == refund.version + 1


@pytest.mark.parametrize("state", [S.SUCCEEDED, S.RETURNED], ids=lambda state: state.value)
@pytest.mark.parametrize(("amount", "beyond"), [(2_999, 0), (3_400, 400)])
def test_a_known_execution_that_turns_out_to_be_of_another_amount_is_a_case(state: State, amount: int, beyond: int):
    world, payment, refund = at(state, provider_id="a")
    for _ in range(2):
        world.see(refund, E.EXECUTED, amount=amount, provider_id="a")
    assert world.state(refund) is state and world.of(payment).external == beyond
    assert world.open_cases(payment) == ["wrong_amount"]


@pytest.mark.parametrize("event", [E.CAME_BACK, E.REFUSED])
def test_a_part_that_came_back_frees_nothing(event: Event):
    """Counting the whole refund as returned would let the part the payer kept be given a second time."""
    world, payment, refund = at(S.SUCCEEDED, provider_id="a")
    world.see(refund, event, amount=1_000)
    assert world.state(refund) is S.SUCCEEDED and world.of(payment).refunded == 3_000
    assert world.open_cases(payment) == [f"refund_{event.value}"]


# --- came back


@in_states([*IN_FLIGHT, S.NEEDS_REVIEW])
def test_what_came_back_had_been_executed(state: State):
    world, payment, refund = at(state)
    result = world.see(refund, E.CAME_BACK, failure="closed_account")
    assert (result.refund.state, result.refund.failure) == (S.RETURNED, "closed_account")
    assert [each.type for each in world.plan.events] == ["refund.succeeded", "refund.returned"]
    assert [each.kind for each in world.plan.movements] == [Kind.POST, Kind.RETURN]
    assert [each.event for each in world.plan.evidence] == ["came_back"]  # one sighting, one piece of evidence
    assert sum_of(world, payment) == {} and world.of(payment).fence is None


def test_two_that_came_back_without_a_digest_both_count():
    world, payment, first = at(S.PENDING)
    second = world.stand(payment, S.PENDING, payer=100)
    for each in (first, second):
        assert world.see(each, E.CAME_BACK, digest="").refund.state is S.RETURNED


def test_what_came_back_of_a_refund_that_was_ready_again_is_looked_at():
    world, payment, refund = at(S.READY, generation=1)
    assert world.see(refund, E.CAME_BACK).refund.state is S.NEEDS_REVIEW
    assert [each.event for each in world.evidence] == ["came_back"] and world.of(payment).held == 3_000


def test_money_that_came_back_may_be_given_again():
    world, payment, refund = at(S.SUCCEEDED, payer=10_000)
    assert world.of(payment).refundable == 0
    world.see(refund, E.CAME_BACK)
    assert world.of(payment).refundable == 10_000


# --- cases


@pytest.mark.parametrize("state", [S.FAILED, S.CANCELED], ids=lambda state: state.value)
@pytest.mark.parametrize("event", [E.ACCEPTED, E.ACTION_NEEDED, E.CAME_BACK])
def test_a_contradiction_of_an_ended_refund_is_one_case_however_often_it_is_told(state: State, event: Event):
    world, payment, refund = at(state)
    for _ in range(3):
        world.see(refund, event)
    assert world.open_cases(payment) == [f"refund_{event.value}"] and world.of(payment).blocked
    assert world.state(refund) is state and sum_of(world, payment) == {}
    (case,) = world.cases.values()
    assert (case.refund, case.number, case.figures["state"]) == (refund.id, 1, state.value)
    world.close(payment)
    closed = world.cases[(payment.id, 1)]
    assert (closed.closed_by, closed.note, closed.closed_at) == ("ann", "looked at it", world.now.business)
    assert not world.of(payment).blocked


def test_cases_are_numbered_and_closed_one_by_one():
    world, payment, first = at(S.FAILED)
    second = world.stand(payment, S.FAILED)
    world.see(first, E.ACCEPTED)
    world.see(second, E.ACCEPTED)
    assert world.of(payment).open_cases == 2
    world.close(payment, 2)
    assert world.of(payment).blocked and world.open_cases(payment) == ["refund_accepted"]
    world.close(payment, 1)
    assert not world.of(payment).blocked
    assert reasons(world.close(payment, 1)) == [Reason.CASE_NOT_FOUND]
    assert reasons(world.close(payment, 3)) == [Reason.CASE_NOT_FOUND]


# --- more facts


@pytest.mark.parametrize(
    ("state", "event", "seen", "needed"),
    [
        (S.SENDING, E.EXECUTED, {}, False),
        (S.SENDING, E.LOST, {}, False),
        (S.PENDING, E.REFUSED, {}, False),
        (S.PENDING, E.CAME_BACK, {}, False),
        (S.FAILED, E.EXECUTED, {}, False),
        (S.SUCCEEDED, E.CAME_BACK, {}, False),
        (S.SENDING, E.EXECUTED, {"amount": 2_000}, False),
        (S.SENDING, E.EXECUTED, {"amount": 4_000}, True),
        (S.SUCCEEDED, E.EXECUTED, {"provider_id": "b"}, True),
        (S.FAILED, E.ACCEPTED, {}, True),
        (S.SUCCEEDED, E.CAME_BACK, {"amount": 1}, True),
    ],
)
def test_more_facts_are_asked_for_exactly_where_they_are_needed(
    state: State, event: Event, seen: dict[str, Any], needed: bool
):
    world, _, refund = at(state, provider_id="a")
    world.see(refund, event, **seen)
    assert world.widened is needed


# --- leases, looks, doubt


def test_a_lease_that_ran_out_makes_the_outcome_unknown_and_nothing_else():
    world, payment, refund = at(S.READY)
    world.send(refund)
    world.wait(seconds=59)
    assert not world.expire(refund).changed and world.state(refund) is S.SENDING and not world.plan.evidence
    world.wait(seconds=1)
    after = world.expire(refund).refund
    assert after.state is S.UNKNOWN and after.doubt_since == world.now.business
    assert after.look_at == world.now.business + LOOK_AFTER[0] and after.lease_until is None
    assert sum_of(world, payment) == {"held": 3_000} and world.of(payment).fence == refund.id
    assert [(each.event, each.source) for each in world.plan.evidence] == [("lost", "lease")]
    assert world.attempts[(refund.id, 1)].outcome == "unknown"


@in_states([each for each in State if each is not S.SENDING])
def test_a_lease_means_nothing_outside_of_sending(state: State):
    world, _, refund = at(state, lease_until=START - timedelta(days=1))
    result = world.expire(refund)
    assert not result.changed and world.refunds[refund.id] == refund and not world.plan.evidence


def test_real_time_decides_about_leases_and_business_time_does_not():
    world, _, refund = at(S.READY)
    world.send(refund)
    world.now = replace(world.now, business=world.now.business + timedelta(days=365))
    assert not world.expire(refund).changed
    world.now = replace(world.now, real=world.now.real + timedelta(seconds=60))
    assert world.expire(refund).changed


@in_states([each for each in HOLDING if each not in UNSENT])
def test_age_alone_never_ends_a_refund(state: State):
    world, payment, refund = at(state)
    for days in (1, 30, 365, 3_650):
        world.wait(days=days)
        world.look(refund)
        world.expire(refund)
        expected = S.UNKNOWN if state is S.SENDING else state
        assert world.state(refund) is expected and sum_of(world, payment) == {"held": 3_000}


def test_looking_grows_apart_and_then_a_person_is_asked():
    """Nothing may be lost: what looking did not settle in its time waits for somebody."""
    world, _, refund = at(S.SENDING)
    world.see(refund, E.ACCEPTED)
    gaps = list[timedelta]()
    while (look_at := world.refunds[refund.id].look_at) is not None:
        assert world.refunds[refund.id].human_since is None
        gaps.append(look_at - world.now.business)
        world.now = replace(world.now, business=look_at)
        world.look(refund)
    assert gaps == list(LOOK_AFTER)
    assert [gap.total_seconds() for gap in gaps[:8]] == [2, 10, 30, 120, 600, 3_600, 21_600, 86_400]
    assert len(gaps) == 15  # daily for a week at last
    after = world.refunds[refund.id]
    assert after.state is S.PENDING and after.human_since == world.now.business
    assert world.see(refund, E.ACCEPTED).refund.look_at is not None  # any new word begins the looking again


def test_doubt_waits_for_a_person_from_the_horizon_on_while_looking_goes_on():
    world, _, refund = at(S.SENDING)
    world.see(refund, E.LOST)
    world.wait(seconds=89)
    assert world.look(refund).refund.human_since is None
    world.wait(seconds=1)
    after = world.look(refund).refund
    assert after.human_since == world.now.business and after.look_at is not None
    world.wait(hours=1)
    assert world.look(refund).refund.human_since == after.human_since


def test_a_look_writes_no_event_and_no_evidence():
    world, _, refund = at(S.PENDING)
    events = len(world.events)
    result = world.look(refund)
    assert not result.changed and result.refund.version == refund.version and len(world.events) == events
    assert not world.plan.evidence and result.refund.looks == 1


@in_states([*UNSENT, *ENDED])
def test_nobody_looks_for_what_was_not_sent_or_has_ended(state: State):
    world, _, refund = at(state)
    assert world.look(refund).refund == refund


def test_a_review_of_what_was_never_armed_is_not_looked_for_and_waits_for_a_person_at_once():
    world, _, refund = at(S.READY)
    after = world.see(refund, E.DRIFTED).refund
    assert after.look_at is None and after.human_since == world.now.business


def test_doubt_is_as_old_as_its_beginning():
    """The horizon, and what people read as its age, do not begin again when doubt turns into a contradiction."""
    world, _, refund = at(S.SENDING)
    world.see(refund, E.LOST)
    world.wait(seconds=50)
    assert world.see(refund, E.EXECUTED, amount=1).refund.doubt_since == START
    world.wait(seconds=40)
    assert reasons(world.resolve(refund, executed=False)) == [Reason.STATE_FORBIDS]  # something was executed
    assert world.resolve(refund, executed=True).refund.state is S.SUCCEEDED


# --- a person's answer


@pytest.mark.parametrize("state", [S.UNKNOWN, S.NEEDS_REVIEW], ids=lambda state: state.value)
def test_a_person_says_executed_at_any_time(state: State):
    world, payment, refund = at(state, doubt_since=START)
    after = world.resolve(refund, executed=True).refund
    assert after.state is S.SUCCEEDED and sum_of(world, payment) == {"refunded": 3_000}
    (kept,) = world.plan.evidence
    assert (kept.grade, kept.source, kept.data["by"]) == (Grade.PERSON, "person", "ann")


@pytest.mark.parametrize("executed", [True, False])
def test_what_was_accepted_and_never_spoken_of_again_is_a_persons_once_looking_has_given_up(executed: bool):
    """A provider that shows nothing, and whose news was lost, would leave it pending for ever."""
    world, _, refund = at(S.SENDING)
    world.see(refund, E.ACCEPTED)
    assert reasons(world.resolve(refund, executed=executed)) == FORBIDDEN
    while (look_at := world.refunds[refund.id].look_at) is not None:
        world.now = replace(world.now, business=look_at)
        world.look(refund)
    after = world.resolve(refund, executed=executed).refund
    assert after.state is (S.SUCCEEDED if executed else S.NEEDS_REVIEW)


DOUBTS = [(S.UNKNOWN, None), (S.NEEDS_REVIEW, START)]
"""A contradiction is a person's at once; doubt is once looking has not settled it."""


@pytest.mark.parametrize(("state", "asked"), DOUBTS, ids=lambda each: getattr(each, "value", None))
def test_a_person_says_not_sent_only_after_the_horizon(state: State, asked: datetime | None):
    world, payment, refund = at(state, doubt_since=START, human_since=asked, look_at=START)
    world.wait(seconds=89.999)
    refusal = world.resolve(refund, executed=False)
    assert reasons(refusal) == FORBIDDEN
    assert refusal.first.figures["not_sent_from"] == START + timedelta(seconds=90)
    assert world.refunds[refund.id] == refund
    world.wait(seconds=0.001)
    assert reasons(world.resolve(refund, executed=False)) == FORBIDDEN  # nobody has looked since
    world.look(refund)
    after = world.resolve(refund, executed=False).refund
    assert after.state is S.READY and sum_of(world, payment) == {"held": 3_000}
    assert world.of(payment).fence is None and (after.doubt_since, after.human_since) == (None, None)
    assert world.send(refund).generation == 2


@pytest.mark.parametrize(("state", "asked"), DOUBTS, ids=lambda each: getattr(each, "value", None))
def test_not_sent_asked_for_before_the_horizon_is_void_however_late_it_is_committed(
    state: State, asked: datetime | None
):
    """The person read the provider's list before the provider must have shown what was sent to it."""
    world, _, refund = at(state, doubt_since=START, human_since=asked, look_at=START)
    form = refund.evidence_version
    world.wait(hours=1)
    assert reasons(world.resolve(refund, executed=False, evidence_version=form)) == FORBIDDEN
    assert world.look(refund).refund.human_since == world.now.business
    refusal = world.resolve(refund, executed=False, evidence_version=form)
    assert reasons(refusal) == [Reason.EVIDENCE_MOVED_ON]
    assert world.look(refund).refund.evidence_version == form + 1  # further looks that see nothing void nothing
    assert world.resolve(refund, executed=False, evidence_version=form + 1).refund.state is S.READY


def test_looking_does_not_give_up_before_the_horizon():
    """A person who was never asked could never answer."""
    world, _, refund = at(S.SENDING)
    world.terms = replace(world.terms, horizon=timedelta(days=30))
    world.see(refund, E.LOST)
    while (look_at := world.refunds[refund.id].look_at) is not None:
        assert world.refunds[refund.id].human_since is None
        world.now = replace(world.now, business=look_at)
        world.look(refund)
    assert world.refunds[refund.id].human_since == world.now.business >= START + timedelta(days=30)
    assert world.resolve(refund, executed=False).refund.state is S.READY


def test_what_was_asked_about_an_older_doubt_is_asked_anew():
    """Accepted, never spoken of again and so a person's; then a fresh call of it was lost: its horizon is its own."""
    world, _, refund = at(S.REQUIRES_ACTION, human_since=START)
    world.wait(hours=1)
    after = world.see(refund, E.LOST).refund
    assert (after.state, after.human_since) == (S.UNKNOWN, START)
    world.wait(seconds=91)
    assert reasons(world.resolve(refund, executed=False)) == FORBIDDEN
    assert world.look(refund).refund.human_since == world.now.business
    assert world.resolve(refund, executed=False).refund.state is S.READY


def test_what_was_never_armed_was_not_sent_from_the_first_moment():
    world, _, refund = at(S.READY)
    world.see(refund, E.DRIFTED)
    assert world.resolve(refund, executed=False).refund.state is S.READY


@pytest.mark.parametrize("executed", [True, False])
def test_an_answer_given_before_newer_evidence_is_void(executed: bool):
    world, _, refund = at(S.UNKNOWN, doubt_since=START)
    world.wait(hours=1)
    world.look(refund)
    form = world.refunds[refund.id].evidence_version
    world.see(refund, E.LOST)  # changes no state; it is evidence all the same
    refusal = world.resolve(refund, executed=executed, evidence_version=form)
    assert reasons(refusal) == [Reason.EVIDENCE_MOVED_ON]
    assert refusal.first.figures == {"seen": form, "evidence_version": form + 1}
    assert world.state(refund) is S.UNKNOWN
    assert world.resolve(refund, executed=executed, evidence_version=form + 1).changed


def test_two_people_answering_at_once_are_one_answer():
    world, payment, refund = at(S.UNKNOWN)
    form = world.refunds[refund.id].evidence_version
    assert world.resolve(refund, executed=True, evidence_version=form).changed
    assert reasons(world.resolve(refund, executed=True, evidence_version=form)) == [Reason.EVIDENCE_MOVED_ON]
    assert sum_of(world, payment) == {"refunded": 3_000}


# --- nudges


def test_a_second_person_approves():
    world, _, refund = at(S.AWAITING_APPROVAL, requested_by="ann")
    for nobody in (None, "ann"):
        assert reasons(world.nudge(refund, E.APPROVED, by=nobody)) == [Reason.SECOND_PERSON_NEEDED]
    assert world.state(refund) is S.AWAITING_APPROVAL
    after = world.nudge(refund, E.APPROVED, by="bob").refund
    assert (after.state, after.approved_by) == (S.READY, "bob")


@pytest.mark.parametrize("event", [E.REJECTED, E.WITHDRAWN])
def test_what_is_called_off_lets_its_hold_go(event: Event):
    world, payment, refund = at(S.AWAITING_APPROVAL)
    after = world.nudge(refund, event, note="no").refund
    assert (after.state, after.failure) == (S.CANCELED, event.value)
    assert sum_of(world, payment) == {} and [each.kind for each in world.plan.movements] == [Kind.VOID]
    assert world.plan.evidence[0].data == {"by": "ann", "note": "no"}


def test_a_scheduled_refund_is_due_from_its_date_on():
    world, _, refund = at(S.SCHEDULED, due_at=START + timedelta(hours=1))
    assert not world.nudge(refund, E.DUE, by=None).changed
    world.wait(hours=1)
    assert world.nudge(refund, E.DUE, by=None).refund.state is S.READY
    assert world.plan.evidence[0].source == "calendar"


def test_what_may_have_been_sent_is_not_withdrawn():
    for state in (*IN_FLIGHT, S.NEEDS_REVIEW, *ENDED):
        world, _, refund = at(state)
        assert reasons(world.nudge(refund, E.WITHDRAWN)) == FORBIDDEN and world.state(refund) is state


# --- sightings of a payment: refunds made elsewhere


def test_a_refund_made_elsewhere_is_counted_once():
    world = World()
    payment = world.pay(fees=1_000)
    assert isinstance(world.sight(payment, "external", 4_000, fee_return=400), Standing)
    now = world.of(payment)
    assert (now.external, now.wallet_used, now.fee_used, now.refundable) == (4_000, 3_600, 400, 6_000)
    assert len(world.plan.evidence) == 1
    world.sight(payment, "external", 4_000, fee_return=400)
    assert world.of(payment) == now and world.empty_handed()


def test_a_refund_elsewhere_that_was_undone_is_given_free_once_and_stays_undone():
    world = World()
    payment = world.pay(fees=1_000)
    world.sight(payment, "external_undone", 0, "x1")  # told before the refund itself
    assert world.of(payment).external == 0 and not world.plan.payments
    world.sight(payment, "external", 11_000, fee_return=400)
    assert world.of(payment).excess == 1_000
    for _ in range(2):
        world.sight(payment, "external_undone")
    now = world.of(payment)
    assert (now.external, now.wallet_used, now.fee_used, now.excess) == (0, 0, 0, 0)
    world.sight(payment, "external", 11_000, fee_return=400)  # an old list that still shows it
    assert world.of(payment) == now


def test_a_refund_elsewhere_beyond_the_capture_is_excess_and_blocks():
    world = World()
    payment = world.pay()
    waiting = world.admit(payment, 7_000)
    world.sight(payment, "external", 3_001)
    now = world.of(payment)
    assert (now.excess, now.refundable, now.blocked) == (1, 0, True)
    assert world.state(waiting) is S.NEEDS_REVIEW and now.fence is None
    assert reasons(world.ask(payment, 1))[0] is Reason.NOTHING_LEFT
    assert (world.movements[-1].kind, world.movements[-1].debit) == (Kind.EXCESS_RISE, "excess")


# --- disputes


def dispute_story(*kinds: str, amount: int = 4_000) -> tuple[World, Payment]:
    world = World()
    payment = world.pay()
    for kind in kinds:
        world.sight(payment, f"dispute_{kind}", amount, "d1")
    return world, payment


@pytest.mark.parametrize(
    ("kinds", "counted", "status"),
    [
        (("open",), {"disputed": 4_000}, "open"),
        (("open", "open"), {"disputed": 4_000}, "open"),
        (("open", "won"), {}, "won"),
        (("open", "lost"), {"clawed_back": 4_000}, "lost"),
        (("open", "lost", "lost"), {"clawed_back": 4_000}, "lost"),
        (("open", "won", "won"), {}, "won"),
        # Out of order: an ended dispute stays as it ended.
        (("won",), {}, "won"),
        (("lost",), {"clawed_back": 4_000}, "lost"),
        (("won", "open"), {}, "won"),
        (("lost", "open"), {"clawed_back": 4_000}, "lost"),
        (("open", "lost", "open", "won"), {"clawed_back": 4_000}, "lost"),
        (("open", "won", "open", "lost"), {}, "won"),
    ],
)
def test_a_dispute_in_any_order(kinds: tuple[str, ...], counted: dict[str, int], status: str):
    world, payment = dispute_story(*kinds)
    assert sum_of(world, payment) == counted
    assert world.of(payment).refundable == 10_000 - sum(counted.values())
    (dispute,) = world.disputes.values()
    assert dispute.status is DisputeStatus(status) and dispute.amount == 4_000


@pytest.mark.parametrize(
    ("seen", "counted"),
    [
        ([("open", 4_000), ("open", 6_000)], {"disputed": 6_000}),
        ([("open", 4_000), ("open", 1_000)], {"disputed": 1_000}),
        ([("open", 4_000), ("lost", 5_500)], {"clawed_back": 5_500}),
        ([("open", 4_000), ("lost", 500)], {"clawed_back": 500}),
        ([("open", 4_000), ("lost", 0)], {"clawed_back": 4_000}),  # no amount named: the one we know
        ([("open", 4_000), ("won", 9_000)], {}),
        ([("open", 4_000), ("lost", 13_000)], {"clawed_back": 13_000, "excess": 3_000}),
    ],
)
def test_a_dispute_whose_amount_changes_is_counted_as_it_stands(seen: list[tuple[str, int]], counted: dict[str, int]):
    world = World()
    payment = world.pay()
    for kind, amount in seen:
        world.sight(payment, f"dispute_{kind}", amount, "d1")
    assert sum_of(world, payment) == counted


@pytest.mark.parametrize("kind", ["dispute_open", "dispute_lost", "claw_back"])
def test_a_dispute_sends_the_unsent_to_review_and_lets_the_sent_go_on(kind: str):
    world = World(fenced=False)
    payment = world.pay()
    unsent = [world.stand(payment, state, payer=100) for state in UNSENT]
    sent = [world.stand(payment, state, payer=100) for state in (*IN_FLIGHT, *ENDED)]
    before = {each.id: world.state(each) for each in sent}
    world.sight(payment, kind, 100, "d1")
    assert {world.state(each) for each in unsent} == {S.NEEDS_REVIEW}
    assert {each.id: world.state(each) for each in sent} == before
    assert not world.open_cases(payment)


def test_a_dispute_that_is_won_disturbs_nobody():
    world = World()
    payment = world.pay()
    world.sight(payment, "dispute_open", 100, "d1")
    unsent = world.stand(payment, S.READY, payer=100)
    world.sight(payment, "dispute_won", 100, "d1")
    assert world.state(unsent) is S.READY


def test_a_chargeback_on_a_refunded_payment_is_excess():
    world, payment, _ = at(S.SUCCEEDED, payer=10_000)
    world.sight(payment, "dispute_lost", 10_000, "d1")
    assert sum_of(world, payment) == {"refunded": 10_000, "clawed_back": 10_000, "excess": 10_000}
    assert world.of(payment).refundable == 0 and world.of(payment).blocked


def test_a_bank_return_is_counted_once_and_beside_a_dispute_of_the_same_name():
    world = World()
    payment = world.pay()
    for _ in range(2):
        world.sight(payment, "claw_back", 2_000, "d1")
    world.sight(payment, "dispute_open", 1_000, "d1")
    assert sum_of(world, payment) == {"clawed_back": 2_000, "disputed": 1_000}


# --- captures


def test_an_authorized_payment_is_captured():
    world = World()
    payment = world.pay(condition=Condition.AUTHORIZED, authorized=8_000, captured=0, captured_at=None, fees=500)
    assert world.of(payment).refundable == 0
    world.sight(payment, "captured", 8_000, occurred_at=START - timedelta(hours=1))
    now = world.of(payment)
    assert (now.condition, now.captured, now.refundable) == (Condition.CAPTURED, 8_000, 8_000)
    assert now.captured_at == START - timedelta(hours=1)
    world.sight(payment, "captured", 8_000)
    assert world.of(payment) == now and not world.plan.payments


def test_an_amount_that_was_unknown_becomes_known():
    world = World()
    payment = world.pay(amount_known=False, captured=0)
    world.sight(payment, "captured", 700)
    assert world.of(payment).amount_known and world.of(payment).refundable == 700


def test_a_capture_that_shrinks_below_what_was_given_back_is_excess_until_it_grows_again():
    world, payment, _ = at(S.SUCCEEDED, payer=9_000)
    waiting = world.stand(payment, S.READY, payer=500)
    world.sight(payment, "captured", 5_000)
    assert world.of(payment).excess == 4_500 and world.state(waiting) is S.NEEDS_REVIEW
    world.sight(payment, "captured", 12_000)
    now = world.of(payment)
    assert (now.excess, now.refundable, now.blocked) == (0, 2_500, False)


def test_a_capture_smaller_than_its_fees_takes_them_along():
    world = World()
    payment = world.pay(fees=1_000)
    world.sight(payment, "captured", 400)
    assert (world.of(payment).captured, world.of(payment).fees, world.of(payment).refundable) == (400, 400, 0)


@pytest.mark.parametrize("condition", [Condition.AUTHORIZED, Condition.PROCESSING])
def test_a_payment_canceled_before_it_came_in_has_failed(condition: Condition):
    world = World()
    payment = world.pay(condition=condition, captured=0)
    for _ in range(2):
        world.sight(payment, "canceled")
    assert world.of(payment).condition is Condition.FAILED
    assert world.events_of(payment) == ["payment.registered", "payment.canceled"]


def test_money_that_came_in_does_not_vanish_by_a_word():
    world = World()
    payment = world.pay()
    for _ in range(2):
        world.sight(payment, "canceled")
    assert world.of(payment).captured == 10_000 and world.open_cases(payment) == ["payment_canceled"]


def test_a_stranger_sees_no_payment():
    world = World()
    payment = replace(world.pay(), merchant=world.new_id())
    assert reasons(world.sight(payment, "external", 1)) == [Reason.PAYMENT_NOT_FOUND]
    assert reasons(world.close(payment)) == [Reason.PAYMENT_NOT_FOUND]


def test_every_change_of_a_payment_is_an_event_in_step_with_its_version():
    world, payment, refund = at(S.FAILED, payer=9_000)
    world.sight(payment, "dispute_open", 4_000, "d1")
    world.see(refund, E.EXECUTED)
    world.sight(payment, "dispute_won", 4_000, "d1")
    assert world.events_of(payment) == [
        "payment.registered",
        "dispute.opened",
        "payment.excess_raised",
        "payment.case_opened",
        "dispute.won",
        "payment.excess_fell",
        "payment.case_closed",
    ]


# --- a counter -------------------------------------------------------------------------------------------------------


def test_a_counter_speaks_for_the_refund_that_holds_the_fence():
    world = World()
    payment = world.pay()
    first, second = world.admit(payment, 3_000), world.admit(payment, 3_000)
    world.send(first)
    world.see(first, Event.LOST)
    world.see(first, Event.SEND_FAILED)
    assert world.refunds[first.id].state is State.UNKNOWN, "the attempt's outcome is not known"
    world.see(second, Event.EXECUTED, grade=Grade.COUNTER, amount=3_000)
    assert world.refunds[second.id].state is State.READY
    assert not world.refunds[second.id].execution_seen
    world.see(first, Event.EXECUTED, grade=Grade.COUNTER, amount=3_000)
    assert world.refunds[first.id].state is State.SUCCEEDED


def test_a_counter_says_nothing_of_a_refund_that_gave_its_fence_back():
    world = World()
    payment = world.pay()
    first, second = world.admit(payment, 3_000), world.admit(payment, 3_000)
    world.send(first)
    world.see(first, Event.SEND_FAILED)  # ready again: the next may go before it
    world.send(second)
    world.see(first, Event.EXECUTED, grade=Grade.COUNTER, amount=3_000)
    assert world.refunds[first.id].state is State.READY
    assert not world.evidence[-1].counted
