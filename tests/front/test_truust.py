"""Moneyback in front of Truust: a marketplace's own client calls us, and what gives money back happens once."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest

from moneyback.dialect import Call
from moneyback.flows import front
from moneyback.flows.import_payments import import_rows, read_payments
from moneyback.flows.read_news import read_news
from tests.e2e.test_loopback import everything
from tests.front.street import FAR, Answer, Fate, Street, a_street, add_rail

pytestmark = pytest.mark.anyio

NAMES = (f"front-{number}" for number in count())
OURS_TO_SAY = {"created_at", "updated_at"}
"""Members of a refund that say when it was asked for: we are asked earlier."""


@pytest.fixture(scope="module")
async def street(ends: tuple[str, str]) -> AsyncIterator[Street]:
    async with a_street(*ends, "truust") as opened:
        yield opened


@pytest.fixture(autouse=True)
def undisturbed(street: Street) -> Iterator[None]:
    """Every test begins on a line on which all arrives, and of which nothing is written down yet."""
    street.line.fate = lambda _call: "arrives"
    street.line.calls.clear()
    yield
    street.line.fate = lambda _call: "arrives"


# --- what a client does -----------------------------------------------------------------------------------------------


async def order(street: Street, value: Any = "100.00", *, directly: bool = False, **members: Any) -> dict[str, Any]:
    parties = [
        done(await street.client("POST", "/2.0/customers", {"email": f"{each}@example.com"}, directly=directly))["id"]
        for each in ("buyer", "seller")
    ]
    body = {"buyer_id": parties[0], "seller_id": parties[1], "name": "A bicycle", "value": value, **members}
    return done(await street.client("POST", "/2.0/orders", body, directly=directly))


async def payin(
    street: Street, of: dict[str, Any], kind: str = "REDSYS_V2", *, directly: bool = False
) -> dict[str, Any]:
    return done(await street.client("POST", "/2.0/payins", {"order_id": of["id"], "type": kind}, directly=directly))


async def pay(street: Street, made: dict[str, Any], outcome: str = "pay") -> None:
    """What its buyer does on Truust's own page."""
    link = made["direct_link"].removeprefix(FAR).removeprefix("http://moneyback.example")
    said = await street.far.http.post(link, data={"outcome": outcome})
    assert said.status_code in (200, 302), said.text


async def paid(
    street: Street, value: Any = "100.00", kind: str = "REDSYS_V2", *, directly: bool = False
) -> dict[str, Any]:
    made = await payin(street, await order(street, value, directly=directly), kind, directly=directly)
    await pay(street, made)
    return made


async def refund(
    street: Street, of: dict[str, Any], amount: Any = None, *, directly: bool = False, **members: Any
) -> Answer:
    body = members if amount is None else {"amount": amount, **members}
    return await street.client("POST", f"{of['self']}/refund", body, directly=directly)


async def get(street: Street, path: str, *, directly: bool = False) -> dict[str, Any]:
    return done(await street.client("GET", path, directly=directly))


async def same(street: Street, path: str) -> dict[str, Any]:
    """What is shown there, through us and directly alike; only the refunds' marks are gone."""
    through, there = await street.client("GET", path), await street.client("GET", path, directly=True)
    assert (through.status, list(through.json)) == (200, list(there.json))
    assert through.text.replace("http://moneyback.example", FAR) == there.text.replace("http://moneyback.example", FAR)
    return done(through)


