"""One client of Mangopay in the table-driven world, whose every answer is held against what the provider promises."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from moneyback.core.commands import Admitted, RequestRefund
from moneyback.core.payment import Asked, Payment
from moneyback.core.refund import Refund
from moneyback.dialect import Ask, FindRefund, Outgoing
from moneyback.dialects.mangopay import DIALECT, schemas
from tests.dialects.driver import MERCHANT, Table, misfits, said

AUTHOR = "9100000001"
KEY = "0f6a7c1e-9b34-4c52-8c0e-3a5d2f1b7e90"

CREATE = next(
    each.handle for each in DIALECT.routes if each.method == "POST" and each.path.endswith("}/payins/{PayInId}/refunds")
)
"""What refunds a pay-in."""

MEMBERS = [
    "Id",
    "Tag",
    "CreationDate",
    "AuthorId",
    "CreditedUserId",
    "DebitedFunds",
    "CreditedFunds",
    "Fees",
    "Status",
    "ResultCode",
    "ResultMessage",
    "ExecutionDate",
    "Type",
    "Nature",
    "InitialTransactionId",
    "InitialTransactionType",
    "InitialTransactionNature",
    "DebitedWalletId",
    "CreditedWalletId",
    "RefundReason",
    "StatementDescriptor",
]


def eur(amount: Any) -> dict[str, Any]:
    return {"Currency": "EUR", "Amount": amount}


def amounts(debited: Any, fees: Any = 0) -> dict[str, Any]:
    """A request that states both amounts, in euro cents."""
    return {"AuthorId": AUTHOR, "DebitedFunds": eur(debited), "Fees": eur(fees)}


class Demo(Table):
    """The client `demo`. Its pay-in is 275.00 with 25.00 of platform fees: 250.00 in the wallet."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(DIALECT, profile={"client_id": "demo"}, **fields)
        self.outcome = "succeeded"

    def payin(self, amount: int = 27_500, currency: str = "EUR", *, fees: int = 2_500, **fields: Any) -> Payment:
        return self.pay(amount, currency, fees=fees, **fields)

    def change(self, payment: Payment, **fields: Any) -> Payment:
        """The payment as it would stand had something else happened to it."""
        self.facts.payments[payment.id] = replace(self.facts.payments[payment.id], **fields)
        return self.facts.payments[payment.id]

    def refund(self, payment: Payment, body: Any = None, *, key: str | None = None) -> Outgoing:
        """POST a refund (default: a full one) and check the answer's form."""
        headers = {} if key is None else {"idempotency-key": key}
        body = {"AuthorId": AUTHOR} if body is None else body
        path = f"/v2.01/demo/payins/{payment.dialect_id}/refunds"
        return well_formed(self.call("POST", path, body, headers=headers))

    def done(self, payment: Payment, body: Any = None, *, key: str | None = None) -> Any:
        """The refund object of a request that must be answered with one."""
        outgoing = self.refund(payment, body, key=key)
        assert outgoing.status == 200, said(outgoing)
        return said(outgoing)

    def get(self, path: str, query: Any = ()) -> Outgoing:
        return self.call("GET", f"/v2.01/demo/{path}", query=query)

    def response(self, key: str = KEY) -> Any:
        outgoing = self.get(f"responses/{key}")
        assert outgoing.status == 200, said(outgoing)
        assert misfits(schemas.RESPONSE, outgoing) == []
        return said(outgoing)

    def advance(self, **fields: float) -> None:
        self.now += timedelta(**fields)

    def natively(self, payment: Payment, amount: int | None = None) -> Refund:
        """A refund of the payment that was asked of the native API: all that is left unless an amount is stated."""
        id = self._new()
        command = RequestRefund(
            merchant=MERCHANT,
            id=id,
            payment=payment.id,
            dialect="native",
            dialect_id=id.hex,
            terms=lambda _payment: self._terms,
            asked=Asked(payer=amount),
            allow_remainder=amount is None,
        )
        admitted = self._submit(command)
        assert isinstance(admitted, Admitted), admitted
        return admitted.refund

    def answer(self, ask: Ask) -> Any:
        """As the engine answers: a refund made natively is found by what it refunds or its own id alone."""
        found = super().answer(ask)
        if isinstance(ask, FindRefund):
            return found if found is None or found.dialect == self.dialect.name else None
        return found

    def last(self) -> Refund:
        return self.refunds[-1]


def well_formed(outgoing: Outgoing) -> Outgoing:
    """The answer itself, after the checks that every answer of the refund call must pass."""
    if outgoing.status == 200:
        consistent(said(outgoing))
        assert misfits(schemas.REFUND, outgoing) == []
    else:
        assert outgoing.status in (400, 401, 403, 404, 409)
        if said(outgoing)["Type"] != "invalid_credentials":
            assert list(said(outgoing)) == ["Message", "Type", "Id", "Date", "errors"]
            assert misfits(schemas.ERROR, outgoing) == []
    return outgoing


def consistent(refund: Mapping[str, Any]) -> None:
    """What holds of every pay-in refund, whatever became of it (provider docs: the refund object)."""
    assert list(refund) == MEMBERS
    for name in ("DebitedFunds", "CreditedFunds", "Fees"):
        assert list(refund[name]) == ["Currency", "Amount"]
    assert refund["CreditedFunds"]["Amount"] == refund["DebitedFunds"]["Amount"] - refund["Fees"]["Amount"]
    assert (refund["Type"], refund["Nature"]) == ("PAYOUT", "REFUND")
    assert (refund["InitialTransactionType"], refund["InitialTransactionNature"]) == ("PAYIN", "REGULAR")
    assert refund["CreditedWalletId"] is None
    assert refund["RefundReason"] == {"RefundReasonMessage": None, "RefundReasonType": "INITIALIZED_BY_CLIENT"}
    assert (refund["ResultCode"] is None) == (refund["ResultMessage"] is None) == (refund["Status"] == "CREATED")
    assert (refund["ResultCode"] == "000000") == (refund["Status"] == "SUCCEEDED")
    assert (refund["ExecutionDate"] is not None) == (refund["Status"] == "SUCCEEDED")
