"""Lists of transactions, of whatever kind they are: of a wallet, a user, a card, a mandate, a bank account."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import Ask, FindPayment, FindRefund, Incoming, ListDocuments, PaymentOf
from moneyback.dialects.mangopay import journal, pages, refunds
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.transactions import payment_object


def transactions(incoming: Incoming, place: str) -> Answer:
    """The transactions entered there, as they stand now."""
    yield from journal.take_in()
    return (yield from pages.shown(incoming, ListDocuments(kind=place), shown))


def shown(entry: dict[str, Any]) -> Generator[Ask, Any, dict[str, Any] | None]:
    """The transaction an entry means; None when there is none any more."""
    payment: Payment | None = yield FindPayment(entry["Id"])
    if payment is not None:
        return payment_object(payment)
    refund: Refund | None = yield FindRefund(entry["Id"])
    if refund is None:
        return None
    return (yield from refunds.shown(refund, (yield PaymentOf(refund.payment))))
