"""The network between the simulated processes and providers: late, lossy, and true to what TCP and time-outs promise.

What has been written goes on although its writer crashes. A call is underway for less than its provider may take to
work on one, since every horizon of the product is built on that bound; within it anything may happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from random import Random
from typing import Final, Protocol
from uuid import UUID

import msgspec

from moneyback.dialect import AnswerLost, Call, NotConnected, Reply
from moneyback.simulator.books import Books
from moneyback.simulator.clock import SimClock
from moneyback.simulator.faults import CALM, exponential
from moneyback.simulator.loop import SimLoop
from moneyback.simulator.peers import Asked, Peer, Taken, asked_in, unlabelled
from moneyback.simulator.story import Story

LATENCY_S: Final = 0.05
SPARE_S: Final = 5.0
"""By how much a call is underway for less than it may be."""
DEADLINE_S: Final = 30.0
"""When senders stop waiting: what arrives between that and the end of what it may take tries doubt hardest."""
GATEWAY: Final = Reply(status=502, headers={"content-type": "text/html"}, body=b"<h1>Bad Gateway</h1>")


class Witness(Protocol):
    """Who sees what passes."""

    def written(self, asked: Asked, peer: Peer, at: datetime) -> None:
        """The first byte of a refund call leaves a process."""

    def taken(self, asked: Asked, books: Books) -> None:
        """A provider has taken a refund call; these are its books on the payment now."""


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
    cut: bool = False  # it breaks at once, and what was written goes on


class _Written(msgspec.Struct, frozen=True):
    """A call on its way."""

    peer: Peer
    call: Call
    asked: Asked | None
    fate: _Fate


class Network:
    """Carries calls to providers. `faults` may be changed while it runs."""

    def __init__(
        self,
        loop: SimLoop,
        random: Random,
        clock: SimClock,
        story: Story,
        witness: Witness,
        befall: Callable[[], Awaitable[None]],
    ) -> None:
        self._loop = loop
        self._random = random
        self._clock = clock
        self._story = story
        self._witness = witness
        self._befall = befall
        self.faults = CALM
        self.underway = 0
        """Refund calls that were written and may still arrive. Business time stands still while there are any: a
        leap would carry every horizon past what the horizons allow for."""

    async def exchange(self, peer: Peer, labelled: Call, *, deadline: float) -> Reply:
        """One call to a provider and its answer, as a flow's `Exchange`."""
        label, call = unlabelled(labelled)
        asked = asked_in(peer, label, call)
        fate = self._draw(peer, call, asked)
        await self._befall()
        await asyncio.sleep(fate.connect_s)
        if not fate.connects:
            raise NotConnected("connection refused")
        if self._loop.time() >= deadline:
            raise NotConnected("the send deadline has passed")
        if asked is not None:
            self._witness.written(asked, peer, self._loop.now())
            self._story.tell("writes", attempt=self._attempt(asked), amount=asked.amount, fate=_told(fate))
            self.underway += fate.copies if fate.arrives else 0
        answer: asyncio.Future[Reply] = self._loop.create_future()
        if fate.cut:
            answer.set_exception(AnswerLost("connection reset"))
        carried = self._carry(_Written(peer, call, asked, fate), answer)
        self._loop.spawn(self._loop.world, carried, name="network")
        patience = deadline - self._loop.time() if peer.answer_s is None else peer.answer_s
        await asyncio.wait({answer}, timeout=max(0.0, patience))
        await self._befall()
        if not answer.done():
            answer.cancel()
            raise AnswerLost("no answer in time")
        return answer.result()

    def _draw(self, peer: Peer, call: Call, asked: Asked | None) -> _Fate:
        random, faults = self._random, self.faults
        connect_s = exponential(random, LATENCY_S / 2, 2.0)
        there_s, back_s = exponential(random, LATENCY_S, 5.0), exponential(random, LATENCY_S, 5.0)
        resets = random.random() < 0.5
        if faults is CALM:
            return _Fate(connect_s, there_s, back_s, resets=resets)
        cut = False
        if faults.slow > random.random():
            most, cut = underway_s_max(peer), random.random() < 0.3
            if random.random() < 0.5:
                there_s = random.uniform(random.choice((5.0, DEADLINE_S)), random.choice((55.0, most)))
            else:
                back_s = random.uniform(5.0, 55.0)
        door = random.choice(peer.not_now()) if asked is not None and faults.not_taken > random.random() else None
        error = random.choice((GATEWAY, *peer.broken()))
        broken = error if faults.broken > random.random() else None
        doubles = asked is not None and faults.doubled > random.random() and peer.repeatable(call)
        return _Fate(
            connect_s,
            there_s,
            back_s,
            connects=faults.unconnected <= random.random(),
            arrives=faults.vanished <= random.random() and door is None and broken is None,
            copies=2 if doubles else 1,
            in_its_place=door or broken,
            instead=error if faults.error_after > random.random() else None,
            answers=faults.unanswered <= random.random(),
            resets=resets,
            cut=cut,
        )

    async def _carry(self, written: _Written, answer: asyncio.Future[Reply]) -> None:
        fate = written.fate
        for _ in range(fate.copies - 1 if fate.arrives else 0):
            self._loop.spawn(self._loop.world, self._again(written), name="network")
        await asyncio.sleep(fate.there_s)
        reply = fate.in_its_place
        if fate.arrives:
            taken = await self._take(written)
            await asyncio.sleep(min(taken.delay_s, 2 * underway_s_max(written.peer)))
            reply = fate.instead if taken.reply is not None and fate.instead is not None else taken.reply
        if (reply is None or not fate.answers) and not fate.resets:
            return  # silence: the caller learns nothing but that time passes
        await asyncio.sleep(fate.back_s)
        if answer.done():  # nobody waits any more
            return
        if reply is None or not fate.answers:
            answer.set_exception(AnswerLost("connection reset"))
        else:
            answer.set_result(reply)

    async def _again(self, written: _Written) -> None:
        late = self._random.random() < 0.5
        most = min(55.0, underway_s_max(written.peer))
        await asyncio.sleep(self._random.uniform(0.0, most) if late else exponential(self._random, LATENCY_S, 5.0))
        await self._take(written)

    async def _take(self, written: _Written) -> Taken:
        peer, asked = written.peer, written.asked
        refund: UUID | None = asked.refund if asked is not None else None
        taken = await peer.take(written.call, refund, self._clock.business)
        if asked is not None:
            self.underway -= 1
            status = taken.reply.status if taken.reply is not None else None
            self._story.tell("provider takes", attempt=self._attempt(asked), amount=asked.amount, answer=status)
            self._witness.taken(asked, await peer.books(asked.payment))
        return taken

    def _attempt(self, asked: Asked) -> str:
        return f"{self._story.name('R', asked.refund)}#{asked.generation}"


def underway_s_max(peer: Peer) -> float:
    """How long a call to a provider is underway at most."""
    return peer.processing.total_seconds() - SPARE_S


def _told(fate: _Fate) -> str:
    """A fate in words."""
    words = [
        "arrives" if fate.arrives else "vanishes" if fate.in_its_place is None else f"meets {fate.in_its_place.status}",
        f"after {fate.there_s:.2f}s",
    ]
    words += ["twice"] if fate.copies > 1 else []
    words += ["cut-off"] if fate.cut else []
    words += [] if fate.answers else ["reset" if fate.resets else "unanswered"]
    words += [f"answered {fate.instead.status}"] if fate.instead is not None else []
    return ",".join(words).replace(" ", "-")
