"""Requests meant to do harm: every surface says no in its own words, nothing is changed, and nothing breaks.

The native API and every dialect under its prefix are asked the same: bodies no decoder takes, ids that are somebody
else's, credentials that are none, paths, methods and parameters nobody wrote down.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import msgspec
import pytest
from msgspec.structs import replace

from moneyback.api.asgi import segments
from moneyback.api.decode import BOUNDS
from moneyback.api.mount import Mount, Paths
from moneyback.core.commands import Admitted, Grouped
from moneyback.dialect import Conversation, Fault, Incoming, NewId, Outgoing, Route
from moneyback.dialects import load_dialects
from moneyback.store.port import StoreUnavailable
from tests.api.world import BASE, FORM, JSON, Native, Refunding, Shop, Spoken, World, refused, without_database

DIALECTS = tuple(load_dialects())
TEN_MB = 10 * 1024 * 1024
DEEP = 100_000

every = pytest.mark.parametrize("name", DIALECTS)

UNREADABLE: dict[str, bytes] = {
    "cut short": b'{"amount": ',
    "one bracket": b"{",
    "no JSON": b"{nope}",
    "two texts": b"{}{}",
    "a comment": b"{} // all of it",
    "single quotes": b"{'amount': 10}",
    "NaN": b'{"amount": NaN}',
    "infinite": b'{"amount": Infinity}',
    "minus infinite": b'{"amount": -Infinity}',
    "1e400": b'{"amount": 1e400}',
    "1e-400": b'{"amount": 1e-400}',
    "1e999999999": b'{"amount": 1e999999999}',
    "a leading zero": b'{"amount": 010}',
    "beyond 63 bits": b'{"amount": 9223372036854775808}',
    "below 63 bits": b'{"amount": -9223372036854775809}',
    "400 digits": b'{"amount": %s}' % (b"9" * 400),
    "5000 digits": b'{"amount": %s}' % (b"9" * 5_000),
    "400 decimals": b'{"amount": 1.%s}' % (b"3" * 400),
    "escaped NUL": b'{"amount": "\\u0000"}',
    "NUL": b'{"amount": "\0"}',
    "NUL in a name": b'{"amount\\u0000": 10}',
    "lone surrogate": b'{"amount": "\\ud800"}',
    "the other surrogate": b'{"amount": "\\udc00"}',
    "surrogate in a name": b'{"\\ud800": 10}',
    "surrogate in UTF-8": b'{"amount": "\xed\xa0\x80"}',
    "no UTF-8": b'{"amount": "\xff"}',
    "UTF-16": '{"amount": 10}'.encode("utf-16"),
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep lists without an end": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deeper than allowed": b'{"amount":' + b"[" * BOUNDS.depth_max + b"1" + b"]" * BOUNDS.depth_max + b"}",
    "a name without an end": b'{"%s": 1}' % (b"n" * (BOUNDS.name_max + 1)),
}
"""Bodies that no decoder lets through, on any surface."""
ODD_BODIES: dict[str, bytes] = {
    "nothing but null": b"null",
    "a list": b"[]",
    "a text": b'"amount"',
    "a number": b"10",
    "true": b"true",
    "lists in a list": b"[[[[]]]]",
    "objects for amounts": b'{"amount": {"amount": {"amount": 1}}, "terminal": [], "DebitedFunds": {"Amount": []}}',
    "lists for amounts": b'{"amount": [1], "AuthorId": [], "DebitedFunds": [], "Fees": [], "terminal": 24}',
    "texts for objects": b'{"DebitedFunds": "1", "Fees": "0", "terminal": "24", "order": "x", "metadata": "x"}',
    "amounts that are none": b'{"amount": "x", "DebitedFunds": {"Currency": "EUR", "Amount": "x"}}',
    "true amounts": b'{"amount": true, "DebitedFunds": {"Currency": true, "Amount": true}}',
    "less than nothing": b'{"amount": -1, "DebitedFunds": {"Currency": "EUR", "Amount": -1}}',
    "far too much": b'{"amount": 9223372036854775807, "AuthorId": "1", "terminal": {"id": 24},'
    b' "DebitedFunds": {"Currency": "EUR", "Amount": 9223372036854775807},'
    b' "Fees": {"Currency": "EUR", "Amount": -9223372036854775807}}',
    "many decimals": b'{"amount": 10.000000000000000000000000000001, "terminal": {"id": 24}}',
}
"""Bodies that can be read and mean no refund; what each surface says to them is its own affair."""
FORMS: dict[str, bytes] = {
    "NUL": b"amount=%00",
    "no UTF-8": b"amount=%ff",
    "surrogate": b"amount=%ed%a0%80",
    "too many fields": b"&".join(b"f%d=1" % n for n in range(1_001)),
    "a name without an end": b"n" * (BOUNDS.name_max + 1) + b"=1",
}
ODD_IDS = (
    "0",
    "-1",
    "1",
    "9" * 18,
    "9" * 400,
    "x",
    "%27%3B%20drop%20table",
    "%F0%9F%98%80",
    "%ff",
    "%00",
    "a%00b",
    "%20",
)
QUERIES = (
    "a=%00",
    "a=%ff",
    "%ed%a0%80=1",
    "&".join(f"a{n}=1" for n in range(1_001)),
    "n" * (BOUNDS.name_max + 1) + "=1",
)
ODD_QUERIES = (
    "=&&&=",
    "page=-1&per_page=-1&limit=-1&offset=-1",
    f"page={'9' * 30}&per_page={'9' * 30}&limit={'9' * 30}&offset={'9' * 30}",
    "page=x&per_page=x&limit=x&offset=x&Sort=x&sort=x&order=x&filter=x",
    "page=1.5&per_page=1e3&limit=0x1&offset=%D9%A1",
    "BeforeDate=x&AfterDate=99999999999999999999&Sort=CreationDate:UP&ResultCode=%F0%9F%98%80&Status=NOPE",
    "query=%F0%9F%98%80&field=%F0%9F%98%80&search[]=1&search[a][b]=2&with=,,,&orderBy=%3B",
    "query=' or 1=1 --&field=id",
)


@pytest.fixture(scope="module")
async def market(here: World) -> Shop:
    """The sandbox's merchant, whose refunds are under attack."""
    return await here.demo()


