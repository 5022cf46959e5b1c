"""Random histories of one payment, as the event log would hold them, for whoever tells of them.

What can happen to a payment and its refunds happens to it in any order, through the real core; every line that the core
writes is told late or at once, with the payment as it stands by then, and again where a process died before it could
say that it had told it.
"""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid5

import pytest

from moneyback.core.commands import ArmRelease, LetGo, Nudge, Observation, Observe, ObserveRelease
from moneyback.core.payment import Asked, Condition, Payment
from moneyback.core.plan import Facts, Plan
from moneyback.core.plan import apply as real_apply
from moneyback.core.records import EventRow
from moneyback.core.refund import Event
from moneyback.dialect import AskRefund, Delivery, Happened
from tests.dialects import driver
from tests.dialects.driver import MERCHANT, Place, Table

SIGHTINGS = (
    *("captured", "external", "external_undone", "claw_back", "dispute_open", "dispute_won", "dispute_lost"),
    *("canceled", "failed", "noted"),
)
NUDGES = (Event.APPROVED, Event.REJECTED, Event.WITHDRAWN, Event.ACTION_SUPPLIED)
OBSERVED = (
    *(Event.ACCEPTED, Event.ACTION_NEEDED, Event.EXECUTED, Event.REFUSED, Event.PROVIDER_CANCELED, Event.LOST),
    *(Event.SEND_FAILED, Event.NOT_TAKEN, Event.CAME_BACK),
)
OF_A_RELEASE = (Event.ACCEPTED, Event.LOST, Event.REFUSED, Event.EXECUTED)
WORDS = (None, "R01", "insufficient_funds", "\u2028 no%41 &=+", "x" * 300)
Told = Callable[[Happened, tuple[Delivery, ...]], None]


class History:
    """One payment, what happens to it, and what is told of that."""

    def __init__(self, table: Table, seed: int, heard: Told) -> None:
        self.table = table
        self.random = Random(seed)
        self.log: list[EventRow] = []
        """What has not been told."""
        self._heard = heard

    def record(self, patch: pytest.MonkeyPatch) -> None:
        """Keep every event that the core writes from here on."""

        def apply(plan: Plan, facts: Facts) -> None:
            real_apply(plan, facts)
            self.log += plan.events

        patch.setattr(driver, "apply", apply)

    def live(self, payment: Payment, steps: int) -> None:
        """So many things happen to the payment, and are told now and then."""
        for _ in range(steps):
            self.table.now += self.random.choice((timedelta(0), timedelta(seconds=5)))
            self.random.choice((self._seen, self._asked, self._moved, self._moved, self._released))(payment)
            if self.random.random() < 0.4:
                self.tell()
        self.tell()

    def tell(self) -> None:
        """All that is new, a second time where the first was lost."""
        lost, lines = self.random.random() < 0.3, [self.happened(each) for each in self.log]
        self.log.clear()
        first = [self._told(each) for each in lines]
        if lost:
            assert [self._told(each) for each in lines] == first
        for happened, deliveries in zip(lines, first, strict=True):
            assert len({each.hook for each in deliveries}) == len(deliveries)
            self._heard(happened, deliveries)

    def happened(self, line: EventRow) -> Happened:
        """A line of the log with its payment and refund as they stand by now."""
        facts = self.table.facts
        return Happened(
            id=uuid5(line.object, f"{line.sequence}:{line.type}:{line.at.isoformat()}"),
            type=line.type,
            at=line.at,
            sequence=line.sequence,
            data=line.data,
            payment=facts.payments[line.payment],
            refund=facts.refunds.get(line.object),
        )

    def _told(self, happened: Happened) -> tuple[Delivery, ...]:
        tell = self.table.dialect.tell
        assert tell is not None
        self.table.acting = MERCHANT
        return self.table.through(tell(happened, self.table.caller))

    # --- what happens ---

    def _amount(self, payment: Payment) -> int:
        whole = max(payment.captured, payment.authorized, 1)
        return self.random.choice((0, 1, whole, whole // 2, self.random.randint(1, whole), whole + 1))

    def _seen(self, payment: Payment) -> None:
        now = self.table.payment(payment)
        reference = str(self.random.randint(1, 2))
        self.table.see(now, self.random.choice(SIGHTINGS), self._amount(now), reference)

    def _asked(self, payment: Payment) -> None:
        """A refund, of this dialect or made natively, of an amount or of all that is left."""
        amount = self.random.choice((None, self._amount(self.table.payment(payment))))
        self.table.answer(
            AskRefund(payment=self.table.payment(payment), asked=Asked(payer=amount), distinct=self._id().hex)
        )
        if self.table.refunds and self.random.random() < 0.5:
            made = self.table.refunds[-1]
            self.table.write(made, dialect="native", dialect_id=made.id.hex)

    def _moved(self, payment: Payment) -> None:
        if not self.table.refunds:
            return self._asked(payment)
        refund = self.random.choice(self.table.refunds)
        place = Place(merchant=MERCHANT, refund=refund.id, payment=refund.payment, terms=self.table._terms_of)
        if not refund.generation:
            self.table._happen(refund, Event.ARMED, None, None)
        if self.random.random() < 0.2:
            merchant, of = refund.merchant, refund.payment
            event = self.random.choice(NUDGES)
            nudge = Nudge(merchant=merchant, refund=refund.id, payment=of, event=event, evidence=self._id(), by="x")
            self.table._submit(nudge)
        self.table._submit(Observe(**place, observations=(self._observation(refund.payer),)))
        return None

    def _released(self, payment: Payment) -> None:
        """Let go of here, or by a call that takes its time."""
        now, id = self.table.payment(payment), self._id()
        if now.condition is not Condition.AUTHORIZED:
            return self._moved(payment)
        if self.random.random() < 0.3:
            record = {"dialect_id": "7", "state": "succeeded", "at": self.table.now.isoformat()}
            self.table._submit(LetGo(merchant=MERCHANT, payment=now.id, evidence=id, record=record))
            return None
        about: dict[str, Any] = {"merchant": MERCHANT, "payment": now.id, "release": id, "terms": self.table._terms_of}
        self.table._submit(ArmRelease(**about, dialect_id="7", evidence=self._id()))
        for _ in range(self.random.randint(0, 3)):
            seen = self._observation(None, OF_A_RELEASE)
            self.table._submit(ObserveRelease(**about, evidence=self._id(), observations=(seen,)))
            if self.random.random() < 0.2:
                self._seen(payment)
        return None

    def _observation(self, amount: int | None, events: tuple[Event, ...] = OBSERVED) -> Observation:
        id, event = self._id(), self.random.choice(events)
        return Observation(
            id=id,
            event=event,
            digest=id.hex,
            amount=self.random.choice((None, amount)),
            failure="declined" if event is Event.REFUSED else None,
            code=self.random.choice(WORDS),
            message=self.random.choice(WORDS),
        )

    def _id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128))
