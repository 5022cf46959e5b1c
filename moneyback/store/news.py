"""What providers tell of themselves: notifications, how far lists were read, differences, and rails that only look."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.store import rows
from moneyback.store.postgres import PostgresStore
from moneyback.store.statements import Statements

NOTE_MAX = 1_000
"""Characters kept of a sentence about a difference."""


class Told(msgspec.Struct, frozen=True):
    """A notification that is to be read: the provider's ids it names, and how often that was tried."""

    merchant: UUID
    id: UUID
    rail: str
    payments: tuple[str, ...]
    refunds: tuple[str, ...]
    tries: int


class Turn(msgspec.Struct, frozen=True):
    """One turn at reading a rail's list, claimed until `claim` (real time): from when, how far, and since when."""

    merchant: UUID
    rail: str
    since: datetime | None
    cursor: Mapping[str, Any]
    began_at: datetime | None
    look_only_since: datetime | None
    look_only_at: datetime | None
    added_at: datetime
    claim: datetime


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A difference between a provider's list or statement and our books. Amounts are minor units of `currency`.

    `kind`: external (made elsewhere, adopted), unknown_payment, unplaced (it may be one of ours whose outcome is not
    known), other_amount, other_state, other_currency, recovery (a person said that a gap is closed).
    """

    rail: str
    kind: str
    reference: str  # the provider's id of the refund
    payment: str = ""  # the provider's id of the payment
    payment_id: UUID | None = None
    refund_id: UUID | None = None
    currency: str | None = None
    theirs: int | None = None
    ours: int | None = None
    note: str = ""
    found_at: datetime | None = None
    settled_at: datetime | None = None
    settled_by: str | None = None


class Gap(msgspec.Struct, frozen=True):
    """A rail that only looks: what was sent over it since `since` may be missing here. `at`: when that was noticed."""

    merchant: UUID
    rail: str
    since: datetime
    at: datetime
    why: str | None


class Armed(msgspec.Struct, frozen=True):
    """A refund of ours that a provider may know, and when its first attempt was armed (real time)."""

    refund: Refund
    armed_at: datetime


class Elsewhere(msgspec.Struct, frozen=True):
    """A refund made elsewhere that our books know."""

    payment_id: UUID
    payment: str
    provider_id: str
    amount: int
    currency: str
    undone: bool
    at: datetime


class News:
    """Keeps and claims what is told. Everything here raises StoreUnavailable."""

    def __init__(self, store: PostgresStore) -> None:
        self._statements = Statements(store)

    # --- notifications -----------------------------------------------------------------------------------------------

    async def find_hook(self, token: str) -> tuple[UUID, str] | None:
        """The merchant and rail behind an address."""
        row = await self._one("find_hook", token)
        return None if row is None else (row["merchant_id"], row["rail"])

    async def take(
        self,
        merchant: UUID,
        id: UUID,
        rail: str,
        digest: str,
        payments: tuple[str, ...],
        refunds: tuple[str, ...],
        raw: str,
    ) -> bool:
        """Keep a notification, to be read in the background. False: it had been told before."""
        row = await self._one("take_notification", merchant, id, rail, digest, list(payments), list(refunds), raw)
        return bool(row["times"] == 1)

    async def claim_told(self, limit: int, lease: timedelta) -> tuple[Told, ...]:
        """Notifications that are to be read now, claimed for `lease` of real time."""
        return tuple(
            Told(merchant, id, rail, tuple(payments), tuple(refunds), tries)
            for merchant, id, rail, payments, refunds, tries in await self._all("claim_notifications", limit, lease)
        )

    async def put_off(self, told: Told, after: timedelta | None) -> None:
        """Read it again after so much business time; None: all it names was read."""
        await self._one("put_off_notification", told.merchant, told.id, after)

    # --- what is known of what is told -------------------------------------------------------------------------------

    async def payment_there(self, merchant: UUID, account: str, reference: str) -> Payment | None:
        """The payment that a provider's account knows by this reference."""
        row = await self._one("payment_there", merchant, account, reference)
        found: Payment | None = None if row is None else rows.PAYMENT.value(row)
        return found

    async def refund_there(self, merchant: UUID, account: str, provider_id: str) -> Refund | None:
        """Our refund that a provider's account knows by this id."""
        row = await self._one("refund_there", merchant, account, provider_id)
        found: Refund | None = None if row is None else rows.REFUND.value(row)
        return found

    async def payments_moved_since(self, merchant: UUID, account: str, since: datetime) -> tuple[Payment, ...]:
        """Payments with movements since then, or with refunds that were not sent."""
        found = await self._all("payments_moved_since", merchant, account, since)
        return tuple(rows.PAYMENT.value(row) for row in found)

    async def refunds_of_account(self, merchant: UUID, account: str, since: datetime) -> tuple[Armed, ...]:
        """Our refunds that were armed and had not ended before then."""
        found = await self._all("refunds_of_account", merchant, account, since)
        return tuple(Armed(rows.REFUND.value(row), row["armed_at"]) for row in found)

    async def externals_of_account(self, merchant: UUID, account: str, since: datetime) -> tuple[Elsewhere, ...]:
        """Refunds made elsewhere that were seen since then."""
        return tuple(Elsewhere(*row) for row in await self._all("externals_of_account", merchant, account, since))

    # --- lists -------------------------------------------------------------------------------------------------------

    async def claim_lists(self, limit: int, lease: timedelta) -> tuple[Turn, ...]:
        """Rails whose list is to be read on, each by one process for `lease` of real time."""
        found = await self._all("claim_lists", limit, lease)
        return tuple(
            Turn(merchant, rail, since, msgspec.json.decode(cursor), *rest)
            for merchant, rail, since, cursor, *rest in found
        )

    async def keep_place(self, turn: Turn, lease: timedelta) -> Turn | None:
        """Keep how far the list was read; None when the claim has gone to another process."""
        place = (turn.since, rows.json_text(turn.cursor), turn.began_at)
        row = await self._one("keep_place", turn.merchant, turn.rail, turn.claim, *place, lease)
        return None if row is None else msgspec.structs.replace(turn, claim=row["list_claimed_until"])

    async def end_turn(self, turn: Turn, after: timedelta) -> None:
        """Read on after so much business time."""
        await self._one("end_list_turn", turn.merchant, turn.rail, turn.claim, after)

    async def list_soon(self, merchant: UUID, rail: str) -> None:
        """Read a rail's list on at once."""
        await self._one("list_soon", merchant, rail)

    # --- differences -------------------------------------------------------------------------------------------------

    async def note(self, merchant: UUID, found: Finding, *, settled: bool = False) -> bool:
        """Write a difference down; whether it is new."""
        row = await self._one(
            "note_finding",
            merchant,
            found.rail,
            found.kind,
            found.reference,
            found.payment,
            found.payment_id,
            found.refund_id,
            found.currency,
            found.theirs,
            found.ours,
            found.note[:NOTE_MAX],
            settled,
        )
        return bool(row["is_new"])

    async def settle(self, merchant: UUID, rail: str, reference: str, by: str | None = None) -> None:
        """Close all that is open about one of the provider's refunds."""
        await self._one("settle_findings", merchant, rail, reference, by)

    async def findings(
        self, merchant: UUID, rail: str | None = None, *, open_only: bool = True, limit: int = 1_000
    ) -> tuple[Finding, ...]:
        """Differences of a merchant, newest first."""
        found = await self._all("list_findings", merchant, rail, open_only, limit)
        return tuple(Finding(**dict(row)) for row in found)

    # --- rails that only look ----------------------------------------------------------------------------------------

    async def look_only(self, merchant: UUID, rail: str, since: datetime, why: str) -> bool:
        """Nothing is armed on a rail until what was sent over it since then is known. False: no such rail."""
        return await self._one("look_only", merchant, rail, since, why) is not None

    async def look_no_longer(self, gap: Gap) -> bool:
        """Sending resumes; False when the rail was told to look again in between."""
        return await self._one("look_no_longer", gap.merchant, gap.rail, gap.at) is not None

    async def gaps(self, merchant: UUID | None = None) -> tuple[Gap, ...]:
        """The rails that only look."""
        return tuple(Gap(*row) for row in await self._all("look_only_rails", merchant))

    async def epoch(self) -> int:
        """What event cursors carry that are given out now."""
        return int((await self._one("read_epoch"))["epoch"])

    async def raise_epoch(self) -> int:
        """Event cursors that were given out before are of another past; returns the new epoch."""
        return int((await self._one("raise_epoch"))["epoch"])

    async def notice_new_past(self) -> int | None:
        """Compare the database's past with the one that was kept.

        After a restore or a failover it is another: the epoch rises, and all rails to real providers only look from
        the last event on. Returns their number then, None when nothing has changed.
        """
        past = await self._one("cell_past")
        now = (past["system"], past["timeline"])
        if now == (past["kept_system"], past["kept_timeline"]):
            return None
        if await self._one("keep_past", *now) is not None:
            return None
        noticed = await self._one("new_past", *now)
        return None if noticed["epoch"] is None else int(noticed["rails"])

    async def _one(self, name: str, *arguments: object) -> Any:
        return await self._statements.one(self._statements.text(name), *arguments)

    async def _all(self, name: str, *arguments: object) -> list[Any]:
        return await self._statements.all(self._statements.text(name), *arguments)
