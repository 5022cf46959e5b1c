"""Import: payments a provider knows and we do not, with what was refunded of them before. Repeated, it changes nothing.

Earlier refunds come in as external. Where the provider's remainder and ours differ afterwards, nothing is sent for that
payment until a later import finds them equal.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from moneyback.core.commands import ObservePayment, Sighting, Standing
from moneyback.core.money import BadAmount, Currency, UnknownCurrency, currency, minor_from_decimal
from moneyback.core.payment import Payment
from moneyback.dialect import AddPayment, AnswerLost, Fetched, NotConnected, SeenRefund
from moneyback.flows.add_payment import add_payment, learn_amount, see
from moneyback.flows.adopt import adopt
from moneyback.flows.drift import listed_since
from moneyback.flows.measure_refunds import measured_first, measured_refunds
from moneyback.flows.reconcile import moment
from moneyback.flows.send_refund import READ_PATIENCE_S, drive
from moneyback.flows.world import Rail, World
from moneyback.store.news import News

NEEDED: Final = ("reference", "amount", "currency")
COLUMNS: Final = (
    *NEEDED,
    *("dialect_id", "status", "captured_at", "method", "order", "fees", "refunded", "refunds", "left"),
)
Outcome = Literal["created", "known", "gap", "would_create", "refused", "invalid", "missing", "unanswered"]
DONE: Final = frozenset({"created", "known", "would_create"})


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one row. `gap`: registered, and nothing is sent until its remainder is explained."""

    row: int
    reference: str
    outcome: Outcome
    payment: UUID | None = None
    why: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a file: the payment it describes, or why it describes none."""

    number: int
    reference: str
    fetched: Fetched | None = None
    why: str = ""


async def import_rows(
    world: World, news: News, merchant: UUID, rail: Rail, dialect: str, rows: Iterable[Row], *, dry: bool = False
) -> AsyncIterator[Imported]:
    """Import the rows of a file, one after the other. Raises StoreUnavailable between two rows."""
    for row in rows:
        if row.fetched is None:
            yield Imported(row=row.number, reference=row.reference, outcome="invalid", why=row.why)
        else:
            yield await import_one(world, news, merchant, rail, dialect, row.number, row.fetched, dry=dry)


async def import_ids(
    world: World, news: News, merchant: UUID, rail: Rail, dialect: str, ids: Iterable[str], *, dry: bool = False
) -> AsyncIterator[Imported]:
    """Fetch payments from the provider by its ids, and import them. One that does not answer stops no other."""
    assert rail.client.fetch is not None and rail.reading is not None, "its payments can be fetched"
    for number, reference in enumerate(ids, start=1):
        deadline = asyncio.get_running_loop().time() + READ_PATIENCE_S
        try:
            fetched = await drive(rail.client.fetch(reference), rail.reading, deadline)
        except (NotConnected, AnswerLost) as error:
            yield Imported(row=number, reference=reference, outcome="unanswered", why=str(error))
            continue
        if fetched is None:
            why = "the provider has no such payment"
            yield Imported(row=number, reference=reference, outcome="missing", why=why)
        else:
            yield await import_one(world, news, merchant, rail, dialect, number, fetched, dry=dry)


async def payments_refunded_since(rail: Rail, since: datetime) -> tuple[str, ...]:
    """The provider's ids of all payments that its list of refunds names. Raises NotConnected, AnswerLost."""
    return tuple(dict.fromkeys([seen.payment async for seen in listed_since(rail, since)]))


async def import_one(
    world: World, news: News, merchant: UUID, rail: Rail, dialect: str, number: int, fetched: Fetched, *, dry: bool
) -> Imported:
    """Register one payment with its earlier refunds, or bring the one that is known up to date."""
    known = await news.payment_there(merchant, rail.account, fetched.reference)
    if dry:
        outcome: Outcome = "would_create" if known is None else "known"
        return Imported(row=number, reference=fetched.reference, outcome=outcome, payment=known.id if known else None)
    if known is not None:
        return _told(number, await _catch_up(world, news, rail, known, fetched), "known")
    try:
        result = await add_payment(
            world,
            merchant,
            dialect,
            rail.name,
            fetched.payment,
            reference=fetched.reference,
            captured_at=fetched.captured_at,
            earlier=measured_first(fetched),
            left=fetched.left,
            sightings=fetched.sightings,
        )
    except ValueError as error:
        return Imported(row=number, reference=fetched.reference, outcome="invalid", why=str(error))
    if not isinstance(result, Standing):
        return Imported(row=number, reference=fetched.reference, outcome="refused", why=str(result))
    return _told(number, result.payment, "created" if result.created else "known")


