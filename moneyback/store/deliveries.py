"""What clients' own hooks are to be told, kept until they were. What is said is sealed, and told again on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from moneyback.dialect import Delivery
from moneyback.store.statements import Statements
from moneyback.vault import MasterKeyError, Vault

FAILURE_MAX = 200
"""Characters kept of why a delivery failed."""


class Said(msgspec.Struct, frozen=True):
    """What a delivery says, and what its dialect knows of saying it."""

    headers: Mapping[str, str]
    body: bytes
    again_after: tuple[timedelta, ...] | None = None
    received: Literal["2xx", "200"] = "2xx"
    within: timedelta = timedelta(seconds=15)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to be kept.

    It is sent on for a `rail`, or a `dialect` (the native API being one) tells it. Those about one `object` go to one
    hook one after another. `event` is what happened, for people to read.
    """

    id: UUID
    delivery: Delivery
    rail: str | None = None
    dialect: str | None = None
    event: str | None = None
    object: UUID | None = None


class Due(msgspec.Struct, frozen=True):
    """A delivery to be tried now. `said` is None where it was sealed with another master key."""

    merchant: UUID
    id: UUID
    url: str
    method: str
    said: Said | None
    tries: int
    dialect: str | None = None
    hook: str = ""


class Delivered(msgspec.Struct, frozen=True):
    """A delivery as its merchant may see it. `kept`: what it says is still there to be told again."""

    id: UUID
    rail: str | None
    dialect: str | None
    event: str | None
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
    kept: bool


class Claimed(msgspec.Struct, frozen=True):
    """Deliveries to be tried now, and how many were looked at: those that wait for their turn among them."""

    due: tuple[Due, ...]
    seen: int


async def list_deliveries(
    statements: Statements, merchant: UUID, *, undelivered: bool = False, limit: int = 100
) -> tuple[Delivered, ...]:
    """A merchant's deliveries, newest first; `undelivered`: only those that did not arrive (yet)."""
    found = await statements.all(statements.text("list_deliveries"), merchant, undelivered, limit)
    return tuple(Delivered(*row) for row in found)


async def read_delivery(statements: Statements, merchant: UUID, id: UUID) -> Delivered | None:
    """One delivery of a merchant's."""
    row = await statements.one(statements.text("read_delivery"), merchant, id)
    return None if row is None else Delivered(*row)


async def replay_delivery(statements: Statements, merchant: UUID, id: UUID) -> Delivered | None:
    """Tell it again from now on; None where there is none, or where what it said is kept no longer."""
    row = await statements.one(statements.text("replay_delivery"), merchant, id)
    return None if row is None else Delivered(*row)


class Deliveries:
    """Keeps and claims deliveries. Everything here raises StoreUnavailable."""

    def __init__(self, statements: Statements, vault: Vault) -> None:
        self._statements = statements
        self._vault = vault

    async def add(self, merchant: UUID, *told: Told) -> None:
        """Keep them, to be tried at once and in this order; one added again under its id is there already."""
        if told:
            text = self._statements.text("add_deliveries")
            await self._statements.all(text, merchant, *self.columns(merchant, told))

    def columns(self, merchant: UUID, told: Sequence[Told]) -> tuple[list[Any], ...]:
        """What `add_deliveries` is given of each, a column at a time; what is said is sealed."""
        rows = [
            (
                *(each.id, each.rail, each.dialect, each.event, each.object),
                *(each.delivery.hook, each.delivery.url, each.delivery.method),
                self._vault.seal(_text(each.delivery), _purpose(merchant, each.id)),
            )
            for each in told
        ]
        return tuple(map(list, zip(*rows, strict=True)))

    async def claim(self, limit: int, lease: timedelta, *, but: Sequence[str] = ()) -> Claimed:
        """Deliveries whose time and turn has come, claimed for `lease` of real time; none to the addresses `but`."""
        found = await self._statements.all(self._statements.text("claim_deliveries"), limit, lease, list(but))
        return Claimed(tuple(self._due(*row) for *row, claimed in found if claimed), len(found))

    async def end(self, due: Due, status: int | None, failure: str | None = None) -> None:
        """It arrived (without a `failure`), or is given up."""
        said = (status, failure and failure[:FAILURE_MAX], failure is None)
        await self._statements.one(self._statements.text("end_delivery"), due.merchant, due.id, *said)

    async def put_off(self, due: Due, after: timedelta, status: int | None, failure: str) -> None:
        """Try it again after so much business time."""
        said = (after, status, failure[:FAILURE_MAX])
        await self._statements.one(self._statements.text("put_off_delivery"), due.merchant, due.id, *said)

    async def forget(self, after: timedelta, limit: int) -> int:
        """Drop what was said in deliveries that ended longer ago than `after`; how many there were."""
        return len(await self._statements.all(self._statements.text("forget_deliveries"), after, limit))

    def _due(self, merchant: UUID, id: UUID, url: str, method: str, sealed: bytes, *rest: Any) -> Due:
        try:
            said = msgspec.json.decode(self._vault.open(sealed, _purpose(merchant, id)), type=Said)
        except MasterKeyError:
            said = None
        return Due(merchant, id, url, method, said, *rest)


def _text(delivery: Delivery) -> str:
    said = Said(dict(delivery.headers), delivery.body, delivery.again_after, delivery.received, delivery.within)
    return msgspec.json.encode(said).decode()


def _purpose(merchant: UUID, id: UUID) -> str:
    return f"delivery:{merchant.hex}:{id.hex}"
