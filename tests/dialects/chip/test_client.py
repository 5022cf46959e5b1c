"""CHIP as we call it: what each documented answer means, what a look may conclude, our client and our server."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moneyback.core.commands import Observation
from moneyback.core.refund import Event, Grade, State
from moneyback.dialect import AnswerLost, Call, NotConnected, Reply
from moneyback.dialects.chip import DIALECT
from moneyback.dialects.chip.client import (
    ANSWERS,
    ATTEMPTS,
    CLIENT,
    NOT_KNOWN,
    authorize,
    capabilities,
    meaning,
    refund_call,
)
from moneyback.dialects.chip.received import Problem, moment, problems
from moneyback.dialects.chip.wire import ATTEMPT_CODES, SHOWN, Shown, unix
from tests.dialects.driver import START, Table
from tests.dialects.loopback import REFUND, Fate, Loopback, a_payment, a_sending, answer_with, as_reply

SAMPLES = Path(__file__).parents[3] / "moneyback" / "dialects" / "chip" / "samples"
NUMBER = "6f1e4a5c-0000-4000-8000-000000000001"
MADE = "6f1e4a5c-0000-4000-8000-000000000002"
MARK = f"mb_{REFUND.hex}_1"
PAYMENT = a_payment(NUMBER, 25_000, "MYR")
NOW = unix(START)
BEFORE: dict[str, Any] = {"left": 25_000, "refund_ids": [], "seen": []}
HALF: dict[str, Any] = {"left": 12_000, "refund_ids": ["a"], "seen": []}


def sending(before: dict[str, Any] | None = None, **members: Any) -> Any:
    """An attempt, sent after this reading."""
    return replace(a_sending(PAYMENT, **{"payer": 100, **members}), pre_read=BEFORE if before is None else before)


def made(**members: Any) -> dict[str, Any]:
    """The Payment of a refund."""
    money = {"amount": 100, "currency": "MYR", "payment_type": "refund"} | members.pop("payment", {})
    return {
        "type": "payment",
        "id": MADE,
        "payment": money,
        "related_to": {"type": "purchase", "id": NUMBER},
        "status": "success",
        "created_on": NOW,
        "updated_on": NOW + 1,
    } | members


def shown(**members: Any) -> dict[str, Any]:
    """A paid Purchase."""
    return {
        "type": "purchase",
        "id": NUMBER,
        "status": "paid",
        "purchase": {"currency": "MYR"},
        "payment": {"amount": 25_000, "currency": "MYR", "payment_type": "purchase", "paid_on": NOW},
        "refundable_amount": 25_000,
        "refund_availability": "all",
        "status_history": [{"status": "created", "timestamp": NOW}, {"status": "paid", "timestamp": NOW}],
        "transaction_data": {"attempts": []},
        "updated_on": NOW,
    } | members


def refunded(*numbers: str, left: int, **members: Any) -> dict[str, Any]:
    """A Purchase with refunds in its history."""
    entries = [
        {"status": "refunded", "timestamp": NOW + 2, "related_object": {"type": "payment", "id": each}}
        for each in numbers
    ]
    return shown(**{"status": "refunded", "status_history": entries, "refundable_amount": left, **members})


def failed(code: str, at: int | None = NOW, **members: Any) -> dict[str, Any]:
    """A refund attempt that failed."""
    error = {"code": code, "message": "Words."}
    return {"type": "refund", "successful": False, "processing_time": at, "error": error} | members


def prints(*attempts: dict[str, Any]) -> list[str]:
    """What a reading writes down of these attempts."""
    figures = answer_with(CLIENT.read(PAYMENT), as_reply(200, tried(*attempts)))
    return list(figures.seen)


def after(*attempts: dict[str, Any]) -> dict[str, Any]:
    """A reading that shows these attempts."""
    return BEFORE | {"seen": prints(*attempts)}


def tried(*attempts: dict[str, Any], **members: Any) -> dict[str, Any]:
    return shown(transaction_data={"attempts": [*attempts, {"type": "execute", "successful": True}]}, **members)


def error(*codes: str, field: str = "__all__") -> dict[str, Any]:
    return {field: [{"message": f"m {code}", "code": code} for code in codes]}


def only(conversation: Any, *replies: Reply | Exception) -> Observation:
    (seen,) = answer_with(conversation, *replies)
    return seen


# --- answers to a refund ---------------------------------------------------------------------------------------------

REFUSED = {
    "purchase_refund_wrong_status": "invalid",
    "purchase_refund_not_possible": "unsupported",
    "max_value": "invalid",
    "min_value": "invalid",
    "invalid": "invalid",
    "parse_error": "invalid",
}
DOCUMENTED = [
    *((400, code, Event.REFUSED) for code in REFUSED),
    (401, "authentication_failed", Event.NOT_TAKEN),
    (401, "not_authenticated", Event.NOT_TAKEN),
    (401, "unauthorized", Event.NOT_TAKEN),
    (403, "permission_denied", Event.NOT_TAKEN),
    (404, "not_found", Event.REFUSED),
    (405, "method_not_allowed", Event.NOT_TAKEN),
    (409, "conflict", Event.LOST),
    (422, "validation_error", Event.REFUSED),
    (429, "throttled", Event.NOT_TAKEN),
]


def test_every_row_of_the_table_is_tried():
    tried_here = {(status, code) for status, code, _ in DOCUMENTED} | {(status, None) for status, _, _ in DOCUMENTED}
    of_their_own = {(200, "payment"), (200, "purchase"), (400, "purchase_refund_error")}
    assert set(ANSWERS) <= tried_here | of_their_own
    assert [ANSWERS[row] for row in sorted(of_their_own)] == [Event.EXECUTED, Event.ACCEPTED, Event.LOST]


@pytest.mark.parametrize(("status", "code", "event"), DOCUMENTED)
@pytest.mark.parametrize("form", ["list", "object", "field", "nested", "both", "top", "detail"])
def test_a_documented_error_in_every_form(status: int, code: str, event: Event, form: str):
    one = {"message": "Words.", "code": code}
    forms: dict[str, dict[str, Any]] = {
        "list": {"__all__": [one]},
        "object": {"__all__": one},
        "field": {"amount": [one]},
        "nested": {"purchase": {"products": [{}, {"__all__": [one]}]}},
        "both": {"amount": [one], "__all__": [one]},
        "top": one,
        "detail": {"detail": "Words.", "code": code},
    }
    reply = as_reply(status, forms[form])
    seen = only(CLIENT.send(sending()), reply)
    assert meaning(reply) is seen.event is event
    assert (seen.code, seen.message, seen.digest) == (code, "Words.", f"{MARK}:{event.value}")
    assert seen.failure == (REFUSED.get(code, "invalid") if event is Event.REFUSED else None)


def test_errors_without_a_code():
    assert problems(b'{"__all__": "No."}') == (Problem("", "No."),)
    assert problems(b'{"detail": "No."}') == (Problem("", "No."),)
    assert meaning(as_reply(400, {"__all__": "No."})) is Event.LOST
    assert meaning(as_reply(429, {"detail": "Slow down."})) is Event.NOT_TAKEN


UNDOCUMENTED = [
    *(
        Reply(status=status, body=raw)
        for status in (200, 201, 202, 204, 301, 400, 401, 403, 404, 408, 409, 422, 425, 429, 500, 502, 503, 504)
        for raw in (b"", b"{}", b"<html>", b"\xff\xfe", b"[]", b"null", b'{"error": "no"}', b'{"__all__": []}')
    ),
    *(as_reply(status, error("not_found")) for status in (200, 400, 402, 408, 410, 425, 500, 502, 503, 504)),
    as_reply(503, error("service_unavailable")),
    as_reply(400, error("purchase_refund_strange")),
    as_reply(400, error("max_value", "purchase_refund_error")),  # complaints that disagree
    as_reply(404, error("other")),
    as_reply(400, b'{"a":' * 20 + b'{"code": "max_value", "message": ""}' + b"}" * 20),
    as_reply(400, b"[" * 100_000),
    as_reply(201, made()),
    as_reply(200, made(payment={"currency": "EUR"})),
    as_reply(200, made(payment={"payment_type": "purchase"})),
    as_reply(200, made(payment={"amount": "100"})),
    as_reply(200, made(payment={"amount": 100.5})),
    as_reply(200, made(related_to={"type": "purchase", "id": MADE})),
    as_reply(200, made(status="error")),
    as_reply(200, made(status="pending")),
    as_reply(200, made(type="payout")),
    as_reply(200, shown(status="paid")),
    as_reply(200, shown(status="error")),
    as_reply(200, shown(status="pending_refund", id=MADE)),
    as_reply(200, shown(status="pending_refund", purchase={"currency": "EUR"})),
    as_reply(200, shown(status="refunded", id=MADE)),
]


@pytest.mark.parametrize("reply", UNDOCUMENTED, ids=lambda reply: f"{reply.status} {reply.body!r}"[:70])
def test_any_other_answer_is_unknown(reply: Reply):
    seen = only(CLIENT.send(sending()), reply)
    assert (seen.event, seen.digest) == (Event.LOST, f"{MARK}:lost")
    assert seen.provider_id is seen.failure is None


@pytest.mark.parametrize(("thrown", "event"), [(NotConnected(), Event.SEND_FAILED), (AnswerLost(), Event.LOST)])
def test_no_answer(thrown: Exception, event: Event):
    seen = only(CLIENT.send(sending()), thrown)
    assert (seen.event, seen.digest) == (event, f"{MARK}:{event.value}")


@pytest.mark.parametrize(
    "members",
    [{}, {"status": None}, {"status": "refunded"}, {"related_to": None}, {"payment": {"payment_type": None}}],
)
def test_a_payment_is_an_executed_refund(members: dict[str, Any]):
    seen = only(CLIENT.send(sending()), as_reply(200, made(**members)))
    assert (seen.event, seen.grade, seen.amount, seen.provider_id) == (Event.EXECUTED, Grade.MARK, 100, MADE)
    assert (seen.occurred_at, seen.digest) == (moment(NOW + 1), f"{MADE}:success")


def test_another_amount_is_told_as_it_is():
    assert only(CLIENT.send(sending()), as_reply(200, made(payment={"amount": 101}))).amount == 101


def test_a_purchase_is_a_refund_on_its_way_or_done():
    waits = only(CLIENT.send(sending()), as_reply(200, shown(status="pending_refund")))
    assert (waits.event, waits.pending_reason, waits.provider_id) == (Event.ACCEPTED, "processing", None)
    done = only(CLIENT.send(sending()), as_reply(200, shown(status="refunded")))
    assert (done.event, done.provider_id) == (Event.EXECUTED, None)


@pytest.mark.parametrize(
    ("seconds", "at"),
    [(None, None), (0, None), (-1, None), (10**12, None), (60, datetime(1970, 1, 1, 0, 1, tzinfo=UTC))],
)
def test_times(seconds: int | None, at: datetime | None):
    assert moment(seconds) == at


# --- a processing error ----------------------------------------------------------------------------------------------

PROCESSING = as_reply(400, error("purchase_refund_error"))


def test_the_table_of_attempts_covers_every_documented_code():
    assert set(ATTEMPTS) == ATTEMPT_CODES
    assert {code for code, event in ATTEMPTS.items() if event is Event.LOST} == NOT_KNOWN
    assert {code for code in ATTEMPT_CODES if "timeout" in code} <= NOT_KNOWN
    assert set(ATTEMPTS.values()) == {Event.LOST, Event.REFUSED}


@pytest.mark.parametrize("code", sorted(ATTEMPT_CODES))
def test_the_attempt_says_why(code: str):
    older = failed("insufficient_funds" if code in NOT_KNOWN else "timeout")
    seen = only(CLIENT.send(sending(after(older))), PROCESSING, as_reply(200, tried(failed(code), older)))
    if code in NOT_KNOWN:
        assert (seen.event, seen.code, seen.failure) == (Event.LOST, "purchase_refund_error", None)
    else:
        assert (seen.event, seen.grade) == (Event.REFUSED, Grade.COUNTER)
        assert (seen.code, seen.message) == (code, "Words.")
        assert seen.failure in ("declined", "funds", "invalid", "unsupported")


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("do_not_honour", "declined"),
        ("insufficient_funds", "funds"),
        ("exceeded_acquirer_refund_amount", "invalid"),
        ("partial_forbidden", "unsupported"),
    ],
)
def test_a_failed_attempt_has_a_class(code: str, failure: str):
    assert only(CLIENT.send(sending()), PROCESSING, as_reply(200, tried(failed(code)))).failure == failure


@pytest.mark.parametrize(
    "second",
    [
        NotConnected(),
        AnswerLost(),
        as_reply(404, error("not_found")),
        as_reply(200, b"<html>"),
        as_reply(200, made()),
        as_reply(200, tried(failed("do_not_honour"), id=MADE)),
        as_reply(200, tried()),
        as_reply(200, tried(failed("a_code_nobody_knows"))),
        as_reply(200, tried(failed("do_not_honour", successful=True))),
        as_reply(200, tried(failed("do_not_honour", error=None))),
        as_reply(200, tried(failed("do_not_honour", at=NOW - 301))),
        as_reply(200, tried(failed("do_not_honour", at=None))),
        as_reply(200, tried({"type": "refund", "successful": True, "processing_time": NOW}, failed("do_not_honour"))),
        as_reply(200, tried(failed("do_not_honour"), failed("do_not_honour"))),
        as_reply(200, tried(failed("do_not_honour"), refundable_amount=24_900)),
        as_reply(200, tried(failed("do_not_honour"), status="pending_refund")),
        as_reply(200, refunded(MADE, left=25_000, transaction_data={"attempts": [failed("do_not_honour")]})),
    ],
)
def test_a_reason_that_is_kept_from_us_is_doubt(second: Reply | Exception):
    """A second call that was never sent says nothing about the first, which was."""
    seen = only(CLIENT.send(sending()), PROCESSING, second)
    assert (seen.event, seen.code, seen.digest) == (Event.LOST, "purchase_refund_error", f"{MARK}:lost")


SUCCESS = {"type": "refund", "successful": True, "processing_time": NOW}
HONOUR, FUNDS = failed("do_not_honour", at=NOW - 1), failed("insufficient_funds", at=NOW)
ATTEMPTED = [
    ("the only one", after(), [HONOUR], "do_not_honour"),
    ("another's, and ours was not shown yet", after(HONOUR), [HONOUR], None),
    ("ours on top of another's", after(HONOUR), [FUNDS, HONOUR], "insufficient_funds"),
    ("ours is the twin of another's", after(HONOUR), [HONOUR, HONOUR], "do_not_honour"),
    ("one of the two twins of others", after(HONOUR, HONOUR), [HONOUR, HONOUR], None),
    ("ours on top of a success", after(SUCCESS), [FUNDS, SUCCESS], "insufficient_funds"),
    ("two are new", after(), [FUNDS, HONOUR], None),
    ("two are new, after another's", after(HONOUR), [FUNDS, FUNDS, HONOUR], None),
    ("another's was shown late", after(FUNDS), [FUNDS, HONOUR], None),
    ("another's is gone", after(HONOUR), [FUNDS], None),
    ("all are gone", after(HONOUR), [], None),
    ("another's is shown otherwise", after(HONOUR), [FUNDS, failed("timeout", at=NOW - 1)], None),
    ("dated before our refund", after(), [failed("do_not_honour", at=NOW - 301)], None),
    ("what was there before is not known", {"left": 25_000, "refund_ids": []}, [HONOUR], None),
    ("nothing was read", {}, [HONOUR], None),
]


@pytest.mark.parametrize(("before", "now", "code"), [row[1:] for row in ATTEMPTED], ids=[row[0] for row in ATTEMPTED])
def test_only_the_one_attempt_that_came_is_ours(before: dict[str, Any], now: list[dict[str, Any]], code: str | None):
    """A failure of another refund, however fresh, says nothing of ours, which CHIP may have executed."""
    reply = as_reply(200, tried(*now))
    seen = only(CLIENT.send(sending(before)), PROCESSING, reply)
    assert (seen.event, seen.code) == ((Event.LOST, "purchase_refund_error") if code is None else (Event.REFUSED, code))
    looked = answer_with(CLIENT.look(sending(before, state=State.UNKNOWN), before), reply)
    assert [(each.event, each.code) for each in looked.observations] == (
        [] if code is None else [(Event.REFUSED, code)]
    )


@given(st.lists(st.sampled_from([HONOUR, FUNDS, failed("timeout")]), max_size=5), st.booleans())
def test_attempts_of_before_are_never_evidence(attempts: list[dict[str, Any]], fewer: bool):
    shown_now = as_reply(200, tried(*attempts[fewer:]))
    before = after(*attempts)
    assert only(CLIENT.send(sending(before)), PROCESSING, shown_now).event is Event.LOST
    assert answer_with(CLIENT.look(sending(before), before), shown_now).observations == ()


def test_words_may_change_and_the_attempt_is_the_same():
    translated = HONOUR | {"error": {"code": "do_not_honour", "message": "Other words."}, "processing_tx_id": "x"}
    assert prints(translated) == prints(HONOUR) != prints(FUNDS)


def test_clocks_may_differ_a_little():
    reply = as_reply(200, tried(failed("do_not_honour", at=NOW - 300)))
    assert only(CLIENT.send(sending()), PROCESSING, reply).event is Event.REFUSED


# --- what is sent ----------------------------------------------------------------------------------------------------


@given(payer=st.integers(1, 2**62), generation=st.integers(1, 99))
def test_every_send_states_its_amount(payer: int, generation: int):
    call = refund_call(sending(payer=payer, generation=generation))
    assert json.loads(call.body) == {"amount": payer}


def test_a_send_is_json_to_a_path_that_ends_in_a_slash():
    call = refund_call(a_sending(a_payment("a/b", 500, "MYR"), 123))
    assert (call.method, call.path, call.query) == ("POST", "/purchases/a%2Fb/refund/", ())
    assert call.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "idempotency-key": REFUND.hex,
    }


def test_the_key_belongs_to_the_refund():
    assert len({refund_call(sending(generation=n)).headers["idempotency-key"] for n in (1, 2, 3)}) == 1


def test_credentials_are_a_header():
    call = authorize({"secret_key": "s3cret"}, refund_call(sending()))
    assert call.headers["authorization"] == "Bearer s3cret"
    assert call.headers["accept"] == "application/json"
    assert CLIENT.credentials == ("secret_key",)


def test_what_the_client_declares():
    assert DIALECT.client is CLIENT
    assert CLIENT.rung == 1


@pytest.mark.parametrize(
    ("dialect", "availability", "kinds"),
    [
        ("chip", "full_only", (True, False)),
        ("chip", "partial_only", (False, True)),
        ("chip", "none", (False, False)),
        ("chip", None, (True, True)),
        ("trustly", "full_only", (True, True)),
    ],
)
def test_what_the_rail_allows(dialect: str, availability: str | None, kinds: tuple[bool, bool]):
    document = {} if availability is None else {"refund_availability": availability}
    can = capabilities(replace(PAYMENT, dialect=dialect, document=document))
    assert (can.full, can.partial) == kinds
    assert (can.one_at_a_time, can.blocked_by_dispute) == (False, True)


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "left"),
    [
        ({}, 25_000),
        ({"status": "cleared"}, 25_000),
        ({"status": "settled"}, 25_000),
        ({"status": "refunded", "refundable_amount": 7}, 7),
        ({"refund_availability": "none"}, 0),
        ({"status": "pending_refund"}, 0),
        ({"status": "chargeback"}, 0),
        ({"status": "created", "refundable_amount": 0, "payment": None}, 0),
    ],
)
def test_a_reading_shows_what_is_left(members: dict[str, Any], left: int):
    assert answer_with(CLIENT.read(PAYMENT), as_reply(200, shown(**members))).left == left


def test_a_reading_shows_the_refunds_of_the_history():
    figures = answer_with(CLIENT.read(PAYMENT), as_reply(200, refunded("a", "b", left=10)))
    assert (figures.left, figures.refund_ids) == (10, ("a", "b"))
    assert [(each.kind, each.amount) for each in figures.sightings] == [("captured", 25_000)]


@pytest.mark.parametrize(
    ("members", "facts", "sightings"),
    [
        ({}, {}, [("captured", 25_000)]),
        ({"payment": None}, {}, []),
        ({"payment": {"amount": 5000, "currency": "EUR"}}, {}, []),  # converted
        ({"status": "pending_refund"}, {}, [("captured", 25_000)]),
        ({"status": "hold", "payment": None}, {}, []),
        ({"status": "created", "payment": None}, {}, []),
        ({"status": "error", "payment": None}, {}, []),  # can still be paid
        *(
            ({"status": status, "payment": None}, {}, [("canceled", 0)])
            for status in ("cancelled", "expired", "blocked")
        ),
        ({"status": "released", "payment": None}, {}, [("canceled", 0)]),
        ({"status": "chargeback"}, {}, [("dispute_open", 25_000)]),
        ({"status": "chargeback", "payment": None}, {}, [("dispute_open", 25_000)]),
        ({}, {"disputed": 25_000}, [("captured", 25_000), ("dispute_won", 0)]),
        ({"status": "chargeback"}, {"disputed": 25_000}, [("dispute_open", 25_000)]),
    ],
)
def test_what_is_seen_of_the_payment(members: dict[str, Any], facts: dict[str, Any], sightings: list[tuple[str, int]]):
    figures = answer_with(CLIENT.read(replace(PAYMENT, **facts)), as_reply(200, shown(**members)))
    assert [(each.kind, each.amount) for each in figures.sightings] == sightings
    disputes = {each.reference for each in figures.sightings if each.kind.startswith("dispute")}
    assert disputes <= {f"{NUMBER}:chargeback"}


NO_PURCHASE = [
    as_reply(404, error("not_found")),
    as_reply(401, error("authentication_failed")),
    as_reply(500, shown()),
    as_reply(200, shown(id=MADE)),
    as_reply(200, shown(purchase={"currency": "EUR"})),
    as_reply(200, shown(refundable_amount="25000")),
    as_reply(200, shown(refundable_amount=None)),
    as_reply(200, made()),
    as_reply(200, {}),
    as_reply(200, b"<html>"),
]


@pytest.mark.parametrize("reply", NO_PURCHASE)
def test_a_reading_without_figures_is_no_reading(reply: Reply):
    """Figures of None would say that CHIP shows none, and the refund would be sent."""
    with pytest.raises(AnswerLost):
        answer_with(CLIENT.read(PAYMENT), reply)
    assert answer_with(CLIENT.look(sending(), {}), reply).observations == ()


@pytest.mark.parametrize("thrown", [NotConnected, AnswerLost])
def test_a_look_without_an_answer_shows_nothing(thrown: type[Exception]):
    with pytest.raises(thrown):
        answer_with(CLIENT.read(PAYMENT), thrown())
    looked = answer_with(CLIENT.look(sending(), {}), thrown("away"))
    assert (looked.observations, looked.sightings, looked.shown) == ((), (), {"unanswered": "away"})


# --- looking ---------------------------------------------------------------------------------------------------------

LOOKS = [
    ("executed", BEFORE, refunded(MADE, left=24_900), Event.EXECUTED),
    ("executed after others", HALF, refunded("a", MADE, left=11_900), Event.EXECUTED),
    ("two at once", BEFORE, refunded("a", MADE, left=24_900), None),
    ("another amount", BEFORE, refunded(MADE, left=24_899), None),
    ("less than nothing", BEFORE, refunded(MADE, left=25_100), None),
    ("nothing new, exact", HALF, refunded("a", left=11_900), None),
    ("no id told", BEFORE, shown(status="refunded", refundable_amount=24_900), None),
    ("an id, and nothing gone", BEFORE, refunded(MADE, left=25_000), None),
    ("disputed, all gone", {"left": 100, "refund_ids": []}, shown(status="chargeback", refundable_amount=0), None),
    ("an id, then disputed", BEFORE, refunded(MADE, left=24_900, status="chargeback"), None),
    ("on its way", BEFORE, shown(status="pending_refund", refundable_amount=24_900), Event.ACCEPTED),
    ("on its way, not subtracted", BEFORE, shown(status="pending_refund"), Event.ACCEPTED),
    ("another on its way", BEFORE, shown(status="pending_refund", refundable_amount=24_000), None),
    ("one made, one on its way", BEFORE, refunded(MADE, left=24_900, status="pending_refund"), None),
    ("failed", BEFORE, tried(failed("do_not_honour")), Event.REFUSED),
    (
        "failed after others",
        HALF,
        tried(failed("do_not_honour"), status="refunded", refundable_amount=12_000),
        Event.REFUSED,
    ),
    ("timed out", BEFORE, tried(failed("timeout")), None),
    (
        "failed, as did one before",
        BEFORE | {"seen": prints(failed("timeout"))},
        tried(failed("do_not_honour"), failed("timeout")),
        Event.REFUSED,
    ),
    ("failed before us", after(failed("do_not_honour")), tried(failed("do_not_honour")), None),
    ("no attempts known before", {"left": 25_000, "refund_ids": []}, tried(failed("do_not_honour")), None),
    ("failed twice", BEFORE, tried(failed("do_not_honour"), failed("do_not_honour")), None),
    ("failed after a success", BEFORE, tried(failed("do_not_honour"), SUCCESS), None),
    ("failed long ago", BEFORE, tried(failed("do_not_honour", at=NOW - 301)), None),
    ("failed at no time", BEFORE, tried(failed("do_not_honour", at=None)), None),
    ("failed, and something is gone", BEFORE, tried(failed("do_not_honour"), refundable_amount=24_900), None),
    ("failed, and disputed", BEFORE, tried(failed("do_not_honour"), status="chargeback"), None),
    ("a success alone", BEFORE, tried(SUCCESS), None),
    ("nothing happened", BEFORE, shown(), None),
    ("nothing known before", {}, refunded(MADE, left=24_900), None),
    ("no amount known before", {"refund_ids": []}, refunded(MADE, left=24_900), None),
    ("no refunds known before", {"left": 25_000}, refunded(MADE, left=24_900), None),
]


@pytest.mark.parametrize("state", [State.UNKNOWN, State.PENDING])
@pytest.mark.parametrize(("before", "now", "event"), [row[1:] for row in LOOKS], ids=[row[0] for row in LOOKS])
def test_only_the_exact_change_counts(before: dict[str, Any], now: dict[str, Any], event: Event | None, state: State):
    looked = answer_with(CLIENT.look(sending(state=state), before), as_reply(200, now))
    assert [each.event for each in looked.observations] == ([] if event is None else [event])
    for found in looked.observations:
        assert found.grade is Grade.COUNTER
        if event is Event.EXECUTED:
            assert (found.provider_id, found.amount, found.occurred_at) == (MADE, 100, moment(NOW + 2))
            assert found.digest == f"{MADE}:success"
    assert not any(each.kind.startswith("external") for each in looked.sightings)


def test_figures_are_laid_out_for_a_person():
    now = refunded(MADE, "b", left=24_000, transaction_data={"attempts": [failed("timeout"), SUCCESS]})
    assert answer_with(CLIENT.look(sending(), BEFORE), as_reply(200, now)).shown == {
        "status": "refunded",
        "left": 24_000,
        "left_before": 25_000,
        "refunds": 2,
        "new_refunds": [MADE, "b"],
        "attempts": 2,
        "new_attempts": [{"successful": False, "code": "timeout"}, {"successful": True, "code": None}],
    }
    shown_again = answer_with(CLIENT.look(sending(), after(SUCCESS)), as_reply(200, now)).shown
    assert (shown_again["attempts"], shown_again["new_attempts"]) == (2, [{"successful": False, "code": "timeout"}])


# --- against the provider's own examples -----------------------------------------------------------------------------


def of_sample(name: str, whole: dict[str, Any]) -> Reply:
    """A sample's answer: the values it states, put into a whole object of their kind."""
    response = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))["response"]
    for path, value in response["values"].items():
        *way, last = path.split(".")
        place: Any = whole
        for step in way:
            place = into(place, step)
        place[last] = NUMBER if value == "{id}" else value
    for each in whole.get("__all__", ()):
        each.setdefault("message", "not recorded")
    return as_reply(response["status"], whole)


