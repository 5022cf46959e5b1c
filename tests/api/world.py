"""One process's application on a real database, called in memory: no port, no server, and a clock that tests move.

Every answer of the native API is held against its own OpenAPI document as it goes by. Unless a test asks for a worker,
nothing works in the background: `World.settle` does what one would do, as long as there is anything to do.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
import httpx2
import jsonschema_rs
import msgspec

from moneyback.api.app import Application, Router
from moneyback.api.native import ENDPOINTS
from moneyback.api.openapi import native_document
from moneyback.dialect import Dialect, Presented, Route
from moneyback.dialects import load_dialects
from moneyback.flows.notices import take_notices
from moneyback.flows.work import work_round
from moneyback.ids import new_id, new_secret
from moneyback.sandbox import RAIL, Demo, describe, prepare_demo
from moneyback.settings import Settings
from moneyback.store.access import NATIVE, SCOPES
from moneyback.store.port import StoreUnavailable
from moneyback.store.verify import verify
from moneyback.vault import Vault
from moneyback.wiring import Wired, notices_of, prepare_database, wired
from moneyback.workers.loop import run_worker
from tests.dialects.test_contract import request_of

BASE = "http://moneyback.example"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
MONEY = ("orders", "payments", "refunds", "attempts", "evidence", "movements", "accounts", "events", "externals")
"""The tables in which a request that is refused must leave nothing."""
MORE = ("disputes", "cases", "idempotency")
VAULT = Vault(bytes(range(32)))
LONGEST = 500
"""Rounds of work after which a test gives up: what goes on for ever is a mistake."""


class Street(Protocol):
    """Where the rails of a world under test lead."""

    vault: Vault

    def leads_from(self, parts: Wired) -> Wired:
        """The same process, calling its providers over this street."""


class World:
    """A running application, and what tests reach behind it."""

    def __init__(self, app: Application, dsn: str, parts: Wired, settings: Settings) -> None:
        self.app = app
        self.dsn = dsn
        self.parts = parts
        self.settings = settings
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE)
        self._keeper: Native | None = None

    # --- who asks ----------------------------------------------------------------------------------------------------

    async def merchant(self, name: str = "shop") -> "Native":
        """A new merchant with a key of every scope."""
        merchant = new_id()
        await self.parts.access.add_merchant(merchant, name)
        return await self.key(merchant, name=name)

    async def key(self, merchant: UUID, scopes: tuple[str, ...] = SCOPES, name: str = "") -> "Native":
        """Another key of a merchant."""
        key = f"mb_{new_secret(40)}"
        await self.parts.access.add_credential(merchant, new_id(), NATIVE, secret=key, name=name, scopes=scopes)
        return Native(self, merchant, key)

    async def other_shop(self, name: str) -> "Spoken":
        """Another merchant that speaks a dialect, with credentials of its own."""
        native, dialect = await self.merchant("another shop"), load_dialects()[name]
        assert dialect.samples is not None
        presented, profile = dialect.samples.credentials(new_secret)
        own = f"shop{native.merchant.hex}"  # users are names, and no two credentials of a dialect have the same
        profile = {name: own if value == presented.user else value for name, value in profile.items()}
        presented = Presented(presented.secret, own if presented.user is not None else None)
        await self.parts.access.add_credential(
            native.merchant, new_id(), name, secret=presented.secret, user=presented.user, profile=profile
        )
        return Spoken(native, dialect, presented, profile)

    async def demo(self) -> "Shop":
        """The sandbox's own merchant, made anew: payments and credentials in every dialect."""
        parts = self.parts
        with TemporaryDirectory() as folder:
            demo = await prepare_demo(parts.world, parts.access, parts.reads.documents, Path(folder))
        return await self.shop_of(demo)

    async def shop_of(self, demo: Demo) -> "Shop":
        """A demo merchant as this process describes it."""
        return Shop(self, demo, await describe(self.parts.world, demo, self.settings))

    # --- time and work -----------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Do what is due, and wait for what is being sent, until nothing of either is left."""
        world, parts = self.parts.world, self.parts
        for _ in range(LONGEST):
            while world.flights:
                await asyncio.wait(set(world.flights.values()))
            if not await work_round(world) + await take_notices(world, parts, parts.bank) and not world.flights:
                return
        raise AssertionError("there is always more work to do")

    async def advance(self, seconds: float) -> None:
        """Move business time by the control endpoint, and do what is due then."""
        if self._keeper is None:
            self._keeper = await self.merchant("keeper of the clock")
        said = await self._keeper.post("/_control/clock", {"advance_s": int(seconds)})
        assert said.status_code == 200, said.text
        await self.settle()

    # --- what stands in the database ---------------------------------------------------------------------------------

    async def books(self, *tables: str) -> dict[str, str]:
        """A digest of every table that holds money, or of these."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return {
                name: await connection.fetchval(f"select md5(string_agg(t::text, '|' order by t::text)) from {name} t")
                for name in tables or (*MONEY, *MORE)
            }
        finally:
            await connection.close()

    async def sql(self, statement: str, *arguments: object) -> list[Any]:
        """Run a statement of a test's own."""
        connection = await asyncpg.connect(self.dsn)
        try:
            found: list[Any] = await connection.fetch(statement, *arguments)
            return found
        finally:
            await connection.close()

    async def assert_clean(self) -> None:
        """Every balance and counter is what its movements say."""
        report = await verify(self.dsn)
        assert report.clean, str(report)


