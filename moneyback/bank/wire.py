"""The bank's wire: what is said to it and what it answers, in both directions, as JSON.

    POST /refunds                          {payment, captured, captured_at, currency, amount, mark, key, scenario, …}
    GET  /payments/{reference}             the counters, disputes and returns of a payment
    GET  /payments/{reference}/refunds     its refunds
    GET  /refunds/{id}                     one refund
    GET  /keys/{key}                       the refund of a key

Paths stand behind `/{account}/rung-{n}`: the books of two accounts never mix, and the rung says what is revealed.
Amounts are integers in minor units, times RFC 3339. Shapes live here; what the bank does is in `rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote, unquote

import msgspec
from msgspec.structs import replace

from moneyback.bank.book import Capture, Entry, Page, dispute_of, left, refunded, return_of
from moneyback.bank.scenario import parse
from moneyback.dialect import Call, Reply

AMOUNT_MAX: Final = 2**63 - 1
TEXT_LENGTH_MAX: Final = 255
SCENARIO_LENGTH_MAX: Final = 500

RUNG_READABLE: Final = 1
"""From here on counters, lists and single refunds can be read."""
RUNG_MARKED: Final = 2
"""From here on a refund that is read carries our mark."""
RUNG_KEYED: Final = 3
"""From here on a key is recognised, and shown."""
RUNG_LOOK_UP: Final = 4
"""From here on a refund can be found by its key."""

_Amount = Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)]
_Captured = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_LENGTH_MAX)]
_Words = Annotated[str, msgspec.Meta(min_length=1, max_length=SCENARIO_LENGTH_MAX)]
_Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class RefundCall(msgspec.Struct, frozen=True, kw_only=True):
    """Pay `amount` of a payment back. The caller tells what the bank needs to know of the payment."""

    payment: _Text
    captured: _Captured
    currency: _Currency
    amount: _Amount
    captured_at: _Time | None = None
    mark: _Text | None = None
    key: _Text | None = None
    scenario: _Words | None = None  # of this refund
    payment_scenario: _Words | None = None
    destination: str | None = None

    @property
    def capture(self) -> Capture:
        """What it tells of the payment."""
        return Capture(
            reference=self.payment,
            captured=self.captured,
            captured_at=self.captured_at,
            currency=self.currency,
            scenario=self.payment_scenario,
        )


class ReadPayment(msgspec.Struct, frozen=True):
    """Show a payment. `told` is what the caller knows of it, for a bank that never heard of it."""

    reference: str
    told: Capture | None = None


class ListRefunds(msgspec.Struct, frozen=True):
    """Show a payment's refunds."""

    reference: str


class ReadRefund(msgspec.Struct, frozen=True):
    """Show one refund."""

    payment: str
    number: int


class ReadKey(msgspec.Struct, frozen=True):
    """Show the refund of a key."""

    key: str


Request = RefundCall | ReadPayment | ListRefunds | ReadRefund | ReadKey


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """The query of a reading."""

    captured: _Captured
    currency: _Currency
    captured_at: _Time | None = None
    scenario: _Words | None = None


# --- what is said ----------------------------------------------------------------------------------------------------


def asked(call: Call) -> Request | Reply:
    """What a call asks for, or the answer to one that asks for nothing. `call.path` starts behind the rung."""
    try:
        return _asked(call)
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
        return refusal(422, "invalid", f"{error}"[:200])


def addressed(call: Call) -> tuple[str, int, Call]:
    """The account and the rung in a call's path, and the call that is left. Raises ValueError when it has none."""
    _, account, rung, *rest = [*call.path.split("/"), "", ""]
    if not account or not rung.startswith("rung-") or rung[5:] not in ("0", "1", "2", "3", "4"):
        raise ValueError(f"not a path of the sandbox bank: {call.path[:80]}")
    return unquote(account), int(rung[5:]), replace(call, path="/" + "/".join(rest).rstrip("/"))


def address(account: str, rung: int) -> str:
    """The start of every path of an account."""
    return f"/{segment(account)}/rung-{rung}"


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="")


def _asked(call: Call) -> Request | Reply:
    match call.method, tuple(_plain(unquote(each)) for each in call.path.split("/")[1:]):
        case "POST", ("refunds",):
            return _refund_call(call.body)
        case "GET", ("payments", reference):
            return ReadPayment(reference, _told(reference, dict(call.query)))
        case "GET", ("payments", reference, "refunds"):
            return ListRefunds(reference)
        case "GET", ("refunds", refund):
            return _refund_id(refund)
        case "GET", ("keys", key):
            return ReadKey(key)
        case _:
            return refusal(404, "no_such_path", "The bank has no such path.")


