"""What every store promises, tried on both: concurrent callers, two processes, and everything read back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from moneyback.core.commands import Admitted, Grouped, Home, Joined, Moved, Replayed, SaveAnswer, Saved, Standing
from moneyback.core.payment import Asked, Capabilities, Condition, Parts, Payment, PaymentKind
from moneyback.core.refund import ENDED, Event, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.ids import new_id
from moneyback.store.port import Cursor, Logged, Store, Work
from tests.store.engine import (
    NUMBERS,
    PATIENCE_S,
    Engine,
    MemoryCell,
    PostgresCell,
    keyed,
    open_cell,
    reasons,
    sequences,
)

Cell = MemoryCell | PostgresCell
LEASE = timedelta(seconds=60)
OVER = timedelta(seconds=-1)  # a lease that has run out already
NEVER = timedelta(days=36_500)


@pytest.fixture(params=["memory", "postgres"])
def place(request: pytest.FixtureRequest) -> str | None:
    """Where the cell is: in memory, or on a database that the tests of this file share."""
    return request.getfixturevalue("module_database") if request.param == "postgres" else None


@pytest.fixture
async def cell(place: str | None) -> AsyncIterator[Cell]:
    opened = await open_cell(place)
    yield opened
    await opened.close()


@pytest.fixture
async def store(cell: Cell) -> Store:
    """One process."""
    return await cell.process()


@pytest.fixture
async def other(cell: Cell) -> Store:
    """A second process on the same database."""
    return await cell.process()


# --- what was written is what is read --------------------------------------------------------------------------------


async def test_a_payment_with_every_fact_reads_back_as_it_was_written(store: Store):
    engine = Engine(store)
    written = await engine.pay(
        dialect="mangopay",
        dialect_id="7",
        order="o-1",
        method="CB_VISA",
        condition=Condition.CAPTURED,
        authorized=12_000,
        fees=500,
        wallet="w-1",
        fee_wallet="w-2",
        parts=Parts(subtotal=8_000, tax=2_000, discount=-500, shipping=500),
        scenario="ok",
        rail_gap=-3,
        metadata={"a": [1, {"b": None}], "ü": "€ \\ \" '"},
        document={"AuthorId": "8", "Tag": None},
    )
    assert await engine.payment(written) == written


async def test_a_refund_with_every_fact_reads_back_as_it_was_written(store: Store):
    engine = Engine(store, merged=True)
    payment = await engine.pay(fees=1_000)
    written = await engine.admit(
        payment,
        3_000,
        armable=True,
        reason="damaged",
        reference="order 7",
        requested_by="ann",
        destination="iban",
        scenario="slow:3",
        equality=b"\x00\xff",
        group=new_id(),
        metadata={"a": [1, 2.5, True]},
        request={"amount": "30.00"},
    )
    assert (written.state, written.generation, written.fee_return) == (State.SENDING, 1, 300)
    assert await engine.refund(written) == written
    attempt = await engine.attempt(written)
    assert (attempt.mark, attempt.amount) == (written.mark, 3_000)


async def test_what_hangs_on_a_payment_reads_back(store: Store):
    engine = Engine(store)
    payment = await engine.pay(external=(("before", 1_000),))
    refund = await engine.admit(payment, 2_000)
    await engine.sight(payment, "dispute_open", 500, "d-1")
    await engine.sight(payment, "external", 8_000, "dashboard")
    children = await store.children(engine.merchant, payment.id)
    assert {name: each.amount for name, each in children.externals.items()} == {"before": 1_000, "dashboard": 8_000}
    assert {name: each.amount for name, each in children.disputes.items()} == {"d-1": 500}
    assert children.refunds[refund.id].state is State.NEEDS_REVIEW
    assert [(each.kind, each.figures) for each in children.cases.values()] == [("excess", {"excess": 1_500})]


async def test_what_is_not_there_reads_as_nothing(store: Store):
    stranger = new_id()
    assert await store.payment(stranger, stranger) is None
    assert await store.refund(stranger, stranger) is None
    assert await store.attempt(stranger, stranger, 1) is None
    assert await store.key(stranger, "native", "k") is None
    assert await store.events(stranger, Cursor(), 10) == ()
    assert (await store.children(stranger, stranger)).refunds == {}


# --- admission -------------------------------------------------------------------------------------------------------


async def test_two_processes_never_admit_more_than_came_in(store: Store, other: Store):
    engine = Engine(store)
    payment = await engine.pay(captured=10_000)
    results = await asyncio.gather(
        *(engine.on((store, other)[i % 2]).ask(payment, 300) for i in range(80)),
    )
    admitted = [each.refund for each in results if isinstance(each, Admitted)]
    refused = [each for each in results if isinstance(each, Refusal)]
    assert (len(admitted), len(refused)) == (33, 47)
    assert all(reasons(each)[0] in (Reason.EXCEEDS_REFUNDABLE, Reason.NOTHING_LEFT) for each in refused)
    after = await engine.payment(payment)
    assert (after.held, after.wallet_used, after.refundable, after.version) == (9_900, 9_900, 100, 34)
    assert {each.id for each in await engine.refunds(payment)} == {each.id for each in admitted}


async def test_what_remains_is_resolved_under_the_lock(store: Store, other: Store):
    engine = Engine(store)
    payment = await engine.pay(captured=777)
    results = await asyncio.gather(*(engine.on((store, other)[i % 2]).ask(payment) for i in range(20)))
    assert sorted(each.refund.payer for each in results if isinstance(each, Admitted)) == [777]


async def test_an_order_is_refunded_whole_or_not_at_all(store: Store):
    engine = Engine(store)
    one, two = [await engine.pay(order="o-1", captured=1_000), await engine.pay(order="o-1", captured=500)]
    legs = [engine.request(one, 600), engine.request(two, 501)]
    assert reasons(await engine.do(engine.order("o-1", *legs)))[0] is Reason.EXCEEDS_REFUNDABLE
    assert (await engine.payment(one)).held == 0
    assert await engine.refunds(one) == []
    legs = [engine.request(one, 600), engine.request(two, 500)]
    assert isinstance(await engine.do(engine.order("o-1", *legs)), Grouped)
    assert [(await engine.payment(each)).held for each in (one, two)] == [600, 500]


async def test_payments_of_one_order_that_arrive_at_once_all_belong_to_it(store: Store, other: Store):
    engine = Engine(store)
    payments = await asyncio.gather(*(engine.on((store, other)[i % 2]).pay(order="o-1") for i in range(10)))
    legs = [engine.request(each, 100) for each in payments]
    assert isinstance(await engine.do(engine.order("o-1", *legs)), Grouped)


async def test_a_payment_registered_by_two_processes_at_once_is_one(store: Store, other: Store):
    engine = Engine(store)
    results = await asyncio.gather(
        *(engine.on((store, other)[i % 2]).do(engine.registration(reference="same")) for i in range(12))
    )
    assert {each.payment.id for each in results if isinstance(each, Standing)} == {results[0].payment.id}
    assert Counter(each.created for each in results) == {True: 1, False: 11}


async def test_an_account_opened_by_two_processes_at_once_keeps_every_payment(cell: Cell, store: Store, other: Store):
    """Neither process can lock a row that is not there yet; neither may overwrite what the other has added."""
    engine = Engine(store, wallets_limited=True)
    wallet = f"shop-{engine.merchant.hex}"
    await asyncio.gather(*(engine.on((store, other)[i % 2]).pay(wallet=wallet, captured=100) for i in range(10)))
    payment = await engine.pay(wallet=wallet, captured=1_000)
    await engine.admit(payment, 300)
    assert await cell.balance(engine.merchant, f"wallet/{wallet}") == 1_700


async def test_a_limited_account_refuses_what_it_cannot_give(cell: Cell, store: Store, other: Store):
    engine = Engine(store, wallets_limited=True)
    payments = [await engine.pay(wallet="w", captured=1_000) for _ in range(3)]
    await cell.spend(engine.merchant, "wallet/w", 1_900)
    results = await asyncio.gather(
        *(engine.on((store, other)[i % 2]).ask(payments[i % 3], 300) for i in range(9)),
    )
    refused = [each for each in results if isinstance(each, Refusal)]
    assert len(refused) == 6 and all(reasons(each) == [Reason.INSUFFICIENT_FUNDS] for each in refused)
    assert await cell.balance(engine.merchant, "wallet/w") == 200


async def test_a_wallet_gives_no_more_than_stands_on_it(cell: Cell, store: Store, other: Store):
    engine = Engine(store)
    await engine.pay(wallet="a", captured=1_000)
    transfers = [
        engine.on((store, other)[i % 2]).do(
            engine.registration(kind=PaymentKind.TRANSFER, source="a", wallet="b", captured=300)
        )
        for i in range(5)
    ]
    made = await asyncio.gather(*transfers)
    assert sum(isinstance(each, Standing) for each in made) == 3
    assert {reason for each in made if isinstance(each, Refusal) for reason in reasons(each)} == {
        Reason.INSUFFICIENT_FUNDS
    }
    assert (await cell.balance(engine.merchant, "wallet/a"), await cell.balance(engine.merchant, "wallet/b")) == (
        100,
        900,
    )
    payout = await engine.pay(kind=PaymentKind.PAYOUT, source="b", captured=900)
    assert await cell.balance(engine.merchant, "wallet/b") == 0
    assert reasons(await engine.ask(payout, 1)) == [Reason.KIND_UNSUPPORTED]
    itself = engine.registration(kind=PaymentKind.TRANSFER, source="a", wallet="a", captured=1)
    assert reasons(await engine.do(itself)) == [Reason.BAD_REQUEST]


async def test_a_transfers_refund_goes_back_to_the_wallet_it_came_from(cell: Cell, store: Store):
    engine = Engine(store, merged=True, fenced=False)
    await engine.pay(wallet="a", captured=1_000)
    transfer = await engine.pay(kind=PaymentKind.TRANSFER, source="a", wallet="b", captured=300)
    refund = await engine.admit(transfer, 120, armable=True)
    await engine.see(refund, Event.EXECUTED, provider_id="p-1")
    balances = [await cell.balance(engine.merchant, name) for name in ("wallet/a", "wallet/b")]
    assert balances == [820, 180]
    await engine.see(await engine.refund(refund), Event.CAME_BACK)
    balances = [await cell.balance(engine.merchant, name) for name in ("wallet/a", "wallet/b")]
    assert balances == [700, 300]


async def test_an_equal_request_is_the_first_ones_refund(store: Store, other: Store):
    engine = Engine(store, join_within=timedelta(seconds=120))
    payment = await engine.pay()
    results = await asyncio.gather(
        *(engine.on((store, other)[i % 2]).ask(payment, 300, equality=b"same") for i in range(20))
    )
    kinds = Counter(type(each) for each in results)
    assert kinds == {Admitted: 1, Joined: 19}
    refund = results[0].refund
    assert {each.refund.id for each in results} == {refund.id}
    assert (await engine.payment(payment)).held == 300
    told = sequences(await engine.log(until=21))
    assert told[refund.id] == [1] and len(told[payment.id]) == 20  # registered, and joined nineteen times


async def test_of_several_equal_refunds_the_newest_is_joined(cell: Cell, store: Store):
    engine = Engine(store, merged=True, join_within=timedelta(seconds=120))
    payment = await engine.pay()
    old = await engine.admit(payment, 300, equality=b"same", armable=True)
    await engine.see(old, Event.EXECUTED)
    await cell.advance(timedelta(seconds=121))
    new = await engine.admit(payment, 300, equality=b"same", armable=True)
    again = await engine.ask(payment, 300, equality=b"same", armable=True)
    assert isinstance(again, Joined) and again.refund.id == new.id


async def test_the_equal_amount_interval_sees_the_request_beside_it(store: Store):
    """Admission asks for the payment's other refunds, and is asked again with them: also with those of its batch."""
    can = Capabilities(equal_amount_interval=timedelta(hours=1))
    engine = Engine(store, intervals=True, dialect=lambda _: can)
    payment = await engine.pay()
    results = await asyncio.gather(*(engine.ask(payment, 300) for _ in range(5)), engine.ask(payment, 301))
    assert sum(isinstance(each, Admitted) for each in results) == 2
    assert all(reasons(each) == [Reason.EQUAL_AMOUNT_TOO_SOON] for each in results if isinstance(each, Refusal))


