"""The connector: what each documented answer means, what a look may conclude, and what it must never conclude."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from moneyback.bank import wire
from moneyback.bank.book import Outcome
from moneyback.bank.client import ANSWERS, STATUSES, account_of, capture_of, client_for, heard, meaning
from moneyback.bank.memory import MemoryBank
from moneyback.core.commands import Observation, Sighting
from moneyback.core.refund import Event, Grade, State
from moneyback.dialect import AnswerLost, Call, Figures, Looked, NotConnected, Reply
from tests.bank.calls import (
    NOW,
    REFUND,
    a_payment,
    a_sending,
    answer_with,
    at,
    body,
    drive,
    refund_call,
)

RUNGS = range(5)
MARK = f"mb_{REFUND.hex}_1"
ACCOUNT = account_of(a_payment())


def a_reply(status: int, word: str) -> Reply:
    if word in STATUSES:
        shown = {"id": "p1.1", "amount": 500, "status": word, "updated_at": NOW, "failure": "funds", "code": "x1"}
        return Reply(status=status, body=wire.encoded({"refund": shown}))
    return wire.refusal(status, word, "Words.")


# --- sending ---------------------------------------------------------------------------------------------------------

DOCUMENTED = [
    (201, "succeeded", Event.EXECUTED),
    (201, "returned", Event.CAME_BACK),
    (202, "pending", Event.ACCEPTED),
    (402, "failed", Event.REFUSED),
    (422, "invalid", Event.REFUSED),
    (422, "requires_action", Event.ACTION_NEEDED),
    (404, "no_such_path", Event.NOT_TAKEN),
    (429, "busy", Event.NOT_TAKEN),
    (503, "maintenance", Event.NOT_TAKEN),
    (409, "key_reused", Event.LOST),
    (500, "internal", Event.LOST),
]
UNDOCUMENTED = [
    Reply(status=status, body=raw)
    for status in (200, 201, 202, 204, 301, 400, 401, 402, 403, 404, 408, 409, 422, 425, 429, 500, 502, 503, 504)
    for raw in (b"", b"{}", b"<html>", b"\xff\xfe", b"[]", b"null", b'{"error": 7}', b'{"error": "other"}')
] + [
    a_reply(200, "succeeded"),
    a_reply(201, "pending"),
    a_reply(400, "invalid"),
    a_reply(403, "busy"),
    a_reply(503, "busy"),
    a_reply(429, "maintenance"),
    Reply(status=201, body=b'{"refund": {"status": "succeeded"}}'),
]


def test_the_table_of_answers_is_this_one():
    assert dict(ANSWERS) == {(status, word): event for status, word, event in DOCUMENTED}


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize(("status", "word", "event"), DOCUMENTED)
def test_a_documented_answer(status: int, word: str, event: Event, rung: int):
    reply = a_reply(status, word)
    (seen,) = answer_with(client_for(rung).send(a_sending()), reply)
    assert meaning(reply) is seen.event is event
    assert seen.grade is Grade.MARK
    if word in STATUSES:
        assert (seen.provider_id, seen.amount, seen.occurred_at) == ("p1.1", 500, NOW)
        assert seen.digest == f"p1.1:{word}"
    else:
        assert seen.provider_id is seen.amount is None
        assert seen.digest == f"{MARK}:{event.value}"


@pytest.mark.parametrize("reply", UNDOCUMENTED, ids=lambda reply: f"{reply.status} {reply.body!r}"[:60])
def test_any_other_answer_is_unknown(reply: Reply):
    (seen,) = answer_with(client_for(4).send(a_sending()), reply)
    assert meaning(reply) is seen.event is Event.LOST


@pytest.mark.parametrize(("thrown", "event"), [(NotConnected(), Event.SEND_FAILED), (AnswerLost(), Event.LOST)])
def test_no_answer(thrown: NotConnected | AnswerLost, event: Event):
    (seen,) = answer_with(client_for(4).send(a_sending()), thrown)
    assert (seen.event, seen.digest) == (event, f"{MARK}:{event.value}")


def test_two_attempts_lost_alike_are_two_sightings():
    lost = [answer_with(client_for(4).send(a_sending(generation=n)), AnswerLost())[0].digest for n in (1, 2)]
    assert len(set(lost)) == 2


def test_a_refusal_carries_its_class_code_and_words():
    (seen,) = answer_with(client_for(4).send(a_sending()), a_reply(402, "failed"))
    assert (seen.failure, seen.code) == ("funds", "x1")
    (invalid,) = answer_with(client_for(4).send(a_sending()), a_reply(422, "invalid"))
    assert (invalid.failure, invalid.code, invalid.message) == ("invalid", "invalid", "Words.")


def sent(rung: int, generation: int = 1, **members: Any) -> tuple[Call, dict[str, Any]]:
    call = next(client_for(rung).send(a_sending(generation=generation, **members)))
    return call, msgspec.json.decode(call.body)


@pytest.mark.parametrize("rung", RUNGS)
def test_a_call_states_its_amount_currency_and_key(rung: int):
    call, members = sent(rung, scenario="slow:1", destination="bank_7")
    assert (call.method, call.path) == ("POST", f"/{ACCOUNT}/rung-{rung}/refunds")
    assert members == {
        "payment": "p1",
        "captured": 1000,
        "captured_at": "2026-03-01T11:59:50Z",
        "currency": "EUR",
        "amount": 500,
        "mark": MARK if rung < 3 else None,
        "key": REFUND.hex,
        "scenario": "slow:1",
        "payment_scenario": None,
        "destination": "bank_7",
    }


@pytest.mark.parametrize("rung", RUNGS)
def test_the_body_of_a_keyed_call_never_changes(rung: int):
    """What registers a key must be the same however often it is sent; without keys each attempt is told apart."""
    assert (sent(rung, 1)[0].body == sent(rung, 2)[0].body) is (rung >= 3)


def test_an_account_is_a_merchants_on_one_rail():
    payment = a_payment(rail="sandbox-2")
    assert account_of(payment) == f"{payment.merchant.hex}.sandbox-2"
    assert capture_of(a_payment(scenario="ok")).scenario == "ok"


@pytest.mark.parametrize("rung", RUNGS)
def test_what_a_client_declares(rung: int):
    client = client_for(rung)
    assert client is client_for(rung)
    assert (client.rung, client.processing, client.list_lag) == (rung, timedelta(seconds=60), timedelta(seconds=10))


# --- reading ---------------------------------------------------------------------------------------------------------


async def execute(bank: MemoryBank, rung: int, now: datetime = NOW, **members: Any) -> None:
    await bank.handle(ACCOUNT, rung, refund_call(**members), now)


@pytest.mark.parametrize("rung", RUNGS)
async def test_reading_a_payment_shows_what_its_rung_reveals(rung: int):
    bank = MemoryBank()
    await execute(bank, rung, key="k1", mark="mb_1_1", amount=100)
    figures = await drive(client_for(rung).read(a_payment()), bank, NOW)
    assert figures == (Figures() if rung == 0 else Figures(left=900, refund_ids=("p1.1",)))


@pytest.mark.parametrize("rung", RUNGS)
async def test_reading_a_payment_the_bank_has_not_heard_of(rung: int):
    figures = await drive(client_for(rung).read(a_payment()), MemoryBank(), NOW)
    assert figures == (Figures() if rung == 0 else Figures(left=1000, refund_ids=()))


@pytest.mark.parametrize(
    ("scenario", "seconds", "sightings", "left"),
    [
        ("dispute:5", 0, [("dispute_open", -5)], 1000),
        ("dispute:5:won", 0, [("dispute_won", 0)], 1000),
        ("dispute:5:lost", 0, [("dispute_lost", 0)], 0),
        ("dispute:5:lost", -1, [("dispute_open", -5)], 1000),
        ("return:4", 0, [("claw_back", -6)], 0),
        ("dispute:20+return:30", 0, [], 1000),
        ("dispute:5+return:4", 0, [("dispute_open", -5), ("claw_back", -6)], 0),
    ],
)
async def test_disputes_and_returns_are_sighted(
    scenario: str, seconds: float, sightings: list[tuple[str, float]], left: int
):
    figures = await drive(client_for(1).read(a_payment(scenario=scenario)), MemoryBank(), at(seconds))
    assert [(each.kind, each.occurred_at, each.amount) for each in figures.sightings] == [
        (kind, at(since), 1000) for kind, since in sightings
    ]
    assert figures.left == left


def external(kind: str, reference: str, amount: int) -> Sighting:
    return Sighting(kind=kind, amount=amount, reference=reference, occurred_at=NOW)


@pytest.mark.parametrize("rung", [1, 2, 3, 4])
async def test_refunds_made_elsewhere_are_sighted_where_marks_are_echoed(rung: int):
    bank = MemoryBank()
    await execute(bank, rung, mark="mb_1_1", key="k")
    for members in ({"amount": 7}, {"amount": 8, "scenario": "late_failure:0"}, {"amount": 9, "scenario": "pending:9"}):
        await execute(bank, rung, key=None, **members)
    figures = await drive(client_for(rung).read(a_payment()), bank, NOW)
    elsewhere = (
        external("external", "p1.2", 7),
        external("external", "p1.3", 8),
        external("external_undone", "p1.3", 8),
    )
    assert figures.sightings == (elsewhere if rung >= 2 else ())


@pytest.mark.parametrize("reply", [wire.not_taken(), wire.busy(), Reply(status=200, body=b"{}"), Reply(status=404)])
def test_a_reading_without_figures_is_no_reading(reply: Reply):
    """Figures of None would say that the provider shows none, and the refund would be sent."""
    with pytest.raises(AnswerLost):
        answer_with(client_for(1).read(a_payment()), reply)


@pytest.mark.parametrize("thrown", [NotConnected, AnswerLost])
def test_a_reading_that_gets_no_answer_raises(thrown: type[Exception]):
    with pytest.raises(thrown):
        answer_with(client_for(1).read(a_payment()), thrown())  # type: ignore[arg-type]


# --- looking ---------------------------------------------------------------------------------------------------------


async def looked_at(
    rung: int, scenario: str, seconds: float, pre_read: dict[str, Any] | None = None, **members: Any
) -> Looked:
    """Send with a lost answer, then look."""
    bank, client = MemoryBank(), client_for(rung)
    sending = a_sending(scenario=scenario)
    (lost,) = await drive(client.send(sending), bank, NOW)
    assert lost.event is Event.LOST
    doubtful = a_sending(scenario=scenario, state=State.UNKNOWN, doubt_since=NOW, **members)
    pre_read = {"left": 1000, "refund_ids": []} if pre_read is None else pre_read
    return await drive(client.look(doubtful, pre_read), bank, at(seconds))


def words(observations: tuple[Observation, ...]) -> list[tuple[Event, Grade, str | None, str]]:
    return [(each.event, each.grade, each.provider_id, each.digest) for each in observations]


LOOKS = [
    ("lost_answer:executed", 2, Event.EXECUTED, "p1.1:succeeded"),
    ("error_after_execution", 2, Event.EXECUTED, "p1.1:succeeded"),
    ("lost_answer:executed+pending:30", 2, Event.ACCEPTED, "p1.1:pending"),
    ("lost_answer:executed+pending:30", 30, Event.EXECUTED, "p1.1:succeeded"),
    ("lost_answer:executed+pending:30:decline", 30, Event.REFUSED, "p1.1:failed"),
    ("lost_answer:executed+decline:x", 2, Event.REFUSED, "p1.1:failed"),
    ("lost_answer:executed+late_failure:5", 5, Event.CAME_BACK, "p1.1:returned"),
    ("lost_answer:executed+wrong_amount:400", 2, Event.EXECUTED, "p1.1:succeeded"),
]


@pytest.mark.parametrize("rung", [2, 3, 4])
@pytest.mark.parametrize(("scenario", "seconds", "event", "digest"), LOOKS)
async def test_a_refund_in_doubt_is_found_by_mark_or_key(
    scenario: str, seconds: float, event: Event, digest: str, rung: int
):
    looked = await looked_at(rung, scenario, seconds)
    assert words(looked.observations) == [(event, Grade.MARK, "p1.1", digest)]
    assert looked.observations[0].amount == (400 if "wrong_amount" in scenario else 500)


@pytest.mark.parametrize(("scenario", "seconds", "event", "digest"), LOOKS)
async def test_behind_the_fence_a_counter_that_moved_by_exactly_our_amount_is_evidence(
    scenario: str, seconds: float, event: Event, digest: str
):
    looked = await looked_at(1, scenario, seconds)
    exact = event is Event.EXECUTED and "wrong_amount" not in scenario
    assert words(looked.observations) == ([(event, Grade.COUNTER, "p1.1", digest)] if exact else [])


@pytest.mark.parametrize(("scenario", "seconds"), [(scenario, seconds) for scenario, seconds, *_ in LOOKS])
async def test_where_nothing_can_be_read_nothing_is_asked(scenario: str, seconds: float):
    assert await looked_at(0, scenario, seconds) == Looked()


@pytest.mark.parametrize("rung", [1, 2, 3])
@pytest.mark.parametrize("seconds", [2, 89, 10**4, 10**7])
@pytest.mark.parametrize("scenario", ["lost_answer:not_executed", "lost_answer:executed+list_lag:100000000"])
async def test_absence_is_never_evidence(rung: int, seconds: float, scenario: str):
    looked = await looked_at(rung, scenario, seconds)
    assert looked.observations == ()
    assert looked.shown == {"left": 1000, "refunded": 0, "left_before": 1000, "refunds": 0, "new_refunds": []}


@pytest.mark.parametrize(
    ("others", "pre_read", "adopted"),
    [
        ([], {"left": 1000, "refund_ids": []}, True),
        ([], {"left": 1000, "refund_ids": ["p1.1"]}, False),
        ([], {"left": 900, "refund_ids": []}, False),
        ([], {"left": 1000}, False),
        ([], {"refund_ids": []}, False),
        ([], {}, False),
        ([{"amount": 500}], {"left": 1000, "refund_ids": []}, False),
        ([{"amount": 1}], {"left": 1000, "refund_ids": []}, False),
        ([{"amount": 1}], {"left": 999, "refund_ids": ["p1.2"]}, True),
        ([{"amount": 1, "scenario": "decline:x"}], {"left": 1000, "refund_ids": []}, False),
    ],
)
async def test_a_counter_is_evidence_only_when_nothing_else_moved(
    others: list[dict[str, Any]], pre_read: dict[str, Any], adopted: bool
):
    bank, client = MemoryBank(), client_for(1)
    await drive(client.send(a_sending(scenario="lost_answer:executed")), bank, NOW)
    for members in others:
        await execute(bank, 1, key=None, **members)
    looked = await drive(client.look(a_sending(state=State.UNKNOWN, doubt_since=NOW), pre_read), bank, at(2))
    assert len(looked.observations) == (1 if adopted else 0)
    assert looked.shown["left_before"] == pre_read.get("left")


@pytest.mark.parametrize("rung", [1, 2, 3, 4])
async def test_a_refund_whose_id_is_known_is_read_by_it(rung: int):
    bank, client = MemoryBank(), client_for(rung)
    (accepted,) = await drive(client.send(a_sending(scenario="pending:30+list_lag:99")), bank, NOW)
    assert (accepted.event, accepted.pending_reason) == (Event.ACCEPTED, "processing")
    known = a_sending(state=State.PENDING, provider_id=accepted.provider_id)
    for seconds, event in ((29, Event.ACCEPTED), (30, Event.EXECUTED)):
        looked = await drive(client.look(known, {}), bank, at(seconds))
        assert [each.event for each in looked.observations] == [event]
        assert looked.observations[0].occurred_at == (NOW if event is Event.ACCEPTED else at(30))


async def test_an_earlier_attempt_that_was_executed_late_is_found_too():
    """Two executions are two sightings with two ids, so that the second one is noticed."""
    bank, client = MemoryBank(), client_for(2)
    for generation in (1, 2):
        await drive(client.send(a_sending(generation=generation)), bank, NOW)
    looked = await drive(client.look(a_sending(generation=2, state=State.UNKNOWN), {}), bank, at(2))
    assert [each.provider_id for each in looked.observations] == ["p1.1", "p1.2"]


@pytest.mark.parametrize("rung", [2, 3, 4])
async def test_another_refund_of_the_payment_is_not_ours(rung: int):
    bank = MemoryBank()
    other = "mb_" + "f" * 32 + "_1"
    await execute(bank, rung, key="f" * 32, mark=other if rung < 3 else None)
    looked = await drive(client_for(rung).look(a_sending(state=State.UNKNOWN, doubt_since=NOW), {}), bank, at(2))
    assert looked.observations == ()
    assert looked.sightings == ()


# Whether a key that the bank does not know proves that nothing was sent: (seconds, what the refund says) → proof.
DAY_S = 86_400
KEYS = [
    (60, {}, True),
    (59.9, {}, False),
    (30, {"send_deadline": at(-100)}, False),
    (60, {"send_deadline": at(60)}, False),
    (60, {"send_deadline": at(59)}, True),
    (60, {"send_deadline": None}, True),
    (60, {"doubt_since": at(1)}, False),
    (60, {"doubt_since": None}, False),
    (60, {"state": State.SENDING}, False),
    (60, {"state": State.NEEDS_REVIEW}, False),
    (DAY_S - 1, {}, True),
    (DAY_S, {}, False),
    (60, {"created_at": at(60 - DAY_S)}, False),
    (60, {"created_at": at(61 - DAY_S)}, True),
]


@pytest.mark.parametrize(("seconds", "members", "proof"), KEYS)
async def test_an_unknown_key_is_proof_only_within_its_window_and_past_all_processing(
    seconds: float, members: dict[str, Any], proof: bool
):
    bank, client = MemoryBank(), client_for(4)
    await drive(client.send(a_sending(scenario="lost_answer:not_executed")), bank, NOW)
    facts: dict[str, Any] = {"state": State.UNKNOWN, "doubt_since": NOW}
    doubtful = a_sending(**(facts | members))
    looked = await drive(client.look(doubtful, {}), bank, at(seconds))
    expected = [(Event.KEY_UNKNOWN, Grade.MARK, None, f"{MARK}:key_unknown")]
    assert words(looked.observations) == (expected if proof else [])


async def test_after_proof_the_same_key_is_executed_once():
    bank, client = MemoryBank(), client_for(4)
    await drive(client.send(a_sending(scenario="lost_answer:not_executed")), bank, NOW)
    again = a_sending(generation=2, scenario="lost_answer:not_executed")
    for _ in range(2):
        (seen,) = await drive(client.send(again), bank, at(70))
        assert (seen.event, seen.provider_id) == (Event.EXECUTED, "p1.2")
    assert len((await bank.books(ACCOUNT, "p1")).executed) == 1


async def test_a_refund_whose_key_was_forgotten_is_found_on_the_list():
    looked = await looked_at(4, "lost_answer:executed", 2 * DAY_S)
    assert words(looked.observations) == [(Event.EXECUTED, Grade.MARK, "p1.1", "p1.1:succeeded")]


@pytest.mark.parametrize("rung", [1, 2, 3, 4])
@pytest.mark.parametrize("thrown", [NotConnected("no route"), AnswerLost()])
def test_a_look_that_gets_no_answer_saw_nothing(rung: int, thrown: NotConnected | AnswerLost):
    looked = answer_with(client_for(rung).look(a_sending(state=State.UNKNOWN, doubt_since=NOW), {}), thrown)
    assert (looked.observations, looked.sightings) == ((), ())
    assert looked.shown == {"unanswered": f"{thrown}" or "AnswerLost"}


@pytest.mark.parametrize("reply", [a_reply(503, "maintenance"), a_reply(404, "no_such_path"), Reply(status=404)])
def test_only_the_documented_word_says_that_a_key_is_unknown(reply: Reply):
    page = Reply(status=200, body=b'{"payment": {"left": 1000, "refunded": 0}}')
    empty = Reply(status=200, body=b'{"refunds": []}')
    doubtful = a_sending(state=State.UNKNOWN, doubt_since=at(-600), created_at=at(-700))
    assert answer_with(client_for(4).look(doubtful, {}), page, reply, empty).observations == ()


async def test_looking_only_reads():
    bank, client = MemoryBank(), client_for(4)
    doubtful = a_sending(state=State.UNKNOWN, doubt_since=NOW)
    for seconds in (2, 100):
        await drive(client.look(doubtful, {}), bank, at(seconds))
    assert await bank.books(ACCOUNT, "p1") == await MemoryBank().books(ACCOUNT, "p1")


async def test_a_look_sights_what_happened_to_the_payment():
    bank = MemoryBank()
    await bank.handle(ACCOUNT, 1, refund_call(key=REFUND.hex, scenario="pending:30", payment_scenario="return:0"), NOW)
    known = a_sending(a_payment(scenario="return:0"), state=State.PENDING, provider_id="p1.1")
    looked = await drive(client_for(1).look(known, {}), bank, at(2))
    assert [each.kind for each in looked.sightings] == ["claw_back"]


# --- notices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNGS)
async def test_a_notice_says_what_a_look_would(rung: int):
    bank = MemoryBank()
    await execute(bank, rung, scenario="pending:30:decline")
    (notice,) = await bank.notices(at(30))
    (seen,) = heard(notice).observations
    assert (seen.event, seen.provider_id, seen.digest) == (Event.REFUSED, "p1.1", "p1.1:failed")
    assert (seen.occurred_at, seen.failure, seen.code) == (at(30), "declined", "declined")


async def test_a_notice_of_a_payment_is_a_sighting():
    bank = MemoryBank()
    await bank.set_scenario(ACCOUNT, capture_of(a_payment()), "dispute:5:won")
    opened, decided = await bank.notices(at(0))
    assert [each.kind for each in heard(decided).sightings] == ["dispute_won"]
    assert heard(opened) == heard(decided), "a notice shows how things stand now"
    assert heard(decided).sightings[0].reference == "p1.dispute"


async def test_every_outcome_of_the_books_has_been_met_here():
    bank = MemoryBank()
    for number, scenario in enumerate(("ok", "decline:x", "requires_action", "lost_answer:not_executed")):
        await execute(bank, 4, key=f"k{number}", scenario=scenario)
    entries = (await bank.books(ACCOUNT, "p1")).entries
    assert {each.outcome for each in entries} == set(Outcome)
    assert (
        body((await bank.handle(ACCOUNT, 4, Call(method="GET", path="/payments/p1/refunds"), NOW)).reply)["refunds"][1][
            "status"
        ]
        == "failed"
    )
