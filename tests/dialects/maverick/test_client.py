"""Maverick as we call it: what each documented answer means, what a look may conclude, our client and our server."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moneyback.core.commands import Observation
from moneyback.core.money import currency, minor_from_decimal
from moneyback.core.payment import Parts, Payment
from moneyback.core.refund import Event, Grade, State
from moneyback.dialect import AnswerLost, Call, Figures, Looked, NotConnected, Reply, Sending
from moneyback.dialects.maverick import DIALECT, received
from moneyback.dialects.maverick.answers import ANSWERS, FAILURES, REASONS, STATUSES, meaning
from moneyback.dialects.maverick.client import CLIENT, authorize, capabilities
from moneyback.dialects.maverick.listing import list_refunds
from moneyback.dialects.maverick.reading import fetch
from moneyback.dialects.maverick.sending import refund_call, release, shares
from moneyback.dialects.maverick.wire import MONEY_BACK, written
from moneyback.dialects.maverick.wire import REASONS as PUBLISHED
from tests.dialects.driver import ROADS, START, Table
from tests.dialects.loopback import REFUND, Fate, Loopback, a_payment, a_sending, answer_with, as_reply

SAMPLES = Path(__file__).parents[3] / "moneyback" / "dialects" / "maverick" / "samples"
MARK = f"mb_{REFUND.hex}_1"
PAYMENT = a_payment("882", 100_00, "USD")
BEFORE: dict[str, Any] = {"left": 100_00, "refund_ids": []}


def sending(**members: Any) -> Sending:
    return a_sending(PAYMENT, **{"payer": 1_99, **members})


def doubtful(**members: Any) -> Sending:
    return sending(**{"state": State.UNKNOWN, "doubt_since": START, **members})


def shown(status: str = "Approved", reason: str | None = None, **members: Any) -> dict[str, Any]:
    """A refund's record, with the members its readers need."""
    return {
        "id": 883,
        "amount": "1.99",
        "type": "Return",
        "authCode": None,
        "parent": {"id": 882},
        "terminal": {"id": 24},
        "refunded": False,
        "captured": False,
        "history": [],
        "order": None,
        "status": {"status": status, "reason": reason},
        "updatedOn": "2026-03-02 09:30:02",
        "createdOn": "2026-03-02 09:30:01",
    } | members


def original(*children: dict[str, Any], **members: Any) -> dict[str, Any]:
    history = [{"id": each["id"], "type": each["type"], "amount": each["amount"]} for each in children]
    own = {"id": 882, "amount": "100.00", "type": "Auth", "parent": {"id": None}, "captured": True, "history": history}
    return shown(**{**own, **members})


def error(status: int, message: str = "Words.", printed: int | None = None) -> Reply:
    """An error in the provider's form; `printed` is the status it repeats, when that is another one."""
    body = {"name": "A name", "message": message, "code": 0, "status": status if printed is None else printed}
    return as_reply(status, body)


ORIGINAL = as_reply(200, original())


def only(conversation: Any, *replies: Reply | Exception) -> Observation:
    (seen,) = answer_with(conversation, *replies)
    return seen


def answered(reply: Reply | Exception, **members: Any) -> Observation:
    """What becomes of an attempt whose refund call is answered so."""
    return only(CLIENT.send(sending(**members)), ORIGINAL, reply)


# --- answers to a refund ----------------------------------------------------------------------------------------------

RECORDS = [
    ("approved", "Approved", Event.EXECUTED),
    ("inprogress", "InProgress", Event.ACCEPTED),
    ("declined", "Declined", Event.REFUSED),
    ("decline", "Decline", Event.REFUSED),
    ("error", "Error", Event.LOST),
]
ERRORS = [
    (400, Event.REFUSED),
    (401, Event.NOT_TAKEN),
    (403, Event.NOT_TAKEN),
    (404, Event.NOT_TAKEN),
    (422, Event.REFUSED),
    (429, Event.NOT_TAKEN),
    (500, Event.LOST),
    (503, Event.LOST),
]


def test_the_table_of_answers_is_this_one():
    records = {(200, word): event for word, _, event in RECORDS}
    assert dict(ANSWERS) == records | {(status, "error"): event for status, event in ERRORS}
    assert dict(STATUSES) == {word: event for word, _, event in RECORDS}


