"""The shapes of this API as JSON Schemas, for its OpenAPI description."""

from __future__ import annotations

from typing import Any, Final

from moneyback.dialects.truust.fields import TAG_LENGTH_MAX, TEXT_LENGTH_MAX
from moneyback.dialects.truust.wire import GATEWAYS, OrderStatus, PayinStatus, PayoutStatus, RefundStatus

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_OBJECT_OR_NULL: Final[Schema] = {"type": ["object", "null"]}
_NUMBER_OR_NULL: Final[Schema] = {"type": ["integer", "null"]}
_ID: Final[Schema] = {"type": "integer", "minimum": 1}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_LINKS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string"}}


def _object(members: Schema) -> Schema:
    return {"type": "object", "required": list(members), "properties": members}


def _either(*kinds: list[Any] | None) -> Schema:
    """One of some values of several types, each type apart, as programs that draw clients want it; None: null."""
    return {"anyOf": [{"type": "null"} if each is None else {"enum": each} for each in kinds]}


def _enveloped(bare: Schema) -> Schema:
    """Bare and beneath `data` at once, or one of the two where an account asks for it."""
    both = {**bare, "properties": {**bare["properties"], "data": bare}}
    return {"anyOf": [both, {"type": "object", "required": ["data"], "properties": {"data": bare}}]}


def _listed(bare: Schema) -> Schema:
    counted = {"type": "integer", "minimum": 0}
    return _object(
        {
            "current_page": _ID,
            "last_page": _ID,
            "per_page": _ID,
            "total": counted,
            "from": _NUMBER_OR_NULL,
            "to": _NUMBER_OR_NULL,
            "data": {"type": "array", "items": bare},
        }
    )


REFUND_REQUEST: Final[Schema] = {
    "type": "object",
    "properties": {
        "amount": {
            "type": ["number", "string"],
            "minimum": 0,
            "pattern": r"^\+?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$",
            "description": "Major units with the currency's decimals. Left out: what remains. 0 moves nothing.",
        },
        "multipayin": {
            **_either([0, 1], ["0", "1", ""], None),
            "description": "1: all confirmed payins of the order are refunded, or none.",
        },
        "bankaccount_id": {
            "type": ["integer", "string", "null"],
            "pattern": "^([0-9]{1,18})?$",
            "description": "Where the money goes; required when the payin is a BANKWIRE.",
        },
        "tag": {"type": ["string", "null"], "maxLength": TAG_LENGTH_MAX},
        "metadata": {"type": ["object", "null"]},
    },
}

PAYIN: Final[Schema] = _object(
    {
        "id": _ID,
        "self": _TEXT,
        "reference": _TEXT_OR_NULL,
        "type": _TEXT,
        "subtype": _TEXT_OR_NULL,
        "status": {"enum": [each.value for each in PayinStatus]},
        "provider": {"type": "object"},
        "tag": _TEXT_OR_NULL,
        "direct_link": _TEXT_OR_NULL,
        "created_at": _TIME,
        "confirmed_at": _TIME_OR_NULL,
        "denied_at": _TIME_OR_NULL,
        "connections": _LINKS,
    }
)
REFUND: Final[Schema] = _object(
    {
        "id": _ID,
        "self": _TEXT,
        "reference_id": _TEXT_OR_NULL,
        "amount": {"type": "string", "examples": ["150.00 €"]},
        "status": {"enum": [each.value for each in RefundStatus]},
        "payin_id": _ID,
        "wallet_id": _NUMBER_OR_NULL,
        "escrow_id": _ID,
        "tag": _TEXT_OR_NULL,
        "provider": _OBJECT_OR_NULL,
        "metadata": _OBJECT_OR_NULL,
        "created_at": _TIME,
        "updated_at": _TIME,
        "denied_at": _TIME_OR_NULL,
        "connections": _LINKS,
    }
)
BANK_ACCOUNT: Final[Schema] = _object(
    {
        "id": _ID,
        "self": _TEXT,
        "uuid": _TEXT,
        "type": _TEXT,
        "name": _TEXT,
        "number": _TEXT,
        "bic": _TEXT_OR_NULL,
        "tag": _TEXT_OR_NULL,
        "metadata": _OBJECT_OR_NULL,
        "created_at": _TIME,
        "connections": _LINKS,
    }
)

