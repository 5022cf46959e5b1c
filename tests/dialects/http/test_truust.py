"""Truust over HTTP: a row for every documented rule and error of the refund call, and its clients' habits."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from moneyback.dialect import Outgoing
from tests.dialects.driver import said
from tests.dialects.http.server import (
    BOM,
    FORM,
    NOTHING,
    Product,
    basic,
    bearer,
    form,
    multipart,
    raw,
)
from tests.dialects.truust.test_server import PAYIN, REFUND, both, checked, errors, paginator

NOT_A_NUMBER = "The amount must be a number."
TOO_PRECISE = "The amount may not have more than 2 decimal places."
NEGATIVE = "The amount must be at least 0."
OUT_OF_RANGE = "The amount is out of range."
NOTHING_LEFT = "The payin has nothing left to refund."
NO_REFUNDS = {"message": "Refunds are not supported for this payment method."}


class Account:
    """A Truust account: its payins, its refunds, its bank accounts."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.ready = product.ready["truust"]
        self.face = product.face("truust", bearer(self.ready["secret_key"]))

    def payin(self, amount: int = 100_00, currency: str = "EUR", **members: Any) -> dict[str, Any]:
        return self.product.pay("truust", amount, currency, **members)

    def refund(self, payment: dict[str, Any], body: Any = None, **headers: str) -> Outgoing:
        """The refund call; its answer satisfies the schema of what it is."""
        answer = self.face.post(f"/2.0/payins/{payment['dialect_id']}/refund", body, **headers)
        return checked(answer, both(PAYIN))

    def made(self, payment: dict[str, Any], body: Any = None, **headers: str) -> dict[str, Any]:
        """The refund that a call made: the one its answer names."""
        answer = self.refund(payment, body, **headers)
        assert answer.status == 200, said(answer)
        return self.named(said(answer))

    def named(self, payin: dict[str, Any]) -> dict[str, Any]:
        return self.read(payin["connections"]["refund"], REFUND)

    def see(self, payment: dict[str, Any]) -> dict[str, Any]:
        return self.read(f"/2.0/payins/{payment['dialect_id']}", PAYIN)

    def again(self, refund: dict[str, Any]) -> dict[str, Any]:
        return self.read(refund["self"], REFUND)

    def read(self, path: str, members: dict[str, Any]) -> dict[str, Any]:
        answer = checked(self.face.get(path), both(members))
        assert answer.status == 200, said(answer)
        body = said(answer)
        assert list(body) == [*members, "data"]
        assert body.pop("data") == body
        return body

    def listed(self, path: str, members: dict[str, Any]) -> dict[str, Any]:
        return said(checked(self.face.get(path), paginator(members)))

    def ended(self, refund: dict[str, Any], status: str) -> dict[str, Any]:
        """The refund, once time has brought it to a status."""

        def seen() -> dict[str, Any] | None:
            current = self.again(refund)
            return current if current["status"] == status else None

        found: dict[str, Any] = self.product.in_time(seen, f"a refund is {status}")
        return found

    def untouched(self, payment: dict[str, Any]) -> bool:
        """Whether nothing was admitted: no refund, not even a failed one."""
        return self.product.payment(payment["id"]) == payment and self.product.refunds(payment["id"]) == []


@pytest.fixture(scope="module")
def account(product: Product) -> Account:
    return Account(product)


