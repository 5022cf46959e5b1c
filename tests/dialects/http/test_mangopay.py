"""Mangopay over HTTP: a row for every documented rule and error of pay-in refunds, tokens, keys and lists."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from moneyback.dialect import Outgoing
from moneyback.dialects.mangopay import schemas
from tests.dialects.driver import misfits, said
from tests.dialects.http.server import BOM, FORM, JSON, NOTHING, Product, basic, bearer, form, multipart, raw
from tests.dialects.mangopay.demo import AUTHOR, consistent, well_formed

FULL = {"AuthorId": AUTHOR}
MESSAGES = {
    "000000": "Success",
    "001001": "Unsufficient wallet balance",
    "001003": "Unsufficient balance for this emoney owner",
    "001014": "CreditedFunds must be more than 0 (DebitedFunds can not equal Fees)",
    "001401": "Transaction has already been successfully refunded",
    "001403": "The transaction cannot be refunded (max 11 months)",
    "001404": "No more refunds can be created against this transaction",
    "001405": "The initial transaction occured less than 7 days ago",
    "001999": "Generic Operation error",
    "005403": "The refund cannot exceed initial transaction amount",
    "005404": "The refunded fees cannot exceed initial fee amount",
    "005405": "Balance of client fee wallet unsufficient",
    "005406": "Another refund for this transaction is still pending.",
    "005407": "Duplicated operation: you cannot reimburse the same amount more than once for a transaction "
    "during the same day.",
    "005408": "Due to repudiations against this transaction, you can not refund this amount.",
}
PARAMETERS = (
    "One or several required parameters are missing or incorrect. "
    "An incorrect resource ID also raises this kind of error."
)
NO_INTEGER = "The Amount must be an integer of minor units"
AT_LEAST_1 = "The Amount must be at least 1"
OVER_CREDITED = {"DebitedFunds": "DebitedFunds cannot be superior the CreditedFunds of the initial PayIn"}
REPUDIATED = {"DebitedFunds": "Due to repudiations against this transaction, you can not refund this amount"}
UNREFUNDABLE = {"PayInId": "A PayIn of this payment method cannot be refunded"}
NOT_SUCCEEDED = "The original transaction must have a SUCCEEDED Status to be refunded"


def money(amount: Any, currency: str = "EUR") -> dict[str, Any]:
    return {"Currency": currency, "Amount": amount}


def amounts(debited: Any, fees: Any = 0, currency: str = "EUR", **members: Any) -> dict[str, Any]:
    """A request that states both amounts."""
    return FULL | {"DebitedFunds": money(debited, currency), "Fees": money(fees, currency)} | members


class Platform:
    """The client `demo` of Mangopay: pay-ins of 275.00 with 25.00 of fees, so that 250.00 are in the wallet."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.ready = product.ready["mangopay"]
        self.client = self.ready["client_id"]
        self.user = basic(self.client, self.ready["api_key"])
        self.face = product.face("mangopay", self.user)

    def payin(
        self, amount: int = 275_00, currency: str = "EUR", *, fees: int = 25_00, **members: Any
    ) -> dict[str, Any]:
        return self.product.pay("mangopay", amount, currency, fees=fees, **members)

    def refund(self, payment: dict[str, Any], body: Any = FULL, key: str | None = None) -> Outgoing:
        """POST a refund, a full one unless told otherwise; the answer satisfies its schema."""
        headers = {} if key is None else {"Idempotency_Key": key}
        return well_formed(self.face.post(self.path(payment), body, **headers))

    def path(self, payment: Mapping[str, Any]) -> str:
        return f"/v2.01/{self.client}/payins/{payment['dialect_id']}/refunds"

    def made(self, payment: dict[str, Any], body: Any = FULL, key: str | None = None) -> dict[str, Any]:
        """The refund object of a request that must be answered with one, failed or not."""
        answer = self.refund(payment, body, key)
        assert answer.status == 200, said(answer)
        refund = said(answer)
        if refund["ResultCode"] is not None:
            assert refund["ResultMessage"] == MESSAGES[refund["ResultCode"]]
        return refund

    def code(self, payment: dict[str, Any], body: Any = FULL) -> str | None:
        code: str | None = self.made(payment, body)["ResultCode"]
        return code

    def read(self, path: str) -> Any:
        answer = self.face.get(f"/v2.01/{self.client}/{path}")
        assert answer.status == 200, said(answer)
        return said(answer)

    def again(self, refund: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.read(f"refunds/{refund['Id']}")
        consistent(found)
        return found

    def ended(self, refund: dict[str, Any], status: str) -> dict[str, Any]:
        """The refund, once time has brought it to a Status."""

        def look() -> dict[str, Any] | None:
            current = self.again(refund)
            return current if current["Status"] == status else None

        found: dict[str, Any] = self.product.in_time(look, f"a refund is {status}")
        return found

    def untouched(self, payment: dict[str, Any]) -> bool:
        return self.product.payment(payment["id"]) == payment and self.product.refunds(payment["id"]) == []


def figures(refund: dict[str, Any]) -> tuple[int, int, int]:
    return tuple(refund[name]["Amount"] for name in ("DebitedFunds", "Fees", "CreditedFunds"))


def parameters(answer: Outgoing) -> Any:
    """The sentences of a 400 about parameters."""
    body = said(answer)
    assert (answer.status, body["Type"], body["Message"]) == (400, "param_error", PARAMETERS)
    assert re.fullmatch(r".+#\d+", body["Id"])
    return body["errors"]


@pytest.fixture(scope="module")
def platform(product: Product) -> Platform:
    return Platform(product)


def a_key() -> str:
    return str(uuid4())


# --- amounts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (FULL, (250_00, -25_00, 275_00)),
        (amounts(250_00, -25_00), (250_00, -25_00, 275_00)),
        (amounts(100, -10), (100, -10, 110)),
        (amounts(1), (1, 0, 1)),
        (amounts(100, 40), (100, 40, 60)),
        (amounts(250_00, 0), (250_00, 0, 250_00)),
    ],
    ids=["omitted", "the whole, stated", "fees given back", "the least", "fees charged", "the whole without fees"],
)
def test_the_three_amounts(platform: Platform, body: Any, expected: tuple[int, int, int]):
    payment = platform.payin()
    refund = platform.made(payment, body)
    assert (refund["Status"], refund["ResultCode"], figures(refund)) == ("SUCCEEDED", "000000", expected)
    assert (refund["AuthorId"], refund["InitialTransactionId"]) == (AUTHOR, payment["dialect_id"])
    assert refund["ExecutionDate"] >= refund["CreationDate"]
    assert platform.product.executed(payment["id"]) == [expected[2]]
    assert platform.again(refund) == refund


