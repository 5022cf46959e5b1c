"""Releasing an authorisation: nothing came in, so nothing is given back, and no refund and no movement is written."""

from __future__ import annotations

from moneyback.core.commands import LetGo, Now, Standing
from moneyback.core.moves import Ink
from moneyback.core.payment import Condition
from moneyback.core.plan import Facts, Plan
from moneyback.core.refund import Evidence, Grade
from moneyback.core.refusals import Reason, Refusal, refuse


def let_go(command: LetGo, facts: Facts, now: Now) -> Plan | Refusal:
    """Let an authorised payment go. Refused once anything was captured, or when it was let go before."""
    payment = facts.payments.get(command.payment)
    if payment is None or payment.merchant != command.merchant:
        return refuse(Reason.PAYMENT_NOT_FOUND, payment=command.payment)
    if payment.condition is not Condition.AUTHORIZED or payment.captured:
        return refuse(Reason.STATE_FORBIDS, condition=payment.condition.value, captured=payment.captured)
    ink = Ink(payment, now.business)
    document = {**payment.document, "release": command.record}
    ink.change("payment.released", {"authorized": payment.authorized}, condition=Condition.FAILED, document=document)
    ink.evidence.append(
        Evidence(
            merchant=payment.merchant,
            id=command.evidence,
            payment=payment.id,
            refund=None,
            event="released",
            grade=Grade.MARK,
            source="dialect",
            at=now.business,
            amount=payment.authorized,
            data=command.record,
        )
    )
    return ink.plan(Standing(ink.payment))
