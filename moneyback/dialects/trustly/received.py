"""Trustly's answers as we receive them when we are its client: transactions, lists of them, and errors.

Trustly's documents and its wire disagree about the form: bare or beneath `transaction`, codes as text or as numbers.
All of them are read here; what cannot be read is None, and never half a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from moneyback.core.money import currency, minor_from_decimal

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_BELOW: Final = 10**11
"""The documents say "UNIX timestamp" and print milliseconds: a smaller number can only be seconds."""
_LATEST: Final = 10**14  # milliseconds; beyond it, no date
SUMS: Final = ("pending", "paid", "refunded", "reversed")

_WHOLE: Final = msgspec.json.Decoder(float_hook=Decimal)

S = TypeVar("S")


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction as Trustly shows it, money in minor units of `currency`."""

    id: str
    type: int
    status: int
    currency: str
    amount: int
    original: str | None = None
    reference: str = ""
    paid: int = 0
    refunded: int = 0
    reversed: int = 0
    left: int = 0  # its balance, never below zero
    updated_at: datetime | None = None
    completed_at: datetime | None = None
    code: str | None = None  # the bank side's, such as R01
    message: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One of the provider's own errors (provider docs: Errors). `domain` is left out: its package name varies."""

    code: int
    message: str = ""


class _Bank(msgspec.Struct, frozen=True, kw_only=True):
    status: str | None = None
    statusDescription: str | None = None


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    transactionId: str | int
    transactionType: str | int
    status: str | int
    amount: Decimal
    currency: str
    originalTransactionId: str | int | None = None
    merchantReference: str | None = None
    paid: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    reversed: Decimal = Decimal(0)
    balance: Decimal | None = None
    updatedAt: int | None = None
    completedAt: int | None = None
    statusCode: str | None = None
    statusMessage: str | None = None
    paymentProviderTransaction: _Bank | None = None


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    transaction: _Record


class _List(msgspec.Struct, frozen=True, kw_only=True):
    transactions: tuple[_Record, ...]


class _Errors(msgspec.Struct, frozen=True, kw_only=True):
    errors: tuple[Problem, ...]


def transaction(body: bytes) -> Transaction | None:
    """The transaction of an answer, in whichever form; None when there is no readable one."""
    envelope = _decoded(body, _Envelope)
    record = envelope.transaction if envelope is not None else _decoded(body, _Record)
    return None if record is None else _plain(record)


def transactions(body: bytes) -> tuple[Transaction, ...] | None:
    """The transactions of a list; None when it, or any one of them, cannot be read."""
    found = _decoded(body, _List)
    if found is None:
        return None
    plain = tuple(_plain(each) for each in found.transactions)
    read = tuple(each for each in plain if each is not None)
    return read if len(read) == len(plain) else None


def members(body: bytes) -> Mapping[str, Any]:
    """The members of an answer's transaction as they are written; none when there is nothing to be read."""
    try:
        shown = _WHOLE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    found = shown.get("transaction", shown) if isinstance(shown, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def sums(shown: Mapping[str, Any], code: str) -> Mapping[str, int] | None:
    """The totals of a transaction, or of a payment, in minor units; None when one is missing or no amount."""
    try:
        return {name: _minor(Decimal(str(shown[name])), code) for name in SUMS}
    except (KeyError, ArithmeticError, ValueError):  # what Decimal cannot read is an ArithmeticError
        return None


def problems(body: bytes) -> tuple[Problem, ...]:
    """The provider's own errors in an answer, whatever its HTTP status; none when it has no such shape."""
    found = _decoded(body, _Errors)
    return found.errors if found is not None else ()


def _decoded(body: bytes, kind: type[S]) -> S | None:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):  # a ValidationError is a DecodeError
        return None


def _plain(record: _Record) -> Transaction | None:
    try:
        kind, status, code = int(record.transactionType), int(record.status), record.currency
        money = {name: _minor(getattr(record, name), code) for name in ("amount", "paid", "refunded", "reversed")}
        balance = None if record.balance is None else _minor(record.balance, code)
    except ValueError:  # BadAmount and UnknownCurrency are ValueErrors
        return None
    bank = record.paymentProviderTransaction or _Bank()
    left = money["paid"] - money["refunded"] - money["reversed"] if balance is None else balance
    return Transaction(
        id=str(record.transactionId),
        type=kind,
        status=status,
        currency=code,
        original=None if record.originalTransactionId is None else str(record.originalTransactionId),
        reference=record.merchantReference or "",
        left=max(0, left),
        updated_at=moment(record.updatedAt),
        completed_at=moment(record.completedAt),
        code=bank.status or record.statusCode,
        message=bank.statusDescription or record.statusMessage,
        **money,
    )


def _minor(amount: Decimal, code: str) -> int:
    return minor_from_decimal(amount, currency(code))


def moment(stamp: int | None) -> datetime | None:
    """A time of Trustly's; None for 0, which says that it has not come, and for what is no date."""
    if stamp is None or stamp <= 0:
        return None
    milliseconds = stamp * 1000 if stamp < _SECONDS_BELOW else stamp
    return None if milliseconds > _LATEST else _EPOCH + timedelta(milliseconds=milliseconds)