_URI: Final[Schema] = {"type": "string", "format": "uri"}
_NUMBER: Final[Schema] = {"type": "number"}
_FRACTION_OR_NULL: Final[Schema] = {"type": ["number", "null"]}
_TEXTS: Final[Schema] = {"type": "array", "items": _TEXT}
_TEXTS_OR_NULL: Final[Schema] = {"type": ["array", "null"], "items": _TEXT}
_FLAG: Final[Schema] = {"type": "boolean"}
_ZERO_OR_ONE: Final[Schema] = {"enum": [0, 1]}

ORDER: Final[Schema] = _object(
    {
        "id": _ID,
        "self": _TEXT,
        "public_id": _TEXT_OR_NULL,
        "name": _TEXT,
        "description": _TEXT_OR_NULL,
        "value": _NUMBER,
        "fee_value": _FRACTION_OR_NULL,
        "fee_percent": _FRACTION_OR_NULL,
        "currency": _TEXT,
        "amount": {"type": "string", "examples": ["150.00 €"]},
        **dict.fromkeys(("payin_amount", "payout_amount", "fee_amount", "shipping_amount"), _TEXT_OR_NULL),
        **dict.fromkeys(("buyer_link", "seller_link", "qr_link"), _URI),
        "status": {"enum": [each.value for each in OrderStatus]},
        "sandbox": _FLAG,
        "status_nicename": _TEXT,
        "images": _TEXTS,
        "tag": _TEXT_OR_NULL,
        "payin_intents": _NUMBER_OR_NULL,
        "payin_types": _TEXTS_OR_NULL,
        "payin_fallback": _TEXTS_OR_NULL,
        "metadata": _OBJECT_OR_NULL,
        "template": _OBJECT_OR_NULL,
        "published_units": _NUMBER_OR_NULL,
        "refund": _object({"status": _TEXT_OR_NULL, "reference_id": _TEXT_OR_NULL}),
        "created_at": _TIME,
        **dict.fromkeys(
            ("published_at", "accepted_at", "shipping_at", "cancelled_at", "validated_at", "released_at"), _TIME_OR_NULL
        ),
        "connections": _LINKS,
    }
)
PAYOUT: Final[Schema] = _object(
    {
        "id": _ID,
        "self": _TEXT,
        "reference": _TEXT_OR_NULL,
        "type": _TEXT,
        "status": {"enum": [each.value for each in PayoutStatus]},
        "provider": _OBJECT_OR_NULL,
        "created_at": _TIME,
        "confirmed_at": _TIME_OR_NULL,
        "denied_at": _TIME_OR_NULL,
        "connections": _LINKS,
    }
)
CUSTOMER: Final[Schema] = _object(
    {
        "id": _ID,
        "self": _TEXT,
        "uuid": _TEXT,
        **dict.fromkeys(("type", "name", "first_name", "last_name", "email", "prefix", "phone", "tag"), _TEXT_OR_NULL),
        "metadata": _OBJECT_OR_NULL,
        "created_at": _TIME,
        "connections": _LINKS,
    }
)
WALLET: Final[Schema] = _object(
    {
        "id": _ID,
        "self": _TEXT,
        "uuid": _TEXT,
        "type": _TEXT_OR_NULL,
        "balance": _NUMBER,
        "currency": _TEXT,
        "tag": _TEXT_OR_NULL,
        "metadata": _OBJECT_OR_NULL,
        "created_at": _TIME,
        "connections": _LINKS,
    }
)
TRANSACTION: Final[Schema] = _object(
    {
        "id": _TEXT,
        "type": {"type": "string", "examples": ["PAYIN", "PAYOUT", "REFUND"]},
        "amount": _NUMBER,
        "currency": _TEXT,
        "status": _TEXT,
        "created_at": _TIME,
    }
)
CARD: Final[Schema] = _object(
    {
        "id": _ID,
        "self": _TEXT,
        "uuid": _TEXT,
        **dict.fromkeys(
            ("type", "cardholder", "alias", "expiration", "issuing_country", "issuing_bank"), _TEXT_OR_NULL
        ),
        "is_3d_secure": {"type": ["boolean", "null"]},
        "confirmed": _FLAG,
        **dict.fromkeys(("payin_type", "tokenization_link", "gateway_reference_id"), _TEXT_OR_NULL),
        "created_at": _TIME,
        "connections": _LINKS,
    }
)
ACCOUNT: Final[Schema] = _object(
    {
        **dict.fromkeys(("self", "merchant_id", "name", "email", "currency", "country_code"), _TEXT),
        **dict.fromkeys(("business_url", "business_phone", "business_description", "image_url"), _TEXT_OR_NULL),
        "public_key": _TEXT,
        "secret_key": _TEXT,
        "allow_shipping": _ZERO_OR_ONE,
        "value_shipping": _NUMBER,
        "is_active": _FLAG,
        "psd2_enabled": _ZERO_OR_ONE,
        "allowed_gateways": _TEXTS,
        "gateways": {"type": ["array", "null"], "items": {"type": "object"}},
        "default_gateway": _TEXT_OR_NULL,
        "created_at": _TIME_OR_NULL,
    }
)
SHIPPING: Final[Schema] = _object(
    {"id": _ID, "status": _TEXT, "order_id": _ID, "created_at": _TIME, "self": _TEXT, "connections": _LINKS}
)

