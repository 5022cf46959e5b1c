"""Every refund request that the five providers' reference pages print, sent as it is printed.

The answer has the members its page lists, first and in that order, and with those JSON types; what we add follows or
nests. Host, ids and credentials are our own, and values follow from the payment.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from moneyback.dialect import Outgoing
from tests.dialects.driver import said
from tests.dialects.http.server import FORM, NOTHING, Body, Face, Product, basic, bearer, form, raw

Types = Mapping[str, str]

TRUUST: Types = {
    "id": "integer",
    "self": "string",
    "reference": "string null",
    "type": "string",
    "subtype": "string null",
    "status": "string",
    "provider": "object",
    "tag": "string null",
    "direct_link": "string null",  # present only while a payment page is open; the member itself is always there
    "created_at": "string null",
    "confirmed_at": "string null",
    "denied_at": "string null",
    "connections": "object",
}
TRUSTLY: Types = {
    "transactionId": "string",
    "transactionType": "string",
    "payment": "object",
    "currency": "string",
    "amount": "string",
    "pending": "string",
    "paid": "string",
    "refunded": "string",
    "reversed": "string",
    "balance": "string",
    "paymentProviderTransaction": "object",
    "status": "string",
    "statusMessage": "string",
    "ip": "string",
    "createdAt": "integer",
    "processedAt": "integer",
    "completedAt": "integer",
    "updatedAt": "integer",
    "merchantReference": "string",
    "recordVersion": "integer number",
    # From here on the reference requires none; what there is nothing to say of is null.
    "ppTrxId": "string null",
    "expiredAt": "integer null",
    "originalTransactionId": "string null",
    "fee": "string null",
    "timeZone": "string null",
    "representmentScheduledAt": "integer number null",
    "paymentProcessorType": "string null",
    "statusCode": "string null",
    "preAuthorized": "boolean null",
}
CHIP: Types = {
    "type": "string",
    "id": "string",
    "created_on": "integer",
    "updated_on": "integer",
    "client": "object",
    "payment": "object",
    "transaction_data": "object null",
    "related_to": "object null",
    "reference_generated": "string",
    "reference": "string",
    "account_id": "string",
    "company_id": "string",
    "is_test": "boolean",
    "user_id": "string null",
    "brand_id": "string",
}
MANGOPAY: Types = {
    "Id": "string",
    "Tag": "string null",
    "CreationDate": "integer",
    "AuthorId": "string",
    "CreditedUserId": "string null",
    "DebitedFunds": "object",
    "CreditedFunds": "object",
    "Fees": "object",
    "Status": "string",
    "ResultCode": "string null",
    "ResultMessage": "string null",
    "ExecutionDate": "integer null",
    "Type": "string",
    "Nature": "string",
    "InitialTransactionId": "string",
    "InitialTransactionType": "string",
    "InitialTransactionNature": "string",
    "DebitedWalletId": "string null",
    "CreditedWalletId": "string null",
    "RefundReason": "object",
    "StatementDescriptor": "string null",
}

MAVERICK = """{
"id": 883,
"amount": "1.99",
"origin": "API",
"type": "Return",
"level": 1,
"authCode": null,
"parent": {
"id": 882
},
"terminal": {
"id": 24
},
"threeds": {
"id": null
},
"card": {
"bin": 530957,
"name": null,
"number": 2257,
"exp": "2030-12-31",
"verification": {
"cvv": null,
"address": null
},
"networkTransactionId": null
},
"contact": null,
"externalId": null,
"isRecurring": "No",
"split": null,
"refunded": false,
"captured": false,
"history": [],
"order": null,
"feeTransaction": null,
"batch": {
"id": null,
"number": null,
"batchedOn": null
},
"ip": {
"address": "216.73.161.60",
"isp": "Ipxo Limited",
"type": "hosting",
"location": {
"city": "New York",
"state": "NY",
"country": "US",
"zip": "10013"
},
"info": {
"isAnonymous": "Yes",
"isAnonymousVpn": "No",
"isPublicProxy": "No",
"isHostingProvider": "Yes",
"isTorExitNode": "No"
}
},
"status": {
"status": "Approved",
"reason": null
},
"updatedOn": "2023-05-09 15:51:36",
"createdOn": "2023-05-09 15:51:36"
}"""
"""Maverick's page prints its answer, and the same once more as the body of its request."""


