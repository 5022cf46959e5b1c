"""The bank in PostgreSQL: lost commits, locked rows, broken connections, racing processes."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from moneyback.bank import postgres as module
from moneyback.bank.postgres import PostgresBank
from moneyback.bank.rules import Answer
from tests.bank.calls import NOW, at, get, refund_call, said, told


@pytest.fixture
async def connection(bank_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of an outsider."""
    connection = await asyncpg.connect(bank_dsn)
    yield connection
    await connection.close()


async def refund(bank: PostgresBank, account: str, **members: Any) -> Answer:
    return await bank.handle(account, 4, refund_call(**members), NOW)


async def executed(bank: PostgresBank, account: str, payment: str = "p1") -> int:
    return len((await bank.books(account, payment)).executed)


async def test_the_books_outlive_the_bank(bank_dsn: str, account: str):
    async with PostgresBank(bank_dsn) as bank:
        await refund(bank, account, mark="m1", scenario="pending:30+list_lag:4")
        before = await bank.books(account, "p1")
    async with PostgresBank(bank_dsn) as bank:
        assert await bank.books(account, "p1") == before
        assert before.entries[0].received_at == NOW
        assert said(await refund(bank, account)) == (202, "pending")
        assert await executed(bank, account) == 1


async def test_processes_that_race_for_the_same_keys_execute_each_once(bank_dsn: str, account: str):
    """In two orders, so that rows locked as they come would deadlock."""
    async with PostgresBank(bank_dsn) as one, PostgresBank(bank_dsn) as other:
        calls = [(f"p{n % 40}", f"k{n}") for n in range(400)]
        shuffled = random.Random(7).sample(calls, len(calls))
        answers = await asyncio.gather(
            *(refund(one, account, payment=payment, key=key) for payment, key in calls),
            *(refund(other, account, payment=payment, key=key) for payment, key in shuffled),
        )
        assert {said(each) for each in answers} == {(201, "succeeded")}
        assert [await executed(one, account, f"p{n}") for n in range(40)] == [10] * 40


async def test_numbers_are_given_once_however_many_processes_ask(bank_dsn: str, account: str):
    async with PostgresBank(bank_dsn) as one, PostgresBank(bank_dsn) as other:
        await asyncio.gather(*(refund(bank, account, key=None) for bank in [one, other] * 100))
        numbers = [each.number for each in (await one.books(account, "p1")).entries]
        assert numbers == list(range(1, 201))


class LosesCommit(asyncpg.Connection):  # type: ignore[misc]
    """A connection that breaks between a COMMIT and its answer."""

    def transaction(self, **options: Any) -> Any:
        return LostTransaction(super().transaction(**options), self)


class LostTransaction:
    def __init__(self, transaction: Any, connection: asyncpg.Connection) -> None:
        self._transaction, self._connection = transaction, connection
        self.start, self.rollback = transaction.start, transaction.rollback

    async def commit(self) -> None:
        await self._transaction.commit()
        self._connection.terminate()
        raise asyncpg.ConnectionDoesNotExistError("the connection was closed in the middle of an operation")


async def test_a_lost_commit_is_no_answer(bank_dsn: str, account: str):
    """It may have been executed, so that nobody may hear that nothing was done."""
    async with asyncpg.create_pool(bank_dsn, min_size=1, max_size=1, connection_class=LosesCommit) as pool:
        losing = PostgresBank(pool)
        assert (await refund(losing, account)).reply is None
    async with PostgresBank(bank_dsn) as bank:
        assert await executed(bank, account) == 1
        assert said(await bank.handle(account, 4, get("/keys/k1"), NOW)) == (200, "succeeded")


class LosesRelease(asyncpg.Connection):  # type: ignore[misc]
    """A connection that breaks after a COMMIT was answered, when it goes back to its pool."""

    async def reset(self, **_options: Any) -> None:
        self.terminate()
        raise asyncpg.ConnectionDoesNotExistError("the connection was closed in the middle of an operation")


async def test_a_connection_that_breaks_after_the_commit_says_nothing_about_it(bank_dsn: str, account: str):
    async with asyncpg.create_pool(bank_dsn, min_size=1, max_size=1, connection_class=LosesRelease) as pool:
        assert said(await refund(PostgresBank(pool), account)) == (201, "succeeded")


