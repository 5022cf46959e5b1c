"""How much was given back, where a provider names refunds and states no amounts: exactly, or not at all."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.core.payment import Payment
from moneyback.core.plan import Children
from moneyback.core.records import External
from moneyback.core.refund import Refund, State
from moneyback.dialect import AddPayment, Fetched, SeenRefund
from moneyback.flows.measure_refunds import measured as measure
from moneyback.flows.measure_refunds import measured_first

AT = datetime(2026, 3, 2, tzinfo=UTC)
SHOP, OF = UUID(int=1), UUID(int=2)


def fetched(*refunds: str | tuple[str, int], left: int | None, captured: int = 1_000) -> Fetched:
    pairs = [(each, 0) if isinstance(each, str) else each for each in refunds]
    return Fetched(
        payment=AddPayment(amount=captured, currency="MYR"),
        reference="p",
        refunds=tuple(SeenRefund(provider_id=id, payment="p", amount=amount) for id, amount in pairs),
        left=left,
    )


def ours(number: int, amount: int, provider_id: str | None, state: State = State.SUCCEEDED, sent: int = 1) -> Refund:
    return Refund(
        merchant=SHOP,
        id=UUID(int=100 + number),
        payment=OF,
        dialect="chip",
        dialect_id=f"own-{number}",
        rail="r",
        currency="MYR",
        payer=amount,
        wallet=amount,
        fee_return=0,
        state=state,
        version=1,
        created_at=AT,
        updated_at=AT,
        generation=sent,
        provider_id=provider_id,
    )


def measured(seen: Fetched, *refunds: Refund, external: dict[str, int] | None = None) -> list[tuple[str, int]]:
    others = external or {}
    payment = Payment(
        merchant=SHOP,
        id=OF,
        version=1,
        dialect="chip",
        dialect_id="p",
        rail="r",
        account="a",
        reference="p",
        currency="MYR",
        captured=1_000,
        refunded=sum(each.payer for each in refunds if each.state is State.SUCCEEDED),
        external=sum(others.values()),
        created_at=AT,
        updated_at=AT,
    )
    externals = {
        id: External(merchant=SHOP, payment=OF, provider_id=id, amount=amount, wallet=amount, fee_return=0, at=AT)
        for id, amount in others.items()
    }
    children = Children(refunds={each.id: each for each in refunds}, externals=externals)
    return [(each.provider_id, each.amount) for each in measure(seen, payment, children)]


CASES: dict[str, tuple[Any, tuple[Refund, ...], dict[str, int], list[tuple[str, int]]]] = {
    "one from elsewhere": (fetched("a", left=700), (), {}, [("a", 300)]),
    "beside one of ours": (fetched("o", "a", left=600), (ours(1, 100, "o"),), {}, [("o", 100), ("a", 300)]),
    "beside one known": (fetched("k", "a", left=600), (), {"k": 100}, [("k", 100), ("a", 300)]),
    "two at once: the first stands for both": (fetched("a", "b", left=500), (), {}, [("a", 500)]),
    "the second, later": (fetched("a", "b", left=500), (), {"a": 500}, [("a", 500)]),
    "a third, later": (fetched("a", "b", "c", left=400), (), {"a": 500}, [("a", 500), ("b", 100)]),
    "its figure lags behind": (fetched("a", left=1_000), (), {}, []),
    "it shows no figure": (fetched("a", left=None), (), {}, []),
    "what it states is taken": (fetched(("a", 7), "b", left=900), (), {"a": 7}, [("a", 7), ("b", 93)]),
    "ours without an id": (fetched("x", left=900), (ours(1, 100, None),), {}, [("x", 100)]),
    "ours without an id, and another's": (fetched("x", "y", left=600), (ours(1, 100, None),), {}, []),
    "ours is on its way": (fetched("a", left=700), (ours(1, 300, None, State.UNKNOWN),), {}, []),
    "ours is being sent": (fetched("a", left=700), (ours(1, 300, None, State.SENDING),), {}, []),
    "ours waits unsent": (fetched("a", left=700), (ours(1, 300, None, State.READY, 0),), {}, [("a", 300)]),
    "ours was refused": (fetched("a", left=700), (ours(1, 300, None, State.FAILED),), {}, [("a", 300)]),
    "older than what we know": (fetched("a", left=700), (ours(1, 100, "o"),), {}, []),
    "of another capture": (fetched("a", left=700, captured=900), (), {}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_of_a_payment_we_know(case: str):
    seen, refunds, external, told = CASES[case]
    assert measured(seen, *refunds, external=external) == told


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (fetched("a", left=700), [("a", 300)]),
        (fetched("a", "b", "c", left=700), [("a", 300)]),
        (fetched(("a", 100), "b", left=700), [("a", 100), ("b", 200)]),
        (fetched(("a", 100), ("b", 200), left=700), [("a", 100), ("b", 200)]),
        (fetched("a", left=1_000), []),
        (fetched("a", left=None), []),
        (fetched(left=700), []),
    ],
)
def test_of_a_payment_that_is_new(seen: Fetched, told: list[tuple[str, int]]):
    assert [(each.provider_id, each.amount) for each in measured_first(seen)] == told


@given(st.lists(st.integers(1, 50), max_size=12), st.data())
def test_whenever_it_is_read_the_sum_is_exact(amounts: list[int], data: st.DataObject):
    """Refunds are made elsewhere one after the other, and read now and then."""
    external: dict[str, int] = {}
    for made in range(len(amounts) + 1):
        if made < len(amounts) and data.draw(st.booleans()):
            continue
        names = [str(number) for number in range(made)]
        external |= dict(measured(fetched(*names, left=1_000 - sum(amounts[:made])), external=external))
        assert sum(external.values()) == sum(amounts[:made])
