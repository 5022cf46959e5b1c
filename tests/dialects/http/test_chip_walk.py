"""A shop at CHIP from its first purchase to its last refund, over HTTP, by its key and its brand alone."""

import json
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from moneyback.dialect import Outgoing
from tests.dialects.chip.shapes import CARD as CARD_SHAPE
from tests.dialects.chip.shapes import WEBHOOK, fits, listed
from tests.dialects.driver import misfits, said
from tests.dialects.http.server import Face, Product, bearer, form, multipart

CARD = {"cardholder_name": "A. Payer", "card_number": "4444333322221111", "expires": "12/49", "cvc": "123"}
THANKS = "https://shop.example/thanks"


class Shop:
    """What a shop's program and its payers' browsers do."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.brand = product.ready["chip"]["brand_id"]
        self.face: Face = product.face("chip", bearer(product.ready["chip"]["secret_key"]))
        self.page: Face = self.face.as_(None)

    def create(self, price: int, **members: Any) -> dict[str, Any]:
        purchase = {"currency": "MYR", "products": [{"name": "Teapot", "price": price}]}
        body = {"client": {"email": "a@example.com"}, "brand_id": self.brand, "purchase": purchase, **members}
        answer = self.face.post("/purchases/?time=1700000000", body)
        assert answer.status == 201, said(answer)
        return fits(answer)

    def ask(self, purchase: dict[str, Any], action: str, body: Any = None) -> Outgoing:
        return self.face.post(f"/purchases/{purchase['id']}/{action}/", body)

    def done(self, purchase: dict[str, Any], action: str, body: Any = None) -> dict[str, Any]:
        answer = self.ask(purchase, action, body)
        assert answer.status == 200, said(answer)
        return fits(answer)

    def read(self, purchase: dict[str, Any]) -> dict[str, Any]:
        return fits(self.face.get(f"/purchases/{purchase['id']}/"))

    def browse(self, method: str, address: str, fields: Any = None) -> httpx2.Response:
        """A payer's browser, which has no key and stops at redirects."""
        with httpx2.Client(follow_redirects=False) as browser:
            return browser.request(method, address, data=fields)

    def pay(self, purchase: dict[str, Any], **fields: str) -> dict[str, Any]:
        assert self.browse("POST", purchase["checkout_url"], fields).status_code == 303
        return self.read(purchase)


def code(answer: Outgoing) -> str:
    return str(fits(answer)["__all__"][0]["code"])


@pytest.fixture(scope="module")
def shop(product: Product) -> Shop:
    return Shop(product)


