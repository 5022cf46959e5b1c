"""The bank's books: a page for each payment, an entry for each call taken, and what both amount to at a time.

Nothing is ever rewritten because time passed: a status is derived from its entry and the time that is asked about.
Only values and their derivations live here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Literal

import msgspec

from moneyback.bank.scenario import CLASSES, OK, Scenario, parse

KEY_WINDOW: Final = timedelta(hours=24)
"""For how long after a call, in business time, the bank knows its key."""

Status = Literal["pending", "succeeded", "failed", "returned"]


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller tells the bank of a payment. Amounts are minor units of `currency`."""

    reference: str
    captured: int
    captured_at: datetime | None
    currency: str
    scenario: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One payment in the books. `calls` counts the numbers given to entries, gaps included."""

    account: str
    reference: str
    captured: int
    captured_at: datetime | None
    currency: str
    scenario: str | None = None  # of the payment and of all its refunds that bring none
    next_scenario: str | None = None  # of the next refund alone
    calls: int = 0


class Outcome(Enum):
    """What the bank did with a call."""

    EXECUTED = "executed"  # for the amount of the entry, at once or after its pending time
    DECLINED = "declined"
    ASKED = "asked"  # answered by a question; not executed
    DROPPED = "dropped"  # not executed and not answered


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One call the bank took. A call that was recognised by its key is no entry."""

    account: str
    payment: str
    number: int  # in its payment, from 1
    key: str | None
    mark: str | None
    currency: str
    asked: int  # the amount of the call
    amount: int  # the amount executed, or that would have been
    received_at: datetime
    rung: int
    outcome: Outcome
    scenario: str  # spelled in full

    @property
    def id(self) -> str:
        """The bank's own id of the refund, unique in its account."""
        return f"{self.payment}.{self.number}"

    @property
    def words(self) -> Scenario:
        """How it goes wrong."""
        return parse(self.scenario)

    @property
    def is_refund(self) -> bool:
        """Whether a refund exists for it: dropped calls and questions leave none."""
        return self.outcome in (Outcome.EXECUTED, Outcome.DECLINED)

    @property
    def settled_at(self) -> datetime:
        """When it is decided."""
        return self.received_at + (self.words.pending or timedelta(0))

    @property
    def comes_back_at(self) -> datetime | None:
        """When the money comes back; None: it never does."""
        after = self.words.comes_back_after
        return None if after is None or self.outcome is not Outcome.EXECUTED else self.settled_at + after

    @property
    def failure(self) -> str | None:
        """The class of a refusal."""
        if self.outcome is not Outcome.DECLINED:
            return None
        return self.words.code if self.words.code in CLASSES else "declined"

    def status(self, now: datetime) -> Status:
        """Where the refund stands at `now`."""
        assert self.is_refund, self.outcome
        if now < self.settled_at:
            return "pending"
        if self.outcome is Outcome.DECLINED:
            return "failed"
        back = self.comes_back_at
        return "succeeded" if back is None or now < back else "returned"

    def changed_at(self, now: datetime) -> datetime:
        """Since when it stands there."""
        match self.status(now):
            case "pending":
                return self.received_at
            case "succeeded" | "failed":
                return self.settled_at
            case "returned":
                return self.comes_back_at or self.settled_at

    def listed(self, now: datetime) -> bool:
        """Whether lists and counters show it yet."""
        return self.is_refund and now >= self.received_at + self.words.list_lag

    def remembers_key(self, now: datetime) -> bool:
        """Whether the bank still knows its key."""
        return self.key is not None and self.is_refund and now < self.received_at + KEY_WINDOW


class Book(msgspec.Struct, frozen=True):
    """All that the bank has on one payment, whatever a rung reveals of it: for tests and the control endpoint."""

    page: Page | None
    entries: tuple[Entry, ...] = ()

    @property
    def executed(self) -> tuple[Entry, ...]:
        """The calls it paid, or accepted and will pay. More than one for a key means: paid twice."""
        return tuple(each for each in self.entries if each.outcome is Outcome.EXECUTED)

    def paid(self, now: datetime) -> int:
        """What left by `now` and did not come back, in minor units, list lag or not."""
        return sum(each.amount for each in self.executed if each.status(now) == "succeeded")


class Dispute(msgspec.Struct, frozen=True):
    """The payer's bank contests the whole captured amount."""

    reference: str
    amount: int
    status: Literal["open", "won", "lost"]
    changed_at: datetime


class Return(msgspec.Struct, frozen=True):
    """The payer's bank took the whole captured amount back."""

    reference: str
    amount: int
    at: datetime


class Change(msgspec.Struct, frozen=True):
    """Something that will change by itself, and when."""

    what: Literal["settled", "came_back", "dispute_opened", "dispute_decided", "returned"]
    at: datetime
    number: int | None = None  # of the entry; None for the payment


def page_words(page: Page) -> Scenario:
    """How the payment goes wrong."""
    return OK if page.scenario is None else parse(page.scenario)


def dispute_of(page: Page, now: datetime) -> Dispute | None:
    """The payment's dispute as it stands at `now`; None before it is opened."""
    changes = {each.what: each.at for each in page_changes(page) if each.at <= now}
    opened = changes.get("dispute_opened")
    if opened is None:
        return None
    decided = changes.get("dispute_decided")
    ends = page_words(page).dispute_ends
    status = "open" if decided is None else ends
    return Dispute(f"{page.reference}.dispute", page.captured, status, decided or opened)


def return_of(page: Page, now: datetime) -> Return | None:
    """The bank return of the payment; None before it happens."""
    at = [each.at for each in page_changes(page) if each.what == "returned" and each.at <= now]
    return Return(f"{page.reference}.return", page.captured, at[0]) if at else None


def refunded(entries: Iterable[Entry], now: datetime) -> int:
    """The cumulative counter: what was paid and stayed paid, as far as counters show it yet."""
    return sum(each.amount for each in entries if each.listed(now) and each.status(now) == "succeeded")


def left(page: Page, entries: Iterable[Entry], now: datetime) -> int:
    """What the bank would call refundable. It is shown only: the bank itself keeps no limit."""
    dispute, back = dispute_of(page, now), return_of(page, now)
    gone = dispute.amount if dispute is not None and dispute.status == "lost" else 0
    gone += back.amount if back is not None else 0
    return max(0, page.captured - refunded(entries, now) - gone)


def page_changes(page: Page) -> Iterator[Change]:
    """When the payment changes by itself. Nothing happens to money that was not captured."""
    words, captured_at = page_words(page), page.captured_at
    if captured_at is None:
        return
    if words.dispute is not None:
        yield Change("dispute_opened", captured_at + words.dispute)
        if words.dispute_ends != "open":
            yield Change("dispute_decided", captured_at + words.dispute + words.dispute)
    if words.returned is not None:
        yield Change("returned", captured_at + words.returned)


def entry_changes(entry: Entry) -> Iterator[Change]:
    """When the refund changes by itself."""
    if entry.is_refund and entry.words.pending:
        yield Change("settled", entry.settled_at, entry.number)
    if entry.comes_back_at is not None:
        yield Change("came_back", entry.comes_back_at, entry.number)
