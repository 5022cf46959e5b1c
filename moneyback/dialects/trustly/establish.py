"""Establish: a payment begins, with a consumer's authorisation at their bank. The sandbox's consumer always agrees.

Trustly answers with the address of its bank login. Here it is the merchant's own return address, signed as if the
consumer had come back from there. Who the consumer is and where they have their account is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from moneyback.core.money import BadAmount, currency, to_major
from moneyback.core.payment import Condition, Payment
from moneyback.dialect import AddPayment, Caller, Conversation, Incoming, Instant, Outgoing, Route
from moneyback.dialects.trustly.captures import is_used
from moneyback.dialects.trustly.customers import Stated, customer_in, keep
from moneyback.dialects.trustly.objects import merchant_id
from moneyback.dialects.trustly.records import CUSTOMER_IDS, original_status, original_type
from moneyback.dialects.trustly.schemas import ESTABLISH_DATA, ESTABLISH_REQUEST
from moneyback.dialects.trustly.server import (
    ACCEPTS,
    BadParameter,
    Code,
    amount_in_body,
    in_words,
    invalid,
    parameters,
    presented,
    problem,
    reference_in,
    text_in,
)
from moneyback.dialects.trustly.signatures import signature
from moneyback.dialects.trustly.standing import COMPLETES_AFTER
from moneyback.dialects.trustly.wire import PaymentType, Type, amount_in, minimum

CURRENCIES: Final = ("USD", "CAD")
URL_MAX: Final = 2000
SWITCHES: Final = ("true", "false", "1", "0", "")
TEST_ROUTING: Final = "124003116"
TEST_ACCOUNTS: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "1001000000": Code.INTERNAL,
        "1002000000": Code.INVALID_PARAMETER,
        "1003000000": Code.SECURITY,
        "1003250000": Code.SECURITY_SANDBOX,
        "1003750000": Code.ACCESS_CONTROL,
    }
)
"""Accounts at the sandbox's bank that are answered with an error (provider docs: Testing)."""
LAST: Final = 4
ACCOUNT_TYPES: Final = ("-1", "0", "1", "2")
ACCOUNT_PROFILES: Final = ("-1", "0", "1", "2")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says, its shape checked."""

    reference: str
    payment_type: PaymentType
    amount: int
    currency: str
    texts: Mapping[str, str]  # description, returnUrl, cancelUrl, notificationUrl: the ones that are there
    customer: Stated | None
    account: Mapping[str, Any]
    access_id: str | None
    refusal: Code | None


def establish(incoming: Incoming, caller: Caller) -> Conversation:
    """Begin a payment. Instant: a Pay transaction that the next batch completes; all others: an authorisation."""
    try:
        wanted = parse(incoming)
    except BadParameter as bad:
        return invalid(str(bad))
    if wanted.refusal is not None:
        return problem(wanted.refusal, f"The test account is answered with error {wanted.refusal.value}")
    if not _says_who_calls(wanted, incoming):
        return problem(Code.ACCESS_CONTROL, "Access not authorized")
    if (yield from is_used(wanted.reference, caller)):
        return problem(Code.DUPLICATE_REQUEST, "The request repeats another one and is ignored")
    now: datetime = yield Instant()
    customer = None if wanted.customer is None else (yield from keep(wanted.customer, caller, now))
    payment: Payment = yield AddPayment(
        amount=wanted.amount,
        currency=wanted.currency,
        status=Condition.AUTHORIZED.value,
        method="pay" if wanted.payment_type is PaymentType.INSTANT else "authorization",
        document=document(wanted, customer, now),
    )
    return Outgoing(body=established(wanted, payment, incoming, caller))


def document(wanted: Wanted, customer: Mapping[str, Any] | None, now: datetime) -> Mapping[str, Any]:
    """What the first record of a payment remembers."""
    instant = wanted.payment_type is PaymentType.INSTANT
    facts: dict[str, Any] = {
        "merchantReference": wanted.reference,
        "paymentType": str(wanted.payment_type.value),
        **{name: text for name, text in wanted.texts.items() if name != "notificationUrl"},
    }
    if customer is not None:
        facts |= {name: customer[name] for name in CUSTOMER_IDS if name in customer}
    if wanted.account:
        facts["account"] = wanted.account
    kept: dict[str, Any] = {
        "transactionType": str(Type.PAY.value if instant else Type.AUTHORIZE.value),
        "merchantReference": wanted.reference,
        "payment": facts,
    }
    if "notificationUrl" in wanted.texts:
        kept["notificationUrl"] = wanted.texts["notificationUrl"]
    if instant:
        kept["completesAt"] = (now + COMPLETES_AFTER).isoformat()
    return kept


def established(wanted: Wanted, payment: Payment, incoming: Incoming, caller: Caller) -> dict[str, Any]:
    """The EstablishData that is answered (provider docs: OpenAPI, EstablishData); not who the consumer is."""
    shown: dict[str, Any] = {
        "merchantId": merchant_id(caller),
        "paymentType": wanted.payment_type.value,
        **{name: wanted.texts[name] for name in ("returnUrl", "cancelUrl", "notificationUrl") if name in wanted.texts},
        "transactionId": payment.dialect_id,
        "merchantReference": wanted.reference,
        "currency": wanted.currency,
        "amount": to_major(wanted.amount, currency(wanted.currency)),
        "url": return_address(wanted, payment, incoming),
    }
    credentials = presented(incoming)
    if credentials is not None and credentials.user is not None:
        shown["accessId"] = credentials.user
    if "description" in wanted.texts:
        shown["description"] = wanted.texts["description"]
    return shown


# --- the way back ----------------------------------------------------------------------------------------------------


def return_address(wanted: Wanted, payment: Payment, incoming: Incoming) -> str:
    """Where the consumer comes back to, with what Trustly tells the merchant there, and its signature.

    Without a `returnUrl`, the transaction's own address.
    """
    address = wanted.texts.get("returnUrl")
    if address is None:
        return f"{incoming.base}/api/v1/transactions/{payment.dialect_id}"
    told = {
        "transactionId": payment.dialect_id,
        "transactionType": original_type(payment).value,
        "merchantReference": wanted.reference,
        "status": original_status(payment).value,
        "payment.paymentType": wanted.payment_type.value,
        "payment.paymentProvider.type": 1,
        "panel": 1,
    }
    address, hash_, fragment = address.partition("#")
    address += ("&" if "?" in address else "?") + urlencode(told, quote_via=quote)
    credentials = presented(incoming)
    if credentials is not None:
        address += "&requestSignature=" + quote(signature(credentials.secret, address), safe="")
    return address + hash_ + fragment


# --- what arrives ----------------------------------------------------------------------------------------------------


def parse(incoming: Incoming) -> Wanted:
    """The members that mean something here. Raises BadParameter.

    Names are nested in JSON and joined by points in forms; both are read everywhere.
    """
    for name in ("createTransaction", "notify"):
        if (incoming.asked(name) or "").lower() not in SWITCHES:
            raise BadParameter(f"Parameter {name} must be true or false")
    body = flat(parameters(incoming.body))
    reference = reference_in(body, required=True)
    assert reference is not None
    kind = payment_type_in(body)
    code = text_in(body, "currency") or CURRENCIES[0]
    if code not in CURRENCIES:
        raise BadParameter(f"Parameter currency must be one of {', '.join(CURRENCIES)}")
    texts = {name: text for name in ("description", *_ADDRESSES) if (text := text_in(body, name, URL_MAX)) is not None}
    for name in _ADDRESSES:
        if name in texts and not _is_address(texts[name]):
            raise BadParameter(f"Parameter {name} must be a URL")
    return Wanted(
        reference=reference,
        payment_type=kind,
        amount=_amount(body, code, kind),
        currency=code,
        texts=texts,
        customer=customer_in(body),
        account=account_in(body),
        access_id=text_in(body, "accessId"),
        refusal=_test_account(body),
    )


_ADDRESSES: Final = ("returnUrl", "cancelUrl", "notificationUrl")


def flat(body: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """The members of objects beside their own: {"a": {"b": 1}} is {"a.b": 1}."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{before}{name}."))
        else:
            found[before + name] = value
    return found


