"""Truust's orders in memory: created, paid, accepted, released, cancelled, reimbursed; a row for every rule."""

from datetime import timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from moneyback.core.ledger import balances
from moneyback.dialect import ListDocuments
from moneyback.dialects.truust import DIALECT
from moneyback.dialects.truust.lists import Listing, page_of_documents
from moneyback.dialects.truust.orders import NICENAMES
from moneyback.dialects.truust.wire import GATEWAYS, OrderStatus
from tests.dialects.driver import STRANGER, said, text
from tests.dialects.truust.shapes import Shop
from tests.dialects.truust.test_server import ANYTHING

REQUIRED = "The {} field is required."


def of(field: str, sentence: str) -> dict[str, list[str]]:
    return {field: [sentence]}


# --- from draft to refund --------------------------------------------------------------------------------------------


def test_an_order_is_paid_refunded_in_parts_and_read_back():
    shop = Shop()
    order = shop.order("150.00", fee_percent="2.8", tag=4711)
    assert (order["status"], order["value"], order["tag"]) == ("DRAFT", 150, "4711")
    assert (order["amount"], order["fee_amount"], order["payout_amount"]) == ("150.00 €", "4.20 €", "145.80 €")
    payin = shop.payin(order)
    assert (payin["status"], payin["provider"], payin["confirmed_at"]) == ("CREATED", {}, None)
    assert shop.again(order)["status"] == "PENDING_PUBLISH"
    refund = f"{payin['self']}/refund"
    assert list(shop.wrong("POST", refund)) == ["payin"]
    shop.page(payin["direct_link"], "pay")
    paid = shop.again(payin)
    assert (paid["status"], paid["direct_link"], paid["provider"]["Ds_Amount"]) == ("CONFIRMED", None, "15000")
    assert shop.again(order)["status"] == "PUBLISHED"
    assert shop.balance(order["connections"]["wallet"]) == 150
    assert shop.post(refund, {"amount": "20.50"})["status"] == "CONFIRMED"
    assert shop.wrong("POST", refund, {"amount": 130}) == of("amount", "The amount may not be greater than 129.50.")
    assert shop.post(refund)["status"] == "REFUNDED"
    found = shop.get(f"/2.0/refunds?search=escrow_id&query={order['id']}&sort=asc")
    assert [each["amount"] for each in found["data"]] == ["20.50 €", "129.50 €"]
    assert shop.again(order)["refund"] == {"status": "CONFIRMED", "reference_id": None}
    assert (shop.again(order)["status"], shop.balance(order["connections"]["wallet"])) == ("PUBLISHED", 0)


def test_a_released_order_is_refunded_from_the_accounts_wallet():
    shop = Shop()
    order = shop.order(100, fee_value=5, fee_percent=2)
    payin = shop.paid(order)
    shop.post(f"{order['self']}/accept")
    released = shop.post(f"{order['self']}/validate")
    assert (released["status"], released["fee_amount"]) == ("RELEASED", "5.00 €")
    assert released["released_at"] == released["validated_at"] is not None
    assert shop.balance("/2.0/accounts/fees/EUR") == 5
    assert shop.balance(shop.wallet_of(order["connections"]["seller"])) == 95
    assert shop.post(f"{payin['self']}/refund", {"amount": 4})["status"] == "CONFIRMED"
    assert shop.balance("/2.0/accounts/fees") == 1
    short = of("amount", "The balance does not cover the refund.")
    assert shop.wrong("POST", f"{payin['self']}/refund", {"amount": 2}) == short
    assert shop.balance("/2.0/accounts/fees") == 1
    assert len(shop.refunds) == 1


def test_all_payins_of_an_order_are_refunded_together():
    shop = Shop()
    order = shop.order(80)
    payins = [shop.payin(order), shop.payin(order, "BIZUM")]
    for each in payins:
        shop.page(each["direct_link"])
    assert shop.post(f"{payins[1]['self']}/refund", {"multipayin": 1})["status"] == "REFUNDED"
    assert [shop.again(each)["status"] for each in payins] == ["REFUNDED", "REFUNDED"]
    assert shop.balance(order["connections"]["wallet"]) == 0


def test_a_wallet_payin_is_paid_at_once_and_goes_back_to_its_wallet():
    shop = Shop()
    wallet = shop.filled(100)
    order = shop.order(60)
    payin = shop.payin(order, "WALLET", wallet_id=wallet["id"])
    assert (payin["status"], payin["direct_link"]) == ("CONFIRMED", None)
    assert (shop.again(order)["status"], shop.balance(wallet["self"])) == ("PUBLISHED", 40)
    short = {"order_id": order["id"], "type": "WALLET", "wallet_id": wallet["id"]}
    assert shop.wrong("POST", "/2.0/payins", short) == of(
        "wallet_id", "The balance of the wallet does not cover the order."
    )
    shop.post(f"{payin['self']}/refund", {"amount": 25})
    assert shop.get("/2.0/refunds")["data"][0]["wallet_id"] == wallet["id"]
    assert shop.balance(wallet["self"]) == 65


