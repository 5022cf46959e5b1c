"""A client's own hooks: who listens to an event, how what they are told is signed, and as whom they see it.

Every delivery is made and signed in one function here, whatever it tells.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Any, Final

from moneyback.dialect import (
    Ask,
    Caller,
    Delivery,
    ListDocuments,
    NewId,
    NewKeyPair,
    SaveDocument,
    Sign,
)

WEBHOOKS: Final = "webhook"
"""The kind of document in which webhooks are kept."""
COMPANY_KEYS: Final = "company_key_pair"
SEALED: Final = "sealed_key"
"""The member of a webhook, and of the company's keys, that signs what is told; shown to nobody."""
MADE_BY: Final = "made_by"
"""The member of a webhook, and of a Purchase, that says who made it: what they are told looks as they would read it."""
TEST: Final = "is_test"
"""The member of a webhook that says whether it was made with a key that moves no real money."""
CALLBACK: Final = "success_callback"
"""What a delivery to a Purchase's own callback was sent because of."""
AGAIN_AFTER: Final = tuple(timedelta(minutes=2 * 3**tries) for tries in range(7))
"""From one try to the next. Try n is made 3^(n-1) - 1 minutes after the first, and there are eight of them (provider
docs: delivery protocol page): 2, 8, 26, 80, 242, 728 and 2186 minutes."""
_PAGE: Final = 100
_IDS: Final = ("brand_id", "company_id", "account_id")


# --- who made it -----------------------------------------------------------------------------------------------------


def made_by(caller: Caller, base: str) -> dict[str, Any]:
    """What has to be known of a client to show it an object when it does not ask."""
    return {
        "base": base,
        "name": caller.name,
        "ids": {name: caller.profile[name] for name in _IDS if name in caller.profile},
    }


def seen_by(kept: Mapping[str, Any], caller: Caller) -> tuple[Caller, str]:
    """Whoever made this, and the base of their addresses; `caller` where that is not known."""
    made: Mapping[str, Any] | None = kept.get(MADE_BY)
    if made is None:
        return caller, ""
    return Caller(merchant=caller.merchant, name=made["name"], profile=made["ids"]), str(made["base"])


# --- who listens -----------------------------------------------------------------------------------------------------


def listening(event: str, *, test: bool | None = None) -> Generator[Ask, Any, list[Mapping[str, Any]]]:
    """Every webhook that wants to hear of this event, oldest first.

    `test`: of a test object or of a live one. A webhook that was made with a test key hears of test objects alone, and
    any other of live ones (provider docs: create a webhook page). None: whoever told us has looked at that.
    """
    wanting, offset = list[Mapping[str, Any]](), 0
    while True:
        found: tuple[Mapping[str, Any], ...] = yield ListDocuments(kind=WEBHOOKS, offset=offset, limit=_PAGE)
        wanting += [each for each in found if _wants(each, event, test)]
        offset += len(found)
        if len(found) < _PAGE:
            return wanting


def _wants(webhook: Mapping[str, Any], event: str, test: bool | None) -> bool:
    listens = webhook["all_events"] or event in webhook["events"]
    return bool(listens) and (test is None or webhook.get(TEST, test) == test)


# --- telling them ----------------------------------------------------------------------------------------------------


def signed(url: str, hook: str, sealed: str, body: bytes) -> Generator[Ask, Any, tuple[Delivery, ...]]:
    """One delivery, signed: none where the key cannot be opened any more, for whoever listens checks the signature.

    X-Signature: RSA PKCS#1 v1.5 over SHA-256 of the body's bytes, in base64 (provider docs: callbacks page).
    """
    signature: bytes | None = yield Sign(sealed, body)
    if signature is None:
        return ()
    headers = {"content-type": "application/json", "x-signature": b64encode(signature).decode()}
    return (Delivery(url=url, hook=hook, headers=headers, body=body, again_after=AGAIN_AFTER),)


def company_keys() -> Generator[Ask, Any, Mapping[str, Any]]:
    """The company's key pair, drawn when it is first needed.

    Of two that are drawn at once the older one stays the company's.
    """
    known: tuple[Mapping[str, Any], ...] = yield ListDocuments(kind=COMPANY_KEYS, limit=1)
    if not known:
        id, keys = (yield NewId()), (yield NewKeyPair())
        yield SaveDocument(COMPANY_KEYS, str(id), {"public_key": keys.public, SEALED: keys.private})
        known = yield ListDocuments(kind=COMPANY_KEYS, limit=1)
    return known[0]
