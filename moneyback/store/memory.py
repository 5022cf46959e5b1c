"""The engine's port in memory: the small twin of the PostgreSQL store, for the simulator and for quick tests.

One `MemoryDatabase` is the server: rows, locks, constraints, running transactions, and what can go wrong with a commit.
Each `MemoryStore` on it is a process. Gathering, deciding and everything that follows a lost commit are the same code
as on PostgreSQL; here live only rows that are dictionaries and locks that are a dictionary. Lists and search are not
here. Time is handed in, and every wait goes through the running loop, so that a simulated world can own both.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import Command, Now, Result, SaveAnswer, Saved
from moneyback.core.ledger import Account, Movement
from moneyback.core.payment import Payment
from moneyback.core.plan import Children, Facts
from moneyback.core.records import Case, Dispute, EventRow, External, KeyRow, Order
from moneyback.core.refund import Attempt, Evidence, Refund, State
from moneyback.core.refusals import Reason, refuse
from moneyback.core.release import release_in_flight
from moneyback.store import rows as mapped
from moneyback.store.gather import (
    PUT_OFF,
    CommitInDoubt,
    Entry,
    Gatherer,
    RowsBusy,
    Verdict,
    Writes,
    WrittenFirst,
    accounts_touched,
    commit_batch,
    decide_batch,
    new_key_row,
    wanted_numbers,
)
from moneyback.store.migrate import FIRST_NUMBER
from moneyback.store.port import Cursor, Logged, StoreUnavailable, Work

LOCK_WAIT_S: Final = 2.0
LOCK_POLL_S: Final = 0.01

Stage = Literal["decided", "committed", "read"]
"""Where a store lets others go on: its rows are locked and decided, they are committed but not answered, it reads."""
Fate = Literal["answered", "lost", "dropped"]
"""What becomes of a COMMIT: it is done and answered, it is done but the answer is lost, it never arrived."""
Place = tuple[Any, ...]
"""Names one lockable row: its class, then its key."""


class ConstraintBroken(Exception):
    """A batch would break a rule that the database itself keeps. Nothing was written."""


class Rows(msgspec.Struct, kw_only=True):
    """Everything that is committed, by key. The values are frozen, so a copy of the dictionaries is a snapshot."""

    payments: dict[tuple[UUID, UUID], Payment] = {}
    written_by: dict[tuple[UUID, UUID], int] = {}  # payment → the transaction that last wrote it
    refunds: dict[tuple[UUID, UUID], Refund] = {}
    of_payment: dict[tuple[UUID, UUID], tuple[UUID, ...]] = {}  # payment → its refunds
    orders: dict[tuple[UUID, str, str], Order] = {}
    attempts: dict[tuple[UUID, UUID, int], Attempt] = {}
    movements: dict[int, Movement] = {}
    events: dict[tuple[int, int], EventRow] = {}  # (transaction, number)
    event_places: dict[tuple[UUID, UUID, int], int] = {}  # (merchant, object, sequence) → transaction
    evidence: dict[tuple[UUID, UUID], Evidence] = {}
    externals: dict[tuple[UUID, UUID, str], External] = {}
    disputes: dict[tuple[UUID, UUID, str], Dispute] = {}
    cases: dict[tuple[UUID, UUID, int], Case] = {}
    accounts: dict[tuple[UUID, str, str], Account] = {}
    keys: dict[tuple[UUID, str, str], KeyRow] = {}
    taken: dict[Place, UUID] = {}  # unique constraints beside the keys → whose it is
    numbers: dict[str, int] = {}  # sequence → the last number given out
    xid: int = 0
    event_number: int = 0

    def copy(self) -> Rows:
        """The same rows in dictionaries of their own."""
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return replace(self, **{name: dict(field) for name, field in fields if isinstance(field, dict)})


class Snapshot(msgspec.Struct, frozen=True):
    """A backup."""

    rows: Rows


class Transaction:
    """One open transaction: its number, its process, and whether the server still knows it."""

    def __init__(self, xid: int, store: MemoryStore) -> None:
        self.xid = xid
        self.store = store
        self.alive = True


class MemoryDatabase:
    """The server that several stores share.

    `now` tells both times. `pause` is awaited at every stage at which others may come in between; `fate` decides what
    becomes of a store's next COMMIT.
    """

    def __init__(
        self,
        now: Callable[[], Now],
        *,
        pause: Callable[[Stage], Awaitable[None]] | None = None,
        fate: Callable[[MemoryStore], Fate] = lambda _store: "answered",
    ) -> None:
        self.now = now
        self.pause = pause or _yield
        self.fate = fate
        self.epoch = 1
        self.rows = Rows()
        self.available = True
        self._open: dict[int, Transaction] = {}
        self._locks: dict[Place, Transaction] = {}

    # --- what happens to servers ---

    def stop(self) -> None:
        """The server is gone until `start`: every open transaction with it, nothing that was committed."""
        self.available = False
        self._abort(tuple(self._open.values()))

    def start(self) -> None:
        """The server is back."""
        self.available = True

    def disconnect(self, store: MemoryStore) -> None:
        """The server notices that a process, or the way to it, is gone: what it had open is rolled back."""
        self._abort([each for each in self._open.values() if each.store is store])

    def snapshot(self) -> Snapshot:
        """A backup of what is committed now."""
        return Snapshot(self.rows.copy())

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a backup. Transaction numbers and sequences go back too; the epoch of cursors is raised."""
        self._abort(tuple(self._open.values()))
        self.rows = snapshot.rows.copy()
        self.epoch += 1

    # --- transactions ---

    def begin(self, store: MemoryStore) -> Transaction:
        """Open a transaction. Raises StoreUnavailable."""
        self.require()
        self.rows.xid += 1
        opened = Transaction(self.rows.xid, store)
        self._open[opened.xid] = opened
        return opened

    def require(self) -> None:
        """Raises StoreUnavailable while the server is gone."""
        if not self.available:
            raise StoreUnavailable("the database cannot be reached")

    def lock(self, transaction: Transaction, place: Place) -> bool:
        """Lock a row unless somebody else has it. Raises StoreUnavailable when the transaction is gone."""
        if not transaction.alive:
            raise StoreUnavailable("the database does not answer")
        return self._locks.setdefault(place, transaction) is transaction

    async def wait(self, transaction: Transaction, places: Iterable[Place]) -> None:
        """Lock rows in this order, waiting for each. Raises RowsBusy when one does not come free in time."""
        patience = LOCK_WAIT_S
        for place in places:
            while not self.lock(transaction, place):
                if patience <= 0:
                    raise RowsBusy("a row did not come free in time")
                await asyncio.sleep(LOCK_POLL_S)
                patience -= LOCK_POLL_S

    def locked(self, place: Place) -> bool:
        """Whether an open transaction has the row."""
        return place in self._locks

    def running(self, xid: int) -> bool:
        """Whether that transaction may still commit."""
        return xid in self._open

    @property
    def horizon(self) -> int:
        """The oldest transaction that still runs; the next one to come when none does."""
        return min(self._open, default=self.rows.xid + 1)

    def commit(self, transaction: Transaction, writes: Writes, deltas: dict[tuple[UUID, str, str], Account]) -> None:
        """Make the batch true, whole or not at all.

        Raises WrittenFirst, ConstraintBroken, StoreUnavailable when the transaction was lost before, and ValueError for
        what PostgreSQL could not store.
        """
        if not transaction.alive:
            raise StoreUnavailable("the database does not answer")
        _Writing(self.rows, transaction.xid, writes).write(deltas)
        self.end(transaction)

    def end(self, transaction: Transaction) -> None:
        """Forget a transaction and let its rows go. What it did not commit never was."""
        transaction.alive = False
        self._open.pop(transaction.xid, None)
        self._locks = {place: owner for place, owner in self._locks.items() if owner is not transaction}

    def _abort(self, transactions: Sequence[Transaction]) -> None:
        for each in transactions:
            self.end(each)


