"""The simulated event loop: one seed is one history, a crash runs no code, and nothing reaches the real world."""

import asyncio
import contextvars
import gc
import hashlib
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moneyback.simulator.loop import (
    Forbidden,
    Process,
    SimLoop,
    SimulationError,
    Step,
    StepLimitReached,
    Stuck,
    run,
)

START = datetime(2030, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
SEEDS = range(200)

Main = Callable[[SimLoop], Coroutine[Any, Any, Any]]


def simulate(main: Main, seed: int = 0, **limits: int) -> Any:
    return run(seed, main, start=START, **limits)


def caught(main: Main) -> list[str]:
    """What the run collected, as text."""
    with pytest.raises(BaseExceptionGroup) as group:
        simulate(main)
    return [str(error) for error in group.value.exceptions]


# --- one seed, one history -------------------------------------------------------------------------------------------


async def busy(loop: SimLoop) -> tuple[Step, ...]:
    """A bit of everything, walks through sets of tasks included."""
    queue: asyncio.Queue[int] = asyncio.Queue(2)
    lock = asyncio.Lock()

    async def produce(first: int) -> None:
        for number in range(first, first + 5):
            async with lock:
                await asyncio.sleep(number / 1000)
            await queue.put(number)

    async def consume() -> None:
        while True:
            async with asyncio.timeout(0.5):
                await queue.get()

    async def last_of_many() -> None:
        with pytest.raises(ExceptionGroup):  # the others are cancelled in the order of a set
            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(loop.hang())
                group.create_task(consume())

    crowd = [loop.spawn(loop.process("worker"), produce(n)) for n in (0, 10, 20)]
    await asyncio.gather(last_of_many(), asyncio.wait(crowd))
    return loop.trace


def test_the_same_seed_gives_the_same_steps() -> None:
    assert simulate(busy, 7) == simulate(busy, 7)


def test_other_seeds_give_other_steps() -> None:
    assert len({simulate(busy, seed) for seed in range(20)}) == 20


def test_steps_name_number_time_process_and_task() -> None:
    async def main(loop: SimLoop) -> tuple[Step, ...]:
        await loop.spawn(loop.process("api"), asyncio.sleep(1.5), name="nap")
        return loop.trace

    *_, woken = [step for step in simulate(main) if step.name == "nap"]
    assert (woken.time_us, woken.process) == (1_500_000, "api.1")
    assert [step.number for step in simulate(main)] == list(range(1, len(simulate(main)) + 1))


def test_the_trace_keeps_the_latest_steps_only() -> None:
    async def main(loop: SimLoop) -> tuple[Step, ...]:
        for _ in range(50):
            await asyncio.sleep(0)
        return loop.trace

    assert [step.number for step in simulate(main, trace_length_max=3)] == [49, 50, 51]


PRINT_DIGEST = """
import sys
ballast = [object() for _ in range(int(sys.argv[1]))]  # moves what comes after it to other addresses
from tests.simulator.test_loop import digest
print(digest())
"""


def digest() -> str:
    return hashlib.sha256(repr([simulate(busy, seed) for seed in range(5)]).encode()).hexdigest()


def test_neither_hash_seeds_nor_addresses_change_the_steps() -> None:
    def elsewhere(hash_seed: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST, str(hash_seed * 1_001)],
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    assert {elsewhere(1), elsewhere(2), digest()} == {digest()}


# --- interleavings ---------------------------------------------------------------------------------------------------


def balance_after_two(lock: Callable[[], Any]) -> Main:
    """Two tasks that each read a balance, yield, and write it back increased by one."""

    async def main(loop: SimLoop) -> int:
        guard, balance = lock(), 0

        async def increase() -> None:
            nonlocal balance
            async with guard:
                seen = balance
                await asyncio.sleep(0)
                balance = seen + 1

        await asyncio.gather(increase(), increase())
        return balance

    return main


class NoLock:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_error: object) -> None: ...


def test_some_seeds_show_a_lost_update_and_some_do_not() -> None:
    assert {simulate(balance_after_two(NoLock), seed) for seed in SEEDS} == {1, 2}


def test_a_lock_prevents_the_lost_update_in_all_seeds() -> None:
    assert {simulate(balance_after_two(asyncio.Lock), seed) for seed in SEEDS} == {2}


