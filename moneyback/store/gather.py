"""Gathering: concurrent commands of one process are decided and committed together.

While one batch commits, the next one gathers; there is no timer. All that both stores share lives here: the queue
(`Gatherer`), the decision loop (`decide_batch`), and what is done with a batch that did not go as it should
(`commit_batch`). What a transaction is, and whether a lost one was committed, is each store's own (`Transactions`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final, Protocol
from uuid import UUID

import msgspec

from moneyback.core.commands import Command, Footprint, Now, Observe, RegisterPayment, RequestRefund, Result
from moneyback.core.decide import decide
from moneyback.core.ledger import Movement, limited
from moneyback.core.payment import Payment
from moneyback.core.plan import Facts, MoreFacts, Plan, apply
from moneyback.core.records import Case, Dispute, EventRow, External, KeyRow, Order
from moneyback.core.refund import Attempt, Evidence, Refund
from moneyback.store.port import StoreUnavailable

BATCH_MAX: Final = 256
"""Commands committed together at most: beyond it a batch's own latency outgrows what it saves."""
MISSES_MAX: Final = 3
"""How often a command may be put off because its rows were locked before it waits for them, apart from the others."""
RECONNECT_S: Final = 0.2
"""Between two attempts to learn what became of a commit."""


class Entry:
    """One submitted command on its way: its future, how often it was put off, and what more it must read."""

    __slots__ = ("command", "future", "misses", "wider")

    def __init__(self, command: Command, future: asyncio.Future[Result]) -> None:
        self.command = command
        self.future = future
        self.misses = 0
        self.wider = False  # core asked for all that hangs on the payment

    @property
    def footprint(self) -> Footprint:
        """The command's rows, with the payment's children where core asked for them."""
        footprint = self.command.footprint
        return msgspec.structs.replace(footprint, children=True) if self.wider else footprint


class PutOff:
    """The command's rows were held by somebody else: it goes into the next batch."""


class Widen:
    """The command is decided again with all that hangs on its payments."""


PUT_OFF = PutOff()
WIDEN = Widen()
Verdict = Result | BaseException | PutOff | Widen


