"""Truust's objects as its reference lists them, and a shop of its in memory whose every answer is held to them."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from moneyback.dialect import Outgoing
from moneyback.dialects.truust import DIALECT
from tests.dialects.driver import Table, said
from tests.dialects.truust.test_server import (
    PAYIN,
    REFUND,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    both,
    checked,
    closed,
    errors,
    paginator,
)

NUMBER, NUMBER_OR_NULL = {"type": "number"}, {"type": ["number", "null"]}
TEXT, FLAG, WHOLE = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
OBJECT_OR_NULL = {"type": ["object", "null"]}
TEXTS_OR_NULL = {"type": ["array", "null"], "items": TEXT}
MONEY = {"type": "string", "pattern": r"^\d+(\.\d+)? (€|£|\$|[A-Z]{3})$"}
LINKS = {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^/2\.0/"}}


def own(path: str) -> dict[str, Any]:
    """An object's path to itself."""
    return {"type": "string", "pattern": rf"^/2\.0/{path}/[\w-]+$"}


ORDER = {
    "id": WHOLE,
    "self": own("orders"),
    "public_id": TEXT_OR_NULL,
    "name": TEXT,
    "description": TEXT_OR_NULL,
    "value": NUMBER,
    "fee_value": NUMBER_OR_NULL,
    "fee_percent": NUMBER_OR_NULL,
    "currency": TEXT,
    "amount": MONEY,
    "payin_amount": MONEY,
    "payout_amount": MONEY,
    "fee_amount": MONEY,
    "shipping_amount": TEXT_OR_NULL,
    "buyer_link": TEXT,
    "seller_link": TEXT,
    "qr_link": TEXT,
    "status": {
        "enum": [
            *("DRAFT", "PENDING_DETAILS", "PENDING_PUBLISH", "PUBLISHED", "ACCEPTED", "REJECTED", "CANCELLED"),
            *("RELEASED", "FAILURE", "PENDING_VALIDATE", "PENDING_RELEASE", "BLOCKED_RELEASE"),
        ]
    },
    "sandbox": FLAG,
    "status_nicename": TEXT,
    "images": {"type": "array", "items": TEXT},
    "tag": TEXT_OR_NULL,
    "payin_intents": {"type": ["integer", "null"]},
    "payin_types": TEXTS_OR_NULL,
    "payin_fallback": TEXTS_OR_NULL,
    "metadata": OBJECT_OR_NULL,
    "template": OBJECT_OR_NULL,
    "published_units": {"type": ["integer", "null"]},
    "refund": closed({"status": TEXT_OR_NULL, "reference_id": TEXT_OR_NULL}),
    "created_at": TIME,
    "published_at": TIME_OR_NULL,
    "accepted_at": TIME_OR_NULL,
    "shipping_at": TIME_OR_NULL,
    "cancelled_at": TIME_OR_NULL,
    "validated_at": TIME_OR_NULL,
    "released_at": TIME_OR_NULL,
    "connections": LINKS,
}
PAYOUT = {
    "id": WHOLE,
    "self": own("payouts"),
    "reference": TEXT_OR_NULL,
    "type": {"enum": ["WALLET", "ACCOUNT", "BANKWIRE"]},
    "status": {"enum": ["CREATED", "CONFIRMED", "DENIED", "CANCELLED"]},
    "provider": OBJECT_OR_NULL,
    "created_at": TIME,
    "confirmed_at": TIME_OR_NULL,
    "denied_at": TIME_OR_NULL,
    "connections": LINKS,
}
CUSTOMER = {
    "id": WHOLE,
    "self": own("customers"),
    "uuid": TEXT,
    "type": TEXT_OR_NULL,
    "name": TEXT_OR_NULL,
    "first_name": TEXT_OR_NULL,
    "last_name": TEXT_OR_NULL,
    "email": TEXT_OR_NULL,
    "prefix": TEXT_OR_NULL,
    "phone": TEXT_OR_NULL,
    "tag": TEXT_OR_NULL,
    "metadata": OBJECT_OR_NULL,
    "created_at": TIME,
    "connections": LINKS,
}
WALLET = {
    "id": WHOLE,
    "self": own("wallets"),
    "uuid": TEXT,
    "type": TEXT_OR_NULL,
    "balance": NUMBER,
    "currency": TEXT,
    "tag": TEXT_OR_NULL,
    "metadata": OBJECT_OR_NULL,
    "created_at": TIME,
    "connections": LINKS,
}
TRANSACTION = {"id": TEXT, "type": TEXT, "amount": NUMBER, "currency": TEXT, "status": TEXT, "created_at": TIME}
BANK_ACCOUNT = {
    "id": WHOLE,
    "self": own("bankaccounts"),
    "uuid": TEXT,
    "type": TEXT,
    "name": TEXT_OR_NULL,
    "number": {"type": "string", "pattern": r"\*"},
    "bic": TEXT_OR_NULL,
    "tag": TEXT_OR_NULL,
    "metadata": OBJECT_OR_NULL,
    "created_at": TIME,
    "connections": LINKS,
}
CARD = {
    "id": WHOLE,
    "self": own("cards"),
    "uuid": TEXT,
    "type": TEXT_OR_NULL,
    "cardholder": TEXT_OR_NULL,
    "alias": {"type": ["string", "null"], "pattern": r"^\d{6}X+\d{4}$"},
    "expiration": TEXT_OR_NULL,
    "issuing_country": TEXT_OR_NULL,
    "issuing_bank": TEXT_OR_NULL,
    "is_3d_secure": {"type": ["boolean", "null"]},
    "confirmed": FLAG,
    "payin_type": TEXT_OR_NULL,
    "tokenization_link": TEXT_OR_NULL,
    "gateway_reference_id": TEXT_OR_NULL,
    "created_at": TIME,
    "connections": LINKS,
}
ACCOUNT = {
    "self": TEXT,
    "merchant_id": TEXT,
    "name": TEXT,
    "email": TEXT,
    "currency": TEXT,
    "country_code": TEXT,
    "business_url": TEXT_OR_NULL,
    "business_phone": TEXT_OR_NULL,
    "business_description": TEXT_OR_NULL,
    "image_url": TEXT_OR_NULL,
    "public_key": {"type": "string", "pattern": "^pk_(stage|production)_"},
    "secret_key": TEXT,
    "allow_shipping": {"enum": [0, 1]},
    "value_shipping": NUMBER,
    "is_active": FLAG,
    "psd2_enabled": {"enum": [0, 1]},
    "allowed_gateways": {"type": "array", "items": TEXT},
    "gateways": {"type": ["array", "null"], "items": {"type": "object"}},
    "default_gateway": TEXT_OR_NULL,
    "created_at": TIME_OR_NULL,
}

