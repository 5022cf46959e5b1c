"""What Mangopay shows when it is asked: a pay-in or a transfer, and all that was given back of it.

Conversations only. What cannot be read is never taken for "there is none": it raises AnswerLost.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Final

from moneyback.core.commands import Sighting
from moneyback.core.payment import Payment, PaymentKind
from moneyback.core.refund import Event
from moneyback.dialect import AnswerLost, Call, Reply
from moneyback.dialects.mangopay import received
from moneyback.dialects.mangopay.meanings import STATUSES, is_withheld, meaning
from moneyback.dialects.mangopay.received import Paid, Shown
from moneyback.dialects.mangopay.session import Unprepared, path
from moneyback.dialects.mangopay.windows import UNREFUNDABLE, spelt

PAGE: Final = 100
PAGES_MAX: Final = 20
PAYOUTS_MAX: Final = 100
"""Payouts of one payer that are looked at one by one."""

Headers = Mapping[str, str]
Query = tuple[tuple[str, str], ...]

NAMES: Final[Mapping[PaymentKind, str]] = {PaymentKind.PAYIN: "payins", PaymentKind.TRANSFER: "transfers"}
"""Where what can be given back is found, by its kind."""


def place_of(payment: Payment) -> str:
    """The word in addresses for such a payment."""
    return NAMES.get(payment.kind, "payins")


def get(headers: Headers, *segments: str, query: Query = ()) -> Call:
    """A question."""
    return Call(method="GET", path=path(*segments), query=query, headers=headers)


def ask_paid(payment: Payment, headers: Headers) -> Generator[Call, Reply, Paid]:
    """The pay-in or transfer. Raises Unprepared, which is an AnswerLost, when it is not shown."""
    reply = yield get(headers, place_of(payment), payment.reference)
    paid = received.paid(reply)
    if paid is not None and paid.id == payment.reference:
        return paid
    problem = received.problem(reply)
    event = meaning(reply) if problem is not None else Event.LOST
    if problem is None or event not in (Event.REFUSED, Event.NOT_TAKEN):
        raise Unprepared("Mangopay did not show the pay-in")
    failure = "invalid" if event is Event.REFUSED else None
    raise Unprepared(" ".join(problem.sentences), event, failure=failure, code=problem.type)


def ask_given(place: str, paid: Paid, headers: Headers) -> Generator[Call, Reply, tuple[Shown, ...] | None]:
    """All that was given back, oldest first, in the currency of the original; None where Mangopay does not show it.

    Of most it is the refunds. Money that came in by wire goes back by payouts, which are no refunds.
    """
    if place == "payins" and by_payouts(paid):
        found = yield from _ask_payouts(paid, headers)
    else:
        found = yield from _ask_refunds(place, paid, headers)
    return None if found is None else tuple(each for each in found if each.is_in(paid.funds.currency))


def by_payouts(paid: Paid) -> bool:
    """Whether a pay-in is given back by payouts."""
    return spelt(paid.payment_type or "") in UNREFUNDABLE


def _ask_refunds(place: str, paid: Paid, headers: Headers) -> Generator[Call, Reply, tuple[Shown, ...]]:
    found = yield from _ask_all(lambda query: get(headers, place, paid.id, "refunds", query=query), "the refunds")
    assert found is not None
    return tuple(each for each in found if each.original in (None, paid.id))


def _ask_payouts(paid: Paid, headers: Headers) -> Generator[Call, Reply, tuple[Shown, ...] | None]:
    """The payouts of the payer that were made for this pay-in. Lists do not say what a payout was for."""
    since = int(paid.creation_date or 0)
    chosen: Query = (("Type", "PAYOUT"), ("Nature", "REGULAR"), *((("AfterDate", f"{since}"),) if since else ()))
    listed = yield from _ask_all(
        lambda query: get(headers, "users", paid.author_id, "transactions", query=chosen + query),
        "the payouts",
        withheld=True,
    )
    if listed is None:
        return None
    candidates = [each for each in listed if each.debited_wallet_id in (None, paid.credited_wallet_id)]
    if len(candidates) > PAYOUTS_MAX:
        raise AnswerLost("Mangopay shows more payouts than can be read")
    found = []
    for each in candidates:
        payout = each if each.original is not None else (yield from ask_payout(each.id, headers))
        if payout.original == paid.id:
            found.append(payout)
    return tuple(found)


def ask_payout(number: str, headers: Headers) -> Generator[Call, Reply, Shown]:
    """One payout. Raises AnswerLost when it is not shown."""
    payout = received.refund((yield get(headers, "payouts", number)))
    if payout is None or payout.id != number:
        raise AnswerLost(f"Mangopay did not show the payout {number}")
    return payout


def _ask_all(
    page: Callable[[Query], Call], what: str, *, withheld: bool = False
) -> Generator[Call, Reply, tuple[Shown, ...] | None]:
    """A whole list, oldest first: what is added while pages are read comes after them.

    None where it may be `withheld`, and is.
    """
    found: dict[str, Shown] = {}
    for number in range(1, PAGES_MAX + 1):
        reply = yield page((("page", str(number)), ("per_page", str(PAGE)), ("Sort", "CreationDate:ASC")))
        shown = received.refunds(reply)
        if shown is None and withheld and is_withheld(reply):
            return None
        if shown is None:
            raise AnswerLost(f"Mangopay did not show {what}")
        found.update((each.id, each) for each in shown)
        if len(shown) < PAGE:
            return tuple(found.values())
    raise AnswerLost(f"Mangopay shows more than can be read: {what}")


def is_open(shown: Shown) -> bool:
    """Whether it gives something back, or may still: it was made, and has not failed."""
    return STATUSES.get(shown.status) is not Event.REFUSED


def left_of(paid: Paid, given: tuple[Shown, ...]) -> int:
    """What the payer paid less what was given back, or is promised."""
    return paid.funds.amount - sum(each.credited_funds.amount for each in given if is_open(each))


def sightings(paid: Paid) -> Iterator[Sighting]:
    """What became of the pay-in itself."""
    at = received.moment(paid.execution_date)
    match paid.status:
        case "SUCCEEDED":
            yield Sighting(kind="captured", amount=paid.funds.amount, reference=paid.id, occurred_at=at)
        case "FAILED":
            yield Sighting(kind="canceled", amount=0, reference=paid.id, occurred_at=at)


def unreadable(error: Exception) -> dict[str, Any]:
    """What a person is shown of a question that was not answered."""
    return {"unanswered": f"{error}" or type(error).__name__}
