"""How a conversation with Mangopay begins: a bearer token for it, and the addresses that name the client.

The client's id and key are not here. `authorize` puts them where a call leaves room for them: the id into the address,
both into the one call that asks for a token. That token comes back to the conversation, which shows it from then on.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from msgspec.structs import replace

from moneyback.core.refund import Event
from moneyback.dialect import AnswerLost, Call, Reply
from moneyback.dialects.mangopay import received

CREDENTIALS: Final = ("client_id", "api_key")
CLIENT_ID: Final = "{ClientId}"
"""Where the client's id belongs in an address; no id has a brace that is not escaped."""

_TOKEN_CALL: Final = Call(
    method="POST",
    path="/v2.01/oauth/token",
    headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
    body=b"grant_type=client_credentials",
)

NO_TOKEN: Final[Mapping[tuple[int, str], Event]] = MappingProxyType(
    {
        (400, "unauthorized_client"): Event.NOT_TAKEN,  # locked after too many wrong keys
        (401, "invalid_client"): Event.NOT_TAKEN,
        (429, "rate_limit"): Event.NOT_TAKEN,
    }
)
"""What the token endpoint answers instead of a token (provider docs: authentication, rate limits)."""


class Unprepared(AnswerLost):
    """What must be known before a refund can be sent was not told. `event` is what that means for the refund.

    The call that gives money back has not left: whatever the reason, nothing was sent.
    """

    def __init__(self, words: str, event: Event = Event.SEND_FAILED, **members: Any) -> None:
        super().__init__(words)
        self.event = event
        self.members = members


def sign_in() -> Generator[Call, Reply, Mapping[str, str]]:
    """The headers of all further calls of this conversation. Raises Unprepared without a token.

    Mangopay takes the client's key at the token endpoint alone (provider docs: authentication).
    """
    reply = yield _TOKEN_CALL
    said = received.token(reply)
    if reply.status == 200 and said is not None and said.access_token:
        return {"authorization": f"{said.token_type} {said.access_token}", "accept": "application/json"}
    problem = received.problem(reply)
    word = (said.error if said is not None else None) or (problem.type if problem is not None else "")
    raise Unprepared("Mangopay gave no token", NO_TOKEN.get((reply.status, word), Event.SEND_FAILED), code=word or None)


def path(*segments: str) -> str:
    """An address below the client's own."""
    return "/".join(["/v2.01", CLIENT_ID, *(quote(each, safe="") for each in segments)])


def authorize(credentials: Mapping[str, str], call: Call) -> Call:
    """The client's id in the address, and its key on a call that shows no token yet."""
    own = replace(call, path=call.path.replace(CLIENT_ID, quote(credentials["client_id"], safe="")))
    if "authorization" in call.headers:
        return own
    pair = f"{credentials['client_id']}:{credentials['api_key']}"
    return replace(own, headers={**call.headers, "authorization": f"Basic {b64encode(pair.encode()).decode()}"})
