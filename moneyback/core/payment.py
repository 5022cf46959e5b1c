"""Payment facts: money that came in, what has left it, and what may still be given back.

Statuses on any wire are derived from these facts. All amounts are minor units of the payment's one currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec

from moneyback.core.money import proportion_floor
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Failing, Reason


class Condition(Enum):
    """How far the incoming money has got. Nothing about refunds: that is in the amounts."""

    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"


class PaymentKind(Enum):
    """Where the money came from and went to."""

    PAYIN = "payin"  # from outside to the merchant
    TRANSFER = "transfer"  # from one wallet to another; refundable like a payin, back to the wallet it came from
    PAYOUT = "payout"  # from a wallet to the outside; never refundable


class Parts(msgspec.Struct, frozen=True):
    """What a payment was for. Parts attribute a refund; what bounds it is `captured`."""

    subtotal: int = 0
    tax: int = 0
    discount: int = 0
    shipping: int = 0


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came in: one merchant, seen through one dialect, on one rail."""

    merchant: UUID
    id: UUID
    version: int
    dialect: str
    dialect_id: str
    rail: str
    account: str  # the provider account it belongs to; belongs to one merchant
    reference: str  # the provider's own id, unique within the account
    order: str | None = None
    method: str | None = None
    currency: str
    kind: PaymentKind = PaymentKind.PAYIN
    condition: Condition = Condition.CAPTURED
    authorized: int = 0
    captured: int = 0
    amount_known: bool = True
    fees: int = 0  # the platform's share of `captured`
    held: int = 0  # of refunds that have not ended
    refunded: int = 0  # of our refunds that succeeded
    external: int = 0  # of refunds made elsewhere
    disputed: int = 0  # of open disputes
    clawed_back: int = 0  # of lost disputes and bank returns
    excess: int = 0  # what the provider did beyond `captured`
    wallet_used: int = 0  # Σ wallet of refunds holding or succeeded, external ones included
    fee_used: int = 0  # Σ positive fee_return of the same; charging more fees never enlarges what is left
    open_cases: int = 0
    fence: UUID | None = None  # the one refund that may be in flight at the provider
    excess_case: bool = False  # the excess still waits for a person
    wallet: str | None = None  # a dialect's wallet the money was credited to: an account with a limit
    fee_wallet: str | None = None
    source: str | None = None  # the wallet it was paid from; None: the payer's own means
    parts: Parts | None = None
    captured_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    scenario: str | None = None
    rail_gap: int | None = None  # provider's remainder minus ours at import; nothing is sent until it is resolved
    metadata: Mapping[str, Any] = {}
    document: Mapping[str, Any] = {}  # the dialect's own; core never looks inside

    @property
    def spent(self) -> int:
        """All that has left, is reserved, or is contested."""
        return self.held + self.refunded + self.external + self.disputed + self.clawed_back

    @property
    def wallet_left(self) -> int:
        """What the merchant's funds may still give."""
        return max(0, self.captured - self.fees - self.wallet_used)

    @property
    def fee_left(self) -> int:
        """What the platform's fees may still give back."""
        return max(0, self.fees - self.fee_used)

    @property
    def refundable(self) -> int:
        """What a payer could still be given, by the figures alone.

        The wallet's share binds without platform fees too: a refund may charge more fees than it gives back.
        """
        room = max(0, self.captured - self.spent)
        return min(room, self.wallet_left + self.fee_left) if self.wallet_left else 0

    @property
    def blocked(self) -> bool:
        """Whether a contradiction waits for a person: nothing is sent for this payment until it is closed."""
        return self.open_cases > 0 or self.excess_case or self.rail_gap is not None

    @property
    def untouched(self) -> bool:
        """Nothing held, refunded, external, disputed or clawed back."""
        return self.spent == 0


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect or a rail can do for one payment. Both sets apply to every admission."""

    full: bool = True
    partial: bool = True
    opens_after: timedelta | None = None  # from capture
    closes_after: timedelta | None = None
    minimum: int = 1  # smallest refund, minor units
    minimum_spares_rest: bool = False  # an omitted amount may give back a rest below the minimum
    equal_amount_interval: timedelta | None = None
    one_at_a_time: bool = False
    destination_needed: bool = False
    fees_returnable: bool = True
    blocked_by_dispute: bool = False


ANYTHING = Capabilities()


class Amounts(msgspec.Struct, frozen=True):
    """The three amounts of a refund; `payer` is their sum."""

    wallet: int
    fee_return: int

    @property
    def payer(self) -> int:
        """What the payer gets."""
        return self.wallet + self.fee_return


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller said about amounts, before it is resolved under the lock.

    `payer` None means "what remains"; `initial` means literally the first wallet amount and all fees (Mangopay's
    default). `wallet` with an integer `fee` states both parts; else `fee` says how the platform's fees take part.
    """

    payer: int | None = None
    wallet: int | None = None
    fee: int | str = "proportional"
    initial: bool = False


def resolve(payment: Payment, asked: Asked) -> Amounts:
    """The exact amounts of `asked` on this payment as it stands now."""
    if asked.initial:
        return Amounts(payment.captured - payment.fees, payment.fees)
    if asked.wallet is not None:
        assert isinstance(asked.fee, int)
        return Amounts(asked.wallet, asked.fee)
    payer = _remaining(payment, asked.fee) if asked.payer is None else asked.payer
    fee = _fee_share(payment, payer, asked.fee)
    return Amounts(payer - fee, fee)


