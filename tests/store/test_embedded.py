"""The embedded server: shared, private, and back after any violent death."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from moneyback.store import cluster_home, embedded, guardian
from moneyback.store.embedded import EmbeddedError, destroy_cluster, open_cluster
from moneyback.store.guardian import Answer, Lock, Where, ask, is_running

DEADLINE_S = 120.0
ODD_NAME = 'o\'clock "quoted" & 100%?#é'
AS_ROOT = os.geteuid() == 0
FOUND_IN = os.pathsep.join(map(str, (Path(embedded.__file__).parents[2], embedded.wheel_programs().parents[2])))

# What a command that uses the server does: it says how it got in, and stays until its input ends.
COMMAND = """
import sys
from pathlib import Path
from moneyback.store.embedded import open_cluster
with open_cluster(Path(sys.argv[1]), grace_s=float(sys.argv[2])) as cluster:
    print("owned" if cluster.owned else "joined", cluster.dsn, flush=True)
    sys.stdin.read()
"""

# Put before it: it dies by SIGKILL before PostgreSQL's `postgres` can fill the new data, or as soon as `initdb` works.
KILLED_WHILE = {
    "postgres": """
import os, signal, subprocess
run = subprocess.run
def die(arguments, **options):
    os.killpg(0, signal.SIGKILL) if arguments[0].name == "postgres" else None
    return run(arguments, **options)
subprocess.run = die
""",
    "initdb": """
import os, signal, subprocess, sys, threading, time
from pathlib import Path
from moneyback.store.cluster_home import known_home
place = Path(os.path.realpath(sys.argv[1])) / "postgres"
def die():
    while (home := known_home(place)) is None or not (home.draft / "PG_VERSION").exists():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=die, daemon=True).start()
""",
}


@pytest.fixture
def new_directory() -> Iterator[Path]:
    """A DIR of the test's own, not made yet, on a path short enough for a socket."""
    with _folder() as parent:
        yield parent / "data"


@pytest.fixture(scope="module")
def shared_directory() -> Iterator[Path]:
    with _folder() as parent:
        yield parent / "data"


@pytest.fixture
def directory(shared_directory: Path) -> Path:
    """A DIR with a cluster, stopped and without tables. The tests share it, for making one takes a second."""
    with open_cluster(shared_directory) as cluster:
        run(cluster.dsn, "DROP TABLE IF EXISTS kept")
    # A guardian left by a killed command sees within a second that it has nothing to do; each test begins with none.
    until(lambda: not is_guarded(shared_directory))
    return shared_directory


@contextmanager
def _folder() -> Iterator[Path]:
    parent = Path(os.path.realpath(tempfile.mkdtemp(prefix="mb-")))
    try:
        yield parent
    finally:
        for each in parent.iterdir():
            destroy_cluster(each)
        shutil.rmtree(parent)


