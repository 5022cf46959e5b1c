"""Keeping endpoints: addresses of a merchant's own programs, registered with us because no dialect's call does it.

The native API's are told its events, signed with a secret that is drawn here. A dialect's stand for what its provider
lets one enter in a dashboard: they are kept as documents of the kind `endpoint`, for its `tell` to find; the secret and
the headers that were given are sealed in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.core.naming import ENDPOINT, inward, outward
from moneyback.dialect import Dialect
from moneyback.flows.sign import seal_secret
from moneyback.flows.world import World
from moneyback.ids import new_signing_secret
from moneyback.store.access import NATIVE
from moneyback.store.endpoints import KeptEndpoint
from moneyback.store.reads import Reads
from moneyback.vault import Vault

ENDPOINTS_MAX: Final = 25
"""Endpoints of a merchant's, for each dialect."""
FORMER_FOR: Final = timedelta(hours=24)
"""How long a secret that was replaced signs beside the new one: real time."""
KIND: Final = "endpoint"
_OURS: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "webhook-id"})
"""Headers that no endpoint chooses."""
_NAME_SIGNS: Final = frozenset("!#$%&'*+-.^_`|~")


class EndpointRefused(Exception):
    """The endpoint cannot be kept as asked for; the message says why, and quotes nothing secret."""


class Registered(msgspec.Struct, frozen=True):
    """An endpoint as its merchant may see it. `secret` is what was drawn for it just now."""

    id: UUID
    dialect: str
    url: str
    events: tuple[str, ...]
    description: str
    created_at: datetime
    secret: str | None = None


