"""A shop at CHIP without a network: it makes purchases, and its payers pay them on their pages."""

from typing import Any

from moneyback.dialect import Outgoing
from moneyback.dialects.chip import DIALECT
from tests.dialects.chip.shapes import fits
from tests.dialects.driver import Table, said

BRAND = "11111111-1111-4111-8111-111111111111"
CARD = {"cardholder_name": "A. Payer", "card_number": "4444333322221111", "expires": "12/49", "cvc": "123"}
SECURE = {**CARD, "card_number": "5555 5555 5555 4444"}
REDIRECTS = {
    "success_redirect": "https://shop.example/thanks",
    "failure_redirect": "https://shop.example/sorry",
    "cancel_redirect": "https://shop.example/basket",
}


def order(*products: Any, **members: Any) -> dict[str, Any]:
    """A creation's body; `purchase` is laid over what the products make."""
    purchase = {"products": list(products) or [{"name": "Teapot", "price": 1000}], **members.pop("purchase", {})}
    return {"client": {"email": "a@example.com"}, "purchase": purchase, "brand_id": BRAND, **members}


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


class Shop:
    """The dialect's routes and a table behind them."""

    def __init__(self, **profile: Any) -> None:
        self.table = Table(DIALECT, profile=profile)
        self.table.outcome = "succeeded"

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Outgoing:
        return self.table.call(method, f"/api/v1{path}", body, **options)

    def create(self, *products: Any, **members: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/purchases/", order(*products, **members))
        assert answer.status == 201, said(answer)
        return fits(answer)

    def act(self, purchase: dict[str, Any], action: str, body: Any = None) -> Outgoing:
        return self.ask("POST", f"/purchases/{purchase['id']}/{action}/", body)

    def done(self, purchase: dict[str, Any], action: str, body: Any = None) -> dict[str, Any]:
        answer = self.act(purchase, action, body)
        assert answer.status == 200, said(answer)
        return fits(answer)

    def refused(self, purchase: dict[str, Any], action: str, body: Any = None) -> str:
        """The code of a refusal, which changes nothing."""
        before = self.read(purchase)
        answer = self.act(purchase, action, body)
        assert answer.status == 400
        assert self.read(purchase) == before
        return code(answer)

    def read(self, purchase: dict[str, Any]) -> dict[str, Any]:
        return fits(self.ask("GET", f"/purchases/{purchase['id']}/"))

    def submit(self, purchase: dict[str, Any], at: str = "", **fields: str) -> Outgoing:
        """What the payer's browser sends from the pay page."""
        return self.table.call("POST", purchase["checkout_url"] + at, fields, encoding="form")

    def paid(self, *products: Any, **members: Any) -> dict[str, Any]:
        """A purchase that its payer has paid, by FPX or by card where only a card will do."""
        purchase = self.create(*products, **members)
        self.submit(purchase, **(CARD if purchase["skip_capture"] or purchase["force_recurring"] else {}))
        return self.read(purchase)


def code(answer: Outgoing) -> str:
    return str(fits(answer)["__all__"][0]["code"])


def text_of(answer: Outgoing) -> str:
    assert isinstance(answer.body, bytes)
    assert answer.media_type.startswith("text/html")
    return answer.body.decode()
