"""What the contract demands of every dialect, whichever it is: found by its folder, tested without being named."""

import json
import re
import shlex
from base64 import b64encode
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec
import pytest

import moneyback.dialects
from moneyback.core.money import currency, to_decimal
from moneyback.core.refund import Refund, State
from moneyback.core.refusals import Reason
from moneyback.dialect import Dialect, Fault, Incoming, Outgoing, Samples
from moneyback.dialects import load_dialects
from tests.dialects.driver import ROADS, START, Table, arguments, said, text

FOLDER = Path(moneyback.dialects.__file__).parent
BASE_URL = "http://127.0.0.1:8900/prefix"

every = pytest.mark.parametrize("dialect", load_dialects().values(), ids=lambda dialect: dialect.name)
FAULTS = {
    Fault.UNAUTHENTICATED: range(400, 404),
    Fault.FORBIDDEN: range(400, 405),
    Fault.NOT_FOUND: (404,),
    Fault.METHOD_NOT_ALLOWED: (405,),
    Fault.BAD_BODY: range(400, 423),
    Fault.TOO_LARGE: (413,),
    Fault.UNAVAILABLE: (503,),
    Fault.INTERNAL: (500,),
}
HEADERS = ("", "Basic", "Basic ", "Basic %%%", "Basic /w==", "Bearer", "Bearer ", "Digest x", " ", "a:b", "\x7f", "é")


def folders() -> set[str]:
    """The folders beneath dialects/ that hold anything a person wrote."""
    return {each.name for each in FOLDER.iterdir() if each.is_dir() and any(p.is_file() for p in each.glob("*.*"))}


def test_every_folder_declares_its_dialect():
    assert set(load_dialects()) == folders()


# --- routes ----------------------------------------------------------------------------------------------------------


@every
def test_routes_are_unique_and_described(dialect: Dialect):
    shapes = [(route.method, re.sub(r"\{\w+\}", "{}", route.path).rstrip("/")) for route in dialect.routes]
    assert len(shapes) == len(set(shapes))
    for route in dialect.routes:
        names = re.findall(r"\{(\w+)\}", route.path)
        assert len(names) == len(set(names)), route.path
        assert route.path.startswith("/"), route.path
        assert route.method == route.method.upper()
        assert route.summary, route.path
        assert set(route.accepts) <= {"json", "form", "multipart"}
    assert any(route.kind == "guarded" for route in dialect.routes)
    assert any(route.path.startswith(dialect.base_path + "/") for route in dialect.routes)


@every
def test_schemas_can_be_published(dialect: Dialect):
    for route in dialect.routes:
        assert route.response_schema, route.path
        msgspec.json.encode((route.request_schema, route.response_schema))


# --- before and instead of a handler ---------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
def test_every_fault_has_words(dialect: Dialect, fault: Fault):
    for incoming in (None, Incoming(method="POST", path="/nowhere")):
        outgoing = dialect.fault(fault, incoming)
        assert outgoing.status in FAULTS[fault]
        assert text(outgoing)


@every
@pytest.mark.parametrize("header", HEADERS)
def test_credentials_that_are_none_are_none(dialect: Dialect, header: str):
    presented = dialect.presented(Incoming(method="GET", path="/", headers={"authorization": header}))
    assert presented is None or presented.secret


@every
def test_without_credentials_there_are_none(dialect: Dialect):
    assert dialect.presented(Incoming(method="GET", path="/")) is None


@every
def test_precedence_and_kept_reasons(dialect: Dialect):
    assert len(dialect.precedence) == len(set(dialect.precedence))
    assert dialect.kept <= set(Reason)


@every
def test_secrets_have_names(dialect: Dialect):
    assert dialect.scrub
    assert all(name and isinstance(name, str) for name in dialect.scrub)


@every
def test_a_bare_payment_has_a_document(dialect: Dialect):
    msgspec.json.encode(dialect.payment_document({}, START))


# --- samples ---------------------------------------------------------------------------------------------------------


@every
def test_samples_name_their_source(dialect: Dialect):
    files = sorted((FOLDER / dialect.name / "samples").glob("*.json"))
    assert files
    for file in files:
        found = json.loads(file.read_text(encoding="utf-8"))
        for sample in found if isinstance(found, list) else [found]:
            assert sample["source"], file.name
            assert "request" in sample, file.name
            assert "response" in sample, file.name


@every
def test_the_first_sandbox_payment_can_be_refunded_in_parts(dialect: Dialect):
    world = Sandbox(dialect)
    first = world.payments[0]
    can = dialect.capabilities(first)
    assert first.untouched
    assert to_decimal(first.refundable, currency(first.currency)) >= 100
    assert can.full
    assert can.partial


