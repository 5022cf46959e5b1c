"""What may be kept of an exchange: everything but secrets, card numbers and security codes.

Three nets, one behind the other: members by their name, the rail's own secrets by their value wherever they turn up,
and whatever passes for a card number.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import permutations
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

import msgspec

HIDDEN: Final = "[hidden]"
KEPT_MAX: Final = 16_384
SECRET_MIN: Final = 6
"""Characters a secret has at least to be looked for by its value; a shorter one would strike innocent text."""
ALWAYS: Final = (
    *("authorization", "proxy_authorization", "cookie", "set_cookie", "password", "passwd", "pin"),
    *("secret", "secret_key", "client_secret", "api_key", "x_api_key", "private_key", "signing_secret"),
    *("access_key", "access_token", "refresh_token", "id_token"),
    *("cvv", "cvv2", "cvc", "cvc2", "cvn", "cid", "security_code", "card_security_code", "card_verification_value"),
    *("pan", "card_number", "card_no", "primary_account_number", "track1", "track2", "track_data"),
)

_DIGITS: Final = re.compile(
    r"(?<!\d)(?<!\d\.)\d{1,19}(?!\d)(?:(?:[ \t\u00a0\u2007\u2009\u202f._/+*\u2010-\u2015-]{1,3}|%20)\d{1,19}(?!\d))*"
)
"""Digits, in groups as people write them."""
_WORDS: Final = re.compile(r"[_-]|(?<=[a-z0-9])(?=[A-Z])")
"""Where a name's words meet, in `card_number`, `Card-Number` and `cardNumber`."""
_GROUPS_MAX: Final = 5
_NESTED_MAX: Final = 8
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)  # figures are kept as they were written
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def scrub_body(body: bytes, names: Iterable[str], secrets: Iterable[str] = ()) -> str:
    """A body as text without the members of these names, however deep, without these secrets and card numbers."""
    return _Net(names, secrets).body(body, 0)[:KEPT_MAX]


def scrub_text(text: str, secrets: Iterable[str] = ()) -> str:
    """A sentence without named secrets, these secrets and card numbers."""
    return _Net((), secrets).text(text)


def scrub_data(data: Mapping[str, Any], names: Iterable[str], secrets: Iterable[str] = ()) -> dict[str, Any]:
    """Plain data without the members of these names, however deep, without these secrets and card numbers."""
    scrubbed: dict[str, Any] = _Net(names, secrets).value(data, 0)
    return scrubbed


def scrub_query(query: Iterable[tuple[str, str]], names: Iterable[str], secrets: Iterable[str] = ()) -> str:
    """A query string, its question mark included, without what must not be kept; empty without one."""
    pairs = _Net(names, secrets).pairs(query)
    return f"?{pairs}" if pairs else ""


