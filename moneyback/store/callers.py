"""Recognising who calls: credentials by their look-up, and the bearer tokens that stand for them."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec

from moneyback.store.statements import Statements

FRONT: Final = "front"
"""The member of a credential's profile that names the rail it stands in front of."""
REMEMBER_S: Final = 3.0
"""How long a credential that was recognised needs no new look-up: a revoked one may live on for so long."""
REMEMBERED_MAX: Final = 4096
USER_LENGTH_MAX: Final = 255
TOKEN_LENGTH: Final = 48


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever presented a credential that counts."""

    merchant: UUID
    credential: UUID
    name: str = ""
    scopes: frozenset[str] = frozenset()
    profile: Mapping[str, Any] = {}


class Callers:
    """Recognises credentials and issues tokens for them.

    Secrets are long and random, so their plain digest is kept and compared. What was recognised is remembered for
    a moment; what was not, and tokens, are looked up every time: business time may be moved past a token's end.
    """

    def __init__(
        self,
        statements: Statements,
        new_secret: Callable[[int], str],
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._statements = statements
        self._new_secret = new_secret
        self._steady_s = steady_s
        self._remembered: dict[tuple[str, str | None, bytes], tuple[float, Known]] = {}

    async def recognise(self, dialect: str, secret: str, user: str | None = None) -> Known | None:
        """Whose credential this is; None when nobody's. Raises StoreUnavailable."""
        digest = _digest(secret)
        if digest is None or not _is_user(user):
            return None
        place = (dialect, user, digest)
        remembered = self._remembered.get(place)
        if remembered is not None and remembered[0] > self._steady_s():
            return remembered[1]
        known = await self._credential(dialect, user, digest)
        if known is not None:
            self._remember(place, known)
            return known
        self._remembered.pop(place, None)
        return await self._token(dialect, digest) if user is None else None

    async def issue_token(self, merchant: UUID, credential: UUID, seconds: int) -> str | None:
        """A bearer token that stands for a credential during `seconds` of business time; None once it is revoked."""
        token = self._new_secret(TOKEN_LENGTH)
        digest, life = sha256(token.encode()).digest(), timedelta(seconds=seconds)
        row = await self._statements.one(self._statements.text("issue_token"), digest, merchant, credential, life)
        return None if row is None else token

    async def newest(self, merchant: UUID, dialect: str) -> Known | None:
        """Whom a dialect's news are for: the merchant's newest credential of it that stands in front of no rail."""
        row = await self._statements.one(self._statements.text("newest_credential"), merchant, dialect)
        return None if row is None else _known(row)

    async def sealed_secret(
        self, merchant: UUID, dialect: str, credential: UUID | None, front: str | None
    ) -> bytes | None:
        """A credential's secret as it is kept to be used again: sealed, or None where it is not kept so.

        Without a credential, that of the newest one, in front of the rail `front` or of none.
        """
        asked = (merchant, dialect, credential, front)
        row = await self._statements.one(self._statements.text("read_sealed_secret"), *asked)
        return None if row is None else row["sealed"]

    async def _credential(self, dialect: str, user: str | None, digest: bytes) -> Known | None:
        lookup = digest.hex() if user is None else user
        row = await self._statements.one(self._statements.text("find_credential"), dialect, lookup)
        if not hmac.compare_digest(b"" if row is None else row["secret_hash"], digest):
            return None
        return _known(row)

    async def _token(self, dialect: str, digest: bytes) -> Known | None:
        row = await self._statements.one(self._statements.text("find_token"), digest, dialect)
        return None if row is None else _known(row)

    def _remember(self, place: tuple[str, str | None, bytes], known: Known) -> None:
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[place] = (self._steady_s() + REMEMBER_S, known)


def _digest(secret: str) -> bytes | None:
    """None for what cannot be anybody's secret."""
    try:
        return sha256(secret.encode()).digest() if secret else None
    except UnicodeEncodeError:
        return None


def _is_user(user: str | None) -> bool:
    return user is None or (0 < len(user) <= USER_LENGTH_MAX and user.isprintable())


def _known(row: Any) -> Known:
    return Known(
        merchant=row["merchant_id"],
        credential=row["id"],
        name=row["name"],
        scopes=frozenset(row["scopes"]),
        profile=msgspec.json.decode(row["profile"]),
    )