@asynccontextmanager
async def running(dsn: str, *, street: Street | None = None, **settings: Any) -> AsyncIterator[World]:
    """The application on a prepared database, from its start-up to its shutdown.

    `street` makes its rails to providers, where a test has some.
    """
    chosen = Settings(data_dir="", dsn=dsn, **{"sandbox": True, "with_worker": False, **settings})
    opened: list[Wired] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[Wired]:
        async with wired(dsn, street.vault if street is not None else VAULT) as plain:
            parts = plain if street is None else street.leads_from(plain)
            opened.append(parts)
            worker = asyncio.create_task(run_worker(parts.world, notices_of(parts))) if chosen.with_worker else None
            yield parts
            if worker is not None:
                worker.cancel()
                await asyncio.gather(worker, return_exceptions=True)

    app = Application(chosen, lifespan)
    async with living(app):
        world = World(app, dsn, opened[0], chosen)
        async with world.http:
            yield world


@asynccontextmanager
async def living(app: Application) -> AsyncIterator[None]:
    """What a server does before the first request and after the last."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(message: Any) -> None:
        await said.put(message)

    task = asyncio.create_task(app({"type": "lifespan"}, told.get, send))
    try:
        await told.put({"type": "lifespan.startup"})
        started = await said.get()
        assert started["type"] == "lifespan.startup.complete", started
        yield
    finally:
        await told.put({"type": "lifespan.shutdown"})
        await task
    assert (await said.get())["type"] == "lifespan.shutdown.complete"


async def prepare(dsn: str) -> None:
    """Every schema, and a clock that moves."""
    await prepare_database(dsn)
    async with wired(dsn) as parts:
        await parts.access.allow_clock()


# --- the native API --------------------------------------------------------------------------------------------------


class Native:
    """A client of the native API and of the control endpoints, with one key."""

    def __init__(self, world: World, merchant: UUID, key: str) -> None:
        self.world = world
        self.merchant = merchant
        self.key = key

    async def __call__(
        self, method: str, path: str, body: Any = None, *, content: bytes | None = None, **headers: str
    ) -> httpx2.Response:
        """One request. Its answer is one that the API's document describes, or this fails."""
        said = {"Authorization": f"Bearer {self.key}"} | {n.replace("_", "-"): v for n, v in headers.items()}
        if content is None and body is not None:
            content = msgspec.json.encode(body)
        answer = await self.world.http.request(method, path, content=content, headers=said)
        check_described(method, path, answer)
        return answer

    async def get(self, path: str) -> httpx2.Response:
        return await self("GET", path)

    async def post(self, path: str, body: Any = None, **headers: Any) -> httpx2.Response:
        return await self("POST", path, body, **headers)

    # --- what tests are made of --------------------------------------------------------------------------------------

    async def pays(self, amount: int = 10_000, **members: Any) -> Any:
        """A captured payment in euros, unless `members` say otherwise."""
        said = await self.post("/v1/payments", {"amount": amount, "currency": "EUR", **members})
        assert said.status_code == 201, said.text
        return said.json()

    async def refunds(self, payment: Any, amount: int | None = None, **members: Any) -> Any:
        """A refund that is admitted; without an amount, all that remains."""
        asked = members if amount is None else {"amount": amount, **members}
        said = await self.post(f"/v1/payments/{payment['id']}/refunds", asked)
        assert said.status_code in (201, 202), said.text
        return said.json()

    async def waits(self, payment: Any, amount: int | None = None, **members: Any) -> Any:
        """A refund that is admitted and answered at once."""
        asked = members if amount is None else {"amount": amount, **members}
        said = await self.post(f"/v1/payments/{payment['id']}/refunds", asked, prefer="respond-async")
        assert said.status_code in (201, 202), said.text
        return said.json()

    async def read(self, path: str) -> Any:
        """What is there to be read."""
        said = await self.get(path)
        assert said.status_code == 200, said.text
        return said.json()

    async def again(self, shown: Any) -> Any:
        """A payment or refund as it stands now."""
        return await self.read(f"/v1/{shown['object']}s/{shown['id']}")

    async def all(self, path: str, **query: Any) -> list[Any]:
        """Every row of a list, page after page."""
        found: list[Any] = []
        asked = {"limit": 100, **query}
        while True:
            page = await self.read(f"{path}?{httpx2.QueryParams(asked)}")
            found += page["data"]
            if page["next_cursor"] is None or (path == "/v1/events" and not page["data"]):
                return found
            asked["after" if path == "/v1/events" else "cursor"] = page["next_cursor"]

    async def executions(self, payment: Any) -> list[Any]:
        """What the bank's own books say it paid for a payment."""
        book = (await self.read(f"/_control/books?payment={payment['id']}"))["book"]
        return [each for each in book["entries"] if each["outcome"] == "executed"]


