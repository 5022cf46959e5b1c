"""The supervisor: resolves the database, prepares it, starts the workers, waits until they answer, says so in a file.

It handles no request itself. Workers that die are started again; workers whose supervisor dies exit by themselves.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from granian.constants import Interfaces, Loops
from granian.server import Server

from moneyback.flows.work import DRAIN_S
from moneyback.settings import Settings, hand_down
from moneyback.store.embedded import Cluster, open_cluster

READY_WITHIN_S = 60.0
WATCH_S = 0.5
STOP_WITHIN_S = 20
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
    with open_cluster(Path(settings.data_dir)) as cluster:
        yield msgspec.structs.replace(settings, dsn=cluster.dsn), cluster


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
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)
    hand_down(msgspec.structs.replace(settings, parent=os.getpid()))
    # A forked worker would inherit the threads' locks and the database's: each starts afresh.
    multiprocessing.set_start_method("spawn", force=True)
    server = Server(
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
    stopped = threading.Event()

    def watch() -> None:
        if wait_until_ready(settings.host, settings.port, stopped):
            server.respawned_wrks = Forgetful()
            if ready_file is not None:
                write_atomically(ready_file, json.dumps(describe(), indent=2) + "\n")
            announce()
        while not stopped.wait(WATCH_S):
            if server.interrupt_signal:
                server.main_loop_interrupt.set()  # it clears this when a worker failed at the same moment
            if cluster is not None:
                with contextlib.suppress(Exception):  # tried again at the next turn; the workers answer 503 until then
                    cluster.ensure_running()

    watcher = threading.Thread(target=watch, name="watch", daemon=True)
    server.on_startup(watcher.start)
    try:
        server.serve()
    except SystemExit:
        # A worker that was interrupted together with us, before it served, is taken for one that failed.
        if not server.interrupt_signal:
            raise
    finally:
        stopped.set()
        if watcher.is_alive():
            watcher.join(STOP_WITHIN_S)  # it might write the ready file, or start the database, just now
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


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
            raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}. Choose another with --port.") from error


def wait_until_ready(host: str, port: int, stopped: threading.Event) -> bool:
    """Whether the workers answered /readyz before the patience ran out."""
    until = time.monotonic() + READY_WITHIN_S
    url = f"http://{at(host, port)}/readyz"
    while time.monotonic() < until and not stopped.is_set():
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return True
        except (OSError, urllib.error.URLError):
            stopped.wait(0.02)
    return False


def at(host: str, port: int) -> str:
    """Host and port as they stand in a URL; an address that means "everywhere" is reached on the loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Nobody ever reads half a file, and only its owner reads it at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