async def test_numbers_are_drawn_in_the_order_of_age(store: Store):
    engine = Engine(store)
    payment = await engine.pay()
    results = await asyncio.gather(*(engine.ask(payment, 10, sequence=NUMBERS) for _ in range(60)))
    later = await engine.admit(payment, 10, sequence=NUMBERS)
    drawn = [int(each.refund.dialect_id) for each in results] + [int(later.dialect_id)]
    assert all(one < two for one, two in pairwise(drawn))
    assert drawn[0] > 1_000_000_000


async def test_two_processes_never_draw_the_same_number(store: Store, other: Store):
    engine = Engine(store)
    payments = [await engine.pay() for _ in range(4)]
    asked = [engine.on((store, other)[i % 2]).ask(payments[i % 4], 10, sequence=NUMBERS) for i in range(60)]
    drawn = [each.refund.dialect_id for each in await asyncio.gather(*asked)]
    assert len({*drawn}) == 60


async def test_a_native_refund_becomes_one_of_its_payments_dialect(store: Store):
    engine = Engine(store)
    payment = await engine.pay()
    home = Home(dialect="elsewhere", sequence=NUMBERS, remember=lambda paid, said: {"of": paid.reference, "said": said})
    terms = replace(engine.terms(payment), home=home)
    ours = [engine.ask(payment, 10, terms=lambda _payment: terms, reference="mine") for _ in range(20)]
    results = await asyncio.gather(*ours, *(engine.ask(payment, 10, sequence=NUMBERS) for _ in range(20)))
    refunds = [await engine.refund(each.refund) for each in results]
    drawn = [int(each.dialect_id) for each in refunds]
    assert len({*drawn}) == 40
    assert all(one < two for one, two in pairwise(drawn))
    assert {each.dialect for each in refunds[:20]} == {"elsewhere"}
    assert {each.dialect for each in refunds[20:]} == {"native"}
    assert refunds[0].request == {"of": payment.reference, "said": "mine"}
    assert refunds[-1].request == {}


