"""JSON Schemas of Maverick's messages, as they are published for those who read the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_INTEGER_OR_NULL: Final = {"type": ["integer", "null"]}
_ID: Final = {"type": "integer", "minimum": 1}
_AMOUNT: Final = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["1.99"]}
_MOMENT: Final = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"
_YES_NO: Final = {"enum": ["Yes", "No"]}


def _object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members)}


RECORD: Final = _object(
    id=_ID,
    amount=_AMOUNT,
    origin={"enum": ["API", "HostedForm", "VirtualTerminal"]},
    type={"enum": ["Auth", "Capture", "Return", "CardAuthentication", "GenerateToken"]},
    level={"enum": [1, 2, 3]},
    authCode=_TEXT_OR_NULL,
    parent=_object(id=_INTEGER_OR_NULL),
    terminal=_object(id=_ID),
    threeds=_object(id=_INTEGER_OR_NULL, eci=_TEXT_OR_NULL, aav=_TEXT_OR_NULL, cavv=_TEXT_OR_NULL),
    card=_object(
        bin={"type": "integer"},
        name=_TEXT_OR_NULL,
        number={"type": "integer", "minimum": 0, "maximum": 9999},
        exp=_TEXT,
        verification=_object(cvv=_TEXT_OR_NULL, address=_TEXT_OR_NULL),
        networkTransactionId=_TEXT_OR_NULL,
    ),
    contact={"type": ["object", "null"]},
    externalId=_TEXT_OR_NULL,
    isRecurring=_YES_NO,
    split={"type": "null"},
    refunded={"type": "boolean"},
    captured={"type": "boolean"},
    history={
        "type": "array",
        "items": _object(id=_ID, type={"enum": ["Capture", "Return"]}, amount=_AMOUNT, createdOn=_TEXT),
    },
    order={"type": ["object", "null"]},
    feeTransaction={"type": "null"},
    batch=_object(id=_INTEGER_OR_NULL, number=_INTEGER_OR_NULL, batchedOn=_TEXT_OR_NULL),
    ip=_object(
        address=_TEXT,
        isp=_TEXT_OR_NULL,
        type=_TEXT_OR_NULL,
        location=_object(city=_TEXT_OR_NULL, state=_TEXT_OR_NULL, country=_TEXT_OR_NULL, zip=_TEXT_OR_NULL),
        info={"type": "object", "additionalProperties": _YES_NO},
    ),
    status=_object(status={"enum": ["InProgress", "Approved", "Declined", "Error"]}, reason=_TEXT_OR_NULL),
    updatedOn={"type": ["string", "null"], "pattern": _MOMENT},
    createdOn={"type": "string", "pattern": _MOMENT},
)

ERROR: Final = _object(name=_TEXT, message=_TEXT, code={"type": "integer"}, status={"type": "integer"})


def or_error(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What is answered when all goes well, or an error."""
    return {"anyOf": [schema, ERROR]}


RECORD_OR_ERROR: Final = or_error(RECORD)
_LINK: Final = _object(href=_TEXT)
_COUNT: Final = {"type": "integer", "minimum": 0}
PAGE_OR_ERROR: Final = or_error(
    _object(
        items={"type": "array", "maxItems": 50, "items": RECORD},
        _links={"type": "object", "required": ["self"], "additionalProperties": _LINK},
        _meta=_object(totalCount=_COUNT, pageCount=_COUNT, currentPage=_COUNT, perPage=_COUNT),
    )
)

_STATED: Final = {"type": ["number", "string", "null"]}
_PART: Final = {"type": ["number", "string", "object", "null"]}

_TERMINAL: Final = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer", "description": "The terminal that takes, or took, the payment."}},
}
_CARD: Final = {
    "type": "object",
    "description": "A card by its number and expiry (mm/yy), or by its token.",
    "properties": {
        "number": {"type": ["string", "integer"]},
        "exp": {"type": "string", "examples": ["12/30"]},
        "cvv": {"type": ["string", "integer"]},
        "name": {"type": "string"},
        "token": {"type": "string"},
        "save": _YES_NO,
        "store": _YES_NO,
        "address": {
            "type": "object",
            "properties": dict.fromkeys(("country", "state", "city", "street", "zip"), _TEXT),
        },
    },
}
_PRESENTED: Final = {
    "terminal": _TERMINAL,
    "source": {"enum": ["Internet", "Phone", "Mail", "MOTO"]},
    "level": {"enum": [1, 2, 3]},
    "origin": {"enum": ["API", "HostedForm", "VirtualTerminal"]},
    "card": _CARD,
    "contact": {
        "type": ["object", "null"],
        "properties": {"name": _TEXT_OR_NULL, "phone": _TEXT_OR_NULL, "email": _TEXT_OR_NULL},
    },
    "externalId": {"type": "string", "maxLength": 64, "description": "Your own reference; of no two transactions."},
    "isRecurring": _YES_NO,
    "ip": {"type": "object", "properties": {"address": {"type": "string"}}},
}
_SECURED: Final = {
    "threeds": {"type": "object", "properties": {"id": {"type": ["integer", "string"]}}},
    "3ds": {"type": "boolean", "description": "Authenticate the card with 3-D Secure first."},
}

CHARGE_BODY: Final = {
    "type": "object",
    "required": ["terminal", "amount", "source", "card"],
    "properties": {
        **_PRESENTED,
        **_SECURED,
        "amount": {"type": ["number", "string"], "description": "In US dollars, as a number or as text."},
        "order": {
            "type": ["object", "null"],
            "properties": {
                **dict.fromkeys(("subtotal", "tax", "discounts", "shipping"), _PART),
                **dict.fromkeys(("id", "date", "invoice", "description", "poNumber"), _TEXT),
                "items": {"type": "array", "items": {"type": "object"}},
            },
        },
    },
}

CARD_BODY: Final = {
    "type": "object",
    "required": ["terminal", "source", "card"],
    "properties": {**_PRESENTED, **_SECURED},
}

TOKEN_BODY: Final = {"type": "object", "required": ["terminal", "card"], "properties": _PRESENTED}

CAPTURE_BODY: Final = {
    "type": "object",
    "required": ["terminal"],
    "properties": {
        "terminal": _TERMINAL,
        "amount": {**_STATED, "description": "In US dollars. Without it, all that is left is captured."},
        "partial": {
            "type": "object",
            "description": "Which of how many shipments this is.",
            "properties": {"total": {"type": "integer"}, "sequence": {"type": "integer"}},
        },
        "sendReceipt": _YES_NO,
    },
}

SESSION_BODY: Final = {
    "type": "object",
    "required": ["terminal", "amount", "card"],
    "properties": {"terminal": _TERMINAL, "amount": {"type": ["number", "string"]}, "card": _CARD},
}
SESSION: Final = _object(id=_TEXT)
SESSION_CHECKED: Final = _object(
    id=_TEXT, status={"const": "Authenticated"}, eci=_TEXT, aav=_TEXT_OR_NULL, cavv=_TEXT_OR_NULL
)

REFUND_BODY: Final = {
    "type": "object",
    "required": ["terminal"],
    "properties": {
        "terminal": _TERMINAL,
        "amount": {
            **_STATED,
            "description": "In US dollars, as a number or as text. Without it, what remains is refunded.",
        },
        "order": {
            "type": ["object", "null"],
            "description": "How much of the original's tax and discounts the amount includes.",
            "properties": {"tax": _PART, "discounts": _PART},
        },
    },
}
