"""The event loop of a simulated world: virtual time, seeded interleavings, processes that crash and pause.

What may live here is what decides *when* and *whether* a callback runs. What a world consists of (networks, stores,
providers, faults, invariants) lives in its own files and is built upon this one.

One seed is one history. Three things would break that, and are kept out:

- Time. It stands still while a callback runs, and jumps to the next timer when nothing is ready; it is counted in whole
  microseconds. A task that spins on `sleep(0)` until a timer fires therefore spins for ever: see `step_limit`.
- Order. Each callback draws a random place in the queue when it becomes ready. The first-in first-out order that
  asyncio promises for `call_soon` is not kept: only what tasks await of each other orders them. A task is passed over
  by n steps of another with probability 1/(n + 1); an even choice at each step would make that 1/2^n, and long delays
  would never be seen.
- Addresses. Tasks hash to their number, because asyncio (`TaskGroup`, `wait`) and its users walk through sets of them.
  Cyclic garbage is not collected during a run, since finalisers would act at a moment that depends on what ran before.
  Code under simulation must not walk through sets of strings or of other objects that hash by address, which includes
  handing bare coroutines to `asyncio.as_completed`.
"""

import asyncio
import gc
import heapq
import inspect
import itertools
import random
import sys
import warnings
from asyncio.events import _get_running_loop, _set_running_loop
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, TypeVarTuple, cast

