"""Meeting a payin of Truust's for the first time: how much came in, and what was given back of it before.

A payin shows no amount. How much came in is what its order's buyer pays, where no other payin of that order holds
money; else what the gateway's own answer says. Where neither tells, or the two contradict each other, it is not known:
such a payin is registered, and nothing is given back of it until somebody says how much it was.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import iso4217

from moneyback.core.money import UnknownCurrency, currency
from moneyback.core.payment import Condition
from moneyback.dialect import AddPayment, AnswerLost, Call, Fetched, Fetching, Reply, SeenRefund
from moneyback.dialects.truust import received
from moneyback.dialects.truust.kept import SHOWN, kept
from moneyback.dialects.truust.marks import mark_of
from moneyback.dialects.truust.reading import ask_order, ask_payin, ask_payins, ask_refunds
from moneyback.dialects.truust.received import Order, Payin, Shown
from moneyback.dialects.truust.wire import (
    OF_ORDER,
    PayinStatus,
    RefundStatus,
    amount_shown,
    is_number,
    is_preauthorised,
)

CONDITIONS: Final[Mapping[str, Condition]] = MappingProxyType(
    {
        PayinStatus.CREATED: Condition.PROCESSING,
        PayinStatus.AUTHORIZED: Condition.AUTHORIZED,
        PayinStatus.CONFIRMED: Condition.CAPTURED,
        PayinStatus.REFUNDED: Condition.CAPTURED,
        PayinStatus.DENIED: Condition.FAILED,
        PayinStatus.CANCELLED: Condition.FAILED,
    }
)
"""How far a payin's money got (provider docs: Refund payin, response)."""
PAYINS: Final = "payins"
"""The member of a payment's document that holds the numbers of its order's payins."""
Siblings = tuple[Payin, ...]


# --- a payin, by its number or as its order's ------------------------------------------------------------------------


def fetch(dialect_id: str) -> Fetching:
    """The payin of that number with its refunds; or, for `orders/{id}`, that payin of an order in which its money came
    in, else the newest. None where Truust has none. Raises AnswerLost when it does not show all that must be known."""
    if dialect_id.startswith(OF_ORDER):
        return (yield from _fetch_of_order(dialect_id.removeprefix(OF_ORDER)))
    if not is_number(dialect_id) or str(int(dialect_id)) != dialect_id:
        return None
    reply = yield from ask_payin(dialect_id)
    if reply is None:
        return None
    payin = _payin_of(reply)
    order = None if payin.order is None else (yield from ask_order(payin.order))
    return (yield from _fetched(reply, order, None))


def _fetch_of_order(number: str) -> Fetching:
    order = yield from ask_order(number)
    if order is None:
        return None
    siblings = yield from _ask_siblings(order)
    if siblings is None:
        raise AnswerLost("the payins of Truust's order are lost among others")
    if not siblings:
        return None
    chosen = next((each for each in siblings if condition_of(each) is Condition.CAPTURED), siblings[-1])
    reply = yield from ask_payin(chosen.number)
    if reply is None:
        raise AnswerLost("Truust lists a payin that it does not show")
    return (yield from _fetched(reply, order, siblings))


def _ask_siblings(order: Order) -> Generator[Call, Reply, Siblings | None]:
    """All payins of an order; None when they are lost among others."""
    since = received.moment(order.created_at)
    return None if since is None else (yield from ask_payins(order.number, since))


def _payin_of(reply: Reply) -> Payin:
    payin = received.payin(reply)
    assert payin is not None, "an answer was checked to show one"
    return payin


def _fetched(reply: Reply, order: Order | None, siblings: Siblings | None) -> Fetching:
    payin = _payin_of(reply)
    condition = condition_of(payin)
    code = _currency_of(payin, order)
    amount, siblings = yield from _amount_of(payin, condition, order, code, siblings)
    is_captured = condition is Condition.CAPTURED
    refunds = (yield from _ask_refunds(payin, code)) if is_captured else ()
    document: dict[str, Any] = {SHOWN: kept(received.members(reply)), "refundable": True}  # Truust itself says if not
    if condition is Condition.AUTHORIZED:
        document["open"] = payin.status == PayinStatus.CREATED
    if payin.status in (PayinStatus.DENIED, PayinStatus.CANCELLED):
        document["failure_status"] = payin.status
    if siblings is not None:
        document[PAYINS] = [each.number for each in siblings]
    return Fetched(
        payment=AddPayment(
            amount=amount or 0,
            currency=code,
            amount_known=amount is not None or not is_captured,
            status=condition.value,
            method=payin.type,
            order=payin.order,
            dialect_id=payin.number,
            document=document,
        ),
        reference=payin.number,
        captured_at=received.moment(payin.confirmed_at) if is_captured else None,
        refunds=refunds,
    )


