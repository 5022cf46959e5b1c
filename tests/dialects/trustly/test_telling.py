"""Trustly's events as we send them: which there are, what they say, how they are signed, and where they go."""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.events import payment_event, refund_event
from moneyback.core.payment import Asked, Payment
from moneyback.core.records import EventRow
from moneyback.core.refund import Refund, State
from moneyback.dialect import Ask, AskRefund, Delivery, FindRefund, Happened, ListRefunds, Notification, Outgoing
from moneyback.dialects.trustly import DIALECT
from moneyback.dialects.trustly.news import hear
from moneyback.dialects.trustly.standing import COMPLETES_AFTER
from moneyback.dialects.trustly.telling import ENDPOINTS, number_of, signed_by
from moneyback.dialects.trustly.wire import milliseconds
from tests.dialects.driver import Table, misfits, said
from tests.dialects.trustly.test_establish import DEFERRED
from tests.dialects.trustly.test_server import problem, read

SAMPLE = (
    Path(__file__).parents[3] / "moneyback" / "dialects" / "trustly" / "samples" / "events" / "complete_refund.json"
)
ACCESS_ID, ACCESS_KEY = "M8RaHgEjBE54zuFYMRQq", "test-access-key"
MERCHANT_URL, PAYMENT_URL = "https://shop.example/events", "https://shop.example/order-1"
FORM = "application/x-www-form-urlencoded"

# The members of the provider's own sample, in its order; the last two stand in some events only.
ALWAYS = (
    *("merchantId", "merchantReference", "paymentType", "transactionType", "eventId", "eventType", "objectId"),
    *("objectType", "message", "timeZone", "createdAt", "accessId", "paymentProviderTransaction.status"),
    *("paymentProviderTransaction.statusMessage", "status", "statusMessage"),
)
SOMETIMES = ("parentObjectId", "splitToken", "transactionId")
EVENT_TYPES = ("Authorize", "Process", "Complete", "Fail", "Deny", "Expire", "Cancel", "Refund", "Reverse", "Dispute")
SCHEMA = {
    "type": "object",
    "required": list(ALWAYS),
    "additionalProperties": False,
    "properties": {
        **{name: {"type": "string", "minLength": 1} for name in (*ALWAYS, *SOMETIMES)},
        "merchantId": {"pattern": r"^[0-9]+$"},
        "paymentType": {"enum": [str(each) for each in range(1, 7)]},
        "transactionType": {"enum": [str(each) for each in (*range(9), 10)]},
        "eventId": {"pattern": r"^[0-9]{1,16}$"},
        "eventType": {"enum": [*EVENT_TYPES, "Refresh", "Completed", "Failed", "Expired"]},
        "objectId": {"pattern": r"^([0-9]{1,15}|[0-9a-f]{32})$"},
        "objectType": {"const": "Transaction"},
        "message": {"type": "string"},
        "timeZone": {"const": "Etc/UTC"},
        "createdAt": {"pattern": r"^[0-9]{13}$"},
        "paymentProviderTransaction.status": {"pattern": r"^(SW|AC|UC|SE|R)[0-9]+$"},
        "status": {"enum": [str(each) for each in (*range(9), *range(10, 15))]},
        "statusMessage": {"minLength": 1, "maxLength": 120},
        "parentObjectId": {"pattern": r"^[0-9]{1,15}$"},
        "transactionId": {"pattern": r"^[0-9]{1,15}$"},
    },
}


