"""Double entry: movements between two accounts, balanced by construction and append-only.

A refund moves money in two phases: its admission *holds*, its end *posts* or *voids*. Every counter of a payment can be
recomputed from the movements that name it; `moneyback verify` does so.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

import msgspec

from moneyback.core.payment import Payment, PaymentKind
from moneyback.core.refund import Refund

HOLDS: Final = "holds"
PAYER: Final = "payer"
PAYOUTS: Final = "payouts"
DISPUTES: Final = "disputes"
WALLET: Final = "wallet/"
EXCESS: Final = "excess"


class Kind(Enum):
    """What a movement was for."""

    CAPTURE = "capture"
    HOLD = "hold"
    POST = "post"
    VOID = "void"
    RETURN = "return"
    EXTERNAL = "external"
    DISPUTE_OPEN = "dispute_open"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    CLAW_BACK = "claw_back"
    EXCESS_RISE = "excess_rise"
    EXCESS_FALL = "excess_fall"


class Movement(msgspec.Struct, frozen=True):
    """`amount` minor units (positive) leave account `debit` and reach account `credit`."""

    merchant: UUID
    payment: UUID
    refund: UUID | None
    kind: Kind
    debit: str
    credit: str
    amount: int
    currency: str
    at: datetime


class Account(msgspec.Struct, frozen=True):
    """An account with a limit (a dialect's wallet): its balance is kept as a row and locked. All others are sums."""

    merchant: UUID
    name: str
    currency: str
    balance: int


def wallet(name: str) -> str:
    """The account of a dialect's wallet: one with a limit."""
    return f"{WALLET}{name}"


def payer(payment: Payment) -> str:
    """Where a payment's money came from, and where its refunds go."""
    return wallet(payment.source) if payment.source else PAYER


def funds(payment: Payment) -> str:
    """The account the merchant's share of a payment stands on."""
    if payment.wallet:
        return wallet(payment.wallet)
    return PAYOUTS if payment.kind is PaymentKind.PAYOUT else f"funds/{payment.rail}"


def fees(payment: Payment) -> str:
    """The account the platform's fees of a payment stand on."""
    return wallet(payment.fee_wallet) if payment.fee_wallet else "fees"


def limited(payment: Payment) -> tuple[str, ...]:
    """The names of the accounts with a balance row that movements of this payment touch."""
    return tuple(name for name in (funds(payment), fees(payment), payer(payment)) if name.startswith(WALLET))


def capture(payment: Payment, before: int, fees_before: int, at: datetime) -> tuple[Movement, ...]:
    """The money that came in beyond `before` (negative: a capture that shrank), the platform's fees apart."""
    fee = payment.fees - fees_before
    return (
        *_either_way(payment, None, Kind.CAPTURE, payer(payment), funds(payment), payment.captured - before - fee, at),
        *_either_way(payment, None, Kind.CAPTURE, payer(payment), fees(payment), fee, at),
    )


def hold(payment: Payment, refund: Refund, at: datetime) -> tuple[Movement, ...]:
    """Reserve a refund: wallet and fee share are put aside."""
    return _shares(payment, refund, Kind.HOLD, HOLDS, at)


def void(payment: Payment, refund: Refund, at: datetime) -> tuple[Movement, ...]:
    """Let a reservation go, back to where it came from."""
    return tuple(reverse(each, Kind.VOID) for each in _shares(payment, refund, Kind.HOLD, HOLDS, at))


def post(payment: Payment, refund: Refund, at: datetime) -> tuple[Movement, ...]:
    """The reserved amount reached the payer."""
    return _either_way(payment, refund.id, Kind.POST, HOLDS, payer(payment), refund.payer, at)


def came_back(payment: Payment, refund: Refund, at: datetime) -> tuple[Movement, ...]:
    """A refund that had reached the payer is with the merchant again."""
    return tuple(reverse(each, Kind.RETURN) for each in _shares(payment, refund, Kind.HOLD, payer(payment), at))


def between(
    payment: Payment, kind: Kind, debit: str, credit: str, amount: int, at: datetime, refund: UUID | None = None
) -> tuple[Movement, ...]:
    """One movement, or none for nothing; a negative amount flows the other way."""
    return _either_way(payment, refund, kind, debit, credit, amount, at)


def reverse(movement: Movement, kind: Kind) -> Movement:
    """The same amount the other way."""
    return msgspec.structs.replace(movement, kind=kind, debit=movement.credit, credit=movement.debit)


def balances(movements: Iterable[Movement]) -> dict[tuple[str, str], int]:
    """The balance of every (account, currency) after `movements`; they sum to zero per currency."""
    totals: dict[tuple[str, str], int] = {}
    for each in movements:
        for account, amount in ((each.debit, -each.amount), (each.credit, each.amount)):
            key = (account, each.currency)
            totals[key] = totals.get(key, 0) + amount
    return totals


def _shares(payment: Payment, refund: Refund, kind: Kind, credit: str, at: datetime) -> tuple[Movement, ...]:
    return (
        *_either_way(payment, refund.id, kind, funds(payment), credit, refund.wallet, at),
        *_either_way(payment, refund.id, kind, fees(payment), credit, refund.fee_return, at),
    )


def _either_way(
    payment: Payment, refund: UUID | None, kind: Kind, debit: str, credit: str, amount: int, at: datetime
) -> tuple[Movement, ...]:
    if not amount:
        return ()
    if amount < 0:
        debit, credit, amount = credit, debit, -amount
    return (Movement(payment.merchant, payment.id, refund, kind, debit, credit, amount, payment.currency, at),)
