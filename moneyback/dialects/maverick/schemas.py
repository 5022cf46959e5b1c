"""JSON Schemas of Maverick's messages, as they are published for those who read the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
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
    type={"enum": ["Auth", "Return"]},
    level={"enum": [1, 2, 3]},
    authCode=_TEXT_OR_NULL,
    parent=_object(id={"type": ["integer", "null"]}),
    terminal=_object(id=_ID),
    threeds=_object(id={"type": ["integer", "null"]}),
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
        "items": _object(id=_ID, type={"const": "Return"}, amount=_AMOUNT, createdOn=_TEXT),
    },
    order={"type": ["object", "null"]},
    feeTransaction={"type": "null"},
    batch=_object(id={"type": "null"}, number={"type": "null"}, batchedOn={"type": "null"}),
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

_STATED: Final = {"type": ["number", "string", "null"]}
_PART: Final = {"type": ["number", "string", "object", "null"]}

REFUND_BODY: Final = {
    "type": "object",
    "required": ["terminal"],
    "properties": {
        "terminal": {
            "type": "object",
            "required": ["id"],
            "properties": {"id": {"type": "integer", "description": "The terminal that took the payment."}},
        },
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
