"""Long lists: wherever a page begins it is what sorting all rows would give, and it reads a bounded number of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from moneyback.core.payment import Condition, PaymentKind
from moneyback.core.refund import State
from moneyback.store import documents, milestones, reads
from moneyback.store.queries import query
from moneyback.store.reads import PaymentsAsked, RefundsAsked
from moneyback.store.statements import Statements
from tests.flows.toy import Scene, scene_on

STEP = 4

PAYMENT = """
insert into payments select (jsonb_populate_record(p, jsonb_build_object(
    'id', gen_random_uuid(), 'dialect_id', gen_random_uuid()::text, 'reference', gen_random_uuid()::text,
    'dialect', $3::text, 'details', $4::jsonb, 'created_at', $5::timestamptz))).*
from payments p where p.merchant_id = $1 and p.id = $2
"""
REFUND = """
insert into refunds select (jsonb_populate_record(r, jsonb_build_object(
    'id', gen_random_uuid(), 'dialect_id', gen_random_uuid()::text, 'dialect', $3::text,
    'created_at', $4::timestamptz))).*
from refunds r where r.merchant_id = $1 and r.id = $2
"""
DOCUMENT = """
insert into documents (merchant_id, dialect, kind, id, data, created_at, updated_at)
values ($1, 'toy', $2, $3::text, jsonb_build_object('id', $3::text), now(), now())
"""


@pytest.fixture
async def scene(module_database: str) -> AsyncIterator[Scene]:
    async with scene_on(module_database) as scene:
        yield scene


@pytest.fixture
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As dense as a short test needs them, as young as they may be, and used by pages that hardly need them."""
    monkeypatch.setattr(milestones, "STEP", STEP)
    for module in (reads, documents):
        monkeypatch.setattr(module, "STEP", 1)
    monkeypatch.setattr(milestones, "FORWARD", 2 * STEP)
    monkeypatch.setattr(milestones, "SLICE", 10 * STEP)
    monkeypatch.setattr(milestones, "MARGIN", timedelta())


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


class Writer:
    """One who writes as a batch does: it learns its transaction and the time first, and commits whenever it likes."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._transaction: Any = None
        self.at: datetime | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing of it waits for a commit."""
        return self._transaction is None

    async def begin(self) -> None:
        """Learn the time that all rows will carry."""
        self._transaction = self._connection.transaction()
        await self._transaction.start()
        self.at = (await self._connection.fetchrow(query("begin_batch")))["business"]

    async def write(self, statement: str, *arguments: object) -> None:
        """Write a row."""
        await self._connection.execute(statement, *arguments)

    async def end(self, *, commit: bool) -> None:
        """Commit, or let it all go."""
        await (self._transaction.commit() if commit else self._transaction.rollback())
        self._transaction = None


@asynccontextmanager
async def writers(dsn: str, count: int) -> AsyncIterator[list[Writer]]:
    async with AsyncExitStack() as stack:
        yield [Writer(await stack.enter_async_context(connected(dsn))) for _ in range(count)]


async def milestones_of(connection: asyncpg.Connection, merchant: UUID, table: str = "list_milestones") -> int:
    found: int = await connection.fetchval(f"select count(*) from {table} where merchant_id = $1", merchant)
    return found


# --- every page is the one that sorting gives ------------------------------------------------------------------------

FILTERS: dict[str, Callable[[Any], bool]] = {
    "{}": lambda _row: True,
    '{"dialect": "toy"}': lambda row: row["dialect"] == "toy",
    '{"dialect": "toy", "method": "card"}': lambda row: row["dialect"] == "toy" and row["method"] == "card",
    '{"dialect": "toy", "kind": "payout"}': lambda row: row["dialect"] == "toy" and row["kind"] == "payout",
    '{"kind": "payin"}': lambda row: row["kind"] == "payin",
}
ROWS = """
select id, dialect, created_at, details ->> 'method' as method, coalesce(details ->> 'kind', 'payin') as kind
from {table} where merchant_id = $1 order by created_at, id
"""


