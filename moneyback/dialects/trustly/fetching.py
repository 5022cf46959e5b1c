"""What Trustly shows when it is asked: single transactions, the refunds of one, and the refunds of a whole account.

Conversations only. What cannot be read is never taken for "there is none": it raises AnswerLost.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import quote

from msgspec.structs import replace

from moneyback.core.commands import Sighting
from moneyback.core.payment import Condition, Payment
from moneyback.dialect import AddPayment, AnswerLost, Call, Fetched, Fetching, Listed, Listing, Reply, SeenRefund
from moneyback.dialects.trustly.kept import NOWHERE, kept
from moneyback.dialects.trustly.marks import has_room, mark_in
from moneyback.dialects.trustly.received import SUMS, Transaction, members, problems, sums, transaction, transactions
from moneyback.dialects.trustly.sandbox import payment_document
from moneyback.dialects.trustly.wire import CHECKS_ONLY, DIALECT_NAME, PaymentType, Status, Type, milliseconds

LIST_LAG: Final = timedelta(minutes=15)
"""How long a refund may be missing from Trustly's lists. It publishes no figure; its sandbox works in batches of five
minutes (provider docs: Testing), and this is three of them."""
GIVEN_BACK: Final = (Type.REFUND, Type.RECLAIM)
COLLECTED: Final = (Status.COMPLETED, Status.PARTIALLY_REFUNDED, Status.REFUNDED)
NEVER_COLLECTED: Final = (Status.FAILED, Status.EXPIRED, Status.CANCELED, Status.DENIED, Status.VOIDED)
UNDONE: Final = (*NEVER_COLLECTED, Status.REVERSED)

_PAGE: Final = 100
_PAGES_MAX: Final = 20
_MADE: Final[Mapping[int, str]] = MappingProxyType(
    {
        Type.AUTHORIZE: "authorization",
        Type.PAY: "pay",
        Type.CAPTURE: "capture",
        Type.DEPOSIT: "deposit",
        Type.REPRESENTMENT: "representment",
        Type.PREAUTHORIZATION: "preauthorization",
    }
)
"""What a client can name as the original of something. Refunds, reclaims and returns are no payments."""
_INVALID_PARAMETER: Final = 200

# --- asking ----------------------------------------------------------------------------------------------------------


def given_back_as(payment: Payment) -> Type:
    """A deposit is reclaimed, everything else refunded; what a payment is, its own dialect has written down."""
    deposit = payment.dialect == DIALECT_NAME and payment.document.get("transactionType") == str(Type.DEPOSIT.value)
    return Type.RECLAIM if deposit else Type.REFUND


def segment(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")


def ask_transaction(number: str) -> Generator[Call, Reply, Reply]:
    """One transaction of any type, as it is answered."""
    return (yield Call(method="GET", path=f"/transactions/{segment(number)}", headers={"accept": "application/json"}))


def shown_in(reply: Reply) -> Transaction | None:
    """The transaction that an answer shows; None for any other answer."""
    return transaction(reply.body) if reply.status == 200 and not problems(reply.body) else None


def ask_original(payment: Payment) -> Generator[Call, Reply, Transaction]:
    """The original of refunds. Raises AnswerLost when Trustly does not show it, or in another currency."""
    shown = shown_in((yield from ask_transaction(payment.reference)))
    if shown is None or shown.id != payment.reference:
        raise AnswerLost("Trustly did not show the transaction")
    if shown.currency != payment.currency:
        raise AnswerLost(f"Trustly shows the transaction in {shown.currency}")
    return shown


def ask_children(number: str, kind: Type, code: str) -> Generator[Call, Reply, tuple[Transaction, ...]]:
    """Refunds and returns of an original, oldest first (provider docs: OpenAPI, list transactions)."""
    found: dict[str, Transaction] = {}
    for page in range(_PAGES_MAX):
        shown = _listed((yield _of_original(number, kind, page)), "the refunds")
        found.update((each.id, each) for each in shown)
        if len(shown) < _PAGE:
            of_it = (each for each in found.values() if each.original == number)
            return tuple(each for each in of_it if each.currency == code)
    raise AnswerLost("Trustly shows more refunds than a payment can have")


def _of_original(number: str, kind: Type, page: int) -> Call:
    """Oldest first: what is added while pages are read comes after them."""
    query = (
        ("originalTransactionId", number),
        ("transactionType", str(kind.value)),
        ("transactionType", str(Type.REVERSE.value)),
        ("orderBy", "createdAt"),
        ("sortOrder", "asc"),
        ("startIndex", str(page * _PAGE)),
        ("count", str(_PAGE)),
    )
    return Call(method="GET", path="/transactions", query=query, headers={"accept": "application/json"})


def _listed(reply: Reply, what: str) -> tuple[Transaction, ...]:
    shown = transactions(reply.body) if reply.status == 200 and not problems(reply.body) else None
    if shown is None:
        raise AnswerLost(f"Trustly did not show {what}")
    return shown


# --- what is seen of an original -------------------------------------------------------------------------------------


def remainder(original: Transaction, children: Sequence[Transaction]) -> int:
    """What may still be given back: the balance, less what is promised and has not lowered it yet.

    Whether a balance falls when a refund is accepted or when it is completed is not documented, so both are understood.
    """
    refunds = [each for each in children if each.type in GIVEN_BACK and each.status not in UNDONE]
    done = sum(each.amount for each in refunds if each.status == Status.COMPLETED)
    promised = sum(each.amount for each in refunds) - done
    fell = original.paid - original.reversed - original.left
    return max(0, original.left - promised) if fell == done else original.left


def sightings(original: Transaction, children: Sequence[Transaction]) -> Iterator[Sighting]:
    """What happened to an original beside our refunds of it."""
    if original.status in COLLECTED and original.paid:
        yield Sighting(kind="captured", amount=original.paid, reference=original.id, occurred_at=original.completed_at)
    if original.status in NEVER_COLLECTED:
        yield Sighting(kind="canceled", amount=0, reference=original.id, occurred_at=original.updated_at)
    yield from returns(children)
    for each in children:
        if each.type in GIVEN_BACK and _is_foreign(each):
            yield from _external(each)


def returns(children: Sequence[Transaction]) -> Iterator[Sighting]:
    """What the consumer's bank took back."""
    for each in children:
        if each.type == Type.REVERSE and each.status in (Status.PROCESSED, Status.COMPLETED):
            yield Sighting(kind="claw_back", amount=each.amount, reference=each.id, occurred_at=each.updated_at)


