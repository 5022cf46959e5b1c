"""Cards: registered in three steps, so that a card's number passes neither the client's server nor our books.

The second step is the tokenizer's form. Of a number it keeps the first six and the last four digits, never more, and
gives them back inside the RegistrationData that the client hands on in the third step.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Generator, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

import msgspec

from moneyback.dialect import (
    Ask,
    Caller,
    Conversation,
    Incoming,
    ListDocuments,
    LoadDocument,
    NewId,
    NextNumber,
    Outgoing,
    Route,
    SaveDocument,
)
from moneyback.dialects.mangopay import calls, complaints, journal, pages, redirects, responses, schemas, users
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.entries import transactions, transactions_of
from moneyback.dialects.mangopay.limits import limited
from moneyback.dialects.mangopay.members import Members

CARD: Final = "card"
REGISTRATION: Final = "card_registration"
VALIDATION: Final = "card_validation"
TYPES: Final = (
    "CB_VISA_MASTERCARD",
    "AMEX",
    "MAESTRO",
    "BCMC",
    "DINERS",
    "MASTERPASS",
    "P24",
    "IDEAL",
    "PAYLIB",
    "JCB",
)
HOLDER_MAX: Final = 45
CATEGORY: Final = "ECommerce"
"""The PaymentCategory of a card payment that states none (provider docs: direct card pay-ins)."""

_NUMBER: Final = re.compile(r"[0-9]{12,19}")
_EXPIRY: Final = re.compile(r"(0[1-9]|1[0-2])[0-9]{2}")
_CVX: Final = re.compile(r"[0-9]{3,4}|")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_=-]{1,400}")

BAD_NUMBER, BAD_EXPIRY, BAD_CVX, BAD_TOKEN, FAILED = "105202", "105203", "105204", "105299", "101699"
ERRORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        BAD_NUMBER: "Card number: invalid format",
        BAD_EXPIRY: "Expiry date: missing or invalid format",
        BAD_CVX: "CVV: missing or invalid format",
        BAD_TOKEN: "Token input Error",
        FAILED: "CardRegistration error",
    }
)
"""How a registration can fail (provider docs: error codes)."""

_TOKENIZER_CODES: Final = {"02625": BAD_NUMBER, "02626": BAD_EXPIRY, "02627": BAD_CVX}
_BRANDS: Final = (("4", "VISA"), ("34", "AMEX"), ("37", "AMEX"), ("35", "JCB"), ("6", "MAESTRO"), ("3", "DINERS"))

Data = dict[str, Any]


class Kept(msgspec.Struct, frozen=True):
    """What stays of a card. `seal` ties it to the registration it was entered for."""

    bin: str
    last: str
    expiry: str
    seal: str

    @property
    def alias(self) -> str:
        """The number as it may be shown."""
        return f"{self.bin}XXXXXX{self.last}"

    @property
    def brand(self) -> str:
        """Who stands behind the card, by its first digits."""
        return brand_of(self.bin)


def brand_of(number: str) -> str:
    """Who stands behind the cards whose numbers begin so."""
    return next((brand for first, brand in _BRANDS if number.startswith(first)), "MASTERCARD")


# --- registering -----------------------------------------------------------------------------------------------------


def create_registration(incoming: Incoming, _caller: Caller) -> Answer:
    """The first step: where the card's number is to be sent, and with what."""
    body = Members(incoming.body)
    user, currency, tag = body.identity("UserId"), body.currency(), body.tag()
    card_type = body.word("CardType", TYPES, otherwise="CB_VISA_MASTERCARD")
    if body.errors:
        return complaints.parameters(body.errors)
    owner = yield from users.load(user)
    if isinstance(owner, Complaint):
        return owner  # 404, other than where a pay-in names an unknown user: so the provider's clients expect it
    closed = yield from users.existing("UserId", user)
    if closed is not None:
        return closed
    at = yield from calls.now(incoming)
    registration = {
        "Id": str((yield NextNumber())),
        "Tag": tag,
        "CreationDate": int(at.timestamp()),
        "UserId": user,
        "AccessKey": (yield NewId()).hex[:20],
        "PreregistrationData": (yield NewId()).hex,
        "CardType": card_type,
        "CardRegistrationURL": responses.url(incoming, "tokenizer", "getToken"),
        "Currency": currency,
        "Status": "CREATED",
    }
    yield SaveDocument(REGISTRATION, registration["Id"], registration)
    return Outgoing(body=_registration(registration))


