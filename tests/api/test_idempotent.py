"""Idempotency keys of the native API: asked as often as wished, it happens once, and everybody is told the same."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from moneyback.api.native import KEY_BYTES_MAX
from tests.api.world import Native, World, refused

KEY = "3f0b7c1e-key"


@pytest.fixture
async def shop(here: World) -> Native:
    """A merchant of the test's own."""
    return await here.merchant()


def path_of(payment: Any) -> str:
    return f"/v1/payments/{payment['id']}/refunds"


def same(one: httpx2.Response, other: httpx2.Response) -> bool:
    """The same answer, byte for byte; only that it is a repetition may be said beside it."""
    return (one.status_code, one.content, one.headers["content-type"]) == (
        other.status_code,
        other.content,
        other.headers["content-type"],
    )


def is_replay(answer: httpx2.Response) -> bool:
    return answer.headers.get("idempotency-replayed") == "true"


async def row_of(here: World, shop: Native, key: str = KEY) -> Any:
    found = await here.sql("select * from idempotency where merchant_id = $1 and key = $2", shop.merchant, key)
    return found[0] if found else None


async def unanswered(here: World, shop: Native, *, due_in: timedelta, key: str = KEY) -> None:
    """As if the process that owns the key's request had not answered it yet, and had until then to do so."""
    await here.sql(
        "update idempotency set status = null, answer = null, answer_due = clock_timestamp() + $3::interval "
        "where merchant_id = $1 and key = $2",
        shop.merchant,
        key,
        due_in,
    )


# --- the same request again ------------------------------------------------------------------------------------------


async def test_the_same_request_is_the_same_refund(here: World, shop: Native):
    payment = await shop.pays()
    asked = {"amount": 1_000, "metadata": {"b": 1, "a": [1.5, None]}}
    first = await shop.post(path_of(payment), asked, idempotency_key=KEY)
    assert first.status_code == 201
    assert not is_replay(first)
    written_otherwise = b' {"metadata": {"a": [1.5, null], "b": 1},\n "amount": 1000} '
    for content in (None, written_otherwise):
        again = await shop("POST", path_of(payment), None if content else asked, content=content, idempotency_key=KEY)
        assert same(again, first)
        assert is_replay(again)
    assert len(await shop.executions(payment)) == 1
    assert len(await shop.all("/v1/refunds")) == 1


async def test_the_answer_stays_what_it_was(here: World, shop: Native):
    payment = await shop.pays()
    asked = {"amount": 1_000, "scenario": "late_failure:30"}
    first = await shop.post(path_of(payment), asked, idempotency_key=KEY)
    await here.advance(30)
    assert (await shop.again(first.json()))["state"] == "returned"
    assert same(await shop.post(path_of(payment), asked, idempotency_key=KEY), first)


async def test_an_answer_given_before_the_end_stays(here: World, shop: Native):
    payment = await shop.pays()
    asked = {"amount": 1_000, "scenario": "slow:600"}
    first = await shop.post(path_of(payment), asked, idempotency_key=KEY, prefer="wait=0")
    assert (first.status_code, first.json()["state"]) == (202, "sending")
    while not await shop.executions(payment):
        continue
    await here.advance(600)
    assert (await shop.again(first.json()))["state"] == "succeeded"
    for prefer in ("respond-async", "wait=1", "wait=0", ""):
        again = await shop.post(path_of(payment), asked, idempotency_key=KEY, prefer=prefer)
        assert same(again, first)


async def test_a_refusal_is_an_answer_too(here: World, shop: Native):
    payment = await shop.pays()
    blocking = await shop.refunds(payment, 9_500, scenario="pending:60:decline")
    first = await shop.post(path_of(payment), {"amount": 1_000}, idempotency_key=KEY)
    assert refused(first) == (422, "exceeds_refundable")
    await here.advance(60)
    assert (await shop.again(blocking))["state"] == "failed"
    again = await shop.post(path_of(payment), {"amount": 1_000}, idempotency_key=KEY)
    assert same(again, first)
    assert is_replay(again)
    assert (await shop.post(path_of(payment), {"amount": 1_000}, idempotency_key="another")).status_code == 201


