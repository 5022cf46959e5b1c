"""The smaller rows that stand around a payment and its refunds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Payments bought together. Locked before its payments when all of them are refunded at once."""

    merchant: UUID
    id: UUID
    dialect: str
    reference: str
    version: int
    payments: tuple[UUID, ...] = ()


class DisputeStatus(Enum):
    """How a payer's complaint stands."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A payer's complaint at the bank: while open its amount is contested, lost it is gone."""

    merchant: UUID
    payment: UUID
    reference: str
    amount: int
    status: DisputeStatus
    updated_at: datetime


class External(msgspec.Struct, frozen=True, kw_only=True):
    """A refund of one of our payments that was made elsewhere (a provider's dashboard, an earlier system)."""

    merchant: UUID
    payment: UUID
    provider_id: str
    amount: int
    wallet: int
    fee_return: int
    undone: bool = False  # the provider took it back
    at: datetime


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A contradiction a person must close; while one is open nothing is sent for its payment."""

    merchant: UUID
    payment: UUID
    number: int  # per payment, from 1
    kind: str
    refund: UUID | None
    opened_at: datetime
    figures: Mapping[str, Any] = {}
    closed_at: datetime | None = None
    closed_by: str | None = None
    note: str | None = None


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One idempotency key: what was asked under it, and the answer's bytes once there are any."""

    merchant: UUID
    dialect: str
    key: str
    fingerprint: bytes
    refund: UUID | None = None
    status: int | None = None
    answer: bytes | None = None
    answer_due: datetime  # real time: after it the request's owner counts as dead
    created_at: datetime


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the event log. (object, sequence) names it; the store adds the transaction that wrote it."""

    merchant: UUID
    type: str  # refund.sending, payment.excess_raised …
    object: UUID
    sequence: int  # the object's version
    payment: UUID
    at: datetime
    data: Mapping[str, Any]
