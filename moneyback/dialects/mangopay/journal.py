"""Where a transaction is listed, and what happened to it: the index behind `…/transactions` and `/events`.

An entry says which object is meant, never what it amounts to: the object itself is read when a list is shown. Whatever
happens to a payment or refund is entered by the file named telling, a moment later. For a client that does not wait
so long, a handler enters what it made, and whoever reads the events enters what is new.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from moneyback.core.payment import Payment, PaymentKind
from moneyback.core.refund import Refund
from moneyback.dialect import (
    Ask,
    DropDocument,
    FindPayment,
    FindRefund,
    ListDocuments,
    ListPayments,
    LoadDocument,
    PaymentOf,
    SaveDocument,
    Tell,
)
from moneyback.dialects.mangopay import callbacks
from moneyback.dialects.mangopay.transactions import return_id
from moneyback.dialects.mangopay.windows import created
from moneyback.dialects.mangopay.wire import (
    PAYIN_STATUSES,
    STATUSES,
    author_of,
    destination_of,
    is_payout,
    wallet_of,
)

EVENTS: Final = "event"
_UNSETTLED: Final = "unsettled"
_AT_ONCE: Final = 100
"""How much is asked for at once, and how much of what has not ended is looked at by whoever reads the events."""
_TAKEN_IN: Final = "taken in"
_STILL_TO_COME: Final = timedelta(minutes=1)
"""How much earlier than another a payment may have been made that is committed after it."""

_KINDS: Final = {PaymentKind.PAYIN: "PAYIN", PaymentKind.TRANSFER: "TRANSFER", PaymentKind.PAYOUT: "PAYOUT"}
_ENDINGS: Final = ("SUCCEEDED", "FAILED")


def place(kind: str, identity: str) -> str:
    """The kind of document under which the transactions of a wallet, a user, a card … are entered."""
    return f"transactions of {kind} {identity}"


def enter(identity: str, places: Iterable[str], kind: str, nature: str) -> Generator[Ask, Any, None]:
    """List an object in these places; in none of them twice."""
    for each in dict.fromkeys(places):
        yield SaveDocument(each, identity, {"Id": identity, "Type": kind, "Nature": nature})


def happened(kind: str, identity: str, at: datetime) -> Generator[Ask, Any, dict[str, Any]]:
    """Write an event down, once; the event as it was written down first."""
    known: dict[str, Any] | None = yield LoadDocument(EVENTS, _event_id(kind, identity))
    if known is not None:
        return known
    event = {"ResourceId": identity, "EventType": kind, "Date": int(at.timestamp())}
    yield SaveDocument(EVENTS, _event_id(kind, identity), event)
    return event


def announce(kind: str, identity: str, at: datetime) -> Generator[Ask, Any, None]:
    """Write down an event of what is no payment and no refund, and call its hook. Announced again it is no news."""
    event = yield from happened(kind, identity, at)
    first = datetime.fromtimestamp(event["Date"], UTC)
    for delivery in (yield from callbacks.calls_of(kind, identity, str(event["Date"]), first)):
        yield Tell(_event_id(kind, identity), delivery)


def _event_id(kind: str, identity: str) -> str:
    return f"{kind} {identity}"


def enter_payment(payment: Payment) -> Generator[Ask, Any, None]:
    """A pay-in, transfer or payout: listed with its wallets, its users and what it was paid with; its events so far."""
    yield from enter(payment.dialect_id, _places(payment), _KINDS[payment.kind], "REGULAR")
    yield from note_payment(payment)


def enter_refund(refund: Refund, payment: Payment) -> Generator[Ask, Any, None]:
    """A refund, beside the payment it gives back, which is entered with it unless it is there."""
    yield from known_payment(payment)
    nature = "REGULAR" if is_payout(refund) else "REFUND"
    kind = "TRANSFER" if payment.kind is PaymentKind.TRANSFER else "PAYOUT"
    yield from enter(refund.dialect_id, _places(payment, refund), kind, nature)
    yield from note_refund(refund, payment)


def enter_return(refund: Refund, payment: Payment) -> Generator[Ask, Any, None]:
    """What came back of a refund that had gone out as a payout."""
    yield from enter(return_id(refund), _places(payment, refund), "PAYIN", "REFUND")


def known_payment(payment: Payment) -> Generator[Ask, Any, None]:
    """Enter a payment unless it is there: one that came in by no call of this dialect."""
    if not (yield from _is_noted(payment_prefix(payment), payment.dialect_id)):
        yield from enter_payment(payment)


def known_refund(refund: Refund, payment: Payment) -> Generator[Ask, Any, None]:
    """Enter a refund unless it is there: one that was made by no call of this dialect."""
    if not (yield from _is_noted(refund_prefix(refund, payment), refund.dialect_id)):
        yield from enter_refund(refund, payment)


def payment_prefix(payment: Payment) -> str:
    """What the types of a payment's events begin with."""
    return f"{_KINDS[payment.kind]}_NORMAL"


