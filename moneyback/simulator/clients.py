"""The payments of a simulated world, and who asks for refunds of them: clients with their habits, over a bad line.

Each is a coroutine outside all processes. What it wants of the product it asks of one of the processes, and may get no
answer, as anybody may.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.core.commands import (
    Admitted,
    Grouped,
    Joined,
    Keyed,
    Replayed,
    RequestOrderRefund,
    RequestRefund,
    Result,
    SaveAnswer,
    Saved,
)
from moneyback.core.payment import Asked, Payment
from moneyback.core.refund import Event, Refund
from moneyback.core.refusals import Refusal
from moneyback.dialect import AddPayment
from moneyback.flows.add_payment import NATIVE, add_payment
from moneyback.flows.await_answer import await_answer
from moneyback.flows.request_refund import SETTLING, await_refund, request_order_refund, request_refund
from moneyback.flows.world import World
from moneyback.simulator.faults import exponential
from moneyback.simulator.people import nudge
from moneyback.simulator.world import MERCHANT, RAILS, WAIT_S, Simulation
from moneyback.store.port import StoreUnavailable

CURRENCIES: Final = ("EUR", "JPY", "KWD")
SCENARIOS: Final = (
    *(["ok"] * 12),
    "decline:card_closed",
    "pending:8",
    "pending:40",
    "pending:20:decline",
    "pending:15:late_failure",
    "slow:4",
    "slow:50",
    "lost_answer:executed",
    "lost_answer:not_executed",
    "error_after_execution",
    "late_failure:25",
    "wrong_amount:{more}",
    "wrong_amount:{less}",
    "requires_action",
    "list_lag:8",
    "pending:12+lost_answer:executed",
    "list_lag:9+lost_answer:executed",
)
PAYMENT_SCENARIOS: Final = (*[None] * 8, "dispute:20", "dispute:30:won", "dispute:40:lost", "return:60")
ORDER: Final = "order-1"
LONG: Final = "x" * 90
"""A reference beside which no mark of ours fits; several refunds share it."""
TAKEN: Final = {"metadata": '{"moneyback":"mine"}'}
"""What a client says of a refund that leaves no room for a mark of ours there either."""


async def add_payments(sim: Simulation) -> None:
    """The payments of this world, registered while nothing goes wrong yet."""
    for number in range(sim.random.randint(2, 6)):
        if sim.models and sim.random.random() < sim.real_share:
            await _add_real(sim, number)
        else:
            await _add_at_the_bank(sim, number)


async def _add_at_the_bank(sim: Simulation, number: int) -> None:
    random = sim.random
    amount = random.choice((random.randint(1, 20), *(random.randint(100, 100_000) for _ in range(3))))
    fees = random.choice((0, 0, random.randint(0, amount // 3)))
    asked = AddPayment(
        amount=amount,
        currency=CURRENCIES[0] if number < 2 else random.choice(CURRENCIES),
        fees=fees,
        order=ORDER if number < 2 else None,
        wallet="till" if random.random() < 0.2 else None,
        fee_wallet="tips" if fees and random.random() < 0.2 else None,
    )
    await add(sim, random.choice((*RAILS, "sandbox")), asked, scenario=random.choice(PAYMENT_SCENARIOS))


async def _add_real(sim: Simulation, number: int) -> None:
    """Money that came in at another company."""
    random = sim.random
    model = sim.models[random.choice(sorted(sim.models))]
    amount, currency = random.randint(1_000, 100_000), random.choice(model.currencies)
    fees = random.choice((0, 0, random.randint(0, amount // 3)))
    reference = model.sell(amount, fees, currency, sim.clock.business)
    asked = AddPayment(amount=amount, currency=currency, fees=fees, order=ORDER if number < 2 else None)
    payment = await add(sim, model.name, asked, reference=reference, own=model.speaks and random.random() < 0.5)
    if model.contests and random.random() < 0.2:
        what, after = random.choice(model.contests), timedelta(seconds=random.choice((20, 60, 400)))
        sim.story.tell("to come", payment=sim.story.name("P", payment.id), trouble=what, after=after)
        model.befall(reference, what, after)


async def add(
    sim: Simulation,
    rail: str,
    asked: AddPayment,
    *,
    reference: str = "",
    scenario: str | None = None,
    own: bool = False,
) -> Payment:
    """Register a payment. `own`: it is seen through its provider's own dialect."""
    dialect = rail if own else NATIVE

    async def added(world: World) -> Any:
        return await add_payment(world, MERCHANT, dialect, rail, asked, reference=reference, scenario=scenario)

    task = sim.servers[0].call(added)
    assert task is not None
    standing: Any = await task
    payment: Payment = standing.payment
    figures = {"rail": rail, "captured": asked.amount, "fees": asked.fees, "scenario": scenario}
    sim.story.tell("payment", payment=sim.story.name("P", payment.id), **figures)
    return payment


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for, the same each time it asks again."""

    payment: UUID
    asked: Asked
    key: str | None
    scenario: str
    equality: bytes | None
    due_s: float | None
    dialect: str = NATIVE
    reference: str | None = None
    request: Mapping[str, Any] = {}


async def client(sim: Simulation, number: int, until_s: float) -> None:
    """Asks for one refund, more than once if it gets no answer, or just because; may withdraw it again."""
    random = sim.random
    await asyncio.sleep(random.uniform(0.0, until_s))
    wish = draw_wish(sim, number)
    refund: UUID | None = None
    for _ in range(random.choice((1, 1, 2, 3))):
        refund = await _ask(sim, wish) or refund
        await asyncio.sleep(exponential(random, 2.0, 30.0))
        if refund is not None and random.random() < 0.6:
            break
    if refund is not None and random.random() < 0.15:
        await nudge(sim, refund, wish.payment, Event.WITHDRAWN)


def draw_wish(sim: Simulation, number: int) -> Wish:
    random = sim.random
    payment = random.choice([*sim.database.rows.payments.values()])
    most = payment.captured
    part = max(1, most // 6)
    least = sim.models[payment.rail].least if payment.rail in sim.models else 1
    parts = [random.randint(min(least, part), part) for _ in range(9)]
    payer = random.choice((*parts, part, random.randint(1, most), most, None))
    fee: int | str = random.choice(("proportional", "proportional", "none"))
    scenario = random.choice(SCENARIOS).format(more=(payer or most) + 3, less=max(1, (payer or most) - 2))
    keyed = random.random() < 0.6
    return Wish(
        payment=payment.id,
        asked=Asked(payer=payer, fee=fee),
        key=f"key-{number}" if keyed else None,
        scenario=scenario,
        equality=None if keyed else f"{payment.id}{payer}".encode(),
        due_s=random.uniform(1, 60) if random.random() < 0.05 else None,
        dialect=payment.dialect,
        reference=random.choice((None, None, f"order {number}", LONG)),
        request=TAKEN if random.random() < 0.2 else {},
    )


async def _ask(sim: Simulation, wish: Wish) -> UUID | None:
    """Ask some process once; several at once now and then. The refund that was answered with, if any."""
    random = sim.random
    asking = [
        sim.servers[random.randrange(len(sim.servers))].call(lambda world: request(sim, world, wish))
        for _ in range(random.choice((1, 1, 1, 2)))
    ]
    running = [each for each in asking if each is not None]
    if not running:
        return None
    patience = random.choice((WAIT_S * 3, WAIT_S * 3, exponential(random, 1.0, WAIT_S)))
    done, pending = await asyncio.wait(running, timeout=patience)
    for task in pending:
        if random.random() < 0.5:
            task.cancel()  # the caller hangs up
    answers = [task.result() for task in running if task in done and not task.cancelled()]
    return next((each for each in answers if each is not None), None)


async def request(sim: Simulation, world: World, wish: Wish) -> UUID | None:
    """What an API does with such a request: one command, one answer, and under a key the same answer for ever."""
    key = None
    if wish.key is not None:
        key = Keyed(NATIVE, wish.key, b"same", timedelta(seconds=WAIT_S + 5), _rendered)
    id = world.new_id()
    due_at = None if wish.due_s is None else (await world.store.now()).business + timedelta(seconds=wish.due_s)
    command = RequestRefund(
        merchant=MERCHANT,
        id=id,
        payment=wish.payment,
        dialect=wish.dialect,
        dialect_id=str(id),
        terms=world.terms,
        asked=wish.asked,
        reference=wish.reference,
        request=wish.request,
        scenario=wish.scenario,
        equality=wish.equality,
        due_at=due_at,
        key=key,
    )
    try:
        result = await request_refund(world, command)
    except StoreUnavailable:
        sim.watch.denied(id)
        raise
    refund = _acknowledge(sim, result)
    if key is not None and refund is not None:
        sim.watch.named(key.key, refund)
    if isinstance(result, Admitted | Joined):
        current, _ = await await_refund(world, result.refund, WAIT_S)
        if key is not None:
            await _keep_answer(sim, world, key, current)
    elif isinstance(result, Replayed):
        answer = await await_answer(world, MERCHANT, NATIVE, result.key.key, WAIT_S, lambda each, _: _settled(each))
        row = await world.store.key(MERCHANT, NATIVE, result.key.key)
        if answer is not None and row is not None and row.answer is not None:
            sim.watch.answered(row.key, *answer)
    return refund


def _acknowledge(sim: Simulation, result: Result) -> UUID | None:
    """The refund a result names: from now on it must not be lost."""
    refund: UUID | None = None
    if isinstance(result, Admitted | Joined):
        refund = result.refund.id
    elif isinstance(result, Replayed):
        refund = result.key.refund
    if refund is not None:
        sim.watch.acknowledged[refund] = MERCHANT
        sim.story.tell("acknowledged", refund=sim.story.name("R", refund), by=type(result).__name__)
    elif isinstance(result, Refusal):
        sim.story.tell("refused", reason=result.first.reason.value)
    return refund


async def _keep_answer(sim: Simulation, world: World, key: Keyed, refund: Refund) -> None:
    status, answer = _settled(refund)
    saved = await world.store.submit(
        SaveAnswer(merchant=MERCHANT, dialect=NATIVE, idempotency_key=key.key, status=status, answer=answer)
    )
    if isinstance(saved, Saved):
        sim.watch.answered(key.key, saved.status, saved.answer)


def _rendered(result: Result) -> tuple[int, bytes] | None:
    if isinstance(result, Refusal):
        return 422, result.first.reason.value.encode()
    refund: Refund | None = getattr(result, "refund", None)
    return None if refund is None or refund.state in SETTLING else _settled(refund)


def _settled(refund: Refund) -> tuple[int, bytes]:
    return (202 if refund.state in SETTLING else 201), f"{refund.id.hex} {refund.state.value}".encode()


async def order_client(sim: Simulation, until_s: float) -> None:
    """Asks once for what remains of every payment of the order, all or nothing."""
    await asyncio.sleep(sim.random.uniform(0.0, until_s))
    server = sim.servers[sim.random.randrange(len(sim.servers))]
    asking = server.call(lambda world: _request_order(sim, world))
    if asking is not None:
        await asyncio.wait({asking}, timeout=WAIT_S)


async def _request_order(sim: Simulation, world: World) -> None:
    group = world.new_id()
    legs = []
    for payment in [each for each in sim.database.rows.payments.values() if each.order == ORDER]:
        id = world.new_id()
        leg = RequestRefund(
            merchant=MERCHANT,
            id=id,
            payment=payment.id,
            dialect=NATIVE,
            dialect_id=str(id),
            terms=world.terms,
            group=group,
        )
        legs.append(leg)
    command = RequestOrderRefund(merchant=MERCHANT, id=group, dialect=NATIVE, reference=ORDER, legs=tuple(legs))
    result = await request_order_refund(world, command)
    if isinstance(result, Grouped):
        for admitted in result.legs:
            _acknowledge(sim, admitted)
