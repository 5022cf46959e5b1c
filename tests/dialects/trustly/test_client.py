"""Trustly as we call it: what each documented answer means, what a look may conclude, our client and our server."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.commands import Observation
from moneyback.core.money import currency, to_major
from moneyback.core.refund import Event, Grade, State
from moneyback.dialect import AnswerLost, Call, Figures, NotConnected, Reply
from moneyback.dialects.trustly import DIALECT
from moneyback.dialects.trustly.client import (
    ANSWERS,
    CLIENT,
    STATUSES,
    authorize,
    capabilities,
    meaning,
    refund_call,
)
from moneyback.dialects.trustly.marks import MARK_ROOM, REFERENCE_MAX, marked, reference_of, unmarked
from moneyback.dialects.trustly.received import moment, transaction, transactions
from moneyback.dialects.trustly.wire import Status
from tests.dialects.driver import Table, said
from tests.dialects.loopback import REFUND, Fate, Loopback, a_payment, a_sending, answer_with, as_reply

SAMPLES = Path(__file__).parents[3] / "moneyback" / "dialects" / "trustly" / "samples"
MARK = f"mb_{REFUND.hex}_1"
PAYMENT = a_payment("1002593555", 100_00, "USD")
LONG = "r" * (REFERENCE_MAX - MARK_ROOM + 1)
LONGEST = LONG[1:]


def sending(**members: Any) -> Any:
    return a_sending(PAYMENT, **{"payer": 1_00, **members})


def record(**members: Any) -> dict[str, Any]:
    """A refund's own record, bare, as the reference prints one."""
    return {
        "transactionId": "1002593600",
        "transactionType": "4",
        "originalTransactionId": "1002593555",
        "currency": "USD",
        "amount": "1.00",
        "status": "1",
        "merchantReference": MARK,
        "updatedAt": 1556234040954,
    } | members


def original(**members: Any) -> dict[str, Any]:
    shown = {"transactionId": "1002593555", "transactionType": "3", "amount": "100.00", "merchantReference": "o-1"}
    money = {"paid": "100.00", "refunded": "0.00", "reversed": "0.00", "balance": "100.00"}
    return record(**{**shown, **money, "status": "4", "originalTransactionId": None, **members})


def errors(*codes: int) -> dict[str, Any]:
    return {"errors": [{"domain": "com.example.SomeException", "code": code, "message": f"m{code}"} for code in codes]}


def only(conversation: Any, *replies: Reply | Exception) -> Observation:
    (seen,) = answer_with(conversation, *replies)
    return seen


# --- answers to a refund ----------------------------------------------------------------------------------------------

BY_CODE = {
    **dict.fromkeys((100, 150, 210, 378), Event.LOST),
    **dict.fromkeys((200, 326, 330, 331, 380, 390, 397), Event.REFUSED),
    **dict.fromkeys((300, 325, 375), Event.NOT_TAKEN),
}
DOCUMENTED = [
    *((status, code, event) for status in (200, 400) for code, event in BY_CODE.items()),
    *((401, code, Event.NOT_TAKEN) for code in (300, 325, 375)),
    (404, 200, Event.NOT_TAKEN),
    (503, 100, Event.NOT_TAKEN),
    (500, 100, Event.LOST),
]


def test_every_row_of_the_table_is_tried():
    tried = {(status, code) for status, code, _ in DOCUMENTED}
    assert all(row in tried or (row[1] is None and row[0] in {status for status, _ in tried}) for row in ANSWERS)


@pytest.mark.parametrize(("status", "code", "event"), DOCUMENTED)
def test_a_documented_error(status: int, code: int, event: Event):
    reply = as_reply(status, errors(code))
    seen = only(CLIENT.send(sending()), reply)
    assert meaning(reply) is seen.event is event
    assert (seen.code, seen.message, seen.digest) == (str(code), f"m{code}", f"{MARK}:{event.value}")
    assert (seen.failure is not None) == (event is Event.REFUSED)
    assert seen.provider_id is None


