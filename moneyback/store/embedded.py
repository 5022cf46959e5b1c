"""A PostgreSQL of our own, started from the programs of a wheel: for trying things out, for tests, for one machine.

    with open_cluster(directory) as cluster:
        connection = await asyncpg.connect(cluster.dsn)

Every command that is given the same DIR shares one server. The first to come starts it, the last to leave stops it,
and the guardian stops it for those who were killed before they could. It speaks through a socket in a private folder,
and to nobody over TCP. Here live opening, starting, waiting and leaving; folders are `cluster_home.py`'s, locks are
`guardian.py`'s.

Who may do what is decided by locks in DIR/postgres: the start lock is held by whoever starts or stops the server, the
users lock is shared by all commands that need it, and the server lock is inherited by every process of the server. The
kernel lets go of a dead process's locks, so a stale file or a reused process id can mislead nobody.
"""

import math
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from moneyback.store import guardian
from moneyback.store.cluster_home import (
    PLACE,
    EmbeddedError,
    Home,
    known_home,
    make_place,
    settle_home,
    wheel_programs,
)
from moneyback.store.guardian import Answer, Lock, Where, ask, is_running

__all__ = ["Cluster", "EmbeddedError", "default_data_dir", "destroy_cluster", "open_cluster", "wheel_programs"]

ROLE: Final = "moneyback"
DATABASE: Final = "moneyback"

GRACE_S: Final = 30.0  # how long the guardian leaves a deserted server to a next command
START_LOCK_WAIT_S_MAX: Final = 120.0  # a first start on a slow disk
LEAVE_WAIT_S_MAX: Final = 10.0
STALL_S_MAX: Final = 120.0  # PostgreSQL reports on a long recovery every 10 s
ASK_UNREADY_S: Final = 1.0
LOG_BYTES_MAX: Final = 4 * 1024 * 1024
LOG_TAIL_BYTES: Final = 8192
LOG_TAIL_LINES: Final = 12

# Written into postgresql.conf when the cluster is made: its owner may tune them there.
BIRTH_SETTINGS: Final = (
    "timezone=UTC",
    "log_timezone=UTC",
    "max_connections=100",
    "shared_buffers=128MB",
    "max_wal_size=1GB",
    "random_page_cost=1.1",
    "jit=off",
    "log_checkpoints=off",
    "log_line_prefix=%m [%p] %d ",
)
# Given at every start, and stronger than any file: what must not be tuned away.
FIRM_SETTINGS: Final = (
    "listen_addresses=",
    "port=5432",
    "unix_socket_permissions=0700",
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "logging_collector=off",
    "cluster_name=moneyback",
)

# Kept until they have ended, so that they can be reaped.
_children: list[subprocess.Popen[bytes]] = []
_guardians: dict[Path, subprocess.Popen[bytes]] = {}


