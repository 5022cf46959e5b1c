"""CHIP's notifications: what they are about, which are its own, and what a client's own webhooks are told of them."""

import json
from base64 import b64decode, b64encode
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from moneyback.dialect import Delivery, Forged, Heard, Notification
from moneyback.dialects.chip import DIALECT
from moneyback.dialects.chip.client import CLIENT
from moneyback.dialects.chip.events import EVENTS
from moneyback.dialects.chip.hooks import SEALED, WEBHOOKS
from moneyback.dialects.chip.news import KEYS, hear
from tests.dialects.chip.shapes import fits
from tests.dialects.chip.shop import Shop
from tests.dialects.chip.test_client import MADE, NUMBER, made, shown

PRIVATE, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def told(body: Any, key: Any = PRIVATE, algorithm: HashAlgorithm | None = None) -> Notification:
    """A notification as CHIP signs it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = b64encode(key.sign(raw, PKCS1v15(), algorithm or SHA256())).decode()
    return Notification(method="POST", headers={"x-signature": signature}, body=raw)


REFUNDED = {"event_type": "payment.refunded", **made()}
KEPT = {"webhook_key": pem(PRIVATE)}


# --- what it is about ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "payments"),
    [
        (REFUNDED, (NUMBER,)),
        ({**REFUNDED, "related_to": {"id": NUMBER}}, (NUMBER,)),
        ({**REFUNDED, "related_to": {"type": "payout", "id": NUMBER}}, ()),
        ({**REFUNDED, "related_to": None}, ()),
        ({"event_type": "purchase.pending_refund", **shown()}, (NUMBER,)),
        ({"event_type": "payout.success", "type": "payout", "id": MADE}, ()),
        ({"event_type": "purchase.paid"}, ()),
        ({"event_type": "purchase.paid", "type": "purchase", "id": 7}, ()),
    ],
)
def test_what_it_names(body: dict[str, Any], payments: tuple[str, ...]):
    heard = hear(told(body), KEPT)
    assert (heard.payments, heard.refunds, heard.answer.status) == (payments, (), 200)


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_every_event_is_heard(event: str):
    body = made() if event.startswith("payment.") else shown()
    assert hear(told({"event_type": event, **body}), KEPT).payments == (NUMBER,)


def test_the_same_event_is_told_again_in_other_bytes():
    again = json.dumps(dict(reversed(REFUNDED.items())), indent=2).encode()
    others = [{**REFUNDED, "id": NUMBER}, {**REFUNDED, "event_type": "purchase.paid"}, {**REFUNDED, "updated_on": 1}]
    heard: list[Heard] = [hear(told(each), KEPT) for each in (REFUNDED, again, *others)]
    assert heard[0].digest == heard[1].digest
    assert len({each.digest for each in heard}) == 4


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}", b'{"event_type": 1}', b"\xff", b"[" * 100_000])
def test_what_cannot_be_read(body: bytes):
    with pytest.raises(ValueError, match="body"):
        hear(told(body), KEPT)


# --- whose it is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kept",
    [
        KEPT,
        {"company_key": pem(PRIVATE)},
        {"webhook_key": pem(OTHER), "company_key": pem(PRIVATE)},
        {"webhook_key": pem(PRIVATE).replace("\n", "\\n")},
    ],
)
def test_either_key_may_have_signed_it(kept: dict[str, str]):
    assert hear(told(REFUNDED), kept).payments == (NUMBER,)


@pytest.mark.parametrize(
    "sent",
    [
        told(REFUNDED, OTHER),
        told(REFUNDED, PRIVATE, SHA512()),
        Notification(method="POST", body=told(REFUNDED).body),
        Notification(method="POST", body=told(REFUNDED).body + b" ", headers=told(REFUNDED).headers),
        Notification(method="POST", body=told(REFUNDED).body, headers={"x-signature": "no base64!"}),
        Notification(method="POST", body=told(REFUNDED).body, headers={"x-signature": "é"}),
        Notification(method="POST", body=b"{", headers={"x-signature": ""}),
    ],
)
def test_forged(sent: Notification):
    with pytest.raises(Forged):
        hear(sent, KEPT)


def test_without_a_key_nothing_is_checked():
    assert hear(told(REFUNDED, OTHER), {"secret_key": "s"}).payments == (NUMBER,)


@pytest.mark.parametrize("key", ["no key", pem(ed25519.Ed25519PrivateKey.generate())])
def test_a_key_that_is_none(key: str):
    with pytest.raises(ValueError):
        hear(told(REFUNDED), {"webhook_key": key})


def test_what_the_client_declares():
    assert (CLIENT.hear, CLIENT.optional) == (hear, KEYS)


# --- told on ---------------------------------------------------------------------------------------------------------


def hook(shop: Shop, *events: str, callback: str = "https://shop.example/a") -> dict[str, Any]:
    stated = {"events": list(events)} if events else {"all_events": True}
    found: dict[str, Any] = fits(shop.ask("POST", "/webhooks/", {"title": "t", "callback": callback, **stated}))
    return found


def resent(shop: Shop, sent: Notification) -> tuple[Delivery, ...]:
    assert DIALECT.resend is not None
    return shop.table.through(DIALECT.resend(sent, shop.table.caller))


def test_each_webhook_is_told_what_it_listens_to_signed_with_its_own_key():
    shop = Shop()
    wanted = [hook(shop, "payment.refunded", "purchase.paid"), hook(shop, callback="https://shop.example/b")]
    hook(shop, "purchase.paid")
    sent = told(REFUNDED)
    found = resent(shop, sent)
    assert [(each.hook, each.url) for each in found] == [(each["id"], each["callback"]) for each in wanted]
    for each, webhook in zip(found, wanted, strict=True):
        assert (each.method, each.body, each.headers["content-type"]) == ("POST", sent.body, "application/json")
        key = load_pem_public_key(webhook["public_key"].encode())
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(b64decode(each.headers["x-signature"]), sent.body, PKCS1v15(), SHA256())


def test_nobody_sees_what_signs():
    shop = Shop()
    webhook = hook(shop)
    kept = shop.table.documents[(WEBHOOKS, webhook["id"])]
    assert kept[SEALED] and SEALED not in webhook
    assert "PRIVATE" not in json.dumps(shop.table.documents[(WEBHOOKS, webhook["id"])])
    shop.ask("PATCH", f"/webhooks/{webhook['id']}/", {"title": "u", "public_key": "x", SEALED: "x"})
    assert shop.table.documents[(WEBHOOKS, webhook["id"])][SEALED] == kept[SEALED]
    assert len(resent(shop, told(REFUNDED))) == 1


@pytest.mark.parametrize("sealed", [None, "", "no base64!", b64encode(bytes(40)).decode()])
def test_who_cannot_be_signed_for_is_told_nothing(sealed: str | None):
    shop = Shop()
    place = (WEBHOOKS, hook(shop)["id"])
    kept = {name: value for name, value in shop.table.documents[place].items() if name != SEALED}
    shop.table.documents[place] = kept if sealed is None else {**kept, SEALED: sealed}
    assert resent(shop, told(REFUNDED)) == ()


def test_a_key_signs_for_its_own_merchant_alone():
    shop = Shop()
    hook(shop)
    shop.table.acting = UUID(int=99)
    assert resent(shop, told(REFUNDED)) == ()


def test_however_many_there_are():
    shop = Shop()
    first = hook(shop)
    kept = shop.table.documents[(WEBHOOKS, first["id"])]
    for number in range(150):
        shop.table.documents[(WEBHOOKS, str(number))] = {**kept, "id": str(number)}
    assert len({each.hook for each in resent(shop, told(REFUNDED))}) == 151


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff"])
def test_what_is_no_event_is_told_to_those_alone_who_listen_to_everything(body: bytes):
    shop = Shop()
    hook(shop, "payment.refunded")
    everything = hook(shop)
    assert [each.hook for each in resent(shop, Notification(method="POST", body=body))] == [everything["id"]]
