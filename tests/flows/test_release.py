"""Letting an authorisation go at a provider: one call whatever happens, doubt that is looked into, and who waits."""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from moneyback.core.commands import ArmRelease, Observation, ResolveRelease, Sighting, Standing
from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Event, State
from moneyback.core.refusals import Reason, Refusal
from moneyback.core.release import Release, release_mark, release_of
from moneyback.dialect import (
    AddPayment,
    AnswerLost,
    Call,
    Caller,
    Fetched,
    Figures,
    Incoming,
    NotConnected,
    Outgoing,
    ReleasePayment,
    Reply,
    Route,
    Sending,
)
from moneyback.flows.add_payment import add_payment
from moneyback.flows.release import release_payment, settle_release
from moneyback.flows.serve_dialect import serve
from moneyback.flows.work import drain, work_round
from moneyback.store.port import StoreUnavailable, Work
from moneyback.store.verify import verify
from tests.flows import provider
from tests.flows.provider import scene
from tests.flows.toy import TOY

HELD_S = 20
"""How long a test waits for what must come: far longer than it takes."""


class Provider(provider.Provider):
    """Holds authorisations, and lets go of every one it is asked to, however often."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, str] = {}  # what became of an authorisation: held, captured, gone
        self.calls: list[Sending] = []
        self.says = "executed"  # or: lost, lost before, refused, later, accepted, unreached
        self.arrived = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.tells_in_reading = True
        self.silent = False

    def holds(self, amount: int = 10_000) -> str:
        reference = UUID(int=len(self.held) + 1).hex + str(id(self))
        self.held[reference], self.captured[reference] = "held", amount
        return reference

    def client(self, **changes: Any) -> Any:
        return super().client(**{"release": self._release, **changes})

    async def exchange(self, base_url: str, call: Call, *, deadline: float) -> Reply:
        if self.silent and call.method == "GET":
            raise AnswerLost("no answer")
        if call.path == "/release":
            self.arrived.set()
            await self.answers.wait()
            if self.says == "unreached":
                raise NotConnected("no way there")
            reference = call.body.decode()
            if self.says in ("executed", "lost"):
                self.held[reference] = "gone"
            if self.says in ("lost", "lost before"):
                raise AnswerLost("no answer")
        return await super().exchange(base_url, call, deadline=deadline)

    def _release(self, sending: Sending) -> Generator[Call, Reply, tuple[Observation, ...]]:
        self.calls.append(sending)
        yield Call(method="POST", path="/release", body=sending.payment.reference.encode())
        events = {"executed": Event.EXECUTED, "refused": Event.REFUSED, "later": Event.NOT_TAKEN}
        return (Observation(event=events.get(self.says, Event.ACCEPTED), message=self.says),)

    def _read(self, payment: Payment) -> Generator[Call, Reply, Figures]:
        shown = yield from super()._read(payment)
        stands = self.held.get(payment.reference)
        if not self.tells_in_reading or stands in (None, "held"):
            return replace(shown, left=None)
        kind, amount = ("canceled", 0) if stands == "gone" else ("captured", self.captured[payment.reference])
        left = amount - sum(each.amount for each in self.books if each.payment == payment.reference)
        return Figures(left=left, sightings=(Sighting(kind=kind, amount=amount, reference=payment.reference),))

    def _fetch(self, reference: str) -> Generator[Call, Reply, Fetched | None]:
        yield Call(method="GET", path="/fetch")
        status = {"held": "authorized", "captured": "captured", "gone": "failed"}[self.held[reference]]
        asked = AddPayment(amount=self.captured[reference], currency="EUR", status=status, dialect_id=reference)
        return Fetched(payment=asked, reference=reference)


class Street:
    """A merchant with an authorised payment at the provider."""

    def __init__(self, one: provider.Scene, payment: Payment) -> None:
        self.one = one
        self.payment = payment
        self.provider: Provider = one.provider  # type: ignore[assignment]

    async def ask(self, dialect_id: str = "v1", seconds: float = HELD_S) -> Payment | Refusal:
        return await release_payment(self.one.world, self.payment, dialect_id, seconds)

    async def now(self) -> Payment:
        return await self.one.payment_now(self.payment)

    async def release(self) -> Release:
        release = release_of(await self.now())
        assert release is not None
        return release

    async def doubt(self, says: str = "lost") -> Release:
        """A release whose call was not answered."""
        self.provider.says = says
        await self.ask()
        release = await self.release()
        assert release.state is State.UNKNOWN
        return release

    async def past_the_horizon(self) -> None:
        await self.one.advance(self.one.world.terms(self.payment).horizon.total_seconds())
        await work_round(self.one.world)

    async def resolve(self, *, executed: bool) -> Any:
        return await self.one.store.submit(
            ResolveRelease(
                merchant=self.one.merchant,
                payment=self.payment.id,
                executed=executed,
                evidence_version=(await self.release()).evidence_version,
                evidence=self.one.world.new_id(),
                by="ann",
                note="asked the provider",
                terms=self.one.world.terms,
            )
        )

    async def attempts(self) -> list[tuple[str, str]]:
        rows = await self.one.sql(
            "select kind, outcome from attempts where merchant_id = $1 order by armed_at", self.one.merchant
        )
        return [(row["kind"], row["outcome"]) for row in rows]

    async def let_the_lease_run_out(self) -> None:
        await self.one.sql(
            "update payments set details = jsonb_set(details, '{document,release,lease_until}', to_jsonb(now())) "
            "where id = $1",
            self.payment.id,
        )


@asynccontextmanager
async def a_street(dsn: str, **client: Any) -> AsyncIterator[Street]:
    """Whatever happened in it, the books are in order at the end."""
    there = Provider()
    async with scene(dsn, there, **client) as one:
        asked = AddPayment(amount=10_000, currency="EUR", status="authorized")
        added = await add_payment(one.world, one.merchant, "native", "main", asked, reference=there.holds())
        assert isinstance(added, Standing)
        try:
            yield Street(one, added.payment)
        finally:
            there.answers.set()
            while one.world.errands:
                await asyncio.wait(set(one.world.errands.values()))
        report = await verify(dsn, one.merchant)
        assert report.differences == ()


async def events(street: Street) -> list[str]:
    rows = await street.one.sql("select type from events where object_id = $1 order by sequence", street.payment.id)
    return [row["type"].removeprefix("payment.") for row in rows]


# --- asked and answered ----------------------------------------------------------------------------------------------


async def test_an_authorisation_is_let_go_by_one_call(module_database: str):
    async with a_street(module_database) as street:
        after = await street.ask()
        assert isinstance(after, Payment)
        release = release_of(after)
        assert release is not None and (release.state, release.dialect_id) == (State.SUCCEEDED, "v1")
        assert (after.condition, after.fence) == (Condition.FAILED, None)
        [sending] = street.provider.calls
        assert release.id is not None and sending.mark == release_mark(release.id) == sending.refund.mark
        assert (sending.refund.payer, sending.payment.reference) == (0, street.payment.reference)
        assert await street.attempts() == [("release", "executed")]
        assert (await events(street))[-2:] == ["release_armed", "released"]
        assert street.one.world.due.is_set(), "somebody may wait behind the fence"
        assert isinstance(await street.ask("v2"), Refusal)
        assert len(street.provider.calls) == 1


async def test_of_two_who_ask_at_once_one_is_heard(module_database: str):
    async with a_street(module_database) as street:
        results = await asyncio.gather(*(street.ask(f"v{number}") for number in range(6)))
        assert len(street.provider.calls) == 1
        assert sum(isinstance(each, Payment) for each in results) == 1


@pytest.mark.parametrize(
    ("says", "outcome"), [("refused", "refused"), ("later", "not_taken"), ("unreached", "not_sent")]
)
async def test_what_was_not_done_may_be_asked_for_again(module_database: str, says: str, outcome: str):
    async with a_street(module_database) as street:
        street.provider.says = says
        after = await street.ask()
        assert isinstance(after, Payment) and release_of(after).state is State.FAILED  # type: ignore[union-attr]
        assert (after.condition, after.fence) == (Condition.AUTHORIZED, None)
        await street.one.advance(3_600)
        await work_round(street.one.world)
        assert len(street.provider.calls) == 1, "nobody asks again of itself"
        street.provider.says = "executed"
        assert street.one.rail.breaker is not None and street.one.rail.closed == (says != "refused")
        street.one.rail.breaker.taken()
        await street.ask("v2")
        assert (await street.release()).state is State.SUCCEEDED
        assert await street.attempts() == [("release", outcome), ("release", "executed")]


@pytest.mark.parametrize("tells_in_reading", [True, False])
async def test_what_was_captured_meanwhile_is_not_let_go(module_database: str, tells_in_reading: bool):
    async with a_street(module_database) as street:
        street.provider.held[street.payment.reference] = "captured"
        street.provider.tells_in_reading = tells_in_reading
        result = await street.ask()
        assert isinstance(result, Refusal) and result.first.reason is Reason.STATE_FORBIDS
        assert (await street.now()).captured == 10_000
        assert street.provider.calls == [] and await street.attempts() == []


@pytest.mark.parametrize("what", ["silent", "breaker", "ending"])
async def test_without_a_reading_or_a_slot_nothing_is_called(module_database: str, what: str):
    async with a_street(module_database) as street:
        if what == "silent":
            street.provider.silent = True
        elif what == "ending":
            street.one.world.stopping.set()
        else:
            rail = street.one.rail
            street.one.world.own_rails[(street.one.merchant, "main")] = replace(rail, look_only=True)
        after = await street.ask()
        assert isinstance(after, Payment) and release_of(after).state is State.FAILED  # type: ignore[union-attr]
        assert (await street.release()).message
        assert street.provider.calls == [] and await street.attempts() == []


async def test_a_provider_without_such_a_call_is_not_asked(module_database: str):
    async with a_street(module_database, release=None) as street:
        result = await street.ask()
        assert isinstance(result, Refusal) and result.first.reason is Reason.KIND_UNSUPPORTED
        assert release_of(await street.now()) is None and await street.attempts() == []


async def test_who_does_not_wait_is_told_that_it_is_on_its_way(module_database: str):
    async with a_street(module_database) as street:
        street.provider.answers.clear()
        after = await street.ask(seconds=0)
        assert isinstance(after, Payment) and release_of(after).state is State.SENDING  # type: ignore[union-attr]
        assert after.fence == (await street.release()).id
        street.provider.answers.set()
        await drain(street.one.world, HELD_S)
        assert (await street.release()).state is State.SUCCEEDED


async def test_who_leaves_stops_nothing(module_database: str):
    async with a_street(module_database) as street:
        street.provider.answers.clear()
        asking = asyncio.create_task(street.ask())
        await asyncio.wait_for(street.provider.arrived.wait(), HELD_S)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        street.provider.answers.set()
        await drain(street.one.world, HELD_S)
        assert (await street.release()).state is State.SUCCEEDED


async def test_cancelled_before_its_first_byte_a_call_was_not_made(module_database: str):
    async with a_street(module_database) as street:
        street.provider.answers.clear()
        await street.ask(seconds=0)
        await asyncio.wait_for(street.provider.arrived.wait(), HELD_S)
        [story] = street.one.world.errands.values()
        story.cancel()
        await asyncio.wait({story})
        assert (await street.release()).state is State.FAILED
        assert await street.attempts() == [("release", "not_sent")]


async def test_cancelled_while_it_is_armed_it_is_known_whether_it_was(module_database: str):
    async with a_street(module_database) as street:
        world, asked = street.one.world, list[Any]()

        class Ending:
            """The store, at whose arming the one who asks for it is told to end."""

            def __getattr__(self, name: str) -> Any:
                return getattr(street.one.store, name)

            async def submit(self, command: Any) -> Any:
                if isinstance(command, ArmRelease):
                    asked.append(command)
                    for task in world.errands.values():
                        task.cancel()
                return await street.one.store.submit(command)

        await release_payment(replace(world, store=Ending()), street.payment, "v1", HELD_S)
        assert len(asked) == 1
        assert (await street.release()).state is State.FAILED
        assert await street.attempts() == [("release", "not_sent")]


async def test_who_waits_for_a_slot_when_the_process_ends_may_ask_elsewhere(module_database: str):
    async with a_street(module_database) as street:
        full = asyncio.Event()

        @asynccontextmanager
        async def slot(_until: float) -> AsyncIterator[Any]:
            full.set()
            await asyncio.Event().wait()
            yield None

        world = street.one.world
        world.own_rails[(street.one.merchant, "main")] = replace(street.one.rail, slot=slot)
        asking = asyncio.create_task(street.ask())
        await asyncio.wait_for(full.wait(), HELD_S)
        await drain(world, HELD_S)
        with pytest.raises(StoreUnavailable):
            await asking
        assert release_of(await street.now()) is None


async def test_a_handler_on_a_real_rail_lets_go_there(module_database: str):
    async with a_street(module_database) as street:
        found: list[Any] = []

        def handle(_incoming: Incoming, _caller: Caller) -> Any:
            found.append((yield ReleasePayment(payment=street.payment, dialect_id="77", seconds=HELD_S)))
            return Outgoing()

        caller = Caller(merchant=street.one.merchant)
        route = Route(method="POST", path="/", handle=handle)
        await serve(street.one.world, street.one.reads, TOY, route, Incoming(method="POST", path="/"), caller)
        release = release_of(found[0])
        assert release is not None and (release.dialect_id, release.state) == ("77", State.SUCCEEDED)
        assert len(street.provider.calls) == 1


# --- doubt -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tells_in_reading", [True, False])
async def test_an_answer_that_is_lost_is_looked_for(module_database: str, tells_in_reading: bool):
    async with a_street(module_database) as street:
        street.provider.tells_in_reading = tells_in_reading
        release = await street.doubt("lost")
        assert (await street.now()).fence == release.id
        assert isinstance(await street.ask("v2"), Refusal)
        await street.one.advance(3)
        await work_round(street.one.world)
        assert (await street.release()).state is State.SUCCEEDED
        assert len(street.provider.calls) == 1
        assert await street.attempts() == [("release", "executed")]


async def test_what_looking_cannot_settle_is_a_persons(module_database: str):
    async with a_street(module_database) as street:
        warned: list[str] = []
        street.one.world = replace(street.one.world, warn=lambda word, **_figures: warned.append(word))
        await street.doubt("lost before")
        assert isinstance(await street.resolve(executed=False), Refusal)
        await street.past_the_horizon()
        assert warned == ["release_needs_a_person"]
        assert isinstance(await street.resolve(executed=False), Standing)
        assert (await street.now()).fence is None
        assert len(street.provider.calls) == 1, "not sent again by itself"
        street.provider.says = "executed"
        await street.ask("v2")
        assert (await street.release()).state is State.SUCCEEDED


async def test_a_provider_that_does_not_answer_keeps_nobody_from_being_asked(module_database: str):
    async with a_street(module_database) as street:
        await street.doubt("lost before")
        street.provider.silent = True
        await street.past_the_horizon()
        assert (await street.release()).human_since is not None


async def test_killed_between_arming_and_answer_it_is_looked_for_and_not_sent_again(module_database: str):
    async with a_street(module_database) as street:
        street.provider.answers.clear()
        await street.ask(seconds=0)
        await asyncio.wait_for(street.provider.arrived.wait(), HELD_S)
        # Another process, whose clock says that the lease is over; the first one hangs, or is gone.
        elsewhere = replace(street.one.world, errands={}, flights={})
        await work_round(elsewhere)
        assert (await street.release()).state is State.SENDING
        await street.let_the_lease_run_out()
        await work_round(elsewhere)
        assert (await street.release()).state is State.UNKNOWN
        await street.one.advance(3)
        await work_round(elsewhere)
        assert (await street.release()).state is State.UNKNOWN, "still held there"
        street.provider.answers.set()
        await drain(street.one.world, HELD_S)
        assert (await street.release()).state is State.SUCCEEDED
        assert len(street.provider.calls) == 1


async def test_a_refund_waits_while_the_release_is_in_doubt(module_database: str):
    async with a_street(module_database) as street:
        await street.doubt("lost before")
        street.provider.held[street.payment.reference] = "captured"
        await street.one.advance(3)
        await work_round(street.one.world)
        assert (await street.now()).captured == 10_000
        assert (await street.release()).state is State.UNKNOWN, "our call may still come"
        refund = await street.one.admit(await street.now(), 1_000)
        await work_round(street.one.world)
        assert (await street.one.now(refund)).state is State.READY and street.provider.books == []
        await street.past_the_horizon()
        assert (await street.release()).state is State.FAILED
        await work_round(street.one.world)
        assert (await street.one.now(refund)).state is State.SUCCEEDED
        assert len(street.provider.books) == 1


async def test_work_on_a_release_that_ended_does_nothing(module_database: str):
    async with a_street(module_database) as street:
        await street.ask()
        before, id = await street.now(), (await street.release()).id
        assert id is not None
        piece = Work("release", street.one.merchant, id, street.payment.id, "main")
        await settle_release(street.one.world, piece)
        assert await street.now() == before
