"""`moneyback verify`: every balance and counter recomputed from the movements, every row compared with its log.

The database does the sums; what comes back is only what differs. Merchants are compared one after the other and each
in slices of payments, every slice in one snapshot: so it may run beside a system that works, and needs little memory
however much there is. It reads only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from moneyback.store.queries import query

SLICE: Final = 5_000
"""Payments compared in one snapshot."""
DIFFERENCES_MAX: Final = 10_000
"""Reported at most. Who has more needs to know that, not all of them."""
_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)
_OF_A_SLICE: Final = (
    "verify_payments",
    "verify_payment_rows",
    "verify_refunds",
    "verify_refund_rows",
    "verify_movements",
    "verify_events",
)
_OF_A_MERCHANT: Final = ("verify_accounts", "verify_ledger", "verify_keys", "verify_orphans")


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as its movements or its log say. Amounts are minor units."""

    kind: str  # payment.held, refund.paid, account.balance …
    merchant: UUID
    object: str
    expected: str | None
    found: str | None

    def __str__(self) -> str:
        return f"{self.kind} of {self.object} (merchant {self.merchant}): {self.expected} expected, {self.found} found"


class Report(msgspec.Struct, frozen=True):
    """What was compared, and every difference."""

    merchants: int
    payments: int
    differences: tuple[Difference, ...] = ()
    more: bool = False  # there are differences beyond those reported

    @property
    def clean(self) -> bool:
        """Whether everything agrees."""
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return {"clean": self.clean, **found}

    def __str__(self) -> str:
        compared = f"{self.payments} payments of {self.merchants} merchants compared"
        if self.clean:
            return f"{compared}: no difference"
        count = f"more than {len(self.differences)}" if self.more else str(len(self.differences))
        return "\n".join([f"{compared}: {count} differences", *map(str, self.differences)])


async def verify(database: str | asyncpg.Connection, merchant: UUID | None = None) -> Report:
    """Compare one merchant, or all. `database`: a DSN, or a connection with no transaction open.

    Raises OSError or an asyncpg error when the database does not answer.
    """
    if not isinstance(database, str):
        return await _compare(database, merchant)
    # Every statement compares whole slices. Tables that were never analysed look empty to the planner, which would
    # then go through one side again for every row of the other.
    settings = {"jit": "off", "statement_timeout": "0", "enable_nestloop": "off"}
    connection = await asyncpg.connect(database, server_settings=settings)
    try:
        return await _compare(connection, merchant)
    finally:
        await connection.close()


async def _compare(connection: asyncpg.Connection, only: UUID | None) -> Report:
    differences: list[Difference] = []
    merchants = payments = 0
    async for merchant in _merchants(connection, only):
        merchants += 1
        async for after, upto, count in _slices(connection, merchant):
            payments += count
            differences += await _differences(connection, _OF_A_SLICE, merchant, after, upto)
            if len(differences) > DIFFERENCES_MAX:
                break
        differences += await _differences(connection, _OF_A_MERCHANT, merchant)
        if len(differences) > DIFFERENCES_MAX:
            return Report(merchants, payments, tuple(differences[:DIFFERENCES_MAX]), more=True)
    return Report(merchants, payments, tuple(differences))


async def _merchants(connection: asyncpg.Connection, only: UUID | None) -> AsyncIterator[UUID]:
    if only is not None:
        yield only
        return
    merchant = await connection.fetchval(query("verify_next_merchant"), _FIRST)
    while merchant is not None:
        yield merchant
        merchant = await connection.fetchval(query("verify_next_merchant"), merchant)


async def _slices(connection: asyncpg.Connection, merchant: UUID) -> AsyncIterator[tuple[UUID, UUID, int]]:
    """(after, up to, payments) of each slice. The last one reaches to the end of all ids."""
    after = _FIRST
    while True:
        end = await connection.fetchrow(query("verify_slice"), merchant, after, SLICE)
        if end is None or end["place"] < SLICE:
            yield after, _LAST, end["place"] if end is not None else 0
            return
        yield after, end["id"], end["place"]
        after = end["id"]


async def _differences(
    connection: asyncpg.Connection, statements: tuple[str, ...], merchant: UUID, *span: UUID
) -> list[Difference]:
    """What these statements find, all in one snapshot."""
    found: list[Difference] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for name in statements:
            async for row in connection.cursor(query(name), merchant, *span, prefetch=500):
                found.append(Difference(row["kind"], merchant, row["object"], row["expected"], row["found"]))
                if len(found) > DIFFERENCES_MAX:
                    return found
    return found