@pytest.mark.parametrize(("word", "status", "event"), RECORDS)
@pytest.mark.parametrize("bare", [True, False])
def test_a_record_in_the_answer(word: str, status: str, event: Event, bare: bool):
    reply = as_reply(200, shown(status) | ({"status": status} if bare else {}))
    seen = answered(reply)
    assert meaning(reply) is seen.event is event
    assert (seen.grade, seen.provider_id, seen.amount) == (Grade.MARK, "883", 1_99)
    assert seen.occurred_at == datetime(2026, 3, 2, 9, 30, 2, tzinfo=UTC)
    assert seen.digest == f"883:{word}:{event.value}"
    assert (seen.failure == "declined") == (event is Event.REFUSED)


@pytest.mark.parametrize(("status", "event"), ERRORS)
def test_a_documented_error(status: int, event: Event):
    reply = error(status)
    seen = answered(reply)
    assert meaning(reply) is seen.event is event
    assert (seen.provider_id, seen.digest, seen.message) == (None, f"{MARK}:{event.value}", "Words.")
    assert (seen.failure == "invalid") == (event is Event.REFUSED)
    assert seen.code == (None if event is Event.LOST else "A name")


def spoken(reason: str) -> list[Reply]:
    """Every answer that can say a reason."""
    records = [as_reply(200, shown(status, reason)) for status in ("Declined", "Decline", "Error")]
    return [*records, error(422, reason), error(400, reason)]


@pytest.mark.parametrize(("reason", "event"), REASONS.items())
def test_a_known_reason_says_more_than_its_status(reason: str, event: Event):
    for reply in spoken(reason):
        seen = answered(reply)
        assert meaning(reply) is seen.event is event
        if event is Event.REFUSED:
            assert (seen.failure, seen.code, seen.message) == (FAILURES[reason], reason, reason)


def test_every_published_reason_is_known():
    assert set(REASONS) >= PUBLISHED
    assert set(FAILURES) == {reason for reason, event in REASONS.items() if event is Event.REFUSED}


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        ("Duplicate Request (Approved previously)", Event.LOST),
        ("Duplicate Request (Approved previously).", Event.LOST),
        ("duplicate request (approved previously)", Event.LOST),
        ("Duplicate Request (Whatever previously)", Event.LOST),
        ("Duplicate Request", Event.LOST),
        ("Time out", Event.LOST),
        ("Possible Duplicate Request (same amount, card and service within a minute)", Event.NOT_TAKEN),
        ("Unable to process your request. Settlement InProgress", Event.NOT_TAKEN),
        ("Insufficient Funds", Event.REFUSED),
        ("Closed account", Event.REFUSED),
    ],
)
def test_reasons_as_they_are_written(reason: str, event: Event):
    assert {meaning(as_reply(200, shown("Declined", reason))), meaning(error(422, reason))} == {event}


@pytest.mark.parametrize("reason", [None, "", "Something broke"])
def test_an_error_that_nobody_explains_is_doubt(reason: str | None):
    """Only what was declined is certain not to have been paid."""
    assert answered(as_reply(200, shown("Error", reason))).event is Event.LOST
    assert answered(as_reply(200, shown("Declined", reason))).event is Event.REFUSED


@pytest.mark.parametrize("status", ["Approved", "InProgress"])
def test_a_reason_beside_a_success_changes_nothing(status: str):
    assert answered(as_reply(200, shown(status, "Time out"))).event is STATUSES[status.lower()]


UNDOCUMENTED = [
    *(
        Reply(status=status, body=raw)
        for status in (200, 201, 202, 204, 301, 400, 401, 403, 404, 405, 408, 409, 422, 425, 429, 500, 502, 503, 504)
        for raw in (b"", b"{}", b"<html>", b"\xff\xfe", b"[]", b"null", b'{"message": "no"}', b'{"name": "a"}')
    ),
    *(error(status) for status in (402, 405, 408, 409, 413, 425, 501, 502, 504)),
    error(422, printed=400),
    error(401, printed=200),
    as_reply(200, {"name": "A", "message": "B", "status": 200}),
    as_reply(200, shown("Void")),
    as_reply(200, shown(type="Auth")),
    as_reply(200, shown(type="Void")),
    as_reply(200, shown(parent={"id": 1})),
    as_reply(200, shown(parent={"id": None})),
    as_reply(200, shown() | {"status": None}),
    as_reply(200, {"data": shown()}),
    as_reply(200, [shown()]),
    as_reply(200, b"[" * 100_000),
]


@pytest.mark.parametrize("reply", UNDOCUMENTED, ids=lambda reply: f"{reply.status} {reply.body[:40]!r}")
def test_any_other_answer_is_unknown(reply: Reply):
    assert answered(reply).event is Event.LOST


