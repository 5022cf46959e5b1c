"""Trustly's events as we receive them: which are genuine, and what each is about."""

from base64 import b64encode
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from moneyback.dialect import Forged, Heard, Notification
from moneyback.dialects.trustly import DIALECT
from moneyback.dialects.trustly.news import hear
from moneyback.dialects.trustly.signatures import signature
from moneyback.rails import scrubbed

# The members in the order of the documentation's sample, with figures of a refund; the signature was computed apart.
TEXT = (
    "merchantId=1002463580&merchantReference=rf-0001&paymentType=2&transactionType=4&eventId=1002593999"
    "&eventType=Complete&objectId=1002593600&objectType=Transaction&message=&timeZone=Etc/UTC&createdAt=1556234040954"
    "&accessId=M8RaHgEjBE54zuFYMRQq&paymentProviderTransaction.status=AC118"
    "&paymentProviderTransaction.statusMessage=Refund settled&status=4&statusMessage=Completed"
)
HEADER = "Basic TThSYUhnRWpCRTU0enVGWU1SUXE6cThLVTcwaGRJSTd5UFN1cmtjMS9pL1JDUTBrPQ=="
CREDENTIALS = {"access_id": "M8RaHgEjBE54zuFYMRQq", "access_key": "test-access-key"}
PAIRS = tuple((name, value) for name, _, value in (each.partition("=") for each in TEXT.split("&")))
HEARD = Heard(digest="event:1002593999", refunds=("1002593600",))


def notification(body: bytes | str, authorization: str = HEADER) -> Notification:
    raw = body if isinstance(body, bytes) else body.encode()
    return Notification(method="POST", headers={"authorization": authorization}, body=raw)


def sealed(text: str, *, prefix: str = "", digest: str = "sha1", user: str = CREDENTIALS["access_id"]) -> str:
    said = f"{user}:{prefix}{signature(CREDENTIALS['access_key'], text, digest)}"
    return f"Basic {b64encode(said.encode()).decode()}"


def told(**members: Any) -> Heard:
    """What an event of these members is about."""
    given = {"eventId": "7", "objectType": "Transaction", **members}
    body = urlencode(given, quote_via=quote)
    return hear(notification(body, sealed("&".join(f"{n}={v}" for n, v in given.items()))), CREDENTIALS)


@pytest.mark.parametrize(
    "body",
    [
        urlencode(PAIRS, quote_via=quote),
        urlencode(PAIRS, quote_via=quote) + "&",
        urlencode(PAIRS),  # spaces as plus signs
        TEXT,
        "{" + ", ".join(f'"{name}": "{value}"' for name, value in PAIRS) + "}",
    ],
)
def test_the_documented_signature_is_the_one_that_is_checked(body: str):
    assert hear(notification(body), CREDENTIALS) == HEARD


def test_numbers_and_gaps_of_json():
    body = '{"objectId": 1002593600, "transactionType": 4, "eventId": 9, "message": null, "retried": true}'
    text = "objectId=1002593600&transactionType=4&eventId=9&message=&retried=true"
    assert hear(notification(body, sealed(text)), CREDENTIALS).refunds == ("1002593600",)


def test_a_plus_may_be_a_plus():
    text = "eventId=1&objectId=2&transactionType=3&merchantReference=a+b"
    assert hear(notification(text, sealed(text)), CREDENTIALS).payments == ("2",)


@pytest.mark.parametrize(("prefix", "digest"), [("HmacSHA1:", "sha1"), ("HmacSHA512:", "sha512")])
def test_a_signature_may_name_its_algorithm(prefix: str, digest: str):
    body = urlencode(PAIRS, quote_via=quote)
    assert hear(notification(body, sealed(TEXT, prefix=prefix, digest=digest)), CREDENTIALS) == HEARD


FORGERIES = [
    "",
    "Basic",
    "Basic ?",
    "Basic " + b64encode(b"\xff:\xff").decode(),
    "Bearer " + HEADER.removeprefix("Basic "),
    sealed(TEXT, user="somebody-else"),
    sealed(TEXT, user=""),
    sealed(TEXT + "&x=1"),
    sealed(TEXT, digest="sha512"),  # not the algorithm that it stands for
    sealed(TEXT, prefix="HmacSHA512:"),
    sealed(TEXT, prefix="HmacMD5:", digest="md5"),
    "Basic " + b64encode(f"{CREDENTIALS['access_id']}:".encode()).decode(),
    "Basic " + b64encode(f"{CREDENTIALS['access_id']}:{CREDENTIALS['access_key']}".encode()).decode(),
]


@pytest.mark.parametrize("header", FORGERIES)
def test_a_forged_one_is_not_heard(header: str):
    with pytest.raises(Forged):
        hear(notification(urlencode(PAIRS, quote_via=quote), header), CREDENTIALS)


@pytest.mark.parametrize("change", [("4", "3"), ("1002593600", "1002593601"), ("rf-0001", "rf-0002")])
def test_not_one_letter_may_be_changed(change: tuple[str, str]):
    with pytest.raises(Forged):
        hear(notification(urlencode(PAIRS, quote_via=quote).replace(*change)), CREDENTIALS)


def test_the_order_belongs_to_what_is_signed():
    with pytest.raises(Forged):
        hear(notification(urlencode(PAIRS[::-1], quote_via=quote)), CREDENTIALS)


@pytest.mark.parametrize("body", [b"", b"\xff=1", b"words", b"=1", b"{", b"[]", b'{"a": {"b": 1}}', b'{"a": 1.5}'])
def test_what_is_no_event(body: bytes):
    with pytest.raises(ValueError):
        hear(notification(body), CREDENTIALS)


@pytest.mark.parametrize(
    ("members", "payments", "refunds"),
    [
        ({"objectId": "5", "transactionType": "3"}, ("5",), ()),
        ({"objectId": "5", "transactionType": "3", "parentObjectId": "4"}, ("5", "4"), ()),
        ({"objectId": "5", "transactionType": "2", "eventType": "Refund", "status": "12"}, ("5",), ()),
        ({"objectId": "5", "transactionType": "4"}, (), ("5",)),
        ({"objectId": "5", "transactionType": "7", "parentObjectId": "4"}, ("4",), ("5",)),
        ({"objectId": "5", "transactionType": "5", "eventType": "Reverse", "parentObjectId": "4"}, ("5", "4"), ()),
        ({"objectId": "5", "transactionType": "1"}, ("5",), ()),
        ({"eventType": "Dispute", "transactionId": "5"}, ("5",), ()),
        ({"objectId": "5", "objectType": "Customer"}, (), ()),
        ({"objectId": ""}, (), ()),
        ({}, (), ()),
    ],
)
def test_what_an_event_is_about(members: dict[str, str], payments: tuple[str, ...], refunds: tuple[str, ...]):
    heard = told(**members)
    assert (heard.payments, heard.refunds, heard.answer.status) == (payments, refunds, 200)


def test_a_repetition_is_known_by_its_event():
    first, again, other = told(objectId="5"), told(objectId="5", attempt="2"), told(objectId="5", eventId="8")
    assert first.digest == again.digest != other.digest
    nameless = [told(objectId=number, eventId="").digest for number in ("5", "5", "6")]
    assert nameless[0] == nameless[1] != nameless[2]


def test_what_is_kept_of_an_event_has_no_secret():
    raw = urlencode((*PAIRS, ("splitToken", "s3cr3t"), ("signature", "s1gn")))
    kept = scrubbed(notification(raw), DIALECT.scrub, (CREDENTIALS["access_key"],))
    assert "rf-0001" in kept
    assert not any(secret in kept for secret in ("s3cr3t", "s1gn"))