@pytest.fixture(scope="module")
async def shop(market: Shop) -> Native:
    """Its native key, and one payment that nobody has refunded yet."""
    return market.native


@pytest.fixture(scope="module")
async def payment(shop: Native) -> Any:
    """A payment of the native API that stays as it is."""
    return await shop.pays(order="o-1")


@pytest.fixture
async def unchanged(here: World) -> AsyncIterator[None]:
    """Nothing of what a test asks may change anything."""
    before = await here.books()
    yield
    assert await here.books() == before


def shape(value: Any) -> Any:
    """Which members of which types; what the texts say may differ."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    return [shape(each) for each in value[:1]] if isinstance(value, list) else type(value).__name__


def assert_said(client: Spoken, answer: httpx2.Response, fault: Fault) -> None:
    """The provider's own form of this fault."""
    path = answer.request.url.path.removeprefix(client.prefix)
    said = client.dialect.fault(fault, Incoming(method=answer.request.method, path=path))
    assert answer.status_code == said.status, answer.text
    assert answer.headers["content-type"] == said.media_type
    assert shape(answer.json()) == shape(msgspec.json.decode(msgspec.json.encode(said.body)))


def assert_own_error(client: Spoken, answer: httpx2.Response) -> None:
    """A client's error, in JSON, and not in the native API's form."""
    assert 400 <= answer.status_code < 500, answer.text
    assert "urn:moneyback" not in answer.text
    assert answer.json()


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 65_536):
        yield b" " * 65_536


