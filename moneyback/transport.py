"""Calls to real providers: the one place where bytes leave for another company.

Its answer to "were bytes written?" decides between *not sent* and *unknown*, so it watches the connection itself:
before the first byte of a request every failure is NotConnected, from then on every failure is AnswerLost.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx2

from moneyback.dialect import AnswerLost, Call, NotConnected, Reply

CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0
"""How long a whole answer may take, from the moment the request has left."""
ANSWER_BYTES_MAX: Final = 4 << 20
KEPT_CONNECTIONS: Final = 64
IN_LINE_MAX: Final = 256
"""Refunds of one rail that wait for a slot in one process: more than that are left to whoever claims them later."""
NEXT_CALL_S: Final = 10.0
"""How long a refund that has a slot may wait for its next call to begin: far less than its send deadline."""
TICK_S: Final = 2e-6
"""A timer may go off that much early."""
_BEFORE: Final = "connection."
"""What begins like this happens before a request does: TCP, TLS. Anything else may write a byte of it."""
_SENT: Final = ".send_request_body.complete"


class Throttle:
    """Concurrency and rate of one provider account: how many calls at once, and how many begun in a second.

    A refund takes a slot before it is armed and keeps it until it was sent: all its calls are made in there, and none
    of them waits for a stranger's. Looks and reads take a turn each, and wait behind no more refunds than have a slot.
    """

    def __init__(self, at_once: int, per_s: float) -> None:
        self._calls = asyncio.Semaphore(at_once)
        # As many refunds at once as can all make their next call soon enough.
        self._sends = asyncio.Semaphore(max(1, min(at_once, int(per_s * NEXT_CALL_S))))
        self._turns = _Turns(1 / per_s)
        self._in_line = 0

    @asynccontextmanager
    async def turn(self, deadline: float) -> AsyncIterator[None]:
        """Inside, one call may be made. Raises NotConnected when its turn would come after `deadline` (loop time)."""
        async with _held(self._calls, deadline):
            await self._turns.take(deadline)
            yield

    @asynccontextmanager
    async def slot(self, deadline: float) -> AsyncIterator[Slot]:
        """Inside, one refund may be read, armed and sent. Raises NotConnected when none is free by `deadline`."""
        if self._in_line >= IN_LINE_MAX:
            raise NotConnected("too many wait for a slot already")
        async with AsyncExitStack() as stack:
            self._in_line += 1
            try:
                await stack.enter_async_context(_held(self._sends, deadline))
                await stack.enter_async_context(_held(self._calls, deadline))
                await self._turns.take(deadline)
            finally:
                self._in_line -= 1
            yield Slot(self._turns)


class Slot:
    """A refund's calls, one after the other. Its first turn has come with it; for the next ones it goes before others.

    So an armed refund never waits behind those that are not.
    """

    def __init__(self, turns: _Turns) -> None:
        self._turns = turns
        self._first = True

    @asynccontextmanager
    async def turn(self, deadline: float) -> AsyncIterator[None]:
        """Inside, the next call may be made. Raises NotConnected when its turn would come after `deadline`."""
        if not self._first:
            await self._turns.take(deadline, first=True)
        self._first = False
        yield


class _Turns:
    """Beginnings no closer together than the rate. Whoever is in the middle of a refund goes first."""

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._next = 0.0
        self._lines = (deque[asyncio.Future[None]](), deque[asyncio.Future[None]]())  # in the middle of one, others
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, deadline: float, *, first: bool = False) -> None:
        """Returns when a call may begin. Raises NotConnected at once when that would be after `deadline`."""
        loop = asyncio.get_running_loop()
        line = self._lines[0 if first else 1]
        ahead = len(self._lines[0]) + (0 if first else len(self._lines[1]))
        if max(loop.time(), self._next) + ahead * self._gap_s >= deadline:
            raise NotConnected("its turn would come after the deadline")
        if not ahead and loop.time() >= self._next:
            self._next = loop.time() + self._gap_s
            return
        mine = loop.create_future()
        line.append(mine)
        self._wake_at_next()
        try:
            async with asyncio.timeout_at(deadline):
                await mine
        except TimeoutError:
            raise NotConnected("its turn did not come before the deadline") from None
        finally:
            if mine in line:
                line.remove(mine)

    def _wake_at_next(self) -> None:
        if self._timer is None and any(self._lines):
            self._timer = asyncio.get_running_loop().call_at(self._next, self._give)

    def _give(self) -> None:
        self._timer, now = None, asyncio.get_running_loop().time()
        while now + TICK_S >= self._next and (line := next((each for each in self._lines if each), None)):
            mine = line.popleft()
            if not mine.done():  # else its owner gave up just now, and the turn is the next one's
                self._next = now + self._gap_s
                mine.set_result(None)
        self._wake_at_next()


@asynccontextmanager
async def _held(places: asyncio.Semaphore, deadline: float) -> AsyncIterator[None]:
    """One of the places. Raises NotConnected when none is free by then."""
    try:
        async with asyncio.timeout_at(deadline):
            await places.acquire()
    except TimeoutError:
        raise NotConnected("its turn did not come before the deadline") from None
    try:
        yield
    finally:
        places.release()


class Transport:
    """One HTTP client for all rails of a process. Connections are kept and used again; TLS is always verified."""

    def __init__(self, *, connect_s: float = CONNECT_S, answer_s: float = ANSWER_S) -> None:
        self._answer_s = answer_s
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(answer_s, connect=connect_s, pool=None),
            # Rails share nothing but this client: how many calls one makes at once is its own throttle's to say.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=KEPT_CONNECTIONS),
            # A session that one merchant's call began must not be shown by the next one's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()

    async def exchange(self, base_url: str, call: Call, *, deadline: float) -> Reply:
        """One request and its answer. No byte is written after `deadline` (loop time).

        Raises NotConnected while nothing was written, AnswerLost once something may have been, for cancellation too.
        Cancelled before the first byte, it was never made, and the cancellation goes on.
        """
        watch = _Watch(deadline, self._answer_s)
        try:
            async with asyncio.timeout_at(deadline) as watch.limit:
                return await self._exchange(base_url.rstrip("/") + call.path, call, watch)
        except (NotConnected, AnswerLost):
            raise
        except asyncio.CancelledError as error:
            if not watch.began:
                raise
            raise AnswerLost("cancelled") from error
        except Exception as error:  # its kind alone is told: its text may quote what was sent
            raise (AnswerLost if watch.began else NotConnected)(type(error).__name__) from error

    async def _exchange(self, url: str, call: Call, watch: _Watch) -> Reply:
        if any(segment in (".", "..") for segment in call.path.split("/")):
            raise NotConnected("the path leads elsewhere")
        request = self._client.build_request(
            call.method,
            url,
            headers={"accept-encoding": "identity", **call.headers},
            content=call.body or None,
            params=list(call.query) or None,
            extensions={"trace": watch.see},
        )
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise _too_long()
        finally:
            await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(
            status=response.status_code, headers=headers, body=_plain(bytes(body), headers.get("content-encoding", ""))
        )


class _Watch:
    """Sees when the first byte of a request is about to be written, and forbids it after the deadline.

    It also moves the limit: writing ends by the deadline, and then the answer has a time of its own.
    """

    def __init__(self, deadline: float, answer_s: float) -> None:
        self._deadline = deadline
        self._answer_s = answer_s
        self.began = False
        self.limit: asyncio.Timeout | None = None

    async def see(self, event: str, _info: dict[str, Any]) -> None:
        if event.startswith(_BEFORE):
            return
        now = asyncio.get_running_loop().time()
        if not self.began and now >= self._deadline:
            raise NotConnected("the send deadline has passed")
        self.began = True
        if event.endswith(_SENT) and self.limit is not None and not self.limit.expired():
            self.limit.reschedule(now + self._answer_s)


def _plain(body: bytes, encoding: str) -> bytes:
    """A body as it was before it was packed, which it was not asked to be; never more of it than is read unpacked."""
    if encoding.lower() in ("", "identity"):
        return body
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # tells gzip and deflate apart; any other is an error
    whole = unpacker.decompress(body, ANSWER_BYTES_MAX + 1)
    if len(whole) > ANSWER_BYTES_MAX:
        raise _too_long()
    if not unpacker.eof:
        raise AnswerLost("the answer ends before it is whole")
    return whole


def _too_long() -> AnswerLost:
    return AnswerLost("the answer is longer than any that is documented")
