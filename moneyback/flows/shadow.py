"""In the shadow: every call is relayed, and what we would have done instead is written down and nothing else.

A merchant who is about to put Moneyback in front of a provider sees first what would have been refused, or recognised
as sent before. Money moves as it always did: nothing is admitted, held or armed here.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from moneyback.core.commands import Admitted
from moneyback.core.decide import decide
from moneyback.core.payment import Payment
from moneyback.core.plan import Facts, Plan
from moneyback.core.refusals import Refusal
from moneyback.dialect import (
    AddPayment,
    Ask,
    AskOrderRefund,
    AskRefund,
    Call,
    Caller,
    Dialect,
    DropDocument,
    Incoming,
    IssueToken,
    KeepAnswer,
    LeaveToProvider,
    Outgoing,
    ReleasePayment,
    Route,
    SaveDocument,
    SeePayment,
    TakeKey,
)
from moneyback.flows.front import Fronting, relay
from moneyback.flows.serve_dialect import where
from moneyback.flows.world import JOIN_WITHIN, Rail, World
from moneyback.store.news import Finding
from moneyback.store.reads import Reads

SHADOW: Final = "shadow"
"""The member of a credential's profile that asks for it."""
REQUEST: Final = "shadow_request"
"""The kind of document by which an equal request is recognised."""
WRITING: Final = (
    *(AddPayment, AskOrderRefund, AskRefund, DropDocument, IssueToken, KeepAnswer, LeaveToProvider),
    *(ReleasePayment, SaveDocument, SeePayment, TakeKey),
)


class Judgement(msgspec.Struct, frozen=True):
    """What would have become of a request: `kind` is would_refuse or would_join."""

    kind: str
    payment: Payment
    note: str


class _FarEnough(Exception):
    """The handler wants to change something: what it would have said is known by then, or is not ours to say."""


def in_shadow(caller: Caller) -> bool:
    """Whether this caller's requests are only watched."""
    return bool(caller.profile.get(SHADOW))


async def watch(
    world: World,
    reads: Reads,
    dialect: Dialect,
    rail: Rail,
    route: Route,
    incoming: Incoming,
    caller: Caller,
    call: Call,
) -> Outgoing:
    """The provider's own answer. What we would have said is judged before, by what the provider shows then."""
    judging = _Judging(world, reads, dialect, incoming, caller, rail, route)
    try:
        judgement = await judging.judge(route)
        if judgement is not None:
            await reads.news.note(caller.merchant, _finding(rail, incoming, judgement))
    except Exception as error:  # a client must never feel that it is watched
        world.log("shadow_broke", dialect=dialect.name, route=route.path, error=where(error))
    return await relay(world, dialect, rail, call, incoming)


def _finding(rail: Rail, incoming: Incoming, judgement: Judgement) -> Finding:
    payment = judgement.payment
    return Finding(
        rail=rail.name,
        kind=judgement.kind,
        reference=incoming.id,
        payment=payment.reference,
        payment_id=payment.id,
        currency=payment.currency,
        note=judgement.note,
    )


class _Judging(Fronting):
    """Runs a handler as far as its first wish to change something."""

    def __init__(
        self,
        world: World,
        reads: Reads,
        dialect: Dialect,
        incoming: Incoming,
        caller: Caller,
        rail: Rail,
        route: Route,
    ) -> None:
        super().__init__(world, reads, dialect, incoming, caller, rail, route)
        self._fresh = True  # what was paid back since the last request is known to the provider alone
        self._judgement: Judgement | None = None

    async def judge(self, route: Route) -> Judgement | None:
        """What stands against the request; None where we would have sent it on."""
        with suppress(_FarEnough):
            await self.run(route)
        return self._judgement

    async def ask(self, ask: Ask) -> Any:
        if isinstance(ask, AskRefund):
            self._judgement = await self._equal(ask) or await self._refused(ask)
        if isinstance(ask, WRITING):
            raise _FarEnough
        return await super().ask(ask)

    async def _equal(self, ask: AskRefund) -> Judgement | None:
        """Whether the same bytes came before, within the time in which they would have been one refund."""
        equality = self._equality(ask)
        if equality is None:
            return None
        now = (await self.world.store.now()).business
        place = (self.caller.merchant, self.dialect.name, REQUEST, equality.hex())
        before = await self.reads.documents.load(*place)
        await self.reads.documents.save(*place, {"at": now.isoformat(), "payment": ask.payment.dialect_id})
        gap = now - datetime.fromisoformat(before["at"]) if before is not None else None
        if gap is None or gap > JOIN_WITHIN:
            return None
        return Judgement("would_join", ask.payment, f"an equal request came {gap.total_seconds():.0f} s before")

    async def _refused(self, ask: AskRefund) -> Judgement | None:
        payment = ask.payment
        children = await self.world.store.children(payment.merchant, payment.id)
        facts = Facts(payments={payment.id: payment}, children={payment.id: children})
        command = replace(self._request(ask), key=None, dialect_id="shadow", sequence=None, equality=None)
        decision = decide(command, facts, await self.world.store.now())
        if isinstance(decision, Plan) and isinstance(decision.result, Admitted):
            decision = decision.result.refusal or decision
        if not isinstance(decision, Refusal):
            return None
        return Judgement("would_refuse", payment, ", ".join(each.reason.value for each in decision.failing))
