"""Moneyback in front of CHIP: a shop's own client calls us with its own key, and its payers are paid back once."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from moneyback.dialect import Call
from moneyback.dialects.chip import refunds
from moneyback.flows.deliver import deliver_due
from moneyback.flows.read_news import read_news
from moneyback.store.deliveries import Due
from tests.e2e.test_loopback import everything
from tests.front.street import FAR, Answer, Fate, Street, a_street, add_rail

pytestmark = pytest.mark.anyio

PRICE = 10_000
CARD = {"cardholder_name": "A. Payer", "card_number": "4444333322221111", "expires": "12/49", "cvc": "123"}
NAMES = (f"order-{number}" for number in count())
OURS_TO_SAY = {"created_on", "updated_on", "account_id", "reference_generated"}
"""Members of a refund's Payment that CHIP shows nowhere again: our own times, and ids of no consequence."""


@pytest.fixture(scope="module")
async def street(ends: tuple[str, str]) -> AsyncIterator[Street]:
    async with a_street(*ends, "chip") as opened:
        yield opened


@pytest.fixture(autouse=True)
async def nothing_is_lost(street: Street) -> AsyncIterator[None]:
    street.line.calls.clear()
    yield
    street.line.fate = lambda _call: "arrives"
    await street.assert_clean()


async def create(street: Street, *, directly: bool = False, **members: Any) -> dict[str, Any]:
    purchase = {"currency": "MYR", "products": [{"name": "Teapot", "price": PRICE}]}
    body = {
        "brand_id": street.section["brand_id"],
        "client": {"email": "a@example.com", "full_name": "Ada"},
        "purchase": purchase,
        "reference": next(NAMES),
        **members,
    }
    return done(await street.client("POST", "/purchases/", body, directly=directly), 201)


async def pay(street: Street, purchase: dict[str, Any], **fields: str) -> None:
    """What its payer does on CHIP's own page."""
    id = purchase["id"]
    shop = street.twin.native.merchant.hex
    said = await street.far.http.post(f"/chip/p/{shop}/{id}/", data=fields)
    assert said.status_code == 303, said.text


async def paid(street: Street, *, directly: bool = False, **members: Any) -> dict[str, Any]:
    made = await create(street, directly=directly, **members)
    await pay(street, made, **(CARD if members.get("skip_capture") else {}))
    return made


async def act(
    street: Street, purchase: dict[str, Any], what: str, body: Any = None, *, directly: bool = False
) -> Answer:
    return await street.client("POST", f"/purchases/{purchase['id']}/{what}/", body, directly=directly)


async def refund(street: Street, purchase: dict[str, Any], amount: int | None = None, **how: Any) -> Answer:
    return await act(street, purchase, "refund", None if amount is None else {"amount": amount}, **how)


async def read(street: Street, purchase: dict[str, Any], *, directly: bool = False) -> dict[str, Any]:
    """The Purchase, its addresses without the host that it was asked of."""
    said = await street.client("GET", f"/purchases/{purchase['id']}/", directly=directly)
    assert said.status == 200, said
    found: dict[str, Any] = json.loads(said.text.replace(FAR, "").replace("http://moneyback.example", ""))
    return found


def done(answer: Answer, status: int = 200) -> dict[str, Any]:
    assert answer.status == status, answer
    found: dict[str, Any] = answer.json
    return found


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json.get("__all__", answer.json.get("amount"))[0]["code"]


def sent(street: Street, purchase: dict[str, Any]) -> list[Call]:
    """The calls that gave something of this Purchase back, as they came to CHIP."""
    return [each for each in street.line.calls if each.path == f"/purchases/{purchase['id']}/refund/"]


def befalls(fate: Fate) -> Callable[[Call], Fate]:
    """What becomes of refund calls; everything else arrives."""
    return lambda call: fate if call.path.endswith("/refund/") else "arrives"


async def script(street: Street, purchase: dict[str, Any], what: str, scenario: str) -> None:
    """What will happen at CHIP."""
    found = await street.far.parts.reads.find_payment(street.twin.native.merchant, "chip", purchase["id"])
    assert found is not None
    said = await street.twin.native.post("/_control/scenario", {what: f"pay_{found.id.hex}", "scenario": scenario})
    assert said.status_code == 200, said.text


