"""Named statements beside the commit path: plain reads, writes that are one guarded statement each, and conditions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg

from moneyback.store.port import StoreUnavailable
from moneyback.store.postgres import PostgresStore

_PASSING: Final = (
    asyncpg.OperatorInterventionError,  # a statement that took too long, a server that is shutting down
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
)


class Statements:
    """Runs a store's statements. Whatever may pass by itself is raised as StoreUnavailable."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def text(self, name: str) -> str:
        """The statement of that name, its columns filled in."""
        return self._store.sql[name]

    async def all(self, statement: str, *arguments: object) -> list[Any]:
        """Every row."""
        async with self._connection() as connection:
            found: list[Any] = await connection.fetch(statement, *arguments)
        return found

    async def one(self, statement: str, *arguments: object) -> Any:
        """The first row, or None."""
        async with self._connection() as connection:
            return await connection.fetchrow(statement, *arguments)

    async def one_behind(self, lock: str, arguments: tuple[object, ...], statement: str, *others: object) -> Any:
        """The first row of what is asked while a lock is held that another statement takes; None where it is not to be
        had at once."""
        try:
            async with self._connection() as connection, connection.transaction():
                await connection.execute(lock, *arguments)
                return await connection.fetchrow(statement, *others)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                return None
            raise

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with self._store.reading() as connection:
                yield connection
        except _PASSING as error:
            raise StoreUnavailable(f"the database is busy: {type(error).__name__}") from error


class Where:
    """The conditions of one list. Only those asked for are in the statement, so that its plan can use their index.

    The first values are the statement's own: `merchant` is $1, `others` follow.
    """

    def __init__(self, merchant: UUID, *others: Any) -> None:
        self.values: list[Any] = [merchant, *others]
        self._conditions = ["merchant_id = $1"]

    def equal(self, column: str, value: Any) -> None:
        """`column` has this value; None asks for any."""
        self.add(f"{column} = {{}}", value)

    def between(self, expression: str, least: Any, most: Any) -> None:
        """No less and no more; None sets no bound."""
        self.add(f"{expression} >= {{}}", least)
        self.add(f"{expression} <= {{}}", most)

    def add(self, condition: str, *values: Any) -> None:
        """A condition with a `{}` for each of its values; one that is None asks for nothing."""
        if None in values:
            return
        places = [f"${len(self.values) + number}" for number in range(1, len(values) + 1)]
        self._conditions.append(condition.format(*places))
        self.values += values

    def fill(self, statement: str, **blanks: Any) -> str:
        """The statement with the conditions and whatever else it leaves blank."""
        return statement.format(filters=" and ".join(self._conditions), **blanks)