class _Net:
    """The names and secrets of one exchange."""

    def __init__(self, names: Iterable[str], secrets: Iterable[str]) -> None:
        all_names = (*names, *ALWAYS)
        self._names = frozenset(map(_plain, all_names))
        self._written = _written(tuple(sorted(set(all_names))))
        self._secrets = _spellings(tuple(each for each in secrets if len(each) >= SECRET_MIN))

    def body(self, body: bytes | str, depth: int) -> str:
        text = body if isinstance(body, str) else body.decode("utf-8", "replace")
        try:
            return _ENCODER.encode(self.value(_DECODER.decode(text), depth)).decode()
        except (msgspec.DecodeError, RecursionError, ValueError):
            if _is_form(text):
                return self.pairs(parse_qsl(text, keep_blank_values=True))
            return self.text(self._written.sub(_only_name, text))

    def value(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return {
                self.text(str(name)): HIDDEN if _plain(str(name)) in self._names else self.value(each, depth)
                for name, each in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(each, depth) for each in value]
        if isinstance(value, str):
            # A document within a document: gateways quote each other whole.
            nested = depth < _NESTED_MAX and value.lstrip()[:1] in ("{", "[")
            return self.body(value, depth + 1) if nested else self.text(value)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            scrubbed = self.text(str(value))
            return value if scrubbed == str(value) else scrubbed
        return value

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> str:
        kept = [
            (self.text(name), HIDDEN if _plain(name) in self._names else self.value(each, 0)) for name, each in pairs
        ]
        return urlencode(kept, safe="[]{}*")

    def text(self, text: str) -> str:
        text = _clean(text)
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _DIGITS.sub(_without_cards, _ALWAYS_WRITTEN.sub(_only_name, text))


def _plain(name: str) -> str:
    """A name in its one spelling: `card_number`, `cardNumber` and `Card-Number` are one."""
    return re.sub(r"[\s_-]", "", name).lower()


@lru_cache(maxsize=256)
def _written(names: tuple[str, ...]) -> re.Pattern[str]:
    """`name: value`, `name=value`, `"name": "value"`, `<name>value` and the part of a multipart body of that name."""
    spelt = "|".join("[_ -]?".join(map(re.escape, _WORDS.split(name))) for name in names)
    return re.compile(
        rf"(?i)(?P<name>(?<![a-z0-9_-])(?:{spelt})[\"'\\]*)"
        r"(?:(?P<to_end>(?<=authorization)\s*[:=]\s*|(?<=cookie)\s*[:=]\s*)[^\r\n\"'<]+"
        r"|(?P<tag>>\s*)[^<]+"
        r"|(?P<part>(?:;[^\r\n]{0,200})?\r?\n(?:[^\r\n]{1,200}\r?\n){0,4}\r?\n)[^\r\n]+"
        r"|(?P<sign>\s{0,9}[:=]\s{0,9})"
        r"(?:\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|\\+[\"'][^\"']*[\"']?|[^\s\"'&,;<>}\\]+))"
    )


def _only_name(found: re.Match[str]) -> str:
    between = found["to_end"] or found["tag"] or found["part"] or found["sign"]
    return f"{found['name']}{between}{HIDDEN}"


@lru_cache(maxsize=256)
def _spellings(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Every form in which a secret travels: as it is, in an address, in a form, in JSON, as a half of HTTP Basic."""
    pairs = [f"{one}:{other}" for one, other in permutations(secrets, 2)]
    halves = [each for one in secrets for each in (f"{one}:", f":{one}")]
    coded = [b64encode(each.encode()).decode().rstrip("=") for each in (*pairs, *halves, *secrets)]
    written = [spelt for each in secrets for spelt in (each, quote(each, safe=""), quote_plus(each), _in_json(each))]
    return tuple(sorted({*coded, *written}, key=lambda each: (-len(each), each)))


def _in_json(text: str) -> str:
    return _ENCODER.encode(text)[1:-1].decode()


_ALWAYS_WRITTEN: Final = _written(ALWAYS)
"""In a sentence only these names count: `account: closed` says something of an account, and nothing of a secret."""


def _is_form(text: str) -> bool:
    return "=" in text and not re.search(r"[\s<{]", text.strip())


def _clean(text: str) -> str:
    """What a database takes as text."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _without_cards(found: re.Match[str]) -> str:
    """Of groups of digits, those that together pass for a card number, which keeps its last four."""
    text, groups = found.group(), list(re.finditer(r"\d+", found.group()))
    kept, copied, first = [], 0, 0
    while first < len(groups):
        is_fraction = (
            first > 0 and text[groups[first - 1].end() : groups[first].start()] == "." and _long(groups[first])
        )
        last = _card_from(groups, first) if not is_fraction else None
        if last is not None:
            kept += [text[copied : groups[first].start()], f"[card *{groups[last - 1].group()[-4:].rjust(4, '*')}]"]
            copied, first = groups[last - 1].end(), last
        else:
            first += 1
    return "".join([*kept, text[copied:]])


def _long(group: re.Match[str]) -> bool:
    return len(group.group()) > 4


def _card_from(groups: Sequence[re.Match[str]], first: int) -> int | None:
    """Where the card number ends that begins with this group; None when none does.

    Cards are written as one, or as 4-4-4-4, 4-6-5, 4-6-4 and the like: a date, a phone number or an id is not.
    """
    digits, size = "", 0
    for last in range(first, min(first + _GROUPS_MAX, len(groups))):
        group = groups[last].group()
        if (last > first and len(groups[first].group()) != 4) or (last > first + 1 and not 4 <= size <= 6):
            return None
        digits, size = digits + group, len(group)
        if 13 <= len(digits) <= 19 and digits[0] in "23456" and _is_card(digits):
            return last + 1
    return None


def _is_card(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
