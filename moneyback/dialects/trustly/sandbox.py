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
from moneyback.dialects.trustly.records import SANDBOX_MERCHANT, original_record
from moneyback.dialects.trustly.wire import Status, Type

ACCESS_ID_LENGTH: Final = 20
ACCESS_KEY_LENGTH: Final = 40

ORIGINALS: Final = (str(Type.CAPTURE.value), str(Type.PAY.value))
FAILURES: Final = (str(Status.FAILED.value), str(Status.DENIED.value))


def payment_document(data: Mapping[str, Any], _now: datetime) -> Mapping[str, Any]:
    """What a transaction shows that the engine does not know, checked and completed; all of it may be left out.

    `transactionType` 3 (default) or 2, `merchantReference`, `ip`, `originalTransactionId` (the authorisation), and
    `failureStatus` 5 (default) or 8: what a failed payment shows. Raises ValueError with a sentence.
    """
    document = {
        "transactionType": _one_of(data, "transactionType", ORIGINALS),
        "failureStatus": _one_of(data, "failureStatus", FAILURES),
    }
    for name in ("merchantReference", "ip", "originalTransactionId"):
        value = data.get(name)
        if value is None:
            continue
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} must be text that is not empty.")
        document[name] = value
    if unfamiliar := sorted(set(data) - {*document, "merchantReference", "ip", "originalTransactionId"}):
        raise ValueError(f"A Trustly payment has no {', '.join(unfamiliar)}.")
    return document


def _one_of(data: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = data.get(name)
    if value is None:
        return choices[0]
    if isinstance(value, bool) or str(value) not in choices:
        raise ValueError(f"{name} must be {' or '.join(choices)}.")
    return str(value)


def _sample(amount: int, reference: str, kind: Type = Type.CAPTURE, status: str = "captured") -> AddPayment:
    document = {
        "transactionType": str(kind.value),
        "failureStatus": FAILURES[0],
        "merchantReference": reference,
    }
    return AddPayment(amount=amount, currency="USD", status=status, document=document)


def credentials(text: Callable[[int], str]) -> tuple[Presented, Mapping[str, Any]]:
    """An access id and key, and the merchant they belong to."""
    presented = Presented(secret=text(ACCESS_KEY_LENGTH), user=text(ACCESS_ID_LENGTH))
    return presented, {"merchant_id": SANDBOX_MERCHANT}


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
    ),
    credentials=credentials,
    section=section,
    curl=curl,
)