def tokenize(incoming: Incoming, _caller: Caller) -> Conversation:
    """The second step, sent by the payer's browser: plain text `data=…`, or `errorCode=…`."""
    at = yield from calls.now(incoming)
    body = incoming.body if isinstance(incoming.body, dict) else {}
    said = {name: value for name, value in body.items() if isinstance(value, str)}
    number = re.sub(r"[ -]", "", said.get("cardNumber", ""))
    if not _NUMBER.fullmatch(number):
        text = f"errorCode={BAD_NUMBER}"
    elif not _EXPIRY.fullmatch(said.get("cardExpirationDate", "")):
        text = f"errorCode={BAD_EXPIRY}"
    elif not _CVX.fullmatch(said.get("cardCvx", "")):
        text = f"errorCode={BAD_CVX}"
    elif not said.get("accessKeyRef") or not said.get("data"):
        text = f"errorCode={BAD_TOKEN}"
    else:
        seal = _seal(said["accessKeyRef"], said["data"])
        text = f"data={_written(Kept(number[:6], number[-4:], said['cardExpirationDate'], seal))}"
    return limited(Outgoing(body=text.encode(), media_type="text/plain; charset=utf-8"), at)


def _seal(access_key: str, preregistration: str) -> str:
    return sha256(f"{access_key} {preregistration}".encode()).hexdigest()[:20]


def _written(kept: Kept) -> str:
    return urlsafe_b64encode(msgspec.json.encode(kept)).decode()


def _read(text: str) -> Kept | None:
    """What the tokenizer wrote; None for anything else, a card's number that was sent here by mistake included."""
    if not _TOKEN.fullmatch(text):
        return None
    try:
        kept = msgspec.json.decode(urlsafe_b64decode(text), type=Kept)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
    shaped = re.fullmatch(r"[0-9]{6} [0-9]{4}", f"{kept.bin} {kept.last}") and _EXPIRY.fullmatch(kept.expiry)
    return kept if shaped else None


def update_registration(incoming: Incoming, _caller: Caller) -> Answer:
    """The third step: what the tokenizer said makes a card, or an error."""
    identity = incoming.arguments["CardRegistrationId"]
    registration: Data | None = yield LoadDocument(REGISTRATION, identity)
    if registration is None:
        return complaints.not_found("CardRegistration", identity)
    body = Members(incoming.body)
    said = body.text("RegistrationData", required=True, longest=1000)
    holder = body.text("CardHolderName", longest=HOLDER_MAX)
    if body.errors:
        return complaints.parameters(body.errors)
    if registration["Status"] == "CREATED":
        registration = yield from _finish(registration, said or "", holder)
    return Outgoing(body=_registration(registration))


def _finish(registration: Data, said: str, holder: str | None) -> Generator[Ask, Any, Data]:
    kept = _read(said.removeprefix("data="))
    if kept is None or kept.seal != _seal(registration["AccessKey"], registration["PreregistrationData"]):
        code = said.removeprefix("errorCode=") if said.startswith("errorCode=") else BAD_TOKEN
        code = _TOKENIZER_CODES.get(code, code)
        code = code if code in ERRORS else FAILED
        # What was sent is not shown again: it may be a card's number.
        changed = {"RegistrationData": f"errorCode={code}", "ResultCode": code, "Status": "ERROR"}
        finished = {**registration, **changed, "ResultMessage": ERRORS[code]}
    else:
        card = _card(registration, kept, holder, str((yield NextNumber())))
        yield SaveDocument(CARD, card["Id"], card)
        changed = {"RegistrationData": f"data={_written(kept)}", "CardId": card["Id"], "Status": "VALIDATED"}
        finished = {**registration, **changed, "ResultCode": "000000", "ResultMessage": "Success"}
    yield SaveDocument(REGISTRATION, registration["Id"], finished)
    return finished


