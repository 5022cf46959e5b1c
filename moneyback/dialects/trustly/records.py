"""Transaction records as we serve them: what one says of a payment or a refund, and what a whole payment says.

Every figure is derived from the engine's facts at the moment of asking; nothing is stored twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import release_of
from moneyback.dialects.trustly.wire import (
    AUTHORIZATION_SHOWN,
    CHECKS_ONLY,
    CODE_FAMILIES,
    PROVIDER_CODES,
    REFUND_SHOWN,
    AuthorizationStatus,
    PaymentType,
    Status,
    Type,
)

CUSTOMER_IDS: Final = ("customerId", "externalId")
"""Of the customer a payment remembers these."""
SANDBOX_IP: Final = "192.0.2.10"
SANDBOX_MERCHANT: Final = "1002463580"
SANDBOX_BANK: Final[Mapping[str, Any]] = MappingProxyType(
    {"paymentProviderId": "200000001", "type": 1, "name": "Demo Bank", "subType": "1000", "country": "US"}
)
SANDBOX_ACCOUNT: Final[Mapping[str, Any]] = MappingProxyType({"type": 1, "profile": 1, "lastFour": "6789"})
REVERSE_PREFIX: Final = "5"
"""Before the id of an original stands the id of its return's record: the engine counts returns, and numbers none."""


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
    currency: str
    ip: str
    expired_at: datetime | None = None
    preauthorized: bool = False


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One payment of Trustly's: the record it began with, and all that its totals are made of."""

    root: Payment
    members: tuple[Payment, ...]

    def with_(self, payment: Payment) -> Family:
        """The same family with one of its payments as it stands now."""
        members = tuple(payment if each.id == payment.id else each for each in self.members)
        return Family(root=payment if payment.id == self.root.id else self.root, members=members)


def alone(payment: Payment) -> Family:
    """A payment that consists of one record."""
    return Family(root=payment, members=(payment,))


# --- what a record says ----------------------------------------------------------------------------------------------


def original_record(payment: Payment) -> Record:
    """The capture or payment that came in, with what refunds and returns have done to it."""
    status = original_status(payment)
    moves = original_type(payment) not in CHECKS_ONLY and not is_released(payment)
    collected = moves and payment.condition in (Condition.PROCESSING, Condition.CAPTURED)
    completed = moves and payment.condition is Condition.CAPTURED and payment.amount_known
    at = payment.captured_at or payment.created_at
    return Record(
        id=payment.dialect_id,
        type=original_type(payment),
        amount=amount_of(payment),
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
        currency=payment.currency,
        ip=payment_ip(payment),
        expired_at=expires_at(payment),
        preauthorized=bool(payment.document.get("preAuthorized", False)),
    )


def original_type(payment: Payment) -> Type:
    """A capture, unless it was registered or made as something else."""
    return Type(int(payment.document.get("transactionType", Type.CAPTURE)))


def is_released(payment: Payment) -> bool:
    """Whether it was canceled before anything had come in."""
    release = release_of(payment)
    return release is not None and release.state is State.SUCCEEDED and not payment.captured


def original_status(payment: Payment) -> Status:
    """A payment's status from its facts (provider docs: Search). A bank return outweighs refunds.

    A canceled bank authorisation is voided, everything else that is canceled is canceled (provider docs: Cancel).
    """
    kind = original_type(payment)
    if is_released(payment):
        return Status.VOIDED if kind is Type.AUTHORIZE else Status.CANCELED
    if kind in CHECKS_ONLY and payment.condition is Condition.CAPTURED:
        return Status.AUTHORIZED
    match payment.condition:
        case Condition.FAILED:
            return Status(int(payment.document.get("failureStatus", Status.FAILED)))
        case Condition.AUTHORIZED:
            return Status.AUTHORIZED if kind in CHECKS_ONLY else Status.PENDING
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
    if original_type(payment) in CHECKS_ONLY:
        return Sums()
    match payment.condition:
        case Condition.CAPTURED:
            return Sums(
                paid=payment.captured,
                refunded=payment.held + payment.refunded + payment.external,
                reversed=payment.clawed_back,
            )
        case Condition.AUTHORIZED | Condition.PROCESSING:
            return Sums(pending=amount_of(payment))
        case Condition.FAILED:
            return Sums()


