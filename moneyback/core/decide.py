"""`decide(command, facts, now)`: the one place where the engine says yes or no, under the locks, on locked facts.

Pure: it reads the facts it is given and returns everything to be written, or every reason why not. The store applies
each plan to the facts before the next command is decided, and commits them together.
"""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

from msgspec.structs import replace

from moneyback.core.admission import admit, admit_order
from moneyback.core.commands import (
    Arm,
    ArmRelease,
    CloseCase,
    Command,
    ExpireLease,
    ExpireRelease,
    HandOver,
    Keyed,
    LetGo,
    NameRefund,
    Now,
    Nudge,
    Observe,
    ObservePayment,
    ObserveRelease,
    RegisterPayment,
    Replayed,
    RequestOrderRefund,
    RequestRefund,
    Resolve,
    ResolveRelease,
    Result,
    SaveAnswer,
    TakeFence,
)
from moneyback.core.observation import close_case, expire_lease, nudge, observe, observe_payment, resolve_doubt
from moneyback.core.plan import Facts, MoreFacts, Plan
from moneyback.core.records import KeyRow
from moneyback.core.refusals import Reason, Refusal, refuse
from moneyback.core.registration import register
from moneyback.core.release import arm_release, expire_release, let_go, observe_release, resolve_release
from moneyback.core.sending import arm, hand_over, name_refund, take_fence

Decision = Plan | Refusal | MoreFacts


def decide(command: Command, facts: Facts, now: Now, *, number: int | None = None) -> Decision:
    """What `command` does to the locked `facts`.

    `number` is the next number of the command's sequence, drawn by the store; only commands that ask for one get one.
    """
    key = command.key
    known = facts.keys.get((command.merchant, key.dialect, key.key)) if key is not None else None
    if key is not None and known is not None and not isinstance(command, Observe):
        return _key_known(key, known)
    decision = _decide(command, facts, now, number)
    if key is None or isinstance(decision, MoreFacts):
        return decision
    if known is not None:
        return _with_ending(known, key, decision)
    return with_answer(command.merchant, key, decision, now, ends=isinstance(command, Observe))


def with_answer(merchant: UUID, key: Keyed, decision: Plan | Refusal, now: Now, *, ends: bool = False) -> Plan:
    """`decision` together with its idempotency row: what is decided under a key is written under it.

    `ends`: the key's request came before; only the answer it waits for is added, once there is one.
    """
    plan = decision if isinstance(decision, Plan) else Plan(result=decision)
    rendered = key.render(plan.result)
    if rendered is None and ends:
        return plan
    row = KeyRow(
        merchant=merchant,
        dialect=key.dialect,
        key=key.key,
        fingerprint=key.fingerprint,
        refund=_refund_of(plan.result),
        status=rendered[0] if rendered else None,
        answer=rendered[1] if rendered else None,
        answer_due=now.real + key.wait,
        created_at=now.business,
    )
    return replace(plan, answers=(row,))


def _with_ending(known: KeyRow, key: Keyed, decision: Plan | Refusal) -> Plan:
    """`decision` with the answer to the request that waited for it. An answer that was given stays as it was given."""
    plan = decision if isinstance(decision, Plan) else Plan(result=decision)
    rendered = key.render(plan.result)
    if known.answer is not None or rendered is None:
        return plan
    return replace(plan, answers=(replace(known, status=rendered[0], answer=rendered[1]),))


def _key_known(key: Keyed, known: KeyRow) -> Plan | Refusal:
    if known.fingerprint != key.fingerprint:
        return refuse(Reason.KEY_REUSED, key=key.key)
    return Plan(result=Replayed(known))


def _refund_of(result: Result) -> UUID | None:
    refund = getattr(result, "refund", None)
    return refund.id if refund is not None else None


def _decide(command: Command, facts: Facts, now: Now, number: int | None) -> Decision:
    match command:
        case RequestRefund():
            return admit(command, facts, now, number)
        case RequestOrderRefund():
            return admit_order(command, facts, now)
        case Arm():
            return arm(command, facts, now)
        case TakeFence():
            return take_fence(command, facts, now)
        case Observe():
            return observe(command, facts, now)
        case ExpireLease():
            return expire_lease(command, facts, now)
        case HandOver():
            return hand_over(command, facts, now)
        case NameRefund():
            return name_refund(command, facts)
        case Nudge():
            return nudge(command, facts, now)
        case Resolve():
            return resolve_doubt(command, facts, now)
        case RegisterPayment():
            return register(command, facts, now, number)
        case ObservePayment():
            return observe_payment(command, facts, now)
        case LetGo():
            return let_go(command, facts, now)
        case ArmRelease():
            return arm_release(command, facts, now)
        case ObserveRelease():
            return observe_release(command, facts, now)
        case ExpireRelease():
            return expire_release(command, facts, now)
        case ResolveRelease():
            return resolve_release(command, facts, now)
        case CloseCase():
            return close_case(command, facts, now)
        case SaveAnswer():
            raise AssertionError("answers are saved by the store's own guarded update")
        case _:
            assert_never(command)
