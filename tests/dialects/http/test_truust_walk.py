"""Truust over HTTP from the first customer to the last refund: what a shop, a marketplace and their programs do.

Every answer is held to what the reference promises of it. The rules of each call are in tests/dialects/truust.
"""

from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from moneyback.dialect import Outgoing
from tests.dialects.driver import said
from tests.dialects.http.server import Product, bearer, form, multipart
from tests.dialects.truust.shapes import promised
from tests.dialects.truust.test_server import checked, errors


class Shop:
    """A Truust account over HTTP."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.ready = product.ready["truust"]
        self.face = product.face("truust", bearer(self.ready["secret_key"]))

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Outgoing:
        return checked(self.face.ask(method, path, body, **headers), promised(method, path))

    def get(self, path: str) -> Any:
        return self._done("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self._done("POST", path, body)

    def wrong(self, path: str, body: Any = None) -> Any:
        return errors(self.ask("POST", path, body))

    def _done(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.ask(method, path, body)
        assert answer.status == 200, answer
        return said(answer)

    def customer(self, email: str) -> Any:
        return self.post("/2.0/customers", {"email": email})

    def order(self, value: Any, **members: Any) -> Any:
        parties = {name: self.customer(f"{name}@example.com")["id"] for name in ("buyer_id", "seller_id")}
        return self.post("/2.0/orders", {"name": "A bicycle", "value": value} | parties | members)

    def visit(self, link: str, outcome: str | None = "pay", method: str = "POST") -> Outgoing:
        """Whoever opens a link has nothing else: no key, no cookie."""
        guest = self.face.as_(None)
        assert link.startswith(guest.base_url)
        pressed = None if outcome is None else form({"outcome": outcome})
        return guest.ask(method, link.removeprefix(guest.base_url), pressed)

    def paid(self, order: Any, kind: str = "REDSYS_V2") -> Any:
        payin = self.post("/2.0/payins", {"order_id": order["id"], "type": kind})
        assert self.visit(payin["direct_link"]).status in (200, 302)
        return self.get(payin["self"])

    def balance(self, wallet: str) -> Any:
        return self.get(wallet)["balance"]


@pytest.fixture(scope="module")
def shop(product: Product) -> Shop:
    return Shop(product)


def test_a_shop_sells_and_gives_the_money_back(shop: Shop):
    """As shop plugins do it: forms, amounts as text, a link for the buyer, parts of a refund until nothing is left."""
    account = shop.get("/2.0/accounts/me")
    assert (account["allow_shipping"], account["secret_key"]) == (0, shop.ready["secret_key"])
    buyer = shop.post("/2.0/customers", multipart({"email": "anna@example.com", "prefix": "+34", "phone": "612345678"}))
    seller = shop.post("/2.0/customers", multipart({"email": "shop@example.com"}))
    fields = {
        "buyer_id": buyer["id"],
        "seller_id": seller["id"],
        "name": "Bicycle | Bell",
        "value": "150.00",
        "tag": 4711,
        "buyer_confirmed_url": "https://shop.example/thanks?order=4711",
        "buyer_denied_url": "https://shop.example/checkout&status=failed",
    }
    order = shop.post("/2.0/orders", multipart(fields))
    assert (order["status"], order["value"], order["payin_amount"], order["tag"]) == ("DRAFT", 150, "150.00 €", "4711")
    payin = shop.post("/2.0/payins", multipart({"order_id": order["id"], "type": "REDSYS_V2"}))
    assert (payin["status"], payin["connections"]) == ("CREATED", {"order": order["self"]})
    refund = f"{payin['self']}/refund"
    unpaid = "The payin is not paid yet. Only a confirmed payin can be refunded."
    assert shop.wrong(refund, {"amount": 1}) == {"payin": [unpaid]}

    shown = shop.visit(payin["direct_link"], None, "GET")
    assert (shown.status, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert shop.visit(payin["direct_link"], "decline").headers["location"] == fields["buyer_denied_url"]
    assert (shop.get(payin["self"])["status"], shop.get(order["self"])["status"]) == ("DENIED", "FAILURE")
    payin = shop.post("/2.0/payins", {"order_id": order["id"], "type": "REDSYS_V2", "save_card": 0})
    assert shop.visit(payin["direct_link"]).headers["location"] == fields["buyer_confirmed_url"]
    refund = f"{payin['self']}/refund"
    paid, order = shop.get(payin["self"]), shop.get(order["self"])
    assert (paid["status"], paid["direct_link"], paid["provider"]["Ds_Response"]) == ("CONFIRMED", None, "0000")
    assert (order["status"], order["refund"]) == ("PUBLISHED", {"status": None, "reference_id": None})
    assert shop.post(f"{order['self']}/accept")["status"] == "ACCEPTED"

    part = form({"amount": "49.90", "tag": "returned", "metadata[ticket]": "T-7"})
    assert shop.post(refund, part)["status"] == "CONFIRMED"
    assert shop.wrong(refund, {"amount": 100.11}) == {"amount": ["The amount may not be greater than 100.10."]}
    assert shop.post(refund)["status"] == "REFUNDED"
    assert shop.wrong(refund) == {"payin": ["The payin has nothing left to refund."]}
    found = shop.get(f"/2.0/refunds?search=escrow_id&query={order['id']}&sort=asc")
    assert [(each["amount"], each["status"], each["tag"]) for each in found["data"]] == [
        ("49.90 €", "CONFIRMED", "returned"),
        ("100.10 €", "CONFIRMED", None),
    ]
    assert found["data"][0]["metadata"] == {"ticket": "T-7"}
    assert shop.get(found["data"][0]["self"])["payin_id"] == payin["id"]
    order = shop.get(order["self"])
    assert order["refund"] == {"status": "CONFIRMED", "reference_id": found["data"][1]["reference_id"]}
    listed = shop.get(f"/2.0/payins?search=order_id&query={order['id']}")["data"]
    assert [each["status"] for each in listed] == ["REFUNDED", "DENIED"]
    assert shop.get(f"{order['self']}/payin")["id"] == payin["id"]
    assert shop.balance(order["connections"]["wallet"]) == 0


def test_a_marketplace_pays_its_seller_out_and_a_late_refund_is_the_accounts(shop: Shop):
    """As a marketplace does it: payout to a wallet, release, the fee on the account's own wallet, then a refund."""
    order = shop.order(100, fee_percent=10)
    payin = shop.paid(order, "ADDON_V2")
    seller = shop.get(order["connections"]["seller"])
    wallet = shop.get(seller["connections"]["wallet"])
    before, fees = wallet["balance"], shop.balance("/2.0/accounts/fees/EUR")
    payout = shop.post("/2.0/payouts", {"order_id": order["id"], "type": "WALLET", "wallet_id": wallet["id"]})
    assert (payout["status"], shop.post(f"{order['self']}/accept")["status"]) == ("CREATED", "ACCEPTED")
    assert shop.post(f"{order['self']}/validate")["status"] == "RELEASED"
    assert shop.get(payout["self"])["status"] == "CONFIRMED"
    assert shop.balance(wallet["self"]) == before + 90
    assert shop.balance("/2.0/accounts/fees/EUR") == fees + 10
    assert shop.get(f"{wallet['self']}/transactions")["data"][0]["amount"] == 90
    assert shop.post(f"{payin['self']}/refund", {"amount": 10})["status"] == "CONFIRMED"
    short = {"amount": ["The balance does not cover the refund."]}
    assert shop.wrong(f"{payin['self']}/refund", {"amount": float(fees) + 1}) == short
    assert shop.balance("/2.0/accounts/fees/EUR") == fees
    assert shop.get(f"/2.0/payouts?search=order_id&query={order['id']}")["total"] == 1


