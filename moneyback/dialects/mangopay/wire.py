"""Mangopay's messages: refunds and pay-ins as it prints them, its result codes, and the body of a refund request.

What both halves of the dialect must agree on lives here: statuses both ways, codes, signs and members of amounts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from moneyback.core import ledger
from moneyback.core.money import BadAmount, minor_from_integer
from moneyback.core.payment import Asked, Condition, Payment, PaymentKind
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Failing, Reason

SUCCESS: Final = "000000"
GENERIC: Final = "001999"

MESSAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        SUCCESS: "Success",
        "001001": "Unsufficient wallet balance",
        "001003": "Unsufficient balance for this emoney owner",
        "001014": "CreditedFunds must be more than 0 (DebitedFunds can not equal Fees)",
        "001401": "Transaction has already been successfully refunded",
        "001403": "The transaction cannot be refunded (max 11 months)",
        "001404": "No more refunds can be created against this transaction",
        "001405": "The initial transaction occured less than 7 days ago",
        GENERIC: "Generic Operation error",
        "005403": "The refund cannot exceed initial transaction amount",
        "005404": "The refunded fees cannot exceed initial fee amount",
        "005405": "Balance of client fee wallet unsufficient",
        "005406": "Another refund for this transaction is still pending.",
        "005407": "Duplicated operation: you cannot reimburse the same amount more than once for a transaction "
        "during the same day.",
        "005408": "Due to repudiations against this transaction, you can not refund this amount.",
    }
)
"""ResultMessage of every ResultCode a refund can have, spelt as sent (provider docs: error codes)."""

KEPT: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.AMOUNT_NOT_POSITIVE: "001014",
        Reason.STATE_FORBIDS: "005408",
        Reason.WINDOW_CLOSED: "001403",
        Reason.WINDOW_NOT_OPEN: "001405",
        Reason.ONE_AT_A_TIME: "005406",
        Reason.NOTHING_LEFT: "001401",
        Reason.EXCEEDS_WALLET_SHARE: "005403",
        Reason.EXCEEDS_FEES: "005404",
        Reason.EXCEEDS_REFUNDABLE: "005403",
        Reason.EQUAL_AMOUNT_TOO_SOON: "005407",
        Reason.INSUFFICIENT_FUNDS: "001001",
        # A rail that does less than Mangopay would.
        Reason.FULL_UNSUPPORTED: "001404",
        Reason.PARTIAL_UNSUPPORTED: "001404",
        Reason.FEES_NOT_RETURNABLE: "001404",
        # The operator's own rules: the provider has a code for "no reason given", and no better one.
        Reason.DESTINATION_NEEDED: GENERIC,
        Reason.POLICY_FORBIDS: GENERIC,
        Reason.SECOND_PERSON_NEEDED: GENERIC,
    }
)
"""The refusals kept as a refund in Status FAILED, answered with 200 (provider docs: error codes)."""

FEE_WALLET_SHORT: Final = "005405"

_FAILURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{reason.value: code for reason, code in KEPT.items()},
        Reason.PAYMENT_DISPUTED.value: "005408",
        Reason.KIND_UNSUPPORTED.value: "001404",
        "disputed": "005408",
        "funds": "001001",
        "unsupported": "001404",
        "window": "001403",
    }
)
"""The code of a refund that failed by a reason or class of ours, where no Mangopay code came with it."""

STATUSES: Final[Mapping[State, str]] = MappingProxyType(
    {
        State.AWAITING_APPROVAL: "CREATED",
        State.SCHEDULED: "CREATED",
        State.READY: "CREATED",
        State.SENDING: "CREATED",
        State.PENDING: "CREATED",
        State.REQUIRES_ACTION: "CREATED",
        State.UNKNOWN: "CREATED",
        State.NEEDS_REVIEW: "CREATED",
        State.SUCCEEDED: "SUCCEEDED",
        # The money coming back is a later transaction; a refund that reached the payer once stays so.
        State.RETURNED: "SUCCEEDED",
        State.FAILED: "FAILED",
        State.CANCELED: "FAILED",
    }
)
"""A refund's Status for every state. There are three (provider docs: the refund object)."""

