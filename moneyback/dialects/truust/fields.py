"""What a request says: its fields, from JSON or either kind of form, checked for shape.

All that is wrong is said at once, field by field, as the provider's validation does. Nothing here looks at what is
kept. A reader is given a value and the field's name in words; it returns what is meant, or raises ValueError with the
sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from moneyback.core.money import BadAmount, Currency, UnknownCurrency, currency
from moneyback.dialect import Incoming
from moneyback.dialects.truust.wire import amount_minor

TAG_LENGTH_MAX: Final = 100
TEXT_LENGTH_MAX: Final = 255
LIST_LENGTH_MAX: Final = 50
URL_LENGTH_MAX: Final = 2048
DEPTH_MAX: Final = 8
NUMBER_MAX: Final = 2**63 - 1
_DIGITS: Final = re.compile(r"-?[0-9]{1,18}")
_BRACKETED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)((?:\[[^\[\]]*\])+)")
_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\]")
_EMAIL: Final = re.compile(r"[^@\s\x00-\x20]{1,64}@[^@\s]{1,190}")
_URL: Final = re.compile(r"https?://[^\s\x00-\x20\x7f]+", re.IGNORECASE)
_YES: Final = ("1", "true")
_NO: Final = ("0", "false")

Errors = dict[str, list[str]]
Reader = Callable[[Any, str], Any]


class Invalid(Exception):
    """A request that cannot be taken; `errors` are sentences by field, for its sender."""

    def __init__(self, errors: Errors) -> None:
        super().__init__(errors)
        self.errors = errors


def wrong(field: str, sentence: str) -> Invalid:
    """One field is wrong."""
    return Invalid({field: [sentence]})


def unknown(field: str) -> Invalid:
    """A field names something that is not there."""
    return wrong(field, f"The selected {in_words(field)} is invalid.")


def missing(field: str, when: str = "") -> str:
    """The sentence about a field that must be there."""
    return f"The {in_words(field)} field is required{f' {when}' if when else ''}."


def in_words(field: str) -> str:
    """A field's name as sentences say it."""
    return field.replace("_", " ")


# --- a whole request -------------------------------------------------------------------------------------------------


def parse(
    incoming: Incoming,
    readers: Mapping[str, Reader],
    *,
    required: Collection[str] = (),
    strict: Collection[str] = (),
) -> dict[str, Any]:
    """The fields that were sent, read; others are left alone. Raises Invalid with everything that is wrong.

    One that is null or empty is None, as if it were to be cleared, except those in `strict`: what is meant for an
    amount and is none must not give everything back.
    """
    given = fields_of(incoming)
    read: dict[str, Any] = {}
    errors: Errors = {}
    for name, reader in readers.items():
        value = given.get(name)
        if name not in given or (name not in strict and (value is None or value == "")):
            if name in required:
                errors[name] = [missing(name)]
            elif name in given:
                read[name] = None
            continue
        try:
            read[name] = reader(value, in_words(name))
        except ValueError as error:
            errors[name] = [str(error)]
    if errors:
        raise Invalid(errors)
    return read


def fields_of(incoming: Incoming) -> Mapping[str, Any]:
    """What a body says by name. Raises Invalid for one that is no object.

    An empty list says nothing either: PHP clients write an empty body so, as JSON.
    """
    body = incoming.body
    if body is None or body == []:
        return {}
    if not isinstance(body, Mapping):
        raise wrong("body", "The body must be an object.")
    return _unfolded(body) if incoming.encoding in ("form", "multipart") else body


def _unfolded(fields: Mapping[str, str]) -> Mapping[str, Any]:
    """A form's `metadata[key]=value` as an object (provider docs: recurring payments guide sends it so)."""
    found: dict[str, Any] = dict(fields)
    unfolded: dict[str, dict[str, Any]] = {}
    for name, value in fields.items():
        if (match := _BRACKETED.fullmatch(name)) and match[1] not in fields:
            _place(unfolded.setdefault(match[1], {}), match[1], _BRACKETS.findall(match[2]), value)
    return found | unfolded


def _place(target: dict[str, Any], field: str, keys: list[str], value: str) -> None:
    """Put a value where its brackets say. Empty brackets count up, as PHP's do; of two that collide the last stays."""
    if len(keys) > DEPTH_MAX:
        raise wrong(field, f"The {in_words(field)} is nested too deeply.")
    for key in keys[:-1]:
        inner = target.setdefault(key or str(len(target)), {})
        if not isinstance(inner, dict):
            inner = target[key] = {}
        target = inner
    target[keys[-1] or str(len(target))] = value


# --- one reader a kind -----------------------------------------------------------------------------------------------


