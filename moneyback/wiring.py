"""The world is built here, once a process; a test builds another with the same functions."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import structlog

from moneyback.api.app import Application
from moneyback.api.native import shown_event
from moneyback.bank.client import account_of, capture_of, client_for
from moneyback.bank.port import Bank
from moneyback.bank.postgres import PostgresBank
from moneyback.bank.transport import BankTransport
from moneyback.core.commands import Now
from moneyback.core.naming import ENDPOINT, KEY, MERCHANT, inward, outward
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import AnswerLost, Call, Dialect, Incoming, Notification, Presented, Reply
from moneyback.dialects import load_dialects
from moneyback.flows.cancellation import is_cancelled
from moneyback.flows.front import FRONT
from moneyback.flows.hear import Answered
from moneyback.flows.keep_endpoint import (
    EndpointRefused,
    Registered,
    keep_endpoint,
    known_endpoints,
    remove_endpoint,
    rotate_secret,
)
from moneyback.flows.keep_rail import RailRefused, keep_rail
from moneyback.flows.notices import take_notices
from moneyback.flows.resend import send_on
from moneyback.flows.shadow import SHADOW
from moneyback.flows.work import drain
from moneyback.flows.world import Rail, World
from moneyback.ids import new_id, new_secret
from moneyback.messenger import Astray, Messenger, demand_address
from moneyback.rails import Rails
from moneyback.sandbox import describe, prepare_demo, suggestions
from moneyback.settings import Settings, handed_down
from moneyback.store.access import NATIVE, SCOPES, Access
from moneyback.store.deliveries import Deliveries
from moneyback.store.endpoints import Endpoints
from moneyback.store.figures import Figures, figures
from moneyback.store.followers import Followers
from moneyback.store.migrate import migrate
from moneyback.store.news import News
from moneyback.store.port import StoreUnavailable
from moneyback.store.postgres import PostgresStore, open_store
from moneyback.store.rails import AccountTaken, KeptRail, RailBook
from moneyback.store.reads import PaymentsAsked, Reads, RefundsAsked
from moneyback.transport import Transport
from moneyback.vault import MasterKeyError, Vault, read_key
from moneyback.workers.deliveries import run_deliveries
from moneyback.workers.loop import run_worker
from moneyback.workers.news import run_news
from moneyback.workers.signals import follow, nothing_begun
from moneyback.workers.tell import run_telling

LEARN_EVERY_S = 2.0
COLLECT_AFTER = (20_000, 50, 1000)
"""New objects before Python looks for cycles among them, and rounds before it looks among the older ones."""
DATABASE_CHECK_S = 0.2
SANDBOX_RAILS = {"sandbox": 4, **{f"sandbox-{rung}": rung for rung in range(4)}}
"""The built-in rails, and the rung of each: how much its bank lets us know after a lost answer."""


class UserMistake(Exception):
    """What a person asked for cannot be done as asked; the message says why."""


class Wired(msgspec.Struct, frozen=True):
    """A process's world with the parts a surface needs beside it."""

    world: World
    store: PostgresStore
    reads: Reads
    access: Access
    bank: PostgresBank
    book: RailBook | None = None
    own_rails: Rails | None = None
    deliveries: Deliveries | None = None
    endpoints: Endpoints | None = None

    @property
    def news(self) -> News:
        """What providers tell of themselves."""
        return News(self.store)

    async def send_on(self, heard: Answered, sent: Notification) -> None:
        """Keep what was heard for the hooks of the merchant's own client. Raises StoreUnavailable."""
        if self.deliveries is not None and heard.merchant is not None:
            rail = self.world.rail(heard.merchant, heard.rail)
            await send_on(self.world, self.reads, self.deliveries, heard.merchant, rail, heard.digest, sent)

    async def figures(self) -> Figures:
        """What operators watch."""
        return await figures(self.store)

    async def payment_by_reference(self, merchant: UUID, rail: str, reference: str) -> Payment | None:
        """The payment a rail's provider knows by this reference."""
        page = await self.reads.list_payments(merchant, PaymentsAsked(rail=rail, reference=reference, limit=1))
        return page.rows[0] if page.rows else None

    async def refund_by_provider_id(self, merchant: UUID, rail: str, provider_id: str) -> Refund | None:
        """Our refund the provider knows by this id."""
        page = await self.reads.list_refunds(merchant, RefundsAsked(rail=rail, provider_id=provider_id, limit=1))
        return page.rows[0] if page.rows else None

    async def close(self) -> None:
        """Let everything go, oldest last; what is being sent is sent and recorded first."""
        await drain(self.world)
        await self.bank.close()
        await self.store.close()


