"""The product under measure: `moneyback sandbox` as a person would start it, watched from outside."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

READY_WITHIN_S: Final = 90.0
STOP_WITHIN_S: Final = 40.0
POLL_S: Final = 0.01


class Server:
    """A running sandbox. `ready` is its ready file, `started_s` how long it took to be there."""

    def __init__(self, data: Path, workers: int | None = None) -> None:
        self._log = (data / "server.log").open("a")
        self._ready_file = data / "ready.json"
        self._ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "moneyback", "sandbox", "--data", str(data), "--port", str(free_port())]
        command += [] if workers is None else ["--workers", str(workers)]
        began = time.monotonic()
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd=Path(__file__).parents[1])
        self.ready = self._wait(began)
        self.started_s = time.monotonic() - began

    def memory_peaks_mb(self) -> tuple[float, ...]:
        """The most memory each API process ever had resident."""
        return tuple(peak_mb(pid) for pid in children_of(self._process.pid) if _serves(pid))

    def close(self) -> None:
        """Stop it as a person would, and wait until it is gone."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, began: float) -> dict[str, Any]:
        while time.monotonic() - began < READY_WITHIN_S:
            if self._ready_file.exists():
                found: dict[str, Any] = json.loads(self._ready_file.read_text())
                return found
            if self._process.poll() is not None:
                break
            time.sleep(POLL_S)
        self._process.kill()
        raise RuntimeError(f"the server did not start; its words are in {self._log.name}")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def children_of(parent: int) -> tuple[int, ...]:
    """The processes a process started that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if int(after_name[1]) == parent:
                found.append(int(entry.name))
    return tuple(found)


def peak_mb(pid: int) -> float:
    """The most memory a process ever had resident, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1_000_000
    raise ValueError(f"the kernel does not say how much memory {pid} had")


def _serves(pid: int) -> bool:
    """Whether this child is an API process: multiprocessing's own bookkeeper is not."""
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
