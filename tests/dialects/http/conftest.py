"""One running sandbox for all suites of this folder; after each of them its books are compared."""

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from moneyback.dialect import Outgoing
from tests.dialects.http.server import AGES_S, Product, basic, bearer
from tests.e2e.server import sandbox


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with sandbox(tmp_path_factory.mktemp("http") / "data", workers=2) as running, Product(running) as product:
        yield product


@pytest.fixture(scope="module", autouse=True)
def books(product: Product) -> Iterator[None]:
    """Whatever a suite did: every counter and balance follows from the movements."""
    yield
    assert product.differences() == ()


Unhurried = dict[str, tuple["Future[Outgoing]", dict[str, Any]]]


@pytest.fixture(scope="package", autouse=True)
def unhurried(product: Product) -> Unhurried:
    """A refund in each dialect whose rail does not answer, asked for before everything else.

    Each dialect waits for as long as its provider would, and these waits pass beside the other tests.
    """
    ready = product.ready
    truust, chip, mangopay, maverick = (ready[name] for name in ("truust", "chip", "mangopay", "maverick"))
    user = basic(mangopay["client_id"], mangopay["api_key"])
    calls = {
        "truust": (bearer(truust["secret_key"]), "/2.0/payins/{}/refund", {"amount": 10}),
        "chip": (bearer(chip["secret_key"]), "/purchases/{}/refund/", {"amount": 1000}),
        "mangopay": (user, "/v2.01/demo/payins/{}/refunds", {"AuthorId": "9100000001"}),
        "maverick": (bearer(maverick["token"]), "/payment/{}/refund", {"terminal": {"id": 24}, "amount": 10}),
    }
    begun: Unhurried = {}
    for dialect, (authorization, path, body) in calls.items():
        payment = product.pay(dialect, 100_00, "MYR" if dialect == "chip" else "EUR", scenario=f"slow:{AGES_S}")
        face = product.face(dialect, authorization)
        begun[dialect] = product.begin(face.post, path.format(payment["dialect_id"]), body), payment
    return begun