def into(place: Any, step: str) -> Any:
    if not isinstance(place, list):
        return place.setdefault(step, [] if step in ("__all__", "attempts", "status_history") else {})
    while len(place) <= int(step):
        place.append({"status": "paid"})
    return place[int(step)]


def test_a_documented_partial_refund():
    seen = only(CLIENT.send(sending()), of_sample("refund_partial", made()))
    assert (seen.event, seen.amount) == (Event.EXECUTED, 100)


def test_a_documented_full_refund():
    seen = only(CLIENT.send(sending(payer=25_000)), of_sample("refund_full", made()))
    assert (seen.event, seen.amount) == (Event.EXECUTED, 25_000)


def test_a_documented_pending_refund():
    assert only(CLIENT.send(sending()), of_sample("refund_pending", shown())).event is Event.ACCEPTED


@pytest.mark.parametrize(
    ("name", "failure"),
    [("refund_after_full", "unsupported"), ("refund_unpaid", "invalid"), ("purchase_unknown", "invalid")],
)
def test_a_documented_refusal(name: str, failure: str):
    seen = only(CLIENT.send(sending()), of_sample(name, {}))
    assert (seen.event, seen.failure) == (Event.REFUSED, failure)


def test_a_documented_refusal_by_the_acquirer():
    refused = of_sample("refund_refused_by_acquirer", {})
    seen = only(CLIENT.send(sending()), refused, as_reply(200, tried(failed("insufficient_funds"))))
    assert (seen.event, seen.failure) == (Event.REFUSED, "funds")


