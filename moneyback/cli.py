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
        "settings": {"base_url": base_url, "duplicates": duplicates, "at_once": at_once, "per_s": per_second},
        "credentials": _credentials(wanted),
    }
    added = _with_database(data, lambda settings: add(settings, merchant, kept), sealed=True)
    if as_json:
        _print_json(added)
    else:
        out.print(f"rail {name} sends over {connector} account {account}")


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
        out.print(f"{each['rail']}  {where}  {each['duplicates']}{sealed}")


@rails.command("front")
def front_rail(
    merchant: str,
    name: str,
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
    found = _with_database(data, lambda settings: stand_in_front(settings, merchant, name), sealed=True)
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