# --- amounts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ('{"amount": "10"}', "10.00 €"),
        ('{"amount": 10}', "10.00 €"),
        ('{"amount": 10.0}', "10.00 €"),
        ('{"amount": "10.00"}', "10.00 €"),
        ('{"amount": 10.000}', "10.00 €"),
        ('{"amount": 1e2}', "100.00 €"),
        ('{"amount": "1e2"}', "100.00 €"),
        ('{"amount": 0.01}', "0.01 €"),
        ('{"amount": 23.77}', "23.77 €"),
        ("{}", "1000.00 €"),
        (NOTHING, "1000.00 €"),
        (form("amount=10"), "10.00 €"),
        (form("amount=10.00"), "10.00 €"),
        (multipart({"amount": "10.00"}), "10.00 €"),
    ],
)
def test_amounts_that_are_taken(account: Account, body: Any, given: str):
    refund = account.made(account.payin(1000_00), body)
    assert (refund["amount"], refund["status"], refund["provider"]) == (given, "CONFIRMED", None)


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        ("10.005", TOO_PRECISE),
        ('"10.005"', TOO_PRECISE),
        ("-1", NEGATIVE),
        ('"-1"', NEGATIVE),
        ("-0.01", NEGATIVE),
        ('""', NOT_A_NUMBER),
        ("null", NOT_A_NUMBER),
        ("[]", NOT_A_NUMBER),
        ("{}", NOT_A_NUMBER),
        ("true", NOT_A_NUMBER),
        ("false", NOT_A_NUMBER),
        ('"ten"', NOT_A_NUMBER),
        ('"10,00"', NOT_A_NUMBER),
        ("9223372036854775807", OUT_OF_RANGE),
        ("100.01", "The amount may not be greater than 100.00."),
        ("1e15", "The amount may not be greater than 100.00."),
    ],
)
def test_amounts_that_are_refused(account: Account, amount: str, sentence: str):
    payment = account.payin()
    assert errors(account.refund(payment, f'{{"amount": {amount}}}')) == {"amount": [sentence]}
    assert account.untouched(payment)


@pytest.mark.parametrize("amount", ["0", "0.00", '"0"', "-0"])
def test_nothing_is_in_range_and_moves_nothing(account: Account, amount: str):
    payment = account.payin()
    body = said(account.refund(payment, f'{{"amount": {amount}}}'))
    assert (body["status"], "refund" in body["connections"]) == ("CONFIRMED", False)
    assert account.untouched(payment)


@pytest.mark.parametrize(
    ("currency", "amount", "expected"),
    [
        ("JPY", "1000", "1000 JPY"),
        ("JPY", "10.5", {"amount": ["The amount may not have more than 0 decimal places."]}),
        ("KWD", "1.234", "1.234 KWD"),
        ("USD", "1.50", "1.50 $"),
        ("GBP", "1.5", "1.50 £"),
    ],
)
def test_every_currency_has_its_own_decimals(account: Account, currency: str, amount: str, expected: Any):
    payment = account.payin(100_000, currency)
    answer = account.refund(payment, f'{{"amount": {amount}}}')
    found = errors(answer) if answer.status == 422 else account.named(said(answer))["amount"]
    assert found == expected


def test_parts_and_the_rest_close_to_zero(account: Account):
    payment = account.payin(100_00)
    assert said(account.refund(payment, {"amount": 30}))["status"] == "CONFIRMED"
    assert errors(account.refund(payment, {"amount": 70.01})) == {
        "amount": ["The amount may not be greater than 70.00."]
    }
    assert said(account.refund(payment, {"amount": 33.33}))["status"] == "CONFIRMED"
    rest = said(account.refund(payment))
    assert (rest["status"], account.named(rest)["amount"]) == ("REFUNDED", "36.67 €")
    for body in (NOTHING, raw('{"amount": 0.01}')):
        assert errors(account.refund(payment, body)) == {"payin": [NOTHING_LEFT]}
    after = account.product.payment(payment["id"])
    assert (after["refunded"], after["refundable"], after["held"]) == (100_00, 0, 0)
    assert account.product.executed(payment["id"]) == [30_00, 33_33, 36_67]


def test_two_equal_requests_are_two_refunds(account: Account):
    payment = account.payin(100_00)
    same = {"amount": 10, "tag": "same", "metadata": {"a": 1}}
    first, second = account.made(payment, same), account.made(payment, same, Idempotency_Key="a-key-of-the-client")
    assert second["id"] > first["id"]
    assert account.product.payment(payment["id"])["refunded"] == 20_00


def test_calls_at_once_never_give_more_than_came_in(account: Account):
    payment = account.payin(100_00)
    calls = [partial(account.refund, payment, {"amount": 60, "tag": str(n)}) for n in range(6)]
    answers = account.product.at_once(calls)
    assert sorted(each.status for each in answers) == [200] + [422] * 5
    left = {"amount": ["The amount may not be greater than 40.00."]}
    assert [errors(each) for each in answers if each.status == 422] == [left] * 5
    assert account.product.executed(payment["id"]) == [60_00]


