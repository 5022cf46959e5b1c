"""Mangopay's tokens and credentials, what is read back, lists and their pages, and errors without a handler."""

from base64 import b64encode
from typing import Any

import pytest
from msgspec.structs import replace

from moneyback.dialect import Caller, Fault, Incoming, IssueToken, Presented
from moneyback.dialects.mangopay import DIALECT, schemas
from moneyback.dialects.mangopay.registration import payment_document
from tests.dialects.driver import MERCHANT, START, STRANGER, misfits, said
from tests.dialects.mangopay.demo import AUTHOR, Demo, amounts, consistent

TOKEN = "/v2.01/oauth/token"


def basic(user: str, secret: str) -> str:
    return "Basic " + b64encode(f"{user}:{secret}".encode()).decode()


# --- credentials -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "header", "presented"),
    [
        (TOKEN, basic("demo", "key"), Presented("key", "demo")),
        (TOKEN, basic("demo", "key").replace("Basic", "basic"), Presented("key", "demo")),
        (TOKEN, basic("demo", "a:b"), Presented("a:b", "demo")),
        (TOKEN, "Bearer abc", None),  # a token is no way to more tokens
        ("/V2.01//OAuth/token/", "bearer abc", None),
        ("/v2.01/demo/refunds/1", "bearer abc", Presented("abc")),
        ("/v2.01/demo/refunds/1", "Bearer  abc ", Presented("abc")),
        ("/v2.01/demo/refunds/1", "BEARER abc", Presented("abc")),
        ("/v2.01/demo/refunds/1", basic("demo", "key"), Presented("key", "demo")),
        ("/v2.01/demo/refunds/1", "Basic !!!", None),
        ("/v2.01/demo/refunds/1", "Basic " + b64encode(b"no colon").decode(), None),
        ("/v2.01/demo/refunds/1", "Basic " + b64encode(b"demo:").decode(), None),
        ("/v2.01/demo/refunds/1", "abc", None),
        ("/v2.01/demo/refunds/1", "", None),
    ],
)
def test_presented(path: str, header: str, presented: Presented | None):
    assert DIALECT.presented(Incoming(method="POST", path=path, headers={"authorization": header})) == presented


@pytest.mark.parametrize("path", [TOKEN, "/v2.01/oauth/token/", "/v2.01/demo/oauth/token"])
@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        ({"grant_type": "client_credentials"}, "form"),
        ({"grant_type": "client_credentials"}, "json"),
        ({"grant_type": "client_credentials"}, "multipart"),
        ({}, "form"),
        (None, "none"),
    ],
)
def test_tokens(path: str, body: Any, encoding: str):
    world = Demo()
    first = world.call("POST", path, body, encoding=encoding)
    second = world.call("POST", path, body, encoding=encoding)
    assert (first.status, list(said(first))) == (200, ["access_token", "token_type", "expires_in"])
    assert misfits(schemas.TOKEN, first) == []
    assert said(first)["expires_in"] == 1199
    assert said(first)["access_token"] != said(second)["access_token"]
    assert [ask for ask in world.asks if isinstance(ask, IssueToken)] == [IssueToken(1200), IssueToken(1200)]


def test_another_grant_is_not_given():
    outgoing = Demo().call("POST", TOKEN, {"grant_type": "password"}, encoding="form")
    assert (outgoing.status, said(outgoing)) == (400, {"error": "unsupported_grant_type"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "payins/{}/refunds"),
        ("GET", "payins/{}/refunds"),
        ("GET", "payins/{}"),
        ("GET", "refunds/{}"),
        ("GET", "responses/0f6a7c1e-9b34-4c52-8c0e-3a5d2f1b7e90"),
    ],
)
def test_another_clients_path(method: str, path: str):
    world = Demo()
    payment = world.payin()
    body = {"AuthorId": AUTHOR} if method == "POST" else None
    outgoing = world.call(method, f"/v2.01/other/{path.format(payment.dialect_id)}", body)
    assert outgoing.status == 401
    assert said(outgoing) == {
        "Message": "The authorization credentials are not valid",
        "Type": "invalid_credentials",
        "Date": int(START.timestamp()),
    }
    assert world.refunds == ()


def test_credentials_without_a_client_id_may_use_any():
    world = Demo()
    world.caller = Caller(merchant=MERCHANT)
    assert world.get(f"payins/{world.payin().dialect_id}").status == 200