def test_an_order_with_two_payins_is_refunded_as_one(shop: Shop):
    order = shop.order(80)
    first, second = shop.paid(order), shop.paid(order, "BIZUM")
    answer = shop.post(f"{second['self']}/refund", {"multipayin": 1, "amount": 100, "tag": "both"})
    assert (answer["id"], answer["status"]) == (second["id"], "REFUNDED")
    assert shop.get(first["self"])["status"] == "CONFIRMED"
    assert shop.post(f"{first['self']}/refund", {"multipayin": 1})["status"] == "REFUNDED"
    amounts = [each["amount"] for each in shop.get(f"/2.0/refunds?search=escrow_id&query={order['id']}")["data"]]
    assert amounts == ["60.00 €", "20.00 €", "80.00 €"]


def test_a_wallet_pays_and_is_paid_back(shop: Shop):
    owner = shop.customer("saver@example.com")
    top_up = shop.post(
        "/2.0/orders", {"name": "Top-up", "value": 75, "buyer_id": owner["id"], "seller_id": owner["id"]}
    )
    shop.paid(top_up)
    shop.post(f"{top_up['self']}/validate", {"auto_accept": True})
    wallet = shop.get(owner["connections"]["wallet"])
    order = shop.order(50)
    payin = shop.post("/2.0/payins", {"order_id": order["id"], "type": "WALLET", "wallet_id": wallet["id"]})
    assert (payin["status"], shop.balance(wallet["self"])) == ("CONFIRMED", 25)
    again = {"order_id": order["id"], "type": "WALLET", "wallet_id": wallet["id"]}
    assert shop.wrong("/2.0/payins", again) == {"wallet_id": ["The balance of the wallet does not cover the order."]}
    shop.post(f"{payin['self']}/refund", {"amount": 20})
    assert shop.balance(wallet["self"]) == 45
    assert shop.get("/2.0/refunds")["data"][0]["wallet_id"] == wallet["id"]
    moved = [(each["type"], each["amount"]) for each in shop.get(f"{wallet['self']}/transactions")["data"]]
    assert moved == [("REFUND", 20), ("PAYIN", -50), ("PAYOUT", 75)]


