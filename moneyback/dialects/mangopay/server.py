"""Mangopay as we serve it: who asks, tokens, stored answers, and the table of all routes.

Each of the provider's resources has a file of its own beside this one.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Final

from moneyback.dialect import Caller, Conversation, Incoming, IssueToken, LeaveToProvider, Outgoing, Presented, Route
from moneyback.dialects.mangopay import (
    aliases,
    bankaccounts,
    calls,
    cards,
    clients,
    complaints,
    deposits,
    disputes,
    evidence,
    hooks,
    kyc,
    mandates,
    metadata,
    outcomes,
    payins,
    payouts,
    preauthorizations,
    recipients,
    recurring,
    refunds,
    responses,
    schemas,
    transfers,
    ubos,
    users,
    wallets,
)
from moneyback.dialects.mangopay.calls import Answer
from moneyback.dialects.mangopay.limits import limited

TOKEN_LIFE: Final = 1200  # seconds, the Sandbox's; one less is announced (provider docs: authentication)


def presented(incoming: Incoming) -> Presented | None:
    """The credentials of a request: Basic for a token, a bearer token or Basic for the rest.

    The scheme is read without case: clients send back the `bearer` they were given.
    """
    scheme, _, value = incoming.headers.get("authorization", "").strip().partition(" ")
    value = value.strip()
    match scheme.lower():
        case "basic":
            return _basic(value)
        case "bearer" if value and not complaints.is_token(incoming.path):
            return Presented(secret=value)
        case _:
            return None


def _basic(value: str) -> Presented | None:
    try:
        user, colon, secret = b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return Presented(secret=secret, user=user) if colon and secret else None


def issue_token(incoming: Incoming, _caller: Caller) -> Conversation:
    """A new token for credentials that the mount has checked; whatever form the body has, they are what counts."""
    body = incoming.body if isinstance(incoming.body, dict) else {}
    at = yield from calls.now(incoming)
    if body.get("grant_type", "client_credentials") != "client_credentials":
        return limited(Outgoing(status=400, body={"error": "unsupported_grant_type"}), at)
    token = yield IssueToken(TOKEN_LIFE)
    answer = {"access_token": token, "token_type": "bearer", "expires_in": TOKEN_LIFE - 1}
    return limited(Outgoing(body=answer, headers={"Cache-Control": "no-store"}), at)


def view_response(incoming: Incoming, _caller: Caller) -> Answer:
    """What was answered under an Idempotency-Key in the last 24 hours; stored errors come with 200 too."""
    at = yield from calls.now(incoming)
    key = incoming.arguments["IdempotencyKey"]
    answer = (yield from responses.fetch(key, incoming, at)) if responses.FORM.fullmatch(key) else None
    if answer is None:
        yield LeaveToProvider()  # what it answered to calls that were relayed, Mangopay knows
    return complaints.KEY_UNKNOWN if answer is None else Outgoing(body=answer)


def _token(path: str, summary: str) -> Route:
    return Route(
        method="POST",
        path=path,
        handle=issue_token,
        accepts=("form", "json", "multipart"),
        summary=summary,
        request_schema=schemas.TOKEN_REQUEST,
        response_schema=schemas.TOKEN,
    )


ROUTES: Final = (
    _token("/v2.01/oauth/token", "Get a token for the client's credentials (Basic)"),
    _token("/v2.01/{ClientId}/oauth/token", "The same, for clients that put the ClientId into the path"),
    calls.route(
        "GET",
        "/responses/{IdempotencyKey}",
        view_response,
        "Fetch the answer that was given under an Idempotency-Key",
        kind="owned",
        answered=schemas.RESPONSE,
    ),
    *refunds.ROUTES,
    *users.ROUTES,
    *wallets.ROUTES,
    *aliases.ROUTES,
    *cards.ROUTES,
    *metadata.ROUTES,
    *payins.ROUTES,
    *preauthorizations.ROUTES,
    *deposits.ROUTES,
    *recurring.ROUTES,
    *transfers.ROUTES,
    *payouts.ROUTES,
    *bankaccounts.ROUTES,
    *recipients.ROUTES,
    *mandates.ROUTES,
    *disputes.ROUTES,
    *evidence.ROUTES,
    *hooks.ROUTES,
    *kyc.ROUTES,
    *ubos.ROUTES,
    *clients.ROUTES,
    *outcomes.ROUTES,
)
