"""Users: natural and legal persons, with and without strong authentication (SCA).

A user is a document. What is printed of one depends on the path: the SCA paths nest a legal person's representative and
show what the user still has to do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final

from moneyback.dialect import Ask, Caller, Incoming, ListDocuments, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import calls, complaints, journal, pages, redirects, schemas
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.entries import transactions
from moneyback.dialects.mangopay.members import Members

KIND: Final = "user"
CATEGORIES: Final = ("PAYER", "OWNER")
LEGAL_TYPES: Final = ("BUSINESS", "ORGANIZATION", "PARTNERSHIP", "SOLETRADER")
_REPRESENTATIVE: Final = (
    *("FirstName", "LastName", "ProofOfIdentity", "Birthday", "Nationality", "CountryOfResidence"),
    *("Email", "PhoneNumber", "PhoneNumberCountry"),
)
_OWNERS_NEED: Final = ("Birthday", "Nationality", "CountryOfResidence")

Data = dict[str, Any]


# --- what a body says ------------------------------------------------------------------------------------------------


def _natural(body: Members, known: Mapping[str, Any]) -> Data:
    return {
        **_name_of(body, "", known),
        "Occupation": body.text("Occupation"),
        "IncomeRange": body.whole("IncomeRange"),
        "Email": body.email(required=not known),
        "Address": _address(body, "Address", known),
        "PhoneNumber": body.text("PhoneNumber", longest=32),
        "PhoneNumberCountry": body.country("PhoneNumberCountry"),
    }


def _legal(body: Members, known: Mapping[str, Any]) -> Data:
    inner = body.within("LegalRepresentative")
    if inner is None:
        representative = {
            **_name_of(body, "LegalRepresentative", known),
            "Email": body.email("LegalRepresentativeEmail"),
            "PhoneNumber": None,
            "PhoneNumberCountry": None,
        }
    else:
        representative = {
            **_name_of(inner, "", known),
            "Email": inner.email(),
            "PhoneNumber": inner.text("PhoneNumber", longest=32),
            "PhoneNumberCountry": inner.country("PhoneNumberCountry"),
        }
    return {
        "Name": body.text("Name", required=not known),
        "LegalPersonType": body.word("LegalPersonType", LEGAL_TYPES, required=not known) or None,
        "Email": body.email(required=not known),
        "CompanyNumber": body.text("CompanyNumber"),
        "HeadquartersAddress": _address(body, "HeadquartersAddress", known),
        "LegalRepresentativeAddress": _address(body, "LegalRepresentativeAddress", known),
        **{f"LegalRepresentative{name}": value for name, value in representative.items()},
    }


def _name_of(body: Members, prefix: str, known: Mapping[str, Any]) -> Data:
    return {
        "FirstName": body.text(f"{prefix}FirstName", required=not known),
        "LastName": body.text(f"{prefix}LastName", required=not known),
        "Birthday": body.whole(f"{prefix}Birthday"),
        "Nationality": body.country(f"{prefix}Nationality"),
        "CountryOfResidence": body.country(f"{prefix}CountryOfResidence"),
    }


def _address(body: Members, name: str, known: Mapping[str, Any]) -> Data | None:
    """On an update, an address that is not mentioned stays as it was."""
    return body.address(name) if body.has(name) or not known else None


_READ: Final[Mapping[str, Callable[[Members, Mapping[str, Any]], Data]]] = {"NATURAL": _natural, "LEGAL": _legal}


def _needs(person: str) -> tuple[str, ...]:
    prefix = "LegalRepresentative" if person == "LEGAL" else ""
    return tuple(f"{prefix}{name}" for name in _OWNERS_NEED)


def _category(body: Members, data: Data, person: str) -> str:
    """PAYER or OWNER; older clients do not say, but tell everything of those who own money."""
    whole = all(data.get(name) is not None for name in _needs(person))
    return body.word("UserCategory", CATEGORIES, otherwise="OWNER" if whole else "PAYER")


def _parsed(incoming: Incoming, person: str, known: Mapping[str, Any]) -> Data | Complaint:
    """The members a body states: all that is required of a new user, whatever is there of a known one."""
    body = Members(incoming.body)
    data = {**_READ[person](body, known), "Tag": body.tag()}
    stated = {name: value for name, value in data.items() if value is not None or not known}
    stated["UserCategory"] = known["UserCategory"] if known else ""
    if body.has("UserCategory") or not known:
        stated["UserCategory"] = _category(body, {**known, **stated}, person)
    terms = body.flag("TermsAndConditionsAccepted")
    if terms is not None or not known:
        stated["TermsAndConditionsAccepted"] = bool(terms)
    if body.has("UserCategory") and stated["UserCategory"] == "OWNER":
        _require(body, {**known, **stated}, person)
    if body.errors:
        return complaints.parameters(body.errors)
    accepted = {**known, **stated}["TermsAndConditionsAccepted"]
    if body.has("UserCategory") and stated["UserCategory"] == "OWNER" and not accepted:
        return complaints.TERMS_NOT_ACCEPTED
    return stated


def _require(body: Members, data: Data, person: str) -> None:
    for name in _needs(person):
        if data.get(name) is None:
            body.wrong(name, f"The {name} field is required.")


# --- what is printed -------------------------------------------------------------------------------------------------


def shown(user: Mapping[str, Any], *, sca: bool = False) -> Data:
    """A user as its path prints it."""
    legal = user["PersonType"] == "LEGAL"
    schema = schemas.USERS[(legal, sca)]
    if legal and sca:
        representative = {name: user.get(f"LegalRepresentative{name}") for name in _REPRESENTATIVE}
        user = {**user, "LegalRepresentative": representative}
    return {name: user.get(name) for name in schema["properties"]}


# --- calls -----------------------------------------------------------------------------------------------------------


def creates(person: str, *, sca: bool = False) -> calls.Handler:
    """The handler that makes such a user. With SCA an owner has to enrol first."""

    def create_user(incoming: Incoming, caller: Caller) -> Answer:
        data = _parsed(incoming, person, {})
        if isinstance(data, Complaint):
            return data
        at = int((yield from calls.now(incoming)).timestamp())
        identity = str((yield NextNumber()))
        pending = sca and data["UserCategory"] == "OWNER"
        user = {
            **data,
            "Id": identity,
            "PersonType": person,
            "CreationDate": at,
            "KYCLevel": "LIGHT",
            "TermsAndConditionsAcceptedDate": at if data["TermsAndConditionsAccepted"] else None,
            "UserStatus": "PENDING_USER_ACTION" if pending else "ACTIVE",
            "PendingUserAction": (yield from _redirect(incoming, caller, identity)) if pending else None,
            "Capacity": "NORMAL",
        }
        yield SaveDocument(KIND, identity, user)
        if pending:
            yield from asked_to_enrol(incoming, user)
        return Outgoing(body=shown(user, sca=sca))

    return create_user


def updates(person: str, *, sca: bool = False) -> calls.Handler:
    """The handler that changes such a user: the members that are there, and no other."""

    def update_user(incoming: Incoming, caller: Caller) -> Answer:
        user = yield from load(incoming.arguments["UserId"], person)
        if isinstance(user, Complaint):
            return user
        data = _parsed(incoming, person, user)
        if isinstance(data, Complaint):
            return data
        at = int((yield from calls.now(incoming)).timestamp())
        if data.get("TermsAndConditionsAccepted") and not user["TermsAndConditionsAccepted"]:
            data["TermsAndConditionsAcceptedDate"] = at
        if sca and data["UserCategory"] == "OWNER" and user["UserCategory"] != "OWNER":
            data["UserStatus"] = "PENDING_USER_ACTION"
            data["PendingUserAction"] = yield from _redirect(incoming, caller, user["Id"])
        user = {**user, **data}
        yield SaveDocument(KIND, user["Id"], user)
        if "PendingUserAction" in data:
            yield from asked_to_enrol(incoming, user)
        return Outgoing(body=shown(user, sca=sca))

    return update_user


def asked_to_enrol(incoming: Incoming, user: Data) -> Generator[Ask, Any, None]:
    """Announce that an owner has to enrol (provider docs: event types)."""
    at = yield from calls.now(incoming)
    yield from journal.announce("USER_ACCOUNT_VALIDATION_ASKED", user["Id"], at)


def _redirect(incoming: Incoming, caller: Caller, identity: str) -> Generator[Ask, Any, Data]:
    return {"RedirectUrl": (yield from redirects.page_url(incoming, caller, identity))}


def load(identity: str, person: str | None = None) -> Generator[Ask, Any, Data | Complaint]:
    """A user, of this kind of person where one is given; or the 404 that stands for it."""
    user: Data | None = yield LoadDocument(KIND, identity)
    if user is None or person not in (None, user["PersonType"]):
        return complaints.not_found("User", identity)
    return user


def views(person: str | None = None, *, sca: bool = False) -> calls.Handler:
    """The handler that shows a user."""

    def view_user(incoming: Incoming, _caller: Caller) -> Answer:
        user = yield from load(incoming.arguments["UserId"], person)
        return user if isinstance(user, Complaint) else Outgoing(body=shown(user, sca=sca))

    return view_user


def list_users(incoming: Incoming, _caller: Caller) -> Answer:
    """All users."""

    def show(user: Data) -> Generator[Ask, Any, Data]:
        yield from ()
        return shown(user)

    return (yield from pages.shown(incoming, ListDocuments(kind=KIND), show))


def closes(person: str) -> calls.Handler:
    """The handler that closes such a user's account; nothing is answered but 204."""

    def close_user(incoming: Incoming, _caller: Caller) -> Answer:
        user = yield from load(incoming.arguments["UserId"], person)
        if isinstance(user, Complaint):
            return user
        yield SaveDocument(KIND, user["Id"], {**user, "UserStatus": "CLOSED"})
        return Outgoing(status=204)

    return close_user


