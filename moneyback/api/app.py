"""The ASGI application of one process: native API, every dialect under its prefix, control, health, metrics, docs.

It routes by the first segment of the path. Whatever happens, it answers: a database that is away is 503 before anything
was admitted, and a mistake of ours is one logged 500.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

from moneyback.api.asgi import (
    BodyFirst,
    Gone,
    Receive,
    Scope,
    Send,
    TooLarge,
    encode_json,
    headers_of,
    names_of,
    path_of,
    read_body,
    respond,
)
from moneyback.api.asgi import header as header_of
from moneyback.api.auth import asker_of
from moneyback.api.control import advance_clock, read_books, set_scenario
from moneyback.api.decode import BOUNDS, BadBody, decode_json, decode_query, is_clean
from moneyback.api.hooks import serve_hook
from moneyback.api.metrics import Metrics
from moneyback.api.mount import BODY_PATIENCE_S, Mount
from moneyback.api.native import ENDPOINTS, Answer, Asking, BadRequest, Endpoint, NoMasterKey, Surface
from moneyback.api.openapi import dialect_document, native_document, page
from moneyback.api.problems import RETRY_AFTER_S, problem
from moneyback.api.twin import Scripted, Twin
from moneyback.bank.port import Bank
from moneyback.dialect import Notification
from moneyback.flows.hear import Answered
from moneyback.flows.serve_dialect import where
from moneyback.flows.world import World
from moneyback.settings import Settings
from moneyback.store.access import Access
from moneyback.store.figures import Figures
from moneyback.store.news import News
from moneyback.store.port import StoreUnavailable
from moneyback.store.postgres import PostgresStore
from moneyback.store.rails import RailBook
from moneyback.store.reads import Reads

DOCS_CSP: Final = b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
METRICS: Final = b"text/plain; version=0.0.4; charset=utf-8"
CONTROL: Final = {"/_control/clock": "POST", "/_control/books": "GET", "/_control/scenario": "POST"}
TWIN_PLAIN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""What a twin's port answers itself; everything else there is the provider's."""


class BodyLate(Exception):
    """A client takes too long to send its body."""


class Parts(Protocol):
    """What a process is made of, as far as the application uses it."""

    @property
    def world(self) -> World: ...
    @property
    def reads(self) -> Reads: ...
    @property
    def access(self) -> Access: ...
    @property
    def bank(self) -> Bank: ...
    @property
    def store(self) -> PostgresStore: ...
    @property
    def news(self) -> News: ...
    @property
    def book(self) -> RailBook | None: ...
    async def figures(self) -> Figures: ...
    async def send_on(self, heard: Answered, sent: Notification) -> None: ...


class Router:
    """Finds the endpoint of a method and a path, and says whether the path is known at all."""

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        self._tree: dict[int, list[tuple[tuple[str, ...], dict[str, Endpoint]]]] = {}
        for endpoint in endpoints:
            parts = tuple(endpoint.path.strip("/").split("/"))
            known = self._tree.setdefault(len(parts), [])
            methods = next((found for pattern, found in known if pattern == parts), None)
            if methods is None:
                known.append((parts, methods := {}))
            methods[endpoint.method] = endpoint

    def find(self, parts: tuple[str, ...]) -> tuple[dict[str, Endpoint], dict[str, str]] | None:
        """The endpoints at a path by method, and the path's arguments."""
        for pattern, methods in self._tree.get(len(parts), ()):
            arguments = _matched(pattern, parts)
            if arguments is not None:
                return methods, arguments
        return None


def _matched(pattern: tuple[str, ...], parts: tuple[str, ...]) -> dict[str, str] | None:
    arguments: dict[str, str] = {}
    for expected, part in zip(pattern, parts, strict=True):
        if expected.startswith("{"):
            arguments[expected[1:-1]] = part
        elif expected != part:
            return None
    return arguments


