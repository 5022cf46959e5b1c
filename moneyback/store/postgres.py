"""The PostgreSQL store: one transaction a batch, locks in one order, a lost commit looked up before any answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import chain
from typing import Any, Final
from uuid import UUID
from zlib import crc32

import asyncpg
from msgspec.structs import replace

from moneyback.clock import RunningClock
from moneyback.core.commands import Command, Now, Result, SaveAnswer, Saved
from moneyback.core.ledger import Account
from moneyback.core.payment import Payment
from moneyback.core.plan import Children, Facts
from moneyback.core.records import EventRow, KeyRow, Order
from moneyback.core.refund import Attempt, Refund
from moneyback.core.refusals import Reason, refuse
from moneyback.store import rows
from moneyback.store.gather import (
    PUT_OFF,
    CommitInDoubt,
    Entry,
    Gatherer,
    RowsBusy,
    Verdict,
    Writes,
    WrittenFirst,
    accounts_touched,
    commit_batch,
    decide_batch,
    new_key_row,
    wanted_numbers,
)
from moneyback.store.port import Cursor, Logged, StoreUnavailable, Work
from moneyback.store.queries import all_queries, together

MAPPERS: Final = {
    "payment": ("payments", rows.PAYMENT),
    "refund": ("refunds", rows.REFUND),
    "attempt": ("attempts", rows.ATTEMPT),
    "movement": ("movements", rows.MOVEMENT),
    "event": ("events", rows.EVENT),
    "evidence": ("evidence", rows.EVIDENCE),
    "external": ("externals", rows.EXTERNAL),
    "dispute": ("disputes", rows.DISPUTE),
    "case": ("cases", rows.CASE),
}
SESSION: Final = {
    "lock_timeout": "2s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "5s",
    "application_name": "moneyback",
    "jit": "off",
    "timezone": "UTC",
}
COMMIT_PATIENCE_S: Final = 10.0
"""How long a COMMIT may stay unanswered before it counts as in doubt."""
STATEMENT_PATIENCE_S: Final = 15.0
"""How long any other statement may stay unanswered: longer than the server itself lets it run."""
_BUSY: Final = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.QueryCanceledError,
    asyncpg.SerializationError,
)
_GONE: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection is ending: the driver still reads why
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
)


class PostgresStore:
    """The engine's port on PostgreSQL. Build it with `open_store`."""

    def __init__(self, dsn: str, pool: asyncpg.Pool, statements: dict[str, str]) -> None:
        self.sql = statements
        self._dsn = dsn
        self._pool = pool
        self._gatherer = Gatherer(lambda batch, alone: commit_batch(self, batch, alone))
        self._committers: dict[bool, asyncpg.Connection] = {}
        self._clock = RunningClock()

    async def clock(self) -> Now:
        """Both times, as the last batch was told them and carried on since: good for what is not a decision."""
        return self._clock.now()

    async def close(self) -> None:
        """Commit what was submitted, then let the connections go."""
        await self._gatherer.drain()
        for committer in self._committers.values():
            await committer.close()
        await self._pool.close()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for plain reads and guarded single statements. Raises StoreUnavailable."""
        try:
            async with self._pool.acquire(timeout=STATEMENT_PATIENCE_S) as connection:
                yield connection
        except (*_GONE, *_BUSY) as error:
            raise StoreUnavailable(f"the database does not answer: {type(error).__name__}") from error

    async def submit(self, command: Command) -> Result:
        """Decide and commit one command, together with others."""
        if isinstance(command, SaveAnswer):
            return await self._save_answer(command)
        return await self._gatherer.submit(command)

    async def claim(self, limit: int, lease: timedelta) -> tuple[Work, ...]:
        """Due work; what two processes must not do at once is claimed for `lease` of real time."""
        found: list[Work] = []
        async with self.reading() as connection:
            found += [Work("expire", *row) for row in await connection.fetch(self.sql["claim_expired"], limit)]
            found += [Work("send", *row) for row in await connection.fetch(self.sql["claim_ready"], limit, lease)]
            found += [Work("look", *row) for row in await connection.fetch(self.sql["claim_looks"], limit, lease)]
            found += [Work("due", *row) for row in await connection.fetch(self.sql["claim_scheduled"], limit)]
            found += [Work("release", *row) for row in await connection.fetch(self.sql["claim_releases"], limit)]
        return tuple(found)

    async def payment(self, merchant: UUID, payment: UUID) -> Payment | None:
        """One payment as it stands."""
        found: Payment | None = await self._one("read_payment", rows.PAYMENT, merchant, payment)
        return found

    async def refund(self, merchant: UUID, refund: UUID) -> Refund | None:
        """One refund as it stands."""
        found: Refund | None = await self._one("read_refund", rows.REFUND, merchant, refund)
        return found

    async def children(self, merchant: UUID, payment: UUID) -> Children:
        """All that hangs on a payment."""
        async with self.reading() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            found = await self._read_children(connection, [(merchant, payment)], "read_refunds_of")
        return found[payment]

    async def attempt(self, merchant: UUID, refund: UUID, generation: int) -> Attempt | None:
        """One attempt, with what was read before it was armed."""
        found: Attempt | None = await self._one("read_attempt", rows.ATTEMPT, merchant, refund, generation)
        return found

    async def key(self, merchant: UUID, dialect: str, key: str) -> KeyRow | None:
        """One idempotency row."""
        found: KeyRow | None = await self._one("read_key", rows.KEY, merchant, dialect, key)
        return found

    async def events(self, merchant: UUID, after: Cursor, limit: int) -> tuple[Logged, ...]:
        """The merchant's events after a cursor, in the order that agrees with each object's own."""
        async with self.reading() as connection:
            found = await connection.fetch(self.sql["read_events"], merchant, str(after.xid), after.id, limit)
        return tuple(Logged(rows.EVENT.value(row), Cursor(row["xid"], row["id"], row["epoch"])) for row in found)

    async def now(self) -> Now:
        """Both times."""
        async with self.reading() as connection:
            row = await connection.fetchrow(self.sql["read_now"])
        return self._heard(row)

    def _heard(self, row: Any) -> Now:
        now = Now(business=row["business"], real=row["real"])
        self._clock.hear(now)
        return now

    async def _one(self, name: str, mapper: rows.Mapper, *key: object) -> Any:
        async with self.reading() as connection:
            row = await connection.fetchrow(self.sql[name], *key)
        return None if row is None else mapper.value(row)

    async def _save_answer(self, command: SaveAnswer) -> Result:
        answer = (command.merchant, command.dialect, command.idempotency_key, command.status, command.answer)
        async with self.reading() as connection:
            row = await connection.fetchrow(self.sql["save_answer"], *answer)
            if row is None:  # either there is no such key, or another answer came in between: that one is seen now
                row = await connection.fetchrow(self.sql["save_answer"], *answer)
        return refuse(Reason.BAD_REQUEST, key=command.idempotency_key) if row is None else Saved(*row)

    # --- the commit path ---------------------------------------------------------------------------------------------

    async def transaction(self, batch: list[Entry], alone: bool) -> list[Verdict]:
        """One batch in one transaction; see `Transactions`."""
        connection = await self._connect(alone)
        try:
            await connection.execute("begin")
            xid, verdicts, writes = await self._decided(connection, batch, alone)
        except BaseException as error:
            await self._roll_back(connection, alone, error)
            meant = _meaning(error)
            if meant is error:
                raise
            raise meant from error
        await self._end(connection, alone, CommitInDoubt(xid, writes, verdicts))
        return verdicts

    async def _end(self, connection: asyncpg.Connection, alone: bool, doubt: CommitInDoubt) -> None:
        """COMMIT. An error the server answers with is a roll-back; anything else leaves the outcome in doubt."""
        try:
            async with asyncio.timeout(COMMIT_PATIENCE_S):
                status = await connection.execute("commit")
        except BaseException as error:
            meant = _meaning(error)
            if isinstance(meant, StoreUnavailable):
                self._drop(alone)
                raise doubt from error
            if not isinstance(error, asyncpg.PostgresError):
                self._drop(alone)
            if meant is error:
                raise
            raise meant from error
        assert status == "COMMIT", f"the transaction ended with {status}"

    async def committed(self, doubt: CommitInDoubt, alone: bool) -> bool | None:
        """Whether the transaction's own rows are there; None while it still runs.

        The rows decide, not the transaction's number: after a failover a number may have been given out twice.
        """
        connection = await self._connect(alone)
        try:
            if await connection.fetchval(self.sql["transaction_status"], str(doubt.xid)) == "in progress":
                return None
            witness = doubt.writes.witness
            if witness is None:
                return False
            if isinstance(witness, EventRow):
                place: tuple[object, ...] = (witness.merchant, witness.object, witness.sequence, str(doubt.xid))
                return await connection.fetchval(self.sql["event_written_by"], *place) is not None
            return await connection.fetchval(self.sql["evidence_written"], witness.merchant, witness.id) is not None
        except (*_GONE, asyncpg.PostgresError) as error:
            self._drop(alone)
            raise StoreUnavailable(f"the database does not answer: {type(error).__name__}") from error

    async def _connect(self, alone: bool) -> asyncpg.Connection:
        """The committer of a lane. Raises StoreUnavailable when there is no database to be had."""
        committer = self._committers.get(alone)
        if committer is None or committer.is_closed():
            try:
                committer = await connect(self._dsn)
            except (*_GONE, asyncpg.PostgresError) as error:
                raise StoreUnavailable(f"the database cannot be reached: {type(error).__name__}") from error
            self._committers[alone] = committer
        return committer

    def _drop(self, alone: bool) -> None:
        committer = self._committers.pop(alone, None)
        if committer is not None:
            committer.terminate()

    async def _roll_back(self, connection: asyncpg.Connection, alone: bool, error: BaseException) -> None:
        """Leave the connection as it was found; one that may be broken, or busy with a statement, is dropped."""
        if not isinstance(error, Exception) or isinstance(_meaning(error), StoreUnavailable):
            self._drop(alone)
            return
        try:
            await connection.execute("rollback")
        except (*_GONE, asyncpg.PostgresError):
            self._drop(alone)

    async def _decided(
        self, connection: asyncpg.Connection, batch: list[Entry], alone: bool
    ) -> tuple[int, list[Verdict], Writes]:
        """Lock, read, decide and write; everything of the batch but its commit."""
        row = await connection.fetchrow(self.sql["begin_batch"])
        xid, now = row["xid"], self._heard(row)
        facts = Facts()
        fresh = await self._claim_keys(connection, batch, facts, now)
        await self._lock_orders(connection, batch, facts)
        held = await self._lock_payments(connection, batch, facts, xid, alone)
        ready = [entry for entry in batch if held.isdisjoint(entry.footprint.payments)]
        await self._read_rest(connection, ready, facts)
        balances = dict(facts.accounts)
        numbers = {
            sequence: deque(row["number"] for row in await connection.fetch(self.sql["draw_numbers"], sequence, count))
            for sequence, count in wanted_numbers(ready, facts).items()
        }
        decided, writes = decide_batch(ready, facts, now, numbers)
        await self._give_back_keys(connection, fresh, writes)
        await self._write(connection, writes, fresh)
        await self._write_accounts(connection, facts, balances)
        by_entry = dict(zip(map(id, ready), decided, strict=True))
        return xid, [by_entry.get(id(entry), PUT_OFF) for entry in batch], writes

    async def _claim_keys(
        self, connection: asyncpg.Connection, batch: list[Entry], facts: Facts, now: Now
    ) -> dict[tuple[UUID, str, str], KeyRow]:
        """Insert the batch's new keys; those that were there before become facts."""
        asked: dict[tuple[UUID, str, str], KeyRow] = {}
        for entry in batch:
            row = new_key_row(entry.command, now)
            if row is not None:
                asked.setdefault((row.merchant, row.dialect, row.key), row)
        if not asked:
            return {}
        inserted = await connection.fetch(self.sql["insert_keys"], *rows.KEY.arrays(asked.values()))
        fresh = {tuple(row): asked[tuple(row)] for row in inserted}
        if missing := [place for place in asked if place not in fresh]:
            for row in await connection.fetch(self.sql["read_keys"], *zip(*missing, strict=True)):
                known: KeyRow = rows.KEY.value(row)
                facts.keys[(known.merchant, known.dialect, known.key)] = known
        return fresh

    async def _give_back_keys(
        self, connection: asyncpg.Connection, fresh: dict[tuple[UUID, str, str], KeyRow], writes: Writes
    ) -> None:
        decided = {(row.merchant, row.dialect, row.key) for row in writes.answers}
        if unused := [place for place in fresh if place not in decided]:
            await connection.execute(self.sql["delete_keys"], *zip(*unused, strict=True))

    async def _lock_orders(self, connection: asyncpg.Connection, batch: list[Entry], facts: Facts) -> None:
        places = {(entry.command.merchant, *order) for entry in batch for order in entry.footprint.orders}
        if places:
            for row in await connection.fetch(self.sql["lock_orders"], *zip(*sorted(places), strict=True)):
                order = rows.ORDER.value(row)
                facts.orders[(order.merchant, order.dialect, order.reference)] = order

    async def _lock_payments(
        self, connection: asyncpg.Connection, batch: list[Entry], facts: Facts, xid: int, alone: bool
    ) -> set[UUID]:
        """Lock the batch's payments. Returns those that somebody else holds, or wrote in a later transaction."""
        places = {(entry.command.merchant, payment) for entry in batch for payment in entry.footprint.payments}
        if not places:
            return set()
        arrays = list(zip(*places, strict=True))
        late: set[UUID] = set()
        for row in await connection.fetch(self.sql["wait_payments" if alone else "lock_payments"], *arrays):
            payment: Payment = rows.PAYMENT.value(row)
            if row["xid"] > xid:
                # Its last event is after ours in the log's order; ours must not seem older than it is.
                late.add(payment.id)
            else:
                facts.payments[payment.id] = payment
        if missing := [place for place in places if place[1] not in facts.payments and place[1] not in late]:
            existing = await connection.fetch(self.sql["existing_payments"], *zip(*missing, strict=True))
            late |= {row["id"] for row in existing}
        return late

    async def _read_rest(self, connection: asyncpg.Connection, ready: list[Entry], facts: Facts) -> None:
        """Refunds, what hangs on payments, equal requests, references, limited accounts: in lock order."""
        wide = {place for entry in ready if entry.footprint.children for place in _owned(entry, "payments")}
        if wide:
            facts.children = await self._read_children(connection, sorted(wide))
            for children in facts.children.values():
                facts.refunds |= children.refunds
        if refunds := sorted({place for entry in ready for place in _owned(entry, "refunds")}):
            for row in await connection.fetch(self.sql["lock_refunds"], *zip(*refunds, strict=True)):
                refund: Refund = rows.REFUND.value(row)
                facts.refunds[refund.id] = refund
        if equal := {(e.command.merchant, *pair) for e in ready for pair in e.footprint.equalities}:
            for row in await connection.fetch(self.sql["equal_refunds"], *zip(*equal, strict=True)):
                refund = rows.REFUND.value(row)
                facts.equals[(refund.payment, refund.equality or b"")] = refund
        if references := {(e.command.merchant, *pair) for e in ready for pair in e.footprint.references}:
            for row in await connection.fetch(self.sql["payments_by_reference"], *zip(*references, strict=True)):
                payment: Payment = rows.PAYMENT.value(row)
                facts.references[(payment.merchant, payment.account, payment.reference)] = payment
        if accounts := sorted(accounts_touched(ready, facts)):
            facts.accounts = {place: Account(*place, 0) for place in accounts}
            for row in await connection.fetch(self.sql["lock_accounts"], *zip(*accounts, strict=True)):
                facts.accounts[(row["merchant_id"], row["name"], row["currency"])] = rows.ACCOUNT.value(row)

    async def _read_children(
        self, connection: asyncpg.Connection, places: Sequence[tuple[UUID, UUID]], refunds: str = "child_refunds"
    ) -> dict[UUID, Children]:
        arrays = list(zip(*places, strict=True))
        found = {payment: Children({}, {}, {}, {}) for _, payment in places}
        for row in await connection.fetch(self.sql[refunds], *arrays):
            refund: Refund = rows.REFUND.value(row)
            found[refund.payment].refunds[refund.id] = refund
        for row in await connection.fetch(self.sql["child_disputes"], *arrays):
            dispute = rows.DISPUTE.value(row)
            found[dispute.payment].disputes[dispute.reference] = dispute
        for row in await connection.fetch(self.sql["child_externals"], *arrays):
            external = rows.EXTERNAL.value(row)
            found[external.payment].externals[external.provider_id] = external
        for row in await connection.fetch(self.sql["child_cases"], *arrays):
            case = rows.CASE.value(row)
            found[case.payment].cases[case.number] = case
        return found

    async def _write(
        self, connection: asyncpg.Connection, writes: Writes, fresh: dict[tuple[UUID, str, str], KeyRow]
    ) -> None:
        """Every row of the batch: a statement a table, all of them in one round trip."""
        written = {name: arrays for name, arrays in _arrays(writes, fresh) if arrays}
        if written:
            statement = together(tuple(self.sql[name] for name in written))
            await connection.execute(statement, *chain.from_iterable(written.values()))

    async def _write_accounts(self, connection: asyncpg.Connection, facts: Facts, before: dict[Any, Any]) -> None:
        """Balances change by what was added to them: an account that did not exist could not be locked."""
        moved = [
            replace(account, balance=account.balance - before[place].balance)
            for place, account in facts.accounts.items()
            if account is not before[place]
        ]
        if moved:
            await connection.execute(self.sql["write_accounts"], *rows.ACCOUNT.arrays(moved))