async def test_a_call_that_cannot_be_written_is_not_taken_and_takes_nobody_along(
    bank_dsn: str, account: str, connection: asyncpg.Connection
):
    await connection.execute("alter table bank.entries add constraint poison check (payment <> 'poison') not valid")
    try:
        async with PostgresBank(bank_dsn) as bank:
            names = ["p1", "p2", "poison", "p3", "p4"]
            answers = await asyncio.gather(*(refund(bank, account, payment=each, key=each) for each in names))
            assert [said(each) for each in answers] == [
                (503, "maintenance") if name == "poison" else (201, "succeeded") for name in names
            ]
            assert [await executed(bank, account, name) for name in names] == [1, 1, 0, 1, 1]
    finally:
        await connection.execute("alter table bank.entries drop constraint poison")


async def test_a_page_that_stays_locked_is_not_waited_for(bank_dsn: str, account: str, connection: asyncpg.Connection):
    async with PostgresBank(bank_dsn) as bank:
        await bank.register(account, told())
    settings = {"lock_timeout": "20ms"}
    async with asyncpg.create_pool(bank_dsn, min_size=1, max_size=1, server_settings=settings) as pool:
        bank = PostgresBank(pool)
        async with connection.transaction():
            await connection.execute("select from bank.pages where account = $1 for update", account)
            assert said(await refund(bank, account)) == (503, "maintenance")
            assert said(await refund(bank, account, payment="p2", key="k2")) == (201, "succeeded")
        assert await executed(bank, account) == 0
        assert said(await refund(bank, account)) == (201, "succeeded")


async def test_a_connection_that_died_before_the_call_costs_nothing_but_an_answer(
    bank_dsn: str, account: str, connection: asyncpg.Connection
):
    async with PostgresBank(bank_dsn) as bank:
        await refund(bank, account)
        await connection.fetch(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'moneyback bank'"
        )
        answers = [said(await refund(bank, account, key="k2")) for _ in range(2)]
        assert answers[0] in [(503, "maintenance"), (201, "succeeded")]
        assert answers[1] == (201, "succeeded")
        assert await executed(bank, account) == 2


async def test_a_bank_that_is_not_open_takes_nothing_and_shows_nothing(bank_dsn: str, account: str):
    bank = await PostgresBank(bank_dsn).open()
    await bank.close()
    assert said(await refund(bank, account)) == (503, "maintenance")
    assert (await bank.handle(account, 4, get("/keys/k1"), NOW)).reply is None
    assert said(await refund(PostgresBank(bank_dsn), account)) == (503, "maintenance")


async def test_a_caller_who_goes_away_cancels_nothing(bank_dsn: str, account: str):
    async with PostgresBank(bank_dsn) as bank:
        leaving = asyncio.ensure_future(refund(bank, account))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert said(await refund(bank, account, key="k2")) == (201, "succeeded")
        assert await executed(bank, account) == 2


async def test_any_number_of_processes_may_migrate_at_once(empty_database: str):
    async def migrate() -> None:
        connection = await asyncpg.connect(empty_database)
        try:
            await PostgresBank.migrate(connection)
        finally:
            await connection.close()

    await asyncio.gather(*(migrate() for _ in range(4)))
    async with PostgresBank(empty_database) as bank:
        assert said(await refund(bank, "a")) == (201, "succeeded")
        await migrate()
        assert await executed(bank, "a") == 1


async def test_everything_of_the_bank_is_in_its_own_schema(empty_database: str):
    connection = await asyncpg.connect(empty_database)
    try:
        await PostgresBank.migrate(connection)
        schemas = await connection.fetch(
            "select distinct schemaname from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        )
    finally:
        await connection.close()
    assert [row["schemaname"] for row in schemas] == ["bank"]


async def test_every_statement_can_be_prepared(connection: asyncpg.Connection):
    statements = module._statements()
    assert len(statements) == 12
    for name, text in statements.items():
        assert text.splitlines()[0].startswith("-- "), f"{name} lacks its sentence"
        await connection.prepare(text)


async def test_notices_are_told_by_whichever_process_asks(bank_dsn: str, account: str):
    async with PostgresBank(bank_dsn) as one, PostgresBank(bank_dsn) as other:
        await one.handle(account, 4, refund_call(scenario="pending:30"), NOW)
        mine = [each for each in await other.notices(at(30)) if each.account == account]
        assert [each.change for each in mine] == ["settled"]
        await one.acknowledge(mine)
        assert [each for each in await other.notices(at(30)) if each.account == account] == []