def condition_of(payin: Payin) -> Condition:
    """How far its money got; what was confirmed once had come in, whatever it is called now. Raises AnswerLost."""
    condition = CONDITIONS.get(payin.status)
    if condition is None:
        raise AnswerLost(f"Truust's status {payin.status} is not known")
    if condition is Condition.PROCESSING and is_preauthorised(payin.type or ""):
        return Condition.AUTHORIZED  # as far as it will get by itself; its document says that it is open
    if condition is Condition.FAILED and payin.confirmed_at is not None:
        return Condition.CAPTURED
    return condition


# --- how much came in ------------------------------------------------------------------------------------------------


def _currency_of(payin: Payin, order: Order | None) -> str:
    told = told_by_gateway(payin.provider)
    code = order.currency if order is not None else None if told is None else told[1]
    try:
        return currency(code or "").code
    except UnknownCurrency as error:
        raise AnswerLost("Truust shows no currency of the payin") from error


def _amount_of(
    payin: Payin, condition: Condition, order: Order | None, code: str, siblings: Siblings | None
) -> Generator[Call, Reply, tuple[int | None, Siblings | None]]:
    """What came in, or is to, in minor units; None where nobody knows. And the order's payins, where they were read."""
    told = told_by_gateway(payin.provider)
    by_gateway = told[0] if told is not None and told[1] == code else None
    by_order = None if order is None else amount_shown(order.payin_amount, code)
    if order is None or by_order is None:
        return by_gateway, siblings
    if condition is not Condition.CAPTURED or told == (by_order, code):
        return by_order, siblings
    siblings = siblings if siblings is not None else (yield from _ask_siblings(order))
    holding = {each.number for each in siblings or () if holds_money(each)}
    if holding != {payin.number}:
        return by_gateway, siblings
    return (by_order if told is None else None), siblings


def holds_money(payin: Payin) -> bool:
    """Whether something came in by a payin, or may yet be taken of what is set aside for it."""
    taken = condition_of(payin) in (Condition.CAPTURED, Condition.AUTHORIZED)
    return taken and payin.status != PayinStatus.CREATED


def told_by_gateway(provider: object) -> tuple[int, str] | None:
    """Minor units and currency in a gateway's raw answer: Redsys's, the only one that is documented.

    Amounts are text of minor units, the currency is ISO 4217's number (provider docs: recurring payments guide).
    """
    if not isinstance(provider, Mapping):
        return None
    amount, number = str(provider.get("Ds_Amount", "")), str(provider.get("Ds_Currency", ""))
    if not (is_number(amount) and is_number(number)):
        return None
    code = _NUMBERED.get(int(number))
    return None if code is None else (int(amount), code)


_NUMBERED: Final[Mapping[int, str]] = MappingProxyType(
    {each.number: each.code for each in iso4217.Currency if each.number is not None}
)


# --- what was given back ---------------------------------------------------------------------------------------------


def _ask_refunds(payin: Payin, code: str) -> Generator[Call, Reply, tuple[SeenRefund, ...]]:
    """Every refund of the payin. Raises AnswerLost where one may be missing, or its amount cannot be read."""
    since = received.moment(payin.created_at) or received.moment(payin.confirmed_at)
    found = None if since is None else (yield from ask_refunds(payin.number, since))
    if found is None:
        raise AnswerLost("the refunds of Truust's payin are lost among others")
    return tuple(seen for each in found if (seen := _refund_in(each, code)) is not None)


def _refund_in(shown: Shown, code: str) -> SeenRefund | None:
    amount = amount_shown(shown.amount, code)
    if amount is None or amount < 0:
        raise AnswerLost(f"the amount of Truust's refund {shown.number} cannot be read")
    return seen_refund(shown, amount, code)


def seen_refund(shown: Shown, amount: int, code: str | None) -> SeenRefund | None:
    """A refund as anybody's; None for one of ours in a status that nobody knows."""
    status, mark = _standing(shown), mark_of(shown)
    if status is None and mark is not None:
        return None
    return SeenRefund(
        provider_id=shown.number,
        payment="" if shown.payin_id is None else str(shown.payin_id),
        amount=amount,
        currency=code,
        status=status or "pending",  # whoever made it, it may be executed
        mark=mark,
        at=shown.changed_at,
    )


def _standing(shown: Shown) -> Literal["pending", "succeeded", "failed"] | None:
    match shown.status:
        case None:
            return "pending" if shown.denied_at is None else "failed"
        case RefundStatus.CREATED:
            return "pending"
        case RefundStatus.CONFIRMED:
            return "succeeded"
        case RefundStatus.DENIED | RefundStatus.CANCELLED:
            return "failed"
        case _:
            return None