async def news(street: Street) -> None:
    await read_news(street.near.parts.world, street.near.parts.reads.news)


async def hook_of(street: Street) -> str:
    """Where CHIP's notifications of this rail are sent."""
    parts = street.near.parts
    assert parts.book is not None
    return f"/_hooks/{(await parts.book.hooks(street.native.merchant))['provider']}"


# --- the walk ---------------------------------------------------------------------------------------------------------


async def test_a_purchase_is_refunded_in_parts_and_no_further(street: Street):
    made = await create(street)
    assert await read(street, made) == await read(street, made, directly=True)
    assert refusal(await refund(street, made)) == (400, "purchase_refund_wrong_status")
    await pay(street, made)
    through = await read(street, made)
    assert through == await read(street, made, directly=True)
    assert (through["status"], through["refundable_amount"]) == ("paid", PRICE)

    first = done(await refund(street, made, 1_000))
    second = done(await refund(street, made, 2_000))
    assert [(each["type"], each["status"], each["payment"]["amount"]) for each in (first, second)] == [
        ("payment", "success", 1_000),
        ("payment", "success", 2_000),
    ]
    assert first["related_to"] == {"type": "purchase", "id": made["id"], "reference": made["reference"]}
    too_much = await refund(street, made, 7_001)
    assert (too_much.status, too_much.json["amount"][0]) == (
        400,
        {"message": "Ensure this value is less than or equal to 7000.", "code": "max_value"},
    )
    rest = done(await refund(street, made))
    again = await refund(street, made, 1)
    assert (again.status, again.json["__all__"][0]["message"]) == (400, "This Purchase was already fully refunded.")

    through, there = await read(street, made), await read(street, made, directly=True)
    assert through == there
    assert list(through) == list(there)
    told = [each["related_object"]["id"] for each in through["status_history"] if "related_object" in each]
    assert told == [first["id"], second["id"], rest["id"]]
    assert await street.executed(made["id"]) == [1_000, 2_000, 7_000]
    known = await street.known(made["id"])
    assert (known["captured"], known["refunded"], known["external"], known["refundable"]) == (PRICE, PRICE, 0, 0)


async def test_a_refund_is_shown_as_its_provider_shows_it(street: Street):
    made = await paid(street)
    ours, theirs = done(await refund(street, made, 500)), done(await refund(street, made, 500, directly=True))
    assert list(ours) == list(theirs)
    assert {name for name in ours if ours[name] != theirs[name]} <= OURS_TO_SAY | {"id", "payment", "transaction_data"}
    times = dict.fromkeys(("paid_on", "remote_paid_on"))
    assert {**ours["payment"], **times} == {**theirs["payment"], **times}
    assert (ours["client"]["full_name"], ours["is_test"]) == ("Ada", True)
    attempts = {"attempts": None}
    assert {**ours["transaction_data"], **attempts} == {**theirs["transaction_data"], **attempts}


async def test_a_call_that_is_relayed_arrives_byte_for_byte(street: Street):
    body = json.dumps({"title": "é\u2603", "purchase": None}, indent=3).encode()
    key = f"Bearer {street.section['secret_key']}"
    headers = {"Content-Type": "application/json", "X-Own": "1", "User-Agent": "shop/1.0", "Authorization": key}
    said = await street.near.http.post("/chip/api/v1//purchases/?time=1&a=b%20c", content=body, headers=headers)
    assert said.status_code == 400, said.text
    (call,) = street.line.calls
    assert (call.method, call.path, call.body) == ("POST", "//purchases/?time=1&a=b%20c", body)
    assert {name: call.headers[name.lower()] for name in headers} == headers
    for method, path in (("GET", "/payment_methods/?brand_id=x"), ("GET", "/public_key/"), ("GET", "/elsewhere/")):
        through, there = await street.client(method, path), await street.client(method, path, directly=True)
        assert (through.status, through.json) == (there.status, there.json)
    assert [each.path for each in street.line.calls[1:]] == [
        "/payment_methods/?brand_id=x",
        "/public_key/",
        "/elsewhere/",
    ]


