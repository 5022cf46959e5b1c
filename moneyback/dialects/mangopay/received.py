"""Mangopay's answers as we read them: the members a connector needs, and nothing it could stumble over.

An answer that lacks one of them is no answer of Mangopay's; whatever else is missing, null or new is left alone, so
that a refund that succeeded is never lost over a member nobody needs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from moneyback.core.payment import Payment
from moneyback.dialect import Reply

Seconds = int | float | None
"""A date, since 1970. Some answers write it with a point and a zero."""


class Money(msgspec.Struct, frozen=True, rename="pascal"):
    """An amount: minor units, and the currency they are of."""

    currency: str
    amount: int


class Shown(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A refund as Mangopay shows it."""

    id: str
    status: str
    debited_funds: Money
    credited_funds: Money
    fees: Money
    initial_transaction_id: str | None = None
    result_code: str | None = None
    result_message: str | None = None
    creation_date: Seconds = None
    execution_date: Seconds = None

    def is_of(self, payment: Payment) -> bool:
        """Whether it is a refund of this pay-in, in its currency."""
        currencies = {self.debited_funds.currency, self.credited_funds.currency, self.fees.currency}
        return self.initial_transaction_id in (None, payment.reference) and currencies == {payment.currency}

    @property
    def changed_at(self) -> datetime | None:
        """When it came to stand as it does. Mangopay says so of a success and of the beginning, not of a failure."""
        match self.status:
            case "SUCCEEDED":
                return moment(self.execution_date or self.creation_date)
            case "CREATED":
                return moment(self.creation_date)
            case _:
                return None


class Payin(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A pay-in as Mangopay shows it. Refunds do not change it."""

    id: str
    status: str
    author_id: str
    debited_funds: Money
    execution_date: Seconds = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """An HTTP error: nothing was created. `errors` is written in lower case, and in capitals by some pages."""

    type: str
    message: str
    date: Seconds = None
    errors: dict[str, Any] | None = msgspec.field(name="errors", default=None)
    other_errors: dict[str, Any] | None = msgspec.field(name="Errors", default=None)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is wrong, one sentence a member; the message alone where no member is named."""
        found = tuple(str(each) for each in (self.errors or self.other_errors or {}).values())
        return found or (self.message,)


class Stored(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What was answered under an Idempotency-Key; the status is text (provider docs: idempotency)."""

    status_code: str
    resource: msgspec.Raw

    @property
    def reply(self) -> Reply | None:
        """The answer as it was given; None for one whose status is none."""
        digits = self.status_code
        whole = digits.isascii() and digits.isdigit() and len(digits) == 3
        return Reply(status=int(digits), body=bytes(self.resource)) if whole else None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A bearer token, or the OAuth word for why there is none."""

    access_token: str | None = None
    token_type: str = "bearer"
    error: str | None = None


_TOKEN: Final = msgspec.json.Decoder(Token)
_PAYIN: Final = msgspec.json.Decoder(Payin)
_SHOWN: Final = msgspec.json.Decoder(Shown)
_LIST: Final = msgspec.json.Decoder(tuple[Shown, ...])
_STORED: Final = msgspec.json.Decoder(Stored)
_PROBLEM: Final = msgspec.json.Decoder(Problem)


def token(reply: Reply) -> Token | None:
    """What the token endpoint said, in either of its forms."""
    found = _read(_TOKEN, reply)
    return found if isinstance(found, Token) else None


def payin(reply: Reply) -> Payin | None:
    """The pay-in of an answer that shows one."""
    found = _read(_PAYIN, reply) if reply.status == 200 else None
    return found if isinstance(found, Payin) else None


def refund(reply: Reply) -> Shown | None:
    """The refund of an answer that shows one."""
    found = _read(_SHOWN, reply) if reply.status == 200 else None
    return found if isinstance(found, Shown) else None


def refunds(reply: Reply) -> tuple[Shown, ...] | None:
    """The refunds of a list."""
    found = _read(_LIST, reply) if reply.status == 200 else None
    return found if isinstance(found, tuple) else None


def stored(reply: Reply) -> Reply | None:
    """The answer that was stored under a key."""
    found = _read(_STORED, reply) if reply.status == 200 else None
    return found.reply if isinstance(found, Stored) else None


def problem(reply: Reply) -> Problem | None:
    """The error of an answer in Mangopay's own error form."""
    found = _read(_PROBLEM, reply) if reply.status >= 400 else None
    return found if isinstance(found, Problem) else None


def moment(seconds: Seconds) -> datetime | None:
    """A date of Mangopay's; None for none, and for one that no calendar has."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _read(decoder: msgspec.json.Decoder[Any], reply: Reply) -> Any:
    try:
        return decoder.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
