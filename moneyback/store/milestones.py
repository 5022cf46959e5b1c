"""Milestones in long lists: every so many rows the place of one, and how many lie before it.

A page that begins far within a list is read from the milestone beside it, a total is counted from the last one on.
Payments and refunds are never deleted, and only lists by what never changes of a row have milestones, so that one stays
true once no row can come before it any more. That is known without asking anything of those who write rows: a
transaction learns its number before it reads the time its rows will carry, so when all below a number have ended,
nobody will write a row of an earlier time than was read before that number was given out.

Milestones are drawn by whoever finds that they are missing, one slice at a time; without them a list is only slower.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.store.statements import Statements, Where

STEP: Final = 500
"""Rows from one milestone to the next."""
FORWARD: Final = 2 * STEP
"""As many rows may lie behind the last milestone before new ones are drawn."""
SLICE: Final = 200_000
"""Rows that one request may draw milestones of."""
MARGIN: Final = timedelta(seconds=60)
"""How old a row must be for a milestone: the clock of a server that takes over may be that much behind."""


Conditions = Callable[[Where], None]


class Measured(msgspec.Struct, frozen=True):
    """A list that has milestones: its table, and what rows are chosen by. `key` says the same in words."""

    table: str
    merchant: UUID
    key: str
    conditions: Conditions


class Ranks(msgspec.Struct, frozen=True):
    """How many rows of a list come before a span of time, and up to its end; and the milestone a page begins at.

    `beyond`: of those up to its end, how many lie behind the last milestone there.
    """

    low: int
    high: int
    beyond: int
    rank: int | None = None
    at: datetime | None = None
    id: UUID | None = None

    @property
    def total(self) -> int:
        """How many rows lie in the span."""
        return max(0, self.high - self.low)


class Settling(msgspec.Struct, frozen=True):
    """Once all transactions below `xid` have ended, no row will come that is older than `at`."""

    at: datetime
    xid: str


class Milestones:
    """Finds the milestone beside a place, and draws those that are missing."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._settling: Settling | None = None

    async def ranks(
        self,
        measured: Measured,
        begin: datetime | None,
        end: datetime | None,
        *,
        offset: int = 0,
        ascending: bool = True,
    ) -> Ranks:
        """Where a page lies that begins `offset` rows within a span of time; both ends belong to it."""
        found = await self._ranks(measured, begin, end, offset, ascending)
        if found.beyond >= FORWARD and await self._draw(measured):
            found = await self._ranks(measured, begin, end, offset, ascending)
        return found

    async def _ranks(
        self, measured: Measured, begin: datetime | None, end: datetime | None, offset: int, ascending: bool
    ) -> Ranks:
        where = Where(measured.merchant, measured.key, begin, end, offset, ascending)
        measured.conditions(where)
        statement = where.fill(self._statements.text("list_ranks"), table=measured.table)
        return Ranks(*await self._statements.one(statement, *where.values))

    async def _draw(self, measured: Measured) -> bool:
        """Draw what is missing, as far as it is settled; False where a transaction still runs that may come before."""
        await self._statements.one(self._statements.text("void_milestones"), measured.merchant, measured.key)
        settling = self._settling or await self._settling_now()
        where = Where(measured.merchant, measured.key, settling.at, settling.xid, STEP, SLICE)
        measured.conditions(where)
        drawn = await self._statements.one(
            where.fill(self._statements.text("place_milestones"), table=measured.table), *where.values
        )
        self._settling = settling if drawn is None else None
        return drawn is not None

    async def _settling_now(self) -> Settling:
        row = await self._statements.one(self._statements.text("read_settling"), MARGIN)
        return Settling(row["at"], row["xid"])


class DocumentMilestones:
    """The same for documents, which lie by their numbers and may be dropped: the database keeps theirs true."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def total(self, merchant: UUID, dialect: str, kind: str) -> int:
        """How many documents of a kind there are."""
        row: Any = await self._statements.one(self._statements.text("count_documents"), merchant, dialect, kind)
        if row["beyond"] >= FORWARD:
            await self._draw(merchant, dialect, kind)
        return int(row["total"])

    async def _draw(self, merchant: UUID, dialect: str, kind: str) -> None:
        """Draw what is missing, unless somebody is writing documents just now: then the next one will."""
        place, text = (merchant, dialect, kind), self._statements.text
        end = await self._statements.one_behind(text("lock_documents"), (), text("documents_end"), *place)
        if end is not None and end["number"] is not None:
            drawing = (*place, end["number"], STEP, SLICE)
            await self._statements.one_behind(
                text("lock_document_milestones"), place, text("place_documents"), *drawing
            )
