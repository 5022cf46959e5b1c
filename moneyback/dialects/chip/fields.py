"""What a request's body says, member by member, and CHIP's error for each that is wrong: nested like the request.

Members are read in the manner of CHIP's own server: unknown ones are ignored, numbers may be written as text, and what
is wrong is collected rather than stopped at. No purchase, client or webhook lives here, only their kinds of members.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from moneyback.core.money import MINOR_MAX
from moneyback.dialect import Outgoing
from moneyback.dialects.chip.countries import code_of
from moneyback.dialects.chip.wire import ALL, Complaint, kind

TEXT_MAX: Final = 10_000
URL_MAX: Final = 500
EMAIL_MAX: Final = 254
ITEMS_MAX: Final = 1_000
_NUMBER_LENGTH_MAX: Final = 64
_EXPONENT_MAX: Final = 30
_UNIX_MAX: Final = 10**11
_EMAIL: Final = re.compile(r"[^@\s<>\"'(),:;]+@[\w-]+(\.[\w-]+)*\.\w[\w-]+")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}")
_TRUE: Final = (True, 1, "1", "true", "True", "on")
_FALSE: Final = (False, 0, "0", "false", "False", "off")

Place = tuple[str | int, ...]


class Wrong(msgspec.Struct, frozen=True):
    """One thing wrong with a request: where it stands in it, CHIP's code and sentence."""

    place: Place
    code: str
    message: str


# --- the answer ------------------------------------------------------------------------------------------------------


def refused(complaint: Complaint, status: int = 400) -> Outgoing:
    """CHIP's error body. A field's error is repeated under `__all__`, in list form, which CHIP itself does not do.

    CHIP's WooCommerce plugin and its kin take an answer without `__all__` for a success and record a refund that never
    was; nobody is hurt by reading the error twice.
    """
    errors = [{"message": complaint.message, "code": complaint.code}]
    if complaint.field == ALL:
        return Outgoing(status=status, body={ALL: errors})
    return Outgoing(status=status, body={complaint.field: errors, ALL: errors})


def invalid(wrongs: Collection[Wrong]) -> Outgoing:
    """400 with every error where it belongs, all of them once more under `__all__`."""
    tree: dict[str | int, Any] = {}
    for wrong in wrongs:
        *above, last = wrong.place
        level = tree
        for step in above:
            level = level.setdefault(step, {})
        level.setdefault(last, []).append({"message": wrong.message, "code": wrong.code})
    body = _plain(tree)
    body[ALL] = [{"message": wrong.message, "code": wrong.code} for wrong in wrongs]
    return Outgoing(status=400, body=body)


def _plain(tree: Any) -> Any:
    """A level whose steps are numbers as a list: an empty object for each item that is fine."""
    if not isinstance(tree, dict):
        return tree
    if tree and all(isinstance(step, int) for step in tree):
        return [_plain(tree.get(each, {})) for each in range(max(tree) + 1)]
    return {str(step): _plain(below) for step, below in tree.items()}


# --- reading ---------------------------------------------------------------------------------------------------------


