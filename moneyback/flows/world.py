"""The world a flow acts in: store, rails, dialects, ids, time. Built once in `wiring.py`; a test builds another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import cache
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import Home, Moved, Terms
from moneyback.core.payment import ANYTHING, Capabilities, Payment
from moneyback.core.refusals import NATIVE_PRECEDENCE
from moneyback.dialect import Call, Client, Dialect, Heard, NotConnected, Notification, Reply
from moneyback.flows.breaker import Breaker
from moneyback.store.migrate import sequence_name
from moneyback.store.port import Store
from moneyback.vault import Vault

JOIN_WITHIN = timedelta(seconds=120)
SENDS_MAX = 256
T = TypeVar("T")


class Exchange(Protocol):
    """One request to a provider and its answer. Nothing is written after `deadline` (loop time).

    Raises NotConnected when no byte left, AnswerLost when bytes may have and no readable answer came. Cancelled, it
    ends as cancelled only when no byte left, and else like any answer that is lost.
    """

    async def __call__(self, call: Call, *, deadline: float) -> Reply: ...


ExchangeOf = Callable[[Payment], Exchange]
"""What is said about a payment is recorded with it."""


class Rail(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Where refunds are executed: one configured connector account, or the sandbox bank."""

    name: str
    account: str
    client: Client
    exchange: ExchangeOf
    slot: Callable[[float], AbstractAsyncContextManager[ExchangeOf]] | None = None
    """A place among its sends, waited for until that loop time: inside, one refund is read, armed and sent with what it
    gives. Raises NotConnected when none came free. None: the process's own slots are enough."""
    relay: Exchange | None = None  # what is said over it leaves no record: a client's own calls
    reading: Exchange | None = None  # for what is about the account and no payment of ours: lists, unknown payments
    hear: Callable[[Notification], Heard] | None = None  # what its provider sends to it; None: nothing
    scrubbed: Callable[[Notification], str] = lambda _sent: ""  # what is kept of that
    drift_every: timedelta = timedelta(minutes=5)  # how often its provider's list of refunds is read
    look_only: bool = False  # what was sent over it is not all known here: nothing is armed until it is
    opened: Callable[[Payment], Awaitable[None]] | None = None  # told of a payment before its first refund
    real: bool = False  # another company's money; the sandbox bank is not
    joins: bool = False  # equal keyless requests are one refund
    wallets_limited: bool = False
    breaker: Breaker | None = None
    unusable: str | None = None  # why this process can send nothing over it: refunds wait, after a while for a person

    @property
    def closed(self) -> bool:
        """Whether nothing may be armed on it now. Looking goes on."""
        stopped = self.breaker is not None and self.breaker.is_open(asyncio.get_running_loop().time())
        return stopped or self.look_only or self.unusable is not None


@cache
def unknown_rail(name: str) -> Rail:
    """A rail this process has not heard of: refunds on it are admitted and wait until it has."""

    async def exchange(call: Call, *, deadline: float) -> Reply:
        raise NotConnected(f"{call.method} by loop time {deadline}: the rail {name} is not known here")

    def nothing(*_words: object) -> Generator[Call, Reply, Any]:
        yield from ()
        raise NotConnected(f"the rail {name} is not known here")

    def exchange_of(_payment: Payment) -> Exchange:
        return exchange

    # Whatever provider it leads to may take its time: nobody says "not sent" here before any other process would.
    client = Client(send=nothing, read=nothing, look=nothing, rung=0, processing=timedelta(days=1))
    why = "it is not known here"
    return Rail(name=name, account=name, client=client, exchange=exchange_of, real=True, joins=True, unusable=why)


@cache
def removed_rail(name: str) -> Rail:
    """A rail that was taken out of use: it takes no refund any more."""
    rail = unknown_rail(name)
    nothing = Capabilities(full=False, partial=False)
    return replace(rail, client=replace(rail.client, capabilities=lambda _payment: nothing), unusable="it was removed")


