"""A provider that pays and does not answer, a client that asks again and again, and Moneyback between them.

    .venv/bin/python examples/lost_answers.py [join] [faithful]

Two programs are started on this machine and stopped again: a twin of CHIP that executes every refund and drops the
answer, and Moneyback in front of it. The client knows CHIP's API and nothing else. It sends the same bytes five times,
without an idempotency key, because CHIP has none. With `duplicates: join` the twin's bank has paid once afterwards;
with `duplicates: faithful` every request is a refund, up to what came in.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TIMES = 5
AMOUNT = 20_00
PATIENCE_S = 90.0
LEARNT_S = 3.0
"""Processes learn of a rail that was added or changed within two seconds."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with (
            running(place / "twin", "twin", "chip", "--fault", "drop-answer") as twin,
            running(place / "moneyback", "serve", "--workers", "1") as moneyback,
        ):
            tell(place, twin, moneyback)


def tell(place: Path, twin: Mapping[str, Any], moneyback: Mapping[str, Any]) -> None:
    provider = twin["chip"]
    shop = command(place, "keys", "create", "My shop")["merchant"]
    base = moneyback["native"]["base_url"].removesuffix("/v1") + "/chip/api/v1"
    print(f"CHIP is {provider['base_url']}, Moneyback in front of it {base}")
    for story in sys.argv[1:] or ["join", "faithful"]:
        add_rail(place, shop, provider, story)
        command(place, "rails", "front", shop, "chip")
        time.sleep(LEARNT_S)
        STORIES[story](provider, moneyback, base)


def join(provider: Mapping[str, Any], moneyback: Mapping[str, Any], base: str) -> None:
    """Equal requests are one refund."""
    lamp = pay(provider)
    print(f"\nA purchase of {money(lamp)} was paid. The client refunds {AMOUNT / 100:.2f} of it, {TIMES} times over:")
    for number in range(TIMES):
        refund(base, provider, lamp, number)
    wait_for_rest(moneyback)
    print(f"CHIP has given back {given_back(provider, lamp) / 100:.2f}: one refund (duplicates: join)")
    assert given_back(provider, lamp) == AMOUNT


def faithful(provider: Mapping[str, Any], moneyback: Mapping[str, Any], base: str) -> None:
    """Every request is a refund, as it is at CHIP."""
    lamp = pay(provider)
    print(
        "\nThe same with duplicates: faithful, each when the one before has ended, and once more than there is money:"
    )
    for number in range(TIMES + 1):
        refund(base, provider, lamp, number)
        wait_for_rest(moneyback)  # CHIP takes no refund while another is pending
    print(f"CHIP has given back {given_back(provider, lamp) / 100:.2f}: all that came in, and no more")
    assert given_back(provider, lamp) == lamp["payment"]["amount"] == TIMES * AMOUNT


STORIES = {"join": join, "faithful": faithful}


# --- the client ------------------------------------------------------------------------------------------------------


def pay(provider: Mapping[str, Any]) -> dict[str, Any]:
    """A purchase that was paid, made at the provider itself: nobody has told Moneyback of it."""
    product = {"name": "A lamp", "price": TIMES * AMOUNT}
    asked = {
        "brand_id": provider["brand_id"],
        "client": {"email": "ada@example.com"},
        "purchase": {"currency": "MYR", "products": [product]},
    }
    status, made = call(provider["base_url"], provider["secret_key"], "POST", "/purchases/", asked)
    assert status == 201, (status, made)
    paid = f"/purchases/{made['id']}/mark_as_paid/"
    status, made = call(provider["base_url"], provider["secret_key"], "POST", paid, {})
    assert status == 200, (status, made)
    return made


def refund(base: str, provider: Mapping[str, Any], purchase: Mapping[str, Any], number: int) -> None:
    """The same bytes every time, sent to Moneyback with the key that CHIP gave out."""
    path = f"/purchases/{purchase['id']}/refund/"
    status, said = call(base, provider["secret_key"], "POST", path, {"amount": AMOUNT})
    print(f"  {number + 1}. answered {status}, {said.get('status', 'refused')}")


def given_back(provider: Mapping[str, Any], purchase: Mapping[str, Any]) -> int:
    """What the provider itself says was given back, in minor units."""
    path = f"/purchases/{purchase['id']}/"
    _, now = call(provider["base_url"], provider["secret_key"], "GET", path)
    return int(now["payment"]["amount"]) - int(now["refundable_amount"])


def call(base: str, key: str, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """One request as CHIP's clients make it. A client that hears nothing hears nothing: status 0."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(base + path, content, headers, method=method), timeout=60) as said:
            return said.status, json.load(said)
    except HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def money(purchase: Mapping[str, Any]) -> str:
    return f"{purchase['payment']['currency']} {purchase['payment']['amount'] / 100:.2f}"


# --- the programs ----------------------------------------------------------------------------------------------------


@contextmanager
def running(data: Path, *words: str) -> Iterator[dict[str, Any]]:
    """A Moneyback program on a free port with data of its own; what its ready file says."""
    ready = data / "ready.json"
    data.mkdir()
    places = ["--port", str(free_port()), "--data", str(data), "--ready-file", str(ready)]
    with (data / "log").open("wb") as log:
        program = subprocess.Popen(
            [sys.executable, "-m", "moneyback", *words, *places], stdout=log, stderr=log, start_new_session=True
        )
    try:
        until = time.monotonic() + PATIENCE_S
        while not ready.exists():
            if program.poll() is not None or time.monotonic() > until:
                sys.exit((data / "log").read_text())
            time.sleep(0.1)
        yield json.loads(ready.read_text())
    finally:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGTERM)
        program.wait()


def command(place: Path, *words: str, given: Any = None) -> Any:
    """One `moneyback` command on the data of the program that serves."""
    told = [sys.executable, "-m", "moneyback", *words, "--data", str(place / "moneyback"), "--json"]
    done = subprocess.run(told, input=json.dumps(given or {}), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def add_rail(place: Path, shop: str, provider: Mapping[str, Any], duplicates: str) -> None:
    where = [
        "--connector",
        "chip",
        "--account",
        "lamps",
        "--base-url",
        provider["base_url"],
        "--duplicates",
        duplicates,
    ]
    command(place, "rails", "add", shop, "chip", *where, given={"secret_key": provider["secret_key"]})


def wait_for_rest(moneyback: Mapping[str, Any]) -> None:
    """Until every refund has ended: a lost answer is looked for after 2, 10 and 30 seconds."""
    url = moneyback["native"]["base_url"].removesuffix("/v1") + "/metrics"
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with urlopen(url, timeout=10) as said:
            if b"\nmoneyback_refunds_unended{" not in said.read():
                return
        time.sleep(0.5)
    sys.exit("some refund did not end")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
