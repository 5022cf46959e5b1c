"""In front of a provider: what gives money back is ours, what is not is relayed, and what we do not know is fetched."""

import asyncio
from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from msgspec.structs import replace

from moneyback.api import mount as mounting
from moneyback.api.mount import Mount
from moneyback.core.commands import NameRefund, Observation, Observe, Sighting
from moneyback.core.payment import Asked
from moneyback.core.refund import Event
from moneyback.core.refusals import Refusal
from moneyback.dialect import (
    AddPayment,
    AnswerLost,
    AskRefund,
    Await,
    Call,
    Caller,
    Client,
    Conversation,
    Dialect,
    Fetched,
    FindPayment,
    FindRefund,
    Incoming,
    NotConnected,
    Outgoing,
    PaymentOf,
    Reply,
    Route,
    SeenRefund,
    SeePayment,
)
from moneyback.flows import front
from moneyback.flows.front import without_marks
from moneyback.flows.request_refund import await_refund
from moneyback.store.port import StoreUnavailable
from tests.flows.toy import TOY, Scene, scene_on

MARK = "mb_0123456789abcdef0123456789abcdef_1"


# --- the dialect -----------------------------------------------------------------------------------------------------


def pay_back(incoming: Incoming, _caller: Caller) -> Conversation:
    payment = yield FindPayment(incoming.arguments["id"])
    if payment is None:
        return Outgoing(status=404, body={"toy": "no such payment"})
    result = yield AskRefund(payment=payment, asked=Asked(payer=incoming.body["amount"]))
    if isinstance(result, Refusal):
        return Outgoing(status=422, body={"toy": result.first.reason.value})
    refund, _ = yield Await(result.refund, 0)
    return Outgoing(body={"id": refund.dialect_id, "state": refund.state.value})


def read_payment(incoming: Incoming, _caller: Caller) -> Conversation:
    payment = yield FindPayment(incoming.arguments["id"])
    if payment is None:
        return Outgoing(status=404, body={"toy": "no such payment"})
    return Outgoing(body={"captured": payment.captured, "left": payment.refundable, **payment.document})


def read_refund(incoming: Incoming, _caller: Caller) -> Conversation:
    refund = yield FindRefund(incoming.arguments["id"])
    if refund is None:
        return Outgoing(status=404, body={"toy": "no such refund"})
    payment = yield PaymentOf(refund.payment)
    return Outgoing(body={"id": refund.dialect_id, "of": payment.dialect_id})


def pay_back_and_note(incoming: Incoming, caller: Caller) -> Conversation:
    said = yield from pay_back(incoming, caller)
    payment = yield FindPayment(incoming.arguments["id"])
    yield SeePayment(payment=payment, sighting=Sighting(kind="noted", amount=0, reference=""), document={"a": 1})
    return said


def cancel(incoming: Incoming, _caller: Caller) -> Conversation:
    payment = yield FindPayment(incoming.arguments["id"])
    yield SeePayment(payment=payment, sighting=Sighting(kind="canceled", amount=0, reference="1"))
    return Outgoing(body={"canceled": True})


def never(_incoming: Incoming, _caller: Caller) -> Conversation:
    raise AssertionError("a relayed call has no handler in front of its provider")


DIALECT: Dialect = replace(
    TOY,
    base_path="/api",
    numbered=False,
    routes=(
        Route(method="POST", path="/api/payments/{id}/refund", handle=pay_back, kind="guarded"),
        Route(method="POST", path="/api/payments/{id}/repay", handle=pay_back_and_note, kind="guarded"),
        Route(method="POST", path="/api/payments/{id}/cancel", handle=cancel, kind="guarded"),
        Route(
            method="POST",
            path="/api/payouts",
            handle=never,
            kind="guarded",
            guards=lambda incoming: bool(incoming.body.get("refund")),
        ),
        Route(method="GET", path="/api/payments/{id}", handle=read_payment),
        Route(method="GET", path="/api/refunds/{id}", handle=read_refund),
        Route(method="POST", path="/api/payments", handle=never, kind="relayed", accepts=("json", "form")),
    ),
)


# --- the provider ----------------------------------------------------------------------------------------------------