@pytest.mark.parametrize(("thrown", "event"), [(NotConnected("x"), Event.SEND_FAILED), (AnswerLost("x"), Event.LOST)])
def test_no_answer_to_the_refund_call(thrown: Exception, event: Event):
    seen = answered(thrown)
    assert (seen.event, seen.digest) == (event, f"{MARK}:{event.value}")


def test_later_is_said_to_a_call_and_not_to_a_record():
    """What is sent again makes another record; this one's number must not stay."""
    seen = answered(as_reply(200, shown("Declined", "Possible Duplicate Request")))
    assert (seen.event, seen.provider_id, seen.occurred_at) == (Event.NOT_TAKEN, None, None)


def test_the_number_of_an_unclear_record_is_kept_to_be_read_again():
    seen = answered(as_reply(200, shown("Error", "Time out")))
    assert (seen.event, seen.provider_id, seen.data) == (Event.LOST, "883", {"status": "error", "reason": "Time out"})


@pytest.mark.parametrize("number", [883, "883"])
def test_ids_are_numbers_or_text(number: int | str):
    reply = as_reply(200, shown(id=number, parent={"id": "882"}))
    assert answered(reply).provider_id == "883"


@pytest.mark.parametrize(
    ("value", "minor"),
    [("1.99", 1_99), (1.99, 1_99), (2, 2_00), ("2.000", 2_00), ("1.999", None), ("", None), (None, None), (True, None)],
)
def test_amounts_are_read_exactly_or_not_at_all(value: Any, minor: int | None):
    assert answered(as_reply(200, shown(amount=value))).amount == minor


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2023-05-09 15:51:36", datetime(2023, 5, 9, 15, 51, 36, tzinfo=UTC)),
        ("2023-05-09T15:51:36Z", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_utc(text: str | None, at: datetime | None):
    assert received.moment(text) == at


# --- before the refund call: nothing was sent -------------------------------------------------------------------------


@pytest.mark.parametrize("thrown", [NotConnected("no route"), AnswerLost("reset")])
def test_a_question_without_an_answer_is_not_doubt(thrown: Exception):
    seen = only(CLIENT.send(sending()), thrown)
    assert (seen.event, seen.message) == (Event.SEND_FAILED, f"{thrown}")


@pytest.mark.parametrize(
    ("reply", "event"),
    [
        (error(401), Event.NOT_TAKEN),
        (error(403), Event.NOT_TAKEN),
        (error(429), Event.NOT_TAKEN),
        (error(404), Event.REFUSED),
        (error(422), Event.SEND_FAILED),
        (error(500), Event.SEND_FAILED),
        (Reply(status=404, body=b"<html>"), Event.SEND_FAILED),
        (as_reply(200, original(id=1)), Event.SEND_FAILED),
        (as_reply(200, original(terminal={"id": None})), Event.SEND_FAILED),
        (as_reply(200, {}), Event.SEND_FAILED),
    ],
    ids=lambda each: f"{each.status} {each.body[:30]!r}" if isinstance(each, Reply) else None,
)
def test_without_the_original_nothing_is_sent(reply: Reply, event: Event):
    seen = only(CLIENT.send(sending()), reply)
    assert seen.event is event
    assert (seen.failure == "invalid") == (event is Event.REFUSED)


def test_what_was_not_captured_is_never_voided_in_place_of_a_refund():
    seen = only(CLIENT.send(sending()), as_reply(200, original(captured=False)))
    assert (seen.event, seen.failure, seen.code) == (Event.REFUSED, "invalid", "not_captured")


# --- what is sent -----------------------------------------------------------------------------------------------------


def record(**members: Any) -> received.Record:
    found = received.record(as_reply(200, original(**members)))
    assert found is not None
    return found


def body_of(attempt: Sending, **members: Any) -> Any:
    return json.loads(refund_call(attempt, record(**members)).body)


def test_the_refund_call_letter_by_letter():
    call = refund_call(sending(reference="return-7"), record())
    assert (call.method, call.path) == ("POST", "/payment/882/refund")
    headers = {"accept": "application/json", "user-agent": "moneyback", "content-type": "application/json"}
    assert call.headers == headers
    assert call.body == b'{"terminal":{"id":24},"amount":"1.99"}'


@given(payer=st.integers(1, 2**62), generation=st.integers(1, 9999))
def test_every_call_states_its_amount_and_its_terminal(payer: int, generation: int):
    body = body_of(sending(payer=payer, generation=generation), terminal={"id": "24"})
    assert minor_from_decimal(body["amount"], currency("USD"), max_decimals=2) == payer
    assert body["terminal"] == {"id": "24"}


@pytest.mark.parametrize(
    ("order", "payer", "refunded", "stated"),
    [
        (None, 103_00, 0, None),
        ([], 103_00, 0, None),
        ({"subtotal": "103.00", "tax": "0.00", "discounts": "0.00"}, 103_00, 0, None),
        ({"subtotal": "103.00"}, 103_00, 0, None),
        ({"subtotal": "100.00", "tax": "8.00", "discounts": "5.00"}, 103_00, 0, ("8.00", "5.00")),
        ({"subtotal": "100.00", "tax": "8.00", "discounts": "5.00"}, 51_50, 0, ("4.00", "2.50")),
        ({"subtotal": "100.00", "tax": "8.00", "discounts": "5.00"}, 1, 0, ("0.00", "0.00")),
        ({"subtotal": "100.00", "tax": "8.00", "discounts": "5.00"}, 102_99, 1, ("8.00", "5.00")),
        ({"subtotal": "95.00", "tax": 8, "discounts": None}, 51_50, 51_50, ("4.00", "0.00")),
        ({"tax": {"amount": "8.00"}, "discounts": {"amount": 5}}, 103_00, 0, ("8.00", "5.00")),
        ({"tax": "?", "discounts": "-5.00"}, 103_00, 0, None),
    ],
)
def test_tax_and_discounts_are_shared_out(order: Any, payer: int, refunded: int, stated: tuple[str, str] | None):
    payment = replace(PAYMENT, captured=103_00, refunded=refunded)
    body = body_of(a_sending(payment, payer), amount="103.00", order=order)
    expected = None if stated is None else {"tax": stated[0], "discounts": stated[1]}
    assert body.get("order") == expected


@given(
    subtotal=st.integers(0, 5_000), tax=st.integers(0, 500), discount=st.integers(0, 500), cuts=st.lists(st.integers(1))
)
def test_the_shares_of_all_refunds_close_tax_and_discounts_exactly(
    subtotal: int, tax: int, discount: int, cuts: list[int]
):
    """And at no time more goods are given back than there were: amount less tax plus discounts."""
    total = subtotal + tax - discount
    if total <= 0:
        return
    order = {"tax": written(tax, "USD"), "discounts": written(discount, "USD")}
    whole = record(amount=written(total, "USD"), order=order)
    given_, goods, sums = 0, 0, {"tax": 0, "discounts": 0}
    for cut in [*cuts, total]:
        payer = min(1 + cut % total, total - given_) if cut != total else total - given_
        if payer == 0:
            break
        payment = replace(PAYMENT, captured=total, refunded=given_)
        parts = shares(a_sending(payment, payer), whole) or {"tax": 0, "discounts": 0}
        assert min(parts.values()) >= 0
        sums = {name: sums[name] + parts[name] for name in sums}
        goods += payer - parts["tax"] + parts["discounts"]
        assert goods <= subtotal
        given_ += payer
    assert (given_, sums) == (total, {"tax": tax, "discounts": discount})


@pytest.mark.parametrize(
    ("request_", "stated"),
    [
        ({"amount": 1_99, "tax": 15, "discounts": None}, {"tax": "0.15", "discounts": "0.00"}),
        ({"amount": None, "tax": None, "discounts": 7}, {"tax": "0.00", "discounts": "0.07"}),
        ({"amount": None, "tax": 0, "discounts": 0}, {"tax": "0.00", "discounts": "0.00"}),
        ({"amount": 1_99, "tax": None, "discounts": None}, {"tax": "0.15", "discounts": "0.09"}),
    ],
)
def test_what_a_client_stated_itself_is_sent_as_it_was_stated(request_: dict[str, Any], stated: dict[str, str]):
    order = {"subtotal": "97.00", "tax": "8.00", "discounts": "5.00"}
    attempt = sending(dialect="maverick", request=request_)
    assert body_of(attempt, amount="100.00", order=order)["order"] == stated
    assert body_of(sending(request=request_), order=order)["order"] == {"tax": "0.15", "discounts": "0.09"}


def test_the_token_goes_into_a_header():
    sent = authorize({"token": "t"}, refund_call(sending(), record()))
    assert sent.headers["authorization"] == "Bearer t"
    assert CLIENT.credentials == ("token",)


def test_an_id_is_one_segment_of_the_path():
    assert next(CLIENT.read(a_payment("a/b?c", 1, "USD"))).path == "/payment/a%2Fb%3Fc"


# --- reading ----------------------------------------------------------------------------------------------------------


def test_every_refund_is_read_because_an_original_does_not_say_how_it_fared():
    children = [shown(), shown("Declined", id=884), shown("InProgress", id=885), shown("Error", id=886)]
    captured = shown(id=881, type="Capture", amount="100.00")
    replies = [as_reply(200, each) for each in children]
    figures = answer_with(CLIENT.read(PAYMENT), as_reply(200, original(captured, *children)), *replies)
    assert figures == Figures(left=96_02, refund_ids=("883", "884", "885", "886"))


def test_what_is_left_is_counted_from_what_was_captured():
    """An original's own amount is what was authorised."""
    payment = replace(PAYMENT, captured=40_00)
    assert answer_with(CLIENT.read(payment), ORIGINAL) == Figures(left=40_00, refund_ids=())


@pytest.mark.parametrize(
    "replies",
    [
        (error(401),),
        (error(500),),
        (Reply(status=404, body=b"<html>"),),
        (as_reply(200, original(id=1)),),
        (as_reply(200, {}),),
        (as_reply(200, original(shown())), error(404)),
        (as_reply(200, original(shown())), as_reply(200, shown(id=884))),
        (as_reply(200, original(shown())), as_reply(200, shown(parent={"id": 1}))),
        (as_reply(200, original(shown())), as_reply(200, shown(amount="?"))),
        (as_reply(200, original(shown())), AnswerLost()),
    ],
)
def test_a_reading_without_figures_is_no_reading(replies: tuple[Reply | Exception, ...]):
    """Figures of None would say that the provider shows none, and the refund would be sent."""
    with pytest.raises(AnswerLost):
        answer_with(CLIENT.read(PAYMENT), *replies)


def test_a_refund_of_a_payment_that_does_not_exist_comes_to_its_end():
    assert answer_with(CLIENT.read(PAYMENT), error(404)) == Figures()
    assert only(CLIENT.send(sending()), error(404)).event is Event.REFUSED


# --- looking ----------------------------------------------------------------------------------------------------------


def looked_at(attempt: Sending, pre_read: dict[str, Any], *children: dict[str, Any]) -> Looked:
    replies = [as_reply(200, each) for each in children]
    found: Looked = answer_with(CLIENT.look(attempt, pre_read), as_reply(200, original(*children)), *replies)
    return found


OLD = shown(id=880, amount="10.00")


@pytest.mark.parametrize(
    ("pre_read", "children", "event"),
    [
        (BEFORE, [shown()], Event.EXECUTED),
        (BEFORE, [shown("InProgress")], Event.ACCEPTED),
        ({"left": 90_00, "refund_ids": ["880"]}, [OLD, shown()], Event.EXECUTED),
        (BEFORE, [shown("Declined", id=884), shown()], Event.EXECUTED),
        ({"left": 100_00, "refund_ids": ["883"]}, [shown()], None),
        ({"left": 99_00, "refund_ids": []}, [shown()], None),
        ({"left": 100_00, "refund_ids": ["880"]}, [OLD, shown()], None),
        ({"left": 100_00}, [shown()], None),
        ({"refund_ids": []}, [shown()], None),
        ({}, [shown()], None),
        (BEFORE, [shown(amount="1.98")], None),
        (BEFORE, [shown(), shown(id=884)], None),
        (BEFORE, [shown(), shown(id=884, amount="5.00")], None),
        (BEFORE, [shown(), shown("InProgress", id=884)], None),
        (BEFORE, [shown(), shown("Error", "Time out", id=884)], None),
        (BEFORE, [shown("Declined")], None),
        (BEFORE, [shown("Error")], None),
        (BEFORE, [], None),
    ],
)
def test_a_counter_is_evidence_only_when_nothing_else_moved(
    pre_read: dict[str, Any], children: list[dict[str, Any]], event: Event | None
):
    looked = looked_at(doubtful(), pre_read, *children)
    expected = [] if event is None else [(event, Grade.COUNTER, "883", 1_99)]
    assert [(each.event, each.grade, each.provider_id, each.amount) for each in looked.observations] == expected


def test_absence_is_never_evidence():
    figures = {"left": 100_00, "left_before": 100_00, "fully_refunded": False, "refunds": 0, "new_refunds": []}
    assert looked_at(doubtful(doubt_since=START - timedelta(days=365)), BEFORE) == Looked(shown=figures)


def test_a_person_is_shown_what_is_new():
    looked = looked_at(doubtful(), {"left": 90_00, "refund_ids": ["880"]}, OLD, shown("Error", "Time out"))
    assert looked.shown["new_refunds"] == [{"id": "883", "amount": "1.99", "status": "error", "reason": "Time out"}]


@pytest.mark.parametrize(
    ("row", "event"),
    [
        (shown(), Event.EXECUTED),
        (shown("InProgress"), Event.ACCEPTED),
        (shown("Declined", "Insufficient Funds"), Event.REFUSED),
        (shown("Declined", "Possible Duplicate Request"), Event.REFUSED),  # this record will never be executed
        (shown("Error", MONEY_BACK), Event.CAME_BACK),
    ],
)
def test_a_refund_whose_id_is_known_is_read_by_it(row: dict[str, Any], event: Event):
    known = doubtful(provider_id="883", state=State.PENDING)
    (seen,) = answer_with(CLIENT.look(known, BEFORE), as_reply(200, row)).observations
    assert (seen.event, seen.provider_id, seen.grade) == (event, "883", Grade.MARK)


@pytest.mark.parametrize(
    "reply", [error(404), as_reply(200, shown("Error", "Time out")), as_reply(200, shown(parent={"id": 1}))]
)
def test_an_id_that_says_nothing_leaves_counting(reply: Reply):
    """The record of our call may say "approved previously": then the one that was approved is another."""
    known, children = doubtful(provider_id="883"), [shown("Error", "Time out"), shown(id=884)]
    replies = [as_reply(200, each) for each in children]
    looked = answer_with(CLIENT.look(known, BEFORE), reply, as_reply(200, original(*children)), *replies)
    assert [(each.event, each.grade, each.provider_id) for each in looked.observations] == [
        (Event.EXECUTED, Grade.COUNTER, "884")
    ]


@pytest.mark.parametrize("thrown", [NotConnected("no route"), AnswerLost()])
@pytest.mark.parametrize("before", [(), (as_reply(200, original(shown())),)])
def test_a_look_that_gets_no_answer_saw_nothing(before: tuple[Reply, ...], thrown: Exception):
    looked = answer_with(CLIENT.look(doubtful(), BEFORE), *before, thrown)
    assert looked == Looked(shown={"unanswered": f"{thrown}" or "AnswerLost"})


def test_looking_only_reads():
    story = CLIENT.look(doubtful(), BEFORE)
    assert {next(story).method, story.send(as_reply(200, original(shown()))).method} == {"GET"}


# --- the declaration --------------------------------------------------------------------------------------------------


def test_what_is_declared():
    assert DIALECT.client is CLIENT
    assert (CLIENT.rung, CLIENT.capabilities) == (1, capabilities)
    assert (CLIENT.fetch, CLIENT.list_refunds, CLIENT.release) == (fetch, list_refunds, release)
    assert capabilities(PAYMENT).full
    assert capabilities(PAYMENT).partial
    euros = capabilities(a_payment("1", 1, "EUR"))
    assert not (euros.full or euros.partial)


@pytest.mark.parametrize("name", ["authorization", "token", "card", "contact", "ip"])
def test_secrets_and_payers_are_scrubbed(name: str):
    assert name in DIALECT.scrub


# --- the provider's own examples --------------------------------------------------------------------------------------

VALUES = {"string": '"text"', "integer": "1", "object": "{}", "array": "[]", "null": "null", "boolean": "false"}


def example(name: str) -> Reply:
    """The answer of a sample: its values, and something of the documented type for every other member."""
    response = json.loads((SAMPLES / f"{name}.json").read_text())["response"]
    body: dict[str, Any] = {member: json.loads(VALUES[types[0]]) for member, types in response["members"]}
    child: dict[str, Any] = {}
    for path, value in response["values"].items():
        first, _, rest = path.partition(".")
        filled = 882 if value == "{id}" else value
        if path.startswith("history.0."):
            child[rest.removeprefix("0.")] = filled
        elif rest and "." not in rest:
            body[first][rest] = filled
        elif not rest:
            body[first] = filled
    return as_reply(response["status"], body | ({"history": [{"id": 883} | child]} if child else {}))


MEANT = {
    "read_unknown": Event.NOT_TAKEN,
    "refund_declined": Event.REFUSED,
    "refund_full": Event.EXECUTED,
    "refund_over_subtotal": Event.REFUSED,
    "refund_part_as_number": Event.EXECUTED,
    "refund_part_as_text": Event.EXECUTED,
    "refund_posting_a_record": Event.EXECUTED,
    "refund_too_much": Event.REFUSED,
    "refund_with_tax_and_discounts": Event.EXECUTED,
    "void": Event.EXECUTED,
}


def test_every_sample_is_read():
    assert {each.stem for each in SAMPLES.glob("*.json")} == {*MEANT, "read_refunded"}


@pytest.mark.parametrize(("name", "event"), MEANT.items())
def test_a_sample_means(name: str, event: Event):
    reply = example(name)
    assert meaning(reply) is answered(reply).event is event
    if reply.status == 200:
        assert answered(reply).amount == minor_from_decimal(json.loads(reply.body)["amount"], currency("USD"))


def test_the_sample_of_an_original_is_read():
    payment = a_payment("882", 250_00, "USD")
    child = as_reply(200, shown(amount="250.00"))
    assert answer_with(CLIENT.read(payment), example("read_refunded"), child) == Figures(left=0, refund_ids=("883",))


@pytest.mark.parametrize("name", ["refund_part_as_text", "refund_with_tax_and_discounts"])
def test_we_ask_as_a_sample_asks(name: str):
    found = json.loads((SAMPLES / f"{name}.json").read_text())
    asked, given_ = found["request"], found["given"]
    parts = given_.get("parts")
    order = {"tax": written(parts["tax"], "USD"), "discounts": written(parts["discount"], "USD")} if parts else None
    payer = minor_from_decimal(asked["body"]["amount"], currency("USD"))
    attempt = a_sending(a_payment("882", given_["amount"], "USD"), payer)
    call = refund_call(attempt, record(amount=written(given_["amount"], "USD"), order=order))
    assert json.loads(call.body) == asked["body"]
    assert (call.method, call.path) == (asked["method"], asked["path"].replace("{id}", "882"))


# --- our client against our server ------------------------------------------------------------------------------------


class Link(Loopback):
    """The fate befalls the one call that gives money back."""

    def __init__(self, profile: dict[str, Any] | None = None) -> None:
        super().__init__(Table(DIALECT, profile=profile))
        self.table.outcome = "succeeded"

    def _exchange(self, call: Call, fate: Fate) -> Reply | NotConnected | AnswerLost:
        return super()._exchange(call, fate if call.method == "POST" else "arrives")

    @property
    def made(self) -> list[int]:
        return [each.payer for each in self.table.refunds if each.state not in (State.FAILED, State.CANCELED)]


def unknown(payment: Payment, payer: int, **members: Any) -> Sending:
    return a_sending(payment, payer, **{"state": State.UNKNOWN, "doubt_since": START, **members})


def test_in_full():
    link = Link()
    payment = link.pay(100_00, "USD")
    assert link.figures(payment) == Figures(left=100_00, refund_ids=())
    (seen,) = link.send(a_sending(payment, 100_00))
    assert (seen.event, seen.amount, seen.provider_id) == (Event.EXECUTED, 100_00, link.table.refunds[0].dialect_id)
    assert link.figures(payment) == Figures(left=0, refund_ids=(link.table.refunds[0].dialect_id,))
    assert link.made == [100_00]


PARTS = Parts(subtotal=100_00, tax=8_00, discount=5_00)


@pytest.mark.parametrize("parts", [None, PARTS])
@pytest.mark.parametrize(
    "payers", [(103_00,), (40_00, 62_99, 1), (1, 1, 102_98), (51_50, 51_50), (33_33, 33_33, 36_34)]
)
def test_in_parts_until_nothing_is_left(payers: tuple[int, ...], parts: Parts | None):
    """With tax and discounts the provider takes every part, and the last one too."""
    link = Link()
    payment = link.pay(103_00, "USD", parts=parts)
    for number, payer in enumerate(payers, start=100):
        (seen,) = link.send(a_sending(payment, payer, id=UUID(int=number)))
        assert (seen.event, seen.amount) == (Event.EXECUTED, payer)
        payment = replace(payment, refunded=payment.refunded + payer)
    assert link.made == list(payers)
    assert link.figures(payment).left == 0


def test_more_than_there_is():
    link = Link()
    (seen,) = link.send(a_sending(link.pay(100_00, "USD"), 100_01))
    assert (seen.event, seen.failure) == (Event.REFUSED, "invalid")
    assert link.made == []


def test_an_unknown_payment():
    link = Link()
    (seen,) = link.send(a_sending(a_payment("1", 1_00, "USD"), 1_00))
    assert (seen.event, seen.failure, seen.code) == (Event.REFUSED, "invalid", "Not Found")
    assert [each.method for each in link.calls] == ["GET"]


def test_an_authorisation_is_not_voided():
    link = Link()
    (seen,) = link.send(a_sending(link.pay(75_00, "USD", status="authorized"), 75_00))
    assert (seen.event, seen.code) == (Event.REFUSED, "not_captured")
    assert [each.method for each in link.calls] == ["GET"]


ENDS = {
    State.SUCCEEDED: Event.EXECUTED,
    State.RETURNED: Event.CAME_BACK,
    State.FAILED: Event.REFUSED,
    State.CANCELED: Event.REFUSED,
}


@pytest.mark.parametrize("state", ROADS, ids=lambda state: state.value)
@pytest.mark.parametrize("mode", [422, 200])
def test_whatever_the_provider_makes_of_it(state: State, mode: int):
    link = Link({"decline_mode": mode})
    link.table.outcome = state.value
    (seen,) = link.send(a_sending(link.pay(100_00, "USD"), 10_00))
    assert seen.event is ENDS.get(state, Event.ACCEPTED)
    if mode == 200 or seen.event is not Event.REFUSED:
        assert seen.provider_id == link.table.refunds[0].dialect_id


@pytest.mark.parametrize("mode", [422, 200])
def test_a_decline_says_why(mode: int):
    link = Link({"decline_mode": mode})
    link.table.outcome = "failed:Insufficient Funds"
    (seen,) = link.send(a_sending(link.pay(100_00, "USD"), 10_00))
    assert (seen.event, seen.failure, seen.code) == (Event.REFUSED, "funds", "Insufficient Funds")


def test_an_equal_amount_within_a_minute_may_be_sent_again():
    link = Link({"duplicate_window_s": 60})
    payment = link.pay(100_00, "USD")
    link.send(a_sending(payment, 10_00))
    (seen,) = link.send(a_sending(payment, 10_00, id=UUID(int=100)))
    assert (seen.event, seen.code) == (Event.NOT_TAKEN, "Possible Duplicate Request")
    link.table.now += timedelta(seconds=61)
    (seen,) = link.send(a_sending(payment, 10_00, id=UUID(int=100), generation=2))
    assert seen.event is Event.EXECUTED
    assert link.made == [10_00, 10_00]


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "canceled", "returned"])
def test_a_refund_that_was_accepted_is_followed_to_its_end(outcome: str):
    link = Link()
    link.table.outcome = "pending"
    payment = link.pay(100_00, "USD")
    (accepted,) = link.send(a_sending(payment, 10_00))
    pending = unknown(payment, 10_00, state=State.PENDING, provider_id=accepted.provider_id)
    assert [each.event for each in link.look(pending).observations] == [Event.ACCEPTED]
    if outcome == "returned":
        link.table.bring(link.table.refunds[0], "succeeded")
    link.table.bring(link.table.refunds[0], outcome)
    (seen,) = link.look(pending).observations
    assert seen.event is ENDS[State(outcome)]