async def _catch_up(world: World, news: News, rail: Rail, known: Payment, fetched: Fetched) -> Payment:
    """Refunds and returns that were made since, and whether what remains is explained now."""
    known = await learn_amount(world, known, fetched.payment, source="import")
    known = await see(world, known, fetched.sightings, source="import")
    for seen in await measured_refunds(world, known, fetched):
        await adopt(world, news, known.merchant, rail, seen, source="import")
    if fetched.left is not None:
        remainder = Sighting(kind="remainder", amount=fetched.left, reference=fetched.reference)
        await world.store.submit(
            ObservePayment(
                merchant=known.merchant,
                payment=known.id,
                evidence=world.new_id(),
                sighting=remainder,
                source="import",
            )
        )
    return await world.store.payment(known.merchant, known.id) or known


def _told(number: int, payment: Payment, outcome: Outcome) -> Imported:
    if payment.rail_gap is not None:
        why = f"the provider's remainder is {payment.rail_gap:+d} minor units from ours"
        return Imported(row=number, reference=payment.reference, outcome="gap", payment=payment.id, why=why)
    return Imported(row=number, reference=payment.reference, outcome=outcome, payment=payment.id)


# --- files -----------------------------------------------------------------------------------------------------------


def read_payments(text: str) -> tuple[Row, ...]:
    """Payments as CSV with the columns above; amounts are decimal, in major units. A row that is wrong says why.

    Raises ValueError when the heading is not one.
    """
    table = csv.DictReader(text.lstrip("\ufeff").splitlines())
    header = [(each or "").strip().lower() for each in table.fieldnames or ()]
    if missing := [name for name in NEEDED if name not in header]:
        raise ValueError(f"the first line must name the columns; missing: {', '.join(missing)}")
    if unknown := sorted(set(header) - set(COLUMNS)):
        raise ValueError(f"no such column: {', '.join(unknown)}. There are: {', '.join(COLUMNS)}")
    table.fieldnames = header
    return tuple(_row(table.line_num, cells) for cells in table)


def _row(number: int, cells: Mapping[str | None, str | list[str] | None]) -> Row:
    said = {str(name): value.strip() for name, value in cells.items() if isinstance(value, str)}
    reference = said.get("reference", "")
    try:
        if None in cells:
            raise ValueError("it has more cells than the first line")
        if not reference:
            raise ValueError("there is no reference")
        return Row(number=number, reference=reference, fetched=_fetched(reference, said))
    except ValueError as error:
        return Row(number=number, reference=reference, why=str(error))


def _fetched(reference: str, said: Mapping[str, str]) -> Fetched:
    """Raises ValueError with a sentence."""
    known = currency(said["currency"].upper())
    amount = _amount(said, "amount", known)
    fees = _amount(said, "fees", known) if said.get("fees") else 0
    status = said.get("status") or "captured"
    if status not in ("captured", "authorized", "processing", "failed"):
        raise ValueError(f"no such status: {status}")
    if amount <= 0 or not 0 <= fees < amount:
        raise ValueError("the amount must be positive, and fees less than it and not negative")
    return Fetched(
        payment=AddPayment(
            amount=amount,
            currency=known.code,
            status=status,
            method=said.get("method") or None,
            order=said.get("order") or None,
            fees=fees,
            dialect_id=said.get("dialect_id") or reference,
        ),
        reference=reference,
        captured_at=moment(said["captured_at"]) if said.get("captured_at") else None,
        refunds=tuple(_earlier(reference, said, known)),
        left=_amount(said, "left", known) if said.get("left") else None,
    )


def _earlier(reference: str, said: Mapping[str, str], known: Currency) -> Iterable[SeenRefund]:
    """`refunds` is `id=amount` pairs with spaces between; `refunded` a sum whose parts nobody remembers."""
    if said.get("refunds") and said.get("refunded"):
        raise ValueError("either refunds or refunded, not both")
    pairs = [each.rpartition("=") for each in said.get("refunds", "").split()]
    if said.get("refunded"):
        pairs = [(f"{reference}:before", "=", said["refunded"])]
    for id, sign, written in pairs:
        amount = _amount({"refunds": written}, "refunds", known) if id and sign else -1
        if amount < 0:
            raise ValueError("refunds are written as id=amount, with spaces between")
        if amount:
            yield SeenRefund(provider_id=id, payment=reference, amount=amount, currency=known.code)


def _amount(said: Mapping[str, str], name: str, known: Currency) -> int:
    try:
        return minor_from_decimal(said[name], known)
    except (BadAmount, UnknownCurrency) as error:
        raise ValueError(f"{name}: {error}") from error