async def test_a_leg_of_an_order_keeps_the_number_it_was_given(store: Store):
    engine = Engine(store)
    payment = await engine.pay(order="o-1")
    terms = replace(
        engine.terms(payment), home=Home(dialect="elsewhere", sequence=NUMBERS, remember=lambda _paid, _said: {})
    )
    leg = engine.request(payment, 10, terms=lambda _payment: terms, dialect="elsewhere", dialect_id="17")
    result = await engine.do(engine.order("o-1", leg, whole=False))
    assert isinstance(result, Grouped)
    (made,) = result.legs
    assert (made.refund.dialect, made.refund.dialect_id) == ("elsewhere", "17")


# --- idempotency -----------------------------------------------------------------------------------------------------


async def test_one_key_fifty_times_at_once_is_one_refund(store: Store, other: Store):
    engine = Engine(store)
    payment = await engine.pay()
    results = await asyncio.gather(
        *(engine.on((store, other)[i % 2]).ask(payment, 300, key=keyed("k")) for i in range(50))
    )
    admitted = [each for each in results if isinstance(each, Admitted)]
    replayed = [each for each in results if isinstance(each, Replayed)]
    assert (len(admitted), len(replayed)) == (1, 49)
    assert {each.key.refund for each in replayed} == {admitted[0].refund.id}
    assert (await engine.payment(payment)).held == 300


