"""Customers: buyers and sellers, with the wallets, bank accounts and cards that are theirs (provider docs: Customers).

Here live their calls and their printing. A new customer has a wallet in the account's currency.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    Incoming,
    Instant,
    ListDocuments,
    NewId,
    NextNumber,
    Outgoing,
    SaveDocument,
)
from moneyback.dialects.truust import fields, lists
from moneyback.dialects.truust.cards import print_card
from moneyback.dialects.truust.documents import BANK_ACCOUNT, CARD, CUSTOMER, WALLET, Document, find
from moneyback.dialects.truust.envelope import listed, relayed, said, sent
from moneyback.dialects.truust.fields import TAG, Invalid, Reader, missing, parse
from moneyback.dialects.truust.lists import Listing, parse_listing
from moneyback.dialects.truust.objects import bank_account
from moneyback.dialects.truust.schemas import (
    BANK_ACCOUNTS,
    CARDS,
    CUSTOMER_ANSWER,
    CUSTOMER_LIST,
    CUSTOMER_REQUEST,
    WALLETS,
)
from moneyback.dialects.truust.wallets import account_currency, new_wallet, print_wallet
from moneyback.dialects.truust.wire import VERSION, time_text
from moneyback.dialects.truust.words import NOT_FOUND, invalid

KYC_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "CLEARJUNCTION": (
        *("date_birth", "street_residence", "city_residence", "zip_residence", "country_residence"),
        *("id_card_type", "id_card", "id_card_country"),
    ),
    "CURRENCYCLOUD": ("date_birth", "type", "street_residence", "city_residence", "country_residence"),
}
"""What `metadata.kyc` must hold for customers that a gateway has to know (provider docs: Create customer)."""
SUB_LISTED: Final = 100
"""How many of a customer's objects one page has: the reference gives these lists no paging, and no bound."""

_SCALARS: Final[Mapping[str, Reader]] = {
    "name": fields.text(),
    "first_name": fields.text(),
    "last_name": fields.text(),
    "email": fields.email,
    "prefix": fields.matching(r"\+?[0-9]{1,4}"),
    "phone": fields.matching(r"[0-9][0-9 ()./-]{2,24}"),
    "locale": fields.text(10),
    "tag": TAG,
    "metadata": fields.mapping,
}
_CREATED: Final[Mapping[str, Reader]] = {
    **_SCALARS,
    "vat_id": fields.loose_text(),
    "type": fields.one_of(KYC_NEEDED),
}
_MEMBERS: Final = (
    *("id", "self", "uuid", "type", "name", "first_name", "last_name", "email", "prefix", "phone", "tag"),
    *("metadata", "created_at"),
)
_NUMBERS: Final = ("id",)
SEARCHED: Final = ("id", "uuid", "type", "name", "first_name", "last_name", "email", "prefix", "phone", "tag")
SORTED: Final = (*SEARCHED, "created_at")


# --- creating and changing -------------------------------------------------------------------------------------------


