"""Rails to real providers: how they are kept, who has which account, how processes learn of them, what is recorded."""

import asyncio
import json
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from moneyback.core.commands import Admitted, Observation, RequestRefund, Standing
from moneyback.core.payment import Asked, Payment
from moneyback.core.refund import Event, Refund, State
from moneyback.dialect import (
    AddPayment,
    AnswerLost,
    Call,
    Client,
    Figures,
    Looked,
    NotConnected,
    Reply,
    Sending,
)
from moneyback.flows.add_payment import add_payment
from moneyback.flows.breaker import PAUSE_S_FIRST, PAUSE_S_MAX, Breaker
from moneyback.flows.look import look_at_refund
from moneyback.flows.request_refund import request_refund
from moneyback.flows.send_refund import send_due
from moneyback.flows.world import World
from moneyback.rails import Rails
from moneyback.store.access import Access
from moneyback.store.migrate import migrate
from moneyback.store.port import StoreUnavailable, Work
from moneyback.store.postgres import PostgresStore, open_store
from moneyback.store.rails import AccountTaken, KeptRail, RailBook, RailSettings
from moneyback.store.verify import verify
from moneyback.vault import Vault
from tests.flows.toy import TOY

SECRET = "sk_live_planted/Key+1"
USER = "planted-user"
PAN = "4242424242424242"
CVV = "cvv-planted-737"
VAULT = Vault(bytes(range(32)))
WRONG = Vault(bytes(32))


# --- a provider that repeats everything it is told -------------------------------------------------------------------


