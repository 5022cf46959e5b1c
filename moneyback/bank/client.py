"""The connector to the sandbox bank: how it is called, and what each of its documented answers means to the engine.

Conversations only; the network is not here. Nothing that is missing from a list, and no counter that stands still, is
ever taken for evidence: such figures go to `Looked.shown`, for the person who may have to answer.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from moneyback.bank import wire
from moneyback.bank.book import KEY_WINDOW, Capture
from moneyback.bank.port import Notice
from moneyback.core.commands import Observation, Sighting
from moneyback.core.payment import Payment
from moneyback.core.refund import Event, Grade, State
from moneyback.dialect import (
    AnswerLost,
    Call,
    Client,
    Figures,
    Looked,
    Looking,
    NotConnected,
    Reading,
    Reply,
    Sending,
    Sent,
)

PROCESSING: Final = timedelta(seconds=60)
"""How long the bank may work on a call it has received."""
LIST_LAG: Final = timedelta(seconds=10)
"""How long a refund may be missing from its lists, unless a scenario says longer."""

ANSWERS: Final[Mapping[tuple[int, str], Event]] = {
    (201, "succeeded"): Event.EXECUTED,
    (201, "returned"): Event.CAME_BACK,
    (202, "pending"): Event.ACCEPTED,
    (402, "failed"): Event.REFUSED,
    (422, "invalid"): Event.REFUSED,
    (422, "requires_action"): Event.ACTION_NEEDED,
    (404, "no_such_path"): Event.NOT_TAKEN,
    (429, "busy"): Event.NOT_TAKEN,
    (503, "maintenance"): Event.NOT_TAKEN,
    # A key that was used for something else, and an error in the middle, say nothing about our refund.
    (409, "key_reused"): Event.LOST,
    (500, "internal"): Event.LOST,
}
"""Every answer to `POST /refunds` that is documented, by HTTP status and machine word. Any other is unknown: LOST."""

STATUSES: Final[Mapping[str, Event]] = {
    "pending": Event.ACCEPTED,
    "succeeded": Event.EXECUTED,
    "failed": Event.REFUSED,
    "returned": Event.CAME_BACK,
}
"""What the status of a refund that is read, or told of, means."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as the bank shows it; mark and key only on the rungs that echo them."""

    id: str
    amount: int
    status: str
    updated_at: datetime
    mark: str | None = None
    key: str | None = None
    failure: str | None = None
    code: str | None = None
    message: str | None = None


class _Dispute(msgspec.Struct, frozen=True, kw_only=True):
    reference: str
    amount: int
    status: str
    changed_at: datetime


class _Return(msgspec.Struct, frozen=True, kw_only=True):
    reference: str
    amount: int
    at: datetime


class _Payment(msgspec.Struct, frozen=True, kw_only=True):
    refunded: int | None = None
    left: int | None = None
    disputes: tuple[_Dispute, ...] = ()
    returns: tuple[_Return, ...] = ()


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """Any answer of the bank; which members it has, says what it is."""

    refund: Shown | None = None
    refunds: tuple[Shown, ...] | None = None
    payment: _Payment | None = None
    error: str | None = None
    message: str | None = None
    as_of: datetime | None = None


def account_name(merchant: UUID, rail: str) -> str:
    """The bank account of a merchant's sandbox rail."""
    return f"{merchant.hex}.{rail}"


def account_of(payment: Payment) -> str:
    """The bank account a payment belongs to."""
    return account_name(payment.merchant, payment.rail)


def capture_of(payment: Payment) -> Capture:
    """What the bank is told of a payment."""
    return Capture(
        reference=payment.reference,
        captured=payment.captured,
        captured_at=payment.captured_at,
        currency=payment.currency,
        scenario=payment.scenario,
    )


@cache
def client_for(rung: int) -> Client:
    """The connector to a sandbox bank of this rung, 0 to 4."""
    assert 0 <= rung <= wire.RUNG_LOOK_UP, rung
    return Client(
        send=lambda sending: _send(sending, rung),
        read=lambda payment: _read(payment, rung),
        look=lambda sending, pre_read: _look(sending, pre_read, rung),
        rung=rung,
        processing=PROCESSING,
        list_lag=LIST_LAG,
    )


def meaning(reply: Reply) -> Event:
    """What an answer to `POST /refunds` means; LOST for all that is not documented."""
    body = _decoded(reply)
    if body is None:
        return Event.LOST
    word = body.refund.status if body.refund is not None else body.error
    return ANSWERS.get((reply.status, word or ""), Event.LOST)


def heard(notice: Notice) -> Looked:
    """What a notice says: of the refund it names (`notice.refund`, `key`, `mark`), or of the payment."""
    body = msgspec.json.decode(notice.body, type=_Body)
    if body.refund is not None:
        return Looked(observations=(_told(body.refund),))
    return Looked(sightings=_sightings(body.payment) if body.payment is not None else ())


# --- sending ---------------------------------------------------------------------------------------------------------


