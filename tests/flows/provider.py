"""A provider for tests of news: its own books, marks echoed, a list in pages, notifications that are signed.

Whatever it executes stands in `books`; nothing of ours decides what it shows.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from msgspec.structs import replace

from moneyback.core.commands import Admitted, Observation, RequestRefund, Sighting, Standing
from moneyback.core.payment import Asked, Payment
from moneyback.core.refund import Event, Grade, Refund
from moneyback.dialect import (
    AddPayment,
    AnswerLost,
    Call,
    Client,
    Fetched,
    Figures,
    Forged,
    Heard,
    Listed,
    Looked,
    Notification,
    Outgoing,
    Reply,
    SeenRefund,
    Sending,
)
from moneyback.flows.add_payment import add_payment
from moneyback.flows.world import Rail, World
from moneyback.rails import Rails
from moneyback.store.access import Access
from moneyback.store.migrate import migrate
from moneyback.store.news import News
from moneyback.store.postgres import PostgresStore, open_store
from moneyback.store.rails import KeptRail, RailBook, RailSettings
from moneyback.store.reads import Reads
from moneyback.vault import Vault
from tests.flows.toy import TOY

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
VAULT = Vault(bytes(range(32)))
KEY = "sk_test_signing_key"
EVENTS = {"pending": Event.ACCEPTED, "succeeded": Event.EXECUTED, "failed": Event.REFUSED, "returned": Event.CAME_BACK}


class Provider:
    """What is behind a rail. `answers`: how a refund is answered (lost: executed, and no word comes back)."""

    def __init__(self) -> None:
        self.captured: dict[str, int] = {}
        self.books: list[SeenRefund] = []
        self._numbers = itertools.count(1)
        self.disputes: dict[str, Sighting] = {}
        self.answer = "succeeded"
        self.marks = True
        self.reads = True
        self.shows_left = True
        self.page = 3
        self.hidden = 0  # of the newest lines of its list
        self.list_reads = 0
        self.pages_until_silence: int | None = None

    # --- what happens there

    def make(self, payment: str, amount: int, **members: Any) -> SeenRefund:
        made = SeenRefund(
            provider_id=members.pop("provider_id", f"pr-{next(self._numbers)}"),
            payment=payment,
            amount=amount,
            at=START + timedelta(seconds=len(self.books)),
            **members,
        )
        self.books.append(made)
        return made

    def turn(self, provider_id: str, status: str) -> None:
        at = next(n for n, each in enumerate(self.books) if each.provider_id == provider_id)
        self.books[at] = replace(self.books[at], status=status)

    def executions(self, mark: str) -> int:
        return sum(each.mark is not None and each.mark.startswith(mark) for each in self.books)

    def of(self, payment: str) -> tuple[SeenRefund, ...]:
        shown = (each for each in self.books if each.payment == payment)
        return tuple(each if self.marks else replace(each, mark=None) for each in shown)

    def left(self, payment: str) -> int:
        return self.captured[payment] - sum(
            each.amount for each in self.of(payment) if each.status in ("pending", "succeeded")
        )

    # --- how it is called

    def client(self, **changes: Any) -> Client:
        whole = Client(
            send=self._send,
            read=self._read,
            look=self._look,
            fetch=self._fetch,
            list_refunds=self._list,
            hear=hear,
            rung=2,
            list_lag=timedelta(seconds=10),
            credentials=("key",),
        )
        return replace(whole, **changes)

    async def exchange(self, _base_url: str, call: Call, *, deadline: float) -> Reply:
        if call.path == "/silence" or (call.method == "GET" and not self.reads):
            raise AnswerLost("no answer")
        return Reply(status=200)

    def _send(self, sending: Sending) -> Generator[Call, Reply, tuple[Observation, ...]]:
        made = self.make(
            sending.payment.reference,
            sending.refund.payer,
            mark=sending.mark,
            status="succeeded" if self.answer == "lost" else self.answer,
        )
        yield Call(method="POST", path="/silence" if self.answer == "lost" else "/refunds")
        return (Observation(event=EVENTS[made.status], provider_id=made.provider_id, amount=made.amount),)

    def _read(self, payment: Payment) -> Generator[Call, Reply, Figures]:
        yield Call(method="GET", path="/payment")
        ref = payment.reference
        sightings = tuple(each for name, each in self.disputes.items() if name.startswith(f"{ref}/"))
        return Figures(left=self.left(ref) if self.shows_left else None, sightings=sightings)

    def _look(self, sending: Sending, _pre_read: Mapping[str, Any]) -> Generator[Call, Reply, Looked]:
        yield Call(method="GET", path="/look")
        if not self.marks:
            return Looked()
        found = next((each for each in self.books if each.mark == sending.mark), None)
        if found is None:
            return Looked()
        seen = Observation(
            event=EVENTS[found.status], grade=Grade.MARK, provider_id=found.provider_id, amount=found.amount
        )
        return Looked(observations=(seen,))

    def _fetch(self, reference: str) -> Generator[Call, Reply, Fetched | None]:
        yield Call(method="GET", path="/fetch")
        if reference not in self.captured:
            return None
        return Fetched(
            payment=AddPayment(amount=self.captured[reference], currency="EUR", dialect_id=reference),
            reference=reference,
            refunds=self.of(reference),
            left=self.left(reference),
        )

    def _list(self, since: datetime, cursor: Mapping[str, Any]) -> Generator[Call, Reply, Listed]:
        if self.pages_until_silence is not None:
            if self.pages_until_silence == 0:
                yield Call(method="GET", path="/silence")
            self.pages_until_silence -= 1
        yield Call(method="GET", path="/refunds")
        self.list_reads += 1
        begin = int(cursor.get("after", 0))
        shown = self.books[: len(self.books) - self.hidden]
        page = shown[begin : begin + self.page]
        lines = tuple(each if self.marks else replace(each, mark=None) for each in page)
        after = begin + len(page)
        return Listed(refunds=lines, cursor={"after": after}, more=after < len(shown))


def hear(sent: Notification, credentials: Mapping[str, str]) -> Heard:
    """`key|digest|payments|refunds`, ids with commas between."""
    try:
        key, digest, payments, refunds = sent.body.decode().split("|")
    except ValueError:
        raise ValueError("not a notification") from None
    if key != credentials["key"]:
        raise Forged
    answer = Outgoing(status=200, body={"received": True})
    return Heard(digest=digest, payments=_ids(payments), refunds=_ids(refunds), answer=answer)


def _ids(text: str) -> tuple[str, ...]:
    return tuple(each for each in text.split(",") if each)


def told(digest: str, payments: str = "", refunds: str = "", key: str = KEY) -> Notification:
    return Notification(method="POST", body=f"{key}|{digest}|{payments}|{refunds}".encode())


class Scene:
    """One merchant with a rail to the provider, kept like any other; business time may be moved."""

    def __init__(self, dsn: str, store: PostgresStore, provider: Provider, client: Client) -> None:
        self.dsn = dsn
        self.store = store
        self.provider = provider
        self.news = News(store)
        self.access = Access(store)
        self.reads = Reads(store)
        self.book = RailBook(store, VAULT)
        self.rails = Rails(self.book, provider, uuid4)  # type: ignore[arg-type]
        self.logged: list[tuple[str, dict[str, Any]]] = []
        log: Callable[..., None] = lambda word, **figures: self.logged.append((word, figures))  # noqa: E731
        self.world = World(
            store=store,
            rails={},
            dialects={"toy": replace(TOY, client=client, capabilities=TOY.capabilities)},
            new_id=uuid4,
            log=log,
        )
        self.merchant = uuid4()

    @property
    def rail(self) -> Rail:
        return self.world.rail(self.merchant, "main")

    async def begin(self, merchant: UUID | None = None) -> None:
        """A new merchant with its rail, or one that is there already."""
        if merchant is None:
            await self.access.add_merchant(self.merchant, "Shop")
            await self.book.add(self.kept())
        else:
            self.merchant = merchant
        await self.rails.learn(self.world)

    def kept(self) -> KeptRail:
        return KeptRail(
            merchant=self.merchant,
            name="main",
            connector="toy",
            account=self.merchant.hex,
            settings=RailSettings(base_url="https://provider.test/api", per_s=1000, at_once=64),
            credentials={"key": KEY},
        )

    async def learn(self) -> Rail:
        await self.rails.learn(self.world)
        return self.rail

    async def pay(self, reference: str = "", amount: int = 10_000) -> Payment:
        reference = reference or uuid4().hex
        self.provider.captured[reference] = amount
        asked = AddPayment(amount=amount, currency="EUR")
        added = await add_payment(self.world, self.merchant, "native", "main", asked, reference=reference)
        assert isinstance(added, Standing)
        return added.payment

    async def admit(self, payment: Payment, amount: int = 1_000, **members: Any) -> Refund:
        """A refund that is admitted and not sent."""
        id = uuid4()
        command = RequestRefund(
            merchant=self.merchant,
            id=id,
            payment=payment.id,
            dialect="native",
            dialect_id=id.hex,
            terms=self.world.terms,
            asked=Asked(payer=amount),
        )
        admitted = await self.store.submit(replace(command, **members))
        assert isinstance(admitted, Admitted), admitted
        return admitted.refund

    async def now(self, refund: Refund) -> Refund:
        found = await self.store.refund(refund.merchant, refund.id)
        assert found is not None
        return found

    async def payment_now(self, payment: Payment) -> Payment:
        found = await self.store.payment(payment.merchant, payment.id)
        assert found is not None
        return found

    async def advance(self, seconds: float) -> None:
        await self.access.allow_clock()
        assert await self.access.advance_clock(timedelta(seconds=seconds)) is not None

    async def token(self) -> str:
        return (await self.book.hooks(self.merchant))["main"]

    async def sql(self, statement: str, *arguments: object) -> list[Any]:
        """Run a statement of a test's own."""
        connection = await asyncpg.connect(self.dsn)
        try:
            found: list[Any] = await connection.fetch(statement, *arguments)
            return found
        finally:
            await connection.close()

    async def landed(self) -> None:
        while self.world.flights:
            await asyncio.wait(set(self.world.flights.values()))


@asynccontextmanager
async def scene(
    dsn: str, provider: Provider | None = None, *, merchant: UUID | None = None, **client: Any
) -> AsyncIterator[Scene]:
    """A merchant on a database, and the provider its rail leads to."""
    await migrate(dsn)
    store = await open_store(dsn)
    provider = provider or Provider()
    one = Scene(dsn, store, provider, provider.client(**client))
    await one.begin(merchant)
    try:
        yield one
    finally:
        await one.landed()
        await store.close()
