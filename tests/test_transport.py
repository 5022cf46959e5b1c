"""Were bytes written? Every way a call can fail, against servers that misbehave on a real socket.

A server here records what arrived before it does its harm: NotConnected must go with not one byte, and whatever cost a
byte must be AnswerLost. Waiting is for events, and for time-outs so short that nobody notices them; where it matters
what has happened before one, the clock is moved once that has happened: a busy machine may be late with anything.
"""

import asyncio
import gzip
import logging
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import httpcore2
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from moneyback.dialect import AnswerLost, Call, NotConnected, Reply
from moneyback.simulator.loop import SimLoop, run
from moneyback.transport import ANSWER_BYTES_MAX, IN_LINE_MAX, NEXT_CALL_S, Throttle, Transport

T = TypeVar("T")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, "Server"], Awaitable[None]]

CALL = Call(method="POST", path="/refunds", headers={"content-type": "application/json"}, body=b'{"amount":1000}')
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HANG = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"
PATIENCE_S = 0.05
"""How long a test waits for what never comes."""
SOON_S = 30.0
LONG_S = 3_600.0


class Server:
    """A socket that listens, and does to a connection what its handler says."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.arrived = asyncio.Event()
        self.never = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self.handler(reader, writer, self)
        writer.close()

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """One whole request, written down as it came."""
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
        self.requests.append(head + body)
        self.arrived.set()
        return head + body


@asynccontextmanager
async def serving(handler: Handler, **more: Any) -> AsyncIterator[Server]:
    server = Server(handler)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, **more)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.never.set()
        listener.close()


@asynccontextmanager
async def transport(*, connect_s: float = LONG_S, answer_s: float = LONG_S) -> AsyncIterator[Transport]:
    one = Transport(connect_s=connect_s, answer_s=answer_s)
    try:
        yield one
    finally:
        await one.close()


def soon(seconds: float = SOON_S) -> float:
    return asyncio.get_running_loop().time() + seconds


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Awaitable[None]]:
    """Moves the running loop's clock, once all has been done that could be done before."""

    async def pass_it(seconds: float) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        before = loop.time
        monkeypatch.setattr(loop, "time", lambda: before() + seconds)

    return pass_it