def test_a_currency_without_cents_is_not_scaled(platform: Platform):
    refund = platform.made(platform.payin(20_000, "JPY", fees=1_000), amounts(500, -50, "JPY"))
    assert (figures(refund), refund["Fees"]["Currency"]) == ((500, -50, 550), "JPY")


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        ('"10"', NO_INTEGER),
        ("10.0", NO_INTEGER),
        ('"10.00"', NO_INTEGER),
        ("10.005", NO_INTEGER),
        ("1e2", NO_INTEGER),
        ("true", NO_INTEGER),
        ("[]", NO_INTEGER),
        ('""', NO_INTEGER),
        ("-1", AT_LEAST_1),
        ("0", AT_LEAST_1),
        ("null", "The Amount field is required."),
    ],
)
def test_amounts_that_are_refused(platform: Platform, amount: str, sentence: str):
    payment = platform.payin()
    fees = '"Fees": {"Currency": "EUR", "Amount": 0}'
    body = f'{{"AuthorId": "{AUTHOR}", "DebitedFunds": {{"Currency": "EUR", "Amount": {amount}}}, {fees}}}'
    assert parameters(platform.refund(payment, body)) == {"DebitedFunds.Amount": sentence}
    assert platform.untouched(payment)


def test_an_amount_that_is_an_integer(platform: Platform):
    assert figures(platform.made(platform.payin(), amounts(10))) == (10, 0, 10)


# --- HTTP errors: nothing is created ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (FULL | {"DebitedFunds": money(1)}, {"Fees": "if DebitedFunds are defined, Fees must be defined"}),
        (FULL | {"Fees": money(0)}, {"DebitedFunds": "if Fees are defined, DebitedFunds must be defined"}),
        ({"AuthorId": "1"}, {"AuthorId": "Author of the refund is not the author of the initial payin"}),
        ({}, {"AuthorId": "The AuthorId field is required."}),
        (NOTHING, {"AuthorId": "The AuthorId field is required."}),
        ([], {"AuthorId": "The AuthorId field is required."}),
        ({"AuthorId": None}, {"AuthorId": "The AuthorId field is required."}),
        ({"AuthorId": 9100000001}, {"AuthorId": "The AuthorId is not an identifier"}),
        (amounts(250_01), OVER_CREDITED),
        (amounts(275_00, -25_00), OVER_CREDITED),
        (
            amounts(1, 0, "USD"),
            dict.fromkeys(
                ("DebitedFunds.Currency", "Fees.Currency"),
                "The Currency of the refund is not the Currency of the initial PayIn",
            ),
        ),
        (amounts(1) | {"Fees": {"Amount": 0}}, {"Fees.Currency": "The Currency field is required."}),
        (amounts(1) | {"Fees": {"Currency": "EUR"}}, {"Fees.Amount": "The Amount field is required."}),
        (amounts(1) | {"Fees": 0}, {"Fees": "The Fees must be an object with a Currency and an Amount"}),
        (FULL | {"Tag": "x" * 256}, {"Tag": "The Tag must be text of at most 255 characters"}),
        (
            FULL | {"StatementDescriptor": "12345678901"},
            {"StatementDescriptor": "The StatementDescriptor must be at most 10 letters, digits and spaces"},
        ),
        (
            FULL | {"StatementDescriptor": "a-b"},
            {"StatementDescriptor": "The StatementDescriptor must be at most 10 letters, digits and spaces"},
        ),
        ('{"AuthorId": ', {"Body": "The body of the request could not be read"}),
        (form(FULL), {"Body": "The body of the request could not be read"}),
        (amounts(10**19), {"Body": "The body of the request could not be read"}),
    ],
)
def test_parameters(platform: Platform, body: Any, errors: Any):
    payment = platform.payin()
    assert parameters(platform.refund(payment, body)) == errors
    assert platform.untouched(payment)


