"""KYC documents: papers about a user. Pages are taken and forgotten; nobody looks at them here."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from moneyback.dialect import Ask, Caller, Incoming, ListDocuments, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import calls, complaints, journal, pages, schemas, users
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members

KIND: Final = "kyc_document"
TYPES: Final = (
    *("IDENTITY_PROOF", "REGISTRATION_PROOF", "ARTICLES_OF_ASSOCIATION"),
    *("SHAREHOLDER_DECLARATION", "ADDRESS_PROOF"),
)

Data = dict[str, Any]


def create_document(incoming: Incoming, _caller: Caller) -> Answer:
    """Announce a paper."""
    user = yield from users.load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    body = Members(incoming.body)
    kind, tag = body.word("Type", TYPES, required=True), body.tag()
    if body.errors:
        return complaints.parameters(body.errors)
    at = yield from calls.now(incoming)
    identity = str((yield NextNumber()))
    document = {"Type": kind, "UserId": user["Id"], "Id": identity, "Tag": tag, "Flags": [], "Status": "CREATED"}
    yield SaveDocument(KIND, identity, {**document, "CreationDate": int(at.timestamp())})
    yield from journal.announce("KYC_CREATED", identity, at)
    return Outgoing(body=shown({**document, "CreationDate": int(at.timestamp())}))


def add_page(incoming: Incoming, _caller: Caller) -> Answer:
    """Take a page and forget it."""
    document = yield from _load(incoming)
    if isinstance(document, Complaint):
        return document
    body = Members(incoming.body)
    body.text("File", required=True, longest=1 << 20)
    return complaints.parameters(body.errors) if body.errors else Outgoing(status=204)


def submit_document(incoming: Incoming, _caller: Caller) -> Answer:
    """Ask for a paper to be looked at."""
    document = yield from _load(incoming)
    if isinstance(document, Complaint):
        return document
    body = Members(incoming.body)
    status, tag = body.word("Status", ("CREATED", "VALIDATION_ASKED")), body.tag()
    if body.errors:
        return complaints.parameters(body.errors)
    document = {**document, "Tag": tag if tag is not None else document["Tag"]}
    if status == "VALIDATION_ASKED" and document["Status"] == "CREATED":
        at = yield from calls.now(incoming)
        document = {**document, "Status": status}
        yield from journal.announce("KYC_VALIDATION_ASKED", document["Id"], at)
    yield SaveDocument(KIND, document["Id"], document)
    return Outgoing(body=shown(document))


def view_document(incoming: Incoming, _caller: Caller) -> Answer:
    """One paper."""
    document = yield from _load(incoming)
    return document if isinstance(document, Complaint) else Outgoing(body=shown(document))


def consult_document(incoming: Incoming, _caller: Caller) -> Answer:
    """Where its pages are seen. None is kept, so there is nowhere."""
    document = yield from _load(incoming)
    return document if isinstance(document, Complaint) else Outgoing(body=[])


def list_documents(incoming: Incoming, _caller: Caller) -> Answer:
    """All papers, or those of a user."""
    match: dict[str, Any] = {}
    if (identity := incoming.arguments.get("UserId")) is not None:
        user = yield from users.load(identity)
        if isinstance(user, Complaint):
            return user
        match = {"UserId": user["Id"]}
    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match=match), _listed))


def _load(incoming: Incoming) -> Generator[Ask, Any, Data | Complaint]:
    identity, user = incoming.arguments["KYCDocumentId"], incoming.arguments.get("UserId")
    document: Data | None = yield LoadDocument(KIND, identity)
    if document is None or user not in (None, document["UserId"]):
        return complaints.not_found("KYCDocument", identity)
    return document


def _listed(document: Data) -> Generator[Ask, Any, Data]:
    yield from ()
    return shown(document)


def shown(document: Data) -> Data:
    """A paper as it is printed."""
    return {name: document.get(name) for name in schemas.KYC_DOCUMENT["properties"]}


ROUTES: Final = (
    calls.route(
        "POST",
        "/users/{UserId}/kyc/documents",
        create_document,
        "Announce a KYC document",
        asked=schemas.KYC_REQUEST,
        answered=schemas.KYC_DOCUMENT,
    ),
    calls.route(
        "POST",
        "/users/{UserId}/kyc/documents/{KYCDocumentId}/pages",
        add_page,
        "Add a page to a KYC document",
        asked=schemas.KYC_PAGE,
    ),
    calls.route(
        "PUT",
        "/users/{UserId}/kyc/documents/{KYCDocumentId}",
        submit_document,
        "Submit a KYC document",
        asked=schemas.KYC_CHANGE,
        answered=schemas.KYC_DOCUMENT,
    ),
    calls.route(
        "POST",
        "/kyc/documents/{KYCDocumentId}/consult",
        consult_document,
        "Ask where the pages of a KYC document are seen",
        answered=calls.listed(schemas.CONSULTED),
    ),
    *(
        calls.route("GET", path, view_document, "View a KYC document", answered=schemas.KYC_DOCUMENT)
        for path in ("/users/{UserId}/kyc/documents/{KYCDocumentId}", "/kyc/documents/{KYCDocumentId}")
    ),
    *(
        calls.route("GET", path, list_documents, "List KYC documents", answered=calls.listed(schemas.KYC_DOCUMENT))
        for path in ("/users/{UserId}/kyc/documents", "/kyc/documents")
    ),
)
