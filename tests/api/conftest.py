"""One application a test file: what a test needs of its own is a merchant, and those cannot see each other."""

from collections.abc import AsyncIterator

import pytest

from tests.api.world import World, prepare, running


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop a file, because the application lives as long."""
    return "asyncio"


@pytest.fixture(scope="module")
async def here(module_database: str) -> AsyncIterator[World]:
    """The application as a sandbox serves it."""
    await prepare(module_database)
    async with running(module_database) as world:
        yield world