@pytest.mark.parametrize("status", ["processing", "authorized", "failed"])
def test_a_payin_that_has_not_succeeded(platform: Platform, status: str):
    payment = platform.payin(status=status)
    for body in (FULL, amounts(-1)):
        answer = platform.refund(payment, body)
        problem = said(answer)
        assert (answer.status, problem["Type"]) == (400, "original_transaction_must_be_succeeded")
        assert (problem["Message"], problem["errors"]) == (NOT_SUCCEEDED, {})
    assert platform.untouched(payment)


def test_a_disputed_payin(platform: Platform):
    payment = platform.product.disputed("mangopay", 275_00, "EUR", fees=25_00)
    assert parameters(platform.refund(payment)) == REPUDIATED
    assert platform.product.refunds(payment["id"]) == []


@pytest.mark.parametrize("number", ["1", "999999999999999", "abc", "refund_m_01"])
def test_an_unknown_payin(platform: Platform, number: str):
    answer = platform.refund({"dialect_id": number})
    problem = said(answer)
    assert (answer.status, problem["Type"], problem["Message"]) == (
        404,
        "ressource_not_found",
        "The ressource does not exist",
    )
    assert problem["errors"] == {"RessourceNotFound": f"Cannot found the ressource PayIn with the id={number}"}


@pytest.mark.parametrize("method", ["BANK_WIRE", "MULTIBANCO", "PAY_BY_BANK", "EXTERNAL_INSTRUCTION"])
def test_methods_that_are_paid_out_instead(platform: Platform, method: str):
    payment = platform.payin(method=method)
    assert parameters(platform.refund(payment)) == UNREFUNDABLE
    assert platform.untouched(payment)


@pytest.mark.parametrize(
    ("members", "body", "errors"),
    [
        ({}, {"AuthorId": "1"} | {"DebitedFunds": money(-1)}, {"AuthorId"}),
        ({"status": "failed"}, {"AuthorId": "1"}, {"AuthorId"}),
        ({"status": "failed"}, {}, {"AuthorId"}),
        ({"method": "BANK_WIRE"}, amounts(250_01), {"DebitedFunds"}),
        ({"age": timedelta(days=400)}, amounts(250_01), {"DebitedFunds"}),
    ],
    ids=["author, shape", "author, state", "no author, state", "bound, method", "bound, window"],
)
def test_of_two_complaints_the_earlier_is_said(platform: Platform, members: Any, body: Any, errors: set[str]):
    assert set(parameters(platform.refund(platform.payin(**members), body))) == errors


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("DELETE", "/v2.01/demo/payins/1/refunds", 405, "method_not_allowed"),
        ("POST", "/v2.01/demo/refunds/1", 405, "method_not_allowed"),
        ("GET", "/v2.01/demo/wallets/1", 404, "ressource_not_found"),
        ("POST", "/v2/demo/payins/1/refunds", 404, "ressource_not_found"),
    ],
)
def test_what_is_not_served(platform: Platform, method: str, path: str, status: int, kind: str):
    answer = platform.face.ask(method, path)
    assert (answer.status, said(answer)["Type"]) == (status, kind)
    assert misfits(schemas.ERROR, answer) == []


def test_too_large_a_body(platform: Platform):
    payment = platform.payin()
    answer = platform.face.post(platform.path(payment), FULL | {"Tag": "x" * (1 << 20)})
    assert (answer.status, said(answer)["Type"]) == (413, "request_too_large")
    assert platform.untouched(payment)


# --- refunds that failed: 200, kept, read and listed -----------------------------------------------------------------


def failed(platform: Platform, payment: dict[str, Any], body: Any, code: str) -> dict[str, Any]:
    """A refund that is kept as FAILED with a code, moves nothing, and can be read again."""
    before = platform.product.payment(payment["id"])
    paid = platform.product.executed(payment["id"])
    refund = platform.made(payment, body)
    assert (refund["Status"], refund["ResultCode"], refund["ExecutionDate"]) == ("FAILED", code, None)
    assert platform.again(refund) == refund
    listed = platform.read(f"payins/{payment['dialect_id']}/refunds?per_page=100")
    assert refund in listed
    after = platform.product.payment(payment["id"])
    same = ("held", "refunded", "refundable")
    assert [after[name] for name in same] == [before[name] for name in same]
    assert platform.product.executed(payment["id"]) == paid
    return refund


