"""Signing for a merchant: key pairs whose private half is sealed where it is drawn, and opened here alone, to sign.

Whoever is handed a sealed key can keep it anywhere: it opens for its own merchant, under our master key, and no other.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Final
from uuid import UUID

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

from moneyback.dialect import KeyPair
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


def _purpose(merchant: UUID) -> str:
    return f"signing key of {merchant.hex}"