@pytest.mark.parametrize(("code", "failure"), [(200, "invalid"), (330, "invalid"), (331, "funds"), (390, "declined")])
def test_a_refusal_has_a_class(code: int, failure: str):
    assert only(CLIENT.send(sending()), as_reply(400, errors(code))).failure == failure


UNDOCUMENTED = [
    *(
        Reply(status=status, body=raw)
        for status in (200, 201, 202, 301, 400, 401, 403, 404, 408, 409, 422, 425, 429, 500, 502, 503, 504)
        for raw in (b"", b"{}", b"<html>", b"\xff\xfe", b"[]", b"null", b'{"message": "no"}', b'{"errors": []}')
    ),
    *(as_reply(status, errors(200)) for status in (202, 402, 403, 405, 408, 409, 413, 422, 425, 429, 500, 502, 504)),
    as_reply(400, errors(9)),
    as_reply(200, errors(9)),
    as_reply(400, errors(200, 375)),  # complaints that disagree
    as_reply(400, errors(200, 150)),
    as_reply(400, {"errors": [{"code": "200", "message": "text"}]}),
    as_reply(400, {"errors": {"code": 200}}),
    as_reply(200, record() | errors(200)),  # an error and a refund
    as_reply(201, record()),
    as_reply(200, record(transactionType="3")),
    as_reply(200, record(originalTransactionId="1")),
    as_reply(200, record(currency="EUR")),
    as_reply(200, record(currency="???")),
    as_reply(200, record(amount="NaN")),
    as_reply(200, record(amount="0.001")),
    as_reply(200, record(status="9")),
    as_reply(200, record(status="11")),
    as_reply(200, record(status="12")),
    as_reply(200, record(status="pending")),
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


BY_STATUS = {
    **dict.fromkeys((0, 1, 2, 3, 14), Event.ACCEPTED),
    4: Event.EXECUTED,
    **dict.fromkeys((5, 6, 8), Event.REFUSED),
    **dict.fromkeys((7, 13), Event.PROVIDER_CANCELED),
    10: Event.CAME_BACK,
}


def test_the_table_of_statuses_is_this_one():
    assert dict(STATUSES) == BY_STATUS
    assert set(Status) - set(STATUSES) == {Status.PARTIALLY_REFUNDED, Status.REFUNDED}


@pytest.mark.parametrize(("status", "event"), BY_STATUS.items())
@pytest.mark.parametrize("form", ["bare text", "bare numbers", "envelope", "superset"])
def test_a_record_in_every_published_form(status: int, event: Event, form: str):
    words = {"statusCode": "R01", "statusMessage": "Words"}
    bare = record(status=str(status), **words)
    numbers = record(status=status, transactionType=4, amount=1.0, transactionId=1002593600, **words)
    bodies = {
        "bare text": bare,
        "bare numbers": numbers,
        "envelope": {"transaction": numbers, "url": None},
        "superset": {**bare, "transaction": numbers},
    }
    seen = only(CLIENT.send(sending()), as_reply(200, bodies[form]))
    assert (seen.event, seen.grade, seen.amount, seen.provider_id) == (event, Grade.MARK, 100, "1002593600")
    assert seen.occurred_at == datetime(2019, 4, 25, 23, 14, 0, 954000, tzinfo=UTC)
    assert seen.digest == f"1002593600:{status}"
    badly = event in (Event.REFUSED, Event.PROVIDER_CANCELED, Event.CAME_BACK)
    assert (seen.code, seen.message) == (("R01", "Words") if badly else (None, None))
    assert seen.failure == ("declined" if event is Event.REFUSED else None)
    waits = {14: "provider_review"}.get(status, "processing") if event is Event.ACCEPTED else None
    assert seen.pending_reason == waits


def test_an_amount_is_read_without_a_float():
    shown = transaction(
        b'{"transactionId":"1","transactionType":4,"status":1,"currency":"USD","amount":90071992547409.93}'
    )
    assert shown is not None
    assert shown.amount == 9007199254740993


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        (None, None),
        (0, None),
        (-5, None),
        (10**30, None),
        (1556234040954, datetime(2019, 4, 25, 23, 14, 0, 954000, tzinfo=UTC)),
        (1556234040, datetime(2019, 4, 25, 23, 14, tzinfo=UTC)),
    ],
)
def test_times(stamp: int | None, at: datetime | None):
    assert moment(stamp) == at


