"""Clients, their saved cards, webhooks, keys, methods, and the company's figures."""

from datetime import timedelta
from itertools import chain
from typing import Any

import pytest

from moneyback.dialects.chip.account import BATCH
from moneyback.dialects.chip.events import EVENTS
from tests.dialects.chip.shapes import CARD as CARD_SHAPE
from tests.dialects.chip.shapes import WEBHOOK, WHOLE_CLIENT, fits, listed
from tests.dialects.chip.shop import BRAND, CARD, Shop, code
from tests.dialects.driver import misfits, said

NOBODY = "00000000-0000-4000-8000-000000000000"
HOOK = {"title": "News", "callback": "https://shop.example/news", "events": ["purchase.paid", "payment.refunded"]}

# --- clients ---------------------------------------------------------------------------------------------------------


def test_a_clients_life():
    shop = Shop()
    answer = shop.ask("POST", "/clients/", {"email": "a@example.com", "full_name": "A", "country": "Malaysia"})
    made = fits(answer)
    assert (answer.status, made["country"], made["phone"]) == (201, "MY", "")
    path = f"/clients/{made['id']}/"
    assert fits(shop.ask("GET", path)) == made
    patched = fits(shop.ask("PATCH", path, {"phone": "+60 1"}))
    assert (patched["phone"], patched["full_name"], patched["email"]) == ("+60 1", "A", "a@example.com")
    put = fits(shop.ask("PUT", path, {"email": "b@example.com"}))
    assert (put["email"], put["full_name"], put["phone"], put["id"]) == ("b@example.com", "", "", made["id"])
    gone = shop.ask("DELETE", path)
    assert (gone.status, gone.body) == (204, None)
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = shop.ask(method, path, {"email": "a@example.com"})
        assert (answer.status, code(answer)) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "place", "expected"),
    [
        ({}, "email", "required"),
        (None, "email", "required"),
        ({"email": "x"}, "email", "invalid"),
        ({"email": None}, "email", "null"),
        ({"email": "a@b.my", "zip_code": "1" * 33}, "zip_code", "max_length"),
        ({"email": "a@b.my", "bank_account": "1" * 35}, "bank_account", "max_length"),
        ({"email": "a@b.my", "shipping_country": "Atlantis"}, "shipping_country", "invalid_choice"),
        ([1], "__all__", "invalid"),
    ],
)
def test_what_is_wrong_with_a_client(body: Any, place: str, expected: str):
    shop = Shop()
    answer = shop.ask("POST", "/clients/", body)
    assert (answer.status, fits(answer)[place][0]["code"]) == (400, expected)
    assert not shop.table.documents


def test_lists_are_paged():
    shop = Shop()
    for number in range(5):
        shop.ask("POST", "/clients/", {"email": f"{number % 2}@example.com"})
    first = shop.ask("GET", "/clients/", query={"limit": "2", "x": "y"})
    assert misfits(listed(WHOLE_CLIENT), first) == []
    page = said(first)
    assert [each["email"] for each in page["results"]] == ["0@example.com", "1@example.com"]
    assert page["previous"] is None
    seen = page["results"]
    while page["next"]:
        path, _, query = page["next"].partition("?")
        page = said(shop.table.call("GET", path, query=[tuple(each.split("=")) for each in query.split("&")]))
        seen += page["results"]
    assert len({each["id"] for each in seen}) == 5
    assert page["previous"].endswith("offset=2")
    found = said(shop.ask("GET", "/clients/", query={"q": "1@example.com"}))["results"]
    assert [each["email"] for each in found] == ["1@example.com"] * 2
    wrong = shop.ask("GET", "/clients/", query={"limit": "0", "offset": "x"})
    assert (wrong.status, list(said(wrong))) == (400, ["limit", "offset", "__all__"])


def test_the_cards_of_a_client():
    shop = Shop()
    client, other = (fits(shop.ask("POST", "/clients/", {"email": "a@example.com"})) for _ in range(2))
    members = {"client": None, "client_id": client["id"], "force_recurring": True}
    first, second = shop.paid(**members), shop.paid(**members)
    cards = f"/clients/{client['id']}/recurring_tokens/"
    answer = shop.ask("GET", cards)
    assert misfits(listed(CARD_SHAPE), answer) == []
    shown = said(answer)["results"]
    assert [each["id"] for each in shown] == [second["id"], first["id"]]
    assert shown[0]["description"] == "444433******1111"
    assert fits(shop.ask("GET", f"{cards}{first['id']}/")) == shown[1]
    assert shop.ask("GET", f"/clients/{other['id']}/recurring_tokens/{first['id']}/").status == 404
    assert said(shop.ask("GET", f"/clients/{other['id']}/recurring_tokens/"))["results"] == []
    assert shop.ask("GET", f"/clients/{NOBODY}/recurring_tokens/").status == 404
    assert shop.ask("DELETE", f"{cards}{first['id']}/").status == 204
    assert shop.read(first)["is_recurring_token"] is False
    assert shop.ask("DELETE", f"{cards}{first['id']}/").status == 404
    shop.done(second, "delete_recurring_token")
    assert said(shop.ask("GET", cards))["results"] == []


