"""A Purchase that was made at CHIP, shown again: CHIP's own words, and over them what CHIP does not know yet."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from moneyback.core.payment import Payment
from moneyback.core.refund import State
from moneyback.dialects.chip import DIALECT, document
from moneyback.dialects.chip.wire import Status, unix
from tests.dialects.driver import START, Table, said

AT = unix(START)
EARLIER = AT - 600


def purchase(**members: Any) -> dict[str, Any]:
    """A paid Purchase as CHIP has it; `a_newer_member` is one that nothing here has heard of."""
    return {
        "client": {"email": "ada@example.com", "newer": 1},
        "purchase": {"currency": "MYR", "total": 10_000},
        "transaction_data": {"payment_method": "fpx", "extra": {"bank": "X"}, "country": "MY", "attempts": [execute()]},
        "status": "paid",
        "status_history": [{"status": "created", "timestamp": EARLIER}, {"status": "paid", "timestamp": EARLIER}],
        "company_id": "c",
        "is_test": True,
        "reference": "order-7",
        "refund_availability": "all",
        "refundable_amount": 10_000,
        "a_newer_member": [1],
        "type": "purchase",
        "id": "0",
        **members,
    }


def execute() -> dict[str, Any]:
    return {"type": "execute", "successful": True, "processing_time": EARLIER, "error": None}


class Mirror:
    """One payment that CHIP has shown, in a table."""

    def __init__(self, outcome: str = "succeeded", **members: Any) -> None:
        self.table = Table(DIALECT, profile={"front": "provider"})
        self.table.outcome = outcome
        self.shown = purchase(**members)
        kept = document.Kept({document.SHOWN: msgspec.json.encode(self.shown).decode()})
        self.payment: Payment = self.table.pay(10_000, "MYR", method="fpx", document=kept)
        self.table.write(self.payment, rail="provider")

    @property
    def path(self) -> str:
        return f"/api/v1/purchases/{self.payment.dialect_id}/"

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = said(self.table.call("GET", self.path))
        return found

    def refund(self, amount: int) -> Any:
        return said(self.table.call("POST", f"{self.path}refund/", {"amount": amount}))


def differing(mirror: Mirror) -> set[str]:
    found = mirror.read()
    assert list(found) == list(mirror.shown)
    return {name for name in found if found[name] != mirror.shown[name]}


@pytest.mark.parametrize("status", [*(each.value for each in Status), "dreaming"])
def test_what_chip_says_is_said_again(status: str):
    """Every status CHIP has, and one it may have some day; whether or not its history has it yet."""
    assert differing(Mirror(status=status, status_history=[{"status": status, "timestamp": AT}])) == set()
    assert differing(Mirror(status=status)) == set()


def test_members_that_are_not_there_are_not_made_up():
    mirror = Mirror()
    kept = {name: value for name, value in mirror.shown.items() if name not in ("status_history", "transaction_data")}
    shown = document.Kept({document.SHOWN: msgspec.json.encode(kept).decode()})
    mirror.table.write(mirror.table.payment(mirror.payment), document=shown)
    assert mirror.read()["status"] == "paid"


@pytest.mark.parametrize("outcome", ["ready", "sending", "pending", "unknown", "needs_review", "requires_action"])
@pytest.mark.parametrize("status", ["paid", "refunded", "pending_refund", "chargeback"])
def test_a_refund_on_its_way_is_shown(outcome: str, status: str):
    mirror = Mirror(outcome, status=status, status_history=[{"status": status, "timestamp": EARLIER}])
    told = mirror.refund(3_000)
    assert told == mirror.read()
    assert (told["status"], told["refundable_amount"], told["refund_availability"]) == ("pending_refund", 7_000, "all")
    entries = [each["status"] for each in told["status_history"]]
    assert entries == ([status] if status == "pending_refund" else [status, "pending_refund"])
    assert told["transaction_data"] == mirror.shown["transaction_data"]


def test_the_lower_of_two_figures():
    mirror = Mirror("pending", refundable_amount=6_000)
    assert mirror.refund(3_000)["refundable_amount"] == 6_000
    everything = Mirror("pending")
    told = everything.refund(10_000)
    assert (told["refund_availability"], told["refundable_amount"]) == ("none", 0)


def test_a_refund_that_chip_has_not_shown_yet():
    mirror = Mirror()
    made = mirror.refund(3_000)
    (refund,) = mirror.table.refunds
    mirror.table.write(refund, provider_id="chip-1", named="provider")
    found = mirror.read()
    assert (found["status"], found["refundable_amount"]) == ("refunded", 7_000)
    entry = found["status_history"][-1]
    assert (entry["status"], entry["related_object"]) == ("refunded", {"type": "payment", "id": made["id"]})
    newest, oldest = found["transaction_data"]["attempts"]
    assert (newest["type"], newest["successful"], newest["country"]) == ("refund", True, "MY")
    assert oldest == execute()


def test_a_refund_that_chip_shows_is_not_shown_twice():
    history = [{"status": "refunded", "timestamp": AT, "related_object": {"type": "payment", "id": "chip-1"}}]
    mirror = Mirror(status="refunded", refundable_amount=7_000, status_history=history)
    mirror.refund(3_000)
    (refund,) = mirror.table.refunds
    mirror.table.write(refund, provider_id="chip-1", named="provider")
    assert differing(mirror) == set()
    mirror.table.write(refund, provider_id="chip-1", named="own")
    (entry,) = mirror.read()["status_history"]
    assert entry["related_object"] == {"type": "payment", "id": refund.dialect_id}


def test_a_refund_that_was_refused_before_it_was_sent():
    """CHIP never heard of it: the attempt that says why is ours, and the newest."""
    mirror = Mirror("ready")
    mirror.refund(3_000)
    (refund,) = mirror.table.refunds
    ended = START + timedelta(minutes=1)
    mirror.table.write(refund, state=State.FAILED, failure="policy", ended_at=ended)
    mirror.table.write(mirror.table.payment(mirror.payment), held=0, wallet_used=0)
    assert differing(mirror) == {"transaction_data"}
    newest = mirror.read()["transaction_data"]["attempts"][0]
    assert (newest["type"], newest["successful"], newest["processing_time"]) == ("refund", False, AT + 60)
    assert newest["error"]["code"] == "payment_rejected_other_reason"


def test_a_refund_that_chip_refused_left_its_attempt_there():
    mirror = Mirror("failed:do_not_honour")
    assert mirror.refund(3_000)["__all__"][0]["code"] == "purchase_refund_error"
    assert differing(mirror) == set()


def test_the_payment_of_a_refund_speaks_of_the_purchase_as_chip_does():
    mirror = Mirror()
    made = mirror.refund(3_000)
    assert made["client"] == mirror.shown["client"]
    assert (made["is_test"], made["company_id"], made["reference"]) == (True, "c", "order-7")
    assert made["related_to"] == {"type": "purchase", "id": mirror.payment.dialect_id, "reference": "order-7"}
    data = made["transaction_data"]
    assert (data["payment_method"], data["country"], data["extra"], data["flow"]) == ("fpx", "MY", {"bank": "X"}, "api")
    (attempt,) = data["attempts"]
    assert (attempt["type"], attempt["country"]) == ("refund", "MY")