class Shop:
    """A merchant who listens. Whatever is told is held against the documented form and signature first."""

    def __init__(self, profile: Mapping[str, Any] | None = None, *, endpoints: tuple[Any, ...] = ({},)) -> None:
        self.table = Table(DIALECT, profile={"access_id": ACCESS_ID, **(profile or {})})
        self.table.secret = ACCESS_KEY
        for number, each in enumerate(endpoints):
            id = f"end_{number}"
            endpoint = {"id": id, "url": MERCHANT_URL, "events": [], "secret": "", "headers": "", **each}
            self.table.documents[(ENDPOINTS, id)] = endpoint

    def tell(self, line: EventRow) -> tuple[Delivery, ...]:
        """What is told of a line of the event log, by now."""
        facts = self.table.facts
        happened = Happened(
            id=uuid5(line.object, f"{line.type} {line.sequence}"),
            type=line.type,
            at=line.at,
            sequence=line.sequence,
            data=line.data,
            payment=facts.payments[line.payment],
            refund=facts.refunds.get(line.object),
        )
        assert DIALECT.tell is not None
        return self.table.through(DIALECT.tell(happened, self.table.caller))

    def of_payment(self, word: str, payment: Payment, **data: Any) -> tuple[Delivery, ...]:
        """What is told when this happens to a payment, as it stands now."""
        return self.tell(payment_event(self.table.payment(payment), word, self.table.now, **data))

    def of_refund(self, refund: Refund, word: str | None = None) -> tuple[Delivery, ...]:
        """The same of a refund: of its present state, unless another word is given."""
        current = self.table.facts.refunds[refund.id]
        return self.tell(refund_event(current, word or f"refund.{current.state.value}", self.table.now))

    def post(self, path: str, body: Any = None) -> dict[str, Any]:
        outgoing = self.table.call("POST", f"/api/v1{path}", body)
        assert outgoing.status == 200, said(outgoing)
        found: dict[str, Any] = said(outgoing)
        return found

    def payment(self, number: str) -> Payment:
        return next(each for each in self.table.facts.payments.values() if each.dialect_id == number)

    def refunded(self, amount: str = "4.00", **members: Any) -> tuple[Payment, Refund]:
        payment = self.table.pay(10_00, "USD", **members)
        self.post(f"/transactions/{payment.dialect_id}/refund", {"amount": amount, "merchantReference": "rf-1"})
        return payment, self.table.refunds[-1]


def pairs(delivery: Delivery) -> list[tuple[str, str]]:
    """The members on the wire, decoded as the provider tells its clients to."""
    found = [each.split("=", 1) for each in delivery.body.decode("ascii").split("&")]
    return [(unquote(name, errors="strict"), unquote(value, errors="strict")) for name, value in found]


def checked(delivery: Delivery, *, key: str = ACCESS_KEY, prefix: str = "", digest: str = "sha1") -> dict[str, str]:
    """The members of a delivery whose form, order and signature are the documented ones."""
    told = pairs(delivery)
    names = [name for name, _ in told]
    assert names == [*ALWAYS, *(each for each in SOMETIMES if each in names)]
    assert misfits(SCHEMA, Outgoing(body=dict(told))) == []
    text = "&".join(f"{name}={value}" for name, value in told)
    signed = b64encode(hmac.digest(key.encode(), text.encode(), digest)).decode()
    scheme, _, encoded = delivery.headers["authorization"].partition(" ")
    assert (scheme, b64decode(encoded).decode().split(":", 1)) == ("Basic", [ACCESS_ID, prefix + signed])
    assert (delivery.method, delivery.headers["content-type"]) == ("POST", FORM)
    return dict(told)


def only(told: tuple[Delivery, ...]) -> dict[str, str]:
    (delivery,) = told
    return checked(delivery)


def summary(told: tuple[Delivery, ...]) -> tuple[str, str, str] | None:
    """(eventType, transactionType, status); None where nothing is told."""
    if not told:
        return None
    event = only(told)
    return event["eventType"], event["transactionType"], event["status"]


# --- what it looks like ----------------------------------------------------------------------------------------------


def test_a_documented_event_is_told_as_documented():
    sample = json.loads(SAMPLE.read_text(encoding="utf-8"))
    assert (sample["access_id"], sample["access_key"]) == (ACCESS_ID, ACCESS_KEY)
    shop = Shop()
    payment = shop.table.pay(**sample["payment"])
    record = shop.post(f"/transactions/{payment.dialect_id}/refund", sample["refund"])
    shop.table.bring(shop.table.refunds[0], "succeeded")
    (delivery,) = shop.of_refund(shop.table.refunds[0])
    event = checked(delivery)
    assert list(event) == sample["members"]
    assert sample["values"].items() <= event.items()
    assert sample["headers"].items() <= dict(delivery.headers).items()
    assert (event["objectId"], event["createdAt"]) == (record["transactionId"], str(milliseconds(shop.table.now)))


def test_the_documented_signature():
    """Figures that were computed apart from this program, over another event than it would send."""
    signed = json.loads(SAMPLE.read_text(encoding="utf-8"))["signed"]
    shop = Shop()
    members = tuple((name, value) for name, _, value in (each.partition("=") for each in signed["text"].split("&")))
    found = shop.table.through(signed_by(members, shop.table.caller, ""))
    assert f"Basic {b64encode(f'{ACCESS_ID}:{found}'.encode()).decode()}" == signed["authorization"]