PAYIN_ANSWER: Final = _enveloped(PAYIN)
REFUND_ANSWER: Final = _enveloped(REFUND)
BANK_ACCOUNT_ANSWER: Final = _enveloped(BANK_ACCOUNT)
ORDER_ANSWER: Final = _enveloped(ORDER)
PAYOUT_ANSWER: Final = _enveloped(PAYOUT)
CUSTOMER_ANSWER: Final = _enveloped(CUSTOMER)
WALLET_ANSWER: Final = _enveloped(WALLET)
CARD_ANSWER: Final = _enveloped(CARD)
ACCOUNT_ANSWER: Final = _enveloped(ACCOUNT)
SHIPPING_ANSWER: Final = _enveloped(SHIPPING)
RULES_ANSWER: Final[Schema] = {"type": "object"}
NOTHING_ANSWER: Final[Schema] = {"type": "object", "maxProperties": 0}
PAGE_ANSWER: Final[Schema] = {"type": "string", "description": "A page to look at, or on the way to the order's own."}

CODE_ANSWER: Final[Schema] = {"type": "string", "description": "The QR code, as an SVG picture."}

PAYIN_LIST: Final = _listed(PAYIN)
REFUND_LIST: Final = _listed(REFUND)
ORDER_LIST: Final = _listed(ORDER)
PAYOUT_LIST: Final = _listed(PAYOUT)
CUSTOMER_LIST: Final = _listed(CUSTOMER)
WALLETS: Final = _object({"data": {"type": "array", "items": WALLET}})
BANK_ACCOUNTS: Final = _object({"data": {"type": "array", "items": BANK_ACCOUNT}})
CARDS: Final = _object({"data": {"type": "array", "items": CARD}})
TRANSACTIONS: Final = _object({"data": {"type": "array", "items": TRANSACTION}})

# --- what is asked ---------------------------------------------------------------------------------------------------

_AMOUNT: Final[Schema] = {"type": ["number", "string", "null"], "minimum": 0, "description": "Major units."}
_NUMBERED: Final[Schema] = {"type": ["integer", "string", "null"], "pattern": "^([0-9]{1,18})?$"}
_TAG: Final[Schema] = {"type": ["string", "integer", "null"], "maxLength": TAG_LENGTH_MAX}
_SHORT: Final[Schema] = {"type": ["string", "null"], "maxLength": TEXT_LENGTH_MAX}
_YES_OR_NO: Final[Schema] = _either([0, 1], ["0", "1"], [True, False], None)


def _asked(members: Schema, *required: str) -> Schema:
    return {"type": "object", "required": list(required), "properties": members}