async def check_a_page(scene: Scene, connection: asyncpg.Connection, dice: Random, table: str) -> None:
    """Any page of any list, and its total, against all rows put in order here."""
    rows = await connection.fetch(ROWS.format(table=table), scene.merchant)
    name = dice.choice(list(FILTERS) if table == "payments" else list(FILTERS)[:2])
    chosen: dict[str, Any] = json.loads(name)
    chosen |= {"kind": PaymentKind(chosen["kind"])} if "kind" in chosen else {}
    times = sorted({row["created_at"] for row in rows})
    for bound in ("created_from", "created_to"):
        if times and dice.random() < 0.3:
            chosen[bound] = dice.choice(times[-5:] if dice.random() < 0.5 else times)
    begin, end = chosen.get("created_from"), chosen.get("created_to")
    expected = [
        row["id"]
        for row in rows
        if FILTERS[name](row)
        and (begin is None or row["created_at"] >= begin)
        and (end is None or row["created_at"] <= end)
    ]
    ascending, limit, offset = (
        dice.random() < 0.5,
        dice.choice([1, 3, 20]),
        dice.randrange(dice.choice([3 * STEP, len(rows) + 3])),
    )
    place: dict[str, Any] = {"ascending": ascending, "limit": limit, "offset": offset}
    if table == "payments":
        asked = PaymentsAsked(**chosen)
        total = await scene.reads.count_payments(scene.merchant, asked)
        page: Any = await scene.reads.list_payments(scene.merchant, PaymentsAsked(**chosen, **place))
    else:
        total = await scene.reads.count_refunds(scene.merchant, RefundsAsked(**chosen))
        page = await scene.reads.list_refunds(scene.merchant, RefundsAsked(**chosen, **place))
    assert total == len(expected), (name, chosen)
    wanted = (expected if ascending else expected[::-1])[offset : offset + limit]
    assert [each.id for each in page.rows] == wanted, (name, chosen, place)
    assert (page.next is not None) is (offset + limit < len(expected) and bool(wanted)), (name, chosen, place)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("table", ["payments", "refunds"])
async def test_a_page_is_what_sorting_gives_whoever_commits_late(
    scene: Scene, module_database: str, short_steps: None, table: str, seed: int
):
    """Rows of one moment, rows whose transaction commits after younger ones, and such as are rolled back."""
    dice = Random(seed)
    payment = await scene.pay()
    refund = await scene.admit(payment, 100)

    async def write(writer: Writer) -> None:
        dialect = dice.choice(["toy", "toy", "other"])
        if table == "refunds":
            await writer.write(REFUND, scene.merchant, refund.id, dialect, writer.at)
            return
        details = dice.choice(
            ['{"method": "card"}', '{"method": "bank", "kind": "payout"}', '{"kind": "payout"}', "{}"]
        )
        await writer.write(PAYMENT, scene.merchant, payment.id, dialect, details, writer.at)

    async with connected(module_database) as connection, writers(module_database, 3) as busy:
        for _ in range(70):
            writer = dice.choice(busy)
            if writer.idle:
                await writer.begin()
            for _ in range(dice.randrange(4)):
                await write(writer)
            if dice.random() < 0.6:
                await writer.end(commit=dice.random() < 0.9)
            for _ in range(3):
                await check_a_page(scene, connection, dice, table)
        for writer in busy:
            if not writer.idle:
                await writer.end(commit=True)
        for _ in range(40):
            await check_a_page(scene, connection, dice, table)
        assert await milestones_of(connection, scene.merchant) > 10, "the list never had milestones"


