"""Refunds that were asked for natively, as the clients of the payment's dialect find them: in every list and read."""

from typing import Any

import pytest

from moneyback.dialect import Outgoing
from tests.dialects.driver import said
from tests.dialects.http.server import Face, Product, bearer
from tests.dialects.maverick.schemas import fits, fits_list
from tests.dialects.truust.test_server import PAYIN, REFUND, both, checked, paginator


class Asked:
    """One payment of a dialect, refunded natively."""

    def __init__(self, product: Product, dialect: str, secret: str, amount: int, currency: str, **members: Any) -> None:
        self.product = product
        self.face: Face = product.face(dialect, bearer(product.ready[dialect][secret]))
        self.payment = product.pay(dialect, amount, currency, **members)
        self.number = int(self.payment["dialect_id"])

    def refund(self, **asked: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.product._done("POST", f"/v1/payments/{self.payment['id']}/refunds", asked)
        return made

    def refund_order(self, order: str) -> list[dict[str, Any]]:
        asked = {"dialect": self.payment["dialect"]}
        legs: list[dict[str, Any]] = self.product._done("POST", f"/v1/orders/{order}/refunds", asked)["refunds"]
        return legs

    def get(self, path: str) -> Outgoing:
        answer = self.face.get(path)
        assert answer.status == 200, said(answer)
        return answer


class Payin(Asked):
    def __init__(self, product: Product, **members: Any) -> None:
        super().__init__(product, "truust", "secret_key", 100_00, "EUR", **members)

    def listed(self, query: str) -> list[int]:
        return [each["id"] for each in said(checked(self.get(f"/2.0/refunds?{query}"), paginator(REFUND)))["data"]]


class Sale(Asked):
    def __init__(self, product: Product, **members: Any) -> None:
        super().__init__(product, "maverick", "token", 100_00, "USD", **members)

    def listed(self, query: str) -> list[int]:
        return [each["id"] for each in fits_list(self.get(f"/payments?{query}"))["items"]]


@pytest.fixture
def order(product: Product) -> str:
    """A number that no other order has."""
    return str(7_000_000 + len(product.payments("truust")))


def test_a_native_refund_is_a_refund_of_the_payin(product: Product, order: str):
    payin = Payin(product, order=order)
    asked = payin.refund(amount=40_00, reference="cart-7", metadata={"line": 1})
    number = int(asked["dialect_id"])
    assert (asked["dialect"], asked["state"]) == ("truust", "succeeded")
    refund = said(checked(payin.get(f"/2.0/refunds/{number}"), both(REFUND)))
    assert (refund["amount"], refund["status"], refund["tag"]) == ("40.00 €", "CONFIRMED", "cart-7")
    assert (refund["payin_id"], refund["escrow_id"], refund["metadata"]) == (payin.number, int(order), None)
    for query in (
        "per_page=1",
        f"search=payin_id&query={payin.number}",
        f"search=escrow_id&query={order}",
        f"search=id&query={number}",
        "search=tag&query=cart-7",
    ):
        assert payin.listed(query) == [number], query
    read = said(checked(payin.get(f"/2.0/payins/{payin.number}"), both(PAYIN)))
    assert (read["connections"]["refund"], read["status"]) == (refund["self"], "CONFIRMED")
    (row,) = said(payin.get(f"/2.0/payins?search=id&query={payin.number}"))["data"]
    assert row["connections"]["refund"] == refund["self"]
    assert said(payin.get(f"/2.0/orders/{order}"))["refund"]["status"] == "CONFIRMED"
    assert said(payin.face.post(f"/2.0/payins/{payin.number}/refund", {}))["status"] == "REFUNDED"


def test_an_order_refunded_natively_shows_each_payins_refund(product: Product, order: str):
    payins = [Payin(product, order=order) for _ in range(2)]
    legs = payins[0].refund_order(order)
    assert {each["dialect"] for each in legs} == {"truust"}
    numbers = sorted(int(each["dialect_id"]) for each in legs)
    assert sorted(payins[0].listed(f"search=escrow_id&query={order}")) == numbers
    for payin in payins:
        (number,) = payin.listed(f"search=payin_id&query={payin.number}")
        assert said(payin.get(f"/2.0/refunds/{number}"))["payin_id"] == payin.number


def test_a_long_reference_is_cut_to_a_tag(product: Product):
    payin = Payin(product)
    number = payin.refund(amount=1, reference="r" * 200)["dialect_id"]
    assert said(payin.get(f"/2.0/refunds/{number}"))["tag"] == "r" * 100


def test_a_native_refund_is_a_return_of_the_sale(product: Product):
    sale = Sale(product)
    asked = sale.refund(amount=40_00)
    number = int(asked["dialect_id"])
    record = fits(sale.get(f"/payment/{number}"))
    assert (record["type"], record["amount"], record["parent"]) == ("Return", "40.00", {"id": sale.number})
    original = fits(sale.get(f"/payment/{sale.number}"))
    assert [(each["id"], each["type"], each["amount"]) for each in original["history"]] == [(number, "Return", "40.00")]
    for query in (
        f"filter[parent.id][eq]={sale.number}",
        f"filter[id][eq]={number}",
        "filter[type][eq]=Return&per-page=1",
    ):
        assert sale.listed(query) == [number], query
    assert sale.listed("per-page=2") == [number, sale.number]
    fits(sale.face.post(f"/payment/{sale.number}/refund", {"terminal": {"id": 24}}))
    assert fits(sale.get(f"/payment/{sale.number}"))["refunded"] is True


@pytest.mark.parametrize(("dialect", "currency"), [("native", "EUR"), ("chip", "MYR")])
def test_elsewhere_a_native_refund_keeps_the_native_apis_id(product: Product, dialect: str, currency: str):
    payment = product.pay(dialect, 100_00, currency)
    refund = product.refund(payment["id"], 10_00)
    assert refund["dialect"] == "native"
    assert refund["id"] == f"re_{refund['dialect_id']}"
