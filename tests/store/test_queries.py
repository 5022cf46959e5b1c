"""Statements that are written apart and sent together."""

import asyncpg
import pytest

from moneyback.store.gather import Writes
from moneyback.store.postgres import _arrays, complete_statements
from moneyback.store.queries import together


def test_parameters_follow_one_another():
    written = together(
        ("insert into a select $1, $2, $1", "update b set c = $1", "delete from d where e = $2 or f = $1")
    )
    assert "insert into a select $1, $2, $1" in written
    assert "update b set c = $3" in written
    assert "delete from d where e = $5 or f = $4" in written


async def test_all_that_a_batch_may_write_is_one_statement(module_database: str):
    """The widest there is; PostgreSQL takes it, and every part keeps its own name."""
    connection = await asyncpg.connect(module_database)
    try:
        statements = await complete_statements(connection)
        names = [name for name, _ in _arrays(Writes(), {})]
        prepared = await connection.prepare(together(tuple(statements[name] for name in names)))
        widths = [len((await connection.prepare(statements[name])).get_parameters()) for name in names]
        assert len(prepared.get_parameters()) == sum(widths)
    finally:
        await connection.close()


async def test_together_they_write_all_or_nothing(module_database: str):
    connection = await asyncpg.connect(module_database)
    try:
        await connection.execute("create table one (n int primary key); create table two (n int check (n > 0))")
        both = together(("insert into one select * from unnest($1::int[])", "insert into two values ($1::int)"))
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(both, [1, 2], 0)
        assert await connection.fetchval("select count(*) from one") == 0
        await connection.execute(both, [1, 2], 3)
        assert await connection.fetchval("select (select count(*) from one) * (select sum(n) from two)") == 6
    finally:
        await connection.close()