def refused(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code of a problem; what else belongs to one is checked here."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:moneyback:{problem['code']}"
    assert problem["title"]
    if "reasons" in problem:
        assert problem["reasons"][0]["code"] == problem["code"]
    return answer.status_code, problem["code"]


# --- held against its document ---------------------------------------------------------------------------------------

_router = Router(ENDPOINTS)


@cache
def _document() -> Any:
    return msgspec.json.decode(msgspec.json.encode(native_document()))


@cache
def _validator(path: str, method: str, status: str, media: str) -> jsonschema_rs.Validator | None:
    """How an answer is described; None for one that is not."""
    answers = _document()["paths"][path][method]["responses"]
    described = answers.get(status) or answers.get(f"{status[0]}XX")
    content = (described or {}).get("content", {}).get(media)
    if content is None:
        return None
    schema = {**content["schema"], "components": _document()["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def check_described(method: str, path: str, answer: httpx2.Response) -> None:
    """An answer of the native API has a status, a type and members that its document names."""
    found = _router.find(tuple(path.partition("?")[0].strip("/").split("/")))
    endpoint = found and found[0].get("GET" if method == "HEAD" else method)
    if endpoint is None or method == "HEAD" or answer.status_code in (401, 403, 405):
        return
    media = answer.headers["content-type"]
    validator = _validator(endpoint.path, endpoint.method.lower(), str(answer.status_code), media)
    assert validator is not None, f"{method} {endpoint.path} does not describe a {answer.status_code} of {media}"
    errors = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(answer.json())]
    assert not errors, (method, endpoint.path, errors, answer.text)


# --- the dialects ----------------------------------------------------------------------------------------------------


class Shop:
    """The sandbox's merchant: its native key, and the credentials and payments of every dialect."""

    def __init__(self, world: World, demo: Demo, sections: Mapping[str, Any]) -> None:
        self.world = world
        self.demo = demo
        self.sections = sections
        self.native = Native(world, demo.merchant, demo.api_key)

    def speaks(self, name: str) -> "Spoken":
        """One dialect, as this merchant's client speaks it."""
        shown = self.demo.dialects[name]
        return Spoken(self.native, load_dialects()[name], Presented(shown.secret, shown.user), shown.profile)

    async def first_id(self, name: str) -> str:
        """The id of a dialect's first payment, as that dialect shows it."""
        first = self.demo.dialects[name].payments[0]
        payment = await self.world.parts.store.payment(self.native.merchant, first)
        assert payment is not None
        return payment.dialect_id

    def printed(self, name: str) -> "Refunding":
        """The refund that the sandbox prints for a dialect: of its first payment, in part or whole."""
        dialect = load_dialects()[name]
        assert dialect.samples is not None
        method, path, _, body, encoding = request_of(dialect.samples.curl(self.sections[name]))
        form = encoding == "form"
        content = urlencode(body).encode() if form else msgspec.json.encode(body)  # type: ignore[arg-type]
        return Refunding(method, path.removeprefix(f"/{name}"), content, FORM if form else JSON)


class Refunding(msgspec.Struct, frozen=True):
    """A request for a refund in a dialect's own form."""

    method: str
    path: str
    content: bytes
    media: str


class Spoken:
    """A client of one dialect."""

    def __init__(self, native: Native, dialect: Dialect, presented: Presented, profile: Mapping[str, Any]) -> None:
        self.native = native
        self.world = native.world
        self.dialect = dialect
        self.presented = presented
        self.profile = profile
        self.prefix = "" if self.world.settings.twin else f"/{dialect.name}"

    @property
    def credentials(self) -> dict[str, str]:
        """The header that says who asks: Basic where the scheme has a user, else a bearer token."""
        user, secret = self.presented.user, self.presented.secret
        if user is None:
            return {"Authorization": f"Bearer {secret}"}
        return {"Authorization": "Basic " + b64encode(f"{user}:{secret}".encode()).decode()}

    def at(self, route: Route, id: str) -> str:
        """A route's path with this id; the client's own name where the path has one."""
        own = {name: str(value) for name, value in self.profile.items()}
        names = re.findall(r"{(\w+)}", route.path)
        return route.path.format(**{name: own.get(_snake(name), id) for name in names})

    async def pays(self, amount: int = 20_000, **members: Any) -> Any:
        """A captured payment of this dialect, in a currency it knows."""
        assert self.dialect.samples is not None
        currency = self.dialect.samples.payments[0].currency
        return await self.native.pays(amount, dialect=self.dialect.name, rail=RAIL, **{"currency": currency, **members})

    async def __call__(
        self,
        method: str,
        path: str,
        content: bytes | AsyncIterator[bytes] | None = None,
        media: str = JSON,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """One request to a path of the provider's. Headers replace those that are sent otherwise."""
        said = self.credentials | ({"Content-Type": media} if content is not None else {}) | dict(headers or {})
        return await self.world.http.request(method, f"{self.prefix}{path}", content=content, headers=said)


def _snake(name: str) -> str:
    """ClientId: client_id, as a profile's members are spelt."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class _Away:
    """A connection that is not to be had."""

    async def __aenter__(self) -> None:
        raise StoreUnavailable("away")

    async def __aexit__(self, *_: object) -> None:
        raise AssertionError("nobody came in")


@asynccontextmanager
async def without_database(world: World) -> AsyncIterator[None]:
    """Every statement of the application fails as if there were no database."""
    store = world.parts.store

    async def refuse(_command: Any) -> Any:
        raise StoreUnavailable("away")

    before = store.reading, store.submit
    store.reading, store.submit = _Away, refuse  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        store.reading, store.submit = before  # type: ignore[method-assign]