_OBJECTS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (r"/payins/\d+/refund|/payins/\d+|/payins/\d+/\w+|/orders/\d+/payin|POST /payins", PAYIN),
    (r"/refunds/\d+", REFUND),
    (r"/orders/\d+/payout|/payouts/\d+(/update)?|POST /payouts", PAYOUT),
    (r"/orders/\d+(/\w+)?|POST /orders", ORDER),
    (r"/customers/[\w-]+|POST /customers", CUSTOMER),
    (r"/wallets/[\w-]+|POST /wallets|/accounts/fees(/\w+)?", WALLET),
    (r"/bankaccounts/[\w-]+|POST /bankaccounts", BANK_ACCOUNT),
    (r"/cards/\w+", CARD),
    (r"/accounts/me", ACCOUNT),
)
_LISTS: Mapping[str, Mapping[str, Any]] = {
    "payins": PAYIN,
    "refunds": REFUND,
    "orders": ORDER,
    "payouts": PAYOUT,
    "customers": CUSTOMER,
}
_PLAIN: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (r"/wallets|/customers/[\w-]+/wallets", WALLET),
    (r"/customers/[\w-]+/bankaccounts", BANK_ACCOUNT),
    (r"/customers/[\w-]+/cards", CARD),
    (r"/wallets/[\w-]+/transactions", TRANSACTION),
)


