"""What both banks are: the calls, the books behind them, and the notices of what changed by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from moneyback.bank import wire
from moneyback.bank.book import Book, Capture, Entry, Page
from moneyback.bank.rules import Answer
from moneyback.dialect import Call


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something changed at the bank because time passed. A notice says what to look at, and shows it as it is now.

    It shows of a refund what the rung of its call reveals, and of a payment its disputes and returns.
    """

    id: int
    account: str
    payment: str  # the bank's reference
    refund: str | None  # the bank's id; None: the payment itself changed
    change: str  # settled | came_back | dispute_opened | dispute_decided | returned
    at: datetime  # business time of the change
    key: str | None = None
    mark: str | None = None
    body: bytes = b""  # JSON, {"refund": …} or {"payment": …} as in readings


class Bank(Protocol):
    """A sandbox bank. Business time is always an argument; an account is a merchant's on one rail."""

    async def handle(self, account: str, rung: int, call: Call, now: datetime) -> Answer:
        """Take a call (`call.path` starts behind account and rung). What was answered is written down."""
        ...

    async def register(self, account: str, told: Capture) -> None:
        """Hear of a payment before its first call, so that its dispute or return can be told of."""
        ...

    async def set_scenario(self, account: str, told: Capture, scenario: str, *, next_refund: bool = False) -> None:
        """Set the payment's scenario, or that of its next refund alone. Raises ValueError with a sentence."""
        ...

    async def books(self, account: str, payment: str) -> Book:
        """Everything written down about a payment."""
        ...

    async def notices(self, now: datetime, limit: int = 100) -> tuple[Notice, ...]:
        """What changed by itself up to `now`, oldest first, told again until it is acknowledged."""
        ...

    async def acknowledge(self, notices: Sequence[Notice]) -> None:
        """These notices need not be told again."""
        ...


def notice(number: int, page: Page, entry: Entry | None, change: str, at: datetime, now: datetime) -> Notice:
    """A notice as both banks tell it."""
    body: dict[str, Any] = {"as_of": now}
    if entry is None:
        body["payment"] = {**wire.payment_shown(page, (), now), "refunded": None, "left": None}
    else:
        body["refund"] = wire.shown(entry, entry.rung, now)
    return Notice(
        id=number,
        account=page.account,
        payment=page.reference,
        refund=entry.id if entry is not None else None,
        change=change,
        at=at,
        key=entry.key if entry is not None and entry.rung >= wire.RUNG_KEYED else None,
        mark=entry.mark if entry is not None and entry.rung >= wire.RUNG_MARKED else None,
        body=wire.encoded(body),
    )
