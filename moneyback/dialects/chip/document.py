"""What a payment remembers for this dialect: what its Purchase was created with, and what became of it on the way.

Amounts that the ledger holds (what came in, what was given back) are not here. Each thing that happened has a member of
its own, so that two that happen at once are both kept: a document is laid over the one before, member by member.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.core.payment import Payment
from moneyback.dialect import Caller
from moneyback.dialects.chip.wire import Availability

_TEXTS: Final[Mapping[str, int]] = {"reference": 128, "product": 256, "country": 2, "flow": 32}
CLIENT_TEXTS: Final[Mapping[str, int]] = {
    "email": 254,
    "phone": 32,
    "full_name": 128,
    "personal_code": 32,
    "legal_name": 128,
    "brand_name": 128,
    "registration_number": 32,
    "tax_number": 32,
    "bank_account": 34,
    "bank_code": 11,
    "street_address": 128,
    "city": 128,
    "zip_code": 32,
    "country": 2,
    "state": 128,
    "shipping_street_address": 128,
    "shipping_city": 128,
    "shipping_zip_code": 32,
    "shipping_country": 2,
    "shipping_state": 128,
}
"""The text members of ClientDetails and how long each may be."""
_IDS: Final = ("brand_id", "company_id", "account_id")

SHOWN: Final = "shown"
"""The whole Purchase as CHIP has shown it, of a payment that was made there: its JSON text, so that nothing is lost."""
VIEWED: Final = "viewed_on"
CANCELLED: Final = "cancelled_on"
MARKED: Final = "marked_as_paid_on"
TOKEN: Final = "card_saved"  # whether the payer's card may be charged again
CHARGED: Final = "recurring_token"  # the token it was paid with
EXECUTED, AUTHORIZED, CAPTURED, RELEASED = "executed", "authorized", "captured", "released"
DECLINED: Final = "declined-"  # one for each attempt that failed, by its id
_LATER: Final = frozenset(
    {*(VIEWED, CANCELLED, MARKED, TOKEN, CHARGED, EXECUTED, AUTHORIZED, CAPTURED, RELEASED), "release"}
)
DECLINED_MAX: Final = 30
"""After so many attempts in vain a Purchase is blocked: whoever has its address cannot make it grow for ever."""


class Kept(dict[str, Any]):
    """A document that a handler of ours made, from what it has checked: not to be checked as a native client's."""


def payment_document(data: Mapping[str, Any], _now: datetime) -> Mapping[str, Any]:
    """What a natively registered payment may say for this dialect; every member is optional. Raises ValueError.

    `refund_availability`, `reference` (at most 128 characters), `product` (its name, 256), `country` (two letters),
    `flow`, `client` (text members of ClientDetails), `brand_id`, `company_id`, `account_id` (UUIDs).
    """
    if isinstance(data, Kept):
        return dict(data)
    unknown = set(data) - {*_TEXTS, *_IDS, "refund_availability", "client"}
    if unknown:
        raise ValueError(f"CHIP payments have no {min(unknown)!r} in dialect_data.")
    if data.get("refund_availability", Availability.ALL) not in list(Availability):
        raise ValueError(f"refund_availability is one of {', '.join(Availability)}.")
    client = data.get("client", {})
    if not isinstance(client, Mapping) or set(client) - set(CLIENT_TEXTS):
        raise ValueError(f"client is an object of these members: {', '.join(CLIENT_TEXTS)}.")
    _check_texts(data, _TEXTS)
    _check_texts(client, CLIENT_TEXTS)
    for name in _IDS:
        if name in data and not is_uuid(data[name]):
            raise ValueError(f"{name} is a UUID.")
    return dict(data)


def _check_texts(data: Mapping[str, Any], limits: Mapping[str, int]) -> None:
    for name, limit in limits.items():
        if name in data and not (isinstance(data[name], str) and len(data[name]) <= limit):
            raise ValueError(f"{name} is a text of at most {limit} characters.")


def is_uuid(value: object) -> bool:
    """Whether it is a UUID as CHIP writes them."""
    try:
        return str(UUID(str(value))) == value
    except ValueError:
        return False


def shown(payment: Payment) -> Mapping[str, Any] | None:
    """The Purchase as CHIP has shown it, numbers exact and members in their order; None for one that was made here."""
    text = payment.document.get(SHOWN)
    return None if text is None else _DECODER.decode(text)


_DECODER: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

# --- what it was created with ----------------------------------------------------------------------------------------


def option(payment: Payment, name: str, default: Any = None) -> Any:
    """A member that the creation stated beside client and products (`skip_capture`, `success_redirect`, …)."""
    return payment.document.get("options", {}).get(name, default)


def detail(payment: Payment, name: str, default: Any = None) -> Any:
    """A member of PurchaseDetails that the creation stated."""
    return payment.document.get("details", {}).get(name, default)


# --- what became of it -----------------------------------------------------------------------------------------------


def attempts(payment: Payment) -> Iterator[Mapping[str, Any]]:
    """Every attempt to move money other than a refund's, oldest first; those at one second in the order they came."""
    document = payment.document
    made = [document[name] for name in (EXECUTED, AUTHORIZED, CAPTURED, RELEASED) if name in document]
    made += [each for name, each in document.items() if name.startswith(DECLINED)]
    yield from sorted(made, key=lambda each: (each["at"], each["id"]))


def paying(payment: Payment) -> Mapping[str, Any] | None:
    """The attempt by which it was paid, or its money put on hold; None where the payment knows none."""
    found: Mapping[str, Any] | None = payment.document.get(EXECUTED) or payment.document.get(AUTHORIZED)
    return found


def method(payment: Payment) -> str | None:
    """How it was paid, in CHIP's word."""
    by = paying(payment)
    return by["payment_method"] if by is not None else payment.method


def times_declined(payment: Payment) -> int:
    """How often somebody has tried to pay it in vain."""
    return sum(name.startswith(DECLINED) for name in payment.document)


def happened_later(name: str) -> bool:
    """Whether a member tells of something that happened after the creation."""
    return name in _LATER or name.startswith(DECLINED)


def is_test(payment: Payment) -> bool:
    """Whether no real money moves: CHIP's key decides it, ours the rail."""
    return _is_sandbox(payment.rail)


def sees_tests(caller: Caller) -> bool:
    """Whether this is a test key: what is made with it moves no real money."""
    return _is_sandbox(str(caller.profile.get("rail", "sandbox")))


def _is_sandbox(rail: str) -> bool:
    return rail.partition("-")[0] == "sandbox"


def moment_of(at: int) -> datetime:
    """A unix time as a moment."""
    return datetime.fromtimestamp(at, UTC)
