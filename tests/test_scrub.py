"""Secrets and card numbers, planted wherever a provider could repeat them, and what innocent text must survive."""

import json
from base64 import b64encode
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.commands import Observation, Sighting
from moneyback.core.refund import Event
from moneyback.dialect import AnswerLost, Call, Client, Figures, Looked, Reply
from moneyback.dialects import load_dialects
from moneyback.rails import discreet, exchanged
from moneyback.scrub import ALWAYS, HIDDEN, KEPT_MAX, scrub_body, scrub_query, scrub_text

PANS = {
    "visa": "4242424242424242",
    "visa 13": "4222222222222",
    "mastercard": "5555555555554444",
    "mastercard 2": "2223003122003222",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners": "30569309025904",
    "jcb": "3530111333300000",
    "unionpay 19": "6205500000000000004",
}
SECRET = 'sk_live_4eC39Hq/Ly+jW"Da=rj%tT1'
OTHER = "client-0815-id"
SECRETS = (SECRET, OTHER)
PLANTED = "planted-Hunter2"


def spaced(pan: str, gap: str) -> str:
    groups = (4, 6, 5) if len(pan) == 15 else (4, 6, 4) if len(pan) == 14 else (4, 4, 4, 4, 4)
    parts: list[str] = []
    rest = pan
    for length in groups:
        parts, rest = [*parts, rest[:length]], rest[length:]
    return gap.join(each for each in parts if each)


def digits_of(text: str) -> str:
    return "".join(each for each in text if each.isdigit())


# --- card numbers ----------------------------------------------------------------------------------------------------

GAPS = ("", " ", "-", ".", "\u00a0", "\u2013", "_", "  ", " - ")
AROUND = [
    "{}",
    "The card {} was declined",
    "The card number is {}.",
    "({})",
    "card-{}-x",
    "card{}card",
    "#{}/2",
    "a={};b",
    "%B{}^DOE/JOHN^25121010000000000",
    ";{}=25121010000000000?",
    "{},{}",
    "line\n{}\nline",
    "amount 12.00 {} EUR 13",
]


@pytest.mark.parametrize("pan", PANS.values(), ids=PANS.keys())
@pytest.mark.parametrize("around", AROUND)
def test_a_card_number_is_hidden_but_for_its_last_digits(pan: str, around: str):
    for gap in GAPS if len(pan) != 13 else ("",):  # nobody groups thirteen digits
        spelt = spaced(pan, gap)
        text = around.replace("{}", spelt)
        body = json.dumps({"m": [text]}).encode()
        for kept in (scrub_text(text), scrub_body(text.encode(), ()), scrub_body(body, ())):
            assert spelt not in kept
            assert pan[:12] not in digits_of(kept)
            assert f"*{pan[-4:]}]" in kept or len(spelt.split(gap or None)[-1]) < 4


@pytest.mark.parametrize("pan", PANS.values(), ids=PANS.keys())
@pytest.mark.parametrize(
    "body",
    [
        '{{"card": {pan}}}',
        '{{"card": {pan}.0}}',
        '{{"a": [[{{"b": "{pan}"}}]]}}',
        '{{"{pan}": 1}}',
        '{{"raw": "{{\\"n\\": \\"{pan}\\"}}"}}',
        '{{"raw": "[{pan}]"}}',
        "{pan}",
        '"{pan}"',
        '{{"broken": "{pan}"',
        "x={pan}&y=1",
        "x=1&{pan}=",
        "x=%7B%22n%22%3A%22{pan}%22%7D",
        "<card><no>{pan}</no></card>",
        '--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n{pan}\r\n--b--\r\n',
        "id,card\r\n1,{pan}\r\n",
    ],
)
def test_a_card_number_in_any_body(pan: str, body: str):
    assert pan not in scrub_body(body.format(pan=pan).encode(), ())


def test_a_card_number_spelt_with_escapes():
    escaped = "".join(f"\\u00{ord(each):02x}" for each in PANS["visa"])
    assert "4242424242" not in digits_of(scrub_body(f'{{"x": "{escaped}"}}'.encode(), ()).replace("u00", ""))
    percent = "".join(f"%{ord(each):02X}" for each in PANS["visa"])
    kept = scrub_body(f"x={percent}".encode(), ())
    assert PANS["visa"] not in kept
    assert percent not in kept


@pytest.mark.parametrize(
    "text",
    [
        "re_0190b5a8c3d27e1f9c1d2e3f4a5b6c7d",
        "1002593555",
        "4242424242424241",  # fails the check
        "424242424242",  # too short
        "900000000000012",  # our own ids at a provider begin with 9
        "1700000000000",  # milliseconds
        "0.4242424242424242",
        "12345678-1234-1234-1234-123456789012",
        "2026-11-22T10:30:00.000000+00:00",
        "refund of 1000 EUR, 2000 EUR, 3000 EUR and 4000 EUR",
    ],
)
def test_what_is_no_card_number_stays(text: str):
    assert scrub_text(text) == text
    assert scrub_body(text.encode(), ()).strip('"') == text


