"""How an answer leaves: in its envelope, and with a byte order mark where an account asks for one. And how calls that
only a provider can answer are declared: in front of a real one they go through to it unchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from moneyback.dialect import Caller, Conversation, Incoming, Outgoing, Route

_BOM: Final = b"\xef\xbb\xbf"
ENCODINGS: Final = ("json", "form", "multipart")
"""Clients have been seen to send each of them."""
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def said(printed: Mapping[str, Any], caller: Caller) -> Outgoing:
    """One object in its envelope.

    The reference prints it bare, every public client reads it beneath `data`; no object has a member of that name, so
    both fit into one answer. An account may ask for one of them.
    """
    match caller.profile.get("envelope"):
        case "bare":
            return sent(printed, caller)
        case "data":
            return sent({"data": printed}, caller)
        case _:
            return sent({**printed, "data": printed}, caller)


def listed(printed: Sequence[Mapping[str, Any]], caller: Caller) -> Outgoing:
    """A list that has no paginator around it (provider docs: List wallets, list customer wallets)."""
    return sent({"data": list(printed)}, caller)


def sent(body: Mapping[str, Any], caller: Caller) -> Outgoing:
    """A body; for an account that asks for it with a byte order mark before it, as clients have met it."""
    return Outgoing(body=_BOM + _encode(body) if caller.profile.get("bom") is True else body)


def relayed(
    method: str,
    path: str,
    handle: Callable[[Incoming, Caller], Conversation],
    summary: str,
    answer: Mapping[str, Any],
    request: Mapping[str, Any] | None = None,
) -> Route:
    """A call that makes, changes or reads something and gives no money back."""
    return Route(
        method=method,
        path=path,
        handle=handle,
        kind="relayed",
        accepts=ENCODINGS,
        summary=summary,
        request_schema=request or {},
        response_schema=answer,
    )
