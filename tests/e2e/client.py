"""A client that holds one connection and knows what became of every request: answered, or not.

Spelled out on a plain socket: the tests must know which worker a connection leads to, must send without waiting, and
must never have a request sent twice behind their backs.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from tests.e2e.server import DEADLINE_S, PAUSE_S, Sandbox


class Unanswered(Exception):
    """The connection ended before a whole answer came: the request may or may not have counted."""


class Reply:
    """One whole answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def __repr__(self) -> str:
        return f"{self.status} {self.body[:600]!r}"


class Client:
    """One connection, opened when it is needed and again after it was lost."""

    def __init__(self, sandbox: Sandbox, headers: Mapping[str, str] | None = None) -> None:
        self._port = sandbox.port
        self._always = dict(headers or {})
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        return await self.ask("POST", path, body, **headers)

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.ask("GET", path, None, **headers)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Sends a request and waits for its answer. Raises Unanswered."""
        await self.send(method, path, body, **headers)
        return await self.receive()

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> None:
        """Only sends. Bytes go as they are, as whatever Content-Type says; anything else as JSON. Raises Unanswered."""
        said = self._always | {name.replace("_", "-"): value for name, value in headers.items()}
        content = b""
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            said = {"Content-Type": "application/json"} | said
        head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}", f"Content-Length: {len(content)}"]
        head += [f"{name}: {value}" for name, value in said.items()]
        try:
            _, writer = await self.connect()
            writer.write("\r\n".join([*head, "", ""]).encode() + content)
            await writer.drain()
        except OSError as error:
            await self.close()
            raise Unanswered from error

    async def receive(self) -> Reply:
        """The answer to what was sent. Raises Unanswered."""
        assert self._streams is not None
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._receive(self._streams[0])
        except (OSError, EOFError) as error:  # an incomplete read is an EOFError, and a time-out an OSError
            await self.close()
            raise Unanswered from error

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Opens the connection if it is not open."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams

    @property
    def local_port(self) -> int:
        """Our end of the connection."""
        assert self._streams is not None
        port: int = self._streams[1].get_extra_info("sockname")[1]
        return port

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with suppress(OSError):
                await streams[1].wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _receive(self, reader: asyncio.StreamReader) -> Reply:
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            await self.close()
        return Reply(int(status.split()[1]), headers, body)


class Native(Client):
    """A client of the native API and of the control endpoints."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, {"Authorization": f"Bearer {sandbox.ready['native']['api_key']}"})

    async def register(self, **members: Any) -> dict[str, Any]:
        """A payment, captured, of 1,000.00 euros unless told otherwise."""
        reply = await self.post("/v1/payments", {"amount": 100_000, "currency": "EUR", **members})
        assert reply.ok, reply
        return reply.json

    async def payment(self, id: str) -> dict[str, Any]:
        return await self._read(f"/v1/payments/{id}")

    async def refund(self, id: str) -> dict[str, Any]:
        return await self._read(f"/v1/refunds/{id}")

    async def refunds(self, query: str) -> list[dict[str, Any]]:
        """All refunds of a list, page after page."""
        found, cursor = [], ""
        while True:
            page = await self._read(f"/v1/refunds?limit=500&{query}{cursor}")
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    async def executed(self, payment: str) -> list[dict[str, Any]]:
        """What the bank's own books say it paid for a payment."""
        book = (await self._read(f"/_control/books?payment={payment}"))["book"]
        return [each for each in book["entries"] if each["outcome"] == "executed"]

    async def advance(self, seconds: int) -> None:
        """Moves business time."""
        reply = await self.post("/_control/clock", {"advance_s": seconds})
        assert reply.ok, reply

    async def _read(self, path: str) -> Any:
        reply = await self.get(path)
        assert reply.status == 200, f"GET {path}: {reply}"
        return reply.json


def basic(user: str, secret: str) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": f"Basic {b64encode(f'{user}:{secret}'.encode()).decode()}"}


def key_at_bank(refund: str) -> str:
    """Under which key the bank's books have a refund of ours."""
    return f"mb_{refund.removeprefix('re_')}"


async def eventually(condition: Any, what: str, seconds: float = DEADLINE_S) -> Any:
    """The first thing the coroutine function `condition` returns that is true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (found := await condition()):
        assert loop.time() < deadline, f"in {seconds:.0f} s: not {what}"
        await asyncio.sleep(PAUSE_S)
    return found
