"""Maverick over HTTP, as its clients use it: a card is charged, refunded in parts, over-refunded, read back, listed."""

from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from moneyback.dialect import Outgoing
from tests.dialects.driver import said
from tests.dialects.http.server import Product, bearer, form
from tests.dialects.maverick.schemas import fits, fits_list

HERE = {"terminal": {"id": 24}}
VISA = {"name": "John Wick", "number": 4111111111111111, "exp": "12/30", "cvv": 999}
NOT_ALLOWED = (422, "Return Not Allowed")
NAMES = (f"walk-{number}" for number in count())


class Gateway:
    """A client that knows a base URL, a token and a terminal."""

    def __init__(self, product: Product) -> None:
        self.product = product
        ready = product.ready["maverick"]
        self.base_url = ready["base_url"]
        self.face = product.face("maverick", bearer(ready["token"]))

    def ask(self, path: str, body: Any = None) -> Outgoing:
        """A call with the terminal it needs; its answer satisfies its schema."""
        answer = self.face.post(path, HERE | (body or {}))
        fits(answer)
        return answer

    def done(self, path: str, body: Any = None) -> dict[str, Any]:
        answer = self.ask(path, body)
        assert answer.status == 200, said(answer)
        record: dict[str, Any] = said(answer)
        return record

    def refused(self, path: str, body: Any = None) -> tuple[int, str]:
        answer = self.ask(path, body)
        return answer.status, said(answer)["message"]

    def charge(self, call: str = "sale", *, secure: bool = False, **members: Any) -> dict[str, Any]:
        body = {"amount": "100.00", "source": "Internet", "level": 1, "card": VISA, "3ds": secure, **members}
        return self.done(f"/payment/{call}", body)

    def read(self, number: int) -> dict[str, Any]:
        record: dict[str, Any] = fits(self.face.get(f"/payment/{number}"))
        return record

    def page(self, query: str) -> dict[str, Any]:
        page: dict[str, Any] = fits_list(self.face.get(f"/payments?{quote(query, safe='=&')}"))
        return page

    def family(self, number: int) -> list[tuple[int, str, str]]:
        """What was made of an original, newest first, as the list shows it."""
        page = self.page(f"filter[parent.id][eq]={number}")
        assert page["_meta"]["totalCount"] == len(page["items"])
        return [(each["id"], each["type"], each["amount"]) for each in page["items"]]


@pytest.fixture(scope="module")
def gateway(product: Product) -> Gateway:
    return Gateway(product)


def test_a_sale_is_refunded_in_parts_and_no_further(gateway: Gateway):
    name = next(NAMES)
    order = {"subtotal": 95, "tax": "8.00", "discounts": 3, "items": [{"sku": "a", "price": 1.5}]}
    sale = gateway.charge(externalId=name, order=order, contact={"name": "Ada", "phone": None}, secure=True)
    (capture,) = sale["history"]
    assert (sale["type"], sale["captured"], sale["order"]["items"]) == ("Auth", True, [{"sku": "a", "price": "1.5"}])
    assert capture["id"] > sale["id"]
    assert gateway.read(sale["id"]) == sale

    refund = f"/payment/{sale['id']}/refund"
    first = gateway.done(refund, {"amount": 30, "order": {"tax": 3}})
    assert (first["type"], first["amount"], first["parent"]) == ("Return", "30.00", {"id": sale["id"]})
    second = gateway.done(f"{refund}/partial", {"amount": "20.00"})
    assert gateway.refused(refund, {"amount": "50.01"}) == (422, "Amount must be no greater than 50.00.")
    tax = {"amount": 10, "order": {"tax": "5.01"}}
    assert gateway.refused(refund, tax) == (422, "Order tax must be no greater than 5.00.")
    rest = gateway.done(refund)
    assert rest["amount"] == "50.00"
    assert gateway.refused(refund) == NOT_ALLOWED
    assert gateway.refused(refund, {"amount": 1}) == NOT_ALLOWED

    original = gateway.read(sale["id"])
    assert original["refunded"] is True
    shown = [(each["id"], each["type"], each["amount"]) for each in original["history"]]
    returns = [(each["id"], "Return", each["amount"]) for each in (first, second, rest)]
    assert shown == [(capture["id"], "Capture", "100.00"), *returns]
    assert gateway.family(sale["id"]) == shown[::-1]
    for number, *_ in shown:
        assert gateway.read(number)["parent"] == {"id": sale["id"]}
        assert gateway.refused(f"/payment/{number}/refund") == NOT_ALLOWED
    found = gateway.page(f"filter[externalId]={name}")
    assert (found["_meta"]["totalCount"], found["items"]) == (1, [original])
    only = gateway.page(f"filter[parent.id][eq]={sale['id']}&filter[type][eq]=Return&per-page=2&sort=createdOn")
    assert [each["id"] for each in only["items"]] == [first["id"], second["id"]]