def says(*parts: bytes) -> Handler:
    """Reads requests and answers each with the next of these, then the last one again; closes after an empty one."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        told = 0
        while True:
            await server.read(reader)
            said = parts[min(told, len(parts) - 1)]
            told += 1
            if not said:
                return
            writer.write(said)
            await writer.drain()

    return handler


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
    await server.read(reader)
    await server.never.wait()


# --- an answer -------------------------------------------------------------------------------------------------------


async def test_a_call_arrives_as_it_was_built_and_the_answer_comes_back():
    answer = b'HTTP/1.1 422 No\r\nX-Request-Id: 7\r\nContent-Length: 11\r\n\r\n{"error":1}'
    call = Call(
        method="POST",
        path="/refunds/a%2Fb",
        headers={"authorization": "Bearer sk"},
        body=b"{}",
        query=(("tag", "a b"), ("tag", "ü")),
    )
    async with serving(says(answer)) as server, transport() as one:
        reply = await one.exchange(server.url + "/", call, deadline=soon())
    assert reply == Reply(status=422, headers={"x-request-id": "7", "content-length": "11"}, body=b'{"error":1}')
    head = server.requests[0].split(b"\r\n")
    assert head[0] == b"POST /api/refunds/a%2Fb?tag=a+b&tag=%C3%BC HTTP/1.1"
    assert b"authorization: Bearer sk" in head
    assert head[-1] == b"{}"


async def test_a_connection_is_used_again():
    async with serving(says(OK)) as server, transport() as one:
        for _ in range(3):
            assert (await one.exchange(server.url, CALL, deadline=soon())).status == 200
    assert (server.connections, len(server.requests)) == (1, 3)


async def test_a_redirect_is_an_answer_and_is_not_followed():
    async with serving(says(OK)) as elsewhere:
        to = f"HTTP/1.1 307 T\r\nLocation: {elsewhere.url}/refunds\r\nContent-Length: 0\r\n\r\n".encode()
        async with serving(says(to)) as server, transport() as one:
            reply = await one.exchange(server.url, CALL, deadline=soon())
    assert reply.status == 307
    assert (len(server.requests), elsewhere.connections) == (1, 0)


async def test_a_providers_cookies_are_not_shown_to_it_again():
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=of-another-merchant; Path=/\r\nContent-Length: 0\r\n\r\n"
    async with serving(says(cookie)) as server, transport() as one:
        for _ in range(2):
            await one.exchange(server.url, CALL, deadline=soon())
    assert not any(b"of-another-merchant" in each for each in server.requests)


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch):
    async with serving(says(OK)) as proxy, serving(says(OK)) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with transport() as one:
            await one.exchange(server.url, CALL, deadline=soon())
    assert (proxy.connections, server.connections) == (0, 1)


CUT_SHORT = gzip.compress(b"whole", mtime=0)[:20]


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_an_answer_that_comes_packed_all_the_same_is_unpacked(pack: Callable[[bytes], bytes]):
    body = pack(b'{"a":1}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with serving(says(head + body)) as server, transport() as one:
        reply = await one.exchange(server.url, CALL, deadline=soon())
    assert reply.body == b'{"a":1}'
    assert b"accept-encoding: identity" in server.requests[0].lower()


async def test_nothing_is_written_to_the_log_of_a_call(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    async with serving(says(OK, b"")) as server, transport() as one:
        await one.exchange(server.url, CALL, deadline=soon())
        with pytest.raises(AnswerLost):
            await one.exchange(server.url, CALL, deadline=soon())
    assert caplog.records == []


# --- provably not sent -----------------------------------------------------------------------------------------------


async def test_a_refused_port():
    async with serving(says(OK)) as server:
        pass
    async with transport() as one:
        with pytest.raises(NotConnected, match="ConnectError"):
            await one.exchange(server.url, CALL, deadline=soon())


async def test_a_host_without_an_address(monkeypatch: pytest.MonkeyPatch):
    def unknown(*_words: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with transport() as one:
        with pytest.raises(NotConnected, match="ConnectError"):
            await one.exchange("https://provider.invalid", CALL, deadline=soon())


async def test_a_connection_that_is_not_made_in_time():
    async with serving(says(OK)) as server, transport(connect_s=PATIENCE_S) as one:
        stuck = httpx2.AsyncHTTPTransport()

        class Slow(httpcore2.AsyncNetworkBackend):
            async def connect_tcp(self, *_words: Any, **more: Any) -> Any:
                await asyncio.wait_for(server.never.wait(), more["timeout"])

        stuck._pool._network_backend = Slow()
        one._client._transport = stuck
        with pytest.raises(NotConnected):
            await one.exchange(server.url, CALL, deadline=soon())
    assert server.connections == 0


async def test_a_connection_that_is_not_made_by_the_deadline(pass_time: Callable[[float], Awaitable[None]]):
    connecting = asyncio.Event()
    async with serving(says(OK)) as server, transport() as one:
        stuck = httpx2.AsyncHTTPTransport()

        class Slow(httpcore2.AsyncNetworkBackend):
            async def connect_tcp(self, *_words: Any, **_more: Any) -> Any:
                connecting.set()
                await server.never.wait()

        stuck._pool._network_backend = Slow()
        one._client._transport = stuck
        task = asyncio.create_task(one.exchange(server.url, CALL, deadline=soon()))
        await connecting.wait()
        await pass_time(SOON_S)
        with pytest.raises(NotConnected, match="TimeoutError"):
            await task


async def test_a_certificate_nobody_vouches_for(tmp_path: Path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path))
    async with serving(says(OK), ssl=context) as server, transport() as one:
        with pytest.raises(NotConnected, match="ConnectError"):
            await one.exchange(server.url.replace("http://", "https://"), CALL, deadline=soon())
    assert server.requests == []


async def test_no_tls_where_there_should_be():
    async def speaks_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        await reader.read(1)
        writer.write(OK)
        await writer.drain()

    async with serving(speaks_plainly) as server, transport() as one:
        with pytest.raises(NotConnected):
            await one.exchange(server.url.replace("http://", "https://"), CALL, deadline=soon())
    assert server.requests == []


@pytest.mark.parametrize(
    ("url", "call"),
    [
        ("ftp://127.0.0.1:1", CALL),
        ("127.0.0.1:1", CALL),
        ("http://127.0.0.1:99999", CALL),
        ("http://[::", CALL),
        ("", CALL),
        ("http://127.0.0.1:1", Call(method="POST", path="/x", headers={"authorization": "Bearer schlüssel-€"})),
    ],
)
async def test_what_cannot_be_a_request(url: str, call: Call):
    async with transport() as one:
        with pytest.raises(NotConnected) as raised:
            await one.exchange(url, call, deadline=soon())
    assert "schlüssel" not in repr(raised.value)


@pytest.mark.parametrize("path", ["/payments/../refunds", "/..", "/payments/./refunds"])
async def test_a_path_that_leads_elsewhere(path: str):
    async with serving(says(OK)) as server, transport() as one:
        with pytest.raises(NotConnected):
            await one.exchange(server.url, Call(method="POST", path=path), deadline=soon())
    assert server.connections == 0


@pytest.mark.parametrize("late_s", [0.0, 5.0])
async def test_after_the_deadline_no_byte_is_written_on_a_new_connection(late_s: float):
    async with serving(says(OK)) as server, transport() as one:
        with pytest.raises(NotConnected):
            await one.exchange(server.url, CALL, deadline=soon(-late_s))
    assert server.requests == []


async def test_after_the_deadline_no_byte_is_written_on_a_kept_connection():
    async with serving(says(OK)) as server, transport() as one:
        await one.exchange(server.url, CALL, deadline=soon())
        with pytest.raises(NotConnected):
            await one.exchange(server.url, CALL, deadline=soon(0.0))
        assert len(server.requests) == 1
        assert (await one.exchange(server.url, CALL, deadline=soon())).status == 200  # it is not left half-used
    assert len(server.requests) == 2


async def test_cancelled_before_the_first_byte_it_was_never_made():
    connecting = asyncio.Event()
    async with serving(says(OK)) as server, transport() as one:
        stuck = httpx2.AsyncHTTPTransport()

        class Slow(httpcore2.AsyncNetworkBackend):
            async def connect_tcp(self, *_words: Any, **_more: Any) -> Any:
                connecting.set()
                await server.never.wait()

        stuck._pool._network_backend = Slow()
        one._client._transport = stuck
        task = asyncio.create_task(one.exchange(server.url, CALL, deadline=soon()))
        await connecting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert server.requests == []


# --- perhaps sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"",  # closed after the request
        b"garbage\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"\x00\xff" * 400,
        b"HTTP/1.1 200 OK\r\nContent-Le",  # closed in the head
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",  # closed in the body
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + CUT_SHORT,
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
async def test_an_answer_that_cannot_be_read(said: bytes):
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        await server.read(reader)
        writer.write(said)
        await writer.drain()

    async with serving(once) as server, transport() as one:
        with pytest.raises(AnswerLost):
            await one.exchange(server.url, CALL, deadline=soon())
    assert len(server.requests) == 1, "it was sent once, and not tried again by itself"


async def test_a_connection_that_breaks_before_the_whole_request_was_read():
    async def slams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        server.requests.append(await reader.readexactly(4))
        writer.transport.abort()

    big = Call(method="POST", path="/refunds", body=b"x" * 3_000_000)
    async with serving(slams) as server, transport() as one:
        with pytest.raises(AnswerLost):
            await one.exchange(server.url, big, deadline=soon())
    assert server.requests == [b"POST"]


async def test_no_answer_in_time(pass_time: Callable[[float], Awaitable[None]]):
    async with serving(hangs) as server, transport() as one:
        task = asyncio.create_task(one.exchange(server.url, CALL, deadline=soon()))
        await server.arrived.wait()
        await pass_time(LONG_S)
        with pytest.raises(AnswerLost):
            await task
    assert len(server.requests) == 1


async def test_an_answer_that_trickles_has_no_more_time_than_another():
    """Each byte comes well within the time-out of one read; all of them together never do."""

    async def trickles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        await server.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        with suppress(TimeoutError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.wait_for(asyncio.shield(server.never.wait()), PATIENCE_S / 10)

    async with serving(trickles) as server, transport(answer_s=PATIENCE_S) as one:
        with pytest.raises(AnswerLost):
            await one.exchange(server.url, CALL, deadline=soon())


async def test_an_answer_may_come_after_the_deadline_of_its_request(pass_time: Callable[[float], Awaitable[None]]):
    release = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        await server.read(reader)
        await release.wait()
        writer.write(OK)
        await writer.drain()

    async with serving(late) as server, transport() as one:
        deadline = soon()
        task = asyncio.create_task(one.exchange(server.url, CALL, deadline=deadline))
        await server.arrived.wait()
        await pass_time(SOON_S)
        passed = asyncio.Event()
        asyncio.get_running_loop().call_at(deadline, passed.set)
        await passed.wait()
        release.set()
        assert (await task).status == 200


async def test_a_request_nobody_reads_is_not_written_on_after_the_deadline(
    pass_time: Callable[[float], Awaitable[None]],
):
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        await reader.readexactly(1)
        server.arrived.set()
        await server.never.wait()

    huge = Call(method="POST", path="/refunds", body=b"x" * 64_000_000)
    async with serving(deaf, limit=1) as server, transport() as one:
        task = asyncio.create_task(one.exchange(server.url, huge, deadline=soon()))
        await server.arrived.wait()
        await pass_time(SOON_S)
        with pytest.raises(AnswerLost):
            await task


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_over_the_bound(packed: bool):
    whole = b"x" * (ANSWER_BYTES_MAX + 1)
    body = gzip.compress(whole) if packed else whole
    extra = b"Content-Encoding: gzip\r\n" if packed else b""
    head = b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (extra, len(body))
    async with serving(says(head + body)) as server, transport() as one:
        with pytest.raises(AnswerLost, match="longer"):
            await one.exchange(server.url, CALL, deadline=soon())


async def test_an_answer_of_just_the_bound():
    body = b"x" * ANSWER_BYTES_MAX
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with serving(says(head + body)) as server, transport() as one:
        assert len((await one.exchange(server.url, CALL, deadline=soon())).body) == ANSWER_BYTES_MAX


async def test_a_kept_connection_closed_meanwhile_is_seen_and_another_one_made():
    gone = asyncio.Event()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        await server.read(reader)
        writer.write(OK)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        gone.set()

    async with serving(once) as server, transport() as one:
        await one.exchange(server.url, CALL, deadline=soon())
        await gone.wait()
        await asyncio.sleep(0)
        try:
            reply = await one.exchange(server.url, CALL, deadline=soon())
        except AnswerLost:  # its end had not reached us: then nobody can say
            assert len(server.requests) == 1
        else:
            assert (reply.status, len(server.requests)) == (200, 2)


async def test_a_kept_connection_that_closes_under_the_request_is_not_tried_again():
    """The server's end arrives while our bytes are under way: that is doubt, whatever the client library would like."""

    async def second_is_dropped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        await server.read(reader)
        writer.write(OK)
        await writer.drain()
        await reader.readexactly(1)
        server.requests.append(b"one byte of the second")
        writer.transport.abort()

    async with serving(second_is_dropped) as server, transport() as one:
        await one.exchange(server.url, CALL, deadline=soon())
        with pytest.raises(AnswerLost):
            await one.exchange(server.url, CALL, deadline=soon())
    assert (server.connections, len(server.requests)) == (1, 2)


