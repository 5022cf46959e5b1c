"""Recipients: whom payouts reach, and over which account; what bank accounts have become.

What a recipient must state depends on its currency, its way and whether it is a person or a business. One table says
it: the provider publishes it as a schema, and holds bodies against it. Older bank accounts are shown here as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final

import msgspec

from moneyback.dialect import Ask, Caller, Incoming, ListDocuments, LoadDocument, NextNumber, Outgoing, SaveDocument
from moneyback.dialects.mangopay import bankaccounts, calls, complaints, journal, pages, redirects, schemas, users
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.complaints import Complaint
from moneyback.dialects.mangopay.members import CURRENCIES

KIND: Final = bankaccounts.RECIPIENT
LOCAL, ABROAD = "LocalBankTransfer", "InternationalBankTransfer"
METHODS: Final = (LOCAL, ABROAD)
PERSONS: Final[Mapping[str, str]] = {"Individual": "IndividualRecipient", "Business": "BusinessRecipient"}
SCOPES: Final = ("PAYOUT", "PAYIN")
SEPA: Final = frozenset(
    {
        *("AD", "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE"),
        *("IS", "IT", "LI", "LT", "LU", "LV", "MC", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK", "SM", "VA"),
    }
)
"""Where euros are sent by the local way (provider docs: payouts)."""

_INVALID_STATE: Final = Complaint(400, "other", "Invalid State")

Data = dict[str, Any]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """What a text must be: so long, of a form, and there at all."""

    most: int
    pattern: str
    least: int | None = None
    required: bool = True
    among: tuple[str, ...] = ()

    def wrong(self, value: Any) -> str | None:
        """The provider's word for what is wrong with a value; None where nothing is."""
        if value is None or value == "":
            return "REQUIRED" if self.required else None
        if not isinstance(value, str):
            return "INVALID_FORMAT"
        if len(value) > self.most:
            return "LENGTH_MORE_THAN_MAX"
        if self.least is not None and len(value) < self.least:
            return "LENGTH_LESS_THAN_MIN"
        if self.among and value not in self.among:
            return "NOT_IN_ALLOWED_VALUES"
        return None if re.fullmatch(self.pattern, value) else "INVALID_FORMAT"

    def published(self) -> Data:
        """As the provider's schema of a recipient shows it."""
        shown: Data = {"Required": self.required, "MaxLength": self.most, "Pattern": self.pattern}
        if self.least is not None:
            shown["MinLength"] = self.least
        return {"AllowedValues": list(self.among), **shown} if self.among else shown


Shape = Mapping[str, Any]
"""Names with their Field, or with the shape of an object."""


def _without(characters: str, most: int, *, required: bool = True) -> Field:
    """Text that holds none of some characters."""
    return Field(most=most, pattern=f"^(?!.*[{re.escape(characters)}]).{{1,{most}}}$", required=required)


_IBAN: Final = Field(most=34, pattern="^[a-zA-Z]{2}[0-9]{2}[ 0-9a-zA-Z]{10,30}$")
_BIC: Final = Field(most=11, least=8, pattern="^[a-zA-Z]{6}[0-9a-zA-Z]{2}([0-9a-zA-Z]{3})?$")

ACCOUNTS: Final[Mapping[tuple[str, str], Shape]] = {
    (LOCAL, "EUR"): {"EUR": {"IBAN": _IBAN}},
    (LOCAL, "GBP"): {
        "GBP": {
            "SortCode": Field(most=6, least=6, pattern="^[0-9]{6}$"),
            "AccountNumber": Field(most=8, least=8, pattern="^[0-9]{8}$"),
        }
    },
    (LOCAL, "USD"): {
        "USD": {
            "AccountNumber": Field(most=12, least=8, pattern="^[0-9a-zA-Z]{8,12}$"),
            "ABA": Field(most=9, least=9, pattern="^[0-9]{9}$"),
        }
    },
    (ABROAD, "EUR"): {"IBAN": _IBAN},
    (ABROAD, "GBP"): {"IBAN": _IBAN},
    (ABROAD, "USD"): {"AccountNumber": Field(most=34, pattern="^[0-9a-zA-Z]{1,34}$"), "BIC": _BIC},
}
"""What identifies an account, by its way and currency (provider docs: view the schema for a recipient)."""


