"""Our connectors against our twins, over real HTTP: one Moneyback process, and behind each of its rails a twin process.

Twins misbehave by script: which of their requests meets which fault is known beforehand, because it is drawn from a
seed. Whatever happens on the way, the twin's own books have one execution for each refund of ours, and we know of it.
"""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest

from moneyback.api.twin import DECLINE, DROP_ANSWER, DUPLICATE, ERROR_AFTER, FAULTS, SLOW
from moneyback.core.money import currency, to_major
from moneyback.dialects import load_dialects
from moneyback.settings import Settings
from moneyback.store.verify import verify
from moneyback.wiring import add_rail
from tests.e2e.client import Client, Native, basic, eventually
from tests.e2e.server import DEADLINE_S, ROOT, Sandbox, environment, members, until
from tests.postgres import Databases

DIALECTS = load_dialects()
RAILS = [name for name, each in DIALECTS.items() if each.client is not None]
CURRENCIES = {"truust": "EUR", "trustly": "USD", "chip": "MYR", "mangopay": "EUR", "maverick": "USD"}
STRUCK = (DROP_ANSWER, ERROR_AFTER, SLOW, DECLINE, DUPLICATE)
CHANCE = 0.25
CLEAN = 4
MASTER_KEY = base64.b64encode(bytes(range(32))).decode()
"""Of the process under test, and of ours when we add its rails."""
AMOUNT = 100_00
LOOKS_S = (3, 10, 30, 120, 600, 3_600)
"""Business time is moved on by these, one after the other, until a look has found what there is to find; in the end, by
the last one again and again: a busy machine may be late with any look."""
LOOKED_S, LOOKED_WITHIN = 0.1, 20
"""How often, and how many times, it is seen after each whether a look has found it."""


# --- what the twins will do ------------------------------------------------------------------------------------------


def schedule(seed: int, length: int) -> list[set[str]]:
    """What strikes each of the first requests a twin of this seed is sent."""
    dice, found = Random(seed), []
    for _ in range(length):
        rolled = {name: dice.random() for name in FAULTS}
        found.append({name for name in STRUCK if rolled[name] < CHANCE})
    return found


def wanted(strikes: Sequence[set[str]]) -> bool:
    """As many undisturbed requests as the stories need, and every fault once, alone."""
    return sorted(map(sorted, strikes)) == sorted([*([] for _ in range(CLEAN)), *([name] for name in STRUCK)])


SEED = next(seed for seed in range(1_000_000) if wanted(schedule(seed, CLEAN + len(STRUCK))))
STRIKES = [next(iter(each), None) for each in schedule(SEED, CLEAN + len(STRUCK))]


# --- processes -------------------------------------------------------------------------------------------------------


class Process(Sandbox):
    """A Moneyback process on a database of this test run's server."""

    def __init__(self, data: Path, dsn: str, *words: str) -> None:
        super().__init__(data, workers=1)
        self.dsn = dsn
        self._words = words

    def arguments(self) -> list[str]:
        places = ["--port", str(self.port), "--data", str(self.data), "--ready-file", str(self.ready_file)]
        return [*self._words, *places]

    def launch(self) -> None:
        env = {**environment(ROOT), "MONEYBACK_DATABASE_URL": self.dsn, "MONEYBACK_MASTER_KEY": MASTER_KEY}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moneyback", *self.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=env,
                start_new_session=True,
            )
        self._groups.append(self._process.pid)

    def kill(self) -> None:
        """Ends it and does not wait."""
        for group in self._groups:
            if members(group):
                os.killpg(group, signal.SIGKILL)

    def wait_until_ready(self) -> None:
        until(self._is_ready, f"{self._words} is ready")


class Stage:
    """Moneyback, its twins, and time, which is the same for all of them."""

    def __init__(self, moneyback: Process, twins: dict[str, Process]) -> None:
        self.moneyback = moneyback
        self.twins = twins
        self.time = asyncio.Lock()

    async def pass_time(self, natives: Sequence[Native], seconds: int) -> None:
        """Moves every clock alike."""
        async with self.time:
            await asyncio.gather(*(each.advance(seconds) for each in natives))


