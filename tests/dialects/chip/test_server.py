"""CHIP's server half: one row per documented rule, every state, every pair of reasons, and schemas all answers fit."""

import json
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from moneyback.core.payment import Asked
from moneyback.core.refund import State
from moneyback.core.refusals import Failing, Reason, in_precedence
from moneyback.dialect import AskRefund, Await, Caller, Fault, Incoming, Instant, Outgoing, Presented
from moneyback.dialects import chip
from moneyback.dialects.chip import DIALECT
from moneyback.dialects.chip.document import payment_document
from moneyback.dialects.chip.refunds import complaint, refund_purchase
from moneyback.dialects.chip.server import fault, presented
from moneyback.dialects.chip.wire import ATTEMPT_CODES, KEPT, PRECEDENCE, SHOWN, WORDS, Availability, Shown, Word
from tests.dialects.chip.shapes import fits
from tests.dialects.driver import MERCHANT, STRANGER, Table


def ask(table: Table, payment: Any, body: Any = None, **options: Any) -> Outgoing:
    return table.call("POST", f"/api/v1/purchases/{payment.dialect_id}/refund/", body, **options)


def read(table: Table, payment: Any) -> Any:
    return fits(table.call("GET", f"/api/v1/purchases/{payment.dialect_id}/"))


def code(answer: Outgoing) -> str:
    return str(fits(answer)["__all__"][0]["code"])


def paid(amount: int = 1000, availability: str = "all", **fields: Any) -> tuple[Table, Any]:
    table = Table(DIALECT)
    table.outcome = "succeeded"
    return table, table.pay(amount, "MYR", dialect_data={"refund_availability": availability}, **fields)


# --- what a refund answers -------------------------------------------------------------------------------------------


def test_a_partial_refund_answers_the_payment_it_generated():
    table, payment = paid(1000, method="visa", order="A-7")
    body = fits(ask(table, payment, {"amount": 300}))
    assert body["id"] == table.refunds[-1].dialect_id != payment.dialect_id
    assert body["payment"] | {"paid_on": 0, "remote_paid_on": 0} == {
        "is_outgoing": True,
        "payment_type": "refund",
        "amount": 300,
        "currency": "MYR",
        "net_amount": 300,
        "fee_amount": 0,
        "pending_amount": 0,
        "pending_unfreeze_on": None,
        "description": "",
        "paid_on": 0,
        "remote_paid_on": 0,
        "owned_bank_account_id": None,
        "owned_bank_account": None,
        "owned_bank_code": None,
    }
    assert body["related_to"] == {"type": "purchase", "id": payment.dialect_id, "reference": "A-7"}
    assert body["is_test"] is True


def test_each_refund_of_a_purchase_has_its_own_payment_and_lowers_what_is_left():
    table, payment = paid(1000)
    ids = []
    for left in (700, 400, 100):
        table.now += timedelta(minutes=1)
        ids.append(fits(ask(table, payment, {"amount": 300}))["id"])
        assert read(table, payment)["refundable_amount"] == left
    body = read(table, payment)
    assert body["status"] == "refunded"
    assert [entry["status"] for entry in body["status_history"]] == ["created", "paid"] + ["refunded"] * 3
    assert [entry["related_object"]["id"] for entry in body["status_history"][2:]] == ids
    assert [attempt["type"] for attempt in body["transaction_data"]["attempts"]] == ["refund"] * 3 + ["execute"]


@pytest.mark.parametrize(
    "body", [None, {}, [], {"amount": None}, {"currency": "EUR", "client_name": "A", "reason": ""}]
)
def test_without_an_amount_what_remains_is_refunded(body: Any):
    table, payment = paid(1000)
    ask(table, payment, {"amount": 1})
    assert fits(ask(table, payment, body))["payment"]["amount"] == 999
    assert read(table, payment)["refundable_amount"] == 0


def test_a_slow_rail_answers_the_purchase_and_waits_three_seconds():
    table, payment = paid(1000)
    table.outcome = "pending"
    body = fits(ask(table, payment, {"amount": 300}))
    assert (body["type"], body["status"], body["refundable_amount"]) == ("purchase", "pending_refund", 700)
    assert [each.seconds for each in table.asks if isinstance(each, Await)] == [3.0]
    assert [attempt["type"] for attempt in body["transaction_data"]["attempts"]] == ["execute"]


def test_a_slow_refund_that_succeeds_is_told_in_order():
    table, payment = paid(1000)
    table.outcome = "pending"
    ask(table, payment, {"amount": 300})
    table.now += timedelta(minutes=5)
    refund = table.bring(table.refunds[-1], "succeeded")
    history = read(table, payment)["status_history"]
    assert [entry["status"] for entry in history] == ["created", "paid", "pending_refund", "refunded"]
    assert history[-1]["related_object"] == {"type": "payment", "id": refund.dialect_id}


