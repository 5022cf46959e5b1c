"""Mangopay's HTTP errors: nothing was created, and a body says why.

Here live the error body and every complaint of the served calls, in the provider's own words where it has some.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from moneyback.core.refusals import Reason
from moneyback.dialect import Fault, Incoming, Outgoing
from moneyback.dialects.mangopay.limits import limited


class Complaint(msgspec.Struct, frozen=True):
    """One HTTP error. `errors` goes out as it is, in lower case: one SDK knows a 404 by that member alone."""

    status: int
    type: str
    message: str
    errors: Mapping[str, str] | None = None


class Stamp(msgspec.Struct, frozen=True):
    """What every error body carries: an id of its own and its time."""

    id: str
    at: datetime


def body(complaint: Complaint, stamp: Stamp) -> dict[str, Any]:
    """The error body. Its Id ends in the time and its Date is an integer (provider docs: error report)."""
    seconds = int(stamp.at.timestamp())
    return {
        "Message": complaint.message,
        "Type": complaint.type,
        "Id": f"{stamp.id}#{seconds}",
        "Date": seconds,
        "errors": None if complaint.errors is None else dict(complaint.errors),
    }


def said(complaint: Complaint, stamp: Stamp) -> Outgoing:
    """The error as an answer."""
    return Outgoing(status=complaint.status, body=body(complaint, stamp))


PARAMETERS: Final = (
    "One or several required parameters are missing or incorrect. "
    "An incorrect resource ID also raises this kind of error."
)
REPUDIATED: Final = "Due to repudiations against this transaction, you can not refund this amount"


def param_error(**errors: str) -> Complaint:
    """400 with one sentence a field; a dot in a field's name is written `__` here."""
    return parameters({name.replace("__", "."): sentence for name, sentence in errors.items()})


def parameters(errors: Mapping[str, str]) -> Complaint:
    """400 with one sentence a field."""
    return Complaint(400, "param_error", PARAMETERS, errors)


def not_found(kind: str, identity: str) -> Complaint:
    """404. The spelling is the provider's (provider docs: error report)."""
    errors = {"RessourceNotFound": f"Cannot found the ressource {kind} with the id={identity}"}
    return Complaint(404, "ressource_not_found", "The ressource does not exist", errors)


def absent(name: str, kind: str, identity: str) -> Complaint:
    """400 for a member that names what does not exist."""
    return parameters({name: f"Cannot found the ressource {kind} with the id={identity}"})


def currencies(sentence: str) -> Complaint:
    """400 where two currencies had to be the same (provider docs: create a transfer, create a pay-in)."""
    message = "Error: multi-currency usage is not authorized"
    return Complaint(400, "currency_incompatibility", message, {"currency": sentence})


NOT_SUCCEEDED: Final = Complaint(
    400,
    "original_transaction_must_be_succeeded",
    "The original transaction must have a SUCCEEDED Status to be refunded",
    MappingProxyType({}),
)
DISPUTED: Final = param_error(DebitedFunds=REPUDIATED)
OTHER_AUTHOR: Final = param_error(AuthorId="Author of the refund is not the author of the initial payin")
OVER_CREDITED: Final = param_error(
    DebitedFunds="DebitedFunds cannot be superior the CreditedFunds of the initial PayIn"
)
OTHER_TRANSFER_AUTHOR: Final = param_error(AuthorId="Author of the refund is not the author of the initial transfer")
OVER_TRANSFERRED: Final = param_error(
    DebitedFunds="DebitedFunds cannot be higher than CreditedFunds of the initial transfer"
)
TRANSFER_REFUNDED: Final = param_error(TransferId="Original transaction has already been successfully refunded")
UNREFUNDABLE: Final = param_error(PayInId="A PayIn of this payment method cannot be refunded")
BELOW_MINIMUM: Final = param_error(DebitedFunds="The amount is below the smallest amount that can be refunded")
OTHER_CURRENCY: Final = param_error(
    DebitedFunds__Currency="The Currency of the refund is not the Currency of the initial PayIn"
)
BAD_KEY: Final = parameters(
    MappingProxyType({"Idempotency-Key": "The Idempotency-Key must be 16 to 36 letters, digits or dashes"})
)
KEY_USED: Final = Complaint(
    409, "idempotent_creation_conflict", "A resource has already been created with this Idempotency Key"
)
KEY_UNKNOWN: Final = Complaint(
    400, "correlationid_not_found", "No response is stored under this Idempotency Key", MappingProxyType({})
)
TERMS_NOT_ACCEPTED: Final = Complaint(
    403,
    "user_hasnt_accepted_terms_and_conditions",
    "User must accept the terms and conditions before account creation or modification.",
)
NO_PERMISSION: Final = Complaint(403, "forbidden_ressource", "You are not authorized to access this ressource")
UNCLASSIFIED: Final = param_error(PayInId="This PayIn cannot be refunded as asked")

