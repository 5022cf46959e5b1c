"""What the native API shows of the engine's values. Amounts are integer minor units beside their currency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from moneyback.core.ledger import Movement
from moneyback.core.naming import DELIVERY, ENDPOINT, EVIDENCE, ORDER_REFUND, PAYMENT, REFUND, outward
from moneyback.core.payment import Condition, Parts, Payment
from moneyback.core.plan import Children
from moneyback.core.records import Case, Dispute, EventRow, External
from moneyback.core.refund import Attempt, Evidence, Refund, State
from moneyback.core.release import release_of
from moneyback.flows.keep_endpoint import Registered
from moneyback.store.deliveries import Delivered
from moneyback.store.figures import InDoubt, OpenFindings
from moneyback.store.news import Finding
from moneyback.store.rails import KeptRail

View = TypeVar("View", bound=msgspec.Struct)


class Failure(msgspec.Struct, frozen=True):
    """Why a refund ended badly: our class, the provider's own code and words."""

    kind: str = msgspec.field(name="class")
    code: str | None
    message: str | None


class Doubt(msgspec.Struct, frozen=True):
    """That an outcome is not known: since when, when we look next, and since when a person may have to answer."""

    since: datetime
    next_look_at: datetime | None
    person_since: datetime | None


class DoubtView(msgspec.Struct, frozen=True, kw_only=True):
    """Money of one rail and currency whose outcome is not known, and when its provider is asked next."""

    currency: str
    amount: int
    refunds: int
    since: datetime
    next_look_at: datetime | None


class RailView(msgspec.Struct, frozen=True, kw_only=True):
    """A rail. Of its credentials only the names are shown, and None when no key of ours opens them.

    `hook` is where its provider sends notifications. Built-in rails have no connector.
    """

    name: str
    object: str = "rail"
    connector: str | None
    account: str | None
    base_url: str | None
    duplicates: str | None
    at_once: int | None
    per_second: float | None
    drift_every_s: int | None
    credentials: list[str] | None
    hook: str | None
    look_only_since: datetime | None
    open_findings: int
    doubt: list[DoubtView]


class FindingView(msgspec.Struct, frozen=True, kw_only=True):
    """A difference between a provider's list and our books."""

    rail: str
    object: str = "finding"
    kind: str
    provider_refund: str
    provider_payment: str
    payment: str | None
    refund: str | None
    currency: str | None
    theirs: int | None
    ours: int | None
    note: str
    found_at: datetime
    settled_at: datetime | None
    settled_by: str | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that one of a client's own hooks was told, or is to be told."""

    id: str
    object: str = "delivery"
    rail: str | None
    dialect: str | None
    event: str | None
    hook: str
    url: str
    state: Literal["due", "delivered", "given_up"]
    tries: int
    status: int | None
    failure: str | None
    created_at: datetime
    next_try_at: datetime | None
    ended_at: datetime | None
    replayable: bool


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a program of the merchant's is told of events. `secret` is shown once, when it was drawn."""

    id: str
    object: str = "endpoint"
    dialect: str
    url: str
    events: tuple[str, ...]
    description: str
    created_at: datetime
    secret: str | None


class RefundView(msgspec.Struct, frozen=True, kw_only=True):
    """A refund."""

    id: str
    object: str = "refund"
    payment: str
    order_refund: str | None
    state: str
    amount: int
    currency: str
    wallet_amount: int
    fee_refund: int
    reason: str | None
    reference: str | None
    requested_by: str | None
    dialect: str
    dialect_id: str
    rail: str
    provider_id: str | None
    trace: str | None
    pending_reason: str | None
    failure: Failure | None
    doubt: Doubt | None
    attempts: int
    evidence_version: int
    metadata: Mapping[str, Any]
    scheduled_for: datetime | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class ReleaseView(msgspec.Struct, frozen=True, kw_only=True):
    """How an authorisation is let go. A person's answer to doubt names this `evidence_version`."""

    dialect_id: str
    state: str
    requested_at: datetime
    provider_id: str | None
    provider_code: str | None
    message: str | None
    doubt: Doubt | None
    evidence_version: int


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    """A payment with what has left it and what may still be given back."""

    id: str
    object: str = "payment"
    status: str
    amount: int
    currency: str
    authorized: int
    captured: int
    fees: int
    held: int
    refunded: int
    external: int
    disputed: int
    clawed_back: int
    excess: int
    refundable: int
    blocked: bool
    release: ReleaseView | None
    dialect: str
    dialect_id: str
    rail: str
    reference: str
    method: str | None
    order: str | None
    parts: Parts | None
    scenario: str | None
    metadata: Mapping[str, Any]
    captured_at: datetime | None
    created_at: datetime
    updated_at: datetime