def _card(registration: Data, kept: Kept, holder: str | None, identity: str) -> Data:
    return {
        "ExpirationDate": kept.expiry,
        "Alias": kept.alias,
        "CardType": registration["CardType"],
        "CardProvider": kept.brand,
        "Country": "FRA",
        "Product": "I",
        "BankCode": "unknown",
        "Active": True,
        "Currency": registration["Currency"],
        "Validity": "UNKNOWN",
        "UserId": registration["UserId"],
        "Id": identity,
        "Tag": registration["Tag"],
        "CreationDate": registration["CreationDate"],
        # Of what is kept, not of the number: with the rest known, a number is found by its hash.
        "Fingerprint": sha256(f"{kept.bin} {kept.last}".encode()).hexdigest()[:32],
        "CardHolderName": holder,
    }


def view_registration(incoming: Incoming, _caller: Caller) -> Answer:
    """A registration as it stands."""
    identity = incoming.arguments["CardRegistrationId"]
    registration: Data | None = yield LoadDocument(REGISTRATION, identity)
    if registration is None:
        return complaints.not_found("CardRegistration", identity)
    return Outgoing(body=_registration(registration))


def _registration(registration: Data) -> Data:
    return {name: registration.get(name) for name in schemas.CARD_REGISTRATION["properties"]}


# --- cards -----------------------------------------------------------------------------------------------------------


def load(identity: str) -> Generator[Ask, Any, Data | Complaint]:
    """A card, or the 404 that stands for it."""
    card: Data | None = yield LoadDocument(CARD, identity)
    return complaints.not_found("Card", identity) if card is None else card


def usable(identity: str, author: str) -> Generator[Ask, Any, Data | Complaint]:
    """The card a payer names: theirs, and not put out of use."""
    card: Data | None = yield LoadDocument(CARD, identity)
    if card is None or card["UserId"] != author:
        return complaints.absent("CardId", "Card", identity)
    if not card["Active"]:
        return complaints.param_error(CardId="The card is not active")
    return card


def info(card: Data) -> Data:
    """What a pay-in shows of its card: all six members."""
    return {
        "BIN": card["Alias"][:6],
        "IssuingBank": None,
        "IssuerCountryCode": "FR",
        "Type": "CREDIT",
        "Brand": card["CardProvider"],
        "SubType": None,
    }


def view_card(incoming: Incoming, _caller: Caller) -> Answer:
    """A card."""
    card = yield from load(incoming.arguments["CardId"])
    return card if isinstance(card, Complaint) else Outgoing(body=shown(card))


def update_card(incoming: Incoming, _caller: Caller) -> Answer:
    """Put a card out of use, which is for ever; or name its holder."""
    card = yield from load(incoming.arguments["CardId"])
    if isinstance(card, Complaint):
        return card
    body = Members(incoming.body)
    active, validity = body.flag("Active"), body.word("Validity", ("UNKNOWN", "VALID", "INVALID"))
    holder, tag = body.text("CardHolderName", longest=HOLDER_MAX), body.tag()
    if body.errors:
        return complaints.parameters(body.errors)
    off = active is False or validity == "INVALID"
    card = {
        **card,
        "Active": card["Active"] and not off,
        "Validity": "INVALID" if validity == "INVALID" else card["Validity"],
        "CardHolderName": holder if holder is not None else card["CardHolderName"],
        "Tag": tag if tag is not None else card["Tag"],
    }
    yield SaveDocument(CARD, card["Id"], card)
    return Outgoing(body=shown(card))


