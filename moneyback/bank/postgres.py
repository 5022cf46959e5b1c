"""The sandbox bank in PostgreSQL: a schema, connections and commits of its own, never joined to the engine's.

Calls of one process are taken together: one transaction locks their pages in sorted order, recognises keys, writes the
entries and commits; only then is anybody answered. What the answers say is derived from the entries, so that they are
written down in the same commit.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final, Self

import asyncpg
from msgspec.structs import replace

from moneyback.bank import rules, wire
from moneyback.bank.book import Book, Capture, Change, Entry, Outcome, Page, page_changes
from moneyback.bank.gathering import Gathering, Waiting
from moneyback.bank.port import Notice, notice
from moneyback.bank.rules import Answer, Taken
from moneyback.dialect import Call, Reply

SESSION: Final = {
    "application_name": "moneyback bank",
    "lock_timeout": "2s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "5s",
    "jit": "off",
    "timezone": "UTC",
}
CONNECTIONS_MAX: Final = 4
PATIENCE_S: Final = 15.0
"""How long a statement, COMMIT included, may stay unanswered."""

_MIGRATING: Final = 6_021_846_113  # an advisory lock: two processes must not create one schema at once
_GONE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection is ending: the driver still reads why
)
_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_Place = tuple[str, str]  # an account, and a payment or key in it


class CommitInDoubt(Exception):
    """The answer to COMMIT was lost. Never leaves this module: the callers get no answer either."""


class PostgresBank:
    """A bank on a pool of connections of its own, given as such or as a DSN; use it with `async with`."""

    def __init__(self, source: asyncpg.Pool | str) -> None:
        self._dsn = source if isinstance(source, str) else None
        self._pool: asyncpg.Pool | None = None if isinstance(source, str) else source
        self._gathering = Gathering(self._take)

    async def open(self) -> Self:
        """Connect, unless a pool was given."""
        if self._dsn is not None and self._pool is None:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=CONNECTIONS_MAX,
                command_timeout=PATIENCE_S,
                server_settings=SESSION,
                reset=_nothing_to_reset,
            )
        return self

    async def close(self) -> None:
        """Take what waits, then let go of connections of our own."""
        await self._gathering.close()
        if self._dsn is not None and self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @staticmethod
    async def migrate(connection: asyncpg.Connection) -> None:
        """Create the schema `bank` where it is missing; any number of processes may do so at once."""
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _MIGRATING)
            await connection.execute(_file("schema.sql"))

    async def handle(self, account: str, rung: int, call: Call, now: datetime) -> Answer:
        """Take a call. A database that fails before the commit is "not taken"; a commit in doubt is no answer."""
        request = wire.asked(call)
        if isinstance(request, Reply):
            return Answer(request)
        if isinstance(request, wire.RefundCall):
            return await self._gathering.submit(Waiting(account, rung, request, now))
        if (refused := rules.unreadable(request, rung)) is not None:
            return Answer(refused)
        try:
            return Answer(await self._read(account, rung, request, now))
        except _GONE:
            return Answer(None)

    async def register(self, account: str, told: Capture) -> None:
        """Hear of a payment before its first call."""
        async with self._connections.acquire() as connection, connection.transaction():
            page = await self._touched(connection, account, told)
            await self._plan(connection, [(page, each) for each in page_changes(page)])

    async def set_scenario(self, account: str, told: Capture, scenario: str, *, next_refund: bool = False) -> None:
        """Set the payment's scenario, or that of its next refund alone. Raises ValueError with a sentence."""
        async with self._connections.acquire() as connection, connection.transaction():
            page = await self._touched(connection, account, told)
            page = rules.with_scenario(page, scenario, next_refund=next_refund)
            await self._set_words(connection, page)
            changes = tuple(page_changes(page))
            await connection.execute(_sql("drop_notices"), account, page.reference, [each.what for each in changes])
            await self._plan(connection, [(page, each) for each in changes])

    async def books(self, account: str, payment: str) -> Book:
        """Everything written down about a payment."""
        async with self._connections.acquire() as connection:
            page = await connection.fetchrow(_sql("page"), account, payment)
            entries = await connection.fetch(_sql("entries_of_payment"), account, payment)
        return Book(None if page is None else _page(page), tuple(_entry(row) for row in entries))

    async def notices(self, now: datetime, limit: int = 100) -> tuple[Notice, ...]:
        """What changed by itself up to `now`, oldest first, told again until it is acknowledged."""
        async with self._connections.acquire() as connection:
            due = await connection.fetch(_sql("due_notices"), now, limit)
            return tuple([await self._told(connection, row, now) for row in due])

    async def acknowledge(self, notices: Sequence[Notice]) -> None:
        """These notices need not be told again."""
        async with self._connections.acquire() as connection:
            await connection.execute(_sql("acknowledge"), [each.id for each in notices])

    @property
    def _connections(self) -> asyncpg.Pool:
        if self._pool is None:
            raise asyncpg.InterfaceError("the bank is not open")
        return self._pool

    # --- taking calls ------------------------------------------------------------------------------------------------

    async def _take(self, batch: Sequence[Waiting]) -> list[Answer]:
        """One batch, whatever it takes: one that fails before its commit is split, until the culprit stands alone."""
        try:
            return await self._transaction(batch)
        except CommitInDoubt:
            return [Answer(None)] * len(batch)
        except asyncpg.PostgresConnectionError:
            return [Answer(wire.not_taken())] * len(batch)
        except (asyncpg.PostgresError, ValueError, OverflowError):
            if len(batch) == 1:
                return [Answer(wire.not_taken())]
            half = len(batch) // 2
            return await self._take(batch[:half]) + await self._take(batch[half:])
        except _GONE:
            return [Answer(wire.not_taken())] * len(batch)

    async def _transaction(self, batch: Sequence[Waiting]) -> list[Answer]:
        """Everything up to COMMIT raises what went wrong: then nothing was executed. COMMIT raises CommitInDoubt."""
        connection = await self._connections.acquire()
        try:
            transaction = connection.transaction()
            await transaction.start()
            try:
                taken = await self._decide(connection, batch)
            except BaseException:
                with suppress(*_GONE):
                    await transaction.rollback()
                raise
            try:
                await transaction.commit()
            except Exception as error:
                raise CommitInDoubt from error
            return [each.answer for each in taken]
        finally:
            # A connection that breaks only now says nothing about the commit before.
            with suppress(*_GONE):
                await self._connections.release(connection)

    async def _decide(self, connection: asyncpg.Connection, batch: Sequence[Waiting]) -> list[Taken]:
        """Lock the pages, read the keys, let the rules take each call on what the one before it left, and write."""
        pages = await self._pages(connection, batch)
        keys = await self._keys(connection, batch)
        locked = dict(pages)
        taken = list[Taken]()
        for each in batch:
            place, call = (each.account, each.call.payment), each.call
            page = rules.told_again(pages[place], call.capture)
            same_key = keys[(each.account, call.key)] if call.key is not None else []
            took = rules.take(call, replace(page, calls=page.calls + 1), same_key, rung=each.rung, now=each.now)
            pages[place] = took.page
            if took.entry is not None and call.key is not None:
                same_key.append(took.entry)
            taken.append(took)
        await self._write(connection, taken)
        for place, page in pages.items():
            if _words(page) != _words(locked[place]):
                await self._set_words(connection, page)
        return taken

    async def _pages(self, connection: asyncpg.Connection, batch: Sequence[Waiting]) -> dict[_Place, Page]:
        """The locked pages, each with its counter set back to where this batch starts."""
        newest: dict[_Place, Capture] = {}
        calls: dict[_Place, int] = defaultdict(int)
        for each in batch:
            place = (each.account, each.call.payment)
            newest[place] = each.call.capture
            calls[place] += 1
        told = [_telling(place[0], newest[place], calls[place]) for place in sorted(newest)]
        pages = map(_page, await connection.fetch(_sql("touch_pages"), *_columns(told)))
        places = {(page.account, page.reference): page for page in pages}
        return {place: replace(page, calls=page.calls - calls[place]) for place, page in places.items()}

    async def _keys(self, connection: asyncpg.Connection, batch: Sequence[Waiting]) -> defaultdict[_Place, list[Entry]]:
        """The entries of the batch's keys, by account and key."""
        wanted = sorted({(each.account, each.call.key) for each in batch if each.call.key is not None})
        found: defaultdict[_Place, list[Entry]] = defaultdict(list)
        if wanted:
            for row in await connection.fetch(_sql("entries_of_keys"), *_columns(wanted)):
                found[(row["account"], row["key"])].append(_entry(row))
        return found

    async def _write(self, connection: asyncpg.Connection, taken: Sequence[Taken]) -> None:
        entries = [_stored(each.entry) for each in taken if each.entry is not None]
        if entries:
            await connection.execute(_sql("write_entries"), *_columns(entries))
        await self._plan(
            connection, [(each.page, change) for each in taken for change in rules.changes(each.page, each.entry)]
        )

    # --- the rows ----------------------------------------------------------------------------------------------------

    async def _touched(self, connection: asyncpg.Connection, account: str, told: Capture) -> Page:
        row = await connection.fetchrow(_sql("touch_pages"), *_columns([_telling(account, told, 0)]))
        return _page(row)

    async def _set_words(self, connection: asyncpg.Connection, page: Page) -> None:
        await connection.execute(_sql("set_words"), page.account, page.reference, page.scenario, page.next_scenario)

    async def _plan(self, connection: asyncpg.Connection, changes: Iterable[tuple[Page, Change]]) -> None:
        planned = {(page.account, page.reference, each.number or 0, each.what): each.at for page, each in changes}
        if planned:
            rows = sorted((*place, at) for place, at in planned.items())
            await connection.execute(_sql("plan_notices"), *_columns(rows))

    async def _told(self, connection: asyncpg.Connection, row: Mapping[str, Any], now: datetime) -> Notice:
        account, payment, number = row["account"], row["payment"], row["number"]
        page = _page(await connection.fetchrow(_sql("page"), account, payment))
        found = await connection.fetchrow(_sql("entry"), account, payment, number)
        entry = None if found is None else _entry(found)
        return notice(row["id"], page, entry, row["change"], row["due_at"], now)

    async def _read(self, account: str, rung: int, request: wire.Request, now: datetime) -> Reply:
        async with self._connections.acquire() as connection:
            match request:
                case wire.ReadPayment(reference=reference):
                    page = await connection.fetchrow(_sql("page"), account, reference)
                    rows = await connection.fetch(_sql("entries_of_payment"), account, reference)
                    known = None if page is None else _page(page)
                    return rules.show_payment(account, request, known, [_entry(row) for row in rows], now)
                case wire.ListRefunds(reference=reference):
                    rows = await connection.fetch(_sql("entries_of_payment"), account, reference)
                    return rules.show_refunds([_entry(row) for row in rows], rung, now)
                case wire.ReadRefund(payment=payment, number=number):
                    row = await connection.fetchrow(_sql("entry"), account, payment, number)
                    return rules.show_refund(None if row is None else _entry(row), rung, now)
                case wire.ReadKey(key=key):
                    rows = await connection.fetch(_sql("entries_of_key"), account, key)
                    return rules.show_key([_entry(row) for row in rows], rung, now)
                case _:
                    raise AssertionError(request)


