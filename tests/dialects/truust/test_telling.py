"""What Truust's webhooks tell: who is told of what, in which words and how often, and every way to come to an event."""

import hmac
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from moneyback.core.payment import Payment, PaymentKind
from moneyback.dialect import Delivery
from moneyback.dialects import truust
from moneyback.dialects.truust.telling import Told
from tests.dialects.truust.shapes import Shop
from tests.dialects.truust.test_server import TEXT_OR_NULL, closed

SECRET = "whsec-of-the-shop"
HERE = "https://shop.example/truust"
WHOLE, WHOLE_OR_NULL = {"type": "integer"}, {"type": ["integer", "null"]}
OBJECT_OR_NULL = {"type": ["object", "null"]}
ESCROW = {
    "id": {"type": "string", "pattern": r"^\d+$"},
    "name": {"type": "string"},
    "amount": {"type": "number"},
    "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
    "status": {"type": "string"},
    "metadata": OBJECT_OR_NULL,
    "auto_settled": {"enum": ["0", "1"]},
}
PAYIN = {
    "id": WHOLE,
    "reference_id": TEXT_OR_NULL,
    "escrow_id": WHOLE,
    "card_id": WHOLE_OR_NULL,
    "type": {"type": "string"},
    "status": {"type": "string"},
    "save_card": {"enum": [0, 1]},
    "provider": {"type": "object"},
}
CARD = {"id": WHOLE, "name": TEXT_OR_NULL, "payin_type": {"type": "string"}}
REFUND = {
    "id": WHOLE,
    "reference_id": TEXT_OR_NULL,
    "amount": {"type": "number"},
    "status": {"enum": ["CONFIRMED", "DENIED"]},
    "payin_id": WHOLE,
    "wallet_id": WHOLE_OR_NULL,
    "escrow_id": WHOLE,
    "tag": TEXT_OR_NULL,
    "provider": OBJECT_OR_NULL,
    "metadata": OBJECT_OR_NULL,
    "created_at": {"type": "string"},
    "updated_at": {"type": "string"},
    "denied_at": TEXT_OR_NULL,
}
PAYOUT = {
    "id": WHOLE,
    "reference_id": TEXT_OR_NULL,
    "escrow_id": WHOLE,
    "type": {"enum": ["WALLET", "ACCOUNT", "BANKWIRE"]},
    "status": {"enum": ["CREATED", "CONFIRMED"]},
    "wallet_id": WHOLE_OR_NULL,
    "bankaccount_id": WHOLE_OR_NULL,
    "created_at": {"type": "string"},
    "confirmed_at": TEXT_OR_NULL,
}


class Hooked(Shop):
    """A shop whose program is told; every body that leaves it has the documented members and types."""

    def __init__(self, *events: str, **members: Any) -> None:
        super().__init__()
        self.hook("end_1", HERE, *events, **members)

    def hook(self, id: str, url: str, *events: str, **members: Any) -> None:
        """An endpoint, as it is kept when it is registered."""
        sealed = {"secret": "", "headers": "", "created_at": "2026-03-02T09:30:00+00:00"}
        self.documents["endpoint", id] = {"id": id, "url": url, "events": list(events), **sealed, **members}

    def announced(self) -> list[str]:
        """What the calls have told of, oldest first."""
        return [id.split()[0] for id, _ in self.told]

    def bought(self, value: Any = 100, **members: Any) -> tuple[Any, Payment]:
        """A paid order, and its payin's payment."""
        order = self.order(value, **members)
        payin = self.paid(order)
        return self.again(order), self.payment(self._payin(payin["id"]))

    def _payin(self, number: int) -> Payment:
        return next(each for each in self.facts.payments.values() if each.dialect_id == str(number))

    def gives(self, payment: Payment, body: Any, outcome: str = "succeeded") -> Any:
        """A refund, brought there."""
        self.outcome = outcome
        self.post(f"/2.0/payins/{payment.dialect_id}/refund", body)
        return self.refunds[-1]


def body_of(delivery: Delivery) -> Any:
    """What is said, checked for its members, their order and their types."""
    body = json.loads(delivery.body, parse_float=Decimal)
    for name, members in {"escrow": ESCROW, "payin": PAYIN, "refund": REFUND, "payout": PAYOUT}.items():
        if name in body:
            shown = dict(body[name])
            card = shown.pop("card", None)
            assert list(shown) == list(members), name
            assert not list(fits(members).iter_errors(json.loads(json.dumps(shown, default=float)))), name
            assert card is None or not list(fits(CARD).iter_errors(card))
    assert body["platform"] == "moneyback"
    return body


NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def types_of(value: Any) -> Any:
    """A value's shape: its members in their order, with the names of their types."""
    return {name: types_of(each) for name, each in value.items()} if isinstance(value, dict) else NAMES[type(value)]


def fits(members: Any) -> Any:
    return jsonschema_rs.validator_for(closed(members))


# --- refunds ---------------------------------------------------------------------------------------------------------


def test_an_executed_refund_is_told_with_its_payin_and_its_order():
    shop = Hooked("RefundConfirmed")
    order, payment = shop.bought("150.00", metadata={"basket": "b-7"})
    refund = shop.gives(payment, {"amount": "20.50", "tag": "r-1", "metadata": {"line": 1.5}})
    (told,) = shop.tell("refund.succeeded", payment, refund)
    body = body_of(told)
    assert (told.url, told.method, told.hook) == (HERE, "POST", "end_1")
    assert list(body) == ["escrow", "platform", "payin", "refund"]
    assert body["escrow"] == {
        "id": str(order["id"]),
        "name": "A bicycle",
        "amount": 150,
        "currency": "EUR",
        "status": "PUBLISHED",
        "metadata": {"basket": "b-7"},
        "auto_settled": "0",
    }
    assert (body["payin"]["id"], body["payin"]["status"]) == (int(payment.dialect_id), "CONFIRMED")
    assert (body["payin"]["escrow_id"], body["payin"]["card_id"], body["payin"]["save_card"]) == (order["id"], None, 0)
    read = shop.get(f"/2.0/refunds/{refund.dialect_id}")
    assert body["refund"] == {name: read[name] for name in REFUND} | {"amount": Decimal("20.50")}
    assert b'"amount":20.50' in told.body or b'"amount":20.5' in told.body
    assert (body["refund"]["tag"], body["refund"]["metadata"]) == ("r-1", {"line": Decimal("1.5")})


@pytest.mark.parametrize(
    ("outcome", "type", "status", "events"),
    [
        ("succeeded", "refund.succeeded", "CONFIRMED", ["PayinRefunded", "RefundConfirmed"]),
        ("failed:0190", "refund.failed", "DENIED", ["RefundDenied"]),
        ("returned:R03", "refund.returned", "DENIED", ["RefundDenied"]),
        ("failed:0190", "refund.created", "DENIED", ["RefundDenied"]),  # born failed
        ("canceled", "refund.canceled", None, []),
        ("pending", "refund.pending", None, []),
        ("unknown", "refund.unknown", None, []),
        ("needs_review", "refund.needs_review", None, []),
        ("ready", "refund.created", None, []),
    ],
)
def test_what_is_told_of_a_refund_in_each_state(outcome: str, type: str, status: str | None, events: list[str]):
    shop = Hooked("PayinConfirmed")
    for number, event in enumerate(Told, 2):
        shop.hook(f"end_{number}", f"{HERE}/{event.value}", event.value)
    _, payment = shop.bought()
    refund = shop.gives(payment, {"amount": 30}, outcome)
    told = shop.tell(type, payment, refund, data={"state": refund.state.value})
    assert sorted(each.url for each in told) == [f"{HERE}/{event}" for event in events]
    assert {body_of(each)["refund"]["status"] for each in told} == ({status} if status else set())


def test_a_refund_that_came_back_since_is_told_as_it_stood():
    shop = Hooked()
    _, payment = shop.bought()
    refund = shop.gives(payment, {"amount": 30}, "returned:R03")
    (first,) = shop.tell("refund.succeeded", payment, refund)
    (second,) = shop.tell("refund.returned", payment, refund)
    assert body_of(first)["refund"]["provider"] is None
    assert [body_of(each)["refund"]["status"] for each in (first, second)] == ["CONFIRMED", "DENIED"]
    assert body_of(second)["refund"]["denied_at"] is not None