def test_a_slow_refund_that_fails_leaves_the_status_before_it_and_a_failed_attempt():
    table, payment = paid(1000)
    ask(table, payment, {"amount": 100})
    table.now += timedelta(minutes=5)
    table.outcome = "pending"
    ask(table, payment, {"amount": 300})
    table.now += timedelta(minutes=5)
    table.bring(table.refunds[-1], "failed:expired_card", message="Card expired")
    body = read(table, payment)
    assert [entry["status"] for entry in body["status_history"]] == [
        "created",
        "paid",
        "refunded",
        "pending_refund",
        "refunded",
    ]
    assert (body["status"], body["refundable_amount"]) == ("refunded", 900)
    newest = body["transaction_data"]["attempts"][0]
    assert (newest["type"], newest["successful"]) == ("refund", False)
    assert newest["error"] == {"code": "expired_card", "message": "Card expired"}


def test_a_processing_error_is_400_with_its_attempt_newest_first():
    table, payment = paid(1000)
    for outcome in ("failed:do_not_honour", "failed:insufficient_funds"):
        table.outcome = outcome
        answer = ask(table, payment, {"amount": 300})
        assert (answer.status, code(answer)) == (400, "purchase_refund_error")
    body = read(table, payment)
    found = [attempt["error"] and attempt["error"]["code"] for attempt in body["transaction_data"]["attempts"]]
    assert found == ["insufficient_funds", "do_not_honour", None]
    assert (body["status"], body["refundable_amount"]) == ("paid", 1000)


def test_a_foreign_code_is_shown_as_the_nearest_of_chips_with_the_providers_words():
    table, payment = paid(1000)
    ask(table, payment)
    table.outcome = "failed:005403"
    answer = ask(table, table.pay(10, "MYR"))
    assert code(answer) == "purchase_refund_error"
    assert chip.wire.attempt_error(table.refunds[-1])["code"] == "do_not_honour"


@pytest.mark.parametrize("state", State)
def test_every_state_has_its_form(state: State):
    table, payment = paid(1000)
    table.outcome = state.value
    answer = ask(table, payment, {"amount": 300})
    body = fits(answer)
    match SHOWN[state]:
        case Shown.PAYMENT:
            assert (answer.status, body["type"], body["id"]) == (200, "payment", table.refunds[0].dialect_id)
        case Shown.PENDING:
            assert (answer.status, body["type"], body["status"]) == (200, "purchase", "pending_refund")
        case Shown.ERROR:
            assert (answer.status, code(answer)) == (400, "purchase_refund_error")
    now = read(table, payment)
    attempts = [each for each in now["transaction_data"]["attempts"] if each["type"] == "refund"]
    assert [each["successful"] for each in attempts] == {
        Shown.PAYMENT: [True],
        Shown.PENDING: [],
        Shown.ERROR: [False],
    }[SHOWN[state]]
    assert now["refundable_amount"] == (1000 if SHOWN[state] is Shown.ERROR else 700)


def test_no_state_is_forgotten():
    assert set(SHOWN) == set(State)


# --- amounts ---------------------------------------------------------------------------------------------------------

INVALID, MIN_VALUE, MAX_VALUE = "invalid", "min_value", "max_value"
AMOUNTS: list[tuple[Any, int | str]] = [
    ("10", 10),
    (10, 10),
    (Decimal("10.0"), 10),
    (Decimal("10.00"), 10),
    (Decimal("1E+2"), 100),
    (1000, 1000),
    ("10.00", INVALID),
    ("1e2", INVALID),
    (Decimal("10.005"), INVALID),
    ("10.005", INVALID),
    (Decimal("1998.9999999999998"), INVALID),
    (Decimal("1E-400"), INVALID),
    (-1, MIN_VALUE),
    ("-1", MIN_VALUE),
    ("-99999999999999999999", MIN_VALUE),
    (0, MIN_VALUE),
    (Decimal("0.0"), MIN_VALUE),
    (1001, MAX_VALUE),
    ("9" * 30, MAX_VALUE),
    ("", INVALID),
    (" 10", INVALID),
    ("ten", INVALID),
    ("NaN", INVALID),
    ("١٠", INVALID),
    ([], INVALID),
    ({}, INVALID),
    (True, INVALID),
    (False, INVALID),
]


