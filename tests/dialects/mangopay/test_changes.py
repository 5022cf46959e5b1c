"""What changes of a user, a hook, an account or a payout, and what stays: the rules a second call meets.

In the table-driven world; each answer is held against its published schema by the shop.
"""

from typing import Any

import pytest

from tests.dialects.mangopay.shop import COMPANY, PERSON, eur
from tests.dialects.mangopay.test_resources import OTHER_CURRENCY, REQUIRED, UNDONE, Desk

PAYER = {name: PERSON[name] for name in ("FirstName", "LastName", "Email")} | {"UserCategory": "PAYER"}
POUND = {"Currency": "GBP", "Amount": 1}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def payout(desk: Desk, **members: Any) -> dict[str, Any]:
    asked = {"AuthorId": desk.payer, "DebitedWalletId": desk.wallet, "BankAccountId": desk.account()}
    return asked | {"DebitedFunds": eur(30_00), "Fees": eur(0)} | members


# --- users -----------------------------------------------------------------------------------------------------------


def test_the_date_of_acceptance_is_that_of_the_first(desk: Desk):
    user = desk.made("users/natural", PAYER)
    path = f"users/natural/{user['Id']}"
    assert user["TermsAndConditionsAcceptedDate"] is None
    desk.world.advance(seconds=1)
    accepted = desk.changed(path, {"TermsAndConditionsAccepted": True})["TermsAndConditionsAcceptedDate"]
    assert accepted == int(desk.world.now.timestamp())
    desk.world.advance(seconds=1)
    assert desk.changed(path, {"TermsAndConditionsAccepted": True})["TermsAndConditionsAcceptedDate"] == accepted


@pytest.mark.parametrize(("place", "status"), [("sca/users", "PENDING_USER_ACTION"), ("users", "ACTIVE")])
def test_who_becomes_an_owner_enrols_where_that_is_asked(desk: Desk, place: str, status: str):
    user = desk.made(f"{place}/natural", PAYER)
    assert user["UserStatus"] == "ACTIVE"
    assert desk.changed(f"{place}/natural/{user['Id']}", PERSON)["UserStatus"] == status


def test_an_owner_is_asked_to_enrol_once(desk: Desk):
    user = desk.made("sca/users/natural", PERSON)
    page = user["PendingUserAction"]["RedirectUrl"]
    desk.world.call("POST", page[page.index("/v2.01/") :], {"outcome": "confirm"}, encoding="form")
    changed = desk.changed(f"sca/users/natural/{user['Id']}", {"FirstName": "Bea", "UserCategory": "OWNER"})
    assert (changed["UserStatus"], changed["PendingUserAction"], changed["FirstName"]) == ("ACTIVE", None, "Bea")


# --- hooks and events ------------------------------------------------------------------------------------------------


def test_a_hook_that_is_invalid_is_revived_by_switching_it_off_and_on(desk: Desk):
    hook = desk.made("hooks", {"EventType": "PAYIN_REFUND_FAILED", "Url": "https://shop.example/hook"})
    path = f"hooks/{hook['Id']}"
    assert desk.changed(path, {"Validity": "INVALID"})["Validity"] == "INVALID"
    assert desk.changed(path, {"Status": "ENABLED"})["Validity"] == "INVALID", "it was never off"
    assert desk.changed(path, {"Status": "DISABLED"})["Validity"] == "INVALID"
    revived = desk.changed(path, {"Status": "ENABLED"})
    assert (revived["Status"], revived["Validity"]) == ("ENABLED", "VALID")


def test_events_are_chosen_by_type_in_any_letters_and_searched_to_the_second(desk: Desk):
    desk.pay()
    (event,) = desk.seen("events?EventType=payin_normal_succeeded")
    assert event["EventType"] == "PAYIN_NORMAL_SUCCEEDED"
    oldest = int(desk.world.now.timestamp()) - 45 * 86_400
    assert desk.seen(f"events?AfterDate={oldest}&EventType=PAYIN_NORMAL_SUCCEEDED") == [event]
    assert set(desk.wrong(f"events?AfterDate={oldest - 1}", method="GET")) == {"AfterDate", "BeforeDate"}


