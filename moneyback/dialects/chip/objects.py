"""CHIP's two objects as we serve them: the Purchase, and the Payment that a refund generates.

Pure rendering of our facts, members in the provider's order. A Purchase's refund attempts and its history are not
stored: they are told from its refunds, so they cannot contradict them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from moneyback.core.payment import Condition, Payment
from moneyback.core.refund import ENDED, Refund, State
from moneyback.dialect import Caller, release_of
from moneyback.dialects.chip import document
from moneyback.dialects.chip.document import CLIENT_TEXTS, detail, is_test, option
from moneyback.dialects.chip.standing import PAYABLE, offered, status
from moneyback.dialects.chip.wire import SHOWN, Shown, Status, attempt_error, unix

WAIT_S: Final = 3.0
"""How long the refund call waits for the rail. CHIP names no figure; its plugins give up after ten seconds."""

_METHOD_UNSTATED: Final = "fpx"
_COUNTRY_UNSTATED: Final = "MY"


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Who is shown an object, and when."""

    caller: Caller
    base: str = ""  # under which the client reached us: what the pay page's address begins with
    now: datetime | None = None  # where an object looks different as time passes


# --- the Payment of a refund -----------------------------------------------------------------------------------------


def refund_payment(refund: Refund, payment: Payment, viewer: Viewer) -> dict[str, Any]:
    """The Payment that a succeeded refund generated (provider docs: refund page, its members in its order).

    `status` follows them: undocumented, but CHIP's sandbox sends "success" and its plugins test for it.
    """
    ended, times = _ended_at(refund), (refund.created_at, refund.updated_at)
    money = _money(payment, "refund", refund.payer, 0, unix(ended))
    attempts = [refund_attempt(refund, payment)]
    return {**_payment_object(refund_id(refund), payment, money, attempts, times, viewer), "status": "success"}


def external_payment(reference: str, amount: int, at: datetime, payment: Payment, viewer: Viewer) -> dict[str, Any]:
    """The Payment of a refund that was made elsewhere, as from CHIP's portal, of `amount` minor units."""
    id = reference if document.is_uuid(reference) else str(uuid5(payment.id, reference))
    money = _money(payment, "refund", amount, 0, unix(at))
    attempts = [_attempt(payment, "refund", "web_office", unix(at), None)]
    return {**_payment_object(id, payment, money, attempts, (at, at), viewer), "status": "success"}


def incoming_payment(payment: Payment, viewer: Viewer) -> dict[str, Any]:
    """The Payment by which the money came in. CHIP shows it where it is charged back, and nowhere else."""
    at, id = _paid_at(payment), str(uuid5(payment.id, "payment"))
    money = _money(payment, _payment_type(payment), payment.captured, payment.fees, unix(at))
    return _payment_object(id, payment, money, list(_known_attempts(payment))[::-1], (at, at), viewer)


def _payment_object(
    id: str,
    payment: Payment,
    money: dict[str, Any],
    attempts: list[dict[str, Any]],
    times: tuple[datetime, datetime],
    viewer: Viewer,
) -> dict[str, Any]:
    """`times`: when it was made, and last changed."""
    flow = str(attempts[0]["flow"]) if attempts else _flow(payment)
    return {
        "type": "payment",
        "id": id,
        "created_on": unix(times[0]),
        "updated_on": unix(times[1]),
        "client": client_details(payment.document.get("client", {})),
        "payment": money,
        "transaction_data": _transaction_data(payment, attempts, flow),
        "related_to": {"type": "purchase", "id": payment.dialect_id, "reference": _reference(payment)},
        "reference_generated": _reference_generated(payment),
        "reference": _reference(payment),
        "account_id": owner_id("account_id", payment, viewer.caller),
        "company_id": owner_id("company_id", payment, viewer.caller),
        "is_test": is_test(payment),
        "user_id": None,
        "brand_id": owner_id("brand_id", payment, viewer.caller),
    }


def refund_id(refund: Refund) -> str:
    """The id of a refund's Payment. One that was asked for natively has its UUID written in another way."""
    try:
        return str(UUID(refund.dialect_id))
    except ValueError:
        return refund.dialect_id


# --- the Purchase ----------------------------------------------------------------------------------------------------


