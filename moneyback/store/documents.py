"""A dialect's own objects (wallets, hooks, cards on file): JSON that the engine never looks into. No money facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.store.milestones import STEP, DocumentMilestones
from moneyback.store.statements import Statements, Where

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_decode: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


class Documents:
    """Keeps documents by merchant, dialect, kind and id. Numbers stay exact; the order of members is not kept."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._milestones = DocumentMilestones(statements)

    async def load(self, merchant: UUID, dialect: str, kind: str, id: str) -> dict[str, Any] | None:
        """One document, or None."""
        row = await self._statements.one(self._statements.text("load_document"), merchant, dialect, kind, id)
        return None if row is None else _decode(row["data"])

    async def save(self, merchant: UUID, dialect: str, kind: str, id: str, data: Mapping[str, Any]) -> None:
        """Keep a document, replacing the one before."""
        text = _encode(data).decode()
        await self._statements.one(self._statements.text("save_document"), merchant, dialect, kind, id, text)

    async def drop(self, merchant: UUID, dialect: str, kind: str, id: str) -> bool:
        """Remove a document; False when there was none."""
        row = await self._statements.one(self._statements.text("drop_document"), merchant, dialect, kind, id)
        return row is not None

    async def list(
        self,
        merchant: UUID,
        dialect: str,
        kind: str,
        *,
        match: Mapping[str, Any] | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        updated_from: datetime | None = None,
        updated_to: datetime | None = None,
        ascending: bool = True,
        offset: int = 0,
        limit: int = 25,
    ) -> tuple[dict[str, Any], ...]:
        """The documents of a kind by age. `match`: top-level members that must be equal, a missing one being null.

        Times are those of the first and of the last time a document was saved; both ends of a span belong to it.
        """
        way = "asc" if ascending else "desc"
        where = _where(merchant, dialect, kind, match, (created_from, created_to), (updated_from, updated_to))
        if where is not None:
            text = self._statements.text("list_documents_among")
            statement = where.fill(text, direction=way, limit=max(0, limit), offset=max(0, offset))
            rows = await self._statements.all(statement, *where.values)
        else:
            name = "list_documents"
            if offset >= STEP:
                if offset >= await self._milestones.total(merchant, dialect, kind):
                    return ()
                name = "list_documents_on" if ascending else "list_documents_back"
            statement = self._statements.text(name).replace("{direction}", way)
            rows = await self._statements.all(statement, merchant, dialect, kind, limit, offset)
        return tuple(_decode(row["data"]) for row in rows)

    async def count(
        self,
        merchant: UUID,
        dialect: str,
        kind: str,
        *,
        match: Mapping[str, Any] | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        updated_from: datetime | None = None,
        updated_to: datetime | None = None,
    ) -> int:
        """How many documents of a kind there are with these members, of these times."""
        where = _where(merchant, dialect, kind, match, (created_from, created_to), (updated_from, updated_to))
        if where is None:
            return await self._milestones.total(merchant, dialect, kind)
        row = await self._statements.one(where.fill(self._statements.text("count_documents_among")), *where.values)
        return int(row["total"])


Span = tuple[datetime | None, datetime | None]


def _where(
    merchant: UUID, dialect: str, kind: str, match: Mapping[str, Any] | None, created: Span, updated: Span
) -> Where | None:
    """What some of a kind are chosen by; None for all of it."""
    if not match and created == updated == (None, None):
        return None
    where = Where(merchant)
    where.equal("dialect", dialect)
    where.equal("kind", kind)
    where.between("created_at", *created)
    where.between("updated_at", *updated)
    if match:
        text = _encode(match).decode()
        where.add("data @> jsonb_strip_nulls({}::jsonb)", text)
        where.add(_NONE_DIFFERS, text)
    return where


_NONE_DIFFERS: Final = (
    "not exists (select from jsonb_each({}::jsonb) m where coalesce(data -> m.key, 'null') <> m.value)"
)
