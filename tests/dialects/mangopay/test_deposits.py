"""Holds of thirty days, by both of their names: confirmed on a page, taken once, refunded like any card pay-in."""

from typing import Any

import pytest

from moneyback.dialect import AddPayment, Incoming
from moneyback.dialects.mangopay import DIALECT
from tests.dialects.driver import said
from tests.dialects.mangopay.shop import eur
from tests.dialects.mangopay.test_resources import BACK, Desk, funds
from tests.dialects.mangopay.test_telling import announced, confirm, listen

NAMES = [("deposit", "DepositId"), ("extended", "ExtendedPreauthorizationId")]
NOT_HELD = "The deposit is not in the PreAuthorized status."


@pytest.fixture
def desk() -> Desk:
    return Desk()


def asked(desk: Desk, word: str = "deposit", **members: Any) -> Any:
    card = {"AuthorId": desk.payer, "CardId": desk.new_card(), "SecureModeReturnURL": BACK}
    return desk.made(f"{word}-preauthorizations/card/direct", card | {"DebitedFunds": eur(100_00)} | members)


def held(desk: Desk, word: str = "deposit", **members: Any) -> Any:
    """A hold that was confirmed."""
    made = asked(desk, word, **members)
    confirm(desk, made["SecureModeRedirectURL"])
    return desk.seen(f"{word}-preauthorizations/{made['Id']}")


def take(desk: Desk, hold: Any, amount: int = 100_00, *, word: str = "deposit", **members: Any) -> Any:
    return desk.made(f"payins/{word}-preauthorized/direct/full-capture", taking(desk, hold, amount, **members))


def taking(desk: Desk, hold: Any, amount: int = 100_00, fees: int = 0, **members: Any) -> dict[str, Any]:
    return desk.stated(amount, fees, DepositId=hold["Id"]) | members


def refused(desk: Desk, hold: Any, **members: Any) -> Any:
    """The whole error of a pay-in that is refused."""
    path = "payins/deposit-preauthorized/direct/full-capture"
    outgoing = desk.ask("POST", path, taking(desk, hold, **members))
    assert outgoing.status == 400
    return said(outgoing)


@pytest.mark.parametrize(("word", "member"), NAMES)
def test_a_hold_is_confirmed_taken_in_part_and_refunded(desk: Desk, word: str, member: str):
    prefix = f"{word.upper()}_PREAUTHORIZATION"
    listen(desk, *(f"{prefix}_{each}" for each in ("CREATED", "PAYMENT_WAITING", "PAYMENT_VALIDATED")))
    made = asked(desk, word)
    assert (made["Status"], made["PaymentStatus"], made["SecureModeNeeded"]) == ("CREATED", "WAITING", True)
    assert made["PayinsLinked"] == {"PayinCaptureId": None, "PayinComplementId": None}
    confirm(desk, made["SecureModeRedirectURL"])
    now = desk.seen(f"{word}-preauthorizations/{made['Id']}")
    assert (now["Status"], now["PaymentStatus"], now["ResultCode"]) == ("SUCCEEDED", "WAITING", "000000")
    assert now["ExpirationDate"] - now["AuthorizationDate"] == 29.5 * 86_400

    body = desk.stated(60_00, 1_00, **{member: made["Id"]})
    payin = desk.made(f"payins/{word}-preauthorized/direct/full-capture", body)
    assert (payin["Status"], payin["PaymentType"], payin[member], payin["DepositId"]) == (
        *("SUCCEEDED", "PREAUTHORIZED"),
        *(made["Id"], made["Id"]),
    )
    assert ("ExtendedPreauthorizationId" in payin) == (word == "extended")
    assert desk.balance(desk.wallet) == 59_00
    done = desk.seen(f"{word}-preauthorizations/{made['Id']}")
    assert (done["PaymentStatus"], done["PayinsLinked"]["PayinCaptureId"]) == ("VALIDATED", payin["Id"])
    assert desk.seen(f"{word}-preauthorizations/{made['Id']}/transactions") == [payin]
    words = ("CREATED", "PAYMENT_WAITING", "PAYMENT_VALIDATED")
    assert announced(desk) == [(f"{prefix}_{each}", made["Id"]) for each in words]

    refund = desk.made(f"payins/{payin['Id']}/refunds", {"AuthorId": desk.payer})
    assert (refund["Status"], refund["CreditedFunds"]) == ("SUCCEEDED", eur(60_00))


def test_the_newer_call_takes_what_the_older_one_held(desk: Desk):
    assert take(desk, held(desk), word="extended")["Status"] == "SUCCEEDED"


def test_it_is_taken_once(desk: Desk):
    hold = held(desk)
    take(desk, hold, 40_00)
    again = refused(desk, hold, amount=10_00)
    assert (again["Type"], again["Message"]) == ("invalid_action", NOT_HELD)
    assert desk.balance(desk.wallet) == 40_00


