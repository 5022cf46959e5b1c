"""JSON schemas of Mangopay's messages, as served at /openapi. Extra members pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from moneyback.dialects.mangopay.members import CURRENCIES

Schema = Mapping[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
_SECONDS: Final[Schema] = {"type": "integer"}
_MAYBE_SECONDS: Final[Schema] = {"type": ["integer", "null"]}
_ID: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 128}
_MAYBE_TAG: Final[Schema] = {"type": ["string", "null"], "maxLength": 255}
_MAYBE_FLAG: Final[Schema] = {"type": ["boolean", "null"]}
_MAYBE_WHOLE: Final[Schema] = {"type": ["integer", "null"]}
_URL: Final[Schema] = {"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^ /?#]+", "maxLength": 255}
_MAYBE_URL: Final[Schema] = {"type": ["string", "null"]}
_COUNTRY: Final[Schema] = {"type": "string", "pattern": "^[A-Z]{2}$"}
_MAYBE_COUNTRY: Final[Schema] = {"type": ["string", "null"], "pattern": "^[A-Z]{2}$"}
_EMAIL: Final[Schema] = {"type": "string", "pattern": "^[a-z]{1,20}@[a-z]{1,20}[.][a-z]{2,5}$"}
_CODE: Final[Schema] = {"type": ["string", "null"], "pattern": "^[0-9]{6}$"}


def _object(members: Mapping[str, Any], optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in members if name not in optional]
    return {"type": "object", "properties": dict(members), "required": required}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def optional(schema: Schema) -> Schema:
    """The same object with nothing required: what an update may state."""
    return {**schema, "required": []}


MONEY: Final = _object({"Currency": {"type": "string", "pattern": "^[A-Z]{3}$"}, "Amount": {"type": "integer"}})

_COMMON: Final[Mapping[str, Any]] = {
    "Id": _ID,
    "Tag": _MAYBE_TAG,
    "CreationDate": _SECONDS,
    "AuthorId": _MAYBE_TEXT,
    "CreditedUserId": _MAYBE_TEXT,
    "DebitedFunds": MONEY,
    "CreditedFunds": MONEY,
    "Fees": MONEY,
    "Status": {"enum": ["CREATED", "SUCCEEDED", "FAILED"]},
    "ResultCode": _CODE,
    "ResultMessage": _MAYBE_TEXT,
    "ExecutionDate": _MAYBE_SECONDS,
}
_WALLETS: Final[Mapping[str, Any]] = {"CreditedWalletId": _MAYBE_TEXT, "DebitedWalletId": _MAYBE_TEXT}

TOKEN_REQUEST: Final = _object({"grant_type": {"const": "client_credentials"}}, optional=("grant_type",))

TOKEN: Final = _object({"access_token": _TEXT, "token_type": {"const": "bearer"}, "expires_in": {"type": "integer"}})

REFUND_REQUEST: Final = _object(
    {
        "Tag": {"type": ["string", "null"], "maxLength": 255},
        "AuthorId": _ID,
        "DebitedFunds": MONEY,
        "Fees": MONEY,
        "StatementDescriptor": {"type": ["string", "null"], "pattern": "^[A-Za-z0-9 ]{0,10}$"},
    },
    optional=("Tag", "DebitedFunds", "Fees", "StatementDescriptor"),
)

REFUND: Final = _object(
    {
        "Id": _ID,
        "Tag": {"type": ["string", "null"], "maxLength": 255},
        "CreationDate": _SECONDS,
        "AuthorId": _ID,
        "CreditedUserId": _MAYBE_TEXT,
        "DebitedFunds": MONEY,
        "CreditedFunds": MONEY,
        "Fees": MONEY,
        "Status": {"enum": ["CREATED", "SUCCEEDED", "FAILED"]},
        "ResultCode": _CODE,
        "ResultMessage": _MAYBE_TEXT,
        "ExecutionDate": _MAYBE_SECONDS,
        "Type": {"enum": ["PAYIN", "TRANSFER", "CONVERSION", "PAYOUT"]},
        "Nature": {"const": "REFUND"},
        "InitialTransactionId": _ID,
        "InitialTransactionType": {"enum": ["PAYIN", "TRANSFER", "PAYOUT"]},
        "InitialTransactionNature": {"enum": ["REGULAR", "REPUDIATION", "REFUND", "SETTLEMENT"]},
        "DebitedWalletId": _MAYBE_TEXT,
        "CreditedWalletId": _MAYBE_TEXT,
        "RefundReason": _object({"RefundReasonMessage": _MAYBE_TEXT, "RefundReasonType": _TEXT}),
        "StatementDescriptor": _MAYBE_TEXT,
    }
)

PAYIN: Final = _object(
    {
        "Id": _ID,
        "Tag": _MAYBE_TEXT,
        "CreationDate": _SECONDS,
        "AuthorId": _MAYBE_TEXT,
        "CreditedUserId": _MAYBE_TEXT,
        "DebitedFunds": MONEY,
        "CreditedFunds": MONEY,
        "Fees": MONEY,
        "Status": {"enum": ["CREATED", "SUCCEEDED", "FAILED"]},
        "ResultCode": _CODE,
        "ResultMessage": _MAYBE_TEXT,
        "ExecutionDate": _MAYBE_SECONDS,
        "Type": {"const": "PAYIN"},
        "Nature": {"const": "REGULAR"},
        "CreditedWalletId": _MAYBE_TEXT,
        "DebitedWalletId": _MAYBE_TEXT,
        "PaymentType": _TEXT,
        "ExecutionType": {"enum": ["DIRECT", "WEB", "EXTERNAL_INSTRUCTION"]},
        "StatementDescriptor": _MAYBE_TEXT,
    }
)

TRANSFER: Final = _object({**_COMMON, "Type": {"const": "TRANSFER"}, "Nature": {"const": "REGULAR"}, **_WALLETS})

PAYOUT: Final = _object(
    {
        **_COMMON,
        "Type": {"const": "PAYOUT"},
        "Nature": {"const": "REGULAR"},
        **_WALLETS,
        "PaymentType": {"const": "BANK_WIRE"},
        "BankAccountId": _MAYBE_TEXT,
        "RecipientId": _MAYBE_TEXT,
        "BankWireRef": _MAYBE_TEXT,
        "ModeRequested": _MAYBE_TEXT,
        "ModeApplied": {"enum": ["PENDING_RESPONSE", "STANDARD", "NONE"]},
        "FallbackReason": {"type": "null"},
        "EndToEndId": _MAYBE_TEXT,
        "PaymentRef": _maybe(_object({"ReasonType": {"const": "PAYIN_REFUND"}, "ReferenceId": _ID})),
        "ChargeBearer": {"enum": ["OUR", "SHA", None]},
    }
)


ERROR: Final = _object(
    {
        "Message": _TEXT,
        "Type": _TEXT,
        "Id": _TEXT,
        "Date": _SECONDS,
        "errors": {"type": ["object", "null"], "additionalProperties": _TEXT},
    }
)

RESPONSE: Final = _object(
    {
        "StatusCode": {"type": "string", "pattern": "^[0-9]{3}$"},
        "ContentLength": {"type": "string", "pattern": "^[0-9]+$"},
        "ContentType": _TEXT,
        "Date": _TEXT,
        "RequestURL": _TEXT,
        # Whatever was answered: a refund, any other object, or an error.
        "Resource": {"type": ["object", "null"]},
    }
)

# --- users, wallets, cards -------------------------------------------------------------------------------------------

_LINES: Final = ("AddressLine1", "AddressLine2", "City", "Region", "PostalCode")
ADDRESS: Final = _object({**dict.fromkeys(_LINES, _MAYBE_TEXT), "Country": _MAYBE_COUNTRY})
_STATED_ADDRESS: Final[Schema] = optional(ADDRESS)
_PERSON: Final = _maybe(_object({"FirstName": _MAYBE_TEXT, "LastName": _MAYBE_TEXT, "Address": ADDRESS}))
_STATED_PERSON: Final = _object(
    {"FirstName": _TEXT, "LastName": _TEXT, "Address": _STATED_ADDRESS}, optional=("FirstName", "LastName", "Address")
)
_BROWSER: Final = _object(
    {
        "AcceptHeader": _TEXT,
        "JavaEnabled": {"type": "boolean"},
        "Language": _TEXT,
        "ColorDepth": {"type": "integer"},
        "ScreenHeight": {"type": "integer"},
        "ScreenWidth": {"type": "integer"},
        "TimeZoneOffset": {"type": ["string", "integer"]},
        "UserAgent": _TEXT,
        "JavascriptEnabled": {"type": "boolean"},
    }
)
CARD_INFO: Final = _object(
    {
        "BIN": _TEXT,
        "IssuingBank": _MAYBE_TEXT,
        "IssuerCountryCode": _TEXT,
        "Type": _TEXT,
        "Brand": _TEXT,
        "SubType": _MAYBE_TEXT,
    }
)
PENDING_ACTION: Final = _object({"PendingUserAction": _object({"RedirectUrl": _TEXT})})
_ACTION: Final = _maybe(_object({"RedirectUrl": _TEXT}))

_NAMED: Final[Mapping[str, Any]] = {
    "FirstName": _MAYBE_TEXT,
    "LastName": _MAYBE_TEXT,
    "Birthday": _MAYBE_WHOLE,
    "Nationality": _MAYBE_COUNTRY,
    "CountryOfResidence": _MAYBE_COUNTRY,
}
_REST_OF_NATURAL: Final[Mapping[str, Any]] = {
    "Occupation": _MAYBE_TEXT,
    "IncomeRange": _MAYBE_WHOLE,
    "ProofOfIdentity": _MAYBE_TEXT,
    "ProofOfAddress": _MAYBE_TEXT,
    "Capacity": {"enum": ["NORMAL", "DECLARATIVE"]},
}
_PHONE: Final[Mapping[str, Any]] = {"PhoneNumber": _MAYBE_TEXT, "PhoneNumberCountry": _MAYBE_COUNTRY}
_ACCOUNT: Final[Mapping[str, Any]] = {
    "Id": _ID,
    "Tag": _MAYBE_TAG,
    "CreationDate": _SECONDS,
    "PersonType": {"enum": ["NATURAL", "LEGAL"]},
    "Email": _TEXT,
    "KYCLevel": {"enum": ["LIGHT", "REGULAR"]},
    "TermsAndConditionsAccepted": {"type": "boolean"},
    "TermsAndConditionsAcceptedDate": _MAYBE_SECONDS,
    "UserCategory": {"enum": ["PAYER", "OWNER"]},
    "UserStatus": {"enum": ["ACTIVE", "PENDING_USER_ACTION", "CLOSED"]},
}
_COMPANY: Final[Mapping[str, Any]] = {
    "Name": _TEXT,
    "LegalPersonType": {"enum": ["BUSINESS", "ORGANIZATION", "PARTNERSHIP", "SOLETRADER"]},
}
_PAPERS: Final[Mapping[str, Any]] = {
    "ProofOfRegistration": _MAYBE_TEXT,
    "ShareholderDeclaration": _MAYBE_TEXT,
    "Statute": _MAYBE_TEXT,
    "CompanyNumber": _MAYBE_TEXT,
}
_PLACES: Final[Mapping[str, Any]] = {"HeadquartersAddress": ADDRESS, "LegalRepresentativeAddress": ADDRESS}
_REPRESENTATIVE: Final = _object({**_NAMED, "ProofOfIdentity": _MAYBE_TEXT, "Email": _MAYBE_TEXT, **_PHONE})

USERS: Final[Mapping[tuple[bool, bool], Schema]] = {
    (False, False): _object({"Address": ADDRESS, **_NAMED, **_REST_OF_NATURAL, **_ACCOUNT}),
    (False, True): _object(
        {**_NAMED, **_REST_OF_NATURAL, **_PHONE, "Address": ADDRESS, "PendingUserAction": _ACTION, **_ACCOUNT}
    ),
    (True, False): _object(
        {
            **_PLACES,
            **_COMPANY,
            **{f"LegalRepresentative{name}": each for name, each in _NAMED.items()},
            "LegalRepresentativeEmail": _MAYBE_TEXT,
            "LegalRepresentativeProofOfIdentity": _MAYBE_TEXT,
            **_PAPERS,
            **_ACCOUNT,
        }
    ),
    (True, True): _object(
        {
            **_COMPANY,
            "LegalRepresentative": _REPRESENTATIVE,
            **_PAPERS,
            "PendingUserAction": _ACTION,
            **_PLACES,
            **_ACCOUNT,
        }
    ),
}
"""Users as they are printed: (a legal person, on an SCA path)."""

ANY_USER: Final = {"anyOf": [USERS[(False, False)], USERS[(True, False)]]}
ANY_USER_SCA: Final = {"anyOf": [USERS[(False, True)], USERS[(True, True)]]}

_NATURAL_REQUEST: Final[Mapping[str, Any]] = {
    "FirstName": _ID,
    "LastName": _ID,
    "Email": _EMAIL,
    "Address": _STATED_ADDRESS,
    "Birthday": {"type": "integer"},
    "Nationality": _COUNTRY,
    "CountryOfResidence": _COUNTRY,
    "Occupation": _MAYBE_TEXT,
    "IncomeRange": _MAYBE_WHOLE,
    "TermsAndConditionsAccepted": {"type": "boolean"},
    "UserCategory": {"enum": ["PAYER", "OWNER"]},
    "Tag": _MAYBE_TAG,
}
_LEGAL_REQUEST: Final[Mapping[str, Any]] = {
    **_COMPANY,
    "Email": _EMAIL,
    "LegalRepresentativeFirstName": _ID,
    "LegalRepresentativeLastName": _ID,
    "LegalRepresentativeBirthday": {"type": "integer"},
    "LegalRepresentativeNationality": _COUNTRY,
    "LegalRepresentativeCountryOfResidence": _COUNTRY,
    "HeadquartersAddress": _STATED_ADDRESS,
    "CompanyNumber": _MAYBE_TEXT,
    "TermsAndConditionsAccepted": {"type": "boolean"},
    "UserCategory": {"enum": ["PAYER", "OWNER"]},
    "Tag": _MAYBE_TAG,
}
_OPTIONAL: Final = (
    *("Address", "Birthday", "Nationality", "CountryOfResidence", "Occupation", "IncomeRange", "Tag"),
    *("TermsAndConditionsAccepted", "UserCategory", "PhoneNumber", "PhoneNumberCountry", "HeadquartersAddress"),
    *("LegalRepresentativeBirthday", "LegalRepresentativeNationality", "LegalRepresentativeCountryOfResidence"),
    "CompanyNumber",
)
_SCA_PERSON: Final = _object(
    {"FirstName": _ID, "LastName": _ID, "Email": _EMAIL, "Birthday": {"type": "integer"}, "Nationality": _COUNTRY},
    optional=("Email", "Birthday", "Nationality"),
)
USER_REQUESTS: Final[Mapping[tuple[bool, bool], Schema]] = {
    (False, False): _object(_NATURAL_REQUEST, optional=_OPTIONAL),
    (False, True): _object({**_NATURAL_REQUEST, **_PHONE}, optional=_OPTIONAL),
    (True, False): _object(_LEGAL_REQUEST, optional=_OPTIONAL),
    (True, True): _object(
        {
            **{name: each for name, each in _LEGAL_REQUEST.items() if not name.startswith("LegalRepresentative")},
            "LegalRepresentative": _SCA_PERSON,
        },
        optional=_OPTIONAL,
    ),
}

SCA_STATUS: Final = _object(
    {
        "UserStatus": _TEXT,
        "IsEnrolled": {"type": "boolean"},
        "LastEnrollmentDate": _MAYBE_SECONDS,
        "LastConsentCollectionDate": _MAYBE_SECONDS,
        "ConsentScope": _MAYBE_TEXT,
    }
)

_CURRENCY: Final[Schema] = {"enum": list(CURRENCIES)}
TAG_CHANGE: Final = _object({"Tag": _MAYBE_TAG}, optional=("Tag",))
ACTIVE_CHANGE: Final = _object({"Active": {"type": "boolean"}}, optional=("Active",))

WALLET_REQUEST: Final = _object(
    {
        "Owners": {"type": "array", "items": _ID, "minItems": 1, "maxItems": 1},
        "Description": {"type": "string", "minLength": 1, "maxLength": 255},
        "Currency": _CURRENCY,
        "Tag": _MAYBE_TAG,
    },
    optional=("Tag",),
)
WALLET_CHANGE: Final = _object({"Description": _MAYBE_TAG, "Tag": _MAYBE_TAG}, optional=("Description", "Tag"))
WALLET: Final = _object(
    {
        "Description": _MAYBE_TEXT,
        "Owners": {"type": "array", "items": _ID},
        "Id": _ID,
        "Balance": MONEY,
        "Currency": _CURRENCY,
        "FundsType": {"enum": ["DEFAULT", "FEES", "CREDIT"]},
        "Tag": _MAYBE_TAG,
        "CreationDate": _SECONDS,
    }
)

CARD_REGISTRATION_REQUEST: Final = _object(
    {"UserId": _ID, "Currency": _CURRENCY, "CardType": {"enum": ["CB_VISA_MASTERCARD", "AMEX"]}, "Tag": _MAYBE_TAG},
    optional=("CardType", "Tag"),
)
CARD_REGISTRATION_CHANGE: Final = _object(
    {
        "RegistrationData": {"type": "string", "minLength": 1, "maxLength": 1000},
        "CardHolderName": {"type": ["string", "null"], "maxLength": 45},
    },
    optional=("CardHolderName",),
)
CARD_REGISTRATION: Final = _object(
    {
        "Id": _ID,
        "Tag": _MAYBE_TAG,
        "CreationDate": _SECONDS,
        "UserId": _ID,
        "AccessKey": _TEXT,
        "PreregistrationData": _TEXT,
        "RegistrationData": _MAYBE_TEXT,
        "CardId": _MAYBE_TEXT,
        "CardType": _TEXT,
        "CardRegistrationURL": _TEXT,
        "ResultCode": _CODE,
        "ResultMessage": _MAYBE_TEXT,
        "Currency": _CURRENCY,
        "Status": {"enum": ["CREATED", "VALIDATED", "ERROR"]},
    }
)
TOKENIZER_REQUEST: Final = _object(
    dict.fromkeys(("data", "accessKeyRef", "cardNumber", "cardExpirationDate", "cardCvx"), _TEXT),
    optional=("cardCvx",),
)
CARD: Final = _object(
    {
        "ExpirationDate": {"type": "string", "pattern": "^[0-9]{4}$"},
        "Alias": {"type": "string", "pattern": "^[0-9]{6}XXXXXX[0-9]{4}$"},
        "CardType": _TEXT,
        "CardProvider": _TEXT,
        "Country": _TEXT,
        "Product": _TEXT,
        "BankCode": _TEXT,
        "Active": {"type": "boolean"},
        "Currency": _CURRENCY,
        "Validity": {"enum": ["UNKNOWN", "VALID", "INVALID"]},
        "UserId": _ID,
        "Id": _ID,
        "Tag": _MAYBE_TAG,
        "CreationDate": _SECONDS,
        "Fingerprint": _TEXT,
        "CardHolderName": _MAYBE_TEXT,
    }
)
CARD_CHANGE: Final = _object(
    {"Active": {"type": "boolean"}, "CardHolderName": {"type": ["string", "null"], "maxLength": 45}},
    optional=("Active", "CardHolderName"),
)
CARD_VALIDATION_REQUEST: Final = _object(
    {
        "AuthorId": _ID,
        "SecureModeReturnURL": _URL,
        "IpAddress": _MAYBE_TEXT,
        "BrowserInfo": _BROWSER,
        "Tag": _MAYBE_TAG,
    },
    optional=("IpAddress", "BrowserInfo", "Tag"),
)
CARD_VALIDATION: Final = _object(
    {
        "Id": _ID,
        "AuthorId": _ID,
        "Status": {"enum": ["CREATED", "SUCCEEDED", "FAILED"]},
        "SecureModeReturnURL": _MAYBE_URL,
        "SecureModeRedirectURL": _MAYBE_URL,
        "SecureModeNeeded": {"type": "boolean"},
        "IpAddress": _MAYBE_TEXT,
        "BrowserInfo": _maybe(_BROWSER),
        "PreferredCardNetwork": _MAYBE_TEXT,
        "SecureMode": _TEXT,
        "PaymentCategory": _MAYBE_TEXT,
        "ValidationUsage": _MAYBE_TEXT,
        "Validity": {"enum": ["UNKNOWN", "VALID", "INVALID"]},
        "CreationDate": _SECONDS,
        "AuthorizationDate": _MAYBE_SECONDS,
        "Type": {"const": "CARD_VALIDATION"},
        "Applied3DSVersion": _MAYBE_TEXT,
        "ResultCode": _CODE,
        "ResultMessage": _MAYBE_TEXT,
        "Tag": _MAYBE_TAG,
        "CardInfo": CARD_INFO,
    }
)
METADATA_REQUEST: Final = _object(
    {
        "Type": {"enum": ["BIN", "GOOGLE_PAY"]},
        "Bin": {"type": "string", "pattern": "^([0-9]{6}|[0-9]{8})$"},
        "Token": {"type": "string", "minLength": 1},
    },
    optional=("Bin", "Token"),
)
METADATA: Final = _object(
    {
        "Type": {"enum": ["BIN", "GOOGLE_PAY"]},
        "Bin": _TEXT,
        "TokenFormat": _MAYBE_TEXT,
        "IssuerCountryCode": _TEXT,
        "IssuingBank": _MAYBE_TEXT,
        "BinData": {
            "type": "array",
            "items": _object(
                {
                    "CardType": _MAYBE_TEXT,
                    "CommercialIndicator": _MAYBE_TEXT,
                    "SubType": _MAYBE_TEXT,
                    "Brand": _TEXT,
                }
            ),
        },
    },
    optional=("TokenFormat",),
)
CARD_DETAILS: Final = _object(
    {
        "Id": _ID,
        "PaymentType": _TEXT,
        "ExecutionType": _TEXT,
        "Alias": _MAYBE_TEXT,
        "CardType": _MAYBE_TEXT,
        "ExpirationDate": _MAYBE_TEXT,
        "Country": _MAYBE_TEXT,
        "Fingerprint": _MAYBE_TEXT,
    }
)

# --- money in and out ------------------------------------------------------------------------------------------------

_POSITIVE: Final = _object({"Currency": _CURRENCY, "Amount": {"type": "integer", "minimum": 1, "maximum": 10**12}})
_KEPT: Final = _object({"Currency": _CURRENCY, "Amount": {"type": "integer", "minimum": 0, "maximum": 10**12}})
_DESCRIPTOR: Final[Schema] = {"type": ["string", "null"], "pattern": "^[A-Za-z0-9 ]{0,10}$"}

_STATED: Final[Mapping[str, Any]] = {
    "AuthorId": _ID,
    "CreditedWalletId": _ID,
    "CreditedUserId": _ID,
    "DebitedFunds": _POSITIVE,
    "Fees": _KEPT,
    "Tag": _MAYBE_TAG,
    "StatementDescriptor": _DESCRIPTOR,
}
_AROUND: Final[Mapping[str, Any]] = {
    "Culture": {"type": "string", "maxLength": 5},
    "BrowserInfo": _BROWSER,
    "IpAddress": _MAYBE_TEXT,
    "Billing": _STATED_PERSON,
    "Shipping": _STATED_PERSON,
}
_CARD_STATED: Final[Mapping[str, Any]] = {
    "CardId": _ID,
    "SecureMode": {"enum": ["DEFAULT", "FORCE", "NO_CHOICE"]},
    "SecureModeReturnURL": _URL,
    **_AROUND,
}
_FREE: Final = (
    *("CreditedUserId", "Tag", "StatementDescriptor", "Culture", "BrowserInfo", "IpAddress", "Billing", "Shipping"),
    *("SecureMode", "SecureModeReturnURL", "MultiCapture", "BankWireRef", "PayoutModeRequested", "PaymentRef"),
    "ChargeBearer",
    *("LineItems", "ShippingPreference", "Reference", "CancelURL", "Country", "Email", "Phone", "AdditionalData"),
)


def _request(members: Mapping[str, Any]) -> Schema:
    return _object(members, optional=_FREE)


PAYIN_REQUEST: Final = _request({**_STATED, **_AROUND})
PAYIN_CARD_REQUEST: Final = _request({**_STATED, **_CARD_STATED})
PAYIN_WEB_REQUEST: Final = _request({**_STATED, "ReturnURL": _URL, "Culture": {"type": "string", "maxLength": 5}})
_LINE_ITEM: Final = _object(
    {
        "Name": _ID,
        "Quantity": {"type": "integer", "minimum": 1, "maximum": 10**6},
        "UnitAmount": {"type": "integer", "minimum": 0, "maximum": 10**12},
        "TaxAmount": {"type": "integer", "minimum": 0, "maximum": 10**12},
        "Description": _MAYBE_TAG,
    },
    optional=("TaxAmount", "Description"),
)
_LINE_ITEMS: Final[Schema] = {"type": "array", "items": _LINE_ITEM}
PAYIN_BIZUM_REQUEST: Final = _object(
    {**_STATED, "Phone": {"type": "string", "minLength": 1, "maxLength": 255}, "ReturnURL": _URL},
    optional=("CreditedUserId", "Tag", "StatementDescriptor", "Phone", "ReturnURL"),
)
PAYIN_PAYPAL_REQUEST: Final = _request(
    {
        **PAYIN_WEB_REQUEST["properties"],
        "LineItems": _LINE_ITEMS,
        "Shipping": _STATED_PERSON,
        "ShippingPreference": {"enum": ["SET_PROVIDED_ADDRESS", "GET_FROM_FILE", "NO_SHIPPING"]},
        "Reference": _MAYBE_TAG,
        "CancelURL": _URL,
    }
)
PAYIN_KLARNA_REQUEST: Final = _request(
    {
        **PAYIN_WEB_REQUEST["properties"],
        "LineItems": _LINE_ITEMS,
        "Billing": _STATED_PERSON,
        "Shipping": _STATED_PERSON,
        "Country": _COUNTRY,
        "Email": _EMAIL,
        "Phone": _MAYBE_TAG,
        "AdditionalData": _MAYBE_TEXT,
        "Reference": _MAYBE_TAG,
    }
)
PAYIN_WIRE_REQUEST: Final = _request(
    {
        **{name: each for name, each in _STATED.items() if name not in ("DebitedFunds", "Fees")},
        "DeclaredDebitedFunds": _POSITIVE,
        "DeclaredFees": _KEPT,
    }
)
PAYIN_DEBIT_REQUEST: Final = _request({**_STATED, "MandateId": _ID})
PAYIN_PREAUTHORIZED_REQUEST: Final = _request({**_STATED, "PreauthorizationId": _ID})


def payin_deposit_request(member: str) -> Schema:
    """The body that takes the money of a hold of thirty days, which `member` names."""
    return _request({**_STATED, member: _ID})


PAYIN_RECURRING_REQUEST: Final = _object(
    {"RecurringPayinRegistrationId": _ID, "DebitedFunds": _POSITIVE, "Fees": _KEPT, "Tag": _MAYBE_TAG, **_AROUND},
    optional=("DebitedFunds", "Fees", "Tag", *_AROUND),
)
PAYIN_PAYPAL_RECURRING_REQUEST: Final = _object(
    {
        "RecurringPayinRegistrationId": _ID,
        "DebitedFunds": _POSITIVE,
        "Fees": _KEPT,
        "Tag": _MAYBE_TAG,
        **{
            name: PAYIN_PAYPAL_REQUEST["properties"][name]
            for name in (
                "ReturnURL",
                "CancelURL",
                "LineItems",
                "Shipping",
                "ShippingPreference",
                "Reference",
                "Culture",
            )
        },
    },
    optional=("DebitedFunds", "Fees", *_FREE),
)
PAYIN_OUTCOME: Final = _object({"Status": {"enum": ["SUCCEEDED", "FAILED"]}})
PAGE_OUTCOME: Final = _object({"outcome": {"enum": ["confirm", "decline"]}})

TRANSFER_REQUEST: Final = _request(
    {
        "AuthorId": _ID,
        "CreditedUserId": _ID,
        "DebitedFunds": _POSITIVE,
        "Fees": _KEPT,
        "DebitedWalletId": _ID,
        "CreditedWalletId": _ID,
        "Tag": _MAYBE_TAG,
    }
)
PAYOUT_REQUEST: Final = _request(
    {
        "AuthorId": _ID,
        "DebitedFunds": _POSITIVE,
        "Fees": _KEPT,
        "DebitedWalletId": _ID,
        "BankAccountId": _ID,
        "BankWireRef": {"type": ["string", "null"], "maxLength": 12},
        "PayoutModeRequested": {"enum": ["STANDARD", "INSTANT_PAYMENT", "INSTANT_PAYMENT_ONLY", "RTGS_PAYMENT"]},
        "ChargeBearer": {"enum": ["OUR", "SHA"]},
        "PaymentRef": _object({"ReasonType": {"const": "PAYIN_REFUND"}, "ReferenceId": _ID}),
        "Tag": _MAYBE_TAG,
    }
)

PAYOUT_REACH_REQUEST: Final = _object(
    {name: each for name, each in PAYOUT_REQUEST["properties"].items() if name not in ("PaymentRef", "Tag")},
    optional=(*_FREE, "Fees"),
)
PAYOUT_REACH: Final = _object(
    {
        "InstantPayout": _object(
            {
                "IsReachable": {"type": "boolean"},
                "UnreachableReason": _maybe(_object({"Code": _TEXT, "Message": _TEXT})),
            }
        )
    }
)

PREAUTHORIZATION_REQUEST: Final = _request(
    {
        "AuthorId": _ID,
        "DebitedFunds": _POSITIVE,
        "Tag": _MAYBE_TAG,
        "StatementDescriptor": _DESCRIPTOR,
        **_CARD_STATED,
    }
)
PREAUTHORIZATION_CHANGE: Final = _object(
    {"PaymentStatus": {"enum": ["CANCELED", "VALIDATED"]}, "Tag": _MAYBE_TAG}, optional=("PaymentStatus", "Tag")
)
PREAUTHORIZATION: Final = _object(
    {
        "Id": _ID,
        "Tag": _MAYBE_TAG,
        "CreationDate": _SECONDS,
        "AuthorId": _ID,
        "DebitedFunds": MONEY,
        "RemainingFunds": MONEY,
        "AuthorizationDate": _MAYBE_SECONDS,
        "Status": {"enum": ["CREATED", "SUCCEEDED", "FAILED"]},
        "PaymentStatus": {"enum": ["WAITING", "CANCELED", "EXPIRED", "VALIDATED", "FAILED"]},
        "ExpirationDate": _MAYBE_SECONDS,
        "PayInId": _MAYBE_TEXT,
        "ResultCode": _CODE,
        "ResultMessage": _MAYBE_TEXT,
        "SecureMode": _TEXT,
        "CardId": _ID,
        "SecureModeReturnURL": _MAYBE_URL,
        "SecureModeRedirectURL": _MAYBE_URL,
        "SecureModeNeeded": {"type": "boolean"},
        "PaymentType": {"const": "CARD"},
        "ExecutionType": {"const": "DIRECT"},
        "StatementDescriptor": _MAYBE_TEXT,
        "Culture": _MAYBE_TEXT,
        "SecurityInfo": _object({"AVSResult": _TEXT}),
        "MultiCapture": {"type": "boolean"},
        "BrowserInfo": _maybe(_BROWSER),
        "IpAddress": _MAYBE_TEXT,
        "Billing": _PERSON,
        "Shipping": _PERSON,
        "Requested3DSVersion": _MAYBE_TEXT,
        "Applied3DSVersion": _MAYBE_TEXT,
        "PreferredCardNetwork": _MAYBE_TEXT,
        "PaymentCategory": _MAYBE_TEXT,
        "CardInfo": CARD_INFO,
    }
)

DEPOSIT_REQUEST: Final = _object(
    {
        "AuthorId": _ID,
        "DebitedFunds": _POSITIVE,
        "CardId": _ID,
        "SecureModeReturnURL": _URL,
        "Tag": _MAYBE_TAG,
        "StatementDescriptor": _DESCRIPTOR,
        **_AROUND,
    },
    optional=("Tag", "StatementDescriptor", *_AROUND),
)
DEPOSIT_CHANGE: Final = _object({"PaymentStatus": {"const": "CANCELED"}})
DEPOSIT: Final = _object(
    {
        "Id": _ID,
        "CreationDate": _SECONDS,
        "ExpirationDate": _SECONDS,
        "AuthorizationDate": _MAYBE_SECONDS,
        "AuthorId": _ID,
        "DebitedFunds": MONEY,
        "Status": {"enum": ["CREATED", "SUCCEEDED", "FAILED"]},
        "PaymentStatus": {"enum": ["WAITING", "CANCELED", "EXPIRED", "VALIDATED", "FAILED"]},
        "PayinsLinked": _object({"PayinCaptureId": _MAYBE_TEXT, "PayinComplementId": {"type": "null"}}),
        **{
            name: PREAUTHORIZATION["properties"][name]
            for name in (
                *("ResultCode", "ResultMessage", "CardId", "PreferredCardNetwork", "SecureModeReturnURL"),
                *("SecureModeRedirectURL", "SecureModeNeeded", "PaymentType", "ExecutionType", "StatementDescriptor"),
                *("Culture", "BrowserInfo", "IpAddress", "Billing", "Shipping", "Requested3DSVersion"),
                *("Applied3DSVersion", "Tag", "CardInfo"),
            )
        },
    }
)

_MAYBE_MONEY: Final = _maybe(MONEY)
RECURRING_REQUEST: Final = _object(
    {
        "AuthorId": _ID,
        "CardId": _ID,
        "CreditedUserId": _ID,
        "CreditedWalletId": _ID,
        "FirstTransactionDebitedFunds": _POSITIVE,
        "FirstTransactionFees": _KEPT,
        "NextTransactionDebitedFunds": _POSITIVE,
        "NextTransactionFees": _KEPT,
        "EndDate": _MAYBE_WHOLE,
        "Frequency": _MAYBE_TEXT,
        "FixedNextAmount": _MAYBE_FLAG,
        "FractionedPayment": _MAYBE_FLAG,
        "Migration": _MAYBE_FLAG,
        "PaymentType": {"enum": ["CARD_DIRECT", "PAYPAL"]},
    },
    optional=(
        *(
            "CreditedUserId",
            "CardId",
            "PaymentType",
            "NextTransactionDebitedFunds",
            "NextTransactionFees",
            "EndDate",
            "Frequency",
        ),
        *("FixedNextAmount", "FractionedPayment", "Migration"),
    ),
)
RECURRING_CHANGE: Final = _object(
    {"CardId": _ID, "Status": {"const": "ENDED"}, "Billing": _STATED_PERSON, "Shipping": _STATED_PERSON},
    optional=("CardId", "Status", "Billing", "Shipping"),
)
RECURRING: Final = _object(
    {
        "Id": _ID,
        "Status": {"enum": ["CREATED", "AUTHENTICATION_NEEDED", "IN_PROGRESS", "ENDED"]},
        "ResultCode": _CODE,
        "ResultMessage": _MAYBE_TEXT,
        "CurrentState": _object(
            {
                "PayinsLinked": {"type": "integer"},
                "CumulatedDebitedAmount": MONEY,
                "CumulatedFeesAmount": MONEY,
                "LastPayinId": _MAYBE_TEXT,
            }
        ),
        "RecurringType": {"const": "CUSTOM"},
        "TotalAmount": {"type": "null"},
        "CycleNumber": {"type": "null"},
        "AuthorId": _ID,
        "CardId": _MAYBE_TEXT,
        "CreditedUserId": _MAYBE_TEXT,
        "CreditedWalletId": _ID,
        "Billing": _PERSON,
        "Shipping": _PERSON,
        "EndDate": _MAYBE_SECONDS,
        "Frequency": _MAYBE_TEXT,
        "FixedNextAmount": _MAYBE_FLAG,
        "FractionedPayment": _MAYBE_FLAG,
        "FreeCycles": {"type": "integer"},
        "FirstTransactionDebitedFunds": _MAYBE_MONEY,
        "FirstTransactionFees": _MAYBE_MONEY,
        "NextTransactionDebitedFunds": _MAYBE_MONEY,
        "NextTransactionFees": _MAYBE_MONEY,
        "Migration": _MAYBE_FLAG,
        "PaymentType": {"enum": ["CARD_DIRECT", "PAYPAL"]},
    }
)

# --- bank accounts, mandates -----------------------------------------------------------------------------------------

_ACCOUNT_ENDS: Final[Mapping[str, Any]] = {
    "UserId": _ID,
    "OwnerName": _TEXT,
    "Type": {"enum": ["IBAN", "GB", "US", "CA", "OTHER"]},
    "Id": _ID,
    "Tag": _MAYBE_TAG,
    "CreationDate": _SECONDS,
    "Active": {"type": "boolean"},
}
_NUMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "IBAN": {"IBAN": _TEXT, "BIC": _MAYBE_TEXT},
    "GB": {"AccountNumber": _TEXT, "SortCode": _TEXT},
    "US": {"AccountNumber": _TEXT, "ABA": _TEXT, "DepositAccountType": {"enum": ["CHECKING", "SAVINGS"]}},
    "CA": dict.fromkeys(("BankName", "InstitutionNumber", "BranchCode", "AccountNumber"), _TEXT),
    "OTHER": {"AccountNumber": _TEXT, "BIC": _TEXT, "Country": _COUNTRY},
}
BANK_ACCOUNTS: Final[Mapping[str, Schema]] = {
    kind: _object({"OwnerAddress": ADDRESS, **numbers, **_ACCOUNT_ENDS}) for kind, numbers in _NUMBERS.items()
}
BANK_ACCOUNT: Final = {"anyOf": list(BANK_ACCOUNTS.values())}
BANK_ACCOUNT_REQUESTS: Final[Mapping[str, Schema]] = {
    kind: _object(
        {"OwnerName": _ID, "OwnerAddress": _STATED_ADDRESS, "Tag": _MAYBE_TAG, **numbers},
        optional=("Tag", "OwnerAddress", "DepositAccountType", *(("BIC",) if kind == "IBAN" else ())),
    )
    for kind, numbers in _NUMBERS.items()
}

_RECIPIENT_PARTS: Final = ("IndividualRecipient", "BusinessRecipient", "LocalBankTransfer", "InternationalBankTransfer")
_ANYTHING: Final[Schema] = {"type": "object"}
RECIPIENT_REQUEST: Final = _object(
    {
        "DisplayName": {"type": "string", "minLength": 1, "maxLength": 50},
        "PayoutMethodType": {"enum": ["LocalBankTransfer", "InternationalBankTransfer"]},
        "RecipientType": {"enum": ["Individual", "Business"]},
        "Currency": _CURRENCY,
        "Country": _MAYBE_COUNTRY,
        "RecipientScope": {"enum": ["PAYOUT", "PAYIN"]},
        "ScaContext": {"enum": ["USER_PRESENT", "USER_NOT_PRESENT"]},
        "Tag": _MAYBE_TAG,
        **dict.fromkeys(_RECIPIENT_PARTS, _ANYTHING),
    },
    optional=("Country", "RecipientScope", "ScaContext", "Tag", *_RECIPIENT_PARTS),
)
RECIPIENT: Final = _object(
    {
        "Id": _ID,
        "Status": {"enum": ["PENDING", "CANCELED", "ACTIVE", "DEACTIVATED"]},
        "CreationDate": _SECONDS,
        "DisplayName": _MAYBE_TEXT,
        "PayoutMethodType": {"enum": ["LocalBankTransfer", "InternationalBankTransfer"]},
        "RecipientType": {"enum": ["Individual", "Business"]},
        "Currency": _MAYBE_TEXT,
        "Country": _MAYBE_TEXT,
        "UserId": _ID,
        "RecipientScope": {"enum": ["PAYOUT", "PAYIN"]},
        "Tag": _MAYBE_TAG,
        **dict.fromkeys(_RECIPIENT_PARTS, _ANYTHING),
        "PendingUserAction": _ACTION,
    },
    optional=_RECIPIENT_PARTS,
)
RECIPIENT_SCHEMA: Final = _object(dict.fromkeys(("DisplayName", "Currency", "RecipientType"), _ANYTHING))
PAYOUT_METHODS: Final = _object({"AvailablePayoutMethods": {"type": "array", "items": _TEXT}})

BANKING_ALIAS_REQUEST: Final = _object({"OwnerName": _ID, "Country": _COUNTRY, "Tag": _MAYBE_TAG}, optional=("Tag",))
BANKING_ALIAS_WIRE: Final = _object(
    {
        "DebitedFunds": _POSITIVE,
        "WireReference": _MAYBE_TAG,
        "DebitedBankAccount": optional(
            _object(dict.fromkeys(("IBAN", "BIC", "AccountNumber", "Country", "OwnerName"), _MAYBE_TEXT))
        ),
    },
    optional=("WireReference", "DebitedBankAccount"),
)
BANKING_ALIAS: Final = _object(
    {
        "OwnerName": _TEXT,
        "IBAN": _TEXT,
        "BIC": _MAYBE_TEXT,
        "LocalAccountDetails": _object({"SortCode": _TEXT, "AccountNumber": _TEXT}),
        "CreditedUserId": _ID,
        "Country": _COUNTRY,
        "Tag": _MAYBE_TAG,
        "CreationDate": _SECONDS,
        "Active": {"type": "boolean"},
        "Type": {"enum": ["IBAN", "GB"]},
        "Id": _ID,
        "WalletId": _ID,
        "VirtualAccountPurpose": {"const": "COLLECTION"},
    },
    optional=("LocalAccountDetails",),
)

MANDATE_REQUEST: Final = _object(
    {
        "BankAccountId": _ID,
        "Culture": {"type": "string", "minLength": 2, "maxLength": 5},
        "ReturnURL": _URL,
        "Tag": _MAYBE_TAG,
    },
    optional=("Tag",),
)
MANDATE: Final = _object(
    {
        "Scheme": _MAYBE_TEXT,
        "BankAccountId": _ID,
        "BankReference": _MAYBE_TEXT,
        "Culture": _TEXT,
        "DocumentURL": _MAYBE_URL,
        "ReturnURL": _MAYBE_URL,
        "RedirectURL": _MAYBE_URL,
        "Id": _ID,
        "CreationDate": _SECONDS,
        "Status": {"enum": ["CREATED", "SUBMITTED", "ACTIVE", "FAILED"]},
        "UserId": _ID,
        "ExecutionType": {"const": "WEB"},
        "MandateType": {"const": "DIRECT_DEBIT"},
        "Tag": _MAYBE_TAG,
        "ResultCode": _CODE,
        "ResultMessage": _MAYBE_TEXT,
    }
)

# --- disputes, hooks, the rest ---------------------------------------------------------------------------------------

DISPUTE_REQUEST: Final = _object(
    {
        "InitialTransactionId": _ID,
        "DisputeType": {"enum": ["CONTESTABLE", "NOT_CONTESTABLE", "RETRIEVAL"]},
        "DisputeReasonType": {"enum": ["DUPLICATE", "FRAUD", "PRODUCT_UNACCEPTABLE", "UNKNOWN", "OTHER"]},
        "DisputedFunds": _POSITIVE,
        "Tag": _MAYBE_TAG,
    },
    optional=("DisputeType", "DisputeReasonType", "DisputedFunds", "Tag"),
)
DISPUTE_OUTCOME: Final = _object({"ResultCode": {"enum": ["WON", "LOST"]}})
DISPUTE_SUBMISSION: Final = _object({"ContestedFunds": _POSITIVE}, optional=("ContestedFunds",))
DISPUTE: Final = _object(
    {
        "InitialTransactionId": _ID,
        "InitialTransactionType": {"const": "PAYIN"},
        "InitialTransactionNature": {"const": "REGULAR"},
        "DisputeType": {"enum": ["CONTESTABLE", "NOT_CONTESTABLE", "RETRIEVAL"]},
        "ContestDeadlineDate": _MAYBE_SECONDS,
        "DisputedFunds": MONEY,
        "ContestedFunds": _MAYBE_MONEY,
        "Status": {"enum": ["CREATED", "PENDING_CLIENT_ACTION", "SUBMITTED", "PENDING_BANK_ACTION", "CLOSED"]},
        "StatusMessage": _MAYBE_TEXT,
        "DisputeReason": _object({"DisputeReasonType": _TEXT, "DisputeReasonMessage": _MAYBE_TEXT}),
        "ResultCode": {"enum": ["", "WON", "LOST"]},
        "ResultMessage": _MAYBE_TEXT,
        "Id": _ID,
        "Tag": _MAYBE_TAG,
        "CreationDate": _SECONDS,
        "ClosedDate": _MAYBE_SECONDS,
        "RepudiationId": _ID,
    }
)
DISPUTE_DOCUMENT_REQUEST: Final = _object(
    {
        "Type": {
            "enum": [
                *("DELIVERY_PROOF", "INVOICE", "REFUND_PROOF", "USER_CORRESPONDANCE", "USER_ACCEPTANCE_PROOF"),
                *("PRODUCT_REPLACEMENT_PROOF", "OTHER"),
            ]
        },
        "Tag": _MAYBE_TAG,
    },
    optional=("Tag",),
)
DISPUTE_DOCUMENT: Final = _object(
    {
        "DisputeId": _ID,
        "Type": _TEXT,
        "Id": _ID,
        "Tag": _MAYBE_TAG,
        "CreationDate": _SECONDS,
        "ProcessedDate": _MAYBE_SECONDS,
        "Status": {"enum": ["CREATED", "VALIDATION_ASKED", "VALIDATED", "REFUSED"]},
        "RefusedReasonType": _MAYBE_TEXT,
        "RefusedReasonMessage": _MAYBE_TEXT,
    }
)
CONSULTED: Final = _object({"Url": _TEXT, "ExpirationDate": _SECONDS})
REPUDIATION: Final = _object(
    {
        **_COMMON,
        "Type": {"const": "PAYOUT"},
        "Nature": {"const": "REPUDIATION"},
        **_WALLETS,
        "InitialTransactionId": _ID,
        "InitialTransactionType": {"const": "PAYIN"},
        "InitialTransactionNature": {"const": "REGULAR"},
    }
)

TRANSACTION: Final = {"anyOf": [PAYIN, TRANSFER, PAYOUT, REFUND, REPUDIATION]}

_EVENT_TYPE: Final[Schema] = {"type": "string", "pattern": "^[A-Z0-9]+(_[A-Z0-9]+)+$", "maxLength": 255}
HOOK_REQUEST: Final = _object(
    {"EventType": _EVENT_TYPE, "Url": _URL, "Tag": _MAYBE_TAG, "Email": _EMAIL}, optional=("Tag", "Email")
)
HOOK_CHANGE: Final = _object(
    {
        "Url": _URL,
        "Status": {"enum": ["ENABLED", "DISABLED"]},
        "Validity": {"enum": ["VALID", "INVALID"]},
        "Tag": _MAYBE_TAG,
        "Email": _EMAIL,
    },
    optional=("Url", "Status", "Validity", "Tag", "Email"),
)
HOOK: Final = _object(
    {
        "Url": _TEXT,
        "Status": {"enum": ["ENABLED", "DISABLED"]},
        "Validity": {"enum": ["VALID", "INVALID"]},
        "EventType": _TEXT,
        "Id": _ID,
        "Tag": _MAYBE_TAG,
        "CreationDate": _SECONDS,
        "Email": _MAYBE_TEXT,
    }
)
EVENT: Final = _object({"ResourceId": _ID, "EventType": _TEXT, "Date": _SECONDS})

KYC_REQUEST: Final = _object(
    {"Type": {"enum": ["IDENTITY_PROOF", "REGISTRATION_PROOF", "ADDRESS_PROOF"]}, "Tag": _MAYBE_TAG}, optional=("Tag",)
)
KYC_PAGE: Final = _object({"File": {"type": "string", "minLength": 1}})
KYC_CHANGE: Final = _object({"Status": {"enum": ["CREATED", "VALIDATION_ASKED"]}, "Tag": _MAYBE_TAG}, optional=("Tag",))
KYC_DOCUMENT: Final = _object(
    {
        "Type": _TEXT,
        "UserId": _ID,
        "Flags": {"type": "array", "items": _TEXT},
        "Id": _ID,
        "Tag": _MAYBE_TAG,
        "CreationDate": _SECONDS,
        "ProcessedDate": _MAYBE_SECONDS,
        "Status": {"enum": ["CREATED", "VALIDATION_ASKED", "VALIDATED", "REFUSED"]},
        "RefusedReasonType": _MAYBE_TEXT,
        "RefusedReasonMessage": _MAYBE_TEXT,
    }
)

_BIRTHPLACE: Final = _object({"City": _ID, "Country": _COUNTRY})
UBO_REQUEST: Final = _object(
    {
        "LastName": _ID,
        "FirstName": _ID,
        "Birthday": {"type": "integer"},
        "Nationality": _COUNTRY,
        "Address": _STATED_ADDRESS,
        "Birthplace": _BIRTHPLACE,
        "IsActive": {"type": "boolean"},
    },
    optional=("IsActive",),
)
UBO: Final = _object(
    {
        "Id": _ID,
        "CreationDate": _SECONDS,
        "LastName": _TEXT,
        "FirstName": _TEXT,
        "Birthday": {"type": "integer"},
        "Nationality": _COUNTRY,
        "Address": ADDRESS,
        "Birthplace": _BIRTHPLACE,
        "IsActive": {"type": "boolean"},
    }
)
_UBO_STATUS: Final[Schema] = {"enum": ["CREATED", "VALIDATION_ASKED", "INCOMPLETE", "VALIDATED", "REFUSED"]}
UBO_DECLARATION_CHANGE: Final = _object({"Status": _UBO_STATUS}, optional=("Status",))
UBO_DECLARATION: Final = _object(
    {
        "Id": _ID,
        "UserId": _ID,
        "CreationDate": _SECONDS,
        "ProcessedDate": _MAYBE_SECONDS,
        "Status": _UBO_STATUS,
        "Reason": _MAYBE_TEXT,
        "Message": _MAYBE_TEXT,
        "Ubos": {"type": "array", "items": UBO},
    }
)

CLIENT_CHANGE: Final = _object(
    {
        "PlatformDescription": _MAYBE_TAG,
        "PlatformURL": _URL,
        "PhoneNumber": {"type": ["string", "null"], "maxLength": 32},
        "HeadquartersAddress": _STATED_ADDRESS,
    },
    optional=("PlatformDescription", "PlatformURL", "PhoneNumber", "HeadquartersAddress"),
)
CLIENT: Final = _object(
    {
        "ClientId": _ID,
        "Name": _TEXT,
        "ClientRegisteredName": _MAYBE_TEXT,
        "PlatformType": _TEXT,
        "PlatformDescription": _MAYBE_TEXT,
        "PlatformURL": _MAYBE_URL,
        "PrimaryButtonColour": _MAYBE_TEXT,
        "PrimaryThemeColour": _MAYBE_TEXT,
        "PhoneNumber": _MAYBE_TEXT,
        "HeadquartersAddress": _maybe(ADDRESS),
    }
)
