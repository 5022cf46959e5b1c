"""Moneyback in front of Trustly: a merchant's own client calls us, and what gives money back happens once."""

import asyncio
import hmac
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from moneyback.dialect import Call
from moneyback.dialects.trustly import refunds, transactions
from moneyback.flows import front
from moneyback.flows.adopt import adopt
from moneyback.flows.drift import listed_since
from moneyback.flows.hear import read_told
from tests.e2e.test_loopback import everything
from tests.front.street import Answer, Fate, Street, a_street, add_rail, basic

pytestmark = pytest.mark.anyio
NOTHING_LEFT = "The transaction has no balance left to refund"
TOO_MUCH = "The amount is greater than the balance of the transaction"
OURS_AND_THEIRS = ("paymentProviderTransaction", "recordVersion", "ppTrxId", "ip", "timeZone", "fee")
"""Members of a refund's record that describe the record as its keeper has it."""
TIMES = ("createdAt", "processedAt", "completedAt", "updatedAt")


@pytest.fixture(scope="module")
async def street(ends: tuple[str, str]) -> AsyncIterator[Street]:
    async with a_street(*ends, "trustly") as opened:
        yield opened


@pytest.fixture
async def faithful(street: Street) -> AsyncIterator[Street]:
    """The same street while its rail takes equal requests for two."""
    await add_rail(street.near, street.native, "trustly", street.section, {"duplicates": "faithful"})
    yield street
    await add_rail(street.near, street.native, "trustly", street.section, {})


@pytest.fixture(autouse=True)
def undisturbed(street: Street) -> Iterator[None]:
    """Every test begins on a line on which all arrives, and of which nothing is written down yet."""
    street.line.fate = lambda _call: "arrives"
    street.line.calls.clear()
    yield
    street.line.fate = lambda _call: "arrives"


# --- what a client does -----------------------------------------------------------------------------------------------


async def authorize(street: Street, *, directly: bool = False, **members: Any) -> str:
    data = {
        "accessId": street.section["access_id"],
        "merchantId": street.section["merchant_id"],
        "merchantReference": "order-1",
        "description": "Two books",
        "amount": "100.00",
        "currency": "USD",
        "paymentType": "Deferred",
        "returnUrl": "https://shop.example/return",
        "notificationUrl": "https://shop.example/events",
        "account": {"accountNumber": "1000000004321", "routingNumber": "021000021", "type": "1"},
    }
    made = await street.client("POST", "/establish", data | members, directly=directly)
    assert made.status == 200, made
    return str(made.json["transactionId"])


async def capture(street: Street, amount: str = "100.00", *, directly: bool = False, **members: Any) -> str:
    """A completed capture: all it takes to have something to give back."""
    number = await authorize(street, directly=directly)
    body = {"merchantReference": "capture-1", "amount": amount, **members}
    made = await street.client("POST", f"/transactions/{number}/capture", body, form=True, directly=directly)
    assert made.status == 200, made
    await street.far.advance(6)
    return str(made.json["transactionId"])


async def refund(street: Street, number: str, *, directly: bool = False, **members: str) -> Answer:
    return await street.client("POST", f"/transactions/{number}/refund", members, form=True, directly=directly)


async def see(street: Street, number: str, *, directly: bool = False) -> Answer:
    return await street.client("GET", f"/transactions/{number}", directly=directly)


def problem(said: Answer) -> tuple[int, int, str]:
    (error,) = said.json["errors"]
    return said.status, error["code"], error["message"]


def figures(record: dict[str, Any]) -> tuple[str, ...]:
    return tuple(record[name] for name in ("status", "paid", "refunded", "reversed", "balance"))


def to_the_refund_call(fate: Fate) -> Any:
    return lambda call: fate if call.path.endswith(("/refund", "/reclaim")) else "arrives"


def sent(street: Street, word: str = "refund") -> list[Call]:
    return [each for each in street.line.calls if each.method == "POST" and each.path.endswith(f"/{word}")]


# --- from establish to the last cent ----------------------------------------------------------------------------------


