"""Captures of an authorisation as its payment remembers them, and the one step that is taken on it at a time.

An authorisation is captured in parts, or reversed as a whole. Which of two requests at once comes first is decided by
a key that only one of them gets; what was decided is then written by whoever sees it, as often as they like, and the
total that the engine is told is the sum of what the payment remembers.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from moneyback.core.commands import Sighting
from moneyback.core.payment import Condition, Payment
from moneyback.dialect import Ask, FindPayment, SaveDocument, SeePayment, TakeKey, release_of
from moneyback.dialects.maverick.wire import SHOWN, TERMINAL, Status

RECORD: Final = "record"
"""The kind of document by which a record is found and listed that is neither a payment nor a refund."""
_PREFIX: Final = "capture_"


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """Some of an authorisation that was taken: minor units of its currency."""

    id: str
    amount: int
    at: datetime


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What comes next of an authorisation, once decided."""

    what: Literal["capture", "release"]
    id: str
    at: datetime
    amount: int = 0  # of a capture


def captures_of(payment: Payment) -> tuple[Capture, ...]:
    """The captures that were made through this API, oldest first."""
    kept = [value for name, value in payment.document.items() if name.startswith(_PREFIX)]
    made = (msgspec.convert(each, Capture) for each in kept)
    # A sale's own was decided an instant before its Auth was given.
    dated = [msgspec.structs.replace(each, at=max(each.at, payment.created_at)) for each in made]
    return tuple(sorted(dated, key=lambda each: (each.at, int(each.id))))


def remembered(capture: Capture) -> dict[str, Any]:
    """A capture as a member of its payment's document: each has its own, so that none overwrites another."""
    return {f"{_PREFIX}{capture.id}": msgspec.to_builtins(capture)}


def left_to_capture(payment: Payment) -> int:
    """How much of the authorisation may still be captured, in minor units; 0 where there is none, or it was let go."""
    release = release_of(payment)
    if release is not None and SHOWN[release.state] is not Status.DECLINED:
        return 0
    if payment.condition not in (Condition.AUTHORIZED, Condition.CAPTURED):
        return 0
    return max(0, payment.authorized - payment.captured)


def take_step(payment: Payment, step: Step) -> Generator[Ask, Any, Step]:
    """What comes next of this payment as it was seen: our step, or the one that was decided before it."""
    release = release_of(payment)
    done = f"{len(captures_of(payment))}.{release.dialect_id if release is not None else 0}"
    known = yield TakeKey(f"step {payment.dialect_id}.{done}", 200, msgspec.json.encode(step))
    return step if known is None else msgspec.json.decode(known.answer, type=Step)


def apply_capture(payment: Payment, step: Step) -> Generator[Ask, Any, Payment]:
    """The payment with a capture that was decided. Doing it twice changes nothing the second time."""
    capture = Capture(id=step.id, amount=step.amount, at=step.at)
    terminal = int(payment.document.get("terminal_id", TERMINAL))
    yield SaveDocument(RECORD, step.id, captured_record(payment.dialect_id, capture, terminal, payment.currency))
    payment = yield FindPayment(payment.dialect_id)
    while True:
        known = captures_of(payment)
        total = sum(each.amount for each in known)
        if capture.id not in {each.id for each in known}:
            total = payment.captured + capture.amount
        elif payment.captured >= total:
            return payment
        seen = Sighting(kind="captured", amount=total, reference=step.id, occurred_at=step.at)
        payment = yield SeePayment(payment=payment, sighting=seen, document=remembered(capture))


def captured_record(payment: str, capture: Capture, terminal: int, currency: str) -> Mapping[str, Any]:
    """The document of a capture: the way from its id to its payment, of which the payment's own memory is the truth."""
    builtins: dict[str, Any] = msgspec.to_builtins(capture)
    return {**builtins, "type": "Capture", "payment": payment, "terminal_id": terminal, "currency": currency}