# --- errors without a handler ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (Fault.UNAUTHENTICATED, 401, "invalid_credentials"),
        (Fault.FORBIDDEN, 403, "forbidden_ressource"),
        (Fault.NOT_FOUND, 404, "ressource_not_found"),
        (Fault.METHOD_NOT_ALLOWED, 405, "method_not_allowed"),
        (Fault.BAD_BODY, 400, "param_error"),
        (Fault.TOO_LARGE, 413, "request_too_large"),
        (Fault.UNAVAILABLE, 503, "service_unavailable"),
        (Fault.INTERNAL, 500, "internal_error"),
    ],
)
@pytest.mark.parametrize("dated", [True, False])
def test_faults(fault: Fault, status: int, kind: str, dated: bool):
    incoming = Incoming(method="GET", path="/v2.01/demo/nowhere", at=START, id="0f6a7c1e") if dated else None
    outgoing = DIALECT.fault(fault, incoming)
    answer = said(outgoing)
    assert (outgoing.status, answer["Type"]) == (status, kind)
    assert answer["Date"] == (int(START.timestamp()) if dated else 0)
    if fault is not Fault.UNAUTHENTICATED:
        assert misfits(schemas.ERROR, outgoing) == []
        assert answer["Id"].startswith("0f6a7c1e#" if dated else "#")
    if fault is Fault.FORBIDDEN:
        assert answer["errors"] is None


@pytest.mark.parametrize("path", [TOKEN, "/v2.01/oauth/token/", "/V2.01//OAUTH/token", "/v2.01/demo/oauth/token"])
def test_a_wrong_key_at_the_token_endpoint(path: str):
    outgoing = DIALECT.fault(Fault.UNAUTHENTICATED, Incoming(method="POST", path=path))
    assert (outgoing.status, said(outgoing)) == (401, {"error": "invalid_client"})


def test_what_the_mount_drew_is_used():
    world = Demo()
    incoming = Incoming(
        method="GET", path="/", arguments={"ClientId": "demo", "RefundId": "1"}, at=START, id="drawn-by-the-mount"
    )
    route = next(route for route in DIALECT.routes if route.path.endswith("/refunds/{RefundId}"))
    outgoing = world.run(route.handle(incoming, world.caller))
    assert said(outgoing)["Id"] == f"drawn-by-the-mount#{int(START.timestamp())}"
    assert len(world.asks) == 1


# --- a pay-in --------------------------------------------------------------------------------------------------------

PAYIN = [
    "Id",
    "Tag",
    "CreationDate",
    "AuthorId",
    "CreditedUserId",
    "DebitedFunds",
    "CreditedFunds",
    "Fees",
    "Status",
    "ResultCode",
    "ResultMessage",
    "ExecutionDate",
    "Type",
    "Nature",
    "CreditedWalletId",
    "DebitedWalletId",
    "PaymentType",
    "ExecutionType",
    "StatementDescriptor",
]


@pytest.mark.parametrize(
    ("fields", "status", "code", "kind"),
    [
        ({}, "SUCCEEDED", "000000", ("CARD", "DIRECT")),
        ({"method": "CARD", "dialect_data": {"ExecutionType": "WEB"}}, "SUCCEEDED", "000000", ("CARD", "WEB")),
        ({"method": "DIRECT_DEBIT"}, "SUCCEEDED", "000000", ("DIRECT_DEBIT", "DIRECT")),
        ({"method": "PAYPAL"}, "SUCCEEDED", "000000", ("PAYPAL", "WEB")),
        ({"status": "processing"}, "CREATED", None, ("CARD", "DIRECT")),
        ({"status": "authorized"}, "CREATED", None, ("CARD", "DIRECT")),
        ({"status": "failed"}, "FAILED", "001999", ("CARD", "DIRECT")),
    ],
)
def test_a_payin(fields: dict[str, Any], status: str, code: str | None, kind: tuple[str, str]):
    world = Demo()
    payment = world.payin(**fields)
    outgoing = world.get(f"payins/{payment.dialect_id}")
    shown = said(outgoing)
    assert outgoing.status == 200
    assert misfits(schemas.PAYIN, outgoing) == []
    assert list(shown)[: len(PAYIN)] == PAYIN
    assert (shown["Status"], shown["ResultCode"]) == (status, code)
    assert (shown["PaymentType"], shown["ExecutionType"]) == kind
    assert (shown["ExecutionDate"] is None) == (status != "SUCCEEDED")
    figures = [shown[name]["Amount"] for name in ("DebitedFunds", "Fees", "CreditedFunds")]
    assert figures == [27_500, 2_500, 25_000]