def test_what_counts_as_received_and_when_it_is_told_again():
    shop = Shop()
    (delivery,) = shop.of_refund(shop.table.bring(shop.refunded()[1], "succeeded"))
    assert (delivery.received, delivery.within) == ("200", timedelta(seconds=3))
    assert delivery.again_after == (timedelta(minutes=5),) * (12 * 12)


@pytest.mark.parametrize("reference", ["a b&c=d", "100%", "1+1", "Größe/äß", "x" * 200, "%41", "\u2028"])
def test_any_reference_is_signed_as_it_is_and_sent_encoded(reference: str):
    shop = Shop()
    payment = shop.table.pay(10_00, "USD", dialect_data={"merchantReference": reference})
    (delivery,) = shop.of_payment("payment.registered", payment)
    assert b"+" not in delivery.body  # a space is %20 for every reader
    assert checked(delivery)["merchantReference"] == reference


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30))
def test_every_reader_of_forms_finds_what_was_signed(reference: str):
    shop = Shop()
    payment = shop.table.pay(10_00, "USD", dialect_data={"merchantReference": reference})
    (delivery,) = shop.of_payment("payment.registered", payment)
    assert checked(delivery)["merchantReference"] == reference
    heard = hear(
        Notification(method="POST", headers=delivery.headers, body=delivery.body),
        {"access_id": ACCESS_ID, "access_key": ACCESS_KEY},
    )
    assert heard.payments == (payment.dialect_id,)


def test_our_own_connector_hears_what_is_told():
    shop = Shop()
    _, refund = shop.refunded()
    told = [*shop.of_refund(refund, "refund.created"), *shop.of_refund(shop.table.bring(refund, "succeeded"))]
    heard = [
        hear(
            Notification(method="POST", headers=each.headers, body=each.body),
            {"access_id": ACCESS_ID, "access_key": ACCESS_KEY},
        )
        for each in told
    ]
    original = shop.table.facts.payments[refund.payment].dialect_id
    assert [(each.payments, each.refunds) for each in heard] == [((original,), ()), ((), (refund.dialect_id,))]
    assert heard[0].digest != heard[1].digest


# --- refunds ---------------------------------------------------------------------------------------------------------

#       outcome             event       status  bank's code  its words
ENDS = [
    ("pending", "Process", "3", "AC105", "Processed"),
    ("succeeded", "Complete", "4", "AC118", "Completed"),
    ("failed:R01", "Fail", "5", "R01", "Account closed"),
    ("failed:do_not_honor", "Fail", "5", "AC101", "Account closed"),
    ("canceled", "Cancel", "7", "SW013", "Canceled"),
    ("returned:R03", "Reverse", "10", "R03", "Account closed"),
]


@pytest.mark.parametrize(("outcome", "name", "status", "code", "words"), ENDS, ids=[each[0] for each in ENDS])
def test_a_refunds_own_record(outcome: str, name: str, status: str, code: str, words: str):
    shop = Shop()
    _, refund = shop.refunded()
    event = only(
        shop.of_refund(shop.table.bring(refund, outcome, message="Account closed" if ":" in outcome else None))
    )
    assert (event["eventType"], event["status"], event["transactionType"]) == (name, status, "4")
    assert (event["objectId"], event["merchantReference"]) == (refund.dialect_id, "rf-1")
    assert event["paymentProviderTransaction.status"] == code
    assert event["paymentProviderTransaction.statusMessage"] == words


@pytest.mark.parametrize(
    "state",
    [
        *(State.AWAITING_APPROVAL, State.SCHEDULED, State.READY, State.SENDING, State.REQUIRES_ACTION, State.UNKNOWN),
        State.NEEDS_REVIEW,
    ],
    ids=lambda state: state.value,
)
def test_what_trustly_has_no_event_for(state: State):
    shop = Shop()
    assert shop.of_refund(shop.table.bring(shop.refunded()[1], state.value)) == ()