async def test_cancelled_after_the_first_byte_nobody_knows():
    async with serving(hangs) as server, transport() as one:
        task = asyncio.create_task(one.exchange(server.url, CALL, deadline=soon()))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(AnswerLost, match="cancelled"):
            await task


async def test_cancelled_in_the_middle_of_an_answer_nobody_knows():
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        await server.read(reader)
        writer.write(HANG)
        await writer.drain()
        server.arrived.set()
        await server.never.wait()

    async with serving(half) as server, transport() as one:
        task = asyncio.create_task(one.exchange(server.url, CALL, deadline=soon()))
        await server.arrived.wait()
        await asyncio.sleep(PATIENCE_S)
        task.cancel()
        with pytest.raises(AnswerLost):
            await task


async def test_a_failure_tells_its_kind_and_nothing_that_was_sent():
    call = Call(method="POST", path="/refunds", headers={"authorization": "Bearer sk_live_planted"}, body=b"planted")
    async with serving(says(b"")) as server, transport() as one:
        with pytest.raises(AnswerLost) as raised:
            await one.exchange(server.url, call, deadline=soon())
    assert "planted" not in repr(raised.value)


async def test_one_providers_silence_keeps_no_other_waiting():
    """More calls hang than any pool of connections has by default; a call to another provider goes through."""
    async with serving(hangs) as silent, serving(says(OK)) as server, transport() as one:
        stuck = [asyncio.create_task(one.exchange(silent.url, CALL, deadline=soon())) for _ in range(150)]
        while len(silent.requests) < len(stuck):
            silent.arrived.clear()
            await silent.arrived.wait()
        assert (await one.exchange(server.url, CALL, deadline=soon())).status == 200
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)


