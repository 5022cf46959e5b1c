"""A world for tests: the real store, one merchant, a rail whose answers a test writes, and a dialect made for it."""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from msgspec.structs import replace

from moneyback.core.commands import Admitted, Observation, RequestRefund, Sighting, Standing
from moneyback.core.payment import Asked, Capabilities, Payment
from moneyback.core.refund import Event, Refund
from moneyback.core.refusals import Reason
from moneyback.dialect import (
    AddPayment,
    Call,
    Caller,
    Client,
    Dialect,
    Fault,
    Figures,
    Incoming,
    Looked,
    Outgoing,
    Presented,
    Reply,
    Sending,
)
from moneyback.flows.add_payment import add_payment
from moneyback.flows.world import Rail, World
from moneyback.store.access import Access
from moneyback.store.migrate import migrate
from moneyback.store.postgres import PostgresStore, open_store
from moneyback.store.reads import Reads

STATUS = {
    Fault.UNAUTHENTICATED: 401,
    Fault.FORBIDDEN: 403,
    Fault.NOT_FOUND: 404,
    Fault.METHOD_NOT_ALLOWED: 405,
    Fault.BAD_BODY: 400,
    Fault.TOO_LARGE: 413,
    Fault.UNAVAILABLE: 503,
    Fault.INTERNAL: 500,
}


def presented(incoming: Incoming) -> Presented | None:
    """Bearer, or user and secret with a colon between."""
    scheme, _, value = incoming.headers.get("authorization", "").partition(" ")
    if scheme == "Bearer":
        return Presented(value)
    user, colon, secret = value.partition(":")
    return Presented(secret, user) if colon else None


def fault(kind: Fault, incoming: Incoming | None) -> Outgoing:
    """A provider's words: the fault's own, and what the mount told of the request."""
    path = incoming.path if incoming is not None else None
    dated = incoming is not None and incoming.at is not None
    return Outgoing(status=STATUS[kind], body={"toy": kind.value, "path": path, "dated": dated})


TOY = Dialect(
    name="toy",
    title="Toy",
    routes=(),
    presented=presented,
    fault=fault,
    capabilities=lambda _payment: Capabilities(minimum=100),
    kept=frozenset({Reason.BELOW_MINIMUM}),
)


class ToyRail:
    """Executes every refund at once, unless a test says otherwise."""

    def __init__(self) -> None:
        self.answer: Event = Event.EXECUTED
        self.open = asyncio.Event()
        """Closed: the rail does not answer yet."""
        self.open.set()
        self.sent: list[Sending] = []

    async def exchange(self, call: Call, *, deadline: float) -> Reply:
        await self.open.wait()
        return Reply(status=200)

    def _send(self, sending: Sending) -> Generator[Call, Reply, tuple[Observation, ...]]:
        self.sent.append(sending)
        yield Call(method="POST", path="/")
        return (Observation(event=self.answer, provider_id=f"p{len(self.sent)}"),)

    def _read(self, _payment: Payment) -> Generator[Call, Reply, Figures]:
        yield Call(method="GET", path="/")
        return Figures()

    def _look(self, _sending: Sending, _pre_read: Any) -> Generator[Call, Reply, Looked]:
        yield Call(method="GET", path="/")
        return Looked()

    def rail(self, name: str, *, joins: bool = False) -> Rail:
        """Under a name, and joining equal requests or not."""
        client = Client(send=self._send, read=self._read, look=self._look, rung=4)
        return Rail(name=name, account=name, client=client, exchange=lambda _payment: self.exchange, joins=joins)


class Scene:
    """One merchant's world on a database; rails `sandbox` and `joining`."""

    def __init__(self, store: PostgresStore, merchant: UUID) -> None:
        self.store = store
        self.reads = Reads(store)
        self.access = Access(store)
        self.merchant = merchant
        self.rail = ToyRail()
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.world = World(
            store=store,
            rails={"sandbox": self.rail.rail("sandbox"), "joining": self.rail.rail("joining", joins=True)},
            dialects={"toy": TOY},
            new_id=uuid4,
            log=lambda word, **figures: self.logged.append((word, figures)),
        )
        self.caller = Caller(merchant=merchant, name="toy key")

    async def pay(self, amount: int = 10_000, *, rail: str = "sandbox", **fields: Any) -> Payment:
        """A captured payment, unless `fields` say otherwise."""
        asked = AddPayment(amount=amount, currency="EUR", **fields)
        added = await add_payment(self.world, self.merchant, "toy", rail, asked, reference=str(uuid4()))
        assert isinstance(added, Standing)
        return added.payment

    async def admit(self, payment: Payment, amount: int, **fields: Any) -> Refund:
        """A refund that is ready and not sent."""
        command = RequestRefund(
            merchant=self.merchant,
            id=uuid4(),
            payment=payment.id,
            dialect="toy",
            terms=self.world.terms,
            asked=Asked(payer=amount),
            sequence="ids_toy",
        )
        admitted = await self.store.submit(replace(command, **fields))
        assert isinstance(admitted, Admitted)
        return admitted.refund

    async def landed(self) -> None:
        """Once nothing is on its way to the rail any more."""
        while self.world.flights:
            await asyncio.wait(set(self.world.flights.values()))


@asynccontextmanager
async def scene_on(dsn: str) -> AsyncIterator[Scene]:
    """A new merchant on a migrated database."""
    await migrate(dsn, sequences=["toy"])
    store = await open_store(dsn)
    scene = Scene(store, uuid4())
    await scene.access.add_merchant(scene.merchant, "Toys")
    try:
        yield scene
    finally:
        scene.rail.open.set()
        await scene.landed()
        await store.close()


def captured(amount: int) -> Sighting:
    """The rest of a payment came in."""
    return Sighting(kind="captured", amount=amount, reference="1")