def test_every_order_of_two_tasks_of_two_steps_is_reached() -> None:
    async def main(loop: SimLoop) -> str:
        told = []

        async def tell(letter: str) -> None:
            told.append(letter)
            await asyncio.sleep(0)
            told.append(letter)

        await asyncio.gather(tell("a"), tell("b"))
        return "".join(told)

    assert {simulate(main, seed) for seed in SEEDS} == {"aabb", "abab", "abba", "bbaa", "baba", "baab"}


def test_a_task_can_be_passed_over_by_many_steps_of_another() -> None:
    async def main(loop: SimLoop) -> int:
        steps = 0

        async def walk() -> None:
            nonlocal steps
            for _ in range(30):
                steps += 1
                await asyncio.sleep(0)

        async def look() -> int:
            return steps

        walking, looking = asyncio.create_task(walk()), asyncio.create_task(look())
        await walking
        return await looking

    assert {0, 30} <= {simulate(main, seed) for seed in SEEDS}


# --- time ------------------------------------------------------------------------------------------------------------


def test_virtual_hours_pass_at_once() -> None:
    async def main(loop: SimLoop) -> timedelta:
        await asyncio.sleep(10_000 * 3600)
        return loop.now() - START

    assert simulate(main) == timedelta(hours=10_000)


def test_time_is_exact_to_the_microsecond() -> None:
    async def main(loop: SimLoop) -> tuple[datetime, float]:
        for _ in range(1_000):
            await asyncio.sleep(0.1)  # as floats these do not add up to 100
        await asyncio.sleep(1.001)  # times a million, as a float, this is less than 1001000
        await asyncio.sleep(0.000_001)
        return loop.now(), loop.time()

    assert simulate(main) == (START + timedelta(seconds=101, microseconds=1_001), 101.001001)


def test_time_stands_still_while_something_is_ready() -> None:
    async def main(loop: SimLoop) -> set[float]:
        asyncio.create_task(asyncio.sleep(0.001))  # noqa: RUF006
        times = set()
        for _ in range(100):
            await asyncio.sleep(0)
            times.add(loop.time())
        return times

    assert simulate(main) == {0.0}


def test_timers_ring_in_order_of_time_and_equal_ones_in_any_order() -> None:
    async def main(loop: SimLoop) -> str:
        rung: list[str] = []
        for when, letter in ((2, "c"), (1, "a"), (1, "b"), (3, "x"), (-1, "0")):
            timer = loop.call_at(when, rung.append, letter)
            if letter == "x":
                timer.cancel()
        await asyncio.sleep(5)
        return "".join(rung)

    assert {simulate(main, seed) for seed in range(50)} == {"0abc", "0bac"}


def test_timers_that_were_cancelled_or_dropped_do_not_move_time() -> None:
    times: list[float] = []

    async def main(loop: SimLoop) -> None:
        api = loop.process("api")
        loop.world.on_sever(lambda: times.append(loop.time()))
        loop.call_later(3, print).cancel()
        loop.spawn(api, asyncio.sleep(4))
        async with asyncio.timeout(3600):
            await asyncio.sleep(2)
        loop.crash(api)
        await loop.hang()

    with pytest.raises(Stuck):
        simulate(main)
    assert times == [2.0]


def test_a_start_without_a_time_zone_is_refused() -> None:
    with pytest.raises(SimulationError, match="time zone"):
        SimLoop(0, start=datetime(2030, 1, 1))  # noqa: DTZ001


# --- what asyncio code relies on -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_waiting_times_out(seed: int) -> None:
    async def main(loop: SimLoop) -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.hang(), 2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await loop.hang()
        return loop.time()

    assert simulate(main, seed) == 5.0


@pytest.mark.parametrize("seed", range(20))
def test_groups_shields_events_and_context_variables(seed: int) -> None:
    who = contextvars.ContextVar("who", default="nobody")

    async def main(loop: SimLoop) -> list[str]:
        heard, event = [], asyncio.Event()

        async def hear(name: str) -> None:
            who.set(name)
            await event.wait()
            heard.append(who.get())

        async with asyncio.TaskGroup() as group:
            for name in ("a", "b"):
                group.create_task(hear(name))
            kept = asyncio.ensure_future(hear("kept"))
            shielded = asyncio.shield(kept)
            shielded.cancel()
            await asyncio.sleep(1)
            event.set()
        await kept
        return [*sorted(heard), who.get()]

    assert simulate(main, seed) == ["a", "b", "kept", "nobody"]