# --- bodies ----------------------------------------------------------------------------------------------------------


async def test_bodies_the_native_api_cannot_read(shop: Native, payment: Any, unchanged: None):
    for path in (f"/v1/payments/{payment['id']}/refunds", "/v1/payments", "/v1/orders/o-1/refunds", "/_control/clock"):
        for what, content in UNREADABLE.items():
            said = await shop("POST", path, content=content)
            assert refused(said) == (400, "bad_body"), (path, what)


async def test_bodies_the_native_api_makes_nothing_of(shop: Native, payment: Any, unchanged: None):
    for path in (f"/v1/payments/{payment['id']}/refunds", "/v1/payments", "/v1/orders/o-1/refunds", "/_control/clock"):
        for what, content in {**ODD_BODIES, "nothing": b"", "a form": b"amount=10"}.items():
            if what == "less than nothing" and path == "/_control/clock":
                continue
            said = await shop("POST", path, content=content)
            assert refused(said)[0] in (400, 422), (path, what)


@every
async def test_bodies_no_dialect_can_read(market: Shop, name: str, unchanged: None):
    client, call = market.speaks(name), market.printed(name)
    for content in UNREADABLE.values():
        assert_said(client, await client(call.method, call.path, content), Fault.BAD_BODY)
    for content in (UNREADABLE["deep lists"], UNREADABLE["NaN"], UNREADABLE["escaped NUL"]):
        assert_said(client, await client(call.method, call.path, content, FORM), Fault.BAD_BODY)


@every
async def test_forms_no_dialect_can_read(market: Shop, name: str, unchanged: None):
    client, call = market.speaks(name), market.printed(name)
    for content in FORMS.values():
        assert_said(client, await client(call.method, call.path, content, FORM), Fault.BAD_BODY)


@every
async def test_multipart_bodies_no_dialect_can_read(market: Shop, name: str, unchanged: None):
    client, call = market.speaks(name), market.printed(name)
    part = b'--e\r\nContent-Disposition: form-data; name="amount"\r\n\r\n\0\r\n--e--\r\n'
    file = b'--e\r\nContent-Disposition: form-data; name="amount"; filename="x"\r\n\r\n1\r\n--e--\r\n'
    for media, content in (
        ("multipart/form-data", part),
        ("multipart/form-data; boundary=other", part),
        ("multipart/form-data; boundary=e", part),
        ("multipart/form-data; boundary=e", part[:40]),
        ("multipart/form-data; boundary=e", file),
        ("multipart/form-data; boundary=" + "e" * 5_000, part),
    ):
        said = await client(call.method, call.path, content, headers={"Content-Type": media})
        assert_said(client, said, Fault.BAD_BODY)


@every
async def test_languages_no_dialect_speaks(market: Shop, name: str, unchanged: None):
    """Nobody finds an amount in them; that must never mean all of it."""
    client, call = market.speaks(name), market.printed(name)
    for media, content in (
        ("application/xml", b'<?xml version="1.0"?><refund amount="1.00"/>'),
        ("text/xml", b'<refund amount="1.00"></refund>'),
        ("application/json", b'<refund amount="1.00"></refund>'),
        ("text/plain", b'amount = "1.00"'),
        ("text/plain", b"amount: 1.00"),
        ("application/yaml", b"amount: 1.00\nnote: a=b"),
        ("application/msgpack", b"\x81\xa6amount\x01"),
        ("application/grpc", b"\0\0\0\0\5\x08=\x96\x01="),
    ):
        said = await client(call.method, call.path, content, media)
        assert_said(client, said, Fault.BAD_BODY)