async def test_a_key_belongs_to_the_body_it_came_with(store: Store):
    engine = Engine(store)
    payment = await engine.pay()
    await engine.admit(payment, 300, key=keyed("k", b"one"))
    assert reasons(await engine.ask(payment, 400, key=keyed("k", b"two"))) == [Reason.KEY_REUSED]
    assert (await engine.payment(payment)).held == 300


async def test_of_two_equal_keys_in_one_batch_the_second_sees_the_first(store: Store):
    engine = Engine(store)
    payment = await engine.pay()
    first, second, third = await asyncio.gather(
        engine.ask(payment, 300, key=keyed("k")),
        engine.ask(payment, 300, key=keyed("k")),
        engine.ask(payment, 400, key=keyed("k", b"another")),
    )
    assert isinstance(first, Admitted)
    assert isinstance(second, Replayed) and second.key.refund == first.refund.id
    assert reasons(third) == [Reason.KEY_REUSED]


async def test_a_key_is_each_merchants_and_each_dialects_own(store: Store):
    engines = [Engine(store), Engine(store)]
    key = keyed("k")
    for engine in engines:
        payment = await engine.pay()
        await engine.admit(payment, 300, key=key)
        await engine.admit(payment, 300, key=replace(key, dialect="mangopay"))


async def test_a_refusal_is_kept_under_its_key(store: Store):
    engine = Engine(store)
    payment = await engine.pay()
    assert isinstance(await engine.ask(payment, 10_001, key=keyed("k")), Refusal)
    again = await engine.ask(payment, 10_001, key=keyed("k"))
    assert isinstance(again, Replayed)
    assert (again.key.status, again.key.answer, again.key.refund) == (422, b"refused", None)