def shape_of(method: str, person: str, currency: str) -> Shape:
    """All that such a recipient must and may state, its ids and words left aside."""
    address = {
        "AddressLine1": _without("()/", 255),
        "AddressLine2": _without("()/", 255, required=False),
        "City": _without("&,.:_'", 80),
        "Country": Field(most=2, least=2, pattern="^[a-zA-Z]+$"),
        "Region": _without("&,.:_'/", 50, required=currency == "USD"),
        "PostalCode": _without("()&,.:_'/", 10),
    }
    names = ("FirstName", "LastName") if person == "Individual" else ("BusinessName",)
    forbidden = "()&,.:_/" if person == "Individual" else "(),.:/"
    named = {name: _without(forbidden, 255) for name in names}
    return {
        "DisplayName": _without("&,'/", 50),
        "Currency": Field(most=3, least=3, pattern="^[a-zA-Z]{3}$", among=(currency,)),
        "RecipientType": Field(most=10, pattern="^[a-zA-Z]+$", among=(person,)),
        "PayoutMethodType": Field(most=25, pattern="^[a-zA-Z]+$", among=(method,)),
        PERSONS[person]: {**named, "Address": address},
        method: ACCOUNTS[(method, currency)],
    }


# --- held against the table ------------------------------------------------------------------------------------------


def _complaints(shape: Shape, value: Any, prefix: str = "") -> dict[str, str]:
    members = value if isinstance(value, dict) else {}
    found: dict[str, str] = {}
    for name, wanted in shape.items():
        if not isinstance(wanted, Field):
            found |= _complaints(wanted, members.get(name), f"{prefix}{name}.")
        elif (word := wanted.wrong(members.get(name))) is not None:
            found[prefix + name] = word
        elif name == "IBAN" and not bankaccounts.is_iban(_bare(members[name])):
            found[prefix + name] = "INVALID_IBAN"
    return found


def _kept(shape: Shape, value: Any) -> Data:
    """The members of the shape that were stated."""
    members = value if isinstance(value, dict) else {}
    kept: Data = {}
    for name, wanted in shape.items():
        if not isinstance(wanted, Field):
            kept[name] = _kept(wanted, members.get(name))
        elif members.get(name):
            kept[name] = _bare(members[name]) if name == "IBAN" else members[name]
    return kept


def _bare(iban: str) -> str:
    return iban.replace(" ", "").upper()


def _chosen(said: Mapping[str, Any]) -> tuple[str, str, str] | dict[str, str]:
    """Way, person and currency, or what is wrong with the choice of them."""
    errors: dict[str, str] = {}
    for name, words in (("PayoutMethodType", METHODS), ("RecipientType", tuple(PERSONS)), ("Currency", CURRENCIES)):
        value = said.get(name)
        if not value:
            errors[name] = "REQUIRED"
        elif value not in words:
            errors[name] = "NOT_IN_ALLOWED_VALUES"
    if errors:
        return errors
    method, person, currency = said["PayoutMethodType"], said["RecipientType"], said["Currency"]
    return (method, person, currency) if (method, currency) in ACCOUNTS else {"Currency": "UNSUPPORTED_CURRENCY"}


def _read(incoming: Incoming) -> Data | Complaint:
    """What a body states, once nothing is wrong with it."""
    said: Mapping[str, Any] = incoming.body if isinstance(incoming.body, dict) else {}
    chosen = _chosen(said)
    if isinstance(chosen, dict):
        return complaints.parameters(chosen)
    shape = shape_of(*chosen)
    errors = _complaints(shape, said)
    errors |= {
        name: word
        for name, field in (
            ("Country", Field(most=2, least=2, pattern="^[A-Z]{2}$", required=False)),
            ("RecipientScope", Field(most=6, pattern="^[A-Z]+$", required=False, among=SCOPES)),
            ("Tag", Field(most=255, pattern="(?s).*", required=False)),
        )
        if (word := field.wrong(said.get(name))) is not None
    }
    if not errors and chosen[0] == LOCAL and not _is_local(chosen[2], _country(said, shape)):
        errors["Country"] = "UNSUPPORTED_PAYOUT_METHOD_FOR_CURRENCY"
    if errors:
        return complaints.parameters(errors)
    scope = said.get("RecipientScope") or SCOPES[0]
    return {**_kept(shape, said), "Country": _country(said, shape), "RecipientScope": scope, "Tag": said.get("Tag")}