@every
async def test_bodies_that_are_no_refund(market: Shop, name: str):
    """What a provider would take for "refund all of it" is asked of payments of their own."""
    client, call = market.speaks(name), market.printed(name)
    for what, content in ODD_BODIES.items():
        paid = await client.pays()
        path = call.path.replace(_id_of(call), paid["dialect_id"])
        said = await client(call.method, path, content)
        after = await market.native.again(paid)
        if said.status_code < 300:
            assert 0 <= after["refundable"] <= 20_000, what
        else:
            assert_own_error(client, said)
            assert after["refundable"] == 20_000, what


@pytest.mark.parametrize("declared", [True, False])
async def test_ten_megabytes(here: World, market: Shop, shop: Native, payment: Any, declared: bool, unchanged: None):
    def body() -> bytes | AsyncIterator[bytes]:
        return b" " * TEN_MB if declared else in_pieces(TEN_MB)

    path = f"/v1/payments/{payment['id']}/refunds"
    headers = {"Authorization": f"Bearer {shop.key}"}
    assert refused(await here.http.post(path, content=body(), headers=headers)) == (413, "too_large")
    for name in DIALECTS:
        client, call = market.speaks(name), market.printed(name)
        assert_said(client, await client(call.method, call.path, body()), Fault.TOO_LARGE)


async def test_lengths_that_are_not_what_comes(here: World, market: Shop, shop: Native, payment: Any, unchanged: None):
    for length in ("9" * 5_000, str(TEN_MB)):
        said = await here.http.post(
            f"/v1/payments/{payment['id']}/refunds",
            content=b"{}",
            headers={"Authorization": f"Bearer {shop.key}", "Content-Length": length},
        )
        assert refused(said) == (413, "too_large")
        for name in DIALECTS:
            client, call = market.speaks(name), market.printed(name)
            said = await client(call.method, call.path, call.content, headers={"Content-Length": length})
            assert_said(client, said, Fault.TOO_LARGE)


async def test_of_members_that_repeat_the_last_counts(shop: Native):
    paid = await shop.pays()
    path = f"/v1/payments/{paid['id']}/refunds"
    said = await shop("POST", path, content=b'{"amount": 1, "amount": 200, "am\\u006funt": 300}')
    assert said.json()["amount"] == 300
    assert (await shop.again(paid))["refunded"] == 300


# --- whose is it -----------------------------------------------------------------------------------------------------


def _id_of(call: Refunding) -> str:
    """The payment's id in a printed path."""
    return max(call.path.split("/"), key=lambda part: (sum(map(str.isdigit, part)), len(part)))


def _names_something(client: Spoken, route: Route) -> bool:
    """Whether a path names something of its caller's; some begin with a name of the caller itself."""
    return client.at(route, "1") != client.at(route, "2") and "token" not in route.path and not route.public


@every
async def test_ids_that_name_nothing(market: Shop, name: str, unchanged: None):
    client, call = market.speaks(name), market.printed(name)
    for route in client.dialect.routes:
        if not _names_something(client, route):
            continue
        content = call.content if route.method == "POST" else None
        for id in ODD_IDS:
            said = await client(route.method, client.at(route, id), content, call.media)
            assert_own_error(client, said)


@every
async def test_another_merchants_ids_name_nothing(here: World, market: Shop, name: str):
    client, call, other = market.speaks(name), market.printed(name), await here.other_shop(name)
    paid = await other.pays()
    theirs = call.path.replace(_id_of(call), paid["dialect_id"])
    for own in {value for value in client.profile.values() if isinstance(value, str)}:
        theirs = theirs.replace(f"/{own}/", f"/{other.profile.get('client_id', own)}/")
    made = await other(call.method, theirs, _for(other, call), call.media)
    assert made.status_code < 300, made.text
    await here.settle()
    (refund,) = await other.native.all("/v1/refunds")
    before = await here.books()
    for route in client.dialect.routes:
        if not _names_something(client, route):
            continue
        for id in (paid["dialect_id"], refund["dialect_id"], refund["provider_id"], paid["id"], paid["reference"]):
            said = await client(route.method, client.at(route, id), call.content, call.media)
            assert_own_error(client, said)
            unknown = await client(route.method, client.at(route, "7" * len(id)), call.content, call.media)
            assert (said.status_code, shape(said.json())) == (unknown.status_code, shape(unknown.json()))
        if client.profile.get("client_id"):
            said = await client(route.method, other.at(route, paid["dialect_id"]), call.content, call.media)
            assert_own_error(client, said)
    for route in client.dialect.routes:
        if route.method == "GET" and client.at(route, "1") == client.at(route, "2"):
            listed = await client("GET", f"{client.at(route, '1')}?per_page=100")
            assert paid["dialect_id"] not in listed.text
    assert await here.books() == before