def test_a_payin_that_was_given_back_says_so():
    shop = Hooked("PayinRefunded")
    _, payment = shop.bought(80)
    for body, status in (({"amount": 30}, "CONFIRMED"), ({}, "REFUNDED")):
        (told,) = shop.tell("refund.succeeded", payment, shop.gives(payment, body))
        assert body_of(told)["payin"]["status"] == status


def test_a_payment_registered_natively_is_told_of_with_the_order_it_makes():
    shop = Hooked()
    for order, number in (("4711", "4711"), ("basket seven", None), (None, None)):
        payment = shop.pay(50_00, "GBP", order=order)
        (told,) = shop.tell("refund.succeeded", payment, shop.gives(payment, {"amount": 5}))
        body = body_of(told)
        assert (body["escrow"]["amount"], body["escrow"]["currency"]) == (50, "GBP")
        assert body["escrow"]["id"] == (number or body["escrow"]["id"])
        assert body["escrow"]["id"] == str(body["payin"]["escrow_id"]) == str(body["refund"]["escrow_id"])
        assert body["escrow"]["id"] == (payment.dialect_id if order is None else body["escrow"]["id"])


def test_a_refund_without_a_number_of_its_own_cannot_be_read_and_is_not_told():
    shop = Hooked()
    _, payment = shop.bought()
    refund = shop.gives(payment, {"amount": 30})
    shop.write(refund, dialect="native", dialect_id="f" * 32, request={})
    assert shop.tell("refund.succeeded", payment, refund) == ()


# --- payins and orders -----------------------------------------------------------------------------------------------


def test_a_paid_order_is_told_once_whoever_noticed_first():
    shop = Hooked("EscrowPublished")
    shop.hook("end_2", f"{HERE}/payins", "PayinConfirmed")
    shop.hook("end_3", f"{HERE}/all")  # both would be the same request to it
    order, payment = shop.bought("9.99", auto_settle=1)
    assert list(shop.told) == [(f"EscrowPublished {payment.dialect_id}", hook) for hook in ("end_1", "end_3")]
    shop.tell("payment.captured", payment, data={"captured": 9_99})
    shop.tell("payment.captured", payment, data={"captured": 9_99})
    assert list(shop.told)[2:] == [(f"PayinConfirmed {payment.dialect_id}", "end_2")]
    for each in shop.told.values():
        body = body_of(each)
        assert list(body) == ["escrow", "platform", "payin"]
        assert (body["escrow"]["id"], body["escrow"]["amount"]) == (str(order["id"]), Decimal("9.99"))
        assert (body["escrow"]["status"], body["escrow"]["auto_settled"]) == ("PUBLISHED", "1")
        assert (body["payin"]["status"], body["payin"]["provider"]["Ds_Amount"]) == ("CONFIRMED", "999")
        assert body["payin"]["reference_id"] == body["payin"]["provider"]["Ds_Order"]


@pytest.mark.parametrize(
    ("type", "captured", "events"),
    [
        ("payment.registered", 50_00, ["PayinConfirmed", "EscrowPublished"]),
        ("payment.captured", 50_00, ["PayinConfirmed", "EscrowPublished"]),
        ("payment.registered", 0, []),  # it was captured later, which another line says
        ("payment.failed", 0, []),
        ("payment.external_refund", 50_00, []),
        ("refund.joined", 50_00, []),
    ],
)
def test_money_that_came_in_by_another_way_than_a_page(type: str, captured: int, events: list[str]):
    shop = Hooked("PayinConfirmed")
    shop.hook("end_2", f"{HERE}/orders", "EscrowPublished", "RefundDenied")
    payment = shop.pay(50_00, "EUR", order="4711")
    assert shop.tell(type, payment, data={"captured": captured}) == ()
    assert shop.announced() == events


def test_an_order_is_published_by_its_first_payin_alone():
    shop = Hooked("EscrowPublished")
    first = shop.pay(50_00, "EUR", order="4711")
    shop.now += timedelta(minutes=1)
    second = shop.pay(50_00, "EUR", order="4711")
    for payment in (second, first):
        shop.tell("payment.registered", payment, data={"captured": 50_00})
    assert [body_of(each)["payin"]["id"] for each in shop.told.values()] == [int(first.dialect_id)]


