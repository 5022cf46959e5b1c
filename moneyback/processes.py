"""The supervisor: resolves the database, prepares it, starts the workers, waits until they answer, says so in a file.

It handles no request itself. Workers that die are started again; workers whose supervisor dies exit by themselves.
"""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import signal
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NoReturn

import msgspec
from granian.constants import Interfaces, Loops
from granian.server.mp import MPServer

from moneyback.flows.work import DRAIN_S
from moneyback.settings import Settings, hand_down
from moneyback.store.embedded import Cluster, open_cluster
from moneyback.workers.signals import serve_worker

WATCH_S = 0.5
SAID_WITHIN_S = 5.0
WORKER_STOPS_WITHIN_S = int(DRAIN_S) + 15
"""When a worker that was told to end is killed. Until then it sends and records what is on its way."""


class PortTaken(Exception):
    """Something else listens where Moneyback was told to."""


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[tuple[Settings, Cluster | None]]:
    """The settings with a DSN: the one given, or that of the embedded PostgreSQL, joined or owned while inside."""
    if settings.dsn is not None:
        yield settings, None
        return
    with stopped_in_order(), open_cluster(Path(settings.data_dir)) as cluster:
        yield msgspec.structs.replace(settings, dsn=cluster.dsn), cluster


@contextlib.contextmanager
def stopped_in_order() -> Iterator[None]:
    """Being told to end lets go of what was begun, as Ctrl-C does: by itself it would leave the database behind.

    The first signal counts: a second one would interrupt just that. Whoever listens to signals later takes over.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: object) -> NoReturn:
        for each in listened:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    listened = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    for each in listened:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in listened:
            signal.signal(each, signal.SIG_DFL)


def supervise(
    settings: Settings,
    cluster: Cluster | None,
    *,
    ready_file: Path | None = None,
    describe: Callable[[], Mapping[str, Any]] = dict,
    announce: Callable[[], None] = lambda: None,
) -> None:
    """Serve until told to stop. `describe` gives the ready file's content, `announce` speaks once all is ready."""
    demand_free_port(settings.host, settings.port)
    with claimed(settings.host, settings.port):
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
        hand_down(msgspec.structs.replace(settings, parent=os.getpid()))
        # A forked worker would inherit the threads' locks and the database's: each starts afresh.
        multiprocessing.set_start_method("spawn", force=True)
        server = _server(settings)
        stopped = threading.Event()
        ready = ReadyFile(ready_file)

        def say_when_ready() -> None:
            if wait_until_ready(settings.host, settings.port, stopped):
                server.respawned_wrks = Forgetful()
                ready.write(describe())
                announce()

        def keep_database() -> None:
            while cluster is not None and not stopped.wait(WATCH_S):
                with contextlib.suppress(Exception):  # tried again at the next turn; the workers answer 503 until then
                    cluster.ensure_running()

        # Two threads: what keeps the one, a terminal that takes no more words for instance, must not keep the other.
        saying = threading.Thread(target=say_when_ready, name="say_when_ready", daemon=True)
        server.on_startup(saying.start)
        server.on_startup(threading.Thread(target=keep_database, name="keep_database", daemon=True).start)
        try:
            server.serve(spawn_target=serve_worker)
        except SystemExit:
            # A worker that was interrupted together with us, before it served, is taken for one that failed.
            if not server.interrupt_signal:
                raise
        finally:
            stopped.set()
            for worker in server.wrks:  # none, but for an error: we would wait for them, and nobody tells them to end
                worker.kill()  # type: ignore[no-untyped-call]
            ready.remove()
            if saying.is_alive():
                saying.join(SAID_WITHIN_S)  # Python does not end well while another thread prints


def _server(settings: Settings) -> MPServer:
    server = MPServer(
        "moneyback.wiring:create_app",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        loop=Loops.uvloop,
        backlog=4096,
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=True,
        respawn_interval=0.2,
        workers_kill_timeout=WORKER_STOPS_WITHIN_S,
    )
    server.main_loop_interrupt = Bell()
    server.interrupt_children = Deaths()
    hung_up = signal.getsignal(signal.SIGHUP)

    def end_with_the_terminal() -> None:
        """Its own answer to a hang-up is to replace every worker. Started with nohup, the service outlives it."""
        ignored = hung_up is signal.SIG_IGN
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else server.signal_handler_interrupt)

    server.on_startup(end_with_the_terminal)
    return server


