"""The bench reads what its tools print, and shows what it measured. Nothing here measures anything."""

import asyncio
import json
from contextlib import suppress

import asyncpg
import pytest

from bench.__main__ import NAMES, ROWS_LARGE, main
from bench.database import COPY, PRELOAD
from bench.figures import TARGETS, Figure, ratios, table
from bench.load import Answered, Asked, answered_in, ask
from bench.pgbench import SCRIPT, environment, per_second
from bench.raw import Run, answer_length
from moneyback.ids import new_id
from moneyback.store.verify import verify

PGBENCH = """pgbench (18.6)
transaction type: pgbench.sql
number of clients: 16
number of transactions actually processed: 16202
number of failed transactions: {failed} ({failed}.000%)
latency average = 5.925 ms
initial connection time = 36.021 ms
tps = 2700.339231 (without initial connection time)
"""
WRK = """Running 6s test @ http://127.0.0.1:8900
  1 threads and 64 connections
Requests/sec:   1150.60
wrk {"answered": 6934, "seconds": 6.02616, "failed": 4, "broken": 1, "p50_ms": 53.264, "p99_ms": 124.015}
"""
ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\ncontent-type: application/json\r\n\r\n{ }"


def test_pgbench_is_read():
    assert per_second(PGBENCH.format(failed=0)) == 2700.339231


@pytest.mark.parametrize("output", [PGBENCH.format(failed=1), "pgbench (18.6)\n", ""], ids=["failed", "cut", "empty"])
def test_a_run_of_pgbench_that_went_wrong_is_no_figure(output: str):
    with pytest.raises(ValueError, match="pgbench did not"):
        per_second(output)


def test_pgbench_is_told_the_password_where_nobody_else_reads_it():
    found = environment("postgresql://moneyback:secret@/pgbench?host=%2Frun%2Fa%20b&port=5432")
    assert {name: found[name] for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE")} == {
        "PGHOST": "/run/a b",
        "PGPORT": "5432",
        "PGUSER": "moneyback",
        "PGPASSWORD": "secret",
        "PGDATABASE": COPY,
    }


def test_wrk_is_read():
    found = answered_in(WRK)
    assert (found.acknowledged, found.broken, found.p99_ms) == (6930, 1, 124.015)
    assert found.per_second == 6930 / 6.02616


def test_a_generator_that_says_nothing_has_no_result():
    with pytest.raises(ValueError, match="no result"):
        answered_in("unable to connect to 127.0.0.1:8900 Connection refused\n")


@pytest.mark.parametrize(
    ("heard", "length"),
    [(ANSWER, len(ANSWER)), (ANSWER * 2, len(ANSWER)), (ANSWER[:-1], len(ANSWER)), (ANSWER[:40], None), (b"", None)],
    ids=["whole", "two", "body cut", "head cut", "nothing"],
)
def test_our_own_generator_knows_where_an_answer_ends(heard: bytes, length: int | None):
    assert answer_length(heard) == length


def test_our_own_generator_asks_each_refund_under_a_key_of_its_own():
    asked = Asked(url="http://127.0.0.1:8900/v1", api_key="k", label="run1", payments=3, seconds=0.01, prefer="wait=1")
    run = Run(asked)
    requests = [next(run.requests) for _ in range(200)]  # more than are built beforehand
    keys = [each.partition(b"Idempotency-Key: ")[2].partition(b"\r\n")[0] for each in requests]
    assert keys == [b"run1-%d" % number for number in range(1, 201)]
    drawn = {each.split(b" ")[1] for each in requests}
    assert drawn == {b"/v1/payments/pay_01900000000070008000%012x/refunds" % number for number in (1, 2, 3)}
    assert all(b"\r\nPrefer: wait=1\r\n" in each and each.endswith(b"}") for each in requests)