@pytest.mark.parametrize(("amount", "expected"), AMOUNTS)
def test_amounts(amount: Any, expected: int | str):
    table, payment = paid(1000)
    answer = ask(table, payment, {"amount": amount})
    body = fits(answer)
    if isinstance(expected, int):
        assert (answer.status, body["payment"]["amount"]) == (200, expected)
        return
    assert answer.status == 400
    assert [each["code"] for each in body["amount"]] == [expected]
    assert body["__all__"] == body["amount"], "plugins take an answer without __all__ for a success"
    assert table.refunds == ()
    asked = [each for each in table.asks if isinstance(each, AskRefund)]
    assert bool(asked) == (amount == 1001), "a malformed amount is never asked for"


@pytest.mark.parametrize("amount", ["10", "1000"])
def test_a_form_is_read_as_json_is(amount: str):
    table, payment = paid(1000)
    assert fits(ask(table, payment, {"amount": amount}, encoding="form"))["payment"]["amount"] == int(amount)


@pytest.mark.parametrize("body", [[1], "100", 100, Decimal("1.5"), True])
def test_a_body_that_is_no_object_is_refused(body: Any):
    table, payment = paid(1000)
    answer = ask(table, payment, body)
    assert (answer.status, code(answer)) == (400, "invalid")
    assert table.refunds == ()


def test_the_request_is_remembered_so_that_different_ones_stay_different():
    table, payment = paid(1000)
    for body in ({"amount": 400}, None):
        ask(table, payment, body)
    assert [each.request for each in table.refunds] == [{"amount": 400}, {"amount": None}]


def test_the_purchases_own_fee_is_shown_and_given_back_in_proportion():
    table, payment = paid(1000, fees=100)
    shown = read(table, payment)["payment"]
    assert (shown["amount"], shown["net_amount"], shown["fee_amount"]) == (1000, 900, 100)
    given = fits(ask(table, payment, {"amount": 500}))["payment"]
    assert (given["amount"], given["net_amount"], given["fee_amount"]) == (500, 500, 0)
    assert (table.refunds[-1].wallet, table.refunds[-1].fee_return) == (450, 50)


