"""Where a merchant's own programs are told of events in the native form, and what that is signed with, sealed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from moneyback.store.statements import Statements
from moneyback.vault import MasterKeyError, Vault


class KeptEndpoint(msgspec.Struct, frozen=True):
    """An endpoint without its secret. No `events` means every event; `payment.*` means all of that kind."""

    merchant: UUID
    id: UUID
    url: str
    events: tuple[str, ...]
    description: str
    created_at: datetime

    def wants(self, type: str) -> bool:
        """Whether events of this type are told there."""
        return not self.events or type in self.events or f"{type.partition('.')[0]}.*" in self.events


class Endpoints:
    """Keeps a merchant's endpoints. Everything here raises StoreUnavailable."""

    def __init__(self, statements: Statements, vault: Vault) -> None:
        self._statements = statements
        self._vault = vault

    async def add(
        self, merchant: UUID, id: UUID, *, url: str, events: tuple[str, ...], description: str, secret: str, most: int
    ) -> KeptEndpoint | None:
        """Keep another one; None when there are `most` of them."""
        sealed = self._vault.seal(secret, _purpose(merchant, id))
        row = await self._one("add_endpoint", merchant, id, url, list(events), description, sealed, most)
        return None if row is None else _kept(row)

    async def of(self, merchant: UUID) -> tuple[KeptEndpoint, ...]:
        """A merchant's endpoints, oldest first."""
        found = await self._statements.all(self._statements.text("list_endpoints"), merchant)
        return tuple(map(_kept, found))

    async def remove(self, merchant: UUID, id: UUID) -> bool:
        """Tell it nothing more; False where there is none."""
        return await self._one("remove_endpoint", merchant, id) is not None

    async def rotate(self, merchant: UUID, id: UUID, secret: str, former_for: timedelta) -> KeptEndpoint | None:
        """Sign with another secret; the one before signs beside it for a while of real time. None: there is none."""
        sealed = self._vault.seal(secret, _purpose(merchant, id))
        row = await self._one("rotate_endpoint", merchant, id, sealed, former_for)
        return None if row is None else _kept(row)

    async def secrets(self, merchant: UUID, id: UUID) -> tuple[str, ...] | None:
        """What is signed with now, the newest first; None where there is no such endpoint. Raises MasterKeyError."""
        row = await self._one("read_endpoint_secrets", merchant, id)
        if row is None:
            return None
        newest = self._vault.open(row["sealed"], _purpose(merchant, id))
        if row["former"] is None:
            return (newest,)
        try:
            return newest, self._vault.open(row["former"], _purpose(merchant, id))
        except MasterKeyError:
            return (newest,)

    async def _one(self, name: str, *arguments: object) -> Any:
        return await self._statements.one(self._statements.text(name), *arguments)


def _kept(row: Any) -> KeptEndpoint:
    merchant, id, url, events, description, created_at = row
    return KeptEndpoint(merchant, id, url, tuple(events), description, created_at)


def _purpose(merchant: UUID, id: UUID) -> str:
    return f"endpoint:{merchant.hex}:{id.hex}"