def _meaning(error: BaseException) -> BaseException:
    """What an error of the driver means to the commit path. Any other is returned as it is: a command's own fault."""
    if isinstance(error, _BUSY):
        return RowsBusy(type(error).__name__)
    if isinstance(error, _GONE):
        return StoreUnavailable(f"the database does not answer: {type(error).__name__}")
    if isinstance(error, asyncpg.UniqueViolationError):
        return WrittenFirst(error.constraint_name or "")
    return error


def _arrays(
    writes: Writes, fresh: dict[tuple[UUID, str, str], KeyRow]
) -> Iterator[tuple[str, Sequence[Sequence[Any]]]]:
    """The statements that write a batch, each with its parameters. No two of them write the same row."""
    new = writes.new
    yield "insert_orders", _order_arrays(writes.orders.values())
    yield "insert_payments", rows.PAYMENT.rows(row for row in writes.payments.values() if row.id in new)
    yield "update_payments", rows.PAYMENT.rows(row for row in writes.payments.values() if row.id not in new)
    yield "touch_payments", list(zip(*writes.touched, strict=True))
    yield "insert_refunds", rows.REFUND.rows(row for row in writes.refunds.values() if row.id in new)
    yield "update_refunds", rows.REFUND.rows(row for row in writes.refunds.values() if row.id not in new)
    yield "write_attempts", rows.ATTEMPT.rows(writes.attempts.values())
    yield "insert_movements", rows.MOVEMENT.rows(writes.movements)
    yield "insert_events", rows.EVENT.rows(writes.events)
    yield "insert_evidence", rows.EVIDENCE.rows(writes.evidence)
    yield "write_externals", rows.EXTERNAL.rows(writes.externals.values())
    yield "write_disputes", rows.DISPUTE.rows(writes.disputes.values())
    yield "write_cases", rows.CASE.rows(writes.cases.values())
    yield "write_answers", _answer_arrays([row for row in writes.answers if not _as_inserted(row, fresh)], fresh)


