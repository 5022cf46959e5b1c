"""Reads beside the engine's port: by a dialect's ids, in pages by age, and never anything of another merchant's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from moneyback.core.commands import Arm, Observation, Observe, ObservePayment, Sighting
from moneyback.core.payment import Condition, PaymentKind
from moneyback.core.refund import Event, Refund, State
from moneyback.store.callers import REMEMBER_S, Callers
from moneyback.store.port import StoreUnavailable
from moneyback.store.reads import PaymentsAsked, Place, RefundsAsked
from moneyback.store.statements import Statements
from tests.flows.toy import Scene, scene_on


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def scene(module_database: str) -> AsyncIterator[Scene]:
    async with scene_on(module_database) as scene:
        yield scene


async def see(scene: Scene, refund: Any, event: Event, **fields: Any) -> None:
    """Something happens to a refund that was sent."""
    if refund.state is State.READY:
        arm = Arm(merchant=scene.merchant, refund=refund.id, payment=refund.payment, version=1, terms=scene.world.terms)
        await scene.store.submit(arm)
    seen = Observation(event=event, id=uuid4(), digest=uuid4().hex, **fields)
    place: dict[str, Any] = {"merchant": scene.merchant, "refund": refund.id, "payment": refund.payment}
    await scene.store.submit(Observe(**place, terms=scene.world.terms, observations=(seen,)))


# --- by identity -----------------------------------------------------------------------------------------------------


async def test_a_payment_is_found_by_its_dialect_and_id(scene: Scene):
    payment = await scene.pay(order="o-1")
    assert await scene.reads.find_payment(scene.merchant, "toy", payment.dialect_id) == payment
    assert await scene.reads.find_payment(scene.merchant, "other", payment.dialect_id) is None
    assert await scene.reads.find_payment(scene.merchant, "toy", "1") is None
    assert await scene.reads.payment_of(scene.merchant, payment.id) == payment


async def test_a_refund_is_found_by_its_own_id_before_a_providers(scene: Scene):
    payment = await scene.pay()
    first, second = await scene.admit(payment, 100), await scene.admit(payment, 200)
    await see(scene, first, Event.EXECUTED, provider_id=second.dialect_id)
    await see(scene, second, Event.EXECUTED, provider_id="re_42")

    async def found(name: str, dialect: str = "toy") -> Any:
        refund = await scene.reads.find_refund(scene.merchant, dialect, name)
        return refund and refund.id

    assert await found(first.dialect_id) == first.id
    assert await found(second.dialect_id) == second.id
    assert await found("re_42") == second.id
    assert await found("re_42", "other") is None
    assert await found("") is None


async def test_an_order_and_its_payments(scene: Scene):
    payments = [await scene.pay(order="o-1"), await scene.pay(order="o-1")]
    await scene.pay(order="o-2")
    order = await scene.reads.order(scene.merchant, "toy", "o-1")
    assert order is not None
    assert order.payments == tuple(each.id for each in payments)
    assert list(await scene.reads.payments_of_order(scene.merchant, "toy", "o-1")) == payments
    assert await scene.reads.order(scene.merchant, "toy", "o-3") is None


async def test_nothing_of_a_merchant_exists_for_another(scene: Scene):
    payment = await scene.pay(order="o-1")
    group = uuid4()
    refund = await scene.admit(payment, 100, group=group)
    await see(scene, refund, Event.EXECUTED, provider_id="re_1")
    for kind in ("external", "dispute_open"):
        sighting = Sighting(kind=kind, amount=10_000, reference="x")
        await scene.store.submit(
            ObservePayment(merchant=scene.merchant, payment=payment.id, evidence=uuid4(), sighting=sighting)
        )
    await scene.reads.documents.save(scene.merchant, "toy", "hook", "1", {"a": 1})
    reads = scene.reads

    async def everything(merchant: Any) -> list[Any]:
        return [
            await reads.find_payment(merchant, "toy", payment.dialect_id),
            await reads.payment_of(merchant, payment.id),
            await reads.find_refund(merchant, "toy", refund.dialect_id),
            await reads.find_refund(merchant, "toy", "re_1"),
            await reads.refund_of(merchant, refund.id),
            await reads.order(merchant, "toy", "o-1"),
            await reads.payments_of_order(merchant, "toy", "o-1"),
            await reads.refunds_of(merchant, payment.id),
            await reads.refunds_of_group(merchant, group),
            (await reads.list_payments(merchant, PaymentsAsked(order="o-1"))).rows,
            (await reads.list_refunds(merchant, RefundsAsked(order="o-1"))).rows,
            (await reads.list_refunds(merchant, RefundsAsked(payment=payment.id))).rows,
            await reads.evidence_of_refund(merchant, refund.id),
            await reads.evidence_of_payment(merchant, payment.id),
            await reads.externals_of(merchant, payment.id),
            await reads.disputes_of(merchant, payment.id),
            await reads.cases_of(merchant, payment.id),
            await reads.open_cases(merchant),
            await reads.list_movements(merchant, payment=payment.id),
            await reads.list_movements(merchant, payment=payment.id, refund=refund.id),
            await reads.documents.load(merchant, "toy", "hook", "1"),
            await reads.documents.list(merchant, "toy", "hook"),
        ]

    assert all(await everything(scene.merchant)), "the merchant itself sees each of them"
    assert not any(await everything(uuid4()))


# --- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 5, 6])
async def test_pages_put_together_are_the_whole_list(scene: Scene, ascending: bool, limit: int):
    payment = await scene.pay()
    for amount in range(101, 106):
        await scene.admit(payment, amount)
    whole = list(await scene.reads.refunds_of(scene.merchant, payment.id))
    whole = whole if ascending else whole[::-1]
    found: list[Refund] = []
    after, pages = None, 0
    while True:
        asked = RefundsAsked(payment=payment.id, ascending=ascending, limit=limit, after=after)
        page = await scene.reads.list_refunds(scene.merchant, asked)
        found += page.rows
        pages += 1
        if page.next is None:
            break
        after = Place.read(str(page.next))
    assert found == whole
    assert pages == -(-5 // limit)
    skipped = await scene.reads.list_refunds(
        scene.merchant, RefundsAsked(payment=payment.id, ascending=ascending, limit=limit, offset=3)
    )
    assert list(skipped.rows) == whole[3 : 3 + limit]


async def test_rows_of_one_moment_are_told_apart_by_their_ids(scene: Scene, module_database: str):
    payments = [await scene.pay() for _ in range(4)]
    at = datetime(2026, 1, 2, tzinfo=UTC)
    async with connected(module_database) as connection:
        await connection.execute("update payments set created_at = $2 where merchant_id = $1", scene.merchant, at)
    first = await scene.reads.list_payments(scene.merchant, PaymentsAsked(limit=2, ascending=True))
    second = await scene.reads.list_payments(scene.merchant, PaymentsAsked(limit=2, ascending=True, after=first.next))
    ids = [each.id for each in (*first.rows, *second.rows)]
    assert ids == sorted(each.id for each in payments)
    assert second.next is None


async def test_payments_by_what_was_asked(scene: Scene):
    plain = await scene.pay()
    ordered = await scene.pay(order="o-1")
    waiting = await scene.pay(status="authorized")
    elsewhere = await scene.pay(rail="joining")

    async def listed(**asked: Any) -> list[Any]:
        page = await scene.reads.list_payments(scene.merchant, PaymentsAsked(ascending=True, **asked))
        return [each.id for each in page.rows]

    assert await listed() == [plain.id, ordered.id, waiting.id, elsewhere.id]
    assert await listed(dialect="toy") == await listed()
    assert await listed(dialect="other") == []
    assert await listed(order="o-1") == [ordered.id]
    assert await listed(order="o-1", dialect="other") == []
    assert await listed(rail="joining") == [elsewhere.id]
    assert await listed(condition=Condition.AUTHORIZED) == [waiting.id]
    assert await listed(reference=plain.reference) == [plain.id]
    assert await listed(created_from=ordered.created_at, created_to=waiting.created_at) == [ordered.id, waiting.id]
    assert await listed(created_from=elsewhere.created_at + timedelta(microseconds=1)) == []
    assert await listed(limit=0) == []


async def test_refunds_by_what_was_asked(scene: Scene):
    ordered, plain = await scene.pay(order="o-1"), await scene.pay()
    group = uuid4()
    first, second = await scene.admit(ordered, 100, group=group), await scene.admit(plain, 100)
    await see(scene, second, Event.EXECUTED, provider_id="re_9")

    async def listed(**asked: Any) -> list[Any]:
        page = await scene.reads.list_refunds(scene.merchant, RefundsAsked(ascending=True, **asked))
        return [each.id for each in page.rows]

    assert await listed() == [first.id, second.id]
    assert await listed(order="o-1") == [first.id]
    assert await listed(group=group) == [first.id]
    assert await listed(payment=plain.id) == [second.id]
    assert await listed(provider_id="re_9") == [second.id]
    assert await listed(states=frozenset({State.READY})) == [first.id]
    assert await listed(states=frozenset({State.PENDING, State.FAILED})) == []
    assert await listed(created_to=first.created_at) == [first.id]
    assert await listed(dialect="other") == []
    assert [each.id for each in await scene.reads.refunds_of_group(scene.merchant, group)] == [first.id]


MANY = """
insert into payments select (jsonb_populate_record(p, jsonb_build_object(
    'id', gen_random_uuid(), 'dialect_id', n::text, 'reference', n::text, 'order_ref', (n / 3)::text,
    'dialect', case when n % 50 = 0 then 'toy' else 'other' end,
    'created_at', p.created_at - n * interval '1 second'))).*
