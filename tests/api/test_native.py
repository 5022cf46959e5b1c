"""The native API, endpoint by endpoint: what it does, what it refuses, and who may ask.

Every answer that goes by is held against the published document; see `world.check_described`.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from moneyback.api.native import ENDPOINTS, KEY_BYTES_MAX, PAGE_MAX
from moneyback.core.commands import ArmRelease, Observation, ObserveRelease
from moneyback.core.money import MINOR_MAX
from moneyback.core.refund import Event
from moneyback.dialect import Delivery
from moneyback.dialects import load_dialects
from moneyback.ids import new_id
from moneyback.store.access import SCOPES
from moneyback.store.deliveries import Told
from moneyback.store.news import Finding
from moneyback.vault import Vault
from tests.api.world import Native, World, refused, without_database

UNKNOWN = "0" * 32
FIGURES = ("held", "refunded", "external", "disputed", "clawed_back", "excess")


@pytest.fixture
async def shop(here: World) -> Native:
    """A merchant of the test's own."""
    return await here.merchant()


def figures(payment: Any) -> dict[str, int]:
    """What has left a payment; what is zero is left out."""
    return {name: payment[name] for name in FIGURES if payment[name]}


async def in_doubt(here: World, shop: Native, **members: Any) -> Any:
    """A refund of 40.00 whose answer was lost on a rail that shows nothing: only a person can say what became of it."""
    payment = await shop.pays(rail="sandbox-0")
    refund = await shop.refunds(payment, 4_000, scenario="lost_answer:executed", **members)
    assert refund["state"] == "unknown"
    return refund


async def at_the_bank(shop: Native, payment: Any) -> None:
    """Once the bank has executed a refund of the payment whose answer is still on its way."""
    while not await shop.executions(payment):
        continue


# --- payments --------------------------------------------------------------------------------------------------------


async def test_a_payment_as_it_is_registered(shop: Native):
    asked = {
        "amount": 12_345,
        "currency": "EUR",
        "method": "card",
        "order": "order-7",
        "fees": 345,
        "parts": {"subtotal": 12_000, "tax": 345},
        "reference": "psp-1",
        "captured_at": "2026-01-02T03:04:05+02:00",
        "metadata": {"basket": [1, "two", None]},
    }
    said = await shop.post("/v1/payments", asked)
    assert said.status_code == 201
    payment = said.json()
    assert payment["id"].startswith("pay_")
    parts = {"subtotal": 12_000, "tax": 345, "discount": 0, "shipping": 0}
    assert {name: payment[name] for name in asked} == {**asked, "parts": parts, "captured_at": "2026-01-02T01:04:05Z"}
    assert (payment["status"], payment["captured"], payment["refundable"]) == ("captured", 12_345, 12_345)
    assert figures(payment) == {}
    assert await shop.again(payment) == payment


async def test_a_payment_under_a_known_reference_is_found_again(shop: Native):
    first = await shop.pays(reference="same")
    again = await shop.post("/v1/payments", {"amount": 10_000, "currency": "EUR", "reference": "same"})
    assert (again.status_code, again.json()) == (200, first)
    other = await shop.post("/v1/payments", {"amount": 10_000, "currency": "USD", "reference": "same"})
    assert refused(other) == (409, "already_exists")
    more = await shop.post("/v1/payments", {"amount": 10_001, "currency": "EUR", "reference": "same"})
    assert refused(more) == (409, "already_exists")
    assert await shop.again(first) == first


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("authorized", "payment_not_captured"),
        ("processing", "payment_processing"),
        ("failed", "payment_failed"),
    ],
)
async def test_money_that_is_not_there_is_not_given_back(shop: Native, status: str, code: str):
    payment = await shop.pays(status=status)
    assert (payment["status"], payment["amount"], payment["captured"], payment["refundable"]) == (status, 10_000, 0, 0)
    said = await shop.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 100})
    assert refused(said) == (422, code)


UNREADABLE_PAYMENTS: list[dict[str, Any]] = [
    {"amount": 0},
    {"amount": -1},
    {"amount": 10.5},
    {"amount": "100"},
    {"amount": True},
    {"amount": None},
    {"currency": "EURO"},
    {"currency": "eur"},
    {"currency": "XAU"},
    {"currency": ""},
    {"fees": -1},
    {"fees": 10_000},
    {"dialect": "nobody"},
    {"dialect": ""},
    {"rail": "nowhere"},
    {"status": "refunded"},
    {"order": ""},
    {"order": "o" * 256},
    {"reference": ""},
    {"reference": "r" * 256},
    {"method": "m" * 256},
    {"parts": {"subtotal": "1"}},
    {"captured_at": "yesterday"},
    {"captured_at": "2026-01-02T03:04:05"},
    {"captured_at": "9000-01-01T00:00:00Z"},
    {"captured_at": "9999-12-31T23:59:59-23:59"},
    {"captured_at": "0001-01-01T00:00:00+23:59"},
    {"captured_at": "1969-12-31T23:59:59Z"},
    {"captured_at": "8999-12-31T23:59:59Z"},
    {"scenario": "explode"},
    {"scenario": "pending"},
    {"metadata": []},
    {"dialect_data": "x"},
    {"surprise": 1},
]


async def test_payments_that_cannot_be_read(here: World, shop: Native):
    before = await here.books()
    for wrong in UNREADABLE_PAYMENTS:
        said = await shop.post("/v1/payments", {"amount": 10_000, "currency": "EUR", **wrong})
        assert refused(said) == (400, "bad_request"), wrong
    assert await here.books() == before


@pytest.mark.parametrize("dialect", ["chip", "mangopay", "maverick", "trustly", "truust"])
async def test_every_dialect_takes_a_payment_registered_here(shop: Native, dialect: str):
    payment = await shop.pays(20_000, dialect=dialect, order="o-1")
    assert payment["dialect_id"]
    found = await shop.read(f"/v1/payments?dialect={dialect}&dialect_id={payment['dialect_id']}")
    assert found == {"data": [payment], "next_cursor": None}
    refund = await shop.refunds(payment, 5_000)
    own = dialect if load_dialects()[dialect].natively is not None else "native"
    assert (refund["dialect"], refund["state"]) == (own, "succeeded")
    assert (await shop.again(payment))["refundable"] == 15_000


async def test_payments_page_by_page(shop: Native):
    made = [await shop.pays(order=f"o-{n % 2}") for n in range(5)]
    assert await shop.all("/v1/payments", limit=2) == made[::-1]
    assert await shop.all("/v1/payments", limit=1, order="o-1") == [made[3], made[1]]
    assert await shop.all("/v1/payments", reference=made[2]["reference"]) == [made[2]]
    assert await shop.all("/v1/payments", dialect="chip") == []
    assert (await shop.read("/v1/payments?dialect=native&dialect_id=nobody"))["data"] == []


# --- refunds ---------------------------------------------------------------------------------------------------------


async def test_a_refund_as_it_is_made(shop: Native):
    payment = await shop.pays()
    asked = {
        "amount": 2_500,
        "currency": "EUR",
        "expected_refundable": 10_000,
        "reason": "requested_by_customer",
        "reference": "case 7",
        "requested_by": "Ada",
        "metadata": {"why": "broken"},
    }
    said = await shop.post(f"/v1/payments/{payment['id']}/refunds", asked)
    assert said.status_code == 201
    refund = said.json()
    assert refund["id"].startswith("re_")
    same = ("amount", "currency", "reason", "reference", "requested_by", "metadata")
    assert {name: refund[name] for name in same} == {name: asked[name] for name in same}
    assert (refund["state"], refund["payment"], refund["attempts"]) == ("succeeded", payment["id"], 1)
    assert (refund["wallet_amount"], refund["fee_refund"]) == (2_500, 0)
    assert refund["failure"] is refund["doubt"] is refund["scheduled_for"] is None
    assert refund["provider_id"]
    assert refund["ended_at"] is not None
    assert await shop.again(refund) == refund
    assert figures(await shop.again(payment)) == {"refunded": 2_500}


async def test_without_a_body_there_is_no_refund_and_with_an_empty_one_all_that_remains(shop: Native):
    payment = await shop.pays()
    assert refused(await shop.post(f"/v1/payments/{payment['id']}/refunds")) == (400, "bad_request")
    await shop.refunds(payment, 3_000)
    assert (await shop.refunds(payment))["amount"] == 7_000
    after = await shop.again(payment)
    assert (after["status"], after["refundable"]) == ("refunded", 0)


