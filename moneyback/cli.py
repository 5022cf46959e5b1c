"""The `moneyback` command. It reads what a person typed, calls one thing, and says what came of it.

Imports are late, so that `--help` answers at once. A user's mistake is one sentence and an exit code, no traceback.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

if TYPE_CHECKING:
    from moneyback.settings import Settings

app = typer.Typer(
    name="moneyback",
    help="Give money back through any provider: at most once, never lost, never more than came in.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
keys = typer.Typer(help="Keys of the native API.", no_args_is_help=True)
app.add_typer(keys, name="keys")
rails = typer.Typer(help="Rails: accounts at real providers, over which refunds are executed.", no_args_is_help=True)
app.add_typer(rails, name="rails")
endpoints = typer.Typer(help="Endpoints: where a merchant's own programs are told of events.", no_args_is_help=True)
app.add_typer(endpoints, name="endpoints")

out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)  # what is printed is data, brackets and all
err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)

DataDir = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Where Moneyback keeps its data [default: $XDG_DATA_HOME/moneyback]."),
]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")]
Workers = Annotated[int | None, typer.Option(min=1, max=64, help="API processes [default: the cores, at most 4].")]
ReadyFile = Annotated[
    Path | None,
    typer.Option("--ready-file", metavar="FILE", help="Written when all is ready [default: DIR/ready.json]."),
]
Merchant = Annotated[str | None, typer.Option(help="Whose rail, where several have one of that name (mer_…).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def sandbox(
    host: Host = "127.0.0.1",
    port: Port = 8900,
    workers: Workers = None,
    data: DataDir = None,
    ready_file: ReadyFile = None,
) -> None:
    """A demo merchant with payments to refund in every dialect, at a bank that only pretends. Keeps what you do."""
    _serve(host, port, workers, data, ready_file, sandbox=True, with_worker=True)


@app.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8900,
    workers: Workers = None,
    data: DataDir = None,
    ready_file: ReadyFile = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Answer requests only; run `moneyback worker`.")
    ] = False,
) -> None:
    """Serve the native API and every dialect. With MONEYBACK_DATABASE_URL on that PostgreSQL, else on its own."""
    _serve(host, port, workers, data, ready_file, sandbox=False, with_worker=not no_worker)


@app.command()
def twin(
    provider: Annotated[str, typer.Argument(help="Which provider: the name of a dialect.")],
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port [default: 9001 and up, one a dialect].")
    ] = None,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="NAME:P", help="A fault and its probability. Repeat.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed meets the same faults again.")] = 0,
    clock: Annotated[bool, typer.Option(help="Let /_control/clock move the clock.")] = True,
    slow_seconds: Annotated[float, typer.Option(min=0, max=3600, help="How late a slow answer is.")] = 35.0,
    lag_seconds: Annotated[int, typer.Option(min=0, max=86_400, help="How long lists lag.")] = 10,
    host: Host = "127.0.0.1",
    data: DataDir = None,
    ready_file: ReadyFile = None,
) -> None:
    """One provider's double at the root of a port: its refund API on a bank that pretends, with faults and a clock."""
    from moneyback.api.twin import read_faults
    from moneyback.dialects import load_dialects
    from moneyback.settings import settings_from_environment

    known = load_dialects()
    if provider not in known:
        _fail(f"no such provider: {provider}. There are: {', '.join(known)}")
    try:
        chances = read_faults(fault or [])
    except ValueError as error:
        _fail(str(error))
    _serve(
        host,
        port or known[provider].twin_port,
        1,
        data or Path(settings_from_environment().data_dir) / "twins" / provider,
        ready_file,
        sandbox=True,
        with_worker=True,
        twin=provider,
        faults=chances,
        seed=seed,
        slow_s=slow_seconds,
        lag_s=lag_seconds,
        movable=clock,
    )


@app.command()
def worker(data: DataDir = None) -> None:
    """Do the background work without answering requests: send what waits, look at what is in doubt."""
    from moneyback.processes import database
    from moneyback.settings import with_master_key
    from moneyback.wiring import work_until_stopped

    with _plainly(), database(_settings(data)) as (settings, cluster):
        asyncio.run(work_until_stopped(with_master_key(settings, own_database=cluster is not None)))


