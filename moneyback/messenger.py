"""Requests to clients' own programs: where such an address may lead, and the one way to call it.

A merchant names these addresses, so they must not lead into the network this process stands in. What a name resolves to
is looked at, and that very address is then connected to.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx2

from moneyback.store.deliveries import Due

ANSWER_S: Final = 15.0
AGENT: Final = "Moneyback"


class Astray(OSError):
    """An address that is not called."""


class Messenger:
    """Calls clients' programs. `near`: addresses of this machine and of private networks may be called too."""

    def __init__(self, *, near: bool = False) -> None:
        self._near = near
        self._client = httpx2.AsyncClient(timeout=ANSWER_S, follow_redirects=False, trust_env=False)

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()

    async def post(self, due: Due) -> int:
        """Make one delivery's request; the status it was answered with. Raises OSError (Astray for a bad address)."""
        parts = urlsplit(due.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise Astray("this is no address that can be called")
        address = await self._resolve(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        host = f"[{address}]" if ":" in address else address
        place = parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host, fragment="")
        headers = {"user-agent": AGENT, **(due.headers or {}), "host": parts.netloc}
        try:
            async with self._client.stream(
                due.method,
                urlunsplit(place),
                content=due.body,
                headers=headers,
                extensions={"sni_hostname": parts.hostname},
            ) as said:
                return said.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise OSError(type(error).__name__) from error

    async def _resolve(self, host: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Astray("the name of the host leads nowhere") from error
        addresses = [str(place[0]) for *_, place in found]
        if not self._near and not all(ip_address(each.partition("%")[0]).is_global for each in addresses):
            raise Astray("the address lies in a private network")
        return addresses[0]