async def test_no_key_is_left_behind_by_a_command_that_is_put_off(cell: Cell, store: Store):
    """A committed key without a refund or an answer would make its caller wait for nobody."""
    engine = Engine(store)
    held, free = await engine.pay(), await engine.pay()
    async with cell.holding(held):
        late = asyncio.ensure_future(engine.ask(held, 300, key=keyed("k")))
        await engine.admit(free, 300)
        assert await store.key(engine.merchant, "native", "k") is None
        assert not late.done()
    result = await late
    assert isinstance(result, Admitted)
    row = await store.key(engine.merchant, "native", "k")
    assert row is not None and row.refund == result.refund.id


async def test_a_key_is_never_kept_under_the_body_of_a_command_that_was_put_off(cell: Cell, store: Store):
    """Two bodies under one key in one batch: the first waits for its row, so the key is the second's."""
    engine = Engine(store)
    held, free = await engine.pay(), await engine.pay()
    async with cell.holding(held):
        first = asyncio.ensure_future(engine.ask(held, 300, key=keyed("k", b"one")))
        second = await asyncio.ensure_future(engine.ask(free, 400, key=keyed("k", b"two")))
    assert isinstance(second, Admitted)
    assert reasons(await first) == [Reason.KEY_REUSED]
    again = await engine.ask(free, 400, key=keyed("k", b"two"))
    assert isinstance(again, Replayed) and again.key.refund == second.refund.id


async def test_the_answer_is_written_by_the_commit_that_ends_the_wait(store: Store):
    engine = Engine(store, merged=True)
    payment = await engine.pay()
    waiting = keyed("k", answer=lambda result: (201, b"done") if isinstance(result, Moved) else None)
    refund = await engine.admit(payment, 300, armable=True, key=waiting)
    assert (await engine.key("k")).answer is None
    ending = engine.observation(refund, engine.seen(refund, Event.EXECUTED), key=waiting)
    assert isinstance(await engine.do(ending), Moved)
    again = await engine.ask(payment, 300, key=waiting)
    assert isinstance(again, Replayed)
    assert (again.key.status, again.key.answer, again.key.refund) == (201, b"done", refund.id)


async def test_the_first_answer_stays(store: Store, other: Store):
    engine = Engine(store)
    payment = await engine.pay()
    await engine.admit(payment, 300, key=keyed("k"))

    def save(number: int) -> SaveAnswer:
        words: dict[str, Any] = {"merchant": engine.merchant, "dialect": "native", "idempotency_key": "k"}
        return SaveAnswer(**words, status=200 + number, answer=b"%d" % number)

    saved = await asyncio.gather(*((store, other)[i % 2].submit(save(i)) for i in range(20)))
    assert len({*saved}) == 1 and isinstance(saved[0], Saved)
    row = await engine.key("k")
    assert (row.status, row.answer) == (saved[0].status, saved[0].answer)


async def test_an_answer_needs_a_key(store: Store):
    lost = SaveAnswer(merchant=new_id(), dialect="native", idempotency_key="k", status=200, answer=b"")
    assert isinstance(await store.submit(lost), Refusal)


# --- the life of a refund --------------------------------------------------------------------------------------------


async def test_a_refund_is_armed_sent_and_posted(store: Store):
    engine = Engine(store)
    payment = await engine.pay()
    refund = await engine.send(await engine.admit(payment, 300))
    assert (await engine.payment(payment)).fence == refund.id
    pending = (await engine.see(refund, Event.ACCEPTED, provider_id="p-1")).refund
    assert (await engine.attempt(refund)).outcome == "accepted"
    done = (await engine.see(pending, Event.EXECUTED, provider_id="p-1")).refund
    assert (done.state, done.provider_id) == (State.SUCCEEDED, "p-1")
    assert await engine.refund(refund) == done
    after = await engine.payment(payment)
    assert (after.held, after.refunded, after.fence) == (0, 300, None)
    assert (await engine.attempt(refund)).outcome == "executed"
    types = [each.event.type for each in await engine.log(until=5) if each.event.object == refund.id]
    assert types == ["refund.created", "refund.sending", "refund.pending", "refund.succeeded"]


async def test_a_refund_of_the_first_version_takes_evidence_that_does_not_move_it(store: Store):
    """Armed by its admission it is still at version 1: being written again does not make it new."""
    engine = Engine(store, merged=True)
    refund = await engine.admit(await engine.pay(), 300, armable=True)
    assert refund.version == 1
    result = await engine.see(refund, Event.KEY_UNKNOWN)
    assert isinstance(result, Moved) and not result.changed
    assert (await engine.refund(refund)).evidence_version == 1


