"""Requests nobody thought of: drawn from the published documents, and bodies drawn from what a refund call knows.

Whatever is drawn, no answer is a server's error, what the native API answers is what its document says, and no more
money leaves a payment than came in with it.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx2
import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from moneyback.api.openapi import dialect_document, native_document
from moneyback.dialects import load_dialects
from tests.api.world import BASE, FORM, JSON, Native, Shop, prepare, running

T = TypeVar("T")
DIALECTS = tuple(load_dialects())
SURFACES = ("native", *DIALECTS)
PAID = 1_000_000
bounded = settings(max_examples=settings().max_examples // 5, suppress_health_check=list(HealthCheck))
load_all_checks()


def operations(surface: str) -> list[Any]:
    """What a document lists, as schemathesis draws requests from it."""
    document = native_document() if surface == "native" else dialect_document(load_dialects()[surface])
    schema = schemathesis.openapi.from_dict(msgspec.json.decode(msgspec.json.encode(document)))
    return [operation for each in schema.get_all_operations() if (operation := each.ok())]  # type: ignore[union-attr]


OPERATIONS = {surface: operations(surface) for surface in SURFACES}


class Stage:
    """The application on a loop that runs only while a request does: requests are drawn outside of it."""

    def __init__(self, runner: asyncio.Runner, market: Shop) -> None:
        self._runner = runner
        self.market = market
        self.known: dict[str, list[str]] = {}

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(story)

    @property
    def native(self) -> Native:
        return self.market.native

    def ask(self, surface: str, asked: requests.PreparedRequest) -> httpx2.Response:
        """Send a request as this merchant's client."""
        spoken = None if surface == "native" else self.market.speaks(surface)
        credentials = spoken.credentials if spoken else {"Authorization": f"Bearer {self.native.key}"}
        headers = list({**asked.headers, **credentials}.items())
        http = self.native.world.http
        return self.run(http.request(asked.method, asked.url, content=asked.body, headers=headers))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stage(module_database: str) -> Iterator[Stage]:
    """The sandbox's merchant, all of whose payments may be refunded."""
    with asyncio.Runner() as runner:
        runner.run(prepare(module_database))
        context = running(module_database, with_worker=True)
        stage = Stage(runner, runner.run(runner.run(context.__aenter__()).demo()))
        runner.run(name_things(stage))
        yield stage
        runner.run(context.__aexit__(None, None, None))


async def name_things(stage: Stage) -> None:
    """Ids that name something: without them hardly a request would come further than "no such payment"."""
    paid = await stage.native.pays(PAID, order="o-1")
    refund = await stage.native.refunds(paid, 100, scenario="pending:600")
    stage.known["native"] = [paid["id"], refund["id"], "o-1", "1"]
    for name in DIALECTS:
        stage.known[name] = [(await stage.market.speaks(name).pays(PAID))["dialect_id"] for _ in range(3)]


# --- from the documents ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("surface", SURFACES)
@bounded
@given(data=st.data())
def test_requests_drawn_from_the_documents(stage: Stage, surface: str, data: st.DataObject):
    operation = data.draw(st.sampled_from(OPERATIONS[surface]))
    mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
    case = data.draw(operation.as_strategy(generation_mode=mode))
    known = data.draw(st.one_of(st.none(), st.sampled_from(stage.known[surface])))
    if known is not None:
        own = stage.market.sections[surface].get("client_id", known)
        case.path_parameters = {name: own if name == "ClientId" else known for name in case.path_parameters}
    prefix = "" if surface == "native" else f"/{surface}"
    answer = stage.ask(surface, requests.Request(**case.as_transport_kwargs(base_url=BASE + prefix)).prepare())
    checks = ["not_a_server_error"]
    if surface == "native" and answer.status_code != 405:
        checks += ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
    case.validate_response(answer, checks=[CHECKS.get_one(name) for name in checks])


# --- from what a refund call knows -----------------------------------------------------------------------------------

AMOUNTS: st.SearchStrategy[Any] = st.sampled_from(
    [
        *("10", 10, "10.00", "1e2", "-1", -1, 0, "0", "", None, [], {}, True, False, "1,000.00", " 10 ", "+10", "0x10"),
        *("١٠", "10.", ".5", "NaN", "Infinity", "9" * 30, 2**63 - 1, -(2**63) + 1, 1, 99, 100, "0.99", "0.98"),
        *map(Decimal, ("10.0", "10.005", "1E+2", "0.001", "1E-30")),
        "1" + "0" * 400,
    ]
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300),
    st.sampled_from(["EUR", "USD", "MYR", "24", "ignore_mindate", "4111111111111111", "é" * 200, "\u2028", "%00", "'"]),
)
VALUES = st.recursive(
    st.one_of(AMOUNTS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


def bodies(name: str) -> st.SearchStrategy[Any]:
    """Bodies with the members a refund call knows, and with others, holding what it expects and what it does not."""
    (route, *_) = [each for each in load_dialects()[name].routes if each.kind == "guarded"]
    known = route.request_schema.get("properties", {})
    members: dict[str, Any] = {member: st.one_of(AMOUNTS, VALUES, nested(schema)) for member, schema in known.items()}
    drawn = st.fixed_dictionaries({}, optional=members)
    return st.one_of(drawn, st.builds(dict.__or__, drawn, st.dictionaries(TEXTS, VALUES, max_size=2)), VALUES)


def nested(schema: Any) -> st.SearchStrategy[Any]:
    """What an object among the members may hold."""
    inside = schema.get("properties") or {"Currency": {}, "Amount": {}, "id": {}}
    return st.fixed_dictionaries({}, optional={member: st.one_of(AMOUNTS, VALUES) for member in inside})


_encode = msgspec.json.Encoder(decimal_format="number").encode


@pytest.mark.parametrize("name", DIALECTS)
@bounded
@given(data=st.data())
def test_bodies_of_a_refund_call(stage: Stage, name: str, data: st.DataObject):
    body = data.draw(bodies(name))
    form = isinstance(body, dict) and data.draw(st.booleans())
    content = urlencode({key: str(value) for key, value in body.items()}).encode() if form else _encode(body)
    stage.run(refund_with(stage, name, content, FORM if form else JSON))


async def refund_with(stage: Stage, name: str, content: bytes, media: str) -> None:
    """One payment, one request: what was given back is what the bank paid, and at most what came in."""
    client, call = stage.market.speaks(name), stage.market.printed(name)
    paid = await client.pays(PAID)
    path = call.path.replace(await stage.market.first_id(name), paid["dialect_id"])
    said = await client("POST", path, content, media)
    assert said.status_code < 500, said.text
    assert said.json()
    while flights := client.world.parts.world.flights:  # some are answered before the bank is
        await asyncio.wait(set(flights.values()))
    after = await client.native.again(paid)
    entries = await client.native.executions(paid)
    assert len(entries) <= (1 if said.status_code < 300 else 0)
    assert after["captured"] - after["refundable"] == sum(each["amount"] for each in entries)


def test_the_books_are_clean(stage: Stage):
    stage.run(stage.native.world.settle())
    stage.run(stage.native.world.assert_clean())
