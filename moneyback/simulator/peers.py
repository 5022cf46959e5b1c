"""Whom simulated processes talk to: what a network needs to know of a provider, and how it tells our calls apart.

A call that gives money back is recognised by its provider. Which refund of ours it is for, many wires do not say; so
every call of a sending carries a label, which the network reads and takes off. No provider ever sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from msgspec.structs import replace

from moneyback.bank import wire
from moneyback.bank.client import PROCESSING
from moneyback.bank.memory import MemoryBank
from moneyback.dialect import AnswerLost, Call, Client, NotConnected, Reply, Sending, Sent
from moneyback.simulator.books import Books, books_of_bank, refund_of

LABEL: Final = "simulated-attempt"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A call that gives money back: how much of what, and for which attempt of which refund of ours."""

    payment: str  # the provider's id
    amount: int  # minor units
    refund: UUID
    generation: int
    key: str | None = None  # by which the provider is to know it again


class Taken(msgspec.Struct, frozen=True):
    """What a provider answers to a call. None: nothing, for ever."""

    reply: Reply | None
    delay_s: float = 0.0


class Peer(Protocol):
    """A provider at the far end of a network."""

    @property
    def processing(self) -> timedelta:
        """How long a call may be under way and be worked on: what every horizon of the product is built on."""

    @property
    def answer_s(self) -> float | None:
        """How long its answer is waited for once a call was written; None: until the deadline of the call."""

    @property
    def shared(self) -> bool:
        """Whether refunds of one payment can be told apart here, so that several may be under way."""

    def amount_in(self, call: Call) -> tuple[str, int] | None:
        """Of which payment, and how much, a call gives back; None for any other call."""

    def key_in(self, call: Call) -> str | None:
        """The key of a call that gives money back."""

    def repeatable(self, call: Call) -> bool:
        """Whether a copy of this call is known again, so that no harm is done when it arrives too."""

    async def take(self, call: Call, refund: UUID | None, now: datetime) -> Taken:
        """Take a call, and do what it says."""

    async def books(self, payment: str) -> Books:
        """What was truly done with a payment."""

    def not_now(self) -> tuple[Reply, ...]:
        """The answers by which it turns calls away without taking them."""

    def broken(self) -> tuple[Reply, ...]:
        """Errors that say nothing of whether it did what it was asked."""


def labelled(client: Client) -> Client:
    """A connector whose sending labels its calls with the attempt they are for."""

    def send(sending: Sending) -> Sent:
        story = client.send(sending)
        try:
            call = next(story)
            while True:
                try:
                    reply = yield replace(call, headers={**call.headers, LABEL: sending.mark})
                except (NotConnected, AnswerLost) as error:
                    call = story.throw(error)
                else:
                    call = story.send(reply)
        except StopIteration as ended:
            seen: tuple[Any, ...] = ended.value
            return seen

    return replace(client, send=send)


def unlabelled(call: Call) -> tuple[str | None, Call]:
    """The label of a call, and the call as its provider gets it."""
    if LABEL not in call.headers:
        return None, call
    headers: Mapping[str, str] = {name: value for name, value in call.headers.items() if name != LABEL}
    return call.headers[LABEL], replace(call, headers=headers)


def asked_in(peer: Peer, label: str | None, call: Call) -> Asked | None:
    """What a labelled call gives back."""
    refund = refund_of(label)
    found = peer.amount_in(call) if refund is not None else None
    if label is None or refund is None or found is None:
        return None
    generation = int(label.rpartition("_")[2])
    return Asked(payment=found[0], amount=found[1], refund=refund, generation=generation, key=peer.key_in(call))


class BankPeer:
    """The sandbox bank on one rung."""

    processing = PROCESSING
    answer_s = None

    def __init__(self, bank: MemoryBank, account: str, rung: int) -> None:
        self._bank = bank
        self._account = account
        self._rung = rung
        self.shared = rung >= wire.RUNG_KEYED

    def amount_in(self, call: Call) -> tuple[str, int] | None:
        """Of which payment, and how much, a call gives back."""
        asked = wire.asked(wire.addressed(call)[2])
        return (asked.payment, asked.amount) if isinstance(asked, wire.RefundCall) else None

    def key_in(self, call: Call) -> str | None:
        """It stands in the body."""
        asked = wire.asked(wire.addressed(call)[2])
        return asked.key if isinstance(asked, wire.RefundCall) else None

    def repeatable(self, call: Call) -> bool:
        """Where a key is known again; but what is answered by a question is meant to be called again."""
        asked = wire.asked(wire.addressed(call)[2])
        question = isinstance(asked, wire.RefundCall) and "requires_action" in (asked.scenario or "")
        return self.shared and not question

    async def take(self, call: Call, refund: UUID | None, now: datetime) -> Taken:
        """Take a call. Whose it is stands in it."""
        account, rung, inner = wire.addressed(call)
        answer = await self._bank.handle(account, rung, inner, now)
        return Taken(answer.reply, answer.delay_s)

    async def books(self, payment: str) -> Books:
        """What was truly done with a payment."""
        return books_of_bank(await self._bank.books(self._account, payment))

    def not_now(self) -> tuple[Reply, ...]:
        """How it turns calls away."""
        return (wire.not_taken(), wire.busy())

    def broken(self) -> tuple[Reply, ...]:
        """What it says when something went wrong."""
        return (wire.refusal(500, "internal", "Something went wrong at the bank."),)
