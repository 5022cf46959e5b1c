"""Reads beside the engine's port: look-ups by a dialect's ids, lists, and what hangs on a payment or refund.

PostgreSQL's alone. Every one is scoped by merchant: what belongs to another does not exist here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
from moneyback.store.deliveries import Delivered, Deliveries, list_deliveries, read_delivery, replay_delivery
from moneyback.store.documents import Documents
from moneyback.store.endpoints import Endpoints
from moneyback.store.migrate import sequence_name
from moneyback.store.milestones import STEP, Measured, Milestones
from moneyback.store.news import News
from moneyback.store.postgres import PostgresStore
from moneyback.store.statements import Statements, Where
from moneyback.vault import Vault

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
    """Which payments, in which order. None asks for any; both ends of a span belong to it.

    `match`: documents that the payment's own contains, one of them at least; `unlike`: none of which it
    contains. `amount`: what was authorised, or else
    came in, in minor units; with `amount_in`, what is in another currency is let through.
    """

    dialect: str | None = None
    rail: str | None = None
    order: str | None = None
    reference: str | None = None
    kind: PaymentKind | None = None
    condition: Condition | None = None
    method: str | None = None
    match: tuple[Mapping[str, Any], ...] = ()
    unlike: tuple[Mapping[str, Any], ...] = ()
    amount_from: int | None = None
    amount_to: int | None = None
    amount_in: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    ascending: bool = False
    after: Place | None = None
    offset: int = 0
    limit: int = 25


class RefundsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which refunds, in which order. None asks for any; both ends of a span belong to it.

    `match`: documents that the payment's own contains, one of them at least; `unlike`: none of which it
    contains. `amount`: what the payer gets, in minor
    units; with `amount_in`, what is in another currency is let through.
    """

    dialect: str | None = None
    rail: str | None = None
    payment: UUID | None = None
    order: str | None = None
    group: UUID | None = None
    provider_id: str | None = None
    states: frozenset[State] = frozenset()
    match: tuple[Mapping[str, Any], ...] = ()
    unlike: tuple[Mapping[str, Any], ...] = ()
    amount_from: int | None = None
    amount_to: int | None = None
    amount_in: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    updated_from: datetime | None = None
    updated_to: datetime | None = None
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


_LISTS: Final = {"payments": "list_payments", "refunds": "list_refunds"}
_MATCHING: Final = {"payments": "list_payments_matching", "refunds": "list_refunds_matching"}
_COUNTS: Final = {"payments": "count_payments", "refunds": "count_refunds"}


class Numbered(msgspec.Struct, frozen=True):
    """A ledger movement and its number, which is its place in the list."""

    number: int
    movement: Movement


