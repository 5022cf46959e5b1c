"""What must be true after every commit and after every execution at the bank, and once a run has come to rest.

The watch sees what no process sees: the committed rows and the bank's true books. It computes along with both, so each
step costs it only the rows that changed.

- The bank executes a refund at most once.
- What it executed of ours, and kept, is within what had come in less disputes, returns and refunds made elsewhere, as
  recorded when the newest of them was armed. Anything beyond stands in `excess`, with its case.
- Every counter of a payment is what its movements add up to, and the hold account is the sum of its holding refunds.
- No byte leaves after the send deadline, for anything but an armed attempt, or past another refund's fence.
- Succeeded has evidence and was executed; failed, canceled and ready were not.
- Every version of a refund has exactly one event that names it, and a reader of the log is told each once, in order.
- One idempotency key makes one refund and gets one answer.
- At rest, every refund that was ever acknowledged is there and has ended, and the bank's books agree with ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import wraps
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.bank import wire
from moneyback.bank.book import Book, Entry
from moneyback.core import ledger
from moneyback.core.payment import Payment
from moneyback.core.refund import HOLDING, IN_DOUBT, UNSENT, Attempt, Refund, State
from moneyback.simulator.clock import SimClock
from moneyback.simulator.story import Story
from moneyback.store.gather import Writes
from moneyback.store.memory import Rows
from moneyback.store.port import Logged

EXECUTION: Final = frozenset({"executed", "person_executed", "came_back"})
"""Evidence that may lead to succeeded."""
IMPOSSIBLE_CASES: Final = frozenset({"second_execution", "earlier_attempt_executed"})
"""Cases that only a refund paid twice, or sent again into doubt, can open."""
NOT_PAID: Final = UNSENT | {State.FAILED, State.CANCELED}
"""States that say: the payer does not have the money, and no provider is about to give it."""


AT_THE_PROVIDER: Final = IN_DOUBT - {State.NEEDS_REVIEW}
"""States in which a provider may act on the refund. A review tells nothing about that: what was, still is."""


class Violation(Exception):
    """A promise was broken."""


def _reported(check: Callable[..., None]) -> Callable[..., None]:
    """What a check finds is reported, not raised: code under test could take it for an error of its own, and go on."""

    @wraps(check)
    def checked(watch: Watch, *args: Any) -> None:
        try:
            check(watch, *args)
        except Exception as error:
            watch.report(error)

    return checked


class _Armed(msgspec.Struct):
    """What was recorded of a refund's payment when its attempts were armed."""

    payment: UUID
    room: int
    deadlines: dict[int, datetime]


