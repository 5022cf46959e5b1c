"""Rails to real providers: a kept rail becomes one to send over, with its throttle, its secrets and its record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from moneyback.core.commands import Observation, Sighting
from moneyback.core.payment import Payment
from moneyback.dialect import (
    AnswerLost,
    Call,
    Client,
    Dialect,
    Fetching,
    Figures,
    Heard,
    Listed,
    Listing,
    Looked,
    Looking,
    NotConnected,
    Notification,
    Reading,
    Reply,
    SeenRefund,
    Sending,
    Sent,
)
from moneyback.flows.breaker import Breaker
from moneyback.flows.cancellation import to_the_end
from moneyback.flows.world import Exchange, ExchangeOf, Rail, World
from moneyback.scrub import scrub_body, scrub_data, scrub_query, scrub_text
from moneyback.store.rails import KeptRail, RailBook
from moneyback.transport import Throttle, Transport

WORDS_MAX = 2_000
"""Characters that are kept of what a provider says in a sentence."""

Exchanged = tuple[str, str, str, int | None, str, str | None]
"""Method, path, request, status, response, failure."""
Turn = Callable[[float], AbstractAsyncContextManager[None]]
"""One call may be made inside, if that is before this loop time."""


class Rails:
    """Makes a process's rails, and learns of those that are added and removed elsewhere."""

    def __init__(self, book: RailBook, transport: Transport, new_id: Callable[[], UUID]) -> None:
        self._book = book
        self._transport = transport
        self._new_id = new_id
        self._known: dict[tuple[UUID, str], tuple[KeptRail, Rail | None]] = {}

    async def learn(self, world: World) -> None:
        """Bring `world.own_rails` up to date; a rail that did not change keeps its connections and its breaker.

        One that cannot be used is left out, and said once: refunds on it wait. Raises StoreUnavailable.
        """
        removed = await self._book.removed()
        kept = {(each.merchant, each.name): each for each in await self._book.all()}
        for place, each in kept.items():
            known = self._known.get(place)
            if known is None or known[0] != each:
                self._known[place] = (each, self._made(each, world))
        for place in self._known.keys() - kept.keys():
            del self._known[place]
        world.removed_rails.clear()
        world.removed_rails.update(removed)
        world.own_rails.clear()
        world.own_rails.update({place: rail for place, (_, rail) in self._known.items() if rail is not None})

    def _made(self, kept: KeptRail, world: World) -> Rail | None:
        dialect = world.dialects.get(kept.connector)
        if dialect is None or dialect.client is None:
            why = "there is no such connector"
        elif kept.credentials is None:
            why = "its credentials were sealed with another master key"
        elif missing := set(dialect.client.credentials) - set(kept.credentials):
            why = f"it lacks the credentials {', '.join(sorted(missing))}"
        else:
            return self._make(kept, kept.credentials, dialect, dialect.client, world.log)
        world.log("rail_left_out", rail=kept.name, connector=kept.connector, why=why)
        return None

    def _make(
        self,
        kept: KeptRail,
        credentials: Mapping[str, str],
        dialect: Dialect,
        client: Client,
        log: Callable[..., None],
    ) -> Rail:
        throttle = Throttle(kept.settings.at_once, kept.settings.per_s)
        secrets = tuple(credentials.values())

        def exchange_about(payment: UUID | None, turn: Turn) -> Exchange:
            async def exchange(call: Call, *, deadline: float) -> Reply:
                authorised = _authorised(client, credentials, call)
                try:
                    async with turn(deadline):
                        reply = await self._transport.exchange(kept.settings.base_url, authorised, deadline=deadline)
                except (NotConnected, AnswerLost) as error:
                    await recorded(payment, _said(call, None, f"{type(error).__name__}: {error}"))
                    raise
                await recorded(payment, _said(call, reply, None))
                return reply

            return exchange

        async def recorded(payment: UUID | None, said: Exchanged) -> None:
            # Cancelled in here, a call that was made would look like one that was not.
            await to_the_end(self._record(kept, payment, said, log))

        def exchange_of(payment: Payment) -> Exchange:
            return exchange_about(payment.id, throttle.turn)

        @asynccontextmanager
        async def slot(until: float) -> AsyncIterator[ExchangeOf]:
            async with throttle.slot(until) as mine:
                yield lambda payment: exchange_about(payment.id, mine.turn)

        async def relayed(call: Call, *, deadline: float) -> Reply:
            authorised = _authorised(client, credentials, call)
            return await self._transport.exchange(kept.settings.base_url, authorised, deadline=deadline)

        def _said(call: Call, reply: Reply | None, failure: str | None) -> Exchanged:
            return exchanged(call, reply, failure, dialect.scrub, secrets)

        return Rail(
            name=kept.name,
            account=f"{kept.connector}:{kept.account}",
            client=discreet(client, dialect.scrub, secrets),
            exchange=exchange_of,
            slot=slot,
            reading=exchange_about(None, throttle.turn),
            relay=relayed,
            real=True,
            joins=kept.settings.duplicates == "join",
            breaker=Breaker(),
            drift_every=timedelta(seconds=kept.settings.drift_every_s),
            look_only=kept.look_only_since is not None,
            hear=hearing(client, credentials),
            scrubbed=lambda sent: scrubbed(sent, dialect.scrub, secrets),
        )

    async def _record(self, kept: KeptRail, payment: UUID | None, said: Exchanged, log: Callable[..., None]) -> None:
        """Keep what was said. Whatever goes wrong with that costs the recording, never the answer."""
        try:
            await self._book.record(kept.merchant, self._new_id(), kept.name, payment, said)
        except Exception as error:
            log("exchange_not_recorded", rail=kept.name, error=type(error).__name__)


