"""What a sandbox shows of Truust: payins with their orders, bank accounts, credentials, and a command to try.

Here too is what a payment registered natively may say so that it can be shown as a payin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from shlex import quote
from typing import Any, Final

from moneyback.core.payment import Payment
from moneyback.dialect import AddPayment, Presented, Samples, SaveDocument
from moneyback.dialects.truust.documents import BANK_ACCOUNT, CUSTOMER, ESCROW, ORDER
from moneyback.dialects.truust.documents import WALLET as WALLET_KEPT
from moneyback.dialects.truust.fetching import PAYINS
from moneyback.dialects.truust.fields import TAG_LENGTH_MAX
from moneyback.dialects.truust.kept import SHOWN, is_kept
from moneyback.dialects.truust.wire import (
    BANKWIRE,
    VERSION,
    WALLET,
    OrderStatus,
    PayinStatus,
    is_number,
    major,
    order_number,
    payin_type,
)

# --- payments registered natively ------------------------------------------------------------------------------------

_FAILURES: Final = (PayinStatus.DENIED.value, PayinStatus.CANCELLED.value)


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _number(value: object) -> bool:
    return isinstance(value, str) and is_number(value)


_MEMBERS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "tag": (lambda value: _text(value) and len(value) <= TAG_LENGTH_MAX, f"text of 1 to {TAG_LENGTH_MAX} characters"),
    "reference": (_text, "text that is not empty"),
    "subtype": (_text, "text that is not empty"),
    "card": (_text, "text that is not empty"),
    "provider": (lambda value: isinstance(value, Mapping), "an object"),
    "wallet_id": (lambda value: isinstance(value, int) and not isinstance(value, bool) and value > 0, "a number"),
    "refundable": (lambda value: isinstance(value, bool), "true or false"),
    "direct_link": (_text, "text that is not empty"),
    "open": (lambda value: isinstance(value, bool), "true or false"),
    "reimbursing": (lambda value: isinstance(value, bool), "true or false"),
    "reimburses": (_text, "text that is not empty"),
    "failure_status": (lambda value: value in _FAILURES, " or ".join(_FAILURES)),
    SHOWN: (is_kept, "a payin as JSON text"),
    PAYINS: (lambda value: isinstance(value, list) and all(map(_number, value)), "a list of numbers as text"),
}


def payment_document(data: Mapping[str, Any], _now: datetime) -> Mapping[str, Any]:
    """What a payin shows that the engine does not know; all of it may be left out. Raises ValueError with a sentence.

    `tag`, `reference` (the gateway's), `subtype`, `card` (hash of the card), `provider` (the gateway's raw answer),
    `wallet_id` (of a WALLET payin), `refundable` (whether its method can be refunded, in place of what its type says),
    `failure_status` (DENIED, the default, or CANCELLED: what a failed payment shows), `open` (an authorised one whose
    buyer has yet to pay shows as CREATED), `direct_link` (a real provider's page, while it is not paid). `reimbursing`
    and `reimburses` are left there by this API's own calls, `shown` and `payins` by whoever reads a payin at Truust.
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


_SINCE: Final = "2026-01-01T00:00:00Z"
_BUYER: Final[Mapping[str, Any]] = {"id": 4301, "uuid": "0b9a6d5e-6c1f-4b0e-9a57-1f5d0c9e4301", "wallet_id": 4201}
_SELLER: Final[Mapping[str, Any]] = {"id": 4302, "uuid": "4f2c8e17-0d7b-4a35-8c52-7b1a6e2f4302", "wallet_id": 4202}
_WALLETS: Final = {4201: "8d3e1f60-5a2c-4c7d-b9e4-2a6f0d1c4201", 4202: "c5a7b2d4-91f3-4e68-a0d1-6e9b3f8a4202"}


def _customer(party: Mapping[str, Any], name: str, email: str) -> SaveDocument:
    blank = dict.fromkeys(("type", "first_name", "last_name", "prefix", "phone", "locale", "vat_id", "tag", "metadata"))
    wallet = {"wallet": _WALLETS[party["wallet_id"]]}
    data = {**blank, **party, **wallet, "name": name, "email": email, "created_at": _SINCE}
    return SaveDocument(kind=CUSTOMER, id=str(party["id"]), data=data)


def _wallet(number: int, uuid: str, kind: str = WALLET_KEPT, **more: Any) -> SaveDocument:
    blank = dict.fromkeys(("type", "tag", "metadata", "customer"))
    data = {**blank, "id": number, "uuid": uuid, "currency": "EUR", "created_at": _SINCE, **more}
    return SaveDocument(kind=kind, id=str(number), data=data)


def _order(number: int, value: int, status: OrderStatus) -> tuple[SaveDocument, ...]:
    """An order and its escrow, as the calls of this API leave them."""
    escrow: dict[str, Any] = {"id": _escrow(number), "uuid": f"e5c40000-0000-4000-8000-{number:012d}"}
    data = {
        "id": number,
        "public_id": f"demo{number}",
        "name": f"Demo order {number}",
        "value": value,
        "currency": "EUR",
        "images": [],
        "urls": {},
        "status": status.value,
        "escrow": escrow,
        "buyer_id": _BUYER["id"],
        "seller_id": _SELLER["id"],
        "buyer": _BUYER,
        "seller": _SELLER,
        "created_at": _SINCE,
        "published_at": None if status is OrderStatus.PENDING_PUBLISH else _SINCE,
    }
    order = SaveDocument(kind=ORDER, id=str(number), data=data)
    return order, _wallet(escrow["id"], escrow["uuid"], ESCROW, order=number)


def _escrow(order: int) -> int:
    """The number of a demo order's escrow."""
    return order - 100_000


_ORDERS: Final = (
    *_order(500001, 250_00, OrderStatus.PUBLISHED),
    *_order(500002, 180_00, OrderStatus.PUBLISHED),
    *_order(500003, 200_00, OrderStatus.PUBLISHED),
    *_order(500004, 75_00, OrderStatus.PUBLISHED),
    *_order(500005, 40_00, OrderStatus.PUBLISHED),
    *_order(500006, 90_00, OrderStatus.PUBLISHED),
    *_order(500007, 60_00, OrderStatus.PENDING_PUBLISH),
    *_order(500008, 200_00, OrderStatus.RELEASED),
)


def _payin(
    amount: int,
    order: int,
    kind: str,
    *,
    status: str = "captured",
    source: str | None = None,
    wallet: int | None = None,
    **document: Any,
) -> AddPayment:
    return AddPayment(
        amount=amount,
        currency="EUR",
        order=str(order),
        method=kind,
        status=status,
        source=source,
        wallet=str(wallet or _escrow(order)),
        document=document,
    )


_PAYMENTS: Final = (
    _payin(250_00, 500001, "REDSYS_V2", tag="order-500001"),
    _payin(180_00, 500002, BANKWIRE),
    _payin(120_00, 500003, "ADDON_V2"),
    _payin(80_00, 500003, "BIZUM"),
    _payin(40_00, 500005, "SIBS_MULTIBANCO"),
    _payin(90_00, 500006, "REDSYS_AUTH", status="authorized"),
    _payin(60_00, 500007, "REDSYS_V2", status="processing"),
    _payin(200_00, 500008, "REDSYS_V2", wallet=4201, tag="top-up"),
    _payin(75_00, 500004, WALLET, source="4201", wallet_id=4201),
)
_DOCUMENTS: Final = (
    *(_bank_account(*each) for each in _BANK_ACCOUNTS),
    _customer(_BUYER, "Anna Demo", "anna.demo@example.com"),
    _customer(_SELLER, "Bernat Demo", "bernat.demo@example.com"),
    *(_wallet(party["wallet_id"], _WALLETS[party["wallet_id"]], customer=party["uuid"]) for party in (_BUYER, _SELLER)),
    *_ORDERS,
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
        "amount": major(max(payment.captured, payment.authorized), payment.currency),
        "currency": payment.currency,
    }


def _curl(section: Mapping[str, Any]) -> str:
    url = f"{section['base_url']}{VERSION}/payins/{section['payins'][0]['id']}/refund"
    authorization = quote(f"Authorization: Bearer {section['secret_key']}")
    return f"curl -X POST {quote(url)} -H {authorization} -H 'Content-Type: application/json' -d '{{\"amount\": 10}}'"


SAMPLES: Final = Samples(
    payments=_PAYMENTS,
    documents=_DOCUMENTS,
    credentials=_credentials,
    section=_section,
    curl=_curl,
)