@given(st.integers(10**11, 10**20 - 1))
def test_only_what_passes_the_card_check_is_touched(number: int):
    kept = scrub_text(f"id {number} end")
    digits = str(number)
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    is_card = 13 <= len(digits) <= 19 and digits[0] in "23456" and sum(d - 9 * (d > 9) for d in doubled) % 10 == 0
    assert (kept == f"id {number} end") is not is_card


# --- named members ---------------------------------------------------------------------------------------------------

NAMES = ("secret_key", "accountNumber", "number", "x-signature")
SPELLINGS = ["password", "Password", "PASSWORD", "card_number", "cardNumber", "Card-Number", "cvv", "CVV2", "api_key"]
SPELLINGS += ["secret_key", "Secret-Key", "accountnumber", "account_number", "number", "X-Signature", "set-cookie"]


@pytest.mark.parametrize(
    "body",
    [
        '{{"{name}": "{value}"}}',
        '{{"a": {{"b": [1, {{"{name}": "{value}"}}]}}}}',
        '{{"{name}": {{"deep": ["{value}"]}}}}',
        '{{"raw": "{{\\"{name}\\": \\"{value}\\"}}"}}',
        '{{"raw": "{{\\"raw\\": \\"{{\\\\\\"{name}\\\\\\": \\\\\\"{value}\\\\\\"}}\\"}}"}}',
        '{{"{name}": "{value} and more", "cut": ',
        "{{'{name}': '{value} and more'}}",
        "<x><{name}>{value}</{name}></x>",
        "{name}={value}&x=1",
        "x=%7B%22{name}%22%3A%22{value}%22%7D",
        "{name}: {value}\r\nother: 1\r\n",
        "an error: {name} = {value}, see the manual",
        '--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--b--\r\n',
        '--b\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: text/plain\r\n\r\n{value}\r\n--b--\r\n',
    ],
)
def test_a_named_member_is_hidden_in_any_body(body: str):
    for name in SPELLINGS:
        kept = scrub_body(body.format(name=name, value=PLANTED).encode(), NAMES)
        assert PLANTED not in kept, name
        assert HIDDEN in kept


@pytest.mark.parametrize("scheme", ["Basic", "Bearer", "Digest"])
@pytest.mark.parametrize("line", ["Authorization: {} {}", "authorization={} {}", '"authorization": "{} {}"'])
def test_headers_that_somebody_quotes(scheme: str, line: str):
    kept = scrub_text(f"POST /x\r\n{line.format(scheme, PLANTED)}\r\nCookie: a={PLANTED}; b={PLANTED}\r\n\r\nrest")
    assert PLANTED not in kept
    assert "rest" in kept


def test_what_is_not_named_stays_as_it_was_written():
    body = b'{"amount":10.00,"big":123456789012345678901234567890,"status":"OK","left":[0.10,null,true]}'
    assert scrub_body(body, NAMES) == body.decode()
    assert scrub_body(b"amount=10.00&status=OK&empty=", NAMES) == "amount=10.00&status=OK&empty="
    assert scrub_body(b"", NAMES) == ""
    assert scrub_text("account: closed; the number is wrong") == "account: closed; the number is wrong"


# --- the rail's own secrets, by their value --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelt",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        b64encode(f"{OTHER}:{SECRET}".encode()).decode(),
        b64encode(f"{SECRET}:".encode()).decode(),
        b64encode(SECRET.encode()).decode(),
        OTHER,
    ],
)
@pytest.mark.parametrize("around", ["{}", "No such key: {}!", "x{}x", '{{"error": "bad {}"}}', "<e>{}</e>", "k={}"])
def test_a_secret_that_is_repeated_is_hidden_wherever_it_stands(spelt: str, around: str):
    text = around.format(spelt)
    for kept in (scrub_text(text, SECRETS), scrub_body(text.encode(), (), SECRETS)):
        assert spelt not in kept
        assert SECRET not in kept


def test_a_secret_too_short_to_be_one_takes_nothing_away():
    assert scrub_text("the order of 10 items", ("10", "", "or")) == "the order of 10 items"


def test_queries_and_paths():
    query = (("password", PLANTED), ("q", PANS["visa"]), ("k", SECRET), ("cursor", "a b"))
    kept = scrub_query(query, (), SECRETS)
    assert PLANTED not in kept
    assert "4242424242" not in kept
    assert quote_plus(SECRET) not in kept
    assert kept.endswith("&cursor=a+b")
    assert scrub_query((), ()) == ""


