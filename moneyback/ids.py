"""Where ids come from. Everything else is handed its ids."""

from __future__ import annotations

import secrets
import string
from uuid import UUID

from uuid_utils.compat import uuid7

_ALPHABET = string.ascii_letters + string.digits


def new_id() -> UUID:
    """A UUIDv7: ordered by time, so that new rows lie together."""
    return uuid7()


def new_secret(length: int) -> str:
    """Random letters and digits, for keys and tokens."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