def payment_type_in(body: Mapping[str, Any]) -> PaymentType:
    """By name or number; a retrieval unless it says otherwise (provider docs: Establish). Raises BadParameter."""
    text = text_in(body, "paymentType")
    if text is None:
        return PaymentType.RETRIEVAL
    for each in PaymentType:
        if text == str(each.value) or text.upper() == each.name:
            return each
    raise BadParameter(f"Parameter paymentType must be one of {', '.join(each.name.title() for each in PaymentType)}")


def _amount(body: Mapping[str, Any], code: str, kind: PaymentType) -> int:
    """The most that may be made of the authorisation; 0, the default, is no bound. An instant payment's own amount."""
    written = amount_in_body(body)
    try:
        amount = 0 if written is None else amount_in(written, code)
    except BadAmount as bad:
        raise BadParameter(in_words(bad)) from None
    if amount < 0:
        raise BadParameter("The amount must not be negative")
    if kind is PaymentType.INSTANT and amount < minimum(code):
        raise BadParameter("The amount is lower than the minimum allowed")
    return amount


def account_in(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What may be kept of a bank account that was entered: its kind and its last four digits. Raises BadParameter."""
    kept: dict[str, Any] = {}
    number = text_in(body, "account.accountNumber")
    if number is not None:
        kept["lastFour"] = number[-LAST:]
    for name, choices in (("type", ACCOUNT_TYPES), ("profile", ACCOUNT_PROFILES)):
        text = text_in(body, f"account.{name}")
        if text is not None and text not in choices:
            raise BadParameter(f"Parameter account.{name} must be one of {', '.join(choices)}")
        if text is not None:
            kept[name] = int(text)
    return kept


def _test_account(body: Mapping[str, Any]) -> Code | None:
    if text_in(body, "account.routingNumber") != TEST_ROUTING:
        return None
    return TEST_ACCOUNTS.get(text_in(body, "account.accountNumber") or "")


def _is_address(text: str) -> bool:
    try:
        return text.isprintable() and bool(urlsplit(text).scheme)  # an app's own scheme is one, too
    except ValueError:
        return False


def _says_who_calls(wanted: Wanted, incoming: Incoming) -> bool:
    """Whether the access id in the body, if there is one, is the one that authenticated the call."""
    credentials = presented(incoming)
    return wanted.access_id is None or credentials is None or wanted.access_id == credentials.user


ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/establish",
        handle=establish,
        kind="relayed",
        accepts=ACCEPTS,
        summary="Establish a payment: in the sandbox, an authorization that the consumer has given already",
        request_schema=ESTABLISH_REQUEST,
        response_schema=ESTABLISH_DATA,
    ),
)
