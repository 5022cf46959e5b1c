"""How Trustly signs: the HMAC of a text with the access key. Addresses and events alike, those we receive and send."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

Pairs = tuple[tuple[str, str], ...]
"""Members of an event, decoded, in the order in which they are signed."""

SIGNED_BY: Final[Mapping[str, str]] = MappingProxyType({"": "sha1", "HmacSHA1:": "sha1", "HmacSHA512:": "sha512"})
"""What stands before a signature, and its digest; nothing means the default (provider docs: Validate the notification
signature)."""


def signature(access_key: str, text: str, digest: str = "sha1") -> str:
    """The signature of an address without its `requestSignature` (provider docs: Validate the redirect signature), or
    of the members of an event."""
    return b64encode(hmac.digest(access_key.encode(), text.encode(), digest)).decode()


def signed_text(pairs: Pairs) -> str:
    """What is signed of an event: all its members (provider docs: Validate the notification signature)."""
    return "&".join(f"{name}={value}" for name, value in pairs)