class Provider:
    """What stands behind the rail: payments that it alone knows, and whatever a client says to it."""

    def __init__(self) -> None:
        self.payments: dict[str, Fetched] = {}
        self.fetched: list[str] = []
        self.relayed: list[Call] = []
        self.reply = Reply(status=201, headers={"content-type": "application/toy", "x-rate": "7"}, body=b'{"made":1}')
        self.away: type[Exception] | None = None

    def fetch(self, dialect_id: str) -> Generator[Call, Reply, Fetched | None]:
        yield Call(method="GET", path=f"/payments/{dialect_id}")
        self.fetched.append(dialect_id)
        return self.payments.get(dialect_id)

    async def say(self, call: Call, *, deadline: float) -> Reply:
        if self.away is not None:
            raise self.away("away")
        return Reply(status=200)

    async def relay(self, call: Call, *, deadline: float) -> Reply:
        if self.away is not None:
            raise self.away("away")
        self.relayed.append(call)
        return self.reply

    def has(self, dialect_id: str, amount: int = 10_000, *, left: int | None = None, **fields: Any) -> None:
        refunds = fields.pop("refunds", ())
        payment = AddPayment(amount=amount, currency="EUR", dialect_id=dialect_id, **fields)
        self.payments[dialect_id] = Fetched(
            payment=payment,
            reference=dialect_id,
            captured_at=datetime(2026, 1, 2, tzinfo=UTC),
            refunds=refunds,
            left=left,
        )


class Before:
    """A client of the provider's that calls us instead."""

    def __init__(self, scene: Scene, *, joins: bool = False) -> None:
        self.scene = scene
        self.provider = Provider()
        self.secret = uuid4().hex
        made = scene.rail.rail("shop", joins=joins)
        client: Client = replace(made.client, fetch=self.provider.fetch)
        rail = replace(
            made, client=client, relay=self.provider.relay, reading=self.provider.say, real=False, account="toy:1"
        )
        scene.world.own_rails[(scene.merchant, "shop")] = rail
        mount = Mount(DIALECT, scene.world, scene.reads, prefix="/toy")
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(mount), base_url="http://moneyback.example")

    async def __call__(self, method: str, path: str, *, anonymous: bool = False, **more: Any) -> httpx2.Response:
        headers = {} if anonymous else {"Authorization": f"Bearer {self.secret}"}
        return await self.http.request(method, f"/toy/api{path}", headers=headers | more.pop("headers", {}), **more)


@pytest.fixture
async def shop(module_database: str) -> AsyncIterator[Before]:
    async with scene_on(module_database) as scene:
        shop = Before(scene)
        profile = {"rail": "shop", "front": "shop"}
        await scene.access.add_credential(scene.merchant, uuid4(), "toy", secret=shop.secret, profile=profile)
        yield shop
        await shop.http.aclose()


# --- relayed ---------------------------------------------------------------------------------------------------------


async def test_what_is_not_ours_goes_on_as_it_came(shop: Before):
    body = b'{"amount": 1.50,  "odd":[]}\n'
    said = await shop(
        "POST",
        "/payments?a=1&b=%20x",
        content=body,
        headers={"Content-Type": "application/json", "X-Own": "é".encode()},
    )
    (call,) = shop.provider.relayed
    assert (call.method, call.path, call.body) == ("POST", "/payments?a=1&b=%20x", body)
    assert (call.headers["content-type"], call.headers["x-own"]) == ("application/json", "é".encode().decode("latin-1"))
    assert not {"authorization", "host", "content-length", "connection", "accept-encoding"} & call.headers.keys()
    assert (said.status_code, said.content, said.headers["x-rate"]) == (201, b'{"made":1}', "7")
    assert said.headers["content-type"] == "application/toy"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/elsewhere/%2Fx//y/"), ("PATCH", "/payments/1"), ("DELETE", "/payments")]
)
async def test_a_path_we_do_not_know_may_be_the_providers(shop: Before, method: str, path: str):
    assert (await shop(method, path)).status_code == 201
    assert [(each.method, each.path) for each in shop.provider.relayed] == [(method, path)]


