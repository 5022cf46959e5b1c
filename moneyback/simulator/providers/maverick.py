"""Maverick as its documents describe it: a refund is a record of its own that names its original, and echoes nothing.

Source: provider docs (refund page, partial refund page, status page), and recorded answers of its sandbox. What they
leave open (a refusal as a record or as an error) is a habit of the terminal.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec

from moneyback.dialect import Call, Reply
from moneyback.simulator.books import Given
from moneyback.simulator.providers.model import Model, Sale, minor, reply, written

_REFUND: Final = re.compile(r"/payment/([^/]+)/refund")
TERMINAL: Final = 24
MINUTE: Final = timedelta(minutes=1)
DUPLICATE: Final = "Possible Duplicate Request"
DECLINES: Final = ("Insufficient Funds", "Insufficient privileges", "Supervisor Override Required")
SILENCES: Final = ("Time out", "Error on Host", "Issuer or Switch inoperative")


class Maverick(Model):
    """One terminal. Habits: refusals are records, a minute between equal amounts, ids are text."""

    name: ClassVar[str] = "maverick"
    speaks: ClassVar[bool] = True
    currencies: ClassVar[tuple[str, ...]] = ("USD",)

    def amount_in(self, call: Call) -> tuple[str, int] | None:
        """In major units."""
        found = _REFUND.fullmatch(call.path)
        if call.method != "POST" or found is None:
            return None
        return found[1], minor(msgspec.json.decode(call.body)["amount"], "USD")

    def answer(self, call: Call, refund: UUID | None, now: datetime) -> Reply:
        """What Maverick says to a call."""
        if not call.headers.get("authorization", "").startswith("Bearer "):
            return self._error(401, "Unauthorized", "Your request was made with invalid credentials.")
        match call.method, call.path.strip("/").split("/"):
            case "GET", ["payment", number] if number in self.sales:
                return reply(200, self._original(self.sales[number], now))
            case "GET", ["payment", number] if (found := self.find(number)) is not None:
                return reply(200, self._return(found, now))
            case "POST", ["payment", number, "refund"] if number in self.sales:
                return self._create(self.sales[number], msgspec.json.decode(call.body), refund, now)
            case _:
                return self._error(404, "Not Found", "The requested payment does not exist.")

    def not_now(self) -> tuple[Reply, ...]:
        """Too many calls; a settlement that is being made."""
        settling = "Unable to process your request. Settlement InProgress."
        return (
            self._error(429, "Too Many Requests", "Rate limit exceeded."),
            self._error(422, "Unprocessable entity", settling),
        )

    def broken(self) -> tuple[Reply, ...]:
        """Something between it and the card's bank went wrong."""
        errors = (self._error(422, "Unprocessable entity", words) for words in SILENCES)
        return (self._error(500, "Internal Server Error", "An internal server error occurred."), *errors)

    # --- calls ---

    def _create(self, sale: Sale, body: dict[str, Any], refund: UUID | None, now: datetime) -> Reply:
        if body.get("terminal", {}).get("id") != TERMINAL:
            return self._error(422, "Unprocessable entity", "Terminal ID cannot be blank.")
        amount = minor(body["amount"], "USD")
        if amount < 1 or self.too_much(sale, amount, now):
            return self._error(422, "Unprocessable entity", "Return Not Allowed")
        if self.temper.habits[1] and self._is_repeated(sale, amount, now):
            return self._error(422, "Unprocessable entity", DUPLICATE)
        course = self.course()
        if course.doubt == "not_executed":
            return self.random.choice(self.broken())
        if course.fails and not course.pending and not self.temper.habits[0]:
            return self._error(422, "Unprocessable entity", self.random.choice(DECLINES))
        given = self.give(sale, amount, now, course, refund, {"reason": self.random.choice(DECLINES)})
        return self.random.choice(self.broken()) if course.doubt == "executed" else reply(200, self._return(given, now))

    def _is_repeated(self, sale: Sale, amount: int, now: datetime) -> bool:
        made = self.given[sale.reference]
        return any(each.amount == amount and now - each.received_at < MINUTE for each in made)

    # --- what is shown ---

    def _original(self, sale: Sale, now: datetime) -> dict[str, Any]:
        listed = self.listed(sale.reference, now)
        whole = sum(each.amount for each in listed if each.status(now) == "succeeded") >= sale.captured
        children = [
            {
                "id": self._id(each.id),
                "type": "Return",
                "amount": written(each.amount, "USD"),
                "createdOn": self._stamp(each.received_at),
            }
            for each in listed
        ]
        shown = self._record(sale.reference, "Auth", sale.captured, sale.at, sale.at)
        return shown | {
            "refunded": whole,
            "captured": True,
            "history": children,
            "status": {"status": "Approved", "reason": None},
        }

    def _return(self, given: Given, now: datetime) -> dict[str, Any]:
        stands = given.status(now)
        words = {"pending": "InProgress", "succeeded": "Approved"}.get(stands, "Declined")
        reason = given.said.get("reason") if stands == "failed" else None
        changed = given.received_at if stands == "pending" else given.settles_at
        shown = self._record(given.id, "Return", given.amount, given.received_at, changed)
        return shown | {"parent": {"id": self._id(given.payment)}, "status": {"status": words, "reason": reason}}

    def _record(self, number: str, kind: str, amount: int, created: datetime, changed: datetime) -> dict[str, Any]:
        return {
            "id": self._id(number),
            "amount": written(amount, "USD"),
            "origin": "API",
            "type": kind,
            "level": 1,
            "authCode": None,
            "parent": {"id": None},
            "terminal": {"id": TERMINAL},
            "externalId": None,
            "refunded": False,
            "captured": False,
            "history": [],
            "order": None,
            "updatedOn": self._stamp(changed),
            "createdOn": self._stamp(created),
        }

    def _id(self, number: str) -> int | str:
        return number if self.temper.habits[2] else int(number)

    def _error(self, status: int, name: str, words: str) -> Reply:
        return reply(status, {"name": name, "message": words, "code": 0, "status": status})

    def _stamp(self, at: datetime) -> str:
        return self.own_time(at).strftime("%Y-%m-%d %H:%M:%S")
