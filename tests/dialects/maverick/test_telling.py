"""What Maverick's webhooks tell: of which transactions, in words that every known receiver reads, and how signed."""

import json
from datetime import timedelta
from decimal import Decimal
from hashlib import sha512
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund
from moneyback.dialect import Delivery, Mac, Notification
from moneyback.dialects import maverick
from moneyback.dialects.maverick import DIALECT
from moneyback.dialects.maverick.news import hear
from moneyback.dialects.maverick.telling import number_of
from tests.dialects.driver import Table, said

SECRET = "sk_hook_demo"
HERE = "https://shop.example/maverick"
TEXT, TEXT_OR_NULL = {"type": "string"}, {"type": ["string", "null"]}
NUMBER = {"type": "number", "exclusiveMinimum": 0}


def closed(members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


ENVELOPE = closed(
    {
        "id": {"type": "integer", "minimum": 0, "exclusiveMaximum": 2**48},
        "module": {"const": "transaction"},
        "action": {"enum": ["create", "refund"]},
        "date": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"},
        "data": closed(
            {
                "merchant": closed({"mid": {"type": "string", "pattern": r"^\d{12}$|^MID"}, "name": TEXT}),
                "terminal": closed({"id": {"type": ["integer", "null"]}}),
                "transaction": closed(
                    {
                        "id": {"type": "integer"},
                        "amount": NUMBER,
                        "status": {"enum": ["InProgress", "Approved", "Declined", "Error"]},
                        "statusReason": TEXT_OR_NULL,
                        "origin": {"enum": ["API", "HostedForm", "VirtualTerminal"]},
                        "type": {"enum": ["Auth", "Capture", "Return"]},
                        "parent": closed({"id": {"type": ["integer", "null"]}}),
                    }
                ),
                "externalId": TEXT_OR_NULL,
                "amount": NUMBER,
                "captured": {"type": "boolean"},
                "type": {"enum": ["Auth", "Capture", "Return"]},
            }
        ),
    }
)
FITS = jsonschema_rs.validator_for(ENVELOPE)


SAMPLE = json.loads((Path(maverick.__file__).parent / "samples" / "webhooks" / "transaction_refund.json").read_text())
NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def types_of(value: Any) -> Any:
    """A value's shape: its members in their order, with the names of their types."""
    return {name: types_of(each) for name, each in value.items()} if isinstance(value, dict) else NAMES[type(value)]


class Hooked(Table):
    """A merchant whose program is told."""

    def __init__(self, *events: str, profile: dict[str, Any] | None = None) -> None:
        super().__init__(DIALECT, profile=profile)
        self.outcome = "succeeded"
        self.hook("end_1", HERE, *events, secret=self.endpoint_secret(SECRET))

    def hook(self, id: str, url: str, *events: str, secret: str = "", headers: str = "") -> None:
        """An endpoint, as it is kept when it is registered."""
        kept = {"id": id, "url": url, "events": list(events), "secret": secret, "headers": headers}
        self.documents["endpoint", id] = kept

    def sale(self, path: str = "sale", amount: str = "25.00", **members: Any) -> Payment:
        """A card that was charged through this API, by default under its own reference."""
        card = {"number": "4111111111111111", "exp": "12/30"}
        body = {"terminal": {"id": 24}, "amount": amount, "source": "Internet", "card": card, "externalId": "cart-7"}
        answer = self.call("POST", f"/payment/{path}", body | members)
        assert answer.status == 200, said(answer)
        return next(each for each in self.facts.payments.values() if each.dialect_id == str(said(answer)["id"]))

    def takes(self, payment: Payment, path: str, body: dict[str, Any], status: int = 200) -> Any:
        """A capture or a refund of it."""
        answer = self.call("POST", f"/payment/{payment.dialect_id}/{path}", {"terminal": {"id": 24}, **body})
        assert answer.status == status, said(answer)
        return said(answer)

    def gives(self, payment: Payment, outcome: str, amount: str = "10.00") -> Refund:
        """A refund of a part, brought there."""
        self.outcome = outcome
        self.takes(payment, "refund", {"amount": amount}, 422 if outcome.startswith(("failed", "canceled")) else 200)
        return self.refunds[-1]


def body_of(delivery: Delivery) -> Any:
    """What is said, checked for its members and their types, and for its signature, which is told from them alone."""
    assert not [each.message for each in FITS.iter_errors(json.loads(delivery.body))]
    body = json.loads(delivery.body, parse_float=Decimal)
    assert list(body) == ["id", "module", "action", "date", "data"]
    signed = f"{SECRET}{body['id']}{body['module']}{body['action']}{body['date']}"
    assert delivery.headers.get("webhook-signature") in (None, sha512(signed.encode()).hexdigest())
    return body


# --- refunds ---------------------------------------------------------------------------------------------------------


def test_an_approved_refund_is_told_in_words_that_every_receiver_reads():
    shop = Hooked()
    payment = shop.sale()
    refund = shop.gives(payment, "succeeded", "10.50")
    (told,) = shop.tell("refund.succeeded", payment, refund)
    body = body_of(told)
    assert (told.url, told.method, told.hook, told.headers["content-type"]) == (
        HERE,
        "POST",
        "end_1",
        "application/json",
    )
    assert (body["module"], body["action"], body["date"]) == ("transaction", "refund", "2026-03-02 09:30:00")
    assert body["data"] == {
        "merchant": {"mid": "073709551616", "name": "demo"},
        "terminal": {"id": 24},
        "transaction": {
            "id": int(refund.dialect_id),
            "amount": Decimal("10.50"),
            "status": "Approved",
            "statusReason": None,
            "origin": "API",
            "type": "Return",
            "parent": {"id": int(payment.dialect_id)},
        },
        "externalId": "cart-7",
        "amount": Decimal("10.50"),
        "captured": False,
        "type": "Return",
    }
    assert b'"amount":10.50' in told.body


@pytest.mark.parametrize(
    ("outcome", "type", "action", "status", "reason"),
    [
        ("succeeded", "refund.succeeded", "refund", "Approved", None),
        ("failed:Insufficient Funds", "refund.failed", "create", "Declined", "Insufficient Funds"),
        ("failed:Insufficient Funds", "refund.created", "create", "Declined", "Insufficient Funds"),
        ("returned", "refund.returned", "create", "Error", "The money came back"),
        ("canceled", "refund.canceled", "create", "Declined", "Canceled before it was sent"),
    ],
)
def test_a_refund_that_has_ended_is_told_as_it_ended(
    outcome: str, type: str, action: str, status: str, reason: str | None
):
    shop = Hooked()
    payment = shop.sale()
    refund = shop.gives(payment, outcome)
    (told,) = shop.tell(type, payment, refund, data={"state": refund.state.value})
    body = body_of(told)
    transaction = body["data"]["transaction"]
    assert (body["action"], transaction["status"], transaction["statusReason"]) == (action, status, reason)
    assert (transaction["id"], body["data"]["captured"]) == (int(refund.dialect_id), False)


@pytest.mark.parametrize("state", ["pending", "unknown", "needs_review", "sending", "requires_action"])
def test_a_refund_that_has_not_ended_is_not_told(state: str):
    shop = Hooked()
    payment = shop.sale()
    refund = shop.gives(payment, state)
    assert shop.tell(f"refund.{state}", payment, refund, data={"state": state}) == ()
    assert shop.tell("refund.created", payment, refund, data={"state": "ready"}) == ()


def test_a_refund_that_came_back_since_is_told_as_it_stood():
    shop = Hooked()
    payment = shop.sale()
    refund = shop.gives(payment, "returned")
    (first,) = shop.tell("refund.succeeded", payment, refund)
    (second,) = shop.tell("refund.returned", payment, refund)
    assert [body_of(each)["data"]["transaction"]["status"] for each in (first, second)] == ["Approved", "Error"]


def test_a_refund_without_a_number_cannot_be_read_and_is_not_told():
    shop = Hooked()
    payment = shop.sale()
    refund = shop.gives(payment, "succeeded")
    shop.write(refund, dialect="native", dialect_id="0a" * 16)
    assert shop.tell("refund.succeeded", payment, refund) == ()


def test_a_credential_may_want_refunds_to_arrive_as_new_transactions():
    shop = Hooked("transaction/create", profile={"webhook_on_refund": "create", "mid": "MID-1"})
    payment = shop.sale()
    (told,) = shop.tell("refund.succeeded", payment, shop.gives(payment, "succeeded"))
    body = body_of(told)
    assert (body["action"], body["data"]["type"], body["data"]["merchant"]["mid"]) == ("create", "Return", "MID-1")


def test_a_reversal_is_told_as_a_refund_of_all_that_was_authorised():
    shop = Hooked()
    payment = shop.sale("auth")
    void = shop.takes(payment, "refund", {})
    (told,) = shop.tell("payment.released", payment)
    body = body_of(told)
    assert (body["action"], body["data"]["amount"], body["data"]["type"]) == ("refund", 25, "Return")
    assert body["data"]["transaction"]["id"] == void["id"]


# --- sales, authorisations and captures ------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "captured"), [("sale", 25_00), ("auth", 0)])
def test_a_charge_is_told_as_a_new_transaction(path: str, captured: int):
    shop = Hooked()
    payment = shop.sale(path)
    (told,) = shop.tell("payment.registered", payment, data={"captured": captured})
    data = body_of(told)["data"]
    assert (data["type"], data["amount"], data["captured"]) == ("Auth", 25, bool(captured))
    assert (data["transaction"]["id"], data["transaction"]["status"]) == (int(payment.dialect_id), "Approved")
    assert (data["externalId"], data["transaction"]["parent"]) == ("cart-7", {"id": None})


def test_a_declined_charge_is_told_with_its_reason():
    shop = Hooked(profile={"decline_mode": 200})
    payment = shop.sale(card={"number": "4000000000009995", "exp": "12/30"})
    (told,) = shop.tell("payment.registered", payment, data={"captured": 0})
    transaction = body_of(told)["data"]["transaction"]
    assert (transaction["status"], transaction["statusReason"]) == ("Declined", "Insufficient Funds")


def test_every_capture_is_told_as_a_transaction_of_its_own():
    shop = Hooked()
    payment = shop.sale("auth")
    taken = [shop.takes(payment, "capture", {"amount": amount})["id"] for amount in ("10.00", "5.00")]
    told = [shop.tell("payment.captured", payment, data={"captured": total})[0] for total in (10_00, 15_00)]
    found = [body_of(each)["data"] for each in told]
    assert [each["transaction"]["id"] for each in found] == taken
    assert [(each["amount"], each["captured"], each["type"]) for each in found] == [
        (10, True, "Capture"),
        (5, True, "Capture"),
    ]
    assert {each["transaction"]["parent"]["id"] for each in found} == {int(payment.dialect_id)}
    assert {each["externalId"] for each in found} == {"cart-7"}


def test_what_was_captured_elsewhere_is_told_with_the_original():
    shop = Hooked()
    payment = shop.pay(50_00, "USD", status="authorized", dialect_data={"externalId": "cart-8"})
    payment = shop.see(payment, "captured", 30_00)
    (told,) = shop.tell("payment.captured", payment, data={"captured": 30_00})
    data = body_of(told)["data"]
    assert (data["transaction"]["id"], data["type"]) == (int(payment.dialect_id), "Auth")
    assert (data["amount"], data["captured"], data["externalId"]) == (30, True, "cart-8")


@pytest.mark.parametrize("type", ["refund.joined", "payment.dispute_opened", "payment.external_refund"])
def test_what_maverick_has_no_word_for_is_not_told(type: str):
    shop = Hooked()
    assert shop.tell(type, shop.sale(), data={"captured": 25_00}) == ()


# --- who is told, and how --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((), 1),
        (("transaction",), 1),
        (("transaction/refund",), 1),
        (("chargeback/create", "transaction/refund"), 1),
        (("transaction/create",), 0),
        (("refund",), 0),
    ],
)
def test_who_asked_for_it_is_told(events: tuple[str, ...], told: int):
    shop = Hooked(*events)
    payment = shop.sale()
    assert len(shop.tell("refund.succeeded", payment, shop.gives(payment, "succeeded"))) == told