# --- the other fields ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('{"multipayin": 2}', {"multipayin": ["The selected multipayin is invalid."]}),
        ('{"multipayin": true}', {"multipayin": ["The selected multipayin is invalid."]}),
        ('{"bankaccount_id": "one"}', {"bankaccount_id": ["The bankaccount id must be an integer."]}),
        ({"tag": "x" * 101}, {"tag": ["The tag may not be longer than 100 characters."]}),
        ('{"tag": 7}', {"tag": ["The tag must be a string."]}),
        ('{"metadata": "x"}', {"metadata": ["The metadata must be an object."]}),
        ('{"metadata": []}', {"metadata": ["The metadata must be an object."]}),
        (
            '{"amount": -1, "multipayin": 2, "tag": 7}',
            {
                "amount": [NEGATIVE],
                "multipayin": ["The selected multipayin is invalid."],
                "tag": ["The tag must be a string."],
            },
        ),
        ("[1]", {"body": ["The body must be an object."]}),
        ("7", {"body": ["The body must be an object."]}),
        ('{"amount": 1', {"body": ["The body could not be read."]}),
        (b'{"tag": "\xff"}', {"body": ["The body could not be read."]}),
        (r'{"tag": "\u0000"}', {"body": ["The body could not be read."]}),
        (r'{"tag": "\ud800"}', {"body": ["The body could not be read."]}),
        ('{"amount": 99999999999999999999}', {"body": ["The body could not be read."]}),
        (raw('<refund amount="10"/>', "text/xml"), {"body": ["The body could not be read."]}),
        ('{"metadata": ' + "[" * 40 + "]" * 40 + "}", {"body": ["The body could not be read."]}),
    ],
)
def test_fields_that_are_refused(account: Account, body: Any, wrong: Any):
    payment = account.payin()
    assert errors(account.refund(payment, body)) == wrong
    assert account.untouched(payment)


def test_tag_and_metadata_come_back_and_are_found(account: Account):
    payment = account.payin(order="77", dialect_data={"tag": "the payin's"})
    tag = f"return-{payment['dialect_id']}" + "x" * 80
    refund = account.made(payment, {"amount": 1, "tag": tag[:100], "metadata": {"ticket": 7, "lines": ["a", None]}})
    assert (refund["tag"], refund["metadata"]) == (tag[:100], {"ticket": 7, "lines": ["a", None]})
    number = int(payment["dialect_id"])
    assert (refund["payin_id"], refund["escrow_id"], refund["wallet_id"]) == (number, 77, None)
    assert refund["connections"] == {"payin": f"/2.0/payins/{number}", "order": "/2.0/orders/77"}
    assert isinstance(refund["reference_id"], str)
    assert account.see(payment)["tag"] == "the payin's"
    for query in (
        f"search=tag&query={tag[:100]}",
        f"search=payin_id&query={number}",
        f"search=id&query={refund['id']}",
    ):
        found = account.listed(f"/2.0/refunds?{query}", REFUND)
        assert (found["total"], found["data"]) == (1, [refund])


@pytest.mark.parametrize("kind", [form, multipart], ids=["form", "multipart"])
def test_forms_say_what_json_says(account: Account, kind: Any):
    fields = {"amount": "2.50", "multipayin": "0", "tag": "a b&c", "metadata[ticket]": "7", "metadata[deep][er]": "x"}
    refund = account.made(account.payin(), kind(fields))
    assert (refund["amount"], refund["tag"]) == ("2.50 €", "a b&c")
    assert refund["metadata"] == {"ticket": "7", "deep": {"er": "x"}}


# --- who asks, and for what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", [None, bearer("sk_stage_wrong"), "Bearer", basic("sk_stage_x", "y"), "x"])
def test_without_the_key_nothing_is_said(account: Account, authorization: str | None):
    payment = account.payin()
    stranger = account.face.as_(authorization)
    for path in (f"/2.0/payins/{payment['dialect_id']}/refund", "/2.0/payins/1/refund"):
        answer = stranger.post(path, {"amount": 1})
        assert (answer.status, said(answer)) == (401, {"message": "Unauthenticated."})
    assert account.untouched(payment)


@pytest.mark.parametrize("number", ["1", "999999999999999", "abc", "1e3", "%00", "-1"])
def test_a_payin_that_is_not_there(account: Account, number: str):
    for answer in (
        account.face.post(f"/2.0/payins/{number}/refund", {"amount": -1}),
        account.face.get("/2.0/refunds/1"),
    ):
        assert (answer.status, said(answer)) == (404, {"message": "Not found"})