def purchase(payment: Payment, refunds: tuple[Refund, ...], viewer: Viewer) -> dict[str, Any]:
    """The Purchase as it stands (provider docs: create a purchase page); `refunds` are all of it, oldest first."""
    paid, caller = payment.condition is Condition.CAPTURED, viewer.caller
    availability, refundable = offered(payment)
    return {
        "client": client_details(payment.document.get("client", {})),
        "purchase": _purchase_details(payment),
        "payment": _money(payment, _payment_type(payment), payment.captured, payment.fees, unix(_paid_at(payment)))
        if paid
        else None,
        "issuer_details": _issuer_details(caller),
        "transaction_data": _transaction_data(payment, _attempts(payment, refunds), _flow(payment)),
        "status": status(payment, viewer.now).value,
        "status_history": _status_history(payment, refunds, viewer.now),
        "viewed_on": payment.document.get(document.VIEWED),
        "company_id": owner_id("company_id", payment, caller),
        "is_test": is_test(payment),
        "user_id": None,
        "brand_id": owner_id("brand_id", payment, caller),
        "billing_template_id": None,
        "order_id": None,
        "client_id": option(payment, "client_id"),
        "send_receipt": option(payment, "send_receipt", False),
        "skip_capture": option(payment, "skip_capture", payment.condition is Condition.AUTHORIZED),
        "force_recurring": option(payment, "force_recurring", False),
        "is_recurring_token": payment.document.get(document.TOKEN, False),
        "marked_as_paid": document.MARKED in payment.document,
        "recurring_token": payment.document.get(document.CHARGED),
        "reference_generated": _reference_generated(payment),
        "reference": _reference(payment),
        "issued": option(payment, "issued") or _created_at(payment).date().isoformat(),
        "due": option(payment, "due"),
        "refund_availability": availability.value,
        "refundable_amount": refundable,
        "currency_conversion": None,
        "payment_method_whitelist": option(payment, "payment_method_whitelist"),
        **{name: option(payment, name, "") for name in REDIRECTS},
        "success_callback": option(payment, "success_callback", ""),
        "creator_agent": option(payment, "creator_agent", ""),
        "platform": option(payment, "platform", "api"),
        "product": "purchases",
        "created_from_ip": "",
        "invoice_url": None,
        "checkout_url": checkout_url(payment, viewer.base),
        "direct_post_url": _direct_post_url(payment, viewer),
        "upsell_campaigns": [],
        "referral_campaign_id": None,
        "referral_code": None,
        "referral_code_details": None,
        "referral_code_generated": None,
        "retain_level_details": None,
        "can_retrieve": False,
        "can_chargeback": False,
        "can_reverse_chargeback": False,
        "tags": option(payment, "tags", []),
        "created_on": unix(_created_at(payment)),
        "updated_on": unix(payment.updated_at),
        "type": "purchase",
        "id": payment.dialect_id,
    }


REDIRECTS: Final = ("success_redirect", "failure_redirect", "cancel_redirect")
"""Where the payer is taken when all is done, failed, or given up."""


def total(payment: Payment) -> int:
    """What the Purchase was for, in minor units: also while unpaid, and when less than the hold was captured."""
    return max(payment.authorized, payment.captured)


def owner_id(name: str, payment: Payment, caller: Caller) -> str:
    """`brand_id`, `company_id` or `account_id`: the payment's own, the credential's, else the merchant's fixed one."""
    stated = payment.document.get(name) or caller.profile.get(name)
    return str(stated or uuid5(payment.merchant, name))


def checkout_url(payment: Payment, base: str) -> str:
    """Where the payer pays, or looks at what was paid. The pay page is ours only where no real money moves."""
    invoice = "invoice/" if payment.condition is Condition.CAPTURED else ""
    if not is_test(payment):
        return f"https://gate.chip-in.asia/p/{payment.dialect_id}/{invoice}"
    return f"{base}/p/{payment.merchant.hex}/{payment.dialect_id}/{invoice}"


def _direct_post_url(payment: Payment, viewer: Viewer) -> str | None:
    """Null in the cases in which a form elsewhere could not lead back (provider docs: create a purchase page)."""
    leads_back = option(payment, "success_redirect") and option(payment, "failure_redirect")
    payable = is_test(payment) and status(payment, viewer.now) in PAYABLE
    if not (leads_back and payable) or detail(payment, "request_client_details"):
        return None
    return f"{checkout_url(payment, viewer.base)}direct_post/"


# --- their shared parts ----------------------------------------------------------------------------------------------


