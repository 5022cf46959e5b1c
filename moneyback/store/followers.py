"""Following event logs: how far each merchant's was read, and the deliveries that came of it, kept in one commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from moneyback.store.deliveries import Deliveries, Told
from moneyback.store.port import Cursor
from moneyback.store.postgres import PostgresStore
from moneyback.store.statements import Statements


class Following(msgspec.Struct, frozen=True):
    """A merchant's log that is followed by this process now, and the place it has come to."""

    merchant: UUID
    reached: Cursor


class Followers:
    """Claims logs that have something new, and moves their places. Everything here raises StoreUnavailable."""

    def __init__(self, store: PostgresStore, deliveries: Deliveries) -> None:
        self._store = store
        self._statements = Statements(store)
        self._deliveries = deliveries

    async def claim(self, limit: int, lease: timedelta) -> tuple[Following, ...]:
        """Logs that go on, claimed for `lease` of real time. After a restore each is claimed once, to be looked at."""
        found = await self._statements.all(self._statements.text("claim_followers"), limit, lease)
        return tuple(Following(row["merchant_id"], Cursor(row["xid"], row["event_id"], row["epoch"])) for row in found)

    async def advance(self, following: Following, told: Sequence[Told], reached: Cursor) -> None:
        """Keep what is told and move on to `reached`, both or neither; the log is free again."""
        merchant, sql = following.merchant, self._store.sql
        async with self._store.reading() as connection, connection.transaction():
            if told:
                await connection.execute(sql["add_deliveries"], merchant, *self._deliveries.columns(merchant, told))
            await connection.execute(sql["advance_follower"], merchant, str(reached.xid), reached.id)

    async def let_go(self, following: Following) -> None:
        """Leave the place where it is, for whoever comes next."""
        await self._statements.one(self._statements.text("let_go_follower"), following.merchant)