@pytest.mark.parametrize(
    ("amount", "status", "words"), [("4.00", "11", "Partially Refunded"), (None, "12", "Refunded")]
)
def test_an_admitted_refund_is_an_event_of_its_original(amount: str | None, status: str, words: str):
    shop = Shop()
    payment = shop.table.pay(10_00, "USD", dialect_data={"merchantReference": "order-7", "transactionType": 2})
    shop.post(f"/transactions/{payment.dialect_id}/refund", {} if amount is None else {"amount": amount})
    event = only(shop.of_refund(shop.table.refunds[0], "refund.created"))
    assert (event["eventType"], event["objectId"]) == ("Refund", payment.dialect_id)
    assert (event["transactionType"], event["paymentType"], event["merchantReference"]) == ("2", "1", "order-7")
    assert (event["status"], event["statusMessage"]) == (status, words)


def test_what_was_promised_is_told_whatever_has_become_of_it():
    """Told late: the first refund left a part, though all is given back by now, and the second failed in the end."""
    shop = Shop()
    payment, first = shop.refunded()
    opened = refund_event(shop.table.facts.refunds[first.id], "refund.created", shop.table.now)
    shop.table.bring(first, "succeeded")
    shop.post(f"/transactions/{payment.dialect_id}/refund", {"amount": "6.00"})
    second = shop.table.refunds[-1]
    then = refund_event(second, "refund.created", shop.table.now)
    assert summary(shop.tell(opened)) == ("Refund", "3", "11")
    assert summary(shop.tell(then)) == ("Refund", "3", "12")
    shop.table.now += timedelta(seconds=1)
    shop.table.bring(second, "failed")
    shop.post(f"/transactions/{payment.dialect_id}/refund", {"amount": "6.00"})
    assert summary(shop.tell(then)) == ("Refund", "3", "12")
    third = refund_event(shop.table.refunds[-1], "refund.created", shop.table.now)
    shop.table.bring(shop.table.refunds[-1], "failed")
    assert summary(shop.tell(third)) == ("Refund", "3", "12")


def test_a_refund_made_elsewhere_is_told_as_it_left_its_original():
    shop = Shop()
    payment = shop.table.pay(10_00, "USD")
    seen = shop.table.see(payment, "external", 4_00)
    line = payment_event(seen, "payment.external_refund", shop.table.now, amount=4_00)
    shop.table.see(payment, "external", 6_00, "2")
    assert summary(shop.tell(line)) == ("Refund", "3", "11")
    assert summary(shop.of_payment("payment.external_refund", payment, amount=6_00)) == ("Refund", "3", "12")


def test_a_dispute_that_was_won_is_told_without_what_came_after():
    shop = Shop()
    payment = shop.table.pay(10_00, "USD")
    shop.table.see(payment, "dispute_open", 4_00)
    won = shop.table.see(payment, "dispute_won", 4_00)
    line = payment_event(won, "dispute.won", shop.table.now, amount=4_00)
    shop.table.see(payment, "dispute_open", 10_00, "2")
    assert summary(shop.tell(line)) == ("Dispute", "3", "4")


def test_what_is_still_with_the_bank_began_there():
    """However often something was noted of it."""
    shop = Shop()
    payment = shop.table.pay(10_00, "USD", status="processing")
    line = payment_event(payment, "payment.registered", shop.table.now)
    shop.table.write(payment, version=payment.version + 1)
    assert summary(shop.tell(line)) == ("Process", "3", "3")


def test_a_refund_that_was_never_promised_is_no_event_of_its_original():
    shop = Shop()
    _, refund = shop.refunded()
    shop.table.bring(refund, "failed")
    event = only(shop.of_refund(refund, "refund.created"))
    assert (event["eventType"], event["objectId"], event["status"]) == ("Fail", refund.dialect_id, "5")


def test_an_event_tells_what_was_and_not_what_came_after():
    shop = Shop()
    _, refund = shop.refunded()
    line = refund_event(shop.table.bring(refund, "pending"), "refund.pending", shop.table.now)
    first = shop.tell(line)
    shop.table.bring(refund, "failed:R01", message="Account closed")
    assert shop.tell(line) == first


def test_a_reclaim_is_told_as_one():
    shop = Shop()
    number = shop.post("/establish", DEFERRED)["transactionId"]
    deposit = shop.post(f"/transactions/{number}/deposit", {"merchantReference": "d", "amount": "5.00"})
    reclaim = shop.post(f"/transactions/{deposit['transactionId']}/reclaim", {"amount": "2.00"})
    refund = shop.table.bring(shop.table.refunds[0], "succeeded")
    event = only(shop.of_refund(refund))
    assert (event["eventType"], event["transactionType"], event["objectId"]) == (
        "Complete",
        "7",
        reclaim["transactionId"],
    )
    assert event["parentObjectId"] == number


