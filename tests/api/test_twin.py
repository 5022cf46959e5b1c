"""Twins: one dialect at the root of a port, whose faults do what they say, and the same again for the same seed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from moneyback.api.decode import BOUNDS
from moneyback.api.twin import FAULTS, read_faults
from moneyback.dialect import Fault, Incoming
from moneyback.dialects import load_dialects
from tests.api.world import Native, Refunding, Shop, Spoken, World, refused, running

DIALECTS = tuple(load_dialects())
every = pytest.mark.parametrize("name", DIALECTS)


class Twinned:
    """A dialect's twin, and its merchant's client of it."""

    def __init__(self, world: World, shop: Shop, name: str) -> None:
        self.world = world
        self.shop = shop
        self.client: Spoken = shop.speaks(name)
        self.native: Native = shop.native
        self.call: Refunding = shop.printed(name)

    async def pays(self) -> Any:
        """A payment, and the path that refunds it."""
        paid = await self.client.pays()
        return paid, self.call.path.replace(await self.shop.first_id(self.client.dialect.name), paid["dialect_id"])

    async def refund(self, path: str) -> httpx2.Response:
        """The printed refund of another payment."""
        return await self.client(self.call.method, path, self.call.content, self.call.media)

    async def landed(self) -> None:
        """Once nothing is on its way to the bank."""
        while flights := self.world.parts.world.flights:
            await asyncio.wait(set(flights.values()))

    def says(self, fault: Fault, path: str) -> tuple[int, Any]:
        """How this provider says it."""
        said = self.client.dialect.fault(fault, Incoming(method=self.call.method, path=path))
        return said.status, said.body


@asynccontextmanager
async def twin(here: World, market: Shop, name: str, seed: int = 0, **faults: float) -> AsyncIterator[Twinned]:
    """Another process on the same database: a twin with these faults, their names written with `_`."""
    chances = {fault.replace("_", "-"): chance for fault, chance in faults.items()}
    async with running(here.dsn, twin=name, faults=chances, seed=seed, slow_s=36_000.0, lag_s=600) as world:
        yield Twinned(world, Shop(world, market.demo, market.sections), name)


@pytest.fixture(scope="module")
async def market(here: World) -> Shop:
    """The sandbox's merchant: twins show the same one."""
    return await here.demo()


# --- at the root -----------------------------------------------------------------------------------------------------


@every
async def test_a_twin_is_its_dialect_at_the_root(here: World, market: Shop, name: str):
    async with twin(here, market, name) as one:
        paid, path = await one.pays()
        assert (await one.refund(path)).status_code == 200
        await one.landed()
        assert len(await one.native.executions(paid)) == 1
        for nowhere in ("/nowhere", f"/{name}{path}", "/openapi.json", "/docs", "/"):
            said = await one.client("GET", nowhere)
            assert said.status_code == one.says(Fault.NOT_FOUND, nowhere)[0]
            assert "urn:moneyback" not in said.text
        assert (await here.http.get("/healthz")).status_code == 200
        for plain in ("/healthz", "/readyz", "/metrics"):
            assert (await one.world.http.get(plain)).status_code == 200
        assert (await one.native.again(paid))["id"] == paid["id"]
        assert refused(await one.native.get("/_control/books")) == (404, "payment_not_found")
        for other in DIALECTS:
            if other != name:
                stranger = Spoken(market.native, load_dialects()[other], one.client.presented, one.client.profile)
                route = stranger.dialect.routes[0]
                said = await one.world.http.request(route.method, f"/{other}{stranger.at(route, '1')}")
                assert said.status_code == one.says(Fault.NOT_FOUND, "/")[0]


@every
async def test_the_ready_file_of_a_twin(here: World, market: Shop, name: str):
    async with twin(here, market, name) as one:
        sections = (await one.world.shop_of(market.demo)).sections
    assert sections.keys() == {"native", name}
    dialect = load_dialects()[name]
    root = f"http://{one.world.settings.host}:{one.world.settings.port}"
    assert sections[name]["base_url"] == f"{root}{dialect.base_path}"
    assert sections["native"]["base_url"] == f"{root}/v1"
    assert dialect.samples is not None
    assert f"{root}{one.call.path}" in dialect.samples.curl(sections[name])


# --- what each fault does --------------------------------------------------------------------------------------------


