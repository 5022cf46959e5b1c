"""What both banks do alike, in memory and in PostgreSQL."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from moneyback.bank.book import KEY_WINDOW
from moneyback.bank.port import Bank, Notice
from tests.bank.calls import NOW, at, body, get, refund_call, said, told


class Teller:
    """One account at one bank on one rung."""

    def __init__(self, bank: Bank, account: str, rung: int = 4) -> None:
        self.bank, self.account, self.rung = bank, account, rung

    async def refund(self, seconds: float = 0, **members: Any):
        return said(await self.bank.handle(self.account, self.rung, refund_call(**members), at(seconds)))

    async def read(self, path: str, seconds: float = 0, **query: str) -> dict[str, Any]:
        answer = await self.bank.handle(self.account, self.rung, get(path, **query), at(seconds))
        return body(answer.reply)

    async def executed(self, payment: str = "p1") -> list[tuple[str | None, int]]:
        book = await self.bank.books(self.account, payment)
        return [(each.key, each.amount) for each in book.executed]


@pytest.mark.parametrize("rung", range(5))
async def test_a_repeated_call_is_executed_again_unless_its_key_is_known(bank: Bank, account: str, rung: int):
    teller = Teller(bank, account, rung)
    for _ in range(3):
        assert await teller.refund() == (201, "succeeded")
    assert await teller.executed() == [("k1", 500)] * (1 if rung >= 3 else 3)


@pytest.mark.parametrize("rung", range(5))
async def test_concurrent_calls_of_one_key(bank: Bank, account: str, rung: int):
    teller = Teller(bank, account, rung)
    answers = await asyncio.gather(*(teller.refund() for _ in range(20)))
    assert answers == [(201, "succeeded")] * 20
    assert len(await teller.executed()) == (1 if rung >= 3 else 20)


async def test_every_call_is_executed_beyond_the_captured_amount_too(bank: Bank, account: str):
    teller = Teller(bank, account)
    answers = await asyncio.gather(*(teller.refund(key=f"k{n}", amount=400) for n in range(50)))
    assert answers == [(201, "succeeded")] * 50
    book = await bank.books(account, "p1")
    assert book.paid(NOW) == 50 * 400
    assert [each.number for each in book.entries] == list(range(1, 51))
    assert (await teller.read("/payments/p1"))["payment"]["left"] == 0


async def test_the_books_of_two_accounts_never_mix(bank: Bank, account: str):
    one, other = Teller(bank, account), Teller(bank, f"{account}.other")
    await one.refund()
    assert await other.executed() == []
    assert (await other.read("/keys/k1"))["error"] == "key_unknown"
    assert (await other.read("/payments/p1"))["error"] == "no_such_payment"
    assert await other.refund() == (201, "succeeded")
    assert await one.executed() == await other.executed() == [("k1", 500)]


async def test_nothing_of_a_lost_unexecuted_call_can_be_read(bank: Bank, account: str):
    teller = Teller(bank, account)
    assert await teller.refund(scenario="lost_answer:not_executed") is None
    assert (await teller.read("/keys/k1"))["error"] == "key_unknown"
    assert (await teller.read("/payments/p1/refunds"))["refunds"] == []
    assert (await teller.read("/refunds/p1.1"))["error"] == "no_such_refund"
    assert await teller.executed() == []
    assert [each.outcome.value for each in (await bank.books(account, "p1")).entries] == ["dropped"]
    assert await teller.refund(scenario="lost_answer:not_executed") == (201, "succeeded")
    assert await teller.executed() == [("k1", 500)]


async def test_a_lost_executed_call_is_found_by_its_key(bank: Bank, account: str):
    teller = Teller(bank, account)
    assert await teller.refund(scenario="lost_answer:executed+pending:30") is None
    assert (await teller.read("/keys/k1", 29))["refund"]["status"] == "pending"
    assert (await teller.read("/keys/k1", 30))["refund"]["status"] == "succeeded"
    assert (await teller.read("/refunds/p1.1", 30))["refund"]["key"] == "k1"


async def test_a_key_is_forgotten_after_its_window(bank: Bank, account: str):
    teller, late = Teller(bank, account), KEY_WINDOW.total_seconds()
    await teller.refund()
    assert (await teller.read("/keys/k1", late - 1))["refund"]["id"] == "p1.1"
    assert (await teller.read("/keys/k1", late))["error"] == "key_unknown"
    assert await teller.refund(late) == (201, "succeeded")
    assert len(await teller.executed()) == 2


async def test_lists_and_counters_lag_and_the_refund_itself_does_not(bank: Bank, account: str):
    teller = Teller(bank, account, 2)
    await teller.refund(scenario="list_lag:10", mark="m1")
    for seconds, ids, left in [(9, [], 1000), (10, ["p1.1"], 500)]:
        listed = (await teller.read("/payments/p1/refunds", seconds))["refunds"]
        assert [each["id"] for each in listed] == ids
        assert (await teller.read("/payments/p1", seconds))["payment"]["left"] == left
    assert (await teller.read("/refunds/p1.1"))["refund"]["mark"] == "m1"


async def test_a_payment_the_bank_has_not_heard_of_is_shown_as_told_and_not_written_down(bank: Bank, account: str):
    teller = Teller(bank, account, 1)
    page = await teller.read("/payments/p9", captured="700", currency="JPY")
    assert page["payment"] == {
        "reference": "p9",
        "currency": "JPY",
        "captured": 700,
        "refunded": 0,
        "left": 700,
        "disputes": [],
        "returns": [],
    }
    assert (await bank.books(account, "p9")).page is None


async def test_the_scenario_of_the_next_refund_is_used_once(bank: Bank, account: str):
    teller = Teller(bank, account)
    await bank.set_scenario(account, told(), "decline:funds", next_refund=True)
    assert await teller.refund(key="k1") == (402, "failed")
    assert await teller.refund(key="k2") == (201, "succeeded")


async def test_the_scenario_of_a_payment_stays_until_another_is_set(bank: Bank, account: str):
    teller = Teller(bank, account)
    await bank.set_scenario(account, told(scenario="pending:5"), "decline:funds")
    assert await teller.refund(key="k1", payment_scenario="pending:5") == (402, "failed")
    assert await teller.refund(key="k2", payment_scenario="pending:5") == (402, "failed")
    await bank.set_scenario(account, told(), "ok")
    assert await teller.refund(key="k3", payment_scenario="pending:5") == (201, "succeeded")


async def test_the_scenarios_of_next_and_payment_in_one_batch(bank: Bank, account: str):
    teller = Teller(bank, account)
    await bank.set_scenario(account, told(), "pending:5")
    await bank.set_scenario(account, told(), "decline:funds", next_refund=True)
    answers = await asyncio.gather(*(teller.refund(key=f"k{n}") for n in range(3)))
    assert answers == [(402, "failed"), (202, "pending"), (202, "pending")]
    page = (await bank.books(account, "p1")).page
    assert page is not None
    assert (page.scenario, page.next_scenario, page.calls) == ("pending:5", None, 3)


async def test_a_bad_scenario_changes_nothing(bank: Bank, account: str):
    with pytest.raises(ValueError, match="not known"):
        await bank.set_scenario(account, told(), "later")
    assert await Teller(bank, account).refund() == (201, "succeeded")


async def test_nothing_that_is_refused_for_its_shape_is_written_down(bank: Bank, account: str):
    teller = Teller(bank, account)
    good, *bad = await asyncio.gather(
        teller.refund(), teller.refund(amount=0), teller.refund(payment="a\0b"), teller.refund(scenario="x")
    )
    assert good == (201, "succeeded")
    assert bad == [(422, "invalid")] * 3
    assert len((await bank.books(account, "p1")).entries) == 1


# --- notices ---------------------------------------------------------------------------------------------------------


async def told_of(bank: Bank, account: str, seconds: float) -> list[tuple[str, str | None, float]]:
    """This account's notices, acknowledged: what, which refund, when."""
    mine = [each for each in await bank.notices(at(seconds), 1000) if each.account == account]
    await bank.acknowledge(mine)
    return [(each.change, each.refund, (each.at - NOW).total_seconds()) for each in mine]


