"""What is told of payments and refunds as it happens: their events are written down, and the hooks of those are called.

Whatever made them, a call of this dialect or none, the engine's own log names them all. What is no payment and no
refund (mandates, disputes, papers) is announced by the handler it happens in.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import Ask, Caller, Delivery, Happened
from moneyback.dialects.mangopay import callbacks, journal
from moneyback.dialects.mangopay.transactions import return_id
from moneyback.dialects.mangopay.windows import created
from moneyback.dialects.mangopay.wire import PAYIN_STATUSES, is_payout

Event = tuple[str, str, datetime]
"""An event's type, the id of what it is about, and its date."""
Telling = Generator[Ask, Any, tuple[Delivery, ...]]

_ENDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "payment.captured": "SUCCEEDED",
        "payment.failed": "FAILED",
        "payment.canceled": "FAILED",
        "payment.released": "FAILED",
        "refund.succeeded": "SUCCEEDED",
        "refund.failed": "FAILED",
        "refund.canceled": "FAILED",
    }
)
"""How a payment or a refund has ended by an event of the log. There are three statuses, and an event of each."""


def tell(happened: Happened, _caller: Caller) -> Telling:
    """The calls that the hooks get of one line of the log, once it is written down for `/events`."""
    payment, refund = happened.payment, happened.refund
    if refund is None:
        events = _of_payment(happened, payment)
        if events:
            yield from journal.known_payment(payment)
    elif happened.type == "refund.returned":
        events = _of_return(happened, refund)
        if events:
            yield from journal.enter_return(refund, payment)
    else:
        events = _of_refund(happened, refund, payment)
        if events:
            yield from journal.known_refund(refund, payment)
    told: list[Delivery] = []
    for kind, identity, at in events:
        event = yield from journal.happened(kind, identity, at)
        told += yield from callbacks.calls_of(kind, identity, str(event["Date"]), happened.at)
    if happened.type in _ENDS:
        yield from journal.settled(payment.dialect_id if refund is None else refund.dialect_id)
    return tuple(told)


def _of_payment(happened: Happened, payment: Payment) -> tuple[Event, ...]:
    prefix, identity = journal.payment_prefix(payment), payment.dialect_id
    ended = payment.captured_at or happened.at
    if happened.type in _ENDS:
        return ((f"{prefix}_{_ENDS[happened.type]}", identity, ended),)
    if happened.type != "payment.registered":
        return ()
    begun = (f"{prefix}_CREATED", identity, created(payment))
    word = _at_registration(happened, payment)
    return (begun,) if word == "CREATED" else (begun, (f"{prefix}_{word}", identity, ended))


def _at_registration(happened: Happened, payment: Payment) -> str:
    """The status it began with. Of what came in or failed later, a later line tells."""
    if happened.data.get("captured"):
        return "SUCCEEDED"
    return PAYIN_STATUSES[payment.condition] if payment.version == happened.sequence else "CREATED"


def _of_refund(happened: Happened, refund: Refund, payment: Payment) -> tuple[Event, ...]:
    """Its beginning and its end. A refusal that is kept as a refund has both at once."""
    prefix, identity = journal.refund_prefix(refund, payment), refund.dialect_id
    if happened.type in _ENDS:
        return ((f"{prefix}_{_ENDS[happened.type]}", identity, happened.at),)
    if happened.type != "refund.created":
        return ()
    born = [f"{prefix}_CREATED", *([f"{prefix}_FAILED"] if happened.data.get("state") == "failed" else [])]
    return tuple((kind, identity, happened.at) for kind in born)


def _of_return(happened: Happened, refund: Refund) -> tuple[Event, ...]:
    """What comes back of a payout is a refund to the provider. Of any other refund it has no word for that."""
    if not is_payout(refund):
        return ()
    return tuple((f"PAYOUT_REFUND_{word}", return_id(refund), happened.at) for word in ("CREATED", "SUCCEEDED"))