def test_the_number_of_a_refund_is_not_a_payins(account: Account):
    refund = account.made(account.payin(), {"amount": 1})
    answer = account.face.post(f"/2.0/payins/{refund['id']}/refund", {"amount": 1})
    assert (answer.status, said(answer)) == (404, {"message": "Not found"})


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/2.0/payins/1/refund", 405, "The GET method is not supported for this route."),
        ("PUT", "/2.0/payins/1/refund", 405, "The PUT method is not supported for this route."),
        ("POST", "/2.0/payins/1/refunds", 404, "Not found"),
        ("POST", "/1.0/payins/1/refund", 404, "Not found"),
        ("GET", "/", 404, "Not found"),
    ],
)
def test_what_is_not_served_is_said_in_truusts_words(
    account: Account, method: str, path: str, status: int, message: str
):
    answer = account.face.ask(method, path)
    assert (answer.status, said(answer)) == (status, {"message": message})
    assert answer.headers.get("allow") == ("OPTIONS, POST" if status == 405 else None)


def test_too_large_a_body(account: Account):
    payment = account.payin()
    answer = account.refund(payment, {"tag": "x" * (1 << 20)})
    assert (answer.status, said(answer)) == (413, {"message": "The body is too large."})
    assert account.untouched(payment)


# --- which payins ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["SIBS_MULTIBANCO", "DOCOMO", "INESPAY"])
def test_methods_without_refunds_are_forbidden(account: Account, method: str):
    payment = account.payin(method=method)
    answer = account.refund(payment, {"amount": 1})
    assert (answer.status, said(answer)) == (403, NO_REFUNDS)
    assert account.untouched(payment)


@pytest.mark.parametrize(
    ("members", "shown", "sentence"),
    [
        (
            {"status": "authorized"},
            "AUTHORIZED",
            "The payin is only authorized. Release it with the cancelpreauth call; "
            "only a confirmed payin can be refunded.",
        ),
        (
            {"status": "processing"},
            "CREATED",
            "The payin is not paid yet. Only a confirmed payin can be refunded.",
        ),
        ({"status": "failed"}, "DENIED", "The payin was not paid. Only a confirmed payin can be refunded."),
        (
            {"status": "failed", "dialect_data": {"failure_status": "CANCELLED"}},
            "CANCELLED",
            "The payin was not paid. Only a confirmed payin can be refunded.",
        ),
    ],
    ids=["authorized", "created", "denied", "cancelled"],
)
def test_only_a_confirmed_payin_is_refunded(account: Account, members: Any, shown: str, sentence: str):
    payment = account.payin(**members)
    assert account.see(payment)["status"] == shown
    assert (account.see(payment)["direct_link"] is not None) == (shown in ("CREATED", "AUTHORIZED"))
    for body in (NOTHING, raw('{"amount": 1}')):
        assert errors(account.refund(payment, body)) == {"payin": [sentence]}
    assert account.untouched(payment)


def test_a_payin_has_no_time_limit(account: Account):
    payment = account.payin(age=timedelta(days=5 * 365))
    assert account.made(payment, {"amount": 1})["status"] == "CONFIRMED"


def test_a_wallet_payin_goes_back_to_its_wallet(account: Account):
    payment = account.payin(method="WALLET", dialect_data={"wallet_id": 4201})
    assert account.made(payment)["wallet_id"] == 4201


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, "The bankaccount id field is required when the payin is a bank wire."),
        ({"bankaccount_id": ""}, "The bankaccount id field is required when the payin is a bank wire."),
        ({"bankaccount_id": None}, "The bankaccount id field is required when the payin is a bank wire."),
        ({"bankaccount_id": 999}, "The selected bankaccount id is invalid."),
        ({"bankaccount_id": "6d1f6c1e-8a55-4c0e-9a53-0f8f5b3c7d21"}, "The bankaccount id must be an integer."),
    ],
)
def test_a_bank_wire_needs_an_account_of_ours(account: Account, body: Any, wrong: str):
    payment = account.payin(method="BANKWIRE")
    assert errors(account.refund(payment, {"amount": 1} | body)) == {"bankaccount_id": [wrong]}
    assert account.untouched(payment)


