"""What is left to give back, and how an amount divides between the merchant's wallet and the platform's fees."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from moneyback.core.money import currency, minor_from_decimal, to_major
from moneyback.core.payment import (
    ANYTHING,
    Amounts,
    Asked,
    Capabilities,
    Condition,
    Payment,
    amount_reasons,
    condition_reasons,
    interval_reasons,
    resolve,
    standing_reasons,
)
from moneyback.core.refund import State
from moneyback.core.refusals import Reason
from tests.core.worlds import START, World, a_payment, a_refund


def given_back(payment: Payment, amounts: Amounts) -> Payment:
    """The payment once these amounts are held."""
    return replace(
        payment,
        held=payment.held + amounts.payer,
        wallet_used=payment.wallet_used + amounts.wallet,
        fee_used=payment.fee_used + max(0, amounts.fee_return),
    )


def refusing(payment: Payment, asked: Asked, can: Capabilities = ANYTHING) -> list[Reason]:
    return [each.reason for each in amount_reasons(payment, resolve(payment, asked), asked, can)]


# --- refundable


@pytest.mark.parametrize(
    ("facts", "refundable"),
    [
        ({}, 10_000),
        ({"held": 1, "wallet_used": 1}, 9_999),
        ({"refunded": 20, "wallet_used": 20}, 9_980),
        ({"external": 300, "wallet_used": 300}, 9_700),
        ({"disputed": 4_000}, 6_000),
        ({"clawed_back": 5_000}, 5_000),
        ({"held": 2_000, "refunded": 2_000, "external": 2_000, "wallet_used": 6_000, "disputed": 4_000}, 0),
        ({"clawed_back": 10_001, "excess": 1}, 0),  # never negative
        ({"captured": 0}, 0),
        ({"fees": 1_000}, 10_000),
        ({"fees": 1_000, "wallet_used": 9_000, "held": 9_000}, 0),  # fees alone are never given back
        ({"fees": 1_000, "fee_used": 1_000, "held": 1_000}, 9_000),
        ({"fees": 1_000, "fee_used": 1_000, "wallet_used": 8_000, "refunded": 8_000}, 1_000),  # more was charged
        ({"fees": 10_000}, 0),  # nothing reached the wallet
        ({"wallet_used": 10_000, "held": 8_000}, 0),  # without fees, charging some still uses the wallet up
    ],
)
def test_refundable_is_what_no_counter_and_no_share_has_taken(facts: dict[str, int], refundable: int):
    assert a_payment(**facts).refundable == refundable


@pytest.mark.parametrize(
    ("facts", "blocked"),
    [
        ({}, False),
        ({"open_cases": 1}, True),
        ({"excess_case": True}, True),
        ({"rail_gap": -5}, True),
        ({"rail_gap": 0}, True),
    ],
)
def test_a_contradiction_blocks(facts: dict[str, int], blocked: bool):
    assert a_payment(**facts).blocked is blocked


# --- resolving an amount


@pytest.mark.parametrize(
    ("facts", "asked", "amounts"),
    [
        ({}, Asked(), (10_000, 0)),
        ({}, Asked(payer=3), (3, 0)),
        ({"held": 4_000, "wallet_used": 4_000}, Asked(), (6_000, 0)),
        ({"fees": 1_000}, Asked(), (9_000, 1_000)),
        ({"fees": 1_000}, Asked(payer=5_000), (4_500, 500)),
        ({"fees": 1_000}, Asked(payer=19), (18, 1)),
        ({"fees": 1_000}, Asked(payer=9), (9, 0)),
        ({"fees": 1_000}, Asked(payer=5_000, fee="none"), (5_000, 0)),
        ({"fees": 1_000}, Asked(fee="none"), (9_000, 0)),  # what remains without the fees
        ({"fees": 1_000}, Asked(fee=400), (9_000, 400)),
        ({"fees": 1_000}, Asked(fee=-400), (9_000, -400)),
        ({"fees": 1_000, "disputed": 9_500}, Asked(fee="none"), (500, 0)),
        ({"fees": 1_000}, Asked(payer=5_000, fee=1_000), (4_000, 1_000)),
        ({"fees": 1_000}, Asked(payer=5_000, fee=-50), (5_050, -50)),
        ({"fees": 1_000}, Asked(wallet=77, fee=-7), (77, -7)),
        ({"fees": 1_000, "held": 500, "wallet_used": 500}, Asked(initial=True), (9_000, 1_000)),  # literally
        ({"fees": 1_000, "held": 9_500, "wallet_used": 8_600, "fee_used": 900}, Asked(), (400, 100)),
        ({}, Asked(payer=-5), (-5, 0)),
        ({}, Asked(payer=0), (0, 0)),
    ],
)
def test_an_amount_is_resolved(facts: dict[str, int], asked: Asked, amounts: tuple[int, int]):
    resolved = resolve(a_payment(**facts), asked)
    assert (resolved.wallet, resolved.fee_return) == amounts
    assert resolved.payer == sum(amounts)


@given(
    captured=st.integers(1, 10**6),
    fee_share=st.integers(0, 100),
    wanted=st.lists(st.integers(1, 10**6), max_size=8),
)
@settings(deadline=None)
def test_the_last_partial_closes_wallet_and_fees_to_zero(captured: int, fee_share: int, wanted: list[int]):
    """Whatever was given back before: a refund of what remains leaves nothing in either share."""
    payment = a_payment(captured=captured, fees=captured * fee_share // 100)
    for amount in wanted:
        asked = Asked(payer=amount)
        amounts = resolve(payment, asked)
        if not amount_reasons(payment, amounts, asked, ANYTHING):
            assert 0 <= amounts.fee_return <= payment.fee_left and 0 < amounts.wallet <= payment.wallet_left
            payment = given_back(payment, amounts)
    if payment.refundable:
        closing = resolve(payment, Asked())
        assert not amount_reasons(payment, closing, Asked(), ANYTHING)
        payment = given_back(payment, closing)
        assert (payment.wallet_left, payment.fee_left, payment.spent) == (0, 0, captured)
    assert payment.refundable == 0


@given(
    captured=st.integers(1, 1_000),
    fees=st.integers(0, 1_000),
    asked=st.lists(
        st.builds(
            Asked,
            payer=st.one_of(st.none(), st.integers(-10, 1_100)),
            fee=st.one_of(st.sampled_from(["proportional", "none"]), st.integers(-50, 200)),
        ),
        max_size=10,
    ),
)
@settings(deadline=None)
def test_neither_share_is_ever_overdrawn(captured: int, fees: int, asked: list[Asked]):
    payment = a_payment(captured=captured, fees=min(fees, captured))
    for each in asked:
        amounts = resolve(payment, each)
        if not amount_reasons(payment, amounts, each, ANYTHING):
            payment = given_back(payment, amounts)
        assert payment.wallet_used <= captured - payment.fees
        assert payment.fee_used <= payment.fees
        assert payment.spent <= captured
        assert 0 <= payment.refundable <= captured - payment.spent


@given(
    code=st.sampled_from(["JPY", "EUR", "KWD"]),
    captured=st.integers(3, 10**7),
    cuts=st.lists(st.integers(1, 10**7), min_size=1, max_size=6),
)
@settings(deadline=None)
def test_printed_amounts_add_up_in_every_currency(code: str, captured: int, cuts: list[int]):
    """Partials printed with 0, 2 or 3 decimals, read back and summed, are the capture to the last unit."""
    money = currency(code)
    payment = a_payment(captured=captured, currency=code, fees=captured // 3)
    printed = list[str]()
    for cut in [*cuts, None]:
        asked = Asked(payer=cut)
        amounts = resolve(payment, asked)
        if not amount_reasons(payment, amounts, asked, ANYTHING):
            payment = given_back(payment, amounts)
            printed.append(to_major(amounts.payer, money))
    if not payment.wallet_left and payment.fee_left:
        return  # single units took the wallet first; fees alone are not given back
    assert sum(minor_from_decimal(each, money) for each in printed) == captured
    assert sum(map(Decimal, printed)) == Decimal(to_major(captured, money))


# --- reasons: the amount


@pytest.mark.parametrize(
    ("facts", "asked", "failing"),
    [
        ({}, Asked(payer=10_000), []),
        ({}, Asked(payer=10_001), ["exceeds_refundable"]),
        ({"held": 1, "wallet_used": 1}, Asked(payer=10_000), ["exceeds_refundable"]),
        ({"disputed": 1}, Asked(payer=10_000), ["exceeds_refundable"]),
        ({}, Asked(payer=0), ["amount_not_positive"]),
        ({}, Asked(payer=-1), ["amount_not_positive"]),
        ({"refunded": 10_000, "wallet_used": 10_000}, Asked(), ["nothing_left"]),
        ({"refunded": 10_000, "wallet_used": 10_000}, Asked(payer=1), ["nothing_left", "exceeds_refundable"]),
        ({"refunded": 10_000, "wallet_used": 10_000}, Asked(payer=0), ["nothing_left", "amount_not_positive"]),
        ({"refunded": 1, "wallet_used": 1}, Asked(initial=True), ["exceeds_refundable"]),
        ({"fees": 1_000}, Asked(payer=9_001, fee="none"), ["exceeds_wallet_share"]),
        ({"fees": 1_000}, Asked(payer=9_000, fee=1_001), ["exceeds_fees"]),
        ({"fees": 1_000}, Asked(payer=9_000, fee=-1), ["exceeds_wallet_share"]),
        ({"fees": 1_000}, Asked(payer=1_000, fee=1_000), ["amount_not_positive"]),  # fees alone
        ({"fees": 10_000}, Asked(initial=True), ["amount_not_positive"]),
        ({}, Asked(payer=9_000, fee=1), ["exceeds_fees"]),  # without fees there is none to give back
        ({}, Asked(payer=9_990, fee=-10), []),
        ({}, Asked(payer=9_990, fee=-11), ["exceeds_wallet_share"]),
        ({"wallet_used": 10_000, "held": 9_990}, Asked(payer=10), ["nothing_left", "exceeds_wallet_share"]),
    ],
)
def test_amounts_that_do_not_fit_are_refused(facts: dict[str, int], asked: Asked, failing: list[str]):
    assert [each.value for each in refusing(a_payment(**facts), asked)] == failing


FULL_ONLY, PARTIAL_ONLY = Capabilities(partial=False), Capabilities(full=False)


@pytest.mark.parametrize(
    ("can", "facts", "payer", "failing"),
    [
        (FULL_ONLY, {}, 10_000, []),
        (FULL_ONLY, {}, None, []),
        (FULL_ONLY, {}, 9_999, ["partial_unsupported"]),
        (PARTIAL_ONLY, {}, 9_999, []),
        (PARTIAL_ONLY, {}, 10_000, ["full_unsupported"]),
        # Once anything was given back, held, disputed or clawed back, closing what is left is a partial.
        (FULL_ONLY, {"refunded": 1, "wallet_used": 1}, 9_999, ["partial_unsupported"]),
        (FULL_ONLY, {"held": 1, "wallet_used": 1}, 9_999, ["partial_unsupported"]),
        (FULL_ONLY, {"external": 1, "wallet_used": 1}, 9_999, ["partial_unsupported"]),
        (FULL_ONLY, {"disputed": 1}, 9_999, ["partial_unsupported"]),
        (FULL_ONLY, {"clawed_back": 1}, 9_999, ["partial_unsupported"]),
        (PARTIAL_ONLY, {"refunded": 1, "wallet_used": 1}, 9_999, []),
        (Capabilities(full=False, partial=False), {}, 10_000, ["full_unsupported"]),
        (Capabilities(minimum=50), {}, 50, []),
        (Capabilities(minimum=50), {}, 49, ["below_minimum"]),
        (Capabilities(minimum=50), {"refunded": 9_951, "wallet_used": 9_951}, None, ["below_minimum"]),
        (Capabilities(minimum=50, minimum_spares_rest=True), {"refunded": 9_951, "wallet_used": 9_951}, None, []),
        (Capabilities(minimum=50, minimum_spares_rest=True), {}, 49, ["below_minimum"]),
        (Capabilities(fees_returnable=False), {"fees": 1_000}, 5_000, ["fees_not_returnable"]),
        (Capabilities(fees_returnable=False), {}, 5_000, []),
    ],
)
def test_capabilities_bound_the_amount(can: Capabilities, facts: dict[str, int], payer: int | None, failing: list[str]):
    assert [each.value for each in refusing(a_payment(**facts), Asked(payer=payer), can)] == failing


# --- reasons: whatever the amount


@pytest.mark.parametrize(
    ("facts", "failing"),
    [
        ({}, []),
        ({"condition": Condition.FAILED}, [Reason.PAYMENT_FAILED]),
        ({"condition": Condition.PROCESSING}, [Reason.PAYMENT_PROCESSING]),
        ({"condition": Condition.AUTHORIZED, "authorized": 5}, [Reason.PAYMENT_NOT_CAPTURED]),
        ({"amount_known": False}, [Reason.AMOUNT_UNKNOWN]),
    ],
)
def test_money_that_did_not_come_in_is_not_given_back(facts: dict[str, object], failing: list[Reason]):
    assert [each.reason for each in condition_reasons(a_payment(**facts))] == failing


DAY, TICK = timedelta(days=1), timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("can", "after", "failing"),
    [
        (Capabilities(opens_after=DAY), DAY - TICK, [Reason.WINDOW_NOT_OPEN]),
        (Capabilities(opens_after=DAY), DAY, []),
        (Capabilities(closes_after=DAY), DAY - TICK, []),
        (Capabilities(closes_after=DAY), DAY, [Reason.WINDOW_CLOSED]),
        (Capabilities(opens_after=timedelta(0)), timedelta(0), []),
        (Capabilities(closes_after=timedelta(0)), timedelta(0), [Reason.WINDOW_CLOSED]),  # a window that never was
        (Capabilities(opens_after=2 * DAY, closes_after=DAY), DAY, [Reason.WINDOW_NOT_OPEN, Reason.WINDOW_CLOSED]),
        (Capabilities(full=False, partial=False), DAY, [Reason.KIND_UNSUPPORTED]),
    ],
)
def test_windows_open_and_close_at_their_edges(can: Capabilities, after: timedelta, failing: list[Reason]):
    assert [each.reason for each in standing_reasons(a_payment(), can, START + after)] == failing


def test_a_payment_without_a_capture_time_has_no_window():
    can = Capabilities(opens_after=DAY, closes_after=DAY)
    assert standing_reasons(a_payment(captured_at=None), can, START) == []


@pytest.mark.parametrize(
    ("can", "facts", "failing"),
    [
        (Capabilities(blocked_by_dispute=True), {"disputed": 1}, [Reason.PAYMENT_DISPUTED]),
        (Capabilities(), {"disputed": 1}, []),
        (Capabilities(blocked_by_dispute=True), {"clawed_back": 1}, []),  # lost: the rest may be given back
        (Capabilities(one_at_a_time=True), {"held": 1}, [Reason.ONE_AT_A_TIME]),
        (Capabilities(one_at_a_time=True), {"refunded": 1}, []),
    ],
)
def test_disputes_and_running_refunds_stand_in_the_way(can: Capabilities, facts: dict[str, int], failing: list[Reason]):
    assert [each.reason for each in standing_reasons(a_payment(**facts), can, START)] == failing


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_an_equal_amount_waits_unless_the_earlier_refund_failed(state: State):
    world = World()
    payment = world.pay()
    earlier = world.stand(payment, state)
    can = Capabilities(equal_amount_interval=DAY)
    counted = state not in (State.FAILED, State.CANCELED)

    def failing(wallet: int, after: timedelta) -> list[Reason]:
        found = interval_reasons((world.refunds[earlier.id],), Amounts(wallet, 0), can, START + after)
        return [each.reason for each in found]

    assert failing(3_000, DAY - TICK) == ([Reason.EQUAL_AMOUNT_TOO_SOON] if counted else [])
    assert failing(3_000, DAY) == []
    assert failing(2_999, timedelta(0)) == []


def test_the_interval_compares_wallet_amounts():
    can = Capabilities(equal_amount_interval=DAY)
    payment = a_payment(fees=1_000)
    earlier = a_refund(payment, payer=3_300, wallet=3_000, fee_return=300)
    assert interval_reasons((earlier,), Amounts(3_000, 0), can, START)
    assert not interval_reasons((earlier,), Amounts(3_300, 0), can, START)
    again_at = interval_reasons((earlier,), Amounts(3_000, 0), can, START)[0].figures["again_at"]
    assert again_at == START + DAY
