"""The company's balance and turnover, added up from its payments as they stand: no sum is kept anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from moneyback.core.money import UnknownCurrency, currency
from moneyback.core.payment import Condition, Payment
from moneyback.dialect import Ask, Caller, Conversation, Incoming, ListPayments, Outgoing
from moneyback.dialects.chip import document
from moneyback.dialects.chip.document import moment_of
from moneyback.dialects.chip.fields import Form, invalid
from moneyback.dialects.chip.objects import owner_id

BATCH: Final = 200
_SINGLE: Final = ("from", "to")

Counts = Callable[[Payment], bool]


def read_balance(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /account/json/balance/: what the payments of each currency have left with the company, in minor units."""
    asked = read_filters(incoming.query, caller)
    if isinstance(asked, Outgoing):
        return asked
    # Of now, whatever times are asked for: what it once was is not kept.
    sums = yield from _sums(replace(asked, since=None, until=None))
    return Outgoing(body={code: each.balance() for code, each in sums.items()})


def read_turnover(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /account/json/turnover/: what came in and what was given back, in minor units of exactly one currency."""
    asked = read_filters(incoming.query, caller)
    if isinstance(asked, Outgoing):
        return asked
    if len(asked.currencies) != 1:
        wrongs: list[Any] = []
        Form({}, wrongs).wrong("currency", "invalid", "Exactly one currency must be provided.")
        return invalid(wrongs)
    [only] = (yield from _sums(asked)).values()
    return Outgoing(body=only.turnover())


class _Sums:
    """What the payments of one currency come to, in minor units."""

    def __init__(self) -> None:
        self.incoming = self.fees = self.outgoing = 0
        self.payments = self.refunded = 0
        self.reserved = self.pending = 0

    def add(self, payment: Payment) -> None:
        gone = payment.refunded + payment.external + payment.clawed_back
        self.payments += 1
        self.incoming += payment.captured
        self.fees += payment.fees
        self.outgoing += gone
        self.refunded += 1 if gone else 0
        self.reserved += payment.disputed
        self.pending += payment.held

    def balance(self) -> dict[str, int]:
        """Balance: before fees, after them, and what of it could be had now."""
        gross = self.incoming - self.outgoing
        return {
            "gross_balance": gross,
            "balance": gross - self.fees,
            "available_balance": gross - self.fees - self.reserved - self.pending,
            "reserved": self.reserved,
            "pending_outgoing": self.pending,
            "fee_sell": self.fees,
        }

    def turnover(self) -> dict[str, Any]:
        """Turnover, each direction with its count."""
        return {
            "incoming": {"turnover": self.incoming, "fee_sell": self.fees, "count": {"all": self.payments}},
            "outgoing": {"turnover": self.outgoing, "fee_sell": 0, "count": {"all": self.refunded}},
        }


# --- which payments --------------------------------------------------------------------------------------------------


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which payments are asked for: of these currencies, made from then until then, and these alone."""

    currencies: tuple[str, ...]
    since: datetime | None
    until: datetime | None
    counts: Counts


def read_filters(query: Iterable[tuple[str, str]], caller: Caller) -> Asked | Outgoing:
    """The filters of a query: each may be repeated, save `from` and `to` (unix seconds). `currency` is required."""
    pairs = tuple(query)
    wrongs: list[Any] = []
    form = Form({name: value for name, value in pairs if name in _SINGLE and value}, wrongs)
    since, until = form.moment("from"), form.moment("to")
    codes = tuple(dict.fromkeys(_said(pairs, "currency")))
    if not codes:
        form.wrong("currency", "required", "This field is required.")
    for code in codes:
        try:
            currency(code)
        except UnknownCurrency:
            form.wrong("currency", "invalid_choice", "This is not a valid choice.")
    if wrongs:
        return invalid(wrongs)
    return Asked(
        currencies=codes,
        since=None if since is None else moment_of(since),
        until=None if until is None else moment_of(until),
        counts=_filter(pairs, codes, caller),
    )


def _filter(query: tuple[tuple[str, str], ...], codes: tuple[str, ...], caller: Caller) -> Counts:
    methods, brands = set(_said(query, "payment_method")), {*_said(query, "brand"), *_said(query, "brand_id")}

    def counts(payment: Payment) -> bool:
        by_method = not methods or document.method(payment) in methods
        by_brand = not brands or owner_id("brand_id", payment, caller) in brands
        return payment.currency in codes and by_method and by_brand

    return counts


def _said(query: tuple[tuple[str, str], ...], name: str) -> Iterator[str]:
    """Every value of a parameter, those that are separated by commas as well."""
    for key, value in query:
        if key == name:
            yield from (each.strip() for each in value.split(",") if each.strip())


def _sums(asked: Asked) -> Generator[Ask, Any, dict[str, _Sums]]:
    sums = {code: _Sums() for code in asked.currencies}
    yield from each_captured(asked, lambda payment: sums[payment.currency].add(payment))
    return sums


def each_captured(asked: Asked, take: Callable[[Payment], None]) -> Generator[Ask, Any, None]:
    """Hand over every captured payment that is asked for, once, oldest first.

    A batch at a time, and only a batch is ever held: from the creation of the last one on, leaving out those that were
    created at that very moment and have been handed over.
    """
    since, at_once = asked.since, 0
    while True:
        found: tuple[Payment, ...] = yield ListPayments(
            condition=Condition.CAPTURED,
            created_from=since,
            created_to=asked.until,
            ascending=True,
            offset=at_once,
            limit=BATCH,
        )
        for payment in found:
            if asked.counts(payment):
                take(payment)
        if len(found) < BATCH:
            return
        last = found[-1].created_at
        same = sum(1 for each in found if each.created_at == last)
        at_once = at_once + same if last == since else same
        since = last
