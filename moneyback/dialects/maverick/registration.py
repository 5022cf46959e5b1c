"""What a payment registered natively may say for Maverick, and what a sandbox shows of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from moneyback.core.payment import Condition, Parts, Payment
from moneyback.dialect import AddPayment, Presented, Samples
from moneyback.dialects.maverick.cards import demo_card
from moneyback.dialects.maverick.objects import SHOWN_THERE, order
from moneyback.dialects.maverick.parts import total
from moneyback.dialects.maverick.wire import TERMINAL, written

TOKEN_LENGTH: Final = 64


class Own(dict[str, Any]):
    """The document of a payment made through this API, or read from its provider: nothing is left to be checked."""


def fetched_document(record: Mapping[str, Any], terminal: int) -> Own:
    """The document of a payment that its provider showed: the record, to be shown again as it came."""
    return Own({SHOWN_THERE: dict(record), "terminal_id": terminal})


# --- the document a payment keeps ------------------------------------------------------------------------------------

_TEXTS: Final[Mapping[str, int]] = {"externalId": 64, "reason": 128}
_CHOICES: Final[Mapping[str, tuple[Any, ...]]] = {
    "origin": ("API", "HostedForm", "VirtualTerminal"),
    "isRecurring": ("Yes", "No"),
    "level": (1, 2, 3),
}
_CONTACT: Final[Mapping[str, int]] = {"name": 128, "phone": 32, "email": 254}
_IP: Final[Mapping[str, int]] = {"address": 45, "isp": 128, "type": 32}
_LOCATION: Final[Mapping[str, int]] = {"city": 128, "state": 128, "country": 2, "zip": 32}
_CARD: Final = ("bin", "number", "exp", "name")
_MEMBERS: Final = frozenset({"terminal_id", "card", "contact", "ip", *_TEXTS, *_CHOICES})
_BIN_MAX: Final = 99_999_999
_LAST_FOUR_MAX: Final = 9999
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def payment_document(data: Mapping[str, Any], _now: datetime) -> Mapping[str, Any]:
    """What a record shows that the engine does not know; every member may be left out. Raises ValueError.

    `terminal_id` (24), `externalId`, `origin`, `level`, `isRecurring`, `reason` (of a failed payment), `card` {bin,
    number (the last four digits), exp (YYYY-MM-DD), name}, `contact` {name, phone, email}, `ip` {address, isp, type,
    location {city, state, country, zip}}.
    """
    if isinstance(data, Own):
        return data
    _check_names(data, _MEMBERS, "dialect_data")
    terminal = data.get("terminal_id", TERMINAL)
    if not _is_integer(terminal, 1, 2**31 - 1):
        raise ValueError("terminal_id is a positive integer.")
    for name, choices in _CHOICES.items():
        if name in data and (isinstance(data[name], bool) or data[name] not in choices):
            raise ValueError(f"{name} is one of {', '.join(map(str, choices))}.")
    _check_texts(data, _TEXTS)
    _check_card(_object(data, "card"))
    contact, ip = _object(data, "contact"), _object(data, "ip")
    _check_names(contact, _CONTACT, "contact")
    _check_texts(contact, _CONTACT)
    _check_names(ip, (*_IP, "location"), "ip")
    _check_texts(ip, _IP)
    location = _object(ip, "location")
    _check_names(location, _LOCATION, "ip.location")
    _check_texts(location, _LOCATION)
    completed = {**data, "terminal_id": terminal}
    if "contact" in data:
        completed["contact"] = {name: contact.get(name) for name in _CONTACT}
    return completed


def _check_card(card: Mapping[str, Any]) -> None:
    """Only what may be kept of a card can be said: a whole number is refused before it is stored anywhere."""
    _check_names(card, _CARD, "card")
    if "bin" in card and not _is_integer(card["bin"], 1, _BIN_MAX):
        raise ValueError("card.bin is an integer of at most eight digits.")
    if "number" in card and not _is_integer(card["number"], 0, _LAST_FOUR_MAX):
        raise ValueError("card.number is an integer: the last four digits, and no more of them.")
    if "exp" in card and not _is_date(card["exp"]):
        raise ValueError("card.exp is the last day of the card's last month, as YYYY-MM-DD.")
    _check_texts(card, {"name": 128})


def _object(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name, {})
    if not isinstance(found, Mapping):
        raise ValueError(f"{name} is an object.")
    return found


def _check_names(data: Mapping[str, Any], known: Any, place: str) -> None:
    if unknown := set(data) - set(known):
        raise ValueError(f"Maverick payments have no {min(unknown)!r} in {place}.")


def _check_texts(data: Mapping[str, Any], limits: Mapping[str, int]) -> None:
    for name, limit in limits.items():
        if name in data and not (isinstance(data[name], str) and 0 < len(data[name]) <= limit):
            raise ValueError(f"{name} is a text of 1 to {limit} characters.")


def _is_integer(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_date(value: object) -> bool:
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        return False
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


# --- the sandbox -----------------------------------------------------------------------------------------------------

_PLACE: Final = {
    "address": "203.0.113.24",
    "isp": "Example Networks",
    "type": "hosting",
    "location": {"city": "New York", "state": "NY", "country": "US", "zip": "10001"},
}


def _sample(amount: int, external_id: str, status: str = "captured", parts: Parts | None = None) -> AddPayment:
    document = {"terminal_id": TERMINAL, "externalId": external_id, "card": {"name": "Ada Demo"}, "ip": _PLACE}
    return AddPayment(amount=amount, currency="USD", status=status, parts=parts, document=document)


_PAYMENTS: Final = (
    _sample(250_00, "order-2001"),
    _sample(103_00, "order-2002", parts=Parts(subtotal=100_00, tax=8_00, discount=5_00)),
    _sample(75_00, "order-2003", "authorized"),
    _sample(19_99, "order-2004"),
)


def _credentials(text: Callable[[int], str]) -> tuple[Presented, Mapping[str, Any]]:
    return Presented(text(TOKEN_LENGTH)), {"terminal_id": TERMINAL}


def _section(
    base_url: str, token: Presented, profile: Mapping[str, Any], payments: tuple[Payment, ...]
) -> Mapping[str, Any]:
    return {
        "base_url": base_url,
        "token": token.secret,
        "terminal_id": profile["terminal_id"],
        "payments": [_listed(payment) for payment in payments],
    }


def _listed(payment: Payment) -> Mapping[str, Any]:
    return {
        "id": int(payment.dialect_id),
        "amount": written(total(payment), payment.currency),
        "captured": payment.condition is Condition.CAPTURED,
        "order": order(payment),
    }


def _curl(section: Mapping[str, Any]) -> str:
    first = section["payments"][0]
    return (
        f"curl -X POST {section['base_url']}/payment/{first['id']}/refund"
        f" -H 'Authorization: Bearer {section['token']}' -H 'Content-Type: application/json'"
        f""" -d '{{"terminal": {{"id": {section["terminal_id"]}}}, "amount": "10.00"}}'"""
    )


SAMPLES: Final = Samples(
    payments=_PAYMENTS, credentials=_credentials, section=_section, curl=_curl, documents=(demo_card(),)
)
