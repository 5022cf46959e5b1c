"""In front of a provider: a merchant's own client calls us instead, with the provider's credentials and in its words.

What gives money back is decided and sent by the engine; what is ours to say is said by us; all else is relayed. A
payment we have not met is fetched when its client first names it, with everything that was refunded of it before.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
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
from moneyback.dialect import (
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
    NotConnected,
    Outgoing,
    Route,
)
from moneyback.flows.add_payment import add_payment
from moneyback.flows.request_refund import await_refund
from moneyback.flows.send_refund import drive
from moneyback.flows.serve_dialect import Serving, answered, unavailable
from moneyback.flows.world import Rail, World
from moneyback.store.port import StoreUnavailable
from moneyback.store.reads import Reads

FRONT: Final = "front"
"""The member of a credential's profile that names the rail it stands in front of."""
RELAY_S: Final = 60.0
FETCH_S: Final = 10.0
NAME_WITHIN_S: Final = 10.0
"""How long the provider's own id of a refund is waited for before its client is told one of ours."""

_WHOLE_MARK: Final = re.compile(rb'"mb_[0-9a-f]{32}_\d+"')
_MARK: Final = re.compile(rb"[ |;:,/-]?mb_[0-9a-f]{32}_\d+")
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
    """The answer to a request that is ours to answer; None where only the provider knows what was asked for."""
    serving = _Fronting(world, reads, dialect, incoming, caller, rail, route)
    said = await answered(serving, route)
    return None if route.method == "GET" and serving.missed else said


async def relay(world: World, dialect: Dialect, rail: Rail, call: Call, incoming: Incoming) -> Outgoing:
    """The provider's own answer to a client's own call. It is made once, and nothing of it is kept."""
    if rail.relay is None:
        return dialect.fault(Fault.NOT_FOUND, incoming)
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


class _Fronting(Serving):
    """A request served in front of a provider. `missed`: something it named is known neither here nor there."""

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
        self.missed = False
        self._rail = rail
        self._fresh = route.method == "GET"  # who reads wants what the provider would say now
        self._asked_for: set[str] = set()

    async def ask(self, ask: Ask) -> Any:
        match ask:
            case FindPayment(dialect_id):
                found = await self._find(dialect_id, await super().ask(ask))
                self.missed |= found is None
                return found
            case FindRefund():
                refund = await super().ask(ask)
                self.missed |= refund is None
                return refund
            case AskRefund() | AskOrderRefund():
                return await self._named(await super().ask(ask))
            case Await(refund, seconds):
                return await super().ask(replace(ask, seconds=0 if refund.named else seconds))
            case _:
                return await super().ask(ask)

    def see(self, answer: Any) -> Any:
        return super().see(_as_told(answer))

    # --- payments ----------------------------------------------------------------------------------------------------

    async def _find(self, dialect_id: str, known: Payment | None) -> Payment | None:
        """The payment as the provider has it, where it must be asked."""
        fetch = self._rail.client.fetch
        settled = known is not None and known.condition is Condition.CAPTURED and not self._fresh
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
            earlier=fetched.refunds,
            left=fetched.left,
        )
        assert isinstance(added, Standing), f"a payment of the provider's was not registered: {added}"
        return added.payment

    async def _catch_up(self, known: Payment, fetched: Fetched) -> Payment:
        """What its provider shows of a payment we know. Refunds of it are the business of reading before sending."""
        now = fetched.payment
        kind, amount = "noted", 0
        if now.status == Condition.CAPTURED.value and now.amount != known.captured:
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

    async def _named(self, result: Any) -> Any:
        """The refunds of a result, each with the id its client will know it by."""
        match result:
            case Admitted(refund, _, None) | Joined(refund, _):
                told, payment = await self._name(refund)
                return replace(result, refund=told, payment=payment)
            case Grouped(legs=legs):
                return replace(result, legs=tuple([await self._named(each) for each in legs]))
            case _:
                return result

    async def _name(self, refund: Refund) -> tuple[Refund, Payment]:
        """Wait for the provider's id, then let the engine settle which id is told: only the first telling counts."""
        refund, payment = await await_refund(self.world, refund, NAME_WITHIN_S if refund.named is None else 0)
        if refund.named is not None:
            return refund, payment
        moved = await self.world.store.submit(
            NameRefund(merchant=refund.merchant, refund=refund.id, payment=refund.payment)
        )
        assert isinstance(moved, Moved)
        return moved.refund, moved.payment


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


def relayed_call(method: str, path: str, query: bytes, headers: Mapping[str, str], body: bytes) -> Call:
    """A client's own request, as it will reach the provider; `path` follows the rail's base URL."""
    return Call(method=method, path=path + (f"?{query.decode('latin-1')}" if query else ""), headers=headers, body=body)
