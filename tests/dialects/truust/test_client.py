"""Truust as we call it: what each documented answer means, what a look may conclude, our client and our server."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.commands import Observation
from moneyback.core.money import currency, minor_from_decimal
from moneyback.core.payment import Payment
from moneyback.core.refund import Event, Grade, State
from moneyback.dialect import AnswerLost, Call, Figures, Looked, NotConnected, Reply, Sending
from moneyback.dialects.truust import DIALECT
from moneyback.dialects.truust.client import (
    ANSWERS,
    CLIENT,
    authorize,
    capabilities,
    meaning,
    refund_call,
)
from moneyback.dialects.truust.fields import TAG_LENGTH_MAX
from moneyback.dialects.truust.marks import MARK_MEMBER, MARK_ROOM, marked, unmarked
from moneyback.dialects.truust.received import moment, payin, refunds
from moneyback.dialects.truust.wire import REFUND_SEEN, amount_shown, amount_text
from tests.dialects.driver import ROADS, START, Table, said, text
from tests.dialects.loopback import REFUND, Fate, Loopback, a_payment, a_sending, answer_with, as_reply

SAMPLES = Path(__file__).parents[3] / "moneyback" / "dialects" / "truust" / "samples"
MARK = f"mb_{REFUND.hex}_1"
OTHER = f"mb_{'f' * 32}_1"
PAYMENT = a_payment("456", 100_00, "EUR")
LONG = "t" * (TAG_LENGTH_MAX - MARK_ROOM + 1)
BEFORE: dict[str, Any] = {"left": None, "refund_ids": []}


def sending(**members: Any) -> Sending:
    return a_sending(PAYMENT, **{"payer": 2_00, **members})


def doubtful(**members: Any) -> Sending:
    return sending(**{"state": State.UNKNOWN, "doubt_since": START, **members})


def shown(**members: Any) -> dict[str, Any]:
    """A refund of ours as the provider lists it."""
    return {
        "id": 789,
        "self": "/2.0/refunds/789",
        "reference_id": "ref-9",
        "amount": "2.00 €",
        "status": "CONFIRMED",
        "payin_id": 456,
        "wallet_id": None,
        "escrow_id": 12,
        "tag": MARK,
        "provider": None,
        "metadata": {MARK_MEMBER: MARK},
        "created_at": "2026-03-02T09:30:01Z",
        "updated_at": "2026-03-02T09:30:02Z",
        "denied_at": None,
        "connections": {},
    } | members


def foreign(**members: Any) -> dict[str, Any]:
    return shown(**{"id": 5, "tag": None, "metadata": None, **members})


def listed(*rows: dict[str, Any]) -> Reply:
    return as_reply(200, {"current_page": 1, "last_page": 1, "per_page": 100, "total": len(rows), "data": list(rows)})


def of_payin(**members: Any) -> dict[str, Any]:
    return {
        "id": 456,
        "self": "/2.0/payins/456",
        "type": "REDSYS_V2",
        "status": "CONFIRMED",
        "connections": {},
    } | members


def invalid(**fields: Any) -> dict[str, Any]:
    return {"message": "The given data was invalid.", "errors": fields}


PAYIN, EMPTY = as_reply(200, of_payin()), listed()


def only(conversation: Any, *replies: Reply | Exception) -> Observation:
    (seen,) = answer_with(conversation, *replies)
    return seen


# --- answers to a refund ----------------------------------------------------------------------------------------------

DOCUMENTED = [
    (200, "payin", of_payin(), Event.ACCEPTED),
    (401, "message", {"message": "Unauthenticated."}, Event.NOT_TAKEN),
    (403, "message", {"message": "Refunds are not supported."}, Event.REFUSED),
    (404, "Not found", {"message": "Not found"}, Event.REFUSED),
    (422, "errors", invalid(amount=["Too much.", "Really."], payin="No."), Event.REFUSED),
    (429, "message", {"message": "Too Many Attempts."}, Event.NOT_TAKEN),
    (500, "message", {"message": "Server Error"}, Event.LOST),
]


def test_the_table_of_answers_is_this_one():
    assert dict(ANSWERS) == {(status, form): event for status, form, _, event in DOCUMENTED}


@pytest.mark.parametrize(("status", "form", "body", "event"), DOCUMENTED)
def test_a_documented_answer(status: int, form: str, body: Any, event: Event):
    reply = as_reply(status, body)
    seen = only(CLIENT.send(sending()), reply, *([EMPTY] if form == "payin" else []))
    assert meaning(reply, PAYMENT) is seen.event is event
    assert (seen.digest, seen.provider_id) == (f"{MARK}:{event.value}", None)
    assert (seen.failure is not None) == (event is Event.REFUSED)


@pytest.mark.parametrize(
    ("status", "body", "failure", "message"),
    [
        (403, {"message": "Not for this method."}, "unsupported", "Not for this method."),
        (404, {"message": "Not found"}, "invalid", "Not found"),
        (422, invalid(amount=["Too much.", "Really."], payin="No."), "invalid", "Too much. Really. No."),
    ],
)
def test_a_refusal_has_its_class_and_words(status: int, body: Any, failure: str, message: str):
    seen = only(CLIENT.send(sending()), as_reply(status, body))
    assert (seen.event, seen.failure, seen.message) == (Event.REFUSED, failure, message)


UNDOCUMENTED = [
    *(
        Reply(status=status, body=raw)
        for status in (200, 201, 202, 204, 302, 400, 401, 403, 404, 405, 408, 409, 422, 425, 429, 500, 502, 503, 504)
        for raw in (b"", b"{}", b"<html>", b"\xff\xfe", b"[]", b"null", b'{"message": 7}', b'{"error": "x"}')
    ),
    *(as_reply(status, {"message": "Words."}) for status in (200, 400, 402, 404, 405, 408, 409, 422, 425, 502, 503)),
    *(as_reply(status, invalid(amount=["x"])) for status in (200, 400, 401, 403, 404, 409, 429, 500)),
    as_reply(404, {"message": "The route could not be found."}),
    as_reply(422, {"message": "x", "errors": {}}),
    as_reply(422, {"message": "x", "errors": []}),
    as_reply(200, of_payin(id=457)),
    as_reply(200, {"id": 456}),
    as_reply(201, of_payin()),
    as_reply(200, [of_payin()]),
    as_reply(200, b"[" * 100_000),
]


@pytest.mark.parametrize("reply", UNDOCUMENTED, ids=lambda reply: f"{reply.status} {reply.body[:40]!r}")
def test_any_other_answer_is_unknown(reply: Reply):
    assert only(CLIENT.send(sending()), reply).event is Event.LOST


@pytest.mark.parametrize(("thrown", "event"), [(NotConnected("x"), Event.SEND_FAILED), (AnswerLost("x"), Event.LOST)])
def test_no_answer(thrown: Exception, event: Event):
    seen = only(CLIENT.send(sending()), thrown)
    assert (seen.event, seen.digest) == (event, f"{MARK}:{event.value}")


@pytest.mark.parametrize("body", [of_payin(), {"data": of_payin()}, {**of_payin(), "data": of_payin()}])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_envelope_that_was_met_is_read(body: dict[str, Any], mark: bytes):
    raw = mark + json.dumps(body).encode()
    found = payin(Reply(status=200, body=raw))
    assert found is not None
    assert (found.id, found.status) == (456, "CONFIRMED")
    assert meaning(Reply(status=200, body=raw), PAYMENT) is Event.ACCEPTED


# --- the refund behind the payin --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "event"), REFUND_SEEN.items())
def test_what_the_refund_itself_says_counts(status: str, event: Event):
    seen = only(CLIENT.send(sending()), PAYIN, listed(shown(status=status)))
    assert (seen.event, seen.grade, seen.generation) == (event, Grade.MARK, 1)
    assert (seen.provider_id, seen.amount, seen.trace) == ("789", 2_00, "ref-9")
    assert (seen.occurred_at, seen.digest) == (datetime(2026, 3, 2, 9, 30, 2, tzinfo=UTC), f"789:{status}")


def test_the_verdict_is_handed_on():
    denied = shown(status="DENIED", provider={"code": "x", "message": "The account is closed."})
    seen = only(CLIENT.send(sending()), PAYIN, listed(denied))
    assert (seen.failure, seen.message) == ("declined", "The account is closed.")


@pytest.mark.parametrize(("denied_at", "event"), [(None, Event.ACCEPTED), ("2026-03-02T09:30:02Z", Event.REFUSED)])
def test_a_refund_without_a_status(denied_at: str | None, event: Event):
    """The provider's own example leaves the status out."""
    row = shown(denied_at=denied_at)
    del row["status"]
    assert only(CLIENT.send(sending()), PAYIN, listed(row)).event is event


