"""Where ids come from. Everything else is handed its ids."""

from __future__ import annotations

import secrets
import string
from base64 import b64encode
from uuid import UUID

from uuid_utils.compat import uuid7

_ALPHABET = string.ascii_letters + string.digits


def new_id() -> UUID:
    """A UUIDv7: ordered by time, so that new rows lie together."""
    return uuid7()


def new_secret(length: int) -> str:
    """Random letters and digits, for keys and tokens."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_signing_secret() -> str:
    """What an endpoint's deliveries are signed with, in the form of Standard Webhooks: 32 random bytes."""
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()
