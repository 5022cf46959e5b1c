"""Where payers and users are sent, and where they come back to."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from moneyback.dialect import Ask, Incoming, IssueToken
from moneyback.dialects.mangopay import responses

PAGES: Final = "pages"
DECIDE: Final = "decide"
PATH: Final = f"/{PAGES}/{{Token}}/{{ObjectId}}/{DECIDE}"
"""Public: whose page it is says the token, and a token that has run out shows that nothing is waiting."""

LIFE: Final = 3600  # seconds a page can be used


def page_url(incoming: Incoming, identity: str) -> Generator[Ask, Any, str]:
    """The address of the page on which a payer decides about this object; it carries the right to do so for a while."""
    token: str = yield IssueToken(LIFE)
    return responses.own_url(incoming, PAGES, token, identity, DECIDE)


def token_in(path: str) -> str | None:
    """The token in the address of such a page; None for any other address."""
    words = [word for word in path.split("/") if word]
    if len(words) != 6 or (words[2].lower(), words[5].lower()) != (PAGES, DECIDE):
        return None
    return words[3]


def returning(url: str | None, name: str, identity: str) -> str | None:
    """The client's address with the object's id, as the payer comes back to it."""
    if url is None:
        return None
    return f"{url}{'&' if '?' in url else '?'}{name}={identity}"
