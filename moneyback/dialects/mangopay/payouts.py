"""Payouts: money from a wallet to a bank account.

One that refers to a pay-in (PAYIN_REFUND) gives that pay-in back: it is admitted, held and executed as a refund of it,
so that all ways of giving back draw on what is left, and only looks like a payout.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from moneyback.core.payment import Asked, Payment, PaymentKind, condition_reasons
from moneyback.core.refund import Refund
from moneyback.dialect import (
    AddPayment,
    Ask,
    AskRefund,
    Caller,
    FindPayment,
    FindRefund,
    Incoming,
    LeaveToProvider,
    NewId,
    NextNumber,
    Outgoing,
    PaymentOf,
)
from moneyback.dialects.mangopay import (
    bankaccounts,
    calls,
    complaints,
    pages,
    refunds,
    schemas,
    transfers,
    users,
    wallets,
)
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members, Stated
from moneyback.dialects.mangopay.transactions import NOT_THE_OWNER, NOTHING_CREDITED, payout_object, return_object
from moneyback.dialects.mangopay.windows import PAYOUTS, UNREFUNDABLE, method
from moneyback.dialects.mangopay.wire import author_of, initial_credit, is_payout, wallet_of

MODES: Final = ("STANDARD", "INSTANT_PAYMENT", "INSTANT_PAYMENT_ONLY", "RTGS_PAYMENT")
BEARERS: Final = ("OUR", "SHA")
"""Who pays what banks on the way charge (provider docs: payouts)."""
REFERENCE_MAX: Final = 12
UNREACHABLE: Final = "130010"
"""Why no instant payout goes there (provider docs: check instant payout eligibility)."""

Data = dict[str, Any]


class _Body:
    """A payout as its body states it; complaints stay in `members`."""

    def __init__(self, incoming: Incoming, *, fees: bool = True) -> None:
        body = Members(incoming.body)
        self.members = body
        self.author, self.wallet = body.identity("AuthorId"), body.identity("DebitedWalletId")
        recipient = body.identity("RecipientId", required=False)
        self.account, self.tag = recipient or body.identity("BankAccountId"), body.tag()
        self.funds = body.money("DebitedFunds", least=1) or Stated(0, "")
        self.fees = body.money("Fees", required=fees) or Stated(0, "" if fees else self.funds.currency)
        self.travels = {
            "BankWireRef": body.text("BankWireRef", longest=REFERENCE_MAX * 3),
            "ModeRequested": body.word("PayoutModeRequested", MODES) or None,
        }
        if body.has("ChargeBearer"):
            self.travels["ChargeBearer"] = body.word("ChargeBearer", BEARERS)
        if recipient:
            self.travels["RecipientId"] = recipient
        self.payin = _referred(body)
        if not body.errors and self.funds.currency != self.fees.currency:
            body.wrong("Fees.Currency", "The Currency of the Fees is not the Currency of the DebitedFunds")


def _referred(body: Members) -> str | None:
    reference = body.within("PaymentRef")
    if reference is None:
        return None
    reference.word("ReasonType", ("PAYIN_REFUND",), required=True)
    return reference.identity("ReferenceId")


def refers(incoming: Incoming) -> bool:
    """Whether a payout is said to be for something: then it may give a pay-in back."""
    members = incoming.body if isinstance(incoming.body, dict) else {}
    return any(name.lower() == "paymentref" and value is not None for name, value in members.items())


def create_payout(incoming: Incoming, caller: Caller) -> Answer:
    """Pay out; one that refers to a pay-in is a refund of it."""
    body = _Body(incoming)
    wrong = complaints.parameters(body.members.errors) if body.members.errors else None
    if body.payin is not None:
        asked = wrong if wrong is not None else (yield from _refund_of(body, caller))
        return (yield from refunds.admit(incoming, asked))
    wrong = wrong if wrong is not None else (yield from _misplaced(body))
    if wrong is not None:
        return wrong
    return (yield from _pay(body))


def create_plain_or_refund(incoming: Incoming, caller: Caller) -> Answer:
    """A refund keeps its own key; everything else is answered once under it."""
    if refers(incoming):
        return (yield from create_payout(incoming, caller))
    return (yield from calls.once(create_payout, incoming, caller))


def _misplaced(body: _Body) -> Generator[Ask, Any, Complaint | None]:
    """What is wrong with whom and what a payout names."""
    unknown = yield from users.existing("AuthorId", body.author)
    if unknown is not None:
        return unknown
    wallet = yield from wallets.named("DebitedWalletId", body.wallet)
    if isinstance(wallet, Complaint):
        return wallet
    account = yield from bankaccounts.usable(body.account, body.author)
    if isinstance(account, Complaint):
        return account
    if account.get("PayoutMethodType") == "LocalBankTransfer" and account["Currency"] != body.funds.currency:
        words = f"The recipient's currency {account['Currency']} and the DebitedFunds's currency {body.funds.currency}"
        return complaints.currencies(f"{words} must be the same")
    if wallet["Currency"] == body.funds.currency:
        return None
    words = f"The Wallet's currency {wallet['Currency']} and the DebitedFunds's currency {body.funds.currency}"
    return complaints.currencies(f"{words} must be the same")


def _pay(body: _Body) -> Answer:
    """An ordinary payout. What became of it is seen when it is read: that it has arrived, or that the wallet was short.

    What its own body tells to be impossible fails at once.
    """
    wallet = yield from wallets.named("DebitedWalletId", body.wallet)
    assert not isinstance(wallet, Complaint)
    nothing = NOTHING_CREDITED if body.fees.amount >= body.funds.amount else None
    code = NOT_THE_OWNER if wallet["Owner"] != body.author else nothing
    document = {
        "AuthorId": body.author,
        "Tag": body.tag,
        "BankAccountId": body.account,
        "EndToEndId": (yield NewId()).hex,
        **body.travels,
    }
    add = AddPayment(
        amount=body.funds.amount,
        currency=body.funds.currency,
        kind=PaymentKind.PAYOUT,
        method="BANK_WIRE",
        fees=min(body.fees.amount, body.funds.amount),
        dialect_id=str((yield NextNumber())),
        source=wallet["Id"],
        fee_wallet=f"FEES_{body.funds.currency}",
        document={name: value for name, value in document.items() if value is not None},
    )
    shown = payout_object((yield from transfers.moved(add, code)))
    if code is None:
        shown |= {"Status": "CREATED", "ResultCode": None, "ResultMessage": None, "ExecutionDate": None}
        shown["ModeApplied"] = "PENDING_RESPONSE"
    return Outgoing(body=shown)


def _refund_of(body: _Body, caller: Caller) -> Generator[Ask, Any, AskRefund | Complaint]:
    """The refund that a payout with a reference is, or what speaks against it.

    Over a real rail users, wallets and accounts are the provider's: it looks at them when the payout is sent.
    """
    assert body.payin is not None
    payment: Payment | None = yield FindPayment(body.payin)
    rail = str(caller.profile.get("rail", "sandbox")) if payment is None else payment.rail
    misplaced = (yield from _misplaced(body)) if rail.startswith("sandbox") else None
    if misplaced is not None:
        return misplaced
    if payment is None or payment.kind is not PaymentKind.PAYIN:
        return complaints.absent("PaymentRef.ReferenceId", "PayIn", body.payin)
    wrong = _unfit(body, payment)
    if wrong is not None:
        return wrong
    remembered = {
        "Tag": body.tag,
        "AuthorId": body.author,
        "BankAccountId": body.account,
        **body.travels,
    }
    return AskRefund(
        payment=payment,
        asked=Asked(wallet=body.funds.amount, fee=-body.fees.amount),
        currency=payment.currency,
        destination=body.account,
        request=remembered,
        capabilities=lambda _payment: PAYOUTS,
    )


def _unfit(body: _Body, payment: Payment) -> Complaint | None:
    if author_of(payment) != body.author:
        return complaints.param_error(AuthorId="Author of the payout is not the author of the initial payin")
    if wallet_of(payment) != body.wallet:
        return complaints.param_error(DebitedWalletId="The wallet is not the CreditedWallet of the initial PayIn")
    if payment.currency != body.funds.currency:
        return complaints.OTHER_CURRENCY
    if condition_reasons(payment):
        return complaints.NOT_SUCCEEDED
    if not payment.rail.startswith("sandbox") and method(payment) not in UNREFUNDABLE:
        return complaints.param_error(PaymentRef__ReferenceId="This PayIn is given back by a refund, not by a payout")
    if payment.disputed:
        return complaints.DISPUTED
    return complaints.OVER_CREDITED if body.funds.amount > initial_credit(payment) else None


# --- whether it may go at once ---------------------------------------------------------------------------------------


def check_reach(incoming: Incoming, _caller: Caller) -> Answer:
    """Whether the bank a payout would go to takes instant ones: those that an IBAN names, for euros."""
    body = _Body(incoming, fees=False)
    if body.members.errors:
        return complaints.parameters(body.members.errors)
    misplaced = yield from _misplaced(body)
    if misplaced is not None:
        return misplaced
    account = yield from bankaccounts.usable(body.account, body.author)
    assert not isinstance(account, Complaint)
    iban = account.get("Type") == "IBAN" or account.get("PayoutMethodType") == "LocalBankTransfer"
    reached = iban and body.funds.currency == "EUR"
    reason = None if reached else {"Code": UNREACHABLE, "Message": "Generic operation error"}
    return Outgoing(body={"InstantPayout": {"IsReachable": reached, "UnreachableReason": reason}})


# --- read back -------------------------------------------------------------------------------------------------------


def view_payout(incoming: Incoming, _caller: Caller) -> Answer:
    """A payout, whichever of the two it is."""
    found = yield from _load(incoming.arguments["PayoutId"])
    return found if isinstance(found, Complaint) else Outgoing(body=found)


def list_returns(incoming: Incoming, _caller: Caller) -> Answer:
    """What came back of a payout is a refund to the provider. An ordinary one stays where it went."""
    identity = incoming.arguments["PayoutId"]
    found = yield from _load(identity)
    if isinstance(found, Complaint):
        return found
    listing = pages.parse_listing(incoming)
    if isinstance(listing, dict):
        return complaints.parameters(listing)
    refund: Refund | None = yield FindRefund(identity)
    rows = []
    if refund is not None and refunds.came_back(refund):
        rows.append(return_object(refund, (yield PaymentOf(refund.payment))))
    rows = pages.chosen(rows, listing)
    return pages.answer(incoming, listing, pages.page(rows, listing), len(rows))


def _load(identity: str) -> Generator[Ask, Any, Data | Complaint]:
    refund: Refund | None = yield FindRefund(identity)
    if refund is not None and is_payout(refund):
        return (yield from refunds.shown(refund, (yield PaymentOf(refund.payment))))
    yield LeaveToProvider()
    payment: Payment | None = yield FindPayment(identity)
    if payment is None or payment.kind is not PaymentKind.PAYOUT:
        return complaints.not_found("PayOut", identity)
    return payout_object(payment)


ROUTES: Final = (
    calls.route(
        "POST",
        "/payouts/bankwire",
        create_plain_or_refund,
        "Pay out to a bank account; with PAYIN_REFUND, give a pay-in back",
        kind="guarded",
        asked=schemas.PAYOUT_REQUEST,
        answered=schemas.PAYOUT,
        keyed=False,
        guards=refers,
    ),
    calls.route(
        "POST",
        "/payouts/reachability",
        check_reach,
        "Ask whether a payout may be an instant one",
        asked=schemas.PAYOUT_REACH_REQUEST,
        answered=schemas.PAYOUT_REACH,
    ),
    *(
        calls.route("GET", path, view_payout, "View a payout", kind="owned", answered=schemas.PAYOUT)
        for path in ("/payouts/{PayoutId}", "/payouts/bankwire/{PayoutId}")
    ),
    calls.route(
        "GET",
        "/payouts/{PayoutId}/refunds",
        list_returns,
        "List the returns of a payout",
        answered=calls.listed(schemas.REFUND),
    ),
)
