"""A dialect's own objects (wallets, hooks, cards on file): JSON that the engine never looks into. No money facts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.store.statements import Statements

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_decode: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


class Documents:
    """Keeps documents by merchant, dialect, kind and id. Numbers stay exact; the order of members is not kept."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

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
        ascending: bool = True,
        offset: int = 0,
        limit: int = 25,
    ) -> tuple[dict[str, Any], ...]:
        """The documents of a kind by age. `match`: top-level members that must be equal, a missing one being null."""
        name = "list_documents_matching" if match else "list_documents"
        statement = self._statements.text(name).replace("{direction}", "asc" if ascending else "desc")
        rows = await self._statements.all(statement, merchant, dialect, kind, *_members(match), limit, offset)
        return tuple(_decode(row["data"]) for row in rows)

    async def count(self, merchant: UUID, dialect: str, kind: str, *, match: Mapping[str, Any] | None = None) -> int:
        """How many documents of a kind there are with these members."""
        name = "count_documents_matching" if match else "count_documents"
        row = await self._statements.one(self._statements.text(name), merchant, dialect, kind, *_members(match))
        return int(row["total"])


def _members(match: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The parameter by which documents are chosen; none for all of a kind."""
    return (_encode(match).decode(),) if match else ()
