"""Ids as the outside sees them: a prefix that says what is named, then the UUID."""

from __future__ import annotations

from typing import Final
from uuid import UUID

PAYMENT: Final = "pay"
REFUND: Final = "re"
ORDER_REFUND: Final = "ore"
MERCHANT: Final = "mer"
EVIDENCE: Final = "evd"
KEY: Final = "key"
DELIVERY: Final = "del"
ENDPOINT: Final = "end"


def outward(prefix: str, id: UUID) -> str:
    """`re_018f…`: the public form of an id."""
    return f"{prefix}_{id.hex}"


def inward(prefix: str, text: str) -> UUID | None:
    """The id behind a public form; None for anything else, an id of another kind included."""
    kind, _, digits = text.partition("_")
    if kind != prefix or len(digits) != 32 or not digits.isalnum() or not digits.isascii():
        return None
    try:
        return UUID(hex=digits)
    except ValueError:
        return None