async def test_nothing_gets_a_milestone_that_a_running_transaction_may_still_precede(
    scene: Scene, module_database: str, short_steps: None
):
    payment = await scene.pay()
    asked = PaymentsAsked(dialect="toy")
    async with connected(module_database) as connection, writers(module_database, 2) as (early, late):
        await early.begin()
        await late.begin()
        for _ in range(5 * STEP):
            await late.write(PAYMENT, scene.merchant, payment.id, "toy", "{}", late.at)
        await late.end(commit=True)
        assert await scene.reads.count_payments(scene.merchant, asked) == 5 * STEP + 1
        assert await milestones_of(connection, scene.merchant) == 0
        await early.write(PAYMENT, scene.merchant, payment.id, "toy", "{}", early.at)
        await early.end(commit=True)
        assert await scene.reads.count_payments(scene.merchant, asked) == 5 * STEP + 2
        assert await milestones_of(connection, scene.merchant) >= 4


async def test_milestones_are_drawn_in_slices_and_once_by_all(scene: Scene, module_database: str, short_steps: None):
    payment = await scene.pay()
    asked, others = PaymentsAsked(dialect="toy"), reads.Reads(scene.store)
    async with connected(module_database) as connection, writers(module_database, 1) as (writer,):
        await writer.begin()
        for _ in range(25 * STEP):
            await writer.write(PAYMENT, scene.merchant, payment.id, "toy", "{}", writer.at)
        await writer.end(commit=True)
        drawn = []
        for each in (scene.reads, others, scene.reads, others):
            assert await each.count_payments(scene.merchant, asked) == 25 * STEP + 1
            drawn.append(await milestones_of(connection, scene.merchant))
        assert drawn == [10, 20, 25, 25]


async def test_milestones_of_the_future_are_void(scene: Scene, module_database: str, short_steps: None):
    """A clock that was set back: rows will come before them."""
    payment = await scene.pay()
    async with connected(module_database) as connection, writers(module_database, 1) as (writer,):
        await writer.begin()
        for ahead in range(5 * STEP):
            at = (writer.at or payment.created_at) + timedelta(days=ahead % 2)
            await writer.write(PAYMENT, scene.merchant, payment.id, "toy", "{}", at)
        await writer.end(commit=True)
        await connection.execute(
            "insert into list_milestones select merchant_id, $2, 1000, created_at, id from payments "
            "where merchant_id = $1 order by created_at desc, id desc limit 1",
            scene.merchant,
            '["payments","toy",null,null]',
        )
        asked = PaymentsAsked(dialect="toy", created_to=writer.at)
        assert await scene.reads.count_payments(scene.merchant, asked) == 1 + 5 * STEP // 2
        assert await scene.reads.count_payments(scene.merchant, PaymentsAsked(dialect="toy")) == 1 + 5 * STEP


# --- documents -------------------------------------------------------------------------------------------------------


async def check_documents(scene: Scene, connection: asyncpg.Connection, dice: Random) -> None:
    found = await connection.fetch(
        "select id from documents where merchant_id = $1 and dialect = 'toy' and kind = 'hook' order by number",
        scene.merchant,
    )
    ids = [row["id"] for row in found]
    ascending, limit, offset = dice.random() < 0.5, dice.choice([1, 3, 20]), dice.randrange(len(ids) + 3)
    kept, place = scene.reads.documents, (scene.merchant, "toy", "hook")
    assert await kept.count(*place) == len(ids)
    shown = await kept.list(*place, ascending=ascending, offset=offset, limit=limit)
    assert [each["id"] for each in shown] == (ids if ascending else ids[::-1])[offset : offset + limit]


@pytest.mark.parametrize("seed", range(2))
async def test_a_page_of_documents_is_what_sorting_gives_whatever_is_dropped(
    scene: Scene, module_database: str, short_steps: None, seed: int
):
    """Documents whose transaction commits late, drops anywhere, and such as are taken back."""
    dice, numbers = Random(seed), iter(range(10_000))
    dropping: Writer | None = None  # drops of one list wait for each other
    async with connected(module_database) as connection, writers(module_database, 2) as busy:
        for _ in range(120):
            writer = dice.choice(busy)
            if writer.idle:
                await writer.begin()
            for _ in range(dice.randrange(4)):
                kind = dice.choice(["hook", "hook", "card"])
                await writer.write(DOCUMENT, scene.merchant, kind, str(next(numbers)))
            if dice.random() < 0.4 and (dropping in (None, writer) or dropping.idle):
                dropping = writer
                others = (
                    "(select id from documents where merchant_id = $1 order by random() limit 2 for update skip locked)"
                )
                await writer.write(f"delete from documents where merchant_id = $1 and id in {others}", scene.merchant)
            if dice.random() < 0.8:
                await writer.end(commit=dice.random() < 0.9)
            if dice.random() < 0.3:
                for each in busy:
                    if not each.idle:
                        await each.end(commit=True)
            await check_documents(scene, connection, dice)
        assert await milestones_of(connection, scene.merchant, "document_milestones") > 10, (
            "the list never had milestones"
        )