@pytest.mark.parametrize(
    ("outcome", "event"),
    [("succeeded", Event.EXECUTED), ("pending", Event.ACCEPTED), ("failed:Insufficient Funds", None)],
)
def test_an_answer_that_was_lost_after_execution_is_found_by_counting(outcome: str, event: Event | None):
    """One that was declined leaves no trace on its original: a person is asked."""
    link = Link()
    payment = link.pay(100_00, "USD")
    link.send(a_sending(payment, 5_00, id=UUID(int=100)))
    before = link.figures(payment)
    link.table.outcome = outcome
    (lost,) = link.send(a_sending(payment, 10_00), "lost after")
    assert lost.event is Event.LOST
    found = link.look(unknown(payment, 10_00), before).observations
    assert [(each.event, each.grade) for each in found] == ([] if event is None else [(event, Grade.COUNTER)])


def test_a_refund_made_elsewhere_meanwhile_leaves_the_doubt():
    link = Link()
    payment = link.pay(100_00, "USD")
    before = link.figures(payment)
    link.send(a_sending(payment, 10_00), "lost after")
    link.table.call("POST", f"/payment/{payment.reference}/refund", {"terminal": {"id": 24}, "amount": 10})
    assert link.look(unknown(payment, 10_00), before).observations == ()


def test_a_refund_that_was_lost_on_its_way_stays_in_doubt():
    link = Link()
    payment = link.pay(100_00, "USD")
    before = link.figures(payment)
    (lost,) = link.send(a_sending(payment, 10_00), "lost before")
    assert lost.event is Event.LOST
    link.table.now = START + timedelta(days=30)
    assert link.look(unknown(payment, 10_00), before).observations == ()
    assert link.made == []


def test_not_connected_is_not_sent():
    link = Link()
    (seen,) = link.send(a_sending(link.pay(100_00, "USD"), 10_00), "not connected")
    assert seen.event is Event.SEND_FAILED
    assert link.made == []