class Provider:
    """A transport and the connector to what is behind it. `say` is what it answers to a refund."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.bases: list[str] = []
        self.say: Reply | Exception = Reply(status=200, body=b'{"id": "r1"}')
        self.hold = asyncio.Event()
        self.hold.set()
        self.left = 10_000
        self.running = 0
        self.most = 0
        """How many calls there ever were at once."""
        self.arrived = asyncio.Event()

    async def exchange(self, base_url: str, call: Call, *, deadline: float) -> Reply:
        self.calls.append(call)
        self.bases.append(base_url)
        self.running += 1
        self.most = max(self.most, self.running)
        self.arrived.set()
        try:
            await self.hold.wait()
        finally:
            self.running -= 1
        if call.method == "GET":
            return Reply(status=200, body=json.dumps({"left": self.left, "card": {"pan": PAN, "cvv": CVV}}).encode())
        if isinstance(self.say, Exception):
            raise self.say
        return self.say

    @property
    def sent(self) -> list[Call]:
        return [each for each in self.calls if each.method == "POST"]

    def client(self) -> Client:
        return Client(
            send=self._send,
            read=self._read,
            look=self._look,
            rung=2,
            credentials=("user", "key"),
            authorize=lambda known, call: replace(call, headers={"authorization": f"{known['user']}:{known['key']}"}),
        )

    def _send(self, sending: Sending) -> Generator[Call, Reply, tuple[Observation, ...]]:
        card = json.dumps({"amount": sending.refund.payer, "card": {"number": PAN, "cvv": CVV}, "key": SECRET}).encode()
        reply = yield Call(method="POST", path=f"/p/{PAN}/refund", body=card, query=(("pan", PAN), ("key", SECRET)))
        words = reply.body.decode()
        if reply.status == 200:
            return (Observation(event=Event.EXECUTED, provider_id="r1", message=words, trace=words),)
        return (
            Observation(
                event=Event.REFUSED, failure="invalid", code=words, message=words, data={"said": words, "cvv": CVV}
            ),
        )

    def _read(self, payment: Payment) -> Generator[Call, Reply, Figures]:
        reply = yield Call(method="GET", path=f"/p/{payment.reference}", query=(("card", PAN),))
        return Figures(left=json.loads(reply.body)["left"])

    def _look(self, _sending: Sending, _pre_read: Any) -> Generator[Call, Reply, Looked]:
        reply = yield Call(method="GET", path="/refunds")
        return Looked(shown={"body": reply.body.decode()})


class Scene:
    """A merchant with a book of rails, on a database."""

    def __init__(self, dsn: str, store: PostgresStore, vault: Vault) -> None:
        self.dsn = dsn
        self.store = store
        self.provider = Provider()
        self.book = RailBook(store, vault)
        self.rails = Rails(self.book, self.provider, uuid4)  # type: ignore[arg-type]
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.world = World(
            store=store,
            rails={},
            dialects={"toy": replace(TOY, client=self.provider.client(), capabilities=lambda _payment: ANY)},
            new_id=uuid4,
            log=lambda word, **figures: self.logged.append((word, figures)),
        )

    async def merchant(self) -> UUID:
        id = uuid4()
        await Access(self.store).add_merchant(id, "Shop")
        return id

    async def add(self, merchant: UUID, name: str = "main", **members: Any) -> KeptRail:
        rail = kept(merchant, name, **members)
        await self.book.add(rail)
        return rail

    async def pay(self, merchant: UUID, rail: str, reference: str = "") -> Payment:
        asked = AddPayment(amount=10_000, currency="EUR")
        added = await add_payment(self.world, merchant, "native", rail, asked, reference=reference or uuid4().hex)
        assert isinstance(added, Standing)
        return added.payment

    async def refund(self, payment: Payment, amount: int = 1_000) -> Refund:
        """A refund, once its sending has landed."""
        id = uuid4()
        command = RequestRefund(
            merchant=payment.merchant,
            id=id,
            payment=payment.id,
            dialect="native",
            dialect_id=id.hex,
            terms=self.world.terms,
            asked=Asked(payer=amount),
        )
        admitted = await request_refund(self.world, command)
        assert isinstance(admitted, Admitted), admitted
        await self.landed()
        return await self.now(admitted.refund)

    async def landed(self) -> None:
        while self.world.flights:
            await asyncio.wait(set(self.world.flights.values()))

    async def now(self, refund: Refund) -> Refund:
        found = await self.store.refund(refund.merchant, refund.id)
        assert found is not None
        return found

    async def everything(self) -> str:
        """Every row of every table, as text."""
        connection = await asyncpg.connect(self.dsn)
        try:
            names = await connection.fetch(
                "select format('%I.%I', schemaname, tablename) as name from pg_tables "
                "where schemaname not in ('pg_catalog', 'information_schema')"
            )
            rows = [row for each in names for row in await connection.fetch(f"select t::text from {each['name']} t")]
        finally:
            await connection.close()
        return "\n".join(row["t"] for row in rows)


ANY = msgspec.structs.replace(TOY.capabilities(None))  # type: ignore[arg-type]


def kept(merchant: UUID, name: str = "main", **members: Any) -> KeptRail:
    settings = members.pop("settings", {})
    return KeptRail(
        merchant=merchant,
        name=name,
        **{
            "connector": "toy",
            "account": uuid4().hex,
            "settings": RailSettings(**{"base_url": "https://provider.test/api", "per_s": 1000, **settings}),
            "credentials": {"user": USER, "key": SECRET},
            **members,
        },
    )


@asynccontextmanager
async def scene(dsn: str, vault: Vault = VAULT) -> AsyncIterator[Scene]:
    await migrate(dsn)
    store = await open_store(dsn)
    one = Scene(dsn, store, vault)
    try:
        yield one
    finally:
        one.provider.hold.set()
        await one.landed()
        await store.close()


def work(refund: Refund, kind: str) -> Work:
    return Work(kind=kind, merchant=refund.merchant, rail=refund.rail, refund=refund.id, payment=refund.payment)  # type: ignore[arg-type]


# --- the book --------------------------------------------------------------------------------------------------------


async def test_what_is_kept_comes_back_and_is_sealed_at_rest(module_database: str):
    async with scene(module_database) as one:
        merchant = await one.merchant()
        rail = await one.add(merchant, settings={"duplicates": "faithful", "at_once": 2, "per_s": 0.5})
        assert await one.book.all(merchant) == (rail,)
        assert rail in await one.book.all()
        everything = await one.everything()
    assert rail.account in everything
    for secret in (SECRET, USER, "planted"):
        assert secret not in everything
        assert secret.encode().hex() not in everything


async def test_a_rail_never_prints_its_credentials():
    assert "planted" not in f"{kept(uuid4())!r} {kept(uuid4())}"


async def test_added_again_a_rail_is_changed_and_comes_back_from_removal(module_database: str):
    async with scene(module_database) as one:
        merchant = await one.merchant()
        first = await one.add(merchant)
        fresh = replace(first, credentials={"user": "new", "key": "new"}, settings=replace(first.settings, at_once=1))
        await one.book.add(fresh)
        assert await one.book.all(merchant) == (fresh,)
        assert await one.book.remove(merchant, "main")
        assert await one.book.all(merchant) == ()
        await one.book.add(first)
        assert await one.book.all(merchant) == (first,)


@pytest.mark.parametrize("change", [{"account": "elsewhere"}, {"connector": "other"}])
async def test_a_rail_keeps_its_account(module_database: str, change: dict[str, str]):
    async with scene(module_database) as one:
        merchant, other = await one.merchant(), await one.merchant()
        first = await one.add(merchant)
        moved = replace(first, **change)
        for _ in range(2):
            with pytest.raises(AccountTaken, match="choose another name"):
                await one.book.add(moved)
            assert await one.book.all(merchant) == (first,)
            await one.book.remove(merchant, "main")
            first = await one.add(merchant, account=first.account)
        # Refused, it took nothing: the account it asked for is still anybody's.
        await one.add(other, connector=moved.connector, account=f"{moved.account}-{other.hex}")


async def test_a_refused_rail_takes_no_account(module_database: str):
    async with scene(module_database) as one:
        merchant, other = await one.merchant(), await one.merchant()
        first = await one.add(merchant)
        wanted = uuid4().hex
        with pytest.raises(AccountTaken):
            await one.book.add(replace(first, account=wanted))
        await one.add(other, account=wanted)


async def test_an_account_belongs_to_one_merchant_for_good(module_database: str):
    async with scene(module_database) as one:
        merchant, other = await one.merchant(), await one.merchant()
        rail = await one.add(merchant)
        beside = await one.add(merchant, "beside", account=rail.account)  # its own rails may share it
        for name in ("main", "another"):
            with pytest.raises(AccountTaken, match="another merchant"):
                await one.add(other, name, account=rail.account)
        for name in ("main", "beside"):
            assert await one.book.remove(merchant, name)
        with pytest.raises(AccountTaken, match="another merchant"):  # its payments are still there
            await one.add(other, account=rail.account)
        await one.add(other, connector="elsewhere", account=rail.account)  # the same word at another provider
        await one.book.add(beside)


async def test_of_merchants_who_ask_together_one_gets_the_account(module_database: str):
    async with scene(module_database) as one:
        merchants = [await one.merchant() for _ in range(8)]
        account = uuid4().hex
        results = await asyncio.gather(*(one.add(each, account=account) for each in merchants), return_exceptions=True)
        assert sorted(type(each).__name__ for each in results) == ["AccountTaken"] * 7 + ["KeptRail"]
        owners = [each.merchant for each in await one.book.all() if each.account == account]
        assert len(owners) == 1


async def test_another_merchants_rail_is_neither_listed_nor_removed(module_database: str):
    async with scene(module_database) as one:
        merchant, other = await one.merchant(), await one.merchant()
        rail = await one.add(merchant)
        assert await one.book.all(other) == ()
        assert not await one.book.remove(other, "main")
        assert await one.book.all(merchant) == (rail,)


@pytest.mark.parametrize("change", ["merchant_id = $2", "name = 'renamed'"])
async def test_credentials_moved_to_another_rail_stay_shut(module_database: str, change: str):
    """Whoever can write to the database alone cannot make one merchant send with another's credentials."""
    async with scene(module_database) as one:
        merchant, other = await one.merchant(), await one.merchant()
        await one.add(merchant)
        connection = await asyncpg.connect(module_database)
        try:
            await connection.execute("delete from hooks where merchant_id = $1", merchant)
            await connection.execute(
                f"update rails set {change} where merchant_id = $1 and $2::uuid is not null", merchant, other
            )
        finally:
            await connection.close()
        moved = [*await one.book.all(merchant), *await one.book.all(other)]
    assert [each.credentials for each in moved] == [None]


