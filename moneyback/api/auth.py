"""Who asks the native API: a bearer key, looked up by its hash, with its scopes."""

from __future__ import annotations

from moneyback.api.asgi import Scope, header
from moneyback.api.native import Asker
from moneyback.store.access import NATIVE
from moneyback.store.reads import Reads


async def asker_of(reads: Reads, scope: Scope) -> Asker | None:
    """Whoever presents a valid key; None for no key, an unknown one or a revoked one. Raises StoreUnavailable."""
    presented = header(scope, b"authorization")
    if presented is None:
        return None
    scheme, _, key = presented.partition(b" ")
    if scheme.lower() != b"bearer" or not key:
        return None
    known = await reads.callers.recognise(NATIVE, key.strip().decode("latin-1"))
    return None if known is None else Asker(known.merchant, known.name or known.credential.hex, known.scopes)
