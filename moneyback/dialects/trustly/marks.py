"""Our marks in `merchantReference`: how one is appended, found again and cut off.

Trustly keeps no key of a refund, but echoes its reference. It is also the client's own field, so the client's value
comes first, and where both do not fit it goes alone.
"""

from __future__ import annotations

import re
from typing import Final

from moneyback.dialect import Sending
from moneyback.dialects.trustly.wire import DIALECT_NAME

REFERENCE_MAX: Final = 100
"""Characters of a `merchantReference` that are relied on to come back whole; Trustly publishes no limit."""
MARK_ROOM: Final = 41
"""A separator, "mb_", 32 hexadecimal digits, "_" and an attempt's number of up to four digits."""
_MARKED: Final = re.compile(r"(?:(?P<own>.*)\.)?(?P<refund>mb_[0-9a-f]{32})_(?P<generation>[0-9]{1,4})", re.DOTALL)


def reference_of(sending: Sending) -> tuple[str, bool]:
    """The `merchantReference` of an attempt, and whether our mark is in it.

    Where the client gave none, Trustly would show the original's own: so that is what the mark is appended to, and what
    is left when it is cut off again.
    """
    own = sending.refund.reference
    if not own and sending.payment.dialect == DIALECT_NAME:
        known = str(sending.payment.document.get("merchantReference") or "")
        own = known if has_room(known) else None
    return marked(own, sending.mark)


def marked(own: str | None, mark: str) -> tuple[str, bool]:
    """A reference with a mark appended, and whether it is; alone it is known by counting only."""
    if not own:
        return mark, True
    return (f"{own}.{mark}", True) if has_room(own) else (own, False)


def has_room(own: str) -> bool:
    """Whether a mark fits behind a reference."""
    return len(own) + MARK_ROOM <= REFERENCE_MAX


def unmarked(reference: str) -> str:
    """The client's own value: a reference that was sent, with our mark cut off again. Empty where there was none."""
    found = _MARKED.fullmatch(reference)
    return reference if found is None else found["own"] or ""


def mark_in(reference: str) -> str | None:
    """The mark that a reference carries, whosever refund it is."""
    found = _MARKED.fullmatch(reference)
    return None if found is None else f"{found['refund']}_{found['generation']}"


def attempt_in(reference: str, mark: str) -> int | None:
    """Which attempt of the refund of this mark a reference names; None when none of it."""
    found = mark_in(reference)
    if found is None or found.rpartition("_")[0] != mark.rpartition("_")[0]:
        return None
    return int(found.rpartition("_")[2])