def text(length_max: int = TEXT_LENGTH_MAX) -> Reader:
    """Text of so many characters at most."""

    def read(value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise ValueError(f"The {name} must be a string.")
        if len(value) > length_max:
            raise ValueError(f"The {name} may not be longer than {length_max} characters.")
        return value

    return read


def loose_text(length_max: int = TEXT_LENGTH_MAX) -> Reader:
    """Text, or a number that clients write without quotes: a postal code, a phone number, an order's tag."""
    strict = text(length_max)

    def read(value: Any, name: str) -> Any:
        return strict(str(value) if isinstance(value, int) and not isinstance(value, bool) else value, name)

    return read


def matching(pattern: str, length_max: int = TEXT_LENGTH_MAX) -> Reader:
    """Text of a form."""
    form, strict = re.compile(pattern), loose_text(length_max)

    def read(value: Any, name: str) -> Any:
        found = strict(value, name).strip()
        if not form.fullmatch(found):
            raise ValueError(f"The {name} format is invalid.")
        return found

    return read


def integer(value: Any, name: str) -> int:
    """A whole number, which a form sends as text."""
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and _is_whole(Decimal(value)):
        return int(value)
    raise ValueError(f"The {name} must be an integer.")


def _is_whole(number: Decimal) -> bool:
    return abs(number) <= NUMBER_MAX and number == int(number)


def at_least(least: int) -> Reader:
    """A whole number that is not too small."""

    def read(value: Any, name: str) -> int:
        number = integer(value, name)
        if number < least:
            raise ValueError(f"The {name} must be at least {least}.")
        return number

    return read


def flag(value: Any, name: str) -> bool:
    """Yes or no, in any of the ways in which clients write it."""
    said = str(value).lower() if isinstance(value, bool | int | str) else ""
    if said not in (*_YES, *_NO):
        raise ValueError(f"The {name} field must be true or false.")
    return said in _YES


def zero_or_one(value: Any, name: str) -> bool:
    """A choice of the two numbers, and of nothing else."""
    if isinstance(value, bool) or value not in (0, 1, "0", "1"):
        raise ValueError(f"The selected {name} is invalid.")
    return value in (1, "1")


def one_of(known: Collection[str]) -> Reader:
    """A word out of a few."""

    def read(value: Any, name: str) -> str:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"The selected {name} is invalid.")
        return value

    return read


def mapping(value: Any, name: str) -> Mapping[str, Any]:
    """An object."""
    if not isinstance(value, Mapping):
        raise ValueError(f"The {name} must be an object.")
    return value


def texts(length_max: int = LIST_LENGTH_MAX) -> Reader:
    """A list of texts; a form's `name[]=value` is one too."""

    def read(value: Any, name: str) -> list[str]:
        found = list(value.values()) if isinstance(value, Mapping) else value
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise ValueError(f"The {name} must be an array.")
        if len(found) > length_max:
            raise ValueError(f"The {name} may not have more than {length_max} items.")
        if any(len(each) > URL_LENGTH_MAX for each in found):
            raise ValueError(f"The {name} may not have items longer than {URL_LENGTH_MAX} characters.")
        return found

    return read


def email(value: Any, name: str) -> str:
    """An address for mail."""
    found = str(text()(value, name)).strip()
    if not _EMAIL.fullmatch(found):
        raise ValueError(f"The {name} must be a valid email address.")
    return found


def url(value: Any, name: str) -> str:
    """An address a browser can be sent to."""
    found = str(text(URL_LENGTH_MAX)(value, name)).strip()
    if not _URL.fullmatch(found):
        raise ValueError(f"The {name} format is invalid.")
    return found


def code_of_currency(value: Any, name: str) -> str:
    """A currency's code, in whatever case."""
    found = value.strip().upper() if isinstance(value, str) else ""
    try:
        return currency(found).code
    except UnknownCurrency:
        raise ValueError(f"The selected {name} is invalid.") from None


def amount(money: Currency) -> Reader:
    """Minor units of an amount of major units, from nothing upwards."""

    def read(value: Any, name: str) -> int:
        try:
            minor = amount_minor(value, money)
        except BadAmount as bad:
            raise ValueError(_about(bad, money, name)) from None
        if minor < 0:
            raise ValueError(f"The {name} must be at least 0.")
        return minor

    return read


def _about(bad: BadAmount, money: Currency, name: str) -> str:
    match bad.why:
        case "too_precise":
            return f"The {name} may not have more than {money.exponent} decimal places."
        case "too_large" | "exponent":
            return f"The {name} is out of range."
        case _:
            return f"The {name} must be a number."


_PERCENT: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")


def percent(value: Any, name: str) -> Decimal:
    """Of a hundred, with at most six decimals."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ValueError(f"The {name} must be a number.")
    found = f"{value:f}" if isinstance(value, Decimal) else str(value).strip()
    if not _PERCENT.fullmatch(found) or Decimal(found) > 100:
        raise ValueError(f"The {name} must be between 0 and 100.")
    return Decimal(found)


TAG: Final = loose_text(TAG_LENGTH_MAX)
"""A label of the client's own; shops put their order's number there."""


# --- the refund call -------------------------------------------------------------------------------------------------


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A refund request, its shape checked. `amount` is minor units of the payin's currency; None: what remains."""

    amount: int | None = None
    multipayin: bool = False
    bankaccount_id: int | None = None
    tag: str | None = None
    metadata: Mapping[str, Any] | None = None


def parse_refund(incoming: Incoming, money: Currency) -> Wanted:
    """The five fields, all optional (provider docs: Refund payin, body). Raises Invalid."""
    readers: dict[str, Reader] = {
        "amount": amount(money),
        "multipayin": zero_or_one,
        "bankaccount_id": integer,
        "tag": text(TAG_LENGTH_MAX),
        "metadata": mapping,
    }
    read = parse(incoming, readers, strict=("amount",))
    return Wanted(**{name: value for name, value in read.items() if value is not None})