def _for(client: Spoken, call: Refunding) -> bytes:
    """The printed body with the ids that this client's own account has in place of the demo's."""
    body = msgspec.json.decode(call.content) if call.media == JSON else None
    if isinstance(body, dict) and "terminal" in body:
        body["terminal"] = {"id": client.profile["terminal_id"]}
    return call.content if body is None else msgspec.json.encode(body)


def strange_credentials(market: Shop, other: Spoken, client: Spoken) -> Iterator[dict[str, str]]:
    """Headers that are nobody's credentials in this dialect."""
    for text in (
        "",
        "Basic",
        "Basic ",
        "Basic %%%",
        "Basic /w==",
        "Basic Og==",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "x",
    ):
        yield {"Authorization": text}
    yield {"Authorization": "Bearer " + "x" * 10_000}
    yield {"Authorization": f"Bearer {market.native.key}"}
    yield {"Authorization": client.credentials["Authorization"] + "x"}
    yield {"Authorization": client.credentials["Authorization"][:-3]}
    yield {"Authorization": client.credentials["Authorization"].replace(" ", "  x")}
    for name in DIALECTS:
        if name != client.dialect.name:
            yield market.speaks(name).credentials
    if client.presented.user is not None:  # one's user with another's secret
        crossed = Spoken(client.native, client.dialect, client.presented, client.profile)
        crossed.presented = type(client.presented)(other.presented.secret, client.presented.user)
        yield crossed.credentials


@every
async def test_credentials_that_are_none(here: World, market: Shop, name: str, unchanged: None):
    client, call, other = market.speaks(name), market.printed(name), await here.other_shop(name)
    for headers in strange_credentials(market, other, client):
        for route in client.dialect.routes:
            if route.public:
                continue
            path = client.at(route, _id_of(call))
            said = await client(route.method, path, call.content, call.media, headers=headers)
            assert_said(client, said, Fault.UNAUTHENTICATED)


# --- paths, methods, parameters, headers -----------------------------------------------------------------------------


@every
async def test_paths_that_lead_nowhere(market: Shop, name: str, unchanged: None):
    client, call = market.speaks(name), market.printed(name)
    for path in (
        "",
        "/",
        "/nowhere",
        f"{call.path}/x",
        "/%00",
        "/%ff",
        "/v1/payments",
        "/_control/clock",
        "/" + "a/" * 500,
    ):
        for method in ("GET", "POST", "DELETE"):
            said = await client(method, path, call.content, call.media)
            assert_said(client, said, Fault.NOT_FOUND)


@every
async def test_methods_nobody_serves(market: Shop, name: str, unchanged: None):
    client, call = market.speaks(name), market.printed(name)
    for route in client.dialect.routes:
        path = client.at(route, _id_of(call))
        served = Paths(client.dialect.routes).find(segments(path)).routes.keys()
        for method in {"PUT", "PATCH", "DELETE", "TRACE", "BREW"} - served:
            said = await client(method, path, call.content, call.media)
            assert_said(client, said, Fault.METHOD_NOT_ALLOWED)
            assert route.method in said.headers["allow"]
        said = await client("OPTIONS", path)
        assert (said.status_code, said.content) == (204, b"")
        if route.method == "GET":
            whole, head = await client("GET", path), await client("HEAD", path)
            assert (head.status_code, head.content) == (whole.status_code, b"")


