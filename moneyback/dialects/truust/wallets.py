"""Wallets: the account's, its customers' and its orders', with what moved on them (provider docs: Wallets).

A document says whose a wallet is; what stands on it and what moved is the ledger's, under the text of its number. Each
order has one of its own, its escrow: what its buyer paid stands there until the order is released. Those are read like
any other and not listed.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final
from uuid import uuid5

import iso4217

from moneyback.core.ledger import Kind, Movement
from moneyback.core.ledger import wallet as account_of
from moneyback.core.payment import Payment, PaymentKind
from moneyback.core.refund import Refund
from moneyback.dialect import (
    Ask,
    BalanceOf,
    Caller,
    Conversation,
    Incoming,
    Instant,
    ListMovements,
    NewId,
    NextNumber,
    PaymentOf,
    RefundOf,
    SaveDocument,
)
from moneyback.dialects.truust import fields, lists
from moneyback.dialects.truust.documents import CUSTOMER, ESCROW, WALLET, Document, Finding, find, named, numbered
from moneyback.dialects.truust.envelope import listed, relayed, said
from moneyback.dialects.truust.fields import TAG, Invalid, missing, parse
from moneyback.dialects.truust.lists import Listing, parse_listing
from moneyback.dialects.truust.schemas import TRANSACTIONS, WALLET_ANSWER, WALLET_REQUEST, WALLET_UPDATE, WALLETS
from moneyback.dialects.truust.wire import VERSION, major, time_text
from moneyback.dialects.truust.words import NOT_FOUND, invalid

TYPES: Final = ("CURRENCYCLOUD", "CLEARJUNCTION", "M2P_ISSUING")
_MEMBERS: Final = ("id", "self", "uuid", "type", "balance", "currency", "tag", "metadata", "created_at")


def account_currency(caller: Caller) -> str:
    """The account's own currency: what amounts are in that name none."""
    return str(caller.profile.get("currency", "EUR"))


# --- finding and making ----------------------------------------------------------------------------------------------


def find_wallet(name: str) -> Finding:
    """A wallet, or an order's escrow, by its uuid or its number."""
    found = yield from find(WALLET, name)
    return found if found is not None else (yield from find(ESCROW, name))


def wallet_named(field: str, number: int | None, code: str) -> Finding:
    """The wallet that a field names, in this currency. Raises Invalid."""
    found = yield from named(WALLET, field, number)
    if found is not None and found["currency"] != code:
        raise fields.wrong(field, f"The wallet is not in {code}.")
    return found


def new_wallet(
    code: str, *, kind: str = WALLET, owner: Document | None = None, more: Mapping[str, Any] | None = None
) -> Generator[Ask, Any, Document]:
    """A wallet with nothing on it. `owner` is a customer; None: the account itself."""
    document = {
        "id": (yield NextNumber()),
        "uuid": str((yield NewId())),
        "type": None,
        "currency": code,
        "tag": None,
        "metadata": None,
        "created_at": time_text((yield Instant())),
        "customer": None if owner is None else owner["uuid"],
        **(more or {}),
    }
    yield SaveDocument(kind, str(document["id"]), document)
    return document


def account_wallet(caller: Caller, code: str) -> Generator[Ask, Any, Document]:
    """The account's own wallet in a currency. Its ids follow from the currency, so that it is never made twice."""
    number = int(iso4217.Currency(code).number)
    found = yield from numbered(WALLET, number)
    if found is not None:
        return found
    same = {"id": number, "uuid": str(uuid5(caller.merchant, f"wallet/{code}"))}
    document = {
        **same,
        "type": None,
        "currency": code,
        "tag": None,
        "metadata": None,
        "created_at": time_text((yield Instant())),
        "customer": None,
    }
    yield SaveDocument(WALLET, str(number), document)
    return document


def balance_of(wallet: Document) -> Generator[Ask, Any, int]:
    """What stands on a wallet, in minor units."""
    balance: int = yield BalanceOf(str(wallet["id"]), wallet["currency"])
    return balance


# --- the calls -------------------------------------------------------------------------------------------------------


