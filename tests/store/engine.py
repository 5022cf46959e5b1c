"""The engine as store tests use it: short words for commands, and cells of either kind to try them on.

An `Engine` is one merchant on one store. A `Cell` is a database with any number of processes on it, in memory or on
PostgreSQL, and what a test may do to it from outside: hold a row, move business time, read a balance.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from moneyback.core.commands import (
    Admitted,
    Arm,
    CloseCase,
    ExpireLease,
    Keyed,
    Moved,
    Now,
    Nudge,
    Observation,
    Observe,
    ObservePayment,
    RegisterPayment,
    RequestOrderRefund,
    RequestRefund,
    Resolve,
    Result,
    Sighting,
    Standing,
    TakeFence,
    Terms,
)
from moneyback.core.payment import Asked, Payment
from moneyback.core.records import KeyRow
from moneyback.core.refund import Attempt, Event, Refund, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.ids import new_id
from moneyback.store.memory import MemoryDatabase, MemoryStore
from moneyback.store.migrate import migrate, sequence_name
from moneyback.store.port import Cursor, Logged, Store
from moneyback.store.postgres import PostgresStore, open_store

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NUMBERS = sequence_name("tests")
PATIENCE_S = 30.0
"""Long enough for anything a test waits for: reached only when it fails."""


def reasons(result: object) -> list[Reason]:
    """The failing reasons of a refusal."""
    assert isinstance(result, Refusal), result
    return [each.reason for each in result.failing]


def keyed(key: str, body: bytes = b"body", answer: Callable[[Result], tuple[int, bytes] | None] | None = None) -> Keyed:
    """An idempotency key. Refusals are final; anything else is answered later, unless `answer` says how."""

    def render(result: Result) -> tuple[int, bytes] | None:
        return (422, b"refused") if isinstance(result, Refusal) else None

    return Keyed(dialect="native", key=key, fingerprint=body, wait=timedelta(seconds=15), render=answer or render)


class Engine:
    """One merchant's commands on one store."""

    def __init__(self, store: Store, merchant: UUID | None = None, **terms: Any) -> None:
        self.store = store
        self.merchant = merchant or new_id()
        self._terms = Terms(**terms)

    def terms(self, _payment: Payment) -> Terms:
        return self._terms

    def on(self, store: Store) -> Engine:
        """The same merchant in another process."""
        other = Engine(store, self.merchant)
        other._terms = self._terms
        return other

    async def do(self, command: Any) -> Any:
        return await self.store.submit(command)

    # --- payments

    def registration(self, **facts: Any) -> RegisterPayment:
        id = new_id()
        plain: dict[str, Any] = {
            "merchant": self.merchant,
            "id": id,
            "version": 1,
            "dialect": "native",
            "dialect_id": f"p-{id.hex}",
            "rail": "sandbox",
            "account": "sandbox",
            "reference": f"ref-{id.hex}",
            "currency": "EUR",
            "captured": 10_000,
            "captured_at": START,
            "created_at": START,
            "updated_at": START,
        }
        said = {name: facts.pop(name) for name in ("sequence", "external", "key") if name in facts}
        return RegisterPayment(payment=Payment(**{**plain, **facts}), order_id=new_id(), **said)

    async def pay(self, **facts: Any) -> Payment:
        """Register a payment of 100.00."""
        result = await self.do(self.registration(**facts))
        assert isinstance(result, Standing) and result.created, result
        return result.payment

    async def sight(self, payment: Payment, kind: str, amount: int = 0, reference: str = "x1", **seen: Any) -> Any:
        sighting = Sighting(kind=kind, amount=amount, reference=reference, **seen)
        named: dict[str, Any] = {"merchant": self.merchant, "payment": payment.id, "evidence": new_id()}
        return await self.do(ObservePayment(**named, sighting=sighting))

    async def close_case(self, payment: Payment, number: int = 1) -> Any:
        named: dict[str, Any] = {"merchant": self.merchant, "payment": payment.id}
        return await self.do(CloseCase(**named, number=number, by="ann", note="looked at it"))

    # --- refunds

    def request(self, payment: Payment, payer: int | None = None, **said: Any) -> RequestRefund:
        id = new_id()
        plain: dict[str, Any] = {
            "merchant": self.merchant,
            "id": id,
            "payment": payment.id,
            "dialect": "native",
            "dialect_id": None if "sequence" in said else f"r-{id.hex}",
            "terms": self.terms,
            "asked": Asked(payer=payer),
        }
        return RequestRefund(**{**plain, **said})

    def order(self, reference: str, *legs: RequestRefund, **said: Any) -> RequestOrderRefund:
        named: dict[str, Any] = {"merchant": self.merchant, "id": new_id(), "dialect": "native", "reference": reference}
        return RequestOrderRefund(**named, legs=legs, **said)

    async def ask(self, payment: Payment, payer: int | None = None, **said: Any) -> Any:
        return await self.do(self.request(payment, payer, **said))

    async def admit(self, payment: Payment, payer: int | None = None, **said: Any) -> Refund:
        result = await self.ask(payment, payer, **said)
        assert isinstance(result, Admitted) and result.refusal is None, result
        return result.refund

    async def fence(self, refund: Refund) -> Any:
        return await self.do(TakeFence(**self._on(refund), terms=self.terms))

    async def arm(self, refund: Refund, **said: Any) -> Any:
        return await self.do(Arm(**self._on(refund), version=refund.version, terms=self.terms, **said))

    async def send(self, refund: Refund) -> Refund:
        """Fence and arm, which must work."""
        assert isinstance(await self.fence(refund), Moved)
        result = await self.arm(refund)
        assert isinstance(result, Moved) and result.refund.state is State.SENDING, result
        return result.refund

    def seen(self, refund: Refund, event: Event, **seen: Any) -> Observation:
        id = new_id()
        plain = {"id": id, "digest": id.hex, "generation": refund.generation or None}
        return Observation(event=event, **{**plain, **seen})

    def observation(self, refund: Refund, *observations: Observation, **said: Any) -> Observe:
        return Observe(**self._on(refund), terms=self.terms, observations=observations, **said)

    async def see(self, refund: Refund, event: Event, **seen: Any) -> Any:
        return await self.do(self.observation(refund, self.seen(refund, event, **seen)))

    async def look(self, refund: Refund) -> Any:
        return await self.do(self.observation(refund, looked=True))

    async def expire(self, refund: Refund) -> Any:
        return await self.do(ExpireLease(**self._on(refund), evidence=new_id(), terms=self.terms))

    async def nudge(self, refund: Refund, event: Event, by: str | None = "ann") -> Any:
        return await self.do(Nudge(**self._on(refund), event=event, evidence=new_id(), by=by))

    async def resolve(self, refund: Refund, *, executed: bool) -> Any:
        words: dict[str, Any] = {"by": "bob", "note": "asked the provider", "evidence": new_id(), "terms": self.terms}
        version = refund.evidence_version
        return await self.do(Resolve(**self._on(refund), executed=executed, evidence_version=version, **words))

    def _on(self, refund: Refund) -> dict[str, Any]:
        return {"merchant": self.merchant, "refund": refund.id, "payment": refund.payment}

    # --- reading back

    async def payment(self, payment: Payment) -> Payment:
        found = await self.store.payment(self.merchant, payment.id)
        assert found is not None
        return found

    async def refund(self, refund: Refund) -> Refund:
        found = await self.store.refund(self.merchant, refund.id)
        assert found is not None
        return found

    async def attempt(self, refund: Refund, generation: int = 1) -> Attempt:
        found = await self.store.attempt(self.merchant, refund.id, generation)
        assert found is not None
        return found

    async def key(self, key: str) -> KeyRow:
        found = await self.store.key(self.merchant, "native", key)
        assert found is not None
        return found

    async def refunds(self, payment: Payment) -> list[Refund]:
        return list((await self.store.children(self.merchant, payment.id)).refunds.values())

    async def log(self, *, until: int, after: Cursor | None = None) -> list[Logged]:
        """The merchant's events, read page by page until `until` are there: the horizon may lag behind a commit."""
        found, cursor = list[Logged](), after or Cursor()
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < until:
                page = await self.store.events(self.merchant, cursor, 7)
                found += page
                cursor = page[-1].cursor if page else cursor
        return found