@pytest.mark.parametrize(
    "reply",
    [
        EMPTY,
        as_reply(500, {"message": "Server Error"}),
        as_reply(422, invalid(search=["x"])),
        AnswerLost(),
        NotConnected(),
        listed(shown(payin_id=457)),
        listed(shown(tag=None, metadata=None)),
        listed(shown(tag=OTHER)),
        listed(shown(tag=f"mb_{REFUND.hex}_2")),
        listed(shown(status="NEW")),
    ],
)
def test_a_refund_that_was_taken_is_not_in_doubt_because_it_is_not_seen(reply: Reply | Exception):
    seen = only(CLIENT.send(sending()), PAYIN, reply)
    assert (seen.event, seen.provider_id, seen.pending_reason) == (Event.ACCEPTED, None, "processing")


def test_where_the_tag_has_no_room_nothing_is_searched_for():
    assert only(CLIENT.send(sending(reference=LONG)), PAYIN).event is Event.ACCEPTED


@pytest.mark.parametrize(
    ("value", "code", "minor"),
    [
        ("150.00 €", "EUR", 150_00),
        ("150.00\u00a0€", "EUR", 150_00),
        ("1,150.00 €", "EUR", 1150_00),
        ("1,234,567.89 EUR", "EUR", 1234567_89),
        ("2", "EUR", 2_00),
        (2, "EUR", 2_00),
        (Decimal("2.5"), "EUR", 2_50),
        ("0.00 £", "GBP", 0),
        ("1000 JPY", "JPY", 1000),
        ("-1.00 $", "USD", -1_00),
        ("150.00 $", "EUR", None),
        ("150,00 €", "EUR", None),
        ("1.150,00 €", "EUR", None),
        ("15,00.00 €", "EUR", None),
        ("1.005 €", "EUR", None),
        ("€", "EUR", None),
        ("", "EUR", None),
        (None, "EUR", None),
        (True, "EUR", None),
        ([], "EUR", None),
    ],
)
def test_an_amount_is_read_exactly_or_not_at_all(value: object, code: str, minor: int | None):
    assert amount_shown(value, code) == minor


