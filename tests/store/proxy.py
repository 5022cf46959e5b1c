"""A proxy in front of PostgreSQL that loses commits: it understands frames, and of frames only COMMIT.

It listens on a socket in a folder of its own and passes every frame on, until a fault is armed. The next COMMIT then
meets that fault, in whatever connection it comes; every connection after it is served as before.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

Fault = Literal["swallow", "hold", "drop", "stall", "delay"]
"""What the next COMMIT meets.

swallow  it is executed, its answer is thrown away, and the connection is closed
hold     it is executed, its answer is thrown away, and the connection stays open and silent
drop     it never arrives, and both ends are closed
stall    it never arrives, and the connection stays open and silent
delay    it arrives only when the test says so (`deliver`), the client being long gone perhaps
"""

SOCKET = ".s.PGSQL.5432"
QUERY, BIND, READY = b"Q", b"B", b"Z"


class Proxy:
    """Passes bytes between clients and one server. `dsn` is where clients connect."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self._behind = _socket_of(dsn)
        self._folder = folder
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fault: Fault | None = None
        self.dsn = _with_host(dsn, folder)
        self.struck = asyncio.Event()  # the armed fault has met its COMMIT
        self.asked = asyncio.Queue[None]()  # one for each statement since then
        self.delivered = asyncio.Event()
        self._deliver = asyncio.Event()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._folder / SOCKET)

    async def close(self) -> None:
        await self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arm(self, fault: Fault) -> None:
        """Let the next COMMIT meet this fault."""
        self._fault = fault
        for event in (self.struck, self.delivered, self._deliver):
            event.clear()

    def deliver(self) -> None:
        """Let a delayed COMMIT arrive."""
        self._deliver.set()

    async def cut(self) -> None:
        """The way to the server is gone: every connection breaks, and no new one is taken until `mend`."""
        if self._server is not None:
            self._server.close()
            self._server = None
            (self._folder / SOCKET).unlink(missing_ok=True)
        for link in tuple(self._links):
            link.break_off()

    async def mend(self) -> None:
        """The way to the server is there again."""
        await self.start()

    def take_fault(self) -> Fault | None:
        """The armed fault, once."""
        fault, self._fault = self._fault, None
        return fault

    async def wait_for_delivery(self) -> None:
        await self._deliver.wait()
        self.delivered.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            behind = await asyncio.open_unix_connection(self._behind)
        except OSError:
            writer.close()
            return
        link = _Link(self, (reader, writer), behind)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)
            link.break_off()


class _Link:
    """One client's connection, and the one to the server that belongs to it."""

    def __init__(
        self,
        proxy: Proxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._muted: Fault | None = None  # nothing is passed on any more
        self._answered = asyncio.Event()  # what the server said of it, nobody has heard

    async def run(self) -> None:
        up = asyncio.create_task(self._upwards())
        down = asyncio.create_task(self._downwards())
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        if self._muted == "delay":
            await up
        for each in (up, down):
            each.cancel()
        await asyncio.gather(up, down, return_exceptions=True)

    def break_off(self) -> None:
        for writer in (self._to_client, self._to_server):
            with suppress(OSError, RuntimeError):
                writer.transport.abort()

    async def _upwards(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            length = await self._from_client.readexactly(4)  # the first frame has no letter
            await self._pass_up(length + await self._from_client.readexactly(int.from_bytes(length) - 4))
            while True:
                head = await self._from_client.readexactly(5)
                body = await self._from_client.readexactly(int.from_bytes(head[1:]) - 4)
                if head[:1] == BIND and self._proxy.struck.is_set():
                    self._proxy.asked.put_nowait(None)
                if head[:1] == QUERY and body.rstrip(b"\0").lower() == b"commit" and await self._lose(head + body):
                    return
                if self._muted is None:
                    await self._pass_up(head + body)

    async def _lose(self, commit: bytes) -> bool:
        """Let a COMMIT meet the armed fault. True: this connection is over."""
        fault = self._proxy.take_fault()
        if fault is None:
            return False
        self._muted = fault
        if fault in ("swallow", "hold"):
            await self._pass_up(commit)
        self._proxy.struck.set()
        if fault == "delay":
            await self._proxy.wait_for_delivery()
            await self._pass_up(commit)
            await self._answered.wait()
            return True
        return fault == "drop"

    async def _pass_up(self, frame: bytes) -> None:
        self._to_server.write(frame)
        await self._to_server.drain()

    async def _downwards(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await self._from_server.readexactly(5)
                body = await self._from_server.readexactly(int.from_bytes(head[1:]) - 4)
                if self._muted is None:
                    self._to_client.write(head + body)
                    await self._to_client.drain()
                elif head[:1] == READY:
                    self._answered.set()
                    if self._muted == "swallow":
                        return


@asynccontextmanager
async def proxied(dsn: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the server of `dsn`."""
    folder = Path(tempfile.mkdtemp(prefix="mb-"))  # short: the name of a socket has at most 107 bytes
    proxy = Proxy(dsn, folder)
    try:
        await proxy.start()
        yield proxy
    finally:
        await proxy.close()
        shutil.rmtree(folder)


def _socket_of(dsn: str) -> str:
    return str(Path(parse_qs(urlsplit(dsn).query)["host"][0]) / SOCKET)


def _with_host(dsn: str, folder: Path) -> str:
    return urlunsplit(urlsplit(dsn)._replace(query=f"host={quote(str(folder))}&port=5432"))