class Reads:
    """Everything a surface reads of a merchant's, and its dialects' documents and callers."""

    def __init__(self, store: PostgresStore, draw_secret: Callable[[int], str] = new_secret) -> None:
        self._statements = Statements(store)
        self._milestones = Milestones(self._statements)
        self.documents = Documents(self._statements)
        self.news = News(store)
        self.callers = Callers(self._statements, draw_secret)

    def deliveries_with(self, vault: Vault) -> Deliveries:
        """What clients' own programs are to be told."""
        return Deliveries(self._statements, vault)

    def endpoints_with(self, vault: Vault) -> Endpoints:
        """Where they are told of events in the native form."""
        return Endpoints(self._statements, vault)

    # --- payments ----------------------------------------------------------------------------------------------------

    async def find_payment(self, merchant: UUID, dialect: str, dialect_id: str) -> Payment | None:
        """The payment with this dialect id."""
        return await self._one("find_payment", Payment, merchant, dialect, dialect_id)

    async def payment_of(self, merchant: UUID, payment: UUID) -> Payment | None:
        """The payment with this internal id."""
        return await self._one("read_payment", Payment, merchant, payment)

    async def list_payments(self, merchant: UUID, asked: PaymentsAsked) -> Page[Payment]:
        """A page of payments by age. Deep pages cost what the first does when asked for by `after`, or by an offset
        in a list that has milestones."""
        return await self._page("payments", Payment, merchant, asked)

    async def count_payments(self, merchant: UUID, asked: PaymentsAsked) -> int:
        """How many payments all pages of a list have."""
        return await self._count("payments", merchant, asked)

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
        """A page of refunds by age. Deep pages cost what the first does when asked for by `after`, or by an offset
        in a list that has milestones."""
        return await self._page("refunds", Refund, merchant, asked)

    async def count_refunds(self, merchant: UUID, asked: RefundsAsked) -> int:
        """How many refunds all pages of a list have."""
        return await self._count("refunds", merchant, asked)

    async def refunds_for_people(self, merchant: UUID, limit: int = 100) -> tuple[Refund, ...]:
        """Refunds that somebody must answer for, longest waiting first."""
        return await self._all("refunds_for_people", Refund, merchant, limit)

    async def releases_for_people(self, merchant: UUID, limit: int = 100) -> tuple[Payment, ...]:
        """Payments with a release that somebody must answer for, longest waiting first."""
        return await self._all("releases_for_people", Payment, merchant, limit)

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
        statement = where.fill(self._statements.text("list_movements"), limit=_bounded(limit))
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

    # --- telling -----------------------------------------------------------------------------------------------------

    async def payments_by_id(self, merchant: UUID, ids: Iterable[UUID]) -> dict[UUID, Payment]:
        """The payments with these internal ids, as they stand now."""
        return {each.id: each for each in await self._all("read_payments_by_id", Payment, merchant, list(ids))}

    async def refunds_by_id(self, merchant: UUID, ids: Iterable[UUID]) -> dict[UUID, Refund]:
        """The refunds with these internal ids, as they stand now."""
        return {each.id: each for each in await self._all("read_refunds_by_id", Refund, merchant, list(ids))}

    async def deliveries(self, merchant: UUID, *, undelivered: bool = False, limit: int = 100) -> tuple[Delivered, ...]:
        """What clients' own hooks were told, newest first."""
        return await list_deliveries(self._statements, merchant, undelivered=undelivered, limit=_bounded(limit))

    async def delivery(self, merchant: UUID, id: UUID) -> Delivered | None:
        """One of them."""
        return await read_delivery(self._statements, merchant, id)

    async def replay_delivery(self, merchant: UUID, id: UUID) -> Delivered | None:
        """Tell it again; None where there is none, or where what it said is kept no longer."""
        return await replay_delivery(self._statements, merchant, id)

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

    async def _count(self, table: str, merchant: UUID, asked: PaymentsAsked | RefundsAsked) -> int:
        measured = _measured(merchant, asked)
        if measured is not None:
            return (await self._milestones.ranks(measured, asked.created_from, asked.created_to)).total
        where = Where(merchant)
        _choose(where, asked)
        where.between("created_at", asked.created_from, asked.created_to)
        row = await self._statements.one(where.fill(self._statements.text(_COUNTS[table])), *where.values)
        return int(row["total"])

    async def _page(
        self, table: str, kind: type[Aged], merchant: UUID, asked: PaymentsAsked | RefundsAsked
    ) -> Page[Aged]:
        where = Where(merchant)
        _choose(where, asked)
        where.between("created_at", asked.created_from, asked.created_to)
        sign, way = (">", "asc") if asked.ascending else ("<", "desc")
        if asked.after is not None:
            where.add(f"(created_at, id) {sign} ({{}}, {{}})", asked.after.at, asked.after.id)
        skipped = await self._begin(where, merchant, asked)
        if skipped is None:
            return Page(())
        limit = _bounded(asked.limit)
        blanks = {"order": f"created_at {way}, id {way}", "limit": limit + 1, "offset": skipped}
        statement = where.fill(self._statements.text((_MATCHING if asked.match else _LISTS)[table]), **blanks)
        found = [_value(kind, row) for row in await self._statements.all(statement, *where.values)]
        shown = tuple(found[:limit])
        more = len(found) > limit and shown
        return Page(shown, Place(shown[-1].created_at, shown[-1].id) if more else None)

    async def _begin(self, where: Where, merchant: UUID, asked: PaymentsAsked | RefundsAsked) -> int | None:
        """How many rows are skipped before the page; None beyond the end. Far within, it begins at a milestone."""
        offset = max(0, min(asked.offset, OFFSET_MAX))
        measured = _measured(merchant, asked) if offset >= STEP and asked.after is None else None
        if measured is None:
            return offset
        begin, end, ascending = asked.created_from, asked.created_to, asked.ascending
        ranks = await self._milestones.ranks(measured, begin, end, offset=offset, ascending=ascending)
        if offset >= ranks.total:
            return None
        if ranks.rank is None or ranks.at is None:
            return offset
        # Beside a span, or where the list has no milestones yet, the milestone may lie outside of the span.
        if ascending and (begin is None or ranks.at >= begin):
            where.add("(created_at, id) > ({}, {})", ranks.at, ranks.id)
            return ranks.low + offset - ranks.rank
        if not ascending and (end is None or ranks.at <= end):
            where.add("(created_at, id) <= ({}, {})", ranks.at, ranks.id)
            return ranks.rank - (ranks.high - offset)
        return offset


