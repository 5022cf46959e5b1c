"""What the bank does with a call, as functions of its books and the time. No I/O, no clock.

The bank executes every call it receives, beyond the captured amount too: whoever pays twice here was told twice. Only
from rung 3 on does it recognise a key, within its window, and answers with the refund as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from moneyback.bank import wire
from moneyback.bank.book import Capture, Change, Entry, Outcome, Page, entry_changes, page_changes
from moneyback.bank.scenario import Scenario, about_payment, parse, spelled
from moneyback.bank.wire import RefundCall
from moneyback.dialect import Reply


class Answer(msgspec.Struct, frozen=True):
    """What reaches the caller: `reply`, or nothing (None), `delay_s` business seconds after the call."""

    reply: Reply | None
    delay_s: float = 0.0


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What a refund call leads to. `entry` None: nothing new in the books."""

    page: Page
    answer: Answer
    entry: Entry | None = None


def take(call: RefundCall, page: Page, same_key: Sequence[Entry], *, rung: int, now: datetime) -> Taken:
    """Execute a refund call, or do what its scenario says instead.

    `page` has its number drawn already (`calls`); `same_key` are the account's entries with the call's key, by age.
    """
    if rung >= wire.RUNG_KEYED and (known := _registered(same_key, now)) is not None:
        return Taken(page=page, answer=_again(call, known, rung, now))
    words, page = _scenario(call, page)
    entry = _entry(call, page, words, rung, now, first=not same_key)
    return Taken(page=page, entry=entry, answer=_answer(entry, rung, now, first=not same_key))


def opened(account: str, told: Capture) -> Page:
    """The page of a payment the bank hears of for the first time."""
    return Page(
        account=account,
        reference=told.reference,
        captured=told.captured,
        captured_at=told.captured_at,
        currency=told.currency,
        scenario=told.scenario,
    )


def told_again(page: Page, told: Capture) -> Page:
    """A known page with the newest word about its capture. A scenario that the page has stays."""
    return replace(
        page,
        captured=told.captured,
        captured_at=told.captured_at,
        currency=told.currency,
        scenario=page.scenario or told.scenario,
    )


def with_scenario(page: Page, scenario: str, *, next_refund: bool) -> Page:
    """The page with a scenario set from outside. Raises ValueError with a sentence for one that cannot be read.

    What concerns the payment itself (dispute, return) is the payment's, also when it is set for the next refund.
    """
    words = parse(scenario)
    if not next_refund:
        return replace(page, scenario=spelled(words))
    return replace(_with_payment_words(page, words), next_scenario=spelled(words))


def changes(page: Page, entry: Entry | None) -> tuple[Change, ...]:
    """All that will change by itself on a page and an entry, for whoever wants to be told."""
    return (*page_changes(page), *(entry_changes(entry) if entry is not None else ()))


# --- taking a call ---------------------------------------------------------------------------------------------------


def _registered(same_key: Sequence[Entry], now: datetime) -> Entry | None:
    return next((each for each in same_key if each.remembers_key(now)), None)


def _again(call: RefundCall, known: Entry, rung: int, now: datetime) -> Answer:
    if (call.payment, call.amount, call.currency) != (known.payment, known.asked, known.currency):
        return Answer(wire.refusal(409, "key_reused", "The key belongs to another refund; nothing was done.", now))
    due = known.received_at + known.words.slow
    return Answer(wire.refund_answer(known, rung, now), max(0.0, (due - now).total_seconds()))


def _scenario(call: RefundCall, page: Page) -> tuple[Scenario, Page]:
    """The words that hold: set for the next refund, else the refund's own, else the payment's."""
    text = page.next_scenario or call.scenario or page.scenario
    if text is None:
        return parse("ok"), page
    words = parse(text)
    return words, replace(_with_payment_words(page, words), next_scenario=None)


def _with_payment_words(page: Page, words: Scenario) -> Page:
    """A dispute or return named for a refund happens to its payment, unless that has its own."""
    has, new = parse(page.scenario or "ok"), about_payment(words)
    if has.dispute is None and new.dispute is not None:
        has = replace(has, dispute=new.dispute, dispute_ends=new.dispute_ends)
    if has.returned is None and new.returned is not None:
        has = replace(has, returned=new.returned)
    merged = spelled(has)
    return page if merged == (page.scenario or "ok") else replace(page, scenario=merged)


def _entry(call: RefundCall, page: Page, words: Scenario, rung: int, now: datetime, *, first: bool) -> Entry:
    return Entry(
        account=page.account,
        payment=page.reference,
        number=page.calls,
        key=call.key,
        mark=call.mark,
        currency=call.currency,
        asked=call.amount,
        amount=call.amount if words.wrong_amount is None else words.wrong_amount,
        received_at=now,
        rung=rung,
        outcome=_outcome(words, first),
        scenario=spelled(words),
    )


def _outcome(words: Scenario, first: bool) -> Outcome:
    """The loss and the question happen to the first call of a key alone, so that calling again leads somewhere."""
    if first and words.lost_answer == "not_executed":
        return Outcome.DROPPED
    if first and words.requires_action:
        return Outcome.ASKED
    return Outcome.DECLINED if words.declined else Outcome.EXECUTED


def _answer(entry: Entry, rung: int, now: datetime, *, first: bool) -> Answer:
    words = entry.words
    delay_s = words.slow.total_seconds()
    if entry.outcome is Outcome.ASKED:
        message = "Say where the money goes and call again with the same key; nothing was done."
        return Answer(wire.refusal(422, "requires_action", message, now), delay_s)
    if first and words.lost_answer is not None:
        return Answer(None, delay_s)
    if first and words.error_after_execution:
        return Answer(wire.refusal(500, "internal", "Something went wrong at the bank.", now), delay_s)
    return Answer(wire.refund_answer(entry, rung, now), delay_s)


# --- reading ---------------------------------------------------------------------------------------------------------


def unreadable(request: wire.Request, rung: int) -> Reply | None:
    """The answer to a reading that this rung does not offer; None when it does."""
    needed = wire.RUNG_LOOK_UP if isinstance(request, wire.ReadKey) else wire.RUNG_READABLE
    if isinstance(request, RefundCall) or rung >= needed:
        return None
    return wire.refusal(404, "not_readable", "This bank does not show that.")


def show_payment(
    account: str, request: wire.ReadPayment, page: Page | None, entries: Sequence[Entry], now: datetime
) -> Reply:
    """A payment's counters. What the caller tells counts as in a refund call, and is not written down."""
    told = request.told
    if page is None and told is None:
        return wire.refusal(404, "no_such_payment", "The bank has not heard of this payment.", now)
    if told is not None:
        page = opened(account, told) if page is None else told_again(page, told)
    assert page is not None
    return wire.payment_page(page, entries, now)


def show_refunds(entries: Sequence[Entry], rung: int, now: datetime) -> Reply:
    """A payment's refunds, as far as lists show them."""
    return wire.refund_list(entries, rung, now)


def show_refund(entry: Entry | None, rung: int, now: datetime) -> Reply:
    """One refund. By its id it can be read at once, whatever lists show."""
    return wire.no_refund(now) if entry is None or not entry.is_refund else wire.refund_page(entry, rung, now)


def show_key(same_key: Sequence[Entry], rung: int, now: datetime) -> Reply:
    """The refund of a key, or that within its window the bank knows none."""
    known = _registered(same_key, now)
    if known is None:
        return wire.refusal(404, "key_unknown", "The key never registered within its window.", now)
    return wire.refund_page(known, rung, now)
