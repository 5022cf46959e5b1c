"""Lists of transactions, of whatever kind they are: of a wallet, a user, a card, a mandate, a bank account."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from moneyback.core.payment import Payment
from moneyback.dialect import Ask, FindPayment, Incoming, ListDocuments
from moneyback.dialects.mangopay import journal, pages, refunds
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.transactions import payment_object


def transactions(incoming: Incoming, place: str) -> Answer:
    """The transactions entered there, as they stand now."""
    yield from journal.take_in()
    return (yield from pages.shown(incoming, ListDocuments(kind=place), shown))


def transactions_of(places: Sequence[str]) -> Generator[Ask, Any, list[dict[str, Any]]]:
    """All transactions entered in any of these places, none of them twice, the oldest first."""
    yield from journal.take_in()
    found: dict[str, dict[str, Any]] = {}
    for place in places:
        for entry in (yield from pages.every(ListDocuments(kind=place))):
            row = yield from shown(entry)
            if row is not None:
                found[entry["Id"]] = row
    return sorted(found.values(), key=lambda row: int(row["CreationDate"]))


def shown(entry: dict[str, Any]) -> Generator[Ask, Any, dict[str, Any] | None]:
    """The transaction an entry means; None when there is none any more."""
    payment: Payment | None = yield FindPayment(entry["Id"])
    if payment is not None:
        return payment_object(payment)
    found = yield from refunds.find(entry["Id"])
    return None if found is None else (yield from refunds.shown_as(entry["Id"], *found))