async def test_who_asks_is_remembered(here: World, shop: Native):
    payment = await shop.pays()
    assert (await shop.refunds(payment, 1))["requested_by"] == "shop"
    other = await here.key(shop.merchant, name="night shift")
    assert (await other.refunds(payment, 1))["requested_by"] == "night shift"


async def test_fees_go_back_in_proportion_unless_told_otherwise(shop: Native):
    payment = await shop.pays(10_000, fees=1_000)
    kept = await shop.refunds(payment, 1_000, fee_refund="none")
    assert (kept["wallet_amount"], kept["fee_refund"]) == (1_000, 0)
    stated = await shop.refunds(payment, 1_000, fee_refund=400)
    assert (stated["wallet_amount"], stated["fee_refund"]) == (600, 400)
    charged = await shop.refunds(payment, 1_000, fee_refund=-50)
    assert (charged["wallet_amount"], charged["fee_refund"]) == (1_050, -50)
    rest = await shop.refunds(payment)
    assert (rest["wallet_amount"], rest["fee_refund"]) == (6_350, 600)
    assert (await shop.again(payment))["refundable"] == 0


DATED = {"captured_at": "2024-01-02T03:04:05Z"}
REFUSALS: list[tuple[str, dict[str, Any], dict[str, Any], int, str]] = [
    ("no amount", {}, {"amount": 0}, 422, "amount_not_positive"),
    ("less than none", {}, {"amount": -1}, 422, "amount_not_positive"),
    ("too much", {}, {"amount": 10_001}, 422, "exceeds_refundable"),
    ("far too much", {}, {"amount": MINOR_MAX}, 422, "exceeds_refundable"),
    ("another currency", {}, {"amount": 1, "currency": "USD"}, 422, "currency_mismatch"),
    ("moved on", {}, {"amount": 1, "expected_refundable": 9_999}, 412, "payment_moved_on"),
    ("all the fees and more", {"fees": 100}, {"amount": 1_000, "fee_refund": 101}, 422, "exceeds_fees"),
    ("more than the merchant's", {"fees": 5_000}, {"amount": 6_000, "fee_refund": "none"}, 422, "exceeds_wallet_share"),
    ("endless fees", {}, {"amount": 1, "fee_refund": -MINOR_MAX}, 422, "exceeds_wallet_share"),
    ("fees that are none", {}, {"amount": 100, "fee_refund": 1}, 422, "exceeds_fees"),
    ("too little", {"dialect": "trustly"}, {"amount": 98}, 422, "below_minimum"),
    ("too little left", {"dialect": "trustly"}, {"amount": 9_950}, 422, "leaves_unrefundable_rest"),
    ("never", {"dialect": "chip", "dialect_data": {"refund_availability": "none"}}, {}, 422, "kind_unsupported"),
    (
        "only whole",
        {"dialect": "chip", "dialect_data": {"refund_availability": "full_only"}},
        {"amount": 1},
        422,
        "partial_unsupported",
    ),
    (
        "only in parts",
        {"dialect": "chip", "dialect_data": {"refund_availability": "partial_only"}},
        {},
        422,
        "full_unsupported",
    ),
    ("too late", {"dialect": "mangopay", **DATED}, {"amount": 100}, 422, "window_closed"),
    ("where to", {"dialect": "truust", "method": "BANKWIRE"}, {"amount": 100}, 422, "destination_needed"),
]


@pytest.mark.parametrize(
    ("members", "asked", "status", "code"), [row[1:] for row in REFUSALS], ids=[r[0] for r in REFUSALS]
)
async def test_refunds_that_are_refused(
    here: World, shop: Native, members: dict[str, Any], asked: dict[str, Any], status: int, code: str
):
    payment = await shop.pays(**members)
    before = await here.books()
    said = await shop.post(f"/v1/payments/{payment['id']}/refunds", asked)
    assert refused(said) == (status, code)
    assert await here.books() == before


async def test_every_reason_is_said_with_its_figures(shop: Native):
    payment = await shop.pays(dialect="trustly")
    asked = {"amount": 10_001, "currency": "USD", "expected_refundable": 5}
    problem = (await shop.post(f"/v1/payments/{payment['id']}/refunds", asked)).json()
    reasons = {each["code"]: each.get("figures") for each in problem["reasons"]}
    assert reasons == {
        "currency_mismatch": {"currency": "EUR", "asked": "USD"},
        "payment_moved_on": {"expected": 5, "refundable": 10_000},
        "exceeds_refundable": {"amount": 10_001, "refundable": 10_000},
    }
    assert problem["code"] == "currency_mismatch"


async def test_what_is_left_counts_what_waits(shop: Native):
    payment = await shop.pays()
    await shop.refunds(payment, 6_000, scenario="pending:60")
    said = await shop.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 4_001})
    assert refused(said) == (422, "exceeds_refundable")
    await shop.refunds(payment, 4_000, scenario="pending:60")
    said = await shop.post(f"/v1/payments/{payment['id']}/refunds", {})
    assert refused(said) == (422, "nothing_left")
    assert figures(await shop.again(payment)) == {"held": 10_000}


async def test_where_a_rest_cannot_be_refunded_it_may_be_left(shop: Native):
    payment = await shop.pays(dialect="trustly")
    assert (await shop.refunds(payment, 9_950, allow_remainder=True))["state"] == "succeeded"


async def test_where_money_goes_may_be_said(shop: Native):
    payment = await shop.pays(dialect="truust", method="BANKWIRE")
    assert (await shop.refunds(payment, 100, destination="ES9121000418450200051332"))["state"] == "succeeded"


UNREADABLE_REFUNDS: list[dict[str, Any]] = [
    {"amount": "100"},
    {"amount": 1.5},
    {"amount": [1]},
    {"amount": True},
    {"currency": 978},
    {"currency": ""},
    {"fee_refund": "all"},
    {"fee_refund": 1.5},
    {"allow_remainder": "yes"},
    {"expected_refundable": "1"},
    {"reason": 1},
    {"reason": "x" * 4_001},
    {"reference": "x" * 4_001},
    {"requested_by": ["me"]},
    {"metadata": "x"},
    {"scheduled_for": "soon"},
    {"scheduled_for": "2030-01-01T00:00:00"},
    {"scheduled_for": "9999-12-31T23:59:59-23:59"},
    {"scheduled_for": "0001-01-01T00:00:00+23:59"},
    {"destination": {}},
    {"scenario": "explode"},
    {"surprise": 1},
]


async def test_refunds_that_cannot_be_read(here: World, shop: Native):
    payment = await shop.pays()
    before = await here.books()
    for wrong in UNREADABLE_REFUNDS:
        said = await shop.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1, **wrong})
        assert refused(said) == (400, "bad_request"), wrong
    assert await here.books() == before


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/v1/payments/{}/refunds", "payment_not_found"),
        ("GET", "/v1/payments/{}", "payment_not_found"),
        ("GET", "/v1/payments/{}/refundability", "payment_not_found"),
        ("GET", "/v1/payments/{}/history", "payment_not_found"),
        ("POST", "/v1/payments/{}/cases/1/close", "payment_not_found"),
        ("POST", "/v1/payments/{}/release/resolve", "payment_not_found"),
        ("GET", "/v1/refunds/{}", "refund_not_found"),
        ("GET", "/v1/refunds/{}/evidence", "refund_not_found"),
        ("POST", "/v1/refunds/{}/cancel", "refund_not_found"),
        ("POST", "/v1/refunds/{}/approve", "refund_not_found"),
        ("POST", "/v1/refunds/{}/reject", "refund_not_found"),
        ("POST", "/v1/refunds/{}/resolve", "refund_not_found"),
        ("POST", "/v1/orders/{}/refunds", "order_not_found"),
    ],
)
async def test_ids_that_name_nothing(here: World, shop: Native, method: str, path: str, code: str):
    payment = await shop.pays()
    refund = await shop.refunds(payment, 1)
    body: dict[str, Any] = {}
    if path.endswith("resolve"):
        body = {"outcome": "executed", "evidence_version": 1, "note": "seen"}
    elif path.endswith("close"):
        body = {"note": "seen"}
    wrong = [payment["id"], refund["id"]]  # those of the other kind
    wrong.remove(refund["id"] if "refund_" in code else payment["id"])
    if "order" not in code:
        wrong += [f"pay_{UNKNOWN}", f"re_{UNKNOWN}", payment["id"].upper(), UUID(payment["id"][4:]), "pay_", "re_x"]
    for id in [*wrong, "nothing", "%F0%9F%98%80", "'", "1" * 300]:
        said = await shop(method, path.format(id), body if method == "POST" else None)
        status, found = refused(said)
        assert status == 404
        assert found in (code, "case_not_found", "not_found"), (id, found)


