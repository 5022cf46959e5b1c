"""Sales, authorisations, tokens and 3-D Secure: one row per rule of their requests, and what of a card is kept."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moneyback.core.payment import Parts
from moneyback.dialect import AddPayment, FindPayment, Outgoing, TakeKey
from moneyback.dialects.maverick import DIALECT
from moneyback.dialects.maverick.cards import DECLINING, DEMO_TOKEN
from moneyback.dialects.maverick.registration import Own, payment_document
from tests.dialects.driver import START, STRANGER, Table, said
from tests.dialects.maverick.schemas import fits

HERE = {"terminal": {"id": 24}}
NUMBER, MASTERCARD = "4111111111111111", "5146312200000035"
VISA = {"name": "John Wick", "number": NUMBER, "exp": "12/30", "cvv": "998"}
SALE = {**HERE, "amount": "12.34", "source": "Internet", "level": 1, "card": VISA}
CALLS = ("sale", "auth", "card-authentication", "generate-token")
NO_TERMINAL = (422, "Terminal ID cannot be blank.")
USED = (422, "Suspected duplicate.")


def table(**profile: Any) -> Table:
    return Table(DIALECT, profile={"terminal_id": 24} | profile)


def post(at: Table, call: str, body: Any, **options: Any) -> Outgoing:
    return at.call("POST", f"/payment/{call}", body, **options)


def made(at: Table, call: str = "sale", **members: Any) -> dict[str, Any]:
    answer = post(at, call, SALE | members)
    assert answer.status == 200, said(answer)
    return fits(answer)


def complaint(answer: Outgoing) -> tuple[int, str]:
    return answer.status, fits(answer)["message"]


def read(at: Table, number: object) -> dict[str, Any]:
    return fits(at.call("GET", f"/payment/{number}"))


# --- what is answered ------------------------------------------------------------------------------------------------


def test_a_sale_is_an_auth_with_a_capture_beneath_it():
    at = table()
    record = made(at, externalId="order-7", contact={"name": "Ada", "email": "ada@example.com"})
    assert (record["type"], record["amount"], record["captured"], record["refunded"]) == ("Auth", "12.34", True, False)
    assert (record["parent"], record["externalId"], record["level"]) == ({"id": None}, "order-7", 1)
    assert record["contact"] == {"name": "Ada", "phone": None, "email": "ada@example.com"}
    assert record["card"] == {
        "bin": 411111,
        "name": "John Wick",
        "number": 1111,
        "exp": "2030-12-31",
        "verification": {"cvv": "M", "address": "0"},
        "networkTransactionId": f"{record['id']:015}",
    }
    (entry,) = record["history"]
    assert entry == {"id": record["id"] + 1, "type": "Capture", "amount": "12.34", "createdOn": record["createdOn"]}
    assert record["updatedOn"] == record["createdOn"]
    assert read(at, record["id"]) == record
    capture = read(at, entry["id"])
    assert (capture["type"], capture["amount"], capture["parent"]) == ("Capture", "12.34", {"id": record["id"]})
    (payment,) = at.facts.payments.values()
    assert (payment.captured, payment.method, payment.currency) == (1234, "card", "USD")


def test_an_authorisation_takes_nothing_yet():
    at = table()
    record = made(at, "auth")
    assert (record["type"], record["captured"], record["history"], record["updatedOn"]) == ("Auth", False, [], None)
    assert re.fullmatch(r"[A-Z]{3}\d{3}", record["authCode"])
    (payment,) = at.facts.payments.values()
    assert (payment.authorized, payment.captured, payment.condition.value) == (1234, 0, "authorized")


def test_a_card_authentication_moves_nothing_and_cannot_be_returned_nor_captured():
    at = table()
    record = made(at, "card-authentication", amount=0, externalId="check-1")
    assert (record["type"], record["amount"], record["authCode"]) == ("CardAuthentication", "0.00", "PREATH")
    assert (record["externalId"], record["card"]["verification"]) == ("check-1", {"cvv": "M", "address": "0"})
    assert (at.facts.payments, read(at, record["id"])) == ({}, record)
    assert complaint(post(at, f"{record['id']}/refund", HERE)) == (422, "Return Not Allowed")
    assert complaint(post(at, f"{record['id']}/capture", HERE)) == (422, "Modify Transaction Not Allowed")
    assert post(at, f"{record['id']}/refund", {"terminal": {"id": 25}}).status == 404


def test_a_token_stands_for_its_card():
    at = table()
    generated = fits(post(at, "generate-token", {**HERE, "source": "Internet", "card": VISA}))
    token = generated["card"]["token"]
    assert (generated["type"], generated["authCode"], token[-4:]) == ("GenerateToken", None, "1111")
    assert read(at, generated["id"]) == generated
    record = made(at, card={"token": token})
    assert (record["card"]["bin"], record["card"]["number"], record["card"]["exp"]) == (411111, 1111, "2030-12-31")
    assert (record["card"]["name"], record["card"]["verification"]["cvv"]) == ("John Wick", None)
    assert "token" not in record["card"]
    assert complaint(post(at, f"{generated['id']}/refund", HERE)) == (422, "Return Not Allowed")


@pytest.mark.parametrize(("wish", "given"), [({"save": "Yes"}, True), ({"store": True}, True), ({"save": "No"}, False)])
@pytest.mark.parametrize("call", ["sale", "auth", "card-authentication"])
def test_a_token_is_given_where_it_is_wished_for(call: str, wish: Any, given: bool):
    at = table()
    shown = made(at, call, card=VISA | wish)["card"]
    assert ("token" in shown) is given
    if given:
        assert made(at, card={"token": shown["token"]})["card"]["number"] == 1111


def test_a_sandbox_knows_one_token_from_the_start():
    at = table()
    assert DIALECT.samples is not None
    for each in DIALECT.samples.documents:
        at.answer(each)
    assert made(at, card={"token": DEMO_TOKEN})["card"]["number"] == 1111


def test_a_token_of_a_declining_card_declines():
    at = table()
    card = VISA | {"number": "4000000000009995"}
    token = fits(post(at, "generate-token", {**HERE, "card": card}))["card"]["token"]
    assert complaint(post(at, "sale", SALE | {"card": {"token": token}})) == (422, "Insufficient Funds")


# --- what is said ----------------------------------------------------------------------------------------------------

MEMBERS: list[tuple[Any, tuple[int, str]]] = [
    ({"terminal": None}, NO_TERMINAL),
    ({"terminal": {}}, NO_TERMINAL),
    ({"terminal": 24}, NO_TERMINAL),
    ({"terminal": {"id": "x"}}, (422, "Terminal ID must be an integer.")),
    ({"terminal": {"id": 25}}, (404, "The requested terminal does not exist.")),
    ({"amount": None}, (422, "Amount cannot be blank.")),
    ({"amount": ""}, (422, "Amount cannot be blank.")),
    ({"amount": 0}, (422, "Amount must be greater than 0.")),
    ({"amount": "-1"}, (422, "Amount must be greater than 0.")),
    ({"amount": "x"}, (422, "Amount must be a number.")),
    ({"amount": "1.005"}, (422, "Amount must have at most 2 decimal places.")),
    ({"amount": "1000000.01"}, (422, "Amount must be no greater than 1000000.00.")),
    ({"source": None}, (422, "Source cannot be blank.")),
    ({"source": "Fax"}, (422, "Source is invalid.")),
    ({"level": 4}, (422, "Level is invalid.")),
    ({"level": "x"}, (422, "Level is invalid.")),
    ({"card": None}, (422, "Card cannot be blank.")),
    ({"card": "x"}, (422, "Card must be an object.")),
    ({"card": VISA | {"number": None}}, (422, "Card number cannot be blank.")),
    ({"card": VISA | {"number": "4111111111111112"}}, (422, "Card number is invalid.")),
    ({"card": VISA | {"number": "41111111111"}}, (422, "Card number is invalid.")),
    ({"card": VISA | {"number": []}}, (422, "Card number must be a string.")),
    ({"card": VISA | {"exp": None}}, (422, "Card exp cannot be blank.")),
    ({"card": VISA | {"exp": "13/30"}}, (422, "Card exp must be in the format mm/yy.")),
    ({"card": VISA | {"cvv": "12"}}, (422, "Card cvv is invalid.")),
    ({"card": VISA | {"name": "x" * 129}}, (422, "Card name should contain at most 128 characters.")),
    ({"card": VISA | {"save": "perhaps"}}, (422, "Card save is invalid.")),
    ({"card": VISA | {"address": 5}}, (422, "Card address must be an object.")),
    ({"card": {"token": "unknown"}}, (422, "Card token is invalid.")),
    ({"token": "unknown"}, (422, "Token must be stated within card.")),
    ({"externalId": "x" * 65}, (422, "External ID should contain at most 64 characters.")),
    ({"externalId": []}, (422, "External ID must be a string.")),
    ({"ip": {"address": "x" * 46}}, (422, "IP address should contain at most 45 characters.")),
    ({"ip": 5}, (422, "IP must be an object.")),
    ({"origin": "WEB"}, (422, "Origin is invalid.")),
    ({"contact": "Ada"}, (422, "Contact must be an object.")),
    ({"contact": {"email": ["x"]}}, (422, "Contact email must be a string.")),
    ({"isRecurring": "often"}, (422, "Is recurring is invalid.")),
    ({"3ds": "perhaps"}, (422, "3ds is invalid.")),
    ({"threeds": {"id": "x"}}, (422, "Threeds ID must be an integer.")),
    ({"threeds": {"id": 5}}, (422, "Threeds ID is invalid.")),
    ({"order": "none"}, (422, "Order must be an object.")),
    ({"order": {"tax": -1}}, (422, "Order tax must be no less than 0.")),
    ({"order": {"subtotal": "x"}}, (422, "Order subtotal must be a number.")),
]


@pytest.mark.parametrize("call", ["sale", "auth"])
@pytest.mark.parametrize(("members", "expected"), MEMBERS, ids=lambda value: str(value)[:50])
def test_what_a_sale_must_not_say(members: Any, expected: tuple[int, str], call: str):
    at = table()
    assert complaint(post(at, call, SALE | members)) == expected
    assert (at.facts.payments, at.documents, at.facts.keys) == ({}, {}, {}), "nothing was changed"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("body", "status"), [([1], 400), ("x", 400), (None, 422), ([], 422), (SALE | {"card": None}, 422)]
)
def test_bodies_that_are_none(call: str, body: Any, status: int):
    assert post(table(), call, body).status == status


@pytest.mark.parametrize("members", [row[0] for row in MEMBERS if "amount" not in row[0] and "order" not in row[0]])
def test_a_card_authentication_is_read_alike(members: Any):
    at = table()
    assert post(at, "card-authentication", SALE | {"amount": 0} | members).status in (404, 422)
    assert (at.facts.payments, at.documents) == ({}, {})


@pytest.mark.parametrize("amount", [0, "0.00", 5, None, "x"])
def test_a_card_authentication_has_no_amount_whatever_is_stated(amount: Any):
    assert made(table(), "card-authentication", amount=amount)["amount"] == "0.00"


def test_a_token_needs_neither_source_nor_amount_and_is_not_made_of_a_token():
    at = table()
    assert fits(post(at, "generate-token", {**HERE, "card": VISA}))["type"] == "GenerateToken"
    body = {**HERE, "card": {"token": DEMO_TOKEN}}
    assert complaint(post(at, "generate-token", body)) == (422, "Card number cannot be blank.")


TAKEN: list[tuple[Any, dict[str, Any]]] = [
    ({"amount": Decimal("12.34")}, {"amount": "12.34"}),
    ({"amount": Decimal("1E+1")}, {"amount": "10.00"}),
    ({"level": "3"}, {"level": 3}),
    ({"level": None}, {"level": 1}),
    ({"source": "MOTO"}, {}),
    ({"origin": "VirtualTerminal"}, {"origin": "VirtualTerminal"}),
    ({"isRecurring": "Yes"}, {"isRecurring": "Yes"}),
    ({"isRecurring": True}, {"isRecurring": "Yes"}),
    ({"externalId": 77}, {"externalId": "77"}),
    ({"externalId": ""}, {"externalId": None}),
    ({"contact": []}, {"contact": None}),
    ({"billing": {"name": "Ada", "zip": "20500"}}, {}),
    ({"sendReceipt": "Yes", "unknown": {"a": [1]}}, {}),
    ({"order": {}}, {"order": None}),
    ({"order": None}, {"order": None}),
    ({"threeds": {"id": None}}, {}),
    ({"threeds": []}, {}),
]


@pytest.mark.parametrize(("members", "shown"), TAKEN, ids=lambda value: str(value)[:40])
def test_what_a_sale_may_say(members: Any, shown: dict[str, Any]):
    record = made(table(), **members)
    assert {name: record[name] for name in shown} == shown


def test_the_payers_address_is_shown():
    assert made(table(), ip={"address": "203.0.113.7"})["ip"]["address"] == "203.0.113.7"


@pytest.mark.parametrize("number", [int(NUMBER), "4111 1111 1111 1111", "4111-1111-1111-1111"])
@pytest.mark.parametrize(("exp", "last"), [("12/30", "2030-12-31"), ("02/2028", "2028-02-29"), ("0231", "2031-02-28")])
def test_ways_to_write_a_card(number: Any, exp: str, last: str):
    shown = made(table(), card={"number": number, "exp": exp})["card"]
    assert (shown["bin"], shown["number"], shown["exp"], shown["name"]) == (411111, 1111, last, None)
    assert shown["verification"] == {"cvv": None, "address": "0"}


@pytest.mark.parametrize(
    ("address", "code"),
    [({}, "0"), ({"zip": "1", "street": "A"}, "Y"), ({"street": "A"}, "A"), ({"zip": "1"}, "Z"), ({"city": "X"}, "0")],
)
def test_the_address_check(address: Any, code: str):
    assert made(table(), card=VISA | {"address": address})["card"]["verification"]["address"] == code


def test_a_form_is_read_as_json_is():
    form = {
        "terminal[id]": "24",
        "amount": "5.00",
        "source": "Internet",
        "card[number]": NUMBER,
        "card[exp]": "12/30",
        "card[address][zip]": "10001",
        "3ds": "true",
    }
    record = fits(post(table(), "sale", form, encoding="form"))
    assert (record["amount"], record["card"]["verification"]["address"], record["threeds"]["eci"]) == (
        "5.00",
        "Z",
        "05",
    )


@pytest.mark.parametrize("setting", [422, 404, "infer"])
def test_a_terminal_that_is_missing(setting: Any):
    at = table(missing_terminal=setting)
    answer = post(at, "sale", {name: value for name, value in SALE.items() if name != "terminal"})
    assert answer.status == {422: 422, 404: 404, "infer": 200}[setting]
    if setting == "infer":
        assert fits(answer)["terminal"] == {"id": 24}


def test_a_token_without_a_terminal_of_its_own_charges_any():
    assert made(Table(DIALECT), terminal={"id": 404})["terminal"] == {"id": 404}


# --- orders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "parts", "shown"),
    [
        (
            {"subtotal": 100, "tax": "8.00", "discounts": {"amount": 5}},
            Parts(subtotal=10_000, tax=800, discount=500),
            {"subtotal": "100.00", "tax": "8.00", "discounts": "5.00"},
        ),
        ({"tax": 3}, Parts(subtotal=10_000, tax=300), {"subtotal": "100.00", "tax": "3.00", "discounts": "0.00"}),
        (
            {"subtotal": 93, "shipping": 10},
            Parts(subtotal=9_300, shipping=1_000),
            {"subtotal": "93.00", "tax": "0.00", "discounts": "0.00", "shipping": "10.00"},
        ),
        (
            {"id": "A-1", "items": [{"sku": 1, "price": Decimal("1.50")}], "unknown": 1},
            None,
            {"id": "A-1", "items": [{"sku": 1, "price": "1.50"}]},
        ),
    ],
)
def test_an_order_is_kept_and_shown(order: Any, parts: Parts | None, shown: Any):
    at = table()
    record = made(at, amount=103, order=order)
    (payment,) = at.facts.payments.values()
    assert (payment.parts, record["order"]) == (parts, shown)
    assert record["level"] == 1


def test_the_subtotal_rule_follows_the_order_of_the_sale():
    at = table()
    at.outcome = "succeeded"
    number = made(at, amount=103, order={"subtotal": 100, "tax": 8, "discounts": 5})["id"]
    rule = "Amount without order.tax and order.discounts must be no greater than 100.00."
    assert complaint(post(at, f"{number}/refund", HERE | {"amount": 103})) == (422, rule)
    given_back = HERE | {"amount": 103, "order": {"tax": 8, "discounts": 5}}
    assert fits(post(at, f"{number}/refund", given_back))["amount"] == "103.00"
    record = read(at, number)
    assert ([each["type"] for each in record["history"]], record["refunded"]) == (["Capture", "Return"], True)


# --- declines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [422, 200])
@pytest.mark.parametrize(("number", "reason"), DECLINING.items())
@pytest.mark.parametrize("call", ["sale", "auth", "card-authentication"])
def test_cards_that_the_processor_does_not_approve(call: str, number: str, reason: str, mode: int):
    at = table(decline_mode=mode)
    answer = post(at, call, SALE | {"card": VISA | {"number": number, "save": "Yes"}, "externalId": "a"})
    status = "Error" if reason == "System Error" else "Declined"
    (listed,) = said(at.call("GET", "/payments"))["items"]
    assert listed["status"] == {"status": status, "reason": reason}
    assert (listed["authCode"], listed["captured"], listed["history"]) == (None, False, [])
    assert (listed["card"]["networkTransactionId"], "token" in listed["card"]) == (None, False)
    if mode == 200:
        assert fits(answer) == listed
    else:
        assert complaint(answer) == (422, reason)
    not_allowed = "Modify Transaction Not Allowed"
    assert complaint(post(at, f"{listed['id']}/refund", HERE)) == (422, "Return Not Allowed")
    assert complaint(post(at, f"{listed['id']}/capture", HERE)) == (422, not_allowed)
    assert made(at, call, externalId="a")["externalId"] == "a", "what was declined does not hold its reference"


def test_a_declined_sale_leaves_no_money():
    at = table()
    post(at, "sale", SALE | {"card": VISA | {"number": "4000000000000002"}})
    (payment,) = at.facts.payments.values()
    assert (payment.captured, payment.refundable, payment.condition.value) == (0, 0, "failed")


# --- references ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["sale", "auth", "card-authentication"])
@pytest.mark.parametrize("second", ["sale", "auth", "card-authentication"])
def test_a_reference_is_used_once(first: str, second: str):
    at = table()
    made(at, first, externalId="a")
    payments, documents = dict(at.facts.payments), dict(at.documents)
    assert complaint(post(at, second, SALE | {"externalId": "a"})) == USED
    assert (at.facts.payments, at.documents) == (payments, documents)
    assert made(at, second, externalId="b")["externalId"] == "b"


def test_declined_attempts_follow_one_another():
    at = table()
    bad = SALE | {"externalId": "a", "card": VISA | {"number": "4000000000000002"}}
    assert [complaint(post(at, "sale", bad)) for _ in range(3)] == [(422, "Declined")] * 3
    made(at, externalId="a")
    assert complaint(post(at, "sale", bad)) == USED
    listed = said(at.call("GET", "/payments", query={"filter[externalId]": "a"}))
    assert [each["status"]["status"] for each in listed["items"]] == ["Approved", "Declined", "Declined", "Declined"]


class Dying(Table):
    """A table where a sale dies before its payment is registered, the first time."""

    alive = False

    def answer(self, ask: Any) -> Any:
        if isinstance(ask, AddPayment) and not self.alive:
            self.alive = True
            raise ConnectionError
        return super().answer(ask)


def test_a_sale_that_died_can_be_asked_for_again():
    at = Dying(DIALECT)
    with pytest.raises(ConnectionError):
        post(at, "sale", SALE | {"externalId": "a"})
    assert at.facts.payments == {}
    record = made(at, externalId="a")
    assert len(at.facts.payments) == 1
    listed = said(at.call("GET", "/payments", query={"filter[type]": "Auth"}))
    assert [each["id"] for each in listed["items"]] == [record["id"]]


class Racing(Table):
    """A table where an equal request is quicker by one ask."""

    other: dict[str, Any] | None = None

    def answer(self, ask: Any) -> Any:
        answer = super().answer(ask)
        if isinstance(ask, TakeKey) and self.other is not None:
            body, self.other = self.other, None
            assert post(self, "sale", body).status == 200
        return answer


@pytest.mark.parametrize(("amount", "status"), [("12.34", 200), ("12.35", 422)])
def test_of_two_sales_at_once_with_one_reference_one_is_made(amount: str, status: int):
    at = Racing(DIALECT)
    at.other = SALE | {"externalId": "a"}
    answer = post(at, "sale", SALE | {"externalId": "a", "amount": amount})
    assert answer.status == status
    (payment,) = at.facts.payments.values()
    assert payment.captured == 1234
    captures = said(at.call("GET", "/payments", query={"filter[type]": "Capture"}))["items"]
    assert [each["parent"]["id"] for each in captures] == [int(payment.dialect_id)]
    assert {each["status"]["status"] for each in captures} == {"Approved"}


def test_the_duplicate_guard():
    at = table(duplicate_window_s=60)
    made(at)
    assert complaint(post(at, "sale", SALE)) == (422, "Possible Duplicate Request")
    for other in ({"amount": 5}, {"card": VISA | {"number": MASTERCARD}}):
        made(at, **other)
    made(at, "auth")
    at.now += timedelta(seconds=60)
    made(at)
    assert len(said(at.call("GET", "/payments", query={"filter[status.status]": "Declined"}))["items"]) == 1
    unguarded = table()
    made(unguarded)
    made(unguarded)


# --- 3-D Secure ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "eci", "named"), [(NUMBER, "05", "cavv"), (MASTERCARD, "02", "aav")])
@pytest.mark.parametrize("wish", [{"3ds": True}, {"threeds": True}, {"3ds": "Yes"}])
def test_a_sale_may_ask_for_authentication(wish: Any, number: str, eci: str, named: str):
    shown = made(table(), card=VISA | {"number": number}, **wish)["threeds"]
    assert (shown["eci"], shown[named] is not None) == (eci, True)
    assert shown["id"] is not None


def test_a_session_is_made_checked_and_named_by_a_sale():
    at = table()
    body = {**HERE, "amount": "45.00", "card": {"number": int(MASTERCARD), "exp": "12/25"}}
    answer = at.call("POST", "/3ds/create", body)
    session = said(answer)
    assert (answer.status, list(session)) == (200, ["id"])
    checked = said(at.call("POST", f"/3ds/{session['id']}/check", {}))
    assert list(checked) == ["id", "status", "eci", "aav", "cavv"]
    assert (checked["id"], checked["status"], checked["eci"]) == (session["id"], "Authenticated", "02")
    record = made(at, card=VISA | {"number": MASTERCARD}, threeds={"id": session["id"]})
    assert record["threeds"] == {
        "id": int(session["id"]),
        "eci": "02",
        "aav": checked["aav"],
        "cavv": None,
    }
    assert (at.call("POST", "/3ds/5/check", {}).status, len(at.facts.payments)) == (404, 1)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"terminal": None}, NO_TERMINAL),
        ({"amount": None}, (422, "Amount cannot be blank.")),
        ({"card": {"exp": "12/30"}}, (422, "Card number cannot be blank.")),
        ({"card": {"token": "unknown"}}, (422, "Card token is invalid.")),
        ({"card": {"number": NUMBER}}, (422, "Card exp cannot be blank.")),
    ],
)
def test_what_a_session_needs(members: Any, expected: tuple[int, str]):
    at = table()
    assert complaint(at.call("POST", "/3ds/create", SALE | members)) == expected
    assert at.documents == {}


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_no_card_number_and_no_code_is_kept_or_answered():
    at = table()
    card = VISA | {"cvv": "7531", "save": "Yes"}
    body = SALE | {"card": card, "3ds": True}
    answers = [post(at, call, body | {"externalId": call}) for call in CALLS]
    answers += [post(at, "sale", body | {"card": card | {"exp": "x"}})]
    answers += [at.call("POST", "/3ds/create", body), at.call("GET", "/payments")]
    seen = repr((at.asks, at.documents, at.facts, [said(each) for each in answers]))
    assert NUMBER not in seen and "7531" not in seen


def test_what_its_own_calls_wrote_is_registered_as_it_is():
    document = Own({"capture_1": {}, "service": "sale"})
    assert payment_document(document, START) is document
    with pytest.raises(ValueError, match="capture_1"):
        payment_document({"capture_1": {}}, START)


def test_strangers_do_not_meet():
    at = table()
    foreign = at.pay(1000, "USD", merchant=STRANGER, status="authorized")
    assert post(at, f"{foreign.dialect_id}/capture", HERE).status == 404
    assert at.answer(FindPayment(foreign.dialect_id)) is None


# --- whatever is sent ------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.decimals(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
cards = st.fixed_dictionaries({}, optional=dict.fromkeys([*VISA, "token", "save", "store", "address"], values))
orders = st.fixed_dictionaries({}, optional=dict.fromkeys(["subtotal", "tax", "discounts", "id", "items"], values))
members = st.fixed_dictionaries(
    {},
    optional={
        "terminal": st.one_of(values, st.just({"id": 24})),
        **dict.fromkeys(["amount", "source", "level", "threeds", "3ds", "contact", "ip", "token", "origin"], values),
        **dict.fromkeys(["externalId", "isRecurring"], values),
        "card": st.one_of(values, cards, cards.map(lambda stated: {**VISA, **stated})),
        "order": st.one_of(values, orders),
    },
)


@settings(deadline=None)
@given(call=st.sampled_from(CALLS), body=st.one_of(values, members, members.map(lambda stated: {**SALE, **stated})))
def test_no_body_breaks_a_call(call: str, body: Any):
    at = table()
    answer = post(at, call, body, encoding="json")
    assert answer.status in (200, 400, 404, 422)
    fits(answer)
    for payment in at.facts.payments.values():
        assert 0 < (payment.authorized or payment.captured) <= 100_000_000
