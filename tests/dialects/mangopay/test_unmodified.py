"""What programs written for the provider send and read beyond what a refund needs: a row for every member and path.

In the table-driven world; each answer is held against its published schema by the shop.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from moneyback.dialects.mangopay import schemas
from moneyback.dialects.mangopay.bankaccounts import is_iban
from moneyback.dialects.mangopay.members import ADDRESS
from tests.dialects.driver import misfits, said
from tests.dialects.mangopay.shop import COMPANY, IBAN, PERSON, eur
from tests.dialects.mangopay.test_resources import BACK, REQUIRED, Desk

ITEM = {"Name": "Shoes", "Quantity": 2, "UnitAmount": 40_00, "TaxAmount": 10_00, "Description": "Seller"}
PERSONS = {"FirstName": "Ann", "LastName": "Smith", "Address": {"City": "Paris", "Country": "FR"}}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def pressed(desk: Desk, page: str, outcome: str = "confirm") -> str:
    """The payer decides on a page, and goes back to this address."""
    answer = desk.world.call("POST", page[page.index("/v2.01/") :], {"outcome": outcome}, encoding="form")
    assert answer.status == 303
    return answer.headers["Location"]


# --- cards -----------------------------------------------------------------------------------------------------------


def test_a_card_is_registered_for_a_user_who_is_there(desk: Desk):
    asked = {"UserId": "1", "Currency": "EUR"}
    refused = desk.ask("POST", "cardregistrations", asked)
    assert (refused.status, said(refused)["Type"]) == (404, "ressource_not_found")
    assert list(desk.wrong("cardregistrations", {"Currency": "EUR"})) == ["UserId"]
    desk.ask("DELETE", f"users/natural/{desk.payer}")
    assert list(desk.wrong("cardregistrations", asked | {"UserId": desk.payer})) == ["UserId"]


def test_a_browser_tells_its_offset_in_either_way(desk: Desk):
    for offset in ("+60", -60):
        payin = desk.pay(BrowserInfo={"TimeZoneOffset": offset})
        assert payin["BrowserInfo"]["TimeZoneOffset"] == offset
    offsets = schemas.CARD_VALIDATION_REQUEST["properties"]["BrowserInfo"]["properties"]["TimeZoneOffset"]
    assert offsets == {"type": ["string", "integer"]}


@pytest.mark.parametrize(("stated", "shown"), [(None, "ECommerce"), ("TelephoneOrder", "TelephoneOrder")])
def test_a_card_payment_has_a_category(desk: Desk, stated: str | None, shown: str):
    category: dict[str, Any] = {"PaymentCategory": stated}
    assert desk.pay(**category)["PaymentCategory"] == shown
    asked = {"AuthorId": desk.payer, "CardId": desk.new_card(), "SecureModeReturnURL": BACK} | category
    agreement = agreed(desk, PaymentType=None, CardId=asked["CardId"])
    paid = {"RecurringPayinRegistrationId": agreement["Id"]} | category
    assert desk.made("payins/recurring/card/direct", paid)["PaymentCategory"] == shown
    held = desk.made("preauthorizations/card/direct", asked | {"DebitedFunds": eur(1_00)})
    validated = desk.made(f"cards/{asked['CardId']}/validation", asked)
    assert held["PaymentCategory"] == validated["PaymentCategory"] == shown


def test_the_transactions_of_one_and_the_same_card(desk: Desk):
    first = desk.pay(Tag="first")
    desk.world.advance(seconds=1)
    second = desk.pay(Tag="second")
    assert first["CardId"] != second["CardId"]
    desk.world.advance(seconds=1)
    refund = desk.made(f"payins/{first['Id']}/refunds", {"AuthorId": desk.payer})
    print_ = desk.seen(f"cards/{first['CardId']}")["Fingerprint"]
    path = f"cards/fingerprints/{print_}/transactions"
    ids = [first["Id"], second["Id"], refund["Id"]]
    assert [each["Id"] for each in desk.seen(path)] == ids
    assert [each["Id"] for each in desk.seen(f"{path}?Sort=CreationDate:DESC&per_page=2&page=2")] == ids[:1]
    assert [each["Id"] for each in desk.seen(f"{path}?Nature=REFUND")] == [refund["Id"]]
    assert list(desk.wrong(f"{path}?AfterDate=x", method="GET")) == ["AfterDate"]
    assert desk.wrong("cards/fingerprints/none/transactions", method="GET", status=404)
    native = desk.world.pay(1_00, "EUR", dialect_data={"CardId": second["CardId"]})
    assert [each["Id"] for each in desk.seen(path)] == [*ids, native.dialect_id]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"Type": "BIN", "Bin": "497010"}, {"Bin": "497010", "Brand": "VISA"}),
        ({"Type": "BIN", "Bin": "54000612"}, {"Bin": "54000612", "Brand": "MASTERCARD"}),
        (
            {"Type": "GOOGLE_PAY", "Token": "secret-token"},
            {"Bin": "497010", "Brand": "VISA", "TokenFormat": "PAN_ONLY"},
        ),
    ],
)
def test_what_is_known_of_a_card_by_its_first_digits(desk: Desk, asked: dict[str, str], found: dict[str, str]):
    known = desk.made("payment-methods/metadata", asked)
    (data,) = known["BinData"]
    shown = {"Bin": known["Bin"], "Brand": data["Brand"]}
    shown |= {"TokenFormat": known["TokenFormat"]} if "TokenFormat" in known else {}
    assert (known["Type"], shown) == (asked["Type"], found)
    assert "secret-token" not in repr(desk.world.documents)


@pytest.mark.parametrize(
    ("asked", "errors"),
    [
        ({}, {"Type": REQUIRED.format("Type")}),
        ({"Type": "BIN"}, {"Bin": REQUIRED.format("Bin")}),
        ({"Type": "BIN", "Bin": "4970101"}, {"Bin": "The field Bin must be 6 or 8 digits."}),
        ({"Type": "GOOGLE_PAY"}, {"Token": REQUIRED.format("Token")}),
    ],
)
def test_what_is_asked_of_no_card(desk: Desk, asked: dict[str, str], errors: dict[str, str]):
    assert desk.wrong("payment-methods/metadata", asked) == errors


# --- pay-ins on a page -----------------------------------------------------------------------------------------------

PAYPAL, KLARNA = "payins/payment-methods/paypal", "payins/payment-methods/klarna"


@pytest.mark.parametrize(
    ("path", "members", "unsaid"),
    [
        (
            PAYPAL,
            {
                "LineItems": [ITEM | {"Category": "PHYSICAL_GOODS"}],
                "Reference": "1",
                "ShippingPreference": "NO_SHIPPING",
            },
            {"PaypalPayerID": None, "BuyerCountry": None, "PaypalOrderID": None, "Trackings": None},
        ),
        ("payins/paypal/web", {}, {"LineItems": None, "CancelURL": None, "ShippingPreference": None}),
        (
            "payins/paypal/web",
            {"ShippingAddress": {"RecipientName": "Ann", "Address": dict.fromkeys(ADDRESS, "") | {"Country": "FR"}}},
            {},
        ),
        ("payins/payment-methods/blik", {}, {"Code": None, "IpAddress": None, "BrowserInfo": None}),
        ("payins/payment-methods/blik", {"Code": "777365", "IpAddress": "1.2.3.4"}, {"BrowserInfo": None}),
        (
            KLARNA,
            {
                "LineItems": [ITEM, ITEM | {"Discount": 10, "Sku": "7"}],
                "Country": "FR",
                "Billing": PERSONS,
                "Email": "ann@example.com",
                "Phone": "33#607080900",
                "AdditionalData": "{}",
                "Reference": "1234",
            },
            {},
        ),
        (KLARNA, {}, {"LineItems": None, "Country": None, "Phone": None, "AdditionalData": None}),
        ("payins/payment-methods/payconiq", {"Country": "BE"}, {}),
        ("payins/payment-methods/bancontact", {"Recurring": True}, {}),
        ("payins/payment-methods/bancontact", {}, {"Recurring": False}),
    ],
)
def test_a_page_shows_what_was_stated(desk: Desk, path: str, members: dict[str, Any], unsaid: dict[str, Any]):
    payin = desk.made(path, desk.stated(ReturnURL=BACK, **members))
    for name, value in (members | unsaid).items():
        shown = payin[name]
        if name == "Billing":
            assert (shown["FirstName"], shown["Address"]["Country"]) == (
                value["FirstName"],
                value["Address"]["Country"],
            )
        else:
            assert shown == value, name
    assert desk.seen(f"payins/{payin['Id']}") == payin


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("payins/payment-methods/payconiq", ("DeepLinkURL", "QRCodeURL")),
        ("payins/payment-methods/bancontact", ("DeepLinkURL",)),
    ],
)
def test_every_way_to_the_payers_app_is_the_page(desk: Desk, path: str, names: tuple[str, ...]):
    payin = desk.made(path, desk.stated(ReturnURL=BACK))
    assert {payin[name] for name in names} == {payin["RedirectURL"]}


def test_paypal_comes_back_to_two_addresses(desk: Desk):
    payin = desk.made(PAYPAL, desk.stated(ReturnURL=BACK, CancelURL=f"{BACK}/not"))
    assert payin["CancelURL"] == f"{BACK}/not?transactionId={payin['Id']}"
    assert pressed(desk, payin["RedirectURL"], "decline") == payin["CancelURL"]
    other = desk.made(PAYPAL, desk.stated(ReturnURL=BACK, CancelURL=f"{BACK}/not"))
    assert pressed(desk, other["RedirectURL"]) == other["ReturnURL"]
    plain = desk.made(PAYPAL, desk.stated(ReturnURL=BACK))
    assert pressed(desk, plain["RedirectURL"], "decline") == plain["ReturnURL"]


@pytest.mark.parametrize(
    ("path", "members", "wrong"),
    [
        (PAYPAL, {"LineItems": [ITEM | {"UnitAmount": 39_99}]}, "debitedAmount"),
        (PAYPAL, {"ShippingPreference": "SET_PROVIDED_ADDRESS"}, "shipping"),
        (PAYPAL, {"LineItems": {}}, "LineItems"),
        (PAYPAL, {"LineItems": [1]}, "LineItems"),
        (PAYPAL, {"LineItems": [ITEM | {"UnitAmount": 40.0}]}, "LineItems[0].UnitAmount"),
        (PAYPAL, {"LineItems": [ITEM | {"TaxAmount": -1}]}, "LineItems[0].TaxAmount"),
        (PAYPAL, {"LineItems": [ITEM | {"Quantity": 0}]}, "LineItems[0].Quantity"),
        (PAYPAL, {"LineItems": [ITEM, ITEM | {"Name": None}]}, "LineItems[1].Name"),
        (KLARNA, {"LineItems": [ITEM | {"Category": "AIR"}]}, "LineItems[0].Category"),
        (KLARNA, {"Country": "BE", "Billing": PERSONS}, "billing.Country"),
        (KLARNA, {"AdditionalData": "{"}, "additionalData"),
        ("payins/payment-methods/bizum", {"ReturnURL": None}, "ReturnURL"),
    ],
)
def test_pages_that_are_refused(desk: Desk, path: str, members: dict[str, Any], wrong: str):
    assert wrong in desk.wrong(path, desk.stated(ReturnURL=BACK) | members)
    assert not desk.world.facts.payments


def test_bizum_asks_on_the_telephone_or_on_a_page(desk: Desk):
    path = "payins/payment-methods/bizum"
    called = desk.made(path, desk.stated(Phone="+34700000000", ReturnURL=BACK))
    assert (called["Phone"], "ReturnURL" in called) == ("+34700000000", False)
    sent = desk.made(path, desk.stated(ReturnURL=BACK))
    assert (sent["Phone"], sent["ReturnURL"]) == (None, f"{BACK}?transactionId={sent['Id']}")
    assert desk.seen(f"payins/{called['Id']}") == called


# --- PayPal, again and again -----------------------------------------------------------------------------------------


def agreed(desk: Desk, **members: Any) -> Any:
    asked = {
        "AuthorId": desk.payer,
        "CreditedWalletId": desk.wallet,
        "FirstTransactionDebitedFunds": eur(100_00),
        "FirstTransactionFees": eur(0),
        "Shipping": PERSONS,
        "PaymentType": "PAYPAL",
    }
    return desk.made("recurringpayinregistrations", asked | members)


RECURRING = "payins/payment-methods/paypal/recurring"


def test_paypal_asks_its_customer_until_one_pay_in_has_come_in(desk: Desk):
    agreement = agreed(desk)
    assert (agreement["CardId"], agreement["PaymentType"]) == (None, "PAYPAL")
    order = {"LineItems": [ITEM], "ReturnURL": BACK, "ShippingPreference": "SET_PROVIDED_ADDRESS"}
    asked = {"RecurringPayinRegistrationId": agreement["Id"]} | order
    left, first = desk.made(RECURRING, asked), desk.made(RECURRING, asked)
    assert (first["Status"], first["PaymentType"], first["ExecutionType"]) == ("CREATED", "PAYPAL", "WEB")
    assert first["ReturnURL"] == f"{BACK}?transactionId={first['Id']}"
    assert (first["Shipping"], first["DebitedFunds"]) == (agreement["Shipping"], eur(100_00))
    pressed(desk, left["RedirectURL"], "decline")
    pressed(desk, first["RedirectURL"])
    assert desk.seen(f"payins/{first['Id']}")["Status"] == "SUCCEEDED"
    part = {"DebitedFunds": eur(45_00), "Fees": eur(5_00), "LineItems": None}
    second = desk.made(RECURRING, asked | part)
    assert (second["Status"], second["RedirectURL"], second["CreditedFunds"]) == ("SUCCEEDED", None, eur(40_00))
    assert second["RecurringPayinRegistrationId"] == agreement["Id"]
    now = desk.seen(f"recurringpayinregistrations/{agreement['Id']}")
    assert (now["Status"], now["CurrentState"]["PayinsLinked"]) == ("IN_PROGRESS", 2)
    assert desk.balance(desk.wallet) == 140_00
    assert desk.made(f"payins/{second['Id']}/refunds", {"AuthorId": desk.payer})["Status"] == "SUCCEEDED"


def test_recurring_pay_ins_by_paypal_that_are_refused(desk: Desk):
    agreement = agreed(desk)
    asked = {"RecurringPayinRegistrationId": agreement["Id"], "ReturnURL": BACK}
    assert list(desk.wrong(RECURRING, asked | {"LineItems": [ITEM, ITEM]})) == ["debitedAmount"]
    assert list(desk.wrong(RECURRING, asked | {"ReturnURL": None})) == ["ReturnURL"]
    named = ["RecurringPayinRegistrationId"]
    assert list(desk.wrong("payins/recurring/card/direct", asked)) == list(desk.wrong(RECURRING, {})) == named
    by_card = agreed(desk, PaymentType="CARD_DIRECT", CardId=desk.new_card())
    assert list(desk.wrong(RECURRING, asked | {"RecurringPayinRegistrationId": by_card["Id"]})) == named
    path = f"recurringpayinregistrations/{agreement['Id']}"
    assert desk.changed(path, {"CardId": desk.new_card()})["CardId"] is None
    desk.changed(path, {"Status": "ENDED"})
    assert list(desk.wrong(RECURRING, asked)) == ["Status"]


def test_a_user_has_one_agreement_by_paypal_at_a_time(desk: Desk):
    agreement = agreed(desk)
    again = {name: agreement[name] for name in ("AuthorId", "CreditedWalletId", "PaymentType")}
    again |= {"FirstTransactionDebitedFunds": eur(1_00), "FirstTransactionFees": eur(0)}
    assert list(desk.wrong("recurringpayinregistrations", again)) == ["AuthorId"]
    other = desk.made("users/natural", PERSON)["Id"]
    assert desk.made("recurringpayinregistrations", again | {"AuthorId": other})["Status"] == "CREATED"
    desk.changed(f"recurringpayinregistrations/{agreement['Id']}", {"Status": "ENDED"})
    assert desk.made("recurringpayinregistrations", again)["Status"] == "CREATED"
    assert list(desk.wrong("recurringpayinregistrations", again | {"PaymentType": "CARD_DIRECT"})) == ["CardId"]


# --- payouts ---------------------------------------------------------------------------------------------------------


def payout(desk: Desk, **members: Any) -> dict[str, Any]:
    asked = {"AuthorId": desk.payer, "DebitedWalletId": desk.wallet, "BankAccountId": desk.account()}
    return asked | {"DebitedFunds": eur(30_00), "Fees": eur(0)} | members


@pytest.mark.parametrize("bearer", ["OUR", "SHA", None])
def test_a_payout_says_who_pays_what_banks_charge(desk: Desk, bearer: str | None):
    desk.pay(100_00, 0)
    made = desk.made("payouts/bankwire", payout(desk, ChargeBearer=bearer))
    assert made["ChargeBearer"] == bearer
    assert desk.seen(f"payouts/{made['Id']}")["ChargeBearer"] == bearer
    assert list(desk.wrong("payouts/bankwire", payout(desk, ChargeBearer="THEM"))) == ["ChargeBearer"]


def test_a_payout_names_its_recipient_by_either_name(desk: Desk):
    desk.pay(100_00, 0)
    account = desk.account()
    made = desk.made("payouts/bankwire", payout(desk, RecipientId=account, BankAccountId=None))
    assert (made["RecipientId"], made["BankAccountId"]) == (account, None)
    assert [each["Id"] for each in desk.seen(f"bankaccounts/{account}/transactions")] == [made["Id"]]
    plain = desk.made("payouts/bankwire", payout(desk, BankAccountId=account))
    assert (plain["RecipientId"], plain["BankAccountId"]) == (None, account)
    assert list(desk.wrong("payouts/bankwire", payout(desk, BankAccountId=None))) == ["BankAccountId"]


def test_an_instant_payout_reaches_banks_of_the_euro(desk: Desk):
    path, numbers = "payouts/reachability", {"AccountNumber": "63956474", "SortCode": "200000"}
    reached = desk.made(path, payout(desk, PayoutModeRequested="INSTANT_PAYMENT", Fees=None))
    assert reached == {"InstantPayout": {"IsReachable": True, "UnreachableReason": None}}
    british = desk.made(f"users/{desk.payer}/bankaccounts/gb", {"OwnerName": "Ann", "OwnerAddress": {}} | numbers)
    far = desk.made(path, payout(desk, BankAccountId=british["Id"]))["InstantPayout"]
    assert (far["IsReachable"], far["UnreachableReason"]["Code"]) == (False, "130010")
    pounds = desk.new_wallet(desk.payer, "GBP")
    money = {"Currency": "GBP", "Amount": 1}
    other = payout(desk, DebitedWalletId=pounds, DebitedFunds=money, Fees=money | {"Amount": 0})
    assert desk.made(path, other)["InstantPayout"]["IsReachable"] is False
    assert list(desk.wrong(path, {})) == ["AuthorId", "DebitedWalletId", "BankAccountId", "DebitedFunds"]
    assert list(desk.wrong(path, payout(desk, AuthorId="1"))) == ["AuthorId"]
    assert not desk.world.facts.payments


# --- papers ----------------------------------------------------------------------------------------------------------


def test_a_dispute_has_its_documents(desk: Desk):
    one, two = (desk.made("disputes", {"InitialTransactionId": desk.pay()["Id"]})["Id"] for _ in range(2))
    path = f"disputes/{one}/documents"
    document = desk.made(path, {"Type": "DELIVERY_PROOF", "Tag": "t"})
    assert (document["DisputeId"], document["Status"], document["Tag"]) == (one, "CREATED", "t")
    assert desk.ask("POST", f"{path}/{document['Id']}/pages", {"File": "aGVsbG8="}).status == 204
    assert list(desk.wrong(f"{path}/{document['Id']}/pages", {})) == ["File"]
    other = desk.made(f"disputes/{two}/documents", {"Type": "OTHER"})
    assert desk.seen(path) == [document]
    assert desk.seen("dispute-documents") == [document, other]
    assert desk.seen(f"dispute-documents/{document['Id']}") == document
    assert desk.made(f"dispute-documents/{document['Id']}/consult") == []
    asked = desk.changed(f"{path}/{document['Id']}", document | {"Status": "VALIDATION_ASKED"})
    assert asked == document | {"Status": "VALIDATION_ASKED"}
    assert desk.changed(f"{path}/{document['Id']}", {"Status": "CREATED", "Tag": "u"}) == asked | {"Tag": "u"}
    assert list(desk.wrong(f"{path}/{document['Id']}/pages", {"File": "aGVsbG8="})) == ["Status"]
    told = [each["EventType"] for each in desk.seen("events?per_page=100") if each["ResourceId"] == document["Id"]]
    assert told == ["DISPUTE_DOCUMENT_CREATED", "DISPUTE_DOCUMENT_VALIDATION_ASKED"]
    for missing in (f"disputes/{two}/documents/{document['Id']}", f"{path}/1"):
        assert desk.wrong(missing, {}, method="PUT", status=404)
    for missing in ("disputes/1/documents", "dispute-documents/1"):
        assert desk.wrong(missing, method="GET", status=404)
    assert list(desk.wrong(path, {"Type": "PHOTO"})) == ["Type"]
    desk.changed(f"disputes/{one}/close")
    assert list(desk.wrong(path, {"Type": "OTHER"})) == ["Status"]


def test_nobody_sees_the_pages_of_a_paper(desk: Desk):
    path = f"users/{desk.payer}/kyc/documents"
    document = desk.made(path, {"Type": "IDENTITY_PROOF"})
    desk.ask("POST", f"{path}/{document['Id']}/pages", {"File": "aGVsbG8="})
    assert desk.made(f"kyc/documents/{document['Id']}/consult") == []
    assert desk.wrong("kyc/documents/1/consult", status=404)
    assert "aGVsbG8=" not in repr(desk.world.documents)


def test_mandates_that_are_not_in_force_are_not_cancelled(desk: Desk):
    asked = {"BankAccountId": desk.account(), "Culture": "EN", "ReturnURL": BACK}
    mandate = desk.made("mandates/directdebit/web", asked)
    refused = desk.ask("PUT", f"mandates/{mandate['Id']}/cancel")
    assert (refused.status, said(refused)["Type"], said(refused)["errors"]) == (
        400,
        "mandate_cannot_be_cancelled",
        None,
    )
    assert misfits(schemas.ERROR, refused) == []
    pressed(desk, mandate["RedirectURL"])
    ended = desk.changed(f"mandates/{mandate['Id']}/cancel")
    assert (ended["Status"], ended["ResultCode"]) == ("FAILED", "001806")


# --- who owns a company ----------------------------------------------------------------------------------------------

OWNER: dict[str, Any] = {
    "FirstName": "Jess",
    "LastName": "Wiza",
    "Birthday": 652117514,
    "Nationality": "FR",
    "Address": {"City": "Paris", "Country": "FR"},
    "Birthplace": {"City": "Paris", "Country": "FR"},
}


def test_a_declaration_names_owners_and_is_submitted(desk: Desk):
    path = f"users/{desk.seller}/kyc/ubodeclarations"
    declaration = desk.made(path)
    one = f"{path}/{declaration['Id']}"
    assert (declaration["Status"], declaration["Ubos"]) == ("CREATED", [])
    assert desk.wrong(path) == desk.wrong(one, {"Status": "VALIDATION_ASKED"}, method="PUT") == "invalid_action"
    owner = desk.made(f"{one}/ubos", OWNER)
    assert (owner["IsActive"], owner["Birthplace"]) == (True, OWNER["Birthplace"])
    changed = desk.changed(f"{one}/ubos/{owner['Id']}", {"FirstName": "Bea", "IsActive": False})
    assert changed == owner | {"FirstName": "Bea", "IsActive": False}
    assert desk.seen(f"{one}/ubos/{owner['Id']}") == changed
    seen = desk.seen(f"kyc/ubodeclarations/{declaration['Id']}")
    assert desk.seen(path) == [seen] == [desk.seen(one)] == [declaration | {"Ubos": [changed]}]
    assert desk.changed(one, {"Status": "VALIDATION_ASKED"})["Status"] == "VALIDATION_ASKED"
    for method, late in (("POST", f"{one}/ubos"), ("PUT", f"{one}/ubos/{owner['Id']}")):
        assert desk.wrong(late, OWNER, method=method) == "invalid_action"
    assert desk.wrong(path) == "invalid_action"
    assert desk.changed(one, {"Status": "CREATED"})["Status"] == "VALIDATION_ASKED"
    told = [each["EventType"] for each in desk.seen("events?per_page=100") if each["ResourceId"] == declaration["Id"]]
    assert told == ["UBO_DECLARATION_CREATED", "UBO_DECLARATION_VALIDATION_ASKED"]


@pytest.mark.parametrize(
    ("members", "errors"),
    [
        ({"FirstName": None}, ["FirstName"]),
        ({"Address": None, "Birthplace": None}, ["Address", "Birthplace"]),
        ({"Address": {"Country": "US"}}, ["Region"]),
        ({"Birthplace": {"City": "Paris"}}, ["Birthplace.Country"]),
        ({"Birthday": "soon"}, ["Birthday"]),
        ({"IsActive": "perhaps"}, ["IsActive"]),
    ],
)
def test_owners_that_are_refused(desk: Desk, members: dict[str, Any], errors: list[str]):
    declaration = desk.made(f"users/{desk.seller}/kyc/ubodeclarations")
    path = f"users/{desk.seller}/kyc/ubodeclarations/{declaration['Id']}"
    assert list(desk.wrong(f"{path}/ubos", OWNER | members)) == errors
    assert desk.seen(path)["Ubos"] == []


def test_a_declaration_names_fifteen_owners(desk: Desk):
    path = f"users/{desk.seller}/kyc/ubodeclarations"
    one = f"{path}/{desk.made(path)['Id']}"
    for _ in range(15):
        desk.made(f"{one}/ubos", OWNER)
    assert desk.wrong(f"{one}/ubos", OWNER) == "invalid_action"
    assert len(desk.seen(one)["Ubos"]) == 15


def test_declarations_are_those_of_companies(desk: Desk):
    trader = desk.made("users/legal", COMPANY | {"LegalPersonType": "SOLETRADER"})["Id"]
    assert desk.wrong(f"users/{trader}/kyc/ubodeclarations") == "invalid_action"
    assert desk.wrong(f"users/{desk.payer}/kyc/ubodeclarations", status=404)
    assert desk.wrong(f"users/{desk.payer}/kyc/ubodeclarations", method="GET", status=404)
    declaration = desk.made(f"users/{desk.seller}/kyc/ubodeclarations")["Id"]
    assert desk.wrong(f"users/{trader}/kyc/ubodeclarations/{declaration}", method="GET", status=404)
    other = desk.made("users/legal", COMPANY)["Id"]
    theirs = f"users/{other}/kyc/ubodeclarations"
    theirs = f"{theirs}/{desk.made(theirs)['Id']}"
    owner = desk.made(f"users/{desk.seller}/kyc/ubodeclarations/{declaration}/ubos", OWNER)["Id"]
    assert desk.wrong(f"{theirs}/ubos/{owner}", method="GET", status=404)


# --- account numbers of wallets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "country", "kind"),
    [("EUR", "LU", "IBAN"), ("EUR", "FR", "IBAN"), ("EUR", "ES", "IBAN"), ("EUR", "DE", "IBAN"), ("GBP", "GB", "GB")],
)
def test_a_wallet_has_an_account_number(desk: Desk, currency: str, country: str, kind: str):
    wallet = desk.new_wallet(desk.payer, currency)
    path, asked = f"wallets/{wallet}/bankingaliases", {"OwnerName": "Ann Smith", "Country": country, "Tag": "t"}
    alias = desk.made(f"{path}/iban", asked)
    assert (alias["Type"], alias["Active"], alias["CreditedUserId"]) == (kind, True, desk.payer)
    assert is_iban(alias["IBAN"])
    lengths = {"LU": 20, "FR": 27, "ES": 24, "DE": 22, "GB": 22}
    assert (alias["IBAN"][:2], len(alias["IBAN"])) == (country, lengths[country])
    assert ("LocalAccountDetails" in alias) == (kind == "GB")
    if kind == "GB":
        local = alias["LocalAccountDetails"]
        assert alias["IBAN"].endswith(local["SortCode"] + local["AccountNumber"])
    assert desk.seen(path) == [alias]
    assert desk.seen(f"bankingaliases/{alias['Id']}") == alias
    assert desk.wrong(f"{path}/iban", asked) == "wallet_banking_alias_already_exists"
    assert desk.changed(f"bankingaliases/{alias['Id']}", {"Active": False}) == alias | {"Active": False}
    assert desk.changed(f"bankingaliases/{alias['Id']}", {"Active": True})["Active"] is False
    assert desk.wrong(f"{path}/iban", asked) == "wallet_banking_alias_already_exists"
    assert desk.seen(f"wallets/{desk.till}/bankingaliases") == []


@pytest.mark.parametrize(
    ("members", "errors"),
    [
        ({"OwnerName": None}, {"OwnerName": REQUIRED.format("OwnerName")}),
        ({"Country": None}, {"Country": REQUIRED.format("Country")}),
        ({"Country": "IT"}, {"Country": "The requested country is not supported"}),
        ({"Country": "GB"}, "country_not_associated_to_wallet_currency"),
    ],
)
def test_account_numbers_that_are_refused(desk: Desk, members: dict[str, Any], errors: Any):
    asked = {"OwnerName": "Ann Smith", "Country": "FR"}
    assert desk.wrong(f"wallets/{desk.wallet}/bankingaliases/iban", asked | members) == errors
    assert desk.wrong("wallets/1/bankingaliases/iban", asked, status=404)
    assert desk.wrong("wallets/FEES_EUR/bankingaliases/iban", asked, status=403) == "forbidden_ressource"


def test_a_wire_arrives_and_goes_back_by_a_payout(desk: Desk):
    asked = {"OwnerName": "Ann Smith", "Country": "FR"}
    alias = desk.made(f"wallets/{desk.wallet}/bankingaliases/iban", asked)
    path, debited = f"bankingaliases/{alias['Id']}/payins", {"IBAN": IBAN, "OwnerName": "Ann"}
    wire = {"DebitedFunds": eur(146_54), "WireReference": "Example", "DebitedBankAccount": debited}
    payin = desk.made(path, wire)
    kinds = (payin["PaymentType"], payin["ExecutionType"], payin["Status"], payin["Fees"])
    assert kinds == ("BANK_WIRE", "EXTERNAL_INSTRUCTION", "SUCCEEDED", eur(0))
    assert (payin["BankingAliasId"], payin["WireReference"]) == (alias["Id"], "Example")
    assert (payin["DebitedBankAccount"]["Type"], payin["DebitedBankAccount"]["IBAN"]) == ("IBAN", IBAN)
    assert desk.seen(f"payins/{payin['Id']}") == payin
    assert desk.balance(desk.wallet) == 146_54
    assert list(desk.wrong(f"payins/{payin['Id']}/refunds", {"AuthorId": desk.payer})) == ["PayInId"]
    reference = {"ReasonType": "PAYIN_REFUND", "ReferenceId": payin["Id"]}
    assert desk.made("payouts/bankwire", payout(desk, PaymentRef=reference))["Status"] == "SUCCEEDED"
    assert desk.balance(desk.wallet) == 116_54
    pounds = {"Currency": "GBP", "Amount": 1}
    assert list(desk.wrong(path, wire | {"DebitedFunds": pounds})) == ["currency"]
    assert list(desk.wrong(path, wire | {"DebitedBankAccount": {"IBAN": "FR1"}})) == ["DebitedBankAccount.IBAN"]
    assert list(desk.wrong(path, {})) == ["DebitedFunds"]
    sandbox = desk.world.caller
    desk.world.caller = replace(sandbox, profile={**sandbox.profile, "rail": "bank"})
    assert desk.wrong(path, wire, status=403) == "forbidden_ressource"
    desk.world.caller = sandbox
    desk.changed(f"bankingaliases/{alias['Id']}", {"Active": False})
    assert list(desk.wrong(path, wire)) == ["Active"]
    assert desk.wrong("bankingaliases/1", method="GET", status=404)