def test_a_cancelled_order_is_refunded_and_a_reimbursed_one_is_credited(shop: Shop):
    order = shop.order("20.20")
    payin = shop.paid(order)
    wallet = shop.get(order["connections"]["buyer"])["connections"]["wallet"]
    before = shop.balance(wallet)
    assert shop.post(f"{order['self']}/reimburse", {"amount": "5.20"})["refund"]["status"] == "CONFIRMED"
    assert shop.balance(wallet) - before == Decimal("5.20")
    cancelled = shop.post(f"{order['self']}/cancel", {"tag": "sold out"})
    assert (cancelled["status"], cancelled["refund"]["status"]) == ("CANCELLED", "CONFIRMED")
    found = shop.get(f"/2.0/refunds?search=payin_id&query={payin['id']}")["data"]
    assert [(each["amount"], each["wallet_id"] is None, each["tag"]) for each in found] == [
        ("15.00 €", True, "sold out"),
        ("5.20 €", False, None),
    ]
    assert shop.get(payin["self"])["status"] == "REFUNDED"
    assert shop.wrong(f"{order['self']}/cancel") == {"order": ["The order is cancelled already."]}


def test_a_bank_wire_comes_in_and_goes_back_to_an_account(shop: Shop):
    order = shop.order(40)
    wire = shop.post("/2.0/payins", {"order_id": order["id"], "type": "BANKWIRE"})
    assert wire["provider"]["amount"] == "40.00"
    assert said(shop.ask("PUT", wire["self"]))["status"] == "CREATED"
    shop.product.advance(days=1)
    assert said(shop.ask("PUT", wire["self"]))["status"] == "CONFIRMED"
    body = {"customer_id": shop.get(order["connections"]["buyer"])["id"], "name": "Anna"}
    account = shop.post("/2.0/bankaccounts", body | {"type": "IBAN", "number": "ES9121000418450200051332"})
    needed = {"bankaccount_id": ["The bankaccount id field is required when the payin is a bank wire."]}
    assert shop.wrong(f"{order['self']}/cancel") == needed
    cancelled = shop.post(f"{order['self']}/cancel", {"bankaccount_id": account["id"]})
    assert cancelled["status"] == "CANCELLED"


def test_an_authorisation_is_let_go(shop: Shop):
    order = shop.order(90)
    payin = shop.paid(order, "REDSYS_AUTH")
    assert payin["status"] == "AUTHORIZED"
    assert shop.post(f"{payin['self']}/cancelpreauth")["status"] == "CANCELLED"
    assert shop.get(order["self"])["status"] == "PENDING_PUBLISH"


def test_a_buyer_and_a_seller_use_their_links(shop: Shop):
    order = shop.order(15)
    assert shop.visit(order["buyer_link"], None, "GET").status == 200
    shop.visit(order["buyer_link"])
    assert shop.get(order["self"])["status"] == "PUBLISHED"
    shop.visit(order["seller_link"], "accept")
    assert shop.get(order["self"])["status"] == "ACCEPTED"


def test_a_link_is_no_key_and_a_key_is_no_link(shop: Shop):
    payin = shop.post("/2.0/payins", {"order_id": shop.order(15)["id"], "type": "BIZUM"})
    named = urlsplit(payin["direct_link"]).path.rpartition("/")[2]
    stolen = shop.face.as_(bearer(named))
    assert stolen.post(f"{payin['self']}/refund", {}).status == stolen.get("/2.0/payins").status == 401
    for guest in (shop.face.as_(None), shop.face):
        assert guest.get(f"/direct/{named[:32]}{'0' * 32}{named[64:]}").status == 404
        assert guest.get(f"/direct/{shop.ready['secret_key']}").status == 404
    assert shop.face.as_(None).post("/2.0/orders", {}).status == 401
    assert shop.visit(payin["direct_link"], None, "GET").status == 200


def test_the_lists_of_the_sandbox(shop: Shop):
    for what in ("orders", "customers", "payins", "refunds", "payouts"):
        page = shop.get(f"/2.0/{what}?per_page=2")
        assert page["per_page"] == 2
        assert page["last_page"] == max(1, -(-page["total"] // 2))
        assert shop.get(f"/2.0/{what}?page=999999999999&per_page=100")["data"] == []
    assert shop.get("/2.0/orders?status=RELEASED&sandbox=1")["total"] >= 1
    dated = shop.get("/2.0/orders?date_begin=2026-01-01&date_end=2026-01-01&sort=asc")
    assert dated["data"][0]["id"] == 500001
    assert [each["id"] for each in shop.get("/2.0/wallets?sort=asc")["data"]][:2] == [4201, 4202]
