"""A dialect over HTTP: every outcome under its prefix is said in its provider's words, whatever a client's habits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from msgspec.structs import replace

from moneyback.api.asgi import Gone, TooLarge, read_body
from moneyback.api.decode import Bounds
from moneyback.api.mount import Mount, Paths
from moneyback.core.payment import Asked
from moneyback.core.refusals import Refusal
from moneyback.dialect import (
    AskRefund,
    Await,
    Caller,
    Conversation,
    Dialect,
    FindPayment,
    Incoming,
    NewId,
    Outgoing,
    Route,
)
from moneyback.store.port import StoreUnavailable
from tests.flows.toy import TOY, Scene, scene_on

SECRET = "toy-secret-7f3a"


def echo(incoming: Incoming, caller: Caller) -> Conversation:
    """Everything a handler is told."""
    yield NewId()
    return Outgoing(
        body={
            "method": incoming.method,
            "path": incoming.path,
            "arguments": incoming.arguments,
            "query": incoming.query,
            "body": incoming.body,
            "encoding": incoming.encoding,
            "base": incoming.base,
            "merchant": caller.merchant,
            "profile": caller.profile,
        }
    )


def refund(incoming: Incoming, _caller: Caller) -> Conversation:
    payment = yield FindPayment(incoming.arguments["id"])
    if payment is None:
        return Outgoing(status=404, body={"toy": "no such payment"})
    result = yield AskRefund(payment=payment, asked=Asked(payer=incoming.body and int(incoming.body["amount"])))
    if isinstance(result, Refusal):
        return Outgoing(status=422, body={"toy": result.first.reason.value})
    found, _ = yield Await(result.refund, 5)
    return Outgoing(
        body={"id": int(found.dialect_id), "state": found.state.value, "amount": Decimal(found.payer) / 100}
    )


def told(_incoming: Incoming, _caller: Caller) -> Conversation:
    yield NewId()
    return Outgoing(body={"sum": Decimal("10.50"), "words": "é"}, headers={"X-Toy": "1"})


def broken(_incoming: Incoming, _caller: Caller) -> Conversation:
    yield NewId()
    raise ValueError(f"a card: {4111_1111_1111_1111}")


def unprintable(_incoming: Incoming, _caller: Caller) -> Conversation:
    yield NewId()
    return Outgoing(body={"x": object()})


ROUTES = (
    Route(method="POST", path="/payments/{id}/refund/", handle=refund, accepts=("json", "form")),
    Route(method="GET", path="/payments/{id}", handle=echo),
    Route(method="DELETE", path="/payments/{id}", handle=echo),
    Route(method="GET", path="/payments/latest", handle=told),
    Route(method="POST", path="/{client}/echo", handle=echo, accepts=("json", "form", "multipart")),
    Route(method="POST", path="/json", handle=echo),
    Route(method="GET", path="/open", handle=echo, public=True),
    Route(method="POST", path="/broken", handle=broken),
    Route(method="POST", path="/unprintable", handle=unprintable),
)
DIALECT = replace(TOY, routes=ROUTES)


class Client:
    """The scene's mount under `/toy`, called as its merchant."""

    def __init__(self, scene: Scene, app: Callable[..., Any]) -> None:
        self.scene = scene
        self.credential = uuid4()
        self.secret = f"{SECRET}-{self.credential.hex}"
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://toy.example")

    async def __call__(self, method: str, path: str, *, anonymous: bool = False, **more: Any) -> httpx2.Response:
        headers = {} if anonymous else {"Authorization": f"Bearer {self.secret}"}
        return await self.http.request(method, f"/toy{path}", headers=headers | more.pop("headers", {}), **more)


@pytest.fixture
async def client(module_database: str) -> AsyncIterator[Client]:
    async with scene_on(module_database) as scene:
        client = Client(scene, Mount(DIALECT, scene.world, scene.reads, prefix="/toy", bounds=Bounds(size_max=1000)))
        await scene.access.add_credential(
            scene.merchant, client.credential, "toy", secret=client.secret, profile={"id": 7}
        )
        yield client
        await client.http.aclose()


# --- a refund over HTTP ----------------------------------------------------------------------------------------------