class _Writing:
    """One batch on its way into the rows: first everything that could be wrong with it, then every row."""

    def __init__(self, rows: Rows, xid: int, writes: Writes) -> None:
        self._rows = rows
        self._xid = xid
        self._payments = _stored(mapped.PAYMENT, writes.payments.values())
        self._refunds = _stored(mapped.REFUND, writes.refunds.values())
        self._attempts = _stored(mapped.ATTEMPT, writes.attempts.values())
        self._events = _stored(mapped.EVENT, writes.events)
        self._evidence = _stored(mapped.EVIDENCE, writes.evidence)
        self._cases = _stored(mapped.CASE, writes.cases.values())
        self._writes = writes
        self._claims: dict[Place, UUID] = {}

    def write(self, deltas: dict[tuple[UUID, str, str], Account]) -> None:
        self._check_payments()
        self._check_refunds()
        self._check_log()
        self._write_payments()
        self._write_refunds()
        self._write_log()
        self._write_rest()
        for place, delta in deltas.items():
            known = self._rows.accounts.get(place, replace(delta, balance=0))
            self._rows.accounts[place] = replace(known, balance=known.balance + delta.balance)
        self._rows.taken |= self._claims

    def _check_payments(self) -> None:
        for each in self._payments:
            counters = (each.held, each.refunded, each.external, each.disputed, each.clawed_back, each.excess)
            _keep(min(counters) >= 0 and each.captured >= 0 and each.fee_used >= 0, "a counter below zero")
            _keep(each.spent <= each.captured + each.excess, "never_more_than_came_in")
            self._claim(("payment", each.merchant, each.dialect, each.dialect_id), each.id)
            self._claim(("reference", each.merchant, each.account, each.reference), each.id)
            _keep_new(each.id in self._writes.new, (each.merchant, each.id) in self._rows.payments, "payment")
        for order in self._writes.orders.values():
            self._claim(("order", order.merchant, order.dialect, order.reference), order.id)

    def _check_refunds(self) -> None:
        fresh = {(each.merchant, each.id) for each in self._payments}
        for each in self._refunds:
            _keep(each.payer == each.wallet + each.fee_return, "the payer's amount is the sum of its shares")
            _keep(each.payer > 0 or each.state is State.FAILED, "a refund gives something back")
            payment = (each.merchant, each.payment)
            _keep(payment in self._rows.payments or payment in fresh, "a refund is of a payment")
            self._claim(("refund", each.merchant, each.dialect, each.dialect_id), each.id)
            _keep_new(each.id in self._writes.new, (each.merchant, each.id) in self._rows.refunds, "refund")

    def _check_log(self) -> None:
        places = [(each.merchant, each.object, each.sequence) for each in self._events]
        seen = [(each.merchant, each.id) for each in self._evidence]
        if len({*places}) < len(places) or not self._rows.event_places.keys().isdisjoint(places):
            raise WrittenFirst("event")
        if len({*seen}) < len(seen) or not self._rows.evidence.keys().isdisjoint(seen):
            raise WrittenFirst("evidence")
        for each in self._writes.movements:
            _keep(each.amount > 0 and each.debit != each.credit, "a movement moves something somewhere")

    def _claim(self, place: Place, owner: UUID) -> None:
        if self._rows.taken.get(place, owner) != owner or self._claims.setdefault(place, owner) != owner:
            raise WrittenFirst(place[0])

    def _write_payments(self) -> None:
        for each in self._payments:
            self._rows.payments[(each.merchant, each.id)] = each
            self._rows.written_by[(each.merchant, each.id)] = self._xid
        self._rows.written_by |= dict.fromkeys(self._writes.touched, self._xid)
        for order in self._writes.orders.values():
            self._rows.orders[(order.merchant, order.dialect, order.reference)] = order

    def _write_refunds(self) -> None:
        for each in self._refunds:
            if each.id in self._writes.new:
                payment = (each.merchant, each.payment)
                self._rows.of_payment[payment] = (*self._rows.of_payment.get(payment, ()), each.id)
            self._rows.refunds[(each.merchant, each.id)] = each
        for attempt in self._attempts:
            place = (attempt.merchant, attempt.refund, attempt.generation)
            known = self._rows.attempts.get(place)
            self._rows.attempts[place] = replace(known, outcome=attempt.outcome) if known else attempt

    def _write_log(self) -> None:
        for movement in self._writes.movements:
            self._rows.movements[len(self._rows.movements) + 1] = movement
        for event in self._events:
            self._rows.event_number += 1
            self._rows.events[(self._xid, self._rows.event_number)] = event
            self._rows.event_places[(event.merchant, event.object, event.sequence)] = self._xid
        for evidence in self._evidence:
            self._rows.evidence[(evidence.merchant, evidence.id)] = evidence

    def _write_rest(self) -> None:
        for external in self._writes.externals.values():
            place = (external.merchant, external.payment, external.provider_id)
            known = self._rows.externals.get(place)
            self._rows.externals[place] = replace(known, undone=external.undone) if known else external
        for dispute in self._writes.disputes.values():
            self._rows.disputes[(dispute.merchant, dispute.payment, dispute.reference)] = dispute
        for case in self._cases:
            self._rows.cases[(case.merchant, case.payment, case.number)] = case
        for answer in self._writes.answers:
            key = (answer.merchant, answer.dialect, answer.key)
            kept = self._rows.keys.get(key)
            if kept is None or kept.answer is None:
                self._rows.keys[key] = _with_answer(kept, answer)