@every
async def test_parameters_nobody_can_read(market: Shop, name: str, unchanged: None):
    client, call = market.speaks(name), market.printed(name)
    for query in QUERIES:
        said = await client(call.method, f"{call.path}?{query}", call.content, call.media)
        assert_said(client, said, Fault.BAD_BODY)
    for route in client.dialect.routes:
        if route.method == "GET" and not route.public:
            for query in (*QUERIES, *ODD_QUERIES):
                said = await client("GET", f"{client.at(route, _id_of(call))}?{query}")
                assert said.status_code < 500, (route.path, query)
                assert said.json() is not None


async def test_parameters_the_native_api_cannot_read(shop: Native, unchanged: None):
    for path in (
        "/v1/payments",
        "/v1/refunds",
        "/v1/events",
        "/v1/ledger/movements",
        "/v1/doubt",
        "/v1/doubt/releases",
    ):
        for query in QUERIES:
            assert refused(await shop.get(f"{path}?{query}")) == (400, "bad_body"), query
        for query in ODD_QUERIES:
            assert (await shop.get(f"{path}?{query}")).status_code in (200, 400), query


async def test_headers_with_a_nul(here: World, market: Shop, shop: Native, payment: Any, unchanged: None):
    """A server refuses them before they come here; one that did not would do no harm."""
    headers = [(b"authorization", f"Bearer {shop.key}".encode()), (b"x-note", b"a\0b")]
    said = await here.http.post(f"/v1/payments/{payment['id']}/refunds", content=b'{"amount": 1}', headers=headers)
    assert refused(said) == (400, "bad_body")
    for name in DIALECTS:
        client, call = market.speaks(name), market.printed(name)
        for header in ("x-note", "idempotency-key", "moneyback-distinct", "user-agent"):
            said = await client(call.method, call.path, call.content, call.media, headers={header: "a\0b"})
            assert_said(client, said, Fault.BAD_BODY)


@every
async def test_keys_that_are_none(market: Shop, name: str):
    """A header that means something to one of them only; whatever it holds, there is one refund at most."""
    client, call = market.speaks(name), market.printed(name)
    for key in ("", "k", "k" * 10_000, "é".encode().decode("latin-1") * 10, "' or 1=1 --"):
        paid = await client.pays()
        path = call.path.replace(_id_of(call), paid["dialect_id"])
        headers = {"Idempotency-Key": key.encode("latin-1")}
        said = await client(call.method, path, call.content, call.media, headers=headers)  # type: ignore[arg-type]
        assert said.status_code < 500
        refunds = await market.native.all("/v1/refunds", payment=paid["id"])
        assert len(refunds) == (1 if said.status_code < 300 else 0)


# --- once it was admitted --------------------------------------------------------------------------------------------


Breaks = Callable[[Incoming, Any], Conversation]


def breaking(handle: Breaks) -> Breaks:
    """The same handler, which breaks where it would have answered."""

    def story(incoming: Incoming, caller: Any) -> Conversation:
        yield from handle(incoming, caller)
        raise RuntimeError("a mistake of ours")

    return story


def losing(store: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Breaks], Breaks]:
    """The same handler, whose database goes away with the admission."""

    def away(*_: Any) -> Any:
        raise StoreUnavailable("away")

    def lost(handle: Breaks) -> Breaks:
        def story(incoming: Incoming, caller: Any) -> Conversation:
            inner = handle(incoming, caller)
            answer: Any = None
            while True:
                try:
                    ask = inner.send(answer)
                except StopIteration as ended:
                    said: Outgoing = ended.value
                    return said
                answer = yield ask
                if isinstance(answer, Admitted | Grouped):
                    monkeypatch.setattr(store, "reading", away)

        return story

    return lost


