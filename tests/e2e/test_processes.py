"""The supervisor, its workers and its files: what others rely on who start, watch and stop the product."""

import os
import signal
import socket
import stat
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from urllib.request import urlopen

import pytest

from moneyback.store import guardian
from moneyback.store.guardian import Lock, is_running
from tests.e2e.server import DEADLINE_S, Sandbox, listens, until, until_empty

LOOK_S = 0.0005
ENDED_EARLY = 128 + signal.SIGTERM


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


ENDINGS: dict[str, tuple[Callable[[int, signal.Signals], None], list[signal.Signals]]] = {
    "SIGTERM": (os.kill, [signal.SIGTERM]),
    "SIGTERM to all, twice": (os.killpg, [signal.SIGTERM] * 2),  # what manages services may tell the whole group
    "Ctrl-C": (os.killpg, [signal.SIGINT]),
    "Ctrl-C, impatiently": (os.killpg, [signal.SIGINT] * 4),
    "its terminal is closed": (os.killpg, [signal.SIGHUP]),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_it_ends_with_zero_leaves_nothing_behind_and_starts_again_as_it_was(running: Sandbox, how: str, place: Path):
    shown = running.ready_file.read_bytes()
    tell, signals = ENDINGS[how]
    for each in signals:
        tell(running.supervisor, each)
    assert running.wait() == 0
    assert not running.ready_file.exists()
    demand_nothing_left(running)
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
        until(partial(running.serves_with_others_than, {victim}), f"another listens instead of {victim}")
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
        until(lambda: len(running.worker_pids() - before) == running.workers, "other workers")
        with knocking_at(running.database_socket) as knocks:
            until(lambda: all(knocks[pid] > 1 for pid in running.worker_pids()), "each has tried again")
            waiting = running.worker_pids()
            for pid in 2 * sorted(waiting):  # told to end, it has nothing to wait for, and may be told twice
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            until(lambda: not waiting & running.worker_pids(), "they ended, and the database is still away")
    until(lambda: running.serves_with_others_than(before | waiting), "every worker listens")
    assert is_ready(running)


def test_told_to_end_before_it_is_ready_it_leaves_nothing_behind(place: Path):
    one = Sandbox(place / "never ready")
    try:
        one.launch()
        until(one.postgres_processes, "its database is being made, or runs")
        assert one.end() in (ENDED_EARLY, 0)  # a busy machine may have let it become ready meanwhile
        demand_nothing_left(one)
        assert is_ready(one.start())
    finally:
        one.destroy()


def test_workers_do_not_outlive_their_supervisor(running: Sandbox):
    running.kill_supervisor()
    assert not listens(running.port)
    running.start()
    assert is_ready(running)


def demand_nothing_left(server: Sandbox) -> None:
    """Fails unless all that it ever started has ended, or is about to."""
    until_empty(server.supervisor)
    assert not server.postgres_processes()
    until(lambda: not is_held(server.data / "postgres" / guardian.GUARDIAN_LOCK), "the guardian ended")
    assert not listens(server.port)


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
    with urlopen(f"http://127.0.0.1:{server.port}/readyz", timeout=DEADLINE_S) as answer:
        return bool(answer.status == 200)


def is_held(path: Path) -> bool:
    lock = Lock(path)
    try:
        return is_running(lock)
    finally:
        lock.close()