@pytest.mark.parametrize(
    ("given", "body", "code"),
    [
        ([FULL], FULL, "001401"),
        ([FULL], amounts(1), "001401"),
        ([amounts(100_00)], amounts(150_01), "005403"),
        ([amounts(100_00)], FULL, "005403"),
        ([], amounts(100_00, -25_01), "005404"),
        ([amounts(1_00, -20_00)], amounts(2_00, -5_01), "005404"),
        ([amounts(1_00, 50_00 - 49_50)], amounts(2_00, -25_01), "005404"),
        ([amounts(10_00)], amounts(10_00), "005407"),
        ([amounts(10_00)], amounts(10_00, -1_00), "005407"),
        ([], amounts(10_00, 10_00), "001014"),
        ([], amounts(10_00, 10_01), "001014"),
    ],
    ids=[
        *("fully refunded, again", "fully refunded, a part", "the sum", "omitted after a part: literally the whole"),
        *("fees", "fees in sum", "charged fees give no more back", "the same amount", "the same amount, other fees"),
        *("nothing credited", "less than nothing credited"),
    ],
)
def test_what_fails_by_its_amounts(platform: Platform, given: list[Any], body: Any, code: str):
    payment = platform.payin()
    for each in given:
        assert platform.made(payment, each)["Status"] == "SUCCEEDED"
    failed(platform, payment, body, code)


@pytest.mark.parametrize("code", sorted(set(MESSAGES) - {"000000"}))
def test_every_code_a_rail_can_give(platform: Platform, code: str):
    payment = platform.payin(scenario=f"decline:{code}")
    failed(platform, payment, amounts(10_00), code)
    platform.product.next_refund(payment["id"], "ok")
    assert platform.code(payment, amounts(10_00)) == "000000"  # a failed attempt does not count for the same amount


@pytest.mark.parametrize(("code", "shown"), [("R01", "001999"), ("funds", "001001"), ("window", "001403")])
def test_another_providers_code(platform: Platform, code: str, shown: str):
    refund = platform.made(platform.payin(scenario=f"decline:{code}"))
    assert (refund["Status"], refund["ResultCode"]) == ("FAILED", shown)


def test_one_at_a_time(platform: Platform):
    payment = platform.payin(scenario="pending:3600")
    pending = platform.made(payment, amounts(10_00))
    assert (pending["Status"], pending["ResultCode"], pending["ResultMessage"]) == ("CREATED", None, None)
    failed(platform, payment, amounts(20_00), "005406")
    platform.product.advance(hours=1)
    assert platform.ended(pending, "SUCCEEDED")["ResultCode"] == "000000"
    platform.product.next_refund(payment["id"], "ok")
    assert platform.code(payment, amounts(20_00)) == "000000"


def test_a_payin_that_its_bank_took_back(platform: Platform):
    payment = platform.product.returned("mangopay", 275_00, "EUR", fees=25_00)
    assert platform.code(payment) == "005408"


def test_a_dispute_on_paypals_own_side(platform: Platform):
    payment = platform.product.disputed("mangopay", 275_00, "EUR", fees=25_00, method="PAYPAL")
    assert platform.code(payment, amounts(1_00)) == "005408"


def test_parts_and_the_rest_close_to_zero(platform: Platform):
    payment = platform.payin()
    for debited, fees in ((100_00, -10_00), (99_99, -14_99), (50_01, -1)):
        assert platform.code(payment, amounts(debited, fees)) == "000000"
    after = platform.product.payment(payment["id"])
    assert (after["refunded"], after["refundable"], after["held"]) == (275_00, 0, 0)
    assert platform.product.executed(payment["id"]) == [110_00, 114_98, 50_02]
    failed(platform, payment, amounts(1), "001401")


def test_equal_calls_at_once_are_one_refund(platform: Platform):
    payment = platform.payin()
    calls = [partial(platform.refund, payment, amounts(150_00))] * 6
    codes = sorted(str(said(each)["ResultCode"]) for each in platform.product.at_once(calls))
    assert codes[0] == "000000"
    assert set(codes[1:]) <= {"005403", "005406"}
    assert platform.product.executed(payment["id"]) == [150_00]


# --- windows ---------------------------------------------------------------------------------------------------------

# Eleven months are 334 to 337 days, thirteen 393 to 397.


@pytest.mark.parametrize(
    ("method", "inside", "outside"),
    [
        ("CARD", 333, 338),
        ("APPLE_PAY", 333, 338),
        (None, 333, 338),
        ("KLARNA", 333, 338),
        ("DIRECT_DEBIT", 392, 398),
        ("BLIK", 392, 398),
        ("SWISH", 392, 398),
        ("IDEAL", 364, 366),
        ("MBWAY", 364, 366),
        ("BIZUM", 364, 366),
        ("TWINT", 364, 366),
        ("PAYCONIQ", 364, 366),
        ("BANCONTACT", 179, 181),
        ("PAYPAL", 179, 181),
        ("SATISPAY", 89, 91),
    ],
)
def test_windows_close(platform: Platform, method: str | None, inside: int, outside: int):
    members: dict[str, Any] = {} if method is None else {"method": method}
    assert platform.code(platform.payin(age=timedelta(days=inside), **members), amounts(1_00)) == "000000"
    failed(platform, platform.payin(age=timedelta(days=outside), **members), amounts(1_00), "001403")


