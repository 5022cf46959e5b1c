"""Reconciliation: a provider's list, or a settlement statement, compared with our ledger of that rail, line by line.

Nothing is changed by it. What is in doubt is shown as such, beside what differs.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from moneyback.core.money import BadAmount, UnknownCurrency, currency, minor_from_decimal
from moneyback.core.refund import Refund, State
from moneyback.core.sending import mark_of
from moneyback.dialect import SeenRefund
from moneyback.flows.drift import listed_since
from moneyback.flows.world import Rail, World
from moneyback.store.news import Armed, Elsewhere, News

Status = Literal["pending", "succeeded", "failed", "returned"]
Kind = Literal["missing_here", "missing_there", "other_amount", "other_state", "other_currency", "listed_twice"]

DOUBTFUL: Final = frozenset({State.SENDING, State.UNKNOWN, State.NEEDS_REVIEW})
AGREEING: Final = {
    "pending": frozenset({State.PENDING, State.REQUIRES_ACTION, State.SUCCEEDED}),
    "succeeded": frozenset({State.SUCCEEDED}),
    "failed": frozenset({State.FAILED, State.CANCELED}),
    "returned": frozenset({State.RETURNED}),
}
MARGIN: Final = timedelta(days=1)
"""How far beyond the time in question our refunds are looked for: clocks differ, and so do days."""
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id", "refundid", "providerid", "providerrefundid", "refund", "transactionid", "reference"),
    "amount": ("amount", "refundamount", "value", "total"),
    "amount_minor": ("amountminor", "minor", "amountcents"),
    "currency": ("currency", "currencycode", "ccy"),
    "date": ("date", "createdat", "settledat", "settlementdate", "bookingdate", "timestamp", "at"),
    "payment": ("payment", "paymentid", "originalid", "parentid"),
    "status": ("status", "state"),
}
"""The columns of a statement, and the headings they are recognised by, whatever case and punctuation they have."""
STATUSES: Final[Mapping[str, Status]] = {
    "": "succeeded",
    **dict.fromkeys(("succeeded", "settled", "completed", "confirmed", "success", "refunded", "executed"), "succeeded"),
    **dict.fromkeys(("pending", "created", "processing"), "pending"),
    **dict.fromkeys(("failed", "denied", "declined", "canceled", "cancelled", "voided"), "failed"),
    **dict.fromkeys(("returned", "reversed"), "returned"),
}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One refund as the other side has it. `amount` is minor units of `currency`; `at` is None where it says none."""

    provider_id: str
    amount: int
    currency: str
    status: Status = "succeeded"
    payment: str = ""
    mark: str | None = None
    at: datetime | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One refund about which the two sides do not agree. Amounts are minor units; None where a side has none."""

    kind: Kind
    provider_id: str | None
    currency: str
    theirs: int | None = None
    ours: int | None = None
    refund: UUID | None = None
    payment: str = ""
    note: str = ""


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """A refund of ours whose outcome is not settled here, and what the other side says of it, if anything."""

    refund: UUID
    state: str
    currency: str
    amount: int
    theirs: str | None = None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison came to. Sums by currency: how many agree, and their amount; what is in doubt."""

    rail: str
    since: datetime
    until: datetime
    agreed: Mapping[str, tuple[int, int]]
    differences: tuple[Difference, ...]
    doubts: tuple[Doubt, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing differs. What is in doubt is neither equal nor different yet."""
        return not self.differences

    @property
    def in_doubt(self) -> Mapping[str, tuple[int, int]]:
        """How many are in doubt, and their amount, by currency."""
        return _sums((each.currency, each.amount) for each in self.doubts)


async def reconcile(
    world: World,
    news: News,
    merchant: UUID,
    rail: Rail,
    *,
    since: datetime,
    until: datetime,
    lines: Iterable[Line] | None = None,
) -> Statement:
    """Compare a statement's lines, or without them the provider's list, with our ledger of the rail's account.

    Raises NotConnected, AnswerLost when the list cannot be read to its end, StoreUnavailable.
    """
    theirs = [line_of(each, "") async for each in listed_since(rail, since)] if lines is None else list(lines)
    theirs = [await _with_currency(news, merchant, rail, each) for each in theirs]
    ours = list(await news.refunds_of_account(merchant, rail.account, since - MARGIN))
    known = {each.refund.provider_id for each in ours}
    for line in theirs:  # ended before, or armed before: it is ours all the same
        if line.provider_id not in known:
            refund = await news.refund_there(merchant, rail.account, line.provider_id)
            if refund is not None:
                known.add(refund.provider_id)
                ours.append(Armed(refund, refund.created_at))
    elsewhere = await news.externals_of_account(merchant, rail.account, datetime(1970, 1, 1, tzinfo=UTC))
    return compare(rail.name, theirs, ours, elsewhere, since=since, until=until)


def line_of(seen: SeenRefund, unknown: str) -> Line:
    """A line of a provider's list."""
    return Line(
        provider_id=seen.provider_id,
        amount=seen.amount,
        currency=seen.currency or unknown,
        status=seen.status,
        payment=seen.payment,
        mark=seen.mark,
        at=seen.at,
    )


async def _with_currency(news: News, merchant: UUID, rail: Rail, line: Line) -> Line:
    """Lists that name no currency mean the payment's."""
    if line.currency:
        return line
    payment = await news.payment_there(merchant, rail.account, line.payment)
    return msgspec.structs.replace(line, currency=payment.currency if payment is not None else "?")


def compare(
    rail: str,
    theirs: Iterable[Line],
    ours: Iterable[Armed],
    elsewhere: Iterable[Elsewhere],
    *,
    since: datetime,
    until: datetime,
) -> Statement:
    """Two sides of one account between two times. Lines without a time count; ours count by when they were armed."""
    books = _Books(ours, elsewhere)
    differences: list[Difference] = []
    agreed: list[tuple[str, int]] = []
    told = dict[str, Line]()
    for line in theirs:
        if line.provider_id in told:
            differences.append(_differs("listed_twice", line, note="the statement has it more than once"))
            continue
        told[line.provider_id] = line
        if line.at is not None and not since <= line.at <= until and not books.has(line):
            continue
        found = books.judge(line)
        if isinstance(found, Difference):
            differences.append(found)
        elif found is not None:
            agreed.append(found)
    differences += books.missing_there(since, until)
    return Statement(
        rail=rail,
        since=since,
        until=until,
        agreed=_sums(agreed),
        differences=tuple(differences),
        doubts=tuple(books.doubts()),
    )


class _Books:
    """Our side, with what the other side has spoken of struck off."""

    def __init__(self, ours: Iterable[Armed], elsewhere: Iterable[Elsewhere]) -> None:
        self._ours = sorted(ours, key=lambda each: (each.armed_at, each.refund.id))
        self._named = {each.refund.provider_id: each for each in self._ours if each.refund.provider_id is not None}
        self._marked = {mark: each for each in self._ours for mark in _marks(each.refund)}
        self._elsewhere = {each.provider_id: each for each in elsewhere}
        self._told: dict[UUID, Line] = {}
        self._told_elsewhere: set[str] = set()

    def has(self, line: Line) -> bool:
        """Whether the line is one of ours by its id or mark."""
        return self._find(line) is not None or line.provider_id in self._elsewhere

    def judge(self, line: Line) -> Difference | tuple[str, int] | None:
        """The difference, what agrees, or None for what moved no money or is in doubt here."""
        own = self._find(line) or self._nameless(line)
        if own is not None:
            self._told[own.refund.id] = line
            return _judged(line, own.refund)
        other = self._elsewhere.get(line.provider_id)
        if other is not None:
            self._told_elsewhere.add(line.provider_id)
            return _judged_elsewhere(line, other)
        moved = line.status in ("pending", "succeeded")
        return _differs("missing_here", line) if moved else None

    def missing_there(self, since: datetime, until: datetime) -> Iterator[Difference]:
        """What we say was executed in that time, and the other side does not."""
        for each in self._ours:
            refund = each.refund
            within = since <= each.armed_at <= until and refund.id not in self._told
            if within and refund.state in (State.SUCCEEDED, State.RETURNED):
                yield Difference(
                    kind="missing_there",
                    provider_id=refund.provider_id,
                    currency=refund.currency,
                    ours=refund.payer,
                    refund=refund.id,
                    note=refund.state.value,
                )
        for other in self._elsewhere.values():
            if other.provider_id not in self._told_elsewhere and not other.undone and since <= other.at <= until:
                yield Difference(
                    kind="missing_there",
                    provider_id=other.provider_id,
                    currency=other.currency,
                    ours=other.amount,
                    payment=other.payment,
                    note="made elsewhere",
                )

    def doubts(self) -> Iterator[Doubt]:
        """What has not ended here, whether the other side speaks of it or not."""
        for each in self._ours:
            refund, line = each.refund, self._told.get(each.refund.id)
            waits = refund.state in (State.PENDING, State.REQUIRES_ACTION) and line is None
            if refund.state in DOUBTFUL or waits:
                yield Doubt(
                    refund=refund.id,
                    state=refund.state.value,
                    currency=refund.currency,
                    amount=refund.payer,
                    theirs=line.status if line is not None else None,
                )

    def _find(self, line: Line) -> Armed | None:
        return self._named.get(line.provider_id) or (self._marked.get(line.mark) if line.mark else None)

    def _nameless(self, line: Line) -> Armed | None:
        """An execution of ours whose id was never learnt, and nothing else stands for."""
        return next(
            (
                each
                for each in self._ours
                if each.refund.provider_id is None
                and each.refund.id not in self._told
                and each.refund.state in (State.SUCCEEDED, State.RETURNED)
                and (each.refund.payer, each.refund.currency) == (line.amount, line.currency)
                and line.provider_id not in self._elsewhere
            ),
            None,
        )


def _marks(refund: Refund) -> Iterator[str]:
    return (mark_of(refund, generation) for generation in range(1, refund.generation + 1))


def _judged(line: Line, refund: Refund) -> Difference | tuple[str, int] | None:
    ours = refund.payer
    if refund.state in DOUBTFUL:
        return None
    if line.currency != refund.currency:
        return _differs("other_currency", line, ours=ours, refund=refund.id, note=f"{refund.currency} here")
    if refund.state not in AGREEING[line.status]:
        note = f"{line.status} there, {refund.state.value} here"
        return _differs("other_state", line, ours=ours, refund=refund.id, note=note)
    if line.status == "failed":
        return None
    if line.amount != refund.payer:
        return _differs("other_amount", line, ours=ours, refund=refund.id)
    return line.currency, line.amount


def _judged_elsewhere(line: Line, other: Elsewhere) -> Difference | tuple[str, int] | None:
    gone = line.status in ("failed", "returned")
    if gone != other.undone:
        here = "undone" if other.undone else "made elsewhere"
        return _differs("other_state", line, ours=other.amount, note=f"{line.status} there, {here} here")
    if gone:
        return None
    if line.currency != other.currency:
        return _differs("other_currency", line, ours=other.amount, note=f"{other.currency} here")
    if line.amount != other.amount:
        return _differs("other_amount", line, ours=other.amount)
    return line.currency, line.amount


def _differs(
    kind: Kind, line: Line, *, ours: int | None = None, refund: UUID | None = None, note: str = ""
) -> Difference:
    return Difference(
        kind=kind,
        provider_id=line.provider_id,
        currency=line.currency,
        theirs=line.amount,
        ours=ours,
        refund=refund,
        payment=line.payment,
        note=note,
    )


def _sums(amounts: Iterable[tuple[str, int]]) -> Mapping[str, tuple[int, int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for code, amount in amounts:
        found[code].append(amount)
    return {code: (len(each), sum(each)) for code, each in sorted(found.items())}


# --- statements as files ---------------------------------------------------------------------------------------------


def read_statement(text: str, headings: Mapping[str, str] | None = None) -> tuple[Line, ...]:
    """A settlement statement as CSV. `headings` says which heading stands for a column of ours.

    Amounts are decimal and in major units unless the column is `amount_minor`; what left the account may be negative.
    Raises ValueError with a sentence that names the line.
    """
    delimiter = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
    table = csv.reader(text.lstrip("\ufeff").splitlines(), delimiter=delimiter)
    places = _places(next(table, []), headings or {})
    lines = list[Line]()
    for number, row in enumerate(table, start=2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            lines.append(_line({name: row[at].strip() for name, at in places.items() if at < len(row)}))
        except (ValueError, KeyError) as error:
            raise ValueError(f"line {number}: {error.args[0] if error.args else error}") from error
    return tuple(lines)


def _places(header: list[str], headings: Mapping[str, str]) -> dict[str, int]:
    """Where each column stands. Raises ValueError for one that is named and not there, and for what is missing."""
    if unknown := sorted(set(headings) - set(COLUMNS)):
        raise ValueError(f"no such column: {', '.join(unknown)}. There are: {', '.join(COLUMNS)}")
    plain = [_plain(each) for each in header]
    places = dict[str, int]()
    for name, spellings in COLUMNS.items():
        wanted = (_plain(headings[name]),) if name in headings else spellings
        place = next((plain.index(each) for each in wanted if each in plain), None)
        if place is not None:
            places[name] = place
        elif name in headings:
            raise ValueError(f"there is no heading {headings[name]!r}; there are: {', '.join(header)}")
    missing = {"id", "currency", "date"} - set(places)
    if not {"amount", "amount_minor"} & set(places):
        missing.add("amount")
    if missing:
        raise ValueError(f"these columns are missing: {', '.join(sorted(missing))}. Say --map column=heading")
    return places


def _plain(heading: str) -> str:
    return "".join(each for each in heading.lower() if each.isalnum())


def _line(cells: Mapping[str, str]) -> Line:
    code = cells["currency"].upper()
    if not cells["id"]:
        raise ValueError("there is no id")
    try:
        known = currency(code)
        minor = cells.get("amount_minor")
        if minor is not None:
            amount = int(minor) if minor.lstrip("+-").isdecimal() else minor_from_decimal("", known)
        else:
            written = cells["amount"]
            amount = minor_from_decimal(written if "." in written else written.replace(",", "."), known)
    except (BadAmount, UnknownCurrency) as error:
        raise ValueError(str(error)) from error
    status = STATUSES.get(cells.get("status", "").lower())
    if status is None:
        raise ValueError(f"no such status: {cells['status']}")
    return Line(
        provider_id=cells["id"],
        amount=abs(amount),
        currency=code,
        status=status,
        payment=cells.get("payment", ""),
        at=moment(cells["date"]),
    )


def moment(text: str) -> datetime:
    """An ISO 8601 date or time; without a zone, UTC. Raises ValueError with a sentence."""
    try:
        if len(text) == len("2026-01-31"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no date: write it like 2026-01-31 or 2026-01-31T10:00:00Z") from error
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


def span(lines: Iterable[Line]) -> tuple[datetime, datetime]:
    """The days a statement is about, first to last. Raises ValueError for an empty one."""
    days = sorted(each.at for each in lines if each.at is not None)
    if not days:
        raise ValueError("the statement has no lines: say --since")
    first, last = days[0].astimezone(UTC).date(), days[-1].astimezone(UTC).date()
    return datetime.combine(first, time(), UTC), datetime.combine(last, time.max, UTC)
