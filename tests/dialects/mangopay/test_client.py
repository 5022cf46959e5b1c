"""Mangopay as we call it: what each documented answer means, what a look may conclude, our client and our server."""

import json
from base64 import b64decode
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.commands import Observation
from moneyback.core.refund import Event, Grade, State
from moneyback.dialect import AnswerLost, Call, Figures, Looked, NotConnected, Reply, Sending
from moneyback.dialects.mangopay import DIALECT, received
from moneyback.dialects.mangopay.client import CLIENT, capabilities
from moneyback.dialects.mangopay.looking import KEY_WINDOW, PROCESSING
from moneyback.dialects.mangopay.meanings import ANSWERS, FAILURES, STATUSES, meaning
from moneyback.dialects.mangopay.responses import FORM
from moneyback.dialects.mangopay.sending import key_of, refund_call
from moneyback.dialects.mangopay.session import CLIENT_ID, CREDENTIALS, NO_TOKEN, authorize
from moneyback.dialects.mangopay.wire import MESSAGES, SUCCESS
from tests.dialects.driver import ROADS, START, Table
from tests.dialects.loopback import REFUND, Fate, Loopback, a_payment, a_sending, answer_with, as_reply

SAMPLES = Path(__file__).parents[3] / "moneyback" / "dialects" / "mangopay" / "samples"
MARK, KEY = f"mb_{REFUND.hex}_1", REFUND.hex
PAYMENT = a_payment("204844475", 27_50, "EUR", fees=2_50)
SECRETS = {"client_id": "demo", "api_key": "k"}
HEADERS = {"authorization": "bearer 0123456789abcdef", "accept": "application/json"}
BEFORE = {"left": 27_50, "refund_ids": []}
CREATED = 1_713_970_908
"""The date of the provider's examples, in seconds."""


def sending(**members: Any) -> Sending:
    return a_sending(PAYMENT, **{"payer": 21_00, "wallet": 20_00, "fee_return": 1_00, **members})


def doubtful(**members: Any) -> Sending:
    return sending(**{"state": State.UNKNOWN, "doubt_since": START, **members})


def eur(amount: int) -> dict[str, Any]:
    return {"Currency": "EUR", "Amount": amount}


def shown(**members: Any) -> dict[str, Any]:
    """A refund of 20.00 from the wallet and 1.00 of the fees."""
    return {
        "Id": "refund_m_01",
        "CreationDate": CREATED,
        "AuthorId": "u1",
        "DebitedFunds": eur(20_00),
        "CreditedFunds": eur(21_00),
        "Fees": eur(-1_00),
        "Status": "SUCCEEDED",
        "ResultCode": "000000",
        "ResultMessage": "Success",
        "ExecutionDate": CREATED + 2,
        "InitialTransactionId": PAYMENT.reference,
        "RefundReason": None,
    } | members


def failed(code: str, **members: Any) -> dict[str, Any]:
    said = {"Status": "FAILED", "ResultCode": code, "ResultMessage": MESSAGES.get(code), "ExecutionDate": None}
    return shown(**said, **members)


def payin(**members: Any) -> dict[str, Any]:
    funds = {"DebitedFunds": eur(27_50), "CreditedFunds": eur(25_00), "Fees": eur(2_50)}
    return {
        "Id": PAYMENT.reference,
        "Status": "SUCCEEDED",
        "AuthorId": "u1",
        "ExecutionDate": CREATED,
        **funds,
    } | members


def error(kind: str, message: str = "Words.", **members: Any) -> dict[str, Any]:
    return {"Message": message, "Type": kind, "Id": "1#2", "Date": CREATED, "errors": None} | members


TOKEN = as_reply(200, {"access_token": "0123456789abcdef", "token_type": "bearer", "expires_in": 1199})
PAYIN = as_reply(200, payin())
EMPTY = as_reply(200, [])


def only(conversation: Any, *replies: Reply | Exception) -> Observation:
    (seen,) = answer_with(conversation, *replies)
    return seen


def answered(reply: Reply | Exception, **members: Any) -> Observation:
    """What becomes of an attempt whose refund call is answered so."""
    return only(CLIENT.send(sending(**members)), TOKEN, PAYIN, reply)


# --- answers to a refund ----------------------------------------------------------------------------------------------

DOCUMENTED = [
    (200, "SUCCEEDED", Event.EXECUTED),
    (200, "CREATED", Event.ACCEPTED),
    (200, "FAILED", Event.REFUSED),
    (400, "param_error", Event.REFUSED),
    (400, "original_transaction_must_be_succeeded", Event.REFUSED),
    (400, None, Event.REFUSED),
    (401, "invalid_credentials", Event.NOT_TAKEN),
    (403, "forbidden_ressource", Event.NOT_TAKEN),
    (404, "ressource_not_found", Event.REFUSED),
    (409, "idempotent_creation_conflict", Event.LOST),
    (429, "rate_limit", Event.NOT_TAKEN),
    (500, None, Event.LOST),
]


def test_the_table_of_answers_is_this_one():
    assert dict(ANSWERS) == {(status, word): event for status, word, event in DOCUMENTED}


@pytest.mark.parametrize(("status", "word", "event"), [row for row in DOCUMENTED if row[0] == 200])
def test_a_refund_in_the_answer(status: int, word: str, event: Event):
    reply = as_reply(status, shown(Status=word))
    seen = answered(reply)
    assert meaning(reply) is seen.event is event
    assert (seen.grade, seen.provider_id, seen.amount) == (Grade.MARK, "refund_m_01", 21_00)
    assert seen.digest == f"refund_m_01:{word}"