# --- waiting ---------------------------------------------------------------------------------------------------------


async def test_a_refund_is_waited_for(here: World, shop: Native):
    payment = await shop.pays()
    asking = asyncio.create_task(shop.refunds(payment, 1_000, scenario="slow:600"))
    await at_the_bank(shop, payment)
    assert not asking.done()
    assert (await shop.all("/v1/refunds", payment=payment["id"]))[0]["state"] == "sending"
    await here.advance(600)
    assert (await asking)["state"] == "succeeded"


@pytest.mark.parametrize("prefer", ["wait=0", "handling=lenient, wait=0"])
async def test_nobody_has_to_wait(here: World, shop: Native, prefer: str):
    payment = await shop.pays()
    said = await shop.post(
        f"/v1/payments/{payment['id']}/refunds", {"amount": 1_000, "scenario": "slow:600"}, prefer=prefer
    )
    assert (said.status_code, said.json()["state"]) == (202, "sending")
    await at_the_bank(shop, payment)
    await here.advance(600)
    assert (await shop.again(said.json()))["state"] == "succeeded"


@pytest.mark.parametrize("prefer", ["respond-async", "Respond-Async, wait=5"])
async def test_what_nobody_waits_for_is_left_to_a_worker(here: World, shop: Native, prefer: str):
    payment = await shop.pays()
    said = await shop.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1_000}, prefer=prefer)
    assert (said.status_code, said.json()["state"], said.json()["attempts"]) == (202, "ready", 0)
    assert (await shop.read(f"/v1/payments/{payment['id']}"))["held"] == 1_000
    await here.settle()
    assert (await shop.again(said.json()))["state"] == "succeeded"


async def test_a_preference_that_cannot_be_read_is_none(shop: Native):
    payment = await shop.pays()
    for prefer in ("wait=soon", "wait=-1", "wait=", "wait", "", "wait=99999999", "wait=1e3", "x=y;z"):
        said = await shop.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1}, prefer=prefer)
        assert (said.status_code, said.json()["state"]) == (201, "succeeded")


async def test_a_refund_behind_the_fence_waits(here: World, shop: Native):
    payment = await shop.pays(rail="sandbox-0")
    first = await shop.refunds(payment, 1_000, scenario="lost_answer:executed")
    said = await shop.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 2_000}, prefer="wait=0")
    assert (said.status_code, said.json()["state"], said.json()["attempts"]) == (202, "ready", 0)
    await here.settle()
    assert (await shop.again(said.json()))["state"] == "ready"
    await shop.post(
        f"/v1/refunds/{first['id']}/resolve",
        {"outcome": "executed", "evidence_version": first["evidence_version"], "note": "on the statement"},
    )
    await here.sql("update refunds set claimed_until = null where payment_id = $1", UUID(payment["id"][4:]))
    await here.settle()  # whoever admitted it has let it go, or its claim has run out
    assert (await shop.again(said.json()))["state"] == "succeeded"


# --- dates, withdrawals, second persons ------------------------------------------------------------------------------


async def dated(here: World, shop: Native, days: int = 1) -> Any:
    """A refund of 10.00 for another day."""
    payment = await shop.pays()
    due = (await here.parts.store.now()).business + timedelta(days=days)
    return await shop.refunds(payment, 1_000, scheduled_for=due.isoformat())


async def test_a_refund_for_another_day(here: World, shop: Native):
    refund = await dated(here, shop)
    assert (refund["state"], refund["attempts"]) == ("scheduled", 0)
    await here.advance(86_000)
    assert (await shop.again(refund))["state"] == "scheduled"
    await here.advance(500)
    assert (await shop.again(refund))["state"] == "succeeded"


async def test_a_date_that_is_past_is_now(shop: Native):
    payment = await shop.pays()
    assert (await shop.refunds(payment, 1, scheduled_for="2020-01-01T00:00:00Z"))["state"] == "succeeded"


async def test_a_refund_that_was_not_sent_is_withdrawn(here: World, shop: Native):
    refund = await dated(here, shop)
    payment = await shop.read(f"/v1/payments/{refund['payment']}")
    assert figures(payment) == {"held": 1_000}
    said = await shop.post(f"/v1/refunds/{refund['id']}/cancel", {"note": "changed their mind"})
    assert (said.status_code, said.json()["state"]) == (200, "canceled")
    assert figures(await shop.again(payment)) == {}
    assert refused(await shop.post(f"/v1/refunds/{refund['id']}/cancel")) == (422, "state_forbids")
    await here.advance(100_000)
    assert (await shop.again(refund))["state"] == "canceled"
    assert await shop.executions(payment) == []
    seen = (await shop.read(f"/v1/refunds/{refund['id']}/evidence"))["evidence"]
    assert [(each["event"], each["data"]) for each in seen] == [
        ("withdrawn", {"by": "shop", "note": "changed their mind"})
    ]


async def test_what_was_sent_is_neither_withdrawn_nor_approved(shop: Native):
    for scenario in ("ok", "pending:60", "lost_answer:executed", "decline:no"):
        refund = await shop.refunds(await shop.pays(), 1_000, scenario=scenario)
        for what in ("cancel", "approve", "reject"):
            said = await shop.post(f"/v1/refunds/{refund['id']}/{what}")
            assert refused(said) == (422, "state_forbids"), (scenario, what)
        assert await shop.again(refund) == refund


async def test_words_that_cannot_be_read(here: World, shop: Native):
    refund = await dated(here, shop)
    bodies: list[Any] = [[], "x", {"note": 1}, {"note": "x" * 4_001}, {"surprise": 1}]
    for body in bodies:
        for what in ("cancel", "approve", "reject"):
            assert refused(await shop.post(f"/v1/refunds/{refund['id']}/{what}", body)) == (400, "bad_request")
    assert await shop.again(refund) == refund


async def waiting_for_approval(here: World, shop: Native) -> Any:
    """A dated refund that waits for a second person. No policy asks for one yet, so the state is written by hand."""
    refund = await dated(here, shop)
    await here.sql("update refunds set state = 'awaiting_approval' where id = $1", UUID(refund["id"][3:]))
    return refund


async def test_a_second_person_approves(here: World, shop: Native):
    refund = await waiting_for_approval(here, shop)
    said = await shop.post(f"/v1/refunds/{refund['id']}/approve")
    assert refused(said) == (422, "second_person_needed")
    other = await here.key(shop.merchant, name="second person")
    said = await other.post(f"/v1/refunds/{refund['id']}/approve", {"note": "fine"})
    assert (said.status_code, said.json()["state"]) == (200, "scheduled")
    await here.advance(86_400)
    assert (await shop.again(refund))["state"] == "succeeded"


async def test_a_refund_is_rejected(here: World, shop: Native):
    refund = await waiting_for_approval(here, shop)
    said = await shop.post(f"/v1/refunds/{refund['id']}/reject", {"note": "no"})
    assert (said.status_code, said.json()["state"]) == (200, "canceled")
    assert figures(await shop.read(f"/v1/payments/{refund['payment']}")) == {}


# --- doubt -----------------------------------------------------------------------------------------------------------


async def test_a_person_answers_doubt(here: World, shop: Native):
    refund = await in_doubt(here, shop)
    path = f"/v1/refunds/{refund['id']}/resolve"
    version = refund["evidence_version"]
    answer = {"outcome": "not_sent", "evidence_version": version, "note": "not on the statement"}
    assert await shop.read("/v1/doubt/releases") == {"data": [], "next_cursor": None}
    early = await shop.post(path, answer)
    assert refused(early) == (422, "state_forbids")
    opens = early.json()["reasons"][0]["figures"]["not_sent_from"]
    assert datetime.fromisoformat(opens) > datetime.fromisoformat(refund["doubt"]["since"])
    assert await shop.again(refund) == refund
    await here.advance(600)
    asked = await shop.again(refund)
    assert (asked["doubt"]["person_since"] is not None, asked["evidence_version"]) == (True, version + 1)
    for stale in (version, version + 2, -1, MINOR_MAX):  # the form was read before a person was asked
        said = await shop.post(path, answer | {"evidence_version": stale})
        assert refused(said) == (412, "evidence_moved_on")
    said = await shop.post(path, answer | {"evidence_version": version + 1})
    assert (said.status_code, said.json()["state"]) == (200, "ready")
    await here.settle()
    assert (await shop.again(refund))["attempts"] == 2