@pytest.fixture(scope="module")
def stage(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("loopback")
    dsns = {name: asyncio.run(databases.migrated()) for name in ("moneyback", *RAILS)}
    faults = [word for name in STRUCK for word in ("--fault", f"{name}:{CHANCE}")]
    twin_words = ("--seed", str(SEED), "--slow-seconds", "1", *faults)
    twins = {name: Process(folder / name, dsns[name], "twin", name, *twin_words) for name in RAILS}
    moneyback = Process(folder / "moneyback", dsns["moneyback"], "sandbox", "--workers", "1")
    everyone = [moneyback, *twins.values()]
    try:
        for each in everyone:
            each.launch()
        for each in everyone:
            each.wait_until_ready()
        for name, twin in twins.items():
            asyncio.run(_add(moneyback, name, twin))
        yield Stage(moneyback, twins)
    finally:
        for each in everyone:
            each.kill()
        for each in everyone:
            each.destroy()
        for dsn in dsns.values():
            asyncio.run(databases.drop(dsn))


async def _add(moneyback: Process, name: str, twin: Process) -> None:
    client, section = DIALECTS[name].client, twin.ready[name]
    assert client is not None
    credentials = json.loads((moneyback.data / "credentials.json").read_text())
    kept = {
        "name": f"to-{name}",
        "connector": name,
        "account": f"twin-{name}",
        "settings": {"base_url": section["base_url"], "per_s": 1000, "at_once": 8},
        "credentials": {each: section[each] for each in client.credentials},
    }
    settings = Settings(data_dir=str(moneyback.data), dsn=moneyback.dsn, master_key=MASTER_KEY)
    await add_rail(settings, f"mer_{credentials['merchant'].replace('-', '')}", kept)


# --- one rail and its twin -------------------------------------------------------------------------------------------


class Loop:
    """One rail: payments at its twin, refunds here, and what its twin has executed of them."""

    def __init__(self, stage: Stage, name: str, here: Native, there: Native, natives: Sequence[Native]) -> None:
        self.stage = stage
        self.name = name
        self.here = here
        self.there = there
        self.natives = natives
        self.executions: dict[str, str] = {}
        """Which payment of the twin's each payment of ours is."""

    async def pay(self, dialect: str) -> dict[str, Any]:
        """Money that came in at the provider, made known to us in a dialect."""
        money = {"amount": AMOUNT, "currency": CURRENCIES[self.name]}
        real = await self.there.register(dialect=self.name, **money)
        asked = {"dialect": dialect, "rail": f"to-{self.name}", "reference": real["dialect_id"]}

        async def known() -> Any:
            reply = await self.here.post("/v1/payments", {**money, **asked})
            assert reply.ok or b"no such rail" in reply.body, reply  # processes learn of a new one within two seconds
            return reply.json if reply.ok else None

        payment: dict[str, Any] = await eventually(known, f"a payment on the rail to {self.name}")
        self.executions[payment["id"]] = real["id"]
        return payment

    async def refund(self, payment: dict[str, Any], key: str, amount: int | None = None) -> dict[str, Any]:
        """A refund asked for natively, as it stands once it has settled."""
        path = f"/v1/payments/{payment['id']}/refunds"
        body = {} if amount is None else {"amount": amount}
        reply = await self.here.post(path, body, Idempotency_Key=f"{payment['id']}-{key}")
        assert reply.status in (201, 202), reply
        return await self.settled(reply.json)

    async def settled(self, refund: dict[str, Any]) -> dict[str, Any]:
        """A refund, once nothing more will happen to it by itself; time passes for all meanwhile."""
        until_s = asyncio.get_running_loop().time() + DEADLINE_S
        for seconds in chain(LOOKS_S, repeat(LOOKS_S[-1])):
            if await self._is_settled(refund) or asyncio.get_running_loop().time() > until_s:
                break
            await self.stage.pass_time(self.natives, seconds)
            for _ in range(LOOKED_WITHIN):
                await asyncio.sleep(LOOKED_S)
                refund = await self.here.refund(refund["id"])
                if await self._is_settled(refund):
                    break
        return refund

    async def _is_settled(self, refund: dict[str, Any]) -> bool:
        if refund["state"] == "ready":  # a case on its payment is a person's to close
            return bool((await self.here.payment(refund["payment"]))["blocked"])
        return refund["state"] in ("succeeded", "failed", "canceled", "needs_review")

    async def executed(self, payment: dict[str, Any]) -> list[int]:
        """The amounts that the twin's bank has paid, whatever anybody believes of it."""
        return [each["amount"] for each in await self.there.executed(self.executions[payment["id"]])]

    async def figures(self, payment: dict[str, Any]) -> dict[str, Any]:
        return await self.here.payment(payment["id"])


PARTS = ((30_00, 70_01), (20_00, 50_01), (None, 1))
"""What is asked for one after the other (None: the rest), and what is too much after each."""


async def part(loop: Loop, payment: dict[str, Any], number: int) -> None:
    """One of several refunds of a payment, and a try to get more than is left."""
    amount, beyond = PARTS[number]
    refund = await loop.refund(payment, f"part {number}", amount)
    assert refund["state"] == "succeeded", (loop.name, refund)
    key = f"{payment['id']}-beyond-{number}"
    reply = await loop.here.post(f"/v1/payments/{payment['id']}/refunds", {"amount": beyond}, Idempotency_Key=key)
    assert reply.status == 422, reply
    assert await loop.executed(payment) == [30_00, 20_00, 50_00][: number + 1]
    figures = await loop.figures(payment)
    assert (figures["refunded"], figures["refundable"]) == (AMOUNT - beyond + 1, beyond - 1), figures
    assert figures["held"] == 0


async def keyless(loop: Loop) -> None:
    """Real money is not refunded without a key."""
    payment = await loop.pay(loop.name)
    reply = await loop.here.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1_00})
    assert (reply.status, await loop.executed(payment)) == (400, []), reply


