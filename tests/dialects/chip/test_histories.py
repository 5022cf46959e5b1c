"""Whatever happens to a payment, in whatever order: its events can be told, as documented, and the same again."""

import json
from collections import defaultdict
from random import Random
from typing import Any, Never

import pytest

from moneyback.core.payment import Payment
from moneyback.dialect import Delivery, Happened, Outgoing
from moneyback.dialects.chip.events import HAPPENING
from moneyback.flows.sign import draw_key_pair
from tests.dialects import driver
from tests.dialects.chip.shapes import PAYMENT, PURCHASE
from tests.dialects.chip.shop import CARD, Shop
from tests.dialects.chip.test_news import hook
from tests.dialects.driver import MERCHANT, VAULT, misfits
from tests.dialects.histories import History

HISTORIES, STEPS = 60, 14
STATUSES = ("captured", "authorized", "processing", "failed")
CURRENCIES = ("MYR", "JPY", "KWD")
ANY_PAYMENT = {**PAYMENT, "required": [name for name in PAYMENT["required"] if name != "status"]}
PAIRS = {
    "purchase.pending_refund": (1, "refund"),
    "purchase.refund_failure": (0, "refund"),
    "purchase.pending_release": (1, "release"),
    "purchase.release_failure": (0, "release"),
}


def no_float(text: str) -> Never:
    raise AssertionError(f"{text} is a float")


def begun(shop: Shop, random: Random) -> Payment:
    """Made by a client's own calls, or registered natively with as little as that needs."""
    if random.random() < 0.3:
        purchase = shop.create(skip_capture=random.random() < 0.5, success_callback="https://shop.example/paid")
        if random.random() < 0.7:
            shop.submit(purchase, **CARD)
        if random.random() < 0.7:
            shop.act(purchase, random.choice(("capture", "cancel", "release")))
        return next(each for each in shop.table.facts.payments.values() if each.dialect_id == purchase["id"])
    return shop.table.pay(
        random.choice((1, 1000, 10**12)),
        random.choice(CURRENCIES),
        status=random.choice(STATUSES),
        fees=random.choice((0, 1)),
        external=random.choice(((), (("before", 1),))),
        dialect_data=random.choice(({}, {"refund_availability": "full_only"}, {"reference": "r"})),
    )


def checked(delivery: Delivery) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(delivery.body, parse_float=no_float)
    event = body.pop("event_type")
    assert event in HAPPENING
    assert misfits(ANY_PAYMENT if event.startswith("payment.") else PURCHASE, Outgoing(body=body)) == []
    money = body["payment"]
    if money is not None:
        assert money["amount"] == money["net_amount"] + money["fee_amount"] + money["pending_amount"]
        assert money["amount"] > 0 or event.startswith("payment.charge"), (event, body["status"])
    if "refundable_amount" in body:
        assert 0 <= body["refundable_amount"] <= (money or {"amount": 0})["amount"]
        assert (body["refundable_amount"] > 0) is (body["refund_availability"] != "none")
    return {**body, "event": event}


def test_every_history_can_be_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "sign", lambda *_: b"signed")
    pair = draw_key_pair(VAULT, MERCHANT)
    monkeypatch.setattr(driver, "draw_key_pair", lambda *_: pair)
    told: list[str] = []
    for seed in range(HISTORIES):
        random, shop = Random(seed), Shop()
        hook(shop)
        stands: dict[str, list[int]] = defaultdict(list)

        def heard(happened: Happened, deliveries: tuple[Delivery, ...], stands: dict[str, list[int]] = stands) -> None:
            found = {body["event"]: body for body in map(checked, deliveries)}
            told.extend(found)
            elsewhere = happened.type == "payment.external_refund" and happened.data["amount"] > 0
            ends = happened.type == "refund.succeeded" or elsewhere
            assert ("payment.refunded" in found) is ends
            if ends and happened.refund is not None:
                assert found["payment.refunded"]["payment"]["amount"] == happened.refund.payer
            for event in found:
                if event in PAIRS:
                    on, of = PAIRS[event]
                    stands[f"{of}:{happened.data.get('release', happened.refund and happened.refund.id)}"].append(on)
                if event.startswith("payment.charge") and happened.type != "payment.clawed_back":
                    stands["dispute"].append(int(event == "payment.charged_back"))

        history = History(shop.table, seed, heard)
        history.record(monkeypatch)
        history.live(begun(shop, random), STEPS)
        told.extend(checked(each)["event"] for each in shop.table.told.values())
        for turns in stands.values():
            assert turns == [1, 0] * (len(turns) // 2) + [1] * (len(turns) % 2)
    silent = {*HAPPENING} - {*told}
    assert silent == {"purchase.viewed", "purchase.preauthorized", "purchase.recurring_token_deleted"}, silent
