"""Maverick's one object as we serve it: the record of an Auth, which is the original, of its children, and of others.

Pure rendering of our facts, the same 24 members for all, in the provider's order. An original's history is not stored
as such: it is told from its captures and refunds, so it cannot contradict them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import Release, release_of
from moneyback.dialects.maverick.batches import UNSETTLED, batch_of
from moneyback.dialects.maverick.captured import Capture, captures_of
from moneyback.dialects.maverick.parts import GIVEN, total
from moneyback.dialects.maverick.wire import (
    CURRENCY,
    DECLINED,
    NOT_ALLOWED,
    SHOWN,
    STUMBLES,
    TERMINAL,
    Status,
    reason_of,
    stamp,
    written,
)

NAME: Final = "maverick"
SHOWN_THERE: Final = "record"
"""The member of a payment's document that is its provider's own record of it, where we stand in front of one."""
_SANDBOX: Final = "sandbox"
_BIN_UNSTATED: Final = 411111
LAST_FOUR_UNSTATED: Final = 1111
"""What is printed of a card whose number nobody stated."""
ORIGIN_UNSTATED: Final = "API"
_EXPIRY_UNSTATED: Final = "2030-12-31"
_ADDRESS_UNSTATED: Final = "127.0.0.1"
ORDER_WORDS: Final = ("id", "date", "invoice", "description", "poNumber", "items")


class Ongoing(msgspec.Struct, frozen=True):
    """A capture that was decided and is being written."""

    capture: Capture


class Alone(msgspec.Struct, frozen=True):
    """A record that moves nothing and belongs to no original: a card authentication or a token, by its document."""

    document: Mapping[str, Any]

    @property
    def terminal(self) -> int:
        """The terminal it went through."""
        return int(self.document["terminal_id"])


def is_elsewhere(payment: Payment) -> bool:
    """Whether a provider took the payment: then it is not for us to say when it settles, or to let it go."""
    return payment.rail.partition("-")[0] != _SANDBOX


def terminal_of(payment: Payment) -> int | None:
    """The dashboard id of the terminal that took the payment; None where only its provider knows that."""
    if is_elsewhere(payment) and SHOWN_THERE not in payment.document:
        return None
    return int(payment.document.get("terminal_id", TERMINAL))


def _stated(payment: Payment) -> Mapping[str, Any]:
    """What is known of a payment beside its money: what was said of it, or what its provider shows."""
    shown = payment.document.get(SHOWN_THERE)
    if shown is None:
        return payment.document
    return {**{name: value for name, value in shown.items() if value is not None}, **payment.document}


def external_id_of(payment: Payment) -> str | None:
    """The merchant's own reference of a payment; one registered natively may have called it its order."""
    return _stated(payment).get("externalId") or payment.order


# --- the records -----------------------------------------------------------------------------------------------------


def original(payment: Payment, refunds: tuple[Refund, ...], now: datetime) -> dict[str, Any]:
    """The Auth record of a payment; a sale is one with `captured` true (seen in live records).

    What its provider shows of it is shown again, with the refunds that it does not show yet.
    """
    shown = payment.document.get(SHOWN_THERE)
    if shown is not None:
        return {**shown, "history": _completed(shown.get("history") or [], refunds)}
    document = payment.document
    status, reason = _standing(payment)
    changed = payment.updated_at > payment.created_at or captures_of(payment)
    record = _Record(
        id=payment.dialect_id,
        amount=total(payment),
        currency=payment.currency,
        kind="Auth",
        auth_code=_auth_code(payment.id.int) if status is Status.APPROVED else None,
        status=status,
        reason=reason,
        created_at=payment.created_at,
        updated_at=payment.updated_at if changed else None,
        batch=_batch(payment, payment.captured_at, now),
    )
    return _printed(
        record,
        document,
        level=_level(payment),
        origin=document.get("origin", ORIGIN_UNSTATED),
        threeds=document.get("threeds"),
        card=_whole_card(document.get("card", {})),
        contact=document.get("contact"),
        externalId=external_id_of(payment),
        refunded=is_refunded(payment),
        captured=payment.condition is Condition.CAPTURED,
        history=_history(payment, refunds),
        order=order(payment),
    )


def capture_record(capture: Capture | Ongoing, payment: Payment, now: datetime) -> dict[str, Any]:
    """The Capture record of some of an authorisation."""
    made = capture.capture if isinstance(capture, Ongoing) else capture
    record = _Record(
        id=made.id,
        amount=made.amount,
        currency=payment.currency,
        kind="Capture",
        status=Status.IN_PROGRESS if isinstance(capture, Ongoing) else Status.APPROVED,
        created_at=made.at,
        parent=payment.dialect_id,
        batch=UNSETTLED if isinstance(capture, Ongoing) else _batch(payment, made.at, now),
    )
    return _printed(record, _stated(payment), level=_level(payment))