def exchanged(
    call: Call, reply: Reply | None, failure: str | None, names: tuple[str, ...], secrets: tuple[str, ...]
) -> Exchanged:
    """What is kept of one exchange: without headers, credentials, and what the dialect calls secret."""
    return (
        call.method,
        scrub_text(call.path, secrets) + scrub_query(call.query, names, secrets),
        scrub_body(call.body, names, secrets),
        reply.status if reply is not None else None,
        scrub_body(reply.body, names, secrets) if reply is not None else "",
        scrub_text(failure, secrets) if failure is not None else None,
    )


def hearing(client: Client, credentials: Mapping[str, str]) -> Callable[[Notification], Heard] | None:
    """What tells the account's notifications from forgeries, and what they are about; None where none are sent."""
    hear = client.hear
    return None if hear is None else lambda sent: hear(sent, credentials)


def scrubbed(sent: Notification, names: tuple[str, ...], secrets: tuple[str, ...]) -> str:
    """What is kept of a notification: how it came, its query and its body, without what must not be kept."""
    query = scrub_query(sent.query, names, secrets)
    return f"{sent.method} {query}\n{scrub_body(sent.body, names, secrets)}"


def discreet(client: Client, names: tuple[str, ...], secrets: tuple[str, ...]) -> Client:
    """The connector, whose findings quote no secret and no card number, though a provider may repeat what it was sent.

    Findings become evidence and events, and those are kept for ever.
    """

    def words(text: str | None) -> str | None:
        return scrub_text(text, secrets)[:WORDS_MAX] if text is not None else None

    def data(found: Mapping[str, Any]) -> Mapping[str, Any]:
        return scrub_data(found, names, secrets)

    def observed(seen: tuple[Observation, ...]) -> tuple[Observation, ...]:
        return tuple(
            replace(
                each,
                message=words(each.message),
                code=words(each.code),
                trace=words(each.trace),
                pending_reason=words(each.pending_reason),
                data=data(each.data),
            )
            for each in seen
        )

    def sighted(seen: tuple[Sighting, ...]) -> tuple[Sighting, ...]:
        return tuple(replace(each, data=data(each.data)) for each in seen)

    def send(sending: Sending) -> Sent:
        return observed((yield from client.send(sending)))

    def release(sending: Sending) -> Sent:
        assert client.release is not None
        return observed((yield from client.release(sending)))

    def read(payment: Payment) -> Reading:
        figures: Figures = yield from client.read(payment)
        return replace(figures, sightings=sighted(figures.sightings))

    def look(sending: Sending, pre_read: Mapping[str, Any]) -> Looking:
        looked: Looked = yield from client.look(sending, pre_read)
        return replace(
            looked,
            observations=observed(looked.observations),
            sightings=sighted(looked.sightings),
            shown=data(looked.shown),
        )

    def seen(refunds: tuple[SeenRefund, ...]) -> tuple[SeenRefund, ...]:
        return tuple(replace(each, code=words(each.code)) for each in refunds)

    def fetch(reference: str) -> Fetching:
        assert client.fetch is not None
        fetched = yield from client.fetch(reference)
        return None if fetched is None else replace(fetched, refunds=seen(fetched.refunds))

    def listed(since: datetime, cursor: Mapping[str, Any]) -> Listing:
        assert client.list_refunds is not None
        page: Listed = yield from client.list_refunds(since, cursor)
        return replace(page, refunds=seen(page.refunds))

    return replace(
        client,
        send=send,
        read=read,
        look=look,
        release=release if client.release is not None else None,
        fetch=fetch if client.fetch is not None else None,
        list_refunds=listed if client.list_refunds is not None else None,
    )


def _authorised(client: Client, credentials: Mapping[str, str], call: Call) -> Call:
    """The call with what proves who calls. Raises NotConnected when that cannot be made of these credentials."""
    try:
        return client.authorize(credentials, call)
    except Exception as error:  # its text may quote them
        raise NotConnected(f"the credentials are of no use: {type(error).__name__}") from None