@pytest.mark.parametrize("id", ["00000000-0000-4000-8000-000000000000", "x%2Fy", "1"])
async def test_a_purchase_that_nobody_knows(street: Street, id: str):
    for method, path in (("GET", f"/purchases/{id}/"), ("POST", f"/purchases/{id}/refund/")):
        through, there = await street.client(method, path), await street.client(method, path, directly=True)
        assert (through.status, through.json) == (there.status, there.json)
        assert through.status == 404


# --- what gives nothing back ------------------------------------------------------------------------------------------


async def test_a_pending_purchase_is_cancelled_by_its_provider(street: Street):
    made = await create(street)
    cancelled = done(await act(street, made, "cancel"))
    assert cancelled["status"] == "cancelled"
    assert (await read(street, made)) == (await read(street, made, directly=True))
    assert refusal(await act(street, made, "cancel")) == (400, "purchase_cancel_wrong_status")
    assert [each.path for each in street.line.calls].count(f"/purchases/{made['id']}/cancel/") == 2
    known = await street.known(made["id"])
    assert (known["status"], known["captured"]) == ("failed", 0)


async def test_a_hold_is_captured_or_released_by_its_provider(street: Street):
    held = await paid(street, skip_capture=True)
    assert (await read(street, held))["status"] == "hold"
    assert refusal(await refund(street, held)) == (400, "purchase_refund_wrong_status")
    assert done(await act(street, held, "capture", {"amount": 4_000}))["status"] == "paid"
    assert refusal(await act(street, held, "release")) == (400, "purchase_release_wrong_status")
    assert done(await refund(street, held))["payment"]["amount"] == 4_000
    assert await read(street, held) == await read(street, held, directly=True)

    let_go = await paid(street, skip_capture=True)
    assert done(await act(street, let_go, "release"))["status"] == "released"
    assert refusal(await act(street, let_go, "release")) == (400, "purchase_release_wrong_status")
    assert await read(street, let_go) == await read(street, let_go, directly=True)
    assert (await street.executed(held["id"]), await street.executed(let_go["id"])) == ([4_000], [])


@pytest.mark.parametrize("what", ["cancel", "release"])
async def test_what_was_paid_is_neither_cancelled_nor_released(street: Street, what: str):
    made = await paid(street)
    for _ in range(2):
        assert refusal(await act(street, made, what)) == (400, f"purchase_{what}_wrong_status")
    assert not [each for each in street.line.calls if each.path.endswith(f"/{what}/")]


# --- what was done without us -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [(6_000,), (1_000, 2_000, 3_000)])
async def test_of_a_payment_that_was_refunded_before_only_the_rest_is_left(street: Street, before: tuple[int, ...]):
    """CHIP names each refund and states the amount of none: what is left says what is gone in all."""
    made = await paid(street, directly=True)
    for amount in before:
        done(await refund(street, made, amount, directly=True))
    assert await street.known(made["id"]) is None
    assert refusal(await refund(street, made, 4_001)) == (400, "max_value")
    assert done(await refund(street, made))["payment"]["amount"] == 4_000
    known = await street.known(made["id"])
    assert (known["external"], known["refunded"], known["refundable"]) == (6_000, 4_000, 0)
    assert await read(street, made) == await read(street, made, directly=True)
    assert await street.executed(made["id"]) == [*before, 4_000]


async def test_a_refund_of_the_dashboard_is_seen_before_the_next_one_is_sent(street: Street):
    """Whoever reads learns of it; who refunds without having read has one more look before anything leaves."""
    made = await paid(street)
    done(await refund(street, made, 1_000))
    done(await refund(street, made, 5_000, directly=True))
    waits = done(await refund(street, made, 6_000))
    assert (waits["type"], waits["status"]) == ("purchase", "pending_refund")
    await street.settle()
    assert await street.executed(made["id"]) == [1_000, 5_000]

    other = await paid(street)
    done(await refund(street, other, 1_000))
    for amount in (2_000, 3_000):
        done(await refund(street, other, amount, directly=True))
        assert await read(street, other) == await read(street, other, directly=True)
    assert (await street.known(other["id"]))["external"] == 5_000
    assert refusal(await refund(street, other, 6_000)) == (400, "max_value")
    assert done(await refund(street, other))["payment"]["amount"] == 4_000
    assert await street.executed(other["id"]) == [1_000, 2_000, 3_000, 4_000]


