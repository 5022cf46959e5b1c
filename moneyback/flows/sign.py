"""Signing for a merchant: keys and secrets that are sealed where they are drawn, and opened here alone, to sign.

Whoever is handed a sealed key can keep it anywhere: it opens for its own merchant, under our master key, and no other.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook

from moneyback.dialect import Delivery, KeyPair, Mac
from moneyback.store.access import credential_purpose
from moneyback.vault import MasterKeyError, Vault

KEY_BITS: Final = 2048


def draw_key_pair(vault: Vault | None, merchant: UUID) -> KeyPair:
    """A fresh RSA key pair. A tenth of a second of work, for a thread of its own."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    sealed = b64encode(vault.seal(private.decode(), _purpose(merchant))) if vault is not None else b""
    return KeyPair(public=public.decode(), private=sealed.decode())


def sign(vault: Vault | None, merchant: UUID, sealed: str, data: bytes) -> bytes | None:
    """RSA PKCS#1 v1.5 over SHA-256; None where the key cannot be opened."""
    if vault is None or not sealed:
        return None
    try:
        opened = vault.open(b64decode(sealed, validate=True), _purpose(merchant))
    except (MasterKeyError, binascii.Error, ValueError):
        return None
    # Sealed, it was not changed since it was drawn: looking for flaws in it again would take longer than signing.
    key = load_pem_private_key(opened.encode(), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.sign(data, PKCS1v15(), SHA256())


def seal_secret(vault: Vault, merchant: UUID, secret: str) -> str:
    """An endpoint's own secret, or its headers as JSON, as a document may hold it: opened here alone."""
    return b64encode(vault.seal(secret, _endpoint_purpose(merchant))).decode()


def with_endpoint_headers(vault: Vault, merchant: UUID, delivery: Delivery) -> Delivery:
    """A delivery with the headers that its endpoint's document holds sealed, as far as they can be opened."""
    sealed = delivery.endpoint_headers
    opened = _endpoint_secret(vault, merchant, sealed) if sealed else None
    more = msgspec.json.decode(opened, type=dict[str, str]) if opened is not None else {}
    return replace(delivery, headers={**delivery.headers, **more}, endpoint_headers="")


def standard_headers(secrets: Sequence[str], id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks: one signature for each secret (`whsec_…`), a space between them."""
    signatures = [Webhook(secret).sign(id, at, body.decode()) for secret in secrets]
    return {
        "webhook-id": id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def mac(vault: Vault | None, merchant: UUID, ask: Mac, dialect: str, kept: bytes | None) -> bytes | None:
    """The HMAC under the secret in the ask, or under that of a credential, `kept` sealed; None where it is not open."""
    if vault is None:
        return None
    if ask.sealed:
        secret = _endpoint_secret(vault, merchant, ask.sealed)
    else:
        secret = _opened(vault, kept, credential_purpose(merchant, dialect))
    if secret is None:
        return None
    if ask.prefixed:
        return hashlib.new(ask.hash, secret.encode() + ask.data).digest()
    return hmac.digest(secret.encode(), ask.data, ask.hash)


def _endpoint_secret(vault: Vault, merchant: UUID, sealed: str) -> str | None:
    try:
        kept = b64decode(sealed, validate=True)
    except (binascii.Error, ValueError):
        return None
    return _opened(vault, kept, _endpoint_purpose(merchant))


def _opened(vault: Vault, kept: bytes | None, purpose: str) -> str | None:
    try:
        return vault.open(kept, purpose) if kept is not None else None
    except MasterKeyError:
        return None


def _endpoint_purpose(merchant: UUID) -> str:
    return f"endpoint secret of {merchant.hex}"


def _purpose(merchant: UUID) -> str:
    return f"signing key of {merchant.hex}"