# --- creating --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({"name": None}, of("name", REQUIRED.format("name"))),
        ({"value": ""}, of("value", REQUIRED.format("value"))),
        ({"name": "x" * 121}, of("name", "The name may not be longer than 120 characters.")),
        ({"name": 7}, of("name", "The name must be a string.")),
        ({"value": -1}, of("value", "The value must be at least 0.")),
        ({"value": "1.001"}, of("value", "The value may not have more than 2 decimal places.")),
        ({"value": "much"}, of("value", "The value must be a number.")),
        ({"value": 10**13 + 1}, of("value", "The value is out of range.")),
        ({"value": 2**63 - 1}, of("value", "The value is out of range.")),
        ({"fee_value": 101}, of("fee_value", "The fee value may not be greater than the value.")),
        ({"discount_amount": 101}, of("discount_amount", "The discount amount may not be greater than the value.")),
        ({"fee_percent": 101}, of("fee_percent", "The fee percent must be between 0 and 100.")),
        ({"fee_percent": -1}, of("fee_percent", "The fee percent must be between 0 and 100.")),
        ({"tag": "x" * 101}, of("tag", "The tag may not be longer than 100 characters.")),
        ({"metadata": "x"}, of("metadata", "The metadata must be an object.")),
        ({"images": "x"}, of("images", "The images must be an array.")),
        ({"images": ["x"] * 11}, of("images", "The images may not have more than 10 items.")),
        (
            {"buyer_confirmed_url": "javascript:x"},
            of("buyer_confirmed_url", "The buyer confirmed url format is invalid."),
        ),
        ({"payin_intents": 0}, of("payin_intents", "The payin intents must be at least 1.")),
        ({"payin_types": [1]}, of("payin_types", "The payin types must be an array.")),
        ({"currency": "EURO"}, of("currency", "The selected currency is invalid.")),
        ({"trustee_type": "me"}, of("trustee_type", "The selected trustee type is invalid.")),
        ({"auto_settle": "maybe"}, of("auto_settle", "The auto settle field must be true or false.")),
        ({"buyer_id": 1}, of("buyer_id", "The selected buyer id is invalid.")),
        ({"seller_id": "x"}, of("seller_id", "The seller id must be an integer.")),
        (
            {"buyer_id": None},
            of("buyer_id", "The buyer id field is required unless auto settle is 1 or trustee type is account."),
        ),
        ({"seller_id": None}, of("seller_id", "The seller id field is required unless auto settle is 1.")),
        (
            {"name": 7, "value": -1},
            {"name": ["The name must be a string."], "value": ["The value must be at least 0."]},
        ),
    ],
    ids=str,
)
def test_an_order_that_can_not_be_created(members: dict[str, Any], wrong: Any):
    shop = Shop()
    parties = {"buyer_id": shop.customer()["id"], "seller_id": shop.customer()["id"]}
    assert shop.wrong("POST", "/2.0/orders", {"name": "x", "value": 100} | parties | members) == wrong
    assert shop.get("/2.0/orders")["total"] == 0


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ({"auto_settle": 1}, {"value": Decimal("23.77"), "currency": "EUR"}),
        ({"auto_settle": "1", "currency": "mxn"}, {"currency": "MXN", "amount": "23.77 MXN"}),
        ({"auto_settle": True, "payin_types": ["WORLDPAY_HPP"]}, {"payin_types": ["WORLDPAY_HPP"]}),
        ({"auto_settle": 1, "payin_method_types": ["BIZUM"]}, {"payin_types": ["BIZUM"]}),
        ({"auto_settle": 1, "fee_value": 1, "fee_percent": 10}, {"fee_amount": "2.38 €", "fee_percent": 10}),
        ({"auto_settle": 1, "discount_amount": "3.77"}, {"payin_amount": "20.00 €", "amount": "23.77 €"}),
        ({"auto_settle": 1, "metadata": {"a": [1]}, "template": {}}, {"metadata": {"a": [1]}, "template": {}}),
        ({"auto_settle": 1, "unheard_of": 1}, {"status": "DRAFT", "sandbox": True, "images": [], "metadata": None}),
    ],
    ids=str,
)
def test_an_order_says_what_it_was_given(members: dict[str, Any], shown: dict[str, Any]):
    shop = Shop()
    order = shop.post("/2.0/orders", {"name": "x", "value": Decimal("23.77")} | members)
    assert {name: order[name] for name in shown} == shown
    assert shop.again(order)["name"] == "x"


@pytest.mark.parametrize("encoding", ["form", "multipart"])
def test_a_form_creates_an_order(encoding: str):
    fields = {
        "auto_settle": "1",
        "name": "Monthly Subscription",
        "value": "9.99",
        "metadata[recurring_type]": "cof",
        "images[]": "https://example.com/1.png",
        "tag": "17",
    }
    order = Shop().post("/2.0/orders", fields, encoding=encoding)
    assert (order["value"], order["metadata"]) == (Decimal("9.99"), {"recurring_type": "cof"})
    assert (order["images"], order["tag"]) == (["https://example.com/1.png"], "17")


def test_the_account_itself_may_be_the_buyer():
    shop = Shop()
    body = {"name": "x", "value": 1, "trustee_type": "account", "seller_id": shop.customer()["id"]}
    assert "buyer" not in shop.post("/2.0/orders", body)["connections"]


# --- changing --------------------------------------------------------------------------------------------------------


def test_an_order_changes_until_it_is_paid():
    shop = Shop()
    order = shop.order(15)
    changed = shop.put(order["self"], {"name": "Demo Order", "value": 20, "metadata": {"a": 1}, "tag": None})
    assert (changed["name"], changed["value"], changed["metadata"], changed["tag"]) == (
        "Demo Order",
        20,
        {"a": 1},
        None,
    )
    shop.paid(order)
    late = {name: [f"The {name} can not be changed after payment."] for name in ("name", "value")}
    assert shop.wrong("PUT", order["self"], {"name": "Late", "value": 1, "metadata": {}}) == late
    assert shop.put(order["self"], {"metadata": {"b": 2}, "fee_percent": 1})["metadata"] == {"b": 2}


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"value": None}, of("value", REQUIRED.format("value"))),
        ({"value": 1, "fee_value": 2}, of("fee_value", "The fee value may not be greater than the value.")),
        ({"buyer_id": 1}, of("buyer_id", "The selected buyer id is invalid.")),
        ([1], of("body", "The body must be an object.")),
    ],
    ids=str,
)
def test_changes_that_are_refused(body: Any, wrong: Any):
    shop = Shop()
    order = shop.order(15)
    assert shop.wrong("PUT", order["self"], body) == wrong
    assert shop.again(order)["value"] == 15


