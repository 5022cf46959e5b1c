"""Trustly's event notifications as we receive them: whether one is genuine, and what it is about.

What an event says is never believed, its type and status least of all (the documentation's own sample of a completed
transaction carries another status): what it names is read. Its `eventId` tells a repetition from news.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

import msgspec

from moneyback.dialect import Forged, Heard, Notification
from moneyback.dialects.trustly.signatures import SIGNED_BY, Pairs, signature, signed_text
from moneyback.dialects.trustly.wire import Type

GIVEN_BACK: Final = frozenset({str(Type.REFUND.value), str(Type.RECLAIM.value)})


def hear(notification: Notification, credentials: Mapping[str, str]) -> Heard:
    """What an event is about. Raises Forged, or ValueError for what is no event.

    The transaction is `objectId`; the one it was made of, where it is named, is `parentObjectId`. A dispute names its
    transaction in a member of its own. Trustly asks for a 200 within three seconds, and for no words.
    """
    text = notification.body.decode()
    readings = _readings(text)
    if not any(_is_genuine(notification, each, credentials) for each in readings):
        raise Forged("the signature is not Trustly's")
    said = dict(readings[0])
    about = said.get("objectId", "") if said.get("objectType", "Transaction") == "Transaction" else ""
    is_refund = said.get("transactionType") in GIVEN_BACK
    originals = (*(() if is_refund else (about,)), said.get("parentObjectId", ""), said.get("transactionId", ""))
    event = said.get("eventId")
    return Heard(
        digest=f"event:{event}" if event else f"body:{sha256(notification.body).hexdigest()}",
        payments=tuple(dict.fromkeys(each for each in originals if each)),
        refunds=(about,) if is_refund and about else (),
    )


def _readings(text: str) -> tuple[Pairs, ...]:
    """The members in the order in which they came. Raises ValueError.

    Every payload is said to be a URL-encoded form, though it is printed as JSON. Whether a plus is a space in it is not
    said, so both readings are held against the signature.
    """
    if text.lstrip().startswith("{"):
        return (_of_json(text),)
    pairs = [each.partition("=") for each in text.strip("&\r\n ").split("&")]
    if not all(name and equals for name, equals, _ in pairs):
        raise ValueError("the body is no form")
    return tuple(tuple((decode(name), decode(value)) for name, _, value in pairs) for decode in (unquote_plus, unquote))


def _of_json(text: str) -> Pairs:
    try:
        members = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError("the body is no JSON object") from error
    if not all(isinstance(each, str | int | None) for each in members.values()):
        raise ValueError("the body is no flat JSON object")
    return tuple((name, _word(value)) for name, value in members.items())


def _word(value: str | int | None) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_genuine(notification: Notification, pairs: Pairs, credentials: Mapping[str, str]) -> bool:
    """HTTP Basic, whose password is the HMAC of all members, decoded and in their order (provider docs: Validate the
    notification signature). There is no time in it: an event may be repeated by anybody who saw it."""
    user, said = _basic(notification.headers.get("authorization", ""))
    prefix = next((each for each in SIGNED_BY if each and said.startswith(each)), "")
    expected = signature(credentials["access_key"], signed_text(pairs), SIGNED_BY[prefix])
    is_ours = hmac.compare_digest(user.encode(), credentials["access_id"].encode())
    return hmac.compare_digest(said.removeprefix(prefix).encode(), expected.encode()) and is_ours


def _basic(header: str) -> tuple[str, str]:
    """Access id and signature; a prefix of the signature brings a second colon. Empty when there are none."""
    scheme, _, encoded = header.strip().partition(" ")
    try:
        user, _, said = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        return "", ""
    return (user, said) if scheme.lower() == "basic" else ("", "")
