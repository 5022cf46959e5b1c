"""Maverick's webhooks as we send them: what a client's own program is told of transactions, signed with its secret.

Their addresses, each with a secret of its own, are set in Maverick's dashboard alone, so that here they are endpoints
of this dialect (provider docs: webhooks). Receivers disagree about where a transaction stands in the `data`: what each
of them reads is there.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import Ask, Caller, Delivery, Happened, ListDocuments, Mac, Release, release_of
from moneyback.dialects.maverick.captured import captures_of
from moneyback.dialects.maverick.objects import (
    capture_record,
    external_id_of,
    original,
    refund_record,
    release_record,
    terminal_of,
)
from moneyback.dialects.maverick.wire import Settings, Status, settings_of, stamp, written

ENDPOINT: Final = "endpoint"
"""The kind of document that an endpoint of this dialect is."""
MODULE: Final = "transaction"
CREATE: Final = "create"
SIGNATURE: Final = "webhook-signature"
AGAIN_AFTER: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))
"""Nothing is published of it; five tries are enough for a program that was restarted."""
_PAGE: Final = 100
_MID_DIGITS: Final = 12
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class News(msgspec.Struct, frozen=True):
    """A transaction that is told of: its record, and whether by then money of its original was taken."""

    action: str
    record: Mapping[str, Any]
    captured: bool = False


# --- what happened ---------------------------------------------------------------------------------------------------


def tell(happened: Happened, caller: Caller) -> Generator[Ask, Any, tuple[Delivery, ...]]:
    """The webhooks of one line of the event log, one for each endpoint that wants them."""
    settings = settings_of(caller)
    news = _news_of(happened, settings)
    if news is None:
        return ()
    number, date = number_of(happened.id), stamp(happened.at)
    said = {"id": number, "module": MODULE, "action": news.action, "date": date}
    body = _encode({**said, "data": _data(news, happened.payment, caller)})
    signed = "".join(map(str, said.values())).encode()
    found: list[Delivery] = []
    for endpoint in (yield from _endpoints()):
        if _wants(endpoint, news.action):
            found += [(yield from _delivery(endpoint, signed, body))]
    return tuple(found)


def _news_of(happened: Happened, settings: Settings) -> News | None:
    """The transaction that a line is about; None where it tells of none."""
    payment = happened.payment
    if happened.refund is not None:
        return _of_refund(happened, happened.refund, settings)
    match happened.type:
        case "payment.registered":
            return _of_original(happened, captured=bool(happened.data.get("captured")))
        case "payment.failed":
            return _of_original(happened, captured=False)
        case "payment.captured":
            return _of_capture(happened, int(happened.data.get("captured", payment.captured)))
        case "payment.released":
            release = release_of(payment)
            return None if release is None else _of_release(release, payment, settings)
        case _:
            return None


def _of_original(happened: Happened, *, captured: bool) -> News:
    return News(CREATE, original(happened.payment, (), happened.at), captured)


def _of_capture(happened: Happened, total: int) -> News:
    """The Capture that brought what was taken up to this total; where it was made elsewhere, the original with it."""
    payment, reached = happened.payment, 0
    for each in captures_of(payment):
        reached += each.amount
        if reached == total:
            return News(CREATE, capture_record(each, payment, happened.at), captured=True)
    record = original(payment, (), happened.at)
    return News(CREATE, {**record, "amount": written(total, payment.currency)}, captured=True)


_ENDS: Final[Mapping[str, State]] = {
    "refund.succeeded": State.SUCCEEDED,
    "refund.failed": State.FAILED,
    "refund.returned": State.RETURNED,
    "refund.canceled": State.CANCELED,
}


def _of_refund(happened: Happened, refund: Refund, settings: Settings) -> News | None:
    """The Return as it stood then, once it has ended; None for one that has no number by which it could be read."""
    state = _ENDS.get(happened.type)
    if happened.type == "refund.created" and happened.data.get("state") == State.FAILED.value:
        state = State.FAILED
    if state is None or not _is_number(refund.dialect_id):
        return None
    record = refund_record(msgspec.structs.replace(refund, state=state), happened.payment)
    return News(_action_of(record, settings), record)


def _of_release(release: Release, payment: Payment, settings: Settings) -> News:
    record = release_record(msgspec.structs.replace(release, state=State.SUCCEEDED), payment)
    return News(_action_of(record, settings), record)


def _action_of(record: Mapping[str, Any], settings: Settings) -> str:
    """Some receivers take a `refund` for money given back and look no further: one that was none is a new record."""
    return settings.webhook_on_refund if record["status"]["status"] == Status.APPROVED else CREATE


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


# --- what is said ----------------------------------------------------------------------------------------------------


def number_of(id: UUID) -> int:
    """The webhook's `id`: the same whenever the same is told, and small enough for every client's numbers."""
    return int.from_bytes(sha256(id.bytes).digest()[:6])


def _data(news: News, payment: Payment, caller: Caller) -> dict[str, Any]:
    """The nested form, and beside it what a receiver reads that knows no nested one."""
    record = news.record
    amount = Decimal(record["amount"])
    status = record["status"]
    return {
        "merchant": {"mid": _mid(caller), "name": caller.name},
        "terminal": {"id": terminal_of(payment)},
        "transaction": {
            "id": record["id"],
            "amount": amount,
            "status": status["status"],
            "statusReason": status["reason"],
            "origin": record["origin"],
            "type": record["type"],
            "parent": record["parent"],
        },
        "externalId": external_id_of(payment),
        "amount": amount,
        "captured": news.captured,
        "type": record["type"],
    }


def _mid(caller: Caller) -> str:
    """The merchant's number: that of the credential's profile, else one that is always the same."""
    stated = caller.profile.get("mid")
    return str(stated) if stated else f"{caller.merchant.int % 10**_MID_DIGITS:0{_MID_DIGITS}}"


# --- to whom ---------------------------------------------------------------------------------------------------------


def _endpoints() -> Generator[Ask, Any, list[Mapping[str, Any]]]:
    """All of them, oldest first."""
    found: list[Mapping[str, Any]] = []
    while True:
        page: tuple[Mapping[str, Any], ...] = yield ListDocuments(kind=ENDPOINT, offset=len(found), limit=_PAGE)
        found.extend(page)
        if len(page) < _PAGE:
            return found


def _wants(endpoint: Mapping[str, Any], action: str) -> bool:
    """Events are named `transaction/refund`; `transaction` alone means every action of it."""
    events = endpoint.get("events") or (MODULE,)
    return MODULE in events or f"{MODULE}/{action}" in events


def _delivery(endpoint: Mapping[str, Any], signed: bytes, body: bytes) -> Generator[Ask, Any, Delivery]:
    """Signed with the endpoint's secret: the plain SHA-512 of it and four members. The rest is not covered by it."""
    headers = {"content-type": "application/json"}
    if secret := endpoint.get("secret"):
        digest: bytes | None = yield Mac(data=signed, hash="sha512", sealed=secret, prefixed=True)
        if digest is not None:
            headers[SIGNATURE] = digest.hex()
    return Delivery(
        url=endpoint["url"],
        hook=endpoint["id"],
        headers=headers,
        body=body,
        again_after=AGAIN_AFTER,
        endpoint_headers=endpoint.get("headers") or "",
    )
