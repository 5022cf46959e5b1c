"""Letting an authorisation go at its provider: a reading, one call that is written down before it is made, the record.

A release is not sent again, whatever comes of its call: doubt is looked into, and what failed is asked for anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from moneyback.core.commands import (
    ArmRelease,
    ExpireRelease,
    Observation,
    ObservePayment,
    ObserveRelease,
    Sighting,
    Standing,
)
from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import Event, State
from moneyback.core.refusals import Reason, Refusal, refuse
from moneyback.core.release import IN_FLIGHT, Release, release_in_flight, release_of, stand_in
from moneyback.dialect import AnswerLost, Fetched, NotConnected
from moneyback.flows.cancellation import is_cancelled, to_the_end
from moneyback.flows.send_refund import (
    READ_PATIENCE_S,
    RECORD_PAUSES_S,
    drive,
    read_payment,
    send_slot,
    sending,
    tell_breaker,
    uncancelled,
)
from moneyback.flows.world import ExchangeOf, Rail, World
from moneyback.store.port import StoreUnavailable, Work

NO_SLOT: Final = "The provider cannot be called now."
NO_READING: Final = "The provider does not show the payment."

Decided = asyncio.Future[Payment | Refusal]
"""Told once it is certain whether the call will be made."""


async def release_payment(world: World, payment: Payment, dialect_id: str, seconds: float) -> Payment | Refusal:
    """Let an authorised payment go; the payment as it stands when that has ended, or `seconds` after it was armed.

    Nobody is answered before it is written down that the call will be made, or that it will not. A caller who leaves
    stops nothing. Raises StoreUnavailable when nothing was written down.
    """
    rail = world.rail(payment.merchant, payment.rail)
    if rail.client.release is None:
        return refuse(Reason.KIND_UNSUPPORTED, payment=payment.id)
    id, decided = world.new_id(), Decided()
    story = world.begin(("release", id), _story(world, rail, payment, dialect_id, id, decided))
    either: set[asyncio.Future[Any]] = {story, decided}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not decided.done():
        raise StoreUnavailable("this process ends, and nothing was asked of the provider")
    told = decided.result()
    if isinstance(told, Refusal):
        return told
    await asyncio.wait({story}, timeout=seconds)
    return await world.store.payment(payment.merchant, payment.id) or told


async def _story(world: World, rail: Rail, payment: Payment, dialect_id: str, id: UUID, decided: Decided) -> None:
    try:
        await _made(world, rail, payment, dialect_id, id, decided)
    except Exception as error:  # whoever asked may be gone
        world.log("release_broke_off", payment=str(payment.id), error=repr(error))
        if not decided.done():
            decided.set_exception(error)
            decided.exception()  # it is told to whoever still waits; nobody is missed


async def _made(world: World, rail: Rail, payment: Payment, dialect_id: str, id: UUID, decided: Decided) -> None:
    async with send_slot(world, rail) as over:
        arm = ArmRelease(
            merchant=payment.merchant,
            payment=payment.id,
            release=id,
            dialect_id=dialect_id,
            evidence=world.new_id(),
            terms=world.terms,
        )
        if over is None:
            arm = replace(arm, unsent=NO_SLOT)
        else:
            try:
                arm = replace(arm, pre_read=await _read(world, rail, payment, over))
            except (NotConnected, AnswerLost) as error:
                world.log("release_pre_read_failed", payment=str(payment.id), error=repr(error))
                arm = replace(arm, unsent=NO_READING)
        began = asyncio.get_running_loop().time()
        armed = await to_the_end(world.store.submit(arm))  # once it may be armed, it must be known whether it is
        assert isinstance(armed, Standing | Refusal)
        decided.set_result(armed.payment if isinstance(armed, Standing) else armed)
        if over is None or not isinstance(armed, Standing):
            return
        release = release_in_flight(armed.payment)
        if release is not None and release.id == id:
            await _call(world, rail, over, armed.payment, release, began)


async def _call(world: World, rail: Rail, over: ExchangeOf, payment: Payment, release: Release, began: float) -> None:
    """The one call. Whatever comes of it is an observation; silence is one too."""
    assert rail.client.release is not None, "asked before anything was armed"
    deadline = began + world.terms(payment).send_deadline.total_seconds()
    conversation = rail.client.release(sending(stand_in(payment, release), payment))
    try:
        seen = await drive(conversation, uncancelled(over(payment)), deadline)
    except NotConnected as error:
        seen = (Observation(event=Event.SEND_FAILED, message=str(error)),)
    except AnswerLost as error:
        seen = (Observation(event=Event.LOST, message=str(error)),)
    if not is_cancelled():
        tell_breaker(world, rail, seen)
    await to_the_end(_record(world, payment, release, seen, source="answer"))


async def _record(
    world: World,
    payment: Payment,
    release: Release,
    seen: tuple[Observation, ...] = (),
    *,
    source: str,
    looks: int | None = None,
) -> Release | None:
    """Commit what was seen of a release, and wait for a database that is away. None: it could not be recorded."""
    assert release.id is not None, "a release that was sent has an id"
    command = ObserveRelease(
        merchant=payment.merchant,
        payment=payment.id,
        release=release.id,
        evidence=world.new_id(),
        terms=world.terms,
        observations=tuple(
            replace(each, id=world.new_id(), source=source, digest=each.digest or f"{source}:{each.event.value}")
            for each in seen
        ),
        looks=looks,
    )
    for pause_s in RECORD_PAUSES_S:
        try:
            result = await world.store.submit(command)
        except StoreUnavailable as error:
            world.log("release_record_waits", payment=str(payment.id), error=str(error))
            await world.sleep(pause_s)
        else:
            return _told(world, payment, release, result.payment) if isinstance(result, Standing) else None
    return None  # the lease runs out, and looking finds it again


def _told(world: World, payment: Payment, before: Release, after: Payment) -> Release | None:
    """What follows outside the database: refunds may wait behind the fence, or a person be asked and not know it."""
    release = release_of(after)
    if release is None or release.state not in IN_FLIGHT:
        world.due.set()
    elif release.human_since is not None and before.human_since is None:
        world.warn("release_needs_a_person", payment=str(payment.id), rail=payment.rail)
    return release


# --- due work --------------------------------------------------------------------------------------------------------


async def settle_release(world: World, work: Work) -> None:
    """A release whose lease ran out, or whose next look is due. `work.refund` is the release's id."""
    payment = await world.store.payment(work.merchant, work.payment)
    release = release_in_flight(payment) if payment is not None else None
    if payment is None or release is None or release.id != work.refund:
        return
    if release.state is not State.SENDING:
        await _look(world, payment, release)
        return
    await world.store.submit(
        ExpireRelease(
            merchant=work.merchant,
            payment=work.payment,
            release=work.refund,
            evidence=world.new_id(),
            terms=world.terms,
        )
    )


