"""Merchants and their credentials. What comes in as a secret is kept as a hash and never shown again.

Where there is a vault a dialect's secret is kept sealed too: its provider signs what it tells with that very secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from moneyback.store import rows
from moneyback.store.postgres import PostgresStore
from moneyback.vault import Vault

NATIVE = "native"
SCOPES = (
    *(
        f"{area}:{way}"
        for area in ("payments", "refunds", "events", "ledger", "keys", "control")
        for way in ("read", "write")
    ),
    "refunds:resolve",
)


class Credential(msgspec.Struct, frozen=True):
    """A credential without its secret."""

    id: UUID
    dialect: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


class Access:
    """Adds, lists and revokes credentials."""

    def __init__(self, store: PostgresStore, vault: Vault | None = None) -> None:
        self._store = store
        self._vault = vault

    async def add_merchant(self, merchant: UUID, name: str) -> None:
        """A new tenant."""
        async with self._store.reading() as connection:
            await connection.execute(self._store.sql["add_merchant"], merchant, name)

    async def has_merchant(self, merchant: UUID) -> bool:
        """Whether there is a tenant of that id."""
        async with self._store.reading() as connection:
            return await connection.fetchrow(self._store.sql["read_merchant"], merchant) is not None

    async def add_credential(
        self,
        merchant: UUID,
        id: UUID,
        dialect: str,
        *,
        secret: str,
        user: str | None = None,
        name: str = "",
        scopes: Iterable[str] = (),
        profile: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a credential: found by its user where the scheme has one, else by the secret's hash."""
        values = (
            *_credential(merchant, id, dialect, secret, user, name, scopes, profile),
            self._sealed(merchant, dialect, secret),
        )
        async with self._store.reading() as connection:
            await connection.execute(self._store.sql["add_credential"], *values)

    async def put_credential(
        self,
        merchant: UUID,
        id: UUID,
        dialect: str,
        *,
        secret: str,
        user: str | None = None,
        name: str = "",
        profile: Mapping[str, Any] | None = None,
    ) -> bool:
        """Keep a credential that a provider gave out, replacing what it meant before; False when it is another's."""
        values = (
            *_credential(merchant, id, dialect, secret, user, name, (), profile),
            self._sealed(merchant, dialect, secret),
        )
        async with self._store.reading() as connection:
            return await connection.fetchval(self._store.sql["put_credential"], *values) is not None

    async def seal(self, merchant: UUID, dialect: str, *, secret: str, user: str | None = None) -> None:
        """Keep the secret of a credential that is there sealed with this vault, if there is one."""
        sealed, lookup = self._sealed(merchant, dialect, secret), _lookup(secret, user)
        if sealed is not None:
            async with self._store.reading() as connection:
                await connection.execute(self._store.sql["seal_credential"], merchant, dialect, lookup, sealed)

    async def credentials(self, merchant: UUID, dialect: str | None = None) -> tuple[Credential, ...]:
        """A merchant's credentials, oldest first."""
        async with self._store.reading() as connection:
            found = await connection.fetch(self._store.sql["list_credentials"], merchant, dialect)
        return tuple(
            Credential(
                row["id"], row["dialect"], row["name"], tuple(row["scopes"]), row["created_at"], row["revoked_at"]
            )
            for row in found
        )

    async def revoke(self, merchant: UUID, credential: UUID) -> bool:
        """End a credential; False when there is none to end."""
        async with self._store.reading() as connection:
            return await connection.fetchval(self._store.sql["revoke_credential"], merchant, credential) is not None

    async def allow_clock(self) -> None:
        """Make business time movable: in a sandbox or twin only."""
        async with self._store.reading() as connection:
            await connection.execute(self._store.sql["allow_clock"])

    async def advance_clock(self, by: timedelta) -> datetime | None:
        """Move business time forward for every process; what time it is then, or None where it cannot be moved."""
        async with self._store.reading() as connection:
            moved: datetime | None = await connection.fetchval(self._store.sql["advance_clock"], by)
        return moved

    def _sealed(self, merchant: UUID, dialect: str, secret: str) -> bytes | None:
        """Nothing is signed with a native key."""
        if self._vault is None or dialect == NATIVE:
            return None
        return self._vault.seal(secret, credential_purpose(merchant, dialect))


def credential_purpose(merchant: UUID, dialect: str) -> str:
    """What a credential's secret is sealed for."""
    return f"credential of {merchant.hex} at {dialect}"


def _credential(
    merchant: UUID,
    id: UUID,
    dialect: str,
    secret: str,
    user: str | None,
    name: str,
    scopes: Iterable[str],
    profile: Mapping[str, Any] | None,
) -> tuple[Any, ...]:
    return (
        merchant,
        id,
        dialect,
        _lookup(secret, user),
        secret_hash(secret),
        name,
        list(scopes),
        rows.json_text(profile or {}),
    )


def _lookup(secret: str, user: str | None) -> str:
    return user if user is not None else secret_hash(secret).hex()


def secret_hash(secret: str) -> bytes:
    """What is kept of a secret of ours: it is long and random, so a plain digest cannot be guessed back."""
    return hashlib.sha256(secret.encode()).digest()