def done(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


def wrong(answer: Answer) -> Any:
    assert (answer.status, answer.json["message"]) == (422, "The given data was invalid."), answer
    return answer.json["errors"]


def told(answer: Answer) -> str:
    """The path of the refund that a client is told of."""
    path: str = done(answer)["connections"]["refund"]
    return path


def sent(street: Street, of: dict[str, Any]) -> list[Call]:
    """The calls that gave something of this payin back, as they came to Truust."""
    return [each for each in street.line.calls if (each.method, each.path) == ("POST", f"{of['self']}/refund")]


def befalls(fate: Fate) -> Any:
    """What becomes of refund calls; everything else arrives."""
    return lambda call: fate if call.method == "POST" and call.path.endswith("/refund") else "arrives"


async def executed(street: Street, of: dict[str, Any]) -> list[int]:
    return await street.executed(str(of["id"]))


async def known(street: Street, of: dict[str, Any]) -> Any:
    return await street.known(str(of["id"]))


# --- the walk ---------------------------------------------------------------------------------------------------------


async def test_a_payin_is_refunded_in_parts_and_no_further(street: Street):
    made = await payin(street, await order(street, "150.00"))
    assert (made["status"], (await same(street, made["self"]))["status"]) == ("CREATED", "CREATED")
    unpaid = "The payin is not paid yet. Only a confirmed payin can be refunded."
    assert wrong(await refund(street, made)) == {"payin": [unpaid]}
    await pay(street, made)
    assert (await same(street, made["self"]))["status"] == "CONFIRMED"
    of = made["connections"]["order"]
    done(await street.client("POST", f"{of}/accept"))

    first = await refund(street, made, "49.90", tag="return-7", metadata={"ticket": "T-7", "price": 1.10})
    assert (done(first)["id"], first.json["status"], first.json["data"]["status"]) == (made["id"], *["CONFIRMED"] * 2)
    assert wrong(await refund(street, made, 100.11)) == {"amount": ["The amount may not be greater than 100.10."]}
    rest = await refund(street, made)
    assert done(rest)["status"] == "REFUNDED"
    assert wrong(await refund(street, made, 1)) == {"payin": ["The payin has nothing left to refund."]}

    assert await executed(street, made) == [49_90, 100_10]
    books = await known(street, made)
    assert (books["captured"], books["refunded"], books["external"], books["refundable"]) == (150_00, 150_00, 0, 0)
    assert (await same(street, made["self"]))["connections"]["refund"] == told(rest)
    assert (await same(street, of))["refund"]["status"] == "CONFIRMED"
    for answer, tag, metadata in ((first, "return-7", {"ticket": "T-7", "price": 1.10}), (rest, None, None)):
        await assert_shown_as_there(street, told(answer), tag, metadata)
    await street.assert_clean()


async def assert_shown_as_there(street: Street, path: str, tag: str | None, metadata: Any) -> None:
    """A refund of ours, read through us, is what Truust shows of it, but for what the documents say."""
    through, there = await get(street, path), await get(street, path, directly=True)
    assert list(through) == list(there)
    assert {name for name in through if through[name] != there[name]} <= OURS_TO_SAY | {"tag", "metadata", "data"}
    assert (through["self"], through["tag"], through["metadata"]) == (path, tag, metadata)
    assert there["tag"].startswith(f"{tag}.mb_" if tag else "mb_")


async def test_a_list_is_its_providers_own_without_our_marks(street: Street):
    made = await paid(street)
    done(await refund(street, made, 10, tag="a", metadata={"moneyback?": 1, "z": [1.50]}))
    done(await refund(street, made, 20, tag="b"))
    done(await refund(street, made, 30, tag="by hand", directly=True))
    listed = f"/2.0/refunds?search=payin_id&query={made['id']}&sort=asc"
    through, there = await get(street, listed), await get(street, listed, directly=True)
    assert [(each["tag"], each["metadata"], each["amount"]) for each in through["data"]] == [
        ("a", {"moneyback?": 1, "z": [1.5]}, "10.00 €"),
        ("b", None, "20.00 €"),
        ("by hand", None, "30.00 €"),
    ]
    assert "mb_" not in json.dumps(through)
    for mine, theirs in zip(through["data"], there["data"], strict=True):
        assert {name for name in theirs if mine[name] != theirs[name]} <= {"tag", "metadata"}
    for path in ("/2.0/payins?per_page=3", "/2.0/orders?per_page=3", "/2.0/wallets", "/2.0/accounts/fees/EUR"):
        await same(street, path)


async def test_a_refund_is_found_by_the_word_of_its_client_and_by_its_id(street: Street):
    """So a client learns whether a refund was made whose answer it did not hear."""
    mine, hers = next(NAMES), next(NAMES)
    made = await paid(street)
    ours = await refund(street, made, 10, tag=mine, metadata={"a": 1})
    hand = await refund(street, made, 20, tag=hers, directly=True)
    for field, query, number in (
        ("tag", mine, told(ours)),
        ("tag", hers, told(hand)),
        ("id", told(ours).rpartition("/")[2], told(ours)),
        ("id", told(hand).rpartition("/")[2], told(hand)),
    ):
        (found,) = (await get(street, f"/2.0/refunds?search={field}&query={query}"))["data"]
        assert (found["self"], "mb_" in json.dumps(found)) == (number, False)
    assert (await get(street, "/2.0/refunds?search=tag&query=nobody"))["data"] == []
    assert (await street.client("GET", "/2.0/refunds?search=nonsense&query=1")).status == 422
    assert await same(street, told(hand)) == await get(street, told(hand), directly=True)


async def test_what_is_relayed_arrives_as_it_was_sent(street: Street):
    body = '{"name": "Été ☃",  "value":12.30, "auto_settle":1}\n'
    headers = {"Content-Type": "application/json", "User-Agent": "shop/1.0", "X-Own": "1", "Accept": "application/json"}
    key = {"Authorization": f"Bearer {street.section['secret_key']}"}
    said = await street.near.http.post("/truust/2.0//orders/?a=b%20c&d", content=body.encode(), headers=headers | key)
    assert said.status_code == 200, said.text
    (call,) = street.line.calls
    assert (call.method, call.path, call.body) == ("POST", "/2.0//orders/?a=b%20c&d", body.encode())
    assert {name: call.headers[name.lower()] for name in headers | key} == headers | key
    for path in ("/2.0/orders/1", "/2.0/payins/1", "/2.0/refunds/1", "/2.0/nowhere", "/2.0/refunds/x"):
        through, there = await street.client("GET", path), await street.client("GET", path, directly=True)
        assert (through.status, through.json) == (there.status, there.json) == (404, {"message": "Not found"})


async def test_forms_are_understood_as_well(street: Street):
    made = await paid(street)
    body = {"amount": "10.50", "tag": "form", "metadata[ticket]": "T-7"}
    done(await street.client("POST", f"{made['self']}/refund", body, form=True))
    (call,) = sent(street, made)
    assert json.loads(call.body)["metadata"].keys() == {"ticket", "moneyback"}
    assert await executed(street, made) == [10_50]


# --- how much came in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["BIZUM", "REDSYS_V2"])
async def test_what_came_in_is_what_its_orders_buyer_paid(street: Street, kind: str):
    made = await payin(street, await order(street, "80.10"), kind)
    await pay(street, made, "decline")
    again = done(await street.client("POST", "/2.0/payins", {"order_id": order_of(made), "type": kind}))
    await pay(street, again)
    assert wrong(await refund(street, again, "80.11")) == {"amount": ["The amount may not be greater than 80.10."]}
    assert done(await refund(street, again))["status"] == "REFUNDED"
    denied = "The payin was not paid. Only a confirmed payin can be refunded."
    assert wrong(await refund(street, made)) == {"payin": [denied]}
    assert (await executed(street, again), await executed(street, made)) == ([80_10], [])


def order_of(made: dict[str, Any]) -> int:
    return int(made["connections"]["order"].rpartition("/")[2])


async def test_what_nobody_says_is_not_known_until_somebody_does(street: Street):
    """Two payins of one order, of which no gateway says how much it was: neither is taken for all of it."""
    first, second = (each for each in street.section["payins"] if each["order_id"] == 500003)
    made = await get(street, f"/2.0/payins/{first['id']}")
    unknown = {"payin": ["The amount of the payin is not known yet."]}
    assert wrong(await refund(street, made, 1)) == unknown
    assert wrong(await refund(street, made)) == unknown
    for call, body in (("cancel", None), ("reimburse", {"amount": 1, "payin_id": first["id"]})):
        assert (await street.client("POST", f"/2.0/orders/500003/{call}", body)).status == 403
    assert (await known(street, made))["captured"] == 0
    registered = {"dialect": "truust", "rail": "provider", "amount": first["amount"] * 100, "currency": "EUR"}
    stated = {"reference": str(first["id"]), "method": first["type"], "order": "500003"}
    said = await street.native.post("/v1/payments", registered | stated)
    assert said.status_code == 200, said.text
    assert (await known(street, made))["refundable"] == first["amount"] * 100
    assert done(await refund(street, made, first["amount"]))["status"] == "REFUNDED"
    assert await executed(street, made) == [first["amount"] * 100]
    other = await get(street, f"/2.0/payins/{second['id']}")
    assert wrong(await refund(street, other, 1)) == unknown
    (row,) = read_payments(f"reference,amount,currency,method\n{second['id']},80.00,EUR,{second['type']}\n")
    parts, merchant = street.near.parts, street.native.merchant
    rail = parts.world.rail(merchant, "provider")
    (imported,) = [each async for each in import_rows(parts.world, parts.reads.news, merchant, rail, "truust", [row])]
    assert imported.outcome == "known"
    assert wrong(await refund(street, other, 81)) == {"amount": ["The amount may not be greater than 80.00."]}
    assert done(await refund(street, other))["status"] == "REFUNDED"


# --- what was done without us -----------------------------------------------------------------------------------------


async def test_of_a_payin_that_was_refunded_before_only_the_rest_is_left(street: Street):
    made = await paid(street, directly=True)
    done(await refund(street, made, 60, directly=True))
    assert await known(street, made) is None
    assert wrong(await refund(street, made, 40.01)) == {"amount": ["The amount may not be greater than 40.00."]}
    assert done(await refund(street, made))["status"] == "REFUNDED"
    books = await known(street, made)
    assert (books["external"], books["refunded"], books["refundable"]) == (60_00, 40_00, 0)
    assert await executed(street, made) == [60_00, 40_00]


async def test_a_refund_of_the_dashboard_is_seen_before_the_next_one_is_sent(street: Street):
    made = await paid(street)
    done(await refund(street, made, 10))
    done(await refund(street, made, 50, directly=True))
    late = await refund(street, made, 60, tag="late")
    assert done(late)["status"] == "CONFIRMED"
    assert (await get(street, told(late)))["status"] == "CREATED"  # a person looks at it first
    await street.settle()
    assert await executed(street, made) == [10_00, 50_00]
    assert (await known(street, made))["external"] == 50_00
    assert len(sent(street, made)) == 1


async def test_the_list_of_refunds_tells_of_the_dashboard(street: Street):
    made = await paid(street)
    done(await refund(street, made, 10, tag="ours"))
    done(await refund(street, made, 50, directly=True))
    await street.advance(600)
    await read_news(street.near.parts.world, street.near.parts.reads.news)
    books = await known(street, made)
    assert (books["refunded"], books["external"]) == (10_00, 50_00)
    assert wrong(await refund(street, made, 41)) == {"amount": ["The amount may not be greater than 40.00."]}


async def test_a_webhook_makes_us_read(street: Street):
    made = await paid(street)
    done(await refund(street, made, 10))
    done(await refund(street, made, 50, directly=True))
    parts = street.near.parts
    assert parts.book is not None
    hook = (await parts.book.hooks(street.native.merchant))["provider"]
    body = {"escrow": {"id": str(order_of(made))}, "platform": "sandbox", "payin": {"id": made["id"]}}
    heard = await street.near.http.post(f"/_hooks/{hook}", json=body)
    assert heard.status_code == 200, heard.text
    await read_news(parts.world, parts.reads.news)
    assert (await known(street, made))["external"] == 50_00


# --- doubt ------------------------------------------------------------------------------------------------------------


async def test_an_answer_that_was_lost_is_not_ended_and_never_an_error(street: Street):
    made = await paid(street)
    street.line.fate = befalls("lost after")
    said = await refund(street, made, 30, tag="once")
    assert done(said)["status"] == "CONFIRMED"
    number = told(said)
    assert (await get(street, number))["status"] == "CREATED"
    assert told(await refund(street, made, 30, tag="once")) == number
    street.line.fate = befalls("arrives")
    await street.settle()
    await street.advance(600)
    assert (len(sent(street, made)), await executed(street, made)) == (1, [30_00])
    shown = await get(street, number)
    assert (shown["self"], shown["status"], shown["tag"]) == (number, "CONFIRMED", "once")
    (theirs,) = (await get(street, f"/2.0/refunds?search=payin_id&query={made['id']}"))["data"]
    assert (theirs["self"] != number, theirs["tag"]) == (True, "once")
    assert await get(street, theirs["self"]) == shown  # the provider's own id is understood as well
    (found,) = (await get(street, "/2.0/refunds?search=tag&query=once"))["data"]
    assert found["self"] == number


async def test_a_call_that_was_lost_before_it_came_stays_in_doubt(street: Street):
    made = await paid(street)
    street.line.fate = befalls("lost before")
    number = told(await refund(street, made, 30))
    street.line.fate = befalls("arrives")
    for _ in range(3):
        await street.advance(7_200)
    assert (sent(street, made), await executed(street, made)) == ([], [])
    assert (await get(street, number))["status"] == "CREATED"
    books = await known(street, made)
    assert (books["held"], books["refundable"]) == (30_00, 70_00)
    assert (await get(street, told(await refund(street, made))))["status"] == "CREATED"  # behind the one in doubt
    assert sent(street, made) == []


async def test_a_provider_that_is_away_is_said_so_before_anything_is_admitted(street: Street):
    made = await paid(street, directly=True)
    street.line.fate = lambda call: "lost after" if call.method == "GET" else "arrives"
    said = await refund(street, made, 1)
    assert (said.status, said.headers["retry-after"]) == (503, "1")
    assert (await street.client("POST", f"{made['connections']['order']}/cancel")).status == 503
    assert await known(street, made) is None
    street.line.fate = lambda _call: "not connected"
    assert (await street.client("GET", made["self"])).status == 503


async def test_a_refusal_of_truusts_is_told_as_one(street: Street):
    """Which methods have no refunds is Truust's to say, and it says so to the call itself."""
    made = await paid(street, kind="SIBS_MULTIBANCO")
    for _ in range(2):
        said = await refund(street, made, 10)
        assert (said.status, said.json["message"]) == (403, "Refunds are not supported for this payment method.")
    assert len(sent(street, made)) == 1
    books = await known(street, made)
    assert (books["held"], books["refundable"]) == (0, 100_00)


async def test_a_bank_wire_goes_to_a_bank_account_of_truusts(street: Street):
    made = await payin(street, await order(street, 40), "BANKWIRE")
    await street.advance(86_401)
    assert done(await street.client("PUT", made["self"]))["status"] == "CONFIRMED"
    needed = {"bankaccount_id": ["The bankaccount id field is required when the payin is a bank wire."]}
    assert wrong(await refund(street, made, 10)) == needed
    assert wrong(await refund(street, made, 10, bankaccount_id=1, tag="nowhere")) == {
        "payin": ["The selected bankaccount id is invalid."]
    }
    account = street.section["bankaccounts"][0]["id"]
    assert done(await refund(street, made, 10, bankaccount_id=account))["status"] == "CONFIRMED"
    assert json.loads(sent(street, made)[-1].body)["bankaccount_id"] == account


# --- equal requests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_same_bytes_are_one_refund(street: Street, at_once: bool):
    made = await paid(street)

    def ask() -> Any:
        return refund(street, made, 30, metadata={"a": 1})

    said = list(await asyncio.gather(*(ask() for _ in range(5)))) if at_once else [await ask() for _ in range(5)]
    assert len({told(each) for each in said}) == 1
    assert await executed(street, made) == [30_00]
    other = await refund(street, made, 30, metadata={"a": 1}, tag="another")
    assert told(other) != told(said[0])
    assert await executed(street, made) == [30_00, 30_00]


async def test_faithfully_they_are_as_many_as_came_in(street: Street, monkeypatch: pytest.MonkeyPatch):
    """The provider's own behaviour, where a merchant chose it."""
    monkeypatch.setattr(front, "NAME_WITHIN_S", 0.1)  # the second waits for the first, and is sent by the worker
    made = await paid(street)
    await add_rail(street.near, street.native, "truust", street.section, {"duplicates": "faithful"})
    try:
        said = await asyncio.gather(*(refund(street, made, 45) for _ in range(5)))
    finally:
        await add_rail(street.near, street.native, "truust", street.section, {})
    await street.settle()
    assert sorted(each.status for each in said) == [200, 200, 422, 422, 422]
    assert len({told(each) for each in said if each.status == 200}) == 2
    assert await executed(street, made) == [45_00, 45_00]
    assert (await known(street, made))["refunded"] == 90_00


# --- whole orders -----------------------------------------------------------------------------------------------------


async def two_payins(street: Street) -> tuple[dict[str, Any], dict[str, Any]]:
    of = await order(street, 80)
    first, second = await payin(street, of), await payin(street, of)
    for each in (first, second):
        await pay(street, each)
    return first, second


async def test_all_payins_of_an_order_are_refunded_whether_we_know_them_or_not(
    street: Street, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(front, "NAME_WITHIN_S", 0.1)  # a group is sent by the worker, which works when it is told to
    first, second = await two_payins(street)
    assert done(await refund(street, first, multipayin=1, tag="all"))["status"] == "CONFIRMED"
    await street.settle()
    for each in (first, second):
        assert (await get(street, each["self"]))["status"] == "REFUNDED"
    assert (await executed(street, first), await executed(street, second)) == ([80_00], [80_00])
    tags = [json.loads(each.body)["tag"] for made in (first, second) for each in sent(street, made)]
    assert [each.partition(".")[0] for each in tags] == ["all", "all"]
    assert all("multipayin" not in json.loads(each.body) for each in sent(street, second))


async def test_an_order_for_which_something_came_in_is_not_cancelled_or_reimbursed_around_us(street: Street):
    first, _ = await two_payins(street)
    of = first["connections"]["order"]
    for refunded in (False, True):
        for call in ("cancel", "reimburse"):
            said = await street.client("POST", f"{of}/{call}", {} if call == "cancel" else {"payin_id": first["id"]})
            assert (said.status, said.json["message"]) == (403, "This action is not allowed with this key.")
        if not refunded:
            done(await refund(street, first))
    assert (await get(street, of))["status"] == "PUBLISHED"
    assert [each for each in street.line.calls if each.path.endswith(("/cancel", "/reimburse"))] == []
    assert await executed(street, first) == [80_00]


async def test_an_order_nobody_paid_is_cancelled_by_truust(street: Street):
    bare, open_ = await order(street), await order(street)
    made = await payin(street, open_)
    assert wrong(await street.client("POST", f"{open_['self']}/reimburse")) == {"order": ["The order is not paid."]}
    for each in (bare, open_):
        body = {"tag": "sold out"}
        assert done(await street.client("POST", f"{each['self']}/cancel", body))["status"] == "CANCELLED"
        call = street.line.calls[-1]
        assert (call.path, json.loads(call.body)) == (f"{each['self']}/cancel", body)
    assert (await same(street, made["self"]))["status"] == "CANCELLED"
    for number in ("1", "x", str(made["id"])):
        assert (await street.client("POST", f"/2.0/orders/{number}/cancel")).status == 404


async def test_what_was_paid_meanwhile_is_not_cancelled(street: Street):
    """We have met the payin when it was open: what counts is what Truust shows now."""
    made = await payin(street, await order(street))
    wrong(await refund(street, made))
    assert (await known(street, made))["status"] == "processing"
    await pay(street, made)
    assert (await street.client("POST", f"{made['connections']['order']}/cancel")).status == 403
    assert (await known(street, made))["captured"] == 100_00
    assert done(await refund(street, made))["status"] == "REFUNDED"
    assert await executed(street, made) == [100_00]


# --- authorisations ---------------------------------------------------------------------------------------------------


async def test_an_authorisation_is_let_go_by_truust(street: Street):
    made = await payin(street, await order(street, 90), "REDSYS_AUTH")
    wrong(await refund(street, made))
    await pay(street, made)
    held = wrong(await refund(street, made))
    assert held["payin"][0].startswith("The payin is only authorized.")
    assert done(await street.client("POST", f"{made['self']}/cancelpreauth"))["status"] == "CANCELLED"
    again = wrong(await street.client("POST", f"{made['self']}/cancelpreauth"))
    assert again == {"payin": ["Only an authorized payin can be released."]}
    assert (await executed(street, made), (await known(street, made))["captured"]) == ([], 0)


async def test_what_was_captured_is_refunded_and_not_let_go(street: Street):
    made = await payin(street, await order(street, 90), "REDSYS_AUTH")
    await pay(street, made)
    done(await street.client("POST", f"{made['connections']['order']}/accept"))
    said = wrong(await street.client("POST", f"{made['self']}/cancelpreauth"))
    assert said == {"payin": ["Only an authorized payin can be released."]}
    assert [each for each in street.line.calls if each.path.endswith("/cancelpreauth")] == []
    assert done(await refund(street, made))["status"] == "REFUNDED"


# --- what is kept -----------------------------------------------------------------------------------------------------


async def test_neither_the_key_nor_a_cards_token_is_kept(street: Street, ends: tuple[str, str]):
    of = await order(street)
    body = {"order_id": of["id"], "type": "REDSYS_V2", "save_card": 1}
    made = done(await street.client("POST", "/2.0/payins", body))
    await pay(street, made)
    token = (await get(street, made["self"]))["provider"]["Ds_Merchant_Identifier"]
    answer = done(await refund(street, made, 1))
    assert answer["provider"]["Ds_Merchant_Identifier"] == "[hidden]"
    assert {name for name in answer["provider"] if answer["provider"][name] == "[hidden]"} == {"Ds_Merchant_Identifier"}
    kept = await everything(ends[0])
    assert street.section["secret_key"] not in kept
    assert "Ds_Merchant_Identifier" in kept
    assert re.findall(rf"Ds_Merchant_Identifier\W+{token}", kept) == []
    await street.assert_clean()