class Requests:
    """How many requests for refunds this process is deciding on right now: the worker gives way to them."""

    __slots__ = ("under_way",)

    def __init__(self) -> None:
        self.under_way = 0

    def __enter__(self) -> None:
        self.under_way += 1

    def __exit__(self, *_how: object) -> None:
        self.under_way -= 1


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a flow may touch."""

    store: Store
    rails: Mapping[str, Rail]
    dialects: Mapping[str, Dialect]
    new_id: Callable[[], UUID]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    flights: dict[UUID, asyncio.Task[Moved | None]] = msgspec.field(default_factory=dict)
    """Refunds this process is sending now, so that a request waits for its own without polling."""
    errands: dict[Hashable, asyncio.Task[Any]] = msgspec.field(default_factory=dict)
    """What this process does beside them: due work by kind and refund, and requests being decided on."""
    waiting: set[asyncio.Task[Any]] = msgspec.field(default_factory=set)
    """Those of all these that wait for a send slot. Nothing is armed for them: they may be cancelled."""
    stopping: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """Set when this process ends: nothing more is claimed or armed."""
    slots: asyncio.Semaphore = msgspec.field(default_factory=lambda: asyncio.Semaphore(SENDS_MAX))
    """Sends in flight at once: nothing is armed without one in hand."""
    own_rails: dict[tuple[UUID, str], Rail] = msgspec.field(default_factory=dict)
    """Rails to real providers, by merchant and name; a process learns of new ones as it works."""
    removed_rails: set[tuple[UUID, str]] = msgspec.field(default_factory=set)
    """Those that were taken out of use."""
    known_terms: dict[tuple[str, Rail], Terms] = msgspec.field(default_factory=dict)
    known_native_terms: dict[tuple[str, Rail], Terms] = msgspec.field(default_factory=dict)
    requests: Requests = msgspec.field(default_factory=Requests)
    due: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """Set when there may be work before the worker's next round."""
    vault: Vault | None = None  # what is kept to sign with is sealed in it
    log: Callable[..., None] = lambda *_words, **_figures: None
    warn: Callable[..., None] = lambda *_words, **_figures: None
    """For what somebody should look into: a word and its figures, as `log` takes them."""

    def rail(self, merchant: UUID, name: str) -> Rail:
        """A merchant's rail of that name, or the built-in one.

        One that is not known here (yet) admits and waits: nothing can be sent over it.
        """
        known = self.own_rails.get((merchant, name)) or self.rails.get(name)
        if known is None:
            known = removed_rail(name) if (merchant, name) in self.removed_rails else unknown_rail(name)
        return known

    def terms(self, payment: Payment) -> Terms:
        """What a payment's dialect and rail together allow; each pair is worked out once."""
        rail = self.rail(payment.merchant, payment.rail)
        pair = (payment.dialect, rail)
        known = self.known_terms.get(pair)
        if known is None:
            known = self.known_terms[pair] = self._terms(payment.dialect, rail)
        return known

    def native_terms(self, payment: Payment) -> Terms:
        """The same for a request of the native API: reasons in its own order, and none of them kept as a refund."""
        pair = (payment.dialect, self.rail(payment.merchant, payment.rail))
        known = self.known_native_terms.get(pair)
        if known is None:
            home = self.home(*pair)
            known = replace(self.terms(payment), precedence=NATIVE_PRECEDENCE, kept=frozenset(), home=home)
            self.known_native_terms[pair] = known
        return known

    def home(self, dialect_name: str, rail: Rail) -> Home | None:
        """Where a refund is shown that was asked for natively; None for where it was, as at its own provider's, which
        shows all of its refunds by itself.
        """
        dialect = self.dialects.get(dialect_name)
        if dialect is None or dialect.natively is None or rail.account.partition(":")[0] == dialect_name:
            return None
        return Home(dialect=dialect_name, sequence=sequence_name(dialect_name), remember=dialect.natively)

    def begin(self, errand: Hashable, story: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something beside whoever asks for it; it is waited for before the process ends."""
        assert errand not in self.errands, "it is being done"
        task = self.errands[errand] = asyncio.get_running_loop().create_task(story)
        task.add_done_callback(lambda _done: self.errands.pop(errand))
        return task

    def launch(self, refund: UUID, story: Coroutine[Any, Any, Moved | None]) -> asyncio.Task[Moved | None]:
        """Run a refund's sending beside the request that asked for it; a caller who leaves does not stop it."""
        task = asyncio.get_running_loop().create_task(story)
        self.flights[refund] = task

        def landed(done: asyncio.Task[Moved | None]) -> None:
            if self.flights.get(refund) is done:
                del self.flights[refund]
            if not done.cancelled() and (error := done.exception()) is not None:
                self.log("send_broke_off", refund=str(refund), error=repr(error))

        task.add_done_callback(landed)
        return task

    def _terms(self, dialect_name: str, rail: Rail) -> Terms:
        dialect = self.dialects.get(dialect_name)
        keyed = rail.client.rung >= 3
        deadline = timedelta(seconds=30)
        return Terms(
            dialect=dialect.capabilities if dialect else lambda _payment: ANYTHING,
            rail=rail.client.capabilities,
            check=dialect.check if dialect else None,
            precedence=dialect.precedence if dialect else Terms().precedence,
            kept=dialect.kept if dialect else frozenset(),
            intervals=dialect.intervals if dialect else False,
            fenced=not keyed or rail.real,  # what a real payment shows is compared with what we expect of it
            merged=keyed and not rail.real,  # a real payment is read before it is sent
            join_within=JOIN_WITHIN if rail.joins else None,
            wallets_limited=rail.wallets_limited,
            horizon=deadline + rail.client.processing + rail.client.list_lag,
            send_deadline=deadline,
        )