def test_tasks_are_named_by_a_counter_of_the_run() -> None:
    async def main(loop: SimLoop) -> list[str]:
        tasks = [asyncio.create_task(loop.hang()), asyncio.create_task(loop.hang(), name="mine")]
        return [task.get_name() for task in tasks]

    assert simulate(main) == simulate(main) == ["SimLoop.hang#2", "mine"]


@pytest.mark.parametrize("crashes", [False, True])
def test_a_generator_left_half_way_is_closed_in_its_own_process_if_that_lives(crashes: bool) -> None:
    async def main(loop: SimLoop) -> None:
        api, closed_in = loop.process("api"), []

        async def numbers() -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(1)
                closed_in.append(loop.current_process())

        async def first(numbers: AsyncIterator[int]) -> int:
            return await anext(numbers)

        half_way = numbers()
        assert await loop.spawn(api, first(half_way)) == 1
        if crashes:
            loop.crash(api)
        del half_way
        await asyncio.sleep(2)
        assert closed_in == ([] if crashes else [api])

    simulate(main)


# --- crash -----------------------------------------------------------------------------------------------------------


class Diary:
    """What the code of a process did, and whether its world still listened."""

    def __init__(self, process: Process) -> None:
        self.lines: list[str] = []
        self.process = process

    def write(self, line: str) -> None:
        if self.process.alive:
            self.lines.append(line)

    async def guarded(self, inner: Coroutine[Any, Any, Any]) -> None:
        """Await `inner` inside everything that reacts to an end."""
        try:
            async with asyncio.timeout(50), asyncio.TaskGroup() as group:
                await group.create_task(inner)
        except BaseException as error:
            self.lines.append(type(error).__name__)
            raise
        finally:
            self.lines.append("finally")
            await asyncio.sleep(0)
            self.lines.append("after await in finally")


@pytest.mark.parametrize("seed", range(20))
def test_a_crash_runs_nothing_in_nested_tasks(seed: int) -> None:
    async def main(loop: SimLoop) -> list[str]:
        api = loop.process("api")
        diary = Diary(api)
        task = loop.spawn(api, diary.guarded(diary.guarded(asyncio.sleep(10))))
        loop.call_later(10, diary.lines.append, "timer", context=api.context())
        await asyncio.sleep(5)
        loop.crash(api)
        gc.collect()
        await asyncio.sleep(100)
        assert not task.done()
        assert not [step for step in loop.trace if step.process == "api.1" and step.time_us >= 5_000_000]
        return list(diary.lines)

    assert simulate(main, seed) == []


@pytest.mark.parametrize("crash_at", range(1, 25))
def test_a_crash_after_any_step_is_the_last_step(crash_at: int) -> None:
    async def main(loop: SimLoop) -> set[int]:
        api = loop.process("api")
        diary = Diary(api)

        def crash_in_time() -> None:
            if loop.steps == crash_at:
                loop.crash(api)

        loop.on_step = crash_in_time
        loop.spawn(api, diary.guarded(diary.guarded(asyncio.sleep(1))))
        await asyncio.sleep(60)
        return {step.number for step in loop.trace if step.process == "api.1"}

    assert max(simulate(main), default=0) <= crash_at


def test_a_process_is_severed_before_it_is_dropped() -> None:
    async def main(loop: SimLoop) -> list[object]:
        api = loop.process("api")
        seen: list[object] = []
        api.on_sever(lambda: seen.append((api.alive, len(api.tasks))))
        loop.spawn(api, loop.hang())
        loop.crash(api)
        loop.crash(api)
        api.on_sever(lambda: seen.append("late"))  # opened by a step that survived its process
        return seen

    assert simulate(main) == [(False, 1), "late"]


