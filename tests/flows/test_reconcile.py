"""Reconciliation: nothing differs, or every difference is named with both figures."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.refund import Refund, State
from moneyback.core.sending import mark_of
from moneyback.flows.reconcile import Line, Statement, compare, moment, read_statement, reconcile, span
from moneyback.flows.work import work_round
from moneyback.store.news import Armed, Elsewhere
from tests.flows.provider import START, Scene, scene

SINCE, UNTIL = START, START + timedelta(days=1)
WITHIN = START + timedelta(hours=1)


def ours(state: State = State.SUCCEEDED, provider_id: str | None = "r1", amount: int = 1_000, **members: Any) -> Armed:
    armed_at = members.pop("armed_at", WITHIN)
    refund = Refund(
        merchant=uuid4(),
        id=uuid4(),
        payment=uuid4(),
        dialect="native",
        dialect_id="x",
        rail="main",
        currency="EUR",
        payer=amount,
        wallet=amount,
        fee_return=0,
        state=state,
        version=1,
        created_at=armed_at,
        updated_at=armed_at,
        generation=1,
        provider_id=provider_id,
        **members,
    )
    return Armed(refund, armed_at)


def theirs(provider_id: str = "r1", amount: int = 1_000, **members: Any) -> Line:
    return Line(provider_id=provider_id, amount=amount, **{"currency": "EUR", "at": WITHIN, **members})


def elsewhere(provider_id: str = "r1", amount: int = 1_000, **members: Any) -> Elsewhere:
    said = {"payment_id": uuid4(), "payment": "p1", "currency": "EUR", "undone": False, "at": WITHIN, **members}
    return Elsewhere(provider_id=provider_id, amount=amount, **said)


def compared(lines: list[Line], own: list[Armed], other: list[Elsewhere] | None = None) -> Statement:
    return compare("main", lines, own, other or [], since=SINCE, until=UNTIL)


EQUAL: dict[str, tuple[list[Line], list[Armed], list[Elsewhere]]] = {
    "nothing on either side": ([], [], []),
    "one, by its id": ([theirs()], [ours()], []),
    "one that was made elsewhere": ([theirs()], [], [elsewhere()]),
    "returned on both sides": ([theirs(status="returned")], [ours(State.RETURNED)], []),
    "pending there, done here: their list lags": ([theirs(status="pending")], [ours()], []),
    "failed on both sides": ([theirs(status="failed")], [ours(State.FAILED)], []),
    "failed there, unknown here: no money moved": ([theirs("r9", status="failed")], [], []),
    "undone on both sides": ([theirs(status="failed")], [], [elsewhere(undone=True)]),
    "an execution whose id was never learnt": ([theirs("r7")], [ours(provider_id=None)], []),
    "ours of another time": ([], [ours(armed_at=SINCE - timedelta(hours=1))], []),
    "theirs of another time": ([theirs("r7", at=UNTIL + timedelta(hours=1))], [], []),
    "ours at the edge, listed under their own clock": ([theirs(at=SINCE - timedelta(seconds=9))], [ours()], []),
}


@pytest.mark.parametrize("case", EQUAL)
def test_equal_books_differ_in_nothing(case: str):
    lines, own, other = EQUAL[case]
    statement = compared(lines, own, other)
    assert statement.differences == ()
    assert statement.clean


def test_what_agrees_is_summed_by_currency():
    lines = [theirs("a", 100), theirs("b", 250), theirs("c", 70, currency="JPY")]
    yen = ours(provider_id="c", amount=70)
    own = [ours(provider_id="a", amount=100), Armed(with_currency(yen.refund, "JPY"), WITHIN)]
    assert compared(lines, own, [elsewhere("b", 250)]).agreed == {"EUR": (2, 350), "JPY": (1, 70)}


def with_currency(refund: Refund, code: str) -> Refund:
    from msgspec.structs import replace  # noqa: PLC0415

    return replace(refund, currency=code)


DIFFERENT: dict[str, tuple[list[Line], list[Armed], list[Elsewhere], tuple[Any, ...]]] = {
    "missing here": ([theirs("r9", 400)], [], [], ("missing_here", "r9", 400, None)),
    "missing there": ([], [ours()], [], ("missing_there", "r1", None, 1_000)),
    "an external one missing there": ([], [], [elsewhere()], ("missing_there", "r1", None, 1_000)),
    "one minor unit": ([theirs(amount=1_001)], [ours()], [], ("other_amount", "r1", 1_001, 1_000)),
    "another amount elsewhere": ([theirs(amount=9)], [], [elsewhere()], ("other_amount", "r1", 9, 1_000)),
    "another currency": ([theirs(currency="USD")], [ours()], [], ("other_currency", "r1", 1_000, 1_000)),
    "failed there": ([theirs(status="failed")], [ours()], [], ("other_state", "r1", 1_000, 1_000)),
    "failed here": ([theirs()], [ours(State.FAILED)], [], ("other_state", "r1", 1_000, 1_000)),
    "came back there": ([theirs(status="returned")], [ours()], [], ("other_state", "r1", 1_000, 1_000)),
    "undone here": ([theirs()], [], [elsewhere(undone=True)], ("other_state", "r1", 1_000, 1_000)),
    "listed twice": ([theirs(), theirs()], [ours()], [], ("listed_twice", "r1", 1_000, None)),
    "two there, one of ours nameless": (
        [theirs("a"), theirs("b")],
        [ours(provider_id=None)],
        [],
        ("missing_here", "b", 1_000, None),
    ),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_each_difference_is_named_with_both_figures(case: str):
    lines, own, other, expected = DIFFERENT[case]
    statement = compared(lines, own, other)
    [found] = statement.differences
    assert (found.kind, found.provider_id, found.theirs, found.ours) == expected
    assert not statement.clean


@pytest.mark.parametrize("state", [State.UNKNOWN, State.NEEDS_REVIEW, State.SENDING])
@pytest.mark.parametrize("spoken_of", [True, False])
def test_doubt_is_shown_as_doubt(state: State, spoken_of: bool):
    doubtful = ours(state, provider_id=None)
    line = theirs(mark=mark_of(doubtful.refund, 1))
    statement = compared([line] if spoken_of else [], [doubtful])
    assert statement.differences == ()
    [doubt] = statement.doubts
    assert (doubt.state, doubt.amount, doubt.theirs) == (state.value, 1_000, "succeeded" if spoken_of else None)
    assert statement.in_doubt == {"EUR": (1, 1_000)}


amounts = st.integers(1, 10**15)


@given(st.lists(amounts, max_size=8), st.lists(amounts, max_size=8), st.lists(amounts, max_size=8))
def test_every_line_is_counted_once_on_its_side(both: list[int], here: list[int], there: list[int]):
    lines = [theirs(f"b{n}", amount) for n, amount in enumerate(both)]
    lines += [theirs(f"t{n}", amount) for n, amount in enumerate(there)]
    own = [ours(provider_id=f"b{n}", amount=amount) for n, amount in enumerate(both)]
    own += [ours(provider_id=f"h{n}", amount=amount) for n, amount in enumerate(here)]
    statement = compared(lines, own)
    agreed = statement.agreed.get("EUR", (0, 0))
    assert agreed == (len(both), sum(both))
    assert agreed[1] + sum(each.theirs or 0 for each in statement.differences) == sum(both) + sum(there)
    assert agreed[1] + sum(each.ours or 0 for each in statement.differences) == sum(both) + sum(here)


# --- statements as files ---------------------------------------------------------------------------------------------

READABLE = {
    "plain": "id,amount,currency,date\nr1,12.50,EUR,2026-03-02\n",
    "capitals, spaces and another order": "Currency,Refund ID,Settlement Date,AMOUNT\nEUR,r1,2026-03-02,12.50\n",
    "semicolons and a decimal comma": "id;amount;currency;date\nr1;12,50;eur;2026-03-02\n",
    "what left the account is negative": "id,amount,currency,date\nr1,-12.50,EUR,2026-03-02\n",
    "minor units": "id,amount_minor,currency,date\nr1,1250,EUR,2026-03-02\n",
    "a mark at the beginning, an empty line, more columns": (
        "\ufeffid,amount,fee,currency,date\n\nr1,12.50,0.10,EUR,2026-03-02\n"
    ),
    "a time in a zone": "id,amount,currency,date\nr1,12.5,EUR,2026-03-02T01:00:00+01:00\n",
    "a status": "id,amount,currency,date,status\nr1,12.50,EUR,2026-03-02,Settled\n",
}


@pytest.mark.parametrize("case", READABLE)
def test_a_statement_is_read_whatever_its_heading(case: str):
    [line] = read_statement(READABLE[case])
    assert line == Line(provider_id="r1", amount=1_250, currency="EUR", at=datetime(2026, 3, 2, tzinfo=UTC))


def test_a_heading_can_be_named():
    text = "Ref No,Sum,currency,date\nr1,12.50,EUR,2026-03-02\n"
    [line] = read_statement(text, {"id": "Ref No", "amount": "Sum"})
    assert (line.provider_id, line.amount) == ("r1", 1_250)


UNREADABLE = {
    "": "columns are missing: amount, currency, date, id",
    "id,amount,date\n": "columns are missing: currency",
    "id,amount,currency,date\nr1,12.505,EUR,2026-03-02": "line 2",
    "id,amount,currency,date\nr1,1.250,50,EUR,2026-03-02": "line 2",
    "id,amount,currency,date\nr1,12.50,EURO,2026-03-02": "line 2",
    "id,amount,currency,date\nr1,12.50,EUR,02.03.2026": "no date",
    "id,amount,currency,date\n,12.50,EUR,2026-03-02": "no id",
    "id,amount,currency,date\nr1": "line 2",
    "id,amount,currency,date,status\nr1,1,EUR,2026-03-02,odd": "no such status",
    "id,amount_minor,currency,date\nr1,12.50,EUR,2026-03-02": "line 2",
}


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_cannot_be_read_says_where(text: str):
    with pytest.raises(ValueError, match=UNREADABLE[text]):
        read_statement(text)


@pytest.mark.parametrize("headings", [{"id": "nope"}, {"nope": "id"}])
def test_a_heading_that_is_not_there_is_an_error(headings: dict[str, str]):
    with pytest.raises(ValueError, match="nope"):
        read_statement(READABLE["plain"], headings)


def test_a_statement_is_about_its_days():
    lines = [theirs(at=moment("2026-03-05T12:00:00Z")), theirs("r2", at=moment("2026-03-02"))]
    first, last = span(lines)
    assert (first, last.date().isoformat()) == (moment("2026-03-02"), "2026-03-05")
    with pytest.raises(ValueError, match="no lines"):
        span([])


# --- over a ledger ---------------------------------------------------------------------------------------------------


async def statement_of(one: Scene, lines: list[Line] | None = None) -> Statement:
    now = (await one.store.now()).business
    since, until = min(START, now) - timedelta(days=1), max(START, now) + timedelta(days=1)
    return await reconcile(one.world, one.news, one.merchant, one.rail, since=since, until=until, lines=lines)


async def test_a_rail_is_compared_with_its_providers_list_and_nothing_is_changed(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        for amount in (1_000, 2_000):
            await one.admit(payment, amount)
            await work_round(one.world)
        assert (await statement_of(one)).agreed == {"EUR": (2, 3_000)}
        one.provider.make(payment.reference, 500)
        before = await one.payment_now(payment)
        statement = await statement_of(one)
        [found] = statement.differences
        assert (found.kind, found.theirs, found.payment) == ("missing_here", 500, payment.reference)
        assert await one.payment_now(payment) == before


async def test_a_refund_in_doubt_is_neither_equal_nor_different(database: str):
    async with scene(database) as one:
        one.provider.answer = "lost"
        payment = await one.pay()
        await one.admit(payment)
        await work_round(one.world)
        statement = await statement_of(one)
        assert statement.clean
        [doubt] = statement.doubts
        assert (doubt.state, doubt.theirs) == ("unknown", "succeeded")


async def test_a_settlement_statement_is_compared_the_same_way(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        await one.admit(payment)
        await work_round(one.world)
        lines = list(read_statement("id,amount,currency,date\npr-1,-10.00,EUR,2026-03-02\n"))
        assert (await statement_of(one, lines)).clean
        wrong = list(read_statement("id,amount,currency,date\npr-1,-10.01,EUR,2026-03-02\n"))
        assert [each.kind for each in (await statement_of(one, wrong)).differences] == ["other_amount"]
        assert [each.kind for each in (await statement_of(one, [])).differences] == ["missing_there"]
