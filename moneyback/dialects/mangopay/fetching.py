"""Fetching: a pay-in or transfer that only Mangopay knows, and all refunds of an account by what has happened there.

Of an object is kept what refunds of it need, and what may be shown again: never who paid, from where, or with what.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from moneyback.core.payment import Condition, PaymentKind
from moneyback.core.refund import Event
from moneyback.dialect import AddPayment, AnswerLost, Call, Fetched, Fetching, Listed, Listing, Reply, SeenRefund
from moneyback.dialects.mangopay import received, schemas
from moneyback.dialects.mangopay.asking import NAMES, Headers, ask_given, ask_payout, by_payouts, get
from moneyback.dialects.mangopay.meanings import STATUSES, is_absent
from moneyback.dialects.mangopay.received import Happened, Paid, Shown
from moneyback.dialects.mangopay.registration import fitting
from moneyback.dialects.mangopay.session import sign_in
from moneyback.dialects.mangopay.wire import REFUNDS

SHOWN: Final = (
    *("CardId", "SecureMode", "SecureModeNeeded", "Culture", "SecurityInfo", "CardInfo", "Requested3DSVersion"),
    *("Applied3DSVersion", "RecurringPayinRegistrationId", "PreferredCardNetwork", "PaymentCategory", "CardType"),
    *("PreauthorizationId", "MandateId", "ChargeDate", "WireReference"),
)
"""What may be kept of a pay-in beyond what all have."""
_OWN: Final = (
    *("AuthorId", "CreditedUserId", "CreditedWalletId", "DebitedWalletId", "Tag", "StatementDescriptor"),
    *("ExecutionType", "ResultCode", "ResultMessage", "CardId", "MandateId", "CreationDate"),
)
_CONDITIONS: Final[Mapping[str, Condition]] = {
    "CREATED": Condition.PROCESSING,
    "SUCCEEDED": Condition.CAPTURED,
    "FAILED": Condition.FAILED,
}

EVENTS: Final = (
    *("PAYIN_REFUND_SUCCEEDED", "PAYIN_REFUND_CREATED", "PAYIN_REFUND_FAILED"),
    *("TRANSFER_REFUND_SUCCEEDED", "TRANSFER_REFUND_CREATED", "TRANSFER_REFUND_FAILED"),
    "PAYOUT_REFUND_SUCCEEDED",
)
"""What is asked about, one after the other (provider docs: event types). The last: a payout came back."""
EVENTS_PAGE: Final = 20
"""Events of one step: each of them is a refund that has to be read."""
EVENT_LAG: Final = timedelta(minutes=10)
"""How much later than its own date an event may be listed. Mangopay publishes no figure; it takes seconds."""


# --- one payment -----------------------------------------------------------------------------------------------------


def fetch(dialect_id: str) -> Fetching:
    """The pay-in or transfer with this id, with all that was given back of it; None where Mangopay has neither."""
    headers = yield from sign_in()
    for kind, place in NAMES.items():
        reply = yield get(headers, place, dialect_id)
        if is_absent(reply):
            continue
        paid = received.paid(reply)
        if paid is None or paid.id != dialect_id or paid.status not in _CONDITIONS:
            raise AnswerLost("Mangopay did not show the pay-in")
        return (yield from _fetched(kind, place, paid, reply, headers))
    return None


def _fetched(
    kind: PaymentKind, place: str, paid: Paid, reply: Reply, headers: Headers
) -> Generator[Call, Reply, Fetched]:
    condition, funds = _CONDITIONS[paid.status], paid.funds
    given: tuple[Shown, ...] | None = ()
    refunds: tuple[dict[str, Any], ...] = ()
    if condition is Condition.CAPTURED:
        given = yield from ask_given(place, paid, headers)
    if given and not (place == "payins" and by_payouts(paid)):
        refunds = tuple(_as_shown(each) for each in given)
    said = received.members(reply)
    document = {**_kept(said, paid), **({REFUNDS: list(refunds)} if refunds else {})}
    return Fetched(
        payment=AddPayment(
            amount=funds.amount,
            currency=funds.currency,
            status=condition.value,
            method=paid.payment_type if kind is PaymentKind.PAYIN else "TRANSFER",
            fees=min(paid.kept, funds.amount),
            dialect_id=paid.id,
            document=document,
            kind=kind,
        ),
        reference=paid.id,
        captured_at=received.moment(paid.execution_date) if condition is Condition.CAPTURED else None,
        refunds=tuple(seen_refund(each, paid.id) for each in given or ()),
    )


def _kept(said: Mapping[str, Any], paid: Paid) -> dict[str, Any]:
    own = {name: said[name] for name in _OWN if said.get(name) is not None}
    if paid.creation_date is not None:
        own["CreationDate"] = int(paid.creation_date)
    return {**fitting(own), "Shown": {name: said[name] for name in SHOWN if name in said}}


def _as_shown(shown: Shown) -> dict[str, Any]:
    return {name: shown.whole[name] for name in schemas.REFUND["properties"] if name in shown.whole}


def seen_refund(shown: Shown, original: str) -> SeenRefund:
    """What gives a payment back, as Mangopay shows it. A word nobody knows counts as promised: it is not free."""
    event = STATUSES.get(shown.status)
    return SeenRefund(
        provider_id=shown.id,
        payment=original,
        amount=shown.credited_funds.amount,
        currency=shown.credited_funds.currency,
        fee_return=-shown.fees.amount,
        status="succeeded" if event is Event.EXECUTED else "failed" if event is Event.REFUSED else "pending",
        code=shown.result_code.strip() if shown.result_code and event is Event.REFUSED else None,
        at=shown.changed_at,
    )


# --- all refunds of the account --------------------------------------------------------------------------------------


def list_refunds(since: datetime, cursor: Mapping[str, Any]) -> Listing:
    """One step through what has happened to refunds, kind of event after kind of event.

    Mangopay lists no refunds of a whole account. Its events name them, and each is then read. The cursor keeps the
    latest date of every kind, and within a turn its place; a turn begins a little before that date, so that nothing is
    missed that was listed late, whatever the order in which events are shown. Raises AnswerLost for a time of more
    than 45 days ago, of which there are no events any more.
    """
    headers = yield from sign_in()
    place = _Place.of(cursor)
    while True:
        begin = place.began or max(int(since.timestamp()) - 1, place.latest_of() - int(EVENT_LAG.total_seconds()))
        events = yield from _ask_events(place, begin, headers)
        numbers = dict.fromkeys(each.resource_id for each in events if each.event_type == place.word)
        place = place.after(events, begin)
        if numbers or place.is_done:
            seen = yield from _read_refunds(numbers, headers)
            return Listed(refunds=seen, cursor=place.cursor, more=not place.is_done)


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where in a turn we are: at which kind of event, at which of its pages, and from which date on."""

    kind: int = 0
    page: int = 1
    began: int = 0  # seconds; 0: this kind's pages have not begun
    latest: Mapping[str, int] = {}

    @classmethod
    def of(cls, cursor: Mapping[str, Any]) -> _Place:
        """The place a cursor keeps; of one that cannot be read, the beginning."""
        try:
            place = msgspec.convert(dict(cursor), cls)
        except msgspec.ValidationError:
            return cls()
        return place if 0 <= place.kind < len(EVENTS) else cls(latest=place.latest)

    @property
    def word(self) -> str:
        """The kind of event."""
        return EVENTS[self.kind]

    @property
    def is_done(self) -> bool:
        """Whether the turn is over."""
        return self.kind >= len(EVENTS)

    @property
    def cursor(self) -> dict[str, Any]:
        """As it is kept; after a turn, only what the next must know."""
        latest = dict(self.latest)
        return {"latest": latest} if self.is_done else {**msgspec.structs.asdict(self), "latest": latest}

    def latest_of(self) -> int:
        """The latest date of this kind that was seen, in seconds."""
        return self.latest.get(self.word, 0)

    def after(self, events: tuple[Happened, ...], begin: int) -> _Place:
        """Where to go on after a page."""
        dates = [int(each.date) for each in events]
        latest = {**self.latest, self.word: max([self.latest_of(), *dates])}
        if len(events) < EVENTS_PAGE:
            return _Place(kind=self.kind + 1, latest=latest)
        return _Place(kind=self.kind, page=self.page + 1, began=begin, latest=latest)


