"""Endpoints and deliveries over HTTP: registered, told, checked by their programs, replayed, and secret all the way."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from moneyback.api.native import shown_event
from moneyback.flows.deliver import deliver_due
from moneyback.flows.keep_endpoint import ENDPOINTS_MAX
from moneyback.flows.tell import follow_logs
from moneyback.messenger import Astray, Messenger, demand_address
from moneyback.sandbox import prepare_demo
from moneyback.store.access import credential_purpose
from moneyback.store.followers import Followers
from tests.api.world import Native, World, refused

PATIENCE_S = 20
UNKNOWN = "0" * 32
OWN_EVENTS = ["payment.registered", "refund.created"]


class Program:
    """A merchant's own program on this machine. `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 204
        self.came: list[tuple[str, Mapping[str, str], bytes]] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.came.append((first, headers, body))
        writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % self.status)
        await writer.drain()
        writer.close()

    @property
    def events(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.came]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Program"]:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        async with server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
            yield self


@pytest.fixture
async def shop(here: World) -> Native:
    """A merchant of the test's own."""
    return await here.merchant()


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    async with Program().listening() as listening:
        yield listening


async def tell(here: World, shop: Native, *, until: int) -> None:
    """Follow the logs and deliver, until so many deliveries of this merchant's were tried; the horizon may lag."""
    parts = here.parts
    assert parts.deliveries is not None and parts.endpoints is not None
    followers, messenger = Followers(parts.store, parts.deliveries), Messenger(near=True)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while sum(each["tries"] for each in await shop.all("/v1/deliveries")) < until:
                await follow_logs(parts.world, parts.reads, followers, shown_event)
                await deliver_due(parts.world, parts.deliveries, parts.endpoints, messenger.post)
    finally:
        await messenger.close()


async def registered(shop: Native, url: str, **members: Any) -> Any:
    said = await shop.post("/v1/endpoints", {"url": url, **members})
    assert said.status_code == 201, said.text
    return said.json()


async def test_a_program_is_told_what_the_log_shows_and_can_check_it(here: World, shop: Native, program: Program):
    endpoint = await registered(shop, program.url, events=OWN_EVENTS, description="books")
    assert endpoint["secret"].startswith("whsec_")
    payment = await shop.pays()
    refund = await shop.refunds(payment, 1_000)
    await here.settle()
    await tell(here, shop, until=2)
    log = [each for each in await shop.all("/v1/events") if each["type"] in OWN_EVENTS]
    assert sorted(program.events, key=lambda each: each["cursor"]) == sorted(log, key=lambda each: each["cursor"])
    assert {each["object"] for each in program.events} == {payment["id"], refund["id"]}
    deliveries = {each["id"]: each for each in await shop.all("/v1/deliveries")}
    for first, headers, body in program.came:
        assert first == "POST /hooks HTTP/1.1"
        assert headers["content-type"] == "application/json"
        assert Webhook(endpoint["secret"]).verify(body, dict(headers)) == json.loads(body)
        with pytest.raises(WebhookVerificationError):
            Webhook(endpoint["secret"]).verify(body.replace(b"registered", b"captured") + b" ", dict(headers))
        shown = deliveries[headers["webhook-id"]]
        assert (shown["state"], shown["dialect"], shown["hook"]) == ("delivered", "native", endpoint["id"])
        assert shown["event"] == json.loads(body)["type"]


async def test_secrets_are_shown_once_and_to_nobody_else(here: World, shop: Native):
    native = await registered(shop, "https://shop.example/a")
    foreign = await registered(
        shop,
        "https://shop.example/b",
        dialect="truust",
        secret="a-shared-secret",
        headers={"X-Shop": "a-header-secret"},
    )
    assert foreign["secret"] is None
    again = await shop.post(f"/v1/endpoints/{native['id']}/rotate")
    other = await shop.post(f"/v1/endpoints/{foreign['id']}/rotate", {"secret": "another-secret"})
    assert other.json() == foreign
    assert again.json() == {**native, "secret": again.json()["secret"]} and again.json()["secret"] != native["secret"]
    listed = (await shop.get("/v1/endpoints")).text
    secrets = (native["secret"], again.json()["secret"], "a-shared-secret", "another-secret", "a-header-secret")
    assert not any(each in listed for each in secrets)
    assert [each["id"] for each in await shop.all("/v1/endpoints")] == [native["id"], foreign["id"]]
    books = await text_of(here, shop, "endpoints", "documents")
    assert not any(each in books or each.encode().hex() in books for each in secrets)