async def test_fifty_at_once(here: World, shop: Native):
    payment = await shop.pays()
    asking = [shop.post(path_of(payment), {"amount": 1_000}, idempotency_key=KEY) for _ in range(50)]
    answers = await asyncio.gather(*asking)
    assert all(same(each, answers[0]) for each in answers)
    assert answers[0].status_code == 201
    assert [is_replay(each) for each in answers].count(False) == 1
    assert len(await shop.all("/v1/refunds")) == len(await shop.executions(payment)) == 1
    assert (await shop.again(payment))["refunded"] == 1_000


async def test_who_comes_while_it_is_sent_waits_for_its_end(here: World, shop: Native, monkeypatch: pytest.MonkeyPatch):
    payment = await shop.pays()
    asked = {"amount": 1_000, "scenario": "slow:600"}
    first = asyncio.create_task(shop.post(path_of(payment), asked, idempotency_key=KEY))
    while not await shop.executions(payment):
        continue
    looked, read = asyncio.Event(), here.parts.store.key

    async def key(*place: Any) -> Any:
        looked.set()
        return await read(*place)

    monkeypatch.setattr(here.parts.store, "key", key)
    second = asyncio.create_task(shop.post(path_of(payment), asked, idempotency_key=KEY))
    await looked.wait()
    assert not first.done()
    assert not second.done()
    await here.advance(600)
    answers = await asyncio.gather(first, second)
    assert same(*answers)
    assert answers[0].json()["state"] == "succeeded"


async def test_keyless_requests_are_as_many_refunds_as_requests(shop: Native):
    payment = await shop.pays()
    for _ in range(3):
        await shop.refunds(payment, 1_000)
    assert (await shop.again(payment))["refunded"] == 3_000


# --- another request -------------------------------------------------------------------------------------------------


async def test_another_request_under_the_key_is_refused(here: World, shop: Native):
    payment, other = await shop.pays(order="o-1"), await shop.pays()
    asked = {"amount": 1_000, "metadata": {"n": 1}}
    first = await shop.post(path_of(payment), asked, idempotency_key=KEY)
    before = await here.books()
    others: list[tuple[str, Any]] = [
        (path_of(payment), {**asked, "amount": 1_001}),
        (path_of(payment), {**asked, "metadata": {"n": "1"}}),
        (path_of(payment), {**asked, "metadata": {"n": 1.5}}),
        (path_of(payment), {**asked, "reason": None}),
        (path_of(payment), {}),
        (path_of(other), asked),
        ("/v1/orders/o-1/refunds", {}),
        (f"/v1/refunds/{first.json()['id']}/cancel", {}),
        ("/v1/payments", {"amount": 1_000, "currency": "EUR"}),
    ]
    for path, body in others:
        said = await shop.post(path, body, idempotency_key=KEY)
        assert refused(said) == (422, "idempotency_key_reused"), path
    assert await here.books() == before


async def test_a_number_and_its_text_are_two_requests(shop: Native):
    payment = await shop.pays()
    for number, key in ((1.5, "a"), ("1.5", "b")):
        first = await shop.post(path_of(payment), {"amount": 1, "metadata": {"n": number}}, idempotency_key=key)
        assert first.status_code == 201
    crossed = await shop.post(path_of(payment), {"amount": 1, "metadata": {"n": "1.5"}}, idempotency_key="a")
    assert refused(crossed) == (422, "idempotency_key_reused")


async def test_two_of_a_key_at_once_with_different_bodies(here: World, shop: Native):
    payment = await shop.pays()
    asking = [shop.post(path_of(payment), {"amount": 1_000 + n}, idempotency_key=KEY) for n in range(8)]
    answers = await asyncio.gather(*asking)
    assert sorted(each.status_code for each in answers) == [201, *[422] * 7]
    assert {refused(each)[1] for each in answers if each.status_code == 422} == {"idempotency_key_reused"}
    assert len(await shop.executions(payment)) == 1


async def test_what_cannot_be_read_uses_no_key_up(here: World, shop: Native):
    payment = await shop.pays()
    before = await here.books()
    for content in (b"{", b'{"amount": "x"}', b'{"amount": 1e400}', b"[]", b""):
        said = await shop("POST", path_of(payment), content=content, idempotency_key=KEY)
        assert said.status_code == 400
    assert (
        await Native(here, shop.merchant, "wrong").post(path_of(payment), {}, idempotency_key=KEY)
    ).status_code == 401
    assert await here.books() == before
    assert (await shop.post(path_of(payment), {"amount": 1}, idempotency_key=KEY)).status_code == 201


