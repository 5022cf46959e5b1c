"""Admission: may this refund be promised? Refuse early, in order; then reserve the money in the same breath."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from moneyback.core import ledger
from moneyback.core.commands import Admitted, Grouped, Joined, Now, RequestOrderRefund, RequestRefund, Terms
from moneyback.core.events import payment_event, refund_event
from moneyback.core.payment import (
    Amounts,
    Asked,
    Capabilities,
    Payment,
    amount_reasons,
    interval_reasons,
    resolve,
    standing_reasons,
)
from moneyback.core.plan import Facts, MoreFacts, Plan, apply
from moneyback.core.records import Order
from moneyback.core.refund import Attempt, Refund, State
from moneyback.core.refusals import Failing, Reason, Refusal, in_precedence, refuse
from moneyback.core.sending import armed_attempt


def admit(command: RequestRefund, facts: Facts, now: Now, number: int | None = None) -> Plan | Refusal | MoreFacts:
    """Promise a refund, join an equal one, keep it as born failed, or say every reason why not."""
    payment = facts.payments.get(command.payment)
    if payment is None or payment.merchant != command.merchant:
        return refuse(Reason.PAYMENT_NOT_FOUND, payment=command.payment)
    terms = command.terms(payment)
    if terms.intervals and payment.id not in facts.children:
        return MoreFacts((payment.id,))
    if joined := _joined(command, terms, payment, facts, now):
        return joined
    amounts = resolve(payment, command.asked)
    refusal = in_precedence(_reasons(command, terms, payment, amounts, facts, now), terms.precedence)
    if refusal is None:
        return _promised(command, terms, payment, amounts, now, number)
    if refusal.first.reason in terms.kept:
        return _born_failed(command, payment, amounts, refusal, now, number)
    return refusal


def admit_order(command: RequestOrderRefund, facts: Facts, now: Now) -> Plan | Refusal | MoreFacts:
    """One refund a payment, all or nothing: a leg that cannot be admitted refuses all of them."""
    order = facts.orders.get((command.merchant, command.dialect, command.reference))
    paid = [leg.payment for leg in command.legs]
    if order is None or not _covers(command, paid, order):
        return refuse(Reason.ORDER_NOT_FOUND, order=command.reference)
    if len({facts.payments[leg.payment].currency for leg in command.legs if leg.payment in facts.payments}) > 1:
        return refuse(Reason.CURRENCY_MISMATCH, order=command.reference)
    if missing := tuple(leg.payment for leg in command.legs if _wants_siblings(leg, facts)):
        return MoreFacts(missing)
    plans: list[Plan] = []
    working = _copied(facts, paid)
    for leg in command.legs:
        plan = admit(leg, working, now)
        if not isinstance(plan, Plan):
            return plan
        if not isinstance(plan.result, Admitted) or plan.result.refusal is not None:
            refusal = getattr(plan.result, "refusal", None)
            return refusal or refuse(Reason.STATE_FORBIDS, payment=leg.payment)
        apply(plan, working)
        plans.append(plan)
    legs = tuple(plan.result for plan in plans if isinstance(plan.result, Admitted))
    return Plan(
        result=Grouped(order, legs),
        payments=tuple(row for plan in plans for row in plan.payments),
        refunds=tuple(row for plan in plans for row in plan.refunds),
        attempts=tuple(row for plan in plans for row in plan.attempts),
        movements=tuple(row for plan in plans for row in plan.movements),
        events=tuple(row for plan in plans for row in plan.events),
    )


def _wants_siblings(leg: RequestRefund, facts: Facts) -> bool:
    payment = facts.payments.get(leg.payment)
    return payment is not None and leg.terms(payment).intervals and payment.id not in facts.children


def _copied(facts: Facts, payments: Sequence[UUID]) -> Facts:
    """Facts to try legs on: a leg that is refused must leave no trace of those before it."""
    tried = {
        each: replace(facts.children[each], refunds=dict(facts.children[each].refunds))
        for each in payments
        if each in facts.children
    }
    return replace(
        facts,
        payments=dict(facts.payments),
        refunds=dict(facts.refunds),
        references=dict(facts.references),
        equals=dict(facts.equals),
        accounts=dict(facts.accounts),
        children={**facts.children, **tried},
    )


def _covers(command: RequestOrderRefund, paid: list[UUID], order: Order) -> bool:
    """Whether the legs name payments of this order, each once; of a whole order, all of them."""
    chosen = set(paid)
    if not chosen or len(chosen) != len(paid):
        return False
    return chosen == set(order.payments) if command.whole else chosen <= set(order.payments)


def refundability(
    payment: Payment, terms: Terms, now: datetime, refunds: tuple[Refund, ...] = (), asked: Asked | None = None
) -> tuple[Amounts, tuple[Failing, ...]]:
    """What a refund of `asked` (default: all that remains) would give back now, and every reason against it."""
    asked = asked or Asked()
    amounts = resolve(payment, asked)
    failing = list[Failing]()
    for can in _both(terms, payment):
        _merge(failing, standing_reasons(payment, can, now))
        _merge(failing, amount_reasons(payment, amounts, asked, can))
        _merge(failing, interval_reasons(refunds, amounts, can, now))
    refusal = in_precedence(failing, terms.precedence)
    return amounts, refusal.failing if refusal else ()


def _reasons(
    command: RequestRefund, terms: Terms, payment: Payment, amounts: Amounts, facts: Facts, now: Now
) -> list[Failing]:
    failing = list[Failing]()
    if command.currency is not None and command.currency != payment.currency:
        failing.append(Failing(Reason.CURRENCY_MISMATCH, {"currency": payment.currency, "asked": command.currency}))
    if command.expected_refundable is not None and command.expected_refundable != payment.refundable:
        figures = {"expected": command.expected_refundable, "refundable": payment.refundable}
        failing.append(Failing(Reason.PAYMENT_MOVED_ON, figures))
    both = _both(terms, payment)
    siblings = tuple(facts.children[payment.id].refunds.values()) if payment.id in facts.children else ()
    for can in both:
        _merge(failing, standing_reasons(payment, can, now.business))
        _merge(failing, amount_reasons(payment, amounts, command.asked, can))
        if terms.intervals:
            _merge(failing, interval_reasons(siblings, amounts, can, now.business))
        if can.destination_needed and command.destination is None:
            _merge(failing, [Failing(Reason.DESTINATION_NEEDED)])
    if not command.allow_remainder:
        _merge(failing, _rest_reasons(payment, amounts, command.asked, both))
    if command.parts is not None:
        _merge(failing, _part_reasons(command, payment))
    if terms.check is not None:
        _merge(failing, terms.check(payment, amounts, command))
    if terms.wallets_limited:
        _merge(failing, _funds_reasons(payment, amounts, facts))
    return failing


def _both(terms: Terms, payment: Payment) -> tuple[Capabilities, ...]:
    """The dialect's and the rail's capabilities. What a rail takes one at a time merely waits behind the fence."""
    dialect, rail = terms.dialect(payment), terms.rail(payment)
    return (dialect,) if rail is dialect else (dialect, replace(rail, one_at_a_time=False))


def _merge(failing: list[Failing], more: Sequence[Failing]) -> None:
    """Add `more`; of two with one reason the first stays: dialect and rail refusing alike is one reason."""
    if not more:
        return
    known = {each.reason for each in failing}
    failing.extend(each for each in more if each.reason not in known)


def _rest_reasons(payment: Payment, amounts: Amounts, asked: Asked, both: tuple[Capabilities, ...]) -> list[Failing]:
    """A partial after which what remains could never be given back. Fees that the caller chose to keep are no rest."""
    after = replace(payment, **_reserved(payment, amounts))
    rest, least = payment.refundable - amounts.payer, max(can.minimum for can in both)
    kept = asked.fee != "proportional" and not after.wallet_left
    if rest <= 0 or kept or (after.refundable >= least and all(can.partial for can in both)):
        return []
    return [Failing(Reason.LEAVES_UNREFUNDABLE_REST, {"rest": rest, "minimum": least})]


def _part_reasons(command: RequestRefund, payment: Payment) -> list[Failing]:
    stated, whole = command.parts, payment.parts
    if stated is None or whole is None:
        return []
    over = {
        name: getattr(stated, name)
        for name in stated.__struct_fields__
        if abs(getattr(stated, name)) > abs(getattr(whole, name))
    }
    return [Failing(Reason.EXCEEDS_PARTS, over)] if over else []


def _funds_reasons(payment: Payment, amounts: Amounts, facts: Facts) -> list[Failing]:
    failing = list[Failing]()
    for name, amount in ((ledger.funds(payment), amounts.wallet), (ledger.fees(payment), amounts.fee_return)):
        account = facts.accounts.get((payment.merchant, name, payment.currency))
        if account is not None and amount > account.balance:
            figures = {"account": name, "balance": account.balance, "amount": amount}
            failing.append(Failing(Reason.INSUFFICIENT_FUNDS, figures))
    return failing[:1]


def _joined(command: RequestRefund, terms: Terms, payment: Payment, facts: Facts, now: Now) -> Plan | None:
    """The running or just answered equal refund, when equal keyless requests are one refund here."""
    if terms.join_within is None or command.equality is None:
        return None
    equal = facts.equals.get((payment.id, command.equality))
    if equal is None:
        return None
    if equal.ended and equal.ended_at is not None and equal.ended_at + terms.join_within <= now.business:
        return None
    # Said of the payment: the refund's own version is what its sending goes by.
    told = replace(payment, version=payment.version + 1, updated_at=now.business)
    event = payment_event(told, "refund.joined", now.business, refund=equal.id.hex)
    return Plan(result=Joined(equal, told), payments=(told,), events=(event,))


def _promised(
    command: RequestRefund, terms: Terms, payment: Payment, amounts: Amounts, now: Now, number: int | None
) -> Plan:
    free = not terms.fenced or payment.fence is None
    dated = command.due_at is not None and command.due_at > now.business
    arm_now = command.armable and terms.merged and free and not dated and not payment.blocked
    refund = _new_refund(command, payment, amounts, State.SCHEDULED if dated else State.READY, now, number)
    if command.armable and free and not dated and not payment.blocked:
        refund = replace(refund, claimed_until=now.real + terms.lease)
    attempts: tuple[Attempt, ...] = ()
    if arm_now:
        refund, attempt = armed_attempt(refund, terms, now)
        attempts = (attempt,)
    held = replace(
        payment,
        version=payment.version + 1,
        **_reserved(payment, amounts),
        fence=refund.id if terms.fenced and free and not dated else payment.fence,
        updated_at=now.business,
    )
    return Plan(
        result=Admitted(refund, held),
        payments=(held,),
        refunds=(refund,),
        attempts=attempts,
        movements=ledger.hold(payment, refund, now.business),
        events=(refund_event(refund, "refund.created", now.business),),
    )


def _reserved(payment: Payment, amounts: Amounts) -> dict[str, int]:
    return {
        "held": payment.held + amounts.payer,
        "wallet_used": payment.wallet_used + amounts.wallet,
        "fee_used": payment.fee_used + max(0, amounts.fee_return),
    }


def _born_failed(
    command: RequestRefund, payment: Payment, amounts: Amounts, refusal: Refusal, now: Now, number: int | None
) -> Plan:
    refund = replace(
        _new_refund(command, payment, amounts, State.FAILED, now, number),
        failure=refusal.first.reason.value,
        ended_at=now.business,
    )
    event = refund_event(refund, "refund.created", now.business)
    return Plan(result=Admitted(refund, payment, refusal), refunds=(refund,), events=(event,))


def _new_refund(
    command: RequestRefund, payment: Payment, amounts: Amounts, state: State, now: Now, number: int | None
) -> Refund:
    assert command.dialect_id is not None or number is not None, "a refund without an id is given the next number"
    home = command.terms(payment).home if number is not None else None
    return Refund(
        merchant=command.merchant,
        id=command.id,
        payment=payment.id,
        dialect=home.dialect if home is not None else command.dialect,
        dialect_id=command.dialect_id if number is None and command.dialect_id is not None else str(number),
        rail=payment.rail,
        currency=payment.currency,
        payer=amounts.payer,
        wallet=amounts.wallet,
        fee_return=amounts.fee_return,
        state=state,
        version=1,
        created_at=now.business,
        updated_at=now.business,
        reason=command.reason,
        reference=command.reference,
        requested_by=command.requested_by,
        group=command.group,
        scenario=command.scenario,
        destination=command.destination,
        equality=command.equality,
        due_at=command.due_at,
        metadata=command.metadata,
        request=home.remember(payment, command.reference) if home is not None else command.request,
    )
