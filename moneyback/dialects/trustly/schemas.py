"""The shapes of this API as JSON Schemas, for its OpenAPI description."""

from __future__ import annotations

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
        }
    )


def _transaction(enum: str) -> Schema:
    return _object(
        {
            "transactionId": {**_TEXT, "maxLength": 15},
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


def _both_forms() -> Schema:
    """The bare object with enums as text, and the same beneath `transaction` with enums as numbers."""
    bare = _transaction("string")
    bare["properties"]["transaction"] = _transaction("integer")
    bare["required"].append("transaction")
    return bare


TRANSACTION: Final[Schema] = _both_forms()

TRANSACTION_LIST: Final[Schema] = _object(
    {
        "transactions": {"type": "array", "items": _transaction("integer")},
        "startIndex": {"type": "integer", "minimum": 0},
        "itemsPerPage": {"type": "integer", "minimum": 0},
    }
)

REFUND_REQUEST: Final[Schema] = {
    "type": "object",
    "properties": {
        "merchantReference": {"type": "string", "description": "Left out: the payment's own."},
        "amount": {
            "type": "string",
            "maxLength": 10,
            "pattern": r"^[0-9]+(\.[0-9]{1,2})?$",
            "description": "At least 0.99 and at most the balance. Left out: the remaining balance.",
            "examples": ["1.00"],
        },
    },
}
