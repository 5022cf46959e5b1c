"""What is known of a card by its first digits, or by a Google Pay token (provider docs: payment method metadata).

No table of issuers is kept: a number tells its brand, and the rest is what the cards of this sandbox all are.
"""

from __future__ import annotations

import re
from typing import Final

from moneyback.dialect import Caller, Incoming, Outgoing
from moneyback.dialects.mangopay import calls, cards, complaints, schemas
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.members import Members
from moneyback.dialects.mangopay.transactions import CARD_INFO

TYPES: Final = ("BIN", "GOOGLE_PAY")
TOKEN_MAX: Final = 1 << 16

_BIN: Final = re.compile(r"[0-9]{6}|[0-9]{8}")
_BAD_BIN: Final = "The field Bin must be 6 or 8 digits."


def look_up(incoming: Incoming, _caller: Caller) -> Answer:
    """Who issued a card. A token is read by nobody and kept nowhere: what it stands for is our one card."""
    body = Members(incoming.body)
    kind = body.word("Type", TYPES, required=True)
    known = body.matching("Bin", _BIN, _BAD_BIN, required=kind == "BIN")
    body.text("Token", required=kind == "GOOGLE_PAY", longest=TOKEN_MAX)
    if body.errors:
        return complaints.parameters(body.errors)
    yield from ()
    found = {"Type": kind} | ({"TokenFormat": "PAN_ONLY"} if kind == "GOOGLE_PAY" else {})
    number = known if kind == "BIN" and known is not None else str(CARD_INFO["BIN"])
    data = {"CardType": "CREDIT", "CommercialIndicator": "PERSONAL", "SubType": None, "Brand": cards.brand_of(number)}
    issued = {"Bin": number, "IssuerCountryCode": "FR", "IssuingBank": None, "BinData": [data]}
    return Outgoing(body=found | issued)


ROUTES: Final = (
    calls.route(
        "POST",
        "/payment-methods/metadata",
        look_up,
        "Look up who issued a card",
        asked=schemas.METADATA_REQUEST,
        answered=schemas.METADATA,
    ),
)
