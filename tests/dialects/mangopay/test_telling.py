"""What Mangopay's hooks are told, and what is listed of payments and refunds that were made by no call of it."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import Delivery, Happened
from moneyback.dialects.mangopay import DIALECT
from tests.dialects.driver import said
from tests.dialects.mangopay.demo import Demo, consistent
from tests.dialects.mangopay.shop import PERSON, eur
from tests.dialects.mangopay.test_resources import BACK, Desk

KINDS = ("PAYIN_NORMAL", "TRANSFER_NORMAL", "PAYOUT_NORMAL", "PAYIN_REFUND", "TRANSFER_REFUND", "PAYOUT_REFUND")
WORDS = ("CREATED", "SUCCEEDED", "FAILED")


@pytest.fixture
def desk() -> Desk:
    """With a hook for every event of a transaction."""
    desk = Desk()
    listen(desk, *(f"{kind}_{word}" for kind in KINDS for word in WORDS))
    return desk


def listen(desk: Desk, *events: str) -> None:
    for event in events:
        desk.made("hooks", {"EventType": event, "Url": f"https://shop.example/{event}?own=1"})


def heard(told: Iterable[Delivery]) -> list[tuple[str, str]]:
    """The events that deliveries tell of, and of what; each is such a call as the provider documents."""
    found = []
    for each in told:
        query = dict(parse_qsl(urlsplit(each.url).query))
        assert (each.method, each.body, dict(each.headers)) == ("GET", b"", {})
        assert list(query) == ["own", "EventType", "RessourceId", "Date"]
        assert query["Date"].isdigit()
        assert urlsplit(each.url).path == f"/{query['EventType']}"
        found.append((query["EventType"], query["RessourceId"]))
    return found


def events(desk: Desk, identity: str) -> list[str]:
    """The events of one object."""
    return [each["EventType"] for each in desk.seen("events?per_page=100") if each["ResourceId"] == identity]


def known(desk: Desk, identity: str) -> Payment:
    return next(each for each in desk.world.facts.payments.values() if each.dialect_id == identity)


def asked_for(desk: Desk, identity: str) -> Refund:
    return next(each for each in desk.world.refunds if each.dialect_id == identity)


def registered(desk: Desk, payment: Payment, captured: int) -> tuple[Delivery, ...]:
    """What is told of a registration after the payment has changed."""
    assert payment.version > 1
    data, at = {"captured": captured}, desk.world.now
    happened = Happened(id=payment.id, type="payment.registered", at=at, sequence=1, data=data, payment=payment)
    assert DIALECT.tell is not None
    return desk.world.through(DIALECT.tell(happened, desk.world.caller))


# --- payments and refunds --------------------------------------------------------------------------------------------


def test_a_pay_in_and_its_refund_are_told(desk: Desk):
    payin = desk.pay(100_00, 10_00)
    payment = known(desk, payin["Id"])
    told = desk.world.tell("payment.registered", payment, data={"captured": 100_00})
    assert heard(told) == [("PAYIN_NORMAL_CREATED", payin["Id"]), ("PAYIN_NORMAL_SUCCEEDED", payin["Id"])]
    made = desk.made(f"payins/{payin['Id']}/refunds", {"AuthorId": desk.payer})
    refund = asked_for(desk, made["Id"])
    told = desk.world.tell("refund.created", payment, refund, data={"state": "ready"})
    assert heard(told) == [("PAYIN_REFUND_CREATED", made["Id"])]
    for nothing in ("refund.ready", "refund.sending", "refund.pending", "refund.unknown", "refund.returned"):
        assert desk.world.tell(nothing, payment, refund) == ()
    told = desk.world.tell("refund.succeeded", payment, refund)
    assert heard(told) == [("PAYIN_REFUND_SUCCEEDED", made["Id"])]
    assert told == desk.world.tell("refund.succeeded", payment, refund)
    assert dict(parse_qsl(urlsplit(told[0].url).query))["Date"] == str(made["ExecutionDate"])
    assert events(desk, made["Id"]) == ["PAYIN_REFUND_CREATED", "PAYIN_REFUND_SUCCEEDED"]


@pytest.mark.parametrize("late", ["refund.failed", "refund.canceled"])
def test_a_refund_that_fails_is_told(desk: Desk, late: str):
    payment = known(desk, desk.pay()["Id"])
    desk.world.outcome = "failed:001999"
    made = desk.made(f"payins/{payment.dialect_id}/refunds", {"AuthorId": desk.payer})
    told = desk.world.tell(late, payment, asked_for(desk, made["Id"]))
    assert heard(told) == [("PAYIN_REFUND_FAILED", made["Id"])]


def test_a_refusal_that_is_kept_begins_and_fails_at_once(desk: Desk):
    payment = known(desk, desk.pay(100_00, 0)["Id"])
    body = {"AuthorId": desk.payer, "DebitedFunds": eur(60_00), "Fees": eur(0)}
    desk.made(f"payins/{payment.dialect_id}/refunds", body)
    over = desk.made(f"payins/{payment.dialect_id}/refunds", body | {"DebitedFunds": eur(50_00)})
    assert over["Status"] == "FAILED"
    told = desk.world.tell("refund.created", payment, asked_for(desk, over["Id"]), data={"state": "failed"})
    assert heard(told) == [("PAYIN_REFUND_CREATED", over["Id"]), ("PAYIN_REFUND_FAILED", over["Id"])]


def test_a_transfer_its_refund_and_a_payout_are_told(desk: Desk):
    desk.pay(100_00, 0)
    moved = desk.transfer(50_00)
    transfer = known(desk, moved["Id"])
    told = desk.world.tell("payment.registered", transfer, data={"captured": 50_00})
    assert [event for event, _ in heard(told)] == ["TRANSFER_NORMAL_CREATED", "TRANSFER_NORMAL_SUCCEEDED"]
    back = desk.made(f"transfers/{moved['Id']}/refunds", {"AuthorId": desk.payer})
    told = desk.world.tell("refund.succeeded", transfer, asked_for(desk, back["Id"]))
    assert heard(told) == [("TRANSFER_REFUND_SUCCEEDED", back["Id"])]
    wallet = {"AuthorId": desk.payer, "DebitedWalletId": desk.wallet, "BankAccountId": desk.account()}
    paid = desk.made("payouts/bankwire", wallet | {"DebitedFunds": eur(10_00), "Fees": eur(0)})
    told = desk.world.tell("payment.registered", known(desk, paid["Id"]), data={"captured": 10_00})
    assert heard(told) == [("PAYOUT_NORMAL_CREATED", paid["Id"]), ("PAYOUT_NORMAL_SUCCEEDED", paid["Id"])]


def test_a_payment_that_fails_as_it_is_made(desk: Desk):
    failed = desk.transfer(1_000_00)
    assert failed["Status"] == "FAILED"
    told = desk.world.tell("payment.registered", known(desk, failed["Id"]), data={"captured": 0})
    assert heard(told) == [("TRANSFER_NORMAL_CREATED", failed["Id"]), ("TRANSFER_NORMAL_FAILED", failed["Id"])]


@pytest.mark.parametrize(("status", "type"), [("SUCCEEDED", "payment.captured"), ("FAILED", "payment.failed")])
def test_what_ended_before_it_was_told_of_is_told_of_twice_and_ends_once(desk: Desk, status: str, type: str):
    payin = desk.made("payins/card/web", desk.stated(ReturnURL=BACK, CardType="CB_VISA_MASTERCARD"))
    desk.made(f"payins/{payin['Id']}/outcome", {"Status": status})
    payment = known(desk, payin["Id"])
    assert heard(registered(desk, payment, captured=0)) == [("PAYIN_NORMAL_CREATED", payin["Id"])]
    assert heard(desk.world.tell(type, payment)) == [(f"PAYIN_NORMAL_{status}", payin["Id"])]
    assert events(desk, payin["Id"]) == ["PAYIN_NORMAL_CREATED", f"PAYIN_NORMAL_{status}"]


def test_what_came_in_at_once_is_told_of_however_late(desk: Desk):
    """By then it has been refunded: the payment is no longer as it was registered."""
    payin = desk.pay(100_00, 0)
    desk.made(f"payins/{payin['Id']}/refunds", {"AuthorId": desk.payer})
    told = heard(registered(desk, known(desk, payin["Id"]), captured=100_00))
    assert told == [("PAYIN_NORMAL_CREATED", payin["Id"]), ("PAYIN_NORMAL_SUCCEEDED", payin["Id"])]


def test_hooks_that_are_not_in_force_or_came_later_are_not_called(desk: Desk):
    payment = known(desk, desk.pay()["Id"])
    hooks = {each["EventType"]: each for each in desk.seen("hooks?per_page=100")}
    before, data = desk.world.now, {"captured": 100_00}
    for change in ({"Status": "DISABLED"}, {"Status": "ENABLED", "Validity": "INVALID"}):
        desk.changed(f"hooks/{hooks['PAYIN_NORMAL_SUCCEEDED']['Id']}", change)
        told = desk.world.tell("payment.registered", payment, data=data)
        assert [event for event, _ in heard(told)] == ["PAYIN_NORMAL_CREATED"]
    desk.world.documents.clear()
    desk.world.advance(seconds=1)
    listen(desk, "PAYIN_NORMAL_CREATED")
    desk.world.now = before
    assert desk.world.tell("payment.registered", payment, data=data) == ()
    desk.world.advance(seconds=1)
    assert len(desk.world.tell("payment.registered", payment, data=data)) == 1


# --- made natively ---------------------------------------------------------------------------------------------------


def test_a_refund_made_natively_is_in_every_list(desk: Desk):
    payin = desk.pay(100_00, 0)
    payment = known(desk, payin["Id"])
    refund = desk.world.natively(payment, 30_00)
    listed = desk.seen(f"payins/{payin['Id']}/refunds")
    assert [each["Id"] for each in listed] == [refund.dialect_id]
    consistent(listed[0])
    assert (listed[0]["AuthorId"], listed[0]["DebitedFunds"], listed[0]["Status"]) == (
        desk.payer,
        eur(30_00),
        "CREATED",
    )
    assert desk.seen(f"refunds/{refund.dialect_id}") == listed[0]

    told = desk.world.tell("refund.created", payment, refund, data={"state": "ready"})
    assert heard(told) == [("PAYIN_REFUND_CREATED", refund.dialect_id)]
    desk.world.bring(refund, "succeeded")
    told = desk.world.tell("refund.succeeded", payment, refund)
    assert heard(told) == [("PAYIN_REFUND_SUCCEEDED", refund.dialect_id)]
    shown = desk.seen(f"refunds/{refund.dialect_id}")
    assert shown["Status"] == "SUCCEEDED"
    for place in (f"wallets/{desk.wallet}", f"users/{desk.payer}", f"cards/{payment.document['CardId']}"):
        rows = desk.seen(f"{place}/transactions?Nature=REFUND")
        assert rows == [shown]
        assert refund.dialect_id in [each["Id"] for each in desk.seen(f"{place}/transactions")]
    assert events(desk, refund.dialect_id) == ["PAYIN_REFUND_CREATED", "PAYIN_REFUND_SUCCEEDED"]
    assert desk.seen(f"payins/{payin['Id']}/refunds?Status=FAILED") == []


def test_a_transfers_refund_made_natively_is_listed(desk: Desk):
    desk.pay(100_00, 0)
    moved = desk.transfer(50_00)
    refund = desk.world.natively(known(desk, moved["Id"]))
    desk.world.tell("refund.created", known(desk, moved["Id"]), refund, data={"state": "ready"})
    (listed,) = desk.seen(f"transfers/{moved['Id']}/refunds")
    assert (listed["Type"], listed["RefundReason"]["RefundReasonType"]) == ("TRANSFER", "OTHER")
    for wallet in (desk.wallet, desk.till):
        assert listed in desk.seen(f"wallets/{wallet}/transactions")


def test_native_and_own_refunds_are_paged_by_age(desk: Desk):
    payin = desk.pay(100_00, 0)
    ids = []
    for number in range(6):
        desk.world.advance(minutes=1)
        if number % 2:
            refund = desk.world.natively(known(desk, payin["Id"]), 1_00 + number)
            desk.world.bring(refund, "succeeded")
        else:
            body = {"AuthorId": desk.payer, "DebitedFunds": eur(1_00 + number), "Fees": eur(0)}
            refund = asked_for(desk, desk.made(f"payins/{payin['Id']}/refunds", body)["Id"])
        ids.append(refund.dialect_id)
    answer = desk.ask("GET", f"payins/{payin['Id']}/refunds?page=2&per_page=4")
    assert [each["Id"] for each in said(answer)] == ids[4:]
    assert (answer.headers["X-Number-Of-Items"], answer.headers["X-Number-Of-Pages"]) == ("6", "2")
    newest = desk.seen(f"payins/{payin['Id']}/refunds?Sort=CreationDate:DESC&per_page=2")
    assert [each["Id"] for each in newest] == ids[:-3:-1]


@pytest.mark.parametrize("form", ["{0}", "{1}", "wt_{0}", "wt_{1}", "wt_", "{0}0"])
def test_only_a_refund_of_this_dialect_is_found_by_its_own_id(desk: Desk, form: str):
    payment = known(desk, desk.pay(100_00, 0)["Id"])
    refund = desk.world.natively(payment, 30_00)
    identity = form.format(refund.id.hex, refund.id)
    assert desk.ask("GET", f"refunds/{identity}").status == (200 if form == "{0}" else 404)
    desk.world.facts.payments[payment.id] = desk.world.change(payment, dialect="truust")
    assert desk.ask("GET", f"refunds/{identity}").status == 404


def test_in_front_of_mangopay_it_is_among_what_mangopay_shows():
    demo = Demo()
    payment = demo.payin()
    demo.natively(payment, 10_00)
    assert len(said(demo.get(f"payins/{payment.dialect_id}/refunds"))) == 1
    demo.caller = type(demo.caller)(merchant=demo.caller.merchant, profile={"client_id": "demo", "front": "rail"})
    assert said(demo.get(f"payins/{payment.dialect_id}/refunds")) == []


# --- whoever reads sooner --------------------------------------------------------------------------------------------


def test_events_are_right_before_anything_was_told():
    """A client that reads at once finds what it did, and what ended since, without our having been told."""
    demo = Demo()
    payment = demo.payin()
    demo.outcome = "pending"
    refund = demo.done(payment)
    kinds = [each["EventType"] for each in said(demo.get("events"))]
    assert kinds == ["PAYIN_NORMAL_CREATED", "PAYIN_NORMAL_SUCCEEDED", "PAYIN_REFUND_CREATED"]
    demo.bring(demo.last(), "succeeded")
    assert said(demo.get("events"))[-1]["EventType"] == "PAYIN_REFUND_SUCCEEDED"
    before = said(demo.get("events"))
    for type, about in (
        ("payment.registered", None),
        ("refund.created", demo.last()),
        ("refund.succeeded", demo.last()),
    ):
        demo.tell(type, payment, about, data={"captured": payment.captured, "state": "ready"})
    assert said(demo.get("events")) == before
    assert [each["ResourceId"] for each in before][-2:] == [refund["Id"]] * 2


def test_of_many_that_wait_the_newest_is_looked_at_and_the_oldest_told_of():
    demo = Demo()
    waiting = [demo.payin(1_000 + number, status="processing") for number in range(120)]
    assert len(said(demo.get("events", {"per_page": "100"}))) == 100
    first, last = waiting[0], waiting[-1]
    for each in (first, last):
        demo.see(each, "captured", each.authorized)
    query = {"EventType": "PAYIN_NORMAL_SUCCEEDED"}
    assert [each["ResourceId"] for each in said(demo.get("events", query))] == [last.dialect_id]
    demo.tell("payment.captured", first)
    assert [each["ResourceId"] for each in said(demo.get("events", query))] == [last.dialect_id, first.dialect_id]


def test_an_end_that_was_told_of_is_not_looked_for():
    demo = Demo()
    payment = demo.payin(status="processing")
    demo.get("events")
    assert ("unsettled", payment.dialect_id) in demo.documents
    demo.see(payment, "captured", payment.authorized)
    demo.tell("payment.captured", payment)
    assert ("unsettled", payment.dialect_id) not in demo.documents


def test_a_payment_is_entered_by_being_told_of():
    demo = Demo()
    payment = demo.payin()
    demo.tell("payment.registered", payment, data={"captured": payment.captured})
    assert ("transactions of user 9100000001", payment.dialect_id) in demo.documents
    demo.asks.clear()
    demo.tell("payment.registered", payment, data={"captured": payment.captured})
    assert [each for each in demo.asks if type(each).__name__ == "SaveDocument"] == []


# --- payouts that came back ------------------------------------------------------------------------------------------


def a_payout(desk: Desk) -> tuple[Any, Any]:
    """A wire of 100.00, of which 40.00 go back by a payout that is charged 1.00."""
    funds = {"DeclaredDebitedFunds": eur(100_00), "DeclaredFees": eur(0)}
    wire = desk.made("payins/bankwire/direct", {"AuthorId": desk.payer, "CreditedWalletId": desk.wallet} | funds)
    desk.made(f"payins/{wire['Id']}/outcome", {"Status": "SUCCEEDED"})
    body = {
        "AuthorId": desk.payer,
        "DebitedWalletId": desk.wallet,
        "BankAccountId": desk.account(),
        "DebitedFunds": eur(40_00),
        "Fees": eur(1_00),
        "PaymentRef": {"ReasonType": "PAYIN_REFUND", "ReferenceId": wire["Id"]},
    }
    return wire, desk.made("payouts/bankwire", body)


def test_a_payout_that_came_back_is_a_refund(desk: Desk):
    wire, payout = a_payout(desk)
    payment, refund = known(desk, wire["Id"]), asked_for(desk, payout["Id"])
    told = desk.world.tell("refund.succeeded", payment, refund)
    assert heard(told) == [("PAYOUT_NORMAL_SUCCEEDED", payout["Id"])]
    assert desk.seen(f"payouts/{payout['Id']}/refunds") == []
    assert desk.ask("GET", f"refunds/wt_{refund.id}").status == 404
    before = desk.balance(desk.wallet)
    desk.world.advance(days=2)
    desk.world.bring(refund, "returned")
    told = desk.world.tell("refund.returned", payment, refund)
    assert heard(told) == [(f"PAYOUT_REFUND_{word}", f"wt_{refund.id}") for word in ("CREATED", "SUCCEEDED")]
    (returned,) = desk.seen(f"payouts/{payout['Id']}/refunds")
    assert returned == desk.seen(f"refunds/wt_{refund.id}")
    assert (returned["Type"], returned["Nature"], returned["InitialTransactionType"]) == ("PAYIN", "REFUND", "PAYOUT")
    assert (returned["InitialTransactionId"], returned["CreditedWalletId"]) == (payout["Id"], desk.wallet)
    assert (returned["DebitedFunds"], returned["Fees"], returned["CreditedFunds"]) == (
        eur(39_00),
        eur(-1_00),
        eur(40_00),
    )
    assert desk.balance(desk.wallet) == before + 40_00
    for place in (f"wallets/{desk.wallet}", f"users/{desk.payer}"):
        rows = desk.seen(f"{place}/transactions?per_page=100")
        assert [each["Id"] for each in rows][-2:] == [payout["Id"], f"wt_{refund.id}"]
        assert rows[-1] == returned
    assert desk.seen(f"payouts/{payout['Id']}")["Status"] == "SUCCEEDED"
    assert desk.seen(f"payouts/{payout['Id']}/refunds?Status=FAILED") == []
    assert desk.ask("GET", f"refunds/{payout['Id']}").status == 404


# --- announced by handlers -------------------------------------------------------------------------------------------


def announced(desk: Desk) -> list[tuple[str, str]]:
    found = heard(desk.world.told.values())
    desk.world.told.clear()
    return found


def confirm(desk: Desk, address: str, outcome: str = "confirm") -> None:
    path = address[address.index("/v2.01/") :]
    desk.world.call("POST", path, {"outcome": outcome}, encoding="form")


def test_papers_are_announced(desk: Desk):
    listen(desk, "KYC_CREATED", "KYC_VALIDATION_ASKED")
    path = f"users/{desk.payer}/kyc/documents"
    paper = desk.made(path, {"Type": "IDENTITY_PROOF"})
    desk.changed(f"{path}/{paper['Id']}", {"Status": "VALIDATION_ASKED"})
    desk.changed(f"{path}/{paper['Id']}", {"Status": "VALIDATION_ASKED"})
    assert announced(desk) == [("KYC_CREATED", paper["Id"]), ("KYC_VALIDATION_ASKED", paper["Id"])]


def test_an_owners_enrolment_is_announced(desk: Desk):
    listen(desk, "USER_ACCOUNT_VALIDATION_ASKED", "USER_ACCOUNT_ACTIVATED")
    desk.made("users/natural", PERSON)
    assert announced(desk) == []
    user = desk.made("sca/users/natural", PERSON)
    assert announced(desk) == [("USER_ACCOUNT_VALIDATION_ASKED", user["Id"])]
    confirm(desk, user["PendingUserAction"]["RedirectUrl"])
    assert announced(desk) == [("USER_ACCOUNT_ACTIVATED", user["Id"])]
    payer = desk.made("users/natural", PERSON | {"UserCategory": "PAYER"})
    desk.changed(f"sca/users/natural/{payer['Id']}", {"UserCategory": "OWNER", "TermsAndConditionsAccepted": True})
    assert announced(desk) == [("USER_ACCOUNT_VALIDATION_ASKED", payer["Id"])]


@pytest.mark.parametrize(
    ("outcome", "ends"), [("confirm", ["MANDATE_SUBMITTED", "MANDATE_ACTIVATED"]), ("decline", ["MANDATE_FAILED"])]
)
def test_a_mandate_is_announced(desk: Desk, outcome: str, ends: list[str]):
    listen(desk, "MANDATE_CREATED", "MANDATE_SUBMITTED", "MANDATE_ACTIVATED", "MANDATE_FAILED")
    asked = {"BankAccountId": desk.account(), "Culture": "EN", "ReturnURL": BACK}
    mandate = desk.made("mandates/directdebit/web", asked)
    confirm(desk, mandate["RedirectURL"], outcome)
    assert announced(desk) == [(event, mandate["Id"]) for event in ("MANDATE_CREATED", *ends)]


HOLD = "PREAUTHORIZATION"
HELD = [f"{HOLD}_CREATED", f"{HOLD}_SUCCEEDED", f"{HOLD}_PAYMENT_WAITING"]


def hold(desk: Desk, **members: Any) -> Any:
    words = ("CREATED", "SUCCEEDED", "FAILED", *(f"PAYMENT_{end}" for end in ("WAITING", "CANCELED", "VALIDATED")))
    listen(desk, *(f"{HOLD}_{word}" for word in (*words, "PAYMENT_EXPIRED")))
    card = {"AuthorId": desk.payer, "CardId": desk.new_card(), "SecureModeReturnURL": BACK}
    return desk.made("preauthorizations/card/direct", card | {"DebitedFunds": eur(50_00)} | members)


def test_a_preauthorization_and_its_end_are_announced(desk: Desk):
    held = hold(desk)
    path = f"preauthorizations/{held['Id']}"
    taken = {"AuthorId": desk.payer, "CreditedWalletId": desk.wallet, "PreauthorizationId": held["Id"], "Fees": eur(0)}
    desk.made("payins/preauthorized/direct", taken | {"DebitedFunds": eur(20_00)})
    assert announced(desk) == [(event, held["Id"]) for event in HELD]
    desk.changed(path, {"PaymentStatus": "VALIDATED"})
    desk.changed(path, {"Tag": "x"})
    assert announced(desk) == [(f"{HOLD}_PAYMENT_VALIDATED", held["Id"])]


def test_a_preauthorization_that_is_taken_whole_is_announced(desk: Desk):
    held = hold(desk)
    announced(desk)
    taken = {"AuthorId": desk.payer, "CreditedWalletId": desk.wallet, "PreauthorizationId": held["Id"], "Fees": eur(0)}
    desk.made("payins/preauthorized/direct", taken | {"DebitedFunds": eur(50_00)})
    assert announced(desk) == [(f"{HOLD}_PAYMENT_VALIDATED", held["Id"])]


def test_a_preauthorization_that_runs_out_is_announced_by_whoever_reads_it(desk: Desk):
    held = hold(desk)
    announced(desk)
    desk.world.advance(days=7)
    assert desk.seen(f"preauthorizations/{held['Id']}")["PaymentStatus"] == "EXPIRED"
    desk.seen(f"preauthorizations/{held['Id']}")
    assert announced(desk) == [(f"{HOLD}_PAYMENT_EXPIRED", held["Id"])]
    (event,) = desk.seen(f"events?EventType={HOLD}_PAYMENT_EXPIRED")
    assert event["Date"] == held["ExpirationDate"]


@pytest.mark.parametrize(("outcome", "ends"), [("confirm", HELD[1:]), ("decline", [f"{HOLD}_FAILED"])])
def test_a_preauthorizations_holder_is_asked(desk: Desk, outcome: str, ends: list[str]):
    held = hold(desk, SecureMode="FORCE")
    assert announced(desk) == [(HELD[0], held["Id"])]
    confirm(desk, held["SecureModeRedirectURL"], outcome)
    assert announced(desk) == [(event, held["Id"]) for event in ends]


def test_a_cards_validation_is_announced(desk: Desk):
    listen(desk, "CARD_VALIDATION_CREATED", "CARD_VALIDATION_SUCCEEDED")
    body = {"AuthorId": desk.payer, "SecureModeReturnURL": BACK}
    made = desk.made(f"cards/{desk.new_card()}/validation", body)
    assert announced(desk) == [(f"CARD_VALIDATION_{word}", made["Id"]) for word in ("CREATED", "SUCCEEDED")]


def test_a_recurring_agreement_is_announced(desk: Desk):
    events = ("CREATED", "IN_PROGRESS", "ENDED")
    listen(desk, *(f"RECURRING_REGISTRATION_{word}" for word in events))
    agreed = {
        "AuthorId": desk.payer,
        "CardId": desk.new_card(),
        "CreditedWalletId": desk.wallet,
        "FirstTransactionDebitedFunds": eur(10_00),
        "FirstTransactionFees": eur(0),
    }
    made = desk.made("recurringpayinregistrations", agreed)
    identity = made["Id"]
    for _ in range(2):
        body = {"RecurringPayinRegistrationId": identity, "SecureModeReturnURL": BACK, "IpAddress": "192.0.2.7"}
        desk.made("payins/recurring/card/direct", body)
        desk.world.advance(hours=1)
    desk.changed(f"recurringpayinregistrations/{identity}", {"Status": "ENDED"})
    assert announced(desk) == [(f"RECURRING_REGISTRATION_{word}", identity) for word in events]


def test_what_is_announced_again_is_no_news_to_a_hook_that_came_later(desk: Desk):
    agreed = {"FirstTransactionDebitedFunds": eur(10_00), "FirstTransactionFees": eur(0)}
    whose = {"AuthorId": desk.payer, "CardId": desk.new_card(), "CreditedWalletId": desk.wallet}
    made = desk.made("recurringpayinregistrations", whose | agreed)
    body = {"RecurringPayinRegistrationId": made["Id"], "SecureModeReturnURL": BACK, "IpAddress": "192.0.2.7"}
    desk.made("payins/recurring/card/direct", body)
    desk.world.advance(hours=1)
    listen(desk, "RECURRING_REGISTRATION_IN_PROGRESS")
    desk.made("payins/recurring/card/direct", body)
    assert announced(desk) == []


@pytest.mark.parametrize("outcome", ["WON", "LOST"])
def test_a_dispute_is_announced(desk: Desk, outcome: str):
    listen(desk, "DISPUTE_CREATED", "DISPUTE_SUBMITTED", "DISPUTE_CLOSED")
    listen(desk, "PAYIN_REPUDIATION_CREATED", "PAYIN_REPUDIATION_SUCCEEDED")
    payin = desk.pay(100_00, 0)
    dispute = desk.made("disputes", {"InitialTransactionId": payin["Id"]})
    desk.changed(f"disputes/{dispute['Id']}/submit", {"ContestedFunds": eur(100_00)})
    desk.made(f"disputes/{dispute['Id']}/outcome", {"ResultCode": outcome})
    assert announced(desk) == [
        ("DISPUTE_CREATED", dispute["Id"]),
        ("PAYIN_REPUDIATION_CREATED", dispute["RepudiationId"]),
        ("PAYIN_REPUDIATION_SUCCEEDED", dispute["RepudiationId"]),
        ("DISPUTE_SUBMITTED", dispute["Id"]),
        ("DISPUTE_CLOSED", dispute["Id"]),
    ]
    for type in ("dispute.opened", "dispute.won", "dispute.lost", "payment.external_refund"):
        assert desk.world.tell(type, known(desk, payin["Id"])) == ()


def test_a_hook_that_came_later_is_not_told_again(desk: Desk):
    path = f"users/{desk.payer}/kyc/documents"
    paper = desk.made(path, {"Type": "IDENTITY_PROOF"})
    assert announced(desk) == []
    desk.world.advance(seconds=1)
    listen(desk, "KYC_CREATED", "KYC_VALIDATION_ASKED")
    desk.changed(f"{path}/{paper['Id']}", {"Status": "VALIDATION_ASKED"})
    assert announced(desk) == [("KYC_VALIDATION_ASKED", paper["Id"])]
