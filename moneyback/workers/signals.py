"""How a serving process hears that it shall end: its supervisor tells it by SIGTERM, and it surely hears that, once.

Its HTTP server listens to signals by itself, with gaps that are closed here. Ctrl-C and a terminal that hangs up reach
the whole group, and a worker that ends by them looks to the supervisor like one that failed. Whoever stops a service
may tell the whole group, too, so that a worker is told twice: while it starts, or stops, a second signal would block it
for good. And the server runs its event loop twice, to start and to serve: uvloop notes a signal that comes between the
two runs, but acts on it only when the next one comes.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from granian import _signals as granian_signals
from granian._granian import WorkerSignal
from granian.server.mp import MPServer

LOOK_EVERY_S = 0.5


class _Stop:
    """What this process knows of its end."""

    told = False
    begun = True
    """Whether there may be something under way. If not, there is nothing to wait for."""


def serve_worker(*words: Any) -> None:
    """A worker process as granian starts it, with our way to hear that it shall end."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    granian_signals.set_loop_signals = listen
    MPServer._spawn_asgi_lifespan_worker(*words)


def listen(loop: asyncio.AbstractEventLoop) -> WorkerSignal:
    """What tells the server to end, once, however often this process is told."""
    stop = WorkerSignal()

    def hear() -> None:
        if not _Stop.begun:
            os._exit(0)
        if not _Stop.told:
            _Stop.told = True
            stop.set()

    loop.add_signal_handler(signal.SIGTERM, hear)
    return stop


@contextmanager
def nothing_begun() -> Iterator[None]:
    """Told to end meanwhile, this process does so at once: what is waited for inside may never come."""
    if _Stop.told:
        os._exit(0)
    _Stop.begun = False
    try:
        yield
    finally:
        _Stop.begun = True


async def follow(parent: int) -> None:
    """End this process at once when the supervisor that started it is gone; being killed is what it is built for.

    Until then, see to it that what the supervisor said is heard.
    """
    while os.getppid() == parent:
        hear_what_was_missed()
        await asyncio.sleep(LOOK_EVERY_S)
    os._exit(1)


def hear_what_was_missed() -> None:
    """Let the running loop act on signals that came while it did not run: a null byte wakes it, and means no signal."""
    descriptor = signal.set_wakeup_fd(-1)
    if descriptor != -1:
        signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
        with suppress(BlockingIOError):  # full: then it is awake
            os.write(descriptor, b"\0")