def create_customer(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /customers: a new one, or the one with the same address or telephone number, brought up to date."""
    try:
        asked = parse(incoming, _CREATED)
        _check(asked)
    except Invalid as bad:
        return invalid(bad.errors)
    known = yield from _known(asked)
    document = (yield from _new(caller)) if known is None else known
    document = {**document, **{name: value for name, value in asked.items() if value is not None}}
    yield SaveDocument(CUSTOMER, str(document["id"]), document)
    return said(print_customer(document), caller)


def _check(asked: Mapping[str, Any]) -> None:
    """An address or a telephone number there must be, and what the customer's gateway wants to know. Raises Invalid."""
    errors: fields.Errors = {}
    if asked.get("email") is None and asked.get("phone") is None:
        errors["email"] = [missing("email", "when phone is not present")]
        errors["phone"] = [missing("phone", "when email is not present")]
    if asked.get("phone") is not None and asked.get("prefix") is None:
        errors["prefix"] = [missing("prefix", "when phone is present")]
    for name in _kyc_lacking(asked):
        errors[f"metadata.kyc.{name}"] = [f"The metadata.kyc.{name} field is required."]
    if errors:
        raise Invalid(errors)


def _kyc_lacking(asked: Mapping[str, Any]) -> list[str]:
    kyc = (asked.get("metadata") or {}).get("kyc")
    given = kyc if isinstance(kyc, Mapping) else {}
    return [name for name in KYC_NEEDED.get(asked.get("type") or "", ()) if not given.get(name)]


def _known(asked: Mapping[str, Any]) -> Generator[Ask, Any, Document | None]:
    """The customer with this address, else the one with this telephone number."""
    for match in (("email",), ("prefix", "phone")):
        wanted = {name: asked.get(name) for name in match}
        if None in wanted.values():
            continue
        found: tuple[Document, ...] = yield ListDocuments(kind=CUSTOMER, match=wanted, limit=1)
        if found:
            return found[0]
    return None


def _new(caller: Caller) -> Generator[Ask, Any, Document]:
    """A customer with a wallet of their own in the account's currency (clients read `connections.wallet`)."""
    number: int = yield NextNumber()
    uuid = str((yield NewId()))
    at = time_text((yield Instant()))
    owner = {"id": number, "uuid": uuid}
    wallet = yield from new_wallet(account_currency(caller), owner=owner)
    blank = dict.fromkeys(_CREATED)
    default = {"wallet": wallet["uuid"], "wallet_id": wallet["id"]}
    return {**blank, "id": number, "uuid": uuid, "created_at": at, **default}


def update_customer(incoming: Incoming, caller: Caller) -> Conversation:
    """PUT /customers/{uuid}."""
    document = yield from find(CUSTOMER, incoming.arguments["uuid"])
    if document is None:
        return NOT_FOUND
    try:
        asked = parse(incoming, _SCALARS)
    except Invalid as bad:
        return invalid(bad.errors)
    document = {**document, **asked}
    if document["email"] is None and document["phone"] is None:
        return invalid({"email": [missing("email", "when phone is not present")]})
    yield SaveDocument(CUSTOMER, str(document["id"]), document)
    return said(print_customer(document), caller)


# --- reading ---------------------------------------------------------------------------------------------------------


def read_customer(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /customers/{uuid}."""
    document = yield from find(CUSTOMER, incoming.arguments["uuid"])
    return NOT_FOUND if document is None else said(print_customer(document), caller)


def list_customers(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /customers."""
    try:
        listing = parse_listing(incoming, SEARCHED, SORTED)
    except Invalid as bad:
        return invalid(bad.errors)
    match = lists.members(listing, _NUMBERS)
    rows, total = ((), 0) if match is None else (yield from lists.page_of_documents(CUSTOMER, match, listing))
    return sent(lists.paginated([print_customer(each) for each in rows], total, listing), caller)


def print_customer(document: Document) -> dict[str, Any]:
    """The customer (provider docs: Get customer)."""
    path = f"{VERSION}/customers/{document['uuid']}"
    printed = {name: document.get(name) for name in _MEMBERS} | {"self": path}
    links = {each: f"{path}/{each}" for each in ("wallets", "bankaccounts", "cards")}
    return {**printed, "connections": {"wallet": f"{VERSION}/wallets/{document['wallet']}", **links}}


def list_wallets_of(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /customers/{uuid}/wallets."""
    rows = yield from _belonging(incoming, WALLET)
    if isinstance(rows, Outgoing):
        return rows
    return listed((yield from lists.each_of(rows, print_wallet)), caller)


def list_bank_accounts_of(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /customers/{uuid}/bankaccounts."""
    rows = yield from _belonging(incoming, BANK_ACCOUNT)
    return rows if isinstance(rows, Outgoing) else listed([bank_account(each) for each in rows], caller)


def list_cards_of(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /customers/{uuid}/cards."""
    rows = yield from _belonging(incoming, CARD)
    return rows if isinstance(rows, Outgoing) else listed([print_card(each) for each in rows], caller)


def _belonging(incoming: Incoming, kind: str) -> Generator[Ask, Any, Outgoing | tuple[Document, ...]]:
    """A page of the customer's own documents of a kind, newest first."""
    document = yield from find(CUSTOMER, incoming.arguments["uuid"])
    if document is None:
        return NOT_FOUND
    try:
        listing = parse_listing(incoming, (), ("created_at",))
    except Invalid as bad:
        return invalid(bad.errors)
    if incoming.asked("per_page") is None:
        listing = Listing(page=listing.page, per_page=SUB_LISTED)
    rows, _ = yield from lists.page_of_documents(kind, {"customer": document["uuid"]}, listing)
    return tuple(rows)


_ALL, _ONE = "/2.0/customers", "/2.0/customers/{uuid}"
ROUTES: Final = (
    relayed("GET", _ALL, list_customers, "List customers", CUSTOMER_LIST),
    relayed(
        *("POST", _ALL, create_customer, "Create a customer, or update the one with the same email or phone"),
        *(CUSTOMER_ANSWER, CUSTOMER_REQUEST),
    ),
    relayed("GET", _ONE, read_customer, "Read a customer", CUSTOMER_ANSWER),
    relayed("PUT", _ONE, update_customer, "Update a customer", CUSTOMER_ANSWER, CUSTOMER_REQUEST),
    relayed("GET", f"{_ONE}/wallets", list_wallets_of, "List a customer's wallets", WALLETS),
    relayed("GET", f"{_ONE}/bankaccounts", list_bank_accounts_of, "List a customer's bank accounts", BANK_ACCOUNTS),
    relayed("GET", f"{_ONE}/cards", list_cards_of, "List a customer's cards", CARDS),
)
