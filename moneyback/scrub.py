"""What may be kept of an exchange: everything but secrets, card numbers and security codes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

HIDDEN: Final = "[hidden]"
KEPT_MAX: Final = 16_384
ALWAYS: Final = (
    "authorization",
    "cookie",
    "set-cookie",
    "password",
    "cvv",
    "cvc",
    "cvv2",
    "pan",
    "card_number",
    "cardnumber",
)
_PAN: Final = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-])")


def scrub_body(body: bytes, names: Iterable[str]) -> str:
    """A body as text without the members of these names, however deep, and without card numbers."""
    hidden = frozenset(name.lower() for name in (*names, *ALWAYS))
    text = body.decode("utf-8", "replace").replace("\0", "")
    try:
        text = msgspec.json.encode(_hide(msgspec.json.decode(body), hidden)).decode()
    except (msgspec.DecodeError, RecursionError):
        if "=" in text and not text.lstrip().startswith(("{", "[", "<")):
            pairs = parse_qsl(text, keep_blank_values=True)
            text = urlencode([(name, HIDDEN if name.lower() in hidden else value) for name, value in pairs])
    return _PAN.sub(_unless_no_card, text)[:KEPT_MAX]


def scrub_headers(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Headers with the values of these names hidden."""
    hidden = frozenset(name.lower() for name in (*names, *ALWAYS))
    return {name: HIDDEN if name.lower() in hidden else value for name, value in headers.items()}


def _hide(value: Any, hidden: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: HIDDEN if name.lower() in hidden else _hide(each, hidden) for name, each in value.items()}
    return [_hide(each, hidden) for each in value] if isinstance(value, list) else value


def _unless_no_card(found: re.Match[str]) -> str:
    """A run of digits that passes the card check is hidden but for its last four; any other stays."""
    digits = re.sub(r"\D", "", found.group())
    return f"[card …{digits[-4:]}]" if _is_card(digits) else found.group()


def _is_card(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
