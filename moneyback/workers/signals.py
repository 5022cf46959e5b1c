"""How a serving process hears that it shall end: its supervisor tells it, by one SIGTERM, and it surely hears that.

Its HTTP server listens to signals by itself, with three gaps that are closed here. Ctrl-C reaches the whole group, and
a worker that ends by it looks to the supervisor like one that failed. A third signal while the server stops would block
it for good. And the server runs its event loop twice, to start and to serve: uvloop notes a signal that comes between
the two runs, but acts on it only when the next one comes.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

LOOK_EVERY_S = 0.5


def ignore(number: signal.Signals) -> None:
    """From here on a signal means nothing to this process. Called in its main thread, where its loop runs."""
    asyncio.get_running_loop().remove_signal_handler(number)
    signal.signal(number, signal.SIG_IGN)


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
