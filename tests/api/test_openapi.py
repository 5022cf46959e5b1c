"""The published documents: complete, readable by a machine, and true of what is answered."""

import html
import re
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis

from moneyback.api.native import ENDPOINTS
from moneyback.api.openapi import dialect_document, native_document
from moneyback.core.refund import State
from moneyback.dialect import Dialect
from moneyback.dialects import load_dialects
from tests.api.world import Shop, World

every = pytest.mark.parametrize("dialect", load_dialects().values(), ids=lambda dialect: dialect.name)


def plain(document: Any) -> Any:
    """A document as it is after it went over the wire."""
    return msgspec.json.decode(msgspec.json.encode(document))


def parts(value: Any, name: str) -> list[Any]:
    """Every member of that name, however deep."""
    if isinstance(value, dict):
        found = [member for key, member in value.items() if key == name]
        return found + [each for member in value.values() for each in parts(member, name)]
    return [each for member in value for each in parts(member, name)] if isinstance(value, list) else []


def schemas(document: Any) -> list[Any]:
    """Every schema of a document, with what its references lead to beside it."""
    components = document.get("components", {})
    found = [each["schema"] for each in parts(document["paths"], "application/json")]
    found += [each for member in parts(document["paths"], "parameters") for each in parts(member, "schema")]
    return [{**each, "components": components} for each in [*found, *components.get("schemas", {}).values()]]


@pytest.fixture(scope="module")
async def market(here: World) -> Shop:
    """The sandbox's merchant."""
    return await here.demo()


# --- the native API --------------------------------------------------------------------------------------------------


async def test_the_native_document_is_served(here: World):
    served = await here.http.get("/openapi.json")
    assert served.headers["content-type"] == "application/json"
    assert served.json() == plain(native_document())


def test_it_lists_every_endpoint_once():
    document = native_document()
    listed = [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]
    assert sorted(listed) == sorted((each.method, each.path) for each in ENDPOINTS)
    names = parts(document["paths"], "operationId")
    assert len(set(names)) == len(names) == len(ENDPOINTS)


def test_every_operation_says_what_it_takes_and_gives():
    document = native_document()
    for endpoint in ENDPOINTS:
        operation = document["paths"][endpoint.path][endpoint.method.lower()]
        assert endpoint.scope in operation["description"]
        assert operation["summary"]
        assert set(operation["responses"]) == {*map(str, endpoint.statuses), "4XX", "500", "503"}
        assert all(each["description"] and each["content"] for each in operation["responses"].values())
        assert ("requestBody" in operation) == (endpoint.method == "POST")
        declared = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", endpoint.path))
        assert {each["name"] for each in operation["parameters"] if each["in"] == "query"} == set(endpoint.query)
        keyed = any(each["name"] == "Idempotency-Key" for each in operation["parameters"])
        # Asked for twice, a rail is the same one and a delivery is told again; a secret is kept under nobody's key.
        other = endpoint.path.startswith(("/v1/rails", "/v1/deliveries", "/v1/endpoints"))
        assert keyed == (endpoint.method == "POST" and not other), "whatever moves money can be asked for twice"


def test_its_references_lead_somewhere():
    document = plain(native_document())
    for reference in parts(document, "$ref"):
        name = reference.removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"], reference


def test_its_schemas_are_schemas():
    found = schemas(plain(native_document()))
    assert len(found) > 2 * len(ENDPOINTS)
    for schema in found:
        jsonschema_rs.Draft202012Validator(schema)


def test_lists_come_in_pages():
    document = native_document()
    for endpoint in ENDPOINTS:
        if "cursor" in endpoint.query or "limit" in endpoint.query:
            answer = document["paths"][endpoint.path]["get"]["responses"]["200"]
            schema = answer["content"]["application/json"]["schema"]
            assert schema["required"] == ["data", "next_cursor"], endpoint.path
            assert schema["properties"]["data"]["type"] == "array"


def test_bodies_that_are_described_are_those_that_are_taken():
    components = plain(native_document())["components"]["schemas"]
    assert set(components["NewRefund"]["properties"]) >= {
        *("amount", "currency", "fee_refund", "allow_remainder", "expected_refundable", "reason", "reference"),
        *("requested_by", "metadata", "scenario"),
    }
    assert components["NewRefund"]["additionalProperties"] is False
    assert components["NewPayment"]["required"] == ["amount", "currency"]
    assert set(components["Answered"]["required"]) == {"outcome", "evidence_version", "note"}


