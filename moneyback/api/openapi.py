"""OpenAPI 3.1, drawn from the tables that route requests, and a page to read it on that needs nothing but a browser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any, Final, get_origin

import msgspec

from moneyback import __version__
from moneyback.api.native import ENDPOINTS, Endpoint
from moneyback.dialect import Dialect, Route

DONE: Final = {
    200: "Here it is.",
    201: "It is made, and this is how it stands.",
    202: "It is admitted and not sent yet; read it again later.",
}
PROBLEM_SCHEMA: Final = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable; meant for programs"},
        "reasons": {
            "type": "array",
            "description": "every reason of a refusal, the first one leading",
            "items": {"$ref": "#/components/schemas/ReasonView"},
        },
    },
}


def native_document() -> dict[str, Any]:
    """The native API's description."""
    types = [each for endpoint in ENDPOINTS for each in (endpoint.takes, endpoint.gives) if each is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _native_operation(endpoint, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Moneyback", "version": __version__, "description": "One refund API over every provider."},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": PROBLEM_SCHEMA},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def dialect_document(dialect: Dialect) -> dict[str, Any]:
    """A dialect's description: what is served of the provider's API. Paths follow the dialect's prefix."""
    paths: dict[str, Any] = {}
    for route in dialect.routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _dialect_operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": dialect.title, "version": __version__},
        "servers": [{"url": f"/{dialect.name}"}],
        "paths": paths,
    }


def page(documents: Mapping[str, Mapping[str, Any]]) -> str:
    """The reference as one page: every operation of every document, folded."""
    parts = [_HEAD]
    for address, document in documents.items():
        info = document["info"]
        parts.append(
            f'<section><h2>{escape(info["title"])}</h2><p><a href="{escape(address)}">{escape(address)}</a></p>'
        )
        prefix = document.get("servers", [{"url": ""}])[0]["url"]
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                parts.append(_operation_html(prefix + path, method, operation))
        parts.append("</section>")
    return "".join([*parts, "</main></html>"])


def _native_operation(endpoint: Endpoint, schemas: Mapping[int, Any]) -> dict[str, Any]:
    parameters = _path_parameters(endpoint.path)
    parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in endpoint.query]
    if endpoint.keyed:
        parameters.append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}})
    problem = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    shown = schemas[id(endpoint.gives)]
    if get_origin(endpoint.gives) is list:
        shown = _page_of(shown)
    good = {"content": {"application/json": {"schema": shown}}}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "description": (endpoint.handle.__doc__ or "").strip() + f" Needs the scope `{endpoint.scope}`.",
        "operationId": endpoint.handle.__name__,
        "parameters": parameters,
        "responses": {
            **{str(status): {"description": DONE[status], **good} for status in endpoint.statuses},
            "4XX": {"description": "Refused: nothing was changed.", **problem},
            "500": {"description": "A mistake of ours.", **problem},
            "503": {"description": "The database is away: nothing was admitted. Ask again.", **problem},
        },
    }
    if endpoint.takes is not None:
        body = {"application/json": {"schema": schemas[id(endpoint.takes)]}}
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _page_of(rows: Mapping[str, Any]) -> dict[str, Any]:
    """A list as it is answered: some rows, and where the next ones begin."""
    cursor = {"type": ["string", "null"], "description": "what to ask on with; null where nothing follows"}
    return {"type": "object", "required": ["data", "next_cursor"], "properties": {"data": rows, "next_cursor": cursor}}


_MEDIA = {"json": "application/json", "form": "application/x-www-form-urlencoded", "multipart": "multipart/form-data"}


def _dialect_operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "parameters": _path_parameters(route.path),
        "responses": {
            "default": {
                "description": "as the provider answers",
                "content": {"application/json": {"schema": dict(route.response_schema)}},
            }
        },
    }
    if route.request_schema:
        content = {_MEDIA[each]: {"schema": dict(route.request_schema)} for each in route.accepts if each in _MEDIA}
        operation["requestBody"] = {"content": content}
    return operation


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _operation_html(path: str, method: str, operation: Mapping[str, Any]) -> str:
    lines = [f"<p>{escape(operation.get('description', ''))}</p>"]
    lines += [
        f"<p><code>{escape(parameter['name'])}</code> in {escape(parameter['in'])}</p>"
        for parameter in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {})
    for media, content in body.items():
        text = msgspec.json.format(msgspec.json.encode(content["schema"]), indent=2).decode()
        lines.append(f"<p>{escape(media)}</p><pre>{escape(text)}</pre>")
    summary = f"<code>{method.upper()} {escape(path)}</code> {escape(operation['summary'])}"
    return f"<details><summary>{summary}</summary>{''.join(lines)}</details>"


_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Moneyback API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5 }
main { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
details { border-bottom: 1px solid #8884; padding: .4rem 0 }
summary { cursor: pointer } pre { overflow: auto; background: #8881; padding: .8rem; border-radius: .3rem }
</style><main><h1>Moneyback API</h1>
<p>Send <code>Authorization: Bearer</code> with a native key, or a provider's own scheme under its prefix.</p>
"""
