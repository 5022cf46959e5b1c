"""What the tests say to the bank, and the payments and refunds the connector is driven with."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from moneyback.bank import wire
from moneyback.bank.book import Capture
from moneyback.bank.port import Bank
from moneyback.bank.rules import Answer
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import AnswerLost, Call, NotConnected, Reply, Sending

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CAPTURED_AT = NOW - timedelta(seconds=10)
MERCHANT = UUID(int=1)
REFUND = UUID(int=0xA)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def refund_call(**members: Any) -> Call:
    """`POST /refunds` for 500 of a payment of 1000, unless the members say otherwise."""
    body = {
        "payment": "p1",
        "captured": 1000,
        "captured_at": CAPTURED_AT,
        "currency": "EUR",
        "amount": 500,
        "key": "k1",
    }
    return Call(method="POST", path="/refunds", body=msgspec.json.encode(body | members))


def get(path: str, **query: str) -> Call:
    return Call(method="GET", path=path, query=tuple(query.items()))


def told(**members: Any) -> Capture:
    facts: dict[str, Any] = {"reference": "p1", "captured": 1000, "captured_at": CAPTURED_AT, "currency": "EUR"}
    return Capture(**(facts | members))


def body(reply: Reply | None) -> dict[str, Any]:
    assert reply is not None
    return msgspec.json.decode(reply.body)


def said(answer: Answer) -> tuple[int, str] | None:
    """Status and machine word of an answer, None for one that was lost."""
    if answer.reply is None:
        return None
    members = body(answer.reply)
    return answer.reply.status, members["refund"]["status"] if "refund" in members else members["error"]


def a_payment(**members: Any) -> Payment:
    facts: dict[str, Any] = {
        "merchant": MERCHANT,
        "id": UUID(int=2),
        "version": 1,
        "dialect": "native",
        "dialect_id": "p1",
        "rail": "sandbox",
        "account": "sandbox",
        "reference": "p1",
        "currency": "EUR",
        "captured": 1000,
        "captured_at": CAPTURED_AT,
        "created_at": CAPTURED_AT,
        "updated_at": CAPTURED_AT,
    }
    return Payment(**(facts | members))


def a_refund(**members: Any) -> Refund:
    facts: dict[str, Any] = {
        "merchant": MERCHANT,
        "id": REFUND,
        "payment": UUID(int=2),
        "dialect": "native",
        "dialect_id": "r1",
        "rail": "sandbox",
        "currency": "EUR",
        "payer": 500,
        "wallet": 500,
        "fee_return": 0,
        "state": State.SENDING,
        "version": 1,
        "created_at": NOW,
        "updated_at": NOW,
        "generation": 1,
        "send_deadline": at(30),
    }
    return Refund(**(facts | members))


def a_sending(payment: Payment | None = None, generation: int = 1, **members: Any) -> Sending:
    refund = a_refund(**({"generation": generation} | members))
    mark = f"mb_{refund.id.hex}_{generation}"
    return Sending(payment=payment or a_payment(), refund=refund, mark=mark, key=refund.id.hex)


async def drive(conversation: Generator[Call, Reply, Any], bank: Bank, now: datetime) -> Any:
    """Run a conversation of the connector against a bank; a lost answer is thrown in."""

    async def exchange(call: Call) -> Reply | Exception:
        account, rung, inner = wire.addressed(call)
        return (await bank.handle(account, rung, inner, now)).reply or AnswerLost()

    try:
        call = next(conversation)
        while True:
            got = await exchange(call)
            call = conversation.throw(got) if isinstance(got, Exception) else conversation.send(got)
    except StopIteration as end:
        return end.value


def answer_with(conversation: Generator[Call, Reply, Any], *replies: Reply | NotConnected | AnswerLost) -> Any:
    """Run a conversation against scripted answers."""
    script: Callable[[], Any] = iter(replies).__next__
    try:
        next(conversation)
        while True:
            got = script()
            if isinstance(got, Exception):
                conversation.throw(got)
            else:
                conversation.send(got)
    except StopIteration as end:
        return end.value