@given(minor=st.integers(0, 2**62), code=st.sampled_from(["EUR", "GBP", "USD", "JPY", "KWD"]))
def test_what_we_write_we_read(minor: int, code: str):
    assert amount_shown(amount_text(minor, code), code) == minor


def test_an_amount_that_cannot_be_read_does_not_hide_a_refund():
    seen = only(CLIENT.send(sending()), PAYIN, listed(shown(amount="two")))
    assert (seen.event, seen.amount, seen.data["amount"]) == (Event.EXECUTED, None, "two")


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("2026-03-02T09:30:01Z", datetime(2026, 3, 2, 9, 30, 1, tzinfo=UTC)),
        ("2026-03-02 09:30:01", datetime(2026, 3, 2, 9, 30, 1, tzinfo=UTC)),
        ("2026-03-02T10:30:01+01:00", datetime(2026, 3, 2, 9, 30, 1, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_times(value: str | None, at: datetime | None):
    assert moment(value) == at


# --- what is sent -----------------------------------------------------------------------------------------------------


def body_of(**members: Any) -> Any:
    return json.loads(refund_call(sending(**members)).body, parse_float=Decimal)


def test_the_refund_call_letter_by_letter():
    call = refund_call(sending(reference="return-7", destination="4101"))
    assert (call.method, call.path, dict(call.query)) == ("POST", "/2.0/payins/456/refund", {})
    assert call.headers == {"accept": "application/json", "content-type": "application/json"}
    tag = f"return-7.{MARK}"
    expected = f'{{"amount":2.00,"tag":"{tag}","metadata":{{"moneyback":"{MARK}"}},"bankaccount_id":4101}}'
    assert call.body.decode() == expected


@given(payer=st.integers(1, 2**62), code=st.sampled_from(["EUR", "JPY", "KWD"]), reference=st.none() | st.text())
def test_every_call_states_its_amount(payer: int, code: str, reference: str | None):
    body = body_of(payer=payer, currency=code, reference=reference)
    assert minor_from_decimal(body["amount"], currency(code)) == payer
    assert "multipayin" not in body


@pytest.mark.parametrize("destination", [None, "", "ES9121000418450200051332", "-1", "４"])
def test_only_a_number_is_the_number_of_a_bank_account(destination: str | None):
    assert "bankaccount_id" not in body_of(destination=destination)


def test_the_key_goes_into_a_header():
    sent = authorize({"secret_key": "sk_stage_1"}, refund_call(sending()))
    assert sent.headers["authorization"] == "Bearer sk_stage_1"
    assert CLIENT.credentials == ("secret_key",)


def test_an_id_is_one_segment_of_the_path():
    assert refund_call(a_sending(a_payment("a/b?c", 1, "EUR"), 1)).path == "/2.0/payins/a%2Fb%3Fc/refund"


# --- the mark ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "generation", "tag", "fits"),
    [
        (None, 1, MARK, True),
        ("", 1, MARK, True),
        ("return-7", 1, f"return-7.{MARK}", True),
        ("return-7", 9999, f"return-7.mb_{REFUND.hex}_9999", True),
        (LONG[1:], 9999, f"{LONG[1:]}.mb_{REFUND.hex}_9999", True),
        (LONG, 1, LONG, False),
    ],
)
def test_the_clients_tag_comes_first(reference: str | None, generation: int, tag: str, fits: bool):
    attempt = sending(reference=reference, generation=generation)
    assert marked(attempt.refund, attempt.mark) == (tag, fits)
    assert len(tag) <= TAG_LENGTH_MAX


@given(own=st.text(max_size=100), generation=st.integers(1, 9999), metadata=st.dictionaries(st.text(), st.integers()))
def test_the_mark_is_cut_off_again(own: str, generation: int, metadata: dict[str, int]):
    request = {"metadata": json.dumps(metadata)}
    attempt = sending(reference=own, generation=generation, dialect="truust", request=request)
    body = json.loads(refund_call(attempt).body)
    known = unmarked({"tag": body["tag"], "metadata": body["metadata"], "id": 1})
    assert known == {"tag": own or None, "metadata": metadata or None, "id": 1}


@pytest.mark.parametrize(
    "refund",
    [
        {"tag": None, "metadata": None},
        {"tag": "return-7", "metadata": {"moneyback": "mine", "a": 1}},
        {"tag": f"{MARK}.x", "metadata": {"moneyback": 7}},
        {"id": 1},
    ],
)
def test_what_is_not_our_mark_stays(refund: dict[str, Any]):
    assert unmarked(refund) == refund


def test_the_clients_metadata_keep_their_digits_and_their_names():
    members = {"dialect": "truust", "request": {"metadata": '{"price": 1.10, "moneyback": "mine"}'}}
    assert b'"metadata":{"moneyback":"mine","price":1.10}' in refund_call(sending(**members)).body


@pytest.mark.parametrize("request_", [{}, {"metadata": None}, {"metadata": "[]"}])
def test_without_metadata_of_the_clients_the_mark_goes_alone(request_: dict[str, Any]):
    assert body_of(dialect="truust", request=request_)["metadata"] == {MARK_MEMBER: MARK}


def test_what_was_said_natively_stays_here():
    assert body_of(metadata={"note": "x"}, request={"metadata": '{"a": 1}'})["metadata"] == {MARK_MEMBER: MARK}


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_payin_shows_its_refunds_and_no_amount():
    figures = answer_with(CLIENT.read(PAYMENT), PAYIN, listed(shown(), foreign(amount="3.00 €", status="CREATED")))
    assert (figures.left, figures.refund_ids) == (None, ("789", "5"))
    (seen,) = figures.sightings
    assert (seen.kind, seen.amount, seen.reference) == ("external", 3_00, "5")


def test_what_is_asked_for():
    story = CLIENT.read(PAYMENT)
    assert next(story).path == "/2.0/payins/456"
    call = story.send(PAYIN)
    assert (call.path, call.query[:3]) == (
        "/2.0/refunds",
        (("search", "payin_id"), ("query", "456"), ("date_begin", "2026-03-01")),
    )


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        (shown(), []),
        (shown(tag=None), []),  # the metadata tell
        (shown(metadata=None), []),
        (shown(tag=f"return-7.{OTHER}", metadata=None), []),
        (foreign(), [("external", 2_00)]),
        (foreign(tag="return-7", metadata={"a": 1}), [("external", 2_00)]),
        (foreign(status="CREATED"), [("external", 2_00)]),
        (foreign(status="DENIED"), [("external_undone", 0)]),
        (foreign(status="CANCELLED", amount="?"), [("external_undone", 0)]),
        (foreign(tag=LONG), []),  # ours perhaps: there was no room
        (foreign(metadata={MARK_MEMBER: "mine"}), []),
        (foreign(payin_id=457), []),
        (foreign(payin_id=None), []),
    ],
)
def test_refunds_made_elsewhere_are_sighted(row: dict[str, Any], kinds: list[tuple[str, int]]):
    figures = answer_with(CLIENT.read(PAYMENT), PAYIN, listed(row))
    assert [(each.kind, each.amount) for each in figures.sightings] == kinds


