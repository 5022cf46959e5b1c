"""Customers: what is kept of whom a payment was established for, where it is shown, and how it is read."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.dialect import Caller, Outgoing
from moneyback.dialects.trustly.customers import CUSTOMERS, DIGITS, LISTED, numbers
from moneyback.dialects.trustly.schemas import CUSTOMER, CUSTOMER_LIST
from moneyback.dialects.trustly.wire import milliseconds
from tests.dialects.driver import MERCHANT, START, STRANGER, misfits, said
from tests.dialects.trustly.test_establish import Sandbox
from tests.dialects.trustly.test_server import ERROR, problem

SAID = {"externalId": "c-9", "vip": "3", "externalTier": "Gold", "currency": "USD", "enrollDate": 1500000000000}
PERSON = {
    "name": "Ann Example",
    "email": "ann@example.com",
    "phone": "+15550100",
    "taxId": "078051120",
    "dateOfBirth": "1990-01-02",
    "address": {"address1": "1 Elm Street", "zip": "94105"},
    "driverLicense": {"number": "D7654321", "state": "CA"},
    "nationalId": "N-55",
    "balance": "812.34",
    "customData": {"note": "left-handed"},
}


def get(world: Sandbox, path: str = "", **query: str) -> Outgoing:
    return world.table.call("GET", f"/api/v1/customers{path}", query=query)


def read(world: Sandbox, number: str) -> dict[str, Any]:
    outgoing = get(world, f"/{number}")
    assert (outgoing.status, misfits(CUSTOMER, outgoing)) == (200, []), said(outgoing)
    found: dict[str, Any] = said(outgoing)["customer"]
    return found


def listed(world: Sandbox, **query: str) -> list[dict[str, Any]]:
    outgoing = get(world, **query)
    assert (outgoing.status, misfits(CUSTOMER_LIST, outgoing)) == (200, []), said(outgoing)
    found: list[dict[str, Any]] = said(outgoing)["customers"]
    return found


def customer_of(world: Sandbox, number: str) -> dict[str, Any]:
    found: dict[str, Any] = world.see(number)["payment"]["customer"]
    return found


def test_the_customer_of_a_payment_is_shown_with_every_record_and_read_by_its_number():
    world = Sandbox()
    number = world.establish(customer=SAID)
    capture = world.made(number, "capture", {"amount": "10.00"})["transactionId"]
    world.later()
    refund = said(world.ask(f"/transactions/{capture}/refund", {"amount": "1.00"}))["transactionId"]
    customer = customer_of(world, number)
    assert set(customer) == {"merchantId", "customerId", "externalId"}
    assert [customer_of(world, each) for each in (capture, refund)] == [customer, customer]
    paid = said(world.table.call("GET", f"/api/v1/payments/{number}"))
    assert paid["customer"] == paid["payment"]["customer"] == customer
    times = dict.fromkeys(("createdAt", "updatedAt"), milliseconds(START))
    assert read(world, customer["customerId"]) == {**customer, **SAID, **times}


def test_a_form_says_the_same():
    world = Sandbox()
    flat = {f"customer.{name}": str(value) for name, value in SAID.items()}
    assert read(world, customer_of(world, world.establish(**flat))["customerId"]).items() >= SAID.items()


def test_who_the_customer_is_is_not_kept():
    world = Sandbox()
    number = customer_of(world, world.establish(customer=SAID | PERSON))["customerId"]
    assert set(read(world, number)) == {"customerId", "merchantId", "createdAt", "updatedAt", *SAID}
    kept = str([*world.table.facts.payments.values(), world.table.documents])
    secrets = ("Ann", "example.com", "5550100", "078051120", "1990", "Elm", "94105", "D7654321", "N-55", "812", "left")
    assert not any(each in kept for each in secrets)


def test_the_merchants_own_id_leads_to_one_customer():
    world = Sandbox()
    first = world.establish(customer=SAID)
    world.later(timedelta(minutes=1))
    second = world.establish(customer={"externalId": "c-9", "externalTier": "Diamond"})
    another = world.establish(customer={"externalId": "c-8"})
    number = customer_of(world, first)["customerId"]
    assert customer_of(world, second) == customer_of(world, first)
    assert customer_of(world, another)["customerId"] != number
    (found,) = listed(world, externalId="c-9")
    assert (found["externalTier"], found["vip"]) == ("Diamond", "3")
    assert found["updatedAt"] - found["createdAt"] == 60_000


def test_without_the_merchants_id_every_payment_has_a_customer_of_its_own_unless_it_names_one():
    world = Sandbox()
    numbers = [customer_of(world, world.establish(customer={"vip": "1"}))["customerId"] for _ in range(2)]
    assert len(set(numbers)) == 2
    assert "externalId" not in read(world, numbers[0])
    again = customer_of(world, world.establish(customer={"customerId": numbers[0], "vip": "2"}))
    assert (again["customerId"], read(world, numbers[0])["vip"]) == (numbers[0], "2")
    unknown = customer_of(world, world.establish(customer={"customerId": "77"}))
    assert unknown["customerId"] not in ("77", *numbers)
    named = customer_of(world, world.establish(customer={"externalId": "c-9"}))
    assert customer_of(world, world.establish(customer={"customerId": named["customerId"]})) == named


@pytest.mark.parametrize("stated", [{}, {"customer": None}, {"customer": {}}, {"customer": {"externalId": ""}}])
def test_no_customer_is_none(stated: dict[str, Any]):
    world = Sandbox()
    assert "customer" not in world.see(world.establish(**stated))["payment"]
    assert listed(world) == []


def test_the_list():
    world = Sandbox()
    for name in ("c-1", "c-2", "c-3"):
        world.establish(customer={"externalId": name})
    newest = listed(world)
    assert [each["externalId"] for each in newest] == ["c-3", "c-2", "c-1"]
    number = newest[1]["customerId"]
    assert listed(world, externalId="c-2") == listed(world, customerId=number) == [newest[1]]
    assert listed(world, externalId="c-2", customerId=number) == [newest[1]]
    assert listed(world, externalId="c-1", customerId=number) == []
    assert listed(world, externalId="c-4") == listed(world, customerId="1") == listed(world, externalId="") == []
    assert problem(get(world, count="5")) == (400, 200, "Parameter count is not supported here")


def test_a_list_of_everything_ends():
    world = Sandbox()
    for each in range(LISTED + 1):
        number = str(each)
        times = {"createdAt": 1, "updatedAt": 1}
        world.table.documents[(CUSTOMERS, number)] = {"customerId": number, **times}
    assert [each["customerId"] for each in listed(world)] == [str(each) for each in range(LISTED, 0, -1)]


def test_an_unknown_customer():
    outgoing = get(Sandbox(), "/77")
    assert misfits(ERROR, outgoing) == []
    assert problem(outgoing) == (400, 200, "Could not find a customer using Id 77")


def test_a_number_that_another_customer_has_is_passed_over():
    world = Sandbox()
    taken, free, *_ = [number for number, _ in zip(numbers("c-9", Caller(merchant=MERCHANT)), range(2), strict=False)]
    world.table.documents[(CUSTOMERS, taken)] = {"customerId": taken, "externalId": "c-1"}
    assert listed(world, externalId="c-9") == []
    assert customer_of(world, world.establish(customer=SAID))["customerId"] == free
    assert [each["customerId"] for each in listed(world, externalId="c-9")] == [free]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_numbers_follow_from_the_merchant_and_its_own_id(external_id: str):
    first = next(numbers(external_id, Caller(merchant=MERCHANT)))
    assert first == next(numbers(external_id, Caller(merchant=MERCHANT, name="renamed")))
    assert first != next(numbers(external_id, Caller(merchant=STRANGER)))
    assert len(first) == DIGITS and first.isdecimal() and first[0] in "12345678"


@pytest.mark.parametrize("name", ["vip", "externalTier", "currency", "enrollDate"])
@pytest.mark.parametrize("value", [True, [], ["x"], "", None])
def test_what_is_not_of_its_kind_is_not_kept(name: str, value: Any):
    world = Sandbox()
    number = customer_of(world, world.establish(customer={"externalId": "c-9", name: value}))["customerId"]
    assert name not in read(world, number)
