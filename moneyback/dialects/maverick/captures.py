"""Capturing an authorisation, at once or in parts, until all of it is captured."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from moneyback.core.payment import Payment
from moneyback.dialect import Caller, Conversation, FindPayment, Incoming, Instant, NextNumber, Outgoing, Route
from moneyback.dialects.maverick.bodies import (
    Wrong,
    check_terminal,
    object_of,
    positive_amount_of,
    read_body,
    whole,
    yes_of,
)
from moneyback.dialects.maverick.captured import Capture, Step, apply_capture, left_to_capture, take_step
from moneyback.dialects.maverick.objects import capture_record
from moneyback.dialects.maverick.schemas import CAPTURE_BODY, RECORD_OR_ERROR
from moneyback.dialects.maverick.server import ENCODINGS, find, refused
from moneyback.dialects.maverick.wire import (
    CAPTURE_NOT_ALLOWED,
    NOT_FOUND,
    Complaint,
    Settings,
    invalid,
    settings_of,
    too_much,
)


def capture(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payment/{id}/capture: the Capture; without an amount all that is left is captured."""
    return (yield from _capture(incoming, caller))


def capture_part(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payment/{id}/capture/partial: the same call, of which the amount must be stated."""
    return (yield from _capture(incoming, caller, partial=True))


def _capture(incoming: Incoming, caller: Caller, *, partial: bool = False) -> Conversation:
    settings = settings_of(caller)
    try:
        body = read_body(incoming.body)
        found = yield from find(incoming.arguments["id"])
        if found is None:
            return refused(NOT_FOUND, settings)
        check_terminal(body, found.terminal, settings)
    except Wrong as wrong:
        return refused(wrong.complaint, settings)
    if found.child is not None or found.payment is None:
        return refused(CAPTURE_NOT_ALLOWED, settings)
    amount = _amount(body, found.payment.currency, partial)
    return (yield from _take(found.payment, amount, settings))


def _take(payment: Payment, amount: int | Complaint | None, settings: Settings) -> Conversation:
    """Capture once it is our turn: another step that was decided before ours is finished first."""
    now: datetime = yield Instant()
    number = ""
    while True:
        left = left_to_capture(payment)
        if not left:
            return refused(CAPTURE_NOT_ALLOWED, settings)
        if isinstance(amount, Complaint):
            return refused(amount, settings)
        if amount is not None and amount > left:
            return refused(too_much(left, payment.currency), settings)
        number = number or str((yield NextNumber()))
        step = yield from take_step(payment, Step(what="capture", id=number, at=now, amount=amount or left))
        if step.what == "release":
            return refused(CAPTURE_NOT_ALLOWED, settings)
        after = yield from apply_capture(payment, step)
        if step.id == number:
            made = Capture(id=step.id, amount=step.amount, at=step.at)
            return Outgoing(body=capture_record(made, after, now))
        payment = yield FindPayment(payment.dialect_id)


def _amount(body: Mapping[str, Any], code: str, partial: bool) -> int | Complaint | None:
    try:
        return read_amount(body, code, partial=partial)
    except Wrong as wrong:
        return wrong.complaint


def read_amount(body: Mapping[str, Any], code: str, *, partial: bool) -> int | None:
    """What is to be captured; None for all that is left. `partial` counts split shipments, and some clients state the
    amount within it. Raises Wrong.
    """
    shipments = object_of(body.get("partial"), "Partial")
    stated = body.get("amount")
    amount = positive_amount_of(shipments.get("amount") if stated is None else stated, code)
    if partial and amount is None:
        raise Wrong(invalid("Amount cannot be blank."))
    whole_of, place = (_count(shipments.get(name), name) for name in ("total", "sequence"))
    if whole_of is not None and place is not None and place > whole_of:
        raise Wrong(invalid("Partial sequence must be no greater than its total."))
    yes_of(body.get("sendReceipt"), "Send receipt")
    return amount


def _count(value: Any, name: str) -> int | None:
    if value is None or value == "":
        return None
    number = whole(value)
    if number is None or number < 1:
        raise Wrong(invalid(f"Partial {name} must be a positive integer."))
    return number


ROUTES: Final = (
    Route(
        method="POST",
        path="/payment/{id}/capture",
        handle=capture,
        kind="relayed",
        accepts=ENCODINGS,
        summary="Capture an authorisation, or a part of it",
        request_schema=CAPTURE_BODY,
        response_schema=RECORD_OR_ERROR,
    ),
    Route(
        method="POST",
        path="/payment/{id}/capture/partial",
        handle=capture_part,
        kind="relayed",
        accepts=ENCODINGS,
        summary="Capture a part of an authorisation; the amount is required",
        request_schema={**CAPTURE_BODY, "required": ["terminal", "amount"]},
        response_schema=RECORD_OR_ERROR,
    ),
)