def test_an_authorised_order_is_published_and_its_payin_confirmed_when_it_is_accepted():
    shop = Hooked()
    order = shop.order()
    payin = shop.paid(order, "REDSYS_AUTH")
    assert shop.announced() == ["EscrowPublished"]
    shop.post(f"{order['self']}/accept")
    assert shop.announced() == ["EscrowPublished", "EscrowAccepted"]
    shop.tell("payment.captured", shop._payin(payin["id"]), data={"captured": 100_00})
    assert shop.announced() == ["EscrowPublished", "EscrowAccepted", "PayinConfirmed"]


def test_what_is_paid_beside_an_authorised_payin_publishes_nothing_anew():
    shop = Hooked("EscrowPublished")
    order = shop.order()
    shop.paid(order, "REDSYS_AUTH")
    shop.now += timedelta(minutes=1)
    second = shop.pay(100_00, "EUR", order=str(order["id"]))
    shop.tell("payment.registered", second, data={"captured": 100_00})
    assert shop.announced() == ["EscrowPublished"]


def test_a_paid_order_is_told_as_published_whatever_became_of_it_since():
    shop = Hooked("EscrowPublished")
    order, payment = shop.bought()
    shop.told.clear()
    shop.post(f"{order['self']}/accept")
    shop.tell("payment.captured", payment, data={"captured": 100_00})
    (told,) = shop.told.values()
    assert body_of(told)["escrow"]["status"] == "PUBLISHED"


def test_the_life_of_an_order_is_told_step_by_step():
    shop = Hooked()
    order, _ = shop.bought()
    shop.post(f"{order['self']}/accept")
    shop.post(f"{order['self']}/accept")
    shop.post(f"{order['self']}/validate")
    assert shop.announced() == ["EscrowPublished", "EscrowAccepted", "PayoutCreated", "EscrowReleased"]
    statuses = [body_of(each)["escrow"]["status"] for each in shop.told.values()]
    assert statuses == ["PUBLISHED", "ACCEPTED", "ACCEPTED", "RELEASED"]
    payout = next(body_of(each) for (id, _), each in shop.told.items() if id.startswith("PayoutCreated"))
    assert list(payout) == ["escrow", "platform", "payout"]
    assert payout["payout"]["escrow_id"] == order["id"]
    assert (payout["payout"]["type"], payout["payout"]["status"]) == ("WALLET", "CREATED")


def test_a_cancelled_order_is_told_and_so_are_its_refunds():
    shop = Hooked()
    order, payment = shop.bought()
    shop.outcome = "succeeded"
    shop.post(f"{order['self']}/cancel", {"tag": "gone"})
    assert shop.announced() == ["EscrowPublished", "EscrowCancelled"]
    body = body_of(list(shop.told.values())[-1])
    assert (body["escrow"]["status"], body["payin"]["status"]) == ("CANCELLED", "REFUNDED")
    (told,) = shop.tell("refund.succeeded", payment, shop.refunds[-1])
    assert body_of(told)["refund"]["tag"] == "gone"


def test_a_declined_payment_a_rejected_order_and_one_that_nobody_paid():
    shop = Hooked()
    order = shop.order()
    for _ in range(2):
        shop.page(shop.payin(order)["direct_link"], "decline")
    assert shop.announced() == ["EscrowFailed", "EscrowFailed"]
    assert {body_of(each)["payin"]["status"] for each in shop.told.values()} == {"DENIED"}
    unpaid = shop.order()
    shop.post(f"{unpaid['self']}/cancel")
    assert "payin" not in body_of(list(shop.told.values())[-1])
    sold, _ = shop.bought()
    shop.page(sold["seller_link"], "reject")
    assert shop.announced()[2:] == ["EscrowCancelled", "EscrowPublished", "EscrowRejected"]


def test_money_between_wallets_is_no_payin():
    shop = Hooked()
    payment = shop.pay(50_00, "EUR", kind=PaymentKind.TRANSFER)
    assert shop.tell("payment.registered", payment, data={"captured": 50_00}) == ()
    assert (shop.asks, shop.told) == ([], {})


def test_a_card_that_is_kept_is_shown_by_its_first_and_last_digits():
    shop = Hooked("PayinConfirmed")
    order = shop.order()
    payin = shop.paid(order, "REDSYS_APPLE_PAY", save_card=1)
    payment = shop._payin(payin["id"])
    shop.tell("payment.captured", payment, data={"captured": 100_00})
    (told,) = shop.told.values()
    shown = body_of(told)["payin"]
    card = shop.get(payin["connections"]["card"])
    assert (shown["card_id"], shown["save_card"]) == (card["id"], 1)
    assert shown["card"] == {"id": card["id"], "name": "454881******0004", "payin_type": "REDSYS_APPLE_PAY"}


