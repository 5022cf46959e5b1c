"""Lists: every page in its place without reading what comes before it, and the filter language, row by row."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moneyback.core.refund import State
from moneyback.dialect import FindPayment, ListDocuments, ListPayments, ListRefunds, PaymentOf, Total
from moneyback.dialects.maverick import DIALECT, payments
from moneyback.dialects.maverick.filters import COLUMNS, narrowed, read_filter
from tests.dialects.driver import STRANGER, Table, said
from tests.dialects.maverick.schemas import fits, fits_list

HERE = {"terminal": {"id": 24}}
VISA = {"number": "4111111111111111", "exp": "12/30"}
SALE = {**HERE, "amount": "10.00", "source": "Internet", "card": VISA}
Query = Sequence[tuple[str, str]] | str


def listed(at: Table, query: Query = "", path: str = "/payments") -> dict[str, Any]:
    pairs = parse_qsl(query, keep_blank_values=True) if isinstance(query, str) else query
    body: dict[str, Any] = fits_list(at.call("GET", path, query=pairs))
    return body


def ids(page: dict[str, Any]) -> list[int]:
    return [each["id"] for each in page["items"]]


def all_of(at: Table, query: str = "", per_page: int = 50) -> list[dict[str, Any]]:
    """Every record of a list, page by page as its links lead."""
    found, page = [], listed(at, f"{query}&per-page={per_page}")
    while True:
        found += page["items"]
        following = page["_links"].get("next")
        if following is None:
            assert len(found) == page["_meta"]["totalCount"]
            return found
        page = listed(at, urlsplit(following["href"]).query)


@pytest.fixture(scope="module")
def market() -> Table:
    """A few dozen records of every type, status and source, minutes apart."""
    at = Table(DIALECT)
    at.outcome = "succeeded"

    def post(path: str, body: Any) -> Any:
        at.now += timedelta(minutes=1)
        return fits(at.call("POST", path, HERE | body))

    for number in range(6):
        at.now += timedelta(minutes=1)
        at.pay(1000 + number, "USD", order=f"native-{number}", dialect_data={"terminal_id": 24 + number % 2})
        sale = post("/payment/sale", SALE | {"externalId": f"sale-{number}", "card": VISA | {"name": f"Ada {number}"}})
        post(f"/payment/{sale['id']}/refund", {"amount": 1 + number})
        auth = post("/payment/auth", SALE | {"amount": 20 + number, "source": "Phone", "level": 2})
        post(f"/payment/{auth['id']}/capture", {"amount": 5})
        if number % 2:
            post(f"/payment/{auth['id']}/capture", {"amount": 6})
        post("/payment/card-authentication", SALE | {"externalId": f"check-{number}"})
        post("/payment/generate-token", {"card": VISA})
        post("/payment/sale", SALE | {"card": VISA | {"number": "4000000000000002"}})
        post(f"/payment/{post('/payment/auth', SALE)['id']}/refund", {})
    at.now += timedelta(minutes=1)
    at.pay(700, "USD", dialect_data={"externalId": "hidden"})
    at.pay(800, "USD", merchant=STRANGER)
    at.now += timedelta(minutes=1)
    return at


# --- pages -----------------------------------------------------------------------------------------------------------


def test_the_newest_come_first_each_once_and_as_they_are_read_alone(market: Table):
    found = all_of(market)
    assert [each["id"] for each in found] == sorted({each["id"] for each in found}, reverse=True)
    assert len(found) == 6 * 11 + 3 + 1
    for record in found:
        assert fits(market.call("GET", f"/payment/{record['id']}")) == record
    assert {each["type"] for each in found} == {"Auth", "Capture", "Return", "CardAuthentication", "GenerateToken"}
    assert {each["status"]["status"] for each in found} == {"Approved", "Declined"}


@pytest.mark.parametrize("per_page", [1, 7, 30, 50])
@pytest.mark.parametrize("query", ["", "sort=createdOn", "filter[type]=Return", "filter[amount][gt]=5&sort=id"])
def test_pages_fit_together(market: Table, query: str, per_page: int):
    assert all_of(market, query, per_page) == all_of(market, query)


def test_a_page_and_its_links(market: Table):
    page = listed(market, "filter[type][eq]=Auth&page=2&per-page=10&sort=-id")
    total = 6 * 5 + 1
    assert page["_meta"] == {"totalCount": total, "pageCount": 4, "currentPage": 2, "perPage": 10}
    assert list(page["_links"]) == ["self", "first", "last", "prev", "next"]
    places = {name: dict(parse_qsl(urlsplit(link["href"]).query))["page"] for name, link in page["_links"].items()}
    assert places == {"self": "2", "first": "1", "last": "4", "prev": "1", "next": "3"}
    for link in page["_links"].values():
        asked = dict(parse_qsl(urlsplit(link["href"]).query))
        assert (asked["filter[type][eq]"], asked["sort"], asked["per-page"]) == ("Auth", "-id", "10")
        assert urlsplit(link["href"]).path == "/payments"


@pytest.mark.parametrize(
    ("query", "page", "per_page"),
    [
        ("", 1, 30),
        ("per-page=51", 1, 50),
        ("per-page=0", 1, 1),
        ("per-page=x", 1, 30),
        ("per-page=-5", 1, 30),
        ("page=0", 1, 30),
        ("page=x", 1, 30),
        ("page=99999999999999999999&per-page=50", 2, 50),
        ("page=3&per-page=30", 3, 30),
    ],
)
def test_what_is_out_of_range_is_moved_into_it(market: Table, query: str, page: int, per_page: int):
    meta = listed(market, query)["_meta"]
    assert (meta["currentPage"], meta["perPage"]) == (page, per_page)


def test_an_empty_list():
    page = listed(Table(DIALECT))
    assert page["items"] == []
    assert page["_meta"] == {"totalCount": 0, "pageCount": 0, "currentPage": 1, "perPage": 30}
    assert list(page["_links"]) == ["self"]


def test_both_names_lead_to_it_and_links_keep_the_name_and_the_base(market: Table):
    answer = market.call("GET", "/payment/", query={"per-page": "1"})
    assert fits_list(answer)["_links"]["self"]["href"].startswith("/payment?page=1")
    assert ids(fits_list(answer)) == ids(listed(market, "per-page=1"))


@pytest.mark.parametrize("sort", ["amount", "-", "createdOn,-id"])
def test_an_order_nobody_knows(market: Table, sort: str):
    answer = market.call("GET", "/payments", query={"sort": sort})
    assert (answer.status, fits(answer)["message"][:16]) == (422, "Sort is invalid.")
    lenient = Table(DIALECT, profile={"lenient_filters": True})
    assert lenient.call("GET", "/payments", query={"sort": sort}).status == 200


def test_a_deep_page_is_found_without_reading_what_comes_before():
    at = Table(DIALECT)
    at.outcome = "succeeded"
    for number in range(400):
        at.now += timedelta(seconds=1)
        payment = at.pay(1000, "USD")
        if number % 3 == 0:
            fits(at.call("POST", f"/payment/{payment.dialect_id}/refund", HERE | {"amount": 1}))
        if number % 7 == 0:
            fits(at.call("POST", "/payment/generate-token", HERE | {"card": VISA}))
    at.asks.clear()
    page = listed(at, "page=9&per-page=50")
    lists = [each for each in at.asks if isinstance(each, ListPayments | ListRefunds | ListDocuments)]
    assert ids(page) == sorted(ids(page), reverse=True)
    assert page["_meta"]["totalCount"] == 400 + 134 + 58
    assert max(each.limit for each in lists) == 50
    assert len(lists) < 60
    assert len({each["id"] for each in all_of(at)}) == 592


# --- filters ---------------------------------------------------------------------------------------------------------


def first(market: Table, query: str) -> dict[str, Any]:
    record: dict[str, Any] = listed(market, query)["items"][0]
    return record


def test_every_published_column_can_be_filtered_by(market: Table):
    for column in COLUMNS:
        listed(market, [(f"filter[{column}][neq]", "NULL")])


FILTERS: list[tuple[str, Any]] = [
    ("filter[type]=Return", lambda each: each["type"] == "Return"),
    ("filter[type][in][]=Return&filter[type][in][]=Capture", lambda each: each["type"] in ("Return", "Capture")),
    ("filter[type][in]=Capture", lambda each: each["type"] == "Capture"),
    ("filter[type][neq]=Auth", lambda each: each["type"] != "Auth"),
    ("filter[type][nin][]=Auth&filter[type][nin][]=Return", lambda each: each["type"] not in ("Auth", "Return")),
    ("filter[type]=Sale", lambda each: False),
    ("filter[terminal.id][eq]=24", lambda each: each["terminal"]["id"] == 24),
    ("filter[terminal.id][eq]=25&filter[type]=Auth", lambda each: each["terminal"]["id"] == 25),
    ("filter[externalId]=sale-3", lambda each: each["externalId"] == "sale-3"),
    ("filter[externalId]=check-2", lambda each: each["externalId"] == "check-2"),
    ("filter[externalId]=native-4", lambda each: each["externalId"] == "native-4"),
    ("filter[externalId]=hidden", lambda each: each["externalId"] == "hidden"),
    ("filter[externalId]=nobody", lambda each: False),
    ("filter[externalId]=sale-3&filter[type]=Return", lambda each: False),
    ("filter[externalId][like]=SALE", lambda each: (each["externalId"] or "").startswith("sale")),
    ("filter[externalId]=NULL", lambda each: each["externalId"] is None),
    ("filter[not][externalId]=NULL", lambda each: each["externalId"] is not None),
    ("filter[parent.id]=NULL", lambda each: each["parent"]["id"] is None),
    ("filter[parent.id][neq]=NULL&filter[amount]=5", lambda each: each["parent"]["id"] and each["amount"] == "5.00"),
    ("filter[card.name][like]=ada 2", lambda each: each["card"]["name"] == "Ada 2"),
    ("filter[card.number]=2", lambda each: each["card"]["number"] == 2),
    ("filter[amount][gte]=20", lambda each: float(each["amount"]) >= 20),
    ("filter[amount][lt]=2.00&filter[type]=Return", lambda each: each["type"] == "Return" and each["amount"] == "1.00"),
    ("filter[origin]=API", lambda each: True),
    ("filter[level]=2", lambda each: each["level"] == 2),
    ("filter[status.status]=Decline", lambda each: each["status"]["status"] == "Declined"),
    ("filter[status.status][neq]=Declined", lambda each: each["status"]["status"] != "Declined"),
    ("filter[updatedOn]=NULL", lambda each: each["updatedOn"] is None),
    ("filter[batch.id]=NULL", lambda each: True),
    (
        "filter[or][0][type]=GenerateToken&filter[or][1][amount]=6&filter[or][1][type]=Return",
        lambda each: each["type"] == "GenerateToken" or (each["type"], each["amount"]) == ("Return", "6.00"),
    ),
    ("filter[or][type]=Capture&filter[or][level]=2", lambda each: each["type"] == "Capture" or each["level"] == 2),
    (
        "filter[and][0][type]=Auth&filter[and][1][not][status.status]=Declined",
        lambda each: each["type"] == "Auth" and each["status"]["status"] != "Declined",
    ),
    ("filter[and][type]=Auth", lambda each: each["type"] == "Auth"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "wanted"), FILTERS, ids=lambda value: value if isinstance(value, str) else "")
def test_filters(market: Table, query: str, wanted: Any):
    expected = [each["id"] for each in all_of(market) if wanted(each)]
    found = all_of(market, query)
    assert [each["id"] for each in found] == expected
    oldest = all_of(market, f"{query}&sort=createdOn", 7)
    assert [each["id"] for each in oldest] == expected[::-1]


@pytest.mark.parametrize(("word", "types"), [("Internet", {"Auth", "CardAuthentication"}), ("Phone", {"Auth"})])
def test_a_source_is_not_printed_but_can_be_filtered_by(market: Table, word: str, types: set[str]):
    found = all_of(market, f"filter[source]={word}")
    assert {each["type"] for each in found} == types
    assert len(found) == {"Internet": 24, "Phone": 6}[word]


def test_by_id(market: Table):
    every = [each["id"] for each in all_of(market)]
    some = every[3:40:5]
    many = "&".join(f"filter[id][in][]={number}" for number in (*some, 5, some[0]))
    assert [each["id"] for each in all_of(market, many)] == some
    assert [each["id"] for each in all_of(market, f"{many}&filter[type]=Auth", 2)] == [
        each["id"] for each in all_of(market, "filter[type]=Auth") if each["id"] in some
    ]
    assert ids(listed(market, f"filter[id]={every[7]}")) == [every[7]]
    assert [each["id"] for each in all_of(market, f"filter[id][gt]={every[9]}")] == every[:9]


def test_by_parent(market: Table):
    sale = first(market, "filter[externalId]=sale-5")
    children = [each["id"] for each in sale["history"]]
    query = f"filter[parent.id][eq]={sale['id']}"
    assert ids(listed(market, query)) == children[::-1]
    market.asks.clear()
    assert ids(listed(market, f"{query}&filter[type][eq]=Return")) == children[1:]
    assert not [each for each in market.asks if isinstance(each, ListPayments)]
    for nothing in ("filter[parent.id]=5", f"{query}&filter[type]=Auth", f"filter[parent.id]={children[0]}"):
        assert ids(listed(market, nothing)) == []


def test_by_time(market: Table):
    every = all_of(market)
    times = [each["createdOn"] for each in every]
    early, late = times[-20], times[10]
    query = f"filter[and][0][createdOn][gte]={early}&filter[and][0][createdOn][lte]={late}"
    assert all_of(market, query, 7) == [each for each in every if early <= each["createdOn"] <= late]
    assert all_of(market, f"{query}&sort=id", 7)[::-1] == all_of(market, query)
    inner = f"filter[createdOn][gt]={early}&filter[createdOn][lt]={late}"
    assert all_of(market, inner) == [each for each in every if early < each["createdOn"] < late]
    at = f"filter[createdOn]={late}"
    assert all_of(market, at) == [each for each in every if each["createdOn"] == late]
    assert all_of(market, f"filter[createdOn][gte]={late[:10]}") == every
    assert all_of(market, f"filter[createdOn][gte]={late.replace(' ', 'T')}Z") == all_of(
        market, f"filter[createdOn][gte]={late}"
    )
    assert all_of(market, f"{query}&filter[type]=Capture") == [
        each for each in all_of(market, query) if each["type"] == "Capture"
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("filter[nobody]=1", "Unknown filter attribute."),
        ("filter[card.cvv]=1", "Unknown filter attribute."),
        ("filter=1", "Filter is invalid."),
        ("filter[id=1", "Filter is invalid."),
        ("filter[]=1", "Unknown filter attribute."),
        ("filter[and]=1", "Filter is invalid."),
        ("filter[or][0]=1", "Filter is invalid."),
        ("filter[not]=1", "Filter is invalid."),
        ("filter[id]=1&filter[id][gt]=2", "Filter is invalid."),
        ("filter[id][gt]=1&filter[id]=2", "Filter is invalid."),
        (f"filter{'[and]' * 9}[id]=1", "Filter is invalid."),
        ("filter[id]=x", "Filter value for id must be an integer."),
        ("filter[amount][gt]=x", "Filter value for amount must be a number."),
        ("filter[createdOn][gte]=yesterday", "Filter value for createdOn must be a date, or a date and a time."),
        ("filter[id][between]=1", "Filter condition for id is invalid."),
        ("filter[id][eq][]=1", "Filter condition for id is invalid."),
        ("filter[id][in][0][x]=1", "Filter operator in requires a list of values."),
    ],
)
def test_filters_nobody_knows(market: Table, query: str, message: str):
    answer = market.call("GET", "/payments", query=parse_qsl(query))
    assert (answer.status, fits(answer)["message"]) == (422, message)


def test_filters_nobody_knows_may_be_passed_over():
    at = Table(DIALECT, profile={"lenient_filters": True})
    for _ in range(3):
        at.pay(1000, "USD")
    for query in ("filter[nobody]=1", "filter=1", "filter[id]=x", "filter[or][0]=1&filter[type]=Auth"):
        assert len(ids(listed(at, query))) == 3


def test_an_error_may_carry_zero_as_its_code():
    at = Table(DIALECT, profile={"error_code": 0})
    body = at.call("GET", "/payments", query={"filter[x]": "1"}).body
    assert (body["code"], body["status"]) == (0, 422)


def test_nothing_is_looked_through_without_end(market: Table, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(payments, "LOOKED_AT_MAX", 10)
    answer = market.call("GET", "/payments", query={"filter[amount]": "1"})
    assert (answer.status, fits(answer)["message"][:25]) == (422, "There are too many record")
    assert market.call("GET", "/payments", query={"filter[type]": "Auth"}).status == 200


def test_documents_of_common_types_are_searched_among_all_others(market: Table, monkeypatch: pytest.MonkeyPatch):
    """Those of a type cannot be read on from the middle of them at the same cost."""
    query = "filter[type][in][]=Capture&filter[type][in][]=GenerateToken&filter[amount][gte]=0"
    few = all_of(market, query)
    monkeypatch.setattr(payments, "_FEW", 3)
    market.asks.clear()
    assert all_of(market, query) == few
    read = [each for each in market.asks if isinstance(each, ListDocuments)]
    assert read and not any(each.match for each in read)
    assert {each["type"] for each in few} == {"Capture", "GenerateToken"}


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_a_search_misses_nothing_and_counts_nothing_twice(monkeypatch: pytest.MonkeyPatch, chunk: int):
    """Wherever its chunks end, in the middle of a moment too."""
    monkeypatch.setattr(payments, "_CHUNK", chunk)
    at = Table(DIALECT)
    at.outcome = "succeeded"
    for minutes in (0, 0, 1, 0, 0, 0, 2, 0, 1):
        at.now += timedelta(minutes=minutes)
        payment = at.pay(1000, "USD")
        fits(at.call("POST", f"/payment/{payment.dialect_id}/refund", HERE | {"amount": 1}))
        fits(at.call("POST", "/payment/generate-token", HERE | {"card": VISA}))
    every = [each["id"] for each in all_of(at)]
    assert [each["id"] for each in all_of(at, "filter[level][gt]=0", 4)] == every
    assert len(every) == 27


def test_children_are_searched_without_their_originals_where_that_is_enough(market: Table):
    market.asks.clear()
    listed(market, "filter[type]=Capture&filter[externalId][like]=nobody")
    assert not [each for each in market.asks if isinstance(each, FindPayment)]
    listed(market, "filter[type]=Return&filter[amount]=77")
    assert not [each for each in market.asks if isinstance(each, PaymentOf)]


def test_what_a_filter_is_narrowed_to():
    query = "filter[type]=Return&filter[parent.id]=7&filter[createdOn][gte]=2026-03-02&filter[amount]=1"
    narrow = narrowed(read_filter(tuple(parse_qsl(query))))
    assert (narrow.types, narrow.parent) == (frozenset({"Return"}), 7)
    assert (narrow.since, narrow.until) == (datetime(2026, 3, 2, tzinfo=UTC), None)
    assert [leaf.column for leaf in narrow.rest.parts] == ["amount"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("query", "payments_by", "refunds_by"),
    [
        ("filter[amount]=20.50", {"amount_from": 2050, "amount_to": 2050}, {"amount_from": 2050, "amount_to": 2050}),
        (
            "filter[amount][gt]=20&filter[amount][lte]=30&filter[amount][lt]=25",
            {"amount_from": 2000, "amount_to": 2500},
            {},
        ),
        ("filter[card.number]=2", {"match": ({"card": {"number": 2}}, {"record": {"card": {"number": 2}}})}, {}),
        ("filter[card.number][in][]=1111", {"match": ()}, {"match": ()}),
        ("filter[card.name]=Ada", {"match": ({"card": {"name": "Ada"}}, {"record": {"card": {"name": "Ada"}}})}, None),
        ("filter[source]=Phone", {"match": ({"source": "Phone"}, {"record": {"source": "Phone"}})}, None),
        ("filter[origin]=API", {"match": ()}, {"match": ()}),
        ("filter[origin]=Form", {"match": ({"origin": "Form"}, {"record": {"origin": "Form"}})}, None),
        ("filter[terminal.id]=24", {"match": ()}, {}),
        (
            "filter[terminal.id]=25",
            {"match": ({"terminal_id": 25}, {"terminal_id": "25"}, {"record": {"terminal": {"id": 25}}})},
            {},
        ),
        ("filter[status.status]=Error", {}, {"states": frozenset({State.RETURNED})}),
        ("filter[status.status]=NULL", {}, {"states": frozenset()}),
        ("filter[status.status]=Nothing", {}, None),
        (
            "filter[updatedOn][gte]=2026-03-02 10:00:00&filter[updatedOn][lt]=2026-03-02 11:00:00",
            {},
            {
                "updated_from": datetime(2026, 3, 2, 10, tzinfo=UTC),
                "updated_to": datetime(2026, 3, 2, 10, 59, 59, 999_999, tzinfo=UTC),
            },
        ),
        ("filter[or][amount]=5&filter[or][source]=Phone", {"match": (), "amount_from": None}, {"amount_from": None}),
        ("filter[not][source]=Phone", {"match": ()}, {"match": ()}),
    ],
)  # fmt: skip
def test_what_can_be_asked_for_beforehand_is(
    market: Table, query: str, payments_by: dict[str, Any], refunds_by: dict[str, Any] | None
):
    market.asks.clear()
    listed(market, query)
    totals = [each.of for each in market.asks if isinstance(each, Total)]
    paid = [each for each in totals if isinstance(each, ListPayments)]
    given_back = [each for each in totals if isinstance(each, ListRefunds)]
    assert [{name: getattr(each, name) for name in payments_by} for each in paid] == [payments_by]
    expected = [] if refunds_by is None else [refunds_by]
    assert [{name: getattr(each, name) for name in refunds_by or {}} for each in given_back] == expected


def test_amounts_are_those_of_each_currency():
    """What is narrowed is dollars; of another currency nothing is missed."""
    at = Table(DIALECT)
    for amount, currency in ((2_000, "USD"), (20, "JPY"), (2_100, "USD"), (20_000, "KWD")):
        at.pay(amount, currency)

    def amounts(op: str) -> list[str]:
        page = said(at.call("GET", "/payments", query={f"filter[amount][{op}]": "20"}))
        return [each["amount"] for each in page["items"]]

    assert amounts("eq") == ["20.000", "20", "20.00"]
    assert amounts("gt") == ["21.00"]


def test_the_ends_of_time(market: Table):
    for column in ("createdOn", "updatedOn"):
        for op in ("eq", "gt", "gte", "lt", "lte"):
            for moment in ("9999-12-31T23:59:59", "0001-01-01", "0001-01-01T00:00:00+14:00"):
                listed(market, [(f"filter[{column}][{op}]", moment)])
        assert not listed(market, f"filter[{column}][gt]=9999-12-31")["items"]


# --- whatever is asked -----------------------------------------------------------------------------------------------

words = st.sampled_from([*COLUMNS, "and", "or", "not", "eq", "in", "gt", "like", "", "0", "1", "x", "NULL"])
names = st.builds(lambda steps: "filter" + "".join(f"[{step}]" for step in steps), st.lists(words, max_size=4))
texts = st.sampled_from(["1", "NULL", "Auth", "2026-03-02 09:31:00", "", "-1", "1.50", "é"]) | st.text(max_size=5)
queries = st.lists(
    st.tuples(names | st.sampled_from(["page", "per-page", "sort", "filter", "filter["]), texts), max_size=4
)


@settings(deadline=None)
@given(query=queries)
def test_no_query_breaks_a_list(market: Table, query: list[tuple[str, str]]):
    answer = market.call("GET", "/payments", query=query)
    assert answer.status in (200, 422)
    if answer.status == 200:
        fits_list(answer)
