"""Rails to real providers as they are kept: settings readable, credentials sealed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from moneyback.store import rows
from moneyback.store.postgres import PostgresStore
from moneyback.store.statements import Statements
from moneyback.vault import Vault


class RailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator sets. `duplicates`: whether equal keyless requests are one refund (join) or two (faithful)."""

    base_url: str
    duplicates: Literal["join", "faithful"] = "join"
    at_once: int = 4
    per_s: float = 10.0


class KeptRail(msgspec.Struct, frozen=True, kw_only=True):
    """One rail of a merchant. `credentials` are by the names its connector gives them."""

    merchant: UUID
    name: str
    connector: str
    account: str
    settings: RailSettings
    credentials: dict[str, str]


class Exchanged(msgspec.Struct, frozen=True):
    """One scrubbed exchange with a provider."""

    at: datetime
    rail: str
    method: str
    path: str
    request: str
    status: int | None
    response: str
    failure: str | None


class AccountTaken(Exception):
    """The provider account belongs to another merchant, or the rail's name to another account."""


class RailBook:
    """Adds, lists and removes rails."""

    def __init__(self, store: PostgresStore, vault: Vault) -> None:
        self._statements = Statements(store)
        self._vault = vault

    async def add(self, rail: KeptRail) -> None:
        """Keep a rail. Raises AccountTaken, StoreUnavailable."""
        owner = await self._statements.one(
            self._statements.text("own_account"), rail.connector, rail.account, rail.merchant
        )
        if owner["merchant_id"] != rail.merchant:
            raise AccountTaken(f"The {rail.connector} account {rail.account} belongs to another merchant.")
        sealed = self._vault.seal(rows.json_text(rail.credentials), _purpose(rail.merchant, rail.name))
        kept = await self._statements.one(
            self._statements.text("add_rail"),
            rail.merchant,
            rail.name,
            rail.account,
            rail.connector,
            rows.json_text(rail.settings),
            sealed,
        )
        if kept is None:
            raise AccountTaken(f"The rail {rail.name} is one to another account; choose another name.")

    async def all(self, merchant: UUID | None = None) -> tuple[KeptRail, ...]:
        """Rails in use, of one merchant or of all. Raises MasterKeyError when their secrets cannot be opened."""
        found = await self._statements.all(self._statements.text("list_rails"), merchant)
        return tuple(self._read(row) for row in found)

    async def remove(self, merchant: UUID, name: str) -> bool:
        """Take a rail out of use; False when there is none, or a refund on it has not ended."""
        return await self._statements.one(self._statements.text("remove_rail"), merchant, name) is not None

    async def record(
        self,
        merchant: UUID,
        id: UUID,
        rail: str,
        payment: UUID,
        exchanged: tuple[str, str, str, int | None, str, str | None],
    ) -> None:
        """Keep one exchange: method, path, request, status, response, failure; all scrubbed already."""
        await self._statements.one(self._statements.text("add_exchange"), merchant, id, rail, payment, *exchanged)

    async def exchanges(self, merchant: UUID, payment: UUID, limit: int = 200) -> tuple[Exchanged, ...]:
        """What was said about a payment, oldest first."""
        found = await self._statements.all(self._statements.text("exchanges_of_payment"), merchant, payment, limit)
        return tuple(Exchanged(*row) for row in found)

    def _read(self, row: Any) -> KeptRail:
        merchant, name, connector, account, settings, sealed = row
        return KeptRail(
            merchant=merchant,
            name=name,
            connector=connector,
            account=account,
            settings=msgspec.json.decode(settings, type=RailSettings),
            credentials=msgspec.json.decode(self._vault.open(sealed, _purpose(merchant, name)), type=dict[str, str]),
        )


def _purpose(merchant: UUID, name: str) -> str:
    return f"rail:{merchant.hex}:{name}"
