"""The pay page: paying, failing, leaving, cards and what may be kept of them, and who can open it."""

import re
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from html import unescape
from typing import Any

import msgspec
import pytest

from moneyback.dialect import Outgoing
from moneyback.dialects.chip.document import DECLINED_MAX
from moneyback.dialects.chip.wire import ATTEMPT_CODES
from tests.dialects.chip.shop import CARD, REDIRECTS, SECURE, Shop, text_of
from tests.dialects.driver import MERCHANT, STRANGER

ALL_REDIRECTS = {name: f"{address}?a=ü&b=1" for name, address in REDIRECTS.items()}


def location(answer: Outgoing) -> str:
    assert answer.status == 303
    assert answer.body is None
    return answer.headers["Location"]


def hidden(answer: Outgoing) -> tuple[str, dict[str, str]]:
    """Where the first form of a page leads, and what it takes along."""
    page = text_of(answer)
    [action] = re.findall(r'<form method="post" action="([^"]*)">', page)
    fields = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
    return unescape(action), {name: unescape(value) for name, value in fields}


# --- the page --------------------------------------------------------------------------------------------------------


def test_what_the_page_shows():
    shop = Shop()
    purchase = shop.create({"name": "<b>Tea</b>", "price": 1050, "quantity": 2}, reference="A&B", **REDIRECTS)
    answer = shop.table.call("GET", purchase["checkout_url"], query={"preferred": "duitnow_qr", "time": "1"})
    page = text_of(answer)
    assert answer.status == 200
    assert "MYR 21.00" in page
    assert "&lt;b&gt;Tea&lt;/b&gt;" in page
    assert "A&amp;B" in page
    assert 'value="duitnow_qr" checked' in page
    assert 'href="https://shop.example/basket"' in page
    assert "<script" not in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    found = shop.read(purchase)
    assert found["status"] == "viewed"
    assert found["viewed_on"] == found["status_history"][-1]["timestamp"]


def test_it_is_viewed_once():
    shop = Shop()
    purchase = shop.create()
    shop.table.call("GET", purchase["checkout_url"])
    first = shop.read(purchase)["viewed_on"]
    shop.table.now += timedelta(hours=1)
    shop.table.call("GET", purchase["checkout_url"])
    assert shop.read(purchase)["viewed_on"] == first


def test_the_policy_allows_the_pages_own_style():
    shop = Shop()
    answer = shop.table.call("GET", shop.create()["checkout_url"])
    [style] = re.findall(r"<style>(.*?)</style>", text_of(answer), re.DOTALL)
    allowed = b64encode(sha256(style.encode()).digest()).decode()
    assert f"'sha256-{allowed}'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("members", "plain", "card"),
    [
        ({}, True, True),
        ({"payment_method_whitelist": ["fpx"]}, True, False),
        ({"payment_method_whitelist": ["visa"]}, False, True),
        ({"skip_capture": True}, False, True),
        ({"purchase": {"currency": "SGD"}}, True, True),
    ],
)
def test_only_what_can_be_used_is_offered(members: Any, plain: bool, card: bool):
    shop = Shop()
    page = text_of(shop.table.call("GET", shop.create(**members)["checkout_url"]))
    assert ('type="radio"' in page, "card_number" in page) == (plain, card)
    assert ("FPX" in page) == (plain and "purchase" not in members)


# --- paying ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fpx", "fpx_b2b1", "duitnow_qr", "razer_tng", "shopee_pay", "mpgs_apple_pay"])
def test_paying_without_a_card(method: str):
    shop = Shop()
    purchase = shop.create(**ALL_REDIRECTS)
    answer = shop.submit(purchase, payment_method=method, action="pay")
    assert location(answer) == "https://shop.example/thanks?a=%C3%BC&b=1"
    found = shop.read(purchase)
    assert (found["status"], found["payment"]["amount"], found["payment"]["payment_type"]) == ("paid", 1000, "purchase")
    assert (found["refund_availability"], found["refundable_amount"]) == ("all", 1000)
    assert found["direct_post_url"] is None
    assert found["checkout_url"].endswith("/invoice/")
    data = found["transaction_data"]
    [attempt] = data["attempts"]
    assert (data["payment_method"], data["flow"], data["country"]) == (method, "payform", "MY")
    assert (attempt["type"], attempt["successful"], attempt["payment_method"]) == ("execute", True, method)


