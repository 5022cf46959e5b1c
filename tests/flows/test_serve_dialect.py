"""A handler's asks on the real store: each is answered, and nothing is ever said to have failed that was admitted."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from moneyback.core.commands import Admitted, Grouped, Joined, Keyed, Replayed, SaveAnswer
from moneyback.core.payment import Asked, Capabilities, Condition, Payment
from moneyback.core.refund import Event, Refund, State
from moneyback.core.refusals import Failing, Reason, Refusal
from moneyback.dialect import (
    AddPayment,
    AskOrderRefund,
    AskRefund,
    Await,
    Conversation,
    FindPayment,
    FindRefund,
    Incoming,
    Instant,
    IssueToken,
    KeepAnswer,
    KeyedAnswer,
    ListDocuments,
    ListPayments,
    ListRefunds,
    LoadDocument,
    NewId,
    NextNumber,
    Outgoing,
    PaymentOf,
    RefundsOf,
    ReleasePayment,
    Route,
    SaveDocument,
    SeePayment,
    TakeKey,
    release_of,
)
from moneyback.flows.serve_dialect import serve
from moneyback.store.port import StoreUnavailable
from moneyback.store.reads import Reads
from tests.flows.toy import TOY, Scene, captured, scene_on

Handler = Callable[[Incoming, Any], Conversation]


@pytest.fixture
async def scene(module_database: str) -> AsyncIterator[Scene]:
    async with scene_on(module_database) as scene:
        yield scene


def route_to(handle: Handler) -> Route:
    return Route(method="POST", path="/payments/{id}/refund", handle=handle)


async def call(scene: Scene, handle: Handler, *, reads: Reads | None = None, dialect: Any = TOY, **headers: Any) -> Any:
    """Serve one request with a handler of the test's own."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    incoming = Incoming(method="POST", path="/payments/1/refund", headers=names)
    return await serve(scene.world, reads or scene.reads, dialect, route_to(handle), incoming, scene.caller)


async def asked(scene: Scene, *asks: Any, dialect: Any = TOY, **headers: Any) -> Any:
    """The answer to the last of these asks."""
    found: list[Any] = []

    def handle(_incoming: Incoming, _caller: Any) -> Conversation:
        for ask in asks:
            answer = yield ask
            found.append(answer)
        return Outgoing()

    assert (await call(scene, handle, dialect=dialect, **headers)).status == 200
    return found[-1]


def refund(ask: AskRefund, seconds: float = 5) -> Handler:
    """What most handlers do: ask, wait, say how it stands."""

    def handle(_incoming: Incoming, _caller: Any) -> Conversation:
        result = yield ask
        if isinstance(result, Refusal):
            return Outgoing(status=422, body=[each.reason.value for each in result.failing])
        found, payment = yield Await(result.refund, seconds)
        return Outgoing(body={"id": found.dialect_id, "state": found.state.value, "left": payment.refundable})

    return handle


# --- the story of a refund -------------------------------------------------------------------------------------------


async def test_a_refund_is_admitted_sent_and_shown(scene: Scene):
    payment = await scene.pay(10_000)
    said = await call(scene, refund(AskRefund(payment=payment, asked=Asked(payer=2_500), request={"tag": "t"})))
    assert said.status == 200
    assert said.body["state"] == "succeeded"
    assert said.body["left"] == 7_500
    kept = await scene.reads.find_refund(scene.merchant, "toy", said.body["id"])
    assert kept is not None
    assert (kept.requested_by, kept.request, kept.provider_id) == ("toy key", {"tag": "t"}, "p1")
    assert len(kept.dialect_id) == 10


async def test_a_refund_whose_rail_is_slow_is_shown_as_it_stands(scene: Scene):
    payment = await scene.pay()
    scene.rail.open.clear()
    said = await call(scene, refund(AskRefund(payment=payment), seconds=0))
    assert said.body["state"] == "sending"
    scene.rail.open.set()
    await scene.landed()
    kept = await scene.reads.find_refund(scene.merchant, "toy", said.body["id"])
    assert kept is not None
    assert kept.state is State.SUCCEEDED


async def test_a_refusal_says_every_reason(scene: Scene):
    payment = await scene.pay(10_000)
    said = await call(scene, refund(AskRefund(payment=payment, asked=Asked(payer=20_000), currency="USD")))
    assert (said.status, said.body) == (422, ["currency_mismatch", "exceeds_refundable"])
    assert await scene.reads.refunds_of(scene.merchant, payment.id) == ()