@pytest.fixture
def command() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts commands that use a DIR, each in a process group of its own; none outlives the test."""
    running: list[subprocess.Popen[str]] = []

    def start(directory: Path, *, grace_s: float = 30.0, code: str = COMMAND) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(directory), str(grace_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
            env={**os.environ, "PYTHONPATH": FOUND_IN},
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_second_start_finds_the_data_of_the_first(directory: Path) -> None:
    with open_cluster(directory) as cluster:
        assert cluster.owned
        run(cluster.dsn, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    assert not runs(directory)
    with open_cluster(directory) as cluster:
        assert run(cluster.dsn, "SELECT n FROM kept") == 7


def test_the_server_is_durable_private_and_speaks_utc(directory: Path) -> None:
    wanted = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "max_connections": "100",
        "unix_socket_permissions": "0700",
    }
    with open_cluster(directory) as cluster:
        assert {name: run(cluster.dsn, f"SHOW {name}") for name in wanted} == wanted
        collation = "SELECT datcollate || datctype FROM pg_database WHERE datname = current_database()"
        assert run(cluster.dsn, collation) == "CC"
        assert run(cluster.dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        assert mode(socket_dir(directory)) == 0o700
        assert mode(directory / "postgres" / "password") == 0o600
        assert cluster.dsn.split(":")[2].split("@")[0] not in repr(cluster)
        with pytest.raises(asyncpg.InvalidPasswordError):
            run(cluster.dsn.replace("moneyback:", "moneyback:0"), "SELECT 1")


def test_who_comes_later_joins_and_the_last_to_leave_stops_it(directory: Path) -> None:
    first = open_cluster(directory)
    second = open_cluster(directory)
    assert (first.owned, second.owned) == (True, False)
    first.close()
    assert run(second.dsn, "SELECT 1") == 1, "the first left, and took the server away from the second"
    second.close()
    assert not runs(directory)
    second.close()
    with pytest.raises(EmbeddedError, match="left already"):
        _ = second.dsn


def test_who_has_left_starts_nothing_any_more(directory: Path) -> None:
    """A thread of ours may be about to start the server again just when we leave."""
    cluster = open_cluster(directory)
    cluster.close()
    with pytest.raises(EmbeddedError, match="left already"):
        cluster._run()
    assert not runs(directory)


def test_of_two_that_start_at_once_on_a_new_folder_one_owns_and_the_other_joins(
    new_directory: Path, command: Callable[..., subprocess.Popen[str]]
) -> None:
    words = [first_words(process) for process in [command(new_directory), command(new_directory)]]
    assert sorted(how for how, _ in words) == ["joined", "owned"]
    assert len({dsn for _, dsn in words}) == 1


def test_after_kill_9_of_a_whole_process_group_the_next_start_adopts_the_server(
    directory: Path, command: Callable[..., subprocess.Popen[str]]
) -> None:
    process = command(directory)
    _, dsn = first_words(process)
    before = run(dsn, "SELECT pg_postmaster_start_time()")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with open_cluster(directory) as cluster:
        assert cluster.owned
        assert run(cluster.dsn, "SELECT pg_postmaster_start_time()") == before
    assert not runs(directory)


def test_the_guardian_stops_a_server_whose_user_was_killed(
    directory: Path, command: Callable[..., subprocess.Popen[str]]
) -> None:
    process = command(directory, grace_s=0.3)
    first_words(process)
    process.kill()
    until(lambda: not runs(directory))
    until(lambda: not is_guarded(directory))
    assert "database system is shut down" in home(directory).log_file.read_text()


def test_the_guardian_spares_a_server_that_has_a_new_user(
    directory: Path, command: Callable[..., subprocess.Popen[str]]
) -> None:
    process = command(directory, grace_s=0.3)
    first_words(process)
    with open_cluster(directory) as cluster:
        process.kill()
        process.wait()
        watch = guardian.Guardian(directory / "postgres", grace_s=0.0, own_lock_fd=-1)
        assert not watch._is_over()
        assert run(cluster.dsn, "SELECT 1") == 1


def test_a_killed_guardian_is_replaced_by_the_next_command(directory: Path) -> None:
    with open_cluster(directory):
        assert is_guarded(directory)
        kill_guardian(directory)
        with open_cluster(directory):
            assert is_guarded(directory)


def test_after_kill_9_of_postgres_what_was_committed_is_there(directory: Path) -> None:
    with open_cluster(directory) as cluster:
        run(cluster.dsn, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
        kill_server(directory)
        assert cluster.ensure_running()
        assert run(cluster.dsn, "SELECT n FROM kept") == 7
        assert not cluster.ensure_running()


def test_a_stale_pid_that_another_process_has_now_stops_nobody(directory: Path) -> None:
    with open_cluster(directory) as cluster:
        run(cluster.dsn, "CREATE TABLE kept ()")
        kill_server(directory)
    account = home(directory).account
    # As the server's own user: PostgreSQL takes a process that it may signal for a server that lives.
    innocent = subprocess.Popen(["sleep", "60"], user=None if account is None else account.pw_uid)
    try:
        name_in_pid_files(directory, innocent.pid)
        with open_cluster(directory) as cluster:
            assert run(cluster.dsn, "SELECT count(*) FROM kept") == 0
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_postgres_that_outlived_its_owner_and_guardian_is_adopted(
    directory: Path, command: Callable[..., subprocess.Popen[str]]
) -> None:
    process = command(directory)
    first_words(process)
    kill_guardian(directory)
    process.kill()
    process.wait()
    with open_cluster(directory) as cluster:
        assert cluster.owned
        assert is_guarded(directory)
    assert not runs(directory)


@pytest.mark.parametrize("moment", ["initdb", "postgres"])
def test_an_interrupted_first_start_is_begun_anew(
    new_directory: Path, command: Callable[..., subprocess.Popen[str]], moment: str
) -> None:
    """Killed with its group when it is about to run the second program, or alone while the first one works."""
    process = command(new_directory, code=KILLED_WHILE[moment] + COMMAND)
    assert process.wait() == -signal.SIGKILL
    with open_cluster(new_directory) as cluster:
        assert run(cluster.dsn, "SELECT 1") == 1
        assert home(new_directory).data.exists()
        assert not home(new_directory).draft.exists()


def test_a_lost_password_is_made_anew(directory: Path) -> None:
    with open_cluster(directory) as cluster:
        before = cluster.dsn
        run(before, "CREATE TABLE kept ()")
    (directory / "postgres" / "password").unlink()
    with open_cluster(directory) as cluster:
        assert cluster.dsn != before
        assert run(cluster.dsn, "SELECT count(*) FROM kept") == 0


def test_a_lost_database_is_not_replaced_by_an_empty_one(directory: Path) -> None:
    data = home(directory).data
    aside = data.rename(data.with_name("aside"))
    try:
        with pytest.raises(EmbeddedError, match="is gone"):
            open_cluster(directory)
        assert not data.exists()
    finally:
        aside.rename(data)


def test_a_server_that_cannot_start_says_why_in_its_own_words(directory: Path) -> None:
    version = home(directory).data / "PG_VERSION"
    before = version.read_text()
    version.write_text("12\n")
    try:
        with pytest.raises(EmbeddedError, match="initialized by PostgreSQL version 12"):
            open_cluster(directory)
        assert not runs(directory)
    finally:
        version.write_text(before)


def test_a_server_that_does_not_answer_is_given_up_in_the_end(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_cluster(directory) as cluster:
        monkeypatch.setattr(guardian, "ANSWER_WAIT_S_MAX", 0.02)
        monkeypatch.setattr(embedded, "STALL_S_MAX", 0.05)
        pid = server_pid(directory)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(EmbeddedError, match="has made no progress"):
                open_cluster(directory)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert run(cluster.dsn, "SELECT 1") == 1


def test_a_folder_that_cannot_be_made_is_named(new_directory: Path) -> None:
    new_directory.write_text("not a folder")
    with pytest.raises(EmbeddedError, match=str(new_directory)):
        open_cluster(new_directory)
    new_directory.unlink()


def test_any_name_will_do_for_a_folder_and_its_parent_keeps_its_permissions(new_directory: Path) -> None:
    odd = new_directory.with_name(ODD_NAME)
    odd.mkdir(mode=0o755)
    before = [(found.st_mode, found.st_uid) for found in (new_directory.parent.stat(), odd.stat())]
    assert mode(new_directory.parent) == 0o700
    with open_cluster(odd) as cluster:
        assert run(cluster.dsn, "SELECT 1") == 1
    assert [(found.st_mode, found.st_uid) for found in (new_directory.parent.stat(), odd.stat())] == before


def test_the_socket_of_a_long_path_lies_in_the_runtime_folder(new_directory: Path, tmp_path: Path) -> None:
    place = new_directory / ("long" * 30) / "postgres"
    assert cluster_home._socket_dir(Path("/short/postgres"), Path("/short/postgres"), None) == Path(
        "/short/postgres/socket"
    )
    runtime = new_directory.parent
    chosen = cluster_home._socket_dir(place, place, str(runtime))
    assert chosen.parent == runtime
    assert chosen == cluster_home._socket_dir(place, place, str(runtime)), "two commands must find the same"
    assert chosen != cluster_home._socket_dir(place.parent / "b" / "postgres", place, str(runtime))
    assert cluster_home._socket_dir(place, place, None).parent == Path(tempfile.gettempdir())


def test_a_socket_folder_that_others_may_enter_is_refused(new_directory: Path) -> None:
    new_directory.mkdir()
    place = cluster_home.make_place(new_directory)
    squatted = new_directory / "squatted"
    squatted.mkdir()
    squatted.chmod(0o777)
    with pytest.raises(EmbeddedError, match="Somebody else may have put it there"):
        cluster_home.Home(place, place, squatted, None).make_folder(squatted)


def test_a_forked_child_that_leaves_does_not_leave_for_its_parent(directory: Path) -> None:
    with open_cluster(directory) as cluster:
        cluster._opened_by = -1  # as the child would find it
        cluster.close()
        assert runs(directory)
    with open_cluster(directory):
        pass
    assert not runs(directory)


def test_what_is_in_use_is_not_destroyed_and_what_is_destroyed_is_gone(new_directory: Path) -> None:
    with open_cluster(new_directory) as cluster:
        with pytest.raises(EmbeddedError, match="in use"):
            destroy_cluster(new_directory)
        run(cluster.dsn, "CREATE TABLE kept ()")
    root = home(new_directory).root
    destroy_cluster(new_directory)
    assert not root.exists()
    assert not (new_directory / "postgres").exists()
    destroy_cluster(new_directory)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (b"R\0\0\0\x08\0\0\0\x0a", Answer.READY),
        (b"", Answer.SILENT),
        (b"SFATAL\0C57P03\0Mthe database system is starting up\0\0", Answer.STARTING),
        (b"SFATAL\0C57P03\0Mthe database system is in recovery mode\0\0", Answer.STARTING),
        (b"SFATAL\0C57P03\0Mthe database system is shutting down\0\0", Answer.STOPPING),
        (b"SFATAL\0C53300\0Msorry, too many clients already\0\0", Answer.READY),
    ],
)
def test_a_server_is_understood_by_its_first_words(directory: Path, reply: bytes, answer: Answer) -> None:
    message = b"E" + (len(reply) + 4).to_bytes(4, "big") + reply if reply.startswith(b"S") else reply
    assert guardian._understand(message) is answer


def test_nobody_at_home_is_absent_and_a_deaf_listener_is_silent(
    new_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guardian, "ANSWER_WAIT_S_MAX", 0.05)
    new_directory.mkdir()
    assert ask(str(new_directory)) is Answer.ABSENT
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf:
        deaf.bind(str(new_directory / guardian.SOCKET_NAME))
        assert ask(str(new_directory)) is Answer.ABSENT
        deaf.listen()
        assert ask(str(new_directory)) is Answer.SILENT


@pytest.mark.skipif(not AS_ROOT, reason="only root needs another account")
class TestAsRoot:
    def test_postgres_runs_as_an_unprivileged_account_and_owns_no_more_than_it_must(self, directory: Path) -> None:
        with open_cluster(directory):
            found = home(directory)
            assert found.account is not None
            assert found.account.pw_name in cluster_home.ACCOUNTS
            assert Path(f"/proc/{server_pid(directory)}").stat().st_uid == found.account.pw_uid
            owners = {path: (found.root / path).stat().st_uid for path in ("data", "socket", ".", "server.log")}
        assert owners == {"data": found.account.pw_uid, "socket": found.account.pw_uid, ".": 0, "server.log": 0}
        assert mode(directory) == 0o700

    def test_a_moved_folder_keeps_its_database(self, directory: Path) -> None:
        with open_cluster(directory) as cluster:
            run(cluster.dsn, "CREATE TABLE kept ()")
        moved = directory.rename(directory.with_name("moved"))
        try:
            with open_cluster(moved) as cluster:
                assert run(cluster.dsn, "SELECT count(*) FROM kept") == 0
        finally:
            moved.rename(directory)

    def test_a_copied_folder_does_not_share_its_database(self, directory: Path) -> None:
        copy = Path(shutil.copytree(directory, directory.with_name("copy")))
        with pytest.raises(EmbeddedError, match="is a copy of"):
            open_cluster(copy)
        shutil.rmtree(copy)

    def test_a_folder_removed_and_made_anew_is_empty_and_the_old_database_is_kept(self, directory: Path) -> None:
        with open_cluster(directory) as cluster:
            run(cluster.dsn, "CREATE TABLE kept ()")
        old = home(directory).root
        away = directory.rename(directory.with_name("away"))
        try:
            with open_cluster(directory) as cluster:
                assert run(cluster.dsn, "SELECT to_regclass('kept')") is None
            assert (old / "data" / "PG_VERSION").exists()
            destroy_cluster(directory)
            directory.rmdir()
        finally:
            away.rename(directory)

    def test_an_ordinary_user_beside_root_has_a_server_of_their_own(self, directory: Path) -> None:
        with as_nobody() as (plain, start):
            theirs = plain.with_name(ODD_NAME)
            with open_cluster(directory) as ours:
                process = start(theirs)
                how, dsn = first_words(process)
                assert how == "owned"
                assert run(dsn, "SELECT inet_server_addr()") is None
                assert dsn != ours.dsn
                assert runs(theirs)
                assert server_uid(theirs) == pwd.getpwnam("nobody").pw_uid
                assert Where.read(theirs / "postgres") is not None
                with pytest.raises(EmbeddedError, match="belongs to nobody"):
                    open_cluster(theirs)
            assert runs(theirs), "root left its server, and took away another's"
            process.communicate()
            assert not runs(theirs)

    def test_an_ordinary_user_on_a_long_path_with_spaces_gets_a_socket_elsewhere(self) -> None:
        with as_nobody() as (theirs, start):
            long = theirs.with_name("a long name " * 9)
            process = start(long)
            first_words(process)
            where = Where.read(long / "postgres")
            assert where is not None
            chosen = Path(where.socket_dir)
            assert chosen.parent == Path(tempfile.gettempdir())
            assert mode(chosen) == 0o700
            process.communicate()
            assert not runs(long)
            assert not chosen.exists()


def run(dsn: str, *statements: str) -> object:
    """The value the last statement yields."""

    async def talk() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(talk())


def first_words(process: subprocess.Popen[str]) -> tuple[str, str]:
    assert process.stdout is not None
    how, dsn = process.stdout.readline().split(maxsplit=1)
    return how, dsn.strip()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for did not come"
        time.sleep(0.01)


def home(directory: Path) -> cluster_home.Home:
    found = cluster_home.known_home(directory / "postgres")
    assert found is not None
    return found


def socket_dir(directory: Path) -> Path:
    return home(directory).socket_dir


def runs(directory: Path) -> bool:
    return is_held(directory / "postgres" / guardian.SERVER_LOCK)


def is_guarded(directory: Path) -> bool:
    return is_held(directory / "postgres" / guardian.GUARDIAN_LOCK)


def is_held(path: Path) -> bool:
    lock = Lock(path)
    try:
        return is_running(lock)
    finally:
        lock.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def server_pid(directory: Path) -> int:
    where = Where.read(directory / "postgres")
    assert where is not None
    pid = guardian._listener(where.socket_dir)
    assert pid is not None
    return pid


def server_uid(directory: Path) -> int:
    return Path(f"/proc/{server_pid(directory)}").stat().st_uid


def kill_server(directory: Path) -> None:
    os.kill(server_pid(directory), signal.SIGKILL)
    until(lambda: not runs(directory))


def kill_guardian(directory: Path) -> None:
    place = str(directory / "postgres").encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile
        if guardian.__file__.encode() in words and place in words:
            os.kill(int(process.name), signal.SIGKILL)
    until(lambda: not is_guarded(directory))


def name_in_pid_files(directory: Path, pid: int) -> None:
    """What a crash leaves behind when the system has given the server's process id to another process since."""
    for path in (home(directory).data / "postmaster.pid", socket_dir(directory) / f"{guardian.SOCKET_NAME}.lock"):
        _, *rest = path.read_text().splitlines(keepends=True)
        path.write_text("".join([f"{pid}\n", *rest]))


