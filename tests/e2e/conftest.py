"""One sandbox of four workers for all tests that leave it as they found it."""

from collections.abc import Iterator

import pytest

from tests.e2e.server import Sandbox, sandbox


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("shared") / "data", workers=4) as running:
        yield running