def test_a_documented_refunded_purchase():
    reply = of_sample("purchase_refunded", shown(status_history=[]))
    body = json.loads(reply.body)
    body["status_history"][2]["related_object"]["id"] = MADE
    figures = answer_with(CLIENT.read(PAYMENT), as_reply(200, body))
    assert (figures.left, figures.refund_ids) == (24_900, (MADE,))


@pytest.mark.parametrize("name", ["refund_partial", "refund_pending"])
def test_the_documented_request_is_what_is_sent(name: str):
    request = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))["request"]
    call = refund_call(sending())
    assert (call.method, "/api/v1" + call.path) == (request["method"], request["path"].replace("{id}", NUMBER))
    assert json.loads(call.body) == request["body"]


# --- against our own server half -------------------------------------------------------------------------------------


def link(outcome: str = "succeeded") -> Loopback:
    table = Table(DIALECT)
    table.outcome = outcome
    return Loopback(table)


@pytest.mark.parametrize("payer", [1, 12_345, 25_000])
def test_a_refund_is_executed(payer: int):
    wire = link()
    payment = wire.pay(25_000, "MYR")
    before = wire.figures(payment)
    assert (before.left, before.refund_ids) == (25_000, ())
    (seen,) = wire.send(a_sending(payment, payer))
    (refund,) = wire.table.refunds
    assert (seen.event, seen.amount, seen.provider_id) == (Event.EXECUTED, payer, refund.dialect_id)
    after = wire.figures(payment)
    assert (after.left, after.refund_ids) == (25_000 - payer, (refund.dialect_id,))
    told = wire.look(a_sending(payment, payer, provider_id=seen.provider_id), before).observations
    assert [each.digest for each in told] == [seen.digest]  # the same sighting: it counts once


