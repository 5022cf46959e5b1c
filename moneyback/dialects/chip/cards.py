"""A payer's card at the edge: what is wrong with it, and the little of it that may be kept. Its number goes no further.

The cards of CHIP's test mode succeed, every other number fails (provider docs: introduction, testing integration).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

FIELDS: Final = ("cardholder_name", "card_number", "expires", "cvc")
CVC: Final = "123"
_CENTURY: Final = 2000
_LENGTHS: Final = {"cardholder_name": 30, "card_number": 19, "expires": 5, "cvc": 4}
_FORMS: Final = {
    "cardholder_name": re.compile(r"[A-Za-z][A-Za-z '.-]*"),
    "card_number": re.compile(r"[0-9]{12,19}"),
    "expires": re.compile(r"(0[1-9]|1[0-2])/[0-9]{2}"),
    "cvc": re.compile(r"[0-9]{3,4}"),
}
_TEST_CARDS: Final = {"4444333322221111": False, "5555555555554444": True}  # whether its bank asks the payer
_SCHEMES: Final = {"4": "visa", "5": "mastercard", "2": "mastercard", "6": "maestro"}
_MASKED: Final = re.compile(r"[0-9]{6}\*{6}[0-9]{4}")


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a card: its scheme, first six and last four digits, expiry and name."""

    scheme: str
    masked_pan: str
    expiry_month: int
    expiry_year: int
    cardholder_name: str
    three_d_secure: bool = False

    @property
    def extra(self) -> dict[str, Any]:
        """`extra` of an attempt made with it."""
        return {
            "masked_pan": self.masked_pan,
            "three_d_secure": self.three_d_secure,
            "expiry_month": self.expiry_month,
            "expiry_year": self.expiry_year,
            "cardholder_name": self.cardholder_name,
        }


class Misread(msgspec.Struct, frozen=True):
    """Why a card cannot be charged: CHIP's code of an attempt, and a sentence without any of the card in it."""

    code: str
    message: str

    @property
    def error(self) -> tuple[str, str]:
        """Both, as an attempt takes them."""
        return self.code, self.message


def read_card(fields: Mapping[str, str], now: datetime) -> Card | Misread:
    """The card that a form holds, or the first thing that is wrong with it."""
    said = {name: fields.get(name, "").strip() for name in FIELDS}
    said["card_number"] = said["card_number"].replace(" ", "")
    if not any(said.values()):
        return Misread("validation_card_details_missing", "Card data field values are missing.")
    for name, value in said.items():
        if not value:
            return Misread(f"validation_{name}_not_provided", f"{name} is not provided.")
        if len(value) > _LENGTHS[name]:
            return Misread(f"validation_{name}_too_long", f"{name} is too long.")
        if not _FORMS[name].fullmatch(value):
            return Misread(f"validation_{name}_invalid", f"{name} is invalid.")
    month, year = int(said["expires"][:2]), _CENTURY + int(said["expires"][3:])
    if (year, month) < (now.year, now.month):
        return Misread("validation_expires_invalid", "The card has expired.")
    number = said["card_number"]
    if number not in _TEST_CARDS:
        return Misread("invalid_card_number", "This is none of the test cards.")
    if said["cvc"] != CVC:
        return Misread("validation_cvc_invalid", "cvc is invalid.")
    return Card(
        scheme=_SCHEMES[number[0]],
        masked_pan=f"{number[:6]}******{number[-4:]}",
        expiry_month=month,
        expiry_year=year,
        cardholder_name=said["cardholder_name"],
        three_d_secure=_TEST_CARDS[number],
    )


def carried(card: Card) -> dict[str, str]:
    """A card as a form takes it along to its bank's page: what may be kept, and nothing else."""
    expires = f"{card.expiry_month:02}/{card.expiry_year - _CENTURY:02}"
    return {"scheme": card.scheme, "masked_pan": card.masked_pan, "expires": expires, "name": card.cardholder_name}


def brought_back(fields: Mapping[str, str]) -> Card | None:
    """A card that comes back from its bank's page; None where somebody has changed it into none."""
    scheme, masked, expires, name = (fields.get(each, "") for each in ("scheme", "masked_pan", "expires", "name"))
    sound = scheme in _SCHEMES.values() and _MASKED.fullmatch(masked) and _FORMS["expires"].fullmatch(expires)
    if not sound or len(name) > _LENGTHS["cardholder_name"] or not _FORMS["cardholder_name"].fullmatch(name):
        return None
    return Card(
        scheme=scheme,
        masked_pan=masked,
        expiry_month=int(expires[:2]),
        expiry_year=_CENTURY + int(expires[3:]),
        cardholder_name=name,
        three_d_secure=True,
    )
