"""Transactions as Mangopay shows them: pay-ins, transfers, payouts, and the refunds of each.

All have the same members first; what comes after depends on how the money was moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from moneyback.core.payment import Payment, PaymentKind
from moneyback.core.refund import Refund
from moneyback.dialects.mangopay.windows import created, method
from moneyback.dialects.mangopay.wire import (
    GENERIC,
    MESSAGES,
    PAYIN_STATUSES,
    STATUSES,
    SUCCESS,
    author_of,
    destination_of,
    is_payout,
    money,
    wallet_of,
)

RETURN: Final = "wt_"
"""What the ids of payouts that came back begin with; one of the forms the provider's own ids have."""
NOT_THE_OWNER: Final = "001002"
SHORT: Final = "001001"
NOTHING_CREDITED: Final = "001014"
ABOVE_REMAINING: Final = "001505"
MANDATE_UNFIT: Final = "001833"
LEFT_BY_PAYER: Final = "101002"
NOT_AUTHENTICATED: Final = "101301"

WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **MESSAGES,
        NOT_THE_OWNER: "Author is not the wallet owner",
        ABOVE_REMAINING: "The PayIn DebitedFunds can't be higher than the PreAuthorization remaining amount",
        MANDATE_UNFIT: "The Status of this Mandate does not allow for payments",
        LEFT_BY_PAYER: "The transaction has been cancelled by the user",
        NOT_AUTHENTICATED: "Secure mode: The 3DSecure authentication has failed",
    }
)
"""ResultMessage of the codes that are given here (provider docs: error codes)."""

CARD_INFO: Final[Mapping[str, Any]] = {
    "BIN": "497010",
    "IssuingBank": None,
    "IssuerCountryCode": "FR",
    "Type": "DEBIT",
    "Brand": "VISA",
    "SubType": None,
}
"""The card of pay-ins that were registered natively. All six or none: a reader stumbles over a card half there."""

_CARD: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "SecureMode": "DEFAULT",
        "CardId": None,
        "SecureModeReturnURL": None,
        "SecureModeRedirectURL": None,
        "SecureModeNeeded": False,
        "Culture": None,
        "SecurityInfo": {"AVSResult": "NO_CHECK"},
        "BrowserInfo": None,
        "IpAddress": None,
        "Billing": None,
        "Shipping": None,
        "Requested3DSVersion": None,
        "Applied3DSVersion": None,
        "RecurringPayinRegistrationId": None,
        "PreferredCardNetwork": None,
        "PaymentCategory": None,
        "CardInfo": CARD_INFO,
    }
)
_WEB: Final[Mapping[str, Any]] = MappingProxyType(
    {"RedirectURL": None, "ReturnURL": None, "Culture": None, "Billing": None, "Shipping": None}
)
_PAYPAL: Final = (
    *("LineItems", "ShippingPreference", "Reference", "CancelURL", "Trackings", "PaypalBuyerAccountEmail"),
    *("PaypalPayerID", "BuyerCountry", "BuyerFirstname", "BuyerLastname", "BuyerPhone", "PaypalOrderID"),
)
_BANK: Final[Mapping[str, Any]] = MappingProxyType(
    {"WireReference": None, "BankAccount": None, "TransactionDetails": ()}
)

EXTRAS: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = MappingProxyType(
    {
        ("CARD", "DIRECT"): _CARD,
        ("CARD", "WEB"): {
            **{name: value for name, value in _CARD.items() if name in ("SecureMode", "SecurityInfo", "CardInfo")},
            **_WEB,
            "TemplateURL": None,
            "CardType": None,
            "BankName": None,
        },
        ("PREAUTHORIZED", "DIRECT"): {"PreauthorizationId": None},
        ("BANKWIRE", "DIRECT"): _BANK,
        ("BANKWIRE", "EXTERNAL_INSTRUCTION"): dict.fromkeys(("WireReference", "BankingAliasId", "DebitedBankAccount")),
        ("DIRECTDEBIT", "DIRECT"): {"MandateId": None, "ChargeDate": None},
        ("PAYPAL", "WEB"): {**_WEB, **dict.fromkeys(_PAYPAL)},
        ("KLARNA", "WEB"): {
            **_WEB,
            **dict.fromkeys(("LineItems", "Country", "Email", "Phone", "AdditionalData", "Reference")),
        },
        ("BLIK", "WEB"): {**_WEB, **dict.fromkeys(("Code", "IpAddress", "BrowserInfo"))},
        ("PAYCONIQ", "WEB"): {**_WEB, **dict.fromkeys(("Country", "DeepLinkURL", "QRCodeURL"))},
        ("BCMC", "WEB"): {**_WEB, "Recurring": False, "DeepLinkURL": None},
        # It shows an address to come back to only where there is one.
        ("BIZUM", "WEB"): {"RedirectURL": None, "Phone": None},
    }
)
"""What a pay-in shows after the members all have, by PaymentType and ExecutionType, and what it is unless said."""

