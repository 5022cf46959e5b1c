"""The account itself (provider docs: Account): clients try their key here before anything else."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from moneyback.core.money import UnknownCurrency
from moneyback.core.money import currency as money_of
from moneyback.dialect import Caller, Conversation, Incoming, LoadDocument, SaveDocument
from moneyback.dialects.truust import fields
from moneyback.dialects.truust.documents import ACCOUNT, Document
from moneyback.dialects.truust.envelope import relayed, said
from moneyback.dialects.truust.fields import Invalid, Reader, missing, parse, wrong
from moneyback.dialects.truust.schemas import ACCOUNT_ANSWER, ACCOUNT_UPDATE, WALLET_ANSWER
from moneyback.dialects.truust.wallets import account_currency, account_wallet, print_wallet
from moneyback.dialects.truust.wire import GATEWAYS, TYPE_UNSTATED, VERSION, major
from moneyback.dialects.truust.words import NOT_FOUND, invalid

ME: Final = "me"


def _readers(caller: Caller) -> Mapping[str, Reader]:
    """What an account can change of itself (provider docs: Update current account)."""
    money = money_of(account_currency(caller))
    return {
        "name": fields.text(),
        "allow_shipping": fields.zero_or_one,
        "value_shipping": fields.amount(money),
        "business_url": fields.url,
        "business_phone": fields.loose_text(),
        "business_description": fields.text(2_000),
        "psd2_enabled": fields.zero_or_one,
        "allowed_gateways": fields.texts(),
        "default_gateway": fields.one_of(GATEWAYS),
    }


def read_account(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /accounts/me."""
    changed: Document | None = yield LoadDocument(ACCOUNT, ME)
    return said(_printed(changed or {}, incoming, caller), caller)


def update_account(incoming: Incoming, caller: Caller) -> Conversation:
    """PUT /accounts/me."""
    try:
        asked = parse(incoming, _readers(caller), required=("allow_shipping",))
        if asked["allow_shipping"] and asked.get("value_shipping") is None:
            raise wrong("value_shipping", missing("value_shipping", "when allow shipping is 1"))
    except Invalid as bad:
        return invalid(bad.errors)
    known: Document | None = yield LoadDocument(ACCOUNT, ME)
    changed = {**(known or {}), **asked}
    yield SaveDocument(ACCOUNT, ME, changed)
    return said(_printed(changed, incoming, caller), caller)


def read_fees(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /accounts/fees/{currency}: the account's own wallet, to which orders' fees go."""
    try:
        code = money_of(incoming.arguments.get("currency", account_currency(caller)).upper()).code
    except UnknownCurrency:
        return NOT_FOUND
    wallet = yield from account_wallet(caller, code)
    return said((yield from print_wallet(wallet)), caller)


def _printed(changed: Document, incoming: Incoming, caller: Caller) -> dict[str, Any]:
    """The account (provider docs: Get current account). Its secret key is the one the caller has shown."""
    code = account_currency(caller)
    secret = incoming.headers.get("authorization", "").strip().partition(" ")[2].strip()
    public = sha256(caller.merchant.bytes).hexdigest()[:40]
    stage = "pk_production_" if secret.startswith("sk_production_") else "pk_stage_"
    return {
        "self": f"{VERSION}/accounts/me",
        "merchant_id": caller.merchant.hex,
        "name": changed.get("name") or caller.name or "Account",
        "email": caller.profile.get("email", "account@example.com"),
        "currency": code,
        "country_code": caller.profile.get("country_code", "ES"),
        "business_url": changed.get("business_url"),
        "business_phone": changed.get("business_phone"),
        "business_description": changed.get("business_description"),
        "image_url": None,
        "public_key": stage + public,
        "secret_key": secret,
        "allow_shipping": int(changed.get("allow_shipping") or 0),
        "value_shipping": major(changed.get("value_shipping") or 0, code),
        "is_active": True,
        "psd2_enabled": int(changed.get("psd2_enabled") or 0),
        "allowed_gateways": changed.get("allowed_gateways") or list(GATEWAYS),
        "gateways": [{"id": number, "type": kind} for number, kind in enumerate(GATEWAYS, 1)],
        "default_gateway": changed.get("default_gateway") or TYPE_UNSTATED,
        "created_at": None,
    }


_ME, _FEES = f"{VERSION}/accounts/me", f"{VERSION}/accounts/fees"
ROUTES: Final = (
    relayed("GET", _ME, read_account, "Read the account", ACCOUNT_ANSWER),
    relayed("PUT", _ME, update_account, "Update the account", ACCOUNT_ANSWER, ACCOUNT_UPDATE),
    relayed("GET", _FEES, read_fees, "Read the account's wallet in its own currency", WALLET_ANSWER),
    relayed("GET", f"{_FEES}/{{currency}}", read_fees, "Read the account's wallet in a currency", WALLET_ANSWER),
)