async def test_one_sighting_counts_once(store: Store, other: Store):
    engine = Engine(store, merged=True)
    payment = await engine.pay()
    refund = await engine.admit(payment, 300, armable=True)
    told = [engine.seen(refund, Event.EXECUTED, provider_id="p-1", digest="same") for _ in range(10)]
    results = await asyncio.gather(
        *(engine.on((store, other)[i % 2]).do(engine.observation(refund, each)) for i, each in enumerate(told))
    )
    assert sum(each.changed for each in results) == 1
    after = await engine.payment(payment)
    assert (after.refunded, after.held, after.open_cases) == (300, 0, 0)


async def test_what_a_provider_did_is_recorded_beyond_what_came_in(store: Store):
    """The excess reaches the payment's other rows: they are read, and the decision is taken again."""
    engine = Engine(store)
    payment = await engine.pay(captured=1_000)
    refund = await engine.admit(payment, 800)
    after = (await engine.sight(payment, "external", 700, "dashboard")).payment
    assert (after.external, after.excess, after.excess_case) == (700, 500, True)
    assert (await engine.refund(refund)).state is State.NEEDS_REVIEW
    assert reasons(await engine.fence(refund)) == [Reason.STATE_FORBIDS]
    await engine.sight(payment, "external_undone", 700, "dashboard")
    assert (await engine.payment(payment)).excess == 0


async def test_a_case_is_closed_by_a_person(store: Store):
    engine = Engine(store, merged=True)
    payment = await engine.pay()
    refund = await engine.admit(payment, 300, armable=True)
    for provider_id in ("p-1", "p-2"):
        await engine.see(refund, Event.EXECUTED, provider_id=provider_id)
    assert (await engine.payment(payment)).open_cases == 1
    assert isinstance(await engine.close_case(payment), Standing)
    assert (await engine.payment(payment)).open_cases == 0
    case = (await store.children(engine.merchant, payment.id)).cases[1]
    assert (case.kind, case.closed_by, case.note) == ("second_execution", "ann", "looked at it")
    assert reasons(await engine.close_case(payment)) == [Reason.CASE_NOT_FOUND]


# --- work ------------------------------------------------------------------------------------------------------------


async def claimed(engine: Engine, *stores: Store, lease: timedelta = LEASE) -> list[Work]:
    """What concurrent claimers get of this merchant's work."""
    found = await asyncio.gather(*(each.claim(1_000, lease) for each in stores))
    return [work for works in found for work in works if work.merchant == engine.merchant]


async def test_two_claimers_never_get_the_same_send(store: Store, other: Store):
    engine = Engine(store)
    refunds = [await engine.admit(await engine.pay(), 300) for _ in range(20)]
    works = await claimed(engine, store, other, store, other)
    assert Counter(each.refund for each in works) == {each.id: 1 for each in refunds}
    assert {(each.kind, each.rail) for each in works} == {("send", "sandbox")}
    assert {each.payment for each in works} == {each.payment for each in refunds}
    assert await claimed(engine, store, other) == []


async def test_a_claim_that_ran_out_is_claimed_again(store: Store, other: Store):
    engine = Engine(store)
    refund = await engine.admit(await engine.pay(), 300)
    for _ in range(3):
        assert [each.refund for each in await claimed(engine, store, lease=OVER)] == [refund.id]
    assert [each.refund for each in await claimed(engine, store, other)] == [refund.id]
    assert await claimed(engine, store, other) == []


async def test_what_may_not_be_sent_is_not_claimed(store: Store):
    engine = Engine(store)
    fenced, blocked, gap = [await engine.pay(), await engine.pay(), await engine.pay(rail_gap=5)]
    in_flight = await engine.send(await engine.admit(fenced, 300))
    for payment in (fenced, blocked, gap):
        await engine.admit(payment, 300)
    await engine.sight(blocked, "canceled", 0)
    assert await claimed(engine, store) == []
    await engine.see(in_flight, Event.EXECUTED)
    assert [each.payment for each in await claimed(engine, store)] == [fenced.id]


