"""Where providers send their notifications: one address a rail, `/_hooks/{token}`, that nobody can guess.

What is sent is kept and answered at once; the provider is asked about it in the background. Addresses that lead
nowhere, methods and bodies that make no sense are answered by a status alone, because no provider reads more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from moneyback.api.asgi import Receive, Scope, Send, TooLarge, answer, header, headers_of, path_of, read_body
from moneyback.api.decode import BOUNDS, BadBody, decode_query, is_clean
from moneyback.api.metrics import Metrics
from moneyback.api.mount import BODY_PATIENCE_S
from moneyback.api.problems import RETRY_AFTER_S
from moneyback.dialect import Notification, Outgoing
from moneyback.flows.hear import Answered, hear
from moneyback.flows.world import World
from moneyback.store.news import News
from moneyback.store.port import StoreUnavailable

METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT")
TOKEN_MAX: Final = 128


SendOn = Callable[[Answered, Notification], Awaitable[None]]
"""Tells the clients' own hooks what was heard. Raises StoreUnavailable: then its sender is to come again."""


async def serve_hook(
    world: World, news: News, metrics: Metrics, send_on: SendOn, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer one request to a rail's address. Raises Gone when its sender went away."""
    said = await _answer(world, news, metrics, send_on, scope, receive)
    await answer(send, said, head=scope["method"] == "HEAD")


async def _answer(
    world: World, news: News, metrics: Metrics, send_on: SendOn, scope: Scope, receive: Receive
) -> Outgoing:
    path, method = path_of(scope), scope["method"]
    token = path.removeprefix("/_hooks/").rstrip("/")
    if not token or "/" in token or len(token) > TOKEN_MAX or not is_clean(token):
        return Outgoing(status=404)
    if method not in METHODS:
        return Outgoing(status=405, headers={"Allow": ", ".join(METHODS)})
    try:
        sent = await _read(scope, receive)
        if method in ("HEAD", "OPTIONS") or not (sent.body or sent.query):
            return await _called(news, token, method)
        heard = await hear(world, news, token, sent)
        if heard.merchant is not None:
            await send_on(heard, sent)
    except TooLarge:
        return Outgoing(status=413, headers={"Connection": "close"})
    except TimeoutError:
        return Outgoing(status=408, headers={"Connection": "close"})
    except BadBody:
        return Outgoing(status=400)
    except StoreUnavailable as error:
        world.log("notification_not_kept", error=str(error))
        return Outgoing(status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
    if heard.outcome != "unknown":
        metrics.told(heard.rail, heard.outcome)
    return heard.answer


async def _called(news: News, token: str, method: str) -> Outgoing:
    """Somebody sees whether the address is one: providers do, before they accept it."""
    if await news.find_hook(token) is None:
        return Outgoing(status=404)
    if method == "OPTIONS":
        return Outgoing(status=204, headers={"Allow": ", ".join(METHODS)})
    return Outgoing(status=200)


async def _read(scope: Scope, receive: Receive) -> Notification:
    """The request as it came. Raises TooLarge, TimeoutError, BadBody, Gone."""
    async with asyncio.timeout(BODY_PATIENCE_S):
        body = await read_body(receive, BOUNDS.size_max, header(scope, b"content-length"))
    query = tuple(decode_query(scope.get("query_string", b"")))
    return Notification(method=scope["method"], headers=headers_of(scope), query=query, body=body)
