"""Before the first byte: who holds the fence, the decision taken again on fresh facts, and the armed attempt."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from moneyback.core.commands import Arm, HandOver, Moved
from moneyback.core.decide import decide
from moneyback.core.ledger import Kind
from moneyback.core.payment import ANYTHING, Capabilities, Condition, Payment
from moneyback.core.plan import Facts, Plan
from moneyback.core.refund import HOLDING, Event, Refund, State
from moneyback.core.refusals import Reason
from moneyback.core.sending import mark_of
from tests.core.worlds import START, World, a_payment, a_refund, reasons

E, S = Event, State
FORBIDDEN = [Reason.STATE_FORBIDS]


def ready(**terms: Any) -> tuple[World, Payment, Refund]:
    """A ready refund that holds the fence of its payment."""
    world = World(**terms)
    payment = world.pay()
    refund = world.admit(payment, 3_000)
    assert world.of(payment).fence == refund.id
    return world, payment, refund


# --- the fence


def test_the_first_refund_takes_the_fence_and_the_second_waits():
    world, payment, first = ready()
    second = world.admit(payment, 1_000)
    assert world.state(second) is S.READY and world.of(payment).fence == first.id
    assert reasons(world.fence(second)) == FORBIDDEN
    assert reasons(world.arm(second)) == FORBIDDEN
    assert world.state(second) is S.READY


def test_arming_needs_the_fence_even_when_nobody_holds_it():
    world = World()
    refund = world.stand(world.pay(), S.READY)
    assert reasons(world.arm(refund)) == FORBIDDEN


def test_taking_the_fence_twice_changes_nothing():
    world, _, refund = ready()
    assert isinstance(world.fence(refund), Moved)
    assert not world.plan.payments and not world.plan.refunds


def test_an_unfenced_rail_takes_none():
    world = World(fenced=False)
    payment = world.pay()
    first, second = world.admit(payment, 1_000), world.admit(payment, 1_000)
    for each in (first, second):
        assert isinstance(world.fence(each), Moved) and world.arm(each).refund.state is S.SENDING
    assert world.of(payment).fence is None


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_only_a_ready_refund_takes_the_fence(state: State):
    world = World()
    payment = world.pay()
    refund = world.stand(payment, state, generation=0)
    result = world.fence(refund)
    if state is S.READY:
        assert world.of(payment).fence == refund.id and world.of(payment).version == payment.version + 1
    else:
        assert reasons(result) == FORBIDDEN


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        (E.ACCEPTED, True),
        (E.ACTION_NEEDED, True),
        (E.LOST, True),
        (E.EXECUTED, False),
        (E.REFUSED, False),
        (E.SEND_FAILED, False),
        (E.NOT_TAKEN, False),
        (E.CAME_BACK, False),
    ],
)
def test_the_fence_is_held_until_the_refund_ends_or_is_ready_again(event: Event, kept: bool):
    world, payment, refund = ready()
    world.send(refund)
    world.see(refund, event)
    assert world.of(payment).fence == (refund.id if kept else None)


def test_doubt_and_review_keep_the_fence():
    world, payment, refund = ready()
    world.send(refund)
    world.see(refund, E.EXECUTED, amount=1)
    assert world.state(refund) is S.NEEDS_REVIEW and world.of(payment).fence == refund.id


def test_a_review_that_was_never_armed_holds_no_fence():
    world, payment, refund = ready()
    world.see(refund, E.DRIFTED)
    assert world.state(refund) is S.NEEDS_REVIEW and world.of(payment).fence is None


def test_a_withdrawn_refund_lets_the_next_one_go():
    world, payment, first = ready()
    second = world.admit(payment, 1_000)
    world.nudge(first, E.WITHDRAWN)
    assert world.of(payment).fence is None
    assert world.send(second).state is S.SENDING


def test_another_refund_ending_leaves_the_fence_alone():
    world, payment, first = ready()
    second = world.admit(payment, 1_000)
    world.nudge(second, E.WITHDRAWN)
    assert world.of(payment).fence == first.id


# --- arming


def test_an_attempt_is_written_down_before_anything_is_sent():
    world, payment, refund = ready()
    world.now = replace(world.now, real=START + timedelta(minutes=5))  # leases run in real time
    armed = world.arm(refund, pre_read={"left": 10_000}).refund
    (attempt,) = world.plan.attempts
    now = world.now.real
    assert (armed.state, armed.generation, armed.mark) == (S.SENDING, 1, mark_of(refund, 1))
    assert armed.send_deadline == now + timedelta(seconds=30) < armed.lease_until == now + timedelta(seconds=60)
    assert (attempt.generation, attempt.mark, attempt.amount, attempt.outcome) == (1, armed.mark, 3_000, "armed")
    assert (attempt.send_deadline, attempt.lease_until, attempt.armed_at) == (
        armed.send_deadline,
        armed.lease_until,
        now,
    )
    assert attempt.pre_read == {"left": 10_000}
    assert not world.plan.movements and world.of(payment).held == 3_000
    assert world.events_of(refund)[-1] == "refund.sending"


def test_each_attempt_has_a_generation_and_a_mark_of_its_own():
    world, _, refund = ready()
    marks = list[str | None]()
    for _ in range(3):
        marks.append(world.send(refund).mark)
        world.see(refund, E.SEND_FAILED)
    assert len(set(marks)) == 3 and world.refunds[refund.id].generation == 3
    assert [each.outcome for each in world.attempts.values()] == ["not_sent"] * 3
    assert [each.mark for each in world.attempts.values()] == marks


def test_a_refund_that_moved_on_since_it_was_read_is_not_armed():
    """Two processes that both read "ready": the version lets only one of them send."""
    world, _, refund = ready()
    stale = world.refunds[refund.id].version
    world.send(refund)
    world.see(refund, E.NOT_TAKEN)
    world.fence(refund)
    assert world.state(refund) is S.READY
    assert reasons(world.arm(refund, version=stale)) == FORBIDDEN
    assert world.arm(refund).refund.state is S.SENDING


@pytest.mark.parametrize("state", [state for state in State if state in HOLDING and state is not S.READY])
def test_only_a_ready_refund_is_armed(state: State):
    world = World(fenced=False)
    refund = world.stand(world.pay(), state)
    assert reasons(world.arm(refund)) == FORBIDDEN
    assert world.refunds[refund.id] == refund and not world.attempts


# --- blocked by a contradiction


@pytest.mark.parametrize("blocked", [{"open_cases": 1}, {"excess_case": True}, {"rail_gap": 3}])
def test_nothing_is_sent_while_a_contradiction_waits(blocked: dict[str, Any]):
    world, payment, refund = ready()
    open_payment = world.payments[payment.id]
    world.payments[payment.id] = replace(open_payment, **blocked)
    assert reasons(decided := world.arm(refund)) == FORBIDDEN and decided.first.figures["blocked"] is True
    assert reasons(world.fence(refund)) == FORBIDDEN
    world.payments[payment.id] = open_payment
    assert world.arm(refund).refund.state is S.SENDING


def test_a_closed_case_lets_the_send_go_on():
    world, payment, refund = ready()
    done = world.stand(payment, S.SUCCEEDED, payer=100, provider_id="a")
    world.see(done, E.EXECUTED, provider_id="b")
    assert reasons(world.arm(refund)) == FORBIDDEN
    world.close(payment)
    assert world.arm(refund).refund.state is S.SENDING


# --- the decision taken again


@pytest.mark.parametrize(
    ("facts", "can", "failure"),
    [
        ({"condition": Condition.FAILED}, ANYTHING, "payment_failed"),
        ({"amount_known": False}, ANYTHING, "amount_unknown"),
        ({"disputed": 1}, Capabilities(blocked_by_dispute=True), "payment_disputed"),
        ({}, Capabilities(closes_after=timedelta(seconds=0)), "window_closed"),
        ({}, Capabilities(partial=False), "partial_unsupported"),
        ({"disputed": 7_001}, ANYTHING, "exceeds_refundable"),
        ({"captured": 2_999}, ANYTHING, "exceeds_refundable"),
        ({"captured": 2_999, "excess": 1}, ANYTHING, "exceeds_refundable"),
    ],
)
@pytest.mark.parametrize("side", ["dialect", "rail"])
def test_a_refund_that_could_no_longer_be_promised_is_blocked(
    facts: dict[str, Any], can: Capabilities, failure: str, side: str
):
    world = World(**{side: lambda _payment: can})
    payment = world.pay()
    refund = world.stand(payment, S.READY)
    fenced = replace(world.of(payment), fence=refund.id)
    arm = Arm(
        merchant=payment.merchant,
        refund=refund.id,
        payment=payment.id,
        version=1,
        terms=world.terms_of,
        evidence=world.new_id(),
    )
    changed = replace(fenced, **facts)
    given = Facts(
        payments={payment.id: changed}, refunds={refund.id: refund}, children={payment.id: world.children(payment.id)}
    )
    plan = decide(arm, given, world.now)
    assert isinstance(plan, Plan) and isinstance(plan.result, Moved)
    assert (plan.result.refund.state, plan.result.refund.failure) == (S.FAILED, failure)
    assert [each.kind for each in plan.movements][:1] == [Kind.VOID] and not plan.attempts
    assert plan.result.payment.held == 0 and plan.result.payment.fence is None
    assert [each.event for each in plan.evidence] == ["blocked"]
    assert failure in plan.evidence[0].data["reasons"]


def test_what_admission_let_in_is_not_blocked_by_its_own_hold_or_by_waiting_rules():
    """The whole amount, one at a time, below a minimum or before an opening that moved since: a promise was made."""
    world = World(dialect=lambda _: Capabilities(one_at_a_time=True, partial=False))
    payment = world.pay(fees=1_000)
    refund = world.admit(payment)
    later = Capabilities(minimum=99_999, one_at_a_time=True, opens_after=timedelta(days=1))
    world.terms = replace(world.terms, rail=lambda _: later)
    assert world.arm(refund).refund.state is S.SENDING


@pytest.mark.parametrize(("left", "state"), [(10_000, S.SENDING), (9_999, S.NEEDS_REVIEW), (10_001, S.NEEDS_REVIEW)])
def test_a_provider_that_shows_another_remainder_has_drifted(left: int, state: State):
    world, payment, refund = ready()
    armed = world.arm(refund, provider_left=left, evidence=world.new_id())
    assert armed.refund.state is state
    if state is S.NEEDS_REVIEW:
        assert armed.refund.human_since == world.now.business and not world.plan.attempts
        assert world.evidence[-1].data["provider_left"] == left
        assert world.of(payment).held == 3_000 and world.of(payment).fence is None


def test_the_expected_remainder_knows_what_was_given_back_but_not_what_is_only_held():
    world = World()
    payment = world.pay()
    world.stand(payment, S.SUCCEEDED, payer=1_000)
    world.sight(payment, "external", 500)
    refund = world.stand(payment, S.READY, payer=2_000)
    world.stand(payment, S.SCHEDULED, payer=100)
    assert isinstance(world.fence(refund), Moved)
    assert world.arm(refund, provider_left=8_500).refund.state is S.SENDING


def test_more_facts_are_asked_for_only_where_they_are_needed():
    world = World()
    payment = world.pay(captured=1_000)
    refund = world.stand(payment, S.READY, payer=1_000)
    world.fence(refund)
    asked = [world.widened]
    world.sight(payment, "external", 400)  # excess
    world.resolve(refund, executed=False)  # reviewed, ready again
    asked.append(world.widened)
    world.close(payment)
    world.fence(refund)
    assert world.arm(refund).refund.state is S.FAILED  # its end lets the excess fall, and with it the case
    assert [*asked, world.widened] == [False, False, True] and world.of(payment).excess == 0


def test_a_mark_is_made_of_the_refund_and_the_generation_alone():
    refund = a_refund(a_payment())
    assert mark_of(refund, 1) == mark_of(replace(refund, version=9, state=S.FAILED), 1) != mark_of(refund, 2)


# --- a rail that cannot be used


def test_what_waits_behind_an_unusable_rail_becomes_a_persons_and_stays_ready():
    world = World()
    payment = world.pay()
    refund = world.admit(payment, 3_000)
    after = timedelta(minutes=10)
    named: dict[str, Any] = {"merchant": refund.merchant, "refund": refund.id, "payment": payment.id}
    world.wait(seconds=599)
    assert world.do(HandOver(**named, after=after)).refund == refund
    world.wait(seconds=1)
    waiting = world.do(HandOver(**named, after=after)).refund
    assert (waiting.state, waiting.human_since, waiting.version) == (State.READY, world.now.business, refund.version)
    assert not world.plan.events and not world.plan.evidence
    world.wait(hours=1)
    assert world.do(HandOver(**named, after=after)).refund == waiting
    assert world.empty_handed()
    armed = world.send(refund)
    assert armed.human_since is None
    assert world.do(HandOver(**named, after=after)).refund == armed, "it is not ready any more"


def test_who_finds_the_fence_taken_lets_the_refund_go():
    world = World()
    payment = world.pay()
    first, second = world.admit(payment, 1_000), world.admit(payment, 1_000)
    world.send(first)
    world.refunds[second.id] = replace(second, claimed_until=world.now.real)
    assert reasons(world.fence(second)) == [Reason.STATE_FORBIDS]
    assert world.refunds[second.id].claimed_until is None
    assert reasons(world.fence(second)) == [Reason.STATE_FORBIDS]
    assert world.empty_handed(), "there is nothing more to let go"