@app.command()
def migrate(data: DataDir = None, as_json: AsJson = False) -> None:
    """Bring the database up to date. Safe to repeat, and safe to run while Moneyback serves."""
    from moneyback.processes import database
    from moneyback.wiring import prepare_database

    with _plainly(), database(_settings(data)) as (settings, _):
        applied = asyncio.run(prepare_database(_dsn(settings)))
    if as_json:
        _print_json({"applied": applied})
    else:
        out.print("\n".join(f"applied {name}" for name in applied) or "up to date")


@app.command()
def verify(data: DataDir = None, as_json: AsJson = False) -> None:
    """Recompute every balance and counter from the ledger's movements. Prints what differs; nothing should."""
    from moneyback.processes import database
    from moneyback.store.verify import verify as compare

    with _plainly(), database(_settings(data)) as (settings, _):
        report = asyncio.run(compare(_dsn(settings)))
    if as_json:
        _print_json(report.as_json())
    else:
        out.print(str(report))
    raise typer.Exit(0 if report.clean else 1)


@app.command()
def reconcile(
    rail: Annotated[str, typer.Argument(help="The rail's name.")],
    since: Annotated[
        str | None, typer.Option(help="From when on, like 2026-01-31 [default: 30 days, or the statement's first].")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A settlement statement instead of the provider's list.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=HEADING", help="Which heading of the statement is which column. Repeat."),
    ] = None,
    merchant: Merchant = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare a rail's refunds with its provider's, line by line. Ends with 0 when nothing differs, else with 1."""
    from moneyback.back_office import reconcile_rail, statement_data, statement_lines

    headings = dict(_pair(each) for each in column or ())
    text = _text(csv) if csv is not None else None
    begin = _moment(since)

    async def story(settings: Settings) -> Any:
        return await reconcile_rail(settings, rail, merchant=merchant, since=begin, statement=text, headings=headings)

    statement = _with_database(data, story, sealed=True)
    if as_json:
        _print_json(statement_data(statement))
    else:
        out.print("\n".join(statement_lines(statement)))
    raise typer.Exit(0 if statement.clean else 1)


@app.command()
def recover(
    since: Annotated[
        str | None, typer.Option(help="The moment the database was restored to: from then on, every rail looks first.")
    ] = None,
    rail: Annotated[str | None, typer.Option(metavar="NAME", help="One rail [default: all].")] = None,
    done: Annotated[bool, typer.Option("--done", help="Somebody has looked at the provider: send again.")] = False,
    by: Annotated[str | None, typer.Option(metavar="WHO", help="Who has looked.")] = None,
    note: Annotated[str, typer.Option(help="What was found.")] = "",
    merchant: Merchant = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """After a restore: find what was sent and is forgotten before anything is sent again. Ends with 1 while it looks.

    Run it before the service starts again. Without --since it goes on with what only looks; so does the service.
    """
    from moneyback.back_office import close_by_person
    from moneyback.back_office import recover as begin

    if done:
        if rail is None or by is None or not note:
            _fail("--done needs --rail, --by and --note: who has looked at which provider, and what was found")

        async def close(settings: Settings) -> None:
            await close_by_person(settings, rail, merchant=merchant, by=by, note=note)

        _with_database(data, close, sealed=True)
        out.print(f"{rail} sends again")
        return
    start = _moment(since)
    found = _with_database(
        data, lambda settings: begin(settings, since=start, name=rail, merchant=merchant), sealed=True
    )
    if as_json:
        _print_json(found)
    elif not found:
        out.print("no rail is looking only")
    for each in found if not as_json else ():
        counted = ", ".join(f"{count} {word}" for word, count in each["found"].items()) or "nothing there"
        state = f"only looks: {each['missing']}" if each["missing"] else "sends again"
        out.print(f"{each['rail']}  since {each['since']}: {counted}; {each['to_review']} to review; {state}")
    raise typer.Exit(1 if any(each["missing"] for each in found) else 0)


@app.command("import")
def import_(
    rail: Annotated[str, typer.Argument(help="The rail's name.")],
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Payments as CSV; docs/rails.md has the columns.")
    ] = None,
    ids: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The provider's ids of payments, one a line: each is fetched.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Every payment the provider refunded since then, fetched.")] = None,
    dialect: Annotated[str | None, typer.Option(help="Whose words its clients use [default: the provider's].")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    merchant: Merchant = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring in payments with their earlier refunds. Safe to repeat. Ends with 1 when a row is left out or has a gap."""
    from rich.progress import Progress

    from moneyback.back_office import import_payments, imported_data
    from moneyback.flows.import_payments import DONE

    if sum(each is not None for each in (csv, ids, since)) != 1:
        _fail("say one of --csv, --ids and --since")
    table = _text(csv) if csv is not None else None
    listed = [line.strip() for line in _text(ids).splitlines() if line.strip()] if ids is not None else None
    begin = _moment(since)
    rows: list[Any] = []
    with Progress(console=err, transient=True) as progress:
        bar = progress.add_task(f"import {rail}", total=None)

        def told(imported: Any, total: int | None) -> None:
            rows.append(imported)
            progress.update(bar, total=total, advance=1)

        async def story(settings: Settings) -> None:
            await import_payments(
                settings,
                rail,
                merchant=merchant,
                dialect=dialect,
                table=table,
                ids=listed,
                since=begin,
                dry=dry_run,
                told=told,
            )

        _with_database(data, story, sealed=True)
    if as_json:
        _print_json([imported_data(each) for each in rows])
    for each in rows if not as_json else ():
        out.print(f"{each.row}  {each.reference or '-'}  {each.outcome}{'  ' + each.why if each.why else ''}")
    raise typer.Exit(0 if all(each.outcome in DONE for each in rows) else 1)


@app.command()
def simulate(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to play.")] = 100,
    first: Annotated[int, typer.Option("--from", min=0, help="The first of them.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Play this one seed alone.")] = None,
    story: Annotated[bool, typer.Option("--story", help="With --seed: tell it even if all went well.")] = False,
    provider: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only payments at this provider. Repeat.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes that play [default: one a core].")] = None,
    until_violation: Annotated[
        bool, typer.Option("--until-violation", help="Stop at the first broken promise.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Try to make Moneyback pay twice: its own code on a virtual clock, among faults that a seed decides.

    A broken promise is told with its story, and the same seed tells it again. Ends with 1 when there was one.
    """
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    from moneyback.simulator.campaign import Totals, campaign, cores, told
    from moneyback.simulator.providers import MODELS

    if unknown := sorted(set(provider or ()) - set(MODELS)):
        _fail(f"no such provider: {unknown[0]}. There are: {', '.join(sorted(MODELS))}")
    if seed is not None:
        from moneyback.simulator.run import run

        outcome = run(seed, with_story=story, providers=provider)
        if as_json:
            _print_json({"seed": seed, "violation": outcome.violation, "story": outcome.story})
        else:
            out.print(told(outcome), end="")
        raise typer.Exit(0 if outcome.ok else 1)
    totals = Totals()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("seeds", total=seeds)
        playing = campaign(
            first, seeds, jobs=jobs or min(cores(), seeds), until_violation=until_violation, providers=provider
        )
        for outcome, totals in playing:
            figures = f"{totals.refunds} refunds, {totals.seeds_per_s:.0f} seeds/s, {len(totals.violations)} violations"
            progress.update(bar, advance=1, description=f"seeds, {figures}")
            if not outcome.ok and not as_json:
                out.print(told(outcome), end="")
    if as_json:
        _print_json(totals.document())
    else:
        out.print(f"{totals}")
    raise typer.Exit(1 if totals.violations else 0)


@keys.command("create")
def create_key(
    merchant: Annotated[str, typer.Argument(help="The merchant's id (mer_…), or a name: then a new merchant is made.")],
    scope: Annotated[list[str] | None, typer.Option(help="May be repeated [default: all but control].")] = None,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key of the native API. It is shown once."""
    from moneyback.wiring import make_key

    made = _with_database(data, lambda settings: make_key(settings, merchant, scope, name))
    if as_json:
        _print_json(made)
    else:
        out.print(f"merchant {made['merchant']}\nkey      {made['key']}\nscopes   {' '.join(made['scopes'])}")


@keys.command("list")
def list_keys(merchant: str, data: DataDir = None, as_json: AsJson = False) -> None:
    """A merchant's keys, without the keys themselves."""
    from moneyback.wiring import known_keys

    found = _with_database(data, lambda settings: known_keys(settings, merchant))
    if as_json:
        _print_json(found)
    elif not found:
        out.print("no keys")
    for each in found if not as_json else ():
        revoked = f" revoked {each['revoked_at']}" if each["revoked_at"] else ""
        out.print(f"{each['id']}  {each['name'] or '-'}  {' '.join(each['scopes'])}{revoked}")


@keys.command("revoke")
def revoke_key(merchant: str, key_id: str, data: DataDir = None) -> None:
    """End a key for good."""
    from moneyback.wiring import end_key

    if not _with_database(data, lambda settings: end_key(settings, merchant, key_id)):
        _fail(f"{merchant} has no key {key_id} that could be revoked")
    out.print("revoked")


@rails.command("add")
def add_rail(
    merchant: Annotated[str, typer.Argument(help="The merchant's id (mer_…).")],
    name: Annotated[str, typer.Argument(help="What the rail is called; payments name it.")],
    connector: Annotated[str, typer.Option(help="The provider: the name of a dialect.")],
    account: Annotated[str, typer.Option(help="The provider's id of the account; it belongs to one merchant.")],
    base_url: Annotated[str, typer.Option(help="Where the provider's API begins.")],
    duplicates: Annotated[
        Literal["join", "faithful"], typer.Option(help="Equal keyless requests: join (one refund) or faithful (two).")
    ] = "join",
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Calls at once.")] = 4,
    per_second: Annotated[float, typer.Option(min=0.2, max=1000, help="Calls begun in a second.")] = 10.0,
    drift_every: Annotated[
        int, typer.Option(min=10, max=86_400, help="Seconds between two readings of its list of refunds.")
    ] = 300,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add or change a rail. Its credentials are asked for, or read as JSON from standard input, and kept sealed."""
    from moneyback.dialects import load_dialects
    from moneyback.wiring import add_rail as add

    dialect = load_dialects().get(connector)
    wanted = dialect.client.credentials if dialect is not None and dialect.client is not None else ()
    kept = {
        "name": name,
        "connector": connector,
        "account": account,
        "settings": {
            "base_url": base_url,
            "duplicates": duplicates,
            "at_once": at_once,
            "per_s": per_second,
            "drift_every_s": drift_every,
        },
        "credentials": _credentials(wanted),
    }
    added = _with_database(data, lambda settings: add(settings, merchant, kept), sealed=True)
    if as_json:
        _print_json(added)
    else:
        out.print(f"rail {name} sends over {connector} account {account}")
        out.print(f"let the provider send its notifications to {added['hook']} of the address Moneyback is reached at")


@rails.command("list")
def list_rails(merchant: str, data: DataDir = None, as_json: AsJson = False) -> None:
    """A merchant's rails, without their secrets. The sandbox rails are always there."""
    from moneyback.wiring import known_rails

    found = _with_database(data, lambda settings: known_rails(settings, merchant), sealed=True)
    if as_json:
        _print_json(found)
    elif not found:
        out.print("no rails to real providers")
    for each in found if not as_json else ():
        sealed = "" if each["credentials"] is not None else "  (sealed with another master key: add it again)"
        where = f"{each['connector']}  {each['account']}  {each['base_url']}"
        looks = f"  (only looks, since {each['look_only_since']})" if each["look_only_since"] else ""
        out.print(f"{each['rail']}  {where}  {each['duplicates']}  {each['hook']}{looks}{sealed}")


@rails.command("front")
def front_rail(
    merchant: str,
    name: str,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Relay everything; only write down what would have been refused or joined.")
    ] = False,
    off: Annotated[
        bool, typer.Option("--off", help="Step aside again: these credentials are no longer let in.")
    ] = False,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Stand in front of a rail's provider: its own credentials are let in, so a client changes its base URL alone."""
    from moneyback.wiring import stand_in_front, step_aside

    if off:
        if not _with_database(data, lambda settings: step_aside(settings, merchant, name), sealed=True):
            _fail(f"Moneyback does not stand in front of {name}")
        out.print("stepped aside")
        return
    found = _with_database(data, lambda settings: stand_in_front(settings, merchant, name, shadow=shadow), sealed=True)
    if as_json:
        _print_json(found)
    else:
        out.print(f"clients of {name} may call Moneyback at {found['base_path']} with the credentials they have")


@rails.command("remove")
def remove_rail(merchant: str, name: str, data: DataDir = None) -> None:
    """Take a rail out of use. Refused while a refund on it has not ended."""
    from moneyback.wiring import remove_rail as remove

    if not _with_database(data, lambda settings: remove(settings, merchant, name), sealed=True):
        _fail(f"{merchant} has no rail {name}, or a refund on it has not ended")
    out.print("removed")


@endpoints.command("add")
def add_endpoint(
    merchant: Annotated[str, typer.Argument(help="The merchant's id (mer_…).")],
    url: Annotated[str, typer.Argument(help="Where the program listens.")],
    event: Annotated[
        list[str] | None, typer.Option(help="An event it is told of, or refund.* for a kind. Repeatable; none: all.")
    ] = None,
    dialect: Annotated[
        str, typer.Option(help="In whose words: our own, or those of a provider whose dashboard takes such addresses.")
    ] = "native",
    secret: Annotated[
        bool,
        typer.Option("--secret", help="Ask for what a dialect's endpoint is signed with. A native one's is drawn."),
    ] = False,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint. What its deliveries are signed with is shown this once."""
    from moneyback.wiring import add_endpoint as add

    members: dict[str, Any] = {"dialect": dialect, "events": tuple(event or ()), "description": description}
    members["secret"] = _credentials(("secret",)).get("secret", "") if secret else None
    _show_endpoint(_with_database(data, lambda settings: add(settings, merchant, url, **members), sealed=True), as_json)


@endpoints.command("list")
def list_endpoints(merchant: str, data: DataDir = None, as_json: AsJson = False) -> None:
    """A merchant's endpoints, without their secrets."""
    from moneyback.wiring import endpoints_of

    found = _with_database(data, lambda settings: endpoints_of(settings, merchant), sealed=True)
    if as_json:
        _print_json(found)
    elif not found:
        out.print("no endpoints")
    for each in found if not as_json else ():
        wanted = ", ".join(each["events"]) or "all events"
        out.print(f"{each['id']}  {each['dialect']}  {each['url']}  {wanted}  {each['description']}".rstrip())


@endpoints.command("remove")
def remove_endpoint(merchant: str, endpoint: str, data: DataDir = None) -> None:
    """Tell an endpoint nothing more."""
    from moneyback.wiring import end_endpoint

    if not _with_database(data, lambda settings: end_endpoint(settings, merchant, endpoint), sealed=True):
        _fail(f"{merchant} has no endpoint {endpoint}")
    out.print("removed")


@endpoints.command("rotate")
def rotate_endpoint(
    merchant: str,
    endpoint: str,
    secret: Annotated[
        bool, typer.Option("--secret", help="Ask for the new one: a dialect's endpoint is given it.")
    ] = False,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Sign with another secret, shown this once. The one before signs beside it for a day."""
    from moneyback.wiring import rotate_endpoint as rotate

    given = _credentials(("secret",)).get("secret", "") if secret else None
    found = _with_database(data, lambda settings: rotate(settings, merchant, endpoint, given), sealed=True)
    _show_endpoint(found, as_json)


def _show_endpoint(shown: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(shown)
        return
    out.print(f"{shown['id']}  {shown['dialect']}  {shown['url']}")
    if "secret" in shown:
        out.print(f"signed with {shown['secret']}, which is not shown again")


def main() -> None:
    """The entry point."""
    app()


def _serve(
    host: str,
    port: int,
    workers: int | None,
    data: Path | None,
    ready_file: Path | None,
    *,
    sandbox: bool,
    with_worker: bool,
    **twin: Any,
) -> None:
    from msgspec.structs import replace

    from moneyback.processes import at, database, demand_free_port, supervise
    from moneyback.settings import with_master_key
    from moneyback.wiring import demand_open_rails, prepare, prepare_database

    with _plainly():
        demand_free_port(host, port)
        with database(_settings(data)) as (found, cluster):
            settings = replace(
                with_master_key(found, own_database=cluster is not None),
                host=host,
                port=port,
                workers=workers or min(os.cpu_count() or 1, 4),
                with_worker=with_worker,
                sandbox=sandbox,
                **twin,
            )
            lines: list[str] = []
            if sandbox:
                sections, lines = asyncio.run(prepare(settings))
            else:
                asyncio.run(prepare_database(_dsn(settings)))
                sections = {"native": {"base_url": f"http://{at(host, port)}/v1"}}
            asyncio.run(demand_open_rails(settings))

            def announce() -> None:
                out.print(f"Moneyback serves on http://{at(host, port)} (API reference: /docs). Stop with Ctrl-C.")
                if lines:
                    out.print("\nTry:\n\n" + "\n\n".join(lines) + "\n")

            supervise(
                settings,
                cluster,
                ready_file=ready_file or Path(settings.data_dir) / "ready.json",
                describe=lambda: sections,
                announce=announce,
            )


def _settings(data: Path | None) -> Settings:
    from urllib.parse import urlsplit

    from moneyback.settings import settings_from_environment

    settings = settings_from_environment(data)
    try:
        _ = urlsplit(settings.dsn or "").port
    except ValueError as error:
        _fail(f"the database cannot be used: MONEYBACK_DATABASE_URL is not an address: {error}")
    return settings


def _moment(text: str | None) -> Any:
    from moneyback.flows.reconcile import moment

    try:
        return moment(text) if text is not None else None
    except ValueError as error:
        _fail(str(error))


def _pair(text: str) -> tuple[str, str]:
    column, sign, heading = text.partition("=")
    if not column or not sign or not heading:
        _fail(f"--map is COLUMN=HEADING, not {text!r}")
    return column, heading


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{file} cannot be read: {error}")


def _dsn(settings: Settings) -> str:
    assert settings.dsn is not None
    return settings.dsn


def _credentials(names: tuple[str, ...]) -> dict[str, str]:
    """Asked for one by one without showing them, or a JSON object where standard input is not a terminal."""
    if not names:
        return {}
    if sys.stdin.isatty():
        return {name: typer.prompt(name, hide_input=True) for name in names}
    try:
        given = json.load(sys.stdin)
    except ValueError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        _fail(f"standard input must be a JSON object of texts with: {', '.join(names)}")
    return dict(given)


def _with_database(data: Path | None, story: Any, *, sealed: bool = False) -> Any:
    from moneyback.processes import database
    from moneyback.settings import with_master_key

    with _plainly(), database(_settings(data)) as (found, cluster):
        settings = with_master_key(found, own_database=cluster is not None) if sealed else found
        return asyncio.run(story(settings))


class _plainly:  # noqa: N801 - reads as a word in a with statement
    """Turns the failures a user can do something about into one sentence and exit code 1."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        from asyncpg import InterfaceError, InternalClientError, PostgresError

        from moneyback.processes import PortTaken
        from moneyback.store.embedded import EmbeddedError
        from moneyback.store.port import StoreUnavailable
        from moneyback.vault import MasterKeyError
        from moneyback.wiring import UserMistake

        if isinstance(error, PortTaken | EmbeddedError | MasterKeyError | UserMistake):
            _fail(str(error))
        if isinstance(error, PostgresError | InterfaceError | InternalClientError | StoreUnavailable | OSError):
            _fail(f"the database cannot be used: {str(error) or type(error).__name__}")


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _fail(sentence: str) -> NoReturn:
    err.print(f"moneyback: {sentence}")
    raise typer.Exit(1)
