"""What the native API shows of the engine's values. Amounts are integer minor units beside their currency."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from moneyback.core.ledger import Movement
from moneyback.core.naming import ORDER_REFUND, PAYMENT, REFUND, outward
from moneyback.core.payment import Condition, Parts, Payment
from moneyback.core.records import EventRow
from moneyback.core.refund import Refund, State


class Failure(msgspec.Struct, frozen=True):
    """Why a refund ended badly: our class, the provider's own code and words."""

    kind: str = msgspec.field(name="class")
    code: str | None
    message: str | None


class Doubt(msgspec.Struct, frozen=True):
    """That an outcome is not known: since when, when we look next, and since when a person may have to answer."""

    since: datetime
    next_look_at: datetime | None
    person_since: datetime | None


class RefundView(msgspec.Struct, frozen=True, kw_only=True):
    """A refund."""

    id: str
    object: str = "refund"
    payment: str
    order_refund: str | None
    state: str
    amount: int
    currency: str
    wallet_amount: int
    fee_refund: int
    reason: str | None
    reference: str | None
    requested_by: str | None
    dialect: str
    dialect_id: str
    rail: str
    provider_id: str | None
    trace: str | None
    pending_reason: str | None
    failure: Failure | None
    doubt: Doubt | None
    attempts: int
    evidence_version: int
    metadata: Mapping[str, Any]
    scheduled_for: datetime | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    """A payment with what has left it and what may still be given back."""

    id: str
    object: str = "payment"
    status: str
    amount: int
    currency: str
    authorized: int
    captured: int
    fees: int
    held: int
    refunded: int
    external: int
    disputed: int
    clawed_back: int
    excess: int
    refundable: int
    blocked: bool
    dialect: str
    dialect_id: str
    rail: str
    reference: str
    method: str | None
    order: str | None
    parts: Parts | None
    scenario: str | None
    metadata: Mapping[str, Any]
    captured_at: datetime | None
    created_at: datetime
    updated_at: datetime


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the event log. `cursor` is where a reader goes on."""

    id: str
    type: str
    object: str
    sequence: int
    payment: str
    time: datetime
    data: Mapping[str, Any]
    cursor: str


class MovementView(msgspec.Struct, frozen=True, kw_only=True):
    """One movement between two accounts of the ledger."""

    payment: str
    refund: str | None
    kind: str
    debit: str
    credit: str
    amount: int
    currency: str
    time: datetime


def refund_view(refund: Refund) -> RefundView:
    """A refund as the native API shows it."""
    failure = None
    if refund.failure is not None and refund.state in (State.FAILED, State.CANCELED, State.RETURNED):
        failure = Failure(refund.failure, refund.provider_code, refund.message)
    doubt = None
    if refund.doubt_since is not None:
        doubt = Doubt(refund.doubt_since, refund.look_at, refund.human_since)
    return RefundView(
        id=outward(REFUND, refund.id),
        payment=outward(PAYMENT, refund.payment),
        order_refund=outward(ORDER_REFUND, refund.group) if refund.group else None,
        state=refund.state.value,
        amount=refund.payer,
        currency=refund.currency,
        wallet_amount=refund.wallet,
        fee_refund=refund.fee_return,
        reason=refund.reason,
        reference=refund.reference,
        requested_by=refund.requested_by,
        dialect=refund.dialect,
        dialect_id=refund.dialect_id,
        rail=refund.rail,
        provider_id=refund.provider_id,
        trace=refund.trace,
        pending_reason=refund.pending_reason,
        failure=failure,
        doubt=doubt,
        attempts=refund.generation,
        evidence_version=refund.evidence_version,
        metadata=refund.metadata,
        scheduled_for=refund.due_at,
        created_at=refund.created_at,
        updated_at=refund.updated_at,
        ended_at=refund.ended_at,
    )


def payment_view(payment: Payment) -> PaymentView:
    """A payment as the native API shows it."""
    return PaymentView(
        id=outward(PAYMENT, payment.id),
        status=payment_status(payment),
        amount=payment.captured if payment.condition is Condition.CAPTURED else payment.authorized,
        currency=payment.currency,
        authorized=payment.authorized,
        captured=payment.captured,
        fees=payment.fees,
        held=payment.held,
        refunded=payment.refunded,
        external=payment.external,
        disputed=payment.disputed,
        clawed_back=payment.clawed_back,
        excess=payment.excess,
        refundable=payment.refundable,
        blocked=payment.blocked,
        dialect=payment.dialect,
        dialect_id=payment.dialect_id,
        rail=payment.rail,
        reference=payment.reference,
        method=payment.method,
        order=payment.order,
        parts=payment.parts,
        scenario=payment.scenario,
        metadata=payment.metadata,
        captured_at=payment.captured_at,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
    )


def payment_status(payment: Payment) -> str:
    """Derived from the facts: how far the money came in, and how much of it has gone back."""
    if payment.condition is not Condition.CAPTURED:
        status: str = payment.condition.value
        return status
    if payment.disputed:
        return "disputed"
    returned = payment.refunded + payment.external
    if payment.clawed_back >= payment.captured > 0:
        return "clawed_back"
    if returned and returned + payment.clawed_back >= payment.captured:
        return "refunded"
    return "partially_refunded" if returned else "captured"


def event_view(event: EventRow, cursor: str) -> EventView:
    """An event as the native API shows it; (object, sequence) is its identity."""
    kind = PAYMENT if event.object == event.payment else REFUND
    name = outward(kind, event.object)
    return EventView(
        id=f"evt_{event.object.hex}_{event.sequence}",
        type=event.type,
        object=name,
        sequence=event.sequence,
        payment=outward(PAYMENT, event.payment),
        time=event.at,
        data=event.data,
        cursor=cursor,
    )


def movement_view(movement: Movement) -> MovementView:
    """A movement as the native API shows it."""
    return MovementView(
        payment=outward(PAYMENT, movement.payment),
        refund=outward(REFUND, movement.refund) if movement.refund else None,
        kind=movement.kind.value,
        debit=movement.debit,
        credit=movement.credit,
        amount=movement.amount,
        currency=movement.currency,
        time=movement.at,
    )
