"""Customers: for whom payments were established, as far as that is kept, and the calls that read them.

The merchant knows a customer by an id of its own, Trustly by a number. Names, addresses, and whatever else tells who
the customer is, are not kept.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from itertools import count
from typing import Any, Final

import msgspec

from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    Incoming,
    ListDocuments,
    LoadDocument,
    NextNumber,
    Outgoing,
    Route,
    SaveDocument,
)
from moneyback.dialects.trustly.kept import TEXT_MAX
from moneyback.dialects.trustly.objects import merchant_id
from moneyback.dialects.trustly.schemas import CUSTOMER, CUSTOMER_LIST
from moneyback.dialects.trustly.server import ACCEPTS, invalid, text_in
from moneyback.dialects.trustly.wire import milliseconds

CUSTOMERS: Final = "customer"
"""The kind of document in which customers are kept, each beneath its number."""
LISTED: Final = 100
FILTERS: Final = ("externalId", "customerId")
TEXTS: Final = ("vip", "externalTier", "currency")
"""What the merchant says of a customer and may be kept: it does not tell who they are."""
DIGITS: Final = 15
_FIRST: Final = 10 ** (DIGITS - 1)
_MANY: Final = 8 * _FIRST  # none begins with a 9


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """What an establish call says of the customer."""

    external_id: str | None  # the merchant's own id
    customer_id: str | None  # the number, of a customer who was met before
    facts: Mapping[str, Any]


# --- what is kept ----------------------------------------------------------------------------------------------------


def customer_in(body: Mapping[str, Any]) -> Stated | None:
    """The customer of an establish call whose names are joined by points; None without one. Raises BadParameter."""
    if not any(name.startswith("customer.") and value not in (None, "") for name, value in body.items()):
        return None
    return Stated(
        external_id=text_in(body, "customer.externalId"),
        customer_id=text_in(body, "customer.customerId"),
        facts=_facts(body),
    )


def _facts(body: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name in TEXTS:
        value = body.get(f"customer.{name}")
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            facts[name] = str(value)[:TEXT_MAX]
    day = str(body.get("customer.enrollDate"))
    if day.isascii() and day.isdecimal() and len(day) <= DIGITS:
        facts["enrollDate"] = int(day)
    return facts


def keep(stated: Stated, caller: Caller, now: datetime) -> Generator[Ask, Any, Mapping[str, Any]]:
    """The customer as it is kept from now on. What is said again replaces what was said before."""
    number, known = yield from _place(stated, caller)
    customer = {
        "createdAt": milliseconds(now),
        **(known or {}),
        **stated.facts,
        "customerId": number,
        "updatedAt": milliseconds(now),
    }
    if stated.external_id is not None:
        customer["externalId"] = stated.external_id
    yield SaveDocument(CUSTOMERS, number, customer)
    return customer


def _place(stated: Stated, caller: Caller) -> Generator[Ask, Any, tuple[str, Mapping[str, Any] | None]]:
    """A customer's number, and what is known of them: the merchant's own id decides, then the number, if we gave it."""
    if stated.external_id is not None:
        return (yield from _numbered(stated.external_id, caller))
    if stated.customer_id is not None:
        known: Mapping[str, Any] | None = yield LoadDocument(CUSTOMERS, stated.customer_id)
        if known is not None:
            return stated.customer_id, known
    return str((yield NextNumber())), None


def _numbered(external_id: str, caller: Caller) -> Generator[Ask, Any, tuple[str, Mapping[str, Any] | None]]:
    """The number of the customer whom the merchant calls so. Another one's number is passed over."""
    for number in numbers(external_id, caller):
        known: Mapping[str, Any] | None = yield LoadDocument(CUSTOMERS, number)
        if known is None or known.get("externalId") == external_id:
            return number, known
    raise AssertionError("numbers do not end")


def numbers(external_id: str, caller: Caller) -> Iterator[str]:
    """Numbers for a customer, in the order in which they are tried.

    They follow from the merchant's own id, so that two calls at once give the same customer the same number.
    """
    for turn in count():
        text = f"{caller.merchant}:{turn}:{external_id}"
        yield str(_FIRST + int.from_bytes(sha256(text.encode()).digest()) % _MANY)


# --- what is shown ---------------------------------------------------------------------------------------------------


def shown(customer: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """The Customer object, without the members that we know nothing of (provider docs: OpenAPI, Customer)."""
    names = ("customerId", "externalId", *TEXTS, "enrollDate", "createdAt", "updatedAt")
    return {"merchantId": merchant_id(caller), **{name: customer[name] for name in names if name in customer}}


def read_customer(incoming: Incoming, caller: Caller) -> Conversation:
    """Show a customer, beneath its name alone (provider docs: OpenAPI, Get Customer by ID)."""
    number = incoming.arguments["customerId"]
    customer: Mapping[str, Any] | None = yield LoadDocument(CUSTOMERS, number)
    if customer is None:
        return invalid(f"Could not find a customer using Id {number}")
    return Outgoing(body={"customer": shown(customer, caller)})


def list_customers(incoming: Incoming, caller: Caller) -> Conversation:
    """The customer with an id, the merchant's own or ours; else the newest (provider docs: OpenAPI, Get Customers).

    There are no other filters and no pages there, so a list without a filter ends somewhere.
    """
    for name, _ in incoming.query:
        if name not in FILTERS:
            return invalid(f"Parameter {name} is not supported here")
    found = yield from _found(incoming.asked("externalId"), incoming.asked("customerId"), caller)
    return Outgoing(body={"customers": [shown(each, caller) for each in found]})


def _found(
    external_id: str | None, customer_id: str | None, caller: Caller
) -> Generator[Ask, Any, tuple[Mapping[str, Any], ...]]:
    if external_id is None and customer_id is None:
        newest: tuple[Mapping[str, Any], ...] = yield ListDocuments(kind=CUSTOMERS, ascending=False, limit=LISTED)
        return newest
    known: Mapping[str, Any] | None
    if external_id is None:
        known = yield LoadDocument(CUSTOMERS, customer_id or "")
    else:
        _, known = yield from _numbered(external_id, caller)
    wanted = known is not None and customer_id in (None, known["customerId"])
    return (known,) if known is not None and wanted else ()


ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/customers",
        handle=list_customers,
        kind="relayed",
        accepts=ACCEPTS,
        summary="List customers, or find one by the merchant's own id",
        response_schema=CUSTOMER_LIST,
    ),
    Route(
        method="GET",
        path="/api/v1/customers/{customerId}",
        handle=read_customer,
        kind="relayed",
        accepts=ACCEPTS,
        summary="Read a customer, as far as one is kept",
        response_schema=CUSTOMER,
    ),
)