async def test_our_own_generator_counts_what_it_was_answered(monkeypatch: pytest.MonkeyPatch):
    """Every third request is refused; nothing that was answered goes uncounted, and nothing else is counted."""
    monkeypatch.setattr("shutil.which", lambda _program: None)
    heard = list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            body = await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]))
            heard.append(head + body)
            status = b"422 No" if len(heard) % 3 == 0 else b"202 Accepted"
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\n{}")

    async def serve_until_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve_until_gone, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        asked = Asked(url=url, api_key="k", label="run1", payments=9, seconds=0.1, connections=3)
        found = await asyncio.to_thread(ask, asked)
    assert (found.answered, found.broken) == (len(heard), 0)
    assert found.answered > 0
    assert found.failed == len(heard) // 3
    assert found.generator == "raw sockets"


def test_each_run_is_held_against_its_neighbours():
    assert ratios([100, 300, 500], [400, 200]) == (400 / 200, 200 / 400)


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("admitted", 1.5, "aim"),
        ("admitted", 1.2, "must"),
        ("admitted", 0.99, "missed"),
        ("memory", 120, "aim"),
        ("memory", 200, "must"),
        ("memory", 201, "missed"),
        ("store", 0.1, ""),
    ],
)
def test_a_figure_is_held_against_its_bounds(name: str, value: float, verdict: str):
    assert TARGETS[name].verdict(value) == verdict


def test_the_table_says_what_was_reached():
    figures = [Figure("admitted", (1.0, 1.4)), Figure("memory", (63.4,)), Figure("store", (2.5, 2.7))]
    head, admitted, memory, store = table(figures).splitlines()
    assert head.split() == ["figure", "measured", "rounds", "must", "aim"]
    assert admitted.split()[-7:] == ["1.20", "1.00", "to", "1.40", "1.00", "1.50", "must"]
    assert memory.split()[-8:] == ["63", "MB", "63", "to", "63", "200", "120", "aim"]
    assert store.split()[-4:] == ["2.60", "2.50", "to", "2.70"]


def test_a_figure_in_json_carries_its_bounds():
    found = json.loads(json.dumps(Figure("start", (1.9, 2.2), "the first took 4.0 s").as_json()))
    assert found == {
        "figure": "start",
        "text": TARGETS["start"].text,
        "value": 2.05,
        "rounds": [1.9, 2.2],
        "unit": "s",
        "must": 4,
        "aim": 2,
        "better": "lower",
        "verdict": "must",
        "detail": "the first took 4.0 s",
    }


async def test_what_is_filled_in_agrees_with_itself(database: str):
    """Two slices, as the product would have left them: verify finds nothing to say."""
    merchant, connection = new_id(), await asyncpg.connect(database)
    try:
        await connection.execute("insert into merchants values ($1, 'bench', '{}', business_now())", merchant)
        for first, last in ((1, 20), (21, 30)):
            await connection.execute(PRELOAD.read_text().format(merchant=merchant, first=first, last=last))
        counts = "select (select count(*) from payments), (select count(*) from refunds where state = 'succeeded')"
        assert tuple(await connection.fetchrow(counts)) == (30, 30)
    finally:
        await connection.close()
    report = await verify(database)
    assert report.clean, str(report)


async def test_pgbench_writes_every_column_that_the_product_writes(database: str):
    """A column that is added to a table on the way of a refund is added to pgbench's statements as well."""
    text = SCRIPT.read_text()
    left_out = {"idempotency": set(), "refunds": set(), "attempts": set(), "movements": {"id"}, "events": {"id", "xid"}}
    connection = await asyncpg.connect(database)
    try:
        for table_name, generated in left_out.items():
            given = text.partition(f"insert into {table_name} (")[2].partition(")")[0]
            found = await connection.fetch(
                "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped",
                table_name,
            )
            columns = {row["attname"] for row in found} - generated
            assert {each.strip() for each in given.split(",")} == columns, table_name
    finally:
        await connection.close()


def test_the_usage_names_every_row(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    shown = "".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert str(ROWS_LARGE) in shown
    assert all(name in shown for name in NAMES)


def test_an_answer_without_success_counts_as_none():
    found = Answered(answered=10, seconds=2.0, failed=10, broken=0, p50_ms=1.0, p99_ms=2.0)
    assert (found.acknowledged, found.per_second) == (0, 0.0)