def sequences(log: Iterable[Logged]) -> dict[UUID, list[int]]:
    """Each object's sequence numbers in the order of the log."""
    found = defaultdict[UUID, list[int]](list)
    for each in log:
        found[each.event.object].append(each.event.sequence)
    return dict(found)


class Cell(Protocol):
    """A database and its processes."""

    async def process(self) -> Store:
        """A store of its own on this database."""

    async def advance(self, by: timedelta) -> None:
        """Move business time forward."""

    def holding(self, payment: Payment) -> Any:
        """An outsider has the payment's row locked inside this context."""

    def running(self) -> Any:
        """Somebody's transaction has its number, and writes nothing, inside this context."""

    async def balance(self, merchant: UUID, name: str, currency: str = "EUR") -> int | None:
        """The balance row of an account with a limit."""

    async def spend(self, merchant: UUID, name: str, amount: int) -> None:
        """Take money out of an account with a limit, past every payment."""

    async def close(self) -> None:
        """Let everything go."""


class MemoryCell:
    """A cell without a server."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)
        self._ticks = itertools.count()
        self.database = MemoryDatabase(self._now)
        self._stores: list[MemoryStore] = []

    def _now(self) -> Now:
        real = START + timedelta(microseconds=next(self._ticks))
        return Now(business=real + self._ahead, real=real)

    async def process(self) -> MemoryStore:
        store = MemoryStore(self.database)
        self._stores.append(store)
        return store

    async def advance(self, by: timedelta) -> None:
        self._ahead += by

    @asynccontextmanager
    async def holding(self, payment: Payment) -> AsyncIterator[None]:
        outsider = self.database.begin(MemoryStore(self.database))
        assert self.database.lock(outsider, ("payment", payment.merchant, payment.id))
        try:
            yield
        finally:
            self.database.end(outsider)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        outsider = self.database.begin(MemoryStore(self.database))
        try:
            yield
        finally:
            self.database.end(outsider)

    async def balance(self, merchant: UUID, name: str, currency: str = "EUR") -> int | None:
        account = self.database.rows.accounts.get((merchant, name, currency))
        return account.balance if account is not None else None

    async def spend(self, merchant: UUID, name: str, amount: int) -> None:
        accounts = self.database.rows.accounts
        known = accounts[(merchant, name, "EUR")]
        accounts[(merchant, name, "EUR")] = replace(known, balance=known.balance - amount)

    async def close(self) -> None:
        for store in self._stores:
            await store.close()


class PostgresCell:
    """A cell on a migrated database."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._stores: list[PostgresStore] = []

    async def process(self) -> PostgresStore:
        store = await open_store(self.dsn, connections_max=4)
        self._stores.append(store)
        return store

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection past the store."""
        connection = await asyncpg.connect(self.dsn)
        try:
            yield connection
        finally:
            connection.terminate()

    async def advance(self, by: timedelta) -> None:
        async with self.raw() as connection:
            await connection.execute("update clock set movable = true, ahead = ahead + $1", by)

    @asynccontextmanager
    async def holding(self, payment: Payment) -> AsyncIterator[None]:
        async with self.raw() as connection, connection.transaction():
            await connection.fetch("select 1 from payments where id = $1 for update", payment.id)
            yield

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.raw() as connection, connection.transaction():
            await connection.execute("select pg_current_xact_id()")
            yield

    async def balance(self, merchant: UUID, name: str, currency: str = "EUR") -> int | None:
        async with self.raw() as connection:
            found: int | None = await connection.fetchval(
                "select balance from accounts where merchant_id = $1 and name = $2 and currency = $3",
                *(merchant, name, currency),
            )
        return found

    async def spend(self, merchant: UUID, name: str, amount: int) -> None:
        async with self.raw() as connection:
            statement = "update accounts set balance = balance - $3 where merchant_id = $1 and name = $2"
            await connection.execute(statement, merchant, name, amount)

    async def close(self) -> None:
        for store in self._stores:
            await store.close()


async def open_cell(dsn: str | None) -> MemoryCell | PostgresCell:
    """A cell on that database, or in memory."""
    if dsn is None:
        return MemoryCell()
    await migrate(dsn, sequences=["tests"])
    return PostgresCell(dsn)
