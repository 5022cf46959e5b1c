"""Recovery: a database that forgot what was sent finds it before anything is sent again."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from moneyback.core.commands import Nudge
from moneyback.core.refund import Event, Refund, State
from moneyback.flows.read_news import read_lists
from moneyback.flows.recover import NOT_READ, NOT_RIPE, NOT_SHOWN, TOLD_AGAIN, close_gap, recover_rail
from moneyback.flows.work import work_round
from moneyback.store.news import Gap
from moneyback.store.verify import verify
from tests.flows.provider import Provider, Scene, scene
from tests.postgres import Databases

REFUNDS = 100


async def work_all(one: Scene) -> None:
    """Do what is due until nothing is."""
    for _ in range(50):
        if not await work_round(one.world):
            return
    raise AssertionError("there is always more work to do")


async def look_only(one: Scene, ago: float = 60) -> Gap:
    """The rail is told that what was sent for so many seconds may be forgotten."""
    now = (await one.store.now()).business
    assert await one.news.look_only(one.merchant, "main", now - timedelta(seconds=ago), "told")
    await one.learn()
    [gap] = await one.news.gaps(one.merchant)
    return gap


def executions(provider: Provider) -> Counter[str]:
    """How often the provider executed each refund of ours."""
    return Counter((each.mark or "").split("_")[1] for each in provider.books if each.mark)


async def states(one: Scene, refunds: list[Refund]) -> set[State]:
    return {(await one.now(each)).state for each in refunds}


@pytest.mark.parametrize("shows_left", [False, True], ids=["no remainder shown", "remainder shown"])
async def test_a_snapshot_put_back_after_sending_pays_nothing_twice(
    database: str, databases: Databases, shows_left: bool
):
    provider = Provider()
    provider.shows_left = shows_left
    provider.page = 17
    async with scene(database, provider) as one:
        payments = [await one.pay() for _ in range(REFUNDS // 2)]
        refunds = [await one.admit(each, amount) for each in payments for amount in (1_000, 2_000)]
        merchant, since = one.merchant, (await one.store.now()).business
    snapshot = await databases.copy(database)
    try:
        async with scene(database, provider, merchant=merchant) as one:
            await work_all(one)
            assert await states(one, refunds) == {State.SUCCEEDED}
            forgotten = [await one.admit(each, 300) for each in payments[:10]]  # nothing of these is in the snapshot
            await work_all(one)
            assert await states(one, forgotten) == {State.SUCCEEDED}
        paid = executions(provider)
        assert (len(paid), set(paid.values())) == (REFUNDS + 10, {1})

        async with scene(snapshot, provider, merchant=merchant) as again:
            await again.news.look_only(merchant, "main", since, "told")
            await again.learn()
            await work_round(again.world)
            assert executions(provider) == paid, "nothing is armed while the rail only looks"
            [gap] = await again.news.gaps()
            assert (await recover_rail(again.world, again.news, gap)).missing == NOT_RIPE
            await again.advance(101)
            await read_lists(again.world, again.news)
            assert await again.news.gaps() == ()
            assert not (await again.learn()).look_only
            await again.sql("update refunds set claimed_until = null")
            await work_all(again)
            assert executions(provider) == paid
            assert await states(again, refunds) == {State.NEEDS_REVIEW}
            after = [await again.payment_now(each) for each in payments]
            assert [each.external for each in after] == [300] * 10 + [0] * (len(after) - 10)
            assert {each.held for each in after} == {3_000}
            assert (await verify(snapshot)).clean
    finally:
        await databases.drop(snapshot)


async def test_unsent_refunds_of_a_payment_that_was_touched_are_reviewed_and_others_go_on(database: str):
    async with scene(database, list_lag=timedelta(0), processing=timedelta(0)) as one:
        touched, quiet = await one.pay(), await one.pay()
        unsent, later = await one.admit(touched), await one.admit(quiet)
        one.provider.make(touched.reference, 4_000)
        gap = await look_only(one)
        await one.advance(31)
        recovery = await recover_rail(one.world, one.news, gap)
        assert (recovery.missing, recovery.to_review, recovery.found) == ("", 1, {"external": 1})
        await one.learn()
        await work_all(one)
        assert (await one.now(unsent)).state is State.NEEDS_REVIEW
        assert (await one.now(later)).state is State.SUCCEEDED


async def test_a_person_who_has_looked_lets_an_unsent_refund_go(database: str):
    async with scene(database, list_lag=timedelta(0), processing=timedelta(0)) as one:
        payment = await one.pay()
        refund = await one.admit(payment)
        one.provider.make(payment.reference, 4_000)
        gap = await look_only(one)
        await one.advance(31)
        await recover_rail(one.world, one.news, gap)
        withdrawn: Any = Nudge(
            merchant=one.merchant,
            refund=refund.id,
            payment=payment.id,
            event=Event.WITHDRAWN,
            evidence=one.world.new_id(),
            by="ann",
        )
        await one.store.submit(withdrawn)
        assert (await one.now(refund)).state is State.CANCELED


async def test_a_list_that_breaks_off_closes_no_gap(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        for _ in range(7):
            one.provider.make(payment.reference, 100)
        gap = await look_only(one)
        await one.advance(101)
        one.provider.pages_until_silence = 1
        assert (await recover_rail(one.world, one.news, gap)).missing == NOT_READ
        assert await one.news.gaps() == (gap,)
        one.provider.pages_until_silence = None
        assert (await recover_rail(one.world, one.news, gap)).missing == ""
        assert (await one.payment_now(payment)).external == 700


async def test_a_rail_told_to_look_again_goes_on_looking(database: str):
    async with scene(database) as one:
        first = await look_only(one)
        await one.advance(101)
        second = await look_only(one, ago=0)
        assert second.since == first.since, "the earlier beginning counts"
        assert (await recover_rail(one.world, one.news, first)).missing == TOLD_AGAIN
        assert (await recover_rail(one.world, one.news, second)).missing == NOT_RIPE
        assert await one.news.gaps() == (second,)


async def test_without_a_list_every_payment_that_moved_is_read(database: str):
    async with scene(database, list_refunds=None) as one:
        moved, drifted = await one.pay(), await one.pay()
        unsent = await one.admit(drifted)
        one.provider.make(drifted.reference, 4_000)
        gap = await look_only(one)
        await one.advance(101)
        one.provider.reads = False
        assert (await recover_rail(one.world, one.news, gap)).missing == NOT_READ
        one.provider.reads = True
        recovery = await recover_rail(one.world, one.news, gap)
        assert (recovery.missing, recovery.to_review) == ("", 1)
        assert recovery.found == {"agrees": 1, "other_remainder": 1}
        assert (await one.now(unsent)).state is State.NEEDS_REVIEW
        assert (await one.payment_now(moved)).fence is None


async def test_where_too_little_is_shown_a_person_closes_the_gap(database: str):
    async with scene(database, list_refunds=None) as one:
        one.provider.shows_left = False
        payment = await one.pay()
        refund = await one.admit(payment)
        gap = await look_only(one)
        await one.advance(101)
        assert (await recover_rail(one.world, one.news, gap)).missing == NOT_SHOWN
        await work_round(one.world)
        assert (await one.now(refund)).state is State.READY
        assert await close_gap(one.news, gap, "ann", "nothing was sent")
        assert not await close_gap(one.news, gap, "ann", "nothing was sent")
        [said] = await one.news.findings(one.merchant, open_only=False)
        assert (said.kind, said.note, said.settled_by) == ("recovery", "nothing was sent", "ann")
        await one.learn()
        await one.sql("update refunds set claimed_until = null")
        await work_all(one)
        assert (await one.now(refund)).state is State.SUCCEEDED


# --- another past ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["system_identifier = '1'", "timeline = timeline + 1"])
async def test_another_past_is_noticed_once_and_every_rail_looks_from_the_last_event(database: str, change: str):
    async with scene(database) as one:
        assert await one.news.notice_new_past() is None, "kept for the first time"
        assert await one.news.notice_new_past() is None
        await one.admit(await one.pay())
        [last] = await one.sql("select at from events order by xid desc, id desc limit 1")
        [before] = await one.sql("select epoch from cell")
        await one.sql(f"update cell set {change}")
        assert await one.news.notice_new_past() == 1
        assert await one.news.notice_new_past() is None
        [gap] = await one.news.gaps()
        assert (gap.since, gap.why) == (last["at"], "restored")
        [after] = await one.sql("select epoch from cell")
        assert after["epoch"] == before["epoch"] + 1
        assert (await one.learn()).look_only


async def test_a_rail_on_which_nothing_happened_looks_from_its_beginning(database: str):
    async with scene(database) as one:
        await one.news.notice_new_past()
        await one.sql("update cell set timeline = timeline + 1")
        await one.news.notice_new_past()
        [gap] = await one.news.gaps()
        [rail] = await one.sql("select created_at from rails")
        assert gap.since == rail["created_at"]