@pytest.mark.parametrize(("status", "word", "event"), [row for row in DOCUMENTED if row[0] != 200])
def test_a_documented_error(status: int, word: str | None, event: Event):
    reply = as_reply(status, error(word or "any_other_type"))
    seen = answered(reply)
    assert meaning(reply) is seen.event is event
    assert (seen.provider_id, seen.digest) == (None, f"{MARK}:{event.value}")
    assert (seen.failure is not None) == (event is Event.REFUSED)
    if event is not Event.LOST:
        assert (seen.code, seen.message) == (word or "any_other_type", "Words.")


UNDOCUMENTED = [
    *(
        Reply(status=status, body=raw)
        for status in (200, 201, 202, 204, 301, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 425, 429, 500, 503)
        for raw in (b"", b"{}", b"<html>", b"\xff\xfe", b"[]", b"null", b'{"error": "no"}', b'{"Message": "no"}')
    ),
    *(as_reply(status, error("param_error")) for status in (200, 402, 403, 404, 405, 408, 409, 422, 425, 429, 502)),
    *(as_reply(status, error("rate_limit")) for status in (401, 403, 404, 409, 500, 503)),
    as_reply(503, error("service_unavailable")),
    as_reply(401, error("other")),
    as_reply(404, error("other")),
    as_reply(201, shown()),
    as_reply(200, [shown()]),
    as_reply(200, shown(Status="DONE")),
    as_reply(200, shown(Status=None)),
    as_reply(200, shown(InitialTransactionId="1")),
    as_reply(200, shown(CreditedFunds={"Currency": "USD", "Amount": 21_00})),
    as_reply(200, shown(CreditedFunds={"Currency": "EUR", "Amount": "2100"})),
    as_reply(200, shown(CreditedFunds={"Currency": "EUR", "Amount": 2100.5})),
    as_reply(200, shown(CreditedFunds={"Currency": "EUR"})),
    as_reply(200, b"[" * 100_000),
]


@pytest.mark.parametrize("reply", UNDOCUMENTED, ids=lambda reply: f"{reply.status} {reply.body[:40]!r}")
def test_any_other_answer_is_unknown(reply: Reply):
    assert answered(reply).event is Event.LOST


@pytest.mark.parametrize(("thrown", "event"), [(NotConnected("x"), Event.SEND_FAILED), (AnswerLost("x"), Event.LOST)])
def test_no_answer_to_the_refund_call(thrown: Exception, event: Event):
    seen = answered(thrown)
    assert (seen.event, seen.digest) == (event, f"{MARK}:{event.value}")


def test_two_attempts_lost_alike_are_two_sightings():
    assert len({answered(AnswerLost(), generation=number).digest for number in (1, 2)}) == 2


@pytest.mark.parametrize("code", sorted(set(MESSAGES) - {SUCCESS}))
def test_every_result_code_has_a_class(code: str):
    seen = answered(as_reply(200, failed(code)))
    assert (seen.event, seen.code, seen.message) == (Event.REFUSED, code, MESSAGES[code])
    assert seen.failure == FAILURES[code]
    assert seen.failure in {"declined", "invalid", "unsupported", "disputed", "funds", "window"}


def test_a_code_with_a_blank_and_one_that_is_new():
    assert answered(as_reply(200, failed("001403 "))).failure == "window"
    assert answered(as_reply(200, failed("009999"))).failure == "declined"


@pytest.mark.parametrize("name", ["errors", "Errors"])
def test_what_is_wrong_is_said_a_sentence_a_member(name: str):
    body = error("param_error") | {"errors": None} | {name: {"Fees": "No fees.", "DebitedFunds": "Too much."}}
    seen = answered(as_reply(400, body))
    assert (seen.failure, seen.message) == ("invalid", "No fees. Too much.")


def test_a_dispute_has_its_class():
    body = json.loads((SAMPLES / "disputed.json").read_text())["response"]["body"]
    assert answered(as_reply(400, body)).failure == "disputed"


def test_a_success_is_never_lost_over_a_member_nobody_needs():
    bare = {name: shown()[name] for name in ("Id", "Status", "DebitedFunds", "CreditedFunds", "Fees")}
    seen = answered(as_reply(200, bare))
    assert (seen.event, seen.amount, seen.occurred_at) == (Event.EXECUTED, 21_00, None)
    assert answered(as_reply(200, bare | {"ResultCode": None, "ExecutionDate": 1e30})).occurred_at is None
    assert answered(as_reply(200, shown(ExecutionDate=float(CREATED)))).occurred_at == received.moment(CREATED)


def test_another_amount_is_told_as_it_was_executed():
    assert answered(as_reply(200, shown(CreditedFunds=eur(27_50)))).amount == 27_50


def test_times_are_the_providers():
    assert answered(as_reply(200, shown())).occurred_at == datetime.fromtimestamp(CREATED + 2, UTC)
    begun = answered(as_reply(200, shown(Status="CREATED", ExecutionDate=None)))
    assert (begun.occurred_at, begun.pending_reason) == (datetime.fromtimestamp(CREATED, UTC), "processing")
    assert answered(as_reply(200, failed("001001"))).occurred_at is None