# --- hostile bodies --------------------------------------------------------------------------------------------------


@given(st.binary(max_size=400))
def test_any_bytes_become_text_a_database_takes(body: bytes):
    kept = scrub_body(body, NAMES, SECRETS)
    assert "\0" not in kept
    assert kept.encode().decode() == kept
    assert len(kept) <= KEPT_MAX


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([*PANS.values(), SECRET, PLANTED]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(ALWAYS), inner, max_size=4),
)


@given(JSON)
def test_any_json_without_secrets(value: Any):
    kept = scrub_body(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), NAMES, SECRETS)
    assert not any(pan in kept for pan in PANS.values())
    assert SECRET not in kept
    assert json.dumps(SECRET)[1:-1] not in kept


@pytest.mark.parametrize(
    "body",
    [
        b'"\\u0000\\ud800"',
        b'{"a": "\\u0000", "password": "planted-Hunter2"}',
        b"[" * 100_000,
        b'{"a":' * 600 + b'"planted-Hunter2"' + b"}" * 600,
        b"9" * 10_000,
        b"[" + b"9" * 10_000 + b"]",
        b"[1e999999]",
        b"password\n" * 100_000,
        b'password"' + b" " * 1_000_000,
        b"4 " * 200_000,
        b"4242 " * 100_000,
        b"\xff\xfe" + "password".encode("utf-16-le"),
        b"=" * 100_000,
    ],
)
def test_a_body_made_to_hurt(body: bytes):
    kept = scrub_body(body, NAMES, SECRETS)
    assert "\0" not in kept
    assert len(kept) <= KEPT_MAX


def test_a_card_number_is_not_cut_in_two_by_the_limit():
    for before in range(KEPT_MAX - 20, KEPT_MAX + 1):
        kept = scrub_body(b"x" * before + b" 4242424242424242 ", ())
        assert "4242424" not in kept


# --- what is kept of an exchange, and of what a connector found ------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, each in load_dialects().items() if each.client is not None])
def test_no_exchange_keeps_a_secret_whatever_the_dialect(name: str):
    dialect = load_dialects()[name]
    members = dict.fromkeys(dialect.scrub, PLANTED)
    for body in (json.dumps({"nested": [members]}).encode(), urlencode(members).encode()):
        call = Call(
            method="POST",
            path=f"/x/{SECRET}/{PANS['visa']}",
            headers={"authorization": SECRET},
            body=body,
            query=(("key", SECRET), ("pan", PANS["visa"])),
        )
        reply = Reply(status=400, headers={"set-cookie": PLANTED}, body=body + SECRET.encode())
        kept = repr(exchanged(call, reply, f"AnswerLost: {SECRET} {PANS['amex']}", dialect.scrub, SECRETS))
        assert not any(each in kept for each in (PLANTED, SECRET, *PANS.values()))


def test_no_finding_of_a_connector_quotes_a_secret():
    words = f"card {PANS['visa']} of {SECRET}\0"
    seen = Observation(
        event=Event.REFUSED,
        message=words,
        code=words,
        trace=words,
        pending_reason=words,
        amount=4242424242424242,
        provider_id="re_1",
        data={"said": [words], "password": PLANTED},
    )
    sighting = Sighting(kind="external", amount=1, reference="x", data={"said": words})

    def send(_sending: Any) -> Any:
        try:
            yield Call(method="POST", path="/x")
        except AnswerLost:
            return (seen,)
        raise AssertionError

    def read(_payment: Any) -> Any:
        yield from ()
        return Figures(left=1, sightings=(sighting,))

    def look(_sending: Any, _pre_read: Any) -> Any:
        yield from ()
        return Looked(observations=(seen,), sightings=(sighting,), shown={"said": words})

    client = discreet(Client(send=send, read=read, look=look, rung=0), (), SECRETS)
    sent = client.send(None)  # type: ignore[arg-type]
    next(sent)
    found = [returned(sent, AnswerLost("x")), returned(client.read(None)), returned(client.look(None, {}))]  # type: ignore[arg-type]
    kept = repr(found)
    assert not any(each in kept for each in (PLANTED, SECRET, "\\x00", f"'{PANS['visa']}", f" {PANS['visa']}"))
    assert found[0][0].amount == 4242424242424242  # a figure is a figure
    assert found[0][0].provider_id == "re_1"
    assert found[2].sightings[0].reference == "x"


def returned(story: Any, error: Exception | None = None) -> Any:
    with pytest.raises(StopIteration) as ended:
        story.throw(error) if error is not None else next(story)
    return ended.value.value
