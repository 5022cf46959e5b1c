"""What a sandbox shows of Trustly: payments to refund, demo credentials, and a command to try.

Here too is what a payment registered natively must know to be shown as a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from shlex import quote
from typing import Any, Final

from moneyback.core.money import currency, to_major
from moneyback.core.payment import Payment
from moneyback.dialect import AddPayment, Presented, Samples
from moneyback.dialects.trustly.kept import kept
from moneyback.dialects.trustly.received import SUMS
from moneyback.dialects.trustly.records import CUSTOMER_IDS, SANDBOX_MERCHANT, original_record
from moneyback.dialects.trustly.wire import PaymentType, Status, Type

ACCESS_ID_LENGTH: Final = 20
ACCESS_KEY_LENGTH: Final = 40

TYPES: Final = tuple(
    str(each.value)
    for each in (
        *(Type.CAPTURE, Type.PAY, Type.AUTHORIZE, Type.PREAUTHORIZATION, Type.DEPOSIT),
        Type.REPRESENTMENT,  # none is made here, but Trustly may show one
    )
)
FAILURES: Final = tuple(
    str(each.value) for each in (Status.FAILED, Status.DENIED, Status.EXPIRED, Status.CANCELED, Status.VOIDED)
)
PAYMENT_TYPES: Final = tuple(str(each.value) for each in PaymentType)
TEXTS: Final = ("merchantReference", "ip", "originalTransactionId", "authorization", "notificationUrl")
TIMES: Final = ("completesAt", "expiresAt")
FACTS: Final = ("merchantReference", "description", "returnUrl", "cancelUrl", *CUSTOMER_IDS)
ACCOUNT: Final = ("type", "profile", "lastFour")


def payment_document(data: Mapping[str, Any], _now: datetime) -> Mapping[str, Any]:
    """What a transaction shows that the engine does not know, checked and completed; all of it may be left out.

    `transactionType` 3 (default), 2, 1 (an authorisation), 10 or 8, or 6 beneath an `authorization`;
    `merchantReference`, `ip`, `originalTransactionId`, and `failureStatus` 5 (default), 8, 6, 7 or 13: what a failed
    payment shows. The other members are what the dialect's own calls, and Trustly's answers, leave to be remembered.
    Raises ValueError with a sentence.
    """
    document: dict[str, Any] = {
        "transactionType": _one_of(data, "transactionType", TYPES),
        "failureStatus": _one_of(data, "failureStatus", FAILURES),
    }
    document |= {name: _text(data, name) for name in TEXTS if data.get(name) is not None}
    document |= {name: _time(data, name) for name in TIMES if data.get(name) is not None}
    if data.get("preAuthorized") is not None:
        document["preAuthorized"] = bool(data["preAuthorized"])
    if data.get("payment") is not None:
        document["payment"] = _facts(data["payment"])
    if unfamiliar := sorted(set(data) - {*document, *TEXTS, *TIMES, "preAuthorized", "payment"}):
        raise ValueError(f"A Trustly payment has no {', '.join(unfamiliar)}.")
    made_here = "shown" not in document.get("payment", {})
    if made_here and document["transactionType"] == str(Type.DEPOSIT.value) and "authorization" not in document:
        raise ValueError("A deposit is made of an authorization.")
    return document


def _facts(data: object) -> Mapping[str, Any]:
    """What a record says of the payment it belongs to."""
    if not isinstance(data, Mapping):
        raise ValueError("payment must be an object.")
    facts: dict[str, Any] = {name: _text(data, name) for name in FACTS if data.get(name) is not None}
    if data.get("paymentType") is not None:
        facts["paymentType"] = _one_of(data, "paymentType", PAYMENT_TYPES)
    account = data.get("account")
    if isinstance(account, Mapping):
        facts["account"] = {
            name: account[name] for name in ACCOUNT if isinstance(account.get(name), str if name == "lastFour" else int)
        }
    if isinstance(data.get("shown"), Mapping):
        facts["shown"] = kept(data["shown"])
    others = data.get("others")
    if isinstance(others, Mapping):
        facts["others"] = {name: others[name] for name in SUMS if _is_count(others.get(name))}
    return facts


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _one_of(data: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = data.get(name)
    if value is None:
        return choices[0]
    if isinstance(value, bool) or str(value) not in choices:
        raise ValueError(f"{name} must be {' or '.join(choices)}.")
    return str(value)


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be text that is not empty.")
    return value


def _time(data: Mapping[str, Any], name: str) -> str:
    text = _text(data, name)
    try:
        zoned = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        zoned = False
    if not zoned:
        raise ValueError(f"{name} must be a time with its zone.")
    return text


def _sample(amount: int, reference: str, kind: Type = Type.CAPTURE, status: str = "captured") -> AddPayment:
    document = {
        "transactionType": str(kind.value),
        "failureStatus": FAILURES[0],
        "merchantReference": reference,
    }
    return AddPayment(amount=amount, currency="USD", status=status, document=document)


def credentials(text: Callable[[int], str]) -> tuple[Presented, Mapping[str, Any]]:
    """An access id and key, and the merchant they belong to. Event notifications name the id, as their user."""
    presented = Presented(secret=text(ACCESS_KEY_LENGTH), user=text(ACCESS_ID_LENGTH))
    return presented, {"merchant_id": SANDBOX_MERCHANT, "access_id": presented.user}


def section(
    base_url: str, presented: Presented, profile: Mapping[str, Any], payments: tuple[Payment, ...]
) -> Mapping[str, Any]:
    """This dialect's part of the ready file."""
    return {
        "base_url": base_url,
        "access_id": presented.user,
        "access_key": presented.secret,
        "merchant_id": profile["merchant_id"],
        "transactions": [_listed(payment) for payment in payments],
    }


def _listed(payment: Payment) -> Mapping[str, str]:
    record = original_record(payment)
    return {
        "transactionId": record.id,
        "transactionType": str(record.type.value),
        "status": str(record.status.value),
        "amount": to_major(record.amount, currency(payment.currency)),
    }


def curl(shown: Mapping[str, Any]) -> str:
    """Refund a part of the first transaction."""
    user = quote(f"{shown['access_id']}:{shown['access_key']}")
    url = f"{shown['base_url']}/transactions/{shown['transactions'][0]['transactionId']}/refund"
    return f"curl -u {user} -d merchantReference=refund-1 -d amount=10.00 {quote(url)}"


SAMPLES: Final = Samples(
    payments=(
        _sample(250_00, "order-1001"),
        _sample(120_00, "order-1002", Type.PAY),
        _sample(19_99, "order-1003"),
        _sample(75_50, "order-1004", status="processing"),
        _sample(500_00, "order-1005", Type.AUTHORIZE, status="authorized"),
    ),
    credentials=credentials,
    section=section,
    curl=curl,
)
