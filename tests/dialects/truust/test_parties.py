"""Truust's customers, wallets, bank accounts, cards and the account itself, in memory: a row for every rule."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.dialects.truust import DIALECT, schemas
from moneyback.dialects.truust.bankaccounts import IBAN_LENGTHS, TYPES, is_iban, masked
from moneyback.dialects.truust.server import ROUTES
from tests.dialects.driver import misfits, said, text
from tests.dialects.truust.shapes import Shop

IBAN = "ES9121000418450200051332"


def of(field: str, sentence: str) -> dict[str, list[str]]:
    return {field: [sentence]}


# --- customers -------------------------------------------------------------------------------------------------------


def test_a_customer_is_found_again_by_email_or_phone():
    shop = Shop()
    first = shop.post("/2.0/customers", {"email": "john@example.com", "name": "John Doe", "metadata": {"a": 1}})
    again = shop.post("/2.0/customers", {"email": "john@example.com", "prefix": "+34", "phone": "612345678"})
    assert (again["id"], again["name"], again["metadata"]) == (first["id"], "John Doe", {"a": 1})
    called = shop.post("/2.0/customers", {"prefix": "+34", "phone": 612345678, "tag": "seller"}, encoding="multipart")
    assert (called["id"], called["email"], called["tag"]) == (first["id"], "john@example.com", "seller")
    other = shop.post("/2.0/customers", {"prefix": "+33", "phone": "612345678"})
    assert other["id"] != first["id"]
    assert shop.get("/2.0/customers")["total"] == 2
    assert shop.again(first) == {name: value for name, value in called.items() if name != "data"}


def test_a_customer_is_read_by_either_of_its_ids():
    shop = Shop()
    made = shop.customer()
    for name in (made["uuid"], made["uuid"].upper(), str(made["id"])):
        assert shop.get(f"/2.0/customers/{name}")["id"] == made["id"]
    for path in ("/2.0/customers/nobody", "/2.0/customers/1", "/2.0/customers/1/wallets", "/2.0/customers/1/cards"):
        assert shop.ask("GET", path).status == 404
    assert shop.ask("PUT", "/2.0/customers/1", {"name": "x"}).status == 404


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (
            {},
            {
                "email": ["The email field is required when phone is not present."],
                "phone": ["The phone field is required when email is not present."],
            },
        ),
        ({"phone": "612345678"}, of("prefix", "The prefix field is required when phone is present.")),
        ({"email": "nobody"}, of("email", "The email must be a valid email address.")),
        ({"email": ["x"]}, of("email", "The email must be a string.")),
        ({"email": "a@b", "name": "x" * 256}, of("name", "The name may not be longer than 255 characters.")),
        ({"email": "a@b", "tag": "x" * 101}, of("tag", "The tag may not be longer than 100 characters.")),
        ({"email": "a@b", "prefix": "+0034x"}, of("prefix", "The prefix format is invalid.")),
        ({"prefix": "34", "phone": "call me"}, of("phone", "The phone format is invalid.")),
        ({"email": "a@b", "metadata": []}, of("metadata", "The metadata must be an object.")),
        ({"email": "a@b", "type": "STRANGE"}, of("type", "The selected type is invalid.")),
        (
            {
                "email": "a@b",
                "type": "CURRENCYCLOUD",
                "metadata": {"kyc": {"date_birth": "1990-01-01", "street_residence": "x", "city_residence": "y"}},
            },
            {
                "metadata.kyc.type": ["The metadata.kyc.type field is required."],
                "metadata.kyc.country_residence": ["The metadata.kyc.country_residence field is required."],
            },
        ),
        ("x", of("body", "The body must be an object.")),
    ],
    ids=str,
)
def test_a_customer_that_can_not_be_created(body: Any, wrong: Any):
    shop = Shop()
    assert shop.wrong("POST", "/2.0/customers", body) == wrong
    assert shop.documents == {}


def test_a_customer_is_changed():
    shop = Shop()
    made = shop.customer(name="Old", tag="a")
    changed = shop.put(made["self"], {"name": "New", "tag": None, "vat_id": "not to be changed here"})
    assert (changed["name"], changed["tag"], changed["email"]) == ("New", None, made["email"])
    gone = of("email", "The email field is required when phone is not present.")
    assert shop.wrong("PUT", made["self"], {"email": ""}) == gone
    assert shop.wrong("PUT", made["self"], {"email": "x"}) == of("email", "The email must be a valid email address.")


def test_customers_are_listed_and_searched():
    shop = Shop()
    made = [shop.customer(tag=f"t{number % 2}") for number in range(4)]
    assert [each["id"] for each in shop.get("/2.0/customers")["data"]] == [each["id"] for each in made[::-1]]
    found = shop.get("/2.0/customers?search=tag&query=t1&sort=asc&per_page=1&page=2")
    assert ([each["id"] for each in found["data"]], found["total"]) == ([made[3]["id"]], 2)
    assert shop.get(f"/2.0/customers?search=email&query={made[2]['email']}")["data"][0]["id"] == made[2]["id"]
    assert shop.get("/2.0/customers?order=email&sort=asc")["data"][0]["id"] == made[0]["id"]
    assert shop.wrong("GET", "/2.0/customers?search=secret&query=x") == of("search", "The selected search is invalid.")


# --- wallets ---------------------------------------------------------------------------------------------------------


def test_a_customer_has_a_wallet_from_the_beginning_and_more_by_asking():
    shop = Shop()
    owner = shop.customer()
    wallet = shop.get(owner["connections"]["wallet"])
    assert (wallet["balance"], wallet["currency"], wallet["type"]) == (0, "EUR", None)
    assert wallet["connections"]["customer"] == owner["self"]
    body = {"customer_type": "user", "customer_id": owner["id"], "currency": "gbp", "tag": "bills"}
    more = shop.post("/2.0/wallets", body)
    assert (more["currency"], more["tag"]) == ("GBP", "bills")
    listed = shop.get(f"{owner['self']}/wallets")["data"]
    assert [each["id"] for each in listed] == [more["id"], wallet["id"]]
    assert shop.get(f"/2.0/wallets/{more['id']}?update=1")["uuid"] == more["uuid"]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"customer_type": "source"}, of("currency", "The currency field is required.")),
        (
            {"currency": "EUR"},
            of("customer_id", "The customer id field is required unless customer type is source."),
        ),
        ({"currency": "EUR", "customer_id": 1}, of("customer_id", "The selected customer id is invalid.")),
        ({"currency": "XXX", "customer_type": "source"}, of("currency", "The selected currency is invalid.")),
        ({"currency": "EUR", "customer_type": "x"}, of("customer_type", "The selected customer type is invalid.")),
        ({"currency": "EUR", "customer_type": "source", "type": "x"}, of("type", "The selected type is invalid.")),
    ],
    ids=str,
)
def test_a_wallet_that_can_not_be_created(body: Any, wrong: Any):
    shop = Shop()
    assert shop.wrong("POST", "/2.0/wallets", body) == wrong
    assert shop.get("/2.0/wallets")["data"] == []


def test_a_wallets_tag_and_metadata_change():
    shop = Shop()
    wallet = shop.get(shop.customer()["connections"]["wallet"])
    changed = shop.put(wallet["self"], {"tag": "bills", "metadata": {"a": 1}, "currency": "USD"})
    assert (changed["tag"], changed["metadata"], changed["currency"]) == ("bills", {"a": 1}, "EUR")
    assert shop.wrong("PUT", wallet["self"], {"tag": []}) == of("tag", "The tag must be a string.")
    for method in ("GET", "PUT"):
        assert shop.ask(method, "/2.0/wallets/nowhere", None if method == "GET" else {}).status == 404
    assert shop.ask("GET", "/2.0/wallets/nowhere/transactions").status == 404


def test_what_moved_on_wallets():
    shop = Shop()
    purse = shop.filled(100)
    order = shop.order(60)
    payin = shop.payin(order, "WALLET", wallet_id=purse["id"])
    shop.post(f"{payin['self']}/refund", {"amount": 20})
    moved = [(each["type"], each["amount"], each["status"]) for each in _transactions(shop, purse["self"])]
    assert moved == [("REFUND", 20, "CONFIRMED"), ("PAYIN", -60, "CONFIRMED"), ("PAYOUT", 100, "CONFIRMED")]
    escrow = [(each["type"], each["amount"]) for each in _transactions(shop, order["connections"]["wallet"])]
    assert escrow == [("REFUND", -20), ("PAYIN", 60)]
    assert all(each["id"].split("-")[0].isdigit() for each in _transactions(shop, purse["self"]))
    assert shop.balance(purse["self"]) == 60
    last = shop.get(f"{purse['self']}/transactions?per_page=1&page=3")["data"]
    assert [each["type"] for each in last] == ["PAYOUT"]


def test_what_moved_between_two_dates():
    shop = Shop()
    shop.filled()
    purse = shop.filled(100)
    shop.now += timedelta(days=2)
    shop.payin(shop.order(10), "WALLET", wallet_id=purse["id"])
    path = f"{purse['self']}/transactions"
    assert [each["amount"] for each in shop.get(f"{path}?date_begin=2026-03-03")["data"]] == [-10]
    assert [each["amount"] for each in shop.get(f"{path}?date_end=2026-03-03")["data"]] == [100]
    assert shop.get(f"{path}?date_begin=2026-03-03&page=2")["data"] == []
    assert shop.wrong("GET", f"{path}?date_end=x") == of("date_end", "The date end is not a valid date.")


def _transactions(shop: Shop, wallet: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.get(f"{wallet}/transactions")["data"]
    return found


def test_wallets_are_listed_without_the_escrows_of_orders():
    shop = Shop()
    shop.order()
    shop.get("/2.0/accounts/fees/USD")
    listed = shop.get("/2.0/wallets")["data"]
    assert [each["currency"] for each in listed] == ["USD", "EUR", "EUR"]
    assert len(shop.get("/2.0/wallets?per_page=2&page=2")["data"]) == 1


def test_the_accounts_own_wallet_is_one_for_each_currency():
    shop = Shop()
    first = shop.get("/2.0/accounts/fees")
    assert first == shop.get("/2.0/accounts/fees/eur") == shop.get(f"/2.0/wallets/{first['uuid']}")
    assert first["id"] != shop.get("/2.0/accounts/fees/GBP")["id"]
    assert shop.ask("GET", "/2.0/accounts/fees/XYZ").status == 404


# --- bank accounts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["number", "iban"])
def test_a_bank_account_is_kept_without_its_number(field: str):
    shop = Shop()
    owner = shop.customer()
    body = {"customer_id": owner["id"], "name": "Anna", "type": "IBAN", field: "ES91 2100 0418 4502 0005 1332"}
    made = shop.post("/2.0/bankaccounts", body | {"bic": "CAIXESBBXXX", "tag": "t", "metadata": {"a": 1}})
    assert made["number"] == "ES91 **** **** **** **** 1332"
    assert (made["bic"], made["tag"], made["metadata"]) == ("CAIXESBBXXX", "t", {"a": 1})
    assert "0418" not in str(shop.documents)
    assert shop.get(f"/2.0/bankaccounts/{made['id']}") == shop.get(made["self"])
    assert [each["id"] for each in shop.get(f"{owner['self']}/bankaccounts")["data"]] == [made["id"]]
    assert shop.get(f"{shop.customer()['self']}/bankaccounts")["data"] == []


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({"name": None}, of("name", "The name field is required.")),
        ({"type": None}, of("type", "The type field is required.")),
        ({"type": "PIGGY"}, of("type", "The selected type is invalid.")),
        ({"number": None}, of("number", "The number field is required.")),
        ({"number": "ES9121000418450200051333"}, of("number", "The number must be a valid IBAN.")),
        ({"number": "12345678"}, of("number", "The number must be a valid IBAN.")),
        ({"bic": "TOOLONGFORABIC"}, of("bic", "The bic may not be longer than 11 characters.")),
        ({"bic": "A B"}, of("bic", "The bic format is invalid.")),
        ({"type": "INTERNATIONAL"}, of("bic", "The bic field is required when type is INTERNATIONAL.")),
        ({"type": "BSB_ACCOUNT"}, of("bsb", "The bsb field is required when type is BSB_ACCOUNT.")),
        ({"type": "BSB_ACCOUNT", "bsb": "62"}, of("bsb", "The bsb format is invalid.")),
        (
            {"customer_type": None},
            of("customer_id", "The customer id field is required unless customer type is source."),
        ),
        ({"customer_type": None, "customer_id": 1}, of("customer_id", "The selected customer id is invalid.")),
        (
            {
                "type": "CLEARJUNCTION",
                "metadata": dict.fromkeys(
                    ("currency", "country", "beneficiary_address", "beneficiary_city", "beneficiary_country"), "x"
                )
                | {"beneficiary_entity_type": "individual", "beneficiary_first_name": "Anna"},
            },
            of(
                "metadata.beneficiary_last_name",
                "The metadata.beneficiary last name field is required when type is CLEARJUNCTION.",
            ),
        ),
    ],
    ids=str,
)
def test_a_bank_account_that_can_not_be_created(members: Any, wrong: Any):
    shop = Shop()
    body = {"name": "Anna", "type": "IBAN", "number": IBAN, "customer_type": "source"} | members
    assert shop.wrong("POST", "/2.0/bankaccounts", body) == wrong
    assert shop.documents == {}


@pytest.mark.parametrize("kind", [each for each in TYPES if each not in ("IBAN", "CLEARJUNCTION", "CURRENCYCLOUD")])
def test_other_accounts_have_numbers_of_their_own(kind: str):
    body = {"name": "Anna", "type": kind, "number": 123456789, "customer_type": "source", "bic": "ANZ", "bsb": "062000"}
    made = Shop().post("/2.0/bankaccounts", body)
    assert (made["type"], made["number"]) == (kind, "******789")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (IBAN, True),
        ("es91 2100 0418 4502 0005 1332", True),
        ("DE89370400440532013000", True),
        ("GB82 WEST 1234 5698 7654 32", True),
        ("NO9386011117947", True),
        ("DE8937040044053201300", False),
        ("DE88370400440532013000", False),
        ("ZZ9121000418450200051332", False),
        ("ES91", False),
        ("", False),
        ("ES9121000418450200051332" * 40, False),
    ],
)
def test_what_is_an_iban(text: str, expected: bool):
    assert is_iban(text) is expected


@given(st.sampled_from(sorted(IBAN_LENGTHS)), st.data())
def test_one_digit_off_is_no_iban(country: str, data: st.DataObject):
    length = IBAN_LENGTHS[country]
    rest = data.draw(st.text("0123456789", min_size=length - 4, max_size=length - 4))
    digits = "".join(str(int(each, 36)) for each in rest + country + "00")
    whole = f"{country}{98 - int(digits) % 97:02}{rest}"
    assert is_iban(whole)
    at = data.draw(st.integers(2, length - 1))
    assert not is_iban(whole[:at] + str((int(whole[at]) + 1) % 10) + whole[at + 1 :])


@given(st.text("0123456789ABCDEF -", max_size=40))
def test_a_masked_number_shows_eight_characters_at_most(number: str):
    plain = [each for each in masked(number) if each not in " *"]
    assert len(plain) <= min(8, len(number))


def test_what_a_bank_account_must_say():
    shop = Shop()
    path = "/2.0/bankaccounts/validation"
    rules = shop.get(f"{path}?currency=EUR&country=ES&type=IBAN")
    assert rules["number"] == "required|string|iban"
    assert "metadata.country" in shop.get(f"{path}?currency=EUR&country=ES&type=CLEARJUNCTION")
    assert shop.get(f"{path}?currency=AUD&country=AU&type=BSB_ACCOUNT")["bsb"] == "required|digits:6"
    assert list(shop.wrong("GET", path)) == ["currency", "country", "type"]
    assert shop.wrong("GET", f"{path}?currency=EUR&country=ES&type=x") == of("type", "The selected type is invalid.")


# --- the account -----------------------------------------------------------------------------------------------------


def test_the_account_shows_itself():
    shop = Shop(profile={"currency": "GBP"})
    shown = said(shop.ask("GET", "/2.0/accounts/me", headers={"authorization": "Bearer sk_stage_x"}))
    assert (shown["name"], shown["currency"], shown["secret_key"]) == ("demo", "GBP", "sk_stage_x")
    assert (shown["allow_shipping"], shown["data"]["allow_shipping"]) == (0, 0)
    assert shown["public_key"].startswith("pk_stage_")
    assert shop.get("/2.0/accounts/fees")["currency"] == "GBP"


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, of("allow_shipping", "The allow shipping field is required.")),
        ({"allow_shipping": 2}, of("allow_shipping", "The selected allow shipping is invalid.")),
        (
            {"allow_shipping": 1},
            of("value_shipping", "The value shipping field is required when allow shipping is 1."),
        ),
        (
            {"allow_shipping": 0, "default_gateway": "x"},
            of("default_gateway", "The selected default gateway is invalid."),
        ),
    ],
    ids=str,
)
def test_changes_of_the_account_that_are_refused(body: Any, wrong: Any):
    shop = Shop()
    assert shop.wrong("PUT", "/2.0/accounts/me", body) == wrong
    assert shop.get("/2.0/accounts/me")["allow_shipping"] == 0


def test_the_account_changes():
    shop = Shop()
    body = {"allow_shipping": "1", "value_shipping": "4.95", "name": "My Company", "default_gateway": "BIZUM"}
    changed = shop.put("/2.0/accounts/me", body)
    assert (changed["name"], changed["value_shipping"]) == ("My Company", Decimal("4.95"))
    assert shop.get("/2.0/accounts/me") == changed


def test_an_order_is_shipped():
    shop = Shop()
    order = shop.order()
    fields = {"order_id": str(order["id"]), "origin_name": "Shop", "destination_name": "Anna"}
    outgoing = shop.ask("POST", "/2.0/shippings", fields, encoding="multipart")
    assert misfits(schemas.SHIPPING_ANSWER, outgoing) == []
    assert said(outgoing)["data"]["status"] == "CARRIER_READY"
    assert shop.again(order)["shipping_at"] is not None
    assert "Anna" not in str(shop.documents)
    assert shop.wrong("POST", "/2.0/shippings", {"order_id": 1}) == of("order_id", "The selected order id is invalid.")


# --- all of it -------------------------------------------------------------------------------------------------------

SCHEMAS = {
    "/2.0/orders/{id}": schemas.ORDER_ANSWER,
    "/2.0/customers/{uuid}": schemas.CUSTOMER_ANSWER,
    "/2.0/wallets/{uuid}": schemas.WALLET_ANSWER,
    "/2.0/bankaccounts/{uuid}": schemas.BANK_ACCOUNT_ANSWER,
    "/2.0/payins/{id}": schemas.PAYIN_ANSWER,
}


def test_the_sandboxs_own_objects_are_read():
    assert DIALECT.samples is not None
    shop = Shop()
    for document in DIALECT.samples.documents:
        shop.answer(document)
    for came_in in DIALECT.samples.payments:
        shop.answer(came_in)
    names = {"order": "orders/{id}", "customer": "customers/{uuid}", "wallet": "wallets/{uuid}"}
    names |= {"bankaccount": "bankaccounts/{uuid}", "escrow": "wallets/{uuid}"}
    for each in DIALECT.samples.documents:
        path = f"/2.0/{names[each.kind]}"
        filled = path.format(id=each.id, uuid=each.data.get("uuid"))
        assert misfits(SCHEMAS[path], shop.ask("GET", filled)) == []
    for payment in shop.facts.payments.values():
        assert misfits(schemas.PAYIN_ANSWER, shop.ask("GET", f"/2.0/payins/{payment.dialect_id}")) == []
    assert shop.balance("/2.0/wallets/4201") == 125
    assert shop.get("/2.0/orders")["total"] == 8
    assert shop.post("/2.0/orders/500004/cancel")["status"] == "CANCELLED"
    assert shop.balance("/2.0/wallets/4201") == 200
    assert shop.post("/2.0/orders/500001/validate", {"auto_accept": 1})["status"] == "RELEASED"


def test_what_gives_money_back_is_guarded_and_what_only_the_provider_knows_is_relayed():
    kinds = {(route.method, route.path): route.kind for route in ROUTES}
    guarded = {path for (_, path), kind in kinds.items() if kind == "guarded"}
    assert guarded == {
        "/2.0/payins/{id}/refund",
        "/2.0/payins/{id}/cancelpreauth",
        "/2.0/orders/{id}/cancel",
        "/2.0/orders/{id}/reimburse",
    }
    owned = {path for (method, path), kind in kinds.items() if kind == "owned" and path.startswith("/2.0")}
    assert owned == {"/2.0/refunds", "/2.0/refunds/{id}"}
    assert all(route.public == (not route.path.startswith("/2.0")) for route in ROUTES)


def test_a_card_number_is_kept_nowhere():
    shop = Shop()
    payin = shop.payin(shop.order(), save_card=1)
    typed = {"number": "4548812049400004", "cvv": "123", "expiry": "12/49", "outcome": "pay"}
    outgoing = shop.call("POST", payin["direct_link"], typed, encoding="form")
    kept = f"{shop.documents} {shop.facts.payments} {text(outgoing)!r} {shop.again(payin)}"
    assert "4548812049400004" not in kept
    assert shop.get(payin["connections"]["card"])["alias"] == "454881XXXXXX0004"
