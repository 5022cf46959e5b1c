"""What every test may use: the embedded PostgreSQL of this run, and asyncio as the one async world."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgres"]

# The same examples in every run: what a new one would show is looked for by the soak, not by whoever releases next.
settings.register_profile(
    "default",
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("soak", max_examples=100_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("soak" if os.environ.get("MONEYBACK_SOAK") else "default")


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio."""
    return "asyncio"


HTTP = Path(__file__).parent / "dialects" / "http"
"""A folder whose files share one server."""
LONG = (HTTP, Path(__file__).parent / "e2e", Path(__file__).parent / "simulator")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where two processes share the tests, a file is one's as a whole, and whatever takes long begins first."""
    for item in items:
        group = HTTP if item.path.is_relative_to(HTTP) else item.path
        item.add_marker(pytest.mark.xdist_group(str(group)))
    items.sort(key=lambda item: not any(item.path.is_relative_to(folder) for folder in LONG))