async def test_what_the_payers_bank_contests_is_not_given_back_beside(street: Street):
    made = await paid(street, directly=True)
    await script(street, made, "payment", "dispute:60")
    await street.advance(120)
    assert refusal(await refund(street, made)) == (400, "purchase_refund_wrong_status")
    through = await read(street, made)
    assert through == await read(street, made, directly=True)
    assert through["status"] == "chargeback"
    known = await street.known(made["id"])
    assert (known["disputed"], known["refundable"]) == (PRICE, 0)
    assert sent(street, made) == []


async def test_a_purchase_that_was_paid_and_refunded_since_we_met_it(street: Street):
    made = await create(street)
    await read(street, made)
    await pay(street, made)
    done(await refund(street, made, 3_000, directly=True))
    assert done(await refund(street, made))["payment"]["amount"] == 7_000
    known = await street.known(made["id"])
    assert (known["external"], known["refunded"], known["excess"]) == (3_000, 7_000, 0)


# --- webhooks ---------------------------------------------------------------------------------------------------------


async def test_a_webhook_makes_us_read_and_is_told_to_the_clients_own(street: Street):
    hook = {"title": "Mine", "events": ["payment.refunded"], "callback": "https://shop.example/chip"}
    mine = done(await street.client("POST", "/webhooks/", hook), 201)
    done(await street.client("POST", "/webhooks/", {**hook, "events": ["purchase.paid"]}), 201)
    assert done(await street.client("GET", f"/webhooks/{mine['id']}/")) == mine
    theirs = done(await street.client("POST", "/webhooks/", hook, directly=True), 201)
    assert done(await street.client("GET", f"/webhooks/{theirs['id']}/"))["public_key"] == theirs["public_key"]

    made = await paid(street)
    done(await refund(street, made, 1_000))
    back = done(await refund(street, made, 5_000, directly=True))
    body = json.dumps({"event_type": "payment.refunded", **back}).encode()
    for _ in range(2):  # at least once, says CHIP
        heard = await street.near.http.post(await hook_of(street), content=body)
        assert heard.status_code == 200, heard.text
    await news(street)
    known = await street.known(made["id"])
    assert (known["refunded"], known["external"]) == (1_000, 5_000)

    told: list[Due] = []

    async def post(due: Due) -> int:
        told.append(due)
        return 200

    parts = street.near.parts
    assert parts.deliveries is not None and parts.endpoints is not None
    await deliver_due(parts.world, parts.deliveries, parts.endpoints, post)
    (due,) = told
    assert due.said is not None
    assert (due.url, due.method, due.said.body) == (hook["callback"], "POST", body)
    key = load_pem_public_key(mine["public_key"].encode())
    assert isinstance(key, RSAPublicKey)
    key.verify(b64decode(due.said.headers["x-signature"]), body, PKCS1v15(), SHA256())


# --- doubt ------------------------------------------------------------------------------------------------------------


async def test_an_answer_that_was_lost_is_not_ended_and_never_an_error(street: Street):
    made = await paid(street)
    street.line.fate = befalls("lost after")
    waits = done(await refund(street, made, 3_000))
    assert (waits["type"], waits["status"], waits["refundable_amount"]) == ("purchase", "pending_refund", 7_000)
    seen = await read(street, made)
    assert (seen["status"], seen["status_history"][-1]["status"]) == ("pending_refund", "pending_refund")
    assert refusal(await refund(street, made, 1_000)) == (400, "purchase_refund_wrong_status")
    street.line.fate = befalls("arrives")
    await street.settle()
    await street.advance(60)
    assert (len(sent(street, made)), await street.executed(made["id"])) == (1, [3_000])
    through, there = await read(street, made), await read(street, made, directly=True)
    assert through == there
    again = done(await refund(street, made, 3_000))  # the same request, within two minutes: it is the first
    assert again["id"] == through["status_history"][-1]["related_object"]["id"]
    known = await street.known(made["id"])
    assert (known["refunded"], known["external"], known["held"]) == (3_000, 0, 0)