def test_one_unreadable_transaction_spoils_a_list():
    assert transactions(json.dumps({"transactions": [record(), record(amount="x")]}).encode()) is None
    assert transactions(json.dumps({"transactions": [record(), record(amount="1.001")]}).encode()) is None
    assert len(transactions(json.dumps({"transactions": [record(), record()]}).encode()) or ()) == 2


# --- what is sent -----------------------------------------------------------------------------------------------------


def fields(call: Call) -> dict[str, str]:
    return dict(parse_qsl(call.body.decode(), keep_blank_values=True, strict_parsing=True))


@given(payer=st.integers(1, 10**9), reference=st.none() | st.text(max_size=150), generation=st.integers(1, 9999))
def test_every_send_states_its_amount(payer: int, reference: str | None, generation: int):
    call = refund_call(sending(payer=payer, reference=reference, generation=generation))
    assert fields(call)["amount"] == to_major(payer, currency("USD"))
    assert set(fields(call)) == {"amount", "merchantReference"}
    assert fields(call)["merchantReference"]


def test_a_send_is_a_form_to_the_original():
    call = refund_call(a_sending(a_payment("a/b ?", 500, "USD"), 123, reference="r+x&1"))
    assert (call.method, call.path, call.query) == ("POST", "/transactions/a%2Fb%20%3F/refund", ())
    assert call.headers == {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    assert call.body == f"merchantReference=r%2Bx%261.{MARK}&amount=1.23".encode()


@pytest.mark.parametrize(
    ("own", "sent", "carries"),
    [
        (None, MARK, True),
        ("", MARK, True),
        ("order-7", f"order-7.{MARK}", True),
        ("order-7.", f"order-7..{MARK}", True),
        (f"x.mb_{'0' * 32}_3", f"x.mb_{'0' * 32}_3.{MARK}", True),
        (LONGEST, f"{LONGEST}.{MARK}", True),
        (LONG, LONG, False),
    ],
)
def test_the_clients_reference_comes_first_and_wins(own: str | None, sent: str, carries: bool):
    assert reference_of(sending(reference=own)) == (sent, carries)
    assert unmarked(sent) == (own or "")


@given(own=st.text(max_size=120), generation=st.integers(1, 9999))
def test_a_mark_is_cut_off_to_the_letter(own: str, generation: int):
    attempt = sending(reference=own, generation=generation)
    sent, carries = reference_of(attempt)
    assert len(sent) <= max(REFERENCE_MAX, len(own))
    assert unmarked(sent) == own or not carries


def test_whether_a_mark_fits_does_not_depend_on_the_attempt():
    for own in (LONG, LONGEST):
        assert len({marked(own, f"mb_{REFUND.hex}_{n}")[1] for n in (1, 9999)}) == 1


def test_credentials_are_a_header():
    call = authorize({"access_id": "id", "access_key": "a:b"}, refund_call(sending()))
    assert b64decode(call.headers["authorization"].removeprefix("Basic ")) == b"id:a:b"
    assert call.headers["accept"] == "application/json"
    assert set(CLIENT.credentials) == {"access_id", "access_key"}


def test_what_the_client_declares():
    assert DIALECT.client is CLIENT
    assert CLIENT.rung == 2
    dollars, euros = capabilities(PAYMENT), capabilities(a_payment("1", 100, "EUR"))
    assert capabilities(a_payment("1", 100, "CAD")) == dollars
    assert (dollars.full, dollars.partial, dollars.minimum, dollars.minimum_spares_rest) == (True, True, 99, False)
    assert (euros.full, euros.partial) == (False, False)


# --- reading and looking, against scripted answers --------------------------------------------------------------------


def shown_list(*records: dict[str, Any]) -> Reply:
    return as_reply(200, {"transactions": list(records)})


def test_a_reading_shows_the_balance_and_the_refunds():
    figures = answer_with(
        CLIENT.read(PAYMENT), as_reply(200, original(balance="98.00", status="11")), shown_list(record())
    )
    assert (figures.left, figures.refund_ids) == (9800, ("1002593600",))
    assert [(each.kind, each.amount, each.reference) for each in figures.sightings] == [
        ("captured", 10000, "1002593555")
    ]


def test_a_balance_that_is_not_shown_is_worked_out():
    shown = original(refunded="1.50", reversed="0.50")
    del shown["balance"]
    assert answer_with(CLIENT.read(PAYMENT), as_reply(200, shown), shown_list()).left == 9800


@pytest.mark.parametrize(
    ("members", "kinds"),
    [
        ({}, ["external"]),
        ({"status": "4"}, ["external"]),
        *(({"status": str(status)}, ["external", "external_undone"]) for status in (5, 6, 7, 8, 10, 13)),
        ({"merchantReference": MARK}, []),
        ({"merchantReference": f"x.mb_{'f' * 32}_2"}, []),
        ({"merchantReference": f"x.mb_{'f' * 20}"}, []),  # a mark that was cut short on its way
        ({"merchantReference": LONG}, []),  # as long as one of ours without a mark
        ({"merchantReference": LONGEST}, ["external"]),
        ({"transactionType": "5", "status": "4"}, ["claw_back"]),
        ({"transactionType": "5", "status": "3"}, ["claw_back"]),
        ({"transactionType": "5", "status": "1"}, []),
        ({"transactionType": "5", "status": "7"}, []),
        ({"originalTransactionId": "17"}, []),
        ({"originalTransactionId": None}, []),
        ({"currency": "EUR"}, []),
    ],
)
def test_what_was_not_ours_is_sighted(members: dict[str, Any], kinds: list[str]):
    shown = record(**{"merchantReference": "by hand", **members})
    figures = answer_with(CLIENT.read(PAYMENT), as_reply(200, original(status="10")), shown_list(shown))
    assert [each.kind for each in figures.sightings] == kinds
    assert all((each.amount, each.reference) == (100, "1002593600") for each in figures.sightings)


@pytest.mark.parametrize("status", [5, 6, 7, 8, 13])
def test_an_original_that_was_never_collected(status: int):
    figures = answer_with(
        CLIENT.read(PAYMENT), as_reply(200, original(status=status, paid="0.00", balance="0.00")), shown_list()
    )
    assert [(each.kind, each.reference) for each in figures.sightings] == [("canceled", "1002593555")]
    assert figures.left == 0


NO_ORIGINAL = [
    as_reply(400, errors(200)),
    as_reply(200, errors(200)),
    as_reply(401, errors(375)),
    as_reply(500, original()),
    as_reply(200, original(transactionId="5")),
    as_reply(200, original(currency="CAD")),
    as_reply(200, {}),
    as_reply(200, b"<html>"),
]


@pytest.mark.parametrize("reply", NO_ORIGINAL)
def test_a_reading_without_figures_is_no_reading(reply: Reply):
    """Figures of None would say that Trustly shows none, and the refund would be sent."""
    with pytest.raises(AnswerLost):
        answer_with(CLIENT.read(PAYMENT), reply)
    assert answer_with(CLIENT.look(sending(), {}), reply).observations == ()


@pytest.mark.parametrize(
    "reply", [as_reply(404, errors(200)), as_reply(200, {}), as_reply(200, b""), as_reply(500, {})]
)
def test_a_reading_without_a_list_is_no_reading(reply: Reply):
    with pytest.raises(AnswerLost):
        answer_with(CLIENT.read(PAYMENT), as_reply(200, original()), reply)
    assert answer_with(CLIENT.look(sending(), {}), as_reply(200, original()), reply).observations == ()


@pytest.mark.parametrize("thrown", [NotConnected, AnswerLost])
def test_a_look_without_an_answer_shows_nothing(thrown: type[Exception]):
    with pytest.raises(thrown):
        answer_with(CLIENT.read(PAYMENT), thrown())
    looked = answer_with(CLIENT.look(sending(), {}), as_reply(200, original()), thrown("away"))
    assert (looked.observations, looked.sightings, looked.shown) == ((), (), {"unanswered": "away"})


def test_long_lists_are_read_page_by_page():
    pages = [[record(transactionId=f"{page}{n:03}") for n in range(100)] for page in (1, 2)]
    conversation = CLIENT.read(PAYMENT)
    assert next(conversation).path == "/transactions/1002593555"
    first = conversation.send(as_reply(200, original()))
    assert dict(first.query) == {
        "originalTransactionId": "1002593555",
        "transactionType": "5",
        "orderBy": "createdAt",
        "sortOrder": "asc",
        "startIndex": "0",
        "count": "100",
    }
    assert [value for name, value in first.query if name == "transactionType"] == ["4", "5"]
    assert dict(conversation.send(shown_list(*pages[0])).query)["startIndex"] == "100"
    assert dict(conversation.send(shown_list(*pages[1])).query)["startIndex"] == "200"
    with pytest.raises(StopIteration) as end:
        conversation.send(shown_list(record(transactionId="1000")))
    assert len(end.value.value.refund_ids) == 200


def test_a_list_without_an_end_is_given_up():
    page = shown_list(*(record(transactionId=f"{n}") for n in range(100)))
    with pytest.raises(AnswerLost):
        answer_with(CLIENT.read(PAYMENT), as_reply(200, original()), *[page] * 20)


def look(members: dict[str, Any], before: dict[str, Any], *children: dict[str, Any], **shown: Any) -> Any:
    return answer_with(CLIENT.look(sending(**members), before), as_reply(200, original(**shown)), shown_list(*children))


def test_every_attempt_of_a_refund_is_found_by_its_mark():
    looked = look(
        {"generation": 3},
        {},
        record(transactionId="1", merchantReference=f"x.mb_{REFUND.hex}_1", status="4"),
        record(transactionId="2", merchantReference=f"mb_{'e' * 32}_1"),
        record(transactionId="3", merchantReference=f"x.mb_{REFUND.hex}_3"),
    )
    assert [(each.event, each.generation, each.provider_id, each.grade) for each in looked.observations] == [
        (Event.EXECUTED, 1, "1", Grade.MARK),
        (Event.ACCEPTED, 3, "3", Grade.MARK),
    ]


def test_a_record_is_newer_than_the_list():
    looked = answer_with(
        CLIENT.look(sending(provider_id="1002593600"), {}),
        as_reply(200, original()),
        shown_list(record()),
        as_reply(200, record(status="4")),
    )
    assert [(each.event, each.generation) for each in looked.observations] == [(Event.EXECUTED, 1)]


@pytest.mark.parametrize(
    "reply",
    [
        as_reply(400, errors(200)),
        as_reply(200, record(transactionId="7")),
        as_reply(200, record(transactionType="3")),
        as_reply(200, record(originalTransactionId="7")),
        as_reply(200, record(status="12")),
    ],
)
def test_a_record_that_is_another_says_nothing(reply: Reply):
    looked = answer_with(
        CLIENT.look(sending(provider_id="1002593600"), {}), as_reply(200, original()), shown_list(), reply
    )
    assert looked.observations == ()


BEFORE = {"left": 10000, "refund_ids": ["1"]}
COUNTED = record(merchantReference=LONG)


@pytest.mark.parametrize(
    ("before", "left", "children", "events"),
    [
        (BEFORE, "99.00", [COUNTED], [Event.ACCEPTED]),
        (BEFORE, "100.00", [COUNTED], [Event.ACCEPTED]),
        (BEFORE, "99.00", [COUNTED | {"status": "4"}], [Event.EXECUTED]),
        (BEFORE, "99.00", [COUNTED | {"transactionId": "1"}, COUNTED], [Event.ACCEPTED]),
        (BEFORE, "100.00", [COUNTED | {"status": "4"}], []),  # executed, and the balance stands still
        (BEFORE, "98.00", [COUNTED], []),
        (BEFORE, "98.00", [COUNTED, COUNTED | {"transactionId": "2"}], []),
        (BEFORE, "99.00", [COUNTED, COUNTED | {"transactionId": "2"}], []),
        (BEFORE, "99.00", [COUNTED | {"amount": "1.01"}], []),
        (BEFORE, "99.00", [COUNTED | {"merchantReference": LONG + "x"}], []),
        (BEFORE, "100.00", [COUNTED | {"status": "5"}], []),
        (BEFORE, "99.00", [COUNTED | {"transactionId": "1"}], []),
        (BEFORE, "99.00", [], []),
        (BEFORE, "100.00", [], []),
        ({}, "99.00", [COUNTED], []),
        ({"left": 10000}, "99.00", [COUNTED], []),
        ({"refund_ids": []}, "99.00", [COUNTED], []),
    ],
)
def test_without_a_mark_only_the_exact_change_counts(
    before: dict[str, Any], left: str, children: list[dict[str, Any]], events: list[Event]
):
    looked = look({"reference": LONG}, before, *children, balance=left)
    assert [each.event for each in looked.observations] == events
    assert all(each.grade is Grade.COUNTER for each in looked.observations)
    assert [each for each in looked.sightings if each.kind == "external"] == []


def test_what_could_have_been_marked_is_never_counted():
    """A refund by hand, of our amount and for the same order, while ours is in doubt: it is not ours."""
    looked = look({"reference": "order-7"}, BEFORE, record(merchantReference="order-7"), balance="99.00")
    assert looked.observations == ()
    assert [each.kind for each in looked.sightings] == ["captured", "external"]


def test_figures_are_laid_out_for_a_person():
    looked = look(
        {}, BEFORE, record(transactionId="1"), record(merchantReference="x"), balance="99.00", refunded="1.00"
    )
    assert looked.shown == {
        "status": 4,
        "left": 9900,
        "left_before": 10000,
        "refunded": 100,
        "reversed": 0,
        "refunds": 2,
        "new_refunds": [{"id": "1002593600", "amount": 100, "status": 1}],
    }


# --- against the provider's own examples ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["refund_part", "refund_json", "refund_rest"])
def test_a_documented_refund_answer(name: str):
    sample = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    values = {"originalTransactionId": "1002593555", **sample["response"]["values"]}
    seen = only(CLIENT.send(sending()), as_reply(sample["response"]["status"], record(**values)))
    assert (seen.event, seen.pending_reason) == (Event.ACCEPTED, "processing")
    assert to_major(seen.amount or 0, currency("USD")) == values["amount"]


@pytest.mark.parametrize(
    ("name", "event"), [("unknown_transaction", Event.REFUSED), ("access_not_authorized", Event.NOT_TAKEN)]
)
def test_a_documented_error_answer(name: str, event: Event):
    sample = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))["response"]
    assert only(CLIENT.send(sending()), as_reply(sample["status"], sample["values"])).event is event


