"""Rails to real providers: a kept rail becomes one to send over, with its throttle, its secrets and its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from moneyback.core.payment import Payment
from moneyback.dialect import AnswerLost, Call, Dialect, NotConnected, Reply
from moneyback.flows.breaker import Breaker
from moneyback.flows.world import Exchange, Rail, World
from moneyback.scrub import scrub_body
from moneyback.store.port import StoreUnavailable
from moneyback.store.rails import KeptRail, RailBook
from moneyback.transport import Throttle, Transport


class Rails:
    """Makes a process's rails, and learns of those that are added and removed elsewhere."""

    def __init__(self, book: RailBook, transport: Transport, new_id: Callable[[], UUID]) -> None:
        self._book = book
        self._transport = transport
        self._new_id = new_id
        self._known: dict[tuple[UUID, str], tuple[KeptRail, Rail]] = {}

    async def learn(self, world: World) -> None:
        """Bring `world.own_rails` up to date; a rail that did not change keeps its connections and its breaker."""
        kept = {(each.merchant, each.name): each for each in await self._book.all()}
        for place, each in kept.items():
            known = self._known.get(place)
            if known is None or known[0] != each:
                rail = self._make(each, world.dialects)
                if rail is not None:
                    self._known[place] = (each, rail)
        for place in self._known.keys() - kept.keys():
            del self._known[place]
        world.own_rails.clear()
        world.own_rails.update({place: rail for place, (_, rail) in self._known.items()})

    def _make(self, kept: KeptRail, dialects: Mapping[str, Dialect]) -> Rail | None:
        dialect = dialects.get(kept.connector)
        if dialect is None or dialect.client is None:
            return None
        client, throttle = dialect.client, Throttle(kept.settings.at_once, kept.settings.per_s)

        def exchange_of(payment: Payment) -> Exchange:
            async def exchange(call: Call, *, deadline: float) -> Reply:
                authorised = client.authorize(kept.credentials, call)
                reply, failure = None, None
                try:
                    async with throttle:
                        reply = await self._transport.exchange(kept.settings.base_url, authorised, deadline=deadline)
                except (NotConnected, AnswerLost) as error:
                    failure = f"{type(error).__name__}: {error}"
                    raise
                finally:
                    await self._record(payment, kept, dialect, call, reply, failure)
                return reply

            return exchange

        return Rail(
            name=kept.name,
            account=f"{kept.connector}:{kept.account}",
            client=client,
            exchange=exchange_of,
            real=True,
            joins=kept.settings.duplicates == "join",
            breaker=Breaker(),
        )

    async def _record(
        self, payment: Payment, kept: KeptRail, dialect: Dialect, call: Call, reply: Reply | None, failure: str | None
    ) -> None:
        """Keep what was said, without secrets. A database that is away costs the recording, never the answer."""
        request = scrub_body(call.body, dialect.scrub)
        response = scrub_body(reply.body, dialect.scrub) if reply is not None else ""
        status = reply.status if reply is not None else None
        said = (call.method, call.path, request, status, response, failure)
        try:
            await self._book.record(payment.merchant, self._new_id(), kept.name, payment.id, said)
        except StoreUnavailable:
            return
