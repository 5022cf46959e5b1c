"""Both banks, one after the other, for whoever asks for `bank`; and a database with the bank's schema."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from moneyback.bank.memory import MemoryBank
from moneyback.bank.port import Bank
from moneyback.bank.postgres import PostgresBank
from tests.postgres import Databases

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def bank_dsn(databases: Databases) -> Iterator[str]:
    """A database with nothing but the bank's books, shared by the tests of a file."""
    dsn = asyncio.run(_migrated(databases))
    yield dsn
    asyncio.run(databases.drop(dsn))


@pytest.fixture(params=["memory", "postgres"])
def bank_place(request: pytest.FixtureRequest) -> str | None:
    """Where the bank keeps its books: a DSN, or None for memory."""
    return request.getfixturevalue("bank_dsn") if request.param == "postgres" else None


@pytest.fixture
async def bank(bank_place: str | None) -> AsyncIterator[Bank]:
    if bank_place is None:
        yield MemoryBank()
        return
    async with PostgresBank(bank_place) as bank:
        yield bank


@pytest.fixture
def account() -> str:
    """An account that no other test has."""
    return f"m{next(_NUMBERS)}.sandbox"


async def _migrated(databases: Databases) -> str:
    dsn = await databases.empty()
    connection = await asyncpg.connect(dsn)
    try:
        await PostgresBank.migrate(connection)
    finally:
        await connection.close()
    return dsn
