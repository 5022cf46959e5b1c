"""Reading Maverick's records as its client: an original with its children, known or met for the first time.

An original does not say how much of it was captured, nor how its children fared, so the children are read one by one
where it matters. A reversal gives back an authorisation and no money: only what was captured has refunds.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import quote

from moneyback.core.commands import Sighting
from moneyback.core.payment import Condition, Parts, Payment
from moneyback.core.refund import Event
from moneyback.dialect import AddPayment, AnswerLost, Call, Fetched, Fetching, Figures, Reading, Reply, SeenRefund
from moneyback.dialects.maverick import received
from moneyback.dialects.maverick.answers import event_of
from moneyback.dialects.maverick.received import Record
from moneyback.dialects.maverick.registration import fetched_document
from moneyback.dialects.maverick.wire import CURRENCY, METHOD

RETURN: Final = "Return"
ORIGINALS: Final = ("Auth", "Sale")
"""Types of what can be refunded. Live records of sales are Auths; a filter example of the reference says Sale."""

HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    # Programs that do not say who they are, are turned away (seen of its hosts).
    {"accept": "application/json", "user-agent": "moneyback"}
)

# --- calls and records -----------------------------------------------------------------------------------------------


def record_call(number: str) -> Call:
    """Any record by its id."""
    return Call(method="GET", path=f"/payment/{segment(number)}", headers=HEADERS)


def segment(text: str) -> str:
    """One step of a path."""
    return quote(text, safe="")


def original_of(number: str, reply: Reply) -> Record:
    """The record that was asked for. Raises AnswerLost for any other answer."""
    shown = received.record(reply)
    if shown is None or shown.number != number:
        raise AnswerLost("Maverick did not show the payment")
    return shown


def is_refund_of(number: str, shown: Record) -> bool:
    """Whether it is a Return of that original."""
    return shown.type == RETURN and shown.of == number


def returns_of(original: Record, code: str) -> Generator[Call, Reply, tuple[Record, ...]]:
    """Every Return that an original lists. Raises AnswerLost when one is not shown."""
    return (yield from _children_of(original, RETURN, code))


def _children_of(original: Record, kind: str, code: str) -> Generator[Call, Reply, tuple[Record, ...]]:
    found: dict[str, Record] = {}
    for number in dict.fromkeys(each.number for each in original.history if each.type == kind):
        shown = received.record((yield record_call(number)))
        if shown is None or shown.number != number or shown.type != kind or shown.of != original.number:
            raise AnswerLost(f"Maverick did not show the {kind} {number}")
        if received.amount(shown.amount, code) is None:
            raise AnswerLost(f"the amount of Maverick's {kind} {number} cannot be read")
        found[number] = shown
    return tuple(found.values())


def captured_of(original: Record, code: str, known: int | None = None) -> Generator[Call, Reply, int | None]:
    """What was captured of it in all, by the Captures it lists; None where it lists none, or none that was approved.

    They are read only where their sum could mislead: one alone is what `captured` stands for, and a sum that is `known`
    is no news.
    """
    listed = [received.amount(each.amount, code) for each in original.captures]
    if not listed:
        return None
    if original.captured and None not in listed:
        total = sum(each or 0 for each in listed)
        if len(listed) == 1 or total == known:
            return total
    children = yield from _children_of(original, received.CAPTURE, code)
    done = [received.amount(each.amount, code) or 0 for each in children if event_of(each) is Event.EXECUTED]
    return sum(done) or None


def left_of(captured: int, returns: tuple[Record, ...], code: str) -> int:
    """What was captured less what was given back, or is on its way."""
    given = (received.amount(each.amount, code) or 0 for each in returns if _is_given(each))
    return captured - sum(given)


def _is_given(shown: Record) -> bool:
    return event_of(shown) in (Event.EXECUTED, Event.ACCEPTED)


# --- before sending --------------------------------------------------------------------------------------------------


def read(payment: Payment) -> Reading:
    """What was captured less what Maverick shows as given back. Raises AnswerLost when it does not show that.

    Of a payment that Maverick says it does not have there are no figures: its refund is let through to be refused.
    """
    reply = yield record_call(payment.reference)
    problem = received.problem(reply)
    if problem is not None and reply.status == 404:
        return Figures()
    original, code = original_of(payment.reference, reply), payment.currency
    returns = yield from returns_of(original, code)
    seen = yield from captured_of(original, code, payment.captured)
    captured = payment.captured if seen is None else seen
    sightings: tuple[Sighting, ...] = ()
    if captured > payment.captured:  # captured further since we looked
        sightings = (Sighting(kind="captured", amount=captured, reference=original.number),)
    return Figures(
        left=left_of(captured, returns, code),
        refund_ids=tuple(each.number for each in returns),
        sightings=sightings,
    )


# --- met for the first time ------------------------------------------------------------------------------------------

_STATES: Final[Mapping[str, Condition]] = MappingProxyType(
    {
        "approved": Condition.AUTHORIZED,
        "inprogress": Condition.PROCESSING,
        "declined": Condition.FAILED,
        "decline": Condition.FAILED,
        "error": Condition.FAILED,
        "void": Condition.FAILED,
    }
)
"""How far an original got of which nothing was captured (provider docs: status page, list payments)."""


def fetch(dialect_id: str) -> Fetching:
    """An original with the refunds made of it; None where Maverick has none of that id, a child's own included.

    Raises AnswerLost when it does not show all of it.
    """
    if not (dialect_id.isascii() and dialect_id.isdigit()) or dialect_id.startswith("0"):
        return None
    reply = yield record_call(dialect_id)
    problem = received.problem(reply)
    if problem is not None and reply.status == 404:
        return None
    original = original_of(dialect_id, reply)
    if original.type not in ORIGINALS:
        return None
    amount, terminal = received.amount(original.amount, CURRENCY), original.terminal.whole
    if amount is None or terminal is None:
        raise AnswerLost("Maverick's record of the payment cannot be read")
    returns = yield from returns_of(original, CURRENCY)
    condition, captured = yield from _standing(original, amount, returns)
    return Fetched(
        payment=AddPayment(
            amount=captured or amount,
            currency=CURRENCY,
            status=condition.value,
            method=METHOD,
            parts=_parts_of(original),
            dialect_id=dialect_id,
            document=fetched_document(received.members(reply), terminal),
        ),
        reference=dialect_id,
        captured_at=_captured_at(original) if captured else None,
        refunds=tuple(seen for each in returns if (seen := seen_refund(each)) is not None) if captured else (),
    )


def _standing(
    original: Record, amount: int, returns: tuple[Record, ...]
) -> Generator[Call, Reply, tuple[Condition, int]]:
    """How far its money got, and how much of it came in."""
    condition = _STATES.get(original.word)
    if condition is None:
        raise AnswerLost(f"Maverick's status {original.word!r} is not known")
    if condition is not Condition.AUTHORIZED:
        return condition, 0
    if original.was_captured:
        captured = (yield from captured_of(original, CURRENCY)) if original.captures else amount
        if captured:
            return Condition.CAPTURED, captured
        if original.captured:
            return Condition.PROCESSING, 0
    reversed_ = original.refunded or any(event_of(each) is Event.EXECUTED for each in returns)
    return (Condition.FAILED if reversed_ else Condition.AUTHORIZED), 0


def _captured_at(original: Record) -> datetime | None:
    first = (received.moment(each.createdOn) for each in original.captures)
    return next((at for at in first if at is not None), None) or received.moment(original.createdOn)


def _parts_of(original: Record) -> Parts | None:
    named = ("subtotal", "tax", "discounts", "shipping")
    subtotal, tax, discount, shipping = (original.part(name, CURRENCY) for name in named)
    found = Parts(subtotal=subtotal, tax=tax, discount=discount, shipping=shipping)
    return None if found == Parts() else found


_SHOWN: Final[Mapping[Event, Literal["pending", "succeeded", "failed", "returned"]]] = MappingProxyType(
    {
        Event.EXECUTED: "succeeded",
        Event.ACCEPTED: "pending",
        Event.REFUSED: "failed",
        Event.NOT_TAKEN: "failed",  # "later" was said to a call; of its record it means never
        Event.CAME_BACK: "returned",
    }
)


def seen_refund(shown: Record) -> SeenRefund | None:
    """A Return as anybody's refund; None where nobody can say what became of it."""
    status, payment = _SHOWN.get(event_of(shown)), shown.of
    amount = received.amount(shown.amount, CURRENCY)
    if status is None or payment is None or amount is None:
        return None
    return SeenRefund(
        provider_id=shown.number,
        payment=payment,
        amount=amount,
        currency=CURRENCY,
        status=status,
        code=shown.reason if status == "failed" else None,
        at=received.moment(shown.createdOn),
    )
