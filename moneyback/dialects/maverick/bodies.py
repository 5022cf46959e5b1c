"""What Maverick's clients send, member by member: bodies, ids, amounts, texts and choices, or the first thing wrong.

JSON and forms come out alike, a number may be text, and members nobody knows are passed over: the provider's own
examples post back whole records. Nothing here knows what a request is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from moneyback.core.money import MINOR_MAX, BadAmount, currency, minor_from_decimal
from moneyback.dialects.maverick.wire import NOT_FOUND, TERMINAL, Complaint, Settings, invalid, written

AMOUNT_MAX: Final = "1000000"
"""In major units: the largest amount one call may state (recorded of a client in production)."""

NO_TERMINAL: Final = Complaint(422, "Terminal ID cannot be blank.")
BAD_TERMINAL: Final = Complaint(422, "Terminal ID must be an integer.")
FOREIGN_TERMINAL: Final = Complaint(404, "The requested terminal does not exist.")


class Wrong(ValueError):
    """A body that cannot be taken as it is. May be tried again: not unchanged."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(complaint.message)
        self.complaint = complaint


# --- bodies ----------------------------------------------------------------------------------------------------------


def read_body(body: Any) -> Mapping[str, Any]:
    """The members of a request body: none for no body and PHP's empty array; a form's `terminal[id]` nests.

    Raises Wrong.
    """
    if body is None or body == []:
        return {}
    if not isinstance(body, Mapping):
        raise Wrong(Complaint(400, "The request body must be a JSON object."))
    nested: dict[str, Any] = {}
    for name, value in body.items():
        outer, bracket, inner = name.partition("[")
        if bracket and inner.endswith("]") and isinstance(nested.setdefault(outer, {}), dict):
            _put(nested[outer], inner[:-1].split("]["), value)
        else:
            nested[name] = dict(value) if isinstance(value, Mapping) else value
    return nested


def _put(place: dict[str, Any], steps: list[str], value: Any) -> None:
    for step in steps[:-1]:
        inner = place.setdefault(step, {})
        if not isinstance(inner, dict):
            return
        place = inner
    place[steps[-1]] = value


def object_of(value: Any, label: str) -> Mapping[str, Any]:
    """A nested object; null, PHP's empty array and a form's empty field are one without members. Raises Wrong."""
    if value is None or value == [] or value == "":
        return {}
    if not isinstance(value, Mapping):
        raise Wrong(invalid(f"{label} must be an object."))
    return value


# --- terminals -------------------------------------------------------------------------------------------------------


def check_terminal(body: Mapping[str, Any], terminal: int | None, settings: Settings) -> None:
    """`terminal.id` must name the terminal that took the payment, as far as it is known. Raises Wrong."""
    stated = _stated_terminal(body, settings)
    if None not in (stated, terminal) and stated != terminal:
        raise Wrong(NOT_FOUND)


def own_terminal(body: Mapping[str, Any], settings: Settings) -> int:
    """The terminal a new transaction goes through, which must be one of the token's. Raises Wrong."""
    stated, own = _stated_terminal(body, settings), settings.terminal_id
    if stated is None:
        return own or TERMINAL
    if stated < 1 or own not in (None, stated):
        raise Wrong(FOREIGN_TERMINAL)
    return stated


def _stated_terminal(body: Mapping[str, Any], settings: Settings) -> int | None:
    """None where none is stated and the right one is meant."""
    stated = body.get("terminal")
    named = stated.get("id") if isinstance(stated, Mapping) else None
    if named is None or named == "":
        if settings.missing_terminal == "infer":
            return None
        raise Wrong(NO_TERMINAL if settings.missing_terminal == 422 else NOT_FOUND)
    number = whole(named)
    if number is None:
        raise Wrong(BAD_TERMINAL)
    return number


# --- members ---------------------------------------------------------------------------------------------------------


def whole(value: Any) -> int | None:
    """An integer, also one written as text or with zeros behind its point; None for anything else."""
    match value:
        case bool():
            return None
        case int():
            return value
        case Decimal() if value.is_finite() and value == value.to_integral_value():
            return int(value)
        case str() if value.isascii() and value.isdigit() and len(value) <= len(str(MINOR_MAX)):
            return int(value)
        case _:
            return None


def amount_of(value: Any, label: str, code: str) -> int | None:
    """Minor units of a JSON number or of decimal text without an exponent; None where none is stated. Raises Wrong.

    Null is as good as absent; "" is not.
    """
    if value is None:
        return None
    if value == "":
        raise Wrong(invalid(f"{label} cannot be blank."))
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise Wrong(invalid(f"{label} must be a number."))
    unit = currency(code)
    limit = minor_from_decimal(AMOUNT_MAX, unit)
    try:
        minor = minor_from_decimal(value, unit)
    except BadAmount as bad:
        if bad.why == "too_precise":
            raise Wrong(invalid(f"{label} must have at most {unit.exponent} decimal places.")) from None
        if bad.why != "too_large":
            raise Wrong(invalid(f"{label} must be a number.")) from None
        minor = -1 if str(value).startswith("-") else limit + 1
    if minor > limit:
        raise Wrong(invalid(f"{label} must be no greater than {written(limit, code)}."))
    return minor


def positive_amount_of(value: Any, code: str) -> int | None:
    """The same of `amount`, which moves something. Raises Wrong."""
    amount = amount_of(value, "Amount", code)
    if amount is not None and amount <= 0:
        raise Wrong(invalid("Amount must be greater than 0."))
    return amount


def part_of(value: Any, label: str, code: str) -> int | None:
    """A part of an order: a number, numeric text or `{"amount": …}`, for its shape is unpublished. Raises Wrong."""
    part = amount_of(value.get("amount") if isinstance(value, Mapping) else value, label, code)
    if part is not None and part < 0:
        raise Wrong(invalid(f"{label} must be no less than 0."))
    return part


def text_of(value: Any, label: str, length_max: int) -> str | None:
    """Text, or a number as its digits; None where nothing, or nothing but blanks, is stated. Raises Wrong."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Wrong(invalid(f"{label} must be a string."))
    text = str(value).strip()
    if len(text) > length_max:
        raise Wrong(invalid(f"{label} should contain at most {length_max} characters."))
    return text or None


def choice_of(value: Any, label: str, choices: tuple[str, ...]) -> str | None:
    """One of a few words; None where none is stated. Raises Wrong."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or value not in choices:
        raise Wrong(invalid(f"{label} is invalid."))
    return value


_YES: Final = ("yes", "true", "1")
_NO: Final = ("no", "false", "0")


def yes_of(value: Any, label: str) -> bool:
    """`"Yes"` or `"No"`, a boolean, or a form's way to write one; nothing is no. Raises Wrong."""
    if value is None or value == "":
        return False
    said = str(value).lower() if isinstance(value, bool | str | int) else ""
    if said not in (*_YES, *_NO):
        raise Wrong(invalid(f"{label} is invalid."))
    return said in _YES
