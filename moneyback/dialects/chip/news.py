"""What CHIP tells us: webhooks and callbacks, told from forgeries where we know the key they are signed with.

Their body is a Purchase or a Payment with an `event_type`. Of it only the ids are used: what they name is read.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from moneyback.dialect import Forged, Heard, Notification, Outgoing

KEYS: Final = ("webhook_key", "company_key")
"""The public keys that a rail may know, as PEM whose line ends may be written `\\n`: the webhook's own (`public_key`
where it was made), and the company's (`GET /public_key/`), which signs success callbacks."""


def hear(sent: Notification, credentials: Mapping[str, str]) -> Heard:
    """What a notification is about (provider docs: callbacks page). Without a key of `KEYS` none is checked.

    Raises Forged for a signature that is none of theirs, ValueError for what cannot be read and for keys that are none.
    """
    keys = [_key(credentials[name]) for name in KEYS if name in credentials]
    if keys and not any(_signs(key, sent) for key in keys):
        raise Forged
    told = _read(sent.body)
    ids = {"payment": _related(told), "purchase": told.get("id")}
    named = ids.get(str(told.get("type")))
    return Heard(digest=_digest(told), payments=(named,) if isinstance(named, str) else (), answer=Outgoing(status=200))


def _key(text: str) -> RSAPublicKey:
    try:
        key = load_pem_public_key(text.replace("\\n", "\n").encode())
    except UnsupportedAlgorithm as error:
        raise ValueError("the key of the rail is none that CHIP signs with") from error
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the key of the rail is none that CHIP signs with")
    return key


def _signs(key: RSAPublicKey, sent: Notification) -> bool:
    """X-Signature: RSA PKCS#1 v1.5 over SHA-256 of the body's bytes, in base64 (provider docs: callbacks page)."""
    try:
        signature = b64decode(sent.headers.get("x-signature", ""), validate=True)
        key.verify(signature, sent.body, PKCS1v15(), SHA256())
    except (InvalidSignature, NotBase64, ValueError):
        return False
    return True


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("the body is no JSON") from error
    if not isinstance(told, dict) or not isinstance(told.get("event_type"), str):
        raise ValueError("the body has no event_type")
    return told


def _related(told: Mapping[str, Any]) -> Any:
    """The Purchase of a refund's Payment."""
    related = told.get("related_to")
    return related.get("id") if isinstance(related, dict) and related.get("type") in (None, "purchase") else None


def _digest(told: Mapping[str, Any]) -> str:
    """CHIP numbers no events. A body is fixed when its event happens: the same words again are the same event."""
    return sha256(msgspec.json.encode(told, order="deterministic")).hexdigest()
