"""Secrets that must be used again (a provider's credentials) are kept sealed under one master key.

Keys that are only compared are hashed instead, in `store/access.py`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
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
        except (InvalidTag, ValueError) as error:  # the latter where there is less than a nonce
            raise MasterKeyError(
                "A kept secret cannot be opened: the master key is not the one it was kept with."
            ) from error


def read_key(text: str, source: str = "MONEYBACK_MASTER_KEY") -> bytes:
    """A master key from its base64 text. Raises MasterKeyError, which names the source and never the text."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise MasterKeyError(f"{source} must be {KEY_BYTES} bytes in base64, and is not.")
    return key


def own_key(directory: Path) -> bytes:
    """The key kept beside the data, made at the first start and readable by its owner alone. Raises MasterKeyError."""
    file = directory / KEY_FILE
    try:
        if not file.exists():
            _make(file)
        text = file.read_text("ascii", "replace")
    except OSError as error:
        raise MasterKeyError(f"The master key {file} cannot be read or made: {error.strerror}.") from error
    return read_key(text, str(file))


def _make(file: Path) -> None:
    """A whole key appears under its name at once, or none: of two processes that make one, the first one's counts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, file)
    finally:
        fresh.unlink()
    _settle(file.parent)


def _settle(directory: Path) -> None:
    """The name survives a power cut too: what is sealed next must never outlive its key."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
