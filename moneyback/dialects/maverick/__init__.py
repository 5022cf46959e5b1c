"""Maverick Payments' gateway (also KIT POS, Kadima, Lifted Payments): refunds of its card transactions.

One endpoint is full refund, partial refund and void. The table of contents of this folder.
"""

from __future__ import annotations

from typing import Final

from moneyback.core.payment import ANYTHING, Capabilities, Payment
from moneyback.dialect import Dialect
from moneyback.dialects.maverick import captures, payments, refunds, sales, threeds, verifications
from moneyback.dialects.maverick.client import CLIENT
from moneyback.dialects.maverick.registration import SAMPLES, payment_document
from moneyback.dialects.maverick.server import fault, presented
from moneyback.dialects.maverick.telling import tell
from moneyback.dialects.maverick.wire import KEPT, PRECEDENCE


def capabilities(_payment: Payment) -> Capabilities:
    """In full and in part, as often as wished, at any time (provider docs: refund page, partial refund page)."""
    return ANYTHING


ROUTES: Final = (
    *sales.ROUTES,
    *verifications.ROUTES,
    *captures.ROUTES,
    *refunds.ROUTES,
    *payments.ROUTES,
    *threeds.ROUTES,
)
"""What is served of Maverick's gateway, by its own resources. Words come before ids in the same place of a path."""

DIALECT: Final = Dialect(
    name="maverick",
    twin_port=9005,
    title="Maverick Payments",
    routes=ROUTES,
    presented=presented,
    fault=fault,
    capabilities=capabilities,
    precedence=PRECEDENCE,
    kept=KEPT,
    payment_document=payment_document,
    natively=lambda _payment, _reference: {},
    tell=tell,
    endpoints=True,
    samples=SAMPLES,
    client=CLIENT,
    scrub=("authorization", "card", "contact", "cvv", "token", "networkTransactionId", "ip", "threeds", "billing"),
)
