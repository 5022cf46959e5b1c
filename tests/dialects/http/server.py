"""The product on a real port, and what the suites here need of it: payments, time, scenarios, and a client each.

One sandbox serves all suites, and its clock only moves forward: a test that needs an old payment registers one that was
captured in the past. A client sends exactly the bytes and the path it is told to, because habits are what is tested.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import httpx2
import msgspec

from moneyback.dialect import Outgoing
from moneyback.store.embedded import open_cluster
from moneyback.store.verify import verify
from tests.e2e.server import DEADLINE_S, Sandbox, until

T = TypeVar("T")

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
BOUNDARY = "a-boundary"
BOM = b"\xef\xbb\xbf"
AGES_S = 300_000_000
"""Longer than all tests together move the clock: a `slow` refund is not answered within it."""


class Body(msgspec.Struct, frozen=True):
    """The bytes of a request's body and what they are declared to be. `declared` None: nothing is declared."""

    content: bytes = b""
    declared: str | None = JSON


NOTHING = Body(declared=None)


def raw(text: str | bytes, declared: str | None = JSON) -> Body:
    """A body letter for letter: numbers keep the notation they are written in."""
    return Body(text.encode() if isinstance(text, str) else text, declared)


def form(fields: Mapping[str, Any] | str) -> Body:
    """A form, of fields or as it is written."""
    return raw(fields if isinstance(fields, str) else urlencode(fields), FORM)


def multipart(fields: Mapping[str, Any]) -> Body:
    """A multipart form."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return raw("".join([*parts, f"--{BOUNDARY}--\r\n"]), f"multipart/form-data; boundary={BOUNDARY}")


def body_of(said: Any) -> Body:
    """A body as tests say it: a Body, nothing (None), JSON text, or a value to be written as JSON."""
    match said:
        case Body():
            return said
        case None:
            return NOTHING
        case str() | bytes():
            return raw(said)
        case _:
            return raw(json.dumps(said))


class Face:
    """One dialect as a client of the provider meets it: a base URL, credentials, and nothing else."""

    def __init__(self, http: httpx2.Client, base_url: str, authorization: str | None) -> None:
        self.base_url = base_url
        self.authorization = authorization
        self._http = http

    def as_(self, authorization: str | None) -> "Face":
        """The same dialect with another Authorization header, or none."""
        return Face(self._http, self.base_url, authorization)

    def post(self, path: str, body: Any = None, **headers: str) -> Outgoing:
        return self.ask("POST", path, body, **headers)

    def get(self, path: str, **headers: str) -> Outgoing:
        return self.ask("GET", path, None, **headers)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Outgoing:
        """One request and its whole answer. An underline in a header's name stands for a dash."""
        sent = body_of(body)
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.authorization is not None:
            said = {"Authorization": self.authorization} | said
        if sent.declared is not None:
            said = {"Content-Type": sent.declared} | said
        answer = self._http.request(method, self.base_url + path, content=sent.content, headers=said)
        return Outgoing(status=answer.status_code, body=answer.content, headers=dict(answer.headers))


