"""3-D Secure as far as a sale needs it: a session that authenticates a card, and what a record shows of it.

Every card is authenticated without a challenge. What the provider answers to a check is not published.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Mapping
from hashlib import sha1
from typing import Any, Final
from uuid import UUID

from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    Incoming,
    LoadDocument,
    NewId,
    NextNumber,
    Outgoing,
    Route,
    SaveDocument,
)
from moneyback.dialects.maverick.bodies import Wrong, own_terminal, positive_amount_of, read_body, whole, yes_of
from moneyback.dialects.maverick.cards import Card, presented_card, read_card
from moneyback.dialects.maverick.schemas import SESSION, SESSION_BODY, SESSION_CHECKED, or_error
from moneyback.dialects.maverick.server import ENCODINGS, refused
from moneyback.dialects.maverick.wire import CURRENCY, Complaint, invalid, settings_of

SESSION_KIND: Final = "threeds"
UNKNOWN_TOKEN: Final = invalid("Card token is invalid.")
_NO_SESSION: Final = Complaint(404, "The requested 3-D Secure session does not exist.")

# --- what a sale says and shows --------------------------------------------------------------------------------------


Wish = tuple[int | None, bool]
"""What a sale says of 3-D Secure: the session it names, and whether one is to be made now."""


def read_wish(body: Mapping[str, Any]) -> Wish:
    """`threeds.id`, or a `3ds` or `threeds` that is yes. Raises Wrong."""
    stated = body.get("threeds")
    if isinstance(stated, Mapping):
        named = stated.get("id")
        if named is None or named == "":
            return None, yes_of(body.get("3ds"), "3ds")
        number = whole(named)
        if number is None:
            raise Wrong(invalid("Threeds ID must be an integer."))
        return number, False
    wanted = None if stated == [] else stated
    return None, yes_of(body.get("3ds"), "3ds") or yes_of(wanted, "Threeds")


def authenticated(wish: Wish, card: Card) -> Generator[Ask, Any, Mapping[str, Any] | Complaint | None]:
    """The `threeds` of a record: of the session that was named, or of a new one; None without either."""
    named, wanted = wish
    if named is not None:
        kept = yield LoadDocument(SESSION_KIND, str(named))
        return invalid("Threeds ID is invalid.") if kept is None else kept["threeds"]
    return (yield from _authenticate(card)) if wanted else None


def _authenticate(card: Card) -> Generator[Ask, Any, Mapping[str, Any]]:
    number: int = yield NextNumber()
    drawn: UUID = yield NewId()
    cryptogram = b64encode(sha1(drawn.bytes, usedforsecurity=False).digest()).decode()
    shown: dict[str, Any] = {"id": number, "eci": "05", "aav": None, "cavv": cryptogram}
    if card.is_mastercard:
        shown |= {"eci": "02", "aav": cryptogram, "cavv": None}
    yield SaveDocument(SESSION_KIND, str(number), {"threeds": shown})
    return shown


# --- sessions --------------------------------------------------------------------------------------------------------


def create_session(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /3ds/create: the id of a session, as text."""
    settings = settings_of(caller)
    try:
        body = read_body(incoming.body)
        own_terminal(body, settings)
        if positive_amount_of(body.get("amount"), CURRENCY) is None:
            raise Wrong(invalid("Amount cannot be blank."))
        presented = read_card(body)
    except Wrong as wrong:
        return refused(wrong.complaint, settings)
    card = yield from presented_card(presented)
    if card is None:
        return refused(UNKNOWN_TOKEN, settings)
    made = yield from _authenticate(card)
    return Outgoing(body={"id": str(made["id"])})


def check_session(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /3ds/{id}/check: how the authentication went."""
    kept = yield LoadDocument(SESSION_KIND, incoming.arguments["id"])
    if kept is None:
        return refused(_NO_SESSION, settings_of(caller))
    shown = kept["threeds"]
    results = {name: shown[name] for name in ("eci", "aav", "cavv")}
    return Outgoing(body={"id": str(shown["id"]), "status": "Authenticated", **results})


ROUTES: Final = (
    Route(
        method="POST",
        path="/3ds/create",
        handle=create_session,
        kind="relayed",
        accepts=ENCODINGS,
        summary="Begin the 3-D Secure authentication of a card",
        request_schema=SESSION_BODY,
        response_schema=or_error(SESSION),
    ),
    Route(
        method="POST",
        path="/3ds/{id}/check",
        handle=check_session,
        kind="relayed",
        accepts=ENCODINGS,
        summary="Ask how a 3-D Secure authentication went",
        response_schema=or_error(SESSION_CHECKED),
    ),
)
