"""The answer to a request comes after its body, whether anybody wanted the body or not."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from moneyback.api.asgi import BodyFirst, respond

pytestmark = pytest.mark.anyio

LIMIT, PATIENCE_S = 10, 60.0
DECLARED = [(b"content-length", b"6")]
CHUNKED = [(b"transfer-encoding", b"chunked")]


class Wire:
    """A client that sends its body piece by piece, as it is told to; and what it was answered."""

    def __init__(self, headers: list[tuple[bytes, bytes]], patience_s: float = PATIENCE_S) -> None:
        self.pieces = asyncio.Queue[MutableMapping[str, Any]]()
        self.answered: list[MutableMapping[str, Any]] = []
        self.receive, self.send = BodyFirst.of({"headers": headers}, self.pieces.get, self._take, LIMIT, patience_s)

    async def _take(self, message: MutableMapping[str, Any]) -> None:
        self.answered.append(message)

    def piece(self, body: bytes, *, more: bool) -> None:
        self.pieces.put_nowait({"type": "http.request", "body": body, "more_body": more})

    @property
    def hung_up(self) -> bool:
        return (b"connection", b"close") in self.answered[0]["headers"]


@pytest.mark.parametrize("headers", [DECLARED, CHUNKED])
async def test_an_answer_waits_for_the_rest_of_the_body(headers: list[tuple[bytes, bytes]]):
    wire = Wire(headers)
    answering = asyncio.create_task(respond(wire.send, 401, b"{}"))
    for body, more in ((b"abc", True), (b"def", False)):
        for _ in range(5):
            await asyncio.sleep(0)
        assert not wire.answered
        wire.piece(body, more=more)
    await answering
    assert [each["type"] for each in wire.answered] == ["http.response.start", "http.response.body"]
    assert not wire.hung_up


async def test_a_body_of_the_length_it_declared_is_whole():
    wire = Wire(DECLARED)
    wire.piece(b"abcdef", more=True)
    await respond(wire.send, 401)
    assert not wire.hung_up


async def test_a_body_that_was_read_is_not_waited_for():
    wire = Wire(DECLARED)
    wire.piece(b"abcdef", more=False)
    await wire.receive()
    await respond(wire.send, 200)
    assert wire.answered and not wire.hung_up


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"0")]])
async def test_without_a_body_nothing_is_waited_for(headers: list[tuple[bytes, bytes]]):
    wire = Wire(headers)
    await respond(wire.send, 200)
    assert not wire.hung_up


async def test_a_body_beyond_the_limit_is_not_taken_and_the_client_is_told():
    wire = Wire([(b"content-length", b"11")])
    await respond(wire.send, 401)
    assert wire.hung_up


async def test_pieces_beyond_the_limit_are_not_taken_and_the_client_is_told():
    wire = Wire(CHUNKED)
    wire.piece(b"0123456789a", more=True)
    await respond(wire.send, 401)
    assert wire.hung_up


async def test_a_body_that_does_not_come_is_not_waited_for_without_end():
    wire = Wire(DECLARED, patience_s=0.0)
    await respond(wire.send, 401)
    assert wire.hung_up


async def test_a_client_that_goes_away_keeps_nobody():
    wire = Wire(DECLARED)
    wire.pieces.put_nowait({"type": "http.disconnect"})
    await respond(wire.send, 401)
    assert wire.answered


async def test_who_hangs_up_anyway_waits_for_nothing():
    wire = Wire(DECLARED)
    await respond(wire.send, 413, b"{}", headers=((b"connection", b"close"),))
    assert wire.answered[0]["headers"].count((b"connection", b"close")) == 1