# --- payins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({"order_id": None}, of("order_id", REQUIRED.format("order id"))),
        ({"order_id": 1}, of("order_id", "The selected order id is invalid.")),
        ({"order_id": "x"}, of("order_id", "The order id must be an integer.")),
        ({"type": None}, of("type", "The type field is required when gateway id is not present.")),
        ({"type": "CHEQUE"}, of("type", "The selected type is invalid.")),
        ({"type": None, "gateway_id": 0}, of("gateway_id", "The selected gateway id is invalid.")),
        ({"type": "WALLET"}, of("wallet_id", "The wallet id field is required when type is WALLET.")),
        ({"type": "WALLET", "wallet_id": 1}, of("wallet_id", "The selected wallet id is invalid.")),
        ({"card_id": 1}, of("card_id", "The selected card id is invalid.")),
        ({"save_card": 2}, of("save_card", "The save card field must be true or false.")),
    ],
    ids=str,
)
def test_a_payin_that_can_not_be_created(members: dict[str, Any], wrong: Any):
    shop = Shop()
    order = shop.order()
    assert shop.wrong("POST", "/2.0/payins", {"order_id": order["id"], "type": "REDSYS_V2"} | members) == wrong
    assert shop.get("/2.0/payins")["total"] == 0


@pytest.mark.parametrize("kind", GATEWAYS)
def test_every_type_can_be_paid(kind: str):
    shop = Shop()
    wallet = {"wallet_id": shop.filled()["id"]} if kind == "WALLET" else {}
    payin = shop.paid(shop.order(), kind.lower(), **wallet)
    assert payin["type"] == kind
    assert payin["status"] == ("AUTHORIZED" if kind.endswith("_AUTH") else "CONFIRMED")
    assert (payin["direct_link"] is None) == (payin["status"] == "CONFIRMED")


def test_a_gateway_is_named_by_its_number():
    shop = Shop()
    gateway = next(each for each in shop.get("/2.0/accounts/me")["gateways"] if each["type"] == "BIZUM")
    order = shop.order()
    assert shop.post("/2.0/payins", {"order_id": order["id"], "gateway_id": gateway["id"]})["type"] == "BIZUM"


def test_an_order_says_how_it_may_be_paid():
    shop = Shop()
    order = shop.order(payin_types=["BIZUM"], payin_intents=1)
    body = {"order_id": order["id"], "type": "REDSYS_V2"}
    assert shop.wrong("POST", "/2.0/payins", body) == of("type", "The selected type is invalid.")
    payin = shop.payin(order, "BIZUM")
    shop.page(payin["direct_link"], "decline")
    assert (shop.again(payin)["status"], shop.again(order)["status"]) == ("DENIED", "FAILURE")
    many = of("order_id", "The order may not have more than 1 payins.")
    assert shop.wrong("POST", "/2.0/payins", body | {"type": "BIZUM"}) == many


def test_an_order_worth_nothing_has_nothing_to_pay():
    shop = Shop()
    order = shop.order(0)
    body = {"order_id": order["id"], "type": "BIZUM"}
    assert shop.wrong("POST", "/2.0/payins", body) == of("order_id", "The order has nothing to pay.")


def test_a_bank_wire_says_where_to_and_arrives_a_day_later():
    shop = Shop()
    order = shop.order("12.30")
    wire = shop.payin(order, "BANKWIRE")
    assert (wire["provider"]["amount"], wire["provider"]["currency"]) == ("12.30", "EUR")
    assert wire["provider"]["reference"] == order["public_id"]
    assert shop.put(wire["self"])["status"] == "CREATED"
    shop.now += timedelta(days=1)
    assert shop.get(wire["self"])["status"] == "CREATED"
    assert shop.put(wire["self"])["status"] == "CONFIRMED"
    assert shop.again(order)["status"] == "PUBLISHED"
    assert list(shop.wrong("POST", f"{order['self']}/cancel")) == ["bankaccount_id"]
    account = {"name": "Anna", "type": "IBAN", "number": "ES9121000418450200051332", "customer_type": "source"}
    to = shop.post("/2.0/bankaccounts", account)
    cancelled = shop.post(f"{order['self']}/cancel", {"bankaccount_id": to["id"], "tag": "too late"})
    assert cancelled["status"] == "CANCELLED"
    assert (shop.refunds[0].destination, shop.refunds[0].reference) == (str(to["id"]), "too late")


def test_a_sync_changes_nothing_about_a_card():
    shop = Shop()
    payin = shop.payin(shop.order())
    shop.now += timedelta(days=30)
    assert shop.put(payin["self"])["status"] == "CREATED"
    assert shop.ask("PUT", "/2.0/payins/1").status == 404


def test_a_card_is_kept_and_charged_again():
    shop = Shop()
    order = shop.order()
    payin = shop.payin(order, "REDSYS_APPLE_PAY", save_card=1)
    card = payin["connections"]["card"]
    assert (shop.get(card)["confirmed"], shop.get(card)["alias"]) == (False, None)
    assert list(shop.wrong("POST", "/2.0/payins", {"order_id": order["id"], "type": "BIZUM", "card_id": 1})) == [
        "card_id"
    ]
    shop.page(payin["direct_link"])
    kept = shop.get(card)
    assert (kept["confirmed"], kept["type"], kept["payin_type"]) == (True, "VISA", "REDSYS_APPLE_PAY")
    assert shop.again(payin)["provider"]["Ds_Merchant_Identifier"] == kept["uuid"]
    buyer = order["connections"]["buyer"]
    assert [each["id"] for each in shop.get(f"{buyer}/cards")["data"]] == [kept["id"]]
    charged = shop.paid(shop.order(), "REDSYS_APPLE_PAY", card_id=kept["id"])
    assert (charged["status"], charged["connections"]["card"]) == ("CONFIRMED", card)
    assert said(shop.ask("DELETE", card)) == {}
    assert shop.ask("GET", card).status == shop.ask("DELETE", card).status == 404