async def struck(loop: Loop, fault: str) -> None:
    """One refund whose request meets a fault, and what is right in the end."""
    payment = await loop.pay(loop.name)
    refund = await loop.refund(payment, fault, 40_00)
    figures = await loop.figures(payment)
    told = (loop.name, fault, refund, figures)
    if fault == DECLINE:
        assert refund["state"] == "failed", told
        assert (await loop.executed(payment), figures["refunded"], figures["held"]) == ([], 0, 0), told
        assert figures["refundable"] == AMOUNT, told
        return
    assert (refund["state"], figures["refunded"], figures["held"]) == ("succeeded", 40_00, 0), told
    assert refund["attempts"] == 1, told
    keyed = DIALECTS[loop.name].client.rung >= 3  # type: ignore[union-attr]
    twice = fault == DUPLICATE and not keyed
    assert await loop.executed(payment) == [40_00] * (2 if twice else 1), told
    if twice:  # on the way, by nobody's wish: what was executed without us is seen before anything more is sent
        after = await loop.refund(payment, "after", 10_00)
        blocked = (await loop.figures(payment))["blocked"]
        assert (after["state"], blocked) in (("needs_review", False), ("needs_review", True), ("ready", True)), told
        assert await loop.executed(payment) == [40_00, 40_00], told


async def in_words_of(loop: Loop, dialect: str) -> None:
    """A client of one provider refunds over another: any in, any out."""
    payment = await loop.pay(dialect)
    section = loop.stage.moneyback.ready[dialect]
    async with Client(loop.stage.moneyback) as client:
        status = await ASK[dialect](client, section, payment, 25_00)
        assert status in (200, 201), (loop.name, dialect, status)
        [asked] = await loop.here.refunds(f"payment={payment['id']}")
        refund = await loop.settled(asked)
    assert (refund["state"], refund["amount"], refund["rail"]) == ("succeeded", 25_00, f"to-{loop.name}"), refund
    assert await loop.executed(payment) == [25_00]


# --- how each provider's clients ask ---------------------------------------------------------------------------------


def _text(amount: int, payment: Any) -> str:
    return to_major(amount, currency(payment["currency"]))


async def _truust(client: Client, section: Any, payment: Any, amount: int) -> int:
    path, bearer = f"/truust/2.0/payins/{payment['dialect_id']}/refund", f"Bearer {section['secret_key']}"
    body = f'{{"amount": {_text(amount, payment)}}}'.encode()
    return (await client.post(path, body, Authorization=bearer)).status


