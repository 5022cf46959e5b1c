"""Mangopay over HTTP from the first user to the last refund: what its clients do before, while and after refunding."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from moneyback.dialect import Outgoing
from tests.dialects.driver import said
from tests.dialects.http.server import Face, Product, basic, form
from tests.dialects.mangopay.demo import consistent
from tests.dialects.mangopay.shop import Shop, eur


@pytest.fixture(scope="module")
def face(product: Product) -> Face:
    ready = product.ready["mangopay"]
    return product.face("mangopay", basic(ready["client_id"], ready["api_key"]))


@pytest.fixture
def shop(face: Face) -> Shop:
    def send(method: str, path: str, body: Any, headers: Mapping[str, str]) -> Outgoing:
        if "form" in headers:  # a payer's browser: it has no credentials
            return face.as_(None).ask(method, path, form(body))
        return face.ask(method, path, body, **headers)

    return Shop(send)


def test_a_pay_in_by_card_is_refunded_in_parts(shop: Shop):
    payin = shop.pay(100_00, 10_00)
    refunds = f"payins/{payin['Id']}/refunds"
    assert shop.balance(shop.wallet) == 90_00
    part = shop.made(refunds, {"AuthorId": shop.payer, "DebitedFunds": eur(30_00), "Fees": eur(-3_00)})
    consistent(part)
    assert (part["Status"], part["CreditedFunds"], part["DebitedWalletId"]) == ("SUCCEEDED", eur(33_00), shop.wallet)
    assert shop.balance(shop.wallet) == 60_00
    above = {"AuthorId": shop.payer, "DebitedFunds": eur(90_01), "Fees": eur(0)}
    assert list(shop.wrong(refunds, above)) == ["DebitedFunds"]
    sum_above = shop.made(refunds, {"AuthorId": shop.payer, "DebitedFunds": eur(60_01), "Fees": eur(0)})
    assert (sum_above["Status"], sum_above["ResultCode"]) == ("FAILED", "005403")
    rest = shop.made(refunds, {"AuthorId": shop.payer, "DebitedFunds": eur(60_00), "Fees": eur(-7_00)})
    assert (rest["Status"], rest["CreditedFunds"]) == ("SUCCEEDED", eur(67_00))
    assert shop.balance(shop.wallet) == 0
    over = shop.made(refunds, {"AuthorId": shop.payer})
    assert (over["Status"], over["ResultCode"]) == ("FAILED", "001401")
    assert shop.seen(f"refunds/{part['Id']}") == part
    assert shop.seen(refunds) == [part, sum_above, rest, over]
    assert shop.seen(f"{refunds}?Status=SUCCEEDED&Sort=CreationDate:DESC") == [rest, part]
    assert shop.seen(f"payins/{payin['Id']}") == payin
    listed = shop.seen(f"wallets/{shop.wallet}/transactions")
    assert listed == [payin, part, sum_above, rest, over]
    assert shop.seen(f"users/{shop.payer}/transactions?Nature=REFUND&Status=FAILED") == [sum_above, over]
    assert shop.seen(f"cards/{payin['CardId']}/transactions?per_page=2&page=3") == [over]


def test_a_transfer_is_refunded_in_parts(shop: Shop):
    shop.pay(100_00, 0)
    transfer = shop.transfer(50_00, 5_00)
    assert (shop.balance(shop.wallet), shop.balance(shop.till)) == (50_00, 45_00)
    refunds = f"transfers/{transfer['Id']}/refunds"
    part = shop.made(refunds, {"AuthorId": shop.payer, "DebitedFunds": eur(15_00), "Fees": eur(0)})
    assert (part["Type"], part["InitialTransactionType"]) == ("TRANSFER", "TRANSFER")
    assert (part["DebitedWalletId"], part["CreditedWalletId"]) == (shop.till, shop.wallet)
    assert part["RefundReason"]["RefundReasonType"] == "OTHER"
    # The same amount again, at once: that rule is for pay-ins.
    again = shop.made(refunds, {"AuthorId": shop.payer, "DebitedFunds": eur(15_00), "Fees": eur(-5_00)})
    assert again["Status"] == "SUCCEEDED"
    assert (shop.balance(shop.wallet), shop.balance(shop.till)) == (85_00, 15_00)
    author = {"AuthorId": "Author of the refund is not the author of the initial transfer"}
    assert shop.wrong(refunds, {"AuthorId": shop.seller}) == author
    above = {"AuthorId": shop.payer, "DebitedFunds": eur(45_01), "Fees": eur(0)}
    high = "DebitedFunds cannot be higher than CreditedFunds of the initial transfer"
    assert shop.wrong(refunds, above) == {"DebitedFunds": high}
    rest = shop.made(refunds, {"AuthorId": shop.payer, "DebitedFunds": eur(15_00), "Fees": eur(0)})
    done = {"TransferId": "Original transaction has already been successfully refunded"}
    assert shop.wrong(refunds, {"AuthorId": shop.payer}) == done
    assert (shop.balance(shop.wallet), shop.balance(shop.till)) == (100_00, 0)
    assert shop.seen(refunds) == [part, again, rest]
    assert shop.seen(f"transfers/{transfer['Id']}") == transfer


def test_a_full_transfer_refund_brings_both_wallets_back(shop: Shop):
    shop.pay(100_00, 0)
    transfer = shop.transfer(40_00, 4_00)
    refund = shop.made(f"transfers/{transfer['Id']}/refunds", {"AuthorId": shop.payer})
    assert (refund["DebitedFunds"], refund["Fees"], refund["CreditedFunds"]) == (eur(36_00), eur(-4_00), eur(40_00))
    assert (shop.balance(shop.wallet), shop.balance(shop.till)) == (100_00, 0)


def test_money_that_was_moved_on_is_not_there_to_be_refunded(shop: Shop):
    payin = shop.pay(100_00, 0)
    shop.transfer(60_00)
    refund = shop.made(f"payins/{payin['Id']}/refunds", {"AuthorId": shop.payer})
    assert (refund["Status"], refund["ResultCode"]) == ("FAILED", "001001")


def test_a_bank_wire_goes_back_by_payouts(shop: Shop):
    wire = {"AuthorId": shop.payer, "CreditedWalletId": shop.wallet}
    payin = shop.made("payins/bankwire/direct", wire | {"DeclaredDebitedFunds": eur(50_00), "DeclaredFees": eur(0)})
    assert (payin["Status"], payin["DebitedFunds"]) == ("CREATED", {"Currency": "XXX", "Amount": 0})
    payin = shop.made(f"payins/{payin['Id']}/outcome", {"Status": "SUCCEEDED"})
    assert (payin["Status"], payin["DebitedFunds"]) == ("SUCCEEDED", eur(50_00))
    assert list(shop.wrong(f"payins/{payin['Id']}/refunds", {"AuthorId": shop.payer})) == ["PayInId"]
    payout = {
        "AuthorId": shop.payer,
        "DebitedWalletId": shop.wallet,
        "BankAccountId": shop.account(),
        "DebitedFunds": eur(20_00),
        "Fees": eur(0),
        "PaymentRef": {"ReasonType": "PAYIN_REFUND", "ReferenceId": payin["Id"]},
    }
    first, second = shop.made("payouts/bankwire", payout), shop.made("payouts/bankwire", payout)
    assert [(each["Status"], each["Nature"]) for each in (first, second)] == [("SUCCEEDED", "REGULAR")] * 2
    third = shop.made("payouts/bankwire", payout)
    assert (third["Status"], third["ResultCode"]) == ("FAILED", "005403")
    assert shop.balance(shop.wallet) == 10_00
    assert shop.seen(f"payouts/{first['Id']}") == first
    assert shop.seen(f"payins/{payin['Id']}/refunds") == []
    assert shop.wrong(f"refunds/{first['Id']}", method="GET", status=404)
    negative = shop.wrong("payouts/bankwire", payout | {"Fees": eur(-1)})
    assert list(negative) == ["Fees.Amount"]


def test_a_page_decides(shop: Shop, face: Face):
    asked = shop.stated(ReturnURL="https://shop.example/back", CardType="CB_VISA_MASTERCARD", Culture="EN")
    for word, status, code in (("confirm", "SUCCEEDED", "000000"), ("decline", "FAILED", "101002")):
        payin = shop.made("payins/card/web", asked)
        assert (payin["Status"], payin["ExecutionDate"]) == ("CREATED", None)
        page = payin["RedirectURL"].removeprefix(face.base_url)
        browser = face.as_(None)
        assert b"<form" in bytes(browser.get(page).body or b"")
        answer = browser.post(page, form({"outcome": word}))
        assert answer.status == 303
        assert answer.headers["location"] == f"https://shop.example/back?transactionId={payin['Id']}"
        ended = shop.seen(f"payins/{payin['Id']}")
        assert (ended["Status"], ended["ResultCode"]) == (status, code)
        assert b"<form" not in bytes(browser.get(page).body or b"")
        assert browser.post(page, form({"outcome": "confirm"})).status == 200
    assert shop.balance(shop.wallet) == 90_00


def test_a_page_opens_nothing_else(shop: Shop, face: Face):
    payin = shop.made("payins/card/web", shop.stated(ReturnURL="https://shop.example/back"))
    page = payin["RedirectURL"].removeprefix(face.base_url)
    words = page.split("/")
    assert words[6] == payin["Id"]
    other = shop.made("payins/card/web", shop.stated(ReturnURL="https://shop.example/back"))
    for place, word in ((4, uuid4().hex), (4, "x"), (5, uuid4().hex), (5, "é"), (6, other["Id"]), (6, "1")):
        stranger = "/".join([*words[:place], quote(word), *words[place + 1 :]])
        assert b"Nothing is waiting here" in bytes(face.as_(None).get(stranger).body or b"")
        assert face.as_(None).post(stranger, form({"outcome": "confirm"})).status == 200
    assert shop.seen(f"payins/{payin['Id']}")["Status"] == "CREATED"
    for secret in (words[4], words[5]):
        bearer = face.as_(f"Bearer {secret}")
        assert bearer.get(f"/v2.01/demo/payins/{payin['Id']}").status == 401


def test_only_the_latest_page_of_a_user_opens(shop: Shop, face: Face):
    def page() -> str:
        sent = shop.made(f"sca/users/{shop.payer}/enrollment")
        return str(sent["PendingUserAction"]["RedirectUrl"]).removeprefix(face.base_url)

    first, second = page(), page()
    assert b"Nothing is waiting here" in bytes(face.as_(None).get(first).body or b"")
    assert b"<form" in bytes(face.as_(None).get(second).body or b"")


def test_a_list_of_what_nobody_has_is_not_found(shop: Shop):
    account = shop.account()
    assert shop.seen(f"users/{shop.payer}/bankaccounts/{account}/mandates") == []
    for path in (
        f"users/{shop.seller}/bankaccounts/{account}/mandates",
        f"users/{shop.payer}/bankaccounts/1/mandates",
        "users/1/bankaccounts",
        "wallets/1/transactions",
    ):
        assert "RessourceNotFound" in shop.wrong(path, method="GET", status=404)


def test_what_happened_is_listed(shop: Shop):
    payin = shop.pay()
    refund = shop.made(f"payins/{payin['Id']}/refunds", {"AuthorId": shop.payer})
    for kind, identity in (("PAYIN_NORMAL", payin["Id"]), ("PAYIN_REFUND", refund["Id"])):
        for word in ("CREATED", "SUCCEEDED"):
            newest = shop.seen(f"events?EventType={kind}_{word}&Sort=CreationDate:DESC&per_page=100")
            assert {each["EventType"] for each in newest} == {f"{kind}_{word}"}
            assert [each["ResourceId"] for each in newest].count(identity) == 1


def test_what_ends_later_is_listed_later(shop: Shop, product: Product):
    payin = shop.pay()
    known = {each["dialect_id"]: each for each in product.payments("mangopay")}
    product.next_refund(known[payin["Id"]]["id"], "pending:60:ok")
    refund = shop.made(f"payins/{payin['Id']}/refunds", {"AuthorId": shop.payer})
    assert (refund["Status"], refund["ResultCode"], refund["ExecutionDate"]) == ("CREATED", None, None)

    def ended() -> bool:
        events = shop.seen("events?EventType=PAYIN_REFUND_SUCCEEDED&Sort=CreationDate:DESC&per_page=100")
        return refund["Id"] in [each["ResourceId"] for each in events]

    product.in_time(ended, "the refund's end is an event")
    assert shop.seen(f"refunds/{refund['Id']}")["Status"] == "SUCCEEDED"


def test_a_key_is_used_once_whatever_is_made(shop: Shop, face: Face):
    key = str(uuid4())
    asked = {"Owners": [shop.payer], "Description": "Till", "Currency": "EUR"}
    first = shop.made("wallets", asked, Idempotency_Key=key)
    assert shop.ask("POST", "wallets", asked, Idempotency_Key=key).status == 409
    stored = shop.seen(f"responses/{key}")
    assert (stored["StatusCode"], stored["Resource"]) == ("200", first)
    assert stored["RequestURL"] == f"{face.base_url}/v2.01/demo/wallets"
    refused = str(uuid4())
    assert shop.ask("POST", "wallets", {}, Idempotency_Key=refused).status == 400
    assert shop.ask("POST", "wallets", asked, Idempotency_Key=refused).status == 409
    assert shop.seen(f"responses/{refused}")["StatusCode"] == "400"


def test_one_key_at_once_moves_money_once(shop: Shop, product: Product):
    shop.pay(100_00, 0)
    key = str(uuid4())
    both = {"DebitedWalletId": shop.wallet, "CreditedWalletId": shop.till}
    asked = {"AuthorId": shop.payer, "DebitedFunds": eur(10_00), "Fees": eur(0)} | both
    answers = product.at_once([lambda: shop.ask("POST", "transfers", asked, Idempotency_Key=key)] * 8)
    assert sorted(each.status for each in answers) == [200] + [409] * 7
    assert shop.balance(shop.till) == 10_00


def test_a_disputed_pay_in(shop: Shop):
    payin = shop.pay(100_00, 0)
    dispute = shop.made("disputes", {"InitialTransactionId": payin["Id"]})
    blocked = {"DebitedFunds": "Due to repudiations against this transaction, you can not refund this amount"}
    refund = {"AuthorId": shop.payer}
    assert shop.wrong(f"payins/{payin['Id']}/refunds", refund) == blocked
    sent = shop.changed(f"disputes/{dispute['Id']}/submit", {"ContestedFunds": eur(100_00)})
    assert (sent["Status"], sent["ResultCode"]) == ("SUBMITTED", "")
    won = shop.made(f"disputes/{dispute['Id']}/outcome", {"ResultCode": "WON"})
    assert (won["Status"], won["ResultCode"]) == ("CLOSED", "WON")
    returned = shop.seen(f"repudiations/{dispute['RepudiationId']}/refunds")
    assert [(each["Type"], each["CreditedWalletId"]) for each in returned] == [("PAYIN", "CREDIT_EUR")]
    assert shop.made(f"payins/{payin['Id']}/refunds", refund)["Status"] == "SUCCEEDED"
    assert list(shop.wrong("disputes", {"InitialTransactionId": payin["Id"]})) == ["InitialTransactionId"]


def test_ready_file_pay_ins_have_an_owner_and_a_wallet(shop: Shop, product: Product):
    payin = product.ready["mangopay"]["payins"][0]
    user = shop.seen(f"users/{payin['AuthorId']}")
    assert user["UserStatus"] == "ACTIVE"
    assert [each["Id"] for each in shop.seen(f"users/{user['Id']}/wallets")] == [
        said(shop.ask("GET", f"payins/{payin['Id']}"))["CreditedWalletId"]
    ]
