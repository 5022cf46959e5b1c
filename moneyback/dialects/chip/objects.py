"""CHIP's two objects as we serve them: the Purchase, and the Payment that a refund generates.

Pure rendering of our facts, members in the provider's order, and the document a payment keeps for it. A Purchase's
attempts and history are not stored: they are told from its refunds, so they cannot contradict them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import ENDED, Refund, State
from moneyback.dialect import Caller
from moneyback.dialects.chip.wire import (
    SHOWN,
    UNTOUCHED,
    Availability,
    Shown,
    Status,
    attempt_error,
    offered,
    status,
    unix,
)

WAIT_S: Final = 3.0
"""How long the refund call waits for the rail. CHIP names no figure; its plugins give up after ten seconds."""

_METHOD_UNSTATED: Final = "fpx"
_COUNTRY_UNSTATED: Final = "MY"


# --- the document a payment keeps ------------------------------------------------------------------------------------

_TEXTS: Final[Mapping[str, int]] = {"reference": 128, "product": 256, "country": 2, "flow": 32}
_CLIENT_TEXTS: Final[Mapping[str, int]] = {
    "email": 254,
    "phone": 32,
    "full_name": 128,
    "personal_code": 32,
    "legal_name": 128,
    "brand_name": 128,
    "registration_number": 32,
    "tax_number": 32,
    "bank_account": 34,
    "bank_code": 11,
    "street_address": 128,
    "city": 128,
    "zip_code": 32,
    "country": 2,
    "state": 128,
    "shipping_street_address": 128,
    "shipping_city": 128,
    "shipping_zip_code": 32,
    "shipping_country": 2,
    "shipping_state": 128,
}
_IDS: Final = ("brand_id", "company_id", "account_id")


def payment_document(data: Mapping[str, Any], _now: datetime) -> Mapping[str, Any]:
    """What a natively registered payment may say for this dialect; every member is optional. Raises ValueError.

    `refund_availability`, `reference` (at most 128 characters), `product` (its name, 256), `country` (two letters),
    `flow`, `client` (text members of ClientDetails), `brand_id`, `company_id`, `account_id` (UUIDs).
    """
    unknown = set(data) - {*_TEXTS, *_IDS, "refund_availability", "client"}
    if unknown:
        raise ValueError(f"CHIP payments have no {min(unknown)!r} in dialect_data.")
    if data.get("refund_availability", Availability.ALL) not in list(Availability):
        raise ValueError(f"refund_availability is one of {', '.join(Availability)}.")
    client = data.get("client", {})
    if not isinstance(client, Mapping) or set(client) - set(_CLIENT_TEXTS):
        raise ValueError(f"client is an object of these members: {', '.join(_CLIENT_TEXTS)}.")
    _check_texts(data, _TEXTS)
    _check_texts(client, _CLIENT_TEXTS)
    for name in _IDS:
        if name in data and not _is_uuid(data[name]):
            raise ValueError(f"{name} is a UUID.")
    return dict(data)


def _check_texts(data: Mapping[str, Any], limits: Mapping[str, int]) -> None:
    for name, limit in limits.items():
        if name in data and not (isinstance(data[name], str) and len(data[name]) <= limit):
            raise ValueError(f"{name} is a text of at most {limit} characters.")


def _is_uuid(value: object) -> bool:
    try:
        return str(UUID(str(value))) == value
    except ValueError:
        return False


# --- the Payment of a refund -----------------------------------------------------------------------------------------


def refund_payment(refund: Refund, payment: Payment, caller: Caller) -> dict[str, Any]:
    """The Payment that a succeeded refund generated (provider docs: refund page, its members in its order).

    `status` follows them: undocumented, but CHIP's sandbox sends "success" and its plugins test for it.
    """
    paid_on = unix(refund.ended_at or refund.updated_at)
    return {
        "type": "payment",
        "id": refund.dialect_id,
        "created_on": unix(refund.created_at),
        "updated_on": unix(refund.updated_at),
        "client": _client(payment),
        "payment": _money(payment, "refund", refund.payer, 0, paid_on),
        "transaction_data": _transaction_data(payment, [_refund_attempt(refund, payment)], "api"),
        "related_to": {"type": "purchase", "id": payment.dialect_id, "reference": _reference(payment)},
        "reference_generated": _reference_generated(payment),
        "reference": _reference(payment),
        "account_id": owner_id("account_id", payment, caller),
        "company_id": owner_id("company_id", payment, caller),
        "is_test": is_test(payment),
        "user_id": None,
        "brand_id": owner_id("brand_id", payment, caller),
        "status": "success",
    }


# --- the Purchase ----------------------------------------------------------------------------------------------------


def purchase(payment: Payment, refunds: tuple[Refund, ...], caller: Caller) -> dict[str, Any]:
    """The Purchase as it stands (provider docs: create a purchase page); `refunds` are all of it, oldest first."""
    paid = payment.condition is Condition.CAPTURED
    availability, refundable = offered(payment)
    return {
        "client": _client(payment),
        "purchase": _purchase_details(payment),
        "payment": _money(payment, "purchase", payment.captured, payment.fees, unix(_paid_at(payment)))
        if paid
        else None,
        "issuer_details": _issuer_details(caller),
        "transaction_data": _transaction_data(payment, _attempts(payment, refunds), _flow(payment)),
        "status": status(payment).value,
        "status_history": _status_history(payment, refunds),
        "viewed_on": None,
        "company_id": owner_id("company_id", payment, caller),
        "is_test": is_test(payment),
        "user_id": None,
        "brand_id": owner_id("brand_id", payment, caller),
        "billing_template_id": None,
        "order_id": None,
        "client_id": None,
        "send_receipt": False,
        "skip_capture": payment.condition is Condition.AUTHORIZED,
        "force_recurring": False,
        "is_recurring_token": False,
        "marked_as_paid": False,
        "recurring_token": None,
        "reference_generated": _reference_generated(payment),
        "reference": _reference(payment),
        "issued": _created_at(payment).date().isoformat(),
        "due": None,
        "refund_availability": availability.value,
        "refundable_amount": refundable,
        "currency_conversion": None,
        "payment_method_whitelist": None,
        "success_redirect": "",
        "failure_redirect": "",
        "cancel_redirect": "",
        "success_callback": "",
        "creator_agent": "",
        "platform": "api",
        "product": "purchases",
        "created_from_ip": "",
        "invoice_url": None,
        "checkout_url": _checkout_url(payment),
        "direct_post_url": None,
        "upsell_campaigns": [],
        "referral_campaign_id": None,
        "referral_code": None,
        "referral_code_details": None,
        "referral_code_generated": None,
        "retain_level_details": None,
        "can_retrieve": False,
        "can_chargeback": False,
        "can_reverse_chargeback": False,
        "tags": [],
        "created_on": unix(_created_at(payment)),
        "updated_on": unix(payment.updated_at),
        "type": "purchase",
        "id": payment.dialect_id,
    }


def total(payment: Payment) -> int:
    """What the Purchase was for, in minor units: also while unpaid, and when less than the hold was captured."""
    return max(payment.authorized, payment.captured)


def is_test(payment: Payment) -> bool:
    """Whether no real money moves: CHIP's key decides it, ours the rail."""
    return payment.rail.partition("-")[0] == "sandbox"


