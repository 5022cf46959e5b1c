"""How each figure is measured. Every run stands between two of what it is held against, pgbench or spread load."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, Final
from uuid import UUID

import msgspec

from bench.database import Database
from bench.figures import Figure, ratios
from bench.load import CONNECTIONS, Answered, Asked, ask
from bench.pgbench import pgbench
from bench.server import Server
from bench.store import admissions_per_second
from moneyback.store.embedded import destroy_cluster

ASYNC: Final = "respond-async"
ROUNDS: Final = 3
HOT_ROUNDS: Final = 2
RUN_S: Final = 6.0
WARM_UP_S: Final = 2.0
WORKERS: Final = 2
STARTS: Final = 3


class Bench:
    """A prepared database and what was measured on it. `say` tells whoever waits what is going on."""

    def __init__(self, data: Path, database: Database, merchant: UUID, rows: int, say: Callable[[str], None]) -> None:
        self.data = data
        self.runs: list[dict[str, Any]] = []
        self._database = database
        self._merchant = merchant
        self._rows = rows
        self._say = say
        self._began = f"{time.time_ns():x}"  # in every key: the folder may be one that was measured before
        self._numbers = itertools.count(1)

    def over_http(self, wanted: Sequence[str]) -> Iterator[Figure]:
        """Admission, whole life and memory: pgbench before and after every run of the product."""
        ways = {name: prefer for name, prefer in (("admitted", ASYNC), ("whole-life", "")) if name in wanted}
        if not ways and "memory" in wanted:
            ways = {"admitted": ASYNC}
        if not ways:
            return
        beside = [self._pgbench()]
        per_second: dict[str, list[float]] = {name: [] for name in ways}
        found: dict[str, list[float]] = {name: [] for name in ways}
        with Server(self.data, WORKERS) as server:
            for _, (name, prefer) in itertools.product(range(ROUNDS), ways.items()):
                run = self._load(server, name, prefer, self._rows)
                beside.append(self._pgbench())
                per_second[name].append(run.per_second)
                found[name] += ratios(beside[-2:], [run.per_second])
            peaks = server.memory_peaks_mb()
        for name in ways:
            if name in wanted:
                detail = f"{mean(per_second[name]):.0f}/s, pgbench {mean(beside):.0f}/s, {WORKERS} processes"
                yield Figure(name, tuple(found[name]), detail)
        if "memory" in wanted:
            yield Figure("memory", (max(peaks),), f"of {len(peaks)} processes, after {len(ways) * ROUNDS} runs")

    def hot(self) -> Iterator[Figure]:
        """All requests on one payment, between runs that spread theirs."""
        for workers in (1, 4):
            spread, hot = list[float](), list[float]()
            with Server(self.data, workers) as server:
                spread.append(self._load(server, "spread", ASYNC, self._rows).per_second)
                for _ in range(HOT_ROUNDS):
                    hot.append(self._load(server, "hot", ASYNC, 1).per_second)
                    spread.append(self._load(server, "spread", ASYNC, self._rows).per_second)
            yield Figure(f"hot-{workers}", ratios(spread, hot), f"{mean(hot):.0f}/s hot, {mean(spread):.0f}/s spread")

    def store(self) -> Iterator[Figure]:
        """The store alone, on pgbench's database: nobody else takes up what it admits."""
        beside, alone = [self._pgbench()], list[float]()
        for _ in range(ROUNDS):
            self._database.checkpoint()
            alone.append(admissions_per_second(self._database.copy_dsn, self._merchant, self._rows, RUN_S))
            self._keep("store", alone[-1])
            beside.append(self._pgbench())
        yield Figure("store", ratios(beside, alone), f"{mean(alone):.0f}/s, {CONNECTIONS} callers")

    def start(self) -> Iterator[Figure]:
        """A sandbox of its own, started again on data it has."""
        place = self.data / "started"
        place.mkdir(exist_ok=True)
        took = list[float]()
        for _ in range(STARTS + 1):
            with Server(place) as server:
                took.append(server.started_s)
                self._say(f"start        ready after {server.started_s:.2f} s")
        destroy_cluster(place)
        yield Figure("start", tuple(took[1:]), f"the first took {took[0]:.1f} s")

    def _pgbench(self) -> float:
        self._database.checkpoint()
        pgbench(self._database.copy_dsn, self._merchant, self._rows, WARM_UP_S)
        tps = pgbench(self._database.copy_dsn, self._merchant, self._rows, RUN_S)
        self._keep("pgbench", tps)
        return tps

    def _load(self, server: Server, name: str, prefer: str, payments: int) -> Answered:
        native, number = server.ready["native"], next(self._numbers)
        asked = Asked(
            url=native["base_url"],
            api_key=native["api_key"],
            label=f"{name}-{self._began}-{number}",
            payments=payments,
            seconds=RUN_S,
            prefer=prefer,
            seed=number,
        )
        self._database.checkpoint()
        ask(msgspec.structs.replace(asked, label=f"warm-{self._began}-{number}", seconds=WARM_UP_S))
        self._database.settle()
        found = ask(asked)
        settled_s = self._database.settle()
        self._check(asked, found)
        shown = msgspec.to_builtins(found)
        self._keep(name, found.per_second, settled_s=round(settled_s, 2), **shown)
        return found

    def _check(self, asked: Asked, found: Answered) -> None:
        """Every acknowledged refund is there, and ended well; beyond them only what was under way at the end."""
        admitted, succeeded = self._database.written(asked.label)
        if found.failed or found.broken:
            raise RuntimeError(f"{asked.label}: {found.failed} requests were refused, {found.broken} were not answered")
        if not found.acknowledged <= admitted <= found.acknowledged + asked.connections:
            raise RuntimeError(f"{asked.label}: {found.acknowledged} refunds acknowledged, {admitted} written")
        if succeeded != admitted:
            raise RuntimeError(f"{asked.label}: {admitted} refunds admitted, {succeeded} succeeded")

    def _keep(self, name: str, per_second: float, **more: Any) -> None:
        self.runs.append({"run": name, **more, "per_second": round(per_second, 1)})
        told = ", ".join(f"{key} {more[key]:.1f}" for key in ("p50_ms", "p99_ms", "settled_s") if key in more)
        share = f", generator {more['cpu_share']:.0%} of a core" if "cpu_share" in more else ""
        self._say(f"{name:12} {per_second:8.0f}/s  {told}{share}")