# --- what they give back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "data", "expected"),
    [
        ("captured", {}, ("Complete", "3", "4")),
        ("captured", {"transactionType": 2}, ("Complete", "2", "4")),
        ("captured", {"transactionType": 1}, ("Authorize", "1", "2")),
        ("processing", {}, ("Process", "3", "3")),
        ("authorized", {}, None),  # a capture that waits for its batch: its maker was answered
        ("authorized", {"transactionType": 2}, ("Authorize", "2", "1")),
        ("authorized", {"transactionType": 1}, ("Authorize", "1", "2")),
        ("authorized", {"transactionType": 10}, ("Authorize", "10", "2")),
        ("failed", {}, ("Fail", "3", "5")),
        ("failed", {"failureStatus": 8}, ("Deny", "3", "8")),
        ("failed", {"failureStatus": 6, "transactionType": 10}, ("Expire", "10", "6")),
        ("failed", {"failureStatus": 7}, ("Cancel", "3", "7")),
        ("failed", {"failureStatus": 13, "transactionType": 1}, ("Cancel", "1", "13")),
    ],
)
def test_what_a_record_begins_as(status: str, data: Any, expected: Any):
    shop = Shop()
    payment = shop.table.pay(10_00, "USD", status=status, dialect_data=data)
    assert summary(shop.of_payment("payment.registered", payment)) == expected


@pytest.mark.parametrize(
    "data", [{}, {"transactionType": 2}, {"transactionType": 1}], ids=["capture", "pay", "mandate"]
)
@pytest.mark.parametrize("then", ["captured", "failed"])
def test_a_beginning_is_told_as_one_however_late(data: Any, then: str):
    """What has happened since is told of itself."""
    shop = Shop()
    payment = shop.table.pay(10_00, "USD", status="authorized", dialect_data=data)
    line = payment_event(payment, "payment.registered", shop.table.now)
    first = summary(shop.tell(line))
    shop.table.see(payment, then, 10_00)
    assert summary(shop.tell(line)) == first


def test_what_came_in_at_once_is_complete_however_much_of_it_went_back():
    shop = Shop()
    payment = shop.table.pay(10_00, "USD")
    line = payment_event(payment, "payment.registered", shop.table.now)
    shop.post(f"/transactions/{payment.dialect_id}/refund")
    assert summary(shop.tell(line)) == ("Complete", "3", "4")


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("captured", {}, ("Complete", "3", "4")),
        ("captured", {"transactionType": 6, "authorization": "77"}, ("Complete", "6", "4")),
        ("captured", {"transactionType": 1}, None),
        ("failed", {}, ("Fail", "3", "5")),
        ("failed", {"failureStatus": 8}, ("Deny", "3", "8")),
        ("failed", {"failureStatus": 6, "transactionType": 10}, ("Expire", "10", "6")),
        ("canceled", {"failureStatus": 7}, ("Cancel", "3", "7")),
    ],
)
def test_what_becomes_of_it(kind: str, data: Any, expected: Any):
    shop = Shop()
    payment = shop.table.pay(10_00, "USD", status="authorized", dialect_data=data)
    shop.table.see(payment, kind, 10_00)
    assert summary(shop.of_payment(f"payment.{kind}", payment, amount=10_00)) == expected


@pytest.mark.parametrize(
    ("kind", "word", "expected"),
    [
        ("external", "payment.external_refund", ("Refund", "3", "11")),
        ("claw_back", "payment.clawed_back", ("Reverse", "3", "10")),
        ("dispute_open", "dispute.opened", ("Dispute", "3", "14")),
        ("dispute_won", "dispute.won", ("Dispute", "3", "4")),
        ("dispute_lost", "dispute.lost", ("Reverse", "3", "10")),
    ],
)
def test_what_is_done_elsewhere(kind: str, word: str, expected: Any):
    shop = Shop()
    payment = shop.table.pay(10_00, "USD")
    if kind in ("dispute_won", "dispute_lost"):
        shop.table.see(payment, "dispute_open", 4_00)
    shop.table.see(payment, kind, 4_00)
    told = shop.of_payment(word, payment, amount=4_00)
    assert summary(told) == expected
    event = only(told)
    assert event["objectId"] == payment.dialect_id
    assert event.get("transactionId") == (payment.dialect_id if expected[0] == "Dispute" else None)