def kind(value: Any) -> str:
    """What a value is in JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "number"


def as_listed(answer: Outgoing, listed: Types) -> Any:
    """The body, once its first members are those of the page, in its order and of its types."""
    assert answer.status == 200, said(answer)
    assert answer.headers["content-type"].startswith("application/json")
    body = said(answer)
    assert list(body)[: len(listed)] == list(listed)
    misfits = {name: kind(body[name]) for name, kinds in listed.items() if kind(body[name]) not in kinds.split()}
    assert misfits == {}
    return body


def same_shape(printed: Any, answered: Any, place: str = "answer") -> None:
    """Every printed member is there, in its order and of its type, however deep; others may follow."""
    assert kind(answered) == kind(printed), place
    if isinstance(printed, dict):
        assert list(answered)[: len(printed)] == list(printed), place
        for name, value in printed.items():
            same_shape(value, answered[name], f"{place}.{name}")


# --- Truust ----------------------------------------------------------------------------------------------------------

TRUUST_PRINTED = """
{
  "amount": 2,
  "multipayin": 0
}
"""


@pytest.mark.parametrize(
    ("body", "given", "status"),
    [
        (raw(TRUUST_PRINTED), 200, "CONFIRMED"),
        (raw('{"amount": 2, "multipayin": 1}'), 200, "CONFIRMED"),
        (raw('{"amount": 2, "tag": "a tag", "metadata": {"ticket": 7}}'), 200, "CONFIRMED"),
        (NOTHING, 250_00, "REFUNDED"),
    ],
    ids=["as printed", "for the order", "with tag and metadata", "without a body: the full amount"],
)
def test_truust_refund_payin(product: Product, body: Body, given: int, status: str):
    face = product.face("truust", bearer(product.ready["truust"]["secret_key"]))
    payment = product.pay("truust", 250_00, "EUR", order="seed-1")
    answer = as_listed(face.post(f"/2.0/payins/{payment['dialect_id']}/refund", body), TRUUST)
    assert (answer["id"], answer["self"]) == (int(payment["dialect_id"]), f"/2.0/payins/{payment['dialect_id']}")
    assert answer["status"] == status
    assert product.payment(payment["id"])["refunded"] == given


def test_truust_refund_payin_to_a_bank_account(product: Product):
    ready = product.ready["truust"]
    face = product.face("truust", bearer(ready["secret_key"]))
    payment = product.pay("truust", 250_00, "EUR", method="BANKWIRE")
    printed = {"amount": 2, "multipayin": 0, "bankaccount_id": ready["bankaccounts"][0]["id"]}
    answer = as_listed(face.post(f"/2.0/payins/{payment['dialect_id']}/refund", printed), TRUUST)
    assert (answer["type"], answer["status"]) == ("BANKWIRE", "CONFIRMED")


# --- Trustly ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "amount"),
    [
        (form({"merchantReference": "order-7", "amount": "1.00"}), "1.00"),
        (raw('{"merchantReference": "order-7", "amount": "1.00"}'), "1.00"),
        (form({"merchantReference": "order-7"}), "250.00"),
        (raw("", FORM), "250.00"),
        (NOTHING, "250.00"),
    ],
    ids=["as a form", "as JSON", "without an amount: the remaining balance", "an empty form", "nothing"],
)
def test_trustly_refund_transaction(product: Product, body: Body, amount: str):
    ready = product.ready["trustly"]
    face = product.face("trustly", basic(ready["access_id"], ready["access_key"]))
    payment = product.pay("trustly", 250_00, "USD", dialect_data={"merchantReference": "order-6"})
    answer = as_listed(face.post(f"/transactions/{payment['dialect_id']}/refund", body), TRUSTLY)
    assert (answer["transactionType"], answer["status"], answer["amount"]) == ("4", "1", amount)
    assert answer["originalTransactionId"] == payment["dialect_id"]
    assert answer["merchantReference"] == ("order-7" if b"order-7" in body.content else "order-6")


# --- CHIP ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "amount"),
    [(raw('{"amount": 100}'), 100), (raw("{}"), 250_00), (NOTHING, 250_00)],
    ids=["a part", "nothing said: full", "no body: full"],
)
def test_chip_refund_a_paid_purchase(product: Product, body: Body, amount: int):
    face = product.face("chip", bearer(product.ready["chip"]["secret_key"]))
    payment = product.pay("chip", 250_00, "MYR")
    answer = as_listed(face.post(f"/purchases/{payment['dialect_id']}/refund/", body), CHIP)
    assert (answer["type"], answer["payment"]["payment_type"]) == ("payment", "refund")
    assert (answer["payment"]["amount"], answer["payment"]["currency"]) == (amount, "MYR")
    assert answer["related_to"] | {"type": "purchase", "id": payment["dialect_id"]} == answer["related_to"]


def test_chip_takes_too_long(product: Product):
    """The page: status code 200 and a Purchase object with status = pending_refund."""
    face = product.face("chip", bearer(product.ready["chip"]["secret_key"]))
    payment = product.pay("chip", 250_00, "MYR", scenario="pending:30")
    answer = said(face.post(f"/purchases/{payment['dialect_id']}/refund/", '{"amount": 100}'))
    assert (answer["type"], answer["id"], answer["status"]) == ("purchase", payment["dialect_id"], "pending_refund")


def test_chip_fails_in_processing(product: Product):
    """The page: code 400, error purchase_refund_error, and the attempt newest first in the Purchase."""
    face = product.face("chip", bearer(product.ready["chip"]["secret_key"]))
    payment = product.pay("chip", 250_00, "MYR", scenario="decline:insufficient_funds")
    answer = face.post(f"/purchases/{payment['dialect_id']}/refund/", '{"amount": 100}')
    assert (answer.status, said(answer)["__all__"][0]["code"]) == (400, "purchase_refund_error")
    newest = said(face.get(f"/purchases/{payment['dialect_id']}/"))["transaction_data"]["attempts"][0]
    assert (newest["type"], newest["successful"], newest["error"]["code"]) == ("refund", False, "insufficient_funds")


# --- Mangopay --------------------------------------------------------------------------------------------------------

FULL = {"AuthorId": "9100000001"}
PART = FULL | {"DebitedFunds": {"Currency": "EUR", "Amount": 100}, "Fees": {"Currency": "EUR", "Amount": -10}}
ALL_MEMBERS = {"Tag": "Custom data", **PART, "StatementDescriptor": "Shop 24"}


@pytest.mark.parametrize(
    ("body", "amounts"),
    [(FULL, (250_00, -25_00, 275_00)), (PART, (100, -10, 110)), (ALL_MEMBERS, (100, -10, 110))],
    ids=["the author alone", "both amounts", "every parameter"],
)
def test_mangopay_create_a_payin_refund(product: Product, body: dict[str, Any], amounts: tuple[int, int, int]):
    ready = product.ready["mangopay"]
    face = product.face("mangopay", basic(ready["client_id"], ready["api_key"]))
    payment = product.pay("mangopay", 275_00, "EUR", fees=25_00)
    path = f"/v2.01/{ready['client_id']}/payins/{payment['dialect_id']}/refunds"
    answer = as_listed(face.post(path, body), MANGOPAY)
    assert (answer["Status"], answer["ResultCode"], answer["Tag"]) == ("SUCCEEDED", "000000", body.get("Tag"))
    for name, amount in zip(("DebitedFunds", "Fees", "CreditedFunds"), amounts, strict=True):
        assert answer[name] == {"Currency": "EUR", "Amount": amount}


# --- Maverick --------------------------------------------------------------------------------------------------------


def test_maverick_refund(product: Product):
    """The body is the printed one but for the payment's own terminal, which is the printed one too: 24."""
    ready = product.ready["maverick"]
    face = maverick(product)
    number = ready["payments"][0]["id"]
    answer = said(face.post(f"/payment/{number}/refund", MAVERICK))
    printed = json.loads(MAVERICK)
    same_shape(printed, answer)
    assert list(answer) == list(printed)
    equal = (
        *("amount", "origin", "type", "level", "authCode", "terminal", "contact", "externalId", "isRecurring", "split"),
        *("refunded", "captured", "history", "order", "feeTransaction", "batch", "status"),
    )
    assert {name: answer[name] for name in equal} == {name: printed[name] for name in equal}
    assert answer["parent"] == {"id": number}
    assert answer["card"]["exp"] == "2030-12-31"


