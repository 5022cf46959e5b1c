"""The supervisor, its workers and its files: what others rely on who start, watch and stop the product."""

import os
import signal
import socket
import stat
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from urllib.request import urlopen

import pytest

from moneyback.store import guardian
from moneyback.store.guardian import Lock, is_running
from tests.e2e.server import Sandbox, listens, until, until_empty

PATIENCE_S = 20.0
LOOK_S = 0.0005


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with spaces in its name, which its owner alone may enter."""
    folder = tmp_path_factory.mktemp("a closed") / "folder with spaces"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(scope="module")
def own(place: Path) -> Iterator[Sandbox]:
    """One sandbox for the tests of this file, which start and stop it."""
    one = Sandbox(place / "our data", workers=2)
    try:
        yield one
    finally:
        one.destroy()


@pytest.fixture
def running(own: Sandbox) -> Sandbox:
    """It serves; started if the test before has ended it."""
    return own if own.serves else own.start()


ENDINGS: dict[str, list[signal.Signals]] = {
    "SIGTERM": [signal.SIGTERM],
    "Ctrl-C": [signal.SIGINT],
    "Ctrl-C, impatiently": [signal.SIGINT] * 4,
}


@pytest.mark.parametrize("how", ENDINGS)
def test_it_ends_with_zero_leaves_nothing_behind_and_starts_again_as_it_was(running: Sandbox, how: str, place: Path):
    shown = running.ready_file.read_bytes()
    for told in ENDINGS[how]:
        if told is signal.SIGINT:
            os.killpg(running.supervisor, told)  # a terminal tells the whole group
        else:
            os.kill(running.supervisor, told)
    assert running.wait() == 0
    assert not running.ready_file.exists()
    until_empty(running.supervisor)
    assert not running.postgres_processes()
    until(lambda: not is_held(running.data / "postgres" / guardian.GUARDIAN_LOCK), "the guardian ended", PATIENCE_S)
    assert not listens(running.port)
    with seen(running.ready_file) as contents:
        running.start()
        until(lambda: contents, "somebody reads the ready file")
    assert set(contents) == {shown}
    assert stat.S_IMODE(running.ready_file.stat().st_mode) == 0o600
    assert [each.name for each in running.data.iterdir() if each.name.startswith(".ready")] == []
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_a_taken_port_is_one_sentence_that_names_it(running: Sandbox, place: Path):
    done = running.run(*running.arguments())
    other = running.run("sandbox", "--port", str(running.port), "--data", str(place / "other"))
    for each in (done, other):
        assert (each.returncode, each.stdout) == (1, "")
        assert each.stderr.count("\n") == 1
        assert f"127.0.0.1:{running.port}" in each.stderr
    assert running.ready_file.exists()
    assert not (place / "other").exists()


def test_a_worker_that_is_killed_is_replaced_as_often_as_it_takes(running: Sandbox):
    random = Random(0)
    for _ in range(3):
        victim = running.kill_worker(random)
        until(lambda: running.listeners() == running.workers - 1, f"worker {victim} is gone", PATIENCE_S)
        until(lambda: running.listeners() == running.workers, "every worker listens", PATIENCE_S)
    assert len(running.worker_pids()) == running.workers
    assert is_ready(running)


def test_an_interrupted_worker_serves_on_its_supervisor_alone_may_end_it(running: Sandbox):
    before = running.worker_pids()
    for pid in before:
        assert ignores(pid, signal.SIGINT)
        os.kill(pid, signal.SIGINT)
    assert is_ready(running)
    assert running.worker_pids() == before


def test_workers_that_start_without_a_database_wait_for_it(running: Sandbox):
    with running.without_database():
        before = running.worker_pids()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(running.worker_pids() - before) == running.workers, "other workers", PATIENCE_S)
        with knocking_at(running.database_socket) as knocks:
            until(lambda: all(knocks[pid] > 1 for pid in running.worker_pids()), "each has tried again", PATIENCE_S)
    until(lambda: running.listeners() == running.workers, "every worker listens", PATIENCE_S)
    assert is_ready(running)


def test_workers_do_not_outlive_their_supervisor(running: Sandbox):
    running.kill_supervisor()
    assert not listens(running.port)
    running.start()
    assert is_ready(running)


def ignores(pid: int, number: signal.Signals) -> bool:
    """Whether a signal means nothing to a process, as the kernel knows it."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(mask, 16) & 1 << (number - 1))


@contextmanager
def knocking_at(path: Path) -> Iterator[Counter[int]]:
    """Stands where the database listened, and shows everybody the door: how often which process came."""
    knocks = Counter[int]()

    def answer() -> None:
        with suppress(OSError):
            while True:
                visitor, _ = door.accept()
                with visitor:
                    pid, _, _ = struct.unpack("3i", visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                    knocks[pid] += 1

    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()
        porter = threading.Thread(target=answer)
        porter.start()
        try:
            yield knocks
        finally:
            door.shutdown(socket.SHUT_RDWR)
            porter.join()
            path.unlink()


@contextmanager
def seen(path: Path) -> Iterator[list[bytes]]:
    """All that anybody could read in a file meanwhile."""
    contents: list[bytes] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_S):
            with suppress(FileNotFoundError):
                contents.append(path.read_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield contents
    finally:
        over.set()
        watcher.join()


def is_ready(server: Sandbox) -> bool:
    with urlopen(f"http://127.0.0.1:{server.port}/readyz", timeout=PATIENCE_S) as answer:
        return bool(answer.status == 200)


def is_held(path: Path) -> bool:
    lock = Lock(path)
    try:
        return is_running(lock)
    finally:
        lock.close()
