"""Reads beside the engine's port: look-ups by a dialect's ids, lists, and what hangs on a payment or refund.

PostgreSQL's alone. Every one is scoped by merchant: what belongs to another does not exist here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec.structs import replace

from moneyback.core.ledger import Movement
from moneyback.core.payment import Condition, Payment, PaymentKind
from moneyback.core.records import Case, Dispute, External, KeyRow, Order
from moneyback.core.refund import Attempt, Evidence, Refund, State
from moneyback.ids import new_secret
from moneyback.store import rows
from moneyback.store.callers import Callers
from moneyback.store.deliveries import Delivered, list_deliveries
from moneyback.store.documents import Documents
from moneyback.store.migrate import sequence_name
from moneyback.store.news import News
from moneyback.store.postgres import PostgresStore
from moneyback.store.statements import Statements

T = TypeVar("T")
Value = TypeVar("Value", bound=msgspec.Struct)
Aged = TypeVar("Aged", Payment, Refund)

PAGE_MAX: Final = 1000
OFFSET_MAX: Final = 2**62
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Place(msgspec.Struct, frozen=True):
    """A place in a list by age: the row that was read last."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}-{self.id.hex}"

    @classmethod
    def read(cls, text: str) -> Place:
        """The place a text names. Raises ValueError for any other text."""
        since, _, digits = text.partition("-")
        if not (since.isascii() and since.isdigit() and len(since) <= 17 and len(digits) == 32):
            raise ValueError("This is no place in a list.")
        return cls(_EPOCH + timedelta(microseconds=int(since)), UUID(hex=digits))


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some rows of a list, and where the next ones begin; None on the last page."""

    rows: tuple[T, ...]
    next: Place | None = None


class PaymentsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which payments, in which order. None asks for any; both ends of `created` belong to it."""

    dialect: str | None = None
    rail: str | None = None
    order: str | None = None
    reference: str | None = None
    kind: PaymentKind | None = None
    condition: Condition | None = None
    method: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    ascending: bool = False
    after: Place | None = None
    offset: int = 0
    limit: int = 25


class RefundsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which refunds, in which order. None asks for any; both ends of `created` belong to it."""

    dialect: str | None = None
    rail: str | None = None
    payment: UUID | None = None
    order: str | None = None
    group: UUID | None = None
    provider_id: str | None = None
    states: frozenset[State] = frozenset()
    created_from: datetime | None = None
    created_to: datetime | None = None
    ascending: bool = False
    after: Place | None = None
    offset: int = 0
    limit: int = 25


_MAPPERS: Final[Mapping[type[Any], rows.Mapper]] = {
    mapper.kind: mapper
    for mapper in (
        rows.PAYMENT,
        rows.REFUND,
        rows.ORDER,
        rows.KEY,
        rows.ATTEMPT,
        rows.EVIDENCE,
        rows.EXTERNAL,
        rows.DISPUTE,
        rows.CASE,
        rows.MOVEMENT,
    )
}


class Numbered(msgspec.Struct, frozen=True):
    """A ledger movement and its number, which is its place in the list."""

    number: int
    movement: Movement


class Reads:
    """Everything a surface reads of a merchant's, and its dialects' documents and callers."""

    def __init__(self, store: PostgresStore, draw_secret: Callable[[int], str] = new_secret) -> None:
        self._statements = Statements(store)
        self.documents = Documents(self._statements)
        self.news = News(store)
        self.callers = Callers(self._statements, draw_secret)

    # --- payments ----------------------------------------------------------------------------------------------------

    async def find_payment(self, merchant: UUID, dialect: str, dialect_id: str) -> Payment | None:
        """The payment with this dialect id."""
        return await self._one("find_payment", Payment, merchant, dialect, dialect_id)

    async def payment_of(self, merchant: UUID, payment: UUID) -> Payment | None:
        """The payment with this internal id."""
        return await self._one("read_payment", Payment, merchant, payment)

    async def list_payments(self, merchant: UUID, asked: PaymentsAsked) -> Page[Payment]:
        """A page of payments by age. Deep pages cost what the first does when asked for by `after`."""
        return await self._page("list_payments", Payment, _payments_where(merchant, asked), asked)

    async def count_payments(self, merchant: UUID, asked: PaymentsAsked) -> int:
        """How many payments all pages of a list have."""
        return await self._count("count_payments", _payments_where(merchant, asked), asked)

    async def order(self, merchant: UUID, dialect: str, reference: str) -> Order | None:
        """An order by its reference."""
        found = await self._one("find_order", Order, merchant, dialect, reference)
        return found and replace(found, payments=tuple(found.payments))

    async def payments_of_order(self, merchant: UUID, dialect: str, reference: str) -> tuple[Payment, ...]:
        """The payments of an order, in the order in which they came in."""
        return await self._all("payments_of_order", Payment, merchant, dialect, reference)

    # --- refunds -----------------------------------------------------------------------------------------------------

    async def find_refund(self, merchant: UUID, dialect: str, dialect_id: str) -> Refund | None:
        """The refund with this dialect id, or else with this provider id."""
        found = await self._one("find_refund", Refund, merchant, dialect, dialect_id)
        return found or await self._one("find_refund_alias", Refund, merchant, dialect, dialect_id)

    async def refund_of(self, merchant: UUID, refund: UUID) -> Refund | None:
        """The refund with this internal id."""
        return await self._one("read_refund", Refund, merchant, refund)

    async def refunds_of(self, merchant: UUID, payment: UUID) -> tuple[Refund, ...]:
        """All refunds of a payment, oldest first."""
        return await self._all("refunds_of", Refund, merchant, payment)

    async def refunds_of_group(self, merchant: UUID, group: UUID) -> tuple[Refund, ...]:
        """The legs of an order refund."""
        return await self._all("refunds_of_group", Refund, merchant, group)

    async def list_refunds(self, merchant: UUID, asked: RefundsAsked) -> Page[Refund]:
        """A page of refunds by age. Deep pages cost what the first does when asked for by `after`."""
        return await self._page("list_refunds", Refund, _refunds_where(merchant, asked), asked)

    async def count_refunds(self, merchant: UUID, asked: RefundsAsked) -> int:
        """How many refunds all pages of a list have."""
        return await self._count("count_refunds", _refunds_where(merchant, asked), asked)

    async def refunds_for_people(self, merchant: UUID, limit: int = 100) -> tuple[Refund, ...]:
        """Refunds that somebody must answer for, longest waiting first."""
        return await self._all("refunds_for_people", Refund, merchant, limit)

    # --- what hangs on them ------------------------------------------------------------------------------------------

    async def attempts_of(self, merchant: UUID, refund: UUID) -> tuple[Attempt, ...]:
        """Every attempt of a refund, oldest first."""
        return await self._all("attempts_of", Attempt, merchant, refund)

    async def evidence_of_refund(self, merchant: UUID, refund: UUID, limit: int = 200) -> tuple[Evidence, ...]:
        """What was seen of a refund, oldest first."""
        return await self._all("evidence_of_refund", Evidence, merchant, refund, limit)

    async def evidence_of_payment(self, merchant: UUID, payment: UUID, limit: int = 200) -> tuple[Evidence, ...]:
        """What was seen of a payment and of its refunds, oldest first."""
        return await self._all("evidence_of_payment", Evidence, merchant, payment, limit)

    async def externals_of(self, merchant: UUID, payment: UUID) -> tuple[External, ...]:
        """The refunds of a payment that were made elsewhere."""
        return await self._all("externals_of", External, merchant, payment)

    async def disputes_of(self, merchant: UUID, payment: UUID) -> tuple[Dispute, ...]:
        """The disputes of a payment."""
        return await self._all("disputes_of", Dispute, merchant, payment)

    async def cases_of(self, merchant: UUID, payment: UUID) -> tuple[Case, ...]:
        """The cases of a payment, closed ones too."""
        return await self._all("cases_of", Case, merchant, payment)

    async def open_cases(self, merchant: UUID, limit: int = 100) -> tuple[Case, ...]:
        """The cases nobody has closed yet, oldest first."""
        return await self._all("open_cases", Case, merchant, limit)

    async def list_movements(
        self,
        merchant: UUID,
        *,
        payment: UUID | None = None,
        refund: UUID | None = None,
        after: int = 0,
        limit: int = 25,
    ) -> tuple[Numbered, ...]:
        """Ledger movements numbered above `after`, in the order of their numbers.

        A transaction that began earlier may still add lower numbers: whoever must miss nothing follows the events.
        """
        where = Where(merchant)
        where.equal("payment_id", payment)
        if refund is not None:
            # Movements are found by their payment: an index by refund would be written with every refund.
            where.add("payment_id = (select payment_id from refunds where merchant_id = $1 and id = {})", refund)
            where.equal("refund_id", refund)
        where.add("id > {}", after)
        statement = where.fill(self._statements.text("list_movements"), _bounded(limit))
        found = await self._statements.all(statement, *where.values)
        return tuple(Numbered(row["number"], _value(Movement, row)) for row in found)

    async def movements_of_account(
        self, merchant: UUID, account: str, currency: str, *, ascending: bool = False, offset: int = 0, limit: int = 25
    ) -> tuple[Movement, ...]:
        """A page of the movements of an account with a limit, by their numbers."""
        statement = self._statements.text("movements_of_account").replace("{direction}", "asc" if ascending else "desc")
        place = (min(max(0, offset), OFFSET_MAX), _bounded(limit))
        found = await self._statements.all(statement, merchant, account, currency, *place)
        return tuple(_value(Movement, row) for row in found)

    async def balance(self, merchant: UUID, account: str, currency: str) -> int:
        """What stands on an account with a limit; 0 when nothing ever moved on it."""
        row = await self._statements.one(self._statements.text("read_balance"), merchant, account, currency)
        return 0 if row is None else int(row["balance"])

    async def deliveries(self, merchant: UUID, *, undelivered: bool = False, limit: int = 100) -> tuple[Delivered, ...]:
        """What clients' own hooks were told, newest first."""
        return await list_deliveries(self._statements, merchant, undelivered=undelivered, limit=_bounded(limit))

    # --- a dialect's numbers and keys --------------------------------------------------------------------------------

    async def next_number(self, dialect: str) -> int:
        """The next number of a dialect's sequence."""
        row = await self._statements.one(self._statements.text("draw_numbers"), sequence_name(dialect), 1)
        number: int = row["number"]
        return number

    async def take_key(
        self, merchant: UUID, dialect: str, key: str, status: int, answer: bytes, fingerprint: bytes = b""
    ) -> KeyRow | None:
        """Use an idempotency key up with an answer that admitted nothing: None, or the row that was there before."""
        place = (merchant, dialect, key)
        while True:
            taken = await self._statements.one(self._statements.text("take_key"), *place, fingerprint, status, answer)
            if taken is not None:
                return None
            known = await self._one("read_key", KeyRow, *place)
            if known is not None:
                return known  # else it was given back in between: it is free again

    # --- how a statement is run --------------------------------------------------------------------------------------

    async def _one(self, name: str, kind: type[Value], *arguments: object) -> Value | None:
        row = await self._statements.one(self._statements.text(name), *arguments)
        return None if row is None else _value(kind, row)

    async def _all(self, name: str, kind: type[Value], *arguments: object) -> tuple[Value, ...]:
        return tuple(_value(kind, row) for row in await self._statements.all(self._statements.text(name), *arguments))

    async def _count(self, name: str, where: Where, asked: PaymentsAsked | RefundsAsked) -> int:
        where.between(asked.created_from, asked.created_to)
        row = await self._statements.one(where.fill(self._statements.text(name), 1), *where.values)
        return int(row["total"])

    async def _page(self, name: str, kind: type[Aged], where: Where, asked: PaymentsAsked | RefundsAsked) -> Page[Aged]:
        where.between(asked.created_from, asked.created_to)
        if asked.after is not None:
            sign = ">" if asked.ascending else "<"
            where.add(f"(created_at, id) {sign} ({{}}, {{}})", asked.after.at, asked.after.id)
        limit = _bounded(asked.limit)
        skipped = max(0, min(asked.offset, OFFSET_MAX))
        statement = where.fill(self._statements.text(name), limit + 1, asked.ascending, skipped)
        found = [_value(kind, row) for row in await self._statements.all(statement, *where.values)]
        shown = tuple(found[:limit])
        more = len(found) > limit and shown
        return Page(shown, Place(shown[-1].created_at, shown[-1].id) if more else None)