def served(here: World, client: Spoken, change: Callable[[Breaks], Breaks]) -> httpx2.AsyncClient:
    """The dialect with its refund calls changed, and a world in which nobody rests."""

    async def sleep(_seconds: float) -> None:
        return None

    routes = tuple(
        replace(each, handle=change(each.handle)) if each.kind == "guarded" else each for each in client.dialect.routes
    )
    world = replace(here.parts.world, sleep=sleep)
    mount = Mount(replace(client.dialect, routes=routes), world, here.parts.reads, prefix=client.prefix)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(mount), base_url=BASE)


async def refund_over(http: httpx2.AsyncClient, market: Shop, client: Spoken) -> tuple[Any, httpx2.Response]:
    """A payment, and what was answered to the printed refund of it."""
    call, paid = market.printed(client.dialect.name), await client.pays()
    path = call.path.replace(await market.first_id(client.dialect.name), paid["dialect_id"])
    headers = {**client.credentials, "Content-Type": call.media}
    async with http:
        return paid, await http.request(call.method, f"{client.prefix}{path}", content=call.content, headers=headers)


@every
async def test_a_handler_that_breaks_after_the_admission(here: World, market: Shop, name: str):
    """Whoever hears of an error sends the refund again: what reading shows is said instead."""
    client = market.speaks(name)
    paid, said = await refund_over(served(here, client, breaking), market, client)
    assert said.status_code == 200, said.text
    await here.settle()
    (refund,) = await market.native.all("/v1/refunds", payment=paid["id"])
    assert refund["dialect_id"] in said.text or paid["dialect_id"] in said.text
    assert refund["state"] == "succeeded"


@every
async def test_a_handler_that_breaks_before_the_admission(here: World, market: Shop, name: str, unchanged: None):
    def broken(_handle: Breaks) -> Breaks:
        def story(_incoming: Incoming, _caller: Any) -> Conversation:
            yield NewId()
            raise RuntimeError("a mistake of ours")

        return story

    client, call = market.speaks(name), market.printed(name)
    async with served(here, client, broken) as http:
        said = await http.request(
            call.method, f"{client.prefix}{call.path}", content=call.content, headers=client.credentials
        )
    assert_said(client, said, Fault.INTERNAL)


@every
async def test_a_database_that_goes_away_with_the_admission(
    here: World, market: Shop, name: str, monkeypatch: pytest.MonkeyPatch
):
    client = market.speaks(name)
    with monkeypatch.context() as patched:
        paid, said = await refund_over(served(here, client, losing(here.parts.store, patched)), market, client)
    assert said.status_code < 300, said.text
    await here.settle()
    assert len(await market.native.all("/v1/refunds", payment=paid["id"])) == 1
    assert len(await market.native.executions(paid)) == 1


@every
async def test_without_a_database_every_dialect_asks_to_come_again(
    here: World, market: Shop, name: str, unchanged: None
):
    client, call = market.speaks(name), market.printed(name)
    await client("OPTIONS", call.path)
    async with without_database(here):
        for headers in ({}, {"Authorization": "Bearer nobody"}):
            said = await client(call.method, call.path, call.content, call.media, headers=headers)
            if said.status_code != 401:  # where the scheme itself tells that these are no credentials
                assert_said(client, said, Fault.UNAVAILABLE)
                assert int(said.headers["retry-after"]) >= 1


# --- control ---------------------------------------------------------------------------------------------------------


async def test_what_was_refused_left_no_trace(here: World, market: Shop):
    await here.settle()
    await here.assert_clean()
    for name in DIALECTS:
        client, call = market.speaks(name), market.printed(name)
        said = await client(call.method, call.path, call.content, call.media)
        assert said.status_code < 300, "after all that, the printed refund is still to be had"
        assert said.json()


async def test_nothing_of_it_is_a_refund_twice(here: World):
    await here.settle()
    await here.assert_clean()
