"""The calls that hooks get: one GET with three parameters for each event, to the hook of its type.

Nothing is signed and there is no body: whoever is called reads what the call names (provider docs: webhooks).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from moneyback.dialect import Ask, Delivery, ListDocuments
from moneyback.dialects.mangopay import news

HOOK: Final = "hook"
"""The kind of document that is a hook."""
AGAIN_AFTER: Final = (*[timedelta(minutes=10)] * 6, *[timedelta(hours=8)] * 9)
"""When a call that was not answered with 200 is made again: for an hour, then for three days (provider docs:
webhooks)."""
WITHIN: Final = timedelta(seconds=2)
"""How long a program may take to answer (provider docs: webhooks)."""


def calls_of(
    event: str, identity: str, date: str, at: datetime | None = None
) -> Generator[Ask, Any, tuple[Delivery, ...]]:
    """The call of the hook for this event type, if there is one in force.

    A hook that was made after `at` is not told what had happened before.
    """
    hooks: tuple[Mapping[str, Any], ...] = yield ListDocuments(kind=HOOK, match={"EventType": event}, limit=1)
    return tuple(
        Delivery(
            url=_called(hook["Url"], event, identity, date),
            hook=hook["Id"],
            method="GET",
            again_after=AGAIN_AFTER,
            received="200",
            within=WITHIN,
        )
        for hook in hooks
        if (hook["Status"], hook["Validity"]) == ("ENABLED", "VALID")
        and (at is None or hook["CreationDate"] <= at.timestamp())
    )


def _called(url: str, event: str, identity: str, date: str) -> str:
    """A hook's address with the three parameters (provider docs: webhooks); those it has of its own stay."""
    parts = urlsplit(url)
    said = urlencode({"EventType": event, news.RESOURCE[0]: identity, "Date": date})
    return urlunsplit(parts._replace(query=f"{parts.query}&{said}" if parts.query else said))