def test_the_limit_is_told():
    table, payment = paid(1000)
    ask(table, payment, {"amount": 400})
    message = fits(ask(table, payment, {"amount": 601}))["amount"][0]["message"]
    assert message == "Ensure this value is less than or equal to 600."


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.decimals(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(body=json_values | st.fixed_dictionaries({"amount": json_values}))
def test_no_body_breaks_it_and_no_refusal_moves_money(body: Any):
    table, payment = paid(1000)
    answer = ask(table, payment, body, encoding="json")
    assert answer.status in (200, 400)
    fits(answer)
    gone = fits(answer)["payment"]["amount"] if answer.status == 200 else 0
    assert read(table, payment)["refundable_amount"] == 1000 - gone


# --- refusals --------------------------------------------------------------------------------------------------------

REFUSALS: list[tuple[str, Any, dict[str, Any], str]] = [
    # (what, prepare(table) -> payment, body, code)
    ("unpaid", lambda t: t.pay(1000, "MYR", status="processing"), {}, "purchase_refund_wrong_status"),
    ("on hold", lambda t: t.pay(1000, "MYR", status="authorized"), {}, "purchase_refund_wrong_status"),
    ("failed", lambda t: t.pay(1000, "MYR", status="failed"), {}, "purchase_refund_wrong_status"),
    ("none", lambda t: kind(t, "none"), {}, "purchase_refund_not_possible"),
    ("full_only, a part", lambda t: kind(t, "full_only"), {"amount": 1}, "purchase_refund_not_possible"),
    ("full_only, too much", lambda t: kind(t, "full_only"), {"amount": 1001}, "purchase_refund_not_possible"),
    ("partial_only, all", lambda t: kind(t, "partial_only"), {}, "purchase_refund_not_possible"),
    ("pis_partial, all", lambda t: kind(t, "pis_partial"), {"amount": 1000}, "purchase_refund_not_possible"),
    ("disputed", lambda t: t.see(kind(t, "all"), "dispute_open", 1000), {}, "purchase_refund_wrong_status"),
    ("disputed in part", lambda t: t.see(kind(t, "all"), "dispute_open", 1), {}, "purchase_refund_wrong_status"),
    ("charged back", lambda t: t.see(kind(t, "all"), "claw_back", 1000), {}, "purchase_refund_wrong_status"),
    ("fully refunded", lambda t: after(t, None), {}, "purchase_refund_not_possible"),
    ("fully refunded, a part", lambda t: after(t, None), {"amount": 1}, "purchase_refund_not_possible"),
    ("pending", lambda t: after(t, {"amount": 1}, "pending"), {"amount": 1}, "purchase_refund_wrong_status"),
    ("pending in full", lambda t: after(t, None, "pending"), {"amount": 1}, "purchase_refund_wrong_status"),
    ("more than is left", lambda t: after(t, {"amount": 999}), {"amount": 2}, "max_value"),
    ("less than the least", lambda t: after(t, {"amount": 999}), {"amount": 0}, "min_value"),
    ("bad amount of an unpaid one", lambda t: t.pay(9, "MYR", status="processing"), {"amount": "x"}, "invalid"),
]


def kind(table: Table, availability: str) -> Any:
    return table.pay(1000, "MYR", dialect_data={"refund_availability": availability})


def after(table: Table, body: Any, outcome: str = "succeeded") -> Any:
    payment = kind(table, "all")
    table.outcome = outcome
    assert ask(table, payment, body).status == 200
    table.outcome = "succeeded"
    return payment


@pytest.mark.parametrize(("prepare", "body", "expected"), [pytest.param(*row[1:], id=row[0]) for row in REFUSALS])
def test_refusals(prepare: Any, body: Any, expected: str):
    table = Table(DIALECT)
    payment = prepare(table)
    before = read(table, payment)
    admitted = len(table.refunds)
    answer = ask(table, payment, body)
    assert (answer.status, code(answer)) == (400, expected)
    assert len(table.refunds) == admitted, "an HTTP error keeps nothing"
    assert read(table, payment) == before


def test_the_recorded_sentence_after_a_full_refund():
    table = Table(DIALECT)
    body = fits(ask(table, after(table, None)))
    assert body == {
        "__all__": [
            {"message": "This Purchase was already fully refunded.", "code": "purchase_refund_not_possible"},
        ]
    }


@pytest.mark.parametrize(
    ("found", "path"),
    [
        (404, "/api/v1/purchases/00000000-0000-4000-8000-000000000000/refund/"),
        (404, "/api/v1/purchases/not-a-uuid/refund/"),
        (404, "/api/v1/payments/1/"),
    ],
)
def test_what_is_not_there(found: int, path: str):
    answer = Table(DIALECT).call("POST", path, {"amount": "not even looked at"})
    assert (answer.status, code(answer)) == (found, "not_found")


def test_another_merchants_purchase_is_not_there():
    table = Table(DIALECT)
    foreign = table.pay(1000, "MYR", merchant=STRANGER)
    assert ask(table, foreign).status == 404
    assert table.call("GET", f"/api/v1/purchases/{foreign.dialect_id}/").status == 404
    assert table.refunds == ()


def test_ids_in_capitals_and_untidy_paths_are_found():
    table = Table(DIALECT)
    payment = table.pay(1000, "MYR", dialect_id="0192abcd-89ef-7abc-8def-0123456789ab")
    path = f"//api/v1//purchases/{payment.dialect_id.upper()}"
    assert table.call("GET", path, query={"time": "1700000000"}).status == 200


def test_every_reason_has_a_place_and_a_word():
    assert len(PRECEDENCE) == len(set(PRECEDENCE)) == len(Reason)
    assert set(WORDS) == set(Reason)
    assert {reason for reason, word in WORDS.items() if word is Word.PROCESSING} == KEPT


@pytest.mark.parametrize(("earlier", "later"), list(combinations(PRECEDENCE, 2)))
def test_of_two_reasons_the_earlier_is_said(earlier: Reason, later: Reason):
    payment = Table(DIALECT).pay(1000, "MYR")
    refusal = in_precedence([Failing(later), Failing(earlier)], DIALECT.precedence)
    assert refusal is not None
    assert complaint(refusal, payment).code == WORDS[earlier].value


SIMULTANEOUS: list[tuple[str, Any, Any, str]] = [
    ("status before kind", {"status": "processing", "availability": "none"}, {"amount": 1}, "wrong_status"),
    ("status before amount", {"status": "authorized"}, {"amount": 1001}, "wrong_status"),
    ("field before status", {"status": "processing"}, {"amount": 0}, "min_value"),
    ("field before kind", {"availability": "none"}, {"amount": -1}, "min_value"),
    ("kind before amount", {"availability": "none"}, {"amount": 1001}, "not_possible"),
    ("part before amount", {"availability": "full_only"}, {"amount": 1001}, "not_possible"),
    ("dispute before kind", {"availability": "none", "see": ("dispute_open", 5)}, {}, "wrong_status"),
    ("dispute before nothing left", {"see": ("dispute_open", 1000)}, {"amount": 1}, "wrong_status"),
    ("nothing left before amount", {"see": ("external", 1000)}, {"amount": 1}, "not_possible"),
]


@pytest.mark.parametrize(("made", "body", "expected"), [pytest.param(*row[1:], id=row[0]) for row in SIMULTANEOUS])
def test_simultaneous_reasons(made: dict[str, Any], body: Any, expected: str):
    table = Table(DIALECT)
    data = {"refund_availability": made.get("availability", "all")}
    payment = table.pay(1000, "MYR", status=made.get("status", "captured"), dialect_data=data)
    if "see" in made:
        table.see(payment, *made["see"])
    assert code(ask(table, payment, body)).endswith(expected)


@pytest.mark.parametrize("reason", [reason for reason in PRECEDENCE if reason in KEPT])
def test_what_a_rail_cannot_process_is_kept_as_a_failed_attempt(reason: Reason):
    table = Table(replace(DIALECT, check=lambda _payment, _amounts, _command: [Failing(reason)]))
    payment = table.pay(1000, "MYR")
    answer = ask(table, payment, {"amount": 300})
    assert (answer.status, code(answer)) == (400, "purchase_refund_error")
    body = read(table, payment)
    newest = body["transaction_data"]["attempts"][0]
    assert (newest["type"], newest["successful"]) == ("refund", False)
    assert newest["error"]["code"] in ATTEMPT_CODES
    assert newest["error"]["message"] == fits(answer)["__all__"][0]["message"]
    assert (body["status"], body["refundable_amount"]) == ("paid", 1000)


# --- two at once -----------------------------------------------------------------------------------------------------


def under_way(table: Table, payment: Any, amount: int | None) -> Any:
    """A refund that is admitted and whose own client still waits."""
    asked = Asked(payer=amount)
    return table.answer(
        AskRefund(payment=payment, asked=asked, dialect_id="00000000-0000-4000-8000-000000000001")
    ).refund


@pytest.mark.parametrize(
    ("first", "outcome", "second", "expected"),
    [
        (300, "succeeded", 300, 200),
        (None, "succeeded", 300, "purchase_refund_not_possible"),
        (None, "failed", None, "purchase_refund_error"),  # admitted in its turn, and failed like the first
        (300, "pending", 300, "purchase_refund_wrong_status"),
        (300, "unknown", 300, "purchase_refund_wrong_status"),
        (300, "ready", 300, "purchase_refund_wrong_status"),  # the wait is over before the first one moves
    ],
)
def test_the_second_of_two_takes_its_turn(first: int | None, outcome: str, second: int | None, expected: Any):
    table, payment = paid(1000)
    before = under_way(table, payment, first)
    table.outcomes[payment.dialect_id] = outcome
    answer = ask(table, payment, {"amount": second})
    assert before.id in {each.refund.id for each in table.asks if isinstance(each, Await)}
    assert (answer.status if answer.status == 200 else code(answer)) == expected
    assert len(table.refunds) == (2 if expected in (200, "purchase_refund_error") else 1)
    assert table.payment(payment).spent <= 1000


def test_waiting_for_turns_ends_with_the_wait():
    """However many refunds come before ours, the call answers when its three seconds are over."""
    table, payment = paid(1000)
    under_way(table, payment, 100)
    path = f"/api/v1/purchases/{payment.dialect_id}/refund/"
    incoming = Incoming(method="POST", path=path, arguments={"id": payment.dialect_id}, body={"amount": 1})
    conversation = refund_purchase(incoming, table.caller)
    answer: Any = None
    waited: list[float] = []
    with pytest.raises(StopIteration) as end:
        while True:
            question = conversation.send(answer)
            answer = table.answer(question)
            if isinstance(question, Await):
                waited.append(question.seconds)
                table.now += timedelta(seconds=2)
                under_way(table, table.payment(payment), 1)  # somebody else was quicker
    assert waited == [3.0, 1.0]
    assert code(end.value.value) == "purchase_refund_wrong_status"


def test_the_pending_purchase_is_of_one_moment():
    """A refund that ends while the answer is put together does not put a finished attempt beside pending_refund."""
    table, payment = paid(1000)
    table.outcome = "pending"
    path = f"/api/v1/purchases/{payment.dialect_id}/refund/"
    incoming = Incoming(method="POST", path=path, arguments={"id": payment.dialect_id}, body={"amount": 1})
    conversation = refund_purchase(incoming, table.caller)
    answer: Any = None
    with pytest.raises(StopIteration) as end:
        while True:
            question = conversation.send(answer)
            answer = table.answer(question)
            if isinstance(question, Await):
                table.bring(table.refunds[-1], "succeeded")
    body = fits(end.value.value)
    assert body["status"] == "pending_refund"
    assert [each["type"] for each in body["transaction_data"]["attempts"]] == ["execute"]


# --- what may be refunded is always true -----------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["refund", "external", "dispute_open", "dispute_won", "claw_back"]),
        st.integers(1, 10),
        st.sampled_from(["succeeded", "failed", "returned"]),
    ),
    max_size=4,
)