def _is_foreign(shown: Transaction) -> bool:
    """A refund made elsewhere. A reference so long that our mark would not have fitted may be one of ours."""
    return "mb_" not in shown.reference and has_room(shown.reference)


def _external(shown: Transaction) -> Iterator[Sighting]:
    """Counted from its acceptance, when its amount is promised; let go when it failed, and then it counts nothing."""
    made = Sighting(kind="external", amount=shown.amount, reference=shown.id, occurred_at=shown.updated_at)
    yield made
    if shown.status in UNDONE:
        yield replace(made, kind="external_undone")


def seen_refund(shown: Transaction) -> SeenRefund:
    """A refund or reclaim as its record shows it. A word nobody knows counts as promised: its amount is not free."""
    return SeenRefund(
        provider_id=shown.id,
        payment=shown.original or "",
        amount=shown.amount,
        currency=shown.currency,
        status=_standing(shown.status),
        mark=mark_in(shown.reference),
        code=shown.code if shown.status in UNDONE else None,
        at=shown.updated_at,
    )


def _standing(status: int) -> Literal["pending", "succeeded", "failed", "returned"]:
    if status == Status.COMPLETED:
        return "succeeded"
    if status == Status.REVERSED:
        return "returned"
    return "failed" if status in NEVER_COLLECTED else "pending"


# --- fetching --------------------------------------------------------------------------------------------------------


def fetch(dialect_id: str) -> Fetching:
    """The transaction with this id, if it is one that something can be made of, and all that was given back of it."""
    reply = yield from ask_transaction(dialect_id)
    if _is_unknown(reply):
        return None
    shown = shown_in(reply)
    if shown is None or shown.id != dialect_id:
        raise AnswerLost("Trustly did not show the transaction")
    if shown.type not in _MADE:
        return None
    children: tuple[Transaction, ...] = ()
    if shown.type not in CHECKS_ONLY:
        kind = Type.RECLAIM if shown.type == Type.DEPOSIT else Type.REFUND
        children = yield from ask_children(shown.id, kind, shown.currency)
    return _fetched(shown, members(reply.body), children)


def _is_unknown(reply: Reply) -> bool:
    """An unknown id is an invalid parameter, and the only parameter of this call (provider docs: Errors)."""
    said = problems(reply.body)
    return reply.status == 400 and bool(said) and all(each.code == _INVALID_PARAMETER for each in said)