def test_a_preauthorised_payin_is_captured_when_its_order_is_accepted():
    shop = Shop()
    order = shop.order(90)
    payin = shop.paid(order, "REDSYS_AUTH")
    assert (payin["status"], shop.again(order)["status"]) == ("AUTHORIZED", "PUBLISHED")
    assert "cancelpreauth" in shop.wrong("POST", f"{payin['self']}/refund")["payin"][0]
    shop.post(f"{order['self']}/accept")
    assert (shop.again(payin)["status"], shop.balance(order["connections"]["wallet"])) == ("CONFIRMED", 90)


def test_a_preauthorised_payin_is_let_go():
    shop = Shop()
    order = shop.order(90)
    open_ = shop.payin(order, "REDSYS_AUTH")
    only = of("payin", "Only an authorized payin can be released.")
    assert open_["status"] == "CREATED"
    assert shop.wrong("POST", f"{open_['self']}/cancelpreauth") == only
    shop.page(open_["direct_link"], "pay")
    assert shop.post(f"{open_['self']}/cancelpreauth")["status"] == "CANCELLED"
    assert (shop.again(order)["status"], shop.refunds) == ("PENDING_PUBLISH", ())
    assert shop.wrong("POST", f"{open_['self']}/cancelpreauth") == only
    assert shop.ask("POST", "/2.0/payins/1/cancelpreauth").status == 404


@pytest.mark.parametrize(("kind", "sentence"), [("BIZUM", None), ("REDSYS_V2", "does not support payment requests")])
def test_a_payment_request(kind: str, sentence: str | None):
    shop = Shop()
    payin = shop.payin(shop.order(), kind)
    path = f"{payin['self']}/request"
    if sentence is None:
        assert shop.post(path)["status"] == "CREATED"
    else:
        assert sentence in shop.wrong("POST", path)["payin"][0]
    shop.page(payin["direct_link"], "pay")
    assert "not paid yet" in shop.wrong("POST", path)["payin"][0]


# --- the pages -------------------------------------------------------------------------------------------------------


def test_a_page_leads_back_to_the_shop():
    shop = Shop()
    urls = {"buyer_confirmed_url": "https://shop.example/ok?a=1&b=ü", "buyer_denied_url": "https://shop.example/no"}
    order = shop.order(**urls)
    left, declined, paid = (shop.payin(order)["direct_link"] for _ in range(3))
    assert shop.page(left, "leave").headers["Location"] == "https://shop.example/no"
    assert shop.page(declined, "decline").headers["Location"] == "https://shop.example/no"
    done = shop.page(paid)
    assert (done.status, done.headers["Location"]) == (302, "https://shop.example/ok?a=1&b=%C3%BC")
    assert [each["status"] for each in shop.get("/2.0/payins?sort=asc")["data"]] == ["CREATED", "DENIED", "CONFIRMED"]


@pytest.mark.parametrize("body", [None, {"apple_token": "x"}, {"google_token": {}}, [], "x", {"outcome": 1}])
def test_a_merchants_own_server_charges_by_posting_to_the_link(body: Any):
    shop = Shop()
    payin = shop.payin(shop.order())
    assert shop.call("POST", payin["direct_link"], body).status == 200
    assert shop.again(payin)["status"] == "CONFIRMED"


def test_what_was_paid_is_not_paid_twice_nor_declined():
    shop = Shop()
    payin = shop.payin(shop.order())
    for outcome in ("pay", "pay", "decline"):
        assert shop.page(payin["direct_link"], outcome).status == 200
    assert shop.again(payin)["status"] == "CONFIRMED"
    assert "CONFIRMED" in text(shop.call("GET", payin["direct_link"])).decode()
    assert len(shop.movements) == 1


def test_pages_show_what_there_is_to_do_and_ask_for_no_card():
    shop = Shop()
    order = shop.order("19.99", name="<b>Bicycle</b>")
    shown = shop.call("GET", order["buyer_link"])
    page = text(shown).decode()
    assert (shown.status, shown.media_type) == (200, "text/html; charset=utf-8")
    assert "&lt;b&gt;Bicycle&lt;/b&gt;" in page
    assert "19.99 €" in page
    assert "<input" not in page
    assert "no-store" in shown.headers["Cache-Control"]
    assert "19.99 €" in text(shop.call("GET", shop.payin(order)["direct_link"])).decode()


def test_a_buyer_pays_and_a_seller_accepts():
    shop = Shop()
    order = shop.order(seller_confirmed_url="https://shop.example/sold")
    shop.page(order["buyer_link"], "leave")
    assert shop.get("/2.0/payins")["total"] == 0
    shop.page(order["buyer_link"], "decline")
    assert shop.again(order)["status"] == "FAILURE"
    shop.page(order["buyer_link"], "pay")
    assert (shop.again(order)["status"], shop.get("/2.0/payins")["total"]) == ("PUBLISHED", 2)
    shop.page(order["buyer_link"], "pay")
    assert shop.get("/2.0/payins")["total"] == 2
    assert "Accept" in text(shop.call("GET", order["seller_link"])).decode()
    assert shop.page(order["seller_link"], "accept").headers["Location"] == "https://shop.example/sold"
    assert shop.again(order)["status"] == "ACCEPTED"
    assert "Accept" not in text(shop.call("GET", order["seller_link"])).decode()


def test_a_seller_rejects():
    shop = Shop()
    order = shop.order()
    shop.paid(order)
    shop.page(order["seller_link"])
    assert shop.again(order)["status"] == "PUBLISHED"
    shop.page(order["seller_link"], "reject")
    assert shop.again(order)["status"] == "REJECTED"
    assert shop.post(f"{order['self']}/cancel")["status"] == "CANCELLED"


def test_an_orders_code_is_its_buyers_page_to_be_scanned():
    shop = Shop()
    order, another = shop.order(), shop.order()
    shown = shop.call("GET", order["qr_link"])
    assert (shown.status, shown.media_type) == (200, "image/svg+xml")
    assert "no-store" in shown.headers["Cache-Control"]
    expected = BytesIO()
    segno.make_qr(order["buyer_link"], error="m").save(expected, kind="svg", scale=8, light="white")
    assert text(shown) == expected.getvalue() != text(shop.call("GET", another["qr_link"]))
    assert shop.call("GET", order["buyer_link"]).status == 200
    for link in (another["seller_link"], order["seller_link"], "/nothing"):
        assert shop.call("GET", f"/qr/{link.rpartition('/')[2]}").status == 404


