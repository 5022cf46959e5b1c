"""What Mangopay knows of a pay-in beyond its money, and the pay-ins a sandbox starts with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from moneyback.core.payment import Payment
from moneyback.dialect import AddPayment, Presented, Samples, SaveDocument
from moneyback.dialects.mangopay.wire import DEMO_USER, DEMO_WALLET, ID_MAX, TAG_MAX, author_of, initial_credit, money

DEFAULTS: Final[Mapping[str, Any]] = {"AuthorId": DEMO_USER, "CreditedWalletId": DEMO_WALLET}

_LONGEST: Final[Mapping[str, int]] = {
    "AuthorId": ID_MAX,
    "CreditedUserId": ID_MAX,
    "CreditedWalletId": ID_MAX,
    "DebitedWalletId": ID_MAX,
    "ResultMessage": TAG_MAX,
    "Tag": TAG_MAX,
    "StatementDescriptor": 10,
    "ResultCode": 6,
    "CardId": ID_MAX,
    "MandateId": ID_MAX,
    "BankAccountId": ID_MAX,
}
_LATEST: Final = 253_402_300_799  # seconds: the last of the year 9999
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "ExecutionType": ("DIRECT", "WEB", "EXTERNAL_INSTRUCTION"),
    "windows": ("methods", "seed"),
}


def payment_document(data: Mapping[str, Any], _now: datetime) -> Mapping[str, Any]:
    """The dialect data of a pay-in, completed: the demo user pays into the demo wallet unless somebody else is named.

    A payout to a bank account credits no wallet. Raises ValueError for a member that is not text of its length, or not
    one of its words.
    """
    for name, longest in _LONGEST.items():
        value = data.get(name, DEFAULTS.get(name, ""))
        if not isinstance(value, str) or len(value) > longest or (name in DEFAULTS and not value):
            raise ValueError(f"{name} is text of at most {longest} characters.")
    for name, words in _CHOICES.items():
        if data.get(name, words[0]) not in words:
            raise ValueError(f"{name} is one of {', '.join(words)}.")
    if not isinstance(data.get("Shown", {}), Mapping):
        raise ValueError("Shown is an object.")
    created = data.get("CreationDate", 0)
    if isinstance(created, bool) or not isinstance(created, int) or not 0 <= created <= _LATEST:
        raise ValueError("CreationDate is a number of seconds since 1970.")
    return {**(DEFAULTS if "BankAccountId" not in data else {}), **data}


def fitting(data: Mapping[str, Any]) -> dict[str, Any]:
    """Of members that somebody else wrote, those that `payment_document` would take."""
    return {name: value for name, value in data.items() if _fits(name, value)}


def _fits(name: str, value: Any) -> bool:
    longest = _LONGEST.get(name)
    short = longest is None or (isinstance(value, str) and len(value) <= longest)
    return short and value in _CHOICES.get(name, (value,))


def credited_wallets(document: Mapping[str, Any], currency: str) -> tuple[str | None, str | None]:
    """The wallet that a pay-in credits, and the platform's own for its fees."""
    return document.get("CreditedWalletId"), f"FEES_{currency}"


def _sample(amount: int, currency: str, method: str, fees: int = 0) -> AddPayment:
    return AddPayment(
        amount=amount,
        currency=currency,
        fees=fees,
        method=method,
        document=DEFAULTS,
        wallet=DEMO_WALLET,
        fee_wallet=f"FEES_{currency}",
    )


def _credentials(draw: Callable[[int], str]) -> tuple[Presented, Mapping[str, Any]]:
    return Presented(secret=draw(50), user="demo"), {"client_id": "demo"}


def _section(
    base_url: str, presented: Presented, profile: Mapping[str, Any], payments: tuple[Payment, ...]
) -> Mapping[str, Any]:
    return {
        "base_url": base_url,
        "client_id": profile["client_id"],
        "api_key": presented.secret,
        "payins": [
            {
                "Id": payment.dialect_id,
                "AuthorId": author_of(payment),
                "DebitedFunds": money(payment.captured or payment.authorized, payment.currency),
                "Fees": money(payment.fees, payment.currency),
                "CreditedFunds": money(initial_credit(payment), payment.currency),
            }
            for payment in payments
        ],
    }


def _curl(section: Mapping[str, Any]) -> str:
    """Basic credentials spare the reader a first call for a token."""
    payin = section["payins"][0]
    body = json.dumps({"AuthorId": payin["AuthorId"]})
    address = f"{section['base_url']}/v2.01/{section['client_id']}/payins/{payin['Id']}/refunds"
    user = f"{section['client_id']}:{section['api_key']}"
    return f"curl -u '{user}' -H 'Content-Type: application/json' -d '{body}' {address}"


_BEGINNING: Final = 1_735_689_600  # seconds: 1 January 2025, before any sandbox's first pay-in

DEMO_DOCUMENTS: Final = (
    SaveDocument(
        "user",
        DEMO_USER,
        {
            "Id": DEMO_USER,
            "PersonType": "NATURAL",
            "FirstName": "Demo",
            "LastName": "User",
            "Email": "demo@example.com",
            "Address": dict.fromkeys(("AddressLine1", "AddressLine2", "City", "Region", "PostalCode", "Country")),
            "Birthday": 0,
            "Nationality": "FR",
            "CountryOfResidence": "FR",
            "Capacity": "NORMAL",
            "CreationDate": _BEGINNING,
            "KYCLevel": "LIGHT",
            "TermsAndConditionsAccepted": True,
            "TermsAndConditionsAcceptedDate": _BEGINNING,
            "UserCategory": "OWNER",
            "UserStatus": "ACTIVE",
        },
    ),
    SaveDocument(
        "wallet",
        DEMO_WALLET,
        {
            "Id": DEMO_WALLET,
            "Owners": [DEMO_USER],
            "Owner": DEMO_USER,
            "Description": "Demo wallet",
            "Currency": "EUR",
            "FundsType": "DEFAULT",
            "Tag": None,
            "CreationDate": _BEGINNING,
        },
    ),
)
"""Whose the sandbox's pay-ins are, and where they went."""

SAMPLES: Final = Samples(
    documents=DEMO_DOCUMENTS,
    payments=(
        _sample(27_500, "EUR", "CARD", fees=2_500),
        _sample(12_000, "EUR", "CARD"),
        _sample(20_000, "JPY", "CARD", fees=1_000),
        _sample(10_900, "EUR", "PAYPAL", fees=109),
        _sample(15_000, "EUR", "DIRECT_DEBIT", fees=500),
        _sample(50_000, "EUR", "BANK_WIRE"),
    ),
    credentials=_credentials,
    section=_section,
    curl=_curl,
)