async def test_two_claimers_never_look_at_the_same_refund(cell: Cell, store: Store, other: Store):
    engine = Engine(store, merged=True)
    refunds = [await engine.admit(await engine.pay(), 300, armable=True) for _ in range(8)]
    for refund in refunds:
        await engine.see(refund, Event.ACCEPTED)
    assert await claimed(engine, store, other) == []
    await cell.advance(timedelta(seconds=3))
    works = await claimed(engine, store, other)
    assert Counter((each.kind, each.refund) for each in works) == {("look", each.id): 1 for each in refunds}
    assert await claimed(engine, store, other) == []
    assert isinstance(await engine.look(refunds[0]), Moved)
    await cell.advance(timedelta(minutes=5))
    # The one that was looked at may be looked at again; the others are claimed in real time, which has not moved.
    again = await claimed(engine, store, other)
    assert [(each.kind, each.refund) for each in again] == [("look", refunds[0].id)]


async def test_an_expired_attempt_is_found_by_its_lease(store: Store):
    engine = Engine(store, merged=True, lease=OVER)
    alive = Engine(store, merged=True)
    refund = await engine.admit(await engine.pay(), 300, armable=True)
    await alive.admit(await alive.pay(), 300, armable=True)
    assert [(each.kind, each.refund) for each in await claimed(engine, store)] == [("expire", refund.id)]
    assert await claimed(alive, store) == []
    assert (await engine.expire(refund)).refund.state is State.UNKNOWN


async def test_a_scheduled_refund_comes_due_in_business_time(cell: Cell, store: Store):
    engine = Engine(store)
    due_at = (await store.now()).business + timedelta(hours=1)
    refund = await engine.admit(await engine.pay(), 300, due_at=due_at)
    assert await claimed(engine, store) == []
    await cell.advance(timedelta(hours=1))
    assert [(each.kind, each.refund) for each in await claimed(engine, store)] == [("due", refund.id)]
    assert (await engine.nudge(refund, Event.DUE, by=None)).refund.state is State.READY


async def test_business_time_moves_and_real_time_does_not(cell: Cell, store: Store):
    before = await store.now()
    await cell.advance(timedelta(days=30))
    after = await store.now()
    assert after.business - before.business >= timedelta(days=30)
    assert timedelta(0) < after.real - before.real < timedelta(days=1)


# --- events ----------------------------------------------------------------------------------------------------------


async def test_a_reader_beside_the_writers_sees_every_event_once_and_in_order(store: Store, other: Store):
    engine = Engine(store, merged=True)
    payments = [await engine.pay() for _ in range(4)]

    async def live(number: int) -> None:
        own = engine.on((store, other)[number % 2])
        refund = await own.admit(payments[number % 4], 10, armable=True)
        await asyncio.gather(own.see(refund, Event.ACCEPTED), engine.look(refund))
        await engine.see(await engine.refund(refund), Event.EXECUTED)

    reading = asyncio.ensure_future(engine.log(until=4 + 3 * 24))
    await asyncio.gather(*(live(number) for number in range(24)))
    log = await reading
    assert len({each.cursor for each in log}) == len(log) == 4 + 3 * 24
    assert [(each.cursor.xid, each.cursor.id) for each in log] == sorted((e.cursor.xid, e.cursor.id) for e in log)
    found = sequences(log)
    for payment in payments:
        assert found.pop(payment.id) == [1]
    assert {tuple(each) for each in found.values()} == {(1, 2, 3)}


async def test_a_cursor_continues_where_it_stood(store: Store):
    engine = Engine(store)
    payment = await engine.pay()
    for _ in range(9):
        await engine.admit(payment, 10)
    log = await engine.log(until=10)
    for place, each in enumerate(log):
        assert await rest(store, engine.merchant, each.cursor, 9 - place) == log[place + 1 :]


async def rest(store: Store, merchant: UUID, cursor: Cursor, count: int) -> list[Logged]:
    return list(await store.events(merchant, cursor, 100))[:count]


# --- merchants -------------------------------------------------------------------------------------------------------


async def test_a_foreign_merchants_ids_do_not_exist(store: Store):
    """Alone and in one batch with their owner's own commands: nothing is found, nothing changes."""
    owner, thief = Engine(store), Engine(store)
    payment = await owner.pay(order="o-1")
    refund = await owner.admit(payment, 300)
    stolen = replace(refund, merchant=thief.merchant)

    def attempts() -> list[Any]:
        return [
            thief.request(payment, 100),
            thief.request(payment, 100, key=keyed(new_id().hex)),
            thief.order("o-1", thief.request(payment, 100)),
            thief.observation(stolen, thief.seen(stolen, Event.EXECUTED)),
            thief.observation(stolen, looked=True, children=True),
        ]

    assert await store.payment(thief.merchant, payment.id) is None
    assert await store.refund(thief.merchant, refund.id) is None
    assert (await store.children(thief.merchant, payment.id)).refunds == {}
    for command in attempts():
        assert isinstance(await thief.do(command), Refusal)
    steps = [thief.fence, thief.arm, thief.expire]
    results = [await step(stolen) for step in steps]
    results += [await thief.sight(payment, "claw_back", 100), await thief.close_case(payment)]
    results += [await thief.nudge(stolen, Event.WITHDRAWN)]
    together = await asyncio.gather(owner.look(refund), *(thief.do(each) for each in attempts()), owner.look(refund))
    assert all(isinstance(each, Refusal) for each in (*results, *together[1:-1]))
    assert await owner.payment(payment) == (await owner.look(refund)).payment
    assert (await owner.refund(refund)).state is State.READY
    assert await store.events(thief.merchant, Cursor(), 10) == ()


