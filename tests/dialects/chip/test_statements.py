"""Company statements: scheduled, cancelled, and fetched as CSV and as a workbook."""

import csv
from datetime import timedelta
from io import BytesIO, StringIO
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest

from moneyback.dialects.chip.account import BATCH
from moneyback.dialects.chip.statements import COLUMNS
from tests.dialects.chip.shapes import STATEMENT, fits, listed
from tests.dialects.chip.shop import Shop, code
from tests.dialects.driver import STRANGER, misfits, said

CELL = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}t"


def schedule(shop: Shop, body: Any = None, **query: str) -> dict[str, Any]:
    answer = shop.ask("POST", "/company_statements/", body, query={"currency": "MYR", **query})
    assert answer.status == 201
    return fits(answer)


def fetched(shop: Shop, statement: dict[str, Any]) -> tuple[str, bytes]:
    shop.table.now += timedelta(seconds=2)
    ready = fits(shop.ask("GET", f"/company_statements/{statement['id']}/"))
    assert ready["status"] == "success"
    answer = shop.table.call("GET", ready["download_url"])
    assert answer.status == 200
    assert isinstance(answer.body, bytes)
    return answer.media_type, answer.body


def test_a_statements_life():
    shop = Shop()
    made = schedule(shop, {"format": "csv", "timezone": "Asia/Kuala_Lumpur"}, brand_id="x")
    assert (made["status"], made["download_url"], made["finished_on"]) == ("pending", "", None)
    assert (made["timezone"], made["query_string"]) == ("Asia/Kuala_Lumpur", "currency=MYR&brand_id=x")
    assert misfits(listed(STATEMENT), shop.ask("GET", "/company_statements/")) == []
    path = f"/company_statements/{made['id']}/"
    assert fits(shop.ask("POST", f"{path}cancel/"))["status"] == "cancelled"
    assert code(shop.ask("POST", f"{path}cancel/")) == "company_statement_cancel_wrong_status"
    shop.table.now += timedelta(days=1)
    assert fits(shop.ask("GET", path))["status"] == "cancelled"
    assert shop.table.call("GET", f"/s/{shop.table.caller.merchant.hex}/{made['id']}/").status == 404


def test_what_was_paid_as_csv():
    shop = Shop()
    paid = shop.paid({"name": "Tea", "price": 1050}, reference="=cmd()")
    shop.act(paid, "refund", {"amount": 50})
    shop.create()
    shop.paid(purchase={"currency": "SGD"}, payment_method_whitelist=["mpgs_apple_pay"])
    media_type, body = fetched(shop, schedule(shop))
    head, *rows = csv.reader(StringIO(body.decode(), newline=""))
    assert (media_type, tuple(head)) == ("text/csv; charset=utf-8", COLUMNS)
    [row] = [dict(zip(head, each, strict=True)) for each in rows]
    assert (row["id"], row["reference"], row["status"]) == (paid["id"], "'=cmd()", "refunded")
    assert (row["total"], row["paid"], row["fee"], row["refunded"]) == ("10.50", "10.50", "0.00", "0.50")
    assert row["payment_method"] == "fpx"


def test_what_was_paid_as_a_workbook():
    shop = Shop()
    for number in range(BATCH + 3):
        shop.table.pay(number + 1, "MYR", order="<A&B>")
    media_type, body = fetched(shop, schedule(shop, {"format": "xlsx"}))
    assert media_type.endswith("spreadsheetml.sheet")
    with ZipFile(BytesIO(body)) as package:
        texts = [each.text for each in ElementTree.fromstring(package.read("xl/worksheets/sheet1.xml")).iter(CELL)]
    assert tuple(texts[: len(COLUMNS)]) == COLUMNS
    assert len(texts) == len(COLUMNS) * (BATCH + 4)
    assert "<A&B>" in texts


@pytest.mark.parametrize(
    ("query", "body", "place", "expected"),
    [
        ({}, {}, "currency", "required"),
        ({"currency": "MYR"}, {"format": "pdf"}, "format", "invalid_choice"),
        ({"currency": "MYR"}, {"timezone": "x" * 65}, "timezone", "max_length"),
        ({"currency": "MYR"}, [1], "__all__", "invalid"),
    ],
)
def test_what_is_wrong_with_a_schedule(query: dict[str, str], body: Any, place: str, expected: str):
    shop = Shop()
    answer = shop.ask("POST", "/company_statements/", body, query=query)
    assert (answer.status, said(answer)[place][0]["code"]) == (400, expected)
    assert not shop.table.documents


def test_a_statement_is_found_by_its_own_address_alone():
    shop = Shop()
    made = schedule(shop)
    early = shop.table.call("GET", f"/s/{shop.table.caller.merchant.hex}/{made['id']}/")
    assert early.status == 404
    shop.table.now += timedelta(seconds=2)
    for address in (f"/s/x/{made['id']}/", f"/s/{STRANGER.hex}/x/", f"/s/{shop.table.caller.merchant.hex}/x/"):
        assert shop.table.call("GET", address).status == 404
    assert shop.ask("GET", "/company_statements/x/").status == 404
