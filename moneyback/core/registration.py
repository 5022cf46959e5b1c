"""Registration: a payment becomes known, with what had happened to it before."""

from __future__ import annotations

from msgspec.structs import replace

from moneyback.core import ledger
from moneyback.core.commands import Now, RegisterPayment, Standing
from moneyback.core.events import payment_event
from moneyback.core.ledger import Kind, Movement
from moneyback.core.payment import Condition, Payment
from moneyback.core.plan import Facts, Plan
from moneyback.core.records import Case, External, Order
from moneyback.core.refusals import Reason, Refusal, refuse


def register(command: RegisterPayment, facts: Facts, now: Now, number: int | None = None) -> Plan | Refusal:
    """Write a new payment with its capture, its order and its earlier refunds; an equal one is simply found again."""
    asked = _numbered(command.payment, number)
    known = facts.references.get((asked.merchant, asked.account, asked.reference))
    if known is not None:
        same = _is_same(known, asked, stated=command.stated)
        return Plan(result=Standing(known)) if same else refuse(Reason.ALREADY_EXISTS, reference=asked.reference)
    captured = asked.captured if asked.condition is Condition.CAPTURED else 0
    if short := _shortage(asked, captured, facts):
        return short
    spent = sum(amount for _, amount in command.external)
    payment = replace(
        asked,
        version=1,
        captured=captured,
        external=spent,
        wallet_used=spent,
        excess=max(0, spent - captured),
        excess_case=spent > captured,
        created_at=now.business,
        updated_at=now.business,
    )
    externals = tuple(
        External(
            merchant=payment.merchant,
            payment=payment.id,
            provider_id=reference,
            amount=amount,
            wallet=amount,
            fee_return=0,
            at=now.business,
        )
        for reference, amount in command.external
    )
    return Plan(
        result=Standing(payment, created=True),
        payments=(payment,),
        orders=_joined_order(command, payment, facts),
        externals=externals,
        cases=_opened_case(payment, now),
        movements=_opening(payment, externals, now),
        events=(payment_event(payment, "payment.registered", now.business),),
    )


def _is_same(known: Payment, asked: Payment, *, stated: bool) -> bool:
    """Whether this is the known payment told of again. What a provider shows of it may have grown meanwhile."""
    if (known.currency, known.rail, known.dialect) != (asked.currency, asked.rail, asked.dialect):
        return False
    amount = asked.captured or asked.authorized
    return not (stated and known.amount_known) or amount in (known.captured, known.authorized)


def _shortage(payment: Payment, amount: int, facts: Facts) -> Refusal | None:
    """A wallet gives no more than stands on it, and nothing to itself."""
    if payment.source is None:
        return None
    if payment.source in (payment.wallet, payment.fee_wallet):
        return refuse(Reason.BAD_REQUEST, wallet=payment.source)
    account = facts.accounts.get((payment.merchant, ledger.payer(payment), payment.currency))
    balance = account.balance if account is not None else 0
    if amount <= balance:
        return None
    return refuse(Reason.INSUFFICIENT_FUNDS, wallet=payment.source, balance=balance, amount=amount)


def _opened_case(payment: Payment, now: Now) -> tuple[Case, ...]:
    """More was given back elsewhere than came in: nothing is sent until a person has looked."""
    if not payment.excess_case:
        return ()
    figures = {"excess": payment.excess}
    return (
        Case(
            merchant=payment.merchant,
            payment=payment.id,
            number=1,
            kind="excess",
            refund=None,
            opened_at=now.business,
            figures=figures,
        ),
    )


def own_reference(dialect: str, dialect_id: str) -> str:
    """The reference of a payment that no provider named: dialects number on their own, and may share an account."""
    return f"{dialect}-{dialect_id}"


def _numbered(payment: Payment, number: int | None) -> Payment:
    if number is None:
        return payment
    reference = payment.reference or own_reference(payment.dialect, str(number))
    return replace(payment, dialect_id=str(number), reference=reference)


def _joined_order(command: RegisterPayment, payment: Payment, facts: Facts) -> tuple[Order, ...]:
    if payment.order is None:
        return ()
    known = facts.orders.get((payment.merchant, payment.dialect, payment.order))
    if known is not None:
        return (replace(known, version=known.version + 1, payments=(*known.payments, payment.id)),)
    assert command.order_id is not None, "an order's id is drawn with the command"
    return (
        Order(
            merchant=payment.merchant,
            id=command.order_id,
            dialect=payment.dialect,
            reference=payment.order,
            version=1,
            payments=(payment.id,),
        ),
    )


def _opening(payment: Payment, externals: tuple[External, ...], now: Now) -> tuple[Movement, ...]:
    movements = ledger.capture(payment, 0, 0, now.business) if payment.captured else ()
    for each in externals:
        movements += ledger.between(
            payment, Kind.EXTERNAL, ledger.funds(payment), ledger.payer(payment), each.amount, now.business
        )
    return movements + ledger.between(
        payment, Kind.EXCESS_RISE, ledger.EXCESS, ledger.funds(payment), payment.excess, now.business
    )