async def test_with_another_master_key_a_rail_is_listed_and_can_be_given_its_credentials_again(module_database: str):
    async with scene(module_database) as one:
        merchant = await one.merchant()
        rail = await one.add(merchant)
    async with scene(module_database, WRONG) as two:
        assert await two.book.all(merchant) == (replace(rail, credentials=None),)
        await two.book.add(rail)
        assert await two.book.all(merchant) == (rail,)


async def test_a_rail_whose_refunds_have_not_ended_is_not_removed(database: str):
    async with scene(database) as one:
        merchant = await one.merchant()
        await one.add(merchant)
        await one.add(merchant, "beside")
        await one.rails.learn(one.world)
        one.provider.say = AnswerLost("gone")
        refund = await one.refund(await one.pay(merchant, "main"))
        assert refund.state is State.UNKNOWN
        assert not await one.book.remove(merchant, "main")
        assert len(await one.book.all(merchant)) == 2
        assert await one.book.remove(merchant, "beside")  # that is another's refund
        one.provider.say = Reply(status=200)
        other = await one.pay(merchant, "main")
        assert (await one.refund(other)).state is State.SUCCEEDED
        assert not await one.book.remove(merchant, "main")
        assert not await one.book.remove(merchant, "never was")


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.provider.com",
        "https://api.provider.com/v1/",
        "https://[2001:db8::1]:8443/x",
        "http://127.0.0.1:9004",
        "http://[::1]:9004",
        "http://localhost:9004/api/v1",
        "http://192.168.0.10:9001",
        "http://twin:9004",
    ],
)
def test_addresses_calls_can_begin_with(base_url: str):
    assert msgspec.convert({"base_url": base_url}, RailSettings).base_url == base_url


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.provider.com",
        "ftp://api.provider.com",
        "https://",
        "https:///v1",
        "https://api.provider.com:99999",
        "https://api.provider.com:x",
        "http://api.provider.com/v1",
        "http://8.8.8.8/v1",
        "https://key@api.provider.com",
        "https://user:key@api.provider.com",
        "https://api.provider.com/v1?x=1",
        "https://api.provider.com/v1?",
        "https://api.provider.com/v1#x",
        "https://api.provider.com/a b",
        "https://api.provider.com/\n",
        "https://api.provider.cöm",
        "https://[::1",
    ],
)
def test_addresses_calls_cannot_begin_with(base_url: str):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"base_url": base_url}, RailSettings)