# --- before the refund call: nothing was sent -------------------------------------------------------------------------


@pytest.mark.parametrize("thrown", [NotConnected("no route"), AnswerLost("reset")])
@pytest.mark.parametrize("before", [(), (TOKEN,)], ids=["token", "pay-in"])
def test_a_question_without_an_answer_is_not_doubt(before: tuple[Reply, ...], thrown: Exception):
    """An answer may have been lost, but only one to a question: the call that gives money back never left."""
    seen = only(CLIENT.send(sending()), *before, thrown)
    assert (seen.event, seen.message) == (Event.SEND_FAILED, f"{thrown}")


@pytest.mark.parametrize(
    ("status", "body", "event"),
    [
        (400, {"error": "unauthorized_client", "error_description": "locked"}, Event.NOT_TAKEN),
        (401, {"error": "invalid_client"}, Event.NOT_TAKEN),
        (429, error("rate_limit"), Event.NOT_TAKEN),
        (500, {"error": "invalid_client"}, Event.SEND_FAILED),
        (404, error("ressource_not_found"), Event.SEND_FAILED),
        (400, {"error": "unsupported_grant_type"}, Event.SEND_FAILED),
        (200, {"token_type": "bearer"}, Event.SEND_FAILED),
        (201, {"access_token": "t"}, Event.SEND_FAILED),
        (200, b"<html>", Event.SEND_FAILED),
    ],
)
def test_without_a_token_nothing_is_sent(status: int, body: Any, event: Event):
    assert only(CLIENT.send(sending()), as_reply(status, body)).event is event


def test_every_answer_in_place_of_a_token_is_tried():
    assert set(NO_TOKEN) == {(400, "unauthorized_client"), (401, "invalid_client"), (429, "rate_limit")}


@pytest.mark.parametrize(
    ("reply", "event"),
    [
        (as_reply(404, error("ressource_not_found")), Event.REFUSED),
        (as_reply(400, error("param_error")), Event.REFUSED),
        (as_reply(401, error("invalid_credentials")), Event.NOT_TAKEN),
        (as_reply(403, error("forbidden_ressource")), Event.NOT_TAKEN),
        (as_reply(429, error("rate_limit")), Event.NOT_TAKEN),
        (as_reply(404, b"<html>"), Event.SEND_FAILED),
        (as_reply(500, error("internal")), Event.SEND_FAILED),
        (as_reply(200, payin(Id="1")), Event.SEND_FAILED),
        (as_reply(200, payin(AuthorId=None)), Event.SEND_FAILED),
        (as_reply(200, {}), Event.SEND_FAILED),
    ],
    ids=lambda each: f"{each.status} {each.body[:30]!r}" if isinstance(each, Reply) else None,
)
def test_without_the_payin_nothing_is_sent(reply: Reply, event: Event):
    seen = only(CLIENT.send(sending()), TOKEN, reply)
    assert seen.event is event
    assert (seen.failure == "invalid") == (event is Event.REFUSED)


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_the_refund_call_letter_by_letter():
    call = refund_call(sending(reference="order 7"), "u1", HEADERS)
    assert (call.method, call.path) == ("POST", "/v2.01/{ClientId}/payins/204844475/refunds")
    assert call.headers == HEADERS | {"content-type": "application/json", "idempotency-key": KEY}
    assert json.loads(call.body) == {
        "AuthorId": "u1",
        "DebitedFunds": eur(20_00),
        "Fees": eur(-1_00),
        "Tag": "order 7",
    }


@given(
    wallet=st.integers(1, 2**62),
    fee=st.integers(-(2**62), 2**62),
    code=st.sampled_from(["EUR", "JPY", "KWD"]),
    generation=st.integers(1, 9999),
)
def test_every_call_states_both_amounts(wallet: int, fee: int, code: str, generation: int):
    members = {"payer": wallet + fee, "wallet": wallet, "fee_return": fee, "currency": code}
    body = json.loads(refund_call(sending(**members, generation=generation), "u1", HEADERS).body)
    assert body["DebitedFunds"] == {"Currency": code, "Amount": wallet}
    assert body["Fees"] == {"Currency": code, "Amount": -fee}
    assert body["DebitedFunds"]["Amount"] - body["Fees"]["Amount"] == wallet + fee


def test_the_same_key_has_the_same_body_for_every_attempt():
    first, later = (refund_call(sending(generation=number, reference="o-1"), "u1", HEADERS) for number in (1, 9999))
    assert first == later


@pytest.mark.parametrize("key", [f"mb_{REFUND.hex}", REFUND.hex])
def test_a_key_is_in_the_letters_that_are_taken(key: str):
    attempt = sending()
    assert FORM.fullmatch(key_of(Sending(payment=attempt.payment, refund=attempt.refund, mark=attempt.mark, key=key)))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, {}),
        ({"reference": "t" * 255}, {"Tag": "t" * 255}),
        ({"reference": "t" * 256}, {}),
        ({"reference": "o-1", "request": {"Tag": "another dialect's"}}, {"Tag": "o-1"}),
        ({"dialect": "mangopay", "reference": "o-1", "request": {"Tag": "own"}}, {"Tag": "own"}),
        ({"dialect": "mangopay", "request": {"Tag": None, "StatementDescriptor": None}}, {}),
        ({"dialect": "mangopay", "request": {"StatementDescriptor": "Shop 24"}}, {"StatementDescriptor": "Shop 24"}),
    ],
)
def test_the_clients_own_tag_is_left_alone(members: dict[str, Any], said: dict[str, str]):
    body = json.loads(refund_call(sending(**members), "u1", HEADERS).body)
    assert {name: body[name] for name in body if name in ("Tag", "StatementDescriptor")} == said


