"""Requests to clients' own programs: where such an address may lead, and the one way to call it.

A merchant names these addresses, so they must not lead into the network this process stands in. What a name resolves to
is looked at, and that very address is then connected to.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx2

from moneyback.store.deliveries import Due

AGENT: Final = "Moneyback"
NO_ADDRESS: Final = "this is no address that can be called"


class Astray(OSError):
    """An address that is not called."""


async def demand_address(url: str, *, near: bool) -> None:
    """What a merchant registers may be called. Raises Astray with the reason.

    Where it leads is looked at again at every call; near programs may be named before they are there.
    """
    parts = _parts_of(url)
    if not near:
        if parts.scheme != "https":
            raise Astray("the address begins with https://")
        await place_of(url, near=False)


async def place_of(url: str, *, near: bool) -> tuple[SplitResult, str]:
    """The parts of an address that may be called, and where its host is now. Raises Astray with the reason."""
    parts = _parts_of(url)
    assert parts.hostname
    try:
        addresses = await look_up(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    except (OSError, UnicodeError) as error:
        raise Astray("the name of the host leads nowhere") from error
    if not near and not all(ip_address(each.partition("%")[0]).is_global for each in addresses):
        raise Astray("the address lies in a private network")
    return parts, addresses[0]


def _parts_of(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        known = parts.port is None or parts.port > 0
    except ValueError as error:
        raise Astray(NO_ADDRESS) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or not known:
        raise Astray(NO_ADDRESS)
    return parts


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises OSError or UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


class Messenger:
    """Calls clients' programs. `near`: addresses of this machine and of private networks may be called too."""

    def __init__(self, *, near: bool = False) -> None:
        self._near = near
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=32)  # its callers bound themselves
        self._client = httpx2.AsyncClient(timeout=None, limits=limits, follow_redirects=False, trust_env=False)

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()

    async def post(self, due: Due) -> int:
        """Make one delivery's request; the status it was answered with. Raises OSError (Astray for a bad address)."""
        said = due.said
        assert said is not None, "what cannot be opened is not sent"
        async with asyncio.timeout(said.within.total_seconds()):
            parts, address = await place_of(due.url, near=self._near)
            host = f"[{address}]" if ":" in address else address
            place = parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host, fragment="")
            headers = {"user-agent": AGENT, **said.headers, "host": parts.netloc}
            try:
                async with self._client.stream(
                    due.method,
                    urlunsplit(place),
                    content=said.body,
                    headers=headers,
                    extensions={"sni_hostname": parts.hostname},
                ) as answer:
                    return answer.status_code
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise OSError(type(error).__name__) from error
