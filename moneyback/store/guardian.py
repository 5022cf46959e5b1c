"""Stops an embedded PostgreSQL that nobody uses any more, and holds what its watcher and its starters agree on.

Here live the locks in DIR/postgres, asking a server how it is, and stopping it; starting one is `embedded.py`'s.

The guardian is a process in a session of its own, so that it outlives the death, however violent, of the command that
needed the server. It is run by path and isolated (`python -I -S guardian.py …`): this file therefore imports the
standard library only, and the guardian stays small, starts at once, and does not mind whether the package is still
importable.

Nothing here believes a process id that was written down. Who lives is what the kernel says: it holds an flock for
exactly as long as one of its holders lives, and it knows who listens on a socket.
"""

import fcntl
import json
import os
import signal
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

START_LOCK = "start.lock"  # whoever starts or stops the server, while doing so
USERS_LOCK = "users.lock"  # shared by every command that uses the server, for as long as it does
SERVER_LOCK = "server.lock"  # inherited by every process of the server: held while any one of them lives
GUARDIAN_LOCK = "guardian.lock"  # the guardian: one is enough
WHERE_FILE = "where.json"

SOCKET_NAME = ".s.PGSQL.5432"
STOP_WAIT_S_MAX = 60.0
ANSWER_WAIT_S_MAX = 2.0
PAUSE_S = 0.01

_PROTOCOL_3_0 = 196608
_CANNOT_CONNECT_NOW = "57P03"


class Lock:
    """One open lock file. The kernel lets go of it when every process that inherited it has ended, in whatever way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def try_exclusive(self) -> bool:
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        return self._try(fcntl.LOCK_SH)

    def release(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Lets go of our copy; who inherited the lock keeps it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def names_its_file(self) -> bool:
        """False once the folder was removed, or replaced by another of the same name."""
        try:
            return os.path.samestat(os.fstat(self.fd), self.path.stat(follow_symlinks=False))
        except FileNotFoundError:
            return False

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self.fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Where:
    """What DIR/postgres/where.json says: where the cluster is, and as whom it runs (None: as DIR's owner)."""

    directory: str
    home: str
    socket_dir: str
    account: str | None
    initialised: bool

    @staticmethod
    def read(place: Path) -> "Where | None":
        try:
            return Where(**json.loads((place / WHERE_FILE).read_text()))
        except FileNotFoundError:
            return None

    def write(self, place: Path) -> None:
        draft = place / f"{WHERE_FILE}.new"
        with draft.open("w") as file:
            json.dump(asdict(self), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(place / WHERE_FILE)


class Answer(Enum):
    """What a server says when somebody knocks."""

    READY = "ready"
    STARTING = "starting"
    STOPPING = "stopping"
    SILENT = "silent"  # somebody listens and says nothing
    ABSENT = "absent"


def ask(socket_dir: str) -> Answer:
    """How the server is, by the first words of a connection: they come before any password, so none is needed."""
    words = b"user\0moneyback\0database\0postgres\0\0"
    hello = struct.pack("!ii", len(words) + 8, _PROTOCOL_3_0) + words
    try:
        with _connect(socket_dir) as connection:
            connection.sendall(hello)
            return _understand(_first_message(connection))
    except (FileNotFoundError, ConnectionRefusedError):
        return Answer.ABSENT
    except OSError:
        return Answer.SILENT


def is_running(server: Lock) -> bool:
    """Whether any process of the server, or of the preparation of its files, is alive."""
    if server.try_shared():
        server.release()
        return False
    return True


def stop(server: Lock, socket_dir: str, *, wait_s_max: float = STOP_WAIT_S_MAX) -> bool:
    """Asks for a fast shutdown and waits until the last process is gone. False: it still works on it."""
    deadline = time.monotonic() + wait_s_max
    asked = False
    while is_running(server):
        if time.monotonic() > deadline:
            return False
        if not asked and (pid := _listener(socket_dir)):
            os.kill(pid, signal.SIGINT)
            asked = True
        time.sleep(PAUSE_S)
    return True


def _connect(socket_dir: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_WAIT_S_MAX)
    try:
        connection.connect(f"{socket_dir}/{SOCKET_NAME}")
    except BaseException:
        connection.close()
        raise
    return connection


def _first_message(connection: socket.socket) -> bytes:
    """One message, or as much of it as came before the server hung up."""
    message = b""
    while len(message) < 5 or len(message) <= struct.unpack("!i", message[1:5])[0]:
        piece = connection.recv(4096)
        if not piece:
            break
        message += piece
    return message


def _understand(message: bytes) -> Answer:
    if not message:
        return Answer.SILENT
    if message[:1] != b"E":
        return Answer.READY
    fields = {field[:1]: field[1:].decode(errors="replace") for field in message[5:].split(b"\0") if field}
    if fields.get(b"C") != _CANNOT_CONNECT_NOW:
        return Answer.READY  # it refuses us (no free place, say), so it is up
    return Answer.STOPPING if "shutting down" in fields.get(b"M", "") else Answer.STARTING


def _listener(socket_dir: str) -> int | None:
    """The process that listens on the socket, as the kernel knows it."""
    try:
        with _connect(socket_dir) as connection:
            return _peer(connection)
    except OSError:
        return None


def _peer(connection: socket.socket) -> int | None:
    if sys.platform == "linux":
        pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return pid or None  # 0: it lives in another container, where our signals do not reach
    else:
        local_peer_pid = 2  # LOCAL_PEERPID of <sys/un.h>, on macOS
        return int(connection.getsockopt(0, local_peer_pid))


class Guardian:
    """Watches one DIR/postgres until there is nothing left to watch."""

    def __init__(self, place: Path, grace_s: float, own_lock_fd: int) -> None:
        self._place = place
        self._grace_s = grace_s
        self._own_lock_fd = own_lock_fd
        self._start, self._users = Lock(place / START_LOCK), Lock(place / USERS_LOCK)
        self._server = Lock(place / SERVER_LOCK)
        self._where: Where | None = None
        self._unused_since_s: float | None = None

    def watch(self) -> None:
        while not self._turn():
            time.sleep(min(1.0, self._grace_s / 4))

    def _turn(self) -> bool:
        """Looks once, unless somebody is starting or stopping the server right now. True: the watch is over."""
        if not self._start.try_exclusive():
            return False
        over = self._is_over()
        if over:
            # Before the start lock: whoever starts a server next must see that no guardian is left.
            os.close(self._own_lock_fd)
        self._start.release()
        return over

    def _is_over(self) -> bool:
        if self._start.names_its_file():
            self._where = Where.read(self._place) or self._where
        elif self._where is None or self._where.account is None:
            # DIR was removed, and another server may listen in its place by now: the old one notices by itself.
            return True
        if not self._users.try_exclusive():
            self._unused_since_s = None
            return False
        self._users.release()
        if not is_running(self._server):
            return True
        now_s = time.monotonic()
        self._unused_since_s = now_s if self._unused_since_s is None else self._unused_since_s
        if now_s - self._unused_since_s < self._grace_s or self._where is None:
            return False
        return stop(self._server, self._where.socket_dir)


if __name__ == "__main__":
    Guardian(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])).watch()
