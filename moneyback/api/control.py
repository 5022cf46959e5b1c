"""Control of a sandbox or twin: move its clock, read the bank's books, script what goes wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from moneyback.api.asgi import encode_json
from moneyback.api.native import Answer, Asker, Asking, BadRequest, Surface
from moneyback.api.problems import refused
from moneyback.bank.client import account_of, capture_of
from moneyback.bank.port import Bank
from moneyback.core.naming import PAYMENT, inward
from moneyback.core.payment import Payment
from moneyback.core.refusals import Reason, refuse
from moneyback.store.access import Access

ADVANCE_S_MAX = 10 * 366 * 86_400
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Behind it lie the dates that no calendar holds."""


async def advance_clock(surface: Surface, access: Access, asking: Asking) -> Answer:
    """`{"advance_s": n}`: business time moves forward for every process at once, and what is due becomes due."""
    seconds = asking.body.get("advance_s") if isinstance(asking.body, dict) else None
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= ADVANCE_S_MAX:
        raise BadRequest("advance_s is a whole number of seconds; the clock only moves forward")
    if (await surface.world.store.now()).business + timedelta(seconds=seconds) >= LATEST:
        raise BadRequest(f"the clock does not move beyond the year {LATEST.year}")
    now = await access.advance_clock(timedelta(seconds=seconds))
    if now is None:
        raise BadRequest("the clock of this twin does not move: it was started with --no-clock")
    await surface.world.store.now()  # this process goes by the new time at once
    surface.world.due.set()
    return Answer(200, encode_json({"now": now}))


async def read_books(surface: Surface, asker: Asker, asking: Asking, bank: Bank) -> Answer:
    """What the bank itself wrote down about a payment: every execution, whatever we believe of it."""
    payment = await _payment(surface, asker, asking.query.get("payment"))
    if payment is None:
        return Answer(*refused(refuse(Reason.PAYMENT_NOT_FOUND)))
    book = await bank.books(account_of(payment), payment.reference)
    return Answer(200, encode_json({"payment": payment.dialect_id, "book": msgspec.to_builtins(book)}))


async def set_scenario(surface: Surface, asker: Asker, asking: Asking, bank: Bank) -> Answer:
    """`{"payment" | "next_refund_of": id, "scenario": …}`: how the bank is to go wrong."""
    body: Any = asking.body if isinstance(asking.body, dict) else {}
    names = [name for name in ("payment", "next_refund_of") if isinstance(body.get(name), str)]
    if len(names) != 1 or not isinstance(body.get("scenario"), str):
        raise BadRequest('one of "payment" and "next_refund_of" is needed, and a "scenario"')
    payment = await _payment(surface, asker, body[names[0]])
    if payment is None:
        return Answer(*refused(refuse(Reason.PAYMENT_NOT_FOUND)))
    try:
        await bank.set_scenario(
            account_of(payment), capture_of(payment), body["scenario"], next_refund=names[0] == "next_refund_of"
        )
    except ValueError as error:
        raise BadRequest(str(error)) from error
    return Answer(200, encode_json({names[0]: body[names[0]], "scenario": body["scenario"]}))


async def _payment(surface: Surface, asker: Asker, name: str | None) -> Payment | None:
    """A payment by our id, or by the id any dialect shows."""
    if name is None:
        return None
    id = inward(PAYMENT, name)
    if id is not None:
        return await surface.world.store.payment(asker.merchant, id)
    for dialect in surface.world.dialects:
        found = await surface.reads.find_payment(asker.merchant, dialect, name)
        if found is not None:
            return found
    return None