@pytest.mark.parametrize("rung", range(5))
async def test_what_time_changes_of_a_refund_is_told_until_acknowledged(bank: Bank, account: str, rung: int):
    await Teller(bank, account, rung).refund(scenario="pending:30:late_failure", mark="m1")
    assert [each for each in await bank.notices(at(29), 1000) if each.account == account] == []
    mine = list[Notice]()
    for _ in range(2):
        mine = [each for each in await bank.notices(at(30), 1000) if each.account == account]
        (notice,) = mine
        assert (notice.change, notice.payment, notice.refund, notice.at) == ("settled", "p1", "p1.1", at(30))
        assert (notice.mark, notice.key) == ("m1" if rung >= 2 else None, "k1" if rung >= 3 else None)
    await bank.acknowledge(mine)
    assert await told_of(bank, account, 59) == []
    assert await told_of(bank, account, 60) == [("came_back", "p1.1", 60)]
    assert await told_of(bank, account, 10**6) == []


async def test_notices_come_in_the_order_of_their_times(bank: Bank, account: str):
    teller = Teller(bank, account)
    await teller.refund(key="k1", scenario="pending:50")
    await teller.refund(key="k2", scenario="pending:20")
    await teller.refund(key="k3", scenario="late_failure:30")
    await teller.refund(key="k4")
    assert await told_of(bank, account, 100) == [
        ("settled", "p1.2", 20),
        ("came_back", "p1.3", 30),
        ("settled", "p1.1", 50),
    ]