@pytest.mark.parametrize(
    "key", [b"", b"k" * (KEY_BYTES_MAX + 1), "é".encode() * 128, b"a\0b"], ids=lambda key: repr(key)[:20]
)
async def test_keys_that_are_none(here: World, shop: Native, key: bytes):
    payment = await shop.pays()
    before = await here.books()
    headers = [(b"authorization", f"Bearer {shop.key}".encode()), (b"idempotency-key", key)]
    said = await here.http.post(path_of(payment), content=b'{"amount": 1}', headers=headers)
    assert refused(said)[0] == 400
    assert await here.books() == before


@pytest.mark.parametrize(
    "key", [b"k" * KEY_BYTES_MAX, "é".encode() * 127, b"a b", b'"quoted"', b"\xff", b"'"], ids=repr
)
async def test_keys_of_every_kind(here: World, shop: Native, key: bytes):
    payment = await shop.pays()
    headers = [(b"authorization", f"Bearer {shop.key}".encode()), (b"idempotency-key", key)]
    answers = [await here.http.post(path_of(payment), content=b'{"amount": 1}', headers=headers) for _ in range(2)]
    assert answers[0].status_code == 201
    assert same(*answers)


# --- when its owner is slow, or gone ---------------------------------------------------------------------------------


async def test_who_cannot_wait_any_longer_comes_again(here: World, shop: Native):
    payment = await shop.pays()
    await shop.post(path_of(payment), {"amount": 1_000}, idempotency_key=KEY)
    await unanswered(here, shop, due_in=timedelta(hours=1))
    before = await here.books()
    said = await shop.post(path_of(payment), {"amount": 1_000}, idempotency_key=KEY, prefer="wait=0")
    assert refused(said) == (409, "request_in_progress")
    assert said.headers["retry-after"] == "1"
    assert await here.books() == before


async def test_the_refund_answers_for_an_owner_who_is_gone(here: World, shop: Native):
    payment = await shop.pays()
    first = await shop.post(path_of(payment), {"amount": 1_000}, idempotency_key=KEY)
    await unanswered(here, shop, due_in=timedelta(hours=-1))
    answers = await asyncio.gather(
        *(shop.post(path_of(payment), {"amount": 1_000}, idempotency_key=KEY) for _ in range(5))
    )
    assert all(same(each, answers[0]) for each in answers)
    assert (answers[0].status_code, answers[0].json()["id"]) == (201, first.json()["id"])
    row = await row_of(here, shop)
    assert (row["status"], row["answer"]) == (201, answers[0].content)
    assert len(await shop.executions(payment)) == 1


async def test_an_answer_that_came_meanwhile_is_the_answer(here: World, shop: Native):
    payment = await shop.pays()
    first = await shop.post(path_of(payment), {"amount": 1_000}, idempotency_key=KEY)
    await unanswered(here, shop, due_in=timedelta(hours=1))
    waiting = asyncio.create_task(shop.post(path_of(payment), {"amount": 1_000}, idempotency_key=KEY))
    await here.sql(
        "update idempotency set status = 201, answer = $2 where merchant_id = $1", shop.merchant, first.content
    )
    assert same(await waiting, first)


async def test_a_caller_who_leaves_cancels_nothing(here: World, shop: Native):
    payment = await shop.pays()
    asked = {"amount": 1_000, "scenario": "slow:600"}
    leaving = asyncio.create_task(shop.post(path_of(payment), asked, idempotency_key=KEY))
    while not await shop.executions(payment):
        continue
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await here.advance(600)
    again = await shop.post(path_of(payment), asked, idempotency_key=KEY)
    assert (again.status_code, again.json()["state"]) == (201, "succeeded")
    assert len(await shop.executions(payment)) == 1


# --- all that takes a key --------------------------------------------------------------------------------------------


