"""SQL by name: every statement fits the schema, says what it is for, and every key of the schema is a merchant's."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest

import moneyback
from moneyback.core.refund import Event
from moneyback.ids import new_id
from moneyback.store import queries
from moneyback.store.migrate import migrate, migrations
from moneyback.store.postgres import MAPPERS, complete_statements, open_store
from moneyback.store.queries import all_queries, query
from tests.store.engine import Engine, keyed

SQL = {each.name: each.read_text("utf-8") for each in files("moneyback.store").joinpath("sql").iterdir()}
LOOK_UPS = {"credentials", "tokens", "provider_accounts", "hooks"}
"""From what a caller or a provider shows to its merchant: read before the merchant is known."""
BLANKS = {"table": "payments", "filters": "true", "order": "1", "limit": "1", "offset": "0", "direction": "asc"}
"""What a list fills in for itself."""
ONE_ROW = {"clock", "cell", "migrations"}
"""Belong to the cell, not to a merchant."""


async def test_every_statement_is_prepared_on_a_migrated_database(module_database: str):
    connection = await asyncpg.connect(module_database)
    try:
        for name, text in (await complete_statements(connection)).items():
            try:
                await connection.prepare(re.sub(r"\{(\w+)\}", lambda blank: BLANKS[blank[1]], text))
            except asyncpg.PostgresError as error:
                raise AssertionError(f"{name}: {error}") from error
    finally:
        await connection.close()


async def test_every_column_of_a_table_is_mapped(module_database: str):
    """What the store writes in whole rows; the database itself adds only numbers."""
    connection = await asyncpg.connect(module_database)
    try:
        for table, mapper in MAPPERS.values():
            found = await connection.fetch(
                "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped",
                table,
            )
            columns = {row["attname"] for row in found}
            assert columns - set(mapper.all_columns) <= {"id", "xid"}, table
            assert set(mapper.all_columns) <= columns, table
    finally:
        await connection.close()


async def test_no_statement_of_the_engine_finds_another_merchants_rows(module_database: str):
    """Core looks at whose rows it is given as well; here each statement is alone."""
    store = await open_store(module_database, connections_max=1)
    try:
        engine = Engine(store)
        payment = await engine.pay(order="o-1", external=(("x-1", 100),), wallet="w")
        refund = await engine.admit(payment, 300, equality=b"same", key=keyed("k"), armable=True)
        await engine.send(refund)
        await engine.see(await engine.refund(refund), Event.ACCEPTED)
        await engine.sight(payment, "dispute_open", 50, "d-1")
        await engine.sight(payment, "external", 20_000, "x-2")
        [*_, last] = await engine.log(until=5)
        event, seen = last.event, last.cursor
        arguments: dict[str, tuple[object, ...]] = {
            "lock_payments": ([payment.id],),
            "wait_payments": ([payment.id],),
            "existing_payments": ([payment.id],),
            "payments_by_reference": ([payment.account], [payment.reference]),
            "lock_orders": (["native"], ["o-1"]),
            "lock_refunds": ([refund.id],),
            "equal_refunds": ([payment.id], [b"same"]),
            "child_refunds": ([payment.id],),
            "child_externals": ([payment.id],),
            "child_disputes": ([payment.id],),
            "child_cases": ([payment.id],),
            "lock_accounts": (["wallet/w"], ["EUR"]),
            "read_keys": (["native"], ["k"]),
            "read_payment": (payment.id,),
            "read_refund": (refund.id,),
            "read_refunds_of": ([payment.id],),
            "read_attempt": (refund.id, 1),
            "read_key": ("native", "k"),
            "read_events": ("0", 0, 10),
            "event_written_by": (event.object, event.sequence, str(seen.xid)),
        }
        async with store.reading() as connection:
            evidence = await connection.fetchval("select id from evidence where refund_id = $1", refund.id)
            arguments["evidence_written"] = (evidence,)
            for name, rest in arguments.items():
                many = isinstance(rest[0], list)
                for merchant, count in ((engine.merchant, 1), (new_id(), 0)):
                    found = await connection.fetch(store.sql[name], [merchant] if many else merchant, *rest)
                    assert min(len(found), 1) == count, name
    finally:
        await store.close()


async def test_every_key_starts_with_the_merchant_and_every_unique_constraint_has_it(module_database: str):
    connection = await asyncpg.connect(module_database)
    try:
        found = await connection.fetch(
            "select t.relname as table, i.indisprimary as is_key, "
            "array_agg(a.attname::text order by k.place) as columns "
            "from pg_index i join pg_class t on t.oid = i.indrelid and t.relnamespace = 'public'::regnamespace "
            "cross join unnest(i.indkey) with ordinality k (number, place) "
            "join pg_attribute a on a.attrelid = t.oid and a.attnum = k.number "
            "where i.indisunique group by t.relname, i.indexrelid, i.indisprimary"
        )
    finally:
        await connection.close()
    assert {row["table"] for row in found} > LOOK_UPS | ONE_ROW
    for row in found:
        if row["table"] in ONE_ROW or (row["table"] in LOOK_UPS and "merchant_id" not in row["columns"]):
            continue
        assert "merchant_id" in row["columns"], row
        assert row["columns"][0] == "merchant_id" or not row["is_key"], row


@pytest.mark.parametrize("name", sorted(name for name in SQL if name.endswith(".sql")))
def test_every_statement_says_in_a_sentence_what_it_is_for(name: str):
    head, *statements = re.split(r"^-- name: ", SQL[name], flags=re.MULTILINE)
    assert head.startswith("-- "), "a file says what it holds"
    for statement in statements:
        first, sentence, *_ = statement.splitlines()
        assert re.fullmatch(r"\w+", first), first
        assert re.match(r"-- [A-Z]", sentence), first


def test_every_statement_is_used():
    code = "\n".join(path.read_text("utf-8") for path in Path(moneyback.__path__[0]).rglob("*.py"))
    unused = [name for name in all_queries() if f'"{name}"' not in code]
    assert unused == []


def test_a_name_nobody_gave_is_an_error():
    with pytest.raises(KeyError):
        query("no_such_statement")
    assert query("read_now").startswith("-- Both times.")


def test_two_statements_of_one_name_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "sql").mkdir()
    for name in ("a.sql", "b.sql"):
        (tmp_path / "sql" / name).write_text("-- What it holds.\n\n-- name: twice\n-- A sentence.\nselect 1;\n")
    monkeypatch.setattr(queries, "files", lambda _package: tmp_path)
    all_queries.cache_clear()
    try:
        with pytest.raises(ValueError, match="twice"):
            all_queries()
    finally:
        monkeypatch.undo()
        all_queries.cache_clear()


async def test_migrations_are_applied_once_whoever_comes(empty_database: str):
    names = [name for name, _ in migrations()]
    assert await migrate(empty_database, sequences=["tests"]) == names
    assert await migrate(empty_database, sequences=["tests"]) == []
    connection = await asyncpg.connect(empty_database)
    try:
        applied: list[Mapping[str, object]] = await connection.fetch("select name from migrations order by name")
        assert [row["name"] for row in applied] == names == sorted(names)
        assert await connection.fetchval("select nextval('ids_tests')") == 1_000_000_001
    finally:
        await connection.close()