@pytest.mark.parametrize(("status", "kinds"), [("DENIED", ["canceled"]), ("CANCELLED", ["canceled"]), ("REFUNDED", [])])
def test_what_became_of_the_payin_is_sighted(status: str, kinds: list[str]):
    figures = answer_with(CLIENT.read(PAYMENT), as_reply(200, of_payin(status=status)), EMPTY)
    assert [each.kind for each in figures.sightings] == kinds


def test_where_a_payin_cannot_be_searched_for_all_are_read():
    """Whether the search is refused or passed over, each row is looked at."""
    refused = as_reply(422, invalid(search=["The selected search is invalid."]))
    figures = answer_with(CLIENT.read(PAYMENT), PAYIN, refused, listed(shown(payin_id=1), shown()))
    assert figures.refund_ids == ("789",)


def test_long_lists_are_read_to_their_end():
    full = listed(*(shown(id=number) for number in range(100)))
    more = listed(*(shown(id=number) for number in range(99, 130)))
    assert len(answer_with(CLIENT.read(PAYMENT), PAYIN, full, more).refund_ids) == 130


def test_refunds_that_are_lost_among_others_are_no_figures():
    others = listed(*(shown(id=number, payin_id=1) for number in range(100)))
    assert answer_with(CLIENT.read(PAYMENT), PAYIN, *[others] * 20) == Figures()


