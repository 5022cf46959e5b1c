"""What CHIP's webhooks and callbacks are told: which event, of what as it stood, to whom, signed by whose key."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.payment import Payment
from moneyback.core.refund import Refund, State
from moneyback.dialect import Caller, Delivery, Happened, Outgoing
from moneyback.dialects import chip
from moneyback.dialects.chip import DIALECT
from moneyback.dialects.chip.events import EVENTS, HAPPENING, body_of
from moneyback.dialects.chip.hooks import CALLBACK, MADE_BY, SEALED, WEBHOOKS
from moneyback.dialects.chip.telling import WAITS
from moneyback.flows.sign import draw_key_pair
from tests.dialects import driver
from tests.dialects.chip.shapes import PAYMENT, PURCHASE
from tests.dialects.chip.shop import CARD, REDIRECTS, SECURE, Shop
from tests.dialects.chip.test_news import hook
from tests.dialects.driver import MERCHANT, VAULT, misfits, said

CALLED = "https://shop.example/paid"


@pytest.fixture(scope="module", autouse=True)
def pairs() -> Iterator[None]:
    """Drawing a key pair takes a tenth of a second: four of them are enough, one after the other and again."""
    drawn = cycle([draw_key_pair(VAULT, MERCHANT) for _ in range(4)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "draw_key_pair", lambda *_: next(drawn))
        yield


def verified(delivery: Delivery, pem: str) -> dict[str, Any]:
    """The body of a delivery, once the published key says who has signed it."""
    key = load_pem_public_key(pem.encode())
    assert isinstance(key, RSAPublicKey)
    key.verify(b64decode(delivery.headers["x-signature"], validate=True), delivery.body, PKCS1v15(), SHA256())
    body: dict[str, Any] = json.loads(delivery.body)
    return body


class Listener:
    """A shop with one webhook for everything, and what it was told."""

    def __init__(self, **profile: Any) -> None:
        self.shop = Shop(**profile)
        self.table = self.shop.table
        self.hook = hook(self.shop)
        self.seen: list[Delivery] = []

    def payment(self, purchase: dict[str, Any]) -> Payment:
        return next(each for each in self.table.facts.payments.values() if each.dialect_id == purchase["id"])

    def refund(self, purchase: dict[str, Any], outcome: str, amount: int | None = None) -> Refund:
        self.table.outcome = outcome
        self.shop.act(purchase, "refund", None if amount is None else {"amount": amount})
        return self.table.refunds[-1]

    def tell(
        self, type: str, purchase: dict[str, Any], refund: Refund | None = None, **data: Any
    ) -> list[dict[str, Any]]:
        """The bodies of what an event of the log leads to, each as its schema says."""
        told = self.table.tell(type, self.payment(purchase), refund, data=data)
        return [self._body(each) for each in told]

    def state(self, refund: Refund, state: str) -> list[dict[str, Any]]:
        """The same, of a refund that has come to a state."""
        payment = self.table.facts.payments[refund.payment]
        return self.tell(f"refund.{state}", {"id": payment.dialect_id}, refund, state=state)

    def announced(self) -> list[dict[str, Any]]:
        """What handlers have told since it was last asked."""
        told = list(self.table.told.values())
        self.table.told.clear()
        return [self._body(each) for each in told]

    def _body(self, delivery: Delivery) -> dict[str, Any]:
        called = delivery.hook == CALLBACK
        pem = said(self.shop.ask("GET", "/public_key/")) if called else self.hook["public_key"]
        assert delivery.url == (CALLED if called else self.hook["callback"])
        assert called or delivery.hook.partition(":")[0] == self.hook["id"]
        body = verified(delivery, pem)
        event = body.pop("event_type")
        whole = {**PAYMENT, "required": [name for name in PAYMENT["required"] if name != "status"]}
        assert misfits(whole if event.startswith("payment.") else PURCHASE, Outgoing(body=body)) == []
        return {**body, "event": event, "called": called}


def words(bodies: Iterable[dict[str, Any]]) -> list[str]:
    return [each["event"] for each in bodies]


# --- which event -----------------------------------------------------------------------------------------------------

Story = Callable[[Listener], list[dict[str, Any]]]


def created(told: Listener) -> list[dict[str, Any]]:
    return told.tell("payment.registered", told.shop.create())


def viewed(told: Listener) -> list[dict[str, Any]]:
    told.table.call("GET", told.shop.create()["checkout_url"])
    return told.announced()


def paid(told: Listener) -> list[dict[str, Any]]:
    return told.tell("payment.captured", told.shop.paid(), captured=1000)


def failed_by_payer(told: Listener) -> list[dict[str, Any]]:
    told.shop.submit(told.shop.create(), action="decline")
    return told.announced()


def failed_at_the_bank(told: Listener) -> list[dict[str, Any]]:
    purchase = told.shop.create()
    action = {"flow": "payform", "scheme": "mastercard", "masked_pan": "555555******4444", "expires": "12/49"}
    told.shop.submit(purchase, at="3ds/", action="decline", name="A. Payer", **action)
    return told.announced()


def failed_by_direct_post(told: Listener) -> list[dict[str, Any]]:
    told.shop.submit(told.shop.create(**REDIRECTS), at="direct_post/", **{**CARD, "cvc": "999"})
    return told.announced()


def failed_elsewhere(told: Listener) -> list[dict[str, Any]]:
    purchase = told.shop.create()
    told.table.see(told.payment(purchase), "failed")
    return told.tell("payment.failed", purchase)


def held(told: Listener) -> list[dict[str, Any]]:
    told.shop.paid(skip_capture=True)
    return told.announced()


def preauthorized(told: Listener) -> list[dict[str, Any]]:
    told.shop.paid({"name": "Card", "price": 0}, skip_capture=True)
    return told.announced()


def captured(told: Listener) -> list[dict[str, Any]]:
    purchase = told.shop.paid(skip_capture=True)
    told.announced()
    told.shop.done(purchase, "capture", {"amount": 400})
    return told.tell("payment.captured", purchase, captured=400)


def charged(told: Listener) -> list[dict[str, Any]]:
    token = told.shop.paid(force_recurring=True)["id"]
    purchase = told.shop.create()
    told.shop.done(purchase, "charge", {"recurring_token": token})
    return told.tell("payment.captured", purchase, captured=1000)


def marked(told: Listener) -> list[dict[str, Any]]:
    purchase = told.shop.create()
    told.shop.done(purchase, "mark_as_paid")
    return told.tell("payment.captured", purchase, captured=1000)


def cancelled(told: Listener) -> list[dict[str, Any]]:
    purchase = told.shop.create()
    told.shop.done(purchase, "cancel")
    return told.tell("payment.canceled", purchase)


def released(told: Listener) -> list[dict[str, Any]]:
    purchase = told.shop.paid(skip_capture=True)
    told.announced()
    told.shop.done(purchase, "release")
    return told.tell("payment.canceled", purchase)


def token_deleted(told: Listener) -> list[dict[str, Any]]:
    purchase = told.shop.paid(force_recurring=True)
    told.shop.done(purchase, "delete_recurring_token")
    told.shop.done(purchase, "delete_recurring_token")
    return told.announced()


def native_hold(told: Listener) -> dict[str, Any]:
    return {"id": told.table.pay(1000, "MYR", status="authorized", method="visa").dialect_id}


def native_released(told: Listener) -> list[dict[str, Any]]:
    purchase = native_hold(told)
    told.shop.done(purchase, "release")
    return told.tell("payment.released", purchase, authorized=1000)


def releasing(told: Listener, *types: str) -> list[dict[str, Any]]:
    purchase = native_hold(told)
    told.table.outcome = "pending"
    told.shop.act(purchase, "release")
    states = {"payment.release_refused": "failed", "payment.release_accepted": "pending"}
    found = []
    for type in types:
        told.table.write(told.payment(purchase), version=told.payment(purchase).version + 1)
        found += told.tell(type, purchase, release="7", state=states.get(type, "unknown"))
    return found


def slow_release(told: Listener) -> list[dict[str, Any]]:
    return releasing(told, "payment.release_in_doubt", "payment.release_accepted")


def slow_release_fails(told: Listener) -> list[dict[str, Any]]:
    return releasing(told, "payment.release_accepted", "payment.release_refused")[1:]


def refunded(told: Listener) -> list[dict[str, Any]]:
    return told.state(told.refund(told.shop.paid(), "succeeded", 400), "succeeded")


def slow_refund(told: Listener) -> list[dict[str, Any]]:
    return told.state(told.refund(told.shop.paid(), "pending", 400), "pending")


def slow_refund_fails(told: Listener) -> list[dict[str, Any]]:
    refund = told.refund(told.shop.paid(), "pending")
    told.state(refund, "pending")
    return told.state(told.table.bring(refund, "failed:insufficient_funds"), "failed")


def refunded_elsewhere(told: Listener) -> list[dict[str, Any]]:
    purchase = told.shop.paid()
    told.table.see(told.payment(purchase), "external", 300, "portal-1")
    return told.tell("payment.external_refund", purchase, amount=300, reference="portal-1")


def disputed(told: Listener, *types: str) -> list[dict[str, Any]]:
    purchase = told.shop.paid()
    found = []
    for number, type in enumerate(types):
        kind = {"payment.clawed_back": "claw_back"}.get(type, type.replace(".opened", "_open").replace(".", "_"))
        told.table.see(told.payment(purchase), kind, 1000, f"dispute-{number // 2}")
        found += told.tell(type, purchase, amount=1000)
    return found


def charged_back(told: Listener) -> list[dict[str, Any]]:
    return disputed(told, "dispute.opened", "dispute.lost")


def charged_back_at_once(told: Listener) -> list[dict[str, Any]]:
    return disputed(told, "dispute.lost")


def returned_by_the_bank(told: Listener) -> list[dict[str, Any]]:
    return disputed(told, "payment.clawed_back")


def chargeback_reversed(told: Listener) -> list[dict[str, Any]]:
    return disputed(told, "dispute.opened", "dispute.won")[1:]


STORIES: list[tuple[Story, list[tuple[str, str]]]] = [
    (created, [("purchase.created", "created")]),
    (viewed, [("purchase.viewed", "viewed")]),
    (paid, [("purchase.paid", "paid")]),
    (failed_by_payer, [("purchase.payment_failure", "error")]),
    (failed_at_the_bank, [("purchase.payment_failure", "error")]),
    (failed_by_direct_post, [("purchase.payment_failure", "error")]),
    (failed_elsewhere, [("purchase.payment_failure", "error")]),
    (held, [("purchase.hold", "hold")]),
    (preauthorized, [("purchase.preauthorized", "preauthorized")]),
    (captured, [("purchase.captured", "paid"), ("purchase.paid", "paid")]),
    (charged, [("purchase.paid", "paid")]),
    (marked, [("purchase.paid", "paid")]),
    (cancelled, [("purchase.cancelled", "cancelled")]),
    (released, [("purchase.released", "released")]),
    (token_deleted, [("purchase.recurring_token_deleted", "paid")]),
    (native_released, [("purchase.released", "released")]),
    (slow_release, [("purchase.pending_release", "pending_release")]),
    (slow_release_fails, [("purchase.release_failure", "hold")]),
    (refunded, [("payment.refunded", "success")]),
    (slow_refund, [("purchase.pending_refund", "pending_refund")]),
    (slow_refund_fails, [("purchase.refund_failure", "paid")]),
    (refunded_elsewhere, [("payment.refunded", "success")]),
    (charged_back, [("payment.charged_back", "")]),
    (charged_back_at_once, [("payment.charged_back", "")]),
    (returned_by_the_bank, [("payment.charged_back", "")]),
    (chargeback_reversed, [("payment.chargeback_reversed", "")]),
]


@pytest.mark.parametrize(("story", "expected"), STORIES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_event(story: Story, expected: list[tuple[str, str]]):
    told = story(Listener())
    assert [(each["event"], each.get("status", "")) for each in told] == expected
    assert all(each["is_test"] for each in told)


def test_every_event_that_can_happen_here_has_its_story():
    assert {event for _, expected in STORIES for event, _ in expected} == set(HAPPENING)
    assert set(HAPPENING) < EVENTS


@pytest.mark.parametrize(
    "type",
    [
        "refund.joined",
        "payment.case_opened",
        "payment.excess_raised",
        "payment.external_undone",
        "payment.rail_gap_moved",
        "payment.release_armed",
        "payment.nobody_knows",
    ],
)
def test_what_chip_has_no_event_for(type: str):
    told = Listener()
    assert told.tell(type, told.shop.paid()) == []


def test_what_was_taken_down_natively_was_not_created_by_a_call():
    told = Listener()
    assert told.tell("payment.registered", {"id": told.table.pay(1000, "MYR").dialect_id}) == []


def test_what_is_sent_twice_is_told_once():
    told = Listener()
    purchase = told.shop.create()
    for _ in range(2):
        told.table.call("GET", purchase["checkout_url"])
    told.shop.submit(purchase, **SECURE)  # leads to its bank's page: nothing has happened yet
    for _ in range(2):
        told.shop.submit(purchase)
    assert words(told.announced()) == ["purchase.viewed"]


def test_each_attempt_in_vain_is_told():
    told = Listener()
    purchase = told.shop.create()
    for _ in range(2):
        told.shop.submit(purchase, action="decline")
    assert words(told.announced()) == ["purchase.payment_failure"] * 2


def test_a_release_that_was_refused_at_once_has_no_event():
    assert releasing(Listener(), "payment.release_refused") == []


def test_another_dispute_after_one_that_was_won_is_another_chargeback():
    told = disputed(Listener(), "dispute.opened", "dispute.won", "dispute.opened")
    assert words(told) == ["payment.charged_back", "payment.chargeback_reversed", "payment.charged_back"]


def test_the_same_dispute_is_told_again_just_the_same_however_far_the_log_was_read():
    """A process that told all of it, and died before it could say so."""
    told = Listener()
    purchase = told.shop.paid()
    payment = told.payment(purchase)
    kinds = ("dispute.opened", "dispute.opened", "dispute.won", "dispute.won", "dispute.opened", "dispute.lost")
    first, again = ([words_of(told, type, payment, number) for number, type in enumerate(kinds)] for _ in range(2))
    assert first == again == [["payment.charged_back"], [], ["payment.chargeback_reversed"], [], *first[:2]]


def words_of(told: Listener, type: str, payment: Payment, sequence: int) -> list[str]:
    told.table.write(payment, version=sequence)
    return [json.loads(each.body)["event_type"] for each in told.table.tell(type, payment)]


def test_a_dispute_that_was_won_and_never_lost_anything_is_no_chargeback():
    assert disputed(Listener(), "dispute.won") == []


def test_what_came_to_nothing_after_all_was_not_paid():
    told = Listener()
    purchase = told.shop.paid()
    told.table.see(told.payment(purchase), "captured", 0)
    assert told.tell("payment.captured", purchase, captured=0) == []


def test_what_had_come_in_is_not_released_by_a_word():
    told = Listener()
    assert told.tell("payment.released", told.shop.paid(), captured=1000) == []


def test_a_failure_is_told_without_the_money_that_came_after_all():
    told = Listener()
    purchase = told.shop.create()
    told.table.see(told.payment(purchase), "failed")
    told.table.see(told.payment(purchase), "captured", 1000)
    [body] = told.tell("payment.failed", purchase)
    assert (body["event"], body["status"], body["payment"]) == ("purchase.payment_failure", "error", None)


def test_a_release_that_failed_because_it_was_captured_shows_that():
    told = Listener()
    purchase = native_hold(told)
    told.table.outcome = "pending"
    told.shop.act(purchase, "release")
    told.tell("payment.release_accepted", purchase, release="7", state="pending")
    told.table.see(told.payment(purchase), "captured", 1000)
    told.table.write(told.payment(purchase), version=9)
    [body] = told.tell("payment.release_refused", purchase, release="7", state="failed", captured=1000)
    assert (body["event"], body["status"], body["refundable_amount"]) == ("purchase.release_failure", "paid", 1000)


# --- refunds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(State), ids=lambda state: state.value)
def test_every_state_of_a_refund(state: State):
    """A refund that was answered at once has its Payment or none; only what takes longer has an event of its own."""
    told = Listener()
    refund = told.refund(told.shop.paid(), "ready" if state in (State.READY, *WAITS) else state.value)
    if state in WAITS:
        refund = told.table.bring(refund, state.value)
        told.table.told.clear()
        told.table.documents.pop(("told", f"{refund.id}:pending"), None)
    expected = ["purchase.pending_refund"] if state in WAITS else []
    assert words(told.state(refund, state.value)) == (["payment.refunded"] if state is State.SUCCEEDED else expected)


def test_a_refunds_payment_is_the_one_that_was_answered():
    told = Listener()
    purchase = told.shop.paid(reference="order-7")
    told.table.outcome = "succeeded"
    answer = said(told.shop.act(purchase, "refund", {"amount": 400}))
    [body] = told.state(told.table.refunds[-1], "succeeded")
    assert {name: body[name] for name in answer} == answer
    assert (body["payment"]["amount"], body["payment"]["payment_type"]) == (400, "refund")
    assert body["related_to"] == {"id": purchase["id"], "type": "purchase", "reference": "order-7"}


def test_that_it_takes_longer_is_told_once_and_again_only_as_the_same():
    told = Listener()
    refund = told.refund(told.shop.paid(), "pending")
    first = told.table.tell(
        "refund.pending", told.table.facts.payments[refund.payment], refund, data={"state": "pending"}
    )
    again = told.table.tell(
        "refund.pending", told.table.facts.payments[refund.payment], refund, data={"state": "pending"}
    )
    assert len(first) == 1 and again == first
    told.table.write(refund, version=refund.version + 1, state=State.UNKNOWN)
    assert told.state(told.table.refunds[-1], "unknown") == []


def test_an_answer_that_could_not_wait_is_told_by_the_answer():
    """The rail had not said a word when the client was answered: the event log has no line for that."""
    told = Listener()
    refund = told.refund(told.shop.paid(), "sending", 400)
    [body] = told.announced()
    assert (body["event"], body["status"], body["refundable_amount"]) == (
        "purchase.pending_refund",
        "pending_refund",
        600,
    )
    refund = told.table.bring(refund, "pending")
    assert told.state(refund, "pending") == []
    assert words(told.state(told.table.bring(refund, "failed"), "failed")) == ["purchase.refund_failure"]


@pytest.mark.parametrize(("profile", "account"), [({"front": "chip-1"}, "sandbox"), ({}, "chip:acct")])
def test_what_chip_tells_itself_is_not_told_here(profile: Any, account: str):
    told = Listener(**profile)
    purchase = {"id": told.table.pay(1000, "MYR").dialect_id}
    told.table.write(told.payment(purchase), account=account)
    told.refund(purchase, "sending")
    assert told.announced() == []


def test_a_refund_that_was_refused_in_its_answer_has_no_event():
    told = Listener()
    assert told.state(told.refund(told.shop.paid(), "failed:insufficient_funds"), "failed") == []


def test_a_refund_that_was_asked_for_natively_is_told_just_the_same():
    """Natively its id is written without dashes; here it is a UUID as CHIP writes them, in both places."""
    told = Listener()
    purchase = told.shop.paid()
    refund = told.refund(purchase, "succeeded", 400)
    native = UUID("0190a1b2c3d4e5f60718293a4b5c6d7e")
    told.table.write(refund, dialect_id=native.hex)
    [body] = told.state(told.table.refunds[-1], "succeeded")
    assert body["id"] == str(native)
    assert told.shop.read(purchase)["status_history"][-1]["related_object"] == {"type": "payment", "id": str(native)}


# --- as it stood -----------------------------------------------------------------------------------------------------


def test_what_came_after_is_not_shown():
    told = Listener()
    purchase = told.shop.create(reference="r")
    told.shop.submit(purchase)
    told.table.now += timedelta(seconds=1)
    first = told.refund(purchase, "succeeded", 400)
    told.table.now += timedelta(seconds=1)
    slow = told.refund(purchase, "pending", 500)
    told.table.now += timedelta(hours=1)
    slow = told.table.bring(slow, "succeeded")
    now = told.shop.read(purchase)
    assert (now["status"], now["refundable_amount"]) == ("refunded", 100)

    [fresh] = told.tell("payment.registered", purchase)
    assert {name: fresh[name] for name in purchase if name not in ("updated_on", "checkout_url")} == {
        name: value for name, value in purchase.items() if name not in ("updated_on", "checkout_url")
    }
    [paid] = told.tell("payment.captured", purchase, captured=1000)
    assert (paid["status"], paid["refundable_amount"], paid["refund_availability"]) == ("paid", 1000, "all")
    assert [each["status"] for each in paid["status_history"]] == ["created", "paid"]
    assert [each["type"] for each in paid["transaction_data"]["attempts"]] == ["execute"]
    [pending] = told.state(slow, "pending")
    assert (pending["status"], pending["refundable_amount"]) == ("pending_refund", 100)
    history = [each["status"] for each in pending["status_history"]]
    assert history == ["created", "paid", "refunded", "pending_refund"]
    assert pending["status_history"][2]["related_object"]["id"] == first.dialect_id
    [done] = told.state(first, "succeeded")
    assert done["payment"]["amount"] == 400


def test_a_failure_is_told_without_the_refund_that_followed():
    told = Listener()
    purchase = told.shop.paid()
    slow = told.refund(purchase, "pending", 300)
    told.state(slow, "pending")
    told.table.now += timedelta(minutes=1)
    slow = told.table.bring(slow, "failed:insufficient_funds")
    told.table.now += timedelta(minutes=1)
    told.refund(purchase, "succeeded")
    [body] = told.state(slow, "failed")
    assert (body["status"], body["refundable_amount"]) == ("paid", 1000)
    assert body["transaction_data"]["attempts"][0]["error"]["code"] == "insufficient_funds"


def test_a_refund_whose_money_came_back_is_still_told_as_it_was_made():
    told = Listener()
    refund = told.refund(told.shop.paid(), "returned:R03")
    [body] = told.state(refund, "succeeded")
    assert body["transaction_data"]["attempts"][0]["successful"] is True


# --- who is told, and as whom ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "called"),
    [(paid, 1), (captured, 1), (charged, 1), (marked, 0), (refunded, 0), (held, 0), (created, 0), (viewed, 0)],
)
def test_the_success_callback_is_told_of_what_was_paid_and_of_nothing_else(story: Story, called: int):
    told = Listener()
    told.shop.create = partial(told.shop.create, success_callback=CALLED)  # type: ignore[method-assign]
    bodies = story(told)
    assert [each["called"] for each in bodies].count(True) == called
    assert all(each["event"] in ("purchase.paid", "purchase.captured") for each in bodies if each["called"])


def test_the_success_callback_needs_no_webhook():
    told = Listener()
    told.shop.ask("DELETE", f"/webhooks/{told.hook['id']}/")
    purchase = told.shop.paid(success_callback=CALLED)
    [body] = told.tell("payment.captured", purchase, captured=1000)
    assert (body["called"], body["event"], body["id"]) == (True, "purchase.paid", purchase["id"])


def test_who_signs_what():
    """A webhook's key says nothing of a callback, nor the company's of a webhook."""
    told = Listener()
    payment = told.payment(told.shop.paid(success_callback=CALLED))
    webhook, callback = told.table.tell("payment.captured", payment, data={"captured": 1000})
    company = said(told.shop.ask("GET", "/public_key/"))
    for delivery, pem in [(webhook, company), (callback, told.hook["public_key"])]:
        with pytest.raises(InvalidSignature):
            verified(delivery, pem)


def test_each_hears_what_it_listens_to():
    shop = Shop()
    both = [
        hook(shop, "purchase.paid", callback="https://shop.example/a"),
        hook(shop, callback="https://shop.example/b"),
    ]
    hook(shop, "payment.refunded")
    shop.paid()
    [payment] = shop.table.facts.payments.values()
    told = shop.table.tell("payment.captured", payment, data={"captured": 1000})
    assert [(each.hook, each.url) for each in told] == [(each["id"], each["callback"]) for each in both]
    assert {(each.method, each.headers["content-type"]) for each in told} == {("POST", "application/json")}
    for each, webhook in zip(told, both, strict=True):
        assert verified(each, webhook["public_key"])["event_type"] == "purchase.paid"


@pytest.mark.parametrize(
    ("made_with", "of", "told"),
    [
        ("sandbox", "sandbox", 1),
        ("sandbox-2", "sandbox", 1),
        ("sandbox", "mangopay-1", 0),
        ("mangopay-1", "mangopay-1", 1),
        ("mangopay-1", "sandbox", 0),
    ],
)
def test_test_webhooks_see_test_objects_alone(made_with: str, of: str, told: int):
    shop = Shop(rail=made_with)
    hook(shop)
    payment = shop.table.pay(1000, "MYR")
    shop.table.write(payment, rail=of)
    assert len(shop.table.tell("payment.captured", payment, data={"captured": 1000})) == told


@pytest.mark.parametrize("sealed", ["", "no base64!"])
def test_who_cannot_be_signed_for_is_told_nothing(sealed: str):
    told = Listener()
    place = (WEBHOOKS, told.hook["id"])
    told.table.documents[place] = {**told.table.documents[place], SEALED: sealed}
    assert paid(told) == []


def test_an_object_looks_as_whoever_listens_would_read_it():
    ids = {name: str(UUID(int=n + 1)) for n, name in enumerate(("company_id", "account_id", "brand_id"))}
    told = Listener(**ids, callback_ports=True)
    purchase = told.shop.paid(success_callback=CALLED)
    for place in [place for place in told.table.documents if place[0] == WEBHOOKS]:
        kept = told.table.documents[place]
        told.table.documents[place] = {**kept, MADE_BY: {**kept[MADE_BY], "base": "https://money.example/chip"}}
    happened = Happened(
        id=UUID(int=1),
        type="payment.captured",
        at=told.payment(purchase).updated_at,
        sequence=2,
        data={"captured": 1000},
        payment=told.payment(purchase),
    )
    assert DIALECT.tell is not None
    webhook, callback = told.table.through(DIALECT.tell(happened, Caller(merchant=MERCHANT)))
    read = {**told.shop.read(purchase), "event_type": "purchase.paid"}
    assert json.loads(callback.body) == read
    assert json.loads(webhook.body) == {**read, "checkout_url": f"https://money.example/chip{read['checkout_url']}"}
    assert read["company_id"] == ids["company_id"]


def test_who_made_it_is_shown_to_nobody():
    told = Listener(company_id=str(UUID(int=5)))
    assert MADE_BY not in told.hook
    assert MADE_BY not in told.shop.create()


def test_it_is_told_again_just_the_same():
    told = Listener()
    payment = told.payment(told.shop.paid(success_callback=CALLED))
    first, again = (told.table.tell("payment.captured", payment, data={"captured": 1000}) for _ in range(2))
    assert len(first) == 2 and first == again
    assert len({each.hook for each in first}) == 2


def test_two_events_of_one_moment_are_kept_apart():
    told = Listener()
    purchase = told.shop.paid(skip_capture=True, success_callback=CALLED)
    told.shop.done(purchase, "capture")
    deliveries = told.table.tell("payment.captured", told.payment(purchase), data={"captured": 1000})
    assert len({each.hook for each in deliveries}) == len(deliveries) == 3


def test_where_nobody_listens_nothing_is_asked_for():
    shop = Shop()
    shop.paid()
    [payment] = shop.table.facts.payments.values()
    shop.table.asks.clear()
    assert shop.table.tell("payment.captured", payment, data={"captured": 1000}) == ()
    assert [type(each).__name__ for each in shop.table.asks] == ["ListDocuments"]


def test_the_tries_come_when_chip_says():
    """Provider docs, delivery protocol: minutes from the first try to each of the others; eight in all, 36 h 26 min."""
    told = Listener()
    [delivery] = told.table.tell("payment.captured", told.payment(told.shop.paid()), data={"captured": 1000})
    assert delivery.again_after is not None
    minutes = [each // timedelta(minutes=1) for each in delivery.again_after]
    assert [sum(minutes[: n + 1]) for n in range(len(minutes))] == [2, 8, 26, 80, 242, 728, 2186]


# --- the bytes -------------------------------------------------------------------------------------------------------

NAMES = st.text("abé_", max_size=3)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)


def in_order(value: Any) -> bool:
    """Whether members stand by the length of their names, and those of one length by their bytes, at every level."""
    if isinstance(value, list):
        return all(map(in_order, value))
    if not isinstance(value, dict):
        return True
    names = [name.encode() for name in value]
    ordered = all((len(one), one) < (len(two), two) for one, two in pairwise(names))
    return ordered and all(map(in_order, value.values()))


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_every_body_is_json_in_the_order_of_chips_database(shown: dict[str, Any]):
    body = body_of("purchase.paid", shown)
    read = json.loads(body, parse_float=Decimal)
    assert read == {**shown, "event_type": "purchase.paid"}
    assert in_order(read)
    assert body.isascii()


def test_the_bytes():
    body = body_of("e", {"type": "x", "id": 1, "aa": [Decimal("1.50"), {"é": None, "b": True}]})
    assert body == b'{"aa": [1.50, {"b": true, "\\u00e9": null}], "id": 1, "type": "x", "event_type": "e"}'


SAMPLES = sorted((Path(chip.__file__).parent / "samples" / "callbacks").glob("*.json"))


def at(body: Any, place: str) -> Any:
    for step in place.split(".") if place else ():
        body = body[int(step)] if isinstance(body, list) else body[step]
    return body


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_recorded_callback(sample: Path):
    """The members of a real one, all of them, in its order; beside them only what CHIP has added since."""
    recorded = json.loads(sample.read_text())
    told = Listener()
    purchase = told.shop.create()
    told.table.call("GET", purchase["checkout_url"])
    told.shop.submit(purchase)
    [delivery] = told.table.tell("payment.captured", told.payment(purchase), data={"captured": 1000})
    body = json.loads(delivery.body)
    for place, names in recorded["members"].items():
        prefix = f"{place}." if place else ""
        assert [name for name in at(body, place) if prefix + name not in recorded["since"]] == names.split(), place
    for place, value in recorded["values"].items():
        assert at(body, place) == value, place


def test_there_is_a_sample():
    assert SAMPLES