def test_what_was_taken_stays_taken_although_nothing_else_was_written(desk: Desk):
    """The pay-in is there, and whoever made it went away before the hold was marked."""
    hold = held(desk)
    place = ("extended preauthorization", hold["Id"])
    before = desk.world.documents[place]
    payin = take(desk, hold, 40_00)
    desk.world.documents[place] = before
    now = desk.seen(f"deposit-preauthorizations/{hold['Id']}")
    assert (now["PaymentStatus"], now["PayinsLinked"]["PayinCaptureId"]) == ("VALIDATED", payin["Id"])
    assert refused(desk, hold, amount=40_00)["Message"] == NOT_HELD


@pytest.mark.parametrize("amount", [100_00, 40_00])
def test_two_at_once_take_once(desk: Desk, amount: int):
    """The second has looked before the first has taken: it comes to the same pay-in, or to nothing."""
    hold = held(desk)
    path = "/v2.01/{ClientId}/payins/deposit-preauthorized/direct/full-capture"
    route = next(each for each in DIALECT.routes if each.path == path)
    incoming = Incoming(method="POST", path=path, arguments={"ClientId": "demo"}, body=taking(desk, hold, amount))
    second = route.handle(incoming, desk.world.caller)
    ask = next(second)
    while not isinstance(ask, AddPayment):
        ask = second.send(desk.world.answer(ask))
    first = take(desk, hold)
    with pytest.raises(StopIteration) as ended:
        while True:
            ask = second.send(desk.world.answer(ask))
    answer = said(ended.value.value)
    assert answer.get("Message") == (None if amount == 100_00 else NOT_HELD)
    assert answer["Id"] == first["Id"] or amount != 100_00
    assert desk.balance(desk.wallet) == 100_00
    assert len(desk.seen(f"deposit-preauthorizations/{hold['Id']}/transactions")) == 1
    assert desk.seen(f"deposit-preauthorizations/{hold['Id']}")["PaymentStatus"] == "VALIDATED"


def test_a_pay_in_above_the_hold_fails_and_may_be_tried_again(desk: Desk):
    hold = held(desk)
    listen(desk, "DEPOSIT_PREAUTHORIZATION_PAYMENT_FAILED", "DEPOSIT_PREAUTHORIZATION_PAYMENT_VALIDATED")
    above = take(desk, hold, 100_01)
    assert (above["Status"], above["ResultCode"]) == ("FAILED", "001505")
    assert desk.seen(f"deposit-preauthorizations/{hold['Id']}")["PaymentStatus"] == "FAILED"
    assert take(desk, hold)["Status"] == "SUCCEEDED"
    assert [each["Status"] for each in desk.seen(f"deposit-preauthorizations/{hold['Id']}/transactions")] == [
        *("FAILED", "SUCCEEDED"),
    ]
    words = ("PAYMENT_FAILED", "PAYMENT_VALIDATED")
    assert announced(desk) == [(f"DEPOSIT_PREAUTHORIZATION_{each}", hold["Id"]) for each in words]


def test_it_is_cancelled_before_it_is_taken(desk: Desk):
    listen(desk, "DEPOSIT_PREAUTHORIZATION_PAYMENT_CANCEL_REQUESTED", "DEPOSIT_PREAUTHORIZATION_PAYMENT_CANCELED")
    hold = held(desk)
    path = f"deposit-preauthorizations/{hold['Id']}"
    assert list(desk.wrong(path, {"PaymentStatus": "NO_SHOW_REQUESTED"}, method="PUT")) == ["PaymentStatus"]
    assert list(desk.wrong(path, {}, method="PUT")) == ["PaymentStatus"]
    assert desk.changed(path, {"PaymentStatus": "CANCELED"})["PaymentStatus"] == "CANCELED"
    words = ("PAYMENT_CANCEL_REQUESTED", "PAYMENT_CANCELED")
    assert announced(desk) == [(f"DEPOSIT_PREAUTHORIZATION_{each}", hold["Id"]) for each in words]
    assert said(desk.ask("PUT", path, {"PaymentStatus": "CANCELED"}))["Message"] == NOT_HELD
    assert refused(desk, hold)["Message"] == NOT_HELD
    taken = held(desk)
    take(desk, taken)
    error = said(desk.ask("PUT", f"deposit-preauthorizations/{taken['Id']}", {"PaymentStatus": "CANCELED"}))
    assert (error["Type"], error["Message"]) == ("invalid_action", "The capture has a success status.")