def test_an_id_is_one_segment_of_the_path():
    payment = a_payment("a/b {ClientId}?c", 1, "EUR")
    path = refund_call(a_sending(payment, 1), "u1", HEADERS).path
    assert path == "/v2.01/{ClientId}/payins/a%2Fb%20%7BClientId%7D%3Fc/refunds"
    sent = authorize(SECRETS, Call(method="POST", path=path, headers=HEADERS))
    assert sent.path == "/v2.01/demo/payins/a%2Fb%20%7BClientId%7D%3Fc/refunds"


def test_the_key_of_the_client_goes_to_the_token_endpoint_alone():
    asked = next(CLIENT.send(sending()))
    sent = authorize(SECRETS, asked)
    assert (sent.method, sent.path, sent.body) == ("POST", "/v2.01/oauth/token", b"grant_type=client_credentials")
    assert b64decode(sent.headers["authorization"].removeprefix("Basic ")) == b"demo:k"
    refund = Call(method="POST", path=f"/v2.01/{CLIENT_ID}/payins/1/refunds", headers=HEADERS)
    assert authorize(SECRETS, refund).headers == HEADERS
    assert set(SECRETS) == set(CREDENTIALS) == set(CLIENT.credentials)


def test_a_token_is_shown_as_it_was_given():
    """Its type is repeated to the letter: `bearer` here, `Bearer` on older pages."""
    story = CLIENT.read(PAYMENT)
    next(story)
    asked = story.send(as_reply(200, {"access_token": "T", "token_type": "Bearer"}))
    assert asked.headers["authorization"] == "Bearer T"


# --- reading ----------------------------------------------------------------------------------------------------------


def test_what_is_left_is_what_was_paid_less_what_was_given_back_or_is_promised():
    refunds = [
        shown(),
        failed("005407", Id="r2"),
        shown(Id="r3", Status="CREATED", CreditedFunds=eur(1_00)),
        shown(Id="r4", InitialTransactionId="9"),
        shown(
            Id="r5", **{name: {"Currency": "USD", "Amount": 1} for name in ("DebitedFunds", "CreditedFunds", "Fees")}
        ),
    ]
    figures = answer_with(CLIENT.read(PAYMENT), TOKEN, PAYIN, as_reply(200, refunds))
    assert (figures.left, figures.refund_ids) == (5_50, ("refund_m_01", "r2", "r3"))
    assert [(each.kind, each.amount) for each in figures.sightings] == [("captured", 27_50)]


@pytest.mark.parametrize(("status", "kinds"), [("CREATED", []), ("FAILED", ["canceled"]), ("SUCCEEDED", ["captured"])])
def test_what_became_of_the_payin_is_sighted(status: str, kinds: list[str]):
    figures = answer_with(CLIENT.read(PAYMENT), TOKEN, as_reply(200, payin(Status=status)), EMPTY)
    assert [each.kind for each in figures.sightings] == kinds


def test_long_lists_are_read_to_their_end():
    full = [shown(Id=f"r{number}", CreditedFunds=eur(1)) for number in range(100)]
    more = [shown(Id=f"r{number}", CreditedFunds=eur(1)) for number in range(99, 130)]  # one was seen before
    figures = answer_with(CLIENT.read(PAYMENT), TOKEN, PAYIN, as_reply(200, full), as_reply(200, more))
    assert (figures.left, len(figures.refund_ids)) == (27_50 - 130, 130)


@pytest.mark.parametrize(
    "replies",
    [
        (as_reply(401, {"error": "invalid_client"}),),
        (TOKEN, as_reply(500, error("internal"))),
        (TOKEN, as_reply(401, error("invalid_credentials"))),
        (TOKEN, as_reply(200, payin(DebitedFunds={"Currency": "USD", "Amount": 1}))),
        (TOKEN, PAYIN, as_reply(200, {})),
        (TOKEN, PAYIN, as_reply(429, error("rate_limit"))),
        (TOKEN, PAYIN, as_reply(200, [shown(Status=None)])),
        (TOKEN, PAYIN, *[as_reply(200, [shown()] * 100)] * 20),
        (TOKEN, AnswerLost()),
    ],
)
def test_a_reading_without_figures_is_no_reading(replies: tuple[Reply | Exception, ...]):
    """Figures of None would say that the provider shows none, and the refund would be sent."""
    with pytest.raises(AnswerLost):
        answer_with(CLIENT.read(PAYMENT), *replies)


def test_a_reading_that_does_not_get_through_says_so():
    with pytest.raises(NotConnected):
        answer_with(CLIENT.read(PAYMENT), NotConnected())


def test_a_refund_of_a_payin_that_does_not_exist_comes_to_its_end():
    """It is let through, so that sending it finds the same answer and refuses it for good."""
    gone = as_reply(404, error("ressource_not_found"))
    assert answer_with(CLIENT.read(PAYMENT), TOKEN, gone) == Figures()
    assert only(CLIENT.send(sending()), TOKEN, gone).event is Event.REFUSED


# --- looking ----------------------------------------------------------------------------------------------------------