async def test_the_whole_walk(street: Street):
    number = await capture(street)
    for path in (f"/transactions/{number}", f"/transactions?originalTransactionId={number}", "/payments?count=3"):
        through, direct = await street.client("GET", path), await street.client("GET", path, directly=True)
        assert (through.status, through.json) == (200, direct.json)

    first = await refund(street, number, merchantReference="refund-1", amount="20.00")
    assert first.status == 200, first
    assert (first.json["transactionType"], first.json["status"], first.json["amount"]) == ("4", "1", "20.00")
    assert (first.json["merchantReference"], first.json["originalTransactionId"]) == ("refund-1", number)
    assert first.json["transaction"]["transactionType"] == 4
    await street.advance(3)
    assert problem(await refund(street, number, amount="80.01")) == (400, 200, TOO_MUCH)
    rest = await refund(street, number)
    assert (rest.status, rest.json["amount"], rest.json["merchantReference"]) == (200, "80.00", "capture-1")
    await street.advance(3)
    assert problem(await refund(street, number, merchantReference="more")) == (400, 200, NOTHING_LEFT)

    original = (await see(street, number)).json
    assert figures(original) == ("12", "100.00", "100.00", "0.00", "0.00")
    assert await street.executed(number) == [20_00, 80_00]
    known = await street.known(number)
    assert (known["captured"], known["refunded"], known["refundable"]) == (100_00, 100_00, 0)
    for told in (first.json, rest.json):
        await assert_shown_as_there(street, told["transactionId"])
    query = f"/transactions?originalTransactionId={number}&transactionType=4&sortOrder=asc"
    listed = (await street.client("GET", query)).json["transactions"]
    assert [(each["transactionId"], each["amount"], each["merchantReference"]) for each in listed] == [
        (first.json["transactionId"], "20.00", "refund-1"),
        (rest.json["transactionId"], "80.00", "capture-1"),
    ]
    await street.assert_clean()


async def assert_shown_as_there(street: Street, number: str) -> None:
    """A refund of ours, read through us, is what Trustly shows of it, but for what the documents say."""
    through, direct = (await see(street, number)).json, (await see(street, number, directly=True)).json
    assert list(through) == list(direct)
    assert through["transactionId"] == number
    for name in set(direct) - {*OURS_AND_THEIRS, *TIMES, "payment", "transaction", "merchantReference"}:
        assert through[name] == direct[name], name
    assert direct["merchantReference"].startswith(through["merchantReference"] + ".mb_")
    mine, theirs = through["payment"], direct["payment"]
    assert mine.keys() == theirs.keys() - {"returnUrl", "cancelUrl"}
    for name in mine.keys() - {*("fingerprint", "authorization", "auth", "account", "recordVersion", "updatedAt")}:
        assert mine[name] == theirs[name], name
    assert mine["account"] == theirs["account"] | {"name": ""}
    assert mine["auth"] == theirs["auth"] | {"token": ""}


async def test_what_is_relayed_arrives_as_it_was_sent(street: Street):
    body = (
        '{"merchantReference": "o-1",  "paymentType":2, "amount": 100.00, "account": {"routingNumber": "021000021"}}\n'
    )
    headers = street._headers | {"Content-Type": "application/json", "X-Own": "1"}
    said = await street.near.http.post(
        "/trustly/api/v1/establish?createTransaction=true", content=body, headers=headers
    )
    number = said.json()["transactionId"]
    form = "merchantReference=c+1%26x&amount=5.00&splitToken=a%2Bb%2Fc%3D&"
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    at = f"/trustly/api/v1/transactions/{number}"
    assert (await street.near.http.post(f"{at}/capture", content=form, headers=headers)).status_code == 200
    assert (await street.near.http.get(at, headers=headers)).json()["merchantReference"] == "o-1"
    assert [(each.method, each.path, each.body.decode()) for each in street.line.calls] == [
        ("POST", "/establish?createTransaction=true", body),
        ("POST", f"/transactions/{number}/capture", form),
        ("GET", f"/transactions/{number}", ""),
    ]
    assert all(each.headers["x-own"] == "1" for each in street.line.calls)


async def test_words_of_the_providers_own_are_told(street: Street):
    """What it knows and we do not is for it to say: unknown ids, calls we do not serve, wrong credentials."""
    for path in ("/transactions/17", "/payments/17", "/countries"):
        through, direct = await street.client("GET", path), await street.client("GET", path, directly=True)
        assert (through.status, through.json) == (direct.status, direct.json)
    assert problem(await refund(street, "17")) == (400, 200, "Could not find a transaction using Id 17")
    number = await authorize(street)
    said = await refund(street, number)
    assert problem(said) == problem(await refund(street, number, directly=True))
    wrong = await street.client("GET", "/transactions/17", headers={"Authorization": "Basic YTpi"})
    assert problem(wrong) == (401, 375, "Access not authorized")


# --- what had happened before we first saw it -------------------------------------------------------------------------