OUTCOMES = {
    "succeeded": (Event.EXECUTED, None),
    "ready": (Event.ACCEPTED, None),
    "sending": (Event.ACCEPTED, None),
    "pending": (Event.ACCEPTED, None),
    "requires_action": (Event.ACCEPTED, None),
    "unknown": (Event.ACCEPTED, None),
    "needs_review": (Event.ACCEPTED, None),
    "awaiting_approval": (Event.ACCEPTED, None),
    "scheduled": (Event.ACCEPTED, None),
    "failed": (Event.REFUSED, "do_not_honour"),
    "failed:insufficient_funds": (Event.REFUSED, "insufficient_funds"),
    "failed:timeout": (Event.LOST, "purchase_refund_error"),
    "canceled": (Event.REFUSED, "payment_rejected_other_reason"),
    "returned": (Event.REFUSED, "payment_rejected_other_reason"),
}


def test_every_outcome_is_tried():
    assert {word.partition(":")[0] for word in OUTCOMES} == {state.value for state in State}


@pytest.mark.parametrize(("outcome", "told"), OUTCOMES.items())
def test_every_outcome_is_understood(outcome: str, told: tuple[Event, str | None]):
    wire = link(outcome)
    payment = wire.pay(25_000, "MYR")
    (seen,) = wire.send(a_sending(payment, 500), before=wire.figures(payment))
    assert (seen.event, seen.code) == told
    assert [call.method for call in wire.calls[1:]] == ["POST"] + ["GET"] * (
        SHOWN[State(outcome.partition(":")[0])] is Shown.ERROR
    )


