"""kill -9 under load, of every kind of process, on rails of every kind: nothing is paid twice, nothing is lost.

A campaign loads three rails at once, so that each kill meets refunds in flight on all of them. Then everything settles
as it would in time: leases run out, doubt is looked at, and persons say what the bank's books say. Only then are the
books compared.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from moneyback.dialects import load_dialects
from tests.e2e.client import Client, Native, Reply, Unanswered, eventually, key_at_bank
from tests.e2e.server import PAUSE_S, ROOT, SOAK, Sandbox, sandbox
from tests.e2e.test_race import refund_call

RAILS = ("sandbox", "sandbox-2", "sandbox-1")  # the bank keeps keys; echoes marks; shows a counter
CLIENTS_PER_RAIL = 4
REFUNDS_PER_PAYMENT = 3
KILLS = 2  # of every target in one campaign
CAMPAIGNS = 50 if SOAK else 1
REQUESTS_BETWEEN_KILLS = (9, 30)
MOMENT_S = 0.05
LISTED_LATE = "list_lag:60"  # a counter that stands still proves nothing
HARD = (f"slow:0.15+{LISTED_LATE}", f"lost_answer:executed+{LISTED_LATE}")
SCENARIOS = (
    *("ok",) * 4,
    *("slow:0.15",) * 4,  # the bank has paid and has not answered: the moment to die in
    *HARD,
    "lost_answer:executed",
    "lost_answer:not_executed",
)
UNENDED = "awaiting_approval,scheduled,ready,sending,pending,requires_action,unknown,needs_review"

Kill = Callable[[Sandbox, Random], object]
TARGETS: dict[str, Kill] = {
    "worker": lambda server, random: server.kill_worker(random),
    "supervisor": lambda server, _: server.kill_supervisor(),
    "group": lambda server, _: server.kill_group(),
    "postgres": lambda server, _: server.kill_postgres(),
}


@pytest.mark.parametrize("number", range(CAMPAIGNS))
async def test_killed_at_any_moment_nothing_is_paid_twice_and_nothing_is_lost(tmp_path: Path, number: int):
    with sandbox(tmp_path / "data") as server:
        await campaign(server, Random(number), [*TARGETS] * KILLS)
        server.verify()


async def test_a_resend_after_a_lost_answer_is_caught(tmp_path: Path):
    source = planted(
        tmp_path / "source",
        "core/refund.py",
        "provider_canceled=Move(S.FAILED),\n            lost=Move(S.UNKNOWN),",
        "provider_canceled=Move(S.FAILED),\n            lost=Move(S.READY),",
    )
    with sandbox(tmp_path / "data", source=source) as server, pytest.raises(AssertionError, match="executed twice"):
        await campaign(server, Random(0), ["worker"], HARD)


async def test_killed_under_every_dialect_nothing_is_paid_twice_and_nothing_told_is_lost(tmp_path: Path):
    """Every dialect's own refund call is in flight, on payments of its own, when the whole group is killed."""
    with sandbox(tmp_path / "data") as server:
        async with Native(server) as native:
            calls = [await refund_call(native, server, name) for name in sorted(load_dialects())]
        told = Counter[str]()

        async def refund_until_killed(payment: dict[str, Any], path: str, body: bytes | None, headers: Any) -> None:
            async with Client(server, headers) as client:
                while sum(told.values()) < 1_000:
                    try:
                        told[payment["id"]] += (await client.post(path, body)).ok
                    except (Unanswered, OSError):
                        return

        async def all_told() -> bool:
            return len(+told) == len(calls)

        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(refund_until_killed(*call))
            await eventually(all_told, "every dialect answered a refund")
            await asyncio.to_thread(server.kill_group)
        await let_leases_run_out(server)
        await asyncio.to_thread(server.start)
        async with Native(server) as native:
            await settle(native)
            for payment, *_ in calls:
                refunds = await native.refunds(f"payment={payment['id']}")
                assert len(refunds) >= told[payment["id"]]
                paid = [each["key"] for each in await native.executed(payment["id"])]
                assert len(paid) == len(set(paid)), "executed twice"
                succeeded = [each for each in refunds if each["state"] == "succeeded"]
                assert sorted(paid) == sorted(key_at_bank(each["id"]) for each in succeeded)
                assert sum(each["amount"] for each in succeeded) <= payment["captured"]
        server.verify()