class Watch:
    """Checks one run. `rows` is what the database has committed; `report` ends the run with what was found."""

    def __init__(self, rows: Rows, clock: SimClock, story: Story, report: Callable[[Exception], None]) -> None:
        self.report = report
        self._rows = rows
        self._clock = clock
        self._story = story
        self._known: dict[UUID, tuple[State, int]] = {}
        self._merchants: dict[UUID, UUID] = {}
        self._payments: dict[UUID, Payment] = {}  # as the commit before left them
        self._vouched_for: set[UUID] = set()
        """Refunds that a person said were executed: what the bank told of them meanwhile named nothing we knew."""
        self._in_flight: set[UUID] = set()  # refunds that a provider may have, or be about to have
        self._armed: dict[UUID, _Armed] = {}
        self._executed: dict[UUID, Entry] = {}
        self._balances: dict[UUID, defaultdict[str, int]] = {}
        self.acknowledged: dict[UUID, UUID] = {}  # refund → its merchant
        self._answers: dict[str, tuple[int, bytes]] = {}  # idempotency key → what was answered under it
        self._denied: set[UUID] = set()
        self._named: dict[str, UUID] = {}  # idempotency key → its refund
        self._told: dict[UUID, int] = {}  # object → the sequence of the newest event that a reader was told
        self._events_told = 0
        self._accounts: defaultdict[tuple[UUID, str, str], int] = defaultdict(int)

    # --- what passes -------------------------------------------------------------------------------------------------

    @_reported
    def written(self, call: wire.RefundCall, at: datetime) -> None:
        """A byte of a refund call leaves a process."""
        refund_id = refund_of(call.key)
        if refund_id is None:
            return
        refund = self._refund(refund_id)
        if refund is None or refund_id not in self._armed:
            raise Violation(f"a call leaves for {self._r(refund_id)}, which was never armed")
        armed = self._armed[refund_id]
        generation = refund.generation if call.mark is None else int(call.mark.rpartition("_")[2])
        if generation not in armed.deadlines or at >= armed.deadlines[generation]:
            raise Violation(f"a byte of {self._r(refund_id)} leaves after its send deadline")
        self._check_fence(refund)

    @_reported
    def taken(self, call: wire.RefundCall, book: Book) -> None:
        """The bank has taken a refund call; these are its books on the payment now."""
        refund_id = refund_of(call.key)
        if refund_id is None:
            return
        mine = [each for each in book.executed if each.key == call.key]
        if len(mine) > 1:
            raise Violation(f"the bank executed {self._r(refund_id)} {len(mine)} times")
        if not mine or refund_id in self._executed:
            return
        self._executed[refund_id] = mine[0]
        refund = self._refund(refund_id)
        if refund is None or refund.state in NOT_PAID:
            raise Violation(f"the bank executed {self._r(refund_id)}, which is {_word(refund)}")
        self._check_room(refund, book)

    @_reported
    def committed(self, writes: Writes) -> None:
        """These rows have just been committed."""
        for movement in writes.movements:
            balances = self._balances.setdefault(movement.payment, defaultdict(int))
            for account, amount in ((movement.debit, -movement.amount), (movement.credit, movement.amount)):
                balances[account] += amount
                self._accounts[(movement.merchant, account, movement.currency)] += amount
        sequences: dict[UUID, list[int]] = defaultdict(list)
        for event in writes.events:
            sequences[event.object].append(event.sequence)
        payments = {each.id: each.merchant for each in writes.payments.values()}
        for refund in writes.refunds.values():
            payments[refund.payment] = refund.merchant
            self._follow(refund, sequences[refund.id], writes)
        for attempt in writes.attempts.values():
            self._note_armed(attempt)
        for id, merchant in payments.items():
            payment = self._payments[id] = self._rows.payments[(merchant, id)]
            self._check_payment(payment)
        for place, row in self._rows.accounts.items():
            if row.balance != self._accounts[place]:
                raise Violation(f"{row.name} has {row.balance}; its movements add up to {self._accounts[place]}")
        for case in writes.cases.values():
            self._story.tell("case", payment=self._p(case.payment), kind=case.kind, closed=case.closed_at is not None)
            if case.kind in IMPOSSIBLE_CASES:
                raise Violation(f"a case of {case.kind} on {self._p(case.payment)}")

    @_reported
    def answered(self, key: str, status: int, answer: bytes) -> None:
        """A caller got this answer under its idempotency key: everybody gets the same."""
        if self._answers.setdefault(key, (status, answer)) != (status, answer):
            raise Violation(f"the key {key} was answered {self._answers[key]!r} and {(status, answer)!r}")

    @_reported
    def named(self, key: str, refund: UUID) -> None:
        """A caller was told of this refund under its idempotency key: there is one a key."""
        if self._named.setdefault(key, refund) != refund:
            raise Violation(f"the key {key} made {self._r(self._named[key])} and {self._r(refund)}")

    @_reported
    def denied(self, refund: UUID) -> None:
        """A caller was told that nothing was admitted: there is no such refund, and none will come."""
        self._denied.add(refund)
        if refund in self._known:
            raise Violation(f"{self._r(refund)} was admitted, and its caller was told that nothing was")

    @_reported
    def told(self, events: Iterable[Logged]) -> None:
        """A reader of the event log was given these: in each object's own order, and none twice."""
        for each in events:
            event = each.event
            self._events_told += 1
            if event.sequence <= self._told.get(event.object, 0):
                raise Violation(f"{event.type} {event.sequence} of {event.object.hex} is told too late, or again")
            self._told[event.object] = event.sequence

    # --- what must hold ----------------------------------------------------------------------------------------------

    def _follow(self, refund: Refund, sequences: list[int], writes: Writes) -> None:
        """A refund as a commit left it: its versions, its events, and what its state claims."""
        if refund.id in self._denied:
            raise Violation(f"{self._r(refund.id)} is admitted after its caller was told that nothing was")
        was, version = self._known.get(refund.id, (None, 0))
        self._known[refund.id] = (refund.state, refund.version)
        if refund.state in AT_THE_PROVIDER:
            self._in_flight.add(refund.id)
        elif refund.state is not State.NEEDS_REVIEW:
            self._in_flight.discard(refund.id)
        self._merchants[refund.id] = refund.merchant
        if sequences != [*range(version + 1, refund.version + 1)]:
            name = self._r(refund.id)
            raise Violation(f"{name} went from version {version} to {refund.version} with events {sequences}")
        if refund.state is was:
            return
        seen = [each for each in writes.evidence if each.refund == refund.id]
        self._story.tell(
            "commit",
            refund=self._r(refund.id),
            payment=self._p(refund.payment),
            state=f"{was.value if was else 'new'}→{refund.state.value}",
            amount=refund.payer,
            because=",".join(f"{each.event}/{each.source}" for each in seen),
        )
        if any(each.event == "person_executed" for each in seen):
            self._vouched_for.add(refund.id)
        if refund.state is State.SUCCEEDED and not any(each.event in EXECUTION for each in seen):
            raise Violation(f"{self._r(refund.id)} succeeded without evidence")
        if refund.state is State.SUCCEEDED and refund.id not in self._executed:
            raise Violation(f"{self._r(refund.id)} succeeded, and the bank never executed it")
        if refund.state in NOT_PAID and refund.id in self._executed:
            raise Violation(f"{self._r(refund.id)} became {refund.state.value} although the bank executed it")

    def _note_armed(self, attempt: Attempt) -> None:
        """Remember the room an attempt was armed in; later writes of its row tell only its outcome."""
        refund = self._refund(attempt.refund)
        assert refund is not None
        known = self._armed.get(refund.id)
        if attempt.outcome != "armed" or (known is not None and attempt.generation in known.deadlines):
            return
        payment = self._rows.payments[(refund.merchant, refund.payment)]
        before = self._payments.get(payment.id, payment)  # one commit may arm, and record more of the payment besides
        left = attempt.pre_read.get("left")
        if left is not None and left not in (_left(before), _left(payment)):
            raise Violation(f"{self._r(refund.id)} is armed on {self._p(payment.id)}, of which the bank shows {left}")
        if known is None:
            known = self._armed[refund.id] = _Armed(refund.payment, 0, {})
        known.room = max(known.room, _room(before), _room(payment))
        known.deadlines[attempt.generation] = attempt.send_deadline

    def _check_fence(self, refund: Refund) -> None:
        """Below rung 3 nobody could tell two refunds apart: one in flight for a payment, and that one has the fence."""
        if _rung(refund.rail) >= wire.RUNG_KEYED:
            return
        payment = self._rows.payments[(refund.merchant, refund.payment)]
        for id in self._rows.of_payment[(refund.merchant, payment.id)]:
            if id != refund.id and id in self._in_flight:
                raise Violation(f"{self._r(refund.id)} leaves while {self._r(id)} may be in flight")

    def _check_room(self, refund: Refund, book: Book) -> None:
        """The sum of what was executed of ours and kept, against the room recorded when the newest was armed."""
        now = self._clock.business
        ours = {id: each for each in book.executed if (id := refund_of(each.key)) is not None}
        kept = sum(each.asked for each in ours.values() if each.status(now) != "returned")
        room = max(self._armed[id].room for id in ours)
        if kept > room:
            payment = self._p(refund.payment)
            raise Violation(f"with {self._r(refund.id)} the bank has given back {kept} of {payment}, of {room}")

    def _check_payment(self, payment: Payment) -> None:
        """Counters against movements, holds against refunds, excess against the sum."""
        refunds = self._refunds_of(payment)
        held = sum(each.payer for each in refunds if each.state in HOLDING)
        balances = self._balances.get(payment.id, defaultdict(int))
        expected = {
            ledger.HOLDS: held,
            ledger.PAYER: _gone(payment) - payment.captured,
            ledger.DISPUTES: payment.disputed,
            ledger.EXCESS: -payment.excess,
        }
        found = {account: balances[account] for account in expected}
        if found != expected or payment.held != held:
            raise Violation(f"{self._p(payment.id)} holds {payment.held}; ledger {found}, facts {expected}")
        if payment.excess != max(0, payment.spent - payment.captured):
            raise Violation(
                f"{self._p(payment.id)} spent {payment.spent} of {payment.captured}, excess {payment.excess}"
            )

    # --- at rest -----------------------------------------------------------------------------------------------------

    def restless(self) -> str | None:
        """What has not come to rest yet; None when everything has."""
        for refund in self._rows.refunds.values():
            if not refund.ended:
                human = "a person" if refund.human_since else "nobody"
                return f"{self._r(refund.id)} is {refund.state.value} and waits for {human}"
        for payment in self._rows.payments.values():
            if payment.blocked:
                return f"{self._p(payment.id)} is blocked"
        return None

    def untold(self) -> str | None:
        """How many events the reader of the log has not been told yet; None when it knows all."""
        missing = len(self._rows.events) - self._events_told
        return f"{missing} events were never told" if missing else None

    def check_rest(self, books: Iterable[tuple[Payment, Book]]) -> None:
        """Every promise that can be told only at the end."""
        for id, merchant in self.acknowledged.items():
            if (merchant, id) not in self._rows.refunds:
                raise Violation(f"{self._r(id)} was acknowledged and is lost")
        for payment, book in books:
            for refund in self._refunds_of(payment):
                self._compare(refund, book)
            self._compare_payment(payment, book)

    def _compare(self, refund: Refund, book: Book) -> None:
        """What a refund's end says against what the bank did."""
        now, entry = self._clock.business, self._executed.get(refund.id)
        truth = "nothing" if entry is None else entry.status(now)
        says = {State.SUCCEEDED: "succeeded", State.RETURNED: "returned"}.get(refund.state, "nothing")
        if truth == says or (truth == "returned" and says == "succeeded" and refund.id in self._vouched_for):
            return
        raise Violation(f"{self._r(refund.id)} is {refund.state.value}; at the bank: {truth}")

    def _compare_payment(self, payment: Payment, book: Book) -> None:
        """What a payment has given back against what the bank paid; a person's word tells no amount."""
        now, refunds = self._clock.business, self._refunds_of(payment)
        if any(each.id in self._vouched_for for each in refunds):
            return
        if any(each.amount < each.asked for each in book.executed):
            return
        ours, paid = payment.refunded + payment.external, book.paid(now)
        if ours != paid:
            raise Violation(f"{self._p(payment.id)} has given back {ours}; the bank paid {paid}")

    def _refunds_of(self, payment: Payment) -> list[Refund]:
        place = (payment.merchant, payment.id)
        return [self._rows.refunds[(payment.merchant, id)] for id in self._rows.of_payment.get(place, ())]

    def _refund(self, id: UUID) -> Refund | None:
        merchant = self._merchants.get(id)
        return None if merchant is None else self._rows.refunds.get((merchant, id))

    def _r(self, id: UUID) -> str:
        return self._story.name("R", id)

    def _p(self, id: UUID) -> str:
        return self._story.name("P", id)


def refund_of(key: str | None) -> UUID | None:
    """The refund of ours behind a key in the bank's books; None for what somebody else did there."""
    return UUID(hex=key[3:]) if key is not None and key.startswith("mb_") else None


def _gone(payment: Payment) -> int:
    return payment.refunded + payment.external + payment.clawed_back


def _left(payment: Payment) -> int:
    """What the bank must show as its remainder if it has seen all that we have, and nothing else."""
    return max(0, payment.captured - _gone(payment))


def _room(payment: Payment) -> int:
    """What refunds of ours may come to at most."""
    return payment.captured - payment.disputed - payment.clawed_back - payment.external


def _rung(rail: str) -> int:
    return wire.RUNG_LOOK_UP if rail == "sandbox" else int(rail.rpartition("-")[2])


def _word(refund: Refund | None) -> str:
    return "not there" if refund is None else refund.state.value