from payments p, generate_series(1, 6000) n where p.merchant_id = $1 and p.id = $2
"""
MANY_REFUNDS = """
insert into refunds select (jsonb_populate_record(r, jsonb_build_object(
    'id', gen_random_uuid(), 'dialect_id', p.dialect_id, 'payment_id', p.id, 'provider_id', p.dialect_id,
    'group_id', gen_random_uuid(), 'created_at', p.created_at))).*
from refunds r, payments p where r.merchant_id = $1 and r.id = $2 and p.merchant_id = $1 and p.id <> r.payment_id
"""


async def test_every_list_begins_where_an_index_says(
    scene: Scene, module_database: str, monkeypatch: pytest.MonkeyPatch
):
    """A page deep in the past, or a few rows of many: found by an index, without reading what is not shown."""
    payment = await scene.pay()
    refund = await scene.admit(payment, 100)
    async with connected(module_database) as connection:
        await connection.execute(MANY, scene.merchant, payment.id)
        await connection.execute(MANY_REFUNDS, scene.merchant, refund.id)
        await connection.execute("analyze payments; analyze refunds")

        async def explain(_self: Statements, statement: str, *arguments: Any) -> list[Any]:
            plan.extend(row[0].strip() for row in await connection.fetch(f"explain {statement}", *arguments))
            return []

        monkeypatch.setattr(Statements, "all", explain)
        deep = Place(payment.created_at - timedelta(hours=1), uuid4())
        for asked, index, condition in (
            (PaymentsAsked(after=deep), "payments_of_merchant", "ROW(created_at, id) <"),
            (PaymentsAsked(after=deep, ascending=True), "payments_of_merchant", "ROW(created_at, id) >"),
            (PaymentsAsked(dialect="toy", after=deep), "payments_by_age", "ROW(created_at, id) <"),
            (PaymentsAsked(created_to=deep.at), "payments_of_merchant", "created_at <="),
            (PaymentsAsked(order="77"), "payments_by_order", "order_ref ="),
            (RefundsAsked(after=deep), "refunds_by_age", "ROW(created_at, id) <"),
            (RefundsAsked(payment=payment.id), "refunds_of_payment", "payment_id ="),
            (RefundsAsked(order="77"), "payments_by_order", "order_ref ="),
            (RefundsAsked(provider_id="77"), "refunds_by_provider_id", "provider_id ="),
            (RefundsAsked(group=uuid4()), "refunds_of_group", "group_id ="),
        ):
            plan: list[str] = []
            if isinstance(asked, PaymentsAsked):
                await scene.reads.list_payments(scene.merchant, asked)
            else:
                await scene.reads.list_refunds(scene.merchant, asked)
            text = "\n".join(plan)
            assert index in text, f"{asked}\n{text}"
            assert any(line.startswith("Index Cond") and condition in line for line in plan), f"{asked}\n{text}"
            assert "Seq Scan" not in text, f"{asked}\n{text}"


@pytest.mark.parametrize("text", ["", "-", "1-2", "x-" + "0" * 32, "-1-" + "0" * 32, "9" * 18 + "-" + "0" * 32])
def test_no_place_in_a_list(text: str):
    with pytest.raises(ValueError):
        Place.read(text)


def test_a_place_reads_back():
    place = Place(datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC), uuid4())
    assert Place.read(str(place)) == place


# --- what hangs on a payment or refund -------------------------------------------------------------------------------


async def test_movements_in_their_order(scene: Scene):
    payment = await scene.pay()
    first, second = await scene.admit(payment, 100), await scene.admit(payment, 200)
    await see(scene, first, Event.EXECUTED)
    whole = await scene.reads.list_movements(scene.merchant, payment=payment.id)
    assert [(each.movement.kind.value, each.movement.amount) for each in whole] == [
        ("capture", 10_000),
        ("hold", 100),
        ("hold", 200),
        ("post", 100),
    ]
    of_first = await scene.reads.list_movements(scene.merchant, refund=first.id)
    assert [each.movement.kind.value for each in of_first] == ["hold", "post"]
    assert await scene.reads.list_movements(scene.merchant, refund=second.id, payment=uuid4()) == ()
    assert await scene.reads.list_movements(scene.merchant, after=whole[1].number, limit=2) == whole[2:]


async def test_evidence_and_cases(scene: Scene):
    payment = await scene.pay()
    refund = await scene.admit(payment, 100)
    await see(scene, refund, Event.EXECUTED, provider_id="re_1")
    sent = await scene.reads.refund_of(scene.merchant, refund.id)
    await see(scene, sent, Event.EXECUTED, provider_id="re_2")
    assert [each.event for each in await scene.reads.evidence_of_refund(scene.merchant, refund.id)] == ["executed"] * 2
    assert len(await scene.reads.evidence_of_payment(scene.merchant, payment.id, 1)) == 1
    cases = await scene.reads.cases_of(scene.merchant, payment.id)
    assert [each.refund for each in cases] == [refund.id]
    assert await scene.reads.open_cases(scene.merchant) == cases
    attempts = await scene.reads.attempts_of(scene.merchant, refund.id)
    assert [(each.generation, each.outcome) for each in attempts] == [(1, "executed")]
    assert await scene.reads.attempts_of(uuid4(), refund.id) == ()


async def test_what_waits_for_people(scene: Scene):
    payment = await scene.pay()
    refund, other = await scene.admit(payment, 100), await scene.admit(payment, 200)
    drifted = Observation(event=Event.DRIFTED, id=uuid4(), digest="1")
    place: dict[str, Any] = {"merchant": scene.merchant, "refund": refund.id, "payment": refund.payment}
    await scene.store.submit(Observe(**place, terms=scene.world.terms, observations=(drifted,)))
    await see(scene, other, Event.ACCEPTED)
    assert [each.id for each in await scene.reads.refunds_for_people(scene.merchant)] == [refund.id]
    assert await scene.reads.refunds_for_people(uuid4()) == ()


async def test_numbers_of_a_sequence_follow_each_other(scene: Scene):
    first, second = await scene.reads.next_number("toy"), await scene.reads.next_number("toy")
    assert first < second
    assert len(str(first)) == 10


async def test_a_key_is_used_up_once(scene: Scene):
    assert await scene.reads.take_key(scene.merchant, "toy", "k", 400, b"no") is None
    known = await scene.reads.take_key(scene.merchant, "toy", "k", 500, b"other")
    assert known is not None
    assert (known.status, known.answer) == (400, b"no")
    assert await scene.reads.take_key(uuid4(), "toy", "k", 400, b"no") is None
    assert await scene.reads.take_key(scene.merchant, "other", "k", 400, b"no") is None


# --- documents -------------------------------------------------------------------------------------------------------


async def test_documents_are_kept_and_replaced(scene: Scene):
    documents, place = scene.reads.documents, (scene.merchant, "toy", "hook", "1")
    data = {"url": "https://example.org/é", "sum": Decimal("1.50"), "n": 2**62, "deep": [{"a": None}]}
    await documents.save(*place, data)
    found = await documents.load(*place)
    assert found == data
    assert str(found["sum"]) == "1.50"
    await documents.save(*place, {"url": None})
    assert await documents.load(*place) == {"url": None}
    assert await documents.drop(*place)
    assert not await documents.drop(*place)
    assert await documents.load(*place) is None


async def test_documents_by_age_and_members(scene: Scene):
    documents = scene.reads.documents
    kept: list[dict[str, Any]] = [
        {"n": 0, "on": True},
        {"n": 1, "on": False},
        {"n": 2},
        {"n": 3, "on": None},
        {"n": 4, "tags": ["a", "b"]},
    ]
    for data in kept:
        await documents.save(scene.merchant, "toy", "hook", str(data["n"]), data)
    await documents.save(scene.merchant, "toy", "hook", "0", kept[0])
    await documents.save(scene.merchant, "toy", "card", "0", {"n": 9})

    async def listed(**asked: Any) -> list[Any]:
        return [each["n"] for each in await documents.list(scene.merchant, "toy", "hook", **asked)]

    assert await listed() == [0, 1, 2, 3, 4]
    assert await listed(ascending=False, offset=1, limit=2) == [3, 2]
    assert await listed(match={"on": True}) == [0]
    assert await listed(match={"on": None}) == [2, 3, 4]
    assert await listed(match={"on": False, "n": 1}) == [1]
    assert await listed(match={"tags": ["a"]}) == []
    assert await listed(match={"tags": ["a", "b"]}) == [4]


async def test_lists_know_how_long_they_are(scene: Scene):
    documents = scene.reads.documents
    for number in range(5):
        await documents.save(scene.merchant, "toy", "hook", str(number), {"n": number, "odd": number % 2 == 1})
    assert await documents.count(scene.merchant, "toy", "hook") == 5
    assert await documents.count(scene.merchant, "toy", "hook", match={"odd": True}) == 2
    payments = [await scene.pay(method="card" if number else None) for number in range(3)]
    await scene.admit(payments[0], 100)
    assert await scene.reads.count_payments(scene.merchant, PaymentsAsked(dialect="toy", limit=1)) == 3
    assert await scene.reads.count_payments(scene.merchant, PaymentsAsked(method="card")) == 2
    assert await scene.reads.count_payments(scene.merchant, PaymentsAsked(kind=PaymentKind.PAYIN)) == 3
    assert await scene.reads.count_payments(scene.merchant, PaymentsAsked(kind=PaymentKind.PAYOUT)) == 0
    assert await scene.reads.count_refunds(scene.merchant, RefundsAsked(payment=payments[0].id)) == 1
    assert await scene.reads.count_refunds(uuid4(), RefundsAsked()) == 0


async def test_a_wallets_statement(scene: Scene):
    await scene.pay(wallet="a")
    moved = await scene.pay(wallet="b", source="a", kind=PaymentKind.TRANSFER, amount=300)
    reads, of = scene.reads, (scene.merchant, "wallet/a", "EUR")
    assert await reads.balance(*of) == 10_000 - 300
    assert await reads.balance(scene.merchant, "wallet/none", "EUR") == 0
    statement = await reads.movements_of_account(*of)
    assert [(each.debit, each.credit, each.amount) for each in statement] == [
        ("wallet/a", "wallet/b", 300),
        ("payer", "wallet/a", 10_000),
    ]
    assert statement[0].payment == moved.id
    assert await reads.movements_of_account(*of, ascending=True, limit=1) == statement[1:]
    assert await reads.movements_of_account(*of, offset=2) == ()
    assert await reads.movements_of_account(uuid4(), "wallet/a", "EUR") == ()


# --- callers ---------------------------------------------------------------------------------------------------------


class Steady:
    """A steady clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def callers(scene: Scene, steady: Steady) -> Callers:
    return Callers(Statements(scene.store), lambda length: uuid4().hex.ljust(length, "x"), steady)