def client_details(stated: Mapping[str, Any]) -> dict[str, Any]:
    """ClientDetails: every member, empty where nothing is known."""
    texts = {name: stated.get(name, "") for name in CLIENT_TEXTS}
    texts["email"] = texts["email"] or "payer@example.com"
    return {
        "client_type": None,
        **texts,
        "cc": stated.get("cc", []),
        "bcc": stated.get("bcc", []),
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


_DETAILS_UNSTATED: Final[Mapping[str, Any]] = {
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
}


def _purchase_details(payment: Payment) -> dict[str, Any]:
    products = detail(payment, "products") or [_sole_product(payment)]
    return {
        "currency": payment.currency,
        "products": [{name: each[name] for name in _PRODUCT} for each in products],
        "total": total(payment),
        **{name: detail(payment, name, unstated) for name, unstated in _DETAILS_UNSTATED.items()},
        "metadata": dict(payment.metadata),
        "single_attempt": detail(payment, "single_attempt", False),
    }


_PRODUCT: Final = ("name", "price", "quantity", "discount", "tax_percent", "category", "total_price_override")


def _sole_product(payment: Payment) -> dict[str, Any]:
    """What a payment that was not created here is taken to be for."""
    return {
        "name": payment.document.get("product", "Purchase"),
        "price": total(payment),
        "quantity": "1.0000",
        "discount": 0,
        "tax_percent": "0.00",
        "category": "",
        "total_price_override": None,
    }


def _payment_type(payment: Payment) -> str:
    return "purchase_charge" if document.CHARGED in payment.document else "purchase"


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
    """A payment may be registered after it was captured; a Purchase is never younger than what happened to it."""
    if "options" in payment.document or document.MARKED in payment.document:
        return payment.created_at
    return min(payment.created_at, _paid_at(payment))


def _paid_at(payment: Payment) -> datetime:
    return payment.captured_at or payment.created_at


def _reference(payment: Payment) -> str:
    return str(payment.document.get("reference") or payment.order or "")[:128]


def _reference_generated(payment: Payment) -> str:
    return f"CH{payment.id.int % 10**9}"


def _flow(payment: Payment) -> str:
    by = document.paying(payment)
    return str(by["flow"] if by is not None else payment.document.get("flow", "payform"))


def _is_chosen(payment: Payment) -> bool:
    """Whether somebody chose a method by paying."""
    return payment.condition is not Condition.PROCESSING or document.paying(payment) is not None


def _method(payment: Payment) -> str:
    if not _is_chosen(payment) or document.MARKED in payment.document:
        return ""
    return document.method(payment) or _METHOD_UNSTATED


def _country(payment: Payment) -> str:
    by = document.paying(payment)
    if by is not None:
        return str(by["country"])
    return str(payment.document.get("country", _COUNTRY_UNSTATED)) if _method(payment) else ""


def _extra(payment: Payment) -> dict[str, Any]:
    by = document.paying(payment)
    return {} if by is None else card_shown(by["extra"])


def card_shown(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a card, in the documented order."""
    names = ("masked_pan", "three_d_secure", "expiry_month", "expiry_year", "cardholder_name")
    return {name: extra[name] for name in names if name in extra}


# --- attempts and history --------------------------------------------------------------------------------------------


def _transaction_data(payment: Payment, attempts: list[dict[str, Any]], flow: str) -> dict[str, Any]:
    return {
        "payment_method": _method(payment),
        "flow": flow,
        "processing_tx_id": "",
        "extra": _extra(payment),
        "country": _country(payment),
        "attempts": attempts,
    }


def _attempts(payment: Payment, refunds: tuple[Refund, ...]) -> list[dict[str, Any]]:
    """Every attempt that has an outcome, newest first (provider docs: refund page); the paying ones are the oldest."""
    ended = sorted((each for each in refunds if each.state in ENDED), key=_ended_at)
    paying = [*_known_attempts(payment), *_release_attempt(payment)]
    return [*(refund_attempt(each, payment) for each in ended[::-1]), *paying[::-1]]


def _ended_at(refund: Refund) -> datetime:
    return refund.ended_at or refund.updated_at


def refund_attempt(refund: Refund, payment: Payment) -> dict[str, Any]:
    """The attempt that a refund that has ended left on its Purchase."""
    failed = SHOWN[refund.state] is Shown.ERROR
    at = unix(_ended_at(refund))
    return _attempt(payment, "refund", "api", at, attempt_error(refund) if failed else None, refund.provider_id)


def _known_attempts(payment: Payment) -> Iterator[dict[str, Any]]:
    """The attempts to pay, capture and release, oldest first; one that must have been, where none was told of."""
    told = list(document.attempts(payment))
    if document.MARKED not in payment.document and document.paying(payment) is None:
        yield from _presumed_attempt(payment)
    for each in told:
        yield {
            "type": each["type"],
            "successful": each["error"] is None,
            "payment_method": each["payment_method"],
            "flow": each["flow"],
            "extra": card_shown(each["extra"]),
            "country": each["country"],
            "client_ip": "",
            "processing_time": each["at"],
            "fee_amount": 0,
            "processing_tx_id": "",
            "error": each["error"],
        }


def _presumed_attempt(payment: Payment) -> Iterator[dict[str, Any]]:
    at, flow = unix(_paid_at(payment)), _flow(payment)
    held = payment.condition is Condition.AUTHORIZED or release_of(payment) or document.CAPTURED in payment.document
    if held:
        yield _attempt(payment, "authorize", flow, unix(payment.created_at), None)
    elif payment.condition is Condition.CAPTURED:
        yield _attempt(payment, "execute", flow, at, None)
    elif _failed_by_itself(payment):
        error = {"code": "general_transaction_error", "message": "The payment failed."}
        yield _attempt(payment, "execute", flow, at, error)


def _failed_by_itself(payment: Payment) -> bool:
    return payment.condition is Condition.FAILED and not {document.CANCELLED, document.RELEASED}.intersection(
        payment.document
    )


def _release_attempt(payment: Payment) -> Iterator[dict[str, Any]]:
    release = release_of(payment)
    if release is None or release.state not in ENDED:
        return
    failed = release.state is not State.SUCCEEDED
    error = {"code": "general_transaction_error", "message": release.message or "The release failed."}
    yield _attempt(payment, "release", "api", unix(release.at), error if failed else None)


def _attempt(
    payment: Payment, kind: str, flow: str, at: int, error: dict[str, str] | None, transaction: str | None = None
) -> dict[str, Any]:
    return {
        "type": kind,
        "successful": error is None,
        "payment_method": _method(payment),
        "flow": flow,
        "extra": _extra(payment),
        "country": _country(payment),
        "client_ip": "",
        "processing_time": at,
        "fee_amount": 0,
        "processing_tx_id": transaction or "",
        "error": error,
    }


_Step = tuple[datetime, Status | None, Refund | None]


def _status_history(payment: Payment, refunds: tuple[Refund, ...], now: datetime | None) -> list[dict[str, Any]]:
    """What the Purchase's status was and is, latest last; only a refund's entry carries `related_object`.

    Told from what happened, closed by the present status: a dispute, a chargeback or a refund made elsewhere leaves
    nothing of ours to tell of it.
    """
    settled = Status.CREATED
    history = [history_entry(settled, _created_at(payment))]
    steps = [*_ways_to_pay(payment), *(step for each in refunds for step in _steps(each))]
    for at, word, refund in sorted(steps, key=lambda step: step[0]):
        if word not in (None, Status.PENDING_REFUND):
            settled = word or settled
        history.append(history_entry(word or settled, at, refund))
    present = status(payment, now)
    if history[-1]["status"] != present.value:
        due = document.option(payment, "due")
        passed = present in (Status.OVERDUE, Status.EXPIRED) and due is not None
        history.append(history_entry(present, document.moment_of(due) if passed else payment.updated_at))
    return history


_ATTEMPTED: Final[Mapping[str, Status]] = {
    "execute": Status.PAID,
    "recurring_execute": Status.PAID,
    "authorize": Status.HOLD,
    "capture": Status.PAID,
    "release": Status.RELEASED,
}


def _ways_to_pay(payment: Payment) -> Iterator[_Step]:
    """What led to the money, or away from it."""
    kept = payment.document
    for name, word in ((document.VIEWED, Status.VIEWED), (document.CANCELLED, Status.CANCELLED)):
        if name in kept:
            yield document.moment_of(kept[name]), word, None
    if document.MARKED in kept:
        yield document.moment_of(kept[document.MARKED]), Status.PAID, None
    for each in _known_attempts(payment):
        word = _ATTEMPTED[each["type"]] if each["successful"] else Status.ERROR
        if word is Status.HOLD and not total(payment):
            word = Status.PREAUTHORIZED
        if each["type"] == "release" and not each["successful"]:
            word = Status.HOLD
        yield document.moment_of(each["processing_time"]), word, None
    release = release_of(payment)
    if release is not None and release.state is State.SUCCEEDED:
        yield release.at, Status.RELEASED, None


def _steps(refund: Refund) -> Iterator[_Step]:
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


def history_entry(word: Status, at: datetime, refund: Refund | None = None) -> dict[str, Any]:
    """One line of `status_history`."""
    entry: dict[str, Any] = {"status": word.value, "timestamp": unix(at)}
    if refund is not None:
        entry["related_object"] = {"type": "payment", "id": refund_id(refund)}
    return entry
