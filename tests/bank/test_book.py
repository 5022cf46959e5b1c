"""What entries and pages amount to at a time: nothing in the books changes, only the time that is asked about."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from moneyback.bank.book import Book, Entry, Outcome, Page, dispute_of, entry_changes, left, page_changes, return_of
from moneyback.bank.scenario import parse
from tests.bank.calls import CAPTURED_AT, NOW, at


def an_entry(scenario: str, **members: Any) -> Entry:
    facts: dict[str, Any] = {
        "account": "a",
        "payment": "p1",
        "number": 1,
        "key": "k",
        "mark": None,
        "currency": "EUR",
        "asked": 500,
        "amount": parse(scenario).wrong_amount or 500,
        "received_at": NOW,
        "rung": 4,
        "outcome": Outcome.DECLINED if parse(scenario).declined else Outcome.EXECUTED,
        "scenario": scenario,
    }
    return Entry(**(facts | members))


def a_page(scenario: str | None = None, captured_at: datetime | None = CAPTURED_AT) -> Page:
    return Page(account="a", reference="p1", captured=1000, captured_at=captured_at, currency="EUR", scenario=scenario)


@pytest.mark.parametrize(
    ("scenario", "seconds", "status", "since"),
    [
        ("ok", 0, "succeeded", 0),
        ("ok", 10**8, "succeeded", 0),
        ("pending:30", 29.999999, "pending", 0),
        ("pending:30", 30, "succeeded", 30),
        ("pending:30:decline", 29, "pending", 0),
        ("pending:30:decline", 30, "failed", 30),
        ("decline:x", 0, "failed", 0),
        ("late_failure:60", 59, "succeeded", 0),
        ("late_failure:60", 60, "returned", 60),
        ("late_failure:0", 0, "returned", 0),
        ("pending:30:late_failure", 29, "pending", 0),
        ("pending:30:late_failure", 59, "succeeded", 30),
        ("pending:30:late_failure", 60, "returned", 60),
        ("pending:30+late_failure:5", 34, "succeeded", 30),
        ("pending:30+late_failure:5", 35, "returned", 35),
        ("pending:30:late_failure+late_failure:5", 35, "returned", 35),
    ],
)
def test_the_status_at_a_time(scenario: str, seconds: float, status: str, since: float):
    entry = an_entry(scenario)
    assert (entry.status(at(seconds)), entry.changed_at(at(seconds))) == (status, at(since))


@pytest.mark.parametrize(
    ("scenario", "seconds", "listed"), [("ok", 0, True), ("list_lag:10", 9.999999, False), ("list_lag:10", 10, True)]
)
def test_lists_lag(scenario: str, seconds: float, listed: bool):
    assert an_entry(scenario).listed(at(seconds)) is listed


@pytest.mark.parametrize("outcome", [Outcome.ASKED, Outcome.DROPPED])
def test_a_call_without_a_refund_is_on_no_list_and_leaves_its_key_free(outcome: Outcome):
    entry = an_entry("ok", outcome=outcome)
    assert not entry.is_refund
    assert not entry.listed(at(100))
    assert not entry.remembers_key(NOW)


def test_a_key_is_remembered_for_a_day():
    entry = an_entry("ok")
    assert entry.remembers_key(NOW + timedelta(hours=24) - timedelta(microseconds=1))
    assert not entry.remembers_key(NOW + timedelta(hours=24))
    assert not an_entry("ok", key=None).remembers_key(NOW)


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("funds", "funds"),
        ("policy", "policy"),
        ("not_sent", "not_sent"),
        ("001999", "declined"),
        ("nonsense", "declined"),
    ],
)
def test_a_code_that_is_a_class_is_the_class(code: str, failure: str):
    assert an_entry(f"decline:{code}").failure == failure


# Captured ten seconds before NOW: (scenario, seconds, dispute status, since, return, left)
PAGES = [
    (None, 0, None, None, False, 1000),
    ("dispute:12", 1.999999, None, None, False, 1000),
    ("dispute:12", 2, "open", 2, False, 1000),
    ("dispute:12", 10**6, "open", 2, False, 1000),
    ("dispute:12:won", 13, "open", 2, False, 1000),
    ("dispute:12:won", 14, "won", 14, False, 1000),
    ("dispute:12:lost", 13, "open", 2, False, 1000),
    ("dispute:12:lost", 14, "lost", 14, False, 0),
    ("dispute:0:lost", -10, "lost", -10, False, 0),
    ("return:11", 0, None, None, False, 1000),
    ("return:11", 1, None, None, True, 0),
    ("slow:1", 10**6, None, None, False, 1000),
]


@pytest.mark.parametrize(("scenario", "seconds", "status", "since", "back", "rest"), PAGES)
def test_what_happens_to_the_payment_itself(
    scenario: str | None, seconds: float, status: str | None, since: float | None, back: bool, rest: int
):
    page, now = a_page(scenario), at(seconds)
    dispute, bank_return = dispute_of(page, now), return_of(page, now)
    assert (dispute and dispute.status, dispute and dispute.changed_at) == (
        status,
        None if since is None else at(since),
    )
    assert dispute is None or (dispute.reference, dispute.amount) == ("p1.dispute", 1000)
    assert (bank_return is not None) is back
    assert bank_return is None or (bank_return.reference, bank_return.amount) == ("p1.return", 1000)
    assert left(page, (), now) == rest


def test_nothing_happens_to_money_that_was_not_captured():
    page = a_page("dispute:0:lost+return:0", captured_at=None)
    assert list(page_changes(page)) == []
    assert dispute_of(page, at(100)) is None
    assert return_of(page, at(100)) is None


def test_the_counter_counts_what_was_paid_and_stayed_paid():
    entries = (
        an_entry("ok", amount=100),
        an_entry("decline:x", amount=7),
        an_entry("pending:5", amount=200),
        an_entry("late_failure:8", amount=300),
        an_entry("ok", amount=9, outcome=Outcome.DROPPED),
        an_entry("list_lag:2", amount=50),
    )
    page = a_page()
    assert [left(page, entries, at(s)) for s in (0, 2, 5, 8)] == [600, 550, 350, 650]
    assert [Book(page, entries).paid(at(s)) for s in (0, 2, 5, 8)] == [450, 450, 650, 350]


def test_more_than_was_captured_leaves_nothing_and_is_written_down():
    entries = (an_entry("ok", amount=900), an_entry("ok", amount=900, number=2))
    assert left(a_page(), entries, NOW) == 0
    assert Book(a_page(), entries).paid(NOW) == 1800
    assert len(Book(a_page(), entries).executed) == 2


@pytest.mark.parametrize(
    ("scenario", "changes"),
    [
        ("ok", []),
        ("pending:0", []),
        ("decline:x", []),
        ("pending:3", [("settled", 3)]),
        ("pending:3:decline", [("settled", 3)]),
        ("late_failure:4", [("came_back", 4)]),
        ("pending:3:late_failure", [("settled", 3), ("came_back", 6)]),
    ],
)
def test_what_changes_by_itself_is_planned(scenario: str, changes: list[tuple[str, float]]):
    planned = [(each.what, each.at, each.number) for each in entry_changes(an_entry(scenario))]
    assert planned == [(what, at(seconds), 1) for what, seconds in changes]