async def test_a_refund_over_http(client: Client):
    payment = await client.scene.pay(10_000)
    said = await client("POST", f"/payments/{payment.dialect_id}/refund/", json={"amount": 2_550})
    assert said.status_code == 200
    assert said.headers["content-type"] == "application/json"
    assert said.text.endswith(',"state":"succeeded","amount":25.5}')
    assert (await client("POST", f"/payments/{payment.dialect_id}/refund", json={"amount": 20_000})).status_code == 422
    assert (await client("POST", "/payments/1/refund", json={"amount": 1})).json() == {"toy": "no such payment"}


async def test_a_strangers_payment_does_not_exist(client: Client):
    client.scene.merchant = uuid4()
    payment = await client.scene.pay(10_000)
    said = await client("POST", f"/payments/{payment.dialect_id}/refund/", json={"amount": 100})
    assert (said.status_code, said.json()) == (404, {"toy": "no such payment"})


# --- paths and methods -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/json", "/json/", "//json", "/json//", "///json///"])
async def test_slashes_do_not_matter(client: Client, path: str):
    said = (await client("POST", path, json={})).json()
    assert said["path"] == "/json"


async def test_what_a_handler_is_told(client: Client):
    said = (await client("POST", "/acme/echo?b=1&a=x+y&b=2", json={"sum": 1.50})).json()
    assert said["arguments"] == {"client": "acme"}
    assert said["query"] == [["b", "1"], ["a", "x y"], ["b", "2"]]
    assert said["body"] == {"sum": 1.5}
    assert said["base"] == "http://toy.example/toy"
    assert said["merchant"] == str(client.scene.merchant)
    assert said["profile"] == {"id": 7}


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 404, None),
        ("GET", "/nowhere", 404, None),
        ("OPTIONS", "/nowhere", 404, None),
        ("GET", "/payments/%00", 404, None),
        ("PUT", "/payments/1", 405, "DELETE, GET, HEAD, OPTIONS"),
        ("POST", "/payments/1", 405, "DELETE, GET, HEAD, OPTIONS"),
        ("GET", "/json", 405, "OPTIONS, POST"),
        ("HEAD", "/json", 405, "OPTIONS, POST"),
        ("OPTIONS", "/payments/1", 204, "DELETE, GET, HEAD, OPTIONS"),
    ],
)
async def test_paths_and_methods_without_a_route(
    client: Client, method: str, path: str, status: int, allow: str | None
):
    said = await client(method, path)
    assert (said.status_code, said.headers.get("allow")) == (status, allow)
    if status in (404, 405) and method != "HEAD":
        assert said.json()["toy"] in ("not_found", "method_not_allowed")
        assert said.json()["dated"] is True


async def test_a_word_counts_more_than_a_name(client: Client):
    assert (await client("GET", "/payments/latest")).json() == {"sum": 10.5, "words": "é"}
    assert (await client("GET", "/payments/7")).json()["arguments"] == {"id": "7"}
    assert (await client("DELETE", "/payments/latest")).json()["arguments"] == {"id": "latest"}


async def test_head_is_get_without_its_body(client: Client):
    whole, head = await client("GET", "/payments/latest"), await client("HEAD", "/payments/latest")
    assert head.content == b""
    assert head.headers == whole.headers
    assert head.headers["x-toy"] == "1"
    assert int(head.headers["content-length"]) == len(whole.content) > 0


def test_the_words_of_a_path_may_be_compared_without_case():
    routes = (Route(method="GET", path="/v2.01/{ClientId}/PayIns", handle=echo),)
    exact, caseless = Paths(routes), Paths(routes, caseless=True)
    assert exact.find(("v2.01", "Acme", "PayIns")).routes["GET"][1] == {"ClientId": "Acme"}
    assert not exact.find(("v2.01", "Acme", "payins")).routes
    assert caseless.find(("V2.01", "Acme", "payins")).routes["GET"][1] == {"ClientId": "Acme"}
    assert not caseless.find(("v2.01", "Acme")).routes


