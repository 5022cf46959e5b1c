"""Load over HTTP: from wrk where it is installed, else from our own generator, each a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

CONNECTIONS: Final = 64
TIMEOUT_S: Final = 20  # longer than the API's own wait limit
WRK_SCRIPT: Final = Path(__file__).with_name("wrk.lua")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be asked: refunds of 1.00 on payments drawn from the first `payments`, keyed by `label` and a number.

    `prefer` is the header's value; without it every request waits for its refund's end.
    """

    url: str
    api_key: str
    label: str
    payments: int
    seconds: float
    prefer: str = ""
    connections: int = CONNECTIONS
    seed: int = 1


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `failed` were answered with 400 or more, `broken` not at all."""

    answered: int
    seconds: float
    failed: int
    broken: int
    p50_ms: float
    p99_ms: float
    cpu_share: float = 0.0  # of one core, spent by the generator
    generator: str = ""

    @property
    def acknowledged(self) -> int:
        """Requests answered with success."""
        return self.answered - self.failed

    @property
    def per_second(self) -> float:
        """Successes a second."""
        return self.acknowledged / self.seconds


def generator() -> str:
    """Which generator this machine has."""
    return "wrk" if shutil.which("wrk") else "raw sockets"


def ask(asked: Asked) -> Answered:
    """Put the load on and wait for its end. Raises RuntimeError with the generator's words when it breaks."""
    wrk = shutil.which("wrk")
    command = _raw(asked) if wrk is None else _wrk(wrk, asked)
    began, used = time.monotonic(), _children_cpu_s()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    share = (_children_cpu_s() - used) / (time.monotonic() - began)
    if done.returncode != 0:
        raise RuntimeError(f"the load generator failed: {done.stderr or done.stdout}")
    return msgspec.structs.replace(answered_in(done.stdout), cpu_share=share, generator=generator())


def answered_in(output: str) -> Answered:
    """The result line in a generator's output. Raises ValueError when there is none."""
    for line in output.splitlines():
        name, _, found = line.partition(" ")
        if name in ("wrk", "raw") and found.startswith("{"):
            return msgspec.convert(json.loads(found), Answered)
    raise ValueError(f"no result in: {output}")


def _wrk(wrk: str, asked: Asked) -> list[str]:
    options = ["-t", "1", "-c", str(asked.connections), "-d", f"{asked.seconds:.0f}s", "--timeout", f"{TIMEOUT_S}s"]
    arguments = [asked.api_key, asked.label, str(asked.payments), str(asked.seed), asked.prefer]
    root = urlsplit(asked.url)
    return [wrk, *options, "-s", str(WRK_SCRIPT), f"{root.scheme}://{root.netloc}", "--", *arguments]


def _raw(asked: Asked) -> list[str]:
    return [sys.executable, "-m", "bench.raw", msgspec.json.encode(asked).decode()]


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system