@pytest.mark.parametrize(
    "word",
    [
        "payment.case_opened",
        "payment.excess_raised",
        "payment.rail_gap_closed",
        "refund.joined",
        "payment.release_armed",
        "payment.external_undone",
        "payment.something_new",
    ],
)
def test_what_is_nobodys_business(word: str):
    shop = Shop()
    assert shop.of_payment(word, shop.table.pay(10_00, "USD")) == ()


# --- what the dialect's own calls make -------------------------------------------------------------------------------


def test_from_establish_to_cancel():
    """The consumer agrees within the call: what the way back says, the event says too."""
    shop = Shop(endpoints=())
    data = shop.post(
        "/establish", DEFERRED | {"notificationUrl": PAYMENT_URL, "returnUrl": "https://shop.example/back"}
    )
    number = data["transactionId"]
    mandate = shop.payment(number)
    (delivery,) = shop.of_payment("payment.registered", mandate)
    event = checked(delivery)
    assert delivery.url == PAYMENT_URL
    assert (event["eventType"], event["objectId"], event["status"]) == ("Authorize", number, "2")
    assert f"transactionId={number}" in data["url"]
    assert "status=2" in data["url"]
    assert event["paymentProviderTransaction.status"] == "SW020"

    body = {"merchantReference": "c-1", "amount": "40.00", "splitToken": event["splitToken"]}
    capture = shop.payment(shop.post(f"/transactions/{number}/capture", body)["transactionId"])
    assert shop.of_payment("payment.registered", capture) == ()
    shop.table.now += COMPLETES_AFTER
    read(shop.table, capture.dialect_id)
    (delivery,) = shop.of_payment("payment.captured", capture, amount=40_00)
    completed = checked(delivery)
    assert (delivery.url, completed["eventType"], completed["status"]) == (PAYMENT_URL, "Complete", "4")
    assert (completed["parentObjectId"], completed["merchantReference"]) == (number, "c-1")
    assert "splitToken" not in completed

    shop.table.outcome = "succeeded"
    shop.post(f"/transactions/{number}/cancel")
    (delivery,) = shop.of_payment("payment.released", mandate)
    voided = checked(delivery)
    assert (voided["eventType"], voided["objectId"], voided["status"]) == ("Cancel", number, "13")
    assert "splitToken" not in voided


def test_a_capture_that_was_canceled_as_its_batch_ran_is_canceled():
    shop = Shop()
    number = shop.post("/establish", DEFERRED)["transactionId"]
    made = shop.post(f"/transactions/{number}/capture", {"merchantReference": "c", "amount": "4.00"})
    capture = shop.payment(made["transactionId"])
    shop.table.outcome = "succeeded"
    shop.post(f"/transactions/{capture.dialect_id}/cancel")
    assert summary(shop.of_payment("payment.released", capture)) == ("Cancel", "3", "7")
    for amount in (4_00, 0):
        assert shop.of_payment("payment.captured", capture, amount=amount) == ()


def test_a_capture_that_came_in_is_not_canceled_by_a_word():
    """Let go of, and yet captured: a person is asked."""
    shop = Shop()
    payment = shop.table.pay(10_00, "USD")
    assert shop.of_payment("payment.released", payment) == ()


def test_a_capture_that_came_to_nothing_is_not_complete():
    shop = Shop()
    payment = shop.table.see(shop.table.pay(10_00, "USD"), "captured", 0)
    assert shop.of_payment("payment.captured", payment, amount=0) == ()


def test_a_refresh_has_an_event_of_its_own():
    shop = Shop()
    number = shop.post("/establish", DEFERRED | {"notificationUrl": PAYMENT_URL})["transactionId"]
    shop.post(f"/transactions/{number}/refresh", {"splitToken": "t"})
    (((_, hook), delivery),) = shop.table.told.items()
    event = checked(delivery)
    assert (hook, delivery.url) == ("notificationUrl", PAYMENT_URL)
    assert (event["eventType"], event["objectId"], event["transactionType"]) == ("Refresh", number, "1")


# --- who is told -----------------------------------------------------------------------------------------------------


def told_where(shop: Shop, **members: Any) -> list[tuple[str, str]]:
    payment = shop.table.pay(10_00, "USD", **members)
    return [(each.hook, each.url) for each in shop.of_payment("payment.registered", payment)]


