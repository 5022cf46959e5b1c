"""A street: Moneyback at one end, a provider's twin at the other, both in this process, each on its own database.

What travels between them goes over a `Line`, and a test says what becomes of it there. Time is moved for both at once.

    async with a_street(near_dsn, far_dsn, "chip") as street:
        made = await street.client("POST", "/purchases/", {...})        # the provider's own client, in front
        real = await street.twin.native.read(...)                       # what the provider's books say
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlencode

import httpx2
from msgspec.structs import replace

from moneyback.dialect import AnswerLost, Call, Dialect, NotConnected, Reply
from moneyback.dialects import load_dialects
from moneyback.flows.work import work_round
from moneyback.rails import Rails
from moneyback.store.rails import KeptRail, RailSettings
from moneyback.vault import Vault
from moneyback.wiring import Wired, let_in
from tests.api.world import Native, Shop, World, prepare, running

Fate = Literal["arrives", "not connected", "lost before", "lost after"]
FAR = "https://provider.example"
DIALECTS = load_dialects()
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Line:
    """What lies between a connector and its provider. `fate`: what becomes of a call; `calls`: those that came."""

    def __init__(self) -> None:
        self.vault = Vault(bytes(range(32)))
        self.far: httpx2.AsyncClient | None = None
        self.calls: list[Call] = []
        self.fate: Callable[[Call], Fate] = lambda _call: "arrives"

    def leads_from(self, parts: Wired) -> Wired:
        """The same process, whose rails lead over this line."""
        assert parts.book is not None
        return replace(parts, own_rails=Rails(parts.book, self, parts.world.new_id))  # type: ignore[arg-type]

    async def exchange(self, base_url: str, call: Call, *, deadline: float) -> Reply:
        """One call to the far end."""
        assert self.far is not None
        fate = self.fate(call)
        if fate in ("not connected", "lost before"):
            raise (NotConnected if fate == "not connected" else AnswerLost)(fate)
        said = await self.far.request(
            call.method, base_url + call.path, headers=dict(call.headers), content=call.body, params=call.query or None
        )
        self.calls.append(call)
        if fate == "lost after":
            raise AnswerLost(fate)
        return Reply(status=said.status_code, headers=dict(said.headers), body=said.content)

    async def close(self) -> None:
        """Nothing is kept open."""


class Answer:
    """What a client was told."""

    def __init__(self, said: httpx2.Response) -> None:
        self.status = said.status_code
        self.headers = said.headers
        self.text = said.text

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def __repr__(self) -> str:
        return f"{self.status} {self.text}"


class Street:
    """Moneyback in front of one provider's twin, and a client of that provider's that calls us with its credentials."""

    def __init__(self, near: World, far: World, twin: Shop, line: Line, dialect: Dialect, owner: Native) -> None:
        self.near = near
        self.far = far
        self.twin = twin
        self.line = line
        self.dialect = dialect
        self.native = owner
        self.section: Mapping[str, Any] = twin.sections[dialect.name]
        self._headers = twin.speaks(dialect.name).credentials

    async def client(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        form: bool = False,
        headers: Mapping[str, str] | None = None,
        directly: bool = False,
    ) -> Answer:
        """One request of the provider's own client, through us or `directly`; `path` follows the base URL."""
        content = None if body is None else urlencode(body).encode() if form else json.dumps(body).encode()
        said = self._headers | ({} if content is None else {"Content-Type": FORM if form else JSON})
        world = self.far if directly else self.near
        where = f"/{self.dialect.name}{self.dialect.base_path}{path}"
        return Answer(await world.http.request(method, where, content=content, headers=said | dict(headers or {})))

    async def settle(self) -> None:
        """Everything that is due at either end is done."""
        await self.far.settle()
        await self.near.settle()

    async def work(self) -> int:
        """One round of what is due here."""
        return await work_round(self.near.parts.world)

    async def advance(self, seconds: float) -> None:
        """Time passes for both, and what is due then is done."""
        await self.far.advance(seconds)
        await self.near.advance(seconds)

    async def executed(self, far_payment: str) -> list[int]:
        """What the provider's bank has paid back of the payment with this id in the provider's words."""
        found = await self.far.parts.reads.find_payment(self.twin.native.merchant, self.dialect.name, far_payment)
        assert found is not None, far_payment
        return [each["amount"] for each in await self.twin.native.executions({"id": f"pay_{found.id.hex}"})]

    async def known(self, far_payment: str) -> Any:
        """The payment of that id as our native API shows it; None while we have not met it."""
        found = await self.near.parts.reads.find_payment(self.native.merchant, self.dialect.name, far_payment)
        return None if found is None else await self.native.read(f"/v1/payments/pay_{found.id.hex}")

    async def assert_clean(self) -> None:
        """Neither end's books differ from their movements."""
        await asyncio.gather(self.near.assert_clean(), self.far.assert_clean())


@asynccontextmanager
async def a_street(near_dsn: str, far_dsn: str, name: str, **settings: Any) -> AsyncIterator[Street]:
    """Moneyback on one prepared database in front of the twin on the other. `settings` are the rail's."""
    line, dialect = Line(), DIALECTS[name]
    async with running(far_dsn) as far, running(near_dsn, street=line) as near:
        line.far = httpx2.AsyncClient(transport=httpx2.ASGITransport(far.app), base_url=FAR)
        twin, owner = await far.demo(), await near.merchant()
        await add_rail(near, owner, name, twin.sections[name], settings)
        street = Street(near, far, twin, line, dialect, owner)
        async with line.far:
            yield street


async def add_rail(
    near: World, owner: Native, name: str, section: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """A rail to the twin, and Moneyback in front of it."""
    parts, client = near.parts, DIALECTS[name].client
    assert parts.book is not None and parts.own_rails is not None and client is not None
    base_url = FAR + f"/{name}{DIALECTS[name].base_path}"
    await parts.book.add(
        KeptRail(
            merchant=owner.merchant,
            name="provider",
            connector=name,
            account=f"twin-{owner.merchant.hex}",
            settings=RailSettings(base_url=base_url, **{"per_s": 1000.0, "at_once": 64, **settings}),
            credentials={each: str(section[each]) for each in client.credentials},
        )
    )
    await parts.own_rails.learn(parts.world)
    await let_in(parts, owner.merchant, "provider")


async def prepare_both(near_dsn: str, far_dsn: str) -> None:
    """Every schema at both ends."""
    await prepare(near_dsn)
    await prepare(far_dsn)


def basic(user: str, secret: str) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{secret}".encode()).decode()}