class ReasonView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reason against a refund, with the figures behind it."""

    code: str
    detail: str
    figures: Mapping[str, Any] = {}


class RefundabilityView(msgspec.Struct, frozen=True, kw_only=True):
    """What a refund would give back if it were asked for now: `amount`, of the merchant's funds and of the fees."""

    payment: str
    refundable: int
    currency: str
    possible: bool
    amount: int
    wallet_amount: int
    fee_refund: int
    reasons: tuple[ReasonView, ...]


class OrderRefundView(msgspec.Struct, frozen=True, kw_only=True):
    """The refunds of an order's payments, made together."""

    id: str
    object: str = "order_refund"
    order: str
    amount: int
    currency: str
    refunds: tuple[RefundView, ...]


class EvidenceView(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was seen: what, by whom, how strong it is, and whether it counted."""

    id: str
    event: str
    grade: str
    source: str
    at: datetime
    occurred_at: datetime | None
    digest: str
    amount: int | None
    provider_id: str | None
    generation: int | None
    counted: bool
    data: Mapping[str, Any]


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One call to the rail, as it was armed, with what was read before it."""

    generation: int
    kind: str
    mark: str
    amount: int | None
    armed_at: datetime
    send_deadline: datetime
    lease_until: datetime
    outcome: str
    pre_read: Mapping[str, Any]


class SeenView(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a refund's sending. A person's answer names this `evidence_version`."""

    refund: str
    evidence_version: int
    evidence: tuple[EvidenceView, ...]
    attempts: tuple[AttemptView, ...]


class ExternalView(msgspec.Struct, frozen=True, kw_only=True):
    """A refund that was made elsewhere."""

    provider_id: str
    amount: int
    wallet: int
    fee_return: int
    undone: bool
    at: datetime


class DisputeView(msgspec.Struct, frozen=True, kw_only=True):
    """A payer's complaint at the bank, or a return of the money by it."""

    reference: str
    amount: int
    status: str
    updated_at: datetime


class CaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A contradiction that a person closes."""

    number: int
    kind: str
    refund: str | None
    opened_at: datetime
    figures: Mapping[str, Any]
    closed_at: datetime | None
    closed_by: str | None
    note: str | None


class HistoryView(msgspec.Struct, frozen=True, kw_only=True):
    """A payment with all that hangs on it."""

    payment: PaymentView
    refunds: tuple[RefundView, ...]
    external_refunds: tuple[ExternalView, ...]
    disputes: tuple[DisputeView, ...]
    cases: tuple[CaseView, ...]


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the event log. `cursor` is where a reader goes on."""

    id: str
    type: str
    object: str
    sequence: int
    payment: str
    time: datetime
    data: Mapping[str, Any]
    cursor: str


class MovementView(msgspec.Struct, frozen=True, kw_only=True):
    """One movement between two accounts of the ledger."""

    payment: str
    refund: str | None
    kind: str
    debit: str
    credit: str
    amount: int
    currency: str
    time: datetime


def refund_view(refund: Refund) -> RefundView:
    """A refund as the native API shows it."""
    failure = None
    if refund.failure is not None and refund.state in (State.FAILED, State.CANCELED, State.RETURNED):
        failure = Failure(refund.failure, refund.provider_code, refund.message)
    doubt = None
    if refund.doubt_since is not None:
        doubt = Doubt(refund.doubt_since, refund.look_at, refund.human_since)
    return RefundView(
        id=outward(REFUND, refund.id),
        payment=outward(PAYMENT, refund.payment),
        order_refund=outward(ORDER_REFUND, refund.group) if refund.group else None,
        state=refund.state.value,
        amount=refund.payer,
        currency=refund.currency,
        wallet_amount=refund.wallet,
        fee_refund=refund.fee_return,
        reason=refund.reason,
        reference=refund.reference,
        requested_by=refund.requested_by,
        dialect=refund.dialect,
        dialect_id=refund.dialect_id,
        rail=refund.rail,
        provider_id=refund.provider_id,
        trace=refund.trace,
        pending_reason=refund.pending_reason,
        failure=failure,
        doubt=doubt,
        attempts=refund.generation,
        evidence_version=refund.evidence_version,
        metadata=refund.metadata,
        scheduled_for=refund.due_at,
        created_at=refund.created_at,
        updated_at=refund.updated_at,
        ended_at=refund.ended_at,
    )


def payment_view(payment: Payment) -> PaymentView:
    """A payment as the native API shows it."""
    return PaymentView(
        id=outward(PAYMENT, payment.id),
        status=payment_status(payment),
        amount=payment.captured if payment.condition is Condition.CAPTURED else payment.authorized,
        currency=payment.currency,
        authorized=payment.authorized,
        captured=payment.captured,
        fees=payment.fees,
        held=payment.held,
        refunded=payment.refunded,
        external=payment.external,
        disputed=payment.disputed,
        clawed_back=payment.clawed_back,
        excess=payment.excess,
        refundable=payment.refundable,
        blocked=payment.blocked,
        release=release_view(payment),
        dialect=payment.dialect,
        dialect_id=payment.dialect_id,
        rail=payment.rail,
        reference=payment.reference,
        method=payment.method,
        order=payment.order,
        parts=payment.parts,
        scenario=payment.scenario,
        metadata=payment.metadata,
        captured_at=payment.captured_at,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
    )


def release_view(payment: Payment) -> ReleaseView | None:
    """The payment's latest release, whatever became of it."""
    release = release_of(payment)
    if release is None:
        return None
    since = release.doubt_since if release.state is State.UNKNOWN or release.human_since is not None else None
    return ReleaseView(
        dialect_id=release.dialect_id,
        state=release.state.value,
        requested_at=release.at,
        provider_id=release.provider_id,
        provider_code=release.provider_code,
        message=release.message,
        doubt=None if since is None else Doubt(since, release.look_at, release.human_since),
        evidence_version=release.evidence_version,
    )


def payment_status(payment: Payment) -> str:
    """Derived from the facts: how far the money came in, and how much of it has gone back."""
    if payment.condition is not Condition.CAPTURED:
        status: str = payment.condition.value
        return status
    if payment.disputed:
        return "disputed"
    returned = payment.refunded + payment.external
    if payment.clawed_back >= payment.captured > 0:
        return "clawed_back"
    if returned and returned + payment.clawed_back >= payment.captured:
        return "refunded"
    return "partially_refunded" if returned else "captured"


def seen_view(refund: Refund, evidence: tuple[Evidence, ...], attempts: tuple[Attempt, ...]) -> SeenView:
    """What was seen of a refund, oldest first, as the native API shows it."""
    return SeenView(
        refund=outward(REFUND, refund.id),
        evidence_version=refund.evidence_version,
        evidence=tuple(
            _alike(EvidenceView, each, id=outward(EVIDENCE, each.id), grade=each.grade.value) for each in evidence
        ),
        attempts=tuple(_alike(AttemptView, each) for each in attempts),
    )


def history_view(payment: Payment, children: Children) -> HistoryView:
    """A payment's history as the native API shows it."""
    return HistoryView(
        payment=payment_view(payment),
        refunds=tuple(map(refund_view, children.refunds.values())),
        external_refunds=tuple(map(_external_view, children.externals.values())),
        disputes=tuple(map(_dispute_view, children.disputes.values())),
        cases=tuple(map(_case_view, children.cases.values())),
    )


def _external_view(external: External) -> ExternalView:
    return _alike(ExternalView, external)


def _dispute_view(dispute: Dispute) -> DisputeView:
    return _alike(DisputeView, dispute, status=dispute.status.value)


def _case_view(case: Case) -> CaseView:
    return _alike(CaseView, case, refund=outward(REFUND, case.refund) if case.refund else None)


def _alike(kind: type[View], value: msgspec.Struct, **shown: Any) -> View:
    """A view whose members are named like those of the value, but for those given here."""
    return kind(**{name: shown[name] if name in shown else getattr(value, name) for name in kind.__struct_fields__})


def event_view(event: EventRow, cursor: str) -> EventView:
    """An event as the native API shows it; (object, sequence) is its identity."""
    kind = PAYMENT if event.object == event.payment else REFUND
    name = outward(kind, event.object)
    return EventView(
        id=f"evt_{event.object.hex}_{event.sequence}",
        type=event.type,
        object=name,
        sequence=event.sequence,
        payment=outward(PAYMENT, event.payment),
        time=event.at,
        data=event.data,
        cursor=cursor,
    )


def movement_view(movement: Movement) -> MovementView:
    """A movement as the native API shows it."""
    return MovementView(
        payment=outward(PAYMENT, movement.payment),
        refund=outward(REFUND, movement.refund) if movement.refund else None,
        kind=movement.kind.value,
        debit=movement.debit,
        credit=movement.credit,
        amount=movement.amount,
        currency=movement.currency,
        time=movement.at,
    )


def rail_view(
    name: str, kept: KeptRail | None, hook: str | None, doubt: Iterable[InDoubt], findings: Iterable[OpenFindings]
) -> RailView:
    """A rail as it is kept, or a built-in one, with its figures."""
    settings = kept.settings if kept is not None else None
    return RailView(
        name=name,
        connector=kept.connector if kept is not None else None,
        account=kept.account if kept is not None else None,
        base_url=settings.base_url if settings is not None else None,
        duplicates=settings.duplicates if settings is not None else None,
        at_once=settings.at_once if settings is not None else None,
        per_second=settings.per_s if settings is not None else None,
        drift_every_s=settings.drift_every_s if settings is not None else None,
        credentials=None if kept is None or kept.credentials is None else sorted(kept.credentials),
        hook=f"/_hooks/{hook}" if hook is not None else None,
        look_only_since=kept.look_only_since if kept is not None else None,
        open_findings=sum(each.count for each in findings if each.rail == name),
        doubt=[
            DoubtView(
                currency=each.currency,
                amount=each.amount,
                refunds=each.count,
                since=each.since,
                next_look_at=each.next_look_at,
            )
            for each in doubt
            if each.rail == name
        ],
    )


def delivery_view(told: Delivered) -> DeliveryView:
    """A delivery without what it says."""
    return DeliveryView(
        id=outward(DELIVERY, told.id),
        rail=told.rail,
        dialect=told.dialect,
        event=told.event,
        hook=told.hook,
        url=told.url,
        state="delivered" if told.delivered else "due" if told.ended_at is None else "given_up",
        tries=told.tries,
        status=told.status,
        failure=told.failure,
        created_at=told.created_at,
        next_try_at=told.due_at,
        ended_at=told.ended_at,
        replayable=told.kept,
    )


def endpoint_view(kept: Registered) -> EndpointView:
    """An endpoint, and the secret that was drawn for it just now."""
    return EndpointView(
        id=outward(ENDPOINT, kept.id),
        dialect=kept.dialect,
        url=kept.url,
        events=kept.events,
        description=kept.description,
        created_at=kept.created_at,
        secret=kept.secret,
    )


def finding_view(found: Finding) -> FindingView:
    """A difference as it was written down."""
    assert found.found_at is not None, "it was read from where findings are kept"
    return FindingView(
        rail=found.rail,
        kind=found.kind,
        provider_refund=found.reference,
        provider_payment=found.payment,
        payment=outward(PAYMENT, found.payment_id) if found.payment_id is not None else None,
        refund=outward(REFUND, found.refund_id) if found.refund_id is not None else None,
        currency=found.currency,
        theirs=found.theirs,
        ours=found.ours,
        note=found.note,
        found_at=found.found_at,
        settled_at=found.settled_at,
        settled_by=found.settled_by,
    )
