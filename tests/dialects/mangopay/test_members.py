"""How bodies are written by the provider's own clients: members in another case, numbers as text, text as numbers."""

from decimal import Decimal
from typing import Any

import pytest

from moneyback.dialects.mangopay.members import Members
from tests.dialects.mangopay.shop import PERSON, eur
from tests.dialects.mangopay.test_resources import BACK, Desk

BROWSER = {
    "AcceptHeader": "text/html",
    "JavaEnabled": True,
    "Language": "FR-FR",
    "ColorDepth": 4,
    "ScreenHeight": 1800,
    "ScreenWidth": 400,
    "TimeZoneOffset": "+60",
    "UserAgent": "Mozilla/5.0",
    "JavascriptEnabled": True,
}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (6, 6),
        ("6", 6),
        ("-6", -6),
        (Decimal("188301600.0"), 188301600),
        (Decimal("1e3"), 1000),
        (Decimal("6.5"), None),
        (Decimal("1e15"), None),
        (Decimal("1e999999"), None),
        ("6.0", None),
        (" 6", None),
        ("six", None),
        ("1234567890123456", None),
        (True, None),
        ([], None),
    ],
    ids=repr,
)
def test_a_whole_number_however_it_is_written(value: Any, read: int | None):
    body = Members({"Birthday": value})
    assert body.whole("Birthday") == read
    assert (body.errors == {}) is (read is not None)


@pytest.mark.parametrize(
    ("value", "read"),
    [("a", "a"), (123456789, "123456789"), (True, None), (Decimal("1.5"), None), (["a"], None)],
    ids=repr,
)
def test_text_that_was_sent_as_a_number(value: Any, read: str | None):
    body = Members({"CompanyNumber": value})
    assert body.text("CompanyNumber") == read
    assert (body.errors == {}) is (read is not None)


@pytest.mark.parametrize(
    ("value", "read"),
    [("+60", "+60"), ("-120", "-120"), ("0", "0"), (-60, -60), ("CET", 0), ("+12345", 0), (True, 0)],
    ids=repr,
)
def test_an_offset_is_text_or_a_number(value: Any, read: Any):
    found = Members({"BrowserInfo": BROWSER | {"TimeZoneOffset": value}}).browser()
    assert found == BROWSER | {"TimeZoneOffset": read}


def test_an_offset_that_is_none_is_said():
    body = Members({"BrowserInfo": BROWSER | {"TimeZoneOffset": "CET"}})
    body.browser()
    assert body.errors == {"BrowserInfo.TimeZoneOffset": "The field TimeZoneOffset must be an integer."}


def test_the_case_of_names_does_not_count_and_the_last_one_is_meant():
    body = Members({"Description": "old", "description": "new", "debitedfunds": {"currency": "EUR", "AMOUNT": 5}})
    assert body.text("Description") == "new"
    stated = body.money("DebitedFunds")
    assert stated is not None
    assert (stated.amount, stated.currency) == (5, "EUR")
    assert body.errors == {}


def test_an_amount_stays_an_integer_of_minor_units():
    for amount in ("10", Decimal("10.0")):
        body = Members({"Fees": {"Currency": "EUR", "Amount": amount}})
        assert body.money("Fees") is None
        assert body.errors == {"Fees.Amount": "The Amount must be an integer of minor units"}


def test_a_user_as_the_python_client_writes_it():
    desk = Desk()
    said = {"IncomeRange": "3", "Birthday": Decimal("188301600.0")}
    user = desk.made("users/natural", PERSON | said)
    assert (user["IncomeRange"], user["Birthday"]) == (3, 188301600)


def test_a_card_pay_in_as_the_official_clients_write_it():
    desk = Desk()
    payin = desk.made("payins/card/direct", desk.card(BrowserInfo=BROWSER, IpAddress="2001:db8::1"))
    assert (payin["Status"], payin["BrowserInfo"]["TimeZoneOffset"]) == ("SUCCEEDED", "+60")


def test_bancontact_is_called_by_the_providers_own_word():
    desk = Desk()
    path = "payins/payment-methods/bancontact"
    payin = desk.made(path, desk.stated(ReturnURL=BACK, PaymentType="BCMC", ExecutionType="WEB"))
    assert payin["PaymentType"] == "BCMC"
    desk.made(f"payins/{payin['Id']}/outcome", {"Status": "SUCCEEDED"})
    part = {"AuthorId": desk.payer, "DebitedFunds": eur(5), "Fees": eur(0)}
    assert desk.made(f"payins/{payin['Id']}/refunds", part)["Status"] == "SUCCEEDED"


@pytest.mark.parametrize("code", ["777365", None])
def test_blik_says_its_code_and_the_browser_it_was_typed_into(code: str | None):
    desk = Desk()
    more = {"Code": code, "IpAddress": "203.0.113.7", "BrowserInfo": BROWSER}
    payin = desk.made("payins/payment-methods/blik", desk.stated() | {"ReturnURL": BACK} | more)
    shown = {name: payin[name] for name in more}
    assert shown == (more if code else dict.fromkeys(more))
