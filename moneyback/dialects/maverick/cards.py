"""Cards: what a request says of one, what may be kept of it, its tokens, and how the sandbox's processor judges it.

Of a card number nothing leaves this file but its first six and last four digits; a security code is only looked at.
"""

from __future__ import annotations

import re
from base64 import b32encode
from calendar import monthrange
from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.dialect import Ask, LoadDocument, NewId, SaveDocument
from moneyback.dialects.maverick.bodies import Wrong, object_of, text_of, yes_of
from moneyback.dialects.maverick.wire import DECLINED, FUNDS, invalid

TOKEN: Final = "token"
"""The kind of document that keeps a card by its token."""
DEMO_TOKEN: Final = "SANDBOXDEMO1111"
"""A token that every sandbox knows, for clients that get theirs from a browser."""

DECLINING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "4000000000000002": DECLINED,
        "4000000000009995": FUNDS,
        "4000000000000119": "System Error",
    }
)
"""Numbers that the sandbox's processor does not approve, and why; it approves every other one."""

_NUMBER: Final = re.compile(r"\d{12,19}", re.ASCII)
_EXPIRY: Final = re.compile(r"(0[1-9]|1[0-2])\s*[/-]?\s*(?:20)?(\d\d)", re.ASCII)
_CODE: Final = re.compile(r"\d{3,4}", re.ASCII)
_BLANKS: Final = str.maketrans("", "", " -")
_TOKEN_LENGTH: Final = 12
NAME_LENGTH_MAX: Final = 128
_TOKEN_LENGTH_MAX: Final = 64


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What may be kept of a card, and what the processor will say to it."""

    bin: int
    number: int  # the last four digits
    exp: str  # the last day of its last month, YYYY-MM-DD
    name: str | None = None
    refusal: str | None = None

    @property
    def is_mastercard(self) -> bool:
        """Whether its brand is Mastercard, which has its own 3-D Secure codes."""
        return str(self.bin)[0] in "25"


class CardStated(msgspec.Struct, frozen=True, kw_only=True):
    """How a request names a card: itself, or by the token of one that is kept."""

    card: Card | None = None
    token: str | None = None
    name: str | None = None
    keep: bool = False  # whether its token is wanted
    verification: Mapping[str, str | None] = {}


# --- reading ---------------------------------------------------------------------------------------------------------


def read_card(body: Mapping[str, Any], *, by_token: bool = True) -> CardStated:
    """The member `card` of a request. Raises Wrong, whose message never repeats what was sent."""
    if body.get("token") is not None:
        raise Wrong(invalid("Token must be stated within card."))
    stated = object_of(body.get("card"), "Card")
    if not stated:
        raise Wrong(invalid("Card cannot be blank."))
    name = text_of(stated.get("name"), "Card name", NAME_LENGTH_MAX)
    keep = yes_of(stated.get("save"), "Card save") or yes_of(stated.get("store"), "Card store")
    token = text_of(stated.get("token"), "Card token", _TOKEN_LENGTH_MAX) if by_token else None
    address = _address_code(object_of(stated.get("address"), "Card address"))
    code = _security_code(stated.get("cvv"))
    verification = {"cvv": code, "address": address}
    if token is not None:
        return CardStated(token=token, name=name, verification=verification)
    number = _number(stated.get("number"))
    card = Card(
        bin=int(number[:6]),
        number=int(number[-4:]),
        exp=_expiry(stated.get("exp")),
        name=name,
        refusal=DECLINING.get(number),
    )
    return CardStated(card=card, name=name, keep=keep, verification=verification)


def _number(value: Any) -> str:
    text = (text_of(value, "Card number", 40) or "").translate(_BLANKS)
    if not text:
        raise Wrong(invalid("Card number cannot be blank."))
    if _NUMBER.fullmatch(text) is None or not _checks(text):
        raise Wrong(invalid("Card number is invalid."))
    return text


def _checks(digits: str) -> bool:
    """Whether the last digit is the one that Luhn's sum demands."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0


def _expiry(value: Any) -> str:
    """The last day of the month of "mm/yy". Whether it is past is not judged: published examples are old."""
    text = text_of(value, "Card exp", 16)
    if text is None:
        raise Wrong(invalid("Card exp cannot be blank."))
    found = _EXPIRY.fullmatch(text)
    if found is None:
        raise Wrong(invalid("Card exp must be in the format mm/yy."))
    month, year = int(found[1]), 2000 + int(found[2])
    return f"{year}-{month:02}-{monthrange(year, month)[1]}"


def _security_code(value: Any) -> str | None:
    """M, the code matched, when a code of the right form is stated: null when none is. It goes no further."""
    text = text_of(value, "Card cvv", 8)
    if text is None:
        return None
    if _CODE.fullmatch(text) is None:
        raise Wrong(invalid("Card cvv is invalid."))
    return "M"


def _address_code(address: Mapping[str, Any]) -> str:
    """What the address check says: street and zip match where they are stated, 0 where neither is (seen live)."""
    street, zip_code = address.get("street"), address.get("zip")
    return {(True, True): "Y", (True, False): "A", (False, True): "Z"}.get((bool(street), bool(zip_code)), "0")


# --- tokens ----------------------------------------------------------------------------------------------------------


def presented_card(presented: CardStated) -> Generator[Ask, Any, Card | None]:
    """The card a request means; None for a token that was never given out."""
    if presented.card is not None:
        return presented.card
    assert presented.token is not None, "a card is named by its number or by a token"
    kept = yield LoadDocument(TOKEN, presented.token)
    if kept is None:
        return None
    card = msgspec.convert(kept, Card)
    return msgspec.structs.replace(card, name=presented.name or card.name)


def keep_card(card: Card) -> Generator[Ask, Any, str]:
    """The card's new token: twelve characters, and its last four digits as in the provider's own."""
    drawn: UUID = yield NewId()
    letters = b32encode(drawn.bytes[::-1]).decode()[:_TOKEN_LENGTH]
    token = f"{letters}{card.number:04}"
    yield SaveDocument(TOKEN, token, msgspec.to_builtins(card))
    return token


def demo_card() -> SaveDocument:
    """The card behind the token that every sandbox knows."""
    card = Card(bin=411111, number=1111, exp="2030-12-31", name="Ada Demo")
    return SaveDocument(TOKEN, DEMO_TOKEN, msgspec.to_builtins(card))
