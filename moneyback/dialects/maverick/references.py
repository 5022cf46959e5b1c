"""externalIds: the merchant's own reference of a transaction, which no two transactions that went well may share.

Which of two requests at once has one is decided by a key. A request that died before it made anything leaves its number
to the next one with the same reference, so that asking again is safe. Keys are kept for a while only; a reference that
is older than they are can be used again.
"""

from __future__ import annotations

from collections.abc import Generator
from hashlib import sha256
from typing import Any, Final

from moneyback.core.payment import Condition, Payment
from moneyback.dialect import Ask, FindPayment, LoadDocument, SaveDocument, TakeKey, release_of
from moneyback.dialects.maverick.captured import RECORD
from moneyback.dialects.maverick.wire import Status, invalid

NAMED: Final = "named"
"""The kind of document that leads from an externalId to its original."""
LENGTH_MAX: Final = 64
DUPLICATE: Final = invalid("Suspected duplicate.")


def claim(external: str, number: str) -> Generator[Ask, Any, str | None]:
    """The number under which a transaction with this externalId is made; None where there is one already."""
    base = f"externalId {sha256(external.encode()).hexdigest()}"
    key = base
    while True:
        known = yield TakeKey(key, 200, number.encode())
        if known is None:
            return number
        holder = known.answer.decode()
        approved = yield from _approved(holder)
        if approved is None:
            return str(holder)
        if approved:
            return None
        key = f"{base} {holder}"  # that attempt was declined: what follows it is free


def _approved(number: str) -> Generator[Ask, Any, bool | None]:
    """Whether that transaction went well; None where there is none."""
    payment: Payment | None = yield FindPayment(number)
    if payment is not None:
        return payment.condition is not Condition.FAILED or release_of(payment) is not None
    kept = yield LoadDocument(RECORD, number)
    return None if kept is None else kept["status"] == Status.APPROVED.value


def lead_to(number: str, external: str) -> SaveDocument:
    """Keeps the way from an externalId to its original."""
    return SaveDocument(NAMED, number, {"id": number, "externalId": external})
