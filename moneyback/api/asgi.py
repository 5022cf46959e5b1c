"""The few ASGI primitives that both APIs stand on: reading a bounded body, headers, paths, one way to answer.

They allocate little, for they carry the hot routes. No routing here, and nobody's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from moneyback.dialect import Outgoing

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

JSON: Final = b"application/json"
BODILESS: Final = frozenset({204, 304})
"""Statuses whose answers have no body and say no length."""

encode_json: Final[Callable[[Any], bytes]] = msgspec.json.Encoder(decimal_format="number").encode
"""A value as JSON text; a Decimal is written as a number with the digits it has."""


class TooLarge(Exception):
    """A body is longer than is accepted. The rest of it was not read: the connection must be closed."""


class Gone(Exception):
    """The client went away before its request was complete. There is nobody to answer."""


async def read_body(receive: Receive, limit: int, declared: bytes | None = None) -> bytes:
    """The whole body, at most `limit` bytes. `declared` is its Content-Length, refused before a byte is read.

    Raises TooLarge as soon as more than `limit` bytes were announced or came, and Gone.
    """
    if declared is not None and declared.isdigit() and (len(declared) > 15 or int(declared) > limit):
        raise TooLarge
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    body: bytes = message.get("body", b"")
    if len(body) > limit:
        raise TooLarge
    whole = declared is not None and declared.isdigit() and len(body) == int(declared)
    return body if whole or not message.get("more_body", False) else await _read_on(receive, limit, body)


async def _read_on(receive: Receive, limit: int, begun: bytes) -> bytes:
    body = bytearray(begun)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > limit:
            raise TooLarge
        if not message.get("more_body", False):
            return bytes(body)


class BodyFirst:
    """A request that is answered only once its body is here, whoever answers it, and whether they wanted it or not.

    An answer that overtakes the body costs the connection, and nobody says so: the client's next request on it is lost.
    """

    @staticmethod
    def of(scope: Scope, receive: Receive, send: Send, limit: int, patience_s: float) -> tuple[Receive, Send]:
        """How to receive and send for this request; as before where it has no body."""
        declared = header(scope, b"content-length")
        if declared in (None, b"0") and header(scope, b"transfer-encoding") is None:
            return receive, send
        one = BodyFirst(receive, send, declared, limit, patience_s)
        return one.receive, one.send

    def __init__(self, receive: Receive, send: Send, declared: bytes | None, limit: int, patience_s: float) -> None:
        self._receive = receive
        self._send = send
        self._left = int(declared) if declared is not None and declared.isdigit() and len(declared) < 16 else None
        self._limit = limit
        self._patience_s = patience_s
        self._coming = True

    async def receive(self) -> MutableMapping[str, Any]:
        """The next piece of the body."""
        message = await self._receive()
        size = len(message.get("body", b""))
        self._limit -= size
        if self._left is not None:
            self._left -= size
        self._coming = bool(message.get("more_body", False)) and (self._left is None or self._left > 0)
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send a piece of the answer, once the rest of the body came; else the client is told that we hang up."""
        if self._coming and message["type"] == "http.response.start" and not _hangs_up(message):
            await self._take_rest()
            if self._coming:
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await self._send(message)

    async def _take_rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                while self._coming and (self._limit if self._left is None else self._limit - self._left) >= 0:
                    await self.receive()


def _hangs_up(message: Mapping[str, Any]) -> bool:
    return any(name == b"connection" and value == b"close" for name, value in message["headers"])


async def respond(
    send: Send,
    status: int,
    body: bytes = b"",
    media_type: bytes = JSON,
    headers: Headers = (),
    *,
    head: bool = False,
) -> None:
    """Answer with bytes. Content-Length is said wherever there may be a body; a body brings its Content-Type.

    `head`: headers as if with the body, and no body.
    """
    said = [*headers]
    if status not in BODILESS:
        said.append((b"content-length", b"%d" % len(body)))
    if body:
        said.append((b"content-type", media_type))
    await send({"type": "http.response.start", "status": status, "headers": said})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def answer(send: Send, outgoing: Outgoing, *, head: bool = False) -> None:
    """Answer with an Outgoing. `head`: headers as if with the body, and no body."""
    for message in messages(outgoing, head=head):
        await send(message)


def messages(outgoing: Outgoing, *, head: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """An Outgoing as the two messages that send it. Raises what encoding it raises, before anything is sent."""
    body = body_of(outgoing)
    said = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in outgoing.headers.items()]
    if outgoing.status not in BODILESS:
        said.append((b"content-length", b"%d" % len(body)))
    if body:
        said.append((b"content-type", outgoing.media_type.encode("latin-1")))
    start = {"type": "http.response.start", "status": outgoing.status, "headers": said}
    return start, {"type": "http.response.body", "body": b"" if head else body}


def body_of(outgoing: Outgoing) -> bytes:
    """The bytes of an answer's body."""
    if outgoing.body is None:
        return b""
    return outgoing.body if isinstance(outgoing.body, bytes) else encode_json(outgoing.body)


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that lower-case name. For routes that need one or two."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None


def headers_of(scope: Scope) -> dict[str, str]:
    """All headers by lower-case name, those that repeat joined by a comma."""
    found: dict[str, str] = {}
    for key, value in scope["headers"]:
        name, text = key.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def segments(path: str) -> tuple[str, ...]:
    """The parts of a path, whatever slashes are doubled, missing or left over at the end."""
    return tuple(part for part in path.split("/") if part)


def path_of(scope: Scope) -> str:
    """The path as it follows the mount: without the prefix under which the application stands."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root) else path


def names_of(scope: Scope) -> tuple[str, ...]:
    """The parts of the path, each decoded on its own: what a part names may have a slash in it."""
    path, raw = path_of(scope), scope.get("raw_path")
    if raw is not None:
        written = raw.decode("latin-1")
        if unquote(written) == path:  # else somebody in between has changed one of them
            return tuple(unquote(part) for part in written.strip("/").split("/"))
    return tuple(path.strip("/").split("/"))


def base_of(scope: Scope, headers: Mapping[str, str]) -> str:
    """Scheme, host and prefix under which the client reached this application, as its own paths follow it."""
    host = headers.get("host") or ":".join(map(str, scope.get("server") or ("localhost",)))
    return f"{scope.get('scheme', 'http')}://{host}{scope.get('root_path', '')}"
