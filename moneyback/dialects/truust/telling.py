"""Truust's webhooks as we send them: what a client's own program is told of its orders, payins, refunds and payouts.

Truust registers them in its dashboard alone, one address for each event, so that here they are endpoints of this
dialect. What is sent does not name its event: it is a dump of Truust's own records, in which an order is an escrow
(provider docs: recurring payments guide, webhook payload; developers page, webhooks). Whoever is told reads the object.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import Ask, Delivery, ListDocuments, Mac, Tell
from moneyback.dialects.truust.documents import CARD, Document, find
from moneyback.dialects.truust.objects import payin, refund_object
from moneyback.dialects.truust.wire import OrderStatus, major


class Told(StrEnum):
    """What can be told. The first two are the provider's own words (provider docs: recurring payments guide); the next
    six are its dashboard's labels in that form (developers page), and those about refunds are ours: it has none."""

    PAYIN_CONFIRMED = "PayinConfirmed"
    ESCROW_PUBLISHED = "EscrowPublished"
    ESCROW_FAILED = "EscrowFailed"
    ESCROW_ACCEPTED = "EscrowAccepted"
    ESCROW_REJECTED = "EscrowRejected"
    ESCROW_CANCELLED = "EscrowCancelled"
    ESCROW_RELEASED = "EscrowReleased"
    PAYOUT_CREATED = "PayoutCreated"
    PAYIN_REFUNDED = "PayinRefunded"
    REFUND_CONFIRMED = "RefundConfirmed"
    REFUND_DENIED = "RefundDenied"


ENDPOINT: Final = "endpoint"
"""The kind of document that an endpoint of this dialect is."""
SIGNATURE: Final = "moneyback-signature"
"""Truust signs nothing. An endpoint with a secret is sent this too: HMAC-SHA256 of the body, in hexadecimal digits."""
HEADERS: Final[Mapping[str, str]] = {
    "content-type": "application/json",
    "user-agent": "GuzzleHttp/6.3.3 PHP/7.1.10-1+ubuntu14.04.1+deb.sury.org+1",
}
"""As the provider's own sender sets them (its fork of Captain Hook)."""
AGAIN_AFTER: Final = (timedelta(seconds=30),) * 4
WITHIN: Final = timedelta(seconds=8)
PLATFORM: Final = "moneyback"
_PAGE: Final = 100
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode

Body = dict[str, Any]
Saying = Generator[Ask, Any, Body]
"""What will be said, once there is somebody to be told."""


# --- what is said ----------------------------------------------------------------------------------------------------


def said_of(
    order: Document, paid: Payment | None = None, refund: Refund | None = None, payout: Document | None = None
) -> Saying:
    """What a webhook says: the order, its platform, and what of its payin, refund and payout it is about."""
    body: Body = {"escrow": _escrow(order), "platform": PLATFORM}
    if paid is not None:
        body["payin"] = _payin(paid, order, (yield from _card_of(paid)))
    if refund is not None:
        body["refund"] = _refund(refund)
    if payout is not None:
        body["payout"] = _payout(payout)
    return body


def _escrow(order: Document) -> Body:
    """The order. Its number is text here, and only here (provider docs: recurring payments guide)."""
    return {
        "id": str(order["id"]),
        "name": order["name"],
        "amount": major(order["value"], order["currency"]),
        "currency": order["currency"],
        "status": order["status"],
        "metadata": order.get("metadata"),
        "auto_settled": "1" if order.get("auto_settle") else "0",
    }


def _payin(payment: Payment, order: Document, card: Document | None) -> Body:
    shown = payin(payment, None, "")
    told = {
        "id": shown["id"],
        "reference_id": shown["reference"],
        "escrow_id": int(order["id"]),
        "card_id": None if card is None else card["id"],
        "type": shown["type"],
        "status": shown["status"],
        "save_card": int(card is not None),
        "provider": shown["provider"],
    }
    return told if card is None else told | {"card": _card(card)}


def _card(card: Document) -> Body:
    alias = card.get("alias")
    name = None if alias is None else alias.replace("X", "*")
    return {"id": card["id"], "name": name, "payin_type": card.get("payin_type")}


def _card_of(payment: Payment) -> Generator[Ask, Any, Document | None]:
    """The card that was kept with a payin, unless it was forgotten since."""
    name = payment.document.get("card")
    return None if name is None else (yield from find(CARD, str(name)))


def _refund(refund: Refund) -> Body:
    """The refund with the members it is read with, but for its amount: a number, as the order's is."""
    shown = refund_object(refund)
    links = ("self", "connections")
    amount: int | Decimal = major(refund.payer, refund.currency)
    return {name: value for name, value in shown.items() if name not in links} | {"amount": amount}


def _payout(payout: Document) -> Body:
    names = ("wallet_id", "bankaccount_id", "created_at", "confirmed_at")
    return {
        "id": payout["id"],
        "reference_id": payout.get("reference"),
        "escrow_id": payout["order_id"],
        "type": payout["type"],
        "status": payout["status"],
        **{name: payout.get(name) for name in names},
    }


# --- to whom ---------------------------------------------------------------------------------------------------------


def deliveries(events: Sequence[Told], saying: Saying) -> Generator[Ask, Any, tuple[Delivery, ...]]:
    """What every endpoint is sent that asked for one of these events, which say the same at the same moment."""
    return tuple(each for _, each in (yield from _of_events(events, saying)))


def _of_events(events: Sequence[Told], saying: Saying) -> Generator[Ask, Any, list[tuple[Told, Delivery]]]:
    """The same, each with the first event that its endpoint asked for.

    Truust's sender collapses what would be the same request to the same address, and so is it here.
    """
    chosen: dict[str, tuple[Told, Document]] = {}
    for endpoint in (yield from _endpoints()):
        wanted = endpoint.get("events") or events
        event = next((each for each in events if each in wanted), None)
        if event is not None:
            chosen.setdefault(endpoint["url"], (event, endpoint))
    if not chosen:
        saying.close()
        return []
    body = _encode((yield from saying))
    found: list[tuple[Told, Delivery]] = []
    for event, endpoint in chosen.values():
        found += [(event, (yield from _delivery(endpoint, body)))]
    return found


def _endpoints() -> Generator[Ask, Any, list[Document]]:
    """All of them, oldest first."""
    found: list[Document] = []
    while True:
        page: tuple[Document, ...] = yield ListDocuments(kind=ENDPOINT, offset=len(found), limit=_PAGE)
        found.extend(page)
        if len(page) < _PAGE:
            return found


def _delivery(endpoint: Document, body: bytes) -> Generator[Ask, Any, Delivery]:
    """With a signature where the endpoint has a secret, and with the headers that it was registered with."""
    secret = endpoint.get("secret")
    mac: bytes | None = (yield Mac(data=body, hash="sha256", sealed=secret)) if secret else None
    return Delivery(
        url=endpoint["url"],
        hook=endpoint["id"],
        headers=HEADERS if mac is None else {**HEADERS, SIGNATURE: mac.hex()},
        body=body,
        again_after=AGAIN_AFTER,
        within=WITHIN,
        endpoint_headers=endpoint.get("headers") or "",
    )


def announce(events: Sequence[Told], about: object, saying: Saying) -> Generator[Ask, Any, None]:
    """Tell of something once, by whichever call or line of the log it is told first: `about` is its number."""
    for event, each in (yield from _of_events(events, saying)):
        yield Tell(id=f"{event.value} {about}", delivery=each)


def published(order: Document) -> Document:
    """The order as it stands once it is paid, whatever became of it since."""
    return {**order, "status": OrderStatus.PUBLISHED.value}