OWN = {"dialect_data": {"notificationUrl": PAYMENT_URL}}


def test_the_payments_own_address_comes_before_the_merchants():
    everybody = Shop({"notification_url": "https://shop.example/default"}, endpoints=({}, {}))
    assert told_where(everybody, **OWN) == [("notificationUrl", PAYMENT_URL)]
    assert told_where(everybody) == [("default", "https://shop.example/default")]
    assert told_where(Shop(endpoints=({}, {}))) == [("end_0", MERCHANT_URL), ("end_1", MERCHANT_URL)]
    assert told_where(Shop(endpoints=())) == []


def test_every_endpoint_is_asked_however_many_there_are():
    assert len(told_where(Shop(endpoints=({},) * 205))) == 205


@pytest.mark.parametrize("url", ["shop://back", "mailto:x@example.com", "javascript:0", "nowhere"])
def test_what_cannot_be_called_is_not(url: str):
    assert told_where(Shop(), dialect_data={"notificationUrl": url}) == []
    assert told_where(Shop(endpoints=({"url": url},))) == []


@pytest.mark.parametrize(
    ("events", "wanted"), [([], True), (["Complete"], True), (["Fail", "Completed"], True), (["Fail"], False)]
)
def test_an_endpoint_hears_what_it_asked_for(events: list[str], wanted: bool):
    assert bool(told_where(Shop(endpoints=({"events": events},)))) is wanted


def test_an_endpoint_may_have_a_secret_and_headers_of_its_own():
    shop = Shop()
    secret, headers = shop.table.endpoint_secret("its own"), shop.table.endpoint_secret('{"X-Shop": "1"}')
    shop.table.documents[(ENDPOINTS, "end_0")] |= {"secret": secret, "headers": headers}  # type: ignore[operator]
    (delivery,) = shop.of_payment("payment.registered", shop.table.pay(10_00, "USD"))
    checked(delivery, key="its own")
    assert delivery.endpoint_headers == headers


@pytest.mark.parametrize("lost", ["the key", "the endpoint's secret", "the access id"])
def test_what_cannot_be_signed_is_not_told(lost: str):
    shop = Shop(endpoints=({"secret": "c2VhbGVkIGJ5IGFub3RoZXI="},) if lost == "the endpoint's secret" else ({},))
    if lost == "the key":
        shop.table.secret = None
    if lost == "the access id":
        shop = Shop({"access_id": None})
    assert told_where(shop) == []


# --- how it is spelled and signed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "spelled"), [("succeeded", "Completed"), ("failed", "Failed"), ("canceled", "Cancel")]
)
def test_a_credential_may_want_the_references_spelling(outcome: str, spelled: str):
    shop = Shop({"event_names": "reference"})
    assert only(shop.of_refund(shop.table.bring(shop.refunded()[1], outcome)))["eventType"] == spelled


@pytest.mark.parametrize(
    ("stated", "prefix", "digest"),
    [
        ("HmacSHA512", "HmacSHA512:", "sha512"),
        ("HmacSHA1", "HmacSHA1:", "sha1"),
        ("HmacMD5", "", "sha1"),
        (None, "", "sha1"),
    ],
)
def test_a_credential_may_name_its_algorithm(stated: str | None, prefix: str, digest: str):
    shop = Shop({"signed_by": stated})
    (delivery,) = shop.of_payment("payment.registered", shop.table.pay(10_00, "USD"))
    checked(delivery, prefix=prefix, digest=digest)


def test_the_same_news_has_the_same_number_and_other_news_another():
    shop = Shop()
    _, refund = shop.refunded()
    line = refund_event(shop.table.bring(refund, "succeeded"), "refund.succeeded", shop.table.now)
    assert shop.tell(line) == shop.tell(line)
    other = refund_event(shop.table.bring(refund, "returned"), "refund.returned", shop.table.now)
    assert only(shop.tell(line))["eventId"] != only(shop.tell(other))["eventId"]


@given(st.uuids(), st.sampled_from(EVENT_TYPES))
def test_a_number_is_exact_in_every_clients_numbers(id: UUID, name: str):
    assert int(float(number_of(id, name))) == number_of(id, name) > 0
    assert len({number_of(id, each) for each in EVENT_TYPES}) == len(EVENT_TYPES)


# --- refunds that were not asked for here ----------------------------------------------------------------------------