@pytest.mark.parametrize(
    "replies",
    [
        (as_reply(500, {"message": "Server Error"}),),
        (as_reply(404, {"message": "The route could not be found."}),),
        (as_reply(401, {"message": "Unauthenticated."}),),
        (as_reply(200, of_payin(id=7)),),
        (PAYIN, as_reply(500, b""), as_reply(500, b"")),
        (PAYIN, as_reply(200, []), as_reply(200, {"data": [{"status": "x"}]})),
        (PAYIN, listed(foreign(amount="some"))),
        (PAYIN, AnswerLost()),
    ],
)
def test_a_reading_without_figures_is_no_reading(replies: tuple[Reply | Exception, ...]):
    with pytest.raises(AnswerLost):
        answer_with(CLIENT.read(PAYMENT), *replies)


def test_a_refund_of_a_payin_that_does_not_exist_is_let_through_to_be_refused():
    assert answer_with(CLIENT.read(PAYMENT), as_reply(404, {"message": "Not found"})) == Figures()


# --- looking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "event"), REFUND_SEEN.items())
def test_a_refund_in_doubt_is_found_by_its_mark(status: str, event: Event):
    looked = answer_with(CLIENT.look(doubtful(), BEFORE), listed(shown(status=status)), PAYIN, EMPTY)
    assert [(each.event, each.grade) for each in looked.observations] == [(event, Grade.MARK)]


@pytest.mark.parametrize("row", [shown(tag=None), shown(metadata=None), shown(tag=f"x.{MARK}", metadata=None)])
def test_either_mark_is_enough_and_lists_of_the_payin_are_read_too(row: dict[str, Any]):
    looked = answer_with(CLIENT.look(doubtful(), BEFORE), as_reply(422, invalid(search=["x"])), PAYIN, listed(row))
    assert [(each.event, each.amount) for each in looked.observations] == [(Event.EXECUTED, 2_00)]


def test_the_mark_in_the_metadata_serves_where_the_tag_had_no_room():
    looked = answer_with(CLIENT.look(doubtful(reference=LONG), BEFORE), PAYIN, listed(shown(tag=LONG)))
    assert [each.grade for each in looked.observations] == [Grade.MARK]


def test_an_earlier_attempt_that_was_executed_late_is_found_too():
    rows = listed(shown(id=1), shown(id=2, tag=f"mb_{REFUND.hex}_2", metadata=None))
    looked = answer_with(CLIENT.look(doubtful(generation=2), BEFORE), EMPTY, PAYIN, rows)
    assert [(each.provider_id, each.generation) for each in looked.observations] == [("1", 1), ("2", 2)]


def test_a_mark_is_found_although_the_list_is_out_of_reach():
    looked = answer_with(CLIENT.look(doubtful(), BEFORE), listed(shown()), PAYIN, AnswerLost("reset"))
    assert [each.event for each in looked.observations] == [Event.EXECUTED]
    assert looked.shown == {"unanswered": "reset"}