def test_the_documented_request_is_what_is_sent():
    """Form, names and escapes of the provider's example; the mark is ours."""
    sample = json.loads((SAMPLES / "refund_part.json").read_text(encoding="utf-8"))["request"]
    call = refund_call(sending(reference="r+x&1"))
    assert (call.method, "/api/v1" + call.path) == (
        sample["method"],
        sample["path"].replace("{transactionId}", PAYMENT.reference),
    )
    assert call.headers == sample["headers"]
    assert call.body.decode().replace(f".{MARK}", "") == sample["body"]


def test_a_documented_capture_is_read():
    values = json.loads((SAMPLES / "read_capture.json").read_text(encoding="utf-8"))["response"]["values"]
    shown = as_reply(200, original(**values))
    figures = answer_with(CLIENT.read(PAYMENT), shown, shown_list())
    assert (figures.left, figures.sightings[0].amount) == (25000, 25000)


# --- against our own server half --------------------------------------------------------------------------------------


def link() -> Loopback:
    return Loopback(Table(DIALECT))


@pytest.mark.parametrize("reference", [None, "order-7", "ö &=+%", LONGEST, LONG])
@pytest.mark.parametrize("payer", [99, 50_00, 100_00])
def test_a_refund_is_accepted_and_can_be_looked_up(payer: int, reference: str | None):
    wire = link()
    payment = wire.pay(100_00, "USD")
    before = wire.figures(payment)
    assert (before.left, before.refund_ids) == (100_00, ())
    attempt = a_sending(payment, payer, reference=reference)
    (seen,) = wire.send(attempt)
    (made,) = wire.table.refunds
    assert (seen.event, seen.amount, seen.provider_id) == (Event.ACCEPTED, payer, made.dialect_id)
    assert (made.payer, unmarked(made.reference or "")) == (payer, reference or "")
    for known in (None, seen.provider_id):
        looked = wire.look(a_sending(payment, payer, reference=reference, provider_id=known), before)
        assert [(each.event, each.provider_id) for each in looked.observations] == [(Event.ACCEPTED, made.dialect_id)]
        assert [each.kind for each in looked.sightings] == ["captured"]
    after = wire.figures(payment)
    assert (after.left, after.refund_ids) == (100_00 - payer, (made.dialect_id,))


