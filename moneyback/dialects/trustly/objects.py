"""How transactions and payments are written down: members, their order and their forms.

What they say is in `records`. The engine keeps no bank login: what describes one is a sandbox's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moneyback.core.money import currency, to_major
from moneyback.dialect import Caller
from moneyback.dialects.trustly.kept import PLAIN
from moneyback.dialects.trustly.records import (
    CUSTOMER_IDS,
    SANDBOX_ACCOUNT,
    SANDBOX_BANK,
    SANDBOX_MERCHANT,
    Family,
    Record,
    Sums,
    amount_of,
    authorization_record_status,
    authorization_status,
    family_sums,
    payment_facts,
    payment_reference_of_all,
    payment_type,
)
from moneyback.dialects.trustly.wire import milliseconds

Enum = type[str] | type[int]


def answer(record: Record, family: Family, caller: Caller) -> dict[str, Any]:
    """The Transaction twice over, so that clients of either published form find theirs.

    The reference prints it bare, its enums as text; every public client reads it beneath `transaction` with numbers.
    The credential's profile may ask for one of the two: `shape` "bare" or "enveloped".
    """
    return both_forms("transaction", caller, lambda enum: transaction(record, family, caller, enum))


def both_forms(name: str, caller: Caller, written: Callable[[Enum], dict[str, Any]]) -> dict[str, Any]:
    """An object bare and beneath its name, or as the credential's profile wants it."""
    match caller.profile.get("shape"):
        case "bare":
            return written(str)
        case "enveloped":
            return {name: written(int)}
        case _:
            return {**written(str), name: written(int)}


def list_enum(caller: Caller) -> Enum:
    """How the enums of listed objects are written: as numbers, or as text where the profile's `list_enums` says so."""
    return str if caller.profile.get("list_enums") == "text" else int


def transaction(record: Record, family: Family, caller: Caller, enum: Enum) -> dict[str, Any]:
    """The Transaction object, members in the order of the reference (provider docs: Refund transaction).

    Members that are always there in the reference's schema never are null; the others are where we know nothing.
    """
    return {
        "transactionId": record.id,
        "transactionType": enum(record.type.value),
        "payment": payment_object(family, caller, enum),
        "currency": record.currency,
        "amount": to_major(record.amount, currency(record.currency)),
        **_sums(record.sums, record.currency),
        "paymentProviderTransaction": {
            "paymentProviderTransactionId": record.id,
            "status": record.code,
            "statusMessage": record.status.message,
            "statusDescription": record.description,
        },
        "status": enum(record.status.value),
        "statusMessage": record.status.message,
        "ip": record.ip,
        "createdAt": milliseconds(record.created_at),
        "processedAt": milliseconds(record.processed_at),
        "completedAt": milliseconds(record.completed_at),
        "updatedAt": milliseconds(record.updated_at),
        "merchantReference": record.reference,
        "recordVersion": record.version,
        "ppTrxId": record.id,
        "expiredAt": None if record.expired_at is None else milliseconds(record.expired_at),
        "originalTransactionId": record.original,
        "fee": None,
        "timeZone": "Etc/UTC",
        "representmentScheduledAt": None,
        "paymentProcessorType": None,
        "statusCode": record.code,
        "preAuthorized": record.preauthorized,
    }


def payment_object(family: Family, caller: Caller, enum: Enum) -> dict[str, Any]:
    """The Payment a record belongs to: every required member (provider docs: OpenAPI, Payment), and what else is known.

    The engine keeps no bank login, so what describes one is a sandbox's: a deferred payment from a checking account. Of
    a payment that Trustly itself showed stands here what was kept of that, and nothing of who pays from where.
    """
    root = family.root
    facts = payment_facts(root)
    merchant = merchant_id(caller)
    status = authorization_record_status(root)
    shown = authorization_status(root)
    account = {**SANDBOX_ACCOUNT, **facts.get("account", {})}
    ours = {
        "paymentId": root.dialect_id,
        "paymentType": enum(payment_type(root).value),
        "merchant": {"merchantId": merchant, "name": caller.name or "Demo merchant"},
        "merchantReference": payment_reference_of_all(root),
        "merchantId": merchant,
        "fingerprint": "sandbox",
        "verification": {"status": enum(1), "mode": enum(3), "verifyCustomer": False},
        "account": {
            "name": "Demo checking account",
            "type": account["type"],
            "profile": account["profile"],
            "accountNumber": account["lastFour"],
            "accountNumberLastFour": account["lastFour"],
            "verified": True,
            "country": "US",
        },
        "currency": root.currency,
        "amount": to_major(amount_of(root), currency(root.currency)),
        "paymentProvider": {**SANDBOX_BANK, "subType": enum(SANDBOX_BANK["subType"])},
        "allowedPaymentProviderType": [1],
        "auth": {"token": "sandbox", "status": shown.value, "message": shown.message},
        "authorization": "sandbox",
        "authorizationStatus": status.value,
        "authorizationStatusMessage": status.message,
        **_sums(family_sums(family), root.currency),
        "createdAt": milliseconds(root.created_at),
        "updatedAt": milliseconds(max(each.updated_at for each in (root, *family.members))),
        "recordVersion": sum(each.version for each in {each.id: each for each in (root, *family.members)}.values()),
        "paymentFlow": 1,
        **{name: facts[name] for name in ("description", "returnUrl", "cancelUrl") if name in facts},
    }
    if "customerId" in facts:
        known = {name: facts[name] for name in CUSTOMER_IDS if name in facts}
        ours["customer"] = {"merchantId": merchant, **known}
    return _as_shown(ours, facts["shown"], enum) if "shown" in facts else ours


def _as_shown(ours: dict[str, Any], shown: Mapping[str, Any], enum: Enum) -> dict[str, Any]:
    """The same payment as Trustly showed it, our figures left: they know of refunds that it may not know yet."""
    account, verification = shown.get("account", {}), shown.get("verification", {})
    last = account.get("accountNumberLastFour", "")
    bank = shown.get("paymentProvider", {})
    return {
        **ours,
        **{name: value for name, value in shown.items() if name in PLAIN},
        **_coded(shown, ("paymentType", "paymentProviderSubtype"), enum),
        "merchant": shown.get("merchant", ours["merchant"]),
        "fingerprint": "",
        "verification": {**ours["verification"], **verification, **_coded(verification, ("status", "mode"), enum)},
        "account": {"name": "", **account, "accountNumber": last, "accountNumberLastFour": last},
        "paymentProvider": {"name": "", **bank, **_coded(bank, ("subType",), enum)},
        "allowedPaymentProviderType": shown.get("allowedPaymentProviderType", ours["allowedPaymentProviderType"]),
        "auth": {"token": "", **shown.get("auth", {})},
        "authorization": "",
    }


def _coded(shown: Mapping[str, Any], names: tuple[str, ...], enum: Enum) -> dict[str, Any]:
    """Those of these members that are numbers, in the form asked for, whichever form they came in."""
    return {name: enum(shown[name]) for name in names if str(shown.get(name)).isdecimal()}


def merchant_id(caller: Caller) -> str:
    """The merchant's id at the provider."""
    return str(caller.profile.get("merchant_id", SANDBOX_MERCHANT))


def _sums(sums: Sums, code: str) -> dict[str, str]:
    names = ("pending", "paid", "refunded", "reversed", "balance")
    return {name: to_major(getattr(sums, name), currency(code)) for name in names}