async def test_strangers_are_not_relayed(shop: Before):
    assert (await shop("GET", "/elsewhere", anonymous=True)).status_code == 404
    assert (await shop("POST", "/payments", anonymous=True, json={})).status_code == 401
    shop.secret = "guessed"
    assert (await shop("POST", "/payments", json={})).status_code == 401
    assert (await shop.http.get("/toy/other", headers={"Authorization": "Bearer x"})).status_code == 404
    assert not shop.provider.relayed


async def test_a_provider_that_is_away(shop: Before):
    shop.provider.away = NotConnected
    said = await shop("POST", "/payments", json={})
    assert (said.status_code, said.headers["retry-after"]) == (503, "1")
    shop.provider.away = AnswerLost
    assert (await shop("POST", "/payments", json={})).status_code == 504


async def test_too_large_to_be_handed_on(shop: Before, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mounting, "RELAYED_BODY_MAX", 10)
    assert (await shop("POST", "/payments", content=b"x" * 11)).status_code == 413
    assert not shop.provider.relayed


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (f'{{"tag":"order-1 {MARK}"}}', '{"tag":"order-1"}'),
        (f'{{"tag":"{MARK}"}}', '{"tag":null}'),
        (f'["{MARK}","a|{MARK}"]', '[null,"a"]'),
        ('{"tag":"mb_1"}', '{"tag":"mb_1"}'),
    ],
)
async def test_no_client_sees_a_mark(shop: Before, answer: str, told: str):
    shop.provider.reply = Reply(status=200, headers={"content-type": "application/json"}, body=answer.encode())
    assert (await shop("GET", "/lists")).text == told
    assert without_marks(b"plain") == b"plain"


async def test_what_we_can_only_pretend_the_provider_is_told(shop: Before):
    shop.provider.has("p1", status="processing")
    said = await shop("POST", "/payments/p1/cancel", json={"why": "x"})
    assert (said.status_code, said.json()) == (201, {"made": 1})
    assert [(each.path, each.body) for each in shop.provider.relayed] == [("/payments/p1/cancel", b'{"why":"x"}')]


async def test_once_admitted_a_refund_is_never_answered_with_an_error(shop: Before):
    shop.provider.has("p1")
    said = await shop("POST", "/payments/p1/repay", json={"amount": 100})
    assert said.status_code < 300, said.text
    assert not shop.provider.relayed and len(shop.scene.rail.sent) == 1


async def test_there_is_no_way_around_us(shop: Before):
    shop.provider.has("p1")
    assert (await shop("POST", "/payments/p1/cancel", json={})).json()["toy"] == "forbidden"
    assert not shop.provider.relayed


@pytest.mark.parametrize(
    "path",
    [
        "/v2/payments/p1/refund",
        "/PAYMENTS/p1/Refund",
        "/x/../payments/p1/refund",
        "/payments/p1/%72efund",
        "/payments/p1/%2572efund",
        "/other/%2e%2e/payments/p1/refund;a=1",
        "/other%2Fpayments/p1/refund",
        "/payments/p1/./refund/.",
    ],
)
async def test_no_other_spelling_is_a_way_around_us(shop: Before, path: str):
    shop.provider.has("p1")
    said = await shop("POST", path, json={"amount": 100})
    assert said.status_code in (200, 404), said.text
    assert not [each for each in shop.provider.relayed if each.method == "POST"]
    assert (await shop("POST", "/payments/p1/notes", json={})).status_code == 201, "others go on as they came"


async def test_a_guarded_route_says_what_it_guards(shop: Before):
    assert (await shop("POST", "/payouts", json={"to": "bank"})).status_code == 201
    assert (await shop("POST", "/payouts", json={"refund": "p1"})).status_code == 500
    assert [each.body for each in shop.provider.relayed] == [b'{"to":"bank"}']


async def test_a_rail_that_is_not_known_here_yet(shop: Before):
    del shop.scene.world.own_rails[(shop.scene.merchant, "shop")]
    for method, path in (("POST", "/payments/p1/refund"), ("GET", "/payments/p1"), ("POST", "/payments")):
        said = await shop(method, path, json={"amount": 1})
        assert (said.status_code, said.headers["retry-after"]) == (503, "1")


# --- fetched ---------------------------------------------------------------------------------------------------------