@pytest.mark.parametrize("payer", [500, 25_000])
@pytest.mark.parametrize(("outcome", "told"), OUTCOMES.items())
def test_a_lost_answer_is_found_again_by_looking(outcome: str, told: tuple[Event, str | None], payer: int):
    wire = link(outcome)
    payment = wire.pay(25_000, "MYR")
    before = wire.figures(payment)
    (lost,) = wire.send(a_sending(payment, payer), "lost after")
    assert lost.event is Event.LOST
    looked = wire.look(a_sending(payment, payer, state=State.UNKNOWN), before)
    events = [(each.event, each.code) for each in looked.observations]
    assert events == ([] if told[0] is Event.LOST else [told])
    assert all(each.grade is Grade.COUNTER for each in looked.observations)


@pytest.mark.parametrize(
    ("becomes", "told"),
    [
        ("succeeded", [Event.EXECUTED]),
        ("failed:do_not_honour", [Event.REFUSED]),
        ("failed:timeout", []),
        ("canceled", [Event.REFUSED]),
        ("pending", [Event.ACCEPTED]),
    ],
)
def test_a_pending_refund_is_followed_by_looking(becomes: str, told: list[Event]):
    wire = link("pending")
    payment = wire.pay(25_000, "MYR")
    before = wire.figures(payment)
    (seen,) = wire.send(a_sending(payment, 500))
    assert seen.event is Event.ACCEPTED
    refund = wire.table.bring(wire.table.refunds[0], becomes)
    looked = wire.look(a_sending(payment, 500, state=State.PENDING), before)
    assert [each.event for each in looked.observations] == told
    assert all(each.provider_id in (None, refund.dialect_id) for each in looked.observations)