async def prepare_database(dsn: str) -> list[str]:
    """Every schema, and a sequence for each dialect with numeric ids. Returns what was applied now."""
    numbered = [name for name, dialect in load_dialects().items() if dialect.numbered]
    applied = await migrate(dsn, sequences=numbered)
    connection = await asyncpg.connect(dsn)
    try:
        await PostgresBank.migrate(connection)
    finally:
        await connection.close()
    return applied


@asynccontextmanager
async def wired(dsn: str, vault: Vault | None = None) -> AsyncIterator[Wired]:
    """The world on a prepared database, closed again at the end. With a vault it can learn the rails to providers."""
    store = await open_store(dsn)
    await store.now()  # calls to a rail ask the running clock, and the first piece of work may be one
    bank = await PostgresBank(dsn).open()
    rails = sandbox_rails(bank, store.clock)
    log = structlog.get_logger()
    world = World(
        store=store,
        rails=rails,
        dialects=load_dialects(),
        new_id=new_id,
        log=log.info,
        warn=log.warning,
        vault=vault,
    )
    book = RailBook(store, vault) if vault is not None else None
    transport = Transport()
    own_rails = Rails(book, transport, new_id) if book is not None else None
    reads = Reads(store)
    deliveries = reads.deliveries_with(vault) if vault is not None else None
    endpoints = reads.endpoints_with(vault) if vault is not None else None
    parts = Wired(world, store, reads, Access(store, vault), bank, book, own_rails, deliveries, endpoints)
    try:
        yield parts
    finally:
        await parts.close()
        await transport.close()


def sandbox_rails(bank: Bank, clock: Callable[[], Awaitable[Now]]) -> dict[str, Rail]:
    """The rails that end at the sandbox bank; one a rung."""
    transport = BankTransport(bank, clock)

    async def exchange(call: Call, *, deadline: float) -> Reply:
        left_s = deadline - asyncio.get_running_loop().time()
        until = (await clock()).real + timedelta(seconds=left_s)
        try:
            return await transport.exchange(call, deadline=until)
        except asyncio.CancelledError as error:  # the bank may have had it by then
            raise AnswerLost("cancelled") from error

    async def opened(payment: Payment) -> None:
        await bank.register(account_of(payment), capture_of(payment))

    return {
        name: Rail(
            name=name,
            account=name,
            client=client_for(rung),
            exchange=lambda _payment: exchange,
            opened=opened,
            wallets_limited=True,
        )
        for name, rung in SANDBOX_RAILS.items()
    }


def create_app() -> Application:
    """The ASGI application of one worker process; its world is built when the server starts it."""
    settings = handed_down()

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[Wired]:
        assert settings.dsn is not None
        async with AsyncExitStack() as stack:
            if settings.parent is not None:
                await stack.enter_async_context(beside(follow(settings.parent)))
            with nothing_begun():
                await until_there(settings.dsn)
            parts = await stack.enter_async_context(wired(settings.dsn, vault_of(settings)))
            await learn_rails(parts)
            await stack.enter_async_context(beside(keep_learning(parts)))
            if settings.with_worker:
                await stack.enter_async_context(beside(run_news(parts.world, parts.news)))
                await stack.enter_async_context(delivering(parts, settings))
                await stack.enter_async_context(beside(run_worker(parts.world, notices_of(parts))))
            _spare_the_collector()
            yield parts

    return Application(settings, lifespan)


