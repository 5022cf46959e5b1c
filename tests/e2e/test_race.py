"""Many clients refund one payment at once, through several processes and surfaces: the sum is exact, never over."""

import asyncio
import shlex
from contextlib import AsyncExitStack
from random import Random
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from moneyback.dialects import load_dialects
from tests.e2e.client import Client, Native, Reply, basic, eventually, key_at_bank
from tests.e2e.server import SOAK, Sandbox

CLIENTS = 32
ROUNDS = 1_000 if SOAK else 10
CAPTURED = 500_00
PARTS = (1_00, 60_00)  # the smallest and the largest part that is asked for
TOO_MUCH = {"exceeds_refundable", "nothing_left", "leaves_unrefundable_rest"}
FORM = "application/x-www-form-urlencoded"


async def test_thirty_two_clients_refund_one_payment_through_two_surfaces_and_four_processes(server: Sandbox):
    async with AsyncExitStack() as stack:
        watcher = await stack.enter_async_context(Native(server))
        clients: list[Client] = []
        served_by = set[int]()
        while len(clients) < CLIENTS or len(served_by) < server.workers:  # the kernel deals connections out as it likes
            client = await stack.enter_async_context(trustly(server) if len(clients) % 2 else Native(server))
            await client.connect()
            served_by.add(await asyncio.to_thread(server.worker_of, client.local_port))
            clients.append(client)
        for number in range(ROUNDS):
            await race(watcher, clients, Random(number))
    server.verify()


async def race(watcher: Native, clients: list[Client], random: Random) -> None:
    """One round: parts of random size until nothing is left."""
    payment = await watcher.register(amount=CAPTURED, currency="USD", dialect="trustly")
    over = asyncio.Event()
    async with asyncio.TaskGroup() as watch:
        watch.create_task(never_over(watcher, payment["id"], over))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asking(client, payment, Random(random.random()))) for client in clients]
        over.set()
    given = [amount for task in tasks for amount in task.result()]
    assert sum(given) == CAPTURED
    after = await eventually(lambda: settled(watcher, payment["id"]), "all refunds ended")
    assert (after["refunded"], after["refundable"], after["excess"]) == (CAPTURED, 0, 0)
    refunds = await watcher.refunds(f"payment={payment['id']}")
    executed = await watcher.executed(payment["id"])
    assert sorted(each["amount"] for each in refunds) == sorted(given)
    assert {each["state"] for each in refunds} == {"succeeded"}
    assert sorted((each["key"], each["amount"]) for each in executed) == sorted(
        (key_at_bank(each["id"]), each["amount"]) for each in refunds
    )


async def asking(client: Client, payment: dict[str, Any], random: Random) -> list[int]:
    ask = by_parts if isinstance(client, Native) else by_parts_at_trustly
    return await ask(client, payment, random)


async def by_parts(client: Client, payment: dict[str, Any], random: Random) -> list[int]:
    """Parts until one is too large, then what remains: what was given back."""
    given = []
    path = f"/v1/payments/{payment['id']}/refunds"
    amount: int | None = random.randint(*PARTS)
    while True:
        reply = await admitted_or_refused(client, path, {} if amount is None else {"amount": amount})
        if reply.ok:
            given.append(reply.json["amount"])
            amount = random.randint(*PARTS)
        elif amount is None:
            assert reply.json["code"] == "nothing_left", reply
            return given
        else:
            assert {each["code"] for each in reply.json["reasons"]} <= TOO_MUCH, reply
            amount = None


async def by_parts_at_trustly(client: Client, payment: dict[str, Any], random: Random) -> list[int]:
    """The same in Trustly's words: amounts are decimal strings, and a refusal is an error 400."""
    given = []
    path = f"/trustly/api/v1/transactions/{payment['dialect_id']}/refund"
    amount: int | None = random.randint(*PARTS)
    while True:
        asked = {} if amount is None else {"amount": f"{amount // 100}.{amount % 100:02}"}
        body = urlencode({"merchantReference": f"order-{random.random()}", **asked}).encode()
        reply = await admitted_or_refused(client, path, body, Content_Type=FORM)
        if reply.status == 200:
            whole, _, cents = reply.json["amount"].partition(".")
            given.append(100 * int(whole) + int(cents))
            amount = random.randint(*PARTS)
        else:
            assert reply.status == 400, reply
            if amount is None:
                return given
            amount = None


