"""In front of a provider: a merchant's own client calls us instead, with the provider's credentials and in its words.

What gives money back is decided and sent by the engine; what is ours to say is said by us; all else is relayed. A
payment we have not met is fetched when its client first names it, with everything that was refunded of it before.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from msgspec.structs import replace

from moneyback.core.commands import (
    Admitted,
    Grouped,
    Joined,
    Moved,
    NameRefund,
    ObservePayment,
    Sighting,
    Standing,
)
from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Refund
from moneyback.core.refusals import Reason, Refusal
from moneyback.dialect import (
    AddPayment,
    AnswerLost,
    Ask,
    AskOrderRefund,
    AskRefund,
    Await,
    Call,
    Caller,
    Dialect,
    Fault,
    Fetched,
    FindPayment,
    FindRefund,
    Incoming,
    LeaveToProvider,
    NotConnected,
    Outgoing,
    ReleasePayment,
    Route,
    SeePayment,
)
from moneyback.flows.add_payment import add_payment, see
from moneyback.flows.adopt import adopt
from moneyback.flows.measure_refunds import measured_first, measured_refunds
from moneyback.flows.request_refund import SETTLING, await_refund
from moneyback.flows.send_refund import drive
from moneyback.flows.serve_dialect import Serving, answered, unavailable
from moneyback.flows.world import Rail, World
from moneyback.store import callers
from moneyback.store.port import StoreUnavailable
from moneyback.store.reads import Reads

FRONT: Final = callers.FRONT
"""The member of a credential's profile that names the rail it stands in front of."""
RELAY_S: Final = 60.0
FETCH_S: Final = 10.0
OWN_NUMBERS: Final = 900_000_000_000_000
"""What numeric ids of ours begin with where a provider gives out numbers too: fifteen digits, the first of them a 9."""
OUT_OF_ROOM: Final = (Reason.EXCEEDS_REFUNDABLE, Reason.NOTHING_LEFT)
NAME_WITHIN_S: Final = 10.0
"""How long the provider's own id of a refund is waited for before its client is told one of ours."""

_WHOLE_MARK: Final = re.compile(rb'"mb_[0-9a-f]{32}_\d+"')
_MARK: Final = re.compile(rb"[ |;:,./-]?mb_[0-9a-f]{32}_\d+")
_OWN_REQUEST: Final = frozenset(
    {"host", "authorization", "content-length", "accept-encoding", "cookie", "expect", "moneyback-distinct"}
)
"""Headers of a client's request that speak to us alone."""
_OWN_ANSWER: Final = frozenset({"content-length", "content-encoding", "content-type", "set-cookie", "date", "server"})
_OF_ONE_CONNECTION: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te"),
        *("trailer", "transfer-encoding", "upgrade"),
    }
)


def front_of(world: World, caller: Caller) -> Rail | None:
    """The rail this caller's client would call if it did not call us; None for a client of ours."""
    name = caller.profile.get(FRONT)
    return world.rail(caller.merchant, str(name)) if name else None


async def serve_in_front(
    world: World, reads: Reads, dialect: Dialect, rail: Rail, route: Route, incoming: Incoming, caller: Caller
) -> Outgoing | None:
    """The answer to a request that is ours to answer; None where it is to be relayed.

    Only the provider knows what we do not. And what would merely pretend here (cancelling a payment, say) it must be
    told, which is no way around us as long as nothing has come in that could be given back.
    """
    if rail.reading is None:  # it is not known to this process yet, and neither are the payments behind it
        return unavailable(dialect, incoming)
    if route.kind == "guarded" and not route.guards(incoming):
        return None
    serving = Fronting(world, reads, dialect, incoming, caller, rail, route)
    try:
        said = await answered(serving, route)
    except NotOurs:
        told = await serving.read_instead(route)
        if told is not None:  # a refund was admitted before: whatever else was wanted, its client hears of it
            return told
        return None if route.method == "GET" or serving.is_harmless else dialect.fault(Fault.FORBIDDEN, incoming)
    unknown = route.kind == "owned" and said.status == 404  # a hook, say, that its client has not made through us
    return None if unknown or (route.method == "GET" and serving.missed) else said


async def relay(world: World, dialect: Dialect, rail: Rail, call: Call, incoming: Incoming) -> Outgoing:
    """The provider's own answer to a client's own call. It is made once, and nothing of it is kept."""
    if rail.relay is None:  # not known to this process, or not any more
        return unavailable(dialect, incoming)
    own = {name: value for name, value in call.headers.items() if name not in _OWN_REQUEST | _OF_ONE_CONNECTION}
    deadline = asyncio.get_running_loop().time() + RELAY_S
    try:
        reply = await drive(rail.client.relay(replace(call, headers=own)), rail.relay, deadline)
    except NotConnected as error:
        world.log("relay_not_connected", dialect=dialect.name, rail=rail.name, error=type(error).__name__)
        return unavailable(dialect, incoming)
    except AnswerLost as error:
        world.log("relay_lost", dialect=dialect.name, rail=rail.name, error=type(error).__name__)
        return replace(dialect.fault(Fault.INTERNAL, incoming), status=504)
    left_out = _OWN_ANSWER | _OF_ONE_CONNECTION
    return Outgoing(
        status=reply.status,
        body=without_marks(reply.body),
        headers={name: value for name, value in reply.headers.items() if name not in left_out},
        media_type=reply.headers.get("content-type", "application/octet-stream"),
    )


