"""Money that came in becomes a payment: from the native API, a dialect's own calls, or a sandbox's seed data."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from moneyback.core.commands import Keyed, ObservePayment, RegisterPayment, Replayed, Sighting, Standing
from moneyback.core.payment import Condition, Payment, PaymentKind
from moneyback.core.refusals import Refusal
from moneyback.core.registration import own_reference
from moneyback.dialect import AddPayment, SeenRefund
from moneyback.flows.world import World
from moneyback.store.migrate import sequence_name

NATIVE = "native"
"""The dialect of payments registered natively without one."""


async def add_payment(
    world: World,
    merchant: UUID,
    dialect_name: str,
    rail_name: str,
    asked: AddPayment,
    *,
    reference: str = "",
    captured_at: datetime | None = None,
    scenario: str | None = None,
    key: Keyed | None = None,
    earlier: tuple[SeenRefund, ...] = (),
    left: int | None = None,
    sightings: tuple[Sighting, ...] = (),
    stated: bool = False,
) -> Standing | Replayed | Refusal:
    """Register a payment; an equal one with the same `reference` is found again. Replayed only under a `key`.

    `asked.document` is what its dialect remembers of it, checked by the dialect. `earlier` are refunds its provider
    made before, and `left` is what the provider says remains: if we come to another figure, nothing is sent until
    somebody has looked. `sightings` is what else had happened to it. `stated` says that the amount is a client's word:
    another one than the known payment's is refused. Raises ValueError with a sentence for dialect data
    the dialect cannot read, KeyError for an unknown rail.
    """
    rail = world.rail(merchant, rail_name)
    now = (await world.store.now()).business
    payment_id = world.new_id()
    dialect_id, sequence = asked.dialect_id or "", None
    dialect = world.dialects.get(dialect_name)
    if dialect is None:
        dialect_id = dialect_id or str(payment_id)
    elif not dialect_id:
        sequence = sequence_name(dialect_name) if dialect.numbered else None
        dialect_id = "" if dialect.numbered else str(payment_id)
    condition = Condition(asked.status)
    document = asked.document if dialect is None else dialect.payment_document(asked.document, now)
    external = tuple((each.provider_id, each.amount) for each in earlier if each.status in ("pending", "succeeded"))
    captured = asked.amount if condition is Condition.CAPTURED else 0
    wallet, fee_wallet = asked.wallet, asked.fee_wallet
    if dialect is not None and not rail.real and wallet is None and asked.kind is PaymentKind.PAYIN:
        wallet, fee_wallet = dialect.wallets(document, asked.currency)
    payment = Payment(
        merchant=merchant,
        id=payment_id,
        version=0,
        dialect=dialect_name,
        dialect_id=dialect_id,
        rail=rail_name,
        account=rail.account,
        reference=reference or (own_reference(dialect_name, dialect_id) if dialect_id else ""),
        order=asked.order,
        method=asked.method,
        currency=asked.currency,
        condition=condition,
        authorized=0 if condition is Condition.CAPTURED else asked.amount,
        captured=captured,
        amount_known=asked.amount_known,
        rail_gap=_gap(left, captured, external, sightings),
        fees=asked.fees,
        parts=asked.parts,
        captured_at=(captured_at or now) if condition is Condition.CAPTURED else None,
        created_at=now,
        updated_at=now,
        scenario=scenario,
        wallet=wallet,
        fee_wallet=fee_wallet,
        kind=asked.kind,
        source=asked.source,
        metadata=asked.metadata,
        document=document,
    )
    result = await world.store.submit(
        RegisterPayment(
            payment=payment,
            sequence=sequence,
            order_id=world.new_id() if asked.order is not None else None,
            external=external,
            stated=stated,
            key=key,
        )
    )
    assert isinstance(result, Standing | Replayed | Refusal)
    if isinstance(result, Standing) and result.created and scenario is not None and rail.opened is not None:
        await rail.opened(result.payment)  # so that a scripted dispute or return happens without a refund
    if isinstance(result, Standing) and sightings:  # whoever was quicker may not have recorded them yet
        return replace(result, payment=await see(world, result.payment, sightings, source="registered"))
    if isinstance(result, Standing) and not result.created:
        return replace(result, payment=await learn_amount(world, result.payment, asked, source="registered"))
    return result


async def learn_amount(world: World, known: Payment, told: AddPayment, *, source: str) -> Payment:
    """How much came in, told of a payment of which it was not known until now. Any other stays as it is."""
    is_news = told.amount_known and told.amount > 0 and told.currency == known.currency
    if known.amount_known or not is_news or told.status != Condition.CAPTURED.value:
        return known
    captured = Sighting(kind="captured", amount=told.amount, reference=known.reference)
    return await see(world, known, (captured,), source=source)


async def see(world: World, payment: Payment, sightings: tuple[Sighting, ...], *, source: str) -> Payment:
    """Record what was seen of a payment beside refunds of it; told again, it changes nothing."""
    for each in sightings:
        evidence = world.new_id()
        seen = await world.store.submit(
            ObservePayment(
                merchant=payment.merchant, payment=payment.id, evidence=evidence, sighting=each, source=source
            )
        )
        assert isinstance(seen, Standing)
        payment = seen.payment
    return payment


def _gap(
    left: int | None, captured: int, external: tuple[tuple[str, int], ...], sightings: tuple[Sighting, ...]
) -> int | None:
    """How far the provider's remainder is from ours; None where they agree, or it shows none."""
    gone = sum(amount for _, amount in external) + sum(each.amount for each in sightings if each.kind == "claw_back")
    gap = 0 if left is None else left - max(0, captured - gone)
    return gap or None
