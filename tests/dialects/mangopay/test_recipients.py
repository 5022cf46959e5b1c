"""Recipients: what each kind must state, who confirms it, and payouts and refunds that reach one."""

from collections.abc import Mapping
from typing import Any

import pytest

from moneyback.dialects.mangopay.recipients import ACCOUNTS
from tests.dialects.driver import said
from tests.dialects.mangopay.shop import IBAN, eur
from tests.dialects.mangopay.test_resources import Desk
from tests.dialects.mangopay.test_telling import announced, confirm, listen

ADDRESS = {
    "AddressLine1": "1 rue de Rivoli",
    "City": "Paris",
    "PostalCode": "75001",
    "Country": "FR",
    "Region": "Paris",
}
PERSON = {"RecipientType": "Individual", "IndividualRecipient": {"FirstName": "Ann", "LastName": "Smith"}}
BUSINESS = {"RecipientType": "Business", "BusinessRecipient": {"BusinessName": "Acme Ltd"}}
NUMBERS: Mapping[tuple[str, str], Any] = {
    ("LocalBankTransfer", "EUR"): {"EUR": {"IBAN": IBAN}},
    ("LocalBankTransfer", "GBP"): {"GBP": {"SortCode": "200000", "AccountNumber": "55779911"}},
    ("LocalBankTransfer", "USD"): {"USD": {"AccountNumber": "11696419", "ABA": "071000288"}},
    ("InternationalBankTransfer", "EUR"): {"IBAN": IBAN},
    ("InternationalBankTransfer", "GBP"): {"IBAN": IBAN},
    ("InternationalBankTransfer", "USD"): {"AccountNumber": "11696419", "BIC": "BNPAFRPPXXX"},
}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def stated(method: str = "LocalBankTransfer", currency: str = "EUR", who: Any = None, **members: Any) -> dict[str, Any]:
    """A recipient that could be kept."""
    home = {"EUR": "FR", "GBP": "GB", "USD": "US"}[currency]
    who = {**(who or PERSON)}
    inner = "IndividualRecipient" if who["RecipientType"] == "Individual" else "BusinessRecipient"
    who[inner] = {**who[inner], "Address": ADDRESS | {"Country": home}}
    account = {"PayoutMethodType": method, "Currency": currency, method: NUMBERS[(method, currency)]}
    return {"DisplayName": "Savings", **account, **who} | members


def kept(desk: Desk, **members: Any) -> Any:
    """A recipient that its user has confirmed."""
    made = desk.made(f"users/{desk.payer}/recipients", stated(**members))
    confirm(desk, made["PendingUserAction"]["RedirectUrl"])
    return desk.seen(f"recipients/{made['Id']}")


def test_every_account_is_tried():
    assert NUMBERS.keys() == ACCOUNTS.keys()


@pytest.mark.parametrize("who", [PERSON, BUSINESS], ids=["person", "business"])
@pytest.mark.parametrize(("method", "currency"), sorted(ACCOUNTS))
def test_what_the_schema_asks_for_is_taken(desk: Desk, method: str, currency: str, who: Any):
    body = stated(method, currency, who)
    query = f"payoutMethodType={method}&recipientType={who['RecipientType']}&currency={currency}"
    published = desk.seen(f"recipients/schema?{query}")
    assert_holds(published, body)
    assert desk.ask("POST", f"users/{desk.payer}/recipients/validate", body).status == 200
    made = desk.made(f"users/{desk.payer}/recipients", body)
    assert {name: made[name] for name in body} == body
    assert made["Country"] == {"EUR": "FR", "GBP": "GB", "USD": "US"}[currency] or method != "LocalBankTransfer"
    assert (made["Status"], made["RecipientScope"], made["UserId"]) == ("PENDING", "PAYOUT", desk.payer)
    assert desk.seen(f"recipients/{made['Id']}") == made


def assert_holds(published: Any, body: Any) -> None:
    """What is required is stated, and nothing is stated that is not published."""
    assert set(body) <= set(published)
    for name, field in published.items():
        if "Required" not in field:
            assert_holds(field, body[name])
        elif name in body:
            assert len(body[name]) <= field["MaxLength"]
            assert body[name] in field.get("AllowedValues", [body[name]])
        else:
            assert not field["Required"]


