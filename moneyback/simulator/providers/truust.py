"""Truust as its documents describe it: a refund is answered with its payin, and found again by its tag in a list.

Source: provider docs (Refund payin, List refunds, Get refund, introduction), and what its clients have met: objects
beneath `data`, a byte order mark before the JSON, fields that a list cannot be searched by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec

from moneyback.dialect import Call, Reply
from moneyback.simulator.books import Given
from moneyback.simulator.providers.model import JSON, Model, Sale, minor, reply, written

_REFUND: Final = re.compile(r"/2\.0/payins/([^/]+)/refund")
_SYMBOLS: Final = {"EUR": "€", "GBP": "£", "USD": "$"}
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
DAY_LENGTH: Final = 10


class Truust(Model):
    """One account at Truust. Habits: wrapped in `data`, a byte order mark, searches by payin, passes fields over."""

    name: ClassVar[str] = "truust"
    speaks: ClassVar[bool] = True
    currencies: ClassVar[tuple[str, ...]] = ("EUR", "GBP", "USD")

    def amount_in(self, call: Call) -> tuple[str, int] | None:
        """The amount is a number of major units."""
        found = _REFUND.fullmatch(call.path)
        if call.method != "POST" or found is None:
            return None
        return found[1], minor(_decode(call.body)["amount"], self.sales[found[1]].currency)

    def answer(self, call: Call, refund: UUID | None, now: datetime) -> Reply:
        """What Truust says to a call."""
        if not call.headers.get("authorization", "").startswith("Bearer "):
            return reply(401, {"message": "Unauthenticated."})
        match call.method, call.path.strip("/").split("/")[1:]:
            case "GET", ["payins", number] if number in self.sales:
                return self._one(self._payin(self.sales[number], now))
            case "POST", ["payins", number, "refund"] if number in self.sales:
                return self._create(self.sales[number], _decode(call.body), refund, now)
            case "GET", ["refunds"]:
                return self._list(dict(call.query), now)
            case "GET", ["refunds", number] if (found := self.find(number)) is not None:
                return self._one(self._refund(found, now))
            case _:
                return reply(404, {"message": "Not found"})

    def not_now(self) -> tuple[Reply, ...]:
        """Too many calls, or a key that is not taken just now."""
        return reply(429, {"message": "Too Many Attempts."}), reply(401, {"message": "Unauthenticated."})

    def broken(self) -> tuple[Reply, ...]:
        """Something went wrong inside."""
        return (reply(500, {"message": "Server Error"}),)

    def shown_reference(self, given: Given) -> Any:
        """The members that may carry it."""
        return {"tag": given.said.get("tag"), "metadata": given.said.get("metadata")}

    # --- calls ---

    def _create(self, sale: Sale, body: Mapping[str, Any], refund: UUID | None, now: datetime) -> Reply:
        amount = minor(body["amount"], sale.currency)
        if amount < 1 or self.too_much(sale, amount, now):
            errors = {"amount": ["The amount is more than what is left of the payin."]}
            return reply(422, {"message": "The given data was invalid.", "errors": errors})
        course = self.course()
        if course.doubt == "not_executed":
            return self.broken()[0]
        if course.fails and not course.pending and self.random.random() < 0.5:
            return reply(403, {"message": "Refunds are not supported for this payment method."})
        self.give(sale, amount, now, course, refund, {"tag": body.get("tag"), "metadata": body.get("metadata")})
        return self.broken()[0] if course.doubt == "executed" else self._one(self._payin(sale, now))

    def _list(self, query: dict[str, str], now: datetime) -> Reply:
        rows: Iterable[Given] = (each for reference in self.sales for each in self.listed(reference, now))
        if (day := query.get("date_begin")) is not None:
            rows = [each for each in rows if self._stamp(each.received_at)[:DAY_LENGTH] >= day]
        _, _, by_payin, passes_over = self.temper.habits
        match query.get("search"):
            case "tag":
                rows = [each for each in rows if each.said.get("tag") == query["query"]]
            case "payin_id" if by_payin:
                rows = [each for each in rows if each.payment == query["query"]]
            case str(field) if not passes_over:
                errors = {"search": [f"The field {field} cannot be searched."]}
                return reply(422, {"message": "The given data was invalid.", "errors": errors})
            case _:
                pass
        found = sorted(rows, key=lambda each: (each.received_at, each.id), reverse=query.get("sort", "desc") == "desc")
        page, size = int(query.get("page", 1)), int(query.get("per_page", 15))
        shown = [self._refund(each, now) for each in found[(page - 1) * size : page * size]]
        return self._bytes({"current_page": page, "per_page": size, "total": len(found), "data": shown})

    # --- what is shown ---

    def _payin(self, sale: Sale, now: datetime) -> dict[str, Any]:
        refunded = self.gone(sale.reference, now) >= sale.captured
        return {
            "id": int(sale.reference),
            "self": f"/2.0/payins/{sale.reference}",
            "reference": None,
            "type": "REDSYS_V2",
            "status": "REFUNDED" if refunded else "CONFIRMED",
            "provider": {},
            "tag": None,
            "created_at": self._stamp(sale.at),
            "confirmed_at": self._stamp(sale.at),
            "denied_at": None,
            "connections": {},
        }

    def _refund(self, given: Given, now: datetime) -> dict[str, Any]:
        sale, status = self.sales[given.payment], given.status(now)
        settled = self._stamp(given.received_at if status == "pending" else given.settles_at)
        return {
            "id": int(given.id),
            "self": f"/2.0/refunds/{given.id}",
            "reference_id": None,
            "amount": f"{written(given.amount, sale.currency)} {_SYMBOLS[sale.currency]}",
            "status": {"pending": "CREATED", "succeeded": "CONFIRMED"}.get(status, "DENIED"),
            "payin_id": int(given.payment),
            "wallet_id": None,
            "escrow_id": 1,
            "tag": given.said.get("tag"),
            "provider": None,
            "metadata": given.said.get("metadata"),
            "created_at": self._stamp(given.received_at),
            "updated_at": settled,
            "denied_at": settled if status == "failed" else None,
            "connections": {},
        }

    def _one(self, shown: dict[str, Any]) -> Reply:
        wrapped = self.temper.habits[0]
        return self._bytes({"data": shown} if wrapped else shown)

    def _bytes(self, body: Any) -> Reply:
        mark = b"\xef\xbb\xbf" if self.temper.habits[1] else b""
        return Reply(status=200, headers=JSON, body=mark + msgspec.json.encode(body))

    def _stamp(self, at: datetime) -> str:
        return self.own_time(at).strftime("%Y-%m-%dT%H:%M:%SZ")