NOTHING_REQUEST: Final[Schema] = {"type": "object"}
PAYIN_REQUEST: Final = _asked(
    {
        "order_id": _NUMBERED,
        "type": {"type": ["string", "null"], "examples": list(GATEWAYS)},
        "gateway_id": {**_NUMBERED, "description": "In place of the type."},
        "card_id": {**_NUMBERED, "description": "A card that was kept before."},
        "wallet_id": {**_NUMBERED, "description": "Required when the type is WALLET: the wallet to pay from."},
        "save_card": _YES_OR_NO,
    },
    "order_id",
)
_ORDER_MEMBERS: Final[Schema] = {
    "buyer_id": {**_NUMBERED, "description": "Required unless auto_settle is 1 or trustee_type is account."},
    "name": {"type": "string", "maxLength": 120},
    "value": {**_AMOUNT, "description": "Major units of the order's currency."},
    "fee_value": _AMOUNT,
    "fee_percent": {"type": ["number", "string", "null"], "minimum": 0, "maximum": 100},
    "tag": _TAG,
    "metadata": _OBJECT_OR_NULL,
    "template": _OBJECT_OR_NULL,
    "images": {"type": ["array", "null"], "items": _TEXT, "maxItems": 10},
}
ORDER_UPDATE: Final = _asked(_ORDER_MEMBERS)
ORDER_REQUEST: Final = _asked(
    {
        **_ORDER_MEMBERS,
        "seller_id": {**_NUMBERED, "description": "Required unless auto_settle is 1."},
        "trustee_type": {"enum": ["account", None]},
        "auto_settle": _YES_OR_NO,
        "currency": {"type": ["string", "null"], "examples": ["EUR", "GBP", "USD", "MXN"]},
        "discount_amount": _AMOUNT,
        **dict.fromkeys(
            ("buyer_confirmed_url", "buyer_denied_url", "seller_confirmed_url", "seller_denied_url"), _TEXT_OR_NULL
        ),
        "payin_intents": {"type": ["integer", "string", "null"], "minimum": 1},
        **dict.fromkeys(
            ("payin_types", "payin_method_types", "payin_fallback", "payin_method_fallback"), _TEXTS_OR_NULL
        ),
    },
    "name",
    "value",
)
VALIDATE_REQUEST: Final = _asked({"auto_accept": _YES_OR_NO})
CANCEL_REQUEST: Final = _asked(
    {
        "tag": _TAG,
        "metadata": _OBJECT_OR_NULL,
        "bankaccount_id": {**_NUMBERED, "description": "Required when a payin is a BANKWIRE."},
    }
)
REIMBURSE_REQUEST: Final = _asked(
    {
        "amount": {**_AMOUNT, "type": ["number", "string"], "description": "Major units. Left out: what remains."},
        "wallet_id": {**_NUMBERED, "description": "Left out: the buyer's own wallet."},
        "payin_id": {**_NUMBERED, "description": "Required when the order has several payins that were paid."},
    }
)
PAYOUT_REQUEST: Final = _asked(
    {
        "order_id": _NUMBERED,
        "type": {"enum": ["WALLET", "ACCOUNT", "BANKWIRE"]},
        "wallet_id": _NUMBERED,
        "bankaccount_id": _NUMBERED,
        "bankwire_ref": {"type": ["string", "null"], "maxLength": 140},
    },
    "order_id",
    "type",
)
CUSTOMER_REQUEST: Final = _asked(
    {
        **dict.fromkeys(("name", "first_name", "last_name", "email", "locale", "vat_id"), _SHORT),
        "prefix": {"type": ["string", "null"], "examples": ["+34"]},
        "phone": {"type": ["string", "integer", "null"]},
        "type": {"enum": ["CLEARJUNCTION", "CURRENCYCLOUD", None]},
        "tag": _TAG,
        "metadata": _OBJECT_OR_NULL,
    }
)
WALLET_UPDATE: Final = _asked({"tag": _TAG, "metadata": _OBJECT_OR_NULL})
WALLET_REQUEST: Final = _asked(
    {
        "currency": {"type": "string", "examples": ["EUR"]},
        "customer_id": {**_NUMBERED, "description": "Required unless customer_type is source."},
        "customer_type": {"enum": ["source", "user", None]},
        "type": {"enum": ["CURRENCYCLOUD", "CLEARJUNCTION", "M2P_ISSUING", None]},
        "tag": _TAG,
        "metadata": _OBJECT_OR_NULL,
    },
    "currency",
)
BANK_ACCOUNT_REQUEST: Final = _asked(
    {
        "customer_id": {**_NUMBERED, "description": "Required unless customer_type is source."},
        "customer_type": {"enum": ["source", "user", None]},
        "name": {"type": "string", "maxLength": TEXT_LENGTH_MAX},
        "type": {"type": "string", "examples": ["IBAN"]},
        "number": {"type": ["string", "null"], "examples": ["ES9121000418450200051332"]},
        "iban": _TEXT_OR_NULL,
        "bic": {"type": ["string", "null"], "maxLength": 11},
        "bsb": {"type": ["string", "integer", "null"]},
        "tag": _TAG,
        "metadata": _OBJECT_OR_NULL,
    },
    "name",
    "type",
)
ACCOUNT_UPDATE: Final = _asked(
    {
        "allow_shipping": _either([0, 1], ["0", "1"]),
        "value_shipping": _AMOUNT,
        "psd2_enabled": _either([0, 1], ["0", "1"], None),
        "allowed_gateways": _TEXTS_OR_NULL,
        **dict.fromkeys(("name", "business_url", "business_phone", "business_description"), _TEXT_OR_NULL),
        "default_gateway": {"enum": [*GATEWAYS, None]},
    },
    "allow_shipping",
)
SHIPPING_REQUEST: Final = _asked({"order_id": _NUMBERED}, "order_id")
PAGE_REQUEST: Final = _asked({"outcome": {"enum": ["pay", "decline", "leave", "accept", "reject"]}})