def _measured(merchant: UUID, asked: PaymentsAsked | RefundsAsked) -> Measured | None:
    """The list by what never changes of a row, unless more is asked for. Spans of creation are pieces of it."""
    fixed: Mapping[str, Any] = {name: getattr(asked, name, None) for name in ("dialect", "kind", "method")}
    plain = replace(asked, **{name: None for name in fixed if hasattr(asked, name)})
    place = {"created_from": None, "created_to": None, "ascending": False, "after": None, "offset": 0, "limit": 25}
    if replace(plain, amount_in=None, **place) != type(asked)():  # a currency alone asks for nothing
        return None
    table = "payments" if isinstance(asked, PaymentsAsked) else "refunds"
    key = msgspec.json.encode((table, *fixed.values())).decode()
    return Measured(table, merchant, key, lambda where: _choose(where, asked))


def _choose(where: Where, asked: PaymentsAsked | RefundsAsked) -> None:
    """Every condition but the span of creation."""
    if isinstance(asked, PaymentsAsked):
        _choose_payments(where, asked)
    else:
        _choose_refunds(where, asked)


def _choose_payments(where: Where, asked: PaymentsAsked) -> None:
    where.equal("dialect", asked.dialect)
    where.equal("rail", asked.rail)
    where.equal("order_ref", asked.order)
    where.equal("reference", asked.reference)
    where.equal("condition", asked.condition.value if asked.condition else None)
    if asked.condition not in (None, Condition.CAPTURED):
        where.add("condition <> 'captured'")  # names the index in every plan, whatever the value
    where.equal("details ->> 'method'", asked.method)
    if asked.kind is PaymentKind.PAYIN:  # what is at its default is not kept
        where.add("coalesce(details ->> 'kind', {}) = {}", asked.kind.value, asked.kind.value)
    elif asked.kind is not None:
        where.equal("details ->> 'kind'", asked.kind.value)
    _bound(where, "coalesce(nullif(authorized, 0), captured)", asked)
    if asked.match:
        where.add(_MATCHES, _documents(asked.match))
    if asked.unlike:
        where.add(f"coalesce({_MATCHES}, false) is false", _documents(asked.unlike))


def _choose_refunds(where: Where, asked: RefundsAsked) -> None:
    where.equal("dialect", asked.dialect)
    where.equal("rail", asked.rail)
    where.equal("payment_id", asked.payment)
    where.equal("group_id", asked.group)
    where.equal("provider_id", asked.provider_id)
    if asked.states:
        where.add("state = any({})", sorted(each.value for each in asked.states))
    if asked.order is not None:
        where.add("payment_id in (select id from payments where merchant_id = $1 and order_ref = {})", asked.order)
    _bound(where, "payer", asked)
    where.between("updated_at", asked.updated_from, asked.updated_to)
    if asked.match:
        where.add(f"payment_id in ({_MATCHING_PAYMENTS})", _documents(asked.match))
    if asked.unlike:
        where.add(f"payment_id not in ({_MATCHING_PAYMENTS})", _documents(asked.unlike))


def _bound(where: Where, amount: str, asked: PaymentsAsked | RefundsAsked) -> None:
    least, most, currency = asked.amount_from, asked.amount_to, asked.amount_in
    if currency is None:
        where.between(amount, least, most)
        return
    where.add(f"(currency <> {{}} or {amount} >= {{}})", currency, least)
    where.add(f"(currency <> {{}} or {amount} <= {{}})", currency, most)


_MATCHES: Final = "details ? 'document' and details -> 'document' @> any({}::jsonb[])"
_MATCHING_PAYMENTS: Final = f"select id from payments where merchant_id = $1 and {_MATCHES}"


def _documents(match: tuple[Mapping[str, Any], ...]) -> list[str]:
    return [msgspec.json.encode(each).decode() for each in match]


def _bounded(limit: int) -> int:
    return max(0, min(limit, PAGE_MAX))


def _value(kind: type[Value], row: Any) -> Value:
    value: Value = _MAPPERS[kind].value(row)
    return value