def test_an_authorisation_is_captured_in_parts_and_refunded(gateway: Gateway):
    auth = gateway.charge("auth", amount=75)
    capture, refund = f"/payment/{auth['id']}/capture", f"/payment/{auth['id']}/refund"
    parts = [gateway.done(capture, {"amount": "30.00", "partial": {"total": 2, "sequence": 1}})]
    assert gateway.refused(capture, {"amount": "45.01"}) == (422, "Amount must be no greater than 45.00.")
    assert gateway.refused(refund, {"amount": "30.01"}) == (422, "Amount must be no greater than 30.00.")
    parts.append(gateway.done(refund, {"amount": "10.00"}))
    parts.append(gateway.done(capture))
    assert gateway.refused(capture) == (422, "Modify Transaction Not Allowed")
    parts.append(gateway.done(refund))
    kinds = [("Capture", "30.00"), ("Return", "10.00"), ("Capture", "45.00"), ("Return", "65.00")]
    assert [(each["type"], each["amount"]) for each in parts] == kinds
    assert [number for number, *_ in gateway.family(auth["id"])] == [each["id"] for each in parts][::-1]
    original = gateway.read(auth["id"])
    assert (original["amount"], original["captured"], original["refunded"]) == ("75.00", True, True)
    (payment,) = [each for each in gateway.product.payments("maverick") if each["dialect_id"] == str(auth["id"])]
    assert (payment["captured"], payment["refundable"]) == (75_00, 0)
    assert gateway.product.executed(payment["id"]) == [10_00, 65_00]


def test_an_authorisation_is_voided(gateway: Gateway):
    auth = gateway.charge("auth")
    void = gateway.done(f"/payment/{auth['id']}/refund")
    assert (void["type"], void["amount"], void["authCode"] is not None) == ("Return", "100.00", True)
    assert gateway.refused(f"/payment/{auth['id']}/capture") == (422, "Modify Transaction Not Allowed")
    assert gateway.family(auth["id"]) == [(void["id"], "Return", "100.00")]
    assert gateway.read(void["id"]) == void


@pytest.mark.parametrize("amounts", [["60"] * 6, ["100", None, "100"]])
def test_captures_at_once_never_take_more_than_was_authorised(gateway: Gateway, amounts: list[str | None]):
    auth = gateway.charge("auth")
    calls = [partial(gateway.ask, f"/payment/{auth['id']}/capture", {"amount": amount}) for amount in amounts]
    answers = gateway.product.at_once(calls)
    taken = sum(int(said(each)["amount"].partition(".")[0]) for each in answers if each.status == 200)
    assert 60 <= taken <= 100
    assert sum(int(amount.partition(".")[0]) for _, _, amount in gateway.family(auth["id"])) == taken


def test_a_void_and_captures_at_once_do_not_both_happen(gateway: Gateway):
    auth = gateway.charge("auth")
    paths = [f"/payment/{auth['id']}/{call}" for call in ("capture", "refund", "capture", "refund")]
    gateway.product.at_once([partial(gateway.ask, path) for path in paths])
    original = gateway.read(auth["id"])
    kinds = [each["type"] for each in original["history"]]
    assert kinds == (["Capture", "Return"] if original["captured"] else ["Return"])
    assert original["refunded"] is True


def test_sales_at_once_with_one_reference_are_one(gateway: Gateway):
    name = next(NAMES)
    body = {"amount": 5, "source": "Internet", "card": VISA, "externalId": name}
    answers = gateway.product.at_once([partial(gateway.ask, "/payment/sale", body)] * 4)
    assert {each.status for each in answers} <= {200, 422}
    numbers = {said(each)["id"] for each in answers if each.status == 200}
    assert len(numbers) == 1
    assert [each["id"] for each in gateway.page(f"filter[externalId]={name}")["items"]] == [*numbers]
    assert gateway.refused("/payment/sale", body) == (422, "Suspected duplicate.")