def test_a_bank_wire_is_created_and_confirmed_when_it_settled(account: Account):
    payment = account.payin(method="BANKWIRE", scenario="pending:86400")
    to = account.ready["bankaccounts"][1]
    refund = account.made(payment, {"bankaccount_id": str(to["id"])})
    assert refund["status"] == "CREATED"
    assert account.see(payment)["status"] == "CONFIRMED"
    account.product.advance(days=1)
    assert account.ended(refund, "CONFIRMED")["denied_at"] is None
    assert account.see(payment)["status"] == "REFUNDED"
    shown = said(account.face.get(f"/2.0/bankaccounts/{to['uuid']}"))
    assert (shown["id"], shown["uuid"]) == (to["id"], to["uuid"])


def test_other_payins_ignore_the_bank_account(account: Account):
    assert account.made(account.payin(), {"bankaccount_id": 999})["status"] == "CONFIRMED"


# --- what the rail does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["190", "Do not honour", "funds"])
def test_a_declined_refund_is_denied_and_its_money_restored(account: Account, code: str):
    payment = account.payin(scenario=f"decline:{code}")
    refund = account.made(payment, {"amount": 30})
    assert (refund["status"], refund["provider"]["code"]) == ("DENIED", code)
    assert refund["denied_at"] is not None
    assert account.see(payment)["status"] == "CONFIRMED"
    assert account.product.payment(payment["id"])["refundable"] == 100_00
    assert account.product.executed(payment["id"]) == []


@pytest.mark.parametrize(
    ("scenario", "at_first", "in_the_end", "left"),
    [
        ("pending:30", "CREATED", "CONFIRMED", 0),
        ("pending:30:decline", "CREATED", "DENIED", 100_00),
        ("pending:30:late_failure", "CREATED", "DENIED", 100_00),
        ("late_failure:30", "CONFIRMED", "DENIED", 100_00),
        ("lost_answer:executed", "CREATED", "CONFIRMED", 0),
        ("lost_answer:not_executed", "CREATED", "CONFIRMED", 0),
        ("error_after_execution", "CREATED", "CONFIRMED", 0),
    ],
)
def test_what_becomes_of_a_refund(account: Account, scenario: str, at_first: str, in_the_end: str, left: int):
    payment = account.payin(scenario=scenario)
    answer = said(account.refund(payment))
    refund = account.named(answer)
    assert (refund["status"], refund["denied_at"]) == (at_first, None)
    assert answer["status"] == ("CONFIRMED" if at_first == "CREATED" else "REFUNDED")
    assert errors(account.refund(payment, {"amount": 1})) == {"payin": [NOTHING_LEFT]}
    ended = account.ended(refund, in_the_end)
    assert (ended["denied_at"] is not None) == (in_the_end == "DENIED")
    assert account.product.payment(payment["id"])["refundable"] == left
    assert account.see(payment)["status"] == ("CONFIRMED" if left else "REFUNDED")
    assert len(account.product.executed(payment["id"])) == (0 if scenario.endswith("decline") else 1)


@pytest.mark.parametrize("scenario", ["requires_action", "wrong_amount:1"])
def test_what_a_person_must_look_at_is_created(account: Account, scenario: str):
    payment = account.payin(scenario=scenario)
    assert account.made(payment, {"amount": 30})["status"] == "CREATED"


def test_a_late_answer_is_in_time_when_the_clock_moves(account: Account):
    payment = account.payin(scenario="slow:3600")
    asked = account.product.begin(account.refund, payment, {"amount": 30})
    account.product.until_sent(payment)
    account.product.advance(hours=1)
    answer = said(asked.result())
    assert account.named(answer)["status"] == "CONFIRMED"


def test_a_rail_that_takes_too_long(account: Account, unhurried: dict[str, Any]):
    """Ten seconds, then the payin as it stands and a refund that is CREATED."""
    asked, payment = unhurried["truust"]
    answer = said(checked(asked.result(), both(PAYIN)))
    assert (answer["id"], answer["status"]) == (int(payment["dialect_id"]), "CONFIRMED")
    assert account.product.executed(payment["id"]) == [10_00]


def test_a_disputed_amount_is_not_refundable(account: Account):
    payment = account.product.disputed("truust", 100_00, "EUR")
    assert errors(account.refund(payment, {"amount": 1})) == {"payin": [NOTHING_LEFT]}
    assert account.see(payment)["status"] == "CONFIRMED"
    assert account.product.refunds(payment["id"]) == []


