"""Mangopay's refund call: a row for every documented rule, every error, every result code, every state."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import moneyback.dialects.mangopay as folder
from moneyback.core.ledger import Account
from moneyback.core.payment import Condition
from moneyback.core.refund import State
from moneyback.core.refusals import Reason
from moneyback.dialect import AskRefund, Await, FindPayment, Incoming, Instant, LoadDocument, SaveDocument
from moneyback.dialects.mangopay import complaints, wire
from moneyback.dialects.mangopay.refunds import PRECEDENCE
from moneyback.dialects.mangopay.windows import months_after
from tests.dialects.driver import MERCHANT, ROADS, START, STRANGER, said
from tests.dialects.mangopay.demo import AUTHOR, CREATE, Demo, amounts, consistent, eur, well_formed

DISPUTED = "Due to repudiations against this transaction, you can not refund this amount"


def sentences(outgoing: Any, status: int = 400, kind: str = "param_error") -> Any:
    """The `errors` of an answer that must be an error of that kind."""
    assert (outgoing.status, said(outgoing)["Type"]) == (status, kind), said(outgoing)
    return said(outgoing)["errors"]


# --- the three amounts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "debited", "fees", "credited"),
    [
        ({"AuthorId": AUTHOR}, 25_000, -2_500, 27_500),
        ({"AuthorId": AUTHOR, "DebitedFunds": None, "Fees": None}, 25_000, -2_500, 27_500),
        (amounts(25_000, -2_500), 25_000, -2_500, 27_500),
        (amounts(20_000, -1_000), 20_000, -1_000, 21_000),
        (amounts(20_000), 20_000, 0, 20_000),
        (amounts(20_000, 150), 20_000, 150, 19_850),  # positive fees charge more: the payer gets less
        (amounts(1), 1, 0, 1),
        (amounts(1, -2_500), 1, -2_500, 2_501),
    ],
)
def test_amounts(body: Any, debited: int, fees: int, credited: int):
    world = Demo()
    payment = world.payin()
    refund = world.done(payment, body)
    assert refund["Status"] == "SUCCEEDED"
    assert (refund["DebitedFunds"], refund["Fees"], refund["CreditedFunds"]) == (eur(debited), eur(fees), eur(credited))
    kept = world.last()
    assert (kept.wallet, kept.fee_return, kept.payer) == (debited, -fees, credited)
    assert world.payment(payment).refunded == credited


def test_a_full_refund_brings_wallet_and_fees_back_to_where_they_were():
    world = Demo()
    payment = world.payin(2_750, fees=250)
    refund = world.done(payment)
    assert (refund["DebitedFunds"], refund["Fees"], refund["CreditedFunds"]) == (eur(2_500), eur(-250), eur(2_750))
    left = world.payment(payment)
    assert (left.refundable, left.wallet_left, left.fee_left) == (0, 0, 0)


def test_a_currency_without_cents_is_not_scaled():
    world = Demo()
    refund = world.done(world.payin(20_000, "JPY", fees=1_000))
    assert refund["CreditedFunds"] == {"Currency": "JPY", "Amount": 20_000}


def test_parts_until_nothing_is_left():
    world = Demo()
    payment = world.payin()
    for debited, fees in ((10_000, -1_000), (14_999, -1_500), (1, 0)):
        assert world.done(payment, amounts(debited, fees))["Status"] == "SUCCEEDED"
    assert world.payment(payment).refundable == 0
    assert world.done(payment, amounts(2))["ResultCode"] == "001401"


# --- the form of an amount -------------------------------------------------------------------------------------------

NOT_AN_INTEGER = "The Amount must be an integer of minor units"
REQUIRED = "The Amount field is required."
TOO_SMALL = "The Amount must be at least 1"
ABSENT = object()


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        (10, None),
        ("10", NOT_AN_INTEGER),
        (Decimal("10.0"), NOT_AN_INTEGER),
        ("10.00", NOT_AN_INTEGER),
        (Decimal("10.005"), NOT_AN_INTEGER),
        (Decimal("1e2"), NOT_AN_INTEGER),
        (-1, TOO_SMALL),
        (0, TOO_SMALL),
        ("", NOT_AN_INTEGER),
        (None, REQUIRED),
        (ABSENT, REQUIRED),
        ([], NOT_AN_INTEGER),
        (True, NOT_AN_INTEGER),
        (2**63, NOT_AN_INTEGER),
    ],
)
def test_amount_forms(amount: Any, sentence: str | None):
    world = Demo()
    payment = world.payin()
    funds = {"Currency": "EUR"} if amount is ABSENT else eur(amount)
    outgoing = world.refund(payment, {"AuthorId": AUTHOR, "DebitedFunds": funds, "Fees": eur(0)})
    if sentence is None:
        assert said(outgoing)["DebitedFunds"] == eur(10)
        return
    assert sentences(outgoing) == {"DebitedFunds.Amount": sentence}
    assert world.refunds == ()


@pytest.mark.parametrize("funds", ["10", 10, Decimal("10.0"), "", [], True, [eur(10)]])
def test_funds_that_are_no_object(funds: Any):
    world = Demo()
    outgoing = world.refund(world.payin(), {"AuthorId": AUTHOR, "DebitedFunds": funds, "Fees": eur(0)})
    assert sentences(outgoing) == {"DebitedFunds": "The DebitedFunds must be an object with a Currency and an Amount"}
    assert world.refunds == ()


def test_what_the_payer_would_get_stays_within_63_bits():
    world = Demo()
    outgoing = world.refund(world.payin(), amounts(1, -(2**63 - 1)))
    assert sentences(outgoing) == {"Fees.Amount": "The Amount is too large"}


# --- HTTP errors: nothing is created ---------------------------------------------------------------------------------

OTHER_CURRENCY = "The Currency of the refund is not the Currency of the initial PayIn"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (
            {"AuthorId": AUTHOR, "DebitedFunds": eur(100)},
            {"Fees": "if DebitedFunds are defined, Fees must be defined"},
        ),
        ({"AuthorId": AUTHOR, "Fees": eur(0)}, {"DebitedFunds": "if Fees are defined, DebitedFunds must be defined"}),
        ({"AuthorId": "1"}, {"AuthorId": "Author of the refund is not the author of the initial payin"}),
        ({}, {"AuthorId": "The AuthorId field is required."}),
        ({"AuthorId": None}, {"AuthorId": "The AuthorId field is required."}),
        ({"AuthorId": ""}, {"AuthorId": "The AuthorId field is required."}),
        ({"AuthorId": 9100000001}, {"AuthorId": "The AuthorId is not an identifier"}),
        ([], {"AuthorId": "The AuthorId field is required."}),
        ("text", {"AuthorId": "The AuthorId field is required."}),
        (
            amounts(25_001),
            {"DebitedFunds": "DebitedFunds cannot be superior the CreditedFunds of the initial PayIn"},
        ),
        (
            {"AuthorId": AUTHOR, "DebitedFunds": {"Currency": "USD", "Amount": 1}, "Fees": eur(0)},
            {"DebitedFunds.Currency": OTHER_CURRENCY},
        ),
        (
            {"AuthorId": AUTHOR, "DebitedFunds": eur(1), "Fees": {"Currency": "USD", "Amount": 0}},
            {"Fees.Currency": OTHER_CURRENCY},
        ),
        (
            {"AuthorId": AUTHOR, "DebitedFunds": {"Amount": 1}, "Fees": {"Currency": "EUR"}},
            {
                "DebitedFunds.Currency": "The Currency field is required.",
                "Fees.Amount": "The Amount field is required.",
            },
        ),
        ({"AuthorId": AUTHOR, "Tag": "x" * 256}, {"Tag": "The Tag must be text of at most 255 characters"}),
        ({"AuthorId": AUTHOR, "Tag": 5}, {"Tag": "The Tag must be text of at most 255 characters"}),
        (
            {"AuthorId": AUTHOR, "StatementDescriptor": "x" * 11},
            {"StatementDescriptor": "The StatementDescriptor must be at most 10 letters, digits and spaces"},
        ),
        (
            {"AuthorId": AUTHOR, "StatementDescriptor": "a-b"},
            {"StatementDescriptor": "The StatementDescriptor must be at most 10 letters, digits and spaces"},
        ),
    ],
)
def test_parameters(body: Any, errors: dict[str, str]):
    world = Demo()
    outgoing = world.refund(world.payin(), body)
    assert sentences(outgoing) == errors
    assert said(outgoing)["Message"] == complaints.PARAMETERS
    assert world.refunds == ()


@pytest.mark.parametrize("status", ["failed", "processing", "authorized"])
def test_a_payin_that_has_not_succeeded(status: str):
    world = Demo()
    outgoing = world.refund(world.payin(status=status))
    assert sentences(outgoing, 400, "original_transaction_must_be_succeeded") == {}
    assert said(outgoing)["Message"] == "The original transaction must have a SUCCEEDED Status to be refunded"
    assert world.refunds == ()


def test_a_disputed_payin_until_the_dispute_is_won():
    world = Demo()
    payment = world.payin()
    world.see(payment, "dispute_open", 100, "d1")
    assert sentences(world.refund(payment)) == {"DebitedFunds": DISPUTED}
    assert world.refunds == ()
    world.see(payment, "dispute_won", 100, "d1")
    assert world.done(payment)["Status"] == "SUCCEEDED"


def test_an_unknown_payin_and_a_strangers_are_the_same():
    world = Demo()
    foreign = world.payin(merchant=STRANGER)
    outgoing = world.refund(foreign)
    said_of_it = f"Cannot found the ressource PayIn with the id={foreign.dialect_id}"
    assert sentences(outgoing, 404, "ressource_not_found") == {"RessourceNotFound": said_of_it}
    assert said(outgoing)["Message"] == "The ressource does not exist"


@pytest.mark.parametrize("method", ["BANK_WIRE", "MULTIBANCO", "PAY_BY_BANK", "EXTERNAL_INSTRUCTION"])
def test_methods_that_are_paid_out_instead(method: str):
    world = Demo()
    errors = sentences(world.refund(world.payin(method=method)))
    assert errors == {"PayInId": "A PayIn of this payment method cannot be refunded"}
    assert world.refunds == ()


def test_an_error_is_dated_and_named():
    world = Demo()
    error = said(world.refund(world.payin(), {}))
    identity, _, seconds = error["Id"].partition("#")
    assert len(identity) == 36
    assert int(seconds) == error["Date"] == int(START.timestamp())


def test_members_we_do_not_know_are_left_alone():
    world = Demo()
    extra: dict[str, Any] = {
        "Payin": "p1",
        "Transfer": None,
        "Reference": 7,
        "CreditedWalletId": [],
        "DebitedWalletId": "w",
    }
    assert world.done(world.payin(), {"AuthorId": AUTHOR, **extra})["Status"] == "SUCCEEDED"


@given(body=st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.decimals(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["AuthorId", "DebitedFunds", "Fees", "Tag", "StatementDescriptor", "Amount", "Currency"]),
        inner | st.just(AUTHOR) | st.just("EUR"),
        max_size=5,
    ),
    max_leaves=8,
))  # fmt: skip
def test_no_body_admits_more_or_breaks(body: Any):
    world = Demo()
    payment = world.payin()
    outgoing = world.refund(payment, body if body is not None else {})
    assert outgoing.status in (200, 400)
    assert len(world.refunds) == (outgoing.status == 200)
    assert world.payment(payment).refunded <= payment.captured


# --- kept refusals: 200 and a FAILED refund --------------------------------------------------------------------------


def failed(world: Demo, payment: Any, body: Any = None) -> str:
    """The code of a request that must be kept as failed, here and on every later read, and move nothing."""
    before = world.payment(payment)
    refund = world.done(payment, body)
    assert refund["Status"] == "FAILED"
    assert refund["ResultMessage"] == wire.MESSAGES[refund["ResultCode"]]
    assert said(world.get(f"refunds/{refund['Id']}")) == refund
    assert refund in said(world.get(f"payins/{payment.dialect_id}/refunds", {"per_page": "100"}))
    assert world.payment(payment) == before
    code: str = refund["ResultCode"]
    return code


def test_the_sum_of_refunds():
    world = Demo()
    payment = world.payin()
    world.done(payment, amounts(20_000))
    assert failed(world, payment, amounts(5_001)) == "005403"
    assert world.done(payment, amounts(5_000))["Status"] == "SUCCEEDED"


def test_omitted_amounts_are_literally_the_initial_ones():
    world = Demo()
    payment = world.payin()
    world.done(payment, amounts(1))
    assert failed(world, payment) == "005403"
    shown = said(world.get(f"refunds/{world.last().dialect_id}"))
    assert (shown["DebitedFunds"], shown["Fees"]) == (eur(25_000), eur(-2_500))


def test_fully_refunded():
    world = Demo()
    payment = world.payin()
    world.done(payment)
    assert failed(world, payment) == "001401"
    assert failed(world, payment, amounts(1)) == "001401"


def test_refunded_elsewhere():
    world = Demo()
    payment = world.payin(10_000, fees=0)
    world.see(payment, "external", 10_000, "x")
    assert failed(world, payment) == "001401"


def test_fees_above_the_initial_ones_at_once_or_in_sum():
    world = Demo()
    payment = world.payin()
    assert failed(world, payment, amounts(25_000, -2_501)) == "005404"
    world.done(payment, amounts(100, -2_000))
    assert failed(world, payment, amounts(200, -501)) == "005404"
    assert world.done(payment, amounts(200, -500))["Status"] == "SUCCEEDED"


def test_charging_more_fees_does_not_make_more_of_them_returnable():
    world = Demo()
    payment = world.payin()
    world.done(payment, amounts(1_000, 500))
    assert failed(world, payment, amounts(1_001, -2_501)) == "005404"


@pytest.mark.parametrize("fees", [100, 101])
def test_nothing_credited(fees: int):
    world = Demo()
    assert failed(world, world.payin(), amounts(100, fees)) == "001014"


@pytest.mark.parametrize("outcome", ["pending", "unknown", "ready", "needs_review"])
def test_one_at_a_time(outcome: str):
    world = Demo()
    payment = world.payin()
    world.outcome = outcome
    assert world.done(payment, amounts(1_000))["Status"] == "CREATED"
    first = world.last()
    assert failed(world, payment, amounts(2_000)) == "005406"
    if outcome == "pending":
        world.bring(first, "succeeded")
        world.outcome = "succeeded"
        assert world.done(payment, amounts(2_000))["Status"] == "SUCCEEDED"


def test_the_same_amount_once_in_24_hours():
    world = Demo()
    payment = world.payin()
    world.done(payment, amounts(1_000, -50))
    assert failed(world, payment, amounts(1_000)) == "005407"  # what leaves the wallet is compared
    assert world.done(payment, amounts(1_001))["Status"] == "SUCCEEDED"
    world.advance(hours=24, seconds=-1)
    assert failed(world, payment, amounts(1_000)) == "005407"
    world.advance(seconds=1)
    assert world.done(payment, amounts(1_000))["Status"] == "SUCCEEDED"


def test_a_failed_attempt_does_not_count_for_the_same_amount():
    world = Demo()
    payment = world.payin()
    world.outcome = "failed:001999"
    world.done(payment, amounts(1_000))
    world.outcome = "succeeded"
    assert world.done(payment, amounts(1_000))["Status"] == "SUCCEEDED"
    assert failed(world, payment, amounts(1_000)) == "005407"


def test_another_payin_has_amounts_of_its_own():
    world = Demo()
    first, second = world.payin(), world.payin()
    world.done(first, amounts(1_000))
    assert world.done(second, amounts(1_000))["Status"] == "SUCCEEDED"


@pytest.mark.parametrize("kind", ["dispute_lost", "claw_back"])
def test_money_that_was_repudiated(kind: str):
    world = Demo()
    payment = world.payin()
    world.see(payment, kind, 100)
    assert failed(world, payment, amounts(10)) == "005408"


def test_a_dispute_on_paypals_own_side_is_found_late():
    world = Demo()
    payment = world.payin(method="PAYPAL")
    world.see(payment, "dispute_open", 100)
    assert failed(world, payment) == "005408"


@pytest.mark.parametrize(
    ("wallet", "fees", "code"), [(24_999, 9_999, "001001"), (99_999, 2_499, "005405"), (25_000, 2_500, None)]
)
def test_wallets_that_are_short(wallet: int, fees: int, code: str | None):
    world = Demo()
    world._terms = replace(world._terms, wallets_limited=True)
    payment = world.payin(wallet="9200000001", fee_wallet="FEES_EUR")
    for name, balance in (("wallet/9200000001", wallet), ("wallet/FEES_EUR", fees)):
        world.facts.accounts[(MERCHANT, name, "EUR")] = Account(MERCHANT, name, "EUR", balance)
    if code is None:
        assert world.done(payment)["Status"] == "SUCCEEDED"
    else:
        assert failed(world, payment) == code


@pytest.mark.parametrize("code", sorted({*wire.MESSAGES, "101199"} - {wire.SUCCESS}))
def test_every_code_a_rail_can_give(code: str):
    world = Demo()
    world.outcome = f"failed:{code}"
    refund = world.done(world.payin())
    assert (refund["Status"], refund["ResultCode"]) == ("FAILED", code)
    assert refund["ResultMessage"] == wire.MESSAGES.get(code, "Generic Operation error")


def test_another_providers_code_is_a_generic_error():
    world = Demo()
    world.outcome = "failed:card_declined"
    assert world.done(world.payin())["ResultCode"] == "001999"


def test_every_reason_is_said_somewhere():
    said_or_kept = set(complaints.BY_REASON) | set(wire.KEPT)
    assert not set(complaints.BY_REASON) & set(wire.KEPT)
    # An unknown pay-in is answered before the engine is asked; the rest cannot come of this call.
    never = set(Reason) - said_or_kept
    assert never == {
        Reason.BAD_REQUEST,
        Reason.KEY_REUSED,
        Reason.ALREADY_EXISTS,
        Reason.PAYMENT_NOT_FOUND,
        Reason.REFUND_NOT_FOUND,
        Reason.ORDER_NOT_FOUND,
        Reason.CASE_NOT_FOUND,
        Reason.PAYMENT_MOVED_ON,
        Reason.EVIDENCE_MOVED_ON,
        Reason.LEAVES_UNREFUNDABLE_REST,
        Reason.EXCEEDS_PARTS,
    }
    assert said_or_kept <= set(PRECEDENCE)
    kept = [reason in wire.KEPT for reason in PRECEDENCE]
    assert kept == sorted(kept), "an HTTP error never hides behind a kept refusal"


# --- windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "closes"),
    [
        (None, datetime(2027, 2, 2, 9, 30, tzinfo=UTC)),
        ("CARD", datetime(2027, 2, 2, 9, 30, tzinfo=UTC)),
        ("PREAUTHORIZED", datetime(2027, 2, 2, 9, 30, tzinfo=UTC)),
        ("GOOGLE_PAY", datetime(2027, 2, 2, 9, 30, tzinfo=UTC)),
        ("KLARNA", datetime(2027, 2, 2, 9, 30, tzinfo=UTC)),
        ("DIRECT_DEBIT", datetime(2027, 4, 2, 9, 30, tzinfo=UTC)),
        ("BLIK", datetime(2027, 4, 2, 9, 30, tzinfo=UTC)),
        ("SWISH", datetime(2027, 4, 2, 9, 30, tzinfo=UTC)),
        ("IDEAL", datetime(2027, 3, 2, 9, 30, tzinfo=UTC)),
        ("MB_WAY", datetime(2027, 3, 2, 9, 30, tzinfo=UTC)),
        ("BIZUM", datetime(2027, 3, 2, 9, 30, tzinfo=UTC)),
        ("TWINT", datetime(2027, 3, 2, 9, 30, tzinfo=UTC)),
        ("PAYCONIQ", datetime(2027, 3, 2, 9, 30, tzinfo=UTC)),
        ("BANCONTACT", datetime(2026, 8, 29, 9, 30, tzinfo=UTC)),
        ("BCMC", datetime(2026, 8, 29, 9, 30, tzinfo=UTC)),
        ("PAYPAL", datetime(2026, 8, 29, 9, 30, tzinfo=UTC)),
        ("SATISPAY", datetime(2026, 5, 31, 9, 30, tzinfo=UTC)),
    ],
)
def test_windows_close(method: str | None, closes: datetime):
    world = Demo()
    payment = world.payin(method=method)
    world.now = closes
    assert failed(world, payment, amounts(1)) == "001403"
    world.now = closes - timedelta(seconds=1)
    assert world.done(payment, amounts(1))["Status"] == "SUCCEEDED"


def test_giropay_closed_for_everybody_at_once():
    world = Demo()
    world.now = datetime(2024, 6, 1, tzinfo=UTC)
    payment = world.payin(method="GIROPAY")
    world.now = datetime(2025, 6, 30, 23, 59, 59, tzinfo=UTC)
    assert world.done(payment, amounts(1))["Status"] == "SUCCEEDED"
    world.now = datetime(2025, 7, 1, tzinfo=UTC)
    assert failed(world, payment, amounts(2)) == "001403"
    assert failed(world, world.payin(method="GIROPAY"), amounts(3)) == "001403"


@pytest.mark.parametrize("method", ["DIRECT_DEBIT", "SATISPAY", "BLIK"])
def test_eleven_months_for_every_method_where_that_is_set(method: str):
    world = Demo()
    payment = world.payin(method=method, dialect_data={"windows": "seed"})
    assert world.done(payment, amounts(1))["Status"] == "SUCCEEDED"
    world.now = datetime(2027, 2, 2, 9, 30, tzinfo=UTC)
    assert failed(world, payment, amounts(2)) == "001403"


def test_a_direct_debit_waits_for_its_eighth_day():
    world = Demo()
    payment = world.payin(method="DIRECT_DEBIT")
    assert failed(world, payment) == "001405"
    world.now = datetime(2026, 3, 10, 0, 0, 0, tzinfo=UTC)
    assert failed(world, payment) == "001405"
    world.now = datetime(2026, 3, 10, 0, 0, 1, tzinfo=UTC)
    assert world.done(payment)["Status"] == "SUCCEEDED"


def test_a_tag_lifts_the_wait_in_a_sandbox_alone():
    world = Demo()
    payment = world.payin(method="DIRECT_DEBIT")
    body = {**amounts(1_000), "Tag": "ignore_mindate"}
    world.change(payment, rail="mangopay-live")
    assert failed(world, payment, body) == "001405"
    world.change(payment, rail="sandbox")
    world.outcome = "ready"
    assert world.done(payment, body)["Status"] == "CREATED"


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [((2026, 1, 31), 1, (2026, 2, 28)), ((2024, 3, 31), 11, (2025, 2, 28)), ((2026, 12, 1), 13, (2028, 1, 1))],
)
def test_months_are_the_calendars(start: tuple[int, int, int], months: int, end: tuple[int, int, int]):
    assert months_after(datetime(*start, tzinfo=UTC), months) == datetime(*end, tzinfo=UTC)


# --- two reasons at once ---------------------------------------------------------------------------------------------

RANKED = {
    "author": "AuthorId",
    "status": "original_transaction_must_be_succeeded",
    "disputed": "DebitedFunds",
    "pairing": "Fees",
    "unrefundable": "PayInId",
    "nothing credited": "001014",
    "clawed back": "005408",
    "too late": "001403",
    "too early": "001405",
    "pending": "005406",
    "fully refunded": "001401",
    "sum": "005403",
    "fees": "005404",
    "same amount": "005407",
}
"""Every reason and how it is told, the first complaint first."""
NEVER_TOGETHER = [
    {"nothing credited", "fees"},  # fees are charged or given back
    {"sum", "fully refunded"},
]


PAIRS = [pair for pair in combinations(RANKED, 2) if set(pair) not in NEVER_TOGETHER]


@pytest.mark.parametrize(("first", "second"), [*((name, name) for name in RANKED), *PAIRS])
def test_of_two_reasons_the_earlier_is_said(first: str, second: str):
    assert told({first, second}) == RANKED[first]


def told(reasons: set[str]) -> str:
    """What a refund of 10.00 is answered with when all of these stand against it."""
    world = Demo()
    payment = world.payin()
    for debited in earlier_refunds(reasons):
        world.done(payment, amounts(debited))
    if "pending" in reasons:
        world.outcome = "pending"
        world.done(payment, amounts(world.payment(payment).wallet_left if "fully refunded" in reasons else 77))
    world.change(payment, **standing(reasons))
    if "clawed back" in reasons:
        world.see(payment, "claw_back", 100, "c")
    if "disputed" in reasons:
        world.see(payment, "dispute_open", 100, "d")
    body = amounts(1_000, 1_000 if "nothing credited" in reasons else -2_501 if "fees" in reasons else 0)
    if "pairing" in reasons:
        del body["Fees"]
    if "author" in reasons:
        body["AuthorId"] = "1"
    answer = said(world.refund(payment, body))
    if "ResultCode" in answer:
        return str(answer["ResultCode"])
    return next(iter(answer["errors"]), answer["Type"])


def earlier_refunds(reasons: set[str]) -> list[int]:
    """What left the wallet before: 250.00 in all when it is empty, 245.00 when too little is left."""
    found = [1_000] if "same amount" in reasons else []
    if "pending" in reasons and "fully refunded" in reasons:
        return found
    if "fully refunded" in reasons:
        return [*found, 25_000 - sum(found)]
    return [*found, 24_500 - sum(found)] if "sum" in reasons else found


def standing(reasons: set[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if "status" in reasons:
        fields["condition"] = Condition.FAILED
    if "too early" in reasons:
        fields["method"] = "DIRECT_DEBIT"
    if "unrefundable" in reasons:
        fields["method"] = "BANK_WIRE"
    if "too late" in reasons:
        fields["captured_at"] = datetime(2024, 1, 1, tzinfo=UTC)
    return fields


def test_the_bound_of_one_amount_comes_before_the_sum():
    world = Demo()
    payment = world.payin()
    world.done(payment)
    assert list(sentences(world.refund(payment, amounts(25_001)))) == ["DebitedFunds"]


@pytest.mark.parametrize("reason", ["status", "disputed", "pairing"])
def test_the_bound_of_one_amount_comes_after(reason: str):
    world = Demo()
    payment = world.change(world.payin(), **standing({reason}))
    if reason == "disputed":
        world.see(payment, "dispute_open", 100)
    body = amounts(25_001)
    if reason == "pairing":
        del body["Fees"]
    answer = said(world.refund(payment, body))
    assert next(iter(answer["errors"]), answer["Type"]) == RANKED[reason]


@pytest.mark.parametrize(("kind", "errors"), [("dispute_open", {"DebitedFunds": DISPUTED})])
def test_a_dispute_that_opens_between_sight_and_lock(kind: str, errors: dict[str, str]):
    world = Demo()
    payment = world.payin()
    outgoing = interrupted(world, payment, AskRefund, lambda: world.see(payment, kind, 100))
    assert sentences(outgoing) == errors
    assert world.refunds == ()


def interrupted(world: Demo, payment: Any, at: type, happens: Any) -> Any:
    """A full refund during which something happens just before an ask of that kind is answered."""
    incoming = {"ClientId": "demo", "PayInId": payment.dialect_id}
    conversation = CREATE(refund_of(incoming), world.caller)
    answer: Any = None
    try:
        while True:
            ask = conversation.send(answer)
            if isinstance(ask, at):
                happens()
            answer = world.answer(ask)
    except StopIteration as end:
        return well_formed(end.value)


def refund_of(arguments: dict[str, str], **fields: Any) -> Any:
    return Incoming(method="POST", path="/", arguments=arguments, body={"AuthorId": AUTHOR}, encoding="json", **fields)


# --- every state -----------------------------------------------------------------------------------------------------

SHOWN = {
    State.AWAITING_APPROVAL: ("CREATED", None),
    State.SCHEDULED: ("CREATED", None),
    State.READY: ("CREATED", None),
    State.SENDING: ("CREATED", None),
    State.PENDING: ("CREATED", None),
    State.REQUIRES_ACTION: ("CREATED", None),
    State.UNKNOWN: ("CREATED", None),
    State.NEEDS_REVIEW: ("CREATED", None),
    State.SUCCEEDED: ("SUCCEEDED", "000000"),
    State.RETURNED: ("SUCCEEDED", "000000"),
    State.FAILED: ("FAILED", "001999"),
    State.CANCELED: ("FAILED", "001999"),
}


def test_no_state_is_forgotten():
    assert set(SHOWN) == set(State) == set(wire.STATUSES)


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_every_state_is_shown(state: State):
    world = Demo()
    world.outcome = "ready"
    payment = world.payin()
    world.done(payment)
    refund = world.bring(world.last(), state.value)
    shown = said(world.get(f"refunds/{refund.dialect_id}"))
    consistent(shown)
    assert (shown["Status"], shown["ResultCode"]) == SHOWN[state]
    assert said(world.get(f"payins/{payment.dialect_id}/refunds")) == [shown]


@pytest.mark.parametrize("state", ROADS, ids=lambda state: state.value)
def test_every_state_a_wait_can_end_in_is_answered(state: State):
    world = Demo()
    world.outcome = state.value
    refund = world.done(world.payin())
    assert (refund["Status"], refund["ResultCode"]) == SHOWN[state]
    assert [ask.seconds for ask in world.asks if isinstance(ask, Await)] == [10]


def test_a_kept_refusal_is_answered_at_once():
    world = Demo()
    world.done(world.payin(), amounts(1, 1))
    assert not any(isinstance(ask, Await) for ask in world.asks)


def test_a_request_with_everything_in_order_asks_for_nothing_it_does_not_need():
    world = Demo()
    payment = world.payin()
    world.done(payment)
    kinds = [type(ask) for ask in world.asks]
    assert kinds[:3] == [FindPayment, AskRefund, Await]
    assert set(kinds[3:]) == {LoadDocument, SaveDocument, Instant}, "the index of transactions and events, and the date"


def test_what_was_said_is_remembered():
    world = Demo()
    payment = world.payin(method="DIRECT_DEBIT", dialect_data={"CreditedWalletId": "w7", "AuthorId": "u7"})
    world.advance(days=20)
    refund = world.done(payment, {"AuthorId": "u7", "Tag": "t" * 255, "StatementDescriptor": "Shop 24"})
    assert (refund["Tag"], refund["StatementDescriptor"]) == ("t" * 255, "Shop 24")
    assert (refund["AuthorId"], refund["DebitedWalletId"]) == ("u7", "w7")
    assert refund["InitialTransactionId"] == payment.dialect_id
    assert refund["CreationDate"] == refund["ExecutionDate"] == int(world.now.timestamp())


def test_a_descriptor_is_null_where_it_has_no_effect():
    world = Demo()
    body = {"AuthorId": AUTHOR, "StatementDescriptor": "Shop 24"}
    assert world.done(world.payin(), body)["StatementDescriptor"] is None


def test_ids_are_digits_and_rise():
    world = Demo()
    payment = world.payin()
    ids = [world.done(payment, amounts(each))["Id"] for each in (1, 2, 3)]
    assert all(each.isdigit() and len(each) == 10 for each in ids)
    assert ids == sorted(set(ids))


def test_equal_requests_are_one_refund_where_the_rail_joins_them():
    world = Demo(join_within=timedelta(seconds=120))
    payment = world.payin()
    assert world.done(payment, amounts(1_000))["Id"] == world.done(payment, amounts(1_000))["Id"]
    assert len(world.refunds) == 1
    assert world.done(payment, {**amounts(1_000), "Tag": "another"})["ResultCode"] == "005407"


# --- samples ---------------------------------------------------------------------------------------------------------

SAMPLES = sorted((Path(folder.__file__).parent / "samples").glob("*.json"))
VARIES = {
    "Id", "CreationDate", "ExecutionDate", "Date", "InitialTransactionId", "access_token", "ContentLength", "RequestURL"
}  # fmt: skip


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples(path: Path):
    """The documented request gets the documented answer: members, order, types, and all values but ids and times."""
    sample = json.loads(path.read_text(encoding="utf-8"))
    world = Demo()
    payment = world.pay(**sample["payin"])
    world.advance(days=sample.get("age_days", 0))
    if "seen" in sample:
        world.see(payment, sample["seen"], 100)
    for body in sample["earlier"]:
        assert world.done(payment, body, key=sample.get("earlier_key"))["Status"] == "SUCCEEDED"
    request = sample["request"]
    outgoing = world.call(
        request["method"],
        request["path"].replace("{PayInId}", payment.dialect_id),
        request["body"],
        headers=request["headers"],
        encoding=request.get("encoding"),
    )
    assert outgoing.status == sample["response"]["status"]
    agree(said(outgoing), sample["response"]["body"])


def agree(given: Any, documented: Any, name: str = "") -> None:
    assert type(given) is type(documented), name
    if isinstance(documented, dict):
        assert list(given) == list(documented)
        for member in documented:
            agree(given[member], documented[member], member)
    elif name not in VARIES:
        assert given == documented, name