def _ask_events(place: _Place, begin: int, headers: Headers) -> Generator[Call, Reply, tuple[Happened, ...]]:
    query = (
        ("EventType", place.word),
        ("AfterDate", str(max(0, begin))),
        ("page", str(place.page)),
        ("per_page", str(EVENTS_PAGE)),
        ("Sort", "Date:ASC"),
    )
    events = received.events((yield get(headers, "events", query=query)))
    if events is None:
        raise AnswerLost("Mangopay did not show its events")
    return events


def _read_refunds(numbers: Iterable[str], headers: Headers) -> Generator[Call, Reply, tuple[SeenRefund, ...]]:
    seen = []
    for number in numbers:
        reply = yield get(headers, "refunds", number)
        shown = received.refund(reply)
        if shown is not None and shown.id == number:
            seen.append((yield from _seen(shown, headers)))
        elif not is_absent(reply):  # what is absent was archived since
            raise AnswerLost(f"Mangopay did not show the refund {number}")
    return tuple(each for each in seen if each is not None)


def _seen(shown: Shown, headers: Headers) -> Generator[Call, Reply, SeenRefund | None]:
    """A refund; or the payout that came back by it, where that had given a pay-in back."""
    if shown.initial_transaction_type != "PAYOUT":
        return None if shown.original is None else seen_refund(shown, shown.original)
    if shown.initial_transaction_id is None or STATUSES.get(shown.status) is not Event.EXECUTED:
        return None
    payout = yield from ask_payout(shown.initial_transaction_id, headers)
    if payout.payment_ref is None or payout.original is None:
        return None
    returned: Literal["returned"] = "returned"
    return replace(seen_refund(payout, payout.original), status=returned, at=shown.changed_at)
