"""Our connector against our own server half of the same provider, in memory: every byte it sends is read, none is lost
unless the test says so.

    link = Loopback(Table(DIALECT))
    payment = link.pay(10_000, "USD")
    (seen,) = link.send(a_sending(payment, payer=100))
    looked = link.look(a_sending(payment, payer=100, state=State.UNKNOWN), link.figures(payment))
"""

import json
from collections.abc import Generator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import parse_qsl
from uuid import UUID

from msgspec.structs import replace

from moneyback.core.commands import Observation
from moneyback.core.payment import Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import AnswerLost, Call, Client, Figures, Looked, NotConnected, Reply, Sending
from tests.dialects.driver import START, Table, text

REFUND = UUID(int=0xA)
Fate = Literal["arrives", "not connected", "lost before", "lost after"]


def a_payment(reference: str, amount: int, currency: str, **members: Any) -> Payment:
    """A payment on the client's side of the wire, known to its provider by `reference`."""
    facts: dict[str, Any] = {
        "merchant": UUID(int=1),
        "id": UUID(int=2),
        "version": 1,
        "dialect": "native",
        "dialect_id": "p1",
        "rail": "outside",
        "account": "outside",
        "reference": reference,
        "currency": currency,
        "captured": amount,
        "captured_at": START,
        "created_at": START,
        "updated_at": START,
    }
    return Payment(**(facts | members))


def a_sending(payment: Payment, payer: int, generation: int = 1, **members: Any) -> Sending:
    """An attempt of one refund of that payment."""
    facts: dict[str, Any] = {
        "merchant": payment.merchant,
        "id": REFUND,
        "payment": payment.id,
        "dialect": "native",
        "dialect_id": "r1",
        "rail": payment.rail,
        "currency": payment.currency,
        "payer": payer,
        "wallet": payer,
        "fee_return": 0,
        "state": State.SENDING,
        "version": 1,
        "created_at": START,
        "updated_at": START,
        "generation": generation,
        "send_deadline": START + timedelta(seconds=30),
    }
    refund = Refund(**(facts | members))
    return Sending(payment=payment, refund=refund, mark=f"mb_{refund.id.hex}_{generation}", key=refund.id.hex)


def answer_with(conversation: Generator[Call, Reply, Any], *replies: Reply | Exception) -> Any:
    """Run a conversation against scripted answers, all of which it must ask for."""
    script = iter(replies)
    try:
        next(conversation)
        while True:
            got = next(script)
            if isinstance(got, Exception):
                conversation.throw(got)
            else:
                conversation.send(got)
    except StopIteration as end:
        assert list(script) == []
        return end.value


class Loopback:
    """One connector, the table that answers it, and all that went over the wire between them."""

    def __init__(self, table: Table) -> None:
        assert table.dialect.client is not None
        self.table = table
        self.client: Client = table.dialect.client
        self.calls: list[Call] = []

    def pay(self, amount: int, currency: str, **fields: Any) -> Payment:
        """A payment at the provider, as its client knows it."""
        paid = self.table.pay(amount, currency, **fields)
        return a_payment(paid.dialect_id, amount, currency)

    def send(self, sending: Sending, fate: Fate = "arrives", before: Figures | None = None) -> tuple[Observation, ...]:
        """One attempt; `fate` is what becomes of its call and the answer to it, `before` what was read ahead of it."""
        seen: tuple[Observation, ...] = self._drive(self.client.send(replace(sending, pre_read=kept(before))), fate)
        return seen

    def figures(self, payment: Payment) -> Figures:
        """What is read before sending."""
        found: Figures = self._drive(self.client.read(payment))
        return found

    def look(self, sending: Sending, before: Figures | None = None) -> Looked:
        """One look; `before` is what was read before sending, as the attempt's row keeps it."""
        found: Looked = self._drive(self.client.look(sending, kept(before)))
        return found

    def _drive(self, conversation: Generator[Call, Reply, Any], fate: Fate = "arrives") -> Any:
        try:
            call = next(conversation)
            while True:
                got = self._exchange(call, fate)
                call = conversation.throw(got) if isinstance(got, Exception) else conversation.send(got)
        except StopIteration as end:
            return end.value

    def _exchange(self, call: Call, fate: Fate) -> Reply | NotConnected | AnswerLost:
        self.calls.append(call)
        if fate in ("not connected", "lost before"):
            return NotConnected() if fate == "not connected" else AnswerLost()
        outgoing = self.table.call(
            call.method,
            self.table.dialect.base_path + call.path,
            decoded(call),
            query=call.query,
            headers=call.headers,
            encoding=encoding(call),
        )
        reply = Reply(status=outgoing.status, headers=outgoing.headers, body=text(outgoing))
        return reply if fate == "arrives" else AnswerLost()


def kept(before: Figures | None) -> dict[str, Any]:
    """What the attempt's row keeps of a reading."""
    if before is None:
        return {}
    seen = None if before.seen is None else list(before.seen)
    return {"left": before.left, "refund_ids": list(before.refund_ids or ()), "seen": seen}


def encoding(call: Call) -> str:
    """How a mount would have decoded the body, from its own media type."""
    if not call.body:
        return "none"
    return "form" if "urlencoded" in call.headers["content-type"] else "json"


def decoded(call: Call) -> Any:
    """The body as a mount decodes it."""
    match encoding(call):
        case "none":
            return None
        case "form":
            return dict(parse_qsl(call.body.decode(), keep_blank_values=True, strict_parsing=True))
        case _:
            return json.loads(call.body, parse_float=Decimal)


def as_reply(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer with a JSON body, or with the bytes that are given."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, body=raw, headers=headers or {})
