"""Every connector against its twin, through every scenario of the bank behind it: in the end both ends say the same.

The twin's bank is told how to go wrong before we ask. Whatever its wire shows of that, our refund ends as the twin's
own does, its books have the execution once, and ours agree with them.
"""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from moneyback.flows.hear import read_whole
from tests.api.world import prepare
from tests.front.street import DIALECTS, Street, a_street
from tests.postgres import Databases

AMOUNT = 40_00
CAPTURED = 100_00
LOOKS_S = (3, 15, 60, 180, 900, 4_000, 25_000, 90_000)
"""Time passes by these, until nothing more happens by itself."""
SCENARIOS = (
    "ok",
    "decline:declined",
    "pending:60:ok",
    "pending:60:decline",
    "slow:5",
    "lost_answer:executed",
    "error_after_execution",
    "late_failure:60",
    "list_lag:30",
)
TELL_LATE_FAILURES = ("trustly", "truust")
"""The others' wires do not say it so that it can be believed: Mangopay's refund stays SUCCEEDED, CHIP's failed attempt
names no refund, Maverick's Error comes without a known reason. What is not shown is not made up."""
EXECUTED = ("ok", "pending:60:ok", "slow:5", "lost_answer:executed", "error_after_execution", "list_lag:30")


@pytest.fixture(scope="module", params=sorted(DIALECTS))
async def street(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Street]:
    near, far = await databases.migrated(), await databases.migrated()
    await prepare(near)
    await prepare(far)
    async with a_street(near, far, request.param) as street:
        yield street
    for dsn in (near, far):
        await databases.drop(dsn)


NUMBERS = count(1)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_both_ends_say_the_same(street: Street, scenario: str):
    name = street.dialect.name
    currency = street.dialect.samples.payments[0].currency  # type: ignore[union-attr]
    there = await street.twin.native.pays(CAPTURED, dialect=name, currency=currency, scenario=scenario)
    here = await street.native.pays(
        CAPTURED, dialect=name, currency=currency, rail="provider", reference=there["dialect_id"]
    )
    asked = {"amount": AMOUNT}
    said = await street.native.post(
        f"/v1/payments/{here['id']}/refunds", asked, prefer="wait=0", idempotency_key=f"{name}-{next(NUMBERS)}"
    )
    assert said.status_code in (201, 202), said.text
    ours, theirs = await ended(street, said.json(), there)
    executed = await street.executed(there["dialect_id"])
    told = (ours["state"], theirs and theirs["state"], executed)
    if scenario in EXECUTED:
        assert told == ("succeeded", "succeeded", [AMOUNT]), told
    elif scenario == "late_failure:60":
        seen = "returned" if name in TELL_LATE_FAILURES else "succeeded"
        assert told == (seen, "returned", [AMOUNT]), told
    else:
        assert executed == [] and ours["state"] == "failed", told
    payment = await street.native.again(here)
    paid = AMOUNT if ours["state"] == "succeeded" else 0
    assert (payment["refunded"], payment["held"], payment["refundable"]) == (paid, 0, CAPTURED - paid)
    assert payment["external"] == payment["excess"] == 0
    await street.assert_clean()


async def ended(street: Street, ours: Any, there: Any) -> tuple[Any, Any]:
    """Both refunds, once time has passed for long enough."""
    theirs: Any = None
    for seconds in (0, *LOOKS_S):
        if seconds:
            await street.advance(seconds)
        await street.settle()
        await read_again(street, ours)
        await street.settle()
        ours = await street.native.again(ours)
        found = await street.twin.native.all("/v1/refunds", payment=there["id"])
        theirs = found[0] if found else None
    return ours, theirs


async def read_again(street: Street, refund: Any) -> None:
    """What a notification causes: the payment is read with all its refunds, those that have ended included."""
    parts, merchant = street.near.parts, street.native.merchant
    payment = await parts.store.payment(merchant, UUID(hex=refund["payment"].removeprefix("pay_")))
    assert payment is not None
    await read_whole(parts.world, parts.news, parts.world.rail(merchant, payment.rail), payment)