async def test_a_kept_refusal_is_a_refund_born_failed(scene: Scene):
    payment = await scene.pay(10_000)
    said = await call(scene, refund(AskRefund(payment=payment, asked=Asked(payer=99))))
    assert (said.status, said.body["state"], said.body["left"]) == (200, "failed", 10_000)


async def test_capabilities_of_one_request_stand_in_for_the_dialects(scene: Scene):
    payment = await scene.pay(10_000)
    ask = AskRefund(payment=payment, asked=Asked(payer=5_000), capabilities=lambda _: Capabilities(partial=False))
    assert (await call(scene, refund(ask))).body == ["partial_unsupported"]
    ask = AskRefund(payment=payment, asked=Asked(payer=50), capabilities=lambda _: Capabilities())
    assert (await call(scene, refund(ask))).body["state"] == "succeeded"


@pytest.mark.parametrize("numbered", [True, False])
async def test_ids_are_numbers_or_uuids_or_the_dialects_own(scene: Scene, numbered: bool):
    payment = await scene.pay()
    dialect = replace(TOY, numbered=numbered)
    ask = AskRefund(payment=payment, asked=Asked(payer=100))
    first, second = [(await call(scene, refund(ask), dialect=dialect)).body["id"] for _ in range(2)]
    if numbered:
        assert int(first) < int(second)
    else:
        assert UUID(first) != UUID(second)
    own = uuid4().hex
    assert (await call(scene, refund(replace(ask, dialect_id=own)))).body["id"] == own


# --- equal requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rail", "more", "headers", "joined"),
    [
        ("sandbox", {}, {}, False),
        ("joining", {}, {}, True),
        ("joining", {"asked": Asked(payer=101)}, {}, False),
        ("joining", {"request": {"tag": "2"}}, {}, False),
        ("joining", {"distinct": "2"}, {}, False),
        ("joining", {"metadata": {"a": 1}}, {}, False),
        ("joining", {}, {"moneyback_distinct": "2"}, False),
    ],
)
async def test_an_equal_request_joins_where_its_rail_joins(
    scene: Scene, rail: str, more: dict[str, Any], headers: dict[str, str], joined: bool
):
    ask = AskRefund(payment=await scene.pay(rail=rail), asked=Asked(payer=100), request={"tag": "1"})
    first = await asked(scene, ask)
    second = await asked(scene, replace(ask, **more), **headers)
    assert isinstance(first, Admitted)
    assert isinstance(second, Joined if joined else Admitted)
    assert (first.refund.id == second.refund.id) is joined


async def test_the_same_distinct_value_is_the_same_request(scene: Scene):
    ask = AskRefund(payment=await scene.pay(rail="joining"), asked=Asked(payer=100))
    await asked(scene, ask)
    second = await asked(scene, ask, moneyback_distinct="2")
    third = await asked(scene, ask, moneyback_distinct="2")
    assert isinstance(third, Joined)
    assert third.refund.id == second.refund.id


# --- keys ------------------------------------------------------------------------------------------------------------


def keyed(key: str, *, wait: timedelta = timedelta(seconds=15), answer: Any = None) -> Keyed:
    return Keyed(dialect="toy", key=key, fingerprint=b"", wait=wait, render=lambda _result: answer)


def rendered(refund: Refund, payment: Payment) -> tuple[int, bytes]:
    return 200, f"{refund.state.value} {payment.refundable}".encode()


async def test_a_key_is_used_once_and_lifts_joining(scene: Scene):
    payment = await scene.pay(rail="joining")
    ask = AskRefund(payment=payment, asked=Asked(payer=100), key=keyed("k1"))
    first = await asked(scene, ask)
    assert isinstance(await asked(scene, ask), Replayed)
    other = await asked(scene, replace(ask, key=keyed("k2")))
    assert isinstance(other, Admitted)
    assert other.refund.id != first.refund.id


async def test_what_was_answered_under_a_key_is_found_again(scene: Scene):
    assert await asked(scene, KeyedAnswer("k")) is None
    payment = await scene.pay()
    await asked(scene, AskRefund(payment=payment, asked=Asked(payer=100), key=keyed("k")))
    assert await asked(scene, KeepAnswer("k", 201, b"kept"), KeyedAnswer("k")) == (201, b"kept")
    assert await asked(scene, KeepAnswer("k", 500, b"late"), KeyedAnswer("k")) == (201, b"kept")


