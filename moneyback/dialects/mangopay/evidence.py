"""Dispute documents: what a client hands in to contest a dispute. Pages are taken and forgotten; nobody reads them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from moneyback.dialect import Ask, Caller, Incoming, ListDocuments, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import calls, complaints, disputes, journal, pages, schemas
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import Members

KIND: Final = "dispute_document"
TYPES: Final = tuple(schemas.DISPUTE_DOCUMENT_REQUEST["properties"]["Type"]["enum"])
PAGE_MAX: Final = 14 << 20
"""Characters of one page: ten megabytes in base64 (provider docs: create a dispute document page)."""

Data = dict[str, Any]


def create_document(incoming: Incoming, _caller: Caller) -> Answer:
    """Announce a document, while the dispute can be contested."""
    dispute = yield from _contested(incoming)
    if isinstance(dispute, Complaint):
        return dispute
    body = Members(incoming.body)
    kind, tag = body.word("Type", TYPES, required=True), body.tag()
    if not body.errors and dispute["Status"] == "CLOSED":
        body.wrong("Status", "The Dispute is closed")
    if body.errors:
        return complaints.parameters(body.errors)
    at = yield from calls.now(incoming)
    document = {
        "DisputeId": dispute["Id"],
        "Type": kind,
        "Id": str((yield NextNumber())),
        "Tag": tag,
        "CreationDate": int(at.timestamp()),
        "Status": "CREATED",
    }
    yield SaveDocument(KIND, document["Id"], document)
    yield from journal.announce("DISPUTE_DOCUMENT_CREATED", document["Id"], at)
    return Outgoing(body=shown(document))


def add_page(incoming: Incoming, _caller: Caller) -> Answer:
    """Take a page and forget it; only a document that was not submitted takes one."""
    document = yield from _load(incoming)
    if isinstance(document, Complaint):
        return document
    body = Members(incoming.body)
    body.text("File", required=True, longest=PAGE_MAX)
    if not body.errors and document["Status"] != "CREATED":
        body.wrong("Status", "The DisputeDocument was submitted")
    return complaints.parameters(body.errors) if body.errors else Outgoing(status=204)


def submit_document(incoming: Incoming, _caller: Caller) -> Answer:
    """Ask for a document to be looked at."""
    document = yield from _load(incoming)
    if isinstance(document, Complaint):
        return document
    body = Members(incoming.body)
    status, tag = body.word("Status", ("CREATED", "VALIDATION_ASKED")), body.tag()
    if body.errors:
        return complaints.parameters(body.errors)
    asked = status == "VALIDATION_ASKED" and document["Status"] == "CREATED"
    document = {**document, "Tag": tag if tag is not None else document["Tag"]}
    document |= {"Status": status} if asked else {}
    yield SaveDocument(KIND, document["Id"], document)
    if asked:
        at = yield from calls.now(incoming)
        yield from journal.announce("DISPUTE_DOCUMENT_VALIDATION_ASKED", document["Id"], at)
    return Outgoing(body=shown(document))


def view_document(incoming: Incoming, _caller: Caller) -> Answer:
    """One document."""
    document = yield from _load(incoming)
    return document if isinstance(document, Complaint) else Outgoing(body=shown(document))


def consult_document(incoming: Incoming, _caller: Caller) -> Answer:
    """Where its pages are seen. None is kept, so there is nowhere."""
    document = yield from _load(incoming)
    return document if isinstance(document, Complaint) else Outgoing(body=[])


def list_documents(incoming: Incoming, _caller: Caller) -> Answer:
    """All documents, or those of a dispute."""
    match: Data = {}
    if "DisputeId" in incoming.arguments:
        dispute = yield from _contested(incoming)
        if isinstance(dispute, Complaint):
            return dispute
        match = {"DisputeId": dispute["Id"]}
    return (yield from pages.shown(incoming, ListDocuments(kind=KIND, match=match), _listed))


def _contested(incoming: Incoming) -> Generator[Ask, Any, Data | Complaint]:
    identity = incoming.arguments["DisputeId"]
    dispute: Data | None = yield LoadDocument(disputes.KIND, identity)
    return complaints.not_found("Dispute", identity) if dispute is None else dispute


def _load(incoming: Incoming) -> Generator[Ask, Any, Data | Complaint]:
    identity, dispute = incoming.arguments["DisputeDocumentId"], incoming.arguments.get("DisputeId")
    document: Data | None = yield LoadDocument(KIND, identity)
    if document is None or dispute not in (None, document["DisputeId"]):
        return complaints.not_found("DisputeDocument", identity)
    return document


def _listed(document: Data) -> Generator[Ask, Any, Data]:
    yield from ()
    return shown(document)


def shown(document: Data) -> Data:
    """A document as it is printed."""
    return {name: document.get(name) for name in schemas.DISPUTE_DOCUMENT["properties"]}


_OF_ONE: Final = "/disputes/{DisputeId}/documents"
_ALL: Final = "/dispute-documents"

ROUTES: Final = (
    calls.route(
        "POST",
        _OF_ONE,
        create_document,
        "Announce a dispute document",
        asked=schemas.DISPUTE_DOCUMENT_REQUEST,
        answered=schemas.DISPUTE_DOCUMENT,
    ),
    calls.route(
        "POST",
        f"{_OF_ONE}/{{DisputeDocumentId}}/pages",
        add_page,
        "Add a page to a dispute document",
        asked=schemas.KYC_PAGE,
    ),
    calls.route(
        "PUT",
        f"{_OF_ONE}/{{DisputeDocumentId}}",
        submit_document,
        "Submit a dispute document",
        asked=schemas.KYC_CHANGE,
        answered=schemas.DISPUTE_DOCUMENT,
    ),
    *(
        calls.route("GET", path, list_documents, summary, answered=calls.listed(schemas.DISPUTE_DOCUMENT))
        for path, summary in ((_OF_ONE, "List a dispute's documents"), (_ALL, "List dispute documents"))
    ),
    calls.route(
        "GET",
        f"{_ALL}/{{DisputeDocumentId}}",
        view_document,
        "View a dispute document",
        answered=schemas.DISPUTE_DOCUMENT,
    ),
    calls.route(
        "POST",
        f"{_ALL}/{{DisputeDocumentId}}/consult",
        consult_document,
        "Ask where the pages of a dispute document are seen",
        answered=calls.listed(schemas.CONSULTED),
    ),
)