def test_a_card_is_shown_whole_or_not_at_all():
    world = Demo()
    card = said(world.get(f"payins/{world.payin().dialect_id}"))
    assert card["SecurityInfo"] == {"AVSResult": "NO_CHECK"}
    assert set(card["CardInfo"]) == {"BIN", "IssuingBank", "IssuerCountryCode", "Type", "Brand", "SubType"}
    assert "CardInfo" not in said(world.get(f"payins/{world.payin(method='PAYPAL').dialect_id}"))


def test_a_refund_leaves_its_payin_as_it_was():
    world = Demo()
    payment = world.payin()
    before = said(world.get(f"payins/{payment.dialect_id}"))
    world.done(payment)
    assert said(world.get(f"payins/{payment.dialect_id}")) == before


@pytest.mark.parametrize(
    ("path", "kind"), [("payins/1", "PayIn"), ("payins/1/refunds", "PayIn"), ("refunds/1", "Refund")]
)
def test_what_is_not_there(path: str, kind: str):
    outgoing = Demo().get(path)
    assert outgoing.status == 404
    assert said(outgoing)["errors"] == {"RessourceNotFound": f"Cannot found the ressource {kind} with the id=1"}


def test_a_strangers_payin_is_not_there():
    world = Demo()
    payment = world.payin(merchant=STRANGER)
    assert world.get(f"payins/{payment.dialect_id}").status == 404
    assert world.get(f"payins/{payment.dialect_id}/refunds").status == 404


def test_the_providers_own_id_of_a_refund_is_known_too():
    world = Demo()
    refund = world.done(world.payin())
    known = world.last()
    world.facts.refunds[known.id] = replace(known, provider_id="refund_m_1")
    assert said(world.get("refunds/refund_m_1"))["Id"] == refund["Id"]


# --- lists -----------------------------------------------------------------------------------------------------------


def listed(count: int = 12) -> tuple[Demo, str]:
    """A pay-in with refunds of 1, 2, 3 … cents, a minute apart; every third one failed."""
    world = Demo()
    payment = world.payin()
    for number in range(1, count + 1):
        world.outcome = "succeeded" if number % 3 else "failed:101199"
        world.done(payment, amounts(number))
        world.advance(minutes=1)
    return world, f"payins/{payment.dialect_id}/refunds"


def cents(outgoing: Any) -> list[int]:
    rows = said(outgoing)
    for row in rows:
        consistent(row)
    return [row["DebitedFunds"]["Amount"] for row in rows]


AT = int(START.timestamp())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ([], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ([("page", "2")], [11, 12]),
        ([("page", "3")], []),
        ([("page", "2"), ("per_page", "5")], [6, 7, 8, 9, 10]),
        ([("Page", "2"), ("Per_Page", "5")], [6, 7, 8, 9, 10]),
        ([("per_page", "1000")], list(range(1, 13))),
        ([("page", "0"), ("per_page", "0")], [1]),
        ([("page", "x"), ("per_page", "-3")], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ([("Sort", "CreationDate:DESC"), ("per_page", "3")], [12, 11, 10]),
        ([("sort", "creationdate:desc"), ("per_page", "3")], [12, 11, 10]),
        ([("sort", "Id:ASC_CreationDate:DESC"), ("per_page", "3")], [12, 11, 10]),
        ([("sort", "CreationDate:ASC"), ("per_page", "3")], [1, 2, 3]),
        ([("Status", "FAILED")], [3, 6, 9, 12]),
        ([("Status", "Failed")], [3, 6, 9, 12]),
        ([("Status", "FAILED,CREATED")], [3, 6, 9, 12]),
        ([("Status", "SUCCEEDED,FAILED"), ("per_page", "4")], [1, 2, 3, 4]),
        ([("Status", "CREATED"), ("Status", "FAILED")], [3, 6, 9, 12]),
        ([("Status", "PAID")], []),
        ([("ResultCode", "101199")], [3, 6, 9, 12]),
        ([("ResultCode", "000000,101199"), ("per_page", "4")], [1, 2, 3, 4]),
        ([("ResultCode", "000000"), ("Status", "FAILED")], []),
        ([("AfterDate", str(AT + 600))], [11, 12]),
        ([("BeforeDate", str(AT + 60))], [1, 2]),
        ([("afterdate", str(AT + 60)), ("BeforeDate", str(AT + 120))], [2, 3]),
        ([("id", "1"), ("anything", "else"), ("per_page", "2")], [1, 2]),
    ],
)
def test_lists(query: list[tuple[str, str]], found: list[int]):
    world, path = listed()
    outgoing = world.get(path, query)
    assert outgoing.status == 200
    assert cents(outgoing) == found


