"""What is told of the event log's lines about payins and their refunds, whoever made them happen.

What becomes of an order or a payout is a document's affair, and told by the calls that change it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec.structs import replace

from moneyback.core.payment import Payment, PaymentKind
from moneyback.core.refund import Refund, State
from moneyback.dialect import Ask, Caller, Delivery, Happened
from moneyback.dialects.truust.documents import Document
from moneyback.dialects.truust.orders import order_of
from moneyback.dialects.truust.payins import payins_of
from moneyback.dialects.truust.telling import Told, announce, deliveries, published, said_of
from moneyback.dialects.truust.wire import PayinStatus, is_number, is_preauthorised, payin_status, payin_type

REFUND_ENDS: Final[Mapping[State, tuple[Told, ...]]] = MappingProxyType(
    {
        State.SUCCEEDED: (Told.REFUND_CONFIRMED, Told.PAYIN_REFUNDED),
        State.FAILED: (Told.REFUND_DENIED,),
        State.RETURNED: (Told.REFUND_DENIED,),
    }
)
"""What is told of a refund that has come to stand there. Nothing is of one that was cancelled before it was sent."""
_PAID: Final = frozenset({PayinStatus.CONFIRMED, PayinStatus.REFUNDED, PayinStatus.AUTHORIZED})


def tell(happened: Happened, _caller: Caller) -> Generator[Ask, Any, tuple[Delivery, ...]]:
    """The webhooks of one line of the event log. What moved between wallets, or was paid out, is no payin."""
    if happened.payment.kind is not PaymentKind.PAYIN:
        return ()
    if happened.refund is not None:
        return (yield from _tell_of_refund(happened, happened.refund))
    if _came_in(happened) and (order := (yield from order_of(happened.payment))) is not None:
        yield from _tell_of_capture(happened.payment, order)
    return ()


def _came_in(happened: Happened) -> bool:
    """Whether money came in: all at once with its registration, or later."""
    registered = happened.type == "payment.registered" and bool(happened.data.get("captured"))
    return registered or happened.type == "payment.captured"


def _tell_of_capture(payment: Payment, order: Document) -> Generator[Ask, Any, None]:
    """Once for each payin, however often more of it is captured; its order is published by the first that is paid.

    One that was authorised before has published it then, when it was not confirmed.
    """
    number = payment.dialect_id
    if not (yield from _is_first(payment)):
        yield from announce((Told.PAYIN_CONFIRMED,), number, said_of(order, payment))
    elif is_preauthorised(payin_type(payment)):
        yield from announce((Told.ESCROW_PUBLISHED,), number, said_of(published(order), payment))
        yield from announce((Told.PAYIN_CONFIRMED,), number, said_of(order, payment))
    else:
        yield from announce((Told.ESCROW_PUBLISHED, Told.PAYIN_CONFIRMED), number, said_of(published(order), payment))


def _is_first(payment: Payment) -> Generator[Ask, Any, bool]:
    """Whether no other payin of its order was paid before."""
    payins = [payment] if payment.order is None else (yield from payins_of(payment.order))
    paid = [each for each in payins if payin_status(each) in _PAID]
    first = min(paid, key=lambda each: (each.captured_at or each.created_at, int(each.dialect_id)), default=payment)
    return first.id == payment.id


def _tell_of_refund(happened: Happened, refund: Refund) -> Generator[Ask, Any, tuple[Delivery, ...]]:
    """As it stood then: by now it may have come back."""
    state = _state_of(happened)
    events = REFUND_ENDS.get(state, ()) if state is not None else ()
    if state is None or not events or not is_number(refund.dialect_id):
        return ()
    order = yield from order_of(happened.payment)
    if order is None:
        return ()
    return (yield from deliveries(events, said_of(order, happened.payment, replace(refund, state=state))))


_STATES: Final = MappingProxyType({each.value: each for each in State})


def _state_of(happened: Happened) -> State | None:
    """Where the line leaves the refund: most are named after it."""
    word = happened.type.removeprefix("refund.")
    return _STATES.get(word) or _STATES.get(str(happened.data.get("state")))
