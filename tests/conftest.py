"""What every test may use: the embedded PostgreSQL of this run, and asyncio as the one async world."""

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgres"]

settings.register_profile("default", max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", max_examples=100_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("soak" if os.environ.get("MONEYBACK_SOAK") else "default")


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio."""
    return "asyncio"