@pytest.mark.parametrize("side", ["direct", "buyer", "seller"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_link_opens_its_own_page_only(side: str, method: str):
    shop = Shop()
    order = shop.order()
    links = {"direct": shop.payin(order)["direct_link"], "buyer": order["buyer_link"], "seller": order["seller_link"]}
    for name, link in links.items():
        moved = f"/{side}/{link.rpartition('/')[2]}"
        assert shop.call(method, moved).status == (200 if name == side else 404)
    assert shop.call(method, f"/{side}/nothing").status == 404


def test_a_link_without_its_secret_opens_nothing():
    shop = Shop()
    order = shop.order()
    payin = shop.payin(order)
    native = shop.pay(100_00, "EUR", status="processing")
    links = [payin["direct_link"], order["buyer_link"], shop.get(f"/2.0/payins/{native.dialect_id}")["direct_link"]]
    for link in links:
        kind, _, named = link.removeprefix("/").partition("/")
        whose, secret, number = named[:32], named[32:64], named[64:]
        assert shop.call("GET", link).status == 200
        anothers = [f"{STRANGER.hex}{secret}{number}"] if kind == "direct" else []  # documents here are one merchant's
        wrong = (
            *anothers,
            f"{whose}{'0' * 32}{number}",
            f"{whose}{secret}1",
            f"{secret}{whose}{number}",
            f"{whose}{secret}",
            number,
        )
        for each in wrong:
            assert shop.call("POST", f"/{kind}/{each}").status == shop.call("GET", f"/{kind}/{each}").status == 404
    assert {each["status"] for each in shop.get("/2.0/payins")["data"]} == {"CREATED"}


def test_a_real_providers_payin_has_its_page_there():
    shop = Shop()
    payment = shop.pay(100_00, "EUR", status="processing", document={"direct_link": "https://shop.truust.example/x"})
    page = shop.get(f"/2.0/payins/{payment.dialect_id}")["direct_link"]
    shop.write(payment, rail="truust-live")
    assert shop.get(f"/2.0/payins/{payment.dialect_id}")["direct_link"] == "https://shop.truust.example/x"
    assert shop.call("GET", page).status == shop.call("POST", page).status == 404


# --- accepting, validating, paying out -------------------------------------------------------------------------------


def test_what_an_order_has_to_be_before_it_is_something_else():
    shop = Shop()
    order = shop.order()
    accept, validate = f"{order['self']}/accept", f"{order['self']}/validate"
    unpaid = of("order", "Only a paid order can be accepted.")
    unaccepted = of("order", "Only an accepted order can be validated.")
    assert (shop.wrong("POST", accept), shop.wrong("POST", validate)) == (unpaid, unaccepted)
    shop.paid(order)
    assert shop.wrong("POST", validate, {"auto_accept": 0}) == unaccepted
    assert shop.post(accept)["status"] == shop.post(accept)["status"] == "ACCEPTED"
    assert shop.post(validate)["status"] == "RELEASED"
    assert (shop.wrong("POST", accept), shop.wrong("POST", validate)) == (unpaid, unaccepted)
    assert shop.post(f"{order['self']}/receipt")["status"] == "RELEASED"
    over = of("order_id", "The order can not be paid any more.")
    assert shop.wrong("POST", "/2.0/payins", {"order_id": order["id"], "type": "BIZUM"}) == over
    assert shop.wrong("POST", f"{order['self']}/cancel") == of(
        "order", "The order is released and can not be cancelled."
    )


@pytest.mark.parametrize("call", ["accept", "validate", "receipt", "cancel", "reimburse", "payin", "payout"])
@pytest.mark.parametrize("number", ["1", "x", "9" * 30, "-1", "٣"])
def test_an_order_that_is_not_there(call: str, number: str):
    method = "GET" if call.startswith("pay") else "POST"
    assert Shop().call(method, f"/2.0/orders/{number}/{call}").status == 404
    assert Shop().call("GET", f"/2.0/orders/{number}").status == 404


def test_an_order_without_a_seller_is_released_to_the_account():
    shop = Shop()
    order = shop.post("/2.0/orders", {"name": "x", "value": 30, "auto_settle": 1})
    shop.paid(order)
    assert shop.again(order)["status"] == "PUBLISHED"
    assert shop.post(f"{order['self']}/validate")["status"] == "RELEASED"
    assert shop.balance("/2.0/accounts/fees/EUR") == 30


@pytest.mark.parametrize("kind", ["WALLET", "ACCOUNT", "BANKWIRE"])
def test_a_payout_is_carried_out_when_its_order_is_validated(kind: str):
    shop = Shop()
    order = shop.order(50, fee_value=1)
    shop.paid(order)
    wallet = shop.post("/2.0/wallets", {"currency": "EUR", "customer_type": "source"})
    if kind == "WALLET":
        to = {"wallet_id": wallet["id"]}
    else:
        account = {"name": "Bernat", "type": "OTHER", "number": "12345678901234", "customer_type": "source"}
        to = {"bankaccount_id": shop.post("/2.0/bankaccounts", account)["id"], "bankwire_ref": "June"}
    payout = shop.post("/2.0/payouts", {"order_id": order["id"], "type": kind, **to})
    assert (payout["status"], payout["confirmed_at"]) == ("CREATED", None)
    assert shop.get(f"{order['self']}/payout")["id"] == payout["id"]
    shop.post(f"{order['self']}/validate", {"auto_accept": True})
    done = shop.post(f"{payout['self']}/update")
    assert (done["status"], done == shop.get(payout["self"])) == ("CONFIRMED", True)
    assert shop.balance(order["connections"]["wallet"]) == 0
    assert shop.balance("/2.0/accounts/fees") == 1
    if kind == "WALLET":
        assert shop.balance(wallet["self"]) == 49
    found = shop.get(f"/2.0/payouts?search=order_id&query={order['id']}")
    assert [each["id"] for each in found["data"]] == [payout["id"]]
    assert (shop.get("/2.0/payins")["total"], shop.ask("GET", f"/2.0/payins/{payout['id']}").status) == (1, 404)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"order_id": [REQUIRED.format("order id")], "type": [REQUIRED.format("type")]}),
        ({"order_id": 1, "type": "WALLET"}, of("order_id", "The selected order id is invalid.")),
        ({"order_id": "paid", "type": "CASH"}, of("type", "The selected type is invalid.")),
        (
            {"order_id": "paid", "type": "WALLET"},
            of("wallet_id", "The wallet id field is required when type is WALLET."),
        ),
        (
            {"order_id": "paid", "type": "ACCOUNT"},
            of("bankaccount_id", "The bankaccount id field is required when type is ACCOUNT."),
        ),
        ({"order_id": "paid", "type": "WALLET", "wallet_id": 1}, of("wallet_id", "The selected wallet id is invalid.")),
        ({"order_id": "paid", "type": "WALLET", "wallet_id": "dollars"}, of("wallet_id", "The wallet is not in EUR.")),
        ({"order_id": "unpaid", "type": "WALLET", "wallet_id": 1}, of("order_id", "The order is not paid yet.")),
        (
            {"order_id": "over", "type": "WALLET", "wallet_id": 1},
            of("order_id", "The order can not be paid out any more."),
        ),
        ({"order_id": "twice", "type": "WALLET", "wallet_id": 1}, of("order_id", "The order has a payout already.")),
    ],
    ids=str,
)
def test_a_payout_that_can_not_be_created(body: dict[str, Any], wrong: Any):
    shop = Shop()
    orders = {name: shop.order() for name in ("paid", "unpaid", "over", "twice")}
    for name in ("paid", "over", "twice"):
        shop.paid(orders[name])
    shop.post(f"{orders['over']['self']}/cancel")
    own = shop.get(shop.wallet_of(orders["twice"]["connections"]["seller"]))
    shop.post("/2.0/payouts", {"order_id": orders["twice"]["id"], "type": "WALLET", "wallet_id": own["id"]})
    dollars = shop.post("/2.0/wallets", {"currency": "USD", "customer_type": "source"})
    numbers = {name: each["id"] for name, each in orders.items()} | {"dollars": dollars["id"]}
    assert (
        shop.wrong("POST", "/2.0/payouts", {name: numbers.get(value, value) for name, value in body.items()}) == wrong
    )