def _order_arrays(orders: Collection[Order]) -> list[Sequence[Any]]:
    """An array has no arrays for elements: each order's payments go as JSON."""
    if not orders:
        return []
    *columns, payments = rows.ORDER.arrays(orders)
    return [*columns, [rows.json_text([str(each) for each in ids]) for ids in payments]]


def _answer_arrays(answers: Sequence[KeyRow], fresh: dict[tuple[UUID, str, str], KeyRow]) -> list[Sequence[Any]]:
    if not answers:
        return []
    fields = ("merchant", "dialect", "key", "fingerprint", "refund", "status", "answer", "answer_due")
    columns = [[getattr(row, field) for row in answers] for field in fields]
    return [*columns, [(row.merchant, row.dialect, row.key) in fresh for row in answers]]


def _as_inserted(row: KeyRow, fresh: dict[tuple[UUID, str, str], KeyRow]) -> bool:
    """Whether the row says nothing beyond what was inserted when its key was claimed."""
    inserted = fresh.get((row.merchant, row.dialect, row.key))
    if inserted is None or row.answer is not None:
        return False
    return (inserted.refund, inserted.fingerprint) == (row.refund, row.fingerprint)


def _owned(entry: Entry, rows_of: str) -> list[tuple[UUID, UUID]]:
    return [(entry.command.merchant, row) for row in getattr(entry.footprint, rows_of)]


