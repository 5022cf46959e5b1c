"""News from providers: whatever is told, in any order and however often, what counts is what the provider shows."""

import asyncio
import itertools
import os
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from moneyback.core.commands import Resolve, Sighting
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import Notification, SeenRefund
from moneyback.flows import drift
from moneyback.flows.adopt import adopt
from moneyback.flows.hear import hear, read_told
from moneyback.flows.read_news import read_lists, read_news
from moneyback.flows.send_refund import send_due
from moneyback.flows.work import work_round
from moneyback.store.news import Finding
from moneyback.store.port import StoreUnavailable, Work
from moneyback.store.verify import verify
from moneyback.workers.news import REST_S, REST_S_BROKEN, run_news
from tests.flows.provider import KEY, Provider, Scene, scene, told


async def tell(one: Scene, sent: Notification) -> str:
    """One notification as it reaches the rail's address; what came of it."""
    return (await hear(one.world, one.news, await one.token(), sent)).outcome


async def sent(one: Scene, payment: Payment, amount: int = 1_000) -> Refund:
    """A refund that was sent as far as the provider lets it go."""
    refund = await one.admit(payment, amount)
    await work_round(one.world)
    return await one.now(refund)


async def findings(one: Scene, *, open_only: bool = True) -> list[tuple[str, str]]:
    found = await one.news.findings(one.merchant, "main", open_only=open_only)
    return sorted((each.kind, each.reference) for each in found)


# --- what is answered ------------------------------------------------------------------------------------------------