@pytest.mark.parametrize("fate", ["arrives", "lost before", "lost after"])
def test_the_failure_of_another_refund_is_not_ours(fate: Fate):
    """The first is refused; the second times out at the acquirer, never arrives, or is refused as well."""
    wire = link("failed:do_not_honour")
    payment = wire.pay(25_000, "MYR")
    wire.send(a_sending(payment, 500), before=wire.figures(payment))
    before = wire.figures(payment)
    assert before.seen is not None and len(before.seen) == 1
    wire.table.outcome = "failed:timeout" if fate == "arrives" else "failed:insufficient_funds"
    (seen,) = wire.send(a_sending(payment, 500, generation=2), fate, before)
    assert seen.event is Event.LOST
    looked = wire.look(a_sending(payment, 500, generation=2, state=State.UNKNOWN), before).observations
    assert [each.code for each in looked] == (["insufficient_funds"] if fate == "lost after" else [])


@pytest.mark.parametrize("fate", ["not connected", "lost before"])
def test_what_did_not_arrive_leaves_nothing_to_conclude_from(fate: Fate):
    wire = link()
    payment = wire.pay(25_000, "MYR")
    before = wire.figures(payment)
    (seen,) = wire.send(a_sending(payment, 500), fate)
    assert seen.event is (Event.SEND_FAILED if fate == "not connected" else Event.LOST)
    looked = wire.look(a_sending(payment, 500), before)
    assert (wire.table.refunds, looked.observations) == ((), ())
    assert (looked.shown["left"], looked.shown["new_refunds"]) == (25_000, [])