def test_what_was_dropped_ends_in_silence_after_the_run() -> None:
    """Freed only when all are severed and the loop is closed: no warning, no step, no new task."""
    lines: list[str] = []

    async def main(loop: SimLoop) -> None:
        api = loop.process("api")

        async def stubborn() -> None:
            try:
                await loop.hang()
            finally:
                lines.append(f"severed: {not api.alive}, closed: {loop.is_closed()}")
                try:
                    await asyncio.create_task(loop.hang())
                finally:
                    await asyncio.gather(loop.hang(), loop.hang())

        loop.spawn(api, stubborn())
        await asyncio.sleep(1)
        assert not lines

    simulate(main)
    gc.collect()
    assert lines == ["severed: True, closed: True"]


def test_a_process_that_crashes_itself_stops_at_its_next_await() -> None:
    async def main(loop: SimLoop) -> list[str]:
        api, lines = loop.process("api"), []

        async def fall() -> None:
            loop.crash(api)
            asyncio.create_task(loop.hang())  # noqa: RUF006
            lines.append("same step")
            await asyncio.sleep(0)
            lines.append("next step")

        async def fall_and_fail() -> None:
            loop.crash(worker)
            await fail()

        worker = loop.process("worker")
        loop.spawn(api, fall())
        loop.spawn(worker, fall_and_fail())
        await asyncio.sleep(1)
        return lines

    assert simulate(main) == ["same step"]


def test_who_waits_for_a_dropped_task_waits_for_ever() -> None:
    async def main(loop: SimLoop) -> float:
        api = loop.process("api")
        answer = loop.spawn(api, asyncio.sleep(1, "answer"))
        loop.call_later(0.5, loop.crash, api)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(answer), 3600)
        return loop.time()

    assert simulate(main) == 3600.0


def test_an_answer_to_a_crashed_process_wakes_nobody() -> None:
    async def main(loop: SimLoop) -> list[str]:
        api, lines = loop.process("api"), []
        answers = [loop.create_future(), loop.create_future()]

        async def ask(answer: asyncio.Future[str]) -> None:
            lines.append(await answer)

        for answer in answers:
            loop.spawn(api, ask(answer))
        await asyncio.sleep(1)
        loop.crash(api)
        answers[0].set_result("too late")
        answers[1].set_exception(ConnectionResetError())
        answers.clear()
        loop.create_future().set_exception(ConnectionResetError())  # to a task that is gone altogether
        await asyncio.sleep(1)
        return lines

    assert simulate(main) == []


def test_what_a_process_handed_to_the_world_goes_on_without_it() -> None:
    async def main(loop: SimLoop) -> list[str]:
        api = loop.process("api")
        arrived: list[str] = []

        async def send() -> None:
            loop.call_later(1, arrived.append, "on the wire", context=loop.world.context())
            loop.call_later(1, arrived.append, "in the process")
            await loop.hang()

        loop.spawn(api, send())
        await asyncio.sleep(0.5)
        loop.crash(api)
        await asyncio.sleep(1)
        return arrived

    assert simulate(main) == ["on the wire"]


def test_a_restart_is_a_new_generation_that_the_crash_does_not_touch() -> None:
    async def main(loop: SimLoop) -> str:
        first, second = loop.process("api"), loop.process("api")
        answer = loop.spawn(second, asyncio.sleep(1, "alive"))
        loop.crash(first)
        assert [repr(process) for process in loop.processes[1:]] == ["<Process api.1 crashed>", "<Process api.2>"]
        return await answer

    assert simulate(main) == "alive"


def test_tasks_made_by_tasks_of_a_process_belong_to_it() -> None:
    async def main(loop: SimLoop) -> set[Process]:
        seen = set()

        async def nest(depth: int) -> None:
            seen.add(loop.current_process())
            if depth:
                await asyncio.gather(nest(depth - 1), asyncio.create_task(nest(depth - 1)))

        api = loop.process("api")
        await loop.spawn(api, nest(3))
        assert loop.current_process() is loop.world
        assert seen == {api}
        return seen

    simulate(main)


def test_a_process_inherits_no_context_variable_of_who_starts_it() -> None:
    who = contextvars.ContextVar("who", default="nobody")

    async def main(loop: SimLoop) -> str:
        async def look() -> str:
            return who.get()

        who.set("main")
        return await loop.spawn(loop.process("api"), look())

    assert simulate(main) == "nobody"


@pytest.mark.parametrize("act", [SimLoop.crash, SimLoop.pause])
def test_the_world_itself_neither_crashes_nor_pauses(act: Callable[[SimLoop, Process], None]) -> None:
    async def main(loop: SimLoop) -> None:
        act(loop, loop.world)

    with pytest.raises(SimulationError, match="world"):
        simulate(main)


