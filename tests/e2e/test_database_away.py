"""The database goes away and comes back: refusals are true, service returns by itself, nothing is lost or doubled."""

import asyncio
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import pytest

from moneyback.dialect import Fault
from moneyback.dialects import load_dialects
from tests.e2e.client import Client, Native, Reply, eventually
from tests.e2e.server import SOAK, Sandbox
from tests.e2e.test_race import refund_call

SURFACES = ("native", *sorted(load_dialects()))
SILENCES_S = (0.5, 20.0) if SOAK else (0.5,)  # the longer one outlasts every patience
ASKED_IN_SILENCE = 24


async def test_without_a_database_every_surface_says_503_in_its_own_words_and_admits_nothing(server: Sandbox):
    async with AsyncExitStack() as stack:
        native = await stack.enter_async_context(Native(server))
        payment = await native.register()
        calls = {name: await call_of(server, stack, name, payment) for name in SURFACES}
        before = await native.refunds("")
        with server.without_database():
            away = {name: await client.post(path, body) for name, (client, path, body) in calls.items()}
            away_keyed = await native.post(*refund_of(payment), Idempotency_Key="away")
            readiness, health = await native.get("/readyz"), await native.get("/healthz")
        for client, _, _ in calls.values():  # each has a worker of its own
            await eventually(partial(is_ready, client), "the database is back")
        assert await native.refunds("") == before
        back = {name: await client.post(path, body) for name, (client, path, body) in calls.items()}
        keyed = await native.post(*refund_of(payment), Idempotency_Key="away")
    for name, reply in away.items():
        assert reply.status == 503, (name, reply)
        assert int(reply.headers["retry-after"]) > 0
        assert spoken(reply) == words(name), (name, reply)
    assert (away_keyed.status, readiness.status, health.status) == (503, 503, 200)
    assert all(reply.ok for reply in (*back.values(), keyed)), back
    server.verify()


@pytest.mark.parametrize("seconds", SILENCES_S)
async def test_a_database_that_falls_silent_loses_nothing_and_doubles_nothing(server: Sandbox, seconds: float):
    """Connections stay and nobody answers: requests wait, and each comes to one refund or to none, as it is told."""
    async with AsyncExitStack() as stack:
        native = await stack.enter_async_context(Native(server))
        payment = await native.register()
        clients = [await stack.enter_async_context(Native(server)) for _ in range(ASKED_IN_SILENCE)]
        for client in clients:
            await client.connect()
        with server.silent_database():
            for number, client in enumerate(clients):
                await client.send("POST", *refund_of(payment, reference=f"silence-{number}"))
            await nobody_is_ready(server, seconds)
        replies = [await client.receive() for client in clients]
        refunds = await eventually(lambda: settled(native, payment), "all refunds ended")
        executed = await native.executed(payment["id"])
    told = {f"silence-{number}": reply for number, reply in enumerate(replies)}
    assert {reply.status for reply in replies} <= {201, 202, 503}, replies
    assert sorted(each["reference"] for each in refunds) == sorted(name for name, reply in told.items() if reply.ok)
    assert all(told[each["reference"]].json["id"] == each["id"] for each in refunds)
    assert len(executed) == len(refunds)
    if seconds < 5:
        assert len(refunds) == ASKED_IN_SILENCE
    server.verify()


async def test_whoever_was_admitted_never_hears_that_nothing_was(server: Sandbox):
    """The database dies while the bank works on a refund: keyless callers who heard 503 would ask a second time."""
    async with AsyncExitStack() as stack:
        native = await stack.enter_async_context(Native(server))
        payment = await native.register()
        waiting = [await stack.enter_async_context(Native(server)) for _ in range(3)]
        for client, wait in zip(waiting, (1, 1, 60), strict=True):
            path, body = refund_of(payment, scenario="slow:3")
            await client.send("POST", path, body, Prefer=f"wait={wait}")
        await eventually(lambda: all_paid(native, payment, len(waiting)), "the bank has paid all, and answered none")
        with server.without_database():
            early = [await client.receive() for client in waiting[:2]]
        late = await waiting[2].receive()
        refunds = await eventually(lambda: settled(native, payment), "all refunds ended")
        executed = await native.executed(payment["id"])
    assert [reply.status for reply in early] == [202, 202], early
    assert (late.status, late.json["state"]) == (201, "succeeded"), late
    assert {reply.json["id"] for reply in (*early, late)} == {each["id"] for each in refunds}
    assert len(refunds) == len(executed) == len(waiting)


# --- calls and words -------------------------------------------------------------------------------------------------


def refund_of(payment: dict[str, Any], **members: Any) -> tuple[str, dict[str, Any]]:
    return f"/v1/payments/{payment['id']}/refunds", {"amount": 1_00, **members}


async def call_of(
    server: Sandbox, stack: AsyncExitStack, surface: str, payment: dict[str, Any]
) -> tuple[Client, str, Any]:
    """A refund through a surface, on a connection that is open already. A dialect's is of a payment of its own."""
    native = await stack.enter_async_context(Native(server))
    client: Client = native
    if surface == "native":
        path, body = refund_of(payment)
    else:
        _, path, body, headers = await refund_call(native, server, surface)  # type: ignore[assignment]
        client = await stack.enter_async_context(Client(server, headers))
    await client.connect()
    return client, path, body


def spoken(reply: Reply) -> set[str]:
    """The members of an answer: what its reader recognises it by."""
    return set(reply.json)


def words(surface: str) -> set[str]:
    """What a surface's own 503 looks like."""
    if surface == "native":
        return {"type", "title", "status", "code"}
    return set(load_dialects()[surface].fault(Fault.UNAVAILABLE, None).body)


async def is_ready(client: Client) -> bool:
    return (await client.get("/readyz")).ok


async def nobody_is_ready(server: Sandbox, seconds: float) -> None:
    """Asks for as long as that; every answer there is says that the database gives none."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                async with Native(server) as asker:
                    assert not await is_ready(asker)


async def all_paid(native: Native, payment: dict[str, Any], count: int) -> bool:
    return len(await native.executed(payment["id"])) == count


async def settled(native: Native, payment: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The payment's refunds once all have ended. Time is moved along: what was lost is looked for."""
    found = await native.refunds(f"payment={payment['id']}")
    if all(each["ended_at"] for each in found):
        return found
    await native.advance(15)
    return None
