"""Mangopay as we call it: refunds of pay-ins and transfers, what is read before they are sent, and the declaration.

Conversations only; the network and the credentials are not here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Any, Final

from msgspec.structs import replace

from moneyback.core.payment import Capabilities, Payment
from moneyback.core.refund import Event
from moneyback.dialect import AnswerLost, Call, Client, Figures, NotConnected, Reading, Reply
from moneyback.dialects.mangopay import windows
from moneyback.dialects.mangopay.asking import ask_given, ask_paid, left_of, place_of, sightings
from moneyback.dialects.mangopay.fetching import fetch, list_refunds
from moneyback.dialects.mangopay.looking import PROCESSING, look
from moneyback.dialects.mangopay.news import hear
from moneyback.dialects.mangopay.sending import NAME, send
from moneyback.dialects.mangopay.session import CREDENTIALS, Unprepared, authorize, sign_in

LIST_LAG: Final = timedelta(minutes=1)


def read(payment: Payment) -> Reading:
    """What the payer paid less what was given back. Raises AnswerLost when Mangopay does not show it.

    A pay-in says nothing of its refunds, so all of them are listed. Which of them are ours nothing in them tells. Of a
    pay-in that Mangopay says it does not have there are no figures: its refund is let through to be refused.
    """
    headers = yield from sign_in()
    try:
        paid = yield from ask_paid(payment, headers)
    except Unprepared as error:
        if error.event is Event.REFUSED:
            return Figures()
        raise
    if paid.debited_funds.currency != payment.currency:
        raise AnswerLost(f"Mangopay shows the pay-in in {paid.debited_funds.currency}")
    given = yield from ask_given(place_of(payment), paid, headers)
    if given is None:
        return Figures(sightings=tuple(sightings(paid)))
    ids = tuple(each.id for each in given)
    return Figures(left=left_of(paid, given), refund_ids=ids, sightings=tuple(sightings(paid)))


def relay(call: Call) -> Generator[Call, Reply, Reply]:
    """A client's own call, under a token of ours. Without one nothing of it has left."""
    try:
        shown = yield from sign_in()
    except AnswerLost as error:
        raise NotConnected(f"no token: {error}") from error
    return (yield replace(call, headers={**call.headers, "authorization": shown["authorization"]}))


def profile(credentials: Mapping[str, str], _account: str) -> Mapping[str, Any]:
    """Whose paths a client with these credentials may call."""
    return {"client_id": credentials["client_id"]}


def capabilities(payment: Payment) -> Capabilities:
    """One refund of a pay-in at a time, and each amount once a day; windows where the method is in Mangopay's words."""
    if payment.dialect == NAME:
        return windows.capabilities(payment)
    return Capabilities(one_at_a_time=True, equal_amount_interval=windows.EQUAL_AMOUNT, blocked_by_dispute=True)


CLIENT: Final = Client(
    send=send,
    read=read,
    look=look,
    rung=4,
    processing=PROCESSING,
    list_lag=LIST_LAG,
    capabilities=capabilities,
    credentials=CREDENTIALS,
    authorize=authorize,
    fetch=fetch,
    list_refunds=list_refunds,
    relay=relay,
    profile=profile,
    hear=hear,
)
