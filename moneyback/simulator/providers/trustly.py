"""Trustly as its documents describe it: refunds are transactions that echo a reference, and originals keep the sums.

Source: provider docs (Refund transaction, OpenAPI, Errors, Transaction types, Testing). Where those and what clients
have met differ (bare or beneath `transaction`, numbers as text), each account has its own habit.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs
from uuid import UUID

from moneyback.dialect import Call, Reply
from moneyback.simulator.books import Given
from moneyback.simulator.providers.model import Model, Sale, minor, reply, written

_REFUND: Final = re.compile(r"/transactions/([^/]+)/refund")
CAPTURE, REFUND, REVERSE = 3, 4, 5
PENDING, PROCESSED, COMPLETED, FAILED, REVERSED, PARTLY, REFUNDED = 1, 3, 4, 5, 10, 11, 12


class Trustly(Model):
    """One merchant of Trustly's. Habits: wrapped and in numbers, sums move on acceptance, errors come with 200."""

    name: ClassVar[str] = "trustly"
    speaks: ClassVar[bool] = True
    currencies: ClassVar[tuple[str, ...]] = ("USD",)
    contests: ClassVar[tuple[str, ...]] = ("return",)
    bounces: ClassVar[bool] = True
    least: ClassVar[int] = 99

    def amount_in(self, call: Call) -> tuple[str, int] | None:
        """A form says it in major units."""
        found = _REFUND.fullmatch(call.path)
        if call.method != "POST" or found is None:
            return None
        return found[1], self._amount(self.sales[found[1]], call)

    def answer(self, call: Call, refund: UUID | None, now: datetime) -> Reply:
        """What Trustly says to a call."""
        if not call.headers.get("authorization", "").startswith("Basic "):
            return reply(401, self._errors(375, "Access control error"))
        match call.method, call.path.strip("/").split("/"):
            case "GET", ["transactions"]:
                return self._list(call.query, now)
            case "GET", ["transactions", number] if number in self.sales:
                return self._one(self._original(self.sales[number], now))
            case "GET", ["transactions", number] if (found := self.find(number)) is not None:
                return self._one(self._record(found, now))
            case "POST", ["transactions", number, "refund"] if number in self.sales:
                return self._create(self.sales[number], call, refund, now)
            case _:
                return self._refuse(200, "Invalid parameter: transactionId")

    def not_now(self) -> tuple[Reply, ...]:
        """Maintenance, or nobody lets us in."""
        return reply(503, self._errors(100, "Maintenance")), reply(401, self._errors(375, "Access control error"))

    def broken(self) -> tuple[Reply, ...]:
        """Something went wrong inside, or at the bank side."""
        return reply(500, self._errors(100, "Internal error")), reply(400, self._errors(378, "Bank request error"))

    def shown_reference(self, given: Given) -> Any:
        """The reference itself."""
        return given.said["reference"]

    def said_elsewhere(self) -> dict[str, Any]:
        """A reference of somebody else's."""
        return {"reference": "by hand"}

    # --- calls ---

    def _create(self, sale: Sale, call: Call, refund: UUID | None, now: datetime) -> Reply:
        amount, form = self._amount(sale, call), parse_qs(call.body.decode())
        if amount < self.least or sale.lost(now) or self.too_much(sale, amount, now):
            return self._refuse(200, "Invalid parameter: amount")
        course = self.course()
        if course.doubt == "not_executed":
            return self.broken()[-1]
        if course.fails and not course.pending:
            return self._refuse(*self.random.choice(((331, "Not enough balance"), (390, "Fraud analysis"))))
        given = self.give(sale, amount, now, course, refund, {"reference": form["merchantReference"][0]})
        return self.broken()[-1] if course.doubt == "executed" else self._one(self._record(given, now))

    def _amount(self, sale: Sale, call: Call) -> int:
        """Left out, it means all that was collected."""
        stated = parse_qs(call.body.decode()).get("amount")
        return sale.captured if stated is None else minor(stated[0], "USD")

    def _list(self, query: tuple[tuple[str, str], ...], now: datetime) -> Reply:
        asked = dict(query)
        number = asked.get("originalTransactionId", "")
        sale = self.sales.get(number)
        rows = [] if sale is None else [self._record(each, now) for each in self.listed(number, now)]
        if sale is not None and sale.lost(now):
            rows.append(self._reverse(sale))
        kinds = {int(value) for name, value in query if name == "transactionType"}
        rows = [each for each in rows if not kinds or each["transactionType"] in kinds]
        rows.sort(key=lambda each: each["createdAt"], reverse=asked.get("sortOrder", "desc") == "desc")
        start, count = int(asked.get("startIndex", 0)), min(100, int(asked.get("count", 25)))
        return reply(200, {"transactions": [self._dressed(each) for each in rows[start : start + count]]})

    # --- what is shown ---

    def _original(self, sale: Sale, now: datetime) -> dict[str, Any]:
        """Its sums leave out what failed. They move on acceptance or on completion, as this account has it."""
        counted = ("pending", "succeeded") if self.temper.habits[1] else ("succeeded",)
        refunded = sum(each.amount for each in self.listed(sale.reference, now) if each.status(now) in counted)
        reversed_ = sale.captured if sale.lost(now) else 0
        status = REVERSED if reversed_ else COMPLETED
        if refunded and not reversed_:
            status = PARTLY if refunded < sale.captured else REFUNDED
        shown = self._transaction(sale.reference, CAPTURE, status, sale.captured, sale.at, sale.at)
        return shown | {
            "paid": written(sale.captured, "USD"),
            "refunded": written(refunded, "USD"),
            "reversed": written(reversed_, "USD"),
            "balance": written(sale.captured - refunded - reversed_, "USD"),
        }

    def _record(self, given: Given, now: datetime) -> dict[str, Any]:
        stands = given.status(now)
        status = {"succeeded": COMPLETED, "failed": FAILED, "returned": REVERSED}.get(stands, PENDING)
        if stands == "pending" and now - given.received_at > (given.settles_at - given.received_at) / 2:
            status = PROCESSED
        changed = given.received_at if stands == "pending" else given.settles_at
        shown = self._transaction(given.id, REFUND, status, given.amount, given.received_at, changed)
        paid = given.amount if stands == "succeeded" else 0
        bank = {"status": "R01", "statusDescription": "Insufficient funds"} if stands in ("failed", "returned") else {}
        return shown | {
            "originalTransactionId": given.payment,
            "merchantReference": given.said.get("reference", ""),
            "paid": written(paid, "USD"),
            "pending": written(given.amount - paid if stands == "pending" else 0, "USD"),
            "paymentProviderTransaction": bank,
        }

    def _reverse(self, sale: Sale) -> dict[str, Any]:
        at = sale.taken_back_at or sale.at
        shown = self._transaction(f"{sale.reference}5", REVERSE, COMPLETED, sale.captured, at, at)
        return shown | {"originalTransactionId": sale.reference}

    def _transaction(
        self, number: str, kind: int, status: int, amount: int, created: datetime, changed: datetime
    ) -> dict[str, Any]:
        return {
            "transactionId": number,
            "transactionType": kind,
            "currency": "USD",
            "amount": written(amount, "USD"),
            "paid": "0.00",
            "refunded": "0.00",
            "reversed": "0.00",
            "status": status,
            "statusMessage": "",
            "createdAt": self._stamp(created),
            "updatedAt": self._stamp(changed),
            "completedAt": self._stamp(changed) if status == COMPLETED else 0,
            "merchantReference": "order",
        }

    def _one(self, shown: dict[str, Any]) -> Reply:
        dressed = self._dressed(shown)
        return reply(200, {"transaction": dressed} if self.temper.habits[0] else dressed)

    def _dressed(self, shown: dict[str, Any]) -> dict[str, Any]:
        if self.temper.habits[0]:
            return shown
        return shown | {name: str(shown[name]) for name in ("transactionType", "status")}

    def _refuse(self, code: int, words: str) -> Reply:
        return reply(200 if self.temper.habits[2] else 400, self._errors(code, words))

    def _errors(self, code: int, words: str) -> dict[str, Any]:
        return {"errors": [{"domain": "API", "code": code, "message": words}]}

    def _stamp(self, at: datetime) -> int:
        return int(self.own_time(at).timestamp() * 1000)