async def test_a_person_says_it_was_executed(here: World, shop: Native):
    refund = await in_doubt(here, shop)
    answer = {"outcome": "executed", "evidence_version": refund["evidence_version"], "note": "on the statement"}
    said = await shop.post(f"/v1/refunds/{refund['id']}/resolve", answer)
    assert (said.status_code, said.json()["state"], said.json()["doubt"]) == (200, "succeeded", None)
    payment = await shop.read(f"/v1/payments/{refund['payment']}")
    assert figures(payment) == {"refunded": 4_000}
    again = await shop.post(f"/v1/refunds/{refund['id']}/resolve", answer)
    assert refused(again) == (412, "evidence_moved_on")
    current = answer | {"evidence_version": said.json()["evidence_version"]}
    assert refused(await shop.post(f"/v1/refunds/{refund['id']}/resolve", current)) == (422, "state_forbids")
    assert len(await shop.executions(payment)) == 1


async def release_in_doubt(here: World, shop: Native) -> dict[str, Any]:
    """An authorised payment whose release was not answered."""
    payment = await shop.pays(status="authorized")
    assert payment["release"] is None
    world, id = here.parts.world, new_id()
    owner: dict[str, Any] = {"merchant": shop.merchant, "payment": UUID(payment["id"][4:]), "terms": world.terms}
    await world.store.submit(ArmRelease(**owner, release=id, dialect_id="77", evidence=new_id()))
    lost = Observation(event=Event.LOST, id=new_id())
    await world.store.submit(ObserveRelease(**owner, release=id, evidence=new_id(), observations=(lost,)))
    return await shop.again(payment)


async def test_a_person_answers_doubt_about_a_release(here: World, shop: Native):
    payment = await release_in_doubt(here, shop)
    release = payment["release"]
    assert (release["dialect_id"], release["state"], payment["status"]) == ("77", "unknown", "authorized")
    assert release["doubt"]["since"] and release["doubt"]["next_look_at"] and not release["doubt"]["person_since"]
    path, version = f"/v1/payments/{payment['id']}/release/resolve", release["evidence_version"]
    answer = {"outcome": "not_sent", "evidence_version": version, "note": "not on the statement"}
    assert refused(await shop.post(path, answer)) == (422, "state_forbids")
    await here.advance(600)
    asked = (await shop.again(payment))["release"]
    assert asked["doubt"]["person_since"] is not None
    assert await shop.read("/v1/doubt/releases") == {"data": [await shop.again(payment)], "next_cursor": None}
    assert refused(await shop.post(path, answer)) == (412, "evidence_moved_on")
    answer |= {"evidence_version": asked["evidence_version"]}
    said = await shop.post(path, answer, idempotency_key="r-1")
    found = said.json()["release"]
    assert (said.status_code, found["state"], found["doubt"]) == (200, "failed", None)
    assert found["message"] == "not on the statement" and said.json()["status"] == "authorized"
    again = await shop.post(path, answer, idempotency_key="r-1")
    assert again.json() == said.json()
    assert refused(await shop.post(path, answer)) == (422, "state_forbids")
    assert await shop.read("/v1/doubt/releases") == {"data": [], "next_cursor": None}


async def test_a_person_says_that_a_release_was_executed(here: World, shop: Native):
    payment = await release_in_doubt(here, shop)
    version = payment["release"]["evidence_version"]
    answer = {"outcome": "executed", "evidence_version": version, "note": "on the statement"}
    said = await shop.post(f"/v1/payments/{payment['id']}/release/resolve", answer)
    assert (said.status_code, said.json()["release"]["state"], said.json()["status"]) == (200, "succeeded", "failed")
    await here.assert_clean()


async def test_answers_to_doubt_that_cannot_be_read(here: World, shop: Native):
    refund = await in_doubt(here, shop)
    answer: dict[str, Any] = {"outcome": "executed", "evidence_version": refund["evidence_version"], "note": "seen"}
    wrong: list[Any] = [{name: answer[name] for name in answer if name != left_out} for left_out in answer]
    wrong += [answer | {"outcome": "perhaps"}, answer | {"evidence_version": "1"}, answer | {"evidence_version": None}]
    wrong += [answer | {"note": None}, answer | {"note": 5}, answer | {"by": "me"}, [], "x", {}]
    for each in wrong:
        said = await shop.post(f"/v1/refunds/{refund['id']}/resolve", each)
        assert refused(said) == (400, "bad_request"), each
    assert await shop.again(refund) == refund


async def test_what_waits_for_a_person_is_listed(here: World, shop: Native):
    assert await shop.read("/v1/doubt") == {"data": [], "next_cursor": None}
    refunds = [
        await shop.refunds(await shop.pays(), 1_000, scenario="wrong_amount:999"),
        await shop.refunds(await shop.pays(), 1_000, scenario="wrong_amount:1001"),
    ]
    assert [each["state"] for each in refunds] == ["needs_review", "needs_review"]
    assert (await shop.read("/v1/doubt"))["data"] == refunds
    assert (await shop.read("/v1/doubt?limit=1"))["data"] == refunds[:1]
    answer = {"outcome": "executed", "evidence_version": refunds[0]["evidence_version"], "note": "seen"}
    said = await shop.post(f"/v1/refunds/{refunds[0]['id']}/resolve", answer)
    assert said.json()["state"] == "succeeded"
    assert (await shop.read("/v1/doubt"))["data"] == refunds[1:]


async def test_evidence_is_laid_out(here: World, shop: Native):
    refund = await in_doubt(here, shop)
    seen = await shop.read(f"/v1/refunds/{refund['id']}/evidence")
    assert seen["refund"] == refund["id"]
    assert seen["evidence_version"] == len(seen["evidence"]) == 1
    assert (seen["evidence"][0]["event"], seen["evidence"][0]["counted"]) == ("lost", True)
    (attempt,) = seen["attempts"]
    assert (attempt["generation"], attempt["amount"], attempt["outcome"]) == (1, 4_000, "unknown")
    assert attempt["mark"] == f"mb_{refund['id'][3:]}_1"


# --- the bank's scenarios from end to end ----------------------------------------------------------------------------

FOUND_OUT = ["unknown", "succeeded"]
KEPT = {"held": 4_000}
PAID = {"refunded": 4_000}
SCENARIOS: list[tuple[str, str, list[str], dict[str, int], int]] = [
    # scenario, rail, the states at once and after each of 3 s, 60 s and 60 s more, what is left, executions
    ("ok", "sandbox", ["succeeded"], PAID, 1),
    ("list_lag:60", "sandbox", ["succeeded"], PAID, 1),
    ("decline:card_expired", "sandbox", ["failed"], {}, 0),
    ("decline:unsupported", "sandbox-1", ["failed"], {}, 0),
    ("pending:60", "sandbox", ["pending", "pending", "succeeded"], PAID, 1),
    ("pending:60", "sandbox-0", ["pending", "pending", "succeeded"], PAID, 1),
    ("pending:60:decline", "sandbox-2", ["pending", "pending", "failed"], {}, 0),
    ("pending:60:late_failure", "sandbox", ["pending", "pending", "succeeded", "returned"], {}, 1),
    ("late_failure:30", "sandbox", ["succeeded", "succeeded", "returned"], {}, 1),
    ("wrong_amount:4500", "sandbox", ["needs_review"], {**KEPT, "external": 500}, 1),
    ("wrong_amount:3500", "sandbox", ["needs_review"], KEPT, 1),
    ("requires_action", "sandbox", ["requires_action"], KEPT, 0),
    ("lost_answer:executed", "sandbox", FOUND_OUT, PAID, 1),
    ("lost_answer:executed", "sandbox-3", FOUND_OUT, PAID, 1),
    ("lost_answer:executed", "sandbox-2", FOUND_OUT, PAID, 1),
    ("lost_answer:executed", "sandbox-1", FOUND_OUT, PAID, 1),
    ("lost_answer:executed", "sandbox-0", ["unknown"], KEPT, 1),
    ("lost_answer:not_executed", "sandbox", ["unknown", "unknown", "succeeded"], PAID, 1),
    ("lost_answer:not_executed", "sandbox-2", ["unknown"], KEPT, 0),
    ("lost_answer:not_executed", "sandbox-0", ["unknown"], KEPT, 0),
    ("error_after_execution", "sandbox", FOUND_OUT, PAID, 1),
    ("error_after_execution", "sandbox-0", ["unknown"], KEPT, 1),
    ("dispute:0:lost", "sandbox", ["succeeded"], {**PAID, "clawed_back": 10_000, "excess": 4_000}, 1),
    ("dispute:0", "sandbox", ["succeeded"], {**PAID, "disputed": 10_000, "excess": 4_000}, 1),
    ("dispute:10:won", "sandbox", ["succeeded"], PAID, 1),
    ("return:10", "sandbox", ["succeeded"], {**PAID, "clawed_back": 10_000, "excess": 4_000}, 1),
]


