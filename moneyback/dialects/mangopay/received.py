"""Mangopay's answers as we read them: the members a connector needs, and nothing it could stumble over.

An answer that lacks one of them is no answer of Mangopay's; whatever else is missing, null or new is left alone, so
that a refund that succeeded is never lost over a member nobody needs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from moneyback.core.payment import Payment
from moneyback.dialect import Reply

Seconds = int | float | None
"""A date, since 1970. Some answers write it with a point and a zero."""


class Money(msgspec.Struct, frozen=True, rename="pascal"):
    """An amount: minor units, and the currency they are of."""

    currency: str
    amount: int


class PaymentRef(msgspec.Struct, frozen=True, rename="pascal"):
    """What a payout was made for."""

    reference_id: str | None = None


class Shown(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A refund as Mangopay shows it, or the payout that gives a pay-in back."""

    id: str
    status: str
    debited_funds: Money
    credited_funds: Money
    fees: Money
    initial_transaction_id: str | None = None
    initial_transaction_type: str | None = None
    debited_wallet_id: str | None = None
    payment_ref: PaymentRef | None = None
    result_code: str | None = None
    result_message: str | None = None
    creation_date: Seconds = None
    execution_date: Seconds = None
    whole: dict[str, Any] = msgspec.field(default_factory=dict)
    """In a list: everything it says, under its own names."""

    def is_of(self, payment: Payment) -> bool:
        """Whether it gives something of this payment back, in its currency."""
        return self.original in (None, payment.reference) and self.is_in(payment.currency)

    def is_in(self, currency: str) -> bool:
        """Whether all its amounts are of this currency."""
        return {self.debited_funds.currency, self.credited_funds.currency, self.fees.currency} == {currency}

    @property
    def original(self) -> str | None:
        """The id of what was given back, where it says so."""
        return self.initial_transaction_id or (self.payment_ref.reference_id if self.payment_ref is not None else None)

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


class Paid(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A pay-in or a transfer as Mangopay shows it. Refunds do not change it."""

    id: str
    status: str
    author_id: str
    debited_funds: Money
    fees: Money | None = None
    declared_debited_funds: Money | None = None
    declared_fees: Money | None = None
    payment_type: str | None = None
    credited_wallet_id: str | None = None
    creation_date: Seconds = None
    execution_date: Seconds = None

    @property
    def funds(self) -> Money:
        """What the payer pays. A wire that was announced has moved nothing yet, in no currency (XXX)."""
        is_announced = self.debited_funds.amount == 0 and self.declared_debited_funds is not None
        return self.declared_debited_funds if is_announced and self.declared_debited_funds else self.debited_funds

    @property
    def kept(self) -> int:
        """What the platform keeps of it as fees."""
        fees = self.declared_fees if self.funds is self.declared_debited_funds else self.fees
        return fees.amount if fees is not None else 0


class Happened(msgspec.Struct, frozen=True, rename="pascal"):
    """An event. Its resource is written with one s here, and with two where a hook is called."""

    resource_id: str
    event_type: str
    date: int | float


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
_PAID: Final = msgspec.json.Decoder(Paid)
_EVENTS: Final = msgspec.json.Decoder(tuple[Happened, ...])
_MEMBERS: Final = msgspec.json.Decoder(dict[str, Any])
_ROWS: Final = msgspec.json.Decoder(tuple[dict[str, Any], ...])
_SHOWN: Final = msgspec.json.Decoder(Shown)
_LIST: Final = msgspec.json.Decoder(tuple[Shown, ...])
_STORED: Final = msgspec.json.Decoder(Stored)
_PROBLEM: Final = msgspec.json.Decoder(Problem)


def token(reply: Reply) -> Token | None:
    """What the token endpoint said, in either of its forms."""
    found = _read(_TOKEN, reply)
    return found if isinstance(found, Token) else None


def paid(reply: Reply) -> Paid | None:
    """The pay-in or transfer of an answer that shows one."""
    found = _read(_PAID, reply) if reply.status == 200 else None
    return found if isinstance(found, Paid) else None


def members(reply: Reply) -> dict[str, Any]:
    """Everything an object says, under its own names."""
    found = _read(_MEMBERS, reply) if reply.status == 200 else None
    return found if isinstance(found, dict) else {}


def events(reply: Reply) -> tuple[Happened, ...] | None:
    """The events of a list."""
    found = _read(_EVENTS, reply) if reply.status == 200 else None
    return found if isinstance(found, tuple) else None


def refund(reply: Reply) -> Shown | None:
    """The refund of an answer that shows one."""
    found = _read(_SHOWN, reply) if reply.status == 200 else None
    return found if isinstance(found, Shown) else None


def refunds(reply: Reply) -> tuple[Shown, ...] | None:
    """The refunds of a list, each with all it says."""
    found = _read(_LIST, reply) if reply.status == 200 else None
    if not isinstance(found, tuple):
        return None
    return tuple(replace(each, whole=said) for each, said in zip(found, _ROWS.decode(reply.body), strict=True))


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