def test_a_card_is_kept_only_where_that_was_wanted():
    shop = Shop()
    kept, not_kept = shop.create(), shop.create()
    shop.submit(kept, **CARD, remember_card="on")
    shop.submit(not_kept, **CARD)
    assert [shop.read(each)["is_recurring_token"] for each in (kept, not_kept)] == [True, False]


# --- webhooks and keys -----------------------------------------------------------------------------------------------


def test_a_webhooks_life():
    shop = Shop()
    answer = shop.ask("POST", "/webhooks/", HOOK)
    made = fits(answer)
    assert (answer.status, made["all_events"], made["events"]) == (201, False, HOOK["events"])
    path = f"/webhooks/{made['id']}/"
    assert fits(shop.ask("GET", path)) == made
    assert misfits(listed(WEBHOOK), shop.ask("GET", "/webhooks/")) == []
    assert said(shop.ask("GET", "/webhooks/"))["results"] == [made]
    patched = fits(shop.ask("PATCH", path, {"title": "Other"}))
    assert (patched["title"], patched["events"], patched["public_key"]) == ("Other", HOOK["events"], made["public_key"])
    every = fits(shop.ask("PATCH", path, {"all_events": True}))
    assert (every["all_events"], every["events"]) == (True, [])
    some = fits(shop.ask("PATCH", path, {"events": ["purchase.paid"]}))
    assert (some["all_events"], some["events"]) == (False, ["purchase.paid"])
    put = fits(shop.ask("PUT", path, HOOK))
    assert (put["title"], put["id"]) == ("News", made["id"])
    assert shop.ask("PUT", path, {"title": "x"}).status == 400
    assert shop.ask("DELETE", path).status == 204
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert shop.ask(method, path, HOOK).status == 404


def test_all_events_drops_those_that_are_named():
    made = fits(Shop().ask("POST", "/webhooks/", {**HOOK, "all_events": True}))
    assert (made["all_events"], made["events"]) == (True, [])


@pytest.mark.parametrize(
    ("changes", "place", "expected"),
    [
        ({"title": None}, "title", "null"),
        ({"title": "x" * 101}, "title", "max_length"),
        ({"callback": "news"}, "callback", "invalid"),
        ({"callback": "https://shop.example/" + "x" * 500}, "callback", "max_length"),
        ({"events": []}, "events", "min_length"),
        ({"events": None}, "events", "required"),
        ({"events": ["purchase.refunded"]}, "events", "invalid_choice"),
        ({"events": "purchase.paid"}, "events", "not_a_list"),
        ({"events": [7]}, "events", "invalid_choice"),
        ({"all_events": "x"}, "all_events", "invalid"),
    ],
)
def test_what_is_wrong_with_a_webhook(changes: Any, place: str, expected: str):
    shop = Shop()
    answer = shop.ask("POST", "/webhooks/", {**HOOK, **changes})
    assert (answer.status, expected in [each["code"] for each in fits(answer)[place]]) == (400, True)
    assert not shop.table.documents


def test_a_webhook_lacks_all_that_is_required():
    found = fits(Shop().ask("POST", "/webhooks/", {}))
    assert {name: [each["code"] for each in found[name]] for name in found if name != "__all__"} == {
        "title": ["required"],
        "events": ["required"],
        "callback": ["required"],
    }


@pytest.mark.parametrize(("ports", "status"), [(True, 201), (False, 400)])
def test_webhooks_with_a_port(ports: bool, status: int):
    hook = {**HOOK, "callback": "http://127.0.0.1:9000/news"}
    assert Shop(callback_ports=ports).ask("POST", "/webhooks/", hook).status == status


def test_each_webhook_has_its_own_key_and_the_company_one():
    shop = Shop()
    own = {fits(shop.ask("POST", "/webhooks/", HOOK))["public_key"] for _ in range(2)}
    company = {said(shop.ask("GET", "/public_key/")) for _ in range(3)}
    assert (len(own), len(company), own & company) == (2, 1, set())
    assert "private" not in repr(shop.table.documents)


def test_every_event_can_be_listened_to():
    assert len(EVENTS) == 29
    assert len(fits(Shop().ask("POST", "/webhooks/", {**HOOK, "events": sorted(EVENTS)}))["events"]) == 29