async def test_an_unknown_payment_is_met_with_what_was_refunded_of_it(shop: Before):
    earlier = (
        SeenRefund(provider_id="r1", payment="p1", amount=3_000),
        SeenRefund(provider_id="r2", payment="p1", amount=500, status="pending"),
        SeenRefund(provider_id="r3", payment="p1", amount=900, status="failed"),
    )
    shop.provider.has("p1", refunds=earlier, left=6_500, document={"tag": "first"})
    assert (await shop("POST", "/payments/p1/refund", json={"amount": 6_501})).json() == {"toy": "exceeds_refundable"}
    assert (await shop("POST", "/payments/p1/refund", json={"amount": 6_500})).json()["state"] == "succeeded"
    assert (await shop("POST", "/payments/p1/refund", json={"amount": 100})).status_code == 422
    assert set(shop.provider.fetched) == {"p1"}
    payment = await shop.scene.reads.find_payment(shop.scene.merchant, "toy", "p1")
    assert payment is not None
    assert (payment.external, payment.refunded, payment.reference, payment.rail) == (3_500, 6_500, "p1", "shop")
    assert payment.captured_at == datetime(2026, 1, 2, tzinfo=UTC)


async def test_two_first_sights_at_once_meet_one_payment(shop: Before):
    shop.provider.has("p1")
    said = await asyncio.gather(*(shop("POST", "/payments/p1/refund", json={"amount": 3_000}) for _ in range(6)))
    assert sorted(each.status_code for each in said) == [200, 200, 200, 422, 422, 422]
    assert len(shop.scene.rail.sent) == 3