__all__ = ["Forbidden", "Process", "SimLoop", "SimulationError", "Step", "StepLimitReached", "Stuck", "run"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_MICROSECONDS: Final = 1_000_000
_CLOSES_MAX: Final = 1_000  # how often a dropped coroutine may answer its end with another await
_CURRENT: ContextVar["Process"] = ContextVar("moneyback_simulated_process")


class SimulationError(RuntimeError):
    """The simulation itself cannot go on: no statement about the code that runs in it."""


class Forbidden(SimulationError):
    """Something was used that would tie a simulated world to the real one."""


class Stuck(SimulationError):
    """Nothing is ready and no timer is set, yet main has not ended."""


class StepLimitReached(SimulationError):
    """The run has used up its steps."""


class Step(NamedTuple):
    """One executed callback; two runs are the same if their steps are."""

    number: int
    time_us: int  # since the start of the run
    process: str
    name: str  # of the task, else of the callback


class Process:
    """A simulated operating system process: one generation of what is started under one name.

    Tasks, timers and callbacks belong to the process in whose context they were made, so also all that they make.
    """

    __slots__ = ("_base", "_hooks", "accept", "alive", "generation", "held", "label", "name", "paused", "tasks")

    def __init__(self, name: str, generation: int, base: Context, accept: Callable[["_Call"], object]) -> None:
        self.name = name
        self.generation = generation
        self.label = f"{name}.{generation}"
        self.alive = True
        self.paused = False
        self.tasks: dict[asyncio.Task[Any], None] = {}  # not ended; a dict because it keeps its order
        self.held: list[_Call] = []  # what became ready during a pause
        self.accept = accept  # where a callback goes that is ready: to the loop, to `held`, or to the graveyard
        self._base = base
        self._hooks: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        return f"<Process {self.label}{'' if self.alive else ' crashed'}{' paused' if self.paused else ''}>"

    def context(self) -> Context:
        """A fresh context inside this process, for `create_task`, `call_later` and their like: `context=…`."""
        context = self._base.copy()
        context.run(_CURRENT.set, self)
        return context

    def on_sever(self, hook: Callable[[], object]) -> None:
        """Call `hook` when the process crashes and when the run ends: from then on what it holds refuses or hangs."""
        if self.alive:
            self._hooks.append(hook)
        else:
            hook()

    def sever(self) -> None:
        """Cut the process off from its world; its hooks are called once, in order of registration."""
        self.alive = False
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook()


class _Call(asyncio.TimerHandle):
    """A callback and the process it belongs to; sets what its base sets, but asks the loop nothing."""

    __slots__ = ("process",)

    def __init__(
        self, process: Process, when: float, callback: Any, args: Any, loop: asyncio.AbstractEventLoop, context: Context
    ) -> None:
        self.process = process
        self._when, self._scheduled = when, False
        self._callback, self._args, self._context = callback, args, context
        self._loop, self._cancelled, self._source_traceback = loop, False, None


class _Task(asyncio.Task[_T]):
    """A task that hashes to its number, so that sets of tasks have an order that does not depend on addresses."""

    def __init__(self, number: int, coro: Any, *, loop: asyncio.AbstractEventLoop, name: str, context: Context) -> None:
        self.number = number
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self.number


def _refuse(what: str) -> Any:
    def refused(*_args: object, **_kwargs: object) -> None:
        raise Forbidden(f"a simulated world may not use {what}")

    return refused


class SimLoop(asyncio.AbstractEventLoop):
    """An asyncio event loop in which one seed gives one history.

    `on_step`, if set, is called after every executed callback, outside all processes; what it raises ends the run.
    `world` is the process of all that is started outside the others: main, networks, providers.
    """

    def __init__(
        self, seed: int, *, start: datetime, step_limit: int | None = None, trace_length_max: int = 10_000
    ) -> None:
        if start.tzinfo is None:
            raise SimulationError("the start of a simulation has a time zone")
        self.seed = seed
        self.start = start
        self.steps = 0
        self.step_limit = step_limit
        self.on_step: Callable[[], object] | None = None
        self._random = random.Random(seed).random
        self._now_us = 0
        self._ready: list[tuple[float, _Call]] = []  # a heap by drawn place
        self._timers: list[tuple[int, int, _Call]] = []  # a heap by time; equal times by age
        self._graveyard: list[object] = []
        self._order, self._task_numbers = itertools.count(), itertools.count(1)
        self._trace: deque[tuple[int, int, str, str]] = deque(maxlen=trace_length_max)
        self._errors: list[BaseException] = []
        self._failed: list[tuple[Process, asyncio.Task[Any]]] = []  # their exceptions may still be looked at
        self._asyncgens: dict[int, Process] = {}  # by address
        self._closed = False
        self._base = copy_context()
        self._generations: Counter[str] = Counter()
        self.processes: list[Process] = []
        self.world = self.process("world")

    # --- processes ---------------------------------------------------------------------------------------------------

    def process(self, name: str) -> Process:
        """Start the next generation of the process called `name`; the first is number 1."""
        self._generations[name] += 1
        process = Process(name, self._generations[name], self._base, self._enqueue)
        self.processes.append(process)
        return process

    def current_process(self) -> Process:
        """The process whose code is running; the world if none is."""
        return _CURRENT.get(self.world)

    def spawn(self, process: Process, coro: Coroutine[Any, Any, _T], *, name: str | None = None) -> asyncio.Task[_T]:
        """Create a task inside `process`, wherever the caller runs."""
        return self.create_task(coro, name=name, context=process.context())

    async def hang(self) -> NoReturn:
        """Wait for ever: what a severed transport does to its caller."""
        while True:
            await self.create_future()

    def crash(self, process: Process) -> None:
        """Kill `process` as `kill -9` does: nothing of its code runs from now on, no `finally` and no CancelledError.

        First its world is severed, then its tasks and timers are dropped. Dropped coroutines are kept until `close`,
        because freeing one would run its `finally`. Who waits for a dropped task waits for ever. What the process has
        already handed to the world (a call made in the world's context) goes on. If the process crashes itself, the
        step that does so runs on to its next await: go on with `await loop.hang()`.
        """
        self._refuse_world(process)
        if process.alive:
            process.sever()
            self._collect_failures(process)
            self._drop(process)

    def pause(self, process: Process) -> None:
        """Stop running what belongs to `process` while time goes on, as for a machine that swaps or is suspended."""
        self._refuse_world(process)
        if process.alive and not process.paused:
            process.paused, process.accept = True, process.held.append
            process.held.extend(self._take_ready(process))

    def resume(self, process: Process) -> None:
        """Let `process` go on: all that became ready meanwhile is ready now, in no certain order."""
        if process.alive and process.paused:
            process.paused, process.accept = False, self._enqueue
            held, process.held = process.held, []
            for call in held:
                self._enqueue(call)

    def _refuse_world(self, process: Process) -> None:
        if process is self.world:
            raise SimulationError("the world neither crashes nor pauses; its processes do")

    def _drop(self, process: Process) -> None:
        process.paused, process.accept = False, self._graveyard.append
        self._graveyard += [*process.tasks, *self._take_ready(process), *process.held]
        self._graveyard += [call for *_, call in self._timers if call.process is process]
        self._timers = [timer for timer in self._timers if timer[-1].process is not process]
        heapq.heapify(self._timers)
        process.tasks, process.held = {}, []

    def _take_ready(self, process: Process) -> list[_Call]:
        taken = [call for _, call in sorted(self._ready) if call.process is process]
        self._ready = [entry for entry in self._ready if entry[1].process is not process]
        heapq.heapify(self._ready)
        return taken

    # --- time and callbacks ------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds since the start of the run."""
        return self._now_us / _MICROSECONDS

    def now(self) -> datetime:
        """The moment it is in the simulated world, exact to the microsecond."""
        return self.start + timedelta(microseconds=self._now_us)

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        if context is None:
            context = copy_context()
        process = context.get(_CURRENT, self.world)
        call = _Call(process, 0.0, callback, args, self, context)
        process.accept(call)
        return call

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        # A wait that is not nothing takes time: who waits for the rest of a float's rounding would wait for ever.
        delay_us = max(1, round(delay * _MICROSECONDS)) if delay > 0 else 0
        return self._call_at(self._now_us + delay_us, callback, args, context)

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self._call_at(round(when * _MICROSECONDS), callback, args, context)

    def _call_at(self, when_us: int, callback: Any, args: Any, context: Context | None) -> asyncio.TimerHandle:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        if context is None:
            context = copy_context()
        process = context.get(_CURRENT, self.world)
        call = _Call(process, when_us / _MICROSECONDS, callback, args, self, context)
        if when_us <= self._now_us or not process.alive:
            process.accept(call)
        else:
            heapq.heappush(self._timers, (when_us, next(self._order), call))
        return call

    def _enqueue(self, call: _Call) -> None:
        heapq.heappush(self._ready, (self._random(), call))

    def _timer_handle_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        """Asked for by `TimerHandle.cancel`; a cancelled call is skipped when its turn comes."""

    # --- futures and tasks -------------------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None, eager_start: bool | None = None
    ) -> asyncio.Task[Any]:
        if self._closed:
            coro.close()
            raise RuntimeError("Event loop is closed")
        if eager_start:
            raise Forbidden("a simulated world may not use eager tasks: their first step could not be interleaved")
        if context is None:
            context = copy_context()
        number = next(self._task_numbers)
        name = name or f"{getattr(coro, '__qualname__', type(coro).__name__)}#{number}"
        task: asyncio.Task[Any] = _Task(number, coro, loop=self, name=name, context=context)
        context.get(_CURRENT, self.world).tasks[task] = None
        return task

    # --- running -----------------------------------------------------------------------------------------------------

    @property
    def trace(self) -> tuple[Step, ...]:
        """The latest steps, oldest first, at most `trace_length_max`."""
        return tuple(map(Step._make, self._trace))

    def run_until_complete(self, future: Generator[Any, None, _T] | Awaitable[_T]) -> _T:
        """Run until `future` is done. Whatever else is under way then stays where it is.

        Errors: what `future` raises; Stuck; StepLimitReached; whatever `on_step` raises; an exception group of what
        callbacks raised and of what tasks failed with that nobody looked at.
        """
        if self._closed:
            raise RuntimeError("Event loop is closed")
        with self._in_charge():
            main = asyncio.ensure_future(cast("Awaitable[_T]", future), loop=self)
            self._run_until(main)
        error = None if main.cancelled() else main.exception()
        self._collect_failures(None)
        if error is None:
            self._raise_errors()
        elif self._errors:
            error.add_note(f"and unhandled elsewhere: {self._errors!r}")
        return main.result()

    def _run_until(self, main: asyncio.Future[Any]) -> None:
        while not main.done():
            while not self._ready:
                self._advance()
            call = heapq.heappop(self._ready)[1]
            if call.cancelled():
                continue
            self._execute(call)
            if self.on_step is not None:
                self.on_step()
            if self._errors:
                self._raise_errors()
            if self.step_limit is not None and self.steps >= self.step_limit and not main.done():
                raise StepLimitReached(f"main has not ended after {self.steps} steps")

    def _execute(self, call: _Call) -> None:
        callback = call._callback
        owner = getattr(callback, "__self__", None)
        task = owner if isinstance(owner, asyncio.Task) else None
        self.steps += 1
        name = getattr(callback, "__qualname__", type(callback).__name__) if task is None else task.get_name()
        self._trace.append((self.steps, self._now_us, call.process.label, name))
        try:
            call._context.run(callback, *call._args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.call_exception_handler({"message": f"{name} failed", "exception": error, "handle": call})
        if task is not None and task.done():
            call.process.tasks.pop(task, None)
            if task._log_traceback and call.process.alive:
                self._failed.append((call.process, task))

    def _advance(self) -> None:
        """Jump to the next timer and make all that is due then ready."""
        timers = self._timers
        while timers and timers[0][-1].cancelled():
            heapq.heappop(timers)
        if not timers:
            self._collect_failures(None)
            self._raise_errors()
            raise Stuck(f"nothing will ever happen again; still waiting: {self._waiting()}")
        self._now_us = timers[0][0]
        while timers and timers[0][0] == self._now_us:
            call = heapq.heappop(timers)[-1]
            if not call.cancelled():
                call.process.accept(call)

    def _waiting(self) -> str:
        return "; ".join(
            f"{process!r}: {', '.join(task.get_name() for task in process.tasks)}"
            for process in self.processes
            if process.tasks
        )

    @contextmanager
    def _in_charge(self) -> Iterator[None]:
        _refuse_nesting()
        hooks, collecting = sys.get_asyncgen_hooks(), gc.isenabled()
        gc.disable()
        sys.set_asyncgen_hooks(self._first_iterated, self._left_unfinished)
        _set_running_loop(self)
        try:
            yield
        finally:
            _set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)
            if collecting:
                gc.enable()

    def is_running(self) -> bool:
        return _get_running_loop() is self

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """End the world as a power cut would, then free what was dropped.

        Freeing a suspended coroutine runs its `finally`; Python knows no other way. It happens here, in the order of
        dropping, after every process has been severed and the loop refuses all work, so that it acts on nothing but
        memory which no one looks at any more. What it raises is of no consequence.
        """
        if self.is_running():
            raise SimulationError("a running loop cannot be closed")
        if self._closed:
            return
        for process in self.processes:
            process.sever()
        for process in self.processes:
            self._drop(process)
        self._closed = True
        with self._in_charge(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of coroutines that were never started, or that a `finally` made
            _end_all(self._graveyard)
        self._failed.clear()

    # --- failures ----------------------------------------------------------------------------------------------------

    def _collect_failures(self, process: Process | None) -> None:
        """Collect what tasks of `process` (None: of all) failed with, unless looked at or about to be."""
        calls = [call for _, call in self._ready] + [call for owner in self.processes for call in owner.held]
        told = {id(arg) for call in calls if not call.cancelled() for arg in call._args}
        failed, self._failed = self._failed, []
        for owner, task in failed:
            if process is not None and owner is not process:
                self._failed.append((owner, task))
            elif task._log_traceback and id(task) not in told and (error := task.exception()) is not None:
                error.add_note(f"nobody looked at this failure of {task.get_name()} in {owner.label}")
                self._errors.append(error)

    def _raise_errors(self) -> None:
        if self._errors:
            errors, self._errors = self._errors, []
            raise BaseExceptionGroup("unhandled in the simulated world", errors)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Collect the error, which ends the run after this step; no handler of the code's own can hide it.

        Not what a future reports when it is freed: tasks are judged by `_collect_failures`, and an answer to a crashed
        process is rightly looked at by nobody.
        """
        if not self._closed and "future" not in context and "task" not in context:
            self._errors.append(context.get("exception") or SimulationError(context["message"]))

    default_exception_handler = call_exception_handler

    # --- asynchronous generators -------------------------------------------------------------------------------------

    def _first_iterated(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._asyncgens[id(generator)] = self.current_process()

    def _left_unfinished(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Close a generator that was dropped half-way, in its process; if that has crashed, this task never runs."""
        process = self._asyncgens.pop(id(generator))
        if not self._closed:
            self.create_task(generator.aclose(), context=process.context())

    # --- what asyncio asks for, and what is refused ------------------------------------------------------------------

    def get_debug(self) -> bool:
        return False

    def get_task_factory(self) -> None:
        return None

    run_forever = stop = _refuse("a loop without end: a run ends with its main coroutine")
    shutdown_asyncgens = shutdown_default_executor = _refuse("an orderly end: it ends as by a power cut")
    set_exception_handler = get_exception_handler = _refuse("a handler that could hide a failure")
    set_debug = _refuse("the debug mode, which measures real time")
    set_task_factory = _refuse("tasks of another making: they would not belong to a process")
    call_soon_threadsafe = run_in_executor = set_default_executor = _refuse("threads or executors")
    add_signal_handler = remove_signal_handler = _refuse("signals")
    subprocess_shell = subprocess_exec = connect_read_pipe = connect_write_pipe = _refuse("subprocesses or pipes")
    getaddrinfo = getnameinfo = _refuse("name resolution")
    create_connection = create_server = create_datagram_endpoint = _refuse("sockets")
    create_unix_connection = create_unix_server = connect_accepted_socket = start_tls = sendfile = _refuse("sockets")
    add_reader = remove_reader = add_writer = remove_writer = _refuse("file descriptors")
    sock_recv = sock_recv_into = sock_recvfrom = sock_recvfrom_into = sock_sendall = sock_sendto = _refuse("sockets")
    sock_connect = sock_accept = sock_sendfile = _refuse("sockets")


def _refuse_nesting() -> None:
    if _get_running_loop() is not None:
        raise SimulationError("a simulation is run from synchronous code, not from inside another event loop")


def _end_all(graveyard: list[object]) -> None:
    for dropped in graveyard:
        if isinstance(dropped, asyncio.Task):
            dropped._log_destroy_pending = False  # type: ignore[attr-defined]  # it is, and that is intended
            _end(dropped.get_coro())
    graveyard.clear()


def _end(coro: Any) -> None:
    """Close a dropped coroutine, however often its `finally` awaits."""
    unstarted = inspect.iscoroutine(coro) and inspect.getcoroutinestate(coro) == inspect.CORO_CREATED
    handed = list(inspect.getcoroutinelocals(coro).values()) if unstarted else []
    for _ in range(_CLOSES_MAX):
        with suppress(Exception, asyncio.CancelledError, SystemExit):
            coro.close()
        if getattr(coro, "cr_frame", None) is None:
            break
    for argument in filter(inspect.iscoroutine, handed):  # it would be freed at any later time, with a warning
        _end(argument)


def run(
    seed: int,
    main: Callable[[SimLoop], Coroutine[Any, Any, _T]],
    *,
    start: datetime,
    step_limit: int | None = None,
    trace_length_max: int = 10_000,
) -> _T:
    """Run `main(loop)` in a world of its own and return what it returns; no other event loop is looked at or changed.

    `start` is the aware moment at which virtual time begins. Errors are those of `run_until_complete`, with a note that
    names seed, step and moment.
    """
    _refuse_nesting()
    loop = SimLoop(seed, start=start, step_limit=step_limit, trace_length_max=trace_length_max)
    try:
        return loop.run_until_complete(main(loop))
    except BaseException as error:
        error.add_note(f"simulation of seed {seed}: step {loop.steps}, {loop.now().isoformat()}")
        raise
    finally:
        loop.close()
