"""Webhooks: where CHIP's news go, each with a key pair of its own; and the company's public key."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    DropDocument,
    Incoming,
    Instant,
    LoadDocument,
    NewId,
    NewKeyPair,
    Outgoing,
    SaveDocument,
)
from moneyback.dialects.chip.document import sees_tests
from moneyback.dialects.chip.events import EVENTS
from moneyback.dialects.chip.fields import Form, invalid, opened, refused
from moneyback.dialects.chip.hooks import MADE_BY, SEALED, TEST, WEBHOOKS, company_keys, made_by
from moneyback.dialects.chip.lists import page_of
from moneyback.dialects.chip.wire import ALL, Complaint, unix

_NOT_FOUND: Final = refused(Complaint(ALL, "not_found", "Not found."), 404)
_STATED: Final = ("title", "all_events", "events", "callback")


def create_webhook(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /webhooks/: 201 and the Webhook, with the public half of its own key pair."""
    form, wrongs = opened(incoming.body)
    stated = _read(form, caller)
    if wrongs:
        return invalid(wrongs)
    id, now, keys = (yield NewId()), (yield Instant()), (yield NewKeyPair())
    times = {"created_on": unix(now), "updated_on": unix(now)}
    maker = {TEST: sees_tests(caller), MADE_BY: made_by(caller, incoming.base)}
    webhook = {"id": str(id), **times, **stated, "public_key": keys.public, SEALED: keys.private, **maker}
    yield SaveDocument(WEBHOOKS, webhook["id"], webhook)
    return Outgoing(status=201, body=_shown(webhook))


def list_webhooks(incoming: Incoming, _caller: Caller) -> Conversation:
    """GET /webhooks/: newest first."""
    return (yield from page_of(incoming, WEBHOOKS, _shown))


def read_webhook(incoming: Incoming, _caller: Caller) -> Conversation:
    """GET /webhooks/{id}/: the Webhook."""
    webhook = yield from _find(incoming)
    return _NOT_FOUND if webhook is None else Outgoing(body=_shown(webhook))


def update_webhook(incoming: Incoming, caller: Caller) -> Conversation:
    """PUT and PATCH /webhooks/{id}/: PUT states the whole Webhook, PATCH what changes. The keys stay."""
    webhook = yield from _find(incoming)
    if webhook is None:
        return _NOT_FOUND
    form, wrongs = opened(incoming.body)
    if incoming.method == "PATCH" and not wrongs:
        form, wrongs = opened(_merged(webhook, incoming.body or {}))
    stated = _read(form, caller)
    if wrongs:
        return invalid(wrongs)
    now = yield Instant()
    webhook = {**webhook, **stated, "updated_on": unix(now), MADE_BY: made_by(caller, incoming.base)}
    yield SaveDocument(WEBHOOKS, webhook["id"], webhook)
    return Outgoing(body=_shown(webhook))


def _merged(webhook: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a partial update amounts to. Whoever names events no longer wants all of them."""
    merged = {**{name: webhook[name] for name in _STATED}, **changes}
    if changes.get("events") and "all_events" not in changes:
        merged["all_events"] = False
    return merged


def delete_webhook(incoming: Incoming, _caller: Caller) -> Conversation:
    """DELETE /webhooks/{id}/: 204."""
    gone: bool = yield DropDocument(WEBHOOKS, incoming.arguments["id"].lower())
    return Outgoing(status=204) if gone else _NOT_FOUND


def read_public_key(_incoming: Incoming, _caller: Caller) -> Conversation:
    """GET /public_key/: a JSON string that holds the PEM of the company's key, which signs success callbacks."""
    keys = yield from company_keys()
    return Outgoing(body=keys["public_key"])


def _read(form: Form, caller: Caller) -> dict[str, Any]:
    """What a request states of a webhook. With `all_events`, events that are named as well are dropped."""
    title = form.text("title", 100, required=True)
    all_events = form.flag("all_events")
    events = form.words("events", EVENTS, least=0 if all_events else 1)
    if not all_events and form.given("events") is None:
        form.wrong("events", "required", "This field is required.")
    ports = bool(caller.profile.get("callback_ports", True))  # CHIP itself refuses a callback that names a port
    callback = form.url("callback", required=True, ports=ports)
    return {
        "title": title,
        "all_events": all_events,
        "events": [] if all_events else events,
        "callback": callback,
    }


def _find(incoming: Incoming) -> Generator[Ask, Any, Mapping[str, Any] | None]:
    found: Mapping[str, Any] | None = yield LoadDocument(WEBHOOKS, incoming.arguments["id"].lower())
    return found


def _shown(webhook: Mapping[str, Any]) -> dict[str, Any]:
    names = ("id", "created_on", "updated_on", *_STATED, "public_key")
    return {"type": "webhook", **{name: webhook[name] for name in names}}
