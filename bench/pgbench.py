"""pgbench on the product's own tables: what PostgreSQL does by itself here and now, the measure of all else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from moneyback.store.embedded import wheel_programs

CLIENTS: Final = 16
SCRIPT: Final = Path(__file__).with_name("pgbench.sql")


def pgbench(dsn: str, merchant: UUID, rows: int, seconds: float) -> float:
    """Transactions a second. Raises RuntimeError with pgbench's own words when it breaks, or a transaction fails."""
    options = ["--no-vacuum", "--protocol", "prepared", "--client", str(CLIENTS), "--jobs", "1"]
    given = ["--define", f"merchant={merchant}", "--define", f"rows={rows}"]
    command = [str(wheel_programs() / "pgbench"), *options, "--time", f"{seconds:.0f}", *given, "--file", str(SCRIPT)]
    done = subprocess.run(command, env=environment(dsn), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"pgbench failed: {done.stderr}")
    return per_second(done.stdout)


def per_second(output: str) -> float:
    """Transactions a second, from what pgbench prints. Raises ValueError when some failed or the figure is missing."""
    failed = re.search(r"^number of failed transactions: (\d+)", output, re.MULTILINE)
    tps = re.search(r"^tps = ([0-9.]+)", output, re.MULTILINE)
    if tps is None or (failed is not None and failed[1] != "0"):
        raise ValueError(f"pgbench did not do what it was asked:\n{output}")
    return float(tps[1])


def environment(dsn: str) -> dict[str, str]:
    """Where pgbench finds the database: in its environment, since everybody can read a command line."""
    parts = urlsplit(dsn)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return {
        "PGHOST": query.get("host") or parts.hostname or "",
        "PGPORT": query.get("port") or str(parts.port or 5432),
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "PGDATABASE": parts.path.lstrip("/"),
        "PATH": "/usr/bin:/bin",
    }
