"""What pay-ins state of their payer, and of what is paid for on a page: one reader a payment method.

A reader takes the members of a body and gives those that the pay-in shows; what is wrong stays with the body.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from moneyback.dialects.mangopay.members import Members, Stated

CATEGORIES: Final = ("DIGITAL_GOODS", "PHYSICAL_GOODS", "DONATION")
PREFERENCES: Final = ("SET_PROVIDED_ADDRESS", "GET_FROM_FILE", "NO_SHIPPING")
_BUYER: Final = (
    *("PaypalBuyerAccountEmail", "PaypalPayerID", "BuyerCountry", "BuyerFirstname", "BuyerLastname", "BuyerPhone"),
    *("PaypalOrderID", "Trackings"),
)
"""What PayPal tells of its own customer. Nobody has an account there here, so it stays unsaid."""

Data = dict[str, Any]


def around(body: Members) -> Data:
    """Who pays from where."""
    return {
        "Culture": (body.text("Culture", longest=5) or "EN").upper(),
        "BrowserInfo": body.browser(),
        "IpAddress": body.text("IpAddress"),
        "Billing": body.person("Billing"),
        "Shipping": body.person("Shipping"),
    }


def read_web(body: Members) -> Data:
    """What a pay-in on a page may say beyond the common members."""
    return {**_web(body), "ReturnURL": body.url("ReturnURL", required=True)}


def read_page_or_not(body: Members) -> Data:
    """The same where the payer may also confirm elsewhere, and never come back."""
    return {**_web(body), "ReturnURL": body.url("ReturnURL")}


def _web(body: Members) -> Data:
    said = {name: value for name, value in around(body).items() if name in ("Culture", "Billing", "Shipping")}
    phone = body.text("Phone")
    return said if phone is None else {**said, "Phone": phone}


def read_blik(body: Members) -> Data:
    """BLIK: with a code the payer confirms in the bank's own app, and a browser is described with it."""
    said = around(body)
    code = {"Code": body.text("Code"), "IpAddress": said["IpAddress"], "BrowserInfo": said["BrowserInfo"]}
    return {**read_page_or_not(body), **(code if code["Code"] is not None else {})}


def read_bizum(body: Members) -> Data:
    """Bizum: with a telephone number the payer is asked there, and comes back to no address (provider docs: Bizum)."""
    phone = body.text("Phone")
    return {"Phone": phone} | ({"ReturnURL": body.url("ReturnURL", required=True)} if phone is None else {})


def read_payconiq(body: Members) -> Data:
    """Payconiq: the country of its app."""
    return {**read_web(body), "Country": body.country("Country")}


def read_bancontact(body: Members) -> Data:
    """Bancontact: whether more payments are to follow."""
    return {**read_web(body), "Recurring": body.flag("Recurring", False)}


def read_klarna(body: Members) -> Data:
    """Klarna: what is bought, and whatever the client knows of the payer (provider docs: create a Klarna pay-in)."""
    said = {
        **read_web(body),
        "LineItems": line_items(body),
        "Country": body.country("Country"),
        "Email": body.email(),
        "Phone": body.text("Phone"),
        "AdditionalData": body.text("AdditionalData", longest=1 << 16),
        "Reference": body.text("Reference"),
    }
    country = ((said["Billing"] or {}).get("Address") or {}).get("Country")
    if said["Country"] is not None and country not in (None, said["Country"]):
        body.wrong("billing.Country", "The field should equal Country")
    if said["AdditionalData"] is not None and not _is_json(said["AdditionalData"]):
        body.wrong("additionalData", "The value is not a valid JSON format")
    return said


def read_paypal(body: Members) -> Data:
    """PayPal: what is bought for the amount, and where it is sent (provider docs: create a PayPal pay-in)."""
    said = read_order(body)
    if said["ShippingPreference"] == "SET_PROVIDED_ADDRESS" and said["Shipping"] is None:
        words = "The shipping address is required when `ShippingPreference=SET_PROVIDED_ADDRESS`"
        body.wrong("shipping", words)
    check_total(body, said, body.money("DebitedFunds"))
    return said


def read_paypal_older(body: Members) -> Data:
    """PayPal by its older path: an address in the words of that time, which is shown as it was stated."""
    said, inner = read_paypal(body), body.within("ShippingAddress")
    if inner is not None:
        said["ShippingAddress"] = {"RecipientName": inner.text("RecipientName"), "Address": inner.address("Address")}
    return said


def read_order(body: Members) -> Data:
    """What every PayPal pay-in shows, the recurring ones too."""
    return {
        **read_web(body),
        "LineItems": line_items(body),
        "ShippingPreference": body.word("ShippingPreference", PREFERENCES) or None,
        "Reference": body.text("Reference"),
        "CancelURL": body.url("CancelURL"),
        **dict.fromkeys(_BUYER),
    }


def check_total(body: Members, said: Data, funds: Stated | None) -> None:
    """PayPal is told what is bought: together it costs the amount."""
    if said["LineItems"] and funds is not None and total(said["LineItems"]) != funds.amount:
        body.wrong("debitedAmount", "DebitedAmount has to be equal to the total amount of all the line items.")


def line_items(body: Members) -> list[Data] | None:
    """What is bought. Amounts are those of one piece, minor units of the pay-in's currency, its tax beside it."""
    rows = body.rows("LineItems")
    return None if rows is None else [_item(row) for row in rows]


def _item(row: Members) -> Data:
    item = {
        "Name": row.text("Name", required=True),
        "Quantity": row.whole("Quantity", required=True, least=1),
        "UnitAmount": row.amount("UnitAmount", required=True),
        "TaxAmount": row.amount("TaxAmount"),
        "Description": row.text("Description"),
    }
    more = {
        "Category": row.word("Category", CATEGORIES) or None,
        "Sku": row.text("Sku"),
        "Discount": row.amount("Discount"),
    }
    return item | {name: value for name, value in more.items() if value is not None}


def total(items: list[Data]) -> int:
    """What all items cost, minor units. Whatever is wrong with one has been said before, and counts nothing."""
    return sum((each["Quantity"] or 0) * ((each["UnitAmount"] or 0) + (each["TaxAmount"] or 0)) for each in items)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