def test_a_card_is_kept_checked_and_charged_by_its_token(gateway: Gateway):
    generated = gateway.done("/payment/generate-token", {"source": "Internet", "card": VISA})
    checked = gateway.charge("card-authentication", amount=0, externalId=next(NAMES))
    for record in (generated, checked):
        assert gateway.read(record["id"]) == record
        assert gateway.refused(f"/payment/{record['id']}/refund") == NOT_ALLOWED
    token = generated["card"]["token"]
    sale = gateway.charge(amount=5.55, card={"token": token}, secure=True)
    assert (sale["amount"], sale["card"]["number"], sale["threeds"]["eci"]) == ("5.55", 1111, "05")
    assert gateway.refused("/payment/sale", {"amount": 1, "source": "Mail", "card": {"token": "x"}}) == (
        422,
        "Card token is invalid.",
    )
    numbers = [sale["history"][0]["id"], sale["id"], checked["id"], generated["id"]]
    assert [each["id"] for each in gateway.page("per-page=4")["items"]] == numbers


def test_a_declined_sale_is_listed(gateway: Gateway):
    name = next(NAMES)
    card = VISA | {"number": "4000000000009995"}
    body = {"amount": 5, "source": "Internet", "card": card, "externalId": name}
    assert gateway.refused("/payment/sale", body) == (422, "Insufficient Funds")
    (declined,) = gateway.page(f"filter[externalId]={name}&filter[status.status]=Decline")["items"]
    assert declined["status"] == {"status": "Declined", "reason": "Insufficient Funds"}
    assert gateway.refused(f"/payment/{declined['id']}/refund") == NOT_ALLOWED


def test_three_d_secure(gateway: Gateway):
    card = {"number": "5146312200000035", "exp": "12/30"}
    session = said(gateway.face.post("/3ds/create", HERE | {"amount": "45.00", "card": card}))
    checked = said(gateway.face.post(f"/3ds/{session['id']}/check", {}))
    assert (checked["id"], checked["status"], checked["eci"]) == (session["id"], "Authenticated", "02")
    sale = gateway.charge(card=card, threeds={"id": session["id"]})
    assert sale["threeds"] == {"id": int(session["id"]), "eci": "02", "aav": checked["aav"], "cavv": None}


def test_a_form_charges_too(gateway: Gateway):
    fields = {
        "terminal[id]": 24,
        "amount": "7.00",
        "source": "Phone",
        "card[number]": "4111 1111 1111 1111",
        "card[exp]": "12/30",
    }
    assert fits(gateway.face.post("/payment/sale", form(fields)))["amount"] == "7.00"


def test_what_was_captured_is_settled_by_the_next_day(gateway: Gateway):
    sale = gateway.charge()
    gateway.product.advance(seconds=timedelta(days=1).total_seconds())
    settled = gateway.read(sale["id"])["batch"]
    assert None not in settled.values()
    refund = gateway.done(f"/payment/{sale['id']}/refund", {"amount": 1})
    assert (refund["authCode"], refund["batch"]["id"]) == (None, None)


def test_pages_lead_through_everything(gateway: Gateway):
    for _ in range(2):
        gateway.charge()
    seen: list[int] = []
    page = gateway.page("per-page=50")
    total = page["_meta"]["totalCount"]
    while True:
        seen += [each["id"] for each in page["items"]]
        following = page["_links"].get("next")
        if following is None:
            break
        assert following["href"].startswith(f"{gateway.base_url}/payments?")
        page = fits_list(gateway.face.get(f"/payments?{urlsplit(following['href']).query}"))
    assert len(seen) == len(set(seen)) == total
    assert gateway.page("sort=id&per-page=1")["items"][0]["id"] == min(seen)


@pytest.mark.parametrize("query", ["filter[nobody]=1", "filter[id][between]=1", "sort=amount"])
def test_lists_that_are_refused(gateway: Gateway, query: str):
    answer = gateway.face.get(f"/payments?{quote(query, safe='=&')}")
    assert (answer.status, fits(answer)["name"]) == (422, "Unprocessable entity")


@pytest.mark.parametrize("path", ["/payment/sale", "/payment/5/capture", "/payment/generate-token", "/3ds/create"])
def test_strangers_are_turned_away(gateway: Gateway, path: str):
    answer = gateway.face.as_(bearer("wrong")).post(path, HERE)
    assert (answer.status, fits(answer)["message"]) == (401, "Your request was made with invalid credentials.")