@pytest.mark.parametrize(
    "settings",
    [
        {"duplicates": "maybe"},
        {"at_once": 0},
        {"at_once": 65},
        {"per_s": 0},
        {"per_s": 0.19},
        {"per_s": -1.0},
        {"per_s": 1001},
        {"rungs": 3},
        {},
    ],
)
def test_settings_out_of_bounds(settings: dict[str, Any]):
    whole = {"base_url": "https://api.provider.com", **settings} if settings else {}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(whole, RailSettings)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *(("name", each) for each in ("", "a b", "x" * 65, "-x", "a/b", "a\n")),
        *(("account", each) for each in ("", "a b", "x" * 256, "a\0", "ü")),
    ],
)
def test_names_that_are_none(member: str, value: str):
    whole = {
        "merchant": uuid4(),
        "name": "main",
        "connector": "toy",
        "account": "1",
        "settings": {"base_url": "https://api.provider.com"},
        "credentials": {},
    }
    assert msgspec.convert(whole, KeptRail).name == "main"
    with pytest.raises(msgspec.ValidationError, match=member):
        msgspec.convert({**whole, member: value}, KeptRail)


# --- learning --------------------------------------------------------------------------------------------------------


async def test_a_process_learns_of_rails_added_changed_and_removed_elsewhere(database: str):
    async with scene(database) as one, scene(database) as elsewhere:
        merchant = await one.merchant()
        await one.rails.learn(one.world)
        assert one.world.own_rails == {}
        assert one.world.rail(merchant, "main").name == "main"  # not known, it takes refunds and waits

        first, second = await elsewhere.add(merchant), await elsewhere.add(merchant, "beside")
        await one.rails.learn(one.world)
        main, beside = one.world.rail(merchant, "main"), one.world.rail(merchant, "beside")
        assert (main.account, main.real, main.joins) == (f"toy:{first.account}", True, True)
        assert one.world.rail(uuid4(), "main") is not main

        await elsewhere.book.add(replace(first, settings=replace(first.settings, duplicates="faithful")))
        await one.rails.learn(one.world)
        assert one.world.rail(merchant, "main").joins is False
        assert one.world.rail(merchant, "beside") is beside, (
            "unchanged, it keeps its breaker and its place in the queue"
        )

        await elsewhere.book.remove(merchant, "main")
        await one.rails.learn(one.world)
        assert set(one.world.own_rails) == {(merchant, "beside")}
        assert second.name == "beside"