PAYIN_STATUSES: Final[Mapping[Condition, str]] = MappingProxyType(
    {
        Condition.PROCESSING: "CREATED",
        Condition.AUTHORIZED: "CREATED",
        Condition.CAPTURED: "SUCCEEDED",
        Condition.FAILED: "FAILED",
    }
)
"""A pay-in's Status. A refund never changes it (provider docs: how to process a refund)."""

_SAID: Final = MappingProxyType(
    {PaymentKind.PAYIN: "PayIn", PaymentKind.TRANSFER: "transfer", PaymentKind.PAYOUT: "payout"}
)
_CODE: Final = re.compile(r"[0-9]{6}")
DESCRIPTOR: Final = re.compile(r"[A-Za-z0-9 ]{0,10}")
TAG_MAX: Final = 255
ID_MAX: Final = 128
BAD_DESCRIPTOR: Final = "The StatementDescriptor must be at most 10 letters, digits and spaces"
BAD_TAG: Final = f"The Tag must be text of at most {TAG_MAX} characters"

REFUNDS: Final = "Refunds"
"""The member of a document that keeps the refunds of a payment as its provider showed them, oldest first."""

DEMO_USER: Final = "9100000001"
DEMO_WALLET: Final = "9200000001"
"""Who pays, and which wallet is credited, where nobody said. Numbers that the dialect's sequence does not reach."""


# --- what a client asks ----------------------------------------------------------------------------------------------


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A refund request that has the right shape."""

    author: str
    asked: Asked
    tag: str | None = None
    descriptor: str | None = None


def parse_refund(body: Any, payment: Payment) -> Wanted | dict[str, str]:
    """The request, or a sentence for every member that is wrong. Members we do not know are left alone.

    Both amounts or neither; integers of minor units in the pay-in's currency, at least 1 from the wallet and at most
    63 bits for the payer (provider docs: create a pay-in refund).
    """
    members = body if isinstance(body, dict) else {}
    errors: dict[str, str] = {}
    author = _author(members, errors)
    tag, descriptor = _tag(members, errors), _descriptor(members, errors)
    debited = _money("DebitedFunds", members.get("DebitedFunds"), payment, errors)
    fees = _money("Fees", members.get("Fees"), payment, errors)
    if members.get("DebitedFunds") is not None and members.get("Fees") is None:
        errors["Fees"] = "if DebitedFunds are defined, Fees must be defined"
    if members.get("Fees") is not None and members.get("DebitedFunds") is None:
        errors["DebitedFunds"] = "if Fees are defined, DebitedFunds must be defined"
    if debited is not None and debited < 1:
        errors["DebitedFunds.Amount"] = "The Amount must be at least 1"
    if debited is not None and fees is not None and not _fits(debited - fees):
        errors["Fees.Amount"] = "The Amount is too large"
    if errors:
        return errors
    asked = Asked(initial=True) if debited is None or fees is None else Asked(wallet=debited, fee=-fees)
    return Wanted(author=author, asked=asked, tag=tag, descriptor=descriptor)


def other_author(body: Any, payment: Payment) -> bool:
    """Whether the request names somebody else than who paid."""
    named = body.get("AuthorId") if isinstance(body, dict) else None
    return isinstance(named, str) and named != "" and author_of(payment) not in (None, named)


def _author(members: Mapping[str, Any], errors: dict[str, str]) -> str:
    author = members.get("AuthorId")
    if isinstance(author, str) and 0 < len(author) <= ID_MAX:
        return author
    nothing = author is None or author == ""
    errors["AuthorId"] = "The AuthorId field is required." if nothing else "The AuthorId is not an identifier"
    return ""


def _tag(members: Mapping[str, Any], errors: dict[str, str]) -> str | None:
    tag = members.get("Tag")
    if tag is None or (isinstance(tag, str) and len(tag) <= TAG_MAX):
        return tag
    errors["Tag"] = BAD_TAG
    return None


def _descriptor(members: Mapping[str, Any], errors: dict[str, str]) -> str | None:
    text = members.get("StatementDescriptor")
    if text is None or (isinstance(text, str) and DESCRIPTOR.fullmatch(text)):
        return text
    errors["StatementDescriptor"] = BAD_DESCRIPTOR
    return None


def _money(name: str, value: Any, payment: Payment, errors: dict[str, str]) -> int | None:
    """A Money object's Amount. Only an integer is one: 10.00 could mean ten units or ten cents to its sender."""
    if value is None:
        return None
    if not isinstance(value, dict):
        errors[name] = f"The {name} must be an object with a Currency and an Amount"
        return None
    currency, amount = value.get("Currency"), value.get("Amount")
    if currency is None:
        errors[f"{name}.Currency"] = "The Currency field is required."
    elif currency != payment.currency:
        errors[f"{name}.Currency"] = f"The Currency of the refund is not the Currency of the initial {said(payment)}"
    if amount is None:
        errors[f"{name}.Amount"] = "The Amount field is required."
    elif isinstance(amount, bool) or not isinstance(amount, int) or not _fits(amount):
        errors[f"{name}.Amount"] = "The Amount must be an integer of minor units"
    else:
        return amount
    return None