async def test_a_key_whose_refund_has_not_ended_is_answered_as_it_stands(scene: Scene):
    scene.rail.open.clear()
    payment = await scene.pay(10_000)
    await asked(scene, AskRefund(payment=payment, asked=Asked(payer=100), key=keyed("k")))
    assert await asked(scene, KeyedAnswer("k", 0, rendered)) == (200, b"sending 9900")
    row = await scene.store.key(scene.merchant, "toy", "k")
    assert row is not None
    assert row.answer is None, "its owner is alive and will say more"


async def test_the_answer_of_a_dead_owner_is_stored_before_it_is_given(scene: Scene):
    scene.rail.answer = Event.ACCEPTED
    payment = await scene.pay(10_000)
    key = keyed("k", wait=timedelta(seconds=-1))
    await asked(scene, AskRefund(payment=payment, asked=Asked(payer=100), key=key))
    await scene.landed()
    assert await asked(scene, KeyedAnswer("k", 5, rendered)) == (200, b"pending 9900")
    assert await asked(scene, KeyedAnswer("k", 5, lambda _r, _p: (500, b"another"))) == (200, b"pending 9900")


async def test_a_waiter_sees_the_answer_when_it_comes(scene: Scene):
    payment = await scene.pay()
    await asked(scene, AskRefund(payment=payment, asked=Asked(payer=100), key=keyed("k")))

    async def sleep(_seconds: float) -> None:
        await scene.store.submit(
            SaveAnswer(merchant=scene.merchant, dialect="toy", idempotency_key="k", status=200, answer=b"done")
        )

    scene.world = replace(scene.world, sleep=sleep)
    assert await asked(scene, KeyedAnswer("k", 60, rendered)) == (200, b"done")


async def test_a_key_used_up_by_an_error_admits_nothing(scene: Scene):
    assert await asked(scene, TakeKey("k", 400, b"no")) is None
    assert (await asked(scene, TakeKey("k", 400, b"again"))).answer == b"no"
    result = await asked(scene, AskRefund(payment=await scene.pay(), key=keyed("k")))
    assert isinstance(result, Replayed)
    assert await asked(scene, KeyedAnswer("k")) == (400, b"no")


# --- the other asks --------------------------------------------------------------------------------------------------


async def test_what_is_the_callers_is_found(scene: Scene):
    payment = await scene.pay(10_000, order="o")
    first = (await asked(scene, AskRefund(payment=payment, asked=Asked(payer=100)), dialect=TOY)).refund
    second = (await asked(scene, AskRefund(payment=payment, asked=Asked(payer=200)))).refund
    await scene.landed()
    assert (await asked(scene, FindPayment(payment.dialect_id))).id == payment.id
    assert (await asked(scene, FindRefund(first.dialect_id))).id == first.id
    assert (await asked(scene, FindRefund("p2"))).id == second.id
    assert (await asked(scene, PaymentOf(payment.id))).refunded == 300
    assert [each.id for each in await asked(scene, RefundsOf(payment.id))] == [first.id, second.id]
    assert [each.id for each in await asked(scene, ListPayments(order="o"))] == [payment.id]
    assert [each.id for each in await asked(scene, ListRefunds(payment=payment.id, limit=1))] == [second.id]
    assert [each.id for each in await asked(scene, ListRefunds(ascending=True, order="o", offset=1))] == [second.id]


async def test_what_is_a_strangers_does_not_exist(scene: Scene):
    payment = await scene.pay(order="o")
    admitted = await asked(scene, AskRefund(payment=payment, asked=Asked(payer=100)))
    scene.caller = replace(scene.caller, merchant=uuid4())
    for ask in (
        FindPayment(payment.dialect_id),
        FindRefund(admitted.refund.dialect_id),
        PaymentOf(payment.id),
        RefundsOf(payment.id),
        ListPayments(),
        ListRefunds(),
    ):
        assert not await asked(scene, ask), ask
    result = await asked(scene, AskRefund(payment=payment, asked=Asked(payer=100)))
    assert isinstance(result, Refusal)
    assert result.first.reason is Reason.PAYMENT_NOT_FOUND


async def test_a_check_of_one_request_stands_in_for_the_dialects(scene: Scene):
    payment = await scene.pay(10_000)
    ask = AskRefund(payment=payment, check=lambda _payment, _amounts, _command: [Failing(Reason.EXCEEDS_PARTS)])
    assert (await call(scene, refund(ask))).body == ["exceeds_parts"]


