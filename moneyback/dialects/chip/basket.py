"""What a purchase is for: its products, and how CHIP computes what there is to pay. Whole minor units throughout."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from moneyback.core.money import MINOR_MAX, UnknownCurrency, currency
from moneyback.dialects.chip.fields import Form
from moneyback.dialects.chip.wire import ALL

CURRENCY_UNSTATED: Final = "MYR"
QUANTITY_PLACES: Final = 4
QUANTITY_DIGITS: Final = 20
QUANTITY_MAX: Final = 10**15
TAX_PLACES: Final = 2
TAX_DIGITS: Final = 5
TAX_MAX: Final = 100  # percent
_QUANTITY_SCALE: Final = 10**QUANTITY_PLACES
_TAX_SCALE: Final = TAX_MAX * 10**TAX_PLACES  # what a tax of 100.00 % is counted as
REQUESTABLE: Final = frozenset(
    {
        *("email", "phone", "full_name", "personal_code", "brand_name", "legal_name", "registration_number"),
        *("tax_number", "bank_account", "bank_code", "billing_address", "shipping_address"),
    }
)


class Basket(msgspec.Struct, frozen=True, kw_only=True):
    """What was ordered: the total in minor units of its currency, and the members of PurchaseDetails to be shown."""

    total: int
    currency: str
    details: Mapping[str, Any]
    metadata: Mapping[str, Any]


def read_basket(form: Form) -> Basket:
    """`purchase` of a creation. What is wrong is noted in the form; the basket counts for something only if nothing is.

    The total that a client sends is ignored: CHIP computes it from the products (provider docs: create a purchase).
    """
    products = [_product(each) for each in form.objects("products", required=True)]
    lines = [line for _, line in products]
    debt = form.integer("debt") or 0
    override = form.integer("total_override", minimum=0, nullable=True)
    details = {
        "products": [product for product, _ in products],
        "language": form.text("language", 2) or "en",
        "notes": form.text("notes", 10_000),
        "debt": debt,
        **{name: form.integer(name, nullable=True) for name in _SHOWN_ONLY},
        "total_override": override,
        "request_client_details": form.words("request_client_details", REQUESTABLE),
        "timezone": form.text("timezone", 64) or "UTC",
        "due_strict": form.flag("due_strict"),
        "email_message": form.text("email_message", 256),
        "shipping_options": list(form.items("shipping_options")),
        "payment_method_details": dict(form.mapping("payment_method_details")),
        "has_upsell_products": form.flag("has_upsell_products"),
        "single_attempt": form.flag("single_attempt"),
    }
    return Basket(
        total=_total(form, sum(lines), debt, override),
        currency=_currency(form),
        details=details,
        metadata=dict(form.mapping("metadata")),
    )


_SHOWN_ONLY: Final = ("subtotal_override", "total_tax_override", "total_discount_override")
"""Printed on an invoice in place of what was computed; the total stays what it is."""


def line_total(price: int, quantity: Decimal, discount: int, tax_percent: Decimal) -> int | None:
    """(price x quantity - discount) x (1 + tax), rounded half up once; None where the discount is the larger part.

    The discount is the whole line's, and the tax is added to what it leaves (recorded of CHIP's sandbox).
    """
    net = price * int(quantity.scaleb(QUANTITY_PLACES)) - discount * _QUANTITY_SCALE
    if net < 0:
        return None
    scale = _QUANTITY_SCALE * _TAX_SCALE
    gross = net * (_TAX_SCALE + int(tax_percent.scaleb(TAX_PLACES)))
    return (2 * gross + scale) // (2 * scale)


def _product(form: Form) -> tuple[dict[str, Any], int]:
    """A product as it will be shown, and its line's total."""
    price = form.integer("price", minimum=0, required=True) or 0
    quantity = form.decimal("quantity", digits=QUANTITY_DIGITS, places=QUANTITY_PLACES, maximum=QUANTITY_MAX, default=1)
    discount = form.integer("discount", minimum=0) or 0
    tax = form.decimal("tax_percent", digits=TAX_DIGITS, places=TAX_PLACES, maximum=TAX_MAX, default=0)
    override = form.integer("total_price_override", minimum=0, nullable=True)
    product = {
        "name": form.text("name", 256, required=True),
        "price": price,
        "quantity": f"{quantity:.{QUANTITY_PLACES}f}",
        "discount": discount,
        "tax_percent": f"{tax:.{TAX_PLACES}f}",
        "category": form.text("category", 256, nullable=False),
        "total_price_override": override,
    }
    computed = line_total(price, quantity, discount, tax)
    if computed is None:  # before an override is looked at, as CHIP's sandbox does
        form.wrong(ALL, "product_subtotal_negative", "Discount can't be larger than price * quantity!")
        return product, 0
    return product, computed if override is None else override


def _total(form: Form, lines: int, debt: int, override: int | None) -> int:
    if override is not None:
        return override
    if lines + debt < 0:
        form.wrong("debt", "min_value", f"Ensure this value is greater than or equal to {-lines}.")
        return 0
    if lines + debt > MINOR_MAX:
        form.wrong(ALL, "max_value", f"Ensure this value is less than or equal to {MINOR_MAX}.")
        return 0
    return lines + debt


def _currency(form: Form) -> str:
    said = form.text("currency").upper() or CURRENCY_UNSTATED
    try:
        return currency(said).code
    except UnknownCurrency:
        form.wrong("currency", "invalid_choice", "This is not a valid choice.")
        return CURRENCY_UNSTATED