# --- cancelling ------------------------------------------------------------------------------------------------------


def test_an_order_that_was_never_paid_is_cancelled_with_its_open_payins():
    shop = Shop()
    order = shop.order()
    open_, authorised = shop.payin(order), shop.paid(order, "REDSYS_AUTH")
    cancelled = shop.post(f"{order['self']}/cancel", {"tag": "x", "metadata": {"why": "changed my mind"}})
    assert (cancelled["status"], cancelled["cancelled_at"] is not None) == ("CANCELLED", True)
    assert [shop.again(each)["status"] for each in (open_, authorised)] == ["CANCELLED", "CANCELLED"]
    assert shop.refunds == ()
    assert shop.wrong("POST", f"{order['self']}/cancel") == of("order", "The order is cancelled already.")


def test_a_cancelled_order_gives_back_all_that_is_left():
    shop = Shop()
    order = shop.order(100)
    first, second = shop.payin(order), shop.payin(order, "ADDON_V2")
    for each in (first, second):
        shop.page(each["direct_link"])
    shop.post(f"{first['self']}/refund", {"amount": 30})
    cancelled = shop.post(f"{order['self']}/cancel", {"tag": "sold out", "metadata": {"a": 1}})
    assert (cancelled["status"], cancelled["refund"]["status"]) == ("CANCELLED", "CONFIRMED")
    assert [refund.payer for refund in shop.refunds] == [30_00, 70_00, 100_00]
    listed = shop.get("/2.0/refunds?search=tag&query=sold out")["data"]
    assert [each["metadata"] for each in listed] == [{"a": 1}, {"a": 1}]
    assert [shop.again(each)["status"] for each in (first, second)] == ["REFUNDED", "REFUNDED"]


@pytest.mark.parametrize(
    ("kind", "body", "status", "field"),
    [
        ("SIBS_MULTIBANCO", {}, 403, None),
        ("BANKWIRE", {}, 422, "bankaccount_id"),
        ("BANKWIRE", {"bankaccount_id": 9}, 422, "bankaccount_id"),
        ("REDSYS_V2", {"tag": "x" * 101}, 422, "tag"),
        ("REDSYS_V2", {"metadata": []}, 422, "metadata"),
        ("REDSYS_V2", {"bankaccount_id": "x"}, 422, "bankaccount_id"),
    ],
)
def test_a_cancellation_that_is_refused_changes_nothing(kind: str, body: Any, status: int, field: str | None):
    shop = Shop()
    order = shop.order()
    payins = [shop.paid(order), shop.paid(order, kind)]
    outgoing = shop.ask("POST", f"{order['self']}/cancel", body)
    assert outgoing.status == status
    assert field is None or list(said(outgoing)["errors"]) == [field]
    assert (shop.again(order)["status"], shop.refunds) == ("PUBLISHED", ())
    assert [shop.again(each) for each in payins] == [{k: v for k, v in each.items() if k != "data"} for each in payins]