async def _trustly(client: Client, section: Any, payment: Any, amount: int) -> int:
    path = f"/trustly/api/v1/transactions/{payment['dialect_id']}/refund"
    body = {"amount": _text(amount, payment), "merchantReference": "loopback"}
    return (await client.post(path, body, **basic(section["access_id"], section["access_key"]))).status


async def _chip(client: Client, section: Any, payment: Any, amount: int) -> int:
    path, bearer = f"/chip/api/v1/purchases/{payment['dialect_id']}/refund/", f"Bearer {section['secret_key']}"
    return (await client.post(path, {"amount": amount}, Authorization=bearer)).status


async def _mangopay(client: Client, section: Any, payment: Any, amount: int) -> int:
    user = basic(section["client_id"], section["api_key"])
    place = f"/mangopay/v2.01/{section['client_id']}/payins/{payment['dialect_id']}"
    author = (await client.get(place, **user)).json["AuthorId"]
    money = {"Currency": payment["currency"], "Amount": amount}
    body = {"AuthorId": author, "DebitedFunds": money, "Fees": {**money, "Amount": 0}}
    return (await client.post(f"{place}/refunds", body, **user)).status


async def _maverick(client: Client, section: Any, payment: Any, amount: int) -> int:
    path, bearer = f"/maverick/payment/{payment['dialect_id']}/refund", f"Bearer {section['token']}"
    body = {"terminal": {"id": section["terminal_id"]}, "amount": _text(amount, payment)}
    return (await client.post(path, body, Authorization=bearer)).status


ASK: dict[str, Callable[[Client, Any, Any, int], Awaitable[int]]] = {
    "truust": _truust,
    "trustly": _trustly,
    "chip": _chip,
    "mangopay": _mangopay,
    "maverick": _maverick,
}


# --- the tests -------------------------------------------------------------------------------------------------------


def test_the_schedule_has_room_for_every_story():
    assert sorted(each for each in STRIKES if each) == sorted(STRUCK)
    assert STRIKES.count(None) == CLEAN


async def test_every_rail_through_every_fault(stage: Stage):
    async with AsyncExitStack() as stack:
        processes = {"moneyback": stage.moneyback, **stage.twins}
        natives = {name: await stack.enter_async_context(Native(each)) for name, each in processes.items()}
        clocks = [await stack.enter_async_context(Native(each)) for each in processes.values()]
        here = [await stack.enter_async_context(Native(stage.moneyback)) for _ in RAILS]
        loops = [Loop(stage, name, ours, natives[name], clocks) for name, ours in zip(RAILS, here, strict=True)]
        results = await asyncio.gather(*(_through_all(loop) for loop in loops), return_exceptions=True)
        broken = [each for each in results if isinstance(each, BaseException)]
        if broken:
            raise BaseExceptionGroup("rails", broken)
    for process in processes.values():
        report = await verify(process.dsn)
        assert report.clean, f"{process.arguments()}\n{report}"
    kept = await everything(stage.moneyback.dsn) + stage.moneyback.log
    for name, twin in stage.twins.items():
        for each in DIALECTS[name].client.credentials:  # type: ignore[union-attr]
            secret = twin.ready[name][each]
            assert secret == "demo" or secret not in kept, f"{each} of {name}"


async def everything(dsn: str) -> str:
    """Every row of every table, as text."""
    connection = await asyncpg.connect(dsn)
    try:
        names = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema')"
        )
        rows = [row for each in names for row in await connection.fetch(f"select t::text from {each['name']} t")]
    finally:
        await connection.close()
    assert any("/refund" in row["t"] for row in rows), "exchanges are kept"
    return "\n".join(row["t"] for row in rows)


async def _through_all(loop: Loop) -> None:
    """Every story, in the order in which the twin's script has room for it."""
    await keyless(loop)
    payment = await loop.pay(loop.name)
    other = RAILS[(RAILS.index(loop.name) + 1) % len(RAILS)]
    parts = (partial(part, loop, payment, number) for number in range(len(PARTS)))
    undisturbed = iter((*parts, partial(in_words_of, loop, other)))
    for strike in STRIKES:
        await (struck(loop, strike) if strike is not None else next(undisturbed)())
