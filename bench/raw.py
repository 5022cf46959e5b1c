"""The load generator for machines without wrk: requests built beforehand, over raw sockets. Run as a process.

Each connection sends its next request as soon as its last one is answered; when the time is up, what is under way is
waited for, so that nothing acknowledged goes uncounted.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec

from bench.load import TIMEOUT_S, Asked

BODY: Final = b'{"amount":100,"currency":"EUR","reason":"requested_by_customer"}'
PREPARED_PER_S: Final = 8000
"""Requests built before the clock starts; should they not do, the rest is built on the way."""


class Run:
    """One run of the generator: what is still to be asked, and what came back."""

    def __init__(self, asked: Asked) -> None:
        self.requests = _requests(asked)
        self.until = time.monotonic() + asked.seconds
        self.latencies_s: list[float] = []
        self.failed = 0
        self.broken = 0


class Caller(asyncio.Protocol):
    """One connection: one request at a time, until the run is over."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._heard = b""
        self._asked_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is none by name
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        length = answer_length(self._heard)
        if length is None or len(self._heard) < length:
            return
        self._run.latencies_s.append(time.monotonic() - self._asked_at)
        self._run.failed += self._heard[9:10] >= b"4"
        self._heard = self._heard[length:]
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._run.broken += 1
            self.done.set_result(None)

    def _ask(self) -> None:
        assert self._transport is not None
        self._asked_at = time.monotonic()
        if self._asked_at >= self._run.until:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._transport.write(next(self._run.requests))


def answer_length(heard: bytes) -> int | None:
    """How long the first answer in `heard` is, head and body; None while its head is not there."""
    head = heard.find(b"\r\n\r\n")
    if head < 0:
        return None
    place = heard.lower().find(b"content-length:", 0, head)
    if place < 0:
        return head + 4
    return head + 4 + int(heard[place + 15 : heard.find(b"\r\n", place)])


def _requests(asked: Asked) -> Iterator[bytes]:
    """Requests, as many as are wanted; the first of them built now."""
    drawn, template = random.Random(asked.seed), _template(asked)

    def one(number: int) -> bytes:
        return template % (drawn.randint(1, asked.payments), number)

    prepared = [one(number) for number in range(1, round(asked.seconds * PREPARED_PER_S))]

    def all_of_them() -> Iterator[bytes]:
        yield from prepared
        number = len(prepared)
        while True:
            number += 1
            yield one(number)

    return all_of_them()


def _template(asked: Asked) -> bytes:
    prefer = f"Prefer: {asked.prefer}\r\n" if asked.prefer else ""
    head = (
        "POST /v1/payments/pay_01900000000070008000%012x/refunds HTTP/1.1\r\n"
        f"Host: {urlsplit(asked.url).netloc}\r\nAuthorization: Bearer {asked.api_key}\r\n{prefer}"
        f"Idempotency-Key: {asked.label}-%d\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


async def _generate(asked: Asked) -> dict[str, float]:
    loop, where = asyncio.get_running_loop(), urlsplit(asked.url)
    run, began = Run(asked), time.monotonic()
    host, port = where.hostname or "", where.port or 80
    callers = [(await loop.create_connection(lambda: Caller(run), host, port))[1] for _ in range(asked.connections)]
    await asyncio.wait([caller.done for caller in callers], timeout=asked.seconds + TIMEOUT_S)
    latencies = sorted(run.latencies_s) or [0.0]
    return {
        "answered": len(run.latencies_s),
        "seconds": time.monotonic() - began,
        "failed": run.failed,
        "broken": run.broken + sum(not caller.done.done() for caller in callers),
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
    }


def main() -> None:
    """Read what to ask from the one argument, ask it, print one line."""
    import uvloop  # noqa: PLC0415 - the tests of this file need none

    asked = msgspec.json.decode(sys.argv[1], type=Asked)
    print("raw", json.dumps(uvloop.run(_generate(asked))))


if __name__ == "__main__":
    main()