BECOMES = {
    "ready": (Event.ACCEPTED, "processing"),
    "sending": (Event.ACCEPTED, "processing"),
    "pending": (Event.ACCEPTED, "processing"),
    "unknown": (Event.ACCEPTED, "processing"),
    "requires_action": (Event.ACCEPTED, "provider_review"),
    "needs_review": (Event.ACCEPTED, "provider_review"),
    "awaiting_approval": (Event.ACCEPTED, "provider_review"),
    "scheduled": (Event.ACCEPTED, "processing"),
    "succeeded": (Event.EXECUTED, None),
    "failed:R01": (Event.REFUSED, None),
    "canceled": (Event.PROVIDER_CANCELED, None),
    "returned:R03": (Event.CAME_BACK, None),
}


def test_every_state_is_tried():
    assert {word.partition(":")[0] for word in BECOMES} == {state.value for state in State}


@pytest.mark.parametrize(("outcome", "told"), BECOMES.items())
@pytest.mark.parametrize("fate", ["arrives", "lost after"])
def test_what_becomes_of_it_is_seen_by_looking(outcome: str, told: tuple[Event, str | None], fate: Fate):
    wire = link()
    payment = wire.pay(100_00, "USD")
    before = wire.figures(payment)
    (seen,) = wire.send(a_sending(payment, 5_00, reference="mine"), fate)
    assert seen.event is (Event.ACCEPTED if fate == "arrives" else Event.LOST)
    made = wire.table.bring(wire.table.refunds[0], outcome)
    looked = wire.look(a_sending(payment, 5_00, reference="mine", provider_id=seen.provider_id), before)
    (found,) = looked.observations
    assert (found.event, found.pending_reason) == told
    assert (found.provider_id, found.amount, found.grade, found.generation) == (made.dialect_id, 5_00, Grade.MARK, 1)
    assert found.code == (outcome.partition(":")[2] or None) or outcome == "canceled"


