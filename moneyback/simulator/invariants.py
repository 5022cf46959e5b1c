"""What must be true after every commit and after every execution at a provider, and once a run has come to rest.

The watch sees what no process sees: the committed rows and the providers' true books. It computes along with both, so
each step costs it only the rows that changed.

- A refund is executed at most once.
- What it executed of ours, and kept, is within what had come in less disputes, returns and refunds made elsewhere, as
  recorded when the newest of them was armed. Anything beyond stands in `excess`, with its case.
- Every counter of a payment is what its movements add up to, and the hold account is the sum of its holding refunds.
- No byte leaves after the send deadline, for anything but an armed attempt, twice for one attempt, or past another
  refund's fence; what leaves states the refund's own amount, and the key it always had.
- Succeeded has evidence and was executed; failed, canceled and ready were not.
- Every version of a refund has exactly one event that names it, and a reader of the log is told each once, in order.
- One idempotency key makes one refund and gets one answer.
- At rest, every refund that was ever acknowledged is there and has ended, and the providers' books agree
  with ours; a client finds its own reference on its refund, and nothing of ours beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import wraps
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.core import ledger
from moneyback.core.ledger import Movement
from moneyback.core.payment import Payment
from moneyback.core.refund import HOLDING, IN_DOUBT, UNSENT, Attempt, Refund, State
from moneyback.simulator.books import Books, Given
from moneyback.simulator.clock import SimClock
from moneyback.simulator.marks import misshown
from moneyback.simulator.peers import Asked, Peer
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
        """Refunds that a person said were executed: what its provider told of them meanwhile named nothing we knew."""
        self._in_flight: set[UUID] = set()  # refunds that a provider may have, or be about to have
        self._armed: dict[UUID, _Armed] = {}
        self._executed: dict[UUID, Given] = {}
        self._written: set[tuple[UUID, int]] = set()  # attempts of which a byte has left
        self._forgotten: set[UUID] = set()  # executed, and gone back to a moment before that
        self._keys: dict[UUID, str | None] = {}  # refund → the idempotency key it was sent with
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
    def written(self, asked: Asked, peer: Peer, at: datetime) -> None:
        """A byte of a refund call leaves a process."""
        refund, armed = self._refund(asked.refund), self._armed.get(asked.refund)
        name = self._r(asked.refund)
        if refund is None or armed is None:
            raise Violation(f"a call leaves for {name}, which was never armed")
        if asked.generation not in armed.deadlines or at >= armed.deadlines[asked.generation]:
            raise Violation(f"a byte of {name} leaves after its send deadline")
        if (asked.refund, asked.generation) in self._written:
            raise Violation(f"attempt {asked.generation} of {name} leaves a second time")
        self._written.add((asked.refund, asked.generation))
        if self._keys.setdefault(asked.refund, asked.key) != asked.key:
            raise Violation(f"{name} leaves with another key than before: its provider will not know it again")
        if asked.amount != refund.payer:
            raise Violation(f"{name} is of {refund.payer}; what leaves for it gives back {asked.amount}")
        if not peer.shared:
            self._check_fence(refund)

    @_reported
    def taken(self, asked: Asked, books: Books) -> None:
        """A provider has taken a refund call; these are its books on the payment now."""
        mine = books.of(asked.refund)
        if len(mine) > 1:
            raise Violation(f"{self._r(asked.refund)} was executed {len(mine)} times")
        if not mine or asked.refund in self._executed:
            return
        self._executed[asked.refund] = mine[0]
        refund = self._refund(asked.refund)
        if refund is None or refund.state in NOT_PAID:
            raise Violation(f"{self._r(asked.refund)} was executed, which is {_word(refund)}")
        self._check_room(refund, books)

    @_reported
    def committed(self, writes: Writes) -> None:
        """These rows have just been committed."""
        self._add_up(writes.movements)
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

    def went_back(self, rows: Rows) -> None:
        """The books are as an earlier moment left them. What was executed since is not forgotten here."""
        self._rows = rows
        refunds = {each.id: each for each in rows.refunds.values()}
        self._known = {each.id: (each.state, each.version) for each in refunds.values()}
        self._merchants = {each.id: each.merchant for each in refunds.values()}
        self._payments = {each.id: each for each in rows.payments.values()}
        self._in_flight = {each.id for each in refunds.values() if each.state in AT_THE_PROVIDER}
        self._written = {(id, number) for id, number in self._written if id in refunds}
        self._written = {(id, number) for id, number in self._written if number <= refunds[id].generation}
        self._keys = {id: key for id, key in self._keys.items() if id in refunds}
        for id, armed in self._armed.items():
            known = refunds[id].generation if id in refunds else 0
            armed.deadlines = {number: at for number, at in armed.deadlines.items() if number <= known}
        self.acknowledged = {id: merchant for id, merchant in self.acknowledged.items() if id in refunds}
        kept = {place[2] for place in rows.keys}
        self._answers = {key: answer for key, answer in self._answers.items() if key in kept}
        self._named = {key: id for key, id in self._named.items() if key in kept}
        self._forgotten = {id for id in self._executed if id in refunds and refunds[id].state in NOT_PAID}
        self._told, self._events_told = {}, 0
        self._balances, self._accounts = {}, defaultdict(int)
        self._add_up(rows.movements.values())

    def _add_up(self, movements: Iterable[Movement]) -> None:
        for movement in movements:
            balances = self._balances.setdefault(movement.payment, defaultdict(int))
            for account, amount in ((movement.debit, -movement.amount), (movement.credit, movement.amount)):
                balances[account] += amount
                self._accounts[(movement.merchant, account, movement.currency)] += amount

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
            raise Violation(f"{self._r(refund.id)} succeeded, and was never executed")
        if refund.state not in NOT_PAID:
            self._forgotten.discard(refund.id)
        elif refund.id in self._executed and refund.id not in self._forgotten:
            raise Violation(f"{self._r(refund.id)} became {refund.state.value} although it was executed")

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
            raise Violation(f"{self._r(refund.id)} is armed; of {self._p(payment.id)} its provider shows {left}")
        if known is None:
            known = self._armed[refund.id] = _Armed(refund.payment, 0, {})
        known.room = max(known.room, _room(before), _room(payment))
        known.deadlines[attempt.generation] = attempt.send_deadline

    def _check_fence(self, refund: Refund) -> None:
        """Where nobody could tell two refunds apart, one is in flight for a payment, and that one has the fence."""
        payment = self._rows.payments[(refund.merchant, refund.payment)]
        for id in self._rows.of_payment[(refund.merchant, payment.id)]:
            if id != refund.id and id in self._in_flight:
                raise Violation(f"{self._r(refund.id)} leaves while {self._r(id)} may be in flight")

    def _check_room(self, refund: Refund, books: Books) -> None:
        """The sum of what was executed of ours and kept, against the room recorded when the newest was armed."""
        now = self._clock.business
        ours = [each for each in books.executed if each.refund is not None]
        kept = sum(each.asked for each in ours if each.status(now) != "returned")
        room = max(self._armed[each.refund].room for each in ours if each.refund is not None)
        if kept > room:
            payment = self._p(refund.payment)
            raise Violation(f"with {self._r(refund.id)} {kept} of {payment} was given back, of {room}")

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

    def check_shown(self, given: Given, shown: Any) -> None:
        """What a client would be shown of a refund of ours as its provider has it."""
        refund = self._refund(given.refund) if given.refund is not None else None
        wrong = misshown(refund, shown) if refund is not None else None
        if refund is not None and wrong is not None:
            raise Violation(f"the client of {self._r(refund.id)} is shown {wrong}")

    def check_rest(self, books: Iterable[tuple[Payment, Books]]) -> None:
        """Every promise that can be told only at the end."""
        for id, merchant in self.acknowledged.items():
            if (merchant, id) not in self._rows.refunds:
                raise Violation(f"{self._r(id)} was acknowledged and is lost")
        for payment, its in books:
            for refund in self._refunds_of(payment):
                self._compare(refund)
            self._compare_payment(payment, its)

    def _compare(self, refund: Refund) -> None:
        """What a refund's end says against what its provider did."""
        now, entry = self._clock.business, self._executed.get(refund.id)
        truth = "nothing" if entry is None else entry.status(now)
        says = {State.SUCCEEDED: "succeeded", State.RETURNED: "returned"}.get(refund.state, "nothing")
        if truth == says or (truth == "returned" and says == "succeeded" and refund.id in self._vouched_for):
            return
        raise Violation(f"{self._r(refund.id)} is {refund.state.value}; at its provider: {truth}")

    def _compare_payment(self, payment: Payment, books: Books) -> None:
        """What a payment has given back against what was paid; a person's word tells no amount."""
        now, refunds = self._clock.business, self._refunds_of(payment)
        if any(each.id in self._vouched_for for each in refunds):
            return
        if any(each.amount < each.asked for each in books.executed):
            return
        ours, paid = payment.refunded + payment.external, books.paid(now)
        if ours != paid:
            raise Violation(f"{self._p(payment.id)} has given back {ours}; its provider paid {paid}")

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


def _gone(payment: Payment) -> int:
    return payment.refunded + payment.external + payment.clawed_back


def _left(payment: Payment) -> int:
    """What its provider must show as its remainder if it has seen all that we have, and nothing else."""
    return max(0, payment.captured - _gone(payment))


def _room(payment: Payment) -> int:
    """What refunds of ours may come to at most."""
    return payment.captured - payment.disputed - payment.clawed_back - payment.external


def _word(refund: Refund | None) -> str:
    return "not there" if refund is None else refund.state.value
