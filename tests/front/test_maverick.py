"""Moneyback in front of Maverick: a merchant's own client calls us with its own token, and its gateway pays once."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import pytest

from moneyback.dialect import Call
from moneyback.flows.read_news import read_news
from tests.e2e.test_loopback import everything
from tests.front.street import Answer, Fate, Street, a_street, add_rail

pytestmark = pytest.mark.anyio

HERE = {"terminal": {"id": 24}}
NUMBER = "4111111111111111"
VISA = {"name": "Ada Lovelace", "number": NUMBER, "exp": "12/30", "cvv": "9876"}
NAMES = (f"front-{number}" for number in count())
OURS_TO_SAY = {"createdOn", "updatedOn", "ip"}
"""Members of a refund that say when and from where it was asked for: we are asked earlier, and from elsewhere."""


@pytest.fixture(scope="module")
async def street(ends: tuple[str, str]) -> AsyncIterator[Street]:
    async with a_street(*ends, "maverick") as opened:
        yield opened


@pytest.fixture(autouse=True)
async def nothing_is_lost(street: Street) -> AsyncIterator[None]:
    street.line.calls.clear()
    yield
    street.line.fate = lambda _call: "arrives"
    await street.assert_clean()


async def charge(street: Street, call: str = "sale", *, directly: bool = False, **members: Any) -> dict[str, Any]:
    body = {**HERE, "amount": "100.00", "source": "Internet", "level": 1, "card": VISA, **members}
    return done(await street.client("POST", f"/payment/{call}", body, directly=directly))


async def refund(street: Street, number: int, amount: Any = None, *, directly: bool = False, **members: Any) -> Answer:
    body = {**HERE, **members} if amount is None else {**HERE, "amount": amount, **members}
    return await street.client("POST", f"/payment/{number}/refund", body, directly=directly)


async def read(street: Street, number: int, *, directly: bool = False) -> dict[str, Any]:
    return done(await street.client("GET", f"/payment/{number}", directly=directly))


def done(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    record: dict[str, Any] = answer.json
    return record


def standing(record: dict[str, Any]) -> tuple[str, str, str]:
    return record["type"], record["amount"], record["status"]["status"]


def posts(street: Street, number: int) -> list[Call]:
    """The calls that gave something of this payment back, as they came to Maverick."""
    return [each for each in street.line.calls if (each.method, each.path) == ("POST", f"/payment/{number}/refund")]


def befalls(fate: Fate, method: str = "POST") -> Callable[[Call], Fate]:
    """What becomes of refund calls; everything else arrives."""
    return lambda call: fate if call.method == method and call.path.endswith("/refund") else "arrives"


# --- the walk ---------------------------------------------------------------------------------------------------------


async def test_a_sale_is_refunded_in_parts_and_no_further(street: Street):
    order = {"subtotal": "95.00", "tax": "8.00", "discounts": "3.00", "id": "o-1", "items": [{"sku": "a", "qty": 2}]}
    contact = {"name": "Ada", "phone": None, "email": "ada@example.org"}
    sale = await charge(street, externalId=next(NAMES), order=order, contact=contact, ip={"address": "192.0.2.7"})
    number = sale["id"]
    assert await read(street, number) == await read(street, number, directly=True) == sale

    first = done(await refund(street, number, "10.00"))
    second = done(await refund(street, number, 20))
    assert [standing(each) for each in (first, second)] == [
        ("Return", "10.00", "Approved"),
        ("Return", "20.00", "Approved"),
    ]
    too_much = await refund(street, number, 70.01)
    assert (too_much.status, too_much.json["message"]) == (422, "Amount must be no greater than 70.00.")
    rest = done(await refund(street, number))
    assert standing(rest) == ("Return", "70.00", "Approved")
    again = await refund(street, number, "0.01")
    assert (again.status, again.json["message"]) == (422, "Return Not Allowed")

    through, there = await read(street, number), await read(street, number, directly=True)
    assert through == there
    assert [each["id"] for each in there["history"]][1:] == [first["id"], second["id"], rest["id"]]
    assert await street.executed(str(number)) == [10_00, 20_00, 70_00]
    known = await street.known(str(number))
    assert (known["captured"], known["refunded"], known["external"], known["refundable"]) == (100_00, 100_00, 0, 0)


async def test_a_refund_is_shown_as_its_provider_shows_it(street: Street):
    sale = await charge(street, contact={"name": "Ada"}, isRecurring="Yes", order={"subtotal": 100})
    made = done(await refund(street, sale["id"], "10.00"))
    ours, theirs = await read(street, made["id"]), await read(street, made["id"], directly=True)
    assert ours == made
    assert list(ours) == list(theirs)
    assert {name for name in ours if ours[name] != theirs[name]} <= OURS_TO_SAY
    assert (ours["parent"], ours["terminal"], ours["card"]) == ({"id": sale["id"]}, {"id": 24}, theirs["card"])


async def test_a_list_is_its_providers_own(street: Street):
    sale = await charge(street)
    done(await refund(street, sale["id"], "10.00"))
    query = f"?filter[parent.id][eq]={sale['id']}&filter[type][eq]=Return"
    for path in ("/payments", "/payment"):
        through = done(await street.client("GET", path + query))
        there = done(await street.client("GET", path + query, directly=True))
        assert through["items"] == there["items"]
        assert [standing(each) for each in through["items"]] == [("Return", "10.00", "Approved")]


async def test_what_is_no_original_is_answered_by_its_provider(street: Street):
    sale = await charge(street)
    capture = sale["history"][0]["id"]
    dashboard = done(await refund(street, sale["id"], "1.00", directly=True))["id"]
    for number in (capture, dashboard):
        assert await read(street, number) == await read(street, number, directly=True)
    for path in ("/payment/1", "/payment/x%2Fy", "/payment/007", "/nowhere"):
        through, there = await street.client("GET", path), await street.client("GET", path, directly=True)
        assert (through.status, through.json) == (there.status, there.json)
        assert through.status == 404
    assert (await refund(street, capture, "1.00")).status == 404
    assert await street.executed(str(sale["id"])) == [1_00]


async def test_a_call_that_is_relayed_arrives_byte_for_byte(street: Street):
    body = json.dumps({**HERE, "amount": 100.0, "source": "Phone", "level": 1, "card": VISA, "é": "\u2603"}, indent=3)
    sent = {"Content-Type": "application/json", "X-Own": "1", "User-Agent": "shop/1.0"}
    section = street.section
    headers = {**sent, "Authorization": f"Bearer {section['token']}"}
    said = await street.near.http.post("/maverick//payment/auth/?a=b%20c&d", content=body.encode(), headers=headers)
    assert said.status_code == 200, said.text
    (call,) = street.line.calls
    assert (call.method, call.path, call.body) == ("POST", "//payment/auth/?a=b%20c&d", body.encode())
    assert {name: call.headers[name.lower()] for name in sent} == sent
    assert call.headers["authorization"] == f"Bearer {section['token']}"

    number = said.json()["id"]
    await street.client("POST", f"/payment/{number}/capture", {**HERE, "amount": "5"})
    await street.client("POST", "/payment/generate-token", {**HERE, "card": VISA})
    assert [(each.method, each.path) for each in street.line.calls[1:]] == [
        ("POST", f"/payment/{number}/capture"),
        ("POST", "/payment/generate-token"),
    ]


async def test_an_authorisation_is_captured_in_parts_and_refunded_as_far_as_it_came_in(street: Street):
    """What is captured after we have met a payment is found out when more is asked for than we know of."""
    made = await charge(street, "auth")
    number = made["id"]
    assert await read(street, number) == made
    for amount in ("30.00", "20.00"):
        done(await street.client("POST", f"/payment/{number}/capture", {**HERE, "amount": amount}))
    assert standing(done(await refund(street, number, "40.00"))) == ("Return", "40.00", "Approved")
    done(await street.client("POST", f"/payment/{number}/capture", {**HERE, "amount": "25.00"}))
    refused = await refund(street, number, "35.01")
    assert (refused.status, refused.json["message"]) == (422, "Amount must be no greater than 35.00.")
    assert standing(done(await refund(street, number))) == ("Return", "35.00", "Approved")
    assert await street.executed(str(number)) == [40_00, 35_00]
    assert await read(street, number) == await read(street, number, directly=True)


# --- reversals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [None, "100.00"])
async def test_an_uncaptured_authorisation_is_reversed_by_its_provider(street: Street, amount: str | None):
    made = await charge(street, "auth")
    number = made["id"]
    reversed_ = await refund(street, number, amount)
    assert standing(done(reversed_)) == ("Return", "100.00", "Approved")
    assert reversed_.json["authCode"] is not None
    assert len(posts(street, number)) == 1
    assert reversed_.json == await read(street, reversed_.json["id"], directly=True)
    assert await read(street, number) == await read(street, number, directly=True)
    again = await refund(street, number, amount)
    assert (again.status, again.json["message"]) == (422, "Return Not Allowed")
    late = await street.client("POST", f"/payment/{number}/capture", HERE)
    assert (late.status, late.json["message"]) == (422, "Modify Transaction Not Allowed")
    known = await street.known(str(number))
    assert (known["status"], known["captured"], known["external"], known["excess"]) == ("failed", 0, 0, 0)
    assert await street.executed(str(number)) == []


async def test_a_part_of_an_uncaptured_authorisation_is_not_even_asked_for(street: Street):
    number = (await charge(street, "auth"))["id"]
    refused = await refund(street, number, "10.00")
    assert (refused.status, refused.json["message"]) == (422, "Return Not Allowed")
    assert posts(street, number) == []


async def test_a_reversal_that_could_not_be_made_can_be_asked_for_again(street: Street):
    number = (await charge(street, "auth"))["id"]
    street.line.fate = befalls("not connected")
    assert (await refund(street, number)).status == 503
    street.line.fate = befalls("lost after")
    assert (await refund(street, number)).status == 504
    street.line.fate = befalls("arrives")
    again = await refund(street, number)
    assert (again.status, again.json["message"]) == (422, "Return Not Allowed")
    assert [each["type"] for each in (await read(street, number))["history"]] == ["Return"]


async def test_what_was_captured_meanwhile_is_refunded_under_guard(street: Street):
    number = (await charge(street, "auth"))["id"]
    await read(street, number)
    done(await street.client("POST", f"/payment/{number}/capture", HERE, directly=True))
    assert standing(done(await refund(street, number))) == ("Return", "100.00", "Approved")
    assert json.loads(posts(street, number)[0].body) == {**HERE, "amount": "100.00"}
    assert (await street.known(str(number)))["refunded"] == 100_00


# --- what was done without us -----------------------------------------------------------------------------------------


async def test_of_a_payment_that_was_refunded_before_only_the_rest_is_left(street: Street):
    sale = await charge(street, directly=True)
    number = sale["id"]
    done(await refund(street, number, "60.00", directly=True))
    assert await street.known(str(number)) is None
    too_much = await refund(street, number, "40.01")
    assert (too_much.status, too_much.json["message"]) == (422, "Amount must be no greater than 40.00.")
    assert standing(done(await refund(street, number))) == ("Return", "40.00", "Approved")
    known = await street.known(str(number))
    assert (known["external"], known["refunded"], known["refundable"]) == (60_00, 40_00, 0)
    assert await read(street, number) == await read(street, number, directly=True)


async def test_a_refund_of_the_dashboard_is_seen_before_the_next_one_is_sent(street: Street):
    """Whoever reads learns of it; who refunds without having read has one more look before anything leaves."""
    number = (await charge(street))["id"]
    done(await refund(street, number, "10.00"))
    done(await refund(street, number, "50.00", directly=True))
    assert standing(done(await refund(street, number, "60.00"))) == ("Return", "60.00", "InProgress")
    await street.settle()
    assert await street.executed(str(number)) == [10_00, 50_00]

    other = (await charge(street))["id"]
    done(await refund(street, other, "10.00"))
    done(await refund(street, other, "50.00", directly=True))
    assert await read(street, other) == await read(street, other, directly=True)
    assert (await street.known(str(other)))["external"] == 50_00
    too_much = await refund(street, other, "60.00")
    assert (too_much.status, too_much.json["message"]) == (422, "Amount must be no greater than 40.00.")
    assert standing(done(await refund(street, other))) == ("Return", "40.00", "Approved")
    assert await street.executed(str(other)) == [10_00, 50_00, 40_00]


async def test_the_list_of_refunds_tells_of_the_dashboard_and_not_of_reversals(street: Street):
    number, authorised = (await charge(street))["id"], (await charge(street, "auth"))["id"]
    done(await refund(street, number, "10.00"))
    await read(street, authorised)
    done(await refund(street, number, "50.00", directly=True))
    done(await refund(street, authorised, directly=True))
    await street.advance(600)
    await read_news(street.near.parts.world, street.near.parts.reads.news)
    known, let_go = await street.known(str(number)), await street.known(str(authorised))
    assert (known["refunded"], known["external"]) == (10_00, 50_00)
    assert (let_go["external"], let_go["excess"]) == (0, 0)


async def test_a_webhook_makes_us_read(street: Street):
    number = (await charge(street))["id"]
    done(await refund(street, number, "10.00"))
    made = done(await refund(street, number, "50.00", directly=True))
    parts = street.near.parts
    assert parts.book is not None
    hook = (await parts.book.hooks(street.native.merchant))["provider"]
    told = {"id": 51, "module": "transaction", "action": "refund", "date": "2026-11-17 15:01:03"}
    body = {**told, "data": {"transaction": {"id": made["id"], "type": "Return", "parent": {"id": number}}}}
    heard = await street.near.http.post(f"/_hooks/{hook}", json=body)
    assert heard.status_code == 200, heard.text
    await read_news(parts.world, parts.reads.news)
    assert (await street.known(str(number)))["external"] == 50_00


# --- doubt ------------------------------------------------------------------------------------------------------------


async def test_an_answer_that_was_lost_is_not_ended_and_never_an_error(street: Street):
    number = (await charge(street))["id"]
    street.line.fate = befalls("lost after")
    told = done(await refund(street, number, "30.00"))
    assert standing(told) == ("Return", "30.00", "InProgress")
    assert standing(await read(street, told["id"])) == ("Return", "30.00", "InProgress")
    again = done(await refund(street, number, "30.00"))
    assert again["id"] == told["id"]
    street.line.fate = befalls("arrives")
    await street.settle()
    await street.advance(600)
    assert len(posts(street, number)) == 1
    assert await street.executed(str(number)) == [30_00]
    found = await read(street, told["id"])
    assert (found["id"], *standing(found)) == (told["id"], "Return", "30.00", "Approved")
    there = await read(street, number, directly=True)
    theirs = there["history"][1]["id"]
    assert theirs != told["id"]
    assert (await read(street, theirs))["id"] == told["id"]  # the provider's own id is understood as well
    through = await read(street, number)
    assert [each["id"] for each in through["history"]] == [there["history"][0]["id"], told["id"]]
    assert {**through, "history": None} == {**there, "history": None}


async def test_a_call_that_was_lost_before_it_came_stays_in_doubt(street: Street):
    number = (await charge(street))["id"]
    street.line.fate = befalls("lost before")
    told = done(await refund(street, number, "30.00"))
    street.line.fate = befalls("arrives")
    for _ in range(3):
        await street.advance(7_200)
    assert standing(await read(street, told["id"])) == ("Return", "30.00", "InProgress")
    assert [(each["id"], each["type"]) for each in (await read(street, number))["history"]][1:] == [
        (told["id"], "Return")
    ]
    assert (posts(street, number), await street.executed(str(number))) == ([], [])
    assert (await street.known(str(number)))["held"] == 30_00


async def test_a_refund_in_doubt_is_read_while_its_provider_is_away(street: Street):
    number = (await charge(street))["id"]
    street.line.fate = befalls("lost after")
    told = done(await refund(street, number, "30.00"))
    street.line.fate = lambda _call: "not connected"
    assert standing(await read(street, told["id"])) == ("Return", "30.00", "InProgress")
    shown = await read(street, number)
    assert (shown["id"], shown["history"][-1]["id"]) == (number, told["id"])
    street.line.fate = befalls("arrives")
    await street.advance(600)
    assert await street.executed(str(number)) == [30_00]


async def test_a_payment_nobody_knows_is_not_refunded_while_its_provider_is_away(street: Street):
    number = (await charge(street, directly=True))["id"]
    street.line.fate = lambda call: "lost after" if call.method == "GET" else "arrives"
    refused = await refund(street, number, "1.00")
    assert (refused.status, refused.json["status"]) == (503, 503)
    assert await street.known(str(number)) is None


async def test_a_decline_is_told_in_its_providers_words(street: Street):
    number = (await charge(street))["id"]
    await read(street, number)
    told = {"next_refund_of": None, "scenario": "decline:Insufficient Funds"}
    found = await street.far.parts.reads.find_payment(street.twin.native.merchant, "maverick", str(number))
    assert found is not None
    said = await street.twin.native.post("/_control/scenario", {**told, "next_refund_of": f"pay_{found.id.hex}"})
    assert said.status_code == 200, said.text
    declined = await refund(street, number, "10.00")
    assert (declined.status, declined.json["message"]) == (422, "Insufficient Funds")
    assert (await street.known(str(number)))["refundable"] == 100_00
    assert standing(done(await refund(street, number, "11.00"))) == ("Return", "11.00", "Approved")


# --- equal requests ---------------------------------------------------------------------------------------------------


async def test_the_same_bytes_five_times_are_one_refund(street: Street):
    number = (await charge(street))["id"]
    at_once = await asyncio.gather(*(refund(street, number, "10.00") for _ in range(5)))
    later = [await refund(street, number, "10.00") for _ in range(5)]
    assert len({done(each)["id"] for each in (*at_once, *later)}) == 1
    assert await street.executed(str(number)) == [10_00]
    other = done(await refund(street, number, "10.00", externalId="another"))
    assert other["id"] != later[0].json["id"]
    assert await street.executed(str(number)) == [10_00, 10_00]


async def test_faithfully_they_are_as_many_as_came_in(street: Street):
    """The provider's own behaviour, where a merchant chose it."""
    number = (await charge(street))["id"]
    await add_rail(street.near, street.native, "maverick", street.section, {"duplicates": "faithful"})
    try:
        answers = [await refund(street, number, "30.00") for _ in range(5)]
    finally:
        await add_rail(street.near, street.native, "maverick", street.section, {})
    assert [each.status for each in answers] == [200, 200, 200, 422, 422]
    assert len({each.json["id"] for each in answers[:3]}) == 3
    assert await street.executed(str(number)) == [30_00, 30_00, 30_00]
    assert (await street.known(str(number)))["refunded"] == 90_00


# --- secrets ----------------------------------------------------------------------------------------------------------


async def test_neither_token_nor_card_is_kept(street: Street, ends: tuple[str, str]):
    number = (await charge(street, "sale"))["id"]
    done(await refund(street, number, "10.00"))
    await read(street, number)
    kept = await everything(ends[0])
    for secret in (street.section["token"], NUMBER, f'"{VISA["cvv"]}"'):  # four bare digits are in many a time of day
        assert secret not in kept
