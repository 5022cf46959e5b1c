"""UBO declarations: who ultimately owns a legal user. They are taken and submitted; nobody looks at them here.

A declaration is a document, and each owner named in it is one of its own (provider docs: UBO declarations).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from moneyback.dialect import Ask, Caller, Incoming, ListDocuments, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import calls, complaints, journal, pages, schemas, users
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members

KIND: Final = "ubo_declaration"
OWNER: Final = "ubo"
OWNERS_MAX: Final = 15
OPEN: Final = ("CREATED", "INCOMPLETE")
"""While it is so, owners are added and changed."""
IN_PROGRESS: Final = (*OPEN, "VALIDATION_ASKED")
WITH_REGION: Final = ("US", "CA", "MX")

Data = dict[str, Any]


def _impossible(sentence: str) -> Complaint:
    return Complaint(400, "invalid_action", sentence)


_ANOTHER: Final = _impossible(
    "You can not create a declaration because you already have a declaration in progress",
)
_NOBODY: Final = _impossible("You can not request validation for a declaration which has no ubo")
_TOO_MANY: Final = _impossible(f"You can not create more than {OWNERS_MAX} UBO for a declaration")
_SUBMITTED: Final = _impossible("You can not change a declaration that was submitted")


# --- declarations ----------------------------------------------------------------------------------------------------


def create_declaration(incoming: Incoming, _caller: Caller) -> Answer:
    """Begin a declaration: one at a time, and none for a sole trader, whose owner is known."""
    user = yield from users.load(incoming.arguments["UserId"], "LEGAL")
    if isinstance(user, Complaint):
        return user
    if user["LegalPersonType"] == "SOLETRADER":
        return _impossible("Cannot create an UBO for a LegalUser of type SOLETRADER")
    known = yield from pages.every(ListDocuments(kind=KIND, match={"UserId": user["Id"]}))
    if any(each["Status"] in IN_PROGRESS for each in known):
        return _ANOTHER
    at = yield from calls.now(incoming)
    identity = str((yield NextNumber()))
    declaration = {"Id": identity, "UserId": user["Id"], "CreationDate": int(at.timestamp()), "Status": "CREATED"}
    yield SaveDocument(KIND, identity, declaration)
    yield from journal.announce("UBO_DECLARATION_CREATED", identity, at)
    return Outgoing(body=(yield from shown(declaration)))


def submit_declaration(incoming: Incoming, _caller: Caller) -> Answer:
    """Ask for a declaration to be looked at, once it names somebody."""
    declaration = yield from _load(incoming)
    if isinstance(declaration, Complaint):
        return declaration
    body = Members(incoming.body)
    status = body.word("Status", IN_PROGRESS)
    if body.errors:
        return complaints.parameters(body.errors)
    if status == "VALIDATION_ASKED" and declaration["Status"] in OPEN:
        if not (yield from _owners(declaration)):
            return _NOBODY
        declaration = {**declaration, "Status": status}
        yield SaveDocument(KIND, declaration["Id"], declaration)
        at = yield from calls.now(incoming)
        yield from journal.announce("UBO_DECLARATION_VALIDATION_ASKED", declaration["Id"], at)
    return Outgoing(body=(yield from shown(declaration)))


def view_declaration(incoming: Incoming, _caller: Caller) -> Answer:
    """One declaration, with all it names."""
    declaration = yield from _load(incoming)
    return declaration if isinstance(declaration, Complaint) else Outgoing(body=(yield from shown(declaration)))


def list_declarations(incoming: Incoming, _caller: Caller) -> Answer:
    """A user's declarations."""
    user = yield from users.load(incoming.arguments["UserId"], "LEGAL")
    if isinstance(user, Complaint):
        return user
    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match={"UserId": user["Id"]}), shown))


def _load(incoming: Incoming) -> Generator[Ask, Any, Data | Complaint]:
    identity, user = incoming.arguments["UboDeclarationId"], incoming.arguments.get("UserId")
    declaration: Data | None = yield LoadDocument(KIND, identity)
    if declaration is None or user not in (None, declaration["UserId"]):
        return complaints.not_found("UboDeclaration", identity)
    return declaration


def _owners(declaration: Data) -> Generator[Ask, Any, list[Data]]:
    return (yield from pages.every(ListDocuments(kind=OWNER, match={"DeclarationId": declaration["Id"]})))


def shown(declaration: Data) -> Generator[Ask, Any, Data]:
    """A declaration as it is printed."""
    seen = {**declaration, "Ubos": [_printed(each) for each in (yield from _owners(declaration))]}
    return {name: seen.get(name) for name in schemas.UBO_DECLARATION["properties"]}


# --- owners ----------------------------------------------------------------------------------------------------------