@pytest.mark.parametrize("reference", [None, LONG])
@pytest.mark.parametrize("fate", ["not connected", "lost before"])
def test_what_did_not_arrive_leaves_nothing_to_conclude_from(fate: Fate, reference: str | None):
    wire = link()
    payment = wire.pay(100_00, "USD")
    before = wire.figures(payment)
    (seen,) = wire.send(a_sending(payment, 5_00, reference=reference), fate)
    assert seen.event is (Event.SEND_FAILED if fate == "not connected" else Event.LOST)
    looked = wire.look(a_sending(payment, 5_00, reference=reference), before)
    assert (wire.table.refunds, looked.observations) == ((), ())
    assert (looked.shown["left"], looked.shown["new_refunds"]) == (100_00, [])


@pytest.mark.parametrize("outcome", ["pending", "succeeded"])
def test_an_unmarked_refund_is_found_by_counting(outcome: str):
    wire = link()
    payment = wire.pay(100_00, "USD")
    before = wire.figures(payment)
    (seen,) = wire.send(a_sending(payment, 5_00, reference=LONG), "lost after")
    assert seen.event is Event.LOST
    made = wire.table.bring(wire.table.refunds[0], outcome)
    (found,) = wire.look(a_sending(payment, 5_00, reference=LONG), before).observations
    assert (found.event, found.grade) == (Event.EXECUTED if outcome == "succeeded" else Event.ACCEPTED, Grade.COUNTER)
    assert found.provider_id == made.dialect_id


