"""What Maverick sends to a rail's own address: which records its webhooks are about, and whether they are its own.

A webhook's secret is set in Maverick's dashboard and need not be known here: nothing is believed of what is heard, it
is only read sooner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha512
from hmac import compare_digest
from typing import Any, Final

import msgspec

from moneyback.dialect import Forged, Heard, Notification

SECRET: Final = "webhook_secret"
"""The name of the credential that is the secret of the webhook's address. It may be left out."""
SIGNATURE: Final = "webhook-signature"
NO_REFUNDS: Final = frozenset({"auth", "sale", "capture", "cardauthentication", "generatetoken"})
"""Types of transactions, in small letters, that are certainly no refund."""
_NUMBER_MAX: Final = 20


class Told(msgspec.Struct, frozen=True):
    """A webhook's envelope (provider docs: webhooks)."""

    id: int | str
    module: str
    action: str
    date: str
    data: Any = None


def hear(sent: Notification, credentials: Mapping[str, str]) -> Heard:
    """The records a webhook is about. Raises Forged for another's signature, ValueError for what is no webhook.

    Receivers disagree about where a refund is named, and as what: whatever may be a record's id is read as one.
    """
    told = _read(sent.body)
    secret = credentials.get(SECRET)
    if secret is not None and not _is_signed(sent, told, secret):
        raise Forged
    data = told.data if isinstance(told.data, Mapping) else {}
    named = data.get("transaction")
    places = [named] if isinstance(named, Mapping) else []
    if told.module.lower() == "transaction":
        places.append(data)
    own = tuple(dict.fromkeys(number for each in places if (number := _number(each.get("id"))) is not None))
    parents = tuple(number for each in places for number in _parents(each))
    kinds = {str(each.get("type")).lower() for each in places}
    return Heard(
        digest=f"{told.module}:{told.action}:{told.id}",
        payments=tuple(dict.fromkeys((*parents, *own))),
        refunds=() if kinds & NO_REFUNDS else own,
    )


_decode: Final = msgspec.json.Decoder(Told, float_hook=str).decode


def _read(body: bytes) -> Told:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("it is no webhook of Maverick's") from error


def _is_signed(sent: Notification, told: Told, secret: str) -> bool:
    """SHA-512 of the secret and four members, in hexadecimal digits. The rest of the body is not covered by it."""
    signed = sha512(f"{secret}{told.id}{told.module}{told.action}{told.date}".encode()).hexdigest()
    stated = sent.headers.get(SIGNATURE, "").strip().lower()
    return compare_digest(signed.encode(), stated.encode())


def _parents(place: Mapping[str, Any]) -> Iterator[str]:
    parent = place.get("parent")
    number = _number(parent.get("id") if isinstance(parent, Mapping) else None)
    if number is not None:
        yield number


def _number(value: object) -> str | None:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return text if text.isascii() and text.isdigit() and len(text) <= _NUMBER_MAX else None
