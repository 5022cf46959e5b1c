"""What leads to a refund at Mangopay and what follows it: a row for every rule and error of those calls.

In the table-driven world; each answer is held against its published schema by the shop.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from moneyback.dialect import ListDocuments, Outgoing
from moneyback.dialects.mangopay import DIALECT
from tests.dialects.driver import STRANGER, said, text
from tests.dialects.mangopay.demo import KEY, Demo
from tests.dialects.mangopay.shop import COMPANY, IBAN, PERSON, Shop, eur

REQUIRED = "The {} field is required."
BACK = "https://shop.example/back"
UNDONE = "original_transaction_must_be_succeeded"
BAD_COUNTRY = "The field {} must be a country code of two letters."
BAD_DESCRIPTOR = "The StatementDescriptor must be at most 10 letters, digits and spaces"
OTHER_CURRENCY = "The Currency of the Fees is not the Currency of the DebitedFunds"


class Desk(Shop):
    """A shop in the table-driven world, which is at hand as `world`."""

    def __init__(self) -> None:
        self.world = Demo()
        super().__init__(self._carry)

    def _carry(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Outgoing:
        path, _, asked = path.partition("?")
        query = [(name, value) for name, _, value in (each.partition("=") for each in asked.split("&") if each)]
        lower = {name.lower(): value for name, value in headers.items()}
        encoding = "form" if "form" in lower else None
        return self.world.call(method, path, body, query=query, headers=lower, encoding=encoding)

    def card(self, **members: Any) -> dict[str, Any]:
        """A card pay-in that would succeed, with other members."""
        return self.stated(CardId=self.new_card(), SecureModeReturnURL=BACK) | members


@pytest.fixture
def desk() -> Desk:
    return Desk()


def funds(amount: Any, currency: Any = "EUR") -> dict[str, Any]:
    return {"Currency": currency, "Amount": amount}


# --- users -----------------------------------------------------------------------------------------------------------


def test_a_natural_user_is_kept_and_changed(desk: Desk):
    user = desk.made("users/natural", PERSON | {"Tag": "t", "Address": {"City": "Paris", "Country": "FR"}})
    assert (user["PersonType"], user["KYCLevel"], user["UserStatus"]) == ("NATURAL", "LIGHT", "ACTIVE")
    assert user["Address"]["City"] == "Paris"
    assert user["Address"]["Region"] is None
    changed = desk.changed(f"users/natural/{user['Id']}", {"FirstName": "Bea"})
    assert changed == user | {"FirstName": "Bea"}
    assert desk.seen(f"users/{user['Id']}") == desk.seen(f"users/natural/{user['Id']}") == changed
    assert desk.wrong(f"users/legal/{user['Id']}", method="GET", status=404)
    assert user["Id"] in [each["Id"] for each in desk.seen("users?per_page=100")]


def test_a_legal_user_is_kept(desk: Desk):
    user = desk.made("users/legal", COMPANY)
    assert (user["Name"], user["LegalRepresentativeFirstName"]) == ("Acme", "Ann")
    assert desk.seen(f"sca/users/{user['Id']}")["LegalRepresentative"]["LastName"] == "Smith"


@pytest.mark.parametrize(
    ("members", "errors"),
    [
        ({"FirstName": None}, {"FirstName": REQUIRED.format("FirstName")}),
        ({"LastName": ""}, {"LastName": REQUIRED.format("LastName")}),
        ({"Email": None}, {"Email": REQUIRED.format("Email")}),
        ({"Email": "ann"}, {"Email": "The field Email must be an e-mail address."}),
        ({"Nationality": "France"}, {"Nationality": BAD_COUNTRY.format("Nationality")}),
        ({"Birthday": "1990-05-01"}, {"Birthday": "The field Birthday must be an integer."}),
        ({"Birthday": None}, {"Birthday": REQUIRED.format("Birthday")}),
        ({"UserCategory": "KING"}, {"UserCategory": "The requested value 'KING' was not found."}),
        ({"Tag": "x" * 256}, {"Tag": "The Tag must be text of at most 255 characters"}),
        (
            {"Address": {"Country": "FRA"}},
            {"Address.Country": BAD_COUNTRY.format("Country")},
        ),
        ({"TermsAndConditionsAccepted": False}, "user_hasnt_accepted_terms_and_conditions"),
    ],
)
def test_users_that_are_refused(desk: Desk, members: dict[str, Any], errors: Any):
    status = 403 if isinstance(errors, str) else 400
    assert desk.wrong("users/natural", PERSON | members, status=status) == errors


@pytest.mark.parametrize("flag", [1, "true", True])
def test_a_client_writes_flags_as_it_likes(desk: Desk, flag: Any):
    assert (
        desk.made("users/natural", PERSON | {"TermsAndConditionsAccepted": flag})["TermsAndConditionsAccepted"] is True
    )


def test_a_payer_says_less(desk: Desk):
    user = desk.made("users/natural", {name: PERSON[name] for name in ("FirstName", "LastName", "Email")})
    assert (user["UserCategory"], user["Birthday"], user["TermsAndConditionsAcceptedDate"]) == ("PAYER", None, None)


def test_an_owner_enrols_first(desk: Desk):
    user = desk.made("sca/users/natural", PERSON)
    assert user["UserStatus"] == "PENDING_USER_ACTION"
    page = user["PendingUserAction"]["RedirectUrl"]
    answer = desk.world.call("POST", page[page.index("/v2.01/") :], {"outcome": "confirm"}, encoding="form")
    assert answer.status == 200
    enrolled = desk.seen(f"sca/users/natural/{user['Id']}")
    assert (enrolled["UserStatus"], enrolled["PendingUserAction"]) == ("ACTIVE", None)
    assert desk.seen(f"sca/users/{user['Id']}/sca-status")["IsEnrolled"] is True


def test_a_closed_user_pays_nothing(desk: Desk):
    card = desk.card()
    assert desk.ask("DELETE", f"users/natural/{desk.payer}").status == 204
    assert desk.seen(f"users/{desk.payer}")["UserStatus"] == "CLOSED"
    assert list(desk.wrong("payins/card/direct", card)) == ["AuthorId"]


# --- wallets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "errors"),
    [
        ({"Owners": None}, {"Owners": REQUIRED.format("Owners")}),
        ({"Owners": ["1", "2"]}, {"Owners": "Owners doesn't support multiple values for the moment"}),
        ({"Owners": ["1"]}, {"Owners": "Cannot found the ressource User with the id=1"}),
        ({"Owners": [1]}, {"Owners": "The Owners must be identifiers of users."}),
        ({"Currency": "AZN"}, {"Currency": "Currency: The currency AZN is not available"}),
        ({"Description": None}, {"Description": REQUIRED.format("Description")}),
    ],
)
def test_wallets_that_are_refused(desk: Desk, members: dict[str, Any], errors: Any):
    asked = {"Owners": [desk.payer], "Description": "Till", "Currency": "EUR"}
    assert desk.wrong("wallets", asked | members) == errors


def test_a_wallet_changes_its_description_alone(desk: Desk):
    before = desk.seen(f"wallets/{desk.wallet}")
    after = desk.changed(
        f"wallets/{desk.wallet}", {"Description": "New", "Tag": "t", "Currency": "GBP", "Owners": ["1"]}
    )
    assert after == before | {"Description": "New", "Tag": "t"}
    assert desk.wrong("wallets/1", method="GET", status=404)


def test_the_platforms_own_wallets(desk: Desk):
    desk.pay(100_00, 10_00)
    assert desk.seen("clients/wallets/FEES/EUR")["Balance"] == eur(10_00)
    assert [each["Id"] for each in desk.seen("clients/wallets")] == ["FEES_EUR", "CREDIT_EUR"]
    assert [each["Type"] for each in desk.seen("clients/wallets/FEES/EUR/transactions")] == ["PAYIN"]
    assert desk.wrong("clients/wallets/FEES/XXX", method="GET", status=404)


# --- cards -----------------------------------------------------------------------------------------------------------


def test_a_cards_number_is_nowhere(desk: Desk):
    card = desk.seen(f"cards/{desk.new_card()}")
    assert (card["Alias"], card["ExpirationDate"], card["Active"]) == ("497010XXXXXX8183", "1229", True)
    kept = repr([desk.world.documents, desk.world.facts.payments, desk.world.answers])
    assert "4970105181818183" not in kept
    assert "51818181" not in kept


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"cardNumber": "4970"}, "errorCode=105202"),
        ({"cardNumber": "4970 1051 8181 8183"}, "data="),
        ({"cardExpirationDate": "1329"}, "errorCode=105203"),
        ({"cardCvx": "12"}, "errorCode=105204"),
        ({"cardCvx": ""}, "data="),
        ({"data": ""}, "errorCode=105299"),
    ],
)
def test_the_tokenizer_answers_plain_text(desk: Desk, fields: dict[str, str], answer: str):
    assert desk.tokenized(desk.registration(), **fields).startswith(answer)


@pytest.mark.parametrize(
    ("said_by", "code", "message"),
    [
        ("errorCode=02625", "105202", "Card number: invalid format"),
        ("errorCode=105203", "105203", "Expiry date: missing or invalid format"),
        ("errorCode=1", "101699", "CardRegistration error"),
        ("data=abc", "105299", "Token input Error"),
        ("4970105181818183", "105299", "Token input Error"),
    ],
)
def test_a_registration_that_fails(desk: Desk, said_by: str, code: str, message: str):
    begun = desk.registration()
    ended = desk.changed(f"cardregistrations/{begun['Id']}", {"RegistrationData": said_by})
    assert (ended["Status"], ended["CardId"], ended["ResultCode"], ended["ResultMessage"]) == (
        "ERROR",
        None,
        code,
        message,
    )
    assert "4970105181818183" not in repr(desk.world.documents)


def test_data_of_another_registration_is_refused(desk: Desk):
    other = desk.tokenized(desk.registration())
    ended = desk.changed(f"cardregistrations/{desk.registration()['Id']}", {"RegistrationData": other})
    assert (ended["Status"], ended["ResultCode"]) == ("ERROR", "105299")


def test_cards_are_listed_and_put_out_of_use(desk: Desk):
    one, two = desk.new_card(), desk.new_card()
    asked = desk.card(CardId=one)
    assert desk.changed(f"cards/{one}", {"Active": False})["Active"] is False
    assert one not in [each["Id"] for each in desk.seen(f"users/{desk.payer}/cards?Active=true")]
    assert len(desk.seen(f"cards/fingerprints/{desk.seen(f'cards/{two}')['Fingerprint']}")) == 3
    assert desk.wrong("payins/card/direct", asked) == {"CardId": "The card is not active"}


def test_a_card_is_validated_once(desk: Desk):
    card = desk.new_card()
    asked = {"AuthorId": desk.payer, "SecureModeReturnURL": BACK}
    validation = desk.made(f"cards/{card}/validation", asked)
    assert validation["Validity"] == "VALID"
    assert desk.seen(f"cards/{card}/validation/{validation['Id']}") == validation
    assert desk.wrong(f"cards/{card}/validation", asked) == {"CardId": "This card is already VALID."}


# --- pay-ins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "errors"),
    [
        ({"AuthorId": None}, {"AuthorId": REQUIRED.format("AuthorId")}),
        ({"AuthorId": "1"}, {"AuthorId": "Cannot found the ressource User with the id=1"}),
        ({"CreditedWalletId": "1"}, {"CreditedWalletId": "Cannot found the ressource Wallet with the id=1"}),
        ({"CreditedUserId": "1"}, {"CreditedUserId": "Cannot found the ressource User with the id=1"}),
        ({"CardId": "1"}, {"CardId": "Cannot found the ressource Card with the id=1"}),
        ({"CardId": None}, {"CardId": REQUIRED.format("CardId")}),
        ({"DebitedFunds": None}, {"DebitedFunds": REQUIRED.format("DebitedFunds")}),
        ({"DebitedFunds": 10}, {"DebitedFunds": "The DebitedFunds must be an object with a Currency and an Amount"}),
        ({"DebitedFunds": funds("10")}, {"DebitedFunds.Amount": "The Amount must be an integer of minor units"}),
        ({"DebitedFunds": funds(0)}, {"DebitedFunds.Amount": "The Amount must be at least 1"}),
        ({"DebitedFunds": {"Amount": 1}}, {"DebitedFunds.Currency": REQUIRED.format("Currency")}),
        ({"Fees": None}, {"Fees": REQUIRED.format("Fees")}),
        ({"Fees": funds(-1)}, {"Fees.Amount": "The Amount must be at least 0"}),
        (
            {"Fees": funds(1, "GBP")},
            {"Fees.Currency": OTHER_CURRENCY},
        ),
        ({"StatementDescriptor": "too long for it"}, {"StatementDescriptor": BAD_DESCRIPTOR}),
        ({"SecureMode": "MAYBE"}, {"SecureMode": "The requested value 'MAYBE' was not found."}),
        ({"SecureModeReturnURL": "back"}, {"SecureModeReturnURL": "The field SecureModeReturnURL is not a valid URL."}),
        (
            {"DebitedFunds": funds(100, "GBP"), "Fees": funds(0, "GBP")},
            {"currency": "The Wallet's currency EUR and the DebitedFunds's currency GBP must be the same"},
        ),
    ],
)
def test_pay_ins_that_are_refused(desk: Desk, members: dict[str, Any], errors: Any):
    found = desk.wrong("payins/card/direct", desk.card(**members))
    assert found == (
        errors or {"StatementDescriptor": "The StatementDescriptor must be at most 10 letters, digits and spaces"}
    )
    assert not desk.world.facts.payments


def test_a_card_pay_in_shows_all_it_should(desk: Desk):
    person = {"FirstName": "Ann", "LastName": "Smith", "Address": {"City": "Paris"}}
    payin = desk.pay(Billing=person, BrowserInfo={"AcceptHeader": "*/*"}, Tag="t", Culture="fr")
    assert (payin["PaymentType"], payin["ExecutionType"], payin["SecureModeNeeded"]) == ("CARD", "DIRECT", False)
    assert payin["SecurityInfo"] == {"AVSResult": "NO_CHECK"}
    assert payin["CardInfo"]["BIN"] == "497010"
    assert len(payin["CardInfo"]) == 6
    assert len(payin["BrowserInfo"]) == 9
    assert set(payin["Billing"]["Address"]) >= {"AddressLine1", "PostalCode", "Country"}
    assert payin["SecureModeReturnURL"] == f"{BACK}?transactionId={payin['Id']}"
    assert (payin["Culture"], payin["Shipping"], payin["CreditedUserId"]) == ("FR", None, desk.payer)


def test_a_pay_in_that_credits_nothing_fails(desk: Desk):
    payin = desk.made("payins/card/direct", desk.card(Fees=eur(100_00)))
    assert (payin["Status"], payin["ResultCode"], payin["ExecutionDate"]) == ("FAILED", "001014", None)
    assert desk.balance(desk.wallet) == 0
    assert [each["Id"] for each in desk.seen(f"wallets/{desk.wallet}/transactions")] == [payin["Id"]]


@pytest.mark.parametrize(("status", "code"), [("SUCCEEDED", "000000"), ("FAILED", "101301")])
def test_a_holder_is_asked_first(desk: Desk, status: str, code: str):
    payin = desk.made("payins/card/direct", desk.card(SecureMode="FORCE"))
    assert (payin["Status"], payin["SecureModeNeeded"]) == ("CREATED", True)
    assert "/pages/" in payin["SecureModeRedirectURL"]
    refund = {"AuthorId": desk.payer}
    assert desk.wrong(f"payins/{payin['Id']}/refunds", refund) == UNDONE
    ended = desk.made(f"payins/{payin['Id']}/outcome", {"Status": status})
    assert (ended["Status"], ended["ResultCode"], ended["SecureModeRedirectURL"]) == (status, code, None)
    assert list(desk.wrong(f"payins/{payin['Id']}/outcome", {"Status": status})) == ["Status"]


WEB = [
    route.path.removeprefix("/v2.01/{ClientId}/")
    for route in DIALECT.routes
    if route.method == "POST"
    and {"ReturnURL", "AuthorId"} <= set(route.request_schema.get("properties", {}))
    and "/payins/" in route.path
]


@pytest.mark.parametrize("path", WEB)
def test_a_pay_in_on_a_page(desk: Desk, path: str):
    payin = desk.made(path, desk.stated(ReturnURL=f"{BACK}?a=1"))
    assert (payin["Status"], payin["ExecutionType"], payin["ExecutionDate"]) == ("CREATED", "WEB", None)
    assert payin["ReturnURL"] == f"{BACK}?a=1&transactionId={payin['Id']}"
    assert payin["RedirectURL"]
    assert list(desk.wrong(path, desk.stated())) == ["ReturnURL"]
    assert desk.seen(f"payins/{payin['Id']}") == payin


@pytest.mark.parametrize("path", ["payins/applepay/direct", "payins/payment-methods/googlepay"])
def test_a_pay_in_by_telephone(desk: Desk, path: str):
    payin = desk.made(path, desk.stated(PaymentData={"TransactionId": "x", "TokenData": "secret-token"}))
    assert (payin["Status"], payin["ExecutionType"]) == ("SUCCEEDED", "DIRECT")
    assert "secret-token" not in repr([desk.world.documents, desk.world.facts.payments])


def test_the_acquiring_path_needs_less(desk: Desk):
    payin = desk.pay(100_00, 10_00)
    path = f"acquiring/payins/{payin['Id']}/refunds"
    part = desk.made(path, {"DebitedFunds": eur(30_00)})
    assert (part["Status"], part["AuthorId"], part["CreditedFunds"]) == ("SUCCEEDED", desk.payer, eur(30_00))
    assert desk.made(path)["ResultCode"] == "005403"
    assert desk.seen(f"payins/{payin['Id']}/refunds")[0] == part
    assert list(desk.wrong(path, {"AuthorId": desk.seller})) == ["AuthorId"]


# --- preauthorizations -----------------------------------------------------------------------------------------------


def held(desk: Desk, amount: int = 100_00, **members: Any) -> Any:
    asked = {
        "AuthorId": desk.payer,
        "DebitedFunds": eur(amount),
        "CardId": desk.new_card(),
        "SecureModeReturnURL": BACK,
    }
    return desk.made("preauthorizations/card/direct", asked | members)


def test_a_preauthorization_is_taken_in_parts(desk: Desk):
    asked = held(desk)
    assert (asked["Status"], asked["PaymentStatus"], asked["RemainingFunds"]) == ("SUCCEEDED", "WAITING", eur(100_00))
    first = desk.made("payins/preauthorized/direct", desk.stated(60_00, 0, PreauthorizationId=asked["Id"]))
    assert (first["PaymentType"], first["Status"], first["PreauthorizationId"]) == (
        "PREAUTHORIZED",
        "SUCCEEDED",
        asked["Id"],
    )
    above = desk.made("payins/preauthorized/direct", desk.stated(50_00, 0, PreauthorizationId=asked["Id"]))
    assert (above["Status"], above["ResultCode"]) == ("FAILED", "001505")
    now = desk.seen(f"preauthorizations/{asked['Id']}")
    assert (now["RemainingFunds"], now["PayInId"]) == (eur(40_00), first["Id"])
    assert desk.wrong(f"preauthorizations/{asked['Id']}", {"PaymentStatus": "CANCELED"}, method="PUT") == (
        "preauthorization_payment_status_can_not_be_canceled"
    )
    done = desk.changed(f"preauthorizations/{asked['Id']}", {"PaymentStatus": "VALIDATED"})
    assert (done["PaymentStatus"], done["RemainingFunds"]) == ("VALIDATED", eur(0))
    late = desk.stated(1_00, 0, PreauthorizationId=asked["Id"])
    assert desk.wrong("payins/preauthorized/direct", late) == {
        "PaymentStatus": "The PreAuthorization PaymentStatus value has to be WAITING"
    }
    assert len(desk.seen(f"preauthorizations/{asked['Id']}/transactions")) == 2
    refund = desk.made(f"payins/{first['Id']}/refunds", {"AuthorId": desk.payer})
    assert (refund["Status"], refund["DebitedFunds"]) == ("SUCCEEDED", eur(60_00))


def test_a_preauthorization_ends(desk: Desk):
    one, two = held(desk), held(desk)
    path = f"preauthorizations/{one['Id']}"
    assert desk.wrong(path, {"PaymentStatus": "VALIDATED"}, method="PUT") == "invalid_action"
    assert desk.changed(path, {"PaymentStatus": "CANCELED"})["PaymentStatus"] == "CANCELED"
    desk.world.advance(days=7)
    assert desk.seen(f"preauthorizations/{two['Id']}")["PaymentStatus"] == "EXPIRED"
    assert len(desk.seen(f"users/{desk.payer}/preauthorizations")) == 2
    assert [each["Id"] for each in desk.seen(f"cards/{two['CardId']}/preauthorizations")] == [two["Id"]]


def test_a_preauthorization_that_is_not_confirmed_gives_nothing(desk: Desk):
    asked = held(desk, SecureMode="FORCE")
    assert (asked["Status"], asked["SecureModeNeeded"]) == ("CREATED", True)
    take = desk.stated(1_00, 0, PreauthorizationId=asked["Id"])
    assert list(desk.wrong("payins/preauthorized/direct", take)) == ["Status"]
    page = asked["SecureModeRedirectURL"]
    desk.world.call("POST", page[page.index("/v2.01/") :], {"outcome": "decline"}, encoding="form")
    assert desk.seen(f"preauthorizations/{asked['Id']}")["ResultCode"] == "101301"


# --- recurring -------------------------------------------------------------------------------------------------------


def test_an_agreement_and_its_pay_ins(desk: Desk):
    asked = {
        "AuthorId": desk.payer,
        "CardId": desk.new_card(),
        "CreditedWalletId": desk.wallet,
        "FirstTransactionDebitedFunds": eur(12_00),
        "FirstTransactionFees": eur(2_00),
        "NextTransactionDebitedFunds": eur(10_00),
        "NextTransactionFees": eur(0),
    }
    agreed = desk.made("recurringpayinregistrations", asked)
    assert (agreed["Status"], agreed["CurrentState"]["PayinsLinked"]) == ("CREATED", 0)
    pay = {"RecurringPayinRegistrationId": agreed["Id"], "SecureModeReturnURL": BACK}
    first, second = desk.made("payins/recurring/card/direct", pay), desk.made("payins/recurring/card/direct", pay)
    assert (first["DebitedFunds"], second["DebitedFunds"]) == (eur(12_00), eur(10_00))
    assert first["RecurringPayinRegistrationId"] == agreed["Id"]
    now = desk.seen(f"recurringpayinregistrations/{agreed['Id']}")
    assert now["CurrentState"] == {
        "PayinsLinked": 2,
        "CumulatedDebitedAmount": eur(22_00),
        "CumulatedFeesAmount": eur(2_00),
        "LastPayinId": second["Id"],
    }
    desk.changed(f"recurringpayinregistrations/{agreed['Id']}", {"Status": "ENDED"})
    assert list(desk.wrong("payins/recurring/card/direct", pay)) == ["Status"]
    assert desk.made(f"payins/{first['Id']}/refunds", {"AuthorId": desk.payer})["Status"] == "SUCCEEDED"
    assert list(desk.wrong("payins/recurring/card/direct", {})) == ["RecurringPayinRegistrationId"]


# --- transfers and payouts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"DebitedFunds": eur(100_01)}, "001001"),
        ({"AuthorId": "seller"}, "001002"),
        ({"Fees": eur(10_00)}, "001014"),
    ],
)
def test_a_transfer_that_fails_is_an_answer(desk: Desk, change: dict[str, Any], code: str):
    desk.pay(100_00, 0)
    members = {name: desk.seller if value == "seller" else value for name, value in change.items()}
    transfer = desk.transfer(10_00, **members)
    assert (transfer["Status"], transfer["ResultCode"], transfer["ExecutionDate"]) == ("FAILED", code, None)
    assert (desk.balance(desk.wallet), desk.balance(desk.till)) == (100_00, 0)
    assert desk.seen(f"transfers/{transfer['Id']}") == transfer
    refund = {"AuthorId": transfer["AuthorId"]}
    assert desk.wrong(f"transfers/{transfer['Id']}/refunds", refund) == UNDONE


def test_transfers_stay_in_one_currency(desk: Desk):
    other = desk.new_wallet(desk.seller, "GBP")
    asked = {"AuthorId": desk.payer, "DebitedFunds": eur(1), "Fees": eur(0), "DebitedWalletId": desk.wallet}
    words = "The Debited Wallet's currency EUR and the Credited Wallet's currency GBP must be the same"
    assert desk.wrong("transfers", asked | {"CreditedWalletId": other}) == {"currency": words}
    assert list(desk.wrong("transfers", asked)) == ["CreditedWalletId"]


def test_a_payout_leaves_its_wallet(desk: Desk):
    desk.pay(100_00, 0)
    account = desk.account()
    asked = {"AuthorId": desk.payer, "DebitedWalletId": desk.wallet, "BankAccountId": account}
    asked |= {"DebitedFunds": eur(30_00), "Fees": eur(3_00), "BankWireRef": "June"}
    payout = desk.made("payouts/bankwire", asked)
    assert (payout["Status"], payout["ModeApplied"], payout["PaymentRef"]) == ("CREATED", "PENDING_RESPONSE", None)
    read = desk.seen(f"payouts/{payout['Id']}")
    assert (read["Status"], read["CreditedFunds"], read["CreditedWalletId"]) == ("SUCCEEDED", eur(27_00), None)
    assert desk.balance(desk.wallet) == 70_00
    assert desk.seen(f"payouts/{payout['Id']}/refunds") == []
    assert [each["Id"] for each in desk.seen(f"bankaccounts/{account}/transactions")] == [payout["Id"]]
    short = desk.made("payouts/bankwire", asked | {"DebitedFunds": eur(70_01)})
    assert (short["Status"], short["ResultCode"], short["ExecutionDate"]) == ("CREATED", None, None)
    late = desk.seen(f"payouts/{short['Id']}")
    assert (late["Status"], late["ResultCode"], late["ExecutionDate"]) == ("FAILED", "001001", None)
    assert desk.balance(desk.wallet) == 70_00
    strange = desk.made("payouts/bankwire", asked | {"DebitedWalletId": desk.till})
    assert (strange["Status"], strange["ResultCode"]) == ("FAILED", "001002")
    desk.changed(f"users/{desk.payer}/bankaccounts/{account}", {"Active": False})
    assert desk.wrong("payouts/bankwire", asked) == {"BankAccountId": "The bank account is not active"}


def test_a_payout_that_refers_to_a_pay_in_is_checked_like_a_refund(desk: Desk):
    payin = desk.pay(100_00, 0)
    reference = {"ReasonType": "PAYIN_REFUND", "ReferenceId": payin["Id"]}
    asked = {"AuthorId": desk.payer, "DebitedWalletId": desk.wallet, "BankAccountId": desk.account()}
    asked |= {"DebitedFunds": eur(60_00), "Fees": eur(0), "PaymentRef": reference}
    assert desk.made("payouts/bankwire", asked)["Status"] == "SUCCEEDED"
    refund = desk.made(f"payins/{payin['Id']}/refunds", {"AuthorId": desk.payer})
    assert (refund["Status"], refund["ResultCode"]) == ("FAILED", "005403"), "both draw on the same rest"
    assert [each["Id"] for each in desk.seen(f"payins/{payin['Id']}/refunds")] == [refund["Id"]]
    unknown = asked | {"PaymentRef": reference | {"ReferenceId": "1"}}
    assert list(desk.wrong("payouts/bankwire", unknown)) == ["PaymentRef.ReferenceId"]
    other = asked | {"PaymentRef": reference | {"ReasonType": "GIFT"}}
    assert list(desk.wrong("payouts/bankwire", other)) == ["PaymentRef.ReasonType"]
    assert list(desk.wrong("payouts/bankwire", asked | {"DebitedWalletId": desk.till})) == ["DebitedWalletId"]
    assert list(desk.wrong("payouts/bankwire", asked | {"DebitedFunds": eur(100_01)})) == ["DebitedFunds"]
    before = len(desk.world.refunds)
    headers = {"Idempotency_Key": KEY}
    small = asked | {"DebitedFunds": eur(1_00)}
    made = desk.made("payouts/bankwire", small, **headers)
    assert desk.ask("POST", "payouts/bankwire", small, **headers).status == 409
    assert desk.seen(f"responses/{KEY}")["Resource"] == made
    assert len(desk.world.refunds) == before + 1


# --- bank accounts and mandates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "numbers", "wrong"),
    [
        ("iban", {"IBAN": IBAN, "BIC": "BNPAFRPP"}, {"IBAN": "FR7630004000031234567890144"}),
        ("iban", {"IBAN": "fr76 3000 4000 0312 3456 7890 143"}, {"BIC": "B"}),
        ("gb", {"AccountNumber": "63956474", "SortCode": "200000"}, {"SortCode": "20"}),
        ("us", {"AccountNumber": "234234234234", "ABA": "234334789"}, {"ABA": "1"}),
        (
            "ca",
            {"BankName": "B", "InstitutionNumber": "614", "BranchCode": "00152", "AccountNumber": "11696419"},
            {"BranchCode": "1"},
        ),
        ("other", {"AccountNumber": "A1", "BIC": "BNPAFRPP", "Country": "SG"}, {"Country": None}),
    ],
)
def test_bank_accounts(desk: Desk, kind: str, numbers: dict[str, str], wrong: dict[str, Any]):
    path = f"users/{desk.payer}/bankaccounts"
    asked = {"OwnerName": "Ann", "OwnerAddress": {"City": "X"}} | numbers
    account = desk.made(f"{path}/{kind}", asked)
    assert (account["Type"], account["Active"]) == (kind.upper(), True)
    assert desk.seen(f"{path}/{account['Id']}") == account
    assert desk.seen(path) == [account]
    assert list(desk.wrong(f"{path}/{kind}", asked | wrong)) == list(wrong)
    assert desk.wrong(f"users/{desk.seller}/bankaccounts/{account['Id']}", method="GET", status=404)


def test_a_mandate_is_confirmed_before_it_collects(desk: Desk):
    mandate = desk.made(
        "mandates/directdebit/web", {"BankAccountId": desk.account(), "Culture": "EN", "ReturnURL": BACK}
    )
    assert (mandate["Status"], mandate["Scheme"]) == ("CREATED", None)
    collect = desk.stated(MandateId=mandate["Id"])
    early = desk.made("payins/directdebit/direct", collect)
    assert (early["Status"], early["ResultCode"], early["ChargeDate"]) == ("FAILED", "001833", None)
    page = mandate["RedirectURL"]
    desk.world.call("POST", page[page.index("/v2.01/") :], {"outcome": "confirm"}, encoding="form")
    active = desk.seen(f"mandates/{mandate['Id']}")
    assert (active["Status"], active["Scheme"]) == ("ACTIVE", "SEPA")
    payin = desk.made("payins/directdebit/direct", collect)
    assert (payin["Status"], payin["PaymentType"], payin["MandateId"]) == ("SUCCEEDED", "DIRECT_DEBIT", mandate["Id"])
    young = desk.made(f"payins/{payin['Id']}/refunds", {"AuthorId": desk.payer})
    assert (young["Status"], young["ResultCode"]) == ("FAILED", "001405")
    lifted = {"AuthorId": desk.payer, "Tag": "ignore_mindate", "StatementDescriptor": "Back"}
    refund = desk.made(f"payins/{payin['Id']}/refunds", lifted)
    assert (refund["Status"], refund["StatementDescriptor"]) == ("SUCCEEDED", "Back")
    assert len(desk.seen(f"mandates/{mandate['Id']}/transactions")) == 4
    assert desk.seen(f"users/{desk.payer}/mandates") == desk.seen("mandates") == [active]
    assert desk.changed(f"mandates/{mandate['Id']}/cancel")["Status"] == "FAILED"
    assert desk.wrong(f"mandates/{mandate['Id']}/cancel", method="PUT") == "mandate_cannot_be_cancelled"


# --- disputes --------------------------------------------------------------------------------------------------------


def test_a_dispute_that_is_given_up_takes_the_money(desk: Desk):
    payin = desk.pay(100_00, 0)
    dispute = desk.made("disputes", {"InitialTransactionId": payin["Id"], "DisputedFunds": eur(40_00)})
    path = f"disputes/{dispute['Id']}"
    assert (dispute["Status"], dispute["DisputedFunds"], dispute["ResultCode"]) == (
        "PENDING_CLIENT_ACTION",
        eur(40_00),
        "",
    )
    assert desk.wrong(f"{path}/submit", method="PUT") == {"ContestedFunds": "This field is required"}
    assert desk.wrong(f"{path}/submit", {"ContestedFunds": eur(40_01)}, method="PUT") == {
        "ContestedFunds": "The ContestedFunds amount must be less than or equal to the DisputedFunds amount"
    }
    assert desk.changed(path, {"Tag": "t"})["Tag"] == "t"
    closed = desk.changed(f"{path}/close")
    assert (closed["Status"], closed["ResultCode"]) == ("CLOSED", "LOST")
    assert desk.balance(desk.wallet) == 60_00
    refund = desk.made(f"payins/{payin['Id']}/refunds", {"AuthorId": desk.payer})
    assert (refund["Status"], refund["ResultCode"]) == ("FAILED", "005408")
    repudiation = desk.seen(f"repudiations/{dispute['RepudiationId']}")
    assert (repudiation["Nature"], repudiation["DebitedWalletId"]) == ("REPUDIATION", "CREDIT_EUR")
    assert desk.seen(f"repudiations/{dispute['RepudiationId']}/refunds") == []
    natures = [each["Nature"] for each in desk.seen(f"{path}/transactions")]
    assert natures == ["REGULAR", "REPUDIATION"]
    for listed in ("disputes", f"users/{desk.payer}/disputes", f"wallets/{desk.wallet}/disputes"):
        assert [each["Id"] for each in desk.seen(listed)] == [dispute["Id"]]
    assert desk.seen("disputes/pendingsettlement") == []
    assert list(desk.wrong(f"{path}/close", method="PUT")) == ["Status"]


def test_a_dispute_has_a_deadline(desk: Desk):
    dispute = desk.made("disputes", {"InitialTransactionId": desk.pay()["Id"]})
    desk.world.advance(days=8)
    late = desk.wrong(f"disputes/{dispute['Id']}/submit", {"ContestedFunds": eur(1_00)}, method="PUT")
    assert late == "dispute_contest_deadline_passed"


# --- hooks, papers ---------------------------------------------------------------------------------------------------


def test_hooks(desk: Desk):
    asked = {"EventType": "PAYIN_REFUND_SUCCEEDED", "Url": "https://shop.example/hook", "Email": "ann@example.com"}
    hook = desk.made("hooks", asked)
    assert (hook["Status"], hook["Validity"]) == ("ENABLED", "VALID")
    assert desk.wrong("hooks", asked) == {"EventType": "A hook has already been registered for this EventType"}
    assert list(desk.wrong("hooks", {})) == ["EventType", "Url"]
    changed = desk.changed(f"hooks/{hook['Id']}", hook | {"Url": "https://shop.example/2", "Validity": "INVALID"})
    assert changed == hook | {"Url": "https://shop.example/2", "Validity": "INVALID"}
    assert desk.seen(f"hooks/{hook['Id']}") == changed
    assert desk.seen("hooks") == [changed]
    assert desk.world.call("DELETE", f"/v2.01/demo/hooks/{hook['Id']}").status == 405


def test_events_are_searched_for_45_days(desk: Desk):
    desk.pay()
    assert desk.seen("events?EventType=PAYIN_NORMAL_SUCCEEDED")
    old = int(desk.world.now.timestamp()) - 46 * 86_400
    newest = desk.seen("events?Sort=Date:desc")
    assert newest == desk.seen("events?Sort=CreationDate:DESC") == desk.seen("events")[::-1]
    both = "Events older than 45 days can not be searched"
    assert desk.wrong(f"events?AfterDate={old}", method="GET") == {"AfterDate": both, "BeforeDate": both}


def test_papers(desk: Desk):
    path = f"users/{desk.payer}/kyc/documents"
    document = desk.made(path, {"Type": "IDENTITY_PROOF"})
    assert desk.ask("POST", f"{path}/{document['Id']}/pages", {"File": "aGVsbG8="}).status == 204
    assert desk.changed(f"{path}/{document['Id']}", {"Status": "VALIDATION_ASKED"})["Status"] == "VALIDATION_ASKED"
    assert [each["Id"] for each in desk.seen("kyc/documents")] == [document["Id"]]
    assert list(desk.wrong(path, {"Type": "PHOTO"})) == ["Type"]


# --- what holds everywhere -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [None, {}, [], "text", 7, {"DebitedFunds": [], "Owners": {}, "Address": 1, "PaymentRef": 1}]
)
def test_no_body_breaks_a_call(desk: Desk, body: Any):
    for route in DIALECT.routes:
        if route.method in ("POST", "PUT") and not route.path.endswith("/oauth/token"):
            path = route.path.format(ClientId="demo", **dict.fromkeys(_names(route.path), desk.payer))
            outgoing = desk.world.call(route.method, path, body, encoding="json")
            assert outgoing.status < 500, path


def _names(path: str) -> list[str]:
    return [word[1:-1] for word in path.split("/") if word.startswith("{") and word != "{ClientId}"]


def test_a_list_reads_what_it_prints(desk: Desk):
    for _ in range(12):
        desk.new_wallet(desk.payer)
    desk.world.asks.clear()
    outgoing = desk.ask("GET", f"users/{desk.payer}/wallets?page=2&per_page=5&Sort=CreationDate:DESC")
    assert len(said(outgoing)) == 5
    assert outgoing.headers["X-Number-Of-Items"] == "13"
    assert outgoing.headers["X-Number-Of-Pages"] == "3"
    limits = [ask.limit for ask in desk.world.asks if isinstance(ask, ListDocuments)]
    assert limits == [5]


# --- pages -----------------------------------------------------------------------------------------------------------


def on_a_page(desk: Desk) -> tuple[Any, str]:
    payin = desk.made("payins/card/web", desk.stated(ReturnURL=BACK, CardType="CB_VISA_MASTERCARD"))
    return payin, payin["RedirectURL"][payin["RedirectURL"].index("/v2.01/") :]


def test_a_page_is_open_for_an_hour(desk: Desk):
    payin, page = on_a_page(desk)
    desk.world.advance(seconds=3_599)
    assert b"<form" in text(desk.world.call("GET", page))
    desk.world.advance(seconds=1)
    for method, body, encoding in (("GET", None, None), ("POST", {"outcome": "confirm"}, "form")):
        shut = desk.world.call(method, page, body, encoding=encoding)
        assert b"Nothing is waiting here" in text(shut)
    assert desk.seen(f"payins/{payin['Id']}")["Status"] == "CREATED"


def test_a_page_names_its_merchant_and_proves_itself_by_its_secret(desk: Desk):
    _, page = on_a_page(desk)
    _, version, client, pages, merchant, secret, identity, decide = page.split("/")
    assert (merchant, len(secret)) == (desk.world.caller.merchant.hex, 32)
    for words in (
        (STRANGER.hex, secret, identity),
        ("nobody", secret, identity),
        (merchant, secret[:-1], identity),
        (merchant, "0" * 32, identity),
        (merchant, secret, "1"),
    ):
        shut = desk.world.call("GET", "/".join(["", version, client, pages, *words, decide]))
        assert b"Nothing is waiting here" in text(shut)
    assert b"<form" in text(desk.world.call("GET", page))


# --- what came in by no call of this dialect -------------------------------------------------------------------------


def test_a_payment_that_was_registered_natively_is_entered_by_whoever_lists_next(desk: Desk):
    own = desk.pay()
    for number in range(250):
        desk.world.pay(1_00 + number, "EUR", dialect_id=f"n{number}", dialect_data={"CreditedWalletId": desk.wallet})
        if number % 100 == 0:
            desk.world.advance(seconds=1)
    found: list[Any] = []
    for page in (1, 2, 3):
        found += desk.seen(f"wallets/{desk.wallet}/transactions?per_page=100&page={page}")
    assert {each["Id"] for each in found} == {own["Id"], *(f"n{number}" for number in range(250))}
    assert len(found) == 251
    late = desk.world.pay(5_00, "EUR", status="processing", dialect_data={"CreditedWalletId": desk.wallet})
    assert desk.seen(f"wallets/{desk.wallet}/transactions?per_page=100&page=3")[-1]["Id"] == late.dialect_id
    events = desk.seen("events?EventType=PAYIN_NORMAL_CREATED&per_page=100&page=3")
    assert [each["ResourceId"] for each in events][-1] == late.dialect_id
    asked = len(desk.world.asks)
    desk.seen(f"wallets/{desk.wallet}/transactions?per_page=1")
    assert [type(each).__name__ for each in desk.world.asks[asked:]].count("SaveDocument") == 0
