"""What all modelled providers share: sales, refunds, how late lists are, and a temper that each seed draws anew.

A model answers in one piece, without any await. It is asked with business time; its own clock may be off by a little,
and what it prints is in its own time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, ClassVar, Final, Literal
from uuid import UUID

import msgspec

from moneyback.dialect import Call, Reply
from moneyback.simulator.books import Books, Given
from moneyback.simulator.peers import Taken

JSON: Final = {"content-type": "application/json"}
ANSWER_S: Final = 30.0
"""How long the product waits for the answer of another company, once a call was written."""
CLOCK_OFF_S_MAX: Final = 20
"""How far a provider's clock may be from ours. Whatever may be under way is under way for that much less."""
NOTHING: Final = timedelta(0)

Doubt = Literal["no", "executed", "not_executed"]


class Temper(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider is in one run: rates between 0 and 1, and habits its documents leave open."""

    pending: float = 0.0  # accepted, and settled later
    fails: float = 0.0  # accepted, and refused later; or refused at once where it is not pending
    bounces: float = 0.0  # of those that are pending: settled and money back in one
    unsure: float = 0.0  # answered by an error that says nothing
    lags: float = 0.0  # missing from lists and counters for a while
    strict: bool = True  # minds its own limits; one that does not shows what we would do to it
    habits: tuple[bool, ...] = ()  # what a model makes of them is its own affair


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came in. Amounts are minor units."""

    reference: str
    captured: int
    fees: int
    currency: str
    at: datetime
    contested_at: datetime | None = None
    decided_at: datetime | None = None
    won: bool = False
    taken_back_at: datetime | None = None

    def contested(self, now: datetime) -> bool:
        """Whether the payer's bank contests it at `now`."""
        return _reached(self.contested_at, now) and not _reached(self.decided_at, now)

    def lost(self, now: datetime) -> bool:
        """Whether it was taken back by then."""
        decided = _reached(self.decided_at, now) and not self.won
        return decided or _reached(self.taken_back_at, now)


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What will become of a refund that is taken."""

    pending: timedelta = NOTHING
    fails: bool = False
    bounces: bool = False
    lag: timedelta = NOTHING
    doubt: Doubt = "no"


class Model:
    """One provider account. A provider's own file says what it reads and what it answers."""

    name: ClassVar[str]
    currencies: ClassVar[tuple[str, ...]]
    shared: ClassVar[bool] = False
    contests: ClassVar[tuple[str, ...]] = ()
    """What befalls its sales: `dispute`, `return`."""
    bounces: ClassVar[bool] = False
    """Whether it has a word for a refund whose money came back."""
    least: ClassVar[int] = 1
    """The smallest refund it makes, minor units."""

    speaks: ClassVar[bool] = False
    """Whether what its own dialect was told of a refund is sent along."""

    answer_s: float | None = ANSWER_S

    def __init__(self, random: Random, temper: Temper, processing: timedelta, list_lag: timedelta) -> None:
        self.random = random
        self.temper = temper
        self.processing = processing - timedelta(seconds=2 * CLOCK_OFF_S_MAX)
        self.off = timedelta(seconds=random.randint(-CLOCK_OFF_S_MAX, CLOCK_OFF_S_MAX))
        self.list_lag = list_lag
        self.sales: dict[str, Sale] = {}
        self.given: dict[str, list[Given]] = {}
        self._drawn = 0
        self.on_change: Callable[[str, datetime], None] = lambda _payment, _at: None
        """Told of what happens to a sale, and when, so that a world can have it notified."""

    # --- what a world does with it ---

    def sell(self, captured: int, fees: int, currency: str, now: datetime) -> str:
        """Take money in; the provider's id of it."""
        reference = self.new_id()
        self.sales[reference] = Sale(reference=reference, captured=captured, fees=fees, currency=currency, at=now)
        self.given[reference] = []
        return reference

    def befall(self, reference: str, what: str, after: timedelta) -> None:
        """Have a sale contested or taken back some time after its capture."""
        sale = self.sales[reference]
        at = sale.at + after
        changes: dict[str, Any] = {"taken_back_at": at}
        if what == "dispute":
            won = self.random.random() < 0.5
            changes = {"contested_at": at, "decided_at": at + after, "won": won}
        self.sales[reference] = msgspec.structs.replace(sale, **changes)
        self.on_change(reference, at)

    def give_elsewhere(self, reference: str, amount: int, now: datetime) -> None:
        """Somebody refunds at the provider itself."""
        self.give(self.sales[reference], amount, now, Course(), None, self.said_elsewhere())

    def said_elsewhere(self) -> Mapping[str, Any]:
        """What such a refund carries."""
        return {}

    async def books(self, payment: str) -> Books:
        """What was truly done with a payment."""
        return Books(tuple(self.given.get(payment, ())))

    def key_in(self, call: Call) -> str | None:
        """Where there is one, it is in a header."""
        return call.headers.get("idempotency-key")

    def shown_reference(self, given: Given) -> Any:
        """What it shows of the reference of a refund, in the form its connector cuts our mark off; None: nothing."""
        return None

    def repeatable(self, call: Call) -> bool:
        """No call is known again, unless a provider says so."""
        return False

    async def take(self, call: Call, refund: UUID | None, now: datetime) -> Taken:
        """Take a call, and do what it says."""
        return Taken(self.answer(call, refund, now))

    def amount_in(self, call: Call) -> tuple[str, int] | None:
        """Of which payment, and how much, a call gives back; None for any other call."""
        raise NotImplementedError

    def answer(self, call: Call, refund: UUID | None, now: datetime) -> Reply:
        """What this provider says to a call."""
        raise NotImplementedError

    def not_now(self) -> tuple[Reply, ...]:
        """The answers by which it turns calls away without taking them."""
        raise NotImplementedError

    def broken(self) -> tuple[Reply, ...]:
        """Errors that say nothing of whether it did what it was asked."""
        raise NotImplementedError

    # --- what providers' own files use ---

    def new_id(self) -> str:
        """The next of its ids: numbers that grow."""
        self._drawn += 1
        return str(1_000_000_000 + self._drawn)

    def course(self) -> Course:
        """What becomes of the next refund."""
        random, temper = self.random, self.temper
        pending = timedelta(seconds=random.choice((5, 40, 400))) if random.random() < temper.pending else NOTHING
        fails = random.random() < temper.fails
        lag = random.uniform(1.0, self.list_lag.total_seconds() - 1) if random.random() < temper.lags else 0.0
        doubt: Doubt = "no"
        if random.random() < temper.unsure:
            doubt = random.choice(("executed", "not_executed"))
        return Course(
            pending=pending,
            fails=fails and doubt == "no",
            bounces=self.bounces and bool(pending) and not fails and random.random() < temper.bounces,
            lag=timedelta(seconds=lag),
            doubt=doubt,
        )

    def give(
        self, sale: Sale, amount: int, now: datetime, course: Course, refund: UUID | None, said: Mapping[str, Any]
    ) -> Given:
        """Write a refund down."""
        settles_at = now + course.pending
        given = Given(
            id=self.new_id(),
            payment=sale.reference,
            refund=refund,
            asked=amount,
            amount=amount,
            received_at=now,
            settles_at=settles_at,
            ends="failed" if course.fails else "succeeded",
            back_at=settles_at if course.bounces else None,
            listed_at=now + course.lag,
            said=said,
        )
        self.given[sale.reference].append(given)
        self.on_change(sale.reference, settles_at)
        return given

    def find(self, number: str) -> Given | None:
        """A refund by its id."""
        return next((each for made in self.given.values() for each in made if each.id == number), None)

    def listed(self, reference: str, now: datetime) -> list[Given]:
        """The refunds of a sale that lists show by now, oldest first."""
        return [each for each in self.given[reference] if each.listed_at <= now]

    def gone(self, reference: str, now: datetime) -> int:
        """What has left a sale or is about to, lists late or not."""
        return sum(each.amount for each in self.given[reference] if each.moves_money(now))

    def room(self, sale: Sale, now: datetime) -> int:
        """What this provider would still give back of a sale."""
        return 0 if sale.lost(now) else sale.captured - self.gone(sale.reference, now)

    def too_much(self, sale: Sale, amount: int, now: datetime) -> bool:
        """Whether it minds an amount."""
        return self.temper.strict and amount > self.room(sale, now)

    def seconds(self, at: datetime) -> int:
        """A time on its own clock, since 1970."""
        return int((at + self.off).timestamp())

    def own_time(self, at: datetime) -> datetime:
        """A time on its own clock."""
        return at + self.off


def reply(status: int, body: Any) -> Reply:
    """An answer in JSON."""
    return Reply(status=status, headers=JSON, body=msgspec.json.encode(body))


def places(currency: str) -> int:
    """The decimal places of the currencies that are simulated (ISO 4217)."""
    return {"JPY": 0, "KWD": 3}.get(currency, 2)


def written(minor: int, currency: str) -> str:
    """An amount in major units, as text."""
    return f"{Decimal(minor).scaleb(-places(currency)):f}"


def minor(text: object, currency: str) -> int:
    """The other way. Raises ValueError for what is no such amount."""
    try:
        scaled = Decimal(str(text)).scaleb(places(currency))
    except ArithmeticError as error:
        raise ValueError(f"not an amount: {text!r}") from error
    if scaled != scaled.to_integral_value():
        raise ValueError(f"too many places: {text!r}")
    return int(scaled)


def _reached(at: datetime | None, now: datetime) -> bool:
    return at is not None and at <= now