def test_it_runs_out(desk: Desk):
    listen(desk, "DEPOSIT_PREAUTHORIZATION_PAYMENT_EXPIRED")
    hold = held(desk)
    desk.world.advance(days=29, hours=12, seconds=-1)
    assert desk.seen(f"deposit-preauthorizations/{hold['Id']}")["PaymentStatus"] == "WAITING"
    desk.world.advance(seconds=1)
    assert desk.seen(f"users/{desk.payer}/deposit-preauthorizations")[0]["PaymentStatus"] == "EXPIRED"
    assert desk.seen(f"deposit-preauthorizations/{hold['Id']}")["PaymentStatus"] == "EXPIRED"
    assert announced(desk) == [("DEPOSIT_PREAUTHORIZATION_PAYMENT_EXPIRED", hold["Id"])]
    assert refused(desk, hold)["Message"] == NOT_HELD


def test_one_that_is_declined_holds_nothing(desk: Desk):
    listen(desk, "DEPOSIT_PREAUTHORIZATION_FAILED")
    made = asked(desk)
    assert refused(desk, made)["Message"] == NOT_HELD
    confirm(desk, made["SecureModeRedirectURL"], "decline")
    now = desk.seen(f"deposit-preauthorizations/{made['Id']}")
    assert (now["Status"], now["PaymentStatus"], now["ResultCode"]) == ("FAILED", "FAILED", "101301")
    assert announced(desk) == [("DEPOSIT_PREAUTHORIZATION_FAILED", made["Id"])]
    assert refused(desk, made)["Message"] == NOT_HELD
    path = f"deposit-preauthorizations/{made['Id']}"
    assert said(desk.ask("PUT", path, {"PaymentStatus": "CANCELED"}))["Message"] == NOT_HELD


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"DepositId": "1"}, {"DepositId"}),
        ({"DepositId": None}, {"DepositId"}),
        ({"Fees": None}, {"Fees"}),
        ({"DebitedFunds": funds(0), "Fees": funds(0)}, {"DebitedFunds.Amount"}),
        ({"DebitedFunds": funds(1, "USD"), "Fees": funds(0, "USD")}, "currency_incompatibility"),
    ],
)
def test_pay_ins_that_are_refused(desk: Desk, members: dict[str, Any], error: Any):
    error_body = refused(desk, held(desk), **members)
    assert (set(error_body["errors"]) if isinstance(error, set) else error_body["Type"]) == error


def test_it_is_taken_in_its_own_currency(desk: Desk):
    dollars = {"DebitedFunds": funds(1, "USD"), "Fees": funds(0, "USD")}
    wallet = desk.new_wallet(desk.payer, "USD")
    error = refused(desk, held(desk), CreditedWalletId=wallet, **dollars)
    assert error["errors"]["currency"].startswith("The PreAuthorization's currency EUR")


def test_it_credits_its_author_alone(desk: Desk):
    hold = held(desk)
    other = refused(desk, hold, CreditedWalletId=desk.till)
    assert other["Message"] == f"CreditedUserExternalId:{desk.seller} must be Equal to authorId:{desk.payer}."
    payin = take(desk, hold, AuthorId=desk.seller)
    assert payin["AuthorId"] == desk.payer


@pytest.mark.parametrize("member", ["AuthorId", "CardId", "DebitedFunds", "SecureModeReturnURL"])
def test_holds_that_are_refused(desk: Desk, member: str):
    body = {"AuthorId": desk.payer, "CardId": desk.new_card(), "SecureModeReturnURL": BACK, "DebitedFunds": eur(1)}
    assert list(desk.wrong("deposit-preauthorizations/card/direct", body | {member: None})) == [member]


def test_holds_are_listed(desk: Desk):
    one, two = held(desk), held(desk, "extended")
    desk.changed(f"deposit-preauthorizations/{one['Id']}", {"PaymentStatus": "CANCELED"})
    for word, _ in NAMES:
        listed = desk.seen(f"users/{desk.payer}/{word}-preauthorizations")
        assert [each["Id"] for each in listed] == [one["Id"], two["Id"]]
        waiting = desk.seen(f"users/{desk.payer}/{word}-preauthorizations?PaymentStatus=waiting")
        assert [each["Id"] for each in waiting] == [two["Id"]]
        assert [each["Id"] for each in desk.seen(f"cards/{two['CardId']}/{word}-preauthorizations")] == [two["Id"]]
    printed = desk.seen(f"cards/{one['CardId']}")["Fingerprint"]
    same = desk.seen(f"cards/fingerprints/{printed}/deposit-preauthorizations?Sort=CreationDate:DESC")
    assert [each["Id"] for each in same] == [two["Id"], one["Id"]]
    for path in (
        "cards/fingerprints/x/deposit-preauthorizations",
        "deposit-preauthorizations/1",
        "deposit-preauthorizations/1/transactions",
        "users/1/deposit-preauthorizations",
    ):
        assert desk.ask("GET", path).status == 404