def list_cards(incoming: Incoming, _caller: Caller) -> Answer:
    """A user's cards; `Active` chooses among them."""
    user = yield from users.load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    wanted = next((value for name, value in reversed(incoming.query) if name.lower() == "active"), "").lower()
    match = {"UserId": user["Id"]} | ({"Active": wanted == "true"} if wanted in ("true", "false") else {})
    return (yield from pages.shown(incoming, ListDocuments(kind=CARD, match=match), _listed))


def list_by_fingerprint(incoming: Incoming, _caller: Caller) -> Answer:
    """The cards that are one and the same."""
    fingerprint = incoming.arguments["Fingerprint"]
    match = {"Fingerprint": fingerprint}
    if not (yield ListDocuments(kind=CARD, match=match, limit=1)):
        return complaints.not_found("Card", fingerprint)
    return (yield from pages.shown(incoming, ListDocuments(kind=CARD, match=match), _listed))


def list_transactions(incoming: Incoming, _caller: Caller) -> Answer:
    """What was paid with a card, and given back to it."""
    card = yield from load(incoming.arguments["CardId"])
    if isinstance(card, Complaint):
        return card
    return (yield from transactions(incoming, journal.place("card", card["Id"])))


def list_transactions_of_fingerprint(incoming: Incoming, _caller: Caller) -> Answer:
    """What was paid with one and the same card, whoever registered it and however often; the oldest first."""
    fingerprint = incoming.arguments["Fingerprint"]
    same = yield from pages.every(ListDocuments(kind=CARD, match={"Fingerprint": fingerprint}))
    if not same:
        return complaints.not_found("Card", fingerprint)
    listing = pages.parse_listing(incoming)
    if isinstance(listing, dict):
        return complaints.parameters(listing)
    places = [journal.place("card", card["Id"]) for card in same]
    rows = pages.chosen((yield from transactions_of(places)), listing)
    return pages.answer(incoming, listing, pages.page(rows, listing), len(rows))


def _listed(card: Data) -> Generator[Ask, Any, Data]:
    yield from ()
    return shown(card)


def shown(card: Data) -> Data:
    """A card as it is printed."""
    return {name: card.get(name) for name in schemas.CARD["properties"]}


# --- validations -----------------------------------------------------------------------------------------------------


def create_validation(incoming: Incoming, _caller: Caller) -> Answer:
    """Check a card without taking money. Every card that is in use is found valid."""
    body = Members(incoming.body)
    author, returning = body.identity("AuthorId"), body.url("SecureModeReturnURL", required=True)
    stated = {
        "Tag": body.tag(),
        "IpAddress": body.text("IpAddress"),
        "BrowserInfo": body.browser(),
        "SecureMode": body.word("SecureMode", ("DEFAULT", "FORCE", "NO_CHOICE"), otherwise="DEFAULT"),
        "PreferredCardNetwork": body.text("PreferredCardNetwork"),
        "PaymentCategory": body.text("PaymentCategory") or CATEGORY,
        "ValidationUsage": body.text("ValidationUsage"),
    }
    if body.errors:
        return complaints.parameters(body.errors)
    identity = incoming.arguments["CardId"]
    card = yield from load(identity)
    if isinstance(card, Complaint):
        return card
    if card["Validity"] != "UNKNOWN":
        sentence = "This card is already VALID." if card["Validity"] == "VALID" else "This card is INVALID."
        return complaints.param_error(CardId=sentence)
    at = int((yield from calls.now(incoming)).timestamp())
    number = str((yield NextNumber()))
    validation = {
        **stated,
        "Id": number,
        "AuthorId": author,
        "Status": "SUCCEEDED",
        "SecureModeReturnURL": redirects.returning(returning, "cardValidationId", number),
        "SecureModeNeeded": False,
        "Validity": "VALID",
        "CreationDate": at,
        "AuthorizationDate": at,
        "Type": "CARD_VALIDATION",
        "Applied3DSVersion": "V2_1",
        "ResultCode": "000000",
        "ResultMessage": "Success",
        "CardInfo": info(card),
        "CardId": identity,
    }
    yield SaveDocument(VALIDATION, number, validation)
    yield SaveDocument(CARD, identity, {**card, "Validity": "VALID"})
    for word in ("CREATED", "SUCCEEDED"):
        yield from journal.announce(f"CARD_VALIDATION_{word}", number, (yield from calls.now(incoming)))
    return Outgoing(body=_validation(validation))


