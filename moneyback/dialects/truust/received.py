"""Truust's answers as we read them when we are its client: payins, orders, refunds, lists of them, and errors.

What is documented and what clients have met differ: an object comes bare or beneath `data`, and a byte order mark may
come before it. All of that is read here; what cannot be read is None, and never half an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from moneyback.dialect import Reply
from moneyback.dialects.truust.wire import is_number

_BOM: Final = b"\xef\xbb\xbf"
T = TypeVar("T")


class Payin(msgspec.Struct, frozen=True, kw_only=True):
    """A payin, as far as it is needed. It shows no amount but in what its gateway said, and none of its refunds."""

    id: int | str
    status: str
    type: str | None = None
    provider: Any = None
    created_at: str | None = None
    confirmed_at: str | None = None
    connections: Any = None

    @property
    def number(self) -> str:
        """Its id, as text."""
        return str(self.id)

    @property
    def order(self) -> str | None:
        """The number of its order, which its connections name by a path."""
        path = self.connections.get("order") if isinstance(self.connections, Mapping) else None
        last = path.rpartition("/")[2] if isinstance(path, str) else ""
        return last if is_number(last) else None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order, as far as it is needed: what its buyer pays, as formatted text or a number."""

    id: int | str
    currency: str
    payin_amount: Any = None
    created_at: str | None = None

    @property
    def number(self) -> str:
        """Its id, as text."""
        return str(self.id)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as Truust shows it. Its list of members has a status, the example beside it has none."""

    id: int | str
    payin_id: int | str | None = None
    escrow_id: int | str | None = None
    amount: Any = None
    status: str | None = None
    reference_id: str | int | None = None
    tag: str | None = None
    metadata: Any = None
    provider: Any = None
    created_at: str | None = None
    updated_at: str | None = None
    denied_at: str | None = None

    @property
    def number(self) -> str:
        """Its id, as text."""
        return str(self.id)

    @property
    def changed_at(self) -> datetime | None:
        """When it last changed."""
        return moment(self.updated_at) or moment(self.created_at)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error: a message, and for a validation error sentences by field. There are no codes."""

    message: str
    errors: dict[str, Any] | None = None

    @property
    def sentences(self) -> str:
        """All that is wrong; the message alone where no field is named."""
        found = [
            each for field in (self.errors or {}).values() for each in (field if isinstance(field, list) else [field])
        ]
        return " ".join(map(str, found)) or self.message


def payin(reply: Reply) -> Payin | None:
    """The payin of an answer that shows one."""
    return _one(reply, Payin)


def payins(reply: Reply) -> tuple[Payin, ...] | None:
    """The payins of one page of a list (provider docs: List payins)."""
    return _page(reply, tuple[Payin, ...])


def order(reply: Reply) -> Order | None:
    """The order of an answer that shows one."""
    return _one(reply, Order)


def members(reply: Reply) -> dict[str, Any]:
    """All that an answer shows of its one object, in its own words; numbers with a point as Decimal."""
    found = _object(reply)
    return dict(found) if found is not None else {}


def refund(reply: Reply) -> Shown | None:
    """The refund of an answer that shows one."""
    return _one(reply, Shown)


def refunds(reply: Reply) -> tuple[Shown, ...] | None:
    """The refunds of one page of a list (provider docs: List refunds)."""
    return _page(reply, tuple[Shown, ...])


def per_page(reply: Reply, most: int) -> int:
    """How many rows a full page of this list has; `most` where it does not say."""
    body = _body(reply) if reply.status == 200 else None
    stated = str(body.get("per_page")) if isinstance(body, Mapping) else ""
    return min(most, int(stated)) if is_number(stated) and int(stated) else most


def problem(reply: Reply) -> Problem | None:
    """The error of an answer in Truust's own error form."""
    body = _body(reply) if reply.status >= 400 else None
    return _converted(body, Problem) if isinstance(body, Mapping) else None


def moment(text: str | None) -> datetime | None:
    """A time of Truust's, in UTC unless it says otherwise; None for none."""
    try:
        at = datetime.fromisoformat(text) if text else None
        return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)
    except ValueError:
        return None


def _one(reply: Reply, kind: type[T]) -> T | None:
    found = _object(reply)
    return None if found is None else _converted(found, kind)


def _object(reply: Reply) -> Mapping[str, Any] | None:
    body = _body(reply) if reply.status == 200 else None
    if not isinstance(body, Mapping):
        return None
    inner = body.get("data")
    return inner if isinstance(inner, Mapping) else body


def _page(reply: Reply, kind: type[T]) -> T | None:
    body = _body(reply) if reply.status == 200 else None
    listed = body.get("data") if isinstance(body, Mapping) else None
    return _converted(listed, kind) if isinstance(listed, list) else None


def _converted(value: Any, kind: type[T]) -> T | None:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


def _body(reply: Reply) -> Any:
    try:
        return _decode(reply.body.removeprefix(_BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