def alone_record(alone: Alone) -> dict[str, Any]:
    """The record of a card authentication or of a token: nothing moved, so its amount is zero."""
    document = alone.document
    record = _Record(
        id=str(document["id"]),
        amount=0,
        currency=CURRENCY,
        kind=document["type"],
        auth_code=document.get("authCode"),
        status=Status(document["status"]),
        reason=document.get("reason"),
        created_at=datetime.fromisoformat(document["at"]),
    )
    return _printed(
        record,
        document,
        level=int(document.get("level", 1)),
        origin=document.get("origin", ORIGIN_UNSTATED),
        threeds=document.get("threeds"),
        card=_whole_card(document["card"]),
        contact=document.get("contact"),
        externalId=document.get("externalId"),
    )


def refund_record(refund: Refund, payment: Payment) -> dict[str, Any]:
    """The Return record of a refund. It has no authorisation code, no order and no history of its own."""
    record = _Record(
        id=refund.dialect_id,
        amount=refund.payer,
        currency=payment.currency,
        kind="Return",
        status=SHOWN[refund.state],
        reason=reason_of(refund),
        created_at=refund.created_at,
        updated_at=refund.updated_at,
        parent=payment.dialect_id,
    )
    return _printed(record, _stated(payment), level=_level(payment))


def release_record(release: Release, payment: Payment) -> dict[str, Any]:
    """The Return record of an Auth that was reversed before its capture: the whole amount, with a code of its own."""
    record = _Record(
        id=release.dialect_id,
        amount=payment.authorized,
        currency=payment.currency,
        kind="Return",
        auth_code=_auth_code(payment.id.int + 1) if release.state is State.SUCCEEDED else None,
        status=SHOWN[release.state],
        reason=release_reason(release),
        created_at=release.at,
        updated_at=release.at,
        parent=payment.dialect_id,
    )
    return _printed(record, _stated(payment), level=_level(payment))


def release_reason(release: Release) -> str | None:
    """`status.reason` of a release: null unless it ended badly."""
    return release.message or NOT_ALLOWED if SHOWN[release.state] in (Status.DECLINED, Status.ERROR) else None


def is_refunded(payment: Payment) -> bool:
    """Whether everything went back: all that was captured, or the authorisation before anything was."""
    release = release_of(payment)
    released = release is not None and release.state is State.SUCCEEDED
    return released or 0 < payment.captured <= payment.refunded + payment.external


def order(payment: Payment) -> dict[str, Any] | None:
    """The original's order, its amounts as decimal text; null where it has none. Shipping only where there is any."""
    parts, stated = payment.parts, payment.document.get("order", {})
    members: dict[str, Any] = {}
    if parts is not None:
        amounts = {"subtotal": parts.subtotal, "tax": parts.tax, "discounts": abs(parts.discount)}
        if parts.shipping:
            amounts["shipping"] = parts.shipping
        members = {name: written(amount, payment.currency) for name, amount in amounts.items()}
    return {**members, **{name: stated[name] for name in ORDER_WORDS if name in stated}} or None


# --- their parts -----------------------------------------------------------------------------------------------------


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """What distinguishes one record from another."""

    id: str
    amount: int
    currency: str
    kind: str
    auth_code: str | None = None
    status: Status
    reason: str | None = None
    created_at: datetime
    updated_at: datetime | None = None
    parent: str | None = None
    batch: Mapping[str, Any] = UNSETTLED


