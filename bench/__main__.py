"""`python -m bench`: measure against pgbench on this machine, print a table, write JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.database import Database
from bench.figures import Figure, table
from bench.load import CONNECTIONS, generator
from bench.measures import Bench
from bench.pgbench import CLIENTS
from moneyback.settings import Settings
from moneyback.store.embedded import destroy_cluster, open_cluster
from moneyback.wiring import prepare

ROWS: Final = 100_000
ROWS_LARGE: Final = 10_000_000
VERIFY_LINES: Final = 10
NAMES: Final = ("admitted", "whole-life", "memory", "hot", "start", "store")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for. 1 when the books do not agree afterwards; figures missed are shown, not failed."""
    chosen = _arguments(arguments)
    rows = chosen.rows or (ROWS_LARGE if chosen.large else ROWS)
    began = time.monotonic()
    with _place(chosen.data) as data:
        report, clean = _measured(data, rows, chosen.only or NAMES)
    report["took_s"] = round(time.monotonic() - began)
    file = Path(chosen.json or f"bench/results/{time.strftime('%Y-%m-%d-%H%M%S')}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\n{report['took_s']} s in all; as JSON in {file}")
    return 0 if clean else 1


def _measured(data: Path, rows: int, wanted: Sequence[str]) -> tuple[dict[str, Any], bool]:
    with open_cluster(data) as cluster:
        database = Database(cluster)
        _say(f"preparing {rows:,} payments and as many refunds")
        sections, _ = asyncio.run(prepare(Settings(data_dir=str(data), dsn=cluster.dsn, sandbox=True)))
        merchant = database.merchant_of(sections["native"]["api_key"])
        database.preload(merchant, rows)
        database.make_copy()
        bench = Bench(data, database, merchant, rows, _say)
        figures = list(_figures(bench, wanted))
        facts = _facts(database, rows)
        clean = _verified(data)
    print(f"\n{table(figures)}\n\n{_footnotes(figures, facts, clean)}")
    shown = [each.as_json() for each in figures]
    return {"facts": facts, "figures": shown, "verified": clean, "runs": bench.runs}, clean


def _figures(bench: Bench, wanted: Sequence[str]) -> Iterator[Figure]:
    if "start" in wanted:
        yield from bench.start()
    if "store" in wanted:
        yield from bench.store()
    yield from bench.over_http(wanted)
    if "hot" in wanted:
        yield from bench.hot()


def _verified(data: Path) -> bool:
    """Whether the books agree with themselves after all that."""
    command = [sys.executable, "-m", "moneyback", "verify", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    words = (done.stdout or done.stderr).strip().splitlines()
    _say("\n".join(["verify:", *words[:VERIFY_LINES]]))
    return done.returncode == 0


def _facts(database: Database, rows: int) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[2], 2),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "postgresql": database.settings(),
        "rows": rows,
        "connections": CONNECTIONS,
        "generator": generator(),
        "pgbench_clients": CLIENTS,
    }


def _footnotes(figures: Sequence[Figure], facts: dict[str, Any], clean: bool) -> str:
    postgresql = facts["postgresql"]
    lines = [f"{each.name}: {each.detail}" for each in figures if each.detail]
    lines.append(
        f"{facts['cores']} cores, PostgreSQL {postgresql['server_version']}, fsync {postgresql['fsync']}, "
        f"{facts['rows']:,} payments; load from {facts['generator']}, {CONNECTIONS} connections; "
        f"pgbench with {CLIENTS} clients; the books {'agree' if clean else 'DO NOT AGREE'}"
    )
    return "\n".join(lines)


@contextmanager
def _place(chosen: str | None) -> Iterator[Path]:
    """The folder given, kept for the next time; else one that is gone afterwards."""
    if chosen is not None:
        path = Path(chosen).absolute()
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    path = Path(tempfile.mkdtemp(prefix="moneyback-bench-"))
    try:
        yield path
    finally:
        destroy_cluster(path)
        shutil.rmtree(path)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Moneyback against pgbench.")
    parser.add_argument("--rows", type=int, metavar="N", help=f"payments stored beforehand [default: {ROWS}]")
    parser.add_argument("--large", action="store_true", help=f"{ROWS_LARGE} of them")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="ROW", help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--json", metavar="FILE", help="where to write the figures [default: under bench/results]")
    parser.add_argument("--data", metavar="DIR", help="keep the filled database there, and use it again")
    return parser.parse_args(arguments)


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