# --- bank accounts ---------------------------------------------------------------------------------------------------


def test_an_account_elsewhere_names_its_bank(desk: Desk):
    asked = {"OwnerName": "Ann", "OwnerAddress": {}, "AccountNumber": "A1", "Country": "SG"}
    assert desk.wrong(f"users/{desk.payer}/bankaccounts/other", asked) == {"BIC": REQUIRED.format("BIC")}


def test_accounts_are_chosen_by_whether_they_are_in_use(desk: Desk):
    path = f"users/{desk.payer}/bankaccounts"
    one, two = desk.account(), desk.account()
    desk.changed(f"{path}/{one}", {"Active": False})
    assert desk.changed(f"{path}/{one}", {"Active": True})["Active"] is False
    for active, ids in (("true", [two]), ("FALSE", [one]), ("", [one, two])):
        assert [each["Id"] for each in desk.seen(f"{path}?Active={active}")] == ids


# --- payouts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "errors"),
    [
        ({"Fees": POUND}, {"Fees.Currency": OTHER_CURRENCY}),
        (
            {"DebitedFunds": POUND, "Fees": POUND | {"Amount": 0}},
            {"currency": "The Wallet's currency EUR and the DebitedFunds's currency GBP must be the same"},
        ),
    ],
)
def test_payouts_stay_in_one_currency(desk: Desk, members: dict[str, Any], errors: dict[str, str]):
    assert desk.wrong("payouts/bankwire", payout(desk, **members)) == errors


@pytest.mark.parametrize("fees", [30_00, 40_00])
def test_a_payout_that_credits_nothing_fails(desk: Desk, fees: int):
    desk.pay(100_00, 0)
    made = desk.made("payouts/bankwire", payout(desk, Fees=eur(fees)))
    assert (made["Status"], made["ResultCode"], made["CreditedFunds"]) == ("FAILED", "001014", eur(0))
    assert desk.balance(desk.wallet) == 100_00


def referring(identity: str) -> dict[str, Any]:
    return {"ReasonType": "PAYIN_REFUND", "ReferenceId": identity}


def test_pay_ins_that_no_payout_gives_back(desk: Desk):
    owner = {"OwnerName": "Acme", "OwnerAddress": {}, "IBAN": "FR7630004000031234567890143"}
    theirs = desk.made(f"users/{desk.seller}/bankaccounts/iban", owner)["Id"]
    payin = desk.pay(100_00, 0)
    other = payout(desk, PaymentRef=referring(payin["Id"]), AuthorId=desk.seller, BankAccountId=theirs)
    assert list(desk.wrong("payouts/bankwire", other)) == ["AuthorId"]
    moved = payout(desk, PaymentRef=referring(desk.transfer(1_00)["Id"]))
    assert list(desk.wrong("payouts/bankwire", moved)) == ["PaymentRef.ReferenceId"]
    declared = {"AuthorId": desk.payer, "CreditedWalletId": desk.wallet}
    declared |= {"DeclaredDebitedFunds": eur(30_00), "DeclaredFees": eur(0)}
    expected = desk.made("payins/bankwire/direct", declared)
    assert desk.wrong("payouts/bankwire", payout(desk, PaymentRef=referring(expected["Id"]))) == UNDONE
    desk.made("disputes", {"InitialTransactionId": payin["Id"]})
    disputed = payout(desk, PaymentRef=referring(payin["Id"]))
    words = "Due to repudiations against this transaction, you can not refund this amount"
    assert desk.wrong("payouts/bankwire", disputed) == {"DebitedFunds": words}
    assert not desk.world.refunds


def test_a_pay_in_is_no_payout(desk: Desk):
    payin = desk.pay(100_00, 0)
    assert desk.wrong(f"payouts/{payin['Id']}", method="GET", status=404)


def test_a_company_is_changed_in_part(desk: Desk):
    company = desk.made("users/legal", COMPANY | {"HeadquartersAddress": {"City": "Lyon", "Country": "FR"}})
    changed = desk.changed(f"users/legal/{company['Id']}", {"Name": "Other", "LegalRepresentativeLastName": "Jones"})
    assert changed == company | {"Name": "Other", "LegalRepresentativeLastName": "Jones"}