def _remaining(payment: Payment, fee: int | str) -> int:
    """What is left to give back when the platform's fees take part as asked; kept fees stay out of it."""
    if fee == "proportional":
        return payment.refundable
    return min(payment.refundable, payment.wallet_left + (fee if isinstance(fee, int) else 0))


def _fee_share(payment: Payment, payer: int, fee: int | str) -> int:
    """⌊payer · fee_left / (wallet_left + fee_left)⌋: the last refund closes wallet and fees to zero together."""
    if isinstance(fee, int):
        return fee
    if fee == "none" or not payment.fee_left or payer <= 0:
        return 0
    return proportion_floor(payer, payment.fee_left, payment.wallet_left + payment.fee_left)


def condition_reasons(payment: Payment) -> list[Failing]:
    """Why the incoming money is not there to be given back. Empty when it is."""
    if payment.kind is PaymentKind.PAYOUT:
        return [Failing(Reason.KIND_UNSUPPORTED, {"kind": payment.kind.value})]
    match payment.condition:
        case Condition.FAILED:
            return [Failing(Reason.PAYMENT_FAILED)]
        case Condition.PROCESSING:
            return [Failing(Reason.PAYMENT_PROCESSING)]
        case Condition.AUTHORIZED:
            return [Failing(Reason.PAYMENT_NOT_CAPTURED, {"authorized": payment.authorized})]
        case Condition.CAPTURED:
            return [] if payment.amount_known else [Failing(Reason.AMOUNT_UNKNOWN)]


def standing_reasons(payment: Payment, can: Capabilities, now: datetime) -> list[Failing]:
    """Why no refund at all is possible now, whatever its amount: state, dispute, window, one at a time."""
    failing = condition_reasons(payment)
    if payment.disputed and can.blocked_by_dispute:
        failing.append(Failing(Reason.PAYMENT_DISPUTED, {"disputed": payment.disputed}))
    captured_at = payment.captured_at
    if captured_at is not None and can.opens_after is not None and now < captured_at + can.opens_after:
        failing.append(Failing(Reason.WINDOW_NOT_OPEN, {"opens_at": captured_at + can.opens_after}))
    if captured_at is not None and can.closes_after is not None and now >= captured_at + can.closes_after:
        failing.append(Failing(Reason.WINDOW_CLOSED, {"closed_at": captured_at + can.closes_after}))
    if not (can.full or can.partial):
        failing.append(Failing(Reason.KIND_UNSUPPORTED))
    if can.one_at_a_time and payment.held:
        failing.append(Failing(Reason.ONE_AT_A_TIME, {"held": payment.held}))
    return failing


def amount_reasons(payment: Payment, amounts: Amounts, asked: Asked, can: Capabilities) -> list[Failing]:
    """Why these amounts do not fit this payment and these capabilities."""
    payer, left, failing = amounts.payer, payment.refundable, list[Failing]()
    omitted = asked.payer is None and asked.wallet is None
    full = payer == payment.captured and payment.untouched
    if not left and not asked.initial:
        failing.append(Failing(Reason.NOTHING_LEFT, {"refundable": 0}))
    if amounts.wallet <= 0 or payer <= 0:
        if left or not omitted or asked.initial:
            failing.append(Failing(Reason.AMOUNT_NOT_POSITIVE, {"amount": payer, "wallet": amounts.wallet}))
    elif payer < can.minimum and not (omitted and can.minimum_spares_rest):
        failing.append(Failing(Reason.BELOW_MINIMUM, {"amount": payer, "minimum": can.minimum}))
    # A full refund is known by its figures: once anything was given back, all else is partial, a closing one included.
    if full and not can.full:
        failing.append(Failing(Reason.FULL_UNSUPPORTED, {"amount": payer}))
    if payer > 0 and not full and not can.partial:
        failing.append(Failing(Reason.PARTIAL_UNSUPPORTED, {"amount": payer, "captured": payment.captured}))
    if amounts.fee_return > 0 and not can.fees_returnable:
        failing.append(Failing(Reason.FEES_NOT_RETURNABLE, {"fee_return": amounts.fee_return}))
    room = max(0, payment.captured - payment.spent)
    if payer > room:
        failing.append(Failing(Reason.EXCEEDS_REFUNDABLE, {"amount": payer, "refundable": left}))
    shared = payment.fees or amounts.fee_return  # else the wallet is all there is, and one reason says it
    if amounts.wallet > payment.wallet_left and (shared or payer <= room):
        figures = {"wallet": amounts.wallet, "wallet_left": payment.wallet_left}
        failing.append(Failing(Reason.EXCEEDS_WALLET_SHARE, figures))
    if amounts.fee_return > payment.fee_left:
        failing.append(Failing(Reason.EXCEEDS_FEES, {"fee_return": amounts.fee_return, "fee_left": payment.fee_left}))
    return failing


def interval_reasons(refunds: tuple[Refund, ...], amounts: Amounts, can: Capabilities, now: datetime) -> list[Failing]:
    """Whether an equal wallet amount of the same payment was admitted too recently."""
    if can.equal_amount_interval is None:
        return []
    recent = [
        each.created_at
        for each in refunds
        if each.wallet == amounts.wallet
        and each.created_at + can.equal_amount_interval > now
        and each.state not in (State.FAILED, State.CANCELED)
    ]
    if not recent:
        return []
    return [Failing(Reason.EQUAL_AMOUNT_TOO_SOON, {"again_at": max(recent) + can.equal_amount_interval})]
