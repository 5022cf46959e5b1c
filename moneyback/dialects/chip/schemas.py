"""The shapes of this API as JSON Schemas, for its OpenAPI description."""

from __future__ import annotations

from typing import Any, Final

from moneyback.dialects.chip.basket import CURRENCY_UNSTATED
from moneyback.dialects.chip.wire import ALL, Availability, Status

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_FLAG: Final[Schema] = {"type": "boolean"}
_INTEGER: Final[Schema] = {"type": "integer"}
_UNIX: Final[Schema] = {"type": "integer", "minimum": 0, "description": "Unix seconds."}
_ID: Final[Schema] = {"type": "string", "format": "uuid"}
_OBJECT: Final[Schema] = {"type": "object"}
_OBJECT_OR_NULL: Final[Schema] = {"type": ["object", "null"]}
_URL: Final[Schema] = {"type": "string", "format": "uri", "maxLength": 500}
_URL_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_EMAIL: Final[Schema] = {"type": "string", "format": "email", "maxLength": 254}
_MINOR: Final[Schema] = {"type": "integer", "minimum": 0, "description": "Minor units."}


def _object(members: Schema, required: tuple[str, ...] | None = None) -> Schema:
    return {"type": "object", "required": list(members if required is None else required), "properties": members}


def _listed(item: Schema) -> Schema:
    return _object({"results": {"type": "array", "items": item}, "next": _URL_OR_NULL, "previous": _URL_OR_NULL})


def _or_errors(*good: Schema) -> Schema:
    return {"anyOf": [*good, ERRORS]}


ERRORS: Final[Schema] = {
    "type": "object",
    "required": [ALL],
    "description": f"Errors beneath the members they are about, nested like the request, and all of them under {ALL}.",
    "properties": {ALL: {"type": "array", "items": _object({"message": _TEXT, "code": _TEXT})}},
}

# --- answers ---------------------------------------------------------------------------------------------------------

_TRANSACTION_DATA: Final = _object(
    {"payment_method": _TEXT, "flow": _TEXT, "attempts": {"type": "array", "items": _OBJECT}}
)
PURCHASE: Final = _object(
    {
        "client": _OBJECT,
        "purchase": _object({"currency": _TEXT, "products": {"type": "array", "items": _OBJECT}, "total": _INTEGER}),
        "payment": _OBJECT_OR_NULL,
        "transaction_data": _TRANSACTION_DATA,
        "status": {"enum": [each.value for each in Status]},
        "status_history": {"type": "array", "items": _OBJECT},
        "refund_availability": {"enum": [each.value for each in Availability]},
        "refundable_amount": _MINOR,
        "checkout_url": _TEXT,
        "is_recurring_token": _FLAG,
        "created_on": _UNIX,
        "updated_on": _UNIX,
        "type": {"const": "purchase"},
        "id": _ID,
    }
)
PAYMENT: Final = _object(
    {
        "type": {"const": "payment"},
        "id": _ID,
        "payment": _OBJECT,
        "related_to": _OBJECT,
        "status": {"const": "success"},
    }
)
_CLIENT: Final = _object({"type": {"const": "client"}, "id": _ID, "created_on": _UNIX, "updated_on": _UNIX})
_CARD: Final = _object(
    {"type": {"const": "client_recurring_token"}, "id": _ID, "payment_method": _TEXT, "description": _TEXT}
)
_WEBHOOK: Final = _object(
    {
        "type": {"const": "webhook"},
        "id": _ID,
        "title": _TEXT,
        "all_events": _FLAG,
        "events": {"type": "array", "items": _TEXT},
        "callback": _TEXT,
        "public_key": _TEXT,
    }
)
_BALANCE: Final = _object(
    dict.fromkeys(
        ("gross_balance", "balance", "available_balance", "reserved", "pending_outgoing", "fee_sell"), _INTEGER
    )
)
_TURNOVER: Final = _object({"turnover": _INTEGER, "fee_sell": _INTEGER, "count": _object({"all": _INTEGER})})

_STATEMENT: Final = _object(
    {
        "format": {"enum": ["csv", "xlsx"]},
        "timezone": _TEXT,
        "query_string": _TEXT,
        "status": {"enum": ["pending", "success", "cancelled"]},
        "download_url": _TEXT,
        "type": {"const": "company_statement"},
        "id": _ID,
    }
)

PURCHASE_ANSWER: Final = _or_errors(PURCHASE)
REFUND_ANSWER: Final = _or_errors(PAYMENT, PURCHASE)
CLIENT_ANSWER: Final = _or_errors(_CLIENT)
CLIENTS_ANSWER: Final = _or_errors(_listed(_CLIENT))
CARD_ANSWER: Final = _or_errors(_CARD)
CARDS_ANSWER: Final = _or_errors(_listed(_CARD))
WEBHOOK_ANSWER: Final = _or_errors(_WEBHOOK)
WEBHOOKS_ANSWER: Final = _or_errors(_listed(_WEBHOOK))
KEY_ANSWER: Final = _or_errors({"type": "string", "description": "A PEM-encoded RSA public key."})
NOTHING: Final[Schema] = {"description": "Nothing, with 204; else errors.", **ERRORS}
METHODS_ANSWER: Final = _or_errors(
    _object(
        {
            "available_payment_methods": {"type": "array", "items": _TEXT},
            "by_country": _OBJECT,
            "country_names": _OBJECT,
            "names": _OBJECT,
            "logos": _OBJECT,
            "card_methods": {"type": "array", "items": _TEXT},
        }
    )
)
BALANCE_ANSWER: Final = _or_errors({"type": "object", "additionalProperties": _BALANCE})
TURNOVER_ANSWER: Final = _or_errors(_object({"incoming": _TURNOVER, "outgoing": _TURNOVER}))
STATEMENT_ANSWER: Final = _or_errors(_STATEMENT)
STATEMENTS_ANSWER: Final = _or_errors(_listed(_STATEMENT))
PAGE: Final[Schema] = {"type": "string", "description": "A page or a file; or nothing, and a Location."}