async def test_where_the_figures_differ_nothing_is_sent(shop: Before, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(front, "NAME_WITHIN_S", 0.0)
    shop.provider.has("p1", left=9_000)
    said = await shop("POST", "/payments/p1/refund", json={"amount": 100})
    assert not shop.scene.rail.sent, said.text
    payment = await shop.scene.reads.find_payment(shop.scene.merchant, "toy", "p1")
    assert payment is not None and payment.rail_gap == -1_000


async def test_what_nobody_knows(shop: Before):
    assert (await shop("POST", "/payments/none/refund", json={"amount": 1})).status_code == 404
    shop.provider.away = AnswerLost
    assert (await shop("POST", "/payments/other/refund", json={"amount": 1})).status_code == 503


async def test_reading_shows_what_the_provider_has_now(shop: Before):
    shop.provider.has("p1", 4_000, status="authorized", document={"state": "held"})
    assert (await shop("GET", "/payments/p1")).json() == {"captured": 0, "left": 0, "state": "held"}
    shop.provider.has("p1", 4_000, document={"state": "paid"})
    assert (await shop("GET", "/payments/p1")).json() == {"captured": 4_000, "left": 4_000, "state": "paid"}
    shop.provider.away = NotConnected
    assert (await shop("GET", "/payments/p1")).json()["state"] == "paid"


async def test_a_capture_we_have_not_heard_of_can_be_refunded(shop: Before):
    shop.provider.has("p1", 4_000, status="authorized")
    assert (await shop("POST", "/payments/p1/refund", json={"amount": 100})).status_code == 422
    shop.provider.has("p1", 4_000)
    assert (await shop("POST", "/payments/p1/refund", json={"amount": 100})).status_code == 200


async def test_what_we_cannot_say_the_provider_says(shop: Before):
    said = await shop("GET", "/refunds/theirs?full=1")
    assert (said.status_code, said.json()) == (201, {"made": 1})
    assert [(each.method, each.path) for each in shop.provider.relayed] == [("GET", "/refunds/theirs?full=1")]


# --- in the shadow ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def watched(module_database: str) -> AsyncIterator[Before]:
    async with scene_on(module_database) as scene:
        shop = Before(scene, joins=True)
        profile = {"rail": "shop", "front": "shop", "shadow": True}
        await scene.access.add_credential(scene.merchant, uuid4(), "toy", secret=shop.secret, profile=profile)
        yield shop
        await shop.http.aclose()


async def notes(shop: Before) -> list[tuple[str, str, str]]:
    found = await shop.scene.reads.news.findings(shop.scene.merchant)
    return [(each.kind, each.payment, each.note) for each in reversed(found)]


async def test_in_the_shadow_everything_goes_on(watched: Before):
    watched.provider.has("p1")
    said = await watched("POST", "/payments/p1/refund", json={"amount": 4_000})
    assert (said.status_code, said.json()) == (201, {"made": 1})
    assert [(each.method, each.path, each.body) for each in watched.provider.relayed] == [
        ("POST", "/payments/p1/refund", b'{"amount":4000}')
    ]
    payment = await watched.scene.reads.find_payment(watched.scene.merchant, "toy", "p1")
    assert payment is not None and payment.untouched and not watched.scene.rail.sent
    assert await notes(watched) == []


async def test_in_the_shadow_what_we_would_have_said_is_kept(watched: Before):
    watched.provider.has("p1")
    for amount in (20_000, 4_000, 4_000):
        assert (await watched("POST", "/payments/p1/refund", json={"amount": amount})).status_code == 201
    kinds = [(kind, payment) for kind, payment, _ in await notes(watched)]
    assert kinds == [("would_refuse", "p1"), ("would_join", "p1")]
    assert (await notes(watched))[0][2] == "exceeds_refundable"


async def test_in_the_shadow_what_was_paid_back_before_counts(watched: Before):
    watched.provider.has("p1")
    await watched("POST", "/payments/p1/refund", json={"amount": 8_000})
    watched.provider.has("p1", refunds=(SeenRefund(provider_id="r1", payment="p1", amount=8_000),))
    await watched("POST", "/payments/p1/refund", json={"amount": 3_000})
    assert [note for kind, _, note in await notes(watched) if kind == "would_refuse"] == ["exceeds_refundable"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"amount": "many"}'])
async def test_a_client_never_feels_that_it_is_watched(watched: Before, body: bytes):
    watched.provider.has("p1")
    said = await watched("POST", "/payments/p1/refund", content=body)
    assert said.status_code == 201
    assert [each.body for each in watched.provider.relayed] == [body]


# --- ids -------------------------------------------------------------------------------------------------------------


async def test_the_providers_own_id_is_told(shop: Before):
    shop.provider.has("p1")
    said = (await shop("POST", "/payments/p1/refund", json={"amount": 100})).json()
    assert said["id"] == "p1"  # the toy rail numbers its refunds so
    assert (await shop("GET", "/refunds/p1")).json() == {"id": "p1", "of": "p1"}


async def test_an_id_that_was_told_stays(shop: Before, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(front, "NAME_WITHIN_S", 0.0)
    shop.provider.has("p1")
    shop.scene.rail.open.clear()
    said = (await shop("POST", "/payments/p1/refund", json={"amount": 100})).json()
    shop.scene.rail.open.set()
    await shop.scene.landed()
    own = UUID(said["id"])
    by_own, by_theirs = await shop("GET", f"/refunds/{own}"), await shop("GET", "/refunds/p1")
    assert by_own.json() == by_theirs.json() == {"id": str(own), "of": "p1"}


async def test_a_database_that_goes_away_before_the_id_is_told_is_no_error(
    shop: Before, monkeypatch: pytest.MonkeyPatch
):
    shop.provider.has("p1")
    submit = type(shop.scene.store).submit

    async def no_names(store: Any, command: Any) -> Any:
        if isinstance(command, NameRefund):
            raise StoreUnavailable("away")
        return await submit(store, command)

    monkeypatch.setattr(type(shop.scene.store), "submit", no_names)
    said = await shop("POST", "/payments/p1/refund", json={"amount": 100})
    assert (said.status_code, said.json()["state"]) == (200, "succeeded")
    assert len(shop.scene.rail.sent) == 1


async def test_only_the_first_telling_counts(shop: Before):
    scene = shop.scene
    refund = await scene.admit(await scene.pay(), 100)
    name = NameRefund(merchant=scene.merchant, refund=refund.id, payment=refund.payment)
    await scene.store.submit(name)
    seen = Observation(event=Event.EXECUTED, id=uuid4(), digest="1", provider_id="theirs")
    place: dict[str, Any] = {"merchant": scene.merchant, "refund": refund.id, "payment": refund.payment}
    await scene.store.submit(Observe(**place, terms=scene.world.terms, observations=(seen,)))
    await scene.store.submit(name)
    found, _ = await await_refund(scene.world, refund, 0)
    assert (found.named, found.shown_id) == ("own", refund.dialect_id)
