"""CHIP's webhooks and callbacks over HTTP: a program of the shop's listens, and is told what happens, signed."""

import json
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from moneyback.dialect import Outgoing
from tests.dialects.driver import said
from tests.dialects.http.server import Face, Product, bearer, form
from tests.e2e.server import until


class Receiver:
    """What came in, by its path, oldest first: the signature and the very bytes."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str, bytes]] = []
        came = self.came

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                came.append((self.path, self.headers["X-Signature"], body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def told(self, path: str, event: str, id: str) -> dict[str, Any]:
        """The body that came to a path of an event of one Purchase, once it is there."""

        def look() -> dict[str, Any] | None:
            bodies = [json.loads(body) for at, _, body in self.came if at == path]
            about = [each for each in bodies if id in (each["id"], (each.get("related_to") or {}).get("id"))]
            return next((each for each in about if each["event_type"] == event), None)

        found: dict[str, Any] = until(look, f"{event} came to {path}")
        return found

    def verify(self, path: str, pem: str) -> None:
        """Fails unless all that came to a path was signed by this key."""
        key = load_pem_public_key(pem.encode())
        assert isinstance(key, RSAPublicKey)
        signed = [(signature, body) for at, signature, body in self.came if at == path]
        assert signed
        for signature, body in signed:
            key.verify(b64decode(signature, validate=True), body, PKCS1v15(), SHA256())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


def done(answer: Outgoing) -> Any:
    assert 200 <= answer.status < 300, said(answer)
    return said(answer)


def test_a_purchase_from_its_creation_to_its_last_refund(product: Product, receiver: Receiver):
    ready = product.ready["chip"]
    face = product.face("chip", bearer(ready["secret_key"]))
    hook = done(
        face.post("/webhooks/", {"title": "All", "all_events": True, "callback": f"{receiver.address}/hook"}),
    )
    try:
        purchase = done(
            face.post(
                "/purchases/",
                {
                    "brand_id": ready["brand_id"],
                    "client": {"email": "payer@example.com"},
                    "purchase": {"products": [{"name": "Teapot", "price": 10_000}]},
                    "success_callback": f"{receiver.address}/paid",
                },
            )
        )
        id = purchase["id"]
        payer = Face(face._http, "", None)
        assert payer.post(purchase["checkout_url"], form({"action": "decline"})).status == 303
        assert payer.post(purchase["checkout_url"], form({"action": "pay"})).status == 303
        first = done(face.post(f"/purchases/{id}/refund/", {"amount": 4_000}))
        native = next(each for each in product.payments("chip") if each["dialect_id"] == id)
        product.refund(native["id"], 1_000)

        assert receiver.told("/hook", "purchase.created", id)["status"] == "created"
        assert receiver.told("/hook", "purchase.payment_failure", id)["status"] == "error"
        paid = receiver.told("/paid", "purchase.paid", id)
        assert (paid["status"], paid["refundable_amount"]) == ("paid", 10_000)
        assert receiver.told("/hook", "purchase.paid", id) == paid
        assert paid["checkout_url"] == f"{purchase['checkout_url']}invoice/"

        def payments() -> list[dict[str, Any]]:
            """Of this purchase: the shop's others are refunded meanwhile, too."""
            bodies = [json.loads(body) for path, _, body in receiver.came if path == "/hook"]
            refunded = [each for each in bodies if each["event_type"] == "payment.refunded"]
            return [each for each in refunded if each["related_to"]["id"] == id]

        until(lambda: len(payments()) == 2, "both refunds are told")
        by_amount = {each["payment"]["amount"]: each for each in payments()}
        assert {**first, "event_type": "payment.refunded"} == by_amount[4_000]
        now = done(face.get(f"/purchases/{id}/"))
        named = [each["related_object"]["id"] for each in now["status_history"] if "related_object" in each]
        assert named == [by_amount[4_000]["id"], by_amount[1_000]["id"]]
        receiver.verify("/hook", hook["public_key"])
        receiver.verify("/paid", done(face.get("/public_key/")))
    finally:
        face.ask("DELETE", f"/webhooks/{hook['id']}/")
