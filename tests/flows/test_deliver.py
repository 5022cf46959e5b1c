"""Deliveries: told once it works, tried again while it does not, given up visibly, and nothing kept afterwards."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from moneyback import messenger
from moneyback.dialect import Delivery
from moneyback.flows.deliver import AGAIN_AFTER, deliver_due
from moneyback.messenger import Astray, Messenger
from moneyback.store.deliveries import Delivered, Deliveries, Due
from moneyback.vault import Vault
from tests.flows.toy import Scene, scene_on

SECRET = b'{"name": "Ada Lovelace"}'


class Post:
    """A client's own program, as a test wants it to answer."""

    def __init__(self) -> None:
        self.answers: list[int | Exception] = []
        self.came: list[Due] = []

    async def __call__(self, due: Due) -> int:
        self.came.append(due)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer


class Office:
    """One merchant's deliveries."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.deliveries = Deliveries(scene.store, Vault(bytes(32)))
        self.post = Post()

    async def add(self, id: UUID | None = None, **members: str) -> UUID:
        id = id or uuid4()
        said = Delivery(url="http://shop.example/hook", hook="h1", headers={"x-signature": "s"}, body=SECRET)
        await self.deliveries.add(self.scene.merchant, id, "shop", said)
        return id

    async def round(self) -> int:
        return await deliver_due(self.scene.world, self.deliveries, self.post)

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
    assert (due.url, due.method, due.headers, due.body) == (
        "http://shop.example/hook",
        "POST",
        {"x-signature": "s"},
        SECRET,
    )
    shown = await office.shown()
    assert (shown.delivered, shown.tries, shown.status, shown.failure) == (True, 1, 200, None)
    assert await office.sealed() == [None]


async def test_what_is_kept_can_be_read_by_nobody(office: Office):
    await office.add()
    (sealed,) = await office.sealed()
    assert sealed is not None and b"Lovelace" not in sealed
    stranger = Deliveries(office.scene.store, Vault(bytes(31) + b"x"))
    assert await deliver_due(office.scene.world, stranger, office.post) == 1
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


# --- the messenger ---------------------------------------------------------------------------------------------------


def due(url: str) -> Due:
    return Due(uuid4(), uuid4(), url, "POST", {"content-type": "text/plain"}, b"hello", 0)


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

    async def resolve(_self: Messenger, host: str, _port: int) -> str:
        asked.append(host)
        return "127.0.0.1"

    monkeypatch.setattr(messenger.Messenger, "_resolve", resolve)
    teller = Messenger()
    assert await teller.post(due(f"http://turncoat.example:{port}/")) == 204
    await teller.close()
    assert (asked, len(came)) == (["turncoat.example"], 1)


async def test_nobody_answers():
    teller = Messenger(near=True)
    with pytest.raises(OSError, match="ConnectError"):
        await teller.post(due("http://127.0.0.1:1/"))
    await teller.close()