@pytest.mark.parametrize(
    ("pre_read", "rows", "event"),
    [
        (BEFORE, [foreign(tag=LONG)], Event.EXECUTED),
        (BEFORE, [foreign(tag=LONG, status="CREATED")], Event.ACCEPTED),
        ({"refund_ids": ["6"]}, [foreign(id=6, tag=LONG), foreign(tag=LONG)], Event.EXECUTED),
        ({"refund_ids": ["5"]}, [foreign(tag=LONG)], None),
        ({}, [foreign(tag=LONG)], None),
        (BEFORE, [foreign(tag=LONG), foreign(id=6, tag=LONG)], None),
        (BEFORE, [foreign(tag=LONG), foreign(id=6)], None),
        (BEFORE, [foreign(tag=LONG, status="DENIED")], None),
        (BEFORE, [foreign(tag=LONG, amount="2.01 €")], None),
        (BEFORE, [foreign(tag=LONG, amount="?")], None),
        (BEFORE, [foreign(tag=f"{LONG}x")], None),
        (BEFORE, [foreign(tag=LONG, metadata={MARK_MEMBER: OTHER})], None),
        (BEFORE, [], None),
    ],
)
def test_without_room_for_a_mark_one_new_refund_of_our_amount_and_tag_is_evidence(
    pre_read: dict[str, Any], rows: list[dict[str, Any]], event: Event | None
):
    looked = answer_with(CLIENT.look(doubtful(reference=LONG), pre_read), PAYIN, listed(*rows))
    expected = [] if event is None else [(event, Grade.COUNTER)]
    assert [(each.event, each.grade) for each in looked.observations] == expected


@pytest.mark.parametrize("row", [foreign(), shown(tag=OTHER, metadata={MARK_MEMBER: OTHER}), shown(status="NEW")])
def test_another_refund_of_the_payin_is_not_ours(row: dict[str, Any]):
    assert answer_with(CLIENT.look(doubtful(), BEFORE), EMPTY, PAYIN, listed(row)).observations == ()


@pytest.mark.parametrize("reference", [None, LONG])
def test_absence_is_never_evidence(reference: str | None):
    searched = () if reference else (EMPTY,)
    looked = answer_with(CLIENT.look(doubtful(reference=reference), BEFORE), *searched, PAYIN, EMPTY)
    assert looked == Looked(shown={"payin": "CONFIRMED", "refunds": 0, "new_refunds": []})


def test_a_person_is_shown_what_is_new():
    looked = answer_with(CLIENT.look(doubtful(), {"refund_ids": ["789"]}), EMPTY, PAYIN, listed(shown(), foreign()))
    assert looked.shown["new_refunds"] == [{"id": "5", "amount": "2.00 €", "status": "CONFIRMED"}]


def test_a_refund_whose_id_is_known_is_read_by_it():
    """The record itself is newer than what a list says of it."""
    known = doubtful(provider_id="789", state=State.PENDING)
    record, row = as_reply(200, {"data": shown()}), shown(status="CREATED")
    looked = answer_with(CLIENT.look(known, BEFORE), record, PAYIN, listed(row))
    assert [(each.event, each.provider_id) for each in looked.observations] == [(Event.EXECUTED, "789")]


@pytest.mark.parametrize("reply", [as_reply(404, {"message": "Not found"}), as_reply(200, shown(payin_id=1))])
def test_an_id_that_shows_nothing_proves_nothing(reply: Reply):
    known = doubtful(provider_id="789")
    assert answer_with(CLIENT.look(known, BEFORE), reply, PAYIN, EMPTY).observations == ()


@pytest.mark.parametrize("thrown", [NotConnected("no route"), AnswerLost()])
@pytest.mark.parametrize("before", [(), (EMPTY,), (EMPTY, PAYIN)])
def test_a_look_that_gets_no_answer_saw_nothing(before: tuple[Reply, ...], thrown: Exception):
    looked = answer_with(CLIENT.look(doubtful(), BEFORE), *before, thrown)
    assert looked == Looked(shown={"unanswered": f"{thrown}" or "AnswerLost"})


def test_looking_only_reads():
    story = CLIENT.look(doubtful(), BEFORE)
    calls = [next(story), story.send(EMPTY), story.send(PAYIN)]
    assert {each.method for each in calls} == {"GET"}


# --- the declaration --------------------------------------------------------------------------------------------------


def test_what_is_declared():
    assert DIALECT.client is CLIENT
    assert (CLIENT.rung, CLIENT.capabilities) == (2, capabilities)
    assert not capabilities(PAYMENT).destination_needed
    assert capabilities(a_payment("1", 1, "EUR", dialect="truust", method="BANKWIRE")).destination_needed
    assert not capabilities(a_payment("1", 1, "EUR", dialect="truust", method="BIZUM")).destination_needed


@pytest.mark.parametrize("name", ["authorization", "secret_key", "number", "bic", "Ds_CardNumber"])
def test_secrets_are_scrubbed(name: str):
    assert name in DIALECT.scrub