@pytest.mark.parametrize("name", ["AfterDate", "BeforeDate"])
def test_dates_are_seconds(name: str):
    world, path = listed(1)
    outgoing = world.get(path, {name: "2026-03-02"})
    assert (outgoing.status, list(said(outgoing)["errors"])) == (400, [name])


@pytest.mark.parametrize(
    ("count", "query", "pages", "links"),
    [
        (0, {}, "0", {"first": "1", "last": "1"}),
        (3, {}, "1", {"first": "1", "last": "1"}),
        (12, {}, "2", {"first": "1", "next": "2", "last": "2"}),
        (12, {"page": "2", "per_page": "5"}, "3", {"first": "1", "prev": "1", "next": "3", "last": "3"}),
        (12, {"page": "3", "per_page": "5"}, "3", {"first": "1", "prev": "2", "last": "3"}),
    ],
)
def test_pages_are_counted(count: int, query: dict[str, str], pages: str, links: dict[str, str]):
    world, path = listed(count)
    headers = world.get(path, {**query, "Status": "SUCCEEDED,FAILED"}).headers
    assert (headers["X-Number-Of-Pages"], headers["X-Number-Of-Items"]) == (pages, str(count))
    size = query.get("per_page", "10")
    assert headers["Link"] == ", ".join(
        f'<http://localhost/v2.01/demo/{path}?Status=SUCCEEDED%2CFAILED&page={page}&per_page={size}>; rel="{name}"'
        for name, page in links.items()
    )


def test_an_empty_list_is_a_list():
    world, path = listed(0)
    assert said(world.get(path)) == []


# --- registration ----------------------------------------------------------------------------------------------------


def test_a_bare_payin_is_the_demo_users():
    assert payment_document({}, START) == {"AuthorId": AUTHOR, "CreditedWalletId": "9200000001"}


def test_what_is_said_is_kept():
    data = {"AuthorId": "u", "Tag": "t", "ExecutionType": "WEB", "anything": 5}
    assert payment_document(data, START) == {**data, "CreditedWalletId": "9200000001"}


@pytest.mark.parametrize(
    "data",
    [
        {"AuthorId": 5},
        {"AuthorId": ""},
        {"AuthorId": None},
        {"AuthorId": "x" * 129},
        {"CreditedWalletId": []},
        {"Tag": "x" * 256},
        {"StatementDescriptor": "x" * 11},
        {"ExecutionType": "direct"},
        {"windows": "none"},
    ],
)
def test_what_a_payin_cannot_be(data: dict[str, Any]):
    with pytest.raises(ValueError, match="is"):
        payment_document(data, START)


def test_the_ready_file():
    samples = DIALECT.samples
    assert samples is not None
    presented, profile = samples.credentials(lambda length: "k" * length)
    world = Demo()
    payments = tuple(world.answer(sample) for sample in samples.payments)
    section = samples.section("http://h/mangopay", presented, profile, payments)
    assert list(section) == ["base_url", "client_id", "api_key", "payins"]
    for payin, payment in zip(section["payins"], payments, strict=True):
        assert list(payin) == ["Id", "AuthorId", "DebitedFunds", "Fees", "CreditedFunds"]
        shown = said(world.get(f"payins/{payment.dialect_id}"))
        assert payin == {name: shown[name] for name in payin}
    first = section["payins"][0]
    assert first["Fees"]["Amount"] > 0
    assert first["DebitedFunds"]["Amount"] >= 10_000
    assert world.done(payments[0])["Status"] == "SUCCEEDED"
    assert samples.curl(section).startswith("curl -u 'demo:kkkk")
