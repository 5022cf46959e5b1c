"""Two databases a file: one for Moneyback, one for the twin behind it."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.front.street import prepare_both
from tests.postgres import Databases


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop a file, because both applications live as long."""
    return "asyncio"


@pytest.fixture(scope="module")
def ends(databases: Databases) -> Iterator[tuple[str, str]]:
    """The DSNs of Moneyback's database and of the twin's."""
    near, far = asyncio.run(databases.migrated()), asyncio.run(databases.migrated())
    asyncio.run(prepare_both(near, far))
    yield near, far
    for dsn in (near, far):
        asyncio.run(databases.drop(dsn))
