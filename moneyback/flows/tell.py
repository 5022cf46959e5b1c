"""Telling: each merchant's event log is followed, and what happened is told to the programs that asked to hear of it.

A dialect says what its provider would tell; endpoints of the native API are told every event they want. What is told is
kept as deliveries under ids that follow from the event and the hook, in the commit that moves the place in the log: so
an event that is come to twice is told once, and none is left out.

What a provider tells by itself is not told here: a payment that came in at the very provider whose words it is seen in
has its notifications from there (see `resend`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from moneyback.core.naming import ENDPOINT, outward
from moneyback.core.payment import Payment
from moneyback.core.records import EventRow
from moneyback.core.refund import Refund
from moneyback.dialect import (
    Ask,
    Caller,
    Delivery,
    Dialect,
    DropDocument,
    Happened,
    Incoming,
    ListDocuments,
    LoadDocument,
    SaveDocument,
)
from moneyback.flows.serve_dialect import Serving, told_id, where
from moneyback.flows.sign import with_endpoint_headers
from moneyback.flows.world import World
from moneyback.store.access import NATIVE
from moneyback.store.deliveries import Told
from moneyback.store.endpoints import KeptEndpoint
from moneyback.store.followers import Followers, Following
from moneyback.store.port import Cursor, Logged, StoreUnavailable
from moneyback.store.reads import Reads

LOGS_MAX: Final = 16
"""Logs followed in one round."""
EVENTS_MAX: Final = 100
"""Events of a log that are told in one commit."""
EVENTS_MAX_BUSY: Final = 20
"""The same while requests are being decided on in this process: whoever waits for an answer comes first."""
FOLLOW_LEASE: Final = timedelta(seconds=30)

Shown = Callable[[EventRow, Cursor], bytes]
"""An event and its place as the native API shows them."""


async def follow_logs(world: World, reads: Reads, followers: Followers, shown: Shown) -> int:
    """Tell what is new in the logs of some merchants; how many events there were. Raises StoreUnavailable."""
    busy = bool(world.requests.under_way)
    followed = 0
    for each in await followers.claim(1 if busy else LOGS_MAX, FOLLOW_LEASE):
        followed += await _follow(world, reads, followers, shown, each, EVENTS_MAX_BUSY if busy else EVENTS_MAX)
    return followed


async def _follow(
    world: World, reads: Reads, followers: Followers, shown: Shown, following: Following, most: int
) -> int:
    """One step through a log. One that breaks stops no other, and is tried again when its lease has run out."""
    try:
        events = await world.store.events(following.merchant, following.reached, most)
        if not events:
            await followers.let_go(following)
            return 0
        told = await _Telling(world, reads, following.merchant, shown).of(events)
        await followers.advance(following, told, events[-1].cursor)
    except StoreUnavailable:
        raise
    except Exception as error:
        world.warn("log_not_followed", merchant=following.merchant.hex, error=where(error))
        return 0
    return len(events)


def happened_id(event: EventRow) -> UUID:
    """The same whenever the event is come to again; another one for what happens in its place after a restore."""
    return uuid5(event.object, f"{event.sequence}:{event.type}:{event.at.isoformat()}")


def tells_itself(payment: Payment) -> bool:
    """Whether the provider whose words the payment is seen in has it, and so tells of it by itself."""
    return payment.account.partition(":")[0] == payment.dialect


class _Telling:
    """Some events of one merchant on their way to be told."""

    def __init__(self, world: World, reads: Reads, merchant: UUID, shown: Shown) -> None:
        self._world = world
        self._reads = reads
        self._merchant = merchant
        self._shown = shown
        self._served: dict[str, _Served | None] = {}

    async def of(self, events: tuple[Logged, ...]) -> list[Told]:
        """What is to be told of them, in their order."""
        world, reads, merchant = self._world, self._reads, self._merchant
        assert world.vault is not None, "what is told is sealed"
        endpoints = await reads.endpoints_with(world.vault).of(merchant)
        payments = await reads.payments_by_id(merchant, {each.event.payment for each in events})
        refunds = await reads.refunds_by_id(merchant, _refunds_of(events))
        told: list[Told] = []
        for each in events:
            event, payment = each.event, payments.get(each.event.payment)
            if payment is not None:
                told += await self._by_dialect(event, payment, refunds.get(event.object))
            told += self._to_endpoints(each, endpoints)
        return told

    async def _by_dialect(self, event: EventRow, payment: Payment, refund: Refund | None) -> list[Told]:
        serving = await self._serving(payment.dialect)
        if serving is None or tells_itself(payment):
            return []
        happened = Happened(
            id=happened_id(event),
            type=event.type,
            at=event.at,
            sequence=event.sequence,
            data=event.data,
            payment=payment,
            refund=refund,
        )
        return [
            self._told(
                event, told_id(self._merchant, payment.dialect, str(happened.id), each.hook), each, payment.dialect
            )
            for each in await serving.tell(happened)
        ]

    def _to_endpoints(self, logged: Logged, endpoints: Iterable[KeptEndpoint]) -> list[Told]:
        event = logged.event
        wanted = [each for each in endpoints if each.wants(event.type)]
        if not wanted:
            return []
        body = self._shown(event, logged.cursor)
        return [
            self._told(event, uuid5(each.id, happened_id(event).hex), _to_endpoint(each, body), NATIVE)
            for each in wanted
        ]

    def _told(self, event: EventRow, id: UUID, delivery: Delivery, dialect: str) -> Told:
        assert self._world.vault is not None
        whole = with_endpoint_headers(self._world.vault, self._merchant, delivery)
        return Told(id=id, delivery=whole, dialect=dialect, event=event.type, object=event.object)

    async def _serving(self, name: str) -> _Served | None:
        """Who answers a dialect's asks; None where it tells nothing, or nobody of this merchant's speaks it."""
        if name not in self._served:
            self._served[name] = await self._serve(name)
        return self._served[name]

    async def _serve(self, name: str) -> _Served | None:
        dialect = self._world.dialects.get(name)
        if dialect is None or dialect.tell is None:
            return None
        known = await self._reads.callers.newest(self._merchant, name)
        if known is None:
            return None
        caller = Caller(merchant=self._merchant, name=known.name, profile=known.profile, credential=known.credential)
        return _Served(self._world, self._reads, dialect, caller)


class _Served(Serving):
    """Answers what one dialect asks while it tells some events: each document is read once, until one is changed."""

    def __init__(self, world: World, reads: Reads, dialect: Dialect, caller: Caller) -> None:
        super().__init__(world, reads, dialect, Incoming(method="POST", path="/"), caller)
        self._documents: dict[bytes, Any] = {}

    async def tell(self, happened: Happened) -> tuple[Delivery, ...]:
        """What the dialect tells of an event. One that breaks costs its client this event's news, and is logged."""
        assert self.dialect.tell is not None
        try:
            return await self.through(self.dialect.tell(happened, self.caller))
        except StoreUnavailable:
            raise
        except Exception as error:
            place = {"dialect": self.dialect.name, "event": happened.type}
            self.world.warn("tell_broke", **place, error=where(error))
            return ()

    async def ask(self, ask: Ask) -> Any:
        match ask:
            case LoadDocument() | ListDocuments():
                key = msgspec.json.encode((type(ask).__name__, ask))
                if key not in self._documents:
                    self._documents[key] = await super().ask(ask)
                return self._documents[key]
            case SaveDocument() | DropDocument():
                self._documents.clear()
                return await super().ask(ask)
            case _:
                return await super().ask(ask)


def _refunds_of(events: Iterable[Logged]) -> set[UUID]:
    return {each.event.object for each in events if each.event.object != each.event.payment}


def _to_endpoint(endpoint: KeptEndpoint, body: bytes) -> Delivery:
    """Signed when it leaves: the time of each try is signed with it."""
    headers: Mapping[str, str] = {"content-type": "application/json"}
    return Delivery(url=endpoint.url, hook=outward(ENDPOINT, endpoint.id), headers=headers, body=body)