async def connect(dsn: str) -> asyncpg.Connection:
    """One connection with the session's limits. Raises OSError or an asyncpg error when there is no database."""
    return await asyncpg.connect(
        dsn,
        server_settings=dict(SESSION),
        max_cached_statement_lifetime=0,
        max_cacheable_statement_size=0,
        command_timeout=STATEMENT_PATIENCE_S,
        timeout=10,
    )


async def open_store(dsn: str, *, connections_max: int = 8) -> PostgresStore:
    """A store on a migrated database."""
    pool = await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=connections_max,
        server_settings=dict(SESSION),
        max_cached_statement_lifetime=0,
        command_timeout=STATEMENT_PATIENCE_S,
        timeout=10,
        reset=_nothing_to_reset,
    )
    async with pool.acquire() as connection:
        statements = await complete_statements(connection)
    return PostgresStore(dsn, pool, statements)


async def _nothing_to_reset(_connection: object) -> None:
    """Nobody here sets, listens or locks for a session; a transaction that was left open the pool rolls back itself.

    The driver's own way asks the server, which costs as much as a read.
    """


async def complete_statements(connection: asyncpg.Connection) -> dict[str, str]:
    """Every named statement, with the columns of the tables and the types of their rows filled in."""
    filled: dict[str, str] = {}
    for name, (kind, _) in (await row_types(connection)).items():
        filled[f"{name}_columns"] = ", ".join(MAPPERS[name][1].all_columns)
        filled[f"{name}_rows"] = f"$1::{kind}[]"
    return {name: _fill(text, filled) for name, text in all_queries().items()}


async def row_types(connection: asyncpg.Connection) -> dict[str, tuple[str, str]]:
    """The type in which each table's rows are sent, and its members: one array of rows is read much faster than many
    of columns.

    A type's name is drawn from its members. When a migration adds a column, its own version sends another type, and
    processes of the version before go on sending theirs.
    """
    kinds: dict[str, tuple[str, str]] = {}
    for name, (table, mapper) in MAPPERS.items():
        found = await connection.fetch(
            "select attname, format_type(atttypid, atttypmod) as type from pg_attribute "
            "where attrelid = $1::regclass and attnum > 0 and not attisdropped",
            table,
        )
        types = {row["attname"]: row["type"] for row in found}
        members = ", ".join(f"{column} {types[column]}" for column in mapper.all_columns)
        kinds[name] = (f"{name}_row_{crc32(members.encode()):08x}", members)
    return kinds


def _fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text
