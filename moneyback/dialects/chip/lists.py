"""Lists as CHIP answers them: some results, and the addresses of the page after and the page before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from moneyback.dialect import Conversation, Incoming, ListDocuments, Outgoing
from moneyback.dialects.chip.fields import Form, invalid

PAGE_SIZE: Final = 25
PAGE_SIZE_MAX: Final = 100
OFFSET_MAX: Final = 10**9


def page_of(
    incoming: Incoming, kind: str, render: Callable[[Mapping[str, Any]], dict[str, Any]], **match: Any
) -> Conversation:
    """A page of the caller's documents of a kind, newest first: `{results, next, previous}`."""
    wrongs: list[Any] = []
    form = Form({name: value for name, value in incoming.query if value}, wrongs)
    limit = form.integer("limit", minimum=1, maximum=PAGE_SIZE_MAX) or PAGE_SIZE
    offset = form.integer("offset", minimum=0, maximum=OFFSET_MAX) or 0
    if wrongs:
        return invalid(wrongs)
    # One more than is shown says whether there is a page after this one.
    found: tuple[Mapping[str, Any], ...] = yield ListDocuments(
        kind=kind, match=match, ascending=False, offset=offset, limit=limit + 1
    )
    after = _address(incoming, offset + limit) if len(found) > limit else None
    before = _address(incoming, max(0, offset - limit)) if offset else None
    return Outgoing(
        body={"results": [render(each) for each in found[:limit]], "next": after, "previous": before},
    )


def _address(incoming: Incoming, offset: int) -> str:
    kept = [(name, value) for name, value in incoming.query if name != "offset"]
    return f"{incoming.base}{incoming.path.rstrip('/')}/?{urlencode([*kept, ('offset', str(offset))])}"