# --- credentials -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {SECRET}"},
        {"Authorization": "Bearer "},
        {"Authorization": "Toy nobody:wrong"},
    ],
)
async def test_credentials_come_before_everything_else_in_a_request(client: Client, headers: dict[str, str]):
    async def body() -> AsyncIterator[bytes]:
        read.append(True)
        yield b"{"

    read: list[bool] = []
    said = await client("POST", "/json?a=1", anonymous=True, headers=headers, content=body())
    assert (said.status_code, said.json()["toy"]) == (401, "unauthenticated")
    assert not read, "a stranger's body is not even read"


async def test_a_revoked_credential_ends(client: Client):
    await client.scene.access.revoke(client.scene.merchant, client.credential)
    assert (await client("POST", "/json", json={})).status_code == 401


async def test_a_public_route_needs_no_credentials(client: Client):
    assert (await client("GET", "/open", anonymous=True)).json()["profile"] == {}
    assert (await client("GET", "/open", headers={"Authorization": "Bearer wrong"})).json()["profile"] == {}
    assert (await client("GET", "/open")).json()["profile"] == {"id": 7}


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "declared", "content", "body", "encoding"),
    [
        ("/json", "application/json", b'{"a": 1}', {"a": 1}, "json"),
        ("/json", "application/x-www-form-urlencoded", b'{"a": 1}', {"a": 1}, "json"),
        ("/json", "application/json", b'\xef\xbb\xbf{"a": 1}', {"a": 1}, "json"),
        ("/json", "application/json", b"", None, "none"),
        ("/x/echo", "application/x-www-form-urlencoded", b"a=1&", {"a": "1"}, "form"),
        ("/x/echo", "application/json", b"a=1&", {"a": "1"}, "form"),
        (
            "/x/echo",
            "multipart/form-data; boundary=e",
            b'--e\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--e--\r\n',
            {"a": "1"},
            "multipart",
        ),
    ],
)
async def test_bodies(client: Client, path: str, declared: str, content: bytes, body: Any, encoding: str):
    said = (await client("POST", path, content=content, headers={"Content-Type": declared})).json()
    assert (said["body"], said["encoding"]) == (body, encoding)


@pytest.mark.parametrize(
    ("path", "content", "status", "fault"),
    [
        ("/json", b'{"a": ', 400, "bad_body"),
        ("/json", b"a=1", 400, "bad_body"),
        ("/json", b'{"a": "\\u0000"}', 400, "bad_body"),
        ("/json", b'{"a": 9223372036854775808}', 400, "bad_body"),
        ("/json", b"[" * 40 + b"]" * 40, 400, "bad_body"),
        ("/json?a=%00", b"{}", 400, "bad_body"),
        ("/json", b" " * 1001, 413, "too_large"),
    ],
)
async def test_bodies_that_are_refused(client: Client, path: str, content: bytes, status: int, fault: str):
    said = await client("POST", path, content=content, headers={"Content-Type": "application/json"})
    assert (said.status_code, said.json()["toy"]) == (status, fault)


async def test_a_streamed_body_is_counted(client: Client):
    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            sent.append(100)
            yield b" " * 100

    sent: list[int] = []
    assert (await client("POST", "/json", content=body())).status_code == 413
    assert sum(sent) <= 1200, "what is too long is not read to its end"


async def test_the_body_of_a_get_means_nothing(client: Client):
    said = await client("GET", "/payments/1", content=b"{", headers={"Content-Type": "application/json"})
    assert (said.status_code, said.json()["body"]) == (200, None)