async def test_fresh_credentials_are_used_from_then_on(database: str):
    async with scene(database) as one:
        merchant = await one.merchant()
        rail = await one.add(merchant)
        payment = await one.pay(merchant, "main")
        await one.rails.learn(one.world)
        await one.refund(payment)
        one.provider.left = 9_000
        await one.book.add(replace(rail, credentials={"user": "u2", "key": "k2"}))
        await one.rails.learn(one.world)
        await one.refund(payment)
    assert [each.headers["authorization"] for each in one.provider.sent] == [f"{USER}:{SECRET}", "u2:k2"]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"connector": "nobody"}, "no such connector"),
        ({"credentials": {"user": USER}}, "lacks the credentials key"),
        ({"credentials": {}}, "lacks the credentials key, user"),
    ],
)
async def test_a_rail_that_cannot_be_used_is_left_out_alone_and_said_once(
    database: str, members: dict[str, Any], why: str
):
    async with scene(database) as one:
        merchant = await one.merchant()
        await one.add(merchant, "broken", **members)
        await one.add(merchant, "sound")
        for _ in range(3):
            await one.rails.learn(one.world)
        assert set(one.world.own_rails) == {(merchant, "sound")}
    assert [word for word, _ in one.logged] == ["rail_left_out"]
    assert why in one.logged[0][1]["why"]
    assert "planted" not in repr(one.logged)


async def test_with_the_wrong_master_key_a_rails_refunds_wait_and_go_on_with_the_right_one(database: str):
    async with scene(database) as right:
        merchant = await right.merchant()
        await right.add(merchant)
        await right.rails.learn(right.world)
        payment = await right.pay(merchant, "main")
        async with scene(database, WRONG) as wrong:
            await wrong.rails.learn(wrong.world)
            await wrong.rails.learn(wrong.world)
            refund = await wrong.refund(payment)
            assert (refund.state, refund.generation) == (State.READY, 0)
            assert wrong.provider.calls == []
            assert [word for word, _ in wrong.logged].count("rail_left_out") == 1
        await send_due(right.world, work(refund, "send"))
        assert (await right.now(refund)).state is State.SUCCEEDED
        assert len(right.provider.sent) == 1


async def test_a_refund_on_a_rail_this_process_has_not_heard_of_waits_unsent(database: str):
    async with scene(database) as one:
        merchant = await one.merchant()
        await one.add(merchant)
        await one.rails.learn(one.world)
        payment = await one.pay(merchant, "main")
        async with scene(database) as late:
            refund = await late.refund(payment)
            assert (refund.state, refund.generation) == (State.READY, 0)
            await look_at_refund(late.world, work(refund, "look"))  # nothing was sent: there is nothing to look for
            assert (await late.now(refund)).state is State.READY
            await late.rails.learn(late.world)
            await send_due(late.world, work(refund, "send"))
            assert (await late.now(refund)).state is State.SUCCEEDED


# --- sending over it -------------------------------------------------------------------------------------------------