async def test_a_call_that_was_lost_before_it_came_stays_in_doubt(street: Street):
    made = await paid(street)
    street.line.fate = befalls("lost before")
    assert done(await refund(street, made, 3_000))["status"] == "pending_refund"
    street.line.fate = befalls("arrives")
    for _ in range(3):
        await street.advance(7_200)
    assert (await read(street, made))["status"] == "pending_refund"
    assert (sent(street, made), await street.executed(made["id"])) == ([], [])
    assert (await street.known(made["id"]))["held"] == 3_000


async def test_a_call_that_never_left_is_sent_again(street: Street, monkeypatch: pytest.MonkeyPatch):
    made = await paid(street)
    street.line.fate = befalls("not connected")
    with monkeypatch.context() as patched:
        patched.setattr(refunds, "WAIT_S", 0.0)  # nothing will come of it before the next round of work
        assert done(await refund(street, made, 3_000))["status"] == "pending_refund"
    street.line.fate = befalls("arrives")
    await street.advance(600)
    assert await street.executed(made["id"]) == [3_000]
    assert await read(street, made) == await read(street, made, directly=True)


async def test_a_refund_that_takes_its_time_is_told_when_it_has_ended(street: Street):
    made = await paid(street)
    await script(street, made, "next_refund_of", "pending:600")
    waits = done(await refund(street, made, 3_000))
    assert waits["status"] == "pending_refund"
    assert await read(street, made) == await read(street, made, directly=True)
    await street.advance(900)
    back = json.dumps({"event_type": "purchase.viewed", **(await read(street, made, directly=True))}).encode()
    assert (await street.near.http.post(await hook_of(street), content=back)).status_code == 200
    await news(street)
    await street.settle()
    through = await read(street, made)
    assert through == await read(street, made, directly=True)
    assert (through["status"], (await street.known(made["id"]))["refunded"]) == ("refunded", 3_000)


# --- the same again ---------------------------------------------------------------------------------------------------


async def test_the_same_bytes_are_one_refund(street: Street):
    made = await paid(street)
    at_once = await asyncio.gather(*(refund(street, made, 2_000) for _ in range(3)))
    after = [await refund(street, made, 2_000) for _ in range(2)]
    assert len({done(each)["id"] for each in (*at_once, *after)}) == 1
    assert await street.executed(made["id"]) == [2_000]
    other = await street.client(
        "POST", f"/purchases/{made['id']}/refund/", {"amount": 2_000}, headers={"Moneyback-Distinct": "2"}
    )
    assert done(other)["id"] != at_once[0].json["id"]


async def test_where_two_requests_are_two_refunds_what_came_in_is_the_limit(street: Street):
    """CHIP's own behaviour, where a merchant chose it."""
    made = await paid(street)
    await add_rail(street.near, street.native, "chip", street.section, {"duplicates": "faithful"})
    try:
        at_once = await asyncio.gather(*(refund(street, made, 3_000) for _ in range(3)))
        after = [await refund(street, made, 3_000) for _ in range(2)]
    finally:
        await add_rail(street.near, street.native, "chip", street.section, {})
    assert len({done(each)["id"] for each in at_once}) == 3
    assert [refusal(each) for each in after] == [(400, "max_value")] * 2
    assert await street.executed(made["id"]) == [3_000, 3_000, 3_000]


# --- what is kept -----------------------------------------------------------------------------------------------------


async def test_no_secret_is_kept_where_it_can_be_read(street: Street):
    made = await paid(street, skip_capture=True)
    await act(street, made, "capture")
    done(await refund(street, made, 1_000))
    kept = await everything(street.near.dsn)
    assert street.section["secret_key"] not in kept
    assert CARD["card_number"] not in kept
    assert "PRIVATE KEY" not in kept
