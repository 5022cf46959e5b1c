"""What a sandbox shows of Truust: payins and bank accounts, demo credentials, and a command to try.

Here too is what a payment registered natively may say so that it can be shown as a payin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from shlex import quote
from typing import Any, Final

from moneyback.core.money import currency, to_decimal
from moneyback.core.payment import Payment
from moneyback.dialect import AddPayment, Presented, Samples, SaveDocument
from moneyback.dialects.truust.fields import TAG_LENGTH_MAX
from moneyback.dialects.truust.objects import BANK_ACCOUNT
from moneyback.dialects.truust.wire import BANKWIRE, VERSION, WALLET, PayinStatus, order_number, payin_type

# --- payments registered natively ------------------------------------------------------------------------------------

_FAILURES: Final = (PayinStatus.DENIED.value, PayinStatus.CANCELLED.value)


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


_MEMBERS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "tag": (lambda value: _text(value) and len(value) <= TAG_LENGTH_MAX, f"text of 1 to {TAG_LENGTH_MAX} characters"),
    "reference": (_text, "text that is not empty"),
    "subtype": (_text, "text that is not empty"),
    "card": (_text, "text that is not empty"),
    "provider": (lambda value: isinstance(value, Mapping), "an object"),
    "wallet_id": (lambda value: isinstance(value, int) and not isinstance(value, bool) and value > 0, "a number"),
    "refundable": (lambda value: isinstance(value, bool), "true or false"),
    "failure_status": (lambda value: value in _FAILURES, " or ".join(_FAILURES)),
}


def payment_document(data: Mapping[str, Any], _now: datetime) -> Mapping[str, Any]:
    """What a payin shows that the engine does not know; all of it may be left out. Raises ValueError with a sentence.

    `tag`, `reference` (the gateway's), `subtype`, `card` (hash of the card), `provider` (the gateway's raw answer),
    `wallet_id` (of a WALLET payin), `refundable` (whether its method can be refunded, in place of what its type says),
    `failure_status` (DENIED, the default, or CANCELLED: what a failed payment shows).
    """
    if unfamiliar := sorted(set(data) - set(_MEMBERS)):
        raise ValueError(f"A Truust payment has no {', '.join(unfamiliar)}.")
    document = {name: value for name, value in data.items() if value is not None}
    for name, value in document.items():
        fits, what = _MEMBERS[name]
        if not fits(value):
            raise ValueError(f"{name} must be {what}.")
    return document


# --- the demo account ------------------------------------------------------------------------------------------------

_BANK_ACCOUNTS: Final = (
    (4101, "6d1f6c1e-8a55-4c0e-9a53-0f8f5b3c7d21", "Anna Demo", "ES91 **** **** **** **** 1332", "CAIXESBBXXX"),
    (4102, "b0a4b7f2-3f0d-4f7e-8a0b-2d4a6f1c9e35", "Bernat Demo", "DE89 **** **** **** **30 00", "COBADEFFXXX"),
)


def _bank_account(number: int, uuid: str, name: str, iban: str, bic: str) -> SaveDocument:
    data = {
        "id": number,
        "self": f"{VERSION}/bankaccounts/{uuid}",
        "uuid": uuid,
        "type": "IBAN",
        "name": name,
        "number": iban,
        "bic": bic,
        "tag": None,
        "metadata": None,
        "created_at": "2026-01-01T00:00:00Z",
        "connections": {},
    }
    return SaveDocument(kind=BANK_ACCOUNT, id=str(number), data=data)


def _payin(amount: int, order: str, kind: str, *, status: str = "captured", **document: Any) -> AddPayment:
    return AddPayment(amount=amount, currency="EUR", order=order, method=kind, status=status, document=document)


_PAYMENTS: Final = (
    _payin(250_00, "500001", "REDSYS_V2", tag="order-500001"),
    _payin(180_00, "500002", BANKWIRE),
    _payin(120_00, "500003", "ADDON_V2"),
    _payin(80_00, "500003", "BIZUM"),
    _payin(75_00, "500004", WALLET, wallet_id=4201),
    _payin(40_00, "500005", "SIBS_MULTIBANCO"),
    _payin(90_00, "500006", "REDSYS_AUTH", status="authorized"),
    _payin(60_00, "500007", "REDSYS_V2", status="processing"),
)


def _credentials(text: Callable[[int], str]) -> tuple[Presented, Mapping[str, Any]]:
    """A secret key as a staging account has it: clients tell the two hosts apart by its beginning."""
    return Presented("sk_stage_" + text(40)), {"envelope": "both"}


def _section(
    base_url: str, key: Presented, _profile: Mapping[str, Any], payments: tuple[Payment, ...]
) -> Mapping[str, Any]:
    return {
        "base_url": base_url,
        "secret_key": key.secret,
        "payins": [_listed(payment) for payment in payments],
        "bankaccounts": [{"id": number, "uuid": uuid} for number, uuid, *_ in _BANK_ACCOUNTS],
    }


def _listed(payment: Payment) -> Mapping[str, Any]:
    return {
        "id": int(payment.dialect_id),
        "type": payin_type(payment),
        "order_id": order_number(payment),
        "amount": _major(max(payment.captured, payment.authorized), payment.currency),
        "currency": payment.currency,
    }


def _major(minor: int, code: str) -> int | Decimal:
    """A number of major units, whole where it is one: those every JSON writer prints as a number."""
    amount = to_decimal(minor, currency(code))
    return int(amount) if amount == int(amount) else amount


def _curl(section: Mapping[str, Any]) -> str:
    url = f"{section['base_url']}{VERSION}/payins/{section['payins'][0]['id']}/refund"
    authorization = quote(f"Authorization: Bearer {section['secret_key']}")
    return f"curl -X POST {quote(url)} -H {authorization} -H 'Content-Type: application/json' -d '{{\"amount\": 10}}'"


SAMPLES: Final = Samples(
    payments=_PAYMENTS,
    documents=tuple(_bank_account(*each) for each in _BANK_ACCOUNTS),
    credentials=_credentials,
    section=_section,
    curl=_curl,
)
