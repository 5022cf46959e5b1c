"""Deliveries: told once it works, tried again while it does not, given up visibly, kept a while to be told again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from moneyback import messenger
from moneyback.core.naming import ENDPOINT, outward
from moneyback.dialect import Delivery
from moneyback.flows.deliver import AGAIN_AFTER, DELIVER_LEASE, KEPT_FOR, deliver_due, forget_old
from moneyback.ids import new_signing_secret
from moneyback.messenger import Astray, Messenger
from moneyback.store.deliveries import Delivered, Due, Said, Told
from moneyback.vault import Vault
from tests.flows.toy import Scene, scene_on

PATIENCE_S = 20
LONGEST = 30
VAULT = Vault(bytes(32))
SECRET = b'{"name": "Ada Lovelace"}'


class Post:
    """A client's own program, as a test wants it to answer."""

    def __init__(self) -> None:
        self.answers: list[int | Exception] = []
        self.came: list[Due] = []
        self.failing: set[UUID] = set()

    async def __call__(self, due: Due) -> int:
        self.came.append(due)
        if due.id in self.failing:
            return 500
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer


class Office:
    """One merchant's deliveries."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.deliveries = scene.reads.deliveries_with(VAULT)
        self.endpoints = scene.reads.endpoints_with(VAULT)
        self.post = Post()

    async def add(self, id: UUID | None = None, *, object: UUID | None = None, **members: Any) -> UUID:
        id = id or uuid4()
        said = Delivery(
            **{
                "url": "http://shop.example/hook",
                "hook": "h1",
                "headers": {"x-signature": "s"},
                "body": SECRET,
                **members,
            }
        )
        await self.deliveries.add(self.scene.merchant, Told(id=id, delivery=said, rail="shop", object=object))
        return id

    async def round(self) -> int:
        return await deliver_due(self.scene.world, self.deliveries, self.endpoints, self.post)

    async def until_quiet(self) -> None:
        """Rounds until nothing is due at this time."""
        for _ in range(LONGEST):
            if not await self.round():
                return
        raise AssertionError("there is always more to deliver")

    def came(self) -> list[UUID]:
        return [each.id for each in self.post.came]

    async def all_shown(self) -> tuple[Delivered, ...]:
        return await self.scene.reads.deliveries(self.scene.merchant)

    async def shown(self) -> Delivered:
        (found,) = await self.scene.reads.deliveries(self.scene.merchant)
        return found

    async def advance(self, by: timedelta) -> None:
        await self.scene.access.allow_clock()
        await self.scene.access.advance_clock(by)

    async def sealed(self) -> list[bytes | None]:
        async with self.scene.store.reading() as connection:
            rows = await connection.fetch("select sealed from deliveries where merchant_id = $1", self.scene.merchant)
        return [row["sealed"] for row in rows]


@pytest.fixture
async def office(database: str) -> AsyncIterator[Office]:
    async with scene_on(database) as scene:
        yield Office(scene)


async def test_it_arrives_once(office: Office):
    id = await office.add()
    await office.add(id)
    assert (await office.round(), await office.round()) == (1, 0)
    (due,) = office.post.came
    assert due.said is not None
    assert (due.url, due.method, due.said.headers, due.said.body) == (
        "http://shop.example/hook",
        "POST",
        {"x-signature": "s"},
        SECRET,
    )
    shown = await office.shown()
    assert (shown.delivered, shown.tries, shown.status, shown.failure) == (True, 1, 200, None)


async def test_what_is_kept_can_be_read_by_nobody(office: Office):
    await office.add()
    (sealed,) = await office.sealed()
    assert sealed is not None and b"Lovelace" not in sealed
    stranger = office.scene.reads.deliveries_with(Vault(bytes(31) + b"x"))
    assert await deliver_due(office.scene.world, stranger, office.endpoints, office.post) == 1
    shown = await office.shown()
    assert (shown.delivered, shown.failure, office.post.came) == (False, "it was sealed with another master key", [])


async def test_two_rounds_at_once_call_once(office: Office):
    await office.add()
    assert sorted(await asyncio.gather(office.round(), office.round())) == [0, 1]
    assert len(office.post.came) == 1


async def test_what_does_not_arrive_is_tried_again_and_given_up_in_the_end(office: Office):
    await office.add()
    office.post.answers = [500, OSError("refused"), *([302] * len(AGAIN_AFTER))]
    for number, pause in enumerate(AGAIN_AFTER, start=1):
        assert await office.round() == 1
        assert await office.round() == 0, "not before it is due"
        shown = await office.shown()
        assert (shown.tries, shown.delivered, shown.ended_at) == (number, False, None)
        await office.advance(pause)
    assert (await office.shown()).failure == "answered 302"
    assert await office.round() == 1
    shown = await office.shown()
    assert (shown.delivered, shown.status, shown.tries, shown.due_at) == (False, 302, len(AGAIN_AFTER) + 1, None)
    assert shown.ended_at is not None
    assert [each.id for each in await office.scene.reads.deliveries(office.scene.merchant, undelivered=True)] == [
        shown.id
    ]


async def test_who_is_gone_is_not_called_again(office: Office):
    await office.add()
    office.post.answers = [410]
    await office.round()
    shown = await office.shown()
    assert (shown.delivered, shown.due_at, shown.failure) == (False, None, "answered 410")


async def test_one_that_breaks_stops_no_other(office: Office):
    await office.add()
    await office.add()
    office.post.answers = [RuntimeError("a mistake of ours")]
    assert await office.round() == 2
    assert sorted(each.delivered for each in await office.scene.reads.deliveries(office.scene.merchant)) == [
        False,
        True,
    ]


# --- kept for a while ------------------------------------------------------------------------------------------------


async def test_what_was_told_is_kept_for_a_while_and_then_forgotten(office: Office):
    gone, open_one = await office.add(), await office.add()
    office.post.answers = [204, 500]
    assert await office.round() == 2
    await office.advance(KEPT_FOR - timedelta(minutes=1))
    assert await forget_old(office.deliveries) == 0
    await office.advance(timedelta(minutes=2))
    assert await forget_old(office.deliveries) == 1
    shown = {each.id: each.kept for each in await office.all_shown()}
    assert shown == {gone: False, open_one: True}
    assert await office.scene.reads.replay_delivery(office.scene.merchant, gone) is None


async def test_what_arrived_is_told_again_on_demand(office: Office):
    id = await office.add()
    await office.round()
    assert await office.scene.reads.replay_delivery(uuid4(), id) is None, "another merchant's is none"
    again = await office.scene.reads.replay_delivery(office.scene.merchant, id)
    assert again is not None and (again.delivered, again.ended_at, again.tries) == (False, None, 0)
    assert await office.round() == 1
    shown = await office.shown()
    assert (shown.delivered, shown.tries, len(office.post.came)) == (True, 1, 2)
    assert office.post.came[0].said == office.post.came[1].said


async def test_what_was_given_up_has_all_its_tries_again(office: Office):
    id = await office.add(again_after=(timedelta(seconds=5),))
    office.post.answers = [500] * 4
    await office.round()
    await office.advance(timedelta(seconds=5))
    await office.round()
    assert (await office.shown()).ended_at is not None
    await office.scene.reads.replay_delivery(office.scene.merchant, id)
    await office.round()
    shown = await office.shown()
    assert (shown.tries, shown.ended_at) == (1, None)


async def test_what_still_waits_is_tried_at_once(office: Office):
    id = await office.add()
    office.post.answers = [500]
    await office.round()
    assert await office.round() == 0
    again = await office.scene.reads.replay_delivery(office.scene.merchant, id)
    assert again is not None and again.tries == 1
    assert await office.round() == 1


# --- in turn ---------------------------------------------------------------------------------------------------------


async def test_one_hook_hears_of_one_thing_in_order_and_others_do_not_wait(office: Office):
    thing, other = uuid4(), uuid4()
    first = await office.add(object=thing)
    second = await office.add(object=thing)
    third = await office.add(object=thing)
    free = [await office.add(object=thing, hook="h2"), await office.add(object=other), await office.add()]
    office.post.failing = {first}
    await office.until_quiet()
    assert office.came() == [first, *free], "the second waits for the first"
    office.post.failing = set()
    await office.advance(AGAIN_AFTER[0])
    await office.until_quiet()
    assert office.came()[len(free) + 1 :] == [first, second, third]


async def test_what_is_given_up_lets_the_next_one_go(office: Office):
    thing = uuid4()
    first = await office.add(object=thing, again_after=())
    second = await office.add(object=thing)
    office.post.failing = {first}
    await office.until_quiet()
    assert office.came() == [first, second]
    assert {each.id: each.delivered for each in await office.all_shown()} == {first: False, second: True}


async def test_who_waits_for_a_turn_is_not_looked_at_in_vain(office: Office):
    """A program that is away must not cost a look at everything it has not heard, every round."""
    thing = uuid4()
    first = await office.add(object=thing)
    for _ in range(4):
        await office.add(object=thing)
    office.post.failing = {first}
    await office.until_quiet()
    await office.advance(timedelta(seconds=2))  # while the first was under way nobody knew when it is tried again
    await office.until_quiet()
    due = {each.id: each.due_at for each in await office.all_shown()}
    assert min(each for each in due.values() if each is not None) == due[first], "nobody comes up before the first"


async def test_two_rounds_at_once_keep_the_order(office: Office):
    thing = uuid4()
    ids = [await office.add(object=thing) for _ in range(6)]
    async with asyncio.timeout(PATIENCE_S):
        while len(office.post.came) < len(ids):
            await asyncio.gather(office.round(), office.round())
            await office.advance(timedelta(seconds=1))
    assert office.came() == ids


async def test_an_address_that_is_called_often_enough_is_left_out(office: Office):
    busy, other = await office.add(), await office.add(url="http://other.example/")
    claimed = await office.deliveries.claim(9, DELIVER_LEASE, but=["http://shop.example/hook"])
    assert [each.id for each in claimed.due] == [other]
    assert [each.id for each in (await office.deliveries.claim(9, DELIVER_LEASE)).due] == [busy]


# --- what a dialect says ---------------------------------------------------------------------------------------------


async def test_a_dialect_may_say_when_it_is_tried_again_and_how_often(office: Office):
    await office.add(again_after=(timedelta(minutes=10), timedelta(hours=8)))
    office.post.answers = [500, 500, 500]
    for pause in (timedelta(minutes=10), timedelta(hours=8)):
        await office.round()
        shown = await office.shown()
        assert shown.due_at is not None and shown.due_at - shown.created_at >= pause
        await office.advance(pause - timedelta(seconds=30))
        assert await office.round() == 0
        await office.advance(timedelta(seconds=30))
    await office.round()
    assert (await office.shown()).ended_at is not None


@pytest.mark.parametrize(("received", "arrives"), [("2xx", True), ("200", False)])
async def test_a_dialect_may_say_what_counts_as_received(office: Office, received: str, arrives: bool):
    await office.add(received=received)
    office.post.answers = [202]
    await office.round()
    assert (await office.shown()).delivered == arrives


# --- endpoints of the native API -------------------------------------------------------------------------------------


async def endpoint(office: Office, secret: str) -> UUID:
    place = (office.scene.merchant, uuid4())
    await office.endpoints.add(*place, url="https://shop.example/", events=(), description="", secret=secret, most=9)
    said = Delivery(url="https://shop.example/", hook=outward(ENDPOINT, place[1]), body=b'{"id": "evt_1"}')
    await office.deliveries.add(office.scene.merchant, Told(id=uuid4(), delivery=said, dialect="native"))
    return place[1]


async def test_an_endpoint_can_check_what_it_is_told_at_every_try(office: Office):
    secret = new_signing_secret()
    await endpoint(office, secret)
    office.post.answers = [500, 200]
    await office.round()
    await office.advance(AGAIN_AFTER[0])
    await office.round()
    first, second = (each.said for each in office.post.came)
    assert first is not None and second is not None
    for said in (first, second):
        assert Webhook(secret).verify(said.body, dict(said.headers)) == {"id": "evt_1"}
        with pytest.raises(WebhookVerificationError):
            Webhook(new_signing_secret()).verify(said.body, dict(said.headers))
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(said.body + b" ", dict(said.headers))
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == f"del_{office.post.came[0].id.hex}"


async def test_the_secret_before_signs_beside_the_new_one_for_a_while(office: Office):
    old, new, newest = (new_signing_secret() for _ in range(3))
    id = await endpoint(office, old)
    merchant = office.scene.merchant
    await office.endpoints.rotate(merchant, id, new, timedelta(hours=1))
    assert await office.endpoints.secrets(merchant, id) == (new, old)
    await office.round()
    (due,) = office.post.came
    assert due.said is not None
    for each in (old, new):
        Webhook(each).verify(due.said.body, dict(due.said.headers))
    await office.endpoints.rotate(merchant, id, newest, timedelta(0))
    assert await office.endpoints.secrets(merchant, id) == (newest,)
    assert await office.endpoints.rotate(uuid4(), id, new, timedelta(0)) is None


async def test_an_endpoint_that_was_removed_hears_nothing_more(office: Office):
    id = await endpoint(office, new_signing_secret())
    assert not await office.endpoints.remove(uuid4(), id)
    assert await office.endpoints.remove(office.scene.merchant, id)
    await office.round()
    assert ((await office.shown()).failure, office.post.came) == ("the endpoint was removed", [])


# --- the messenger ---------------------------------------------------------------------------------------------------


def due(url: str) -> Due:
    return Due(uuid4(), uuid4(), url, "POST", Said({"content-type": "text/plain"}, b"hello"), 0)


@pytest.fixture
async def program() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A client's own program on this machine: its port, and what came there."""
    came: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readuntil(b"hello"))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], came


