"""Webhooks: where CHIP's news go, each with a key pair of its own; and the company's public key."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Mapping
from typing import Any, Final

import msgspec

from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    Delivery,
    DropDocument,
    Incoming,
    Instant,
    ListDocuments,
    LoadDocument,
    NewId,
    NewKeyPair,
    Notification,
    Outgoing,
    SaveDocument,
    Sign,
)
from moneyback.dialects.chip.fields import Form, invalid, opened, refused
from moneyback.dialects.chip.lists import page_of
from moneyback.dialects.chip.wire import ALL, Complaint, unix

WEBHOOKS: Final = "webhook"
"""The kind of document in which webhooks are kept."""
COMPANY_KEYS: Final = "company_key"
SEALED: Final = "sealed_key"
"""The member of a webhook that signs what it is told; shown to nobody."""
EVENTS: Final = frozenset(
    {
        *("purchase.created", "purchase.paid", "purchase.payment_failure", "purchase.refund_failure"),
        *("purchase.capture_failure", "purchase.release_failure", "purchase.pending_execute"),
        *("purchase.pending_charge", "purchase.cancelled", "purchase.hold", "purchase.captured"),
        *("purchase.pending_capture", "purchase.released", "purchase.pending_release", "purchase.preauthorized"),
        *("purchase.pending_recurring_token_delete", "purchase.recurring_token_deleted"),
        *("purchase.subscription_charge_failure", "purchase.pending_refund", "purchase.viewed", "purchase.settled"),
        *("payment.refunded", "payment.charged_back", "payment.chargeback_reversed"),
        *("payout.pending", "payout.failed", "payout.success", "payout.created"),
        "billing_template_client.subscription_billing_cancelled",
    }
)
"""What a webhook can listen to (provider docs: create a webhook page)."""
_NOT_FOUND: Final = refused(Complaint(ALL, "not_found", "Not found."), 404)
_PAGE: Final = 100
_STATED: Final = ("title", "all_events", "events", "callback")


def create_webhook(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /webhooks/: 201 and the Webhook, with the public half of its own key pair."""
    form, wrongs = opened(incoming.body)
    stated = _read(form, caller)
    if wrongs:
        return invalid(wrongs)
    id, now, keys = (yield NewId()), (yield Instant()), (yield NewKeyPair())
    times = {"created_on": unix(now), "updated_on": unix(now)}
    webhook = {"id": str(id), **times, **stated, "public_key": keys.public, SEALED: keys.private}
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
    webhook = {**webhook, **stated, "updated_on": unix(now)}
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
    """GET /public_key/: a JSON string that holds the PEM of the company's key, drawn when it is first asked for.

    Of two that are asked for at once both are drawn, and the older one stays the company's.
    """
    known: tuple[Mapping[str, Any], ...] = yield ListDocuments(kind=COMPANY_KEYS, limit=1)
    if not known:
        id, keys = (yield NewId()), (yield NewKeyPair())
        yield SaveDocument(COMPANY_KEYS, str(id), {"public_key": keys.public})
        known = yield ListDocuments(kind=COMPANY_KEYS, limit=1)
    return Outgoing(body=known[0]["public_key"])


def resend(sent: Notification, _caller: Caller) -> Generator[Ask, Any, tuple[Delivery, ...]]:
    """What a client's webhooks are told of a notification of CHIP's: its own bytes, signed with each webhook's own key.

    One whose key cannot be opened any more is told nothing: whoever listens there checks the signature.
    """
    event, offset, told = _event_of(sent.body), 0, list[Delivery]()
    while True:
        found: tuple[Mapping[str, Any], ...] = yield ListDocuments(kind=WEBHOOKS, offset=offset, limit=_PAGE)
        for each in found:
            if not (each["all_events"] or event in each["events"]):
                continue
            signature: bytes | None = yield Sign(each.get(SEALED, ""), sent.body)
            if signature is not None:
                told.append(_delivery(each, sent.body, signature))
        offset += len(found)
        if len(found) < _PAGE:
            return tuple(told)


def _event_of(body: bytes) -> str:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return str(told.get("event_type", "")) if isinstance(told, dict) else ""


def _delivery(webhook: Mapping[str, Any], body: bytes, signature: bytes) -> Delivery:
    """X-Signature: RSA PKCS#1 v1.5 over SHA-256 of the body's bytes, in base64 (provider docs: callbacks page)."""
    headers = {"content-type": "application/json", "x-signature": b64encode(signature).decode()}
    return Delivery(url=webhook["callback"], hook=webhook["id"], headers=headers, body=body)


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