@pytest.mark.parametrize(
    ("payer", "fields", "code", "failure"),
    [
        (25_001, {}, "max_value", "invalid"),
        (100, {"status": "processing"}, "purchase_refund_wrong_status", "invalid"),
        (100, {"status": "authorized"}, "purchase_refund_wrong_status", "invalid"),
        (100, {"dialect_data": {"refund_availability": "full_only"}}, "purchase_refund_not_possible", "unsupported"),
        (
            25_000,
            {"dialect_data": {"refund_availability": "partial_only"}},
            "purchase_refund_not_possible",
            "unsupported",
        ),
        (100, {"dialect_data": {"refund_availability": "none"}}, "purchase_refund_not_possible", "unsupported"),
    ],
)
def test_what_the_provider_refuses(payer: int, fields: dict[str, Any], code: str, failure: str):
    wire = link()
    (seen,) = wire.send(a_sending(wire.pay(25_000, "MYR", **fields), payer))
    assert (seen.event, seen.code, seen.failure) == (Event.REFUSED, code, failure)
    assert wire.table.refunds == ()


def test_the_sum_of_refunds_is_bounded():
    wire = link()
    payment = wire.pay(1000, "MYR")
    events = [wire.send(a_sending(payment, 400, generation=n))[0].event for n in (1, 2, 3)]
    assert events == [Event.EXECUTED, Event.EXECUTED, Event.REFUSED]
    figures = wire.figures(payment)
    assert (figures.left, figures.refund_ids) == (200, tuple(each.dialect_id for each in wire.table.refunds))