async def test_a_near_program_is_called_where_that_is_allowed(program: tuple[int, list[bytes]]):
    port, came = program
    teller = Messenger(near=True)
    assert await teller.post(due(f"http://localhost:{port}/hook?a=1#part")) == 204
    await teller.close()
    assert came[0].startswith(b"POST /hook?a=1 HTTP/1.1\r\n")
    assert f"host: localhost:{port}".encode() in came[0].lower()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "192.168.1.1"])
async def test_a_private_network_is_not_called(program: tuple[int, list[bytes]], host: str):
    port, came = program
    teller = Messenger()
    with pytest.raises(Astray):
        await teller.post(due(f"http://{host}:{port}/hook"))
    await teller.close()
    assert came == []


@pytest.mark.parametrize("url", ["ftp://shop.example/", "http://", "http:///x", "http://u:p@shop.example/", "nowhere"])
async def test_what_is_no_address_is_not_called(url: str):
    teller = Messenger(near=True)
    with pytest.raises(Astray):
        await teller.post(due(url))
    await teller.close()


async def test_the_address_that_was_looked_at_is_the_one_that_is_called(
    program: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch
):
    """A name that leads elsewhere the second time it is asked for is not asked a second time."""
    port, came = program
    asked: list[str] = []

    async def look_up(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    monkeypatch.setattr(messenger, "look_up", look_up)
    teller = Messenger(near=True)
    assert await teller.post(due(f"http://turncoat.example:{port}/")) == 204
    await teller.close()
    assert (asked, len(came)) == (["turncoat.example"], 1)


async def test_nobody_answers():
    teller = Messenger(near=True)
    with pytest.raises(OSError, match="ConnectError"):
        await teller.post(due("http://127.0.0.1:1/"))
    await teller.close()
