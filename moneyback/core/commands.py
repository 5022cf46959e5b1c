"""Commands: frozen values that ask the engine for one thing, with the rows it touches and the ids it may create.

The ids are drawn before the first try, so that a commit whose answer is lost can be recognised. `footprint` names the
rows the store locks before `decide` is asked; a decision made before the lock is a wrong decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from moneyback.core.payment import ANYTHING, Amounts, Asked, Capabilities, Parts, Payment
from moneyback.core.records import KeyRow, Order
from moneyback.core.refund import Event, Grade, Refund
from moneyback.core.refusals import NATIVE_PRECEDENCE, Failing, Reason, Refusal


class Now(msgspec.Struct, frozen=True):
    """Both times of one batch: `business` for windows and schedules (movable in a sandbox), `real` for leases."""

    business: datetime
    real: datetime


def _anything(_payment: Payment) -> Capabilities:
    return ANYTHING


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """The dialect that a refund asked for natively becomes one of, so that its clients list and read it too.

    `sequence`: what it draws its number from. `remember`: what that dialect keeps of it, given the client's reference.
    """

    dialect: str
    sequence: str
    remember: Callable[[Payment, str | None], Mapping[str, Any]]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect and a rail together allow, and how a refund is sent there. Built once for each pair."""

    dialect: Callable[[Payment], Capabilities] = _anything
    rail: Callable[[Payment], Capabilities] = _anything
    check: Callable[[Payment, Amounts, RequestRefund], list[Failing]] | None = None
    """The dialect's own rules beyond capabilities (Maverick's subtotal rule)."""
    precedence: tuple[Reason, ...] = NATIVE_PRECEDENCE
    kept: frozenset[Reason] = frozenset()
    """Reasons that this dialect keeps as a refund born failed instead of an HTTP error."""
    fenced: bool = True
    """At most one outward refund of the payment in flight. A keyed rail without one-at-a-time may go without."""
    merged: bool = False
    """Admission may arm at once: only where the provider itself tells our resend from a new refund."""
    join_within: timedelta | None = None
    """Equal keyless requests are one refund while it has not ended, or this long after; None: two are two."""
    wallets_limited: bool = False
    intervals: bool = False
    """The dialect has an equal-amount interval: admission needs the payment's earlier refunds."""
    horizon: timedelta = timedelta(seconds=90)
    """Send deadline + longest processing + list lag: before it nobody can say "not sent"."""
    send_deadline: timedelta = timedelta(seconds=30)
    lease: timedelta = timedelta(seconds=60)
    home: Home | None = None
    """Of requests of the native API alone, for payments whose dialect wants to show their refunds as its own."""


TermsOf = Callable[[Payment], Terms]


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """The rows to lock, class by class, and what else to read under those locks."""

    orders: tuple[tuple[str, str], ...] = ()  # (dialect, reference)
    payments: tuple[UUID, ...] = ()
    refunds: tuple[UUID, ...] = ()
    references: tuple[tuple[str, str], ...] = ()  # (account, reference) that must not exist yet
    equalities: tuple[tuple[UUID, bytes], ...] = ()
    children: bool = False  # the payments' refunds, disputes, external refunds and cases


class Keyed(msgspec.Struct, frozen=True):
    """An idempotency key and how its answer is written down.

    `render` turns a result into (status, bytes) once it is final, or None while it is not; it must be pure.
    """

    dialect: str
    key: str
    fingerprint: bytes
    wait: timedelta
    render: Callable[[Result], tuple[int, bytes] | None]


class RequestRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Admit a refund: check everything under the payment's lock, reserve the money, and arm it if that is allowed."""

    merchant: UUID
    id: UUID
    payment: UUID
    dialect: str
    terms: TermsOf
    asked: Asked = Asked()
    dialect_id: str | None = None  # None: the store draws the next number of `sequence`
    sequence: str | None = None
    currency: str | None = None
    expected_refundable: int | None = None
    allow_remainder: bool = True
    armable: bool = False  # a send slot is in hand: its owner will send it
    reason: str | None = None
    reference: str | None = None
    requested_by: str | None = None
    parts: Parts | None = None  # what the caller stated
    destination: str | None = None
    scenario: str | None = None
    due_at: datetime | None = None
    equality: bytes | None = None
    group: UUID | None = None
    metadata: Mapping[str, Any] = {}
    request: Mapping[str, Any] = {}
    key: Keyed | None = None

    @property
    def footprint(self) -> Footprint:
        """Its payment, and refunds equal to it where equal requests are joined."""
        equal = ((self.payment, self.equality),) if self.equality is not None else ()
        return Footprint(payments=(self.payment,), equalities=equal)


class RequestOrderRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Admit one refund on each payment of an order, all or nothing. Amount None on a leg means what remains there.

    `whole`: the legs must be all payments the order has by then; else any of them, each once.
    """

    merchant: UUID
    id: UUID
    dialect: str
    reference: str
    legs: tuple[RequestRefund, ...]
    whole: bool = True
    key: Keyed | None = None

    @property
    def footprint(self) -> Footprint:
        """The order first, then its payments."""
        equal = tuple(pair for leg in self.legs for pair in leg.footprint.equalities)
        payments = tuple(leg.payment for leg in self.legs)
        return Footprint(orders=((self.dialect, self.reference),), payments=payments, equalities=equal)


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """Decide again on fresh facts and write the attempt down before its first byte leaves.

    `provider_left` is the provider's own remainder as just read (None where it shows none); `pre_read` is kept.
    """

    merchant: UUID
    refund: UUID
    payment: UUID
    version: int
    terms: TermsOf
    provider_left: int | None = None
    pre_read: Mapping[str, Any] = {}
    evidence: UUID | None = None  # names what is kept when the refund is blocked, or found drifted, instead of armed
    key: None = None

    @property
    def footprint(self) -> Footprint:
        """The payment, then the refund."""
        return Footprint(payments=(self.payment,), refunds=(self.refund,))


class TakeFence(msgspec.Struct, frozen=True, kw_only=True):
    """Let a ready refund be the one in flight for its payment."""

    merchant: UUID
    refund: UUID
    payment: UUID
    terms: TermsOf
    key: None = None

    @property
    def footprint(self) -> Footprint:
        """The payment, then the refund."""
        return Footprint(payments=(self.payment,), refunds=(self.refund,))


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing seen of a refund. `digest` identifies the sighting: seen twice, it counts once.

    A connector leaves `id`, `generation` and `source` to the flow that called it.
    """

    event: Event
    id: UUID | None = None
    grade: Grade = Grade.MARK
    source: str = "answer"
    generation: int | None = None
    amount: int | None = None
    provider_id: str | None = None
    occurred_at: datetime | None = None
    digest: str = ""
    failure: str | None = None
    code: str | None = None
    message: str | None = None
    pending_reason: str | None = None
    trace: str | None = None
    data: Mapping[str, Any] = {}


class Observe(msgspec.Struct, frozen=True, kw_only=True):
    """Record what was seen of one refund, from an answer, a look or a notification. Never refused for its content."""

    merchant: UUID
    refund: UUID
    payment: UUID
    terms: TermsOf
    observations: tuple[Observation, ...] = ()
    looked: bool = False
    children: bool = False
    key: Keyed | None = None  # the request that waits for this end: its answer is written in the same commit

    @property
    def footprint(self) -> Footprint:
        """The payment, then the refund."""
        return Footprint(payments=(self.payment,), refunds=(self.refund,), children=self.children)


