"""Transaction records as we serve them: what one says of a payment or a refund, and how it is written down.

Every figure is derived from the engine's facts at the moment of asking; nothing is stored twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from moneyback.core.money import currency, to_major
from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import Caller
from moneyback.dialects.trustly.wire import (
    CODE_FAMILIES,
    PROVIDER_CODES,
    REFUND_SHOWN,
    PaymentType,
    Status,
    Type,
    milliseconds,
)

SANDBOX_IP: Final = "192.0.2.10"
SANDBOX_MERCHANT: Final = "1002463580"
SANDBOX_BANK: Final[Mapping[str, Any]] = MappingProxyType(
    {"paymentProviderId": "200000001", "type": 1, "name": "Demo Bank", "subType": "1000", "country": "US"}
)


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """The money of one record, in minor units."""

    pending: int = 0
    paid: int = 0
    refunded: int = 0
    reversed: int = 0

    @property
    def balance(self) -> int:
        """Paid minus reversed and refunded, by definition; negative when more went back than came in."""
        return self.paid - self.refunded - self.reversed


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction record, before it is written down."""

    id: str
    type: Type
    amount: int
    sums: Sums
    status: Status
    code: str
    description: str
    reference: str
    created_at: datetime
    processed_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime
    version: int
    original: str | None


# --- what a record says ----------------------------------------------------------------------------------------------


def original_record(payment: Payment) -> Record:
    """The capture or payment that came in, with what refunds and returns have done to it."""
    status = original_status(payment)
    collected = status is Status.PROCESSED or payment.condition is Condition.CAPTURED
    completed = payment.condition is Condition.CAPTURED and payment.amount_known
    at = payment.captured_at or payment.created_at
    return Record(
        id=payment.dialect_id,
        type=original_type(payment),
        amount=_amount_of(payment),
        sums=original_sums(payment),
        status=status,
        code=PROVIDER_CODES[status],
        description=status.message,
        reference=payment_reference(payment),
        created_at=payment.created_at,
        processed_at=at if collected else None,
        completed_at=at if completed else None,
        updated_at=payment.updated_at,
        version=payment.version,
        original=payment.document.get("originalTransactionId"),
    )


def original_type(payment: Payment) -> Type:
    """A capture, unless it was registered as a payment without a separate authorisation."""
    return Type(int(payment.document.get("transactionType", Type.CAPTURE)))


def original_status(payment: Payment) -> Status:
    """A payment's status from its facts (provider docs: Search). A bank return outweighs refunds."""
    match payment.condition:
        case Condition.FAILED:
            return Status(int(payment.document.get("failureStatus", Status.FAILED)))
        case Condition.AUTHORIZED:
            return Status.PENDING
        case Condition.PROCESSING:
            return Status.PROCESSED
        case Condition.CAPTURED if not payment.amount_known:
            return Status.PROCESSED
        case Condition.CAPTURED:
            return _captured_status(payment)


def _captured_status(payment: Payment) -> Status:
    sums = original_sums(payment)
    if sums.reversed:
        return Status.REVERSED
    if payment.disputed:
        return Status.ON_HOLD
    if not sums.refunded:
        return Status.COMPLETED
    return Status.REFUNDED if sums.balance <= 0 else Status.PARTIALLY_REFUNDED


def original_sums(payment: Payment) -> Sums:
    """`refunded` moves when a refund is admitted, so that the balance is never promised twice; back if it fails."""
    match payment.condition:
        case Condition.CAPTURED:
            return Sums(
                paid=payment.captured,
                refunded=payment.held + payment.refunded + payment.external,
                reversed=payment.clawed_back,
            )
        case Condition.AUTHORIZED | Condition.PROCESSING:
            return Sums(pending=_amount_of(payment))
        case Condition.FAILED:
            return Sums()


def refund_record(refund: Refund, payment: Payment, status: Status | None = None) -> Record:
    """A refund as a record of its own. `status` overrides what its state says."""
    status = refund_status(refund) if status is None else status
    done = refund.ended_at if refund.state in (State.SUCCEEDED, State.RETURNED) else None
    return Record(
        id=refund.dialect_id,
        type=Type.REFUND,
        amount=refund.payer,
        sums=refund_sums(refund),
        status=status,
        code=_bank_code(refund.provider_code) or PROVIDER_CODES[status],
        description=refund.message or status.message,
        reference=refund.request.get("merchantReference") or payment_reference(payment),
        created_at=refund.created_at,
        processed_at=done,
        completed_at=done,
        updated_at=refund.updated_at,
        version=refund.version,
        original=payment.dialect_id,
    )


def refund_status(refund: Refund) -> Status:
    """What a refund's state is called here; a doubt that looking did not settle is held for a person."""
    if refund.state is State.UNKNOWN and refund.human_since is not None:
        return Status.ON_HOLD
    return REFUND_SHOWN[refund.state]