def test_a_payment_the_provider_does_not_know():
    wire = link()
    nobody = a_payment(NUMBER, 25_000, "MYR")
    (seen,) = wire.send(a_sending(nobody, 100))
    assert (seen.event, seen.code) == (Event.REFUSED, "not_found")
    with pytest.raises(AnswerLost):
        wire.figures(nobody)
    assert wire.look(a_sending(nobody, 100)).observations == ()


def test_a_refund_by_hand_beside_ours_proves_nothing():
    wire = link()
    payment = wire.pay(25_000, "MYR")
    before = wire.figures(payment)
    wire.table.call("POST", f"/api/v1/purchases/{payment.reference}/refund/", {"amount": 499})
    wire.send(a_sending(payment, 500), "lost before")
    assert wire.look(a_sending(payment, 500), before).observations == ()
    wire.send(a_sending(payment, 500), "lost after")
    assert wire.look(a_sending(payment, 500), before).observations == ()


def test_a_dispute_is_seen_and_never_taken_for_a_refund():
    wire = link()
    payment = wire.pay(500, "MYR")
    before = wire.figures(payment)
    wire.send(a_sending(payment, 500), "lost before")
    (paid,) = wire.table.facts.payments.values()
    wire.table.see(paid, "dispute_open", 500)
    looked = wire.look(a_sending(payment, 500), before)
    assert looked.observations == ()
    assert [(each.kind, each.amount) for each in looked.sightings] == [("dispute_open", 500)]
    assert wire.figures(payment).left == 0


def test_no_call_of_a_conversation_carries_credentials():
    wire = link("failed:timeout")
    payment = wire.pay(25_000, "MYR")
    before = wire.figures(payment)
    wire.send(a_sending(payment, 500))
    wire.look(a_sending(payment, 500), before)
    calls: list[Call] = wire.calls
    assert [call.method for call in calls] == ["GET", "POST", "GET", "GET"]
    assert all(set(call.headers) <= {"accept", "content-type", "idempotency-key"} for call in calls)
