"""What a serving process hears of the signals that reach it, on the event loop it really runs on."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest
import uvloop

from moneyback.workers.signals import hear_what_was_missed, ignore

PATIENCE_S = 20


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ignored_signal_neither_ends_the_process_nor_reaches_a_handler(
    loop: asyncio.AbstractEventLoop, number: signal.Signals
):
    heard: list[str] = []
    loop.add_signal_handler(number, heard.append, "told")

    async def serve() -> None:
        ignore(number)
        os.kill(os.getpid(), number)
        hear_what_was_missed()
        await some_turns()

    loop.run_until_complete(serve())
    loop.run_until_complete(some_turns())
    assert heard == []
