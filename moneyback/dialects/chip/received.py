"""CHIP's answers as we receive them when we are its client: Purchases, the Payments of refunds, and errors.

CHIP's errors come in several forms, documented and seen: beneath `__all__` as a list, an object or a sentence, beneath
the fields of the request, nested like it, or at the top. What cannot be read is None, and never half an object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, TypeVar

import msgspec

from moneyback.dialects.chip.wire import ALL

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = 10**11  # seconds; beyond it, no date
_DEPTH_MAX: Final = 8

S = TypeVar("S")


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """PaymentDetails: what was paid or refunded, in minor units."""

    amount: int
    currency: str
    payment_type: str | None = None
    paid_on: int | None = None


class Related(msgspec.Struct, frozen=True, kw_only=True):
    """What an object belongs to."""

    id: str
    type: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a Purchase's history; that of a refund names its Payment."""

    status: str
    timestamp: int | None = None
    related_object: Related | None = None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed, in CHIP's code and words."""

    code: str = ""
    message: str | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to move a Purchase's money. It states neither amount nor id."""

    type: str
    successful: bool = False
    processing_time: int | None = None
    error: Fault | None = None

    @property
    def fingerprint(self) -> str:
        """By what it is known again when it is shown again. Two of the same second and code have the same one."""
        said = (self.processing_time, self.successful, self.error.code if self.error is not None else None)
        return sha256(msgspec.json.encode(said)).hexdigest()[:16]


class _TransactionData(msgspec.Struct, frozen=True, kw_only=True):
    attempts: tuple[Attempt, ...] = ()
    payment_method: str | None = None


class _Details(msgspec.Struct, frozen=True, kw_only=True):
    currency: str
    total: int | None = None


class Purchase(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="purchase"):
    """A Purchase, as far as a refund needs it."""

    id: str
    status: str
    purchase: _Details
    refundable_amount: int
    refund_availability: str = ""
    payment: Money | None = None
    status_history: tuple[Entry, ...] = ()
    transaction_data: _TransactionData = _TransactionData()
    reference: str | None = None
    updated_on: int | None = None

    @property
    def refunds(self) -> Mapping[str, int | None]:
        """The Payments of its refunds, oldest first, and when each was made."""
        made = (each for each in self.status_history if each.status == "refunded" and each.related_object is not None)
        return {each.related_object.id: each.timestamp for each in made if each.related_object is not None}

    @property
    def refund_attempts(self) -> tuple[Attempt, ...]:
        """Newest first."""
        return tuple(each for each in self.transaction_data.attempts if each.type == "refund")


class RefundPayment(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="payment"):
    """The Payment a refund generates. `status` is undocumented, and there."""

    id: str
    payment: Money
    related_to: Related | None = None
    status: str | None = None
    created_on: int | None = None
    updated_on: int | None = None


class Problem(msgspec.Struct, frozen=True):
    """One of CHIP's own errors; `code` is empty where a sentence is all there is."""

    code: str
    message: str


def answered(body: bytes) -> Purchase | RefundPayment | None:
    """What an answer to a refund shows; its `type` tells the two apart."""
    try:
        return msgspec.json.decode(body, type=Purchase | RefundPayment)
    except (msgspec.DecodeError, UnicodeDecodeError):  # a ValidationError is a DecodeError
        return None


def purchase(body: bytes) -> Purchase | None:
    """The Purchase of an answer; None when there is no readable one."""
    shown = answered(body)
    return shown if isinstance(shown, Purchase) else None


def problems(body: bytes) -> tuple[Problem, ...]:
    """CHIP's own errors in an error answer, in any of its forms; none when it has no such form."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return tuple(_errors(found, 0)) if isinstance(found, dict) else ()


def _errors(value: Any, depth: int) -> Iterator[Problem]:
    match value:
        case _ if depth > _DEPTH_MAX:
            return
        case {"code": str(code), "message": str(message)}:
            yield Problem(code, message)
        case {"detail": str(message)}:
            yield Problem(str(value.get("code", "")), message)
        case dict():
            for name, inner in value.items():
                if name == ALL and isinstance(inner, str):
                    yield Problem("", inner)
                yield from _errors(inner, depth + 1)
        case list():
            for inner in value:
                yield from _errors(inner, depth + 1)


def moment(seconds: int | None) -> datetime | None:
    """A time of CHIP's; None for none, and for what is no date."""
    if seconds is None or not 0 < seconds < _LATEST:
        return None
    return _EPOCH + timedelta(seconds=seconds)
