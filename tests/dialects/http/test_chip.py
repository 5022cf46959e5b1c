"""CHIP Collect over HTTP: a row for every documented rule and error of the refund call, and its clients' habits."""

import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from moneyback.dialect import Outgoing
from tests.dialects.chip.shapes import fits
from tests.dialects.driver import said
from tests.dialects.http.server import BOM, FORM, JSON, NOTHING, Product, basic, bearer, form, raw

NOBODY = "00000000-0000-4000-8000-000000000000"
NO_INTEGER = ("amount", "invalid", "A valid integer is required.")
TOO_SMALL = ("amount", "min_value", "Ensure this value is greater than or equal to 1.")
FULLY_REFUNDED = ("__all__", "purchase_refund_not_possible", "This Purchase was already fully refunded.")
UNREADABLE = ("__all__", "parse_error", "The request body could not be parsed.")


def too_large(limit: int) -> tuple[str, str, str]:
    return "amount", "max_value", f"Ensure this value is less than or equal to {limit}."


def wrong_status(status: str) -> tuple[str, str, str]:
    needs = "a refund needs one of: paid, cleared, settled, refunded."
    return "__all__", "purchase_refund_wrong_status", f"The status of this Purchase is {status}; {needs}"


class Brand:
    """A brand at CHIP: its purchases, and refunds of them."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.ready = product.ready["chip"]
        self.face = product.face("chip", bearer(self.ready["secret_key"]))

    def purchase(self, amount: int = 10_000, availability: str | None = None, **members: Any) -> dict[str, Any]:
        if availability is not None:
            members["dialect_data"] = members.get("dialect_data", {}) | {"refund_availability": availability}
        return self.product.pay("chip", amount, "MYR", **members)

    def refund(self, payment: dict[str, Any], body: Any = None, **headers: str) -> Outgoing:
        """The refund call; its answer satisfies the schema of what it is, members in the documented order."""
        answer = self.face.post(f"/purchases/{payment['dialect_id']}/refund/", body, **headers)
        fits(answer)
        return answer

    def made(self, payment: dict[str, Any], body: Any = None) -> dict[str, Any]:
        """The Payment or the Purchase that a refund is answered with."""
        answer = self.refund(payment, body)
        assert answer.status == 200, said(answer)
        return said(answer)

    def see(self, payment: dict[str, Any]) -> dict[str, Any]:
        answer = self.face.get(f"/purchases/{payment['dialect_id']}/")
        assert answer.status == 200, said(answer)
        return fits(answer)

    def seen(self, payment: dict[str, Any], status: str) -> dict[str, Any]:
        """The Purchase, once time has brought it to a status."""

        def look() -> dict[str, Any] | None:
            current = self.see(payment)
            return current if current["status"] == status else None

        found: dict[str, Any] = self.product.in_time(look, f"a purchase is {status}")
        return found

    def untouched(self, payment: dict[str, Any]) -> bool:
        return self.product.payment(payment["id"]) == payment and self.product.refunds(payment["id"]) == []


def complaint(answer: Outgoing) -> tuple[str, str, str]:
    """(member, code, message) of an error: the member it stands under, and always under __all__ too."""
    body = said(answer)
    assert answer.status >= 400
    [error] = body["__all__"]
    [field] = [name for name in body if name != "__all__"] or ["__all__"]
    assert body[field] == [error]
    return field, error["code"], error["message"]


@pytest.fixture(scope="module")
def brand(product: Product) -> Brand:
    return Brand(product)


# --- the answer ------------------------------------------------------------------------------------------------------


def test_a_refund_answers_the_payment_it_generated_and_the_purchase_tells_of_it(brand: Brand):
    payment = brand.purchase(method="visa", dialect_data={"reference": "order-7"})
    body = brand.made(payment, {"amount": 4_000})
    assert (body["type"], body["status"], body["is_test"], body["user_id"]) == ("payment", "success", True, None)
    assert body["id"] != payment["dialect_id"]
    money = {"is_outgoing": True, "payment_type": "refund", "amount": 4_000, "currency": "MYR"}
    assert money.items() <= body["payment"].items()
    assert (body["payment"]["net_amount"], body["payment"]["fee_amount"], body["payment"]["pending_amount"]) == (
        4000,
        0,
        0,
    )
    assert body["related_to"] == {"type": "purchase", "id": payment["dialect_id"], "reference": "order-7"}
    assert (body["reference"], body["brand_id"]) == ("order-7", brand.ready["brand_id"])

    purchase = brand.see(payment)
    assert (purchase["status"], purchase["refund_availability"], purchase["refundable_amount"]) == (
        "refunded",
        "all",
        6_000,
    )
    newest, paying = purchase["transaction_data"]["attempts"]
    assert (newest["type"], newest["successful"], newest["error"]) == ("refund", True, None)
    assert (paying["type"], paying["payment_method"]) == ("execute", "visa")
    assert [each["status"] for each in purchase["status_history"]] == ["created", "paid", "refunded"]
    assert purchase["status_history"][-1]["related_object"] == {"type": "payment", "id": body["id"]}
    assert (purchase["payment"]["payment_type"], purchase["payment"]["amount"]) == ("purchase", 10_000)


@pytest.mark.parametrize(
    "body", [NOTHING, raw("", JSON), "{}", "[]", '{"amount": null}', raw("", FORM), '{"currency": "MYR"}']
)
def test_without_an_amount_what_remains_is_refunded(brand: Brand, body: Any):
    payment = brand.purchase()
    brand.made(payment, {"amount": 1})
    assert brand.made(payment, body)["payment"]["amount"] == 9_999
    assert complaint(brand.refund(payment, body)) == FULLY_REFUNDED


# --- amounts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "amount"),
    [
        ('{"amount": "10"}', 10),
        ('{"amount": 10}', 10),
        ('{"amount": 10.0}', 10),
        ('{"amount": 10.00}', 10),
        ('{"amount": 1e2}', 100),
        ('{"amount": 1}', 1),
        ('{"amount": 10000}', 10_000),
        (form("amount=10"), 10),
    ],
)
def test_amounts_that_are_taken(brand: Brand, body: Any, amount: int):
    assert brand.made(brand.purchase(), body)["payment"]["amount"] == amount


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"amount": 10.005}', NO_INTEGER),
        ('{"amount": 1998.9999999999998}', NO_INTEGER),  # a shop plugin sends such a thing
        ('{"amount": "10.00"}', NO_INTEGER),
        ('{"amount": "1e2"}', NO_INTEGER),
        ('{"amount": ""}', NO_INTEGER),
        ('{"amount": []}', NO_INTEGER),
        ('{"amount": {}}', NO_INTEGER),
        ('{"amount": true}', NO_INTEGER),
        ('{"amount": "ten"}', NO_INTEGER),
        ('{"amount": 0}', TOO_SMALL),
        ('{"amount": -1}', TOO_SMALL),
        ('{"amount": "-1"}', TOO_SMALL),
        ('{"amount": 10001}', too_large(10_000)),
        ('{"amount": 9223372036854775807}', too_large(10_000)),
        (form("amount="), NO_INTEGER),
        (form("amount=10.00"), NO_INTEGER),
    ],
)
def test_amounts_that_are_refused(brand: Brand, body: Any, expected: tuple[str, str, str]):
    payment = brand.purchase()
    answer = brand.refund(payment, body)
    assert (answer.status, complaint(answer)) == (400, expected)
    assert brand.untouched(payment)


def test_parts_and_the_rest_close_to_zero(brand: Brand):
    payment = brand.purchase()
    ids = [brand.made(payment, {"amount": amount})["id"] for amount in (3_000, 3_333)]
    assert complaint(brand.refund(payment, {"amount": 3_668})) == too_large(3_667)
    ids.append(brand.made(payment)["id"])
    purchase = brand.see(payment)
    assert (purchase["status"], purchase["refund_availability"], purchase["refundable_amount"]) == (
        "refunded",
        "none",
        0,
    )
    told = [each["related_object"]["id"] for each in purchase["status_history"] if "related_object" in each]
    assert told == ids
    assert complaint(brand.refund(payment, {"amount": 1})) == FULLY_REFUNDED
    assert brand.product.executed(payment["id"]) == [3_000, 3_333, 3_667]


def test_a_duplicate_partial_refund_succeeds_and_a_duplicate_full_one_fails(brand: Brand):
    payment = brand.purchase()
    one, two = brand.made(payment, {"amount": 100}), brand.made(payment, {"amount": 100})
    assert one["id"] != two["id"]
    key = {"Idempotency_Key": "a-key-of-the-client"}
    assert [brand.refund(payment, None, **key).status for _ in range(2)] == [200, 400]


def test_the_fee_of_a_purchase_is_shown(brand: Brand):
    payment = brand.purchase(fees=100)
    money = brand.see(payment)["payment"]
    assert (money["amount"], money["net_amount"], money["fee_amount"]) == (10_000, 9_900, 100)
    assert brand.made(payment)["payment"]["amount"] == 10_000


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "code", "message"),
    [
        (None, "not_authenticated", "Authentication credentials were not provided."),
        (basic("x", "y"), "not_authenticated", "Authentication credentials were not provided."),
        (bearer("wrong"), "authentication_failed", "Incorrect secret_key"),
    ],
)
def test_bad_credentials(brand: Brand, authorization: str | None, code: str, message: str):
    payment = brand.purchase()
    stranger = brand.face.as_(authorization)
    for path in (f"/purchases/{payment['dialect_id']}/refund/", f"/purchases/{NOBODY}/refund/"):
        answer = stranger.post(path, {"amount": 1})
        assert (answer.status, complaint(answer)) == (401, ("__all__", code, message))
    assert brand.untouched(payment)


@pytest.mark.parametrize("number", [NOBODY, "not-a-uuid", "1000000001"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_id(brand: Brand, method: str, number: str):
    path = f"/purchases/{number}/" + ("refund/" if method == "POST" else "")
    answer = brand.face.ask(method, path)
    assert (answer.status, complaint(answer)) == (404, ("__all__", "not_found", "Not found."))


def test_the_id_of_a_refund_is_no_purchases(brand: Brand):
    generated = brand.made(brand.purchase(), {"amount": 1})["id"]
    assert brand.face.post(f"/purchases/{generated}/refund/").status == 404
    assert brand.face.get(f"/purchases/{generated}/").status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_wrong_method(brand: Brand, method: str):
    answer = brand.face.ask(method, f"/purchases/{NOBODY}/refund/")
    expected = ("__all__", "method_not_allowed", f'Method "{method}" not allowed.')
    assert (answer.status, complaint(answer), answer.headers["allow"]) == (405, expected, "OPTIONS, POST")


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ("7", 400, ("__all__", "invalid", "Invalid data. Expected a dictionary, but got number.")),
        ("true", 400, ("__all__", "invalid", "Invalid data. Expected a dictionary, but got bool.")),
        ("[1]", 400, ("__all__", "invalid", "Invalid data. Expected a dictionary, but got list.")),
        ('{"amount": 1', 400, UNREADABLE),
        (b'{"amount": "\xff"}', 400, UNREADABLE),
        (r'{"reason": "\u0000"}', 400, UNREADABLE),
        ('{"amount": 99999999999999999999}', 400, UNREADABLE),
        (raw('<refund amount="10"/>', "text/xml"), 400, UNREADABLE),
        ({"reason": "x" * (1 << 20)}, 413, ("__all__", "request_too_large", "The request body is too large.")),
    ],
)
def test_bodies_that_are_refused(brand: Brand, body: Any, status: int, expected: Any):
    payment = brand.purchase()
    answer = brand.refund(payment, body)
    assert (answer.status, complaint(answer)) == (status, expected)
    assert brand.untouched(payment)


@pytest.mark.parametrize(
    ("condition", "shown"), [("processing", "created"), ("authorized", "hold"), ("failed", "error")]
)
def test_only_what_is_paid_can_be_refunded(brand: Brand, condition: str, shown: str):
    payment = brand.purchase(status=condition)
    purchase = brand.see(payment)
    assert (purchase["status"], purchase["refund_availability"], purchase["refundable_amount"]) == (shown, "none", 0)
    assert (purchase["payment"], purchase["purchase"]["total"]) == (None, 10_000)
    for body in (None, {"amount": 1}, {"amount": 99_999}):
        answer = brand.refund(payment, body)
        assert (answer.status, complaint(answer)) == (400, wrong_status(shown))
    assert brand.untouched(payment)


ONLY_IN_FULL = ("__all__", "purchase_refund_not_possible", "This Purchase can only be refunded in full.")
ONLY_IN_PART = ("__all__", "purchase_refund_not_possible", "This Purchase can only be refunded partially.")
NOT_AT_ALL = ("__all__", "purchase_refund_not_possible", "This Purchase cannot be refunded.")


@pytest.mark.parametrize(
    ("availability", "offered", "full", "part"),
    [
        ("all", "all", None, None),
        ("full_only", "full_only", None, ONLY_IN_FULL),
        ("partial_only", "partial_only", ONLY_IN_PART, None),
        ("pis_all", "pis_all", None, None),
        ("pis_partial", "pis_partial", ONLY_IN_PART, None),
        ("none", "none", NOT_AT_ALL, NOT_AT_ALL),
    ],
)
def test_refund_availability(brand: Brand, availability: str, offered: str, full: Any, part: Any):
    for body, expected in ((None, full), ({"amount": 10_000}, full), ({"amount": 100}, part)):
        payment = brand.purchase(availability=availability)
        purchase = brand.see(payment)
        left = 0 if availability == "none" else 10_000
        assert (purchase["refund_availability"], purchase["refundable_amount"]) == (offered, left)
        answer = brand.refund(payment, body)
        if expected is None:
            assert said(answer)["payment"]["amount"] == (body or {"amount": 10_000})["amount"]
        else:
            assert (answer.status, complaint(answer)) == (400, expected)
            assert brand.untouched(payment)


def test_what_can_only_be_refunded_in_part_closes_in_parts(brand: Brand):
    payment = brand.purchase(availability="partial_only")
    brand.made(payment, {"amount": 9_999})
    assert brand.see(payment)["refund_availability"] == "partial_only"
    assert brand.made(payment)["payment"]["amount"] == 1
    assert brand.see(payment)["refund_availability"] == "none"


def test_there_is_no_time_limit(brand: Brand):
    assert brand.made(brand.purchase(age=timedelta(days=5 * 365)))["payment"]["amount"] == 10_000


def test_a_disputed_purchase(brand: Brand):
    payment = brand.product.disputed("chip", 10_000, "MYR")
    purchase = brand.see(payment)
    assert (purchase["status"], purchase["refund_availability"], purchase["refundable_amount"]) == (
        "chargeback",
        "none",
        0,
    )
    answer = brand.refund(payment, {"amount": 1})
    assert (answer.status, complaint(answer)) == (400, wrong_status("chargeback"))
    assert brand.product.refunds(payment["id"]) == []


def test_a_purchase_whose_money_was_taken_back(brand: Brand):
    payment = brand.product.returned("chip", 10_000, "MYR")
    assert brand.see(payment)["status"] == "chargeback"
    assert complaint(brand.refund(payment)) == wrong_status("chargeback")
    assert brand.product.refunds(payment["id"]) == []


# --- what the rail does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("insufficient_funds", "insufficient_funds"),
        ("exceeded_acquirer_refund_amount", "exceeded_acquirer_refund_amount"),
        ("timeout_acquirer_status_check", "timeout_acquirer_status_check"),
        ("funds", "insufficient_funds"),
        ("R01", "do_not_honour"),
    ],
)
def test_a_processing_error_is_kept_as_the_newest_attempt(brand: Brand, code: str, shown: str):
    payment = brand.purchase()
    brand.made(payment, {"amount": 100})
    brand.product.next_refund(payment["id"], f"decline:{code}")
    answer = brand.refund(payment, {"amount": 200})
    member, word, message = complaint(answer)
    assert (answer.status, member, word) == (400, "__all__", "purchase_refund_error")
    purchase = brand.see(payment)
    failed, refunded, paid = purchase["transaction_data"]["attempts"]
    assert (failed["type"], failed["successful"]) == ("refund", False)
    assert failed["error"] == {"code": shown, "message": message}
    assert (refunded["type"], refunded["successful"], paid["type"]) == ("refund", True, "execute")
    assert (purchase["status"], purchase["refundable_amount"]) == ("refunded", 9_900)
    assert brand.made(payment)["payment"]["amount"] == 9_900


@pytest.mark.parametrize(
    ("scenario", "in_the_end", "left"),
    [
        ("pending:30", "refunded", 6_000),
        ("pending:30:decline", "paid", 10_000),
        ("lost_answer:executed", "refunded", 6_000),
        ("lost_answer:not_executed", "refunded", 6_000),
        ("error_after_execution", "refunded", 6_000),
    ],
)
def test_a_refund_that_has_not_ended_is_a_purchase(brand: Brand, scenario: str, in_the_end: str, left: int):
    payment = brand.purchase(scenario=scenario)
    body = brand.made(payment, {"amount": 4_000})
    assert (body["type"], body["id"], body["status"]) == ("purchase", payment["dialect_id"], "pending_refund")
    assert (body["refund_availability"], body["refundable_amount"]) == ("all", 6_000)
    assert [each["type"] for each in body["transaction_data"]["attempts"]] == ["execute"]
    for again in (None, {"amount": 1}):  # people click again where a plugin says that it failed
        assert complaint(brand.refund(payment, again)) == wrong_status("pending_refund")
    ended = brand.seen(payment, in_the_end)
    assert ended["refundable_amount"] == left
    assert [each["status"] for each in ended["status_history"]] == ["created", "paid", "pending_refund", in_the_end]
    assert ended["transaction_data"]["attempts"][0]["successful"] is (in_the_end == "refunded")
    assert len(brand.product.refunds(payment["id"])) == 1


@pytest.mark.parametrize("scenario", ["requires_action", "wrong_amount:1"])
def test_what_a_person_must_look_at_is_pending(brand: Brand, scenario: str):
    payment = brand.purchase(scenario=scenario)
    assert brand.made(payment, {"amount": 30})["status"] == "pending_refund"
    assert brand.see(payment)["status"] == "pending_refund"


def test_a_refund_whose_money_came_back_is_a_failed_attempt(brand: Brand):
    payment = brand.purchase(scenario="late_failure:30")
    assert brand.made(payment)["type"] == "payment"
    assert brand.see(payment)["status"] == "refunded"
    purchase = brand.seen(payment, "paid")
    assert (purchase["refund_availability"], purchase["refundable_amount"]) == ("all", 10_000)
    newest = purchase["transaction_data"]["attempts"][0]
    assert (newest["type"], newest["successful"]) == ("refund", False)


def test_a_late_answer_is_in_time_when_the_clock_moves(brand: Brand):
    payment = brand.purchase(scenario="slow:3600")
    asked = brand.product.begin(brand.refund, payment, {"amount": 4_000})
    brand.product.until_sent(payment)
    brand.product.advance(hours=1)
    assert said(asked.result())["type"] == "payment"


def test_an_acquirer_that_takes_too_long(brand: Brand, unhurried: dict[str, Any]):
    """Three seconds, then the Purchase in pending_refund; the refund itself goes on."""
    asked, payment = unhurried["chip"]
    body = fits(asked.result())
    assert (body["type"], body["id"], body["status"]) == ("purchase", payment["dialect_id"], "pending_refund")
    assert brand.product.executed(payment["id"]) == [1_000]


def test_calls_at_once_never_give_more_than_came_in(brand: Brand):
    """CHIP serialises the refunds of a purchase: each is decided on what the one before it left."""
    payment = brand.purchase()
    answers = brand.product.at_once([partial(brand.refund, payment, {"amount": 6_000})] * 6)
    assert sorted(each.status for each in answers) == [200] + [400] * 5
    allowed = {too_large(4_000), wrong_status("pending_refund")}
    assert {complaint(each) for each in answers if each.status == 400} <= allowed
    assert brand.seen(payment, "refunded")["refundable_amount"] == 4_000
    assert brand.product.executed(payment["id"]) == [6_000]


def test_parts_at_once_all_fit(brand: Brand):
    payment = brand.purchase()
    answers = brand.product.at_once([partial(brand.refund, payment, {"amount": 2_500})] * 4)
    assert {each.status for each in answers} == {200}
    assert brand.seen(payment, "refunded")["refundable_amount"] == 0
    assert brand.product.executed(payment["id"]) == [2_500] * 4


# --- habits of clients -----------------------------------------------------------------------------------------------

TEN = '{"amount": 10}'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/purchases/{}/refund", TEN),
        ("//purchases/{}/refund/", TEN),  # the Node SDK joins a base that ends in a slash with one more
        ("//purchases//{}//refund//", TEN),
        ("/purchases/{}/refund/?time=1700000000", TEN),
        ("/purchases/{}/refund/", '{"currency": "EUR", "amount": 10, "client_name": "A. Payer", "reason": "x"}'),
        ("/purchases/{}/refund/", raw(TEN, FORM)),
        ("/purchases/{}/refund/", raw(TEN, None)),
        ("/purchases/{}/refund/", raw(TEN, "application/json; charset=utf-8")),
        ("/purchases/{}/refund/", raw(BOM + TEN.encode())),
        ("/purchases/{}/refund/", form("amount=10&")),
        ("/purchases/{}/refund/", raw("amount=10", JSON)),
    ],
)
def test_habits_that_are_understood(brand: Brand, path: str, body: Any):
    payment = brand.purchase()
    assert fits(brand.face.post(path.format(payment["dialect_id"]), body))["payment"]["amount"] == 10


def test_ids_in_capitals_and_the_scheme_in_small_letters(brand: Brand):
    payment = brand.purchase()
    face = brand.face.as_(f"bearer {brand.ready['secret_key']}")
    assert said(face.get(f"/purchases/{payment['dialect_id'].upper()}/?time=1"))["id"] == payment["dialect_id"]


def test_every_answer_is_json_that_a_strict_reader_takes(brand: Brand):
    payment = brand.purchase()
    for answer in (brand.refund(payment, TEN), brand.refund(payment, "{"), brand.face.get("/nowhere")):
        assert answer.headers["content-type"].startswith("application/json")
        assert isinstance(answer.body, bytes)
        json.loads(answer.body.decode("utf-8"))
