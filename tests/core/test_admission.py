"""Admission never promises more than came in, says every reason why not, and leaves no trace when it says no."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from moneyback.core.admission import refundability
from moneyback.core.commands import Admitted, Grouped, Joined, RequestOrderRefund, RequestRefund, Terms
from moneyback.core.decide import decide
from moneyback.core.ledger import Account, Kind
from moneyback.core.payment import Amounts, Asked, Capabilities, Condition, Parts, Payment
from moneyback.core.plan import Facts, MoreFacts, Plan, apply
from moneyback.core.refund import Event, State
from moneyback.core.refusals import NATIVE_PRECEDENCE, Failing, Reason, Refusal
from tests.core.worlds import MERCHANT, START, STRANGER, World, a_payment, reasons

E, S = Event, State


def limited(**can: Any) -> Any:
    capabilities = Capabilities(**can)
    return lambda _payment: capabilities


# --- what an admission writes


def test_an_admission_holds_the_money_takes_the_fence_and_writes_one_event():
    world = World()
    payment = world.pay(fees=1_000)
    said = {
        "reason": "broken",
        "reference": "o-1",
        "requested_by": "ann",
        "metadata": {"a": 1},
        "request": {"Tag": "t"},
    }
    refund = world.admit(payment, 5_000, currency="EUR", destination="iban", **said)
    assert (refund.state, refund.version, refund.generation) == (S.READY, 1, 0)
    assert (refund.payer, refund.wallet, refund.fee_return) == (5_000, 4_500, 500)
    assert {name: getattr(refund, name) for name in said} == said and refund.destination == "iban"
    now = world.of(payment)
    assert (now.held, now.wallet_used, now.fee_used, now.refundable) == (5_000, 4_500, 500, 5_000)
    assert now.fence == refund.id and now.version == payment.version + 1
    assert [each.kind for each in world.plan.movements] == [Kind.HOLD, Kind.HOLD]
    assert [(each.type, each.sequence, each.data["state"]) for each in world.plan.events] == [
        ("refund.created", 1, "ready")
    ]
    assert not world.plan.attempts and not world.plan.evidence


def test_a_refusal_writes_nothing():
    world = World()
    payment = world.pay()
    assert isinstance(world.ask(payment, 10_001), Refusal)
    assert world.of(payment) == payment and not world.refunds


def test_an_unknown_payment_and_a_strangers_are_the_same():
    world = World()
    payment = world.pay()
    for other in (replace(payment, merchant=STRANGER), replace(payment, id=UUID(int=9))):
        assert reasons(world.ask(other, 1)) == [Reason.PAYMENT_NOT_FOUND]


@given(st.lists(st.one_of(st.none(), st.integers(-5, 400)), max_size=12), st.integers(0, 200))
@settings(deadline=None, max_examples=50)
def test_no_row_of_requests_is_promised_more_than_came_in(wanted: list[int | None], fees: int):
    world = World()
    payment = world.pay(captured=1_000, fees=fees)
    for amount in wanted:
        world.ask(payment, amount)
    assert sum(each.payer for each in world.refunds.values()) == world.of(payment).held <= 1_000


# --- the reasons and their order


EVERYTHING_WRONG: dict[str, Any] = {
    "asked": Asked(wallet=20_000, fee=2_000),
    "currency": "USD",
    "expected_refundable": 1,
    "parts": Parts(tax=500),
}


def hopeless(**terms: Any) -> tuple[World, Payment]:
    """A payment and terms against which nearly everything can be said at once."""
    can = Capabilities(
        full=False,
        partial=False,
        opens_after=timedelta(days=3),
        closes_after=timedelta(days=1),
        minimum=99_999,
        one_at_a_time=True,
        destination_needed=True,
        fees_returnable=False,
        blocked_by_dispute=True,
        equal_amount_interval=timedelta(days=9),
    )
    world = World(
        dialect=lambda _: can,
        intervals=True,
        wallets_limited=True,
        check=lambda *_: [Failing(Reason.POLICY_FORBIDS)],
        **terms,
    )
    payment = world.pay(fees=1_000, wallet="w", parts=Parts(tax=400))
    world.payments[payment.id] = replace(world.of(payment), condition=Condition.AUTHORIZED)
    world.accounts[(MERCHANT, "wallet/w", "EUR")] = Account(MERCHANT, "wallet/w", "EUR", 10)
    world.stand(payment, S.READY, payer=1_000)
    world.stand(payment, S.SUCCEEDED, payer=9_000, wallet=20_000, fee_return=-11_000)
    world.sight(payment, "dispute_open", 1, "d1")
    world.wait(days=2)
    return world, payment


def test_hopeless_is_what_it_says():
    world, payment = hopeless()
    assert world.of(payment).held and world.of(payment).disputed and not world.of(payment).refundable


ALL_OF_IT = [
    Reason.CURRENCY_MISMATCH,
    Reason.PAYMENT_MOVED_ON,
    Reason.PAYMENT_NOT_CAPTURED,
    Reason.PAYMENT_DISPUTED,
    Reason.WINDOW_NOT_OPEN,
    Reason.WINDOW_CLOSED,
    Reason.KIND_UNSUPPORTED,
    Reason.PARTIAL_UNSUPPORTED,
    Reason.ONE_AT_A_TIME,
    Reason.EQUAL_AMOUNT_TOO_SOON,
    Reason.FEES_NOT_RETURNABLE,
    Reason.BELOW_MINIMUM,
    Reason.NOTHING_LEFT,
    Reason.EXCEEDS_REFUNDABLE,
    Reason.EXCEEDS_WALLET_SHARE,
    Reason.EXCEEDS_FEES,
    Reason.EXCEEDS_PARTS,
    Reason.DESTINATION_NEEDED,
    Reason.POLICY_FORBIDS,
    Reason.INSUFFICIENT_FUNDS,
]


def test_all_reasons_are_reported_together_in_the_native_order():
    world, payment = hopeless()
    refusal = world.ask(payment, **EVERYTHING_WRONG)
    assert reasons(refusal) == ALL_OF_IT
    assert sorted(ALL_OF_IT, key=NATIVE_PRECEDENCE.index) == ALL_OF_IT
    figures = {each.reason: each.figures for each in refusal.failing}
    assert figures[Reason.PAYMENT_MOVED_ON] == {"expected": 1, "refundable": 0}
    assert figures[Reason.EXCEEDS_REFUNDABLE] == {"amount": 22_000, "refundable": 0}
    assert figures[Reason.EXCEEDS_PARTS] == {"tax": 500}
    assert figures[Reason.INSUFFICIENT_FUNDS]["balance"] == 10


def test_a_dialect_reports_in_an_order_of_its_own():
    mine = (Reason.INSUFFICIENT_FUNDS, Reason.WINDOW_CLOSED, Reason.CURRENCY_MISMATCH)
    world, payment = hopeless(precedence=mine)
    found = reasons(world.ask(payment, **EVERYTHING_WRONG))
    assert found[:3] == list(mine) and set(found) == set(ALL_OF_IT)
    assert found[3:] == [each for each in found[3:] if each not in mine]


def test_dialect_and_rail_refusing_alike_is_one_reason():
    world = World(dialect=limited(minimum=50), rail=limited(minimum=70))
    payment = world.pay()
    for amount, minimum in ((40, 50), (60, 70)):
        refusal = world.ask(payment, amount)
        assert reasons(refusal) == [Reason.BELOW_MINIMUM] and refusal.first.figures["minimum"] == minimum
    assert world.admit(payment, 70).payer == 70


@pytest.mark.parametrize("side", ["dialect", "rail"])
@pytest.mark.parametrize(
    ("can", "payer", "reason"),
    [
        ({"full": False}, 10_000, Reason.FULL_UNSUPPORTED),
        ({"partial": False}, 1, Reason.PARTIAL_UNSUPPORTED),
        ({"minimum": 2}, 1, Reason.BELOW_MINIMUM),
        ({"closes_after": timedelta(0)}, 1, Reason.WINDOW_CLOSED),
        ({"opens_after": timedelta(1)}, 1, Reason.WINDOW_NOT_OPEN),
        ({"destination_needed": True}, 1, Reason.DESTINATION_NEEDED),
    ],
)
def test_both_the_dialects_and_the_rails_capabilities_bind(side: str, can: dict[str, Any], payer: int, reason: Reason):
    world = World(**{side: limited(**can)})
    assert reasons(world.ask(world.pay(), payer)) == [reason]


def test_a_destination_satisfies_the_need_for_one():
    world = World(dialect=limited(destination_needed=True))
    assert world.admit(world.pay(), 1, destination="iban").destination == "iban"


def test_the_callers_view_is_a_precondition():
    world = World()
    payment = world.pay()
    world.admit(payment, 4_000, expected_refundable=10_000)
    refusal = world.ask(payment, 4_000, expected_refundable=10_000)
    assert reasons(refusal) == [Reason.PAYMENT_MOVED_ON]
    assert refusal.first.figures == {"expected": 10_000, "refundable": 6_000}
    world.admit(payment, 4_000, expected_refundable=6_000)


def test_nothing_is_converted():
    world = World()
    payment = world.pay()
    refusal = world.ask(payment, 1, currency="USD")
    assert reasons(refusal) == [Reason.CURRENCY_MISMATCH]
    assert refusal.first.figures == {"currency": "EUR", "asked": "USD"}


# --- one at a time, equal amounts


def test_a_dialect_that_takes_one_at_a_time_refuses_and_a_rail_lets_wait():
    one = limited(one_at_a_time=True)
    by_dialect, by_rail = World(dialect=one), World(rail=one)
    payment, _ = (each.pay() for each in (by_dialect, by_rail))
    for world in (by_dialect, by_rail):
        world.admit(payment, 1)
    assert reasons(by_dialect.ask(payment, 1)) == [Reason.ONE_AT_A_TIME]
    assert by_rail.admit(payment, 1).state is S.READY


def test_a_dialect_on_its_own_rail_still_refuses():
    one = limited(one_at_a_time=True)
    world = World(dialect=one, rail=one)
    payment = world.pay()
    world.admit(payment, 1)
    assert reasons(world.ask(payment, 1)) == [Reason.ONE_AT_A_TIME]


def test_an_equal_amount_waits_and_asks_for_the_earlier_refunds():
    world = World(dialect=limited(equal_amount_interval=timedelta(days=1)), intervals=True)
    payment = world.pay()
    first = world.admit(payment, 500)
    assert world.widened
    refusal = world.ask(payment, 500)
    assert reasons(refusal) == [Reason.EQUAL_AMOUNT_TOO_SOON]
    assert refusal.first.figures["again_at"] == START + timedelta(days=1)
    world.admit(payment, 501)
    world.nudge(first, E.WITHDRAWN)
    world.admit(payment, 500)
    world.wait(days=1)
    world.admit(payment, 500)


# --- remainders


@pytest.mark.parametrize(
    ("facts", "can", "payer", "fee", "rest"),
    [
        ({}, {}, 9_999, "proportional", None),
        ({}, {"minimum": 50}, 9_951, "proportional", 49),
        ({}, {"minimum": 50}, 9_950, "proportional", None),
        ({}, {"minimum": 50}, 10_000, "proportional", None),
        ({"captured": 2, "fees": 1}, {}, 1, "proportional", 1),  # the wallet is empty, the fee alone cannot be given
        ({"fees": 1_000}, {}, 9_000, "none", None),  # the caller keeps the fees
        ({"fees": 1_000}, {}, 9_400, 400, None),
        ({"fees": 1_000}, {"minimum": 50}, 9_960, "proportional", 40),
    ],
)
@pytest.mark.parametrize("side", ["dialect", "rail"])
def test_a_partial_that_leaves_what_can_never_be_given_back_needs_consent(
    facts: dict[str, int], can: dict[str, Any], payer: int, fee: int | str, rest: int | None, side: str
):
    world = World(**{side: limited(**can)})
    payment = world.pay(**facts)
    result = world.ask(payment, payer, fee=fee, allow_remainder=False)
    if rest is None:
        assert isinstance(result, Admitted)
    else:
        assert reasons(result) == [Reason.LEAVES_UNREFUNDABLE_REST] and result.first.figures["rest"] == rest
        world.admit(payment, payer, fee=fee, allow_remainder=True)


def test_on_a_rail_without_partials_a_partial_leaves_an_unrefundable_rest_too():
    world = World(rail=limited(partial=False))
    assert reasons(world.ask(world.pay(), 1, allow_remainder=False)) == [
        Reason.PARTIAL_UNSUPPORTED,
        Reason.LEAVES_UNREFUNDABLE_REST,
    ]


# --- parts, dialect rules, funds


@pytest.mark.parametrize(
    ("stated", "over"),
    [
        (Parts(subtotal=9_000, tax=1_000), {}),
        (Parts(tax=1_001), {"tax": 1_001}),
        (Parts(discount=-501), {"discount": -501}),
        (Parts(discount=500), {}),
        (Parts(subtotal=9_001, shipping=1), {"subtotal": 9_001, "shipping": 1}),
    ],
)
def test_parts_bound_what_is_stated(stated: Parts, over: dict[str, int]):
    world = World()
    payment = world.pay(parts=Parts(subtotal=9_000, tax=1_000, discount=-500))
    result = world.ask(payment, 1, parts=stated)
    if over:
        assert reasons(result) == [Reason.EXCEEDS_PARTS] and result.first.figures == over
    else:
        assert isinstance(result, Admitted)


def test_parts_of_a_payment_without_parts_bound_nothing():
    world = World()
    world.admit(world.pay(), 1, parts=Parts(tax=99_999))


def test_a_dialects_own_rule_sees_the_resolved_amounts():
    seen = list[Amounts]()

    def check(_payment: Payment, amounts: Amounts, _command: RequestRefund) -> list[Failing]:
        seen.append(amounts)
        return [Failing(Reason.POLICY_FORBIDS)] if amounts.payer > 100 else []

    world = World(check=check)
    payment = world.pay(fees=1_000)
    assert reasons(world.ask(payment, 101)) == [Reason.POLICY_FORBIDS]
    world.admit(payment, 100)
    assert seen == [Amounts(91, 10), Amounts(90, 10)]


def test_a_limited_wallet_pays_only_what_it_has():
    world = World(wallets_limited=True)
    payment = world.pay(fees=1_000, wallet="w", fee_wallet="f")
    world.accounts = {
        (MERCHANT, f"wallet/{name}", "EUR"): Account(MERCHANT, f"wallet/{name}", "EUR", balance)
        for name, balance in (("w", 900), ("f", 90))
    }
    assert reasons(world.ask(payment, 1_001, fee=100)) == [Reason.INSUFFICIENT_FUNDS]
    assert reasons(world.ask(payment, 1_000, fee=91)) == [Reason.INSUFFICIENT_FUNDS]
    refund = world.admit(payment, 990, fee=90)
    assert [each.balance for each in world.accounts.values()] == [0, 0]
    assert reasons(world.ask(payment, 1, fee="none")) == [Reason.INSUFFICIENT_FUNDS]
    world.nudge(refund, E.WITHDRAWN)
    assert [each.balance for each in world.accounts.values()] == [900, 90]


def test_a_wallet_limits_only_where_the_terms_say_so():
    world = World()
    payment = world.pay(wallet="w")
    world.accounts[(MERCHANT, "wallet/w", "EUR")] = Account(MERCHANT, "wallet/w", "EUR", 0)
    world.admit(payment, 1)


# --- refusals that are kept


def test_a_kept_refusal_is_a_refund_born_failed_without_a_movement():
    world = World(kept=frozenset({Reason.EXCEEDS_REFUNDABLE}))
    payment = world.pay()
    result = world.ask(payment, 10_001)
    assert isinstance(result, Admitted) and result.refusal is not None
    refund = result.refund
    assert (refund.state, refund.failure, refund.ended_at) == (S.FAILED, "exceeds_refundable", START)
    assert world.of(payment) == payment
    assert not world.plan.movements and not world.plan.payments
    assert [(each.type, each.data["state"]) for each in world.plan.events] == [("refund.created", "failed")]


def test_only_the_first_reason_decides_whether_a_refusal_is_kept():
    order = (Reason.CURRENCY_MISMATCH, Reason.EXCEEDS_REFUNDABLE)
    world = World(kept=frozenset({Reason.EXCEEDS_REFUNDABLE}), precedence=order)
    assert isinstance(world.ask(world.pay(), 10_001, currency="USD"), Refusal)
    world.terms = Terms(kept=world.terms.kept, precedence=order[::-1])
    assert isinstance(world.ask(world.pay(), 10_001, currency="USD"), Admitted)


def test_a_literal_initial_amount_after_a_partial_is_beyond_what_is_left():
    world = World(kept=frozenset({Reason.EXCEEDS_REFUNDABLE}))
    payment = world.pay(fees=1_000)
    world.admit(payment, 100)
    result = world.ask(payment, asked=Asked(initial=True))
    assert result.refund.failure == "exceeds_refundable" and result.refund.payer == 10_000


# --- scheduled, armed at once


def test_a_dated_refund_is_scheduled_and_takes_no_fence():
    world = World(merged=True)
    payment = world.pay()
    later = world.admit(payment, 1, due_at=START + timedelta(hours=1), armable=True)
    assert later.state is S.SCHEDULED and world.of(payment).fence is None and not world.plan.attempts
    assert world.of(payment).held == 1
    assert world.admit(payment, 1, due_at=START).state is S.READY


@pytest.mark.parametrize(
    ("terms", "armable", "armed"),
    [
        ({"merged": True}, True, True),
        ({"merged": True}, False, False),
        ({"merged": False}, True, False),
        ({"merged": True, "fenced": False}, True, True),
    ],
)
def test_admission_arms_only_where_both_rail_and_caller_can(terms: dict[str, Any], armable: bool, armed: bool):
    world = World(**terms)
    payment = world.pay()
    world.now = replace(world.now, business=START + timedelta(days=1))  # leases run in real time
    refund = world.admit(payment, 500, armable=armable)
    assert refund.state is (S.SENDING if armed else S.READY)
    assert refund.version == 1 and [each.data["state"] for each in world.plan.events] == [refund.state.value]
    assert world.of(payment).fence == (refund.id if world.terms.fenced else None)
    if armed:
        (attempt,) = world.plan.attempts
        assert (attempt.generation, attempt.amount, attempt.mark) == (1, 500, refund.mark)
        assert refund.lease_until == attempt.lease_until == START + timedelta(seconds=60)


def test_a_second_refund_is_not_armed_behind_a_taken_fence():
    world = World(merged=True)
    payment = world.pay()
    assert world.admit(payment, 1, armable=True).state is S.SENDING
    assert world.admit(payment, 1, armable=True).state is S.READY
    assert not world.plan.attempts


def test_nothing_is_armed_while_a_contradiction_waits_but_it_is_admitted():
    world = World(merged=True)
    payment = world.pay()
    world.see(world.stand(payment, S.FAILED), E.ACCEPTED)
    assert world.of(payment).blocked
    assert world.admit(payment, 1, armable=True).state is S.READY


def test_a_refund_without_an_id_gets_the_next_number():
    world = World()
    payment = world.pay()
    command = RequestRefund(
        merchant=MERCHANT, id=world.new_id(), payment=payment.id, dialect="native", terms=world.terms_of, sequence="s"
    )
    plan = decide(command, world.facts(command.footprint), world.now, number=1_000_000_001)
    assert isinstance(plan, Plan) and plan.refunds[0].dialect_id == "1000000001"
    with pytest.raises(AssertionError):
        decide(command, world.facts(command.footprint), world.now)


# --- equal requests


def joining(**terms: Any) -> tuple[World, Payment]:
    world = World(join_within=timedelta(seconds=120), **terms)
    return world, world.pay()


def test_an_equal_request_joins_the_running_one():
    world, payment = joining()
    first = world.admit(payment, 500, equality=b"same")
    result = world.ask(payment, 500, equality=b"same")
    assert isinstance(result, Joined) and result.refund.id == first.id
    assert world.of(payment).held == 500 and not world.plan.movements
    (told,) = world.plan.events
    assert (told.type, told.object, told.data["refund"]) == ("refund.joined", payment.id, first.id.hex)
    world.send(first)
    assert world.ask(payment, 500, equality=b"same").refund.state is S.SENDING


@pytest.mark.parametrize(("after_s", "joined"), [(0, True), (119.999, True), (120, False)])
def test_an_equal_request_joins_until_long_enough_after_the_end(after_s: float, joined: bool):
    world, payment = joining()
    first = world.admit(payment, 500, equality=b"same")
    world.nudge(first, E.WITHDRAWN)
    world.wait(seconds=after_s)
    assert isinstance(world.ask(payment, 500, equality=b"same"), Joined if joined else Admitted)


def test_the_newest_equal_request_is_the_one_that_is_joined():
    world, payment = joining()
    world.nudge(world.admit(payment, 500, equality=b"same"), E.WITHDRAWN)
    world.wait(seconds=120)
    second = world.admit(payment, 500, equality=b"same")
    assert world.ask(payment, 500, equality=b"same").refund.id == second.id


def test_news_of_an_older_equal_request_does_not_hide_the_newer_one():
    world, payment = joining()
    old = world.admit(payment, 500, equality=b"same")
    newer = replace(
        old, id=UUID(int=old.id.int + 1), dialect_id="newer", created_at=old.created_at + timedelta(hours=1)
    )
    facts = Facts(equals={(payment.id, b"same"): newer})
    apply(Plan(result=Joined(old, payment), refunds=(replace(old, version=9),)), facts)
    assert facts.equals == {(payment.id, b"same"): newer}


def test_joining_is_asked_before_anything_is_refused():
    """The first request took all there was; the same request again must not be told that nothing is left."""
    world, payment = joining()
    world.admit(payment, equality=b"same")
    assert isinstance(world.ask(payment, equality=b"same"), Joined)


@pytest.mark.parametrize(
    ("terms", "first", "second", "elsewhere"),
    [
        ({}, b"same", b"other", False),
        ({}, None, None, False),
        ({}, b"same", b"same", True),
        ({"join_within": None}, b"same", b"same", False),
    ],
)
def test_two_requests_are_two_refunds(
    terms: dict[str, Any], first: bytes | None, second: bytes | None, elsewhere: bool
):
    world = World(**{"join_within": timedelta(seconds=120), **terms})
    payment = world.pay()
    world.admit(payment, 500, equality=first)
    world.admit(world.pay() if elsewhere else payment, 500, equality=second)
    assert len(world.refunds) == 2


# --- orders


def an_order(world: World, *payments: dict[str, Any]) -> tuple[list[Payment], list[RequestRefund]]:
    paid = [world.pay(order="o1", **facts) for facts in payments]
    legs = [
        RequestRefund(
            merchant=MERCHANT,
            id=world.new_id(),
            payment=each.id,
            dialect="native",
            dialect_id=f"leg{number}",
            terms=world.terms_of,
            group=UUID(int=77),
        )
        for number, each in enumerate(paid)
    ]
    return paid, legs


def ask_order(world: World, legs: list[RequestRefund]) -> Any:
    owner: dict[str, Any] = {"merchant": MERCHANT, "id": UUID(int=77), "dialect": "native", "reference": "o1"}
    return world.do(RequestOrderRefund(**owner, legs=tuple(legs)))


def test_an_order_is_refunded_by_one_refund_a_payment():
    world = World()
    paid, legs = an_order(world, {"captured": 700}, {"captured": 300, "fees": 30})
    assert [each.payments for each in world.orders.values()] == [tuple(each.id for each in paid)]
    result = ask_order(world, legs)
    assert isinstance(result, Grouped)
    assert [(each.refund.payer, each.refund.group) for each in result.legs] == [
        (700, UUID(int=77)),
        (300, UUID(int=77)),
    ]
    assert [world.of(each).held for each in paid] == [700, 300]
    assert len(world.plan.events) == 2 and len(world.plan.movements) == 3


def test_a_leg_that_is_refused_refuses_all_and_leaves_no_trace():
    world = World(wallets_limited=True, intervals=True)
    _, legs = an_order(world, {"wallet": "w"}, {"captured": 300, "wallet": "w"})
    world.accounts[(MERCHANT, "wallet/w", "EUR")] = Account(MERCHANT, "wallet/w", "EUR", 10_000)
    command = RequestOrderRefund(merchant=MERCHANT, id=UUID(int=77), dialect="native", reference="o1", legs=tuple(legs))
    facts = world.facts(replace(command.footprint, children=True))
    before = world.facts(replace(command.footprint, children=True))
    refusal = decide(command, facts, world.now)
    assert reasons(refusal) == [Reason.INSUFFICIENT_FUNDS]  # the first leg leaves the second nothing
    assert facts == before
    assert ask_order(world, legs) == refusal and not world.refunds


def test_an_admitted_order_is_applied_to_the_facts_once():
    world = World(wallets_limited=True)
    _, legs = an_order(world, {"captured": 400, "wallet": "w"}, {"captured": 300, "wallet": "w"})
    world.accounts[(MERCHANT, "wallet/w", "EUR")] = Account(MERCHANT, "wallet/w", "EUR", 1_000)
    assert isinstance(ask_order(world, legs), Grouped)
    assert [each.balance for each in world.accounts.values()] == [300]


def test_an_order_in_two_currencies_is_refused():
    world = World()
    _, legs = an_order(world, {}, {"currency": "USD"})
    assert reasons(ask_order(world, legs)) == [Reason.CURRENCY_MISMATCH]


def test_an_order_whose_payments_changed_is_not_the_one_that_was_asked_about():
    world = World()
    _, legs = an_order(world, {}, {})
    assert reasons(ask_order(world, legs[:1])) == [Reason.ORDER_NOT_FOUND]
    assert reasons(ask_order(world, [legs[0], legs[0]])) == [Reason.ORDER_NOT_FOUND]
    assert reasons(ask_order(world, [*legs, replace(legs[0], id=world.new_id())])) == [Reason.ORDER_NOT_FOUND]
    world.pay(order="o1")
    assert reasons(ask_order(world, legs)) == [Reason.ORDER_NOT_FOUND]
    assert not world.refunds


def test_an_order_of_a_stranger_is_not_found():
    world = World()
    _, legs = an_order(world, {})
    world.orders = {each.id: replace(each, merchant=STRANGER) for each in world.orders.values()}
    assert reasons(ask_order(world, legs)) == [Reason.ORDER_NOT_FOUND]


def test_a_leg_that_would_be_kept_as_failed_refuses_the_order():
    world = World(kept=frozenset({Reason.NOTHING_LEFT}))
    paid, legs = an_order(world, {}, {})
    world.admit(paid[1])
    assert reasons(ask_order(world, legs)) == [Reason.NOTHING_LEFT]
    assert world.of(paid[0]).held == 0


def test_a_leg_cannot_join_another_refund():
    world = World(join_within=timedelta(seconds=120))
    paid, legs = an_order(world, {}, {})
    world.admit(paid[1], 1, equality=b"same")
    legs[1] = replace(legs[1], equality=b"same")
    assert reasons(ask_order(world, legs)) == [Reason.STATE_FORBIDS]
    assert world.of(paid[0]).held == 0


def test_all_legs_facts_are_asked_for_at_once():
    world = World(intervals=True, dialect=limited(equal_amount_interval=timedelta(days=1)))
    paid, legs = an_order(world, {}, {})
    command = RequestOrderRefund(merchant=MERCHANT, id=UUID(int=77), dialect="native", reference="o1", legs=tuple(legs))
    assert decide(command, world.facts(command.footprint), world.now) == MoreFacts(tuple(each.id for each in paid))
    assert isinstance(ask_order(world, legs), Grouped)


# --- quotes


def test_a_quote_says_what_an_admission_would():
    world = World(dialect=limited(minimum=50, one_at_a_time=True))
    payment = world.pay(fees=1_000)
    assert refundability(payment, world.terms, START) == (Amounts(9_000, 1_000), ())
    refund = world.admit(payment, 5_000)
    for asked in (Asked(), Asked(payer=20), Asked(payer=6_000)):
        amounts, failing = refundability(world.of(payment), world.terms, START, (refund,), asked)
        assert [each.reason for each in failing] == reasons(world.ask(payment, asked=asked))
        assert amounts.payer == (asked.payer or 5_000)


def test_a_quote_does_not_refuse_what_a_rail_merely_lets_wait():
    terms = Terms(rail=limited(one_at_a_time=True))
    assert refundability(a_payment(held=1, wallet_used=1), terms, START) == (Amounts(9_999, 0), ())