def owner_id(name: str, payment: Payment, caller: Caller) -> str:
    """`brand_id`, `company_id` or `account_id`: the payment's own, the credential's, else the merchant's fixed one."""
    stated = payment.document.get(name) or caller.profile.get(name)
    return str(stated or uuid5(payment.merchant, name))


# --- their shared parts ----------------------------------------------------------------------------------------------


def _client(payment: Payment) -> dict[str, Any]:
    stated: Mapping[str, Any] = payment.document.get("client", {})
    texts = {name: stated.get(name, "") for name in _CLIENT_TEXTS}
    texts["email"] = texts["email"] or "payer@example.com"
    return {
        "client_type": None,
        **texts,
        "cc": [],
        "bcc": [],
        "delivery_methods": [
            {"method": "email", "options": {}},
            {"method": "text_message", "options": {"custom_message": ""}},
        ],
    }


def _money(payment: Payment, kind: str, amount: int, fee: int, paid_on: int) -> dict[str, Any]:
    """PaymentDetails: amount = net + fee + pending, all minor units."""
    return {
        "is_outgoing": kind == "refund",
        "payment_type": kind,
        "amount": amount,
        "currency": payment.currency,
        "net_amount": amount - fee,
        "fee_amount": fee,
        "pending_amount": 0,
        "pending_unfreeze_on": None,
        "description": "",
        "paid_on": paid_on,
        "remote_paid_on": paid_on,
        "owned_bank_account_id": None,
        "owned_bank_account": None,
        "owned_bank_code": None,
    }


def _purchase_details(payment: Payment) -> dict[str, Any]:
    amount = total(payment)
    product = {
        "name": payment.document.get("product", "Purchase"),
        "price": amount,
        "quantity": "1.0000",
        "discount": 0,
        "tax_percent": "0.00",
        "category": "",
        "total_price_override": None,
    }
    return {
        "currency": payment.currency,
        "products": [product],
        "total": amount,
        "language": "en",
        "notes": "",
        "debt": 0,
        "subtotal_override": None,
        "total_tax_override": None,
        "total_discount_override": None,
        "total_override": None,
        "request_client_details": [],
        "timezone": "UTC",
        "due_strict": False,
        "email_message": "",
        "shipping_options": [],
        "payment_method_details": {},
        "has_upsell_products": False,
        "metadata": dict(payment.metadata),
        "single_attempt": False,
    }


def _issuer_details(caller: Caller) -> dict[str, Any]:
    return {
        "website": "",
        "brand_name": caller.name,
        "legal_name": caller.name,
        "registration_number": "",
        "tax_number": "",
        "legal_street_address": "",
        "legal_city": "",
        "legal_zip_code": "",
        "legal_country": "",
        "bank_accounts": [{"bank_account": "", "bank_code": ""}],
    }