async def text_of(here: World, shop: Native, *tables: str) -> str:
    found = ""
    async with here.parts.store.reading() as connection:
        for table in tables:
            query = f"select string_agg(t::text, '|') from {table} t where merchant_id = $1"
            found += await connection.fetchval(query, shop.merchant) or ""
    return found


@pytest.mark.parametrize("dialect", ["maverick", "trustly", "truust"])
async def test_a_dialects_endpoint_is_a_document_its_dialect_finds(here: World, shop: Native, dialect: str):
    members = {"dialect": dialect, "events": ["x"], "secret": "s3cret", "headers": {"X-Shop": "a"}}
    endpoint = await registered(shop, "https://shop.example/b", **members)
    (found,) = await here.parts.reads.documents.list(shop.merchant, dialect, "endpoint")
    assert found.keys() == {"id", "url", "events", "description", "secret", "headers", "created_at"}
    assert (found["id"], found["url"], found["events"]) == (endpoint["id"], "https://shop.example/b", ["x"])
    assert found["secret"] and found["headers"] and "s3cret" not in str(found)
    assert (await shop("DELETE", f"/v1/endpoints/{endpoint['id']}")).json() == endpoint
    assert await here.parts.reads.documents.list(shop.merchant, dialect, "endpoint") == ()
    bare = await registered(shop, "https://shop.example/b", dialect=dialect)
    (found,) = await here.parts.reads.documents.list(shop.merchant, dialect, "endpoint")
    assert (found["id"], found["secret"], found["headers"], found["events"]) == (bare["id"], "", "", [])


async def test_nothing_is_told_after_it_was_removed(here: World, shop: Native, program: Program):
    gone, kept = [await registered(shop, program.url, description=each) for each in ("gone", "kept")]
    assert (await shop("DELETE", f"/v1/endpoints/{gone['id']}")).status_code == 200
    assert (await shop("DELETE", f"/v1/endpoints/{gone['id']}")).status_code == 404
    await shop.pays()
    await tell(here, shop, until=1)
    assert [each["hook"] for each in await shop.all("/v1/deliveries")] == [kept["id"]]


async def test_what_did_not_arrive_is_shown_and_told_again_on_demand(here: World, shop: Native, program: Program):
    endpoint = await registered(shop, program.url)
    program.status = 410
    await shop.pays()
    await tell(here, shop, until=1)
    (given_up,) = await shop.all("/v1/deliveries?undelivered=true")
    assert (given_up["state"], given_up["status"], given_up["replayable"]) == ("given_up", 410, True)
    program.status = 200
    again = await shop.post(f"/v1/deliveries/{given_up['id']}/replay")
    assert (again.json()["state"], again.json()["tries"]) == ("due", 0)
    await tell(here, shop, until=1)
    (arrived,) = await shop.all("/v1/deliveries")
    assert (arrived["id"], arrived["state"]) == (given_up["id"], "delivered")
    (_, first, body), (_, second, same) = program.came
    assert (first["webhook-id"], body) == (second["webhook-id"], same)
    Webhook(endpoint["secret"]).verify(same, dict(second))


async def test_what_is_kept_no_longer_cannot_be_told_again(here: World, shop: Native, program: Program):
    await registered(shop, program.url)
    await shop.pays()
    await tell(here, shop, until=1)
    (told,) = await shop.all("/v1/deliveries")
    async with here.parts.store.reading() as connection:
        await connection.execute("update deliveries set sealed = null where merchant_id = $1", shop.merchant)
    assert refused(await shop.post(f"/v1/deliveries/{told['id']}/replay")) == (409, "delivery_forgotten")
    (told,) = await shop.all("/v1/deliveries")
    assert (told["state"], told["replayable"]) == ("delivered", False)