@settings(deadline=None)
@given(
    availability=st.sampled_from(list(Availability)),
    captured=st.integers(1, 10),
    condition=st.sampled_from(["captured", "captured", "authorized", "processing", "failed"]),
    steps=STEPS,
    amount=st.integers(1, 11) | st.none(),
)
def test_what_is_offered_is_what_is_accepted(
    availability: Availability, captured: int, condition: str, steps: Any, amount: int | None
):
    table = Table(DIALECT)
    payment = table.pay(captured, "MYR", status=condition, dialect_data={"refund_availability": availability.value})
    for number, (what, much, outcome) in enumerate(steps):
        table.outcome = outcome
        if what == "refund":
            ask(table, payment, {"amount": much})
        elif condition == "captured":
            open_now = "1" if what.startswith("dispute") else str(number)
            table.see(payment, what, min(much, captured), open_now)
    table.outcome = "succeeded"
    body = read(table, payment)
    offer, left = body["refund_availability"], body["refundable_amount"]
    stated = left if amount is None else amount
    full = stated == captured and table.payment(payment).untouched
    kinds = {
        "all": True,
        "pis_all": True,
        "full_only": full,
        "partial_only": not full,
        "pis_partial": not full,
        "none": False,
    }
    answer = ask(deepcopy(table), payment, {"amount": amount})
    assert (answer.status == 200) == (kinds[offer] and stated <= left), (offer, left, fits(answer))


