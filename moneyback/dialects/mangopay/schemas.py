"""JSON schemas of Mangopay's messages, as served at /openapi. Extra members pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
_SECONDS: Final[Schema] = {"type": "integer"}
_MAYBE_SECONDS: Final[Schema] = {"type": ["integer", "null"]}
_ID: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 128}
_CODE: Final[Schema] = {"type": ["string", "null"], "pattern": "^[0-9]{6}$"}


def _object(members: Mapping[str, Any], optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in members if name not in optional]
    return {"type": "object", "properties": dict(members), "required": required}


MONEY: Final = _object({"Currency": {"type": "string", "pattern": "^[A-Z]{3}$"}, "Amount": {"type": "integer"}})

TOKEN_REQUEST: Final = _object({"grant_type": {"const": "client_credentials"}}, optional=("grant_type",))

TOKEN: Final = _object({"access_token": _TEXT, "token_type": {"const": "bearer"}, "expires_in": {"type": "integer"}})

REFUND_REQUEST: Final = _object(
    {
        "Tag": {"type": ["string", "null"], "maxLength": 255},
        "AuthorId": _ID,
        "DebitedFunds": MONEY,
        "Fees": MONEY,
        "StatementDescriptor": {"type": ["string", "null"], "pattern": "^[A-Za-z0-9 ]{0,10}$"},
    },
    optional=("Tag", "DebitedFunds", "Fees", "StatementDescriptor"),
)

REFUND: Final = _object(
    {
        "Id": _ID,
        "Tag": {"type": ["string", "null"], "maxLength": 255},
        "CreationDate": _SECONDS,
        "AuthorId": _ID,
        "CreditedUserId": _MAYBE_TEXT,
        "DebitedFunds": MONEY,
        "CreditedFunds": MONEY,
        "Fees": MONEY,
        "Status": {"enum": ["CREATED", "SUCCEEDED", "FAILED"]},
        "ResultCode": _CODE,
        "ResultMessage": _MAYBE_TEXT,
        "ExecutionDate": _MAYBE_SECONDS,
        "Type": {"enum": ["PAYIN", "TRANSFER", "CONVERSION", "PAYOUT"]},
        "Nature": {"const": "REFUND"},
        "InitialTransactionId": _ID,
        "InitialTransactionType": {"enum": ["PAYIN", "TRANSFER", "PAYOUT"]},
        "InitialTransactionNature": {"enum": ["REGULAR", "REPUDIATION", "REFUND", "SETTLEMENT"]},
        "DebitedWalletId": _MAYBE_TEXT,
        "CreditedWalletId": _MAYBE_TEXT,
        "RefundReason": _object({"RefundReasonMessage": _MAYBE_TEXT, "RefundReasonType": _TEXT}),
        "StatementDescriptor": _MAYBE_TEXT,
    }
)

PAYIN: Final = _object(
    {
        "Id": _ID,
        "Tag": _MAYBE_TEXT,
        "CreationDate": _SECONDS,
        "AuthorId": _MAYBE_TEXT,
        "CreditedUserId": _MAYBE_TEXT,
        "DebitedFunds": MONEY,
        "CreditedFunds": MONEY,
        "Fees": MONEY,
        "Status": {"enum": ["CREATED", "SUCCEEDED", "FAILED"]},
        "ResultCode": _CODE,
        "ResultMessage": _MAYBE_TEXT,
        "ExecutionDate": _MAYBE_SECONDS,
        "Type": {"const": "PAYIN"},
        "Nature": {"const": "REGULAR"},
        "CreditedWalletId": _MAYBE_TEXT,
        "DebitedWalletId": _MAYBE_TEXT,
        "PaymentType": _TEXT,
        "ExecutionType": {"enum": ["DIRECT", "WEB", "EXTERNAL_INSTRUCTION"]},
        "StatementDescriptor": _MAYBE_TEXT,
    }
)

ERROR: Final = _object(
    {
        "Message": _TEXT,
        "Type": _TEXT,
        "Id": _TEXT,
        "Date": _SECONDS,
        "errors": {"type": ["object", "null"], "additionalProperties": _TEXT},
    }
)

RESPONSE: Final = _object(
    {
        "StatusCode": {"type": "string", "pattern": "^[0-9]{3}$"},
        "ContentLength": {"type": "string", "pattern": "^[0-9]+$"},
        "ContentType": _TEXT,
        "Date": _TEXT,
        "RequestURL": _TEXT,
        "Resource": {"anyOf": [REFUND, ERROR]},
    }
)