def test_paying_with_nothing_said_is_paying_by_the_first_method():
    shop = Shop()
    purchase = shop.create()
    assert location(shop.submit(purchase)).endswith("/invoice/")
    assert shop.read(purchase)["transaction_data"]["payment_method"] == "fpx"
    assert "Paid" in text_of(shop.table.call("GET", shop.read(purchase)["checkout_url"]))


def test_a_method_of_payment_initiation_decides_what_can_be_refunded():
    shop = Shop()
    purchase = shop.create(payment_method_whitelist=["klix_pis"], purchase={"currency": "EUR"})
    shop.submit(purchase)
    assert shop.read(purchase)["refund_availability"] == "pis_all"


def test_what_is_sent_twice_happens_once():
    shop = Shop()
    purchase = shop.create(**REDIRECTS)
    answers = [shop.submit(purchase, payment_method="fpx") for _ in range(2)]
    assert {location(each) for each in answers} == {REDIRECTS["success_redirect"]}
    assert len(shop.read(purchase)["transaction_data"]["attempts"]) == 1


def test_letting_it_fail_and_paying_after_all():
    shop = Shop()
    purchase = shop.create()
    assert location(shop.submit(purchase, action="decline")) == purchase["checkout_url"]
    found = shop.read(purchase)
    assert (found["status"], found["transaction_data"]["attempts"][0]["successful"]) == ("error", False)
    assert "The payer let the payment fail." in text_of(shop.table.call("GET", purchase["checkout_url"]))
    shop.table.now += timedelta(minutes=1)
    shop.submit(purchase)
    found = shop.read(purchase)
    history = [each["status"] for each in found["status_history"]]
    assert (found["status"], [each for each in history if each != "viewed"]) == ("paid", ["created", "error", "paid"])
    assert [each["successful"] for each in found["transaction_data"]["attempts"]] == [True, False]


def test_a_failure_leads_to_the_shop():
    shop = Shop()
    assert location(shop.submit(shop.create(**REDIRECTS), action="decline")) == REDIRECTS["failure_redirect"]


def test_leaving_changes_nothing():
    shop = Shop()
    purchase, silent = shop.create(**REDIRECTS), shop.create()
    assert location(shop.submit(purchase, action="leave")) == REDIRECTS["cancel_redirect"]
    assert "Nothing was paid" in text_of(shop.submit(silent, action="leave"))
    assert (shop.read(purchase), shop.read(silent)) == (purchase, silent)


def test_a_single_attempt():
    shop = Shop()
    purchase = shop.create(purchase={"single_attempt": True}, **REDIRECTS)
    shop.submit(purchase, action="decline")
    assert location(shop.submit(purchase)).endswith("/invoice/")
    assert "cannot be paid any more" in text_of(shop.table.call("GET", purchase["checkout_url"]))
    assert shop.read(purchase)["status"] == "error"


def test_too_many_attempts_are_blocked():
    shop = Shop()
    purchase = shop.create()
    for _ in range(DECLINED_MAX + 2):
        shop.submit(purchase, action="decline")
    found = shop.read(purchase)
    assert (found["status"], len(found["transaction_data"]["attempts"])) == ("blocked", DECLINED_MAX)
    shop.submit(purchase)
    assert shop.read(purchase) == found


@pytest.mark.parametrize(("action", "sentence"), [("cancel", "cancelled"), ("mark_as_paid", "Paid")])
def test_what_cannot_be_paid_says_so(action: str, sentence: str):
    shop = Shop()
    purchase = shop.create(**REDIRECTS)
    shop.done(purchase, action)
    assert sentence in text_of(shop.table.call("GET", purchase["checkout_url"]))
    paid = action == "mark_as_paid"
    assert (location(shop.submit(purchase)) == REDIRECTS["success_redirect"]) == paid
    assert len(shop.read(purchase)["transaction_data"]["attempts"]) == 0