def test_a_payin_that_its_bank_took_back(account: Account):
    payment = account.product.returned("truust", 100_00, "EUR")
    assert errors(account.refund(payment)) == {"payin": [NOTHING_LEFT]}
    assert account.product.refunds(payment["id"]) == []


def test_platform_fees_leave_the_payers_amount_as_it_was_asked(account: Account):
    payment = account.payin(100_00, fees=10_00)
    assert account.made(payment, {"amount": 40})["amount"] == "40.00 €"
    assert account.made(payment)["amount"] == "60.00 €"
    assert account.see(payment)["status"] == "REFUNDED"


# --- a whole order ---------------------------------------------------------------------------------------------------


class Order:
    """Payins of one order, in the sequence of their numbers."""

    count = 0

    def __init__(self, account: Account, *payins: dict[str, Any]) -> None:
        Order.count += 1
        self.account = account
        self.name = str(700_000 + Order.count)
        self.payins = [account.payin(order=self.name, **members) for members in payins]

    def refund(self, of: int, **fields: Any) -> Outgoing:
        return self.account.refund(self.payins[of], {"multipayin": 1, **fields})

    @property
    def refunded(self) -> list[int]:
        return [self.account.product.payment(each["id"])["refunded"] for each in self.payins]


def test_all_payins_of_an_order_are_refunded_in_full(account: Account):
    order = Order(account, {"amount": 120_00}, {"amount": 80_00, "method": "BIZUM"}, {"amount": 5_00})
    answer = said(order.refund(1, tag="all of it"))
    assert (answer["id"], answer["status"]) == (int(order.payins[1]["dialect_id"]), "REFUNDED")
    assert order.refunded == [120_00, 80_00, 5_00]
    assert [account.see(each)["status"] for each in order.payins] == ["REFUNDED"] * 3
    found = account.listed(f"/2.0/refunds?search=escrow_id&query={order.name}&sort=asc", REFUND)
    assert [each["amount"] for each in found["data"]] == ["80.00 €", "120.00 €", "5.00 €"]
    assert {each["tag"] for each in found["data"]} == {"all of it"}
    assert errors(order.refund(0)) == {"payin": [NOTHING_LEFT]}


@pytest.mark.parametrize(
    ("of", "amount", "expected"),
    [
        (0, 50, [50_00, 0, 0]),
        (1, 80, [0, 80_00, 0]),
        (1, 81, [1_00, 80_00, 0]),
        (2, "204.99", [120_00, 79_99, 5_00]),
        (0, 205, [120_00, 80_00, 5_00]),
    ],
)
def test_a_total_comes_from_the_payin_of_the_path_first(account: Account, of: int, amount: Any, expected: list[int]):
    order = Order(account, {"amount": 120_00}, {"amount": 80_00}, {"amount": 5_00})
    assert order.refund(of, amount=amount).status == 200
    assert order.refunded == expected


@pytest.mark.parametrize(
    ("other", "fields", "status", "wrong"),
    [
        ({"method": "DOCOMO"}, {}, 403, None),
        ({"method": "BANKWIRE"}, {}, 422, {"bankaccount_id"}),
        ({"method": "BANKWIRE"}, {"bankaccount_id": 999}, 422, {"bankaccount_id"}),
        ({"currency": "USD"}, {}, 422, {"multipayin"}),
        ({}, {"amount": 200.01}, 422, {"amount"}),
    ],
    ids=["without refunds", "bank wire without account", "unknown account", "another currency", "too much"],
)
def test_one_payin_that_cannot_be_refunded_refuses_all(
    account: Account, other: Any, fields: Any, status: int, wrong: Any
):
    order = Order(account, {}, other)
    answer = order.refund(0, **fields)
    assert answer.status == status
    assert wrong is None or set(errors(answer)) == wrong
    assert all(account.untouched(each) for each in order.payins)


def test_payins_that_are_not_confirmed_take_no_part(account: Account):
    order = Order(
        account, {"amount": 50_00}, {"amount": 9_00, "status": "authorized"}, {"amount": 7_00, "status": "failed"}
    )
    assert order.refund(0).status == 200
    assert order.refunded == [50_00, 0, 0]


def test_what_becomes_of_one_refund_of_an_order_changes_nothing_about_the_others(account: Account):
    order = Order(account, {"amount": 50_00, "scenario": "decline:190"}, {"amount": 9_00})
    answer = said(order.refund(0))
    assert (answer["status"], account.named(answer)["status"]) == ("CONFIRMED", "DENIED")
    assert order.refunded == [0, 9_00]


