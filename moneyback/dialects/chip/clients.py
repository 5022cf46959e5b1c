"""Clients: records of single customers, and the cards that each of them has saved."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    DropDocument,
    FindPayment,
    Incoming,
    Instant,
    LoadDocument,
    NewId,
    Outgoing,
    SaveDocument,
)
from moneyback.dialects.chip.document import CLIENT_TEXTS, TOKEN
from moneyback.dialects.chip.fields import Form, invalid, opened, refused
from moneyback.dialects.chip.lists import page_of
from moneyback.dialects.chip.objects import client_details
from moneyback.dialects.chip.paying import TOKENS, noted
from moneyback.dialects.chip.wire import ALL, Complaint, unix

CLIENTS: Final = "client"
"""The kind of document in which clients are kept."""
_NOT_FOUND: Final = refused(Complaint(ALL, "not_found", "Not found."), 404)
_COUNTRIES: Final = ("country", "shipping_country")


def read_client(form: Form) -> dict[str, Any]:
    """ClientDetails as they are stated: the e-mail address is required, all else may be left out."""
    texts = {
        name: form.country(name) if name in _COUNTRIES else form.text(name, limit)
        for name, limit in CLIENT_TEXTS.items()
        if name != "email"
    }
    return {"email": form.email("email", required=True), **texts, "cc": form.emails("cc"), "bcc": form.emails("bcc")}


def create_client(incoming: Incoming, _caller: Caller) -> Conversation:
    """POST /clients/: 201 and the Client."""
    form, wrongs = opened(incoming.body)
    details = read_client(form)
    if wrongs:
        return invalid(wrongs)
    id, now = (yield NewId()), (yield Instant())
    client = {"id": str(id), "created_on": unix(now), "updated_on": unix(now), **details}
    yield SaveDocument(CLIENTS, client["id"], client)
    return Outgoing(status=201, body=_shown(client))


def list_clients(incoming: Incoming, _caller: Caller) -> Conversation:
    """GET /clients/: newest first; `q` finds those of one e-mail address."""
    email = incoming.asked("q")
    return (yield from page_of(incoming, CLIENTS, _shown, **({"email": email} if email else {})))


def read_one_client(incoming: Incoming, _caller: Caller) -> Conversation:
    """GET /clients/{id}/: the Client."""
    client = yield from _find(incoming)
    return _NOT_FOUND if client is None else Outgoing(body=_shown(client))


def update_client(incoming: Incoming, _caller: Caller) -> Conversation:
    """PUT and PATCH /clients/{id}/: PUT states the whole Client, PATCH what changes. Purchases keep what they have."""
    client = yield from _find(incoming)
    if client is None:
        return _NOT_FOUND
    form, wrongs = opened(incoming.body)
    if incoming.method == "PATCH" and not wrongs:
        form, wrongs = opened({**client, **(incoming.body or {})})
    details = read_client(form)
    if wrongs:
        return invalid(wrongs)
    now = yield Instant()
    client = {**client, **details, "updated_on": unix(now)}
    yield SaveDocument(CLIENTS, client["id"], client)
    return Outgoing(body=_shown(client))


def delete_client(incoming: Incoming, _caller: Caller) -> Conversation:
    """DELETE /clients/{id}/: 204."""
    gone: bool = yield DropDocument(CLIENTS, incoming.arguments["id"].lower())
    return Outgoing(status=204) if gone else _NOT_FOUND


def _find(incoming: Incoming) -> Generator[Ask, Any, Mapping[str, Any] | None]:
    found: Mapping[str, Any] | None = yield LoadDocument(CLIENTS, incoming.arguments["id"].lower())
    return found


def _shown(client: Mapping[str, Any]) -> dict[str, Any]:
    head = {"type": "client", **{name: client[name] for name in ("id", "created_on", "updated_on")}}
    return {**head, **client_details(client)}


# --- saved cards -----------------------------------------------------------------------------------------------------


def list_cards(incoming: Incoming, _caller: Caller) -> Conversation:
    """GET /clients/{id}/recurring_tokens/: the cards that this client has saved."""
    client = yield from _find(incoming)
    if client is None:
        return _NOT_FOUND
    return (yield from page_of(incoming, TOKENS, _card_shown, client_id=client["id"]))


def read_card(incoming: Incoming, _caller: Caller) -> Conversation:
    """GET /clients/{id}/recurring_tokens/{token}/: one of them."""
    card = yield from _find_card(incoming)
    return _NOT_FOUND if card is None else Outgoing(body=_card_shown(card))


def delete_card(incoming: Incoming, _caller: Caller) -> Conversation:
    """DELETE /clients/{id}/recurring_tokens/{token}/: 204; it cannot be charged any more."""
    card = yield from _find_card(incoming)
    if card is None:
        return _NOT_FOUND
    payment = yield FindPayment(card["id"])
    if payment is not None:
        yield from noted(payment, {TOKEN: False})
    yield DropDocument(TOKENS, card["id"])
    return Outgoing(status=204)


def _find_card(incoming: Incoming) -> Generator[Ask, Any, Mapping[str, Any] | None]:
    card: Mapping[str, Any] | None = yield LoadDocument(TOKENS, incoming.arguments["token"].lower())
    return card if card is not None and card["client_id"] == incoming.arguments["id"].lower() else None


def _card_shown(card: Mapping[str, Any]) -> dict[str, Any]:
    names = ("type", "id", "created_on", "updated_on", "payment_method", "description")
    return {name: card[name] for name in names}
