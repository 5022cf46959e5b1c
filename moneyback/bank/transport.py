"""Calls to the sandbox bank in process: what a network is to a real provider. The waiting of `slow` lives here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from moneyback.bank import wire
from moneyback.bank.port import Bank
from moneyback.core.commands import Now
from moneyback.dialect import AnswerLost, Call, NotConnected, Reply

POLL_S_MAX: Final = 0.25
"""How long a wait for business time sleeps at most: the clock may be moved by another process meanwhile."""
_POLL_S_FIRST: Final = 0.01


class BankTransport:
    """Carries calls to a bank. `clock` tells both times; `sleep` passes real seconds."""

    def __init__(
        self,
        bank: Bank,
        clock: Callable[[], Awaitable[Now]],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._bank = bank
        self._clock = clock
        self._sleep = sleep

    async def exchange(self, call: Call, *, deadline: datetime | None = None) -> Reply:
        """The bank's answer. `deadline` is real time: no call is handed over, and none waited for, after it.

        Raises NotConnected when the deadline has passed already, AnswerLost when no answer came by then or ever will.
        """
        account, rung, inner = wire.addressed(call)
        now = await self._clock()
        if deadline is not None and now.real >= deadline:
            raise NotConnected("the send deadline has passed")
        answer = await self._bank.handle(account, rung, inner, now.business)
        if answer.delay_s > 0:
            await self._wait(now.business, answer.delay_s, deadline)
        if answer.reply is None:
            raise AnswerLost("the bank gave no answer")
        return answer.reply

    async def _wait(self, since: datetime, delay_s: float, deadline: datetime | None) -> None:
        pause_s = _POLL_S_FIRST
        while True:
            now = await self._clock()
            left_s = delay_s - (now.business - since).total_seconds()
            if left_s <= 0:
                return
            if deadline is not None and now.real >= deadline:
                raise AnswerLost("the bank did not answer in time")
            await self._sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 2, POLL_S_MAX)