class MemoryStore:
    """One process on a `MemoryDatabase`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self.database = database
        self._gatherer = Gatherer(lambda batch, alone: commit_batch(self, batch, alone))

    async def close(self) -> None:
        """Commit what was submitted."""
        await self._gatherer.drain()

    async def submit(self, command: Command) -> Result:
        """Decide and commit one command, together with others."""
        if isinstance(command, SaveAnswer):
            return await self._save_answer(command)
        return await self._gatherer.submit(command)

    async def claim(self, limit: int, lease: timedelta) -> tuple[Work, ...]:
        """Due work; what two processes must not do at once is claimed for `lease` of real time."""
        rows, now = await self._reading(), self.database.now()
        refunds = [*rows.refunds.values()]
        expired = [each for each in refunds if each.state is State.SENDING and _past(each.lease_until, now.real)]
        ready = [each for each in refunds if self._may_send(rows, each) and self._may_claim(each, now)]
        looks = [each for each in refunds if _reached(each.look_at, now.business) and self._may_claim(each, now)]
        due = [each for each in refunds if each.state is State.SCHEDULED and _reached(each.due_at, now.business)]
        expired.sort(key=lambda each: each.lease_until or now.real)
        ready.sort(key=lambda each: each.created_at)
        looks.sort(key=lambda each: each.look_at or now.business)
        due.sort(key=lambda each: each.due_at or now.business)
        for each in (*ready[:limit], *looks[:limit]):
            rows.refunds[(each.merchant, each.id)] = replace(each, claimed_until=now.real + lease)
        return (
            *(Work("expire", each.merchant, each.id, each.payment, each.rail) for each in expired[:limit]),
            *(Work("send", each.merchant, each.id, each.payment, each.rail) for each in ready[:limit]),
            *(Work("look", each.merchant, each.id, each.payment, each.rail) for each in looks[:limit]),
            *(Work("due", each.merchant, each.id, each.payment, each.rail) for each in due[:limit]),
            *_due_releases(rows, now)[:limit],
        )

    async def payment(self, merchant: UUID, payment: UUID) -> Payment | None:
        """One payment as it stands."""
        return (await self._reading()).payments.get((merchant, payment))

    async def refund(self, merchant: UUID, refund: UUID) -> Refund | None:
        """One refund as it stands."""
        return (await self._reading()).refunds.get((merchant, refund))

    async def children(self, merchant: UUID, payment: UUID) -> Children:
        """All that hangs on a payment."""
        return _children(await self._reading(), (merchant, payment))

    async def attempt(self, merchant: UUID, refund: UUID, generation: int) -> Attempt | None:
        """One attempt, with what was read before it was armed."""
        return (await self._reading()).attempts.get((merchant, refund, generation))

    async def key(self, merchant: UUID, dialect: str, key: str) -> KeyRow | None:
        """One idempotency row."""
        return (await self._reading()).keys.get((merchant, dialect, key))

    async def events(self, merchant: UUID, after: Cursor, limit: int) -> tuple[Logged, ...]:
        """The merchant's events after a cursor that no running transaction can still precede."""
        rows, horizon = await self._reading(), self.database.horizon
        found = sorted(
            place
            for place, event in rows.events.items()
            if event.merchant == merchant and (after.xid, after.id) < place and place[0] < horizon
        )
        return tuple(Logged(rows.events[place], Cursor(*place, self.database.epoch)) for place in found[:limit])

    async def now(self) -> Now:
        """Both times."""
        await self._reading()
        return self.database.now()

    async def _reading(self) -> Rows:
        self.database.require()
        await self.database.pause("read")
        self.database.require()
        return self.database.rows

    def _may_send(self, rows: Rows, refund: Refund) -> bool:
        payment = rows.payments[(refund.merchant, refund.payment)]
        return refund.state is State.READY and payment.fence in (None, refund.id) and not payment.blocked

    def _may_claim(self, refund: Refund, now: Now) -> bool:
        in_hands = self.database.locked(("payment", refund.merchant, refund.payment))
        return not in_hands and (refund.claimed_until is None or refund.claimed_until < now.real)

    async def _save_answer(self, command: SaveAnswer) -> Result:
        rows, place = await self._reading(), (command.merchant, command.dialect, command.idempotency_key)
        known = rows.keys.get(place)
        if known is None:
            return refuse(Reason.BAD_REQUEST, key=command.idempotency_key)
        if known.answer is None:
            known = rows.keys[place] = replace(known, status=command.status, answer=command.answer)
        assert known.status is not None and known.answer is not None
        return Saved(known.status, known.answer)

    # --- the commit path ---------------------------------------------------------------------------------------------

    async def transaction(self, batch: list[Entry], alone: bool) -> list[Verdict]:
        """One batch in one transaction; see `Transactions`."""
        database = self.database
        opened = database.begin(self)
        try:
            verdicts, writes, deltas = await self._decided(opened, batch, alone)
            await database.pause("decided")
            fate = database.fate(self)
            if fate != "dropped":
                database.commit(opened, writes, deltas)
        finally:
            database.end(opened)
        await database.pause("committed")
        if fate != "answered" or not database.available:
            raise CommitInDoubt(opened.xid, writes, verdicts)
        return verdicts

    async def committed(self, doubt: CommitInDoubt, alone: bool) -> bool | None:
        """Whether the transaction's own rows are there; None while it still runs."""
        rows = await self._reading()
        if self.database.running(doubt.xid):
            return None
        match doubt.writes.witness:
            case EventRow() as event:
                return rows.event_places.get((event.merchant, event.object, event.sequence)) == doubt.xid
            case Evidence() as evidence:
                return (evidence.merchant, evidence.id) in rows.evidence
            case None:
                return False

    async def _decided(
        self, opened: Transaction, batch: list[Entry], alone: bool
    ) -> tuple[list[Verdict], Writes, dict[tuple[UUID, str, str], Account]]:
        """Lock class by class, read and decide; everything of the batch but its commit."""
        database, facts, now = self.database, Facts(), self.database.now()
        asked = {(row.merchant, row.dialect, row.key) for each in batch if (row := new_key_row(each.command, now))}
        await database.wait(opened, [("key", *place) for place in sorted(asked)])
        facts.keys = {place: database.rows.keys[place] for place in sorted(asked) if place in database.rows.keys}
        orders = sorted({(each.command.merchant, *order) for each in batch for order in each.footprint.orders})
        await database.wait(opened, [("order", *place) for place in orders])
        facts.orders = {place: database.rows.orders[place] for place in orders if place in database.rows.orders}
        held = await self._lock_payments(opened, batch, facts, alone)
        ready = [entry for entry in batch if held.isdisjoint(entry.footprint.payments)]
        self._read_rest(ready, facts)
        accounts = sorted(accounts_touched(ready, facts))
        await database.wait(opened, [("account", *place) for place in accounts])
        facts.accounts = {place: database.rows.accounts.get(place, Account(*place, 0)) for place in accounts}
        before = dict(facts.accounts)
        numbers = {sequence: self._draw(sequence, count) for sequence, count in wanted_numbers(ready, facts).items()}
        decided, writes = decide_batch(ready, facts, now, numbers)
        deltas = {
            place: replace(account, balance=account.balance - before[place].balance)
            for place, account in facts.accounts.items()
            if account is not before[place]
        }
        by_entry = dict(zip(map(id, ready), decided, strict=True))
        return [by_entry.get(id(entry), PUT_OFF) for entry in batch], writes, deltas

    async def _lock_payments(self, opened: Transaction, batch: list[Entry], facts: Facts, alone: bool) -> set[UUID]:
        """Lock the batch's payments. Returns those that somebody else holds, or wrote in a later transaction."""
        places = sorted({(entry.command.merchant, payment) for entry in batch for payment in entry.footprint.payments})
        if alone:
            await self.database.wait(opened, [("payment", *place) for place in places])
        late: set[UUID] = set()
        rows = self.database.rows
        for place in places:
            free = self.database.lock(opened, ("payment", *place))
            payment = rows.payments.get(place)
            if payment is None:
                continue
            if not free or rows.written_by[place] > opened.xid:
                late.add(payment.id)
            else:
                facts.payments[payment.id] = payment
        return late

    def _read_rest(self, ready: list[Entry], facts: Facts) -> None:
        rows = self.database.rows
        for entry in ready:
            merchant, footprint = entry.command.merchant, entry.footprint
            if footprint.children:
                for payment in footprint.payments:
                    facts.children[payment] = _children(rows, (merchant, payment))
                    facts.refunds |= facts.children[payment].refunds
            for refund in footprint.refunds:
                if (merchant, refund) in rows.refunds:
                    facts.refunds[refund] = rows.refunds[(merchant, refund)]
            for account, reference in footprint.references:
                owner = rows.taken.get(("reference", merchant, account, reference))
                if owner is not None:
                    facts.references[(merchant, account, reference)] = rows.payments[(merchant, owner)]
            for payment, equality in footprint.equalities:
                siblings = _refunds_of(rows, (merchant, payment))
                if equal := [each for each in siblings if each.equality == equality]:
                    facts.equals[(payment, equality)] = max(equal, key=lambda each: (each.created_at, each.id))

    def _draw(self, sequence: str, count: int) -> deque[int]:
        """Numbers are given out once, whether the transaction commits or not."""
        last = self.database.rows.numbers.get(sequence, FIRST_NUMBER - 1)
        self.database.rows.numbers[sequence] = last + count
        return deque(range(last + 1, last + count + 1))