# --- pause -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_paused_process_wakes_after_its_lease_has_expired(seed: int) -> None:
    async def main(loop: SimLoop) -> dict[str, float]:
        worker, noticed = loop.process("worker"), {}

        async def work() -> None:
            lease_until = loop.time() + 60
            await asyncio.sleep(1)
            noticed["woke"] = loop.time()
            noticed["late by"] = loop.time() - lease_until

        task = loop.spawn(worker, work())
        loop.call_later(0.5, loop.pause, worker)
        loop.call_later(300, loop.resume, worker)
        await task
        return noticed

    assert simulate(main, seed) == {"woke": 300.0, "late by": 240.0}


def test_a_pause_keeps_what_was_ready_and_what_becomes_ready() -> None:
    async def main(loop: SimLoop) -> list[float]:
        worker, run_at = loop.process("worker"), []
        loop.call_soon(lambda: run_at.append(loop.time()), context=worker.context())
        loop.pause(worker)
        loop.pause(worker)
        loop.call_soon(lambda: run_at.append(loop.time()), context=worker.context())
        loop.call_later(3, lambda: run_at.append(loop.time()), context=worker.context())
        await asyncio.sleep(2)
        loop.resume(worker)
        loop.resume(worker)
        await asyncio.sleep(2)
        return run_at

    assert simulate(main) == [2.0, 2.0, 3.0]


def test_a_paused_process_that_crashes_never_wakes() -> None:
    async def main(loop: SimLoop) -> bool:
        worker = loop.process("worker")
        task = loop.spawn(worker, asyncio.sleep(0))
        loop.pause(worker)
        loop.crash(worker)
        loop.resume(worker)
        await asyncio.sleep(1)
        return task.done()

    assert simulate(main) is False


# --- failures --------------------------------------------------------------------------------------------------------


async def fail(text: str = "broken") -> None:
    raise ValueError(text)


def test_a_task_failure_that_nobody_looks_at_fails_the_run() -> None:
    async def main(loop: SimLoop) -> None:
        task = loop.spawn(loop.process("worker"), fail("unseen"))
        task.add_done_callback(lambda _task: None)  # to be told is not to look
        await asyncio.sleep(1)

    assert caught(main) == ["unseen"]


def test_a_task_failure_that_somebody_looks_at_is_theirs() -> None:
    async def main(loop: SimLoop) -> str:
        task = asyncio.create_task(fail())
        await asyncio.sleep(1)
        with pytest.raises(ValueError, match="broken"):
            await task
        return "went on"

    assert simulate(main) == "went on"


def test_a_crash_does_not_hide_an_earlier_failure() -> None:
    async def main(loop: SimLoop) -> None:
        worker = loop.process("worker")
        loop.spawn(worker, fail("before the crash"))
        await asyncio.sleep(1)
        loop.crash(worker)
        await asyncio.sleep(1)

    assert caught(main) == ["before the crash"]


def test_a_failure_whose_reader_crashed_on_the_way_to_it_is_no_failure() -> None:
    async def main(loop: SimLoop) -> str:
        worker = loop.process("worker")

        async def parent() -> None:
            await asyncio.create_task(fail(), name="child")

        def crash_after_child() -> None:
            if loop.trace[-1].name == "child":
                loop.crash(worker)

        loop.on_step = crash_after_child
        loop.spawn(worker, parent())
        await asyncio.sleep(1)
        return "no failure" if not worker.alive else "no crash"

    assert simulate(main) == "no failure"


def test_a_failing_callback_ends_the_run_at_once() -> None:
    async def main(loop: SimLoop) -> None:
        loop.call_later(1, int, "x")
        loop.call_later(2, int, "y")
        await asyncio.sleep(3)

    [error] = caught(main)
    assert "'x'" in error


def test_what_main_raises_comes_first_and_names_the_others() -> None:
    async def main(loop: SimLoop) -> None:
        asyncio.create_task(fail("elsewhere"))  # noqa: RUF006
        await asyncio.sleep(1)
        await fail("main")

    with pytest.raises(ValueError, match="main") as error:
        simulate(main, 42)
    others, seed = error.value.__notes__
    assert "elsewhere" in others
    assert "seed 42: step" in seed