def test_each_endpoint_is_signed_for_with_its_own_secret():
    shop = Hooked()
    shop.hook("end_2", f"{HERE}/2", secret=shop.endpoint_secret("another"), headers="sealed headers")
    shop.hook("end_3", f"{HERE}/3")
    shop.hook("end_4", f"{HERE}/4", secret="sealed by another master key")
    payment = shop.sale()
    told = shop.tell("refund.succeeded", payment, shop.gives(payment, "succeeded"))
    body = body_of(told[0])
    signed = f"another{body['id']}transactionrefund2026-03-02 09:30:00"
    assert told[1].headers["webhook-signature"] == sha512(signed.encode()).hexdigest()
    assert [each.endpoint_headers for each in told] == ["", "sealed headers", "", ""]
    assert ["webhook-signature" in each.headers for each in told] == [True, True, False, False]
    assert {each.body for each in told} == {told[0].body}


def test_a_documented_webhook_is_told_in_its_form():
    shop = Hooked()
    payment = shop.sale(**SAMPLE["sale"])
    shop.takes(payment, "refund", SAMPLE["refund"])
    (told,) = shop.tell("refund.succeeded", payment, shop.refunds[-1])
    body = json.loads(told.body)
    assert list(body) == SAMPLE["members"]
    assert types_of(body["data"]) == SAMPLE["data"]