async def test_a_payment_is_registered_once(here: World, shop: Native):
    for dialect in ("native", *here.parts.world.dialects):
        asked = {"amount": 10_000, "currency": "EUR", "dialect": dialect, "order": "o-1"}
        answers = await asyncio.gather(*(shop.post("/v1/payments", asked, idempotency_key=dialect) for _ in range(5)))
        assert answers[0].status_code == 201
        assert all(same(each, answers[0]) for each in answers)
        assert len(await shop.all("/v1/payments", dialect=dialect)) == 1
        other = await shop.post("/v1/payments", {**asked, "amount": 1}, idempotency_key=dialect)
        assert refused(other) == (422, "idempotency_key_reused")


async def test_an_order_is_refunded_once(here: World, shop: Native):
    payments = [await shop.pays(order="o-1") for _ in range(2)]
    answers = await asyncio.gather(
        *(shop.post("/v1/orders/o-1/refunds", {"amount": 1_000}, idempotency_key=KEY) for _ in range(5))
    )
    assert answers[0].status_code == 202
    assert all(same(each, answers[0]) for each in answers)
    await here.settle()
    await shop.refunds(payments[0])  # so that there is nothing left of it to share in
    assert same(await shop.post("/v1/orders/o-1/refunds", {"amount": 1_000}, idempotency_key=KEY), answers[0])
    assert [(await shop.again(each))["refunded"] for each in payments] == [10_000, 500]
    fresh = await shop.post("/v1/orders/o-1/refunds", {"amount": 1_000}, idempotency_key="fresh")
    assert refused(fresh) == (422, "nothing_left")


async def test_what_a_person_says_is_said_once(here: World, shop: Native):
    payment = await shop.pays(rail="sandbox-0")
    refund = await shop.refunds(payment, 4_000, scenario="lost_answer:executed")
    path = f"/v1/refunds/{refund['id']}/resolve"
    answer = {"outcome": "executed", "evidence_version": refund["evidence_version"], "note": "seen"}
    first = await shop.post(path, answer, idempotency_key=KEY)
    assert (first.status_code, first.json()["state"]) == (200, "succeeded")
    again = await shop.post(path, answer, idempotency_key=KEY)
    assert same(again, first)
    assert refused(await shop.post(path, answer)) == (412, "evidence_moved_on")


async def test_a_withdrawal_is_made_once(here: World, shop: Native):
    payment = await shop.pays()
    refund = await shop.refunds(payment, 1_000, scheduled_for="2999-01-01T00:00:00Z")
    path = f"/v1/refunds/{refund['id']}/cancel"
    first = await shop.post(path, {"note": "no"}, idempotency_key=KEY)
    assert (first.status_code, first.json()["state"]) == (200, "canceled")
    assert same(await shop.post(path, {"note": "no"}, idempotency_key=KEY), first)
    assert refused(await shop.post(path, {"note": "no"})) == (422, "state_forbids")


async def test_a_case_is_closed_once(here: World, shop: Native):
    payment = await shop.pays()
    await shop.refunds(payment, 4_000, scenario="return:0")
    await here.settle()
    path = f"/v1/payments/{payment['id']}/cases/1/close"
    first = await shop.post(path, {"note": "seen"}, idempotency_key=KEY)
    assert (first.status_code, first.json()["blocked"]) == (200, False)
    assert same(await shop.post(path, {"note": "seen"}, idempotency_key=KEY), first)
    assert refused(await shop.post(path, {"note": "seen"})) == (404, "case_not_found")


async def test_a_key_belongs_to_one_merchant(here: World, shop: Native):
    other = await here.merchant("other")
    for each in (shop, other):
        payment = await each.pays()
        said = await each.post(path_of(payment), {"amount": 1_000}, idempotency_key=KEY)
        assert (said.status_code, said.json()["payment"]) == (201, payment["id"])
        assert not is_replay(said)


async def test_no_key_is_without_its_refund_or_its_answer(here: World):
    await here.settle()
    await here.assert_clean()
    lost = await here.sql("select key from idempotency where answer is null and refund_id is null")
    assert lost == []


async def test_a_key_names_its_refund(here: World, shop: Native):
    payment = await shop.pays()
    refund = (await shop.post(path_of(payment), {"amount": 1}, idempotency_key=KEY)).json()
    assert (await row_of(here, shop))["refund_id"] == UUID(refund["id"][3:])
