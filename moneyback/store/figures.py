"""Figures for operators: refunds that have not ended, money in doubt, and the event log's horizon."""

from __future__ import annotations

import msgspec

from moneyback.store.postgres import PostgresStore
from moneyback.store.statements import Statements


class Unended(msgspec.Struct, frozen=True):
    """How many refunds of a rail are in a state that has not ended."""

    state: str
    rail: str
    count: int


class InDoubt(msgspec.Struct, frozen=True):
    """Money of a rail whose outcome is not known: minor units, and the age of the oldest doubt in seconds."""

    rail: str
    currency: str
    amount: int
    age_s: float


class Figures(msgspec.Struct, frozen=True):
    """All of them at one moment."""

    unended: tuple[Unended, ...]
    doubt: tuple[InDoubt, ...]
    horizon_age_s: float


async def figures(store: PostgresStore) -> Figures:
    """The figures now. Raises StoreUnavailable."""
    statements = Statements(store)
    unended = await statements.all(statements.text("unended_refunds"))
    doubt = await statements.all(statements.text("money_in_doubt"))
    horizon = await statements.one(statements.text("horizon_age"))
    return Figures(tuple(Unended(*row) for row in unended), tuple(InDoubt(*row) for row in doubt), horizon["age_s"])
