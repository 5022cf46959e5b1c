"""Telling: what happened is told once, in its order, to whoever wants it, and nothing is left out on the way."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from moneyback.api.native import shown_event
from moneyback.core.records import EventRow
from moneyback.dialect import (
    Ask,
    Caller,
    Delivery,
    Happened,
    Incoming,
    ListDocuments,
    LoadDocument,
    Mac,
    Outgoing,
    Route,
    SaveDocument,
    Tell,
)
from moneyback.flows.deliver import DELIVER_MAX
from moneyback.flows.serve_dialect import serve
from moneyback.flows.sign import seal_secret
from moneyback.flows.tell import EVENTS_MAX, EVENTS_MAX_BUSY, FOLLOW_LEASE, follow_logs, happened_id
from moneyback.store.access import Access
from moneyback.store.deliveries import Due, Said, Told
from moneyback.store.followers import Followers, Following
from moneyback.store.migrate import migrations
from moneyback.store.port import Cursor, StoreUnavailable
from moneyback.vault import Vault
from moneyback.workers.deliveries import TO_ONE_MAX, run_deliveries
from moneyback.workers.tell import run_telling
from tests.flows.toy import TOY, Scene, scene_on

VAULT = Vault(bytes(range(32)))
PATIENCE_S = 20
SECRET = "toy-secret"


def tell(happened: Happened, caller: Caller) -> Generator[Ask, Any, tuple[Delivery, ...]]:
    """Every hook hears of it; a document may ask for trouble."""
    trouble = yield LoadDocument("trouble", happened.type)
    if trouble is not None:
        raise RuntimeError(f"a secret of {caller.name}")
    hooks = yield ListDocuments(kind="hook")
    refund = happened.refund.dialect_id if happened.refund is not None else None
    said = {
        "id": str(happened.id),
        "type": happened.type,
        "payment": happened.payment.dialect_id,
        "refund": refund,
        "state": happened.refund.state.value if happened.refund is not None else None,
        "profile": dict(caller.profile),
    }
    body = json.dumps(said).encode()
    return tuple(
        Delivery(url=each["url"], hook=each["id"], body=body, endpoint_headers=each.get("headers", ""))
        for each in hooks
    )


TELLING = replace(TOY, tell=tell)


class Desk:
    """One merchant whose toy client has a hook, and everything that is told."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.reads = scene.reads
        self.merchant = scene.merchant
        self.world = replace(
            scene.world,
            vault=VAULT,
            dialects={"toy": TELLING},
            warn=lambda word, **said: self.warned.append((word, said)),
        )
        self.warned: list[tuple[str, dict[str, Any]]] = []
        self.deliveries = scene.reads.deliveries_with(VAULT)
        self.endpoints = scene.reads.endpoints_with(VAULT)
        self.followers = Followers(scene.store, self.deliveries)
        self.access = Access(scene.store, VAULT)

    async def hook(self, id: str = "h1", **members: str) -> None:
        hook = {"id": id, "url": f"http://shop.example/{id}", **members}
        await self.reads.documents.save(self.merchant, "toy", "hook", id, hook)

    async def credential(self, profile: dict[str, Any] | None = None, secret: str = SECRET) -> UUID:
        id = uuid4()
        await self.access.add_credential(self.merchant, id, "toy", secret=secret + id.hex, user=id.hex, profile=profile)
        return id

    async def follow(self) -> int:
        return await follow_logs(self.world, self.reads, self.followers, shown_event)

    async def caught_up(self) -> None:
        """Until the log was followed to its end: the horizon may lag behind a commit."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.reached() < await self.end():
                await self.follow()

    async def reached(self) -> tuple[int, int]:
        row = await self.row("select xid::text::bigint as xid, event_id from followers where merchant_id = $1")
        return row["xid"], row["event_id"]

    async def end(self) -> tuple[int, int]:
        row = await self.row(
            "select xid::text::bigint as xid, id from events where merchant_id = $1 order by xid desc, id desc limit 1"
        )
        return (row["xid"], row["id"]) if row else (0, 0)

    async def row(self, statement: str, *arguments: object) -> Any:
        async with self.scene.store.reading() as connection:
            return await connection.fetchrow(statement, self.merchant, *arguments)

    async def do(self, statement: str, *arguments: object) -> None:
        async with self.scene.store.reading() as connection:
            await connection.execute(statement, *arguments)

    async def told(self, hook: str | None = None) -> list[dict[str, Any]]:
        """What is kept to be said, oldest first."""
        rows = []
        async with self.scene.store.reading() as connection:
            rows = await connection.fetch(
                "select id, hook, dialect, sealed, object_id from deliveries where merchant_id = $1 order by number",
                self.merchant,
            )
        return [self._opened(row) for row in rows if hook in (None, row["hook"])]

    def _opened(self, row: Any) -> dict[str, Any]:
        text = VAULT.open(row["sealed"], f"delivery:{self.merchant.hex}:{row['id'].hex}")
        said = msgspec.json.decode(text, type=Said)
        return {**json.loads(said.body), "headers": said.headers, "about": row["object_id"], "hook": row["hook"]}

    async def types(self, hook: str | None = None) -> list[str]:
        return [each["type"] for each in await self.told(hook)]


@pytest.fixture
async def desk(module_database: str) -> AsyncIterator[Desk]:
    async with scene_on(module_database) as scene:
        desk = Desk(scene)
        await desk.do("update followers set claimed_until = 'infinity' where merchant_id <> $1", desk.merchant)
        await desk.do("delete from deliveries where merchant_id <> $1", desk.merchant)
        await desk.credential({"shop": "s1"})
        await desk.hook()
        yield desk


# --- what is told ----------------------------------------------------------------------------------------------------


async def test_every_line_of_the_log_is_told_in_its_order(desk: Desk):
    payment = await desk.scene.pay()
    refund = await desk.scene.admit(payment, 1_000)
    await desk.caught_up()
    told = await desk.told()
    assert [(each["type"], each["payment"], each["refund"]) for each in told] == [
        ("payment.registered", payment.dialect_id, None),
        ("refund.created", payment.dialect_id, refund.dialect_id),
    ]
    assert [each["about"] for each in told] == [payment.id, refund.id]
    assert told[0]["profile"] == {"shop": "s1"}
    (newest, _) = await desk.reads.deliveries(desk.merchant)
    assert (newest.event, newest.dialect, newest.rail, newest.hook) == ("refund.created", "toy", None, "h1")


async def test_nothing_new_costs_no_deliveries_and_moves_nothing(desk: Desk):
    await desk.scene.pay()
    await desk.caught_up()
    before = await desk.reached()
    assert [await desk.follow() for _ in range(3)] == [0, 0, 0]
    assert await desk.reached() == before
    assert await desk.followers.claim(9, FOLLOW_LEASE) == ()


async def test_a_line_is_told_with_the_refund_as_it_is_now(desk: Desk):
    refund = await desk.scene.admit(await desk.scene.pay(), 1_000)
    await desk.do("update refunds set state = 'failed' where id = $1", refund.id)
    await desk.caught_up()
    assert (await desk.told())[-1]["state"] == "failed"


async def test_with_nobody_who_speaks_the_dialect_nothing_is_told(desk: Desk):
    for each in await desk.access.credentials(desk.merchant, "toy"):
        await desk.access.revoke(desk.merchant, each.id)
    await desk.credential({"front": "main"})
    await desk.scene.pay()
    await desk.caught_up()
    assert await desk.told() == []


async def test_the_newest_credential_that_is_in_front_of_nobody_is_told(desk: Desk):
    await desk.credential({"shop": "s2"})
    await desk.credential({"front": "main", "shop": "s3"})
    await desk.scene.pay()
    await desk.caught_up()
    assert [each["profile"] for each in await desk.told()] == [{"shop": "s2"}]


async def test_what_its_own_provider_has_is_not_told_and_what_another_has_is(desk: Desk):
    own, other = await desk.scene.pay(), await desk.scene.pay()
    await desk.do("update payments set account = 'toy:4711' where id = $1", own.id)
    await desk.do("update payments set account = 'trustly:4711' where id = $1", other.id)
    await desk.caught_up()
    assert [each["payment"] for each in await desk.told()] == [other.dialect_id]


async def test_one_that_breaks_is_logged_without_its_words_and_stops_nothing(desk: Desk):
    await desk.reads.documents.save(desk.merchant, "toy", "trouble", "payment.registered", {})
    payment = await desk.scene.pay()
    await desk.scene.admit(payment, 1_000)
    await desk.caught_up()
    assert await desk.types() == ["refund.created"]
    ((word, said),) = desk.warned
    assert (word, said["dialect"], said["event"]) == ("tell_broke", "toy", "payment.registered")
    assert said["error"].startswith("RuntimeError in ") and "secret" not in str(said)


async def test_what_a_dialect_writes_down_while_it_tells_it_reads_again(desk: Desk):
    def counting(_happened: Happened, _caller: Caller) -> Generator[Ask, Any, tuple[Delivery, ...]]:
        known = (yield LoadDocument("count", "c")) or {"n": 0}
        yield SaveDocument("count", "c", {"n": known["n"] + 1})
        return (Delivery(url="http://shop.example/", hook="h1", body=b'{"type": "%d"}' % known["n"]),)

    desk.world = replace(desk.world, dialects={"toy": replace(TOY, tell=counting)})
    await desk.scene.admit(await desk.scene.pay(), 1_000)
    await desk.caught_up()
    assert await desk.types() == ["0", "1"]


async def test_each_merchants_log_is_its_own(desk: Desk):
    stranger = uuid4()
    await desk.access.add_merchant(stranger, "stranger")
    await desk.access.add_credential(stranger, uuid4(), "toy", secret="s", user=stranger.hex)
    await desk.reads.documents.save(stranger, "toy", "hook", "h2", {"id": "h2", "url": "http://elsewhere.example/"})
    await desk.scene.pay()
    await desk.caught_up()
    assert await desk.reads.deliveries(stranger) == ()
    assert [each.hook for each in await desk.reads.deliveries(desk.merchant)] == ["h1"]


# --- once, and nothing left out --------------------------------------------------------------------------------------


async def test_two_at_once_tell_everything_once(desk: Desk):
    refunds = [await desk.scene.admit(await desk.scene.pay(), 1_000) for _ in range(8)]

    async def one() -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await desk.reached() < await desk.end():
                await desk.follow()

    await asyncio.gather(one(), one(), one())
    told = await desk.told()
    assert len({each["id"] for each in told}) == len(told) == 16
    assert [each["refund"] for each in told if each["refund"]] == [each.dialect_id for each in refunds]


async def test_a_log_is_followed_by_one_at_a_time_and_by_another_once_the_lease_is_over(desk: Desk):
    await desk.scene.pay()
    async with asyncio.timeout(PATIENCE_S):
        while not (held := await desk.followers.claim(9, FOLLOW_LEASE)):
            pass
    assert await desk.followers.claim(9, FOLLOW_LEASE) == ()
    assert [await desk.follow(), await desk.told()] == [0, []]
    await desk.do("update followers set claimed_until = clock_timestamp() - interval '1 second'")
    assert await desk.followers.claim(9, FOLLOW_LEASE) == held


async def test_whoever_comes_too_late_tells_nothing_twice_and_moves_nothing_back(desk: Desk):
    """Its lease ran out while it was at work; another has gone on meanwhile."""
    await desk.scene.pay()
    await desk.caught_up()
    late = Following(desk.merchant, Cursor())
    (first,) = await desk.told()
    await desk.scene.pay()
    await desk.caught_up()
    reached = await desk.reached()
    (logged, *_) = await desk.scene.store.events(desk.merchant, Cursor(), 1)
    again = Told(id=(await desk.reads.deliveries(desk.merchant))[-1].id, delivery=Delivery(url="http://x/", hook="h1"))
    await desk.followers.advance(late, [again], logged.cursor)
    assert await desk.reached() == reached
    assert (await desk.told())[0] == first and len(await desk.told()) == 2


async def test_cut_off_between_the_deliveries_and_the_place_it_is_told_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    """They are one commit: neither stands without the other, and whoever comes next begins at the same place."""
    await desk.scene.pay()
    sql = desk.scene.store.sql
    monkeypatch.setitem(sql, "advance_follower", "select 1 / 0, $1::uuid, $2::text, $3::bigint")
    async with asyncio.timeout(PATIENCE_S):
        while not desk.warned:
            await desk.follow()
    assert desk.warned[0][0] == "log_not_followed"
    assert (await desk.told(), await desk.reached()) == ([], (0, 0))
    monkeypatch.undo()
    await desk.do("update followers set claimed_until = '-infinity'")
    await desk.caught_up()
    assert await desk.types() == ["payment.registered"]


async def test_what_is_told_again_from_the_beginning_is_there_already(desk: Desk):
    await desk.scene.admit(await desk.scene.pay(), 1_000)
    await desk.caught_up()
    before = await desk.told()
    await desk.do("update followers set xid = '0', event_id = 0")
    await desk.caught_up()
    assert await desk.told() == before and len(before) == 2


async def test_a_transaction_that_is_still_open_is_waited_for(desk: Desk, module_database: str):
    """It began before what is committed by now, and may yet write an event that comes first."""
    connection = await asyncpg.connect(module_database)
    transaction = connection.transaction()
    try:
        await desk.scene.pay()
        await desk.caught_up()
        await transaction.start()
        await connection.execute("select pg_current_xact_id()")
        late, early = await desk.scene.pay(), uuid4()
        assert await desk.followers.claim(9, FOLLOW_LEASE) == (), "nothing can be told yet, so nothing is begun"
        await connection.execute(
            "insert into events (merchant_id, type, object_id, sequence, payment_id, at, data) "
            "values ($1, 'payment.slow', $2, 1, $3, now(), '{}')",
            *(desk.merchant, early, late.id),
        )
        await transaction.commit()
    finally:
        await connection.close()
    await desk.caught_up()
    assert await desk.types() == ["payment.registered", "payment.slow", "payment.registered"]


async def test_a_long_log_is_told_in_steps_and_few_at_a_time_beside_requests(desk: Desk):
    for number in range(EVENTS_MAX_BUSY + 3):
        await desk.scene.pay(100 + number)
    steps = []
    async with asyncio.timeout(PATIENCE_S):
        with desk.world.requests:
            while not (step := await desk.follow()):
                pass
            steps.append(step)
    await desk.caught_up()
    assert steps == [EVENTS_MAX_BUSY] and len(await desk.told()) == EVENTS_MAX_BUSY + 3
    assert EVENTS_MAX_BUSY < EVENTS_MAX


async def test_whoever_was_there_before_there_were_followers_hears_of_what_comes(desk: Desk):
    """The migration begins where the log stands: years of history are no news."""
    await desk.scene.pay()
    await desk.caught_up()
    old = await desk.told()
    await desk.do("delete from deliveries")
    await desk.do("delete from followers")
    text = next(text for name, text in migrations() if name.startswith("0010"))
    await desk.do(text[text.index("insert into followers") : text.index(";", text.index("insert into followers"))])
    await desk.scene.pay()
    await desk.caught_up()
    assert len(await desk.told()) == len(old) == 1


# --- after a restore -------------------------------------------------------------------------------------------------


async def test_after_a_restore_the_place_goes_on_where_the_log_does(desk: Desk):
    await desk.scene.pay()
    await desk.caught_up()
    reached = await desk.reached()
    await desk.do("update cell set epoch = epoch + 1")
    behind = "select 1 from followers f, cell c where f.merchant_id = $1 and f.epoch < c.epoch"
    async with asyncio.timeout(PATIENCE_S):
        while await desk.row(behind):
            await desk.follow()
    assert await desk.reached() == reached
    await desk.scene.pay()
    await desk.caught_up()
    assert len(await desk.told()) == 2


async def test_a_place_ahead_of_all_that_will_happen_is_set_back_to_now(desk: Desk):
    """A dump that was loaded into a cluster with smaller transaction numbers."""
    await desk.scene.pay()
    await desk.caught_up()
    ahead = 1 << 40
    await desk.do(f"update followers set xid = '{ahead}', event_id = 7")
    await desk.do("update cell set epoch = epoch + 1")
    async with asyncio.timeout(PATIENCE_S):
        while (await desk.reached())[0] == ahead:
            await desk.follow()
    await desk.scene.pay()
    await desk.caught_up()
    assert len(await desk.told()) == 2


def test_what_happens_in_its_place_after_a_restore_has_another_id():
    event = EventRow(
        merchant=uuid4(),
        type="refund.failed",
        object=uuid4(),
        sequence=3,
        payment=uuid4(),
        at=datetime(2026, 3, 2, tzinfo=UTC),
        data={},
    )
    later, other = replace(event, at=event.at + timedelta(seconds=1)), replace(event, type="refund.succeeded")
    assert len({happened_id(each) for each in (event, later, other, replace(event, sequence=4))}) == 4
    assert happened_id(replace(event, data={"seen": "later"})) == happened_id(event)


# --- the loops -------------------------------------------------------------------------------------------------------


class Calls:
    """Programs that are called; those at `stuck` addresses do not answer before they are let."""

    def __init__(self) -> None:
        self.came: list[Due] = []
        self.stuck = ""
        self.free = asyncio.Event()
        self.called = asyncio.Event()
        self.cut_off = 0

    async def post(self, due: Due) -> int:
        self.came.append(due)
        self.called.set()
        if due.url == self.stuck:
            try:
                await self.free.wait()
            except asyncio.CancelledError:
                self.cut_off += 1
                raise
        return 200

    async def until(self, count: int, url: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while sum(each.url == url for each in self.came) < count:
                self.called.clear()
                await self.called.wait()


@asynccontextmanager
async def at_work(desk: Desk, calls: Calls) -> AsyncIterator[None]:
    """The loops as a process runs them, resting shorter."""
    world = replace(desk.world, sleep=lambda seconds: asyncio.sleep(min(seconds, 0.01)))
    loops = [
        asyncio.create_task(run_telling(world, desk.reads, desk.followers, shown_event)),
        asyncio.create_task(run_deliveries(world, desk.deliveries, desk.endpoints, calls.post)),
    ]
    try:
        yield
    finally:
        for each in loops:
            each.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


async def test_what_happens_arrives_by_itself(desk: Desk):
    calls = Calls()
    async with at_work(desk, calls):
        payment = await desk.scene.pay()
        await desk.scene.admit(payment, 1_000)
        await calls.until(2, "http://shop.example/h1")
    said = [json.loads(each.said.body)["type"] for each in calls.came if each.said is not None]
    assert sorted(said) == ["payment.registered", "refund.created"]


async def test_a_program_that_does_not_answer_keeps_no_other_waiting(desk: Desk):
    calls = Calls()
    calls.stuck = "http://stuck.example/"
    dead = [Told(id=uuid4(), delivery=Delivery(url=calls.stuck, hook="d")) for _ in range(3 * DELIVER_MAX)]
    alive = [Told(id=uuid4(), delivery=Delivery(url="http://alive.example/", hook="a")) for _ in range(3)]
    await desk.deliveries.add(desk.merchant, *dead)
    async with at_work(desk, calls):
        await calls.until(TO_ONE_MAX, calls.stuck)
        await desk.deliveries.add(desk.merchant, *alive)
        await calls.until(len(alive), "http://alive.example/")
        under_way = sum(each.url == calls.stuck for each in calls.came)
        assert under_way <= DELIVER_MAX + TO_ONE_MAX
    assert calls.cut_off == under_way, "what is cut off is not left running"


async def test_the_loops_go_on_after_the_database_was_away(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    calls, broken, both = Calls(), [0, 0], asyncio.Event()

    async def fail(number: int) -> None:
        broken[number] += 1
        if min(broken) >= 2:
            both.set()
        raise StoreUnavailable("away") if broken[number] == 1 else RuntimeError("a mistake of ours")

    monkeypatch.setattr(desk.followers, "claim", lambda *_: fail(0))
    monkeypatch.setattr(desk.deliveries, "claim", lambda *_, **__: fail(1))
    async with at_work(desk, calls):
        async with asyncio.timeout(PATIENCE_S):
            await both.wait()
        monkeypatch.undo()
        await desk.scene.pay()
        await calls.until(1, "http://shop.example/h1")


# --- endpoints -------------------------------------------------------------------------------------------------------


async def test_endpoints_are_told_what_they_want_as_the_log_shows_it(desk: Desk):
    async def add(*events: str) -> UUID:
        kept = await desk.endpoints.add(
            desk.merchant,
            uuid4(),
            url="https://shop.example/",
            events=events,
            description="",
            secret="whsec_YQ==",
            most=9,
        )
        assert kept is not None
        return kept.id

    all_of, refunds, one, none = [await add(), await add("refund.*"), await add("payment.registered"), await add("x")]
    payment = await desk.scene.pay(rail="sandbox")
    await desk.do("update payments set account = 'toy:own' where id = $1", payment.id)
    await desk.scene.admit(payment, 1_000)
    await desk.caught_up()
    assert [await desk.types(f"end_{each.hex}") for each in (all_of, refunds, one, none)] == [
        ["payment.registered", "refund.created"],
        ["refund.created"],
        ["payment.registered"],
        [],
    ]
    logged = await desk.scene.store.events(desk.merchant, Cursor(), 9)
    shown = [json.loads(shown_event(each.event, each.cursor)) for each in logged]
    told = await desk.told(f"end_{all_of.hex}")
    assert [{name: each[name] for name in shown[0]} for each in told] == shown


# --- the asks --------------------------------------------------------------------------------------------------------


async def asked(desk: Desk, caller: Caller, *asks: Ask) -> list[Any]:
    """What a handler is answered."""
    answers: list[Any] = []

    def handle(_incoming: Incoming, _caller: Caller) -> Generator[Ask, Any, Outgoing]:
        for ask in asks:
            answers.append((yield ask))  # noqa: PERF401 - a comprehension cannot yield
        return Outgoing()

    incoming = Incoming(method="GET", path="/x")
    said = await serve(desk.world, desk.reads, TELLING, Route(method="GET", path="/x", handle=handle), incoming, caller)
    assert said.status == 200, desk.scene.logged
    return answers


async def test_a_handler_tells_once_what_is_no_event(desk: Desk):
    caller = Caller(merchant=desk.merchant)
    said = Delivery(url="http://shop.example/kyc", hook="kyc", body=b'{"type": "kyc"}')
    other = replace(said, hook="kyc-2")
    assert (
        await asked(desk, caller, Tell("k-1", said), Tell("k-1", said), Tell("k-1", other), Tell("k-2", said))
        == [None] * 4
    )
    assert [(each["hook"], each["about"]) for each in await desk.told()] == [
        ("kyc", None),
        ("kyc-2", None),
        ("kyc", None),
    ]


async def test_without_a_master_key_nothing_is_kept_to_be_told(desk: Desk):
    desk.world = replace(desk.world, vault=None)
    said = Delivery(url="http://shop.example/kyc", hook="kyc")
    assert await asked(desk, Caller(merchant=desk.merchant), Tell("k-1", said), Mac(b"x", "sha256")) == [None, None]
    assert await desk.told() == []


async def test_a_mac_is_made_with_the_callers_own_secret(desk: Desk):
    secrets = {await desk.credential(secret=each): each for each in ("one", "two")}
    for id, secret in secrets.items():
        caller = Caller(merchant=desk.merchant, credential=id)
        asks = [Mac(b"told", "sha256"), Mac(b"told", "sha1"), Mac(b"told", "sha512", prefixed=True)]
        key = (secret + id.hex).encode()
        assert await asked(desk, caller, *asks) == [
            hmac.digest(key, b"told", "sha256"),
            hmac.digest(key, b"told", "sha1"),
            hashlib.sha512(key + b"told").digest(),
        ]


async def test_without_a_credential_the_newest_ones_secret_counts_in_front_of_the_rail_or_of_none(desk: Desk):
    newest, front = await desk.credential(), await desk.credential({"front": "main"})
    for profile, id in (({}, newest), ({"front": "main"}, front)):
        key = (SECRET + id.hex).encode()
        caller = Caller(merchant=desk.merchant, profile=profile)
        assert await asked(desk, caller, Mac(b"x", "sha256")) == [hmac.digest(key, b"x", "sha256")]
    assert await asked(desk, Caller(merchant=desk.merchant, profile={"front": "other"}), Mac(b"x", "sha256")) == [None]


async def test_no_mac_is_made_with_what_is_not_the_callers(desk: Desk):
    id = await desk.credential()
    asks = (Mac(b"x", "sha256"), Mac(b"x", "sha256", sealed=seal_secret(VAULT, desk.merchant, "s")))
    assert await asked(desk, Caller(merchant=uuid4(), credential=id), *asks) == [None, None]
    desk.world = replace(desk.world, vault=Vault(bytes(32)))
    assert await asked(desk, Caller(merchant=desk.merchant, credential=id), *asks) == [None, None]


async def test_a_secret_that_is_only_hashed_makes_no_mac(desk: Desk):
    id = uuid4()
    await desk.scene.access.add_credential(desk.merchant, id, "toy", secret="s", user=id.hex)
    caller = Caller(merchant=desk.merchant, credential=id)
    assert await asked(desk, caller, Mac(b"x", "sha256")) == [None]
    await desk.access.seal(desk.merchant, "toy", secret="s", user=id.hex)
    assert await asked(desk, caller, Mac(b"x", "sha256")) == [hmac.digest(b"s", b"x", "sha256")]


async def test_an_endpoints_own_secret_and_headers(desk: Desk):
    sealed = seal_secret(VAULT, desk.merchant, "endpoint secret")
    caller = Caller(merchant=desk.merchant)
    assert await asked(desk, caller, Mac(b"x", "sha1", sealed=sealed)) == [
        hmac.digest(b"endpoint secret", b"x", "sha1")
    ]
    headers = seal_secret(VAULT, desk.merchant, '{"authorization": "Basic abc"}')
    await desk.hook(headers=headers)
    await desk.scene.pay()
    await desk.caught_up()
    assert [each["headers"] for each in await desk.told()] == [{"authorization": "Basic abc"}]
    said = Delivery(url="http://shop.example/", hook="k", body=b"{}", endpoint_headers=headers)
    await asked(desk, caller, Tell("k-1", said))
    assert [each["headers"] for each in await desk.told("k")] == [{"authorization": "Basic abc"}]


async def test_secrets_stand_nowhere_in_the_database(desk: Desk):
    await desk.credential(secret="plain-enough")
    await desk.hook(secret=seal_secret(VAULT, desk.merchant, "plain-enough"))
    await desk.endpoints.add(
        desk.merchant, uuid4(), url="https://x.example/", events=(), description="", secret="whsec_plain-enough", most=1
    )
    for table in ("credentials", "documents", "endpoints", "deliveries"):
        (text,) = await desk.row(f"select string_agg(t::text, '|') from {table} t where merchant_id = $1") or (None,)
        assert "plain-enough" not in (text or "") and b"plain-enough".hex() not in (text or ""), table