class Application:
    """One process's ASGI application. Its parts exist from the server's start-up to its shutdown."""

    def __init__(self, settings: Settings, lifespan: Callable[[], AbstractAsyncContextManager[Parts]]) -> None:
        self._settings = settings
        self._lifespan = lifespan
        self._router = Router(ENDPOINTS)
        self._metrics = Metrics()
        self._parts: Parts | None = None
        self._surface: Surface | None = None
        self._mounts: dict[str, Mount] = {}
        self._twin: Twin | None = None
        self._documents: dict[str, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert scope["type"] == "http"
        try:
            await self._serve(scope, *BodyFirst.of(scope, receive, send, BOUNDS.size_max, BODY_PATIENCE_S))
        except Gone:
            return

    async def _live(self, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        try:
            async with self._lifespan() as parts:
                self._open(parts)
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": repr(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    def _open(self, parts: Parts) -> None:
        self._parts = parts
        dialects, settings = parts.world.dialects, self._settings
        self._surface = Surface(parts.world, parts.reads, parts.store, parts.news, parts.book, settings.near)
        if settings.twin is not None:
            scripted = Scripted(settings.faults, settings.seed, settings.slow_s, settings.lag_s)
            self._twin = Twin(dialects[settings.twin], parts.world, parts.reads, scripted)
            return
        self._mounts = {
            name: Mount(dialect, parts.world, parts.reads, prefix=f"/{name}") for name, dialect in dialects.items()
        }

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = path_of(scope)
        first = path.split("/", 2)[1] if path.startswith("/") else ""
        mount = self._mounts.get(first)
        if mount is not None:
            await mount(scope, receive, send)
        elif first == "v1":
            await _send(scope, send, await self._guarded(self._native(scope, path, receive)))
        elif first == "_hooks" and self._twin is None:
            assert self._parts is not None
            parts = self._parts
            await serve_hook(parts.world, parts.news, self._metrics, parts.send_on, scope, receive, send)
        elif first == "_control" and self._settings.sandbox:
            await _send(scope, send, await self._guarded(self._control(scope, path, receive)))
        elif self._twin is not None and path not in TWIN_PLAIN:
            await self._twin(scope, receive, send)
        else:
            await _send(scope, send, await self._guarded(self._plain(scope["method"], path)))

    async def _guarded(self, story: Awaitable[Answer]) -> Answer:
        """Every outcome as an answer in the native API's words."""
        try:
            return await story
        except BadRequest as error:
            return _problem(400, "bad_request", str(error))
        except BadBody as error:
            return _problem(400, "bad_body", str(error))
        except NoMasterKey:
            return _problem(503, "no_master_key", "This process has no master key: what is sealed cannot be kept here.")
        except TooLarge:
            body = problem(413, "too_large", f"A body has at most {BOUNDS.size_max} bytes.")
            return Answer(413, body, ((b"connection", b"close"),))
        except BodyLate:
            body = problem(408, "too_slow", f"A body comes within {BODY_PATIENCE_S:.0f} seconds.")
            return Answer(408, body, ((b"connection", b"close"),))
        except StoreUnavailable:
            body = problem(503, "unavailable", "The database does not answer; nothing was admitted. Try again.")
            return Answer(503, body, ((b"retry-after", b"%d" % RETRY_AFTER_S),))
        except (Gone, asyncio.CancelledError):
            raise
        except Exception as error:
            assert self._parts is not None
            self._parts.world.log("request_broke", error=where(error))  # its text may quote what a client sent
            return _problem(500, "internal", "This is a mistake of ours; it was written down.")

    async def _native(self, scope: Scope, path: str, receive: Receive) -> Answer:
        assert self._surface is not None
        asker = await asker_of(self._surface.reads, scope)
        if asker is None:
            return _UNAUTHENTICATED
        found = self._router.find(names_of(scope)) if is_clean(path) else None
        if found is None:
            return _NOTHING_HERE
        methods, arguments = found
        endpoint = methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if endpoint is None:
            return _other_method(scope["method"], methods)
        if endpoint.scope not in asker.scopes:
            return _problem(403, "scope_missing", f"This key lacks the scope {endpoint.scope}.")
        asking = await self._read(scope, path, arguments, receive)
        with self._metrics.timed(endpoint):
            return await endpoint.handle(self._surface, asker, asking)

    async def _read(self, scope: Scope, path: str, arguments: dict[str, str], receive: Receive) -> Asking:
        try:
            async with asyncio.timeout(BODY_PATIENCE_S):
                raw = await read_body(receive, BOUNDS.size_max, header_of(scope, b"content-length"))
        except TimeoutError:
            raise BodyLate from None
        query = dict(decode_query(scope.get("query_string", b"")))
        headers = headers_of(scope)
        if not all(is_clean(value) for value in headers.values()):
            raise BadBody("A header contains a NUL character.")
        return Asking(scope["method"], path, arguments, query, headers, decode_json(raw) if raw else None)

    async def _control(self, scope: Scope, path: str, receive: Receive) -> Answer:
        assert self._surface is not None and self._parts is not None
        asker = await asker_of(self._surface.reads, scope)
        if asker is None:
            return _UNAUTHENTICATED
        method = CONTROL.get(path.rstrip("/"))
        if method is None:
            return _problem(404, "not_found", "There are: POST clock, GET books, POST scenario.")
        if scope["method"] != method:
            return _other_method(scope["method"], {method})
        if "control:write" not in asker.scopes:
            return _problem(403, "scope_missing", "This key lacks the scope control:write.")
        asking = await self._read(scope, path, {}, receive)
        match path.rstrip("/"):
            case "/_control/clock":
                return await advance_clock(self._surface, self._parts.access, asking)
            case "/_control/books":
                return await read_books(self._surface, asker, asking, self._parts.bank)
            case _:
                return await set_scenario(self._surface, asker, asking, self._parts.bank)

    async def _plain(self, method: str, path: str) -> Answer:
        """What needs no key: health, metrics and the reference."""
        assert self._parts is not None
        said = await self._page(path)
        if said is None:
            return _NOTHING_HERE
        return said if method in ("GET", "HEAD") else _other_method(method, {"GET"})

    async def _page(self, path: str) -> Answer | None:
        assert self._parts is not None
        match path:
            case "/healthz":
                return Answer(200, b'{"status":"alive"}')
            case "/readyz":
                await self._parts.world.store.now()
                return Answer(200, b'{"status":"ready"}')
            case "/metrics":
                self._metrics.rails(self._parts.world.own_rails.values())
                return Answer(200, await self._metrics.text(self._parts.figures), media_type=METRICS)
            case "/docs" | "/docs/":
                policy = ((b"content-security-policy", DOCS_CSP),)
                return Answer(200, self._docs(), policy, b"text/html; charset=utf-8")
            case "/":
                return Answer(302, b"", ((b"location", b"/docs"),))
            case _:
                document = self._document(path)
                return None if document is None else Answer(200, document)

    def _document(self, path: str) -> bytes | None:
        if path not in self._documents:
            document = self._drawn().get(path)
            if document is None:
                return None
            self._documents[path] = encode_json(document)
        return self._documents[path]

    def _docs(self) -> bytes:
        if "/docs" not in self._documents:
            self._documents["/docs"] = page(self._drawn()).encode()
        return self._documents["/docs"]

    def _drawn(self) -> dict[str, dict[str, Any]]:
        assert self._parts is not None
        dialects = {
            f"/openapi/{name}.json": dialect_document(each) for name, each in self._parts.world.dialects.items()
        }
        return {"/openapi.json": native_document(), **dialects}


async def _send(scope: Scope, send: Send, answer: Answer) -> None:
    head = scope["method"] == "HEAD"
    await respond(send, answer.status, answer.body, answer.media_type, answer.headers, head=head)


def _other_method(method: str, known: Iterable[str]) -> Answer:
    """What a path answers to a method it does not have. HEAD is a GET whose body is not sent."""
    also = {"HEAD", "OPTIONS"} if "GET" in known else {"OPTIONS"}
    allowed = ", ".join(sorted({*known, *also}))
    headers = ((b"allow", allowed.encode()),)
    if method == "OPTIONS":
        return Answer(204, b"", headers)
    return Answer(405, problem(405, "method_not_allowed", f"Here are: {allowed}."), headers)


def _problem(status: int, code: str, detail: str) -> Answer:
    return Answer(status, problem(status, code, detail))


_NOTHING_HERE: Final = _problem(404, "not_found", "There is nothing at this path.")
_UNAUTHENTICATED: Final = Answer(
    401,
    problem(401, "unauthenticated", "Send Authorization: Bearer with a valid key."),
    ((b"www-authenticate", b"Bearer"),),
)