def _refund_call(body: bytes) -> RefundCall:
    call = msgspec.json.decode(body, type=RefundCall)
    for text in (call.payment, call.mark, call.key, call.destination):
        _plain(text or "")
    for words in (call.scenario, call.payment_scenario):
        if words is not None:
            parse(words)
    return call


def _told(reference: str, query: Mapping[str, str]) -> Capture | None:
    if "captured" not in query:
        return None
    told = msgspec.convert(query, _Told, strict=False)
    if told.scenario is not None:
        parse(told.scenario)
    return Capture(
        reference=reference,
        captured=told.captured,
        captured_at=told.captured_at,
        currency=told.currency,
        scenario=told.scenario,
    )


def _refund_id(refund: str) -> ReadRefund | Reply:
    payment, _, number = refund.rpartition(".")
    if not payment or not (number.isascii() and number.isdigit() and len(number) < len(str(AMOUNT_MAX))):
        return no_refund()
    return ReadRefund(payment, int(number))


def _plain(text: str) -> str:
    """Text that every store can keep. Raises ValueError for NUL and lone surrogates."""
    if "\0" in text or (not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text)):
        raise ValueError("A text contains a character that cannot be kept.")
    return text


# --- what is answered ------------------------------------------------------------------------------------------------


def refund_answer(entry: Entry, rung: int, now: datetime) -> Reply:
    """The answer to a refund call that was taken: the refund as it stands."""
    status = {"pending": 202, "succeeded": 201, "failed": 402, "returned": 201}[entry.status(now)]
    return _reply(status, {"refund": shown(entry, rung, now), "as_of": now})


def refund_page(entry: Entry, rung: int, now: datetime) -> Reply:
    """One refund, read."""
    return _reply(200, {"refund": shown(entry, rung, now), "as_of": now})


def refund_list(entries: Iterable[Entry], rung: int, now: datetime) -> Reply:
    """The refunds of a payment that lists show by now, oldest first."""
    return _reply(200, {"refunds": [shown(each, rung, now) for each in entries if each.listed(now)], "as_of": now})


def payment_page(page: Page, entries: Iterable[Entry], now: datetime) -> Reply:
    """A payment, read."""
    return _reply(200, {"payment": payment_shown(page, tuple(entries), now), "as_of": now})


def payment_shown(page: Page, entries: tuple[Entry, ...], now: datetime) -> dict[str, Any]:
    """A payment as the bank shows it."""
    dispute, back = dispute_of(page, now), return_of(page, now)
    return {
        "reference": page.reference,
        "currency": page.currency,
        "captured": page.captured,
        "refunded": refunded(entries, now),
        "left": left(page, entries, now),
        "disputes": [] if dispute is None else [dispute],
        "returns": [] if back is None else [back],
    }


def shown(entry: Entry, rung: int, now: datetime) -> dict[str, Any]:
    """A refund as the bank shows it on this rung."""
    status = entry.status(now)
    members: dict[str, Any] = {
        "id": entry.id,
        "payment": entry.payment,
        "amount": entry.amount,
        "currency": entry.currency,
        "status": status,
        "created_at": entry.received_at,
        "updated_at": entry.changed_at(now),
    }
    if status == "failed":
        members |= {"failure": entry.failure, "code": entry.words.code, "message": "The sandbox bank declined it."}
    if rung >= RUNG_MARKED:
        members["mark"] = entry.mark
    if rung >= RUNG_KEYED:
        members["key"] = entry.key
    return members


def refusal(status: int, error: str, message: str, now: datetime | None = None) -> Reply:
    """An answer that is no refund, with one machine word and a sentence."""
    members: dict[str, Any] = {"error": error, "message": message}
    return _reply(status, members if now is None else {**members, "as_of": now})


def not_taken() -> Reply:
    """The bank's own word that it did nothing and will do nothing with this call."""
    return refusal(503, "maintenance", "The bank is closed for a moment; nothing was done.")


def busy() -> Reply:
    """Too many calls wait; this one was not let in."""
    return refusal(429, "busy", "The bank has too much to do; nothing was done.")


def no_refund(now: datetime | None = None) -> Reply:
    """A refund that is not there."""
    return refusal(404, "no_such_refund", "There is no such refund.", now)


def encoded(value: object) -> bytes:
    """JSON."""
    return msgspec.json.encode(value)


def _reply(status: int, body: object) -> Reply:
    return Reply(status=status, headers={"content-type": "application/json"}, body=encoded(body))
