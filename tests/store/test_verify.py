"""`verify`: silent after any history, and never silent about a row that was changed past the engine."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from moneyback.core.commands import Admitted, Moved
from moneyback.core.observation import NUDGES, OBSERVED
from moneyback.core.payment import Asked, Payment, PaymentKind
from moneyback.core.refund import Event, Refund
from moneyback.ids import new_id
from moneyback.store import verify as subject
from moneyback.store.postgres import PostgresStore, open_store
from moneyback.store.verify import Report, verify
from tests.store.engine import Engine, PostgresCell, keyed

EVENTS = sorted(OBSERVED, key=lambda each: each.value)
SIGHTINGS = ("external", "external_undone", "dispute_open", "dispute_won", "dispute_lost", "claw_back", "captured")
FEES: tuple[int | str, ...] = ("proportional", "none", 5, -5)
TERMS: tuple[dict[str, Any], ...] = (
    {},
    {"merged": True},
    {"merged": True, "fenced": False, "join_within": timedelta(hours=1)},
    {"intervals": True, "wallets_limited": True, "horizon": timedelta(0), "lease": timedelta(seconds=-1)},
)


@pytest.fixture
async def stores(module_database: str) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """Two processes."""
    opened = (await open_store(module_database, connections_max=2), await open_store(module_database))
    yield opened
    for each in opened:
        await each.close()


# --- after any history -----------------------------------------------------------------------------------------------


class History:
    """Anything that may happen to a few payments, in any order, from two processes at once."""

    def __init__(self, stores: tuple[PostgresStore, PostgresStore], seed: int) -> None:
        self.dice = random.Random(seed)
        terms = TERMS[seed % len(TERMS)]
        self.engines = [Engine(stores[0], **terms)]
        self.engines.append(self.engines[0].on(stores[1]))
        self.payments: list[Payment] = []
        self.refunds: list[Refund] = []

    async def run(self, rounds: int) -> None:
        for number in range(4):
            self.payments.append(await self.pay(number))
        self.payments.append(await self.engines[0].pay(kind=PaymentKind.TRANSFER, source="w", wallet="v", captured=300))
        self.payments.append(await self.engines[0].pay(kind=PaymentKind.PAYOUT, source="w", captured=200))
        for _ in range(rounds):
            results = await asyncio.gather(*(self.step() for _ in range(12)))
            self.refunds += [each.refund for each in results if isinstance(each, Admitted)]

    async def pay(self, number: int) -> Payment:
        shared = {"wallet": "w", "fee_wallet": "w" if number == 3 else "f"} if number % 2 else {}
        fees = self.dice.choice([0, 40])
        return await self.engines[0].pay(captured=1_000, fees=fees, order="o-1" if number < 2 else None, **shared)

    async def step(self) -> Any:
        engine, payment = self.dice.choice(self.engines), self.dice.choice(self.payments)
        choice = self.dice.random()
        if not self.refunds or choice < 0.25:
            return await self.ask(engine, payment)
        if choice < 0.40:
            return await self.sight(engine, payment)
        refund = self.dice.choice(self.refunds)
        match self.dice.randrange(9):
            case 0:
                await engine.fence(refund)
                return await engine.arm(await engine.refund(refund), provider_left=self.dice.choice([None, None, 5]))
            case 1:
                return await engine.nudge(refund, self.dice.choice(sorted(NUDGES, key=lambda each: each.value)))
            case 2:
                return await engine.resolve(await engine.refund(refund), executed=self.dice.random() < 0.5)
            case 3:
                return await engine.expire(refund)
            case 4:
                return await engine.close_case(payment, self.dice.randint(1, 5))
            case _:
                return await self.see(engine, refund)

    async def ask(self, engine: Engine, payment: Payment) -> Any:
        said: dict[str, Any] = {"armable": self.dice.random() < 0.7}
        if self.dice.random() < 0.3:
            said["key"] = keyed(f"k{self.dice.randrange(20)}", b"%d" % self.dice.randrange(2))
        if self.dice.random() < 0.3:
            said["equality"] = b"%d" % self.dice.randrange(3)
        if self.dice.random() < 0.1:
            said["due_at"] = (await engine.store.now()).business + timedelta(days=1)
        if self.dice.random() < 0.1:
            legs = [engine.request(each, 10) for each in self.payments[:2]]
            return await engine.do(engine.order("o-1", *legs))
        fee = self.dice.choice(FEES)
        return await engine.ask(payment, asked=Asked(payer=self.dice.choice([None, 7, 60, 200]), fee=fee), **said)

    async def see(self, engine: Engine, refund: Refund) -> Any:
        event = self.dice.choice([*EVENTS, Event.EXECUTED, Event.ACCEPTED, Event.REFUSED])
        current = await engine.refund(refund)
        seen: dict[str, Any] = {"provider_id": self.dice.choice([None, "p-1", f"p-{refund.id.hex}"])}
        if self.dice.random() < 0.2:
            seen["amount"] = refund.payer + self.dice.choice([-1, 0, 30])
        if current.generation > 1 and self.dice.random() < 0.3:
            seen["generation"] = current.generation - 1
        return await engine.see(current, event, **seen)

    async def sight(self, engine: Engine, payment: Payment) -> Any:
        kind, reference = self.dice.choice(SIGHTINGS), f"x{self.dice.randrange(4)}"
        amount = self.dice.choice([30, 200, 1_000 if kind == "captured" else 90])
        fee_return = self.dice.choice([0, 0, 3, -3]) if kind == "external" else 0
        return await engine.sight(payment, kind, amount, reference, fee_return=fee_return)


@pytest.mark.parametrize("seed", range(4))
async def test_any_history_leaves_books_without_a_difference(
    stores: tuple[PostgresStore, PostgresStore], module_database: str, seed: int
):
    history = History(stores, seed)
    await history.run(rounds=30)
    report = await verify(module_database, history.engines[0].merchant)
    assert report.clean, str(report)
    assert report.payments == len(history.payments)
    assert len(history.refunds) > 5


# --- after somebody's hand -------------------------------------------------------------------------------------------


async def story(engine: Engine) -> None:
    """A merchant with one row of every kind: an ended refund of each sort, one held, one sending, and the rest."""
    shop = {"wallet": "w", "fee_wallet": "f", "fees": 1_000, "order": "o-1"}
    payment, blocked = await engine.pay(**shop), await engine.pay(captured=500)
    paid = await engine.admit(payment, 1_000, armable=True, key=keyed("paid"))
    await engine.see(paid, Event.EXECUTED, provider_id="p-1")
    failed = await engine.admit(payment, 700, armable=True)
    await engine.see(failed, Event.REFUSED)
    returned = await engine.admit(payment, 600, armable=True)
    await engine.see(returned, Event.CAME_BACK)
    for kind, amount, reference in (
        ("external", 300, "dashboard"),
        ("dispute_open", 200, "d-1"),
        ("dispute_open", 100, "d-2"),
        ("dispute_lost", 100, "d-2"),
    ):
        await engine.sight(payment, kind, amount, reference, fee_return=30 if kind == "external" else 0)
    await engine.admit(payment, 400)
    sending = await engine.admit(payment, 500, armable=True)
    assert sending.generation == 1
    await engine.sight(blocked, "external", 900, "too much")
    second = await engine.admit(await engine.pay(), 50, armable=True)
    for provider_id in ("p-2", "p-3"):
        await engine.see(second, Event.EXECUTED, provider_id=provider_id)
    refused = await engine.ask(payment, 99_999, key=keyed("refused"))
    assert not isinstance(refused, Moved)


OF = "merchant_id = $1 and captured = 10000 and fees > 0"  # the payment that most things happened to
REFUND = "merchant_id = $1 and payer = {}"
CORRUPTIONS: dict[str, tuple[str, set[str]]] = {
    "a payment captured less": (
        f"update payments set captured = captured - 1 where {OF}",
        {"payment.captured"},
    ),
    "excess without cause": (
        f"update payments set excess = excess + 1 where {OF}",
        {"payment.excess", "payment.beyond_capture"},
    ),
    "more used of the funds": (
        f"update payments set wallet_used = wallet_used + 1 where {OF}",
        {"payment.wallet_used"},
    ),
    "less used of the fees": (f"update payments set fee_used = fee_used - 1 where {OF}", {"payment.fee_used"}),
    "a case forgotten": (
        "update payments set open_cases = 0 where merchant_id = $1 and open_cases > 0",
        {"payment.open_cases"},
    ),
    "excess settled by hand": (
        "update payments set excess_case = false where merchant_id = $1 and excess_case",
        {"payment.excess_case"},
    ),
    "a case closed by hand": (
        "update cases set closed_at = now() where merchant_id = $1 and kind = 'excess'",
        {"payment.excess_case"},
    ),
    "a fence of an ended refund": (
        f"update payments set fence = (select id from refunds where {REFUND.format(700)}) where {OF}",
        {"payment.fence"},
    ),
    "a fence of nobody": (f"update payments set fence = gen_random_uuid() where {OF}", {"payment.fence"}),
    "a last writer that was not the last": (
        f"update payments set xid = '3' where {OF}",
        {"payment.written_by"},
    ),
    "an external refund undone by hand": (
        "update externals set undone = true where merchant_id = $1 and provider_id = 'dashboard'",
        {"payment.externals", "payment.fee_used"},
    ),
    "a dispute decided by hand": (
        "update disputes set status = 'won' where merchant_id = $1 and reference = 'd-2'",
        {"payment.disputes_lost"},
    ),
    "a dispute opened by hand": (
        "update disputes set status = 'open' where merchant_id = $1 and reference = 'd-2'",
        {"payment.disputes_lost", "payment.disputes_open"},
    ),
    "a failed refund called paid": (
        f"update refunds set state = 'succeeded' where {REFUND.format(700)}",
        {"refund.paid", "refund.wallet", "refund.fee_return", "event.state"},
    ),
    "a paid refund called failed": (
        f"update refunds set state = 'failed' where {REFUND.format(1000)}",
        {"refund.paid", "refund.wallet", "refund.fee_return", "event.state"},
    ),
    "a held refund called paid": (
        f"update refunds set state = 'succeeded' where {REFUND.format(400)}",
        {"refund.paid", "refund.held", "event.state"},
    ),
    "a sending refund called ready": (
        f"update refunds set state = 'ready' where {REFUND.format(500)}",
        {"event.state"},
    ),
    "a ready refund called sending": (
        f"update refunds set state = 'sending' where {REFUND.format(400)}",
        {"event.state", "refund.armed"},
    ),
    "a refund of another amount": (
        f"update refunds set payer = payer + 1, wallet = wallet + 1 where {REFUND.format(1000)}",
        {"refund.paid", "refund.wallet"},
    ),
    "a refund of other shares": (
        f"update refunds set fee_return = fee_return + 1, wallet = wallet - 1 where {REFUND.format(400)}",
        {"refund.wallet", "refund.fee_return"},
    ),
    "an attempt never armed": (
        f"update refunds set generation = generation + 1 where {REFUND.format(400)}",
        {"refund.attempts", "refund.last_attempt"},
    ),
    "an attempt forgotten": (
        f"delete from attempts where refund_id = (select id from refunds where {REFUND.format(500)})",
        {"refund.attempts", "refund.last_attempt", "refund.armed"},
    ),
    "an attempt of the future": (
        f"update attempts set generation = 9 where refund_id = (select id from refunds where {REFUND.format(1000)})",
        {"refund.last_attempt"},
    ),
    "an attempt of nobody": (
        "insert into attempts select merchant_id, gen_random_uuid(), generation, kind, mark, amount, outcome, "
        "armed_at, send_deadline, lease_until, pre_read from attempts where merchant_id = $1 limit 1",
        {"attempt.refund"},
    ),
    "evidence burnt": (
        f"delete from evidence where refund_id = (select id from refunds where {REFUND.format(1000)})",
        {"refund.evidence"},
    ),
    "a hold forgotten": (
        "delete from movements where kind = 'hold' and refund_id = "
        f"(select id from refunds where {REFUND.format(400)})",
        {
            *("payment.held", "payment.wallet_used", "payment.fee_used"),
            *("refund.held", "refund.wallet", "refund.fee_return", "account.balance", "ledger.sum"),
        },
    ),
    "a post made twice": (
        "insert into movements (merchant_id, payment_id, refund_id, kind, debit, credit, amount, currency, at) "
        "select merchant_id, payment_id, refund_id, kind, debit, credit, amount, currency, at from movements "
        f"where kind = 'post' and refund_id = (select id from refunds where {REFUND.format(1000)})",
        {"payment.held", "payment.refunded", "refund.held", "refund.paid"},
    ),
    "a movement of another amount": (
        "update movements set amount = amount + 1 where merchant_id = $1 and kind = 'dispute_lost'",
        {"payment.disputed", "payment.clawed_back"},
    ),
    "a movement to another account": (
        "update movements set credit = 'nowhere' where merchant_id = $1 and kind = 'external' and debit = 'wallet/w'",
        {"payment.external"},
    ),
    "a movement in another currency": (
        "update movements set currency = 'USD' where merchant_id = $1 and kind = 'post' and amount = 1000",
        {"movement.currency"},
    ),
    "a movement of another refund": (
        f"update movements set refund_id = (select id from refunds where {REFUND.format(400)}) "
        "where merchant_id = $1 and kind = 'post' and amount = 1000",
        {"refund.held", "refund.paid"},
    ),
    "a movement of no refund": (
        "update movements set refund_id = gen_random_uuid() where merchant_id = $1 and kind = 'post' and amount = 1000",
        {"refund.held", "refund.paid", "movement.refund"},
    ),
    "a movement of no payment": (
        "update movements set payment_id = gen_random_uuid() where merchant_id = $1 and kind = 'dispute_lost'",
        {"payment.disputed", "payment.clawed_back", "movement.payment"},
    ),
    "a balance of one's own": (
        "update accounts set balance = balance + 1 where merchant_id = $1 and name = 'wallet/w'",
        {"account.balance", "ledger.sum"},
    ),
    "a balance lost": (
        "delete from accounts where merchant_id = $1 and name = 'wallet/f'",
        {"account.balance", "ledger.sum"},
    ),
    "a balance out of nothing": (
        "insert into accounts values ($1, 'wallet/mine', 'EUR', 5)",
        {"account.balance", "ledger.sum"},
    ),
    "an event forgotten": (
        f"delete from events where sequence = 1 and object_id = (select id from refunds where {REFUND.format(1000)})",
        {"refund.events", "event.first"},
    ),
    "the last event forgotten": (
        f"delete from events where sequence = 2 and object_id = (select id from refunds where {REFUND.format(1000)})",
        {"refund.events", "event.state"},
    ),
    "an event of the future": (
        f"update events set sequence = 99 where merchant_id = $1 and type = 'payment.registered' "
        f"and object_id = (select id from payments where {OF})",
        {"event.first", "event.last", "event.order"},
    ),
    "events in another order": (
        f"update events set xid = '3' where sequence = 2 and object_id = "
        f"(select id from refunds where {REFUND.format(1000)})",
        {"event.order"},
    ),
    "an event of another payment": (
        f"update events set payment_id = gen_random_uuid() where sequence = 2 and object_id = "
        f"(select id from refunds where {REFUND.format(1000)})",
        {"event.payment"},
    ),
    "an event of nobody": (
        "insert into events (merchant_id, type, object_id, sequence, payment_id, at, data) "
        "values ($1, 'refund.created', gen_random_uuid(), 1, gen_random_uuid(), now(), '{}')",
        {"event.object"},
    ),
    "a version without an event": (
        f"update refunds set version = version + 1 where {REFUND.format(400)}",
        {"refund.events"},
    ),
    "a key of no refund": (
        "update idempotency set refund_id = gen_random_uuid() where merchant_id = $1 and key = 'paid'",
        {"key.refund"},
    ),
    "a key nobody can answer": (
        "update idempotency set refund_id = null, answer_due = now() - interval '1 day' "
        "where merchant_id = $1 and key = 'paid'",
        {"key.answer"},
    ),
    "evidence of no payment": (
        "update evidence set payment_id = gen_random_uuid() where merchant_id = $1 and event = 'dispute_lost'",
        {"evidence.payment"},
    ),
    "an order of no payment": (
        "update orders set payments = payments || gen_random_uuid() where merchant_id = $1",
        {"order.payment"},
    ),
}
CORRUPTIONS |= {
    f"{name} by one": (f"update payments set {name} = {name} + 1 where {OF}", {f"payment.{name}", *more})
    for name, more in {
        "held": set[str](),
        "refunded": set[str](),
        "external": {"payment.externals"},
        "disputed": {"payment.disputes_open"},
        "clawed_back": {"payment.disputes_lost"},
    }.items()
}


async def stories(database: str, count: int) -> list[UUID]:
    """Merchants with a story each."""
    store = await open_store(database, connections_max=1)
    engines = [Engine(store, merged=True, fenced=False) for _ in range(count)]
    await asyncio.gather(*(story(engine) for engine in engines))
    await store.close()
    return [engine.merchant for engine in engines]


@pytest.fixture(scope="module")
def merchants(module_database: str) -> dict[str, UUID]:
    """A merchant for each corruption."""
    return dict(zip(CORRUPTIONS, asyncio.run(stories(module_database, len(CORRUPTIONS))), strict=True))


@pytest.mark.parametrize("name", CORRUPTIONS)
async def test_a_row_changed_past_the_engine_is_reported(module_database: str, merchants: dict[str, UUID], name: str):
    (statement, kinds), merchant = CORRUPTIONS[name], merchants[name]
    async with PostgresCell(module_database).raw() as connection:
        assert (await verify(connection, merchant)).clean
        status = await connection.execute(statement, merchant)
        assert not status.endswith(" 0"), "nothing was changed"
        report = await verify(connection, merchant)
    assert {each.kind for each in report.differences} == kinds, str(report)
    assert {each.merchant for each in report.differences} == {merchant}


# --- the report ------------------------------------------------------------------------------------------------------


async def test_a_difference_says_what_is_expected_and_what_is_found(database: str):
    [merchant] = await stories(database, 1)
    async with PostgresCell(database).raw() as connection:
        payment = await connection.fetchval(f"update payments set held = held + 7 where {OF} returning id", merchant)
        held = await connection.fetchval("select held from payments where id = $1", payment)
        [difference] = (await verify(connection)).differences
    assert (difference.kind, difference.object) == ("payment.held", str(payment))
    assert (difference.expected, difference.found) == (str(held - 7), str(held))


async def test_every_merchant_is_compared_unless_one_is_asked_for(database: str):
    merchants = sorted(await stories(database, 3))
    async with PostgresCell(database).raw() as connection:
        await connection.execute(f"update payments set held = held + 1 where {OF}", merchants[1])
    everything = await verify(database)
    assert (everything.merchants, everything.payments, everything.clean) == (3, 9, False)
    assert [(await verify(database, each)).clean for each in merchants] == [True, False, True]


async def test_payments_are_compared_in_slices(database: str, monkeypatch: pytest.MonkeyPatch):
    """Every payment once, wherever the slices end; differences of all of them."""
    await stories(database, 1)
    async with PostgresCell(database).raw() as connection:
        await connection.execute("update payments set wallet_used = wallet_used + 1")
        for size in (1, 2, 3, 4):
            monkeypatch.setattr(subject, "SLICE", size)
            report = await verify(connection)
            assert (report.payments, [each.kind for each in report.differences]) == (3, ["payment.wallet_used"] * 3)


async def test_a_report_does_not_grow_without_bounds(database: str, monkeypatch: pytest.MonkeyPatch):
    await stories(database, 1)
    monkeypatch.setattr(subject, "DIFFERENCES_MAX", 2)
    async with PostgresCell(database).raw() as connection:
        await connection.execute("update payments set wallet_used = wallet_used + 1, fee_used = fee_used + 1")
        report = await verify(connection)
    assert (len(report.differences), report.more) == (2, True)
    assert "more than 2 differences" in str(report)


async def test_a_report_is_readable_for_people_and_machines(database: str):
    assert str(await verify(database)) == "0 payments of 0 merchants compared: no difference"
    assert (await verify(database)).as_json() == {
        "clean": True,
        "merchants": 0,
        "payments": 0,
        "differences": (),
        "more": False,
    }
    merchant = new_id()
    difference = subject.Difference("payment.held", merchant, "x", "1", "2")
    report = Report(merchants=1, payments=1, differences=(difference,))
    assert str(report).splitlines()[1:] == [f"payment.held of x (merchant {merchant}): 1 expected, 2 found"]
    assert not report.clean and report.as_json()["differences"][0]["found"] == "2"


async def test_a_database_that_does_not_answer_is_an_error():
    with pytest.raises(OSError):
        await verify("postgresql://nobody@/nothing?host=/nowhere")
