"""One decoder for everything a client sends: JSON, forms and query strings become plain bounded values, or BadBody.

What passes can be stored, hashed and locked without a second look: numbers are exact (integers within 63 bits, all
others Decimal), text holds neither NUL nor a lone surrogate, names and nesting are short. Nothing here awaits anything.

Of members that repeat, the last counts. That is what nearly every JSON reader does, and all that follows (fingerprints,
equality, the refund itself) sees the decoded value only, so that nobody acts on the other one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal
from urllib.parse import unquote_to_bytes

import msgspec
from multipart import (  # type: ignore[import-untyped]  # it ships no types
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

Encoding = Literal["none", "json", "form", "multipart"]

INTEGER_MAX: Final = 2**63 - 1
EXPONENT_MAX: Final = 30
FIELDS_MAX: Final = 1000
BOM: Final = b"\xef\xbb\xbf"
_DIGITS_MAX: Final = 80
_FIELD: Final = re.compile(rb"&*[\w.%+\[\]-]+=")
_STRAY: Final = re.compile("[\0\ud800-\udfff]")


class BadBody(Exception):
    """What was sent cannot be read, or is more than may be kept. The text says why, in a sentence without its content.

    May be tried again: not as it is.
    """


class Bounds(msgspec.Struct, frozen=True):
    """How much is accepted: bytes of a body, levels of nesting, characters of a member's name."""

    size_max: int = 1 << 20
    depth_max: int = 32
    name_max: int = 255


BOUNDS: Final = Bounds()


def decode(
    body: bytes, declared: str = "", accepts: Collection[str] = ("json",), bounds: Bounds = BOUNDS
) -> tuple[Any, Encoding]:
    """A body of any kind the route accepts, and which kind it was. An empty one is (None, "none").

    `declared` is the Content-Type. Clients declare forms and send JSON, and the other way round, so it only decides
    where the text itself does not. Raises BadBody.
    """
    _bound(body, bounds)
    text = _bare(body)
    if not text:
        return None, "none"
    kind = declared.partition(";")[0].strip().lower()
    if kind == "multipart/form-data" and text.startswith(b"--"):
        if "multipart" not in accepts:  # nor is it tried as anything else: what it asks for must not get lost
            raise BadBody("Multipart bodies are not accepted here.")
        return decode_multipart(body, declared, bounds), "multipart"
    if "form" in accepts and _is_form(text, kind):
        return decode_form(text, bounds), "form"
    if "json" in accepts:
        return decode_json(text, bounds), "json"
    raise BadBody("The body has none of the encodings accepted here.")