_DIRECT: Final = frozenset({"CARD", "PREAUTHORIZED", "DIRECTDEBIT", "BANKWIRE", "APPLEPAY", "GOOGLEPAY"})


def refund_object(refund: Refund, payment: Payment, code: str | None) -> dict[str, Any]:
    """A refund: a transaction of Nature REFUND, of Type PAYOUT for a pay-in (provider docs: the refund object).

    DebitedFunds leave the wallet, negative Fees are given back, CreditedFunds reach the payer. One that goes out as a
    payout is shown as such.
    """
    if is_payout(refund):
        return _payout_of(refund, payment, code)
    transfer = payment.kind is PaymentKind.TRANSFER
    initial = "TRANSFER" if transfer else "PAYIN"
    # It reaches bank statements for direct debits alone, and is null for everything else.
    descriptor = refund.request.get("StatementDescriptor") if method(payment) == "DIRECTDEBIT" else None
    return {
        **_beginning(refund, payment, code),
        "Type": "TRANSFER" if transfer else "PAYOUT",
        "Nature": "REFUND",
        "InitialTransactionId": payment.dialect_id,
        "InitialTransactionType": initial,
        "InitialTransactionNature": "REGULAR",
        "DebitedWalletId": wallet_of(payment),
        "CreditedWalletId": _source_of(payment) if transfer else None,
        "RefundReason": {
            "RefundReasonMessage": None,
            "RefundReasonType": "OTHER" if transfer else "INITIALIZED_BY_CLIENT",
        },
        "StatementDescriptor": None if transfer else descriptor,
    }


def _beginning(refund: Refund, payment: Payment, code: str | None) -> dict[str, Any]:
    currency, status = refund.currency, STATUSES[refund.state]
    ended = refund.ended_at or refund.updated_at
    return {
        "Id": refund.dialect_id,
        "Tag": refund.request.get("Tag"),
        "CreationDate": int(refund.created_at.timestamp()),
        "AuthorId": author_of(payment) or refund.request.get("AuthorId"),
        "CreditedUserId": None,
        "DebitedFunds": money(refund.wallet, currency),
        "CreditedFunds": money(refund.payer, currency),
        "Fees": money(-refund.fee_return, currency),
        "Status": status,
        "ResultCode": code,
        "ResultMessage": result_message(refund, code),
        "ExecutionDate": int(ended.timestamp()) if status == "SUCCEEDED" else None,
    }


def result_message(refund: Refund, code: str | None) -> str | None:
    """The provider's own constant for a code, else the words that came with it."""
    if code is None:
        return None
    return MESSAGES.get(code) or refund.message or MESSAGES[GENERIC]


def _payout_of(refund: Refund, payment: Payment, code: str | None) -> dict[str, Any]:
    """A refund that goes out as a payout to a bank account."""
    beginning = _beginning(refund, payment, code)
    reference = {"ReasonType": "PAYIN_REFUND", "ReferenceId": payment.dialect_id}
    return {
        **beginning,
        "Type": "PAYOUT",
        "Nature": "REGULAR",
        "CreditedWalletId": None,
        "DebitedWalletId": wallet_of(payment),
        # Not remembered with the request: what differs each time would make equal requests two refunds.
        **_wire(
            beginning["Status"], destination_of(refund), {**refund.request, "EndToEndId": refund.id.hex}, reference
        ),
    }


def return_object(refund: Refund, payment: Payment) -> dict[str, Any]:
    """What came back of a refund that went out as a payout: all of it, the fees charged for it too.

    It is a refund to the provider, of Type PAYIN (provider docs: the refund object).
    """
    currency, at = refund.currency, int((refund.ended_at or refund.updated_at).timestamp())
    return {
        "Id": return_id(refund),
        "Tag": None,
        "CreationDate": at,
        "AuthorId": author_of(payment) or refund.request.get("AuthorId"),
        "CreditedUserId": None,
        "DebitedFunds": money(refund.payer, currency),
        "CreditedFunds": money(refund.wallet, currency),
        "Fees": money(refund.fee_return, currency),
        "Status": "SUCCEEDED",
        "ResultCode": SUCCESS,
        "ResultMessage": MESSAGES[SUCCESS],
        "ExecutionDate": at,
        "Type": "PAYIN",
        "Nature": "REFUND",
        "InitialTransactionId": refund.dialect_id,
        "InitialTransactionType": "PAYOUT",
        "InitialTransactionNature": "REGULAR",
        "DebitedWalletId": None,
        "CreditedWalletId": wallet_of(payment),
        "RefundReason": {"RefundReasonMessage": refund.message, "RefundReasonType": "OTHER"},
        "StatementDescriptor": None,
    }


def return_id(refund: Refund) -> str:
    """The id of what came back of a payout. It is told from the refund's own, so that it needs no place to be kept."""
    return f"{RETURN}{refund.id}"