def _send(sending: Sending, rung: int) -> Sent:
    """One call; what came of it, as one observation."""
    try:
        reply = yield _refund_call(sending, rung)
    except NotConnected:
        return (_of_attempt(sending, Event.SEND_FAILED),)
    except AnswerLost:
        return (_of_attempt(sending, Event.LOST),)
    return (_answered(sending, reply),)


def _refund_call(sending: Sending, rung: int) -> Call:
    """The body of a keyed call is the same for every attempt of a refund; unkeyed, each attempt has its own mark."""
    payment, refund = sending.payment, sending.refund
    body = {
        "payment": payment.reference,
        "captured": payment.captured,
        "captured_at": payment.captured_at,
        "currency": refund.currency,
        "amount": refund.payer,
        "mark": sending.mark if rung < wire.RUNG_KEYED else None,
        "key": sending.key,  # below rung 3 the bank keeps it for those who check its books, and tells nobody
        "scenario": refund.scenario,
        "payment_scenario": payment.scenario,
        "destination": refund.destination,
    }
    return Call(
        method="POST",
        path=f"{wire.address(account_of(payment), rung)}/refunds",
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(body),
    )


def _answered(sending: Sending, reply: Reply) -> Observation:
    event, body = meaning(reply), _decoded(reply)
    if body is not None and body.refund is not None and event is not Event.LOST:
        return _told(body.refund)
    error = body.error if body is not None else None
    return _of_attempt(
        sending,
        event,
        failure="invalid" if event is Event.REFUSED else None,
        code=error,
        message=body.message if body is not None else None,
        data={"status": reply.status, "error": error},
    )


def _of_attempt(sending: Sending, event: Event, **members: Any) -> Observation:
    """Something that is known of this attempt only; an attempt is sent once, so its mark and the event identify it."""
    return Observation(event=event, digest=f"{sending.mark}:{event.value}", **members)


def _told(refund: Shown, grade: Grade = Grade.MARK) -> Observation:
    """A refund that is certainly ours, as the bank shows it."""
    event = STATUSES.get(refund.status, Event.LOST)
    return Observation(
        event=event,
        grade=grade,
        generation=_generation(refund.mark),
        amount=refund.amount,
        provider_id=refund.id,
        occurred_at=refund.updated_at,
        digest=f"{refund.id}:{refund.status}",
        failure=refund.failure,
        code=refund.code,
        message=refund.message,
        pending_reason="processing" if event is Event.ACCEPTED else None,
        data={"status": refund.status},
    )


def _generation(mark: str | None) -> int | None:
    """The attempt a mark names; None where the bank shows none, as under a key, which is the refund's own."""
    number = mark.rpartition("_")[2] if mark is not None else ""
    return int(number) if number.isascii() and number.isdigit() else None


# --- reading before sending ------------------------------------------------------------------------------------------


def _read(payment: Payment, rung: int) -> Reading:
    """The payment's figures. Raises AnswerLost when the bank does not show what its rung promises."""
    if rung < wire.RUNG_READABLE:
        return Figures()
    page = yield from _ask_payment(payment, rung)
    refunds = yield from _ask_refunds(payment, rung)
    return Figures(
        left=page.left,
        refund_ids=tuple(each.id for each in refunds),
        sightings=(*_sightings(page), *_foreign(refunds, rung)),
    )


def _ask_payment(payment: Payment, rung: int) -> Generator[Call, Reply, _Payment]:
    capture = capture_of(payment)
    told = {
        "captured": str(capture.captured),
        "captured_at": capture.captured_at.isoformat() if capture.captured_at is not None else None,
        "currency": capture.currency,
        "scenario": capture.scenario,
    }
    query = tuple((name, value) for name, value in told.items() if value is not None)
    body = _decoded((yield Call(method="GET", path=_payment_path(payment, rung), query=query)))
    if body is None or body.payment is None:
        raise AnswerLost("the bank did not show the payment")
    return body.payment


def _ask_refunds(payment: Payment, rung: int) -> Generator[Call, Reply, tuple[Shown, ...]]:
    body = _decoded((yield Call(method="GET", path=f"{_payment_path(payment, rung)}/refunds")))
    if body is None or body.refunds is None:
        raise AnswerLost("the bank did not show the refunds")
    return body.refunds


def _payment_path(payment: Payment, rung: int) -> str:
    return f"{wire.address(account_of(payment), rung)}/payments/{wire.segment(payment.reference)}"


def _sightings(page: _Payment) -> tuple[Sighting, ...]:
    disputes = (
        Sighting(
            kind=f"dispute_{each.status}", amount=each.amount, reference=each.reference, occurred_at=each.changed_at
        )
        for each in page.disputes
    )
    returns = (
        Sighting(kind="claw_back", amount=each.amount, reference=each.reference, occurred_at=each.at)
        for each in page.returns
    )
    return (*disputes, *returns)


def _foreign(refunds: tuple[Shown, ...], rung: int) -> Iterator[Sighting]:
    """Refunds made elsewhere. Only where marks are echoed can their absence be told from a refund of ours."""
    if rung < wire.RUNG_MARKED:
        return
    for each in refunds:
        if each.mark is None and each.key is None and each.status in ("succeeded", "returned"):
            seen = Sighting(kind="external", amount=each.amount, reference=each.id, occurred_at=each.updated_at)
            yield seen
            if each.status == "returned":
                yield replace(seen, kind="external_undone")