@every
def test_the_ready_file_says_where_and_who(dialect: Dialect):
    world = Sandbox(dialect)
    printed = json.loads(msgspec.json.encode(world.section))
    assert printed["base_url"] == BASE_URL + dialect.base_path
    assert world.presented.secret in text_of(printed)
    assert any(payment.dialect_id in text_of(printed) for payment in world.payments)


@every
def test_the_printed_command_refunds(dialect: Dialect):
    world = Sandbox(dialect)
    outgoing = world.refund("succeeded")
    assert outgoing.status < 300, text(outgoing)
    assert len(world.refunds) == 1


@every
def test_the_printed_command_carries_its_credentials(dialect: Dialect):
    world = Sandbox(dialect)
    found = dialect.presented(Incoming(method=world.method, path=world.path, headers=world.headers))
    if "$(" in world.command:  # it fetches a token first
        assert found is not None
        assert world.presented.secret in world.command
    else:
        assert found == world.presented


# --- every state has a form ------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("state", ROADS, ids=lambda state: state.value)
def test_whatever_becomes_of_it_an_admitted_refund_is_answered(dialect: Dialect, state: State):
    """A refund that was admitted is never answered with a server error: its client would send it again."""
    world = Sandbox(dialect)
    outgoing = world.refund(state.value)
    assert outgoing.status < 500
    assert said(outgoing) is not None
    assert len(world.refunds) == 1


@every
@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_every_state_can_be_read(dialect: Dialect, state: State):
    world = Sandbox(dialect)
    world.refund("ready")
    refund = world.table.bring(world.refunds[-1], state.value)
    answers = world.read_everything_of(refund)
    assert any(outgoing.status < 300 for outgoing in answers)
    assert [outgoing.status for outgoing in answers if outgoing.status >= 500] == []
    assert all(said(outgoing) is not None for outgoing in answers)


class Sandbox:
    """A dialect's own samples, registered, and the command that its sandbox prints."""

    def __init__(self, dialect: Dialect) -> None:
        assert dialect.samples is not None
        samples: Samples = dialect.samples
        letters = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 20)
        self.presented, profile = samples.credentials(lambda n: "".join(next(letters) for _ in range(n)))
        self.table = Table(dialect, profile=profile)
        self.payments = tuple(self.table.answer(sample) for sample in samples.payments)
        self.section = samples.section(BASE_URL + dialect.base_path, self.presented, profile, self.payments)
        self.command = samples.curl(self.section)
        self.method, self.path, self.headers, self.body, self.encoding = request_of(self.command)

    @property
    def refunds(self) -> tuple[Refund, ...]:
        return self.table.refunds

    def refund(self, outcome: str) -> Outgoing:
        """Send the printed command; what the rail does with it is `outcome`."""
        self.table.outcome = outcome
        return self.table.call(self.method, self.path, self.body, headers=self.headers, encoding=self.encoding)

    def read_everything_of(self, refund: Refund) -> list[Outgoing]:
        """The answers of all reading routes that can name the refund or its payment."""
        payment = self.table.facts.payments[refund.payment]
        known = next(held for route in self.table.dialect.routes if (held := arguments(route, self.path)))
        answers = []
        for route in self.table.dialect.routes:
            if route.method != "GET" or route.public:
                continue
            for number in (payment.dialect_id, refund.dialect_id):
                ids = dict.fromkeys(re.findall(r"\{(\w+)\}", route.path), number)
                same = {name: value for name, value in known.items() if value != payment.dialect_id and name in ids}
                answers.append(self.table.call("GET", route.path.format(**{**ids, **same}), headers=self.headers))
        return answers


def request_of(command: str) -> tuple[str, str, dict[str, str], object, str]:
    """The request of the last curl in a shell command: method, path, headers, decoded body and its encoding."""
    words = shlex.split(re.sub(r"\$\([^()]*\)", "substituted", command[command.rindex("curl ") :].rstrip(")")))
    method, headers, data, url = None, dict[str, str](), list[str](), ""
    for option, word in zip(words[1:], [*words[2:], ""], strict=True):
        match option:
            case "-X" | "--request":
                method = word
            case "-H" | "--header":
                name, _, value = word.partition(":")
                headers[name.strip().lower()] = value.strip()
            case "-u" | "--user":
                headers["authorization"] = "Basic " + b64encode(word.encode()).decode()
            case "-d" | "--data" | "--data-raw" | "--data-urlencode" | "--json":
                data.append(word)
            case _ if option.startswith("http"):
                url = option
    path = urlsplit(url).path.removeprefix("/prefix")
    assert not parse_qs(urlsplit(url).query), "the sandbox's commands need no query"
    joined = "&".join(data)
    if not joined:
        return method or "GET", path, headers, None, "none"
    if joined.lstrip().startswith("{"):
        return method or "POST", path, headers, json.loads(joined), "json"
    return method or "POST", path, headers, dict(parse_qsl(joined)), "form"


def text_of(value: object) -> str:
    return json.dumps(value)
