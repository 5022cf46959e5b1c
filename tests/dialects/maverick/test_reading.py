"""Maverick's records as its client reads them: an original met for the first time, captures, the list of refunds."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.commands import Sighting
from moneyback.core.payment import Parts
from moneyback.dialect import AnswerLost, Fetched, Figures, Listed, NotConnected, Reply, SeenRefund
from moneyback.dialects.maverick.listing import list_refunds
from moneyback.dialects.maverick.reading import fetch, read
from moneyback.dialects.maverick.wire import MONEY_BACK
from tests.dialects.loopback import a_payment, answer_with, as_reply
from tests.dialects.maverick.test_client import error, original, shown

AT = datetime(2026, 3, 2, 9, 30, 1, tzinfo=UTC)
SINCE = datetime(2026, 3, 1, tzinfo=UTC)


def capture(number: int = 881, amount: str = "100.00", status: str = "Approved", **members: Any) -> dict[str, Any]:
    return shown(status, id=number, amount=amount, type="Capture", **members)


def fetched(*children: dict[str, Any], asked: tuple[dict[str, Any], ...] = (), **members: Any) -> Fetched:
    """The payment of an original with these children, of which some are `asked` for."""
    replies = [as_reply(200, each) for each in asked]
    found = answer_with(fetch("882"), as_reply(200, original(*children) | members), *replies)
    assert isinstance(found, Fetched)
    return found


# --- originals --------------------------------------------------------------------------------------------------------


def test_a_sale():
    record = original(capture(), externalId="o-1", extra={"rate": 1.50, "odd": "a\0b"})
    found = answer_with(fetch("882"), as_reply(200, record))
    assert (found.reference, found.captured_at, found.refunds, found.left) == ("882", AT, (), None)
    payment = found.payment
    assert (payment.amount, payment.currency, payment.status) == (100_00, "USD", "captured")
    assert (payment.dialect_id, payment.method, payment.parts, payment.fees) == ("882", "card", None, 0)
    kept = {**record, "extra": {"rate": "1.5", "odd": "ab"}}
    assert payment.document == {"record": kept, "terminal_id": 24}


def test_a_sale_without_a_listed_capture_was_captured_as_a_whole():
    assert fetched().payment.amount == 100_00


@pytest.mark.parametrize(
    ("captures", "amount"),
    [
        ([capture(amount="60.00")], 60_00),
        ([capture(amount="60.00"), capture(883, "30.00")], 90_00),
        ([capture(amount="60.00"), capture(883, "30.00", "Declined")], 60_00),
        ([capture(amount="60.00"), capture(883, "30.00", "InProgress")], 60_00),
        ([capture(amount="60.00"), capture(884, "30.00", "Error")], 60_00),
    ],
)
def test_what_was_captured_is_told_by_the_captures(captures: list[dict[str, Any]], amount: int):
    asked = tuple(captures) if len(captures) > 1 else ()
    assert fetched(*captures, asked=asked).payment.amount == amount


def test_what_was_captured_stays_so_when_its_original_no_longer_says_it():
    """Maverick does not say what an original shows of a capture once all of it was given back."""
    done, back = capture(), shown(amount="100.00")
    found = fetched(done, back, asked=(back, done), captured=False, refunded=True)
    assert (found.payment.status, found.payment.amount) == ("captured", 100_00)
    assert [each.amount for each in found.refunds] == [100_00]
    failed = capture(status="Declined")
    assert fetched(failed, asked=(failed,), captured=False).payment.status == "authorized"


def test_captures_that_all_failed_are_still_under_way():
    captures = (capture(status="Declined"), capture(883, status="InProgress"))
    found = fetched(*captures, asked=captures)
    assert (found.payment.status, found.payment.amount, found.captured_at) == ("processing", 100_00, None)


@pytest.mark.parametrize(
    ("status", "members", "expected"),
    [
        ("Approved", {"captured": False}, "authorized"),
        ("Approved", {"captured": False, "refunded": True}, "failed"),
        ("InProgress", {"captured": False}, "processing"),
        ("InProgress", {}, "processing"),
        ("Declined", {"captured": False}, "failed"),
        ("Decline", {"captured": False}, "failed"),
        ("Error", {"captured": False}, "failed"),
        ("Void", {"captured": False}, "failed"),
        ("Declined", {}, "failed"),
    ],
)
@pytest.mark.parametrize("bare", [True, False])
def test_how_far_an_original_got(status: str, members: dict[str, Any], expected: str, bare: bool):
    said: Any = status if bare else {"status": status, "reason": None}
    found = fetched(status=said, **members)
    assert (found.payment.status, found.payment.amount) == (expected, 100_00)
    assert (found.captured_at, found.refunds) == (None, ())


def test_a_reversal_is_no_refund():
    """Nothing had come in, so nothing went back."""
    void = shown(amount="100.00", authCode="TAS342")
    found = fetched(void, asked=(void,), captured=False)
    assert (found.payment.status, found.refunds) == ("failed", ())


@pytest.mark.parametrize(
    ("status", "reason", "expected", "code"),
    [
        ("Approved", None, "succeeded", None),
        ("InProgress", None, "pending", None),
        ("Declined", "Insufficient Funds", "failed", "Insufficient Funds"),
        ("Decline", None, "failed", None),
        ("Declined", "Possible Duplicate Request", "failed", "Possible Duplicate Request"),
        ("Error", MONEY_BACK, "returned", None),
    ],
)
def test_refunds_made_before(status: str, reason: str | None, expected: Any, code: str | None):
    child = shown(status, reason)
    (found,) = fetched(child, asked=(child,)).refunds
    assert found == SeenRefund(
        provider_id="883", payment="882", amount=1_99, currency="USD", status=expected, code=code, at=AT
    )


@pytest.mark.parametrize(("status", "reason"), [("Error", "Time out"), ("Error", None), ("Void", None)])
def test_a_return_nobody_can_explain_counts_neither_way(status: str, reason: str | None):
    child = shown(status, reason)
    assert fetched(child, asked=(child,)).refunds == ()


@pytest.mark.parametrize(
    ("order", "parts"),
    [
        (None, None),
        ({"id": "o-1"}, None),
        (
            {"subtotal": "95.00", "tax": 8, "discounts": {"amount": "3.00"}},
            Parts(subtotal=95_00, tax=8_00, discount=3_00),
        ),
        ({"subtotal": 90.5, "shipping": "4"}, Parts(subtotal=90_50, shipping=4_00)),
    ],
)
def test_the_orders_amounts(order: Any, parts: Parts | None):
    assert fetched(order=order).payment.parts == parts


@pytest.mark.parametrize("number", ["", "x", "a/b", "٣", "-1", "007", "1.0"])
def test_what_is_no_id_is_not_asked_for(number: str):
    assert answer_with_nothing(number) is None


def answer_with_nothing(number: str) -> Any:
    with pytest.raises(StopIteration) as ended:
        next(fetch(number))
    return ended.value.value


def test_what_is_not_there():
    assert answer_with(fetch("882"), error(404)) is None


@pytest.mark.parametrize("kind", ["Capture", "Return", "CardAuthentication", "GenerateToken"])
def test_a_record_that_is_no_original_is_no_payment(kind: str):
    assert answer_with(fetch("882"), as_reply(200, original(type=kind, parent={"id": 1}))) is None


def test_a_sale_may_be_called_one():
    assert fetched(type="Sale").payment.amount == 100_00


CHILD = as_reply(200, shown())
LOST: list[tuple[Reply | Exception, ...]] = [
    *((error(status),) for status in (400, 401, 403, 422, 429, 500, 503)),
    (Reply(status=404, body=b"<html>"),),
    (Reply(status=200, body=b"{}"),),
    (as_reply(200, original(id=1)),),
    (as_reply(200, original(amount="many")),),
    (as_reply(200, original(terminal={"id": None})),),
    (as_reply(200, original(terminal={"id": "x"})),),
    (as_reply(200, original(status={"status": "Unheard", "reason": None})),),
    (as_reply(200, original(shown())), error(404)),
    (as_reply(200, original(shown())), as_reply(200, shown(parent={"id": 1}))),
    (as_reply(200, original(shown())), as_reply(200, shown(amount="1.999"))),
    (as_reply(200, original(capture(), capture(884))), as_reply(200, capture()), error(500)),
]


@pytest.mark.parametrize("replies", LOST, ids=str)
def test_what_is_not_shown_as_a_whole_is_not_known(replies: tuple[Reply | Exception, ...]):
    with pytest.raises(AnswerLost):
        answer_with(fetch("882"), *replies)


@pytest.mark.parametrize("thrown", [NotConnected(), AnswerLost()])
def test_no_answer_is_nobodys_to_explain_here(thrown: Exception):
    with pytest.raises(type(thrown)):
        answer_with(fetch("882"), thrown)


# --- captured further -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("known", "seen"), [(60_00, 90_00), (90_00, None), (95_00, None)])
def test_captures_since_we_looked_are_told_before_sending(known: int, seen: int | None):
    captures = [capture(amount="60.00"), capture(884, "30.00")]
    child = shown(amount="10.00")
    asked = [child] if known == 90_00 else [child, *captures]
    replies = [as_reply(200, each) for each in (original(*captures, child), *asked)]
    figures = answer_with(read(a_payment("882", known, "USD")), *replies)
    sightings = () if seen is None else (Sighting(kind="captured", amount=seen, reference="882"),)
    assert figures == Figures(left=80_00, refund_ids=("883",), sightings=sightings)


# --- the list ---------------------------------------------------------------------------------------------------------


def page(*items: dict[str, Any], now: int = 1, of: int = 1, **members: Any) -> Reply:
    meta = {"totalCount": 99, "pageCount": of, "currentPage": now, "perPage": 50}
    return as_reply(200, {"items": list(items), "_links": {}, "_meta": meta, **members})


def listed(cursor: dict[str, Any], *replies: Reply) -> Listed:
    found: Listed = answer_with(list_refunds(SINCE, cursor), *replies)
    return found


def test_the_call():
    call = next(list_refunds(SINCE, {}))
    assert (call.method, call.path) == ("GET", "/payments")
    assert dict(call.query) == {
        "filter[type][eq]": "Return",
        "filter[createdOn][gte]": "2026-03-01 00:00:00",
        "per-page": "50",
        "page": "1",
    }


def test_page_by_page_and_from_a_little_before_the_youngest():
    first = listed({}, page(shown(createdOn="2026-03-02 12:00:00"), now=1, of=2))
    assert (first.more, first.cursor) == (
        True,
        {"after": "2026-03-01 00:00:00", "page": 2, "youngest": "2026-03-02 12:00:00"},
    )
    call = next(list_refunds(SINCE, first.cursor))
    assert (dict(call.query)["page"], dict(call.query)["filter[createdOn][gte]"]) == ("2", "2026-03-01 00:00:00")
    second = listed(dict(first.cursor), page(shown(id=880, createdOn="2026-03-02 11:00:00"), now=2, of=2))
    assert (second.more, second.cursor) == (False, {"after": "2026-03-02 11:55:00"})
    assert [each.provider_id for each in (*first.refunds, *second.refunds)] == ["883", "880"]


def test_an_empty_list_begins_there_again():
    assert listed({}, page(of=0)) == Listed(cursor={"after": "2026-03-01 00:00:00"})
    later = {"after": "2026-03-02 09:28:00"}
    assert listed(later, page(shown())).cursor == later  # never back


def test_without_figures_a_full_page_has_another_after_it():
    items = [shown(id=number) for number in range(50)]
    assert listed({}, as_reply(200, {"items": items})).more
    assert not listed({}, as_reply(200, {"items": items[1:]})).more


def test_what_was_reversed_before_its_capture_is_left_out():
    """Of Returns with an authorisation code the original is asked, once a page."""
    items = [shown(), *(shown(id=number, authCode="TAS342", parent={"id": 870}) for number in (884, 885))]
    for captured, expected in ((True, ["883", "884", "885"]), (False, ["883"])):
        found = listed({}, page(*items), as_reply(200, original(id=870, captured=captured)))
        assert [each.provider_id for each in found.refunds] == expected


@pytest.mark.parametrize(
    "reply",
    [
        page(shown(), shown(id=884, type="Auth")),
        page(shown(createdOn="2026-02-28 23:59:59")),
        page(shown(createdOn=None)),
        page(shown() | {"status": None}),
        as_reply(200, [shown()]),
        as_reply(200, {"items": None}),
        error(422),
        error(500),
        Reply(status=200, body=b"<html>"),
    ],
    ids=lambda reply: f"{reply.status} {reply.body[-60:]!r}",
)
def test_a_list_of_anything_else_is_not_trusted(reply: Reply):
    with pytest.raises(AnswerLost):
        listed({}, reply)


AGES = st.lists(st.integers(min_value=0, max_value=10_000), max_size=120)


@given(AGES, AGES, st.randoms(use_true_random=False))
def test_whatever_the_order_nothing_that_was_there_is_missed(before: list[int], meanwhile: list[int], chance: Any):
    """Rows keep arriving while the pages are read, newest first, oldest first or in any order."""
    rows = [(age, number) for number, age in enumerate(before, start=1)]
    arriving = [(age, number) for number, age in enumerate(meanwhile, start=1_000)]
    key = chance.choice([lambda row: row, lambda row: (-row[0], -row[1])])
    seen: set[str] = set()
    cursor: dict[str, Any] = {}
    for _ in range(20):
        number = int(cursor.get("page", 1))
        ordered = sorted(rows, key=key)
        pages = -(-len(ordered) // 50)
        items = [
            shown(id=row, createdOn=(SINCE + timedelta(seconds=age)).strftime("%Y-%m-%d %H:%M:%S"))
            for age, row in ordered[50 * (number - 1) : 50 * number]
        ]
        found = listed(cursor, page(*items, now=number, of=pages))
        seen |= {each.provider_id for each in found.refunds}
        cursor = json.loads(json.dumps(dict(found.cursor)))
        if not found.more:
            break
        youngest = max(age for age, _ in rows)
        rows += [(youngest + age, row) for age, row in arriving[:7]]
        arriving = arriving[7:]
    assert seen >= {str(number) for number in range(1, len(before) + 1)}
