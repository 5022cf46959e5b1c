"""What all of Maverick's calls share as we serve them: finding what an id names, errors, faults and credentials."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import (
    Ask,
    Fault,
    FindPayment,
    FindRefund,
    Incoming,
    LoadDocument,
    Outgoing,
    PaymentOf,
    Presented,
    Release,
    release_of,
)
from moneyback.dialects.maverick.captured import RECORD, Capture, captures_of
from moneyback.dialects.maverick.objects import Alone, Ongoing, terminal_of
from moneyback.dialects.maverick.wire import DEFAULTS, Complaint, Settings, envelope

ENCODINGS: Final = ("json", "form", "multipart")

# --- what an id names ------------------------------------------------------------------------------------------------


class Found(msgspec.Struct, frozen=True):
    """What an id names: an original, a child of one, or (without a payment) a record that moves nothing."""

    payment: Payment | None
    child: Refund | Release | Capture | Ongoing | Alone | None = None

    @property
    def terminal(self) -> int | None:
        """The terminal it went through; None where only a provider knows that."""
        if isinstance(self.child, Alone):
            return self.child.terminal
        assert self.payment is not None, "only what stands alone has no payment"
        return terminal_of(self.payment)


def find(number: str) -> Generator[Ask, Any, Found | None]:
    """The caller's record with this id, or None."""
    return (
        (yield from _find_payment(number)) or (yield from _find_refund(number)) or (yield from _find_document(number))
    )


def find_to_read(number: str) -> Generator[Ask, Any, Found | None]:
    """The same. A refund is looked for first: what we know of one can be said even if its provider does not answer."""
    return (
        (yield from _find_refund(number)) or (yield from _find_payment(number)) or (yield from _find_document(number))
    )


def _find_payment(number: str) -> Generator[Ask, Any, Found | None]:
    payment: Payment | None = yield FindPayment(number)
    return None if payment is None else Found(payment)


def _find_refund(number: str) -> Generator[Ask, Any, Found | None]:
    refund: Refund | None = yield FindRefund(number)
    return None if refund is None else Found((yield PaymentOf(refund.payment)), refund)


def _find_document(number: str) -> Generator[Ask, Any, Found | None]:
    kept = yield LoadDocument(RECORD, number)
    return None if kept is None else (yield from of_document(kept))


def of_document(kept: Mapping[str, Any]) -> Generator[Ask, Any, Found | None]:
    """What a record's document stands for, or None where it came to nothing."""
    if "payment" not in kept:
        return Found(None, Alone(kept))
    payment: Payment | None = yield FindPayment(kept["payment"])
    if payment is None:
        return None
    if kept["type"] == "Capture":
        return Found(payment, _capture_of(payment, kept))
    return Found(payment, _release_of(payment, kept))


def _capture_of(payment: Payment, kept: Mapping[str, Any]) -> Capture | Ongoing:
    made = next((each for each in captures_of(payment) if each.id == kept["id"]), None)
    return made or Ongoing(msgspec.convert(kept, Capture))


def _release_of(payment: Payment, kept: Mapping[str, Any]) -> Release:
    """A payment keeps its latest release only. An earlier one failed, or there would have been no later one."""
    release = release_of(payment)
    if release is not None and release.dialect_id == kept["id"]:
        return release
    return Release(dialect_id=kept["id"], state=State.FAILED, at=datetime.fromisoformat(kept["at"]))


# --- errors ----------------------------------------------------------------------------------------------------------


def refused(complaint: Complaint, settings: Settings = DEFAULTS) -> Outgoing:
    """A request that is answered with an error in Maverick's form."""
    return Outgoing(status=complaint.status, body=envelope(complaint, settings))


_FAULTS: Final[Mapping[Fault, Complaint]] = MappingProxyType(
    {
        Fault.UNAUTHENTICATED: Complaint(401, "Your request was made with invalid credentials."),
        Fault.FORBIDDEN: Complaint(403, "You are not allowed to perform this action."),
        Fault.NOT_FOUND: Complaint(404, "Page not found."),
        Fault.METHOD_NOT_ALLOWED: Complaint(405, "This method is not allowed here."),
        Fault.BAD_BODY: Complaint(400, "The request body cannot be read."),
        Fault.TOO_LARGE: Complaint(413, "The request body is too large."),
        Fault.UNAVAILABLE: Complaint(503, "Nothing was done. Please try again later."),
        Fault.INTERNAL: Complaint(500, "An internal error occurred."),
    }
)


def fault(kind: Fault, _incoming: Incoming | None) -> Outgoing:
    """What a mount meets before or instead of a handler, in Maverick's error form."""
    said = refused(_FAULTS[kind])
    match kind:
        case Fault.UNAUTHENTICATED:
            return msgspec.structs.replace(said, headers={"WWW-Authenticate": 'Bearer realm="api"'})
        case Fault.UNAVAILABLE:
            return msgspec.structs.replace(said, headers={"Retry-After": "1"})
        case _:
            return said


def presented(incoming: Incoming) -> Presented | None:
    """The token of `Authorization: Bearer <token>`, whatever the capitals of its scheme and the spaces around it."""
    scheme, _, token = incoming.headers.get("authorization", "").strip().partition(" ")
    return Presented(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
