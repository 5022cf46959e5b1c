"""One dialect as an ASGI application: finds the route, recognises the caller, decodes the body, answers.

Whatever happens under its prefix (no such path, too large a body, a fault of our own) is said in the provider's words.
Nothing of what a client sent is logged, be it body, query, header or path: only the route's own template is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import quote, unquote
from uuid import UUID

import msgspec
from msgspec.structs import replace

from moneyback.api.asgi import (
    Gone,
    Receive,
    Scope,
    Send,
    TooLarge,
    base_of,
    header,
    headers_of,
    messages,
    read_body,
    segments,
)
from moneyback.api.decode import BOUNDS, BadBody, Bounds, decode, decode_query, is_clean
from moneyback.dialect import Call, Caller, Dialect, Fault, Incoming, Outgoing, Route
from moneyback.flows.front import front_of, relay, serve_in_front
from moneyback.flows.serve_dialect import serve, unavailable, where
from moneyback.flows.shadow import in_shadow, watch
from moneyback.flows.world import Rail, World
from moneyback.store.port import StoreUnavailable
from moneyback.store.reads import Reads

BODY_PATIENCE_S: Final = 30.0
"""How long a client may take to send its body."""
RELAYED_BODY_MAX: Final = 16 << 20
"""What a client may send through us to its provider: documents are scanned in a few megabytes."""
TAIL: Final = 3
"""By how many last segments a guarded path is known again: the resource, its id, and what is done to it."""
NOBODY: Final = Caller(merchant=UUID(int=0))
"""Who calls a public route without credentials: owns nothing."""


class Found(msgspec.Struct, frozen=True):
    """What a path leads to: its routes by method, each with what its `{name}` segments hold."""

    routes: Mapping[str, tuple[Route, Mapping[str, str]]] = {}

    def route(self, method: str) -> tuple[Route, Mapping[str, str]] | None:
        """The route of a method; HEAD is a GET whose body is not sent."""
        return self.routes.get(method) or (self.routes.get("GET") if method == "HEAD" else None)

    @property
    def allowed(self) -> str:
        """The methods of the path, as the Allow header says them."""
        also = {"OPTIONS"} | ({"HEAD"} if "GET" in self.routes else set())
        return ", ".join(sorted(self.routes.keys() | also))


class Paths:
    """A dialect's routes by the shape of their paths. A word counts more than a `{name}` in the same place."""

    def __init__(self, routes: tuple[Route, ...], *, caseless: bool = False) -> None:
        self._caseless = caseless
        self._by_length: dict[int, list[tuple[tuple[str, ...], Route]]] = {}
        for route in routes:
            template = segments(route.path)
            self._by_length.setdefault(len(template), []).append((template, route))
        self._guarded = {
            tuple(part.casefold() for part in segments(route.path)[-TAIL:])
            for route in routes
            if route.kind == "guarded"
        }
        for shapes in self._by_length.values():
            shapes.sort(key=lambda shape: [part.startswith("{") for part in shape[0]])

    def find(self, given: tuple[str, ...]) -> Found:
        """Every route whose path has these segments."""
        found: dict[str, tuple[Route, Mapping[str, str]]] = {}
        for template, route in self._by_length.get(len(given), ()):
            held = self._held(template, given)
            if held is not None:
                found.setdefault(route.method, (route, held))
        return Found(found)

    def is_like_guarded(self, given: tuple[str, ...]) -> bool:
        """Whether a path nobody serves ends as one that gives money back does.

        A provider may understand other spellings than we do: another version, another case, dots, escapes. None of them
        is a way around us.
        """
        plain: list[str] = []
        for part in given:
            for word in _unescaped(part).casefold().split("/"):
                named = word.partition(";")[0].strip()
                if named == "..":
                    plain = plain[:-1]
                elif named not in ("", "."):
                    plain.append(named)
        return any(_ends_alike(tail, plain) for tail in self._guarded)

    def _held(self, template: tuple[str, ...], given: tuple[str, ...]) -> dict[str, str] | None:
        held: dict[str, str] = {}
        for part, value in zip(template, given, strict=True):
            if part.startswith("{"):
                held[part[1:-1]] = value
            elif part != value and not (self._caseless and part.casefold() == value.casefold()):
                return None
        return held


def _unescaped(part: str) -> str:
    """A part of a path with every escape undone, however often it was escaped."""
    while (plain := unquote(part)) != part:
        part = plain
    return part