async def test_a_notification_is_kept_and_answered_before_anything_is_read(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        one.provider.make(payment.reference, 700)
        answered = await hear(one.world, one.news, await one.token(), told("d-1", payment.reference))
        assert (answered.outcome, answered.answer.body) == ("heard", {"received": True})
        assert (await one.payment_now(payment)).external == 0
        assert await read_told(one.world, one.news) == 1
        assert (await one.payment_now(payment)).external == 700


async def test_told_again_it_is_neither_kept_nor_read_again(database: str):
    async with scene(database, list_lag=timedelta(0)) as one:
        payment = await one.pay()
        assert [await tell(one, told("d-1", payment.reference)) for _ in range(3)] == ["heard", "repeated", "repeated"]
        assert [await read_told(one.world, one.news) for _ in range(2)] == [1, 0]
        assert await tell(one, told("d-1", payment.reference)) == "repeated"
        assert await read_told(one.world, one.news) == 0


@pytest.mark.parametrize(
    ("body", "status", "outcome"),
    [(b"wrong|d|p|", 401, "forged"), (b"nonsense", 400, "unreadable")],
)
async def test_what_is_forged_or_unreadable_leaves_nothing(database: str, body: bytes, status: int, outcome: str):
    async with scene(database) as one:
        answered = await hear(one.world, one.news, await one.token(), Notification(method="POST", body=body))
        assert (answered.answer.status, answered.outcome) == (status, outcome)
        assert await read_told(one.world, one.news) == 0
        assert KEY not in repr(one.logged)
        assert body.decode() not in repr(one.logged)


async def test_an_address_nobody_gave_out_leads_nowhere(database: str):
    async with scene(database) as one:
        answered = await hear(one.world, one.news, "0" * 64, told("d-1"))
        assert (answered.answer.status, answered.outcome) == (404, "unknown")
        token = await one.token()
        assert await one.book.remove(one.merchant, "main")
        gone = await hear(one.world, one.news, token, told("d-1"))
        assert gone.answer.status == 404


async def test_a_rail_this_process_cannot_use_asks_to_be_told_again(database: str):
    async with scene(database) as one:
        one.world.own_rails.clear()
        answered = await hear(one.world, one.news, await one.token(), told("d-1"))
        assert (answered.answer.status, answered.outcome) == (503, "unavailable")
        assert "Retry-After" in answered.answer.headers


async def test_what_is_kept_has_neither_cards_nor_secrets(database: str):
    async with scene(database) as one:
        card = "4242424242424242"
        sent = Notification(
            method="POST", query=(("pan", card),), body=f"{KEY}|d-1|{card}|".encode(), headers={"authorization": KEY}
        )
        assert await tell(one, sent) == "heard"
        kept = await one.sql("select raw from notifications")
        assert card not in kept[0]["raw"]
        assert KEY not in kept[0]["raw"]


# --- what is read ----------------------------------------------------------------------------------------------------


async def test_a_pending_refund_ends_when_its_notification_says_so(database: str):
    async with scene(database) as one:
        one.provider.answer = "pending"
        payment = await one.pay()
        refund = await sent(one, payment)
        assert refund.state is State.PENDING
        one.provider.turn(refund.provider_id or "", "succeeded")
        assert await tell(one, told("d-1", refunds=refund.provider_id or "")) == "heard"
        await read_told(one.world, one.news)
        assert (await one.now(refund)).state is State.SUCCEEDED


async def test_a_notification_alone_proves_nothing(database: str):
    """It says that something happened; the provider shows that nothing did."""
    async with scene(database) as one:
        one.provider.answer = "pending"
        payment = await one.pay()
        refund = await sent(one, payment)
        await tell(one, told("executed, honestly", payment.reference, refund.provider_id or ""))
        await read_told(one.world, one.news)
        assert (await one.now(refund)).state is State.PENDING


async def test_what_cannot_be_read_is_read_later(database: str):
    async with scene(database, list_lag=timedelta(0)) as one:
        payment = await one.pay()
        one.provider.make(payment.reference, 700)
        one.provider.reads = False
        await tell(one, told("d-1", payment.reference))
        assert await read_told(one.world, one.news) == 1
        assert await read_told(one.world, one.news) == 0
        one.provider.reads = True
        await one.advance(11)
        assert await read_told(one.world, one.news) == 1
        assert (await one.payment_now(payment)).external == 700
        await one.advance(3_600)
        assert await read_told(one.world, one.news) == 0


async def test_what_does_not_show_yet_is_read_once_more_when_it_must(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        await tell(one, told("d-1", payment.reference))
        await read_told(one.world, one.news)
        one.provider.make(payment.reference, 700)  # its reads had lagged behind its notifications
        await one.advance(11)
        await read_told(one.world, one.news)
        assert (await one.payment_now(payment)).external == 700


async def test_an_unknown_refund_is_found_by_the_list(database: str):
    async with scene(database) as one:
        await read_lists(one.world, one.news)
        assert await read_lists(one.world, one.news) == 0
        payment = await one.pay()
        one.provider.make(payment.reference, 700, provider_id="dash-1")
        await tell(one, told("d-1", refunds="dash-1"))
        await read_told(one.world, one.news)
        assert await read_lists(one.world, one.news) == 1
        assert (await one.payment_now(payment)).external == 700


async def test_a_process_that_died_while_reading_is_followed_by_another(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        one.provider.make(payment.reference, 700)
        await tell(one, told("d-1", payment.reference))
        assert len(await one.news.claim_told(10, timedelta(seconds=120))) == 1  # and was killed
        assert await read_told(one.world, one.news) == 0
        await one.sql("update notifications set claimed_until = clock_timestamp() - interval '1 second'")
        assert await read_told(one.world, one.news) == 1
        assert (await one.payment_now(payment)).external == 700


# --- any order, any repetition ---------------------------------------------------------------------------------------


async def told_in_order(one: Scene, order: tuple[int, ...]) -> tuple[Payment, Refund]:
    """Live a life and be told of it in this order; by the time of a notification, what it is about has happened."""
    payment = await one.pay()
    refund = await one.admit(payment)
    work = Work(kind="send", merchant=one.merchant, refund=refund.id, payment=payment.id, rail="main")
    await send_due(one.world, work)
    provider_id = (await one.now(refund)).provider_id or ""
    happened = 0
    for number, step in enumerate(order):
        for each in range(happened, step + 1):
            happen(one.provider, payment.reference, provider_id, each)
        happened = max(happened, step + 1)
        digest = f"{payment.reference}:{step}"
        named = told(digest, payment.reference) if step % 2 else told(digest, refunds=provider_id)
        assert await tell(one, named) == ("repeated" if step in order[:number] else "heard")
        await read_told(one.world, one.news)
    return payment, refund


async def standing(one: Scene, payment: Payment, refund: Refund) -> tuple[Any, ...]:
    """Everything about them that must not depend on who was told what first."""
    refund, after = await one.now(refund), await one.payment_now(payment)
    return (
        *(refund.state, after.held, after.refunded, after.external, after.disputed, after.clawed_back),
        *(after.excess, after.open_cases, after.fence, after.refundable),
    )


def happen(provider: Provider, payment: str, refund: str, step: int) -> None:
    """One more thing happens."""
    case = f"{payment}/case"
    match step:
        case 0:
            provider.turn(refund, "succeeded")
        case 1:
            provider.make(payment, 1_500, provider_id=f"{payment}/dash")
        case 2:
            provider.disputes[case] = Sighting(kind="dispute_open", amount=2_000, reference=case)
        case 3:
            provider.disputes[case] = Sighting(kind="dispute_lost", amount=2_000, reference=case)
        case 4:
            provider.turn(refund, "returned")
        case _:
            raise AssertionError(step)


EXPECTED = (State.RETURNED, 0, 0, 1_500, 0, 2_000, 0, 0, None, 6_500)


@pytest.mark.parametrize("events", [3, 4, 5])
async def test_every_order_with_one_repetition_ends_the_same(database: str, events: int):
    """Of k events: every ordering, and one of them told twice. Many lives at once, and all read each other's news."""
    async with scene(database) as one:
        one.provider.answer = "pending"
        every = events < 5 or bool(os.environ.get("MONEYBACK_SOAK"))
        orders = [
            (*order, order[again])
            for order in itertools.permutations(range(5 - events, 5))
            for again in (range(events) if every else (sum(order[:3]) % 5,))
        ]
        for batch in range(0, len(orders), 24):
            lives = await asyncio.gather(*(told_in_order(one, each) for each in orders[batch : batch + 24]))
            while await read_told(one.world, one.news):
                pass
            for order, (payment, refund) in zip(orders[batch : batch + 24], lives, strict=True):
                assert await standing(one, payment, refund) == EXPECTED, order
            one.provider.books.clear()
        assert (await verify(database)).clean


# --- adoption --------------------------------------------------------------------------------------------------------


async def take(one: Scene, seen: SeenRefund) -> str:
    return (await adopt(one.world, one.news, one.merchant, one.rail, seen)).verdict


async def test_ours_is_found_by_its_id_and_agrees(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        refund = await sent(one, payment)
        before = await one.now(refund)
        assert [await take(one, each) for each in one.provider.books * 2] == ["agrees", "agrees"]
        assert await one.now(refund) == before
        assert (await one.payment_now(payment)).external == 0


async def test_ours_is_found_by_its_mark_when_no_answer_came(database: str):
    async with scene(database) as one:
        one.provider.answer = "lost"
        payment = await one.pay()
        refund = await sent(one, payment)
        assert (refund.state, refund.provider_id) == (State.UNKNOWN, None)
        assert await take(one, one.provider.books[0]) == "recorded"
        after = await one.now(refund)
        assert (after.state, after.provider_id) == (State.SUCCEEDED, "pr-1")
        assert (await one.payment_now(payment)).external == 0
        [seen] = [each for each in await one.reads.evidence_of_refund(one.merchant, refund.id) if each.source == "list"]
        assert (seen.grade.value, seen.counted) == ("A", True)


@pytest.mark.parametrize(
    ("status", "state"),
    [("pending", State.PENDING), ("failed", State.FAILED), ("returned", State.RETURNED)],
)
async def test_each_word_of_a_list_is_evidence(database: str, status: Any, state: State):
    async with scene(database) as one:
        one.provider.answer = "lost"
        payment = await one.pay()
        refund = await sent(one, payment)
        one.provider.turn("pr-1", status)
        assert await take(one, one.provider.books[0]) == "recorded"
        assert (await one.now(refund)).state is state


async def test_what_had_succeeded_and_came_back_is_returned(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        refund = await sent(one, payment)
        one.provider.turn("pr-1", "returned")
        assert await take(one, one.provider.books[0]) == "recorded"
        assert (await one.now(refund)).state is State.RETURNED
        assert (await one.payment_now(payment)).refundable == 10_000


async def test_another_amount_than_ours_is_for_a_person(database: str):
    async with scene(database) as one:
        one.provider.answer = "lost"
        payment = await one.pay()
        refund = await sent(one, payment)
        one.provider.books[0] = SeenRefund(
            provider_id="pr-1", payment=payment.reference, amount=1_300, mark=one.provider.books[0].mark
        )
        assert await take(one, one.provider.books[0]) == "recorded"
        assert (await one.now(refund)).state is State.NEEDS_REVIEW
        assert await findings(one) == [("other_amount", "pr-1")]
        assert await take(one, one.provider.books[0]) == "nothing"


async def test_a_refund_made_elsewhere_counts_once_and_is_let_go_when_it_failed(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        made = one.provider.make(payment.reference, 2_000)
        assert [await take(one, made) for _ in range(3)] == ["external", "agrees", "agrees"]
        assert (await one.payment_now(payment)).external == 2_000
        one.provider.turn(made.provider_id, "failed")
        assert [await take(one, one.provider.books[0]) for _ in range(2)] == ["undone", "nothing"]
        assert await take(one, made) == "agrees"  # an older page, late
        assert (await one.payment_now(payment)).external == 0
        assert await findings(one) == []
        assert await findings(one, open_only=False) == [("external", made.provider_id)]
        assert (await verify(database)).clean


async def test_a_failed_refund_made_elsewhere_moved_nothing(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        assert await take(one, one.provider.make(payment.reference, 2_000, status="failed")) == "nothing"
        assert (await one.payment_now(payment)).external == 0


async def test_a_payment_nobody_knows_is_reported_until_it_is_known(database: str):
    async with scene(database) as one:
        made = one.provider.make("elsewhere", 500)
        assert await take(one, made) == "unknown_payment"
        assert await findings(one) == [("unknown_payment", made.provider_id)]
        payment = await one.pay("elsewhere")
        assert await take(one, made) == "external"
        assert (await one.payment_now(payment)).external == 500
        assert await findings(one) == []


async def test_what_may_be_ours_is_not_counted_beside_it(database: str):
    """A provider that echoes no mark lists a refund while the answer to ours was lost: whose it is, is not known."""
    async with scene(database) as one:
        one.provider.answer, one.provider.marks = "lost", False
        payment = await one.pay()
        refund = await sent(one, payment)
        line = one.provider.of(payment.reference)[0]
        assert await take(one, line) == "waits"
        assert (await one.payment_now(payment)).external == 0
        assert await findings(one) == [("unplaced", "pr-1")]
        await settle_by_person(one, refund)
        assert await take(one, line) == "recorded"
        after = await one.payment_now(payment)
        assert (after.refunded, after.external) == (1_000, 0)
        assert (await one.now(refund)).provider_id == "pr-1"
        assert await take(one, line) == "agrees"
        assert await findings(one) == []


async def settle_by_person(one: Scene, refund: Refund) -> None:
    """Somebody has looked at the provider: it was executed."""
    current = await one.now(refund)
    await one.store.submit(
        Resolve(
            merchant=one.merchant,
            refund=refund.id,
            payment=refund.payment,
            executed=True,
            evidence_version=current.evidence_version,
            evidence=one.world.new_id(),
            by="ann",
            note="seen",
            terms=one.world.terms,
        )
    )
    assert (await one.now(refund)).state is State.SUCCEEDED


async def test_somebody_elses_mark_is_nobodys(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        for number, mark in enumerate(("mb_", "mb_zz_1", f"mb_{payment.id.hex}_1", f"mb_{'0' * 32}_x", "their own")):
            made = one.provider.make(payment.reference, 100 + number, mark=mark)
            assert await take(one, made) == "external", mark
        assert (await one.payment_now(payment)).external == 510


async def test_another_merchants_refund_is_not_found_by_its_mark(database: str):
    async with scene(database) as one, scene(database) as other:
        theirs = await other.pay()
        refund = await sent(other, theirs)
        made = one.provider.make("not ours", 1_000, mark=refund.mark)
        assert await take(one, made) == "unknown_payment"
        assert await other.now(refund) == refund


async def test_another_currency_is_reported_and_not_counted(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        made = one.provider.make(payment.reference, 500, currency="USD")
        assert await take(one, made) == "other_currency"
        assert (await one.payment_now(payment)).external == 0
        assert await findings(one) == [("other_currency", made.provider_id)]


async def test_what_a_person_settled_stays_settled_while_its_figures_are_the_same(database: str):
    async with scene(database) as one:
        made = one.provider.make("elsewhere", 500)
        await take(one, made)
        await one.news.settle(one.merchant, "main", made.provider_id, by="ann")
        await take(one, made)
        assert await findings(one) == []
        found = Finding(rail="main", kind="unknown_payment", reference=made.provider_id, theirs=600)
        assert not await one.news.note(one.merchant, found)
        assert await findings(one) == [("unknown_payment", made.provider_id)]


# --- drift -----------------------------------------------------------------------------------------------------------


async def test_a_list_is_read_to_its_end_and_then_from_there(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        for _ in range(7):
            one.provider.make(payment.reference, 100)
        assert await read_lists(one.world, one.news) == 1
        assert (await one.payment_now(payment)).external == 700
        assert await read_lists(one.world, one.news) == 0
        reads = one.provider.list_reads
        one.provider.make(payment.reference, 50)
        await one.advance(301)
        assert await read_news(one.world, one.news) == 1
        assert one.provider.list_reads == reads + 1
        assert (await one.payment_now(payment)).external == 750


async def test_a_reading_that_breaks_off_goes_on_where_it_was(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        for _ in range(7):
            one.provider.make(payment.reference, 100)
        one.provider.pages_until_silence = 2
        await read_lists(one.world, one.news)
        assert (await one.payment_now(payment)).external == 600
        one.provider.pages_until_silence = None
        one.provider.list_reads = 0
        await one.advance(61)
        await read_lists(one.world, one.news)
        assert (await one.payment_now(payment)).external == 700
        assert one.provider.list_reads == 1


async def test_one_process_at_a_time_reads_a_list(database: str):
    async with scene(database) as one:
        turns = [await one.news.claim_lists(8, timedelta(seconds=120)) for _ in range(2)]
        assert [len(each) for each in turns] == [1, 0]
        await one.sql("update rails set list_claimed_until = clock_timestamp() - interval '1 second'")
        [late] = await one.news.claim_lists(8, timedelta(seconds=120))
        assert await drift.read_list(one.world, one.news, turns[0][0]) == ()
        [row] = await one.sql("select list_claimed_until from rails")
        assert row["list_claimed_until"] == late.claim, "the one that was late has left the other's claim alone"


async def test_once_a_day_the_last_weeks_are_read_again(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        refund = await sent(one, payment)
        await read_lists(one.world, one.news)
        one.provider.turn("pr-1", "returned")
        await one.advance(301)
        await read_lists(one.world, one.news)
        assert (await one.now(refund)).state is State.SUCCEEDED, "the list goes on from its end"
        await one.advance(86_400)
        await read_lists(one.world, one.news)
        assert (await one.now(refund)).state is State.RETURNED


async def test_a_rail_without_a_list_is_left_to_looking(database: str):
    async with scene(database, list_refunds=None) as one:
        assert await read_lists(one.world, one.news) == 1
        assert await read_lists(one.world, one.news) == 0
        assert one.provider.list_reads == 0


async def test_many_readers_and_senders_at_once_count_everything_once(database: str):
    async with scene(database) as one:
        one.provider.answer = "pending"
        payments = [await one.pay() for _ in range(6)]
        for payment in payments:
            await one.admit(payment)
            one.provider.make(payment.reference, 300)
            await tell(one, told(payment.reference, payment.reference))
        await asyncio.gather(*(story(one.world, one.news) for story in (read_news, read_lists, read_told) * 2))
        await work_round(one.world)
        await one.advance(301)
        await asyncio.gather(*(read_news(one.world, one.news) for _ in range(3)))
        for payment in payments:
            after = await one.payment_now(payment)
            assert (after.external, after.held + after.refunded) == (300, 1_000)
        assert (await verify(database)).clean


# --- the loop --------------------------------------------------------------------------------------------------------


class Ended(Exception):
    """The loop has come to its rest."""


async def rounds(one: Scene, news: Any) -> list[float]:
    """How long the loop rests after each round, until there is nothing to do."""
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        if seconds:
            raise Ended

    with pytest.raises(Ended):
        await run_news(replace(one.world, sleep=rest), news)
    return rests


async def test_the_loop_reads_on_while_there_is_news(database: str):
    async with scene(database) as one:
        payment = await one.pay()
        one.provider.make(payment.reference, 700)
        await tell(one, told("d-1", payment.reference))
        assert await rounds(one, one.news) == [0.0, REST_S]
        assert (await one.payment_now(payment)).external == 700


async def test_a_database_that_is_away_is_waited_for(database: str):
    class Away:
        async def claim_told(self, *_: object) -> None:
            raise StoreUnavailable("away")

        claim_lists = claim_told

    async with scene(database) as one:
        assert await rounds(one, Away()) == [REST_S_BROKEN]
        assert await rounds(one, None) == [REST_S_BROKEN], "a round that breaks does not end the loop"
        assert {"news_waits", "news_round_broke"} <= {word for word, _ in one.logged}


async def test_a_list_that_quotes_a_secret_leaves_none_behind(database: str):
    async with scene(database) as one:
        one.provider.answer = "lost"
        payment = await one.pay()
        refund = await sent(one, payment)
        one.provider.books[0] = replace(one.provider.books[0], status="failed", code=f"bad key {KEY}")
        await read_lists(one.world, one.news)
        after = await one.now(refund)
        assert (after.state, after.provider_code) == (State.FAILED, "bad key [hidden]")
