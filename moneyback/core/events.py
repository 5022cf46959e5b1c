"""The lines that go into the event log: one for every transition, written in its commit."""

from __future__ import annotations

from datetime import datetime

from moneyback.core.payment import Payment
from moneyback.core.records import EventRow
from moneyback.core.refund import Refund


def refund_event(refund: Refund, kind: str, at: datetime) -> EventRow:
    """The event of a refund's present version."""
    data: dict[str, object] = {
        "state": refund.state.value,
        "amount": refund.payer,
        "currency": refund.currency,
        "generation": refund.generation,
    }
    for name in ("failure", "provider_code", "pending_reason", "provider_id"):
        value = getattr(refund, name)
        if value is not None:
            data[name] = value
    return EventRow(
        merchant=refund.merchant,
        type=kind,
        object=refund.id,
        sequence=refund.version,
        payment=refund.payment,
        at=at,
        data=data,
    )


def payment_event(payment: Payment, kind: str, at: datetime, **data: object) -> EventRow:
    """The event of a payment's present version."""
    figures = {"captured": payment.captured, "refundable": payment.refundable, "currency": payment.currency, **data}
    return EventRow(
        merchant=payment.merchant,
        type=kind,
        object=payment.id,
        sequence=payment.version,
        payment=payment.id,
        at=at,
        data=figures,
    )