# --- requests --------------------------------------------------------------------------------------------------------

REFUND_REQUEST: Final[Schema] = {
    "type": "object",
    "properties": {
        "amount": {
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "Minor units of the Purchase's currency. Without it, what remains is refunded.",
        }
    },
}
CAPTURE_REQUEST: Final[Schema] = {
    "type": "object",
    "properties": {
        "amount": {
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "Minor units. Without it, all that is held; of less, the rest is let go.",
        }
    },
}
CHARGE_REQUEST: Final = _object({"recurring_token": _ID})
MARK_REQUEST: Final = _object({"paid_on": _UNIX}, ())
_CLIENT_MEMBERS: Final[Schema] = {
    "email": _EMAIL,
    "phone": {"type": "string", "maxLength": 32},
    "full_name": {"type": "string", "maxLength": 128},
    "street_address": {"type": "string", "maxLength": 128},
    "city": {"type": "string", "maxLength": 128},
    "zip_code": {"type": "string", "maxLength": 32},
    "country": {"type": "string", "description": "Two letters, or an English name."},
    "state": {"type": "string", "maxLength": 128},
    "cc": {"type": "array", "items": _EMAIL},
    "bcc": {"type": "array", "items": _EMAIL},
}
CLIENT_REQUEST: Final = _object(_CLIENT_MEMBERS, ("email",))
CLIENT_CHANGES: Final = _object(_CLIENT_MEMBERS, ())
_PRODUCT: Final = _object(
    {
        "name": {"type": "string", "maxLength": 256},
        "price": _MINOR,
        "quantity": {"type": ["string", "number"], "description": "At most four decimal places. 1 unless stated."},
        "discount": {**_MINOR, "description": "Minor units off the whole line."},
        "tax_percent": {"type": ["string", "number"], "description": "Added to the price. At most two decimal places."},
        "total_price_override": {"type": ["integer", "null"], "minimum": 0},
    },
    ("name", "price"),
)
PURCHASE_REQUEST: Final = _object(
    {
        "client": CLIENT_REQUEST,
        "client_id": {**_ID, "description": "In place of `client`: a Client made before."},
        "brand_id": _ID,
        "purchase": _object(
            {
                "currency": {"type": "string", "maxLength": 3, "default": CURRENCY_UNSTATED},
                "products": {"type": "array", "minItems": 1, "items": _PRODUCT},
                "debt": {"type": "integer", "description": "Added to what the products come to."},
                "total_override": {"type": ["integer", "null"], "minimum": 0},
                "notes": {"type": "string", "maxLength": 10_000},
                "due_strict": _FLAG,
                "metadata": _OBJECT,
            },
            ("products",),
        ),
        "reference": {"type": "string", "maxLength": 128},
        "skip_capture": {**_FLAG, "description": "Only hold the money; capture or release it later."},
        "force_recurring": {**_FLAG, "description": "The card can be charged again."},
        "send_receipt": _FLAG,
        "due": {"type": ["integer", "null"], "minimum": 0},
        "payment_method_whitelist": {"type": "array", "minItems": 1, "items": _TEXT},
        "success_redirect": _URL,
        "failure_redirect": _URL,
        "cancel_redirect": _URL,
        "success_callback": _URL,
        "creator_agent": {"type": "string", "maxLength": 32},
        "platform": {"type": "string", "maxLength": 32},
    },
    ("purchase", "brand_id"),
)
_WEBHOOK_MEMBERS: Final[Schema] = {
    "title": {"type": "string", "maxLength": 100},
    "all_events": _FLAG,
    "events": {"type": "array", "minItems": 1, "items": _TEXT},
    "callback": _URL,
}
WEBHOOK_REQUEST: Final = _object(_WEBHOOK_MEMBERS, ("title", "callback"))
WEBHOOK_CHANGES: Final = _object(_WEBHOOK_MEMBERS, ())
STATEMENT_REQUEST: Final = _object({"format": {"enum": ["csv", "xlsx"]}, "timezone": _TEXT}, ())
PAY_REQUEST: Final = _object(
    {
        "action": {"enum": ["pay", "decline", "leave"]},
        "payment_method": _TEXT,
        "cardholder_name": {"type": "string", "maxLength": 30},
        "card_number": {"type": "string", "maxLength": 19},
        "expires": {"type": "string", "pattern": "^[0-9]{2}/[0-9]{2}$"},
        "cvc": {"type": "string", "pattern": "^[0-9]{3,4}$"},
        "remember_card": {"const": "on"},
    },
    (),
)