class Gatherer:
    """Queues commands and drives `commit_batch`, oldest first. One per store and process.

    There are two lanes. Batches skip rows that somebody else holds; commands that were put off too often wait for
    their rows in a lane of their own (`alone`), where they hold up nobody but those that want the same rows.
    """

    def __init__(self, commit_batch: Callable[[list[Entry], bool], Awaitable[list[Verdict]]]) -> None:
        self._commit_batch = commit_batch
        self._waiting: deque[Entry] = deque()
        self._stubborn: deque[Entry] = deque()
        self._drivers: dict[bool, asyncio.Task[None]] = {}

    async def submit(self, command: Command) -> Result:
        """The result of `command` once it is committed. A caller who goes away cancels nothing."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(Entry(command, future))
        self._start(alone=False)
        return await future  # cancelled with its caller, and then settled for nobody

    async def drain(self) -> None:
        """Return once everything submitted so far is committed."""
        while self._drivers:
            await asyncio.wait(list(self._drivers.values()))

    def _start(self, alone: bool) -> None:
        if alone not in self._drivers:
            self._drivers[alone] = asyncio.get_running_loop().create_task(self._drive(alone))

    async def _drive(self, alone: bool) -> None:
        try:
            while batch := self._next_wanting_the_same() if alone else self._next_batch():
                await self._run(batch, alone)
        finally:
            del self._drivers[alone]

    def _next_batch(self) -> list[Entry]:
        return [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]

    def _next_wanting_the_same(self) -> list[Entry]:
        """The oldest of those that wait for their rows, with all others that wait for the same payments."""
        if not self._stubborn:
            return []
        batch, rest = [self._stubborn.popleft()], deque[Entry]()
        payments = batch[0].footprint.payments
        for entry in self._stubborn:
            joins = payments and entry.footprint.payments == payments and len(batch) < BATCH_MAX
            (batch if joins else rest).append(entry)
        self._stubborn = rest
        return batch

    async def _run(self, batch: list[Entry], alone: bool) -> None:
        try:
            verdicts = await self._commit_batch(batch, alone)
        except BaseException as error:
            verdicts = [error] * len(batch)
            if not isinstance(error, Exception):
                self._settle(batch, verdicts)
                raise
        again = self._settle(batch, verdicts)
        if alone:
            self._stubborn.extendleft(reversed(again))
            return
        self._waiting.extendleft(entry for entry in reversed(again) if entry.misses < MISSES_MAX)
        if stubborn := [entry for entry in again if entry.misses >= MISSES_MAX]:
            self._stubborn.extend(stubborn)
            self._start(alone=True)

    def _settle(self, batch: list[Entry], verdicts: Sequence[Verdict]) -> list[Entry]:
        again: list[Entry] = []
        for entry, verdict in zip(batch, verdicts, strict=True):
            if isinstance(verdict, PutOff):
                entry.misses += 1
                again.append(entry)
            elif isinstance(verdict, Widen):
                entry.wider = True
                again.append(entry)
            elif entry.future.done():
                continue
            elif isinstance(verdict, BaseException):
                entry.future.set_exception(verdict)
            else:
                entry.future.set_result(verdict)
        return again


class Writes:
    """Everything a batch writes, each row once at its last version. `known`: payments and refunds there before."""

    def __init__(self, known: Collection[UUID] = ()) -> None:
        self._known = known
        self.payments: dict[UUID, Payment] = {}
        self.refunds: dict[UUID, Refund] = {}
        self.orders: dict[UUID, Order] = {}
        self.new: set[UUID] = set()
        self.attempts: dict[tuple[UUID, int], Attempt] = {}
        self.movements: list[Movement] = []
        self.events: list[EventRow] = []
        self.evidence: list[Evidence] = []
        self.externals: dict[tuple[UUID, str], External] = {}
        self.disputes: dict[tuple[UUID, str], Dispute] = {}
        self.cases: dict[tuple[UUID, int], Case] = {}
        self.answers: list[KeyRow] = []

    def take(self, plan: Plan) -> None:
        """Add a plan's rows."""
        for payment in plan.payments:
            self._mark_if_new(payment.id)
            self.payments[payment.id] = payment
        for refund in plan.refunds:
            self._mark_if_new(refund.id)
            self.refunds[refund.id] = refund
        for order in plan.orders:
            self.orders[order.id] = order
        for attempt in plan.attempts:
            earlier = self.attempts.get((attempt.refund, attempt.generation))
            kept = msgspec.structs.replace(earlier, outcome=attempt.outcome) if earlier else attempt
            self.attempts[(attempt.refund, attempt.generation)] = kept
        self.movements += plan.movements
        self.events += plan.events
        self.evidence += plan.evidence
        self.externals |= {(each.payment, each.provider_id): each for each in plan.externals}
        self.disputes |= {(each.payment, each.reference): each for each in plan.disputes}
        self.cases |= {(each.payment, each.number): each for each in plan.cases}
        self.answers += plan.answers

    def _mark_if_new(self, row: UUID) -> None:
        if row not in self._known:
            self.new.add(row)

    @property
    def touched(self) -> dict[tuple[UUID, UUID], None]:
        """(merchant, payment) of events whose payment is not written itself.

        Their payment must be marked as last written by this transaction all the same, or a transaction that began
        earlier could write the next event of the same object, and would come before this one in the log.
        """
        return {(each.merchant, each.payment): None for each in self.events if each.payment not in self.payments}

    @property
    def witness(self) -> EventRow | Evidence | None:
        """A row that is there if and only if this was committed. None: deciding again comes to the same."""
        rows: list[EventRow | Evidence] = [*self.events[:1], *self.evidence[:1]]
        return rows[0] if rows else None


class CommitInDoubt(Exception):
    """The answer to COMMIT was lost. Resolved by `commit_batch` before anything is retried or answered."""

    def __init__(self, xid: int, writes: Writes, verdicts: list[Verdict]) -> None:
        super().__init__(f"the answer to COMMIT of transaction {xid} was lost")
        self.xid = xid
        self.writes = writes
        self.verdicts = verdicts


class RowsBusy(Exception):
    """Rows did not come free in time, or transactions waited for each other. Nothing was written."""


class WrittenFirst(Exception):
    """Somebody else has written what must be unique. Nothing was written; the next decision may see theirs."""


class Transactions(Protocol):
    """What a batch is to a store."""

    async def transaction(self, batch: list[Entry], alone: bool) -> list[Verdict]:
        """Lock, read, decide, write, commit. `alone`: wait for rows instead of skipping them.

        Raises CommitInDoubt, RowsBusy, WrittenFirst, StoreUnavailable; anything else is a command's own fault.
        """

    async def committed(self, doubt: CommitInDoubt, alone: bool) -> bool | None:
        """Whether the witness of a commit in doubt is there; None while its transaction may still end either way.

        Raises StoreUnavailable when nobody can tell now.
        """


