"""The databases under measure: filled alike, one for the product and a copy of it for pgbench, on one server."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg

from moneyback.store.embedded import DATABASE, Cluster

T = TypeVar("T")

COPY: Final = "pgbench"
SLICE: Final = 100_000
PRELOAD: Final = Path(__file__).with_name("preload.sql")
SETTLE_WITHIN_S: Final = 120.0
SETTLE_POLL_S: Final = 0.1


class Database:
    """The product's database and pgbench's copy. pgbench has its own, or the product would pick up its refunds."""

    def __init__(self, cluster: Cluster) -> None:
        self.dsn = cluster.dsn
        self.copy_dsn = cluster.dsn_for(COPY)

    def merchant_of(self, api_key: str) -> UUID:
        """Whose key this is."""
        found: UUID = self._one(
            "select merchant_id from credentials where dialect = 'native' and lookup = $1",
            hashlib.sha256(api_key.encode()).hexdigest(),
        )
        return found

    def preloaded(self, merchant: UUID) -> int:
        """How many payments a preload left here."""
        found: int = self._one(
            "select count(*) from payments where merchant_id = $1 and id < '01900000-0000-7000-9000-000000000000'"
            " and id > '01900000-0000-7000-8000-000000000000'",
            merchant,
        )
        return found

    def preload(self, merchant: UUID, rows: int) -> None:
        """Fill in payments that are missing up to `rows`, a slice a commit, and let PostgreSQL look at them."""
        text = PRELOAD.read_text()
        for first in range(self.preloaded(merchant) + 1, rows + 1, SLICE):
            last = min(first + SLICE - 1, rows)
            _run(self._execute(self.dsn, text.format(merchant=merchant, first=first, last=last)))
        _run(self._execute(self.dsn, "vacuum analyze"))

    def make_copy(self) -> None:
        """pgbench's database, as the product's is now. Nobody may be connected to the product's."""
        for statement in (f"drop database if exists {COPY}", f"create database {COPY} template {DATABASE}"):
            _run(self._execute(self.dsn.replace(f"/{DATABASE}?", "/postgres?"), statement))

    def checkpoint(self) -> None:
        """Every run begins with the same debts: none."""
        _run(self._execute(self.dsn, "checkpoint"))

    def settle(self) -> float:
        """Wait until no refund is under way any more; seconds. Raises RuntimeError when they do not end."""
        began = time.monotonic()
        while self._one("select exists (select from refunds where state in ('ready', 'sending'))"):
            if time.monotonic() - began > SETTLE_WITHIN_S:
                raise RuntimeError("refunds are still under way long after the load has ended")
            time.sleep(SETTLE_POLL_S)
        return time.monotonic() - began

    def written(self, label: str) -> tuple[int, int]:
        """How many refunds were admitted under the keys of one run, and how many of them succeeded."""
        row = self._row(
            "select count(*) as admitted, count(*) filter (where r.state = 'succeeded') as succeeded from idempotency k"
            " join refunds r on r.merchant_id = k.merchant_id and r.id = k.refund_id"
            " where k.dialect = 'native' and k.key like $1",
            f"{label}-%",
        )
        return row["admitted"], row["succeeded"]

    def settings(self) -> dict[str, str]:
        """What was measured: the server's version, and the settings that durability hangs on."""
        names = ("server_version", "fsync", "full_page_writes", "synchronous_commit", "shared_buffers", "max_wal_size")
        return {name: self._one(f"show {name}") for name in names}

    def _one(self, statement: str, *arguments: object) -> Any:
        return self._row(statement, *arguments)[0]

    def _row(self, statement: str, *arguments: object) -> Any:
        return _run(self._fetch(statement, *arguments))

    async def _fetch(self, statement: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchrow(statement, *arguments)
        finally:
            await connection.close()

    async def _execute(self, dsn: str, statement: str) -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def _run(story: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(story)