class Where:
    """The conditions of one list. Only those asked for are in the statement, so that its plan can use their index."""

    def __init__(self, merchant: UUID) -> None:
        self.values: list[Any] = [merchant]
        self._conditions = ["merchant_id = $1"]

    def equal(self, column: str, value: Any) -> None:
        """`column` has this value; None asks for any."""
        self.add(f"{column} = {{}}", value)

    def between(self, begin: datetime | None, end: datetime | None) -> None:
        """Created no earlier and no later."""
        self.add("created_at >= {}", begin)
        self.add("created_at <= {}", end)

    def add(self, condition: str, *values: Any) -> None:
        """A condition with a `{}` for each of its values; one that is None asks for nothing."""
        if None in values:
            return
        places = [f"${len(self.values) + number}" for number in range(1, len(values) + 1)]
        self._conditions.append(condition.format(*places))
        self.values += values

    def fill(self, statement: str, limit: int, ascending: bool = False, offset: int = 0) -> str:
        """The statement with the conditions, the order by age, and the place and length of a page."""
        way = "asc" if ascending else "desc"
        order = f"created_at {way}, id {way}"
        filled = {"filters": " and ".join(self._conditions), "order": order, "limit": limit, "offset": offset}
        return statement.format(**filled)


def _payments_where(merchant: UUID, asked: PaymentsAsked) -> Where:
    where = Where(merchant)
    where.equal("dialect", asked.dialect)
    where.equal("rail", asked.rail)
    where.equal("order_ref", asked.order)
    where.equal("reference", asked.reference)
    where.equal("condition", asked.condition.value if asked.condition else None)
    where.equal("details ->> 'method'", asked.method)
    if asked.kind is not None:  # what is at its default is not kept
        where.add(f"coalesce(details ->> 'kind', '{PaymentKind.PAYIN.value}') = {{}}", asked.kind.value)
    return where


def _refunds_where(merchant: UUID, asked: RefundsAsked) -> Where:
    where = Where(merchant)
    where.equal("dialect", asked.dialect)
    where.equal("rail", asked.rail)
    where.equal("payment_id", asked.payment)
    where.equal("group_id", asked.group)
    where.equal("provider_id", asked.provider_id)
    if asked.states:
        where.add("state = any({})", sorted(each.value for each in asked.states))
    if asked.order is not None:
        where.add("payment_id in (select id from payments where merchant_id = $1 and order_ref = {})", asked.order)
    return where


def _bounded(limit: int) -> int:
    return max(0, min(limit, PAGE_MAX))


def _value(kind: type[Value], row: Any) -> Value:
    value: Value = _MAPPERS[kind].value(row)
    return value
