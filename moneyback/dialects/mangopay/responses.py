"""Mangopay's Idempotency-Key: used once in 24 hours, never replayed; what was answered is fetched from /responses.

Here live the form of a key, the stored answer, and how a refund is asked for under a key. A key that is used again
after its 24 hours is a new one to the provider; here it gets a row of its own, named by the key and an ordinal.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import Admitted, Joined, Keyed, Moved, Replayed, Result
from moneyback.core.payment import Payment, PaymentKind
from moneyback.core.records import KeyRow
from moneyback.core.refund import Refund
from moneyback.core.refusals import Refusal
from moneyback.dialect import Ask, AskRefund, Incoming, KeyedAnswer, Outgoing, TakeKey
from moneyback.dialects.mangopay import complaints
from moneyback.dialects.mangopay.complaints import Complaint, Stamp
from moneyback.dialects.mangopay.transactions import refund_object
from moneyback.dialects.mangopay.wire import born_code, is_payout, result_code

DIALECT: Final = "mangopay"
FORM: Final = re.compile(r"[A-Za-z0-9-]{16,36}")  # provider docs: idempotency
LIFE: Final = timedelta(hours=24)  # provider docs: idempotency
GRACE: Final = timedelta(seconds=5)  # beyond the wait of a request: then its owner counts as dead
RESERVED: Final = b"reserved"
SAID: Final = "#said"
WAIT: Final = 10.0  # seconds a refund is waited for before it is shown as CREATED


def url(incoming: Incoming, *path: str) -> str:
    """The address of one of the dialect's paths, as its client reaches it."""
    base = incoming.base or f"http://{incoming.headers.get('host', 'localhost')}"
    return "/".join([base.rstrip("/"), "v2.01", *(quote(segment, safe="") for segment in path)])


def own_url(incoming: Incoming, *path: str) -> str:
    """The address of a path below the client's own."""
    return url(incoming, incoming.arguments["ClientId"], *path)


def called(incoming: Incoming) -> str:
    """The address that was called: one client finds the type of a stored answer by it."""
    return url(incoming, *[segment for segment in incoming.path.split("/") if segment][1:])


def refund_url(incoming: Incoming, refund: Refund, payment: Payment) -> str:
    """Where this refund was posted."""
    if is_payout(refund):
        return own_url(incoming, "payouts", "bankwire")
    kind = "transfers" if payment.kind is PaymentKind.TRANSFER else "payins"
    return own_url(incoming, kind, payment.dialect_id, "refunds")


def stored(status: int, resource: Any, address: str, at: datetime) -> bytes:
    """A stored answer as /responses shows it. Status and length are text (provider docs: idempotency)."""
    envelope = {
        "StatusCode": str(status),
        "ContentLength": str(len(msgspec.json.encode(resource))),
        "ContentType": "application/json; charset=utf-8",
        "Date": format_datetime(at.astimezone(UTC), usegmt=True),
        "RequestURL": address,
        "Resource": resource,
    }
    return msgspec.json.encode(envelope)


def stored_refund(refund: Refund, payment: Payment, code: str | None, address: str) -> tuple[int, bytes]:
    """The stored answer of an admitted refund: always 200, whatever became of it."""
    return 200, stored(200, refund_object(refund, payment, code), address, refund.created_at)


def stored_complaint(complaint: Complaint, address: str, stamp: Stamp) -> tuple[int, bytes]:
    """The stored answer of a request that was refused as an HTTP error."""
    return complaint.status, stored(complaint.status, complaints.body(complaint, stamp), address, stamp.at)


def ask_under(
    key: str, ask: AskRefund, address: str, stamp: Stamp
) -> Generator[Ask, Any, tuple[str, Admitted | Joined | Refusal] | None]:
    """Ask for a refund under the client's key: the key's row and the result, or None when the key is in use.

    What is final at admission is stored in the same commit; the caller stores the rest under that row.
    """

    def render(result: Result) -> tuple[int, bytes] | None:
        match result:
            case Refusal():
                return stored_complaint(complaint_of(result), address, stamp)
            case Admitted(refund, payment, refusal) if refusal is not None:
                return stored_refund(refund, payment, born_code(refusal.first, payment), address)
            case Moved(refund=refund, payment=payment) if refund.ended and not _is_named_later(payment):
                return stored_refund(refund, payment, result_code(refund), address)
            case _:
                return None

    ordinal = 1
    while True:
        row = _row(key, ordinal)
        keyed = Keyed(dialect=DIALECT, key=row, fingerprint=b"", wait=timedelta(seconds=WAIT) + GRACE, render=render)
        result = yield replace(ask, key=keyed)
        if not isinstance(result, Replayed):
            return row, result
        if _alive(result.key, stamp.at):
            return None
        ordinal += 1


def _is_named_later(payment: Payment) -> bool:
    """Whether it may be told under its provider's id, which is settled when it is told."""
    return not payment.rail.startswith("sandbox")


def take(key: str, complaint: Complaint, address: str, stamp: Stamp) -> Generator[Ask, Any, bool]:
    """Use the key up with an error that admitted nothing; False when it is in use already."""
    status, answer = stored_complaint(complaint, address, stamp)
    ordinal = 1
    while True:
        known = yield TakeKey(_row(key, ordinal), status, answer)
        if known is None:
            return True
        if _alive(known, stamp.at):
            return False
        ordinal += 1


def fetch(key: str, incoming: Incoming, at: datetime) -> Generator[Ask, Any, bytes | None]:
    """The answer stored under a key within the last 24 hours; waits for one that is still being worked on."""

    def render(refund: Refund, payment: Payment) -> tuple[int, bytes]:
        told = replace(refund, dialect_id=refund.shown_id)
        return stored_refund(told, payment, result_code(told), refund_url(incoming, told, payment))

    newest: bytes | None = None
    ordinal = 1
    while (found := (yield KeyedAnswer(_row(key, ordinal), WAIT, render))) is not None:
        newest = found[1]
        if newest == RESERVED:
            said = yield KeyedAnswer(_row(key, ordinal) + SAID, WAIT)
            newest = said[1] if said is not None else None
        ordinal += 1
    if newest is None or _answered_at(newest) + LIFE <= at:
        return None
    return newest


def reserve(key: str, at: datetime) -> Generator[Ask, Any, str | None]:
    """Take a key before anything is done under it: the row that is ours now, or None when it is in use.

    What will be answered is not known yet, so it is kept in a second row. Whoever dies in between has used the key up.
    """
    ordinal = 1
    while True:
        known = yield TakeKey(_row(key, ordinal), 202, RESERVED)
        if known is None:
            return _row(key, ordinal)
        if _alive(known, at):
            return None
        ordinal += 1


def keep(row: str, said: Outgoing, address: str, at: datetime) -> Generator[Ask, Any, None]:
    """Keep what was answered under a key that was reserved."""
    yield TakeKey(row + SAID, said.status, stored(said.status, said.body, address, at))


def complaint_of(refusal: Refusal) -> Complaint:
    """The HTTP error of a refusal that is not kept."""
    return complaints.BY_REASON.get(refusal.first.reason, complaints.UNCLASSIFIED)


def _row(key: str, ordinal: int) -> str:
    """No client's key holds a number sign, so no client can name another's second row."""
    return key if ordinal == 1 else f"{key}#{ordinal}"


def _alive(row: KeyRow, at: datetime) -> bool:
    return row.created_at + LIFE > at


def _answered_at(envelope: bytes) -> datetime:
    return parsedate_to_datetime(msgspec.json.decode(envelope)["Date"])