def test_without_the_flag_only_the_payin_of_the_path_is_refunded(account: Account):
    order = Order(account, {}, {})
    assert order.refund(0, multipayin=0).status == 200
    assert order.refunded == [100_00, 0]


# --- lists -----------------------------------------------------------------------------------------------------------


def test_refunds_are_listed_newest_first(account: Account):
    payment = account.payin()
    made = [account.made(payment, {"amount": number})["id"] for number in (1, 2, 3)]
    of_payin = f"/2.0/refunds?search=payin_id&query={payment['dialect_id']}"
    assert [each["id"] for each in account.listed(of_payin, REFUND)["data"]] == made[::-1]
    page = account.listed(f"{of_payin}&sort=asc&per_page=2&page=2", REFUND)
    assert [each["id"] for each in page["data"]] == made[2:]
    counted = ("current_page", "last_page", "per_page", "total", "from", "to")
    assert [page[name] for name in counted] == [2, 2, 2, 3, 3, 3]
    assert list(page) == [*counted, "data"]
    assert account.listed("/2.0/refunds", REFUND)["per_page"] == 15


def test_payins_are_listed_as_they_are_read(account: Account):
    payment = account.payin()
    found = account.listed(f"/2.0/payins?search=id&query={payment['dialect_id']}", PAYIN)
    assert found["data"] == [account.see(payment)]


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("search=colour&query=x", {"search": ["The selected search is invalid."]}),
        ("per_page=101", {"per_page": ["The per page may not be greater than 100."]}),
        ("page=0&sort=up", {"page": ["The page must be at least 1."], "sort": ["The selected sort is invalid."]}),
    ],
)
def test_parameters_of_a_list_that_are_wrong(account: Account, query: str, wrong: Any):
    assert errors(account.face.get(f"/2.0/refunds?{query}")) == wrong


# --- habits of clients -----------------------------------------------------------------------------------------------

TEN = '{"amount": 10}'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/2.0/payins/{}/refund/", TEN),
        ("/2.0//payins/{}/refund", TEN),
        ("//2.0/payins//{}//refund//", TEN),
        ("/2.0/payins/{}/refund?time=1700000000", TEN),
        ("/2.0/payins/{}/refund", raw(BOM + TEN.encode())),
        ("/2.0/payins/{}/refund", raw(TEN, FORM)),
        ("/2.0/payins/{}/refund", raw(TEN, None)),
        ("/2.0/payins/{}/refund", raw(TEN, "application/json; charset=utf-8")),
        ("/2.0/payins/{}/refund", raw(TEN, "text/plain")),
        ("/2.0/payins/{}/refund", form("amount=10&")),
        ("/2.0/payins/{}/refund", raw("amount=10", "application/json")),
        ("/2.0/payins/{}/refund", '{"amount": 10, "currency": "USD", "reason": "none", "id": 1, "data": {}}'),
        ("/2.0/payins/{}/refund", ' \r\n {"amount": 1, "amount": 10} '),
    ],
)
def test_habits_that_are_understood(account: Account, path: str, body: Any):
    payment = account.payin()
    answer = checked(account.face.post(path.format(payment["dialect_id"]), body), both(PAYIN))
    assert account.named(said(answer))["amount"] == "10.00 €"


@pytest.mark.parametrize("scheme", ["bearer {}", "BEARER {}", "Bearer   {}"])
def test_the_scheme_is_read_without_case(account: Account, scheme: str):
    face = account.face.as_(scheme.format(account.ready["secret_key"]))
    assert face.get(f"/2.0/payins/{account.ready['payins'][0]['id']}").status == 200


def test_the_link_of_an_open_payin_leads_to_where_the_client_asked(account: Account):
    unpaid = next(each for each in account.ready["payins"] if each["order_id"] == 500007)
    open_ = account.see({"dialect_id": str(unpaid["id"])})
    assert open_["direct_link"].startswith(f"{account.face.base_url}/direct/")


def test_every_refund_of_a_list_is_read_by_its_number(account: Account):
    account.made(account.payin(), {"amount": 1})
    for each in account.listed("/2.0/refunds?per_page=20", REFUND)["data"]:
        assert account.again(each) == each