def test_a_documented_webhook_is_told_in_its_form():
    sample = json.loads((Path(truust.__file__).parent / "samples" / "webhooks" / "escrow_published.json").read_text())
    shop = Hooked(sample["event"])
    paid = sample["payin"]
    shop.paid(shop.order(**sample["order"]), paid["type"], save_card=paid["save_card"])
    (told,) = shop.told.values()
    assert told.headers == sample["headers"]
    assert [each.total_seconds() for each in told.again_after or ()] == [sample["seconds_apart"]] * (
        sample["tries"] - 1
    )
    body = json.loads(told.body)
    assert types_of(body) == sample["body"]
    for name, values in sample["values"].items():
        assert values.items() <= body[name].items()


# --- who is told, and how --------------------------------------------------------------------------------------------


def test_a_webhook_looks_as_truusts_own_and_is_tried_five_times():
    shop = Hooked()
    _, payment = shop.bought()
    (told,) = shop.tell("refund.succeeded", payment, shop.gives(payment, {"amount": 30}))
    assert told.headers == {
        "content-type": "application/json",
        "user-agent": "GuzzleHttp/6.3.3 PHP/7.1.10-1+ubuntu14.04.1+deb.sury.org+1",
    }
    assert told.again_after == (timedelta(seconds=30),) * 4
    assert (told.within, told.received, told.endpoint_headers) == (timedelta(seconds=8), "2xx", "")
    assert b"RefundConfirmed" not in told.body  # its address alone says what happened


def test_an_endpoint_with_a_secret_is_sent_a_signature_of_the_body():
    shop = Hooked("RefundConfirmed")
    shop.hook("end_2", f"{HERE}/signed", secret=shop.endpoint_secret(SECRET), headers="sealed headers")
    shop.hook("end_3", f"{HERE}/lost", secret="sealed by another master key")
    _, payment = shop.bought()
    plain, signed, lost = shop.tell("refund.succeeded", payment, shop.gives(payment, {"amount": 30}))
    expected = hmac.new(SECRET.encode(), signed.body, "sha256").hexdigest()
    assert signed.headers == {**plain.headers, "moneyback-signature": expected}
    assert (signed.endpoint_headers, signed.body) == ("sealed headers", plain.body)
    assert lost.headers == plain.headers


def test_one_address_is_told_once_of_what_would_be_the_same_request():
    shop = Hooked("PayinRefunded", "RefundConfirmed")
    shop.hook("end_2", HERE, "PayinRefunded")
    shop.hook("end_3", f"{HERE}/too", "PayinRefunded")
    shop.hook("end_4", f"{HERE}/not", "RefundDenied")
    _, payment = shop.bought()
    told = shop.tell("refund.succeeded", payment, shop.gives(payment, {"amount": 30}))
    assert [(each.url, each.hook) for each in told] == [
        (HERE, "end_1"),
        (f"{HERE}/too", "end_3"),
    ]


def test_told_again_the_same_is_told():
    shop = Hooked()
    _, payment = shop.bought()
    refund = shop.gives(payment, {"amount": 30})
    assert shop.tell("refund.succeeded", payment, refund) == shop.tell("refund.succeeded", payment, refund)


def test_where_nobody_is_told_nothing_is_looked_up():
    shop = Hooked()
    del shop.documents["endpoint", "end_1"]
    _, payment = shop.bought()
    refund = shop.gives(payment, {"amount": 30})
    shop.asks.clear()
    assert shop.tell("refund.succeeded", payment, refund) == ()
    assert shop.told == {}
    assert not any(type(ask).__name__ in ("Mac", "Tell") for ask in shop.asks)


def test_every_endpoint_is_told_however_many_there_are():
    shop = Hooked("PayinConfirmed")
    for number in range(2, 251):
        shop.hook(f"end_{number}", f"{HERE}/{number}", "RefundConfirmed")
    _, payment = shop.bought()
    told = shop.tell("refund.succeeded", payment, shop.gives(payment, {"amount": 30}))
    assert len({each.url for each in told}) == len(told) == 249
