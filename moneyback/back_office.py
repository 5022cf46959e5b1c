"""What an operator asks for about a rail at the command line: reconcile it, recover it, import its payments.

Each opens the world on the database, finds the rail, lets one flow do it, and says what came of it in plain data.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.core.money import UnknownCurrency, currency, to_major
from moneyback.core.naming import MERCHANT, PAYMENT, REFUND, inward, outward
from moneyback.dialect import AnswerLost, NotConnected
from moneyback.flows.drift import has_list
from moneyback.flows.import_payments import (
    Imported,
    import_ids,
    import_rows,
    payments_refunded_since,
    read_payments,
)
from moneyback.flows.reconcile import Statement, read_statement, reconcile, span
from moneyback.flows.recover import close_gap, recover_rail
from moneyback.flows.world import Rail
from moneyback.settings import Settings
from moneyback.store.rails import KeptRail
from moneyback.wiring import UserMistake, Wired, learn_rails, prepare_database, vault_of, wired

LIST_BACK: Final = timedelta(days=30)
"""How far back a list is compared unless it is said."""


async def reconcile_rail(
    settings: Settings,
    name: str,
    *,
    merchant: str | None,
    since: datetime | None,
    statement: str | None,
    headings: Mapping[str, str],
) -> Statement:
    """Compare a rail with its provider's list, or with a statement's text. Raises UserMistake."""
    async with _rail(settings, name, merchant) as (parts, kept, rail):
        now = (await parts.world.store.now()).business
        lines = None
        if statement is not None:
            try:
                lines = read_statement(statement, headings)
                first, until = span(lines)
            except ValueError as error:
                raise UserMistake(f"the statement cannot be read: {error}") from error
        elif has_list(rail):
            first, until = now - LIST_BACK, now - rail.client.processing - rail.client.list_lag
        else:
            raise UserMistake(f"{kept.connector} lists no refunds: give its settlement statement with --csv")
        try:
            return await reconcile(
                parts.world, parts.news, kept.merchant, rail, since=since or first, until=until, lines=lines
            )
        except (NotConnected, AnswerLost) as error:
            raise UserMistake(f"the provider's list could not be read to its end: {error}") from error


async def recover(settings: Settings, *, since: datetime | None, name: str | None, merchant: str | None) -> list[Any]:
    """Let rails only look since a time, or go on with those that do; read each gap once. Raises UserMistake."""
    async with _world(settings) as parts:
        rails = await _chosen(parts, name, merchant)
        if since is not None:
            if not rails:
                raise UserMistake("there is no rail to a real provider")
            await parts.news.raise_epoch()
            for each in rails:
                await parts.news.look_only(each.merchant, each.name, since, "told")
        await learn_rails(parts)
        places = {(each.merchant, each.name) for each in rails}
        gaps = [gap for gap in await parts.news.gaps() if (gap.merchant, gap.rail) in places]
        return [
            {"merchant": outward(MERCHANT, gap.merchant), "since": gap.since.isoformat(), **msgspec.to_builtins(done)}
            for gap in gaps
            for done in [await recover_rail(parts.world, parts.news, gap)]
        ]


async def close_by_person(settings: Settings, name: str, *, merchant: str | None, by: str, note: str) -> None:
    """A person has looked at the provider: sending over the rail resumes. Raises UserMistake."""
    async with _world(settings) as parts:
        rails = await _chosen(parts, name, merchant)
        places = {(each.merchant, each.name) for each in rails}
        gaps = [gap for gap in await parts.news.gaps() if (gap.merchant, gap.rail) in places]
        if not gaps:
            raise UserMistake(f"{name} is not looking only")
        for gap in gaps:
            if not await close_gap(parts.news, gap, by, note):
                raise UserMistake(f"{name} was told to look again meanwhile: look at its provider once more")


async def import_payments(
    settings: Settings,
    name: str,
    *,
    merchant: str | None,
    dialect: str | None,
    table: str | None,
    ids: Sequence[str] | None,
    since: datetime | None,
    dry: bool,
    told: Callable[[Imported, int | None], None],
) -> None:
    """Import payments from a table's text, from ids, or all that the provider's list of refunds names since a time.

    `told` hears of each row, and of how many there are. Raises UserMistake.
    """
    async with _rail(settings, name, merchant) as (parts, kept, rail):
        spoken = dialect or kept.connector
        if spoken != "native" and spoken not in parts.world.dialects:
            raise UserMistake(f"no such dialect: {spoken}. There are: native, {', '.join(parts.world.dialects)}")
        where = (parts.world, parts.news, kept.merchant, rail, spoken)
        try:
            if table is not None:
                rows = read_payments(table)
                total, imported = len(rows), import_rows(*where, rows, dry=dry)
            else:
                if rail.client.fetch is None:
                    raise UserMistake(f"payments cannot be fetched from {kept.connector}: give them with --csv")
                if ids is None:
                    assert since is not None
                    if not has_list(rail):
                        raise UserMistake(f"{kept.connector} lists no refunds: give ids with --ids, or --csv")
                    ids = await payments_refunded_since(rail, since)
                total, imported = len(ids), import_ids(*where, ids, dry=dry)
            async for each in imported:
                told(each, total)
        except ValueError as error:
            raise UserMistake(f"the file cannot be read: {error}") from error
        except (NotConnected, AnswerLost) as error:
            raise UserMistake(f"the provider's list could not be read to its end: {error}") from error


@asynccontextmanager
async def _world(settings: Settings) -> AsyncIterator[Wired]:
    assert settings.dsn is not None
    await prepare_database(settings.dsn)
    async with wired(settings.dsn, vault_of(settings)) as parts:
        quiet = msgspec.structs.replace(parts.world, log=_unsaid, warn=_unsaid)  # the command says what came of it
        yield msgspec.structs.replace(parts, world=quiet)


def _unsaid(*_words: object, **_figures: object) -> None:
    """What a service would log."""


@asynccontextmanager
async def _rail(settings: Settings, name: str, merchant: str | None) -> AsyncIterator[tuple[Wired, KeptRail, Rail]]:
    """A rail by its name; where several merchants have one of that name, the merchant must be said."""
    async with _world(settings) as parts:
        found = await _chosen(parts, name, merchant)
        if len(found) > 1:
            owners = ", ".join(outward(MERCHANT, each.merchant) for each in found)
            raise UserMistake(f"several merchants have a rail {name}: say --merchant ({owners})")
        await learn_rails(parts)
        rail = parts.world.rail(found[0].merchant, name)
        if rail.unusable is not None:
            raise UserMistake(f"the rail {name} cannot be used: {rail.unusable}")
        yield parts, found[0], rail


async def _chosen(parts: Wired, name: str | None, merchant: str | None) -> tuple[KeptRail, ...]:
    """The rails meant. Raises UserMistake when there is none of that name."""
    owner: UUID | None = None
    if merchant is not None:
        owner = inward(MERCHANT, merchant)
        if owner is None or not await parts.access.has_merchant(owner):
            raise UserMistake(f"there is no merchant {merchant}")
    assert parts.book is not None
    found = tuple(each for each in await parts.book.all(owner) if name in (None, each.name))
    if name is not None and not found:
        raise UserMistake(f"there is no rail {name}")
    return found


# --- as people read it -----------------------------------------------------------------------------------------------


def statement_data(statement: Statement) -> dict[str, Any]:
    """A comparison as JSON: amounts are integer minor units beside their currency."""
    return {
        "rail": statement.rail,
        "since": statement.since.isoformat(),
        "until": statement.until.isoformat(),
        "clean": statement.clean,
        "agreed": _sums(statement.agreed),
        "differences": [
            {**msgspec.to_builtins(each), "refund": outward(REFUND, each.refund) if each.refund is not None else None}
            for each in statement.differences
        ],
        "doubts": [{**msgspec.to_builtins(each), "refund": outward(REFUND, each.refund)} for each in statement.doubts],
        "in_doubt": _sums(statement.in_doubt),
    }


def statement_lines(statement: Statement) -> list[str]:
    """A comparison in words."""
    lines = [f"{statement.rail}: {statement.since.isoformat()} to {statement.until.isoformat()}"]
    lines += [f"agree     {count:>6}  {_amount(total, code)}" for code, (count, total) in statement.agreed.items()]
    for each in statement.differences:
        ours = f"here {_amount(each.ours, each.currency)}" if each.ours is not None else "not here"
        theirs = f"there {_amount(each.theirs, each.currency)}" if each.theirs is not None else "not there"
        named = outward(REFUND, each.refund) if each.refund is not None else each.payment or "-"
        note = f"  ({each.note})" if each.note else ""
        lines.append(f"{each.kind:<15} {each.provider_id or '-'}  {named}  {theirs}, {ours}{note}")
    for doubt in statement.doubts:
        said = f"{doubt.theirs} there" if doubt.theirs is not None else "not spoken of there"
        amount = _amount(doubt.amount, doubt.currency)
        lines.append(f"{'in doubt':<15} {outward(REFUND, doubt.refund)}  {doubt.state}  {amount}, {said}")
    for code, (count, total) in statement.in_doubt.items():
        lines.append(f"in doubt  {count:>6}  {_amount(total, code)}")
    lines.append("zero differences" if statement.clean else f"{len(statement.differences)} differences")
    return lines


def imported_data(imported: Imported) -> dict[str, Any]:
    """What became of one row, as JSON."""
    payment = outward(PAYMENT, imported.payment) if imported.payment is not None else None
    return {**msgspec.to_builtins(imported), "payment": payment}


def _sums(sums: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    return [{"currency": code, "refunds": count, "amount": total} for code, (count, total) in sums.items()]


def _amount(minor: int, code: str) -> str:
    try:
        return f"{to_major(minor, currency(code))} {code}"
    except UnknownCurrency:
        return f"{minor} minor units of {code}"
