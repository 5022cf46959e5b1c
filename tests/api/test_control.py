"""Control of a sandbox: its clock, the bank's books, and what is to go wrong."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from moneyback.api.control import ADVANCE_S_MAX
from moneyback.store.access import SCOPES
from moneyback.wiring import prepare_database
from tests.api.world import Native, World, prepare, refused, running

DAY = 86_400
CONTROL = (("POST", "/_control/clock"), ("GET", "/_control/books"), ("POST", "/_control/scenario"))


@pytest.fixture
async def shop(here: World) -> Native:
    """A merchant of the test's own."""
    return await here.merchant()


async def script(shop: Native, scenario: str, **of: Any) -> Any:
    """Say how the bank is to go wrong."""
    said = await shop.post("/_control/scenario", {**of, "scenario": scenario})
    assert said.status_code == 200, said.text
    return said.json()


# --- who may ---------------------------------------------------------------------------------------------------------


async def test_control_needs_its_scope(here: World, shop: Native):
    without = await here.key(shop.merchant, tuple(each for each in SCOPES if each != "control:write"))
    only = await here.key(shop.merchant, ("control:write",))
    before = await here.sql("select * from clock")
    for method, path in CONTROL:
        assert refused(await without(method, path, {"advance_s": DAY})) == (403, "scope_missing")
        assert refused(await Native(here, shop.merchant, "nobody")(method, path)) == (401, "unauthenticated")
        assert (await only(method, path, {})).status_code in (400, 404)
    assert await here.sql("select * from clock") == before


async def test_there_is_no_control_outside_a_sandbox(here: World, shop: Native):
    async with running(here.dsn, sandbox=False) as served:
        same = Native(served, shop.merchant, shop.key)
        for method, path in CONTROL:
            assert refused(await same(method, path, {"advance_s": 1})) == (404, "not_found")
        assert (await same.get("/v1/payments")).status_code == 200


async def test_paths_that_control_nothing(shop: Native):
    for path in ("/_control", "/_control/", "/_control/nothing", "/_control/clock/x", "/_control/%00"):
        assert refused(await shop.post(path, {})) == (404, "not_found")


# --- the clock -------------------------------------------------------------------------------------------------------


async def test_business_time_moves_and_real_time_does_not(here: World, shop: Native):
    before = await here.parts.store.now()
    said = await shop.post("/_control/clock", {"advance_s": 90 * DAY})
    assert said.status_code == 200
    after = await here.parts.store.now()
    assert after.business - before.business >= timedelta(days=90)
    assert (after.business - before.business) - (after.real - before.real) >= timedelta(days=89)
    assert before.business < datetime.fromisoformat(said.json()["now"]) <= after.business
    assert datetime.fromisoformat((await shop.pays())["created_at"]) >= after.business


async def test_every_process_goes_by_the_new_time(here: World, shop: Native):
    async with running(here.dsn) as another:
        before = (await another.parts.store.now()).business
        await shop.post("/_control/clock", {"advance_s": 7 * DAY})
        assert (await another.parts.store.now()).business - before >= timedelta(days=7)


async def test_times_that_are_none(here: World, shop: Native):
    before = await here.sql("select * from clock")
    amounts: list[Any] = [-1, 1.5, "60", True, None, [60], ADVANCE_S_MAX + 1]
    bodies: list[Any] = [*({"advance_s": each} for each in amounts), {}, {"advance": 60}, [], 60, None]
    for body in bodies:
        assert refused(await shop.post("/_control/clock", body)) == (400, "bad_request"), body
    assert await here.sql("select * from clock") == before


async def test_the_clock_may_stand_where_it_is(here: World, shop: Native):
    assert (await shop.post("/_control/clock", {"advance_s": 0})).status_code == 200


async def test_the_clock_stops_before_the_end_of_all_calendars(here: World, database: str):
    await prepare(database)
    async with running(database) as served:
        shop = await served.merchant()
        await served.sql("update clock set ahead = make_interval(years => 6950)")
        statuses = [(await shop.post("/_control/clock", {"advance_s": ADVANCE_S_MAX})).status_code for _ in range(5)]
        assert statuses[0] == 200
        assert statuses[-1] == 400
        assert (await shop.refunds(await shop.pays(), 100))["state"] == "succeeded"


async def test_a_clock_that_was_not_made_movable_stands_still(here: World, database: str):
    await prepare_database(database)
    async with running(database) as served:
        shop = await served.merchant()
        assert refused(await shop.post("/_control/clock", {"advance_s": DAY})) == (400, "bad_request")
        assert [each["ahead"] for each in await served.sql("select ahead from clock")] == [timedelta(0)]


# --- the books -------------------------------------------------------------------------------------------------------