def refund_sums(refund: Refund) -> Sums:
    """Pending until it succeeded, then paid; reversed when it came back; nothing when it failed."""
    match refund.state:
        case State.SUCCEEDED:
            return Sums(paid=refund.payer)
        case State.RETURNED:
            return Sums(paid=refund.payer, reversed=refund.payer)
        case State.FAILED | State.CANCELED:
            return Sums()
        case _:
            return Sums(pending=refund.payer)


def payment_reference(payment: Payment) -> str:
    """The merchant's reference of the payment; never empty (provider docs: OpenAPI, Transaction)."""
    return payment.document.get("merchantReference") or payment.order or payment.dialect_id


def _payment_type(payment: Payment) -> PaymentType:
    """Instant: one Pay record. Deferred: an authorisation, then captures (provider docs: Payment Types)."""
    return PaymentType.INSTANT if original_type(payment) is Type.PAY else PaymentType.DEFERRED


def _amount_of(payment: Payment) -> int:
    return payment.captured or payment.authorized


def _bank_code(code: str | None) -> str | None:
    """A rail's code, if it is one that Trustly's bank side could have given."""
    if code is None or not any(code.startswith(each) and code[len(each) :].isdecimal() for each in CODE_FAMILIES):
        return None
    return code


# --- how a record is written -----------------------------------------------------------------------------------------


def answer(record: Record, payment: Payment, caller: Caller) -> dict[str, Any]:
    """The Transaction twice over, so that clients of either published form find theirs.

    The reference prints it bare, its enums as text; every public client reads it beneath `transaction` with numbers.
    """
    bare = transaction(record, payment, caller, str)
    return {**bare, "transaction": transaction(record, payment, caller, int)}


def transaction(record: Record, payment: Payment, caller: Caller, enum: type[str] | type[int]) -> dict[str, Any]:
    """The Transaction object, members in the order of the reference (provider docs: Refund transaction).

    Members that are always there in the reference's schema never are null; the others are where we know nothing.
    """

    def money(minor: int) -> str:
        return to_major(minor, currency(payment.currency))

    return {
        "transactionId": record.id,
        "transactionType": enum(record.type.value),
        "payment": payment_object(payment, caller, enum),
        "currency": payment.currency,
        "amount": money(record.amount),
        **_sums(record.sums, payment.currency),
        "paymentProviderTransaction": {
            "paymentProviderTransactionId": record.id,
            "status": record.code,
            "statusMessage": record.status.message,
            "statusDescription": record.description,
        },
        "status": enum(record.status.value),
        "statusMessage": record.status.message,
        "ip": payment.document.get("ip", SANDBOX_IP),
        "createdAt": milliseconds(record.created_at),
        "processedAt": milliseconds(record.processed_at),
        "completedAt": milliseconds(record.completed_at),
        "updatedAt": milliseconds(record.updated_at),
        "merchantReference": record.reference,
        "recordVersion": record.version,
        "ppTrxId": record.id,
        "expiredAt": None,
        "originalTransactionId": record.original,
        "fee": None,
        "timeZone": "Etc/UTC",
        "representmentScheduledAt": None,
        "paymentProcessorType": None,
        "statusCode": record.code,
        "preAuthorized": False,
    }


def payment_object(payment: Payment, caller: Caller, enum: type[str] | type[int]) -> dict[str, Any]:
    """The Payment a record belongs to: every required member (provider docs: OpenAPI, Payment).

    The engine keeps no bank login, so what describes one is a sandbox's: a deferred payment from a checking account.
    """
    merchant = str(caller.profile.get("merchant_id", SANDBOX_MERCHANT))
    return {
        "paymentId": payment.dialect_id,
        "paymentType": enum(_payment_type(payment).value),
        "merchant": {"merchantId": merchant, "name": caller.name or "Demo merchant"},
        "merchantReference": payment_reference(payment),
        "merchantId": merchant,
        "fingerprint": "sandbox",
        "verification": {"status": enum(1), "mode": enum(3), "verifyCustomer": False},
        "account": {
            "name": "Demo checking account",
            "type": 1,
            "profile": 1,
            "accountNumber": "6789",
            "accountNumberLastFour": "6789",
            "verified": True,
            "country": "US",
        },
        "currency": payment.currency,
        "amount": to_major(_amount_of(payment), currency(payment.currency)),
        "paymentProvider": {**SANDBOX_BANK, "subType": enum(SANDBOX_BANK["subType"])},
        "allowedPaymentProviderType": [1],
        "auth": {"token": "sandbox", "status": 2, "message": "Authorized"},
        "authorization": "sandbox",
        "authorizationStatus": Status.AUTHORIZED.value,
        "authorizationStatusMessage": Status.AUTHORIZED.message,
        **_sums(original_sums(payment), payment.currency),
        "createdAt": milliseconds(payment.created_at),
        "updatedAt": milliseconds(payment.updated_at),
        "recordVersion": payment.version,
        "paymentFlow": 1,
    }


def _sums(sums: Sums, code: str) -> dict[str, str]:
    names = ("pending", "paid", "refunded", "reversed", "balance")
    return {name: to_major(getattr(sums, name), currency(code)) for name in names}
