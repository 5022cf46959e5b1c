"""The shapes of this API as JSON Schemas, for its OpenAPI description."""

from __future__ import annotations

from typing import Any, Final

from moneyback.dialects.truust.fields import TAG_LENGTH_MAX
from moneyback.dialects.truust.wire import PayinStatus, RefundStatus

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
            "enum": [0, 1, "0", "1", "", None],
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

PAYIN_ANSWER: Final = _enveloped(PAYIN)
REFUND_ANSWER: Final = _enveloped(REFUND)
BANK_ACCOUNT_ANSWER: Final = _enveloped(BANK_ACCOUNT)
PAYIN_LIST: Final = _listed(PAYIN)
REFUND_LIST: Final = _listed(REFUND)