def decode_json(body: bytes, bounds: Bounds = BOUNDS) -> Any:
    """A JSON text as plain values: integers as int, other numbers as Decimal, nothing for an empty body (None).

    Raises BadBody.
    """
    _bound(body, bounds)
    body = body.removeprefix(BOM)
    if not body:
        return None
    try:
        value = _decode_json(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadBody(f"The body is not acceptable JSON: {_sentence(error)}.") from None
    _check(value, bounds)
    return value


def decode_form(body: bytes, bounds: Bounds = BOUNDS) -> dict[str, str]:
    """The fields of a form, the last of each name. `+` is a space; stray `&` are skipped. Raises BadBody."""
    _bound(body, bounds)
    return dict(_pairs(body, bounds))


def decode_query(query: bytes, bounds: Bounds = BOUNDS) -> tuple[tuple[str, str], ...]:
    """The parameters of a query string, in their order. Raises BadBody."""
    return tuple(_pairs(query, bounds)) if query else ()


def decode_multipart(body: bytes, declared: str, bounds: Bounds = BOUNDS) -> dict[str, str]:
    """The fields of a multipart form, the last of each name; a file is refused. Raises BadBody."""
    _bound(body, bounds)
    boundary = parse_options_header(declared)[1].get("boundary")
    if not boundary:
        raise BadBody("The multipart body has no boundary.")
    found: dict[str, str] = {}
    name, held = "", b""
    try:
        with PushMultipartParser(boundary, max_segment_count=FIELDS_MAX) as parser:
            for part in parser.parse(body):
                if isinstance(part, MultipartSegment):
                    if part.filename is not None:
                        raise BadBody("Files are not accepted.")
                    name, held = _text(part.name.encode("utf-8", "surrogatepass"), bounds.name_max), b""
                elif part is None:
                    found[name] = _text(held)
                else:
                    held += part
    except MultipartError as error:
        raise BadBody(f"The multipart body cannot be read: {_sentence(error)}.") from None
    return found


def is_clean(text: str) -> bool:
    """Whether a text can be stored and answered: neither NUL nor a lone surrogate in it."""
    return text.isprintable() or _STRAY.search(text) is None


# --- JSON ------------------------------------------------------------------------------------------------------------


def _exact(text: str) -> Decimal:
    """A number with a point or an exponent. Its exponents stay small, so that writing it out stays cheap."""
    if len(text) > _DIGITS_MAX:
        raise ValueError("a number has too many digits")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("a number is out of range") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > EXPONENT_MAX or abs(number.adjusted()) > EXPONENT_MAX:
        raise ValueError("the exponent of a number is out of range")
    return number


_decode_json: Final[Callable[[bytes], Any]] = msgspec.json.Decoder(float_hook=_exact).decode


def _check(value: Any, bounds: Bounds) -> None:
    """Refuse what the parser lets through. Goes level by level: nesting costs no stack."""
    level: list[Any] = [[value]]
    depth = 0
    while level:
        if depth > bounds.depth_max:
            raise BadBody("The body is nested too deeply.")
        deeper: list[Any] = []
        for container in level:
            if type(container) is dict:
                _check_names(container, bounds.name_max)
                _check_values(container.values(), deeper)
            else:
                _check_values(container, deeper)
        level = deeper
        depth += 1


def _check_names(names: Iterable[str], length_max: int) -> None:
    for name in names:
        if len(name) > length_max:
            raise BadBody("The name of a member is too long.")
        if "\0" in name:
            raise BadBody("The body contains a NUL character.")


def _check_values(values: Iterable[Any], deeper: list[Any]) -> None:
    for value in values:
        kind = type(value)
        if kind is str:
            if "\0" in value:
                raise BadBody("The body contains a NUL character.")
        elif kind is int:
            if not -INTEGER_MAX <= value <= INTEGER_MAX:
                raise BadBody("An integer is out of range.")
        elif kind is dict or kind is list:
            deeper.append(value)


# --- forms -----------------------------------------------------------------------------------------------------------


def _is_form(text: bytes, kind: str) -> bool:
    """Whether to read a text as a form: never what begins like JSON, else what is declared so or begins with a field.

    Any other text (XML, lines of prose) is none, though it may have a "=" in it: whoever took it for a form would find
    no amount there, and that means all of it.
    """
    if text[:1] in b"{[":
        return False
    return kind == "application/x-www-form-urlencoded" or _FIELD.match(text) is not None


def _pairs(text: bytes, bounds: Bounds) -> list[tuple[str, str]]:
    fields = [field for field in text.split(b"&") if field]
    if len(fields) > FIELDS_MAX:
        raise BadBody("There are too many fields.")
    found = []
    for field in fields:
        name, _, value = field.partition(b"=")
        found.append((_unquoted(name, bounds.name_max), _unquoted(value)))
    return found


def _unquoted(text: bytes, length_max: int | None = None) -> str:
    return _text(unquote_to_bytes(text.replace(b"+", b" ")), length_max)


def _text(raw: bytes, length_max: int | None = None) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadBody("A field is not UTF-8.") from None
    if "\0" in text:
        raise BadBody("A field contains a NUL character.")
    if length_max is not None and len(text) > length_max:
        raise BadBody("The name of a field is too long.")
    return text


# --- both ------------------------------------------------------------------------------------------------------------


def _bound(body: bytes, bounds: Bounds) -> None:
    if len(body) > bounds.size_max:
        raise BadBody(f"The body is longer than {bounds.size_max} bytes.")


def _bare(body: bytes) -> bytes:
    """The body without byte order mark and surrounding white space."""
    return body.removeprefix(BOM).strip()


def _sentence(error: Exception) -> str:
    """What a parser complained of, without what it was given."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).partition(" - at ")[0].rstrip(".")