def test_a_method_that_is_not_offered_fails():
    shop = Shop()
    purchase = shop.create(payment_method_whitelist=["fpx"])
    for fields in ({"payment_method": "duitnow_qr"}, CARD):
        shop.submit(purchase, **fields)
    codes = [each["error"]["code"] for each in shop.read(purchase)["transaction_data"]["attempts"]]
    assert codes == ["unknown_payment_method"] * 2


# --- cards -----------------------------------------------------------------------------------------------------------


def test_paying_by_card_keeps_what_may_be_kept():
    shop = Shop()
    purchase = shop.create(**REDIRECTS)
    assert location(shop.submit(purchase, "direct_post/", **CARD)) == REDIRECTS["success_redirect"]
    data = shop.read(purchase)["transaction_data"]
    assert (data["payment_method"], data["flow"]) == ("visa", "direct_post")
    assert data["extra"] == {
        "masked_pan": "444433******1111",
        "three_d_secure": False,
        "expiry_month": 12,
        "expiry_year": 2049,
        "cardholder_name": "A. Payer",
    }
    assert data["attempts"][0]["extra"] == data["extra"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"cvc": "124"}, "validation_cvc_invalid"),
        ({"cvc": "12"}, "validation_cvc_invalid"),
        ({"cvc": ""}, "validation_cvc_not_provided"),
        ({"cvc": "12345"}, "validation_cvc_too_long"),
        ({"expires": "02/26"}, "validation_expires_invalid"),
        ({"expires": "13/49"}, "validation_expires_invalid"),
        ({"expires": "1249"}, "validation_expires_invalid"),
        ({"expires": ""}, "validation_expires_not_provided"),
        ({"expires": "12/2049"}, "validation_expires_too_long"),
        ({"card_number": "4111111111111111"}, "invalid_card_number"),
        ({"card_number": "4444x"}, "validation_card_number_invalid"),
        ({"card_number": "4" * 20}, "validation_card_number_too_long"),
        ({"card_number": ""}, "validation_card_number_not_provided"),
        ({"cardholder_name": ""}, "validation_cardholder_name_not_provided"),
        ({"cardholder_name": "Ünal"}, "validation_cardholder_name_invalid"),
        ({"cardholder_name": "A" * 31}, "validation_cardholder_name_too_long"),
        (dict.fromkeys(CARD, ""), "validation_card_details_missing"),
    ],
)
def test_cards_that_fail(fields: dict[str, str], code: str):
    shop = Shop()
    purchase = shop.create()
    shop.submit(purchase, **CARD | fields, payment_method="card")
    found = shop.read(purchase)
    [attempt] = found["transaction_data"]["attempts"]
    assert (found["status"], attempt["error"]["code"]) == ("error", code)
    assert code in ATTEMPT_CODES


def test_a_card_of_this_month_is_good():
    shop = Shop()
    purchase = shop.create()
    shop.submit(purchase, **CARD | {"expires": "03/26"})
    assert shop.read(purchase)["status"] == "paid"


@pytest.mark.parametrize(("action", "status"), [("pay", "paid"), ("decline", "error")])
def test_a_card_whose_bank_asks(action: str, status: str):
    shop = Shop()
    purchase = shop.create(**REDIRECTS)
    asked = shop.submit(purchase, **SECURE, remember_card="on")
    address, fields = hidden(asked)
    assert shop.read(purchase)["status"] == "created"
    assert "5555555555554444" not in text_of(asked)
    answer = shop.table.call("POST", address, {**fields, "action": action}, encoding="form")
    found = shop.read(purchase)
    assert (found["status"], found["is_recurring_token"]) == (status, status == "paid")
    [attempt] = found["transaction_data"]["attempts"]
    assert (attempt["payment_method"], attempt["extra"]["three_d_secure"]) == ("mastercard", True)
    if action == "decline":
        assert attempt["error"]["code"] == "3ds_authentication_failed"
        assert location(answer) == REDIRECTS["failure_redirect"]