async def _nothing_to_reset(_connection: object) -> None:
    """Nothing here outlives its transaction. The driver's own way asks the server, which costs as much as a read."""


def _telling(account: str, told: Capture, calls: int) -> tuple[object, ...]:
    return account, told.reference, told.captured, told.captured_at, told.currency, told.scenario, calls


def _stored(entry: Entry) -> tuple[object, ...]:
    return (
        entry.account,
        entry.payment,
        entry.number,
        entry.key,
        entry.mark,
        entry.currency,
        entry.asked,
        entry.amount,
        entry.received_at,
        entry.rung,
        entry.outcome.value,
        entry.scenario,
    )


def _page(row: Mapping[str, Any]) -> Page:
    return Page(**row)


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(**{**row, "outcome": Outcome(row["outcome"])})


def _words(page: Page) -> tuple[str | None, str | None]:
    return page.scenario, page.next_scenario


def _columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    """Rows as the arrays that unnest takes."""
    return [list(column) for column in zip(*rows, strict=True)]


def _sql(name: str) -> str:
    return _statements()[name]


@cache
def _statements() -> dict[str, str]:
    parts = _NAME.split(_file("books.sql"))
    return {parts[i]: parts[i + 1].strip().rstrip(";") for i in range(1, len(parts), 2)}


def _file(name: str) -> str:
    return files("moneyback.bank").joinpath("sql", name).read_text("utf-8")
