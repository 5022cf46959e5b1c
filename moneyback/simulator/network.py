"""The network between the simulated processes and the bank: late, lossy, and true to what TCP and time-outs promise.

What has been written goes on although its writer crashes. A call is underway for less than the bank may take to work
on one (`PROCESSING`), since every horizon of the product is built on that bound; within it anything may happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from random import Random
from typing import Final, Protocol

import msgspec

from moneyback.bank import wire
from moneyback.bank.book import Book
from moneyback.bank.client import PROCESSING
from moneyback.bank.memory import MemoryBank
from moneyback.bank.rules import Answer
from moneyback.dialect import AnswerLost, Call, NotConnected, Reply
from moneyback.simulator.clock import SimClock
from moneyback.simulator.faults import CALM, exponential
from moneyback.simulator.loop import SimLoop
from moneyback.simulator.story import Story

LATENCY_S: Final = 0.05
UNDERWAY_S_MAX: Final = PROCESSING.total_seconds() - 5
DEADLINE_S: Final = 30.0
"""When senders stop waiting: what arrives between that and `UNDERWAY_S_MAX` tries doubt hardest."""
GATEWAY: Final = Reply(status=502, headers={"content-type": "text/html"}, body=b"<h1>Bad Gateway</h1>")


class Witness(Protocol):
    """Who sees what passes."""

    def written(self, call: wire.RefundCall, at: datetime) -> None:
        """The first byte of a refund call leaves a process."""

    def taken(self, call: wire.RefundCall, book: Book) -> None:
        """The bank has taken a refund call; these are its books on the payment now."""


class _Fate(msgspec.Struct, frozen=True):
    """What will become of one call; drawn when it is written, so that a story can be told of it."""

    connect_s: float
    there_s: float
    back_s: float
    connects: bool = True
    arrives: bool = True
    copies: int = 1
    in_its_place: Reply | None = None  # instead of the call
    instead: Reply | None = None  # instead of the answer
    answers: bool = True
    resets: bool = False  # the connection breaks where no answer comes; else there is silence


class Network:
    """Carries calls to one bank. `faults` may be changed while it runs."""

    def __init__(
        self,
        loop: SimLoop,
        random: Random,
        bank: MemoryBank,
        clock: SimClock,
        story: Story,
        witness: Witness,
        befall: Callable[[], Awaitable[None]],
    ) -> None:
        self._loop = loop
        self._random = random
        self._bank = bank
        self._clock = clock
        self._story = story
        self._witness = witness
        self._befall = befall
        self.faults = CALM
        self.underway = 0
        """Refund calls that were written and may still arrive. Business time stands still while there are any: a
        leap would carry every horizon past what the horizons allow for."""

    async def exchange(self, call: Call, *, deadline: float) -> Reply:
        """One call and its answer, as a flow's `Exchange`."""
        account, rung, inner = wire.addressed(call)
        asked = wire.asked(inner)
        refund = asked if isinstance(asked, wire.RefundCall) else None
        fate = self._draw(rung, refund)
        await self._befall()
        await asyncio.sleep(fate.connect_s)
        if not fate.connects:
            raise NotConnected("connection refused")
        if self._loop.time() >= deadline:
            raise NotConnected("the send deadline has passed")
        if refund is not None:
            self._witness.written(refund, self._loop.now())
            self._story.tell("writes", call=refund.key, mark=refund.mark, amount=refund.amount, fate=_told(fate))
            self.underway += fate.copies if fate.arrives else 0
        answer: asyncio.Future[Reply] = self._loop.create_future()
        self._loop.spawn(self._loop.world, self._carry(account, rung, inner, refund, fate, answer), name="network")
        await asyncio.wait({answer}, timeout=max(0.0, deadline - self._loop.time()))
        await self._befall()
        if not answer.done():
            answer.cancel()
            raise AnswerLost("no answer in time")
        return answer.result()

    def _draw(self, rung: int, refund: wire.RefundCall | None) -> _Fate:
        random, faults = self._random, self.faults
        connect_s = exponential(random, LATENCY_S / 2, 2.0)
        there_s, back_s = exponential(random, LATENCY_S, 5.0), exponential(random, LATENCY_S, 5.0)
        resets = random.random() < 0.5
        if faults is CALM:
            return _Fate(connect_s, there_s, back_s, resets=resets)
        if faults.slow > random.random():
            if random.random() < 0.5:
                there_s = random.uniform(random.choice((5.0, DEADLINE_S)), UNDERWAY_S_MAX)
            else:
                back_s = random.uniform(5.0, UNDERWAY_S_MAX)
        door = (
            random.choice((wire.not_taken(), wire.busy()))
            if refund is not None and faults.not_taken > random.random()
            else None
        )
        error = random.choice((GATEWAY, wire.refusal(500, "internal", "Something went wrong at the bank.")))
        broken = error if faults.broken > random.random() else None
        return _Fate(
            connect_s,
            there_s,
            back_s,
            connects=faults.unconnected <= random.random(),
            arrives=faults.vanished <= random.random() and door is None and broken is None,
            copies=2 if refund is not None and _may_double(refund, rung) and faults.doubled > random.random() else 1,
            in_its_place=door or broken,
            instead=error if faults.error_after > random.random() else None,
            answers=faults.unanswered <= random.random(),
            resets=resets,
        )

    async def _carry(
        self,
        account: str,
        rung: int,
        call: Call,
        refund: wire.RefundCall | None,
        fate: _Fate,
        answer: asyncio.Future[Reply],
    ) -> None:
        for _ in range(fate.copies - 1 if fate.arrives else 0):
            again = self._again(account, rung, call, refund)
            self._loop.spawn(self._loop.world, again, name="network")
        await asyncio.sleep(fate.there_s)
        reply = fate.in_its_place
        if fate.arrives:
            taken = await self._take(account, rung, call, refund)
            await asyncio.sleep(min(taken.delay_s, 2 * UNDERWAY_S_MAX))
            reply = fate.instead if taken.reply is not None and fate.instead is not None else taken.reply
        if (reply is None or not fate.answers) and not fate.resets:
            return  # silence: the caller learns nothing but that time passes
        await asyncio.sleep(fate.back_s)
        if answer.done():
            return
        if reply is None or not fate.answers:
            answer.set_exception(AnswerLost("connection reset"))
        else:
            answer.set_result(reply)

    async def _again(self, account: str, rung: int, call: Call, refund: wire.RefundCall | None) -> None:
        await asyncio.sleep(self._random.uniform(0.0, UNDERWAY_S_MAX))
        await self._take(account, rung, call, refund)

    async def _take(self, account: str, rung: int, call: Call, refund: wire.RefundCall | None) -> Answer:
        taken = await self._bank.handle(account, rung, call, self._clock.business)
        if refund is not None:
            self.underway -= 1
            status = taken.reply.status if taken.reply is not None else None
            self._story.tell("bank takes", call=refund.key, mark=refund.mark, amount=refund.amount, answer=status)
            self._witness.taken(refund, await self._bank.books(account, refund.payment))
        return taken


def _may_double(call: wire.RefundCall, rung: int) -> bool:
    """Only where a key is known again; and what is answered by a question is meant to be called again."""
    return rung >= wire.RUNG_KEYED and "requires_action" not in (call.scenario or "")


def _told(fate: _Fate) -> str:
    """A fate in words."""
    words = [
        "arrives" if fate.arrives else "vanishes" if fate.in_its_place is None else f"meets {fate.in_its_place.status}",
        f"after {fate.there_s:.2f}s",
    ]
    words += ["twice"] if fate.copies > 1 else []
    words += [] if fate.answers else ["reset" if fate.resets else "unanswered"]
    words += [f"answered {fate.instead.status}"] if fate.instead is not None else []
    return ",".join(words).replace(" ", "-")