@pytest.mark.parametrize(
    ("availability", "spent", "expected"),
    [
        ("partial_only", 999, ("partial_only", 1)),
        ("all", 0, ("all", 1000)),
        ("all", 999, ("all", 1)),
        ("all", 1000, ("none", 0)),
        ("full_only", 0, ("full_only", 1000)),
        ("full_only", 1, ("none", 0)),
        ("partial_only", 0, ("partial_only", 1000)),
        ("partial_only", 1, ("partial_only", 999)),
        ("pis_partial", 999, ("pis_partial", 1)),
        ("pis_all", 400, ("pis_all", 600)),
        ("none", 0, ("none", 0)),
    ],
)
def test_availability_after_refunds_made_elsewhere(availability: str, spent: int, expected: tuple[str, int]):
    table = Table(DIALECT)
    payment = kind(table, availability)
    if spent:
        table.see(payment, "external", spent)
    body = read(table, payment)
    assert (body["refund_availability"], body["refundable_amount"]) == expected
    assert body["status"] == ("refunded" if spent else "paid")


@pytest.mark.parametrize(("availability", "expected"), [("partial_only", ("none", 0)), ("full_only", ("full_only", 1))])
def test_a_single_unit_has_no_part(availability: str, expected: tuple[str, int]):
    table, payment = paid(1, availability)
    body = read(table, payment)
    assert (body["refund_availability"], body["refundable_amount"]) == expected


def test_a_method_of_payment_initiation_is_so_by_its_name():
    table = Table(DIALECT)
    assert read(table, table.pay(5, "EUR", method="klix_pis"))["refund_availability"] == "pis_all"


# --- the purchase ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "status", "history", "paying"),
    [
        ("captured", "paid", ["created", "paid"], ["execute"]),
        ("authorized", "hold", ["created", "hold"], ["authorize"]),
        ("processing", "created", ["created"], []),
        ("failed", "error", ["created", "error"], ["execute"]),
    ],
)
def test_a_bare_native_payment_is_a_whole_purchase(condition: str, status: str, history: list[str], paying: list[str]):
    table = Table(DIALECT)
    body = read(table, table.pay(1000, "MYR", status=condition))
    assert body["status"] == status
    assert [entry["status"] for entry in body["status_history"]] == history
    assert [attempt["type"] for attempt in body["transaction_data"]["attempts"]] == paying
    assert body["purchase"]["total"] == 1000
    assert (body["payment"] is None) == (condition != "captured")


@pytest.mark.parametrize(
    ("sightings", "status", "history"),
    [
        ([("dispute_open", 400)], "chargeback", ["created", "paid", "chargeback"]),
        ([("dispute_open", 400), ("dispute_won", 400)], "paid", ["created", "paid"]),
        ([("dispute_open", 1000), ("dispute_lost", 1000)], "chargeback", ["created", "paid", "chargeback"]),
        ([("external", 400)], "refunded", ["created", "paid", "refunded"]),
        ([("claw_back", 400)], "paid", ["created", "paid"]),
        ([("claw_back", 1000)], "chargeback", ["created", "paid", "chargeback"]),
    ],
)
def test_what_happened_elsewhere_is_shown(sightings: list[tuple[str, int]], status: str, history: list[str]):
    table, payment = paid(1000)
    for what, amount in sightings:
        table.see(payment, what, amount)
    body = read(table, payment)
    assert body["status"] == status
    assert [entry["status"] for entry in body["status_history"]] == history