@pytest.mark.parametrize(
    ("scenario", "rail", "states", "after", "executions"), SCENARIOS, ids=[f"{s[0]} on {s[1]}" for s in SCENARIOS]
)
async def test_scenarios(
    here: World, shop: Native, scenario: str, rail: str, states: list[str], after: dict[str, int], executions: int
):
    payment = await shop.pays(rail=rail)
    refund = await shop.refunds(payment, 4_000, scenario=scenario)
    seen = [refund["state"]]
    for seconds in (3, 60, 60):
        await here.advance(seconds)
        refund = await shop.again(refund)
        seen.append(refund["state"])
    assert seen == [*states, *[states[-1]] * (4 - len(states))]
    payment = await shop.again(payment)
    assert figures(payment) == after
    assert payment["refundable"] == max(0, 10_000 - sum(after.values()) + after.get("excess", 0))
    assert len(await shop.executions(payment)) == executions
    if scenario.startswith("decline"):
        code = scenario.partition(":")[2]
        assert (refund["failure"]["code"], refund["failure"]["class"]) == (
            code,
            "declined" if code == "card_expired" else code,
        )


async def test_a_payment_has_scenarios_too(here: World, shop: Native):
    payment = await shop.pays(scenario="dispute:60:lost")
    await here.advance(60)
    payment = await shop.again(payment)
    assert (payment["status"], payment["disputed"], payment["refundable"]) == ("disputed", 10_000, 0)
    await here.advance(60)
    payment = await shop.again(payment)
    assert (payment["status"], payment["clawed_back"]) == ("clawed_back", 10_000)
    history = await shop.read(f"/v1/payments/{payment['id']}/history")
    assert [(each["amount"], each["status"]) for each in history["disputes"]] == [(10_000, "lost")]


async def test_a_key_that_never_registered_is_sent_again(here: World, shop: Native):
    payment = await shop.pays(rail="sandbox")
    refund = await shop.refunds(payment, 4_000, scenario="lost_answer:not_executed")
    await here.advance(70)  # the bank cannot be working on it any more
    after = await shop.again(refund)
    assert (after["state"], after["attempts"]) == ("succeeded", 2)
    assert len(await shop.executions(payment)) == 1


# --- orders ----------------------------------------------------------------------------------------------------------


async def test_a_whole_order(here: World, shop: Native):
    payments = [await shop.pays(amount, order="o-1") for amount in (5_000, 3_000)]
    said = await shop.post("/v1/orders/o-1/refunds", {"reason": "lost parcel", "metadata": {"a": 1}})
    assert said.status_code == 202
    group = said.json()
    assert (group["object"], group["order"], group["amount"], group["currency"]) == (
        "order_refund",
        "o-1",
        8_000,
        "EUR",
    )
    assert [(each["payment"], each["amount"], each["order_refund"]) for each in group["refunds"]] == [
        (payment["id"], payment["amount"], group["id"]) for payment in payments
    ]
    await here.settle()
    assert {each["state"] for each in await shop.all("/v1/refunds", order="o-1")} == {"succeeded"}
    assert [figures(await shop.again(each)) for each in payments] == [{"refunded": 5_000}, {"refunded": 3_000}]


async def test_a_part_of_an_order_is_shared_out(here: World, shop: Native):
    for amount in (5_000, 3_000, 2_001):
        await shop.pays(amount, order="o-1")
    group = (await shop.post("/v1/orders/o-1/refunds", {"amount": 1_001})).json()
    assert sum(each["amount"] for each in group["refunds"]) == group["amount"] == 1_001
    assert [each["amount"] for each in group["refunds"]] == [501, 300, 200]


@pytest.mark.parametrize(
    ("payments", "asked", "code"),
    [
        ([{}, {"currency": "USD"}], {}, "currency_mismatch"),
        ([{}, {}], {"currency": "USD"}, "currency_mismatch"),
        ([{}, {"status": "authorized"}], {}, "payment_not_captured"),
        ([{}, {"status": "failed"}], {"amount": 100}, "payment_failed"),
        ([{"fees": 5_000}, {}], {"fee_refund": "none", "amount": 16_000}, "exceeds_wallet_share"),
        ([{}, {}], {"amount": 20_001}, "exceeds_refundable"),
        ([{}, {}], {"amount": 0}, "amount_not_positive"),
        ([{}, {}], {"amount": -2}, "amount_not_positive"),
        ([{}, {}], {"amount": 1}, "amount_not_positive"),
    ],
    ids=str,
)
async def test_an_order_is_refunded_as_a_whole_or_not_at_all(
    here: World, shop: Native, payments: list[dict[str, Any]], asked: dict[str, Any], code: str
):
    for members in payments:
        await shop.pays(order="o-1", **members)
    before = await here.books()
    said = await shop.post("/v1/orders/o-1/refunds", asked)
    assert refused(said) == (422, code)
    assert await here.books() == before


async def test_an_order_with_a_payment_that_is_gone_is_refused(here: World, shop: Native):
    first = await shop.pays(order="o-1")
    await shop.pays(order="o-1")
    await shop.refunds(first)
    before = await here.books()
    for asked in ({}, {"amount": 100}):
        assert refused(await shop.post("/v1/orders/o-1/refunds", asked)) == (422, "nothing_left")
    assert await here.books() == before


@pytest.mark.parametrize("order", ["2026/007", "a b", "é", "100%", "%2F", "?x=1#y", "o" * 255, "'; --"])
async def test_orders_of_every_name(shop: Native, order: str):
    await shop.pays(order=order)
    said = await shop.post(f"/v1/orders/{quote(order, safe='.')}/refunds", {"amount": 100})
    assert (said.status_code, said.json()["order"]) == (202, order)


async def test_orders_belong_to_a_dialect(shop: Native):
    await shop.pays(order="o-1", dialect="truust")
    assert refused(await shop.post("/v1/orders/o-1/refunds", {})) == (404, "order_not_found")
    assert (await shop.post("/v1/orders/o-1/refunds", {"dialect": "truust"})).status_code == 202


# --- what could be refunded ------------------------------------------------------------------------------------------


async def test_what_could_be_refunded(shop: Native):
    payment = await shop.pays(fees=1_000)
    path = f"/v1/payments/{payment['id']}/refundability"
    whole = {"payment": payment["id"], "refundable": 10_000, "currency": "EUR", "possible": True, "reasons": []}
    assert await shop.read(path) == {**whole, "amount": 10_000, "wallet_amount": 9_000, "fee_refund": 1_000}
    assert await shop.read(f"{path}?amount=1000") == {
        **whole,
        "amount": 1_000,
        "wallet_amount": 900,
        "fee_refund": 100,
    }
    much = await shop.read(f"{path}?amount=10001")
    assert not much["possible"]
    assert [each["code"] for each in much["reasons"]] == ["exceeds_refundable", "exceeds_wallet_share"]
    await shop.refunds(payment)
    nothing = await shop.read(path)
    assert (nothing["possible"], nothing["refundable"], nothing["amount"]) == (False, 0, 0)
    assert [each["code"] for each in nothing["reasons"]] == ["nothing_left"]