def _country(said: Mapping[str, Any], shape: Shape) -> str:
    """Where the account is: as stated, by its IBAN, or where its owner lives."""
    account = _kept(shape, said)
    method = account["PayoutMethodType"]
    iban = (account[method].get("EUR") or account[method]).get("IBAN")
    owner = next(account[each] for each in PERSONS.values() if each in account)
    return str(said.get("Country") or (iban or owner["Address"]["Country"])[:2]).upper()


def _is_local(currency: str, country: str) -> bool:
    return country in SEPA if currency == "EUR" else country == {"GBP": "GB", "USD": "US"}.get(currency)


# --- calls -----------------------------------------------------------------------------------------------------------


def create_recipient(incoming: Incoming, caller: Caller) -> Answer:
    """Keep a recipient. One for payouts has to be confirmed by its user first, who may have consented before."""
    user = yield from users.load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    stated = _read(incoming)
    if isinstance(stated, Complaint):
        return stated
    at = yield from calls.now(incoming)
    identity = str((yield NextNumber()))
    asked = stated["RecipientScope"] == "PAYOUT" and incoming.body.get("ScaContext") != "USER_NOT_PRESENT"
    page = (yield from redirects.page_url(incoming, caller, identity)) if asked else None
    recipient = {
        **stated,
        "Id": identity,
        "UserId": user["Id"],
        "Status": "PENDING" if asked else "ACTIVE",
        "CreationDate": int(at.timestamp()),
        "PendingUserAction": {"RedirectUrl": page} if asked else None,
    }
    yield SaveDocument(KIND, identity, recipient)
    if not asked:
        yield from journal.announce("RECIPIENT_ACTIVE", identity, at)
    return Outgoing(body=shown(recipient))


def decide(incoming: Incoming, recipient: Data, confirmed: bool) -> Generator[Ask, Any, None]:
    """What its user said on the page."""
    status = "ACTIVE" if confirmed else "CANCELED"
    recipient = {**recipient, "Status": status, "PendingUserAction": None}
    yield SaveDocument(KIND, recipient["Id"], recipient)
    yield from journal.announce(f"RECIPIENT_{status}", recipient["Id"], (yield from calls.now(incoming)))


def validate(incoming: Incoming, _caller: Caller) -> Answer:
    """Whether a recipient could be kept."""
    user = yield from users.load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    stated = _read(incoming)
    return stated if isinstance(stated, Complaint) else Outgoing()


def deactivate(incoming: Incoming, _caller: Caller) -> Answer:
    """Put a recipient out of use, which is for ever."""
    identity = incoming.arguments["RecipientId"]
    recipient: Data | None = yield LoadDocument(KIND, identity)
    if recipient is None:
        return complaints.not_found("Recipient", identity)
    if recipient["Status"] not in ("ACTIVE", "PENDING"):
        return _INVALID_STATE
    recipient = {**recipient, "Status": "DEACTIVATED", "PendingUserAction": None}
    yield SaveDocument(KIND, identity, recipient)
    yield from journal.announce("RECIPIENT_DEACTIVATED", identity, (yield from calls.now(incoming)))
    return Outgoing(body=shown(recipient))


def view_recipient(incoming: Incoming, _caller: Caller) -> Answer:
    """A recipient, or a bank account as one."""
    identity = incoming.arguments["RecipientId"]
    recipient: Data | None = yield LoadDocument(KIND, identity)
    if recipient is not None:
        return Outgoing(body=shown(recipient))
    account: Data | None = yield LoadDocument(bankaccounts.KIND, identity)
    return complaints.not_found("Recipient", identity) if account is None else Outgoing(body=_older(account))


def list_recipients(incoming: Incoming, _caller: Caller) -> Answer:
    """A user's bank accounts and recipients; `RecipientScope` chooses among them."""
    user = yield from users.load(incoming.arguments["UserId"])
    if isinstance(user, Complaint):
        return user
    listing = pages.parse_listing(incoming)
    if isinstance(listing, dict):
        return complaints.parameters(listing)
    rows: list[Data] = []
    sources: tuple[tuple[str, Callable[[Data], Data]], ...] = ((bankaccounts.KIND, _older), (KIND, shown))
    for kind, show in sources:
        rows += [
            show(each) for each in (yield from pages.every(ListDocuments(kind=kind, match={"UserId": user["Id"]})))
        ]
    scope = _asked(incoming, "RecipientScope").upper()
    rows = [each for each in rows if scope in ("", each["RecipientScope"])]
    rows = pages.chosen(sorted(rows, key=lambda each: int(each["CreationDate"])), listing)
    return pages.answer(incoming, listing, pages.page(rows, listing), len(rows))


