"""CHIP as its documents describe it: one object, the Purchase, is all that can be read again, and it shows no refund
but by what is left of it, by the Payments its history names, and by its attempts.

Source: provider docs (refund a paid purchase, create a purchase, errors), and what its sandbox was seen to answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from moneyback.dialect import Call, Reply
from moneyback.simulator.books import Given
from moneyback.simulator.providers.model import NOTHING, Course, Model, Sale, reply

_REFUND: Final = re.compile(r"/purchases/([^/]+)/refund/")
PROCESSING_ERROR: Final = "purchase_refund_error"
REFUSALS: Final = ("do_not_honour", "insufficient_funds", "exceeded_acquirer_refund_amount", "expired_card")
SILENCES: Final = ("timeout", "acquirer_connection_error", "issuer_not_available")


class _Attempt(msgspec.Struct, frozen=True):
    at: datetime
    listed_at: datetime
    code: str | None


class Chip(Model):
    """One company at CHIP. Habits: what is on its way is subtracted already, a Payment has a `status`, an attempt that
    nobody answered is shown only when it is known whether it refunded."""

    name: ClassVar[str] = "chip"
    currencies: ClassVar[tuple[str, ...]] = ("MYR",)
    contests: ClassVar[tuple[str, ...]] = ("dispute",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._attempts: dict[str, list[_Attempt]] = {}

    def new_id(self) -> str:
        """Its ids are UUIDs."""
        return str(UUID(int=self.random.getrandbits(128)))

    def amount_in(self, call: Call) -> tuple[str, int] | None:
        """In minor units."""
        found = _REFUND.fullmatch(call.path)
        return (found[1], msgspec.json.decode(call.body)["amount"]) if call.method == "POST" and found else None

    def answer(self, call: Call, refund: UUID | None, now: datetime) -> Reply:
        """What CHIP says to a call."""
        if not call.headers.get("authorization", "").startswith("Bearer "):
            return self._wrong(401, "authentication_failed", "Incorrect secret_key")
        match call.method, call.path.split("/"):
            case "GET", ["", "purchases", number, ""] if number in self.sales:
                return reply(200, self._purchase(self.sales[number], now, self.listed(number, now)))
            case "POST", ["", "purchases", number, "refund", ""] if number in self.sales:
                return self._create(self.sales[number], msgspec.json.decode(call.body)["amount"], refund, now)
            case _:
                return self._wrong(404, "not_found", "Not found.")

    def not_now(self) -> tuple[Reply, ...]:
        """Too many calls, or a key that is not taken just now."""
        return (
            reply(429, {"message": "Request was throttled.", "code": "throttled"}),
            self._wrong(401, "authentication_failed", "Incorrect secret_key"),
        )

    def broken(self) -> tuple[Reply, ...]:
        """Something went wrong inside."""
        return (reply(500, {"message": "Server error", "code": "error"}),)

    # --- calls ---

    def _create(self, sale: Sale, amount: int, refund: UUID | None, now: datetime) -> Reply:
        if self._status(sale, now, self.given[sale.reference]) not in ("paid", "refunded"):
            return self._wrong(400, "purchase_refund_wrong_status", "The status does not allow a refund.")
        if self.too_much(sale, amount, now):
            if not self.room(sale, now):
                return self._wrong(400, "purchase_refund_not_possible", "This Purchase was already fully refunded.")
            words = {"message": f"At most {self.room(sale, now)}.", "code": "max_value"}
            return reply(400, {"amount": [words]})
        course = self.course()
        if course.doubt == "executed":
            self.give(sale, amount, now, course, refund, {})
        if course.doubt != "no":
            told = course if self.temper.habits[2] else replace(course, lag=NOTHING)
            self._attempt(sale, now, told, self.random.choice(SILENCES))
            return self._wrong(400, PROCESSING_ERROR, "The refund could not be processed.")
        if course.fails and not course.pending:
            self._attempt(sale, now, course, self.random.choice(REFUSALS))
            return self._wrong(400, PROCESSING_ERROR, "The refund could not be processed.")
        given = self.give(sale, amount, now, course, refund, {})
        if course.pending:
            code = self.random.choice(REFUSALS) if course.fails else None
            self._attempt(sale, given.settles_at, course, code)
            return reply(200, self._purchase(sale, now, self.given[sale.reference]))
        self._attempt(sale, now, course, None)
        return reply(200, self._payment(given, sale))

    def _attempt(self, sale: Sale, at: datetime, course: Course, code: str | None) -> None:
        self._attempts.setdefault(sale.reference, []).append(_Attempt(at, at + course.lag, code))

    # --- what is shown ---

    def _status(self, sale: Sale, now: datetime, made: list[Given]) -> str:
        if sale.contested(now) or sale.lost(now):
            return "chargeback"
        if any(each.status(now) == "pending" for each in made):
            return "pending_refund"
        return "refunded" if any(each.status(now) == "succeeded" for each in made) else "paid"

    def _purchase(self, sale: Sale, now: datetime, made: list[Given]) -> dict[str, Any]:
        """Read, it is as late as the lists of others are; an answer to a refund knows of that refund."""
        subtracted = ("pending", "succeeded") if self.temper.habits[0] else ("succeeded",)
        left = max(0, sale.captured - sum(each.amount for each in made if each.status(now) in subtracted))
        return {
            "type": "purchase",
            "id": sale.reference,
            "created_on": self.seconds(sale.at),
            "updated_on": self.seconds(now),
            "status": self._status(sale, now, made),
            "status_history": [*self._history(sale, made, now)],
            "purchase": {"currency": sale.currency, "total": sale.captured, "products": []},
            "payment": {
                "is_outgoing": False,
                "payment_type": "purchase",
                "amount": sale.captured,
                "currency": sale.currency,
                "paid_on": self.seconds(sale.at),
            },
            "transaction_data": {"payment_method": "fpx", "attempts": [*self._shown_attempts(sale, now)]},
            "refund_availability": "all" if left else "none",
            "refundable_amount": left,
        }

    def _history(self, sale: Sale, made: list[Given], now: datetime) -> Iterator[dict[str, Any]]:
        yield {"status": "paid", "timestamp": self.seconds(sale.at)}
        for each in made:
            if each.status(now) == "succeeded":
                related = {"type": "payment", "id": each.id}
                yield {"status": "refunded", "timestamp": self.seconds(each.settles_at), "related_object": related}

    def _shown_attempts(self, sale: Sale, now: datetime) -> Iterator[dict[str, Any]]:
        """Newest first."""
        made = [each for each in self._attempts.get(sale.reference, ()) if each.listed_at <= now]
        for each in sorted(made, key=lambda each: each.at, reverse=True):
            yield {
                "type": "refund",
                "successful": each.code is None,
                "processing_time": self.seconds(each.at),
                "error": None if each.code is None else {"code": each.code, "message": "No."},
            }

    def _payment(self, given: Given, sale: Sale) -> dict[str, Any]:
        shown = {
            "type": "payment",
            "id": given.id,
            "created_on": self.seconds(given.received_at),
            "updated_on": self.seconds(given.settles_at),
            "payment": {
                "is_outgoing": True,
                "payment_type": "refund",
                "amount": given.amount,
                "currency": sale.currency,
                "paid_on": self.seconds(given.settles_at),
            },
            "related_to": {"type": "purchase", "id": sale.reference},
        }
        return shown | ({"status": "success"} if self.temper.habits[1] else {})

    def _wrong(self, status: int, code: str, words: str) -> Reply:
        return reply(status, {"__all__": [{"message": words, "code": code}]})