def refund_prefix(refund: Refund, payment: Payment) -> str:
    """What the types of a refund's events begin with. One that goes out as a payout is one."""
    return "PAYOUT_NORMAL" if is_payout(refund) else f"{_KINDS[payment.kind]}_REFUND"


def note_payment(payment: Payment) -> Generator[Ask, Any, None]:
    """The events of a payment as it stands; what has not ended is looked at again later."""
    ended = payment.captured_at or payment.updated_at
    yield from _note(payment_prefix(payment), payment.dialect_id, created(payment), _word(payment), ended)


def note_refund(refund: Refund, payment: Payment) -> Generator[Ask, Any, None]:
    """The events of a refund, or of the payout that it is, as it stands."""
    ended = refund.ended_at or refund.updated_at
    prefix, word = refund_prefix(refund, payment), STATUSES[refund.state]
    yield from _note(prefix, refund.dialect_id, refund.created_at, word, ended)


def take_in() -> Generator[Ask, Any, None]:
    """Enter the payments nobody has entered: those that were registered natively, or were there from the beginning."""
    known: dict[str, Any] | None = yield LoadDocument(_TAKEN_IN, "payments")
    latest = None if known is None else datetime.fromisoformat(known["Latest"])
    since, skipped = None if latest is None else latest - _STILL_TO_COME, 0
    while True:
        batch: tuple[Payment, ...] = yield ListPayments(
            created_from=since, ascending=True, offset=skipped, limit=_AT_ONCE
        )
        for each in batch:
            yield from known_payment(each)
        if batch and (latest is None or batch[-1].created_at > latest):
            latest = batch[-1].created_at
            yield SaveDocument(_TAKEN_IN, "payments", {"Latest": latest.isoformat()})
        if len(batch) < _AT_ONCE:
            return
        same = batch[-1].created_at == since
        since = batch[-1].created_at
        skipped = (skipped if same else 0) + sum(each.created_at == since for each in batch)


def catch_up() -> Generator[Ask, Any, None]:
    """Write down what has become of what had not ended, the newest first: of the older we have been told."""
    yield from take_in()
    waiting: tuple[dict[str, Any], ...] = yield ListDocuments(kind=_UNSETTLED, ascending=False, limit=_AT_ONCE)
    for each in waiting:
        refund: Refund | None = yield FindRefund(each["Id"])
        if refund is not None:
            if STATUSES[refund.state] in _ENDINGS:
                yield from note_refund(refund, (yield PaymentOf(refund.payment)))
                yield from settled(each["Id"])
            continue
        payment: Payment | None = yield FindPayment(each["Id"])
        if payment is not None and _word(payment) in _ENDINGS:
            yield from settle(payment)


def settle(payment: Payment) -> Generator[Ask, Any, None]:
    """Write down how a payment ended that had not when it was answered."""
    yield from note_payment(payment)
    yield from settled(payment.dialect_id)


def settled(identity: str) -> Generator[Ask, Any, None]:
    """Whoever reads the events need not look at it again."""
    if (yield LoadDocument(_UNSETTLED, identity)) is not None:
        yield DropDocument(_UNSETTLED, identity)


def _is_noted(prefix: str, identity: str) -> Generator[Ask, Any, bool]:
    return (yield LoadDocument(EVENTS, _event_id(f"{prefix}_CREATED", identity))) is not None


def _note(prefix: str, identity: str, begun: datetime, word: str, ended: datetime) -> Generator[Ask, Any, None]:
    yield from happened(f"{prefix}_CREATED", identity, begun)
    if word not in _ENDINGS:
        yield SaveDocument(_UNSETTLED, identity, {"Id": identity})
        return
    yield from happened(f"{prefix}_{word}", identity, ended)


def _word(payment: Payment) -> str:
    return PAYIN_STATUSES[payment.condition]


def _places(payment: Payment, refund: Refund | None = None) -> Iterable[str]:
    """The wallets and users on both sides, and the card, mandate or account that was used."""
    for wallet in (wallet_of(payment), payment.source, payment.fee_wallet if payment.fees else None):
        if wallet is not None:
            yield place("wallet", wallet)
    for user in (author_of(payment), payment.document.get("CreditedUserId")):
        if user is not None:
            yield place("user", str(user))
    for kind in ("Card", "Mandate", "BankAccount"):
        used = payment.document.get(f"{kind}Id")
        if used:
            yield place(kind.lower(), str(used))
    if refund is not None and (account := destination_of(refund)) is not None:
        yield place("bankaccount", account)