def test_orders_known_by_their_payins_alone():
    shop = Shop()
    payment = shop.pay(100_00, "EUR", order="77")
    shop.pay(50_00, "EUR", order="77", status="failed")
    alone = shop.pay(20_00, "GBP")
    order = shop.get("/2.0/orders/77")
    assert (order["status"], order["value"], order["amount"]) == ("PUBLISHED", 100, "100.00 €")
    assert shop.get("/2.0/orders/77/payin")["id"] == int(payment.dialect_id)
    assert shop.post("/2.0/orders/77/accept")["status"] == "ACCEPTED"
    assert shop.post("/2.0/orders/77/cancel")["refund"]["status"] == "CONFIRMED"
    assert shop.payment(payment).refunded == 100_00
    assert shop.get(f"/2.0/orders/{alone.dialect_id}/payin")["id"] == int(alone.dialect_id)
    cancelled = shop.post(f"/2.0/orders/{alone.dialect_id}/cancel")
    assert (cancelled["status"], cancelled["amount"]) == ("CANCELLED", "20.00 £")
    assert cancelled["refund"]["status"] == "CONFIRMED"
    assert shop.get("/2.0/orders?status=cancelled")["total"] == 2


def test_an_order_that_was_paid_by_another_way_is_seen_as_paid():
    shop = Shop()
    order = shop.order()
    shop.pay(100_00, "EUR", order=str(order["id"]))
    assert shop.again(order)["status"] == "PUBLISHED"
    assert shop.post(f"{order['self']}/accept")["status"] == "ACCEPTED"


# --- reimbursing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["REDSYS_V2", "SIBS_MULTIBANCO", "BANKWIRE"])
def test_an_order_is_reimbursed_to_its_buyers_wallet(kind: str):
    shop = Shop()
    order = shop.order(100)
    payin = shop.paid(order, kind)
    wallet = shop.get(shop.wallet_of(order["connections"]["buyer"]))
    reimbursed = shop.post(f"{order['self']}/reimburse", {"amount": "40.50"})
    assert (reimbursed["status"], reimbursed["refund"]["status"]) == ("PUBLISHED", "CONFIRMED")
    assert shop.balance(wallet["self"]) == Decimal("40.50")
    record = shop.get("/2.0/refunds")["data"][0]
    assert (record["wallet_id"], record["amount"], record["payin_id"]) == (wallet["id"], "40.50 €", payin["id"])
    shop.post(f"{order['self']}/reimburse")
    assert (shop.balance(wallet["self"]), shop.again(payin)["status"]) == (100, "REFUNDED")
    assert shop.wrong("POST", f"{order['self']}/reimburse") == of("payin", "The payin has nothing left to refund.")
    assert shop.get("/2.0/payins")["total"] == 1


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"amount": "100.01"}, of("amount", "The amount may not be greater than 100.00.")),
        ({"amount": None}, of("amount", "The amount must be a number.")),
        ({"amount": -1}, of("amount", "The amount must be at least 0.")),
        ({"wallet_id": 1}, of("wallet_id", "The selected wallet id is invalid.")),
        ({"wallet_id": "x"}, of("wallet_id", "The wallet id must be an integer.")),
        ({"payin_id": 1}, of("payin_id", "The selected payin id is invalid.")),
    ],
    ids=str,
)
def test_a_reimbursement_that_is_refused(body: Any, wrong: Any):
    shop = Shop()
    order = shop.order(100)
    shop.paid(order)
    assert shop.wrong("POST", f"{order['self']}/reimburse", body) == wrong
    assert shop.refunds == ()


def test_of_several_payins_one_is_reimbursed_by_name():
    shop = Shop()
    order = shop.order(100)
    unpaid = of("order", "The order is not paid.")
    assert shop.wrong("POST", f"{order['self']}/reimburse") == unpaid
    payins = [shop.payin(order), shop.payin(order)]
    for each in payins:
        shop.page(each["direct_link"])
    several = of("payin_id", "The payin id field is required when the order has several payins.")
    assert shop.wrong("POST", f"{order['self']}/reimburse", {"amount": 1}) == several
    own = shop.post("/2.0/wallets", {"currency": "EUR", "customer_type": "source"})
    shop.post(f"{order['self']}/reimburse", {"payin_id": payins[1]["id"], "wallet_id": own["id"]})
    assert [shop.again(each)["status"] for each in payins] == ["CONFIRMED", "REFUNDED"]
    assert shop.balance(own["self"]) == 100


def test_nothing_is_reimbursed_for_nothing_and_nobody_without_a_wallet():
    shop = Shop()
    order = shop.post("/2.0/orders", {"name": "x", "value": 30, "auto_settle": 1})
    shop.paid(order)
    nobody = of("wallet_id", "The wallet id field is required when the order has no buyer.")
    assert shop.wrong("POST", f"{order['self']}/reimburse") == nobody
    own = shop.get("/2.0/accounts/fees/EUR")
    assert shop.post(f"{order['self']}/reimburse", {"amount": 0, "wallet_id": own["id"]})["refund"]["status"] is None
    assert shop.refunds == ()


def test_a_reimbursement_reaches_its_wallet_once_when_it_is_executed():
    shop = Shop()
    order = shop.order(100)
    shop.paid(order)
    wallet = shop.wallet_of(order["connections"]["buyer"])
    shop.outcome = "pending"
    shop.post(f"{order['self']}/reimburse", {"amount": 10})
    assert shop.balance(wallet) == 0
    refund = shop.bring(shop.refunds[0], "succeeded")
    for _ in range(2):
        shop.get(f"/2.0/refunds/{refund.dialect_id}")
        shop.again(order)
    assert shop.balance(wallet) == 10


@pytest.mark.parametrize("to_itself", [False, True])
def test_a_wallet_payin_is_reimbursed_with_what_went_back_to_its_wallet(to_itself: bool):
    shop = Shop()
    source = shop.filled(100)
    order = shop.order(60)
    shop.payin(order, "WALLET", wallet_id=source["id"])
    target = source if to_itself else shop.post("/2.0/wallets", {"currency": "EUR", "customer_type": "source"})
    shop.post(f"{order['self']}/reimburse", {"amount": 20, "wallet_id": target["id"]})
    assert shop.balance(target["self"]) == (60 if to_itself else 20)
    assert shop.balance(source["self"]) == (60 if to_itself else 40)


# --- lists -----------------------------------------------------------------------------------------------------------