async def test_what_was_given_back_before_counts(street: Street):
    number = await capture(street, directly=True)
    for amount in ("30.00", "30.00"):
        await refund(street, number, amount=amount, directly=True)
    await street.far.settle()
    assert await street.known(number) is None
    assert problem(await refund(street, number, amount="40.01")) == (400, 200, TOO_MUCH)
    known = await street.known(number)
    assert (known["captured"], known["external"], known["refundable"], known["dialect_id"]) == (
        10000,
        6000,
        4000,
        number,
    )
    rest = await refund(street, number)
    assert (rest.status, rest.json["amount"], rest.json["payment"]["refunded"]) == (200, "40.00", "100.00")
    await street.advance(3)
    assert await street.executed(number) == [30_00, 30_00, 40_00]
    assert figures((await see(street, number)).json) == ("12", "100.00", "100.00", "0.00", "0.00")


async def test_a_refund_made_elsewhere_is_seen_before_the_next_is_sent(street: Street):
    number = await capture(street)
    assert (await refund(street, number, amount="10.00")).status == 200
    await street.advance(3)
    await refund(street, number, amount="60.00", directly=True)
    await street.far.settle()
    said = await refund(street, number, amount="50.00")
    await street.advance(3)
    assert await street.executed(number) == [10_00, 60_00]
    assert (await see(street, said.json["transactionId"])).json["status"] in ("5", "7", "14")
    known = await street.known(number)
    assert (known["refunded"], known["external"], known["captured"]) == (10_00, 60_00, 100_00)
    await street.assert_clean()


async def test_what_the_bank_took_back_is_not_given_back(street: Street):
    made = await street.twin.native.pays(80_00, currency="USD", dialect="trustly", scenario="return:5")
    number = made["dialect_id"]
    await street.far.advance(10)
    assert (await see(street, number)).json["status"] == "10"
    assert problem(await refund(street, number)) == (400, 200, NOTHING_LEFT)
    known = await street.known(number)
    assert (known["captured"], known["clawed_back"], known["refundable"]) == (80_00, 80_00, 0)
    assert sent(street) == []
    await street.assert_clean()


async def test_a_capture_that_is_not_completed(street: Street):
    number = (await street.client("POST", f"/transactions/{await authorize(street)}/capture", CAPTURE, form=True)).json[
        "transactionId"
    ]
    said = problem(await refund(street, number))
    assert said == (400, 200, "The transaction is not completed and cannot be refunded")
    await street.far.advance(6)
    assert (await refund(street, number)).json["amount"] == "12.00"
    await street.advance(3)
    assert await street.executed(number) == [12_00]


CAPTURE = {"merchantReference": "capture-2", "amount": "12.00"}

# --- doubt -----------------------------------------------------------------------------------------------------------


async def test_an_answer_that_is_lost_after_the_refund_was_made(street: Street):
    number = await capture(street)
    street.line.fate = to_the_refund_call("lost after")
    said = await refund(street, number, merchantReference="refund-1", amount="20.00")
    told = said.json["transactionId"]
    assert (said.status, said.json["status"], said.json["pending"]) == (200, "1", "20.00")
    assert (len(told), told[0]) == (15, "9")
    assert (await see(street, told)).json["status"] == "1"
    again = await refund(street, number, merchantReference="refund-1", amount="20.00")
    assert (again.status, again.json["transactionId"]) == (200, told)
    street.line.fate = lambda _call: "arrives"
    await street.advance(5)
    assert await street.executed(number) == [20_00]
    assert len(sent(street)) == 1
    shown = (await see(street, told)).json
    assert (shown["transactionId"], shown["status"], shown["paid"]) == (told, "4", "20.00")
    query = f"/transactions?originalTransactionId={number}&transactionType=4"
    (theirs,) = (await street.client("GET", query)).json["transactions"]
    assert (await see(street, theirs["transactionId"])).json == shown
    assert (await street.known(number))["refunded"] == 20_00


async def test_a_call_that_is_lost_on_its_way_is_not_made_again(street: Street):
    number = await capture(street)
    street.line.fate = to_the_refund_call("lost before")
    said = await refund(street, number, amount="20.00")
    assert (said.status, said.json["status"]) == (200, "1")
    street.line.fate = lambda _call: "arrives"
    for _ in range(6):
        await street.advance(600)
    assert (await street.executed(number), sent(street)) == ([], [])
    shown = (await see(street, said.json["transactionId"])).json
    assert (shown["status"], shown["statusMessage"]) == ("14", "On Hold")
    known = await street.known(number)
    assert (known["held"], known["refundable"]) == (20_00, 80_00)


