"""What the decoder lets through can be stored and locked without a second look; all else is BadBody."""

import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.api.decode import BadBody, Bounds, decode, decode_form, decode_json, decode_query, is_clean

FORM = "application/x-www-form-urlencoded"
ALL = ("json", "form", "multipart")


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"", None),
        (b"null", None),
        (b"10", 10),
        (b"-0", 0),
        (b"10.00", Decimal("10.00")),
        (b"1e2", Decimal("1E+2")),
        (b"1e30", Decimal("1E+30")),
        (b"1e-30", Decimal("1E-30")),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775807", -(2**63 - 1)),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'\xef\xbb\xbf{"a": []}', {"a": []}),
        (b' {"a": {"b": [true, null, "x"]}}\r\n', {"a": {"b": [True, None, "x"]}}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"[" * 32 + b"]" * 32, json.loads("[" * 32 + "]" * 32)),
        (b'{"' + b"n" * 255 + b'": 1}', {"n" * 255: 1}),
    ],
)
def test_json_is_exact(body: bytes, value: Any):
    found = decode_json(body)
    assert found == value
    assert str(found) == str(value), "10 and 10.00 are not written alike"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'a': 1}",
        b"[1,]",
        b"{} {}",
        b"   ",
        b"NaN",
        b"Infinity",
        b"[-Infinity]",
        b"01",
        b".5",
        b"9223372036854775808",
        b"-9223372036854775808",
        b"[[18446744073709551616]]",
        b'{"a": ' + b"9" * 100_000 + b"}",
        b"1e31",
        b"1e-31",
        b"1e400",
        b"1e99999999999999999999",
        b"1234567890123456789012345678901234567890.5",
        b"1." + b"0" * 100_000,
        b'"\\u0000"',
        b'{"a\\u0000": 1}',
        b'[{"a": "\\u0000"}]',
        b'"\x00"',
        b'"\\ud800"',
        b'"\\udc00\\ud83d"',
        b'{"a": "\\ud83d!"}',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b"[" * 33 + b"]" * 33,
        b'{"a":' * 33 + b"{}" + b"}" * 33,
        b"[" * 500_000 + b"]" * 500_000,
        b'{"a":' * 100_000,
        b'{"' + b"n" * 256 + b'": 1}',
        b'["' + b"x" * (1 << 20) + b'"]',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_cannot_be_kept_is_refused(body: bytes):
    with pytest.raises(BadBody):
        decode_json(body)


@pytest.mark.parametrize("body", [b'{"card": "4111111111111111"', b'{"card": 4111111111111111.4111111111111111e99}'])
def test_a_refusal_does_not_quote_the_body(body: bytes):
    with pytest.raises(BadBody) as refused:
        decode_json(body)
    assert "4111" not in str(refused.value)


def test_size_is_bounded_before_anything_is_parsed():
    assert decode_json(b'"' + b"x" * 8 + b'"', Bounds(size_max=10)) == "x" * 8
    with pytest.raises(BadBody, match="longer than 10 bytes"):
        decode_json(b"{not json" * 5, Bounds(size_max=10))


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (b"amount=10.00", {"amount": "10.00"}),
        (b"amount=10&", {"amount": "10"}),
        (b"&&a=1&&b=2", {"a": "1", "b": "2"}),
        (b"a=x+y%20z", {"a": "x y z"}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a", {"a": ""}),
        (b"a=", {"a": ""}),
        (b"a=b=c", {"a": "b=c"}),
        (b"sum%5Bvalue%5D=5", {"sum[value]": "5"}),
        (b"n=%C3%A9", {"n": "é"}),
        (b"n=100%", {"n": "100%"}),
        (b"", {}),
    ],
)
def test_forms(text: bytes, fields: dict[str, str]):
    assert decode_form(text) == fields


@pytest.mark.parametrize("text", [b"a=%00", b"%00=a", b"a=%FF", b"a=%ED%A0%80", b"n" * 256 + b"=1", b"a=1&" * 1001])
def test_a_form_is_bounded_too(text: bytes):
    with pytest.raises(BadBody):
        decode_form(text)


def test_a_query_keeps_its_order_and_repetitions():
    assert decode_query(b"b=1&a=2&b=3") == (("b", "1"), ("a", "2"), ("b", "3"))
    assert decode_query(b"") == ()