@pytest.mark.parametrize("user", [None, "shop"])
async def test_a_credential_is_recognised_until_it_is_revoked(
    scene: Scene, callers: Callers, steady: Steady, user: str | None
):
    secret, user = uuid4().hex, user and f"{user}-{uuid4().hex}"
    credential = uuid4()
    await scene.access.add_credential(
        scene.merchant, credential, "toy", secret=secret, user=user, name="till", scopes=["a"], profile={"id": 7}
    )
    known = await callers.recognise("toy", secret, user)
    assert known is not None
    assert (known.merchant, known.credential, known.name) == (scene.merchant, credential, "till")
    assert (known.scopes, known.profile) == (frozenset({"a"}), {"id": 7})
    assert await callers.recognise("other", secret, user) is None
    assert await callers.recognise("toy", secret + "x", user) is None
    assert await callers.recognise("toy", secret, None if user else "shop") is None

    assert await scene.access.revoke(scene.merchant, credential)
    steady.seconds += REMEMBER_S + 0.001
    assert REMEMBER_S <= 5
    assert await callers.recognise("toy", secret, user) is None


async def test_what_is_remembered_is_not_looked_up_again(scene: Scene, callers: Callers, monkeypatch: Any):
    secret = uuid4().hex
    await scene.access.add_credential(scene.merchant, uuid4(), "toy", secret=secret)
    first = await callers.recognise("toy", secret)

    async def away(*_: Any) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(Statements, "one", away)
    assert await callers.recognise("toy", secret) == first
    with pytest.raises(StoreUnavailable):
        await callers.recognise("toy", "another")


