"""Bank accounts: where refunds of bank wires and payouts go (provider docs: Bank Accounts).

A number is checked when it is given and kept masked: nothing here ever needs all of it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from moneyback.dialect import Caller, Conversation, Incoming, Instant, NewId, NextNumber, SaveDocument
from moneyback.dialects.truust import fields
from moneyback.dialects.truust.documents import BANK_ACCOUNT, find
from moneyback.dialects.truust.envelope import relayed, said
from moneyback.dialects.truust.fields import TAG, Errors, Invalid, Reader, missing, parse
from moneyback.dialects.truust.objects import bank_account
from moneyback.dialects.truust.schemas import BANK_ACCOUNT_ANSWER, BANK_ACCOUNT_REQUEST, RULES_ANSWER
from moneyback.dialects.truust.wallets import owner_of
from moneyback.dialects.truust.wire import VERSION, time_text
from moneyback.dialects.truust.words import NOT_FOUND, invalid

TYPES: Final = (
    *("IBAN", "OTHER", "BSB_ACCOUNT", "PA_AHORRO", "PA_CTE", "CL_CTE", "CL_VISTA", "CL_AHORRO", "INTERNATIONAL"),
    *("ZEPTO", "CLEARJUNCTION", "CURRENCYCLOUD"),
)
BY_GATEWAY: Final = frozenset({"CLEARJUNCTION", "CURRENCYCLOUD"})
WITH_IBAN: Final = frozenset({"IBAN", *BY_GATEWAY})
"""Types whose number must be an IBAN (provider docs: Create bank account)."""
BENEFICIARY: Final = (
    *("currency", "country", "beneficiary_entity_type", "beneficiary_address", "beneficiary_city"),
    "beneficiary_country",
)
"""What `metadata` must hold for accounts that a gateway has to know."""
NAMED_BY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "individual": ("beneficiary_first_name", "beneficiary_last_name"),
        "company": ("beneficiary_company_name",),
    }
)

_READERS: Final[Mapping[str, Reader]] = {
    "customer_id": fields.integer,
    "customer_type": fields.one_of(("source", "user")),
    "name": fields.text(),
    "type": fields.one_of(TYPES),
    "number": fields.loose_text(64),
    "iban": fields.text(64),
    "bic": fields.matching(r"[A-Za-z0-9]{1,11}", 11),
    "bsb": fields.matching(r"[0-9]{3}-?[0-9]{3}"),
    "cod_entidad": fields.loose_text(20),
    "tag": TAG,
    "metadata": fields.mapping,
}


def create_bank_account(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /bankaccounts: for a customer, or with `customer_type` source for the account."""
    try:
        asked = parse(incoming, _READERS, required=("name", "type"))
        _check(asked)
        owner = yield from owner_of(asked)
    except Invalid as bad:
        return invalid(bad.errors)
    number: int = yield NextNumber()
    uuid = str((yield NewId()))
    document = {
        "id": number,
        "self": f"{VERSION}/bankaccounts/{uuid}",
        "uuid": uuid,
        "type": asked["type"],
        "name": asked["name"],
        "number": masked(_number(asked)),
        "bic": asked.get("bic") or asked.get("bsb"),
        "tag": asked.get("tag"),
        "metadata": asked.get("metadata"),
        "created_at": time_text((yield Instant())),
        "connections": {} if owner is None else {"customer": f"{VERSION}/customers/{owner['uuid']}"},
        "customer": None if owner is None else owner["uuid"],
    }
    yield SaveDocument(BANK_ACCOUNT, str(number), document)
    return said(bank_account(document), caller)