class Mixed(Table):
    """Two surfaces at once: as the engine does it, a dialect's ids and lists are those of refunds asked for there."""

    def answer(self, ask: Ask) -> Any:
        found = super().answer(ask)
        match ask:
            case FindRefund():
                return found if found is None or found.dialect == DIALECT.name else None
            case ListRefunds():
                return tuple(each for each in found if each.dialect == DIALECT.name)
            case _:
                return found


def made_natively(world: Table, payment: Payment, reference: str | None = None) -> Refund:
    """A refund as the native API makes it: its id is the engine's own."""
    world.answer(AskRefund(payment=payment, asked=Asked(payer=3_00), reference=reference))
    made = world.refunds[-1]
    world.write(made, dialect="native", dialect_id=made.id.hex)
    return world.refunds[-1]


def test_a_refund_made_natively_is_told_like_any_other():
    shop = Shop()
    payment = shop.table.pay(10_00, "USD", dialect_data={"merchantReference": "order-7"})
    refund = made_natively(shop.table, payment)
    assert only(shop.of_refund(refund, "refund.created"))["objectId"] == payment.dialect_id
    event = only(shop.of_refund(shop.table.bring(refund, "succeeded")))
    assert (event["eventType"], event["objectId"], event["merchantReference"]) == ("Complete", refund.id.hex, "order-7")


@pytest.mark.parametrize(("stated", "shown"), [("rf-9", "rf-9"), (None, "order-7")])
def test_a_refund_made_natively_has_the_reference_it_was_given(stated: str | None, shown: str):
    world = Mixed(DIALECT)
    payment = world.pay(10_00, "USD", dialect_data={"merchantReference": "order-7"})
    refund = made_natively(world, payment, stated)
    record = said(world.call("GET", f"/api/v1/transactions/{refund.dialect_id}"))
    assert (record["transactionId"], record["merchantReference"]) == (refund.id.hex, shown)
    assert (record["transactionType"], record["amount"], record["originalTransactionId"]) == (
        "4",
        "3.00",
        payment.dialect_id,
    )


def test_only_its_own_id_names_a_refund_and_only_one_of_a_payment_of_trustlys():
    world = Mixed(DIALECT)
    payment = world.pay(10_00, "USD")
    made = made_natively(world, payment)
    world.call("POST", f"/api/v1/transactions/{payment.dialect_id}/refund", {"amount": "2.00"})
    ours = world.refunds[-1]
    for number in (ours.id.hex, str(made.id)):
        assert problem(world.call("GET", f"/api/v1/transactions/{number}"))[:2] == (400, 200)
    world.write(world.payment(payment), dialect="mangopay")
    assert problem(world.call("GET", f"/api/v1/transactions/{made.id.hex}"))[:2] == (400, 200)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("refund", "Transaction type 4 cannot be refunded"),
        ("reclaim", "Transaction type 4 cannot be reclaimed"),
        ("capture", "Transaction type 4 cannot be captured"),
        ("cancel", "A refund cannot be canceled"),
    ],
)
def test_a_refund_made_natively_is_no_unknown_transaction(call: str, message: str):
    world = Mixed(DIALECT)
    refund = made_natively(world, world.pay(10_00, "USD"))
    body = {"merchantReference": "x", "amount": "1.00"}
    outgoing = world.call("POST", f"/api/v1/transactions/{refund.dialect_id}/{call}", body)
    assert problem(outgoing) == (400, 200, message)
    strange = world.call("POST", f"/api/v1/transactions/{UUID(int=9).hex}/{call}", body)
    assert problem(strange) == (400, 200, f"Could not find a transaction using Id {UUID(int=9).hex}")


def test_what_a_payment_led_to_includes_what_was_made_natively():
    world = Mixed(DIALECT)
    payment = world.pay(10_00, "USD")
    refund = made_natively(world, payment)
    for query in ({"originalTransactionId": payment.dialect_id}, {"payment.paymentId": payment.dialect_id}):
        query |= {"transactionType": "4"}
        shown = said(world.call("GET", "/api/v1/transactions", query=query))["transactions"]
        assert [(each["transactionId"], each["amount"]) for each in shown] == [(refund.id.hex, "3.00")], query
    payments = said(world.call("GET", "/api/v1/payments"))["payments"]
    assert [(each["refunded"], each["balance"]) for each in payments] == [("3.00", "7.00")]