@contextmanager
def as_nobody() -> Iterator[tuple[Path, Callable[[Path], subprocess.Popen[str]]]]:
    """A DIR of the user nobody's, and a way to run a command there as nobody."""
    nobody = pwd.getpwnam("nobody")
    settings = {"PYTHONPATH": FOUND_IN, "PYTHONDONTWRITEBYTECODE": "1"}
    python = _python_for(nobody, settings)
    parent = Path(os.path.realpath(tempfile.mkdtemp(prefix="mb-")))
    os.chown(parent, nobody.pw_uid, nobody.pw_gid)
    running: list[tuple[Path, subprocess.Popen[str]]] = []

    def start(directory: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [python, "-c", COMMAND, str(directory), "0.3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env=settings,
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
        )
        running.append((directory, process))
        return process

    try:
        yield parent / "data", start
    finally:
        for directory, process in running:
            process.kill()
            process.communicate()
            if (directory / "postgres").is_dir():
                until(lambda directory=directory: not runs(directory))  # type: ignore[misc]
        shutil.rmtree(parent)


def _python_for(user: pwd.struct_passwd, settings: dict[str, str]) -> str:
    """A Python that `user` may run, and that finds the package and the wheel: ours may lie in root's own folder."""
    for python in filter(None, (sys.executable, shutil.which("python3", path=os.defpath))):
        trial = [python, "-c", "import moneyback.store.embedded as e; open(e.wheel_programs() / 'postgres').close()"]
        try:
            done = subprocess.run(
                trial,
                env=settings,
                cwd="/",
                user=user.pw_uid,
                group=user.pw_gid,
                extra_groups=[],
                stderr=subprocess.DEVNULL,
                check=False,
            )
        except OSError:
            continue
        if done.returncode == 0:
            return python
    pytest.skip("no Python here that an ordinary user may run and that finds the package")