def test_states_are_those_of_the_engine():
    """What `GET /v1/refunds?state=` may ask for."""
    assert {each.value for each in State} >= {"ready", "unknown", "needs_review", "succeeded"}


# --- the dialects ----------------------------------------------------------------------------------------------------


@every
async def test_a_dialects_document_is_served(here: World, dialect: Dialect):
    served = await here.http.get(f"/openapi/{dialect.name}.json")
    assert served.headers["content-type"] == "application/json"
    document = served.json()
    assert document == plain(dialect_document(dialect))
    assert document["servers"] == [{"url": f"/{dialect.name}"}]
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert listed == {(each.method, each.path) for each in dialect.routes}


@every
def test_a_dialects_document_can_be_read(dialect: Dialect):
    document = plain(dialect_document(dialect))
    for schema in schemas(document):
        jsonschema_rs.Draft202012Validator(schema)
    operations = list(schemathesis.openapi.from_dict(document).get_all_operations())
    assert len(operations) == len(dialect.routes)
    for route in dialect.routes:
        operation = document["paths"][route.path][route.method.lower()]
        assert {each["name"] for each in operation["parameters"]} == set(re.findall(r"{(\w+)}", route.path))
        if route.request_schema:
            assert operation["requestBody"]["content"], route.path
        assert operation["responses"]["default"]["content"]["application/json"]["schema"], route.path


@every
async def test_what_a_dialect_answers_is_what_its_document_says(here: World, market: Shop, dialect: Dialect):
    client, call = market.speaks(dialect.name), market.printed(dialect.name)
    document = plain(dialect_document(dialect))
    paid = await client.pays()
    path = call.path.replace(await market.first_id(dialect.name), paid["dialect_id"])
    made = await client(call.method, path, call.content, call.media)
    assert made.status_code == 200, made.text
    holds(document, next(each.path for each in dialect.routes if each.kind == "guarded"), "post", made.json())
    await here.settle()
    (refund,) = await market.native.all("/v1/refunds", payment=paid["id"])
    reading = [route for route in dialect.routes if route.method == "GET"]
    for id in (paid["dialect_id"], refund["dialect_id"]):
        answers = [(route, await client("GET", client.at(route, id))) for route in reading]
        for route, said in answers:
            if said.status_code == 200 and said.headers["content-type"] == "application/json":
                holds(document, route.path, "get", said.json())
        if id == paid["dialect_id"]:
            assert any(said.status_code == 200 for _, said in answers)


def holds(document: Any, path: str, method: str, value: Any) -> None:
    """The answer has the shape its operation promises."""
    schema = document["paths"][path][method]["responses"]["default"]["content"]["application/json"]["schema"]
    errors = [
        f"{error.instance_path}: {error.message}"
        for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(value)
    ]
    assert not errors, (path, errors)


# --- the page --------------------------------------------------------------------------------------------------------


async def test_the_page_shows_every_operation(here: World):
    served = await here.http.get("/docs")
    assert served.headers["content-type"] == "text/html; charset=utf-8"
    shown = html.unescape(served.text)
    for endpoint in ENDPOINTS:
        assert f"{endpoint.method} {endpoint.path}<" in shown
    for name, dialect in load_dialects().items():
        assert f'href="/openapi/{name}.json"' in shown
        for route in dialect.routes:
            assert f"{route.method} /{name}{route.path}<" in shown


async def test_the_page_needs_nothing_but_a_browser(here: World):
    served = await here.http.get("/docs/")
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|src=", served.text)
    assert all(address.startswith("/openapi") for address in re.findall(r'href="([^"]*)"', served.text))
    policy = served.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


async def test_the_ready_files_addresses_are_those_of_the_documents(market: Shop):
    for name, dialect in load_dialects().items():
        base = market.sections[name]["base_url"]
        assert base.endswith(f"/{name}{dialect.base_path}")
        assert all(route.path.startswith(dialect.base_path) for route in dialect.routes if not route.public)
    assert market.sections["native"]["base_url"].endswith("/v1")