class Cluster:
    """One command's use of the server of one DIR. Close it, or leave its `with` block, when the command is done.

    `owned` says that nobody else was using the server when we came: we started it, or adopted one that was left behind.
    """

    def __init__(self, data_dir: Path, grace_s: float) -> None:
        self.data_dir = data_dir
        self.owned = False
        self._place = data_dir / PLACE
        self._grace_s = grace_s
        self._opened_by = os.getpid()
        self._users: Lock | None = None
        self._home: Home | None = None
        self._left = False

    @property
    def dsn(self) -> str:
        """The DSN of Moneyback's own database. It contains the password."""
        return self.dsn_for(DATABASE)

    def dsn_for(self, database: str) -> str:
        """The DSN of another database on the same server, for asyncpg and for libpq."""
        home = self._opened_home()
        password = home.password_file.read_text().strip()
        return f"postgresql://{ROLE}:{password}@/{quote(database)}?host={quote(str(home.socket_dir))}&port=5432"

    @property
    def log_file(self) -> Path:
        return self._opened_home().log_file

    def ensure_running(self) -> bool:
        """Starts the server again if it died under us. True: it had to, and connections made before are lost."""
        if ask(str(self._opened_home().socket_dir)) is Answer.READY:
            return False
        with _plain_errors(self.data_dir):
            return self._run()

    def close(self) -> None:
        """Leaves. The last to leave stops the server; a second call does nothing."""
        self._left = True  # first: another of our threads may be about to start the server again
        users, self._users = self._users, None
        if users is None:
            return
        try:
            # A forked child shares our locks: were it to leave, it would do so for us too.
            if os.getpid() == self._opened_by and users.names_its_file():
                self._leave(users)
        finally:
            users.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Cluster({str(self.data_dir)!r}, owned={self.owned})"

    def _opened_home(self) -> Home:
        if self._users is None or self._home is None:
            raise self._left_already()
        return self._home

    def _left_already(self) -> EmbeddedError:
        return EmbeddedError(f"The PostgreSQL of {self.data_dir} was left already. Open it again.")

    def _run(self) -> bool:
        """Returns once the server takes connections. True: we started it."""
        while True:
            with _start_lock(self.data_dir, START_LOCK_WAIT_S_MAX):
                self._come_in()
                launched = self._launch_if_dead()
            if _is_up(self._opened_home(), launched):
                return launched is not None

    def _come_in(self) -> None:
        if self._left:
            raise self._left_already()
        if self._users is None:
            self._users = Lock(self._place / guardian.USERS_LOCK)
            self.owned = self._users.try_exclusive()
            # Cannot fail: exclusive use is only ever taken under the start lock, which we hold.
            self._users.try_shared()

    def _launch_if_dead(self) -> int | None:
        """Starts a server unless some process of one is alive. Returns where in the log its words begin."""
        server = Lock(self._place / guardian.SERVER_LOCK)
        try:
            if not server.try_exclusive():
                self._home = _home_of_running(self._place)
                _ensure_guardian(self._place, self._grace_s)
                return None
            self._home = settle_home(self._place, os.environ.get("XDG_RUNTIME_DIR"))
            _ensure_guardian(self._place, self._grace_s)
            _initialise(self._home, server)
            return _launch(self._home, server)
        finally:
            server.close()  # the server, if it runs, has inherited it

    def _leave(self, users: Lock) -> None:
        try:
            with _start_lock(self.data_dir, LEAVE_WAIT_S_MAX):
                if users.try_exclusive():
                    _stop(self._place)
                users.close()
        except EmbeddedError:
            pass  # whoever holds the start lock, the guardian comes after them


def open_cluster(data_dir: Path, *, grace_s: float = GRACE_S) -> Cluster:
    """Joins the server of DIR, or starts one; returns when it takes connections. Blocks: for the start of a program.

    Raises EmbeddedError. `grace_s`: seconds the guardian waits before it stops a server whose users were all killed.
    """
    directory = Path(os.path.realpath(data_dir))
    cluster = Cluster(directory, grace_s)
    try:
        with _plain_errors(directory):
            cluster._run()
    except BaseException:
        cluster.close()
        raise
    return cluster


def destroy_cluster(data_dir: Path) -> None:
    """Removes the database of DIR for good, wherever it lies. Raises EmbeddedError while somebody uses it."""
    directory = Path(os.path.realpath(data_dir))
    place = directory / PLACE
    if not place.is_dir():
        return
    with _plain_errors(directory), _start_lock(directory, START_LOCK_WAIT_S_MAX):
        users = Lock(place / guardian.USERS_LOCK)
        try:
            if not users.try_exclusive():
                raise EmbeddedError(f"The database of {directory} is in use. Stop the commands that use it first.")
            home = known_home(place)
            if not _stop(place):
                raise EmbeddedError(f"The PostgreSQL of {directory} does not stop. Try again later.")
            for folder in (place if home is None else home.root, place):
                if folder.exists():
                    shutil.rmtree(folder)
        finally:
            users.close()


