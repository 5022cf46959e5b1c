"""Figures for operators: refunds that have not ended, money in doubt, and the event log's horizon."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from moneyback.store.news import News
from moneyback.store.postgres import PostgresStore
from moneyback.store.statements import Statements


class Unended(msgspec.Struct, frozen=True):
    """How many refunds of a rail are in a state that has not ended."""

    state: str
    rail: str
    count: int


class InDoubt(msgspec.Struct, frozen=True):
    """Money of a rail whose outcome is not known: minor units, and the age of the oldest doubt in seconds.

    `next_look_at` is None, and so is `next_look_s`, when looking has given up and only people can answer.
    """

    rail: str
    currency: str
    amount: int
    age_s: float
    count: int
    since: datetime
    next_look_at: datetime | None
    next_look_s: float | None


class OpenFindings(msgspec.Struct, frozen=True):
    """How many differences of a kind nobody has settled."""

    rail: str
    kind: str
    count: int


class Figures(msgspec.Struct, frozen=True):
    """All of them at one moment."""

    unended: tuple[Unended, ...]
    doubt: tuple[InDoubt, ...]
    horizon_age_s: float
    findings: tuple[OpenFindings, ...]
    look_only: tuple[str, ...]


async def figures(store: PostgresStore) -> Figures:
    """The figures now. Raises StoreUnavailable."""
    statements = Statements(store)
    unended = await statements.all(statements.text("unended_refunds"))
    horizon = await statements.one(statements.text("horizon_age"))
    return Figures(
        tuple(Unended(*row) for row in unended),
        await money_in_doubt(store),
        horizon["age_s"],
        await open_findings(store),
        tuple(gap.rail for gap in await News(store).gaps()),
    )


async def money_in_doubt(store: PostgresStore, merchant: UUID | None = None) -> tuple[InDoubt, ...]:
    """What is in doubt by rail and currency, of one merchant or of all. Raises StoreUnavailable."""
    statements = Statements(store)
    return tuple(InDoubt(*row) for row in await statements.all(statements.text("money_in_doubt"), merchant))


async def open_findings(store: PostgresStore, merchant: UUID | None = None) -> tuple[OpenFindings, ...]:
    """Differences that nobody has settled, of one merchant or of all. Raises StoreUnavailable."""
    statements = Statements(store)
    return tuple(OpenFindings(*row) for row in await statements.all(statements.text("open_findings"), merchant))