BY_REASON: Final[Mapping[Reason, Complaint]] = MappingProxyType(
    {
        Reason.PAYMENT_FAILED: NOT_SUCCEEDED,
        Reason.PAYMENT_PROCESSING: NOT_SUCCEEDED,
        Reason.PAYMENT_NOT_CAPTURED: NOT_SUCCEEDED,
        Reason.AMOUNT_UNKNOWN: NOT_SUCCEEDED,
        Reason.PAYMENT_DISPUTED: DISPUTED,
        Reason.CURRENCY_MISMATCH: OTHER_CURRENCY,
        Reason.BELOW_MINIMUM: BELOW_MINIMUM,
        Reason.KIND_UNSUPPORTED: UNREFUNDABLE,
    }
)
"""The refusals of the engine that Mangopay says as HTTP errors (provider docs: create a pay-in refund)."""

UNDATED: Final = datetime.fromtimestamp(0, UTC)
"""The time of a request that nobody dated: a Date must be an integer all the same."""

_FAULTS: Final[Mapping[Fault, Complaint]] = MappingProxyType(
    {
        Fault.FORBIDDEN: NO_PERMISSION,
        Fault.METHOD_NOT_ALLOWED: Complaint(405, "method_not_allowed", "The method is not allowed for this ressource"),
        Fault.BAD_BODY: param_error(Body="The body of the request could not be read"),
        Fault.TOO_LARGE: Complaint(413, "request_too_large", "The body of the request is too large"),
        Fault.UNAVAILABLE: Complaint(503, "service_unavailable", "The service is not available, try again later"),
        Fault.INTERNAL: Complaint(500, "internal_error", "Internal server error"),
    }
)


def invalid_credentials(at: datetime) -> Outgoing:
    """401 of everything but the token endpoint: neither Id nor errors (provider docs: authentication)."""
    answer = {
        "Message": "The authorization credentials are not valid",
        "Type": "invalid_credentials",
        "Date": int(at.timestamp()),
    }
    return Outgoing(status=401, body=answer)


def fault(kind: Fault, incoming: Incoming | None) -> Outgoing:
    """What a mount met before or instead of a handler. The token endpoint speaks OAuth's own words."""
    path = incoming.path if incoming is not None else ""
    at = (incoming.at if incoming is not None else None) or UNDATED
    if kind is Fault.UNAUTHENTICATED:
        answer = Outgoing(status=401, body={"error": "invalid_client"}) if is_token(path) else invalid_credentials(at)
        return limited(answer, at)
    complaint = not_found("Path", path) if kind is Fault.NOT_FOUND else _FAULTS[kind]
    return limited(said(complaint, Stamp(incoming.id if incoming is not None else "", at)), at)


def is_token(path: str) -> bool:
    """Whether a path is the token endpoint's, however its slashes and letters are written."""
    return [word.lower() for word in path.split("/") if word][-2:] == ["oauth", "token"]