class Bell(threading.Event):
    """What wakes the supervisor's main thread. Every ring is answered, and none is taken back.

    A signal's handler rings it, in that same thread, at any moment. The standard event takes a lock to be set: were the
    thread inside already, in an earlier handler perhaps, it would wait for itself. And the server clears the event
    after it has looked why it woke: a signal, or a worker's death, that came in between would be forgotten.

    Nor is a sleep long. Python answers a signal when its main thread runs, and one that comes when the thread is about
    to sleep, or that the kernel hands to another thread, does not wake it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rings = SimpleQueue[None]()  # whose put may interrupt whatever else is done with it

    def set(self) -> None:
        """Ring it."""
        self._rings.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Answer one ring."""
        while True:
            with contextlib.suppress(Empty):
                self._rings.get(timeout=WATCH_S)
                return True

    def clear(self) -> None:
        """Nothing: what rang since is to be answered."""


class Deaths(list[int]):
    """Which workers have ended. Granian reads the list and then clears it: cleared is what was read."""

    def __init__(self) -> None:
        super().__init__()
        self._read = 0

    def __iter__(self) -> Iterator[int]:
        read = self[:]
        self._read = len(read)
        return iter(read)

    def clear(self) -> None:
        """Forget what was read."""
        del self[: self._read]


class Forgetful(dict[int, float]):
    """When each worker was replaced last. Granian asks, and ends the service if a worker dies again within seconds.

    Right for one that cannot start at all; but once all have served, any may be killed at any time, and is replaced.
    """

    def __setitem__(self, worker: int, at: float) -> None:
        """Nothing is remembered."""


def demand_free_port(host: str, port: int) -> None:
    """Raises PortTaken with a sentence when something listens there already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _taken(host, port, error) from error


@contextlib.contextmanager
def claimed(host: str, port: int) -> Iterator[None]:
    """Nobody else starts on this port meanwhile. Raises PortTaken.

    Linux lets every worker listen on the port for itself, and would let those of another service in among them, should
    both start at once. So a name that only one may bind, and that goes with its process, stands for the port.
    """
    if sys.platform != "linux":
        yield
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as claim:
        try:
            claim.bind(f"\0moneyback/{os.geteuid()}/{at(host, port)}")
        except OSError as error:
            if error.errno == errno.EADDRINUSE:  # else there are no such names here, and we do without
                raise _taken(host, port, error) from error
        yield


def _taken(host: str, port: int, error: OSError) -> PortTaken:
    return PortTaken(f"cannot listen on {host}:{port}: {error.strerror}. Choose another with --port.")


def wait_until_ready(host: str, port: int, stopped: threading.Event) -> bool:
    """Whether the workers answered /readyz before all was stopped."""
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://{at(host, port)}/readyz"
    while not stopped.is_set():
        with contextlib.suppress(OSError, HTTPException), directly.open(url, timeout=2) as answer:
            if answer.status == 200:
                return True
        stopped.wait(0.02)
    return False


def at(host: str, port: int) -> str:
    """Host and port as they stand in a URL; an address that means "everywhere" is reached on the loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class ReadyFile:
    """The file that says that all is ready, for as long as it is. Several services may be told to use the same one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._over = False
        self._own: tuple[int, int] | None = None

    def write(self, content: Mapping[str, Any]) -> None:
        """Say it, unless it is over."""
        with self._lock:
            if self._path is not None and not self._over:
                self._own = write_atomically(self._path, json.dumps(content, indent=2) + "\n")

    def remove(self) -> None:
        """Say it no longer. What another has written there since is left."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            self._over = True
            if self._path is not None and self._own == identity(self._path.stat()):
                self._path.unlink()


def identity(file: os.stat_result) -> tuple[int, int]:
    """Which file it is, under whatever name."""
    return file.st_dev, file.st_ino


def write_atomically(path: Path, text: str, mode: int = 0o600) -> tuple[int, int]:
    """Nobody ever reads half a file, and only its owner reads it at all. Returns the new file's identity."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        written = identity(os.fstat(file.fileno()))
    fresh.replace(path)
    return written