@pytest.mark.parametrize(
    ("declared", "body", "accepts", "value", "encoding"),
    [
        ("application/json", b'{"a": 1}', ("json",), {"a": 1}, "json"),
        ("application/json; charset=utf-8", b'{"a": 1}', ALL, {"a": 1}, "json"),
        (FORM, b'{"a": 1}', ("json", "form"), {"a": 1}, "json"),
        (FORM, b'\xef\xbb\xbf [{"a": 1}]', ALL, [{"a": 1}], "json"),
        ("text/plain", b'{"a": 1}', ("json",), {"a": 1}, "json"),
        ("", b'{"a": 1}', ("json",), {"a": 1}, "json"),
        ("application/json", b"a=1&", ("json", "form"), {"a": "1"}, "form"),
        ("", b"a=1", ("json", "form"), {"a": "1"}, "form"),
        (FORM, b"a=1", ("form",), {"a": "1"}, "form"),
        (FORM, b"a", ("form", "json"), {"a": ""}, "form"),
        ("application/json", b'"a=1"', ("json",), "a=1", "json"),
        ("application/json", b"10", ("json", "form"), 10, "json"),
        ("multipart/form-data; boundary=x", b'{"a": 1}', ALL, {"a": 1}, "json"),
        ("application/json", b"", ("json",), None, "none"),
        (FORM, b" \r\n", ("form",), None, "none"),
        ("multipart/form-data; boundary=x", b"", ALL, None, "none"),
    ],
)
def test_the_text_counts_more_than_what_it_is_declared_as(
    declared: str, body: bytes, accepts: tuple[str, ...], value: Any, encoding: str
):
    assert decode(body, declared, accepts) == (value, encoding)


@pytest.mark.parametrize(
    ("declared", "body", "accepts"),
    [
        (FORM, b"a=1", ("json",)),
        ("", b"a=1", ("json",)),
        ("application/json", b'{"a": 1}', ("form",)),
        ("application/json", b'{"a": 1', ("json", "form")),
        (FORM, b'{"a": 1', ("json", "form")),
        ("multipart/form-data; boundary=x", b"--x--", ("json", "form")),
        ("multipart/form-data", b"--x--\r\n", ALL),
        ("text/plain", b"hello", ALL),
    ],
)
def test_only_what_a_route_accepts_is_read(declared: str, body: bytes, accepts: tuple[str, ...]):
    with pytest.raises(BadBody):
        decode(body, declared, accepts)


def part(name: str, value: str, more: str = "") -> str:
    return f'--edge\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (part("a", "1") + part("b", "zwei €") + "--edge--\r\n", {"a": "1", "b": "zwei €"}),
        (part("a", "1") + part("a", "") + "--edge--", {"a": ""}),
        ("--edge--\r\n", {}),
    ],
)
def test_multipart(text: str, fields: dict[str, str]):
    assert decode(text.encode(), "multipart/form-data; boundary=edge", ALL) == (fields, "multipart")


@pytest.mark.parametrize(
    "text",
    [
        part("a", "1"),
        part("a", "1", '; filename="a.txt"') + "--edge--",
        part("a", "\0") + "--edge--",
        part("n" * 256, "1") + "--edge--",
        part("a", "1") * 1001 + "--edge--",
        "--edge\r\nX: y\r\n\r\n1\r\n--edge--",
    ],
    ids=["unfinished", "file", "NUL", "long name", "many", "nameless"],
)
def test_multipart_is_bounded_too(text: str):
    with pytest.raises(BadBody):
        decode(text.encode(), "multipart/form-data; boundary=edge", ALL)


@pytest.mark.parametrize(
    ("text", "clean"), [("", True), ("a\nb", True), ("é😀", True), ("\0", False), ("a\ud800", False)]
)
def test_clean_text(text: str, clean: bool):
    assert is_clean(text) is clean


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.decimals(-(10**15), 10**15, places=3)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab€", max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_whatever_can_be_kept_comes_through_unchanged(value: Any):
    assert decode_json(msgspec.json.Encoder(decimal_format="number").encode(value)) == value


@given(st.binary(max_size=200), st.sampled_from(["", FORM, "application/json", "multipart/form-data; boundary=a"]))
def test_nothing_but_a_value_or_a_refusal_comes_of_any_bytes(body: bytes, declared: str):
    try:
        value, _ = decode(body, declared, ALL)
    except BadBody:
        return
    assert "\\u0000" not in json.dumps(value, default=str)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=9),
        st.text("a &=+%é", max_size=9),
        min_size=1,
        max_size=5,
    )
)
def test_forms_come_back_as_they_were_written(fields: dict[str, str]):
    assert decode_form(urlencode(fields).encode()) == fields
