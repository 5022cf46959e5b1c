"""What a serving process hears of the signals that reach it, on the event loop it really runs on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from moneyback.workers.signals import hear_what_was_missed

PATIENCE_S = 60
ROOT = Path(__file__).parents[2]

# Told to end three times before its server listens to what it is told.
TOLD_EARLY = """
import asyncio, os, signal, uvloop
from moneyback.workers.signals import listen
loop = uvloop.new_event_loop()
listen(loop)
async def start():
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(10):
            await asyncio.sleep(0)
loop.run_until_complete(start())
print("started")
"""

# Told to end while it waits for what never comes, or just before.
WAITS = """
import asyncio, os, signal, uvloop
from moneyback.workers.signals import listen, nothing_begun
loop = uvloop.new_event_loop()
listen(loop)
async def start():
    if {early}:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(10):
            await asyncio.sleep(0)
    with nothing_begun():
        if not {early}:
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()
loop.run_until_complete(start())
"""


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """uvloop; afterwards, Ctrl-C ends the tests again."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    one = uvloop.new_event_loop()
    try:
        yield one
    finally:
        one.close()
        for number, handler in before.items():
            signal.signal(number, handler)


async def some_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_signal_between_two_runs_of_the_loop_is_heard_in_the_second(loop: asyncio.AbstractEventLoop):
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    loop.run_until_complete(some_turns())
    os.kill(os.getpid(), signal.SIGTERM)

    async def serve() -> bool:
        hear_what_was_missed()
        async with asyncio.timeout(PATIENCE_S):
            return await heard.wait()

    assert loop.run_until_complete(serve())


def test_looking_for_missed_signals_is_no_signal_and_loses_none(loop: asyncio.AbstractEventLoop):
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)

    async def serve() -> None:
        for _ in range(5):
            hear_what_was_missed()
            await some_turns()
        assert not heard.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            await heard.wait()

    loop.run_until_complete(serve())


def test_told_to_end_again_while_it_starts_a_worker_is_not_blocked():
    done = in_a_process(TOLD_EARLY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")


@pytest.mark.parametrize("early", [True, False])
def test_told_to_end_while_nothing_has_begun_a_worker_ends_at_once(early: bool):
    done = in_a_process(WAITS.format(early=early))
    assert (done.returncode, done.stderr) == (0, "")


def in_a_process(code: str) -> subprocess.CompletedProcess[str]:
    """What is said about the end of a process would be said about ours."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=PATIENCE_S, check=False
    )
