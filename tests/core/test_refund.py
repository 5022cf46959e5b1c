"""The table of moves says what a refund may do, cell by cell, and `decide` does exactly that.

`EXPECTED` is written by hand from the promises of a refund's life, not from the product's table: a cell that differs
is a mistake in one of the two.
"""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from moneyback.core.commands import Moved
from moneyback.core.observation import NUDGES, OBSERVED
from moneyback.core.refund import ENDED, HOLDING, TRANSITIONS, UNSENT, Event, Fork, Move, Rest, State
from moneyback.core.refusals import Reason, Refusal
from tests.core.worlds import START, STRANGER, World, in_states, reasons

E, S = Event, State

LEADS_TO = {
    "awaiting_approval": "ready scheduled canceled needs_review",
    "scheduled": "ready canceled needs_review",
    "ready": "sending requires_action canceled failed needs_review",
    "sending": "pending requires_action succeeded failed unknown ready",
    "pending": "succeeded failed requires_action canceled needs_review",
    "requires_action": "ready pending succeeded canceled failed unknown needs_review",
    "unknown": "succeeded pending failed needs_review ready",
    "needs_review": "ready pending requires_action succeeded failed canceled",
    "succeeded": "returned",
    "returned": "",
    "failed": "needs_review",  # by evidence of execution alone
    "canceled": "needs_review",
}

# What is not named here is ignored: kept as evidence, changes nothing.
CONTRADICTED = dict.fromkeys(
    ["accepted", "action_needed", "executed", "refused", "provider_canceled", "came_back", "person_executed"], "review"
)
EXPECTED: dict[str, dict[str, str]] = {
    "awaiting_approval": {
        **CONTRADICTED,
        "approved": "ready, or scheduled",
        "rejected": "canceled",
        "withdrawn": "canceled",
        "drifted": "needs_review",
    },
    "scheduled": {**CONTRADICTED, "due": "ready", "withdrawn": "canceled", "drifted": "needs_review"},
    "ready": {
        **CONTRADICTED,
        "armed": "sending",
        "blocked": "failed",
        "withdrawn": "canceled",
        "action_needed": "requires_action",
        "drifted": "needs_review",
    },
    "sending": {
        "send_failed": "ready",
        "not_taken": "ready",
        "accepted": "pending",
        "action_needed": "requires_action",
        "executed": "succeeded",
        "person_executed": "succeeded",
        "refused": "failed",
        "provider_canceled": "failed",
        "lost": "unknown",
        "came_back": "review",
    },
    "pending": {
        "executed": "succeeded",
        "person_executed": "succeeded",
        "action_needed": "requires_action",
        "refused": "failed",
        "provider_canceled": "canceled",
        "person_not_sent": "review",
        "came_back": "review",
    },
    "requires_action": {
        "action_supplied": "pending, or ready",
        "accepted": "pending",
        "executed": "succeeded",
        "person_executed": "succeeded",
        "refused": "failed",
        "provider_canceled": "canceled",
        "lost": "unknown",
        "came_back": "review",
    },
    "unknown": {
        "accepted": "pending",
        "action_needed": "pending",
        "executed": "succeeded",
        "person_executed": "succeeded",
        "refused": "failed",
        "provider_canceled": "failed",
        "key_unknown": "ready",
        "person_not_sent": "ready",
        "came_back": "review",
    },
    "needs_review": {
        "accepted": "pending",
        "action_needed": "requires_action",
        "executed": "succeeded",
        "person_executed": "succeeded",
        "refused": "failed",
        "provider_canceled": "canceled",
        "person_not_sent": "ready, or failed",
        "withdrawn": "canceled, or ignore",
    },
    "succeeded": {
        "came_back": "returned",
        "refused": "returned",
        "provider_canceled": "returned",
        "executed": "case",
    },
    "returned": {"executed": "case", "person_executed": "case"},
    "failed": {
        "executed": "review",
        "person_executed": "review",
        "accepted": "case",
        "action_needed": "case",
        "came_back": "case",
    },
    "canceled": {
        "executed": "review",
        "person_executed": "review",
        "accepted": "case",
        "action_needed": "case",
        "came_back": "case",
    },
}

CELLS = [(state, event) for state in State for event in Event]


def named(cell: tuple[State, Event]) -> str:
    return f"{cell[0].value}-{cell[1].value}"


def expected(state: State, event: Event) -> str:
    return EXPECTED[state.value].get(event.value, "ignore")


# --- the table itself


