"""What Maverick's answers look like, written from the provider's pages and live records, and whether an answer does.

Every record has the same members in the same order; what distinguishes the types is which of them are null.
"""

from typing import Any

from moneyback.dialect import Outgoing
from tests.dialects.driver import misfits, said

PAGE = """id amount origin type level authCode parent terminal threeds card contact externalId isRecurring split
    refunded captured history order feeTransaction batch ip status updatedOn createdOn"""
MEMBERS = PAGE.split()
MOMENT = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"}
AMOUNT = {"type": "string", "pattern": r"^\d+\.\d{2}$"}
INTEGER, TEXT, NULL, BOOLEAN = {"type": "integer"}, {"type": "string"}, {"type": "null"}, {"type": "boolean"}
INTEGER_OR_NULL, TEXT_OR_NULL = {"type": ["integer", "null"]}, {"type": ["string", "null"]}
YES_NO = {"enum": ["Yes", "No"]}
NEVER = {"const": False}
EMPTY = {"type": "array", "maxItems": 0}


def whole(**members: Any) -> dict[str, Any]:
    """An object of exactly these members."""
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def either(*schemas: Any) -> dict[str, Any]:
    return {"anyOf": list(schemas)}


DOUBTS = ("isAnonymous", "isAnonymousVpn", "isPublicProxy", "isHostingProvider", "isTorExitNode")
UNSETTLED = whole(id=NULL, number=NULL, batchedOn=NULL)
BATCH = either(UNSETTLED, whole(id=INTEGER, number=INTEGER, batchedOn=MOMENT))
NO_THREEDS = whole(id=NULL, eci=NULL, aav=NULL, cavv=NULL)
CRYPTOGRAM = {"type": "string", "pattern": "^[A-Za-z0-9+/]{27}=$"}
THREEDS = either(
    NO_THREEDS,
    whole(id=INTEGER, eci={"const": "05"}, aav=NULL, cavv=CRYPTOGRAM),
    whole(id=INTEGER, eci={"const": "02"}, aav=CRYPTOGRAM, cavv=NULL),
)
COMMON = {
    "id": INTEGER,
    "amount": AMOUNT,
    "origin": {"enum": ["API", "HostedForm", "VirtualTerminal"]},
    "level": {"enum": [1, 2, 3]},
    "terminal": whole(id=INTEGER),
    "isRecurring": YES_NO,
    "split": NULL,
    "feeTransaction": NULL,
    "ip": whole(
        address=TEXT,
        isp=TEXT_OR_NULL,
        type={"enum": ["hosting", "residential", None]},
        location=whole(city=TEXT_OR_NULL, state=TEXT_OR_NULL, country=TEXT_OR_NULL, zip=TEXT_OR_NULL),
        info=whole(**dict.fromkeys(DOUBTS, YES_NO)),
    ),
    "status": whole(status={"enum": ["InProgress", "Approved", "Declined", "Error"]}, reason=TEXT_OR_NULL),
    "createdOn": MOMENT,
}
CARD: dict[str, Any] = {
    "bin": {"type": "integer", "minimum": 1, "maximum": 99_999_999},
    "number": {"type": "integer", "minimum": 0, "maximum": 9999},
    "exp": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
}
BARE_CARD = whole(**CARD, name=NULL, verification=whole(cvv=NULL, address=NULL), networkTransactionId=NULL)
VERIFIED = whole(cvv={"enum": ["M", "N", "P", "S", "U", None]}, address={"enum": ["Y", "A", "Z", "N", "0", None]})
NAMED_CARD = {**CARD, "name": TEXT_OR_NULL, "verification": VERIFIED}
NETWORK_ID = either(NULL, {"type": "string", "pattern": r"^\d{15}$"})
TOKEN = {"type": "string", "pattern": r"^[A-Z2-7]{12}\d{4}$"}
WHOLE_CARD = either(
    whole(**NAMED_CARD, networkTransactionId=NETWORK_ID),
    whole(**NAMED_CARD, networkTransactionId=NETWORK_ID, token=TOKEN),
)
CONTACT = either(NULL, whole(name=TEXT_OR_NULL, phone=TEXT_OR_NULL, email=TEXT_OR_NULL))
EXTERNAL_ID = {"type": ["string", "null"], "maxLength": 64}
AUTH_CODE = either(NULL, {"type": "string", "pattern": "^[A-Z]{3}[0-9]{3}$"})
ORDER = {
    "type": ["object", "null"],
    "minProperties": 1,
    "properties": {
        **dict.fromkeys(("subtotal", "tax", "discounts", "shipping"), AMOUNT),
        "items": {"type": "array"},
    },
}