def _wire(status: str, account: Any, said: Mapping[str, Any], reference: Mapping[str, Any] | None) -> dict[str, Any]:
    """How a payout travels."""
    return {
        "PaymentType": "BANK_WIRE",
        # Named by one of the two names.
        "BankAccountId": None if said.get("RecipientId") else account,
        "RecipientId": said.get("RecipientId"),
        "BankWireRef": said.get("BankWireRef"),
        "ModeRequested": said.get("ModeRequested"),
        "ModeApplied": {"CREATED": "PENDING_RESPONSE", "FAILED": "NONE"}.get(status, "STANDARD"),
        "FallbackReason": None,
        "EndToEndId": said.get("EndToEndId"),
        "PaymentRef": reference,
        "ChargeBearer": said.get("ChargeBearer"),
    }


def payment_object(payment: Payment) -> dict[str, Any]:
    """A pay-in, transfer or payout, as it stands."""
    match payment.kind:
        case PaymentKind.PAYIN:
            return payin_object(payment)
        case PaymentKind.TRANSFER:
            return transfer_object(payment)
        case PaymentKind.PAYOUT:
            return payout_object(payment)


def transfer_object(payment: Payment) -> dict[str, Any]:
    """A transfer between two wallets (provider docs: the transfer object)."""
    return {
        **_moved(payment),
        "Type": "TRANSFER",
        "Nature": "REGULAR",
        "DebitedWalletId": _source_of(payment),
        "CreditedWalletId": wallet_of(payment),
    }


def _source_of(payment: Payment) -> str | None:
    """The wallet a transfer was paid from: one of ours, or as its provider has named it."""
    return payment.source or payment.document.get("DebitedWalletId")


def payout_object(payment: Payment) -> dict[str, Any]:
    """A payout to a bank account (provider docs: the payout object)."""
    shown = _moved(payment)
    return {
        **shown,
        "Type": "PAYOUT",
        "Nature": "REGULAR",
        "CreditedWalletId": None,
        "DebitedWalletId": payment.source,
        **_wire(shown["Status"], payment.document.get("BankAccountId"), payment.document, None),
    }


def payin_object(payment: Payment) -> dict[str, Any]:
    """A pay-in: the members all of them have, then those of its method (provider docs: view a pay-in)."""
    word, document = payment.method or "CARD", payment.document
    execution = document.get("ExecutionType") or ("DIRECT" if method(payment) in _DIRECT else "WEB")
    shown = {
        **_moved(payment),
        "CreditedUserId": document.get("CreditedUserId") or author_of(payment),
        "Type": "PAYIN",
        "Nature": "REGULAR",
        "CreditedWalletId": wallet_of(payment),
        "DebitedWalletId": None,
        "PaymentType": word,
        "ExecutionType": execution,
        "StatementDescriptor": document.get("StatementDescriptor"),
    }
    said: Mapping[str, Any] = document.get("Shown") or {}
    extras = EXTRAS.get((method(payment), execution), _WEB if execution == "WEB" else {})
    shown |= {**extras, **said}
    if method(payment) == "BANKWIRE" and execution == "DIRECT":
        shown |= _declared(payment, shown["Status"])
    return shown


def _declared(payment: Payment, status: str) -> dict[str, Any]:
    """A bank wire says what is expected; it has moved nothing until it arrives (provider docs: bank wire pay-ins)."""
    expected = money(payment.captured or payment.authorized, payment.currency)
    found = {"DeclaredDebitedFunds": expected, "DeclaredFees": money(payment.fees, payment.currency)}
    if status != "CREATED":
        return found
    return {**found, **dict.fromkeys(("DebitedFunds", "CreditedFunds", "Fees"), money(0, "XXX"))}


def _moved(payment: Payment) -> dict[str, Any]:
    """What every transaction begins with."""
    status, document, currency = PAYIN_STATUSES[payment.condition], payment.document, payment.currency
    amount = payment.captured or payment.authorized
    executed = payment.captured_at or payment.created_at
    code = {"SUCCEEDED": SUCCESS, "FAILED": document.get("ResultCode") or GENERIC}.get(status)
    return {
        "Id": payment.dialect_id,
        "Tag": document.get("Tag"),
        "CreationDate": int(created(payment).timestamp()),
        "AuthorId": author_of(payment),
        "CreditedUserId": document.get("CreditedUserId"),
        "DebitedFunds": money(amount, currency),
        "CreditedFunds": money(amount - payment.fees, currency),
        "Fees": money(payment.fees, currency),
        "Status": status,
        "ResultCode": code,
        "ResultMessage": (WORDS.get(code) or document.get("ResultMessage") or WORDS[GENERIC]) if code else None,
        "ExecutionDate": int(executed.timestamp()) if status == "SUCCEEDED" else None,
    }