@pytest.mark.parametrize("id", [f"del_{UNKNOWN}", f"end_{UNKNOWN}", "x"])
async def test_what_is_not_there(here: World, shop: Native, id: str):
    for method, path in (
        ("POST", f"deliveries/{id}/replay"),
        ("POST", f"endpoints/{id}/rotate"),
        ("DELETE", f"endpoints/{id}"),
    ):
        assert (await shop(method, f"/v1/{path}")).status_code == 404, path


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"url": "ftp://shop.example/"}, "no address"),
        ({"url": "http://u:p@shop.example/"}, "no address"),
        ({"url": "https://[::1/"}, "no address"),
        ({"dialect": "chip"}, "native, maverick, trustly, truust"),
        ({"dialect": "nobody"}, "native, maverick, trustly, truust"),
        ({"secret": "own"}, "drawn"),
        ({"headers": {"a": "b"}}, "drawn"),
        ({"dialect": "truust", "headers": {"Host": "b"}}, "Host"),
        ({"dialect": "truust", "headers": {"a b": "b"}}, "a b"),
        ({"dialect": "truust", "headers": {"a": "b\r\nc: d"}}, "cannot be sent: a"),
        ({"dialect": "truust", "secret": "\x07"}, "secret"),
    ],
)
async def test_what_cannot_be_kept_is_refused(shop: Native, members: dict[str, Any], words: str):
    said = await shop.post("/v1/endpoints", {"url": "https://shop.example/", **members})
    assert refused(said) == (400, "bad_request") and words in said.text
    assert await shop.all("/v1/endpoints") == []


async def test_there_is_an_end_to_how_many(shop: Native):
    for dialect in ("native", "truust"):
        for _ in range(ENDPOINTS_MAX):
            await registered(shop, "https://shop.example/", dialect=dialect)
        said = await shop.post("/v1/endpoints", {"url": "https://shop.example/", "dialect": dialect})
        assert refused(said) == (400, "bad_request") and "remove one" in said.text


async def test_a_given_secret_is_a_dialects_alone(shop: Native):
    native = await registered(shop, "https://shop.example/")
    foreign = await registered(shop, "https://shop.example/", dialect="truust")
    for id, body in ((native["id"], {"secret": "own"}), (foreign["id"], {}), (foreign["id"], {"secret": "\x07"})):
        assert refused(await shop.post(f"/v1/endpoints/{id}/rotate", body)) == (400, "bad_request")


PRIVATE = [
    *("https://127.0.0.1/", "https://[::1]/", "https://10.1.2.3/", "https://192.168.1.1:8443/hook"),
    *("https://169.254.169.254/latest", "https://[fd00::1]/", "https://0.0.0.0/", "https://[::ffff:10.0.0.1]/"),
]


@pytest.mark.parametrize("url", [*PRIVATE, "http://93.184.215.14/"])
async def test_outside_a_sandbox_nothing_near_and_nothing_readable_is_registered(url: str):
    await demand_address(url.replace("https:", "http:"), near=True)
    with pytest.raises(Astray):
        await demand_address(url, near=False)


async def test_outside_a_sandbox_a_public_address_is_registered():
    await demand_address("https://93.184.215.14:8443/hook?a=1", near=False)


async def test_the_servers_own_setting_counts(here: World, shop: Native, monkeypatch: pytest.MonkeyPatch):
    surface = here.app._surface
    assert surface is not None and surface.near
    monkeypatch.setattr(here.app, "_surface", replace(surface, near=False))
    said = await shop.post("/v1/endpoints", {"url": PRIVATE[0]})
    assert refused(said) == (400, "bad_request") and "private" in said.text


async def test_without_a_master_key_there_are_no_endpoints(here: World, shop: Native, monkeypatch: pytest.MonkeyPatch):
    surface = here.app._surface
    assert surface is not None
    monkeypatch.setattr(here.app, "_surface", replace(surface, world=replace(surface.world, vault=None)))
    asked = (("GET", "", None), ("POST", "", {"url": "https://x.example/"}), ("DELETE", f"/end_{UNKNOWN}", None))
    for method, path, body in asked:
        assert refused(await shop(method, f"/v1/endpoints{path}", body)) == (503, "no_master_key")


async def test_the_sandboxs_own_secrets_can_be_signed_with_and_native_keys_cannot(here: World, tmp_path: Path):
    """Also those of a sandbox that was made before secrets were kept sealed."""
    parts = here.parts
    vault = parts.world.vault
    assert vault is not None

    async def kept(dialect: str) -> bytes | None:
        async with parts.store.reading() as connection:
            query = "select sealed from credentials where merchant_id = $1 and dialect = $2"
            sealed: bytes | None = await connection.fetchval(query, demo.merchant, dialect)
        return sealed

    for _ in range(2):
        demo = await prepare_demo(parts.world, parts.access, parts.reads.documents, tmp_path)
        for dialect, shown in demo.dialects.items():
            sealed = await kept(dialect)
            assert sealed is not None
            assert vault.open(sealed, credential_purpose(demo.merchant, dialect)) == shown.secret
        assert await kept("native") is None
        async with parts.store.reading() as connection:
            await connection.execute("update credentials set sealed = null")