async def test_nothing_gets_a_milestone_while_somebody_writes_documents(
    scene: Scene, module_database: str, short_steps: None
):
    """It may have drawn its number before those that are there already."""
    kept, place = scene.reads.documents, (scene.merchant, "toy", "hook")
    async with connected(module_database) as connection, writers(module_database, 1) as (early,):
        await early.begin()
        await early.write(DOCUMENT, scene.merchant, "hook", "early")
        for number in range(5 * STEP):
            await kept.save(*place, str(number), {"id": str(number)})
        assert await kept.count(*place) == 5 * STEP
        assert await milestones_of(connection, scene.merchant, "document_milestones") == 0
        await early.end(commit=True)
        assert await kept.count(*place) == 5 * STEP + 1
        assert await milestones_of(connection, scene.merchant, "document_milestones") == 5
        assert await kept.list(*place, offset=STEP, limit=1) == ({"id": str(STEP - 1)},)


async def test_what_is_being_dropped_is_not_counted(
    scene: Scene, module_database: str, short_steps: None, monkeypatch: pytest.MonkeyPatch
):
    """A drop that begins between the two steps in which milestones are drawn: they wait for its end."""
    kept, place = scene.reads.documents, (scene.merchant, "toy", "hook")
    for number in range(5 * STEP):
        await kept.save(*place, str(number), {"id": str(number)})
    in_turn = Statements.one_behind

    async with connected(module_database) as connection, writers(module_database, 1) as (writer,):

        async def meanwhile(self: Statements, lock: str, arguments: tuple[object, ...], *rest: Any) -> Any:
            if not arguments:
                return await in_turn(self, lock, arguments, *rest)
            await writer.begin()
            await writer.write("delete from documents where merchant_id = $1 and id = '2'", scene.merchant)
            drawing = asyncio.create_task(in_turn(self, lock, arguments, *rest))
            while not await connection.fetchval(
                "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            ):
                assert not drawing.done(), "milestones were drawn beside a drop"
            await writer.end(commit=True)
            return await drawing

        monkeypatch.setattr(Statements, "one_behind", meanwhile)
        assert await kept.count(*place) == 5 * STEP
        monkeypatch.setattr(Statements, "one_behind", in_turn)
        assert await milestones_of(connection, scene.merchant, "document_milestones") == 4
        assert await kept.count(*place) == 5 * STEP - 1
        shown = await kept.list(*place, offset=3 * STEP, limit=2)
        assert [each["id"] for each in shown] == [str(3 * STEP + 1), str(3 * STEP + 2)]


# --- what a page touches ---------------------------------------------------------------------------------------------

LONG = 6_000
LENGTHEN = {
    "payments": """
insert into payments select (jsonb_populate_record(p, jsonb_build_object(
    'id', gen_random_uuid(), 'dialect_id', n::text, 'reference', n::text,
    'details', jsonb_build_object('method', 'card', 'document', jsonb_build_object('even', n % 2 = 0, 'n', n)),
    'created_at', p.created_at - n * interval '1 minute'))).*
from payments p, generate_series(1, $3::int) n where p.merchant_id = $1 and p.id = $2""",
    "refunds": """
insert into refunds select (jsonb_populate_record(r, jsonb_build_object(
    'id', gen_random_uuid(), 'dialect_id', p.dialect_id, 'payment_id', p.id, 'created_at', p.created_at))).*
from refunds r, payments p
where r.merchant_id = $1 and r.payment_id = $2 and p.merchant_id = $1 and p.id <> $2 limit $3""",
    "documents": """
insert into documents (merchant_id, dialect, kind, id, data, created_at, updated_at)
select $1, 'toy', $2::uuid::text, n::text, '{}', now(), now() from generate_series(1, $3::int) n""",
}


def read_most(plan: dict[str, Any]) -> int:
    """The most rows that one step of a plan read or let go by."""
    let_go = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
    own = (plan["Actual Rows"] + let_go) * plan["Actual Loops"]
    return int(max([own, *(read_most(each) for each in plan.get("Plans", ()))]))


async def test_a_page_far_within_reads_no_more_than_one_near_the_end(
    scene: Scene, module_database: str, monkeypatch: pytest.MonkeyPatch
):
    payment = await scene.pay(method="card")
    await scene.admit(payment, 100)
    read, merchant, kind = scene.reads, scene.merchant, str(payment.id)
    async with connected(module_database) as connection:
        for statement in LENGTHEN.values():
            await connection.execute(statement, merchant, payment.id, LONG)
        await connection.execute("analyze payments; analyze refunds; analyze documents")
        plans: list[int] = []
        in_turn = {"one": Statements.one, "all": Statements.all}

        def explained(name: str) -> Any:
            async def run(self: Statements, statement: str, *arguments: object) -> Any:
                found = await connection.fetchval(f"explain (analyze, format json) {statement}", *arguments)
                plans.append(read_most(json.loads(found)[0]["Plan"]))
                return await in_turn[name](self, statement, *arguments)

            return run

        lists: dict[str, Callable[..., Awaitable[Any]]] = {
            "payments": lambda **place: read.list_payments(merchant, PaymentsAsked(dialect="toy", **place)),
            "by method": lambda **place: read.list_payments(
                merchant, PaymentsAsked(dialect="toy", method="card", **place)
            ),
            "refunds": lambda **place: read.list_refunds(
                merchant, RefundsAsked(dialect="toy", amount_in="EUR", **place)
            ),
            "documents": lambda **place: read.documents.list(merchant, "toy", kind, **place),
        }
        totals: dict[str, Callable[[], Awaitable[int]]] = {
            "payments": lambda: read.count_payments(merchant, PaymentsAsked(dialect="toy")),
            "by method": lambda: read.count_payments(merchant, PaymentsAsked(dialect="toy", method="card")),
            "refunds": lambda: read.count_refunds(merchant, RefundsAsked(dialect="toy")),
            "documents": lambda: read.documents.count(merchant, "toy", kind),
        }
        for name, total in totals.items():
            assert await total() == LONG + (name != "documents")
        monkeypatch.setattr(Statements, "one", explained("one"))
        monkeypatch.setattr(Statements, "all", explained("all"))
        for name, page in lists.items():
            for offset in (LONG // 2, LONG - 30):
                for ascending in (True, False):
                    plans.clear()
                    shown = await page(offset=offset, ascending=ascending)
                    assert len(shown if name == "documents" else shown.rows) == 25
                    assert max(plans) <= milestones.FORWARD + 30, (name, offset, ascending, plans)
            plans.clear()
            await totals[name]()
            assert max(plans) <= milestones.FORWARD, (name, plans)

        # What matches is found by its index, however rare, and nothing else is read.
        await connection.execute("vacuum analyze payments")
        plans.clear()
        rare = ({"even": False, "n": 4711},)
        assert len((await read.list_payments(merchant, PaymentsAsked(dialect="toy", match=rare))).rows) == 1
        assert len((await read.list_refunds(merchant, RefundsAsked(dialect="toy", match=rare))).rows) == 1
        assert len((await read.list_payments(merchant, PaymentsAsked(condition=Condition.FAILED))).rows) == 0
        assert max(plans) <= 10, plans


# --- filters ---------------------------------------------------------------------------------------------------------


async def test_payments_and_refunds_by_document_amount_and_change(scene: Scene):
    cases: list[tuple[int, dict[str, Any]]] = [
        (1_000, {"document": {"type": "6", "card": {"name": "Ada"}}}),
        (2_000, {"document": {"type": 6, "deep": {"card": {"name": "Ada"}}}}),
        (3_000, {"status": "authorized", "document": {"card": {}}}),
        (4_000, {}),
    ]
    payments = [await scene.pay(amount, **fields) for amount, fields in cases]
    refunds = [await scene.admit(each, 100 + place) for place, each in enumerate(payments) if place != 2]
    place = {each.id: number for number, each in enumerate(payments)}

    async def paid(**asked: Any) -> list[int]:
        page = await scene.reads.list_payments(scene.merchant, PaymentsAsked(ascending=True, **asked))
        assert await scene.reads.count_payments(scene.merchant, PaymentsAsked(**asked)) == len(page.rows)
        return [place[each.id] for each in page.rows]

    async def given(**asked: Any) -> list[int]:
        page = await scene.reads.list_refunds(scene.merchant, RefundsAsked(ascending=True, **asked))
        assert await scene.reads.count_refunds(scene.merchant, RefundsAsked(**asked)) == len(page.rows)
        return [place[each.payment] for each in page.rows]

    assert await paid(match=({"type": "6"},)) == [0]
    assert await paid(match=({"type": "6"}, {"type": 6})) == [0, 1]
    assert await paid(match=({"card": {"name": "Ada"}},)) == [0]
    assert await paid(match=({"card": {}},)) == [0, 2]
    assert await paid(match=({"nothing": 1},)) == []
    assert await paid(unlike=({"type": "6"},)) == [1, 2, 3]
    assert await paid(unlike=({"type": "6"}, {"card": {}}), match=({},)) == [1]
    assert await given(unlike=({"type": 6},)) == [0, 3]
    assert await given(match=({"type": "6"}, {"deep": {"card": {"name": "Ada"}}})) == [0, 1]
    assert await given(match=({"card": {}},), amount_to=100) == [0]
    assert await paid(amount_from=2_000, amount_to=3_000) == [1, 2]
    assert await paid(amount_from=4_000, amount_in="EUR") == [3]
    assert await paid(amount_from=4_000, amount_in="USD") == [0, 1, 2, 3]
    assert await paid(condition=Condition.AUTHORIZED) == [2]
    assert await paid(condition=Condition.CAPTURED) == [0, 1, 3]
    assert await given(amount_from=101) == [1, 3]
    assert await given(amount_to=101, amount_in="EUR") == [0, 1]
    assert await given(amount_to=1, amount_in="USD") == [0, 1, 3]
    assert await given(states=frozenset({State.READY}), updated_from=refunds[1].updated_at) == [1, 3]
    assert await given(updated_to=refunds[0].updated_at) == [0]


async def test_documents_of_a_span_of_time(scene: Scene, module_database: str):
    kept, place = scene.reads.documents, (scene.merchant, "toy", "hook")
    for number in range(4):
        await kept.save(*place, str(number), {"n": number, "odd": number % 2 == 1})
    await kept.save(*place, "1", {"n": 1, "odd": True})
    async with connected(module_database) as connection:
        rows = await connection.fetch(
            "select created_at, updated_at from documents where merchant_id = $1 order by number", scene.merchant
        )

    async def listed(**asked: Any) -> list[int]:
        found = [each["n"] for each in await kept.list(*place, **asked)]
        assert await kept.count(*place, **asked) == len(found)
        return found

    assert await listed(created_from=rows[1]["created_at"], created_to=rows[2]["created_at"]) == [1, 2]
    assert await listed(created_from=rows[1]["created_at"], match={"odd": True}) == [1, 3]
    assert await listed(updated_from=rows[3]["updated_at"]) == [1, 3]
    assert await listed(updated_to=rows[0]["updated_at"]) == [0]
    second = await kept.list(*place, created_from=rows[1]["created_at"], ascending=False, offset=1, limit=1)
    assert second == ({"n": 2, "odd": False},)