def _fetched(shown: Transaction, written: Mapping[str, Any], children: Sequence[Transaction]) -> Fetched:
    condition = condition_of(shown)
    is_captured = condition is Condition.CAPTURED
    return Fetched(
        payment=AddPayment(
            amount=shown.paid if is_captured else shown.amount,
            currency=shown.currency,
            status=condition.value,
            method=_MADE[shown.type],
            order=shown.original if shown.type == Type.CAPTURE else None,
            dialect_id=shown.id,
            document=document(shown, written),
        ),
        reference=shown.id,
        captured_at=shown.completed_at if is_captured else None,
        refunds=tuple(seen_refund(each) for each in children if each.type in GIVEN_BACK),
        left=remainder(shown, children) if is_captured else None,
        sightings=tuple(returns(children)),
    )


def condition_of(shown: Transaction) -> Condition:
    """Whether its money came in. Only what is completed can be given back (provider docs: Refund transaction).

    A reversed one came in before the bank took it back; a word nobody knows is one more step on the way.
    """
    if shown.status in NEVER_COLLECTED:
        return Condition.FAILED
    if shown.type in CHECKS_ONLY:
        return Condition.AUTHORIZED
    if shown.paid and shown.status in (*COLLECTED, Status.REVERSED, Status.ON_HOLD):
        return Condition.CAPTURED
    if shown.status in (Status.NEW, Status.PENDING, Status.AUTHORIZED, Status.ON_HOLD):
        return Condition.AUTHORIZED
    return Condition.PROCESSING


def document(shown: Transaction, written: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is remembered of a transaction, so that refunds of it can be shown with the payment they belong to."""
    data: dict[str, Any] = {"transactionType": str(shown.type), "ip": NOWHERE}
    if shown.status in NEVER_COLLECTED:
        data["failureStatus"] = str(shown.status)
    if shown.reference:
        data["merchantReference"] = shown.reference
    if shown.original:
        data["originalTransactionId"] = shown.original
    if written.get("preAuthorized") is True:
        data["preAuthorized"] = True
    payment = written.get("payment")
    data["payment"] = _payment(shown, written, payment if isinstance(payment, Mapping) else {})
    return payment_document(data, _NEVER)


_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _payment(shown: Transaction, written: Mapping[str, Any], payment: Mapping[str, Any]) -> Mapping[str, Any]:
    facts: dict[str, Any] = {"shown": kept(payment)}
    kind = str(payment.get("paymentType", ""))
    if kind in {str(each.value) for each in PaymentType}:
        facts["paymentType"] = kind
    reference = payment.get("merchantReference")
    if isinstance(reference, str) and reference:
        facts["merchantReference"] = reference
    whole, own = sums(payment, shown.currency), sums(written, shown.currency)
    if whole is not None and own is not None:
        counts = (shown.type == Type.DEPOSIT) == (kind == str(PaymentType.DISBURSEMENT.value))
        facts["others"] = {name: max(0, whole[name] - (own[name] if counts else 0)) for name in SUMS}
    return facts


# --- listing ---------------------------------------------------------------------------------------------------------


def list_refunds(since: datetime, cursor: Mapping[str, Any]) -> Listing:
    """Refunds and reclaims of the account by the time of their last change, oldest first.

    A page goes on from the time at which the one before it ended, not from its place: a refund that changes meanwhile
    moves to the end, and would draw the others past a place. Only what changed in one and the same millisecond is
    counted by places. The next reading begins as much earlier as Trustly's lists may lag.
    """
    latest = int(cursor.get("latest", 0))
    begin = max(milliseconds(since), latest - LIST_LAG // timedelta(milliseconds=1))
    begin, place = int(cursor.get("from", begin)), int(cursor.get("place", 0))
    shown = _listed((yield _changed_since(begin, place)), "the list of refunds")
    changed = [milliseconds(each.updated_at) for each in shown]
    went = {"latest": max(latest, *changed)} if shown else {"latest": latest} if latest else {}
    is_full = len(shown) >= _PAGE
    if is_full:
        last = changed[-1] - 1
        went |= {"from": last, "place": 0} if last > begin else {"from": begin, "place": place + len(shown)}
    refunds = tuple(seen_refund(each) for each in shown if each.type in GIVEN_BACK)
    return Listed(refunds=refunds, cursor=went, more=is_full)


def _changed_since(begin: int, place: int) -> Call:
    query = (
        *(("transactionType", str(each.value)) for each in GIVEN_BACK),
        ("updatedAt.start", str(begin)),
        ("orderBy", "updatedAt"),
        ("sortOrder", "asc"),
        ("startIndex", str(place)),
        ("count", str(_PAGE)),
    )
    return Call(method="GET", path="/transactions", query=query, headers={"accept": "application/json"})
