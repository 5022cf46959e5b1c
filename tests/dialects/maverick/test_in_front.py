"""Maverick's server half for payments that its own gateway took: what that shows is shown again, and ours beside it."""

from typing import Any

import pytest
from msgspec.structs import replace

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import DropDocument, ReleasePayment, SaveDocument, TakeKey
from moneyback.dialects.maverick import DIALECT
from moneyback.dialects.maverick.objects import original, refund_record
from moneyback.dialects.maverick.registration import fetched_document
from tests.dialects.driver import START, Table, said
from tests.dialects.maverick.test_client import original as gateways
from tests.dialects.maverick.test_client import shown

CAPTURE = shown(id=881, type="Capture", amount="100.00")
OLDER = shown(id=883, amount="10.00")
CARD = {"bin": 510510, "name": "Ada", "number": 5100, "exp": "2031-01-31", "verification": {"cvv": "M"}, "token": "t"}
RECORD = gateways(CAPTURE, OLDER, terminal={"id": 3}, card=CARD, level=2, isRecurring="Yes", ip=None, newest={"a": 1})


class Front(Table):
    """One payment of Maverick's own, as it is known in front of it."""

    def __init__(self, **profile: Any) -> None:
        super().__init__(DIALECT, profile=profile)
        self.outcome = "succeeded"

    def met(self, record: dict[str, Any] | None = RECORD, **members: Any) -> Payment:
        document = {} if record is None else fetched_document(record, record["terminal"]["id"])
        met = self.pay(100_00, "USD", **{"dialect_id": "882", "document": document, **members})
        self.write(met, rail="provider")
        return self.payment(met)

    def refund(self, **body: Any) -> Any:
        return self.call("POST", "/payment/882/refund", {"terminal": {"id": 3}, **body})


def entry(number: int, amount: str) -> dict[str, Any]:
    return {"id": number, "type": "Return", "amount": amount, "createdOn": START.strftime("%Y-%m-%d %H:%M:%S")}


def a_refund(table: Front, payer: int, outcome: str, **changes: Any) -> Refund:
    table.outcome = outcome
    table.refund(amount=f"{payer / 100:.2f}")
    table.write(table.refunds[-1], **changes)
    return table.refunds[-1]


def history(payment: Payment, *refunds: Refund) -> list[dict[str, Any]]:
    shown_: list[dict[str, Any]] = original(payment, refunds, START)["history"]
    return shown_


def test_an_original_is_shown_as_it_was_shown():
    table = Front()
    assert original(table.met(), (), START) == RECORD
    assert said(table.call("GET", "/payment/882")) == RECORD


def test_refunds_that_are_listed_there_are_listed_once():
    table = Front()
    payment = table.met()
    same = a_refund(table, 10_00, "succeeded", provider_id="883", dialect_id="883")
    assert history(payment, same) == RECORD["history"]
    other = replace(same, dialect_id="900001000000001")
    assert history(payment, other) == [RECORD["history"][0], {**RECORD["history"][1], "id": 900001000000001}]


@pytest.mark.parametrize("outcome", ["ready", "unknown", "pending", "succeeded", "needs_review"])
@pytest.mark.parametrize("provider_id", [None, "999"])
def test_refunds_that_are_not_listed_there_yet_follow(outcome: str, provider_id: str | None):
    table = Front()
    payment = table.met()
    waiting = a_refund(table, 5_00, outcome, provider_id=provider_id, dialect_id="900001000000001")
    assert history(payment, waiting) == [*RECORD["history"], entry(900001000000001, "5.00")]


@pytest.mark.parametrize("outcome", ["failed:Insufficient Funds", "canceled", "returned"])
def test_refunds_that_gave_nothing_back_are_not_listed(outcome: str):
    table = Front()
    payment = table.met()
    assert history(payment, a_refund(table, 5_00, outcome)) == RECORD["history"]


def test_a_refund_has_its_originals_card_and_terminal():
    table = Front()
    payment = table.met()
    record = refund_record(a_refund(table, 5_00, "succeeded"), payment)
    assert (record["terminal"], record["level"], record["isRecurring"]) == ({"id": 3}, 2, "Yes")
    assert record["card"] == {
        "bin": 510510,
        "name": None,
        "number": 5100,
        "exp": "2031-01-31",
        "verification": {"cvv": None, "address": None},
        "networkTransactionId": None,
    }


@pytest.mark.parametrize(("terminal", "status"), [(3, 200), (24, 404), (None, 422)])
def test_the_terminal_is_the_one_that_is_shown(terminal: int | None, status: int):
    table = Front()
    table.met()
    assert table.refund(terminal={"id": terminal}, amount=1).status == status


@pytest.mark.parametrize(("terminal", "status"), [(3, 200), (24, 200), (None, 422)])
def test_a_terminal_that_only_the_gateway_knows_is_not_judged(terminal: int | None, status: int):
    """A payment that was imported without its record: the refund goes out with the terminal the gateway shows then."""
    table = Front()
    table.met(None)
    assert table.refund(terminal={"id": terminal}, amount=1).status == status


@pytest.mark.parametrize("body", [{}, {"amount": "100.00"}])
def test_a_reversal_is_nothing_that_is_decided_here(body: dict[str, Any]):
    """Nothing is written before it is known whose it is: whoever stands in front hands the request on then."""
    table = Front()
    table.met(gateways(captured=False, terminal={"id": 3}), status="authorized")
    table.refund(**body)
    kinds = [type(each) for each in table.asks]
    before = kinds[: kinds.index(ReleasePayment)]
    assert not {TakeKey, SaveDocument, DropDocument} & set(before)


def test_where_it_is_ours_to_make_its_id_can_be_read():
    table = Front()
    table.met(gateways(captured=False, terminal={"id": 3}), status="authorized")
    made = said(table.refund())
    assert said(table.call("GET", f"/payment/{made['id']}")) == made


def test_the_lists_are_relayed_and_the_records_our_own():
    kinds = {(route.method, route.path): route.kind for route in DIALECT.routes}
    assert {path for (_, path), kind in kinds.items() if kind == "guarded"} == {
        "/payment/{id}/refund",
        "/payment/{id}/refund/partial",
    }
    assert [path for (_, path), kind in kinds.items() if kind == "owned"] == ["/payment/{id}"]
    assert kinds["GET", "/payments"] == kinds["GET", "/payment"] == "relayed"


def test_no_hooks_are_kept_here():
    assert DIALECT.resend is None