# --- the provider's own examples --------------------------------------------------------------------------------------

VALUES = {"string": "text", "integer": 456, "object": {}, "array": [], "null": None}


def example(name: str) -> Any:
    """The answer of a sample: its values, and something of the documented type for every other member."""
    response = json.loads((SAMPLES / f"{name}.json").read_text())["response"]
    body = {member: VALUES[types[0]] for member, types in response["members"]}
    for path, value in response["values"].items():
        first, _, rest = path.removeprefix("data.").partition(".")
        filled = {"{id}": 456, "{refund}": 789}.get(value, value) if isinstance(value, str) else value
        body[first] = {rest: filled} if rest else filled
    return as_reply(response["status"], body)


MEANT = {
    "payin_unknown": Event.REFUSED,
    "refund_bankwire_without_account": Event.REFUSED,
    "refund_form": Event.ACCEPTED,
    "refund_part": Event.ACCEPTED,
    "refund_tag_too_long": Event.REFUSED,
    "refund_unsupported": Event.REFUSED,
    "refund_whole": Event.ACCEPTED,
}


def test_every_sample_is_read():
    assert {each.stem for each in SAMPLES.glob("*.json")} == {*MEANT, "refund_list", "refund_read"}


@pytest.mark.parametrize(("name", "event"), MEANT.items())
def test_a_sample_means(name: str, event: Event):
    assert meaning(example(name), PAYMENT) is event


def test_the_sample_of_a_refund_is_read():
    read = example("refund_read")
    own = doubtful(provider_id="789", payer=150_00)
    (seen,) = answer_with(CLIENT.look(own, BEFORE), read, PAYIN, EMPTY).observations
    assert (seen.event, seen.amount, seen.provider_id) == (Event.EXECUTED, 150_00, "789")
    assert refunds(example("refund_list")) == ()


def test_we_ask_as_the_sample_asks():
    """The amount of the page's example, as a number; what we add are fields of the same page."""
    printed = json.loads(json.loads((SAMPLES / "refund_part.json").read_text())["request"]["body"])
    body = body_of()
    assert body["amount"] == printed["amount"]
    assert set(body) <= {"amount", "multipayin", "bankaccount_id", "tag", "metadata"}


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


@pytest.mark.parametrize("profile", [{}, {"envelope": "bare"}, {"envelope": "data", "bom": True}])
def test_in_full(profile: dict[str, Any]):
    link = Link(profile)
    payment = link.pay(100_00, "EUR")
    (seen,) = link.send(a_sending(payment, 100_00))
    assert (seen.event, seen.amount, seen.provider_id) == (Event.EXECUTED, 100_00, link.table.refunds[0].dialect_id)
    assert link.figures(payment).refund_ids == (seen.provider_id,)
    assert link.figures(payment).sightings == ()
    assert link.made == [100_00]


def test_in_parts_until_nothing_is_left():
    link = Link()
    payment = link.pay(100_00, "EUR")
    for number, payer in enumerate((40_00, 59_99, 1), start=100):
        (seen,) = link.send(a_sending(payment, payer, id=UUID(int=number), reference="the same"))
        assert (seen.event, seen.amount) == (Event.EXECUTED, payer)
    (over,) = link.send(a_sending(payment, 1, id=UUID(int=200)))
    assert (over.event, over.failure) == (Event.REFUSED, "invalid")
    assert link.made == [40_00, 59_99, 1]


@pytest.mark.parametrize(("code", "amount", "payer"), [("JPY", 20_000, 5_001), ("KWD", 20_000, 5_001)])
def test_currencies_with_other_decimals(code: str, amount: int, payer: int):
    link = Link()
    (seen,) = link.send(a_sending(link.pay(amount, code), payer))
    assert (seen.event, seen.amount) == (Event.EXECUTED, payer)
    assert link.made == [payer]


def test_more_than_there_is():
    link = Link()
    (seen,) = link.send(a_sending(link.pay(100_00, "EUR"), 100_01))
    assert (seen.event, seen.failure, seen.data["fields"]) == (Event.REFUSED, "invalid", ["amount"])
    assert link.made == []


def test_an_unknown_payin():
    (seen,) = Link().send(a_sending(a_payment("1", 1_00, "EUR"), 1_00))
    assert (seen.event, seen.failure, seen.message) == (Event.REFUSED, "invalid", "Not found")


def test_a_method_without_refunds():
    link = Link()
    (seen,) = link.send(a_sending(link.pay(100_00, "EUR", method="SIBS_MULTIBANCO"), 1_00))
    assert (seen.event, seen.failure) == (Event.REFUSED, "unsupported")


