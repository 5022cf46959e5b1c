"""What a refund request says: its fields, from JSON or either kind of form, checked for shape.

All that is wrong is said at once, field by field, as the provider's validation does. Nothing here looks at the payin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from moneyback.core.money import BadAmount, Currency
from moneyback.dialect import Incoming
from moneyback.dialects.truust.wire import amount_minor

TAG_LENGTH_MAX: Final = 100
DEPTH_MAX: Final = 8
_DIGITS: Final = re.compile(r"-?[0-9]{1,18}")
_BRACKETED: Final = re.compile(r"metadata((?:\[[^\[\]]*\])+)")
_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\]")

Errors = dict[str, list[str]]


class Invalid(Exception):
    """A request that cannot be taken; `errors` are sentences by field, for its sender."""

    def __init__(self, errors: Errors) -> None:
        super().__init__(errors)
        self.errors = errors


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A refund request, its shape checked. `amount` is minor units of the payin's currency; None: what remains."""

    amount: int | None = None
    multipayin: bool = False
    bankaccount_id: int | None = None
    tag: str | None = None
    metadata: Mapping[str, Any] | None = None


def parse_refund(incoming: Incoming, money: Currency) -> Wanted:
    """The five fields, all optional (provider docs: Refund payin, body); others are left alone. Raises Invalid.

    A field that is null or empty counts as left out, except `amount`: what is meant for an amount and is none must not
    give everything back.
    """
    given = _fields(incoming)
    read: dict[str, Any] = {}
    errors: Errors = {}
    for name, reader in _READERS.items():
        value = given.get(name)
        if name not in given or (name != "amount" and value in (None, "")):
            continue
        try:
            read[name] = reader(value, money)
        except ValueError as error:
            errors[name] = [str(error)]
    if errors:
        raise Invalid(errors)
    return Wanted(**read)


def _fields(incoming: Incoming) -> Mapping[str, Any]:
    body = incoming.body
    if body is None:
        return {}
    if not isinstance(body, Mapping):
        raise Invalid({"body": ["The body must be an object."]})
    return _unfolded(body) if incoming.encoding in ("form", "multipart") else body


def _unfolded(fields: Mapping[str, str]) -> Mapping[str, Any]:
    """A form's `metadata[key]=value` as an object (provider docs: recurring payments guide sends it so)."""
    found: dict[str, Any] = dict(fields)
    unfolded: dict[str, Any] = {}
    for name, value in fields.items():
        if match := _BRACKETED.fullmatch(name):
            _place(unfolded, _BRACKETS.findall(match[1]), value)
    if unfolded and "metadata" not in fields:
        found["metadata"] = unfolded
    return found


def _place(target: dict[str, Any], keys: list[str], value: str) -> None:
    """Put a value where its brackets say. Empty brackets count up, as PHP's do; of two that collide the last stays."""
    if len(keys) > DEPTH_MAX:
        raise Invalid({"metadata": ["The metadata is nested too deeply."]})
    for key in keys[:-1]:
        inner = target.setdefault(key or str(len(target)), {})
        if not isinstance(inner, dict):
            inner = target[key] = {}
        target = inner
    target[keys[-1] or str(len(target))] = value


# --- one reader a field; each raises ValueError with the sentence ----------------------------------------------------


def _amount(value: object, money: Currency) -> int:
    try:
        minor = amount_minor(value, money)
    except BadAmount as bad:
        raise ValueError(_about(bad, money)) from None
    if minor < 0:
        raise ValueError("The amount must be at least 0.")
    return minor


def _about(bad: BadAmount, money: Currency) -> str:
    match bad.why:
        case "too_precise":
            return f"The amount may not have more than {money.exponent} decimal places."
        case "too_large" | "exponent":
            return "The amount is out of range."
        case _:
            return "The amount must be a number."


def _multipayin(value: object, _money: Currency) -> bool:
    if isinstance(value, bool) or value not in (0, 1, "0", "1"):
        raise ValueError("The selected multipayin is invalid.")
    return value in (1, "1")


def _bankaccount_id(value: object, _money: Currency) -> int:
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and value == int(value):
        return int(value)
    raise ValueError("The bankaccount id must be an integer.")


def _tag(value: object, _money: Currency) -> str:
    if not isinstance(value, str):
        raise ValueError("The tag must be a string.")
    if len(value) > TAG_LENGTH_MAX:
        raise ValueError(f"The tag may not be longer than {TAG_LENGTH_MAX} characters.")
    return value


def _metadata(value: object, _money: Currency) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("The metadata must be an object.")
    return value


_READERS: Final[Mapping[str, Callable[[object, Currency], Any]]] = {
    "amount": _amount,
    "multipayin": _multipayin,
    "bankaccount_id": _bankaccount_id,
    "tag": _tag,
    "metadata": _metadata,
}
