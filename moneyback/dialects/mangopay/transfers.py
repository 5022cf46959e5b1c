"""Transfers: money from one wallet to another. Their refunds are with the refunds."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from moneyback.core.payment import Payment, PaymentKind
from moneyback.core.refusals import Refusal
from moneyback.dialect import AddPayment, Ask, Caller, FindPayment, Incoming, LeaveToProvider, NextNumber, Outgoing
from moneyback.dialects.mangopay import calls, complaints, journal, schemas, users, wallets
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members
from moneyback.dialects.mangopay.transactions import NOT_THE_OWNER, NOTHING_CREDITED, SHORT, transfer_object

Data = dict[str, Any]


def create_transfer(incoming: Incoming, _caller: Caller) -> Answer:
    """Move money, or answer the transfer that failed: what is wrong with it once it is well formed is no error."""
    body = Members(incoming.body)
    author, tag = body.identity("AuthorId"), body.tag()
    debited_id, credited_id = body.identity("DebitedWalletId"), body.identity("CreditedWalletId")
    funds, fees = body.money("DebitedFunds", least=1), body.money("Fees")
    if body.errors or funds is None or fees is None:
        return complaints.parameters(body.errors)
    unknown = yield from users.existing("AuthorId", author)
    if unknown is not None:
        return unknown
    debited = yield from wallets.named("DebitedWalletId", debited_id)
    if isinstance(debited, Complaint):
        return debited
    credited = yield from wallets.named("CreditedWalletId", credited_id)
    if isinstance(credited, Complaint):
        return credited
    wrong = _currencies(debited["Currency"], credited["Currency"], funds.currency, fees.currency)
    if wrong is not None:
        return wrong
    code = NOT_THE_OWNER if debited["Owner"] != author else NOTHING_CREDITED if fees.amount >= funds.amount else None
    document = {
        "AuthorId": author,
        "CreditedUserId": credited["Owner"],
        "CreditedWalletId": credited["Id"],
        "Tag": tag,
    }
    add = AddPayment(
        amount=funds.amount,
        currency=funds.currency,
        kind=PaymentKind.TRANSFER,
        method="TRANSFER",
        fees=min(fees.amount, funds.amount),
        dialect_id=str((yield NextNumber())),
        source=debited["Id"],
        wallet=credited["Id"],
        fee_wallet=f"FEES_{funds.currency}",
        document={name: value for name, value in document.items() if value is not None},
    )
    return Outgoing(body=transfer_object((yield from moved(add, code))))


def _currencies(debited: str, credited: str, funds: str, fees: str) -> Complaint | None:
    if debited != credited:
        words = f"The Debited Wallet's currency {debited} and the Credited Wallet's currency {credited}"
    elif debited != funds:
        words = f"The Wallet's currency {debited} and the DebitedFunds's currency {funds}"
    elif funds != fees:
        words = f"The DebitedFunds's currency {funds} and the Fees's currency {fees}"
    else:
        return None
    return complaints.currencies(f"{words} must be the same")


def moved(add: AddPayment, code: str | None) -> Generator[Ask, Any, Payment]:
    """Money taken from a wallet; kept as failed where `code` says why, or where the wallet is short."""
    payment: Payment | Refusal | None = None
    if code is None:
        payment = yield add
    if not isinstance(payment, Payment):
        payment = yield _failed(add, code or SHORT)
    assert isinstance(payment, Payment)
    yield from journal.enter_payment(payment)
    return payment


def _failed(add: AddPayment, code: str) -> AddPayment:
    return AddPayment(
        **{name: getattr(add, name) for name in add.__struct_fields__ if name not in ("status", "document")},
        status="failed",
        document={**add.document, "ResultCode": code},
    )


def view_transfer(incoming: Incoming, _caller: Caller) -> Answer:
    """A transfer. Its refunds do not change it: in front of Mangopay it alone shows it."""
    yield LeaveToProvider()
    identity = incoming.arguments["TransferId"]
    payment: Payment | None = yield FindPayment(identity)
    if payment is None or payment.kind is not PaymentKind.TRANSFER:
        return complaints.not_found("Transfer", identity)
    return Outgoing(body=transfer_object(payment))


ROUTES: Final = (
    calls.route(
        "POST",
        "/transfers",
        create_transfer,
        "Move money between wallets",
        asked=schemas.TRANSFER_REQUEST,
        answered=schemas.TRANSFER,
    ),
    calls.route(
        "GET",
        "/transfers/{TransferId}",
        view_transfer,
        "View a transfer",
        kind="owned",
        answered=schemas.TRANSFER,
    ),
)
