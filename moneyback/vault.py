"""Secrets that must be used again (a provider's credentials) are kept sealed under one master key.

Keys that are only compared are hashed instead, in `store/access.py`.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_FILE = "master.key"
KEY_BYTES = 32
NONCE_BYTES = 12


class MasterKeyError(Exception):
    """There is no usable master key; the message says what to do."""


class Vault:
    """Seals and opens texts. What is sealed for one purpose cannot be opened as another's."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise MasterKeyError(f"A master key has {KEY_BYTES} bytes, written in base64.")
        self._cipher = AESGCM(key)

    def seal(self, text: str, purpose: str) -> bytes:
        """The text, readable only with this key and for this purpose."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> str:
        """What was sealed. Raises MasterKeyError when it was sealed with another key, or changed."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode()).decode()
        except InvalidTag as error:
            raise MasterKeyError(
                "A kept secret cannot be opened: the master key is not the one it was kept with."
            ) from error


def read_key(text: str) -> bytes:
    """A master key from its base64 text. Raises MasterKeyError."""
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MasterKeyError("MONEYBACK_MASTER_KEY must be 32 bytes in base64.") from error


def own_key(directory: Path) -> bytes:
    """The key kept beside the data, made at the first start and readable by its owner alone."""
    file = directory / KEY_FILE
    if not file.exists():
        directory.mkdir(parents=True, exist_ok=True)
        fresh = base64.b64encode(os.urandom(KEY_BYTES)) + b"\n"
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return own_key(directory)
        with os.fdopen(descriptor, "wb") as out:
            out.write(fresh)
            out.flush()
            os.fsync(out.fileno())
    return read_key(file.read_text("ascii"))