async def commit_batch(store: Transactions, batch: list[Entry], alone: bool) -> list[Verdict]:
    """One batch, whatever it takes: a lost commit is looked up, a poisoned batch is split."""
    try:
        return await store.transaction(batch, alone)
    except CommitInDoubt as doubt:
        return await _resolve(store, doubt, batch, alone)
    except RowsBusy as error:
        return [StoreUnavailable(f"the rows are busy: {error}") if alone else PUT_OFF] * len(batch)
    except StoreUnavailable as error:
        return [error] * len(batch)
    except Exception as error:
        return await _split(store, batch, alone, error)


async def _resolve(store: Transactions, doubt: CommitInDoubt, batch: list[Entry], alone: bool) -> list[Verdict]:
    """Nobody is answered before it is known what became of the transaction."""
    while True:
        try:
            committed = await store.committed(doubt, alone)
        except StoreUnavailable:
            committed = None
        if committed is not None:
            return doubt.verdicts if committed else await commit_batch(store, batch, alone)
        await asyncio.sleep(RECONNECT_S)


async def _split(store: Transactions, batch: list[Entry], alone: bool, error: Exception) -> list[Verdict]:
    """Nobody poisons a batch: halves are tried alone, until the one that cannot be written has its own error."""
    if len(batch) > 1:
        half = len(batch) // 2
        return await commit_batch(store, batch[:half], alone) + await commit_batch(store, batch[half:], alone)
    return [PUT_OFF if isinstance(error, WrittenFirst) and not alone else error]


def decide_batch(
    entries: Iterable[Entry], facts: Facts, now: Now, numbers: dict[str, deque[int]]
) -> tuple[list[Verdict], Writes]:
    """Decide the entries in age order, each on the facts the one before it left. `numbers` holds drawn sequences."""
    known = {*facts.payments, *facts.refunds, *(each.id for each in facts.equals.values())}
    writes, verdicts = Writes(known), list[Verdict]()
    sequences = [sequence_of(entry.command, facts) for entry in entries]
    for entry, sequence in zip(entries, sequences, strict=True):
        number = numbers[sequence].popleft() if sequence is not None else None
        decision = decide(entry.command, facts, now, number=number)
        if isinstance(decision, MoreFacts):
            verdicts.append(WIDEN)
            continue
        if isinstance(decision, Plan):
            writes.take(decision)
            apply(decision, facts)
            verdicts.append(decision.result)
        else:
            verdicts.append(decision)
    return verdicts, writes


def wanted_numbers(entries: Iterable[Entry], facts: Facts) -> dict[str, int]:
    """How many numbers of which sequence the batch needs, its payments being known."""
    wanted: dict[str, int] = {}
    for entry in entries:
        sequence = sequence_of(entry.command, facts)
        if sequence is not None:
            wanted[sequence] = wanted.get(sequence, 0) + 1
    return wanted


def sequence_of(command: Command, facts: Facts) -> str | None:
    """The sequence a command draws its number from, if it has no id yet, or becomes a refund of another dialect's."""
    match command:
        case RequestRefund(dialect_id=None):
            return command.sequence
        case RequestRefund() if (payment := facts.payments.get(command.payment)) is not None:
            home = command.terms(payment).home
            return home.sequence if home is not None else None
        case RegisterPayment(payment=Payment(dialect_id="")):
            return command.sequence
        case _:
            return None


def new_key_row(command: Command, now: Now) -> KeyRow | None:
    """The idempotency row a command claims before it is decided. An Observe only ends what another began."""
    key = command.key
    if key is None or isinstance(command, Observe):
        return None
    return KeyRow(
        merchant=command.merchant,
        dialect=key.dialect,
        key=key.key,
        fingerprint=key.fingerprint,
        refund=command.id if isinstance(command, RequestRefund) else None,
        answer_due=now.real + key.wait,
        created_at=now.business,
    )


def accounts_touched(entries: Iterable[Entry], facts: Facts) -> set[tuple[UUID, str, str]]:
    """(merchant, name, currency) of every account with a limit that the batch may move."""
    payments = [*facts.payments.values()]
    payments += [entry.command.payment for entry in entries if isinstance(entry.command, RegisterPayment)]
    return {(payment.merchant, name, payment.currency) for payment in payments for name in limited(payment)}
