"""What Mangopay shows when it is asked: fetched pay-ins and transfers, the events of refunds, hooks, payouts."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from moneyback.core.commands import Observation
from moneyback.core.payment import PaymentKind
from moneyback.core.refund import Event, Refund, State
from moneyback.dialect import (
    AnswerLost,
    Call,
    Delivery,
    Fetched,
    Listed,
    NotConnected,
    Notification,
    Reply,
    SeenRefund,
    Sending,
)
from moneyback.dialects.mangopay import DIALECT
from moneyback.dialects.mangopay.asking import PAYOUTS_MAX
from moneyback.dialects.mangopay.client import CLIENT
from moneyback.dialects.mangopay.fetching import EVENT_LAG, EVENTS, EVENTS_PAGE, SHOWN
from moneyback.dialects.mangopay.looking import PROCESSING
from moneyback.dialects.mangopay.refunds import elsewhere
from moneyback.dialects.mangopay.transactions import payin_object, transfer_object
from tests.dialects.driver import START, Table
from tests.dialects.loopback import a_payment, a_sending, answer_with, as_reply

CREATED = 1_713_970_908
ID = "payin_m_01"
TOKEN = as_reply(200, {"access_token": "0123456789abcdef", "token_type": "bearer", "expires_in": 1199})
EMPTY = as_reply(200, [])
PERSONAL = {
    "IpAddress": "192.0.2.7",
    "BrowserInfo": {"Language": "FR"},
    "Billing": {"FirstName": "Ann", "LastName": "Smith"},
    "Shipping": {"FirstName": "Ann"},
    "BankAccount": {"IBAN": "FR7630004000031234567890143"},
    "DebtorName": "Ann Smith",
    "SecureModeRedirectURL": "https://bank.example/1",
}


def eur(amount: int) -> dict[str, Any]:
    return {"Currency": "EUR", "Amount": amount}


def error(kind: str, status: int) -> Reply:
    return as_reply(status, {"Message": "Words.", "Type": kind, "Id": "1#2", "Date": CREATED, "errors": None})


ABSENT = error("ressource_not_found", 404)


def payin(**members: Any) -> dict[str, Any]:
    return {
        "Id": ID,
        "Tag": "t",
        "CreationDate": CREATED,
        "AuthorId": "u1",
        "CreditedUserId": "u2",
        "DebitedFunds": eur(27_50),
        "CreditedFunds": eur(25_00),
        "Fees": eur(2_50),
        "Status": "SUCCEEDED",
        "ResultCode": "000000",
        "ResultMessage": "Success",
        "ExecutionDate": CREATED + 5,
        "Type": "PAYIN",
        "Nature": "REGULAR",
        "CreditedWalletId": "w1",
        "DebitedWalletId": None,
        "PaymentType": "CARD",
        "ExecutionType": "DIRECT",
        "StatementDescriptor": "Shop",
        "CardId": "c1",
        "SecurityInfo": {"AVSResult": "NO_CHECK"},
        **PERSONAL,
    } | members


def shown(**members: Any) -> dict[str, Any]:
    return {
        "Id": "refund_m_01",
        "CreationDate": CREATED + 60,
        "AuthorId": "u1",
        "DebitedFunds": eur(20_00),
        "CreditedFunds": eur(21_00),
        "Fees": eur(-1_00),
        "Status": "SUCCEEDED",
        "ResultCode": "000000",
        "ExecutionDate": CREATED + 62,
        "InitialTransactionId": ID,
        "InitialTransactionType": "PAYIN",
        "Unheard": "of",
    } | members


def payout(number: str, **members: Any) -> dict[str, Any]:
    said = {"Id": number, "CreditedFunds": eur(20_00), "DebitedFunds": eur(20_00), "Fees": eur(0)}
    without = dict.fromkeys(("InitialTransactionId", "InitialTransactionType"))
    made_for = {"ReasonType": "PAYIN_REFUND", "ReferenceId": ID}
    return shown(**said, **without) | {"DebitedWalletId": "w1", "PaymentRef": made_for} | members


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def calls_of(conversation: Any, *replies: Reply) -> list[Call]:
    """What a conversation asks, one question after the other."""
    calls = [next(conversation)]
    for reply in replies:
        try:
            calls.append(conversation.send(reply))
        except StopIteration:
            break
    return calls


# --- fetched ----------------------------------------------------------------------------------------------------------


def fetched(*replies: Reply | Exception) -> Fetched:
    found = answer_with(_fetch(), TOKEN, *replies)
    assert isinstance(found, Fetched)
    return found


def _fetch(number: str = ID) -> Any:
    assert CLIENT.fetch is not None
    return CLIENT.fetch(number)


def test_a_pay_in_is_fetched_with_what_was_given_back():
    found = fetched(
        as_reply(200, payin()), as_reply(200, [shown(), shown(Id="r2", Status="FAILED", ResultCode="005403 ")])
    )
    paid = found.payment
    assert (paid.amount, paid.currency, paid.status, paid.method, paid.fees) == (27_50, "EUR", "captured", "CARD", 2_50)
    assert (paid.dialect_id, found.reference, paid.kind, found.left) == (ID, ID, PaymentKind.PAYIN, None)
    assert (paid.wallet, paid.source) == (None, None)  # what stands on them is not ours to book
    assert found.captured_at == moment(CREATED + 5)
    assert found.refunds == (
        SeenRefund(
            provider_id="refund_m_01",
            payment=ID,
            amount=21_00,
            currency="EUR",
            fee_return=1_00,
            status="succeeded",
            at=moment(CREATED + 62),
        ),
        SeenRefund(
            provider_id="r2", payment=ID, amount=21_00, currency="EUR", fee_return=1_00, status="failed", code="005403"
        ),
    )


def test_of_a_pay_in_is_kept_what_refunds_need_and_never_who_paid():
    document = fetched(as_reply(200, payin()), EMPTY).payment.document
    assert document == {
        "AuthorId": "u1",
        "CreditedUserId": "u2",
        "CreditedWalletId": "w1",
        "Tag": "t",
        "StatementDescriptor": "Shop",
        "ExecutionType": "DIRECT",
        "ResultCode": "000000",
        "ResultMessage": "Success",
        "CardId": "c1",
        "CreationDate": CREATED,
        "Shown": {"CardId": "c1", "SecurityInfo": {"AVSResult": "NO_CHECK"}},
    }
    assert not set(PERSONAL) & set(SHOWN)


def test_what_is_kept_is_taken_and_rendered_as_it_was_shown():
    """The same members with the same values, but for those that are kept of nobody."""
    table = Table(DIALECT)
    add = fetched(as_reply(200, payin()), EMPTY).payment
    document = DIALECT.payment_document(add.document, START)
    paid = table.pay(add.amount, add.currency, fees=add.fees, method=add.method, dialect_id=ID, document=document)
    table.write(paid, captured_at=moment(CREATED + 5))
    rendered = payin_object(table.payment(paid))
    assert {name: rendered[name] for name in payin() if name not in PERSONAL} == {
        name: value for name, value in payin().items() if name not in PERSONAL
    }


def test_members_that_do_not_fit_are_left_out():
    odd = payin(StatementDescriptor="x" * 60, ExecutionType="TOKEN", Tag="x" * 300, CreationDate=float(CREATED))
    document = fetched(as_reply(200, odd), EMPTY).payment.document
    assert not {"StatementDescriptor", "ExecutionType", "Tag"} & document.keys()
    assert document["CreationDate"] == CREATED
    DIALECT.payment_document(document, START)


def test_the_refunds_are_kept_as_they_were_shown():
    document = fetched(as_reply(200, payin()), as_reply(200, [shown()])).payment.document
    assert document["Refunds"] == [{name: value for name, value in shown().items() if name != "Unheard"}]


@pytest.mark.parametrize(
    ("status", "expected"), [("CREATED", "processing"), ("FAILED", "failed"), ("SUCCEEDED", "captured")]
)
def test_every_status_of_a_pay_in(status: str, expected: str):
    replies = [as_reply(200, payin(Status=status))] + ([EMPTY] if status == "SUCCEEDED" else [])
    found = fetched(*replies)
    assert (found.payment.status, found.captured_at is None) == (expected, status != "SUCCEEDED")


@pytest.mark.parametrize(
    ("word", "expected"), [("SUCCEEDED", "succeeded"), ("CREATED", "pending"), ("FAILED", "failed"), ("NEW", "pending")]
)
def test_every_status_of_a_refund(word: str, expected: str):
    (seen,) = fetched(as_reply(200, payin()), as_reply(200, [shown(Status=word)])).refunds
    assert seen.status == expected


def test_an_announced_wire_is_as_much_as_was_declared():
    nothing = {"Currency": "XXX", "Amount": 0}
    said = payin(
        PaymentType="BANK_WIRE",
        Status="CREATED",
        DebitedFunds=nothing,
        CreditedFunds=nothing,
        Fees=nothing,
        DeclaredDebitedFunds=eur(50_00),
        DeclaredFees=eur(1_00),
        ExecutionDate=None,
    )
    paid = fetched(as_reply(200, said)).payment
    assert (paid.amount, paid.currency, paid.fees, paid.status, paid.method) == (
        50_00,
        "EUR",
        1_00,
        "processing",
        "BANK_WIRE",
    )


def test_what_is_no_pay_in_may_be_a_transfer():
    said = payin(PaymentType=None, DebitedWalletId="w0", Type="TRANSFER")
    story = _fetch()
    calls = calls_of(story, TOKEN, ABSENT, as_reply(200, said))
    assert [each.path for each in calls[1:]] == [
        f"/v2.01/{{ClientId}}/payins/{ID}",
        f"/v2.01/{{ClientId}}/transfers/{ID}",
        f"/v2.01/{{ClientId}}/transfers/{ID}/refunds",
    ]
    found = fetched(ABSENT, as_reply(200, said), as_reply(200, [shown(InitialTransactionType="TRANSFER")]))
    assert (found.payment.kind, found.payment.method, len(found.refunds)) == (PaymentKind.TRANSFER, "TRANSFER", 1)
    table = Table(DIALECT)
    add = found.payment
    document = DIALECT.payment_document(add.document, START)
    moved = transfer_object(table.pay(add.amount, "EUR", kind=add.kind, method=add.method, document=document))
    assert (moved["DebitedWalletId"], moved["CreditedWalletId"]) == ("w0", "w1")


def test_what_is_neither_is_nothing():
    assert answer_with(_fetch(), TOKEN, ABSENT, ABSENT) is None


@pytest.mark.parametrize(
    "replies",
    [
        (error("internal", 500),),
        (error("invalid_credentials", 401),),
        (as_reply(404, b"<html>"),),
        (as_reply(200, payin(Id="other")),),
        (as_reply(200, payin(Status="ODD")),),
        (as_reply(200, {}),),
        (ABSENT, error("rate_limit", 429)),
        (as_reply(200, payin()), error("internal", 500)),
        (as_reply(200, payin()), as_reply(200, [{}])),
        (AnswerLost(),),
    ],
)
def test_what_is_not_shown_is_not_taken_for_nothing(replies: tuple[Reply | Exception, ...]):
    with pytest.raises(AnswerLost):
        answer_with(_fetch(), TOKEN, *replies)


# --- a wire goes back by payouts --------------------------------------------------------------------------------------

WIRE = as_reply(200, payin(PaymentType="BANK_WIRE"))
WIRED = a_payment(ID, 27_50, "EUR", fees=2_50, dialect="mangopay", method="BANK_WIRE", document={"AuthorId": "u1"})


def row(number: str, **members: Any) -> dict[str, Any]:
    """A payout as a list shows it: without what it was for."""
    return {name: value for name, value in payout(number, **members).items() if name != "PaymentRef"}


def test_payouts_are_found_among_all_of_the_payer():
    listed = [row("p1"), row("p2"), row("p3", DebitedWalletId="other"), row("p4")]
    replies = (
        WIRE,
        as_reply(200, listed),
        as_reply(200, payout("p1")),
        as_reply(200, payout("p2", PaymentRef=None)),
        as_reply(200, payout("p4", PaymentRef={"ReferenceId": "another"})),
    )
    figures = answer_with(CLIENT.read(WIRED), TOKEN, *replies)
    assert (figures.left, figures.refund_ids) == (7_50, ("p1",))
    found = fetched(*replies)
    assert [(each.provider_id, each.amount, each.status) for each in found.refunds] == [("p1", 20_00, "succeeded")]
    assert "Refunds" not in found.payment.document  # they are no refunds, and not listed with them

    (_, _, asked, *_) = calls_of(CLIENT.read(WIRED), TOKEN, WIRE)
    assert asked.path == "/v2.01/{ClientId}/users/u1/transactions"
    assert asked.query[:3] == (("Type", "PAYOUT"), ("Nature", "REGULAR"), ("AfterDate", str(CREATED)))


@pytest.mark.parametrize("withheld", [error("invalid_credentials", 401), error("forbidden_ressource", 403)])
def test_where_payouts_are_withheld_there_are_no_figures(withheld: Reply):
    figures = answer_with(CLIENT.read(WIRED), TOKEN, WIRE, withheld)
    assert (figures.left, figures.refund_ids, [each.kind for each in figures.sightings]) == (None, None, ["captured"])
    assert fetched(WIRE, withheld).refunds == ()
    silent = error("correlationid_not_found", 400)
    looked = answer_with(CLIENT.look(doubtful(), {}), TOKEN, silent, WIRE, withheld)
    assert (looked.observations, looked.shown) == ((), {"key_unknown_at": moment(CREATED).isoformat()})


@pytest.mark.parametrize(
    "replies",
    [
        (error("internal", 500),),
        (as_reply(200, [row("p1")]), ABSENT),
        (as_reply(200, [row(f"p{number}") for number in range(PAYOUTS_MAX)]), as_reply(200, [row("more")])),
    ],
)
def test_payouts_that_cannot_be_read_are_no_figures(replies: tuple[Reply, ...]):
    with pytest.raises(AnswerLost):
        answer_with(CLIENT.read(WIRED), TOKEN, WIRE, *replies)


def a_payout(**members: Any) -> Sending:
    asked = {"BankAccountId": "b1", "BankWireRef": "ref 1", "ModeRequested": "STANDARD", "Tag": "t"}
    return a_sending(WIRED, 20_00, **{"dialect": "mangopay", "request": asked, **members})


def doubtful(**members: Any) -> Sending:
    return a_payout(**{"state": State.UNKNOWN, "doubt_since": START, **members})


def test_a_payout_is_sent_as_one_letter_by_letter():
    calls = calls_of(CLIENT.send(a_payout()), TOKEN, WIRE)
    call = calls[-1]
    assert (call.method, call.path) == ("POST", "/v2.01/{ClientId}/payouts/bankwire")
    assert call.headers["idempotency-key"] == UUID(int=0xA).hex
    assert json.loads(call.body) == {
        "AuthorId": "u1",
        "DebitedFunds": eur(20_00),
        "Fees": eur(0),
        "DebitedWalletId": "w1",
        "BankAccountId": "b1",
        "PaymentRef": {"ReasonType": "PAYIN_REFUND", "ReferenceId": ID},
        "Tag": "t",
        "BankWireRef": "ref 1",
        "PayoutModeRequested": "STANDARD",
    }
    assert calls_of(CLIENT.send(a_payout(generation=7)), TOKEN, WIRE)[-1] == call


@pytest.mark.parametrize(
    ("status", "event"), [("CREATED", Event.ACCEPTED), ("SUCCEEDED", Event.EXECUTED), ("FAILED", Event.REFUSED)]
)
def test_what_an_answer_to_a_payout_means(status: str, event: Event):
    said = as_reply(200, payout("p1", Status=status, ResultCode="001001" if status == "FAILED" else None))

    def of(conversation: Any, *replies: Reply) -> Observation:
        found = answer_with(conversation, *replies)
        (seen,) = found if isinstance(found, tuple) else found.observations
        assert isinstance(seen, Observation)
        return seen

    seen = of(CLIENT.send(a_payout()), TOKEN, WIRE, said)
    assert (seen.event, seen.provider_id, seen.amount) == (event, "p1", 20_00)
    envelope = {"StatusCode": "200", "ContentLength": "1", "Resource": json.loads(said.body)}
    assert of(CLIENT.look(doubtful(), {}), TOKEN, as_reply(200, envelope)).event is event
    known = doubtful(provider_id="p1")
    assert of(CLIENT.look(known, {}), TOKEN, said).event is event
    assert calls_of(CLIENT.look(known, {}), TOKEN)[-1].path == "/v2.01/{ClientId}/payouts/p1"


def test_a_payout_for_something_else_is_not_ours():
    said = as_reply(200, payout("p1", PaymentRef={"ReferenceId": "another"}))
    (seen,) = answer_with(CLIENT.send(a_payout()), TOKEN, WIRE, said)
    assert seen.event is Event.LOST


def test_once_the_key_may_be_forgotten_payouts_are_counted():
    silent = error("correlationid_not_found", 400)
    replies = (silent, WIRE, as_reply(200, [row("p1")]), as_reply(200, payout("p1")))
    looked = answer_with(CLIENT.look(doubtful(), {"left": 27_50, "refund_ids": []}), TOKEN, *replies)
    assert [(each.event, each.provider_id) for each in looked.observations] == [(Event.EXECUTED, "p1")]


def test_an_unknown_key_proves_nothing_while_a_payout_may_be_ours():
    at = START + PROCESSING
    body = {"Message": "x", "Type": "correlationid_not_found", "Date": int(at.timestamp()), "errors": {}}
    silent, late = as_reply(400, body), int(START.timestamp())
    one = as_reply(200, [row("p1", CreationDate=late)])
    looked = answer_with(
        CLIENT.look(doubtful(), {}), TOKEN, silent, WIRE, one, as_reply(200, payout("p1", CreationDate=late))
    )
    assert looked.observations == ()
    looked = answer_with(CLIENT.look(doubtful(), {}), TOKEN, silent, WIRE, EMPTY)
    assert [each.event for each in looked.observations] == [Event.KEY_UNKNOWN]


def test_a_transfer_is_refunded_where_transfers_are():
    moved = a_payment(ID, 27_50, "EUR", fees=2_50, dialect="mangopay", kind=PaymentKind.TRANSFER)
    said = as_reply(200, payin(Type="TRANSFER", PaymentType=None))
    read, listed = calls_of(CLIENT.read(moved), TOKEN, said)[1:]
    call = calls_of(CLIENT.send(a_sending(moved, 1_00)), TOKEN, said)[-1]
    place = f"/v2.01/{{ClientId}}/transfers/{ID}"
    assert [each.path for each in (read, listed, call)] == [place, f"{place}/refunds", f"{place}/refunds"]


# --- all refunds of the account ---------------------------------------------------------------------------------------

SINCE = moment(CREATED)


def event(kind: str, number: str, date: int = CREATED + 60) -> dict[str, Any]:
    return {"EventType": kind, "ResourceId": number, "Date": date}


def listed(cursor: Mapping[str, Any], *replies: Reply | Exception) -> Listed:
    assert CLIENT.list_refunds is not None
    found = answer_with(CLIENT.list_refunds(SINCE, cursor), TOKEN, *replies)
    assert isinstance(found, Listed)
    return found


def asked_events(cursor: Mapping[str, Any], *replies: Reply) -> list[dict[str, str]]:
    assert CLIENT.list_refunds is not None
    calls = calls_of(CLIENT.list_refunds(SINCE, cursor), TOKEN, *replies)
    return [dict(each.query) for each in calls if each.path.endswith("/events")]


def test_an_account_where_nothing_happened_is_read_in_one_step():
    page = listed({}, *[EMPTY] * len(EVENTS))
    assert (page.refunds, page.more) == ((), False)
    asked = asked_events({}, *[EMPTY] * len(EVENTS))
    assert [each["EventType"] for each in asked] == list(EVENTS)
    assert {each["AfterDate"] for each in asked} == {str(CREATED - 1)}


def test_events_are_read_kind_after_kind_and_page_after_page():
    first = [event(EVENTS[0], f"r{number}", CREATED + number) for number in range(EVENTS_PAGE)]
    refunds = [as_reply(200, shown(Id=f"r{number}")) for number in range(EVENTS_PAGE)]
    page = listed({}, as_reply(200, first), *refunds)
    assert ([each.provider_id for each in page.refunds], page.more) == ([f"r{n}" for n in range(EVENTS_PAGE)], True)
    (asked,) = asked_events(page.cursor)
    assert (asked["EventType"], asked["page"], asked["AfterDate"]) == (EVENTS[0], "2", str(CREATED - 1))

    rest = as_reply(200, [event(EVENTS[0], "r20", CREATED + 99)])
    page = listed(page.cursor, rest, as_reply(200, shown(Id="r20")))
    assert ([each.provider_id for each in page.refunds], page.more) == (["r20"], True)
    page = listed(page.cursor, *[EMPTY] * (len(EVENTS) - 1))
    assert (page.refunds, page.more) == ((), False)

    again, *others = asked_events(page.cursor, *[EMPTY] * len(EVENTS))
    lag = int(EVENT_LAG.total_seconds())
    assert (again["page"], again["AfterDate"]) == ("1", str(max(CREATED - 1, CREATED + 99 - lag)))
    assert {each["AfterDate"] for each in others} == {str(CREATED - 1)}


def test_of_what_is_listed_again_only_the_last_minutes_are_asked_for():
    lag = int(EVENT_LAG.total_seconds())
    asked = asked_events({"latest": {EVENTS[0]: CREATED + 9_000}}, EMPTY)
    assert [each["AfterDate"] for each in asked] == [str(CREATED + 9_000 - lag), str(CREATED - 1)]


def test_one_that_is_named_twice_is_read_once_and_one_that_is_gone_is_left_out():
    events = [event(EVENTS[0], "r1"), event(EVENTS[0], "r1", CREATED + 61), event(EVENTS[0], "r2")]
    page = listed({}, as_reply(200, events), as_reply(200, shown(Id="r1")), ABSENT)
    assert [each.provider_id for each in page.refunds] == ["r1"]


def test_events_that_were_not_asked_for_are_left_alone():
    page = listed({}, as_reply(200, [event("USER_KYC_LIGHT", "u1")]), *[EMPTY] * (len(EVENTS) - 1))
    assert (page.refunds, page.more) == ((), False)


def test_a_payout_that_came_back_is_told_of_what_it_had_given_back():
    came_back = shown(Id="r9", InitialTransactionId="p1", InitialTransactionType="PAYOUT", ExecutionDate=CREATED + 900)
    others = [EMPTY] * (len(EVENTS) - 1)
    told = as_reply(200, [event(EVENTS[-1], "r9")])
    page = listed({}, *others, told, as_reply(200, came_back), as_reply(200, payout("p1")))
    (seen,) = page.refunds
    assert (seen.provider_id, seen.payment, seen.amount, seen.status) == ("p1", ID, 20_00, "returned")
    assert (seen.at, page.more) == (moment(CREATED + 900), False)
    plain = listed({}, *others, told, as_reply(200, came_back), as_reply(200, payout("p1", PaymentRef=None)))
    assert plain.refunds == ()
    waits = as_reply(200, came_back | {"Status": "CREATED"})
    assert listed({}, *others, told, waits).refunds == ()


@pytest.mark.parametrize(
    "replies",
    [
        (error("param_error", 400),),  # older than 45 days
        (as_reply(200, [{"EventType": EVENTS[0]}]),),
        (as_reply(200, [event(EVENTS[0], "r1")]), error("internal", 500)),
        (as_reply(200, [event(EVENTS[0], "r1")]), as_reply(200, shown(Id="other"))),
        (AnswerLost(),),
    ],
)
def test_a_list_that_cannot_be_read_is_not_empty(replies: tuple[Reply | Exception, ...]):
    with pytest.raises(AnswerLost):
        listed({}, *replies)


@pytest.mark.parametrize("cursor", [{"kind": 99}, {"kind": "x"}, {"latest": 5}, {"kind": -1, "latest": {}}, {"odd": 1}])
def test_a_cursor_nobody_understands_begins_anew(cursor: dict[str, Any]):
    (asked,) = asked_events(cursor)
    assert (asked["EventType"], asked["page"], asked["AfterDate"]) == (EVENTS[0], "1", str(CREATED - 1))


# --- hooks ------------------------------------------------------------------------------------------------------------


def told(**query: str) -> Notification:
    return Notification(method="GET", query=tuple(query.items()))


ABOUT = [
    ("PAYIN_REFUND_SUCCEEDED", (), ("1",)),
    ("PAYIN_REFUND_CREATED", (), ("1",)),
    ("PAYIN_REFUND_FAILED", (), ("1",)),
    ("TRANSFER_REFUND_SUCCEEDED", (), ("1",)),
    ("PAYOUT_REFUND_SUCCEEDED", (), ("1",)),
    ("PAYOUT_NORMAL_SUCCEEDED", (), ("1",)),
    ("PAYOUT_NORMAL_FAILED", (), ("1",)),
    ("PAYOUT_NORMAL_CREATED", (), ()),
    ("PAYIN_NORMAL_SUCCEEDED", ("1",), ()),
    ("PAYIN_NORMAL_FAILED", ("1",), ()),
    ("TRANSFER_NORMAL_CREATED", ("1",), ()),
    ("PAYIN_REPUDIATION_SUCCEEDED", (), ()),
    ("DISPUTE_CREATED", (), ()),
    ("KYC_SUCCEEDED", (), ()),
]


@pytest.mark.parametrize(("event", "payments", "refunds"), ABOUT)
def test_what_a_hook_is_about(event: str, payments: tuple[str, ...], refunds: tuple[str, ...]):
    assert CLIENT.hear is not None
    heard = CLIENT.hear(told(EventType=event, RessourceId="1", Date="1700000000"), {})
    assert (heard.payments, heard.refunds, heard.digest) == (payments, refunds, f"{event}:1:1700000000")
    assert heard.answer.status == 200


def test_parameters_come_in_any_order_and_with_either_spelling():
    assert CLIENT.hear is not None
    one = CLIENT.hear(told(EventType="PAYIN_REFUND_FAILED", RessourceId="r", Date="1"), {})
    other = CLIENT.hear(told(Date="1", ResourceId="r", EventType="PAYIN_REFUND_FAILED", more="x"), {})
    later = CLIENT.hear(told(EventType="PAYIN_REFUND_FAILED", RessourceId="r", Date="2"), {})
    assert one == other
    assert one.digest != later.digest


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"EventType": "PAYIN_REFUND_FAILED", "Date": "1"},
        {"EventType": "PAYIN_REFUND_FAILED", "RessourceId": "r"},
        {"EventType": "x", "RessourceId": "r", "Date": "1"},
        {"EventType": "PAYIN_REFUND_FAILED", "RessourceId": "r", "Date": "yesterday"},
        {"EventType": "PAYIN_REFUND_FAILED", "RessourceId": "r" * 200, "Date": "1"},
        {"EventType": "PAYIN_REFUND_FAILED", "RessourceId": "a b", "Date": "1"},
        {"EventType": "A_" * 200 + "A", "RessourceId": "r", "Date": "1"},
    ],
)
def test_what_is_no_call_of_a_hook(query: dict[str, str]):
    assert CLIENT.hear is not None
    with pytest.raises(ValueError, match="there is no"):
        CLIENT.hear(told(**query), {})


def sent_on(table: Table, **query: str) -> tuple[Delivery, ...]:
    assert DIALECT.resend is not None
    return table.through(DIALECT.resend(told(**query), table.caller))


def test_the_clients_own_hook_is_called_as_mangopay_calls_it():
    table = Table(DIALECT, profile={"client_id": "demo"})
    base = "/v2.01/demo/hooks"
    asked = {"EventType": "PAYIN_REFUND_SUCCEEDED", "Url": "https://shop.example/h?a=b%20c#x"}
    hook = table.call("POST", base, asked).body
    query = {"EventType": "PAYIN_REFUND_SUCCEEDED", "RessourceId": "r 1".replace(" ", "+"), "Date": "17"}
    (delivery,) = sent_on(table, **query)
    assert delivery == Delivery(
        url="https://shop.example/h?a=b%20c&EventType=PAYIN_REFUND_SUCCEEDED&RessourceId=r%2B1&Date=17#x",
        hook=hook["Id"],
        method="GET",
        again_after=(*[timedelta(minutes=10)] * 6, *[timedelta(hours=8)] * 9),
        received="200",
        within=timedelta(seconds=2),
    )
    assert sent_on(table, **query | {"EventType": "PAYIN_REFUND_FAILED"}) == ()
    for change in ({"Status": "DISABLED"}, {"Status": "ENABLED", "Validity": "INVALID"}, {"Status": "DISABLED"}):
        table.call("PUT", f"{base}/{hook['Id']}", change)
        assert sent_on(table, **query) == ()
    table.call("PUT", f"{base}/{hook['Id']}", {"Status": "ENABLED"})
    assert sent_on(table, **query) == (delivery,)


def test_a_refund_is_named_as_its_client_was_told_of_it():
    table = Table(DIALECT, profile={"client_id": "demo"})
    table.call("POST", "/v2.01/demo/hooks", {"EventType": "PAYIN_REFUND_SUCCEEDED", "Url": "https://shop.example/h"})
    paid = table.pay(27_500, "EUR", fees=2_500)
    table.call("POST", f"/v2.01/demo/payins/{paid.dialect_id}/refunds", {"AuthorId": "9100000001"})
    refund = table.refunds[0]
    query = {"EventType": "PAYIN_REFUND_SUCCEEDED", "RessourceId": "theirs", "Date": "17"}
    for named, expected in (("own", refund.dialect_id), ("provider", "theirs"), (None, refund.dialect_id)):
        table.write(refund, provider_id="theirs", named=named)
        (delivery,) = sent_on(table, **query)
        assert f"RessourceId={expected}&" in delivery.url


# --- relayed ----------------------------------------------------------------------------------------------------------


def test_a_relayed_call_is_made_under_a_token():
    call = Call(method="PUT", path="/v2.01/demo/x?y=%20", headers={"x-own": "1"}, body=b"{}")
    story = CLIENT.relay(call)
    assert next(story).path == "/v2.01/oauth/token"
    made = story.send(TOKEN)
    assert (made.method, made.path, made.body) == (call.method, call.path, call.body)
    assert made.headers == {"x-own": "1", "authorization": "bearer 0123456789abcdef"}
    with pytest.raises(StopIteration) as ended:
        story.send(Reply(status=418, body=b"tea"))
    assert ended.value.value == Reply(status=418, body=b"tea")


@pytest.mark.parametrize("said", [AnswerLost("x"), NotConnected("x"), as_reply(401, {"error": "invalid_client"})])
def test_without_a_token_nothing_has_left(said: Reply | Exception):
    with pytest.raises(NotConnected):
        answer_with(CLIENT.relay(Call(method="POST", path="/x")), said)


def test_a_relayed_call_whose_answer_is_lost_may_have_left():
    with pytest.raises(AnswerLost):
        answer_with(CLIENT.relay(Call(method="POST", path="/x")), TOKEN, AnswerLost())


# --- refunds made elsewhere, among ours ---------------------------------------------------------------------------


def a_refund(number: int, wallet: int, fee: int = 0, **members: Any) -> Refund:
    made = a_sending(WIRED, wallet + fee, id=UUID(int=number), wallet=wallet, fee_return=fee, dialect="mangopay")
    facts: dict[str, Any] = {"state": State.SUCCEEDED, **members}
    return type(made.refund)(**{name: getattr(made.refund, name) for name in Refund.__struct_fields__} | facts)


def test_of_what_is_shown_only_what_is_not_ours_was_made_elsewhere():
    theirs = [shown(Id="a"), shown(Id="b"), shown(Id="c", DebitedFunds=eur(5_00), Fees=eur(0))]
    assert [each["Id"] for each in elsewhere(theirs, [])] == ["a", "b", "c"]
    assert [each["Id"] for each in elsewhere(theirs, [a_refund(1, 1, provider_id="b")])] == ["a", "c"]
    doubt = a_refund(1, 20_00, 1_00, state=State.UNKNOWN)
    assert [each["Id"] for each in elsewhere(theirs, [doubt])] == ["b", "c"]
    assert [each["Id"] for each in elsewhere(theirs, [doubt, a_refund(2, 20_00, 1_00, state=State.UNKNOWN)])] == ["c"]
    unsent = a_refund(1, 20_00, 1_00, state=State.READY, generation=0)
    failed = a_refund(2, 20_00, 1_00, state=State.FAILED)
    assert [each["Id"] for each in elsewhere(theirs, [unsent, failed])] == ["a", "b", "c"]