def _fits(amount: int) -> bool:
    try:
        minor_from_integer(amount)
    except BadAmount:
        return False
    return True


# --- what both halves know of an object ------------------------------------------------------------------------------


def money(amount: int, currency: str) -> dict[str, Any]:
    """A Money object: minor units, both members always there."""
    return {"Currency": currency, "Amount": amount}


def result_code(refund: Refund) -> str | None:
    """The ResultCode of a refund, None while it has not ended."""
    match STATUSES[refund.state]:
        case "SUCCEEDED":
            return SUCCESS
        case "CREATED":
            return None
    if refund.provider_code is not None and _CODE.fullmatch(refund.provider_code):
        return refund.provider_code
    return _FAILURES.get(refund.failure or "", GENERIC)


def born_code(born: Failing, payment: Payment) -> str:
    """The ResultCode of a kept refusal. Its figures alone tell which wallet was short: the user's, or that of fees."""
    short = born.figures.get("account") if born.reason is Reason.INSUFFICIENT_FUNDS else None
    return FEE_WALLET_SHORT if short == ledger.fees(payment) else KEPT[born.reason]


def author_of(payment: Payment) -> str | None:
    """Who paid: AuthorId of the pay-in, and of every refund of it."""
    author = payment.document.get("AuthorId")
    return author if isinstance(author, str) else None


def said(payment: Payment) -> str:
    """What the provider calls a payment in its sentences."""
    return _SAID[payment.kind]


def is_payout(refund: Refund) -> bool:
    """Whether a refund goes out, and is shown, as a payout: for methods that are not refunded (PAYIN_REFUND)."""
    return "BankAccountId" in refund.request


def destination_of(refund: Refund) -> str | None:
    """The bank account a payout of ours goes to."""
    account = refund.request.get("BankAccountId")
    return account if isinstance(account, str) else None


def wallet_of(payment: Payment) -> str | None:
    """The wallet a payment credited, and its refunds debit. A payout credits none."""
    if payment.kind is PaymentKind.PAYOUT:
        return None
    return payment.wallet or str(payment.document.get("CreditedWalletId") or DEMO_WALLET)


def initial_credit(payment: Payment) -> int:
    """What the pay-in put into the wallet: the bound of one refund's DebitedFunds and of their sum."""
    return payment.captured - payment.fees