async def _yield(_stage: Stage) -> None:
    await asyncio.sleep(0)


def _keep(rule: bool, words: str) -> None:
    if not rule:
        raise ConstraintBroken(words)


def _keep_new(new: bool, known: bool, what: str) -> None:
    if new and known:
        raise WrittenFirst(what)
    _keep(new or known, f"a {what} that is changed exists")


def _with_answer(kept: KeyRow | None, answer: KeyRow) -> KeyRow:
    if kept is None:
        return answer
    due = max(kept.answer_due, answer.answer_due)
    return replace(
        kept, refund=answer.refund or kept.refund, status=answer.status, answer=answer.answer, answer_due=due
    )


def _past(at: datetime | None, now: datetime) -> bool:
    return at is not None and at < now


def _reached(at: datetime | None, now: datetime) -> bool:
    return at is not None and at <= now


def _due_releases(rows: Rows, now: Now) -> list[Work]:
    found: list[tuple[datetime, Work]] = []
    for each in rows.payments.values():
        release = release_in_flight(each)
        if release is None or release.id is None:
            continue
        work = Work("release", each.merchant, release.id, each.id, each.rail)
        if release.state is State.SENDING and release.lease_until is not None and release.lease_until < now.real:
            found.append((release.lease_until, work))
        elif release.look_at is not None and release.look_at <= now.business:
            found.append((release.look_at, work))
    return [work for _, work in sorted(found, key=lambda each: each[0])]