def refund_record(refund: Refund, payment: Payment, status: Status | None = None) -> Record:
    """A refund, or the reclaim of a deposit, as a record of its own. `status` overrides what its state says."""
    status = refund_status(refund) if status is None else status
    done = refund.ended_at if refund.state in (State.SUCCEEDED, State.RETURNED) else None
    return Record(
        id=refund.dialect_id,
        type=Type.RECLAIM if original_type(payment) is Type.DEPOSIT else Type.REFUND,
        amount=refund.payer,
        sums=refund_sums(refund),
        status=status,
        code=_bank_code(refund.provider_code) or PROVIDER_CODES[status],
        description=refund.message or status.message,
        reference=refund.request.get("merchantReference") or refund.reference or payment_reference(payment),
        created_at=refund.created_at,
        processed_at=done,
        completed_at=done,
        updated_at=refund.updated_at,
        version=refund.version,
        original=payment.dialect_id,
        currency=payment.currency,
        ip=payment_ip(payment),
    )


def reverse_record(payment: Payment) -> Record:
    """What the bank took back of an original, as a record of its own.

    Returns are counted, not listed: there is one record for all of them, and its times are those of the original's
    last change.
    """
    at, back = payment.updated_at, payment.clawed_back
    return Record(
        id=REVERSE_PREFIX + payment.dialect_id,
        type=Type.REVERSE,
        amount=back,
        sums=Sums(paid=back),
        status=Status.COMPLETED,
        code=PROVIDER_CODES[Status.REVERSED],
        description=Status.REVERSED.message,
        reference=payment_reference(payment),
        created_at=at,
        processed_at=at,
        completed_at=at,
        updated_at=at,
        version=payment.version,
        original=payment.dialect_id,
        currency=payment.currency,
        ip=payment_ip(payment),
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


def payment_facts(payment: Payment) -> Mapping[str, Any]:
    """What a record knows of the payment it belongs to; nothing where it is that payment's own first record."""
    known: Mapping[str, Any] = payment.document.get("payment", {})
    return known


def payment_type(payment: Payment) -> PaymentType:
    """Instant: one Pay record. Deferred: an authorisation, then captures. Disbursement: then deposits (provider docs:
    Payment Types)."""
    stated = payment_facts(payment).get("paymentType")
    if stated is not None:
        return PaymentType(int(stated))
    match original_type(payment):
        case Type.PAY:
            return PaymentType.INSTANT
        case Type.DEPOSIT:
            return PaymentType.DISBURSEMENT
        case _:
            return PaymentType.DEFERRED


def payment_reference_of_all(payment: Payment) -> str:
    """The merchant's reference of the whole payment a record belongs to."""
    return payment_facts(payment).get("merchantReference") or payment_reference(payment)


def root_of(payment: Payment) -> str:
    """The id of the record a payment began with, which is the payment's id too."""
    return str(payment.document.get("authorization") or payment.dialect_id)


def payment_ip(payment: Payment) -> str:
    """The consumer's address."""
    return str(payment.document.get("ip", SANDBOX_IP))


def expires_at(payment: Payment) -> datetime | None:
    """Until when a preauthorisation holds."""
    text = payment.document.get("expiresAt")
    return None if text is None else datetime.fromisoformat(text)


def amount_of(payment: Payment) -> int:
    """What came in, or is to come in."""
    return payment.captured or payment.authorized


def _bank_code(code: str | None) -> str | None:
    """A rail's code, if it is one that Trustly's bank side could have given."""
    if code is None or not any(code.startswith(each) and code[len(each) :].isdecimal() for each in CODE_FAMILIES):
        return None
    return code


# --- what a whole payment says ---------------------------------------------------------------------------------------


def authorization_record_status(root: Payment) -> Status:
    """How the authorisation of a payment stands: its own record's status, Authorized where there is no such record."""
    return original_status(root) if original_type(root) is Type.AUTHORIZE else Status.AUTHORIZED


def authorization_status(root: Payment) -> AuthorizationStatus:
    """The same in the numbers of `payment.auth`."""
    return AUTHORIZATION_SHOWN.get(authorization_record_status(root), AuthorizationStatus.AUTHORIZED)


def family_sums(family: Family) -> Sums:
    """What all captures of a payment sum up to; all deposits of a disbursement."""
    disburses = payment_type(family.root) is PaymentType.DISBURSEMENT
    counted = [original_sums(each) for each in family.members if (original_type(each) is Type.DEPOSIT) == disburses]
    counted.append(Sums(**payment_facts(family.root).get("others", {})))  # records that only their provider knows
    return Sums(
        pending=sum(each.pending for each in counted),
        paid=sum(each.paid for each in counted),
        refunded=sum(each.refunded for each in counted),
        reversed=sum(each.reversed for each in counted),
    )