@pytest.mark.parametrize("how", ["registered", "set", "refund", "payment of a refund"])
async def test_disputes_and_returns_are_told_however_they_were_named(bank: Bank, account: str, how: str):
    words = "dispute:12:lost+return:15"
    match how:
        case "registered":
            await bank.register(account, told(scenario=words))
        case "set":
            await bank.set_scenario(account, told(), words)
        case "refund":
            await Teller(bank, account).refund(scenario=words)
        case _:
            await Teller(bank, account).refund(payment_scenario=words)
    assert await told_of(bank, account, 1) == []
    assert await told_of(bank, account, 2) == [("dispute_opened", None, 2)]
    assert await told_of(bank, account, 100) == [("returned", None, 5), ("dispute_decided", None, 14)]
    await Teller(bank, account).refund(100, key="k9", payment_scenario=words)
    assert await told_of(bank, account, 10**6) == []


async def test_a_dispute_that_is_not_named_any_more_is_not_told(bank: Bank, account: str):
    await bank.set_scenario(account, told(), "dispute:12")
    await bank.set_scenario(account, told(), "return:20")
    assert await told_of(bank, account, 100) == [("returned", None, 10)]


async def test_a_change_that_was_moved_is_told_again(bank: Bank, account: str):
    await bank.set_scenario(account, told(), "dispute:12")
    assert await told_of(bank, account, 100) == [("dispute_opened", None, 2)]
    await bank.set_scenario(account, told(), "dispute:13")
    assert await told_of(bank, account, 100) == [("dispute_opened", None, 3)]


async def test_registering_again_tells_nothing_again(bank: Bank, account: str):
    seen = []
    for _ in range(2):
        await bank.register(account, told(scenario="return:10"))
        seen.append(await told_of(bank, account, 100))
    assert seen == [[("returned", None, 0)], []]


async def test_notices_are_limited(bank: Bank, account: str):
    teller = Teller(bank, account)
    far = timedelta(days=3000).total_seconds()
    for n in range(3):
        await teller.refund(-far, key=f"k{n}", scenario=f"pending:{n + 1}")
    limited = await bank.notices(at(-far + 10), 2)
    assert [each.refund for each in limited if each.account == account] == ["p1.1", "p1.2"]
    assert len(await told_of(bank, account, -far + 10)) == 3