class Form:
    """The members of one object of a request. What is wrong goes to `wrongs`, which all levels share."""

    def __init__(self, data: Mapping[str, Any], wrongs: list[Wrong], place: Place = ()) -> None:
        self._data = data
        self.wrongs = wrongs
        self._place = place

    def __contains__(self, name: str) -> bool:
        """Whether the request says anything there, null included."""
        return name in self._data

    def given(self, name: str) -> Any:
        """What stands there, unread; None where nothing does."""
        return self._data.get(name)

    def wrong(self, name: str, code: str, message: str) -> None:
        """Note an error of a member; `__all__` for the object as a whole."""
        self.wrongs.append(Wrong((*self._place, name), code, message))

    def text(self, name: str, limit: int = TEXT_MAX, *, required: bool = False, nullable: bool = True) -> str:
        """A text of at most `limit` characters, "" where none is stated; a number is taken as it is written."""
        value = self._value(name, required)
        if not nullable and name in self._data and value is None:
            self.wrong(name, "null", "This field may not be null.")
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            self.wrong(name, "invalid", "Not a valid string.")
            return ""
        said = str(value).strip()
        if required and not said:
            self.wrong(name, "blank", "This field may not be blank.")
        if len(said) > limit:
            self.wrong(name, "max_length", f"Ensure this field has no more than {limit} characters.")
        return said

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean, or a word for one."""
        value = self._value(name)
        if value is None:
            return default
        if isinstance(value, bool | int | str):
            if value in _TRUE:
                return True
            if value in _FALSE:
                return False
        self.wrong(name, "invalid", "Must be a valid boolean.")
        return default

    def integer(
        self,
        name: str,
        *,
        minimum: int = -MINOR_MAX,
        maximum: int = MINOR_MAX,
        required: bool = False,
        nullable: bool = False,
    ) -> int | None:
        """An integer: a number with nothing behind its point, or a string of digits. None where it is not stated."""
        if nullable and self._data.get(name) is None:
            return None
        value = self._value(name, required)
        if value is None:
            return None
        found = _integer(value)
        if found is None:
            self.wrong(name, "invalid", "A valid integer is required.")
            return None
        return found if self._within(name, found, minimum, maximum) else None

    def decimal(self, name: str, *, digits: int, places: int, maximum: int, default: int) -> Decimal:
        """A number from 0 to `maximum` of at most so many digits and places, as a number or in text."""
        value = self._value(name)
        if value is None:
            return Decimal(default)
        if isinstance(value, str) and len(value) > _NUMBER_LENGTH_MAX:
            self.wrong(name, "max_string_length", "String value too large.")
            return Decimal(default)
        number = _decimal(value)
        if number is None:
            self.wrong(name, "invalid", "A valid number is required.")
            return Decimal(default)
        found, decimals = _measure(number)
        if found > digits:
            self.wrong(name, "max_digits", f"Ensure that there are no more than {digits} digits in total.")
        elif decimals > places:
            self.wrong(name, "max_decimal_places", f"Ensure that there are no more than {places} decimal places.")
        elif self._within(name, number, 0, maximum):
            return abs(number)  # there is a zero with a sign
        return Decimal(default)

    def moment(self, name: str) -> int | None:
        """A unix time in seconds, or None."""
        return self.integer(name, minimum=0, maximum=_UNIX_MAX, nullable=True)

    def day(self, name: str) -> str | None:
        """A date as YYYY-MM-DD, or None."""
        value = self._data.get(name)
        if value is None or value == "":
            return None
        try:
            return date.fromisoformat(value).isoformat()
        except (TypeError, ValueError):
            self.wrong(name, "invalid", "Date has wrong format. Use one of these formats instead: YYYY-MM-DD.")
            return None

    def uuid(self, name: str, *, required: bool = False) -> str | None:
        """An id in small letters, or None."""
        value = self._value(name, required) if required else self._data.get(name)
        if value is None:
            return None
        if isinstance(value, str) and _UUID.fullmatch(value):
            return str(UUID(value))
        self.wrong(name, "invalid", "Must be a valid UUID.")
        return None

    def url(self, name: str, *, required: bool = False, ports: bool = True) -> str:
        """A web address of at most 500 characters; "" where none is stated. `ports`: whether it may name one."""
        said = self.text(name, URL_MAX, required=required)
        if not said:
            return said
        if not _is_web_address(said):
            self.wrong(name, "invalid", "Enter a valid URL.")
        elif not ports and urlsplit(said).port is not None:
            self.wrong(name, "invalid", "Enter a valid URL without a port.")
        return said

    def email(self, name: str, *, required: bool = False) -> str:
        """An e-mail address; "" where none is stated."""
        said = self.text(name, EMAIL_MAX, required=required)
        if said and not _EMAIL.fullmatch(said):
            self.wrong(name, "invalid", "Enter a valid email address.")
        return said

    def country(self, name: str) -> str:
        """A country's two letters, from those or from its English name; "" where none is stated."""
        said = self.text(name)
        if not said:
            return said
        code = code_of(said)
        if code is None:
            self.wrong(name, "invalid_choice", "This is not a valid choice.")
        return code or ""

    def below(self, name: str, *, required: bool = False) -> Form | None:
        """The object that stands there; None where none does."""
        value = self._value(name, required)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.wrong(name, "invalid", f"Invalid data. Expected a dictionary, but got {kind(value)}.")
            return None
        return Form(value, self.wrongs, (*self._place, name))

    def objects(self, name: str, *, required: bool = False) -> list[Form]:
        """The objects of a list, at least one where it is required."""
        found = []
        for number, value in enumerate(self.items(name, required=required, least=1 if required else 0)):
            place = (*self._place, name, number)
            if isinstance(value, Mapping):
                found.append(Form(value, self.wrongs, place))
            else:
                sentence = f"Invalid data. Expected a dictionary, but got {kind(value)}."
                self.wrongs.append(Wrong((*place, ALL), "invalid", sentence))
        return found

    def items(self, name: str, *, required: bool = False, least: int = 0) -> list[Any]:
        """A list as it stands."""
        value = self._value(name, required)
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(name, "not_a_list", f'Expected a list of items but got type "{kind(value)}".')
            return []
        if len(value) < least:
            self.wrong(name, "min_length", f"Ensure this field has at least {least} elements.")
        if len(value) > ITEMS_MAX:
            self.wrong(name, "max_length", f"Ensure this field has no more than {ITEMS_MAX} elements.")
            return []
        return value

    def words(self, name: str, choices: Collection[str] | None = None, *, least: int = 0) -> list[str]:
        """A list of texts, each once; of these words where there are `choices`."""
        found: list[str] = []
        for value in self.items(name, least=least):
            if not isinstance(value, str) or (choices is not None and value not in choices):
                code, message = ("invalid", "Not a valid string.")
                if choices is not None:
                    code, message = ("invalid_choice", "This is not a valid choice.")
                self.wrong(name, code, message)
            elif value not in found:
                found.append(value)
        return found

    def emails(self, name: str) -> list[str]:
        """A list of e-mail addresses."""
        found = self.words(name)
        if any(not _EMAIL.fullmatch(each) or len(each) > EMAIL_MAX for each in found):
            self.wrong(name, "invalid", "Enter a valid email address.")
        return found

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An object of any members."""
        found = self.below(name)
        return found._data if found is not None else {}

    def _value(self, name: str, required: bool = False) -> Any:
        if name not in self._data:
            if required:
                self.wrong(name, "required", "This field is required.")
            return None
        value = self._data[name]
        if value is None and required:
            self.wrong(name, "null", "This field may not be null.")
        return value

    def _within(self, name: str, found: int | Decimal, minimum: int, maximum: int) -> bool:
        if found < minimum:
            self.wrong(name, "min_value", f"Ensure this value is greater than or equal to {minimum}.")
        elif found > maximum:
            self.wrong(name, "max_value", f"Ensure this value is less than or equal to {maximum}.")
        else:
            return True
        return False


def opened(body: Any) -> tuple[Form, list[Wrong]]:
    """A request's body as a form, and the list of what will be found wrong. No body, and PHP's `[]`, are empty ones."""
    wrongs: list[Wrong] = []
    if body is None or body == []:
        body = {}
    if not isinstance(body, Mapping):
        wrongs.append(Wrong((ALL,), "invalid", f"Invalid data. Expected a dictionary, but got {kind(body)}."))
        body = {}
    return Form(body, wrongs), wrongs


def _integer(value: Any) -> int | None:
    match value:
        case bool():
            return None
        case int():
            return value
        case Decimal() if value.is_finite() and abs(value.adjusted()) <= _EXPONENT_MAX:
            return int(value) if value == int(value) else None
        case str() if len(value) <= _NUMBER_LENGTH_MAX and _INTEGER.fullmatch(value.strip()):
            return int(value)
        case _:
            return None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    said = str(value).strip()
    try:
        number = Decimal(said) if _DECIMAL.fullmatch(said) else None
    except InvalidOperation:
        return None
    return number if number is None or abs(number.adjusted()) <= _EXPONENT_MAX else None


def _measure(number: Decimal) -> tuple[int, int]:
    """How many digits a number is written with, and how many of them stand behind the point."""
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if exponent >= 0:
        return len(digits) + exponent, 0
    return max(len(digits), -exponent), -exponent


def _is_web_address(said: str) -> bool:
    if any(each in said for each in "<>'\" \t\r\n\\"):
        return False
    try:
        parts = urlsplit(said)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
