"""CHIP's events: the words a webhook can listen to, what each is about, and the bytes in which it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

CREATED: Final = "purchase.created"
VIEWED: Final = "purchase.viewed"
PAID: Final = "purchase.paid"
PAYMENT_FAILURE: Final = "purchase.payment_failure"
HOLD: Final = "purchase.hold"
PREAUTHORIZED: Final = "purchase.preauthorized"
CAPTURED: Final = "purchase.captured"
CANCELLED: Final = "purchase.cancelled"
RELEASED: Final = "purchase.released"
PENDING_RELEASE: Final = "purchase.pending_release"
RELEASE_FAILURE: Final = "purchase.release_failure"
TOKEN_DELETED: Final = "purchase.recurring_token_deleted"
PENDING_REFUND: Final = "purchase.pending_refund"
REFUND_FAILURE: Final = "purchase.refund_failure"
REFUNDED: Final = "payment.refunded"
CHARGED_BACK: Final = "payment.charged_back"
CHARGEBACK_REVERSED: Final = "payment.chargeback_reversed"

HAPPENING: Final = (
    *(CREATED, VIEWED, PAID, PAYMENT_FAILURE, HOLD, PREAUTHORIZED, CAPTURED, CANCELLED, RELEASED, PENDING_RELEASE),
    *(RELEASE_FAILURE, TOKEN_DELETED, PENDING_REFUND, REFUND_FAILURE, REFUNDED, CHARGED_BACK, CHARGEBACK_REVERSED),
)
"""What can happen here. A Purchase comes with `purchase.…`, a Payment with `payment.…`."""
EVENTS: Final = frozenset(
    {
        *HAPPENING,
        # Captures and charges are never slow here; there are no subscriptions, payouts and settlements.
        *("purchase.pending_execute", "purchase.pending_charge", "purchase.pending_capture"),
        *("purchase.capture_failure", "purchase.pending_recurring_token_delete", "purchase.settled"),
        *("purchase.subscription_charge_failure", "billing_template_client.subscription_billing_cancelled"),
        *("payout.pending", "payout.failed", "payout.success", "payout.created"),
    }
)
"""What a webhook can listen to (provider docs: create a webhook page)."""


def body_of(event: str, shown: Mapping[str, Any]) -> bytes:
    """The body of a callback: the bare object and its `event_type` (provider docs: callbacks page).

    Its members stand as CHIP's database gives them back, at every level the shorter names first and those of one length
    by their bytes, with a space behind every comma and colon (recorded of real callbacks).
    """
    return _text({**shown, "event_type": event}).encode()


def _text(value: Any) -> str:
    """JSON in ASCII. Numbers keep the figures they have: none goes through a float."""
    match value:
        case Mapping():
            members = sorted(value.items(), key=lambda member: (len(member[0].encode()), member[0].encode()))
            return f"{{{', '.join(f'{json.dumps(name)}: {_text(inner)}' for name, inner in members)}}}"
        case list() | tuple():
            return f"[{', '.join(map(_text, value))}]"
        case Decimal():
            return str(value)
        case _:
            return json.dumps(value)
