"""Configuration, read once: the environment is checked, frozen and handed over. Nothing else looks at it."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import msgspec

from moneyback.store.embedded import default_data_dir
from moneyback.vault import KEY_FILE, MasterKeyError, own_key, read_key

HANDED_DOWN = "MONEYBACK_WORKER"
"""The variable in which a supervisor hands its settings to the workers it starts."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a process needs to know before it starts. `dsn` None: the embedded PostgreSQL of `data_dir`."""

    data_dir: str
    dsn: str | None = None
    host: str = "127.0.0.1"
    port: int = 8900
    workers: int = 1
    with_worker: bool = True
    sandbox: bool = False
    twin: str | None = None  # that dialect alone, at the root of the port
    faults: dict[str, float] = {}  # the twin's, with their probabilities
    seed: int = 0
    slow_s: float = 35.0
    lag_s: int = 10
    movable: bool = True  # a sandbox's business time can be moved by its control endpoint
    master_key: str | None = None  # base64; None: `data_dir/master.key`, where the database is our own
    near_hooks: bool = False  # clients' own hooks may lie on this machine or in a private network
    parent: int | None = None  # the supervisor: a worker whose parent is gone exits

    @property
    def near(self) -> bool:
        """Whether clients' own programs may be called on this machine and in private networks."""
        return self.sandbox or self.near_hooks


def settings_from_environment(data_dir: Path | None = None) -> Settings:
    """The settings of this process; an explicit `data_dir` counts more than the environment."""
    chosen = data_dir or os.environ.get("MONEYBACK_DATA") or default_data_dir()
    return Settings(
        data_dir=str(Path(chosen).absolute()),
        dsn=os.environ.get("MONEYBACK_DATABASE_URL") or None,
        master_key=os.environ.get("MONEYBACK_MASTER_KEY") or None,
        near_hooks=os.environ.get("MONEYBACK_NEAR_HOOKS", "") not in ("", "0"),
    )


def with_master_key(settings: Settings, *, own_database: bool) -> Settings:
    """The settings with the key that seals secrets: the one given, or the one beside the data.

    One is made beside a database of our own. Beside somebody else's it would be lost with this machine while the
    secrets live on, so there MasterKeyError is raised.
    """
    if settings.master_key is not None:
        read_key(settings.master_key)
        return settings
    directory = Path(settings.data_dir)
    if not own_database and not (directory / KEY_FILE).exists():
        raise MasterKeyError(
            f"MONEYBACK_DATABASE_URL is set, but neither MONEYBACK_MASTER_KEY nor {directory / KEY_FILE} is there. "
            "Set it to 32 random bytes in base64, the same for every process, and keep it safe."
        )
    return msgspec.structs.replace(settings, master_key=b64encode(own_key(directory)).decode())


def hand_down(settings: Settings) -> None:
    """Leave the settings where the workers this process starts will find them."""
    os.environ[HANDED_DOWN] = msgspec.json.encode(settings).decode()


def handed_down() -> Settings:
    """The settings a supervisor left for this worker."""
    return msgspec.json.decode(os.environ[HANDED_DOWN], type=Settings)