# --- the throttle, on virtual time -----------------------------------------------------------------------------------


def test_calls_begin_no_faster_than_the_rate():
    async def story(loop: SimLoop) -> list[float]:
        throttle, begun = Throttle(at_once=64, per_s=4), []

        async def call() -> None:
            async with throttle.turn(loop.time() + 1_000):
                begun.append(loop.time())
                await asyncio.sleep(5)

        start = loop.time()
        await asyncio.gather(*(call() for _ in range(9)))
        return [round(each - start, 6) for each in begun]

    assert virtually(story) == [n / 4 for n in range(9)]


@given(
    at_once=st.integers(1, 5),
    per_s=st.sampled_from([0.2, 1.0, 7.0, 1000.0]),
    calls=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_never_more_at_once_and_never_closer_together(at_once: int, per_s: float, calls: int, seed: int):
    async def story(loop: SimLoop) -> tuple[int, list[float]]:
        throttle, running, most, begun = Throttle(at_once, per_s), 0, 0, []

        async def call(number: int) -> None:
            nonlocal running, most
            async with throttle.turn(loop.time() + 1_000_000):
                begun.append(loop.time())
                running += 1
                most = max(most, running)
                await asyncio.sleep(number % 3)
                running -= 1

        await asyncio.gather(*(call(number) for number in range(calls)))
        return most, begun

    most, begun = virtually(story, seed)
    assert len(begun) == calls
    assert most <= at_once
    assert all(later - earlier >= 1 / per_s - 1e-5 for earlier, later in pairwise(begun))


def test_who_would_begin_after_the_deadline_does_not_wait_for_it():
    async def story(loop: SimLoop) -> tuple[int, float]:
        throttle, refused = Throttle(at_once=64, per_s=1), 0

        async def call() -> None:
            nonlocal refused
            try:
                async with throttle.turn(loop.time() + 2.5):
                    pass
            except NotConnected:
                refused += 1

        await asyncio.gather(*(call() for _ in range(10)))
        before = loop.time()
        async with throttle.turn(before + 10):  # those who gave up have used up nobody's turn
            return refused, loop.time() - before

    refused, waited = virtually(story)
    assert refused == 7
    assert waited <= 1.0


def test_who_waits_for_a_slot_past_the_deadline_was_not_sent():
    async def story(loop: SimLoop) -> list[str]:
        throttle, heard = Throttle(at_once=1, per_s=1000), []

        async def call(name: str, work_s: float) -> None:
            try:
                async with throttle.turn(loop.time() + 30):
                    await asyncio.sleep(work_s)
                    heard.append(f"{name} made")
            except NotConnected:
                heard.append(f"{name} not")

        first = asyncio.create_task(call("first", 60))
        await asyncio.sleep(1)
        await call("second", 1)
        await first
        await call("third", 1)
        return heard

    assert virtually(story) == ["second not", "first made", "third made"]


def test_a_call_that_is_cancelled_gives_its_slot_back():
    async def story(loop: SimLoop) -> str:
        throttle = Throttle(at_once=1, per_s=1)
        async with throttle.turn(loop.time() + 9):
            pass

        async def call() -> None:
            async with throttle.turn(loop.time() + 9):
                raise AssertionError

        waiting = asyncio.create_task(call())
        await asyncio.sleep(0.5)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with throttle.turn(loop.time() + 9):
            return "its turn came"

    assert virtually(story) == "its turn came"


SENDS = st.tuples(st.integers(1, 64), st.sampled_from([0.2, 1.0, 10.0, 100.0]), st.integers(1, 40), st.integers(2, 4))


@settings(max_examples=40)
@given(sends=SENDS, seed=st.integers(0, 2**32))
def test_who_has_a_slot_never_waits_long_for_its_next_call_however_many_are_in_line(
    sends: tuple[int, float, int, int], seed: int
):
    """Armed after its first call, a refund that queued with the others would run into its send deadline."""
    at_once, per_s, refunds, calls = sends

    async def story(loop: SimLoop) -> tuple[int, list[float], list[float]]:
        throttle, inside, most = Throttle(at_once, per_s), 0, 0
        begun, waited = list[float](), list[float]()

        async def refund() -> None:
            nonlocal inside, most
            async with throttle.slot(loop.time() + 1_000_000) as slot:
                inside += 1
                most = max(most, inside)
                for _ in range(calls):
                    since = loop.time()
                    async with slot.turn(loop.time() + 30):
                        begun.append(loop.time())
                        waited.append(loop.time() - since)
                        await asyncio.sleep(0.1)
                inside -= 1

        async def stranger() -> None:
            async with throttle.turn(loop.time() + 1_000_000):
                begun.append(loop.time())

        await asyncio.gather(*(refund() for _ in range(refunds)), *(stranger() for _ in range(refunds)))
        return most, begun, waited

    most, begun, waited = virtually(story, seed)
    assert len(begun) == refunds * (calls + 1)
    assert most <= at_once
    assert all(later - earlier >= 1 / per_s - 1e-5 for earlier, later in pairwise(sorted(begun)))
    assert max(waited) <= NEXT_CALL_S + 1e-5


def test_a_look_waits_behind_no_more_refunds_than_have_a_slot():
    async def story(loop: SimLoop) -> float:
        throttle = Throttle(at_once=2, per_s=1000)

        async def refund() -> None:
            async with throttle.slot(loop.time() + 1_000) as slot, slot.turn(loop.time() + 30):
                await asyncio.sleep(3)

        sends = [asyncio.create_task(refund()) for _ in range(100)]
        await asyncio.sleep(0.5)
        before = loop.time()
        async with throttle.turn(before + 10):
            waited = loop.time() - before
        for each in sends:
            each.cancel()
        await asyncio.gather(*sends, return_exceptions=True)
        async with throttle.slot(loop.time() + 1):  # cancelled, they have given everything back
            return waited

    assert virtually(story) <= 3.1


def test_who_finds_no_slot_in_time_and_who_finds_too_long_a_line():
    async def story(loop: SimLoop) -> list[str]:
        throttle, told = Throttle(at_once=1, per_s=1000), list[str]()

        async def refund(until: float) -> None:
            try:
                async with throttle.slot(until):
                    await asyncio.sleep(60)
            except NotConnected as error:
                told.append(str(error))

        first = asyncio.create_task(refund(100))
        await asyncio.sleep(0.1)
        line = [asyncio.create_task(refund(loop.time() + 45)) for _ in range(IN_LINE_MAX)]
        await asyncio.sleep(0.1)
        await refund(loop.time() + 45)
        assert len(told) == 1, "at once"
        await asyncio.gather(first, *line)
        async with throttle.slot(loop.time() + 1):
            return told

    told = virtually(story)
    assert told[0] == "too many wait for a slot already"
    assert len(told) == 1 + IN_LINE_MAX and len({*told[1:]}) == 1


def test_a_turn_that_comes_to_one_who_was_cancelled_just_then_is_the_next_ones():
    async def story(loop: SimLoop) -> float:
        throttle = Throttle(at_once=8, per_s=1)

        async def call() -> None:
            async with throttle.turn(loop.time() + 9):
                pass

        await call()
        waiting = [asyncio.create_task(call()) for _ in range(3)]
        await asyncio.sleep(1.0)  # the first one's turn comes now
        for each in waiting[:2]:
            each.cancel()
        before = loop.time()
        await waiting[2]
        return loop.time() - before

    assert virtually(story) <= 1.1


def virtually(story: Callable[[SimLoop], Coroutine[Any, Any, T]], seed: int = 0) -> T:
    """Run on a clock that jumps from timer to timer."""
    return run(seed, story, start=datetime(2026, 1, 1, tzinfo=UTC), step_limit=100_000)


def _certificate(directory: Path) -> Path:
    """A certificate for this host, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = directory / "server.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file
