"""What clients' own hooks are to be told, kept until they were: bodies sealed, and gone when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from moneyback.dialect import Delivery
from moneyback.store.postgres import PostgresStore
from moneyback.store.statements import Statements
from moneyback.vault import MasterKeyError, Vault

FAILURE_MAX = 200
"""Characters kept of why a delivery failed."""


class _Said(msgspec.Struct, frozen=True):
    headers: dict[str, str]
    body: bytes


class Due(msgspec.Struct, frozen=True):
    """A delivery to be tried now. Headers and body are None where they were sealed with another master key."""

    merchant: UUID
    id: UUID
    url: str
    method: str
    headers: Mapping[str, str] | None
    body: bytes | None
    tries: int


class Delivered(msgspec.Struct, frozen=True):
    """A delivery as its merchant may see it."""

    id: UUID
    rail: str
    hook: str
    url: str
    method: str
    created_at: datetime
    due_at: datetime | None
    tries: int
    status: int | None
    failure: str | None
    ended_at: datetime | None
    delivered: bool


async def list_deliveries(
    statements: Statements, merchant: UUID, *, undelivered: bool = False, limit: int = 100
) -> tuple[Delivered, ...]:
    """A merchant's deliveries, newest first; `undelivered`: only those that did not arrive (yet)."""
    found = await statements.all(statements.text("list_deliveries"), merchant, undelivered, limit)
    return tuple(Delivered(*row) for row in found)


class Deliveries:
    """Keeps and claims deliveries. Everything here raises StoreUnavailable."""

    def __init__(self, store: PostgresStore, vault: Vault) -> None:
        self._statements = Statements(store)
        self._vault = vault

    async def add(self, merchant: UUID, id: UUID, rail: str, delivery: Delivery) -> None:
        """Keep one, to be tried at once; added again under its id, it is there already."""
        text = msgspec.json.encode(_Said(dict(delivery.headers), delivery.body)).decode()
        sealed = self._vault.seal(text, _purpose(merchant, id))
        place = (merchant, id, rail, delivery.hook, delivery.url, delivery.method)
        await self._statements.one(self._statements.text("add_delivery"), *place, sealed)

    async def claim(self, limit: int, lease: timedelta) -> tuple[Due, ...]:
        """Deliveries that are due, claimed for `lease` of real time."""
        found = await self._statements.all(self._statements.text("claim_deliveries"), limit, lease)
        return tuple(self._due(*row) for row in found)

    async def end(self, due: Due, status: int | None, failure: str | None = None) -> None:
        """It arrived (without a `failure`), or is given up."""
        said = (status, failure and failure[:FAILURE_MAX], failure is None)
        await self._statements.one(self._statements.text("end_delivery"), due.merchant, due.id, *said)

    async def put_off(self, due: Due, after: timedelta, status: int | None, failure: str) -> None:
        """Try it again after so much business time."""
        said = (after, status, failure[:FAILURE_MAX])
        await self._statements.one(self._statements.text("put_off_delivery"), due.merchant, due.id, *said)

    def _due(self, merchant: UUID, id: UUID, url: str, method: str, sealed: bytes, tries: int) -> Due:
        try:
            said = msgspec.json.decode(self._vault.open(sealed, _purpose(merchant, id)), type=_Said)
        except MasterKeyError:
            return Due(merchant, id, url, method, None, None, tries)
        return Due(merchant, id, url, method, said.headers, said.body, tries)


def _purpose(merchant: UUID, id: UUID) -> str:
    return f"delivery:{merchant.hex}:{id.hex}"
