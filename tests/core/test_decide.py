"""One command, one plan: idempotency keys, registration, and how a batch builds on its own plans."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from moneyback.core.commands import (
    Admitted,
    Joined,
    Keyed,
    Moved,
    RegisterPayment,
    Replayed,
    RequestRefund,
    Result,
    SaveAnswer,
    Standing,
)
from moneyback.core.decide import decide
from moneyback.core.ledger import Account, Kind
from moneyback.core.payment import Asked, Condition, Payment
from moneyback.core.plan import Facts, MoreFacts, Plan, apply
from moneyback.core.refund import ENDED, Event, Refund, State
from moneyback.core.refusals import NATIVE_PRECEDENCE, Failing, Reason, Refusal, in_precedence, refuse
from tests.core.worlds import MERCHANT, START, STRANGER, World, a_payment, a_refund, reasons

E, S = Event, State


def render(result: Result) -> tuple[int, bytes] | None:
    """An answer as soon as it is final: a refund's state, or a refusal's first reason."""
    match result:
        case Refusal():
            return 422, result.first.reason.value.encode()
        case Admitted(refund) | Moved(refund) | Joined(refund):
            return (201, refund.state.value.encode()) if refund.state in ENDED else None
        case Replayed():
            raise AssertionError("a replay is not written again")
        case _:
            return 200, b"ok"


def keyed(key: str = "k1", body: bytes = b"body") -> Keyed:
    return Keyed("native", key, body, timedelta(seconds=15), render)


# --- keys


def test_a_key_is_written_with_what_was_decided_under_it():
    world = World()
    payment = world.pay()
    world.now = replace(world.now, real=START + timedelta(minutes=7))
    refund = world.admit(payment, 500, key=keyed())
    (row,) = world.plan.answers
    assert (row.merchant, row.dialect, row.key, row.fingerprint) == (MERCHANT, "native", "k1", b"body")
    assert (row.refund, row.status, row.answer) == (refund.id, None, None)
    assert row.answer_due == world.now.real + timedelta(seconds=15) and row.created_at == START


def test_the_same_request_again_is_replayed_and_nothing_is_decided():
    world = World()
    payment = world.pay()
    refund = world.admit(payment, 500, key=keyed())
    before = world.of(payment)
    result = world.ask(payment, 500, key=keyed())
    assert isinstance(result, Replayed) and result.key.refund == refund.id
    assert world.plan == Plan(result=result)
    assert world.of(payment) == before and len(world.refunds) == 1


def test_another_request_under_the_same_key_is_refused_and_the_key_stays():
    world = World()
    payment = world.pay()
    world.admit(payment, 500, key=keyed())
    rows = dict(world.keys)
    refusal = world.ask(payment, 501, key=keyed(body=b"other"))
    assert reasons(refusal) == [Reason.KEY_REUSED] and refusal.first.figures == {"key": "k1"}
    assert world.keys == rows and len(world.refunds) == 1


def test_a_key_belongs_to_its_merchant_and_its_dialect():
    world = World()
    payment = world.pay()
    world.admit(payment, 1, key=keyed())
    theirs = world.pay(merchant=STRANGER, account="theirs")
    world.admit(theirs, 1, key=keyed())
    world.admit(payment, 1, key=replace(keyed(), dialect="mangopay"))
    assert len(world.refunds) == 3 == len(world.keys)


def test_a_refusal_is_kept_under_its_key_and_replayed_as_it_was():
    world = World()
    payment = world.pay()
    result = world.ask(payment, 10_001, key=keyed())
    assert reasons(result) == [Reason.EXCEEDS_REFUNDABLE]
    (row,) = world.plan.answers
    assert (row.refund, row.status, row.answer) == (None, 422, b"exceeds_refundable")
    assert world.ask(payment, 10_001, key=keyed()).key == row


def test_the_answer_is_written_with_the_commit_that_ends_the_wait():
    world = World()
    payment = world.pay()
    refund = world.admit(payment, 500, key=keyed())
    admitted = next(iter(world.keys.values()))
    world.send(refund)
    world.wait(seconds=3)
    world.do(world.observe(refund, world.seen(refund, E.ACCEPTED), key=keyed()))
    assert not world.plan.answers  # not ended: nothing is written, and its owner's time is not drawn out
    world.do(world.observe(refund, world.seen(refund, E.EXECUTED), key=keyed()))
    assert world.plan.answers == (replace(admitted, status=201, answer=b"succeeded"),)


def test_an_answer_once_given_stays_as_it_was_given():
    """Somebody answered for a request whose owner seemed dead; the end that comes later changes only the refund."""
    world = World()
    payment = world.pay()
    refund = world.admit(payment, 500, key=keyed())
    world.send(refund)
    given = {place: replace(row, status=202, answer=b"given") for place, row in world.keys.items()}
    world.keys = dict(given)
    assert world.do(world.observe(refund, world.seen(refund, E.EXECUTED), key=keyed())).refund.state is S.SUCCEEDED
    assert world.keys == given and not world.plan.answers


def test_an_answer_belongs_to_a_key_even_when_its_row_was_not_read():
    world = World()
    payment = world.pay()
    refund = world.stand(payment, S.SENDING)
    world.do(world.observe(refund, world.seen(refund, E.LOST), key=keyed()))
    assert not world.plan.answers
    world.do(world.observe(refund, world.seen(refund, E.EXECUTED), key=keyed()))
    assert [(each.status, each.answer, each.refund) for each in world.plan.answers] == [(201, b"succeeded", refund.id)]


def test_persons_commands_have_keys_too():
    world = World()
    refund = world.admit(world.pay(), 500)
    assert world.nudge(refund, E.WITHDRAWN, key=keyed()).refund.state is S.CANCELED
    assert isinstance(world.nudge(refund, E.WITHDRAWN, key=keyed()), Replayed)
    doubtful = world.stand(world.pay(), S.UNKNOWN)
    assert world.resolve(doubtful, executed=True, key=keyed("k2")).refund.state is S.SUCCEEDED
    assert isinstance(world.resolve(doubtful, executed=True, key=keyed("k2")), Replayed)


def test_no_key_is_written_before_the_facts_are_there():
    world = World(intervals=True)
    payment = world.pay()
    command = RequestRefund(
        merchant=MERCHANT,
        id=world.new_id(),
        payment=payment.id,
        dialect="native",
        dialect_id="r1",
        terms=world.terms_of,
        key=keyed(),
    )
    assert decide(command, world.facts(command.footprint), world.now) == MoreFacts((payment.id,))


def test_a_joined_request_names_the_refund_it_joined():
    world = World(join_within=timedelta(seconds=120))
    payment = world.pay()
    first = world.admit(payment, 5, equality=b"same")
    world.ask(payment, 5, equality=b"same", key=keyed())
    assert [each.refund for each in world.plan.answers] == [first.id]


def test_saving_an_answer_is_not_decided():
    save = SaveAnswer(merchant=MERCHANT, dialect="native", idempotency_key="k", status=200, answer=b"")
    with pytest.raises(AssertionError):
        decide(save, Facts(), World().now)


# --- a batch: each command sees what the one before it left


def test_two_equal_keys_in_one_batch_are_one_refund():
    world = World()
    payment = world.pay()
    facts = Facts(payments={payment.id: payment})
    commands = [
        RequestRefund(
            merchant=MERCHANT,
            id=world.new_id(),
            payment=payment.id,
            dialect="native",
            dialect_id=f"r{number}",
            terms=world.terms_of,
            key=keyed(),
        )
        for number in range(2)
    ]
    plans = list[Any]()
    for command in commands:
        plans.append(decide(command, facts, world.now))
        apply(plans[-1], facts)
    assert [type(each.result) for each in plans] == [Admitted, Replayed]
    assert plans[1].result.key.refund == commands[0].id and len(facts.refunds) == 1


def test_a_batch_never_promises_together_what_one_payment_cannot_give():
    world = World()
    payment = world.pay()
    facts = Facts(payments={payment.id: payment})
    results = list[Any]()
    for number in range(5):
        command = RequestRefund(
            merchant=MERCHANT,
            id=world.new_id(),
            payment=payment.id,
            dialect="native",
            dialect_id=f"r{number}",
            terms=world.terms_of,
            asked=Asked(payer=3_000),
        )
        decision = decide(command, facts, world.now)
        results.append(type(decision))
        if isinstance(decision, Plan):
            apply(decision, facts)
    assert results == [Plan, Plan, Plan, Refusal, Refusal]
    assert facts.payments[payment.id].held == 9_000


def test_applied_plans_reach_every_fact_that_was_read():
    world = World()
    payment = world.pay(wallet="w")
    refund = world.stand(payment, S.SUCCEEDED, provider_id="a", equality=b"same")
    command = world.observe(refund, world.seen(refund, E.EXECUTED, provider_id="b", amount=9_000))
    facts = world.facts(replace(command.footprint, children=True, equalities=((payment.id, b"same"),)))
    facts.accounts[(MERCHANT, "wallet/w", "EUR")] = Account(MERCHANT, "wallet/w", "EUR", 50_000)
    plan = decide(command, facts, world.now)
    assert isinstance(plan, Plan)
    apply(plan, facts)
    children = facts.children[payment.id]
    assert facts.payments[payment.id].external == 9_000 and facts.payments[payment.id].excess == 2_000
    assert facts.references[(MERCHANT, "acct", "ref1")] == facts.payments[payment.id]
    assert facts.refunds[refund.id] == children.refunds[refund.id] == facts.equals[(payment.id, b"same")]
    assert set(children.externals) == {"b"} and len(children.cases) == 2
    assert facts.accounts[(MERCHANT, "wallet/w", "EUR")].balance == 50_000 - 9_000 + 2_000
    assert world.children(payment.id).externals == {}  # only the facts changed
    again = decide(replace(command, observations=(replace(command.observations[0], digest="x"),)), facts, world.now)
    assert isinstance(again, Plan) and not again.externals


# --- registration


def register(world: World, payment: Payment, **said: Any) -> Any:
    return world.do(RegisterPayment(payment=payment, order_id=UUID(int=31), **said))


def test_a_payment_is_registered_with_its_capture():
    world = World()
    result = register(world, a_payment(fees=1_000))
    assert isinstance(result, Standing) and result.created and result.payment.version == 1
    assert [(each.kind, each.amount) for each in world.movements] == [(Kind.CAPTURE, 9_000), (Kind.CAPTURE, 1_000)]
    assert world.events_of(result.payment) == ["payment.registered"]


@pytest.mark.parametrize("condition", [Condition.PROCESSING, Condition.AUTHORIZED, Condition.FAILED])
def test_a_payment_that_was_not_captured_brings_no_money(condition: Condition):
    world = World()
    payment = register(world, a_payment(condition=condition)).payment
    assert (payment.captured, payment.refundable) == (0, 0) and not world.movements


def test_a_payment_registered_again_is_found_again():
    world = World()
    first = register(world, a_payment()).payment
    again = register(world, a_payment(id=UUID(int=101)))
    assert again == Standing(first) and not world.plan.payments and len(world.payments) == 1


@pytest.mark.parametrize("other", [{"currency": "USD"}, {"rail": "real"}, {"dialect": "mangopay"}])
def test_a_reference_that_is_taken_by_another_payment_is_refused(other: dict[str, str]):
    world = World()
    register(world, a_payment())
    assert reasons(register(world, a_payment(id=UUID(int=101), **other))) == [Reason.ALREADY_EXISTS]


@pytest.mark.parametrize(
    ("amount", "stated", "found"), [(9_999, True, False), (9_999, False, True), (10_000, True, True)]
)
def test_a_client_that_states_another_amount_means_another_payment(amount: int, stated: bool, found: bool):
    world = World()
    first = register(world, a_payment()).payment
    again = register(world, a_payment(id=UUID(int=101), captured=amount), stated=stated)
    assert again == Standing(first) if found else reasons(again) == [Reason.ALREADY_EXISTS]


@pytest.mark.parametrize(("amount", "found"), [(10_000, True), (6_000, True), (9_000, False)])
def test_a_payment_captured_in_part_is_found_again_by_either_amount(amount: int, found: bool):
    world = World()
    held = register(world, a_payment(condition=Condition.AUTHORIZED, authorized=10_000, captured=0)).payment
    world.sight(held, "captured", 6_000)
    again = register(world, a_payment(id=UUID(int=101), captured=amount), stated=True)
    assert again == Standing(world.of(held)) if found else reasons(again) == [Reason.ALREADY_EXISTS]


def test_earlier_refunds_come_in_as_external():
    world = World()
    payment = register(world, a_payment(), external=(("a", 2_000), ("b", 500))).payment
    assert (payment.external, payment.wallet_used, payment.refundable, payment.excess) == (2_500, 2_500, 7_500, 0)
    world.sight(payment, "external", 2_000, "a")
    assert world.of(payment).external == 2_500
    world.sight(payment, "external_undone", 0, "b")
    assert world.of(payment).external == 2_000


def test_a_payment_imported_with_more_refunds_than_capture_waits_for_a_person():
    world = World()
    payment = register(world, a_payment(), external=(("a", 10_007),)).payment
    assert (payment.excess, payment.blocked, payment.version) == (7, True, 1)
    assert world.open_cases(payment) == ["excess"]
    world.sight(payment, "external_undone", 0, "a")
    assert not world.of(payment).blocked and world.open_cases(payment) == []


def test_a_payment_without_an_id_gets_the_next_number():
    world = World()
    asked = RegisterPayment(payment=a_payment(dialect_id="", reference=""), sequence="s")
    plan = decide(asked, Facts(), world.now, number=1_000_000_001)
    assert isinstance(plan, Plan) and isinstance(plan.result, Standing)
    payment = plan.result.payment
    assert (payment.dialect_id, payment.reference) == ("1000000001", "native-1000000001")
    given = decide(replace(asked, payment=a_payment(dialect_id="")), Facts(), world.now, number=1_000_000_002)
    assert isinstance(given, Plan) and given.payments[0].reference == "ref1"  # the provider's own is kept


def test_payments_of_one_order_are_gathered_in_it():
    world = World()
    first = world.pay(order="o1")
    second = world.pay(order="o1")
    world.pay(order="o2")
    orders = {each.reference: each for each in world.orders.values()}
    assert orders["o1"].payments == (first.id, second.id) and orders["o1"].version == 2
    assert len(orders["o2"].payments) == 1


# --- refusals


def test_a_refusal_is_in_precedence_and_unknown_reasons_come_last():
    failing = [Failing(Reason.INSUFFICIENT_FUNDS), Failing(Reason.WINDOW_CLOSED), Failing(Reason.CURRENCY_MISMATCH)]
    native = in_precedence(failing)
    assert native is not None and reasons(native) == [
        Reason.CURRENCY_MISMATCH,
        Reason.WINDOW_CLOSED,
        Reason.INSUFFICIENT_FUNDS,
    ]
    mine = in_precedence(failing, (Reason.WINDOW_CLOSED,))
    assert mine is not None and reasons(mine) == [
        Reason.WINDOW_CLOSED,
        Reason.INSUFFICIENT_FUNDS,
        Reason.CURRENCY_MISMATCH,
    ]
    assert in_precedence([]) is None


def test_the_native_order_is_shape_identity_existence_state_dispute_window_capability_amount_and_so_on():
    landmarks = [
        Reason.CURRENCY_MISMATCH,
        Reason.KEY_REUSED,
        Reason.PAYMENT_NOT_FOUND,
        Reason.PAYMENT_FAILED,
        Reason.PAYMENT_DISPUTED,
        Reason.WINDOW_CLOSED,
        Reason.KIND_UNSUPPORTED,
        Reason.AMOUNT_NOT_POSITIVE,
        Reason.EXCEEDS_PARTS,
        Reason.DESTINATION_NEEDED,
        Reason.POLICY_FORBIDS,
        Reason.INSUFFICIENT_FUNDS,
    ]
    assert sorted(landmarks, key=NATIVE_PRECEDENCE.index) == landmarks


def test_a_refusal_knows_its_reasons():
    refusal = refuse(Reason.NOTHING_LEFT, refundable=0)
    assert refusal.first == Failing(Reason.NOTHING_LEFT, {"refundable": 0})
    assert refusal.has(Reason.NOTHING_LEFT) and not refusal.has(Reason.BAD_REQUEST)


def test_rows_are_values():
    """What was decided on cannot be changed behind the decision's back."""
    row: Payment | Refund
    for row in (a_payment(), a_refund(a_payment())):
        with pytest.raises(AttributeError):
            row.version = 2  # type: ignore[misc]
