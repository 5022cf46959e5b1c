"""Gathering: concurrent calls of one process are taken in one transaction; while it commits, the next ones gather."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from moneyback.bank import wire
from moneyback.bank.rules import Answer

BATCH_MAX: Final = 256
WAITING_MAX: Final = 20_000
"""Calls that may wait; one more is answered "busy", and nothing is done for it."""


class Waiting(msgspec.Struct, frozen=True):
    """A call that waits for its transaction."""

    account: str
    rung: int
    call: wire.RefundCall
    now: datetime


class Gathering:
    """Queues calls and hands them to `take` in batches, oldest first. A caller who goes away cancels nothing."""

    def __init__(
        self, take: Callable[[Sequence[Waiting]], Awaitable[Sequence[Answer]]], waiting_max: int = WAITING_MAX
    ) -> None:
        self._take = take
        self._waiting_max = waiting_max
        self._queue: deque[tuple[Waiting, asyncio.Future[Answer]]] = deque()
        self._driver: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, waiting: Waiting) -> Answer:
        """The answer, once what it says is committed."""
        if self._closed:
            return Answer(wire.not_taken())
        if len(self._queue) >= self._waiting_max:
            return Answer(wire.busy())
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._queue.append((waiting, future))
        if self._driver is None:
            self._driver = loop.create_task(self._drive())
        return await future  # cancelled with its caller, and then settled for nobody

    async def close(self) -> None:
        """Take what waits, and nothing more."""
        self._closed = True
        while self._driver is not None:
            await asyncio.shield(self._driver)

    async def _drive(self) -> None:
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
                await self._answer(batch)
        except BaseException:
            for _, future in self._queue:
                _settle(future, Answer(wire.not_taken()))
            self._queue.clear()
            raise
        finally:
            self._driver = None

    async def _answer(self, batch: Sequence[tuple[Waiting, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._take([waiting for waiting, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        except BaseException:
            # Stopped in the middle: whether it was committed is not known here, so nobody is told anything.
            for _, future in batch:
                _settle(future, Answer(None))
            raise
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                _settle(future, answer)


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)
