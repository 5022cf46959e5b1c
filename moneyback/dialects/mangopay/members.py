"""What a body must hold: reads it member by member, and keeps a sentence for every member that is wrong.

Nothing here knows which call it is. Members that nobody asks for are left alone: clients send whole objects back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

import msgspec

from moneyback.core.money import BadAmount, minor_from_integer
from moneyback.dialects.mangopay.wire import BAD_DESCRIPTOR, BAD_TAG, DESCRIPTOR, ID_MAX, TAG_MAX

TEXT_MAX: Final = 255
ADDRESS: Final = ("AddressLine1", "AddressLine2", "City", "Region", "PostalCode", "Country")
CURRENCIES: Final = [
    "AED",
    "AUD",
    "CAD",
    "CHF",
    "CZK",
    "DKK",
    "EUR",
    "GBP",
    "HKD",
    "JPY",
    "NOK",
    "PLN",
    "SEK",
    "USD",
    "ZAR",
]
"""What wallets are held in (provider docs: currencies)."""

_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_URL: Final = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)
_BROWSER: Final[Mapping[str, type]] = MappingProxyType(
    {
        "AcceptHeader": str,
        "JavaEnabled": bool,
        "Language": str,
        "ColorDepth": int,
        "ScreenHeight": int,
        "ScreenWidth": int,
        "TimeZoneOffset": object,
        "UserAgent": str,
        "JavascriptEnabled": bool,
    }
)
_FLAGS: Final[Mapping[str, bool]] = MappingProxyType({"1": True, "true": True, "0": False, "false": False})
_NOTHING: Final[Mapping[type, Any]] = MappingProxyType({str: "", bool: False, int: 0, object: 0})
_DIGITS: Final = re.compile(r"-?[0-9]{1,15}")
_EXACT: Final = 10**15  # no count or date is as large
_OFFSET: Final = re.compile(r"[+-]?[0-9]{1,4}")


class Stated(msgspec.Struct, frozen=True):
    """A Money object that a client stated: minor units of a currency."""

    amount: int
    currency: str


class Members:
    """One body, or one object in it; `errors` fills with what is wrong, named by the path of the member.

    The case of names does not count, and of two that differ in nothing else the last one is meant: clients add
    `description` to a wallet that they read with a `Description`, and expect it to be taken.
    """

    def __init__(self, body: Any, errors: dict[str, str] | None = None, prefix: str = "") -> None:
        members = body if isinstance(body, dict) else {}
        self._members: Mapping[str, Any] = {name.lower(): value for name, value in members.items()}
        self._prefix = prefix
        self.errors: dict[str, str] = {} if errors is None else errors

    def has(self, name: str) -> bool:
        """Whether the member is there and not null."""
        return self._get(name) is not None

    def wrong(self, name: str, sentence: str) -> None:
        """Remember what is wrong with a member; its first complaint stays."""
        self.errors.setdefault(self._prefix + name, sentence)

    def text(self, name: str, *, required: bool = False, longest: int = TEXT_MAX) -> str | None:
        """Text of at most `longest` characters; a required one is not empty. An integer is the text of its digits."""
        value = self._there(name, required)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or len(value) > longest:
            self.wrong(name, f"The field {name} must be text of at most {longest} characters.")
            return None
        return value

    def tag(self) -> str | None:
        """The client's own words, null where there are none."""
        value = self._get("Tag")
        if value is None or (isinstance(value, str) and len(value) <= TAG_MAX):
            return value
        self.wrong("Tag", BAD_TAG)
        return None

    def identity(self, name: str, *, required: bool = True) -> str:
        """An identifier; empty when there is none."""
        return self.text(name, required=required, longest=ID_MAX) or ""

    def word(self, name: str, words: tuple[str, ...], *, required: bool = False, otherwise: str | None = None) -> str:
        """One of some words, whose case does not count."""
        value = self._there(name, required)
        if value is None:
            return otherwise or ""
        if isinstance(value, str) and value.upper() in words:
            return value.upper()
        shown = value if isinstance(value, str) and len(value) <= TEXT_MAX else ""
        self.wrong(name, f"The requested value '{shown}' was not found.")
        return otherwise or ""

    def whole(self, name: str, *, required: bool = False, least: int | None = None) -> int | None:
        """An integer; clients write one as text too, "6", and a time with a fraction of nothing, 188301600.0."""
        value = self._there(name, required)
        if value is None:
            return None
        found = _integer(value)
        if found is None or (least is not None and found < least):
            self.wrong(name, f"The field {name} must be an integer.")
            return None
        return found

    def flag(self, name: str, otherwise: bool | None = None) -> bool | None:
        """True or false; one client writes 1 and 0, forms write words."""
        value = self._get(name)
        if value is None or isinstance(value, bool):
            return otherwise if value is None else value
        known = _FLAGS.get(str(value).lower()) if isinstance(value, (int, str)) else None
        if known is not None:
            return known
        self.wrong(name, f"The field {name} must be true or false.")
        return otherwise

    def matching(self, name: str, form: re.Pattern[str], words: str, *, required: bool = False) -> str | None:
        """Text of a form; `words` say so."""
        value = self._there(name, required)
        if value is None:
            return None
        if isinstance(value, str) and len(value) <= TEXT_MAX and form.fullmatch(value):
            return value
        self.wrong(name, words)
        return None

    def country(self, name: str, *, required: bool = False) -> str | None:
        """Two letters (ISO 3166-1)."""
        return self.matching(
            name, _COUNTRY, f"The field {name} must be a country code of two letters.", required=required
        )

    def currency(self, name: str = "Currency") -> str:
        """One of the provider's currencies."""
        value = self.text(name, required=True, longest=3)
        if value and value not in CURRENCIES:
            self.wrong(name, f"{name}: The currency {value} is not available")
        return value or ""

    def email(self, name: str = "Email", *, required: bool = False) -> str | None:
        """An address of mail."""
        return self.matching(name, _EMAIL, f"The field {name} must be an e-mail address.", required=required)

    def url(self, name: str, *, required: bool = False) -> str | None:
        """An address of the web."""
        return self.matching(name, _URL, f"The field {name} is not a valid URL.", required=required)

    def descriptor(self) -> str | None:
        """What the payer reads on an account statement: null, or ten letters, digits and spaces."""
        return self.matching("StatementDescriptor", DESCRIPTOR, BAD_DESCRIPTOR)

    def money(self, name: str, *, required: bool = True, least: int = 0) -> Stated | None:
        """A Money object of at least `least` minor units, in one of the provider's currencies.

        Only a JSON integer is an amount: 10.00 could mean ten units or ten cents to its sender.
        """
        value = self._there(name, required)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.wrong(name, f"The {name} must be an object with a Currency and an Amount")
            return None
        inner = Members(value, self.errors, f"{self._prefix}{name}.")
        currency, amount = inner.currency(), inner.amount("Amount", required=True, least=least)
        return Stated(amount, currency) if amount is not None and currency in CURRENCIES else None

    def amount(self, name: str, *, required: bool = False, least: int = 0) -> int | None:
        """Minor units of a currency that is said elsewhere, at least `least`: a JSON integer and nothing else."""
        value = self._there(name, required)
        if value is None:
            return None
        if not is_amount(value):
            self.wrong(name, f"The {name} must be an integer of minor units")
        elif value < least:
            self.wrong(name, f"The {name} must be at least {least}")
        else:
            return int(value)
        return None

    def rows(self, name: str) -> list[Members] | None:
        """The objects of a list, each with its own members; None where there is no list."""
        value = self._get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.wrong(name, f"The field {name} must be a list of objects.")
            return None
        return [Members(each, self.errors, f"{self._prefix}{name}[{at}].") for at, each in enumerate(value)]

    def within(self, name: str) -> Members | None:
        """The members of an object in this one; None where there is none."""
        value = self._get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.wrong(name, f"The field {name} must be an object.")
            return None
        return Members(value, self.errors, f"{self._prefix}{name}.")

    def address(self, name: str) -> dict[str, str | None]:
        """An address with all its members, null where nothing was said."""
        inner = self.within(name)
        if inner is None:
            return dict.fromkeys(ADDRESS)
        found = {each: inner.text(each) for each in ADDRESS[:-1]}
        return {**found, "Country": inner.country("Country")}

    def person(self, name: str) -> dict[str, Any] | None:
        """Who is billed, or shipped to: whole or not at all, because a client's reader stumbles over half of it."""
        inner = self.within(name)
        if inner is None:
            return None
        names = {each: inner.text(each) for each in ("FirstName", "LastName")}
        return {**names, "Address": inner.address("Address")}

    def browser(self) -> dict[str, Any] | None:
        """What the payer's browser says of itself: nine members or none."""
        inner = self.within("BrowserInfo")
        if inner is None:
            return None
        read: dict[type, Callable[[str], Any]]
        read = {str: inner.text, bool: inner.flag, int: inner.whole, object: inner.offset}
        stated = {name: read[kind](name) for name, kind in _BROWSER.items()}
        return {name: _NOTHING[_BROWSER[name]] if value is None else value for name, value in stated.items()}

    def offset(self, name: str) -> str | int | None:
        """Minutes from UTC: the provider's examples and clients write text, "+60"; browsers count, -60."""
        value = self._get(name)
        if value is None or (isinstance(value, str) and _OFFSET.fullmatch(value)):
            return value
        return self.whole(name)

    def _get(self, name: str) -> Any:
        return self._members.get(name.lower())

    def _there(self, name: str, required: bool) -> Any:
        value = self._get(name)
        if value is None or (required and value == ""):
            if required:
                self.wrong(name, f"The {name} field is required.")
            return None
        return value


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal):
        return int(value) if abs(value) < _EXACT and value == int(value) else None
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value) else None
    return value if isinstance(value, int) else None


def is_amount(value: Any) -> bool:
    """Whether a value is an integer of minor units that can be kept."""
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    try:
        minor_from_integer(value)
    except BadAmount:
        return False
    return True
