"""One key, one refund, one answer: in parallel, over processes, over deaths and restarts."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

from tests.e2e.client import Client, Native, Reply, Unanswered, eventually
from tests.e2e.server import Sandbox

AT_ONCE = 50
LONG = "slow:100000"  # paid at once, and answered when business time has moved far enough
LONG_S = 100_000
HOLD_UP = """
insert into idempotency (merchant_id, dialect, key, fingerprint, answer_due, created_at)
select merchant_id, 'native', 'held-up', '', now(), now() from payments where id = $1
"""


async def test_the_same_key_fifty_times_at_once_is_one_refund_and_fifty_equal_answers(server: Sandbox):
    async with AsyncExitStack() as stack:
        native = await stack.enter_async_context(Native(server))
        payment = await native.register()
        clients = [await stack.enter_async_context(Native(server)) for _ in range(AT_ONCE)]
        replies = await all_at_once(lambda number: ask(clients[number], payment, "fifty", amount=5_00), AT_ONCE)
        workers = {server.worker_of(client.local_port) for client in clients}
        refunds = await native.refunds(f"payment={payment['id']}")
        executed = await native.executed(payment["id"])
        other = await ask(native, payment, "fifty", amount=5_01)
        after = await native.payment(payment["id"])
    assert len(workers) == server.workers
    assert {(reply.status, reply.body) for reply in replies} == {(201, replies[0].body)}
    assert [each["id"] for each in refunds] == [replies[0].json["id"]]
    assert [each["amount"] for each in executed] == [5_00]
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused"), other
    assert (after["refunded"], after["held"]) == (5_00, 0)


async def test_two_equal_keys_in_one_batch_are_one_refund(server: Sandbox):
    """A batch that waits for somebody else's key is held up until both are there: the next one takes them together."""
    async with AsyncExitStack() as stack:
        native = await stack.enter_async_context(Native(server))
        payment = await native.register()
        clients = await of_one_worker(server, stack, 4)
        first, second, before, after = clients
        connection = await stack.enter_async_context(server.database())
        async with connection.transaction():
            await connection.execute(HOLD_UP, UUID(payment["id"].removeprefix("pay_")))
            await before.send(*request(payment, amount=1_00), Idempotency_Key="held-up")
            await first.send(*request(payment, amount=1_00), Idempotency_Key="batch")
            await second.send(*request(payment, amount=1_00), Idempotency_Key="batch")
            assert (await after.get("/healthz")).ok  # the worker has read what came before
            await connection.execute("delete from idempotency where key = 'held-up'")
        held_up, *replies = [await client.receive() for client in (before, first, second)]
        refunds = await native.refunds(f"payment={payment['id']}")
    assert {(reply.status, reply.body) for reply in replies} == {(201, replies[0].body)}
    assert {each["id"] for each in refunds} == {held_up.json["id"], replies[0].json["id"]}


async def test_whoever_waits_longer_than_it_wishes_is_told_to_come_back(server: Sandbox):
    async with Native(server) as owner, Native(server) as joiner, Native(server) as native:
        payment = await native.register()
        await owner.send(*request(payment, amount=2_00, scenario=LONG), Idempotency_Key="long", Prefer="wait=60")
        await eventually(lambda: native.refunds(f"payment={payment['id']}"), "the refund is admitted")
        early = await ask(joiner, payment, "long", wait=0, amount=2_00, scenario=LONG)
        await native.advance(LONG_S)
        answer = await owner.receive()
        late = await ask(joiner, payment, "long", wait=0, amount=2_00, scenario=LONG)
    assert (early.status, early.json["code"]) == (409, "request_in_progress")
    assert int(early.headers["retry-after"]) > 0
    assert (answer.status, answer.json["state"]) == (201, "succeeded")
    assert (late.status, late.body) == (answer.status, answer.body)


async def test_an_owner_killed_before_it_answers_is_answered_for_and_answers_outlive_restarts(server: Sandbox):
    orphan: dict[str, Any] = {"amount": 4_00, "scenario": LONG}
    async with AsyncExitStack() as stack:
        native = await stack.enter_async_context(Native(server))
        payment = await native.register()
        answered = await ask(native, payment, "answered", amount=3_00)
        refused = await ask(native, payment, "refused", amount=10_000_00)
        owner = await stack.enter_async_context(Native(server))
        await owner.send(*request(payment, **orphan), Idempotency_Key="orphan", Prefer="wait=1")
        [_, admitted] = await eventually(lambda: two_refunds(native, payment), "the refund is admitted")
        await asyncio.to_thread(server.kill_group)
        assert await is_unanswered(owner)

    await asyncio.to_thread(server.start)
    async with AsyncExitStack() as stack:
        native = await stack.enter_async_context(Native(server))
        again = await ask(native, payment, "answered", amount=3_00)
        refused_again = await ask(native, payment, "refused", amount=10_000_00)
        joiners = [await stack.enter_async_context(Native(server)) for _ in range(5)]
        told = await all_at_once(lambda number: ask(joiners[number], payment, "orphan", **orphan), len(joiners))
        told_again = await ask(native, payment, "orphan", **orphan)
        assert len(await native.refunds(f"payment={payment['id']}")) == 2
    assert (answered.status, refused.status) == (201, 422)
    assert (again.status, again.body) == (201, answered.body)
    assert (refused_again.status, refused_again.body) == (422, refused.body)
    assert {(reply.status, reply.body) for reply in (*told, told_again)} == {(202, told[0].body)}
    assert told[0].json["id"] == admitted["id"]
    assert told[0].json["state"] in ("sending", "unknown")  # the latter once its lease has run out


# --- asking ----------------------------------------------------------------------------------------------------------


def request(payment: dict[str, Any], **members: Any) -> tuple[str, str, dict[str, Any]]:
    return "POST", f"/v1/payments/{payment['id']}/refunds", members


async def ask(client: Client, payment: dict[str, Any], key: str, wait: int = 60, **members: Any) -> Reply:
    return await client.ask(*request(payment, **members), Idempotency_Key=key, Prefer=f"wait={wait}")


async def all_at_once(one: Callable[[int], Any], count: int) -> list[Reply]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(count)]
    return [task.result() for task in tasks]


async def two_refunds(native: Native, payment: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Both refunds of the payment, oldest first."""
    found = await native.refunds(f"payment={payment['id']}")
    return found[::-1] if len(found) == 2 else None


async def is_unanswered(client: Client) -> bool:
    try:
        await client.receive()
    except Unanswered:
        return True
    return False


async def of_one_worker(server: Sandbox, stack: AsyncExitStack, count: int) -> list[Native]:
    """As many connections to one and the same worker."""
    found: dict[int, list[Native]] = {}
    while True:
        client = await stack.enter_async_context(Native(server))
        await client.connect()
        own = found.setdefault(await asyncio.to_thread(server.worker_of, client.local_port), [])
        own.append(client)
        if len(own) == count:
            return own