def promised(method: str, path: str) -> Mapping[str, Any]:
    """What the reference promises of a call's answer; anything where it promises nothing."""
    bare = urlsplit(path).path.removeprefix("/2.0")
    if method == "GET" and (members := _LISTS.get(bare.removeprefix("/"))):
        return paginator(members)
    for pattern, members in _PLAIN:
        if method == "GET" and re.fullmatch(pattern, bare):
            return closed({"data": {"type": "array", "items": closed(members)}})
    if method != "DELETE" and bare != "/bankaccounts/validation":
        for pattern, members in _OBJECTS:
            if re.fullmatch(pattern, bare) or re.fullmatch(pattern, f"{method} {bare}"):
                return both(members)
    return {}


class Shop(Table):
    """A Truust account that sells: buyers, sellers, orders, and wallets that hold no more than stands on them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(DIALECT, wallets_limited=True, **options)
        self.outcome = "succeeded"
        self.made = 0

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Outgoing:
        """A call whose answer is what the reference says."""
        url = urlsplit(path)
        more.setdefault("query", parse_qsl(url.query))
        return checked(self.call(method, url.path, body, **more), promised(method, path))

    def get(self, path: str) -> Any:
        return self._done("GET", path, None)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self._done("POST", path, body, **more)

    def put(self, path: str, body: Any = None) -> Any:
        return self._done("PUT", path, body)

    def wrong(self, method: str, path: str, body: Any = None) -> Any:
        """The sentences by field with which a call is refused."""
        return errors(self.ask(method, path, body))

    def _done(self, method: str, path: str, body: Any, **more: Any) -> Any:
        outgoing = self.ask(method, path, body, **more)
        assert outgoing.status == 200, outgoing
        return said(outgoing)

    # --- what there is ---

    def customer(self, **members: Any) -> Any:
        self.made += 1
        return self.post("/2.0/customers", {"email": f"person-{self.made}@example.com"} | members)

    def order(self, value: Any = 100, **members: Any) -> Any:
        parties = {"buyer_id": self.customer()["id"], "seller_id": self.customer()["id"]}
        return self.post("/2.0/orders", {"name": "A bicycle", "value": value} | parties | members)

    def payin(self, order: Any, kind: str = "REDSYS_V2", **members: Any) -> Any:
        return self.post("/2.0/payins", {"order_id": order["id"], "type": kind} | members)

    def page(self, link: str, outcome: str | None = None) -> Outgoing:
        """What a person does on a page."""
        form = None if outcome is None else {"outcome": outcome}
        return self.call("POST", urlsplit(link).path, form, encoding="none" if form is None else "form")

    def paid(self, order: Any, kind: str = "REDSYS_V2", **members: Any) -> Any:
        """A payin of the order that its buyer has paid."""
        payin = self.payin(order, kind, **members)
        if payin["direct_link"] is not None:
            assert self.page(payin["direct_link"], "pay").status in (200, 302)
        return self.get(payin["self"])

    def again(self, what: Any) -> Any:
        """The same object, read once more."""
        found = self.get(what["self"])
        assert found.pop("data") == found
        return found

    def balance(self, wallet: str) -> Any:
        """What stands on a wallet, named by its path."""
        return Decimal(self.get(wallet)["balance"])

    def wallet_of(self, customer: str) -> str:
        return str(self.get(customer)["connections"]["wallet"])

    def filled(self, amount: Any = 500) -> Any:
        """The wallet of a customer who has topped it up: a released order of their own."""
        owner = self.customer()
        order = self.post(
            "/2.0/orders", {"name": "Top-up", "value": amount, "buyer_id": owner["id"], "seller_id": owner["id"]}
        )
        self.paid(order)
        self.post(f"/2.0/orders/{order['id']}/validate", {"auto_accept": True})
        return self.get(owner["connections"]["wallet"])
