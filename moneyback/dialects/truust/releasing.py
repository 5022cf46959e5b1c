"""Letting an authorised payin go at Truust (provider docs: Cancel preauth), and what each documented answer means.

No amount is stated and no money moves. The call is only made once the payin was seen to be authorised and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from moneyback.core.commands import Observation
from moneyback.core.refund import Event
from moneyback.dialect import AnswerLost, Call, NotConnected, Reply, Sending, Sent
from moneyback.dialects.truust import received
from moneyback.dialects.truust.reading import ACCEPT, ask_payin, segment
from moneyback.dialects.truust.wire import VERSION, PayinStatus

RELEASED: Final[Mapping[tuple[int, str], Event]] = MappingProxyType(
    {
        (200, PayinStatus.CANCELLED.value): Event.EXECUTED,
        (200, PayinStatus.AUTHORIZED.value): Event.ACCEPTED,  # its gateway has yet to do it
        (401, "message"): Event.NOT_TAKEN,
        (404, "Not found"): Event.REFUSED,
        (422, "errors"): Event.REFUSED,
        (429, "message"): Event.NOT_TAKEN,
        (500, "message"): Event.LOST,  # it may have been let go
    }
)
"""Every documented answer by HTTP status and form: the status of the payin that is shown, or the form of an error."""


def release(sending: Sending) -> Sent:
    """One call, after a look at the payin: what was captured meanwhile is not let go but refunded."""
    try:
        shown = yield from ask_payin(sending.payment.reference)
    except (NotConnected, AnswerLost) as error:
        return (_of_attempt(sending, Event.SEND_FAILED, message=f"{error}" or None),)
    payin = None if shown is None else received.payin(shown)
    if payin is None or payin.status != PayinStatus.AUTHORIZED:
        status = "not there" if payin is None else payin.status
        words = f"Truust shows the payin as {status}: there is no authorisation to let go."
        return (_of_attempt(sending, Event.REFUSED, failure="invalid", message=words),)
    try:
        reply = yield release_call(sending)
    except NotConnected:
        return (_of_attempt(sending, Event.SEND_FAILED),)
    except AnswerLost:
        return (_of_attempt(sending, Event.LOST),)
    return (_said(sending, reply),)


def release_call(sending: Sending) -> Call:
    """It takes no parameters."""
    path = f"{VERSION}/payins/{segment(sending.payment.reference)}/cancelpreauth"
    return Call(method="POST", path=path, headers=ACCEPT)


def _said(sending: Sending, reply: Reply) -> Observation:
    event = RELEASED.get((reply.status, _form(reply, sending.payment.reference)), Event.LOST)
    problem = received.problem(reply)
    failure = "invalid" if event is Event.REFUSED else None
    message = problem.sentences if problem is not None and event is not Event.LOST else None
    return _of_attempt(sending, event, failure=failure, message=message, data={"status": reply.status})


def _form(reply: Reply, number: str) -> str:
    payin, problem = received.payin(reply), received.problem(reply)
    if payin is not None:
        return payin.status if payin.number == number else ""
    if problem is None:
        return ""
    if problem.errors:
        return "errors"
    return problem.message if (reply.status, problem.message) in RELEASED else "message"


def _of_attempt(sending: Sending, event: Event, **members: Any) -> Observation:
    return Observation(event=event, digest=f"{sending.mark}:{event.value}", **members)
