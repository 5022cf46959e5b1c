"""Truust (API 2.0), declared: payins of a marketplace's orders, and their refunds."""

from __future__ import annotations

from typing import Final

from moneyback.dialect import Dialect
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
    samples=SAMPLES,
    scrub=("authorization", "number", "bic", "iban", "Ds_CardNumber", "Ds_Merchant_Identifier", "secret_key"),
)
