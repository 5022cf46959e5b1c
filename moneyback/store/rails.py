"""Rails to real providers as they are kept: settings readable, credentials sealed."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

import msgspec

from moneyback.store import rows
from moneyback.store.postgres import PostgresStore
from moneyback.store.statements import Statements
from moneyback.vault import MasterKeyError, Vault

Label = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z")]
"""What a rail is called: it stands in addresses, lists and metrics."""
AccountId = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"\A[!-~]+\Z")]


class RailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator sets. `duplicates`: whether equal keyless requests are one refund (join) or two (faithful)."""

    base_url: str
    duplicates: Literal["join", "faithful"] = "join"
    at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    per_s: Annotated[float, msgspec.Meta(ge=0.2, le=1000)] = 10.0
    """Calls begun in a second. Slower than one in five seconds, a refund could not be read and sent in its time."""
    drift_every_s: Annotated[int, msgspec.Meta(ge=10, le=86_400)] = 300
    """Business seconds between two readings of the provider's list of refunds."""

    def __post_init__(self) -> None:
        """Raises ValueError with a sentence for an address that calls cannot begin with."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not self.base_url.isascii():
            raise ValueError("the base URL begins with https:// and names a host")
        if not self.base_url.isprintable() or " " in self.base_url or not _has_port(parts):
            raise ValueError("the base URL is not one")
        if parts.username is not None or parts.query or parts.fragment or self.base_url.endswith(("?", "#")):
            raise ValueError("the base URL carries no credentials, no query and no fragment")
        if parts.scheme == "http" and not _is_near(parts.hostname):
            raise ValueError("credentials would travel unprotected: http:// is for this machine and private networks")


class KeptRail(msgspec.Struct, frozen=True, kw_only=True):
    """One rail of a merchant. `credentials` are by the names its connector gives them."""

    merchant: UUID
    name: Label
    connector: str
    account: AccountId
    settings: RailSettings
    credentials: dict[str, str] | None
    """None: they were sealed with another master key than ours."""
    look_only_since: datetime | None = None
    """What was sent over it since then may be missing here (after a restore): nothing is armed until it is found."""

    def __repr__(self) -> str:
        """Without credentials: what is printed of a rail ends in logs."""
        return f"KeptRail({self.merchant}, {self.name}, {self.connector}:{self.account})"


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
        self._store = store
        self._statements = Statements(store)
        self._vault = vault

    async def add(self, rail: KeptRail) -> None:
        """Keep a rail, or change one that keeps its account. Raises AccountTaken, StoreUnavailable."""
        assert rail.credentials is not None
        kept = await self._statements.one(
            self._statements.text("add_rail"),
            rail.merchant,
            rail.name,
            rail.account,
            rail.connector,
            rows.json_text(rail.settings),
            self._vault.seal(rows.json_text(rail.credentials), _purpose(rail.merchant, rail.name)),
        )
        if kept is not None:
            return
        owner = await self._statements.one(self._statements.text("account_owner"), rail.connector, rail.account)
        if owner is not None and owner["merchant_id"] != rail.merchant:
            raise AccountTaken(f"The {rail.connector} account {rail.account} belongs to another merchant.")
        raise AccountTaken(f"The rail {rail.name} is one to another account; choose another name.")

    async def all(self, merchant: UUID | None = None) -> tuple[KeptRail, ...]:
        """Rails in use, of one merchant or of all. Raises StoreUnavailable."""
        found = await self._statements.all(self._statements.text("list_rails"), merchant)
        return tuple(self._read(row) for row in found)

    async def hooks(self, merchant: UUID) -> dict[str, str]:
        """The tokens in the addresses to which the providers of a merchant's rails send notifications, by rail."""
        found = await self._statements.all(self._statements.text("list_hooks"), merchant)
        return {row["rail"]: row["token"] for row in found}

    async def remove(self, merchant: UUID, name: str) -> bool:
        """Take a rail out of use; False when there is none, or a refund on it has not ended. Raises StoreUnavailable.

        A refund that is being admitted meanwhile is either seen, or refused.
        """
        async with self._store.reading() as connection, connection.transaction():
            # What was admitted by the time the lock is had is seen by the next statement, and by no earlier one.
            await connection.fetchrow(self._statements.text("lock_rail"), merchant, name)
            return await connection.fetchrow(self._statements.text("remove_rail"), merchant, name) is not None

    async def removed(self) -> set[tuple[UUID, str]]:
        """Merchant and name of every rail that was taken out of use. Raises StoreUnavailable."""
        found = await self._statements.all(self._statements.text("list_removed_rails"))
        return {(row["merchant_id"], row["name"]) for row in found}

    async def record(
        self,
        merchant: UUID,
        id: UUID,
        rail: str,
        payment: UUID | None,
        exchanged: tuple[str, str, str, int | None, str, str | None],
    ) -> None:
        """Keep one exchange: method, path, request, status, response, failure; all scrubbed already.

        `payment` is None where it was about the account, and no payment of ours.
        """
        await self._statements.one(self._statements.text("add_exchange"), merchant, id, rail, payment, *exchanged)

    async def exchanges(self, merchant: UUID, payment: UUID, limit: int = 200) -> tuple[Exchanged, ...]:
        """What was said about a payment, oldest first."""
        found = await self._statements.all(self._statements.text("exchanges_of_payment"), merchant, payment, limit)
        return tuple(Exchanged(*row) for row in found)

    def _read(self, row: Any) -> KeptRail:
        merchant, name, connector, account, settings, sealed, look_only_since = row
        return KeptRail(
            merchant=merchant,
            name=name,
            connector=connector,
            account=account,
            settings=msgspec.json.decode(settings, type=RailSettings),
            credentials=self._open(sealed, _purpose(merchant, name)),
            look_only_since=look_only_since,
        )

    def _open(self, sealed: bytes, purpose: str) -> dict[str, str] | None:
        try:
            return msgspec.json.decode(self._vault.open(sealed, purpose), type=dict[str, str])
        except MasterKeyError:
            return None


def _purpose(merchant: UUID, name: str) -> str:
    return f"rail:{merchant.hex}:{name}"


def _has_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _is_near(host: str) -> bool:
    """This machine, a private network, or a name without a dot, which no public host has."""
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host
    return address.is_private or address.is_loopback
