"""kill -9 in front of a provider: a client of CHIP's refunds through us, and its twin's books are the truth.

The provider has no keys and echoes no marks, so that what was in flight at a kill can be known by its counter alone, or
by a person. Every refund of the load has an amount of its own, by which the twin's books tell them apart.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.e2e.client import Client, Native, Unanswered, eventually
from tests.e2e.server import PAUSE_S, ROOT, SOAK, Sandbox, environment
from tests.e2e.test_kill import TARGETS, UNENDED, let_leases_run_out

PURCHASES = 24
CLIENTS = 8
ANSWERS_BETWEEN_KILLS = (4, 12)
ROUNDS = 10 if SOAK else 1
CAPTURED = 1_000_000
WAITING = b"purchase_refund_wrong_status"
"""CHIP takes no refund of a purchase while another is pending."""


class Twin(Sandbox):
    """CHIP's double in processes of its own."""

    def arguments(self) -> list[str]:
        places = ["--port", str(self.port), "--data", str(self.data), "--ready-file", str(self.ready_file)]
        return ["twin", "chip", *places]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[tuple[Sandbox, Twin]]:
    """Moneyback in front of a twin."""
    moneyback, twin = Sandbox(tmp_path / "moneyback", workers=2), Twin(tmp_path / "twin", workers=1)
    try:
        for each in (moneyback, twin):
            each.launch()
        for each in (moneyback, twin):
            each.await_ready()
        stand_in_front(moneyback, twin)
        yield moneyback, twin
    finally:
        for each in (moneyback, twin):
            each.destroy()


def stand_in_front(moneyback: Sandbox, twin: Twin) -> None:
    """A rail to the twin, whose own credentials count with us."""
    section = twin.ready["chip"]
    merchant = json.loads((moneyback.data / "credentials.json").read_text())["merchant"].replace("-", "")
    rail = ["--connector", "chip", "--account", "shop", "--base-url", section["base_url"], "--per-second", "1000"]
    for words in (["rails", "add", f"mer_{merchant}", "front", *rail], ["rails", "front", f"mer_{merchant}", "front"]):
        done = subprocess.run(
            [sys.executable, "-m", "moneyback", *words, "--data", str(moneyback.data)],
            input=json.dumps({"secret_key": section["secret_key"]}),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment(ROOT),
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_killed_in_front_of_a_provider_its_books_are_ours(processes: tuple[Sandbox, Twin], number: int):
    moneyback, twin = processes
    random = Random(number)
    async with Native(twin) as there:
        paid = [
            await there.register(dialect="chip", currency="MYR", amount=CAPTURED, reference=f"p{each}")
            for each in range(PURCHASES)
        ]
    load = Load(moneyback, twin.ready["chip"]["secret_key"], [each["dialect_id"] for each in paid])
    targets = [*TARGETS]
    random.shuffle(targets)
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(load.of_one_client(Random(random.random())))
        for target in targets:
            await load.at_a_moment(random)
            await asyncio.to_thread(TARGETS[target], moneyback, random)
            if not moneyback.group:
                await asyncio.to_thread(moneyback.start)
        await load.at_a_moment(random)
        load.over = True
    await asyncio.to_thread(moneyback.kill_group)
    await let_leases_run_out(moneyback)
    await asyncio.to_thread(moneyback.start)
    async with AsyncExitStack() as stack:
        here, there = [await stack.enter_async_context(Native(each)) for each in (moneyback, twin)]
        books = Books(here, there, {each["dialect_id"]: each["id"] for each in paid})
        await books.settle()
        await books.compare(load)
    moneyback.verify()
    twin.verify()


class Load:
    """Clients that refund purchases through us, whatever happens to us, and what they were told."""

    def __init__(self, server: Sandbox, key: str, purchases: list[str]) -> None:
        self.over = False
        self.told = Counter[str]()
        self._server = server
        self._headers = {"Authorization": f"Bearer {key}"}
        self._purchases = purchases
        self._amounts = iter(range(1_00, 10**9))

    async def at_a_moment(self, random: Random) -> None:
        """Returns at a random moment, once some more refunds were answered."""
        wanted = sum(self.told.values()) + random.randint(*ANSWERS_BETWEEN_KILLS)

        async def arrived() -> bool:
            return sum(self.told.values()) >= wanted

        await eventually(arrived, f"{wanted} refunds answered")
        await asyncio.sleep(random.uniform(0, 0.2))

    async def of_one_client(self, random: Random) -> None:
        """Refund after refund, each of another amount."""
        async with Client(self._server, self._headers) as client:
            while not self.over:
                purchase, amount = random.choice(self._purchases), next(self._amounts)
                path = f"/chip/api/v1/purchases/{purchase}/refund/"
                try:
                    reply = await client.post(path, {"amount": amount})
                except (Unanswered, OSError):
                    await asyncio.sleep(PAUSE_S)
                    continue
                assert reply.ok or reply.status == 503 or WAITING in reply.body, reply
                self.told[purchase] += reply.ok
                if not reply.ok:
                    await asyncio.sleep(PAUSE_S)


class Books:
    """Ours and the twin's."""

    def __init__(self, here: Native, there: Native, purchases: dict[str, str]) -> None:
        self._here = here
        self._there = there
        self._purchases = purchases

    async def settle(self) -> None:
        """Time passes at both ends, and persons say what the twin's books say, until every refund has ended."""

        async def settled() -> bool:
            left = await self._here.refunds(f"state={UNENDED}")
            for refund in left:
                if refund["doubt"] is not None and refund["doubt"]["person_since"] is not None:
                    await self._answer(refund)
            if left:
                await asyncio.gather(self._here.advance(30), self._there.advance(30))
            return not left

        await eventually(settled, "all refunds ended")

    async def compare(self, load: Load) -> None:
        """Each purchase: what the twin paid is what we say, to the cent, each of it once."""
        assert load.told
        for purchase, real in self._purchases.items():
            paid = sorted(each["amount"] for each in await self._there.executed(real))
            assert len(paid) == len(set(paid)), "executed twice"
            ours = await self._refunds_of(purchase)
            assert paid == sorted(each["amount"] for each in ours if each["state"] == "succeeded"), purchase
            assert len(ours) >= load.told[purchase], f"{purchase}: a refund that was acknowledged is lost"

    async def _refunds_of(self, purchase: str) -> list[dict[str, Any]]:
        found = await self._here.get(f"/v1/payments?dialect=chip&reference={purchase}")
        payments = found.json["data"]
        if not payments:
            return []
        return await self._here.refunds(f"payment={payments[0]['id']}")

    async def _answer(self, refund: dict[str, Any]) -> None:
        payment = await self._here.payment(refund["payment"])
        paid = {each["amount"] for each in await self._there.executed(self._purchases[payment["reference"]])}
        outcome = "executed" if refund["amount"] in paid else "not_sent"
        body = {"outcome": outcome, "evidence_version": refund["evidence_version"], "note": "read in CHIP's books"}
        reply = await self._here.post(f"/v1/refunds/{refund['id']}/resolve", body)
        assert reply.ok or reply.status in (409, 412, 422), reply
