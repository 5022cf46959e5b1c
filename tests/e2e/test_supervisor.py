"""What the supervisor is made of, by itself: what wakes it, what it reads, the port it claims, the file it writes."""

import http.server
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from moneyback.processes import Deaths, PortTaken, ReadyFile, claimed, demand_free_port, wait_until_ready
from tests.e2e.server import DEADLINE_S, ROOT, environment, free_port

# A handler that comes at any moment, many thousand times, while its thread rings, answers and clears.
STORM = """
import signal
from moneyback.processes import Bell
bell, rung = Bell(), 0
def ring(*_):
    global rung
    rung += 1
    bell.set()
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
while rung < 5_000:
    bell.set()
    bell.wait()
    bell.clear()
signal.setitimer(signal.ITIMER_REAL, 0)
"""


# As when it comes just before the main thread sleeps: Python has noted it, and nothing has woken that thread.
UNNOTICED = """
import signal, threading, time
from moneyback.processes import Bell
bell = Bell()
signal.signal(signal.SIGALRM, lambda *_: bell.set())
def come():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), signal.SIGALRM)
threading.Thread(target=come).start()
bell.wait()
"""


@pytest.mark.parametrize("code", [STORM, UNNOTICED], ids=["whatever its thread is doing", "though it wakes nobody"])
def test_a_signal_rings_the_bell(code: str):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(ROOT),
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_worker_that_dies_while_the_dead_are_read_is_not_forgotten():
    dead = Deaths()
    dead.append(0)
    read = list(dead)
    dead.append(1)
    dead.clear()
    assert (read, list(dead)) == ([0], [1])
    dead.clear()
    assert not dead


def test_of_two_that_start_at_once_on_a_port_one_is_told_that_it_is_taken():
    port = free_port()
    with claimed("127.0.0.1", port):
        demand_free_port("127.0.0.1", port)  # nobody listens yet
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}"), claimed("127.0.0.1", port):
            pass
    with claimed("127.0.0.1", port):
        pass


def test_a_ready_file_that_another_has_written_since_is_left(tmp_path: Path):
    path = tmp_path / "ready.json"
    first, second = ReadyFile(path), ReadyFile(path)
    first.write({"first": 1})
    second.write({"second": 2})
    first.remove()
    assert "second" in path.read_text()
    second.remove()
    assert not path.exists()


def test_nothing_is_said_to_be_ready_once_it_is_over(tmp_path: Path):
    path = tmp_path / "ready.json"
    late = ReadyFile(path)
    late.remove()
    late.write({"late": True})
    assert not path.exists()


def test_our_own_port_is_not_asked_for_at_a_proxy(monkeypatch: pytest.MonkeyPatch):
    class Ready(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Nothing."""

    stopped = threading.Event()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    with http.server.HTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        giving_up = threading.Timer(DEADLINE_S, stopped.set)
        giving_up.start()
        try:
            assert wait_until_ready("127.0.0.1", server.server_port, stopped)
        finally:
            giving_up.cancel()
            server.shutdown()