class ExpireLease(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt's lease ran out in real time: its outcome is unknown. Nothing else follows from age."""

    merchant: UUID
    refund: UUID
    payment: UUID
    evidence: UUID
    terms: TermsOf
    key: None = None

    @property
    def footprint(self) -> Footprint:
        """The payment, then the refund."""
        return Footprint(payments=(self.payment,), refunds=(self.refund,))


class HandOver(msgspec.Struct, frozen=True, kw_only=True):
    """A ready refund cannot be sent here: once it has waited for `after` (business time), a person is to see it."""

    merchant: UUID
    refund: UUID
    payment: UUID
    after: timedelta
    key: None = None

    @property
    def footprint(self) -> Footprint:
        """The payment, then the refund."""
        return Footprint(payments=(self.payment,), refunds=(self.refund,))


class NameRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Its client is about to be told an id for the first time: the provider's if it is known by now, else ours."""

    merchant: UUID
    refund: UUID
    payment: UUID
    key: None = None

    @property
    def footprint(self) -> Footprint:
        """The payment, then the refund."""
        return Footprint(payments=(self.payment,), refunds=(self.refund,))


class Nudge(msgspec.Struct, frozen=True, kw_only=True):
    """A person or the calendar moves an unsent refund along: approved, rejected, due, withdrawn, action_supplied."""

    merchant: UUID
    refund: UUID
    payment: UUID
    event: Event
    evidence: UUID
    by: str | None = None
    note: str | None = None
    destination: str | None = None
    key: Keyed | None = None

    @property
    def footprint(self) -> Footprint:
        """The payment, then the refund."""
        return Footprint(payments=(self.payment,), refunds=(self.refund,))


class Resolve(msgspec.Struct, frozen=True, kw_only=True):
    """A person's answer to doubt, bound to the evidence it saw: newer evidence voids an older form."""

    merchant: UUID
    refund: UUID
    payment: UUID
    executed: bool
    evidence_version: int
    evidence: UUID
    by: str
    note: str
    terms: TermsOf
    children: bool = False
    key: Keyed | None = None

    @property
    def footprint(self) -> Footprint:
        """The payment, then the refund."""
        return Footprint(payments=(self.payment,), refunds=(self.refund,), children=self.children)


class RegisterPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment came in, or is imported with what had happened to it before (`externals`)."""

    payment: Payment
    sequence: str | None = None  # draw `dialect_id` (and an empty reference) from this sequence
    order_id: UUID | None = None
    external: tuple[tuple[str, int], ...] = ()  # (provider refund id, amount) of earlier refunds
    stated: bool = False  # the amount is what a client says, not what a provider shows as of now
    key: Keyed | None = None

    @property
    def merchant(self) -> UUID:
        """The merchant that owns the payment."""
        return self.payment.merchant

    @property
    def footprint(self) -> Footprint:
        """Its order, and the reference that must be new."""
        payment = self.payment
        orders = ((payment.dialect, payment.order),) if payment.order else ()
        references = ((payment.account, payment.reference),) if payment.reference else ()
        return Footprint(orders=orders, references=references)


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One thing seen of a payment, other than of one of our refunds.

    `kind`: captured (`amount` is the new total), external, external_undone, dispute_open, dispute_won, dispute_lost,
    claw_back (a bank return of `amount`), canceled, failed (it will not come in), noted (nothing of the money),
    remainder (`amount` is what the provider says is left: it closes a `rail_gap`, and never opens one).
    `reference` is the provider's id of the thing seen.
    """

    kind: str
    amount: int
    reference: str
    fee_return: int = 0
    occurred_at: datetime | None = None
    data: Mapping[str, Any] = {}


class ObservePayment(msgspec.Struct, frozen=True, kw_only=True):
    """Record what happened to a payment outside our refunds. Always recorded; what exceeds becomes excess.

    `document`: members its dialect lays over what it remembers of the payment.
    """

    merchant: UUID
    payment: UUID
    evidence: UUID
    sighting: Sighting
    source: str = "look"
    document: Mapping[str, Any] = {}
    key: None = None

    @property
    def footprint(self) -> Footprint:
        """The payment with all that hangs on it."""
        return Footprint(payments=(self.payment,), children=True)


class LetGo(msgspec.Struct, frozen=True, kw_only=True):
    """Release an authorised payment of which nothing was captured; `record` is what its dialect keeps of that."""

    merchant: UUID
    payment: UUID
    evidence: UUID
    record: Mapping[str, Any]
    key: None = None

    @property
    def footprint(self) -> Footprint:
        """The payment."""
        return Footprint(payments=(self.payment,))


class ArmRelease(msgspec.Struct, frozen=True, kw_only=True):
    """Let an authorisation go at its provider: the call is written down, as release `release`, before it is made.

    `pre_read` is what the provider showed just before. `unsent`: no call can be made now, and why; the release has
    failed then, and may be asked for again.
    """

    merchant: UUID
    payment: UUID
    release: UUID
    dialect_id: str  # the release's id for its client
    evidence: UUID
    terms: TermsOf
    pre_read: Mapping[str, Any] = {}
    unsent: str | None = None
    key: None = None

    @property
    def footprint(self) -> Footprint:
        """The payment."""
        return Footprint(payments=(self.payment,))


class ObserveRelease(msgspec.Struct, frozen=True, kw_only=True):
    """Record what was seen of one release. Never refused for its content.

    `looks`: this was its look of that number (None: no look); two who looked at once count as one. `evidence` names
    what follows from the look itself.
    """

    merchant: UUID
    payment: UUID
    release: UUID
    evidence: UUID
    terms: TermsOf
    observations: tuple[Observation, ...] = ()
    looks: int | None = None
    key: None = None

    @property
    def footprint(self) -> Footprint:
        """The payment; with all that hangs on it where a contradiction is found."""
        return Footprint(payments=(self.payment,))


class ExpireRelease(msgspec.Struct, frozen=True, kw_only=True):
    """An armed release's lease ran out in real time: its outcome is unknown. Nothing else follows from age."""

    merchant: UUID
    payment: UUID
    release: UUID
    evidence: UUID
    terms: TermsOf
    key: None = None

    @property
    def footprint(self) -> Footprint:
        """The payment."""
        return Footprint(payments=(self.payment,))


class ResolveRelease(msgspec.Struct, frozen=True, kw_only=True):
    """A person's answer to doubt about a payment's release, bound to the evidence it saw."""

    merchant: UUID
    payment: UUID
    executed: bool
    evidence_version: int
    evidence: UUID
    by: str
    note: str
    terms: TermsOf
    key: Keyed | None = None

    @property
    def footprint(self) -> Footprint:
        """The payment."""
        return Footprint(payments=(self.payment,))


class CloseCase(msgspec.Struct, frozen=True, kw_only=True):
    """A person closes a contradiction on a payment."""

    merchant: UUID
    payment: UUID
    number: int
    by: str
    note: str
    key: Keyed | None = None

    @property
    def footprint(self) -> Footprint:
        """The payment with its cases."""
        return Footprint(payments=(self.payment,), children=True)


class SaveAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Write down what was answered under a key, unless something already was."""

    merchant: UUID
    dialect: str
    idempotency_key: str
    status: int
    answer: bytes
    key: None = None

    @property
    def footprint(self) -> Footprint:
        """No row but the key's own, which is guarded by "only if empty"."""
        return Footprint()


Command = (
    RequestRefund
    | RequestOrderRefund
    | Arm
    | TakeFence
    | Observe
    | ExpireLease
    | HandOver
    | NameRefund
    | Nudge
    | Resolve
    | RegisterPayment
    | ObservePayment
    | LetGo
    | ArmRelease
    | ObserveRelease
    | ExpireRelease
    | ResolveRelease
    | CloseCase
    | SaveAnswer
)


class Admitted(msgspec.Struct, frozen=True):
    """A refund exists: waiting, armed, or (with `refusal`) born failed because its dialect keeps that refusal."""

    refund: Refund
    payment: Payment
    refusal: Refusal | None = None


class Joined(msgspec.Struct, frozen=True):
    """An equal request came before: this is its refund."""

    refund: Refund
    payment: Payment


class Replayed(msgspec.Struct, frozen=True):
    """The idempotency key was used before for the same request."""

    key: KeyRow


class Grouped(msgspec.Struct, frozen=True):
    """The refunds of an order, one a payment."""

    order: Order
    legs: tuple[Admitted, ...]


class Moved(msgspec.Struct, frozen=True):
    """The refund as it stands after the command, and whether its state changed."""

    refund: Refund
    payment: Payment
    changed: bool


class Standing(msgspec.Struct, frozen=True):
    """The payment as it stands after the command."""

    payment: Payment
    created: bool = False


class Saved(msgspec.Struct, frozen=True):
    """The answer kept under a key: ours, or the one that was there before."""

    status: int
    answer: bytes


Result = Admitted | Joined | Replayed | Grouped | Moved | Standing | Saved | Refusal
