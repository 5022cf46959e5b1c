"""The shapes of this API as JSON Schemas, for its OpenAPI description."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_MONEY: Final[Schema] = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "examples": ["1.00"]}
_TIME: Final[Schema] = {"type": "integer", "minimum": 0, "description": "Milliseconds since 1970; 0: not happened."}
_NUMBER: Final[Schema] = {"type": "number"}


def _optional(kind: str) -> Schema:
    return {"type": [kind, "null"]}


def _object(properties: Schema, optional: frozenset[str] = frozenset()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _sums() -> Schema:
    return dict.fromkeys(("pending", "paid", "refunded", "reversed", "balance"), _MONEY)


def _payment(enum: str) -> Schema:
    return _object(
        {
            "paymentId": _TEXT,
            "paymentType": {"type": enum},
            "merchant": _object({"merchantId": _TEXT, "name": _TEXT}),
            "merchantReference": _TEXT,
            "merchantId": _TEXT,
            "fingerprint": _TEXT,
            "verification": _object({"status": {"type": enum}, "mode": {"type": enum}}),
            "account": {"type": "object"},
            "currency": _TEXT,
            "amount": _MONEY,
            "paymentProvider": _object({"name": _TEXT}),
            "allowedPaymentProviderType": {"type": "array", "items": {"type": "integer"}},
            "auth": {"type": "object"},
            "authorization": _TEXT,
            "authorizationStatus": _NUMBER,
            "authorizationStatusMessage": _TEXT,
            **_sums(),
            "createdAt": _TIME,
            "updatedAt": _TIME,
            "recordVersion": _NUMBER,
            "paymentFlow": _NUMBER,
            "customer": _object(
                {"merchantId": _TEXT, "customerId": _TEXT, "externalId": _TEXT}, frozenset({"externalId"})
            ),
        },
        frozenset({"customer"}),
    )


def _transaction(enum: str) -> Schema:
    return _object(
        {
            "transactionId": {**_TEXT, "maxLength": 32, "description": "15 digits at most; natively made refunds: 32."},
            "transactionType": {"type": enum},
            "payment": _payment(enum),
            "currency": _TEXT,
            "amount": _MONEY,
            **_sums(),
            "paymentProviderTransaction": {"type": "object"},
            "status": {"type": enum},
            "statusMessage": {**_TEXT, "maxLength": 120},
            "ip": _TEXT,
            "createdAt": _TIME,
            "processedAt": _TIME,
            "completedAt": _TIME,
            "updatedAt": _TIME,
            "merchantReference": _TEXT,
            "recordVersion": _NUMBER,
            "ppTrxId": _optional("string"),
            "expiredAt": _optional("integer"),
            "originalTransactionId": _optional("string"),
            "fee": _optional("string"),
            "timeZone": _optional("string"),
            "representmentScheduledAt": _optional("number"),
            "paymentProcessorType": _optional("string"),
            "statusCode": _optional("string"),
            "preAuthorized": _optional("boolean"),
        }
    )


def _both(written: Callable[[str], Schema], name: str) -> Schema:
    """The bare object with enums as text, and the same beneath its name with enums as numbers."""
    bare = written("string")
    bare["properties"][name] = written("integer")
    bare["required"].append(name)
    return bare


TRANSACTION: Final[Schema] = _both(_transaction, "transaction")
PAYMENT: Final[Schema] = _both(_payment, "payment")

TRANSACTION_LIST: Final[Schema] = _object(
    {
        "transactions": {"type": "array", "items": _transaction("integer")},
        "startIndex": {"type": "integer", "minimum": 0},
        "itemsPerPage": {"type": "integer", "minimum": 0},
    }
)

PAYMENT_LIST: Final[Schema] = _object(
    {
        "payments": {"type": "array", "items": _payment("integer")},
        "startIndex": {"type": "integer", "minimum": 0},
        "itemsPerPage": {"type": "integer", "minimum": 0},
    }
)

ESTABLISH_DATA: Final[Schema] = {
    "type": "object",
    "properties": {
        "merchantId": _TEXT,
        "paymentType": {"type": "integer", "minimum": 1, "maximum": 6},
        **dict.fromkeys(("returnUrl", "cancelUrl", "notificationUrl"), _TEXT),
        "transactionId": {**_TEXT, "maxLength": 15},
        "merchantReference": _TEXT,
        "currency": {"enum": ["USD", "CAD"]},
        "amount": _MONEY,
        "url": {**_TEXT, "description": "Where the consumer comes back to, signed."},
        "accessId": _TEXT,
        "description": _TEXT,
    },
    "required": ["merchantId", "paymentType", "transactionId", "merchantReference", "currency", "amount", "url"],
}

_CUSTOMER: Final[Schema] = _object(
    {
        "merchantId": _TEXT,
        "customerId": _TEXT,
        "externalId": {**_TEXT, "description": "The merchant's own id."},
        **dict.fromkeys(("vip", "externalTier", "currency"), _TEXT),
        "enrollDate": {"type": "integer", "minimum": 0},
        "createdAt": _TIME,
        "updatedAt": _TIME,
    },
    frozenset({"externalId", "vip", "externalTier", "currency", "enrollDate"}),
)
CUSTOMER: Final[Schema] = _object({"customer": _CUSTOMER})
CUSTOMER_LIST: Final[Schema] = _object({"customers": {"type": "array", "items": _CUSTOMER}})

REFRESH: Final[Schema] = _object({"refresh": _object({"processId": _TEXT})})


# --- what is asked ---------------------------------------------------------------------------------------------------


def _amount(what: str) -> Schema:
    return {
        "type": "string",
        "maxLength": 10,
        "pattern": r"^[0-9]+(\.[0-9]{1,2})?$",
        "description": what,
        "examples": ["1.00"],
    }


def _request(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


_REFERENCE: Final[Schema] = {"type": "string", "minLength": 1}
_OWN_REFERENCE: Final[Schema] = {"type": "string", "description": "Left out: the payment's own."}
_ADDRESS: Final[Schema] = {"type": "string", "format": "uri"}
_SPLIT_TOKEN: Final[Schema] = {"type": "string", "description": "Any will do, ExpiredSplitToken excepted."}

REFUND_REQUEST: Final[Schema] = _request(
    {
        "merchantReference": _OWN_REFERENCE,
        "amount": _amount("At least 0.99 and at most the balance. Left out: the remaining balance."),
    }
)
RECLAIM_REQUEST: Final[Schema] = REFUND_REQUEST
CAPTURE_REQUEST: Final[Schema] = _request(
    {
        "merchantReference": _REFERENCE,
        "amount": _amount("At least 0.99. Left out: all that the authorization still allows."),
        "splitToken": _SPLIT_TOKEN,
    },
    ("merchantReference",),
)
PREAUTHORIZE_REQUEST: Final[Schema] = _request(
    {
        "merchantReference": _REFERENCE,
        "period": {"type": "integer", "minimum": 1, "maximum": 6, "description": "Hours."},
        "amount": _amount("At least 0.99. Left out: all of the authorized amount."),
        "splitToken": _SPLIT_TOKEN,
        "externalTier": {"type": "string"},
    },
    ("merchantReference", "period"),
)
DEPOSIT_REQUEST: Final[Schema] = _request(
    {
        "merchantReference": _REFERENCE,
        "amount": _amount("At least 0.99. Left out: all that the authorization still allows."),
        "instantPayoutRequest": {"type": "boolean"},
        "externalTier": {"type": "string"},
    },
    ("merchantReference",),
)
CANCEL_REQUEST: Final[Schema] = _request(
    {
        "merchantReference": {"type": "string"},
        "message": {"type": "string", "maxLength": 40},
        "reason": {"type": "number"},
        "signature": {"type": "string"},
    }
)
REFRESH_REQUEST: Final[Schema] = _request({"splitToken": _SPLIT_TOKEN}, ("splitToken",))
ESTABLISH_REQUEST: Final[Schema] = _request(
    {
        "accessId": {"type": "string"},
        "merchantId": {"type": "string"},
        "merchantReference": _REFERENCE,
        "paymentType": {
            "enum": ["Instant", "Deferred", "Recurring", "Disbursement", "Verification", "Retrieval"],
            "description": "By name or number. Left out: Retrieval.",
        },
        "currency": {"enum": ["USD", "CAD"]},
        "amount": _amount("The most that may be made of the authorization. 0.00, the default: no bound."),
        "description": {"type": "string"},
        **dict.fromkeys(("returnUrl", "cancelUrl", "notificationUrl"), _ADDRESS),
        "requestSignature": {"type": "string", "description": "Taken, and not checked."},
        "customer": {
            "type": "object",
            "description": "Kept: externalId, vip, externalTier, currency, enrollDate.",
        },
        "account": {"type": "object", "description": "Only its kind and last four digits are kept."},
    },
    ("merchantReference",),
)