def create_owner(incoming: Incoming, _caller: Caller) -> Answer:
    """Name an owner."""
    declaration = yield from _load(incoming)
    if isinstance(declaration, Complaint):
        return declaration
    stated = _stated(incoming, {})
    if isinstance(stated, Complaint):
        return stated
    if declaration["Status"] not in OPEN:
        return _SUBMITTED
    if len((yield from _owners(declaration))) >= OWNERS_MAX:
        return _TOO_MANY
    at = int((yield from calls.now(incoming)).timestamp())
    owner = {**stated, "Id": str((yield NextNumber())), "DeclarationId": declaration["Id"], "CreationDate": at}
    yield SaveDocument(OWNER, owner["Id"], owner)
    return Outgoing(body=_printed(owner))


def update_owner(incoming: Incoming, _caller: Caller) -> Answer:
    """Correct an owner: the members that are there, and no other."""
    found = yield from _load_owner(incoming)
    if isinstance(found, Complaint):
        return found
    declaration, owner = found
    stated = _stated(incoming, owner)
    if isinstance(stated, Complaint):
        return stated
    if declaration["Status"] not in OPEN:
        return _SUBMITTED
    owner = {**owner, **stated}
    yield SaveDocument(OWNER, owner["Id"], owner)
    return Outgoing(body=_printed(owner))


def view_owner(incoming: Incoming, _caller: Caller) -> Answer:
    """One owner."""
    found = yield from _load_owner(incoming)
    return found if isinstance(found, Complaint) else Outgoing(body=_printed(found[1]))


def _stated(incoming: Incoming, known: Mapping[str, Any]) -> Data | Complaint:
    """What a body says of an owner: everything of a new one, whatever is there of a known one."""
    body = Members(incoming.body)
    fresh = not known
    said: Data = {
        "LastName": body.text("LastName", required=fresh),
        "FirstName": body.text("FirstName", required=fresh),
        "Birthday": body.whole("Birthday", required=fresh),
        "Nationality": body.country("Nationality", required=fresh),
        "Address": body.address("Address") if body.has("Address") else None,
        "Birthplace": _birthplace(body),
        "IsActive": body.flag("IsActive", True if fresh else None),
    }
    for name in ("Address", "Birthplace"):
        if fresh and not body.has(name):
            body.wrong(name, f"The {name} field is required.")
    address = said["Address"] or {}
    if address.get("Country") in WITH_REGION and not address.get("Region"):
        body.wrong("Region", "The Region is a required field for this Country")
    if body.errors:
        return complaints.parameters(body.errors)
    return {name: value for name, value in said.items() if value is not None}


def _birthplace(body: Members) -> Data | None:
    inner = body.within("Birthplace")
    if inner is None:
        return None
    return {"City": inner.text("City", required=True), "Country": inner.country("Country", required=True)}


def _load_owner(incoming: Incoming) -> Generator[Ask, Any, tuple[Data, Data] | Complaint]:
    declaration = yield from _load(incoming)
    if isinstance(declaration, Complaint):
        return declaration
    identity = incoming.arguments["UboId"]
    owner: Data | None = yield LoadDocument(OWNER, identity)
    if owner is None or owner["DeclarationId"] != declaration["Id"]:
        return complaints.not_found("Ubo", identity)
    return declaration, owner


def _printed(owner: Data) -> Data:
    return {name: owner.get(name) for name in schemas.UBO["properties"]}


_OF_USER: Final = "/users/{UserId}/kyc/ubodeclarations"
_ONE: Final = f"{_OF_USER}/{{UboDeclarationId}}"

ROUTES: Final = (
    calls.route("POST", _OF_USER, create_declaration, "Begin a UBO declaration", answered=schemas.UBO_DECLARATION),
    calls.route(
        "GET",
        _OF_USER,
        list_declarations,
        "List a user's UBO declarations",
        answered=calls.listed(schemas.UBO_DECLARATION),
    ),
    calls.route(
        "PUT",
        _ONE,
        submit_declaration,
        "Submit a UBO declaration",
        asked=schemas.UBO_DECLARATION_CHANGE,
        answered=schemas.UBO_DECLARATION,
    ),
    *(
        calls.route("GET", path, view_declaration, "View a UBO declaration", answered=schemas.UBO_DECLARATION)
        for path in (_ONE, "/kyc/ubodeclarations/{UboDeclarationId}")
    ),
    calls.route("POST", f"{_ONE}/ubos", create_owner, "Name a UBO", asked=schemas.UBO_REQUEST, answered=schemas.UBO),
    calls.route("GET", f"{_ONE}/ubos/{{UboId}}", view_owner, "View a UBO", answered=schemas.UBO),
    calls.route(
        "PUT",
        f"{_ONE}/ubos/{{UboId}}",
        update_owner,
        "Correct a UBO",
        asked=schemas.optional(schemas.UBO_REQUEST),
        answered=schemas.UBO,
    ),
)