async def test_an_authorisation_is_let_go_once_and_only_while_nothing_was_captured(scene: Scene):
    payment = await scene.pay(10_000, status="authorized")
    released = await asked(scene, ReleasePayment(payment=payment, dialect_id="1"))
    release = release_of(released)
    assert release is not None and (release.dialect_id, release.state) == ("1", State.SUCCEEDED)
    assert released.condition is Condition.FAILED and released.captured == 0
    assert isinstance(await asked(scene, ReleasePayment(payment=payment, dialect_id="2")), Refusal)
    assert await asked(scene, PaymentOf(payment.id)) == released
    captured = await scene.pay(10_000)
    assert isinstance(await asked(scene, ReleasePayment(payment=captured, dialect_id="3")), Refusal)
    assert await asked(scene, PaymentOf(captured.id)) == captured


async def test_an_amount_shared_over_an_order_is_refused_where_equal_requests_are_one(scene: Scene):
    """Sent again it would be shared otherwise, and so be no equal of the first."""
    payments = [await scene.pay(1_000, order="j", rail="joining") for _ in range(2)]
    shared = tuple(AskRefund(payment=each, asked=Asked(payer=500)) for each in payments)
    assert isinstance(await asked(scene, AskOrderRefund(order="j", legs=shared)), Refusal)
    rest = tuple(AskRefund(payment=each) for each in payments)
    assert isinstance(await asked(scene, AskOrderRefund(order="j", legs=rest)), Grouped)


async def test_an_order_is_refunded_as_one_group(scene: Scene):
    payments = [await scene.pay(1_000, order="o"), await scene.pay(2_000, order="o")]
    legs = tuple(AskRefund(payment=each) for each in payments)
    result = await asked(scene, AskOrderRefund(order="o", legs=legs))
    assert isinstance(result, Grouped)
    assert [leg.refund.payer for leg in result.legs] == [1_000, 2_000]
    assert len({leg.refund.group for leg in result.legs}) == 1
    assert isinstance(await asked(scene, AskOrderRefund(order="o", legs=legs[:1])), Refusal)


async def test_payments_come_in_through_the_dialect(scene: Scene):
    add = AddPayment(amount=5_000, currency="EUR", status="authorized", document={"kind": "card"}, order="o")
    payment = await asked(scene, add)
    assert (payment.condition, payment.captured, payment.document) == (Condition.AUTHORIZED, 0, {"kind": "card"})
    assert len(payment.dialect_id) == 10
    seen = await asked(scene, SeePayment(payment=payment, sighting=captured(5_000)))
    assert (seen.condition, seen.captured) == (Condition.CAPTURED, 5_000)
    scene.caller = replace(scene.caller, profile={"rail": "joining"})
    own = uuid4().hex
    chosen = await asked(scene, replace(add, dialect_id=own, order=None))
    assert (chosen.rail, chosen.dialect_id) == ("joining", own)
    assert (await asked(scene, replace(add, dialect_id=own, order=None))).id == chosen.id


async def test_two_dialects_may_give_out_the_same_number(scene: Scene):
    other = replace(TOY, name="other")
    add = AddPayment(amount=5_000, currency="EUR", dialect_id="1000000001")
    first, second = await asked(scene, add), await asked(scene, add, dialect=other)
    assert first.id != second.id


async def test_documents_numbers_ids_and_time(scene: Scene):
    await asked(scene, SaveDocument("hook", "1", {"url": "u"}))
    assert await asked(scene, LoadDocument("hook", "1")) == {"url": "u"}
    assert await asked(scene, LoadDocument("hook", "2")) is None
    assert await asked(scene, ListDocuments(kind="hook", match={"url": "u"})) == ({"url": "u"},)
    assert await asked(scene, ListDocuments(kind="hook", match={"url": "v"})) == ()
    assert await asked(scene, NextNumber(), NextNumber()) > await asked(scene, NextNumber()) - 2
    assert await asked(scene, NewId()) != await asked(scene, NewId())
    before = (await scene.store.now()).business
    assert before <= await asked(scene, Instant()) <= (await scene.store.now()).business


async def test_a_token_stands_for_the_callers_credential(scene: Scene):
    credential = uuid4()
    await scene.access.add_credential(scene.merchant, credential, "toy", secret=uuid4().hex)
    scene.caller = replace(scene.caller, credential=credential)
    token = await asked(scene, IssueToken(60))
    known = await scene.reads.callers.recognise("toy", token)
    assert known is not None
    assert known.credential == credential
    await scene.access.revoke(scene.merchant, credential)

    def handle(_incoming: Incoming, _caller: Any) -> Conversation:
        return Outgoing(body=(yield IssueToken(60)))

    assert (await call(scene, handle)).status == 401


# --- what goes wrong -------------------------------------------------------------------------------------------------


