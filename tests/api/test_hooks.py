"""Where providers send their notifications, over the application; and rails as the native API keeps and shows them."""

from typing import Any

import pytest
from msgspec.structs import replace

from moneyback.api.decode import BOUNDS
from moneyback.flows.hear import read_told
from moneyback.wiring import learn_rails
from tests.api.test_native import new_rail
from tests.api.world import Native, World, refused, without_database
from tests.flows.provider import KEY, hear


@pytest.fixture
async def shop(here: World) -> Native:
    return await here.merchant()


async def address(here: World, shop: Native, name: str = "chip-my") -> str:
    """A rail's own address, once the process knows the rail; what is sent to it is read as the tests' provider's."""
    said = await shop.post("/v1/rails", new_rail(shop.merchant.hex, name=name))
    assert said.status_code == 201, said.text
    await learn_rails(here.parts)
    rails = here.parts.world.own_rails
    rails[shop.merchant, name] = replace(rails[shop.merchant, name], hear=lambda sent: hear(sent, {"key": KEY}))
    return str(said.json()["hook"])


async def told(here: World) -> list[Any]:
    return await here.sql("select rail, digest, times, raw from notifications order by came_at")


# --- the address -----------------------------------------------------------------------------------------------------


async def test_a_notification_is_kept_and_answered_in_the_providers_words(here: World, shop: Native):
    hook = await address(here, shop)
    for times in (1, 2):
        said = await here.http.post(hook, content=f"{KEY}|d-{shop.merchant.hex}|p|r".encode())
        assert (said.status_code, said.json()) == (200, {"received": True})
        [row] = [each for each in await told(here) if each["digest"] == f"d-{shop.merchant.hex}"]
        assert row["times"] == times
    assert await read_told(here.parts.world, here.parts.news) >= 1


@pytest.mark.parametrize("method", ["PUT", "GET"])
async def test_some_providers_use_other_methods(here: World, shop: Native, method: str):
    hook = await address(here, shop)
    said = await here.http.request(method, f"{hook}?EventType=x", content=f"{KEY}|{shop.merchant.hex}-m|p|".encode())
    assert said.status_code == 200


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("OPTIONS", 204), ("POST", 200)])
async def test_a_request_that_says_nothing_only_sees_that_somebody_is_there(
    here: World, shop: Native, method: str, status: int
):
    hook, before = await address(here, shop), len(await told(here))
    said = await here.http.request(method, hook)
    assert (said.status_code, said.content) == (status, b"")
    assert len(await told(here)) == before


async def test_what_is_forged_is_401_and_counted_and_leaves_nothing(here: World, shop: Native):
    hook, before = await address(here, shop), len(await told(here))
    said = await here.http.post(hook, content=b"wrong|d|p|r")
    assert (said.status_code, said.content) == (401, b"")
    assert len(await told(here)) == before
    metrics = (await here.http.get("/metrics")).text
    assert 'moneyback_notifications_total{outcome="forged",rail="chip-my"}' in metrics


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/_hooks/" + "0" * 64, "POST", 404),
        ("/_hooks/" + "0" * 64, "GET", 404),
        ("/_hooks/" + "0" * 999, "POST", 404),
        ("/_hooks/", "POST", 404),
        ("/_hooks", "POST", 404),
        ("/_hooks/a/b", "POST", 404),
        ("/_hooks/%00", "POST", 404),
        ("/_hooks/" + "0" * 64, "DELETE", 405),
        ("/_hooks/" + "0" * 64, "PATCH", 405),
    ],
)
async def test_addresses_and_methods_that_lead_nowhere(here: World, path: str, method: str, status: int):
    said = await here.http.request(method, path, content=b"x" if method != "GET" else None)
    assert (said.status_code, said.content) == (status, b"")


async def test_a_body_is_bounded(here: World, shop: Native):
    hook = await address(here, shop)
    said = await here.http.post(hook, content=b"x" * (BOUNDS.size_max + 1))
    assert (said.status_code, said.headers["connection"]) == (413, "close")


async def test_while_the_database_is_away_the_provider_is_asked_to_come_again(here: World, shop: Native):
    hook = await address(here, shop)
    async with without_database(here):
        said = await here.http.post(hook, content=f"{KEY}|later-{shop.merchant.hex}|p|".encode())
    assert said.status_code == 503
    assert said.headers["retry-after"]
    assert f"later-{shop.merchant.hex}" not in {each["digest"] for each in await told(here)}


# --- rails -----------------------------------------------------------------------------------------------------------


async def test_a_rails_credentials_are_never_shown(here: World, shop: Native):
    said = await shop.post("/v1/rails", new_rail(shop.merchant.hex))
    listed, gone = await shop.get("/v1/rails"), await shop("DELETE", "/v1/rails/chip-my")
    for each in (said, listed, gone):
        assert "a-secret-key" not in each.text
    [shown] = listed.json()["data"]
    assert shown == said.json()
    assert shown["credentials"] == sorted(new_rail("x")["credentials"])
    assert shown["hook"].startswith("/_hooks/")
    assert len(shown["hook"]) > 64
    assert (await shop.get("/v1/rails")).json()["data"] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"connector": "nope"}, "no such connector"),
        ({"credentials": {}}, "needs these credentials"),
        ({"name": "sandbox"}, "built-in"),
        ({"name": "a b"}, "name"),
        ({"base_url": "ftp://x.example"}, "https"),
        ({"base_url": "http://127.0.0.1:9000"}, "https"),
        ({"at_once": 0}, "at_once"),
        ({"drift_every_s": 1}, "drift_every_s"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_rail_that_makes_no_sense_is_refused_with_the_reason(
    here: World, shop: Native, change: dict[str, Any], words: str
):
    said = await shop.post("/v1/rails", new_rail(shop.merchant.hex, **change))
    assert refused(said) == (400, "bad_request")
    assert words in said.text
    assert "a-secret-key" not in said.text


async def test_an_account_of_another_merchant_is_taken(here: World, shop: Native):
    other = await here.merchant("other")
    assert (await shop.post("/v1/rails", new_rail(shop.merchant.hex))).status_code == 201
    assert refused(await other.post("/v1/rails", new_rail(shop.merchant.hex))) == (409, "account_taken")


async def test_a_rail_that_is_not_there_cannot_be_removed(shop: Native):
    assert refused(await shop("DELETE", "/v1/rails/nope")) == (404, "rail_not_found")


async def test_what_is_in_doubt_is_a_figure_of_its_rail(here: World, shop: Native):
    payment = await shop.pays(rail="sandbox-0")
    await shop.waits(payment, 700, scenario="lost_answer:executed")
    await here.settle()
    [rail] = await shop.all("/v1/rails")
    [doubt] = rail["doubt"]
    assert (rail["name"], rail["connector"]) == ("sandbox-0", None)
    assert (doubt["currency"], doubt["amount"], doubt["refunds"]) == ("EUR", 700, 1)
    assert doubt["since"] < doubt["next_look_at"]
    metrics = (await here.http.get("/metrics")).text
    assert 'moneyback_doubt_refunds{rail="sandbox-0"}' in metrics
    assert 'moneyback_doubt_next_look_seconds{rail="sandbox-0"}' in metrics