class Product:
    """A running sandbox: its ready file, its native API, its control endpoints, and a Face for each dialect."""

    def __init__(self, running: Sandbox) -> None:
        self.running = running
        self.ready = running.ready
        self._open = ExitStack()
        self._http = self._open.enter_context(httpx2.Client(timeout=DEADLINE_S))
        self._threads = self._open.enter_context(ThreadPoolExecutor(16))
        self._dsn = ""
        self._native = Face(self._http, f"http://127.0.0.1:{running.port}", f"Bearer {self.ready['native']['api_key']}")

    def face(self, dialect: str, authorization: str) -> Face:
        """A client of one dialect."""
        return Face(self._http, self.ready[dialect]["base_url"], authorization)

    # --- what there is to refund -------------------------------------------------------------------------------------

    def pay(self, dialect: str, amount: int, currency: str, **members: Any) -> dict[str, Any]:
        """A payment registered natively, as the native API shows it. `age` says how long ago it was captured."""
        age = members.pop("age", None)
        if age is not None:
            members["captured_at"] = (self.now() - age).isoformat()
        asked = {"dialect": dialect, "amount": amount, "currency": currency, **members}
        return self._done("POST", "/v1/payments", asked)

    def payment(self, id: str) -> dict[str, Any]:
        """A payment as it stands."""
        return self._done("GET", f"/v1/payments/{id}")

    def payments(self, dialect: str) -> list[dict[str, Any]]:
        """A dialect's payments, the oldest of all among them."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self._done("GET", f"/v1/payments?dialect={dialect}&limit=500{cursor}")
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def refunds(self, payment: str) -> list[dict[str, Any]]:
        """Its refunds, oldest first."""
        found: list[dict[str, Any]] = self._done("GET", f"/v1/refunds?payment={payment}&limit=500")["data"]
        return found[::-1]

    def executed(self, payment: str) -> list[int]:
        """The amounts that the bank has paid for a payment, by its own books."""
        book = self._done("GET", f"/_control/books?payment={payment}")["book"]
        return [each["amount"] for each in book["entries"] if each["outcome"] == "executed"]

    def refund(self, payment: str, amount: int | None = None) -> dict[str, Any]:
        """A refund made natively."""
        return self._done("POST", f"/v1/payments/{payment}/refunds", {} if amount is None else {"amount": amount})

    # --- what happens to it ------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Business time."""
        return self.advance()

    def advance(self, **duration: float) -> datetime:
        """Moves business time and returns it."""
        seconds = int(timedelta(**duration).total_seconds())
        return datetime.fromisoformat(self._done("POST", "/_control/clock", {"advance_s": seconds})["now"])

    def next_refund(self, payment: str, scenario: str) -> None:
        """Scripts what the bank does with the next refund of a payment."""
        self._done("POST", "/_control/scenario", {"next_refund_of": payment, "scenario": scenario})

    def disputed(self, dialect: str, amount: int, currency: str, **members: Any) -> dict[str, Any]:
        """A payment all of which is disputed, once that is known here."""
        return self._once(self.pay(dialect, amount, currency, scenario="dispute:0", **members), "disputed")

    def returned(self, dialect: str, amount: int, currency: str, **members: Any) -> dict[str, Any]:
        """A payment all of which the payer's bank took back, once that is known here."""
        return self._once(self.pay(dialect, amount, currency, scenario="return:0", **members), "clawed_back")

    def take_back(self, payment: dict[str, Any]) -> dict[str, Any]:
        """A payment that is there already, once its payer's bank has taken all of it back."""
        self._done("POST", "/_control/scenario", {"payment": payment["id"], "scenario": "return:0"})
        return self._once(payment, "clawed_back")

    def _once(self, payment: dict[str, Any], figure: str) -> dict[str, Any]:
        def seen() -> dict[str, Any] | None:
            current = self.payment(payment["id"])
            return current if current[figure] else None

        found: dict[str, Any] = until(seen, f"{figure} is known")
        return found

    def until_sent(self, payment: dict[str, Any]) -> None:
        """Returns once the bank has executed a refund of this payment, whether or not it has answered."""
        until(lambda: self.executed(payment["id"]), "the bank has the call")

    def in_time(self, seen: Callable[[], Any], what: str) -> Any:
        """The first thing `seen` returns that is true, while time passes: a quarter of a minute at every look."""

        def look() -> Any:
            found = seen()
            if not found:
                self.advance(seconds=15)
            return found

        return until(look, what)

    # --- at once -----------------------------------------------------------------------------------------------------

    def begin(self, ask: Callable[..., T], *arguments: Any, **named: Any) -> "Future[T]":
        """A request on its way beside this one."""
        return self._threads.submit(ask, *arguments, **named)

    def at_once(self, asks: Sequence[Callable[[], Outgoing]]) -> list[Outgoing]:
        """The answers to requests that were sent together, in the order of the requests."""
        return [each.result() for each in [self._threads.submit(ask) for ask in asks]]

    # --- in the end --------------------------------------------------------------------------------------------------

    def differences(self) -> tuple[str, ...]:
        """Where counters and balances do not follow from the ledger's movements."""
        return tuple(map(str, asyncio.run(verify(self._dsn)).differences))

    def __enter__(self) -> Self:
        self._dsn = self._open.enter_context(open_cluster(self.running.data)).dsn
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def _done(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._native.ask(method, path, body)
        assert isinstance(answer.body, bytes)
        assert 200 <= answer.status < 300, f"{method} {path}: {answer.status} {answer.body!r}"
        return json.loads(answer.body)


def bearer(secret: str) -> str:
    return f"Bearer {secret}"


def basic(user: str, secret: str) -> str:
    return f"Basic {b64encode(f'{user}:{secret}'.encode()).decode()}"