def test_orders_are_listed_searched_and_dated():
    shop = Shop()
    made = []
    for number in range(5):
        shop.now += timedelta(days=1)
        made.append(shop.post("/2.0/orders", {"name": f"n{number % 2}", "value": number, "auto_settle": 1, "tag": "t"}))
    numbers = [each["id"] for each in made]

    def found(query: str) -> list[Any]:
        return [each["id"] for each in shop.get(f"/2.0/orders?{query}")["data"]]

    assert found("") == numbers[::-1]
    assert found("sort=asc&per_page=2&page=2") == numbers[2:4]
    assert found("per_page=2&page=3") == numbers[:1]
    assert found("search=name&query=n1") == [numbers[3], numbers[1]]
    assert found(f"search=id&query={numbers[2]}") == [numbers[2]]
    assert found("search=id&query=x") == found("status=RELEASED") == found("sandbox=0") == []
    assert found("status=DRAFT&sandbox=true&search=tag&query=t") == numbers[::-1]
    assert found("status=DRAFT&search=status&query=RELEASED") == []
    assert found("date_begin=2026-03-04&date_end=2026-03-05") == numbers[2:0:-1]
    assert found("date_begin=2026-03-04&date_end=2026-03-05&sort=asc&per_page=1&page=2") == [numbers[2]]
    assert found("date_begin=2030-01-01") == found("date_end=2020-01-01") == []
    assert found("order=value") == numbers[::-1]
    assert found("order=name&sort=asc&per_page=3") == [numbers[0], numbers[2], numbers[4]]
    page = shop.get("/2.0/orders?per_page=2")
    assert (page["total"], page["last_page"], page["from"], page["to"]) == (5, 3, 1, 2)


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"status": "PAID"}, ["status"]),
        ({"sandbox": "perhaps"}, ["sandbox"]),
        ({"search": "email"}, ["search"]),
        ({"per_page": "101"}, ["per_page"]),
    ],
    ids=str,
)
def test_parameters_of_the_list_of_orders_that_are_wrong(query: dict[str, str], wrong: list[str]):
    outgoing = Shop().call("GET", "/2.0/orders", query=query)
    assert (outgoing.status, list(said(outgoing)["errors"])) == (422, wrong)


def test_a_long_list_of_documents_asks_for_no_more_than_its_page():
    shop = Shop()
    for number in range(300):
        at = f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z"
        shop.documents["order", str(number)] = {"id": number, "created_at": at}
    listing = Listing(page=2, per_page=10, begin=shop.now - timedelta(days=90))
    pages = page_of_documents("order", {}, listing)
    answer: Any = None
    limits = []
    with pytest.raises(StopIteration) as end:
        while True:
            ask = pages.send(answer)
            limits.append(ask.limit if isinstance(ask, ListDocuments) else 0)
            answer = shop.answer(ask)
    rows, total = end.value.value
    assert (total, [row["id"] for row in rows]) == (300, list(range(289, 279, -1)))
    assert sum(limits) < 20


def test_every_status_has_a_name():
    assert set(NICENAMES) == set(OrderStatus)


# --- whatever is said ------------------------------------------------------------------------------------------------

CALLS = ["pay", "refund", "cancel", "accept", "validate", "reimburse", "payout", "wallet"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CALLS), st.integers(0, 12_000)), max_size=12), st.integers(1, 10_000))
def test_no_more_leaves_an_order_than_came_in(steps: list[tuple[str, int]], value: int):
    """Whatever is done to an order in whatever sequence: no wallet is overdrawn, and what moved adds up."""
    shop = Shop()
    purse = shop.filled(50)
    order = shop.order(Decimal(value).scaleb(-2), fee_percent=3)
    number = order["id"]
    for step, minor in steps:
        amount = str(Decimal(minor).scaleb(-2))
        payins = shop.get(f"/2.0/payins?search=order_id&query={number}")["data"]
        match step:
            case "pay":
                shop.page(order["buyer_link"])
            case "wallet":
                shop.ask("POST", "/2.0/payins", {"order_id": number, "type": "WALLET", "wallet_id": purse["id"]})
            case "refund":
                for each in payins[:1]:
                    shop.ask("POST", f"{each['self']}/refund", {"amount": amount, "multipayin": minor % 2})
            case "payout":
                shop.ask("POST", "/2.0/payouts", {"order_id": number, "type": "WALLET", "wallet_id": purse["id"]})
            case "reimburse":
                shop.ask("POST", f"{order['self']}/reimburse", {"amount": amount})
            case _:
                shop.ask("POST", f"{order['self']}/{step}")
    standing = balances(shop.movements)
    assert all(balance >= 0 for (account, _), balance in standing.items() if account.startswith("wallet/"))
    assert sum(standing.values()) == 0
    for each in shop.facts.payments.values():
        assert each.spent <= each.captured


BODIES = st.dictionaries(
    st.sampled_from(
        [
            *(
                "name",
                "value",
                "buyer_id",
                "seller_id",
                "auto_settle",
                "fee_percent",
                "fee_value",
                "metadata",
                "images",
            ),
            *("order_id", "type", "wallet_id", "card_id", "save_card", "amount", "payin_id", "currency", "customer_id"),
            *("email", "phone", "prefix", "number", "iban", "bic", "tag", "auto_accept", "allow_shipping", "outcome"),
        ]
    ),
    st.one_of(ANYTHING, st.sampled_from([1, "1", "EUR", "WALLET", "IBAN", "source", "x@y.z", "10.00", "https://a"])),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([each for each in DIALECT.routes if each.method != "GET"]), BODIES, st.booleans())
def test_any_body_is_answered(route: Any, body: dict[str, Any], known: bool):
    shop = Shop()
    order = shop.order()
    payin = shop.paid(order)
    name = str(payin["id"] if "payins" in route.path else order["id"]) if known else "4711"
    names = {"{id}": name, "{uuid}": "978", "{hash}": "x", "{currency}": "EUR"}
    path = route.path
    for each, value in names.items():
        path = path.replace(each, value)
    assert shop.call(route.method, path, body).status in (200, 302, 403, 404, 422)
