"""Truust (API 2.0), declared: payins of a marketplace's orders, and their refunds."""

from __future__ import annotations

from typing import Final

from moneyback.dialect import Dialect
from moneyback.dialects.truust.client import CLIENT
from moneyback.dialects.truust.happenings import tell
from moneyback.dialects.truust.objects import remembered_natively
from moneyback.dialects.truust.sandbox import SAMPLES, payment_document
from moneyback.dialects.truust.server import ROUTES, presented
from moneyback.dialects.truust.wire import capabilities
from moneyback.dialects.truust.words import PRECEDENCE, fault

DIALECT: Final = Dialect(
    name="truust",
    twin_port=9001,
    title="Truust",
    routes=ROUTES,
    presented=presented,
    fault=fault,
    capabilities=capabilities,
    precedence=PRECEDENCE,
    payment_document=payment_document,
    natively=remembered_natively,
    tell=tell,
    endpoints=True,
    samples=SAMPLES,
    client=CLIENT,
    scrub=(
        *(
            "authorization",
            "secret_key",
            "number",
            "bic",
            "iban",
            "direct_link",
            "buyer_link",
            "seller_link",
            "qr_link",
        ),
        # Members of a gateway's raw answer, and of what an order says of people.
        *("Ds_CardNumber", "Ds_ExpiryDate", "Ds_Merchant_Identifier", "challenge_3ds", "email", "phone"),
    ),
)
