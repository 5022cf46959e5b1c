"""Truust's objects as we print them: the payin, the refund and the bank account, member by member in their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import iso4217
import msgspec

from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Refund
from moneyback.dialects.truust.fields import TAG_LENGTH_MAX
from moneyback.dialects.truust.kept import shown
from moneyback.dialects.truust.wire import (
    LINKED,
    REFUND_SHOWN,
    VERSION,
    WALLET,
    PayinStatus,
    RefundStatus,
    amount_text,
    is_sandbox,
    order_number,
    page_path,
    payin_status,
    payin_type,
    time_text,
)

_BANK_ACCOUNT_MEMBERS: Final = (
    *("id", "self", "uuid", "type", "name", "number", "bic", "tag", "metadata", "created_at", "connections"),
)

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode

# --- the payin -------------------------------------------------------------------------------------------------------


def payin(payment: Payment, refund: Refund | None, base: str) -> dict[str, Any]:
    """The payin (provider docs: Refund payin, its members in its order); `refund` is the one its connections name.

    It shows no amount, neither its own nor what was refunded: that is the order's and the refunds' affair. A payment
    may be registered after it was captured; a payin is never younger than its confirmation.
    """
    there = shown(payment.document)
    if there is not None:
        return _as_there(payment, refund, there)
    status = payin_status(payment)
    confirmed = payment.condition is Condition.CAPTURED
    return {
        "id": int(payment.dialect_id),
        "self": f"{VERSION}/payins/{payment.dialect_id}",
        "reference": _reference(payment),
        "type": payin_type(payment),
        "subtype": payment.document.get("subtype"),
        "status": status.value,
        "provider": _provider(payment),
        "tag": payment.document.get("tag"),
        "direct_link": _page(payment, base) if status in LINKED else None,
        "created_at": time_text(min(payment.created_at, payment.captured_at or payment.created_at)),
        "confirmed_at": time_text(payment.captured_at or payment.created_at) if confirmed else None,
        "denied_at": time_text(payment.updated_at) if status is PayinStatus.DENIED else None,
        "connections": _connections(payment, refund),
    }


def _as_there(payment: Payment, refund: Refund | None, there: Mapping[str, Any]) -> dict[str, Any]:
    """The payin as Truust showed it, with what we know better: that it was paid, or given back, since then."""
    status, stated = payin_status(payment).value, there.get("status")
    if payment.condition is not Condition.CAPTURED or (status == PayinStatus.CONFIRMED and stated not in LINKED):
        status = stated or status
    connections = there.get("connections")
    links = dict(connections) if isinstance(connections, Mapping) else {}
    if refund is not None:
        links["refund"] = f"{VERSION}/refunds/{refund.dialect_id}"
    known = {
        "status": status,
        "direct_link": there.get("direct_link") if status in LINKED else None,
        "connections": links,
    }
    return {**there, **known}


def _page(payment: Payment, base: str) -> str | None:
    """Where its buyer pays: here, as long as its money is the sandbox bank's."""
    if not is_sandbox(payment):
        return payment.document.get("direct_link")
    return base + page_path("direct", payment.merchant, payment.id.hex, payment.dialect_id)


def _reference(payment: Payment) -> str | None:
    stated = payment.document.get("reference")
    if stated is not None or payment.condition is Condition.PROCESSING:
        return stated
    return payment.reference


def _provider(payment: Payment) -> dict[str, Any]:
    """The gateway's raw answer: the one registered, or Redsys's as far as it follows from what is known of a payment.

    Amounts are text of minor units, the currency is ISO 4217's number (provider docs: recurring payments guide).
    """
    stated = payment.document.get("provider")
    if stated is not None:
        return dict(stated)
    if not payin_type(payment).upper().startswith("REDSYS") or payment.condition is not Condition.CAPTURED:
        return {}
    return {
        "Ds_Amount": str(payment.captured),
        "Ds_Currency": f"{iso4217.Currency(payment.currency).number:03d}",
        "Ds_Order": payment.dialect_id[-12:],
        "Ds_Response": "0000",
    }


def _connections(payment: Payment, refund: Refund | None) -> dict[str, str]:
    found = {"order": f"{VERSION}/orders/{order_number(payment)}"}
    if card := payment.document.get("card"):
        found["card"] = f"{VERSION}/cards/{card}"
    if refund is not None:
        found["refund"] = f"{VERSION}/refunds/{refund.dialect_id}"
    return found


def newest(payment: Payment, refunds: Iterable[Refund]) -> Refund | None:
    """The last refund made through this API; those made natively have no number to be read by here."""
    own = [each for each in refunds if each.dialect == payment.dialect]
    return own[-1] if own else None


# --- the refund ------------------------------------------------------------------------------------------------------


def remembered(
    payment: Payment, tag: str | None, metadata: Mapping[str, Any] | None, wallet_id: int | None = None
) -> dict[str, Any]:
    """What a refund must carry along so that it can be printed on its own.

    `wallet_id` is the wallet that gets the money in place of the payer; a WALLET payin goes back to its own.
    `metadata` is kept as JSON text, so that its numbers come back with the digits they came with.
    """
    if wallet_id is None and payin_type(payment).upper() == WALLET:
        wallet_id = payment.document.get("wallet_id")
    return {
        "payin_id": int(payment.dialect_id),
        "escrow_id": order_number(payment),
        "wallet_id": wallet_id,
        "tag": tag,
        "metadata": None if metadata is None else _encode(metadata).decode(),
    }


def remembered_natively(payment: Payment, reference: str | None) -> dict[str, Any]:
    """The same of a refund that was asked for natively: its client's reference is its tag, as far as a tag reaches."""
    return remembered(payment, reference[:TAG_LENGTH_MAX] if reference else None, None)


def refund_object(refund: Refund) -> dict[str, Any]:
    """The refund (provider docs: Get refund). There is no time of confirmation among its members."""
    status, kept = REFUND_SHOWN[refund.state], refund.request
    return {
        "id": int(refund.dialect_id),
        "self": f"{VERSION}/refunds/{refund.dialect_id}",
        "reference_id": refund.trace if refund.named else refund.provider_id,  # in front, Truust's own
        "amount": amount_text(refund.payer, refund.currency),
        "status": status.value,
        "payin_id": kept["payin_id"],
        "wallet_id": kept["wallet_id"],
        "escrow_id": kept["escrow_id"],
        "tag": kept["tag"],
        "provider": _verdict(refund) if status is RefundStatus.DENIED else None,
        "metadata": None if kept["metadata"] is None else _decode(kept["metadata"]),
        "created_at": time_text(refund.created_at),
        "updated_at": time_text(refund.updated_at),
        "denied_at": time_text(refund.ended_at or refund.updated_at) if status is RefundStatus.DENIED else None,
        "connections": {
            "payin": f"{VERSION}/payins/{kept['payin_id']}",
            "order": f"{VERSION}/orders/{kept['escrow_id']}",
        },
    }


def _verdict(refund: Refund) -> dict[str, str] | None:
    """What the rail gave as the reason, where it gave one."""
    said = {"code": refund.provider_code or refund.failure, "message": refund.message}
    return {name: value for name, value in said.items() if value is not None} or None


# --- the bank account ------------------------------------------------------------------------------------------------


def bank_account(document: Mapping[str, Any]) -> dict[str, Any]:
    """The bank account (provider docs: Get bank account); its number is masked where it is kept."""
    return {name: document.get(name) for name in _BANK_ACCOUNT_MEMBERS}