async def never_over(watcher: Native, payment: str, over: asyncio.Event) -> None:
    """Looks at our figures and at the bank's for as long as the race lasts."""
    while not over.is_set():
        seen = await watcher.payment(payment)
        assert seen["held"] + seen["refunded"] <= CAPTURED
        assert seen["excess"] == 0
        assert sum(each["amount"] for each in await watcher.executed(payment)) <= CAPTURED


async def settled(watcher: Native, payment: str) -> dict[str, Any] | None:
    seen = await watcher.payment(payment)
    return seen if seen["held"] == 0 else None


async def admitted_or_refused(client: Client, path: str, body: Any, **headers: str) -> Reply:
    """The answer; a 503 says that nothing was admitted, so it is asked again."""
    while True:
        reply = await client.post(path, body, **headers)
        if reply.status != 503:
            return reply
        await asyncio.sleep(float(reply.headers["retry-after"]))


# --- through every dialect -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(load_dialects()))
async def test_equal_calls_at_once_through_a_dialect_never_give_more_than_came_in(name: str, server: Sandbox):
    """The refund call the sandbox suggests to paste, sent more often than there is money for, all at once."""
    async with Native(server) as native:
        payment, path, body, headers = await refund_call(native, server, name)
    async with Native(server) as native, Client(server, headers) as first:
        captured = payment["captured"]
        answer = await admitted_or_refused(first, path, body)
        assert answer.ok, answer
        [once] = await eventually(lambda: ended_refunds(native, payment["id"]), "the first refund ended")
        assert once["state"] == "succeeded"
        fitting = captured // once["amount"]
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Client(server, headers)) for _ in range(fitting + 2)]
            async with asyncio.TaskGroup() as group:
                for client in clients:
                    group.create_task(admitted_or_refused(client, path, body))
        for _ in range(fitting):  # a provider may have served fewer of those that came at once
            await admitted_or_refused(first, path, body)
        refunds = await eventually(lambda: ended_refunds(native, payment["id"]), "all refunds ended")
        succeeded = [each for each in refunds if each["state"] == "succeeded"]
        assert len(succeeded) == fitting
        assert {each["state"] for each in refunds} <= {"succeeded", "failed"}
        after = await native.payment(payment["id"])
        assert after["refunded"] == fitting * once["amount"] <= captured
        assert (after["held"], after["excess"]) == (0, 0)
        executed = await native.executed(payment["id"])
        assert sorted(each["key"] for each in executed) == sorted(key_at_bank(each["id"]) for each in succeeded)


async def ended_refunds(native: Native, payment: str) -> list[dict[str, Any]] | None:
    found = await native.refunds(f"payment={payment}")
    return found if all(each["ended_at"] for each in found) else None


async def refund_call(
    native: Native, server: Sandbox, dialect: str
) -> tuple[dict[str, Any], str, bytes | None, dict[str, str]]:
    """A fresh payment like the first one of a dialect's demo, and the call that refunds it: path, body, headers."""
    samples = load_dialects()[dialect].samples
    assert samples is not None, f"a sandbox shows nothing of {dialect}"
    path, body, headers = parsed(samples.curl(server.ready[dialect]))
    reply = await native.get(f"/v1/payments?dialect={dialect}&limit=500")
    [shown] = [each for each in reply.json["data"] if each["dialect_id"] in path.split("/")]
    alike = {name: shown[name] for name in ("amount", "currency", "method", "fees", "parts") if shown[name] is not None}
    fresh = await native.register(dialect=dialect, **alike)
    return fresh, path.replace(shown["dialect_id"], fresh["dialect_id"]), body, headers


def parsed(command: str) -> tuple[str, bytes | None, dict[str, str]]:
    """Path, body and headers of a curl command."""
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    url, data = "", []
    headers: dict[str, str] = {}
    for word in words:
        match word:
            case "-X":
                assert next(words) == "POST"
            case "-u":
                headers |= basic(*next(words).split(":", 1))
            case "-H":
                name, _, value = next(words).partition(":")
                headers[name] = value.strip()
            case "-d":
                data.append(next(words))
            case _:
                assert not word.startswith("-"), f"unfamiliar in a curl command: {word}"
                url = word
    if data:
        headers = {"Content-Type": FORM} | headers
    return urlsplit(url).path, "&".join(data).encode() if data else None, headers


def trustly(server: Sandbox) -> Client:
    """A client with Trustly's credentials."""
    section = server.ready["trustly"]
    return Client(server, basic(section["access_id"], section["access_key"]))
