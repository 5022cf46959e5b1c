"""Trustly's event notifications over HTTP: a program of the merchant's listens, and is told what happens, signed."""

import hmac
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest

from tests.dialects.http.server import FORM, Product
from tests.dialects.http.test_trustly_walk import Walker
from tests.e2e.server import until


class Receiver:
    """What came in, oldest first: headers and the very bytes. The first call is answered with a status of its own."""

    def __init__(self, first: int) -> None:
        self.came: list[tuple[dict[str, str], str]] = []
        came = self.came

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode("ascii")
                came.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(first if len(came) == 1 else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/events"

    @property
    def events(self) -> list[dict[str, str]]:
        """Everything that came, read as a form."""
        return [dict(parse_qsl(body, keep_blank_values=True, strict_parsing=True)) for _, body in self.came]

    def told(self, name: str, number: str) -> dict[str, str]:
        """The event of that name about a transaction, once it is there."""

        def look() -> dict[str, str] | None:
            return next((each for each in self.events if (each["eventType"], each["objectId"]) == (name, number)), None)

        found: dict[str, str] = until(look, f"{name} of {number} came")
        return found

    def signed_with(self, access_id: str, access_key: str) -> bool:
        """Whether all that came was."""
        return all(
            headers["authorization"] == authorization(body, access_id, access_key) and headers["content-type"] == FORM
            for headers, body in self.came
        )


def authorization(body: str, access_id: str, access_key: str) -> str:
    """As a receiver computes it: the HMAC of the body, decoded, in the order in which it came."""
    signed = hmac.digest(access_key.encode(), unquote(body).encode(), "sha1")
    return f"Basic {b64encode(f'{access_id}:{b64encode(signed).decode()}'.encode()).decode()}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver(first=202)
    thread = Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


def test_from_establish_to_refunds_of_both_surfaces(product: Product, receiver: Receiver):
    merchant = Walker(product)
    data = merchant.establish(notificationUrl=receiver.address)
    number = data["transactionId"]
    assert receiver.told("Authorize", number)["status"] == "2"
    # 202 is no receipt: the same comes again five minutes later, and what happened after it waits for that.
    product.in_time(lambda: len(receiver.came) > 1, "it is told again")
    assert receiver.came[0] == receiver.came[1]

    token = receiver.events[0]["splitToken"]
    body = {"merchantReference": "capture 1", "amount": "25.00", "splitToken": token}
    captured = merchant.record(number, "capture", body)["transactionId"]
    merchant.completed(captured)
    event = receiver.told("Complete", captured)
    assert (event["transactionType"], event["status"], event["merchantReference"]) == ("3", "4", "capture 1")
    assert event["parentObjectId"] == number

    asked = merchant.record(captured, "refund", {"amount": "10.00", "merchantReference": "rf-1"})["transactionId"]
    (paid,) = [each for each in product.payments("trustly") if each["dialect_id"] == captured]
    product.refund(paid["id"], 15_00)
    for refund in merchant.listed(f"originalTransactionId={captured}"):
        event = receiver.told("Complete", refund["transactionId"])
        assert (event["transactionType"], event["status"]) == ("4", "4")
    assert receiver.told("Complete", asked)["merchantReference"] == "rf-1"
    assert receiver.told("Refund", captured)["transactionType"] == "3"

    merchant.record(number, "cancel")
    assert receiver.told("Cancel", number)["status"] == "13"
    assert receiver.signed_with(merchant.ready["access_id"], merchant.ready["access_key"])
