"""Facts and plans: what a decision sees, and everything that must be written because of it, in one commit."""

from __future__ import annotations

from uuid import UUID

import msgspec

from moneyback.core.commands import Result
from moneyback.core.ledger import Account, Movement
from moneyback.core.payment import Payment
from moneyback.core.records import Case, Dispute, EventRow, External, KeyRow, Order
from moneyback.core.refund import Attempt, Evidence, Refund


class Children(msgspec.Struct):
    """All that hangs on one payment, by its own name."""

    refunds: dict[UUID, Refund] = {}
    disputes: dict[str, Dispute] = {}
    externals: dict[str, External] = {}
    cases: dict[int, Case] = {}


class Facts(msgspec.Struct):
    """The locked rows of one batch. Each plan is applied to them, so that the next command sees it."""

    payments: dict[UUID, Payment] = {}
    refunds: dict[UUID, Refund] = {}
    orders: dict[tuple[UUID, str, str], Order] = {}
    references: dict[tuple[UUID, str, str], Payment] = {}
    equals: dict[tuple[UUID, bytes], Refund] = {}
    children: dict[UUID, Children] = {}
    accounts: dict[tuple[UUID, str, str], Account] = {}
    keys: dict[tuple[UUID, str, str], KeyRow] = {}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one command writes. Rows are whole and final; the store replaces or inserts them."""

    result: Result
    payments: tuple[Payment, ...] = ()
    refunds: tuple[Refund, ...] = ()
    orders: tuple[Order, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    movements: tuple[Movement, ...] = ()
    events: tuple[EventRow, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    externals: tuple[External, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    cases: tuple[Case, ...] = ()
    answers: tuple[KeyRow, ...] = ()


class MoreFacts(msgspec.Struct, frozen=True):
    """The decision needs all that hangs on these payments; the store locks again with them and asks once more."""

    payments: tuple[UUID, ...]


def apply(plan: Plan, facts: Facts) -> None:
    """Make `facts` what they will be once `plan` is written."""
    for payment in plan.payments:
        facts.payments[payment.id] = payment
        if payment.reference:
            facts.references[(payment.merchant, payment.account, payment.reference)] = payment
    for refund in plan.refunds:
        facts.refunds[refund.id] = refund
        if refund.equality is not None:
            _apply_equal(refund, refund.equality, facts)
        if refund.payment in facts.children:
            facts.children[refund.payment].refunds[refund.id] = refund
    for order in plan.orders:
        facts.orders[(order.merchant, order.dialect, order.reference)] = order
    for answer in plan.answers:
        facts.keys[(answer.merchant, answer.dialect, answer.key)] = answer
    _apply_children(plan, facts)
    _apply_accounts(plan, facts)


def _apply_equal(refund: Refund, equality: bytes, facts: Facts) -> None:
    """Of equal requests the newest counts: news of an older one must not hide it."""
    known = facts.equals.get((refund.payment, equality))
    if known is None or (known.created_at, known.id) <= (refund.created_at, refund.id):
        facts.equals[(refund.payment, equality)] = refund


def _apply_children(plan: Plan, facts: Facts) -> None:
    for external in plan.externals:
        if external.payment in facts.children:
            facts.children[external.payment].externals[external.provider_id] = external
    for dispute in plan.disputes:
        if dispute.payment in facts.children:
            facts.children[dispute.payment].disputes[dispute.reference] = dispute
    for case in plan.cases:
        if case.payment in facts.children:
            facts.children[case.payment].cases[case.number] = case


def _apply_accounts(plan: Plan, facts: Facts) -> None:
    if not facts.accounts:
        return
    for movement in plan.movements:
        for name, amount in ((movement.debit, -movement.amount), (movement.credit, movement.amount)):
            place = (movement.merchant, name, movement.currency)
            account = facts.accounts.get(place)
            if account is not None:
                facts.accounts[place] = msgspec.structs.replace(account, balance=account.balance + amount)