# --- payment methods -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "has", "lacks"),
    [
        ({"currency": "MYR"}, {"fpx", "visa", "duitnow_qr", "razer"}, {"klix_pis"}),
        ({"currency": "MYR", "amount": "1000", "language": "en"}, {"fpx_b2b1"}, set()),
        ({"currency": "MYR", "recurring": "true"}, {"visa", "maestro"}, {"fpx", "mpgs_apple_pay"}),
        ({"currency": "MYR", "skip_capture": "true"}, {"mastercard"}, {"fpx"}),
        ({"currency": "MYR", "country": "SG"}, {"visa"}, {"fpx"}),
        ({"currency": "SGD"}, {"visa", "mpgs_google_pay"}, {"fpx"}),
    ],
)
def test_payment_methods(query: dict[str, str], has: set[str], lacks: set[str]):
    found = said(Shop().ask("GET", "/payment_methods/", query={"brand_id": BRAND, **query}))
    members = ["available_payment_methods", "by_country", "country_names", "names", "logos", "card_methods"]
    assert list(found) == members
    available = set(found["available_payment_methods"])
    assert has <= available
    assert not lacks & available
    assert available == set(found["names"]) == set(found["logos"]) == set(chain(*found["by_country"].values()))
    assert set(found["card_methods"]) == available & {"visa", "mastercard", "maestro"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["brand_id", "currency"]),
        ({"currency": "MYR"}, ["brand_id"]),
        ({"brand_id": BRAND}, ["currency"]),
        ({"brand_id": "x", "currency": "RINGGIT"}, ["brand_id", "currency"]),
        ({"brand_id": BRAND, "currency": "MYR", "amount": "x"}, ["amount"]),
    ],
)
def test_what_is_wrong_with_a_look_at_methods(query: dict[str, str], expected: list[str]):
    answer = Shop().ask("GET", "/payment_methods/", query=query)
    assert (answer.status, [each for each in fits(answer) if each != "__all__"]) == (400, expected)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_balance_and_turnover():
    shop = Shop()
    for amount, money in ((1000, "MYR"), (500, "MYR"), (70, "SGD")):
        shop.table.pay(amount, money, method="fpx", fees=10)
    shop.table.pay(9, "MYR", status="processing")
    shop.table.pay(9, "MYR", status="authorized")
    first = next(iter(shop.table.facts.payments.values()))
    shop.act({"id": first.dialect_id}, "refund", {"amount": 300})
    shop.table.outcome = "pending"
    shop.act({"id": first.dialect_id}, "refund", {"amount": 50})
    answer = shop.ask(
        "GET", "/account/json/balance/", query=[("currency", "MYR"), ("currency", "SGD"), ("currency", "EUR")]
    )
    found = said(answer)
    assert list(found) == ["MYR", "SGD", "EUR"]
    assert found["MYR"] == {
        "gross_balance": 1200,
        "balance": 1180,
        "available_balance": 1130,
        "reserved": 0,
        "pending_outgoing": 50,
        "fee_sell": 20,
    }
    assert found["EUR"]["gross_balance"] == 0
    turnover = said(shop.ask("GET", "/account/json/turnover/", query={"currency": "MYR"}))
    assert turnover == {
        "incoming": {"turnover": 1500, "fee_sell": 20, "count": {"all": 2}},
        "outgoing": {"turnover": 300, "fee_sell": 0, "count": {"all": 1}},
    }
    by_card = said(shop.ask("GET", "/account/json/turnover/", query={"currency": "MYR", "payment_method": "visa"}))
    assert by_card["incoming"]["turnover"] == 0


@pytest.mark.parametrize(
    ("path", "query", "place", "expected"),
    [
        ("balance", [], "currency", "required"),
        ("turnover", [], "currency", "required"),
        ("balance", [("currency", "myr")], "currency", "invalid_choice"),
        ("turnover", [("currency", "MYR"), ("currency", "SGD")], "currency", "invalid"),
        ("turnover", [("currency", "MYR"), ("from", "yesterday")], "from", "invalid"),
    ],
)
def test_what_is_wrong_with_a_look_at_figures(path: str, query: Any, place: str, expected: str):
    answer = Shop().ask("GET", f"/account/json/{path}/", query=query)
    assert (answer.status, fits(answer)[place][0]["code"]) == (400, expected)


@pytest.mark.parametrize("moments", [1, 3, BATCH])
def test_every_payment_is_counted_once_whatever_its_moment(moments: int):
    """More than a batch, many of them made at the same moment."""
    shop = Shop()
    count = 2 * BATCH + 7
    for number in range(count):
        if number % (count // moments) == 0:
            shop.table.now += timedelta(seconds=1)
        shop.table.pay(1, "MYR")
    found = said(shop.ask("GET", "/account/json/turnover/", query={"currency": "MYR"}))["incoming"]
    assert (found["turnover"], found["count"]["all"]) == (count, count)