def _ends_alike(tail: tuple[str, ...], plain: list[str]) -> bool:
    """Whether a path ends like this guarded one, whatever its `{name}` segments hold."""
    end = plain[-len(tail) :]
    if len(end) < len(tail):
        return False
    return all(part.startswith("{") or part == word for part, word in zip(tail, end, strict=True))


class _Refused(Exception):
    """The request ends here with this fault, and these headers beside the provider's own."""

    def __init__(self, fault: Fault, why: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.fault = fault
        self.why = why
        self.headers = headers or {}


class Mount:
    """Serves one dialect below `prefix` ("/truust"), or at the root of a twin's own port ("")."""

    def __init__(
        self, dialect: Dialect, world: World, reads: Reads, *, prefix: str = "", bounds: Bounds = BOUNDS
    ) -> None:
        self._dialect = dialect
        self._world = world
        self._reads = reads
        self._prefix = prefix
        self._depth = len(segments(prefix))
        self._bounds = bounds
        self._paths = Paths(dialect.routes, caseless=dialect.caseless)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        try:
            said = await self._answer(scope, receive)
            ready = messages(said, head=scope["method"] == "HEAD")
        except Gone:
            return
        except Exception as error:
            ready = messages(self._broken(error))
        for message in ready:
            await send(message)

    async def _answer(self, scope: Scope, receive: Receive) -> Outgoing:
        headers = headers_of(scope)
        clean = is_clean(scope["path"])  # what is not leads nowhere, and is not shown to whoever finds the words
        given = segments(scope["path"])[self._depth :] if clean else ()
        incoming = Incoming(
            method=scope["method"],
            path="/" + "/".join(given),
            headers=headers,
            base=base_of(scope, headers) + self._prefix,
            id=str(self._world.new_id()),
        )
        try:
            found = self._paths.find(given) if clean else Found()
            chosen = found.route(incoming.method)
            if (chosen is None or chosen[0].kind == "relayed") and clean:
                front = await self._front(incoming)
                if front is not None and chosen is None and self._paths.is_like_guarded(given):
                    raise _Refused(Fault.NOT_FOUND, "It is written like a call that is decided here.")
                if front is not None:
                    raw = await self._raw(scope, receive, RELAYED_BODY_MAX)
                    return await self._relay(scope, front, incoming, raw)
            if not found.routes:
                raise _Refused(Fault.NOT_FOUND)
            if incoming.method == "OPTIONS" and "OPTIONS" not in found.routes:
                return Outgoing(status=204, headers={"Allow": found.allowed})
            route, held = self._route(found, incoming.method)
            incoming = replace(incoming, arguments=held, query=_query(scope), headers=_checked(headers))
            caller = await self._caller(route, incoming)
            rail = front_of(self._world, caller)
            if rail is not None and route.kind == "guarded" and in_shadow(caller):
                return await self._watch(scope, receive, rail, route, incoming, caller)
            raw = await self._raw(scope, receive, self._bounds.size_max)
            incoming = self._decoded(raw, scope, route, incoming)
            if rail is None:
                return await serve(self._world, self._reads, self._dialect, route, incoming, caller)
            said = await serve_in_front(self._world, self._reads, self._dialect, rail, route, incoming, caller)
            return said if said is not None else await self._relay(scope, rail, incoming, raw)
        except _Refused as refused:
            return await self._refuse(refused, incoming)
        except StoreUnavailable as error:
            self._world.log("mount_unavailable", dialect=self._dialect.name, error=str(error))
            return unavailable(self._dialect, incoming)

    def _route(self, found: Found, method: str) -> tuple[Route, Mapping[str, str]]:
        chosen = found.route(method)
        if chosen is None:
            raise _Refused(Fault.METHOD_NOT_ALLOWED, headers={"Allow": found.allowed})
        return chosen

    async def _caller(self, route: Route, incoming: Incoming) -> Caller:
        """Who asks. Comes before the body: a stranger's is not even read."""
        presented = self._dialect.presented(incoming)
        if presented is not None:
            known = await self._reads.callers.recognise(self._dialect.name, presented.secret, presented.user)
            if known is not None:
                return Caller(
                    merchant=known.merchant, name=known.name, profile=known.profile, credential=known.credential
                )
        if route.public:
            return NOBODY
        raise _Refused(Fault.UNAUTHENTICATED)

    async def _front(self, incoming: Incoming) -> Rail | None:
        """The rail a caller's client would call itself, if it is such a client's request."""
        presented = self._dialect.presented(incoming)
        if presented is None:
            return None
        known = await self._reads.callers.recognise(self._dialect.name, presented.secret, presented.user)
        if known is None:
            return None
        return front_of(self._world, Caller(merchant=known.merchant, profile=known.profile))

    async def _relay(self, scope: Scope, rail: Rail, incoming: Incoming, body: bytes) -> Outgoing:
        """Hand a client's own request on as it came, under the provider's base URL."""
        return await relay(self._world, self._dialect, rail, self._own_call(scope, incoming, body), incoming)

    async def _watch(
        self, scope: Scope, receive: Receive, rail: Rail, route: Route, incoming: Incoming, caller: Caller
    ) -> Outgoing:
        """The same, after a look at what we would have said."""
        body = await self._raw(scope, receive, RELAYED_BODY_MAX)
        call = self._own_call(scope, incoming, body)
        try:
            read = self._decoded(body, scope, route, incoming)
        except _Refused:  # the provider will say so itself
            return await relay(self._world, self._dialect, rail, call, incoming)
        return await watch(self._world, self._reads, self._dialect, rail, route, read, caller, call)

    def _own_call(self, scope: Scope, incoming: Incoming, body: bytes) -> Call:
        """What a client would have sent to its provider. Raises _Refused for a path that leads to no provider."""
        path = _raw_path(scope)[len(scope.get("root_path", "") + self._prefix) :]
        base = self._dialect.base_path
        if not path.startswith(base):
            raise _Refused(Fault.NOT_FOUND)
        query = scope.get("query_string", b"").decode("latin-1")
        return Call(
            method=incoming.method,
            path=path[len(base) :] + (f"?{query}" if query else ""),
            headers=_checked(incoming.headers),
            body=body,
        )

    async def _raw(self, scope: Scope, receive: Receive, size_max: int) -> bytes:
        """The body as it came. What a client sends along with a GET means nothing."""
        if scope["method"] in ("GET", "HEAD"):
            return b""
        try:
            async with asyncio.timeout(BODY_PATIENCE_S):
                return await read_body(receive, size_max, header(scope, b"content-length"))
        except TooLarge:
            raise _Refused(Fault.TOO_LARGE, headers={"Connection": "close"}) from None
        except TimeoutError:
            raise _Refused(Fault.BAD_BODY, "The body did not come in time.", {"Connection": "close"}) from None

    def _decoded(self, body: bytes, scope: Scope, route: Route, incoming: Incoming) -> Incoming:
        """The request with its body read as one of those the route accepts."""
        if route.method in ("GET", "HEAD"):
            return incoming
        declared = header(scope, b"content-type") or b""
        try:
            read, encoding = decode(body, declared.decode("latin-1"), route.accepts, self._bounds)
        except BadBody as error:
            raise _Refused(Fault.BAD_BODY, str(error)) from None
        return replace(incoming, body=read, encoding=encoding)

    async def _refuse(self, refused: _Refused, incoming: Incoming) -> Outgoing:
        with suppress(StoreUnavailable):  # the time is a courtesy here
            incoming = replace(incoming, at=(await self._world.store.now()).business)
        self._world.log("mount_refused", dialect=self._dialect.name, fault=refused.fault.value, why=refused.why)
        said = self._dialect.fault(refused.fault, incoming)
        return replace(said, headers={**said.headers, **refused.headers})

    def _broken(self, error: Exception) -> Outgoing:
        """A fault of our own, before a handler was asked or after it had answered."""
        self._world.log("mount_broke", dialect=self._dialect.name, error=where(error))
        try:
            return self._dialect.fault(Fault.INTERNAL, None)
        except Exception as worse:
            self._world.log("mount_broke", dialect=self._dialect.name, error=where(worse))
            return Outgoing(status=500)


def _raw_path(scope: Scope) -> str:
    """The path as it was written, what is escaped in it left as it is."""
    raw = scope.get("raw_path")
    return raw.decode("latin-1").partition("?")[0] if raw else quote(scope["path"])


def _query(scope: Scope) -> tuple[tuple[str, str], ...]:
    try:
        return decode_query(scope.get("query_string", b""))
    except BadBody as error:
        raise _Refused(Fault.BAD_BODY, str(error)) from None


def _checked(headers: Mapping[str, str]) -> Mapping[str, str]:
    if not all(is_clean(value) for value in headers.values()):
        raise _Refused(Fault.BAD_BODY, "A header contains a NUL character.")
    return headers