async def keep_endpoint(
    world: World,
    reads: Reads,
    merchant: UUID,
    *,
    dialect: str,
    url: str,
    events: tuple[str, ...],
    description: str,
    secret: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Registered:
    """Keep another one. Raises EndpointRefused, StoreUnavailable.

    `secret` and `headers` are a dialect's: the native API draws secrets, and sends no headers of others.
    """
    vault = _vault(world)
    if dialect != NATIVE:
        spoken = _demand_dialect(world, dialect)
        _demand_fitting(secret, headers or {})
        return await _keep_document(
            world, reads, vault, merchant, spoken, url, events, description, secret, headers or {}
        )
    if secret is not None or headers:
        raise EndpointRefused("secret and headers are for a dialect's endpoint; here a secret is drawn, and shown once")
    drawn = new_signing_secret()
    kept = await reads.endpoints_with(vault).add(
        merchant, world.new_id(), url=url, events=events, description=description, secret=drawn, most=ENDPOINTS_MAX
    )
    if kept is None:
        raise _too_many()
    return _registered(kept, drawn)


async def known_endpoints(world: World, reads: Reads, merchant: UUID) -> tuple[Registered, ...]:
    """A merchant's endpoints, oldest first."""
    native = await reads.endpoints_with(_vault(world)).of(merchant)
    found = [_registered(each) for each in native]
    for dialect in _dialects(world):
        kept = await reads.documents.list(merchant, dialect.name, KIND, limit=ENDPOINTS_MAX)
        found += [_of_document(dialect, each) for each in kept]
    return tuple(sorted(found, key=lambda each: (each.created_at, each.id)))


async def remove_endpoint(world: World, reads: Reads, merchant: UUID, id: UUID) -> bool:
    """Tell it nothing more; False where there is none."""
    if await reads.endpoints_with(_vault(world)).remove(merchant, id):
        return True
    name = outward(ENDPOINT, id)
    return any([await reads.documents.drop(merchant, each.name, KIND, name) for each in _dialects(world)])


async def rotate_secret(
    world: World, reads: Reads, merchant: UUID, id: UUID, secret: str | None = None
) -> Registered | None:
    """Sign with another secret from now on; None where there is no such endpoint. Raises EndpointRefused.

    A native one's is drawn, and the one before signs beside it for a while. A dialect's is given, and counts at once.
    """
    vault, name = _vault(world), outward(ENDPOINT, id)
    for dialect in _dialects(world):
        known = await reads.documents.load(merchant, dialect.name, KIND, name)
        if known is None:
            continue
        if not secret:
            raise EndpointRefused("a dialect's endpoint is signed with the secret that it is given")
        _demand_fitting(secret, {})
        await reads.documents.save(
            merchant, dialect.name, KIND, name, {**known, "secret": seal_secret(vault, merchant, secret)}
        )
        return _of_document(dialect, known)
    if not any(each.id == id for each in await reads.endpoints_with(vault).of(merchant)):
        return None
    if secret is not None:
        raise EndpointRefused("secret is for a dialect's endpoint; here one is drawn, and shown once")
    drawn = new_signing_secret()
    kept = await reads.endpoints_with(vault).rotate(merchant, id, drawn, FORMER_FOR)
    return None if kept is None else _registered(kept, drawn)


async def _keep_document(
    world: World,
    reads: Reads,
    vault: Vault,
    merchant: UUID,
    dialect: Dialect,
    url: str,
    events: tuple[str, ...],
    description: str,
    secret: str | None,
    headers: Mapping[str, str],
) -> Registered:
    if await reads.documents.count(merchant, dialect.name, KIND) >= ENDPOINTS_MAX:
        raise _too_many()
    name = outward(ENDPOINT, world.new_id())
    document = {
        "id": name,
        "url": url,
        "events": list(events),
        "description": description,
        "secret": seal_secret(vault, merchant, secret) if secret else "",
        "headers": seal_secret(vault, merchant, msgspec.json.encode(headers).decode()) if headers else "",
        "created_at": (await world.store.now()).business.isoformat(),
    }
    await reads.documents.save(merchant, dialect.name, KIND, name, document)
    return _of_document(dialect, document)


def _vault(world: World) -> Vault:
    if world.vault is None:
        raise EndpointRefused("this process has no master key: a secret cannot be kept here")
    return world.vault


def _dialects(world: World) -> list[Dialect]:
    return [each for each in world.dialects.values() if each.endpoints]


def _demand_dialect(world: World, name: str) -> Dialect:
    found = next((each for each in _dialects(world) if each.name == name), None)
    if found is None:
        names = ", ".join([NATIVE, *(each.name for each in _dialects(world))])
        raise EndpointRefused(f"no endpoints are kept for {name!r}; there are those of: {names}")
    return found


def _demand_fitting(secret: str | None, headers: Mapping[str, str]) -> None:
    if secret is not None and not (secret.isascii() and secret.isprintable() and secret):
        raise EndpointRefused("secret is a text of ASCII characters that can be seen")
    if unfit := sorted(name for name, value in headers.items() if not _is_header(name, value)):
        raise EndpointRefused(f"these headers cannot be sent: {', '.join(unfit)}")


def _is_header(name: str, value: str) -> bool:
    named = bool(name) and all((each.isascii() and each.isalnum()) or each in _NAME_SIGNS for each in name)
    fits = value.isascii() and value.isprintable() and value == value.strip()
    return named and fits and name.lower() not in _OURS


def _too_many() -> EndpointRefused:
    return EndpointRefused(f"there are {ENDPOINTS_MAX} endpoints already: remove one first")


def _registered(kept: KeptEndpoint, secret: str | None = None) -> Registered:
    return Registered(kept.id, NATIVE, kept.url, kept.events, kept.description, kept.created_at, secret)


def _of_document(dialect: Dialect, document: Mapping[str, Any]) -> Registered:
    id = inward(ENDPOINT, document["id"])
    assert id is not None, "it was kept here"
    return Registered(
        id,
        dialect.name,
        document["url"],
        tuple(document["events"]),
        document.get("description", ""),
        datetime.fromisoformat(document["created_at"]),
    )