def test_the_signature_is_the_recorded_one():
    shop, signed = Hooked(), SAMPLE["signed"]
    sealed = shop.endpoint_secret(SAMPLE["secret"])
    digest = shop.answer(Mac(data=signed["text"].encode(), hash="sha512", sealed=sealed, prefixed=True)).hex()
    assert digest == signed["signature"]
    assert (digest[:32], digest[-16:]) == ("e83090d3b5a0de8f831f52c6ff71010c", "79bd4749b6c03f21")


def test_a_program_that_is_away_is_tried_for_hours():
    shop = Hooked()
    payment = shop.sale()
    (told,) = shop.tell("refund.succeeded", payment, shop.gives(payment, "succeeded"))
    assert [each / timedelta(minutes=1) for each in told.again_after or ()] == [1, 5, 30, 120]
    assert told.received == "2xx"


def test_told_again_the_same_is_told_and_other_news_have_another_number():
    shop = Hooked()
    payment = shop.sale()
    refunds = [shop.gives(payment, "succeeded") for _ in range(2)]
    first, second = (shop.tell("refund.succeeded", payment, each) for each in refunds)
    assert first == shop.tell("refund.succeeded", payment, refunds[0])
    assert body_of(first[0])["id"] != body_of(second[0])["id"]
    assert number_of(refunds[0].id) == number_of(refunds[0].id) != number_of(refunds[1].id)


def test_what_we_tell_is_what_we_hear():
    """A rail whose provider is a twin of ours is told of its refunds, and believes the signature."""
    shop = Hooked()
    payment = shop.sale()
    refund = shop.gives(payment, "succeeded")
    (told,) = shop.tell("refund.succeeded", payment, refund)
    heard = hear(Notification(method="POST", headers=told.headers, body=told.body), {"webhook_secret": SECRET})
    assert heard.payments[0] == payment.dialect_id
    assert heard.refunds == (refund.dialect_id,)


def test_every_endpoint_is_told_however_many_there_are():
    shop = Hooked("chargeback/create")
    for number in range(2, 251):
        shop.hook(f"end_{number}", f"{HERE}/{number}")
    payment = shop.sale()
    told = shop.tell("refund.succeeded", payment, shop.gives(payment, "succeeded"))
    assert len({each.hook for each in told}) == len(told) == 249