def stored(status: int, resource: Any) -> Reply:
    envelope = {"StatusCode": str(status), "ContentLength": "9", "RequestURL": "u", "Date": "d", "Resource": resource}
    return as_reply(200, envelope)


def unknown_key(at: datetime) -> Reply:
    return as_reply(400, error("correlationid_not_found", Date=int(at.timestamp())))


AT = START + PROCESSING
SILENT = unknown_key(AT)


@pytest.mark.parametrize(
    ("resource", "event", "digest"),
    [
        (shown(), Event.EXECUTED, "refund_m_01:SUCCEEDED"),
        (shown(Status="CREATED"), Event.ACCEPTED, "refund_m_01:CREATED"),
        (failed("005403"), Event.REFUSED, "refund_m_01:FAILED"),
    ],
)
def test_a_lost_answer_is_found_under_its_key(resource: Any, event: Event, digest: str):
    looked = answer_with(CLIENT.look(doubtful(), BEFORE), TOKEN, stored(200, resource))
    assert [(each.event, each.grade, each.digest) for each in looked.observations] == [(event, Grade.MARK, digest)]


@pytest.mark.parametrize(
    ("status", "kind", "failure"),
    [
        (400, "param_error", "invalid"),
        (404, "ressource_not_found", "invalid"),
        (401, "invalid_credentials", "not_sent"),
        (429, "rate_limit", "not_sent"),
    ],
)
def test_a_key_that_an_error_used_up_will_never_make_a_refund(status: int, kind: str, failure: str):
    looked = answer_with(CLIENT.look(doubtful(), BEFORE), TOKEN, stored(status, error(kind)))
    (seen,) = looked.observations
    assert (seen.event, seen.failure, seen.code) == (Event.REFUSED, failure, kind)
    assert seen.digest == f"{MARK}:refused"


@pytest.mark.parametrize(
    "reply",
    [
        stored(500, error("internal")),
        stored(409, error("idempotent_creation_conflict")),
        stored(200, {}),
        stored(200, shown(InitialTransactionId="9")),
        as_reply(200, {"StatusCode": "OK", "Resource": shown()}),
        as_reply(500, error("correlationid_not_found")),
        as_reply(400, error("param_error")),
        as_reply(400, b"<html>"),
        as_reply(404, error("ressource_not_found")),
    ],
)
def test_whatever_else_a_key_says_is_no_evidence(reply: Reply):
    late = doubtful(doubt_since=START - timedelta(hours=1))
    looked = answer_with(CLIENT.look(late, BEFORE), TOKEN, reply, PAYIN, EMPTY)
    assert looked.observations == ()


# Whether a key that is not known proves that nothing was sent: (when Mangopay says so, what the refund says, proof).
KEYS: list[tuple[timedelta, dict[str, Any], bool]] = [
    (PROCESSING, {}, True),
    (PROCESSING - timedelta(seconds=1), {}, False),
    (PROCESSING, {"send_deadline": START + PROCESSING}, False),
    (PROCESSING, {"send_deadline": None}, True),
    (PROCESSING, {"doubt_since": START + timedelta(seconds=1)}, False),
    (PROCESSING, {"doubt_since": None}, False),
    (PROCESSING, {"state": State.SENDING}, False),
    (PROCESSING, {"state": State.NEEDS_REVIEW}, False),
    (KEY_WINDOW - timedelta(seconds=1), {}, True),
    (KEY_WINDOW, {}, False),
    (timedelta(hours=30), {}, False),
    (PROCESSING, {"created_at": START + PROCESSING - KEY_WINDOW}, False),
]


@pytest.mark.parametrize(("after", "members", "proof"), KEYS)
def test_an_unknown_key_is_proof_only_within_its_window_and_past_all_processing(
    after: timedelta, members: dict[str, Any], proof: bool
):
    looked = answer_with(CLIENT.look(doubtful(**members), BEFORE), TOKEN, unknown_key(START + after), PAYIN, EMPTY)
    expected = [(Event.KEY_UNKNOWN, f"{MARK}:key_unknown")] if proof else []
    assert [(each.event, each.digest) for each in looked.observations] == expected


def test_an_undated_silence_proves_nothing():
    silent = as_reply(400, error("correlationid_not_found", Date=None))
    assert answer_with(CLIENT.look(doubtful(), BEFORE), TOKEN, silent, PAYIN, EMPTY).observations == ()


@pytest.mark.parametrize("pre_read", [BEFORE, {}])
@pytest.mark.parametrize("status", ["SUCCEEDED", "CREATED"])
def test_a_silent_key_beside_a_refund_that_may_be_ours_proves_nothing(pre_read: dict[str, Any], status: str):
    since = int(START.timestamp())
    listed = as_reply(200, [shown(Status=status, CreationDate=since), shown(Id="r2", CreationDate=since)])
    assert answer_with(CLIENT.look(doubtful(), pre_read), TOKEN, SILENT, PAYIN, listed).observations == ()


@pytest.mark.parametrize("row", [failed("001001"), shown(Fees=eur(0), CreditedFunds=eur(20_00)), shown()])
def test_refunds_that_cannot_be_ours_do_not_stand_in_its_way(row: dict[str, Any]):
    """One that failed, one of other amounts, one that was there long before ours."""
    looked = answer_with(CLIENT.look(doubtful(), {}), TOKEN, SILENT, PAYIN, as_reply(200, [row]))
    assert [each.event for each in looked.observations] == [Event.KEY_UNKNOWN]