def planted(source: Path, file: str, old: str, new: str) -> Path:
    """A copy of the package with a mistake in it."""
    shutil.copytree(ROOT / "moneyback", source / "moneyback", ignore=shutil.ignore_patterns("__pycache__"))
    path = source / "moneyback" / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return source


async def campaign(server: Sandbox, random: Random, targets: list[str], scenarios: tuple[str, ...] = SCENARIOS) -> None:
    """Load, kills in a random order, then peace, and everything is compared. Fails with what does not agree."""
    random.shuffle(targets)
    load = Load(server, scenarios)
    async with asyncio.TaskGroup() as group:
        for rail in RAILS:
            for _ in range(CLIENTS_PER_RAIL):
                group.create_task(load.of_one_client(rail, Random(random.random())))
        for target in targets:
            await load.at_a_moment(random)
            await asyncio.to_thread(TARGETS[target], server, random)
            if not server.group:
                await asyncio.to_thread(server.start)
        await load.at_a_moment(random)
        load.over = True
    # Whoever held a lease is dead now, so it may run out before its time.
    await asyncio.to_thread(server.kill_group)
    await let_leases_run_out(server)
    await asyncio.to_thread(server.start)
    async with Native(server) as native:
        await settle(native)
        await compare(native, load)


# --- load ------------------------------------------------------------------------------------------------------------


class Load:
    """Clients that register payments and refund them, whatever happens to the server, and what they were told."""

    def __init__(self, server: Sandbox, scenarios: tuple[str, ...]) -> None:
        self.over = False
        self.payments: list[str] = []
        self.acknowledged: dict[str, dict[str, Any]] = {}  # by our reference
        self.turned_away: set[str] = set()  # told that nothing was admitted, and did not ask again
        self._server = server
        self._scenarios = scenarios
        self._numbers = iter(range(10**9))
        self._answers = Counter[str]()
        self._in_flight = Counter[str]()

    async def at_a_moment(self, random: Random) -> None:
        """Returns at a random moment with refunds of every rail in flight, once each has had its share of answers."""
        before, requests = self._answers.copy(), random.randint(*REQUESTS_BETWEEN_KILLS)

        async def arrived() -> bool:
            answered = self._answers - before
            if any(answered[rail] * len(RAILS) < requests for rail in RAILS):
                return False
            await asyncio.sleep(random.uniform(0, MOMENT_S))
            return all(self._in_flight[rail] for rail in RAILS)

        await eventually(arrived, f"{requests} more refunds answered on all rails")

    async def of_one_client(self, rail: str, random: Random) -> None:
        """Refund after refund, each on a payment whose earlier ones have all succeeded."""
        async with Native(self._server) as client:
            while not self.over:
                payment = await self._registered(client, rail)
                for _ in range(REFUNDS_PER_PAYMENT):
                    scenario = random.choice(self._scenarios)
                    keyed = random.random() < 0.7
                    waits = random.random() < (0.1 if keyed else 0.7)  # a dead owner's key is answered seconds later
                    state = await self._refunded(client, rail, payment, scenario, keyed=keyed, waits=waits)
                    if state != "succeeded" or LISTED_LATE in scenario:
                        break

    async def _registered(self, client: Native, rail: str) -> str:
        """A payment; registering it again after a lost answer finds the same one."""
        body = {"amount": 100_000, "currency": "EUR", "rail": rail, "reference": f"payment-{next(self._numbers)}"}
        while True:
            reply = await answered(client, "/v1/payments", body)
            if reply is not None and reply.ok:
                self.payments.append(reply.json["id"])
                return self.payments[-1]
            assert reply is None or reply.status == 503, reply
            await asyncio.sleep(PAUSE_S)

    async def _refunded(
        self, client: Client, rail: str, payment: str, scenario: str, *, keyed: bool, waits: bool
    ) -> str | None:
        """One refund, asked for until it is answered if a key makes that safe: the state it was answered with."""
        reference = f"refund-{next(self._numbers)}"
        headers = {"Idempotency-Key": reference} if keyed else {}
        headers["Prefer"] = "wait=1" if waits else "respond-async"
        body = {"amount": 7_00 + next(self._numbers) % 1_00, "reference": reference, "scenario": scenario}
        while True:
            self._in_flight[rail] += 1
            reply = await answered(client, f"/v1/payments/{payment}/refunds", body, **headers)
            self._in_flight[rail] -= 1
            if reply is not None and reply.ok:
                self._answers[rail] += 1
                self.acknowledged[reference] = reply.json
                return reply.json["state"]
            assert reply is None or reply.status in (409, 503), reply
            if not keyed:
                if reply is not None:
                    self.turned_away.add(reference)
                return None
            if self.over:
                return None
            await asyncio.sleep(PAUSE_S)