def test_a_refund_by_hand_is_external_and_not_ours():
    wire = link()
    payment = wire.pay(100_00, "USD")
    before = wire.figures(payment)
    wire.table.call("POST", f"/api/v1/transactions/{payment.reference}/refund", {"amount": "5.00"})
    wire.send(a_sending(payment, 5_00), "lost before")
    looked = wire.look(a_sending(payment, 5_00), before)
    assert looked.observations == ()
    assert [(each.kind, each.amount) for each in looked.sightings] == [("captured", 100_00), ("external", 5_00)]


@pytest.mark.parametrize(
    ("payer", "fields", "message"),
    [
        (100_01, {}, "The amount is greater than the balance of the transaction"),
        (98, {}, "The amount is lower than the minimum allowed for a refund"),
        (1_00, {"status": "authorized"}, "The transaction is not completed and cannot be refunded"),
    ],
)
def test_what_the_provider_refuses(payer: int, fields: dict[str, Any], message: str):
    wire = link()
    (seen,) = wire.send(a_sending(wire.pay(100_00, "USD", **fields), payer))
    assert (seen.event, seen.failure, seen.code, seen.message) == (Event.REFUSED, "invalid", "200", message)
    assert wire.table.refunds == ()


def test_the_sum_of_refunds_is_bounded():
    wire = link()
    payment = wire.pay(10_00, "USD")
    events = [wire.send(a_sending(payment, 4_00, generation=n))[0].event for n in (1, 2, 3)]
    assert events == [Event.ACCEPTED, Event.ACCEPTED, Event.REFUSED]
    assert wire.figures(payment) == Figures(
        left=2_00,
        refund_ids=tuple(each.dialect_id for each in wire.table.refunds),
        sightings=wire.figures(payment).sightings,
    )