LATE = unknown_key(START + timedelta(hours=30))
EARLIER = shown(Id="r1", DebitedFunds=eur(1_00), CreditedFunds=eur(1_00), Fees=eur(0))


@pytest.mark.parametrize(
    ("pre_read", "rows", "event"),
    [
        (BEFORE, [shown()], Event.EXECUTED),
        (BEFORE, [shown(Status="CREATED")], Event.ACCEPTED),
        ({"left": 26_50, "refund_ids": ["r1"]}, [EARLIER, shown()], Event.EXECUTED),
        ({"left": 27_50, "refund_ids": ["r1"]}, [EARLIER, shown()], None),
        ({"left": 27_50, "refund_ids": ["refund_m_01"]}, [shown()], None),
        ({"left": 30_00, "refund_ids": []}, [shown()], None),
        ({"left": 27_50}, [shown()], None),
        ({"refund_ids": []}, [shown()], None),
        ({}, [shown()], None),
        (BEFORE, [shown(), shown(Id="r2")], None),
        (BEFORE, [failed("001001")], None),
        (BEFORE, [shown(DebitedFunds=eur(21_00), Fees=eur(0))], None),
        (BEFORE, [shown(CreditedFunds=eur(20_00), Fees=eur(0))], None),
        (BEFORE, [], None),
    ],
)
def test_once_the_key_may_be_forgotten_a_counter_is_evidence_when_nothing_else_moved(
    pre_read: dict[str, Any], rows: list[dict[str, Any]], event: Event | None
):
    looked = answer_with(CLIENT.look(doubtful(), pre_read), TOKEN, LATE, PAYIN, as_reply(200, rows))
    expected = [] if event is None else [(event, Grade.COUNTER)]
    assert [(each.event, each.grade) for each in looked.observations] == expected


@pytest.mark.parametrize("hours", [0, 1, 24, 1000])
def test_absence_is_never_evidence(hours: int):
    at = START + timedelta(hours=hours)
    recent = doubtful(doubt_since=at, created_at=START)
    looked = answer_with(CLIENT.look(recent, BEFORE), TOKEN, unknown_key(at), PAYIN, EMPTY)
    assert looked.observations == ()
    assert looked.shown == {
        "left": 27_50,
        "left_before": 27_50,
        "key_unknown_at": at.isoformat(),
        "refunds": 0,
        "new_refunds": [],
    }


def test_a_person_is_shown_what_is_new():
    listed = as_reply(200, [shown(), failed("001001", Id="r2")])
    looked = answer_with(CLIENT.look(doubtful(), BEFORE), TOKEN, LATE, PAYIN, listed)
    assert looked.shown["new_refunds"] == [
        {"id": "refund_m_01", "amount": 21_00, "status": "SUCCEEDED"},
        {"id": "r2", "amount": 21_00, "status": "FAILED"},
    ]


@pytest.mark.parametrize(("status", "event"), STATUSES.items())
def test_a_refund_whose_id_is_known_is_read_by_it(status: str, event: Event):
    known = doubtful(provider_id="refund_m_01")
    (seen,) = answer_with(CLIENT.look(known, BEFORE), TOKEN, as_reply(200, shown(Status=status))).observations
    assert (seen.event, seen.provider_id) == (event, "refund_m_01")


@pytest.mark.parametrize(
    "reply",
    [
        as_reply(404, error("ressource_not_found")),
        as_reply(200, shown(Id="r2")),
        as_reply(200, shown(InitialTransactionId="9")),
        as_reply(200, shown(Status="NEW")),
        as_reply(200, b""),
    ],
)
def test_an_id_that_shows_nothing_proves_nothing(reply: Reply):
    looked = answer_with(CLIENT.look(doubtful(provider_id="refund_m_01"), BEFORE), TOKEN, reply)
    assert looked == Looked(shown={"unanswered": "Mangopay did not show the refund refund_m_01"})


@pytest.mark.parametrize("thrown", [NotConnected("no route"), AnswerLost()])
@pytest.mark.parametrize("before", [(), (TOKEN,), (TOKEN, SILENT), (TOKEN, SILENT, PAYIN)])
def test_a_look_that_gets_no_answer_saw_nothing(before: tuple[Reply, ...], thrown: Exception):
    looked = answer_with(CLIENT.look(doubtful(), BEFORE), *before, thrown)
    assert looked == Looked(shown={"unanswered": f"{thrown}" or "AnswerLost"})


def test_looking_only_reads():
    story: Generator[Call, Reply, Looked] = CLIENT.look(doubtful(), BEFORE)
    calls = [next(story), *(story.send(reply) for reply in (TOKEN, SILENT, PAYIN))]
    assert [each.method for each in calls] == ["POST", "GET", "GET", "GET"]
    assert calls[0].path == "/v2.01/oauth/token"


# --- the declaration --------------------------------------------------------------------------------------------------


def test_what_is_declared():
    assert DIALECT.client is CLIENT
    assert CLIENT.rung == 4
    native, own = PAYMENT, a_payment("1", 1, "EUR", dialect="mangopay", method="BANK_WIRE")
    assert capabilities(native).one_at_a_time
    assert (capabilities(native).full, capabilities(native).closes_after) == (True, None)
    assert (capabilities(own).destination_needed, capabilities(own).closes_after) == (True, None)
    assert CLIENT.profile({"client_id": "demo", "api_key": "k"}, "any") == {"client_id": "demo"}
    assert CLIENT.release is None