def test_a_world_in_which_nothing_can_happen_says_who_waits() -> None:
    async def main(loop: SimLoop) -> None:
        worker = loop.process("worker")
        loop.spawn(worker, asyncio.sleep(1), name="held up")
        loop.pause(worker)
        await loop.hang()

    with pytest.raises(Stuck, match=r"main#1; <Process worker\.1 paused>: held up"):
        simulate(main)


def test_a_stuck_world_tells_of_the_failure_behind_it() -> None:
    async def main(loop: SimLoop) -> None:
        loop.spawn(loop.process("worker"), fail("why"))
        await loop.hang()

    assert caught(main) == ["why"]


def test_steps_are_counted_and_limited() -> None:
    async def main(loop: SimLoop) -> None:
        loop.call_later(1, print)
        for _ in itertools.count():  # time stands still while something is ready
            await asyncio.sleep(0)

    with pytest.raises(StepLimitReached, match="after 1000 steps"):
        simulate(main, step_limit=1_000)


def test_an_invariant_is_checked_after_each_step_and_ends_the_run() -> None:
    checked = []

    async def main(loop: SimLoop) -> None:
        def check() -> None:
            assert loop.current_process() is loop.world
            assert loop.steps < 5, "broken at 5"
            checked.append(loop.steps)

        loop.on_step = check
        for _ in range(100):
            await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="broken at 5"):
        simulate(main)
    assert checked == [1, 2, 3, 4]


# --- the real world --------------------------------------------------------------------------------------------------

KEPT = {
    "call_at", "call_later", "call_soon", "call_exception_handler", "default_exception_handler", "close", "time",
    "create_future", "create_task", "get_debug", "get_task_factory", "is_closed", "is_running", "run_until_complete",
}  # fmt: skip


@pytest.mark.parametrize("method", sorted({m for m in dir(asyncio.AbstractEventLoop) if m[0] != "_"} - KEPT))
def test_whatever_touches_the_real_world_is_refused(method: str) -> None:
    async def main(loop: SimLoop) -> None:
        with pytest.raises(Forbidden, match="a simulated world may not use"):
            getattr(loop, method)()

    simulate(main)


@pytest.mark.parametrize(
    "use",
    [
        lambda: asyncio.to_thread(print),
        lambda: asyncio.open_connection("localhost", 1),
        lambda: asyncio.start_server(lambda _r, _w: None, "localhost", 0),
        lambda: asyncio.create_subprocess_exec("true"),
    ],
)
def test_asyncio_itself_runs_into_the_refusal(use: Callable[[], Any]) -> None:
    async def main(loop: SimLoop) -> None:
        with pytest.raises(Forbidden):
            await use()

    simulate(main)


def test_a_run_leaves_the_interpreter_as_it_was() -> None:
    async def main(loop: SimLoop) -> None:
        assert asyncio.get_running_loop() is asyncio.get_event_loop() is loop
        assert loop.is_running()
        assert not gc.isenabled()  # finalisers would run at a moment that depends on what ran before

    real = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(real)
        hooks, collecting = sys.get_asyncgen_hooks(), gc.isenabled()
        simulate(main)
        with pytest.raises(Stuck):
            simulate(lambda loop: loop.hang())
        assert (sys.get_asyncgen_hooks(), gc.isenabled()) == (hooks, collecting)
        assert asyncio.get_event_loop() is real
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
    finally:
        asyncio.set_event_loop(None)
        real.close()


def test_a_simulation_does_not_run_inside_another_loop() -> None:
    async def outer() -> None:
        with pytest.raises(SimulationError, match="from synchronous code"):
            simulate(busy)

    asyncio.run(outer())


def test_a_closed_loop_takes_no_more_work() -> None:
    loop = SimLoop(0, start=START)
    loop.close()
    loop.close()
    for work in (
        lambda: loop.call_soon(print),
        lambda: loop.call_later(1, print),
        lambda: loop.create_task(loop.hang()),
        lambda: loop.run_until_complete(loop.create_future()),
    ):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            work()


def test_a_running_loop_cannot_be_closed() -> None:
    async def main(loop: SimLoop) -> None:
        with pytest.raises(SimulationError, match="cannot be closed"):
            loop.close()

    simulate(main)