def test_eleven_months_pass(platform: Platform):
    """The seed's own rule, by the clock: what is possible today is too late tomorrow."""
    payment = platform.payin(age=timedelta(days=333, hours=23), dialect_data={"windows": "seed"}, method="BLIK")
    assert platform.code(payment, amounts(1_00)) == "000000"
    platform.product.advance(days=4)  # eleven months are 334 to 337 days
    failed(platform, payment, amounts(2_00), "001403")


def test_a_direct_debit_waits_for_its_eighth_day(platform: Platform):
    payment = platform.payin(method="DIRECT_DEBIT")
    failed(platform, payment, amounts(1_00), "001405")
    lifted = amounts(2_00, Tag="ignore_mindate", StatementDescriptor="Shop 24")
    assert platform.made(payment, lifted)["StatementDescriptor"] == "Shop 24"
    platform.product.advance(days=7)
    failed(platform, payment, amounts(1_00), "001405")
    platform.product.advance(days=1, seconds=1)
    assert platform.code(payment, amounts(1_00)) == "000000"


def test_the_same_amount_once_in_24_hours(platform: Platform):
    payment = platform.payin()
    assert platform.code(payment, amounts(10_00)) == "000000"
    platform.product.advance(hours=23, minutes=58)
    failed(platform, payment, amounts(10_00), "005407")
    platform.product.advance(minutes=3)
    assert platform.code(payment, amounts(10_00)) == "000000"


# --- what the rail does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "at_first", "in_the_end", "code"),
    [
        ("pending:30", "CREATED", "SUCCEEDED", "000000"),
        ("pending:30:decline", "CREATED", "FAILED", "001999"),
        ("decline:001001+pending:30:decline", "CREATED", "FAILED", "001001"),
        ("lost_answer:executed", "CREATED", "SUCCEEDED", "000000"),
        ("lost_answer:not_executed", "CREATED", "SUCCEEDED", "000000"),
        ("error_after_execution", "CREATED", "SUCCEEDED", "000000"),
        # The money that comes back is a later transaction; what reached the payer once stays so.
        ("late_failure:30", "SUCCEEDED", "SUCCEEDED", "000000"),
    ],
)
def test_what_becomes_of_a_refund(platform: Platform, scenario: str, at_first: str, in_the_end: str, code: str):
    payment = platform.payin(scenario=scenario)
    refund = platform.made(payment, amounts(10_00, -1_00))
    assert refund["Status"] == at_first
    ended = platform.ended(refund, in_the_end)
    assert (ended["Id"], ended["ResultCode"], figures(ended)) == (refund["Id"], code, (10_00, -1_00, 11_00))
    assert len(platform.product.executed(payment["id"])) == (0 if in_the_end == "FAILED" else 1)


def test_money_that_came_back_can_be_refunded_again(platform: Platform):
    payment = platform.payin(scenario="late_failure:30")
    refund = platform.made(payment)
    platform.product.in_time(lambda: not platform.product.payment(payment["id"])["refunded"], "the money is back")
    assert platform.again(refund)["Status"] == "SUCCEEDED"
    platform.product.advance(days=1)
    assert platform.code(payment) == "000000"


@pytest.mark.parametrize("scenario", ["requires_action", "wrong_amount:1"])
def test_what_a_person_must_look_at_is_created(platform: Platform, scenario: str):
    assert platform.made(platform.payin(scenario=scenario))["Status"] == "CREATED"


def test_a_late_answer_is_in_time_when_the_clock_moves(platform: Platform):
    payment = platform.payin(scenario="slow:3600")
    asked = platform.product.begin(platform.made, payment)
    platform.product.until_sent(payment)
    platform.product.advance(hours=1)
    assert asked.result()["Status"] == "SUCCEEDED"


def test_a_rail_that_takes_too_long(platform: Platform, unhurried: dict[str, Any]):
    """Ten seconds, then the refund as CREATED."""
    asked, payment = unhurried["mangopay"]
    refund = said(well_formed(asked.result()))
    assert (refund["Status"], refund["InitialTransactionId"]) == ("CREATED", payment["dialect_id"])


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_refund_leaves_its_payin_as_it_was(platform: Platform):
    payment = platform.payin(dialect_data={"Tag": "order 7"})
    before = platform.read(f"payins/{payment['dialect_id']}")
    assert misfits(schemas.PAYIN, Outgoing(body=before)) == []
    assert (before["Status"], before["Type"], before["Nature"], before["Tag"]) == (
        "SUCCEEDED",
        "PAYIN",
        "REGULAR",
        "order 7",
    )
    assert figures(before) == (275_00, 25_00, 250_00)
    platform.made(payment)
    assert platform.read(f"payins/{payment['dialect_id']}") == before


def test_what_is_not_there(platform: Platform):
    for path, kind in (("refunds/1", "Refund"), ("payins/1", "PayIn"), ("payins/1/refunds", "PayIn")):
        answer = platform.face.get(f"/v2.01/demo/{path}")
        assert answer.status == 404
        assert said(answer)["errors"] == {"RessourceNotFound": f"Cannot found the ressource {kind} with the id=1"}