# --- batches that do not go as they should ---------------------------------------------------------------------------


async def test_a_held_row_holds_up_nobody_else(cell: Cell, store: Store):
    engine = Engine(store)
    held, free = await engine.pay(), await engine.pay()
    async with cell.holding(held):
        late = [asyncio.ensure_future(engine.ask(held, 10)) for _ in range(5)]
        for _ in range(30):
            await engine.admit(free, 10)
        assert not any(each.done() for each in late)
    assert all(isinstance(each, Admitted) for each in await asyncio.gather(*late))
    assert (await engine.payment(held)).held == 50


def broken(_payment: Payment) -> Any:
    raise LookupError("no such rail")


@pytest.mark.parametrize(
    "poison",
    [
        {"metadata": {"note": "a\0b"}},
        {"reason": "a\0b"},
        {"reason": "\ud800"},
        {"dialect_id": "\ud800"},
        {"metadata": {"n": object()}},
        {"terms": broken},
        {"asked": Asked(wallet=2**70, fee=0), "terms": lambda _: None},
    ],
    ids=[
        "nul in json",
        "nul in text",
        "surrogate in json",
        "surrogate in text",
        "no json",
        "no terms",
        "no terms at all",
    ],
)
async def test_a_poisoned_command_has_its_error_alone(store: Store, poison: dict[str, Any]):
    engine = Engine(store)
    payment = await engine.pay()
    commands = [engine.request(payment, 10) for _ in range(20)]
    commands[7] = engine.request(payment, 10, **poison)
    results = await asyncio.gather(*(engine.do(each) for each in commands), return_exceptions=True)
    assert isinstance(results.pop(7), Exception)
    assert all(isinstance(each, Admitted) for each in results)
    assert (await engine.payment(payment)).held == 190


async def test_a_caller_who_goes_away_cancels_nothing(store: Store):
    engine = Engine(store)
    payment = await engine.pay()
    command = engine.request(payment, 300)
    caller = asyncio.ensure_future(engine.do(command))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await engine.admit(payment, 10)  # is decided with it, or after it
    found = await store.refund(engine.merchant, command.id)
    assert found is not None and found.state is State.READY


async def test_what_was_submitted_is_committed_before_a_store_closes(cell: Cell, store: Store, other: Store):
    engine = Engine(store)
    payment = await engine.pay()
    asked = asyncio.ensure_future(engine.on(other).ask(payment, 300))
    await asyncio.sleep(0)
    await other.close()  # type: ignore[attr-defined]
    assert isinstance(await asked, Admitted)


async def test_everything_ends_as_it_must_under_contention(store: Store, other: Store):
    """Two processes send, look at and finish refunds of the same few payments: the counters are exact."""
    engine = Engine(store, merged=True, fenced=False)
    payments = [await engine.pay(captured=5_000) for _ in range(3)]

    async def live(number: int) -> None:
        own, beside = (engine.on(each) for each in ((store, other) if number % 2 else (other, store)))
        result = await own.ask(payments[number % 3], 100, armable=True, key=keyed(f"k{number}"))
        if isinstance(result, Admitted):
            event = Event.EXECUTED if number % 3 else Event.REFUSED
            await asyncio.gather(own.see(result.refund, event), beside.look(result.refund))

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(live(number) for number in range(90)))
    for place, payment in enumerate(payments):
        after, refunds = await engine.payment(payment), await engine.refunds(payment)
        given = sum(each.payer for each in refunds if each.state is State.SUCCEEDED)
        assert len(refunds) == 30 and all(each.state in ENDED for each in refunds)
        assert (after.held, after.refunded, after.wallet_used) == (0, given, given)
        assert given == (0 if place == 0 else 3_000)