@pytest.mark.parametrize(("body", "amount"), [({}, "10.00"), ({"amount": 1.99}, "1.99"), ({"amount": "1.99"}, "1.99")])
def test_maverick_refund_with_the_fields_of_its_table(product: Product, body: dict[str, Any], amount: str):
    payment = product.pay("maverick", 10_00, "USD")
    answer = said(maverick(product).post(f"/payment/{payment['dialect_id']}/refund", {"terminal": {"id": 24}} | body))
    assert list(answer) == list(json.loads(MAVERICK))
    assert (answer["type"], answer["amount"], answer["status"]["status"]) == ("Return", amount, "Approved")


def maverick(product: Product) -> Face:
    return product.face("maverick", bearer(product.ready["maverick"]["token"]))


# --- all of them -----------------------------------------------------------------------------------------------------


def test_nothing_printed_is_paid_twice_or_not_at_all(product: Product):
    """A sum over the books: what the requests above gave back is what the bank paid."""
    payment = product.pay("truust", 250_00, "EUR")
    face = product.face("truust", bearer(product.ready["truust"]["secret_key"]))
    for _ in range(3):
        face.post(f"/2.0/payins/{payment['dialect_id']}/refund", TRUUST_PRINTED)
    assert product.executed(payment["id"]) == [2_00, 2_00, 2_00]
