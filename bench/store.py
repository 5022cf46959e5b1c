"""The store alone, in one process, without HTTP: how many refunds a second it decides and commits."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import uvloop

from bench.load import CONNECTIONS
from moneyback.core.commands import Admitted, Keyed, RequestRefund, Result
from moneyback.core.payment import Asked
from moneyback.ids import new_id
from moneyback.wiring import Wired, wired

ANSWER: Final = (202, b" " * 660)
"""As long as the native API's answer is."""


def admissions_per_second(dsn: str, merchant: UUID, payments: int, seconds: float) -> float:
    """Refunds admitted and armed a second, by as many callers as there are connections otherwise."""
    return uvloop.run(_admit(dsn, merchant, payments, seconds))


async def _admit(dsn: str, merchant: UUID, payments: int, seconds: float) -> float:
    async with wired(dsn) as parts:
        began = time.monotonic()
        counts = await asyncio.gather(
            *(_caller(parts, merchant, payments, random.Random(seed), began + seconds) for seed in range(CONNECTIONS))
        )
        return sum(counts) / (time.monotonic() - began)


async def _caller(parts: Wired, merchant: UUID, payments: int, drawn: random.Random, until: float) -> int:
    admitted = 0
    while time.monotonic() < until:
        command = _command(parts, merchant, UUID(f"01900000-0000-7000-8000-{drawn.randint(1, payments):012x}"))
        result: Any = await parts.store.submit(command)
        assert isinstance(result, Admitted), result
        admitted += 1
    return admitted


def _command(parts: Wired, merchant: UUID, payment: UUID) -> RequestRefund:
    id = new_id()
    return RequestRefund(
        merchant=merchant,
        id=id,
        payment=payment,
        dialect="native",
        dialect_id=id.hex,
        terms=parts.world.terms,
        asked=Asked(payer=100),
        currency="EUR",
        armable=True,
        reason="requested_by_customer",
        requested_by="bench",
        key=Keyed("native", f"store-{id}", id.bytes * 2, timedelta(seconds=5), _answer),
    )


def _answer(_result: Result) -> tuple[int, bytes]:
    return ANSWER
