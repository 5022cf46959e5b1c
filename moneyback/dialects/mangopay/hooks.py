"""Hooks and events: whom the provider tells, and what.

In front of Mangopay a client's hooks are kept here, and told what its rail is told. Of all else the file named telling
tells them, and it is at `/events`.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import timedelta
from typing import Any, Final

from moneyback.core.refund import Refund
from moneyback.dialect import (
    Ask,
    Caller,
    Delivery,
    FindRefund,
    Incoming,
    ListDocuments,
    LoadDocument,
    NextNumber,
    Notification,
    Outgoing,
    SaveDocument,
)
from moneyback.dialects.mangopay import callbacks, calls, complaints, journal, news, pages, schemas
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members

KIND: Final = callbacks.HOOK
KEPT: Final = timedelta(days=45)
_EVENT: Final = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)+")
_TOO_OLD: Final = "Events older than 45 days can not be searched"

Data = dict[str, Any]


def create_hook(incoming: Incoming, _caller: Caller) -> Answer:
    """One hook an event type; it begins in force."""
    body = Members(incoming.body)
    event = body.matching("EventType", _EVENT, "The requested EventType was not found.", required=True)
    stated = {"Url": body.url("Url", required=True), "Tag": body.tag(), "Email": body.email()}
    if body.errors:
        return complaints.parameters(body.errors)
    known = yield ListDocuments(kind=KIND, match={"EventType": event}, limit=1)
    if known:
        return complaints.param_error(EventType="A hook has already been registered for this EventType")
    at = yield from calls.now(incoming)
    identity = str((yield NextNumber()))
    created = int(at.timestamp())
    hook = {
        **stated,
        "EventType": event,
        "Status": "ENABLED",
        "Validity": "VALID",
        "Id": identity,
        "CreationDate": created,
    }
    yield SaveDocument(KIND, identity, hook)
    return Outgoing(body=_shown(hook))


def update_hook(incoming: Incoming, _caller: Caller) -> Answer:
    """Any of address, status, validity, tag and mail; whatever else is sent back is left alone.

    A hook that is INVALID is revived by saying VALID, or by switching it off and on (provider docs: the hook object;
    webhooks).
    """
    hook = yield from _load(incoming)
    if isinstance(hook, Complaint):
        return hook
    body = Members(incoming.body)
    stated = {
        "Url": body.url("Url"),
        "Status": body.word("Status", ("ENABLED", "DISABLED")),
        "Validity": body.word("Validity", ("VALID", "INVALID")),
        "Tag": body.tag(),
        "Email": body.email(),
    }
    if body.errors:
        return complaints.parameters(body.errors)
    if hook["Status"] == "DISABLED" and stated["Status"] == "ENABLED" and not stated["Validity"]:
        stated["Validity"] = "VALID"
    hook = {**hook, **{name: value for name, value in stated.items() if value}}
    yield SaveDocument(KIND, hook["Id"], hook)
    return Outgoing(body=_shown(hook))


def view_hook(incoming: Incoming, _caller: Caller) -> Answer:
    """One hook."""
    hook = yield from _load(incoming)
    return hook if isinstance(hook, Complaint) else Outgoing(body=_shown(hook))


def list_hooks(incoming: Incoming, _caller: Caller) -> Answer:
    """All hooks, or the one of an event type."""
    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match=_chosen(incoming)), _listed))


def list_events(incoming: Incoming, _caller: Caller) -> Answer:
    """What happened in the last 45 days."""
    listing = pages.parse_listing(incoming)
    oldest = int(((yield from calls.now(incoming)) - KEPT).timestamp())
    if not isinstance(listing, dict) and any(
        each is not None and each < oldest for each in (listing.after, listing.before)
    ):
        return complaints.param_error(AfterDate=_TOO_OLD, BeforeDate=_TOO_OLD)
    yield from journal.catch_up()

    def show(event: Data) -> Generator[Ask, Any, Data]:
        yield from ()
        return {name: event[name] for name in schemas.EVENT["properties"]}

    source = ListDocuments(kind=journal.EVENTS, match=_chosen(incoming))
    return (yield from pages.shown(incoming, source, show))


def resend(notification: Notification, _caller: Caller) -> Generator[Ask, Any, tuple[Delivery, ...]]:
    """A call of the hook for this event, if it is in force. A refund is named as its client was told of it."""
    event, identity, date = news.told(notification)
    refund: Refund | None = yield FindRefund(identity)
    told = identity if refund is None else refund.shown_id
    return (yield from callbacks.calls_of(event, told, date))


def _chosen(incoming: Incoming) -> dict[str, Any]:
    wanted = next((value for name, value in reversed(incoming.query) if name.lower() == "eventtype"), "")
    return {"EventType": wanted.upper()} if wanted else {}


def _load(incoming: Incoming) -> Generator[Ask, Any, Data | Complaint]:
    identity = incoming.arguments["HookId"]
    hook: Data | None = yield LoadDocument(KIND, identity)
    return complaints.not_found("Hook", identity) if hook is None else hook


def _listed(hook: Data) -> Generator[Ask, Any, Data]:
    yield from ()
    return _shown(hook)


def _shown(hook: Data) -> Data:
    return {name: hook.get(name) for name in schemas.HOOK["properties"]}


ROUTES: Final = (
    calls.route(
        "POST",
        "/hooks",
        create_hook,
        "Create a hook",
        kind="owned",
        asked=schemas.HOOK_REQUEST,
        answered=schemas.HOOK,
    ),
    calls.route("GET", "/hooks", list_hooks, "List hooks", kind="owned", answered=calls.listed(schemas.HOOK)),
    calls.route("GET", "/hooks/{HookId}", view_hook, "View a hook", kind="owned", answered=schemas.HOOK),
    calls.route(
        "PUT",
        "/hooks/{HookId}",
        update_hook,
        "Update a hook",
        kind="owned",
        asked=schemas.HOOK_CHANGE,
        answered=schemas.HOOK,
    ),
    calls.route("GET", "/events", list_events, "List events", answered=calls.listed(schemas.EVENT)),
)