async def test_what_was_said_is_kept_in_order_and_belongs_to_its_merchant(database: str):
    async with scene(database) as one:
        merchant, other = await one.merchant(), await one.merchant()
        await one.add(merchant)
        await one.rails.learn(one.world)
        payment = await one.pay(merchant, "main", "p1")
        await one.refund(payment)
        one.provider.left, one.provider.say = 9_000, AnswerLost("ReadTimeout")
        refund = await one.refund(payment)
        await look_at_refund(one.world, work(refund, "look"))
        found = await one.book.exchanges(merchant, payment.id)
        assert await one.book.exchanges(other, payment.id) == ()
    assert [(each.method, each.status, each.failure) for each in found] == [
        ("GET", 200, None),
        ("POST", 200, None),
        ("GET", 200, None),
        ("POST", None, "AnswerLost: ReadTimeout"),
        ("GET", 200, None),
    ]
    assert found[0].path.startswith("/p/p1?")
    assert '"amount":1000' in found[1].request
    assert '"id":"r1"' in found[1].response
    assert set(one.provider.bases) == {"https://provider.test/api"}
    assert {each.rail for each in found} == {"main"}


SAID = (
    f'{{"error": "bad card {PAN}", "key": "{SECRET}", "cvv": "{CVV}"}}',
    f"<e>card {PAN[:4]} {PAN[4:8]} {PAN[8:12]} {PAN[12:]}, key {SECRET}, cvv={CVV}</e>\0",
    f"key={SECRET}&pan={PAN}&cvv={CVV}",
    f"Authorization: {USER}:{SECRET}\r\n\r\ncvv: {CVV} {PAN}",
)


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("status", [200, 400])
async def test_secrets_and_card_numbers_that_a_provider_repeats_are_kept_nowhere(database: str, said: str, status: int):
    async with scene(database) as one:
        merchant = await one.merchant()
        await one.add(merchant)
        await one.rails.learn(one.world)
        payment = await one.pay(merchant, "main")
        one.provider.say = Reply(status=status, headers={"set-cookie": SECRET}, body=said.encode())
        refund = await one.refund(payment)
        assert refund.state is (State.SUCCEEDED if status == 200 else State.FAILED)
        one.provider.left = one.provider.left - 1_000 * (status == 200)
        one.provider.say = AnswerLost(f"lost {SECRET} {PAN}")
        lost = await one.refund(payment)
        assert lost.state is State.UNKNOWN
        await look_at_refund(one.world, work(lost, "look"))
        kept_texts = await one.everything()
        exchanges = await one.book.exchanges(merchant, payment.id)
        assert (await verify(database)).clean
    assert len(exchanges) == 5
    for text in (kept_texts, repr(exchanges), repr(one.logged), repr(refund)):
        digits = text.replace(" ", "")
        for secret in (PAN, SECRET, SECRET.replace("/", "%2F").replace("+", "%2B"), CVV):
            assert secret not in digits


async def test_a_database_that_cannot_record_costs_the_recording_and_not_the_answer(
    database: str, monkeypatch: pytest.MonkeyPatch
):
    async with scene(database) as one:
        merchant = await one.merchant()
        await one.add(merchant)
        await one.rails.learn(one.world)
        payments = [await one.pay(merchant, "main") for _ in range(2)]
        for payment, error in zip(payments, (StoreUnavailable("away"), asyncpg.DataError(f"{SECRET}")), strict=True):

            async def broken(*_words: object, error: Exception = error) -> None:
                raise error

            monkeypatch.setattr(one.book, "record", broken)
            assert (await one.refund(payment)).state is State.SUCCEEDED
    assert [word for word, _ in one.logged] == ["exchange_not_recorded"] * 4
    assert "planted" not in repr(one.logged)


async def test_credentials_no_call_can_be_made_with_send_nothing_and_are_not_quoted(database: str):
    async with scene(database) as one:
        merchant = await one.merchant()
        await one.add(merchant, credentials={"user": USER, "key": SECRET})

        def authorize(known: Any, _call: Call) -> Call:
            raise ValueError(f"cannot encode {known['key']}")

        toy = one.world.dialects["toy"]
        assert toy.client is not None
        world = replace(one.world, dialects={"toy": replace(toy, client=replace(toy.client, authorize=authorize))})
        one.world = world
        await one.rails.learn(world)
        refund = await one.refund(await one.pay(merchant, "main"))
        assert (refund.state, refund.generation) == (State.READY, 0)
        rail = world.rail(merchant, "main")
        with pytest.raises(NotConnected) as raised:
            await rail.exchange(await one.pay(merchant, "main"))(Call(method="POST", path="/x"), deadline=1e12)
    assert one.provider.calls == []
    assert "planted" not in repr(one.logged) + repr(raised.value)


