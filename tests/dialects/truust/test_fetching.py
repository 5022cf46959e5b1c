"""Truust as we read it: payins met for the first time, lists of refunds, webhooks; and authorisations that are let go.

Samples are made from documented facts; the last part reads what our own server half shows.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.payment import Condition
from moneyback.core.refund import Event
from moneyback.dialect import AnswerLost, Call, Fetched, Heard, NotConnected, Notification, Reply
from moneyback.dialects.truust import DIALECT
from moneyback.dialects.truust.client import CLIENT
from moneyback.dialects.truust.fetching import CONDITIONS, told_by_gateway
from moneyback.dialects.truust.kept import kept, shown
from moneyback.dialects.truust.marks import MARK_MEMBER, unmarked, without_members
from moneyback.dialects.truust.objects import payin as printed
from moneyback.dialects.truust.reading import PAGES_MAX, PER_PAGE
from moneyback.dialects.truust.releasing import RELEASED
from moneyback.dialects.truust.sandbox import payment_document
from moneyback.dialects.truust.wire import PayinStatus, RefundStatus, amount_named
from tests.dialects.driver import START, Table, said
from tests.dialects.loopback import Loopback, a_payment, a_sending, answer_with, as_reply

REFUND = "0123456789abcdef0123456789abcdef"
MARK = f"mb_{REFUND}_1"
SINCE = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
GATEWAY = {"Ds_Amount": "15000", "Ds_Currency": "978", "Ds_Order": "000000000456", "Ds_Response": "0000"}
CARD = {"Ds_CardNumber": "4548812049400004", "Ds_ExpiryDate": "4912", "Ds_Merchant_Identifier": "3f0e77"}
MISSING = as_reply(404, {"message": "Not found"})
BROKEN = as_reply(500, {"message": "Server Error"})
INVALID = as_reply(422, {"message": "The given data was invalid.", "errors": {"search": ["x"]}})


def payin(**members: Any) -> dict[str, Any]:
    return {
        "id": 456,
        "self": "/2.0/payins/456",
        "reference": "ref-1",
        "type": "REDSYS_V2",
        "subtype": None,
        "status": "CONFIRMED",
        "provider": GATEWAY,
        "tag": None,
        "direct_link": None,
        "created_at": "2026-03-02T09:30:00Z",
        "confirmed_at": "2026-03-02T09:31:00Z",
        "denied_at": None,
        "connections": {"order": "/2.0/orders/12"},
    } | members


def order(**members: Any) -> Reply:
    plain = {"id": 12, "currency": "EUR", "payin_amount": "150.00 €", "created_at": "2026-03-02T09:29:00Z"}
    return as_reply(200, plain | members)


def refund(**members: Any) -> dict[str, Any]:
    return {
        "id": 789,
        "amount": "20.00 €",
        "status": "CONFIRMED",
        "payin_id": 456,
        "escrow_id": 12,
        "tag": None,
        "metadata": None,
        "created_at": "2026-03-03T09:30:00Z",
        "updated_at": "2026-03-03T09:31:00Z",
        "denied_at": None,
    } | members


def listed(*rows: dict[str, Any], per_page: Any = PER_PAGE) -> Reply:
    return as_reply(200, {"current_page": 1, "per_page": per_page, "total": len(rows), "data": list(rows)})


def fetched(*replies: Reply | Exception, of: str = "456") -> Any:
    assert CLIENT.fetch is not None
    return answer_with(CLIENT.fetch(of), *replies)


def met(*replies: Reply | Exception, of: str = "456") -> Fetched:
    found = fetched(*replies, of=of)
    assert isinstance(found, Fetched)
    return found


# --- a payin ----------------------------------------------------------------------------------------------------------


def test_a_payin_with_what_was_given_back_of_it():
    rows = (refund(), refund(id=790, status="DENIED"), refund(id=791, amount="1,000.00 €", tag=f"a.{MARK}"))
    found = met(as_reply(200, payin()), order(), listed(*rows))
    made = found.payment
    assert (made.amount, made.currency, made.amount_known, made.status) == (150_00, "EUR", True, "captured")
    assert (made.method, made.order, made.dialect_id, found.reference) == ("REDSYS_V2", "12", "456", "456")
    assert (found.captured_at, found.left) == (datetime(2026, 3, 2, 9, 31, tzinfo=UTC), None)
    assert [(each.provider_id, each.payment, each.amount, each.status, each.mark) for each in found.refunds] == [
        ("789", "456", 20_00, "succeeded", None),
        ("790", "456", 20_00, "failed", None),
        ("791", "456", 1000_00, "succeeded", MARK),
    ]
    assert {each.currency for each in found.refunds} == {"EUR"}
    assert found.refunds[0].at == datetime(2026, 3, 3, 9, 31, tzinfo=UTC)


def test_its_document_is_one_that_may_be_registered_and_shows_it_again():
    raw = json.dumps({"data": payin(extra="?")}).replace('"?"', "1.50").encode()
    data = met(as_reply(200, raw), order(), listed()).payment.document
    assert payment_document(data, START) == data
    assert shown(data) == payin(extra=Decimal("1.5"))
    assert '"extra":1.50' in data["shown"]
    with pytest.raises(ValueError, match="shown must be"):
        payment_document({"shown": "[]"}, START)
    with pytest.raises(ValueError, match="payins must be"):
        payment_document({"payins": [456]}, START)


@pytest.mark.parametrize(("status", "condition"), CONDITIONS.items())
def test_every_status(status: str, condition: Any):
    confirmed = "2026-03-02T09:31:00Z" if condition.value == "captured" else None
    replies = [listed()] if confirmed else []
    found = met(as_reply(200, payin(status=status, confirmed_at=confirmed)), order(), *replies)
    assert (found.payment.status, found.payment.amount) == (condition.value, 150_00)
    gone = found.payment.document.get("failure_status")
    assert gone == (status if status in ("DENIED", "CANCELLED") else None)
    assert set(CONDITIONS) == set(PayinStatus)


@pytest.mark.parametrize(("status", "is_open"), [("CREATED", True), ("AUTHORIZED", False)])
def test_one_that_will_be_authorised_is_known_as_such(status: str, is_open: bool):
    """So that it is seen when its buyer has been to the payment page."""
    found = met(as_reply(200, payin(type="REDSYS_AUTH", status=status, confirmed_at=None)), order())
    assert (found.payment.status, found.payment.document["open"]) == ("authorized", is_open)


def test_what_was_confirmed_once_had_come_in():
    found = met(as_reply(200, payin(status="CANCELLED")), order(), listed(refund(amount="150.00 €")))
    assert (found.payment.status, [each.amount for each in found.refunds]) == ("captured", [150_00])


@pytest.mark.parametrize("of", ["", "x", "-1", "007", "４", "1" * 19, "orders/"])
def test_what_is_no_number_is_no_payin(of: str):
    assert fetched(*([MISSING] if of == "orders/" else []), of=of) is None


def test_what_truust_does_not_have():
    assert fetched(MISSING) is None
    assert fetched(MISSING, of="orders/12") is None
    assert fetched(order(), listed(), of="orders/12") is None


PAYIN = as_reply(200, payin())


@pytest.mark.parametrize(
    "replies",
    [
        (BROKEN,),
        (as_reply(404, b"<html>"),),
        (as_reply(404, {"message": "The route could not be found."}),),
        (as_reply(200, payin(id=457)),),
        (as_reply(200, payin(status="NEW")), order()),
        (AnswerLost(),),
        (NotConnected(),),
        (PAYIN, BROKEN),
        (PAYIN, order(id=13)),
        (PAYIN, order(currency="???")),
        (PAYIN, order(), BROKEN, BROKEN),
        (PAYIN, order(), listed(refund(amount="some"))),
        (PAYIN, order(), listed(refund(amount="20.00 $"))),
        (PAYIN, order(), listed(refund(amount="-20.00 €"))),
        (as_reply(200, payin(created_at=None, confirmed_at=None)), order()),
        (as_reply(200, payin(connections={}, provider={})),),
    ],
)
def test_what_does_not_tell_all_is_no_answer(replies: tuple[Reply | Exception, ...]):
    with pytest.raises((AnswerLost, NotConnected)):
        fetched(*replies)


def test_refunds_that_are_lost_among_too_many_others_are_no_answer():
    others = listed(*(refund(id=number, payin_id=1) for number in range(PER_PAGE)))
    with pytest.raises(AnswerLost, match="lost among others"):
        fetched(PAYIN, order(), *[others] * PAGES_MAX)


def test_a_page_that_is_shorter_than_asked_for_is_full_where_the_list_says_so():
    pages = [listed(refund(id=1), refund(id=2), per_page="2"), listed(refund(id=3), per_page=2)]
    assert len(met(PAYIN, order(), *pages).refunds) == 3


@pytest.mark.parametrize(
    ("status", "denied_at", "mark", "seen"),
    [
        (RefundStatus.CREATED, None, None, "pending"),
        (RefundStatus.CONFIRMED, None, None, "succeeded"),
        (RefundStatus.DENIED, None, None, "failed"),
        (RefundStatus.CANCELLED, None, None, "failed"),
        (None, None, None, "pending"),
        (None, "2026-03-03T09:31:00Z", None, "failed"),
        ("NEW", None, None, "pending"),  # it may be executed
        ("NEW", None, MARK, None),  # of one of ours nothing is said that is not known
    ],
)
def test_every_status_of_a_refund(status: str | None, denied_at: str | None, mark: str | None, seen: str | None):
    row = refund(status=status, denied_at=denied_at, metadata={MARK_MEMBER: mark} if mark else None)
    assert [each.status for each in met(PAYIN, order(), listed(row)).refunds] == ([seen] if seen else [])


# --- how much came in -------------------------------------------------------------------------------------------------


def sibling(number: int, status: str, **members: Any) -> dict[str, Any]:
    return payin(id=number, status=status, **members)


ALONE = [sibling(456, "CONFIRMED")]
TRIED = [sibling(455, "DENIED", confirmed_at=None), *ALONE, sibling(457, "CREATED", confirmed_at=None)]
TWO = [*ALONE, sibling(457, "CONFIRMED")]
HELD = [*ALONE, sibling(457, "AUTHORIZED", confirmed_at=None)]
OPEN = [*ALONE, sibling(457, "CREATED", confirmed_at=None, type="REDSYS_AUTH")]
GIVEN_BACK = [*ALONE, sibling(457, "CANCELLED")]
ELSEWHERE = [*ALONE, sibling(457, "CONFIRMED", connections={"order": "/2.0/orders/13"})]


@pytest.mark.parametrize(
    ("provider", "payin_amount", "siblings", "amount"),
    [
        (GATEWAY, "150.00 €", None, 150_00),  # both say the same: nobody else is asked
        ({}, "150.00 €", ALONE, 150_00),
        (None, "150.00 €", TRIED, 150_00),
        ([], "150.00 €", OPEN, 150_00),
        ({}, "150.00 €", ELSEWHERE, 150_00),
        ({}, 150, ALONE, 150_00),
        ({}, "150.00 €", TWO, None),
        ({}, "150.00 €", HELD, None),
        ({}, "150.00 €", GIVEN_BACK, None),
        ({}, "150.00 €", [], None),  # a list without the payin itself tells nothing
        (GATEWAY | {"Ds_Amount": "9000"}, "150.00 €", TWO, 90_00),
        (GATEWAY | {"Ds_Amount": 9000}, "150.00 €", TWO, 90_00),
        (GATEWAY | {"Ds_Amount": "9000"}, "150.00 €", ALONE, None),  # the two contradict each other
        (GATEWAY | {"Ds_Currency": "840"}, "150.00 €", ALONE, None),
        (GATEWAY | {"Ds_Currency": "840"}, "150.00 €", TWO, None),
        (GATEWAY, None, None, 150_00),
        (GATEWAY, "150,00 €", None, 150_00),
        ({}, None, None, None),
        ({"Ds_Amount": "all", "Ds_Currency": "978"}, None, None, None),
    ],
)
def test_how_much_came_in(provider: Any, payin_amount: Any, siblings: list[dict[str, Any]] | None, amount: int | None):
    asked = [] if siblings is None else [listed(*siblings)]
    replies = as_reply(200, payin(provider=provider)), order(payin_amount=payin_amount), *asked, listed()
    found = met(*replies).payment
    assert (found.amount, found.amount_known, found.status) == (amount or 0, amount is not None, "captured")


def test_payins_that_are_lost_among_others_tell_nothing():
    others = listed(*(sibling(number, "CONFIRMED", connections={}) for number in range(PER_PAGE)))
    found = met(as_reply(200, payin(provider={})), order(), *[others] * PAGES_MAX, listed())
    assert not found.payment.amount_known
    with pytest.raises(AnswerLost):
        fetched(order(), *[others] * PAGES_MAX, of="orders/12")


def test_where_payins_cannot_be_searched_for_all_are_read():
    found = met(as_reply(200, payin(provider={})), order(), INVALID, listed(*ALONE), listed())
    assert found.payment.amount == 150_00


def test_a_payin_whose_order_is_gone_is_what_its_gateway_says():
    assert met(PAYIN, MISSING, listed()).payment.amount == 150_00
    assert met(as_reply(200, payin(connections=None)), listed()).payment.order is None


@pytest.mark.parametrize("number", ["0", "999999", "x"])
def test_a_currency_without_a_name_is_none(number: str):
    assert told_by_gateway(GATEWAY | {"Ds_Currency": number}) is None


# --- the payin of an order --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("siblings", "chosen"), [(TRIED, 456), (TRIED[:1], 455), (HELD[::-1], 456), (TWO, 456)])
def test_of_an_order_the_payin_in_which_its_money_came_in(siblings: list[dict[str, Any]], chosen: int):
    (one,) = (each for each in siblings if each["id"] == chosen)
    captured = one["status"] == "CONFIRMED"
    found = met(order(), listed(*siblings), as_reply(200, one), *([listed()] if captured else []), of="orders/12")
    assert (found.reference, found.payment.dialect_id) == (str(chosen), str(chosen))
    assert found.payment.document["payins"] == [str(each["id"]) for each in siblings]


def test_a_payin_that_is_listed_and_not_shown_is_no_answer():
    with pytest.raises(AnswerLost):
        fetched(order(), listed(*ALONE), MISSING, of="orders/12")


def test_what_is_asked_for():
    assert CLIENT.fetch is not None
    story = CLIENT.fetch("orders/12")
    assert next(story).path == "/2.0/orders/12"
    call = story.send(order())
    assert (call.path, call.query[:3]) == (
        "/2.0/payins",
        (("search", "order_id"), ("query", "12"), ("date_begin", "2026-03-01")),
    )
    assert story.send(listed(*ALONE)).path == "/2.0/payins/456"
    call = story.send(PAYIN)
    assert (call.path, call.query[:2]) == ("/2.0/refunds", (("search", "payin_id"), ("query", "456")))


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_cards_are_not_kept():
    text = kept(payin(provider=GATEWAY | CARD | {"challenge_3ds": {"creq": "x"}, "note": "4548 8120 4940 0004"}))
    assert not [each for each in (*CARD.values(), "creq", "4548 8120") if each in text]
    found = json.loads(text)
    assert found["provider"]["Ds_Merchant_Identifier"] == "[hidden]"
    assert found["provider"] | GATEWAY == found["provider"]
    assert list(found) == list(payin())


def test_what_names_a_payin_is_kept_though_it_may_look_like_a_card():
    looks_like_one = payin(id=4548812049400004, reference="4548812049400004", self="/2.0/payins/4548812049400004")
    assert json.loads(kept(looks_like_one)) == looks_like_one


@pytest.mark.parametrize(
    ("stated", "condition", "refunded", "status"),
    [
        ("CREATED", "processing", 0, "CREATED"),
        ("AUTHORIZED", "processing", 0, "AUTHORIZED"),
        ("DENIED", "failed", 0, "DENIED"),
        ("CONFIRMED", "captured", 0, "CONFIRMED"),
        ("CONFIRMED", "captured", 1, "CONFIRMED"),
        ("CONFIRMED", "captured", 150_00, "REFUNDED"),
        ("CREATED", "captured", 0, "CONFIRMED"),  # paid since it was read
        ("REFUNDED", "captured", 1, "REFUNDED"),  # what a part makes of it, Truust does not publish
    ],
)
def test_a_payin_is_shown_as_truust_did_with_what_we_know_better(
    stated: str, condition: str, refunded: int, status: str
):
    facts = {"captured": 150_00 if condition == "captured" else 0, "refunded": refunded}
    there = payin(status=stated, direct_link="https://x/direct/1", more=7)
    document = {"shown": kept(there)}
    of = a_payment("456", 0, "EUR", dialect="truust", condition=Condition(condition), document=document, **facts)
    found = printed(of, None, "https://ours")
    assert (list(found), found["status"]) == (list(there), status)
    assert (found["direct_link"] is not None) == (status in ("CREATED", "AUTHORIZED"))
    assert {name for name in found if found[name] != there[name]} <= {"status", "direct_link"}
    made = a_sending(of, 1, dialect="truust", dialect_id="900000000000001").refund
    assert printed(of, made, "")["connections"] == there["connections"] | {"refund": "/2.0/refunds/900000000000001"}


# --- the account's refunds --------------------------------------------------------------------------------------------


def page(cursor: dict[str, Any], *replies: Reply | Exception) -> Any:
    assert CLIENT.list_refunds is not None
    return answer_with(CLIENT.list_refunds(SINCE, cursor), *replies)


def test_one_page_of_refunds():
    rows = [
        refund(id=1, tag=f"a.{MARK}"),
        refund(id=2, amount="7.00 £", payin_id=8, status="CREATED"),
        refund(id=3, amount="1000 JPY", payin_id=None),
        refund(id=4, amount="3.00 $"),
    ]
    found = page({}, listed(*rows))
    assert [(each.provider_id, each.payment, each.amount, each.currency, each.status) for each in found.refunds] == [
        ("1", "456", 20_00, "EUR", "succeeded"),
        ("2", "8", 7_00, "GBP", "pending"),
        ("3", "", 1000, "JPY", "succeeded"),
        ("4", "456", 3_00, None, "succeeded"),  # whose dollars, its payin says
    ]
    assert [each.mark for each in found.refunds] == [MARK, None, None, None]
    assert (found.cursor, found.more) == ({"begin": "2026-03-02", "page": 1}, False)


def test_pages_follow_one_another_and_a_reading_goes_on_one_before():
    full = listed(*(refund(id=number) for number in range(PER_PAGE)))
    assert CLIENT.list_refunds is not None
    story = CLIENT.list_refunds(SINCE, {})
    assert next(story).query == (
        *(("date_begin", "2026-03-02"), ("order", "created_at"), ("sort", "asc")),
        *(("page", "1"), ("per_page", "100")),
    )
    first = page({}, full)
    assert (first.cursor, first.more) == ({"begin": "2026-03-02", "page": 2}, True)
    second = page(first.cursor, full)
    assert second.cursor["page"] == 3
    last = page(second.cursor, listed(refund(id=200)))
    assert (last.cursor, last.more) == ({"begin": "2026-03-02", "page": 2}, False)


def test_an_amount_without_a_currency_is_in_that_of_its_order():
    rows = [refund(id=1, amount=2.5), refund(id=2, amount="3"), refund(id=3, amount="4", escrow_id=13)]
    found = page({}, listed(*rows), order(), MISSING)
    assert [(each.provider_id, each.amount, each.currency) for each in found.refunds] == [
        ("1", 2_50, "EUR"),
        ("2", 3_00, "EUR"),
    ]


@pytest.mark.parametrize("row", [refund(amount="some", escrow_id=None), refund(amount="0.00 €"), refund(amount=None)])
def test_what_cannot_be_read_is_left_to_the_reading_of_its_payin(row: dict[str, Any]):
    asked = [] if row["escrow_id"] is None or row["amount"] == "0.00 €" else [order()]
    assert page({}, listed(row, refund(id=2)), *asked).refunds[0].provider_id == "2"


@pytest.mark.parametrize(
    "reply",
    [
        BROKEN,
        INVALID,
        as_reply(200, []),
        AnswerLost(),
        listed(refund(created_at="2026-03-04T00:00:00Z"), refund(created_at="2026-03-03T00:00:00Z")),
    ],
)
def test_a_list_that_cannot_be_trusted_is_none(reply: Reply | Exception):
    with pytest.raises(AnswerLost):
        page({}, reply)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("20.00 €", (20_00, "EUR")),
        ("1,020.00\u00a0£", (1020_00, "GBP")),
        ("1.000 KWD", (1_000, "KWD")),
        ("2.00 $", (2_00, None)),
        ("2.00 XYZ", None),
        ("2.00", None),
        ("2.005 €", None),
        (2, None),
        (None, None),
    ],
)
def test_an_amount_that_names_its_currency(text: Any, told: Any):
    assert amount_named(text) == told


# --- webhooks ---------------------------------------------------------------------------------------------------------

PUBLISHED = {
    "escrow": {"id": "12", "name": "Order", "amount": 150, "currency": "EUR", "status": "PUBLISHED"},
    "platform": {"id": 1},
    "payin": {"id": 456, "reference_id": "ref-1", "escrow_id": 12, "status": "CONFIRMED", "provider": GATEWAY},
}


def heard(body: Any, **members: Any) -> Heard:
    assert CLIENT.hear is not None
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CLIENT.hear(Notification(method="POST", body=raw, **members), {"secret_key": "sk_stage_1"})


@pytest.mark.parametrize(
    ("body", "payments", "refunds"),
    [
        (PUBLISHED, ("456",), ()),
        ({"escrow": {"id": 12}}, (), ()),
        ({"payin": {"id": "456"}, "refund": {"id": 789, "payin_id": 456}}, ("456",), ("789",)),
        ({"refund": {"id": "789", "payin_id": 457}}, ("457",), ("789",)),
        ({"payin": {"id": True}, "refund": {"id": "x", "payin_id": None}}, (), ()),
        ({"payin": {}, "refund": []}, (), ()),
    ],
)
def test_a_webhook_names_its_payin_and_its_refund(body: Any, payments: tuple[str, ...], refunds: tuple[str, ...]):
    found = heard(body)
    assert (found.payments, found.refunds, found.answer.status) == (payments, refunds, 200)
    assert found == heard(b"\xef\xbb\xbf" + json.dumps(body, indent=1).encode())


def test_a_repetition_is_known_by_all_that_it_says():
    other = PUBLISHED | {"escrow": {"id": "12", "status": "CANCELLED"}}
    digests = {heard(PUBLISHED).digest, heard(other).digest, heard(PUBLISHED, query=(("event", "x"),)).digest}
    assert len(digests) == 3


@pytest.mark.parametrize("raw", [b"", b"x", b"[]", b"{}", b'{"payin": 7}', b"\xff", b"[" * 100_000, b'"payin"'])
def test_what_is_no_webhook(raw: bytes):
    with pytest.raises(ValueError, match="no webhook"):
        heard(raw)


def test_hooks_are_registered_in_its_dashboard_alone():
    assert DIALECT.resend is None
    assert CLIENT.optional == ()


# --- letting an authorisation go --------------------------------------------------------------------------------------

HELD_PAYIN = as_reply(200, payin(status="AUTHORIZED", confirmed_at=None))
ANSWERS = [
    (200, "CANCELLED", payin(status="CANCELLED"), Event.EXECUTED),
    (200, "AUTHORIZED", payin(status="AUTHORIZED"), Event.ACCEPTED),
    (401, "message", {"message": "Unauthenticated."}, Event.NOT_TAKEN),
    (404, "Not found", {"message": "Not found"}, Event.REFUSED),
    (422, "errors", {"message": "x", "errors": {"payin": ["No."]}}, Event.REFUSED),
    (429, "message", {"message": "Too Many Attempts."}, Event.NOT_TAKEN),
    (500, "message", {"message": "Server Error"}, Event.LOST),
]


def released(*replies: Reply | Exception) -> Any:
    assert CLIENT.release is not None
    (seen,) = answer_with(CLIENT.release(a_sending(a_payment("456", 1, "EUR"), 0)), *replies)
    return seen


def test_the_table_of_answers_to_a_release_is_this_one():
    assert dict(RELEASED) == {(status, form): event for status, form, _, event in ANSWERS}


@pytest.mark.parametrize(("status", "body", "event"), [(each[0], each[2], each[3]) for each in ANSWERS])
def test_a_documented_answer_to_a_release(status: int, body: Any, event: Event):
    seen = released(HELD_PAYIN, as_reply(status, body))
    assert (seen.event, seen.amount) == (event, None)
    assert (seen.failure is not None) == (event is Event.REFUSED)


@pytest.mark.parametrize(
    "reply",
    [
        as_reply(200, payin()),
        as_reply(200, payin(id=457, status="CANCELLED")),
        as_reply(201, payin(status="CANCELLED")),
        as_reply(200, b"<html>"),
        as_reply(404, {"message": "The route could not be found."}),
        as_reply(403, {"message": "No."}),
        as_reply(502, {"message": "x"}),
        AnswerLost(),
    ],
)
def test_any_other_answer_to_a_release_is_unknown(reply: Reply | Exception):
    assert released(HELD_PAYIN, reply).event is Event.LOST


@pytest.mark.parametrize("status", ["CREATED", "CONFIRMED", "REFUNDED", "DENIED", "CANCELLED"])
def test_what_is_not_authorised_is_not_let_go(status: str):
    seen = released(as_reply(200, payin(status=status)))
    assert (seen.event, seen.failure, status in seen.message) == (Event.REFUSED, "invalid", True)


def test_a_release_that_could_not_begin_was_not_sent():
    for reply in (BROKEN, AnswerLost("reset"), NotConnected()):
        assert released(reply).event is Event.SEND_FAILED
    assert released(HELD_PAYIN, NotConnected()).event is Event.SEND_FAILED
    assert released(MISSING).event is Event.REFUSED


# --- what is relayed --------------------------------------------------------------------------------------------------


def relayed(body: bytes) -> bytes:
    reply: Reply = answer_with(CLIENT.relay(Call(method="GET", path="/x")), Reply(status=200, body=body))
    return reply.body


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (f'{{"metadata":{{"moneyback":"{MARK}"}},"id":1}}', '{"metadata":null,"id":1}'),
        (f'{{"metadata": {{ "moneyback" : "{MARK}" }} }}', '{"metadata": null }'),
        (f'{{"metadata":{{"moneyback":"{MARK}","a":1.50}}}}', '{"metadata":{"a":1.50}}'),
        (f'{{"metadata":{{"a":[1] , "moneyback": "{MARK}"}}}}', '{"metadata":{"a":[1]}}'),
        (f'{{"metadata":{{"a":1,"moneyback":"{MARK}","b":2}}}}', '{"metadata":{"a":1,"b":2}}'),
        ('{"metadata":{"moneyback":"mine"}}', '{"metadata":{"moneyback":"mine"}}'),
        (f'{{"metadata":{{"moneyback":"x {MARK}"}}}}', f'{{"metadata":{{"moneyback":"x {MARK}"}}}}'),
        ("<html>", "<html>"),
    ],
)
def test_of_a_relayed_answer_only_our_member_is_left_out(body: str, left: str):
    assert relayed(body.encode()) == left.encode()


@given(metadata=st.dictionaries(st.text(), st.none() | st.integers() | st.text()), indent=st.sampled_from([None, 1]))
def test_what_is_left_is_the_clients(metadata: dict[str, Any], indent: int | None):
    for own in ({MARK_MEMBER: MARK} | metadata, metadata | {MARK_MEMBER: MARK}):
        body = json.dumps({"metadata": own}, indent=indent).encode()
        assert json.loads(without_members(body)) == unmarked({"metadata": own})


def test_a_call_is_relayed_as_it_is():
    call = Call(method="POST", path="/2.0/orders?a=b", headers={"x": "1"}, body=b"{ }")
    assert next(CLIENT.relay(call)) is call


# --- our client against our server ------------------------------------------------------------------------------------


class Shop(Loopback):
    """A twin in memory: orders are made and paid by its own calls."""

    def __init__(self) -> None:
        super().__init__(Table(DIALECT))
        self.table.outcome = "succeeded"

    def do(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.table.call(method, path, body)
        assert answer.status == 200, answer
        return said(answer)

    def paid(self, value: int, kind: str, times: int = 1) -> list[str]:
        made = self.do("POST", "/2.0/orders", {"name": "Bicycle", "value": value, "auto_settle": 1})
        numbers = []
        for _ in range(times):
            one = self.do("POST", "/2.0/payins", {"order_id": made["id"], "type": kind})
            self.table.call("POST", one["direct_link"], {"outcome": "pay"}, encoding="form")
            numbers.append(str(one["id"]))
        return numbers

    def fetch(self, number: str) -> Fetched:
        assert CLIENT.fetch is not None
        found = self._drive(CLIENT.fetch(number))
        assert isinstance(found, Fetched)
        return found


@pytest.mark.parametrize(
    ("kind", "times", "amount"), [("REDSYS_V2", 2, 80_00), ("BIZUM", 1, 80_00), ("BIZUM", 2, None)]
)
def test_what_our_server_shows_is_met(kind: str, times: int, amount: int | None):
    shop = Shop()
    number = shop.paid(80, kind, times)[0]
    shop.do("POST", f"/2.0/payins/{number}/refund", {"amount": 30, "tag": "before"})
    found = shop.fetch(number)
    assert (found.payment.amount or None, found.payment.amount_known) == (amount, amount is not None)
    assert [(each.amount, each.status, each.payment) for each in found.refunds] == [(30_00, "succeeded", number)]
    there = shop.do("GET", f"/2.0/payins/{number}")
    again = shown(found.payment.document)
    assert again is not None
    assert again == {name: there[name] for name in again}


def test_the_refunds_our_server_lists_are_read_to_the_last():
    shop = Shop()
    number = shop.paid(150, "BIZUM")[0]
    for _ in range(PER_PAGE + 20):
        shop.do("POST", f"/2.0/payins/{number}/refund", {"amount": 1})
    assert CLIENT.list_refunds is not None
    first = shop._drive(CLIENT.list_refunds(START, {}))
    second = shop._drive(CLIENT.list_refunds(START, first.cursor))
    seen = {each.provider_id for each in (*first.refunds, *second.refunds)}
    assert (len(seen), first.more, second.more) == (PER_PAGE + 20, True, False)
    assert {each.amount for each in first.refunds} == {1_00}
