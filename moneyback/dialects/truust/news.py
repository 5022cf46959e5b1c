"""What Truust sends to a rail's own address: which payin, and which refund, it is about.

Its webhooks are not signed and do not even name their event: they are dumps of an order and its payin, to be confirmed
by reading. That is all that is done because of them (provider docs: recurring payments guide, webhook payload).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import msgspec

from moneyback.dialect import Heard, Notification
from moneyback.dialects.truust.wire import is_number

OBJECTS: Final = ("escrow", "payin", "refund", "payout")
"""What a webhook shows, in the words of Truust's own program: an order is an escrow there."""
_BOM: Final = b"\xef\xbb\xbf"
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def hear(sent: Notification, _credentials: Mapping[str, str]) -> Heard:
    """The payin and the refund a webhook is about. Raises ValueError for what is no webhook.

    The event is known by the address alone, so that its query belongs to what tells one from another.
    """
    body = _read(sent.body)
    payin, refund = _member(body, "payin"), _member(body, "refund")
    digest = sha256(_encode((body, sent.query))).hexdigest()
    return Heard(
        digest=digest,
        payments=tuple(dict.fromkeys((*_number(payin.get("id")), *_number(refund.get("payin_id"))))),
        refunds=tuple(_number(refund.get("id"))),
    )


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = _decode(body.removeprefix(_BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("it is no webhook of Truust's") from error
    if not isinstance(found, dict) or not any(isinstance(found.get(name), Mapping) for name in OBJECTS):
        raise ValueError("it is no webhook of Truust's")
    return found


def _member(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return found if isinstance(found, Mapping) else {}


def _number(value: object) -> Iterator[str]:
    """An id, which may be a number or its text."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if is_number(text):
        yield text