def test_every_state_has_a_row_and_every_row_a_cell_for_every_event():
    assert set(TRANSITIONS) == set(State)
    assert all(set(row) == set(Event) for row in TRANSITIONS.values())
    assert set(EXPECTED) == set(LEADS_TO) == {state.value for state in State}


@pytest.mark.parametrize(("state", "event"), CELLS, ids=map(named, CELLS))
def test_the_table_says_what_was_promised(state: State, event: Event):
    said = {
        Rest.IGNORE: "ignore",
        Rest.REVIEW: "review",
        Rest.CASE: "case",
    }
    match TRANSITIONS[state][event]:
        case Rest() as rest:
            assert said[rest] == expected(state, event)
        case Move(to):
            assert to.value == expected(state, event)
        case Fork(to, _, otherwise):
            assert f"{to.value}, or {otherwise.value}" == expected(state, event)


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_a_state_leads_only_where_it_may(state: State):
    reached = set[str]()
    for cell in TRANSITIONS[state].values():
        match cell:
            case Move(to):
                reached.add(to.value)
            case Fork(to, _, otherwise):
                reached |= {each.value for each in (to, otherwise) if isinstance(each, State)}
            case Rest.REVIEW:
                reached.add("needs_review")
    contradictions = {"needs_review"} if state in (S.SENDING, S.PENDING, S.REQUIRES_ACTION, S.UNKNOWN) else set()
    assert reached - contradictions == set(LEADS_TO[state.value].split()) - contradictions


def test_only_proof_leads_back_to_ready():
    back = {
        (state.value, event.value)
        for state, event in CELLS
        if state not in UNSENT and S.READY in _goals(TRANSITIONS[state][event])
    }
    assert back == {
        ("sending", "send_failed"),
        ("sending", "not_taken"),
        ("unknown", "key_unknown"),
        ("unknown", "person_not_sent"),
        ("needs_review", "person_not_sent"),
        ("requires_action", "action_supplied"),
    }


def _goals(cell: Any) -> tuple[State, ...]:
    match cell:
        case Move(to):
            return (to,)
        case Fork(to, _, otherwise):
            return (to, otherwise) if isinstance(otherwise, State) else (to,)
        case _:
            return ()


@in_states(HOLDING - UNSENT)
def test_execution_is_believed_wherever_a_provider_may_have_acted(state: State):
    assert expected(state, E.EXECUTED) == "succeeded"


@in_states([*UNSENT, S.FAILED, S.CANCELED])
def test_execution_of_what_should_not_have_been_sent_is_looked_at(state: State):
    assert expected(state, E.EXECUTED) == "review"


def test_silence_never_fails_a_refund():
    for state in State:
        assert expected(state, E.LOST) in ("ignore", "unknown")
        assert expected(state, E.KEY_UNKNOWN) in ("ignore", "ready")


def test_every_event_has_a_command_that_brings_it():
    by_arming, by_persons = {E.ARMED}, {E.PERSON_NOT_SENT, E.PERSON_EXECUTED}
    assert set(Event) == NUDGES | OBSERVED | by_arming | by_persons
    assert not (NUDGES | OBSERVED) & (by_arming | by_persons)


# --- every cell, executed


def bring(world: World, refund: Any, event: Event) -> Any:
    """The event through the command that brings it."""
    if event is E.ARMED:
        return world.arm(refund)
    if event in (E.PERSON_EXECUTED, E.PERSON_NOT_SENT):
        return world.resolve(refund, executed=event is E.PERSON_EXECUTED)
    if event in NUDGES:
        return world.nudge(refund, event)
    # Another execution than the one that is known: the known one told again changes nothing.
    return world.see(refund, event, provider_id="other" if event is E.EXECUTED else None)