async def test_a_token_stands_for_its_credential_while_both_last(scene: Scene, callers: Callers):
    credential = uuid4()
    user = uuid4().hex
    await scene.access.add_credential(scene.merchant, credential, "toy", secret="s", user=user, profile={"id": 7})
    token = await callers.issue_token(scene.merchant, credential, 60)
    assert token is not None
    known = await callers.recognise("toy", token)
    assert known is not None
    assert (known.credential, known.profile) == (credential, {"id": 7})
    assert await callers.recognise("other", token) is None
    assert await callers.recognise("toy", token, user) is None
    assert await callers.recognise("toy", f"{token}x") is None

    await scene.access.revoke(scene.merchant, credential)
    assert await callers.recognise("toy", token) is None
    assert await callers.issue_token(scene.merchant, credential, 60) is None
    assert await callers.issue_token(uuid4(), credential, 60) is None


async def test_a_token_ends_in_business_time_at_once(scene: Scene, callers: Callers):
    credential = uuid4()
    await scene.access.allow_clock()
    await scene.access.add_credential(scene.merchant, credential, "toy", secret=uuid4().hex)
    token = await callers.issue_token(scene.merchant, credential, 60)
    assert token is not None
    assert await callers.recognise("toy", token) is not None
    await scene.access.advance_clock(timedelta(seconds=61))
    assert await callers.recognise("toy", token) is None


@pytest.mark.parametrize(
    ("secret", "user"), [("", None), ("s", ""), ("s", "a\0"), ("s", "u" * 256), ("\ud800", None), ("s", "\ud800")]
)
async def test_nobodys_credentials(callers: Callers, secret: str, user: str | None):
    assert await callers.recognise("toy", secret, user) is None
