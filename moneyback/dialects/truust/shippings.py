"""Shippings: the provider's shop plugin asks for one when an order is accepted and the account allows it.

They are not in the reference; what is answered is what that plugin looks at. Nothing is shipped from here.
"""

from __future__ import annotations

from typing import Final

from moneyback.dialect import Caller, Conversation, Incoming, Instant, NextNumber, SaveDocument
from moneyback.dialects.truust import fields
from moneyback.dialects.truust.documents import ORDER, SHIPPING, named
from moneyback.dialects.truust.envelope import relayed, said
from moneyback.dialects.truust.fields import Invalid, parse
from moneyback.dialects.truust.schemas import SHIPPING_ANSWER, SHIPPING_REQUEST
from moneyback.dialects.truust.wire import VERSION, time_text
from moneyback.dialects.truust.words import invalid

READY: Final = "CARRIER_READY"


def create_shipping(incoming: Incoming, caller: Caller) -> Conversation:
    """POST /shippings: from the addresses of `origin_*` to those of `destination_*`, which are not kept."""
    try:
        asked = parse(incoming, {"order_id": fields.integer}, required=("order_id",))
        order = yield from named(ORDER, "order_id", asked["order_id"])
        assert order is not None
    except Invalid as bad:
        return invalid(bad.errors)
    number: int = yield NextNumber()
    at = time_text((yield Instant()))
    shipping = {"id": number, "status": READY, "order_id": order["id"], "created_at": at}
    yield SaveDocument(SHIPPING, str(number), shipping)
    yield SaveDocument(ORDER, str(order["id"]), {**order, "shipping_at": at})
    links = {"order": f"{VERSION}/orders/{order['id']}"}
    return said({**shipping, "self": f"{VERSION}/shippings/{number}", "connections": links}, caller)


ROUTES: Final = (
    relayed(
        *("POST", f"{VERSION}/shippings", create_shipping, "Ask for an order to be shipped"),
        *(SHIPPING_ANSWER, SHIPPING_REQUEST),
    ),
)
