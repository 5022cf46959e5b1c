"""Calls that present a card and move nothing: the zero-amount authentication, and the making of a token."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from moneyback.dialect import Caller, Conversation, Incoming, Instant, Outgoing, Route, SaveDocument
from moneyback.dialects.maverick.bodies import Wrong, own_terminal, read_body
from moneyback.dialects.maverick.captured import RECORD
from moneyback.dialects.maverick.cards import keep_card, presented_card
from moneyback.dialects.maverick.objects import Alone, alone_record
from moneyback.dialects.maverick.references import DUPLICATE
from moneyback.dialects.maverick.sales import Stated, new_number, read_stated, shown_card
from moneyback.dialects.maverick.schemas import CARD_BODY, RECORD_OR_ERROR, TOKEN_BODY
from moneyback.dialects.maverick.server import ENCODINGS, refused
from moneyback.dialects.maverick.threeds import UNKNOWN_TOKEN, authenticated
from moneyback.dialects.maverick.wire import STUMBLES, Complaint, Settings, Status, invalid, settings_of

AUTHENTICATED: Final = "PREATH"
"""The authorisation code of every card authentication that went well (seen live)."""


def authenticate_card(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payment/card-authentication: whether a card is good. It can be neither settled nor returned."""
    settings = settings_of(caller)
    try:
        body = read_body(incoming.body)
        stated = read_stated(body, own_terminal(body, settings))
    except Wrong as wrong:
        return refused(wrong.complaint, settings)
    return (yield from _present(stated, "CardAuthentication", settings))


def generate_token(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /payment/generate-token: a token that stands for the card in later requests."""
    settings = settings_of(caller)
    try:
        body = read_body(incoming.body)
        stated = read_stated(body, own_terminal(body, settings), source_needed=False, token=False)
    except Wrong as wrong:
        return refused(wrong.complaint, settings)
    return (yield from _present(stated, "GenerateToken", settings))


def _present(stated: Stated, kind: str, settings: Settings) -> Conversation:
    card = yield from presented_card(stated.card)
    if card is None:
        return refused(UNKNOWN_TOKEN, settings)
    number = yield from new_number(stated.external)
    if number is None:
        return refused(DUPLICATE, settings)
    now: datetime = yield Instant()
    document: dict[str, Any] = {**stated.document, "id": number, "type": kind, "at": now.isoformat()}
    if kind == "GenerateToken":
        shown = yield from shown_card(stated.card, card, number, kept=False)
        token = yield from keep_card(card)
        # No bank is asked, so there is nothing that a bank would have verified.
        document |= {"card": {**shown, "verification": {}, "token": token}, "status": Status.APPROVED.value}
    else:
        threeds = yield from authenticated(stated.wish, card)
        if isinstance(threeds, Complaint):
            return refused(threeds, settings)
        good = card.refusal is None
        shown = yield from shown_card(stated.card, card, number, kept=good)
        document |= {"card": {**shown, "networkTransactionId": None}, "threeds": threeds}
        document |= {"authCode": AUTHENTICATED if good else None, **_judged(card.refusal)}
    yield SaveDocument(RECORD, number, document)
    if document["status"] != Status.APPROVED.value and settings.decline_mode == 422:
        return refused(invalid(document["reason"]), settings)
    return Outgoing(body=alone_record(Alone(document)))


def _judged(reason: str | None) -> dict[str, Any]:
    status = Status.APPROVED if reason is None else Status.ERROR if reason in STUMBLES else Status.DECLINED
    return {"status": status.value, "reason": reason}


ROUTES: Final = (
    Route(
        method="POST",
        path="/payment/card-authentication",
        handle=authenticate_card,
        kind="relayed",
        accepts=ENCODINGS,
        summary="Check a card without an amount",
        request_schema=CARD_BODY,
        response_schema=RECORD_OR_ERROR,
    ),
    Route(
        method="POST",
        path="/payment/generate-token",
        handle=generate_token,
        kind="relayed",
        accepts=ENCODINGS,
        summary="Make a token that stands for a card",
        request_schema=TOKEN_BODY,
        response_schema=RECORD_OR_ERROR,
    ),
)
