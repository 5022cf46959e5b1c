"""Mangopay as its documents describe it: keys that are known again for a day, answers kept under them, failed refunds
that are refunds all the same, and a pay-in that shows nothing of what was given back.

Source: provider docs (create a pay-in refund, the refund object, idempotency, authentication, error codes).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec

from moneyback.dialect import Call, Reply
from moneyback.simulator.books import Given
from moneyback.simulator.providers.model import Course, Model, Sale, reply

KEPT: Final = timedelta(hours=24)
TOKEN_S: Final = 1200
AUTHOR: Final = "user_m_1"
_REFUND: Final = re.compile(r"/v2\.01/[^/]+/payins/([^/]+)/refunds")
_WORDS: Final = {
    "000000": "Success",
    "001999": "Generic Operation error",
    "005403": "The refund cannot exceed initial transaction amount",
    "005406": "Another refund for this transaction is still pending.",
    "005407": "Duplicated operation: you cannot reimburse the same amount more than once during the same day.",
    "005408": "Due to repudiations against this transaction, you can not refund this amount.",
}


class Mangopay(Model):
    """One client of Mangopay's."""

    name: ClassVar[str] = "mangopay"
    currencies: ClassVar[tuple[str, ...]] = ("EUR", "JPY", "USD")
    contests: ClassVar[tuple[str, ...]] = ("dispute",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._tokens: dict[str, datetime] = {}
        self._answers: dict[str, tuple[datetime, Reply]] = {}

    def amount_in(self, call: Call) -> tuple[str, int] | None:
        """The payer gets what is debited less the fees."""
        found = _REFUND.fullmatch(call.path)
        if call.method != "POST" or found is None:
            return None
        body = msgspec.json.decode(call.body)
        return found[1], body["DebitedFunds"]["Amount"] - body["Fees"]["Amount"]

    def repeatable(self, call: Call) -> bool:
        """Every call with a key."""
        return "idempotency-key" in call.headers

    def answer(self, call: Call, refund: UUID | None, now: datetime) -> Reply:
        """What Mangopay says to a call."""
        parts = call.path.strip("/").split("/")
        if parts[:3] == ["v2.01", "oauth", "token"]:
            return self._sign_in(call, now)
        shown = call.headers.get("authorization", "").partition(" ")[2]
        if shown not in self._tokens or self._tokens[shown] < now:
            words = {"Message": "The authorization credentials are not valid", "Type": "invalid_credentials"}
            return reply(401, {**words, "Date": self.seconds(now)})
        match call.method, parts[2:]:
            case "GET", ["payins", number]:
                return self._payin(number, now)
            case "GET", ["payins", number, "refunds"]:
                return self._list(number, dict(call.query), now)
            case "POST", ["payins", number, "refunds"]:
                return self._create(call, number, refund, now)
            case "GET", ["refunds", number]:
                found = self.find(number)
                return self._missing("Refund", number, now) if found is None else reply(200, self._refund(found, now))
            case "GET", ["responses", key]:
                return self._response(key, now)
            case _:
                return self._error(404, "ressource_not_found", "The ressource does not exist", {}, now)

    def not_now(self) -> tuple[Reply, ...]:
        """Too many calls."""
        return (reply(429, {"Message": "Rate limit exceeded", "Type": "rate_limit", "Id": "1", "errors": None}),)

    def broken(self) -> tuple[Reply, ...]:
        """Something went wrong inside."""
        return (reply(500, {"Message": "Internal Server Error", "Type": "other", "Id": "1", "errors": None}),)

    # --- calls ---

    def _sign_in(self, call: Call, now: datetime) -> Reply:
        if not call.headers.get("authorization", "").startswith("Basic "):
            return reply(401, {"error": "invalid_client"})
        token = f"token{len(self._tokens)}"
        self._tokens[token] = now + timedelta(seconds=TOKEN_S)
        return reply(200, {"access_token": token, "token_type": "bearer", "expires_in": TOKEN_S})

    def _payin(self, number: str, now: datetime) -> Reply:
        sale = self.sales.get(number)
        if sale is None:
            return self._missing("PayIn", number, now)
        shown = {
            "Id": sale.reference,
            "Tag": None,
            "CreationDate": self.seconds(sale.at),
            "AuthorId": AUTHOR,
            "DebitedFunds": self._money(sale.captured, sale),
            "CreditedFunds": self._money(sale.captured - sale.fees, sale),
            "Fees": self._money(sale.fees, sale),
            "Status": "SUCCEEDED",
            "ResultCode": "000000",
            "ResultMessage": "Success",
            "ExecutionDate": self.seconds(sale.at),
            "Type": "PAYIN",
            "Nature": "REGULAR",
            "PaymentType": "CARD",
            "ExecutionType": "DIRECT",
        }
        return reply(200, shown)

    def _list(self, number: str, query: dict[str, str], now: datetime) -> Reply:
        if number not in self.sales:
            return self._missing("PayIn", number, now)
        found = self.listed(number, now)
        if query.get("Sort", "").upper() != "CREATIONDATE:ASC":
            found.reverse()
        page, size = int(query.get("page", 1)), min(100, int(query.get("per_page", 10)))
        return reply(200, [self._refund(each, now) for each in found[(page - 1) * size : page * size]])

    def _create(self, call: Call, number: str, refund: UUID | None, now: datetime) -> Reply:
        """One answer a key: a second call is told that there was a first, and nothing of what it was told."""
        key = call.headers.get("idempotency-key")
        if key is not None and self._kept(key, now) is not None:
            words = "A resource has already been created with this Idempotency Key"
            return self._error(409, "idempotent_creation_conflict", words, None, now)
        course = self.course()
        if course.doubt == "not_executed":
            return self.broken()[0]
        said = self._judge(msgspec.json.decode(call.body), number, refund, course, now)
        if key is not None:
            self._answers[key] = now, said
        return self.broken()[0] if course.doubt == "executed" else said

    def _judge(self, body: dict[str, Any], number: str, refund: UUID | None, course: Course, now: datetime) -> Reply:
        sale = self.sales.get(number)
        if sale is None:
            return self._missing("PayIn", number, now)
        if body.get("AuthorId") != AUTHOR:
            return self._wrong("AuthorId", "Author of the refund is not the author of the initial payin", now)
        debited, fees = body["DebitedFunds"], body["Fees"]
        if {debited["Currency"], fees["Currency"]} != {sale.currency} or debited["Amount"] < 1:
            return self._wrong("DebitedFunds", "The value is not valid", now)
        if debited["Amount"] > sale.captured - sale.fees:
            words = "DebitedFunds cannot be superior the CreditedFunds of the initial PayIn"
            return self._wrong("DebitedFunds", words, now)
        if sale.contested(now) or sale.lost(now):
            return self._wrong("DebitedFunds", _WORDS["005408"], now)
        payer = debited["Amount"] - fees["Amount"]
        code = self._failure(sale, debited["Amount"], payer, now)
        if code is not None:
            course = msgspec.structs.replace(course, fails=True, pending=timedelta(0))
        said = {"debited": debited["Amount"], "fees": fees["Amount"], "tag": body.get("Tag")}
        given = self.give(sale, payer, now, course, refund, {**said, "code": code or "001999"})
        return reply(200, self._refund(given, now))

    def _failure(self, sale: Sale, debited: int, payer: int, now: datetime) -> str | None:
        """Why a refund fails that was well asked for."""
        others = [each for each in self.given[sale.reference] if each.moves_money(now)]
        if any(each.status(now) == "pending" for each in others):
            return "005406"
        if any(each.said.get("debited") == debited and now - each.received_at < KEPT for each in others):
            return "005407"
        return "005403" if self.too_much(sale, payer, now) else None

    def _response(self, key: str, now: datetime) -> Reply:
        kept = self._kept(key, now)
        if kept is None:
            return self._error(400, "correlationid_not_found", "The key is not known", {}, now)
        shown = {
            "StatusCode": str(kept.status),
            "ContentLength": str(len(kept.body)),
            "ContentType": "application/json; charset=utf-8",
            "Resource": msgspec.Raw(kept.body),
        }
        return reply(200, shown)

    def _kept(self, key: str, now: datetime) -> Reply | None:
        at, said = self._answers.get(key, (now - KEPT, None))
        return said if now - at < KEPT else None

    # --- what is shown ---

    def _refund(self, given: Given, now: datetime) -> dict[str, Any]:
        sale, status = self.sales[given.payment], given.status(now)
        code = {"succeeded": "000000", "failed": given.said.get("code")}.get(status)
        debited = given.said.get("debited", given.amount)
        return {
            "Id": given.id,
            "Tag": given.said.get("tag"),
            "CreationDate": self.seconds(given.received_at),
            "AuthorId": AUTHOR,
            "CreditedUserId": None,
            "DebitedFunds": self._money(debited, sale),
            "CreditedFunds": self._money(given.amount, sale),
            "Fees": self._money(debited - given.amount, sale),
            "Status": {"pending": "CREATED", "succeeded": "SUCCEEDED"}.get(status, "FAILED"),
            "ResultCode": code,
            "ResultMessage": _WORDS.get(code or ""),
            "ExecutionDate": self.seconds(given.settles_at) if status == "succeeded" else None,
            "Type": "PAYOUT",
            "Nature": "REFUND",
            "InitialTransactionId": given.payment,
            "InitialTransactionType": "PAYIN",
            "DebitedWalletId": "wallet_1",
            "CreditedWalletId": None,
            "RefundReason": {"RefundReasonMessage": None, "RefundReasonType": "INITIALIZED_BY_CLIENT"},
        }

    def _money(self, amount: int, sale: Sale) -> dict[str, Any]:
        return {"Currency": sale.currency, "Amount": amount}

    def _wrong(self, member: str, words: str, now: datetime) -> Reply:
        message = "One or several required parameters are missing or incorrect."
        return self._error(400, "param_error", message, {member: words}, now)

    def _missing(self, what: str, number: str, now: datetime) -> Reply:
        errors = {"RessourceNotFound": f"Cannot found the ressource {what} with the id={number}"}
        return self._error(404, "ressource_not_found", "The ressource does not exist", errors, now)

    def _error(self, status: int, kind: str, message: str, errors: dict[str, str] | None, now: datetime) -> Reply:
        return reply(status, {"Message": message, "Type": kind, "Id": "1", "Date": self.seconds(now), "errors": errors})