class Away(Reads):
    """Reads of a database that is away as soon as a test says so; the engine's store goes with it."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.store)
        self.away = False
        self.asked = 0
        for part, names in (
            (self._statements, ("all", "one")),
            (scene.store, ("payment", "refund", "key", "now", "submit")),
        ):
            for name in names:
                setattr(part, name, self._guarded(getattr(part, name)))

    def _guarded(self, method: Any) -> Any:
        async def guarded(*arguments: Any) -> Any:
            if self.away:
                self.asked += 1
                raise StoreUnavailable("away")
            return await method(*arguments)

        return guarded


@pytest.fixture
def away(scene: Scene) -> Away:
    async def sleep(_seconds: float) -> None:
        return None

    scene.world = replace(scene.world, sleep=sleep)
    return Away(scene)


async def test_before_anything_is_admitted_the_client_may_try_again(scene: Scene, away: Away):
    payment = await scene.pay()
    away.away = True
    said = await call(scene, refund(AskRefund(payment=payment)), reads=away)
    assert (said.status, said.headers["Retry-After"]) == (503, "1")
    away.away = False
    assert await scene.reads.refunds_of(scene.merchant, payment.id) == ()


async def test_a_providers_own_retry_after_stays(scene: Scene, away: Away):
    away.away = True
    fault = lambda _fault, _incoming: Outgoing(status=503, headers={"retry-after": "30"})  # noqa: E731
    said = await call(scene, refund(AskRefund(payment=None)), reads=away, dialect=replace(TOY, fault=fault))  # type: ignore[arg-type]
    assert said.headers == {"retry-after": "30"}


async def test_once_admitted_nothing_is_said_to_have_failed(scene: Scene, away: Away):
    """Every ask a handler may still have is answered from what this conversation has seen."""
    payment = await scene.pay(10_000)
    scene.rail.open.clear()
    found: list[Any] = []

    def handle(_incoming: Incoming, _caller: Any) -> Conversation:
        admitted = yield AskRefund(payment=payment, asked=Asked(payer=100), key=keyed("k"))
        away.away = True
        for ask in (
            Await(admitted.refund, 0),
            PaymentOf(payment.id),
            RefundsOf(payment.id),
            FindPayment(payment.dialect_id),
            FindRefund(admitted.refund.dialect_id),
            Instant(),
            LoadDocument("hook", "1"),
            SaveDocument("hook", "1", {}),
            KeepAnswer("k", 200, b"x"),
            ListDocuments(kind="hook"),
            ListRefunds(),
            ListPayments(),
        ):
            answer = yield ask
            found.append(answer)
        return Outgoing(body={"state": found[0][0].state.value, "held": found[0][1].held})

    said = await call(scene, handle, reads=away)
    assert (said.status, said.body) == (200, {"state": "sending", "held": 100})
    assert found[1].held == found[3].held == 100
    assert found[2] == (found[0][0],) == (found[4],)
    assert found[5] == found[0][0].updated_at
    assert found[6:] == [None, None, None, (), (), ()]
    away.away = False


async def test_once_admitted_a_moment_without_a_database_is_waited_out(scene: Scene, away: Away):
    payment = await scene.pay(10_000)

    async def sleep(_seconds: float) -> None:
        away.away = False

    scene.world = replace(scene.world, sleep=sleep)

    def handle(_incoming: Incoming, _caller: Any) -> Conversation:
        yield AskRefund(payment=payment, asked=Asked(payer=100))
        away.away = True
        yield SaveDocument("hook", "1", {"kept": True})
        return Outgoing(body=(yield LoadDocument("hook", "1")))

    assert (await call(scene, handle, reads=away)).body == {"kept": True}


async def test_a_fault_of_our_own_is_said_and_logged_without_what_was_sent(scene: Scene):
    def handle(_incoming: Incoming, _caller: Any) -> Conversation:
        yield NewId()
        raise KeyError("4111111111111111")

    said = await call(scene, handle)
    assert (said.status, said.body["toy"]) == (500, "internal")
    assert [word for word, _ in scene.logged] == ["dialect_broke"]
    assert "KeyError in" in scene.logged[0][1]["error"]
    assert "4111" not in repr(scene.logged)


async def test_a_handler_is_closed_whatever_happens(scene: Scene, away: Away):
    closed: list[bool] = []

    def handle(_incoming: Incoming, _caller: Any) -> Conversation:
        try:
            yield FindPayment("1")
        finally:
            closed.append(True)
        return Outgoing()

    away.away = True
    assert (await call(scene, handle, reads=away)).status == 503
    assert closed == [True]
