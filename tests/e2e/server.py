"""Runs the product as its users do: real processes on a real port, which may be killed at any moment.

Every sandbox here has a process group of its own and a folder of its own. Nothing in it is asked to cooperate: what is
known of it comes from its ready file, from HTTP, from the kernel and from its database.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from moneyback.store import guardian
from moneyback.store.embedded import destroy_cluster, open_cluster
from moneyback.store.guardian import Lock, Where

ROOT = Path(__file__).parents[2]
SOAK = bool(os.environ.get("MONEYBACK_SOAK"))
DEADLINE_S = 180.0
"""What takes longer has gone wrong, however busy the machine is."""
PAUSE_S = 0.01
ESTABLISHED, LISTENING = "01", "0A"  # states of a TCP socket in /proc/net/tcp


def until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_S) -> Any:
    """The first thing `condition` returns that is true. Fails with `what` did not happen in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"in {seconds:.0f} s: not {what}"
        time.sleep(PAUSE_S)
    return found


def until_empty(group: int) -> None:
    """Returns once every process of a group has ended."""
    until(lambda: not members(group), f"all processes of group {group} ended")


class Sandbox:
    """One `moneyback sandbox` on one folder and one port, started and ended as often as a test likes."""

    def __init__(self, data: Path, *, workers: int = 2, source: Path = ROOT) -> None:
        self.data = data
        self.port = free_port()
        self.workers = workers
        self.ready_file = data / "ready.json"
        self.log_file = data.with_name(f"{data.name}.log")
        self._source = source
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []

    # --- a life ------------------------------------------------------------------------------------------------------

    def start(self) -> "Sandbox":
        """Returns once it says that it serves, and every worker does: the first one that answers makes it ready."""
        self.launch()
        return self.await_ready()

    def await_ready(self) -> "Sandbox":
        """Returns once it serves, after a launch."""
        until(self._is_ready, "ready")
        until(lambda: self.listeners() == self.workers, "every worker listens")
        return self

    def launch(self) -> None:
        """Starts it and does not wait. A ready file that a killed one left behind is removed first."""
        self.ready_file.unlink(missing_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moneyback", *self.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._source,
                env=environment(self._source),
                start_new_session=True,
            )
        self._groups.append(self._process.pid)

    def arguments(self) -> list[str]:
        """What follows the program's name."""
        places = ["--port", str(self.port), "--data", str(self.data), "--ready-file", str(self.ready_file)]
        return ["sandbox", *places, "--workers", str(self.workers)]

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Asks the supervisor to stop and returns its exit code."""
        os.kill(self.supervisor, how)
        return self.wait()

    def wait(self) -> int:
        """The supervisor's exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait(DEADLINE_S)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One `moneyback` command beside the server, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "moneyback", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self._source,
            env=environment(self._source),
            timeout=DEADLINE_S,
            check=False,
        )

    def verify(self) -> None:
        """Fails unless every counter and balance follows from the ledger's movements."""
        done = self.run("verify", "--data", str(self.data))
        assert done.returncode == 0, f"moneyback verify:\n{done.stdout}{done.stderr}"

    def destroy(self) -> None:
        """Ends whatever still lives of it, and removes its database."""
        for group in self._groups:
            if members(group):
                os.killpg(group, signal.SIGKILL)
            until_empty(group)
        if self._process is not None:
            self._process.wait()
        destroy_cluster(self.data)

    @property
    def serves(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def ready(self) -> dict[str, Any]:
        """The ready file's sections."""
        return json.loads(self.ready_file.read_text())

    @property
    def log(self) -> str:
        """All it has printed so far."""
        return self.log_file.read_text()

    def _is_ready(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"the sandbox ended with {code} before it was ready:\n{self.log[-4000:]}"
        return self.ready_file.exists()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of our own to its database."""
        with await asyncio.to_thread(open_cluster, self.data) as cluster:
            connection = await asyncpg.connect(cluster.dsn)
            try:
                yield connection
            finally:
                await connection.close()

    # --- its processes -----------------------------------------------------------------------------------------------

    @property
    def supervisor(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def group(self) -> set[int]:
        """All that live in its process group: supervisor, workers, and what keeps count of their resources."""
        return members(self.supervisor)

    def worker_pids(self) -> set[int]:
        """The workers that live now."""
        return {pid for pid in self.group if b"--multiprocessing-fork" in command_line(pid)}

    def postmaster(self) -> int | None:
        """The process that listens for its database, as the kernel knows it."""
        where = Where.read(self.data / "postgres")
        return None if where is None else guardian._listener(where.socket_dir)

    @property
    def database_socket(self) -> Path:
        """Where its database listens."""
        where = Where.read(self.data / "postgres")
        assert where is not None
        return Path(where.socket_dir) / guardian.SOCKET_NAME

    def postgres_processes(self) -> set[int]:
        """The database's processes that live now."""
        where = Where.read(self.data / "postgres")
        if where is None:
            return set()
        home = os.fsencode(where.home) + b"/"
        heads = {pid for pid, _, _ in processes() if any(home in word for word in command_line(pid))}
        return heads | {pid for pid, parent, _ in processes() if parent in heads}

    def listeners(self) -> int:
        """How many sockets wait for connections on its port: each worker has one of its own."""
        return sum(ours == self.port and state == LISTENING for ours, _, state, _ in connections())

    def serves_with_others_than(self, before: set[int]) -> bool:
        """Whether it is complete again, and none of these workers is left."""
        now = self.worker_pids()
        return not now & before and len(now) == self.workers == self.listeners()

    def worker_of(self, client_port: int) -> int:
        """The worker that has accepted the connection from this port of ours."""
        found = until(lambda: self._accepted(client_port), f"a worker has the connection from {client_port}")
        return int(found)

    def _accepted(self, client_port: int) -> int | None:
        ends = {
            f"socket:[{inode}]"
            for ours, theirs, state, inode in connections()
            if (ours, theirs, state) == (self.port, client_port, ESTABLISHED)
        }
        return next((pid for pid in self.worker_pids() if ends & open_files(pid)), None)

    # --- violence ----------------------------------------------------------------------------------------------------

    def kill_worker(self, random: Random) -> int:
        """kill -9 of one worker; returns which."""
        victim = random.choice(sorted(self.worker_pids()))
        os.kill(victim, signal.SIGKILL)
        return victim

    def kill_supervisor(self) -> None:
        """kill -9 of the supervisor alone; returns once its orphans have noticed."""
        group = self.supervisor
        os.kill(group, signal.SIGKILL)
        self.wait()
        until_empty(group)

    def kill_group(self) -> None:
        """kill -9 of supervisor and workers at once. The database goes on."""
        group = self.supervisor
        os.killpg(group, signal.SIGKILL)
        self.wait()
        until_empty(group)

    def kill_postgres(self) -> int:
        """kill -9 of the postmaster; returns which it was."""
        pid = until(self.postmaster, "a postmaster to kill")
        os.kill(pid, signal.SIGKILL)
        return int(pid)

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """The database is gone, and nobody can start another inside: its start lock is ours."""
        lock = Lock(self.data / "postgres" / guardian.START_LOCK)
        try:
            until(lock.try_exclusive, "the start lock is free")
            self.kill_postgres()
            until(lambda: not self.postgres_processes(), "the last process of the database ended")
            yield
        finally:
            lock.close()

    @contextmanager
    def silent_database(self) -> Iterator[None]:
        """Every process of the database stands still inside: connections stay, and nobody answers."""
        first = int(until(self.postmaster, "a postmaster to stop"))
        stopped = [first]
        try:
            os.kill(first, signal.SIGSTOP)  # before the others are counted: from now on there are no new ones
            until(lambda: state_of(first) == "T", "the postmaster stands still")
            for pid in self.postgres_processes() - {first}:
                with suppress(ProcessLookupError):  # it was about to end
                    os.kill(pid, signal.SIGSTOP)
                    stopped.append(pid)
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@contextmanager
def sandbox(data: Path, *, workers: int = 2, source: Path = ROOT) -> Iterator[Sandbox]:
    """A running sandbox; nothing of it is left afterwards, however the test ends."""
    one = Sandbox(data, workers=workers, source=source)
    try:
        yield one.start()
    finally:
        one.destroy()


# --- what the kernel knows -------------------------------------------------------------------------------------------

_reserved: list[socket.socket] = []
"""Names that only one process may bind, each of which stands for a port: they go with this one."""


def free_port() -> int:
    """A port nobody listens on, below those the kernel gives to clients: one of them could take it meanwhile.

    Nor is it given to any other test that runs now, in this process or beside it: between two lives of a server nobody
    listens on its port.
    """
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    random = Random(os.urandom(8))
    while True:
        port = random.randrange(max(1024, low - 12_000), low)
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0moneyback-tests/{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            name.close()
            continue
        _reserved.append(name)
        return port


def listens(port: int) -> bool:
    """Whether anybody listens on a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def processes() -> Iterator[tuple[int, int, int]]:
    """(process, parent, group) of all that live; who has ended and was not reaped yet does not."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it has ended meanwhile
        if state != "Z":
            yield int(entry.name), int(parent), int(group)


def state_of(pid: int) -> str:
    """What a process does, in the kernel's letters: R runs, S sleeps, T stands still."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def members(group: int) -> set[int]:
    """The processes of a group."""
    return {pid for pid, _, each in processes() if each == group}


def command_line(pid: int) -> list[bytes]:
    """A process's arguments; none once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def open_files(pid: int) -> set[str]:
    """What a process has open, by the kernel's names."""
    found = set()
    try:
        for each in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found.add(str(each.readlink()))
            except OSError:
                continue  # it was closed meanwhile
    except OSError:
        pass
    return found


def environment(source: Path) -> dict[str, str]:
    """Ours, without what would lead the product to another database or folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MONEYBACK_")}
    return {**kept, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}


def connections() -> Iterator[tuple[int, int, str, str]]:
    """(own port, other port, state, inode) of every TCP socket."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        yield int(words[1].rpartition(":")[2], 16), int(words[2].rpartition(":")[2], 16), words[3], words[9]
