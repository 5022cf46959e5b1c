"""Cards kept for later payments (provider docs: Cards). Of a number only its beginning and its last four are known.

A card comes to be with a payin that says `save_card`, and is confirmed when that payin is paid.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    DropDocument,
    Incoming,
    Instant,
    NewId,
    NextNumber,
    SaveDocument,
)
from moneyback.dialects.truust.documents import CARD, Document, find
from moneyback.dialects.truust.envelope import relayed, said, sent
from moneyback.dialects.truust.schemas import CARD_ANSWER, NOTHING_ANSWER
from moneyback.dialects.truust.wire import VERSION, time_text
from moneyback.dialects.truust.words import NOT_FOUND

TEST_CARD: Final = {
    "type": "VISA",
    "alias": "454881XXXXXX0004",
    "expiration": "12/49",
    "issuing_country": "ES",
    "is_3d_secure": True,
}
"""The card whose number the provider's test page names (provider docs: payment methods, test cards)."""
_MEMBERS: Final = (
    *("id", "self", "uuid", "type", "cardholder", "alias", "expiration", "issuing_country", "issuing_bank"),
    *("is_3d_secure", "confirmed", "payin_type", "tokenization_link", "gateway_reference_id", "created_at"),
)


def new_card(payin_type: str, owner: Document | None) -> Generator[Ask, Any, Document]:
    """A card that its holder has not confirmed. `owner` is a customer, where the order has a buyer."""
    number: int = yield NextNumber()
    uuid = (yield NewId()).hex
    document = {
        "id": number,
        "uuid": uuid,
        "confirmed": False,
        "payin_type": payin_type,
        "cardholder": None if owner is None else owner.get("name"),
        "customer": None if owner is None else owner["uuid"],
        "created_at": time_text((yield Instant())),
    }
    yield SaveDocument(CARD, str(number), document)
    return document


def confirm_card(uuid: str) -> Generator[Ask, Any, None]:
    """The holder paid with it."""
    document = yield from find(CARD, uuid)
    if document is not None:
        yield SaveDocument(CARD, str(document["id"]), {**document, **TEST_CARD, "confirmed": True})


def read_card(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /cards/{uuid}."""
    document = yield from find(CARD, incoming.arguments["uuid"])
    return NOT_FOUND if document is None else said(print_card(document), caller)


def delete_card(incoming: Incoming, caller: Caller) -> Conversation:
    """DELETE /cards/{uuid}."""
    document = yield from find(CARD, incoming.arguments["uuid"])
    if document is None:
        return NOT_FOUND
    yield DropDocument(CARD, str(document["id"]))
    return sent({}, caller)


def print_card(document: Document) -> dict[str, Any]:
    """The card (provider docs: Get card)."""
    printed = {name: document.get(name) for name in _MEMBERS} | {"self": f"{VERSION}/cards/{document['uuid']}"}
    owner = document.get("customer")
    return {**printed, "connections": {} if owner is None else {"customer": f"{VERSION}/customers/{owner}"}}


ROUTES: Final = (
    relayed("GET", "/2.0/cards/{uuid}", read_card, "Read a card", CARD_ANSWER),
    relayed("DELETE", "/2.0/cards/{uuid}", delete_card, "Forget a card", NOTHING_ANSWER),
)
