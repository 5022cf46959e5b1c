"""Whatever happens to a payment, in whatever order: its events can be told, as documented, and the same again."""

from random import Random

import pytest

from moneyback.dialect import Delivery, Happened
from tests.dialects.histories import History
from tests.dialects.trustly.test_telling import Shop, checked

HISTORIES, STEPS = 60, 14
STATUSES = ("captured", "authorized", "processing", "failed")
TYPES = ("3", "2", "1", "10", "8", "6")
CURRENCIES = ("USD", "JPY", "KWD")


def test_every_history_can_be_told(monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []

    def heard(happened: Happened, deliveries: tuple[Delivery, ...]) -> None:
        for each in deliveries:
            event = checked(each)
            told.append(event["eventType"])
            ends = happened.type.removeprefix("refund.")
            if event["transactionType"] in ("4", "7"):
                assert (event["status"] == "4") is (ends == "succeeded")
            if event["eventType"] == "Refund":
                assert (happened.type, event["status"]) in {
                    (type, status)
                    for type in ("refund.created", "payment.external_refund")
                    for status in ("11", "12", *(() if happened.payment.amount_known else ("3",)))
                }

    for seed in range(HISTORIES):
        random, shop = Random(seed), Shop()
        history = History(shop.table, seed, heard)
        history.record(monkeypatch)
        kind = random.choice(TYPES)
        fees = random.choice((0, 1))
        payment = shop.table.pay(
            random.choice((100, 10_00, 10**10)),
            random.choice(CURRENCIES),
            status=random.choice(STATUSES),
            fees=fees,
            dialect_data={"transactionType": kind, **({"authorization": "77"} if kind == "6" else {})},
            external=random.choice(((), (("before", 50),))),
        )
        history.live(payment, STEPS)
    assert {"Authorize", "Process", "Complete", "Fail", "Cancel", "Refund", "Reverse", "Dispute"} <= set(told)
