"""What is published of every dialect can be turned into a client: generators leave out what says too little."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from moneyback.api.openapi import dialect_document
from moneyback.dialect import Dialect
from moneyback.dialects.chip import DIALECT as CHIP
from moneyback.dialects.mangopay import DIALECT as MANGOPAY
from moneyback.dialects.maverick import DIALECT as MAVERICK
from moneyback.dialects.trustly import DIALECT as TRUSTLY
from moneyback.dialects.truust import DIALECT as TRUUST


def lists_of_nothing(part: Any, path: str = "") -> Iterator[str]:
    """Where a schema is a list and does not say of what."""
    if isinstance(part, dict):
        kind = part.get("type")
        if "array" in (kind if isinstance(kind, list) else [kind]) and "items" not in part:
            yield path
        for name, inner in part.items():
            yield from lists_of_nothing(inner, f"{path}/{name}")
    elif isinstance(part, list):
        for number, inner in enumerate(part):
            yield from lists_of_nothing(inner, f"{path}/{number}")


def mixed_enums(part: Any, path: str = "") -> Iterator[str]:
    """Where the values of an enumeration are of several types, null aside."""
    if isinstance(part, dict):
        values = part.get("enum")
        if isinstance(values, list) and len({type(each) for each in values if each is not None}) > 1:
            yield path
        for name, inner in part.items():
            yield from mixed_enums(inner, f"{path}/{name}")
    elif isinstance(part, list):
        for number, inner in enumerate(part):
            yield from mixed_enums(inner, f"{path}/{number}")


EVERY = pytest.mark.parametrize(
    "dialect", [CHIP, MANGOPAY, MAVERICK, TRUSTLY, TRUUST], ids=lambda dialect: dialect.name
)


@EVERY
def test_every_enumeration_is_of_one_type(dialect: Dialect):
    document = msgspec.json.decode(msgspec.json.encode(dialect_document(dialect)))
    assert list(mixed_enums(document)) == []


@EVERY
def test_every_list_says_what_it_holds(dialect: Dialect):
    document = msgspec.json.decode(msgspec.json.encode(dialect_document(dialect)))
    assert list(lists_of_nothing(document)) == []