def test_a_bank_wire_goes_to_its_bank_account():
    link = Link()
    for document in DIALECT.samples.documents if DIALECT.samples else ():
        link.table.answer(document)
    payment = link.pay(100_00, "EUR", method="BANKWIRE")
    (seen,) = link.send(a_sending(payment, 1_00))
    assert (seen.event, seen.data["fields"]) == (Event.REFUSED, ["bankaccount_id"])
    (seen,) = link.send(a_sending(payment, 1_00, generation=2, destination="4101"))
    assert seen.event is Event.EXECUTED
    assert link.table.refunds[0].destination == "4101"


ENDS = {
    State.SUCCEEDED: Event.EXECUTED,
    State.RETURNED: Event.REFUSED,  # DENIED: the payer does not have the money
    State.FAILED: Event.REFUSED,
    State.CANCELED: Event.PROVIDER_CANCELED,
}


@pytest.mark.parametrize("state", ROADS, ids=lambda state: state.value)
def test_whatever_the_provider_makes_of_it(state: State):
    link = Link()
    link.table.outcome = state.value
    (seen,) = link.send(a_sending(link.pay(100_00, "EUR"), 10_00))
    assert seen.event is ENDS.get(state, Event.ACCEPTED)
    assert seen.provider_id == link.table.refunds[0].dialect_id


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "canceled"])
@pytest.mark.parametrize("seen_at_once", [True, False])
def test_a_refund_that_was_accepted_is_followed_to_its_end(outcome: str, seen_at_once: bool):
    link = Link()
    link.table.outcome = "pending"
    payment = link.pay(100_00, "EUR")
    (accepted,) = link.send(a_sending(payment, 10_00))
    number = accepted.provider_id if seen_at_once else None
    link.table.bring(link.table.refunds[0], outcome)
    (seen,) = link.look(unknown(payment, 10_00, state=State.PENDING, provider_id=number)).observations
    assert seen.event is ENDS[State(outcome)]


@pytest.mark.parametrize("reference", [None, "return-7", LONG])
@pytest.mark.parametrize(("outcome", "event"), [("succeeded", Event.EXECUTED), ("pending", Event.ACCEPTED)])
def test_an_answer_that_was_lost_after_execution_is_found(outcome: str, event: Event, reference: str | None):
    link = Link()
    link.table.outcome = outcome
    payment = link.pay(100_00, "EUR")
    before = link.figures(payment)
    (lost,) = link.send(a_sending(payment, 10_00, reference=reference), "lost after")
    assert lost.event is Event.LOST
    (seen,) = link.look(unknown(payment, 10_00, reference=reference), before).observations
    assert (seen.event, seen.grade, seen.amount) == (event, Grade.MARK, 10_00)


def test_a_refund_that_was_lost_on_its_way_stays_in_doubt():
    link = Link()
    payment = link.pay(100_00, "EUR")
    before = link.figures(payment)
    (lost,) = link.send(a_sending(payment, 10_00), "lost before")
    assert lost.event is Event.LOST
    link.table.now = START + timedelta(days=30)
    assert link.look(unknown(payment, 10_00), before).observations == ()
    assert link.made == []


def test_not_connected_is_not_sent():
    link = Link()
    (seen,) = link.send(a_sending(link.pay(100_00, "EUR"), 10_00), "not connected")
    assert seen.event is Event.SEND_FAILED
    assert link.made == []


def test_refunds_made_elsewhere_are_told_from_ours():
    link = Link()
    payment = link.pay(100_00, "EUR")
    link.send(a_sending(payment, 10_00))
    link.table.call("POST", f"/2.0/payins/{payment.reference}/refund", {"amount": 7, "tag": "by hand"})
    assert [(each.kind, each.amount) for each in link.figures(payment).sightings] == [("external", 7_00)]


def test_a_client_behind_us_sees_its_own_values():
    link = Link()
    payment = link.pay(100_00, "EUR")
    request = {"metadata": '{"ticket": "T-7"}'}
    members: dict[str, Any] = {"reference": "return-7", "dialect": "truust", "request": request}
    (seen,) = link.send(a_sending(payment, 10_00, **members))
    relayed = said(link.table.call("GET", f"/2.0/refunds/{seen.provider_id}"))["data"]
    assert MARK.encode() in text(link.table.call("GET", f"/2.0/refunds/{seen.provider_id}"))
    assert (unmarked(relayed)["tag"], unmarked(relayed)["metadata"]) == ("return-7", {"ticket": "T-7"})
