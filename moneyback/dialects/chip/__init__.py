"""CHIP Collect (Malaysia), declared: its table of contents, and what a sandbox shows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID, uuid5

from moneyback.core.payment import Payment
from moneyback.dialect import AddPayment, Dialect, Presented, Samples
from moneyback.dialects.chip.client import CLIENT
from moneyback.dialects.chip.document import payment_document
from moneyback.dialects.chip.objects import total
from moneyback.dialects.chip.server import ROUTES, fault, presented
from moneyback.dialects.chip.standing import capabilities, status
from moneyback.dialects.chip.telling import resend, tell
from moneyback.dialects.chip.wire import KEPT, PRECEDENCE

_DEMO: Final = UUID("6c4d9d0e-52e1-5f0b-9f57-3f0c8a0f5c11")
"""Names the demo credentials' ids; means nothing outside them."""


def _credentials(text: Callable[[int], str]) -> tuple[Presented, Mapping[str, Any]]:
    names = ("brand_id", "company_id", "account_id")
    return Presented(text(64)), {name: str(uuid5(_DEMO, text(32))) for name in names}


def _section(
    base_url: str, key: Presented, profile: Mapping[str, Any], payments: tuple[Payment, ...]
) -> Mapping[str, Any]:
    purchases = [
        {"id": each.dialect_id, "status": status(each).value, "amount": total(each), "currency": each.currency}
        for each in payments
    ]
    return {
        "base_url": base_url,
        "secret_key": key.secret,
        "brand_id": profile["brand_id"],
        "purchases": purchases,
    }


def _curl(section: Mapping[str, Any]) -> str:
    first = section["purchases"][0]
    return (
        f"curl -X POST {section['base_url']}/purchases/{first['id']}/refund/"
        f" -H 'Authorization: Bearer {section['secret_key']}'"
        """ -H 'Content-Type: application/json' -d '{"amount": 1000}'"""
    )


def _sample(amount: int, method: str, product: str, **fields: Any) -> AddPayment:
    document = {"product": product, **fields.pop("document", {})}
    return AddPayment(amount=amount, currency="MYR", method=method, document=document, **fields)


_PAYMENTS: Final = (
    _sample(25_000, "fpx", "Batik shirt"),
    _sample(9_990, "visa", "Kopi beans", order="KOPI-7"),
    _sample(
        4_200, "duitnow_qr", "Concert ticket, refunded only in full", document={"refund_availability": "full_only"}
    ),
    _sample(60_000, "fpx", "Tour, never refunded in full", document={"refund_availability": "partial_only"}),
    _sample(1_500, "fpx", "Gift card, not refundable", document={"refund_availability": "none"}),
    _sample(7_700, "fpx", "Teapot, not paid yet", status="processing"),
    _sample(30_000, "visa", "Hotel night, reserved", status="authorized"),
)

DIALECT: Final = Dialect(
    name="chip",
    twin_port=9003,
    title="CHIP Collect",
    routes=ROUTES,
    presented=presented,
    fault=fault,
    capabilities=capabilities,
    precedence=PRECEDENCE,
    kept=KEPT,
    numbered=False,
    told_at_end=True,
    base_path="/api/v1",
    payment_document=payment_document,
    samples=Samples(payments=_PAYMENTS, credentials=_credentials, section=_section, curl=_curl),
    resend=resend,
    tell=tell,
    client=CLIENT,
    scrub=(
        *("authorization", "secret_key", "x-signature", "recurring_token", "sealed_key"),
        # The payer: `client` is the whole of it, the others stand in requests and in card data.
        *("client", "client_name", "email", "phone", "full_name", "personal_code", "cardholder_name"),
        *("bank_account", "bank_accounts", "owned_bank_account", "client_ip", "created_from_ip"),
        *("card_number", "cvc", "expires"),
    ),
)