async def by_hand(client: Client, path: str) -> list[Any]:
    """What is sent for a POST whose path no client would build, and whose body never comes."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    headers = [(b"authorization", f"Bearer {client.secret}".encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
    await Mount(DIALECT, client.scene.world, client.scene.reads, prefix="/toy")(scope, receive, send)
    return sent


async def test_a_body_that_does_not_come_in_time_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("moneyback.api.mount.BODY_PATIENCE_S", 0)
    start, _ = await by_hand(client, "/toy/json")
    assert start["status"] == 400
    assert (b"connection", b"close") in start["headers"]


@pytest.mark.parametrize("path", ["/toy/\ud800/echo", "/toy/a\0b/echo"])
async def test_a_path_that_is_no_text_leads_nowhere(client: Client, path: str):
    assert (await by_hand(client, path))[0]["status"] == 404


@pytest.mark.parametrize(
    ("messages", "declared", "found"),
    [
        ([{"type": "http.request"}], None, b""),
        ([{"type": "http.request", "body": b"abc"}], b"3", b"abc"),
        (
            [{"type": "http.request", "body": b"ab", "more_body": True}, {"type": "http.request", "body": b"c"}],
            None,
            b"abc",
        ),
        ([{"type": "http.request", "body": b"abcd"}], None, TooLarge),
        ([{"type": "http.request", "body": b"ab", "more_body": True}] * 3, None, TooLarge),
        ([], b"4", TooLarge),
        ([], b"9" * 5000, TooLarge),
        ([{"type": "http.request", "body": b"ab"}], b"nonsense", b"ab"),
        ([{"type": "http.disconnect"}], None, Gone),
        ([{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}], None, Gone),
    ],
)
async def test_reading_a_body(messages: list[dict[str, Any]], declared: bytes | None, found: Any):
    left = iter(messages)

    async def receive() -> Any:
        return next(left)

    if isinstance(found, bytes):
        assert await read_body(receive, 3, declared) == found
    else:
        with pytest.raises(found):
            await read_body(receive, 3, declared)


# --- our own faults --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/broken", "/unprintable"])
async def test_a_fault_of_our_own_in_the_providers_words(client: Client, path: str):
    said = await client("POST", path, json={"pan": "4111111111111111"})
    assert (said.status_code, said.json()["toy"]) == (500, "internal")


async def test_a_fault_in_finding_words_is_still_an_answer(client: Client):
    def mute(*_: Any) -> Outgoing:
        raise RuntimeError("no words")

    dialect: Dialect = replace(DIALECT, fault=mute)
    mount = Mount(dialect, client.scene.world, client.scene.reads, prefix="/toy")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(mount), base_url="http://toy.example") as http:
        assert (await http.post("/toy/nowhere")).status_code == 500
        assert (await http.post("/toy/json", json={})).status_code == 500


async def test_without_a_database_the_client_is_told_to_come_again(client: Client, monkeypatch: pytest.MonkeyPatch):
    async def away(*_: Any) -> None:
        raise StoreUnavailable("away")

    for part, name in ((client.scene.reads.callers, "recognise"), (client.scene.store, "now")):
        monkeypatch.setattr(part, name, away)
    said = await client("POST", "/json", json={})
    assert (said.status_code, said.json()["toy"], said.headers["retry-after"]) == (503, "unavailable", "1")
    words = {"path": "/nowhere", "dated": False}
    assert (await client("POST", "/nowhere", json={}, anonymous=True)).json() == {"toy": "not_found", **words}
    assert (await client("POST", "/nowhere", json={})).json() == {"toy": "unavailable", **words}  # it may be relayed


async def test_nothing_of_what_was_sent_is_logged(client: Client):
    pan, word = "4111111111111111", uuid4().hex
    for path in ("/broken", "/json", "/nowhere", f"/payments/{word}/refund", f"/json?secret={word}", f"/{word}"):
        for content in (b'{"pan": "%s"}' % pan.encode(), b'{"pan": %s' % pan.encode(), b"pan=%s" % pan.encode()):
            await client("POST", path, content=content, headers={"X-Toy": word})
            await client("POST", path, content=content, anonymous=True, headers={"Authorization": f"Bearer {word}"})
    logged = repr(client.scene.logged)
    assert {"dialect_broke", "mount_refused"} <= {word for word, _ in client.scene.logged}
    assert not [each for each in (pan, word, client.secret) if each in logged]


# --- a twin ----------------------------------------------------------------------------------------------------------


async def test_a_twin_answers_at_the_root(client: Client):
    twin = Mount(DIALECT, client.scene.world, client.scene.reads)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(twin), base_url="http://twin.example:9004") as http:
        said = await http.post("/json//", json={}, headers={"Authorization": f"Bearer {client.secret}"})
        assert said.json()["base"] == "http://twin.example:9004"
        assert (await http.get("/toy/json")).json()["toy"] == "not_found"