@pytest.mark.parametrize(
    ("members", "errors"),
    [
        ({"DisplayName": None}, {"DisplayName": "REQUIRED"}),
        ({"DisplayName": "x" * 51}, {"DisplayName": "LENGTH_MORE_THAN_MAX"}),
        ({"DisplayName": "a & b"}, {"DisplayName": "INVALID_FORMAT"}),
        ({"DisplayName": "two\nlines"}, {"DisplayName": "INVALID_FORMAT"}),
        ({"DisplayName": 1}, {"DisplayName": "INVALID_FORMAT"}),
        ({"PayoutMethodType": "Cash"}, {"PayoutMethodType": "NOT_IN_ALLOWED_VALUES"}),
        ({"RecipientType": None}, {"RecipientType": "REQUIRED"}),
        ({"Currency": "XXX"}, {"Currency": "NOT_IN_ALLOWED_VALUES"}),
        ({"Currency": "JPY"}, {"Currency": "UNSUPPORTED_CURRENCY"}),
        ({"LocalBankTransfer": None}, {"LocalBankTransfer.EUR.IBAN": "REQUIRED"}),
        ({"LocalBankTransfer": {"EUR": {"IBAN": f"{IBAN[:-1]}4"}}}, {"LocalBankTransfer.EUR.IBAN": "INVALID_IBAN"}),
        ({"LocalBankTransfer": {"EUR": {"IBAN": "?" * 20}}}, {"LocalBankTransfer.EUR.IBAN": "INVALID_FORMAT"}),
        ({"IndividualRecipient": {"FirstName": "Ann"}}, "LastName"),
        ({"RecipientScope": "BOTH"}, {"RecipientScope": "NOT_IN_ALLOWED_VALUES"}),
        ({"Country": "France"}, {"Country": "LENGTH_MORE_THAN_MAX"}),
        ({"Country": "US"}, {"Country": "UNSUPPORTED_PAYOUT_METHOD_FOR_CURRENCY"}),
        ({"Tag": "x" * 256}, {"Tag": "LENGTH_MORE_THAN_MAX"}),
        (
            {"Currency": "GBP", "LocalBankTransfer": {"GBP": {"SortCode": "1", "AccountNumber": "5577991x"}}},
            {
                "LocalBankTransfer.GBP.SortCode": "LENGTH_LESS_THAN_MIN",
                "LocalBankTransfer.GBP.AccountNumber": "INVALID_FORMAT",
            },
        ),
    ],
)
def test_recipients_that_are_refused(desk: Desk, members: dict[str, Any], errors: Any):
    for path in (f"users/{desk.payer}/recipients", f"users/{desk.payer}/recipients/validate"):
        found = desk.wrong(path, stated() | members)
        if isinstance(errors, str):
            assert found[f"IndividualRecipient.{errors}"] == "REQUIRED"
            assert found["IndividualRecipient.Address.City"] == "REQUIRED"
        else:
            assert found == errors
    assert desk.seen(f"users/{desk.payer}/recipients") == []


def test_an_iban_is_kept_without_its_blanks(desk: Desk):
    spaced = stated(LocalBankTransfer={"EUR": {"IBAN": "fr76 3000 4000 0312 3456 7890 143"}})
    made = desk.made(f"users/{desk.payer}/recipients", spaced)
    assert made["LocalBankTransfer"] == {"EUR": {"IBAN": IBAN}}


@pytest.mark.parametrize(("outcome", "status"), [("confirm", "ACTIVE"), ("decline", "CANCELED")])
def test_its_user_confirms_it(desk: Desk, outcome: str, status: str):
    listen(desk, "RECIPIENT_ACTIVE", "RECIPIENT_CANCELED", "RECIPIENT_DEACTIVATED")
    made = desk.made(f"users/{desk.payer}/recipients", stated())
    assert announced(desk) == []
    confirm(desk, made["PendingUserAction"]["RedirectUrl"], outcome)
    now = desk.seen(f"recipients/{made['Id']}")
    assert (now["Status"], now["PendingUserAction"]) == (status, None)
    confirm(desk, made["PendingUserAction"]["RedirectUrl"])
    assert announced(desk) == [(f"RECIPIENT_{status}", made["Id"])]
    off = desk.ask("PUT", f"recipients/{made['Id']}")
    assert off.status == (200 if status == "ACTIVE" else 400)
    again = desk.ask("PUT", f"recipients/{made['Id']}")
    assert (again.status, said(again)["Message"]) == (400, "Invalid State")
    assert announced(desk) == ([("RECIPIENT_DEACTIVATED", made["Id"])] if status == "ACTIVE" else [])


@pytest.mark.parametrize("members", [{"RecipientScope": "PAYIN"}, {"ScaContext": "USER_NOT_PRESENT"}])
def test_what_needs_no_confirmation_is_active_at_once(desk: Desk, members: dict[str, str]):
    listen(desk, "RECIPIENT_ACTIVE")
    made = desk.made(f"users/{desk.payer}/recipients", stated() | members)
    assert (made["Status"], made["PendingUserAction"]) == ("ACTIVE", None)
    assert announced(desk) == [("RECIPIENT_ACTIVE", made["Id"])]


