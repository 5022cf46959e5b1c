"""Import: payments come in once with their earlier refunds, and nothing is sent where the figures do not meet."""

from datetime import UTC, datetime

import pytest

from moneyback.core.refund import State
from moneyback.flows.import_payments import (
    Imported,
    import_ids,
    import_rows,
    payments_refunded_since,
    read_payments,
)
from moneyback.flows.work import work_round
from moneyback.store.verify import verify
from tests.flows.provider import START, Scene, scene

HEAD = "reference,amount,currency,captured_at,fees,refunds,left\n"


async def imported(one: Scene, text: str, *, dry: bool = False) -> list[Imported]:
    rows = read_payments(text)
    return [each async for each in import_rows(one.world, one.news, one.merchant, one.rail, "native", rows, dry=dry)]


async def fetched(one: Scene, *ids: str) -> list[Imported]:
    return [each async for each in import_ids(one.world, one.news, one.merchant, one.rail, "native", ids)]


async def test_payments_come_in_with_their_earlier_refunds(database: str):
    async with scene(database) as one:
        text = f"{HEAD}p1,100.00,EUR,2026-02-01,5.00,r1=10.00 r2=2.50,87.50\np2,1000,JPY,,,,\n"
        assert [each.outcome for each in await imported(one, text)] == ["created", "created"]
        first = await one.news.payment_there(one.merchant, one.rail.account, "p1")
        second = await one.news.payment_there(one.merchant, one.rail.account, "p2")
        assert first is not None
        assert second is not None
        assert (first.captured, first.fees, first.external, first.rail_gap) == (10_000, 500, 1_250, None)
        assert first.captured_at == datetime(2026, 2, 1, tzinfo=UTC)
        assert (second.captured, second.currency) == (1_000, "JPY")
        assert (await verify(database)).clean


async def test_imported_again_nothing_changes(database: str):
    async with scene(database) as one:
        text = f"{HEAD}p1,100.00,EUR,,,r1=10.00,\np2,50.00,EUR,,,,\n"
        first = await imported(one, text)
        before = await one.sql("select * from payments order by id")
        again = await imported(one, text)
        assert [each.outcome for each in again] == ["known", "known"]
        assert [each.payment for each in again] == [each.payment for each in first]
        assert await one.sql("select * from payments order by id") == before


async def test_an_import_that_was_cut_off_is_begun_again_from_the_beginning(database: str):
    async with scene(database) as one:
        text = HEAD + "".join(f"p{n},10.00,EUR,,,,\n" for n in range(5))
        rows = read_payments(text)
        cut = import_rows(one.world, one.news, one.merchant, one.rail, "native", rows)
        assert [(await anext(cut)).outcome for _ in range(2)] == ["created", "created"]
        assert [each.outcome for each in await imported(one, text)] == ["known"] * 2 + ["created"] * 3


async def test_a_dry_run_says_what_would_be_done(database: str):
    async with scene(database) as one:
        await imported(one, f"{HEAD}p1,10.00,EUR,,,,\n")
        text = f"{HEAD}p1,10.00,EUR,,,,\np2,10.00,EUR,,,,\np3,-1,EUR,,,,\n"
        assert [each.outcome for each in await imported(one, text, dry=True)] == ["known", "would_create", "invalid"]
        assert len(await one.sql("select id from payments")) == 1


async def test_where_the_remainder_differs_nothing_is_sent_until_it_is_explained(database: str):
    async with scene(database, rung=2) as one:
        one.provider.captured["p1"] = 10_000
        one.provider.make("p1", 3_000, provider_id="dash")
        [gap] = await imported(one, f"{HEAD}p1,100.00,EUR,,,,70.00\n")
        assert (gap.outcome, gap.why) == ("gap", "the provider's remainder is -3000 minor units from ours")
        payment = await one.store.payment(one.merchant, gap.payment)  # type: ignore[arg-type]
        assert payment is not None
        refund = await one.admit(payment, 1_000)
        await work_round(one.world)
        assert (await one.now(refund)).state is State.READY
        assert [each.outcome for each in await fetched(one, "p1")] == ["known"]
        explained = await one.payment_now(payment)
        assert (explained.external, explained.rail_gap) == (3_000, None)
        await work_round(one.world)
        assert (await one.now(refund)).state is State.SUCCEEDED
        assert (await verify(database)).clean