def test_refunds_are_listed_page_by_page(platform: Platform):
    payment = platform.payin()
    base = f"payins/{payment['dialect_id']}/refunds"
    assert platform.read(base) == []
    ids = [platform.made(payment, amounts(number))["Id"] for number in range(1, 12)]
    bad = platform.made(payment, amounts(1))
    assert bad["ResultCode"] == "005407"
    assert [each["Id"] for each in platform.read(f"{base}?per_page=100")] == [*ids, bad["Id"]]
    assert len(platform.read(f"{base}?id=7")) == 10  # the default page; a parameter nobody knows is left alone
    answer = platform.face.get(f"/v2.01/{platform.client}/{base}?Page=2&Per_Page=5&Sort=CreationDate:desc")
    counted = [answer.headers[name] for name in ("x-number-of-pages", "x-number-of-items")]
    assert (counted, len(said(answer))) == (["3", "12"], 5)
    assert re.search(r'<http://[^>]+page=3[^>]*>; rel="next"', answer.headers["link"])


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        ("Status=FAILED", ["FAILED"]),
        ("status=Succeeded", ["SUCCEEDED"]),
        ("Status=SUCCEEDED,FAILED", ["SUCCEEDED", "FAILED"]),
        ("Status=SUCCEEDED&Status=FAILED", ["SUCCEEDED", "FAILED"]),
        ("ResultCode=005407", ["FAILED"]),
        ("ResultCode=001001", []),
        ("AfterDate=4000000000", []),
        ("BeforeDate=4000000000", ["SUCCEEDED", "FAILED"]),
    ],
)
def test_lists_are_filtered(platform: Platform, query: str, statuses: list[str]):
    payment = platform.payin()
    platform.made(payment, amounts(1))
    platform.made(payment, amounts(1))
    listed = platform.read(f"payins/{payment['dialect_id']}/refunds?{query}")
    assert [each["Status"] for each in listed] == statuses


# --- tokens ----------------------------------------------------------------------------------------------------------

GRANT = form("grant_type=client_credentials")


def token(platform: Platform, path: str = "/v2.01/oauth/token", body: Any = GRANT) -> dict[str, Any]:
    answer = platform.face.post(path, body)
    assert answer.status == 200, said(answer)
    assert misfits(schemas.TOKEN, answer) == []
    found: dict[str, Any] = said(answer)
    return found


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2.01/oauth/token", GRANT),
        ("/v2.01/oauth/token/", GRANT),
        ("//v2.01//oauth//token", GRANT),
        ("/V2.01/OAuth/Token", GRANT),
        ("/v2.01/demo/oauth/token", GRANT),
        ("/v2.01/oauth/token", raw('{"grant_type": "client_credentials"}', FORM)),
        ("/v2.01/oauth/token", {"grant_type": "client_credentials"}),
        ("/v2.01/oauth/token", multipart({"grant_type": "client_credentials"})),
        ("/v2.01/oauth/token", NOTHING),
    ],
)
def test_a_token(platform: Platform, path: str, body: Any):
    issued = token(platform, path, body)
    assert list(issued) == ["access_token", "token_type", "expires_in"]
    assert (issued["token_type"], issued["expires_in"]) == ("bearer", 1199)
    payment = platform.payin()
    # Clients send back token_type and token as they got them: the scheme is in small letters then.
    client = platform.face.as_(f"{issued['token_type']} {issued['access_token']}")
    assert said(client.post(platform.path(payment), FULL))["Status"] == "SUCCEEDED"


def test_tokens_differ_and_live_for_twenty_minutes(platform: Platform):
    first = token(platform)["access_token"]
    platform.product.advance(minutes=10)
    second = token(platform)["access_token"]
    assert first != second
    path = f"/v2.01/demo/payins/{platform.payin()['dialect_id']}"
    assert [platform.face.as_(bearer(each)).get(path).status for each in (first, second)] == [200, 200]
    platform.product.advance(minutes=10, seconds=1)
    assert [platform.face.as_(bearer(each)).get(path).status for each in (first, second)] == [401, 200]


@pytest.mark.parametrize("wrong", ["key", "client", "none", "bearer"])
def test_the_token_endpoint_knows_its_clients(platform: Platform, wrong: str):
    header = {
        "key": basic(platform.client, "wrong"),
        "client": basic("other", platform.ready["api_key"]),
        "none": None,
        "bearer": bearer(token(platform)["access_token"]),
    }[wrong]
    answer = platform.face.as_(header).post("/v2.01/oauth/token", GRANT)
    assert (answer.status, said(answer)) == (401, {"error": "invalid_client"})


@pytest.mark.parametrize("authorization", [None, bearer("0" * 32), basic("demo", "wrong"), "Bearer", "x y"])
def test_bad_credentials(platform: Platform, authorization: str | None):
    payment = platform.payin()
    answer = platform.face.as_(authorization).post(platform.path(payment), FULL)
    body = said(answer)
    assert (answer.status, list(body)) == (401, ["Message", "Type", "Date"])
    assert (body["Message"], body["Type"]) == ("The authorization credentials are not valid", "invalid_credentials")
    assert isinstance(body["Date"], int)
    assert platform.untouched(payment)