def _created_at(payment: Payment) -> datetime:
    """A payment may be registered after it was captured; a Purchase is never older than its own creation."""
    return min(payment.created_at, _paid_at(payment))


def _paid_at(payment: Payment) -> datetime:
    return payment.captured_at or payment.created_at


def _reference(payment: Payment) -> str:
    return str(payment.document.get("reference") or payment.order or "")[:128]


def _reference_generated(payment: Payment) -> str:
    return f"CH{payment.id.int % 10**9}"


def _flow(payment: Payment) -> str:
    return str(payment.document.get("flow", "payform"))


def _method(payment: Payment) -> str:
    """Empty until somebody chose one by paying."""
    return "" if payment.condition is Condition.PROCESSING else payment.method or _METHOD_UNSTATED


def _country(payment: Payment) -> str:
    return "" if payment.condition is Condition.PROCESSING else payment.document.get("country", _COUNTRY_UNSTATED)


def _checkout_url(payment: Payment) -> str:
    invoice = "invoice/" if payment.condition is Condition.CAPTURED else ""
    return f"https://gate.chip-in.asia/p/{payment.dialect_id}/{invoice}"


# --- attempts and history --------------------------------------------------------------------------------------------


def _transaction_data(payment: Payment, attempts: list[dict[str, Any]], flow: str) -> dict[str, Any]:
    return {
        "payment_method": _method(payment),
        "flow": flow,
        "processing_tx_id": "",
        "extra": {},
        "country": _country(payment),
        "attempts": attempts,
    }


def _attempts(payment: Payment, refunds: tuple[Refund, ...]) -> list[dict[str, Any]]:
    """Every attempt that has an outcome, newest first (provider docs: refund page); the paying one is the oldest."""
    ended = sorted((each for each in refunds if each.state in ENDED), key=_ended_at)
    return [*(_refund_attempt(each, payment) for each in ended[::-1]), *_paying_attempt(payment)]


def _ended_at(refund: Refund) -> datetime:
    return refund.ended_at or refund.updated_at


def _refund_attempt(refund: Refund, payment: Payment) -> dict[str, Any]:
    failed = SHOWN[refund.state] is Shown.ERROR
    at = unix(_ended_at(refund))
    return _attempt(payment, "refund", "api", at, attempt_error(refund) if failed else None, refund.provider_id)


def _paying_attempt(payment: Payment) -> Iterator[dict[str, Any]]:
    at, flow = unix(_paid_at(payment)), _flow(payment)
    match payment.condition:
        case Condition.CAPTURED:
            yield _attempt(payment, "execute", flow, at, None)
        case Condition.AUTHORIZED:
            yield _attempt(payment, "authorize", flow, at, None)
        case Condition.FAILED:
            error = {"code": "general_transaction_error", "message": "The payment failed."}
            yield _attempt(payment, "execute", flow, at, error)
        case Condition.PROCESSING:
            pass


def _attempt(
    payment: Payment, kind: str, flow: str, at: int, error: dict[str, str] | None, transaction: str | None = None
) -> dict[str, Any]:
    return {
        "type": kind,
        "successful": error is None,
        "payment_method": _method(payment),
        "flow": flow,
        "extra": {},
        "country": _country(payment),
        "client_ip": "",
        "processing_time": at,
        "fee_amount": 0,
        "processing_tx_id": transaction or "",
        "error": error,
    }


def _status_history(payment: Payment, refunds: tuple[Refund, ...]) -> list[dict[str, Any]]:
    """What the Purchase's status was and is, latest last; only a refund's entry carries `related_object`.

    Told from the refunds, closed by the present status: a dispute, a chargeback or a refund made elsewhere leaves no
    refund of ours to tell of it.
    """
    history = [_entry(Status.CREATED, _created_at(payment))]
    settled = UNTOUCHED[payment.condition]
    if settled is not Status.CREATED:
        history.append(_entry(settled, _paid_at(payment)))
    steps = sorted((step for each in refunds for step in _steps(each)), key=lambda step: step[0])
    for at, word, refund in steps:
        if word is Status.REFUNDED:
            settled = word
        history.append(_entry(word or settled, at, refund))
    present = status(payment)
    if history[-1]["status"] != present.value:
        history.append(_entry(present, payment.updated_at))
    return history


def _steps(refund: Refund) -> Iterator[tuple[datetime, Status | None, Refund | None]]:
    """When a refund changed its Purchase's status and to what; None: back to what it was before."""
    ended_at = _ended_at(refund)
    # A refund that outlasted the wait was answered, and seen, as pending_refund.
    pending = refund.state not in ENDED or ended_at - refund.created_at >= timedelta(seconds=WAIT_S)
    if pending:
        yield refund.created_at, Status.PENDING_REFUND, None
    if refund.state is State.SUCCEEDED:
        yield ended_at, Status.REFUNDED, refund
    elif pending and refund.state in ENDED:
        yield ended_at, None, None


def _entry(word: Status, at: datetime, refund: Refund | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {"status": word.value, "timestamp": unix(at)}
    if refund is not None:
        entry["related_object"] = {"type": "payment", "id": refund.dialect_id}
    return entry
