"""Maverick's answers as we read them when we are its client: records, and errors.

A record is one object whatever it is of, and never wrapped. Ids come as numbers or as text, the status as an object or
as a word. What cannot be read is None, and never half a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from moneyback.core.money import BadAmount, currency, minor_from_decimal
from moneyback.dialect import Reply

T = TypeVar("T")
CAPTURE: Final = "Capture"
_FORM: Final = "%Y-%m-%d %H:%M:%S"


class _Named(msgspec.Struct, frozen=True):
    id: int | str | None = None

    @property
    def whole(self) -> int | None:
        """The id as a number."""
        text = "" if self.id is None else str(self.id)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


class _Status(msgspec.Struct, frozen=True):
    status: str
    reason: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an original's history: a child of it, without its status."""

    id: int | str
    type: str
    amount: Any = None
    createdOn: str | None = None

    @property
    def number(self) -> str:
        """The child's id, as text."""
        return str(self.id)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An original (Auth) or a refund of one (Return), as far as it is needed."""

    id: int | str
    type: str
    amount: Any
    captured: bool
    status: _Status | str
    parent: _Named = _Named()
    terminal: _Named = _Named()
    refunded: bool = False
    history: tuple[Entry, ...] = ()
    order: Any = None
    authCode: str | None = None
    createdOn: str | None = None
    updatedOn: str | None = None

    @property
    def number(self) -> str:
        """Its id, as text."""
        return str(self.id)

    @property
    def of(self) -> str | None:
        """The id of its original, as text."""
        return None if self.parent.id is None else str(self.parent.id)

    @property
    def captures(self) -> tuple[Entry, ...]:
        """The Captures it lists, whatever became of them."""
        return tuple(each for each in self.history if each.type == CAPTURE)

    @property
    def was_captured(self) -> bool:
        """Whether some of it was captured, as far as it says: what was given back since may have changed `captured`."""
        return self.captured or bool(self.captures)

    @property
    def word(self) -> str:
        """Its status, in small letters: `declined` and `decline` are both written."""
        return (self.status if isinstance(self.status, str) else self.status.status).lower()

    @property
    def reason(self) -> str | None:
        """Why it did not go well."""
        return None if isinstance(self.status, str) else self.status.reason

    @property
    def changed_at(self) -> datetime | None:
        """When it last changed."""
        return moment(self.updatedOn) or moment(self.createdOn)

    def part(self, name: str, code: str) -> int:
        """A part of its order in minor units; 0 where it has none, or none that can be read.

        The shapes of an order's members are unpublished: a number, text and `{"amount": …}` are all read.
        """
        value = self.order.get(name) if isinstance(self.order, Mapping) else None
        found = amount(value.get("amount") if isinstance(value, Mapping) else value, code)
        return max(0, found or 0)


class _Meta(msgspec.Struct, frozen=True):
    currentPage: int
    pageCount: int


class Page(msgspec.Struct, frozen=True):
    """A page of a list of records."""

    items: tuple[Record, ...]
    meta: _Meta | None = msgspec.field(name="_meta", default=None)

    def goes_on(self, page: int, per_page: int) -> bool:
        """Whether there is a page after this one, which was asked for as `page`."""
        return len(self.items) >= per_page if self.meta is None else page < self.meta.pageCount


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error in Maverick's own form. `status` repeats the HTTP status."""

    name: str
    message: str
    status: int


def record(reply: Reply) -> Record | None:
    """The record of an answer that shows one."""
    return _converted(reply, Record) if 200 <= reply.status < 300 else None


def page(reply: Reply) -> Page | None:
    """The page of an answer that shows one, if all of its records can be read."""
    return _converted(reply, Page) if reply.status == 200 else None


def members(reply: Reply) -> dict[str, Any]:
    """A record as it was shown, to be shown again: numbers with a point become text, like every amount of Maverick's.

    What no database keeps (NUL) is left out.
    """
    found = _keepable(_as_written(reply.body))
    assert isinstance(found, dict), "a record was read from it"
    return found


def _keepable(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "")
        case dict():
            return {_keepable(name): _keepable(each) for name, each in value.items()}
        case list():
            return [_keepable(each) for each in value]
        case _:
            return value


def problem(reply: Reply) -> Problem | None:
    """The error of an answer in Maverick's own error form."""
    found = _converted(reply, Problem) if reply.status >= 400 else None
    return found if found is not None and found.status == reply.status else None


def amount(value: object, code: str) -> int | None:
    """Minor units of decimal text or of a number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        return minor_from_decimal(value, currency(code))
    except BadAmount:
        return None


def moment(text: str | None) -> datetime | None:
    """A time of Maverick's: UTC, without saying so."""
    try:
        return datetime.strptime(text, _FORM).replace(tzinfo=UTC) if text else None
    except ValueError:
        return None


_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_as_written: Final = msgspec.json.Decoder(float_hook=str).decode


def _converted(reply: Reply, kind: type[T]) -> T | None:
    try:
        return msgspec.convert(_decode(reply.body), kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # a ValidationError is a DecodeError
        return None