@pytest.mark.parametrize("name", ["authorization", "access_token", "api_key", "Billing", "IBAN"])
def test_secrets_and_payers_are_scrubbed(name: str):
    assert name in DIALECT.scrub


# --- the provider's own examples --------------------------------------------------------------------------------------

MEANT = {
    "disputed": Event.REFUSED,
    "fees_missing": Event.REFUSED,
    "fees_too_high": Event.REFUSED,
    "key_used": Event.LOST,
    "not_succeeded": Event.REFUSED,
    "over_credited": Event.REFUSED,
    "refund_full": Event.EXECUTED,
    "refund_part": Event.EXECUTED,
    "refund_python_client": Event.EXECUTED,
    "sum_too_high": Event.REFUSED,
    "unknown_payin": Event.REFUSED,
    "wrong_author": Event.REFUSED,
}
OTHERWISE = {"stored_response", "token_form", "token_json_declared_as_form"}


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def test_every_sample_is_read():
    assert {each.stem for each in SAMPLES.glob("*.json")} == set(MEANT) | OTHERWISE


@pytest.mark.parametrize(("name", "event"), MEANT.items())
def test_a_sample_means(name: str, event: Event):
    said = sample(name)["response"]
    seen = answered(as_reply(said["status"], said["body"]))
    assert seen.event is event
    if said["status"] == 200:
        assert (seen.provider_id, seen.amount) == (said["body"]["Id"], said["body"]["CreditedFunds"]["Amount"])


@pytest.mark.parametrize("name", ["refund_part", "fees_too_high", "sum_too_high", "over_credited"])
def test_we_ask_as_a_sample_asks(name: str):
    asked = sample(name)["request"]
    body = asked["body"]
    wallet, fee = body["DebitedFunds"]["Amount"], -body["Fees"]["Amount"]
    own = sending(payer=wallet + fee, wallet=wallet, fee_return=fee, reference=body.get("Tag"))
    call = authorize(SECRETS, refund_call(own, body["AuthorId"], HEADERS))
    assert json.loads(call.body) == body
    assert (call.method, call.path) == (asked["method"], asked["path"].replace("{PayInId}", PAYMENT.reference))


def test_the_token_sample():
    asked, said = sample("token_form")["request"], sample("token_form")["response"]
    story = CLIENT.read(PAYMENT)
    call = authorize({"client_id": "demo", "api_key": "key"}, next(story))
    assert (call.method, call.path) == (asked["method"], asked["path"])
    assert {name: call.headers[name] for name in asked["headers"]} == asked["headers"]
    following = story.send(as_reply(said["status"], said["body"]))
    assert following.headers["authorization"] == "bearer 0123456789abcdef0123456789abcdef"


def test_the_stored_sample():
    said = sample("stored_response")["response"]
    own = doubtful(payer=20_00, wallet=20_00, fee_return=0)
    (seen,) = answer_with(CLIENT.look(own, BEFORE), TOKEN, as_reply(said["status"], said["body"])).observations
    assert (seen.event, seen.amount) == (Event.EXECUTED, 20_00)


# --- our client against our server ------------------------------------------------------------------------------------


class Link(Loopback):
    """Authorised as a rail would do it; the fate befalls the one call that gives money back."""

    def __init__(self) -> None:
        super().__init__(Table(DIALECT, profile={"client_id": "demo"}))
        self.table.outcome = "succeeded"

    def payin(self, **fields: Any) -> Any:
        """275.00 with 25.00 of platform fees."""
        return self.pay(27_500, "EUR", fees=2_500, **fields)

    def _exchange(self, call: Call, fate: Fate) -> Reply | NotConnected | AnswerLost:
        sent = authorize(SECRETS, call)
        return super()._exchange(sent, fate if sent.path.endswith("/refunds") and sent.method == "POST" else "arrives")

    @property
    def made(self) -> list[tuple[int, int]]:
        """(wallet, fee_return) of the refunds the provider holds or has executed."""
        alive = [each for each in self.table.refunds if each.state not in (State.FAILED, State.CANCELED)]
        return [(each.wallet, each.fee_return) for each in alive]


def full(payment: Any, **members: Any) -> Sending:
    return a_sending(payment, **{"payer": 27_500, "wallet": 25_000, "fee_return": 2_500, **members})


def part(payment: Any, wallet: int, fee: int = 0, **members: Any) -> Sending:
    return a_sending(payment, **{"payer": wallet + fee, "wallet": wallet, "fee_return": fee, **members})


def test_in_full():
    link = Link()
    payment = link.payin()
    assert link.figures(payment).left == 27_500
    (seen,) = link.send(full(payment))
    assert (seen.event, seen.amount, seen.provider_id) == (Event.EXECUTED, 27_500, link.table.refunds[0].dialect_id)
    assert link.made == [(25_000, 2_500)]
    assert link.figures(payment).left == 0
    assert link.figures(payment).refund_ids == (seen.provider_id,)


def test_in_parts_with_and_without_fees():
    link = Link()
    payment = link.payin()
    for number, (wallet, fee) in enumerate(((10_000, 1_000), (5_000, 0), (2_000, -150)), start=100):
        (seen,) = link.send(part(payment, wallet, fee, id=UUID(int=number)))
        assert (seen.event, seen.amount) == (Event.EXECUTED, wallet + fee)
    assert link.made == [(10_000, 1_000), (5_000, 0), (2_000, -150)]
    assert link.figures(payment).left == 27_500 - 11_000 - 5_000 - 1_850


