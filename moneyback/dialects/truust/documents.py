"""What is kept beside payments and refunds: the kinds of documents, and finding one by either of its ids.

A document's id is the text of its number. Customers, wallets, cards and bank accounts have a uuid as well: paths name
them by it, bodies by the number (provider docs: Customers, Wallets), and clients have been seen to put either into a
path. No money facts live in documents: what an order was to cost is what its client asked for.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from moneyback.dialect import Ask, ListDocuments, LoadDocument
from moneyback.dialects.truust import fields
from moneyback.dialects.truust.wire import is_number

ACCOUNT: Final = "account"
BANK_ACCOUNT: Final = "bankaccount"
CARD: Final = "card"
CUSTOMER: Final = "customer"
ESCROW: Final = "escrow"
ORDER: Final = "order"
PAYOUT: Final = "payout"
SHIPPING: Final = "shipping"
WALLET: Final = "wallet"

Document = Mapping[str, Any]
Finding = Generator[Ask, Any, Document | None]


def find(kind: str, name: str) -> Finding:
    """A document that has a number and a uuid, by either."""
    if is_number(name):
        return (yield from numbered(kind, int(name)))
    rows: tuple[Document, ...] = yield ListDocuments(kind=kind, match={"uuid": name.lower()}, limit=1)
    return rows[0] if rows else None


def numbered(kind: str, number: int) -> Finding:
    """A document by its number."""
    found: Document | None = yield LoadDocument(kind, str(number))
    return found


def named(kind: str, field: str, number: int | None) -> Finding:
    """The document that a field names by its number; None where it names none. Raises Invalid for one not there."""
    if number is None:
        return None
    found = yield from numbered(kind, number)
    if found is None:
        raise fields.unknown(field)
    return found
