"""Plain SQL migrations: numbered files, forward only, each recorded in its own transaction, under one advisory lock."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

import asyncpg

from moneyback.store.postgres import row_types

MIGRATION_LOCK = 0x6D6F6E6579
FIRST_NUMBER = 1_000_000_001
"""Sandbox and twin ids have ten digits."""


def migrations() -> list[tuple[str, str]]:
    """(name, SQL) of every migration, in order."""
    found = files("moneyback.store").joinpath("migrations").iterdir()
    return sorted((each.name, each.read_text("utf-8")) for each in found if each.name.endswith(".sql"))


async def migrate(dsn: str, *, sequences: Iterable[str] = ()) -> list[str]:
    """Bring a database up to date; returns the names of the migrations applied now.

    `sequences` are the dialects whose ids are numbers. Two processes may call this at once: one waits for the other.
    Raises OSError or an asyncpg error when there is no database.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("select pg_advisory_lock($1)", MIGRATION_LOCK)
        applied = await _apply_missing(connection)
        await _make_row_types(connection)
        for dialect in sequences:
            name = await connection.fetchval("select quote_ident($1)", sequence_name(dialect))
            await connection.execute(f"create sequence if not exists {name} start {FIRST_NUMBER}")
        return applied
    finally:
        await connection.close()


def sequence_name(dialect: str) -> str:
    """The sequence a dialect's numeric ids are drawn from."""
    return f"ids_{dialect}"


async def _make_row_types(connection: asyncpg.Connection) -> None:
    """The types in which this version sends its rows. Those of other versions stay: they may still be running."""
    for name, members in (await row_types(connection)).values():
        if await connection.fetchval("select to_regtype($1)", name) is None:
            await connection.execute(f"create type {name} as ({members})")


async def _apply_missing(connection: asyncpg.Connection) -> list[str]:
    await connection.execute(
        "create table if not exists migrations "
        "(name text primary key, applied_at timestamptz not null default clock_timestamp())"
    )
    known = {row["name"] for row in await connection.fetch("select name from migrations")}
    applied = []
    for name, sql in migrations():
        if name in known:
            continue
        async with connection.transaction():
            await connection.execute(sql)
            await connection.execute("insert into migrations (name) values ($1)", name)
        applied.append(name)
    return applied