def _spare_the_collector() -> None:
    """What is here by now stays, and requests leave few cycles: looking for some every 700 objects cost a tenth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


@asynccontextmanager
async def beside(story: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """A task that runs for as long as we are inside."""
    task = asyncio.create_task(story)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_there(dsn: str) -> None:
    """Returns once the database takes connections: a worker that starts while it is away waits for it."""
    while True:
        try:
            connection = await asyncpg.connect(dsn, timeout=10)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            await asyncio.sleep(DATABASE_CHECK_S)
        else:
            await connection.close()
            return


def notices_of(parts: Wired) -> Callable[[], Awaitable[int]]:
    """What the sandbox bank reports by itself, taken in."""

    async def notices() -> int:
        return await take_notices(parts.world, parts, parts.bank)

    return notices


async def work_until_stopped(settings: Settings) -> None:
    """A process that only works."""
    assert settings.dsn is not None
    await prepare_database(settings.dsn)
    await demand_open_rails(settings)
    async with wired(settings.dsn, vault_of(settings)) as parts:
        await learn_rails(parts)
        async with beside(keep_learning(parts)), beside(run_news(parts.world, parts.news)), delivering(parts, settings):
            await until_told(run_worker(parts.world, notices_of(parts)))


@asynccontextmanager
async def delivering(parts: Wired, settings: Settings) -> AsyncIterator[None]:
    """What happens is told, and what is to be told is delivered, for as long as we are inside."""
    if parts.deliveries is None:
        yield
        return
    assert parts.endpoints is not None
    messenger = Messenger(near=settings.near)
    followers = Followers(parts.store, parts.deliveries)
    try:
        async with (
            beside(run_telling(parts.world, parts.reads, followers, shown_event)),
            beside(run_deliveries(parts.world, parts.deliveries, parts.endpoints, messenger.post)),
        ):
            yield
    finally:
        await messenger.close()


async def until_told(story: Coroutine[Any, Any, None]) -> None:
    """Run until this process is told to end (SIGTERM): the story is cancelled, and what it began can be drained."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(story)
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if is_cancelled():
            raise  # Ctrl-C: asyncio cancels the whole, and says so itself
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def vault_of(settings: Settings) -> Vault | None:
    """What opens the rails' credentials; None where no master key was resolved."""
    return Vault(read_key(settings.master_key)) if settings.master_key is not None else None


async def learn_rails(parts: Wired) -> None:
    """Let the world know the rails to real providers as they are kept now."""
    if parts.own_rails is not None:
        await parts.own_rails.learn(parts.world)


async def notice_new_past(parts: Wired) -> None:
    """After a restore or a failover every rail to a real provider only looks, until what is forgotten was found."""
    rails = await parts.news.notice_new_past()
    if rails is not None:
        parts.world.warn("another_past", rails=rails)


async def keep_learning(parts: Wired) -> None:
    """Learn of rails that are added and removed while this process runs."""
    while parts.own_rails is not None:
        await asyncio.sleep(LEARN_EVERY_S)
        try:
            await notice_new_past(parts)
            await parts.own_rails.learn(parts.world)
        except Exception as error:  # tried again; ended, this process would never hear of a rail again
            words = str(error) if isinstance(error, StoreUnavailable) else type(error).__name__
            parts.world.log("rails_not_learnt", error=words)


async def demand_open_rails(settings: Settings) -> None:
    """Raises MasterKeyError when a kept rail's credentials cannot be opened: its refunds would wait unseen."""
    assert settings.dsn is not None
    async with wired(settings.dsn, vault_of(settings)) as parts:
        await notice_new_past(parts)
        kept = await parts.book.all() if parts.book is not None else ()
    closed = [f"{each.name} of {outward(MERCHANT, each.merchant)}" for each in kept if each.credentials is None]
    if closed:
        raise MasterKeyError(
            f"The master key is not the one these rails were kept with: {', '.join(closed)}. "
            "Give the right one, or add them again with `moneyback rails add`."
        )


