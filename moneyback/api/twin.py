"""A twin: one dialect alone at the root of a port, with scripted faults in front of it.

Faults strike only requests that give money back, in the order in which they arrive, drawn from one seed: the same
requests meet the same faults again. What a fault does happens on the twin's own wire; the engine behind it stays sound.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from hashlib import sha256
from random import Random
from typing import Any, Final

import msgspec

from moneyback.api.asgi import Receive, Scope, Send, TooLarge, messages, read_body, segments
from moneyback.api.decode import BOUNDS
from moneyback.api.mount import Mount, Paths
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import Call, Dialect, Fault, Reply
from moneyback.flows.world import Exchange, Rail, World
from moneyback.store.reads import Page, Reads, RefundsAsked

DROP_ANSWER: Final = "drop-answer"
ERROR_AFTER: Final = "error-after-execution"
SLOW: Final = "slow"
DUPLICATE: Final = "duplicate"
DECLINE: Final = "decline"
LIST_LAG: Final = "list-lag"
FAULTS: Final = {
    DROP_ANSWER: "the refund is executed, and the connection closes before the answer",
    ERROR_AFTER: "the refund is executed, and the answer is the provider's 500",
    SLOW: "the answer comes late (see --slow-seconds)",
    DUPLICATE: "the request arrives twice; the second answer is given",
    DECLINE: "the bank declines the refund",
    LIST_LAG: "the refund is missing from lists for a while (see --lag-seconds)",
}


DECLINED: Final = "decline:declined"
"""What the bank is told of a refund that it is to decline."""


class Scripted(msgspec.Struct, frozen=True):
    """Which faults strike with which probability, and how late slow and lagging things are (seconds)."""

    chances: dict[str, float] = {}
    seed: int = 0
    slow_s: float = 35.0
    lag_s: int = 10


def read_faults(words: list[str]) -> dict[str, float]:
    """`NAME:P` words as probabilities. Raises ValueError with a sentence."""
    chances: dict[str, float] = {}
    for word in words:
        name, colon, text = word.partition(":")
        if name not in FAULTS:
            raise ValueError(f"no such fault: {name}. There are: {', '.join(FAULTS)}")
        try:
            chance = float(text) if colon else 1.0
        except ValueError:
            chance = -1.0
        if not 0.0 <= chance <= 1.0:
            raise ValueError(f"{word}: the probability after the colon is a number from 0 to 1")
        chances[name] = chance
    return chances


class Twin:
    """A dialect at the root of a port, behind its scripted faults."""

    def __init__(self, dialect: Dialect, world: World, reads: Reads, scripted: Scripted) -> None:
        shown = LaggingReads(reads, scripted, world) if scripted.chances.get(LIST_LAG) else reads
        self._mount = Mount(dialect, world, shown)
        self._declining = Mount(dialect, declining(world), shown)
        self._paths = Paths(dialect.routes, caseless=dialect.caseless)
        self._dialect = dialect
        self._scripted = scripted
        self._dice = Random(scripted.seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or do to it what its fault says."""
        found = self._paths.find(segments(scope["path"])).route(scope["method"])
        if found is None or found[0].kind != "guarded":
            await self._mount(scope, receive, send)
            return
        struck = self._strike()
        try:
            body = await read_body(receive, BOUNDS.size_max)
        except TooLarge:
            body = bytes(BOUNDS.size_max + 1)  # the rest of it stays unread; that it is too large is all that counts
        said = await _answer(self._declining if DECLINE in struck else self._mount, scope, body)
        if DUPLICATE in struck:
            said = await _answer(self._mount, scope, body)
        if ERROR_AFTER in struck:
            said = list(messages(self._dialect.fault(Fault.INTERNAL, None)))
        if SLOW in struck:
            await asyncio.sleep(self._scripted.slow_s)
        # Headers without the body they announce: the connection closes, and the client has no answer.
        for message in said[:1] if DROP_ANSWER in struck else said:
            await send(message)
        if DROP_ANSWER in struck:
            await send({"type": "http.response.body", "body": b"", "more_body": True})

    def _strike(self) -> set[str]:
        """Every fault's die is cast every time, so that adding one does not change when another strikes."""
        rolled = {name: self._dice.random() for name in FAULTS}
        return {name for name, roll in rolled.items() if roll < self._scripted.chances.get(name, 0.0)}


async def _answer(mount: Mount, scope: Scope, body: bytes) -> list[MutableMapping[str, Any]]:
    said: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def keep(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    await mount(scope, receive, keep)
    return said


def declining(world: World) -> World:
    """The same world with a bank that declines what it is asked through it; one request's refunds go that way."""
    return msgspec.structs.replace(world, rails={name: _declining(rail) for name, rail in world.rails.items()})


def _declining(rail: Rail) -> Rail:
    def exchange_of(payment: Payment) -> Exchange:
        exchange = rail.exchange(payment)

        async def declined(call: Call, *, deadline: float) -> Reply:
            if call.method == "POST":
                asked = {**msgspec.json.decode(call.body), "scenario": DECLINED}
                call = msgspec.structs.replace(call, body=msgspec.json.encode(asked))
            return await exchange(call, deadline=deadline)

        return declined

    return msgspec.structs.replace(rail, exchange=exchange_of)


class LaggingReads(Reads):
    """Reads whose lists of refunds leave out some that are young; which ones is drawn from the seed and the refund."""

    def __init__(self, reads: Reads, scripted: Scripted, world: World) -> None:
        vars(self).update(vars(reads))
        self._scripted = scripted
        self._world = world

    async def list_refunds(self, merchant: Any, asked: RefundsAsked) -> Page[Refund]:
        """A page without the refunds that lag."""
        page = await super().list_refunds(merchant, asked)
        return msgspec.structs.replace(page, rows=await self._settled(page.rows))

    async def refunds_of(self, merchant: Any, payment: Any) -> tuple[Refund, ...]:
        """A payment's refunds without those that lag."""
        return await self._settled(await super().refunds_of(merchant, payment))

    async def _settled(self, refunds: tuple[Refund, ...]) -> tuple[Refund, ...]:
        now = (await self._world.store.now()).business
        return tuple(
            each
            for each in refunds
            if (now - each.created_at).total_seconds() >= self._scripted.lag_s or not self._lags(each)
        )

    def _lags(self, refund: Refund) -> bool:
        digest = sha256(f"{self._scripted.seed}:{refund.dialect_id}".encode()).digest()
        return int.from_bytes(digest[:6]) < self._scripted.chances[LIST_LAG] * 2**48
