"""The command line: every command's help, its output for people and for scripts, and mistakes as one sentence.

Commands run in this process, on a database of the test's own; what only a real process shows is run as one.
"""

import asyncio
import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer
from typer.testing import CliRunner, Result

from moneyback.cli import app
from moneyback.store.embedded import destroy_cluster
from moneyback.store.postgres import open_store
from moneyback.vault import KEY_FILE
from tests.e2e.server import ROOT, environment, free_port
from tests.store.engine import Engine

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(32)).decode()
SECRETS = {"access_id": "planted-access-id", "access_key": "planted-access-key"}
NOBODY = "mer_" + "0" * 32
BASE_URL = "https://sandbox.trustly.one/api/v1"


class Cli:
    """Runs commands with an environment of the test's own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.given = ""
        self.env: dict[str, str | None] = {"MONEYBACK_DATABASE_URL": None, "MONEYBACK_MASTER_KEY": None}
        self.env |= {"MONEYBACK_DATA": str(data), "MONEYBACK_WORKER": None, "TERM": "dumb", "COLUMNS": "200"}

    def run(self, *words: str, given: str | None = None, **env: str | None) -> Result:
        """A command to its end. Whatever happens, nobody is shown a traceback."""
        result = CliRunner().invoke(app, list(words), input=given, env={**self.env, **env})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert "Traceback" not in result.output
        return result

    def ok(self, *words: str, given: str | None = None, **env: str | None) -> str:
        """What a command that succeeds prints."""
        result = self.run(*words, given=given, **env)
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        return result.stdout

    def json(self, *words: str, given: str | None = None) -> Any:
        return json.loads(self.ok(*words, "--json", given=given))

    def mistake(self, *words: str, given: str | None = None, code: int = 1, **env: str | None) -> str:
        """The one sentence a command that cannot do it says, on standard error alone."""
        result = self.run(*words, given=given, **env)
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        sentence = result.stderr.strip()
        assert sentence.startswith("moneyback: ")
        assert "\n" not in sentence
        return sentence.removeprefix("moneyback: ")

    def merchant(self, name: str = "Shop") -> str:
        made: str = self.json("keys", "create", name)["merchant"]
        return made

    def add(self, merchant: str, *, credentials: Any = SECRETS, name: str = "us", **options: str) -> list[str]:
        """The words of `rails add`; `given` is then what it reads."""
        chosen = {"connector": "trustly", "account": "1002463580", "base_url": BASE_URL, **options}
        flags = [each for option, value in chosen.items() for each in (f"--{option.replace('_', '-')}", value)]
        self.given = credentials if isinstance(credentials, str) else json.dumps(credentials)
        return ["rails", "add", merchant, name, *flags]


@pytest.fixture
def cli(tmp_path: Path, module_database: str) -> Cli:
    one = Cli(tmp_path / "data")
    one.env |= {"MONEYBACK_DATABASE_URL": module_database, "MONEYBACK_MASTER_KEY": KEY}
    one.ok("migrate")
    return one


def commands(group: Any, *before: str) -> Iterator[tuple[str, ...]]:
    yield before
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *before, name)


EVERY = list(commands(typer.main.get_command(app)))
ADD = ("rails", "add", NOBODY, "us", "--connector", "trustly", "--account", "1", "--base-url", BASE_URL)
ON_A_DATABASE = [
    ("migrate",),
    ("verify",),
    ("keys", "create", "Shop"),
    ("keys", "list", NOBODY),
    ("keys", "revoke", NOBODY, "key_1"),
    ("rails", "list", NOBODY),
    ("rails", "remove", NOBODY, "us"),
    ("endpoints", "add", NOBODY, "https://93.184.215.14/"),
    ("endpoints", "list", NOBODY),
    ("endpoints", "remove", NOBODY, "end_1"),
    ("endpoints", "rotate", NOBODY, "end_1"),
    ("reconcile", "us"),
    ("recover",),
    ("import", "us", "--ids", __file__),
    ("worker",),
    ("serve",),
    ("sandbox",),
    ("twin", "chip"),
]


# --- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...], tmp_path: Path):
    printed = Cli(tmp_path).ok(*words, "--help")
    assert "Usage:" in printed
    assert len(printed.split("Usage:")[1].split()) > 8, "a usage line alone teaches nothing"


def test_there_are_these_commands():
    assert {" ".join(words) for words in EVERY} >= {
        *("", "sandbox", "serve", "twin", "worker", "migrate", "verify", "reconcile", "recover", "import"),
        *("keys", "keys create", "keys list", "keys revoke", "rails", "rails add", "rails list", "rails remove"),
    }


@pytest.mark.parametrize("words", [(), ("keys",), ("rails",)])
def test_without_a_command_help_is_shown(words: tuple[str, ...], tmp_path: Path):
    result = Cli(tmp_path).run(*words)
    assert (result.exit_code, "Usage:" in result.output) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("--nonsense",),
        ("verify", "--nonsense"),
        ("keys", "create"),
        ("rails", "add", "mer_1", "us"),
        ("serve", "--port", "0"),
        ("serve", "--port", "65536"),
        ("serve", "--workers", "0"),
        ("twin",),
        (*ADD, "--duplicates", "maybe"),
        (*ADD, "--per-second", "0"),
        (*ADD, "--at-once", "0"),
    ],
)
def test_a_command_that_is_none_is_a_usage_error(words: tuple[str, ...], tmp_path: Path):
    result = Cli(tmp_path).run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage:" in result.stderr


def test_as_a_process_it_answers_and_says_where_it_failed(tmp_path: Path):
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        env = {**environment(ROOT), "MONEYBACK_DATABASE_URL": "postgresql://127.0.0.1:1/none"}
        program = [sys.executable, "-m", "moneyback", *words]
        return subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=180, check=False)

    assert (run("--help").returncode, run("nonsense").returncode) == (0, 2)
    failed = run("verify")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("moneyback: the database cannot be used: ")
    assert failed.stderr.count("\n") == 1


# --- migrate, verify -------------------------------------------------------------------------------------------------


def test_migrate_says_what_it_did_and_may_be_repeated(tmp_path: Path, empty_database: str):
    cli = Cli(tmp_path)
    cli.env["MONEYBACK_DATABASE_URL"] = empty_database
    assert "applied 0001_engine" in cli.ok("migrate")
    assert cli.ok("migrate") == "up to date\n"
    assert cli.json("migrate") == {"applied": []}


def test_verify_is_quiet_when_all_is_well(cli: Cli):
    assert cli.json("verify")["clean"] is True
    assert cli.ok("verify").strip()


def test_verify_fails_when_a_counter_was_changed(database: str, tmp_path: Path):
    async def change() -> None:
        store = await open_store(database)
        await Engine(store).pay(captured=1_000)
        await store.close()
        connection = await asyncpg.connect(database)
        await connection.execute("update payments set refunded = 7")
        await connection.close()

    asyncio.run(change())
    cli = Cli(tmp_path)
    cli.env["MONEYBACK_DATABASE_URL"] = database
    told, printed = cli.run("verify", "--json"), cli.run("verify")
    assert (told.exit_code, printed.exit_code) == (1, 1)
    assert json.loads(told.stdout)["clean"] is False
    assert "refunded" in printed.stdout


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_made_for_a_new_merchant_and_another_for_the_same(cli: Cli):
    made = cli.json("keys", "create", "Shop [red]& sons[/red] :smile:", "--name", "[bold]till")
    assert made["merchant"].startswith("mer_")
    assert made["key"].startswith("mb_")
    assert "refunds:write" in made["scopes"]
    assert not any(each.startswith("control") for each in made["scopes"])
    printed = cli.ok("keys", "create", made["merchant"], "--scope", "refunds:read", "--scope", "payments:read")
    assert made["merchant"] in printed
    assert "refunds:read payments:read" in printed
    listed = cli.json("keys", "list", made["merchant"])
    assert [each["scopes"] for each in listed][1] == ["refunds:read", "payments:read"]
    assert "[bold]till" in cli.ok("keys", "list", made["merchant"]), "what a person wrote is printed as it is"
    assert made["key"] not in json.dumps(listed)


def test_a_revoked_key_stays_in_the_list_and_cannot_be_revoked_again(cli: Cli):
    merchant, other = cli.merchant(), cli.merchant("Other")
    [key] = cli.json("keys", "list", merchant)
    assert "could be revoked" in cli.mistake("keys", "revoke", other, key["id"])
    assert cli.ok("keys", "revoke", merchant, key["id"]) == "revoked\n"
    assert "could be revoked" in cli.mistake("keys", "revoke", merchant, key["id"])
    assert "could be revoked" in cli.mistake("keys", "revoke", merchant, "nonsense")
    assert cli.json("keys", "list", merchant)[0]["revoked_at"] is not None
    assert "revoked" in cli.ok("keys", "list", merchant)


@pytest.mark.parametrize("merchant", [NOBODY, "mer_typo", "mer_", "", "  "])
def test_an_id_that_is_nobodys_does_not_make_a_merchant(cli: Cli, merchant: str):
    assert "merchant" in cli.mistake("keys", "create", merchant)


@pytest.mark.parametrize("words", [("keys", "list"), ("rails", "list")])
@pytest.mark.parametrize("merchant", [NOBODY, "nonsense", "re_" + "0" * 32])
def test_nothing_is_listed_of_nobody(cli: Cli, words: tuple[str, ...], merchant: str):
    assert cli.mistake(*words, merchant) == f"there is no merchant {merchant}"


def test_a_scope_that_is_none(cli: Cli):
    said = cli.mistake("keys", "create", "Shop", "--scope", "everything", "--scope", "refunds:read")
    assert "no such scope: everything" in said
    assert "refunds:write" in said


# --- rails -----------------------------------------------------------------------------------------------------------


def test_a_rail_is_added_listed_changed_and_removed(cli: Cli):
    merchant = cli.merchant()
    assert cli.ok("rails", "list", merchant) == "no rails to real providers\n"
    assert cli.json("rails", "list", merchant) == []
    add = cli.add(merchant, account="1")
    printed = cli.ok(*add, given=cli.given)
    assert printed.startswith(
        "rail us sends over trustly account 1\nlet the provider send its notifications to /_hooks/"
    )
    changed = cli.add(merchant, account="1", duplicates="faithful", at_once="2", per_second="0.5")
    told = cli.json(*changed, given=cli.given)
    hook = told.pop("hook")
    assert hook in printed, "changed, a rail keeps its address"
    assert told == {"merchant": merchant, "rail": "us", "connector": "trustly", "account": "1"}
    [rail] = cli.json("rails", "list", merchant)
    assert rail == {
        "rail": "us",
        "connector": "trustly",
        "account": "1",
        "base_url": BASE_URL,
        "duplicates": "faithful",
        "at_once": 2,
        "per_s": 0.5,
        "drift_every_s": 300,
        "credentials": ["access_id", "access_key"],
        "hook": hook,
        "look_only_since": None,
    }
    printed = cli.ok("rails", "list", merchant)
    assert f"us  trustly  1  {BASE_URL}  faithful  {hook}\n" == printed
    assert "planted" not in printed
    assert cli.ok("rails", "remove", merchant, "us") == "removed\n"
    assert "has no rail us" in cli.mistake("rails", "remove", merchant, "us")


def test_a_rail_is_told_to_look_and_a_person_lets_it_send_again(cli: Cli):
    merchant = cli.merchant()
    chosen = ("--merchant", merchant)
    assert "there is no rail" in cli.mistake("recover", "--since", "2026-03-01", *chosen)
    nobody = f"http://127.0.0.1:{free_port()}"
    cli.ok(*cli.add(merchant, account="7", base_url=nobody), given=cli.given)
    assert cli.ok("recover", *chosen) == "no rail is looking only\n"
    result = cli.run("recover", "--since", "2026-03-01", "--json", *chosen)
    assert result.exit_code == 1, "it looks still"
    [told] = json.loads(result.stdout)
    assert (told["merchant"], told["rail"]) == (merchant, "us")
    assert told["missing"]
    [rail] = cli.json("rails", "list", merchant)
    assert rail["look_only_since"] == "2026-03-01T00:00:00+00:00"
    assert "only looks" in cli.ok("rails", "list", merchant)
    assert cli.run("recover", *chosen).exit_code == 1
    assert "--by" in cli.mistake("recover", "--rail", "us", "--done")
    done = ("recover", "--rail", "us", "--done", "--by", "ann", "--note", "nothing was sent", *chosen)
    assert cli.ok(*done) == "us sends again\n"
    assert "not looking only" in cli.mistake(*done)
    assert cli.json("rails", "list", merchant)[0]["look_only_since"] is None


def test_payments_are_imported_and_a_statement_is_reconciled(cli: Cli, tmp_path: Path):
    merchant = cli.merchant()
    cli.ok(*cli.add(merchant, account="8", name="eight"), given=cli.given)
    payments = tmp_path / "payments.csv"
    payments.write_text("reference,amount,currency,refunds\n1002,100.00,USD,r1=10.00\n1003,ten,USD,\n")
    result = cli.run("import", "eight", "--csv", str(payments), "--dialect", "native", "--json")
    assert result.exit_code == 1, "a row was left out"
    assert [each["outcome"] for each in json.loads(result.stdout)] == ["created", "invalid"]
    payments.write_text("reference,amount,currency,refunds\n1002,100.00,USD,r1=10.00\n")
    again = cli.run("import", "eight", "--csv", str(payments), "--dialect", "native")
    assert (again.exit_code, again.stdout) == (0, "2  1002  known\n")
    statement = tmp_path / "statement.csv"
    today = datetime.now(UTC).date()
    statement.write_text(f"Refund,Sum,Currency,Date\nr1,-10.00,USD,{today}\n")
    words = ("reconcile", "eight", "--csv", str(statement), "--map", "id=Refund", "--map", "amount=Sum")
    clean = cli.json(*words)
    assert (clean["clean"], clean["agreed"]) == (True, [{"currency": "USD", "refunds": 1, "amount": 1_000}])
    assert cli.ok(*words).endswith("zero differences\n")
    statement.write_text(f"Refund,Sum,Currency,Date\nr1,-10.01,USD,{today}\nr9,2.00,USD,{today}\n")
    result = cli.run(*words)
    assert (result.exit_code, result.stderr) == (1, "")
    assert "other_amount    r1  -  there 10.01 USD, here 10.00 USD" in result.stdout
    assert "missing_here    r9" in result.stdout
    assert result.stdout.endswith("2 differences\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("reconcile", "nope"), "there is no rail nope"),
        (("reconcile", "us", "--since", "yesterday"), "no date"),
        (("reconcile", "us", "--csv", "nowhere.csv"), "cannot be read"),
        (("reconcile", "us", "--map", "id"), "COLUMN=HEADING"),
        (("recover", "--since", "soon"), "no date"),
        (("recover", "--rail", "nope"), "there is no rail nope"),
        (("import", "us"), "one of --csv, --ids and --since"),
        (("import", "us", "--csv", "a", "--since", "2026-01-01"), "one of --csv, --ids and --since"),
        (("import", "us", "--csv", "nowhere.csv"), "cannot be read"),
    ],
)
def test_mistakes_about_a_rail_are_one_sentence(cli: Cli, words: tuple[str, ...], sentence: str):
    assert sentence in cli.mistake(*words)


def test_of_two_rails_of_one_name_the_merchant_must_be_said(cli: Cli, tmp_path: Path):
    file = tmp_path / "statement.csv"
    file.write_text("id,amount,currency,date\nr1,1.00,USD,2026-03-02\n")
    merchants = [cli.merchant(), cli.merchant()]
    for number, merchant in enumerate(merchants):
        cli.ok(*cli.add(merchant, account=f"9{number}", name="twice"), given=cli.given)
    assert "say --merchant" in cli.mistake("reconcile", "twice", "--csv", str(file))
    result = cli.run("reconcile", "twice", "--csv", str(file), "--merchant", merchants[0], "--json")
    assert [each["kind"] for each in json.loads(result.stdout)["differences"]] == ["missing_here"]


def test_credentials_are_asked_for_at_a_terminal_without_being_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[str, bool]] = []

    def prompt(name: str, *, hide_input: bool) -> str:
        asked.append((name, hide_input))
        return f"planted-{name}"

    class Terminal:
        def isatty(self) -> bool:
            return True

    merchant = cli.merchant()
    monkeypatch.setattr("moneyback.cli.sys", type("sys", (), {"stdin": Terminal(), "stdout": sys.stdout}))
    monkeypatch.setattr("moneyback.cli.typer.prompt", prompt)
    printed = cli.ok(*cli.add(merchant, account="2"))
    assert asked == [("access_id", True), ("access_key", True)]
    assert "planted" not in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"connector": "nobody"}, "no such connector: nobody. There are: "),
        ({"account": "a b"}, "account: "),
        ({"account": ""}, "account: "),
        ({"name": "a b"}, "name: "),
        ({"name": "sandbox"}, "sandbox is a built-in rail"),
        ({"name": "sandbox-0"}, "sandbox-0 is a built-in rail"),
        ({"base_url": "sandbox.trustly.one"}, "begins with https://"),
        ({"base_url": "http://sandbox.trustly.one"}, "unprotected"),
        ({"base_url": "https://user:key@sandbox.trustly.one"}, "carries no credentials"),
        ({"credentials": ""}, "standard input must be a JSON object"),
        ({"credentials": "nonsense"}, "standard input must be a JSON object"),
        ({"credentials": '["planted"]'}, "standard input must be a JSON object"),
        ({"credentials": {"access_id": 1, "access_key": "planted"}}, "standard input must be a JSON object"),
        ({"credentials": {"access_id": "planted"}}, "needs these credentials: access_id, access_key"),
        ({"credentials": {**SECRETS, "more": "planted"}}, "needs these credentials: access_id, access_key"),
        ({"credentials": {**SECRETS, "access_key": ""}}, "hold what no header can: access_key"),
        ({"credentials": {**SECRETS, "access_key": "planted\n"}}, "hold what no header can: access_key"),
        ({"credentials": {**SECRETS, "access_id": "plänted"}}, "hold what no header can: access_id"),
    ],
)
def test_a_rail_that_cannot_be(cli: Cli, options: dict[str, Any], said: str):
    merchant = cli.merchant()
    told = cli.mistake(*cli.add(merchant, **options), given=cli.given)
    assert said in told
    assert "planted" not in told
    assert cli.json("rails", "list", merchant) == []


def test_a_rail_of_nobody(cli: Cli):
    assert cli.mistake(*cli.add(NOBODY), given=json.dumps(SECRETS)) == f"there is no merchant {NOBODY}"


def test_an_account_of_another_merchant(cli: Cli):
    cli.ok(*cli.add(cli.merchant(), account="taken"), given=cli.given)
    said = cli.mistake(*cli.add(cli.merchant("Other"), account="taken"), given=cli.given)
    assert said == "The trustly account taken belongs to another merchant."


def test_a_rails_name_stays_with_its_account(cli: Cli):
    merchant = cli.merchant()
    cli.ok(*cli.add(merchant, account="first"), given=cli.given)
    assert "choose another name" in cli.mistake(*cli.add(merchant, account="second"), given=cli.given)


# --- endpoints -------------------------------------------------------------------------------------------------------

PUBLIC = "https://93.184.215.14/hook"


def test_endpoints_are_added_listed_rotated_and_removed(cli: Cli):
    merchant = cli.merchant()
    added = cli.json("endpoints", "add", merchant, PUBLIC, "--event", "refund.*", "--description", "books")
    secret = added.pop("secret")
    assert secret.startswith("whsec_")
    assert (added["events"], added["dialect"], added["description"]) == (["refund.*"], "native", "books")
    assert cli.json("endpoints", "list", merchant) == [added]
    printed = cli.ok("endpoints", "list", merchant)
    assert printed.strip() == f"{added['id']}  native  {PUBLIC}  refund.*  books"
    again = cli.ok("endpoints", "rotate", merchant, added["id"])
    assert "signed with whsec_" in again and secret not in again
    assert cli.ok("endpoints", "remove", merchant, added["id"]).strip() == "removed"
    assert cli.mistake("endpoints", "remove", merchant, added["id"]) == f"{merchant} has no endpoint {added['id']}"
    assert cli.ok("endpoints", "list", merchant).strip() == "no endpoints"


def test_a_dialects_endpoint_is_given_its_secret(cli: Cli):
    merchant, given = cli.merchant(), json.dumps({"secret": "planted"})
    words = ("endpoints", "add", merchant, PUBLIC, "--dialect", "truust", "--secret")
    printed = cli.ok(*words, given=given)
    (kept,) = cli.json("endpoints", "list", merchant)
    assert kept["dialect"] == "truust" and "planted" not in printed
    assert "planted" not in cli.ok("endpoints", "rotate", merchant, kept["id"], "--secret", given=given)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("http://93.184.215.14/",), "begins with https://"),
        (("https://10.0.0.1/",), "private network"),
        (("nowhere",), "no address"),
        ((PUBLIC, "--dialect", "chip"), "no endpoints are kept for 'chip'"),
        ((PUBLIC, "--secret"), "drawn"),
    ],
)
def test_an_endpoint_that_cannot_be(cli: Cli, words: tuple[str, ...], said: str):
    merchant = cli.merchant()
    assert said in cli.mistake("endpoints", "add", merchant, *words, given='{"secret": "planted"}')
    assert cli.json("endpoints", "list", merchant) == []


def test_an_endpoint_of_nobody(cli: Cli):
    assert cli.mistake("endpoints", "add", NOBODY, PUBLIC) == f"there is no merchant {NOBODY}"
    merchant = cli.merchant()
    for id in (f"end_{'0' * 32}", "x"):
        assert cli.mistake("endpoints", "rotate", merchant, id) == f"{merchant} has no endpoint {id}"


def test_with_another_master_key_rails_are_listed_as_such_and_can_be_added_again(cli: Cli):
    merchant = cli.merchant()
    cli.ok(*cli.add(merchant, account="resealed"), given=cli.given)
    cli.env["MONEYBACK_MASTER_KEY"] = OTHER_KEY
    assert cli.json("rails", "list", merchant)[0]["credentials"] is None
    assert "sealed with another master key" in cli.ok("rails", "list", merchant)
    cli.ok(*cli.add(merchant, account="resealed"), given=cli.given)
    assert cli.json("rails", "list", merchant)[0]["credentials"] == ["access_id", "access_key"]
    cli.ok("rails", "remove", merchant, "us")


# --- what keeps a command from running at all ------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("serve",), ("sandbox",), ("worker",), ("rails", "list", NOBODY), ("twin", "chip")])
def test_beside_somebody_elses_database_a_master_key_must_be_given(cli: Cli, words: tuple[str, ...]):
    cli.env["MONEYBACK_MASTER_KEY"] = None
    said = cli.mistake(*words, *(("--port", str(free_port())) if words[0] in ("serve", "sandbox", "twin") else ()))
    assert "MONEYBACK_MASTER_KEY" in said
    assert "32 random bytes" in said
    assert not list(cli.data.rglob(KEY_FILE))


@pytest.mark.parametrize("words", [("migrate",), ("verify",), ("keys", "create", "Shop")])
def test_what_seals_nothing_needs_no_master_key(cli: Cli, words: tuple[str, ...]):
    cli.ok(*words, MONEYBACK_MASTER_KEY=None)


@pytest.mark.parametrize("words", [("serve",), ("worker",), ("rails", "list", NOBODY)])
@pytest.mark.parametrize("key", ["planted", base64.b64encode(bytes(31)).decode()])
def test_a_master_key_that_is_none(cli: Cli, words: tuple[str, ...], key: str):
    cli.env["MONEYBACK_MASTER_KEY"] = key
    said = cli.mistake(*words, *(("--port", str(free_port())) if words[0] == "serve" else ()))
    assert said == "MONEYBACK_MASTER_KEY must be 32 bytes in base64, and is not."


@pytest.mark.parametrize("words", [("serve", "--port"), ("worker",)])
def test_with_the_wrong_master_key_nothing_is_served(cli: Cli, words: tuple[str, ...]):
    merchant = cli.merchant()
    cli.ok(*cli.add(merchant, account=f"wrong-key-{words[0]}"), given=cli.given)
    cli.env["MONEYBACK_MASTER_KEY"] = OTHER_KEY
    said = cli.mistake(*words, *((str(free_port()),) if words[0] == "serve" else ()))
    assert f"us of {merchant}" in said
    assert "rails add" in said
    cli.ok("rails", "remove", merchant, "us")


@pytest.mark.parametrize("words", ON_A_DATABASE, ids=" ".join)
@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://127.0.0.1:1/none",
        "postgresql:///none?host=/nonexistent/socket",
        "postgresql://127.0.0.1:99999/none",
        "postgresql://user:planted@127.0.0.1:x/none",
        "postgresql://user:planted@127.0.0.1:1/none",
        "mysql://127.0.0.1/none",
        "nonsense",
    ],
)
def test_a_database_that_cannot_be_used(words: tuple[str, ...], dsn: str, tmp_path: Path):
    cli = Cli(tmp_path)
    cli.env |= {"MONEYBACK_DATABASE_URL": dsn, "MONEYBACK_MASTER_KEY": KEY}
    port = ("--port", str(free_port())) if words[0] in ("serve", "sandbox", "twin") else ()
    said = cli.mistake(*words, *port)
    assert said.startswith("the database cannot be used: ")
    assert len(said) > len("the database cannot be used: ")
    assert "planted" not in said


def test_a_database_that_does_not_exist_or_lets_nobody_in(cli: Cli, module_database: str):
    name = module_database.split("?", maxsplit=1)[0].rpartition("/")[2]
    missing = module_database.replace(f"/{name}?", "/no_such_database?")
    assert "no_such_database" in cli.mistake("verify", MONEYBACK_DATABASE_URL=missing)


@pytest.mark.parametrize("words", [("serve",), ("sandbox",), ("twin", "chip")])
def test_a_port_that_is_taken(cli: Cli, words: tuple[str, ...]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = cli.mistake(*words, "--port", port)
    assert f"127.0.0.1:{port}" in said
    assert "--port" in said


@pytest.mark.parametrize("words", [("serve",), ("twin", "chip")])
def test_an_address_that_is_not_ours(cli: Cli, words: tuple[str, ...]):
    for host in ("203.0.113.7", "no.such.host.invalid", "::ffff:203.0.113.7"):
        said = cli.mistake(*words, "--host", host, "--port", str(free_port()))
        assert host in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody",), "no such provider: nobody. There are: "),
        (("chip", "--fault", "nonsense"), "no such fault: nonsense. There are: drop-answer"),
        (("chip", "--fault", "slow:2"), "a number from 0 to 1"),
        (("chip", "--fault", "slow:x"), "a number from 0 to 1"),
        (("chip", "--fault", "slow:nan"), "a number from 0 to 1"),
    ],
)
def test_a_twin_that_cannot_be(cli: Cli, words: tuple[str, ...], said: str):
    assert said in cli.mistake("twin", *words)


def test_on_its_own_database_all_of_it_works_without_any_setting(tmp_path: Path):
    """The embedded PostgreSQL of a folder, and the master key made beside it."""
    data = tmp_path / "data"

    def run(*words: str, given: str = "") -> str:
        program = [sys.executable, "-m", "moneyback", *words, "--data", str(data)]
        env = environment(ROOT)
        done = subprocess.run(program, input=given, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    try:
        merchant = json.loads(run("keys", "create", "Shop", "--json"))["merchant"]
        assert not (data / KEY_FILE).exists()
        cli = Cli(data)
        run(*cli.add(merchant), given=json.dumps(SECRETS))
        assert (data / KEY_FILE).stat().st_mode & 0o777 == 0o600
        assert json.loads(run("rails", "list", merchant, "--json"))[0]["credentials"] == ["access_id", "access_key"]
        assert json.loads(run("verify", "--json"))["clean"] is True
    finally:
        destroy_cluster(data)