def without_marks(body: bytes) -> bytes:
    """An answer as it would be had no mark of ours been added to what its client sent."""
    return _MARK.sub(b"", _WHOLE_MARK.sub(b"null", body)) if b"mb_" in body else body


class NotOurs(BaseException):
    """A handler would write down what only the provider can do. No Exception: whoever serves must not answer it."""


class Fronting(Serving):
    """A request served in front of a provider."""

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
        super().__init__(world, reads, dialect, incoming, caller)
        self._missing: dict[str, bool] = {}  # each id that was named: an id may be a payment's or a refund's
        self._rail = rail
        self._fresh = route.method == "GET"  # who reads wants what the provider would say now
        self._theirs = self._fresh and route.theirs
        self._asked_for: set[str] = set()
        self._none_there = False  # the provider has no payment of what is to be left to it

    async def ask(self, ask: Ask) -> Any:
        match ask:
            case FindPayment(dialect_id) if self._theirs:
                return self._noted(dialect_id, None)
            case FindPayment(dialect_id):
                return self._noted(dialect_id, await self._find(dialect_id, await super().ask(ask)))
            case FindRefund(dialect_id):
                return self._noted(dialect_id, await super().ask(ask))
            case AskRefund():
                return await self._named(await self._asked(await self._numbered(ask)))
            case AskOrderRefund():
                return await self._named(await super().ask(ask))
            case SeePayment() | AddPayment() | ReleasePayment():
                raise NotOurs
            case LeaveToProvider(dialect_id):
                await self._see_what_came_in(dialect_id)
                raise NotOurs
            case Await(refund, seconds):
                refund, payment = await super().ask(replace(ask, seconds=0 if refund.named else seconds))
                late = self.dialect.told_at_end and refund.ended and refund.named is None
                return await self._name(refund) if late else (refund, payment)
            case _:
                return await super().ask(ask)

    def see(self, answer: Any) -> Any:
        return super().see(_as_told(answer))

    async def _read(self, reading: Route, id: str) -> Outgoing | None:
        try:
            return await super()._read(reading, id)
        except NotOurs:  # read to say what became of a refund that was admitted, which is not for the provider to say
            return None

    @property
    def missed(self) -> bool:
        """Whether something it named is known neither here nor there."""
        return any(self._missing.values())

    def _noted(self, dialect_id: str, found: Any) -> Any:
        self._missing[dialect_id] = found is None and self._missing.get(dialect_id, True)
        return found

    @property
    def is_harmless(self) -> bool:
        """Whether nothing has come in of what the request names: then nothing can be given back by it."""
        came_in = [each.captured or each.condition is Condition.CAPTURED for each in self.payments.values()]
        return not any(came_in) if came_in else self._none_there

    async def _see_what_came_in(self, dialect_id: str | None) -> None:
        if dialect_id is not None:
            found = self.see(await self.ask(FindPayment(dialect_id)))
            self._none_there = found is None and self._rail.client.fetch is not None

    # --- payments ----------------------------------------------------------------------------------------------------

    async def _asked(self, ask: AskRefund) -> Any:
        """What came of it. What we know less of than is asked for may have been captured further: then it is read."""
        result = await super().ask(ask)
        if not (isinstance(result, Refusal) and any(map(result.has, OUT_OF_ROOM))):
            return result
        now = await self._find(ask.payment.dialect_id, ask.payment, fresh=True)
        more = now is not None and now.captured > ask.payment.captured
        return await super().ask(replace(ask, payment=now)) if more else result

    async def _find(self, dialect_id: str, known: Payment | None, *, fresh: bool = False) -> Payment | None:
        """The payment as the provider has it, where it must be asked."""
        fetch = self._rail.client.fetch
        fresh |= self._fresh
        settled = known is not None and known.condition is Condition.CAPTURED and not fresh
        if settled or fetch is None or self._rail.reading is None or dialect_id in self._asked_for:
            return known
        self._asked_for.add(dialect_id)
        deadline = asyncio.get_running_loop().time() + FETCH_S
        try:
            fetched = await drive(fetch(dialect_id), self._rail.reading, deadline)
        except (NotConnected, AnswerLost) as error:
            if known is not None:
                return known
            raise StoreUnavailable(f"the provider does not answer: {type(error).__name__}") from error
        if fetched is None:
            return known
        return await (self._meet(fetched) if known is None else self._catch_up(known, fetched))

    async def _meet(self, fetched: Fetched) -> Payment:
        added = await add_payment(
            self.world,
            self.caller.merchant,
            self.dialect.name,
            self._rail.name,
            fetched.payment,
            reference=fetched.reference,
            captured_at=fetched.captured_at,
            earlier=measured_first(fetched),
            left=fetched.left,
            sightings=fetched.sightings,
        )
        assert isinstance(added, Standing), f"a payment of the provider's was not registered: {added}"
        return added.payment if added.created else await self._catch_up(added.payment, fetched)

    async def _catch_up(self, known: Payment, fetched: Fetched) -> Payment:
        """What its provider shows of a payment we know, and of the refunds that were made of it without us."""
        known = await self._see_again(known, fetched)  # before its refunds, which what came in must have room for
        await see(self.world, known, fetched.sightings, source="read")
        for refund in await measured_refunds(self.world, known, fetched):
            await adopt(self.world, self.reads.news, known.merchant, self._rail, refund, source="read")
        return await self.world.store.payment(known.merchant, known.id) or known

    async def _see_again(self, known: Payment, fetched: Fetched) -> Payment:
        now = fetched.payment
        kind, amount = "noted", 0
        if now.status == Condition.CAPTURED.value and now.amount_known and now.amount != known.captured:
            kind, amount = "captured", now.amount
        elif now.status == Condition.FAILED.value and known.condition is not Condition.FAILED:
            kind = "failed"
        document = {name: value for name, value in now.document.items() if known.document.get(name) != value}
        if kind == "noted" and not document:
            return known
        seen = await self.world.store.submit(
            ObservePayment(
                merchant=known.merchant,
                payment=known.id,
                evidence=self.world.new_id(),
                sighting=Sighting(kind=kind, amount=amount, reference=fetched.reference),
                source="read",
                document=document,
            )
        )
        assert isinstance(seen, Standing)
        return seen.payment

    # --- ids ---------------------------------------------------------------------------------------------------------

    async def _numbered(self, leg: AskRefund) -> AskRefund:
        """With a number of ours that can be none of the provider's, whose refunds are found by theirs."""
        if leg.dialect_id is not None or not self.dialect.numbered:
            return leg
        return replace(leg, dialect_id=str(OWN_NUMBERS + await self.reads.next_number(self.dialect.name)))

    async def _named(self, result: Any) -> Any:
        """The refunds of a result, each with the id its client will know it by.

        Admitted they are by now: a database that goes away here costs them the provider's id, and is no error.
        """
        self.see(result)
        match result:
            case Admitted(refund, _, None) | Joined(refund, _) if self._is_told(refund):
                try:
                    told, payment = await self._name(refund)
                except StoreUnavailable as error:
                    self.world.log("refund_not_named", refund=str(refund.id), error=str(error))
                    return result
                return replace(result, refund=told, payment=payment)
            case Grouped(legs=legs):
                return replace(result, legs=tuple([await self._named(each) for each in legs]))
            case _:
                return result

    def _is_told(self, refund: Refund) -> bool:
        """Whether its client is about to hear its id."""
        return refund.ended or not self.dialect.told_at_end

    async def _name(self, refund: Refund) -> tuple[Refund, Payment]:
        """Wait for the provider's id, then let the engine settle which id is told: only the first telling counts."""
        patient = refund.named is None and not await self._is_behind_another(refund)
        refund, payment = await await_refund(self.world, refund, NAME_WITHIN_S if patient else 0)
        if refund.named is not None:
            return refund, payment
        moved = await self.world.store.submit(
            NameRefund(merchant=refund.merchant, refund=refund.id, payment=refund.payment)
        )
        assert isinstance(moved, Moved)
        return moved.refund, moved.payment

    async def _is_behind_another(self, refund: Refund) -> bool:
        """Whether it waits for one that its provider is at work on already: that may take days."""
        payment = await self.world.store.payment(refund.merchant, refund.payment)
        if payment is None or payment.fence in (None, refund.id):
            return False
        other = await self.world.store.refund(refund.merchant, payment.fence)
        return other is not None and other.state not in SETTLING


def _as_told(answer: Any) -> Any:
    """Refunds under the id their client was told."""
    match answer:
        case Refund():
            return answer if answer.shown_id == answer.dialect_id else replace(answer, dialect_id=answer.shown_id)
        case Admitted(refund) | Joined(refund):
            return replace(answer, refund=_as_told(refund))
        case Grouped(legs=legs):
            return replace(answer, legs=tuple(_as_told(each) for each in legs))
        case tuple():
            return tuple(_as_told(each) for each in answer)
        case _:
            return answer