async def test_a_gap_that_is_only_partly_explained_stays(database: str):
    async with scene(database) as one:
        [gap] = await imported(one, f"{HEAD}p1,100.00,EUR,,,,60.00\n")
        assert gap.why.startswith("the provider's remainder is -4000")
        [still] = await imported(one, f"{HEAD}p1,100.00,EUR,,,r1=30.00,60.00\n")
        assert (still.outcome, still.why) == ("gap", "the provider's remainder is -1000 minor units from ours")


async def test_more_given_back_than_came_in_waits_for_a_person(database: str):
    async with scene(database) as one:
        [row] = await imported(one, f"{HEAD}p1,10.00,EUR,,,r1=12.00,\n")
        payment = await one.store.payment(one.merchant, row.payment)  # type: ignore[arg-type]
        assert payment is not None
        assert (payment.excess, payment.blocked) == (200, True)


async def test_payments_are_fetched_by_their_ids(database: str):
    async with scene(database) as one:
        one.provider.captured |= {"p1": 5_000, "p2": 700}
        one.provider.make("p1", 1_000)
        results = await fetched(one, "p1", "nope", "p2")
        assert [each.outcome for each in results] == ["created", "missing", "created"]
        payment = await one.news.payment_there(one.merchant, one.rail.account, "p1")
        assert payment is not None
        assert (payment.captured, payment.external, payment.rail_gap) == (5_000, 1_000, None)
        one.provider.reads = False
        assert [each.outcome for each in await fetched(one, "p1")] == ["unanswered"]


async def test_the_list_of_refunds_names_each_payment_once(database: str):
    async with scene(database) as one:
        for payment in ("p1", "p2", "p1", "p3"):
            one.provider.make(payment, 100)
        assert await payments_refunded_since(one.rail, START) == ("p1", "p2", "p3")


WRONG = {
    "p1,ten,EUR,,,,": "amount",
    "p1,10.001,EUR,,,,": "amount",
    "p1,0,EUR,,,,": "positive",
    "p1,-5,EUR,,,,": "positive",
    "p1,10.00,EUR,,10.00,,": "fees",
    "p1,10.00,XXQ,,,,": "XXQ",
    "p1,10.00,EUR,yesterday,,,": "no date",
    "p1,10.00,EUR,,,r1,": "id=amount",
    "p1,10.00,EUR,,,r1=-1,": "id=amount",
    "p1,10.00,EUR,,,r1=x,": "refunds",
    ",10.00,EUR,,,,": "reference",
    "p1,10.00,EUR,,,,,more": "more cells",
}


@pytest.mark.parametrize("line", WRONG)
async def test_a_row_that_is_wrong_says_why_and_stops_no_other(database: str, line: str):
    async with scene(database) as one:
        wrong, right = await imported(one, f"{HEAD}{line}\np9,10.00,EUR,,,,\n")
        assert (wrong.outcome, right.outcome) == ("invalid", "created")
        assert WRONG[line] in wrong.why


@pytest.mark.parametrize("head", ["", "reference,amount\n", "reference,amount,currency,colour\n"])
def test_a_file_without_the_columns_is_refused(head: str):
    with pytest.raises(ValueError, match=r"missing|no such column"):
        read_payments(head)


def test_a_sum_whose_parts_nobody_remembers_is_one_refund():
    [row] = read_payments("reference,amount,currency,refunded\np1,10.00,EUR,2.00\n")
    assert row.fetched is not None
    assert [(each.provider_id, each.amount) for each in row.fetched.refunds] == [("p1:before", 200)]