@pytest.mark.parametrize(
    "changed", [{"masked_pan": "4444333322221111"}, {"scheme": "x"}, {"expires": "99/99"}, {"name": "<b>"}]
)
def test_what_comes_back_from_the_bank_is_no_other_card(changed: dict[str, str]):
    shop = Shop()
    purchase = shop.create()
    address, fields = hidden(shop.submit(purchase, **SECURE))
    answer = shop.table.call("POST", address, {**fields, **changed, "action": "pay"}, encoding="form")
    assert location(answer) == purchase["checkout_url"]
    assert shop.read(purchase)["status"] == "created"


def test_no_number_and_no_cvc_is_kept_anywhere():
    shop = Shop()
    answers = []
    for card in (CARD, SECURE, CARD | {"cvc": "987"}, CARD | {"card_number": "4111 1111 1111 1111"}):
        purchase = shop.create(force_recurring=True)
        answers += [shop.submit(purchase, **card), shop.submit(purchase, "direct_post/", **card)]
        answers.append(shop.table.call("GET", purchase["checkout_url"]))
    kept = msgspec.json.encode([list(shop.table.facts.payments.values()), list(shop.table.documents.values())])
    told = repr(answers).replace("4444 3333 2222 1111", "").replace("5555 5555 5555 4444", "")  # the page's own hints
    for secret in ("4444333322221111", "5555555555554444", "4111111111111111", "4111 1111 1111 1111"):
        assert secret not in kept.decode()
        assert secret not in told
    assert "987" not in re.sub(r"[0-9a-f-]{32,36}", "", kept.decode())


def test_a_json_body_pays_too():
    shop = Shop()
    purchase = shop.create()
    shop.table.call("POST", purchase["checkout_url"], {"payment_method": "fpx", "action": "pay"}, encoding="json")
    assert shop.read(purchase)["status"] == "paid"


# --- who can open it -------------------------------------------------------------------------------------------------


def test_addresses_that_lead_nowhere():
    shop = Shop()
    purchase = shop.create()
    foreign = shop.table.pay(1000, "MYR", status="processing", merchant=STRANGER)
    real = shop.table.pay(1000, "MYR", status="processing")
    shop.table.write(real, rail="chip-live")
    addresses = [
        f"/p/{MERCHANT.hex}/00000000-0000-4000-8000-000000000000/",
        f"/p/{STRANGER.hex}/{purchase['id']}/",
        f"/p/{MERCHANT.hex}/{foreign.dialect_id}/",
        f"/p/{MERCHANT.hex}/{real.dialect_id}/",
        f"/p/x/{purchase['id']}/",
        f"/p/{MERCHANT.hex}/x/",
    ]
    for address in addresses:
        for method, at in (("GET", ""), ("POST", ""), ("POST", "direct_post/"), ("POST", "3ds/"), ("GET", "invoice/")):
            answer = shop.table.call(method, address + at, CARD if method == "POST" else None)
            assert (answer.status, "Not found" in text_of(answer)) == (404, True)
    assert shop.read(purchase) == purchase


def test_the_payment_of_a_real_rail_leads_to_chip():
    shop = Shop()
    payment = shop.table.pay(1000, "MYR")
    shop.table.write(payment, rail="chip-live")
    assert shop.read({"id": payment.dialect_id})["checkout_url"].startswith("https://gate.chip-in.asia/p/")


def test_unpaid_payments_registered_natively_have_a_page_as_well():
    shop = Shop()
    payment = shop.table.pay(7_700, "MYR", status="processing")
    found = shop.read({"id": payment.dialect_id})
    shop.submit(found)
    assert shop.read(found)["payment"]["amount"] == 7_700