def read_bank_account(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /bankaccounts/{uuid}."""
    document = yield from find(BANK_ACCOUNT, incoming.arguments["uuid"])
    return NOT_FOUND if document is None else said(bank_account(document), caller)


def masked(number: str) -> str:
    """`ES91 **** **** **** **** 1332`: where an account is, and its last four; less of a number that is short."""
    plain = re.sub(r"[\s.-]", "", number).upper()
    if len(plain) < 12:
        return "*" * max(0, len(plain) - 3) + plain[-3:]
    hidden = plain[:4] + "*" * (len(plain) - 8) + plain[-4:]
    return " ".join(hidden[at : at + 4] for at in range(0, len(hidden), 4))


# --- what is wrong with one ------------------------------------------------------------------------------------------


def _number(asked: Mapping[str, Any]) -> str:
    return str(asked.get("number") or asked.get("iban") or "")


def _check(asked: Mapping[str, Any]) -> None:
    """What the type of an account asks of the other fields. Raises Invalid."""
    kind, errors = asked["type"], Errors()
    if not _number(asked):
        errors["number"] = [missing("number")]
    elif kind in WITH_IBAN and not is_iban(_number(asked)):
        errors["number"] = ["The number must be a valid IBAN."]
    if kind == "INTERNATIONAL" and not asked.get("bic"):
        errors["bic"] = [missing("bic", "when type is INTERNATIONAL")]
    if kind == "BSB_ACCOUNT" and not asked.get("bsb"):
        errors["bsb"] = [missing("bsb", "when type is BSB_ACCOUNT")]
    if kind in BY_GATEWAY:
        for name in _lacking(asked.get("metadata") or {}):
            errors[f"metadata.{name}"] = [missing(f"metadata.{name}", f"when type is {kind}")]
    if errors:
        raise Invalid(errors)


def _lacking(metadata: Mapping[str, Any]) -> list[str]:
    entity = metadata.get("beneficiary_entity_type")
    named = NAMED_BY.get(entity, ()) if isinstance(entity, str) else ()
    return [name for name in (*BENEFICIARY, *named) if not metadata.get(name)]


_LENGTHS: Final = (
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27"
    "GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22"
    "MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28"
    "TL23TN24TR26UA29VA22VG24XK20YE30"
)
IBAN_LENGTHS: Final[Mapping[str, int]] = MappingProxyType(
    {_LENGTHS[at : at + 2]: int(_LENGTHS[at + 2 : at + 4]) for at in range(0, len(_LENGTHS), 4)}
)
"""How long an IBAN is in each country that has them (ISO 13616, registry)."""
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]+")


def is_iban(text: str) -> bool:
    """Whether a text is an IBAN: its country's length, and the remainder of its digits by 97 (ISO 7064)."""
    plain = re.sub(r"[ -]", "", text).upper()
    if not _IBAN.fullmatch(plain) or IBAN_LENGTHS.get(plain[:2]) != len(plain):
        return False
    digits = "".join(str(int(each, 36)) for each in plain[4:] + plain[:4])
    return int(digits) % 97 == 1


# --- the rules, told -------------------------------------------------------------------------------------------------


def read_rules(incoming: Incoming, caller: Caller) -> Conversation:
    """GET /bankaccounts/validation: what an account of this currency, country and type must say."""
    yield from ()
    asked = {name: (incoming.asked(name) or "").strip() for name in ("currency", "country", "type")}
    errors: Errors = {name: [missing(name)] for name, value in asked.items() if not value}
    if asked["type"] and asked["type"] not in TYPES:
        errors["type"] = ["The selected type is invalid."]
    return invalid(errors) if errors else said(_rules(asked["type"]), caller)


def _rules(kind: str) -> dict[str, str]:
    """In the notation of the provider's framework."""
    rules = {"name": "required|string|max:255", "type": f"required|in:{kind}", "number": "required|string"}
    if kind in WITH_IBAN:
        rules["number"] += "|iban"
    rules["bic"] = "required|string|max:11" if kind == "INTERNATIONAL" else "nullable|string|max:11"
    if kind == "BSB_ACCOUNT":
        rules["bsb"] = "required|digits:6"
    if kind in BY_GATEWAY:
        rules |= {f"metadata.{name}": "required|string" for name in BENEFICIARY}
        for entity, names in NAMED_BY.items():
            same = f"required_if:metadata.beneficiary_entity_type,{entity}"
            rules |= {f"metadata.{name}": same for name in names}
    return rules


_ALL: Final = "/2.0/bankaccounts"
ROUTES: Final = (
    relayed("POST", _ALL, create_bank_account, "Create a bank account", BANK_ACCOUNT_ANSWER, BANK_ACCOUNT_REQUEST),
    relayed("GET", f"{_ALL}/validation", read_rules, "What a bank account must say", RULES_ANSWER),
    relayed(
        "GET", f"{_ALL}/{{uuid}}", read_bank_account, "Read a bank account that refunds can go to", BANK_ACCOUNT_ANSWER
    ),
)