def test_from_the_first_purchase_to_the_last_refund(shop: Shop):
    made = shop.create(10_000, reference="order-7", success_redirect=THANKS, failure_redirect=THANKS)
    assert (made["status"], made["is_test"], made["refundable_amount"]) == ("created", True, 0)
    assert code(shop.ask(made, "refund")) == "purchase_refund_wrong_status"
    assert code(shop.ask(made, "capture")) == "purchase_capture_wrong_status"

    seen = shop.browse("GET", made["checkout_url"] + "?preferred=fpx")
    assert (seen.status_code, seen.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "MYR 100.00" in seen.text
    paying = shop.browse("POST", made["checkout_url"], {"payment_method": "fpx", "action": "pay"})
    assert (paying.status_code, paying.headers["location"]) == (303, THANKS)
    paid = shop.read(made)
    assert (paid["status"], paid["payment"]["amount"], paid["refundable_amount"]) == ("paid", 10_000, 10_000)
    assert [each["status"] for each in paid["status_history"]] == ["created", "viewed", "paid"]

    first, second = (fits(shop.ask(made, "refund", {"amount": 3_000})) for _ in range(2))
    assert (first["type"], first["status"], first["payment"]["amount"]) == ("payment", "success", 3_000)
    assert first["id"] != second["id"]
    assert first["related_to"] == {"type": "purchase", "id": made["id"], "reference": "order-7"}
    over = shop.ask(made, "refund", {"amount": 4_001})
    assert (over.status, said(over)["amount"][0]["code"]) == (400, "max_value")
    assert fits(shop.ask(made, "refund"))["payment"]["amount"] == 4_000
    assert code(shop.ask(made, "refund")) == "purchase_refund_not_possible"

    found = shop.read(made)
    assert (found["status"], found["refund_availability"], found["refundable_amount"]) == ("refunded", "none", 0)
    kinds = [(each["type"], each["successful"]) for each in found["transaction_data"]["attempts"]]
    assert kinds == [("refund", True)] * 3 + [("execute", True)]
    told = [each["related_object"]["id"] for each in found["status_history"] if "related_object" in each]
    assert told[:2] == [first["id"], second["id"]]
    [native] = [each for each in shop.product.payments("chip") if each["dialect_id"] == made["id"]]
    assert (native["captured"], native["refunded"]) == (10_000, 10_000)
    assert shop.product.executed(native["id"]) == [3_000, 3_000, 4_000]


def test_a_hold_is_captured_in_part_and_refunded(shop: Shop):
    held = shop.pay(shop.create(5_000, skip_capture=True), **CARD)
    assert (held["status"], held["payment"], held["refundable_amount"]) == ("hold", None, 0)
    over = shop.ask(held, "capture", {"amount": 5_001})
    assert (over.status, said(over)["amount"][0]["message"]) == (
        400,
        "Ensure this value is less than or equal to 5000.",
    )
    paid = shop.done(held, "capture", {"amount": 2_000})
    assert (paid["status"], paid["payment"]["amount"], paid["refundable_amount"]) == ("paid", 2_000, 2_000)
    assert code(shop.ask(held, "capture")) == "purchase_capture_wrong_status"
    assert fits(shop.ask(held, "refund"))["payment"]["amount"] == 2_000
    assert shop.read(held)["transaction_data"]["extra"]["masked_pan"] == "444433******1111"


def test_a_hold_is_released(shop: Shop):
    held = shop.pay(shop.create(5_000, skip_capture=True), **CARD)
    assert shop.done(held, "release")["status"] == "released"
    for action in ("release", "capture", "refund", "cancel"):
        assert code(shop.ask(held, action)) == f"purchase_{action}_wrong_status"


@pytest.mark.parametrize(("body", "left"), [(None, 30_000), ({"amount": 10_000}, 10_000)])
def test_what_is_authorised_natively_is_captured(shop: Shop, body: Any, left: int):
    payment = shop.product.pay("chip", 30_000, "MYR", status="authorized")
    assert shop.done({"id": payment["dialect_id"]}, "capture", body)["refundable_amount"] == left


def test_what_is_authorised_natively_is_released(shop: Shop):
    payment = shop.product.pay("chip", 30_000, "MYR", status="authorized")
    assert shop.done({"id": payment["dialect_id"]}, "release")["status"] == "released"
    assert shop.product.payment(payment["id"])["captured"] == 0


def test_cancelled_is_cancelled(shop: Shop):
    made = shop.create(100)
    assert shop.done(made, "cancel")["status"] == "cancelled"
    assert code(shop.ask(made, "cancel")) == "purchase_cancel_wrong_status"
    assert shop.pay(made, payment_method="fpx")["status"] == "cancelled"


def test_marked_as_paid_and_refunded(shop: Shop):
    made = shop.create(100)
    assert shop.done(made, "mark_as_paid")["marked_as_paid"] is True
    assert fits(shop.ask(made, "refund", {"amount": 40}))["payment"]["amount"] == 40
    assert shop.done(made, "resend_invoice")["refundable_amount"] == 60


def test_a_saved_card_pays_the_next_purchase(shop: Shop):
    client = fits(shop.face.post("/clients/", {"email": "c@example.com", "country": "Malaysia"}))
    first = shop.pay(shop.create(100, client=None, client_id=client["id"]), **CARD, remember_card="on")
    assert (first["is_recurring_token"], first["client"]["country"]) == (True, "MY")
    cards = shop.face.get(f"/clients/{client['id']}/recurring_tokens/")
    assert misfits(listed(CARD_SHAPE), cards) == []
    assert [each["id"] for each in said(cards)["results"]] == [first["id"]]
    second = shop.done(shop.create(200), "charge", {"recurring_token": first["id"]})
    assert (second["status"], second["recurring_token"]) == ("paid", first["id"])
    assert fits(shop.ask(second, "refund"))["payment"]["amount"] == 200
    assert shop.face.ask("DELETE", f"/clients/{client['id']}/recurring_tokens/{first['id']}/").status == 204
    assert code(shop.ask(shop.create(200), "charge", {"recurring_token": first["id"]})) == "invalid_recurring_token"
    assert shop.face.ask("DELETE", f"/clients/{client['id']}/").status == 204


def test_a_card_whose_bank_asks(shop: Shop):
    made = shop.create(100)
    asked = shop.browse("POST", made["checkout_url"], CARD | {"card_number": "5555555555554444"})
    assert asked.status_code == 200
    assert "5555555555554444" not in asked.text
    hidden = {"scheme": "mastercard", "masked_pan": "555555******4444", "expires": "12/49", "name": "A. Payer"}
    assert shop.browse("POST", made["checkout_url"] + "3ds/", {**hidden, "action": "pay"}).status_code == 303
    assert shop.read(made)["transaction_data"]["extra"]["three_d_secure"] is True


def test_a_declined_card_can_be_tried_again(shop: Shop):
    made = shop.create(100)
    failed = shop.pay(made, **CARD | {"cvc": "999"})
    assert (failed["status"], failed["transaction_data"]["attempts"][0]["error"]["code"]) == (
        "error",
        "validation_cvc_invalid",
    )
    assert shop.pay(made, **CARD)["status"] == "paid"


def test_the_sandboxs_unpaid_purchase_can_be_paid(shop: Shop):
    payment = shop.product.pay("chip", 7_700, "MYR", status="processing")
    found = shop.read({"id": payment["dialect_id"]})
    assert shop.pay(found)["refundable_amount"] == 7_700


def test_the_page_is_no_way_into_the_interface(shop: Shop):
    made = shop.create(100)
    address = urlsplit(made["checkout_url"])
    elsewhere = f"{address.scheme}://{address.netloc}/chip/p/{'0' * 32}/{made['id']}/"
    assert shop.browse("GET", elsewhere).status_code == 404
    assert shop.browse("POST", elsewhere, {"action": "pay"}).status_code == 404
    assert shop.page.get(f"/purchases/{made['id']}/").status == 401
    assert shop.read(made)["status"] == "created"


def test_a_statement_is_fetched(shop: Shop):
    paid = shop.pay(shop.create(1_234, reference="statement"))
    made = fits(shop.face.post("/company_statements/?currency=MYR", {"format": "csv"}))
    assert made["status"] == "pending"
    shop.product.advance(seconds=2)
    ready = fits(shop.face.get(f"/company_statements/{made['id']}/"))
    file = shop.browse("GET", ready["download_url"])
    assert (file.status_code, file.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    [line] = [each for each in file.text.splitlines() if each.startswith(paid["id"])]
    assert line.endswith("MYR,12.34,12.34,0.00,0.00")


def test_webhooks_have_keys_of_their_own(shop: Shop):
    hook = {"title": "News", "callback": "http://127.0.0.1:9/news", "events": ["payment.refunded"]}
    made = [fits(shop.face.post("/webhooks/", hook)) for _ in range(2)]
    company = said(shop.face.get("/public_key/"))
    assert company == said(shop.face.get("/public_key/"))
    keys = [load_pem_public_key(text.encode()) for text in (*(each["public_key"] for each in made), company)]
    assert all(isinstance(each, RSAPublicKey) and each.key_size == 2048 for each in keys)
    assert len({each["public_key"] for each in made} | {company}) == 3
    page = shop.face.get("/webhooks/?limit=1")
    assert misfits(listed(WEBHOOK), page) == []
    assert said(page)["results"] == [made[1]]
    after = said(page)["next"].removeprefix(shop.face.base_url)
    assert said(shop.face.get(after))["results"][0] == made[0]
    path = f"/webhooks/{made[0]['id']}/"
    assert fits(shop.face.ask("PATCH", path, {"title": "Other"}))["title"] == "Other"
    assert fits(shop.face.ask("PUT", path, hook | {"all_events": True}))["events"] == []
    for each in made:
        assert shop.face.ask("DELETE", f"/webhooks/{each['id']}/").status == 204
    assert code(shop.face.get(path)) == "not_found"


def test_figures_follow_what_is_paid_and_refunded(shop: Shop):
    before = said(shop.face.get("/account/json/turnover/?currency=BND"))
    made = shop.create(900, purchase={"currency": "BND", "products": [{"name": "Tea", "price": 900}]})
    shop.ask(shop.pay(made, payment_method="mpgs_apple_pay"), "refund", {"amount": 200})
    after = said(shop.face.get("/account/json/turnover/?currency=BND"))
    assert after["incoming"]["turnover"] - before["incoming"]["turnover"] == 900
    assert after["outgoing"]["turnover"] - before["outgoing"]["turnover"] == 200
    assert said(shop.face.get("/account/json/balance/?currency=BND"))["BND"]["gross_balance"] == 700


def test_payment_methods(shop: Shop):
    found = said(shop.face.get(f"/payment_methods/?brand_id={shop.brand}&currency=MYR&amount=1000"))
    assert "fpx" in found["available_payment_methods"]
    answer = shop.face.get("/payment_methods/")
    assert (answer.status, said(answer)["brand_id"][0]["code"]) == (400, "required")


def test_what_is_wrong_stands_where_it_is(shop: Shop):
    purchase = {
        "products": [{"name": "Tea", "price": 1}, {"name": "Pot", "price": 100, "discount": 500, "quantity": 3}]
    }
    answer = shop.face.post("/purchases/", {"purchase": purchase, "brand_id": shop.brand, "client": {}})
    body = fits(answer)
    assert answer.status == 400
    assert body["purchase"]["products"][0] == {}
    assert body["purchase"]["products"][1]["__all__"][0]["code"] == "product_subtotal_negative"
    assert body["client"]["email"][0]["code"] == "required"


@pytest.mark.parametrize(
    "body", [form({"purchase": "x"}), multipart({"brand_id": "x"}), "[]", None, '{"purchase": {}}']
)
def test_bodies_that_make_nothing(shop: Shop, body: Any):
    answer = shop.face.post("/purchases/", body)
    assert answer.status == 400
    assert "purchase" in fits(answer)


@pytest.mark.parametrize("path", ["/purchases", "//purchases/", "/purchases/?time=1"])
def test_untidy_paths_make_something(shop: Shop, path: str):
    metadata = {"rate": 1.5, "n": {"k": [None, True]}}
    purchase = {"products": [{"name": "Tea", "price": 1}], "metadata": metadata}
    body = {"client": {"email": "a@b.my"}, "brand_id": shop.brand, "purchase": purchase}
    answer = shop.face.post(path, json.dumps(body))
    assert (answer.status, fits(answer)["purchase"]["metadata"]) == (201, metadata)


def test_methods_that_are_not_allowed(shop: Shop):
    for method, path in (("GET", "/purchases/"), ("POST", "/public_key/"), ("DELETE", "/payment_methods/")):
        answer = shop.face.ask(method, path)
        assert (answer.status, code(answer)) == (405, "method_not_allowed")