async def test_a_cancelled_call_that_was_never_made_is_not_recorded(database: str):
    async with scene(database) as one:
        merchant = await one.merchant()
        await one.add(merchant)
        await one.rails.learn(one.world)
        payment = await one.pay(merchant, "main")
        one.provider.hold.clear()
        exchange = one.world.rail(merchant, "main").exchange(payment)
        task = asyncio.create_task(exchange(Call(method="GET", path="/x"), deadline=1e12))
        await one.provider.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await one.book.exchanges(merchant, payment.id) == ()


async def test_calls_of_one_rail_keep_to_its_settings_and_another_rail_does_not_wait(database: str):
    async with scene(database) as one:
        merchant = await one.merchant()
        await one.add(merchant, "narrow", settings={"at_once": 2})
        await one.add(merchant, "beside")
        await one.rails.learn(one.world)
        payments = {name: await one.pay(merchant, name) for name in ("narrow", "beside")}
        one.provider.hold.clear()

        def call(name: str) -> asyncio.Task[Reply]:
            exchange = one.world.rail(merchant, name).exchange(payments[name])
            return asyncio.create_task(exchange(Call(method="GET", path=f"/{name}"), deadline=1e12))

        tasks = [call("narrow") for _ in range(9)]
        while one.provider.running < 2:
            one.provider.arrived.clear()
            await one.provider.arrived.wait()
        one.provider.arrived.clear()
        tasks.append(call("beside"))
        await one.provider.arrived.wait()
        assert sorted(each.path for each in one.provider.calls) == ["/beside", "/narrow", "/narrow"]
        one.provider.hold.set()
        await asyncio.gather(*tasks)
    assert (len(one.provider.calls), one.provider.most) == (10, 3)


# --- the breaker -----------------------------------------------------------------------------------------------------


def test_a_breaker_opens_for_longer_each_time_up_to_its_limit():
    breaker, now, pauses = Breaker(), 100.0, []
    for _ in range(10):
        breaker.not_taken(now)
        start = now
        while breaker.is_open(now):
            now += 0.5
        pauses.append(now - start)
    assert pauses[:4] == [PAUSE_S_FIRST, 2.0, 4.0, 8.0]
    assert pauses[-1] == PAUSE_S_MAX


def test_one_that_was_taken_closes_it_and_it_begins_anew():
    breaker = Breaker()
    for now in (0.0, 10.0, 20.0):
        breaker.not_taken(now)
    breaker.taken()
    assert not breaker.is_open(20.0)
    breaker.not_taken(30.0)
    assert breaker.is_open(30.9)
    assert not breaker.is_open(31.0)


def test_many_failures_at_once_are_one():
    breaker = Breaker()
    for _ in range(256):
        breaker.not_taken(0.0)
    assert not breaker.is_open(PAUSE_S_FIRST)


async def test_behind_an_open_breaker_nothing_is_sent_and_looking_goes_on(database: str):
    async with scene(database) as one:
        merchant = await one.merchant()
        await one.add(merchant)
        await one.rails.learn(one.world)
        first, second = await one.pay(merchant, "main"), await one.pay(merchant, "main")
        one.provider.say = AnswerLost("gone")
        lost = await one.refund(first)
        one.provider.say = NotConnected("ConnectError")
        refused = await one.refund(second)
        assert (lost.state, refused.state) == (State.UNKNOWN, State.READY)
        breaker = one.world.rail(merchant, "main").breaker
        assert breaker is not None
        breaker._open_until = asyncio.get_running_loop().time() + 60
        calls = len(one.provider.calls)
        await send_due(one.world, work(refused, "send"))
        third = await one.refund(await one.pay(merchant, "main"))
        assert third.state is State.READY
        assert len(one.provider.calls) == calls
        await look_at_refund(one.world, work(lost, "look"))
        assert len(one.provider.calls) == calls + 1
        breaker.taken()
        one.provider.say = Reply(status=200)
        await send_due(one.world, work(third, "send"))
        assert (await one.now(third)).state is State.SUCCEEDED