def test_a_refund_that_came_back_is_a_failed_attempt_and_may_be_refunded_again():
    table, payment = paid(1000)
    ask(table, payment)
    table.now += timedelta(days=1)
    table.bring(table.refunds[-1], "returned")
    body = read(table, payment)
    assert (body["status"], body["refundable_amount"]) == ("paid", 1000)
    assert body["transaction_data"]["attempts"][0]["successful"] is False


def test_what_the_payment_says_of_itself_is_shown():
    table = Table(DIALECT, profile={"brand_id": "11111111-1111-4111-8111-111111111111"})
    document = {
        "reference": "INV-9",
        "product": "Teapot",
        "country": "SG",
        "client": {"full_name": "A. Payer"},
        "company_id": "22222222-2222-4222-8222-222222222222",
    }
    payment = table.pay(1000, "SGD", dialect_data=document, order="ignored", metadata={"k": "v"})
    body = read(table, payment)
    assert body["reference"] == "INV-9"
    assert body["purchase"]["products"][0]["name"] == "Teapot"
    assert body["purchase"]["metadata"] == {"k": "v"}
    assert body["client"]["full_name"] == "A. Payer"
    assert body["company_id"] == document["company_id"]
    assert body["brand_id"] == "11111111-1111-4111-8111-111111111111"
    table.outcome = "succeeded"
    refund = fits(ask(table, payment))
    same = ("client", "company_id", "brand_id", "reference", "reference_generated", "is_test")
    assert {name: refund[name] for name in same} == {name: body[name] for name in same}


@pytest.mark.parametrize(
    "data",
    [
        {"refund_availability": "some"},
        {"refund_availability": None},
        {"surprise": 1},
        {"reference": "x" * 129},
        {"reference": 7},
        {"client": []},
        {"client": {"pan": "4"}},
        {"client": {"email": "x" * 255}},
        {"brand_id": "24"},
        {"company_id": None},
    ],
)
def test_a_payment_cannot_say_anything_else(data: dict[str, Any]):
    with pytest.raises(ValueError, match=r"\.$"):
        payment_document(data, Table(DIALECT).now)


# --- credentials and faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
        (None, None),
    ],
)
def test_the_key_is_read_from_its_header(header: str | None, secret: str | None):
    headers = {} if header is None else {"authorization": header}
    found = presented(Incoming(method="GET", path="/", headers=headers))
    assert found == (Presented(secret) if secret else None)


WRONG_KEY = Incoming(method="DELETE", path="/", headers={"authorization": "Bearer nobody"})
NO_KEY = Incoming(method="GET", path="/")


@pytest.mark.parametrize(
    ("kind_of_fault", "incoming", "status", "word", "message"),
    [
        (Fault.UNAUTHENTICATED, WRONG_KEY, 401, "authentication_failed", "Incorrect secret_key"),
        (Fault.UNAUTHENTICATED, NO_KEY, 401, "not_authenticated", "Authentication credentials were not provided."),
        (Fault.FORBIDDEN, WRONG_KEY, 403, "permission_denied", None),
        (Fault.NOT_FOUND, WRONG_KEY, 404, "not_found", "Not found."),
        (Fault.METHOD_NOT_ALLOWED, WRONG_KEY, 405, "method_not_allowed", 'Method "DELETE" not allowed.'),
        (Fault.BAD_BODY, WRONG_KEY, 400, "parse_error", None),
        (Fault.TOO_LARGE, WRONG_KEY, 413, "request_too_large", None),
        (Fault.UNAVAILABLE, WRONG_KEY, 503, "service_unavailable", None),
        (Fault.INTERNAL, WRONG_KEY, 500, "error", None),
    ],
)
def test_faults(kind_of_fault: Fault, incoming: Incoming, status: int, word: str, message: str | None):
    answer = fault(kind_of_fault, incoming)
    assert (answer.status, code(answer)) == (status, word)
    if message is not None:
        assert fits(answer)["__all__"][0]["message"] == message


@pytest.mark.parametrize("kind_of_fault", Fault)
def test_every_fault_is_said_without_a_request_too(kind_of_fault: Fault):
    answer = fault(kind_of_fault, None)
    assert answer.status >= 400
    fits(answer)
    assert ("Retry-After" in answer.headers) == (kind_of_fault is Fault.UNAVAILABLE)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_refund_is_only_posted(method: str):
    table, payment = paid(1000)
    answer = table.call(method, f"/api/v1/purchases/{payment.dialect_id}/refund/")
    assert (answer.status, code(answer)) == (405, "method_not_allowed")


