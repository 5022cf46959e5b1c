"""One sandbox of four workers for all tests that leave it as they found it."""

import signal
from collections.abc import Iterator

import pytest

from tests.e2e.server import Sandbox, sandbox


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("shared") / "data", workers=4) as running:
        yield running


@pytest.fixture(scope="package", autouse=True)
def hang_ups() -> Iterator[None]:
    """What we start notices when its terminal is closed, even where we were started not to: under nohup, for instance.

    A process inherits what its parent ignores, and not what its parent answers.
    """
    before = signal.getsignal(signal.SIGHUP)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    signal.signal(signal.SIGHUP, before)