def enrol(incoming: Incoming, caller: Caller) -> Answer:
    """Where a user goes to enrol, or to consent, anew."""
    user = yield from load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    return Outgoing(body={"PendingUserAction": (yield from _redirect(incoming, caller, user["Id"]))})


def sca_status(incoming: Incoming, _caller: Caller) -> Answer:
    """How far a user has got with strong authentication."""
    user = yield from load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    enrolled = user.get("EnrolledAt")
    status = {
        "UserStatus": user["UserStatus"],
        "IsEnrolled": enrolled is not None,
        "LastEnrollmentDate": enrolled,
        "LastConsentCollectionDate": None,
        "ConsentScope": None,
    }
    return Outgoing(body=status)


def list_transactions(incoming: Incoming, _caller: Caller) -> Answer:
    """What a user paid, was paid and got back."""
    user = yield from load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    return (yield from transactions(incoming, journal.place("user", user["Id"])))


def existing(name: str, identity: str) -> Generator[Ask, Any, Complaint | None]:
    """What to say when a member names a user who is not there, or was closed."""
    user: Data | None = yield LoadDocument(KIND, identity)
    return complaints.absent(name, "User", identity) if user is None or user["UserStatus"] == "CLOSED" else None


def _routes(word: str, person: str) -> tuple[Any, ...]:
    legal = person == "LEGAL"
    plain, strong = schemas.USERS[(legal, False)], schemas.USERS[(legal, True)]
    asked, asked_sca = schemas.USER_REQUESTS[(legal, False)], schemas.USER_REQUESTS[(legal, True)]
    changed, changed_sca = schemas.optional(asked), schemas.optional(asked_sca)
    route, one = calls.route, f"/users/{word}/{{UserId}}"
    return (
        route("POST", f"/users/{word}", creates(person), f"Create a {word} user", asked=asked, answered=plain),
        route("GET", one, views(person), f"View a {word} user", answered=plain),
        route("PUT", one, updates(person), f"Update a {word} user", asked=changed, answered=plain),
        route("DELETE", one, closes(person), f"Close a {word} user's account"),
        route(
            "POST",
            f"/sca/users/{word}",
            creates(person, sca=True),
            f"Create a {word} user with strong authentication",
            asked=asked_sca,
            answered=strong,
        ),
        route(
            "GET",
            f"/sca{one}",
            views(person, sca=True),
            f"View a {word} user with strong authentication",
            answered=strong,
        ),
        route(
            "PUT",
            f"/sca{one}",
            updates(person, sca=True),
            f"Update a {word} user with strong authentication",
            asked=changed_sca,
            answered=strong,
        ),
        route(
            "PUT",
            f"/sca{one}/category",
            updates(person, sca=True),
            f"Make a {word} payer an owner",
            asked=changed_sca,
            answered=strong,
        ),
    )


ROUTES: Final = (
    *_routes("natural", "NATURAL"),
    *_routes("legal", "LEGAL"),
    calls.route("GET", "/users", list_users, "List users", answered=calls.listed(schemas.ANY_USER)),
    calls.route("GET", "/users/{UserId}", views(), "View a user", answered=schemas.ANY_USER),
    calls.route(
        "GET",
        "/sca/users/{UserId}",
        views(sca=True),
        "View a user with strong authentication",
        answered=schemas.ANY_USER_SCA,
    ),
    calls.route(
        "POST",
        "/sca/users/{UserId}/enrollment",
        enrol,
        "Send a user to enrol",
        answered=schemas.PENDING_ACTION,
    ),
    calls.route(
        "POST", "/sca/users/{UserId}/consent", enrol, "Send a user to consent", answered=schemas.PENDING_ACTION
    ),
    calls.route(
        "GET", "/sca/users/{UserId}/sca-status", sca_status, "View a user's enrolment", answered=schemas.SCA_STATUS
    ),
    calls.route(
        "GET",
        "/users/{UserId}/transactions",
        list_transactions,
        "List a user's transactions",
        answered=calls.listed(schemas.TRANSACTION),
    ),
)