async def answered(client: Client, path: str, body: Any, **headers: str) -> Reply | None:
    """The answer, or None: the server died, and nobody knows what it had done by then."""
    try:
        return await client.post(path, body, **headers)
    except Unanswered:
        return None


# --- peace -----------------------------------------------------------------------------------------------------------


async def let_leases_run_out(server: Sandbox) -> None:
    """Leases and deadlines are of real time, which no test moves: what would come to pass is written down instead."""
    async with server.database() as connection:
        await connection.execute(
            "update refunds set lease_until = least(lease_until, clock_timestamp()), "
            "claimed_until = least(claimed_until, clock_timestamp())"
        )


async def settle(native: Native) -> None:
    """Time passes, and persons answer where the product asks for one, until every refund has ended."""

    left: list[dict[str, Any]] = []

    async def settled() -> bool:
        nonlocal left
        left = await native.refunds(f"state={UNENDED}")
        for refund in left:
            if refund["doubt"] is not None and refund["doubt"]["person_since"] is not None:
                await answer_truthfully(native, refund)
        if left:
            await native.advance(15)
        return not left

    try:
        await eventually(settled, "all refunds ended")
    except AssertionError as error:
        raise AssertionError(f"these do not end: {left}") from error


async def answer_truthfully(native: Native, refund: dict[str, Any]) -> None:
    """What a person says who has read the bank's books. Newer evidence goes first: then it is asked again."""
    paid = {each["key"] for each in await native.executed(refund["payment"])}
    outcome = "executed" if key_at_bank(refund["id"]) in paid else "not_sent"
    body = {"outcome": outcome, "evidence_version": refund["evidence_version"], "note": "read in the bank's books"}
    reply = await native.post(f"/v1/refunds/{refund['id']}/resolve", body)
    assert reply.ok or reply.status in (409, 412, 422), reply


async def compare(native: Native, load: Load) -> None:
    """Our refunds, the bank's books, and what was acknowledged: one story."""
    refunds = [each for payment in load.payments for each in await native.refunds(f"payment={payment}")]
    by_id = {each["id"]: each for each in refunds}
    by_reference = Counter(each["reference"] for each in refunds)
    paid = {payment: await native.executed(payment) for payment in load.payments}
    times = Counter(entry["key"] for entries in paid.values() for entry in entries)

    assert [key for key, count in times.items() if count > 1] == [], "executed twice"
    assert [reference for reference, count in by_reference.items() if count > 1] == [], "admitted twice"
    assert load.turned_away.isdisjoint(by_reference), "admitted although the answer was that nothing was"
    for reference, told in load.acknowledged.items():
        kept = by_id.get(told["id"])
        assert kept is not None, f"lost: {told}"
        assert (kept["reference"], kept["amount"]) == (reference, told["amount"])
        assert kept["state"] == "succeeded", kept
    for payment, entries in paid.items():
        ours = [each for each in refunds if each["payment"] == payment and each["state"] == "succeeded"]
        books = sorted((entry["key"], entry["amount"]) for entry in entries)
        assert books == sorted((key_at_bank(each["id"]), each["amount"]) for each in ours), payment
        shown = await native.payment(payment)
        figures = shown["refunded"], shown["held"], shown["external"], shown["excess"]
        assert figures == (sum(each["amount"] for each in ours), 0, 0, 0)
    assert load.acknowledged