AUTH = whole(
    **COMMON,
    type={"const": "Auth"},
    authCode=AUTH_CODE,
    parent=whole(id=NULL),
    threeds=THREEDS,
    card=WHOLE_CARD,
    contact=CONTACT,
    externalId=EXTERNAL_ID,
    refunded=BOOLEAN,
    captured=BOOLEAN,
    history={
        "type": "array",
        "items": whole(id=INTEGER, type={"enum": ["Capture", "Return"]}, amount=AMOUNT, createdOn=MOMENT),
    },
    order=ORDER,
    batch=BATCH,
    updatedOn=either(NULL, MOMENT),
)
CHILD = {
    **COMMON,
    "parent": whole(id=INTEGER),
    "threeds": NO_THREEDS,
    "card": BARE_CARD,
    "contact": NULL,
    "externalId": NULL,
    "refunded": NEVER,
    "captured": NEVER,
    "history": EMPTY,
    "order": NULL,
}
RETURN = whole(**CHILD, type={"const": "Return"}, authCode=AUTH_CODE, batch=UNSETTLED, updatedOn=MOMENT)
CAPTURE = whole(**CHILD, type={"const": "Capture"}, authCode=NULL, batch=BATCH, updatedOn=NULL)
ALONE = {
    **COMMON,
    "amount": {"const": "0.00"},
    "parent": whole(id=NULL),
    "contact": CONTACT,
    "externalId": EXTERNAL_ID,
    "refunded": NEVER,
    "captured": NEVER,
    "history": EMPTY,
    "order": NULL,
    "batch": UNSETTLED,
    "updatedOn": NULL,
}
AUTHENTICATION = whole(
    **ALONE,
    type={"const": "CardAuthentication"},
    authCode={"enum": ["PREATH", None]},
    threeds=THREEDS,
    card=WHOLE_CARD,
)
GENERATED = whole(
    **ALONE,
    type={"const": "GenerateToken"},
    authCode=NULL,
    threeds=NO_THREEDS,
    card=whole(
        **CARD,
        name=TEXT_OR_NULL,
        verification=whole(cvv=NULL, address=NULL),
        networkTransactionId=NULL,
        token=TOKEN,
    ),
)
RECORDS = {
    "Auth": AUTH,
    "Capture": CAPTURE,
    "Return": RETURN,
    "CardAuthentication": AUTHENTICATION,
    "GenerateToken": GENERATED,
}
ERROR = whole(name=TEXT, message={"type": "string", "minLength": 1}, code=INTEGER, status=INTEGER)
COUNT = {"type": "integer", "minimum": 0}
LINK = whole(href={"type": "string", "pattern": r"page=\d+&per-page=\d+$"})
LIST = whole(
    items={"type": "array", "maxItems": 50},
    _links={
        "type": "object",
        "required": ["self"],
        "properties": dict.fromkeys(("self", "first", "prev", "next", "last"), LINK),
        "additionalProperties": False,
    },
    _meta=whole(totalCount=COUNT, pageCount=COUNT, currentPage=COUNT, perPage=COUNT),
)


def fits(answer: Outgoing) -> Any:
    """The body, once it satisfies the schema of what it says it is, members in the documented order."""
    body = said(answer)
    if answer.status != 200:
        assert misfits(ERROR, answer) == []
        assert body["status"] == body["code"] == answer.status
        return body
    fits_record(body)
    return body


def fits_record(record: dict[str, Any]) -> None:
    """A record has every member of its type, and a reason when it did not go well."""
    assert misfits(RECORDS[record["type"]], Outgoing(body=record)) == []
    assert list(record) == MEMBERS
    ended_badly = record["status"]["status"] in ("Declined", "Error")
    assert (record["status"]["reason"] is not None) == ended_badly


def fits_list(answer: Outgoing) -> Any:
    """A page, once it and all its records satisfy their schemas."""
    assert answer.status == 200, said(answer)
    body = said(answer)
    assert misfits(LIST, answer) == []
    for record in body["items"]:
        fits_record(record)
    return body