def paying(desk: Desk, account: str, **members: Any) -> dict[str, Any]:
    whom = {"AuthorId": desk.payer, "DebitedWalletId": desk.wallet, "BankAccountId": account}
    return whom | {"DebitedFunds": eur(10_00), "Fees": eur(0)} | members


def test_a_wire_is_given_back_to_a_recipient(desk: Desk):
    recipient = kept(desk)
    funds = {"DeclaredDebitedFunds": eur(50_00), "DeclaredFees": eur(0)}
    wire = desk.made("payins/bankwire/direct", {"AuthorId": desk.payer, "CreditedWalletId": desk.wallet} | funds)
    desk.made(f"payins/{wire['Id']}/outcome", {"Status": "SUCCEEDED"})
    reference = {"PaymentRef": {"ReasonType": "PAYIN_REFUND", "ReferenceId": wire["Id"]}}
    back = desk.made("payouts/bankwire", paying(desk, recipient["Id"], **reference))
    assert (back["Status"], back["BankAccountId"]) == ("SUCCEEDED", recipient["Id"])
    assert [each["Id"] for each in desk.seen(f"bankaccounts/{recipient['Id']}/transactions")] == [back["Id"]]
    assert desk.balance(desk.wallet) == 40_00


def test_only_a_recipient_of_the_author_in_use_is_paid(desk: Desk):
    desk.pay(100_00, 0)
    pending = desk.made(f"users/{desk.payer}/recipients", stated())
    payin = desk.made(f"users/{desk.payer}/recipients", stated(RecipientScope="PAYIN"))
    other = desk.made(f"users/{desk.seller}/recipients", stated(ScaContext="USER_NOT_PRESENT"))
    for each in (pending, payin, other):
        assert list(desk.wrong("payouts/bankwire", paying(desk, each["Id"]))) == ["BankAccountId"]
    pounds = desk.made(f"users/{desk.payer}/recipients", stated(currency="GBP", ScaContext="USER_NOT_PRESENT"))
    assert list(desk.wrong("payouts/bankwire", paying(desk, pounds["Id"]))) == ["currency"]
    abroad = stated("InternationalBankTransfer", "GBP", ScaContext="USER_NOT_PRESENT")
    far = desk.made(f"users/{desk.payer}/recipients", abroad)
    assert desk.made("payouts/bankwire", paying(desk, far["Id"]))["Status"] == "CREATED"


def test_bank_accounts_are_listed_with_recipients(desk: Desk):
    account = desk.account()
    desk.world.advance(seconds=1)
    made = desk.made(f"users/{desk.payer}/recipients", stated(RecipientScope="PAYIN"))
    listed = desk.seen(f"users/{desk.payer}/recipients")
    assert [each["Id"] for each in listed] == [account, made["Id"]]
    assert (listed[0]["Currency"], listed[0]["Country"], listed[0]["DisplayName"]) == ("EUR", "FR", None)
    assert desk.seen(f"recipients/{account}") == listed[0]
    assert desk.seen(f"users/{desk.payer}/recipients?RecipientScope=PAYIN") == [made]
    assert desk.seen(f"users/{desk.payer}/recipients?Sort=CreationDate:DESC&per_page=1") == [made]
    for method, path in (("GET", "recipients/1"), ("PUT", "recipients/1"), ("PUT", f"recipients/{account}")):
        assert desk.ask(method, path).status == 404


@pytest.mark.parametrize(
    ("query", "methods"),
    [
        ("currency=EUR&country=FR", ["LocalBankTransfer", "InternationalBankTransfer"]),
        ("Currency=gbp&Country=gb", ["LocalBankTransfer", "InternationalBankTransfer"]),
        ("currency=USD&country=FR", ["InternationalBankTransfer"]),
        ("currency=EUR&country=US", ["InternationalBankTransfer"]),
    ],
)
def test_ways_to_a_country(desk: Desk, query: str, methods: list[str]):
    assert desk.seen(f"recipients/payout-methods?{query}") == {"AvailablePayoutMethods": methods}


@pytest.mark.parametrize(
    ("path", "errors"),
    [
        ("payout-methods", {"Currency": "REQUIRED", "Country": "REQUIRED"}),
        ("payout-methods?currency=JPY&country=JP", {"Currency": "UNSUPPORTED_CURRENCY"}),
        ("schema?currency=EUR", {"PayoutMethodType": "REQUIRED", "RecipientType": "REQUIRED"}),
        (
            "schema?currency=CHF&payoutMethodType=LocalBankTransfer&recipientType=Business",
            {"Currency": "UNSUPPORTED_CURRENCY"},
        ),
    ],
)
def test_questions_that_are_refused(desk: Desk, path: str, errors: dict[str, str]):
    assert desk.wrong(f"recipients/{path}", method="GET") == errors