def test_another_clients_path(platform: Platform):
    payment = platform.payin()
    answer = platform.face.post(f"/v2.01/other/payins/{payment['dialect_id']}/refunds", FULL)
    assert (answer.status, said(answer)["Type"]) == (401, "invalid_credentials")
    assert platform.untouched(payment)


# --- Idempotency-Key -------------------------------------------------------------------------------------------------


def stored(platform: Platform, key: str, path: str = "responses/{}") -> dict[str, Any]:
    """What /responses tells of a key."""
    answer = platform.face.get(f"/v2.01/{platform.client}/{path.format(key)}")
    assert answer.status == 200, said(answer)
    assert misfits(schemas.RESPONSE, answer) == []
    found: dict[str, Any] = said(answer)
    assert list(found) == ["StatusCode", "ContentLength", "ContentType", "Date", "RequestURL", "Resource"]
    return found


def is_conflict(answer: Outgoing) -> bool:
    body = said(answer)
    message = "A resource has already been created with this Idempotency Key"
    assert list(body) == ["Message", "Type", "Id", "Date", "errors"]
    return (answer.status, body["Message"], body["Type"], body["errors"]) == (
        409,
        message,
        "idempotent_creation_conflict",
        None,
    )


@pytest.mark.parametrize(
    ("prepare", "body", "status"),
    [
        ({}, amounts(10_00), "200"),
        ({"scenario": "decline:001001"}, amounts(10_00), "200"),
        ({"age": timedelta(days=400)}, amounts(10_00), "200"),
        ({}, amounts(-1), "400"),
        ({"status": "failed"}, FULL, "400"),
        ({"method": "MULTIBANCO"}, FULL, "400"),
        (None, FULL, "404"),
    ],
    ids=["succeeded", "declined", "failed at once", "parameters", "state", "method", "unknown pay-in"],
)
def test_a_key_is_used_once_whatever_was_answered(platform: Platform, prepare: Any, body: Any, status: str):
    payment = {"dialect_id": "404"} if prepare is None else platform.payin(**prepare)
    key = a_key()
    first = platform.refund(payment, body, key)
    assert str(first.status) == status
    assert is_conflict(platform.refund(payment, body, key))
    assert is_conflict(platform.refund(platform.payin(), amounts(7), key))
    answer = stored(platform, key)
    assert (answer["StatusCode"], answer["Resource"]) == (status, said(first))
    assert answer["ContentLength"] == str(len(json.dumps(said(first), separators=(",", ":"), ensure_ascii=False)))
    assert answer["RequestURL"] == f"{platform.face.base_url}{platform.path(payment)}"
    if prepare is not None:
        refunds = platform.read(f"payins/{payment['dialect_id']}/refunds")
        assert len(refunds) == (1 if status == "200" else 0)


def test_one_key_at_once_is_one_refund(platform: Platform):
    payment, key = platform.payin(), a_key()
    answers = platform.product.at_once([partial(platform.refund, payment, amounts(10_00), key)] * 6)
    assert sorted(each.status for each in answers) == [200] + [409] * 5
    assert platform.product.executed(payment["id"]) == [10_00]


def test_what_is_still_being_worked_on_is_waited_for(platform: Platform):
    payment, key = platform.payin(scenario="slow:3600"), a_key()
    asked = platform.product.begin(platform.made, payment, FULL, key)
    platform.product.until_sent(payment)
    assert is_conflict(platform.refund(payment, FULL, key))
    fetched = platform.product.begin(stored, platform, key)
    platform.product.advance(hours=1)
    assert fetched.result()["Resource"]["Id"] == asked.result()["Id"]


def test_a_stored_answer_stays_as_it_was(platform: Platform):
    payment, key = platform.payin(scenario="pending:30"), a_key()
    pending = platform.made(payment, FULL, key)
    platform.ended(pending, "SUCCEEDED")
    assert stored(platform, key)["Resource"] == pending | {"Status": "CREATED"}


def test_a_key_lives_for_a_day(platform: Platform):
    payment, key = platform.payin(), a_key()
    first = platform.made(payment, amounts(10_00), key)
    platform.product.advance(hours=23, minutes=58)
    assert stored(platform, key)["Resource"] == first
    assert is_conflict(platform.refund(payment, amounts(20_00), key))
    platform.product.advance(minutes=3)
    answer = platform.face.get(f"/v2.01/demo/responses/{key}")
    assert (answer.status, said(answer)["Type"]) == (400, "correlationid_not_found")
    second = platform.made(payment, amounts(20_00), key)
    assert stored(platform, key, "responses//{}")["Resource"] == second