@pytest.mark.parametrize(("state", "event"), CELLS, ids=map(named, CELLS))
def test_every_cell_is_executed(state: State, event: Event):
    world = World()
    payment = world.pay()
    refund = world.stand(payment, state, provider_id="first" if state in ENDED else None)
    if state is S.READY:
        assert isinstance(world.fence(refund), Moved)
    world.wait(hours=1)
    moved_before, events_before = len(world.movements), len(world.events)
    result = bring(world, refund, event)
    after = world.refunds[refund.id]
    outcome = expected(state, event)
    if event in (E.PERSON_EXECUTED, E.PERSON_NOT_SENT) and state not in (S.UNKNOWN, S.NEEDS_REVIEW):
        assert reasons(result) == [Reason.STATE_FORBIDS]
        outcome = "nothing"
    elif event is E.WITHDRAWN and state is S.NEEDS_REVIEW:
        outcome = "ignore"  # it was armed
    elif event is E.CAME_BACK and refund.generation and state in HOLDING:
        outcome = "returned"  # it was executed, then it came back
    elif event is E.ACTION_SUPPLIED and state is S.REQUIRES_ACTION:
        outcome = "ready"  # the provider gave it no reference
    else:
        outcome = outcome.partition(",")[0]
    match outcome:
        case "nothing":
            assert after == refund and not world.plan.evidence
        case "ignore":
            assert after.state is state and after.version == refund.version
            assert len(world.movements) == moved_before and len(world.events) == events_before
            if event in NUDGES or event is E.ARMED:
                assert reasons(result) == [Reason.STATE_FORBIDS]
            else:
                assert [each.event for each in world.plan.evidence] == [event.value]
        case "review":
            assert after.state is S.NEEDS_REVIEW and after.human_since == world.now.business
            assert after.held_by_review is (state in ENDED)
        case "case":
            assert after.state is state and after.version == refund.version
            assert len(world.open_cases(payment)) == 1
        case _:
            assert after.state.value == outcome
            assert isinstance(result, Moved) and result.changed and result.refund == after


@pytest.mark.parametrize("event", Event, ids=lambda event: event.value)
def test_nobody_brings_an_event_by_another_command_than_its_own(event: Event):
    world = World()
    refund = world.stand(world.pay(), S.READY)
    if event not in OBSERVED:
        with pytest.raises(AssertionError):
            world.see(refund, event)
    if event not in NUDGES:
        with pytest.raises(AssertionError):
            world.nudge(refund, event)
    assert world.refunds[refund.id] == refund


# --- the cells that depend on the refund


def test_approval_makes_a_dated_refund_scheduled():
    world = World()
    payment = world.pay()
    dated = world.stand(payment, S.AWAITING_APPROVAL, due_at=START + timedelta(days=1))
    late = world.stand(payment, S.AWAITING_APPROVAL, due_at=START)
    assert world.nudge(dated, E.APPROVED).refund.state is S.SCHEDULED
    assert world.nudge(late, E.APPROVED).refund.state is S.READY
    assert world.refunds[dated.id].approved_by == "ann"


def test_what_was_supplied_to_a_refund_the_provider_knows_makes_it_pending():
    world = World()
    refund = world.stand(world.pay(), S.REQUIRES_ACTION, provider_id="pr1")
    assert world.nudge(refund, E.ACTION_SUPPLIED, destination="iban").refund.state is S.PENDING
    assert world.refunds[refund.id].destination == "iban"


def test_a_refund_that_had_ended_is_not_sent_anew_when_its_evidence_proves_wrong():
    """A withdrawn refund that seemed executed goes back to its end: sending it would give what was called off."""
    world = World()
    payment = world.pay()
    refund = world.stand(payment, S.READY)
    world.nudge(refund, E.WITHDRAWN)
    world.see(refund, E.EXECUTED)
    assert world.state(refund) is S.NEEDS_REVIEW and world.of(payment).held == refund.payer
    world.wait(hours=1)
    after = world.resolve(refund, executed=False).refund
    assert after.state is S.FAILED and after.failure == "withdrawn" and not after.held_by_review
    assert world.of(payment).held == 0


def test_coming_back_without_ever_being_armed_is_only_a_contradiction():
    world = World()
    payment = world.pay()
    for state in UNSENT:
        refund = world.stand(payment, state, payer=100)
        assert world.see(refund, E.CAME_BACK).refund.state is S.NEEDS_REVIEW
    pending = world.stand(payment, S.PENDING, generation=0, payer=100)
    assert world.see(pending, E.CAME_BACK).refund.state is S.NEEDS_REVIEW
    assert world.see(pending, E.CAME_BACK).refund.state is S.NEEDS_REVIEW  # and there it is ignored


# --- what states are


def test_states_divide_into_holding_and_ended():
    assert set(State) == HOLDING | ENDED and not HOLDING & ENDED
    assert UNSENT < HOLDING


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_a_refund_knows_whether_it_ended(state: State):
    world = World()
    assert world.stand(world.pay(), state).ended is (state in ENDED)


def test_a_stranger_finds_no_refund():
    world = World()
    refund = world.stand(world.pay(), S.UNKNOWN)
    stranger = replace(refund, merchant=STRANGER)
    for result in (
        world.see(stranger, E.EXECUTED),
        world.arm(stranger),
        world.fence(stranger),
        world.expire(stranger),
        world.nudge(stranger, E.WITHDRAWN),
        world.resolve(stranger, executed=True),
    ):
        assert isinstance(result, Refusal) and result.has(Reason.REFUND_NOT_FOUND)
    assert world.refunds[refund.id] == refund