# --- samples ---------------------------------------------------------------------------------------------------------

SAMPLES = sorted((Path(chip.__file__).parent / "samples").glob("*.json"))
TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list, "null": type(None)}


def at(body: Any, place: str) -> Any:
    for step in place.split("."):
        body = body[int(step)] if isinstance(body, list) else body[step]
    return body


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples(sample: Path):
    """Given the documented request, the answer has the documented members, in that order, first, with their types."""
    told = json.loads(sample.read_text())
    assert "provider" in told["source"]
    made, request, response = told["given"], told["request"], told["response"]
    table = Table(DIALECT)
    table.outcome = "succeeded"
    payment = table.pay(
        made["amount"], made["currency"], method=made.get("method"), status=made.get("status", "captured")
    )
    if "refunded" in made:
        table.now += timedelta(minutes=1)
        assert ask(table, payment, {"amount": made["refunded"]}).status == 200
    table.outcome = made["outcome"]
    answer = table.call(request["method"], request["path"].replace("{id}", payment.dialect_id), request["body"])
    body = fits(answer)
    assert answer.status == response["status"]
    members = response["members"]
    assert list(body)[: len(members)] == [name for name, _ in members]
    for name, types in members:
        assert type(body[name]) in [TYPES[each] for each in types], name
    for place, value in response["values"].items():
        assert at(body, place) == (payment.dialect_id if value == "{id}" else value), place


def test_the_members_of_the_refund_page_come_first_and_in_its_order():
    """The page's own list, written down a second time: what both our halves could get wrong together."""
    page = """type id created_on updated_on client payment transaction_data related_to reference_generated reference
        account_id company_id is_test user_id brand_id"""
    table, payment = paid(1000)
    assert list(fits(ask(table, payment)))[:15] == page.split()


# --- the sandbox -----------------------------------------------------------------------------------------------------


def seeded() -> tuple[Table, tuple[Any, ...], Any]:
    samples = DIALECT.samples
    assert samples is not None
    key, profile = samples.credentials(lambda length: "k" * length)
    table = Table(DIALECT, profile=profile)
    payments = tuple(table.answer(each) for each in samples.payments)
    return table, payments, samples.section("http://127.0.0.1:8900/chip/api/v1", key, profile, payments)


def test_the_ready_files_section():
    _, payments, section = seeded()
    assert list(section) == ["base_url", "secret_key", "brand_id", "purchases"]
    assert all(list(each) == ["id", "status", "amount", "currency"] for each in section["purchases"])
    first = section["purchases"][0]
    assert (first["status"], first["id"]) == ("paid", payments[0].dialect_id)
    assert first["amount"] >= 10_000
    assert {each["status"] for each in section["purchases"]} == {"paid", "created", "hold"}
    assert all(each["amount"] > 0 for each in section["purchases"])


def test_every_sample_payment_shows_what_its_section_says():
    table, payments, section = seeded()
    bodies = [read(table, each) for each in payments]
    assert [each["status"] for each in bodies] == [each["status"] for each in section["purchases"]]
    assert [each["purchase"]["total"] for each in bodies] == [each["amount"] for each in section["purchases"]]
    assert {each["brand_id"] for each in bodies} == {section["brand_id"]}
    assert bodies[0]["refund_availability"] == "all"
    assert {each["refund_availability"] for each in bodies} >= {"all", "full_only", "partial_only", "none"}
    for each in bodies:
        payment_document({"product": each["purchase"]["products"][0]["name"]}, table.now)


def test_the_command_to_paste_refunds_the_first_purchase():
    _, _, section = seeded()
    samples = DIALECT.samples
    assert samples is not None
    command = samples.curl(section)
    assert f"{section['base_url']}/purchases/{section['purchases'][0]['id']}/refund/" in command
    assert section["secret_key"] in command
    assert "\n" not in command


def test_the_wait_needs_no_clock_when_nobody_waits_before():
    """Two reads fewer on the way nearly every refund goes."""
    table, payment = paid(1000)
    ask(table, payment)
    assert not [each for each in table.asks if isinstance(each, Instant)]


def test_ids_fall_back_to_the_merchants_own():
    table, payment = paid(1000)
    caller = Caller(merchant=MERCHANT)
    ids = [chip.objects.owner_id(name, payment, caller) for name in ("brand_id", "company_id", "account_id")]
    assert len(set(ids)) == 3
    assert read(table, payment)["brand_id"] == ids[0]