async def prepare(settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """A sandbox's database, demo merchant and payments: the ready file's sections, and what to try."""
    assert settings.dsn is not None
    await prepare_database(settings.dsn)
    async with wired(settings.dsn, vault_of(settings)) as parts:
        if settings.movable:
            await parts.access.allow_clock()
        demo = await prepare_demo(parts.world, parts.access, parts.reads.documents, Path(settings.data_dir))
        sections = await describe(parts.world, demo, settings)
        first = next((ids[0] for each in demo.dialects.values() if (ids := each.payments)), None)
        payment = outward("pay", first) if first is not None else None
        return sections, suggestions(parts.world.dialects, sections, payment)


async def add_rail(settings: Settings, merchant: str, kept: dict[str, Any]) -> dict[str, Any]:
    """Keep a rail to a real provider. Raises UserMistake."""
    async with _of_merchant(settings, merchant) as (parts, owner):
        assert parts.book is not None
        try:
            await keep_rail(parts.world, parts.book, owner, kept)
        except (RailRefused, AccountTaken) as error:
            raise UserMistake(str(error)) from error
        hooks = await parts.book.hooks(owner)
    return {
        "merchant": merchant,
        "rail": kept["name"],
        "connector": kept["connector"],
        "account": kept["account"],
        "hook": f"/_hooks/{hooks[kept['name']]}",
    }


async def known_rails(settings: Settings, merchant: str) -> list[dict[str, Any]]:
    """A merchant's rails without their secrets. Raises UserMistake."""
    async with _of_merchant(settings, merchant) as (parts, owner):
        assert parts.book is not None
        found, hooks = await parts.book.all(owner), await parts.book.hooks(owner)
    return [
        {
            "rail": each.name,
            "connector": each.connector,
            "account": each.account,
            **msgspec.to_builtins(each.settings),
            "credentials": None if each.credentials is None else sorted(each.credentials),
            "hook": f"/_hooks/{hooks[each.name]}",
            "look_only_since": each.look_only_since.isoformat() if each.look_only_since is not None else None,
        }
        for each in found
    ]


async def remove_rail(settings: Settings, merchant: str, name: str) -> bool:
    """Take a rail out of use; False when there is none, or a refund on it has not ended."""
    async with _of_merchant(settings, merchant) as (parts, owner):
        assert parts.book is not None
        return await parts.book.remove(owner, name)


async def stand_in_front(settings: Settings, merchant: str, name: str, *, shadow: bool = False) -> dict[str, Any]:
    """Let a rail's own credentials in at our dialect of its provider, so that a client need only change its base URL.

    `shadow`: all is relayed, and only written down what would have been refused or joined. Raises UserMistake.
    """
    async with _of_merchant(settings, merchant) as (parts, owner):
        dialect = await let_in(parts, owner, name, shadow=shadow)
    return {
        "merchant": merchant,
        "rail": name,
        "dialect": dialect.name,
        "base_path": f"/{dialect.name}{dialect.base_path}",
    }


async def let_in(parts: Wired, owner: UUID, name: str, *, shadow: bool = False) -> Dialect:
    """Make a rail's own credentials count at our dialect of its provider, which is returned. Raises UserMistake."""
    kept = await _kept_rail(parts, owner, name)
    dialect, presented = _presented(parts, kept)
    client = dialect.client
    assert client is not None and kept.credentials is not None
    profile = {**client.profile(kept.credentials, kept.account), "rail": name, FRONT: name, SHADOW: shadow}
    ours = await parts.access.put_credential(
        owner,
        new_id(),
        dialect.name,
        secret=presented.secret,
        user=presented.user,
        name=_front_name(name),
        profile=profile,
    )
    if not ours:
        raise UserMistake(f"these credentials are known as another merchant's at our {dialect.name}")
    return dialect


async def step_aside(settings: Settings, merchant: str, name: str) -> bool:
    """No longer let a rail's own credentials in; False when they were not."""
    async with _of_merchant(settings, merchant) as (parts, owner):
        found = [each for each in await parts.access.credentials(owner) if each.name == _front_name(name)]
        return any([await parts.access.revoke(owner, each.id) for each in found])


def _front_name(rail: str) -> str:
    return f"in front of {rail}"


async def _kept_rail(parts: Wired, owner: UUID, name: str) -> KeptRail:
    assert parts.book is not None
    found = next((each for each in await parts.book.all(owner) if each.name == name), None)
    if found is None:
        raise UserMistake(f"there is no rail {name}")
    if found.credentials is None:
        raise UserMistake(f"the credentials of {name} were sealed with another master key: add it again")
    return found


def _presented(parts: Wired, kept: KeptRail) -> tuple[Dialect, Presented]:
    """What a client of this rail's provider presents: what the connector itself would say, read as we read it."""
    dialect = parts.world.dialects[kept.connector]
    assert dialect.client is not None and kept.credentials is not None
    call = dialect.client.authorize(kept.credentials, Call(method="GET", path="/"))
    headers = {header.lower(): value for header, value in call.headers.items()}
    presented = dialect.presented(Incoming(method=call.method, path=call.path, headers=headers))
    if presented is None:
        raise UserMistake(f"our {kept.connector} takes no credentials like those of {kept.name}")
    return dialect, presented


async def make_key(settings: Settings, merchant: str, scopes: list[str] | None, name: str) -> dict[str, Any]:
    """A native key; a merchant that is not an id is a new merchant's name. Raises UserMistake."""
    chosen = tuple(scopes or (each for each in SCOPES if not each.startswith("control")))
    if unknown := sorted(set(chosen) - set(SCOPES)):
        raise UserMistake(f"no such scope: {', '.join(unknown)}. There are: {', '.join(SCOPES)}")
    assert settings.dsn is not None
    await prepare_database(settings.dsn)
    async with wired(settings.dsn) as parts:
        owner = inward(MERCHANT, merchant)
        if owner is None and (not merchant.strip() or merchant.startswith(f"{MERCHANT}_")):
            raise UserMistake(f"{merchant!r} is no merchant's id, and no name for a new one")
        if owner is None:
            owner = new_id()
            await parts.access.add_merchant(owner, merchant)
        elif not await parts.access.has_merchant(owner):
            raise UserMistake(f"there is no merchant {merchant}")
        key = f"mb_{new_secret(40)}"
        await parts.access.add_credential(owner, new_id(), NATIVE, secret=key, name=name, scopes=chosen)
    return {"merchant": outward(MERCHANT, owner), "key": key, "scopes": list(chosen)}


async def known_keys(settings: Settings, merchant: str) -> list[dict[str, Any]]:
    """A merchant's native keys. Raises UserMistake for an unknown merchant."""
    async with _of_merchant(settings, merchant) as (parts, owner):
        found = await parts.access.credentials(owner, NATIVE)
    return [
        {
            "id": outward(KEY, each.id),
            "name": each.name,
            "scopes": list(each.scopes),
            "created_at": each.created_at.isoformat(),
            "revoked_at": each.revoked_at.isoformat() if each.revoked_at else None,
        }
        for each in found
    ]


async def end_key(settings: Settings, merchant: str, key: str) -> bool:
    """Revoke a native key; False when there is none to revoke."""
    async with _of_merchant(settings, merchant) as (parts, owner):
        id = inward(KEY, key)
        return id is not None and await parts.access.revoke(owner, id)


async def add_endpoint(
    settings: Settings,
    merchant: str,
    url: str,
    *,
    dialect: str = NATIVE,
    events: tuple[str, ...] = (),
    description: str = "",
    secret: str | None = None,
) -> dict[str, Any]:
    """Keep an endpoint; what is drawn to sign with is in the answer. Raises UserMistake."""
    async with _of_merchant(settings, merchant) as (parts, owner):
        try:
            await demand_address(url, near=settings.near)
            kept = await keep_endpoint(
                *(parts.world, parts.reads, owner),
                dialect=dialect,
                url=url,
                events=events,
                description=description,
                secret=secret,
            )
        except (Astray, EndpointRefused) as error:
            raise UserMistake(str(error)) from error
    return _shown_endpoint(kept)


async def endpoints_of(settings: Settings, merchant: str) -> list[dict[str, Any]]:
    """A merchant's endpoints without their secrets. Raises UserMistake."""
    async with _of_merchant(settings, merchant) as (parts, owner):
        return [_shown_endpoint(each) for each in await known_endpoints(parts.world, parts.reads, owner)]


async def end_endpoint(settings: Settings, merchant: str, endpoint: str) -> bool:
    """Tell an endpoint nothing more; False where there is none."""
    async with _of_merchant(settings, merchant) as (parts, owner):
        id = inward(ENDPOINT, endpoint)
        return id is not None and await remove_endpoint(parts.world, parts.reads, owner, id)


async def rotate_endpoint(
    settings: Settings, merchant: str, endpoint: str, secret: str | None = None
) -> dict[str, Any]:
    """Sign with another secret from now on. Raises UserMistake."""
    async with _of_merchant(settings, merchant) as (parts, owner):
        id = inward(ENDPOINT, endpoint)
        try:
            kept = await rotate_secret(parts.world, parts.reads, owner, id, secret) if id is not None else None
        except EndpointRefused as error:
            raise UserMistake(str(error)) from error
    if kept is None:
        raise UserMistake(f"{merchant} has no endpoint {endpoint}")
    return _shown_endpoint(kept)


def _shown_endpoint(kept: Registered) -> dict[str, Any]:
    shown = {
        "id": outward(ENDPOINT, kept.id),
        "dialect": kept.dialect,
        "url": kept.url,
        "events": list(kept.events),
        "description": kept.description,
        "created_at": kept.created_at.isoformat(),
    }
    return shown if kept.secret is None else {**shown, "secret": kept.secret}


@asynccontextmanager
async def _of_merchant(settings: Settings, merchant: str) -> AsyncIterator[tuple[Wired, UUID]]:
    assert settings.dsn is not None
    await prepare_database(settings.dsn)
    async with wired(settings.dsn, vault_of(settings)) as parts:
        owner = inward(MERCHANT, merchant)
        if owner is None or not await parts.access.has_merchant(owner):
            raise UserMistake(f"there is no merchant {merchant}")
        yield parts, owner
