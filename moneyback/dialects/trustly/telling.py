"""Event notifications as we send them: their members, their form, their signature, and where they go.

A form whose members are signed in their order, decoded, with the access key; whoever listens proves by it that the
event came from here (provider docs: Event Notifications; Validate the notification signature).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec

from moneyback.core.payment import Payment
from moneyback.dialect import Ask, Caller, Delivery, Happened, ListDocuments, Mac
from moneyback.dialects.trustly.events import Event, event_of
from moneyback.dialects.trustly.objects import merchant_id
from moneyback.dialects.trustly.records import payment_type
from moneyback.dialects.trustly.signatures import SIGNED_BY, Pairs, signed_text
from moneyback.dialects.trustly.wire import milliseconds

AGAIN_AFTER: Final = (timedelta(minutes=5),) * 144
"""Every five minutes, for twelve hours (provider docs: Event Notifications)."""
WITHIN: Final = timedelta(seconds=3)
"""A 200 that comes later does not count (provider docs: Event Notifications)."""
FORM: Final = "application/x-www-form-urlencoded"
TIME_ZONE: Final = "Etc/UTC"
ENDPOINTS: Final = "endpoint"
"""The documents that say where a merchant's events go."""
REFERENCE_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"Complete": "Completed", "Fail": "Failed", "Expire": "Expired"}
)
"""The OpenAPI document spells these otherwise than the events themselves: for credentials whose profile has
`event_names` "reference"."""
_SCHEMES: Final = ("http://", "https://")
_PAGE: Final = 100
_EXACT_BITS: Final = 53


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who listens. `secret` and `headers` are sealed, and empty where the access key alone signs."""

    hook: str
    url: str
    events: tuple[str, ...] = ()  # empty: all
    secret: str = ""
    headers: str = ""


def tell(happened: Happened, caller: Caller) -> Generator[Ask, Any, tuple[Delivery, ...]]:
    """What whoever listens to the payment's events is told; nothing where Trustly would tell nothing."""
    event = yield from event_of(happened)
    if event is None:
        return ()
    return (yield from deliveries(event, happened.payment, happened.id, happened.at, caller))


def deliveries(
    event: Event, payment: Payment, id: UUID, at: datetime, caller: Caller
) -> Generator[Ask, Any, tuple[Delivery, ...]]:
    """One delivery for every address that wants to hear of it. `id` names what happened: another one is other news.

    What cannot be signed is not sent: whoever listens would have to refuse it.
    """
    access_id = caller.profile.get("access_id")
    if not access_id:
        return ()
    told: list[Delivery] = []
    names = {event.name, REFERENCE_NAMES.get(event.name, event.name)}
    pairs = members(event, payment, id, at, caller)
    for each in (yield from addresses(payment, caller)):
        if each.events and not names & set(each.events):
            continue
        signed = yield from signed_by(pairs, caller, each.secret)
        if signed is not None:
            told.append(_delivery(each, pairs, f"{access_id}:{signed}"))
    return tuple(told)


# --- where it goes ---------------------------------------------------------------------------------------------------


def addresses(payment: Payment, caller: Caller) -> Generator[Ask, Any, list[Address]]:
    """The transaction's own address; else the merchant's, from the credential's profile or its endpoints.

    An address of an app's own scheme can be called by nobody (provider docs: Event Notifications; Establish).
    """
    own = payment.document.get("notificationUrl")
    default = caller.profile.get("notification_url")
    if own:
        found = [Address(hook="notificationUrl", url=str(own))]
    elif default:
        found = [Address(hook="default", url=str(default))]
    else:
        found = yield from _endpoints()
    return [each for each in found if each.url.lower().startswith(_SCHEMES)]


def _endpoints() -> Generator[Ask, Any, list[Address]]:
    found: list[Address] = []
    while True:
        some: tuple[Mapping[str, Any], ...] = yield ListDocuments(kind=ENDPOINTS, offset=len(found), limit=_PAGE)
        found += [
            Address(
                hook=each["id"],
                url=each["url"],
                events=tuple(each.get("events", ())),
                secret=each.get("secret", ""),
                headers=each.get("headers", ""),
            )
            for each in some
        ]
        if len(some) < _PAGE:
            return found


# --- what it says ----------------------------------------------------------------------------------------------------


def members(event: Event, payment: Payment, id: UUID, at: datetime, caller: Caller) -> Pairs:
    """Names and values in the documented order, nested names joined by points, codes as numbers in text.

    An empty `message` is kept (provider docs: Event Notifications, sample).
    """
    record = event.record
    return (
        ("merchantId", merchant_id(caller)),
        ("merchantReference", record.reference),
        ("paymentType", str(payment_type(payment).value)),
        ("transactionType", str(record.type.value)),
        ("eventId", str(number_of(id, event.name))),
        ("eventType", _spelled(event.name, caller)),
        ("objectId", record.id),
        ("objectType", "Transaction"),
        ("message", ""),
        ("timeZone", TIME_ZONE),
        ("createdAt", str(milliseconds(at))),
        ("accessId", str(caller.profile["access_id"])),
        ("paymentProviderTransaction.status", record.code),
        ("paymentProviderTransaction.statusMessage", record.description),
        ("status", str(record.status.value)),
        ("statusMessage", record.status.message),
        *_parent(payment),
        *event.more,
    )


def _spelled(name: str, caller: Caller) -> str:
    return REFERENCE_NAMES.get(name, name) if caller.profile.get("event_names") == "reference" else name


def _parent(payment: Payment) -> Pairs:
    """The authorisation that a record belongs to, where there is one (provider docs: Event Notifications)."""
    parent = payment.document.get("authorization")
    return (("parentObjectId", str(parent)),) if parent else ()


def number_of(id: UUID, name: str) -> int:
    """The `eventId`: the same whenever the same is told, and small enough to be exact in every client's numbers."""
    digest = sha256(id.bytes + name.encode()).digest()
    return int.from_bytes(digest[:8]) >> (64 - _EXACT_BITS)


# --- how it is sent --------------------------------------------------------------------------------------------------


def signed_by(pairs: Pairs, caller: Caller, secret: str) -> Generator[Ask, Any, str | None]:
    """The HMAC over all members, decoded, in their order; None where the key is not there to sign with.

    SHA-1 unless the credential's profile has `signed_by` HmacSHA512, which then stands before it. `secret`: an
    endpoint's own, sealed, in place of the access key.
    """
    stated = f"{caller.profile.get('signed_by')}:"
    prefix = stated if stated in SIGNED_BY else ""
    found: bytes | None = yield Mac(
        data=signed_text(pairs).encode(), hash="sha512" if SIGNED_BY[prefix] == "sha512" else "sha1", sealed=secret
    )
    return None if found is None else prefix + b64encode(found).decode()


def _delivery(address: Address, pairs: Pairs, signed: str) -> Delivery:
    """Spaces are written as %20, which every reader of forms takes for one."""
    return Delivery(
        url=address.url,
        hook=address.hook,
        headers={"authorization": f"Basic {b64encode(signed.encode()).decode()}", "content-type": FORM},
        body=urlencode(pairs, quote_via=quote, safe="").encode(),
        again_after=AGAIN_AFTER,
        received="200",
        within=WITHIN,
        endpoint_headers=address.headers,
    )
