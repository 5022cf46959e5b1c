"""Mangopay: its v2.01 API from users to refunds. The table of contents of this folder."""

from __future__ import annotations

from moneyback.dialect import Dialect
from moneyback.dialects.mangopay.client import CLIENT
from moneyback.dialects.mangopay.complaints import fault
from moneyback.dialects.mangopay.hooks import resend
from moneyback.dialects.mangopay.refunds import PRECEDENCE, check
from moneyback.dialects.mangopay.registration import SAMPLES, credited_wallets, payment_document
from moneyback.dialects.mangopay.server import ROUTES, presented
from moneyback.dialects.mangopay.telling import tell
from moneyback.dialects.mangopay.windows import capabilities
from moneyback.dialects.mangopay.wire import KEPT

DIALECT = Dialect(
    name="mangopay",
    twin_port=9004,
    title="Mangopay",
    routes=ROUTES,
    presented=presented,
    fault=fault,
    capabilities=capabilities,
    precedence=PRECEDENCE,
    kept=frozenset(KEPT),
    check=check,
    intervals=True,
    caseless=True,
    payment_document=payment_document,
    wallets=credited_wallets,
    resend=resend,
    tell=tell,
    samples=SAMPLES,
    client=CLIENT,
    scrub=(
        *("authorization", "access_token", "api_key", "idempotency-key"),
        # Members of pay-ins that say who paid, from where, and from which account.
        *("Billing", "Shipping", "IpAddress", "BrowserInfo", "CardInfo", "BankAccount", "IBAN", "BIC"),
        *("OwnerName", "OwnerAddress", "DebtorName", "DebtorIban", "PayerInfo", "Email", "Phone"),
        *("ShippingAddress", "AdditionalData", "LocalAccountDetails", "DebitedBankAccount", "Birthplace"),
    ),
)
