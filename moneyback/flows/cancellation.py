"""What must not stop half way: a task may be cancelled at any await, and what was sent is recorded all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(story: Coroutine[Any, Any, T]) -> T:
    """Its result, however often the task that waits for it is cancelled meanwhile; `is_cancelled` tells of that."""
    task = asyncio.get_running_loop().create_task(story)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    return task.result()


def is_cancelled() -> bool:
    """Whether the present task was told to end, and something in it goes on to the end nevertheless."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