def view_schema(incoming: Incoming, _caller: Caller) -> Answer:
    """What a recipient of this way, person and currency must state."""
    yield from ()
    chosen = _chosen({name: _asked(incoming, name) for name in ("PayoutMethodType", "RecipientType", "Currency")})
    if isinstance(chosen, dict):
        return complaints.parameters(chosen)
    return Outgoing(body=_published(shape_of(*chosen)))


def _published(shape: Shape) -> Data:
    return {name: each.published() if isinstance(each, Field) else _published(each) for name, each in shape.items()}


def view_methods(incoming: Incoming, _caller: Caller) -> Answer:
    """By which ways a currency reaches a country."""
    yield from ()
    currency, country = _asked(incoming, "Currency").upper(), _asked(incoming, "Country").upper()
    errors = {name: "REQUIRED" for name, value in (("Currency", currency), ("Country", country)) if not value}
    if not errors and (ABROAD, currency) not in ACCOUNTS:
        errors["Currency"] = "UNSUPPORTED_CURRENCY"
    if errors:
        return complaints.parameters(errors)
    return Outgoing(body={"AvailablePayoutMethods": list(METHODS if _is_local(currency, country) else (ABROAD,))})


def _asked(incoming: Incoming, name: str) -> str:
    return next((value for key, value in reversed(incoming.query) if key.lower() == name.lower()), "")


# --- what is printed -------------------------------------------------------------------------------------------------


def shown(recipient: Data) -> Data:
    """A recipient as it is printed: of two alternatives the one it has."""
    parts = (*PERSONS.values(), *METHODS)
    names = schemas.RECIPIENT["properties"]
    return {name: recipient.get(name) for name in names if name not in parts or name in recipient}


def _older(account: Data) -> Data:
    """A bank account as a recipient (provider docs: list recipients for a user)."""
    kind = account["Type"]
    currency = {"IBAN": "EUR", "GB": "GBP", "US": "USD", "CA": "CAD"}.get(kind)
    countries = {"IBAN": (account.get("IBAN") or "")[:2], "OTHER": account.get("Country")}
    return shown(
        {
            "Id": account["Id"],
            "Status": "ACTIVE" if account["Active"] else "DEACTIVATED",
            "CreationDate": account["CreationDate"],
            "DisplayName": None,
            "PayoutMethodType": ABROAD if kind == "OTHER" else LOCAL,
            "RecipientType": "Individual",
            "Currency": currency,
            "Country": countries.get(kind, kind),
            "UserId": account["UserId"],
            "RecipientScope": "PAYOUT",
            "Tag": account["Tag"],
        }
    )


ROUTES: Final = (
    calls.route(
        "GET",
        "/recipients/schema",
        view_schema,
        "View what a recipient must state",
        answered=schemas.RECIPIENT_SCHEMA,
    ),
    calls.route(
        "GET",
        "/recipients/payout-methods",
        view_methods,
        "View by which ways a currency reaches a country",
        answered=schemas.PAYOUT_METHODS,
    ),
    calls.route(
        "POST",
        "/users/{UserId}/recipients",
        create_recipient,
        "Keep a recipient",
        asked=schemas.RECIPIENT_REQUEST,
        answered=schemas.RECIPIENT,
    ),
    calls.route(
        "POST",
        "/users/{UserId}/recipients/validate",
        validate,
        "Check whether a recipient could be kept",
        asked=schemas.RECIPIENT_REQUEST,
        keyed=False,
    ),
    calls.route(
        "GET",
        "/users/{UserId}/recipients",
        list_recipients,
        "List a user's recipients and bank accounts",
        answered=calls.listed(schemas.RECIPIENT),
    ),
    calls.route("GET", "/recipients/{RecipientId}", view_recipient, "View a recipient", answered=schemas.RECIPIENT),
    calls.route(
        "PUT",
        "/recipients/{RecipientId}",
        deactivate,
        "Put a recipient out of use",
        answered=schemas.RECIPIENT,
    ),
)