def _printed(
    record: _Record,
    document: Mapping[str, Any],
    *,
    level: int,
    origin: str = ORIGIN_UNSTATED,
    threeds: Mapping[str, Any] | None = None,
    card: Mapping[str, Any] | None = None,
    contact: Mapping[str, Any] | None = None,
    externalId: str | None = None,
    refunded: bool = False,
    captured: bool = False,
    history: list[dict[str, Any]] | None = None,
    order: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The 24 members in the provider's order (provider docs: refund page); what a child lacks is left at null."""
    return {
        "id": int(record.id),
        "amount": written(record.amount, record.currency),
        "origin": origin,
        "type": record.kind,
        "level": level,
        "authCode": record.auth_code,
        "parent": {"id": int(record.parent) if record.parent is not None else None},
        "terminal": {"id": int(document.get("terminal_id", TERMINAL))},
        "threeds": {name: (threeds or {}).get(name) for name in ("id", "eci", "aav", "cavv")},
        "card": card or _bare_card(document.get("card", {})),
        "contact": contact,
        "externalId": externalId,
        "isRecurring": document.get("isRecurring", "No"),
        "split": None,
        "refunded": refunded,
        "captured": captured,
        "history": history or [],
        "order": order,
        "feeTransaction": None,
        "batch": dict(record.batch),
        "ip": _ip(document.get("ip", {})),
        "status": {"status": record.status.value, "reason": record.reason},
        "updatedOn": stamp(record.updated_at) if record.updated_at is not None else None,
        "createdOn": stamp(record.created_at),
    }


def _level(payment: Payment) -> int:
    return int(_stated(payment).get("level", 1 if payment.parts is None else 2))


def _batch(payment: Payment, captured_at: datetime | None, now: datetime) -> Mapping[str, Any]:
    """Only the sandbox settles by our clock; how a provider does it is not for us to say."""
    return UNSETTLED if captured_at is None or is_elsewhere(payment) else batch_of(captured_at, now)


def _standing(payment: Payment) -> tuple[Status, str | None]:
    """How the original itself went. An Auth that was released later had been approved."""
    if release_of(payment) is not None:
        return Status.APPROVED, None
    match payment.condition:
        case Condition.PROCESSING:
            return Status.IN_PROGRESS, None
        case Condition.FAILED:
            reason = str(payment.document.get("reason", DECLINED))
            return (Status.ERROR if reason in STUMBLES else Status.DECLINED), reason
        case _:
            return Status.APPROVED, None


def _completed(listed: list[dict[str, Any]], refunds: tuple[Refund, ...]) -> list[dict[str, Any]]:
    """A provider's history with our clients' refunds under the ids they were told, and those that it does not list."""
    told = {each.provider_id: each.dialect_id for each in refunds if each.provider_id and each.dialect == NAME}
    found = []
    for each in listed:
        number = told.pop(str(each.get("id")), None)
        found.append(each if number in (None, str(each.get("id"))) else {**each, "id": int(str(number))})
    waiting = [each for each in _given(refunds) if each.provider_id is None or each.provider_id in told]
    return found + [
        {
            "id": int(each.dialect_id),
            "type": "Return",
            "amount": written(each.payer, each.currency),
            "createdOn": stamp(each.created_at),
        }
        for each in waiting
    ]


def _given(refunds: tuple[Refund, ...]) -> list[Refund]:
    return [each for each in refunds if each.state in GIVEN and each.dialect == NAME]


def _history(payment: Payment, refunds: tuple[Refund, ...]) -> list[dict[str, Any]]:
    """The original's Captures and Returns, oldest first.

    An entry has no status: one that ended badly would be taken for money given back, so it is left out. One that has
    not ended yet is there: a client in doubt looks here before it asks again. A refund made natively has no number of
    Maverick's to be listed by.
    """
    found = [(each.at, each.id, "Capture", each.amount) for each in captures_of(payment)]
    found += [(each.created_at, each.dialect_id, "Return", each.payer) for each in _given(refunds)]
    release = release_of(payment)
    if release is not None and release.state in GIVEN:
        found.append((release.at, release.dialect_id, "Return", payment.authorized))
    return [
        {"id": int(number), "type": kind, "amount": written(amount, payment.currency), "createdOn": stamp(at)}
        for at, number, kind, amount in sorted(found, key=lambda each: (each[0], int(each[1])))
    ]


def _bare_card(stated: Mapping[str, Any]) -> dict[str, Any]:
    """The card of a child, without what only its original knows."""
    return {
        "bin": stated.get("bin", _BIN_UNSTATED),
        "name": None,
        "number": stated.get("number", LAST_FOUR_UNSTATED),
        "exp": stated.get("exp", _EXPIRY_UNSTATED),
        "verification": {"cvv": None, "address": None},
        "networkTransactionId": None,
    }


def _whole_card(stated: Mapping[str, Any]) -> dict[str, Any]:
    verification = stated.get("verification", {})
    card = _bare_card(stated) | {
        "name": stated.get("name"),
        "verification": {name: verification.get(name) for name in ("cvv", "address")},
        "networkTransactionId": stated.get("networkTransactionId"),
    }
    return card | {"token": stated["token"]} if "token" in stated else card


def _ip(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Addresses of callers are not kept: what was said when the payment was registered, else a loopback."""
    location = stated.get("location", {})
    doubts = ("isAnonymous", "isAnonymousVpn", "isPublicProxy", "isHostingProvider", "isTorExitNode")
    return {
        "address": stated.get("address", _ADDRESS_UNSTATED),
        "isp": stated.get("isp"),
        "type": stated.get("type"),
        "location": {name: location.get(name) for name in ("city", "state", "country", "zip")},
        "info": dict.fromkeys(doubts, "No"),
    }


_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def _auth_code(seed: int) -> str:
    """Three letters and three digits, the same for the same payment always."""
    place, digits = divmod(seed, 1000)
    letters = ""
    for _ in range(3):
        place, at = divmod(place, len(_LETTERS))
        letters += _LETTERS[at]
    return f"{letters}{digits:03}"