async def test_the_banks_own_books(here: World, shop: Native):
    payment = await shop.pays()
    executed = await shop.refunds(payment, 1_000)
    await shop.refunds(payment, 2_000, scenario="decline:no")
    said = await shop.read(f"/_control/books?payment={payment['id']}")
    assert said["payment"] == payment["dialect_id"]
    assert [(each["outcome"], each["asked"]) for each in said["book"]["entries"]] == [
        ("executed", 1_000),
        ("declined", 2_000),
    ]
    assert said["book"]["entries"][0]["key"] == f"mb_{executed['id'][3:]}"


async def test_a_payment_the_bank_has_not_heard_of(shop: Native):
    payment = await shop.pays()
    assert (await shop.read(f"/_control/books?payment={payment['id']}"))["book"]["entries"] == []


@pytest.mark.parametrize("dialect", ["chip", "mangopay", "maverick", "trustly", "truust"])
async def test_books_by_the_id_a_dialect_shows(shop: Native, dialect: str):
    payment = await shop.pays(20_000, dialect=dialect)
    await shop.refunds(payment, 1_000)
    # Dialects number on their own: the first one that has a payment of this number is asked.
    said = await shop.read(f"/_control/books?payment={payment['dialect_id']}")
    assert said["payment"] == payment["dialect_id"]
    assert [each["asked"] for each in said["book"]["entries"]] == [1_000]


async def test_books_of_payments_that_are_none(here: World, shop: Native):
    other = await (await here.merchant("other")).pays()
    for query in (
        "",
        "?payment=",
        "?payment=x",
        f"?payment={other['id']}",
        f"?payment={other['dialect_id']}",
        "?pay=1",
    ):
        assert refused(await shop.get(f"/_control/books{query}")) == (404, "payment_not_found")
    assert refused(await shop.get("/_control/books?payment=%00"))[0] == 400


# --- scenarios -------------------------------------------------------------------------------------------------------


async def test_a_payments_refunds_go_wrong_from_now_on(shop: Native):
    payment = await shop.pays()
    said = await script(shop, "decline:card_expired", payment=payment["id"])
    assert said == {"payment": payment["id"], "scenario": "decline:card_expired"}
    for _ in range(2):
        refund = await shop.refunds(payment, 1_000)
        assert (refund["state"], refund["failure"]["code"]) == ("failed", "card_expired")
    await script(shop, "ok", payment=payment["id"])
    assert (await shop.refunds(payment, 1_000))["state"] == "succeeded"


async def test_only_the_next_refund_goes_wrong(shop: Native):
    payment = await shop.pays()
    await script(shop, "decline:card_expired", next_refund_of=payment["id"])
    states = [(await shop.refunds(payment, 1_000))["state"] for _ in range(3)]
    assert states == ["failed", "succeeded", "succeeded"]


async def test_a_refunds_own_scenario_yields_to_what_was_set_for_the_next(shop: Native):
    payment = await shop.pays()
    await script(shop, "decline:no", next_refund_of=payment["id"])
    assert (await shop.refunds(payment, 1_000, scenario="ok"))["state"] == "failed"
    assert (await shop.refunds(payment, 1_000, scenario="pending:60"))["state"] == "pending"


async def test_a_dispute_comes_when_its_time_has_come(here: World, shop: Native):
    payment = await shop.pays()
    await script(shop, "dispute:3600:won", payment=payment["id"])
    await here.advance(3_000)
    assert (await shop.again(payment))["disputed"] == 0
    await here.advance(600)
    assert (await shop.again(payment))["disputed"] == 10_000
    await here.advance(3_600)
    assert (await shop.again(payment))["disputed"] == 0


async def test_scenarios_that_are_none(here: World, shop: Native):
    payment = await shop.pays()
    of = {"payment": payment["id"]}
    bodies: list[Any] = [
        {},
        of,
        {"scenario": "ok"},
        {**of, "next_refund_of": payment["id"], "scenario": "ok"},
        {**of, "scenario": None},
        {**of, "scenario": 1},
        {**of, "scenario": ""},
        {**of, "scenario": "explode"},
        {**of, "scenario": "pending"},
        {**of, "scenario": "pending:-1"},
        {**of, "scenario": "ok+ok"},
        {**of, "scenario": "lost_answer"},
        {**of, "scenario": "wrong_amount:0"},
        {**of, "scenario": "decline:" + "x" * 1_000},
        {"payment": 1, "scenario": "ok"},
        [],
        "x",
        None,
    ]
    for body in bodies:
        assert refused(await shop.post("/_control/scenario", body)) == (400, "bad_request"), body
    assert (await shop.refunds(payment, 1_000))["state"] == "succeeded"


async def test_scenarios_of_payments_that_are_none(here: World, shop: Native):
    other = await here.merchant("other")
    payment = await other.pays()
    for id in (payment["id"], payment["dialect_id"], "x", "", f"pay_{'0' * 32}"):
        for name in ("payment", "next_refund_of"):
            said = await shop.post("/_control/scenario", {name: id, "scenario": "decline:no"})
            assert refused(said) == (404, "payment_not_found")
    assert (await other.refunds(payment, 1_000))["state"] == "succeeded"


async def test_the_books_are_clean(here: World):
    await here.settle()
    await here.assert_clean()