def by_hand(one: Twinned, path: str, body: bytes | None = None) -> tuple[asyncio.Task[None], list[Any]]:
    """A request whose answer is watched message by message."""
    sent: list[Any] = []
    told = [{"type": "http.request", "body": one.call.content if body is None else body, "more_body": False}]

    async def receive() -> Any:
        return told.pop(0) if told else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    said = {**one.client.credentials, "Content-Type": one.call.media}
    headers = [(key.lower().encode(), value.encode()) for key, value in said.items()]
    scope = {"type": "http", "method": one.call.method, "path": path, "headers": headers, "query_string": b""}
    return asyncio.create_task(one.world.app(scope, receive, send)), sent


@every
async def test_an_answer_that_is_dropped(here: World, market: Shop, name: str):
    async with twin(here, market, name, drop_answer=1.0) as one:
        paid, path = await one.pays()
        task, sent = by_hand(one, path)
        await task
        await one.landed()
        assert len(await one.native.executions(paid)) == 1
    start, rest = sent
    announced = int(dict(start["headers"])[b"content-length"])
    assert announced > 0
    assert (rest["body"], rest["more_body"]) == (b"", True), "what was announced never comes"


@every
async def test_an_error_after_the_execution(here: World, market: Shop, name: str):
    async with twin(here, market, name, error_after_execution=1.0) as one:
        paid, path = await one.pays()
        said = await one.refund(path)
        assert said.status_code == one.says(Fault.INTERNAL, path)[0] == 500
        assert said.json()
        await one.landed()
        assert len(await one.native.executions(paid)) == 1


@every
async def test_an_answer_that_is_late(here: World, market: Shop, name: str):
    async with twin(here, market, name, slow=1.0) as one:
        paid, path = await one.pays()
        task, sent = by_hand(one, path)
        while not await one.native.executions(paid):
            continue
        await one.landed()
        assert not task.done()
        assert sent == []
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@every
async def test_a_request_that_arrives_twice(here: World, market: Shop, name: str):
    async with twin(here, market, name, duplicate=1.0) as one:
        paid, path = await one.pays()
        said = await one.refund(path)
        assert said.json()
        await one.landed()
        refunds = await one.native.all("/v1/refunds", payment=paid["id"])
        executed = await one.native.executions(paid)
        if said.status_code == 200 and refunds[0]["state"] == "succeeded":
            assert len(refunds) == len(executed) == 2
            assert refunds[0]["dialect_id"] in said.text, "the second answer is the one that is given"
        else:  # all of it was asked for twice
            assert len(executed) == 1
        assert (await one.native.again(paid))["refundable"] == 20_000 - sum(each["amount"] for each in executed)


@every
async def test_a_refund_the_bank_declines(here: World, market: Shop, name: str):
    async with twin(here, market, name, decline=1.0) as one:
        paid, path = await one.pays()
        await one.refund(path)
        await one.landed()
        (refund,) = await one.native.all("/v1/refunds", payment=paid["id"])
        assert (refund["state"], refund["failure"]["code"]) == ("failed", "declined")
        assert await one.native.executions(paid) == []
        assert (await one.native.again(paid))["refundable"] == 20_000


@every
async def test_what_was_declined_concerns_that_request_alone(here: World, market: Shop, name: str):
    async with twin(here, market, name, decline=1.0) as one:
        paid, path = await one.pays()
        await one.client(one.call.method, path, b"{", one.call.media)
        await one.client(one.call.method, path, one.call.content, one.call.media, headers={"Authorization": "Bearer x"})
    async with twin(here, market, name) as another:
        assert (await another.refund(path)).status_code == 200
        await another.landed()
        assert len(await another.native.executions(paid)) == 1


async def test_refunds_that_show_late_on_lists(here: World, market: Shop):
    lists = {"truust": "/2.0/refunds?per_page=100", "mangopay": "/v2.01/{client}/payins/{payment}/refunds"}
    for name, listing in lists.items():
        async with twin(here, market, name, list_lag=1.0) as one, twin(here, market, name, list_lag=0.0) as other:
            paid, path = await one.pays()
            assert (await one.refund(path)).status_code == 200
            await one.landed()
            (refund,) = await one.native.all("/v1/refunds", payment=paid["id"])
            where = listing.format(client=one.client.profile.get("client_id"), payment=paid["dialect_id"])
            assert refund["dialect_id"] not in (await one.client("GET", where)).text
            assert refund["dialect_id"] in (await other.client("GET", where)).text
            by_id = where.partition("/payins")[0] + f"/refunds/{refund['dialect_id']}"
            by_id = by_id if name == "mangopay" else f"/2.0/refunds/{refund['dialect_id']}"
            assert (await one.client("GET", by_id)).status_code == 200
            await here.advance(600)
            assert refund["dialect_id"] in (await one.client("GET", where)).text