def default_data_dir() -> Path:
    """$XDG_DATA_HOME/moneyback, or what that means where it is not set."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # The XDG rules: a relative path is to be ignored.
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "moneyback"


@contextmanager
def _plain_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
        raise EmbeddedError(
            f"PostgreSQL cannot be run in {directory}: {what}. Repair that, or give another --data."
        ) from error


@contextmanager
def _start_lock(directory: Path, wait_s_max: float) -> Iterator[None]:
    """Keeps all others from starting or stopping the server of DIR meanwhile."""
    deadline = time.monotonic() + wait_s_max
    while True:
        lock = Lock(make_place(directory) / guardian.START_LOCK)
        try:
            # A file that lost its name was removed with the cluster, by whoever held the lock before us.
            if lock.try_exclusive() and lock.names_its_file():
                yield
                return
        finally:
            lock.close()
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"Another command has been starting or stopping the PostgreSQL of {directory} for {wait_s_max:.0f} s. "
                "Wait for it, or end it."
            )
        time.sleep(guardian.PAUSE_S)


def _home_of_running(place: Path) -> Home:
    home = known_home(place)
    if home is None:
        raise EmbeddedError(
            f"PostgreSQL runs for {place.parent}, but {place / guardian.WHERE_FILE}, which says where, is missing. "
            "Bring that file back, or end the PostgreSQL processes, and try again."
        )
    return home


def _ensure_guardian(place: Path, grace_s: float) -> None:
    lock = Lock(place / guardian.GUARDIAN_LOCK)
    try:
        if lock.try_exclusive():
            program = [sys.executable, "-I", "-S", guardian.__file__, str(place), repr(grace_s), str(lock.fd)]
            _guardians[place] = _spawn(program, inherited=lock, stderr_file=place / "guardian.log")
    finally:
        lock.close()


def _initialise(home: Home, server: Lock) -> None:
    """Makes the data folder if there is none, whole or not at all; and a password, should it have been lost."""
    has_password = home.password_file.exists()
    if not home.data.exists():
        where = Where.read(home.place)
        if where is not None and where.initialised:
            raise EmbeddedError(
                f"The database of {home.place.parent} was in {home.data}, and is gone. Bring that folder back, "
                f"or remove {home.place} to begin with an empty database."
            )
        _make_data(home, server)
    elif not has_password:
        _single_user(home, home.data, server, f"ALTER ROLE {ROLE} PASSWORD '{_new_password(home)}'")
    home.mark_initialised()


def _make_data(home: Home, server: Lock) -> None:
    if home.draft.exists():
        shutil.rmtree(home.draft)  # an earlier start was interrupted; the server lock says that it has ended
    home.make_folder(home.draft)
    options = ["--username=postgres", "--locale=C", "--encoding=UTF8", "--auth=reject", "--no-instructions"]
    _program(home, server, "initdb", f"--pgdata={home.draft}", *options, *(f"--set={each}" for each in BIRTH_SETTINGS))
    _single_user(
        home,
        home.draft,
        server,
        f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{_new_password(home)}'",
        f"GRANT pg_monitor, pg_checkpoint, pg_signal_backend TO {ROLE}",
        f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
    )
    home.draft.rename(home.data)
    _sync(home.root)


def _new_password(home: Home) -> str:
    password = secrets.token_hex(32)
    draft = home.password_file.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
        file.write(password + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(home.password_file)
    _sync(home.place)
    return password


def _single_user(home: Home, data: Path, server: Lock, *statements: str) -> None:
    """Runs statements as the superuser, whom no connection can be. Nothing listens meanwhile."""
    settings = ("-c", "exit_on_error=on", "-c", "log_checkpoints=off")
    text = "".join(f"{statement};\n" for statement in statements)
    _program(home, server, "postgres", "--single", "-D", str(data), *settings, "postgres", text=text)


def _program(home: Home, server: Lock, name: str, *arguments: str, text: str = "") -> None:
    """Runs one of PostgreSQL's programs to its end. It holds the server lock even if we are killed meanwhile."""
    user, group, groups = _identity(home)
    done = subprocess.run(
        [home.programs() / name, *arguments],
        input=text.encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[server.fd],
        env=_environment(),
        cwd="/",
        check=False,
        user=user,
        group=group,
        extra_groups=groups,
    )
    if done.returncode != 0:
        words = "\n".join(done.stderr.decode(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        raise EmbeddedError(f"PostgreSQL's {name} could not prepare the database of {home.place.parent}:\n{words}")


def _launch(home: Home, server: Lock) -> int:
    """Starts the server and does not wait for it. Returns the size of its log before."""
    home.access_file.write_text(f"local all {ROLE} scram-sha-256\n")
    home.access_file.chmod(0o644)
    _claim_stale_pid(home)
    for name in (guardian.SOCKET_NAME, f"{guardian.SOCKET_NAME}.lock"):
        (home.socket_dir / name).unlink(missing_ok=True)  # nobody listens: the server lock is ours
    if home.log_file.exists() and home.log_file.stat().st_size > LOG_BYTES_MAX:
        home.log_file.replace(home.log_file.with_suffix(".log.1"))
    log_size = home.log_file.stat().st_size if home.log_file.exists() else 0
    socket_dir = str(home.socket_dir).replace('"', '""')
    settings = (*FIRM_SETTINGS, f"hba_file={home.access_file}", f'unix_socket_directories="{socket_dir}"')
    program = [str(home.programs() / "postgres"), "-D", str(home.data)]
    for setting in settings:
        program += ["-c", setting]
    _spawn(program, inherited=server, stderr_file=home.log_file, home=home)
    return log_size


def _claim_stale_pid(home: Home) -> None:
    """Puts our own process id into a postmaster.pid left by a killed server.

    PostgreSQL refuses to start while the process named there lives, though it may be another by now; it lets its own
    parent pass. The file itself must stay: it also names the old server's shared memory, which PostgreSQL then checks.
    """
    stale = home.data / "postmaster.pid"
    try:
        _, *rest = stale.read_text(errors="replace").splitlines(keepends=True) or [""]
    except FileNotFoundError:
        return
    draft = home.data / "postmaster.pid.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("".join([f"{os.getpid()}\n", *rest]))
        if home.account is not None:
            os.fchown(file.fileno(), home.account.pw_uid, home.account.pw_gid)
    draft.replace(stale)


def _spawn(
    program: list[str], *, inherited: Lock, stderr_file: Path, home: Home | None = None
) -> subprocess.Popen[bytes]:
    """Starts a process that outlives us and our terminal, and that keeps `inherited` for as long as it lives."""
    _reap()
    user, group, groups = _identity(home)
    log = os.open(stderr_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        child = subprocess.Popen(
            program,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[inherited.fd],
            env=_environment(),
            cwd="/",
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=groups,
        )
    finally:
        os.close(log)
    _children.append(child)
    return child


def _identity(home: Home | None) -> tuple[int | None, int | None, list[int] | None]:
    """User, group and further groups to run as; None is as ourselves."""
    if home is None or home.account is None:
        return None, None, None
    return home.account.pw_uid, home.account.pw_gid, []


def _environment() -> dict[str, str]:
    """Nothing of ours: a PGDATA or PGOPTIONS of the user's is meant for another server."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _is_up(home: Home, log_from: int | None) -> bool:
    """Waits until the server takes connections, through any recovery that makes progress. False: it ended, try anew."""
    server = Lock(home.place / guardian.SERVER_LOCK)
    seen, since_s, asked_s = _progress(home), time.monotonic(), -math.inf
    try:
        while True:
            now_s = time.monotonic()
            # PostgreSQL logs every knock on a door it has not opened yet: rarely, until its own status file says ready.
            if _says_ready(home) or now_s - asked_s > ASK_UNREADY_S:
                asked_s = now_s
                if ask(str(home.socket_dir)) is Answer.READY:
                    return True
            if not is_running(server):
                if log_from is None:
                    return False
                raise EmbeddedError(_complaint(home, "ended while it was starting", log_from))
            if (now := _progress(home)) != seen:
                seen, since_s = now, now_s
            if now_s - since_s > STALL_S_MAX:
                what = f"takes no connections, and has made no progress for {STALL_S_MAX:.0f} s"
                raise EmbeddedError(_complaint(home, what, log_from or 0))
            time.sleep(guardian.PAUSE_S)
    finally:
        server.close()


def _says_ready(home: Home) -> bool:
    """A hint only: the file may be a killed server's."""
    return b"ready" in _end_of(home.data / "postmaster.pid")


def _progress(home: Home) -> tuple[bytes, bytes, int | None]:
    """What changes while a server starts, recovers or stops: its status, its own words, its control file."""
    control = home.data / "global" / "pg_control"
    words = [line for line in _end_of(home.log_file).splitlines() if b"FATAL:  the database system is" not in line]
    changed = control.stat().st_mtime_ns if control.exists() else None
    return _end_of(home.data / "postmaster.pid"), words[-1] if words else b"", changed


def _complaint(home: Home, what: str, log_from: int) -> str:
    words = _end_of(home.log_file, log_from).decode(errors="replace").splitlines()
    tail = "\n".join(words[-LOG_TAIL_LINES:])
    return f"The PostgreSQL of {home.place.parent} {what}. From its log, {home.log_file}:\n{tail}"


def _end_of(path: Path, start: int = 0) -> bytes:
    """The last words in a file, none before `start`."""
    try:
        with path.open("rb") as file:
            file.seek(max(start, path.stat().st_size - LOG_TAIL_BYTES))
            return file.read()
    except FileNotFoundError:
        return b""


def _stop(place: Path) -> bool:
    """Stops the server of a DIR whose start lock we hold, and that nobody uses. False: it still works on it."""
    where = Where.read(place)
    if where is None:
        return True
    server = Lock(place / guardian.SERVER_LOCK)
    try:
        if not guardian.stop(server, where.socket_dir):
            return False
    finally:
        server.close()
    if Path(where.socket_dir).parent != Path(where.home):
        shutil.rmtree(where.socket_dir, ignore_errors=True)  # it stands in a temporary folder
    _dismiss_guardian(place)
    _reap()
    return True


def _dismiss_guardian(place: Path) -> None:
    """Ends a guardian of our own, which has nothing left to watch. Another command's ends by itself."""
    if child := _guardians.pop(place, None):
        child.kill()  # it acts under the start lock only, which is ours
        child.wait()


def _reap() -> None:
    _children[:] = [child for child in _children if child.poll() is None]


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
