"""Keeping a rail: what is asked for is checked against its connector, then kept with its credentials sealed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from moneyback.flows.world import World
from moneyback.store.rails import KeptRail, RailBook


class RailRefused(Exception):
    """The rail cannot be kept as asked for; the message says why, and quotes no credential."""


async def keep_rail(world: World, book: RailBook, merchant: UUID, asked: Mapping[str, Any]) -> KeptRail:
    """Keep a rail of this merchant, or change the one of that name.

    `asked` has name, connector, account, settings and credentials. Raises RailRefused, AccountTaken, StoreUnavailable.
    """
    dialect = world.dialects.get(asked["connector"])
    if dialect is None or dialect.client is None:
        connectors = [name for name, each in world.dialects.items() if each.client is not None]
        raise RailRefused(f"no such connector: {asked['connector']}. There are: {', '.join(connectors) or 'none'}")
    needed, given = set(dialect.client.credentials), asked["credentials"]
    if not needed <= set(given) <= needed | set(dialect.client.optional):
        more = f" and may be given {', '.join(sorted(dialect.client.optional))}" if dialect.client.optional else ""
        names = ", ".join(sorted(needed)) or "none"
        raise RailRefused(f"{asked['connector']} needs these credentials: {names}{more}")
    if unfit := sorted(name for name, text in given.items() if not _fits_a_header(text)):
        raise RailRefused(f"these credentials are empty, or hold what no header can: {', '.join(unfit)}")
    if asked["name"] in world.rails:
        raise RailRefused(f"{asked['name']} is a built-in rail; choose another name")
    try:
        kept = msgspec.convert({"merchant": merchant, **asked}, KeptRail)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        field = where.rstrip("`").rpartition(".")[2]
        raise RailRefused(f"{field}: {what}" if field else what) from error
    await book.add(kept)
    return kept


def _fits_a_header(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and text == text.strip()