@pytest.mark.parametrize(
    "key", ["x" * 15, "x" * 37, "sixteen_letters_", "sixteen letters.", "ключ-ключ-ключ-ключ".encode().hex()]
)
def test_keys_that_are_malformed(platform: Platform, key: str):
    payment = platform.payin()
    sentence = "The Idempotency-Key must be 16 to 36 letters, digits or dashes"
    assert parameters(platform.refund(payment, FULL, key)) == {"Idempotency-Key": sentence}
    assert platform.untouched(payment)


@pytest.mark.parametrize("length", [16, 36])
def test_keys_that_just_fit(platform: Platform, length: int):
    key = (uuid4().hex * 2)[:length]
    assert platform.made(platform.payin(), FULL, key)["Status"] == "SUCCEEDED"


def test_an_unknown_key(platform: Platform):
    answer = platform.face.get(f"/v2.01/demo/responses/{a_key()}")
    assert (answer.status, said(answer)["Type"]) == (400, "correlationid_not_found")


# --- habits of clients -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2.01/demo/payins/{}/refunds/", FULL),
        ("//v2.01//demo//payins//{}//refunds", FULL),
        ("/V2.01/demo/PayIns/{}/Refunds", FULL),
        ("/v2.01/demo/payins/{}/refunds?id=1", FULL),
        ("/v2.01/demo/payins/{}/refunds", FULL | {"Payin": "p1", "Reference": None, "DebitedWalletId": "w"}),
        ("/v2.01/demo/payins/{}/refunds", FULL | {"DebitedFunds": None, "Fees": None, "Tag": None}),
        ("/v2.01/demo/payins/{}/refunds", raw(json.dumps(FULL), FORM)),
        ("/v2.01/demo/payins/{}/refunds", raw(json.dumps(FULL), None)),
        ("/v2.01/demo/payins/{}/refunds", raw(BOM + json.dumps(FULL).encode(), JSON)),
    ],
)
def test_habits_that_are_understood(platform: Platform, path: str, body: Any):
    payment = platform.payin()
    refund = said(well_formed(platform.face.post(path.format(payment["dialect_id"]), body)))
    assert (refund["Status"], figures(refund)) == ("SUCCEEDED", (250_00, -25_00, 275_00))


def test_a_read_may_carry_a_body(platform: Platform):
    payment = platform.payin()
    path = f"/v2.01/demo/payins/{payment['dialect_id']}"
    assert said(platform.face.ask("GET", path, "{}"))["Id"] == payment["dialect_id"]


def test_ids_are_digits_of_one_width_that_rise(platform: Platform):
    payment = platform.payin()
    ids = [platform.made(payment, amounts(number))["Id"] for number in (1, 2, 3)]
    assert [len(each) for each in ids] == [10] * 3
    assert sorted(ids, key=int) == ids
    assert len(set(ids)) == 3


# --- the wallet ------------------------------------------------------------------------------------------------------


def test_a_wallet_that_is_short(platform: Platform):
    """Two pay-ins share a wallet: what a bank took back of one is missing for the refund of the other."""
    wallet: dict[str, Any] = {"dialect_data": {"CreditedWalletId": f"till-{uuid4()}"}}
    taken, other = (platform.payin(275_00, fees=25_00, **wallet) for _ in range(2))
    platform.product.take_back(taken)
    refund = said(platform.refund(other))
    assert (refund["Status"], refund["ResultCode"]) == ("FAILED", "001001")
    part = platform.made(other, amounts(225_00))
    assert (part["Status"], part["DebitedWalletId"]) == ("SUCCEEDED", wallet["dialect_data"]["CreditedWalletId"])


def test_what_is_registered_natively_stands_on_the_demo_users_wallet(platform: Platform):
    payin = said(platform.face.get(f"/v2.01/demo/payins/{platform.payin(100_00, fees=10_00)['dialect_id']}"))
    wallet = f"/v2.01/demo/wallets/{payin['CreditedWalletId']}"

    def balance() -> int:
        return int(said(platform.face.get(wallet))["Balance"]["Amount"])

    before = balance()
    again = platform.payin(100_00, fees=10_00)
    assert balance() == before + 90_00
    refund = platform.made(again, amounts(30_00, -1_00))
    assert balance() == before + 60_00
    for place in (wallet, f"/v2.01/demo/users/{payin['AuthorId']}"):
        listed = whole(platform, f"{place}/transactions")
        assert {payin["Id"], again["dialect_id"], refund["Id"]} <= {each["Id"] for each in listed}
    samples = {each["Id"] for each in platform.ready["payins"] if each["CreditedFunds"]["Currency"] == "EUR"}
    assert samples <= {each["Id"] for each in whole(platform, f"{wallet}/transactions")}
    events = whole(platform, "/v2.01/demo/events?EventType=PAYIN_NORMAL_SUCCEEDED")
    assert {payin["Id"], *samples} <= {each["ResourceId"] for each in events}


def whole(platform: Platform, path: str) -> list[Any]:
    """Every row of a list."""
    found, number = list[Any](), 1
    while True:
        page = said(platform.face.get(f"{path}{'&' if '?' in path else '?'}per_page=100&page={number}"))
        found += page
        if len(page) < 100:
            return found
        number += 1