@pytest.mark.parametrize("members", [row[1] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
async def test_refundability_says_what_a_refund_would_meet(shop: Native, members: dict[str, Any]):
    payment = await shop.pays(**members)
    told = await shop.read(f"/v1/payments/{payment['id']}/refundability")
    said = await shop.post(f"/v1/payments/{payment['id']}/refunds", {"destination": "elsewhere"})
    found = said.json().get("reasons", [])
    assert told["possible"] == (said.status_code == 201)
    assert told["reasons"] == found


async def test_amounts_that_cannot_be_read(shop: Native):
    payment = await shop.pays()
    for amount in ("", "-1", "1.0", "1e3", "x", "9" * 19, "9" * 5_000, "%D9%A1", "+1", "0x1"):
        said = await shop.get(f"/v1/payments/{payment['id']}/refundability?amount={amount}")
        assert refused(said) == (400, "bad_request"), amount


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_refunds_page_by_page(here: World, shop: Native):
    payment, other = await shop.pays(order="o-1"), await shop.pays()
    made = [await shop.refunds(payment, 100 + n) for n in range(4)]
    made.append(await shop.refunds(other, 100, scenario="decline:no"))
    assert await shop.all("/v1/refunds", limit=2) == made[::-1]
    assert await shop.all("/v1/refunds", limit=1, payment=payment["id"]) == made[3::-1]
    assert await shop.all("/v1/refunds", limit=3, order="o-1") == made[3::-1]
    assert await shop.all("/v1/refunds", state="failed") == made[4:]
    assert await shop.all("/v1/refunds", state="failed,succeeded") == made[::-1]
    assert await shop.all("/v1/refunds", state="unknown") == []
    assert await shop.all("/v1/refunds", provider_id=made[1]["provider_id"]) == [made[1]]
    for nothing in (f"pay_{UNKNOWN}", "x", made[0]["id"]):
        assert await shop.all("/v1/refunds", payment=nothing) == []


async def test_cursors_nobody_gave_out(shop: Native):
    cursors = ["x", "-1", "1-2-3", f"1-{'g' * 32}", f"{'9' * 18}-{'0' * 32}", "%F0%9F%98%80", "9" * 20, "1e3"]
    for path in ("/v1/payments", "/v1/refunds", "/v1/ledger/movements"):
        for cursor in (*cursors, f"1-{'0' * 31}"):
            assert refused(await shop.get(f"{path}?cursor={cursor}")) == (400, "bad_request"), (path, cursor)
    for cursor in ("x", "1-2", "1-2-3-4", "1-2-x", "-1-2-3", "1-2-" + "9" * 19, "1--3", "%D9%A1-1-1"):
        assert refused(await shop.get(f"/v1/events?after={cursor}")) == (400, "bad_request"), cursor


async def test_limits_that_are_none(shop: Native):
    for limit in ("0", "-1", str(PAGE_MAX + 1), "x", "1.5", "9" * 30, "000001" + "9" * 20, "", "%D9%A1"):
        for path in ("/v1/payments", "/v1/refunds", "/v1/doubt", "/v1/ledger/movements", "/v1/events"):
            assert refused(await shop.get(f"{path}?limit={limit}")) == (400, "bad_request"), (path, limit)


async def test_states_that_are_none(shop: Native):
    for state in ("gone", "failed,", "FAILED", "failed,gone"):
        assert refused(await shop.get(f"/v1/refunds?state={state}")) == (400, "bad_request"), state


async def test_the_last_of_two_parameters_counts(shop: Native):
    payments = [await shop.pays(order=f"o-{n}") for n in range(2)]
    assert (await shop.read("/v1/payments?order=o-0&order=o-1"))["data"] == payments[1:]


# --- ledger and events -----------------------------------------------------------------------------------------------


async def test_every_movement_of_a_refund(shop: Native):
    payment = await shop.pays(10_000, fees=1_000)
    refund = await shop.refunds(payment, 1_000)
    failed = await shop.refunds(payment, 500, scenario="decline:no", fee_refund="none")
    moved = await shop.all("/v1/ledger/movements", payment=payment["id"])
    assert await shop.all("/v1/ledger/movements", payment=payment["id"], limit=1) == moved
    assert all(each["debit"] != each["credit"] and each["amount"] > 0 and each["currency"] == "EUR" for each in moved)
    of_refund = await shop.all("/v1/ledger/movements", refund=refund["id"])
    assert [(each["kind"], each["amount"]) for each in of_refund] == [
        ("hold", 900),
        ("hold", 100),
        ("post", 1_000),
    ]
    undone = await shop.all("/v1/ledger/movements", refund=failed["id"])
    assert [(each["kind"], each["amount"]) for each in undone] == [("hold", 500), ("void", 500)]
    assert (undone[0]["debit"], undone[0]["credit"]) == (undone[1]["credit"], undone[1]["debit"])
    assert [each for each in moved if each["refund"]] == of_refund + undone
    balance: dict[str, int] = {}
    for each in moved:
        balance[each["debit"]] = balance.get(each["debit"], 0) - each["amount"]
        balance[each["credit"]] = balance.get(each["credit"], 0) + each["amount"]
    assert sum(balance.values()) == 0
    assert balance["payer"] == -10_000 + 1_000
    for nothing in ({"payment": "x"}, {"refund": "x"}, {"payment": f"pay_{UNKNOWN}"}, {"refund": f"re_{UNKNOWN}"}):
        assert await shop.all("/v1/ledger/movements", **nothing) == []


async def test_every_event_in_order(here: World, shop: Native):
    payments = [await shop.pays() for _ in range(3)]
    await asyncio.gather(*(shop.refunds(each, 1_000 + n) for n in range(4) for each in payments))
    refund = await shop.refunds(payments[0], 1_000, scenario="pending:60:late_failure")
    await here.advance(60)
    await here.advance(60)
    events = await shop.all("/v1/events", limit=7)
    assert await shop.all("/v1/events") == events
    assert len({each["id"] for each in events}) == len(events)
    cursors = [tuple(map(int, each["cursor"].split("-"))) for each in events]
    assert cursors == sorted(set(cursors))
    last: dict[str, int] = {}
    for event in events:
        assert event["sequence"] > last.get(event["object"], 0), "an object's events come in their own order"
        last[event["object"]] = event["sequence"]
    registered = {each["object"] for each in events if each["type"] == "payment.registered"}
    assert registered == {each["id"] for each in payments}
    assert len([each for each in events if each["type"] == "refund.created"]) == 13
    assert [each["type"] for each in events if each["object"] == refund["id"]] == [
        "refund.created",
        "refund.pending",
        "refund.succeeded",
        "refund.returned",
    ]
    assert {each["payment"] for each in events} == registered


async def test_reading_on_from_a_cursor(shop: Native):
    payment = await shop.pays()
    first = await shop.read("/v1/events")
    nothing_yet = await shop.read(f"/v1/events?after={first['next_cursor']}")
    assert nothing_yet == {"data": [], "next_cursor": first["next_cursor"]}
    refund = await shop.refunds(payment, 1)
    more = await shop.read(f"/v1/events?after={first['next_cursor']}")
    assert {each["object"] for each in more["data"]} == {refund["id"]}
    for each in more["data"]:
        following = await shop.read(f"/v1/events?after={each['cursor']}")
        assert following["data"] == more["data"][more["data"].index(each) + 1 :]


async def test_a_cursor_of_another_past_leads_nowhere(here: World, shop: Native):
    await shop.pays()
    first = await shop.read("/v1/events")
    await here.parts.news.raise_epoch()
    assert refused(await shop.get(f"/v1/events?after={first['next_cursor']}")) == (410, "another_past")
    again = await shop.read("/v1/events")
    assert [each["id"] for each in again["data"]] == [each["id"] for each in first["data"]]
    assert await shop.read(f"/v1/events?after={again['next_cursor']}") == {
        "data": [],
        "next_cursor": again["next_cursor"],
    }


# --- cases -----------------------------------------------------------------------------------------------------------


async def test_a_contradiction_is_closed_by_a_person(here: World, shop: Native):
    payment = await shop.pays()
    await shop.refunds(payment, 4_000, scenario="return:0")
    await here.settle()
    payment = await shop.again(payment)
    assert (payment["blocked"], payment["excess"]) == (True, 4_000)
    (case,) = (await shop.read(f"/v1/payments/{payment['id']}/history"))["cases"]
    assert (case["kind"], case["closed_at"]) == ("excess", None)
    path = f"/v1/payments/{payment['id']}/cases/{case['number']}"
    unread: list[Any] = [{}, {"note": None}, [], {"note": "x", "by": "me"}]
    for wrong in unread:
        assert refused(await shop.post(f"{path}/close", wrong)) == (400, "bad_request")
    for number in ("0", "2", "x", "-1", "%D9%A1", "1" * 9, "1" * 40, "01x"):
        said = await shop.post(f"/v1/payments/{payment['id']}/cases/{number}/close", {"note": "seen"})
        assert refused(said) == (404, "case_not_found")
    said = await shop.post(f"{path}/close", {"note": "the bank's mistake"})
    assert (said.status_code, said.json()["blocked"]) == (200, False)
    (case,) = (await shop.read(f"/v1/payments/{payment['id']}/history"))["cases"]
    assert (case["closed_by"], case["note"]) == ("shop", "the bank's mistake")
    assert case["closed_at"] is not None
    assert refused(await shop.post(f"{path}/close", {"note": "again"})) == (404, "case_not_found")


async def test_history_shows_all_that_hangs_on_a_payment(here: World, shop: Native):
    payment = await shop.pays()
    refunds = [await shop.refunds(payment, n + 1) for n in range(3)]
    await shop.refunds(payment, 4_000, scenario="wrong_amount:4500")
    history = await shop.read(f"/v1/payments/{payment['id']}/history")
    assert history["payment"] == await shop.again(payment)
    assert history["refunds"][:3] == refunds
    (external,) = history["external_refunds"]
    assert (external["amount"], external["undone"]) == (500, False)
    assert history["disputes"] == history["cases"] == []


# --- who may ask -----------------------------------------------------------------------------------------------------

Request = tuple[str, Any]
"""A path and a body that would succeed for whoever owns what it names."""
REQUESTS: dict[tuple[str, str], Callable[[Any], Request]] = {
    ("POST", "/v1/payments/{id}/refunds"): lambda own: (f"/v1/payments/{own['payment']}/refunds", {"amount": 1}),
    ("GET", "/v1/refunds/{id}"): lambda own: (f"/v1/refunds/{own['done']}", None),
    ("GET", "/v1/doubt"): lambda own: ("/v1/doubt", None),
    ("GET", "/v1/doubt/releases"): lambda own: ("/v1/doubt/releases", None),
    ("GET", "/v1/refunds"): lambda own: (f"/v1/refunds?payment={own['payment']}", None),
    ("GET", "/v1/refunds/{id}/evidence"): lambda own: (f"/v1/refunds/{own['done']}/evidence", None),
    ("POST", "/v1/refunds/{id}/cancel"): lambda own: (f"/v1/refunds/{own['dated']}/cancel", None),
    ("POST", "/v1/refunds/{id}/approve"): lambda own: (f"/v1/refunds/{own['waiting']}/approve", None),
    ("POST", "/v1/refunds/{id}/reject"): lambda own: (f"/v1/refunds/{own['waiting']}/reject", None),
    ("POST", "/v1/refunds/{id}/resolve"): lambda own: (
        f"/v1/refunds/{own['doubted']}/resolve",
        {"outcome": "executed", "evidence_version": own["version"], "note": "seen"},
    ),
    ("POST", "/v1/payments"): lambda own: (
        "/v1/payments",
        {"amount": 10_000, "currency": "EUR", "reference": own["reference"]},
    ),
    ("GET", "/v1/payments"): lambda own: (f"/v1/payments?reference={own['reference']}", None),
    ("GET", "/v1/payments/{id}"): lambda own: (f"/v1/payments/{own['payment']}", None),
    ("GET", "/v1/payments/{id}/refundability"): lambda own: (f"/v1/payments/{own['payment']}/refundability", None),
    ("GET", "/v1/payments/{id}/history"): lambda own: (f"/v1/payments/{own['payment']}/history", None),
    ("POST", "/v1/payments/{id}/cases/{number}/close"): lambda own: (
        f"/v1/payments/{own['blocked']}/cases/1/close",
        {"note": "seen"},
    ),
    ("POST", "/v1/payments/{id}/release/resolve"): lambda own: (
        f"/v1/payments/{own['releasing']}/release/resolve",
        {"outcome": "executed", "evidence_version": own["version"], "note": "seen"},
    ),
    ("POST", "/v1/orders/{id}/refunds"): lambda own: ("/v1/orders/o-1/refunds", {}),
    ("POST", "/v1/rails"): lambda own: ("/v1/rails", new_rail(own["account"])),
    ("GET", "/v1/rails"): lambda own: ("/v1/rails", None),
    ("GET", "/v1/findings"): lambda own: ("/v1/findings", None),
    ("GET", "/v1/deliveries"): lambda own: ("/v1/deliveries", None),
    ("POST", "/v1/deliveries/{id}/replay"): lambda own: (f"/v1/deliveries/{own['delivery']}/replay", None),
    ("POST", "/v1/endpoints"): lambda own: ("/v1/endpoints", {"url": "https://shop.example/events"}),
    ("GET", "/v1/endpoints"): lambda own: ("/v1/endpoints", None),
    ("POST", "/v1/endpoints/{id}/rotate"): lambda own: (f"/v1/endpoints/{own['endpoint']}/rotate", None),
    ("DELETE", "/v1/endpoints/{id}"): lambda own: (f"/v1/endpoints/{own['endpoint']}", None),
    ("DELETE", "/v1/rails/{name}"): lambda own: ("/v1/rails/chip-my", None),
    ("GET", "/v1/ledger/movements"): lambda own: (f"/v1/ledger/movements?payment={own['payment']}", None),
    ("GET", "/v1/events"): lambda own: ("/v1/events", None),
}


def new_rail(account: str, **members: Any) -> dict[str, Any]:
    """A rail to CHIP, as it is asked for."""
    known = {"name": "chip-my", "connector": "chip", "base_url": "https://gate.chip.example/api/v1", "account": account}
    needed = load_dialects()["chip"].client
    assert needed is not None
    return {**known, "credentials": dict.fromkeys(needed.credentials, "a-secret-key"), **members}


async def everything(here: World, shop: Native) -> dict[str, Any]:
    """One of each thing that a request can name."""
    payment = await shop.pays(order="o-1", reference="psp-1")
    done = await shop.refunds(payment, 100)
    doubted = await in_doubt(here, shop)
    blocked = await shop.pays()
    await shop.refunds(blocked, 4_000, scenario="return:0")
    found = Finding(rail="sandbox", kind="external", reference="r-1")
    await here.parts.news.note(shop.merchant, found)
    told = Delivery(url="https://shop.example/hook", hook="h-1")
    delivery = uuid4()
    kept = Told(id=delivery, delivery=told, rail="sandbox")
    await here.parts.reads.deliveries_with(Vault(bytes(32))).add(shop.merchant, kept)
    endpoint = await shop.post("/v1/endpoints", {"url": "https://shop.example/events"})
    await here.settle()
    return {
        "payment": payment["id"],
        "reference": "psp-1",
        "done": done["id"],
        "dated": (await dated(here, shop, 400))["id"],
        "waiting": (await waiting_for_approval(here, shop))["id"],
        "doubted": doubted["id"],
        "version": (await shop.again(doubted))["evidence_version"],
        "blocked": blocked["id"],
        "releasing": (await release_in_doubt(here, shop))["id"],
        "account": shop.merchant.hex,
        "delivery": f"del_{delivery.hex}",
        "endpoint": endpoint.json()["id"],
    }


def test_every_endpoint_has_its_request():
    assert REQUESTS.keys() == {(each.method, each.path) for each in ENDPOINTS}


async def test_another_merchant_sees_nothing_and_changes_nothing(here: World, shop: Native):
    own = await everything(here, shop)
    stranger = await here.merchant("stranger")
    before = await here.books()
    for (method, path), request in REQUESTS.items():
        if (method, path) in (("POST", "/v1/payments"), ("POST", "/v1/rails"), ("POST", "/v1/endpoints")):
            continue
        target, body = request(own)
        said = await stranger(method, target, body)
        if said.status_code == 200:
            assert said.json() == {"data": [], "next_cursor": None}, target
        else:
            assert said.status_code == 404, (target, said.text)
    assert await here.books() == before
    made = await stranger.post(*REQUESTS["POST", "/v1/payments"](own))
    assert made.status_code == 201, "the same reference is another payment there"
    assert (await stranger.all("/v1/payments")) == [made.json()]
    assert [each["object"] for each in await stranger.all("/v1/events")] == [made.json()["id"]]
    for keyed in (await stranger.post("/v1/payments", {"amount": 5, "currency": "EUR"}, idempotency_key="k"),):
        mine = await shop.post("/v1/payments", {"amount": 6, "currency": "EUR"}, idempotency_key="k")
        assert (keyed.json()["amount"], mine.json()["amount"]) == (5, 6)


async def test_their_owner_can_do_all_of_it(here: World, shop: Native):
    own = await everything(here, shop)
    other = await here.key(shop.merchant, name="second person")
    for (method, path), request in REQUESTS.items():
        if path.endswith("/reject"):
            own["waiting"] = (await waiting_for_approval(here, shop))["id"]
        target, body = request(own)
        said = await other(method, target, body)
        assert said.status_code < 300, (target, said.text)
        if method == "GET" and "data" in said.json() and not path.startswith("/v1/doubt"):
            assert said.json()["data"], target


async def test_a_key_needs_the_scope_of_what_it_asks(here: World, shop: Native):
    own = dict.fromkeys(("done", "dated", "waiting", "doubted"), f"re_{UNKNOWN}")
    own |= {"account": shop.merchant.hex, "delivery": f"del_{UNKNOWN}", "endpoint": f"end_{UNKNOWN}"}
    own |= dict.fromkeys(("payment", "blocked", "releasing"), f"pay_{UNKNOWN}") | {"version": "1", "reference": "r"}
    before = await here.books()
    keys = {scope: await here.key(shop.merchant, tuple(set(SCOPES) - {scope})) for scope in SCOPES}
    for endpoint in ENDPOINTS:
        said = await keys[endpoint.scope](endpoint.method, *REQUESTS[endpoint.method, endpoint.path](own))
        assert refused(said) == (403, "scope_missing"), endpoint.path
        assert endpoint.scope in said.json()["title"]
    assert await here.books() == before
    only = {scope: await here.key(shop.merchant, (scope,)) for scope in SCOPES}
    for endpoint in ENDPOINTS:
        said = await only[endpoint.scope](endpoint.method, *REQUESTS[endpoint.method, endpoint.path](own))
        assert said.status_code not in (401, 403), endpoint.path


NO_CREDENTIALS: list[str | None] = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    "Basic {key}",
    "{key}",
    "Bearer {key}x",
    "Bearer x{key}",
    "Bearer {key} {key}",
    "bearer\u00a0{key}",
    "Bearer \u00e9",
    "Bearer " + "x" * 10_000,
]


async def test_credentials_that_are_none(here: World, shop: Native):
    payment = await shop.pays()
    before = await here.books()
    asked = (("GET", "/v1/payments"), ("POST", f"/v1/payments/{payment['id']}/refunds"), ("GET", "/v1/x"))
    for text in NO_CREDENTIALS:
        headers = [] if text is None else [(b"authorization", text.format(key=shop.key).encode("latin-1"))]
        for method, path in asked:
            said = await here.http.request(method, path, headers=headers, content=b'{"amount": 1}')
            assert refused(said) == (401, "unauthenticated"), (text, path)
            assert said.headers["www-authenticate"] == "Bearer"
    assert await here.books() == before


async def test_the_scheme_is_read_without_case(here: World, shop: Native):
    for scheme in ("bearer", "BEARER", "Bearer "):
        said = await here.http.get("/v1/payments", headers={"Authorization": f"{scheme} {shop.key}"})
        assert said.status_code == 200


async def test_a_revoked_key_ends(here: World, shop: Native):
    fresh = await here.key(shop.merchant, name="short-lived")
    (own,) = [each for each in await here.parts.access.credentials(shop.merchant) if each.name == "short-lived"]
    assert await here.parts.access.revoke(shop.merchant, own.id)
    assert (await fresh.get("/v1/payments")).status_code == 401


async def test_a_dialects_credential_is_no_native_key(here: World):
    market = await here.demo()
    for name in market.demo.dialects:
        said = await here.http.get("/v1/payments", headers=market.speaks(name).credentials)
        assert refused(said) == (401, "unauthenticated"), name


# --- methods, paths, pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/payments", "GET, HEAD, OPTIONS, POST"),
        ("/v1/refunds", "GET, HEAD, OPTIONS"),
        ("/v1/payments/x/refunds", "OPTIONS, POST"),
        ("/v1/refunds/x/cancel", "OPTIONS, POST"),
        ("/_control/clock", "OPTIONS, POST"),
        ("/_control/books", "GET, HEAD, OPTIONS"),
    ],
)
async def test_other_methods(here: World, shop: Native, path: str, allow: str):
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "BREW"):
        said = await shop(method, path)
        assert refused(said) == (405, "method_not_allowed")
        assert said.headers["allow"] == allow
    said = await shop("OPTIONS", path)
    assert (said.status_code, said.content, said.headers["allow"]) == (204, b"", allow)


