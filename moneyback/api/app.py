"""The ASGI application of one process: native API, every dialect under its prefix, control, health, metrics, docs.

It routes by the first segment of the path. Whatever happens, it answers: a database that is away is 503 before anything
was admitted, and a mistake of ours is one logged 500.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

from moneyback.api.asgi import (
    Gone,
    Receive,
    Scope,
    Send,
    TooLarge,
    encode_json,
    headers_of,
    path_of,
    read_body,
    respond,
)
from moneyback.api.asgi import header as header_of
from moneyback.api.auth import asker_of
from moneyback.api.control import advance_clock, read_books, set_scenario
from moneyback.api.decode import BOUNDS, BadBody, decode_json, decode_query
from moneyback.api.metrics import Metrics
from moneyback.api.mount import Mount
from moneyback.api.native import ENDPOINTS, Answer, Asking, BadRequest, Endpoint, Surface
from moneyback.api.openapi import dialect_document, native_document, page
from moneyback.api.problems import PROBLEM, RETRY_AFTER_S, problem
from moneyback.api.twin import Scripted, Twin
from moneyback.bank.port import Bank
from moneyback.flows.world import World
from moneyback.settings import Settings
from moneyback.store.access import Access
from moneyback.store.figures import Figures
from moneyback.store.port import StoreUnavailable
from moneyback.store.reads import Reads

DOCS_CSP: Final = b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


TWIN_PLAIN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""What a twin's port answers itself; everything else there is the provider's."""


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
    async def figures(self) -> Figures: ...


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

    def find(self, path: str) -> tuple[dict[str, Endpoint], dict[str, str]] | None:
        """The endpoints at a path by method, and the path's arguments."""
        parts = tuple(path.strip("/").split("/"))
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
            await self._serve(scope, receive, send)
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
        self._surface = Surface(parts.world, parts.reads)
        dialects, settings = parts.world.dialects, self._settings
        if settings.twin is not None:
            scripted = Scripted(settings.faults, settings.seed, settings.slow_s, settings.lag_s)
            self._twin = Twin(dialects[settings.twin], parts.world, parts.reads, parts.bank, scripted)
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
            answer = await self._guarded(self._native(scope, path, receive))
            await respond(send, answer.status, answer.body, answer.media_type, answer.headers)
        elif first == "_control" and self._settings.sandbox:
            answer = await self._guarded(self._control(scope, path, receive))
            await respond(send, answer.status, answer.body, answer.media_type, answer.headers)
        elif self._twin is not None and path not in TWIN_PLAIN:
            await self._twin(scope, receive, send)
        else:
            await self._plain(path, send)

    async def _guarded(self, story: Any) -> Answer:
        """Every outcome as an answer in the native API's words."""
        try:
            answer: Answer = await story
            return answer
        except BadRequest as error:
            return _problem(400, "bad_request", str(error))
        except BadBody as error:
            return _problem(400, "bad_body", str(error))
        except TooLarge:
            body = problem(413, "too_large", f"A body has at most {BOUNDS.size_max} bytes.")
            return Answer(413, body, ((b"connection", b"close"),))
        except StoreUnavailable:
            body = problem(503, "unavailable", "The database does not answer; nothing was admitted. Try again.")
            return Answer(503, body, ((b"retry-after", b"%d" % RETRY_AFTER_S),))
        except (Gone, asyncio.CancelledError):
            raise
        except Exception as error:
            assert self._parts is not None
            self._parts.world.log("request_broke", error=repr(error))
            return _problem(500, "internal", "This is a mistake of ours; it was written down.")

    async def _native(self, scope: Scope, path: str, receive: Receive) -> Answer:
        assert self._surface is not None
        asker = await asker_of(self._surface.reads, scope)
        if asker is None:
            body = problem(401, "unauthenticated", "Send Authorization: Bearer with a valid key.")
            return Answer(401, body, ((b"www-authenticate", b"Bearer"),))
        found = self._router.find(path)
        if found is None:
            return _problem(404, "not_found", "There is nothing at this path.")
        methods, arguments = found
        endpoint = methods.get(scope["method"])
        if endpoint is None:
            body = problem(405, "method_not_allowed", f"Here are: {', '.join(sorted(methods))}.")
            return Answer(405, body, ((b"allow", ", ".join(sorted(methods)).encode()),))
        if endpoint.scope not in asker.scopes:
            return _problem(403, "scope_missing", f"This key lacks the scope {endpoint.scope}.")
        asking = await self._read(scope, path, arguments, receive)
        with self._metrics.timed(endpoint):
            return await endpoint.handle(self._surface, asker, asking)

    async def _read(self, scope: Scope, path: str, arguments: dict[str, str], receive: Receive) -> Asking:
        raw = await read_body(receive, BOUNDS.size_max, header_of(scope, b"content-length"))
        query = dict(decode_query(scope.get("query_string", b"")))
        body = decode_json(raw) if raw else None
        return Asking(scope["method"], path, arguments, query, headers_of(scope), body)

    async def _control(self, scope: Scope, path: str, receive: Receive) -> Answer:
        assert self._surface is not None and self._parts is not None
        asker = await asker_of(self._surface.reads, scope)
        if asker is None:
            body = problem(401, "unauthenticated", "Send Authorization: Bearer with a valid key.")
            return Answer(401, body, ((b"www-authenticate", b"Bearer"),))
        if "control:write" not in asker.scopes:
            return _problem(403, "scope_missing", "This key lacks the scope control:write.")
        asking = await self._read(scope, path, {}, receive)
        match scope["method"], path.rstrip("/"):
            case "POST", "/_control/clock":
                return await advance_clock(self._surface, self._parts.access, asking)
            case "GET", "/_control/books":
                return await read_books(self._surface, asker, asking, self._parts.bank)
            case "POST", "/_control/scenario":
                return await set_scenario(self._surface, asker, asking, self._parts.bank)
        return _problem(404, "not_found", "There are: POST clock, GET books, POST scenario.")

    async def _plain(self, path: str, send: Send) -> None:
        """What needs no key: health, metrics and the reference."""
        assert self._parts is not None
        match path:
            case "/healthz":
                await respond(send, 200, b'{"status":"alive"}')
            case "/readyz":
                await self._readiness(send)
            case "/metrics":
                text = await self._metrics.text(self._parts.figures)
                await respond(send, 200, text, b"text/plain; version=0.0.4; charset=utf-8")
            case "/docs" | "/docs/":
                headers = ((b"content-security-policy", DOCS_CSP),)
                await respond(send, 200, self._docs(), b"text/html; charset=utf-8", headers)
            case "/":
                await respond(send, 302, headers=((b"location", b"/docs"),))
            case _:
                document = self._document(path)
                if document is None:
                    await respond(send, 404, problem(404, "not_found", "There is nothing at this path."), PROBLEM)
                else:
                    await respond(send, 200, document)

    async def _readiness(self, send: Send) -> None:
        assert self._parts is not None
        try:
            await self._parts.world.store.now()
        except StoreUnavailable:
            body = problem(503, "unavailable", "The database does not answer.")
            await respond(send, 503, body, PROBLEM, ((b"retry-after", b"1"),))
        else:
            await respond(send, 200, b'{"status":"ready"}')

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


def _problem(status: int, code: str, detail: str) -> Answer:
    return Answer(status, problem(status, code, detail))