@pytest.mark.parametrize(
    ("wallet", "fee", "code", "failure"),
    [(25_001, 0, "param_error", "invalid"), (25_000, 2_501, "005404", "invalid")],
)
def test_more_than_there_is(wallet: int, fee: int, code: str, failure: str):
    link = Link()
    (seen,) = link.send(part(link.payin(), wallet, fee))
    assert (seen.event, seen.code, seen.failure) == (Event.REFUSED, code, failure)
    assert link.made == []


def test_an_unknown_payin():
    link = Link()
    (seen,) = link.send(full(a_payment("1", 27_500, "EUR")))
    assert (seen.event, seen.code, seen.failure) == (Event.REFUSED, "ressource_not_found", "invalid")
    assert [each.method for each in link.calls] == ["POST", "GET"]


def test_somebody_elses_credentials():
    link = Link()
    link.table.caller = type(link.table.caller)(merchant=link.table.caller.merchant, profile={"client_id": "other"})
    (seen,) = link.send(full(link.payin()))
    assert (seen.event, seen.code) == (Event.NOT_TAKEN, "invalid_credentials")


ENDS = {
    State.SUCCEEDED: Event.EXECUTED,
    State.RETURNED: Event.EXECUTED,  # Mangopay has no word for money that came back
    State.FAILED: Event.REFUSED,
    State.CANCELED: Event.REFUSED,
}


@pytest.mark.parametrize("state", ROADS, ids=lambda state: state.value)
def test_whatever_the_provider_makes_of_it(state: State):
    link = Link()
    link.table.outcome = state.value
    (seen,) = link.send(full(link.payin()))
    assert seen.event is ENDS.get(state, Event.ACCEPTED)
    assert seen.provider_id == link.table.refunds[0].dialect_id


@pytest.mark.parametrize("outcome", ["succeeded", "failed:001001", "canceled"])
def test_a_refund_that_was_accepted_is_followed_to_its_end(outcome: str):
    link = Link()
    link.table.outcome = "pending"
    payment = link.payin()
    (accepted,) = link.send(full(payment))
    pending = full(payment, state=State.PENDING, provider_id=accepted.provider_id)
    assert [each.event for each in link.look(pending).observations] == [Event.ACCEPTED]
    link.table.bring(link.table.refunds[0], outcome)
    (seen,) = link.look(pending).observations
    assert seen.event is (Event.EXECUTED if outcome == "succeeded" else Event.REFUSED)
    assert seen.code == {"failed:001001": "001001", "canceled": "001999"}.get(outcome)


@pytest.mark.parametrize(
    ("outcome", "event"),
    [("succeeded", Event.EXECUTED), ("pending", Event.ACCEPTED), ("failed:001001", Event.REFUSED)],
)
def test_an_answer_that_was_lost_after_execution_is_found(outcome: str, event: Event):
    link = Link()
    link.table.outcome = outcome
    payment = link.payin()
    before = link.figures(payment)
    (lost,) = link.send(full(payment), "lost after")
    assert lost.event is Event.LOST
    in_doubt = full(payment, state=State.UNKNOWN, doubt_since=START)
    (seen,) = link.look(in_doubt, before).observations
    assert (seen.event, seen.grade, seen.provider_id) == (event, Grade.MARK, link.table.refunds[0].dialect_id)


def test_a_refund_that_was_lost_on_its_way_is_sent_again_under_its_key():
    link = Link()
    payment = link.payin()
    before = link.figures(payment)
    (lost,) = link.send(full(payment), "lost before")
    assert lost.event is Event.LOST
    in_doubt = full(payment, state=State.UNKNOWN, doubt_since=START)
    assert link.look(in_doubt, before).observations == ()
    link.table.now = START + PROCESSING
    (silent,) = link.look(in_doubt, before).observations
    assert silent.event is Event.KEY_UNKNOWN
    (seen,) = link.send(full(payment, generation=2))
    assert seen.event is Event.EXECUTED
    assert link.made == [(25_000, 2_500)]


def test_a_key_that_was_forgotten_leaves_the_list():
    link = Link()
    payment = link.payin()
    before = link.figures(payment)
    link.send(full(payment), "lost after")
    link.table.now = START + timedelta(hours=30)
    (seen,) = link.look(full(payment, state=State.UNKNOWN, doubt_since=START), before).observations
    assert (seen.event, seen.grade) == (Event.EXECUTED, Grade.COUNTER)


def test_a_second_sending_of_the_same_refund_moves_nothing():
    """However it came to be sent twice: the key is used, and says what became of the first."""
    link = Link()
    payment = link.payin()
    link.send(full(payment), "lost after")
    (again,) = link.send(full(payment, generation=2))
    assert again.event is Event.LOST
    assert link.made == [(25_000, 2_500)]
    in_doubt = full(payment, generation=2, state=State.UNKNOWN, doubt_since=START)
    assert [each.event for each in link.look(in_doubt).observations] == [Event.EXECUTED]


def test_not_connected_is_not_sent():
    link = Link()
    (seen,) = link.send(full(link.payin()), "not connected")
    assert seen.event is Event.SEND_FAILED
    assert link.made == []
