"""Mangopay's hooks over HTTP: a platform's own program listens, and is called about whatever happens."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from moneyback.dialect import Outgoing
from tests.dialects.http.server import Face, Product, basic, form
from tests.dialects.mangopay.shop import Shop
from tests.e2e.server import until

EVENTS = (
    *("PAYIN_NORMAL_CREATED", "PAYIN_NORMAL_SUCCEEDED", "KYC_CREATED"),
    *("PAYIN_REFUND_CREATED", "PAYIN_REFUND_SUCCEEDED", "PAYIN_REFUND_FAILED"),
)


class Receiver:
    """The calls that came, oldest first: path and parameters. Every call is answered with 200."""

    def __init__(self) -> None:
        self.came: list[tuple[str, dict[str, str]]] = []
        came = self.came

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                came.append((parts.path, dict(parse_qsl(parts.query))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def of(self, identity: str) -> list[str]:
        """The events that one object was called about."""
        return [query["EventType"] for _, query in self.came if query["RessourceId"] == identity]

    def told(self, identity: str, *events: str) -> None:
        """Fails unless these events come, each once; in which order is not said: they are hooks of their own."""
        until(lambda: set(self.of(identity)) >= set(events), f"{events} of {identity} came")
        assert sorted(self.of(identity)) == sorted(events)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture
def shop(product: Product) -> Shop:
    ready = product.ready["mangopay"]
    face = product.face("mangopay", basic(ready["client_id"], ready["api_key"]))

    def send(method: str, path: str, body: Any, headers: Any) -> Outgoing:
        if "form" in headers:  # a payer's browser: it has no credentials
            return Face(face._http, face.base_url, None).ask(method, path, form(body))
        return face.ask(method, path, body, **headers)

    return Shop(send)


@pytest.fixture
def listening(shop: Shop, receiver: Receiver) -> Iterator[Receiver]:
    """A hook for each event, put out of use in the end: there is no way to remove one."""
    known = {each["EventType"]: each["Id"] for each in shop.seen("hooks?per_page=100")}
    hooks = []
    for event in EVENTS:
        said = {"Url": f"{receiver.address}/{event}", "Status": "ENABLED", "Validity": "VALID"}
        made = known.get(event) or shop.made("hooks", {"EventType": event, "Url": said["Url"]})["Id"]
        hooks.append(shop.changed(f"hooks/{made}", said)["Id"])
    yield receiver
    for each in hooks:
        shop.changed(f"hooks/{each}", {"Status": "DISABLED"})


def test_hooks_are_called_whoever_made_it(shop: Shop, product: Product, listening: Receiver):
    """A card pay-in by this dialect; refunds by this dialect and by the native API, one of which fails."""
    payin = shop.pay(100_00, 0)
    paper = shop.made(f"users/{shop.payer}/kyc/documents", {"Type": "IDENTITY_PROOF"})
    own = shop.made(
        f"payins/{payin['Id']}/refunds",
        {"AuthorId": shop.payer, "DebitedFunds": {"Currency": "EUR", "Amount": 30_00}, "Fees": payin["Fees"]},
    )
    native = next(each for each in product.payments("mangopay") if each["dialect_id"] == payin["Id"])
    product.refund(native["id"], 20_00)
    product.next_refund(native["id"], "decline:001999")
    product.refund(native["id"], 10_00)
    ids = [each["Id"] for each in shop.seen(f"payins/{payin['Id']}/refunds")]
    assert ids[0] == own["Id"]
    listening.told(payin["Id"], "PAYIN_NORMAL_CREATED", "PAYIN_NORMAL_SUCCEEDED")
    listening.told(paper["Id"], "KYC_CREATED")
    ends = dict(zip(ids, ("SUCCEEDED", "SUCCEEDED", "FAILED"), strict=True))
    for identity, word in ends.items():
        listening.told(identity, "PAYIN_REFUND_CREATED", f"PAYIN_REFUND_{word}")
        assert shop.seen(f"refunds/{identity}")["Status"] == word
    for path, query in listening.came:
        assert path == f"/{query['EventType']}"
        assert list(query) == ["EventType", "RessourceId", "Date"]
        assert query["Date"].isdigit()
    for place in (f"wallets/{shop.wallet}", f"users/{shop.payer}"):
        listed = shop.seen(f"{place}/transactions?Nature=REFUND&per_page=100")
        assert {each["Id"]: each["Status"] for each in listed} == ends
    for word in ("SUCCEEDED", "FAILED"):
        newest = shop.seen(f"events?EventType=PAYIN_REFUND_{word}&Sort=CreationDate:DESC&per_page=100")
        seen = [each["ResourceId"] for each in newest]
        assert [seen.count(each) for each in ids] == [int(end == word) for end in ends.values()]


def test_a_payment_registered_natively_is_told_of(shop: Shop, product: Product, listening: Receiver):
    data = {"AuthorId": shop.payer, "CreditedWalletId": shop.wallet}
    paid = product.pay("mangopay", 40_00, "EUR", dialect_data=data)
    listening.told(paid["dialect_id"], "PAYIN_NORMAL_CREATED", "PAYIN_NORMAL_SUCCEEDED")
    listed = shop.seen(f"users/{shop.payer}/transactions")
    assert [each["Id"] for each in listed] == [paid["dialect_id"]]