async def _look(world: World, payment: Payment, release: Release) -> None:
    """Read the payment at its provider; what it says of itself is what became of the release."""
    rail = world.rail(payment.merchant, payment.rail)
    try:
        await _read(world, rail, payment, rail.exchange)
    except (NotConnected, AnswerLost) as error:
        world.log("release_look_unanswered", payment=str(payment.id), error=repr(error))
    except StoreUnavailable:
        raise
    except Exception as error:  # what nobody can read is no reason never to hand the doubt to a person
        world.warn("release_look_broke", payment=str(payment.id), rail=rail.name, error=type(error).__name__)
    await _record(world, payment, release, source="look", looks=release.looks)


async def _read(world: World, rail: Rail, payment: Payment, over: ExchangeOf) -> Mapping[str, Any]:
    """Record what the provider shows of the payment, and return its figures.

    A reading tells of refunds, and not every provider's of an authorisation that is gone: fetched anew, it does.
    Raises NotConnected, AnswerLost.
    """
    figures = await read_payment(world, rail, payment, over=over)
    fetched: Fetched | None = None
    if rail.client.fetch is not None:
        deadline = asyncio.get_running_loop().time() + READ_PATIENCE_S
        fetched = await drive(rail.client.fetch(payment.reference), over(payment), deadline)
    current = await world.store.payment(payment.merchant, payment.id)
    if fetched is not None and current is not None and current.condition is Condition.AUTHORIZED:
        await _see(world, payment, fetched)
    shown = fetched.payment.status if fetched is not None else None
    return {"left": figures.left, "refund_ids": figures.refund_ids, "status": shown}


async def _see(world: World, payment: Payment, fetched: Fetched) -> None:
    """What became of an authorisation, where the reading itself did not tell."""
    sighting = Sighting(kind="canceled", amount=0, reference=payment.reference)
    match Condition(fetched.payment.status):
        case Condition.CAPTURED:
            came = replace(sighting, kind="captured", amount=fetched.payment.amount)
            sighting = replace(came, occurred_at=fetched.captured_at)
        case Condition.AUTHORIZED | Condition.PROCESSING:
            return
    await world.store.submit(
        ObservePayment(
            merchant=payment.merchant,
            payment=payment.id,
            evidence=world.new_id(),
            sighting=sighting,
            source="read",
        )
    )
