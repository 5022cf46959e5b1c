"""What every call below a ClientId has in common: whose it is, its Idempotency-Key, its rate-limit headers.

A handler here returns its answer, or the complaint that stands for it; what is said around that is added once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from moneyback.dialect import Ask, Caller, Conversation, Incoming, Instant, NewId, Outgoing, Route
from moneyback.dialects.mangopay import complaints, responses
from moneyback.dialects.mangopay.complaints import Complaint, Stamp
from moneyback.dialects.mangopay.limits import limited

Answer = Generator[Ask, Any, Outgoing | Complaint]
Handler = Callable[[Incoming, Caller], Answer]
Kind = Literal["guarded", "owned", "relayed"]

_NOTHING: Final[Mapping[str, Any]] = {"type": "null"}
"""The schema of an answer without a body."""


def route(
    method: str,
    path: str,
    handle: Handler,
    summary: str,
    *,
    kind: Kind = "relayed",
    asked: Mapping[str, Any] | None = None,
    answered: Mapping[str, Any] | None = None,
    keyed: bool = True,
    accepts: tuple[str, ...] = ("json",),
    public: bool = False,
    guards: Callable[[Incoming], bool] = lambda _incoming: True,
) -> Route:
    """A route below a ClientId. `keyed`: whether a POST's Idempotency-Key is looked after here."""
    under_key = keyed and method == "POST"
    return Route(
        method=method,
        path=f"/v2.01/{{ClientId}}{path}",
        handle=_whole(handle, under_key),
        kind=kind,
        accepts=accepts,
        summary=summary,
        request_schema=asked or {},
        response_schema=answered or _NOTHING,
        public=public,
        guards=guards,
    )


def listed(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a list: a bare array."""
    return {"type": "array", "items": item}


def _whole(handle: Handler, under_key: bool) -> Callable[[Incoming, Caller], Conversation]:
    def conversation(incoming: Incoming, caller: Caller) -> Conversation:
        if stranger(incoming, caller):
            return complaints.invalid_credentials((yield from now(incoming)))
        said = yield from (once(handle, incoming, caller) if under_key else handle(incoming, caller))
        if isinstance(said, Complaint):
            said = complaints.said(said, (yield from stamp(incoming)))
        return limited(said, (yield from now(incoming)))

    return conversation


def once(handle: Handler, incoming: Incoming, caller: Caller) -> Answer:
    """The same under an Idempotency-Key: it is taken before anything is done, and what is answered is kept under it."""
    key = incoming.headers.get("idempotency-key")
    if key is None:
        return (yield from handle(incoming, caller))
    if not responses.FORM.fullmatch(key):
        return complaints.BAD_KEY
    marked = yield from stamp(incoming)
    row = yield from responses.reserve(key, marked.at)
    if row is None:
        return complaints.KEY_USED
    said = yield from handle(incoming, caller)
    if isinstance(said, Complaint):
        said = complaints.said(said, marked)
    yield from responses.keep(row, said, responses.called(incoming), marked.at)
    return said


def stranger(incoming: Incoming, caller: Caller) -> bool:
    """Whether the path names another client than the one whose credentials these are."""
    own = caller.profile.get("client_id")
    return own is not None and own != incoming.arguments["ClientId"]


def now(incoming: Incoming) -> Generator[Ask, Any, datetime]:
    """The time of an answer."""
    return incoming.at if incoming.at is not None else (yield Instant())


def stamp(incoming: Incoming) -> Generator[Ask, Any, Stamp]:
    """What an error body carries."""
    at = yield from now(incoming)
    identity = incoming.id or str((yield NewId()))
    return Stamp(identity, at)