def test_a_payment_the_provider_does_not_know():
    wire = link()
    nobody = a_payment("17", 100_00, "USD")
    (seen,) = wire.send(a_sending(nobody, 1_00))
    assert (seen.event, seen.code) == (Event.REFUSED, "200")
    with pytest.raises(AnswerLost):
        wire.figures(nobody)
    assert wire.look(a_sending(nobody, 1_00)).observations == ()


def test_no_call_of_a_conversation_carries_credentials():
    wire = link()
    payment = wire.pay(100_00, "USD")
    before = wire.figures(payment)
    (seen,) = wire.send(a_sending(payment, 5_00))
    wire.look(a_sending(payment, 5_00, provider_id=seen.provider_id), before)
    assert len(wire.calls) == 6
    assert all(set(call.headers) <= {"accept", "content-type"} for call in wire.calls)
    assert [call.method for call in wire.calls].count("POST") == 1


# --- reclaims --------------------------------------------------------------------------------------------------------


def test_a_deposit_is_reclaimed_by_its_own_call():
    """At the provider it is a transaction of type 6, and what takes it back is of type 7."""
    link = Loopback(Table(DIALECT))
    body = {"merchantReference": "payout", "paymentType": "Disbursement", "amount": "50.00"}
    number = said(link.table.call("POST", "/api/v1/establish", body))["transactionId"]
    deposit = said(link.table.call("POST", f"/api/v1/transactions/{number}/deposit", body))["transactionId"]
    link.table.now += timedelta(minutes=5)
    payment = a_payment(deposit, 50_00, "USD", dialect="trustly", document={"transactionType": "6"})
    before = link.figures(payment)
    assert (before.left, before.refund_ids) == (50_00, ())
    (seen,) = link.send(a_sending(payment, payer=20_00))
    assert (seen.event, seen.grade, seen.amount) == (Event.ACCEPTED, Grade.MARK, 20_00)
    assert link.calls[-1].path == f"/transactions/{deposit}/reclaim"
    link.table.bring(link.table.refunds[-1], "succeeded")
    looked = link.look(a_sending(payment, payer=20_00, state=State.UNKNOWN), before)
    assert [each.event for each in looked.observations] == [Event.EXECUTED]
    assert link.figures(payment).left == 30_00
