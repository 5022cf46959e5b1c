"""Where payers and users are sent, and where they come back to.

Whoever is given the address of a page has no key: it names its merchant and holds a secret, opens this one page for a
while, and nothing else.
"""

from __future__ import annotations

from collections.abc import Generator
from hmac import compare_digest
from typing import Any, Final
from uuid import UUID

from moneyback.dialect import ActFor, Ask, Caller, Incoming, Instant, LoadDocument, NewId, SaveDocument
from moneyback.dialects.mangopay import responses

PAGES: Final = "pages"
DECIDE: Final = "decide"
PATH: Final = f"/{PAGES}/{{Merchant}}/{{Secret}}/{{ObjectId}}/{DECIDE}"

LIFE: Final = 3600  # seconds a page can be used
_KIND: Final = "page"


def page_url(incoming: Incoming, caller: Caller, identity: str) -> Generator[Ask, Any, str]:
    """The address of the page on which a payer decides about this object; the one before leads nowhere any more."""
    secret = (yield NewId()).hex
    until = int((yield Instant()).timestamp()) + LIFE
    yield SaveDocument(_KIND, identity, {"Secret": secret, "Until": until})
    return responses.own_url(incoming, PAGES, caller.merchant.hex, secret, identity, DECIDE)


def opened(incoming: Incoming) -> Generator[Ask, Any, str | None]:
    """The object that an address opens, whose merchant is acted for from here on; None where it opens nothing."""
    try:
        merchant = UUID(hex=incoming.arguments["Merchant"])
    except ValueError:
        return None
    yield ActFor(merchant)
    identity = incoming.arguments["ObjectId"]
    page: dict[str, Any] | None = yield LoadDocument(_KIND, identity)
    if page is None or (yield Instant()).timestamp() >= page["Until"]:
        return None
    known = compare_digest(str(page["Secret"]).encode(), incoming.arguments["Secret"].encode())
    return identity if known else None


def returning(url: str | None, name: str, identity: str) -> str | None:
    """The client's address with the object's id, as the payer comes back to it."""
    if url is None:
        return None
    return f"{url}{'&' if '?' in url else '?'}{name}={identity}"