def create_wallet(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /wallets: for a customer, or with `customer_type` source for the account."""
    try:
        asked = parse(
            incoming,
            {
                "currency": fields.code_of_currency,
                "customer_id": fields.integer,
                "customer_type": fields.one_of(("source", "user")),
                "type": fields.one_of(TYPES),
                "tag": TAG,
                "metadata": fields.mapping,
            },
            required=("currency",),
        )
        owner = yield from owner_of(asked)
    except Invalid as bad:
        return invalid(bad.errors)
    more = {name: asked.get(name) for name in ("type", "tag", "metadata")}
    document = yield from new_wallet(asked["currency"], owner=owner, more=more)
    return said((yield from print_wallet(document)), caller)


def owner_of(asked: Mapping[str, Any]) -> Finding:
    """The customer something is made for; None for the account itself. Raises Invalid."""
    if asked.get("customer_type") == "source":
        return None
    if asked.get("customer_id") is None:
        raise fields.wrong("customer_id", missing("customer_id", "unless customer type is source"))
    return (yield from named(CUSTOMER, "customer_id", asked["customer_id"]))


def update_wallet(incoming: Incoming, caller: Caller) -> Conversation:
    """PUT /wallets/{uuid}: its tag or metadata."""
    document = yield from find(WALLET, incoming.arguments["uuid"])
    if document is None:
        return NOT_FOUND
    try:
        asked = parse(incoming, {"tag": TAG, "metadata": fields.mapping})
    except Invalid as bad:
        return invalid(bad.errors)
    document = {**document, **asked}
    yield SaveDocument(WALLET, str(document["id"]), document)
    return said((yield from print_wallet(document)), caller)


def read_wallet(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /wallets/{uuid}. What stands on it is always up to date, whether or not `update` asks for that."""
    document = yield from find_wallet(incoming.arguments["uuid"])
    return NOT_FOUND if document is None else said((yield from print_wallet(document)), caller)


def list_wallets(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /wallets."""
    try:
        listing = parse_listing(incoming, (), ("created_at",))
    except Invalid as bad:
        return invalid(bad.errors)
    rows, _ = yield from lists.page_of_documents(WALLET, {}, listing)
    return listed((yield from lists.each_of(rows, print_wallet)), caller)


def print_wallet(document: Document) -> Generator[Ask, Any, dict[str, Any]]:
    """The wallet (provider docs: Get wallet), with what stands on it now."""
    balance = yield from balance_of(document)
    path = f"{VERSION}/wallets/{document['uuid']}"
    own = {"self": path, "balance": major(balance, document["currency"])}
    printed = {name: own.get(name, document.get(name)) for name in _MEMBERS}
    links = {"transactions": f"{path}/transactions"}
    if document.get("customer"):
        links["customer"] = f"{VERSION}/customers/{document['customer']}"
    if document.get("order"):
        links["order"] = f"{VERSION}/orders/{document['order']}"
    return {**printed, "connections": links}


# --- what moved ------------------------------------------------------------------------------------------------------

_STATUS: Final[Mapping[Kind, str]] = {Kind.HOLD: "CREATED", Kind.VOID: "CANCELLED"}
"""What a movement that is not final is shown as: money put aside for a refund, and put back."""


def list_transactions(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /wallets/{uuid}/transactions, newest first."""
    document = yield from find_wallet(incoming.arguments["uuid"])
    if document is None:
        return NOT_FOUND
    try:
        listing = parse_listing(incoming, (), ("created_at",))
    except Invalid as bad:
        return invalid(bad.errors)
    moved = yield from _moved(document, listing)
    return listed((yield from lists.each_of(moved, lambda each: _print_transaction(document, each))), caller)


def _moved(wallet: Document, listing: Listing) -> Generator[Ask, Any, list[Movement]]:
    """One page of its movements; between two dates they are looked through from the newest on."""
    name, code = str(wallet["id"]), wallet["currency"]
    if listing.begin is None and listing.end is None:
        page: tuple[Movement, ...] = yield ListMovements(
            wallet=name, currency=code, ascending=listing.ascending, offset=listing.offset, limit=listing.per_page
        )
        return list(page)
    found: list[Movement] = []
    for offset in range(0, lists.SCANNED_MAX, lists.SCANNED_AT_ONCE):
        rows: tuple[Movement, ...] = yield ListMovements(
            wallet=name, currency=code, ascending=listing.ascending, offset=offset, limit=lists.SCANNED_AT_ONCE
        )
        found += [each for each in rows if listing.covers(each.at)]
        if len(rows) < lists.SCANNED_AT_ONCE or len(found) >= listing.offset + listing.per_page:
            break
    return found[listing.offset : listing.offset + listing.per_page]


def _print_transaction(wallet: Document, movement: Movement) -> Generator[Ask, Any, dict[str, Any]]:
    """The transaction (provider docs: List wallet transactions); what left the wallet has a minus."""
    payment: Payment = yield PaymentOf(movement.payment)
    refund: Refund | None = None if movement.refund is None else (yield RefundOf(movement.refund))
    number = payment.dialect_id if refund is None else refund.dialect_id
    sign = 1 if movement.credit == account_of(str(wallet["id"])) else -1
    return {
        "id": f"{number}-{movement.kind.value}",
        "type": _type_of(payment, movement),
        "amount": major(sign * movement.amount, movement.currency),
        "currency": movement.currency,
        "status": _STATUS.get(movement.kind, "CONFIRMED"),
        "created_at": time_text(movement.at),
    }


def _type_of(payment: Payment, movement: Movement) -> str:
    if movement.refund is not None or payment.document.get("reimburses"):
        return "REFUND"
    if movement.kind is not Kind.CAPTURE:
        return str(movement.kind.value).upper()
    return "PAYIN" if payment.kind is PaymentKind.PAYIN else "PAYOUT"


_ALL, _ONE = "/2.0/wallets", "/2.0/wallets/{uuid}"
ROUTES: Final = (
    relayed("GET", _ALL, list_wallets, "List wallets", WALLETS),
    relayed("POST", _ALL, create_wallet, "Create a wallet", WALLET_ANSWER, WALLET_REQUEST),
    relayed("GET", _ONE, read_wallet, "Read a wallet", WALLET_ANSWER),
    relayed("PUT", _ONE, update_wallet, "Update a wallet's tag or metadata", WALLET_ANSWER, WALLET_UPDATE),
    relayed("GET", f"{_ONE}/transactions", list_transactions, "List what moved on a wallet", TRANSACTIONS),
)
