"""Named statements beside the commit path: plain reads, and writes that are one guarded statement each."""

from __future__ import annotations

from typing import Any, Final

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
        try:
            async with self._store.reading() as connection:
                found: list[Any] = await connection.fetch(statement, *arguments)
        except _PASSING as error:
            raise StoreUnavailable(f"the database is busy: {type(error).__name__}") from error
        return found

    async def one(self, statement: str, *arguments: object) -> Any:
        """The first row, or None."""
        try:
            async with self._store.reading() as connection:
                return await connection.fetchrow(statement, *arguments)
        except _PASSING as error:
            raise StoreUnavailable(f"the database is busy: {type(error).__name__}") from error