async def test_head_is_get_without_its_body(here: World, shop: Native):
    payment = await shop.pays()
    for path in (f"/v1/payments/{payment['id']}", "/v1/refunds", "/healthz", "/openapi.json", "/docs", "/v1/refunds/x"):
        whole, head = await shop.get(path), await shop("HEAD", path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert head.headers == whole.headers
        assert int(head.headers["content-length"]) == len(whole.content) > 0


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/", "/v1//payments", "/v1/payments/x/y", "/v1/%00", "/v1/orders/%00/refunds", "/v1/Payments"],
)
async def test_paths_that_lead_nowhere(shop: Native, path: str):
    status, code = refused(await shop.get(path))
    assert (status, code) in ((404, "not_found"), (405, "method_not_allowed"))


async def test_a_slash_at_the_end_does_not_matter(shop: Native):
    payment = await shop.pays()
    assert (await shop.read(f"/v1/payments/{payment['id']}/")) == payment


async def test_pages_that_need_no_key(here: World):
    assert (await here.http.get("/healthz")).json() == {"status": "alive"}
    assert (await here.http.get("/readyz")).json() == {"status": "ready"}
    assert (await here.http.get("/")).headers["location"] == "/docs"
    metrics = await here.http.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "moneyback_event_horizon_age_seconds" in metrics.text
    for path in ("/nowhere", "/healthz/x", "/openapi/nobody.json", "/_control"):
        assert refused(await here.http.get(path))[0] in (404, 401)
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/", "/openapi.json"):
        said = await here.http.post(path)
        assert refused(said) == (405, "method_not_allowed")


