"""Calls to real providers: the one place where bytes leave for another company.

Its answer to "were bytes written?" decides between *not sent* and *unknown*, so it watches the connection itself:
before the first byte of a request every failure is NotConnected, from then on every failure is AnswerLost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx2

from moneyback.dialect import AnswerLost, Call, NotConnected, Reply

CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0
ANSWER_BYTES_MAX: Final = 4 << 20
FIRST_BYTE: Final = frozenset({"http11.send_request_headers.started", "http2.send_request_headers.started"})

Record = Callable[[Call, Reply | None, str | None], Awaitable[None]]


class Throttle:
    """Concurrency and rate of one provider account: how many calls at once, and how many begun in a second."""

    def __init__(self, at_once: int, per_s: float) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._gap_s = 1 / per_s
        self._next = 0.0

    async def __aenter__(self) -> None:
        await self._slots.acquire()
        loop = asyncio.get_running_loop()
        begin, self._next = max(loop.time(), self._next), max(loop.time(), self._next) + self._gap_s
        try:
            await asyncio.sleep(begin - loop.time())
        except BaseException:
            self._slots.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._slots.release()


class Transport:
    """One HTTP client for all rails of a process. Connections are kept and used again; TLS is always verified."""

    def __init__(self, client: httpx2.AsyncClient | None = None) -> None:
        timeout = httpx2.Timeout(ANSWER_S, connect=CONNECT_S, pool=CONNECT_S)
        self._client = client or httpx2.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False)

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()

    async def exchange(self, base_url: str, call: Call, *, deadline: float) -> Reply:
        """One request and its answer. No byte is written after `deadline` (loop time).

        Raises NotConnected while nothing was written, AnswerLost once something may have been.
        """
        watch = _Watch(deadline)
        try:
            return await self._exchange(base_url.rstrip("/") + call.path, call, watch)
        except NotConnected:
            raise
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not watch.began:
                raise
            kind = AnswerLost if watch.began else NotConnected
            raise kind(type(error).__name__) from error

    async def _exchange(self, url: str, call: Call, watch: _Watch) -> Reply:
        request = self._client.build_request(
            call.method,
            url,
            headers=dict(call.headers),
            content=call.body or None,
            params=list(call.query) or None,
            extensions={"trace": watch.see},
        )
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise AnswerLost("the answer is longer than any that is documented")
        finally:
            await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(status=response.status_code, headers=headers, body=bytes(body))


class _Watch:
    """Sees when the first byte of a request is about to be written, and forbids it after the deadline."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self.began = False

    async def see(self, event: str, _info: dict[str, Any]) -> None:
        if event not in FIRST_BYTE:
            return
        if asyncio.get_running_loop().time() >= self._deadline:
            raise NotConnected("the send deadline has passed")
        self.began = True
