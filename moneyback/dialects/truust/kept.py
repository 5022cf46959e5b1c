"""What is kept of a payin that Truust showed, so that its refunds can be answered with it as Truust would.

All of it but what gateways say of cards: numbers, expiry dates, and tokens by which a card can be charged again. It is
kept as JSON text, so that its numbers come back with the digits they came with.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from moneyback.scrub import scrub_data

SHOWN: Final = "shown"
"""The member of a payment's document that holds it."""
SECRETS: Final = ("Ds_ExpiryDate", "Ds_Merchant_Identifier", "challenge_3ds", "number", "bic", "iban", "email", "phone")
"""Members of a gateway's raw answer that are kept nowhere; what passes for a card number is kept under no name."""
_OUTSIDE: Final = frozenset({"id", "self", "reference", "direct_link", "connections"})
"""Members that name the payin and what belongs to it, in digits that may look like a card's."""
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


def kept(members: Mapping[str, Any]) -> str:
    """What may be kept of a payin's members, in their order."""
    scrubbed = scrub_data({name: value for name, value in members.items() if name not in _OUTSIDE}, SECRETS)
    return _encode({name: value if name in _OUTSIDE else scrubbed[name] for name, value in members.items()}).decode()


def is_kept(value: object) -> bool:
    """Whether a value is what is kept of a payin."""
    try:
        return isinstance(value, str) and isinstance(_decode(value), dict)
    except msgspec.DecodeError:
        return False


def shown(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The members of the payin as Truust showed it; None for one that Truust did not show."""
    text = document.get(SHOWN)
    found: dict[str, Any] | None = None if text is None else _decode(text)
    return found