async def test_metrics_tell_what_is_not_ended(here: World, shop: Native):
    refund = await in_doubt(here, shop)
    text = (await here.http.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("moneyback_doubt_amount_minor{")]
    assert any('currency="EUR",rail="sandbox-0"' in line and float(line.split()[-1]) >= 4_000 for line in lines)
    assert 'operation="create_refund"' in text
    assert refund["id"] not in text


# --- the database is away --------------------------------------------------------------------------------------------


async def test_without_a_database_every_endpoint_asks_to_come_again(here: World, shop: Native):
    own = await everything(here, shop)
    await shop.get("/v1/payments")  # the key is remembered for a moment, so that the endpoints themselves are reached
    before = await here.books()
    async with without_database(here):
        for (method, _), request in REQUESTS.items():
            target, body = request(own)
            said = await shop(method, target, body)
            assert refused(said) == (503, "unavailable"), target
            assert said.headers["retry-after"] == "1"
        assert refused(await here.http.get("/readyz")) == (503, "unavailable")
        assert (await here.http.get("/healthz")).status_code == 200
        assert (await here.http.get("/metrics")).status_code == 200
        nobody = Native(here, uuid4(), "mb_nobody")
        assert refused(await nobody.get("/v1/payments")) == (503, "unavailable")
    assert await here.books() == before
    assert (await shop.get("/v1/payments")).status_code == 200


async def test_an_idempotency_key_has_its_length(here: World, shop: Native):
    payment = await shop.pays()
    for key in ("", "k" * (KEY_BYTES_MAX + 1)):
        said = await shop.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1}, idempotency_key=key)
        assert refused(said) == (400, "bad_request")


async def test_the_books_are_clean(here: World):
    await here.sql("update refunds set state = 'scheduled' where state = 'awaiting_approval'")  # what was by hand
    await here.settle()
    await here.assert_clean()