async def test_a_provider_that_cannot_be_reached_gets_it_later(street: Street, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(front, "NAME_WITHIN_S", 0.2)
    number = await capture(street)
    street.line.fate = to_the_refund_call("not connected")
    said = await refund(street, number, amount="20.00")
    assert (said.status, said.json["status"]) == (200, "1")
    assert await street.executed(number) == []
    street.line.fate = lambda _call: "arrives"
    rail = next(iter(street.near.parts.world.own_rails.values()))
    assert rail.breaker is not None
    rail.breaker.taken()  # its pause is over
    await street.advance(60)
    assert await street.executed(number) == [20_00]


async def test_a_provider_that_is_away_is_said_so_before_anything_is_admitted(street: Street):
    number = await capture(street, directly=True)
    street.line.fate = lambda _call: "lost before"
    said = await refund(street, number)
    assert (said.status, said.headers["retry-after"]) == (503, "1")
    assert await street.known(number) is None


async def test_once_it_is_admitted_no_error_is_told(street: Street, monkeypatch: pytest.MonkeyPatch):
    """Whoever hears of one sends the refund again. Both ends are broken here, so the answer is in doubt as well."""
    number = await capture(street)

    def broken(*_: object) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(refunds, "refund_record", broken)
    monkeypatch.setattr(transactions, "refund_record", broken)
    said = await refund(street, number, amount="20.00")
    assert said.status in (200, 202), said
    monkeypatch.undo()
    await street.advance(5)
    assert await street.executed(number) == [20_00]
    assert (await street.known(number))["refunded"] == 20_00


# --- the same request again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_same_bytes_are_one_refund(street: Street, at_once: bool):
    number = await capture(street)

    def ask() -> Any:
        return refund(street, number, merchantReference="refund-1", amount="30.00")

    said = list(await asyncio.gather(*(ask() for _ in range(5)))) if at_once else [await ask() for _ in range(5)]
    await street.advance(3)
    assert [each.status for each in said] == [200] * 5
    assert len({each.json["transactionId"] for each in said}) == 1
    assert await street.executed(number) == [30_00]
    other = await refund(street, number, merchantReference="refund-2", amount="30.00")
    await street.advance(3)
    assert other.json["transactionId"] != said[0].json["transactionId"]
    assert await street.executed(number) == [30_00, 30_00]


async def test_a_faithful_rail_gives_back_up_to_what_came_in(faithful: Street, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(front, "NAME_WITHIN_S", 0.2)
    number = await capture(faithful)
    said = await asyncio.gather(*(refund(faithful, number, amount="30.00") for _ in range(5)))
    assert sorted(each.status for each in said) == [200, 200, 200, 400, 400]
    told = {each.json["transactionId"] for each in said if each.status == 200}
    assert len(told) == 3
    for _ in range(3):
        await faithful.advance(15)
        # Whoever found it behind the fence keeps it for a minute of real time, which nothing here waits for.
        await faithful.near.sql("update refunds set claimed_until = null where state = 'ready'")
    await faithful.settle()
    assert await faithful.executed(number) == [30_00] * 3
    assert [(await see(faithful, each)).json["status"] for each in told] == ["4"] * 3


async def test_one_behind_another_is_told_at_once_and_sent_in_its_turn(street: Street):
    """Trustly takes days: nobody waits for its id of a refund whose turn has not come."""
    number = await capture(street)
    first = (await refund(street, number, amount="10.00")).json["transactionId"]
    second = (await refund(street, number, amount="20.00")).json
    assert (second["transactionId"][0], second["status"], second["amount"]) == ("9", "1", "20.00")
    assert await street.executed(number) == [10_00]
    await street.advance(3)
    await street.near.sql("update refunds set claimed_until = null where state = 'ready'")
    await street.advance(5)
    assert await street.executed(number) == [10_00, 20_00]
    assert [(await see(street, each)).json["status"] for each in (first, second["transactionId"])] == ["4", "4"]


# --- canceling and reclaiming -----------------------------------------------------------------------------------------


async def test_what_is_not_processed_is_canceled_by_the_provider(street: Street):
    authorization = await authorize(street)
    pending = await street.client("POST", f"/transactions/{authorization}/capture", CAPTURE, form=True)
    number = pending.json["transactionId"]
    body = {"merchantReference": "cancel-1", "message": "no stock"}
    canceled = await street.client("POST", f"/transactions/{number}/cancel", body)
    assert (canceled.status, canceled.json["status"]) == (200, "7")
    assert json.loads(sent(street, "cancel")[0].body) == body
    assert problem(await refund(street, number))[:2] == (400, 200)
    assert figures((await see(street, number)).json)[0] == "7"
    again = await street.client("POST", f"/transactions/{number}/cancel", body)
    assert problem(again) == (400, 200, "The transaction is canceled already")
    mandate = await street.client("POST", f"/transactions/{authorization}/cancel")
    assert (mandate.status, mandate.json["status"]) == (200, "13")
    assert await street.executed(number) == []


async def test_what_came_in_is_not_canceled_around_us(street: Street):
    number = await capture(street)
    said = problem(await street.client("POST", f"/transactions/{number}/cancel"))
    assert said == (400, 200, "The transaction is processed and can no longer be canceled: refund it instead")
    assert sent(street, "cancel") == []


async def test_a_deposit_is_reclaimed_through_the_engine(street: Street):
    number = await authorize(street, paymentType="Disbursement")
    body = {"merchantReference": "payout-1", "amount": "50.00"}
    deposit = (await street.client("POST", f"/transactions/{number}/deposit", body)).json["transactionId"]
    await street.far.advance(6)
    assert problem(await refund(street, deposit)) == (400, 200, "Transaction type 6 cannot be refunded")
    told = []
    for reference in ("back-1", "back-1", "back-2"):
        form = {"merchantReference": reference, "amount": "20.00"}
        said = await street.client("POST", f"/transactions/{deposit}/reclaim", form, form=True)
        assert (said.status, said.json["transactionType"], said.json["amount"]) == (200, "7", "20.00")
        told.append(said.json["transactionId"])
        await street.advance(3)
    assert told[0] == told[1] != told[2]
    assert await street.executed(deposit) == [20_00, 20_00]
    assert len(sent(street, "reclaim")) == 2
    known = await street.known(deposit)
    assert (known["refunded"], known["refundable"]) == (40_00, 10_00)
    more = await street.client("POST", f"/transactions/{deposit}/reclaim", {"amount": "10.01"}, form=True)
    assert problem(more) == (400, 200, TOO_MUCH)
    await assert_shown_as_there(street, told[2])


# --- what Trustly tells -----------------------------------------------------------------------------------------------


def event(street: Street, **members: str) -> tuple[str, dict[str, str]]:
    """An event as Trustly signs and sends it."""
    told = {"eventId": "7", "eventType": "Complete", "objectType": "Transaction", "message": "", **members}
    key = street.section["access_key"].encode()
    sign = b64encode(hmac.digest(key, "&".join(f"{n}={v}" for n, v in told.items()).encode(), "sha1")).decode()
    headers = basic(street.section["access_id"], sign) | {"Content-Type": "application/x-www-form-urlencoded"}
    return urlencode(told, quote_via=quote), headers


async def test_what_is_told_is_read(street: Street):
    number = await capture(street)
    told = (await refund(street, number, amount="5.00")).json["transactionId"]
    await refund(street, number, amount="15.00", directly=True)
    await street.far.settle()
    book = street.near.parts.book
    assert book is not None
    address = f"/_hooks/{(await book.hooks(street.native.merchant))['provider']}"
    for members in ({"objectId": told, "transactionType": "4"}, {"objectId": number, "eventId": "8", "status": "11"}):
        body, headers = event(street, **members)
        forged = headers | basic(street.section["access_id"], "AAAA")
        assert (await street.near.http.post(address, content=body, headers=forged)).status_code == 401
        assert (await street.near.http.post(address, content=body, headers=headers)).status_code == 200
    assert await read_told(street.near.parts.world, street.near.parts.news) == 2
    assert (await see(street, told)).json["status"] == "4"
    known = await street.known(number)
    assert (known["refunded"], known["external"]) == (5_00, 15_00)


async def test_the_list_tells_what_was_made_elsewhere(street: Street):
    number = await capture(street)
    await refund(street, number, amount="5.00")
    await refund(street, number, amount="15.00", directly=True)
    await street.advance(3)
    parts = street.near.parts
    rail = parts.world.rail(street.native.merchant, "provider")
    async for seen in listed_since(rail, datetime(2020, 1, 1, tzinfo=UTC)):
        await adopt(parts.world, parts.news, street.native.merchant, rail, seen)
    known = await street.known(number)
    assert (known["refunded"], known["external"]) == (5_00, 15_00)
    await street.assert_clean()


# --- what is kept -----------------------------------------------------------------------------------------------------


async def test_neither_credentials_nor_bank_logins_are_kept(street: Street):
    number = await capture(street)
    assert (await refund(street, number, amount="1.00")).json["payment"]["account"]["accountNumberLastFour"] == "4321"
    await street.advance(3)
    rows = await everything(street.near.dsn)
    for secret in (street.section["access_key"], "1000000004321", "021000021", "Demo checking account"):
        assert secret not in rows
