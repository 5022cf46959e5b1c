"""Calls to real providers: the one place where bytes leave for another company.

Its answer to "were bytes written?" decides between *not sent* and *unknown*, so it watches the connection itself:
before the first byte of a request every failure is NotConnected, from then on every failure is AnswerLost.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx2

from moneyback.dialect import AnswerLost, Call, NotConnected, Reply

CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0
"""How long a whole answer may take, from the moment the request has left."""
ANSWER_BYTES_MAX: Final = 4 << 20
KEPT_CONNECTIONS: Final = 64
_BEFORE: Final = "connection."
"""What begins like this happens before a request does: TCP, TLS. Anything else may write a byte of it."""
_SENT: Final = ".send_request_body.complete"


class Throttle:
    """Concurrency and rate of one provider account: how many calls at once, and how many begun in a second."""

    def __init__(self, at_once: int, per_s: float) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._gap_s = 1 / per_s
        self._next = 0.0

    @asynccontextmanager
    async def turn(self, deadline: float) -> AsyncIterator[None]:
        """Inside, one call may be made. Raises NotConnected when its turn would come after `deadline` (loop time)."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError:
            raise NotConnected("its turn did not come before the deadline") from None
        try:
            begin = max(loop.time(), self._next)
            if begin >= deadline:
                raise NotConnected("its turn would come after the deadline")
            self._next = begin + self._gap_s
            await asyncio.sleep(begin - loop.time())
            yield
        finally:
            self._slots.release()


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
