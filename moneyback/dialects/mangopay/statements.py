"""What every pay-in states: who pays, into which wallet, how much, and what the platform keeps of it.

Here a stated pay-in becomes a payment, whatever its method; the methods are in payins, preauthorizations and recurring.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

import msgspec

from moneyback.core.payment import Condition, Payment
from moneyback.dialect import AddPayment, Ask, Incoming, ListPayments, Outgoing
from moneyback.dialects.mangopay import complaints, journal, pages, users, wallets
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members, Stated
from moneyback.dialects.mangopay.transactions import NOTHING_CREDITED, payin_object

CAPTURED: Final = "captured"
WAITING: Final = "processing"
FAILED: Final = "failed"


class Payin(msgspec.Struct, frozen=True, kw_only=True):
    """A pay-in as its body states it, once everything it names is there."""

    author: str
    credited: str
    wallet: str
    funds: Stated
    fees: Stated
    tag: str | None
    descriptor: str | None


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """How a pay-in came out: its id, what it shows beyond the common members, and its end where it has one already."""

    identity: str
    method: str
    execution: str
    status: str = CAPTURED
    code: str | None = None  # why it failed
    shown: Mapping[str, Any] = {}
    used: Mapping[str, str] = {}  # ids of the card, mandate … under which it is listed
    order: str | None = None


def parse(body: Members, *, declared: bool = False, known: Mapping[str, str] | None = None) -> Payin:
    """What the body states; complaints stay in it.

    `declared`: the money is announced, under other names. `known`: an earlier agreement said who pays, and where to.
    """
    funds, fees = ("DeclaredDebitedFunds", "DeclaredFees") if declared else ("DebitedFunds", "Fees")
    if known is None:
        author, wallet = body.identity("AuthorId"), body.identity("CreditedWalletId")
        credited = body.identity("CreditedUserId", required=False)
    else:
        author, wallet, credited = known["AuthorId"], known["CreditedWalletId"], known.get("CreditedUserId") or ""
    debited, kept = body.money(funds, least=1), body.money(fees)
    if debited is not None and kept is not None and debited.currency != kept.currency:
        body.wrong(f"{fees}.Currency", f"The Currency of the {fees} is not the Currency of the {funds}")
    return Payin(
        author=author,
        credited=credited,
        wallet=wallet,
        funds=debited or Stated(0, ""),
        fees=kept or Stated(0, ""),
        tag=body.tag(),
        descriptor=body.descriptor(),
    )


def place(payin: Payin) -> Generator[Ask, Any, Payin | Complaint]:
    """The pay-in with its wallet's owner credited, or what is wrong with whom and what it names."""
    unknown = yield from users.existing("AuthorId", payin.author)
    if unknown is not None:
        return unknown
    wallet = yield from wallets.named("CreditedWalletId", payin.wallet)
    if isinstance(wallet, Complaint):
        return wallet
    if payin.credited:
        unknown = yield from users.existing("CreditedUserId", payin.credited)
        if unknown is not None:
            return unknown
    if wallet["Currency"] != payin.funds.currency:
        words = f"The Wallet's currency {wallet['Currency']} and the DebitedFunds's currency {payin.funds.currency}"
        return complaints.currencies(f"{words} must be the same")
    return msgspec.structs.replace(payin, credited=payin.credited or wallet["Owner"] or payin.author)


def register(payin: Payin, made: Made) -> Generator[Ask, Any, Payment]:
    """The payment that this pay-in is, entered where it is listed. One that credits nothing fails."""
    empty = payin.fees.amount >= payin.funds.amount
    failed = NOTHING_CREDITED if empty else made.code
    document = {
        "AuthorId": payin.author,
        "CreditedUserId": payin.credited,
        "CreditedWalletId": payin.wallet,
        "Tag": payin.tag,
        "StatementDescriptor": payin.descriptor,
        "ExecutionType": made.execution,
        "ResultCode": failed,
        "Shown": dict(made.shown),
        **made.used,
    }
    payment: Payment = yield AddPayment(
        amount=payin.funds.amount,
        currency=payin.funds.currency,
        status=FAILED if failed else made.status,
        method=made.method,
        fees=min(payin.fees.amount, payin.funds.amount),
        dialect_id=made.identity,
        order=made.order,
        wallet=payin.wallet,
        fee_wallet=f"FEES_{payin.funds.currency}",
        document={name: value for name, value in document.items() if value is not None},
    )
    yield from journal.enter_payment(payment)
    return payment


def of_order(order: str) -> Generator[Ask, Any, list[Payment]]:
    """All pay-ins made under one agreement (a preauthorization, a recurring registration), oldest first."""
    found: list[Payment] = []
    while True:
        batch = yield ListPayments(order=order, ascending=True, offset=len(found), limit=100)
        found += batch
        if len(batch) < 100:
            return found


def captured_of_order(order: str) -> Generator[Ask, Any, list[Payment]]:
    """Those of them that brought money."""
    made = yield from of_order(order)
    return [each for each in made if each.condition is Condition.CAPTURED]


def list_of_order(incoming: Incoming, order: str) -> Generator[Ask, Any, Outgoing | Complaint]:
    """All of them as a list that is asked for shows them, those that failed too."""
    listing = pages.parse_listing(incoming)
    if isinstance(listing, dict):
        return complaints.parameters(listing)
    made = yield from of_order(order)
    rows = pages.chosen([payin_object(each) for each in made], listing)
    return pages.answer(incoming, listing, pages.page(rows, listing), len(rows))