# --- looking for a refund in doubt -----------------------------------------------------------------------------------


def _look(sending: Sending, pre_read: Mapping[str, Any], rung: int) -> Looking:
    """What became of a refund: by id, by key, by mark, by counter, whichever the rung offers first."""
    if rung < wire.RUNG_READABLE:
        return Looked()
    try:
        page = yield from _ask_payment(sending.payment, rung)
        sightings = _sightings(page)
        if sending.refund.provider_id is not None:
            found = yield from _look_by_id(sending, sending.refund.provider_id, rung)
            return Looked(observations=found, sightings=sightings, shown=_figures(page))
        if rung >= wire.RUNG_LOOK_UP and (found := (yield from _look_by_key(sending, rung))):
            return Looked(observations=found, sightings=sightings, shown=_figures(page))
        refunds = yield from _ask_refunds(sending.payment, rung)
    except (NotConnected, AnswerLost) as error:
        return Looked(shown={"unanswered": f"{error}" or type(error).__name__})
    marked = tuple(_told(each) for each in refunds if _is_ours(sending, each))
    return Looked(
        observations=marked if rung >= wire.RUNG_MARKED else _by_counter(sending, pre_read, page, refunds),
        sightings=(*sightings, *_foreign(refunds, rung)),
        shown=_compared(pre_read, page, refunds),
    )


def _look_by_id(sending: Sending, provider_id: str, rung: int) -> Generator[Call, Reply, tuple[Observation, ...]]:
    """The bank's own id was in an answer to our call, or in an echo of our mark."""
    path = f"{wire.address(account_of(sending.payment), rung)}/refunds/{wire.segment(provider_id)}"
    body = _decoded((yield Call(method="GET", path=path)))
    return () if body is None or body.refund is None else (_told(body.refund),)


def _look_by_key(sending: Sending, rung: int) -> Generator[Call, Reply, tuple[Observation, ...]]:
    path = f"{wire.address(account_of(sending.payment), rung)}/keys/{wire.segment(sending.key)}"
    reply = yield Call(method="GET", path=path)
    body = _decoded(reply)
    if body is not None and body.refund is not None and body.refund.key == sending.key:
        return (_told(body.refund),)
    silent = reply.status == 404 and body is not None and body.error == "key_unknown"
    if silent and body is not None and _proves_not_sent(sending, body.as_of):
        return (_of_attempt(sending, Event.KEY_UNKNOWN, data={"as_of": f"{body.as_of}"}),)
    return ()


def _proves_not_sent(sending: Sending, as_of: datetime | None) -> bool:
    """Whether an unknown key is evidence: nothing can still arrive or be worked on, and the window certainly covers it.

    Doubt begins when nobody writes any more (the answer was lost, or the lease ran out after the send deadline); from
    then on the bank may work for `PROCESSING`. A key cannot have registered before its refund existed.
    """
    refund = sending.refund
    if as_of is None or refund.state is not State.UNKNOWN or refund.doubt_since is None:
        return False
    if refund.send_deadline is not None and as_of <= refund.send_deadline:
        return False
    return refund.doubt_since + PROCESSING <= as_of < refund.created_at + KEY_WINDOW


def _is_ours(sending: Sending, shown: Shown) -> bool:
    """By key, or by a mark of any attempt of this refund: an earlier one may have been executed late."""
    if shown.key is not None:
        return shown.key == sending.key
    return shown.mark is not None and shown.mark.rpartition("_")[0] == sending.mark.rpartition("_")[0]


def _by_counter(
    sending: Sending, pre_read: Mapping[str, Any], page: _Payment, refunds: tuple[Shown, ...]
) -> tuple[Observation, ...]:
    """Behind the fence: one new refund of exactly our amount, and a remainder that fell by exactly as much."""
    left_before, ids_before = pre_read.get("left"), pre_read.get("refund_ids")
    if left_before is None or ids_before is None or page.left is None:
        return ()
    new = [each for each in refunds if each.id not in ids_before]
    amount = sending.refund.payer
    if len(new) != 1 or new[0].amount != amount or new[0].status != "succeeded" or left_before - page.left != amount:
        return ()
    return (_told(new[0], Grade.COUNTER),)


def _figures(page: _Payment) -> dict[str, Any]:
    return {"left": page.left, "refunded": page.refunded}


def _compared(pre_read: Mapping[str, Any], page: _Payment, refunds: tuple[Shown, ...]) -> dict[str, Any]:
    """Before and now, side by side: figures for a person, evidence of nothing."""
    before = pre_read.get("refund_ids") or ()
    return {
        **_figures(page),
        "left_before": pre_read.get("left"),
        "refunds": len(refunds),
        "new_refunds": [
            {"id": each.id, "amount": each.amount, "status": each.status} for each in refunds if each.id not in before
        ],
    }


def _decoded(reply: Reply) -> _Body | None:
    """A readable answer of the bank's own shape, else None."""
    try:
        return msgspec.json.decode(reply.body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):  # a ValidationError is a DecodeError
        return None
