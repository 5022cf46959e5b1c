"""Our mark on a refund of Truust's: put into its `tag` and its `metadata`, found there again, and cut off again.

Truust echoes both. The client's own value comes first in the tag, and its own members stay in the metadata, so that
what is shown of a refund is what its client has said of it once the mark is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from moneyback.core.refund import Refund
from moneyback.dialects.truust.fields import TAG_LENGTH_MAX
from moneyback.dialects.truust.received import Shown

NAME: Final = "truust"
MARK_ROOM: Final = 41
"""A separator, "mb_", 32 hexadecimal digits, "_" and an attempt's number of up to four digits."""
MARK_MEMBER: Final = "moneyback"
"""The member of `metadata` that carries our mark as well."""
_MARKED: Final = re.compile(r"(?:(?P<own>.*)\.)?(?P<refund>mb_[0-9a-f]{32})_(?P<generation>[0-9]{1,4})", re.DOTALL)
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


# --- put in ----------------------------------------------------------------------------------------------------------


def marked(refund: Refund, mark: str) -> tuple[str, bool]:
    """The `tag` that is sent, and whether our mark is in it.

    The client's own value comes first. Where both do not fit it goes alone, and the mark is in the metadata only.
    """
    own = refund.reference
    if not own:
        return mark, True
    return (own, False) if is_crowded(own) else (f"{own}.{mark}", True)


def with_mark(refund: Refund, mark: str) -> dict[str, Any]:
    """The `metadata` that is sent: the client's own, and our mark unless the client has a member of that name."""
    return {MARK_MEMBER: mark} | _own_metadata(refund)


def _own_metadata(refund: Refund) -> dict[str, Any]:
    """What a client of Truust's own API stated, with its numbers' digits; what was said natively stays here."""
    kept = refund.request.get("metadata") if refund.dialect == NAME else None
    found = _decode(kept) if isinstance(kept, str) else None
    return found if isinstance(found, dict) else {}


def is_crowded(tag: str) -> bool:
    """Whether a tag leaves no room for a mark."""
    return len(tag) + MARK_ROOM > TAG_LENGTH_MAX


# --- found again -----------------------------------------------------------------------------------------------------


def marks_of(shown: Shown) -> Iterator[tuple[str, int]]:
    """What a refund of Truust's is marked as: refund and attempt, by the tag and by the metadata."""
    member = shown.metadata.get(MARK_MEMBER) if isinstance(shown.metadata, Mapping) else None
    for text in (shown.tag, member):
        if isinstance(text, str) and (found := _MARKED.fullmatch(text)):
            yield found["refund"], int(found["generation"])


def mark_of(shown: Shown) -> str | None:
    """The first of its marks, whole."""
    return next((f"{refund}_{generation}" for refund, generation in marks_of(shown)), None)


# --- cut off ---------------------------------------------------------------------------------------------------------


def unmarked(refund: Mapping[str, Any]) -> dict[str, Any]:
    """A refund object as its client knows it: our mark cut off its `tag`, and out of its `metadata`."""
    shown = dict(refund)
    tag, metadata = shown.get("tag"), shown.get("metadata")
    if isinstance(tag, str) and (found := _MARKED.fullmatch(tag)):
        shown["tag"] = found["own"]
    if isinstance(metadata, Mapping) and _MARKED.fullmatch(str(metadata.get(MARK_MEMBER))):
        shown["metadata"] = {name: value for name, value in metadata.items() if name != MARK_MEMBER} or None
    return shown


_OURS: Final = rb'"moneyback"\s*:\s*"mb_[0-9a-f]{32}_[0-9]{1,4}"'
_ALONE: Final = re.compile(rb"\{\s*" + _OURS + rb"\s*\}")
_BESIDE: Final = re.compile(_OURS + rb"\s*,\s*|\s*,\s*" + _OURS)


def without_members(body: bytes) -> bytes:
    """An answer as it came, but for the members of metadata that are ours: byte for byte the same besides.

    Metadata in which nothing else is left were none.
    """
    if b"mb_" not in body:
        return body
    return _BESIDE.sub(b"", _ALONE.sub(b"null", body))
