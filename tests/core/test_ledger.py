"""Every movement is balanced, none is zero or negative, and two phases cancel or complete each other exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moneyback.core import ledger
from moneyback.core.ledger import Kind, Movement
from tests.core.worlds import START, a_payment, a_refund, counters

PAYMENT = a_payment(fees=1_000)
shares = st.tuples(st.integers(1, 10**9), st.integers(-(10**6), 10**6)).filter(lambda both: sum(both) > 0)


def flows(movements: tuple[Movement, ...]) -> list[tuple[str, str, int]]:
    return [(each.debit, each.credit, each.amount) for each in movements]


@pytest.mark.parametrize(
    ("fee_return", "held", "back"),
    [
        (0, [("funds/sandbox", "holds", 3_000)], [("payer", "funds/sandbox", 3_000)]),
        (
            300,
            [("funds/sandbox", "holds", 2_700), ("fees", "holds", 300)],
            [("payer", "funds/sandbox", 2_700), ("payer", "fees", 300)],
        ),
        # Charging more fees takes from what the wallet gave before the payer gets the rest.
        (
            -300,
            [("funds/sandbox", "holds", 3_300), ("holds", "fees", 300)],
            [("payer", "funds/sandbox", 3_300), ("fees", "payer", 300)],
        ),
    ],
)
def test_a_refund_moves_in_two_phases(
    fee_return: int, held: list[tuple[str, str, int]], back: list[tuple[str, str, int]]
):
    refund = a_refund(PAYMENT, fee_return=fee_return)
    assert flows(ledger.hold(PAYMENT, refund, START)) == held
    assert flows(ledger.void(PAYMENT, refund, START)) == [(credit, debit, amount) for debit, credit, amount in held]
    assert flows(ledger.post(PAYMENT, refund, START)) == [("holds", "payer", 3_000)]
    assert flows(ledger.came_back(PAYMENT, refund, START)) == back


@given(shares)
def test_hold_and_void_leave_nothing(both: tuple[int, int]):
    refund = a_refund(PAYMENT, payer=sum(both), wallet=both[0], fee_return=both[1])
    movements = ledger.hold(PAYMENT, refund, START) + ledger.void(PAYMENT, refund, START)
    assert set(ledger.balances(movements).values()) == {0}
    assert all(each.amount > 0 for each in movements)


@given(shares)
def test_posted_and_come_back_leaves_nothing(both: tuple[int, int]):
    refund = a_refund(PAYMENT, payer=sum(both), wallet=both[0], fee_return=both[1])
    posted = ledger.hold(PAYMENT, refund, START) + ledger.post(PAYMENT, refund, START)
    reached = ledger.balances(posted)
    assert reached[("payer", "EUR")] == refund.payer and reached[("holds", "EUR")] == 0
    assert set(ledger.balances(posted + ledger.came_back(PAYMENT, refund, START)).values()) == {0}


def test_nothing_moves_for_nothing():
    nothing = a_refund(PAYMENT, payer=0, wallet=0, fee_return=0)
    assert ledger.hold(PAYMENT, nothing, START) == () == ledger.post(PAYMENT, nothing, START)
    assert ledger.between(PAYMENT, Kind.EXTERNAL, "a", "b", 0, START) == ()


def test_a_negative_amount_flows_the_other_way():
    assert flows(ledger.between(PAYMENT, Kind.EXTERNAL, "a", "b", -7, START)) == [("b", "a", 7)]


def test_a_movement_is_reversed_under_its_own_name():
    there = ledger.post(PAYMENT, a_refund(PAYMENT), START)[0]
    back = ledger.reverse(there, Kind.RETURN)
    assert (back.debit, back.credit, back.amount, back.kind) == ("payer", "holds", 3_000, Kind.RETURN)
    assert ledger.reverse(back, Kind.POST) == there


@pytest.mark.parametrize(
    ("before", "fees_before", "captured", "fees", "moved"),
    [
        (0, 0, 10_000, 0, [("payer", "funds/sandbox", 10_000)]),
        (0, 0, 10_000, 1_000, [("payer", "funds/sandbox", 9_000), ("payer", "fees", 1_000)]),
        (10_000, 1_000, 12_000, 1_000, [("payer", "funds/sandbox", 2_000)]),
        (10_000, 1_000, 4_000, 1_000, [("funds/sandbox", "payer", 6_000)]),
        (10_000, 1_000, 400, 400, [("funds/sandbox", "payer", 9_000), ("fees", "payer", 600)]),
        (10_000, 0, 10_000, 0, []),
    ],
)
def test_a_capture_comes_in_and_shrinks(
    before: int, fees_before: int, captured: int, fees: int, moved: list[tuple[str, str, int]]
):
    payment = a_payment(captured=captured, fees=fees)
    assert flows(ledger.capture(payment, before, fees_before, START)) == moved


def test_only_wallets_have_a_balance_row():
    assert ledger.limited(a_payment()) == ()
    assert ledger.limited(a_payment(wallet="w1")) == ("wallet/w1",)
    assert ledger.limited(a_payment(wallet="w1", fee_wallet="f1")) == ("wallet/w1", "wallet/f1")
    assert (ledger.funds(a_payment()), ledger.fees(a_payment())) == ("funds/sandbox", "fees")


def test_balances_of_currencies_are_kept_apart():
    yen = a_payment(currency="JPY")
    movements = ledger.post(PAYMENT, a_refund(PAYMENT), START) + ledger.post(yen, a_refund(yen, payer=5), START)
    assert ledger.balances(movements) == {
        ("holds", "EUR"): -3_000,
        ("payer", "EUR"): 3_000,
        ("holds", "JPY"): -5,
        ("payer", "JPY"): 5,
    }


def test_a_missing_movement_is_noticed():
    """The tests' own bookkeeping: what recomputes the counters is not blind."""
    refund = a_refund(PAYMENT, payer=300, wallet=270, fee_return=30)
    held = ledger.hold(PAYMENT, refund, START)
    assert counters(list(held), PAYMENT) | {"held": 300, "wallet_used": 270, "fee_used": 30} == counters(
        list(held), PAYMENT
    )
    assert counters(list(held[:1]), PAYMENT)["held"] == 270
    assert counters([replace(held[0], amount=1), held[1]], PAYMENT)["wallet_used"] == 1
