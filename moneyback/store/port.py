"""The engine's port: what flows need of a store. PostgreSQL is the product; the in-memory twin serves the simulator.

Lists, search and reports are not here but in `store.reads`, which is PostgreSQL's alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from moneyback.core.commands import Command, Now, Result
from moneyback.core.payment import Payment
from moneyback.core.plan import Children
from moneyback.core.records import EventRow, KeyRow
from moneyback.core.refund import Attempt, Refund


class Work(msgspec.Struct, frozen=True):
    """One piece of due work on a refund, or on a release: its lease ran out, or its next look is due."""

    kind: Literal["send", "expire", "look", "due", "release"]
    merchant: UUID
    refund: UUID  # or the release
    payment: UUID
    rail: str


class Cursor(msgspec.Struct, frozen=True):
    """A place in the event log: (transaction, id) within an epoch of the cell. The zero cursor is before all."""

    xid: int = 0
    id: int = 0
    epoch: int = 1


class Logged(msgspec.Struct, frozen=True):
    """An event with its place."""

    event: EventRow
    cursor: Cursor


class StoreUnavailable(Exception):
    """The database cannot be reached or does not answer in time; nothing was admitted.

    May be tried again here: yes. May have been committed: no, that is resolved before this is raised.
    """


class Store(Protocol):
    """What the engine asks of a store."""

    async def submit(self, command: Command) -> Result:
        """Decide and commit one command, together with others. Raises StoreUnavailable when nothing was admitted."""

    async def claim(self, limit: int, lease: timedelta) -> tuple[Work, ...]:
        """Due work, claimed for `lease` of real time where two processes should not do it at once."""

    async def payment(self, merchant: UUID, payment: UUID) -> Payment | None:
        """One payment as it stands."""

    async def refund(self, merchant: UUID, refund: UUID) -> Refund | None:
        """One refund as it stands."""

    async def children(self, merchant: UUID, payment: UUID) -> Children:
        """All that hangs on a payment."""

    async def attempt(self, merchant: UUID, refund: UUID, generation: int) -> Attempt | None:
        """One attempt, with what was read before it was armed."""

    async def key(self, merchant: UUID, dialect: str, key: str) -> KeyRow | None:
        """One idempotency row."""

    async def events(self, merchant: UUID, after: Cursor, limit: int) -> tuple[Logged, ...]:
        """The merchant's events after a cursor that no running transaction can still precede."""

    async def now(self) -> Now:
        """Both times."""
