"""How a Purchase gets its money in the sandbox: an attempt is made, and what it says is recorded. No HTTP here."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from moneyback.core.commands import Sighting
from moneyback.core.payment import Payment
from moneyback.dialect import Ask, Instant, NewId, SaveDocument, SeePayment
from moneyback.dialects.chip import document
from moneyback.dialects.chip.document import detail, option
from moneyback.dialects.chip.methods import CARDS, payable_by
from moneyback.dialects.chip.objects import total
from moneyback.dialects.chip.standing import PAYABLE, is_due_some_day, status
from moneyback.dialects.chip.wire import Status, unix

TOKENS: Final = "recurring_token"
"""The kind of document that lists a client's cards; a token's id is that of the Purchase it was made with."""
CARD_COUNTRY: Final = "MY"

Steps = Generator[Ask, Any, Any]


def stands(payment: Payment) -> Generator[Ask, Any, Status]:
    """The Purchase's status at this moment."""
    now = (yield Instant()) if is_due_some_day(payment) else None
    return status(payment, now)


def can_be_paid(payment: Payment) -> Generator[Ask, Any, bool]:
    """Whether the payer may (still, or again) try to pay."""
    if document.times_declined(payment) and detail(payment, "single_attempt"):
        return False
    return (yield from stands(payment)) in PAYABLE


def ways_to_pay(payment: Payment) -> tuple[str, ...]:
    """The methods by which this Purchase can be paid."""
    return payable_by(
        payment.currency,
        option(payment, "payment_method_whitelist"),
        card_only=bool(option(payment, "skip_capture", False)),
    )


def attempted(
    kind: str,
    payment_method: str,
    flow: str,
    *,
    extra: Mapping[str, Any] | None = None,
    country: str = CARD_COUNTRY,
    error: tuple[str, str] | None = None,
) -> Generator[Ask, Any, dict[str, Any]]:
    """One attempt as it is kept; `error` is CHIP's code and a sentence."""
    id, now = (yield NewId()), (yield Instant())
    return {
        "id": str(id),
        "at": unix(now),
        "type": kind,
        "payment_method": payment_method,
        "flow": flow,
        "extra": dict(extra or {}),
        "country": country,
        "error": None if error is None else {"code": error[0], "message": error[1]},
    }


def pay(
    payment: Payment,
    attempt: Mapping[str, Any],
    *,
    keeps_card: bool = False,
    token: str | None = None,
) -> Generator[Ask, Any, Payment]:
    """Record an attempt to pay all of it: failed, on hold where the capture is skipped, else paid.

    `keeps_card`: the card may be charged again, with this Purchase's id as its token. `token`: the one it is paid with.
    """
    if attempt["error"] is not None:
        return (yield from noted(payment, {document.DECLINED + attempt["id"]: attempt}))
    told: dict[str, Any] = {}
    if token is not None:
        told[document.CHARGED] = token
    if attempt["payment_method"] in CARDS and (keeps_card or option(payment, "force_recurring") or not total(payment)):
        told[document.TOKEN] = True
        yield from _list_card(payment, attempt)
    if option(payment, "skip_capture"):
        return (yield from noted(payment, {**told, document.AUTHORIZED: attempt}))
    return (yield from captured(payment, total(payment), {**told, document.EXECUTED: attempt}, attempt["id"]))


def captured(payment: Payment, amount: int, told: Mapping[str, Any], reference: str) -> Generator[Ask, Any, Payment]:
    """So many minor units have come in."""
    seen = Sighting(kind="captured", amount=amount, reference=reference)
    found: Payment = yield SeePayment(payment=payment, sighting=seen, document=told)
    return found


def noted(payment: Payment, told: Mapping[str, Any]) -> Generator[Ask, Any, Payment]:
    """Something happened that moved no money."""
    seen = Sighting(kind="noted", amount=0, reference="")
    found: Payment = yield SeePayment(payment=payment, sighting=seen, document=told)
    return found


def given_up(payment: Payment, told: Mapping[str, Any]) -> Generator[Ask, Any, Payment]:
    """The money will not come in."""
    seen = Sighting(kind="canceled", amount=0, reference=payment.dialect_id)
    found: Payment = yield SeePayment(payment=payment, sighting=seen, document=told)
    return found


def _list_card(payment: Payment, attempt: Mapping[str, Any]) -> Steps:
    client = option(payment, "client_id")
    if client is None:
        return
    shown = {
        "type": "client_recurring_token",
        "id": payment.dialect_id,
        "created_on": attempt["at"],
        "updated_on": attempt["at"],
        "payment_method": attempt["payment_method"],
        "description": attempt["extra"].get("masked_pan", ""),
    }
    yield SaveDocument(TOKENS, payment.dialect_id, {**shown, "client_id": client})
