"""The sandbox bank in memory: for the simulator and for fast tests. Its books end with the object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from moneyback.bank import rules, wire
from moneyback.bank.book import Book, Capture, Change, Entry, Page, page_changes
from moneyback.bank.port import Notice, notice
from moneyback.bank.rules import Answer
from moneyback.dialect import Call, Reply


class _Planned:
    """One change to be told of, until it is acknowledged."""

    __slots__ = ("account", "acknowledged", "change", "id", "payment")

    def __init__(self, number: int, account: str, payment: str, change: Change) -> None:
        self.id, self.account, self.payment, self.change = number, account, payment, change
        self.acknowledged = False


class MemoryBank:
    """A bank whose books several simulated processes may share. A call is taken in one piece, without any await."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], Page] = {}
        self._entries: dict[tuple[str, str], list[Entry]] = {}
        self._keys: dict[tuple[str, str], list[Entry]] = {}
        self._planned: dict[tuple[str, str, int | None, str], _Planned] = {}
        self._drawn = 0

    async def handle(self, account: str, rung: int, call: Call, now: datetime) -> Answer:
        """Take a call."""
        request = wire.asked(call)
        if isinstance(request, Reply):
            return Answer(request)
        if isinstance(request, wire.RefundCall):
            return self._take(account, rung, request, now)
        return Answer(rules.unreadable(request, rung) or self._read(account, rung, request, now))

    async def register(self, account: str, told: Capture) -> None:
        """Hear of a payment before its first call."""
        self._turn(self._page(account, told), None)

    async def set_scenario(self, account: str, told: Capture, scenario: str, *, next_refund: bool = False) -> None:
        """Set the payment's scenario, or that of its next refund alone. Raises ValueError with a sentence."""
        page = rules.with_scenario(self._page(account, told), scenario, next_refund=next_refund)
        kept = {each.what for each in page_changes(page)}
        gone = [
            place for place in self._planned if place[:3] == (account, page.reference, None) and place[3] not in kept
        ]
        for place in gone:
            del self._planned[place]
        self._turn(page, None)

    async def books(self, account: str, payment: str) -> Book:
        """Everything written down about a payment."""
        place = (account, payment)
        return Book(self._pages.get(place), tuple(self._entries.get(place, ())))

    async def notices(self, now: datetime, limit: int = 100) -> tuple[Notice, ...]:
        """What changed by itself up to `now`, oldest first, told again until it is acknowledged."""
        due = [each for each in self._planned.values() if not each.acknowledged and each.change.at <= now]
        due.sort(key=lambda each: (each.change.at, each.id))
        return tuple(self._told(each, now) for each in due[:limit])

    async def acknowledge(self, notices: Sequence[Notice]) -> None:
        """These notices need not be told again."""
        numbers = {each.id for each in notices}
        for planned in self._planned.values():
            if planned.id in numbers:
                planned.acknowledged = True

    def _take(self, account: str, rung: int, call: wire.RefundCall, now: datetime) -> Answer:
        page = self._page(account, call.capture)
        page = replace(page, calls=page.calls + 1)
        same_key = self._keys.get((account, call.key), []) if call.key is not None else []
        taken = rules.take(call, page, same_key, rung=rung, now=now)
        self._turn(taken.page, taken.entry)
        return taken.answer

    def _read(self, account: str, rung: int, request: wire.Request, now: datetime) -> Reply:
        match request:
            case wire.ReadPayment(reference=reference):
                page = self._pages.get((account, reference))
                return rules.show_payment(account, request, page, self._of(account, reference), now)
            case wire.ListRefunds(reference=reference):
                return rules.show_refunds(self._of(account, reference), rung, now)
            case wire.ReadRefund(payment=payment, number=number):
                found = (each for each in self._of(account, payment) if each.number == number)
                return rules.show_refund(next(found, None), rung, now)
            case wire.ReadKey(key=key):
                return rules.show_key(self._keys.get((account, key), []), rung, now)
            case _:
                raise AssertionError(request)

    def _of(self, account: str, payment: str) -> list[Entry]:
        return self._entries.get((account, payment), [])

    def _page(self, account: str, told: Capture) -> Page:
        page = self._pages.get((account, told.reference))
        return rules.opened(account, told) if page is None else rules.told_again(page, told)

    def _turn(self, page: Page, entry: Entry | None) -> None:
        """Write a page and its new entry down, with what will change of them by itself."""
        self._pages[(page.account, page.reference)] = page
        if entry is not None:
            self._entries.setdefault((page.account, page.reference), []).append(entry)
            if entry.key is not None:
                self._keys.setdefault((page.account, entry.key), []).append(entry)
        self._plan(page, rules.changes(page, entry))

    def _plan(self, page: Page, changes: Iterable[Change]) -> None:
        for change in changes:
            place = (page.account, page.reference, change.number, change.what)
            known = self._planned.get(place)
            if known is None or known.change.at != change.at:
                self._drawn += 1
                self._planned[place] = _Planned(self._drawn, page.account, page.reference, change)

    def _told(self, planned: _Planned, now: datetime) -> Notice:
        change = planned.change
        page = self._pages[(planned.account, planned.payment)]
        entries = self._of(planned.account, planned.payment)
        entry = next((each for each in entries if each.number == change.number), None)
        return notice(planned.id, page, entry, change.what, change.at, now)
