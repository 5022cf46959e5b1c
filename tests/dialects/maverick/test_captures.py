"""Captures: in full, in parts, at once with each other and with a reversal, and the sandbox's settlement of them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moneyback.core.payment import Payment
from moneyback.dialect import Outgoing, ReleasePayment, SeePayment, TakeKey
from moneyback.dialects.maverick import DIALECT
from moneyback.dialects.maverick.batches import batch_of
from moneyback.dialects.maverick.captured import captures_of
from tests.dialects.driver import Table
from tests.dialects.maverick.schemas import fits, fits_list

HERE = {"terminal": {"id": 24}}
NOT_ALLOWED = (422, "Modify Transaction Not Allowed")
RETURN_NOT_ALLOWED = (422, "Return Not Allowed")


def too_much(limit: str) -> tuple[int, str]:
    return 422, f"Amount must be no greater than {limit}."


def held(kind: type[Table] = Table, **options: Any) -> tuple[Any, Payment]:
    """A table with an authorisation of 100.00."""
    at = kind(DIALECT, **options)
    at.outcome = "succeeded"
    return at, at.pay(10_000, "USD", status="authorized")


def take(at: Table, payment: Payment, body: Any = None, path: str = "capture") -> Outgoing:
    body = HERE | (body or {}) if body is None or isinstance(body, dict) else body
    return at.call("POST", f"/payment/{payment.dialect_id}/{path}", body)


def complaint(answer: Outgoing) -> tuple[int, str]:
    return answer.status, fits(answer)["message"]


def read(at: Table, number: object) -> dict[str, Any]:
    return fits(at.call("GET", f"/payment/{number}"))


# --- in full and in parts --------------------------------------------------------------------------------------------


def test_all_of_it():
    at, payment = held()
    record = fits(take(at, payment))
    assert (record["type"], record["amount"], record["parent"]) == (
        "Capture",
        "100.00",
        {"id": int(payment.dialect_id)},
    )
    assert (record["status"]["status"], read(at, record["id"])) == ("Approved", record)
    original = read(at, payment.dialect_id)
    assert (original["captured"], original["amount"], original["updatedOn"] is not None) == (True, "100.00", True)
    assert original["history"] == [
        {"id": record["id"], "type": "Capture", "amount": "100.00", "createdOn": record["createdOn"]}
    ]
    assert at.payment(payment).captured == 10_000
    assert complaint(take(at, payment)) == NOT_ALLOWED


def test_parts_until_all_is_captured_and_refunds_of_what_was():
    at, payment = held()
    numbers = [fits(take(at, payment, {"amount": "30.00", "partial": {"total": 3, "sequence": 1}}))["id"]]
    assert complaint(take(at, payment, {"amount": "70.01"})) == too_much("70.00")
    assert complaint(take(at, payment, {"amount": "30.01"}, "refund")) == too_much("30.00")
    numbers.append(fits(take(at, payment, {"amount": "10.00"}, "refund"))["id"])
    numbers.append(fits(take(at, payment, {"partial": {"amount": 20}}))["id"])
    numbers.append(fits(take(at, payment))["id"])
    assert complaint(take(at, payment, {"amount": 1})) == NOT_ALLOWED
    original = read(at, payment.dialect_id)
    shown = [(each["id"], each["type"], each["amount"]) for each in original["history"]]
    kinds = [("Capture", "30.00"), ("Return", "10.00"), ("Capture", "20.00"), ("Capture", "50.00")]
    assert shown == [(number, *kind) for number, kind in zip(numbers, kinds, strict=True)]
    stands = at.payment(payment)
    assert (stands.authorized, stands.captured, stands.refundable) == (10_000, 10_000, 9_000)
    assert fits(take(at, payment, {}, "refund"))["amount"] == "90.00"
    assert read(at, payment.dialect_id)["refunded"] is True


def test_the_partial_path_needs_its_amount():
    at, payment = held()
    assert complaint(take(at, payment, {}, "capture/partial")) == (422, "Amount cannot be blank.")
    assert fits(take(at, payment, {"amount": 1}, "capture/partial"))["amount"] == "1.00"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"terminal": {}}, (422, "Terminal ID cannot be blank.")),
        ({"terminal": {"id": 25}}, (404, "The requested transaction does not exist.")),
        ({"amount": "x"}, (422, "Amount must be a number.")),
        ({"amount": 0}, (422, "Amount must be greater than 0.")),
        ({"amount": "1.005"}, (422, "Amount must have at most 2 decimal places.")),
        ({"amount": "100.01"}, too_much("100.00")),
        ({"partial": 5}, (422, "Partial must be an object.")),
        ({"partial": {"total": 0}}, (422, "Partial total must be a positive integer.")),
        ({"partial": {"sequence": "x"}}, (422, "Partial sequence must be a positive integer.")),
        ({"partial": {"total": 2, "sequence": 3}}, (422, "Partial sequence must be no greater than its total.")),
        ({"sendReceipt": "perhaps"}, (422, "Send receipt is invalid.")),
        ([1], (400, "The request body must be a JSON object.")),
    ],
)
def test_what_a_capture_must_not_say(body: Any, expected: tuple[int, str]):
    at, payment = held()
    assert complaint(take(at, payment, body)) == expected
    assert (at.payment(payment), at.documents, at.facts.keys) == (payment, {}, {})


@pytest.mark.parametrize("body", [{"sendReceipt": "Yes"}, {"sendReceipt": False}, {"amount": None}, {"unknown": 1}])
def test_what_a_capture_may_say(body: Any):
    at, payment = held()
    assert fits(take(at, payment, body))["amount"] == "100.00"


def test_a_terminal_may_be_inferred():
    at, payment = held(profile={"missing_terminal": "infer"})
    assert at.call("POST", f"/payment/{payment.dialect_id}/capture", {"amount": 1}).status == 200


@pytest.mark.parametrize("status", ["captured", "failed", "processing"])
def test_only_an_authorisation_is_captured(status: str):
    at = Table(DIALECT)
    payment = at.pay(1000, "USD", status=status)
    assert complaint(take(at, payment, {"amount": "x"})) == NOT_ALLOWED, "its state comes before the amount"
    assert at.payment(payment) == payment


def test_children_and_strange_ids_are_not_captured():
    at, payment = held()
    number = fits(take(at, payment, {"amount": 1}))["id"]
    assert complaint(at.call("POST", f"/payment/{number}/capture", HERE)) == NOT_ALLOWED
    assert complaint(at.call("POST", f"/payment/{number}/refund", HERE)) == RETURN_NOT_ALLOWED
    assert at.call("POST", "/payment/5/capture", HERE).status == 404


def test_what_was_reversed_is_not_captured_and_the_other_way_round():
    at, payment = held()
    reversal = fits(take(at, payment, {}, "refund"))
    assert complaint(take(at, payment)) == NOT_ALLOWED
    assert complaint(at.call("POST", f"/payment/{reversal['id']}/capture", HERE)) == NOT_ALLOWED
    listed = fits_list(at.call("GET", "/payments"))["items"]
    assert [(each["type"], each["id"]) for each in listed] == [
        ("Return", reversal["id"]),
        ("Auth", int(payment.dialect_id)),
    ]


def test_an_authorisation_whose_reversal_was_refused_can_be_captured():
    at, payment = held()
    at.outcome = "failed:Time out"
    assert complaint(take(at, payment, {}, "refund")) == (422, "Time out")
    assert fits(take(at, payment))["amount"] == "100.00"


# --- at once ---------------------------------------------------------------------------------------------------------


class Quicker(Table):
    """A table where another request is decided on just before ours is."""

    others: tuple[tuple[str, Any], ...] = ()

    def answer(self, ask: Any) -> Any:
        if isinstance(ask, TakeKey) and self.others:
            (path, body), *rest = self.others
            self.others = tuple(rest)
            self.said = self.call("POST", path, body)
        return super().answer(ask)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected", "captured"),
    [
        ({"amount": 60}, {"amount": 60}, too_much("40.00"), 6_000),
        ({"amount": 40}, {"amount": 60}, "40.00", 10_000),
        ({}, {"amount": 60}, "40.00", 10_000),
        ({}, {}, NOT_ALLOWED, 10_000),
    ],
)
def test_two_captures_at_once(ours: Any, theirs: Any, expected: Any, captured: int):
    at, payment = held(Quicker)
    at.others = ((f"/payment/{payment.dialect_id}/capture", HERE | theirs),)
    answer = take(at, payment, ours)
    assert at.said.status == 200
    assert (fits(answer)["amount"] if isinstance(expected, str) else complaint(answer)) == expected
    stands = at.payment(payment)
    assert stands.captured == captured == sum(each.amount for each in captures_of(stands))


def test_a_capture_that_is_overtaken_by_a_reversal():
    at, payment = held(Quicker)
    at.others = ((f"/payment/{payment.dialect_id}/refund", HERE),)
    assert complaint(take(at, payment)) == NOT_ALLOWED
    assert (at.said.status, at.payment(payment).captured) == (200, 0)


def test_a_reversal_that_is_overtaken_by_a_capture_is_a_refund():
    at, payment = held(Quicker)
    at.others = ((f"/payment/{payment.dialect_id}/capture", HERE | {"amount": 60}),)
    record = fits(take(at, payment, {}, "refund"))
    assert (record["amount"], record["authCode"]) == ("60.00", None)
    assert [each["type"] for each in read(at, payment.dialect_id)["history"]] == ["Capture", "Return"]


class Dying(Table):
    """A table where whoever first tells the engine of something dies of it."""

    deadly: tuple[type, ...] = (SeePayment,)

    def answer(self, ask: Any) -> Any:
        if isinstance(ask, self.deadly):
            self.deadly = ()
            raise ConnectionError
        return super().answer(ask)


@pytest.mark.parametrize(("ours", "expected"), [({"amount": 20}, "20.00"), ({"amount": 41}, too_much("40.00"))])
def test_a_capture_that_died_is_finished_by_the_next(ours: Any, expected: Any):
    at, payment = held(Dying)
    with pytest.raises(ConnectionError):
        take(at, payment, {"amount": 60})
    (listed,) = fits_list(at.call("GET", "/payments", query={"filter[type]": "Capture"}))["items"]
    assert (listed["amount"], listed["status"]["status"]) == ("60.00", "InProgress")
    assert read(at, listed["id"]) == listed
    answer = take(at, payment, ours)
    assert (fits(answer)["amount"] if isinstance(expected, str) else complaint(answer)) == expected
    assert read(at, listed["id"])["status"]["status"] == "Approved"
    stands = at.payment(payment)
    assert stands.captured == sum(each.amount for each in captures_of(stands)) <= 10_000


def test_a_reversal_that_died_is_in_the_way_until_it_is_taken_over():
    at, payment = held(Dying)
    at.deadly = (ReleasePayment,)
    with pytest.raises(ConnectionError):
        take(at, payment, {}, "refund")
    assert complaint(take(at, payment)) == NOT_ALLOWED
    assert complaint(take(at, payment, {}, "refund")) == RETURN_NOT_ALLOWED
    at.now += timedelta(minutes=1)
    record = fits(take(at, payment, {}, "refund"))
    assert record["status"]["status"] == "Approved"
    assert [each["id"] for each in read(at, payment.dialect_id)["history"]] == [record["id"]]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["capture", "refund"]), st.integers(1, 12_000) | st.none()), max_size=8))
def test_no_history_captures_or_gives_back_too_much(steps: list[tuple[str, int | None]]):
    at, payment = held()
    for path, minor in steps:
        take(at, payment, {} if minor is None else {"amount": Decimal(minor).scaleb(-2)}, path)
        stands = at.payment(payment)
        made = sum(each.amount for each in captures_of(stands))
        assert made == stands.captured <= stands.authorized
        assert stands.refunded <= stands.captured
        history = read(at, payment.dialect_id)["history"]
        assert sum(Decimal(each["amount"]) for each in history if each["type"] == "Capture") * 100 == made


# --- settlement ------------------------------------------------------------------------------------------------------

NIGHT = datetime(2026, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("captured_at", "now", "batched_on"),
    [
        (NIGHT - timedelta(seconds=1), NIGHT - timedelta(microseconds=1), None),
        (NIGHT - timedelta(seconds=1), NIGHT, "2026-03-03 00:00:00"),
        (NIGHT, NIGHT + timedelta(hours=23), None),
        (NIGHT, NIGHT + timedelta(days=40), "2026-03-04 00:00:00"),
    ],
)
def test_a_batch_closes_at_midnight(captured_at: datetime, now: datetime, batched_on: str | None):
    batch = batch_of(captured_at, now)
    assert batch["batchedOn"] == batched_on
    assert (batch["id"] is None) == (batch["number"] is None) == (batched_on is None)


def test_what_is_captured_is_settled_and_what_is_given_back_looks_the_same():
    at, payment = held()
    first = fits(take(at, payment, {"amount": 50}))["id"]
    at.now += timedelta(days=1)
    second = fits(take(at, payment))["id"]
    refund = fits(take(at, payment, {"amount": 1}, "refund"))
    batches = [read(at, number)["batch"] for number in (payment.dialect_id, first, second, refund["id"])]
    assert batches[0] == batches[1] != batches[2] == batches[3]
    assert (batches[0]["batchedOn"], batches[2]["id"]) == ("2026-03-03 00:00:00", None)
    assert refund["authCode"] is None
    listed = fits_list(at.call("GET", "/payments", query={"filter[batch.id][neq]": "NULL", "sort": "id"}))["items"]
    assert [each["id"] for each in listed] == [int(payment.dialect_id), first]


def test_an_authorisation_and_a_real_rails_payment_are_not_settled_by_our_clock():
    at, payment = held()
    real = at.pay(1000, "USD")
    at.write(real, rail="acme")
    at.now += timedelta(days=9)
    for number in (payment.dialect_id, real.dialect_id):
        assert read(at, number)["batch"]["id"] is None


def test_a_native_refund_has_no_number_to_be_listed_by():
    at = Table(DIALECT)
    at.outcome = "succeeded"
    payment = at.pay(10_000, "USD")
    take(at, payment, {"amount": 100}, "refund")
    at.write(at.refunds[-1], dialect="native", dialect_id="0a" * 16)
    original = read(at, payment.dialect_id)
    assert (original["history"], original["refunded"]) == ([], True)