def view_validation(incoming: Incoming, _caller: Caller) -> Answer:
    """A validation of a card."""
    identity = incoming.arguments["CardValidationId"]
    validation: Data | None = yield LoadDocument(VALIDATION, identity)
    if validation is None or validation["CardId"] != incoming.arguments["CardId"]:
        return complaints.not_found("CardValidation", identity)
    return Outgoing(body=_validation(validation))


def _validation(validation: Data) -> Data:
    return {name: validation.get(name) for name in schemas.CARD_VALIDATION["properties"]}


ROUTES: Final = (
    calls.route(
        "POST",
        "/cardregistrations",
        create_registration,
        "Begin to register a card",
        asked=schemas.CARD_REGISTRATION_REQUEST,
        answered=schemas.CARD_REGISTRATION,
    ),
    Route(
        method="POST",
        path="/v2.01/tokenizer/getToken",
        handle=tokenize,
        kind="owned",
        accepts=("form", "multipart", "json"),
        summary="Where CardRegistrationURL leads: a card's number becomes RegistrationData",
        request_schema=schemas.TOKENIZER_REQUEST,
        response_schema={"type": "string"},
        public=True,
    ),
    *(
        calls.route(
            method,
            "/cardregistrations/{CardRegistrationId}",
            update_registration,
            "Finish registering a card",
            asked=schemas.CARD_REGISTRATION_CHANGE,
            answered=schemas.CARD_REGISTRATION,
            accepts=("json", "form"),
        )
        for method in ("PUT", "POST")
    ),
    calls.route(
        "GET",
        "/cardregistrations/{CardRegistrationId}",
        view_registration,
        "View a card registration",
        answered=schemas.CARD_REGISTRATION,
    ),
    calls.route("GET", "/cards/{CardId}", view_card, "View a card", answered=schemas.CARD),
    calls.route(
        "PUT",
        "/cards/{CardId}",
        update_card,
        "Put a card out of use",
        asked=schemas.CARD_CHANGE,
        answered=schemas.CARD,
    ),
    calls.route(
        "GET",
        "/cards/fingerprints/{Fingerprint}",
        list_by_fingerprint,
        "List the cards with a fingerprint",
        answered=calls.listed(schemas.CARD),
    ),
    calls.route(
        "GET",
        "/cards/fingerprints/{Fingerprint}/transactions",
        list_transactions_of_fingerprint,
        "List the transactions of one and the same card",
        answered=calls.listed(schemas.TRANSACTION),
    ),
    calls.route("GET", "/users/{UserId}/cards", list_cards, "List a user's cards", answered=calls.listed(schemas.CARD)),
    calls.route(
        "GET",
        "/cards/{CardId}/transactions",
        list_transactions,
        "List a card's transactions",
        answered=calls.listed(schemas.TRANSACTION),
    ),
    calls.route(
        "POST",
        "/cards/{CardId}/validation",
        create_validation,
        "Validate a card",
        asked=schemas.CARD_VALIDATION_REQUEST,
        answered=schemas.CARD_VALIDATION,
    ),
    calls.route(
        "GET",
        "/cards/{CardId}/validation/{CardValidationId}",
        view_validation,
        "View a card validation",
        answered=schemas.CARD_VALIDATION,
    ),
)