def _refunds_of(rows: Rows, payment: tuple[UUID, UUID]) -> list[Refund]:
    return [rows.refunds[(payment[0], refund)] for refund in rows.of_payment.get(payment, ())]


def _children(rows: Rows, payment: tuple[UUID, UUID]) -> Children:
    return Children(
        refunds={each.id: each for each in _refunds_of(rows, payment)},
        disputes={place[2]: each for place, each in rows.disputes.items() if place[:2] == payment},
        externals={place[2]: each for place, each in rows.externals.items() if place[:2] == payment},
        cases={place[2]: each for place, each in rows.cases.items() if place[:2] == payment},
    )


class _Row(list[Any]):
    """Columns as a driver would return them: by position and by name."""

    def __init__(self, names: tuple[str, ...], values: list[Any]) -> None:
        super().__init__(values)
        self._names = names

    def __getitem__(self, place: Any) -> Any:
        return super().__getitem__(self._names.index(place) if isinstance(place, str) else place)


def _stored(mapper: mapped.Mapper, values: Iterable[msgspec.Struct]) -> list[Any]:
    """The values as they would come back from a table: what JSON cannot keep is lost here too.

    Raises ValueError, TypeError or OverflowError for what PostgreSQL could not store.
    """
    found = []
    for each in values:
        columns = mapper.values(each)
        for column in columns:
            if isinstance(column, str) and (b"\0" in column.encode() or "\\u0000" in column):
                raise ValueError("a text with a NUL cannot be stored")
        found.append(mapper.value(_Row(mapper.all_columns, columns)))
    return found