@every
async def test_faults_strike_refunds_alone(here: World, market: Shop, name: str):
    chances: dict[str, Any] = dict.fromkeys(
        ("drop_answer", "error_after_execution", "slow", "duplicate", "decline"), 1.0
    )
    async with twin(here, market, name, **chances) as one:
        for route in one.client.dialect.routes:
            if route.kind == "guarded":
                continue
            id = await one.shop.first_id(name)
            said = await one.client(route.method, one.client.at(route, id))
            assert said.status_code < 500
        said = await one.client("OPTIONS", one.call.path)
        assert said.status_code == 204
        said = await one.client("DELETE", one.call.path)
        assert said.status_code == 405
        paid = await one.client.pays()
        assert (await one.native.refunds(paid, 100))["state"] == "succeeded", "nor the native API"


@every
async def test_a_twin_refuses_what_is_too_large(here: World, market: Shop, name: str):
    async with twin(here, market, name) as one:
        for size in (BOUNDS.size_max + 1, BOUNDS.size_max + 2, 10 * BOUNDS.size_max):
            said = await one.client(one.call.method, one.call.path, b" " * size)
            assert said.status_code == one.says(Fault.TOO_LARGE, one.call.path)[0] == 413
        task, sent = by_hand(one, one.call.path, b" " * (10 * BOUNDS.size_max))
        await task
        assert sent[0]["status"] == 413, "also where no length was announced"


# --- the same again --------------------------------------------------------------------------------------------------


async def struck(here: World, market: Shop, requests: int, **faults: Any) -> list[bool]:
    """Which of a row of requests met an error. They name no payment: only the answers count."""
    async with twin(here, market, "maverick", **faults) as one:
        path = one.call.path.replace(await one.shop.first_id("maverick"), "1")
        return [(await one.refund(path)).status_code == 500 for _ in range(requests)]


async def test_the_same_seed_strikes_the_same_requests(here: World, market: Shop):
    first = await struck(here, market, 60, seed=7, error_after_execution=0.5)
    assert 0 < sum(first) < 60
    assert await struck(here, market, 60, seed=7, error_after_execution=0.5) == first
    assert await struck(here, market, 60, seed=8, error_after_execution=0.5) != first


async def test_another_fault_does_not_move_the_strikes(here: World, market: Shop):
    alone = await struck(here, market, 40, seed=3, error_after_execution=0.3)
    together = await struck(
        here, market, 40, seed=3, error_after_execution=0.3, duplicate=0.7, decline=0.5, list_lag=0.2
    )
    assert together == alone


async def test_chances_are_chances(here: World, market: Shop):
    assert not any(await struck(here, market, 20, error_after_execution=0.0))
    assert all(await struck(here, market, 20, error_after_execution=1.0))
    few = await struck(here, market, 60, seed=1, error_after_execution=0.2)
    many = await struck(here, market, 60, seed=1, error_after_execution=0.8)
    assert sum(few) < sum(many)
    assert all(often for rarely, often in zip(few, many, strict=True) if rarely)


# --- what is said on the command line --------------------------------------------------------------------------------


def test_reading_faults():
    assert read_faults([]) == {}
    assert read_faults(["slow"]) == {"slow": 1.0}
    assert read_faults(["drop-answer:0.25", "decline:1", "list-lag:0"]) == {
        "drop-answer": 0.25,
        "decline": 1.0,
        "list-lag": 0.0,
    }
    assert read_faults([f"{name}:.5" for name in FAULTS]) == dict.fromkeys(FAULTS, 0.5)


@pytest.mark.parametrize(
    "word", ["", "explode", "slow:", "slow:x", "slow:-0.1", "slow:1.1", "slow:nan", "slow:inf", "SLOW"]
)
def test_faults_that_are_none(word: str):
    with pytest.raises(ValueError, match=r"There are|a number from 0 to 1"):
        read_faults([word])


async def test_the_books_are_clean(here: World):
    await here.settle()
    await here.assert_clean()
