"""Maverick's one object as we serve it: the record of an Auth, which is the original, and of a Return.

Pure rendering of our facts, the same 24 members for both, in the provider's order. An original's history is not
stored: it is told from its refunds, so it cannot contradict them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import Release, release_of
from moneyback.dialects.maverick.parts import GIVEN, total
from moneyback.dialects.maverick.wire import DECLINED, NOT_ALLOWED, SHOWN, Status, reason_of, stamp, written

TERMINAL: Final = 24
"""The terminal of a payment that states none: the one of the provider's examples."""

_BIN_UNSTATED: Final = 411111
_LAST_FOUR_UNSTATED: Final = 1111
_EXPIRY_UNSTATED: Final = "2030-12-31"
_ADDRESS_UNSTATED: Final = "127.0.0.1"


def terminal_of(payment: Payment) -> int:
    """The dashboard id of the terminal that took the payment."""
    return int(payment.document.get("terminal_id", TERMINAL))


# --- the records -----------------------------------------------------------------------------------------------------


def original(payment: Payment, refunds: tuple[Refund, ...]) -> dict[str, Any]:
    """The Auth record of a payment; a sale is one with `captured` true (seen in live records)."""
    document = payment.document
    status, reason = _standing(payment)
    record = _Record(
        id=payment.dialect_id,
        amount=total(payment),
        kind="Auth",
        auth_code=_auth_code(payment.id.int) if status is Status.APPROVED else None,
        status=status,
        reason=reason,
        created_at=payment.created_at,
        updated_at=payment.updated_at if payment.updated_at > payment.created_at else None,
    )
    return _printed(
        record,
        payment,
        origin=document.get("origin", "API"),
        card_name=document.get("card", {}).get("name"),
        contact=document.get("contact"),
        externalId=document.get("externalId") or payment.order,
        refunded=is_refunded(payment),
        captured=payment.condition is Condition.CAPTURED,
        history=_history(payment, refunds),
        order=order(payment),
    )


def refund_record(refund: Refund, payment: Payment) -> dict[str, Any]:
    """The Return record of a refund. It has no authorisation code, no order and no history of its own."""
    record = _Record(
        id=refund.dialect_id,
        amount=refund.payer,
        kind="Return",
        auth_code=None,
        status=SHOWN[refund.state],
        reason=reason_of(refund),
        created_at=refund.created_at,
        updated_at=refund.updated_at,
        parent=payment.dialect_id,
    )
    return _printed(record, payment)


def release_record(release: Release, payment: Payment) -> dict[str, Any]:
    """The Return record of an Auth that was reversed before its capture: the whole amount, with a code of its own."""
    record = _Record(
        id=release.dialect_id,
        amount=payment.authorized,
        kind="Return",
        auth_code=_auth_code(payment.id.int + 1) if release.state is State.SUCCEEDED else None,
        status=SHOWN[release.state],
        reason=release_reason(release),
        created_at=release.at,
        updated_at=release.at,
        parent=payment.dialect_id,
    )
    return _printed(record, payment)


def release_reason(release: Release) -> str | None:
    """`status.reason` of a release: null unless it ended badly."""
    return release.message or NOT_ALLOWED if SHOWN[release.state] in (Status.DECLINED, Status.ERROR) else None


def is_refunded(payment: Payment) -> bool:
    """Whether everything went back: all that was captured, or the authorisation before anything was."""
    release = release_of(payment)
    released = release is not None and release.state is State.SUCCEEDED
    return released or 0 < payment.captured <= payment.refunded + payment.external


def order(payment: Payment) -> dict[str, str] | None:
    """The original's order, decimal text each; null where it has none. Shipping is named only where there is any."""
    parts = payment.parts
    if parts is None:
        return None
    members = {"subtotal": parts.subtotal, "tax": parts.tax, "discounts": abs(parts.discount)}
    if parts.shipping:
        members["shipping"] = parts.shipping
    return {name: written(amount, payment.currency) for name, amount in members.items()}


# --- their parts -----------------------------------------------------------------------------------------------------


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """What distinguishes one record of a payment from another."""

    id: str
    amount: int
    kind: str
    auth_code: str | None
    status: Status
    reason: str | None
    created_at: datetime
    updated_at: datetime | None
    parent: str | None = None


def _printed(
    record: _Record,
    payment: Payment,
    *,
    origin: str = "API",
    card_name: str | None = None,
    contact: Mapping[str, Any] | None = None,
    externalId: str | None = None,
    refunded: bool = False,
    captured: bool = False,
    history: list[dict[str, Any]] | None = None,
    order: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The 24 members in the provider's order (provider docs: refund page); what a Return lacks is left at null."""
    document = payment.document
    return {
        "id": int(record.id),
        "amount": written(record.amount, payment.currency),
        "origin": origin,
        "type": record.kind,
        "level": document.get("level", 1 if payment.parts is None else 2),
        "authCode": record.auth_code,
        "parent": {"id": int(record.parent) if record.parent is not None else None},
        "terminal": {"id": terminal_of(payment)},
        "threeds": {"id": None, "eci": None, "aav": None, "cavv": None},
        "card": _card(document.get("card", {}), card_name),
        "contact": contact,
        "externalId": externalId,
        "isRecurring": document.get("isRecurring", "No"),
        "split": None,
        "refunded": refunded,
        "captured": captured,
        "history": history or [],
        "order": order,
        "feeTransaction": None,
        "batch": {"id": None, "number": None, "batchedOn": None},
        "ip": _ip(document.get("ip", {})),
        "status": {"status": record.status.value, "reason": record.reason},
        "updatedOn": stamp(record.updated_at) if record.updated_at is not None else None,
        "createdOn": stamp(record.created_at),
    }


def _standing(payment: Payment) -> tuple[Status, str | None]:
    """How the original itself went. An Auth that was released later had been approved."""
    if release_of(payment) is not None:
        return Status.APPROVED, None
    match payment.condition:
        case Condition.PROCESSING:
            return Status.IN_PROGRESS, None
        case Condition.FAILED:
            return Status.DECLINED, str(payment.document.get("reason", DECLINED))
        case _:
            return Status.APPROVED, None


def _history(payment: Payment, refunds: tuple[Refund, ...]) -> list[dict[str, Any]]:
    """The original's Returns, oldest first.

    An entry has no status: one that ended badly would be taken for money given back, so it is left out. One that has
    not ended yet is there: a client in doubt looks here before it asks again.
    """
    found = [(each.created_at, each.dialect_id, each.payer) for each in refunds if each.state in GIVEN]
    release = release_of(payment)
    if release is not None and release.state in GIVEN:
        found.append((release.at, release.dialect_id, payment.authorized))
    return [
        {"id": int(number), "type": "Return", "amount": written(amount, payment.currency), "createdOn": stamp(at)}
        for at, number, amount in sorted(found)
    ]


def _card(stated: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    return {
        "bin": stated.get("bin", _BIN_UNSTATED),
        "name": name,
        "number": stated.get("number", _LAST_FOUR_UNSTATED),
        "exp": stated.get("exp", _EXPIRY_UNSTATED),
        "verification": {"cvv": None, "address": None},
        "networkTransactionId": None,
    }


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
