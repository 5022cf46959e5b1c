"""What a provider truly did with a payment, whatever it shows of it: the truth that a run is measured by.

Only values and their derivations live here. Nothing is rewritten because time passed: a status is derived from what was
given and the time that is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from moneyback.bank.book import Book

Status = Literal["pending", "succeeded", "failed", "returned"]


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One refund in a provider's books. Amounts are minor units, times business time."""

    id: str  # the provider's own
    payment: str  # the provider's id of what was refunded
    refund: UUID | None  # ours; None: made elsewhere
    asked: int  # the amount of the call
    amount: int  # what the payer gets
    received_at: datetime
    settles_at: datetime
    ends: Literal["succeeded", "failed"] = "succeeded"
    back_at: datetime | None = None  # when the money comes back; None: never
    listed_at: datetime  # from when on lists and counters show it
    said: Mapping[str, Any] = {}  # what its provider remembers of the call, to show it again

    def status(self, now: datetime) -> Status:
        """Where it stands at `now`."""
        if now < self.settles_at:
            return "pending"
        if self.ends == "failed":
            return "failed"
        return "succeeded" if self.back_at is None or now < self.back_at else "returned"

    def moves_money(self, now: datetime) -> bool:
        """Whether its amount is gone, or about to go."""
        return self.status(now) in ("pending", "succeeded")


class Books(msgspec.Struct, frozen=True):
    """All that a provider has on one payment."""

    given: tuple[Given, ...] = ()

    @property
    def executed(self) -> tuple[Given, ...]:
        """What it paid, or accepted and will pay. More than one for a refund means: paid twice."""
        return tuple(each for each in self.given if each.ends == "succeeded")

    def of(self, refund: UUID) -> tuple[Given, ...]:
        """Its executions of one refund of ours."""
        return tuple(each for each in self.executed if each.refund == refund)

    def paid(self, now: datetime) -> int:
        """What left by `now` and did not come back, in minor units, however late its lists are."""
        return sum(each.amount for each in self.executed if each.status(now) == "succeeded")


def books_of_bank(book: Book) -> Books:
    """The sandbox bank's books in these words. It knows our refunds by the key that every call of ours carries."""
    return Books(
        tuple(
            Given(
                id=each.id,
                payment=each.payment,
                refund=refund_of(each.key),
                asked=each.asked,
                amount=each.amount,
                received_at=each.received_at,
                settles_at=each.settled_at,
                back_at=each.comes_back_at,
                listed_at=each.received_at,
            )
            for each in book.executed
        )
    )


def refund_of(key: str | None) -> UUID | None:
    """The refund of ours that a key or a mark names; None for anybody else's."""
    return UUID(hex=key.split("_")[1]) if key is not None and key.startswith("mb_") else None
